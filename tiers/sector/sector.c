/* A sector. Most of what it does an inner node does (core/hub.h); its own are the parent above, the
 * routes of the agents' messages (sector_relay.c) and its record in the registry.
 *
 * Autonomy (spec 2.1): nothing here waits for the orchestrator. Mesh time goes on from the last
 * estimate; the mode is then judged from the own summary; operations and queries of a console are
 * admitted here when all their places lie here. What the orchestrator had begun is finished and its
 * results are sent to it whether it hears or not: it will have answered by its own deadline. */
#include "tiers/sector/sector.h"
#include "core/hub_resume.h"
#include "core/text.h"
#include "tiers/sector/sector_state.h"
#include <assert.h>
#include <string.h>

#define SUMMARY_US     (5ll * US_PER_S)
#define STORE_REPLY_US (5ll * US_PER_S)
#define SUMMARY_BEATS  5u /* every fifth beat carries the summary (or when `active` changed) */

static size_t own_size(void)
{
    return (sizeof(struct sector) + 15u) & ~(size_t)15u;
}

static size_t sector_size(const struct node_conf *conf)
{
    return own_size() + hub_bytes(conf);
}

static void sector_init(void *self, const struct node_conf *conf)
{
    assert(self != NULL && conf != NULL && conf->self.tier == TIER_SECTOR);
    struct sector *s = self;
    hub_init(&s->hub, (uint8_t *)self + own_size(), conf);
    children_init(&s->parent, &s->parent_row, 1, conf->tuning.tier_suspect_us,
                  conf->tuning.tier_failed_us);
    struct text t;
    text_init(&t, s->shard, sizeof(s->shard));
    text_unit(&t, conf->self);
    s->digest = conf->digest;
    assert(s->digest != NULL);
    s->beat_us = NEVER;
    s->move_us = NEVER;
    s->grow_us = NEVER;
    s->summary_us = NEVER;
    s->store_timeout_us = NEVER;
}

static void start(struct sector *s)
{
    /* Spread over the period, so that a hundred sectors do not beat at once. */
    struct hub *h = &s->hub;
    s->beat_us = h->now_us + rng_range(&h->rng, 0, h->tuning.tier_beat_us / 4);
    s->summary_us = h->now_us + rng_jitter_us(&h->rng, SUMMARY_US, 200);
}

/* --- the parent --------------------------------------------------------------------------------
 */

static void beat(struct sector *s)
{
    struct hub *h = &s->hub;
    if (h->now_us < s->beat_us) {
        return;
    }
    struct beat b = {
        .orders = s->orders.head, .orders_missed = s->orders_missed, .mode = s->state_mode};
    hub_summary(h, &b.summary);
    uint32_t contexts = b.summary.astray + b.summary.synced + b.summary.synced_far;
    b.has_summary = s->beats % SUMMARY_BEATS == 0 || b.summary.active != s->told_active ||
                    b.summary.frozen != s->told_frozen || contexts != s->told_contexts ||
                    b.summary.circuits_open != s->told_circuits ||
                    b.summary.durable_away != s->told_durable_away;
    struct msg m = hub_msg(h, MSG_BEAT, unit_orchestrator(), 3);
    m.u.beat = &b;
    if (!hub_fits(h, &m)) {
        return;
    }
    out_send(h->out, &m);
    s->orders_missed = false;
    s->beaten_us = h->now_us;
    s->beats = b.has_summary ? 1 : s->beats + 1;
    s->told_active = b.summary.active;
    s->told_frozen = b.summary.frozen;
    s->told_contexts = contexts;
    s->told_circuits = b.summary.circuits_open;
    s->told_durable_away = b.summary.durable_away;
    int64_t period = h->tuning.tier_beat_us;
    s->beat_us = s->beat_us + period > h->now_us ? s->beat_us + period : h->now_us + period;
    if (s->parent_down) {
        /* Alone: the mode is judged by what is here. */
        uint32_t agents = b.summary.agents > 0 ? b.summary.agents : 1;
        enum mode mode = mode_update(h->mode, b.summary.active, agents);
        if (mode != h->mode) {
            hub_mode(h, mode);
            hub_note(h, NOTE_MODE, (uint64_t)mode, (uint64_t)b.summary.active * 1000u / agents);
        }
    }
}

static void beat_reply(struct sector *s, const struct msg *msg)
{
    struct hub *h = &s->hub;
    const struct beat_reply *r = &msg->u.beat_reply;
    (void)meshtime_exchange(&h->time, h->now_us, r->time.t1_us, r->time.t2_us, msg->sent_us,
                            msg->recv_us, r->time.mesh_offset_us, r->time.error_us);
    hosttime_told(&h->host, h->now_us, r->time.unix_ahead_us, r->time.unix_error_us);
    (void)hosttime_apply(&h->host, &h->time, h->now_us);
    if (!r->known) {
        s->beats = 0; /* it starts from nothing: the next beat carries the summary */
    }
}

