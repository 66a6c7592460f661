/* Samples of what the orchestrator orders, and of the notices that follow from it. */
#include "tests/support/msg_sample_int.h"

void sample_notice(struct sample *s, struct msg *m)
{
    if (m->type == MSG_CIRCUIT) {
        m->u.circuit = (struct circuit_msg){.action = (enum circuit)upto(s, CIRCUIT_COUNT - 1),
                                            .target = place(s, TIER_CLUSTER),
                                            .reason = (enum reason)upto(s, REASON_COUNT - 1)};
        return;
    }
    m->u.freeze.scope = flag(s) ? unit_orchestrator() : place(s, TIER_SECTOR);
    m->u.freeze.at_mesh_us = (int64_t)number(s, INT64_MAX);
    text_fill(s, m->u.freeze.preserve_state_to, sizeof(m->u.freeze.preserve_state_to) - 1);
}

static void sample_hash(struct sample *s, uint8_t ret[ORDER_HASH])
{
    for (unsigned i = 0; i < ORDER_HASH; i++) {
        ret[i] = (uint8_t)upto(s, 255);
    }
}

static const struct order_state *sample_state(struct sample *s)
{
    struct order_state *state = take(s, sizeof(*state));
    struct msg part = {.type = MSG_FREEZE};
    state->prior_epoch = flag(s) ? 1 + upto(s, 1000) : 0;
    state->prior_seq = state->prior_epoch != 0 ? 1 + upto(s, 1000) : 0;
    state->mode = (enum mode)upto(s, MODE_COUNT - 1);
    state->mesh_open = flag(s);
    state->complete = flag(s);
    for (unsigned c = CLASS_NONE + 1u; c < CLASS_COUNT; c++) {
        state->excluded[c] = number(s, UINT64_MAX);
    }
    state->frozen_count = upto(s, FREEZER_SCOPES_MAX);
    for (uint32_t i = 0; i < state->frozen_count; i++) {
        sample_notice(s, &part);
        state->frozen[i] = part.u.freeze;
        memset(&part.u, 0, sizeof(part.u));
    }
    return state;
}

struct isolate sample_isolate(struct sample *s)
{
    return (struct isolate){.agent = place(s, TIER_AGENT),
                            .what = (enum isolation)(1 + upto(s, ISOLATE_COUNT - 2)),
                            .capabilities = number(s, UINT64_MAX),
                            .agents = number(s, UINT64_MAX)};
}

static const struct order_moves *sample_moves(struct sample *s)
{
    struct order_moves *moves = take(s, sizeof(*moves));
    moves->count = 1 + upto(s, ORDER_MOVES_MAX - 1);
    for (uint32_t i = 0; i < moves->count; i++) {
        const struct unit u = place(s, TIER_CLUSTER);
        moves->list[i] =
            (struct move){number(s, UINT64_MAX), u, place(s, TIER_CLUSTER), 5, 6, flag(s)};
    }
    return moves;
}

static const struct order_grows *sample_grows(struct sample *s)
{
    struct order_grows *grows = take(s, sizeof(*grows));
    grows->count = 1 + upto(s, ORDER_GROWS_MAX - 1);
    for (uint32_t i = 0; i < grows->count; i++) {
        const struct unit u = place(s, TIER_CLUSTER);
        grows->list[i] =
            (struct grow){number(s, UINT64_MAX - 1) + 1, u, 7, 5, 60 * US_PER_S, upto(s, 9)};
    }
    return grows;
}

void sample_order(struct sample *s, struct msg *m)
{
    struct order *o = take(s, sizeof(*o));
    struct msg part = {0};
    uint8_t hash[ORDER_HASH];
    o->seq = 1 + upto(s, 1000000);
    o->kept_from = flag(s) ? 1 + upto(s, (uint32_t)o->seq - 1) : 0;
    sample_hash(s, o->prev);
    o->what = (enum order_what)(1 + rng_u64(&s->rng) % (ORDER_WHAT_COUNT - 1));
    if (o->what == ORDER_STATE) {
        o->u.state = sample_state(s);
    } else if (o->what == ORDER_FREEZE || o->what == ORDER_THAW) {
        part.type = MSG_FREEZE;
        sample_notice(s, &part);
        o->u.freeze = part.u.freeze;
    } else if (o->what == ORDER_CIRCUIT) {
        part.type = MSG_CIRCUIT;
        sample_notice(s, &part);
        o->u.circuit = part.u.circuit;
    } else if (o->what == ORDER_HEAL) {
        o->u.heal.target = place(s, TIER_SECTOR);
    } else if (o->what == ORDER_CANCEL) {
        sample_hash(s, hash);
        memcpy(o->u.cancel.operation_id.bytes, hash, sizeof(o->u.cancel.operation_id.bytes));
        o->u.cancel.operation_id.bytes[0] |= 1u; /* never zero */
    } else if (o->what == ORDER_MOVES) {
        o->u.moves = sample_moves(s);
    } else if (o->what == ORDER_GROWS) {
        o->u.grows = sample_grows(s);
    } else {
        o->u.isolate = sample_isolate(s);
    }
    m->u.order = o;
}
