/* One store operation as one Redis command, and one Redis answer as a verdict.
 *
 * Every operation is exactly one command, so that answers pair with operations by their order alone
 * and an operation can never be half sent. What needs several steps in the server is a function of
 * registry/mesh.lua. Keys follow registry/keys.h.
 *
 * Answers are judged by their shape before anything is read from them: a wrong server, a key of a
 * wrong type or a proxy in between must end as STORE_UNKNOWN with a detail, never as a crash. Rows
 * and fields that a person added by hand beyond the contract's bounds are left out, so that one of
 * them cannot make a whole page unreadable. Numbers need LC_NUMERIC to be "C", which is what a
 * process has that does not call setlocale(). */
#include "core/num.h"
#include "registry/keys.h"
#include "registry/redis_private.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A put: 80 for the fields, 10 for the largest head. Puts: for each record two names of it, a
 * number and its fields. */
#define ARGUMENTS_MAX (16u + STORE_PUTS_MAX * (3u + 2u * STORE_FIELDS_MAX))
#define TEXTS_MAX     (12u + STORE_ROWS_MAX) /* an index's scores; a puts' keys are fewer */
static_assert(STORE_ROWS_MAX >= 2u * STORE_PUTS_MAX, "two names of each record");

struct command {
    const char *at[ARGUMENTS_MAX];
    size_t bytes[ARGUMENTS_MAX];
    uint32_t count;
    uint32_t text_count;
    char text[TEXTS_MAX][KEY_BYTES_MAX]; /* keys and numbers made here */
};

static void add_bytes(struct command *command, const void *at, size_t bytes)
{
    assert(command->count < ARGUMENTS_MAX);
    command->at[command->count] = at ? at : "";
    command->bytes[command->count] = bytes;
    command->count++;
}

static void add(struct command *command, const char *word)
{
    add_bytes(command, word, strlen(word));
}

static char *text_room(struct command *command)
{
    assert(command->text_count < TEXTS_MAX);
    return command->text[command->text_count++];
}

static void add_count(struct command *command, uint64_t value)
{
    char *room = text_room(command);
    snprintf(room, KEY_BYTES_MAX, "%" PRIu64, value);
    add(command, room);
}

static void add_score(struct command *command, double score)
{
    char *room = text_room(command);
    if (isinf(score))
        snprintf(room, KEY_BYTES_MAX, "%s", score > 0 ? "+inf" : "-inf");
    else if (score >= 0 && score <= UINT32_MAX && score == (uint32_t)score) /* an agent's */
        (void)num_format_u64((uint32_t)score, room);
    else
        snprintf(room, KEY_BYTES_MAX, "%.17g", score);
    add(command, room);
}

/* Two names of 95 bytes and the longest pattern stay below KEY_BYTES_MAX. */
#define ADD_KEY(command, pattern, shard, name)                                                     \
    do {                                                                                           \
        char *room_ = text_room(command);                                                          \
        snprintf(room_, KEY_BYTES_MAX, pattern, shard, name);                                      \
        add(command, room_);                                                                       \
    } while (0)

static void add_fields(struct command *command, const struct store_field *fields, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        add(command, fields[i].name);
        add_bytes(command, fields[i].value, fields[i].value_bytes);
    }
}

static void format_record(struct command *command, const struct store_op *op)
{
    if (op->kind == STORE_GET) {
        add(command, "HGETALL");
        ADD_KEY(command, KEY_RECORD, op->shard, op->key);
        return;
    }
    add(command, "FCALL");
    add(command, op->kind == STORE_PUT         ? FUNCTIONS_PREFIX "put"
                 : op->kind == STORE_EPOCH_PUT ? FUNCTIONS_PREFIX "epoch_put"
                                               : FUNCTIONS_PREFIX "remove");
    add(command, op->collection ? "2" : "1");
    ADD_KEY(command, KEY_RECORD, op->shard, op->key);
    if (op->collection)
        ADD_KEY(command, KEY_COLLECTION, op->shard, op->collection);
    add(command, op->key);
    if (op->kind == STORE_EPOCH_PUT) {
        add(command, "epoch");
        add_count(command, op->epoch);
    }
    if (op->kind != STORE_REMOVE)
        add_fields(command, op->fields, op->field_count);
}

