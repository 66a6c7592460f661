/* Certificates are fixed structs rather than protobuf: bytes that are signed need exactly one
 * encoding, and what reads them runs before anything is trusted. Decoding refuses every encoding
 * that cert_seal would not write, so re-encoding is never needed and no byte is free to change.
 *
 * A chain has exactly two links below the issuer. The second may only narrow the first: roles,
 * capabilities, scope, life. Checks without arithmetic on keys come before the signatures, so that
 * nonsense is cheap to refuse. Cost of a chain: two verifications (about 40 us each), once per
 * session, see peers.c. All functions are pure; files are in keyfiles.c, scope text in scope.c. */
#include "tiers/runner/keys.h"

#include "tiers/runner/bytes.h"
#include <assert.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <sodium.h>
#include <string.h>

enum {
    AT_KIND = 5,
    AT_ROLES = 6,
    AT_FLAGS = 8,
    AT_PORT = 10,
    AT_TOKEN = 12,
    AT_SCOPE_COUNT = 28,
    AT_SCOPE = 36,
    AT_CAPABILITIES = 164,
    AT_PUBLIC = 172,
    AT_ISSUER = 204,
    AT_NOT_BEFORE = 212,
    AT_NOT_AFTER = 220,
    AT_EPOCH = 228,
    AT_SIGNATURE = 236
};
static const uint8_t cert_magic[5] = {'M', '3', 'K', 'C', 1};
static const char cert_domain[16] = "mesh30k/cert/01";

_Static_assert(AT_SIGNATURE + SIGNATURE_BYTES == CERT_BYTES, "layout of a certificate");
_Static_assert(AT_SCOPE + SCOPES_MAX * 16u == AT_CAPABILITIES, "layout of a certificate");

const char *cert_verdict_name(enum cert_verdict v)
{
    static const char *const names[] = {
        [CERT_OK] = "ok",
        [CERT_SHAPE] = "shape",
        [CERT_WRONG_KIND] = "wrong-kind",
        [CERT_WRONG_ISSUER] = "wrong-issuer",
        [CERT_BAD_SIGNATURE] = "bad-signature",
        [CERT_NOT_YET_VALID] = "not-yet-valid",
        [CERT_EXPIRED] = "expired",
        [CERT_TOO_LONG_LIVED] = "too-long-lived",
        [CERT_OUTLIVES_PARENT] = "outlives-parent",
        [CERT_TOKEN_CHANGED] = "token-changed",
        [CERT_ROLE_WIDENED] = "role-widened",
        [CERT_SCOPE_WIDENED] = "scope-widened",
        [CERT_CAPABILITY_WIDENED] = "capability-widened",
        [CERT_REVOKED] = "revoked",
    };
    _Static_assert(sizeof(names) / sizeof(names[0]) == CERT_VERDICT_COUNT, "a name for each");
    assert((unsigned)v < CERT_VERDICT_COUNT);
    return names[v];
}

/* libnats 3.4.1 frees OpenSSL's list of compression methods when it closes, and OpenSSL frees it
 * once more at exit: so nothing of it is freed at exit. */
int keys_start(void)
{
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_ATEXIT, NULL) != 1)
        return -EIO;
    return sodium_init() < 0 ? -EIO : 0;
}

uint64_t key_kid(const uint8_t public_key[PUBLIC_BYTES])
{
    assert(public_key);
    uint8_t hash[32];
    crypto_generichash(hash, sizeof(hash), public_key, PUBLIC_BYTES, NULL, 0);
    return get_u64(hash);
}

void key_pair_make(struct key_pair *ret)
{
    assert(ret);
    crypto_sign_keypair(ret->public_key, ret->secret);
    ret->kid = key_kid(ret->public_key);
}

void keys_wipe(void *secret, size_t bytes)
{
    assert(secret || bytes == 0);
    sodium_memzero(secret, bytes);
}

void keys_lock(void *secret, size_t bytes)
{
    assert(secret);
    (void)sodium_mlock(secret, bytes); /* best effort: the process key is in a file anyway */
}

void keys_unlock(void *secret, size_t bytes)
{
    assert(secret);
    (void)sodium_munlock(secret, bytes);
    sodium_memzero(secret, bytes);
}

