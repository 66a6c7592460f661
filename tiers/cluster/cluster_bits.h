/* Masks of members, and times, in the lead's files. */
#ifndef TIERS_CLUSTER_CLUSTER_BITS_H
#define TIERS_CLUSTER_CLUSTER_BITS_H

#include "core/num.h"
#include <stdint.h>

static inline uint64_t bit_of(uint32_t i)
{
    return 1ull << i;
}
static inline uint32_t bits_count(uint64_t mask)
{
    return num_bits(mask);
}
static inline uint32_t bits_lowest(uint64_t mask) /* mask != 0 */
{
    return num_lowest_bit(mask);
}
static inline int64_t time_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

#endif
