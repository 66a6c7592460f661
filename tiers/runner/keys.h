/* Ed25519 keys and certificates of a mesh (research/reliability.md 2.1, cut down to three links).
 *
 *     mesh issuer (offline)  ->  process certificate (<= 30 days)  ->  session certificate (<= 24
 * h)
 *
 * The issuer's public key IS the mesh: its kid is the mesh id. A process certificate names the
 * process token, its roles and the units that it may speak for. A session certificate is made in
 * memory, one per port, by the process key; it may only narrow what the process certificate says.
 *
 * A certificate on the wire is CERT_BYTES of fixed little-endian fields with one encoding each:
 *
 *       0 magic "M3KC"    4 version u8=1   5 kind u8        6 roles u16      8 flags u16 (0)
 *      10 port u16       12 token[16]     28 scope_count u8, 7 zero bytes
 *      36 scope[8][16]: first, last as {tier u8, 0, sector u16, cluster u16, agent u16}
 *     164 capabilities u64   172 public key[32]   204 issuer kid u64   212 not_before i64 (unix s)
 *     220 not_after i64     228 epoch u64        236 signature[64]
 *
 * The signature is over "mesh30k/cert/01\0" || u32 236 || bytes 0..235. kid = the first 8 bytes of
 * BLAKE2b-256(public key), little-endian. Nothing here reads a clock: now comes in as unix seconds.
 */
#ifndef TIERS_RUNNER_KEYS_H
#define TIERS_RUNNER_KEYS_H

#include "core/unit.h"
#include "tiers/runner/endpoint.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CERT_BYTES      300u
#define CHAIN_BYTES     600u /* process certificate, then session certificate */
#define PUBLIC_BYTES    32u
#define SECRET_BYTES    64u
#define SIGNATURE_BYTES 64u
#define SCOPES_MAX      8u

#define CERT_PROCESS_LIFE_S (INT64_C(30) * 86400)
#define CERT_SESSION_LIFE_S (INT64_C(24) * 3600)
#define CERT_CONSOLE_LIFE_S (INT64_C(8) * 3600) /* of a console's session */
#define CERT_BACKDATE_S                                                                            \
    INT64_C(300) /* not_before lies this far back, for clocks that are behind                      \
                  */

_Static_assert(CHAIN_BYTES == 2u * CERT_BYTES, "a chain is two certificates");

enum cert_kind { CERT_PROCESS = 1, CERT_SESSION = 2 };

/* A set of roles is a bit mask. HOST is a machine's process with its agents. */
enum cert_role {
    ROLE_ORCHESTRATOR = 1u << 0,
    ROLE_SECTOR = 1u << 1,
    ROLE_CLUSTER = 1u << 2,
    ROLE_HOST = 1u << 3,
    ROLE_CONSOLE = 1u << 4,
    ROLE_SIM =
        1u << 5 /* stands for hosts and agents; only a mesh started for simulation accepts it */
};
#define ROLES_ALL 0x3fu

/* What the capabilities of a certificate mean for the role CONSOLE, which goes with no other role.
 * For the others they are bits of the mesh's capability names: what its agents may offer. */
#define CONSOLE_VIEW    0x1u /* status, queries, forecasts */
#define CONSOLE_OPERATE 0x2u /* operations, cancel */
#define CONSOLE_ADMIN   0x4u /* freeze, thaw */

enum cert_verdict {
    CERT_OK,
    CERT_SHAPE,        /* not a certificate, or not in its one encoding */
    CERT_WRONG_KIND,   /* process and session certificates in the wrong places */
    CERT_WRONG_ISSUER, /* signed by a key other than its parent's */
    CERT_BAD_SIGNATURE,
    CERT_NOT_YET_VALID,
    CERT_EXPIRED,
    CERT_TOO_LONG_LIVED, /* longer than its kind may live */
    CERT_OUTLIVES_PARENT,
    CERT_TOKEN_CHANGED, /* a session under another name than its process */
    CERT_ROLE_WIDENED,
    CERT_SCOPE_WIDENED,
    CERT_CAPABILITY_WIDENED,
    CERT_REVOKED, /* by the trust bundle */
    CERT_VERDICT_COUNT
};
const char *cert_verdict_name(enum cert_verdict v); /* "role-widened" */

/* Units first..last of one tier, both included, in the order of (sector, cluster, agent), or of
 * their number for hosts and consoles. */
