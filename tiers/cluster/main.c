/* mesh-cluster: cluster leads. See docs/OPERATIONS.md. */
#include "tiers/cluster/cluster.h"
#include "tiers/runner/process.h"

int main(int argc, char **argv)
{
    static const struct runner_kind kind = {
        .program = "mesh-cluster", .role = PROCESS_CLUSTER, .ops = {[TIER_CLUSTER] = &cluster_ops}};
    return runner_main(argc, argv, &kind);
}
