/* The parts of the store contract that need no server: names, banks, and the check of a request.
 *
 * Both stores call store_op_check() before they do anything, so that a request outside the contract
 * gets the same answer from both, and so that neither needs to think about over-long names, missing
 * parts or numbers that a script's double cannot hold. What a kind needs is one row of a table of
 * flags; a kind without a row is refused.
 *
 * Bounds: an operation has at most 40 fields of 64 bytes and one body of 32 KiB; the check reads
 * each name once at most (rows that share their names' memory: mostly once for all) and never the
 * body. */
#include "core/store.h"
#include <assert.h>
#include <stdbool.h>
#include <string.h>

enum needs {
    NEEDS_KEY = 1u << 0,
    NEEDS_COLLECTION = 1u << 1, /* required; elsewhere it is optional where ALLOWS_COLLECTION */
    ALLOWS_COLLECTION = 1u << 2,
    NEEDS_ID = 1u << 3,
    NEEDS_OWNER = 1u << 4,
    NEEDS_FIELDS = 1u << 5, /* one at least */
    ALLOWS_FIELDS = 1u << 6,
    NEEDS_ROWS = 1u << 7,  /* limit: 1 to STORE_ROWS_MAX */
    NEEDS_LIMIT = 1u << 8, /* limit: 1 or more */
    NEEDS_TTL = 1u << 9,
    NEEDS_EPOCH = 1u << 10,
    NEEDS_ATTEMPT = 1u << 11,
    NEEDS_SCORE = 1u << 12, /* finite; the upper end of a range may be infinite */
    IS_RECORD = 1u << 13,   /* `epoch` is not a field that a caller may write */
    IS_LOG = 1u << 14,
    NEEDS_PUTS = 1u << 15,    /* rows: 1 to STORE_PUTS_MAX records */
    NEEDS_MEMBERS = 1u << 16, /* rows: 1 to STORE_ROWS_MAX members with finite scores */
};

struct kind_row {
    const char *name;
    enum store_bank bank;
    unsigned needs;
};

