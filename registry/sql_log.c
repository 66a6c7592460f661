/* One thread, two queues. The loop puts jobs in, the thread takes all that waits (a group), carries
 * it out, and gives the answers back through one uv_async. A job is one allocation that holds its
 * operation and later its answer; the mutex is held only to move lists.
 *
 * The thread owns the connection. Between failures it waits before it tries again, but keeps
 * answering: nothing in here ever waits with an answer for the database to come back. */
#include "registry/sql_log.h"

#include "core/node.h"
#include "registry/sql_table.h"
#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define QUEUE_MAX       4096u
#define QUEUE_BYTES_MAX (16ull << 20)
#define RETRY_MIN_MS    200
#define RETRY_MAX_MS    5000

static const char *const names[] = {"conflicts", "audit", "grants", "incidents"};
#define LOGS (sizeof names / sizeof names[0])

struct answer_row {
    struct log_numbers numbers;
    struct store_field fields[LOG_FIELDS];
    char id[STORE_KEY_MAX];
    char text[9][STORE_FIELD_VALUE_MAX + 1];
    char body[STORE_LOG_BODY_MAX + 1];
};

struct answer {
    struct store_row rows[STORE_LOG_PAGE_MAX];
    struct answer_row kept[STORE_LOG_PAGE_MAX];
};

struct job {
    struct job *next;
    void *tag;
    struct store_op op;
    struct store_reply reply;
    struct answer *answer; /* queries and verifications */
    char detail[SQL_FAULT_MAX];
    uint32_t bytes;
    _Alignas(16) uint8_t room[];
};

struct jobs {
    struct job *first, **last;
};

