/* Nothing executes without the capability that it requires; what is frozen opens nothing new, and
 * begins nothing. */
#include "sim/check.h"

static void runs(struct judge *j, const struct world_step *s, const struct judged_op *op)
{
    const struct topology *t = &j->topology;
    uint64_t has = topology_class_capabilities(
        t, topology_class(t, topology_index(t, judge_home(j, s->unit))));
    if (op->unknown_capability || (op->capabilities & ~has) != 0) {
        judge_fail(j, &check_rights, VERDICT_SAFETY, s,
                   "runs what needs capabilities %llx, has %llx",
                   (unsigned long long)op->capabilities, (unsigned long long)has);
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    (void)state;
    if (judge_node(j, s->unit)->frozen && s->unit.tier == TIER_CLUSTER &&
        judge_noted(s, NOTE_OP_OPENED, NULL, NULL)) {
        judge_fail(j, &check_rights, VERDICT_SAFETY, s, "opens an operation while frozen");
    }
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_WORK && fx->u.work.kind == WORK_HANDLER) {
            if (judge_node(j, s->unit)->frozen && !judge_noted(s, NOTE_THAWED, NULL, NULL)) {
                judge_fail(j, &check_rights, VERDICT_SAFETY, s, "begins work while frozen");
            }
            const struct judged_op *op = judge_op(j, &fx->u.work.operation);
            if (op != NULL) {
                runs(j, s, op);
            }
        }
    }
}

const struct check check_rights = {.name = "rights", .step = step};
