/* Who goes first, and who may have how much (spec 2.4: priorities 0 background to 3 critical).
 *
 * Turns: operations that have something to send. The highest priority is served first, within one
 * priority the oldest; every TURNS_OLDEST-th turn goes to the oldest of all, so that what is high
 * cannot starve what is low. An operation stands in it at most once, so it holds as many as there
 * can be in flight. Its order depends on nothing but what was added and taken. */
#ifndef CORE_TURNS_H
#define CORE_TURNS_H

#include "core/types.h"
#include <stdint.h>

#define TURNS_OLDEST 8u

struct turns {
    struct id128 *ids; /* a ring of `max`, the oldest at `first` */
    uint8_t *priorities;
    uint32_t max, first, count;
    uint32_t taken;              /* turns so far */
    uint32_t of[PRIORITY_COUNT]; /* how many of each priority */
};

/* ids and priorities: room for max each, alive as long as the turns. */
void turns_init(struct turns *t, struct id128 *ids, uint8_t *priorities, uint32_t max);
/* There is room: fewer than max stand in it. */
void turns_add(struct turns *t, struct id128 id, uint8_t priority);
/* There is one: count > 0. */
struct id128 turns_take(struct turns *t);

/* How many of a pool's places may be taken when one of this priority still gets one: 0 a half, 1
 * three quarters, 2 all but POOL_RESERVE, 3 all. What is beyond is refused with `overload`. */
uint32_t turns_pool_share(uint32_t places, uint8_t priority);

#endif
