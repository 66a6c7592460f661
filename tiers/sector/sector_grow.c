/* Newcomers (docs/adr/0037), as a sector sees them: what the orchestrator has ordered of a cluster
 * (order.h) goes to its lead and to the hosts of its spare places, which start what is theirs: at
 * once, again to a lead that begins and to a host that reports, and all of it every few seconds. */
#include "core/num.h"
#include "tiers/sector/sector_state.h"
#include <assert.h>

#define SAY_US      (10ll * US_PER_S)
#define SAY_EFFECTS 24u /* of one cluster: its lead, and some hosts; others hear it next time */

/* As it is said now: some of the time to leave may be over. */
static struct grow word(const struct sector *s, uint32_t child)
{
    struct grow g = s->grows[child];
    int64_t left_us = s->grow_until_us[child] - s->hub.now_us;
    g.drain_us = left_us < g.drain_us ? (left_us > 0 ? left_us : 0) : g.drain_us;
    return g;
}

/* False: no room now. */
static bool to_lead(struct sector *s, uint32_t child)
{
    struct msg down = hub_msg(&s->hub, MSG_GROW, hub_child_unit(&s->hub, child), 3);
    down.u.grow = word(s, child);
    if (!hub_fits(&s->hub, &down)) {
        return false;
    }
    out_send(s->hub.out, &down);
    return true;
}

/* One of the spare places of the cluster is that host's. */
static bool concerns(const struct sector *s, const struct sector_host *host, uint32_t child)
{
    const struct topology *t = s->hub.topology;
    struct unit cluster = hub_child_unit(&s->hub, child);
    uint32_t first = topology_index(t, unit_agent(cluster.sector, cluster.cluster, 1));
    uint32_t from = first + topology_cluster_agents(t, cluster);
    uint32_t end = first + topology_cluster_places(t, cluster);
    uint32_t own = host->number - 1u;
    return host->number != 0 && from < end && own < end && own + host->report.agents_hosted > from;
}

static void to_host(struct sector *s, const struct sector_host *host, uint32_t child)
{
    struct msg down = hub_msg(&s->hub, MSG_GROW, unit_numbered(TIER_HOST, host->number), 3);
    down.u.grow = word(s, child);
    if (hub_fits(&s->hub, &down)) {
        out_send(s->hub.out, &down);
    }
}

static void say(struct sector *s, uint32_t child)
{
    (void)to_lead(s, child);
    for (uint32_t i = 0; i < SECTOR_HOSTS_MAX; i++) {
        if (concerns(s, &s->hosts[i], child)) {
            to_host(s, &s->hosts[i], child);
        }
    }
}

void sector_grow(struct sector *s, const struct grow *g)
{
    struct hub *h = &s->hub;
    if (g->cluster.sector != h->self.sector) {
        return;
    }
    uint32_t child = hub_child_index(h, g->cluster);
    if (child == UINT32_MAX || grow_check(g, h->topology) != NULL) {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)MSG_ORDER, unit_pack(g->cluster));
        return;
    }
    if (g->id > s->grows[child].id) {
        s->grow_until_us[child] = h->now_us + g->drain_us;
    }
    if (grow_take(&s->grows[child], g)) {
        sector_count_away(s);
    }
    say(s, child);
    int64_t again_us = h->short_of_room ? h->now_us : h->now_us + SAY_US;
    s->grow_us = again_us < s->grow_us ? again_us : s->grow_us;
}

void sector_grow_tick(struct sector *s)
{
    struct hub *h = &s->hub;
    if (h->now_us < s->grow_us) {
        return;
    }
    for (; s->grow_again < h->children_count; s->grow_again++) {
        if (s->grows[s->grow_again].id == 0) {
            continue;
        }
        if (!outbox_room(h->out, SAY_EFFECTS, 0)) {
            h->short_of_room = true;
            return;
        }
        say(s, s->grow_again);
    }
    s->grow_again = 0;
    s->grow_us = h->now_us + SAY_US;
}

void sector_grow_tell(struct sector *s, uint32_t child)
{
    struct hub *h = &s->hub;
    if (child >= h->children_count || s->grows[child].id == 0) {
        return;
    }
    uint64_t epoch = children_epoch(&h->children, child);
    if (s->grow_told[child] != epoch && to_lead(s, child)) {
        s->grow_told[child] = epoch;
    }
}

void sector_grow_host(struct sector *s, uint32_t host)
{
    assert(s != NULL && host < SECTOR_HOSTS_MAX);
    for (uint32_t i = 0; i < s->hub.children_count; i++) {
        if (s->grows[i].id != 0 && concerns(s, &s->hosts[host], i)) {
            to_host(s, &s->hosts[host], i);
        }
    }
}
