/* Agents that live elsewhere, and those that came from elsewhere (docs/adr/0034).
 *
 * At its home: from the order on an agent is given no new work. When nothing is in flight to it any
 * more, or LEAD_MOVE_DRAIN_US later, it is let go: what still is ends here as UNREACHABLE (moved),
 * nothing that it says is taken any more, and its host is asked, through the sector, to run it at
 * the new place. Who comes home all the same, because its host started anew and does not know, is
 * refused and brought away once more. Its record here goes when its uid's line names another
 * cluster: the lead there has read it then (cluster_where.c).
 *
 * At the new place: the runner is told to believe whoever is certified for the home there. The
 * agent comes with a hello as any newcomer; its uid is known, so what was learnt about it comes,
 * too. Operations from before its arrival are not for it: they may have been for it at home.
 *
 * Every order has a number; an older one is no news, so words that overtake each other, are lost or
 * repeated do no harm. A successor knows guests by their records, the rest from its sector. */
#include "tiers/cluster/cluster_parts.h"
#include "tiers/cluster/cluster_record.h"
#include <assert.h>
#include <string.h>

#define LOOK_US   (5ll * US_PER_S)
#define RECENT_US (600ll * US_PER_S) /* ids of moves are mesh time */

void move_init(struct cluster *c)
{
    assert(c != NULL && c->count > 0);
    uint32_t planned = topology_cluster_agents(c->topology, c->self);
    c->moves.planned = planned == 64 ? UINT64_MAX : bit_of(planned) - 1u;
    c->moves.ask_next_us = NEVER;
    c->moves.look_us = NEVER;
}

bool move_expects(const struct cluster *c, uint32_t i)
{
    assert(c != NULL && i < c->count);
    const struct lead_moves *v = &c->moves;
    if (((v->gone | v->leaving | v->left) >> i & 1u) != 0) {
        return false;
    }
    if (grow_open(c, i)) {
        return grow_expects(c, i);
    }
    return ((v->planned | v->guests) >> i & 1u) != 0 || c->members[i].uid != 0;
}

bool move_before(const struct cluster *c, uint32_t i, int64_t created_mesh_us)
{
    assert(c != NULL && i < c->count);
    return created_mesh_us < c->moves.of[i].arrived_mesh_us;
}

/* It is no member any more; what the registry has of it stays until it is known elsewhere. */
void move_let_go(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out)
{
    assert(c != NULL && i < c->count && out != NULL);
    struct member *m = &c->members[i];
    if (m->joined) {
        children_left(&c->children, i);
    }
    c->moves.left |= bit_of(i);
    m->joined = false;
    c->still &= ~bit_of(i);
    m->state = AGENT_UNKNOWN;
    flight_member_gone(c, now_us, i, OUTCOME_UNREACHABLE, REASON_MOVED);
    for (int k = FAILURE_NONE + 1; k < FAILURE_CLASS_COUNT; k++) {
        incident_over(c, now_us, (enum failure_class)k, bit_of(i), true);
    }
    m->dirty = 0;
    m->index_dirty |= m->indexed;
    if (m->uid != 0) {
        m->where = WHERE_LEFT;
        c->moves.look_us = now_us + LOOK_US;
    }
    registry_waits(c, i);
    c->registry_next_us = 0;
    cluster_note(out, NOTE_MOVE_LEFT, unit_pack(cluster_agent(c, i)),
                 unit_pack(c->moves.of[i].other));
    c->beats = 0; /* the next beat has the sums */
    c->beat_next_us = time_least(c->beat_next_us, now_us + US_PER_S / 10);
}

void move_dropped(struct cluster *c, uint32_t i)
{
    assert(c != NULL && i < c->count);
    struct member *m = &c->members[i];
    c->moves.left &= ~bit_of(i);
    m->where = WHERE_KNOWN;
    m->uid = 0;
    m->epoch = 0;
    m->written = (struct written){0};
    c->quarantined &= ~bit_of(i);
    c->sentenced &= ~bit_of(i);
    c->contents.named &= ~bit_of(i);
    facts_told(c, i, NULL);
}

static void want_host(struct cluster *c, int64_t now_us, uint32_t i)
{
    if (c->moves.of[i].until_us <= now_us) {
        c->moves.ask |= bit_of(i);
        c->moves.ask_next_us = time_least(c->moves.ask_next_us, now_us);
    }
}

/* An agent of here is to live elsewhere, or here again. */
static void order_home(struct cluster *c, int64_t now_us, const struct move *m, uint32_t i)
{
    struct lead_moves *v = &c->moves;
    struct unit place = move_place_of(m, cluster_agent(c, i));
    if (m->back) { /* also to a lead that has just begun, and did not know that it was away */
        v->returning |= bit_of(i);
        v->gone &= ~bit_of(i);
        v->leaving &= ~bit_of(i);
        v->left &= ~bit_of(i); /* expected here from now on */
        v->of[i].other = place;
        v->of[i].until_us = 0;
        if (c->members[i].joined) { /* it has not gone yet */
            v->returning &= ~bit_of(i);
        } else {
            want_host(c, now_us, i);
        }
        return;
    }
    v->returning &= ~bit_of(i);
    v->of[i].other = place;
    v->of[i].until_us = now_us + LEAD_MOVE_DRAIN_US;
    if ((v->gone >> i & 1u) != 0) { /* from one place to the next */
        v->of[i].until_us = 0;
        want_host(c, now_us, i);
    } else {
        v->leaving |= bit_of(i);
    }
}

