/* The store contract: what a node may ask of the registry, the lease table, the durable queues and
 * the blobs, and what it is told. The same operations exist on Redis and in memory (registry/), and
 * one conformance suite holds both to it.
 *
 * A node emits one `struct store_op` with a ref of its own; the answer comes back as a
 * `struct store_reply` with that ref, once or never: a node keeps a deadline for each ref.
 * Nothing here names a Redis command; the key schema is registry/keys.h.
 *
 * Every operation names a shard: operations of one shard are carried out in the order in which they
 * were asked for, and may one day live on another server than those of the next shard. */
#ifndef CORE_STORE_H
#define CORE_STORE_H

#include "core/limits.h"
#include "core/unit.h"
#include <stddef.h>
#include <stdint.h>

#define STORE_KEY_MAX         96u /* bytes with NUL: every name and id of an op */
#define STORE_FIELD_NAME_MAX  40u
#define STORE_FIELD_VALUE_MAX 64u /* without NUL; longer values are refused with STORE_INVALID */
#define STORE_FIELDS_MAX      40u /* in one record */
#define STORE_ROWS_MAX        64u /* rows in one scan or claim reply, members in one index write */
#define STORE_PUTS_MAX        10u /* records in one epoch-puts */
#define STORE_JOB_BYTES_MAX   32768u
#define STORE_BLOB_CHUNK_MAX  32768u
#define STORE_BLOB_BYTES_MAX  67108864u
#define STORE_LOG_BODY_MAX    4096u /* text of one row, without NUL */
#define STORE_LOG_PAGE_MAX    16u   /* rows of one query */
#define STORE_LOG_VERIFY_MAX  4096u /* rows of one verification */

enum store_kind {
    /* Records: a record is a set of named fields; a put merges its fields into the record. */
    STORE_PUT = 1, /* key, fields[]; also adds key to collection if one is named      -> OK */
    STORE_GET,     /* key                                         -> OK fields[] | MISSING */
    STORE_REMOVE,  /* key; also leaves collection                       -> OK | MISSING */
    STORE_SCAN,    /* collection, cursor, limit -> OK rows[] (key + fields), next cursor (0: end);
                    * a record that exists throughout is returned at least once */
    /* Indexes: member -> score, ascending; used for capabilities by impedance. */
    STORE_INDEX_SET,    /* index key, rows[] (key = member, score)            -> OK */
    STORE_INDEX_REMOVE, /* index key, rows[] (key = member)                   -> OK */
    STORE_INDEX_RANGE,  /* index key, score_max, limit -> OK rows[] (key + score), ascending */
    /* History: append-only stream with a bounded number of entries (limit; the oldest go). */
    STORE_APPEND,  /* key, fields[], limit = entries kept                     -> OK */
    STORE_HISTORY, /* key, limit: the newest entries, newest first -> OK rows[] | MISSING */
    /* Leases with fencing epochs. An epoch only rises, also across expiry and restarts. */
    STORE_LEASE_ACQUIRE, /* key, owner, ttl_us, epoch = least wanted -> OK epoch | BUSY (held) */
    STORE_LEASE_RENEW,   /* key, owner, epoch, ttl_us                 -> OK | FENCED */
    STORE_LEASE_RELEASE, /* key, owner, epoch                         -> OK | FENCED */
    STORE_EPOCH_PUT,     /* key, fields[], epoch: as PUT, only if epoch >= the record's own; the
                          * record keeps the epoch                    -> OK | FENCED */
    STORE_EPOCH_PUTS,    /* rows[] (key + fields), epoch: an EPOCH_PUT of each, all into the
                          * collection if one is named -> OK | the first other verdict: those that
                          * may be written are written all the same */
    /* Queues: at least once, bounded, with leases on claimed jobs. */
    STORE_ENQUEUE, /* key, id (idempotency), body, score = priority, limit = jobs held at most
                    *                              -> OK | EXISTS (same id) | FULL */
    STORE_CLAIM,   /* key, owner, limit = n, ttl_us -> OK rows[] (key = id, body, attempt) | MISSING
                    */
    STORE_JOB_RENEW,   /* key, id, owner, attempt, ttl_us             -> OK | FENCED */
    STORE_FINISH,      /* key, id, owner, attempt                     -> OK | FENCED */
    STORE_REQUEUE,     /* key, id, owner, attempt                     -> OK | FENCED */
    STORE_DEAD_LETTER, /* key, id, owner, attempt, body = why (256 B) -> OK | FENCED */
    /* Blobs: content by hash, in chunks; complete when all bytes are there. */
    STORE_BLOB_PUT, /* hash, offset, total_bytes, body                -> OK | EXISTS | FULL */
    STORE_BLOB_GET, /* hash, offset -> OK body, total_bytes | MISSING (absent or incomplete) */
    /* Logs (registry/log.h): append only, hash-chained, kept for ever. The key is a log's name. OK
     * means durable. Rows come with all their fields, key = id. */
    STORE_LOG_APPEND, /* key, id (idempotency), fields[], body -> OK | EXISTS (same id); epoch =
                       * the row's number */
    STORE_LOG_QUERY,  /* key, cursor, limit, fields[] = filters -> OK rows[], cursor (0: end) */
    STORE_LOG_VERIFY, /* key, cursor, limit = rows -> OK: body empty: they hold, else which row does
                       * not and why; next cursor (0: end), epoch = last row, rows[0] = it */
    STORE_KIND_COUNT
};

