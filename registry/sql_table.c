/* The logs in SQL: the same statements on SQLite and PostgreSQL. A table's name is one of three
 * words of the contract (store_op_check), never text from outside.
 *
 * Statements are built once for each use; the cost of a row is its commit, and rows are committed
 * in groups (sql_log.c). */
#include "registry/sql_table.h"
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATEMENT_MAX 1024
#define COLUMNS_WHAT  "seq, at_us, id, event, subject, agent, type"
#define COLUMNS       COLUMNS_WHAT ", priority, actor, body, prev, hash"

/* In the order of COLUMNS. */
enum {
    C_SEQ,
    C_AT,
    C_ID,
    C_EVENT,
    C_SUBJECT,
    C_AGENT,
    C_TYPE,
    C_PRIORITY,
    C_ACTOR,
    C_BODY,
    C_PREV,
    C_HASH
};

static const char *const logs[] = {"conflicts", "audit", "grants", "incidents"};

const char *sql_url(const char *url, const struct sql_kind **ret_kind, const char **ret_where)
{
    assert(url && ret_kind && ret_where);
    if (strncmp(url, "sqlite:", 7) == 0 && url[7] != '\0') {
        *ret_kind = &sql_sqlite;
        *ret_where = url + 7;
        return NULL;
    }
    if (strncmp(url, "postgresql://", 13) == 0 || strncmp(url, "postgres://", 11) == 0) {
        *ret_kind = &sql_postgres;
        *ret_where = url;
        return NULL;
    }
    return "write sqlite:PATH or postgresql://[user@]host[:port]/database";
}

/* `log` for every %s of a statement of ours. */
static void fill(char ret[STATEMENT_MAX], const char *pattern, const char *log)
{
    size_t used = 0;
    for (const char *p = pattern; *p; p++) {
        if (p[0] == '%' && (p[1] == 's' || p[1] == '%')) {
            int n = snprintf(ret + used, STATEMENT_MAX - used, "%s", p[1] == 's' ? log : "%");
            used += (size_t)n;
            p++;
        } else {
            ret[used++] = *p;
        }
        assert(used < STATEMENT_MAX - 1);
    }
    ret[used] = '\0';
}

static bool take_count(void *ctx, const char *const *columns, int count)
{
    (void)count;
    *(uint64_t *)ctx = strtoull(columns[0], NULL, 10);
    return true;
}

static enum sql_verdict guards_of(struct sql *sql, const char *log, uint64_t *ret)
{
    *ret = 0;
    return sql->kind->run(sql, sql->kind->triggers, &log, 1, take_count, ret);
}

static enum sql_verdict make_one(struct sql *sql, const char *log)
{
    static const char *const indexes[] = {"at_us", "agent", "type", "subject"};
    char text[STATEMENT_MAX];
    uint64_t guards = 0;
    enum sql_verdict v = guards_of(sql, log, &guards);
    if (v != SQL_OK || guards >= 3)
        return v;
    const char *integer = sql->kind->integer;
    snprintf(text, sizeof text,
             "CREATE TABLE IF NOT EXISTS %s (seq %s PRIMARY KEY, at_us %s NOT NULL, id TEXT NOT "
             "NULL UNIQUE, event TEXT NOT NULL, subject TEXT NOT NULL, agent TEXT NOT NULL, type "
             "TEXT NOT NULL, priority INTEGER NOT NULL, actor TEXT NOT NULL, body TEXT NOT NULL, "
             "prev TEXT NOT NULL, hash TEXT NOT NULL)",
             log, integer, integer);
    v = sql->kind->run(sql, text, NULL, 0, NULL, NULL);
    for (size_t i = 0; i < sizeof indexes / sizeof indexes[0] && v == SQL_OK; i++) {
        snprintf(text, sizeof text, "CREATE INDEX IF NOT EXISTS %s_by_%s ON %s (%s, seq)", log,
                 indexes[i], log, indexes[i]);
        v = sql->kind->run(sql, text, NULL, 0, NULL, NULL);
    }
    for (const char *const *g = sql->kind->guards; *g && v == SQL_OK; g++) {
        fill(text, *g, log);
        v = sql->kind->run(sql, text, NULL, 0, NULL, NULL);
    }
    return v;
}

enum sql_verdict sql_table_make(struct sql *sql)
{
    /* In one transaction: a standby may be making them at the same moment. */
    enum sql_verdict v = sql->kind->run(sql, sql->kind->begin, NULL, 0, NULL, NULL);
    if (v == SQL_OK && sql->kind->lock != NULL)
        v = sql->kind->run(sql, sql->kind->lock, logs, 1, NULL, NULL);
    for (size_t i = 0; i < sizeof logs / sizeof logs[0] && v == SQL_OK; i++)
        v = make_one(sql, logs[i]);
    return v == SQL_OK ? sql->kind->run(sql, "COMMIT", NULL, 0, NULL, NULL) : v;
}

