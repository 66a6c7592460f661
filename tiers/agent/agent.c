/* The agent's story: say hello until the lead says welcome, then beat for ever; everything else is
 * an answer to somebody (agent_work.c) or a message of its own (agent_relay.c).
 *
 * All agents of a cluster beat at the same instant of mesh time, and the clusters are spread evenly
 * over the period: a runner that hosts a cluster merges its beats into one frame, and 30,000 agents
 * never beat together. Each reply carries the lead's time; before the first one mesh time is
 * unknown here, so the first beat follows the welcome at once.
 *
 * Every step ends in a tick that does whatever is due, so that there is one place that looks at
 * timers. A send that finds no room in the outbox is either remembered (task states) or treated as
 * lost on the way, which resends already cover. */
#include "tiers/agent/agent.h"
#include "core/content.h"
#include "core/plant.h"
#include "tiers/agent/agent_state.h"
#include <assert.h>
#include <string.h>

#define HELLO_LEAST_US   (1ll * US_PER_S)
#define HELLO_MOST_US    (5ll * US_PER_S)
#define HELLO_REFUSED_US (15ll * US_PER_S)
#define REJOIN_SPREAD_US (US_PER_S / 2ll)
#define CONTEXT_REF      UINT64_MAX        /* of the one work that is no task's */
#define CONTENT_REF      (UINT64_MAX - 1u) /* of those that are read for others */
#define CONTEXT_S        10
#define NO_CLOCK_US      (US_PER_S / 2ll) /* then twice as long each time; three beats do */
#define NO_TIME_ASKS     4u /* every second; those after them twice as long each time */
#define ASKS_MOST        7u /* three bits */

int64_t agent_mesh(const struct agent *a, int64_t now_us)
{
    return meshtime_now(&a->time, now_us);
}

bool agent_send(struct agent *a, struct outbox *out, struct msg *msg)
{
    assert(a != NULL && out != NULL && msg != NULL);
    assert(msg->type != 0);
    msg->from = a->self;
    msg->to = a->lead;
    msg->epoch = a->incarnation;
    if (!outbox_room(out, 1, msg_extra_bytes(msg))) {
        a->starved = true;
        return false;
    }
    out_send(out, msg);
    return true;
}

void agent_note(struct outbox *out, enum note note, uint64_t x, uint64_t y)
{
    if (outbox_room(out, 1, 0)) {
        out_note(out, note, x, y);
    }
}

static size_t agent_size(const struct node_conf *conf)
{
    assert(conf != NULL);
    assert(conf->self.tier == TIER_AGENT);
    return sizeof(struct agent);
}

/* The phase of this agent's cluster within the beat period. */
static int64_t beat_phase(const struct topology *t, struct unit self, int64_t period_us)
{
    uint32_t clusters = (uint32_t)t->sectors * t->clusters_per_sector;
    uint32_t cluster = (self.sector - 1u) * t->clusters_per_sector + self.cluster - 1u;
    return period_us / clusters * cluster;
}

static void agent_init(void *self, const struct node_conf *conf)
{
    assert(self != NULL && conf != NULL);
    assert(topology_contains(conf->topology, conf->self));
    struct agent *a = self;
    a->self = conf->self;
    a->lead = unit_cluster(conf->self.sector, conf->self.cluster);
    a->uid = conf->uid;
    a->incarnation = conf->epoch;
    a->capabilities = conf->capabilities;
    a->context_hash = conf->context_hash;
    a->facts = conf->facts;
    a->agent_class = (unsigned)conf->agent_class & 15u;
    a->topology = conf->topology;
    assert(conf->handlers_max <= AGENT_TASKS_MAX);
    a->handlers_max = (uint8_t)(conf->handlers_max > 0 ? conf->handlers_max : 1);
    a->beat_us = conf->tuning.agent_beat_us;
    a->spans = conf->tuning.spans;
    a->beat_phase_us = beat_phase(conf->topology, conf->self, a->beat_us);
    a->beat_next_us = NEVER;
    a->hello_next_us = NEVER;
    a->bus_up = true;
    rng_seed(&a->rng, conf->seed, conf->uid);
    meshtime_init(&a->time);
    hosttime_init(&a->host);
    profiler_init(&a->profiler);
    ack_init(a);
}

