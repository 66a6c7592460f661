/* Floods (H13, H14) in virtual time, events that are none, and newcomers who ask for too much. */
#include "tests/attacks/attacks.h"

#include "tiers/runner/enroll.h"
#include <stdlib.h>
#include <string.h>

static struct shot s, honest;

static struct peers *limited(struct world *w, uint32_t frames_per_s)
{
    struct peers_config conf = {.identity = &w->senders[LEAD].identity,
                                .trust = &w->trust,
                                .port_count = 1,
                                .start_ms = w->now_ms - 60000,
                                .frames_per_s = frames_per_s,
                                .bad_per_s = RATE_BAD_DEFAULT};
    return peers_new(&conf);
}

static void beat(struct world *w, struct shot *shot, enum who from, int64_t at_ms)
{
    uint8_t body[512];
    shot_begin(shot, w, from, &w->lead);
    shot->address.issued_ms = at_ms;
    shot_message(shot, beat_of(unit_agent(1, 1, from == HOST ? 1 : 4), unit_cluster(1, 1)), body,
                 beat_body(w, body));
    shot_seal(shot);
}

static enum frame_verdict open_at(struct peers *p, const struct shot *shot, int64_t now_ms)
{
    struct frame_view view;
    const struct peer *peer;
    return frame_open(p, shot->bytes, shot->length, &shot->subject, now_ms, &view, &peer);
}

/* A million frames in a second of one host with a signature that does not hold; another host beats
 * each 10 ms. None of its beats may be lost, and few signatures may be spent on the flood. */
static const char *invalid_signatures(struct world *w)
{
    struct peers *p = limited(w, RATE_FRAMES_DEFAULT);
    int64_t base_ms = w->now_ms;
    unsigned lost = 0, accepted = 0;
    enum frame_verdict last = FRAME_OK;
    if (!p)
        return "no memory";
    beat(w, &s, HOST, base_ms);
    s.bytes[s.length - 1] ^= 1;
    for (int64_t ms = 0; ms < 1000; ms++) {
        for (unsigned i = 0; i < 1000; i++) {
            last = open_at(p, &s, base_ms + ms);
            accepted += last == FRAME_OK;
        }
        if (ms % 10 == 0) {
            beat(w, &honest, HOST_TWO, base_ms + ms);
            lost += open_at(p, &honest, base_ms + ms) != FRAME_OK;
        }
    }
    uint64_t spent = peers_stats(p)->signatures;
    peers_free(p);
    /* Each bad one costs up to three verifications, of a chain and of the frame. */
    if (lost > 0 || accepted > 0 || spent > 3 * 3 * RATE_BAD_DEFAULT + 3 * 100) {
        (void)snprintf(w->why, sizeof(w->why), "%u beats lost, %u accepted, %llu verified", lost,
                       accepted, (unsigned long long)spent);
        return w->why;
    }
    return frame_verdict_name(last);
}

/* Ten times as many valid frames as one sender may send; another one beats beside it. */
static const char *valid_flood(struct world *w)
{
    struct peers *p = limited(w, 1000);
    int64_t base_ms = w->now_ms;
    unsigned lost = 0, through = 0, refused = 0;
    enum frame_verdict last = FRAME_OK;
    if (!p)
        return "no memory";
    for (int64_t ms = 0; ms < 1000; ms++) {
        for (unsigned i = 0; i < 10; i++) {
            beat(w, &s, HOST, base_ms + ms);
            enum frame_verdict v = open_at(p, &s, base_ms + ms);
            through += v == FRAME_OK;
            refused += v == FRAME_RATE;
            last = v == FRAME_OK ? last : v;
        }
        if (ms % 10 == 0) {
            beat(w, &honest, HOST_TWO, base_ms + ms);
            lost += open_at(p, &honest, base_ms + ms) != FRAME_OK;
        }
    }
    peers_free(p);
    /* What a quiet second had saved, and the rate itself. */
    if (lost > 0 || through > 2100 || through + refused != 10000) {
        (void)snprintf(w->why, sizeof(w->why), "%u beats lost, %u through, %u refused", lost,
                       through, refused);
        return w->why;
    }
    return frame_verdict_name(last);
}

/* ---- security events ---- */

static const char *event(struct world *w, size_t at, uint8_t value, size_t length)
{
    static struct alarms alarms;
    uint8_t record[ALARM_BYTES_MAX];
    memset(&alarms, 0, sizeof(alarms));
    alarm_count(&alarms, "host-2", ALARM_FRAME, FRAME_SIGNATURE, 5);
    size_t bytes = alarm_tell(&alarms, 5, record);
    record[at] = value;
    shot_begin(&s, w, HOST, &w->orchestrator);
    shot_record(&s, record, length > 0 ? length : bytes);
    shot_seal(&s);
    return shot_fire(&s);
}

static const char *event_without_rows(struct world *w)
{
    return event(w, 1, 0, 8);
}

static const char *event_cut_off(struct world *w)
{
    return event(w, 0, RECORD_ALARM, 20);
}

static const char *event_of_unknown_kind(struct world *w)
{
    return event(w, 8 + 16, 9, 0);
}

static const char *event_of_unknown_reason(struct world *w)
{
    return event(w, 8 + 17, 200, 0);
}

static const char *event_without_count(struct world *w)
{
    return event(w, 8 + 24, 0, 0);
}

static const char *event_with_a_name_that_is_none(struct world *w)
{
    return event(w, 8, '"', 0);
}

/* ---- newcomers ---- */

