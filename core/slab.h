/* A pool of 256-byte chunks in memory given by the caller: groups, histograms and schedules of
 * operations live here, so that an idle operation slot is small and the whole is bounded.
 *
 * Zeroed memory (calloc) is a valid pool; chunks are handed out lowest-first and never touched
 * before, so an unused pool costs no pages. Chunks are named by number, 0 is none.
 *
 * Reservations: an admitted operation reserves the chunks that it must be able to get later;
 * everything else takes from what is neither used nor reserved, and does without when that is
 * empty. */
#ifndef CORE_SLAB_H
#define CORE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SLAB_CHUNK_BYTES 256u
#define SLAB_CHUNKS_MAX  65534u
#define SLAB_NONE        0u

struct slab {
    uint8_t *memory;   /* caller's, 16-byte aligned, chunks * 256 bytes, zeroed */
    uint16_t chunks;   /* 1 to chunks are names */
    uint16_t fresh;    /* chunks ever handed out */
    uint16_t free;     /* head of the list of returned chunks */
    uint16_t used;     /* handed out now */
    uint16_t reserved; /* promised, not handed out */
};

/* memory: slab_bytes(chunks) zeroed bytes, 16-byte aligned, alive as long as the slab. */
void slab_init(struct slab *s, void *memory, uint32_t chunks);
static inline size_t slab_bytes(uint32_t chunks)
{
    return (size_t)chunks * SLAB_CHUNK_BYTES;
}

/* A zeroed chunk, or SLAB_NONE when nothing unreserved is left. */
uint16_t slab_alloc(struct slab *s);

/* Promise n chunks; false, and nothing promised, when there are not so many. */
bool slab_reserve(struct slab *s, uint32_t n);
/* A zeroed chunk out of one promised before; cannot fail. */
uint16_t slab_alloc_reserved(struct slab *s);
/* Give back n promises. */
void slab_unreserve(struct slab *s, uint32_t n);

void slab_free(struct slab *s, uint16_t chunk);
void *slab_at(const struct slab *s, uint16_t chunk);
uint32_t slab_left(const struct slab *s); /* neither used nor reserved */

#endif
