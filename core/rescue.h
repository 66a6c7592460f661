/* When a host starts a lead process: none is heard any more (design 6).
 *
 * Standbys take over from a lead process that ends, as long as one of them lives. The hosts of the
 * agents are the last that see that none does. A lead process announces its units every 10 s; when
 * none was heard for RESCUE_SILENT_US while the bus was up, and one was heard before, a host starts
 * one, and again after a pause that doubles, RESCUE_PAUSE_MOST_US at most, as long as that goes on.
 * Hosts do not act together: each waits up to RESCUE_SPREAD_US longer, drawn by lot, and what the
 * first has started is heard by the others. Two hosts may act within one second all the same, each
 * before it could hear of the other: the lease is one's, and the process that was started in vain
 * ends when it has waited for it for RESCUE_SURPLUS_US and serves nothing else.
 *
 * Pure: the caller gives times. A tick that comes late (a pause of this process) counts two seconds
 * at most. */
#ifndef CORE_RESCUE_H
#define CORE_RESCUE_H

#include "core/rng.h"
#include <stdbool.h>
#include <stdint.h>

#define RESCUE_SILENT_US     INT64_C(35000000)
#define RESCUE_SPREAD_US     INT64_C(10000000)
#define RESCUE_PAUSE_US      INT64_C(30000000)
#define RESCUE_PAUSE_MOST_US INT64_C(480000000)
/* A longer pause between ticks is this process's own. */
#define RESCUE_TICK_US INT64_C(2000000)

/* Longer than a lease without an owner stands (LEASE_TTL_US), several times over. */
#define RESCUE_SURPLUS_US INT64_C(20000000)

struct rescue {
    struct rng rng;
    bool known;        /* a lead process was heard */
    int64_t silent_us; /* since the last word, as far as it counts */
    int64_t ticked_us; /* 0: never */
    int64_t wait_us;   /* so much silence, then one is started */
    int64_t pause_us;  /* before the next one */
    int64_t
        idle_us; /* a started one: since when it waits for another of its name; 0: it does not */
};

void rescue_init(struct rescue *r, uint64_t seed);
/* A lead process said that it is there. */
void rescue_heard(struct rescue *r);
/* True: start one now. */
bool rescue_tick(struct rescue *r, int64_t now_us, bool bus_up);
/* Of a process that a host has started. waits: the lease of its name is another's, and it serves
 * nothing. True: it is one too many. */
bool rescue_surplus(struct rescue *r, int64_t now_us, bool waits);

#endif
