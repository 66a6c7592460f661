/* Hedging, for operations that ask for it: what has not been acknowledged when 99 of 100
 * acknowledgements would have come is sent once more, ahead of the reminders, which wait for load.
 * With T, the first send is so much earlier that the second one still makes it.
 *
 * The second send goes to the same agent, whose window and record see to it that nothing runs
 * twice. A silent agent is never replaced by another one: nobody can tell whether it is at work. An
 * agent of a sample that *refuses* (no room, no such capability) has said that it will not run the
 * operation; then another agent of its class takes its place, when one was left over.
 *
 * When an acknowledgement is due is the agent's own prediction plus z of its deviations; z is
 * tracked by all acknowledgements at this lead (Gibbs and Candes, arXiv 2106.00170): a late one
 * raises it by 99 parts, one in time lowers it by 1.
 *
 * Budget: HEDGE_PERMILLE of the targets that were sent to, and HEDGE_BURST beside it. Beyond it
 * there is no hedge, and the reminders come in their time. */
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>

#define HEDGE_TOKEN    1000u /* one hedge; a target earns HEDGE_PERMILLE */
#define HEDGE_Z_START  3.0f
#define HEDGE_Z_LEAST  0.5f
#define HEDGE_Z_MOST   50.0f
#define HEDGE_Z_STEP   0.3f
#define HEDGE_QUANTILE 0.99f
#define HEDGE_SLACK_US 1000 /* beside the deviation */

void hedge_init(struct cluster *c)
{
    assert(c != NULL);
    c->hedge = (struct lead_hedge){
        .z_received = HEDGE_Z_START, .z_done = HEDGE_Z_START, .tokens = HEDGE_BURST * HEDGE_TOKEN};
}

/* What an acknowledgement takes: expected, and how far it strays. */
struct ack_time {
    int64_t centre_us;
    float scale_us;
    float *z;
};

/* received: that it was taken in, which is said at once where the answer will take long. */
static struct ack_time ack_time(struct cluster *c, uint32_t i, const struct prediction *p,
                                bool received)
{
    struct ack_time t = {.centre_us = 2 * p->network_us + (int64_t)c->excess_us};
    if (received) {
        float dev_us = c->members[i].predictor.net_dev_ms * (float)US_PER_MS;
        t.scale_us = 2 * dev_us + (float)HEDGE_SLACK_US;
        t.z = &c->hedge.z_received;
    } else {
        t.centre_us += p->processing_us;
        t.scale_us = (float)(p->buffer_us + HEDGE_SLACK_US);
        t.z = &c->hedge.z_done;
    }
    return t;
}

static int64_t wait_us(struct cluster *c, uint32_t i, const struct prediction *p, bool received)
{
    struct ack_time t = ack_time(c, i, p, received);
    return t.centre_us + (int64_t)(*t.z * t.scale_us);
}

static bool says_received(const struct lead_op *op, int64_t now_us, const struct prediction *p)
{
    int64_t held_us = op->timing == TIMING_AT && op->target_us > 0 ? op->target_us - now_us : 0;
    return held_us > HEDGE_SAY_US || p->processing_us > HEDGE_SAY_US;
}

int64_t hedge_room_us(struct cluster *c, uint32_t i, const struct prediction *p)
{
    assert(c != NULL && p != NULL);
    assert(i < c->count);
    return wait_us(c, i, p, true);
}

int64_t hedge_at(struct cluster *c, int64_t now_us, struct lead_op *op, uint32_t i,
                 const struct prediction *p)
{
    assert(op->hedge && op->want_ack);
    assert(now_us >= op->opened_us);
    uint32_t tokens = c->hedge.tokens + HEDGE_PERMILLE;
    c->hedge.tokens = tokens < HEDGE_BURST * HEDGE_TOKEN ? tokens : HEDGE_BURST * HEDGE_TOKEN;
    op->of[i].hedge_us = (uint32_t)num_clamp_i64(now_us - op->opened_us, 0, UINT32_MAX);
    int64_t at_us = now_us + wait_us(c, i, p, says_received(op, now_us, p));
    return at_us < op->deadline_us && at_us < op->expires_us ? at_us : NEVER;
}

static bool spend(struct cluster *c)
{
    if (c->hedge.tokens < HEDGE_TOKEN) {
        return false;
    }
    c->hedge.tokens -= HEDGE_TOKEN;
    return true;
}