struct unit_range {
    struct unit first, last;
};

struct cert {
    enum cert_kind kind;
    uint16_t roles;
    struct endpoint subject; /* port 0 in a process certificate */
    uint8_t scope_count;
    struct unit_range scope[SCOPES_MAX];
    uint64_t capabilities;
    uint8_t public_key[PUBLIC_BYTES];
    uint64_t issuer_kid;
    int64_t not_before_s, not_after_s;
    uint64_t epoch; /* process: issue time in unix s; session: creation time in unix ms, growing */
};

struct key_pair {
    uint8_t public_key[PUBLIC_BYTES];
    uint8_t secret[SECRET_BYTES];
    uint64_t kid;
};

/* What a process is. Lives as long as the process; locked into memory where the system allows. */
struct identity {
    uint8_t issuer_public[PUBLIC_BYTES];
    uint64_t mesh; /* the issuer's kid */
    struct key_pair key;
    struct cert cert;
    uint8_t cert_bytes[CERT_BYTES];
};

/* One port's signer key and certificate. */
struct session_key {
    struct key_pair key;
    uint8_t cert_bytes[CERT_BYTES];
    int64_t renew_at_s; /* half of its life is over: make a new one; INT64_MAX: never */
    int64_t not_before_s, not_after_s;
    uint64_t epoch;
};

/* Once per process, before anything else here. 0 or -EIO. */
int keys_start(void);

void key_pair_make(struct key_pair *ret);
uint64_t key_kid(const uint8_t public_key[PUBLIC_BYTES]);
void keys_wipe(void *secret, size_t bytes);
/* Keeps a secret out of swap and out of dumps, where RLIMIT_MEMLOCK allows. */
void keys_lock(void *secret, size_t bytes);
/* Wipes it, too. */
void keys_unlock(void *secret, size_t bytes);

/* Signs with the domain of certificates. cert must be well formed (asserted). */
void cert_seal(const struct cert *cert, const uint8_t issuer_secret[SECRET_BYTES],
               uint8_t ret[CERT_BYTES]);

/* Shape only: CERT_OK or CERT_SHAPE. */
enum cert_verdict cert_decode(const uint8_t bytes[CERT_BYTES], struct cert *ret);
bool cert_signature_holds(const uint8_t bytes[CERT_BYTES],
                          const uint8_t issuer_public[PUBLIC_BYTES]);

/* Everything about a chain except its two signatures: cheap, so it comes first. process_kid: of the
 * process's public key (its hash is the dearest of this, and a caller may know it already). */
enum cert_verdict chain_check(const struct cert *process, const struct cert *session,
                              uint64_t process_kid, uint64_t mesh, int64_t now_s);

/* All of it. Outputs are written only with CERT_OK. */
enum cert_verdict chain_verify(const uint8_t chain[CHAIN_BYTES],
                               const uint8_t issuer_public[PUBLIC_BYTES], int64_t now_s,
                               struct cert *ret_process, struct cert *ret_session);

bool scope_has(const struct unit_range *scope, uint32_t count, struct unit u);

/* Makes a session key for a port. scope NULL: that of the process; otherwise it must lie within it
 * (asserted). epoch_after: the epoch of the session that this one replaces, or 0.
 * CERT_OK, or why the process's own certificate is no good now (CERT_EXPIRED, ..). */
enum cert_verdict session_make(const struct identity *identity, uint16_t port,
                               const struct unit_range *scope, uint32_t scope_count, int64_t now_ms,
                               uint64_t epoch_after, struct session_key *ret);

/* "cluster", "host,sim" to a mask and back; 0 and false when unknown. */
bool roles_parse(const char *text, uint16_t *ret);
void roles_format(uint16_t roles, char *ret, size_t size);

/* Scope text for roles: a list of items joined by commas; an item is a place, or first-last of one
 * depth: `mesh`, `s01-s25`, `s01.c1-s25.c10`, `h1-h40`, `console7`. A place means all units of the
 * role's own tier at or below it: `s01-s25` for the role cluster is every cluster of 25 sectors.
 * Hosts have agents by place and machines by `hN`. On failure false, *ret_why says what is wrong.
 */
bool scope_parse(const char *text, uint16_t roles, struct unit_range ret[SCOPES_MAX],
                 uint8_t *ret_count, const char **ret_why);
void scope_format(const struct unit_range *scope, uint32_t count, char *ret, size_t size);

#endif
