/* Open addressing with linear probing, half full at most. Keys are never removed: a process's units
 * and the peers it learns are bounded by the topology, and a unit that moved gets a new value. */
#include "tiers/runner/unitmap.h"

#include "core/note.h"
#include <assert.h>
#include <stdlib.h>

/* Eight agents that follow each other lie together: a message is for those of one cluster, and each
 * slot of 30 in a place of its own would be a miss of the cache. */
#define TOGETHER_BITS 3u

static uint32_t hash(uint64_t key)
{
    uint64_t place = (key >> TOGETHER_BITS) * 0x9e3779b97f4a7c15u;
    uint64_t together = key & ((1u << TOGETHER_BITS) - 1u);
    return (uint32_t)((place >> 32) << TOGETHER_BITS | together);
}

bool unitmap_init(struct unitmap *m, uint32_t expected)
{
    assert(m != NULL);
    assert(expected <= 1u << 28);
    uint32_t size = 64;
    while (size < expected * 2u) {
        size *= 2;
    }
    m->slots = calloc(size, sizeof(*m->slots));
    m->count = 0;
    m->mask = size - 1;
    return m->slots != NULL;
}

void unitmap_done(struct unitmap *m)
{
    assert(m != NULL);
    free(m->slots);
    *m = (struct unitmap){0};
}

static struct unitmap_slot *slot_of(const struct unitmap *m, uint64_t key)
{
    uint32_t at = hash(key) & m->mask;
    while (m->slots[at].key != 0 && m->slots[at].key != key) {
        at = (at + 1) & m->mask;
    }
    return &m->slots[at];
}

uint32_t unitmap_get(const struct unitmap *m, struct unit u)
{
    assert(m != NULL && m->slots != NULL);
    assert(u.tier != TIER_NONE);
    const struct unitmap_slot *s = slot_of(m, unit_pack(u));
    return s->key == 0 ? UNITMAP_NONE : s->value;
}

static bool grow(struct unitmap *m)
{
    struct unitmap bigger;
    if (!unitmap_init(&bigger, m->mask + 1)) {
        return false;
    }
    for (uint32_t i = 0; i <= m->mask; i++) {
        if (m->slots[i].key != 0) {
            *slot_of(&bigger, m->slots[i].key) = m->slots[i];
            bigger.count++;
        }
    }
    free(m->slots);
    *m = bigger;
    return true;
}

bool unitmap_put(struct unitmap *m, struct unit u, uint32_t value)
{
    assert(m != NULL && m->slots != NULL);
    assert(u.tier != TIER_NONE && value != UNITMAP_NONE);
    struct unitmap_slot *s = slot_of(m, unit_pack(u));
    if (s->key != 0) {
        s->value = value;
        return true;
    }
    if ((m->count + 1) * 2 > m->mask + 1) {
        if (!grow(m)) {
            return false;
        }
        s = slot_of(m, unit_pack(u));
    }
    *s = (struct unitmap_slot){unit_pack(u), value};
    m->count++;
    return true;
}
