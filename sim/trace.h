/* Traces of the virtual world as lines of text, for eyes and for golden tests. */
#ifndef SIM_TRACE_H
#define SIM_TRACE_H

#include "sim/world.h"
#include <stdio.h>

struct trace {
    FILE *to;
    int64_t from_us;  /* lines of earlier steps are left out; times count from here */
    bool beats;       /* heartbeats, beats and their replies, store traffic */
    bool notes_debug; /* notes of level D, too */
    bool times;       /* a column of true milliseconds */
};

/* A world_watch: context is a struct trace. One line for each message that arrives
 * (`s01.c1 <- s01 operate`), each note (`s01.c1 ! child-down unit=s01.c1.a3 silent_ms=30000`) and
 * each link event. Operations are named op1, op2, .. in the order of their first appearance. */
void trace_step(void *context, const struct world_step *step);
/* Forgets the names given so far. */
void trace_reset(void);

#endif