/* Order of units within a tier. */
static uint64_t unit_rank(struct unit u)
{
    if (u.tier == TIER_HOST || u.tier == TIER_CONSOLE)
        return unit_number(u);
    return (uint64_t)u.sector << 32 | (uint64_t)u.cluster << 16 | u.agent;
}

static bool range_valid(const struct unit_range *r)
{
    return r->first.tier > TIER_NONE && r->first.tier < TIER_COUNT &&
           r->first.tier == r->last.tier && unit_rank(r->first) <= unit_rank(r->last);
}

static bool range_within(const struct unit_range *inner, const struct unit_range *outer,
                         uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (outer[i].first.tier == inner->first.tier &&
            unit_rank(outer[i].first) <= unit_rank(inner->first) &&
            unit_rank(inner->last) <= unit_rank(outer[i].last))
            return true;
    }
    return false;
}

bool scope_has(const struct unit_range *scope, uint32_t count, struct unit u)
{
    assert(scope || count == 0);
    assert(count <= SCOPES_MAX);
    struct unit_range one = {u, u};
    return range_within(&one, scope, count);
}

static void put_unit(uint8_t *at, struct unit u)
{
    at[0] = u.tier;
    at[1] = 0;
    put_u16(at + 2, u.sector);
    put_u16(at + 4, u.cluster);
    put_u16(at + 6, u.agent);
}

static bool get_unit(const uint8_t *at, struct unit *ret)
{
    *ret = (struct unit){.tier = at[0],
                         .sector = get_u16(at + 2),
                         .cluster = get_u16(at + 4),
                         .agent = get_u16(at + 6)};
    return at[1] == 0;
}

static void cert_signed_bytes(const uint8_t *cert, uint8_t ret[20 + AT_SIGNATURE])
{
    memcpy(ret, cert_domain, 16);
    put_u32(ret + 16, AT_SIGNATURE);
    memcpy(ret + 20, cert, AT_SIGNATURE);
}

void cert_seal(const struct cert *cert, const uint8_t issuer_secret[SECRET_BYTES],
               uint8_t ret[CERT_BYTES])
{
    assert(cert);
    assert(token_valid(cert->subject.token, strlen(cert->subject.token)));
    assert(cert->scope_count <= SCOPES_MAX);
    uint8_t out[CERT_BYTES] = {0};
    memcpy(out, cert_magic, sizeof(cert_magic));
    out[AT_KIND] = (uint8_t)cert->kind;
    put_u16(out + AT_ROLES, cert->roles);
    put_u16(out + AT_PORT, cert->subject.port);
    memcpy(out + AT_TOKEN, cert->subject.token, TOKEN_MAX);
    out[AT_SCOPE_COUNT] = cert->scope_count;
    for (uint32_t i = 0; i < cert->scope_count; i++) {
        put_unit(out + AT_SCOPE + (size_t)i * 16u, cert->scope[i].first);
        put_unit(out + AT_SCOPE + (size_t)i * 16u + 8u, cert->scope[i].last);
    }
    put_u64(out + AT_CAPABILITIES, cert->capabilities);
    memcpy(out + AT_PUBLIC, cert->public_key, PUBLIC_BYTES);
    put_u64(out + AT_ISSUER, cert->issuer_kid);
    put_u64(out + AT_NOT_BEFORE, (uint64_t)cert->not_before_s);
    put_u64(out + AT_NOT_AFTER, (uint64_t)cert->not_after_s);
    put_u64(out + AT_EPOCH, cert->epoch);
    uint8_t input[20 + AT_SIGNATURE];
    cert_signed_bytes(out, input);
    crypto_sign_detached(out + AT_SIGNATURE, NULL, input, sizeof(input), issuer_secret);
    memcpy(ret, out, CERT_BYTES);
}

static bool all_zero(const uint8_t *bytes, size_t count)
{
    uint8_t any = 0; /* nothing secret: no need for libsodium's constant time */
    for (size_t i = 0; i < count; i++)
        any |= bytes[i];
    return any == 0;
}

