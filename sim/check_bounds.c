/* Queues within their limits: an agent runs no more handlers than it may, and queues no more tasks
 * than its table holds; nothing that a node says exceeds what a message may hold. */
#include "sim/check.h"
#include "tiers/agent/agent_state.h"
#include "tiers/orchestrator/orchestrator_held.h"

#define HANDLERS_MAX 4u /* of the world's agents (world.c) */

static void said(struct judge *j, const struct world_step *s, const struct msg *m)
{
    uint32_t depth = m->type == MSG_ACK         ? m->u.ack.queue_depth
                     : m->type == MSG_HEARTBEAT ? m->u.heartbeat.impedance.queue_depth
                                                : 0;
    if (depth > AGENT_TASKS_MAX) {
        judge_fail(j, &check_bounds, VERDICT_SAFETY, s, "a queue of %u tasks; %u at most", depth,
                   AGENT_TASKS_MAX);
    }
    if (m->type == MSG_ACK && m->u.ack.answer_bytes > ANSWER_BYTES_MAX) {
        judge_fail(j, &check_bounds, VERDICT_SAFETY, s, "an answer of %u bytes",
                   m->u.ack.answer_bytes);
    }
    if (m->type == MSG_RESULT && m->u.result->aggregate.group_count > AGGREGATE_GROUPS_MAX) {
        judge_fail(j, &check_bounds, VERDICT_SAFETY, s, "a result of %u groups",
                   m->u.result->aggregate.group_count);
    }
    if (m->type == MSG_REPLY && m->u.reply->kind == REPLY_STATUS &&
        (m->u.reply->status->operations_in_flight > OPERATIONS_MAX ||
         m->u.reply->status->waiting > HELD_MAX)) {
        judge_fail(j, &check_bounds, VERDICT_SAFETY, s, "%u operations in flight, %u waiting",
                   m->u.reply->status->operations_in_flight, m->u.reply->status->waiting);
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    (void)state;
    const struct judged_node *n = judge_node(j, s->unit);
    if (n->running > HANDLERS_MAX) {
        judge_fail(j, &check_bounds, VERDICT_SAFETY, s, "runs %u handlers; %u at most", n->running,
                   HANDLERS_MAX);
    }
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        if (s->out->effects[i].kind == FX_SEND) {
            said(j, s, &s->out->effects[i].u.msg);
        }
    }
}

const struct check check_bounds = {.name = "bounds", .step = step};
