/* Open addressing with linear probing. An expired id is empty in meaning but keeps its place, so
 * that probing past it still finds what lies behind; its place is reused by the next id that probes
 * over it, and all expired ones are swept out (backward-shift deletion) only when the set is full
 * and something can have expired. So adding takes constant time on average, and a full set of live
 * ids refuses without scanning. Three quarters full at most: short probes. */
#include "core/dedupe.h"
#include "core/num.h"
#include <assert.h>

void dedupe_init(struct dedupe *d, struct dedupe_entry *entries, uint32_t size)
{
    assert(d != NULL && entries != NULL);
    assert(size >= 8 && (size & (size - 1u)) == 0 && size <= 1u << 30);
    *d = (struct dedupe){.entries = entries, .size = size, .sweep_us = INT64_MAX};
}

static uint32_t home(const struct dedupe *d, const struct id128 *id)
{
    return (uint32_t)num_hash64(id->bytes, sizeof id->bytes, 0) & (d->size - 1u);
}

static void remove_at(struct dedupe *d, uint32_t hole)
{
    uint32_t mask = d->size - 1u;
    uint32_t at = hole;
    for (;;) {
        at = (at + 1u) & mask;
        if (d->entries[at].expires_us == 0) {
            break;
        }
        uint32_t want = home(d, &d->entries[at].id);
        if (((at - want) & mask) >= ((at - hole) & mask)) {
            d->entries[hole] = d->entries[at];
            hole = at;
        }
    }
    d->entries[hole].expires_us = 0;
    d->count--;
}

static void sweep(struct dedupe *d, int64_t now_us)
{
    d->sweep_us = INT64_MAX;
    for (uint32_t i = 0; i < d->size;) {
        int64_t expires_us = d->entries[i].expires_us;
        if (expires_us != 0 && expires_us <= now_us) {
            remove_at(d, i); /* another one may have moved here: look again */
            continue;
        }
        if (expires_us != 0 && expires_us < d->sweep_us) {
            d->sweep_us = expires_us;
        }
        i++;
    }
}

/* The entry of this id, or the first place on its way that may be taken. */
static uint32_t find(const struct dedupe *d, const struct id128 *id, int64_t now_us)
{
    uint32_t at = home(d, id);
    uint32_t place = UINT32_MAX;
    while (d->entries[at].expires_us != 0) {
        if (num_id128_equal(d->entries[at].id, *id)) {
            return at;
        }
        if (place == UINT32_MAX && d->entries[at].expires_us <= now_us) {
            place = at;
        }
        at = (at + 1u) & (d->size - 1u);
    }
    return place != UINT32_MAX ? place : at;
}

static bool live_at(const struct dedupe *d, uint32_t at, const struct id128 *id, int64_t now_us)
{
    const struct dedupe_entry *e = &d->entries[at];
    return e->expires_us > now_us && num_id128_equal(e->id, *id);
}

enum dedupe_verdict dedupe_add(struct dedupe *d, const struct id128 *id, int64_t now_us,
                               int64_t expires_us)
{
    assert(d != NULL && id != NULL);
    assert(now_us > 0 && expires_us > now_us);
    uint32_t at = find(d, id, now_us);
    if (live_at(d, at, id, now_us)) {
        return DEDUPE_SEEN;
    }
    uint32_t full = d->size / 4u * 3u;
    if (d->entries[at].expires_us == 0 && d->count >= full) {
        if (now_us < d->sweep_us) {
            return DEDUPE_FULL;
        }
        sweep(d, now_us);
        if (d->count >= full) {
            return DEDUPE_FULL;
        }
        at = find(d, id, now_us);
    }
    d->count += d->entries[at].expires_us == 0;
    d->entries[at] = (struct dedupe_entry){.id = *id, .expires_us = expires_us};
    d->sweep_us = expires_us < d->sweep_us ? expires_us : d->sweep_us;
    assert(d->count <= full);
    return DEDUPE_NEW;
}

bool dedupe_seen(const struct dedupe *d, const struct id128 *id, int64_t now_us)
{
    assert(d != NULL && id != NULL);
    assert(now_us > 0);
    return live_at(d, find(d, id, now_us), id, now_us);
}

void dedupe_forget(struct dedupe *d, const struct id128 *id)
{
    assert(d != NULL && id != NULL);
    assert(d->size > 0);
    uint32_t at = find(d, id, 0);
    if (live_at(d, at, id, 0)) {
        remove_at(d, at);
    }
}