static bool decode_scope(const uint8_t *bytes, struct cert *out)
{
    for (uint32_t i = 0; i < SCOPES_MAX; i++) {
        const uint8_t *at = bytes + AT_SCOPE + (size_t)i * 16u;
        if (i >= out->scope_count) {
            if (!all_zero(at, 16))
                return false;
            continue;
        }
        struct unit_range *r = &out->scope[i];
        if (!get_unit(at, &r->first) || !get_unit(at + 8, &r->last) || !range_valid(r))
            return false;
    }
    return true;
}

enum cert_verdict cert_decode(const uint8_t bytes[CERT_BYTES], struct cert *ret)
{
    assert(bytes);
    assert(ret);
    struct cert out = {0};
    if (memcmp(bytes, cert_magic, sizeof(cert_magic)) != 0)
        return CERT_SHAPE;
    unsigned kind = bytes[AT_KIND];
    out.roles = get_u16(bytes + AT_ROLES);
    if ((kind != CERT_PROCESS && kind != CERT_SESSION) || out.roles == 0 ||
        (out.roles & ~ROLES_ALL) != 0 || get_u16(bytes + AT_FLAGS) != 0)
        return CERT_SHAPE;
    out.kind = kind == CERT_PROCESS ? CERT_PROCESS : CERT_SESSION;

    char token[TOKEN_MAX + 1] = {0};
    memcpy(token, bytes + AT_TOKEN, TOKEN_MAX);
    size_t token_bytes = strlen(token);
    uint16_t port = get_u16(bytes + AT_PORT);
    if (!endpoint_make(token, token_bytes, port, &out.subject) ||
        !all_zero(bytes + AT_TOKEN + token_bytes, TOKEN_MAX - token_bytes) ||
        (out.kind == CERT_PROCESS && port != 0))
        return CERT_SHAPE;

    out.scope_count = bytes[AT_SCOPE_COUNT];
    if (out.scope_count > SCOPES_MAX || !all_zero(bytes + AT_SCOPE_COUNT + 1, 7) ||
        !decode_scope(bytes, &out))
        return CERT_SHAPE;
    out.capabilities = get_u64(bytes + AT_CAPABILITIES);
    memcpy(out.public_key, bytes + AT_PUBLIC, PUBLIC_BYTES);
    out.issuer_kid = get_u64(bytes + AT_ISSUER);
    uint64_t not_before = get_u64(bytes + AT_NOT_BEFORE);
    uint64_t not_after = get_u64(bytes + AT_NOT_AFTER);
    /* Bounded so that no sum or difference of times can overflow anywhere. */
    if (not_before > INT64_MAX / 4 || not_after > INT64_MAX / 4 || not_before >= not_after)
        return CERT_SHAPE;
    out.not_before_s = (int64_t)not_before;
    out.not_after_s = (int64_t)not_after;
    out.epoch = get_u64(bytes + AT_EPOCH);
    *ret = out;
    return CERT_OK;
}

bool cert_signature_holds(const uint8_t bytes[CERT_BYTES],
                          const uint8_t issuer_public[PUBLIC_BYTES])
{
    assert(bytes);
    assert(issuer_public);
    uint8_t input[20 + AT_SIGNATURE];
    cert_signed_bytes(bytes, input);
    return crypto_sign_verify_detached(bytes + AT_SIGNATURE, input, sizeof(input), issuer_public) ==
           0;
}

static int64_t session_life_s(uint16_t roles)
{
    return (roles & ROLE_CONSOLE) != 0 ? CERT_CONSOLE_LIFE_S : CERT_SESSION_LIFE_S;
}

static enum cert_verdict time_check(const struct cert *cert, int64_t life_s, int64_t now_s)
{
    if (cert->not_after_s - cert->not_before_s > life_s)
        return CERT_TOO_LONG_LIVED;
    if (now_s < cert->not_before_s)
        return CERT_NOT_YET_VALID;
    return now_s >= cert->not_after_s ? CERT_EXPIRED : CERT_OK;
}