static void count_ask(struct agent *a)
{
    a->hellos = (uint8_t)(a->hellos < ASKS_MOST ? a->hellos + 1u : ASKS_MOST);
}

static void hello_send(struct agent *a, int64_t now_us, struct outbox *out)
{
    struct msg m = {.type = MSG_HELLO, .priority = PRIORITY_COUNT - 1};
    m.u.hello = (struct hello){.uid = a->uid,
                               .incarnation = a->incarnation,
                               .agent_class = a->agent_class,
                               .capabilities = a->capabilities,
                               .context_hash = a->context_hash,
                               .facts = a->facts};
    if (!agent_send(a, out, &m)) {
        return;
    }
    int64_t wait_us = HELLO_LEAST_US << (a->hellos < 3 ? a->hellos : 3);
    count_ask(a);
    wait_us = wait_us < HELLO_MOST_US ? wait_us : HELLO_MOST_US;
    a->hello_next_us =
        now_us + num_clamp_i64(rng_jitter_us(&a->rng, wait_us, 300), HELLO_LEAST_US, HELLO_MOST_US);
}

/* The next instant of mesh time that belongs to this cluster, on the local clock. */
static int64_t beat_after(struct agent *a, int64_t now_us)
{
    if (!meshtime_ready(&a->time)) {
        /* Without a good clock, effects at T are only about at T: ask again soon, but not for ever:
         * a lead that is slow to answer has more to do than that. Without any idea of the time
         * nothing runs at all: that is asked for every second at first, then less often, because
         * everybody asks while the mesh starts. */
        int64_t most_us = a->beat_us;
        if (!meshtime_known(&a->time)) {
            int64_t soon_us = US_PER_S << (a->hellos > NO_TIME_ASKS ? a->hellos - NO_TIME_ASKS : 0);
            most_us = soon_us < most_us ? soon_us : most_us;
        }
        int64_t wait_us = NO_CLOCK_US << (a->hellos < 4 ? a->hellos : 4);
        count_ask(a);
        wait_us = wait_us < most_us ? wait_us : most_us;
        return now_us + rng_jitter_us(&a->rng, wait_us, 200);
    }
    int64_t mesh_us = agent_mesh(a, now_us) - a->beat_phase_us;
    int64_t rest_us = mesh_us % a->beat_us;
    rest_us += rest_us < 0 ? a->beat_us : 0;
    int64_t next_us = mesh_us - rest_us + a->beat_us + a->beat_phase_us;
    int64_t local_us = meshtime_to_local(&a->time, next_us);
    /* A correction of mesh time may shorten a period, never to nothing. */
    return local_us > now_us + a->beat_us / 100 ? local_us : local_us + a->beat_us;
}

static void beat_send(struct agent *a, int64_t now_us, struct outbox *out)
{
    struct msg m = {.type = MSG_HEARTBEAT, .priority = PRIORITY_COUNT - 1};
    struct impedance *imp = &m.u.heartbeat.impedance;
    m.u.heartbeat.uid = a->uid;
    m.u.heartbeat.incarnation = a->incarnation;
    profiler_report(&a->profiler, now_us, work_queue_depth(a), imp);
    if (a->relay_hour == (uint16_t)(now_us / (3600ll * US_PER_S))) {
        imp->done += a->relays_done;
        imp->failed += a->relays_failed;
    }
    imp->clock_error_us =
        (uint32_t)num_clamp_i64(meshtime_error_us(&a->time, now_us), 0, UINT32_MAX);
    imp->state = a->frozen ? AGENT_FROZEN : AGENT_ACTIVE;
    imp->context_hash = a->context_hash;
    imp->heartbeat_mesh_us = meshtime_ready(&a->time) ? agent_mesh(a, now_us) : 0;
    if (agent_send(a, out, &m)) {
        a->beat_next_us = beat_after(a, now_us);
    }
}

