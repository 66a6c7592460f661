/* One process of the mesh: configuration, keys, bus, store, lease, signals and metrics around the
 * engine (runner.h). The main() of each tier is a call of runner_main().
 *
 * Exit codes: 0 clean stop, 1 a fault (the last log line says which), 2 wrong usage or
 * configuration, 3 another process took over this name. */
#ifndef TIERS_RUNNER_PROCESS_H
#define TIERS_RUNNER_PROCESS_H

#include "tiers/runner/config.h"
#include "tiers/runner/executor.h"
#include "tiers/runner/exporter.h"
#include "tiers/runner/log.h"
#include "tiers/runner/runner.h"

#define MESH_VERSION   "0.1.0"
#define RUNNER_WHY_MAX 512u

struct runner_kind {
    const char *program; /* "mesh-cluster" */
    enum process_role role;
    const struct node_ops *ops[TIER_COUNT];
    /* Role sim: what is done to its agents. Called once before nodes start; NULL: nothing. The
     * result lives as long as the process. False: *ret_why says what is wrong. */
    bool (*world)(const struct config *config, const struct process_conf *process,
                  struct runner_world *ret, const char **ret_why);
    /* Actions that are not built in. Called once before nodes start; NULL: none. *ret NULL: none
     * are configured. False: ret_why says what is wrong. `free` after the loop has ended. */
    bool (*executor)(uv_loop_t *loop, const struct config *config, const struct executor_host *host,
                     struct executor **ret, char ret_why[RUNNER_WHY_MAX]);
    void (*executor_free)(struct executor *executor);
    /* The same for what sends spans away. NULL: spans stay here. */
    bool (*exporter)(uv_loop_t *loop, const struct config *config,
                     const struct process_conf *process, struct log *log, struct exporter **ret,
                     char ret_why[RUNNER_WHY_MAX]);
    void (*exporter_free)(struct exporter *exporter);
};

int runner_main(int argc, char **argv, const struct runner_kind *kind);

#endif