uint64_t hedge_take(struct cluster *c, int64_t now_us, struct lead_op *op, uint64_t due,
                    uint64_t *ret_refused)
{
    assert(c != NULL && ret_refused != NULL);
    uint64_t go = 0;
    *ret_refused = 0;
    for (uint64_t rest = due & op->hedge_due; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        if (spend(c)) {
            op->of[i].hedge_us = (uint32_t)num_clamp_i64(now_us - op->opened_us, 0, UINT32_MAX);
            go |= bit_of(i);
        } else {
            *ret_refused |= bit_of(i);
        }
    }
    op->hedge_due &= ~due;
    op->hedged |= go;
    return go;
}

bool hedge_won(const struct cluster *c, const struct lead_op *op, const struct ack *ack, uint32_t i)
{
    if ((op->hedged >> i & 1u) == 0 || ack->outcome == OUTCOME_REFUSED) {
        return false;
    }
    if ((op->replica >> i & 1u) != 0) {
        return true;
    }
    int64_t sent_us = op->opened_us + (int64_t)op->of[i].hedge_us;
    return ack->echo_sent_us >= sent_us && ack->clock_error_us != UINT32_MAX &&
           meshtime_ready(&c->time) && ack->received_mesh_us >= cluster_mesh(c, sent_us);
}

static void track(float *z, bool missed)
{
    float step = HEDGE_Z_STEP * (missed ? HEDGE_QUANTILE : HEDGE_QUANTILE - 1);
    float next = *z + step;
    next = next > HEDGE_Z_LEAST ? next : HEDGE_Z_LEAST;
    *z = next < HEDGE_Z_MOST ? next : HEDGE_Z_MOST;
}

void hedge_heard(struct cluster *c, int64_t now_us, const struct lead_op *op, const struct ack *ack,
                 uint32_t i)
{
    bool received = ack->outcome == OUTCOME_PENDING;
    bool timed = ack->echo_sent_us >= op->opened_us && ack->echo_sent_us <= now_us;
    if (!op->hedge || !timed || (op->pending >> i & 1u) != 0 || (op->replica >> i & 1u) != 0) {
        return;
    }
    struct prediction p = members_predict(c, i, op->weight);
    if (!received && says_received(op, ack->echo_sent_us, &p)) {
        return; /* what says most was lost: this says nothing of it */
    }
    struct ack_time t = ack_time(c, i, &p, received);
    if ((op->hedged >> i & 1u) != 0) {
        if (!hedge_won(c, op, ack, i)) {
            track(t.z, true); /* the first send was on its way: it was only slow */
        }
        return;
    }
    float over_us = (float)(now_us - ack->echo_sent_us - t.centre_us);
    track(t.z, over_us > *t.z * t.scale_us);
}

/* The soonest of those left over that are of the same class and can still make T. */
static bool replica_find(const struct cluster *c, int64_t now_us, const struct lead_op *op,
                         uint32_t i, uint32_t *ret)
{
    int64_t least_us = NEVER;
    for (uint64_t rest = op->spare; rest != 0; rest &= rest - 1u) {
        uint32_t j = bits_lowest(rest);
        int64_t lead_us = members_predict(c, j, op->weight).lead_us;
        if (c->members[j].agent_class == c->members[i].agent_class && members_in_service(c, j) &&
            (op->target_us == 0 || op->target_us - lead_us >= now_us) && lead_us < least_us) {
            least_us = lead_us;
            *ret = j;
        }
    }
    return least_us != NEVER;
}

bool hedge_replace(struct cluster *c, int64_t now_us, struct lead_op *op, const struct ack *ack,
                   uint32_t i, struct outbox *out)
{
    assert(op->state == LEAD_OP_OPEN && (op->open >> i & 1u) != 0);
    uint32_t j = 0;
    bool refused = ack->outcome == OUTCOME_REFUSED &&
                   (ack->reason == REASON_OVERLOAD || ack->reason == REASON_CAPABILITY);
    if (!op->hedge || !refused || op->cancelled || !replica_find(c, now_us, op, i, &j) ||
        !spend(c)) {
        return false;
    }
    schedule_cancel(&op->schedule, &c->slab, bit_of(i));
    if (schedule_at(&op->schedule, &c->slab, j, now_us) != SCHEDULE_SET) {
        return false;
    }
    op->open = (op->open & ~bit_of(i)) | bit_of(j);
    op->late |= bit_of(i); /* it is no target any more: what it says now is not counted */
    op->spare &= ~bit_of(j);
    op->hedged |= bit_of(j);
    op->replica |= bit_of(j);
    operate_touch(c, op, now_us);
    cluster_note(out, NOTE_HEDGED, num_id128_low(op->id), 1);
    return true;
}
