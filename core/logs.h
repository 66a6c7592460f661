/* The logs as the mesh speaks of them: what a console asks, what it is told. The rows themselves
 * and where they are kept: registry/log.h. No pointers: all of it copies as it is. */
#ifndef CORE_LOGS_H
#define CORE_LOGS_H

#include "core/unit.h"
#include <stdbool.h>
#include <stdint.h>

#define LOG_PAGE_ROWS 8u    /* of one reply */
#define LOG_WORD_MAX  65u   /* event, subject, type, actor, hashes; with NUL */
#define LOG_ID_MAX    96u   /* with NUL */
#define LOG_BODY_MAX  4097u /* with NUL */

enum log_kind { LOG_CONFLICTS = 1, LOG_AUDIT, LOG_GRANTS, LOG_INCIDENTS, LOG_KIND_COUNT };
enum log_ask { LOG_ASK_ROWS = 1, LOG_ASK_VERIFY, LOG_ASK_COUNT };

const char *log_kind_name(enum log_kind log); /* "conflicts": the key in the store */

struct log_request {
    enum log_kind log;
    enum log_ask ask;
    uint64_t cursor;            /* 0: from the start (newest: from the end) */
    uint32_t limit;             /* ROWS: LOG_PAGE_ROWS at most; VERIFY: STORE_LOG_VERIFY_MAX */
    int64_t since_us, until_us; /* mesh time; 0: none */
    uint32_t priority;          /* that or more */
    bool open, newest;          /* conflicts without a resolution; newest first */
    struct unit agent;          /* a place and what lies in it; TIER_NONE: any */
    char event[16];             /* "" any, as the next */
    char subject[LOG_WORD_MAX];
    char type[LOG_WORD_MAX];
    char actor[LOG_WORD_MAX];
};

struct log_entry {
    uint64_t seq;
    int64_t at_us;
    uint32_t priority;
    char id[LOG_ID_MAX];
    char event[LOG_WORD_MAX], subject[LOG_WORD_MAX], agent[LOG_WORD_MAX], type[LOG_WORD_MAX];
    char actor[LOG_WORD_MAX], prev[LOG_WORD_MAX], hash[LOG_WORD_MAX];
    char body[LOG_BODY_MAX];
};

struct log_page {
    enum log_kind log;
    enum log_ask ask;
    uint64_t cursor;         /* for the next request; 0: that was the end */
    uint64_t last;           /* VERIFY: number of the log's last row */
    char head[LOG_WORD_MAX]; /* VERIFY: its hash */
    char finding[256];       /* VERIFY: "" or the first row that does not hold, and why */
    uint32_t count;
    struct log_entry entries[LOG_PAGE_ROWS];
};

enum conflict_keep { KEEP_NONE, KEEP_EXPECTED, KEEP_RECEIVED, KEEP_BOTH, KEEP_COUNT };

/* A person's decision. */
struct conflict_decision {
    char conflict[20]; /* its name, or the first letters of it */
    enum conflict_keep keep;
    char note[200];
};

#endif
