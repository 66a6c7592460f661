#include "core/timing.h"

#include "core/num.h"
#include <assert.h>
#include <string.h>

#define MEAN_OF  16u  /* answers that the moving mean remembers */
#define PROBE_OF 4.0f /* of a longer round trip so much is taken over, of a shorter one all */

static int64_t magnitude(int64_t us)
{
    return us < 0 ? -us : us;
}

static int64_t most(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* -1, 0, 1: claims shorter, as they should be, longer than the lead's clock allows. The claims are
 * off by `shift`, and the way back is `moved` too short. Beside a calibrated way back the two need
 * not agree: it was measured at another time. */
static int contradiction(const struct timing_member *m, const struct timing_answer *a)
{
    int64_t clock_us = a->clock_us < TIMING_CLOCK_US ? a->clock_us : TIMING_CLOCK_US;
    int64_t limit_us = most(most(TIMING_FLOOR_US, 3 * a->buffer_us), clock_us);
    int64_t moved_us = (int64_t)m->back_us - a->back_us;
    int64_t shift_us = a->claimed_us - a->expected_us;
    int sign = moved_us < 0 ? -1 : 1;
    bool opposed = m->calibrated ? magnitude(moved_us) > limit_us
                                 : magnitude(shift_us - moved_us) * 2 <= magnitude(shift_us);
    return magnitude(shift_us) > limit_us && opposed ? sign : 0;
}

static void mean_add(struct timing_member *m, float us)
{
    m->heard = (uint8_t)(m->heard + (m->heard < UINT8_MAX ? 1u : 0u));
    float n = (float)(m->heard < MEAN_OF ? m->heard : MEAN_OF);
    m->back_us += (us - m->back_us) / n;
}

static uint64_t together(const struct timing_watch *t, uint32_t agents, int sign, int64_t now_us)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < agents; i++) {
        const struct timing_member *m = &t->of[i];
        bool now = m->run * sign >= TIMING_RUN && now_us - m->odd_us <= TIMING_WINDOW_US;
        mask |= now ? 1ull << i : 0;
    }
    return mask;
}

static void lock(struct timing_watch *t, uint64_t mask)
{
    for (uint32_t i = 0; i < AGENTS_PER_CLUSTER_MAX; i++) {
        if ((mask & ~t->locked) >> i & 1u) {
            t->of[i].clean = 0;
        }
    }
    t->locked |= mask;
}

static bool heard_locked(struct timing_watch *t, uint32_t i, int sign)
{
    struct timing_member *m = &t->of[i];
    m->clean = sign == 0 ? (uint8_t)(m->clean + 1u) : 0;
    if (m->clean < TIMING_CLEAN) {
        return false;
    }
    m->run = 0; /* the way back that it was held against stays: else the next lie would be it */
    m->calibrated = false;
    t->locked &= ~(1ull << i);
    t->probing &= t->locked;
    return true;
}

bool timing_heard(struct timing_watch *t, uint32_t agents, uint32_t i,
                  const struct timing_answer *a, int64_t now_us)
{
    assert(t != NULL && a != NULL && i < agents && agents <= AGENTS_PER_CLUSTER_MAX);
    struct timing_member *m = &t->of[i];
    int sign = m->heard >= TIMING_SETTLED ? contradiction(m, a) : 0;
    if ((t->locked >> i & 1u) != 0) {
        return heard_locked(t, i, sign);
    }
    mean_add(m, (float)a->back_us);
    if (sign == 0) {
        m->run = 0;
        return true;
    }
    m->run = (int8_t)(m->run * sign <= 0           ? sign
                      : m->run * sign < TIMING_RUN ? m->run + sign
                                                   : m->run);
    m->odd_us = now_us;
    uint64_t mask = together(t, agents, sign, now_us);
    uint32_t share = (agents + 4u) / 5u, enough = share > TIMING_LEAST ? share : TIMING_LEAST;
    if (num_bits(mask) >= enough || (t->locked != 0 && mask != 0)) {
        lock(t, mask);
    }
    return false;
}

uint64_t timing_probe(struct timing_watch *t, int64_t now_us)
{
    assert(t != NULL);
    if (t->locked == 0 || now_us - t->probe_us < TIMING_PROBE_US) {
        return 0;
    }
    t->probing = t->locked;
    t->probe_us = now_us;
    return t->probing;
}

void timing_beat(struct timing_watch *t, uint32_t i, int64_t now_us)
{
    assert(t != NULL && i < AGENTS_PER_CLUSTER_MAX);
    struct timing_member *m = &t->of[i];
    if ((t->probing >> i & 1u) == 0) {
        return;
    }
    t->probing &= ~(1ull << i);
    if (now_us - t->probe_us > TIMING_LATE_US) {
        return; /* the probe was lost, and this is a beat of its own */
    }
    float back_us = (float)(now_us - t->probe_us) / 2.0f;
    bool up = m->calibrated && back_us > m->back_us;
    m->back_us = up ? m->back_us + (back_us - m->back_us) / PROBE_OF : back_us;
    m->heard = TIMING_SETTLED; /* it stands for that many answers */
    m->calibrated = true;
}

void timing_forget(struct timing_watch *t, uint64_t agents)
{
    assert(t != NULL);
    for (uint32_t i = 0; i < AGENTS_PER_CLUSTER_MAX; i++) {
        if ((agents >> i & 1u) != 0) {
            memset(&t->of[i], 0, sizeof(t->of[i]));
        }
    }
    t->locked &= ~agents;
    t->probing &= ~agents;
}
