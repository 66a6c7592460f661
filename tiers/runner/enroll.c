/* Every signature is over bytes as they lie on the wire, beginning with the domain; nothing is
 * encoded twice. */
#include "tiers/runner/enroll.h"

#include "tiers/runner/bytes.h"
#include <assert.h>
#include <sodium.h>
#include <string.h>

static const uint8_t magic[16] = "mesh30k/enroll/1";

#define PROOF_SIGNED 392u

static const struct {
    const char *name, *means;
} verdicts[ENROLL_VERDICT_COUNT] = {
    {"ok", "joined"},
    {"shape", "the request is damaged, or of another version"},
    {"rate", "too many join at once: try again in a second"},
    {"token-unknown", "no such join token was made by this mesh: ask for a new one"},
    {"token-revoked", "the join token was revoked: ask for a new one"},
    {"token-used", "somebody else has joined with this token: tell the operator, revoke that name"},
    {"token-expired", "the join token's time is over: ask for a new one"},
    {"nonce-unknown", "the answer came too late, or was sent before: join again"},
    {"token-signature", "the join file's secret does not belong to its token"},
    {"possession", "the newcomer does not hold the keys that it names"},
    {"name", "the token is for another name"},
    {"name-taken",
     "this mesh has a process of that name already: take another name, or revoke that one first"},
    {"role", "the token does not give that role"},
    {"scope", "the token does not give those places"},
    {"capability", "the token does not give those capabilities"},
    {"audit", "the audit log takes no row, and nobody is let in unrecorded: see the service's log"},
    {"issuer", "the service could not issue the certificate: see its log"}};

const char *enroll_verdict_name(enum enroll_verdict v)
{
    assert(v < ENROLL_VERDICT_COUNT);
    return verdicts[v].name;
}

const char *enroll_verdict_means(enum enroll_verdict v)
{
    assert(v < ENROLL_VERDICT_COUNT);
    return verdicts[v].means;
}

static void head(uint8_t *ret, enum enroll_type type, uint64_t token_id)
{
    memcpy(ret, magic, sizeof(magic));
    put_u32(ret + 16, (uint32_t)type);
    put_u64(ret + 20, token_id);
}

static bool head_holds(const uint8_t *bytes, size_t length, enum enroll_type type)
{
    return length >= ENROLL_HELLO_BYTES && memcmp(bytes, magic, sizeof(magic)) == 0 &&
           get_u32(bytes + 16) == (uint32_t)type;
}

bool enroll_decode(const uint8_t *bytes, size_t length, struct enroll_request *ret)
{
    assert(bytes && ret);
    memset(ret, 0, sizeof(*ret));
    if (length == ENROLL_HELLO_BYTES && head_holds(bytes, length, ENROLL_HELLO)) {
        ret->type = ENROLL_HELLO;
        ret->token_id = get_u64(bytes + 20);
        return true;
    }
    if (length != ENROLL_PROOF_BYTES || !head_holds(bytes, length, ENROLL_PROOF))
        return false;
    ret->type = ENROLL_PROOF;
    ret->token_id = get_u64(bytes + 20);
    memcpy(ret->nonce, bytes + 28, ENROLL_NONCE);
    memcpy(ret->tls_public, bytes + 360, PUBLIC_BYTES);
    return cert_decode(bytes + 60, &ret->cert) == CERT_OK && ret->cert.kind == CERT_PROCESS;
}

static bool signed_by(const uint8_t *bytes, unsigned slot, const uint8_t public_key[PUBLIC_BYTES])
{
    return crypto_sign_verify_detached(bytes + PROOF_SIGNED + SIGNATURE_BYTES * slot, bytes,
                                       PROOF_SIGNED, public_key) == 0;
}

enum enroll_verdict enroll_proof_check(const uint8_t bytes[ENROLL_PROOF_BYTES],
                                       const uint8_t token_public[PUBLIC_BYTES])
{
    struct enroll_request r;
    if (!enroll_decode(bytes, ENROLL_PROOF_BYTES, &r))
        return ENROLL_SHAPE;
    if (!signed_by(bytes, 0, token_public))
        return ENROLL_TOKEN_SIGNATURE;
    if (!cert_signature_holds(bytes + 60, r.cert.public_key) ||
        !signed_by(bytes, 1, r.cert.public_key) || !signed_by(bytes, 2, r.tls_public))
        return ENROLL_POSSESSION;
    return ENROLL_OK;
}

/* Whether one of the token's ranges holds all of r. */
static bool covered(const struct unit_range *r, const struct cert *token)
{
    for (uint8_t i = 0; i < token->scope_count; i++) {
        if (scope_has(&token->scope[i], 1, r->first) && scope_has(&token->scope[i], 1, r->last))
            return true;
    }
    return false;
}

