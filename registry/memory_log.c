/* The logs in memory: the same operations, rows and hashes as in SQL (log.h). Rows are kept in
 * order of their numbers, those that are gone (memory_store_log_keep) before them; queries walk
 * them. A simulated mesh keeps thousands, not millions, of rows. */
#include "core/plant.h"
#include "registry/log.h"
#include "registry/memory.h"
#include "registry/memory_private.h"
#include <assert.h>
#include <string.h>

#define COPY_MAX 8u

static const char *const names[MEMORY_LOGS] = {"conflicts", "audit", "grants", "incidents"};

static struct memory_log *log_of(struct memory_store *store, const char *name)
{
    for (uint32_t i = 0; i < MEMORY_LOGS; i++)
        if (strcmp(names[i], name) == 0)
            return &store->logs[i];
    assert(0 && "store_op_check lets no other pass");
    return NULL;
}

static bool grow(struct memory_store *store, struct memory_log *log)
{
    if (log->count < log->room)
        return true;
    uint32_t room = log->room ? log->room * 2 : 16;
    size_t old = log->room * sizeof *log->rows, bytes = room * sizeof *log->rows;
    struct logged **rows =
        log->rows ? memory_resize(store, log->rows, old, bytes) : memory_take(store, bytes);
    if (!rows)
        return false;
    log->rows = rows;
    log->room = room;
    return true;
}

static uint64_t total(const struct memory_log *log)
{
    return log->gone + log->count;
}

/* What the row after it names: `i` is a place in rows[]. */
static const char *hash_before(const struct memory_log *log, uint32_t i)
{
    return i > 0 ? log->rows[i - 1]->row.hash : log->gone > 0 ? log->before : LOG_FIRST;
}

/* The older ones go when there are twice as many as are to stay. */
static void drop_older(struct memory_store *store, struct memory_log *log)
{
    if (store->log_keep == 0 || log->count / 2 < store->log_keep)
        return;
    uint32_t older = log->count - store->log_keep;
    memcpy(log->before, log->rows[older - 1]->row.hash, LOG_HASH_TEXT);
    for (uint32_t i = 0; i < older; i++) {
        HASH_DEL(log->by_id, log->rows[i]);
        memory_give(store, log->rows[i], log->rows[i]->bytes);
    }
    memmove(log->rows, log->rows + older, store->log_keep * sizeof *log->rows);
    log->rows[0]->row.prev = log->before;
    log->count = store->log_keep;
    log->gone += older;
}

void memory_store_log_keep(struct memory_store *store, uint32_t rows)
{
    assert(store);
    store->log_keep = rows;
}

/* One block with all the texts behind it, but for `prev`, which is the text of a row before, or
 * log->before. */
static struct logged *keep(struct memory_store *store, const struct log_row *row)
{
    const char *const texts[COPY_MAX] = {row->id,   row->event, row->subject, row->agent,
                                         row->type, row->actor, row->body,    row->hash};
    size_t bytes = sizeof(struct logged);
    for (uint32_t i = 0; i < COPY_MAX; i++)
        bytes += strlen(texts[i]) + 1;
    struct logged *kept = memory_take(store, bytes);
    if (!kept)
        return NULL;
    kept->bytes = (uint32_t)bytes;
    kept->row = *row;
    char *at = kept->text;
    const char **to[COPY_MAX] = {&kept->row.id,    &kept->row.event, &kept->row.subject,
                                 &kept->row.agent, &kept->row.type,  &kept->row.actor,
                                 &kept->row.body,  &kept->row.hash};
    for (uint32_t i = 0; i < COPY_MAX; i++) {
        size_t length = strlen(texts[i]) + 1;
        memcpy(at, texts[i], length);
        *to[i] = at;
        at += length;
    }
    return kept;
}

static void append(struct memory_store *store, struct memory_log *log, const struct store_op *op,
                   struct store_reply *reply)
{
    struct log_row row;
    char hash[LOG_HASH_TEXT];
    reply->detail = log_row_of(op, &store->log_room, &row);
    reply->verdict = STORE_INVALID;
    if (reply->detail)
        return;
    struct logged *known = NULL;
    HASH_FIND(hh, log->by_id, row.id, strlen(row.id), known);
    if (known) {
        reply->verdict = STORE_EXISTS;
        reply->epoch = known->row.seq;
        return;
    }
    row.seq = total(log) + 1u;
    row.prev = hash_before(log, log->count);
    if (PLANTED(PLANT_LOG_CHAIN) && log->count > 1)
        row.prev = log->rows[log->count - 2]->row.hash;
    log_row_hash(op->key, &row, hash);
    row.hash = hash;
    struct logged *kept = grow(store, log) ? keep(store, &row) : NULL;
    reply->verdict = kept ? STORE_OK : STORE_FULL;
    reply->detail = kept ? NULL : "memory: the budget is used up";
    reply->epoch = kept ? row.seq : 0;
    if (kept) {
        log->rows[log->count++] = kept;
        HASH_ADD_KEYPTR(hh, log->by_id, kept->row.id, strlen(kept->row.id), kept);
        drop_older(store, log);
    }
}

