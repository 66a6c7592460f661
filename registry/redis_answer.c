/* What a Redis answer means. Shapes are judged before anything is read from them: a wrong server, a
 * key of a wrong type or a proxy in between must end as STORE_UNKNOWN with a detail, never as a
 * crash. Rows and fields that a person added by hand beyond the contract's bounds are left out, so
 * that one of them cannot make a whole page unreadable.
 *
 * An error is mapped by its first word: Redis promises those, not the text behind them. Errors that
 * the contract has no verdict for (WRONGTYPE, NOPERM, ..) are STORE_UNKNOWN with the server's own
 * words, which the runner logs.
 *
 * Bounds: 64 rows, 40 fields each; what hiredis may build is limited by the connection. */
#include "registry/redis_private.h"
#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *word;
    enum store_verdict verdict;
} error_words[] = {
    {"OOM", STORE_FULL},        {"READONLY", STORE_READONLY}, {"MISCONF", STORE_READONLY},
    {"LOADING", STORE_BUSY},    {"BUSY", STORE_BUSY},         {"TRYAGAIN", STORE_BUSY},
    {"MASTERDOWN", STORE_BUSY}, {"NOREPLICAS", STORE_BUSY},   {"CLUSTERDOWN", STORE_BUSY},
};

bool redis_answer_lacks_function(const redisReply *answer)
{
    assert(answer);
    return answer->type == REDIS_REPLY_ERROR && strstr(answer->str, "Function not found") != NULL;
}

static void decode_error(const redisReply *answer, struct redis_scratch *scratch,
                         struct store_reply *reply)
{
    reply->verdict = STORE_UNKNOWN;
    size_t word_bytes = strcspn(answer->str, " \r\n");
    for (size_t i = 0; i < sizeof error_words / sizeof error_words[0]; i++)
        if (strlen(error_words[i].word) == word_bytes &&
            memcmp(error_words[i].word, answer->str, word_bytes) == 0)
            reply->verdict = error_words[i].verdict;
    snprintf(scratch->detail, sizeof scratch->detail, "redis: %s", answer->str);
    reply->detail = scratch->detail;
}

/* The parts of an answer; false or -1 when it has another shape. */

static bool is_string(const redisReply *answer)
{
    return answer && answer->type == REDIS_REPLY_STRING && answer->str;
}

static bool is_array(const redisReply *answer, size_t elements_min)
{
    return answer && answer->type == REDIS_REPLY_ARRAY && answer->elements >= elements_min;
}

static bool read_count(const redisReply *answer, uint64_t *ret_count)
{
    if (answer && answer->type == REDIS_REPLY_INTEGER && answer->integer >= 0) {
        *ret_count = (uint64_t)answer->integer;
        return true;
    }
    if (!is_string(answer) || answer->len == 0 || answer->len > 19)
        return false;
    uint64_t count = 0;
    for (size_t i = 0; i < answer->len; i++) {
        if (answer->str[i] < '0' || answer->str[i] > '9')
            return false;
        count = count * 10 + (uint64_t)(answer->str[i] - '0');
    }
    *ret_count = count;
    return true;
}

static bool read_score(const redisReply *answer, double *ret_score)
{
    if (!is_string(answer) || answer->len == 0)
        return false;
    char *end;
    double score = strtod(answer->str, &end);
    if (end != answer->str + answer->len || isnan(score))
        return false;
    *ret_score = score;
    return true;
}

static bool read_verdict(const redisReply *answer, enum store_verdict *ret_verdict)
{
    if (!answer || answer->type != REDIS_REPLY_INTEGER || answer->integer < STORE_OK ||
        answer->integer >= STORE_VERDICT_COUNT)
        return false;
    *ret_verdict = (enum store_verdict)answer->integer;
    return true;
}

/* name, value, name, value, .. into the fields of the row; `used` fields of the scratch are taken.
 */
static bool read_fields(const redisReply *answer, struct redis_scratch *scratch, uint32_t *used,
                        struct store_row *row)
{
    if (!is_array(answer, 0) || answer->elements % 2 != 0)
        return false;
    struct store_field *fields = &scratch->fields[*used];
    uint32_t count = 0;
    for (size_t i = 0; i < answer->elements; i += 2) {
        const redisReply *name = answer->element[i], *value = answer->element[i + 1];
        if (!is_string(name) || !is_string(value))
            return false;
        if (count == STORE_FIELDS_MAX || name->len >= STORE_FIELD_NAME_MAX ||
            strlen(name->str) != name->len || value->len > STORE_FIELD_VALUE_MAX)
            continue;
        fields[count++] = (struct store_field){
            .name = name->str, .value = value->str, .value_bytes = (uint32_t)value->len};
    }
    *used += count;
    row->fields = fields;
    row->field_count = count;
    return true;
}

