/* Every target of every operation ends in exactly one state, and the states add up at every tier:
 * what a lead reports is what its agents acknowledged, what a sector reports is what its leads did.
 * No agent stands in two groups of one result. Nothing is PENDING in a final word. */
#include "sim/check.h"

static bool counts_hold(const struct aggregate_view *a)
{
    uint64_t sum = 0;
    for (unsigned o = 0; o < OUTCOME_COUNT; o++) {
        sum += a->outcomes[o];
    }
    return sum == a->targets;
}

/* Whether some agent stands in two groups. Views hold 64 groups of 64 runs at most. */
static bool twice(const struct aggregate_view *a)
{
    for (uint32_t g = 0; g < a->group_count; g++) {
        for (uint32_t k = 0; k < a->groups[g].run_count; k++) {
            const struct run *r = &a->groups[g].runs[k];
            for (uint32_t h = 0; h < g; h++) {
                for (uint32_t l = 0; l < a->groups[h].run_count; l++) {
                    const struct run *q = &a->groups[h].runs[l];
                    if (r->first <= q->last && q->first <= r->last) {
                        return true;
                    }
                }
            }
        }
    }
    return false;
}

static void view(struct judge *j, const struct world_step *s, const struct aggregate_view *a,
                 bool final)
{
    if (!counts_hold(a)) {
        judge_fail(j, &check_sums, VERDICT_SAFETY, s, "the states do not add up to %u targets",
                   a->targets);
    } else if (final && a->outcomes[OUTCOME_PENDING] != 0) {
        judge_fail(j, &check_sums, VERDICT_SAFETY, s, "a final result with %u pending",
                   a->outcomes[OUTCOME_PENDING]);
    } else if (final && twice(a)) {
        judge_fail(j, &check_sums, VERDICT_SAFETY, s, "an agent stands in two groups");
    }
}

/* A lead's or sector's final word against what came from below in this life. */
static void against_below(struct judge *j, const struct world_step *s, const struct judged_op *op,
                          struct judged_part *p, const struct aggregate_view *a)
{
    const uint32_t *o = a->outcomes;
    if (op->require_ack && (o[OUTCOME_READY] != p->ready || o[OUTCOME_CONFLICT] != p->conflict)) {
        judge_fail(j, &check_sums, VERDICT_SAFETY, s,
                   "reports %u ready and %u conflicts; below said %u and %u", o[OUTCOME_READY],
                   o[OUTCOME_CONFLICT], p->ready, p->conflict);
    } else if (op->require_ack && o[OUTCOME_FAILED] != p->failed) {
        judge_fail(j, &check_sums, VERDICT_SAFETY, s, "reports %u failed; below said %u",
                   o[OUTCOME_FAILED], p->failed);
    }
}

static bool late(const struct world_step *s)
{
    return judge_noted(s, NOTE_OP_LATE, NULL, NULL);
}

static bool taken(const struct world_step *s)
{
    return !late(s) && !judge_noted(s, NOTE_STALE_EPOCH, NULL, NULL) &&
           !judge_noted(s, NOTE_UNEXPECTED, NULL, NULL);
}

static void from_agent(struct judge *j, const struct world_step *s, const struct msg *m)
{
    const struct ack *ack = &m->u.ack;
    struct judged_part *p = judge_part(j, &ack->operation_id, s->unit);
    struct judged_part *agent = judge_part(j, &ack->operation_id, m->from);
    uint64_t life = judge_node(j, s->unit)->epoch + 1;
    if (p == NULL || agent == NULL || ack->outcome == OUTCOME_PENDING || !(taken(s) || late(s)) ||
        agent->answered_in == life) {
        return;
    }
    agent->answered_in = life; /* said again: a lead notes only the first that is late */
    if (late(s)) {
        return;
    }
    p->accepted++;
    p->ready += ack->outcome == OUTCOME_READY;
    p->conflict += ack->outcome == OUTCOME_CONFLICT;
    p->failed += ack->outcome == OUTCOME_FAILED;
}

static void from_child(struct judge *j, const struct world_step *s, const struct msg *m)
{
    const struct result *r = m->u.result;
    struct judged_part *p = judge_part(j, &r->operation_id, s->unit);
    struct judged_part *child = judge_part(j, &r->operation_id, m->from);
    struct judged_node *self = judge_node(j, s->unit);
    if (p == NULL || child == NULL || self == NULL || !r->final || !taken(s) ||
        child->answered_in == self->epoch + 1) {
        return;
    }
    child->answered_in = self->epoch + 1;
    p->accepted++;
    p->ready += r->aggregate.outcomes[OUTCOME_READY];
    p->conflict += r->aggregate.outcomes[OUTCOME_CONFLICT];
    p->failed += r->aggregate.outcomes[OUTCOME_FAILED];
}

static void said(struct judge *j, const struct world_step *s, const struct msg *m)
{
    if (m->type == MSG_RESULT) {
        const struct result *r = m->u.result;
        struct judged_op *op = judge_op(j, &r->operation_id);
        view(j, s, &r->aggregate, r->final);
        if (op != NULL && r->final &&
            !r->unknown) { /* else it was forgotten meanwhile (ADR 0033) */
            struct judged_part *p = judge_part(j, &r->operation_id, s->unit);
            against_below(j, s, op, p, &r->aggregate);
        }
    } else if (m->type == MSG_REPLY && m->u.reply->kind == REPLY_PROGRESS) {
        view(j, s, &m->u.reply->progress, false);
    } else if (m->type == MSG_REPLY && m->u.reply->kind == REPLY_OPERATION) {
        const struct report *r = m->u.reply->report;
        struct judged_op *op = judge_op(j, &r->operation_id);
        view(j, s, &r->aggregate, true);
        if (op != NULL && r->strategy == CASCADE_NONE) {
            struct judged_part *p = judge_part(j, &r->operation_id, s->unit);
            against_below(j, s, op, p, &r->aggregate);
        }
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    (void)state;
    if (s->event->kind == EV_MSG) {
        const struct msg *m = s->event->u.msg;
        if (m->type == MSG_ACK && s->unit.tier == TIER_CLUSTER) {
            from_agent(j, s, m);
        } else if (m->type == MSG_RESULT) {
            from_child(j, s, m);
        }
    }
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        if (s->out->effects[i].kind == FX_SEND) {
            said(j, s, &s->out->effects[i].u.msg);
        }
    }
}

const struct check check_sums = {.name = "sums", .step = step};
