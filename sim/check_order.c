/* In order means order of arrival from one lead, per priority: an operation without a T does not
 * overtake an earlier one without a T that waits at the same agent. (What has a T is served by T;
 * higher priorities go first; what has waited longer is raised: neither is looked at. Nor is what
 * asks for no acknowledgement: nobody sees whether it was refused.)
 *
 * Waiting means taken in, not begun and not answered in this life. The first seconds of a life are
 * left out: the agent has no mesh time yet, and its first estimate may jump. */
#include "sim/check.h"

#define YOUNG_US (12 * US_PER_S)

static void mark_ended(struct judge *j, const struct world_step *s)
{
    if (s->event->kind == EV_MSG) {
        const struct msg *m = s->event->u.msg;
        const struct id128 *id = m->type == MSG_OPERATE  ? &m->u.operate.operation_id
                                 : m->type == MSG_CANCEL ? &m->u.cancel.operation_id
                                 : m->type == MSG_RELAY && m->u.relay.operation != NULL
                                     ? &m->u.relay.operation->id
                                     : NULL;
        struct judged_part *p = id == NULL ? NULL : judge_part(j, id, s->unit);
        if (p != NULL && (m->type == MSG_CANCEL || judge_noted(s, NOTE_STALE_EPOCH, NULL, NULL) ||
                          judge_noted(s, NOTE_UNEXPECTED, NULL, NULL) ||
                          judge_noted(s, NOTE_DUPLICATE, NULL, NULL))) {
            p->ended = true;
        }
    }
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        struct judged_part *p = NULL;
        if (fx->kind == FX_SEND && fx->u.msg.type == MSG_ACK &&
            fx->u.msg.u.ack.outcome != OUTCOME_PENDING) {
            p = judge_part(j, &fx->u.msg.u.ack.operation_id, s->unit);
        } else if (fx->kind == FX_SEND && fx->u.msg.type == MSG_RELAY_ACK) {
            p = judge_part(j, &fx->u.msg.u.relay_ack.message_id, s->unit);
        }
        if (p != NULL) {
            p->ended = true;
        }
    }
}

static void begins(struct judge *j, const struct world_step *s, const struct judged_op *op)
{
    uint32_t index = judge_index(j, s->unit);
    const struct judged_part *p = &op->parts[index];
    uint64_t life = j->nodes[index].epoch + 1;
    for (uint32_t k = 0; k < JUDGE_SLOTS; k++) {
        for (const struct judged_op *o = j->ops[k]; o != NULL; o = o->next) {
            const struct judged_part *q = &o->parts[index];
            if (q->order != 0 && q->order < p->order && q->under == p->under && !q->ended &&
                o->require_ack && q->ran_in != life && o->timing == TIMING_SOON &&
                o->priority == op->priority) {
                judge_fail(j, &check_order, VERDICT_SAFETY, s,
                           "an operation overtook one that came %u messages earlier",
                           p->order - q->order);
                return;
            }
        }
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    (void)state;
    if (s->unit.tier != TIER_AGENT) {
        return;
    }
    mark_ended(j, s);
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind != FX_WORK || fx->u.work.kind != WORK_HANDLER) {
            continue;
        }
        const struct judged_op *op = judge_op(j, &fx->u.work.operation);
        if (op != NULL && op->timing == TIMING_SOON &&
            s->true_us - judge_node(j, s->unit)->started_us >= YOUNG_US) {
            begins(j, s, op);
        }
    }
}

const struct check check_order = {.name = "order", .step = step};
