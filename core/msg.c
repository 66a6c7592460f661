/* What each message is called, and who may say it to whom.
 *
 * The tree has a shape: agents speak to their lead only, leads to their sector, sectors to the
 * orchestrator; relays may also pass from sector to sector. A message off these paths is a bug or
 * an attack, and is refused on arrival whatever its signature says. The check costs O(1): a mask
 * is within bounds when its highest unit is. */
#include "core/msg.h"

#include <assert.h>

const char *msg_type_name(enum msg_type type)
{
    static const char *const NAMES[MSG_TYPE_COUNT] = {
        [MSG_HELLO] = "hello",
        [MSG_WELCOME] = "welcome",
        [MSG_GOODBYE] = "goodbye",
        [MSG_HEARTBEAT] = "heartbeat",
        [MSG_BEAT] = "beat",
        [MSG_BEAT_REPLY] = "beat-reply",
        [MSG_OPERATE] = "operate",
        [MSG_ACK] = "ack",
        [MSG_RESULT] = "result",
        [MSG_CANCEL] = "cancel",
        [MSG_PREPARE] = "prepare",
        [MSG_PREPARED] = "prepared",
        [MSG_QUERY] = "query",
        [MSG_ROWS] = "rows",
        [MSG_CIRCUIT] = "circuit",
        [MSG_FREEZE] = "freeze",
        [MSG_THAW] = "thaw",
        [MSG_RELAY] = "relay",
        [MSG_RELAY_ACK] = "relay-ack",
        [MSG_COMMAND] = "command",
        [MSG_REPLY] = "reply",
        [MSG_HOST_REPORT] = "host-report",
        [MSG_HEAL] = "heal",
        [MSG_CONFLICT] = "conflict",
        [MSG_CONFLICT_ACK] = "conflict-ack",
        [MSG_ISOLATE] = "isolate",
        [MSG_MOVE] = "move",
        [MSG_CONTENT] = "content",
        [MSG_RESUME] = "resume",
        [MSG_ORDER] = "order",
        [MSG_GROW] = "grow",
    };
    unsigned i = (unsigned)type;
    return i < MSG_TYPE_COUNT && NAMES[i] != NULL ? NAMES[i] : "unknown";
}

static bool is_parent_of(struct unit parent, struct unit child)
{
    return (child.tier == TIER_AGENT || child.tier == TIER_CLUSTER || child.tier == TIER_SECTOR) &&
           unit_equal(topology_parent(child), parent);
}

/* The unit that the mask's highest bit stands for; false when its number does not fit. */
static bool mask_last(struct unit to, uint64_t mask, struct unit *ret)
{
    unsigned last = 63;
    while ((mask >> last & 1u) == 0) {
        last--;
    }
    struct unit u = to;
    uint16_t *number = to.tier == TIER_AGENT     ? &u.agent
                       : to.tier == TIER_CLUSTER ? &u.cluster
                       : to.tier == TIER_SECTOR  ? &u.sector
                                                 : NULL;
    if (number == NULL || *number > UINT16_MAX - last) {
        return false;
    }
    *number = (uint16_t)(*number + last);
    *ret = u;
    return true;
}

static bool relay_route(struct unit from, struct unit to)
{
    return is_parent_of(to, from) ? from.tier != TIER_SECTOR
           : is_parent_of(from, to)
               ? to.tier != TIER_SECTOR
               : from.tier == TIER_SECTOR && to.tier == TIER_SECTOR && !unit_equal(from, to);
}

static bool tiers_fit(enum msg_type type, struct unit from, struct unit to)
{
    bool up = is_parent_of(to, from);
    bool down = is_parent_of(from, to);
    switch (type) {
    case MSG_HELLO:
    case MSG_GOODBYE:
    case MSG_HEARTBEAT:
    case MSG_ACK:
        return up && from.tier == TIER_AGENT;
    case MSG_WELCOME:
        return down && to.tier == TIER_AGENT;
    case MSG_BEAT:
    case MSG_RESULT:
    case MSG_PREPARED:
    case MSG_ROWS:
        return up && from.tier != TIER_AGENT;
    case MSG_BEAT_REPLY:
    case MSG_OPERATE:
        return down;
    case MSG_CANCEL:
    case MSG_FREEZE:
    case MSG_THAW:
        return down && from.tier != TIER_ORCHESTRATOR; /* that orders: MSG_ORDER */
    case MSG_PREPARE:
    case MSG_QUERY:
        return down && to.tier != TIER_AGENT;
    case MSG_CIRCUIT:
        return (down && from.tier != TIER_ORCHESTRATOR) || (up && from.tier != TIER_AGENT);
    case MSG_RELAY:
    case MSG_RELAY_ACK:
    case MSG_CONTENT:
        return relay_route(from, to);
    case MSG_COMMAND:
        return from.tier == TIER_CONSOLE &&
               (to.tier == TIER_ORCHESTRATOR || to.tier == TIER_SECTOR);
    case MSG_REPLY:
        return to.tier == TIER_CONSOLE &&
               (from.tier == TIER_ORCHESTRATOR || from.tier == TIER_SECTOR);
    case MSG_HEAL:
        return (down && to.tier == TIER_CLUSTER) || (up && from.tier == TIER_CLUSTER) ||
               (from.tier == TIER_SECTOR && to.tier == TIER_HOST);
    case MSG_MOVE:
        return (down && to.tier == TIER_CLUSTER) || (up && from.tier == TIER_CLUSTER) ||
               (from.tier == TIER_SECTOR && to.tier == TIER_HOST);
    case MSG_GROW:
        return (down && to.tier == TIER_CLUSTER) ||
               (from.tier == TIER_SECTOR && to.tier == TIER_HOST); /* above: MSG_ORDER */
    case MSG_CONFLICT:
        return up && from.tier != TIER_AGENT;
    case MSG_CONFLICT_ACK:
        return down && to.tier != TIER_AGENT;
    case MSG_ISOLATE:
        return down && to.tier == TIER_CLUSTER;
    case MSG_ORDER:
        return down && from.tier == TIER_ORCHESTRATOR;
    case MSG_RESUME:
        return down && from.tier == TIER_ORCHESTRATOR;
    case MSG_HOST_REPORT:
        return from.tier == TIER_HOST && to.tier == TIER_SECTOR;
    case MSG_TYPE_COUNT:
        break;
    }
    return false;
}

bool msg_route_valid(const struct topology *t, const struct msg *msg)
{
    assert(t != NULL);
    assert(msg != NULL);
    if (!topology_contains(t, msg->from) || !topology_contains(t, msg->to)) {
        return false;
    }
    if (msg->mask != 0) {
        struct unit last;
        if (!mask_last(msg->to, msg->mask, &last) || !topology_contains(t, last)) {
            return false;
        }
    }
    return tiers_fit(msg->type, msg->from, msg->to);
}