/* Until it has come, it is one of its home's class: an operation whose classes come one after the
 * other has it once, not as one of the place's class first, and then as what it is. */
static void guest_class(struct cluster *c, uint32_t i, struct unit home)
{
    struct member *m = &c->members[i];
    enum impedance_class k = topology_class(c->topology, topology_index(c->topology, home));
    if (m->uid == 0 && (enum impedance_class)m->agent_class != k) {
        m->agent_class = (uint8_t)k;
        predictor_init(&m->predictor, c->tuning.predictor, k);
    }
}

/* A place of here is given to an agent of elsewhere, or is free again. */
static void order_place(struct cluster *c, int64_t now_us, const struct move *m, uint32_t i,
                        struct outbox *out)
{
    struct lead_moves *v = &c->moves;
    struct unit home = move_home_of(m, cluster_agent(c, i));
    bool held = (v->guests >> i & 1u) != 0;
    bool other = !held || !unit_equal(v->of[i].other, home);
    if (held && (m->back || other)) {
        v->guests &= ~bit_of(i);
        v->of[i].arrived_mesh_us = 0;
        move_let_go(c, now_us, i, out);
        children_forget(&c->children, i); /* the next one there has numbers of its own */
        c->members[i].epoch = 0;
    }
    if (!m->back && other) {
        v->guests |= bit_of(i);
        v->granted &= ~bit_of(i); /* it may be another's so far */
        v->of[i].other = home;
        guest_class(c, i, home);
    }
}

void move_order(struct cluster *c, int64_t now_us, const struct move *m, struct outbox *out)
{
    assert(c != NULL && m != NULL && out != NULL);
    bool home = unit_equal(m->home, c->self), place = unit_equal(m->place, c->self);
    if ((!home && !place) || move_check(m, c->topology) != NULL) {
        cluster_note(out, NOTE_UNEXPECTED, MSG_MOVE, unit_pack(m->home));
        return;
    }
    for (uint64_t rest = home ? m->agents : m->places; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        if (i >= c->count || m->id <= c->moves.of[i].id) {
            continue;
        }
        c->moves.of[i].id = m->id;
        if (home) {
            order_home(c, now_us, m, i);
        } else {
            order_place(c, now_us, m, i, out);
        }
    }
}

bool move_refuses(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    assert(c != NULL && msg != NULL && out != NULL);
    uint32_t i = msg->from.agent - 1u;
    assert(i < c->count);
    bool gone = (c->moves.gone >> i & 1u) != 0;
    bool known = c->members[i].uid != 0 && (c->moves.left >> i & 1u) == 0; /* from the roster */
    bool nobodys = ((c->moves.planned | c->moves.guests) >> i & 1u) == 0 && !grow_open(c, i) &&
                   !known; /* a spare place, free */
    if (!gone && !nobodys) {
        return false;
    }
    c->stirred = true;
    if (msg->type == MSG_HELLO) {
        struct msg m = {.type = MSG_WELCOME, .priority = PRIORITY_COUNT - 1, .to = msg->from};
        m.u.welcome = (struct welcome){.reason = REASON_MOVED,
                                       .incarnation = msg->u.hello.incarnation,
                                       .beat_us = c->tuning.agent_beat_us};
        cluster_send(c, out, &m);
    } else {
        cluster_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
    }
    if (gone) {
        want_host(c, now_us, i);
    }
    return true;
}

void move_arrived(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out)
{
    assert(c != NULL && i < c->count);
    struct lead_moves *v = &c->moves;
    bool guest = (v->guests >> i & 1u) != 0, returned = (v->returning >> i & 1u) != 0;
    v->left &= ~bit_of(i);
    if (c->members[i].where >= WHERE_LEFT) { /* back before its record here was dropped */
        where_newcomer(&c->members[i]);
        registry_waits(c, i);
    }
    if (!guest && !returned) {
        return;
    }
    v->returning &= ~bit_of(i);
    if (returned || v->of[i].arrived_mesh_us == 0) {
        int64_t mesh_us = meshtime_ready(&c->time) ? cluster_mesh(c, now_us) : 1;
        bool now = mesh_us - (int64_t)v->of[i].id < RECENT_US; /* else only this lead is new */
        v->of[i].arrived_mesh_us = now ? mesh_us : 1;
        cluster_note(out, NOTE_MOVE_ARRIVED, unit_pack(cluster_agent(c, i)),
                     unit_pack(v->of[i].other));
    }
}

