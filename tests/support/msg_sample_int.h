/* What the samples of messages are drawn from. */
#ifndef TESTS_SUPPORT_MSG_SAMPLE_INT_H
#define TESTS_SUPPORT_MSG_SAMPLE_INT_H

#include "tests/support/msg_sample.h"
#include <assert.h>
#include <string.h>

static inline void *take(struct sample *s, size_t bytes)
{
    const size_t step = (bytes + 15u) & ~(size_t)15u;
    assert(step <= SAMPLE_BYTES - s->used);
    void *at = s->memory + s->used;
    s->used += step;
    memset(at, 0, step);
    return at;
}

/* 0 to top; often at its ends. Never 0 when full. */
static inline uint64_t number(struct sample *s, uint64_t top)
{
    const uint64_t pick = rng_u64(&s->rng) % 6;
    const uint64_t low = s->fill == SAMPLE_FULL ? 1 : 0;
    if (top <= low) {
        return top;
    }
    if (pick == 0) {
        return low;
    }
    if (pick == 1) {
        return top;
    }
    const uint64_t any = rng_u64(&s->rng) >> (rng_u64(&s->rng) % 64);
    return any > top ? low + any % (top - low) : any < low ? low : any;
}

static inline uint32_t u32(struct sample *s)
{
    return (uint32_t)number(s, UINT32_MAX);
}

static inline uint32_t upto(struct sample *s, uint32_t top)
{
    return s->fill == SAMPLE_FULL ? top : (uint32_t)(rng_u64(&s->rng) % (top + 1ull));
}

static inline bool flag(struct sample *s)
{
    return s->fill == SAMPLE_FULL || rng_u64(&s->rng) % 2;
}

static inline struct unit place(struct sample *s, enum tier tier)
{
    const unsigned sector = 1 + upto(s, SECTORS_MAX - 1);
    const unsigned cluster = 1 + upto(s, CLUSTERS_PER_SECTOR_MAX - 1);
    if (tier == TIER_SECTOR) {
        return unit_sector(sector);
    }
    return tier == TIER_CLUSTER
               ? unit_cluster(sector, cluster)
               : unit_agent(sector, cluster, 1 + upto(s, AGENTS_PER_CLUSTER_MAX - 1));
}

static inline void text_fill(struct sample *s, char *at, uint32_t top)
{
    static const char *const parts[] = {"a", "B-7", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x99\x82"};
    const uint32_t want = upto(s, top);
    uint32_t n = 0;
    for (;;) {
        const char *part = parts[rng_u64(&s->rng) % 5];
        const uint32_t bytes = (uint32_t)strlen(part);
        if (n + bytes > want) {
            break;
        }
        memcpy(at + n, part, bytes);
        n += bytes;
    }
    at[n] = 0;
}

/* Of circuits, freezes, thaws. */
void sample_notice(struct sample *s, struct msg *m);
struct isolate sample_isolate(struct sample *s);
void sample_order(struct sample *s, struct msg *m);

#endif
