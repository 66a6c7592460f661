/* Version, life and signatures are checked in the order of their cost. A bundle whose time runs out
 * while it is in force stays so: dropping it would bring revoked keys back to life. */
#include "tiers/runner/trust.h"

#include "tiers/runner/bytes.h"
#include <assert.h>
#include <sodium.h>
#include <string.h>

#define REVOKED_BYTES  24u
#define SIGNATURE_ROOM 65u
#define SIGNED_FROM    20u
#define HWTOKEN_BYTES  81u
#define KEY_AT         17u /* in a hardware token's row */

static const char magic[16] = {'m', 'e', 's', 'h', '3', '0', 'k', '/',
                               'b', 'u', 'n', 'd', 'l', 'e', '/', '1'};

const char *trust_verdict_name(enum trust_verdict v)
{
    static const char *const names[] = {
        "ok",      "known",          "shape",    "other-mesh",   "not-yet-valid",
        "expired", "too-long-lived", "rollback", "equivocation", "signatures"};
    _Static_assert(sizeof(names) / sizeof(names[0]) == TRUST_VERDICT_COUNT, "a name for each");
    assert((unsigned)v < TRUST_VERDICT_COUNT);
    return names[v];
}

/* Where the signatures begin, and without tokens where the revoked end. */
static size_t body_end(uint16_t issuers, uint16_t revoked, uint16_t hwtokens)
{
    return TRUST_HEAD_BYTES + (size_t)issuers * PUBLIC_BYTES + (size_t)revoked * REVOKED_BYTES +
           (hwtokens > 0 ? 2u + (size_t)hwtokens * HWTOKEN_BYTES : 0);
}

static bool name_decode(const uint8_t at[TOKEN_MAX], char ret[TOKEN_MAX + 1])
{
    memset(ret, 0, TOKEN_MAX + 1);
    memcpy(ret, at, TOKEN_MAX);
    size_t bytes = strlen(ret);
    return token_valid(ret, bytes) && sodium_is_zero(at + bytes, TOKEN_MAX - bytes) == 1;
}

static bool decode_issuers(const uint8_t *at, struct trust *out)
{
    uint16_t count = out->issuer_count;
    out->issuer_count = 0;
    for (uint16_t i = 0; i < count; i++, at += PUBLIC_BYTES) {
        for (uint16_t j = 0; j < i; j++) {
            if (memcmp(at, out->issuers[j], PUBLIC_BYTES) == 0)
                return false;
        }
        trust_issuer_add(out, at);
    }
    return true;
}

static bool decode_revoked(const uint8_t *at, struct trust *out)
{
    for (uint16_t i = 0; i < out->revoked_count; i++, at += REVOKED_BYTES) {
        struct trust_revocation *r = &out->revoked[i];
        if (!name_decode(at, r->token) ||
            (i > 0 && strcmp(out->revoked[i - 1].token, r->token) >= 0))
            return false;
        r->epoch = get_u64(at + TOKEN_MAX);
    }
    return true;
}

static int hwtoken_order(const struct trust_hwtoken *a, const struct trust_hwtoken *b)
{
    int order = strcmp(a->operator_name, b->operator_name);
    order = order != 0 ? order : a->algorithm - b->algorithm;
    return order != 0 ? order : memcmp(a->key, b->key, sizeof(a->key));
}

bool trust_hwtoken_shape(const struct trust_hwtoken *t)
{
    return t->algorithm == HWTOKEN_ES256 ||
           (t->algorithm == HWTOKEN_EDDSA &&
            sodium_is_zero(t->key + PUBLIC_BYTES, sizeof(t->key) - PUBLIC_BYTES) == 1);
}

static bool decode_hwtokens(const uint8_t *at, struct trust *out)
{
    for (uint16_t i = 0; i < out->hwtoken_count; i++, at += HWTOKEN_BYTES) {
        struct trust_hwtoken *t = &out->hwtokens[i];
        t->algorithm = at[TOKEN_MAX];
        memcpy(t->key, at + KEY_AT, sizeof(t->key));
        if (!name_decode(at, t->operator_name) || !trust_hwtoken_shape(t) ||
            (i > 0 && hwtoken_order(&out->hwtokens[i - 1], t) >= 0))
            return false;
    }
    return true;
}