static void rejoin(struct agent *a, int64_t now_us)
{
    a->joined = false;
    a->beat_next_us = NEVER;
    a->hellos = 0;
    a->hello_next_us = now_us + rng_range(&a->rng, 0, REJOIN_SPREAD_US);
}

/* The lead says which context this agent is to hold. A fetch that is not answered is given up; the
 * lead says it again as long as beats tell of another one. */
static void context_want(struct agent *a, int64_t now_us, const struct welcome *w,
                         struct outbox *out)
{
    uint8_t now_s = (uint8_t)(now_us / US_PER_S);
    bool busy = a->context_s != 0 && (uint8_t)(now_s - a->context_s) < CONTEXT_S;
    struct id128 name = content_name(w->content);
    if (!w->has_content || busy || a->frozen || num_id128_equal(name, a->context_hash) ||
        !outbox_room(out, 1, 0)) {
        return;
    }
    struct work_op op = {
        .ref = CONTEXT_REF, .kind = WORK_CONTEXT, .deadline_us = now_us + CONTEXT_S * US_PER_S};
    memcpy(op.content, w->content, sizeof(op.content));
    a->context_s = now_s > 0 ? now_s : 1;
    if (PLANTED(PLANT_EARLY_CONTEXT)) {
        a->context_hash = name;
    }
    out_work(out, &op);
}

/* What it holds now, whether a task or the lead's word brought it: the next beat says so at once.
 */
static void context_heard(struct agent *a, int64_t now_us, const struct work_reply *reply)
{
    if (reply->ref == CONTEXT_REF && reply->final) {
        a->context_s = 0;
    }
    if (reply->context != NULL && !num_id128_equal(*reply->context, a->context_hash)) {
        a->context_hash = *reply->context;
        a->beat_next_us = a->joined ? now_us : a->beat_next_us;
    }
}

/* The lead fetches contexts from who holds them (docs/adr/0027). Asked for what it does not hold it
 * says so; what it is sent it holds, when the runner finds that it is what its key says. */
static void on_content(struct agent *a, int64_t now_us, const struct content_word *word,
                       struct outbox *out)
{
    struct work_op op = {.kind = WORK_CONTEXT,
                         .ref = CONTEXT_REF,
                         .deadline_us = now_us + CONTEXT_S * US_PER_S,
                         .body_bytes = word->bytes,
                         .body = word->body};
    memcpy(op.content, word->hash, sizeof(op.content));
    bool has = num_id128_equal(content_name(word->hash), a->context_hash);
    if (word->ask && !has) {
        struct msg m = {.type = MSG_CONTENT, .priority = 2};
        memcpy(m.u.content.hash, word->hash, sizeof(m.u.content.hash));
        agent_send(a, out, &m);
        return;
    }
    if (word->ask) {
        op.kind = WORK_CONTENT;
        op.ref = CONTENT_REF;
    }
    if ((word->ask || (word->bytes > 0 && !has && !a->frozen)) &&
        outbox_room(out, 1, work_op_extra_bytes(&op))) {
        out_work(out, &op);
    }
}

/* What was read for another agent. */
static void content_read(struct agent *a, const struct work_reply *reply, struct outbox *out)
{
    struct msg m = {.type = MSG_CONTENT, .priority = 2};
    if (reply->ref != CONTENT_REF || reply->answer_bytes < CONTENT_HASH) {
        return;
    }
    m.u.content = (struct content_word){.holder = a->self,
                                        .bytes = reply->answer_bytes - CONTENT_HASH,
                                        .body = reply->answer + CONTENT_HASH};
    memcpy(m.u.content.hash, reply->answer, CONTENT_HASH);
    agent_send(a, out, &m);
}