enum enroll_verdict enroll_policy(const struct cert *wanted, const struct cert *token)
{
    assert(wanted && token);
    if (!endpoint_equal(&wanted->subject, &token->subject))
        return ENROLL_NAME;
    if ((wanted->roles & ~(unsigned)token->roles) != 0)
        return ENROLL_ROLE;
    for (uint8_t i = 0; i < wanted->scope_count; i++) {
        if (!covered(&wanted->scope[i], token))
            return ENROLL_SCOPE;
    }
    return (wanted->capabilities & ~token->capabilities) != 0 ? ENROLL_CAPABILITY : ENROLL_OK;
}

size_t enroll_hello(uint64_t token_id, uint8_t ret[ENROLL_HELLO_BYTES])
{
    head(ret, ENROLL_HELLO, token_id);
    return ENROLL_HELLO_BYTES;
}

size_t enroll_nonce(uint64_t token_id, const uint8_t nonce[ENROLL_NONCE],
                    uint8_t ret[ENROLL_NONCE_BYTES])
{
    head(ret, ENROLL_NONCED, token_id);
    memcpy(ret + 28, nonce, ENROLL_NONCE);
    return ENROLL_NONCE_BYTES;
}

bool enroll_nonce_decode(const uint8_t *bytes, size_t length, uint64_t token_id,
                         uint8_t ret[ENROLL_NONCE])
{
    if (length != ENROLL_NONCE_BYTES || !head_holds(bytes, length, ENROLL_NONCED) ||
        get_u64(bytes + 20) != token_id)
        return false;
    memcpy(ret, bytes + 28, ENROLL_NONCE);
    return true;
}

size_t enroll_proof(const struct key_pair *token, const struct key_pair *own,
                    const struct key_pair *tls, const struct cert *wanted,
                    const uint8_t nonce[ENROLL_NONCE], uint8_t ret[ENROLL_PROOF_BYTES])
{
    assert(token && own && tls && wanted);
    head(ret, ENROLL_PROOF, token->kid);
    memcpy(ret + 28, nonce, ENROLL_NONCE);
    cert_seal(wanted, own->secret, ret + 60);
    memcpy(ret + 360, tls->public_key, PUBLIC_BYTES);
    const struct key_pair *const keys[] = {token, own, tls};
    for (unsigned i = 0; i < 3; i++)
        (void)crypto_sign_detached(ret + PROOF_SIGNED + SIGNATURE_BYTES * i, NULL, ret,
                                   PROOF_SIGNED, keys[i]->secret);
    return ENROLL_PROOF_BYTES;
}

/* ---- the answer ---- */

#define ANSWER_HEAD  ENROLL_REFUSAL_BYTES
#define PLAIN_DOMAIN 24u /* magic and token id, signed and not sent */

/* The plain text behind its domain; returns the length with both. */
static size_t grant_encode(uint64_t token_id, const struct enroll_grant *g, uint8_t *ret)
{
    uint8_t *at = ret;
    memcpy(at, magic, sizeof(magic));
    put_u64(at + 16, token_id);
    at += PLAIN_DOMAIN;
    memcpy(at, g->cert, CERT_BYTES);
    at += CERT_BYTES;
    memcpy(at, g->password, ENROLL_PASSWORD);
    at += ENROLL_PASSWORD;
    memcpy(at, g->roots, sizeof(g->roots));
    at += sizeof(g->roots);
    put_u16(at, g->pem_bytes);
    memcpy(at + 2, g->pem, g->pem_bytes);
    at += 2 + g->pem_bytes;
    put_u32(at, g->bundle_bytes);
    memcpy(at + 4, g->bundle, g->bundle_bytes);
    return (size_t)(at + 4 + g->bundle_bytes - ret);
}

size_t enroll_refusal(uint64_t token_id, enum enroll_verdict verdict,
                      uint8_t ret[ENROLL_REFUSAL_BYTES])
{
    head(ret, ENROLL_ANSWER, token_id);
    put_u32(ret + 28, (uint32_t)verdict);
    return ANSWER_HEAD;
}

