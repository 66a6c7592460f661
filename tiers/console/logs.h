/* `conflicts`, `incident` and `audit`: requests about the logs, page by page, and how their rows
 * are shown. */
#ifndef TIERS_CONSOLE_LOGS_H
#define TIERS_CONSOLE_LOGS_H

#include "core/commands.h"
#include "tiers/console/render.h"

struct log_view {
    bool verify, export, show, prefix; /* prefix: the name of a conflict is still being completed */
    char wanted[20];                   /* what was typed */
    char found[20];                    /* the one that it is the start of */
    uint64_t rows, left;               /* shown; still wanted */
    unsigned matches;
    char candidates[160];
    void *list; /* json_t: rows of one JSON answer */
};

enum log_next {
    LOG_MORE,
    LOG_DONE,
    LOG_NOT_FOUND,
    LOG_TOLD, /* not found, or ambiguous: the error was printed */
    LOG_FAILED
};

/* The command from the words; false: `error` says what is wrong. */
bool logs_build(const struct invocation *in, const struct topology *t, struct command *ret,
                char error[COMMAND_ERROR_MAX]);
/* Starts anew; call once for each round. */
void logs_begin(struct log_view *v, const struct invocation *in, struct command *command);
/* Takes a page; LOG_MORE: `command` is the next request. */
enum log_next logs_take(struct log_view *v, const struct render *r, const struct log_page *page,
                        struct command *command);
void logs_done(struct log_view *v);

#endif
