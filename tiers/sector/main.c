/* mesh-sector: sector coordinators. See docs/OPERATIONS.md. */
#include "tiers/runner/process.h"
#include "tiers/sector/sector.h"
#include "tiers/web/otlp.h"

int main(int argc, char **argv)
{
    static const struct runner_kind kind = {.program = "mesh-sector",
                                            .role = PROCESS_SECTOR,
                                            .ops = {[TIER_SECTOR] = &sector_ops},
                                            .exporter = otlp_open,
                                            .exporter_free = otlp_free};
    return runner_main(argc, argv, &kind);
}
