/* Nothing in a registry is believed: every number is held against what observe() keeps it within.
 */
#include "core/predictor_save.h"
#include "core/num.h"

#include <assert.h>
#include <string.h>

#define LARGEST 1e9 /* of everything that is learnt: 11 days in milliseconds */

static void to_lines(const void *bytes, size_t count, struct saved_line *ret)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < count; i += PREDICTOR_SAVED_LINE) {
        size_t rest = count - i < PREDICTOR_SAVED_LINE ? count - i : PREDICTOR_SAVED_LINE;
        num_format_hex(from + i, rest, ret[i / PREDICTOR_SAVED_LINE].digits);
    }
}

static int value_of(char digit)
{
    if (digit >= '0' && digit <= '9') {
        return digit - '0';
    }
    return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

static bool from_lines(const struct saved_line *lines, void *ret, size_t count)
{
    uint8_t *to = ret;
    for (size_t i = 0; i < count; i++) {
        const char *at = lines[i / PREDICTOR_SAVED_LINE].digits + 2 * (i % PREDICTOR_SAVED_LINE);
        int high = value_of(at[0]);
        int low = high < 0 ? -1 : value_of(at[1]);
        if (low < 0) {
            return false;
        }
        to[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

/* Finite, and of a size that learning can reach. */
static bool sound(const float *v, size_t count, float least)
{
    for (size_t i = 0; i < count; i++) {
        if (!(v[i] >= least && v[i] <= (float)LARGEST)) {
            return false;
        }
    }
    return true;
}

static bool between(float v, float least, float most)
{
    return v >= least && v <= most;
}

void predictor_save(const struct predictor *p, struct saved_line ret[PREDICTOR_SAVED_LINES])
{
    assert(p != NULL && ret != NULL);
    struct predictor copy = *p;
    copy.last_us = 0; /* a time of this lead's own clock */
    to_lines(&copy, sizeof copy, ret);
    assert(strlen(ret[0].digits) == 2 * (size_t)PREDICTOR_SAVED_LINE);
}

bool predictor_load(struct predictor *p, const struct saved_line lines[PREDICTOR_SAVED_LINES])
{
    assert(p != NULL && lines != NULL);
    struct predictor read;
    if (!from_lines(lines, &read, sizeof read) || read.kind != p->kind ||
        read.agent_class != p->agent_class) {
        return false;
    }
    const float positive[] = {read.net_ms,   read.net_dev_ms,       read.base_ms,   read.base_dev,
                              read.floor_ms, read.standard_base_ms, read.fast_mean, read.fast_dev,
                              read.ring_top, read.loss[0],          read.loss[1],   read.loss[2]};
    const float any[] = {read.conformal, read.mix_correction, read.centre};
    bool good = sound(positive, sizeof positive / sizeof positive[0], 0) &&
                sound(any, sizeof any / sizeof any[0], -(float)LARGEST) &&
                between(read.weight[0], 0, 1) && between(read.weight[1], 0, 1) &&
                between(read.weight[0] + read.weight[1], 0, 1.001f) && between(read.miss, 0, 1) &&
                read.ring_count <= PREDICTOR_RING + PREDICTOR_TAIL &&
                read.ring_next < PREDICTOR_RING + PREDICTOR_TAIL;
    if (!good || (read.ring_count > 0 && !(read.loss[0] > 0))) {
        return false;
    }
    if (read.ring_count > PREDICTOR_RING) {
        read.ring_count = PREDICTOR_RING;
    }
    if (read.ring_next >= PREDICTOR_RING) {
        read.ring_next = 0;
    }
    read.last_us = 0;
    *p = read;
    return true;
}

void predictor_prior_save(const struct predictor_prior *prior,
                          struct saved_line ret[PRIOR_SAVED_LINES])
{
    assert(prior != NULL && ret != NULL);
    assert(prior->tau >= 0.5f && prior->tau < 1);
    to_lines(prior, sizeof *prior, ret);
}

bool predictor_prior_load(struct predictor_prior *prior,
                          const struct saved_line lines[PRIOR_SAVED_LINES])
{
    assert(prior != NULL && lines != NULL);
    struct predictor_prior read;
    if (!from_lines(lines, &read, sizeof read) || read.agent_class != prior->agent_class ||
        !between(read.tau, prior->tau, prior->tau)) {
        return false;
    }
    const float positive[] = {read.weight_slope, read.queue_slope, read.base_spread, read.net_ms,
                              read.net_dev_ms,   read.base_ms,     read.base_dev};
    const float any[] = {read.z_tau, read.fast_k, read.ring_k};
    bool good = sound(positive, sizeof positive / sizeof positive[0], 0) &&
                sound(any, sizeof any / sizeof any[0], -(float)LARGEST) &&
                sound(read.z_grid, PREDICTOR_GRID, -(float)LARGEST) && sound(read.loss, 3, 0.01f) &&
                between(read.weight_mean, 0, (float)LARGEST) &&
                between(read.queue_mean, 0, (float)LARGEST) && between(read.miss, 0, 1) &&
                between(read.shift, -1e3f, 1e3f) && between(read.lean, -1, 1);
    if (!good) {
        return false;
    }
    read.shift = 0; /* what all had in common lately is over */
    read.lean = 0;
    *prior = read;
    return true;
}
