/* The agent's own profiler (spec 4.1) and what a lead makes of it (spec 2.3, 4.2; design 10).
 * Samples are kept in 16 bits (11 significant bits: exact to 2 ms, within 0.05 % above), so that
 * 30,000 profilers take 15 MB. Rings of 100; the oldest sample goes first. */
#ifndef CORE_IMPEDANCE_H
#define CORE_IMPEDANCE_H

#include "core/summary.h"
#include "core/types.h"
#include <stdbool.h>
#include <stdint.h>

#define PROFILER_SAMPLES    100u
#define PROFILER_BUCKETS    12u /* of 5 minutes: the last hour, to within 5 minutes */
#define IMPEDANCE_SCORE_MAX 1000u
#define IMPEDANCE_DEGRADED  800u /* spec 4.2, relative to the class */
#define IMPEDANCE_UNSTABLE  500u /* permille of drift */

struct profiler {
    int64_t hour_bucket;             /* number of the newest bucket's 5 minutes */
    uint32_t done[PROFILER_BUCKETS]; /* by bucket number modulo the count; saturate */
    uint32_t failed[PROFILER_BUCKETS];
    uint16_t latency[PROFILER_SAMPLES]; /* round trips, coded */
    uint16_t processing[PROFILER_SAMPLES];
    uint8_t latency_count, latency_next;
    uint8_t processing_count, processing_next;
    /* Reports come more often than samples: what the last one made of a ring is kept until the ring
     * has a new one. */
    bool latency_known, processing_known;
    uint16_t drift_permille;
    uint32_t latency_us, processing_us; /* medians */
};

void profiler_init(struct profiler *p);
void profiler_latency(struct profiler *p, uint32_t rtt_us);
/* One operation handled; ok: it did not fail (a CONFLICT is not a failure, spec 5.1). */
void profiler_done(struct profiler *p, int64_t now_us, uint32_t processing_us, bool ok);
/* The measured fields (latency, processing, queue, done, failed, drift) of *ret; the others stay.
 */
void profiler_report(struct profiler *p, int64_t now_us, uint32_t queue_depth,
                     struct impedance *ret);
/* Coefficient of variation of the round trips in permille (sigma / mean), 65535 at most; 0 with
 * fewer than 2 samples. */
uint16_t profiler_drift_permille(const struct profiler *p);

/* Score of a predicted time of a standard payload (weight 1): its milliseconds, rounded, at most
 * 1000 (design 10). */
uint32_t impedance_score(int64_t predicted_us);
/* done / (done + failed) in permille; 1000 when nothing was done yet. */
uint16_t impedance_reliability_permille(uint32_t done, uint32_t failed);
/* 100 = as fast as the class is meant to be; 800 = eight times slower; 1000 at most. */
uint32_t impedance_relative(enum impedance_class agent_class, int64_t predicted_us);
/* Spec 4.2 flags, relative to the class. CLASS_F is never degraded for being slow. */
bool impedance_degraded(enum impedance_class agent_class, int64_t predicted_us);
bool impedance_unstable(uint16_t drift_permille);

#endif
