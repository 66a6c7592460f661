/* mesh-cluster: cluster leads. See docs/OPERATIONS.md. */
#include "tiers/cluster/cluster.h"
#include "tiers/runner/process.h"
#include "tiers/web/otlp.h"

int main(int argc, char **argv)
{
    static const struct runner_kind kind = {.program = "mesh-cluster",
                                            .role = PROCESS_CLUSTER,
                                            .ops = {[TIER_CLUSTER] = &cluster_ops},
                                            .exporter = otlp_open,
                                            .exporter_free = otlp_free};
    return runner_main(argc, argv, &kind);
}
