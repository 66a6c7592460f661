/* A bump allocator over memory that the caller owns: decoding allocates from it and from nowhere
 * else, so a hostile message can cost no more than the arena has. Freeing is a no-op; arena_reset()
 * gives everything back at once. Met limit: arena_alloc() answers NULL and the decoder refuses the
 * message (CODEC_NO_ROOM). */
#ifndef PROTO_ARENA_H
#define PROTO_ARENA_H

#include <stddef.h>
#include <stdint.h>

#define ARENA_ALIGN 16u

struct arena {
    uint8_t *bytes; /* borrowed, aligned to ARENA_ALIGN */
    size_t size, used;
};

/* memory: aligned to ARENA_ALIGN, lives as long as the arena. */
void arena_init(struct arena *arena, void *memory, size_t size);
void arena_reset(struct arena *arena);

/* Aligned to ARENA_ALIGN, not zeroed; NULL when it does not fit. */
void *arena_alloc(struct arena *arena, size_t bytes);

#endif
