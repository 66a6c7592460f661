/* A breaker over a sliding window of twelve 5 s buckets: constant memory, and a burst is forgotten
 * after a minute, where the spec's counter would remember every failure for ever (design 10).
 * Isolation times are jittered by a tenth, so that a thousand breakers tripped by one event do not
 * probe at one instant. While OPEN nothing is counted: what fails then was sent before. */
#include "core/breaker.h"
#include "core/node.h"
#include "core/plant.h"
#include <assert.h>
#include <string.h>

#define JITTER_PERMILLE 100u
#define HALF_SHARE      10u /* every tenth operation, and a tenth of the threshold */

void breaker_init(struct breaker *b, uint32_t threshold)
{
    assert(b != NULL);
    assert(threshold >= 1 && threshold <= UINT16_MAX / 2u);
    *b = (struct breaker){.state = CIRCUIT_CLOSED,
                          .threshold = (uint16_t)threshold,
                          .probe_us = BREAKER_PROBE_US,
                          .until_us = NEVER};
}

void breaker_probe_wait(struct breaker *b, int64_t probe_us)
{
    assert(b != NULL);
    assert(probe_us > 0);
    b->probe_us = probe_us;
}

/* Moves the window on to now; buckets that were passed over are empty. */
static void slide(struct breaker *b, int64_t now_us)
{
    int64_t bucket = now_us / BREAKER_BUCKET_US;
    if (bucket - b->bucket >= (int64_t)BREAKER_BUCKETS) {
        memset(b->counts, 0, sizeof b->counts);
        b->bucket = bucket;
    }
    while (b->bucket < bucket) {
        b->bucket++;
        b->counts[b->bucket % (int64_t)BREAKER_BUCKETS] = 0;
    }
}

uint32_t breaker_failures(const struct breaker *b, int64_t now_us)
{
    assert(b != NULL);
    assert(now_us >= 0);
    struct breaker view = *b;
    slide(&view, now_us);
    uint32_t total = 0;
    for (uint32_t i = 0; i < BREAKER_BUCKETS; i++) {
        total += view.counts[i];
    }
    return total;
}

static enum breaker_event trip(struct breaker *b, int64_t now_us, int64_t open_us, struct rng *rng)
{
    b->state = CIRCUIT_OPEN;
    b->probing = false;
    b->trips++;
    open_us = PLANTED(PLANT_SHORT_OPEN) ? open_us / 10 : open_us;
    b->until_us = now_us + rng_jitter_us(rng, open_us, JITTER_PERMILLE);
    b->passing = 0;
    b->seen = 0;
    memset(b->counts, 0, sizeof b->counts);
    return BREAKER_TRIPPED;
}

bool breaker_allow(struct breaker *b)
{
    assert(b != NULL);
    assert(b->state < CIRCUIT_COUNT);
    if (b->state != CIRCUIT_HALF_OPEN) {
        return b->state == CIRCUIT_CLOSED;
    }
    bool pass = b->passing == 0 || b->seen % HALF_SHARE == 0;
    b->seen++;
    b->passing += pass;
    return pass;
}

void breaker_finished(struct breaker *b)
{
    assert(b != NULL);
    assert(b->state < CIRCUIT_COUNT);
    /* Operations from before the trip end, too: never below zero. */
    b->passing -= b->passing > 0;
}

enum breaker_event breaker_failure(struct breaker *b, int64_t now_us, uint32_t n, struct rng *rng)
{
    assert(b != NULL && rng != NULL);
    assert(now_us >= 0);
    if (b->state == CIRCUIT_OPEN || n == 0 || PLANTED(PLANT_DEAF_BREAKER)) {
        return BREAKER_NOTHING;
    }
    slide(b, now_us);
    uint16_t *count = &b->counts[b->bucket % (int64_t)BREAKER_BUCKETS];
    *count = n > (uint32_t)(UINT16_MAX - *count) ? UINT16_MAX : (uint16_t)(*count + n);
    bool half = b->state == CIRCUIT_HALF_OPEN;
    uint32_t limit = half ? b->threshold / HALF_SHARE : b->threshold;
    limit = PLANTED(PLANT_HASTY_BREAKER) && limit > 1 ? 1 : limit;
    if (breaker_failures(b, now_us) <= limit) {
        return BREAKER_NOTHING;
    }
    return trip(b, now_us, half ? BREAKER_LONGER_US : BREAKER_OPEN_US, rng);
}

enum breaker_event breaker_level(struct breaker *b, int64_t now_us, uint32_t level, struct rng *rng)
{
    assert(b != NULL && rng != NULL);
    assert(now_us >= 0);
    if (b->state == CIRCUIT_OPEN) {
        return BREAKER_NOTHING;
    }
    /* A level is not traffic: a tenth of the operations does not lower it. */
    if (level <= b->threshold) {
        return BREAKER_NOTHING;
    }
    bool half = b->state == CIRCUIT_HALF_OPEN;
    return trip(b, now_us, half ? BREAKER_LONGER_US : BREAKER_OPEN_US, rng);
}

enum breaker_event breaker_probed(struct breaker *b, int64_t now_us, bool ok, struct rng *rng)
{
    assert(b != NULL && rng != NULL);
    assert(now_us >= 0);
    if (!b->probing) {
        return BREAKER_NOTHING;
    }
    if (!ok) {
        return trip(b, now_us, BREAKER_LONGER_US, rng);
    }
    b->probing = false;
    b->state = CIRCUIT_HALF_OPEN;
    b->until_us = now_us + BREAKER_HALF_US;
    return BREAKER_HALF_OPEN;
}

enum breaker_event breaker_tick(struct breaker *b, int64_t now_us, struct rng *rng)
{
    assert(b != NULL && rng != NULL);
    assert(b->state != CIRCUIT_CLOSED || b->until_us == NEVER);
    if (now_us < b->until_us) {
        return BREAKER_NOTHING;
    }
    if (b->state == CIRCUIT_HALF_OPEN) {
        b->state = CIRCUIT_CLOSED;
        b->until_us = NEVER;
        b->passing = 0;
        b->seen = 0;
        memset(b->counts, 0, sizeof b->counts);
        return BREAKER_CLOSED;
    }
    assert(b->state == CIRCUIT_OPEN);
    if (b->probing) {
        return trip(b, now_us, BREAKER_LONGER_US, rng);
    }
    b->probing = true;
    b->until_us = now_us + b->probe_us;
    return BREAKER_PROBE;
}

enum breaker_event breaker_force(struct breaker *b, bool open)
{
    assert(b != NULL);
    assert(b->state < CIRCUIT_COUNT);
    bool same = open ? b->held : b->state == CIRCUIT_CLOSED;
    if (same) {
        return BREAKER_NOTHING;
    }
    b->held = open;
    b->state = open ? CIRCUIT_OPEN : CIRCUIT_CLOSED;
    b->trips += open;
    b->probing = false;
    b->until_us = NEVER;
    b->passing = 0;
    b->seen = 0;
    memset(b->counts, 0, sizeof b->counts);
    return open ? BREAKER_TRIPPED : BREAKER_CLOSED;
}

int64_t breaker_next_us(const struct breaker *b)
{
    assert(b != NULL);
    assert(b->state != CIRCUIT_CLOSED || b->until_us == NEVER);
    return b->until_us;
}
