/* The lead's story. Its agents beat and answer, its sector asks; the lead is where lists of agents
 * begin and end: above it there are selectors and sums only.
 *
 * A step looks at the one event, then does whatever is due, in the order of urgency: sends at
 * T - lead first, then liveness, the parent's beat, relays, and last the registry. Everything that
 * may be large is a cursor over tables: when the outbox is short of room, `starved` makes the step
 * return now and the same tick goes on with an empty one. Nothing is remembered between steps but
 * the tables themselves.
 *
 * Most steps are beats, acknowledgements, answers of the store to a write, and wakes. The parts
 * that have nothing to do then (orders to stand still, moves, newcomers, contexts, relays,
 * incidents, ..) are looked at only when their time has come (quiet_us), or when something has
 * stirred them: every other event does, and so does each of their functions that is called from
 * these four. */
#include "tiers/cluster/cluster.h"
#include "tiers/cluster/cluster_parts.h"
#include "tiers/cluster/cluster_record.h"
#include <assert.h>
#include <string.h>

#define SUMMARY_EVERY       5u /* beats */
#define EXCESS_DEV_START_US (100u * 1000u)
/* The next beat of any agent is the breaker's probe. All beat at one instant, so one beat may be
 * just missed. */
#define PROBE_BEATS 2

int64_t cluster_mesh(const struct cluster *c, int64_t now_us)
{
    return meshtime_now(&c->time, now_us);
}

struct unit cluster_agent(const struct cluster *c, uint32_t i)
{
    assert(i < c->count);
    return unit_agent(c->self.sector, c->self.cluster, i + 1u);
}

bool cluster_send(struct cluster *c, struct outbox *out, struct msg *msg)
{
    assert(c != NULL && out != NULL && msg != NULL);
    assert(msg->type != 0);
    msg->from = c->self;
    msg->epoch = c->epoch;
    if (!outbox_room(out, 1, msg_extra_bytes(msg))) {
        c->starved = true;
        return false;
    }
    out_send(out, msg);
    return true;
}

void cluster_note(struct outbox *out, enum note note, uint64_t x, uint64_t y)
{
    if (outbox_room(out, 1, 0)) {
        out_note(out, note, x, y);
    }
}

void cluster_circuit(struct cluster *c, enum breaker_event event, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    assert(event <= BREAKER_CLOSED);
    if (event == BREAKER_NOTHING) {
        return;
    }
    c->stirred = true; /* incidents know of open breakers */
    if (event == BREAKER_PROBE) {
        return; /* the next beat of any agent is the probe */
    }
    enum circuit state = breaker_state(&c->breaker);
    cluster_note(out, NOTE_CIRCUIT, unit_pack(c->self), state);
    struct msg m = {.type = MSG_CIRCUIT, .priority = PRIORITY_COUNT - 1, .to = c->sector};
    m.u.circuit = (struct circuit_msg){.action = state, .target = c->self};
    cluster_send(c, out, &m); /* lost: the next summary says it, too */
}

void cluster_failures(struct cluster *c, int64_t now_us, uint32_t n, struct outbox *out)
{
    if (n > 0) {
        cluster_circuit(c, breaker_failure(&c->breaker, now_us, n, &c->rng), out);
    }
}

/* Where in a lead's memory its tables begin. */
struct layout {
    size_t pool, relays, words, tails, wanted, moved, since, end;
    uint32_t runs; /* chunks of the pool that are for tables that grow */
};

/* The next so many bytes. */
static size_t place(struct layout *l, size_t bytes)
{
    size_t ret = l->end;
    l->end += (bytes + 15u) / 16u * 16u;
    return ret;
}