enum store_verdict {
    STORE_OK = 1,
    STORE_MISSING,
    STORE_FENCED,   /* the epoch, attempt or owner is not the current one */
    STORE_EXISTS,   /* already so; the same outcome as OK for an idempotent caller */
    STORE_FULL,     /* a stated limit, or the server's memory */
    STORE_BUSY,     /* held by another, or the server asks to come back */
    STORE_READONLY, /* a replica or a server without its disk */
    STORE_INVALID,  /* the request is outside the contract: names which bound in `detail` */
    STORE_UNKNOWN,  /* outcome not known (connection lost, time-out); retrying is idempotent */
    STORE_VERDICT_COUNT
};

/* Which server (design 6): rebuildable registry, durable leases and queues, blobs; or SQL. It
 * follows from the kind; see store_bank(). */
enum store_bank {
    STORE_BANK_REGISTRY,
    STORE_BANK_DURABLE,
    STORE_BANK_BLOB,
    STORE_BANK_COUNT, /* of the banks in Redis */
    STORE_BANK_LOG = STORE_BANK_COUNT
};

struct store_field {
    const char *name; /* [a-z0-9_], NUL-terminated; in a node's op a literal, or the node's own
                       * memory: it is not copied */
    const char *value;
    uint32_t value_bytes;
};

struct store_row {
    const char *key; /* record key, index member, job id; NULL for history entries */
    const struct store_field *fields;
    uint32_t field_count;
    double score;
    uint32_t attempt;
    int64_t stamp_us; /* history: Unix microseconds of the entry */
    const uint8_t *body;
    uint32_t body_bytes;
};

struct store_op {
    uint64_t ref;
    enum store_kind kind;
    const char *shard;      /* "s07.c3", "s07", "mesh" */
    const char *key;        /* record, index, stream, lease or queue name; no spaces or braces */
    const char *collection; /* optional for PUT, EPOCH_PUT and REMOVE; required for SCAN */
    const char *id;         /* job id or index member */
    const char *owner;
    const struct store_field *fields;
    uint32_t field_count;
    const struct store_row *rows; /* EPOCH_PUTS: key, fields and field_count of each */
    uint32_t row_count;
    uint32_t limit;
    uint64_t cursor;
    uint64_t epoch;
    uint32_t attempt;
    double score;
    int64_t ttl_us;
    uint8_t hash[32]; /* blobs: BLAKE2b-256 of the content */
    uint64_t offset, total_bytes;
    const uint8_t *body;
    uint32_t body_bytes;
};

/* Borrowed for the duration of step(). */
struct store_reply {
    uint64_t ref;
    enum store_kind kind;
    enum store_verdict verdict;
    uint64_t epoch;
    uint64_t cursor;
    const struct store_row *rows; /* GET: one row */
    uint32_t row_count;
    uint64_t total_bytes;
    const uint8_t *body;
    uint32_t body_bytes;
    const char *detail; /* for STORE_INVALID, FULL, READONLY, UNKNOWN: what was wrong; else NULL */
};

const char *store_kind_name(enum store_kind kind);          /* "put", "lease-acquire", .. */
const char *store_verdict_name(enum store_verdict verdict); /* "ok", "fenced", .. */
enum store_bank store_bank(enum store_kind kind);

/* NULL when op keeps the contract, else which bound it breaks ("key: 96 bytes at most"). */
const char *store_op_check(const struct store_op *op);

#endif
