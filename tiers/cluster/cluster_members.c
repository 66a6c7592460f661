/* The lead's agents: who they are, whether they live, how slow they are.
 *
 * Liveness is core/children.h, with its pauses and self-blame; this file turns its events into
 * agent states, ends what waited for a dead agent, and feeds the breaker with the death. A row of
 * children carries the agent's incarnation as its epoch: a lower one is an earlier life and is
 * refused. An agent that this lead has not welcomed itself is asked to say hello (known = false),
 * so that a restarted lead has its members back within one beat.
 *
 * Every beat renews the prediction of a standard payload, and from it score, flags and the lead
 * time that summaries count. */
#include "core/impedance.h"
#include "core/plant.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

#define REPLY_EVERY        3
#define CONFLICT_BUCKETS   12
#define CONFLICT_BUCKET_US (300ll * US_PER_S)
#define STANDARD_WEIGHT    1.0

void members_init(struct cluster *c, const struct node_conf *conf)
{
    assert(c != NULL && conf != NULL);
    assert(c->count >= 1 && c->count <= MEMBERS_MAX);
    c->first = topology_index(conf->topology, unit_agent(c->self.sector, c->self.cluster, 1));
    c->all = c->count == 64 ? UINT64_MAX : bit_of(c->count) - 1u;
    children_init(&c->children, c->rows, c->count, conf->tuning.agent_suspect_us,
                  conf->tuning.agent_failed_us);
    for (int k = CLASS_NONE; k < CLASS_COUNT; k++) {
        predictor_prior_init(&c->priors[k], (enum impedance_class)k, conf->tuning.predictor_tau);
    }
    for (uint32_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        m->agent_class = (uint8_t)topology_class(c->topology, c->first + i);
        predictor_init(&m->predictor, conf->tuning.predictor, (enum impedance_class)m->agent_class);
    }
}

enum agent_state members_state(const struct cluster *c, uint32_t i)
{
    assert(c != NULL);
    assert(i < c->count);
    if ((c->quarantined >> i & 1u) != 0) { /* whether it lives or not: its record says so, for the
                                            * next lead */
        return AGENT_QUARANTINED;
    }
    switch ((enum child_state)c->rows[i].state) {
    case CHILD_UP:
        if ((c->still >> i & 1u) != 0) {
            return AGENT_FROZEN;
        }
        return c->members[i].impedance.state == AGENT_DEGRADED ? AGENT_DEGRADED : AGENT_ACTIVE;
    case CHILD_SUSPECT:
        return AGENT_SUSPECT;
    case CHILD_DOWN:
        return AGENT_OFFLINE;
    case CHILD_UNKNOWN:
        break;
    }
    return AGENT_UNKNOWN;
}

bool members_in_service(const struct cluster *c, uint32_t i)
{
    assert(c != NULL);
    assert(i < c->count);
    return c->rows[i].state == CHILD_UP && (c->quarantined >> i & 1u) == 0;
}

uint64_t members_serving(const struct cluster *c)
{
    assert(c != NULL);
    uint64_t up = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        up |= (uint64_t)(c->rows[i].state == CHILD_UP) << i;
    }
    return up & ~c->quarantined;
}

bool members_preferred(const struct cluster *c, uint32_t i)
{
    return members_in_service(c, i) && !c->members[i].history.spiking;
}

struct prediction members_predict(const struct cluster *c, uint32_t i, double weight)
{
    assert(i < c->count);
    const struct member *m = &c->members[i];
    return predictor_predict(&m->predictor, &c->priors[m->agent_class], weight,
                             m->impedance.queue_depth, c->tuning.predictor_tau);
}

static void let_back(struct cluster *c, int64_t now_us, uint32_t i)
{
    incident_over(c, now_us, FAILURE_BYZANTINE_BEHAVIOR, bit_of(i), true);
    incident_over(c, now_us, FAILURE_CONTEXT_CORRUPTION, bit_of(i), true);
}

