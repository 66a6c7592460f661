/* A pool of 256-byte chunks in memory given by the caller: groups, histograms and schedules of
 * operations live here, so that an idle operation slot is small and the whole is bounded.
 *
 * Zeroed memory (calloc) is a valid pool; chunks are handed out lowest-first and never touched
 * before, so an unused pool costs no pages. Chunks are named by number, 0 is none.
 *
 * Reservations: an admitted operation reserves the chunks that it must be able to get later;
 * everything else takes from what is neither used nor reserved, and does without when that is
 * empty.
 *
 * Runs: tables that grow lie in the same memory, as chunks side by side. They have room of their
 * own, said at the start, and take nothing from the chunks' limit; a run that its table has
 * outgrown is given to the chunks. */
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
    uint16_t chunks;   /* at most so many are handed out, runs not counted */
    uint16_t whole;    /* 1 to whole are names */
    uint16_t fresh;    /* chunks ever handed out */
    uint16_t free;     /* head of the list of returned chunks */
    uint16_t used;     /* handed out now */
    uint16_t reserved; /* promised, not handed out */
    uint16_t run_left; /* chunks that runs may still take */
};

/* memory: slab_bytes(chunks) zeroed bytes, 16-byte aligned, alive as long as the slab. */
void slab_init(struct slab *s, void *memory, uint32_t chunks);
/* The same with room for runs of so many chunks in all: memory for chunks + run_chunks. */
void slab_init_runs(struct slab *s, void *memory, uint32_t chunks, uint32_t run_chunks);
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

/* The first of n zeroed chunks side by side. Not more in all than was said at the start. */
uint16_t slab_run(struct slab *s, uint32_t n);
/* A run's chunks are chunks like others from now on. */
void slab_give(struct slab *s, uint16_t first, uint32_t n);

void *slab_at(const struct slab *s, uint16_t chunk);
uint32_t slab_left(const struct slab *s); /* neither used nor reserved */

#endif