struct sql_log {
    uv_async_t async;
    sql_log_reply on_reply;
    sql_log_link on_link;
    void *ctx;
    char *url;
    const char *where; /* in url */
    uint32_t queue_max;
    uint64_t queue_bytes_max;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    /* under the mutex */
    struct jobs asked, done;
    uint64_t bytes;
    struct sql_log_stats stats;
    bool closing, told_up, link_news;
    char why[SQL_FAULT_MAX];
    /* the thread's */
    struct sql sql;
    bool open;
    int64_t retry_at_ms;
    int retry_ms;
    struct sql_head heads[LOGS];
    bool head_known[LOGS];
    uint64_t seen[LOGS]; /* how far this process has seen each log */
    struct log_room room;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void jobs_init(struct jobs *q)
{
    q->first = NULL;
    q->last = &q->first;
}

static void jobs_put(struct jobs *q, struct job *j)
{
    j->next = NULL;
    *q->last = j;
    q->last = &j->next;
}

static uint32_t log_index(const char *name)
{
    uint32_t i = 0;
    while (i < LOGS - 1u && strcmp(names[i], name) != 0)
        i++;
    assert(strcmp(names[i], name) == 0); /* store_op_check() lets no other through */
    return i;
}

/* --- the thread: the connection --------------------------------------------------------------- */

static enum store_verdict verdict_of(enum sql_verdict v)
{
    switch (v) {
    case SQL_OK:
        return STORE_OK;
    case SQL_FULL:
        return STORE_FULL;
    case SQL_READONLY:
        return STORE_READONLY;
    case SQL_BUSY:
        return STORE_BUSY;
    case SQL_REFUSED:
    case SQL_AWAY:
        break;
    }
    return STORE_UNKNOWN;
}

static void tell_link(struct sql_log *l, bool up, const char *why)
{
    pthread_mutex_lock(&l->mutex);
    if (up != l->stats.up || (!up && strcmp(why, l->why) != 0)) {
        l->stats.up = up;
        l->link_news = true;
        snprintf(l->why, sizeof l->why, "%s", why);
        uv_async_send(&l->async);
    }
    pthread_mutex_unlock(&l->mutex);
}

static void drop(struct sql_log *l)
{
    l->sql.kind->close(&l->sql);
    l->open = false;
    memset(l->head_known, 0, sizeof l->head_known);
    l->retry_ms = l->retry_ms == 0 ? RETRY_MIN_MS : l->retry_ms * 2;
    l->retry_ms = l->retry_ms < RETRY_MAX_MS ? l->retry_ms : RETRY_MAX_MS;
    l->retry_at_ms = now_ms() + l->retry_ms;
    tell_link(l, false, l->sql.fault);
}

/* A connection with tables, or the verdict that all get. */
static enum sql_verdict ready(struct sql_log *l)
{
    if (l->open && !l->sql.kind->same(&l->sql))
        drop(l);
    if (l->open)
        return SQL_OK;
    if (now_ms() < l->retry_at_ms)
        return SQL_AWAY;
    enum sql_verdict v = l->sql.kind->open(&l->sql, l->where);
    if (v == SQL_OK) {
        l->open = true;
        v = sql_table_make(&l->sql);
    }
    if (v != SQL_OK) {
        if (l->open)
            drop(l);
        l->retry_at_ms = now_ms() + (l->retry_ms > 0 ? l->retry_ms : RETRY_MIN_MS);
        tell_link(l, false, l->sql.fault);
        return v;
    }
    l->retry_ms = 0;
    tell_link(l, true, "");
    return SQL_OK;
}

static void answer(struct sql_log *l, struct job *j, enum sql_verdict v)
{
    j->reply.verdict = verdict_of(v);
    if (v != SQL_OK) {
        snprintf(j->detail, sizeof j->detail, "%s", l->sql.fault);
        j->reply.detail = j->detail;
    }
}

/* --- the thread: appends ---------------------------------------------------------------------- */

/* The end of the log, read anew in each transaction: another process may write to it, too. */
static enum sql_verdict head_of(struct sql_log *l, uint32_t log, const char *name)
{
    if (l->head_known[log])
        return SQL_OK;
    enum sql_verdict v = SQL_OK;
    if (l->sql.kind->lock != NULL)
        v = l->sql.kind->run(&l->sql, l->sql.kind->lock, &name, 1, NULL, NULL);
    if (v == SQL_OK)
        v = sql_table_head(&l->sql, name, &l->heads[log]);
    if (v == SQL_OK && l->heads[log].seq < l->seen[log]) {
        snprintf(l->sql.fault, sizeof l->sql.fault,
                 "log %s ends at row %llu, and row %llu was there: restore it", name,
                 (unsigned long long)l->heads[log].seq, (unsigned long long)l->seen[log]);
        return SQL_READONLY;
    }
    l->head_known[log] = v == SQL_OK;
    return v;
}

static enum sql_verdict append_one(struct sql_log *l, struct job *j)
{
    struct log_row row;
    bool known = false;
    const char *wrong = log_row_of(&j->op, &l->room, &row);
    if (wrong != NULL) {
        j->reply.verdict = STORE_INVALID;
        j->reply.detail = wrong;
        return SQL_OK;
    }
    uint32_t log = log_index(j->op.key);
    enum sql_verdict v = head_of(l, log, j->op.key);
    if (v == SQL_OK)
        v = sql_table_append(&l->sql, j->op.key, &row, &l->heads[log], &known);
    if (v == SQL_OK) {
        j->reply.verdict = known ? STORE_EXISTS : STORE_OK;
        j->reply.epoch = row.seq;
    }
    return v;
}

static enum sql_verdict transaction(struct sql_log *l, struct job **group, uint32_t count)
{
    memset(l->head_known, 0, sizeof l->head_known);
    enum sql_verdict v = l->sql.kind->run(&l->sql, l->sql.kind->begin, NULL, 0, NULL, NULL);
    for (uint32_t i = 0; i < count && v == SQL_OK; i++)
        v = append_one(l, group[i]);
    if (v == SQL_OK)
        v = l->sql.kind->run(&l->sql, "COMMIT", NULL, 0, NULL, NULL);
    if (v != SQL_OK) {
        char fault[SQL_FAULT_MAX];
        memcpy(fault, l->sql.fault, sizeof fault);
        (void)l->sql.kind->run(&l->sql, "ROLLBACK", NULL, 0, NULL, NULL);
        memcpy(l->sql.fault, fault, sizeof fault);
    }
    memset(l->head_known, 0, sizeof l->head_known);
    return v;
}

static void append_group(struct sql_log *l, struct job **group, uint32_t count)
{
    enum sql_verdict v = ready(l);
    if (v == SQL_OK)
        v = transaction(l, group, count);
    if (v == SQL_REFUSED && count > 1) {
        for (uint32_t i = 0; i < count; i++) /* one of them is at fault: each for itself */
            append_group(l, &group[i], 1);
        return;
    }
    uint64_t written = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (v != SQL_OK) {
            answer(l, group[i], v);
        } else if (group[i]->reply.verdict == STORE_OK) {
            uint32_t log = log_index(group[i]->op.key);
            written++;
            if (group[i]->reply.epoch > l->seen[log])
                l->seen[log] = group[i]->reply.epoch;
        }
    }
    if (v == SQL_AWAY && l->open)
        drop(l);
    else if (v != SQL_OK && l->open)
        tell_link(l, false, l->sql.fault);
    else if (v == SQL_OK)
        tell_link(l, true, "");
    pthread_mutex_lock(&l->mutex);
    l->stats.rows += written;
    l->stats.groups++;
    pthread_mutex_unlock(&l->mutex);
}

