/* `scale remove` (docs/adr/0044): who of those that `scale add` has brought is to go. The places
 * are known here, so nobody is asked: either who is named, or so many from the sectors with the
 * most agents a cluster, there from the cluster with the most newcomers, the last place first. Who
 * is named and cannot go is named in the refusal, with those who could; nobody goes then. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define CANDIDATES 4u /* clusters of newcomers that a refusal names */

/* Newcomers of the cluster that are agents as all others are. */
static uint64_t settled_of(struct orchestrator *o, struct unit cluster)
{
    const struct scale_row *row = scale_row(&o->scale, cluster, false);
    return row != NULL ? scale_open(&o->scale, row) & ~row->opened : 0;
}

static void candidates_text(struct orchestrator *o, struct text *t)
{
    const struct scale_book *b = &o->scale;
    uint32_t named = 0, left = 0;
    for (uint32_t i = 0; i < b->row_count; i++) {
        uint64_t places = settled_of(o, b->rows[i].cluster);
        if (places != 0 && named < CANDIDATES) {
            text_add(t, named++ == 0 ? "; these can be: " : ", ");
            text_places(t, b->rows[i].cluster, places);
        } else {
            left += places != 0;
        }
    }
    if (left > 0) {
        text_add(t, " and ");
        text_u64(t, left);
        text_add(t, " clusters more ('scale places')");
    }
    text_add(t, named == 0 ? "; scale add has brought nobody" : "");
}

static void refuse(struct orchestrator *o, const struct msg *msg, struct text *t)
{
    candidates_text(o, t);
    hub_reply_error(&o->hub, msg, REASON_INVALID, t->at);
}

/* Why the agent that was named is none of those. */
static void why_not(struct orchestrator *o, struct unit agent, struct text *t)
{
    const struct topology *topology = o->hub.topology;
    struct unit cluster = topology_parent(agent);
    const struct scale_row *row = scale_row(&o->scale, cluster, false);
    uint64_t bit = UINT64_C(1) << (agent.agent - 1u);
    bool guest = (moves_guests(&o->moves.table, cluster) & bit) != 0;
    text_add(t, "scale: ");
    text_unit(t, agent);
    if (topology_planned(topology, agent)) {
        text_add(t, " is one of the mesh's plan (mesh.conf), which scale does not change");
    } else if (guest) {
        text_add(t, " came by a move: move --back");
    } else if (row != NULL && (row->retired & bit) != 0) {
        text_add(t, " was removed already");
    } else {
        bool busy = row != NULL && ((row->fresh | row->leaving) & bit) != 0;
        text_add(t, busy ? " is coming in or leaving now" : " is nobody");
    }
}

/* The first agent that is named by its number and cannot go; tier NONE: there is none. */
static struct unit first_wrong(struct orchestrator *o, const struct place_set *set)
{
    const struct topology *t = o->hub.topology;
    for (unsigned s = 1; set->count > 0 && s <= t->sectors; s++) {
        if (!place_touches(set, unit_sector(s))) {
            continue;
        }
        for (unsigned c = 1; c <= topology_sector_clusters(t, s); c++) {
            struct unit cluster = unit_cluster(s, c);
            uint32_t places = place_touches(set, cluster) ? topology_cluster_places(t, cluster) : 0;
            uint64_t able = places > 0 ? settled_of(o, cluster) : 0;
            for (uint32_t a = 1; a <= places; a++) {
                struct unit agent = unit_agent(s, c, a);
                if ((able >> (a - 1u) & 1u) == 0 && place_names_agent(set, agent)) {
                    return agent;
                }
            }
        }
    }
    return (struct unit){0};
}

static uint64_t chosen_of(struct orchestrator *o, const struct scale_plan *p, struct unit cluster)
{
    const struct topology *t = o->hub.topology;
    uint64_t ret = 0;
    for (uint64_t rest = settled_of(o, cluster); rest != 0; rest &= rest - 1u) {
        uint32_t i = num_lowest_bit(rest);
        struct unit agent = unit_agent(cluster.sector, cluster.cluster, i + 1u);
        bool named = p->where.count == 0 || place_has_agent(&p->where, agent) ||
                     place_names_agent(&p->where, agent);
        bool of_class = p->class_mask == 0 ||
                        (p->class_mask >> topology_class(t, topology_index(t, agent)) & 1u) != 0;
        ret |= named && of_class ? UINT64_C(1) << i : 0;
    }
    return ret;
}

/* Everybody who may go; how many that are. */
static uint32_t collect(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    struct scale_plan *p = &b->plan;
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->row_count; i++) {
        uint64_t places = chosen_of(o, p, b->rows[i].cluster);
        if (places != 0) {
            n += num_bits(places);
            p->targets[p->target_count++] = (struct scale_target){
                .cluster = b->rows[i].cluster, .agents = num_bits(places), .free = places};
        }
    }
    return n;
}

