/* Heal (spec 7.1, 10.3). Heal is an order down the tree (MSG_HEAL): leads
 * ask for their silent agents and have those that are gone started anew, every breaker of the scope
 * is closed. What came of it shows in the summaries, and is told when all is well or after
 * HEAL_WAIT_US. Giving the order twice does no harm; one heal runs at a time. */
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define HEAL_WAIT_US  (30ll * US_PER_S)
#define HEAL_LEAST_US (2ll * US_PER_S)
#define NAMED_MAX     8u  /* sectors named in a line; the others are counted */
#define ORDERS_MAX    16u /* more sectors than that get one order together */

static uint32_t away_of(const struct hub *h, uint32_t i)
{
    const struct hub_child *c = &h->child[i];
    uint32_t agents = hub_child_agents(h, i);
    bool seen = children_reachable(&h->children, i) && c->has_summary;
    uint32_t there = seen ? c->summary.active + c->summary.quarantined : 0;
    return agents > there ? agents - there : 0;
}

static uint32_t astray_of(const struct hub *h, uint32_t i)
{
    const struct hub_child *c = &h->child[i];
    return children_reachable(&h->children, i) && c->has_summary ? c->summary.astray : 0;
}

/* Contexts that came from agents of the sector itself, or (far) of others. */
static uint32_t synced_of(const struct hub *h, uint32_t i, bool far)
{
    const struct hub_child *c = &h->child[i];
    bool seen = children_reachable(&h->children, i) && c->has_summary;
    return !seen ? 0 : far ? c->summary.synced_far : c->summary.synced;
}

/* The breakers of a sector as one: its own, or those of its clusters. */
static enum circuit circuit_of(const struct hub *h, uint32_t i)
{
    const struct hub_child *c = &h->child[i];
    return c->circuit != CIRCUIT_CLOSED   ? c->circuit
           : c->summary.circuits_open > 0 ? CIRCUIT_OPEN
                                          : CIRCUIT_CLOSED;
}

static bool needs(const struct hub *h, uint32_t i)
{
    return hub_child_agents(h, i) > 0 &&
           (away_of(h, i) > 0 || astray_of(h, i) > 0 || circuit_of(h, i) != CIRCUIT_CLOSED ||
            !children_reachable(&h->children, i));
}

static uint32_t pick(struct orchestrator *o, struct unit scope)
{
    const struct hub *h = &o->hub;
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->children_count; i++) {
        bool all = scope.tier == TIER_ORCHESTRATOR && hub_child_agents(h, i) > 0;
        bool one = scope.tier >= TIER_SECTOR && scope.sector == i + 1;
        o->healed[i].picked = all || one || (scope.tier == TIER_NONE && needs(h, i));
        o->healed[i].away = away_of(h, i);
        o->healed[i].astray = astray_of(h, i);
        o->healed[i].synced[0] = synced_of(h, i, false);
        o->healed[i].synced[1] = synced_of(h, i, true);
        o->healed[i].circuit = (uint8_t)circuit_of(h, i);
        n += o->healed[i].picked;
    }
    return n;
}

static void names_line(struct orchestrator *o, const struct watch *w, uint32_t picked,
                       const char *before, const char *after)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    uint32_t named = 0;
    text_init(&t, memory, sizeof(memory));
    text_add(&t, before);
    if (w->scope.tier == TIER_CLUSTER) {
        text_unit(&t, w->scope);
        named = picked;
    }
    for (uint32_t i = 0; i < o->hub.children_count && named < picked && named < NAMED_MAX; i++) {
        if (o->healed[i].picked) {
            text_add(&t, named > 0 ? ", " : "");
            text_unit(&t, unit_sector(i + 1));
            named++;
        }
    }
    if (named < picked) {
        text_add(&t, " and ");
        text_u64(&t, picked - named);
        text_add(&t, " more");
    }
    text_add(&t, after);
    watch_line(o, w, memory);
}

static void count_line(struct orchestrator *o, const struct watch *w, uint32_t n, const char *what)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "- ");
    text_u64(&t, n);
    text_add(&t, what);
    watch_line(o, w, memory);
}

struct sums {
    uint32_t away, astray, open, down;
};

static struct sums sum(const struct orchestrator *o, bool before)
{
    const struct hub *h = &o->hub;
    struct sums s = {0};
    for (uint32_t i = 0; i < h->children_count; i++) {
        if (!o->healed[i].picked) {
            continue;
        }
        s.away += before ? o->healed[i].away : away_of(h, i);
        s.astray += before ? o->healed[i].astray : astray_of(h, i);
        s.open +=
            (before ? (enum circuit)o->healed[i].circuit : circuit_of(h, i)) != CIRCUIT_CLOSED;
        s.down += !children_reachable(&h->children, i);
    }
    return s;
}

/* The mesh's own breaker stands in the way of all sectors, well as they may be. */
static bool mesh_open(const struct orchestrator *o, struct unit scope)
{
    return scope.tier <= TIER_ORCHESTRATOR && breaker_state(&o->hub.breaker) != CIRCUIT_CLOSED;
}