static bool decode_get(const redisReply *answer, struct redis_scratch *scratch,
                       struct store_reply *reply)
{
    uint32_t used = 0;
    if (!read_fields(answer, scratch, &used, &scratch->rows[0]))
        return false;
    if (answer->elements == 0) {
        reply->verdict = STORE_MISSING;
        return true;
    }
    for (size_t i = 0; i < answer->elements; i += 2)
        if (strcmp(answer->element[i]->str, "epoch") == 0)
            (void)read_count(answer->element[i + 1], &reply->epoch);
    reply->verdict = STORE_OK;
    reply->rows = scratch->rows;
    reply->row_count = 1;
    return true;
}

static bool decode_scan(const redisReply *answer, struct redis_scratch *scratch,
                        struct store_reply *reply)
{
    uint32_t used = 0, count = 0;
    if (!is_array(answer, 2) || answer->elements - 2 > STORE_ROWS_MAX ||
        !read_verdict(answer->element[0], &reply->verdict) || reply->verdict != STORE_OK ||
        !read_count(answer->element[1], &reply->cursor))
        return false;
    for (size_t i = 2; i < answer->elements; i++) {
        const redisReply *pair = answer->element[i];
        struct store_row *row = &scratch->rows[count];
        if (!is_array(pair, 2) || !is_string(pair->element[0]) ||
            !read_fields(pair->element[1], scratch, &used, row))
            return false;
        row->key = pair->element[0]->str;
        count++;
    }
    reply->rows = scratch->rows;
    reply->row_count = count;
    return true;
}

static bool decode_range(const redisReply *answer, struct redis_scratch *scratch,
                         struct store_reply *reply)
{
    if (!is_array(answer, 0) || answer->elements % 2 != 0 || answer->elements / 2 > STORE_ROWS_MAX)
        return false;
    for (size_t i = 0; i < answer->elements; i += 2) {
        struct store_row *row = &scratch->rows[i / 2];
        if (!is_string(answer->element[i]) || !read_score(answer->element[i + 1], &row->score))
            return false;
        row->key = answer->element[i]->str;
    }
    reply->verdict = STORE_OK;
    reply->rows = scratch->rows;
    reply->row_count = (uint32_t)(answer->elements / 2);
    return true;
}

static bool decode_history(const redisReply *answer, struct redis_scratch *scratch,
                           struct store_reply *reply)
{
    uint32_t used = 0;
    if (!is_array(answer, 0) || answer->elements > STORE_ROWS_MAX)
        return false;
    for (size_t i = 0; i < answer->elements; i++) {
        const redisReply *entry = answer->element[i];
        struct store_row *row = &scratch->rows[i];
        if (!is_array(entry, 2) || !is_string(entry->element[0]) ||
            !read_fields(entry->element[1], scratch, &used, row))
            return false;
        /* An entry's id is `<Unix milliseconds>-<number>`. */
        char *end;
        long long stamp_ms = strtoll(entry->element[0]->str, &end, 10);
        if (*end != '-' || stamp_ms < 0 || stamp_ms > INT64_MAX / US_PER_MS)
            return false;
        row->stamp_us = stamp_ms * US_PER_MS;
    }
    reply->verdict = answer->elements > 0 ? STORE_OK : STORE_MISSING;
    reply->rows = scratch->rows;
    reply->row_count = (uint32_t)answer->elements;
    return true;
}

/* verdict, epoch */
static bool decode_epoch(const redisReply *answer, struct store_reply *reply)
{
    return is_array(answer, 2) && read_verdict(answer->element[0], &reply->verdict) &&
           read_count(answer->element[1], &reply->epoch);
}

