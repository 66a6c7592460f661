/* From a configuration to an executor. */
#include "tiers/runner/process.h"
#include "tiers/work/work.h"
#include <assert.h>
#include <stdio.h>

bool work_open(uv_loop_t *loop, const struct config *config, const struct executor_host *host,
               struct executor **ret, char ret_why[])
{
    static struct action_table table; /* as long as the process: actions point into it */
    struct action_problem problem;
    const char *why = "";
    assert(config != NULL && ret != NULL);
    if (config->actions[0] != '\0') {
        char path[ACTION_TEXT_MAX];
        action_file_path(config->file, config->actions, path, sizeof(path));
        if (!action_file_load(path, &config->topology, true, &table, &problem)) {
            (void)snprintf(ret_why, RUNNER_WHY_MAX, "%s", problem.text);
            action_table_done(&table);
            return false;
        }
    }
    *ret = work_new(loop, &table, host, &why);
    if (*ret == NULL) {
        (void)snprintf(ret_why, RUNNER_WHY_MAX, "%s", why);
        action_table_done(&table);
    }
    return *ret != NULL;
}