static struct layout layout_of(uint32_t count)
{
    const uint32_t operations = LEAD_OPS_MAX * lead_op_chunks(count);
    struct layout l = {.runs = operations + LEAD_LIVE_RUNS + LEAD_FACTS_RUNS + LEAD_CONFLICT_RUNS};
    place(&l, sizeof(struct cluster) + count * sizeof(struct member));
    l.pool = place(&l, slab_bytes(LEAD_CHUNKS + l.runs));
    l.relays = place(&l, LEAD_RELAYS_MAX * sizeof(struct lead_relay));
    l.words = place(&l, count * sizeof(struct lead_word));
    l.tails = place(&l, count * sizeof(struct predictor_tail));
    l.wanted = place(&l, (size_t)count * CONTENT_HASH);
    l.moved = place(&l, count * sizeof(struct lead_moved));
    l.since = place(&l, count * sizeof(int64_t));
    return l;
}

static size_t cluster_size(const struct node_conf *conf)
{
    assert(conf != NULL);
    assert(conf->self.tier == TIER_CLUSTER);
    return layout_of(topology_cluster_places(conf->topology, conf->self)).end;
}

static void tables_init(struct cluster *c)
{
    uint8_t *at = (uint8_t *)c;
    struct layout l = layout_of(c->count);
    slab_init_runs(&c->slab, at + l.pool, LEAD_CHUNKS, l.runs);
    c->relays = (void *)(at + l.relays);
    c->words = (void *)(at + l.words);
    c->tails = (void *)(at + l.tails);
    c->contents.wanted = (void *)(at + l.wanted);
    c->moves.of = (void *)(at + l.moved);
    c->grow.since_us = (void *)(at + l.since);
}

static void cluster_init(void *self, const struct node_conf *conf)
{
    assert(self != NULL && conf != NULL);
    assert(topology_contains(conf->topology, conf->self));
    struct cluster *c = self;
    c->self = conf->self;
    c->sector = unit_sector(conf->self.sector);
    c->epoch = conf->epoch;
    c->topology = conf->topology;
    c->digest = conf->digest;
    c->tuning = conf->tuning;
    c->mode = MODE_STARTING;
    c->bus_up = c->durable_up = true;
    c->beat_next_us = NEVER;
    c->ops_next_us = NEVER;
    c->incidents.next_us = NEVER;
    rng_seed(&c->rng, conf->seed, conf->uid);
    c->excess_dev_us = EXCESS_DEV_START_US;
    hedge_init(c);
    hosttime_init(&c->host);
    meshtime_init(&c->time);
    breaker_init(&c->breaker, BREAKER_CLUSTER_THRESHOLD);
    breaker_probe_wait(&c->breaker, PROBE_BEATS * c->tuning.agent_beat_us);
    c->count = topology_cluster_places(conf->topology, conf->self);
    tables_init(c);
    freeze_init(c);
    heal_init(c);
    members_init(c, conf);
    move_init(c);
}

/* The beat to the sector; every fifth, and each that follows a change, has the summary. */
static void beat_send(struct cluster *c, int64_t now_us, struct outbox *out)
{
    uint32_t active = bits_count(members_serving(c)), frozen = bits_count(c->still);
    uint32_t contexts = bits_count(content_astray(c)) + c->contents.synced + c->contents.synced_far;
    struct beat beat = {.has_summary = c->beats % SUMMARY_EVERY == 0 || active != c->active_told ||
                                       frozen != c->frozen_told || contexts != c->contexts_told};
    if (beat.has_summary) {
        summary_build(c, now_us, &beat.summary);
    }
    struct msg m = {.type = MSG_BEAT, .priority = PRIORITY_COUNT - 1, .to = c->sector};
    m.u.beat = &beat;
    if (!cluster_send(c, out, &m)) {
        return;
    }
    c->beats++;
    c->active_told = active;
    c->frozen_told = frozen;
    c->contexts_told = contexts;
    c->beat_next_us += c->tuning.tier_beat_us;
    if (c->beat_next_us <= now_us) {
        c->beat_next_us = now_us + c->tuning.tier_beat_us;
    }
}