/* What a change of state is to the incidents: silence begins and ends, the dead are back. */
static void state_incident(struct cluster *c, int64_t now_us, uint32_t i, enum agent_state before,
                           enum agent_state s)
{
    bool there = members_in_service(c, i);
    if (s == AGENT_SUSPECT) {
        incident_begin(c, now_us, FAILURE_TRANSIENT_NETWORK, bit_of(i));
    } else if (before == AGENT_SUSPECT) {
        incident_over(c, now_us, FAILURE_TRANSIENT_NETWORK, bit_of(i), there);
    }
    if (there || s == AGENT_QUARANTINED) {
        incident_over(c, now_us, FAILURE_AGENT_CRASH, bit_of(i), true);
    }
    if (before == AGENT_QUARANTINED && s != AGENT_QUARANTINED) {
        let_back(c, now_us, i);
    }
}

/* Notes a change of state, and has it written. */
static void state_changed(struct cluster *c, int64_t now_us, uint32_t i, enum agent_state s,
                          struct outbox *out)
{
    struct member *m = &c->members[i];
    state_incident(c, now_us, i, (enum agent_state)m->state, s);
    m->state = (uint8_t)s;
    cluster_note(out, NOTE_AGENT_STATE, unit_pack(cluster_agent(c, i)), s);
    if (s == AGENT_QUARANTINED) { /* whoever says so, a former lead's record, too: what it was
                                   * given is over, and its answers count no more */
        flight_member_gone(c, now_us, i, OUTCOME_REFUSED, REASON_QUARANTINED);
    }
    registry_dirty(c, now_us, i, DIRTY_LOOK);
    registry_score(c, now_us, i);
}

static void state_check(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out)
{
    enum agent_state s = members_state(c, i);
    if (s != (enum agent_state)c->members[i].state) {
        state_changed(c, now_us, i, s, out);
    }
}

static void welcome(struct cluster *c, const struct msg *hello, enum reason reason,
                    struct outbox *out)
{
    struct msg m = {.type = MSG_WELCOME, .priority = PRIORITY_COUNT - 1, .to = hello->from};
    m.u.welcome = (struct welcome){.accepted = reason == REASON_NONE,
                                   .reason = reason,
                                   .incarnation = hello->u.hello.incarnation,
                                   .beat_us = c->tuning.agent_beat_us};
    if (reason == REASON_NONE) {
        (void)content_welcome(c, hello->from.agent - 1u, &m.u.welcome);
    }
    cluster_send(c, out, &m);
}

/* The measurements of another agent, or of another life of the same one. */
static void member_renew(struct cluster *c, int64_t now_us, uint32_t i, const struct hello *h)
{
    struct member *m = &c->members[i];
    if (m->uid != h->uid || m->agent_class != (uint8_t)h->agent_class) {
        predictor_init(&m->predictor, c->tuning.predictor, h->agent_class);
        m->impedance = (struct impedance){0};
        m->history = (struct impedance_history){0};
        timing_believe(c, now_us, bit_of(i));
    }
    if (m->uid != 0 && m->uid != h->uid) { /* another agent; 0: as was ordered of whoever comes */
        c->quarantined &= ~bit_of(i);
        c->sentenced &= ~bit_of(i);
        m->barred = 0;
    }
    m->impedance.queue_depth = 0;
    m->impedance.state = AGENT_ACTIVE;
}

/* What it declares, but for what is barred and what its class is excluded from. True: another set
 * than before. */
static bool member_capabilities(struct cluster *c, uint32_t i, uint64_t declared)
{
    struct member *m = &c->members[i];
    uint64_t counted = declared & ~m->barred & ~c->excluded[m->agent_class];
    uint64_t changed = m->capabilities ^ counted;
    m->declared = declared;
    m->index_dirty |= changed;
    m->capabilities = counted;
    return changed != 0;
}

void members_excluded(struct cluster *c, int64_t now_us, const uint64_t excluded[CLASS_COUNT])
{
    assert(c != NULL && excluded != NULL);
    if (memcmp(c->excluded, excluded, sizeof c->excluded) == 0) {
        return;
    }
    memcpy(c->excluded, excluded, sizeof c->excluded);
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->members[i].joined && member_capabilities(c, i, c->members[i].declared)) {
            registry_dirty(c, now_us, i, DIRTY_IDENTITY);
        }
    }
}