static void plan_lines(struct orchestrator *o, const struct watch *w, struct unit scope, bool dry)
{
    struct sums s = sum(o, true);
    bool mesh = mesh_open(o, scope);
    if (mesh) {
        watch_line(o, w,
                   dry ? "- the mesh's breaker is open: it would be closed"
                       : "- the mesh's breaker is open: closed");
    }
    const char *restarts = dry ? " agents away: they would be called and started anew"
                               : " agents away: called, and started anew by their hosts";
    if (s.down > 0) {
        count_line(o, w, s.down, " coordinators away: their standbys take over by themselves");
    }
    if (s.away > 0) {
        count_line(o, w, s.away, restarts);
    }
    if (s.astray > 0) {
        count_line(
            o, w, s.astray,
            dry ? " agents hold another context than they were given: they would load it anew"
                : " agents hold another context than they were given: they load it anew");
    }
    if (s.open > 0) {
        count_line(o, w, s.open,
                   dry ? " sectors with open breakers: they would be closed"
                       : " sectors with open breakers: closed");
    }
    if (!mesh && s.down + s.away + s.astray + s.open == 0) {
        watch_line(o, w, "- nothing is amiss: every agent is active, every breaker closed");
    }
}

static void order(struct orchestrator *o, struct unit scope, uint32_t picked)
{
    struct hub *h = &o->hub;
    if (scope.tier == TIER_CLUSTER) {
        breakers_heal(o, scope);
    } else if (scope.tier == TIER_ORCHESTRATOR || picked > ORDERS_MAX) {
        breakers_heal(o, unit_orchestrator());
    } else {
        for (uint32_t i = 0; i < h->children_count; i++) {
            if (o->healed[i].picked) {
                breakers_heal(o, unit_sector(i + 1));
            }
        }
    }
}

void heal_command(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    struct hub *h = &o->hub;
    if (c->scope.tier > TIER_CLUSTER ||
        (c->scope.tier != TIER_NONE && !topology_contains(h->topology, c->scope))) {
        hub_reply_error(h, msg, REASON_INVALID, "scope: the mesh, a sector or a cluster");
        return;
    }
    for (uint32_t i = 0; i < ORCHESTRATOR_WATCHES_MAX; i++) {
        if (o->watches[i].kind == WATCH_HEAL) {
            hub_reply_error(h, msg, REASON_OVERLOAD, "a heal is under way: wait for its end");
            return;
        }
    }
    struct watch *w = watch_take(o, msg, WATCH_HEAL);
    if (w == NULL) {
        return;
    }
    struct unit scope = mesh_open(o, c->scope) ? unit_orchestrator() : c->scope;
    uint32_t picked = pick(o, scope);
    if (picked == 0) {
        watch_line(o, w, "Nothing needs healing: every agent is active, every breaker closed");
        watch_end(o, w);
        return;
    }
    names_line(o, w, picked, c->on ? "Healing (dry run) " : "Healing ", ":");
    plan_lines(o, w, scope, c->on);
    if (c->on) {
        watch_end(o, w);
        return;
    }
    order(o, scope, picked);
    w->due_us = h->now_us + HEAL_WAIT_US;
}

static bool synced_since(const struct orchestrator *o, uint32_t i, bool far)
{
    return o->healed[i].picked && synced_of(&o->hub, i, far) > o->healed[i].synced[far];
}

static bool any_synced(const struct orchestrator *o)
{
    bool any = false;
    for (uint32_t i = 0; i < o->hub.children_count && !any; i++) {
        any = synced_since(o, i, false) || synced_since(o, i, true);
    }
    return any;
}

/* From which sectors contexts came, and, within a sector, from which cluster: the last of each. */
static void synced_line(struct orchestrator *o, const struct watch *w)
{
    const struct hub *h = &o->hub;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    uint32_t named = 0;
    assert(h->children_count > 0);
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "- Context synced from ");
    for (uint32_t n = 0; n < 2u * h->children_count && named <= NAMED_MAX; n++) {
        uint32_t i = n % h->children_count;
        bool far = n < h->children_count; /* those first */
        if (!synced_since(o, i, far)) {
            continue;
        }
        const struct summary *s = &h->child[i].summary;
        text_add(&t, named == NAMED_MAX ? " and others" : named > 0 ? ", " : "");
        if (named < NAMED_MAX && far) {
            text_add(&t, "SECTOR-");
            text_u64(&t, s->synced_far_from.sector);
        } else if (named < NAMED_MAX) {
            text_unit(&t, unit_cluster(s->synced_from.sector, s->synced_from.cluster));
        }
        named++;
    }
    watch_line(o, w,
               named > 0
                   ? memory
                   : "- Context loaded anew, from the registry or from a copy on the machine");
}

static void verdict_lines(struct orchestrator *o, struct watch *w, uint32_t picked)
{
    struct sums before = sum(o, true), now = sum(o, false);
    if (now.away < before.away) {
        count_line(o, w, before.away - now.away, " agents are back");
    }
    if (now.astray < before.astray || any_synced(o)) {
        synced_line(o, w);
    }
    if (now.open < before.open) {
        watch_line(o, w, "- circuit breakers reset");
    }
    if (now.away > 0) {
        count_line(o, w, now.away, " agents are still away");
    }
    if (now.astray > 0) {
        count_line(o, w, now.astray, " agents still hold another context than they were given");
    }
    bool healthy = now.away + now.astray + now.open + now.down == 0;
    names_line(o, w, picked, "", healthy ? " restored to HEALTHY" : " still DEGRADED");
}

void heal_watch_tick(struct orchestrator *o, struct watch *w)
{
    struct hub *h = &o->hub;
    struct sums now = sum(o, false);
    uint32_t picked = 0;
    bool well = now.away + now.astray + now.open + now.down == 0;
    if (h->now_us - w->since_us < HEAL_LEAST_US || (!well && h->now_us < w->due_us)) {
        return;
    }
    if (!outbox_room(h->out, 8, 4096)) {
        h->short_of_room = true;
        return;
    }
    for (uint32_t i = 0; i < h->children_count; i++) {
        picked += o->healed[i].picked;
    }
    verdict_lines(o, w, picked);
    watch_end(o, w);
}
