/* Messages between agents, on their way through their lead (spec 2.4, design 9).
 *
 * The author's lead delivers to its own agents and sends on to the sector what reaches beyond; a
 * receiving lead delivers. An answer names only the message, so every lead keeps for a while where
 * a message came from: an agent of its own, or the sector. For agents that are not there the lead
 * answers itself. With a broadcast it collects: one answer with the sums for all its agents, when
 * the last has answered or after two seconds.
 *
 * Nothing is resent here: the author does it, the same message passes again, and receivers repeat
 * their answers. Routes are 128; without a free one the oldest that has done its duty gives way. */
#include "core/resolve.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

#define COLLECT_US (2ll * US_PER_S)

static struct lead_relay *route_find(struct cluster *c, struct id128 id)
{
    for (uint32_t k = 0; k < LEAD_RELAYS_MAX; k++) {
        if (c->relays[k].used && num_id128_equal(c->relays[k].id, id)) {
            return &c->relays[k];
        }
    }
    return NULL;
}

/* A free row; else the one that ends first among those answered; else NULL. */
static struct lead_relay *route_take(struct cluster *c)
{
    struct lead_relay *best = NULL;
    for (uint32_t k = 0; k < LEAD_RELAYS_MAX; k++) {
        struct lead_relay *r = &c->relays[k];
        if (!r->used) {
            return r;
        }
        if (r->waiting == 0 && (best == NULL || r->until_us < best->until_us)) {
            best = r;
        }
    }
    return best;
}

/* An answer on its way to the author: down to an own agent, or to the sector. */
static bool answer_send(struct cluster *c, const struct lead_relay *r, const struct relay_ack *ack,
                        struct outbox *out)
{
    struct msg m = {.type = MSG_RELAY_ACK, .priority = 1, .to = c->sector};
    if (r->author > 0) {
        m.to = cluster_agent(c, r->author - 1u);
    }
    m.u.relay_ack = *ack;
    return cluster_send(c, out, &m);
}

static void answer_for(struct cluster *c, const struct lead_relay *r, uint32_t i,
                       enum outcome outcome, enum reason reason, struct outbox *out)
{
    struct relay_ack ack = {.message_id = r->id,
                            .target = cluster_agent(c, i),
                            .failed = 1,
                            .outcome = outcome,
                            .reason = reason};
    answer_send(c, r, &ack, out);
}

/* The lead speaks for all its agents. */
static void answer_sum(struct cluster *c, struct lead_relay *r, struct outbox *out)
{
    struct relay_ack ack = {.message_id = r->id,
                            .target = c->self,
                            .reached = r->reached,
                            .failed = r->failed,
                            .outcome = r->failed == 0 ? OUTCOME_READY : (enum outcome)r->outcome,
                            .reason = r->failed == 0 ? REASON_NONE : (enum reason)r->reason};
    r->answered = answer_send(c, r, &ack, out);
    r->collect_us = r->answered ? NEVER : r->collect_us;
}

static void member_failed(struct cluster *c, struct lead_relay *r, uint32_t i, enum outcome outcome,
                          enum reason reason, struct outbox *out)
{
    r->waiting &= ~bit_of(i);
    if (r->broadcast) {
        r->failed++;
        r->outcome = (uint8_t)outcome;
        r->reason = (uint8_t)reason;
    } else {
        answer_for(c, r, i, outcome, reason, out);
    }
}

/* Bits of the members that some place may mean: most messages name one agent. */
static uint64_t within_places(const struct cluster *c, const struct place_set *p)
{
    uint64_t mask = p->count == 0 ? c->all : 0;
    for (uint32_t k = 0; k < p->count; k++) {
        const struct pattern *at = &p->patterns[k];
        if (at->agent.first == at->agent.last && at->agent.first >= 1 &&
            at->agent.first <= c->count) {
            mask |= bit_of(at->agent.first - 1u);
        } else {
            mask = c->all;
        }
    }
    return mask;
}