static bool resolved(const struct memory_log *log, const char *subject)
{
    for (uint32_t i = log->count; i > 0; i--) {
        const struct log_row *row = &log->rows[i - 1]->row;
        if (strcmp(row->event, "resolved") == 0 && strcmp(row->subject, subject) == 0)
            return true;
    }
    return false;
}

static bool wanted(const struct memory_log *log, const struct log_filter *f,
                   const struct log_row *row)
{
    return log_filter_takes(f, row) &&
           (!f->open || (strcmp(row->event, "opened") == 0 && !resolved(log, row->subject)));
}

static void query(struct memory_store *store, const struct memory_log *log,
                  const struct store_op *op, struct store_reply *reply)
{
    struct log_filter f;
    reply->detail = log_filter_of(op, &store->log_room, &f);
    reply->verdict = reply->detail ? STORE_INVALID : STORE_OK;
    if (reply->detail)
        return;
    uint64_t last = total(log);
    uint64_t at =
        f.newest ? (op->cursor > 0 && op->cursor <= last ? op->cursor - 1 : last) : op->cursor + 1;
    if (f.newest && op->cursor == 1)
        at = 0;
    if (!f.newest && at <= log->gone)
        at = log->gone + 1;
    reply->rows = store->rows;
    while (at > log->gone && at <= last) {
        const struct log_row *row = &log->rows[at - 1 - log->gone]->row;
        if (wanted(log, &f, row)) {
            if (reply->row_count == op->limit)
                return; /* the cursor names the last one taken */
            log_row_fields(row, &store->log_numbers[reply->row_count],
                           &store->fields[reply->row_count * LOG_FIELDS],
                           &store->rows[reply->row_count]);
            reply->row_count++;
            reply->cursor = row->seq;
        }
        at = f.newest ? at - 1 : at + 1;
    }
    reply->cursor = 0;
}

static void verify(struct memory_store *store, const struct memory_log *log,
                   const struct store_op *op, struct store_reply *reply)
{
    uint64_t end = op->cursor + op->limit;
    reply->verdict = STORE_OK; /* nothing but append() touches these rows */
    reply->epoch = total(log);
    reply->cursor = end < total(log) ? end : 0;
    if (log->count == 0)
        return;
    log_row_fields(&log->rows[log->count - 1]->row, &store->log_numbers[0], store->fields,
                   store->rows);
    reply->rows = store->rows;
    reply->row_count = 1;
}

bool memory_store_log_row(const struct memory_store *store, const char *log, uint64_t seq,
                          const char **ret_id, const char **ret_wrong)
{
    assert(store && log && ret_id && ret_wrong);
    for (uint32_t i = 0; i < MEMORY_LOGS; i++) {
        const struct memory_log *l = &store->logs[i];
        if (strcmp(names[i], log) != 0 || seq <= l->gone || seq > total(l))
            continue;
        uint32_t at = (uint32_t)(seq - 1 - l->gone);
        const struct log_row *row = &l->rows[at]->row;
        const char *before = hash_before(l, at);
        char hash[LOG_HASH_TEXT];
        log_row_hash(log, row, hash);
        *ret_id = row->id;
        *ret_wrong = row->seq != seq                  ? "has another number"
                     : strcmp(row->prev, before) != 0 ? "does not name the row before"
                     : strcmp(row->hash, hash) != 0   ? "is not what its hash says"
                                                      : NULL;
        return true;
    }
    return false;
}

void memory_log(struct memory_store *store, const struct store_op *op, struct store_reply *reply)
{
    struct memory_log *log = log_of(store, op->key);
    if (op->kind == STORE_LOG_APPEND)
        append(store, log, op, reply);
    else if (op->kind == STORE_LOG_QUERY)
        query(store, log, op, reply);
    else
        verify(store, log, op, reply);
}

void memory_log_clear(struct memory_store *store)
{
    for (uint32_t i = 0; i < MEMORY_LOGS; i++) {
        struct memory_log *log = &store->logs[i];
        HASH_CLEAR(hh, log->by_id);
        for (uint32_t k = 0; k < log->count; k++)
            memory_give(store, log->rows[k], log->rows[k]->bytes);
        memory_give(store, log->rows, log->room * sizeof *log->rows);
        *log = (struct memory_log){0};
    }
}