/* --- the thread: queries ---------------------------------------------------------------------- */

struct keeping {
    struct job *job;
    uint32_t limit;
    bool more;
};

static void keep_row(void *ctx, const struct log_row *row)
{
    struct keeping *k = ctx;
    struct job *j = k->job;
    if (j->reply.row_count == k->limit) {
        k->more = true;
        return;
    }
    struct answer_row *to = &j->answer->kept[j->reply.row_count];
    struct log_row own = *row;
    const char **texts[] = {&own.event, &own.subject, &own.agent, &own.type,
                            &own.actor, &own.prev,    &own.hash};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        snprintf(to->text[i], sizeof to->text[i], "%s", *texts[i]);
        *texts[i] = to->text[i];
    }
    snprintf(to->id, sizeof to->id, "%s", row->id);
    snprintf(to->body, sizeof to->body, "%s", row->body);
    own.id = to->id;
    own.body = to->body;
    log_row_fields(&own, &to->numbers, to->fields, &j->answer->rows[j->reply.row_count]);
    j->reply.row_count++;
    j->reply.cursor = row->seq;
}

static enum sql_verdict query(struct sql_log *l, struct job *j)
{
    struct log_filter filter;
    const char *wrong = log_filter_of(&j->op, &l->room, &filter);
    if (wrong != NULL) {
        j->reply.verdict = STORE_INVALID;
        j->reply.detail = wrong;
        return SQL_OK;
    }
    struct keeping k = {.job = j, .limit = j->op.limit};
    enum sql_verdict v =
        sql_table_query(&l->sql, j->op.key, &filter, j->op.cursor, j->op.limit + 1, keep_row, &k);
    j->reply.verdict = STORE_OK;
    j->reply.rows = j->answer->rows;
    if (!k.more)
        j->reply.cursor = 0;
    return v;
}

static enum sql_verdict verify(struct sql_log *l, struct job *j)
{
    struct sql_head head;
    struct answer_row *to = &j->answer->kept[0];
    uint64_t last = 0;
    enum sql_verdict v = sql_table_head(&l->sql, j->op.key, &head);
    if (v == SQL_OK)
        v = sql_table_verify(&l->sql, j->op.key, j->op.cursor, j->op.limit, to->body,
                             sizeof to->body, &last);
    uint32_t log = log_index(j->op.key);
    if (v == SQL_OK && to->body[0] == '\0' && head.seq < l->seen[log])
        snprintf(to->body, sizeof to->body, "rows after row %llu are gone: there were %llu",
                 (unsigned long long)head.seq, (unsigned long long)l->seen[log]);
    snprintf(to->text[0], sizeof to->text[0], "%s", head.hash);
    to->fields[0] = (struct store_field){"hash", to->text[0], LOG_HASH_TEXT - 1};
    j->answer->rows[0] = (struct store_row){.fields = to->fields, .field_count = 1};
    j->reply.verdict = STORE_OK;
    j->reply.rows = j->answer->rows;
    j->reply.row_count = 1;
    j->reply.epoch = head.seq;
    j->reply.cursor = to->body[0] == '\0' && last < head.seq ? last : 0;
    j->reply.body = (const uint8_t *)to->body;
    j->reply.body_bytes = (uint32_t)strlen(to->body);
    return v;
}

