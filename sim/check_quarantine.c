/* Nothing new for the quarantined: while a lead holds an agent in quarantine, as it says itself, it
 * sends it no operation; not again either, and none in the place of another. (What it was given
 * before is over at once; an answer to it counts no more: check_sums.c.) A new lead reads who is in
 * quarantine from the registry; it is judged from its own first word on. */
#include "sim/check.h"

#define NODES_MAX 65536u

struct quarantines {
    uint16_t lives[NODES_MAX]; /* by agent: of the lead's life that holds it; 0: nobody does */
};

/* A lead's life as a number that is not 0. */
static uint16_t life(const struct judge *j)
{
    return (uint16_t)((j->at * 31u + j->nodes[j->at].epoch) % UINT16_MAX + 1u);
}

static void sent(struct judge *j, const struct quarantines *q, const struct world_step *s,
                 const struct msg *m)
{
    uint64_t rest = m->mask != 0 ? m->mask : 1u;
    for (; rest != 0; rest &= rest - 1u) {
        struct unit u = m->to;
        u.agent = (uint16_t)(u.agent + (unsigned)__builtin_ctzll(rest));
        uint32_t i = judge_place(j, u);
        if (i < NODES_MAX && q->lives[i] == life(j)) {
            char name[UNIT_TEXT_MAX];
            unit_format(u, name);
            judge_fail(j, &check_quarantine, VERDICT_SAFETY, s,
                       "sends an operation to %s, which is in quarantine", name);
        }
    }
}

/* A change and what follows it are one step: in its order. */
static void step(struct judge *j, void *state, const struct world_step *s)
{
    struct quarantines *q = state;
    for (uint32_t i = 0; s->unit.tier == TIER_CLUSTER && i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_NOTE && fx->u.note.note == NOTE_AGENT_STATE) {
            uint32_t at = judge_place(j, unit_unpack(fx->u.note.a));
            if (at < NODES_MAX) {
                q->lives[at] = fx->u.note.b == AGENT_QUARANTINED ? life(j) : 0;
            }
        } else if (fx->kind == FX_SEND && fx->u.msg.type == MSG_OPERATE) {
            sent(j, q, s, &fx->u.msg);
        }
    }
}

const struct check check_quarantine = {
    .name = "quarantine", .bytes = sizeof(struct quarantines), .step = step};
