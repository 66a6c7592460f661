/* Checks and issuing. Nothing here knows how requests come or where the audit log is. */
#include "tiers/runner/enroll_serve.h"

#include "tiers/runner/rotation.h"
#include "tiers/runner/tls.h"
#include "tiers/runner/trustfiles.h"
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NONCES_MAX  1024u
#define JOINING_MAX 1024u
#define MS_PER_S    1000

struct nonce {
    uint64_t token_id;
    int64_t until_ms; /* 0: free */
    uint8_t bytes[ENROLL_NONCE];
};

struct enroll_desk {
    const char *dir;
    struct keys_error fault; /* why it last could not tell who is revoked */
    int64_t full_ms;         /* of the bucket of requests (GCRA, in 1/ENROLL_PER_S s) */
    uint32_t next_nonce;
    struct nonce nonces[NONCES_MAX];
    uint64_t joining[JOINING_MAX]; /* token ids, 0: free */
};

struct enroll_desk *enroll_desk_new(const char *keys_dir)
{
    assert(keys_dir);
    struct enroll_desk *desk = calloc(1, sizeof(*desk));
    if (desk)
        desk->dir = keys_dir;
    return desk;
}

const char *enroll_desk_fault(const struct enroll_desk *desk)
{
    assert(desk);
    return desk->fault.text;
}

void enroll_desk_free(struct enroll_desk *desk)
{
    free(desk);
}

/* Twice ENROLL_PER_S at once after a quiet time. A clock that was set back empties the bucket. */
static bool take(struct enroll_desk *desk, int64_t now_ms)
{
    if (desk->full_ms < now_ms || desk->full_ms - now_ms > 4 * MS_PER_S)
        desk->full_ms = now_ms;
    if (desk->full_ms - now_ms > 2 * MS_PER_S)
        return false;
    desk->full_ms += MS_PER_S / ENROLL_PER_S;
    return true;
}

bool enroll_desk_nonce(struct enroll_desk *desk, uint64_t token_id, int64_t now_ms,
                       uint8_t ret[ENROLL_NONCE])
{
    assert(desk && ret);
    if (!take(desk, now_ms))
        return false;
    struct nonce *n = &desk->nonces[desk->next_nonce++ % NONCES_MAX];
    randombytes_buf(n->bytes, sizeof(n->bytes));
    n->token_id = token_id;
    n->until_ms = now_ms + ENROLL_NONCE_S * MS_PER_S;
    memcpy(ret, n->bytes, ENROLL_NONCE);
    return true;
}

/* Each is good once. */
static bool nonce_take(struct enroll_desk *desk, const struct enroll_request *r, int64_t now_ms)
{
    for (unsigned i = 0; i < NONCES_MAX; i++) {
        struct nonce *n = &desk->nonces[i];
        if (n->until_ms > now_ms && n->token_id == r->token_id &&
            sodium_memcmp(n->bytes, r->nonce, ENROLL_NONCE) == 0) {
            n->until_ms = 0;
            return true;
        }
    }
    return false;
}

static uint64_t *joining(struct enroll_desk *desk, uint64_t token_id)
{
    for (unsigned i = 0; i < JOINING_MAX; i++) {
        if (desk->joining[i] == token_id)
            return &desk->joining[i];
    }
    return NULL;
}

void enroll_desk_drop(struct enroll_desk *desk, const struct enroll_request *request)
{
    uint64_t *place = joining(desk, request->token_id);
    if (place)
        *place = 0;
}

enum standing {
    STANDING_NONE, /* no certificate that still counts */
    STANDING_GOOD,
    STANDING_REVOKED,
    STANDING_UNKNOWN /* the trust bundle cannot be read: it may be revoked */
};

