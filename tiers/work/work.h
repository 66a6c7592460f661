/* Handlers that do real work: programs, HTTP endpoints, models and people, behind the runner's seam
 * (tiers/runner/executor.h). One loop thread; nothing here blocks.
 *
 * Bounds: an action runs in_flight_max times at once in one process, others wait in the order in
 * which they came, WAITING_MAX in all; one more is REFUSED (overload). A run that is not over at
 * its deadline (the action's timeout or the operation's TTL, whichever is earlier) is ended and
 * answered TIMEOUT_EXECUTION, also when it never got its turn. */
#ifndef TIERS_WORK_WORK_H
#define TIERS_WORK_WORK_H

#include "tiers/runner/executor.h"
#include "tiers/work/action.h"

#define WAITING_MAX 65536u

/* table: lives longer than the executor. NULL: *ret_why says what failed. */
struct executor *work_new(uv_loop_t *loop, const struct action_table *table,
                          const struct executor_host *host, const char **ret_why);
/* After the loop has run on past close(). */
void work_free(struct executor *executor);

/* As struct runner_kind has it (process.h): reads the file that the configuration names, and makes
 * the executor that runs it. */
struct config;
bool work_open(uv_loop_t *loop, const struct config *config, const struct executor_host *host,
               struct executor **ret, char ret_why[]);

struct work_stats {
    uint64_t started, done, failed, timed_out, cancelled, refused;
    uint64_t retries, tokens_in, tokens_out;
    uint64_t strays_killed; /* processes that a handler left behind */
    uint32_t running, waiting, reviews;
};
const struct work_stats *work_stats(const struct executor *executor);

#endif
