/* The operation cache: what a process of the real runner keeps of sealed operations, here one for
 * the whole world. An entry stays until its TTL and a minute have passed, swept slot by slot.
 * Each remembers the agents that ran it: the invariant "nothing executes twice". */
#include "core/num.h"
#include "sim/world_int.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

static struct cached **slot_of(struct world *w, const struct id128 *id)
{
    return &w->cache[num_id128_low(*id) % WORLD_CACHE_SLOTS];
}

struct cached *world_cached(struct world *w, const struct id128 *id)
{
    struct cached *c = *slot_of(w, id);
    while (c != NULL && !num_id128_equal(c->id, *id)) {
        c = c->next;
    }
    return c;
}

void world_hash(const uint8_t *bytes, uint32_t count, uint8_t ret[32])
{
    for (unsigned i = 0; i < 4; i++) {
        uint64_t h = num_hash64(bytes, count, i);
        memcpy(ret + i * 8, &h, 8);
    }
}

void world_seal(struct world *w, const struct operation *operation)
{
    struct operation op = *operation;
    assert(!num_id128_zero(op.id));
    if (world_cached(w, &op.id) != NULL) {
        return;
    }
    if (!num_id128_zero(op.payload_of)) {
        struct cached *source = world_cached(w, &op.payload_of);
        if (source != NULL) {
            op.payload = source->operation.payload;
            op.payload_bytes = source->operation.payload_bytes;
        }
        memset(&op.payload_of, 0, sizeof(op.payload_of));
    }
    world_hash(op.payload, op.payload_bytes, op.payload_hash);
    struct cached *c = world_alloc(sizeof(*c));
    uint32_t room = operation_extra_bytes(&op);
    c->id = op.id;
    c->bytes = aligned_alloc(16, (room + 31u) / 16u * 16u);
    assert(c->bytes != NULL);
    (void)operation_copy(&op, &c->operation, c->bytes, room);
    c->until_us = op.created_mesh_us - WORLD_UNIX_US + op.ttl_us + 60 * US_PER_S;
    c->next = *slot_of(w, &op.id);
    *slot_of(w, &op.id) = c;
    world_digest(w, num_id128_low(op.id));
}

static void cached_free(struct cached *c)
{
    free(c->bytes);
    free(c->executed);
    free(c);
}

/* 64 slots each 100 ms: all of them within 7 s. */
void world_cache_sweep(struct world *w)
{
    w->cache_sweep_us = w->now_us + 100000;
    for (unsigned i = 0; i < 64; i++) {
        struct cached **at = &w->cache[w->cache_sweep++ % WORLD_CACHE_SLOTS];
        while (*at != NULL) {
            struct cached *c = *at;
            if (c->until_us < w->now_us) {
                *at = c->next;
                cached_free(c);
            } else {
                at = &c->next;
            }
        }
    }
}

void world_cache_free(struct world *w)
{
    for (uint32_t i = 0; i < WORLD_CACHE_SLOTS; i++) {
        while (w->cache[i] != NULL) {
            struct cached *c = w->cache[i];
            w->cache[i] = c->next;
            cached_free(c);
        }
    }
}
