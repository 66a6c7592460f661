/* How a newcomer gets its certificate over the network: what is said, and what is checked. Pure;
 * files are in enroll_tokens.h, the service in enroll_serve.c, the newcomer in enroll_join.c.
 *
 * A join token is a key pair and a record. The newcomer has the secret half; the service keeps the
 * record, a certificate form (keys.h) that the token's own key has signed: the one name that may
 * join with it, the most that it may be (roles, scope, capabilities), and until when. Nothing that
 * the service keeps can be used to join.
 *
 *     newcomer -> service  HELLO   token id
 *     service -> newcomer  NONCE   32 random bytes, good for ENROLL_NONCE_S
 *     newcomer -> service  PROOF   what it wants to be, signed by three keys: the token's, its own
 *                                  new one (inside the certificate form, and over all), its TLS key
 *     service -> newcomer  ANSWER  a verdict; with OK the certificates, sealed for the new key and
 *                                  signed by the issuer
 *
 * Bytes, little-endian:
 *
 *       0 "mesh30k/enroll/1": magic and signature domain     16 type u8, 3 zero bytes
 *      20 token id u64 (kid of the token's public key)
 *    HELLO  28: end
 *    NONCE  28 nonce[32]                                      60: end
 *    PROOF  28 nonce[32]   60 certificate[300]   360 TLS public key[32]
 *          392 signatures[3][64] over bytes 0..391: token, new key, TLS key            584: end
 *    ANSWER 28 verdict u8, 3 zero bytes   32 sealed box (OK only) of: certificate[300],
 * password[64], roots[96], u16 length and TLS certificate (PEM), u32 length and trust bundle, and
 * the issuer's signature[64] over "mesh30k/enroll/1", token id and all of that */
#ifndef TIERS_RUNNER_ENROLL_H
#define TIERS_RUNNER_ENROLL_H

#include "tiers/runner/trust.h"

#define ENROLL_SUBJECT_IN  "mesh.enroll.in"  /* to the service */
#define ENROLL_SUBJECT_OUT "mesh.enroll.out" /* .<token id>: to the newcomer */
#define ENROLL_SERVICE     "enroll"          /* its TLS name; no process may have it, */
#define ENROLL_NEWCOMER    "join"            /* nor that of all who have no certificate yet */

#define ENROLL_HELLO_BYTES   28u
#define ENROLL_NONCE_BYTES   60u
#define ENROLL_PROOF_BYTES   584u
#define ENROLL_REFUSAL_BYTES 32u
#define ENROLL_NONCE         32u
#define ENROLL_PEM_MAX       2048u
#define ENROLL_PASSWORD      64u
#define ENROLL_PLAIN_MAX                                                                           \
    (CERT_BYTES + ENROLL_PASSWORD + 96u + 6u + ENROLL_PEM_MAX + TRUST_BYTES_MAX + 64u)
#define ENROLL_ANSWER_MAX (32u + 48u + ENROLL_PLAIN_MAX)
#define ENROLL_NONCE_S    30
#define ENROLL_PER_S      50u /* proofs that are looked at; those beyond are answered `rate` */

enum enroll_type { ENROLL_HELLO = 1, ENROLL_NONCED, ENROLL_PROOF, ENROLL_ANSWER };

/* Why nobody came in; also the order of the checks. */
enum enroll_verdict {
    ENROLL_OK,
    ENROLL_SHAPE,           /* not a request in its one encoding */
    ENROLL_RATE,            /* too many at once: again in a second */
    ENROLL_TOKEN_UNKNOWN,   /* no such token was made here */
    ENROLL_TOKEN_REVOKED,   /* `mesh enroll revoke` */
    ENROLL_TOKEN_USED,      /* somebody else has joined with it */
    ENROLL_TOKEN_EXPIRED,   /* its time is over */
    ENROLL_NONCE_UNKNOWN,   /* not asked for, or too long ago: a replay */
    ENROLL_TOKEN_SIGNATURE, /* the secret half of the token is not there */
    ENROLL_POSSESSION,      /* the new key or the TLS key is not there */
    ENROLL_NAME,            /* another name than the token's */
    ENROLL_NAME_TAKEN,      /* a certificate of this name exists, for another key */
    ENROLL_ROLE,            /* a role that the token does not give */
    ENROLL_SCOPE,           /* a unit that the token does not give */
    ENROLL_CAPABILITY,      /* a capability that the token does not give */
    ENROLL_AUDIT,           /* the audit log takes no row: nobody is let in unrecorded */
    ENROLL_ISSUER,          /* the service cannot sign: its log says why */
    ENROLL_VERDICT_COUNT
};
const char *enroll_verdict_name(enum enroll_verdict v);  /* "token-expired" */
const char *enroll_verdict_means(enum enroll_verdict v); /* one line for a person, and what to do */

struct enroll_request {
    enum enroll_type type;
    uint64_t token_id;
    uint8_t nonce[ENROLL_NONCE];
    struct cert cert; /* what it wants to be; its key is the new one */
    uint8_t tls_public[PUBLIC_BYTES];
};

/* HELLO or PROOF; shape only. */
bool enroll_decode(const uint8_t *bytes, size_t length, struct enroll_request *ret);

/* The three signatures of a PROOF, against the token's public key. */
enum enroll_verdict enroll_proof_check(const uint8_t bytes[ENROLL_PROOF_BYTES],
                                       const uint8_t token_public[PUBLIC_BYTES]);
/* What is wanted against what the token gives: name, roles, scope, capabilities. */
enum enroll_verdict enroll_policy(const struct cert *wanted, const struct cert *token);

size_t enroll_hello(uint64_t token_id, uint8_t ret[ENROLL_HELLO_BYTES]);
size_t enroll_nonce(uint64_t token_id, const uint8_t nonce[ENROLL_NONCE],
                    uint8_t ret[ENROLL_NONCE_BYTES]);
/* wanted is sealed by the new key; now_s dates it. */
size_t enroll_proof(const struct key_pair *token, const struct key_pair *own,
                    const struct key_pair *tls, const struct cert *wanted,
                    const uint8_t nonce[ENROLL_NONCE], uint8_t ret[ENROLL_PROOF_BYTES]);
/* A service's NONCE. */
bool enroll_nonce_decode(const uint8_t *bytes, size_t length, uint64_t token_id,
                         uint8_t ret[ENROLL_NONCE]);

/* What a newcomer is given. */
struct enroll_grant {
    uint8_t cert[CERT_BYTES];
    char password[ENROLL_PASSWORD];
    uint8_t roots[ROOTS_MAX * PUBLIC_BYTES];
    uint16_t pem_bytes;
    char pem[ENROLL_PEM_MAX];
    uint32_t bundle_bytes;
    uint8_t bundle[TRUST_BYTES_MAX];
};
/* Both return the length. */
size_t enroll_answer(uint64_t token_id, const struct enroll_grant *grant,
                     const uint8_t new_public[PUBLIC_BYTES],
                     const uint8_t issuer_secret[SECRET_BYTES], uint8_t ret[ENROLL_ANSWER_MAX]);
size_t enroll_refusal(uint64_t token_id, enum enroll_verdict verdict,
                      uint8_t ret[ENROLL_REFUSAL_BYTES]);
/* False: not an answer for this token, or not one that the issuer has signed. */
bool enroll_answer_open(const uint8_t *bytes, size_t length, uint64_t token_id,
                        const struct key_pair *own, const uint8_t issuer_public[PUBLIC_BYTES],
                        enum enroll_verdict *ret_verdict, struct enroll_grant *ret);

#endif