static bool signatures_shape(const uint8_t *at, size_t length)
{
    if (length < 1 || at[0] > ROOTS_MAX || length != 1u + at[0] * SIGNATURE_ROOM)
        return false;
    for (uint8_t i = 0; i < at[0]; i++) {
        uint8_t root = at[1 + i * SIGNATURE_ROOM];
        if (root >= ROOTS_MAX || (i > 0 && at[1 + (i - 1u) * SIGNATURE_ROOM] >= root))
            return false;
    }
    return true;
}

enum trust_verdict trust_decode(const uint8_t *bytes, size_t length, struct trust *ret)
{
    assert(bytes || length == 0);
    assert(ret);
    if (length < TRUST_HEAD_BYTES + 1u || length > TRUST_BYTES_MAX ||
        memcmp(bytes, magic, sizeof(magic) - 1) != 0 || (bytes[15] != '1' && bytes[15] != '2'))
        return TRUST_SHAPE;
    ret->issuer_count = get_u16(bytes + 52);
    ret->revoked_count = get_u16(bytes + 54);
    ret->hwtoken_count = 0;
    size_t end = body_end(ret->issuer_count, ret->revoked_count, 0);
    if (bytes[15] == '2') { /* its one encoding: the other magic has none */
        if (end + 2u >= length || get_u16(bytes + end) == 0)
            return TRUST_SHAPE;
        ret->hwtoken_count = get_u16(bytes + end);
        end = body_end(ret->issuer_count, ret->revoked_count, ret->hwtoken_count);
    }
    if (ret->issuer_count == 0 || ret->hwtoken_count > TRUST_HWTOKENS_MAX ||
        ret->issuer_count > TRUST_ISSUERS_MAX || ret->revoked_count > TRUST_REVOKED_MAX ||
        end >= length || get_u32(bytes + 16) != end - SIGNED_FROM ||
        !signatures_shape(bytes + end, length - end))
        return TRUST_SHAPE;
    ret->mesh = get_u64(bytes + 20);
    ret->version = get_u64(bytes + 28);
    uint64_t from = get_u64(bytes + 36), to = get_u64(bytes + 44);
    if (ret->version == 0 || from > INT64_MAX / 4 || to > INT64_MAX / 4 || from >= to)
        return TRUST_SHAPE;
    ret->not_before_s = (int64_t)from;
    ret->not_after_s = (int64_t)to;
    if (!decode_issuers(bytes + TRUST_HEAD_BYTES, ret))
        return TRUST_SHAPE;
    const uint8_t *revoked = bytes + body_end(ret->issuer_count, 0, 0);
    const uint8_t *tokens = revoked + (size_t)ret->revoked_count * REVOKED_BYTES + 2u;
    return decode_revoked(revoked, ret) && decode_hwtokens(tokens, ret) ? TRUST_OK : TRUST_SHAPE;
}

static bool signatures_hold(const uint8_t *bytes, size_t end, const struct trust_roots *roots)
{
    unsigned good = 0;
    for (uint8_t i = 0; i < bytes[end]; i++) {
        const uint8_t *at = bytes + end + 1 + i * SIGNATURE_ROOM;
        if (crypto_sign_verify_detached(at + 1, bytes, end, roots->public_keys[at[0]]) == 0)
            good++;
    }
    return good >= ROOTS_NEEDED;
}

enum trust_verdict trust_verify(const uint8_t *bytes, size_t length,
                                const struct trust_roots *roots, uint64_t mesh, int64_t now_s,
                                uint64_t version_seen, const uint8_t *in_force,
                                size_t in_force_length, struct trust *ret)
{
    assert(roots && ret);
    static _Thread_local struct trust out; /* excludes nobody */
    enum trust_verdict v = trust_decode(bytes, length, &out);
    if (v != TRUST_OK)
        return v;
    if (out.mesh != mesh)
        return TRUST_MESH;
    size_t end = body_end(out.issuer_count, out.revoked_count, out.hwtoken_count);
    if (in_force && out.version == version_seen) {
        bool same = in_force_length >= end && memcmp(bytes, in_force, end) == 0;
        return same ? TRUST_KNOWN : TRUST_EQUIVOCATION;
    }
    if (out.version < version_seen)
        return TRUST_ROLLBACK;
    if (out.not_after_s - out.not_before_s > TRUST_LIFE_S)
        return TRUST_TOO_LONG_LIVED;
    if (now_s < out.not_before_s)
        return TRUST_NOT_YET_VALID;
    if (now_s >= out.not_after_s)
        return TRUST_EXPIRED;
    if (!signatures_hold(bytes, end, roots))
        return TRUST_SIGNATURES;
    *ret = out;
    return TRUST_OK;
}

