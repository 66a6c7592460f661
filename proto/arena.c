/* A bump allocator, so that decoding costs a pointer increment an object and a hostile message can
 * never take more than the caller set aside. Nothing is zeroed: who allocates fills in all of it.
 * Bound: `size`; at the bound arena_alloc() answers NULL and stays usable. */
#include "proto/arena.h"

#include <assert.h>

void arena_init(struct arena *arena, void *memory, size_t size)
{
    assert(arena && memory);
    assert((uintptr_t)memory % ARENA_ALIGN == 0);
    /* A multiple of the alignment: so a request that fits still fits when it is rounded up. */
    *arena = (struct arena){.bytes = memory, .size = size & ~(size_t)(ARENA_ALIGN - 1u)};
}

void arena_reset(struct arena *arena)
{
    assert(arena);
    assert(arena->used <= arena->size);
    arena->used = 0;
}

void *arena_alloc(struct arena *arena, size_t bytes)
{
    assert(arena && arena->bytes);
    assert(arena->used <= arena->size && arena->used % ARENA_ALIGN == 0);
    if (bytes > arena->size - arena->used) {
        return NULL;
    }
    void *at = arena->bytes + arena->used;
    arena->used += (bytes + ARENA_ALIGN - 1u) & ~(size_t)(ARENA_ALIGN - 1u);
    return at;
}
