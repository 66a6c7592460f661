/* One log as a table of a SQL database: made, appended to, queried, verified. Blocking. */
#ifndef REGISTRY_SQL_TABLE_H
#define REGISTRY_SQL_TABLE_H

#include "registry/log.h"
#include "registry/sql.h"

/* Where a log ends. */
struct sql_head {
    uint64_t seq;
    char hash[LOG_HASH_TEXT];
};

/* Makes the tables and guards where they are missing. A role without the right to make them may use
 * those that an administrator made. */
enum sql_verdict sql_table_make(struct sql *sql);

/* The last row of a log. */
enum sql_verdict sql_table_head(struct sql *sql, const char *log, struct sql_head *ret);

/* In a transaction of its own or the caller's: takes the number after *head, links the row, writes
 * it and moves *head. *ret_known: the row of this id is there already, as number row->seq. */
enum sql_verdict sql_table_append(struct sql *sql, const char *log, struct log_row *row,
                                  struct sql_head *head, bool *ret_known);

/* Calls take() for each row, in order, `limit` at most. */
typedef void (*sql_take)(void *ctx, const struct log_row *row);
enum sql_verdict sql_table_query(struct sql *sql, const char *log, const struct log_filter *filter,
                                 uint64_t cursor, uint32_t limit, sql_take take, void *ctx);

/* Checks rows cursor + 1 .. cursor + limit. `finding`: empty, or the first row that does not hold
 * and why. *ret_last: how far it came. */
enum sql_verdict sql_table_verify(struct sql *sql, const char *log, uint64_t cursor, uint32_t limit,
                                  char *finding, size_t finding_bytes, uint64_t *ret_last);

#endif
