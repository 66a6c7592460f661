#include "sim/effects.h"
#include "core/num.h"
#include <assert.h>
#include <stddef.h>

static const int64_t ends_us[EFFECTS_BUCKETS] = {
    -1000000, -500000, -250000, -100000, -50000, -20000, -10000,  -5000,    -2000, -1000,
    -500,     0,       500,     1000,    2000,   5000,   10000,   15000,    20000, 30000,
    50000,    75000,   100000,  150000,  250000, 500000, 1000000, INT64_MAX};

int64_t effects_bucket_us(uint32_t i)
{
    assert(i < EFFECTS_BUCKETS);
    return ends_us[i];
}

void effects_expect(struct effects *e, const struct operation *operation)
{
    assert(e != NULL && operation != NULL);
    uint64_t low = num_id128_low(operation->id);
    if (operation->timing != TIMING_AT) {
        return;
    }
    for (uint32_t i = 0; i < EFFECTS_KNOWN; i++) {
        if (e->known[i].id_low == low) {
            return;
        }
    }
    uint32_t at = e->next++ % EFFECTS_KNOWN;
    e->known[at].id_low = low;
    e->known[at].target_us = operation->target_mesh_us;
    e->known[at].window_us = operation->window_us;
}

void effects_released(struct effects *e, uint64_t id_low, int64_t now_us)
{
    assert(e != NULL);
    for (uint32_t i = 0; i < EFFECTS_KNOWN; i++) {
        if (e->known[i].id_low != id_low) {
            continue;
        }
        int64_t error_us = now_us - e->known[i].target_us;
        int64_t half_us = e->known[i].window_us / 2;
        uint32_t bucket = 0;
        while (error_us >= ends_us[bucket] && bucket < EFFECTS_BUCKETS - 1u) {
            bucket++;
        }
        e->buckets[bucket]++;
        e->late += error_us > half_us;
        e->early += error_us < -half_us;
        e->within += error_us <= half_us && error_us >= -half_us;
        return;
    }
    e->unknown++;
}