/* Members by place and class alone: who they are follows from the topology for the author, too. */
static uint64_t own_targets(const struct cluster *c, const struct operation *o)
{
    uint64_t mask = 0;
    for (uint64_t rest = within_places(c, &o->selector.places); rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        struct unit u = cluster_agent(c, i);
        enum impedance_class k = topology_class(c->topology, c->first + i);
        bool class_fits = o->selector.class_mask == 0 || (o->selector.class_mask >> k & 1u) != 0;
        bool meant = topology_planned(c->topology, u) ? place_has_agent(&o->selector.places, u)
                                                      : place_names_agent(&o->selector.places, u);
        if (class_fits && meant) {
            mask |= bit_of(i);
        }
    }
    return mask;
}

/* Why the message does not go to this member; NONE: it does. As for operations (cluster_operate.c):
 * nothing new is routed into a cluster whose breaker is open (spec 6.2), nor to an agent that is
 * not counted on for what the message requires (spec 9.1). */
static enum reason refusal(const struct cluster *c, const struct operation *o, uint32_t i,
                           bool expired)
{
    const struct member *m = &c->members[i];
    if (expired) {
        return REASON_EXPIRED;
    }
    if (breaker_state(&c->breaker) == CIRCUIT_OPEN) {
        return REASON_BREAKER;
    }
    if (!children_reachable(&c->children, i) || !m->joined) {
        return REASON_AGENT_OFFLINE;
    }
    if ((c->quarantined >> i & 1u) != 0) {
        return REASON_QUARANTINED;
    }
    bool able = !o->unknown_capability && (o->selector.capabilities & ~m->capabilities) == 0;
    return able ? REASON_NONE : REASON_CAPABILITY;
}

static void deliver(struct cluster *c, int64_t now_us, struct lead_relay *r, const struct msg *msg,
                    struct outbox *out)
{
    const struct operation *o = msg->u.relay.operation;
    uint64_t mask = own_targets(c, o);
    r->waiting = mask;
    r->reached = 0;
    r->failed = 0;
    r->answered = false;
    bool expired = r->until_us <= now_us;
    for (uint64_t rest = mask; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        enum reason why = refusal(c, o, i, expired);
        enum outcome outcome = why == REASON_AGENT_OFFLINE ? OUTCOME_UNREACHABLE : OUTCOME_REFUSED;
        if (why != REASON_NONE) {
            member_failed(c, r, i, outcome, why, out);
        }
    }
    if (r->waiting != 0) {
        uint32_t low = bits_lowest(r->waiting);
        uint64_t shifted = r->waiting >> low;
        struct msg m = {.type = MSG_RELAY,
                        .priority = o->priority,
                        .to = cluster_agent(c, low),
                        .mask = shifted == 1 ? 0 : shifted};
        m.u.relay = (struct relay){.hops = msg->u.relay.hops + 1u, .operation = o};
        cluster_send(c, out, &m);
        r->collect_us = r->broadcast ? now_us + COLLECT_US : NEVER;
    } else if (r->broadcast && mask != 0) {
        answer_sum(c, r, out);
    }
}

/* Whether some place lies outside this cluster. */
static bool reaches_beyond(const struct cluster *c, const struct operation *o)
{
    const struct place_set *p = &o->selector.places;
    if (p->count == 0) {
        return topology_clusters(c->topology) > 1;
    }
    for (uint32_t k = 0; k < p->count; k++) {
        const struct pattern *at = &p->patterns[k];
        bool here = at->sector.first == c->self.sector && at->sector.last == c->self.sector &&
                    at->cluster.first == c->self.cluster && at->cluster.last == c->self.cluster;
        if (!here) {
            return true;
        }
    }
    return false;
}