void members_isolate(struct cluster *c, int64_t now_us, const struct isolate *isolate,
                     struct outbox *out)
{
    struct unit agent = isolate->agent;
    if (!unit_equal(topology_parent(agent), c->self) || agent.agent > c->count) {
        cluster_note(out, NOTE_UNEXPECTED, MSG_ISOLATE, unit_pack(agent));
        return;
    }
    if (isolate->what == ISOLATE_AVOID) {
        c->avoided = isolate->agents & c->all;
        return;
    }
    if (isolate->what == ISOLATE_BELIEVE) {
        timing_believe(c, now_us, c->all);
        return;
    }
    if (isolate->what == ISOLATE_QUARANTINE || isolate->what == ISOLATE_LIFT) {
        c->sentenced |= isolate->agents != 0 ? isolate->agents & c->all : bit_of(agent.agent - 1u);
    }
    if (isolate->agents != 0) { /* several at once: all agents of a process */
        for (uint64_t rest = isolate->agents & c->all; rest != 0; rest &= rest - 1u) {
            struct isolate one = {.agent = cluster_agent(c, bits_lowest(rest)),
                                  .what = isolate->what};
            bool in = (c->quarantined >> bits_lowest(rest) & 1u) != 0;
            if (in != (isolate->what == ISOLATE_QUARANTINE)) { /* said again: nothing to do */
                members_isolate(c, now_us, &one, out);
            }
        }
        return;
    }
    uint32_t i = agent.agent - 1u;
    struct member *m = &c->members[i];
    if (isolate->what == ISOLATE_BAR) {
        m->barred |= isolate->capabilities;
        (void)member_capabilities(c, i, m->declared);
    } else {
        bool in = isolate->what == ISOLATE_QUARANTINE;
        c->quarantined = in ? c->quarantined | bit_of(i) : c->quarantined & ~bit_of(i);
        m->barred = in ? m->barred : 0;
        (void)member_capabilities(c, i, m->declared);
        state_check(c, now_us, i, out);
        if (!in) { /* it may have been let back before it was told to stay out */
            let_back(c, now_us, i);
        }
    }
    registry_dirty(c, now_us, i, DIRTY_IDENTITY | DIRTY_STATE);
}

/* Words of the sector may overtake each other, above all when a new life of it takes the orders of
 * former times one after the other: the latest that was sent holds, not the latest that came.
 * Returns whether this one is late. A bar adds to what is barred and is late after a lift only. */
static bool overtaken(int64_t *last_us, int64_t sent_us, bool keep)
{
    if (sent_us < *last_us) {
        return true;
    }
    *last_us = keep ? sent_us : *last_us;
    return false;
}

void members_isolate_message(struct cluster *c, int64_t now_us, const struct msg *msg,
                             struct outbox *out)
{
    struct isolate in = msg->u.isolate;
    uint64_t late = 0;
    if (c->isolate_epoch != msg->epoch) { /* another clock */
        c->isolate_epoch = msg->epoch;
        c->avoided_us = INT64_MIN;
        for (uint32_t i = 0; i < c->count; i++) {
            c->members[i].isolated_us = INT64_MIN;
        }
    }
    bool ours = unit_equal(topology_parent(in.agent), c->self) && in.agent.agent >= 1 &&
                in.agent.agent <= c->count;
    if (in.what == ISOLATE_AVOID && overtaken(&c->avoided_us, msg->sent_us, true)) {
        return;
    }
    if (ours && in.what != ISOLATE_AVOID && in.what != ISOLATE_BELIEVE) {
        uint64_t named = in.agents != 0 ? in.agents & c->all : bit_of(in.agent.agent - 1u);
        for (uint64_t rest = named; rest != 0; rest &= rest - 1u) {
            struct member *m = &c->members[bits_lowest(rest)];
            bool is_late = overtaken(&m->isolated_us, msg->sent_us, in.what != ISOLATE_BAR);
            late |= is_late ? bit_of(bits_lowest(rest)) : 0;
        }
        if (late == named) {
            return;
        }
        in.agents &= ~late;
    }
    members_isolate(c, now_us, &in, out);
}

