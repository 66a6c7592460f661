/* What a set of runs has met: a counter for each fault that was done, each refusal code, each note,
 * each edge of each state machine. A nightly set in which one stays at zero has a hole
 * (tests/nightly). Counters are added up over runs; text is `name count` a line. */
#ifndef SIM_COVERAGE_H
#define SIM_COVERAGE_H

#include "core/note.h"
#include "core/types.h"
#include "sim/scenario.h"
#include <stdint.h>
#include <stdio.h>

struct coverage {
    uint64_t acts[ACT_KIND_COUNT];
    uint64_t notes[NOTE_COUNT];
    uint64_t outcomes[OUTCOME_COUNT];
    uint64_t reasons[REASON_COUNT];
    uint64_t modes[MODE_COUNT][MODE_COUNT];
    uint64_t circuits[CIRCUIT_COUNT][CIRCUIT_COUNT];
    uint64_t agent_states[AGENT_STATE_COUNT][AGENT_STATE_COUNT];
    uint64_t decisions[DECISION_COUNT];
    uint64_t
        met[WORLD_MET_COUNT]; /* what the world did, as it happened to a message or a store op */
};

void coverage_world(struct coverage *c, const struct world *w); /* at the end of a run */
void coverage_step(struct coverage *c, const struct world_step *s);
void coverage_add(struct coverage *into, const struct coverage *from);
void coverage_print(const struct coverage *c, FILE *to);

#endif
