/* Standing still (spec 7.1 freeze). An order comes for the mesh, the sector or this cluster; each
 * has a bit of its own, and the lead stands still while one is set: new operations are refused,
 * what waits for its time waits on, and so do the agents, who start no handler and release no
 * effect. Each agent says so with a beat of its own at once; one that has not heard is told again
 * every two seconds, and so is one that stands still though nobody says it should.
 *
 * What is kept of the moment (how many stood still, what was under way) is written as the record
 * "frozen" of this cluster. The state itself stays where it is, in the agents' queues and here. */
#include "core/freezer.h"
#include "core/text.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>

static uint32_t bit_of_scope(struct unit scope)
{
    return scope.tier - (uint32_t)TIER_ORCHESTRATOR;
}

void freeze_init(struct cluster *c)
{
    assert(c != NULL);
    c->freeze_tell_us = NEVER;
}

void freeze_order(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    assert(c != NULL && msg != NULL && out != NULL);
    const struct freeze *f = &msg->u.freeze;
    if (f->scope.tier > TIER_CLUSTER || !freezer_holds(f->scope, c->self)) {
        return; /* another cluster's: the sector tells all that it touches */
    }
    uint32_t k = bit_of_scope(f->scope);
    uint8_t before = c->frozen;
    if (msg->type == MSG_FREEZE) {
        c->freezes[k] = *f;
        c->frozen = (uint8_t)(c->frozen | 1u << k);
    } else {
        c->frozen = (uint8_t)(c->frozen & ~(1u << k));
    }
    if ((before != 0) == (c->frozen != 0)) {
        return;
    }
    cluster_note(out, c->frozen != 0 ? NOTE_FROZEN : NOTE_THAWED, unit_pack(c->self), 0);
    c->freeze_tell = true;
    c->freeze_put = c->frozen != 0;
    c->freeze_tell_us = now_us + FREEZE_SAY_US;
    c->ops_next_us = now_us; /* what waited for the end of it is due */
    for (uint32_t i = 0; i < c->live_count && c->frozen == 0; i++) {
        c->live[i].next_us = now_us;
    }
}

/* The order in force that began first. */
static const struct freeze *in_force(const struct cluster *c)
{
    const struct freeze *first = NULL;
    for (uint32_t k = 0; k < 3; k++) {
        const struct freeze *f = &c->freezes[k];
        if ((c->frozen >> k & 1u) != 0 && (first == NULL || f->at_mesh_us < first->at_mesh_us)) {
            first = f;
        }
    }
    return first;
}

void freeze_heard(struct cluster *c, int64_t now_us, uint32_t i, const struct heartbeat *h)
{
    assert(c != NULL && h != NULL);
    assert(i < c->count);
    struct member *m = &c->members[i];
    bool frozen = h->impedance.state == AGENT_FROZEN;
    if (frozen != ((c->still >> i & 1u) != 0)) {
        const struct freeze *f = in_force(c);
        c->still ^= bit_of(i);
        m->frozen_late = frozen && f != NULL && h->impedance.heartbeat_mesh_us > 0 &&
                         h->impedance.heartbeat_mesh_us - f->at_mesh_us > FREEZE_LATE_US;
        c->beat_next_us = time_least(c->beat_next_us, now_us + US_PER_S / 10);
    }
    if (frozen != (c->frozen != 0) && c->freeze_tell_us == NEVER) {
        c->freeze_tell_us = now_us; /* it missed the order, or the end of it */
        c->stirred = true;
    }
}

/* Those that stand still though nobody says they should, or do not though they should. */
static uint64_t astray(const struct cluster *c)
{
    return c->all & (c->frozen != 0 ? ~c->still : c->still);
}

/* Tells the agents that are not as they should be; all of them at first. */
static void tell(struct cluster *c, bool all, struct outbox *out)
{
    uint64_t mask = 0, wrong = astray(c);
    for (uint32_t i = 0; i < c->count; i++) {
        bool meant = all || (wrong >> i & 1u) != 0;
        mask |= meant && c->members[i].joined ? bit_of(i) : 0;
    }
    c->freeze_tell = false;
    if (mask == 0) {
        return;
    }
    uint32_t low = bits_lowest(mask);
    const struct freeze *f = in_force(c);
    struct msg m = {.type = c->frozen != 0 ? MSG_FREEZE : MSG_THAW,
                    .priority = PRIORITY_COUNT - 1,
                    .to = cluster_agent(c, low),
                    .mask = mask >> low == 1 ? 0 : mask >> low};
    m.u.freeze.scope = c->self;
    if (f != NULL) {
        m.u.freeze = *f;
    }
    c->freeze_tell = !cluster_send(c, out, &m);
}

int64_t freeze_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    if (c->freeze_tell) {
        tell(c, true, out);
    }
    if (c->freeze_tell_us <= now_us) {
        bool left = false;
        for (uint64_t rest = astray(c); rest != 0; rest &= rest - 1u) {
            uint32_t i = bits_lowest(rest);
            left |= c->members[i].joined && children_reachable(&c->children, i);
        }
        if (left) {
            tell(c, false, out);
        }
        c->freeze_tell_us = left ? now_us + FREEZE_SAY_US : NEVER;
    }
    return c->freeze_tell_us;
}

const struct freeze *freeze_snapshot(const struct cluster *c, uint32_t *ret_frozen,
                                     uint32_t *ret_queued)
{
    assert(c != NULL && ret_frozen != NULL && ret_queued != NULL);
    *ret_frozen = bits_count(c->still);
    *ret_queued = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        *ret_queued += c->members[i].impedance.queue_depth;
    }
    return in_force(c);
}
