/* The logs in SQL for a libuv loop: append, query and verify (core/store.h, STORE_LOG_*) are
 * carried out by one thread of its own, so that no disk and no database server ever holds the loop.
 *
 * An operation that was accepted is answered exactly once, from a libuv callback, unless the log is
 * closed before. Appends are committed in groups: whatever waits, LOG_GROUP_MAX rows at most, is
 * one transaction, and is answered OK only after its commit (SQLite: WAL, synchronous = FULL;
 * PostgreSQL: synchronous_commit = on).
 *
 *   queue_max or queue_bytes_max waiting     STORE_BUSY, at once: ask again later
 *   no space on the disk                     STORE_FULL
 *   read only, or the role may not           STORE_READONLY
 *   locked by another for longer than 2 s    STORE_BUSY
 *   server or file away, or no answer        STORE_UNKNOWN; an append may be repeated (its id)
 *   outside the contract                     STORE_INVALID
 *
 * `detail` says what was wrong in the database's words. While it is away it is tried again after
 * 0.2 s, doubling to 5 s; what is asked in between is answered UNKNOWN without a try.
 *
 * A log that has become shorter than this process has seen it (a file replaced by an older one) is
 * not written to: STORE_READONLY, naming both ends. */
#ifndef REGISTRY_SQL_LOG_H
#define REGISTRY_SQL_LOG_H

#include "core/store.h"
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#define LOG_GROUP_MAX 256u

struct sql_log;

struct sql_log_conf {
    const char *url;          /* sqlite:PATH or postgresql://.. */
    uint32_t queue_max;       /* operations waiting; 0: 4,096 */
    uint64_t queue_bytes_max; /* of them; 0: 16 MiB */
};

typedef void (*sql_log_reply)(void *ctx, void *tag, const struct store_reply *reply);
typedef void (*sql_log_link)(void *ctx, bool up, const char *why); /* "" when up */

/* 0, -EINVAL (the URL: sql_log_url_problem) or another negative errno. */
int sql_log_new(uv_loop_t *loop, const struct sql_log_conf *conf, sql_log_reply on_reply,
                sql_log_link on_link, void *ctx, struct sql_log **ret);
const char *sql_log_url_problem(const char *url); /* NULL: a URL of a log */

/* False: nothing will be answered (closing, or no memory). */
bool sql_log_submit(struct sql_log *log, const struct store_op *op, void *tag);

/* What is committed stays; the rest is not answered. Waits for the running statement
 * (SQL_TIMEOUT_MS at most). The memory goes when the loop has run. */
void sql_log_close(struct sql_log *log);

struct sql_log_stats {
    uint32_t waiting;
    uint64_t rows, groups, refused;
    bool up;
};
void sql_log_stats(struct sql_log *log, struct sql_log_stats *ret);

#endif
