/* Nobody passes one context off as another: what an agent tells of as its context, when it says
 * hello and in every beat, is what its host gave it in this life, and the host gives it nothing
 * whose bytes are not what the name says (world_work.c reads as runner_content.c does: by the
 * hash). What rots afterwards must show in the beats, which is how its lead finds it. */
#include "core/num.h"
#include "sim/check.h"

#define NODES_MAX 65536u

struct contexts {
    struct id128 held[NODES_MAX]; /* by agent: as its host said last, in this life */
    uint64_t lives[NODES_MAX];    /* the life + 1 that holds it; 0: what it started with */
};

static void told(struct judge *j, struct contexts *c, const struct world_step *s,
                 struct id128 context)
{
    uint32_t at = judge_place(j, s->unit);
    uint64_t life = judge_node(j, s->unit)->epoch + 1;
    if (at >= NODES_MAX) {
        return;
    }
    if (c->lives[at] != life) { /* the first word of a life: what it was started with */
        c->lives[at] = life;
        c->held[at] = context;
    }
    if (!num_id128_equal(c->held[at], context)) {
        char says[ID128_TEXT_MAX], holds[ID128_TEXT_MAX];
        num_id128_format(context, says);
        num_id128_format(c->held[at], holds);
        judge_fail(j, &check_context, VERDICT_SAFETY, s, "tells of context %s and holds %s", says,
                   holds);
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    struct contexts *c = state;
    if (s->unit.tier != TIER_AGENT) {
        return;
    }
    uint32_t at = judge_place(j, s->unit);
    if (at < NODES_MAX && s->event->kind == EV_WORK && s->event->u.work->context != NULL) {
        c->held[at] = *s->event->u.work->context;
        c->lives[at] = judge_node(j, s->unit)->epoch + 1;
    }
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_SEND && fx->u.msg.type == MSG_HELLO) {
            told(j, c, s, fx->u.msg.u.hello.context_hash);
        } else if (fx->kind == FX_SEND && fx->u.msg.type == MSG_HEARTBEAT) {
            told(j, c, s, fx->u.msg.u.heartbeat.impedance.context_hash);
        }
    }
}

const struct check check_context = {
    .name = "context", .bytes = sizeof(struct contexts), .step = step};