size_t enroll_answer(uint64_t token_id, const struct enroll_grant *grant,
                     const uint8_t new_public[PUBLIC_BYTES],
                     const uint8_t issuer_secret[SECRET_BYTES], uint8_t ret[ENROLL_ANSWER_MAX])
{
    static uint8_t plain[PLAIN_DOMAIN + ENROLL_PLAIN_MAX];
    uint8_t box_key[crypto_box_PUBLICKEYBYTES];
    assert(grant);
    head(ret, ENROLL_ANSWER, token_id);
    put_u32(ret + 28, ENROLL_OK);
    assert(grant->pem_bytes <= ENROLL_PEM_MAX && grant->bundle_bytes <= TRUST_BYTES_MAX);
    size_t bytes = grant_encode(token_id, grant, plain);
    (void)crypto_sign_detached(plain + bytes, NULL, plain, bytes, issuer_secret);
    size_t sealed = bytes - PLAIN_DOMAIN + SIGNATURE_BYTES;
    bool ok = crypto_sign_ed25519_pk_to_curve25519(box_key, new_public) == 0 &&
              crypto_box_seal(ret + ANSWER_HEAD, plain + PLAIN_DOMAIN, sealed, box_key) == 0;
    sodium_memzero(plain, sizeof(plain));
    if (!ok) {
        put_u32(ret + 28, ENROLL_POSSESSION);
        return ANSWER_HEAD;
    }
    return ANSWER_HEAD + sealed + crypto_box_SEALBYTES;
}

static bool grant_decode(const uint8_t *at, size_t left, struct enroll_grant *ret)
{
    const size_t fixed = CERT_BYTES + ENROLL_PASSWORD + sizeof(ret->roots);
    if (left < fixed + 6)
        return false;
    memcpy(ret->cert, at, CERT_BYTES);
    memcpy(ret->password, at + CERT_BYTES, ENROLL_PASSWORD);
    memcpy(ret->roots, at + CERT_BYTES + ENROLL_PASSWORD, sizeof(ret->roots));
    at += fixed;
    left -= fixed;
    ret->pem_bytes = get_u16(at);
    if (ret->pem_bytes > ENROLL_PEM_MAX || left < 6u + ret->pem_bytes)
        return false;
    memcpy(ret->pem, at + 2, ret->pem_bytes);
    at += 2 + ret->pem_bytes;
    left -= 2u + ret->pem_bytes;
    ret->bundle_bytes = get_u32(at);
    if (ret->bundle_bytes > TRUST_BYTES_MAX || left != 4u + ret->bundle_bytes)
        return false;
    memcpy(ret->bundle, at + 4, ret->bundle_bytes);
    return true;
}

static bool grant_open(const uint8_t *sealed, size_t length, uint64_t token_id,
                       const struct key_pair *own, const uint8_t issuer_public[PUBLIC_BYTES],
                       struct enroll_grant *ret)
{
    static uint8_t plain[PLAIN_DOMAIN + ENROLL_PLAIN_MAX];
    uint8_t box_public[crypto_box_PUBLICKEYBYTES], box_secret[crypto_box_SECRETKEYBYTES];
    if (length < crypto_box_SEALBYTES + SIGNATURE_BYTES ||
        length - crypto_box_SEALBYTES > ENROLL_PLAIN_MAX)
        return false;
    size_t bytes = PLAIN_DOMAIN + length - crypto_box_SEALBYTES - SIGNATURE_BYTES;
    memcpy(plain, magic, sizeof(magic));
    put_u64(plain + 16, token_id);
    bool ok =
        crypto_sign_ed25519_pk_to_curve25519(box_public, own->public_key) == 0 &&
        crypto_sign_ed25519_sk_to_curve25519(box_secret, own->secret) == 0 &&
        crypto_box_seal_open(plain + PLAIN_DOMAIN, sealed, length, box_public, box_secret) == 0 &&
        crypto_sign_verify_detached(plain + bytes, plain, bytes, issuer_public) == 0 &&
        grant_decode(plain + PLAIN_DOMAIN, bytes - PLAIN_DOMAIN, ret);
    sodium_memzero(box_secret, sizeof(box_secret));
    sodium_memzero(plain, sizeof(plain));
    return ok;
}

bool enroll_answer_open(const uint8_t *bytes, size_t length, uint64_t token_id,
                        const struct key_pair *own, const uint8_t issuer_public[PUBLIC_BYTES],
                        enum enroll_verdict *ret_verdict, struct enroll_grant *ret)
{
    assert(bytes && own && ret_verdict && ret);
    if (length < ANSWER_HEAD || !head_holds(bytes, length, ENROLL_ANSWER) ||
        get_u64(bytes + 20) != token_id || get_u32(bytes + 28) >= ENROLL_VERDICT_COUNT)
        return false;
    *ret_verdict = (enum enroll_verdict)get_u32(bytes + 28);
    if (*ret_verdict != ENROLL_OK)
        return length == ANSWER_HEAD;
    return grant_open(bytes + ANSWER_HEAD, length - ANSWER_HEAD, token_id, own, issuer_public, ret);
}
