/* Clocks that jump and drift, and fault points: what is done to one node alone. */
#include "core/num.h"
#include "sim/world_int.h"
#include <assert.h>
#include <string.h>

const char *world_met_name(enum world_met met)
{
    static const char *const names[WORLD_MET_COUNT] = {
#define X(id, name) [id] = name,
        WORLD_FAULT_LIST(X)
#undef X
    };
    assert(met < WORLD_MET_COUNT);
    return names[met];
}

uint64_t world_met(const struct world *w, enum world_met met)
{
    assert(w != NULL && met < WORLD_MET_COUNT);
    return w->met[met];
}

static void clock_set(struct world *w, uint32_t index, int64_t jump_us, double drift)
{
    struct world_node *n = &w->nodes[index];
    n->base_local_us = world_local(n, w->now_us) + jump_us;
    n->base_true_us = w->now_us;
    n->drift = drift;
    if (n->self != NULL && n->ops != NULL) {
        world_rewake(w, index);
    }
}

void world_clock_jump(struct world *w, struct unit u, bool below, int64_t us)
{
    assert(us >= 0);
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (world_meant(w, i, u, below)) {
            clock_set(w, i, us, w->nodes[i].drift);
        }
    }
}

void world_clock_drift(struct world *w, struct unit u, bool below, int64_t ppb)
{
    assert(ppb >= -1000000 && ppb <= 1000000);
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (world_meant(w, i, u, below)) {
            clock_set(w, i, 0, (double)ppb * 1e-9);
        }
    }
}

void world_wall_step(struct world *w, struct unit u, bool below, int64_t us)
{
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (world_meant(w, i, u, below)) {
            w->nodes[i].wall_off_us += us;
            w->walls_stepped = true;
            if (w->nodes[i].host_says != 0 && w->nodes[i].self != NULL) {
                world_push(w, w->now_us + US_PER_S, W_CLOCK, i, 1, NULL);
            }
        }
    }
}

void world_host_clock(struct world *w, struct unit u, bool below, bool synchronised,
                      int64_t error_us)
{
    assert(error_us >= 0);
    for (uint32_t i = 0; i < w->node_count; i++) {
        struct world_node *n = &w->nodes[i];
        if (!world_meant(w, i, u, below)) {
            continue;
        }
        bool first = n->host_says == 0;
        n->host_says = synchronised ? 2 : 1;
        n->host_error_us = error_us;
        if (n->self != NULL && first) {
            world_push(w, w->now_us, W_CLOCK, i, 0, NULL);
        }
    }
}

void world_clock_event(struct world *w, uint32_t index, struct host_clock *ret)
{
    const struct world_node *n = &w->nodes[index];
    *ret = (struct host_clock){.unix_us = WORLD_UNIX_US + w->now_us + n->wall_off_us,
                               .error_us = n->host_error_us,
                               .estimated_us = n->host_error_us / 4,
                               .synchronised = n->host_says == 2};
}

void world_wall_heal(struct world *w)
{
    for (uint32_t i = 0; i < w->node_count; i++) {
        w->nodes[i].wall_off_us = 0;
    }
}

void world_fault_point(struct world *w, enum tier tier, enum fault_point point, uint32_t permille)
{
    assert(tier < TIER_COUNT && point < FAULT_POINT_COUNT && permille <= 1000);
    w->points[tier][point] = (uint16_t)permille;
    w->points_set = false;
    for (unsigned t = 0; t < TIER_COUNT; t++) {
        for (unsigned p = 0; p < FAULT_POINT_COUNT; p++) {
            w->points_set = w->points_set || w->points[t][p] > 0;
        }
    }
}

uint32_t world_points(struct world *w, uint32_t index)
{
    const uint16_t *permille = w->points[w->nodes[index].unit.tier];
    uint32_t bits = 0;
    for (unsigned p = 0; p < FAULT_POINT_COUNT; p++) {
        if (permille[p] > 0 && rng_below(&w->chaos, 1000) < permille[p]) {
            bits |= 1u << p;
            w->met[WORLD_MET_POINT]++;
        }
    }
    return bits;
}