static void on_welcome(struct agent *a, int64_t now_us, const struct welcome *w, struct outbox *out)
{
    if (w->incarnation != a->incarnation) {
        return; /* for an earlier life of this agent */
    }
    if (!w->accepted) {
        a->joined = false;
        a->beat_next_us = NEVER;
        a->hello_next_us = now_us + rng_jitter_us(&a->rng, HELLO_REFUSED_US, 300);
        return;
    }
    if (w->beat_us >= US_PER_S / 10 && w->beat_us != a->beat_us) {
        a->beat_us = w->beat_us;
        a->beat_phase_us = beat_phase(a->topology, a->self, a->beat_us);
    }
    a->hello_next_us = NEVER;
    a->hellos = 0;
    context_want(a, now_us, w, out);
    if (!a->joined) {
        a->joined = true;
        a->beat_next_us = now_us;
        agent_note(out, NOTE_JOINED, a->uid, unit_pack(a->self));
    }
}

static void on_beat_reply(struct agent *a, int64_t now_us, const struct msg *msg)
{
    const struct beat_reply *r = &msg->u.beat_reply;
    bool locked = meshtime_ready(&a->time);
    enum meshtime_verdict verdict =
        meshtime_exchange(&a->time, now_us, r->time.t1_us, r->time.t2_us, msg->sent_us,
                          msg->recv_us, r->time.mesh_offset_us, r->time.error_us);
    hosttime_told(&a->host, now_us, r->time.unix_ahead_us, r->time.unix_error_us);
    hosttime_apply(&a->host, &a->time, now_us);
    a->mode = (unsigned)r->mode < MODE_COUNT ? r->mode & 15u : MODE_FULL;
    int64_t rtt_us = (msg->recv_us - r->time.t1_us) - (msg->sent_us - r->time.t2_us);
    if (verdict != MESHTIME_INVALID && rtt_us >= 0 && rtt_us <= UINT32_MAX) {
        profiler_latency(&a->profiler, (uint32_t)rtt_us);
    }
    if (!r->known && !PLANTED(PLANT_NO_REJOIN)) {
        rejoin(a, now_us);
    } else if (!locked && meshtime_ready(&a->time) && a->joined) {
        a->beat_next_us = beat_after(a, now_us); /* into the cluster's phase */
    }
}

/* The beat says it at once: the lead counts who stands still. */
static void on_freeze(struct agent *a, int64_t now_us, bool freeze, struct outbox *out)
{
    if (a->frozen != freeze) {
        agent_note(out, freeze ? NOTE_FROZEN : NOTE_THAWED, unit_pack(a->self), 0);
    }
    a->frozen = freeze;
    if (a->joined) {
        a->beat_next_us = now_us;
    }
}

static void on_message(struct agent *a, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    if (!unit_equal(msg->from, a->lead)) {
        agent_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        return;
    }
    if (msg->epoch < a->lead_epoch && !PLANTED(PLANT_SKIP_FENCE)) {
        agent_note(out, NOTE_STALE_EPOCH, unit_pack(msg->from), msg->epoch);
        return;
    }
    if (msg->epoch > a->lead_epoch) {
        a->lead_epoch = msg->epoch;
        work_new_lead(a, now_us);
    }
    switch ((int)msg->type) {
    case MSG_WELCOME:
        on_welcome(a, now_us, &msg->u.welcome, out);
        break;
    case MSG_BEAT_REPLY:
        on_beat_reply(a, now_us, msg);
        break;
    case MSG_OPERATE:
        work_operate(a, now_us, msg, out);
        break;
    case MSG_CANCEL:
        work_cancel(a, &msg->u.cancel);
        break;
    case MSG_FREEZE:
    case MSG_THAW:
        on_freeze(a, now_us, msg->type == MSG_FREEZE, out);
        break;
    case MSG_RELAY:
        work_relayed(a, now_us, msg, out);
        break;
    case MSG_CONTENT:
        on_content(a, now_us, &msg->u.content, out);
        break;
    case MSG_RELAY_ACK:
        relay_acked(a, now_us, &msg->u.relay_ack, out);
        break;
    default:
        agent_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        break;
    }
}