void members_hello(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    assert(c != NULL && msg != NULL && out != NULL);
    assert(msg->from.agent >= 1 && msg->from.agent <= c->count);
    const struct hello *h = &msg->u.hello;
    uint32_t i = msg->from.agent - 1u;
    struct member *m = &c->members[i];
    if (h->uid == 0 || h->agent_class <= CLASS_NONE || h->agent_class >= CLASS_COUNT) {
        welcome(c, msg, REASON_INVALID, out);
        return;
    }
    enum children_verdict verdict = CHILDREN_STALE;
    if (h->incarnation >= m->epoch) {
        verdict = children_heard(&c->children, i, now_us, h->incarnation);
    }
    if (verdict == CHILDREN_STALE) {
        cluster_note(out, NOTE_STALE_EPOCH, unit_pack(msg->from), h->incarnation);
        welcome(c, msg, REASON_STALE_EPOCH, out);
        return;
    }
    bool fresh = !m->joined || verdict == CHILDREN_NEW || m->uid != h->uid;
    if (fresh) {
        content_reborn(c, i);
        member_renew(c, now_us, i, h);
    }
    if (m->uid != h->uid) {
        where_newcomer(m);
        let_back(c, now_us, i); /* what its predecessor did concerns nobody here any more */
    }
    uint32_t known = c->topology->capability_count;
    uint64_t names = known >= 64 ? UINT64_MAX : bit_of(known) - 1u;
    m->uid = h->uid;
    m->epoch = h->incarnation;
    c->priors_all &= m->agent_class == (uint8_t)h->agent_class;
    m->agent_class = (uint8_t)h->agent_class;
    (void)member_capabilities(c, i, h->capabilities & names);
    m->impedance.context_hash = h->context_hash;
    facts_told(c, i, h->facts);
    m->joined = true;
    move_arrived(c, now_us, i, out);
    if (m->lead_us == 0) {
        struct prediction p = members_predict(c, i, STANDARD_WEIGHT);
        m->lead_us = (uint32_t)num_clamp_i64(p.lead_us, 0, UINT32_MAX);
        m->impedance.predicted_us = m->lead_us;
        m->impedance.score = impedance_score(p.lead_us);
        m->impedance.confidence_permille = p.confidence_permille;
        m->impedance.reliability_permille = 1000;
    }
    if (fresh) {
        c->still &= ~bit_of(i); /* it will say so, or be told */
        c->freeze_tell_us = c->frozen != 0 ? now_us : c->freeze_tell_us;
        registry_dirty(c, now_us, i, DIRTY_ALL);
        cluster_note(out, NOTE_JOINED, m->uid, unit_pack(msg->from));
    }
    state_check(c, now_us, i, out);
    registry_score(c, now_us, i);
    welcome(c, msg, REASON_NONE, out);
}

bool members_heard(struct cluster *c, int64_t now_us, const struct msg *msg, uint32_t i,
                   struct outbox *out)
{
    assert(c != NULL && msg != NULL);
    assert(i < c->count);
    struct member *m = &c->members[i];
    if (!m->joined || msg->epoch > m->epoch) {
        cluster_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        return false; /* its next beat will be told to say hello */
    }
    if (children_heard(&c->children, i, now_us, msg->epoch) == CHILDREN_STALE &&
        !PLANTED(PLANT_FORMER_LIFE)) {
        cluster_note(out, NOTE_STALE_EPOCH, unit_pack(msg->from), msg->epoch);
        return false;
    }
    state_check(c, now_us, i, out);
    return true;
}

void members_goodbye(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    assert(c != NULL && msg != NULL);
    assert(msg->type == MSG_GOODBYE);
    uint32_t i = msg->from.agent - 1u;
    children_left(&c->children, i);
    c->members[i].joined = false;
    state_check(c, now_us, i, out);
    flight_member_gone(c, now_us, i, OUTCOME_UNREACHABLE, REASON_AGENT_OFFLINE);
}

