/* `jobs`: operations of all consoles, kept by the orchestrator under their ids (list, show, wait,
 * attach, cancel, approve, reject). An id may be shortened; without one the newest job is meant.
 * What is shortened is looked up in the list first. */
#ifndef TIERS_CONSOLE_JOBS_H
#define TIERS_CONSOLE_JOBS_H

#include "core/command.h"
#include "core/commands.h"
#include "tiers/console/pages.h"
#include "tiers/console/render.h"
#include <stdbool.h>

enum jobs_action {
    JOBS_LIST,
    JOBS_SHOW,
    JOBS_WAIT,
    JOBS_ATTACH,
    JOBS_CANCEL,
    JOBS_APPROVE,
    JOBS_REJECT
};

/* Of `jobs` or `cancel` or `trace`: what it does with the one that its id names. */
enum jobs_action jobs_action(const struct invocation *in);

/* The request to begin with: the list, or at once the one that the full id names. */
bool jobs_build(const struct invocation *in, struct command *ret, char error[COMMAND_ERROR_MAX]);

/* From the list to the request proper. False: error says why (no such job, or several). */
bool jobs_pick(const struct invocation *in, const struct pages *pages, struct command *ret,
               char error[COMMAND_ERROR_MAX]);

void jobs_render_list(const struct render *r, const struct pages *pages, size_t most);

/* A job that runs, as far as it is. */
void jobs_render_running(const struct render *r, const struct reply *progress);

/* A submission that waits for the mode. */
void jobs_render_held(const struct render *r, const struct reply *held);

/* The value of `name=value` in a ROW_RECORD's lines, NUL-terminated in ret; "" when it is not
 * there. */
const char *record_value(const struct page_row *row, const char *name, char *ret, size_t size);
int64_t record_number(const struct page_row *row, const char *name);

#endif
