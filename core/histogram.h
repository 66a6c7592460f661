/* Fixed, mergeable histograms with three buckets an octave (design 10: merged histograms instead of
 * p95 of p95s). Plain arrays, as they stand in summaries and aggregates; merging is adding.
 *
 * Lead buckets: bucket i ends at 1 ms * 2^((i + 1) / 3), the first starts at 0, the last (ends at
 * 65.5 s) is open. Arrival buckets are signed: 48 + k holds errors of 0 or more that end at 0.1 ms
 * * 2^((k + 1) / 3), 47 - k mirrors it for negative ones; both ends (6.5 s) are open. A bucket
 * includes its smaller end (by magnitude) and excludes its larger one. Counts saturate at 2^32 - 1.
 */
#ifndef CORE_HISTOGRAM_H
#define CORE_HISTOGRAM_H

#include "core/limits.h"
#include <stdint.h>

unsigned lead_bucket(int64_t lead_us);  /* negative: the first */
int64_t lead_bucket_end_us(unsigned i); /* exclusive; the last: its nominal end */
unsigned arrival_bucket(int64_t error_us);
int64_t arrival_bucket_end_us(unsigned i); /* the end farther from 0, signed */

void lead_add(uint32_t counts[LEAD_BUCKETS], int64_t lead_us, uint32_t n);
void arrival_add(uint32_t counts[ARRIVAL_BUCKETS], int64_t error_us, uint32_t n);
/* into += from, for `buckets` buckets of either kind. */
void histogram_merge(uint32_t *restrict into, const uint32_t *restrict from, unsigned buckets);
uint64_t histogram_total(const uint32_t *counts, unsigned buckets);

/* The q-quantile (0 to 1), rounded up to its bucket's end, so that a share of at least q lies at or
 * below it; 0 when empty. Beyond the last bucket's nominal end it is that end. */
int64_t lead_quantile(const uint32_t counts[LEAD_BUCKETS], double q);
/* The share of those whose bucket ends at lead_us or before; 0 when empty. */
double lead_share(const uint32_t counts[LEAD_BUCKETS], int64_t lead_us);
/* The same over signed errors: the end of the bucket that is greater in value. */
int64_t arrival_quantile(const uint32_t counts[ARRIVAL_BUCKETS], double q);

#endif