struct load {
    uint64_t agents;
    uint32_t clusters, able;
};

/* One more, of the sector that has the most agents a cluster. */
static void take_one(struct scale_plan *p, struct load *loads, uint32_t sectors)
{
    uint32_t best = 0;
    for (uint32_t s = 1; s <= sectors; s++) {
        bool more = loads[s].able > 0 && (best == 0 || loads[s].agents * loads[best].clusters >
                                                           loads[best].agents * loads[s].clusters);
        best = more ? s : best;
    }
    assert(best != 0);
    struct scale_target *from = NULL;
    for (uint32_t i = 0; i < p->target_count; i++) {
        struct scale_target *at = &p->targets[i];
        bool fits = at->cluster.sector == best && at->free != 0;
        from = fits && (from == NULL || at->agents > from->agents) ? at : from;
    }
    assert(from != NULL);
    uint64_t bit = UINT64_C(1) << num_highest_bit(from->free);
    from->taken |= bit;
    from->free &= ~bit;
    from->agents--;
    loads[best].agents--;
    loads[best].able--;
}

static void choose(struct orchestrator *o)
{
    struct scale_plan *p = &o->scale.plan;
    const struct hub *h = &o->hub;
    struct load loads[SECTORS_MAX + 1u];
    memset(loads, 0, sizeof(loads));
    for (uint32_t i = 0; i < h->children_count; i++) {
        const struct hub_child *c = &h->child[i];
        loads[i + 1u].agents = c->has_summary ? c->summary.agents : hub_child_agents(h, i);
        loads[i + 1u].clusters = topology_sector_clusters(h->topology, i + 1u);
    }
    for (uint32_t i = 0; i < p->target_count; i++) {
        struct load *l = &loads[p->targets[i].cluster.sector];
        l->able += p->targets[i].agents;
        l->agents = l->agents > l->able ? l->agents : l->able; /* sums come late */
    }
    for (uint32_t i = 0; i < p->batch.wanted; i++) {
        take_one(p, loads, h->topology->sectors);
    }
}

static void say_end(struct orchestrator *o)
{
    const struct scale_plan *p = &o->scale.plan;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "they are given no new work; what is in flight has ");
    text_u64(&t, (uint64_t)((p->batch.over_us + US_PER_S - 1) / US_PER_S));
    text_add(&t, " s, and their places close for good");
    watch_line(o, &o->watches[p->watch], memory);
}

static void settle(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    struct scale_plan *p = &b->plan;
    scale_say_plan(o, "leave ");
    say_end(o);
    if (p->dry) {
        watch_end(o, &o->watches[p->watch]);
        p->stage = SCALE_IDLE;
        return;
    }
    scale_stage(o);
    p->batch.until_mesh_us = hub_mesh_now(&o->hub) + p->batch.over_us;
    for (uint32_t i = 0; i < p->target_count; i++) {
        if (p->targets[i].taken == 0) {
            continue;
        }
        struct scale_row *row = scale_row(b, p->targets[i].cluster, false);
        assert(row != NULL && (row->fresh | row->leaving) == 0);
        row->leaving = p->targets[i].taken;
        row->batch = p->batch.id;
        row->id = scale_next_id(o);
        row->dirty = true;
    }
}

void scale_remove(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    struct scale_plan *p = &o->scale.plan;
    char memory[TEXT_BYTES_MAX];
    struct text why;
    text_init(&why, memory, sizeof(memory));
    memset(p, 0, sizeof(*p));
    p->dry = c->on;
    p->class_mask = c->query.selector.class_mask;
    p->where = c->query.selector.places;
    p->batch = (struct scale_batch){.remove = true, .over_us = c->scale.over_us};
    struct unit wrong = first_wrong(o, &p->where);
    if (wrong.tier != TIER_NONE) {
        why_not(o, wrong, &why);
        refuse(o, msg, &why);
        return;
    }
    uint32_t able = collect(o);
    bool named = p->where.count > 0;
    p->batch.wanted = c->scale.count > 0 ? c->scale.count : able; /* none: all of them */
    if (p->batch.wanted == 0 || able < p->batch.wanted || p->batch.wanted > SCALE_AGENTS_MAX) {
        text_add(&why, "scale: ");
        if (p->batch.wanted > SCALE_AGENTS_MAX) {
            text_add(&why, "10000 at most in one command; ");
        }
        text_u64(&why, able);
        text_add(&why, named ? " agents that scale add has brought live there"
                             : " agents were brought by scale add");
        refuse(o, msg, &why);
        return;
    }
    struct watch *w = watch_take(o, msg, WATCH_SCALE_PLAN);
    if (w == NULL) {
        return;
    }
    p->watch = (uint32_t)(w - o->watches);
    choose(o);
    settle(o);
}