struct newcomer {
    struct key_pair token, own, tls;
    struct cert record, wanted;
    uint8_t proof[ENROLL_PROOF_BYTES];
};

static void newcomer_make(struct newcomer *n)
{
    *n = (struct newcomer){.record = {.kind = CERT_PROCESS,
                                      .roles = ROLE_HOST,
                                      .scope_count = 1,
                                      .capabilities = 0x3,
                                      .epoch = 1}};
    key_pair_make(&n->token);
    key_pair_make(&n->own);
    key_pair_make(&n->tls);
    (void)endpoint_make("host-7", 6, 0, &n->record.subject);
    n->record.scope[0] = (struct unit_range){unit_agent(1, 1, 1), unit_agent(1, 1, 3)};
    n->record.not_after_s = 600;
    n->wanted = n->record;
    memcpy(n->wanted.public_key, n->own.public_key, PUBLIC_BYTES);
    n->wanted.issuer_kid = n->own.kid;
}

static const char *newcomer_judge(struct newcomer *n)
{
    const uint8_t nonce[ENROLL_NONCE] = {7};
    (void)enroll_proof(&n->token, &n->own, &n->tls, &n->wanted, nonce, n->proof);
    enum enroll_verdict v = enroll_proof_check(n->proof, n->token.public_key);
    if (v == ENROLL_OK)
        v = enroll_policy(&n->wanted, &n->record);
    return v == ENROLL_OK ? "ACCEPTED" : enroll_verdict_name(v);
}

#define NEWCOMER(name, change)                                                                     \
    static const char *name(struct world *w)                                                       \
    {                                                                                              \
        struct newcomer n;                                                                         \
        (void)w;                                                                                   \
        newcomer_make(&n);                                                                         \
        change;                                                                                    \
        return newcomer_judge(&n);                                                                 \
    }

NEWCOMER(newcomer_good, (void)n)
NEWCOMER(newcomer_capable, n.wanted.capabilities = 0x7)
NEWCOMER(newcomer_wide, n.wanted.scope[0].last.agent = 4)
NEWCOMER(newcomer_elsewhere, n.wanted.scope[0] = n.wanted.scope[0];
         n.wanted.scope[0].first.cluster = 2; n.wanted.scope[0].last.cluster = 2)
NEWCOMER(newcomer_lead, n.wanted.roles = ROLE_CLUSTER)
NEWCOMER(newcomer_other, (void)endpoint_make("host-8", 6, 0, &n.wanted.subject))
NEWCOMER(newcomer_borrowed, n.own.secret[3] ^= 1)
NEWCOMER(newcomer_tls, n.tls.secret[3] ^= 1)

static const char *newcomer_without_token(struct world *w)
{
    struct newcomer n;
    struct key_pair thief;
    const uint8_t nonce[ENROLL_NONCE] = {7};
    (void)w;
    newcomer_make(&n);
    key_pair_make(&thief);
    (void)enroll_proof(&thief, &n.own, &n.tls, &n.wanted, nonce, n.proof);
    return enroll_verdict_name(enroll_proof_check(n.proof, n.token.public_key));
}

static const char *newcomer_other_nonce(struct world *w)
{
    struct newcomer n;
    (void)w;
    newcomer_make(&n);
    (void)newcomer_judge(&n);
    n.proof[30] ^= 1; /* what was signed for one nonce says nothing for another */
    return enroll_verdict_name(enroll_proof_check(n.proof, n.token.public_key));
}

static const char *newcomer_short(struct world *w)
{
    struct newcomer n;
    struct enroll_request r;
    (void)w;
    newcomer_make(&n);
    (void)newcomer_judge(&n);
    return enroll_decode(n.proof, ENROLL_PROOF_BYTES - 1, &r) ? "ACCEPTED" : "shape";
}

static const struct attack list[] = {
    {"H13", "a million invalid signatures a second of one host", invalid_signatures, "rate"},
    {"H14", "ten times as many valid frames as one may send", valid_flood, "rate"},
    {"V01", "a security event without rows", event_without_rows, "record-kind"},
    {"V02", "a security event that is cut off", event_cut_off, "record-kind"},
    {"V03", "a security event of an unknown kind", event_of_unknown_kind, "record-kind"},
    {"V04", "a security event of an unknown reason", event_of_unknown_reason, "record-kind"},
    {"V05", "a security event that happened never", event_without_count, "record-kind"},
    {"V06", "a security event about no name", event_with_a_name_that_is_none, "record-kind"},
    {"N01", "a newcomer with more capabilities than its token", newcomer_capable, "capability"},
    {"N02", "a newcomer for more places than its token", newcomer_wide, "scope"},
    {"N03", "a newcomer for another cluster", newcomer_elsewhere, "scope"},
    {"N04", "a newcomer of another role", newcomer_lead, "role"},
    {"N05", "a newcomer under another name", newcomer_other, "name"},
    {"N06", "a newcomer with somebody else's key", newcomer_borrowed, "possession"},
    {"N07", "a newcomer with somebody else's TLS key", newcomer_tls, "possession"},
    {"N08", "a newcomer without the token's secret", newcomer_without_token, "token-signature"},
    {"N09", "a newcomer's request under another nonce", newcomer_other_nonce, "token-signature"},
    {"N10", "a newcomer's request that is cut off", newcomer_short, "shape"},
    {"N00", "a newcomer that asks for what it was given (the control)", newcomer_good, "ACCEPTED"},
};

struct attack_list attacks_floods(void)
{
    return (struct attack_list){list, sizeof(list) / sizeof(list[0])};
}