void route_relay(struct cluster *c, int64_t now_us, const struct msg *msg, uint32_t author,
                 struct outbox *out)
{
    assert(c != NULL && msg != NULL && out != NULL);
    assert(msg->type == MSG_RELAY);
    const struct operation *o = msg->u.relay.operation;
    bool own = author < MEMBERS_MAX;
    if (o == NULL || o->action[0] == '\0' || msg->u.relay.hops >= LEAD_RELAY_HOPS ||
        (own && !unit_equal(o->source, msg->from))) {
        cluster_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        return;
    }
    if (own && (c->quarantined >> author & 1u) != 0) { /* kept out, it is not heard either */
        cluster_note(out, NOTE_RELAY_LOST, num_id128_low(o->id), REASON_QUARANTINED);
        return;
    }
    struct lead_relay *r = route_find(c, o->id);
    if (r == NULL) {
        r = route_take(c);
    }
    if (r == NULL) {
        cluster_note(out, NOTE_RELAY_LOST, num_id128_low(o->id), REASON_OVERLOAD);
        return; /* its author tries again */
    }
    int64_t expires_us = o->created_mesh_us + num_clamp_i64(o->ttl_us, 0, TTL_US_MAX);
    *r = (struct lead_relay){.id = o->id,
                             .until_us = meshtime_ready(&c->time)
                                             ? meshtime_to_local(&c->time, expires_us)
                                             : now_us + COLLECT_US,
                             .collect_us = NEVER,
                             .author = (uint8_t)(own ? author + 1u : 0),
                             .used = true,
                             .broadcast = o->routing == ROUTING_BROADCAST};
    c->route_next_us = 0;
    deliver(c, now_us, r, msg, out);
    if (own && reaches_beyond(c, o)) {
        struct msg m = {.type = MSG_RELAY, .priority = o->priority, .to = c->sector};
        m.u.relay = (struct relay){.hops = msg->u.relay.hops + 1u, .operation = o};
        cluster_send(c, out, &m);
    }
}

void route_relay_ack(struct cluster *c, int64_t now_us, const struct msg *msg, uint32_t member,
                     struct outbox *out)
{
    assert(c != NULL && msg != NULL && out != NULL);
    assert(msg->type == MSG_RELAY_ACK && now_us >= 0);
    const struct relay_ack *ack = &msg->u.relay_ack;
    struct lead_relay *r = route_find(c, ack->message_id);
    if (r == NULL) {
        return; /* its TTL is over */
    }
    if (member >= MEMBERS_MAX) {
        if (r->author > 0) { /* from beyond, for an author of this cluster */
            answer_send(c, r, ack, out);
        }
        return;
    }
    if (!r->broadcast) {
        r->waiting &= ~bit_of(member);
        struct relay_ack own = *ack;
        own.target = cluster_agent(c, member);
        answer_send(c, r, &own, out);
        return;
    }
    if ((r->waiting >> member & 1u) == 0) {
        return;
    }
    r->waiting &= ~bit_of(member);
    r->reached += ack->failed == 0;
    if (ack->failed != 0) {
        r->failed++;
        r->outcome = (uint8_t)ack->outcome;
        r->reason = (uint8_t)ack->reason;
    }
    if (r->waiting == 0 && !r->answered) {
        answer_sum(c, r, out);
    }
}

int64_t route_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    int64_t next_us = NEVER;
    if (c->route_next_us > now_us) {
        return c->route_next_us;
    }
    for (uint32_t k = 0; k < LEAD_RELAYS_MAX; k++) {
        struct lead_relay *r = &c->relays[k];
        if (!r->used) {
            continue;
        }
        if (r->until_us <= now_us) {
            r->used = false;
            continue;
        }
        if (r->collect_us <= now_us) { /* the silent ones have failed, as far as we know */
            r->failed += bits_count(r->waiting);
            r->outcome = r->waiting != 0 ? OUTCOME_TIMEOUT_DELIVERY : r->outcome;
            r->waiting = 0;
            answer_sum(c, r, out);
        }
        next_us = time_least(next_us, time_least(r->until_us, r->collect_us));
    }
    c->route_next_us = next_us;
    return next_us;
}