static const struct kind_row kind_rows[STORE_KIND_COUNT] = {
    [STORE_PUT] = {"put", STORE_BANK_REGISTRY,
                   NEEDS_KEY | ALLOWS_COLLECTION | NEEDS_FIELDS | IS_RECORD},
    [STORE_GET] = {"get", STORE_BANK_REGISTRY, NEEDS_KEY},
    [STORE_REMOVE] = {"remove", STORE_BANK_REGISTRY, NEEDS_KEY | ALLOWS_COLLECTION},
    [STORE_SCAN] = {"scan", STORE_BANK_REGISTRY, NEEDS_COLLECTION | NEEDS_ROWS},
    [STORE_INDEX_SET] = {"index-set", STORE_BANK_REGISTRY, NEEDS_KEY | NEEDS_MEMBERS},
    [STORE_INDEX_REMOVE] = {"index-remove", STORE_BANK_REGISTRY, NEEDS_KEY | NEEDS_MEMBERS},
    [STORE_INDEX_RANGE] = {"index-range", STORE_BANK_REGISTRY, NEEDS_KEY | NEEDS_ROWS},
    [STORE_APPEND] = {"append", STORE_BANK_REGISTRY, NEEDS_KEY | NEEDS_FIELDS | NEEDS_LIMIT},
    [STORE_HISTORY] = {"history", STORE_BANK_REGISTRY, NEEDS_KEY | NEEDS_ROWS},
    [STORE_LEASE_ACQUIRE] = {"lease-acquire", STORE_BANK_DURABLE,
                             NEEDS_KEY | NEEDS_OWNER | NEEDS_TTL},
    [STORE_LEASE_RENEW] = {"lease-renew", STORE_BANK_DURABLE,
                           NEEDS_KEY | NEEDS_OWNER | NEEDS_EPOCH | NEEDS_TTL},
    [STORE_LEASE_RELEASE] = {"lease-release", STORE_BANK_DURABLE,
                             NEEDS_KEY | NEEDS_OWNER | NEEDS_EPOCH},
    [STORE_EPOCH_PUT] = {"epoch-put", STORE_BANK_REGISTRY,
                         NEEDS_KEY | ALLOWS_COLLECTION | ALLOWS_FIELDS | NEEDS_EPOCH | IS_RECORD},
    [STORE_EPOCH_PUTS] = {"epoch-puts", STORE_BANK_REGISTRY,
                          ALLOWS_COLLECTION | NEEDS_PUTS | NEEDS_EPOCH | IS_RECORD},
    [STORE_ENQUEUE] = {"enqueue", STORE_BANK_DURABLE,
                       NEEDS_KEY | NEEDS_ID | NEEDS_LIMIT | NEEDS_SCORE},
    [STORE_CLAIM] = {"claim", STORE_BANK_DURABLE, NEEDS_KEY | NEEDS_OWNER | NEEDS_ROWS | NEEDS_TTL},
    [STORE_JOB_RENEW] = {"job-renew", STORE_BANK_DURABLE,
                         NEEDS_KEY | NEEDS_ID | NEEDS_OWNER | NEEDS_ATTEMPT | NEEDS_TTL},
    [STORE_FINISH] = {"finish", STORE_BANK_DURABLE,
                      NEEDS_KEY | NEEDS_ID | NEEDS_OWNER | NEEDS_ATTEMPT},
    [STORE_REQUEUE] = {"requeue", STORE_BANK_DURABLE,
                       NEEDS_KEY | NEEDS_ID | NEEDS_OWNER | NEEDS_ATTEMPT},
    [STORE_DEAD_LETTER] = {"dead-letter", STORE_BANK_DURABLE,
                           NEEDS_KEY | NEEDS_ID | NEEDS_OWNER | NEEDS_ATTEMPT},
    [STORE_BLOB_PUT] = {"blob-put", STORE_BANK_BLOB, 0},
    [STORE_BLOB_GET] = {"blob-get", STORE_BANK_BLOB, 0},
    [STORE_LOG_APPEND] = {"log-append", STORE_BANK_LOG,
                          NEEDS_KEY | NEEDS_ID | NEEDS_FIELDS | IS_LOG},
    [STORE_LOG_QUERY] = {"log-query", STORE_BANK_LOG, NEEDS_KEY | ALLOWS_FIELDS | IS_LOG},
    [STORE_LOG_VERIFY] = {"log-verify", STORE_BANK_LOG, NEEDS_KEY | IS_LOG},
};

static const char *const verdict_names[STORE_VERDICT_COUNT] = {
    [STORE_OK] = "ok",
    [STORE_MISSING] = "missing",
    [STORE_FENCED] = "fenced",
    [STORE_EXISTS] = "exists",
    [STORE_FULL] = "full",
    [STORE_BUSY] = "busy",
    [STORE_READONLY] = "readonly",
    [STORE_INVALID] = "invalid",
    [STORE_UNKNOWN] = "unknown",
};

/* Epochs pass through scripts that count in doubles. The wanted epoch stays far below the edge, so
 * that rising one by one from it can never reach it. */
#define EPOCH_MAX        (UINT64_C(1) << 53)
#define EPOCH_WANTED_MAX (UINT64_C(1) << 52)

static bool kind_known(enum store_kind kind)
{
    return (unsigned)kind < STORE_KIND_COUNT && kind_rows[kind].name;
}

const char *store_kind_name(enum store_kind kind)
{
    return kind_known(kind) ? kind_rows[kind].name : "unknown-kind";
}

const char *store_verdict_name(enum store_verdict verdict)
{
    if ((unsigned)verdict >= STORE_VERDICT_COUNT || !verdict_names[verdict])
        return "unknown-verdict";
    return verdict_names[verdict];
}

