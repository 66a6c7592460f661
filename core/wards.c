/* One pass over the wards a tick, with a cursor, so that every action is one return. O(count) a
 * tick of 250 ms; 256 rows at most. */
#include "core/wards.h"
#include <assert.h>

void wards_init(struct wards *w, struct ward *list, uint32_t count, int64_t failed_us,
                uint64_t seed, int64_t now_us)
{
    assert(w != NULL && (list != NULL || count == 0));
    assert(count <= WARDS_MAX && failed_us > 0);
    *w = (struct wards){.list = list, .count = count, .failed_us = failed_us, .cursor = WARDS_MAX};
    rng_seed(&w->rng, seed, 0x7761726473ull);
    for (uint32_t i = 0; i < count; i++) {
        lease_stand_by(&list[i].lease, now_us);
        list[i].heard_us = now_us + WARDS_START_US - failed_us;
    }
}

void wards_alone(struct wards *w, int64_t now_us)
{
    assert(w != NULL);
    for (uint32_t i = 0; i < w->count; i++) {
        w->list[i].heard_us = now_us;
    }
}

void wards_heard(struct wards *w, uint32_t i, int64_t now_us)
{
    assert(w != NULL && i < w->count);
    w->list[i].heard_us = now_us;
    w->list[i].known = true;
}

void wards_waits(struct wards *w, uint32_t i, int64_t now_us, bool waits)
{
    assert(w != NULL && i < w->count);
    struct ward *ward = &w->list[i];
    ward->home_us = !waits ? 0 : ward->home_us != 0 ? ward->home_us : now_us;
}

void wards_silenced(struct wards *w, int64_t now_us)
{
    assert(w != NULL);
    for (uint32_t i = 0; i < w->count; i++) {
        struct ward *ward = &w->list[i];
        lease_paused(&ward->lease, now_us);
        if (ward->lease.state == LEASE_HELD && !ward->held) {
            lease_stand_by(&ward->lease, now_us); /* granted before the pause, and not used */
        }
    }
}

void wards_paused(struct wards *w, int64_t now_us)
{
    wards_silenced(w, now_us);
    for (uint32_t i = 0; i < w->count; i++) {
        w->list[i].heard_us = now_us; /* who was silent meanwhile was not heard by us */
    }
}

bool wards_doubt(const struct wards *w)
{
    assert(w != NULL);
    for (uint32_t i = 0; i < w->count; i++) {
        if (lease_doubted(&w->list[i].lease)) {
            return true;
        }
    }
    return false;
}

static bool silent(const struct wards *w, const struct ward *ward, int64_t now_us)
{
    return now_us - ward->heard_us >= w->failed_us;
}

/* How many before i live: who is nearer to it. */
static uint32_t rank_of(const struct wards *w, uint32_t i, int64_t now_us)
{
    uint32_t rank = 0;
    for (uint32_t k = 0; k < i; k++) {
        rank += !silent(w, &w->list[k], now_us);
    }
    return rank;
}

/* Whether to ask its process now. */
static bool probe_due(const struct wards *w, struct ward *ward, int64_t now_us)
{
    bool due = !ward->known || now_us - ward->heard_us >= WARDS_PROBE_US;
    if (w->bus_since_us == 0 || !due || now_us - ward->probe_us < WARDS_PROBE_US) {
        return false;
    }
    ward->probe_us = now_us;
    return true;
}

/* Its own process is asked, too: it may be back. */
static enum ward_action holder(const struct wards *w, struct ward *ward, int64_t now_us,
                               bool store_up, struct store_op *op)
{
    if (ward->lease.state == LEASE_LOST) {
        ward->held = false;
        lease_stand_by(&ward->lease, now_us);
        return WARD_DROP;
    }
    bool written = w->store_since_us != 0 && now_us - w->store_since_us >= WARDS_WRITE_US;
    if (ward->home_us != 0 && now_us - ward->home_us >= WARDS_HOME_US && written &&
        lease_release(&ward->lease, op)) {
        ward->held = false;
        ward->home_us = 0;
        lease_stand_by(&ward->lease, now_us);
        return WARD_RETURN;
    }
    if (lease_tick(&ward->lease, now_us, store_up, op)) {
        return WARD_STORE;
    }
    return probe_due(w, ward, now_us) ? WARD_PROBE : WARD_NOTHING;
}

static enum ward_action watcher(struct wards *w, uint32_t i, int64_t now_us, struct store_op *op)
{
    struct ward *ward = &w->list[i];
    if (lease_serves(&ward->lease)) {
        ward->held = true;
        w->next_take_us = now_us + rng_jitter_us(&w->rng, WARDS_GAP_US, 300);
        return WARD_TAKE;
    }
    uint32_t rank = rank_of(w, i, now_us);
    if (rank >= WARDS_WATCHED || w->bus_since_us == 0) {
        return WARD_NOTHING;
    }
    if (probe_due(w, ward, now_us)) {
        return WARD_PROBE;
    }
    bool settled = now_us - w->bus_since_us >= WARDS_SETTLE_US && w->store_since_us != 0 &&
                   now_us - w->store_since_us >= WARDS_SETTLE_US;
    int64_t wait_us = w->failed_us + (int64_t)rank * US_PER_S;
    if (settled && now_us - ward->heard_us >= wait_us && now_us >= w->next_take_us &&
        lease_tick(&ward->lease, now_us, true, op)) {
        return WARD_STORE;
    }
    return WARD_NOTHING;
}

enum ward_action wards_tick(struct wards *w, int64_t now_us, bool bus_up, bool store_up,
                            uint32_t *ret_i, struct store_op *op)
{
    assert(w != NULL && ret_i != NULL);
    assert(op != NULL && now_us > 0);
    if (w->cursor == WARDS_MAX) {
        w->cursor = 0;
        w->bus_since_us = !bus_up ? 0 : w->bus_since_us != 0 ? w->bus_since_us : now_us;
        w->store_since_us = !store_up ? 0 : w->store_since_us != 0 ? w->store_since_us : now_us;
    }
    for (; w->cursor < w->count; w->cursor++) {
        struct ward *ward = &w->list[w->cursor];
        enum ward_action a =
            ward->held ? holder(w, ward, now_us, store_up, op) : watcher(w, w->cursor, now_us, op);
        if (a != WARD_NOTHING) {
            *ret_i = w->cursor++;
            return a;
        }
    }
    w->cursor = WARDS_MAX;
    return WARD_NOTHING;
}
