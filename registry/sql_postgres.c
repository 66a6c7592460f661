/* PostgreSQL by libpq. A statement is sent and its answer awaited with a deadline of our own: over
 * TCP a stopped server would otherwise hold the thread for ever. synchronous_commit is switched on
 * whatever the server's default. Guards are triggers, TRUNCATE's included; a role that may only
 * INSERT and SELECT is the stronger one (docs/CONFLICTS.md). */
#include "registry/sql.h"
#include <assert.h>
#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void fault(struct sql *sql, const char *text)
{
    snprintf(sql->fault, sizeof sql->fault, "postgresql: %.*s", (int)strcspn(text, "\n"), text);
}

static void pg_close(struct sql *sql)
{
    PQfinish(sql->handle);
    sql->handle = NULL;
}

/* Waits until the socket is ready; false: the deadline has passed. */
static bool await(PGconn *c, short events, int64_t until_ms)
{
    struct pollfd p = {.fd = PQsocket(c), .events = events};
    int64_t left;
    while ((left = until_ms - now_ms()) > 0) {
        int n = poll(&p, 1, (int)left);
        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
    return false;
}

static bool connected(PGconn *c, int64_t until_ms)
{
    PostgresPollingStatusType s = PGRES_POLLING_WRITING;
    while (s != PGRES_POLLING_OK) {
        if (s == PGRES_POLLING_FAILED ||
            !await(c, s == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms))
            return false;
        s = PQconnectPoll(c);
    }
    return true;
}

static void quiet(void *ctx, const char *message)
{
    (void)ctx;
    (void)message; /* NOTICE: "relation exists, skipping" */
}

static enum sql_verdict verdict_of(struct sql *sql, const PGresult *r)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
    fault(sql, PQresultErrorMessage(r));
    if (state == NULL || strncmp(state, "08", 2) == 0 || strncmp(state, "57P", 3) == 0)
        return SQL_AWAY;
    if (strcmp(state, "53100") == 0 || strcmp(state, "53200") == 0)
        return SQL_FULL;
    if (strcmp(state, "25006") == 0 || strcmp(state, "42501") == 0)
        return SQL_READONLY;
    if (strcmp(state, "55P03") == 0 || strcmp(state, "40001") == 0 || strcmp(state, "40P01") == 0 ||
        strcmp(state, "53300") == 0)
        return SQL_BUSY;
    return SQL_REFUSED;
}

static bool give_rows(const PGresult *r, sql_row row, void *ctx)
{
    int count = PQnfields(r);
    assert(count <= SQL_COLUMNS_MAX);
    for (int i = 0; row != NULL && i < PQntuples(r); i++) {
        const char *columns[SQL_COLUMNS_MAX];
        for (int k = 0; k < count; k++)
            columns[k] = PQgetvalue(r, i, k);
        if (!row(ctx, columns, count))
            return false;
    }
    return true;
}

static enum sql_verdict pg_run(struct sql *sql, const char *statement,
                               const char *const *parameters, int count, sql_row row, void *ctx)
{
    PGconn *c = sql->handle;
    int64_t until_ms = now_ms() + SQL_TIMEOUT_MS;
    enum sql_verdict v = SQL_OK;
    PGresult *r;
    if (!PQsendQueryParams(c, statement, count, NULL, parameters, NULL, NULL, 0)) {
        fault(sql, PQerrorMessage(c));
        return SQL_AWAY;
    }
    for (;;) {
        while (PQisBusy(c)) {
            if (!await(c, POLLIN, until_ms)) {
                fault(sql, "no answer in time");
                return SQL_AWAY;
            }
            if (!PQconsumeInput(c)) {
                fault(sql, PQerrorMessage(c));
                return SQL_AWAY;
            }
        }
        r = PQgetResult(c);
        if (r == NULL)
            return v;
        ExecStatusType status = PQresultStatus(r);
        if (status == PGRES_TUPLES_OK && v == SQL_OK)
            (void)give_rows(r, row, ctx);
        else if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
            v = verdict_of(sql, r);
        PQclear(r);
    }
}

static enum sql_verdict pg_open(struct sql *sql, const char *where)
{
    PGconn *c = PQconnectStart(where);
    sql->handle = c;
    if (c == NULL) {
        fault(sql, "out of memory");
        return SQL_AWAY;
    }
    if (PQstatus(c) == CONNECTION_BAD || !connected(c, now_ms() + SQL_TIMEOUT_MS)) {
        const char *why = PQerrorMessage(c);
        fault(sql, why[0] != '\0' ? why : "no connection in time");
        pg_close(sql);
        return SQL_AWAY;
    }
    PQsetNoticeProcessor(c, quiet, NULL);
    static const char *const settings[] = {
        "SET synchronous_commit = on", "SET client_encoding = 'UTF8'", "SET lock_timeout = '2s'"};
    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++) {
        enum sql_verdict v = pg_run(sql, settings[i], NULL, 0, NULL, NULL);
        if (v != SQL_OK) {
            pg_close(sql);
            return v;
        }
    }
    return SQL_OK;
}

static bool pg_same(struct sql *sql)
{
    bool good = PQstatus(sql->handle) == CONNECTION_OK;
    if (!good)
        fault(sql, "the connection is lost");
    return good;
}

static const char *const guards[] = {
    "CREATE OR REPLACE FUNCTION %s_append_only() RETURNS trigger LANGUAGE plpgsql AS "
    "$$BEGIN RAISE EXCEPTION 'this log is append only: no %%', TG_OP; END$$",
    "CREATE OR REPLACE TRIGGER %s_no_update BEFORE UPDATE ON %s FOR EACH STATEMENT "
    "EXECUTE FUNCTION %s_append_only()",
    "CREATE OR REPLACE TRIGGER %s_no_delete BEFORE DELETE ON %s FOR EACH STATEMENT "
    "EXECUTE FUNCTION %s_append_only()",
    "CREATE OR REPLACE TRIGGER %s_no_truncate BEFORE TRUNCATE ON %s FOR EACH STATEMENT "
    "EXECUTE FUNCTION %s_append_only()",
    NULL};

const struct sql_kind sql_postgres = {
    .name = "postgresql",
    .open = pg_open,
    .close = pg_close,
    .same = pg_same,
    .run = pg_run,
    .begin = "BEGIN",
    /* LOCK TABLE would need more than INSERT; this needs nothing and ends with the transaction. */
    .lock = "SELECT pg_advisory_xact_lock(20033, hashtext($1))",
    .integer = "BIGINT",
    .triggers = "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass($1) AND NOT "
                "tgisinternal AND tgenabled <> 'D'",
    .guards = guards};