static int64_t parent_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    int64_t next_us = NEVER;
    bool reading = c->store_up && !c->scan_done && now_us - c->started_us < LEAD_ROSTER_US;
    if (reading && c->beat_next_us <= now_us) {
        c->beat_next_us = c->started_us + LEAD_ROSTER_US;
    }
    if (c->bus_up && c->beat_next_us <= now_us) {
        beat_send(c, now_us, out);
    }
    if (c->bus_up) {
        next_us = c->beat_next_us;
    }
    int64_t silent_us = now_us - c->parent_heard_us;
    if (c->parent_up && c->bus_up && silent_us >= c->tuning.tier_failed_us) {
        c->parent_up = false;
        cluster_note(out, NOTE_PARENT_DOWN, unit_pack(c->sector), (uint64_t)silent_us / US_PER_MS);
    }
    return next_us;
}

static void on_beat_reply(struct cluster *c, int64_t now_us, const struct msg *msg,
                          struct outbox *out)
{
    const struct beat_reply *r = &msg->u.beat_reply;
    meshtime_exchange(&c->time, now_us, r->time.t1_us, r->time.t2_us, msg->sent_us, msg->recv_us,
                      r->time.mesh_offset_us, r->time.error_us);
    hosttime_told(&c->host, now_us, r->time.unix_ahead_us, r->time.unix_error_us);
    hosttime_apply(&c->host, &c->time, now_us);
    if ((unsigned)r->mode < MODE_COUNT) {
        bool preserve = r->mode == MODE_EMERGENCY && c->mode != MODE_EMERGENCY;
        c->mode = (uint8_t)r->mode;
        for (uint32_t i = 0; preserve && i < c->count; i++) {
            registry_dirty(c, now_us, i, record_diff(c, i)); /* spec 6.3: preserve state */
        }
    }
    members_excluded(c, now_us, r->excluded);
    if (!c->parent_up) {
        c->parent_up = true;
        cluster_note(out, NOTE_PARENT_UP, unit_pack(c->sector), msg->epoch);
    }
    c->parent_heard_us = now_us;
}

static void on_sector(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    if (msg->epoch < c->sector_epoch) {
        cluster_note(out, NOTE_STALE_EPOCH, unit_pack(msg->from), msg->epoch);
        return;
    }
    if (msg->epoch > c->sector_epoch &&
        c->sector_epoch != 0) { /* it knows nothing of this cluster */
        c->beats = 0;
        c->beat_next_us = now_us;
        heal_sector_new(c, now_us);
    }
    c->sector_epoch = msg->epoch;
    switch ((int)msg->type) {
    case MSG_BEAT_REPLY:
        on_beat_reply(c, now_us, msg, out);
        break;
    case MSG_OPERATE:
        operate_open(c, now_us, msg, out);
        break;
    case MSG_CANCEL:
        flight_cancel(c, now_us, &msg->u.cancel);
        break;
    case MSG_PREPARE:
        operate_prepare(c, now_us, msg->u.prepare, out);
        break;
    case MSG_QUERY:
        query_handle(c, now_us, msg->u.query, out);
        break;
    case MSG_FREEZE:
    case MSG_THAW:
        freeze_order(c, now_us, msg, out);
        break;
    case MSG_RELAY:
        route_relay(c, now_us, msg, MEMBERS_MAX, out);
        break;
    case MSG_RELAY_ACK:
        route_relay_ack(c, now_us, msg, MEMBERS_MAX, out);
        break;
    case MSG_HEAL:
        heal_order(c, now_us, msg->u.heal.target, out);
        break;
    case MSG_ISOLATE:
        members_isolate_message(c, now_us, msg, out);
        break;
    case MSG_MOVE:
        move_order(c, now_us, &msg->u.move, out);
        break;
    case MSG_GROW:
        grow_order(c, now_us, &msg->u.grow, out);
        break;
    case MSG_CONTENT:
        sync_sector_word(c, now_us, msg, out);
        break;
    case MSG_CONFLICT_ACK:
        conflict_acked(c, &msg->u.conflict_ack);
        break;
    case MSG_CIRCUIT: /* by hand; or a breaker above: what it stops is stopped there */
        if (unit_equal(msg->u.circuit.target, c->self)) {
            bool open = msg->u.circuit.action == CIRCUIT_OPEN;
            cluster_circuit(c, breaker_force(&c->breaker, open), out);
            break;
        }
        cluster_note(out, NOTE_CIRCUIT, unit_pack(msg->u.circuit.target), msg->u.circuit.action);
        break;
    default:
        cluster_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        break;
    }
}

