/* The timing attack of spec 9.2: agents of one cluster that manipulate, together, what is measured
 * of their speed. A lead has two witnesses of every answer. One is the agent: when the work came
 * and when it was done (the claims that the predictor learns from). The other is the lead's own
 * clock: when it sent, and when the answer was back. Between the claimed end and the answer lies
 * the way back, and that gives a manipulation away:
 *
 *   what happened                      claimed times      the way back, as it follows
 *   an agent, or all, became slower    longer             as before
 *   a route became longer for all      longer             longer, or as before
 *   the lead or its link is busy       as before          longer
 *   claims without the deed            longer (shorter)   shorter (longer), by as much
 *
 * Only the last moves both by the same amount in opposite directions; such an answer contradicts
 * the lead's clock, and nothing is learnt from it. Also a clock that has become false does that, to
 * an agent alone or to all of a machine: it is answered alike. Agents that truly work slower
 * together are no lie; IMPEDANCE_SPIKE (incident.h) looks after those.
 *
 *   CALM --TIMING_RUN contradictions in a row each, the same way, of a fifth of the agents (and
 *          TIMING_LEAST) within TIMING_WINDOW_US--> LOCKED: nothing that these say is learnt, their
 *          predictions stay as they were before, and so does what they share with others. Further
 *          ones of the cluster that do so are locked at once.
 *   LOCKED --every TIMING_PROBE_US: calibrated. The lead asks for a beat and takes the time itself;
 *          half of the round trip stands for the way back that an honest answer has.
 *   LOCKED --TIMING_CLEAN answers in a row that agree with it, or an operator's word--> CALM
 *
 * One for each lead, pure. Times in microseconds of the lead's clock. */
#ifndef CORE_TIMING_H
#define CORE_TIMING_H

#include "core/limits.h"
#include <stdbool.h>
#include <stdint.h>

#define TIMING_SETTLED   8u /* answers before an agent is judged */
#define TIMING_RUN       2
#define TIMING_LEAST     3u
#define TIMING_CLEAN     10u
#define TIMING_FLOOR_US  (50ll * US_PER_MS)  /* no smaller shift is one */
#define TIMING_CLOCK_US  (250ll * US_PER_MS) /* an error that a clock may claim and be judged by */
#define TIMING_WINDOW_US (60ll * US_PER_S)
#define TIMING_PROBE_US  (5ll * US_PER_S)
#define TIMING_LATE_US   (2ll * US_PER_S) /* a later beat is no answer to a probe */

struct timing_member {
    int64_t odd_us; /* the last contradiction */
    float back_us;  /* way back: moving mean; while locked of the probes, once one was answered */
    uint8_t heard;  /* answers in it, saturates */
    uint8_t clean;  /* while locked: in a row */
    int8_t run;     /* contradictions in a row, with their sign; saturates at TIMING_RUN */
    bool calibrated;
};

struct timing_watch {
    uint64_t locked;  /* bits of agents */
    uint64_t probing; /* asked for a beat, not answered yet */
    int64_t probe_us; /* when they were asked; the next time: TIMING_PROBE_US later */
    struct timing_member of[AGENTS_PER_CLUSTER_MAX];
};

/* One answer that was not held, and whose send is known. */
struct timing_answer {
    int64_t claimed_us;  /* from the send to the claimed end; may be negative */
    int64_t expected_us; /* of that, before this answer */
    int64_t buffer_us;   /* of that prediction: some deviations */
    int64_t back_us;     /* from the claimed end to the answer's arrival; may be negative */
    int64_t clock_us;    /* error bound that the agent claims, and the lead's own */
};

/* agents: of the cluster. True: it may be learnt from. Changes `locked`. */
bool timing_heard(struct timing_watch *t, uint32_t agents, uint32_t i,
                  const struct timing_answer *a, int64_t now_us);
/* Whom to ask for a beat now; 0: nobody. Then they count as asked now. */
uint64_t timing_probe(struct timing_watch *t, int64_t now_us);
/* A beat of agent i has come. */
void timing_beat(struct timing_watch *t, uint32_t i, int64_t now_us);
/* Believed again, as they are now; or another agent has the place. */
void timing_forget(struct timing_watch *t, uint64_t agents);

#endif
