/* Claims of times against this lead's own clock (core/timing.h): what of an answer is compared, the
 * incident TIMING_ATTACK of those that are locked, and their calibration.
 *
 * The probe is the end of a freeze, said to who does not stand still: it changes nothing, and is
 * answered with a beat at once. None is sent while an order to stand still is on its way. */
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>

/* What changed in `locked` since it was `before`. */
static void tell_change(struct cluster *c, int64_t now_us, uint64_t before)
{
    uint64_t more = c->timing.locked & ~before, less = before & ~c->timing.locked;
    c->stirred |= (more | less) != 0;
    if (more != 0) {
        incident_begin(c, now_us, FAILURE_TIMING_ATTACK, more);
    }
    if (less != 0) {
        incident_over(c, now_us, FAILURE_TIMING_ATTACK, less, true);
    }
}

bool timing_answer(struct cluster *c, int64_t now_us, const struct lead_op *op,
                   const struct ack *ack, uint32_t i)
{
    assert(c != NULL && op != NULL && ack != NULL && i < c->count);
    uint64_t before = c->timing.locked;
    bool held = op->timing == TIMING_AT && ack->release_mesh_us > 0;
    if (held || (op->resent >> i & 1u) != 0) { /* no clock but the agent's saw its end */
        return (before >> i & 1u) == 0;
    }
    const struct member *m = &c->members[i];
    /* With an empty queue: what it says of that is a claim, too, and must widen no limit. */
    struct prediction p = predictor_predict(&m->predictor, &c->priors[m->agent_class], op->weight,
                                            0, c->tuning.predictor_tau);
    int64_t done_us = meshtime_to_local(&c->time, ack->arrival_mesh_us);
    struct timing_answer a = {.claimed_us = done_us - ack->echo_sent_us,
                              .expected_us = p.network_us + p.processing_us,
                              .buffer_us = p.buffer_us,
                              .back_us = now_us - done_us,
                              .clock_us = (int64_t)ack->clock_error_us +
                                          meshtime_error_us(&c->time, now_us)};
    bool learns = timing_heard(&c->timing, c->count, i, &a, now_us);
    tell_change(c, now_us, before);
    return learns;
}

uint32_t timing_queue(const struct cluster *c, uint32_t i, uint32_t queue_depth)
{
    assert(c != NULL && i < c->count);
    return (c->timing.locked >> i & 1u) == 0 ? queue_depth : 0;
}

void timing_believe(struct cluster *c, int64_t now_us, uint64_t mask)
{
    assert(c != NULL);
    uint64_t before = c->timing.locked;
    timing_forget(&c->timing, mask);
    tell_change(c, now_us, before);
}

int64_t timing_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    if (c->timing.locked == 0) {
        return NEVER;
    }
    bool quiet = c->frozen == 0 && !c->freeze_tell && c->freeze_tell_us == NEVER;
    uint64_t mask = quiet ? timing_probe(&c->timing, now_us) : 0;
    for (uint64_t rest = mask; rest != 0; rest &= rest - 1u) {
        mask &= c->members[bits_lowest(rest)].joined ? mask : ~bit_of(bits_lowest(rest));
    }
    if (mask != 0) {
        uint32_t low = bits_lowest(mask);
        struct msg m = {.type = MSG_THAW,
                        .priority = PRIORITY_COUNT - 1,
                        .to = cluster_agent(c, low),
                        .mask = mask >> low == 1 ? 0 : mask >> low};
        m.u.freeze.scope = c->self;
        (void)cluster_send(c, out, &m); /* without room: at the next time */
    }
    int64_t next_us = c->timing.probe_us + TIMING_PROBE_US;
    return next_us > now_us ? next_us : now_us + TIMING_PROBE_US;
}
