/* Logs: one line of key=value pairs on stderr for each fact.
 *
 *     2026-01-02T03:04:05.678901Z level=info process=cluster-1 msg=started epoch=12
 *
 * Values with blanks, quotes or control characters are quoted. Lines of one kind that come faster
 * than LOG_BURST in a second are counted instead, and the next line of that kind says how many. */
#ifndef TIERS_RUNNER_LOG_H
#define TIERS_RUNNER_LOG_H

#include "core/note.h"
#include "tiers/runner/config.h"
#include <stdbool.h>
#include <stdint.h>

#define LOG_LINE_MAX 1024u /* longer lines are cut */
#define LOG_BURST    20u
#define LOG_KINDS    128u /* rate limits: notes, then texts by their hash */

struct log_limit {
    int64_t second;
    uint32_t lines, dropped;
};

struct log {
    enum log_level level;
    char process[TOKEN_MAX + 1];
    int fd;
    uint64_t lines, suppressed;
    struct log_limit limits[LOG_KINDS];
};

void log_init(struct log *log, const char *process, enum log_level level);

/* msg: a word with hyphens. format: the further pairs ("why=\"%s\""), or "". */
void log_line(struct log *log, enum log_level level, const char *msg, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* A note of a node, by the names of core/note.h. */
void log_note(struct log *log, struct unit from, const struct note_record *note);

/* Text from outside made fit for a quoted value: control characters and quotes become '.'. */
void log_clean(const char *text, char *ret, size_t size);

#endif
