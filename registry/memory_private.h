/* What the files of the store in memory share. */
#ifndef REGISTRY_MEMORY_PRIVATE_H
#define REGISTRY_MEMORY_PRIVATE_H

#include "core/store.h"
#include "registry/log.h"
#include <stdbool.h>
#include <stdlib.h>

#define uthash_fatal(text) abort() /* no memory for a table: nothing sensible can follow */
#include <uthash.h>

#define OBJECT_KEY_MAX (3 * STORE_KEY_MAX + 8)

enum object_type {
    OBJECT_RECORD = 'r',
    OBJECT_COLLECTION = 'c',
    OBJECT_INDEX = 'i',
    OBJECT_HISTORY = 'h',
    OBJECT_LEASE = 'l',
    OBJECT_QUEUE = 'q',
    OBJECT_JOB = 'j',
    OBJECT_BLOB = 'b',
};

/* A sorted set: members by name, and in order of (score, name). The same thing as in Redis, so that
 * both stores order everything alike. */
struct member {
    double score;
    uint32_t hash, place; /* place: in sorted[] */
    char name[];          /* NUL-terminated */
};

struct ranking {
    struct member **slots;
    struct member **sorted; /* in order when `changes` is 0 */
    uint32_t count, room;
    uint32_t changes;
};

/* A value is `bytes` long and NUL-terminated at record_values() + at, where it may take `room`. */
struct record_field {
    uint16_t at;
    uint16_t name; /* number of an interned name */
    uint8_t bytes, room;
};

/* 30,000 and more of them: what a record takes is its values and six bytes a field, in one piece:
 * room for fields, then room for values. */
struct record {
    struct record_field *fields;
    uint64_t epoch; /* that of its last epoch-put, which is a field as well; 0: none */
    uint16_t value_used, value_room;
    uint8_t count, room;
};

struct entry {
    int64_t stamp_us;
    struct record record;
};

struct history {
    struct entry *entries; /* a ring */
    uint32_t first, count, room;
};

struct lease {
    char owner[STORE_KEY_MAX];
    uint64_t epoch;
    int64_t expires_us, ttl_us;
};

struct queue {
    uint64_t seq;
    struct ranking ready, claimed, done, dead;
};

enum job_state { JOB_READY, JOB_CLAIMED, JOB_DONE, JOB_DEAD };

struct job {
    enum job_state state;
    double priority;
    uint64_t seq;
    uint32_t attempt;
    uint32_t body_bytes;
    uint8_t *body;
    char owner[STORE_KEY_MAX];
    char last[STORE_KEY_MAX]; /* the owner that gave it back */
};

struct blob {
    uint64_t total, have;
    int64_t expires_us;
    uint8_t **chunks; /* by number; NULL: not there yet */
    uint32_t chunk_count;
};

struct object {
    uint32_t hash;
    uint16_t bytes; /* of this allocation */
    uint16_t key_bytes;
    union {
        struct record record;
        struct ranking *ranking; /* collections and indexes */
        struct history *history;
        struct lease *lease;
        struct queue *queue;
        struct job *job;
        struct blob *blob;
        void *any; /* of all but the first */
    } as;
    char key[];
};

/* Open addressing, three quarters full at most. */
struct object_slot {
    struct object *object; /* NULL: free */
    uint32_t hash;
};

struct interned {
    UT_hash_handle hh;
    uint16_t number;
    char name[STORE_FIELD_NAME_MAX];
};

#define MEMORY_LOGS 4u

struct logged {
    UT_hash_handle hh;  /* by row.id */
    struct log_row row; /* its texts lie in `text`, `prev` in that of a row before */
    uint32_t bytes;     /* of this allocation */
    char text[];
};

struct memory_log {
    struct logged **rows;
    struct logged *by_id;
    uint32_t count, room;
    uint64_t gone;              /* rows before these */
    char before[LOG_HASH_TEXT]; /* the hash of the last of them */
};