static void read_one(struct sql_log *l, struct job *j)
{
    j->answer = calloc(1, sizeof *j->answer);
    if (j->answer == NULL) {
        j->reply.verdict = STORE_BUSY;
        j->reply.detail = "log: out of memory";
        return;
    }
    enum sql_verdict v = ready(l);
    if (v == SQL_OK)
        v = j->op.kind == STORE_LOG_QUERY ? query(l, j) : verify(l, j);
    if (v != SQL_OK) {
        j->reply = (struct store_reply){.ref = j->op.ref, .kind = j->op.kind};
        answer(l, j, v);
    }
    if (v == SQL_AWAY && l->open)
        drop(l);
}

/* --- the thread ------------------------------------------------------------------------------- */

/* Takes the appends at the head of the queue, or one other job. */
static uint32_t take_group(struct sql_log *l, struct job **group)
{
    uint32_t count = 0;
    while (l->asked.first != NULL && count < LOG_GROUP_MAX) {
        struct job *j = l->asked.first;
        if (count > 0 && j->op.kind != STORE_LOG_APPEND)
            break;
        l->asked.first = j->next;
        if (l->asked.first == NULL)
            l->asked.last = &l->asked.first;
        group[count++] = j;
        if (j->op.kind != STORE_LOG_APPEND)
            break;
    }
    return count;
}

static void *run(void *arg)
{
    struct sql_log *l = arg;
    struct job *group[LOG_GROUP_MAX];
    (void)ready(l); /* so that a wrong path is known before the first row */
    pthread_mutex_lock(&l->mutex);
    while (!l->closing) {
        uint32_t count = take_group(l, group);
        if (count == 0) {
            pthread_cond_wait(&l->wake, &l->mutex);
            continue;
        }
        pthread_mutex_unlock(&l->mutex);
        if (group[0]->op.kind == STORE_LOG_APPEND)
            append_group(l, group, count);
        else
            read_one(l, group[0]);
        pthread_mutex_lock(&l->mutex);
        for (uint32_t i = 0; i < count; i++)
            jobs_put(&l->done, group[i]);
        uv_async_send(&l->async);
    }
    pthread_mutex_unlock(&l->mutex);
    if (l->open)
        l->sql.kind->close(&l->sql);
    return NULL;
}

/* --- the loop --------------------------------------------------------------------------------- */

static void job_free(struct job *j)
{
    free(j->answer);
    free(j);
}

static void on_async(uv_async_t *async)
{
    struct sql_log *l = async->data;
    char why[SQL_FAULT_MAX];
    pthread_mutex_lock(&l->mutex);
    struct job *j = l->done.first;
    jobs_init(&l->done);
    bool news = l->link_news, up = l->stats.up;
    l->link_news = false;
    memcpy(why, l->why, sizeof why);
    pthread_mutex_unlock(&l->mutex);
    if (news && l->on_link != NULL)
        l->on_link(l->ctx, up, why);
    while (j != NULL) {
        struct job *next = j->next;
        if (!l->closing)
            l->on_reply(l->ctx, j->tag, &j->reply);
        pthread_mutex_lock(&l->mutex);
        l->stats.waiting--;
        l->bytes -= j->bytes;
        l->stats.refused += j->reply.verdict != STORE_OK && j->reply.verdict != STORE_EXISTS;
        pthread_mutex_unlock(&l->mutex);
        job_free(j);
        j = next;
    }
}

const char *sql_log_url_problem(const char *url)
{
    const struct sql_kind *kind;
    const char *where;
    return sql_url(url, &kind, &where);
}

