/* The profiler of spec 4.1: two rings of the last 100 samples, and an hour of success and failure
 * in 12 buckets of 5 minutes. Everything has a fixed size; medians look through 100 small
 * numbers, once a heartbeat if there are new ones. Samples are held as 5 bits of shift and 11 of
 * value: the error is below 1 in 2,048, far below what a median is worth. Scores follow design 10:
 * milliseconds of a standard payload; flags compare an agent with its class, not with the fleet. */
#include "core/impedance.h"
#include "core/num.h"
#include "core/predictor.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define VALUE_BITS 11u
#define BUCKET_US  (300ll * US_PER_S)
#define FEW        26u /* samples that are sorted */
#define VECTORS    ((PROFILER_SAMPLES + 7u) / 8u)

typedef uint16_t uint16x8 __attribute__((vector_size(16)));

static uint16_t encode(uint32_t us)
{
    unsigned shift = 0;
    while (us >> shift >= 1u << VALUE_BITS) {
        shift++;
    }
    return (uint16_t)(shift << VALUE_BITS | us >> shift);
}

static uint32_t decode(uint16_t code)
{
    return (uint32_t)(code & ((1u << VALUE_BITS) - 1u)) << (code >> VALUE_BITS);
}

static void ring_add(uint16_t *ring, uint8_t *count, uint8_t *next, uint32_t us)
{
    assert(*next < PROFILER_SAMPLES && *count <= PROFILER_SAMPLES);
    ring[*next] = encode(us);
    *next = (uint8_t)((*next + 1u) % PROFILER_SAMPLES);
    if (*count < PROFILER_SAMPLES) {
        (*count)++;
    }
}

/* The one of that rank, from 0 on, of a few. */
static uint32_t ranked_few(const uint16_t *ring, unsigned count, unsigned rank)
{
    uint16_t sorted[FEW];
    for (unsigned i = 0; i < count; i++) {
        unsigned at = i;
        for (; at > 0 && sorted[at - 1u] > ring[i]; at--) {
            sorted[at] = sorted[at - 1u];
        }
        sorted[at] = ring[i];
    }
    return sorted[rank];
}

/* The one of that rank, from 0 on: bit by bit the largest code that no more than so many lie
 * below. All are compared side by side; what is missing to whole vectors is above all others. */
static uint32_t ranked(const uint16_t *ring, unsigned count, unsigned rank)
{
    uint16x8 codes[VECTORS];
    memset(codes, 0xff, sizeof(codes));
    memcpy(codes, ring, count * sizeof(*ring));
    uint32_t code = 0;
    for (uint32_t bit = 1u << 15; bit != 0; bit >>= 1) {
        uint16x8 below = {0};
        uint32_t all = 0;
        for (unsigned i = 0; i < VECTORS; i++) {
            below -= (uint16x8)(codes[i] < (uint16_t)(code | bit)); /* true is -1 */
        }
        for (unsigned i = 0; i < 8; i++) {
            all += below[i];
        }
        code = all <= rank ? code | bit : code;
    }
    return code;
}

/* Codes sort like their values. The lower of the two middle ones; 0 when empty. */
static uint32_t ring_median(const uint16_t *ring, unsigned count)
{
    assert(count <= PROFILER_SAMPLES);
    if (count == 0) {
        return 0;
    }
    unsigned rank = (count - 1u) / 2u;
    return decode(
        (uint16_t)(count <= FEW ? ranked_few(ring, count, rank) : ranked(ring, count, rank)));
}

void profiler_init(struct profiler *p)
{
    assert(p != NULL);
    memset(p, 0, sizeof *p);
    assert(p->latency_count == 0);
}

void profiler_latency(struct profiler *p, uint32_t rtt_us)
{
    assert(p != NULL);
    assert(p->latency_count <= PROFILER_SAMPLES);
    ring_add(p->latency, &p->latency_count, &p->latency_next, rtt_us);
    p->latency_known = false;
}

/* Empties the buckets that the time has passed over. */
static void profiler_turn(struct profiler *p, int64_t now_us)
{
    int64_t bucket = now_us / BUCKET_US;
    if (bucket - p->hour_bucket >= (int64_t)PROFILER_BUCKETS) {
        memset(p->done, 0, sizeof p->done);
        memset(p->failed, 0, sizeof p->failed);
        p->hour_bucket = bucket;
    }
    while (p->hour_bucket < bucket) {
        p->hour_bucket++;
        p->done[p->hour_bucket % PROFILER_BUCKETS] = 0;
        p->failed[p->hour_bucket % PROFILER_BUCKETS] = 0;
    }
}

