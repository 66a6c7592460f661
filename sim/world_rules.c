/* What goes wrong between nodes: rules between two sides, and the broker.
 *
 * A rule is a bit: each node carries the set of rules whose `from` and whose `to` it is in, so a
 * message costs one AND while nothing is wrong. What a rule does is drawn when the message is sent;
 * a partition also takes what is in flight when it begins, because the broker cannot hand it over.
 * A clogged message is kept in the order in which it was sent and goes on when its rule is removed.
 *
 * A broker that ends loses what is under way (core NATS keeps nothing), and so does a connection
 * that it closes. */
#include "core/num.h"
#include "sim/world_process.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* A message that a rule holds back. */
struct clogged {
    struct block *block;
    struct clogged *next;
    uint64_t rules;
    int64_t delay_us;
    uint32_t node, bit, generation;
};

bool world_within(struct unit u, struct unit top)
{
    switch (top.tier) {
    case TIER_ORCHESTRATOR:
        return u.tier != TIER_HOST;
    case TIER_SECTOR:
        return u.sector == top.sector &&
               (u.tier == TIER_SECTOR || u.tier == TIER_CLUSTER || u.tier == TIER_AGENT);
    case TIER_CLUSTER:
        return u.sector == top.sector && u.cluster == top.cluster &&
               (u.tier == TIER_CLUSTER || u.tier == TIER_AGENT);
    default:
        return unit_equal(u, top);
    }
}

/* Whether the node is a unit at that place, or a process whose first unit is. */
bool world_in_place(const struct world *w, uint32_t index, struct unit u, bool below)
{
    const struct world_node *n = &w->nodes[index];
    return (n->ops != NULL || n->process != NO_PROCESS) &&
           (unit_equal(n->unit, u) || (below && world_within(n->unit, u)));
}

/* Whether what is done to u is done to the node: with processes, all of a process. */
bool world_meant(const struct world *w, uint32_t index, struct unit u, bool below)
{
    const struct world_node *n = &w->nodes[index];
    return n->process != NO_PROCESS ? world_process_meant(w, n->process, u, below)
                                    : world_in_place(w, index, u, below);
}

static bool on_side(const struct world_side *side, struct unit u)
{
    bool within = false;
    for (uint32_t i = 0; i < side->count && !within; i++) {
        within = world_within(u, side->units[i]);
    }
    return within != side->others;
}

uint32_t world_rule_add(struct world *w, const struct world_rule *rule)
{
    assert(w != NULL && rule != NULL);
    assert(rule->drop_permille <= 1000 && rule->duplicate_permille <= 1000);
    assert(rule->reorder_permille <= 1000 && rule->delay_us >= 0);
    uint32_t i = 0;
    while (i < WORLD_RULES_MAX && (w->rules_used >> i & 1u) != 0) {
        i++;
    }
    if (i == WORLD_RULES_MAX) {
        return 0;
    }
    w->rules[i] = *rule;
    w->rules[i].from.units = w->rules[i].to.units = NULL; /* read now */
    w->rules_used |= 1ull << i;
    for (uint32_t k = 0; k < w->node_count; k++) {
        struct world_node *n = &w->nodes[k];
        if (n->ops != NULL || n->process != NO_PROCESS) {
            n->rules_from |= on_side(&rule->from, n->unit) ? 1ull << i : 0;
            n->rules_to |= on_side(&rule->to, n->unit) ? 1ull << i : 0;
        }
    }
    return i + 1;
}

/* What waited behind this rule goes on, in its order, unless another rule clogs it, too. */
static void unclog(struct world *w, uint32_t i)
{
    struct clogged **at = &w->clogged;
    while (*at != NULL) {
        struct clogged *c = *at;
        c->rules &= ~(1ull << i);
        if (c->rules != 0) {
            at = &c->next;
            continue;
        }
        *at = c->next;
        if (c->generation == w->nodes[c->node].generation) {
            world_push(w, w->now_us + c->delay_us, W_MSG, c->node, c->bit, c->block);
        } else {
            world_block_drop(w, c->block);
        }
        free(c);
    }
    w->clogged_last = at;
}

void world_rule_remove(struct world *w, uint32_t number)
{
    if (number == 0 || number > WORLD_RULES_MAX || (w->rules_used >> (number - 1u) & 1u) == 0) {
        return;
    }
    uint64_t bit = 1ull << (number - 1u);
    w->rules_used &= ~bit;
    for (uint32_t k = 0; k < w->node_count; k++) {
        w->nodes[k].rules_from &= ~bit;
        w->nodes[k].rules_to &= ~bit;
    }
    if (w->rules[number - 1u].clog) {
        unclog(w, number - 1u);
    }
}

void world_cut(struct world *w, const struct world_side *a, const struct world_side *b, bool both,
               uint32_t ret[2])
{
    struct world_rule rule = {.from = *a, .to = *b, .drop_permille = 1000};
    ret[0] = world_rule_add(w, &rule);
    ret[1] = 0;
    if (both) {
        rule = (struct world_rule){.from = *b, .to = *a, .drop_permille = 1000};
        ret[1] = world_rule_add(w, &rule);
    }
}

void world_clogs_free(struct world *w)
{
    while (w->clogged != NULL) {
        struct clogged *c = w->clogged;
        w->clogged = c->next;
        world_block_drop(w, c->block);
        free(c);
    }
}

