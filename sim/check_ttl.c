/* Nothing executes after its TTL. The agent judges by its own mesh time, whose error is bounded by
 * half of its longest round trip and the drift since: SLACK_US. Before it has mesh time at all
 * nothing can be called expired (agent_work.c), so the first seconds of a life are left out. */
#include "sim/check.h"

#define SLACK_US (1500 * US_PER_MS)
#define YOUNG_US (12 * US_PER_S)

static void step(struct judge *j, void *state, const struct world_step *s)
{
    (void)state;
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        const struct judged_node *n = judge_node(j, s->unit);
        if (fx->kind != FX_WORK || fx->u.work.kind != WORK_HANDLER ||
            s->true_us - n->started_us < YOUNG_US) {
            continue;
        }
        const struct judged_op *op = judge_op(j, &fx->u.work.operation);
        int64_t mesh_us = WORLD_UNIX_US + s->true_us;
        if (op != NULL && mesh_us > op->created_mesh_us + op->ttl_us + SLACK_US) {
            judge_fail(j, &check_ttl, VERDICT_SAFETY, s, "runs an operation %lld ms after its TTL",
                       (long long)((mesh_us - op->created_mesh_us - op->ttl_us) / US_PER_MS));
        }
    }
}

const struct check check_ttl = {.name = "ttl", .step = step};
