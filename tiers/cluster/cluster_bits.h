/* Masks of members, and times, in the lead's files. */
#ifndef TIERS_CLUSTER_CLUSTER_BITS_H
#define TIERS_CLUSTER_CLUSTER_BITS_H

#include <stdint.h>

static inline uint64_t bit_of(uint32_t i)
{
    return 1ull << i;
}
static inline uint32_t bits_count(uint64_t mask)
{
    uint32_t n = 0;
    for (; mask != 0; mask &= mask - 1u) {
        n++;
    }
    return n;
}
static inline uint32_t bits_lowest(uint64_t mask) /* mask != 0 */
{
    uint32_t i = 0;
    while ((mask >> i & 1u) == 0) {
        i++;
    }
    return i;
}
static inline int64_t time_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
