/* SQLite: WAL with synchronous = FULL, so that a commit is on the disk when it returns. Guards are
 * triggers: also INSERT OR REPLACE, which deletes without asking a DELETE trigger, is refused.
 *
 * The file's device and inode are looked at before each use: a log whose file was moved away or
 * deleted would take writes that nobody ever finds again. */
#include "registry/sql.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BUSY_MS 2000

struct lite {
    sqlite3 *db;
    char *path;
    dev_t device;
    ino_t inode;
};

static enum sql_verdict verdict_of(struct sql *sql, int code)
{
    struct lite *l = sql->handle;
    int extended = l != NULL && l->db != NULL ? sqlite3_extended_errcode(l->db) : code;
    snprintf(sql->fault, sizeof sql->fault, "sqlite: %s",
             l != NULL && l->db != NULL ? sqlite3_errmsg(l->db) : sqlite3_errstr(code));
    switch (extended & 0xff) {
    case SQLITE_FULL:
        return SQL_FULL;
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return SQL_READONLY;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return SQL_BUSY;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return SQL_AWAY;
    default:
        return SQL_REFUSED;
    }
}

static void lite_close(struct sql *sql)
{
    struct lite *l = sql->handle;
    if (l == NULL)
        return;
    sqlite3_close(l->db);
    free(l->path);
    free(l);
    sql->handle = NULL;
}

static bool lite_same(struct sql *sql)
{
    struct lite *l = sql->handle;
    struct stat now;
    bool same = stat(l->path, &now) == 0 && now.st_dev == l->device && now.st_ino == l->inode;
    if (!same)
        snprintf(sql->fault, sizeof sql->fault, "sqlite: the file was moved, replaced or deleted");
    return same;
}

static enum sql_verdict away(struct sql *sql, const char *what)
{
    snprintf(sql->fault, sizeof sql->fault, "sqlite: %s", what);
    lite_close(sql);
    return SQL_AWAY;
}

static enum sql_verdict lite_open(struct sql *sql, const char *where)
{
    struct stat now;
    struct lite *l = calloc(1, sizeof *l);
    sql->handle = l;
    if (l == NULL || (l->path = strdup(where)) == NULL)
        return away(sql, "out of memory");
    /* Made here, so that others cannot read it; SQLite would make it 0644. */
    int fd = open(where, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, &now) != 0) {
        char why[160];
        snprintf(why, sizeof why, "%.100s: %s", where, strerror(errno));
        if (fd >= 0)
            close(fd);
        return away(sql, why);
    }
    close(fd);
    l->device = now.st_dev;
    l->inode = now.st_ino;
    int code = sqlite3_open_v2(where, &l->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
    if (code == SQLITE_OK) {
        sqlite3_busy_timeout(l->db, BUSY_MS);
        sqlite3_extended_result_codes(l->db, 1);
        code = sqlite3_exec(l->db, "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;", NULL, NULL,
                            NULL);
    }
    if (code != SQLITE_OK) {
        enum sql_verdict v = verdict_of(sql, code);
        lite_close(sql);
        return v;
    }
    return SQL_OK;
}

static int bind_all(sqlite3_stmt *at, const char *const *parameters, int count)
{
    int code = SQLITE_OK;
    for (int i = 0; i < count && code == SQLITE_OK; i++)
        code = sqlite3_bind_text(at, i + 1, parameters[i], -1, SQLITE_STATIC);
    return code;
}

static enum sql_verdict lite_run(struct sql *sql, const char *statement,
                                 const char *const *parameters, int count, sql_row row, void *ctx)
{
    struct lite *l = sql->handle;
    sqlite3_stmt *at = NULL;
    int code = sqlite3_prepare_v2(l->db, statement, -1, &at, NULL);
    assert(code != SQLITE_OK || sqlite3_bind_parameter_count(at) == count);
    if (code == SQLITE_OK)
        code = bind_all(at, parameters, count);
    while (code == SQLITE_OK && (code = sqlite3_step(at)) == SQLITE_ROW) {
        const char *columns[SQL_COLUMNS_MAX];
        int n = sqlite3_column_count(at);
        assert(n <= SQL_COLUMNS_MAX);
        for (int i = 0; i < n; i++) {
            const char *text = (const char *)sqlite3_column_text(at, i);
            columns[i] = text != NULL ? text : "";
        }
        code = row == NULL || row(ctx, columns, n) ? SQLITE_OK : SQLITE_DONE;
    }
    enum sql_verdict v = code == SQLITE_DONE ? SQL_OK : verdict_of(sql, code);
    sqlite3_finalize(at);
    return v;
}

static const char *const guards[] = {
    "CREATE TRIGGER IF NOT EXISTS %s_no_update BEFORE UPDATE ON %s BEGIN "
    "SELECT RAISE(ABORT, 'this log is append only: no UPDATE'); END",
    "CREATE TRIGGER IF NOT EXISTS %s_no_delete BEFORE DELETE ON %s BEGIN "
    "SELECT RAISE(ABORT, 'this log is append only: no DELETE'); END",
    "CREATE TRIGGER IF NOT EXISTS %s_no_replace BEFORE INSERT ON %s WHEN NEW.seq IS NOT "
    "(SELECT coalesce(max(seq), 0) + 1 FROM %s) OR EXISTS (SELECT 1 FROM %s WHERE id = NEW.id) "
    "BEGIN SELECT RAISE(ABORT, 'this log is append only: rows come in order, once'); END",
    NULL};

const struct sql_kind sql_sqlite = {
    .name = "sqlite",
    .open = lite_open,
    .close = lite_close,
    .same = lite_same,
    .run = lite_run,
    .begin = "BEGIN IMMEDIATE",
    .integer = "INTEGER",
    .triggers = "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND tbl_name = $1",
    .guards = guards};
