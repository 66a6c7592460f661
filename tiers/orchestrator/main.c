/* mesh-orchestrator: the root of the tree. See docs/OPERATIONS.md. */
#include "tiers/orchestrator/orchestrator.h"
#include "tiers/runner/process.h"
#include "tiers/web/otlp.h"

int main(int argc, char **argv)
{
    static const struct runner_kind kind = {.program = "mesh-orchestrator",
                                            .role = PROCESS_ORCHESTRATOR,
                                            .ops = {[TIER_ORCHESTRATOR] = &orchestrator_ops},
                                            .exporter = otlp_open,
                                            .exporter_free = otlp_free};
    return runner_main(argc, argv, &kind);
}