static void watch_parent(struct sector *s)
{
    struct hub *h = &s->hub;
    struct child_event e;
    while (children_tick(&s->parent, h->now_us, &e)) {
        if (e.kind == CHILD_EVENT_DOWN) {
            s->parent_down = true;
            h->mesh_open = false; /* what it said of the mesh holds no longer */
            hub_note(h, NOTE_PARENT_DOWN, unit_pack(unit_orchestrator()),
                     (uint64_t)(e.silent_us / US_PER_MS));
        }
    }
}

/* False: an orchestrator that has been replaced. */
static bool heard_parent(struct sector *s, const struct msg *msg)
{
    struct hub *h = &s->hub;
    enum children_verdict v = children_heard(&s->parent, 0, h->now_us, msg->epoch);
    if (v == CHILDREN_STALE) {
        hub_note(h, NOTE_STALE_EPOCH, unit_pack(msg->from), msg->epoch);
        return false;
    }
    if (v != CHILDREN_SAME) {
        s->parent_down = false;
        s->beats = 0;
        sector_ordered(s);
        hub_note(h, NOTE_PARENT_UP, unit_pack(msg->from), msg->epoch);
    }
    return true;
}

/* Conflicts pass without being kept: the lead has them until they are in the log. What is urgent
 * (priority 3 and 4) is noted here as well: it is the sector's business (spec 5.1). */
static void pass_conflict(struct sector *s, const struct msg *msg)
{
    struct hub *h = &s->hub;
    const struct conflict_report *r = msg->u.conflict;
    if (r->agent.sector != msg->from.sector || r->agent.cluster != msg->from.cluster) {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
        return;
    }
    if (conflict_priority(r->type, r->divergence_depth, r->agents_affected) >= 3) {
        hub_note(h, NOTE_CONFLICT_URGENT, r->id, unit_pack(r->agent));
    }
    struct msg up = hub_msg(h, MSG_CONFLICT, unit_orchestrator(), 1);
    up.u.conflict = r;
    if (hub_fits(h, &up)) {
        out_send(h->out, &up);
    }
}

static void send_down(struct sector *s, const struct msg *down)
{
    if (down->to.sector == s->hub.self.sector && topology_contains(s->hub.topology, down->to) &&
        hub_fits(&s->hub, down)) {
        out_send(s->hub.out, down);
    }
}

static void pass_ack(struct sector *s, const struct msg *msg)
{
    struct unit agent = msg->u.conflict_ack.agent;
    struct msg down = hub_msg(&s->hub, MSG_CONFLICT_ACK, unit_cluster(agent.sector, agent.cluster),
                              msg->priority);
    down.u.conflict_ack = msg->u.conflict_ack;
    send_down(s, &down);
}

void sector_isolate(struct sector *s, const struct isolate *isolate)
{
    struct unit lead = unit_cluster(isolate->agent.sector, isolate->agent.cluster);
    struct msg down = hub_msg(&s->hub, MSG_ISOLATE, lead, 3);
    down.u.isolate = *isolate;
    send_down(s, &down);
}

static void parent_message(struct sector *s, const struct msg *msg)
{
    struct hub *h = &s->hub;
    if (!heard_parent(s, msg)) {
        return;
    }
    if (msg->type == MSG_BEAT_REPLY) {
        beat_reply(s, msg);
    } else if (msg->type == MSG_OPERATE) {
        hub_operate_message(h, msg);
    } else if (msg->type == MSG_RESUME) {
        hub_resume_message(h, msg);
    } else if (msg->type == MSG_PREPARE) {
        hub_prepare_message(h, msg);
    } else if (msg->type == MSG_QUERY) {
        hub_query_message(h, msg);
    } else if (msg->type == MSG_CONFLICT_ACK) {
        pass_ack(s, msg);
    } else if (msg->type == MSG_ORDER) {
        sector_order(s, msg);
    } else {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
    }
}

/* --- consoles, hosts ---------------------------------------------------------------------------
 */

static void status(struct sector *s, const struct msg *msg)
{
    struct mesh_status st;
    hub_status(&s->hub, &st);
    st.sectors = 1;
    st.sectors_up = 1;
    struct reply r = {
        .ref = msg->u.command->ref, .kind = REPLY_STATUS, .final = true, .status = &st};
    hub_reply(&s->hub, msg->from, &r);
}

static void freeze(struct sector *s, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    struct hub *h = &s->hub;
    bool mine = (c->scope.tier == TIER_SECTOR || c->scope.tier == TIER_CLUSTER) &&
                c->scope.sector == h->self.sector && topology_contains(h->topology, c->scope);
    if (!mine) {
        hub_reply_error(h, msg, REASON_NOT_MINE, "scope: this sector or one of its clusters");
        return;
    }
    const struct freeze *at = NULL;
    char why[TEXT_BYTES_MAX];
    struct freeze f = {.scope = c->scope, .at_mesh_us = hub_mesh_now(h)};
    freeze_name(c->name, f.at_mesh_us, f.preserve_state_to);
    enum freezer_verdict v =
        hub_freeze(h, c->kind == COMMAND_FREEZE ? MSG_FREEZE : MSG_THAW, &f, &at);
    if (v != FREEZER_OK) {
        freezer_why(v, c->scope, at, why);
        hub_reply_error(h, msg, REASON_INVALID, why);
        return;
    }
    hub_reply_ok(h, msg);
}