static void on_member(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    uint32_t i = msg->from.agent - 1u;
    if (move_refuses(c, now_us, msg, out)) {
        return;
    }
    if (msg->type == MSG_HELLO) {
        members_hello(c, now_us, msg, out);
        return;
    }
    if (msg->type == MSG_HEARTBEAT) {
        members_heartbeat(c, now_us, msg, out);
        return;
    }
    if (!members_heard(c, now_us, msg, i, out)) {
        return;
    }
    switch ((int)msg->type) {
    case MSG_GOODBYE:
        members_goodbye(c, now_us, msg, out);
        break;
    case MSG_ACK:
        flight_ack(c, now_us, msg, i, out);
        break;
    case MSG_RELAY:
        route_relay(c, now_us, msg, i, out);
        break;
    case MSG_RELAY_ACK:
        route_relay_ack(c, now_us, msg, i, out);
        break;
    case MSG_CONTENT:
        sync_member_word(c, now_us, msg, i, out);
        break;
    default:
        cluster_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        break;
    }
}

static void on_message(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    struct unit from = msg->from;
    c->stirred |= msg->type != MSG_HEARTBEAT && msg->type != MSG_ACK;
    if (unit_equal(from, c->sector)) {
        on_sector(c, now_us, msg, out);
    } else if (from.tier == TIER_AGENT && from.agent >= 1 && from.agent <= c->count &&
               from.sector == c->self.sector && from.cluster == c->self.cluster) {
        on_member(c, now_us, msg, out);
    } else {
        cluster_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(from));
    }
}

static void on_link(struct cluster *c, int64_t now_us, enum link which, bool up, struct outbox *out)
{
    if (which == LINK_STORE) {
        registry_link(c, now_us, up, out);
        return;
    }
    if (which == LINK_DURABLE) {
        c->durable_up = up;
        c->beats = 0; /* the next one says so */
        return;
    }
    c->stirred = true;
    if (up != c->bus_up) {
        children_link(&c->children, now_us, up);
        /* The sector comes back to the bus at its own pace, as children do. */
        c->parent_heard_us = now_us + (up ? CHILDREN_RECONNECT_US : 0);
        if (up) {
            c->beat_next_us = now_us + rng_range(&c->rng, 0, c->tuning.tier_beat_us / 4);
        }
    }
    c->bus_up = up;
}

static void on_start(struct cluster *c, int64_t now_us, struct outbox *out)
{
    c->started_us = now_us;
    c->parent_heard_us = now_us;
    c->beat_next_us = now_us + rng_range(&c->rng, 0, c->tuning.tier_beat_us / 4);
    registry_start(c, now_us);
    cluster_note(out, NOTE_STARTED, c->epoch, 0);
}

/* The next beat of any member answers a probe. Where nobody is expected (all have moved away, or
 * their places are closed) none comes, and nothing can fail. */
static void breaker_due(struct cluster *c, int64_t now_us, struct outbox *out)
{
    if (breaker_next_us(&c->breaker) > now_us) {
        return;
    }
    enum breaker_event e = breaker_tick(&c->breaker, now_us, &c->rng);
    bool empty = e == BREAKER_PROBE;
    for (uint32_t i = 0; empty && i < c->count; i++) {
        empty = !move_expects(c, i);
    }
    cluster_circuit(c, empty ? breaker_probed(&c->breaker, now_us, true, &c->rng) : e, out);
}

