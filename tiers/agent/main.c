/* mesh-agent: the agents of one machine and the host node that starts them. See docs/OPERATIONS.md.
 */
#include "tiers/agent/agent.h"
#include "tiers/host/host.h"
#include "tiers/runner/process.h"
#include "tiers/web/otlp.h"
#include "tiers/work/work.h"

int main(int argc, char **argv)
{
    static const struct runner_kind kind = {
        .program = "mesh-agent",
        .role = PROCESS_AGENT,
        .ops = {[TIER_AGENT] = &agent_ops, [TIER_HOST] = &host_ops},
        .executor = work_open,
        .executor_free = work_free,
        .exporter = otlp_open,
        .exporter_free = otlp_free};
    return runner_main(argc, argv, &kind);
}