/* The certificate that this mesh has issued for a name. */
static enum standing certificate_of(struct enroll_desk *desk, const char *name, int64_t now_s,
                                    struct cert *ret)
{
    static struct trust_state trust;
    struct identity identity = {0};
    struct keys_error ignored;
    char path[4096];
    uint8_t bytes[CERT_BYTES];
    (void)snprintf(path, sizeof(path), "%.3900s/%s.cert", desk->dir, name);
    if (keys_load_certificate(path, bytes, &ignored) < 0 || cert_decode(bytes, ret) != CERT_OK ||
        now_s >= ret->not_after_s)
        return STANDING_NONE;
    (void)snprintf(path, sizeof(path), "%.3900s/issuer.pub", desk->dir);
    if (keys_load_public(path, identity.issuer_public, &ignored) < 0 ||
        !cert_signature_holds(bytes, identity.issuer_public))
        return STANDING_NONE;
    identity.mesh = key_kid(identity.issuer_public);
    if (trust_load(desk->dir, &identity, TRUST_ANY_TIME, &trust, &desk->fault) < 0)
        return STANDING_UNKNOWN;
    return trust_is_revoked(&trust.trust, ret) ? STANDING_REVOKED : STANDING_GOOD;
}

/* What the request may ask for at most: a join token's record, or for a process that renews its
 * keys what its present certificate says. */
static enum enroll_verdict record_of(struct enroll_desk *desk, const struct enroll_request *r,
                                     int64_t now_s, struct cert *ret)
{
    struct join_token token;
    struct keys_error ignored;
    struct cert held = {0};
    enum standing standing = certificate_of(desk, r->cert.subject.token, now_s, &held);
    bool same_key = memcmp(held.public_key, r->cert.public_key, PUBLIC_BYTES) == 0;
    if (standing == STANDING_UNKNOWN)
        return ENROLL_ISSUER;
    if (standing != STANDING_NONE && key_kid(held.public_key) == r->token_id) {
        *ret = held;
        return standing == STANDING_REVOKED ? ENROLL_TOKEN_REVOKED : ENROLL_OK;
    }
    if (join_token_get(desk->dir, r->token_id, &token, &ignored) < 0)
        return ENROLL_TOKEN_UNKNOWN;
    *ret = token.record;
    if (token.state == JOIN_REVOKED)
        return ENROLL_TOKEN_REVOKED;
    if (token.state == JOIN_USED && !(same_key && standing == STANDING_GOOD))
        return ENROLL_TOKEN_USED; /* but a newcomer that lost its answer asks once more */
    if (now_s >= token.record.not_after_s)
        return ENROLL_TOKEN_EXPIRED;
    return ENROLL_OK;
}

static enum enroll_verdict name_check(struct enroll_desk *desk, const struct enroll_request *r,
                                      int64_t now_s)
{
    struct cert held;
    if (certificate_of(desk, r->cert.subject.token, now_s, &held) != STANDING_GOOD)
        return ENROLL_OK;
    bool renews = key_kid(held.public_key) == r->token_id;
    bool again = memcmp(held.public_key, r->cert.public_key, PUBLIC_BYTES) == 0;
    return renews || again ? ENROLL_OK : ENROLL_NAME_TAKEN;
}

enum enroll_verdict enroll_desk_check(struct enroll_desk *desk, const uint8_t *bytes, size_t length,
                                      int64_t now_ms, struct enroll_request *ret)
{
    assert(desk && bytes && ret);
    struct cert record;
    int64_t now_s = now_ms / MS_PER_S;
    if (!enroll_decode(bytes, length, ret) || ret->type != ENROLL_PROOF)
        return ENROLL_SHAPE;
    uint64_t *place = joining(desk, 0);
    if (!take(desk, now_ms) || !place)
        return ENROLL_RATE;
    enum enroll_verdict v = record_of(desk, ret, now_s, &record);
    if (v == ENROLL_OK && joining(desk, ret->token_id))
        v = ENROLL_TOKEN_USED;
    if (v == ENROLL_OK && !nonce_take(desk, ret, now_ms))
        v = ENROLL_NONCE_UNKNOWN;
    if (v == ENROLL_OK)
        v = enroll_proof_check(bytes, record.public_key);
    if (v == ENROLL_OK)
        v = enroll_policy(&ret->cert, &record);
    if (v == ENROLL_OK)
        v = name_check(desk, ret, now_s);
    if (v == ENROLL_OK)
        *place = ret->token_id;
    return v;
}

