/* The logs: conflicts, audit, grants, incidents. Append only, hash-chained, kept for ever (design
 * 6, issue "parts die, nothing is lost"). What is common to the log in SQL (sql_log.h) and the one
 * in memory: the shape of a row, its hash, the filters of a query.
 *
 * A row, all of it text except seq, at_us and priority:
 *   seq       1, 2, 3 .. without gaps
 *   at_us     when it happened, mesh time (Unix microseconds)
 *   id        its idempotency id: appending it twice is one row
 *   event     what happened: "opened", "step", "resolved" (conflicts); "command" (audit)
 *   subject   what it is about: the conflict's id; the command's
 *   agent     whom it concerns: a place, "s07.c3.a12", "s07", "mesh"
 *   type      a conflict's type; a command's name
 *   priority  0 to 4
 *   actor     who did it: an agent, a console, "mesh"
 *   body      more, as JSON text; STORE_LOG_BODY_MAX bytes at most
 *   prev      the hash of the row before it (64 zeros for the first)
 *   hash      BLAKE2b-256 over all of the above, each with its length in front, in hex
 *
 * In a store op and in rows, at_us .. actor are fields; in rows also seq, prev and hash. Filters of
 * STORE_LOG_QUERY: since_us, until_us, event, subject, agent (a place covers what lies in it),
 * type, actor, priority (that or more), open = 1 (rows "opened" whose subject has no row
 * "resolved"), newest = 1 (from the newest back; the cursor then counts down). */
#ifndef REGISTRY_LOG_H
#define REGISTRY_LOG_H

#include "core/store.h"
#include <stdbool.h>
#include <stdint.h>

#define LOG_HASH_TEXT 65u /* 64 hex digits and NUL */
#define LOG_FIELDS    10u /* of a row in a reply */
#define LOG_FIRST     "0000000000000000000000000000000000000000000000000000000000000000"

struct log_row {
    uint64_t seq;
    int64_t at_us;
    uint32_t priority;
    const char *id, *event, *subject, *agent, *type, *actor, *body, *prev, *hash;
};

struct log_filter {
    int64_t since_us, until_us; /* 0, INT64_MAX: none */
    uint32_t priority;
    bool open, newest;
    const char *event, *subject, *agent, *type, *actor; /* "": any */
};

/* Texts of a row or a filter that had to be copied (fields are not NUL-terminated). */
struct log_room {
    char text[8][STORE_FIELD_VALUE_MAX + 1];
    char body[STORE_LOG_BODY_MAX + 1];
    uint32_t used;
};

/* Numbers of a row as text, for its fields. */
struct log_numbers {
    char seq[24], at_us[24], priority[24];
};

/* The row that an append asks for, without seq, prev and hash. NULL, or what is wrong with it:
 * unknown or missing fields, bytes that are no UTF-8 text. */
const char *log_row_of(const struct store_op *op, struct log_room *room, struct log_row *ret);
const char *log_filter_of(const struct store_op *op, struct log_room *room, struct log_filter *ret);
bool log_filter_takes(const struct log_filter *filter, const struct log_row *row);

/* The row's hash from all its parts and the log's name. */
void log_row_hash(const char *log, const struct log_row *row, char ret[LOG_HASH_TEXT]);

/* A reply's row; it borrows from row and numbers. */
void log_row_fields(const struct log_row *row, struct log_numbers *numbers,
                    struct store_field fields[LOG_FIELDS], struct store_row *ret);

#endif
