/* Spans: what one unit knows of one operation's way through it, from when to when, for those who
 * look at the mesh from outside (OTLP). A node says only what it saw itself; whose trace it is, the
 * runner knows by the operation. Ids are worked out from operation and unit, so every unit knows
 * its parent's without being told. Pure.
 *
 *     who started it > ROOT > PHASE (origin) > TIER (sector) > TIER (lead) > RUN (agent)
 *
 * Times are mesh time: the orchestrator's Unix time, as well as each unit knows it. */
#ifndef CORE_SPAN_H
#define CORE_SPAN_H

#include "core/operation.h"
#include "core/types.h"
#include "core/unit.h"
#include <stdbool.h>
#include <stdint.h>

enum span_kind {
    SPAN_ROOT = 1, /* the whole operation, where it was submitted */
    SPAN_PHASE,    /* one phase of it there: sent down, and all answers in */
    SPAN_TIER,     /* its way through a sector or lead */
    SPAN_RUN,      /* an agent's handler */
    SPAN_KIND_COUNT
};

struct span {
    enum span_kind kind;
    bool known; /* correlation, trace and action hold; else the runner looks the operation up */
    bool failed;
    struct unit unit, slowest; /* slowest: the child that answered last; TIER_NONE: none */
    struct id128 operation;    /* of this phase */
    struct id128 correlation;  /* what the console was told */
    struct trace_context trace;
    int64_t start_mesh_us, end_mesh_us;
    /* RUN: since when it was here; first_us: the first answer of a child. 0: never. */
    int64_t received_us, sent_us, first_us, last_us;
    uint32_t targets;
    uint32_t outcomes[OUTCOME_COUNT]; /* of the targets */
    enum outcome outcome;             /* RUN */
    enum reason reason;               /* RUN */
    char action[ACTION_MAX];
};

/* Of the span of `unit` in the operation (a phase); of the root. Never 0. */
uint64_t span_id(struct id128 operation, struct unit unit);
uint64_t span_root_id(struct id128 correlation, struct unit unit);

/* As above, by what kind of span it is. Parent 0: nobody started the operation from outside. */
uint64_t span_own_id(const struct span *s);
uint64_t span_parent_id(const struct span *s);

/* The trace of an operation, and whether it is sampled: as who started it has it, else named by its
 * correlation, and every share'th (0.0 to 1.0) by that name, the same ones in every process. */
struct trace_context span_context(const struct trace_context *given, struct id128 correlation,
                                  double share);

struct outbox;
void out_span(struct outbox *out, const struct span *span); /* an effect; dropped without room */

#endif
