/* What came of an operation below one unit, while it is being added up: the writable form of
 * struct aggregate_view (result.h). Design 4: bounded, and the states add up to the targets.
 *
 * Counts are in the struct (about 180 bytes); histograms and answer groups are chunks of a slab.
 * Only final states are added here: a view of an aggregate always has outcomes[PENDING] == 0, and
 * sum(outcomes) == targets == other + sum(groups' counts).
 *
 * Bounds: AGGREGATE_GROUPS_MAX groups; AGGREGATE_BYTES_MAX for all groups together, where a group
 * takes AGGREGATE_GROUP_BYTES + its answer + 8 bytes a run; AGGREGATE_RUNS_MAX runs a group, half
 * of the bytes for all runs. A
 * target whose group does not fit (or when the slab has no room) is counted in `other`. A run that
 * does not fit is left out: the group then shows fewer runs than it counts. Histograms and counts
 * are never left out: their chunks are reserved by aggregate_init(). */
#ifndef CORE_AGGREGATE_H
#define CORE_AGGREGATE_H

#include "core/result.h"
#include "core/slab.h"

#define AGGREGATE_GROUP_BYTES 24u
#define AGGREGATE_HIST_CHUNKS 4u

#define PREDICTED_WITHIN_US (50 * US_PER_MS) /* spec 11, impedance_prediction_accuracy */

struct aggregate {
    uint32_t targets;
    uint32_t outcomes[OUTCOME_COUNT];
    uint32_t reasons[REASON_COUNT]; /* REASON_NONE is not counted */
    uint32_t sent, late, resent, unexpected, hedged, hedge_wins;
    uint32_t window_hits, window_eligible;
    uint32_t predicted, predicted_50ms;
    /* Set by the owner before the view (a lead: clusters_reached = 1); children's are added. */
    uint32_t sectors_reached, clusters_reached;
    uint32_t agents_reached;
    uint32_t other;
    uint16_t runs;                        /* of all groups; half of AGGREGATE_BYTES_MAX at most */
    uint16_t groups;                      /* first group: a list by rising hash */
    uint16_t group_count;                 /* AGGREGATE_GROUPS_MAX at most */
    uint32_t bytes;                       /* of groups and answers, runs not counted */
    uint16_t hist[AGGREGATE_HIST_CHUNKS]; /* chunks of 64 counts, taken when first counted; wide:
                                           * the first, of all counts in a byte each */
    bool open, wide;
};

/* One target's end. */
struct aggregate_target {
    uint32_t agent; /* linear index */
    enum outcome outcome;
    enum reason reason;
    const uint8_t *answer; /* ANSWER_BYTES_MAX at most; longer answers come as their hash */
    uint32_t answer_bytes;
    bool sent;        /* at least once */
    bool reached;     /* it answered in any form */
    bool late;        /* its deadline had passed when it was done */
    bool resent;      /* more than once */
    bool hedged;      /* ahead of the reminders */
    bool hedge_won;   /* and that is what was done */
    bool unexpected;  /* another trinary than expected */
    bool eligible;    /* sent ahead of T: counts for the window */
    bool hit;         /* arrived in the window */
    bool has_arrival; /* arrival_us holds: arrival - T (or - created) */
    bool has_release; /* release_us holds: release - T */
    bool has_lead;    /* lead_us holds: skipped, would have needed */
    bool predicted;   /* apart_us holds: arrival - predicted arrival */
    int64_t arrival_us, release_us, lead_us, apart_us;
};

/* Opens an empty aggregate; reserves its histogram chunks. False: the slab has no room (refuse the
 * operation with REASON_OVERLOAD). Must be closed by aggregate_done(). */
bool aggregate_init(struct aggregate *a, struct slab *slab);

/* The same for a lead, which must be able to page out every answer of its 64 agents: the answers'
 * bytes are bounded by the slab only (64 x 1 KiB at most), and the view takes the groups that fit
 * AGGREGATE_BYTES_MAX, those of the most targets first; the rest is `other` in the view. Each agent
 * is counted once. */
bool aggregate_init_wide(struct aggregate *a, struct slab *slab);
void aggregate_done(struct aggregate *a, struct slab *slab);

/* The name of a group: stable over processes and versions. */
uint64_t aggregate_hash(enum outcome outcome, enum reason reason, const uint8_t *answer,
                        uint32_t answer_bytes);

/* Each target once, with a final outcome. */
void aggregate_add_target(struct aggregate *a, struct slab *slab, const struct aggregate_target *t);

/* Many targets with the same end and no answer (behind a dead hop, refused, left out). runs: which,
 * sorted and disjoint, or NULL, 0 when it is not known; they are left out unless they cover exactly
 * `count` agents. count may be 0. */
void aggregate_add_many(struct aggregate *a, struct slab *slab, enum outcome outcome,
                        enum reason reason, uint32_t count, const struct run *runs,
                        uint32_t run_count);

/* A target that was final before answered now: only the count `late` rises, the state stays.
 * At most once for each target. */
void aggregate_add_late(struct aggregate *a);

/* Adds a final view that aggregate_view_check() took (asserted: no PENDING, sums hold). */
void aggregate_merge(struct aggregate *a, struct slab *slab, const struct aggregate_view *view);

/* Room for one view: about 20 KiB; on the stack, or one for a whole process. */
struct aggregate_scratch {
    struct answer_group groups[AGGREGATE_GROUPS_MAX];
    struct run runs[AGGREGATE_BYTES_MAX / sizeof(struct run)];
    uint8_t answers[AGGREGATE_BYTES_MAX];
};

/* The whole as a view, groups by falling count, then rising hash. Borrows from scratch. */
void aggregate_view(const struct aggregate *a, const struct slab *slab,
                    struct aggregate_scratch *scratch, struct aggregate_view *ret);

/* Counts alone (no groups, no histograms, other = 0) with `pending` targets more: for progress. */
void aggregate_counts(const struct aggregate *a, uint32_t pending, struct aggregate_view *ret);

/* The group with the lowest hash above `after` (or from the start): for QUERY_ANSWERS.
 * Borrows from scratch. False: no more. */
bool aggregate_group_after(const struct aggregate *a, const struct slab *slab, bool from_start,
                           uint64_t after, struct aggregate_scratch *scratch,
                           struct answer_group *ret);

/* Whether a view from outside may be merged as speaking for the agents below `scope` (the
 * orchestrator: all): counts add up, nothing exceeds its targets or its limits, groups are named by
 * their hash, runs are sorted, disjoint and within the scope. final: no PENDING, and groups and
 * other cover all targets; else no groups at all. NULL, or what is wrong. */
const char *aggregate_view_check(const struct aggregate_view *view, const struct topology *t,
                                 struct unit scope, bool final);

/* Adds to (`into`, of `count` runs, room for `max`) the run; keeps them sorted, disjoint and
 * coalesced. Returns the new count; a run that does not fit is left out and *ret_lost set.
 * Shared with pager.h. */
uint32_t runs_add(struct run *into, uint32_t count, uint32_t max, struct run run, bool *ret_lost);

#endif
