/* The operations of a process: sealed bytes, verified once, and their decoded form.
 *
 * A sealed operation on the wire: chain[CHAIN_BYTES] of its author's certificates, signature[64],
 * then the signed input itself: "mesh30k/oper/01\0", u32 length, the MeshMessage bytes. It travels
 * unchanged from its author to the agents. A process verifies the bytes once; the same id with
 * other bytes is an attack, refused and counted.
 *
 * Entries live until created + ttl + OPCACHE_GRACE_US (OPCACHE_HELD_US). Pointers into a sealed one
 * are valid until the next opcache_expire or opcache_free. One that is held only, of which there
 * are tens of thousands, is packed (core/pack.h): what opcache_get says of it is valid until
 * OPCACHE_LAID_OUT more of them were asked for or held. */
#ifndef TIERS_RUNNER_OPCACHE_H
#define TIERS_RUNNER_OPCACHE_H

#include "core/node.h"
#include "proto/codec.h"
#include "tiers/runner/keys.h"
#include "tiers/runner/trust.h"
#include <stdbool.h>
#include <stdint.h>

#define OPCACHE_BYTES_MAX (64u * 1024u * 1024u) /* beyond: OPCACHE_FULL, counted */
#define OPCACHE_GRACE_US  (10ll * US_PER_S)
#define OPCACHE_HELD_US   (1ll * US_PER_S) /* the same for what has no signature of its own */
#define OPCACHE_LAID_OUT  8u
#define OPCACHE_SKEW_US   (5ll * US_PER_S) /* created so far ahead of now is refused */
#define SEALED_HEAD_BYTES (CHAIN_BYTES + SIGNATURE_BYTES + 20u)
/* A sealed operation and the byte before it are one record of a frame. */
#define OPERATION_BYTES_MAX (MESSAGE_BYTES_MAX - SEALED_HEAD_BYTES - 1u)
#define SEALED_BYTES_MAX    (SEALED_HEAD_BYTES + OPERATION_BYTES_MAX)

enum opcache_verdict {
    OPCACHE_OK,
    OPCACHE_KNOWN, /* the same bytes are here already: not verified again */
    OPCACHE_SHAPE, /* not a sealed operation */
    OPCACHE_CHAIN, /* its author's certificates do not hold */
    OPCACHE_SIGNATURE,
    OPCACHE_AUTHOR,     /* neither an orchestrator nor a sector for places of its own */
    OPCACHE_DECODE,     /* signed, but no operation */
    OPCACHE_HASH,       /* the payload is not that of its hash */
    OPCACHE_EXPIRED,    /* its TTL has passed */
    OPCACHE_FUTURE,     /* created later than now */
    OPCACHE_OTHER,      /* another operation of the same id: an attack */
    OPCACHE_FULL,       /* no room */
    OPCACHE_NO_PAYLOAD, /* seal: payload_of is not here */
    OPCACHE_VERDICT_COUNT
};
const char *opcache_verdict_name(enum opcache_verdict v); /* "bad-signature" */

struct opcache_entry {
    struct id128 id;
    int64_t until_us;      /* Unix time */
    uint32_t sealed_bytes; /* 0: held only, for messages of agents (opcache_hold) */
    const uint8_t *sealed;
    struct operation operation;
};

struct opcache_stats {
    uint64_t verdicts[OPCACHE_VERDICT_COUNT]; /* of accept */
    uint64_t sealed, held;
    uint64_t verified; /* signatures spent */
    uint64_t bytes;
    uint32_t entries;
};

struct opcache_conf {
    const struct trust *trust; /* borrowed; NULL: the identity's issuer, nothing revoked */
    const struct codec *codec;
    const struct identity *identity; /* whose mesh */
    size_t bytes_max;                /* 0: OPCACHE_BYTES_MAX */
};

struct opcache;
struct opcache *opcache_new(const struct opcache_conf *conf); /* NULL: no memory */
void opcache_free(struct opcache *c);

const struct opcache_entry *opcache_get(struct opcache *c, struct id128 id);

/* A node's FX_SEAL: fills in the payload hash (and the payload of `payload_of`), encodes, signs
 * with the session key, keeps. OPCACHE_KNOWN when the id is here already: nothing changes. */
enum opcache_verdict opcache_seal(struct opcache *c, const struct operation *operation,
                                  const struct session_key *key, int64_t unix_us);

/* A sealed operation from an accepted frame. arena: scratch, reset by this call. */
enum opcache_verdict opcache_accept(struct opcache *c, const uint8_t *bytes, size_t length,
                                    int64_t unix_us, struct arena *arena);

/* Keeps a decoded message of an agent (MSG_RELAY), whose hop signatures were verified with its
 * frame, so that work can refer to it by id. OK, KNOWN, EXPIRED, OTHER (another payload) or FULL.
 */
enum opcache_verdict opcache_hold(struct opcache *c, const struct operation *operation,
                                  int64_t unix_us);

void opcache_expire(struct opcache *c, int64_t unix_us);
const struct opcache_stats *opcache_stats(const struct opcache *c);

#endif