enum cert_verdict chain_check(const struct cert *process, const struct cert *session,
                              uint64_t process_kid, uint64_t mesh, int64_t now_s)
{
    assert(process);
    assert(session);
    if (process->kind != CERT_PROCESS || session->kind != CERT_SESSION)
        return CERT_WRONG_KIND;
    if (process->issuer_kid != mesh || session->issuer_kid != process_kid)
        return CERT_WRONG_ISSUER;
    enum cert_verdict v = time_check(process, CERT_PROCESS_LIFE_S, now_s);
    if (v == CERT_OK)
        v = time_check(session, session_life_s(session->roles), now_s);
    if (v != CERT_OK)
        return v;
    if (session->not_after_s > process->not_after_s)
        return CERT_OUTLIVES_PARENT;
    if (memcmp(process->subject.token, session->subject.token, TOKEN_MAX) != 0)
        return CERT_TOKEN_CHANGED;
    if ((session->roles & ~process->roles) != 0)
        return CERT_ROLE_WIDENED;
    if ((session->capabilities & ~process->capabilities) != 0)
        return CERT_CAPABILITY_WIDENED;
    for (uint32_t i = 0; i < session->scope_count; i++) {
        if (!range_within(&session->scope[i], process->scope, process->scope_count))
            return CERT_SCOPE_WIDENED;
    }
    return CERT_OK;
}

enum cert_verdict chain_verify(const uint8_t chain[CHAIN_BYTES],
                               const uint8_t issuer_public[PUBLIC_BYTES], int64_t now_s,
                               struct cert *ret_process, struct cert *ret_session)
{
    assert(chain);
    assert(ret_process && ret_session);
    struct cert process, session;
    if (cert_decode(chain, &process) != CERT_OK ||
        cert_decode(chain + CERT_BYTES, &session) != CERT_OK)
        return CERT_SHAPE;
    enum cert_verdict v =
        chain_check(&process, &session, key_kid(process.public_key), key_kid(issuer_public), now_s);
    if (v != CERT_OK)
        return v;
    if (!cert_signature_holds(chain, issuer_public) ||
        !cert_signature_holds(chain + CERT_BYTES, process.public_key))
        return CERT_BAD_SIGNATURE;
    *ret_process = process;
    *ret_session = session;
    return CERT_OK;
}

enum cert_verdict session_make(const struct identity *identity, uint16_t port,
                               const struct unit_range *scope, uint32_t scope_count, int64_t now_ms,
                               uint64_t epoch_after, struct session_key *ret)
{
    assert(identity && ret);
    assert(port < PORTS_MAX);
    assert(scope_count <= SCOPES_MAX && now_ms >= 0);
    const struct cert *process = &identity->cert;
    int64_t now_s = now_ms / 1000;
    enum cert_verdict v = time_check(process, CERT_PROCESS_LIFE_S, now_s);
    if (v != CERT_OK)
        return v;

    struct session_key out = {0};
    struct cert cert = *process;
    cert.kind = CERT_SESSION;
    cert.subject.port = port;
    if (scope) {
        memset(cert.scope, 0, sizeof(cert.scope));
        for (uint32_t i = 0; i < scope_count; i++) {
            assert(range_valid(&scope[i]));
            assert(range_within(&scope[i], process->scope, process->scope_count));
            cert.scope[i] = scope[i];
        }
        cert.scope_count = (uint8_t)scope_count;
    }
    key_pair_make(&out.key);
    memcpy(cert.public_key, out.key.public_key, PUBLIC_BYTES);
    cert.issuer_kid = identity->key.kid;
    cert.not_before_s = now_s > CERT_BACKDATE_S ? now_s - CERT_BACKDATE_S : 0;
    cert.not_after_s = cert.not_before_s + session_life_s(process->roles);
    if (cert.not_after_s > process->not_after_s)
        cert.not_after_s = process->not_after_s;
    cert.epoch = (uint64_t)now_ms > epoch_after ? (uint64_t)now_ms : epoch_after + 1;
    cert_seal(&cert, identity->key.secret, out.cert_bytes);
    out.epoch = cert.epoch;
    out.not_before_s = cert.not_before_s;
    out.not_after_s = cert.not_after_s;
    out.renew_at_s = now_s + (cert.not_after_s - now_s) / 2;
    *ret = out;
    sodium_memzero(&out, sizeof(out));
    return CERT_OK;
}