static bool decode_claim(const redisReply *answer, struct redis_scratch *scratch,
                         struct store_reply *reply)
{
    if (!is_array(answer, 1) || answer->elements - 1 > STORE_ROWS_MAX ||
        !read_verdict(answer->element[0], &reply->verdict))
        return false;
    for (size_t i = 1; i < answer->elements; i++) {
        const redisReply *job = answer->element[i];
        struct store_row *row = &scratch->rows[i - 1];
        uint64_t attempt;
        if (!is_array(job, 3) || !is_string(job->element[0]) ||
            !read_count(job->element[1], &attempt) || attempt > UINT32_MAX ||
            !is_string(job->element[2]) || job->element[2]->len > STORE_JOB_BYTES_MAX)
            return false;
        row->key = job->element[0]->str;
        row->attempt = (uint32_t)attempt;
        row->body = (const uint8_t *)job->element[2]->str;
        row->body_bytes = (uint32_t)job->element[2]->len;
    }
    reply->rows = scratch->rows;
    reply->row_count = (uint32_t)(answer->elements - 1);
    return true;
}

static bool decode_blob(const redisReply *answer, struct store_reply *reply)
{
    if (!is_array(answer, 1) || !read_verdict(answer->element[0], &reply->verdict))
        return false;
    if (reply->verdict != STORE_OK)
        return true;
    if (answer->elements < 3 || !read_count(answer->element[1], &reply->total_bytes) ||
        !is_string(answer->element[2]) || answer->element[2]->len > STORE_BLOB_CHUNK_MAX)
        return false;
    reply->body = (const uint8_t *)answer->element[2]->str;
    reply->body_bytes = (uint32_t)answer->element[2]->len;
    return true;
}

static bool decode_shape(enum store_kind kind, const redisReply *answer,
                         struct redis_scratch *scratch, struct store_reply *reply)
{
    switch (kind) {
    case STORE_GET:
        return decode_get(answer, scratch, reply);
    case STORE_SCAN:
        return decode_scan(answer, scratch, reply);
    case STORE_INDEX_SET:
    case STORE_INDEX_REMOVE: /* how many were new or gone is no part of the contract */
        reply->verdict = STORE_OK;
        return answer->type == REDIS_REPLY_INTEGER;
    case STORE_INDEX_RANGE:
        return decode_range(answer, scratch, reply);
    case STORE_APPEND: /* the id of the new entry */
        reply->verdict = STORE_OK;
        return is_string(answer);
    case STORE_HISTORY:
        return decode_history(answer, scratch, reply);
    case STORE_LEASE_ACQUIRE:
    case STORE_LEASE_RENEW:
    case STORE_LEASE_RELEASE:
    case STORE_EPOCH_PUT:
    case STORE_EPOCH_PUTS:
        return decode_epoch(answer, reply);
    case STORE_CLAIM:
        return decode_claim(answer, scratch, reply);
    case STORE_BLOB_GET:
        return decode_blob(answer, reply);
    case STORE_PUT:
    case STORE_REMOVE:
    case STORE_ENQUEUE:
    case STORE_JOB_RENEW:
    case STORE_FINISH:
    case STORE_REQUEUE:
    case STORE_DEAD_LETTER:
    case STORE_BLOB_PUT:
        return read_verdict(answer, &reply->verdict);
    case STORE_LOG_APPEND: /* in SQL */
    case STORE_LOG_QUERY:
    case STORE_LOG_VERIFY:
    case STORE_KIND_COUNT:
        break;
    }
    return false;
}

void redis_command_decode(enum store_kind kind, const redisReply *answer,
                          struct redis_scratch *scratch, struct store_reply *ret_reply)
{
    assert(answer && scratch && ret_reply);
    assert(kind > 0 && kind < STORE_KIND_COUNT);
    *ret_reply = (struct store_reply){.kind = kind};
    memset(scratch->rows, 0, sizeof scratch->rows);
    if (answer->type == REDIS_REPLY_ERROR) {
        decode_error(answer, scratch, ret_reply);
        return;
    }
    if (!decode_shape(kind, answer, scratch, ret_reply)) {
        snprintf(scratch->detail, sizeof scratch->detail,
                 "redis: %s got an answer of a wrong shape", store_kind_name(kind));
        *ret_reply =
            (struct store_reply){.kind = kind, .verdict = STORE_UNKNOWN, .detail = scratch->detail};
        return;
    }
    if (ret_reply->verdict == STORE_FULL)
        ret_reply->detail = kind == STORE_ENQUEUE ? "queue: its limit of jobs is reached"
                                                  : "record: 40 fields at most";
    if (ret_reply->verdict == STORE_INVALID)
        ret_reply->detail = "total_bytes: not that of the chunks already there";
}
