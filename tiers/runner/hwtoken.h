/* What an operator's hardware token says of a console's session, and whether it holds.
 *
 *     the token's key (in the trust bundle)  signs  one session of one console, 8 hours at most
 *
 * A token (FIDO2, libfido2) signs `authenticator data || SHA-256(statement)`. The statement is not
 * on the wire: whoever checks puts it together from the session that the frame's own chain has
 * proven, so a proof is good for that session key alone:
 *
 *     "mesh30k/session1", mesh id u64, console token[16], port u16, roles u16, capabilities u64,
 *     session's public key[32], session epoch u64, made i64, until i64 (unix ms)
 *
 * The proof is a record of HWTOKEN_PROOF_BYTES, little-endian, one encoding:
 *
 *       0 RECORD_OPERATOR u8   1 version u8 = 1   2 zero[6]
 *       8 kid u64 of the token's key   16 made i64   24 until i64
 *      32 authenticator data[37]: SHA-256 of the relying party, flags u8, counter u32 big-endian
 *      69 zero[3]   72 signature[64]: Ed25519, or r, s of ES256 big-endian
 *
 * The relying party is "mesh30k:" and the mesh id in 16 hex digits. User presence and user
 * verification must both be flagged. Everything here is pure: now comes in. The counter and who has
 * shown what is in operators.h; talking to a token is the console's (tiers/console/hwdevice.h). */
#ifndef TIERS_RUNNER_HWTOKEN_H
#define TIERS_RUNNER_HWTOKEN_H

#include "tiers/runner/trust.h"

#define HWTOKEN_PROOF_BYTES ((size_t)136)
#define HWTOKEN_AUTH_BYTES  37u
#define HWTOKEN_HASH_BYTES  32u
#define HWTOKEN_RP_MAX      25u /* with NUL */
#define HWTOKEN_LIFE_MS     (INT64_C(8) * 3600 * 1000)
#define HWTOKEN_SKEW_MS     2000

enum hwtoken_verdict {
    HWTOKEN_OK,
    HWTOKEN_MISSING, /* nothing was shown */
    HWTOKEN_SHAPE,
    HWTOKEN_UNKNOWN, /* no token of this operator in the trust bundle */
    HWTOKEN_NOT_YET_VALID,
    HWTOKEN_EXPIRED,
    HWTOKEN_TOO_LONG_LIVED,
    HWTOKEN_RELYING_PARTY, /* made for another mesh */
    HWTOKEN_PRESENCE,      /* nobody touched it */
    HWTOKEN_VERIFICATION,  /* neither PIN nor fingerprint */
    HWTOKEN_SIGNATURE,     /* of another session, or forged */
    HWTOKEN_COUNTER,       /* it went back: perhaps there are two of it */
    HWTOKEN_RATE,          /* more proofs a second than are checked */
    HWTOKEN_POLICY,        /* no token is enrolled, and hardware_tokens asks for one */
    HWTOKEN_VERDICT_COUNT
};
const char *hwtoken_verdict_name(enum hwtoken_verdict v); /* "no-user-verification" */
/* One line for the operator: what is wrong and what to do. */
const char *hwtoken_verdict_text(enum hwtoken_verdict v);

/* The session that is to be opened, as its certificates say. */
struct hwtoken_session {
    uint64_t mesh;
    struct endpoint console;
    uint16_t roles;
    uint64_t capabilities;
    uint8_t public_key[PUBLIC_BYTES];
    uint64_t epoch;
};

struct hwtoken_proof {
    uint64_t kid;
    int64_t made_ms, until_ms;
    uint8_t authenticator[HWTOKEN_AUTH_BYTES];
    uint8_t signature[SIGNATURE_BYTES];
    uint32_t counter; /* of authenticator */
};

void hwtoken_relying_party(uint64_t mesh, char ret[HWTOKEN_RP_MAX]);
/* SHA-256 of the statement: FIDO2's hash of the client data. */
void hwtoken_challenge(const struct hwtoken_session *session, int64_t made_ms, int64_t until_ms,
                       uint8_t ret[HWTOKEN_HASH_BYTES]);

void hwtoken_encode(const struct hwtoken_proof *proof, uint8_t ret[HWTOKEN_PROOF_BYTES]);
/* HWTOKEN_OK or HWTOKEN_SHAPE. */
enum hwtoken_verdict hwtoken_decode(const uint8_t *bytes, size_t length, struct hwtoken_proof *ret);

/* All checks but the counter, cheap ones first. */
enum hwtoken_verdict hwtoken_verify(const struct hwtoken_proof *proof,
                                    const struct hwtoken_session *session,
                                    const struct trust *trust, int64_t now_ms);

/* An ECDSA signature as tokens give it (DER) to r, s of 32 bytes each; false: it is none. */
bool hwtoken_from_der(const uint8_t *der, size_t length, uint8_t ret[SIGNATURE_BYTES]);
/* Whether the key has signed the bytes. */
bool hwtoken_signature_holds(const struct trust_hwtoken *key, const uint8_t *bytes, size_t length,
                             const uint8_t signature[SIGNATURE_BYTES]);

#endif