static bool chance(struct world *w, uint32_t permille, enum world_met met)
{
    bool yes = permille > 0 && (permille >= 1000 || rng_below(&w->chaos, 1000) < permille);
    w->met[met] += yes ? 1 : 0;
    return yes;
}

static void hold_back(struct world *w, uint32_t to, uint32_t bit, int64_t delay_us, uint64_t rules,
                      struct block *b)
{
    struct clogged *c = world_alloc(sizeof(*c));
    *c = (struct clogged){.block = b,
                          .rules = rules,
                          .delay_us = delay_us,
                          .node = to,
                          .bit = bit,
                          .generation = w->nodes[to].generation};
    b->references++;
    if (w->clogged == NULL) {
        w->clogged_last = &w->clogged;
    }
    *w->clogged_last = c;
    w->clogged_last = &c->next;
    w->met[WORLD_MET_CLOG]++;
}

/* Under rules: what becomes of one message. */
void world_rules_send(struct world *w, uint64_t rules, uint32_t to, uint32_t bit, int64_t delay_us,
                      struct block *b)
{
    uint64_t clogs = 0;
    uint32_t copies = 1;
    for (uint32_t i = 0; i < WORLD_RULES_MAX; i++) {
        const struct world_rule *r = &w->rules[i];
        if ((rules >> i & 1u) == 0) {
            continue;
        }
        if (chance(w, r->drop_permille,
                   r->drop_permille == 1000 ? WORLD_MET_PARTITION : WORLD_MET_DROP)) {
            w->stats.lost++;
            return;
        }
        copies += chance(w, r->duplicate_permille, WORLD_MET_DUPLICATE) ? 1u : 0u;
        if (r->reorder_permille == 0 && r->delay_us > 0) {
            delay_us += r->delay_us;
            w->met[WORLD_MET_DELAY]++;
        } else if (chance(w, r->reorder_permille, WORLD_MET_REORDER)) {
            delay_us += rng_range(&w->chaos, 0, r->delay_us);
        }
        clogs |= r->clog ? 1ull << i : 0;
    }
    for (uint32_t k = 0; k < copies; k++) {
        if (clogs != 0) {
            hold_back(w, to, bit, delay_us, clogs, b);
        } else {
            b->references++;
            world_push(w, w->now_us + delay_us + (k > 0 ? rng_range(&w->chaos, 0, 50000) : 0),
                       W_MSG, to, bit, b);
        }
    }
}

/* A partition that began while the message was under way. */
bool world_rules_cut(struct world *w, uint64_t rules)
{
    for (uint32_t i = 0; i < WORLD_RULES_MAX && rules >> i != 0; i++) {
        if ((rules >> i & 1u) != 0 && w->rules[i].drop_permille == 1000) {
            w->met[WORLD_MET_PARTITION]++;
            return true;
        }
    }
    return false;
}

/* --- the broker --------------------------------------------------------------------------------
 */

static void link_down(struct world *w, uint32_t index, int64_t down_us)
{
    struct world_node *n = &w->nodes[index];
    int64_t up_us = w->now_us + down_us + rng_range(&w->chaos, 200000, 2000000);
    n->bus_since_us = w->now_us;
    n->bus_up_us = up_us > n->bus_up_us ? up_us : n->bus_up_us;
    if (n->self != NULL) {
        world_push(w, w->now_us, W_LINK, index, LINK_BUS * 2u, NULL);
        world_push(w, n->bus_up_us, W_LINK, index, LINK_BUS * 2u + 1u, NULL);
    }
}

void world_broker_restart(struct world *w, int64_t down_us)
{
    assert(w != NULL && down_us >= 0);
    w->broker_since_us = w->now_us;
    w->broker_up_us = w->now_us + down_us;
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (w->nodes[i].ops != NULL || w->nodes[i].process != NO_PROCESS) {
            link_down(w, i, down_us);
        }
    }
}

void world_disconnect(struct world *w, struct unit u, bool below, int64_t down_us)
{
    assert(down_us >= 0);
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (world_meant(w, i, u, below)) {
            link_down(w, i, down_us);
        }
    }
}

void world_pending_max(struct world *w, uint32_t messages)
{
    w->pending_max = messages > 0 ? messages : WORLD_PENDING_MAX;
}

void world_swallow(struct world *w, struct unit u, bool below, int64_t us)
{
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (world_meant(w, i, u, below)) {
            w->nodes[i].swallow_until_us = w->now_us + us;
            w->swallows = true;
        }
    }
}

/* Whether the sender's connection takes it and it reaches the broker. */
bool world_leaves(struct world *w, uint32_t from)
{
    const struct world_node *n = &w->nodes[from];
    if (w->now_us < n->bus_up_us) {
        w->met[WORLD_MET_LINK_DOWN]++;
        return false;
    }
    if (w->swallows && w->now_us < n->swallow_until_us) {
        w->met[WORLD_MET_SWALLOWED]++;
        return false;
    }
    return true;
}

/* Whether a message sent at sent_us, due now, is still there for this node. */
bool world_arrives(struct world *w, uint32_t to, int64_t sent_us)
{
    const struct world_node *n = &w->nodes[to];
    if (sent_us <= w->broker_since_us && w->broker_since_us >= 0) {
        w->met[WORLD_MET_BROKER]++;
        return false;
    }
    if (n->bus_up_us > 0 && (w->now_us < n->bus_up_us || sent_us <= n->bus_since_us)) {
        w->met[WORLD_MET_LINK_DOWN]++;
        return false;
    }
    return true;
}
