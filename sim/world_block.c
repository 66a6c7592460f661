/* Memory of events: blocks of 64-byte steps with a free list for each size, cut from slabs that
 * stay with the world. What is larger comes from malloc. A message in flight costs no call of the
 * allocator, and a block that was just freed, still in the cache, is the next to be used. */
#include "sim/world_int.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STEP       64u
#define SLAB_BYTES 262144u

struct slab_head {
    struct slab_head *next;
};

void *world_alloc(size_t bytes)
{
    void *p = calloc(1, bytes ? bytes : 1);
    if (p == NULL) {
        fprintf(stderr, "world: out of memory (%zu bytes)\n", bytes);
        abort();
    }
    return p;
}

void *world_alloc_lines(size_t bytes)
{
    bytes = (bytes + STEP - 1) / STEP * STEP;
    void *p = aligned_alloc(STEP, bytes);
    if (p == NULL) {
        fprintf(stderr, "world: out of memory (%zu bytes)\n", bytes);
        abort();
    }
    return memset(p, 0, bytes);
}

static void *cut(struct blocks *b, size_t bytes)
{
    if (b->slab_left < bytes) {
        struct slab_head *s = aligned_alloc(STEP, SLAB_BYTES);
        if (s == NULL) {
            fprintf(stderr, "world: out of memory for events\n");
            abort();
        }
        s->next = b->slabs;
        b->slabs = s;
        b->at = (uint8_t *)s + STEP;
        b->slab_left = SLAB_BYTES - STEP;
    }
    void *p = b->at;
    b->at += bytes;
    b->slab_left -= bytes;
    return p;
}

struct block *world_block(struct world *w, size_t bytes)
{
    size_t steps = (sizeof(struct block) + bytes + STEP - 1) / STEP;
    struct block *b;
    if (steps >= BLOCK_SIZES) {
        b = world_alloc(sizeof(*b) + bytes);
        b->steps = 0;
    } else if (w->blocks.free[steps] != NULL) {
        b = w->blocks.free[steps];
        memcpy(&w->blocks.free[steps], b->bytes, sizeof(b));
        b->steps = (uint32_t)steps;
    } else {
        b = cut(&w->blocks, steps * STEP);
        b->steps = (uint32_t)steps;
    }
    b->references = 1;
    return b;
}

void world_block_drop(struct world *w, struct block *b)
{
    if (b == NULL || --b->references > 0) {
        return;
    }
    if (b->steps == 0) {
        free(b);
        return;
    }
    memcpy(b->bytes, &w->blocks.free[b->steps], sizeof(b));
    w->blocks.free[b->steps] = b;
}

void world_blocks_free(struct world *w)
{
    while (w->blocks.slabs != NULL) {
        struct slab_head *s = w->blocks.slabs;
        w->blocks.slabs = s->next;
        free(s);
    }
}
