/* The network of the world. One message is copied once and shared by all its receivers; each gets a
 * delivery of its own with its own latency and its own luck.
 *
 * Latency: an agent's hop takes its own one-way delay (drawn once from its class, spec 2.2), plus
 * 1 ms of process, plus a Gamma(2) jitter of a tenth of it on average; 0.3 % suffer a retransmit of
 * 200 ms or more (arrival.md section 2; its bursts, regime changes and diurnal swings are left
 * out). Upper tiers: 0.2 to 1 ms. Consoles: 0.5 ms, no loss. Nothing keeps messages in order. */
#include "core/num.h"
#include "sim/world_owner.h"
#include "sim/world_process.h"
#include <assert.h>
#include <string.h>

static int64_t latency_us(struct world *w, uint32_t from, uint32_t to)
{
    const struct world_node *agent = NULL;
    if (from != WORLD_NOBODY && w->nodes[from].unit.tier == TIER_AGENT) {
        agent = &w->nodes[from];
    }
    if (to != WORLD_NOBODY && w->nodes[to].unit.tier == TIER_AGENT) {
        agent = &w->nodes[to];
    }
    if (agent == NULL) {
        return rng_range(&w->net, 200, 1000);
    }
    double gamma = 0.0; /* -ln(u1 u2) / 2, mean 1 */
    gamma -= num_log2((1.0 - rng_unit(&w->net)) * (1.0 - rng_unit(&w->net))) * 0.34657359;
    int64_t base = (int64_t)agent->one_way_us;
    int64_t us = 1000 + base + (int64_t)((double)base * 0.1 * gamma);
    if (rng_below(&w->net, 1000) < 3) {
        us += 200000 + (int64_t)(-num_log2(1.0 - rng_unit(&w->net)) * 69315.0);
    }
    return us;
}

static bool lost(struct world *w, uint32_t from, uint32_t to)
{
    bool agent = (from != WORLD_NOBODY && w->nodes[from].unit.tier == TIER_AGENT) ||
                 (to != WORLD_NOBODY && w->nodes[to].unit.tier == TIER_AGENT);
    uint32_t permille = agent ? w->conf.agent_loss_permille : w->conf.tier_loss_permille;
    return permille > 0 && rng_below(&w->net, 1000) < permille;
}

static struct unit unit_plus(struct unit u, unsigned n)
{
    if (u.tier == TIER_SECTOR) {
        u.sector = (uint16_t)(u.sector + n);
    } else if (u.tier == TIER_CLUSTER) {
        u.cluster = (uint16_t)(u.cluster + n);
    } else if (u.tier == TIER_AGENT) {
        u.agent = (uint16_t)(u.agent + n);
    } else {
        assert(n == 0);
    }
    return u;
}

void world_send_to(struct world *w, uint32_t from, uint32_t index, uint32_t bit, struct block *b)
{
    if (from != WORLD_NOBODY && lost(w, from, index)) {
        w->stats.lost++;
        return;
    }
    int64_t latency = latency_us(w, from, index);
    if (from != WORLD_NOBODY && w->nodes[from].lies != 0) {
        world_lie_replay(w, from, index, bit, b);
    }
    uint64_t rules = from == WORLD_NOBODY || w->rules_used == 0
                         ? 0
                         : w->nodes[from].rules_from & w->nodes[index].rules_to;
    if (rules != 0) {
        world_rules_send(w, rules, index, bit, latency, b);
        return;
    }
    b->references++;
    world_push(w, w->now_us + latency, W_MSG, index, bit, b);
}

static void send_one(struct world *w, uint32_t from, struct unit to, uint32_t bit, struct block *b)
{
    if (to.tier == TIER_CONSOLE) {
        b->references++;
        world_push(w, w->now_us + 500, W_MSG, WORLD_NOBODY, bit, b);
        return;
    }
    uint32_t index = world_index(w, to);
    if (index == WORLD_NOBODY) {
        w->stats.refused++;
        return;
    }
    if (w->processes == NULL || index >= w->first_agent) {
        world_send_to(w, from, index, bit, b);
        return;
    }
    uint32_t at[2], count = world_process_targets(w, from, index, at);
    for (uint32_t i = 0; i < count; i++) { /* a name that runs twice hears everything twice */
        world_send_to(w, from, at[i], bit, b);
    }
}

/* A relay sent again names the cached operation instead of carrying it. */
static const struct msg *resolve_relay(struct world *w, const struct msg *msg, struct msg *room)
{
    if (msg->type != MSG_RELAY || num_id128_zero(msg->u.relay.operation->payload_of)) {
        return msg;
    }
    struct cached *c = world_cached(w, &msg->u.relay.operation->payload_of);
    if (c == NULL) {
        w->stats.uncached++;
        return NULL;
    }
    *room = *msg;
    room->u.relay.operation = &c->operation;
    return room;
}