enum store_bank store_bank(enum store_kind kind)
{
    assert(kind_known(kind));
    enum store_bank bank = kind_rows[kind].bank;
    assert(bank <= STORE_BANK_LOG);
    return bank;
}

/* What a character may be part of. */
#define IN_NAME  1u /* printable ASCII without space and braces: they delimit the shard in a key */
#define IN_FIELD 2u /* a-z, 0-9 and _ */
static const uint8_t character[256] = {
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 00 */
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, /* 10 */
    0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* 20 */
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 1, 1, 1, 1, 1, 1, /* 30 */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, /* 40 */
    1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 3, /* 50 */
    1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, /* 60 */
    3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 0, 1, 0, 1, 0, /* 70 */
};

/* Eight characters below 128 at a time: the top bit of each byte of the result says whether it is
 * from `low` to `high`. No sum leaves its byte. */
#define LOWS       UINT64_C(0x0101010101010101)
#define HIGHS      UINT64_C(0x8080808080808080)
#define WORD_BYTES 8u

static uint64_t between(uint64_t x, uint64_t low, uint64_t high)
{
    return (x + LOWS * (128u - low)) & ~(x + LOWS * (127u - high)) & HIGHS;
}

static bool word_of(const char *text, unsigned kind)
{
    uint64_t x;
    memcpy(&x, text, sizeof x);
    if ((x & HIGHS) != 0)
        return false;
    uint64_t good = kind == IN_NAME
                        ? between(x, '!', '~') & ~between(x, '{', '{') & ~between(x, '}', '}')
                        : between(x, 'a', 'z') | between(x, '0', '9') | between(x, '_', '_');
    return good == HIGHS;
}

/* The first `count` bytes are such characters. The last word begins where it just fits. */
static bool words_of(const char *text, unsigned kind, size_t count)
{
    size_t i = 0;
    while (count < WORD_BYTES && i < count && (character[(unsigned char)text[i]] & kind) != 0)
        i++;
    if (count < WORD_BYTES)
        return i == count;
    for (; i + WORD_BYTES < count; i += WORD_BYTES)
        if (!word_of(text + i, kind))
            return false;
    return word_of(text + count - WORD_BYTES, kind);
}

/* 1 to most - 1 such characters. */
static bool made_of(const char *text, unsigned kind, size_t most)
{
    size_t n = text ? strlen(text) : 0;
    return n > 0 && n < most && words_of(text, kind, n);
}

static bool name_valid(const char *name)
{
    return made_of(name, IN_NAME, STORE_KEY_MAX);
}

static bool field_name_valid(const char *name)
{
    return made_of(name, IN_FIELD, STORE_FIELD_NAME_MAX);
}

/* Names that were found right in this operation, by their addresses: rows mostly have the same. */
#define SEEN_NAMES 64u
struct seen_names {
    const char *at[SEEN_NAMES];
};

static bool field_name_seen(struct seen_names *seen, const char *name)
{
    uint32_t spread = (uint32_t)(uintptr_t)name * UINT32_C(2654435761) >> 16;
    const char **at = &seen->at[spread % SEEN_NAMES];
    if (*at == name)
        return name != NULL;
    *at = field_name_valid(name) ? name : NULL;
    return *at != NULL;
}

static const char *check_names(const struct store_op *op, unsigned needs)
{
    if (!name_valid(op->shard))
        return "shard: 1 to 95 bytes, no spaces or braces";
    if ((needs & NEEDS_KEY) && !name_valid(op->key))
        return "key: 1 to 95 bytes, no spaces or braces";
    if ((needs & NEEDS_COLLECTION) && !name_valid(op->collection))
        return "collection: 1 to 95 bytes, no spaces or braces";
    if ((needs & ALLOWS_COLLECTION) && op->collection && !name_valid(op->collection))
        return "collection: 1 to 95 bytes, no spaces or braces";
    if ((needs & NEEDS_ID) && !name_valid(op->id))
        return "id: 1 to 95 bytes, no spaces or braces";
    if ((needs & NEEDS_OWNER) && !name_valid(op->owner))
        return "owner: 1 to 95 bytes, no spaces or braces";
    return NULL;
}

