/* Nothing happens under a stale epoch: what a former owner of the parent still sends opens nothing
 * and runs nothing, and a former life of a child is not listened to. */
#include "sim/check.h"

struct told {
    uint64_t epoch[8192]; /* by node: the highest life of a child that its parent welcomed .. */
    uint64_t by[8192];    /* .. in this life of the parent, + 1 */
};

static void from_above(struct judge *j, const struct world_step *s, const struct msg *m)
{
    const struct judged_part *p = judge_part(j, &m->u.operate.operation_id, s->unit);
    if (p != NULL && p->stale && judge_noted(s, NOTE_OP_OPENED, NULL, NULL)) {
        judge_fail(j, &check_epoch, VERDICT_SAFETY, s, "opens what epoch %llu sent; %llu is known",
                   (unsigned long long)m->epoch,
                   (unsigned long long)judge_node(j, s->unit)->parent_epoch);
    }
}

static void from_below(struct judge *j, struct told *t, const struct world_step *s,
                       const struct msg *m)
{
    uint32_t i = judge_place(j, m->from);
    uint64_t life = judge_node(j, s->unit)->epoch + 1;
    if (i == UINT32_MAX || i >= 8192) {
        return;
    }
    bool refused =
        judge_noted(s, NOTE_STALE_EPOCH, NULL, NULL) || judge_noted(s, NOTE_UNEXPECTED, NULL, NULL);
    bool known = t->by[i] == life;
    if ((m->type == MSG_ACK || m->type == MSG_RESULT || m->type == MSG_HEARTBEAT) && known &&
        m->epoch < t->epoch[i] && !refused) {
        judge_fail(j, &check_epoch, VERDICT_SAFETY, s, "takes %s of life %llu; %llu is known",
                   msg_type_name(m->type), (unsigned long long)m->epoch,
                   (unsigned long long)t->epoch[i]);
    }
    if ((m->type == MSG_HELLO || m->type == MSG_BEAT) && !refused &&
        (!known || m->epoch > t->epoch[i])) {
        t->by[i] = life;
        t->epoch[i] = m->epoch;
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    if (s->event->kind == EV_MSG && s->unit.tier != TIER_ORCHESTRATOR &&
        unit_equal(s->event->u.msg->from, topology_parent(s->unit)) &&
        s->event->u.msg->type == MSG_OPERATE) {
        from_above(j, s, s->event->u.msg);
    } else if (s->event->kind == EV_MSG && s->unit.tier != TIER_AGENT &&
               s->event->u.msg->from.tier == s->unit.tier + 1) {
        from_below(j, state, s, s->event->u.msg);
    }
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind != FX_WORK || fx->u.work.kind != WORK_HANDLER) {
            continue;
        }
        const struct judged_part *p = judge_part(j, &fx->u.work.operation, s->unit);
        if (p != NULL && p->stale) {
            judge_fail(j, &check_epoch, VERDICT_SAFETY, s, "runs what a stale epoch %llu sent",
                       (unsigned long long)p->under);
        }
    }
}

const struct check check_epoch = {.name = "epoch", .bytes = sizeof(struct told), .step = step};