size_t trust_encode(const struct trust *trust, uint8_t ret[TRUST_BYTES_MAX])
{
    assert(trust && ret);
    assert(trust->issuer_count > 0 && trust->issuer_count <= TRUST_ISSUERS_MAX);
    assert(trust->revoked_count <= TRUST_REVOKED_MAX && trust->version > 0);
    assert(trust->hwtoken_count <= TRUST_HWTOKENS_MAX);
    size_t end = body_end(trust->issuer_count, trust->revoked_count, trust->hwtoken_count);
    memset(ret, 0, end + 1);
    memcpy(ret, magic, sizeof(magic));
    ret[15] = trust->hwtoken_count > 0 ? '2' : '1';
    put_u32(ret + 16, (uint32_t)(end - SIGNED_FROM));
    put_u64(ret + 20, trust->mesh);
    put_u64(ret + 28, trust->version);
    put_u64(ret + 36, (uint64_t)trust->not_before_s);
    put_u64(ret + 44, (uint64_t)trust->not_after_s);
    put_u16(ret + 52, trust->issuer_count);
    put_u16(ret + 54, trust->revoked_count);
    memcpy(ret + TRUST_HEAD_BYTES, trust->issuers, (size_t)trust->issuer_count * PUBLIC_BYTES);
    uint8_t *at = ret + body_end(trust->issuer_count, 0, 0);
    for (uint16_t i = 0; i < trust->revoked_count; i++, at += REVOKED_BYTES) {
        memcpy(at, trust->revoked[i].token, TOKEN_MAX);
        put_u64(at + TOKEN_MAX, trust->revoked[i].epoch);
    }
    if (trust->hwtoken_count > 0) {
        put_u16(at, trust->hwtoken_count);
        at += 2;
    }
    for (uint16_t i = 0; i < trust->hwtoken_count; i++, at += HWTOKEN_BYTES) {
        memcpy(at, trust->hwtokens[i].operator_name, TOKEN_MAX);
        at[TOKEN_MAX] = trust->hwtokens[i].algorithm;
        memcpy(at + KEY_AT, trust->hwtokens[i].key, HWTOKEN_KEY_BYTES);
    }
    return end + 1;
}

size_t trust_sign(uint8_t *bytes, size_t length, uint8_t root, const uint8_t secret[SECRET_BYTES])
{
    assert(bytes && secret);
    assert(root < ROOTS_MAX);
    size_t end = SIGNED_FROM + get_u32(bytes + 16);
    assert(length == end + 1u + bytes[end] * SIGNATURE_ROOM && bytes[end] < ROOTS_MAX);
    uint8_t *at = bytes + length;
    at[0] = root;
    crypto_sign_detached(at + 1, NULL, bytes, end, secret);
    bytes[end]++;
    return length + SIGNATURE_ROOM;
}

bool trust_revoke(struct trust *trust, const char *token, uint64_t epoch)
{
    assert(trust && token);
    assert(token_valid(token, strlen(token)));
    uint16_t i = 0;
    while (i < trust->revoked_count && strcmp(trust->revoked[i].token, token) < 0)
        i++;
    struct trust_revocation *r = &trust->revoked[i];
    if (i < trust->revoked_count && strcmp(r->token, token) == 0) {
        if (r->epoch < epoch)
            r->epoch = epoch;
        return true;
    }
    if (trust->revoked_count == TRUST_REVOKED_MAX)
        return false;
    memmove(r + 1, r, (size_t)(trust->revoked_count - i) * sizeof(*r));
    memset(r, 0, sizeof(*r));
    memcpy(r->token, token, strlen(token));
    r->epoch = epoch;
    trust->revoked_count++;
    return true;
}