/* Score, flags and lead time from what the agent measured and the predictor says. */
static void measure(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out)
{
    struct member *m = &c->members[i];
    struct impedance *imp = &m->impedance;
    struct prediction p = members_predict(c, i, STANDARD_WEIGHT);
    m->lead_us = (uint32_t)num_clamp_i64(p.lead_us, 0, UINT32_MAX);
    imp->predicted_us = m->lead_us;
    imp->score = impedance_score(p.lead_us);
    imp->confidence_permille = p.confidence_permille;
    imp->reliability_permille = impedance_reliability_permille(imp->done, imp->failed);
    bool degraded = impedance_degraded((enum impedance_class)m->agent_class, p.lead_us);
    bool unstable = impedance_unstable(imp->drift_permille);
    struct unit self = cluster_agent(c, i);
    if (degraded && imp->state != AGENT_DEGRADED) {
        cluster_note(out, NOTE_FLAG_DEGRADED, unit_pack(self), imp->score);
    }
    if (unstable && !m->unstable) {
        cluster_note(out, NOTE_FLAG_UNSTABLE, unit_pack(self), imp->drift_permille);
    }
    if (impedance_history_add(&m->history, now_us, m->lead_us)) {
        cluster_note(out, NOTE_FLAG_SPIKE, unit_pack(self), imp->score);
    }
    if (m->history.spiking) {
        incident_begin(c, now_us, FAILURE_IMPEDANCE_SPIKE, bit_of(i));
    } else {
        incident_over(c, now_us, FAILURE_IMPEDANCE_SPIKE, bit_of(i), true);
    }
    imp->state = degraded || m->history.spiking ? AGENT_DEGRADED : AGENT_ACTIVE;
    m->unstable = unstable;
}

/* Whether this beat is answered. An agent without a clock is, always; else every REPLY_EVERYth beat
 * is, the same one for the whole cluster, so that answers share frames: at 30,000 hosts of one
 * agent each, answers to every beat alone cost more than a third of a core in signatures. */
static bool wants_reply(const struct cluster *c, int64_t now_us, const struct heartbeat *h)
{
    if (h->impedance.clock_error_us == UINT32_MAX || !meshtime_ready(&c->time)) {
        return true;
    }
    int64_t beat = cluster_mesh(c, now_us) / c->tuning.agent_beat_us;
    return (beat + c->self.cluster) % REPLY_EVERY == 0;
}

static void beat_reply(struct cluster *c, int64_t now_us, const struct msg *beat, bool known,
                       struct outbox *out)
{
    struct msg m = {.type = MSG_BEAT_REPLY, .priority = PRIORITY_COUNT - 1, .to = beat->from};
    bool ready = meshtime_ready(&c->time);
    m.u.beat_reply = (struct beat_reply){
        .time = {.t1_us = beat->sent_us,
                 .t2_us = beat->recv_us,
                 .mesh_offset_us = ready ? meshtime_offset_us(&c->time, now_us) : 0,
                 .error_us = ready ? meshtime_error_us(&c->time, now_us) : MESHTIME_UNKNOWN},
        .mode = (enum mode)c->mode,
        .known = known};
    struct time_reply *t = &m.u.beat_reply.time;
    hosttime_ahead(&c->host, &c->time, now_us, &t->unix_ahead_us, &t->unix_error_us);
    cluster_send(c, out, &m);
}

void members_heartbeat(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    assert(c != NULL && msg != NULL && out != NULL);
    assert(msg->type == MSG_HEARTBEAT);
    const struct heartbeat *h = &msg->u.heartbeat;
    uint32_t i = msg->from.agent - 1u;
    struct member *m = &c->members[i];
    if (h->incarnation < m->epoch) {
        cluster_note(out, NOTE_STALE_EPOCH, unit_pack(msg->from), h->incarnation);
        return;
    }
    if (!m->joined || h->incarnation != m->epoch || h->uid != m->uid) {
        beat_reply(c, now_us, msg, false, out);
        return;
    }
    children_heard(&c->children, i, now_us, h->incarnation);
    m->impedance.latency_us = h->impedance.latency_us;
    m->impedance.processing_us = h->impedance.processing_us;
    m->impedance.queue_depth = timing_queue(c, i, h->impedance.queue_depth);
    m->impedance.clock_error_us = h->impedance.clock_error_us;
    m->impedance.done = h->impedance.done;
    m->impedance.failed = h->impedance.failed;
    m->impedance.drift_permille = h->impedance.drift_permille;
    m->impedance.context_hash = h->impedance.context_hash;
    if (meshtime_ready(&c->time)) { /* before that there is no time to write down */
        m->impedance.heartbeat_mesh_us = cluster_mesh(c, msg->recv_us);
    }
    if (h->impedance.state == AGENT_QUARANTINED) {
        c->quarantined |= bit_of(i);
    }
    content_heard(c, now_us, i);
    freeze_heard(c, now_us, i, h);
    timing_beat(&c->timing, i, now_us);
    predictor_latency(&m->predictor, h->impedance.latency_us);
    measure(c, now_us, i, out);
    state_check(c, now_us, i, out);
    registry_beat(c, now_us, i);
    if (wants_reply(c, now_us, h)) {
        beat_reply(c, now_us, msg, true, out);
    }
    if (c->breaker.probing) {
        cluster_circuit(c, breaker_probed(&c->breaker, now_us, true, &c->rng), out);
    }
}

