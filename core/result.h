/* What came of an operation below one unit: bounded, and always adding up. aggregate.h builds it.
 */
#ifndef CORE_RESULT_H
#define CORE_RESULT_H

#include "core/limits.h"
#include "core/topology.h"
#include "core/types.h"

/* One answer group: targets with the same final state, reason and answer bytes. */
struct answer_group {
    enum outcome outcome;
    enum reason reason;
    uint64_t hash; /* of outcome, reason and answer: the order of pages */
    uint32_t count;
    uint32_t run_count; /* folded linear agent indexes; may show fewer than count */
    const struct run *runs;
    uint32_t answer_bytes;
    const uint8_t *answer;
};

/* What came of an operation below one unit. Bounded (limits.h); the counts always add up:
 * sum(outcomes) == targets. */
struct aggregate_view {
    uint32_t targets;
    uint32_t outcomes[OUTCOME_COUNT];
    uint32_t reasons[REASON_COUNT];
    uint32_t sent, late, resent, unexpected;
    uint32_t hedged;          /* sent to once more, or replaced, ahead of the reminders */
    uint32_t hedge_wins;      /* of these, done by what the hedge brought */
    uint32_t window_hits;     /* arrived within the window */
    uint32_t window_eligible; /* sent ahead of T */
    uint32_t predicted;       /* done, with times of a clock worth the name .. */
    uint32_t predicted_50ms;  /* .. and within 50 ms of the predicted arrival (spec 11) */
    uint32_t sectors_reached, clusters_reached, agents_reached;
    uint32_t arrival[ARRIVAL_BUCKETS];  /* arrival - T (or - created with TIMING_SOON) */
    uint32_t release[ARRIVAL_BUCKETS];  /* release - T, with TIMING_AT */
    uint32_t lead_needed[LEAD_BUCKETS]; /* would_need_ms of those skipped */
    uint32_t other;                     /* targets in groups that did not fit; fetch them by page */
    uint32_t group_count;
    const struct answer_group *groups; /* by falling count, then hash */
};

#endif