static void message(struct sector *s, const struct msg *msg)
{
    struct hub *h = &s->hub;
    if (msg->from.tier == TIER_ORCHESTRATOR) {
        parent_message(s, msg);
    } else if (msg->type == MSG_COMMAND && !hub_key_allows(h, msg)) {
        return;
    } else if (hub_message(h, msg)) {
        if (msg->type == MSG_BEAT) {
            sector_frozen(s, msg);
            sector_move_tell(s, hub_child_index(h, msg->from));
            sector_grow_tell(s, hub_child_index(h, msg->from));
        }
    } else if (msg->type == MSG_MOVE) {
        sector_move(s, msg);
    } else if (msg->type == MSG_RELAY) {
        sector_relay(s, msg);
    } else if (msg->type == MSG_RELAY_ACK) {
        sector_relay_ack(s, msg);
    } else if (msg->type == MSG_CONTENT) {
        sector_content(s, msg);
    } else if (msg->type == MSG_CONFLICT) {
        pass_conflict(s, msg);
    } else if (msg->type == MSG_HOST_REPORT) {
        sector_host_report(s, msg);
    } else if (msg->type == MSG_HEAL) {
        sector_replace(s, msg);
    } else if (msg->type == MSG_COMMAND && msg->u.command->kind == COMMAND_STATUS) {
        status(s, msg);
    } else if (msg->type == MSG_COMMAND &&
               (msg->u.command->kind == COMMAND_FREEZE || msg->u.command->kind == COMMAND_THAW)) {
        freeze(s, msg);
    } else if (msg->type == MSG_COMMAND) {
        hub_reply_error(h, msg, REASON_INVALID, "command: unknown kind");
    } else {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
    }
}

/* --- registry ----------------------------------------------------------------------------------
 */

static void write_store(struct sector *s)
{
    struct hub *h = &s->hub;
    if (s->store_ref != 0 && h->now_us >= s->store_timeout_us) {
        hub_note(h, NOTE_STORE_LATE, s->store_ref, STORE_PUT);
        s->store_ref = 0;
        s->store_timeout_us = NEVER;
    }
    if (s->store_ref != 0 || !h->store_up || h->now_us < s->summary_us) {
        return;
    }
    if (!outbox_room(h->out, 2, 8192)) {
        h->short_of_room = true;
        return;
    }
    s->store_ref = ++h->next_ref;
    s->store_timeout_us = h->now_us + STORE_REPLY_US;
    s->summary_us = h->now_us + SUMMARY_US;
    hub_store_summary(h, s->shard, false, s->store_ref);
}

static void stored(struct sector *s, const struct store_reply *reply)
{
    if (reply->ref != s->store_ref) {
        return;
    }
    if (reply->verdict != STORE_OK) {
        hub_note(&s->hub, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
    }
    s->store_ref = 0;
    s->store_timeout_us = NEVER;
}

static int64_t next_wake(const struct sector *s)
{
    int64_t wake = s->beat_us < s->store_timeout_us ? s->beat_us : s->store_timeout_us;
    wake = s->move_us < wake ? s->move_us : wake;
    wake = s->grow_us < wake ? s->grow_us : wake;
    int64_t parent = children_next_us(&s->parent);
    wake = parent < wake ? parent : wake;
    return s->store_ref == 0 && s->hub.store_up && s->summary_us < wake ? s->summary_us : wake;
}

static int64_t sector_step(void *self, const struct event *event, struct outbox *out)
{
    assert(self != NULL && event != NULL && out != NULL);
    struct sector *s = self;
    hub_begin(&s->hub, event, out);
    (void)children_step(&s->parent, event->now_us);
    switch (event->kind) {
    case EV_START:
        start(s);
        break;
    case EV_MSG:
        message(s, event->u.msg);
        break;
    case EV_STORE:
        stored(s, event->u.store);
        break;
    case EV_LINK:
        hub_link(&s->hub, event->u.link.which, event->u.link.up);
        if (event->u.link.which == LINK_BUS) {
            children_link(&s->parent, event->now_us, event->u.link.up);
        }
        break;
    case EV_CLOCK:
        hosttime_clock(&s->hub.host, event->now_us, event->u.clock);
        (void)hosttime_apply(&s->hub.host, &s->hub.time, event->now_us);
        break;
    case EV_WAKE:
    case EV_WORK:
    case EV_EVIDENCE:
    case EV_OWNER:
    case EV_STOP:
        break;
    }
    watch_parent(s);
    beat(s);
    hub_pump(&s->hub);
    sector_relay_pump(s);
    sector_move_tick(s);
    sector_grow_tick(s);
    write_store(s);
    int64_t content_us = sector_content_tick(s), other_us = next_wake(s);
    int64_t wake = hub_end(&s->hub, content_us < other_us ? content_us : other_us);
    children_wake(&s->parent, wake);
    return wake;
}

const struct node_ops sector_ops = {
    .name = "sector", .size = sector_size, .init = sector_init, .step = sector_step};
