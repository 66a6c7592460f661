/* Orders come as one chain (core/order.h): what a sector takes is what the orchestrator of that
 * epoch gave under that number; it takes each once, in their sequence, leaves none out unless it
 * begins again with a STATE, and nothing of an epoch before. A restarted sector begins anew. */
#include "core/order.h"
#include "sim/check.h"

#define GIVEN_MAX    16384u /* of all orchestrators; older ones are no longer compared */
#define FOLLOWED_MAX 4096u  /* sectors, by instance */

struct chains {
    struct {
        uint64_t epoch, seq, head;
    } given[GIVEN_MAX];
    struct {
        uint64_t life, epoch, seq;
    } taken[FOLLOWED_MAX];
};

static uint32_t slot_of(uint64_t epoch, uint64_t seq)
{
    return (uint32_t)((epoch * 0x9e3779b97f4a7c15u + seq) % GIVEN_MAX);
}

static void gave(struct judge *j, struct chains *c, const struct world_step *s)
{
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_NOTE && fx->u.note.note == NOTE_ORDER) {
            uint64_t epoch = judge_node(j, s->unit)->epoch;
            uint32_t at = slot_of(epoch, fx->u.note.a);
            c->given[at].epoch = epoch;
            c->given[at].seq = fx->u.note.a;
            c->given[at].head = fx->u.note.b;
        }
    }
}

static void took(struct judge *j, struct chains *c, const struct world_step *s, uint64_t seq,
                 uint64_t head)
{
    const struct msg *m = s->event->u.msg;
    uint32_t at = slot_of(m->epoch, seq), i = j->at % FOLLOWED_MAX;
    uint64_t life = judge_node(j, s->unit)->epoch + 1;
    bool state = m->u.order->what == ORDER_STATE;
    if (c->given[at].epoch == m->epoch && c->given[at].seq == seq && c->given[at].head != head) {
        judge_fail(j, &check_chain, VERDICT_SAFETY, s,
                   "takes an order %llu of epoch %llu that was not given", (unsigned long long)seq,
                   (unsigned long long)m->epoch);
    }
    bool begins = c->taken[i].life != life || m->epoch > c->taken[i].epoch;
    bool next = m->epoch == c->taken[i].epoch && seq == c->taken[i].seq + 1;
    bool jumps = m->epoch == c->taken[i].epoch && seq > c->taken[i].seq && state;
    if (begins ? !state : !next && !jumps) {
        judge_fail(j, &check_chain, VERDICT_SAFETY, s,
                   "takes order %llu of epoch %llu after %llu of %llu", (unsigned long long)seq,
                   (unsigned long long)m->epoch, (unsigned long long)c->taken[i].seq,
                   (unsigned long long)c->taken[i].epoch);
    }
    c->taken[i].life = life;
    c->taken[i].epoch = m->epoch;
    c->taken[i].seq = seq;
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    uint64_t seq = 0, head = 0;
    if (s->unit.tier == TIER_ORCHESTRATOR) {
        gave(j, state, s);
    } else if (s->unit.tier == TIER_SECTOR && s->event->kind == EV_MSG &&
               s->event->u.msg->type == MSG_ORDER &&
               judge_noted(s, NOTE_ORDER_TAKEN, &seq, &head)) {
        took(j, state, s, seq, head);
    }
    if (s->unit.tier == TIER_ORCHESTRATOR && judge_noted(s, NOTE_ORDER_FORK, NULL, &seq)) {
        judge_fail(j, &check_chain, VERDICT_SAFETY, s,
                   "hears of an order %llu that it did not give", (unsigned long long)seq);
    }
}

const struct check check_chain = {.name = "chain", .bytes = sizeof(struct chains), .step = step};
