/* What a seed stands for: its own mix of classes, loss, faults with their rates, operations, and
 * what is left broken at the heal. Each kind of fault is in or out of a run by a coin (swarm
 * testing): runs with few kinds reach states that runs with all kinds never do. */
#ifndef SIM_DRAW_H
#define SIM_DRAW_H

#include "sim/scenario.h"
#include <stdint.h>

/* Deep size: 1 orchestrator, 2 sectors, 4 clusters, 24 agents. */
void draw_deep(uint64_t seed, struct scenario *ret);
/* One line, without the end of the line. */
void draw_print(const struct scenario *s, FILE *to);

#endif
