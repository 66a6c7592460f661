/* Healthy agents stay in service: nobody is declared dead whom no fault has touched, nor whose
 * parent or path was. (What chance alone explains under heavy loss is left out: judge_touched.) */
#include "sim/check.h"

#define NODES_MAX 65536u

struct service {
    uint8_t states[NODES_MAX]; /* agents: enum agent_state, as their leads say */
};

static void follow_state(struct judge *j, struct service *v, struct unit agent, uint64_t state)
{
    uint32_t i = judge_index(j, agent);
    if (i >= NODES_MAX || state >= AGENT_STATE_COUNT) {
        return;
    }
    if (j->coverage != NULL) {
        j->coverage->agent_states[v->states[i]][state]++;
    }
    v->states[i] = (uint8_t)state;
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind != FX_NOTE) {
            continue;
        }
        struct unit u = unit_unpack(fx->u.note.a);
        if (fx->u.note.note == NOTE_AGENT_STATE) {
            follow_state(j, state, u, fx->u.note.b);
        }
        bool child = fx->u.note.note == NOTE_CHILD_DOWN;
        bool parent = fx->u.note.note == NOTE_PARENT_DOWN;
        if ((child && !judge_touched(j, s->unit, u, s->true_us)) ||
            (parent && !judge_touched(j, u, s->unit, s->true_us))) {
            char name[UNIT_TEXT_MAX];
            unit_format(u, name);
            judge_fail(j, &check_service, VERDICT_SAFETY, s,
                       "declares %s dead, which nothing has touched", name);
        }
    }
}

const struct check check_service = {
    .name = "service", .bytes = sizeof(struct service), .step = step};