int sql_log_new(uv_loop_t *loop, const struct sql_log_conf *conf, sql_log_reply on_reply,
                sql_log_link on_link, void *ctx, struct sql_log **ret)
{
    assert(loop && conf && conf->url);
    assert(on_reply && ret);
    struct sql_log *l = calloc(1, sizeof *l);
    if (l == NULL || (l->url = strdup(conf->url)) == NULL) {
        free(l);
        return -ENOMEM;
    }
    if (sql_url(l->url, &l->sql.kind, &l->where) != NULL) {
        free(l->url);
        free(l);
        return -EINVAL;
    }
    l->on_reply = on_reply;
    l->on_link = on_link;
    l->ctx = ctx;
    l->queue_max = conf->queue_max > 0 ? conf->queue_max : QUEUE_MAX;
    l->queue_bytes_max = conf->queue_bytes_max > 0 ? conf->queue_bytes_max : QUEUE_BYTES_MAX;
    jobs_init(&l->asked);
    jobs_init(&l->done);
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->wake, NULL);
    int error = uv_async_init(loop, &l->async, on_async);
    if (error == 0) {
        l->async.data = l;
        error = -pthread_create(&l->thread, NULL, run, l);
    }
    assert(error == 0); /* at the start of a process: nothing sensible can follow */
    *ret = l;
    return 0;
}

/* Answered by the next turn of the loop, without the thread. */
static bool refuse(struct sql_log *l, struct job *j, enum store_verdict verdict, const char *why)
{
    j->reply.verdict = verdict;
    j->reply.detail = why;
    jobs_put(&l->done, j);
    uv_async_send(&l->async);
    return true;
}

bool sql_log_submit(struct sql_log *l, const struct store_op *op, void *tag)
{
    assert(l && op);
    assert(store_op_check(op) != NULL || store_bank(op->kind) == STORE_BANK_LOG);
    if (l->closing)
        return false;
    const char *wrong = store_op_check(op);
    uint32_t room = wrong == NULL ? store_op_extra_bytes(op) + 16u : 0;
    struct job *j = calloc(1, sizeof *j + room);
    if (j == NULL)
        return false;
    j->tag = tag;
    j->bytes = (uint32_t)sizeof *j + room;
    if (wrong == NULL)
        (void)store_op_copy(op, &j->op, j->room, room);
    j->reply = (struct store_reply){.ref = op->ref, .kind = op->kind};
    pthread_mutex_lock(&l->mutex);
    bool full = l->stats.waiting >= l->queue_max || l->bytes + j->bytes > l->queue_bytes_max;
    l->stats.waiting++;
    l->bytes += j->bytes;
    if (wrong != NULL) {
        (void)refuse(l, j, STORE_INVALID, wrong);
    } else if (full) {
        (void)refuse(l, j, STORE_BUSY, "log: its queue is full");
    } else {
        jobs_put(&l->asked, j);
        pthread_cond_signal(&l->wake);
    }
    pthread_mutex_unlock(&l->mutex);
    return true;
}

static void on_closed(uv_handle_t *handle)
{
    struct sql_log *l = handle->data;
    struct jobs *queues[] = {&l->asked, &l->done};
    for (int i = 0; i < 2; i++)
        while (queues[i]->first != NULL) {
            struct job *j = queues[i]->first;
            queues[i]->first = j->next;
            job_free(j);
        }
    pthread_mutex_destroy(&l->mutex);
    pthread_cond_destroy(&l->wake);
    free(l->url);
    free(l);
}

void sql_log_close(struct sql_log *l)
{
    assert(l && !l->closing);
    pthread_mutex_lock(&l->mutex);
    l->closing = true;
    pthread_cond_signal(&l->wake);
    pthread_mutex_unlock(&l->mutex);
    pthread_join(l->thread, NULL);
    uv_close((uv_handle_t *)&l->async, on_closed);
}

void sql_log_stats(struct sql_log *l, struct sql_log_stats *ret)
{
    pthread_mutex_lock(&l->mutex);
    *ret = l->stats;
    pthread_mutex_unlock(&l->mutex);
}