static const char *check_field_list(const struct store_field *fields, uint32_t count,
                                    unsigned needs, struct seen_names *seen)
{
    /* The record's epoch is one of its fields. */
    bool fenced = (needs & NEEDS_EPOCH) != 0;
    if (count > STORE_FIELDS_MAX - (fenced ? 1u : 0u))
        return fenced ? "fields: 39 at most beside the epoch" : "fields: 40 at most";
    if (count > 0 && !fields)
        return "fields: none given";
    for (uint32_t i = 0; i < count; i++) {
        const struct store_field *field = &fields[i];
        if (!field_name_seen(seen, field->name))
            return "field name: 1 to 39 bytes of a-z, 0-9 and _";
        if ((needs & IS_RECORD) && field->name[0] == 'e' && strcmp(field->name, "epoch") == 0)
            return "field epoch: written by epoch-put from the operation's epoch only";
        if (field->value_bytes > STORE_FIELD_VALUE_MAX)
            return "field value: 64 bytes at most";
        if (field->value_bytes > 0 && !field->value)
            return "field value: none given";
    }
    return NULL;
}

static const char *check_fields(const struct store_op *op, unsigned needs)
{
    if (!(needs & (NEEDS_FIELDS | ALLOWS_FIELDS)))
        return NULL;
    if ((needs & NEEDS_FIELDS) && op->field_count == 0)
        return "fields: 1 at least";
    struct seen_names seen = {{NULL}};
    return check_field_list(op->fields, op->field_count, needs, &seen);
}

static const char *check_puts(const struct store_op *op, unsigned needs)
{
    if (!(needs & NEEDS_PUTS))
        return NULL;
    if (op->row_count == 0 || op->row_count > STORE_PUTS_MAX || !op->rows)
        return "rows: 1 to 10 records";
    struct seen_names seen = {{NULL}};
    for (uint32_t i = 0; i < op->row_count; i++) {
        const struct store_row *row = &op->rows[i];
        if (!name_valid(row->key))
            return "row key: 1 to 95 bytes, no spaces or braces";
        const char *wrong = check_field_list(row->fields, row->field_count, needs, &seen);
        if (wrong)
            return wrong;
    }
    return NULL;
}

/* x - x is 0 for every finite x and not a number for the others. */
static bool finite_score(double x)
{
    return x - x == 0.0;
}

static const char *check_members(const struct store_op *op, unsigned needs)
{
    if (!(needs & NEEDS_MEMBERS))
        return NULL;
    if (op->row_count == 0 || op->row_count > STORE_ROWS_MAX || !op->rows)
        return "rows: 1 to 64 members";
    for (uint32_t i = 0; i < op->row_count; i++) {
        if (!name_valid(op->rows[i].key))
            return "member: 1 to 95 bytes, no spaces or braces";
        if (!finite_score(op->rows[i].score))
            return "score: a finite number";
    }
    return NULL;
}

static const char *check_numbers(const struct store_op *op, unsigned needs)
{
    if ((needs & NEEDS_ROWS) && (op->limit == 0 || op->limit > STORE_ROWS_MAX))
        return "limit: 1 to 64 rows";
    if ((needs & NEEDS_LIMIT) && op->limit == 0)
        return "limit: 1 at least";
    if ((needs & NEEDS_TTL) && (op->ttl_us <= 0 || op->ttl_us > TTL_US_MAX))
        return "ttl_us: above 0, one day at most";
    if ((needs & NEEDS_EPOCH) && (op->epoch == 0 || op->epoch > EPOCH_MAX))
        return "epoch: 1 to 2^53";
    if (op->kind == STORE_LEASE_ACQUIRE && op->epoch > EPOCH_WANTED_MAX)
        return "epoch: 2^52 at most when asked for";
    if ((needs & NEEDS_ATTEMPT) && op->attempt == 0)
        return "attempt: 1 at least";
    if ((needs & NEEDS_SCORE) && !finite_score(op->score))
        return "score: a finite number";
    if (op->kind == STORE_INDEX_RANGE && op->score != op->score)
        return "score: a number";
    if (op->kind == STORE_SCAN && op->cursor > EPOCH_MAX)
        return "cursor: not one that a scan returned";
    return NULL;
}

