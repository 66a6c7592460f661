/* A table of rows and two passes over it: one that asks, one that hears. 512 rows are walked in a
 * few microseconds; the steps that walk them are those with a row to write. */
#include "core/logbook.h"
#include "core/num.h"
#include "core/text.h"
#include <assert.h>
#include <string.h>

#define RETRY_MIN_US (200ll * US_PER_MS)
#define RETRY_MAX_US (5ll * US_PER_S)
#define FIELDS       7u

const char *log_kind_name(enum log_kind log)
{
    static const char *const names[LOG_KIND_COUNT] = {"", "conflicts", "audit", "grants",
                                                      "incidents"};
    assert(log > 0 && log < LOG_KIND_COUNT);
    return names[log];
}

void logbook_init(struct logbook *b)
{
    memset(b, 0, sizeof(*b));
    b->next_order = 1;
}

struct logbook_row *logbook_add(struct logbook *b, int64_t now_us, uint32_t spare)
{
    assert(b != NULL && spare < LOGBOOK_ROWS_MAX);
    if (b->count + spare >= LOGBOOK_ROWS_MAX) {
        return NULL;
    }
    struct logbook_row *row = b->rows;
    while (row->used) {
        row++;
    }
    memset(row, 0, sizeof(*row));
    row->used = true;
    row->due_us = now_us;
    row->order = b->next_order++;
    b->count++;
    return row;
}

void logbook_drop(struct logbook *b, struct logbook_row *row)
{
    assert(row->used && b->count > 0);
    row->used = false;
    b->count--;
}

bool logbook_has(const struct logbook *b, uint64_t conflict, const char *event)
{
    for (uint32_t i = 0; b->count > 0 && i < LOGBOOK_ROWS_MAX; i++) {
        const struct logbook_row *row = &b->rows[i];
        if (row->used && row->conflict == conflict && strcmp(row->event, event) == 0) {
            return true;
        }
    }
    return false;
}

static struct store_field field(const char *name, const char *value)
{
    size_t bytes = strlen(value);
    return (struct store_field){
        .name = name,
        .value = value,
        .value_bytes = (uint32_t)(bytes < STORE_FIELD_VALUE_MAX ? bytes : STORE_FIELD_VALUE_MAX)};
}

static bool ask(struct logbook_row *row, int64_t now_us, struct outbox *out, uint64_t ref)
{
    char at_us[U64_TEXT_MAX], priority[U64_TEXT_MAX];
    (void)num_format_i64(row->at_us, at_us);
    (void)num_format_u64(row->priority, priority);
    const struct store_field fields[FIELDS] = {
        field("at_us", at_us),      field("event", row->event), field("subject", row->subject),
        field("agent", row->agent), field("type", row->type),   field("priority", priority),
        field("actor", row->actor)};
    struct store_op op = {.ref = ref,
                          .kind = STORE_LOG_APPEND,
                          .shard = "mesh",
                          .key = log_kind_name(row->log),
                          .id = row->id,
                          .fields = fields,
                          .field_count = FIELDS,
                          .body = (const uint8_t *)row->body,
                          .body_bytes = row->body_bytes};
    if (!outbox_room(out, 1, store_op_extra_bytes(&op))) {
        return false;
    }
    out_store(out, &op);
    row->ref = ref;
    row->due_us = now_us + LOGBOOK_ANSWER_US;
    return true;
}

/* The oldest row that is due and was not yet asked for in this step. */
static struct logbook_row *next_due(struct logbook *b, int64_t now_us, uint64_t after,
                                    int64_t *ret_wake)
{
    struct logbook_row *oldest = NULL;
    for (uint32_t i = 0; i < LOGBOOK_ROWS_MAX; i++) {
        struct logbook_row *row = &b->rows[i];
        if (!row->used) {
            continue;
        }
        if (row->due_us > now_us) {
            *ret_wake = row->due_us < *ret_wake ? row->due_us : *ret_wake;
        } else if (row->order > after && (oldest == NULL || row->order < oldest->order)) {
            oldest = row;
        }
    }
    return oldest;
}

int64_t logbook_pump(struct logbook *b, int64_t now_us, struct outbox *out, uint64_t *next_ref,
                     bool *short_of_room)
{
    int64_t wake = NEVER;
    uint64_t after = 0;
    for (uint32_t n = 0; b->count > 0; n++) {
        struct logbook_row *row = next_due(b, now_us, after, &wake);
        if (row == NULL) {
            break;
        }
        after = row->order;
        if (n == LOGBOOK_ASK_STEP || !ask(row, now_us, out, ++*next_ref)) {
            *short_of_room = true;
            break;
        }
        wake = row->due_us < wake ? row->due_us : wake;
    }
    return wake;
}

struct logbook_row *logbook_reply(struct logbook *b, int64_t now_us,
                                  const struct store_reply *reply, struct rng *rng,
                                  bool *ret_durable)
{
    struct logbook_row *row = NULL;
    for (uint32_t i = 0; i < LOGBOOK_ROWS_MAX && row == NULL; i++) {
        row = b->rows[i].used && b->rows[i].ref == reply->ref ? &b->rows[i] : NULL;
    }
    if (row == NULL || reply->kind != STORE_LOG_APPEND) {
        return NULL;
    }
    row->ref = 0;
    bool invalid = reply->verdict == STORE_INVALID;
    *ret_durable = reply->verdict == STORE_OK || reply->verdict == STORE_EXISTS;
    b->away = !*ret_durable;
    if (*ret_durable) {
        b->why[0] = '\0';
        return row;
    }
    struct text t;
    text_init(&t, b->why, sizeof(b->why));
    const char *why = reply->detail != NULL ? reply->detail : store_verdict_name(reply->verdict);
    text_add_safe(&t, why, strlen(why));
    b->lost += invalid ? 1u : 0u;
    int64_t wait = RETRY_MIN_US << (row->tries < 5 ? row->tries : 5);
    wait = wait < RETRY_MAX_US ? wait : RETRY_MAX_US;
    row->due_us = now_us + rng_jitter_us(rng, wait, 200);
    row->tries++;
    return row;
}
