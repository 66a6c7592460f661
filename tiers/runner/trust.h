/* The trust bundle: which issuers a mesh has, and which certificates are revoked. Signed offline by
 * two of the three root keys that every process has in root.pub; whoever carries it about adds
 * nothing to it, so it may come from a file or from any process.
 *
 * Bytes, little-endian, one encoding:
 *
 *       0 "mesh30k/bundle/1": magic and signature domain; "mesh30k/bundle/2" with hardware tokens
 *      16 signed_bytes u32: from 20 to the signatures
 *      20 mesh id u64   28 version u64 (from 1)   36 not before i64   44 not after i64 (unix s)
 *      52 issuer_count u16   54 revoked_count u16
 *      56 issuers, 32 bytes each, no two equal
 *         revoked: token[16], epoch u64; ascending by token: every certificate of that process up
 *         to and with this epoch (TRUST_EVER: any at all)
 *         /2 only: hwtoken_count u16 (from 1), then that many of: operator's name[16], algorithm
 *         u8, key[64] (EdDSA: 32 bytes, then zeros); ascending
 *         signature_count u8, then that many of: root index u8 (ascending), signature[64]
 *
 * Everything here is pure; files are in trustfiles.h. */
#ifndef TIERS_RUNNER_TRUST_H
#define TIERS_RUNNER_TRUST_H

#include "tiers/runner/keys.h"

#define ROOTS_MAX          3u
#define ROOTS_NEEDED       2u
#define TRUST_ISSUERS_MAX  4u
#define TRUST_REVOKED_MAX  1024u /* when full: `mesh keys bundle` drops those whose time is over */
#define TRUST_LIFE_S       (INT64_C(90) * 86400)
#define TRUST_EXCLUDED_MAX 32u /* shut out by the orchestrator; one more is refused */
#define TRUST_EVER         UINT64_MAX
#define TRUST_HEAD_BYTES   56u
#define TRUST_HWTOKENS_MAX 64u /* one more is refused: `mesh keys token remove` makes room */
#define HWTOKEN_KEY_BYTES  64u
#define TRUST_BYTES_MAX                                                                            \
    (TRUST_HEAD_BYTES + TRUST_ISSUERS_MAX * PUBLIC_BYTES + TRUST_REVOKED_MAX * 24u + 2u +          \
     TRUST_HWTOKENS_MAX * 81u + 1u + ROOTS_MAX * 65u)

struct trust_roots {
    uint8_t public_keys[ROOTS_MAX][PUBLIC_BYTES];
};

struct trust_revocation {
    char token[TOKEN_MAX + 1];
    uint64_t epoch;
};

/* Not of the bundle: what the orchestrator that serves has shut out for now (process_exclude.c). A
 * new bundle says nothing of it. */
struct trust_exclusions {
    uint16_t count;
    struct trust_revocation list[TRUST_EXCLUDED_MAX];
};

enum hwtoken_algorithm { HWTOKEN_EDDSA = 1, HWTOKEN_ES256 = 2 };

/* A credential of an operator's hardware token. Whose name has any here opens no session without
 * one of them (hwtoken.h). */
struct trust_hwtoken {
    char operator_name[TOKEN_MAX + 1]; /* of the console's certificate */
    uint8_t algorithm;
    uint8_t key[HWTOKEN_KEY_BYTES]; /* EDDSA: 32 bytes, then zeros; ES256: x, y */
};

struct trust {
    uint64_t mesh, version; /* version 0: there is no bundle, nothing is revoked */
    int64_t not_before_s, not_after_s;
    uint16_t issuer_count, revoked_count;
    uint8_t issuers[TRUST_ISSUERS_MAX][PUBLIC_BYTES]; /* trust_issuer_add() */
    uint64_t issuer_kids[TRUST_ISSUERS_MAX];          /* key_kid() of each */
    struct trust_revocation revoked[TRUST_REVOKED_MAX];
    uint16_t hwtoken_count;
    struct trust_hwtoken hwtokens[TRUST_HWTOKENS_MAX];
    struct trust_exclusions excluded;
};

enum trust_verdict {
    TRUST_OK,
    TRUST_KNOWN, /* the very one that is in force */
    TRUST_SHAPE,
    TRUST_MESH,
    TRUST_NOT_YET_VALID,
    TRUST_EXPIRED,
    TRUST_TOO_LONG_LIVED,
    TRUST_ROLLBACK,     /* a lower version than one seen before */
    TRUST_EQUIVOCATION, /* the version in force with another content */
    TRUST_SIGNATURES,   /* fewer than two roots have signed it */
    TRUST_VERDICT_COUNT
};
const char *trust_verdict_name(enum trust_verdict v); /* "rollback" */

/* Shape only. */
enum trust_verdict trust_decode(const uint8_t *bytes, size_t length, struct trust *ret);

/* All checks, cheap ones first. version_seen: the highest ever accepted here (0: none); in_force
 * and its length: the bytes of that one, or NULL. *ret only with TRUST_OK. */
enum trust_verdict trust_verify(const uint8_t *bytes, size_t length,
                                const struct trust_roots *roots, uint64_t mesh, int64_t now_s,
                                uint64_t version_seen, const uint8_t *in_force,
                                size_t in_force_length, struct trust *ret);

/* Encodes without signatures; returns the length. trust must be well formed (asserted). */
size_t trust_encode(const struct trust *trust, uint8_t ret[TRUST_BYTES_MAX]);
/* Appends the signature of one root; roots in ascending order. Returns the new length. */
size_t trust_sign(uint8_t *bytes, size_t length, uint8_t root, const uint8_t secret[SECRET_BYTES]);

/* One more; not more than TRUST_ISSUERS_MAX (asserted). */
void trust_issuer_add(struct trust *trust, const uint8_t public_key[PUBLIC_BYTES]);
/* Adds or raises one revocation, in order. False: full. */
bool trust_revoke(struct trust *trust, const char *token, uint64_t epoch);
/* Shut out by the orchestrator, which counts as revoked. */
bool trust_is_excluded(const struct trust *trust, const struct cert *process);
bool trust_is_revoked(const struct trust *trust, const struct cert *process);
/* Its one encoding, of an algorithm that is known. */
bool trust_hwtoken_shape(const struct trust_hwtoken *token);
/* The name of a credential: the first 8 bytes of BLAKE2b-256 of algorithm and key. */
uint64_t trust_hwtoken_kid(const struct trust_hwtoken *token);
/* The token of that operator with this name (0: any of them), or NULL. */
const struct trust_hwtoken *trust_hwtoken_find(const struct trust *trust, const char *operator_name,
                                               uint64_t kid);
/* In order. False: it is there already, or full. */
bool trust_hwtoken_add(struct trust *trust, const struct trust_hwtoken *token);
bool trust_hwtoken_remove(struct trust *trust, const char *operator_name, uint64_t kid);

/* The public key of an issuer that is trusted now; NULL: none has this kid. */
const uint8_t *trust_issuer(const struct trust *trust, uint64_t kid);

#endif
