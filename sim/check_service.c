/* Healthy agents stay in service: nobody is declared dead whom no fault has touched, nor whose
 * parent or path was. (What chance alone explains under heavy loss is left out: judge_touched.) */
#include "sim/check.h"

#define NODES_MAX 65536u

struct service {
    uint8_t states[NODES_MAX]; /* agents: enum agent_state, as their leads say */
    uint32_t leads[NODES_MAX]; /* clusters: the instance that began last, + 1 */
};

/* A lead that begins knows nobody. */
static void lead_begins(struct judge *j, struct service *v, const struct world_step *s)
{
    const struct topology *t = &j->scenario->conf.topology;
    uint32_t lead = judge_index(j, s->unit);
    if (lead >= NODES_MAX) {
        return;
    }
    v->leads[lead] = s->instance + 1u;
    for (uint32_t n = 1; n <= topology_cluster_places(t, s->unit); n++) {
        uint32_t i = judge_index(j, unit_agent(s->unit.sector, s->unit.cluster, n));
        if (i < NODES_MAX) {
            v->states[i] = AGENT_UNKNOWN;
        }
    }
}

static bool leads(struct judge *j, const struct service *v, const struct world_step *s)
{
    uint32_t lead = judge_index(j, s->unit);
    return s->unit.tier == TIER_CLUSTER && lead < NODES_MAX && v->leads[lead] == s->instance + 1u;
}

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
        if (fx->u.note.note == NOTE_STARTED && s->unit.tier == TIER_CLUSTER) {
            lead_begins(j, state, s);
        } else if (fx->u.note.note == NOTE_AGENT_STATE && leads(j, state, s)) {
            follow_state(j, state, u, fx->u.note.b);
        } else if (fx->u.note.note == NOTE_MOVE_LEFT && leads(j, state, s) &&
                   judge_index(j, u) < NODES_MAX) {
            ((struct service *)state)->states[judge_index(j, u)] = AGENT_UNKNOWN;
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
