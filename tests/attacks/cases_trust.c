/* Trust bundles (H10): who signed, how old, for whom. */
#include "tests/attacks/attacks.h"

#include <string.h>

static uint8_t bytes[TRUST_BYTES_MAX], other[TRUST_BYTES_MAX];
static struct trust made;

static const char *offer_at(struct world *w, const struct trust *trust, unsigned signers,
                            uint64_t seen)
{
    size_t length = trust_encode(trust, bytes);
    for (uint8_t i = 0; i < ROOTS_MAX; i++) {
        if (signers >> i & 1u)
            length = trust_sign(bytes, length, i, w->roots[i].secret);
    }
    struct trust out;
    enum trust_verdict v = trust_verify(bytes, length, &w->pinned, w->issuer.kid, w->now_ms / 1000,
                                        seen, NULL, 0, &out);
    return v == TRUST_OK ? "ACCEPTED" : trust_verdict_name(v);
}

#define OFFER(name, edit, signers, seen)                                                           \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        made = w->trust;                                                                           \
        edit;                                                                                      \
        return offer_at(w, &made, signers, seen);                                                  \
    }
OFFER(good, (void)0, 5, 6)
OFFER(lower, made.version = 6, 3, 7)
OFFER(run_out, made.not_after_s = w->now_ms / 1000 - 1, 3, 0)
OFFER(early, made.not_before_s = w->now_ms / 1000 + 60, 3, 0)
OFFER(too_long, made.not_after_s = made.not_before_s + TRUST_LIFE_S + 1, 3, 0)
OFFER(other_mesh, made.mesh ^= 1, 3, 0)
OFFER(one_root, (void)0, 1, 0)
OFFER(no_root, (void)0, 0, 0)
OFFER(own_issuer, memcpy(made.issuers[0], w->senders[LEAD].identity.key.public_key, PUBLIC_BYTES),
      4, 0)

static const char *one_root_twice(struct world *w)
{
    struct trust out;
    size_t length = trust_encode(&w->trust, bytes);
    length = trust_sign(bytes, length, 0, w->roots[0].secret);
    memcpy(bytes + length, bytes + length - 65, 65);
    bytes[length] = 1; /* as if it were the second root's */
    bytes[length - 66] = 2;
    return trust_verdict_name(trust_verify(bytes, length + 65, &w->pinned, w->issuer.kid,
                                           w->now_ms / 1000, 0, NULL, 0, &out));
}

static const char *roots_of_others(struct world *w)
{
    struct trust out;
    size_t length = trust_encode(&w->trust, bytes);
    length = trust_sign(bytes, length, 0, w->other_issuer.secret);
    length = trust_sign(bytes, length, 1, w->issuer.secret);
    return trust_verdict_name(
        trust_verify(bytes, length, &w->pinned, w->issuer.kid, w->now_ms / 1000, 0, NULL, 0, &out));
}

static const char *two_of_one_version(struct world *w)
{
    struct trust out;
    size_t first = trust_encode(&w->trust, other);
    made = w->trust;
    (void)trust_revoke(&made, "cluster-1", 1);
    size_t length = trust_encode(&made, bytes);
    length = trust_sign(bytes, length, 0, w->roots[0].secret);
    length = trust_sign(bytes, length, 1, w->roots[1].secret);
    return trust_verdict_name(trust_verify(bytes, length, &w->pinned, w->issuer.kid,
                                           w->now_ms / 1000, 7, other, first, &out));
}

static const char *shape(struct world *w, size_t at, uint8_t value, size_t cut)
{
    struct trust out;
    size_t length = trust_encode(&w->trust, bytes);
    length = trust_sign(bytes, length, 0, w->roots[0].secret);
    length = trust_sign(bytes, length, 1, w->roots[1].secret);
    if (at < length)
        bytes[at] = value;
    return trust_verdict_name(trust_verify(bytes, length - cut, &w->pinned, w->issuer.kid,
                                           w->now_ms / 1000, 0, NULL, 0, &out));
}

#define SHAPE(name, at, value, cut)                                                                \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        return shape(w, at, value, cut);                                                           \
    }
SHAPE(cut_off, SIZE_MAX, 0, 1)
SHAPE(no_issuers, 52, 0, 0)
SHAPE(many_issuers, 52, 200, 0)
SHAPE(many_revoked, 55, 0xff, 0)
SHAPE(name_changed, 56 + 32, 'i', 0)

static const struct attack list[] = {
    {"T00", "a good bundle (the control)", good, "ACCEPTED"},
    {"H10a", "version n - 1", lower, "rollback"},
    {"H10b", "an expired bundle", run_out, "expired"},
    {"T01", "a bundle from the future", early, "not-yet-valid"},
    {"T02", "a bundle for longer than 90 days", too_long, "too-long-lived"},
    {"T03", "another mesh's bundle", other_mesh, "other-mesh"},
    {"H10c", "one signature of three", one_root, "signatures"},
    {"T04", "no signature", no_root, "signatures"},
    {"H10d", "one root signing twice", one_root_twice, "signatures"},
    {"T05", "roots of another mesh", roots_of_others, "signatures"},
    {"T06", "a lead that makes itself issuer, with one stolen root", own_issuer, "signatures"},
    {"H10e", "the version in force with another content", two_of_one_version, "equivocation"},
    {"T07", "a bundle cut off", cut_off, "shape"},
    {"T08", "no issuer", no_issuers, "shape"},
    {"T09", "200 issuers", many_issuers, "shape"},
    {"T10", "65,280 revocations", many_revoked, "shape"},
    {"T11", "a name in the list changed", name_changed, "signatures"},
};

struct attack_list attacks_trust(void)
{
    return (struct attack_list){list, sizeof(list) / sizeof(list[0])};
}
