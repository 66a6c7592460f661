/* Fixed chunks, a list of returned ones and a watermark of those never used. Chunks are handed out
 * from the list first, so the touched part of the memory stays as small as the greatest use ever
 * was. All operations take constant time. 256 bytes: a small answer group with its runs, or one
 * histogram part, fits one chunk; waste is bounded by the chunk count. */
#include "core/slab.h"
#include <assert.h>
#include <string.h>

void slab_init_runs(struct slab *s, void *memory, uint32_t chunks, uint32_t run_chunks)
{
    assert(s != NULL && memory != NULL);
    assert(chunks >= 1 && chunks <= SLAB_CHUNKS_MAX && run_chunks <= SLAB_CHUNKS_MAX - chunks);
    assert(((uintptr_t)memory & 15u) == 0);
    *s = (struct slab){
        .memory = memory, .chunks = (uint16_t)chunks, .whole = (uint16_t)(chunks + run_chunks)};
    s->run_left = (uint16_t)run_chunks;
}

void slab_init(struct slab *s, void *memory, uint32_t chunks)
{
    slab_init_runs(s, memory, chunks, 0);
}

uint32_t slab_left(const struct slab *s)
{
    assert(s != NULL);
    assert((uint32_t)s->used + s->reserved <= s->chunks);
    return (uint32_t)s->chunks - s->used - s->reserved;
}

void *slab_at(const struct slab *s, uint16_t chunk)
{
    assert(s != NULL);
    assert(chunk != SLAB_NONE && chunk <= s->fresh);
    return s->memory + (size_t)(chunk - 1u) * SLAB_CHUNK_BYTES;
}

static uint16_t take(struct slab *s)
{
    assert(s->used < s->chunks);
    s->used++;
    if (s->free == SLAB_NONE) {
        assert(s->fresh < s->whole); /* chunks that runs gave only add to it */
        s->fresh++;
        return s->fresh; /* never touched: zero as the caller gave it */
    }
    uint16_t chunk = s->free;
    uint8_t *at = slab_at(s, chunk);
    memcpy(&s->free, at, sizeof s->free);
    memset(at, 0, SLAB_CHUNK_BYTES);
    return chunk;
}

uint16_t slab_alloc(struct slab *s)
{
    assert(s != NULL);
    assert(s->memory != NULL);
    return slab_left(s) > 0 ? take(s) : SLAB_NONE;
}

bool slab_reserve(struct slab *s, uint32_t n)
{
    assert(s != NULL);
    assert(n <= SLAB_CHUNKS_MAX);
    if (slab_left(s) < n) {
        return false;
    }
    s->reserved = (uint16_t)(s->reserved + n);
    return true;
}

uint16_t slab_alloc_reserved(struct slab *s)
{
    assert(s != NULL);
    assert(s->reserved > 0);
    s->reserved--;
    return take(s);
}

void slab_unreserve(struct slab *s, uint32_t n)
{
    assert(s != NULL);
    assert(n <= s->reserved);
    s->reserved = (uint16_t)(s->reserved - n);
}

void slab_free(struct slab *s, uint16_t chunk)
{
    assert(s != NULL);
    assert(s->used > 0);
    memcpy(slab_at(s, chunk), &s->free, sizeof s->free);
    s->free = chunk;
    s->used--;
}

uint16_t slab_run(struct slab *s, uint32_t n)
{
    assert(s != NULL);
    assert(n >= 1 && n <= s->run_left);
    assert(n <= (uint32_t)s->whole - s->fresh);
    uint16_t first = (uint16_t)(s->fresh + 1u);
    s->fresh = (uint16_t)(s->fresh + n);
    s->run_left = (uint16_t)(s->run_left - n);
    return first;
}

void slab_give(struct slab *s, uint16_t first, uint32_t n)
{
    assert(s != NULL);
    assert(first != SLAB_NONE && n >= 1 && first + n - 1u <= s->fresh);
    for (uint32_t i = n; i-- > 0;) {
        uint16_t chunk = (uint16_t)(first + i);
        memcpy(slab_at(s, chunk), &s->free, sizeof s->free);
        s->free = chunk;
    }
}
