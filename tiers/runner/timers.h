/* Every timed thing of a loop: wakes of nodes, handlers at work, messages under way. Tens of
 * thousands of them cost one kernel timer. A timer lies in its owner's memory; its callback runs
 * once when it is due and may set it again. What is due at once (most messages and most work) waits
 * in a queue and never sees the heap. */
#ifndef TIERS_RUNNER_TIMERS_H
#define TIERS_RUNNER_TIMERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timer;
typedef void timer_fn(struct timer *timer, void *ctx);

struct timer {
    int64_t due_us;
    uint64_t order; /* equal times run in the order in which they were set */
    uint32_t place; /* 0: not set; else where: timers.c */
    timer_fn *fn;
};

/* The keys lie beside the pointers, so that moving through the heap touches no timer. */
struct timer_row {
    int64_t due_us;
    uint64_t order;
    struct timer *timer;
};

struct timers {
    struct timer_row *heap; /* heap[0] is not used */
    uint32_t count, room;
    struct timer **soon; /* a ring; NULL: cleared */
    uint32_t soon_first, soon_count, soon_room;
    uint64_t order;
};

void timers_init(struct timers *t);
void timers_done(struct timers *t); /* timers that are still set are forgotten */

/* Sets or moves. False: no memory (it is not set then). */
bool timers_set(struct timers *t, struct timer *timer, int64_t due_us);
/* The same for what is due now: now_us is the clock's, never less than in the call before. */
bool timers_soon(struct timers *t, struct timer *timer, int64_t now_us);
void timers_clear(struct timers *t, struct timer *timer);
struct timer *timers_first(struct timers *t);   /* the one that is due first; NULL: none */
int64_t timers_next_us(const struct timers *t); /* INT64_MAX: none */

/* Runs what is due at now_us, `most` at most; returns how many ran. */
uint32_t timers_run(struct timers *t, int64_t now_us, uint32_t most, void *ctx);

#endif
