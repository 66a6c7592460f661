/* The hosts of a sector's agents: they report each minute, and soon to an owner that has begun. A
 * lead that wants an agent started anew is heard by way of its sector, which knows whose agent it
 * is; as long as that host has not reported the wish waits. */
#include "tiers/sector/sector_state.h"
#include <assert.h>

static bool is_at(const struct sector *s, const struct sector_host *host, struct unit agent)
{
    uint32_t index = topology_index(s->hub.topology, sector_move_home(s, agent));
    return host->number != 0 && index >= host->number - 1u &&
           index - (host->number - 1u) < host->report.agents_hosted;
}

/* False: no room now. */
static bool ask_host(struct sector *s, const struct sector_host *host, struct unit agent)
{
    struct hub *h = &s->hub;
    struct msg m = hub_msg(h, MSG_HEAL, unit_numbered(TIER_HOST, host->number), 3);
    m.u.heal.target = agent;
    if (!hub_fits(h, &m)) {
        return false;
    }
    out_send(h->out, &m);
    hub_note(h, NOTE_REPLACE, unit_pack(agent), host->number);
    return true;
}

/* Who waited for this host. */
static void ask_waiting(struct sector *s, const struct sector_host *host)
{
    for (uint32_t i = 0; i < SECTOR_ASKED_MAX; i++) {
        struct sector_asked *a = &s->asked[i];
        if (a->until_us < s->hub.now_us) {
            a->until_us = 0;
        } else if (is_at(s, host, a->agent) && ask_host(s, host, a->agent)) {
            a->until_us = 0;
        }
    }
}

void sector_host_report(struct sector *s, const struct msg *msg)
{
    assert(s != NULL && msg != NULL);
    uint32_t number = unit_number(msg->from);
    struct sector_host *host = NULL;
    for (uint32_t i = 0; i < SECTOR_HOSTS_MAX; i++) {
        struct sector_host *at = &s->hosts[i];
        if (at->number == number) {
            host = at;
            break;
        }
        host = host == NULL && at->number == 0 ? at : host;
    }
    if (host == NULL) {
        return;
    }
    if (host->number == number && msg->u.host_report.restarts > host->report.restarts) {
        /* Each restart was the crash of a process: what the breaker counts. */
        uint32_t crashes = msg->u.host_report.restarts - host->report.restarts;
        hub_circuit(&s->hub, breaker_failure(&s->hub.breaker, s->hub.now_us, crashes, &s->hub.rng));
    }
    host->number = number;
    host->report = msg->u.host_report;
    ask_waiting(s, host);
    sector_grow_host(s, (uint32_t)(host - s->hosts));
}

static void wait_for_host(struct sector *s, struct unit agent)
{
    struct sector_asked *at = &s->asked[0];
    for (uint32_t i = 0; i < SECTOR_ASKED_MAX; i++) {
        struct sector_asked *a = &s->asked[i];
        if (a->until_us != 0 && unit_equal(a->agent, agent)) {
            at = a;
            break;
        }
        at = a->until_us < at->until_us ? a : at;
    }
    *at = (struct sector_asked){.agent = agent, .until_us = s->hub.now_us + SECTOR_ASKED_US};
}

void sector_replace(struct sector *s, const struct msg *msg)
{
    assert(s != NULL && msg != NULL);
    struct hub *h = &s->hub;
    struct unit target = msg->u.heal.target;
    bool own = target.tier == TIER_AGENT && topology_contains(h->topology, target) &&
               target.sector == msg->from.sector && target.cluster == msg->from.cluster;
    if (!own) {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
        return;
    }
    for (uint32_t i = 0; i < SECTOR_HOSTS_MAX; i++) {
        if (is_at(s, &s->hosts[i], target)) {
            (void)ask_host(s, &s->hosts[i], target); /* else it is asked for again */
            return;
        }
    }
    wait_for_host(s, target);
}
