/* `mesh-sim run --size deep`: a range of seeds, each a run of its own (draw.h), judged; failures
 * are shrunk to scenario files. Exit: 0 all good; 127 a crash, 129 safety, 128 liveness (the worst
 * that was met), 2 options that make no sense. */
#ifndef SIM_SWARM_H
#define SIM_SWARM_H

#include "sim/play.h"
#include <stdbool.h>

#define EXIT_CRASH    127
#define EXIT_LIVENESS 128
#define EXIT_SAFETY   129

int sim_swarm_main(int argc, char **argv); /* options only */

/* One run in a process of its own, so that a crash is a verdict like others. */
struct trial {
    bool crashed;
    struct play_result result;
    struct coverage coverage;
};
void trial_run(const struct scenario *s, struct trial *ret);

/* Fewer acts, less loss, fewer broken units, a shorter run, as long as the same checker fails (or
 * it crashes). Runs at most `trials_max` trials; returns how many. */
uint32_t shrink(struct scenario *s, const struct trial *failed, uint32_t trials_max);

#endif