void profiler_done(struct profiler *p, int64_t now_us, uint32_t processing_us, bool ok)
{
    assert(p != NULL);
    assert(now_us >= 0);
    profiler_turn(p, now_us);
    uint32_t *count = ok ? p->done : p->failed;
    unsigned i = (unsigned)(p->hour_bucket % PROFILER_BUCKETS);
    if (count[i] < UINT32_MAX / PROFILER_BUCKETS) { /* so that the hour's sum fits */
        count[i]++;
    }
    ring_add(p->processing, &p->processing_count, &p->processing_next, processing_us);
    p->processing_known = false;
}

uint16_t profiler_drift_permille(const struct profiler *p)
{
    assert(p != NULL);
    assert(p->latency_count <= PROFILER_SAMPLES);
    if (p->latency_count < 2) {
        return 0;
    }
    double count = p->latency_count;
    uint64_t sum = 0; /* below 2^53 */
    for (unsigned i = 0; i < p->latency_count; i++) {
        sum += decode(p->latency[i]);
    }
    double mean = (double)sum / count;
    double squares = 0;
    for (unsigned i = 0; i < p->latency_count; i++) {
        double d = (double)decode(p->latency[i]) - mean;
        squares += d * d;
    }
    if (!(mean > 0)) {
        return 0;
    }
    return (uint16_t)num_clamp(1000 * num_sqrt(squares / (count - 1)) / mean + 0.5, 0, UINT16_MAX);
}

/* What the rings say, of those that have changed since. */
static void look_through(struct profiler *p)
{
    if (!p->latency_known) {
        p->latency_us = ring_median(p->latency, p->latency_count);
        p->drift_permille = profiler_drift_permille(p);
        p->latency_known = true;
    }
    if (!p->processing_known) {
        p->processing_us = ring_median(p->processing, p->processing_count);
        p->processing_known = true;
    }
}

void profiler_report(struct profiler *p, int64_t now_us, uint32_t queue_depth,
                     struct impedance *ret)
{
    assert(p != NULL && ret != NULL);
    assert(now_us >= 0);
    uint32_t done = 0;
    uint32_t failed = 0;
    int64_t bucket = now_us / BUCKET_US;
    for (int64_t b = p->hour_bucket; b > p->hour_bucket - (int64_t)PROFILER_BUCKETS && b >= 0;
         b--) {
        if (bucket - b < (int64_t)PROFILER_BUCKETS) {
            done += p->done[b % PROFILER_BUCKETS];
            failed += p->failed[b % PROFILER_BUCKETS];
        }
    }
    look_through(p);
    ret->latency_us = p->latency_us;
    ret->processing_us = p->processing_us;
    ret->queue_depth = queue_depth;
    ret->done = done;
    ret->failed = failed;
    ret->drift_permille = p->drift_permille;
}

uint32_t impedance_score(int64_t predicted_us)
{
    int64_t us = num_clamp_i64(predicted_us, 0, (int64_t)IMPEDANCE_SCORE_MAX * US_PER_MS);
    uint32_t score = (uint32_t)((us + US_PER_MS / 2) / US_PER_MS);
    assert(score <= IMPEDANCE_SCORE_MAX);
    return score;
}

uint16_t impedance_reliability_permille(uint32_t done, uint32_t failed)
{
    uint64_t all = (uint64_t)done + failed;
    uint64_t permille = all == 0 ? 1000u : (uint64_t)done * 1000u / all;
    assert(permille <= 1000u);
    return (uint16_t)permille;
}

uint32_t impedance_relative(enum impedance_class agent_class, int64_t predicted_us)
{
    assert((unsigned)agent_class < CLASS_COUNT);
    int64_t meant = predictor_class_meant_us(agent_class);
    assert(meant > 0);
    int64_t us = num_clamp_i64(predicted_us, 0, 1000 * meant);
    return (uint32_t)num_clamp_i64(us * 100 / meant, 0, IMPEDANCE_SCORE_MAX);
}

bool impedance_degraded(enum impedance_class agent_class, int64_t predicted_us)
{
    assert((unsigned)agent_class < CLASS_COUNT);
    static_assert(IMPEDANCE_DEGRADED < IMPEDANCE_SCORE_MAX, "a score above it must exist");
    return agent_class != CLASS_F_HUMAN &&
           impedance_relative(agent_class, predicted_us) > IMPEDANCE_DEGRADED;
}

bool impedance_unstable(uint16_t drift_permille)
{
    return drift_permille > IMPEDANCE_UNSTABLE;
}