/* Everything that the newcomer gets; *why says what does not work. */
static int grant_make(struct enroll_desk *desk, const struct enroll_request *r, int64_t now_s,
                      struct enroll_grant *ret, struct keys_error *why)
{
    char path[4096], password[PASSWORD_TEXT_BYTES];
    const char *name = r->cert.subject.token;
    size_t pem_bytes = 0;
    struct cert held;
    uint64_t mesh;
    /* Who renews has shown that it does so by itself: only then may its certificate be short. */
    bool renews = certificate_of(desk, name, now_s, &held) == STANDING_GOOD &&
                  key_kid(held.public_key) == r->token_id;
    struct keys_request request = {.name = name,
                                   .roles = r->cert.roles,
                                   .scope_count = r->cert.scope_count,
                                   .capabilities = r->cert.capabilities,
                                   .life_s = renews ? rotation_life_s(r->cert.roles)
                                                    : CERT_PROCESS_LIFE_S,
                                   .public_key = r->cert.public_key};
    memcpy(request.scope, r->cert.scope, sizeof(request.scope));
    int rc = keys_issue(desk->dir, &request, now_s, why);
    (void)snprintf(path, sizeof(path), "%.3900s/%s.cert", desk->dir, name);
    if (rc == 0)
        rc = keys_load_certificate(path, ret->cert, why);
    if (rc == 0)
        rc = keys_make_password(desk->dir, name, why);
    if (rc == 0)
        rc = keys_load_password(desk->dir, name, password, why);
    if (rc == 0)
        rc = keys_load_mesh(desk->dir, &mesh, why);
    if (rc == 0)
        rc = tls_certify(desk->dir, name, mesh, r->tls_public, now_s, CERT_PROCESS_LIFE_S, ret->pem,
                         sizeof(ret->pem), &pem_bytes, why);
    if (rc == 0)
        rc = trust_roots_bytes(desk->dir, ret->roots, why);
    if (rc == 0) {
        memcpy(ret->password, password, ENROLL_PASSWORD);
        ret->pem_bytes = (uint16_t)pem_bytes;
        ret->bundle_bytes = 0;
        (void)snprintf(path, sizeof(path), "%.3900s/trust.bundle", desk->dir);
        FILE *in = fopen(path, "re");
        if (in) {
            ret->bundle_bytes = (uint32_t)fread(ret->bundle, 1, sizeof(ret->bundle), in);
            (void)fclose(in);
        }
    }
    keys_wipe(password, sizeof(password));
    return rc;
}

size_t enroll_desk_issue(struct enroll_desk *desk, const struct enroll_request *request,
                         int64_t now_s, uint8_t ret[ENROLL_ANSWER_MAX], enum enroll_verdict *ret_v,
                         struct keys_error *why)
{
    assert(desk && request && ret && ret_v && why);
    static struct enroll_grant grant;
    struct key_pair issuer = {0};
    enroll_desk_drop(desk, request);
    *ret_v = ENROLL_ISSUER;
    int rc = keys_load_issuer(desk->dir, &issuer, why);
    if (rc == 0)
        rc = grant_make(desk, request, now_s, &grant, why);
    if (rc == 0) {
        *ret_v = ENROLL_OK;
        /* Not open: a renewal, or an answer that was lost; both were checked. */
        struct keys_error ignored;
        (void)join_token_close(desk->dir, request->token_id, JOIN_USED, &ignored);
    }
    size_t bytes = rc == 0 ? enroll_answer(request->token_id, &grant, request->cert.public_key,
                                           issuer.secret, ret)
                           : enroll_refusal(request->token_id, ENROLL_ISSUER, ret);
    keys_wipe(&issuer, sizeof(issuer));
    keys_wipe(&grant, sizeof(grant));
    return bytes;
}
