/* The agents' own messages (design 9): lead -> sector -> leads and other sectors; the orchestrator
 * takes no part. A message from an own lead goes to all its places; one from another sector only to
 * places in this one, so nothing circles (and 8 hops end it anyway). The lead it came from has
 * served its own agents already.
 *
 * A message is passed on at once. A payload of 32 KiB fits an outbox once: what is left waits in
 * one of a few holds. Acknowledgements name only the message: the way back is remembered here. */
#include "core/num.h"
#include "core/resolve.h"
#include "tiers/sector/sector_state.h"
#include <assert.h>
#include <string.h>

static void route_add(struct sector *s, const struct id128 *id, struct unit back)
{
    struct sector_route *r = &s->routes[s->route_next];
    s->route_next = (s->route_next + 1) % SECTOR_ROUTES_MAX;
    r->id = *id;
    r->back = back;
}

static const struct sector_route *route_find(const struct sector *s, const struct id128 *id)
{
    for (uint32_t i = 0; i < SECTOR_ROUTES_MAX; i++) {
        if (s->routes[i].back.tier != TIER_NONE && num_id128_equal(s->routes[i].id, *id)) {
            return &s->routes[i];
        }
    }
    return NULL;
}

static void ack_failed(struct sector *s, struct unit to, const struct operation *op,
                       struct unit target, enum outcome outcome, enum reason reason)
{
    struct hub *h = &s->hub;
    struct msg m = hub_msg(h, MSG_RELAY_ACK, to, op->priority);
    m.u.relay_ack =
        (struct relay_ack){.message_id = op->id,
                           .target = target,
                           .failed = selector_expected(&op->selector, h->topology, target),
                           .outcome = outcome,
                           .reason = reason};
    hub_note(h, NOTE_RELAY_LOST, num_id128_low(op->id), (uint64_t)reason);
    if (hub_fits(h, &m)) {
        out_send(h->out, &m);
    }
}

static bool send_relay(struct sector *s, const struct sector_hold *hold, struct unit to,
                       uint64_t mask)
{
    struct hub *h = &s->hub;
    struct msg m = hub_msg(h, MSG_RELAY, to, hold->operation.priority);
    m.mask = mask;
    m.u.relay = (struct relay){.hops = hold->hops + 1, .operation = &hold->operation};
    if (!hub_fits(h, &m)) {
        return false;
    }
    out_send(h->out, &m);
    return true;
}

/* False: more to send than fits now. */
static bool hold_pump(struct sector *s, struct sector_hold *hold)
{
    struct hub *h = &s->hub;
    if (hold->clusters != 0) {
        if (!send_relay(s, hold, unit_cluster(h->self.sector, 1), hold->clusters)) {
            return false;
        }
        hold->clusters = 0;
    }
    for (; hold->block * 64u < h->topology->sectors; hold->block++) {
        uint32_t first = hold->block * 64u + 1;
        uint64_t mask = place_children(&hold->operation.selector.places, h->topology,
                                       unit_orchestrator(), first);
        if (h->self.sector >= first && h->self.sector < first + 64) {
            mask &= ~(1ull << (h->self.sector - first));
        }
        uint32_t low = 0; /* the first one is named, so that this sector itself never is */
        while (mask != 0 && (mask >> low & 1u) == 0) {
            low++;
        }
        if (mask != 0 && !send_relay(s, hold, unit_sector(first + low), mask >> low)) {
            return false;
        }
    }
    hold->used = false;
    return true;
}

static struct sector_hold *hold_take(struct sector *s)
{
    for (uint32_t i = 0; i < SECTOR_HOLDS_MAX; i++) {
        if (!s->holds[i].used) {
            return &s->holds[i];
        }
    }
    return NULL;
}

/* Why nothing passes here now: it stands still, or is isolated (spec 6.2), or the mesh is. What
 * goes on within a cluster is its lead's. */
static enum reason refusal(const struct hub *h, bool room)
{
    bool open = h->mesh_open || breaker_state(&h->breaker) == CIRCUIT_OPEN;
    return h->frozen ? REASON_FROZEN
           : open    ? REASON_BREAKER
           : !room   ? REASON_OVERLOAD
                     : REASON_NONE;
}

void sector_relay(struct sector *s, const struct msg *msg)
{
    struct hub *h = &s->hub;
    const struct operation *op = msg->u.relay.operation;
    bool from_sector = msg->from.tier == TIER_SECTOR;
    struct sector_hold *hold = hold_take(s);
    if (op == NULL || msg->u.relay.hops >= SECTOR_HOPS_MAX ||
        op->payload_bytes > PAYLOAD_BYTES_MAX) {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
        return;
    }
    if (meshtime_ready(&h->time) && hub_mesh_now(h) > op->created_mesh_us + op->ttl_us) {
        hub_note(h, NOTE_RELAY_LOST, num_id128_low(op->id), REASON_EXPIRED);
        return;
    }
    enum reason why = refusal(h, hold != NULL);
    if (why != REASON_NONE) {
        ack_failed(s, msg->from, op, h->self, OUTCOME_REFUSED, why);
        return;
    }
    route_add(s, &op->id, msg->from);
    hold->used = true;
    hold->hops = msg->u.relay.hops;
    hold->block = from_sector ? UINT16_MAX : 0;
    hold->clusters = place_children(&op->selector.places, h->topology, h->self, 1);
    (void)operation_copy(op, &hold->operation, hold->payload, sizeof(hold->payload));
    uint32_t author = hub_child_index(h, msg->from);
    if (author != UINT32_MAX) {
        hold->clusters &= ~(1ull << author);
    }
    for (uint32_t i = 0; i < h->children_count; i++) {
        enum outcome outcome;
        enum reason reason;
        if (hold->clusters >> i & 1u && !hub_child_usable(h, i, &outcome, &reason)) {
            hold->clusters &= ~(1ull << i);
            ack_failed(s, msg->from, op, hub_child_unit(h, i), outcome, reason);
        }
    }
    hub_note(h, NOTE_RELAYED, num_id128_low(op->id), unit_pack(op->source));
}

void sector_relay_ack(struct sector *s, const struct msg *msg)
{
    struct hub *h = &s->hub;
    const struct sector_route *r = route_find(s, &msg->u.relay_ack.message_id);
    if (r == NULL || unit_equal(r->back, msg->from)) {
        hub_note(h, NOTE_RELAY_LOST, num_id128_low(msg->u.relay_ack.message_id), REASON_NOT_MINE);
        return;
    }
    struct msg m = hub_msg(h, MSG_RELAY_ACK, r->back, msg->priority);
    m.u.relay_ack = msg->u.relay_ack;
    if (hub_fits(h, &m)) {
        out_send(h->out, &m);
    }
}

void sector_relay_pump(struct sector *s)
{
    for (uint32_t i = 0; i < SECTOR_HOLDS_MAX; i++) {
        if (s->holds[i].used && !hold_pump(s, &s->holds[i])) {
            return;
        }
    }
}
