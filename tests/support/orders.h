/* A scripted orchestrator's chain of orders, for tests of a sector. */
#ifndef TESTS_SUPPORT_ORDERS_H
#define TESTS_SUPPORT_ORDERS_H

#include "core/order.h"
#include "tests/support/bench.h"

struct giver {
    struct order_head head; /* epoch: set by the test */
};

/* The next order of the chain; it is not said to anybody yet. */
static inline void giver_next(struct giver *g, struct order *o)
{
    o->seq = g->head.seq + 1;
    memcpy(o->prev, g->head.hash, ORDER_HASH);
    order_digest(digest_plain, g->head.epoch, o, g->head.hash);
    g->head.seq = o->seq;
}

static inline void giver_say(struct bench *b, uint64_t epoch, const struct order *o)
{
    struct msg m = {.type = MSG_ORDER, .from = unit_orchestrator(), .epoch = epoch};
    m.u.order = o;
    bench_msg(b, &m);
}

static inline void giver_state(struct bench *b, struct giver *g, enum mode mode)
{
    struct order_state s = {.mode = mode, .complete = true};
    struct order o = {.what = ORDER_STATE, .u.state = &s};
    giver_next(g, &o);
    giver_say(b, g->head.epoch, &o);
}

static inline void giver_freeze(struct bench *b, struct giver *g, bool on, struct unit scope)
{
    struct order o = {.what = on ? ORDER_FREEZE : ORDER_THAW};
    o.u.freeze.scope = scope;
    giver_next(g, &o);
    giver_say(b, g->head.epoch, &o);
}

#endif