static void format_puts(struct command *command, const struct store_op *op)
{
    add(command, "FCALL");
    add(command, FUNCTIONS_PREFIX "epoch_puts");
    add_count(command, op->row_count + (op->collection ? 1u : 0u));
    for (uint32_t i = 0; i < op->row_count; i++)
        ADD_KEY(command, KEY_RECORD, op->shard, op->rows[i].key);
    if (op->collection)
        ADD_KEY(command, KEY_COLLECTION, op->shard, op->collection);
    add_count(command, op->epoch);
    add_count(command, op->row_count);
    for (uint32_t i = 0; i < op->row_count; i++) {
        add(command, op->rows[i].key);
        add_count(command, op->rows[i].field_count);
        add_fields(command, op->rows[i].fields, op->rows[i].field_count);
    }
}

static void format_scan(struct command *command, const struct store_op *op)
{
    add(command, "FCALL_RO");
    add(command, FUNCTIONS_PREFIX "scan");
    add(command, "1");
    ADD_KEY(command, KEY_COLLECTION, op->shard, op->collection);
    char *room = text_room(command);
    snprintf(room, KEY_BYTES_MAX, KEY_RECORD_PREFIX, op->shard);
    add(command, room);
    add_count(command, op->cursor);
    add_count(command, op->limit);
}

static void format_index(struct command *command, const struct store_op *op)
{
    add(command, op->kind == STORE_INDEX_SET      ? "ZADD"
                 : op->kind == STORE_INDEX_REMOVE ? "ZREM"
                                                  : "ZRANGEBYSCORE");
    ADD_KEY(command, KEY_INDEX, op->shard, op->key);
    if (op->kind == STORE_INDEX_RANGE) {
        add(command, "-inf");
        add_score(command, op->score);
        add(command, "WITHSCORES");
        add(command, "LIMIT");
        add(command, "0");
        add_count(command, op->limit);
        return;
    }
    for (uint32_t i = 0; i < op->row_count; i++) {
        if (op->kind == STORE_INDEX_SET)
            add_score(command, op->rows[i].score);
        add(command, op->rows[i].key);
    }
}

static void format_history(struct command *command, const struct store_op *op)
{
    add(command, op->kind == STORE_APPEND ? "XADD" : "XREVRANGE");
    ADD_KEY(command, KEY_HISTORY, op->shard, op->key);
    if (op->kind == STORE_APPEND) {
        add(command, "MAXLEN");
        add_count(command, op->limit);
        add(command, "*");
        add_fields(command, op->fields, op->field_count);
        return;
    }
    add(command, "+");
    add(command, "-");
    add(command, "COUNT");
    add_count(command, op->limit);
}

static void format_lease(struct command *command, const struct store_op *op)
{
    add(command, "FCALL");
    add(command, op->kind == STORE_LEASE_ACQUIRE ? FUNCTIONS_PREFIX "lease_acquire"
                 : op->kind == STORE_LEASE_RENEW ? FUNCTIONS_PREFIX "lease_renew"
                                                 : FUNCTIONS_PREFIX "lease_release");
    add(command, "1");
    ADD_KEY(command, KEY_LEASE, op->shard, op->key);
    add(command, op->owner);
    if (op->kind == STORE_LEASE_ACQUIRE)
        add_count(command, (uint64_t)op->ttl_us);
    add_count(command, op->epoch);
    if (op->kind == STORE_LEASE_RENEW)
        add_count(command, (uint64_t)op->ttl_us);
}

static const char *queue_function(enum store_kind kind)
{
    return kind == STORE_ENQUEUE     ? FUNCTIONS_PREFIX "enqueue"
           : kind == STORE_CLAIM     ? FUNCTIONS_PREFIX "claim"
           : kind == STORE_JOB_RENEW ? FUNCTIONS_PREFIX "job_renew"
           : kind == STORE_FINISH    ? FUNCTIONS_PREFIX "finish"
           : kind == STORE_REQUEUE   ? FUNCTIONS_PREFIX "requeue"
                                     : FUNCTIONS_PREFIX "dead_letter";
}