static void on_link(struct agent *a, int64_t now_us, bool up)
{
    bool came = up && !a->bus_up;
    a->bus_up = up;
    if (came && a->joined) {
        /* Soon, but not all agents of the machine at once. */
        a->beat_next_us = now_us + rng_range(&a->rng, 0, 2 * REJOIN_SPREAD_US);
    } else if (came) {
        a->hello_next_us = now_us + rng_range(&a->rng, 0, REJOIN_SPREAD_US);
    }
}

/* Does what is due; returns the next wake. */
static int64_t tick(struct agent *a, int64_t now_us, struct outbox *out)
{
    a->starved = false;
    if (a->bus_up && !a->joined && a->hello_next_us <= now_us) {
        hello_send(a, now_us, out);
    }
    if (a->bus_up && a->joined && a->beat_next_us <= now_us) {
        beat_send(a, now_us, out);
    }
    int64_t work_us = work_tick(a, now_us, out);
    int64_t relay_us = relay_tick(a, now_us, out);
    if (a->starved) {
        return now_us;
    }
    int64_t next_us = work_us < relay_us ? work_us : relay_us;
    if (a->bus_up) { /* without a bus there is nobody to talk to; EV_LINK wakes */
        int64_t talk_us = a->joined ? a->beat_next_us : a->hello_next_us;
        next_us = talk_us < next_us ? talk_us : next_us;
    }
    return next_us > now_us ? next_us : now_us + 1;
}

/* Said even when no welcome came: the lead may have taken the hello. */
static void goodbye(struct agent *a, struct outbox *out)
{
    struct msg m = {.type = MSG_GOODBYE, .priority = PRIORITY_COUNT - 1};
    agent_send(a, out, &m);
    a->joined = false;
}

static int64_t agent_step(void *self, const struct event *event, struct outbox *out)
{
    assert(self != NULL && event != NULL && out != NULL);
    struct agent *a = self;
    int64_t now_us = event->now_us;
    switch (event->kind) {
    case EV_START:
        a->hello_next_us = now_us;
        agent_note(out, NOTE_STARTED, a->incarnation, 0);
        break;
    case EV_MSG:
        on_message(a, now_us, event->u.msg, out);
        break;
    case EV_WORK:
        context_heard(a, now_us, event->u.work);
        content_read(a, event->u.work, out);
        work_reply(a, now_us, event->u.work, out);
        break;
    case EV_LINK:
        if (event->u.link.which == LINK_BUS) {
            on_link(a, now_us, event->u.link.up);
        }
        break;
    case EV_CLOCK:
        hosttime_clock(&a->host, now_us, event->u.clock);
        hosttime_apply(&a->host, &a->time, now_us);
        break;
    case EV_STOP:
        goodbye(a, out);
        return NEVER;
    case EV_WAKE:
    case EV_EVIDENCE: /* to the orchestrator alone */
    case EV_OWNER:    /* to hosts */
    case EV_STORE:    /* an agent asks nothing of the store */
        break;
    }
    return tick(a, now_us, out);
}

/* Beats, by far the most frequent steps, and whatever else finds no operation here and brings none:
 * nothing behind the beginning of the struct is looked at. */
static bool agent_light(const void *self, const struct event *event)
{
    assert(self != NULL && event != NULL);
    const struct agent *a = self;
    if (a->tasks_in != 0 || a->relays_in != 0) {
        return false;
    }
    switch ((int)event->kind) {
    case EV_MSG:
        return event->u.msg->epoch <= a->lead_epoch &&
               (event->u.msg->type == MSG_BEAT_REPLY || event->u.msg->type == MSG_WELCOME);
    case EV_WAKE:
    case EV_LINK:
    case EV_CLOCK:
        return true;
    default:
        return false;
    }
}

const struct node_ops agent_ops = {.name = "agent",
                                   .size = agent_size,
                                   .init = agent_init,
                                   .step = agent_step,
                                   .light_bytes = offsetof(struct agent, seen),
                                   .light = agent_light};