/* A name that was asked for lately, by its address: field names are mostly literals. */
struct recent_name {
    const char *at;
    uint64_t run; /* the operation that last found it still to be there */
    uint16_t number;
};
#define RECENT_NAMES 256u
#define RECENT_TRIES 4u
#define PLACES_KNOWN 256u

struct memory_store {
    uint64_t budget, used;
    bool overdraft; /* the running operation may exceed the budget: see memory_jobs.c */
    int64_t now_us;
    struct object_slot *objects;
    uint32_t object_count, object_room; /* room: a power of two, or 0 */
    struct interned *names, **by_number;
    uint32_t name_room;
    struct recent_name recent[RECENT_NAMES];
    uint64_t run; /* operations so far */
    /* Where each name was last found in a record: records of one kind are mostly alike. */
    uint8_t places[PLACES_KNOWN];
    struct store_row rows[STORE_ROWS_MAX];
    struct store_field fields[STORE_ROWS_MAX * STORE_FIELDS_MAX];
    struct memory_log logs[MEMORY_LOGS];
    uint32_t log_keep; /* 0: every row */
    struct log_room log_room;
    struct log_numbers log_numbers[STORE_LOG_PAGE_MAX];
};

/* Memory within the budget. take() zeroes; both return NULL when the budget or malloc says no. */
void *memory_take(struct memory_store *store, size_t bytes);
void *memory_resize(struct memory_store *store, void *at, size_t old_bytes, size_t new_bytes);
void memory_give(struct memory_store *store, void *at, size_t bytes);

/* Objects by type, shard, name and, for jobs, id (else NULL). */
struct object *object_find(struct memory_store *store, enum object_type type, const char *shard,
                           const char *name, const char *id);
/* Finds or makes, zeroed and with the structure behind as.lease and the like; NULL: no budget. */
struct object *object_make(struct memory_store *store, enum object_type type, const char *shard,
                           const char *name, const char *id);
void object_drop(struct memory_store *store, struct object *object);

/* Records. NULL, or why not, and then nothing has changed; after a reserve the same put succeeds.
 */
const char *record_reserve(struct memory_store *store, struct record *record,
                           const struct store_field *fields, uint32_t count);
const char *record_put(struct memory_store *store, struct record *record,
                       const struct store_field *fields, uint32_t count, bool merge);
void record_clear(struct memory_store *store, struct record *record);
/* Its fields as those of `row`, in store->fields from *used on. */
void record_row(struct memory_store *store, const struct record *record, uint32_t *used,
                struct store_row *row);
void names_clear(struct memory_store *store);

/* Sorted sets. */
struct member *ranking_find(const struct ranking *ranking, const char *name);
/* False, and nothing changed, when there is no budget; a known member always gets its score. */
bool ranking_set(struct memory_store *store, struct ranking *ranking, const char *name,
                 double score);
/* The same, of a name whose hash ranking_fetch() gave. */
bool ranking_set_known(struct memory_store *store, struct ranking *ranking, const char *name,
                       uint32_t hash, double score);
void ranking_remove(struct memory_store *store, struct ranking *ranking, const char *name);
void ranking_clear(struct memory_store *store, struct ranking *ranking);
/* How many members have a score of at most `score`. */
uint32_t ranking_below(struct ranking *ranking, double score);
/* Members of these names into the cache, their hashes to `ret_hashes`. */
void ranking_fetch(const struct ranking *ranking, const struct store_row *rows, uint32_t count,
                   uint32_t *ret_hashes);
const struct member *ranking_at(struct ranking *ranking, uint32_t place);

/* The kinds of memory_jobs.c. */
void memory_lease(struct memory_store *store, const struct store_op *op, struct store_reply *reply);
void memory_queue(struct memory_store *store, const struct store_op *op, struct store_reply *reply);
void memory_blob(struct memory_store *store, const struct store_op *op, struct store_reply *reply);
void memory_log(struct memory_store *store, const struct store_op *op, struct store_reply *reply);
void memory_log_clear(struct memory_store *store);
void memory_jobs_drop(struct memory_store *store, struct object *object, enum object_type type);

#endif