void move_record(const struct cluster *c, uint32_t i, struct record *r)
{
    assert(c != NULL && i < c->count);
    if ((c->moves.guests >> i & 1u) != 0) {
        record_unit(r, "home", c->moves.of[i].other);
    }
}

bool move_remember(struct cluster *c, uint32_t i, struct unit home, uint64_t uid)
{
    assert(c != NULL && i < c->count);
    struct lead_moves *v = &c->moves;
    struct member *m = &c->members[i];
    bool spare = (v->planned >> i & 1u) == 0;
    if ((v->gone >> i & 1u) != 0) { /* its record goes, when it is known elsewhere */
        m->uid = uid;
        v->left |= bit_of(i);
        m->where = WHERE_KNOWN;
        m->index_dirty |= m->indexed;
        v->look_us = 0;
        return false;
    }
    bool known = v->of[i].id != 0; /* its sector was faster */
    if (spare && home.tier == TIER_AGENT && topology_contains(c->topology, home) && !known) {
        v->guests |= bit_of(i);
        v->of[i].other = home;
        v->of[i].arrived_mesh_us = 1; /* it has been here before this lead */
    }
    return !spare || home.tier == TIER_NONE || (v->guests >> i & 1u) != 0;
}

/* --- what is due --- */

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

static int64_t leave_due(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct lead_moves *v = &c->moves;
    int64_t next_us = NEVER;
    for (uint64_t rest = v->leaving; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        bool there = c->members[i].joined;
        /* Also with one that this lead only knows by its record. */
        if (v->of[i].until_us > now_us && in_flight(c, i)) {
            next_us = time_least(next_us, now_us + LEAD_MOVE_GAP_US);
            continue;
        }
        v->leaving &= ~bit_of(i);
        v->gone |= bit_of(i);
        move_let_go(c, now_us, i, out);
        v->of[i].until_us = 0;
        if (there) {
            want_host(c, now_us, i);
        }
    }
    return next_us;
}

/* The runner is told who may speak for which place. */
static void grant_due(struct cluster *c, struct outbox *out)
{
    struct lead_moves *v = &c->moves;
    for (uint64_t rest = v->guests ^ v->granted; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        bool given = (v->guests >> i & 1u) != 0;
        if (!outbox_room(out, 1, 0)) {
            c->starved = true;
            return;
        }
        out_grant(out, cluster_agent(c, i), given ? v->of[i].other : (struct unit){0});
        v->granted ^= bit_of(i);
    }
}

/* Those that are to be back and have not come; records that may go. */
static int64_t look_due(struct cluster *c, int64_t now_us)
{
    struct lead_moves *v = &c->moves;
    for (uint64_t rest = v->returning & ~v->ask; rest != 0; rest &= rest - 1u) {
        want_host(c, now_us, bits_lowest(rest));
    }
    if (v->look_us > now_us) {
        return v->returning != 0 ? time_least(v->look_us, now_us + LEAD_MOVE_ASK_US) : v->look_us;
    }
    bool left = false;
    for (uint32_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        if (m->uid == 0 || move_expects(c, i)) {
            continue;
        }
        left = true;
        if (m->where == WHERE_KNOWN) {
            m->where = WHERE_LEFT;
            registry_waits(c, i);
            c->registry_next_us = 0;
        }
    }
    v->look_us = left || v->returning != 0 ? now_us + LOOK_US : NEVER;
    return v->look_us;
}

/* Hosts are asked through the sector, a few at a time. */
static int64_t ask_due(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct lead_moves *v = &c->moves;
    if (v->ask_next_us > now_us) {
        return v->ask_next_us;
    }
    uint32_t sent = 0;
    while (v->ask != 0 && sent < LEAD_MOVE_STEP) {
        uint32_t i = bits_lowest(v->ask);
        bool back = (v->returning >> i & 1u) != 0;
        struct unit place = v->of[i].other;
        struct msg m = {.type = MSG_MOVE, .priority = PRIORITY_COUNT - 1, .to = c->sector};
        m.u.move = (struct move){.id = v->of[i].id,
                                 .home = c->self,
                                 .place = topology_parent(place),
                                 .agents = bit_of(i),
                                 .places = bit_of(place.agent - 1u),
                                 .back = back};
        if (((v->gone | v->returning) >> i & 1u) != 0 && !cluster_send(c, out, &m)) {
            return now_us;
        }
        v->ask &= ~bit_of(i);
        v->of[i].until_us = now_us + LEAD_MOVE_ASK_US;
        sent++;
    }
    v->ask_next_us = v->ask != 0 ? now_us + LEAD_MOVE_GAP_US : NEVER;
    return v->ask_next_us;
}

int64_t move_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    int64_t next_us = NEVER;
    if (c->moves.leaving != 0) {
        next_us = leave_due(c, now_us, out);
    }
    if (c->moves.guests != c->moves.granted) {
        grant_due(c, out);
    }
    next_us = time_least(next_us, look_due(c, now_us));
    return time_least(next_us, ask_due(c, now_us, out));
}