static void format_queue(struct command *command, const struct store_op *op)
{
    add(command, "FCALL");
    add(command, queue_function(op->kind));
    add(command, "5");
    ADD_KEY(command, KEY_QUEUE, op->shard, op->key);
    ADD_KEY(command, KEY_READY, op->shard, op->key);
    ADD_KEY(command, KEY_CLAIMED, op->shard, op->key);
    ADD_KEY(command, KEY_DONE, op->shard, op->key);
    ADD_KEY(command, KEY_DEAD, op->shard, op->key);
    ADD_KEY(command, KEY_JOB_PREFIX, op->shard, op->key);
    if (op->kind == STORE_CLAIM) {
        add(command, op->owner);
        add_count(command, op->limit);
        add_count(command, (uint64_t)op->ttl_us);
        return;
    }
    add(command, op->id);
    if (op->kind == STORE_ENQUEUE) {
        add_score(command, op->score);
        add_count(command, op->limit);
        add_bytes(command, op->body, op->body_bytes);
        return;
    }
    add(command, op->owner);
    add_count(command, op->attempt);
    if (op->kind == STORE_JOB_RENEW)
        add_count(command, (uint64_t)op->ttl_us);
    if (op->kind == STORE_DEAD_LETTER)
        add_bytes(command, op->body, op->body_bytes);
}

static void format_blob(struct command *command, const struct store_op *op)
{
    char hex[65];
    for (unsigned i = 0; i < 32; i++)
        snprintf(hex + 2 * i, 3, "%02x", op->hash[i]);
    bool is_put = op->kind == STORE_BLOB_PUT;
    add(command, is_put ? "FCALL" : "FCALL_RO");
    add(command, is_put ? FUNCTIONS_PREFIX "blob_put" : FUNCTIONS_PREFIX "blob_get");
    add(command, "1");
    char *room = text_room(command);
    snprintf(room, KEY_BYTES_MAX, KEY_BLOB, hex);
    add(command, room);
    if (is_put)
        add_count(command, op->total_bytes);
    add_count(command, op->offset / STORE_BLOB_CHUNK_MAX);
    if (is_put)
        add_bytes(command, op->body, op->body_bytes);
}

int redis_command_format(const struct store_op *op, char **ret_bytes)
{
    assert(op && ret_bytes);
    struct command command;
    command.count = 0;
    command.text_count = 0;
    switch (op->kind) {
    case STORE_PUT:
    case STORE_GET:
    case STORE_REMOVE:
    case STORE_EPOCH_PUT:
        format_record(&command, op);
        break;
    case STORE_EPOCH_PUTS:
        format_puts(&command, op);
        break;
    case STORE_SCAN:
        format_scan(&command, op);
        break;
    case STORE_INDEX_SET:
    case STORE_INDEX_REMOVE:
    case STORE_INDEX_RANGE:
        format_index(&command, op);
        break;
    case STORE_APPEND:
    case STORE_HISTORY:
        format_history(&command, op);
        break;
    case STORE_LEASE_ACQUIRE:
    case STORE_LEASE_RENEW:
    case STORE_LEASE_RELEASE:
        format_lease(&command, op);
        break;
    case STORE_ENQUEUE:
    case STORE_CLAIM:
    case STORE_JOB_RENEW:
    case STORE_FINISH:
    case STORE_REQUEUE:
    case STORE_DEAD_LETTER:
        format_queue(&command, op);
        break;
    case STORE_BLOB_PUT:
    case STORE_BLOB_GET:
        format_blob(&command, op);
        break;
    case STORE_LOG_APPEND: /* in SQL */
    case STORE_LOG_QUERY:
    case STORE_LOG_VERIFY:
    case STORE_KIND_COUNT:
        break;
    }
    assert(command.count > 0);
    char *bytes = NULL;
    int length = redisFormatCommandArgv(&bytes, (int)command.count, command.at, command.bytes);
    if (length < 0)
        return -ENOMEM;
    *ret_bytes = bytes;
    return length;
}
