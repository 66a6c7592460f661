/* Nothing executes twice: an agent begins the work of one operation once in each of its lives. (A
 * crash loses what it knew; a resend may then run again: at least once within the TTL, design 5.)
 */
#include "sim/check.h"

static void step(struct judge *j, void *state, const struct world_step *s)
{
    (void)state;
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind != FX_WORK || fx->u.work.kind != WORK_HANDLER) {
            continue;
        }
        struct judged_part *p = judge_part(j, &fx->u.work.operation, s->unit);
        uint64_t life = judge_node(j, s->unit)->epoch + 1;
        if (p == NULL) {
            judge_fail(j, &check_once, VERDICT_SAFETY, s, "runs an operation that nobody sent");
        } else if (p->ran_in == life) {
            judge_fail(j, &check_once, VERDICT_SAFETY, s, "runs an operation a second time");
        } else {
            p->ran_in = life;
        }
    }
}

const struct check check_once = {.name = "once", .step = step};
