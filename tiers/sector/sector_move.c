/* Agents that live elsewhere (docs/adr/0034), as a sector sees them: what the orchestrator says
 * goes to the leads that it concerns, at once, and again to a lead that begins; what a lead asks
 * for goes to the host of the agent's home. A home that has no lead cannot ask: the sector asks in
 * its place.
 *
 * The table is what the orchestrator ordered (order.h): said to the leads at once, and all of it
 * every few seconds. */
#include "core/num.h"
#include "tiers/sector/sector_state.h"
#include <assert.h>

#define SAY_US (5ll * US_PER_S)
#define SAY_EFFECTS                                                                                \
    24u /* of one move: two leads, and some hosts; more of these hear it next time */

static void to_lead(struct sector *s, const struct move *m, struct unit lead)
{
    struct msg down = hub_msg(&s->hub, MSG_MOVE, lead, 3);
    down.u.move = *m;
    if (lead.sector == s->hub.self.sector && hub_fits(&s->hub, &down)) {
        out_send(s->hub.out, &down);
    }
}

/* The hosts of the agents of a home, as far as they have reported. */
static void to_hosts(struct sector *s, const struct move *m)
{
    struct hub *h = &s->hub;
    uint32_t first = topology_index(h->topology, unit_agent(m->home.sector, m->home.cluster, 1));
    for (uint32_t i = 0; i < SECTOR_HOSTS_MAX; i++) {
        const struct sector_host *host = &s->hosts[i];
        uint64_t agents = 0;
        for (uint64_t rest = host->number != 0 ? m->agents : 0; rest != 0; rest &= rest - 1u) {
            uint32_t n = num_lowest_bit(rest);
            bool here = first + n >= host->number - 1u &&
                        first + n - (host->number - 1u) < host->report.agents_hosted;
            agents |= here ? UINT64_C(1) << n : 0;
        }
        struct msg down = hub_msg(h, MSG_MOVE, unit_numbered(TIER_HOST, host->number), 3);
        down.u.move = move_part(m, agents);
        if (agents != 0 && hub_fits(h, &down)) {
            out_send(h->out, &down);
        }
    }
}

void sector_count_away(struct sector *s)
{
    struct hub *h = &s->hub;
    for (uint32_t i = 0; i < h->children_count; i++) {
        const struct grow *g = &s->grows[i];
        uint32_t came = moves_came(&s->moves, hub_child_unit(h, i));
        h->child[i].away = (uint16_t)moves_left(&s->moves, hub_child_unit(h, i));
        h->child[i].guests = (uint16_t)(came + num_bits(g->places & ~g->fresh));
    }
}

static bool lead_lost(const struct sector *s, struct unit lead)
{
    const struct hub *h = &s->hub;
    return lead.sector == h->self.sector &&
           children_state(&h->children, lead.cluster - 1u) == CHILD_DOWN;
}

void sector_move(struct sector *s, const struct msg *msg)
{
    struct hub *h = &s->hub;
    const struct move *m = &msg->u.move;
    if (msg->from.tier != TIER_CLUSTER || m->home.sector != h->self.sector ||
        move_check(m, h->topology) != NULL) {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
        return;
    }
    if (unit_equal(m->home, msg->from)) {
        to_hosts(s, m); /* a lead wants its agent brought there */
    }
}

static void say(struct sector *s, const struct move *m)
{
    to_lead(s, m, m->home);
    to_lead(s, m, m->place);
    if (lead_lost(s, m->home)) {
        to_hosts(s, m);
    }
}

void sector_moved(struct sector *s, const struct move *m)
{
    struct hub *h = &s->hub;
    if (m->home.sector != h->self.sector && m->place.sector != h->self.sector) {
        return;
    }
    if (move_check(m, h->topology) != NULL) {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)MSG_ORDER, unit_pack(m->home));
        return;
    }
    (void)moves_take(&s->moves, m); /* without room for it, it is passed on all the same */
    sector_count_away(s);
    say(s, m);
    int64_t again_us = h->short_of_room ? h->now_us : h->now_us + SAY_US;
    s->move_us = again_us < s->move_us ? again_us : s->move_us;
}

/* So a word that was lost, or a host that starts anew, is no more than a delay. */
void sector_move_tick(struct sector *s)
{
    struct hub *h = &s->hub;
    if (h->now_us < s->move_us) {
        return;
    }
    for (; s->move_again < s->moves.count; s->move_again++) {
        if (!outbox_room(h->out, SAY_EFFECTS, 0)) {
            h->short_of_room = true;
            return;
        }
        say(s, &s->moves.list[s->move_again]);
    }
    s->move_again = 0;
    s->move_us = s->moves.count > 0 ? h->now_us + SAY_US : NEVER;
}

struct unit sector_move_home(const struct sector *s, struct unit agent)
{
    assert(s != NULL && agent.tier == TIER_AGENT);
    struct unit home = moves_home(&s->moves, agent);
    return home.tier == TIER_NONE ? agent : home;
}

/* A lead that begins knows nothing of this. */
void sector_move_tell(struct sector *s, uint32_t child)
{
    struct hub *h = &s->hub;
    if (child >= h->children_count || s->moves.count == 0) {
        return;
    }
    struct unit lead = hub_child_unit(h, child);
    uint64_t epoch = children_epoch(&h->children, child);
    if (s->move_told[child] == epoch || epoch == 0) {
        return;
    }
    for (; s->move_next < s->moves.count; s->move_next++) {
        const struct move *m = &s->moves.list[s->move_next];
        bool concerned = unit_equal(m->home, lead) || unit_equal(m->place, lead);
        struct msg down = hub_msg(h, MSG_MOVE, lead, 3);
        if (concerned && !outbox_room(h->out, 2, msg_extra_bytes(&down))) {
            return; /* goes on with its next beat */
        }
        if (concerned) {
            to_lead(s, m, lead);
        }
    }
    s->move_next = 0;
    s->move_told[child] = epoch;
}