static struct block *message_block(struct world *w, const struct msg *msg)
{
    uint32_t room = msg_extra_bytes(msg);
    struct block *b = world_block(w, sizeof(struct world_msg) + 16u + room);
    struct world_msg *wm = (struct world_msg *)(void *)b->bytes;
    size_t at = (sizeof(*wm) + 15u) / 16u * 16u;
    (void)msg_copy(msg, &wm->msg, b->bytes + at, room);
    wm->frame_bytes = 0;
    wm->forgery = 0;
    return b;
}

void world_transmit(struct world *w, uint32_t from, const struct msg *msg)
{
    struct msg resolved;
    msg = resolve_relay(w, msg, &resolved);
    if (msg == NULL) {
        return;
    }
    if (!msg_route_valid(&w->conf.topology, msg)) {
        w->stats.refused++;
        return;
    }
    if (world_is_excluded(w, from)) {
        w->stats.refused++;
        return;
    }
    if (from != WORLD_NOBODY && (!world_leaves(w, from) || !world_may_speak(w, from, msg->from))) {
        w->stats.lost++;
        return;
    }
    bool sealed = w->wire != NULL && from != WORLD_NOBODY && msg->from.tier == TIER_AGENT;
    struct block *b = sealed ? world_wire_seal(w, from, msg) : message_block(w, msg);
    if (b == NULL) {
        return;
    }
    struct world_msg *wm = (struct world_msg *)(void *)b->bytes;
    wm->sent_us = w->now_us;
    wm->taken[0] = wm->taken[1] = 0;
    wm->from = from;
    wm->partition = from == WORLD_NOBODY ? 0 : w->nodes[from].partition;
    wm->record = 0;
    wm->session = w->processes != NULL ? world_process_session(w, from) : 0;
    if (msg->mask == 0) {
        w->stats.messages++;
        send_one(w, from, msg->to, 0, b);
    }
    for (uint64_t mask = msg->mask; mask != 0; mask &= mask - 1u) {
        unsigned bit = (unsigned)__builtin_ctzll(mask);
        w->stats.messages++;
        send_one(w, from, unit_plus(msg->to, bit), bit, b);
    }
    world_block_drop(w, b);
}

/* How many bits of the mask lie below `bit`: the place of its target. */
static uint32_t rank(uint64_t mask, uint32_t bit)
{
    return (uint32_t)__builtin_popcountll(mask & ((1ull << bit) - 1u));
}

void world_deliver(struct world *w, const struct entry *e)
{
    struct world_msg *wm = (struct world_msg *)(void *)e->block->bytes;
    struct msg msg = wm->msg;
    if (e->node == WORLD_NOBODY) {
        if (w->processes == NULL || world_process_takes(w, WORLD_NOBODY, wm)) {
            world_console_reply(w, &msg);
        }
        return;
    }
    struct world_node *n = &w->nodes[e->node];
    bool cut = false;
    if (wm->from != WORLD_NOBODY) {
        /* The sender's memory is cold: it is looked at when there is a rule at all. */
        uint64_t rules = w->rules_used == 0 ? 0 : w->nodes[wm->from].rules_from & n->rules_to;
        cut = wm->partition != n->partition || (rules != 0 && world_rules_cut(w, rules));
    }
    if (cut || !world_arrives(w, e->node, wm->sent_us)) {
        w->stats.lost++;
        return;
    }
    if (!world_accepts(w, n, wm, e->sub)) {
        return;
    }
    if (w->processes != NULL && !world_process_takes(w, e->node, wm)) {
        w->stats.lost++;
        return;
    }
    if (w->processes == NULL && wm->record == RECORD_ANNOUNCE) {
        if (world_owner_heard(w, e->node, wm)) {
            world_step_owner(w, e->node, wm->msg.from.sector);
        }
        return;
    }
    if (n->self == NULL || (wm->frame_bytes > 0 && !world_wire_take(w, e->node, wm, &msg))) {
        return; /* its process runs, and not this unit; or refuses the frame */
    }
    msg.to = n->unit;
    msg.mask = 0;
    msg.recv_us = world_local(n, w->now_us);
    if (msg.type == MSG_OPERATE) {
        struct cached *c = world_cached(w, &msg.u.operate.operation_id);
        if (c == NULL) {
            w->stats.uncached++;
            return;
        }
        msg.u.operate.operation = &c->operation;
        if (wm->msg.mask != 0 && msg.u.operate.target_count > 1) {
            msg.u.operate.targets += rank(wm->msg.mask, e->sub);
            msg.u.operate.target_count = 1;
        }
    } else if (msg.type == MSG_RELAY) {
        if (world_cached(w, &msg.u.relay.operation->id) == NULL) {
            world_seal(w, msg.u.relay.operation);
        }
    }
    w->delivering = wm;
    world_step_msg(w, e->node, &msg);
    w->delivering = NULL;
}
