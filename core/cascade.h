/* The strategies of spec 3.3 as a state machine: what the orchestrator does next with a mesh-wide
 * operation, and what the whole came to.
 *
 *   NONE            one OPERATE, the operation's own window, rate and timeout
 *   WAVE            PREPARE to the sectors (window 200 ms, 98 % must answer, else
 *                   FAILED_AT_SECTOR), PREPARE to the clusters (1000 ms), then OPERATE (2000 ms).
 *                   The spec names no share for clusters: fewer than the operation's own rate
 *                   cannot reach it any more, so that is FAILED_AT_CLUSTER
 *   PARALLEL        one OPERATE, window 1000 ms, 90 %
 *   PRIORITY_FIRST  one OPERATE a class: D 99 %, C 98 %, B 95 %, A 90 %, E 85 %, then F with the
 *                   operation's own rate when it is selected on purpose; a phase that fails is
 *                   noted and the next goes on; COMPLETE
 *
 *   cascade_init -> { cascade_step -> do it -> cascade_prepared | cascade_operated }* -> DONE */
#ifndef CORE_CASCADE_H
#define CORE_CASCADE_H

#include "core/command.h"

enum cascade_step_kind {
    CASCADE_STEP_SECTORS = 1, /* send MSG_PREPARE, level SECTOR */
    CASCADE_STEP_CLUSTERS,    /* send MSG_PREPARE, level CLUSTER */
    CASCADE_STEP_OPERATE,     /* seal and send one operation to class_mask */
    CASCADE_STEP_DONE         /* cascade_status() and phases are final */
};

struct cascade_step {
    enum cascade_step_kind kind;
    uint32_t class_mask; /* of this phase; never 0 */
    int64_t window_us;   /* OPERATE: arrival window; SECTORS: how long to wait */
    int64_t timeout_us;  /* from now: when to stop waiting */
    double threshold;
    uint32_t phase; /* OPERATE: index into phases */
};

struct cascade {
    enum cascade_strategy strategy;
    enum cascade_step_kind at;
    double minimum_response_rate;
    int64_t window_us, timeout_us; /* of the operation */
    uint32_t class_mask;
    uint32_t phase, phase_count;
    struct phase_report phases[PHASES_MAX]; /* success is set by cascade_operated() */
    const char *status;                     /* "" until DONE */
};

/* op: strategy, window, timeout_us (0: the strategy's own), rate, selector.class_mask (0: all but
 * CLASS_F). */
void cascade_init(struct cascade *c, const struct operation *op);

/* What to do now; the same until its outcome is told. */
void cascade_step(const struct cascade *c, struct cascade_step *ret);

/* A PREPARE ended: so many of the expected coordinators answered. expected 0: nothing to reach, the
 * step fails. */
void cascade_prepared(struct cascade *c, uint32_t reached, uint32_t expected);

/* An OPERATE ended with this aggregate: phase report; the next phase, or DONE. */
void cascade_operated(struct cascade *c, const struct aggregate_view *view);

/* The operator cancelled: DONE, "CANCELLED". Phases not yet run stay without targets. */
void cascade_cancel(struct cascade *c);

/* "SUCCESS", "PARTIAL", "FAILED_AT_SECTOR", "FAILED_AT_CLUSTER", "COMPLETE", "CANCELLED"; "" while
 * it runs. */
const char *cascade_status(const struct cascade *c);

#endif
