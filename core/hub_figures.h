/* What an inner node counts of the operations that began at it. */
#ifndef CORE_HUB_FIGURES_H
#define CORE_HUB_FIGURES_H

#include "core/limits.h"
#include <stdint.h>

/* Counted since start; the root adds them up over time (tiers/orchestrator/orchestrator_kpi.h). */
struct hub_figures {
    uint64_t done, refused;
    uint64_t quorums, quorums_achieved;
    uint64_t window_hits, window_eligible;
    uint64_t answers, conflicts;
    uint64_t predicted, predicted_50ms;
    int64_t last_cascade_mesh_us;
    uint32_t cascade_times[LEAD_BUCKETS];      /* durations .. */
    uint32_t cascade_times_fast[LEAD_BUCKETS]; /* .. of those to classes A and B alone */
    uint64_t phases;                           /* that began after the first of their operation */
};

#endif
