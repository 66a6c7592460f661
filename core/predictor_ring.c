/* A ratio is coded as the exponent and 11 bits of the mantissa of its float: codes sort like their
 * values, and are rounded up, so that what is as large as before is never above it. */
#include "core/predictor_ring.h"
#include "core/num.h"

#include <assert.h>
#include <string.h>

#define RATIO_LEAST 1.52587890625e-05
#define RATIO_MOST  65000.0
#define CODE_LEAST  0x37800000u /* the bits of RATIO_LEAST */

static uint16_t ratio_code(double ratio)
{
    float f = (float)num_clamp(ratio, RATIO_LEAST, RATIO_MOST);
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    return (uint16_t)((bits - CODE_LEAST + 0xfffu) >> 12);
}

static double ratio_of(uint16_t code)
{
    uint32_t bits = ((uint32_t)code << 12) + CODE_LEAST;
    float f;
    memcpy(&f, &bits, sizeof f);
    return (double)f;
}

static uint16_t at(const struct predictor *p, const struct predictor_tail *tail, unsigned i)
{
    return i < PREDICTOR_RING ? p->ring[i] : tail->ring[i - PREDICTOR_RING];
}

static void put(struct predictor *p, struct predictor_tail *tail, unsigned i, uint16_t code)
{
    if (i < PREDICTOR_RING) {
        p->ring[i] = code;
    } else {
        tail->ring[i - PREDICTOR_RING] = code;
    }
}

void ring_push(struct predictor *p, struct predictor_tail *tail, double ratio)
{
    assert(p != NULL);
    unsigned size = PREDICTOR_RING + (tail != NULL ? PREDICTOR_TAIL : 0);
    assert(p->ring_next < size && p->ring_count <= size); /* else it once had a tail */
    put(p, tail, p->ring_next, ratio_code(ratio));
    p->ring_next = (uint8_t)((p->ring_next + 1u) % size);
    p->ring_count = (uint8_t)(p->ring_count + (p->ring_count < size ? 1u : 0u));
}

/* The greatest code below a limit; 0: none. Without a branch on what is random. */
static uint32_t greatest(const struct predictor *p, const struct predictor_tail *tail,
                         uint32_t limit)
{
    uint32_t found = 0;
    for (unsigned i = 0; i < p->ring_count; i++) {
        uint32_t code = at(p, tail, i);
        code = code < limit ? code : 0;
        found = code > found ? code : found;
    }
    return found;
}

static unsigned equals(const struct predictor *p, const struct predictor_tail *tail, uint32_t code)
{
    unsigned count = 0;
    for (unsigned i = 0; i < p->ring_count; i++) {
        count += at(p, tail, i) == code ? 1u : 0u;
    }
    return count;
}

double ring_quantile(const struct predictor *p, const struct predictor_tail *tail, double tau)
{
    assert(p != NULL && p->ring_count > 0);
    assert(tail != NULL || p->ring_count <= PREDICTOR_RING);
    unsigned count = p->ring_count;
    double exact = tau * (double)(count + 1u);
    unsigned rank = (unsigned)exact;
    rank += (double)rank < exact ? 1u : 0u;
    unsigned above = rank < count ? count - rank : 0; /* so many are greater */
    uint32_t found = greatest(p, tail, 65536);
    while (above > 0) {
        unsigned equal = equals(p, tail, found);
        if (equal > above) {
            break;
        }
        above -= equal;
        found = greatest(p, tail, found);
    }
    return ratio_of((uint16_t)found);
}

double ring_mean(const struct predictor *p, const struct predictor_tail *tail)
{
    assert(p != NULL && p->ring_count > 0);
    assert(tail != NULL || p->ring_count <= PREDICTOR_RING);
    double sum = 0;
    for (unsigned i = 0; i < p->ring_count; i++) {
        sum += ratio_of(at(p, tail, i));
    }
    return sum / (double)p->ring_count;
}

void ring_rescale(struct predictor *p, struct predictor_tail *tail, double factor)
{
    assert(p != NULL && factor > 0);
    assert(tail != NULL || p->ring_count <= PREDICTOR_RING);
    for (unsigned i = 0; i < p->ring_count; i++) {
        put(p, tail, i, ratio_code(ratio_of(at(p, tail, i)) * factor));
    }
}
