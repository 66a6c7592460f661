/* One heap for every timed thing of a loop: wakes of nodes, handlers at work, messages under way.
 * Tens of thousands of them cost one kernel timer. A timer lies in its owner's memory; its callback
 * runs once when it is due and may set it again. */
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
    uint32_t place; /* 1-based position in the heap; 0: not set */
    timer_fn *fn;
};

struct timers {
    struct timer **heap; /* heap[0] is not used */
    uint32_t count, room;
    uint64_t order;
};

void timers_init(struct timers *t);
void timers_done(struct timers *t); /* timers that are still set are forgotten */

/* Sets or moves. False: no memory (it is not set then). */
bool timers_set(struct timers *t, struct timer *timer, int64_t due_us);
void timers_clear(struct timers *t, struct timer *timer);
int64_t timers_next_us(const struct timers *t); /* INT64_MAX: none */

/* Runs what is due at now_us, `most` at most; returns how many ran. */
uint32_t timers_run(struct timers *t, int64_t now_us, uint32_t most, void *ctx);

#endif
