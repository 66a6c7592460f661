/* Newcomers (docs/adr/0037): agents at spare places that the orchestrator has opened to them.
 *
 * Who is certified for an open place may say hello there, and is a member from then on. While the
 * order calls it fresh it takes part in a share of what is for everybody: GROW_SHARE_FIRST at
 * first, all when it has been here for a while or its lead has learnt how fast it is (core/grow.h).
 * Who names it has it at once. It is counted while it is here, and missed by nobody when it is not:
 * an entry that goes wrong does not change the mesh's mode, nor trip a breaker.
 *
 * A lead that begins while they enter hears the order from its sector; shares go on from what the
 * registry has of each one's predictor. A place that is closed again gives its agent no new work,
 * lets it go as one that moves away, and its record is dropped. */
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>

#define LOOK_US US_PER_S

bool grow_open(const struct cluster *c, uint32_t i)
{
    assert(c != NULL && i < c->count);
    return ((c->grow.order.places | c->grow.leaving) >> i & 1u) != 0;
}

bool grow_fresh(const struct cluster *c, uint32_t i)
{
    assert(c != NULL && i < c->count);
    return (c->grow.order.fresh >> i & 1u) != 0;
}

bool grow_apart(const struct cluster *c, uint32_t i)
{
    assert(c != NULL && i < c->count);
    return grow_fresh(c, i) || (c->grow.leaving >> i & 1u) != 0;
}

bool grow_expects(const struct cluster *c, uint32_t i)
{
    assert(c != NULL && i < c->count);
    const struct member *m = &c->members[i];
    return (c->grow.leaving >> i & 1u) == 0 && (grow_fresh(c, i) ? m->joined : m->uid != 0);
}

/* Members at spare places that are nobody's: a former lead had no time to drop their records. */
static uint64_t strays(const struct cluster *c)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        mask |= c->members[i].uid != 0 ? bit_of(i) : 0;
    }
    return mask & ~(c->moves.planned | c->moves.guests | c->moves.left);
}

/* Its place is closed: drained, then let go. */
static void leave(struct cluster *c, int64_t now_us, uint64_t mask, int64_t drain_us)
{
    struct lead_grow *v = &c->grow;
    v->until_us = mask != 0 ? now_us + drain_us : v->until_us;
    v->leaving |= mask;
}

void grow_order(struct cluster *c, int64_t now_us, const struct grow *g, struct outbox *out)
{
    assert(c != NULL && g != NULL && out != NULL);
    struct lead_grow *v = &c->grow;
    uint64_t before = v->order.places;
    if (!unit_equal(g->cluster, c->self) || grow_check(g, c->topology) != NULL) {
        cluster_note(out, NOTE_UNEXPECTED, MSG_GROW, unit_pack(g->cluster));
        return;
    }
    if (!grow_take(&v->order, g)) { /* its roster came later than the word, perhaps */
        leave(c, now_us, strays(c) & ~(v->order.places | v->leaving), v->order.drain_us);
        return;
    }
    v->leaving &= ~v->order.places; /* open again */
    leave(c, now_us, (before | strays(c)) & ~v->order.places, g->drain_us);
    v->whole &= v->order.fresh;
    for (uint32_t i = 0; i < c->count; i++) {
        v->since_us[i] = grow_fresh(c, i) ? v->since_us[i] : 0;
    }
    c->beat_next_us = time_least(c->beat_next_us, now_us + US_PER_S / 10);
}

static uint32_t share(const struct cluster *c, int64_t now_us, uint32_t i)
{
    const struct lead_grow *v = &c->grow;
    const struct member *m = &c->members[i];
    if (!grow_fresh(c, i) || (v->whole >> i & 1u) != 0) {
        return GROW_SHARE_WHOLE;
    }
    int64_t age_us = v->since_us[i] != 0 ? now_us - v->since_us[i] : 0;
    return grow_share(age_us, v->order.over_us, m->predictor.count, m->unstable);
}

uint64_t grow_held(const struct cluster *c, int64_t now_us, const struct operation *o)
{
    assert(c != NULL && o != NULL);
    uint64_t held = 0;
    bool before = !meshtime_ready(&c->time) || o->created_mesh_us < cluster_mesh(c, c->started_us);
    if (before) {
        return 0; /* the former lead, who knew them better, may have sent it to any of them */
    }
    for (uint64_t rest = c->grow.order.fresh; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        bool named = place_names_agent(&o->selector.places, cluster_agent(c, i));
        bool out = grow_holds(share(c, now_us, i), num_id128_low(o->id), c->members[i].uid);
        held |= !named && out ? bit_of(i) : 0;
    }
    return held;
}

void grow_summary(const struct cluster *c, struct summary *ret)
{
    assert(c != NULL && ret != NULL);
    for (uint64_t rest = c->grow.order.fresh; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        bool here = c->members[i].joined;
        ret->newcomers += here;
        ret->entering += here && (c->grow.whole >> i & 1u) == 0;
        ret->newcomer_conflicts += c->members[i].conflicts;
    }
    ret->leaving = bits_count(c->grow.leaving);
}

static bool in_flight(const struct cluster *c, uint32_t i)
{
    for (uint32_t k = 0; k < c->live_count; k++) {
        const struct lead_op *op = cluster_op(c, c->live[k].slot);
        if (op->state == LEAD_OP_OPEN && (op->open >> i & 1u) != 0) {
            return true;
        }
    }
    return false;
}

static void leave_due(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct lead_grow *v = &c->grow;
    for (uint64_t rest = v->leaving; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        struct member *m = &c->members[i];
        /* Also with one that this lead only knows by its record. */
        if (v->until_us > now_us && in_flight(c, i)) {
            continue;
        }
        v->leaving &= ~bit_of(i);
        move_let_go(c, now_us, i, out);
        children_forget(&c->children, i);
        if (m->uid != 0) {
            m->where = WHERE_DROP; /* it lives nowhere: what was learnt is of no use to anyone */
            registry_waits(c, i);
        } else {
            move_dropped(c, i);
        }
    }
}

int64_t grow_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    struct lead_grow *v = &c->grow;
    if (v->leaving != 0) {
        leave_due(c, now_us, out);
    }
    bool more = v->leaving != 0;
    for (uint64_t rest = v->order.fresh & ~v->whole; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        if (!c->members[i].joined) {
            continue;
        }
        v->since_us[i] = v->since_us[i] != 0 ? v->since_us[i] : now_us;
        if (share(c, now_us, i) == GROW_SHARE_WHOLE) {
            v->whole |= bit_of(i);
            cluster_note(out, NOTE_GROW_ENTERED, unit_pack(cluster_agent(c, i)),
                         c->members[i].predictor.count);
        } else {
            more = true;
        }
    }
    return more ? now_us + LOOK_US : NEVER;
}