/* What a beat or an acknowledgement seldom concerns, in two halves: the parent's beat goes between
 * them. Each returns when there is something next. */
static int64_t quiet_first(struct cluster *c, int64_t now_us, struct outbox *out)
{
    int64_t next_us = freeze_tick(c, now_us, out);
    next_us = time_least(next_us, heal_tick(c, now_us, out));
    int64_t stay_us = move_tick(c, now_us, out);
    stay_us = time_least(stay_us, grow_tick(c, now_us, out));
    c->stirred |= stay_us != NEVER; /* who comes or goes is looked at with every step */
    next_us = time_least(next_us, stay_us);
    return time_least(next_us, content_tick(c, now_us, out));
}

static int64_t quiet_last(struct cluster *c, int64_t now_us, struct outbox *out)
{
    int64_t next_us = route_tick(c, now_us, out);
    int64_t probe_us = timing_tick(c, now_us, out);
    c->stirred |= probe_us != NEVER; /* so is who is not believed */
    next_us = time_least(next_us, probe_us);
    next_us = time_least(next_us, incident_tick(c, now_us));
    next_us = time_least(next_us, conflict_tick(c, now_us, out));
    return time_least(next_us, query_tick(c, now_us, out));
}

static int64_t tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    c->starved = false;
    int64_t next_us = flight_tick(c, now_us, out);
    next_us = time_least(next_us, members_tick(c, now_us, out));
    bool look = c->stirred || c->quiet_us <= now_us;
    if (look) {
        c->stirred = false;
        c->quiet_us = quiet_first(c, now_us, out);
    }
    next_us = time_least(next_us, parent_tick(c, now_us, out));
    if (look) {
        c->quiet_us = time_least(c->quiet_us, quiet_last(c, now_us, out));
        c->stirred |= c->starved;
    }
    next_us = time_least(next_us, c->quiet_us);
    next_us = time_least(next_us, registry_tick(c, now_us, out));
    breaker_due(c, now_us, out);
    next_us = time_least(next_us, breaker_next_us(&c->breaker));
    /* What a later part ended is for the flight again: one more look, at once. */
    next_us = time_least(next_us, c->ops_next_us);
    if (c->starved) {
        return now_us;
    }
    return next_us > now_us ? next_us : now_us + 1;
}

static int64_t cluster_step(void *self, const struct event *event, struct outbox *out)
{
    assert(self != NULL && event != NULL && out != NULL);
    struct cluster *c = self;
    int64_t now_us = event->now_us;
    int64_t lost_us = children_step(&c->children, now_us);
    if (lost_us > 0) {
        cluster_note(out, NOTE_PAUSED, (uint64_t)lost_us / US_PER_MS, 0);
        c->parent_heard_us += lost_us;
        c->stirred = true;
    }
    switch (event->kind) {
    case EV_START:
        on_start(c, now_us, out);
        break;
    case EV_MSG:
        on_message(c, now_us, event->u.msg, out);
        break;
    case EV_STORE:
        registry_reply(c, now_us, event->u.store, out);
        break;
    case EV_LINK:
        on_link(c, now_us, event->u.link.which, event->u.link.up, out);
        break;
    case EV_CLOCK:
        hosttime_clock(&c->host, now_us, event->u.clock);
        hosttime_apply(&c->host, &c->time, now_us);
        break;
    case EV_WAKE:
    case EV_WORK: /* a lead gives no work to its runner */
    case EV_EVIDENCE:
    case EV_OWNER:
    case EV_STOP: /* its successor reads what it wrote */
        break;
    }
    int64_t wake_us = tick(c, now_us, out);
    children_wake(&c->children, wake_us);
    return wake_us;
}

const struct node_ops cluster_ops = {
    .name = "cluster", .size = cluster_size, .init = cluster_init, .step = cluster_step};
