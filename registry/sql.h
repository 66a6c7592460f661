/* A connection to a SQL database, blocking, for the one thread that owns it. Two kinds behind one
 * set of functions: SQLite, embedded (sql_sqlite.c), and PostgreSQL (sql_postgres.c).
 *
 * Statements use $1, $2 .. in the order in which they first appear; parameters and results are
 * text. A call that fails says how in the connection's `fault`; whoever meets SQL_AWAY closes the
 * connection and opens another. */
#ifndef REGISTRY_SQL_H
#define REGISTRY_SQL_H

#include <stdbool.h>
#include <stdint.h>

#define SQL_PARAMETERS_MAX 16
#define SQL_COLUMNS_MAX    16
#define SQL_FAULT_MAX      200u
#define SQL_TIMEOUT_MS     5000 /* of one statement; then the connection is given up */

enum sql_verdict {
    SQL_OK,
    SQL_FULL,     /* no space on the disk */
    SQL_READONLY, /* the database takes no writes, or this role may not write */
    SQL_BUSY,     /* another has it locked */
    SQL_REFUSED,  /* the statement: a constraint, a trigger, a fault in it */
    SQL_AWAY      /* the server or the file is not there, or does not answer */
};

struct sql {
    const struct sql_kind *kind;
    void *handle;
    char fault[SQL_FAULT_MAX];
};

/* false ends the statement early. Columns are valid during the call; NULL reads as "". */
typedef bool (*sql_row)(void *ctx, const char *const *columns, int count);

struct sql_kind {
    const char *name; /* "sqlite", "postgresql" */
    enum sql_verdict (*open)(struct sql *sql, const char *where);
    void (*close)(struct sql *sql);
    /* Still the database that was opened? A file may have been replaced under it. */
    bool (*same)(struct sql *sql);
    enum sql_verdict (*run)(struct sql *sql, const char *statement, const char *const *parameters,
                            int count, sql_row row, void *ctx);
    const char *begin;    /* opens a transaction that writes */
    const char *lock;     /* then: one writer at a time; NULL: begin did it */
    const char *integer;  /* type of 64-bit columns */
    const char *triggers; /* counts the enabled guards of table $1 */
    /* One statement each, with the table's name for every %s; NULL ends. */
    const char *const *guards;
};

extern const struct sql_kind sql_sqlite, sql_postgres;

/* sqlite:PATH or postgresql://... (libpq). Gives the kind and what follows; NULL, or what is wrong.
 */
const char *sql_url(const char *url, const struct sql_kind **ret_kind, const char **ret_where);

#endif