void members_call(struct cluster *c, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    uint64_t mask = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        bool missing = c->members[i].uid != 0 && !c->members[i].joined;
        mask |= missing && move_expects(c, i) ? bit_of(i) : 0;
    }
    c->call = false;
    if (mask == 0) {
        return;
    }
    uint32_t low = bits_lowest(mask);
    struct msg m = {.type = MSG_BEAT_REPLY,
                    .priority = PRIORITY_COUNT - 1,
                    .to = cluster_agent(c, low),
                    .mask = mask >> low == 1 ? 0 : mask >> low};
    m.u.beat_reply = (struct beat_reply){
        .time = {.error_us = MESHTIME_UNKNOWN, .unix_error_us = MESHTIME_UNKNOWN},
        .mode = (enum mode)c->mode,
        .known = false};
    c->call = !cluster_send(c, out, &m);
}

void members_conflict(struct cluster *c, int64_t now_us)
{
    assert(c != NULL);
    int64_t bucket = now_us / CONFLICT_BUCKET_US;
    assert(bucket >= 0);
    if (bucket - c->conflict_bucket >= CONFLICT_BUCKETS) {
        memset(c->conflicts, 0, sizeof c->conflicts);
        c->conflict_bucket = bucket;
    }
    while (c->conflict_bucket < bucket) {
        c->conflict_bucket++;
        c->conflicts[c->conflict_bucket % CONFLICT_BUCKETS] = 0;
    }
    c->conflicts[bucket % CONFLICT_BUCKETS]++;
}

uint32_t members_conflicts_hour(const struct cluster *c, int64_t now_us)
{
    assert(c != NULL);
    assert(now_us >= 0);
    int64_t newest = now_us / CONFLICT_BUCKET_US;
    uint32_t n = 0;
    for (int64_t b = newest > 11 ? newest - 11 : 0; b <= c->conflict_bucket; b++) {
        n += c->conflicts[b % CONFLICT_BUCKETS];
    }
    return n;
}

int64_t members_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    struct child_event e;
    if (!c->call && children_quiet(&c->children, now_us)) {
        return c->children.next_us;
    }
    if (c->call) {
        members_call(c, out);
    }
    while (children_tick(&c->children, now_us, &e)) {
        if (e.kind == CHILD_EVENT_SELF_BLAME) {
            cluster_note(out, NOTE_SELF_BLAME, e.silent, e.of);
            continue;
        }
        assert(e.child < c->count);
        state_check(c, now_us, e.child, out);
        if (e.kind == CHILD_EVENT_DOWN) {
            uint64_t silent_ms = (uint64_t)e.silent_us / US_PER_MS;
            cluster_note(out, NOTE_CHILD_DOWN, unit_pack(cluster_agent(c, e.child)), silent_ms);
            c->members[e.child].joined = false;
            incident_begin(c, now_us, FAILURE_AGENT_CRASH, bit_of(e.child));
            flight_member_gone(c, now_us, e.child, OUTCOME_UNREACHABLE, REASON_AGENT_OFFLINE);
            heal_member_down(c, now_us, e.child);
            cluster_failures(c, now_us, grow_apart(c, e.child) ? 0 : 1, out);
        }
    }
    return children_next_us(&c->children);
}
