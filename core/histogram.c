/* Histograms with three buckets an octave. The ends are integer tables, not computed, so that all
 * machines and versions put a value into the same bucket and old counts stay mergeable. Adding is
 * a binary search over 48 ends; merging is addition that stays at 2^32 - 1. */
#include "core/histogram.h"
#include "core/num.h"

#include <assert.h>
#include <stddef.h>

#define HALF (ARRIVAL_BUCKETS / 2u)

/* round(1000 * 2^((i + 1) / 3)) and round(100 * 2^((i + 1) / 3)) */
static const int32_t LEAD_END_US[LEAD_BUCKETS] = {
    1260,     1587,     2000,     2520,     3175,     4000,     5040,     6350,
    8000,     10079,    12699,    16000,    20159,    25398,    32000,    40317,
    50797,    64000,    80635,    101594,   128000,   161270,   203187,   256000,
    322540,   406375,   512000,   645080,   812749,   1024000,  1290159,  1625499,
    2048000,  2580318,  3250997,  4096000,  5160637,  6501995,  8192000,  10321273,
    13003989, 16384000, 20642546, 26007979, 32768000, 41285093, 52015958, 65536000,
};
static const int32_t ARRIVAL_END_US[ARRIVAL_BUCKETS / 2u] = {
    126,     159,     200,     252,     317,     400,     504,     635,     800,    1008,
    1270,    1600,    2016,    2540,    3200,    4032,    5080,    6400,    8063,   10159,
    12800,   16127,   20319,   25600,   32254,   40637,   51200,   64508,   81275,  102400,
    129016,  162550,  204800,  258032,  325100,  409600,  516064,  650199,  819200, 1032127,
    1300399, 1638400, 2064255, 2600798, 3276800, 4128509, 5201596, 6553600,
};

/* The first bucket whose end is greater than value, the last at most. */
static unsigned find_bucket(const int32_t *ends, unsigned count, int64_t value)
{
    unsigned low = 0;
    unsigned high = count - 1u;
    while (low < high) {
        unsigned middle = (low + high) / 2u;
        if (value < ends[middle]) {
            high = middle;
        } else {
            low = middle + 1u;
        }
    }
    return low;
}

unsigned lead_bucket(int64_t lead_us)
{
    return find_bucket(LEAD_END_US, LEAD_BUCKETS, lead_us);
}

int64_t lead_bucket_end_us(unsigned i)
{
    assert(i < LEAD_BUCKETS);
    return LEAD_END_US[i];
}

unsigned arrival_bucket(int64_t error_us)
{
    if (error_us >= 0) {
        return HALF + find_bucket(ARRIVAL_END_US, HALF, error_us);
    }
    int64_t size = error_us == INT64_MIN ? INT64_MAX : -error_us;
    return HALF - 1u - find_bucket(ARRIVAL_END_US, HALF, size);
}

int64_t arrival_bucket_end_us(unsigned i)
{
    assert(i < ARRIVAL_BUCKETS);
    return i >= HALF ? ARRIVAL_END_US[i - HALF] : -(int64_t)ARRIVAL_END_US[HALF - 1u - i];
}

static void add_to(uint32_t *count, uint32_t n)
{
    *count = n > UINT32_MAX - *count ? UINT32_MAX : *count + n;
}

void lead_add(uint32_t counts[LEAD_BUCKETS], int64_t lead_us, uint32_t n)
{
    assert(counts != NULL);
    unsigned i = lead_bucket(lead_us);
    assert(i < LEAD_BUCKETS);
    add_to(&counts[i], n);
}

void arrival_add(uint32_t counts[ARRIVAL_BUCKETS], int64_t error_us, uint32_t n)
{
    assert(counts != NULL);
    unsigned i = arrival_bucket(error_us);
    assert(i < ARRIVAL_BUCKETS);
    add_to(&counts[i], n);
}

void histogram_merge(uint32_t *restrict into, const uint32_t *restrict from, unsigned buckets)
{
    assert(into != NULL && from != NULL && into != from);
    assert(buckets <= ARRIVAL_BUCKETS);
    for (unsigned i = 0; i < buckets; i++) { /* without a branch: several at a time */
        uint32_t sum = into[i] + from[i];
        into[i] = sum < from[i] ? UINT32_MAX : sum;
    }
}

uint64_t histogram_total(const uint32_t *counts, unsigned buckets)
{
    assert(counts != NULL);
    assert(buckets <= ARRIVAL_BUCKETS);
    uint64_t total = 0;
    for (unsigned i = 0; i < buckets; i++) {
        total += counts[i];
    }
    return total;
}

/* Index of the bucket that holds the q-quantile; `buckets` when all are empty. */
static unsigned quantile_bucket(const uint32_t *counts, unsigned buckets, double q)
{
    uint64_t total = histogram_total(counts, buckets);
    if (total == 0) {
        return buckets;
    }
    double exact = num_clamp(q, 0, 1) * (double)total;
    uint64_t rank = (uint64_t)exact; /* the rank-th smallest, from 1, rounded up */
    rank += (double)rank < exact ? 1u : 0u;
    rank = rank == 0 ? 1u : (rank > total ? total : rank);
    uint64_t below = 0;
    for (unsigned i = 0; i < buckets; i++) {
        below += counts[i];
        if (below >= rank) {
            return i;
        }
    }
    assert(false); /* rank <= total */
    return buckets;
}

int64_t lead_quantile(const uint32_t counts[LEAD_BUCKETS], double q)
{
    assert(counts != NULL);
    unsigned i = quantile_bucket(counts, LEAD_BUCKETS, q);
    assert(i <= LEAD_BUCKETS);
    return i == LEAD_BUCKETS ? 0 : LEAD_END_US[i];
}

double lead_share(const uint32_t counts[LEAD_BUCKETS], int64_t lead_us)
{
    assert(counts != NULL);
    uint64_t total = 0, within = 0;
    for (unsigned i = 0; i < LEAD_BUCKETS; i++) {
        total += counts[i];
        within += lead_bucket_end_us(i) <= lead_us ? counts[i] : 0;
    }
    assert(within <= total);
    return total > 0 ? (double)within / (double)total : 0;
}

int64_t arrival_quantile(const uint32_t counts[ARRIVAL_BUCKETS], double q)
{
    assert(counts != NULL);
    unsigned i = quantile_bucket(counts, ARRIVAL_BUCKETS, q);
    assert(i <= ARRIVAL_BUCKETS);
    if (i == ARRIVAL_BUCKETS || i == HALF - 1u) {
        return 0; /* empty, or the negative bucket that ends at 0 */
    }
    return i < HALF - 1u ? arrival_bucket_end_us(i + 1u) : arrival_bucket_end_us(i);
}