static bool take_head(void *ctx, const char *const *columns, int count)
{
    struct sql_head *h = ctx;
    (void)count;
    h->seq = strtoull(columns[0], NULL, 10);
    snprintf(h->hash, sizeof h->hash, "%s", columns[1]);
    return true;
}

enum sql_verdict sql_table_head(struct sql *sql, const char *log, struct sql_head *ret)
{
    char text[STATEMENT_MAX];
    *ret = (struct sql_head){.hash = LOG_FIRST};
    fill(text, "SELECT seq, hash FROM %s ORDER BY seq DESC LIMIT 1", log);
    return sql->kind->run(sql, text, NULL, 0, take_head, ret);
}

enum sql_verdict sql_table_append(struct sql *sql, const char *log, struct log_row *row,
                                  struct sql_head *head, bool *ret_known)
{
    char text[STATEMENT_MAX], seq[24], at_us[24], priority[24], hash[LOG_HASH_TEXT];
    uint64_t known = 0;
    fill(text, "SELECT seq FROM %s WHERE id = $1", log);
    enum sql_verdict v = sql->kind->run(sql, text, &row->id, 1, take_count, &known);
    *ret_known = known > 0;
    if (v != SQL_OK || known > 0) {
        row->seq = known;
        return v;
    }
    row->seq = head->seq + 1;
    row->prev = head->hash;
    log_row_hash(log, row, hash);
    snprintf(seq, sizeof seq, "%" PRIu64, row->seq);
    snprintf(at_us, sizeof at_us, "%" PRId64, row->at_us);
    snprintf(priority, sizeof priority, "%" PRIu32, row->priority);
    const char *const parameters[] = {seq,          at_us,      row->id,   row->event,
                                      row->subject, row->agent, row->type, priority,
                                      row->actor,   row->body,  row->prev, hash};
    fill(text,
         "INSERT INTO %s (" COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
         log);
    v = sql->kind->run(sql, text, parameters, 12, NULL, NULL);
    if (v == SQL_OK) {
        head->seq = row->seq;
        memcpy(head->hash, hash, sizeof hash);
    }
    return v;
}

static void row_of(const char *const *c, struct log_row *ret)
{
    *ret = (struct log_row){.seq = strtoull(c[C_SEQ], NULL, 10),
                            .at_us = strtoll(c[C_AT], NULL, 10),
                            .priority = (uint32_t)strtoul(c[C_PRIORITY], NULL, 10),
                            .id = c[C_ID],
                            .event = c[C_EVENT],
                            .subject = c[C_SUBJECT],
                            .agent = c[C_AGENT],
                            .type = c[C_TYPE],
                            .actor = c[C_ACTOR],
                            .body = c[C_BODY],
                            .prev = c[C_PREV],
                            .hash = c[C_HASH]};
}

/* --- queries --------------------------------------------------------------------------------- */

/* A statement that grows with its parameters. */
struct builder {
    char text[STATEMENT_MAX];
    size_t used;
    const char *parameters[SQL_PARAMETERS_MAX];
    int count;
};

/* The condition ends where the parameter's number goes. */
static void where(struct builder *b, const char *condition, const char *parameter)
{
    int n = snprintf(b->text + b->used, sizeof b->text - b->used, "%s%d", condition, b->count + 1);
    assert(n > 0 && (size_t)n < sizeof b->text - b->used && b->count < SQL_PARAMETERS_MAX);
    b->used += (size_t)n;
    b->parameters[b->count++] = parameter;
}

static void where_text(struct builder *b, const char *condition, const char *parameter)
{
    if (parameter[0] != '\0')
        where(b, condition, parameter);
}

struct taking {
    sql_take take;
    void *ctx;
};

static bool take_row(void *ctx, const char *const *columns, int count)
{
    struct taking *t = ctx;
    struct log_row row;
    assert(count == 12);
    (void)count;
    row_of(columns, &row);
    t->take(t->ctx, &row);
    return true;
}