static const char *check_blob(const struct store_op *op)
{
    if (op->offset % STORE_BLOB_CHUNK_MAX != 0)
        return "offset: a multiple of 32768";
    if (op->offset >= STORE_BLOB_BYTES_MAX)
        return "offset: below 64 MiB";
    if (op->kind == STORE_BLOB_GET)
        return NULL;
    if (op->total_bytes == 0 || op->total_bytes > STORE_BLOB_BYTES_MAX)
        return "total_bytes: 1 to 64 MiB";
    if (op->offset >= op->total_bytes)
        return "offset: below total_bytes";
    uint64_t rest = op->total_bytes - op->offset;
    if (op->body_bytes != (rest < STORE_BLOB_CHUNK_MAX ? rest : STORE_BLOB_CHUNK_MAX))
        return "body: 32768 bytes, only the last chunk is shorter";
    return NULL;
}

static const char *check_log(const struct store_op *op)
{
    if (strcmp(op->key, "conflicts") != 0 && strcmp(op->key, "audit") != 0 &&
        strcmp(op->key, "grants") != 0 && strcmp(op->key, "incidents") != 0)
        return "key: one of the logs conflicts, audit, grants and incidents";
    if (op->kind == STORE_LOG_QUERY && (op->limit == 0 || op->limit > STORE_LOG_PAGE_MAX))
        return "limit: 1 to 16 rows";
    if (op->kind == STORE_LOG_VERIFY && (op->limit == 0 || op->limit > STORE_LOG_VERIFY_MAX))
        return "limit: 1 to 4096 rows";
    if (op->cursor > INT64_MAX)
        return "cursor: not one that a query returned";
    if (op->kind == STORE_LOG_APPEND && op->body_bytes > STORE_LOG_BODY_MAX)
        return "body: 4096 bytes at most";
    if (op->kind == STORE_LOG_APPEND && op->body_bytes > 0 && !op->body)
        return "body: none given";
    return NULL;
}

static const char *check_body(const struct store_op *op)
{
    if (op->kind == STORE_ENQUEUE && op->body_bytes > STORE_JOB_BYTES_MAX)
        return "body: 32768 bytes at most";
    if (op->kind == STORE_DEAD_LETTER && op->body_bytes > TEXT_BYTES_MAX)
        return "body: 256 bytes at most";
    if (op->kind == STORE_ENQUEUE || op->kind == STORE_DEAD_LETTER || op->kind == STORE_BLOB_PUT)
        if (op->body_bytes > 0 && !op->body)
            return "body: none given";
    return NULL;
}

const char *store_op_check(const struct store_op *op)
{
    assert(op);
    if (!kind_known(op->kind))
        return "kind: not one of the contract";
    unsigned needs = kind_rows[op->kind].needs;
    const char *wrong = check_names(op, needs);
    if (!wrong)
        wrong = check_fields(op, needs);
    if (!wrong)
        wrong = check_puts(op, needs);
    if (!wrong)
        wrong = check_members(op, needs);
    if (!wrong)
        wrong = check_numbers(op, needs);
    if (!wrong && store_bank(op->kind) == STORE_BANK_BLOB)
        wrong = check_blob(op);
    if (!wrong && (needs & IS_LOG))
        wrong = check_log(op);
    if (!wrong)
        wrong = check_body(op);
    return wrong;
}