bool trust_is_excluded(const struct trust *trust, const struct cert *process)
{
    assert(trust && process);
    for (uint16_t i = 0; i < trust->excluded.count; i++) {
        const struct trust_revocation *row = &trust->excluded.list[i];
        if (strcmp(row->token, process->subject.token) == 0)
            return process->epoch <= row->epoch;
    }
    return false;
}

void trust_issuer_add(struct trust *trust, const uint8_t public_key[PUBLIC_BYTES])
{
    assert(trust && public_key);
    assert(trust->issuer_count < TRUST_ISSUERS_MAX);
    memcpy(trust->issuers[trust->issuer_count], public_key, PUBLIC_BYTES);
    trust->issuer_kids[trust->issuer_count] = key_kid(public_key);
    trust->issuer_count++;
}

bool trust_is_revoked(const struct trust *trust, const struct cert *process)
{
    assert(trust && process);
    if (trust_is_excluded(trust, process))
        return true;
    uint16_t low = 0, high = trust->revoked_count;
    while (low < high) {
        uint16_t middle = (uint16_t)((low + high) / 2);
        const struct trust_revocation *r = &trust->revoked[middle];
        int order = strcmp(r->token, process->subject.token);
        if (order == 0)
            return process->epoch <= r->epoch;
        if (order < 0)
            low = (uint16_t)(middle + 1);
        else
            high = middle;
    }
    return false;
}

const uint8_t *trust_issuer(const struct trust *trust, uint64_t kid)
{
    assert(trust);
    for (uint16_t i = 0; i < trust->issuer_count; i++) {
        if (trust->issuer_kids[i] == kid)
            return trust->issuers[i];
    }
    return NULL;
}

uint64_t trust_hwtoken_kid(const struct trust_hwtoken *token)
{
    assert(token);
    uint8_t bytes[1 + HWTOKEN_KEY_BYTES], hash[32];
    bytes[0] = token->algorithm;
    memcpy(bytes + 1, token->key, HWTOKEN_KEY_BYTES);
    crypto_generichash(hash, sizeof(hash), bytes, sizeof(bytes), NULL, 0);
    return get_u64(hash);
}

const struct trust_hwtoken *trust_hwtoken_find(const struct trust *trust, const char *operator_name,
                                               uint64_t kid)
{
    assert(trust && operator_name);
    for (uint16_t i = 0; i < trust->hwtoken_count; i++) {
        const struct trust_hwtoken *t = &trust->hwtokens[i];
        if (strcmp(t->operator_name, operator_name) == 0 &&
            (kid == 0 || trust_hwtoken_kid(t) == kid))
            return t;
    }
    return NULL;
}

bool trust_hwtoken_add(struct trust *trust, const struct trust_hwtoken *token)
{
    assert(trust && token && trust_hwtoken_shape(token));
    assert(token_valid(token->operator_name, strlen(token->operator_name)));
    uint16_t i = 0;
    while (i < trust->hwtoken_count && hwtoken_order(&trust->hwtokens[i], token) < 0)
        i++;
    struct trust_hwtoken *at = &trust->hwtokens[i];
    if (trust->hwtoken_count == TRUST_HWTOKENS_MAX ||
        (i < trust->hwtoken_count && hwtoken_order(at, token) == 0))
        return false;
    memmove(at + 1, at, (size_t)(trust->hwtoken_count - i) * sizeof(*at));
    *at = *token;
    trust->hwtoken_count++;
    return true;
}

bool trust_hwtoken_remove(struct trust *trust, const char *operator_name, uint64_t kid)
{
    const struct trust_hwtoken *found = trust_hwtoken_find(trust, operator_name, kid);
    if (!found)
        return false;
    struct trust_hwtoken *at = &trust->hwtokens[found - trust->hwtokens];
    trust->hwtoken_count--;
    memmove(at, at + 1, (size_t)(&trust->hwtokens[trust->hwtoken_count] - at) * sizeof(*at));
    return true;
}