enum sql_verdict sql_table_query(struct sql *sql, const char *log, const struct log_filter *f,
                                 uint64_t cursor, uint32_t limit, sql_take take, void *ctx)
{
    struct builder b = {.used = 0};
    char from[24], since[24], until[24], priority[24], within[80];
    snprintf(from, sizeof from, "%" PRIu64, f->newest && cursor == 0 ? INT64_MAX : cursor);
    snprintf(since, sizeof since, "%" PRId64, f->since_us);
    snprintf(until, sizeof until, "%" PRId64, f->until_us);
    snprintf(priority, sizeof priority, "%" PRIu32, f->priority);
    snprintf(within, sizeof within, "%s.%%", f->agent); /* what lies in a place */
    b.used = (size_t)snprintf(b.text, sizeof b.text, "SELECT " COLUMNS " FROM %s r WHERE ", log);
    where(&b, f->newest ? "seq < $" : "seq > $", from);
    where(&b, " AND at_us >= $", since);
    where(&b, " AND at_us <= $", until);
    where(&b, " AND priority >= $", priority);
    where_text(&b, " AND event = $", f->event);
    where_text(&b, " AND subject = $", f->subject);
    where_text(&b, " AND type = $", f->type);
    where_text(&b, " AND actor = $", f->actor);
    if (f->agent[0] != '\0') {
        where(&b, " AND (agent = $", f->agent);
        where(&b, " OR agent LIKE $", within);
        b.text[b.used++] = ')';
        b.text[b.used] = '\0';
    }
    int n = snprintf(
        b.text + b.used, sizeof b.text - b.used, "%s%s%s ORDER BY seq %s LIMIT %" PRIu32,
        f->open ? " AND event = 'opened' AND NOT EXISTS (SELECT 1 FROM " : "", f->open ? log : "",
        f->open ? " e WHERE e.subject = r.subject AND e.event = 'resolved')" : "",
        f->newest ? "DESC" : "ASC", limit);
    assert(n > 0 && (size_t)n < sizeof b.text - b.used);
    (void)n;
    struct taking t = {take, ctx};
    return sql->kind->run(sql, b.text, b.parameters, b.count, take_row, &t);
}

/* --- verification ---------------------------------------------------------------------------- */

struct checking {
    const char *log;
    uint64_t last;
    char prev[LOG_HASH_TEXT];
    char *finding;
    size_t finding_bytes;
};

static bool check_row(void *ctx, const char *const *columns, int count)
{
    struct checking *c = ctx;
    struct log_row row;
    char hash[LOG_HASH_TEXT];
    assert(count == 12);
    (void)count;
    row_of(columns, &row);
    log_row_hash(c->log, &row, hash);
    if (row.seq != c->last + 1)
        snprintf(c->finding, c->finding_bytes,
                 "row %" PRIu64 " is missing: row %" PRIu64 " follows row %" PRIu64, c->last + 1,
                 row.seq, c->last);
    else if (strcmp(hash, row.hash) != 0)
        snprintf(c->finding, c->finding_bytes,
                 "row %" PRIu64 " (%.40s, %.20s) was changed: its content has not its hash",
                 row.seq, row.id, row.event);
    else if (strcmp(row.prev, c->prev) != 0)
        snprintf(c->finding, c->finding_bytes,
                 "row %" PRIu64 " does not follow row %" PRIu64
                 ": the chain is broken between them",
                 row.seq, c->last);
    else {
        c->last = row.seq;
        snprintf(c->prev, sizeof c->prev, "%s", hash);
        return true;
    }
    return false;
}

static bool take_hash(void *ctx, const char *const *columns, int count)
{
    (void)count;
    snprintf(ctx, LOG_HASH_TEXT, "%s", columns[0]);
    return true;
}

enum sql_verdict sql_table_verify(struct sql *sql, const char *log, uint64_t cursor, uint32_t limit,
                                  char *finding, size_t finding_bytes, uint64_t *ret_last)
{
    char text[STATEMENT_MAX], from[24], most[24];
    uint64_t guards = 0;
    struct checking c = {.log = log,
                         .last = cursor,
                         .prev = LOG_FIRST,
                         .finding = finding,
                         .finding_bytes = finding_bytes};
    finding[0] = '\0';
    *ret_last = cursor;
    snprintf(from, sizeof from, "%" PRIu64, cursor);
    snprintf(most, sizeof most, "%" PRIu32, limit);
    const char *const parameters[] = {from, most};
    enum sql_verdict v = guards_of(sql, log, &guards);
    if (v == SQL_OK && guards < 3) {
        snprintf(finding, finding_bytes,
                 "the triggers that forbid UPDATE and DELETE on %s are gone", log);
        return v;
    }
    if (v == SQL_OK && cursor > 0) {
        fill(text, "SELECT hash FROM %s WHERE seq = $1", log);
        v = sql->kind->run(sql, text, parameters, 1, take_hash, c.prev);
    }
    if (v == SQL_OK) {
        fill(text, "SELECT " COLUMNS " FROM %s WHERE seq > $1 ORDER BY seq LIMIT $2", log);
        v = sql->kind->run(sql, text, parameters, 2, check_row, &c);
    }
    *ret_last = c.last;
    return v;
}
