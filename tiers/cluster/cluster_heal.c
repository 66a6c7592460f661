/* Recovery of agents (spec 6.1 agent crash, 7.1 heal). An agent that is given up is started anew by
 * its host, whom the sector knows; what was routed to it is answered already (flight_member_gone),
 * and new work goes to others. The word may be lost, and the sector may have begun just now: while
 * the agent is away it is said again each minute, and at once to a new sector. Heal does the same
 * for all that are away, asks those that may only have missed a word to say hello, and closes the
 * breaker. */
#include "core/freezer.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>

void heal_init(struct cluster *c)
{
    assert(c != NULL);
    c->replace_us = NEVER;
}

static void ask_for(struct cluster *c, int64_t now_us, uint64_t mask)
{
    c->replace |= mask;
    if (c->replace != 0 && c->replace_us == NEVER) {
        c->replace_us = now_us + rng_range(&c->rng, 0, LEAD_REPLACE_JITTER);
    }
}

/* As many as this minute still allows; those that have waited longest first. */
static void ask_share(struct cluster *c, int64_t now_us)
{
    if (now_us - c->replace_from_us >= LEAD_REPLACE_US) {
        c->replace_from_us = now_us;
        c->replaced = 0;
    }
    uint32_t share = c->count / LEAD_REPLACE_SHARE, most = share > 0 ? share : 1;
    uint32_t asked = bits_count(c->replaced);
    for (uint32_t n = 0; n < c->count && asked < most; n++) {
        uint32_t i = c->replace_next;
        c->replace_next = i + 1u < c->count ? i + 1u : 0;
        if ((c->dead & ~c->replaced & bit_of(i)) != 0) {
            c->replaced |= bit_of(i);
            asked++;
            ask_for(c, now_us, bit_of(i));
        }
    }
}

static void look_at_dead(struct cluster *c)
{
    for (uint64_t rest = c->dead; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        if (members_state(c, i) != AGENT_OFFLINE || !move_expects(c, i)) {
            c->dead &= ~bit_of(i);
        }
    }
}

void heal_member_down(struct cluster *c, int64_t now_us, uint32_t i)
{
    assert(c != NULL && i < c->count);
    c->dead |= bit_of(i);
    ask_share(c, now_us);
}

void heal_sector_new(struct cluster *c, int64_t now_us)
{
    assert(c != NULL);
    look_at_dead(c);
    ask_for(c, now_us, c->dead & c->replaced);
}

void heal_order(struct cluster *c, int64_t now_us, struct unit target, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    if (!freezer_holds(target, c->self)) {
        return;
    }
    uint64_t away = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        if (!move_expects(c, i)) {
            continue;
        }
        enum agent_state s = members_state(c, i);
        away |=
            c->members[i].uid != 0 && (s == AGENT_OFFLINE || s == AGENT_UNKNOWN) ? bit_of(i) : 0;
    }
    members_call(c, out);
    content_heal(c);
    ask_for(c, now_us, away);
    cluster_circuit(c, breaker_force(&c->breaker, false), out);
}

int64_t heal_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    if (c->dead != 0 && now_us - c->replace_from_us >= LEAD_REPLACE_US) {
        look_at_dead(c);
        ask_share(c, now_us);
    }
    int64_t again_us = c->dead != 0 ? c->replace_from_us + LEAD_REPLACE_US : NEVER;
    if (c->replace_us > now_us) {
        return time_least(c->replace_us, again_us);
    }
    while (c->replace != 0) {
        uint32_t i = bits_lowest(c->replace);
        struct msg m = {.type = MSG_HEAL, .priority = PRIORITY_COUNT - 1, .to = c->sector};
        m.u.heal.target = cluster_agent(c, i);
        bool back = members_in_service(c, i); /* it came by itself meanwhile */
        if (!back && !cluster_send(c, out, &m)) {
            return now_us;
        }
        c->replace &= ~bit_of(i);
    }
    c->replace_us = NEVER;
    return again_us;
}
