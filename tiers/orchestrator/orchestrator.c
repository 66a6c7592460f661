/* The root. Most of what it does an inner node does (core/hub.h); its own are the mesh's time, the
 * operational mode (decided once a second from the merged summaries, told down in beat replies),
 * the mesh breaker over tripped sectors, the status with the KPIs of spec 8.1, freezing, and the
 * mesh's record and history in the registry.
 *
 * What must survive it is in the registry: what is frozen, what is routed around, the jobs. Sectors
 * come back with their beats within a second, and say where the chain of orders stands
 * (core/hub_order.h); leads and sectors serve on without it. */
#include "tiers/orchestrator/orchestrator.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include "tiers/orchestrator/orchestrator_strategy.h"
#include "tiers/orchestrator/orchestrator_threat.h"
#include <assert.h>
#include <string.h>

#define SUMMARY_US     (5ll * US_PER_S)
#define HISTORY_US     (60ll * US_PER_S)
#define STORE_REPLY_US (5ll * US_PER_S) /* a reply later than this is not waited for */

struct query *own_query(struct orchestrator *o, enum query_kind kind, uint64_t *ret_ref)
{
    assert(o != NULL && ret_ref != NULL);
    struct command *command = &o->command;
    memset(command, 0, sizeof(*command));
    command->kind = COMMAND_QUERY;
    command->ref = ++o->hub.next_ref;
    command->query.kind = kind;
    command->query.from_start = true;
    *ret_ref = command->ref;
    return &command->query;
}

void own_query_send(struct orchestrator *o)
{
    assert(o != NULL && o->command.kind == COMMAND_QUERY);
    struct msg m = {.type = MSG_COMMAND, .from = o->hub.self, .to = o->hub.self};
    m.u.command = &o->command;
    hub_query_command(&o->hub, &m);
}

/* The hub's block follows the struct. */
static size_t own_size(void)
{
    return (sizeof(struct orchestrator) + 15u) & ~(size_t)15u;
}

static size_t orchestrator_size(const struct node_conf *conf)
{
    return own_size() + hub_bytes(conf);
}

/* The hub is the first member. */
static bool on_reply(struct hub *h, struct unit to, const struct reply *reply)
{
    struct orchestrator *o = (struct orchestrator *)(void *)h;
    if (unit_equal(to, h->self)) {
        if (!isolate_reply(o, reply) && !move_reply(o, reply) && !scale_reply(o, reply)) {
            strategy_reply(o, reply);
        }
        return true;
    }
    audit_reply(o, reply);
    jobs_reply(&o->jobs, h, to, reply);
    return false;
}

static void orchestrator_init(void *self, const struct node_conf *conf)
{
    assert(self != NULL && conf != NULL && conf->self.tier == TIER_ORCHESTRATOR);
    struct orchestrator *o = self;
    hub_init(&o->hub, (uint8_t *)self + own_size(), conf);
    hub_order_init(&o->hub, &o->orders, conf);
    o->tick_us = NEVER;
    o->judge_us = NEVER;
    o->summary_us = NEVER;
    o->history_us = NEVER;
    o->store_timeout_us = NEVER;
    o->frozen_until_us = NEVER;
    o->conflicts.load.due_us = NEVER;
    o->conflicts.next_us = NEVER;
    logbook_init(&o->logbook);
    o->hub.on_reply = on_reply;
    o->hub.on_hold = held_take;
    o->held.next_us = NEVER;
    o->jobs.waits = held_state;
}

static void start(struct orchestrator *o)
{
    int64_t now = o->hub.now_us;
    o->tick_us = now + o->hub.tuning.tier_beat_us;
    o->counted_us = now;
    o->summary_us = now + rng_jitter_us(&o->hub.rng, SUMMARY_US, 100);
    o->history_us = now + HISTORY_US;
    conflicts_start(o);
    incidents_start(o);
    kpi_start(&o->kpi, &o->hub);
}

/* --- once a second -----------------------------------------------------------------------------
 */

static uint32_t sectors_tripped(const struct hub *h)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->children_count; i++) {
        n += h->child[i].circuit == CIRCUIT_OPEN ? 1 : 0;
    }
    return n;
}

/* It is said in the log, in the audit, and by every console's prompt; what waits is looked at. In
 * an emergency what is known goes into the registry at once (spec 6.3: preserve state). */
static void change_mode(struct orchestrator *o, enum mode mode, uint64_t permille)
{
    struct hub *h = &o->hub;
    enum mode before = h->mode;
    hub_mode(h, mode);
    hub_note(h, NOTE_MODE, (uint64_t)mode, permille);
    hub_order_state(h);
    if (before != MODE_STARTING) {
        audit_mode(o, before, permille);
    }
    if (mode == MODE_EMERGENCY) {
        o->summary_us = o->history_us = h->now_us;
    }
    if (o->held.count > 0) {
        o->held.next_us = h->now_us;
    }
}

/* A sector tells in which mode the mesh was under an orchestrator before this one. What that
 * forbids stays forbidden: STARTING, which forbids nothing, is for a mesh that nobody has seen at
 * 95 %. If they tell several, the worst of them. */
static void mode_told(struct orchestrator *o, const struct msg *beat)
{
    struct hub *h = &o->hub;
    enum mode told = beat->u.beat->mode;
    uint32_t child = hub_child_index(h, beat->from);
    bool open = h->mode == MODE_STARTING || o->judge_us != NEVER;
    if (!open || told <= h->mode || children_epoch(&h->children, child) != beat->epoch) {
        return;
    }
    hub_mode(h, told);
    o->judge_us = o->judge_us != NEVER ? o->judge_us : h->now_us + h->tuning.tier_failed_us;
    hub_order_state(h);
}

/* Such a mode is not judged anew before all sectors are here that live: whom this orchestrator has
 * not heard of yet is not lost. */
static bool may_judge(struct orchestrator *o)
{
    const struct hub *h = &o->hub;
    bool wait = o->judge_us != NEVER && o->judge_us > h->now_us, missing = false;
    for (uint32_t i = 0; wait && !missing && i < h->children_count; i++) {
        missing = hub_child_agents(h, i) > 0 && !h->child[i].has_summary;
    }
    o->judge_us = missing ? o->judge_us : NEVER;
    return !missing;
}

static void tick(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    if (h->now_us < o->tick_us) {
        return;
    }
    if (!may_judge(o)) {
        o->counted_us = h->now_us;
        o->tick_us = h->now_us + h->tuning.tier_beat_us;
        return;
    }
    struct summary s;
    hub_summary(h, &s);
    enum mode mode = mode_update(h->mode, s.active, s.agents > 0 ? s.agents : 1);
    if (mode != h->mode) {
        change_mode(o, mode, s.agents > 0 ? (uint64_t)s.active * 1000u / s.agents : 0);
    }
    /* KPI mesh_availability (spec 11): time with 95 % of the agents active, once the mesh had
     * started. A step that comes late (a pause of this process) counts two beats at most. */
    int64_t passed = h->now_us - o->counted_us;
    passed = passed > 2 * h->tuning.tier_beat_us ? 2 * h->tuning.tier_beat_us : passed;
    if (mode != MODE_STARTING) {
        o->observed_us += (uint64_t)passed;
        o->available_us +=
            (uint64_t)s.active * 100u >= (uint64_t)s.agents * 95u ? (uint64_t)passed : 0;
    }
    o->counted_us = h->now_us;
    o->tick_us = h->now_us + h->tuning.tier_beat_us;
    hub_circuit(h, breaker_level(&h->breaker, h->now_us, sectors_tripped(h), &h->rng));
}

static void write_store(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    if (o->store_ref != 0 && h->now_us >= o->store_timeout_us) {
        hub_note(h, NOTE_STORE_LATE, o->store_ref, STORE_PUT);
        o->store_ref = 0;
        o->store_timeout_us = NEVER;
    }
    bool history = h->now_us >= o->history_us;
    if (o->store_ref != 0 || !h->store_up || (!history && h->now_us < o->summary_us)) {
        return;
    }
    if (!outbox_room(h->out, 2, 8192)) {
        h->short_of_room = true;
        return;
    }
    o->store_ref = ++h->next_ref;
    o->store_timeout_us = h->now_us + STORE_REPLY_US;
    hub_store_summary(h, "mesh", history, o->store_ref);
    if (history) {
        o->history_us = h->now_us + HISTORY_US;
    } else {
        o->summary_us = h->now_us + SUMMARY_US;
    }
}

static void stored(struct orchestrator *o, const struct store_reply *reply)
{
    if (freeze_stored(o, reply) || routing_stored(o, reply) || breakers_stored(o, reply) ||
        move_stored(o, reply) || scale_stored(o, reply) || log_stored(o, reply) ||
        conflicts_stored(o, reply) || incidents_stored(o, reply) ||
        kpi_stored(&o->kpi, &o->hub, reply) || jobs_stored(&o->jobs, &o->hub, reply) ||
        reply->ref != o->store_ref) {
        return;
    }
    if (reply->verdict != STORE_OK) {
        hub_note(&o->hub, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
    }
    o->store_ref = 0;
    o->store_timeout_us = NEVER;
}

static int64_t next_wake(const struct orchestrator *o)
{
    int64_t wake = o->tick_us < o->store_timeout_us ? o->tick_us : o->store_timeout_us;
    int64_t freeze_us = freeze_next_us(o);
    wake = freeze_us < wake ? freeze_us : wake;
    if (o->store_ref == 0 && o->hub.store_up) {
        wake = o->summary_us < wake ? o->summary_us : wake;
        wake = o->history_us < wake ? o->history_us : wake;
    }
    return wake;
}

/* --- consoles --- */

static void status(struct orchestrator *o, const struct msg *msg)
{
    struct mesh_status s;
    hub_status(&o->hub, &s);
    s.sectors = o->hub.children_count;
    for (uint32_t i = 0; i < o->hub.children_count; i++) {
        s.sectors_up += children_reachable(&o->hub.children, i) ? 1 : 0;
    }
    held_count(o, &s.waiting, &s.approvals);
    s.orders_epoch = o->orders.head.epoch;
    s.orders_seq = o->orders.head.seq;
    s.orders_head = s.orders_seq > 0 ? order_short(o->orders.head.hash) : 0;
    s.orders_agree = hub_order_agree(&o->hub);
    struct reply r = {
        .ref = msg->u.command->ref, .kind = REPLY_STATUS, .final = true, .status = &s};
    hub_reply(&o->hub, msg->from, &r);
}

static void command(struct orchestrator *o, const struct msg *msg)
{
    if (!audit_begin(o, msg)) {
        return;
    }
    struct msg approved;
    if (!hub_key_allows(&o->hub, msg) || !threats_prove_person(o, msg)) {
        audit_end(o);
        return;
    }
    if (msg->u.command->kind == COMMAND_SECOND && second_approved(o, msg, &approved)) {
        msg = &approved;
    } else if (msg->u.command->kind == COMMAND_SECOND || !threats_allow(o, msg) ||
               second_holds(o, msg)) {
        audit_end(o);
        return;
    }
    jobs_command(&o->jobs, msg->u.command);
    if (!jobs_query(&o->jobs, &o->hub, msg) && !kpi_query(&o->kpi, &o->hub, msg) &&
        !held_command(o, msg) && !hub_message(&o->hub, msg)) {
        switch ((int)msg->u.command->kind) {
        case COMMAND_STATUS:
            status(o, msg);
            break;
        case COMMAND_FREEZE:
        case COMMAND_THAW:
            freeze_command(o, msg);
            break;
        case COMMAND_HEAL:
            heal_command(o, msg);
            break;
        case COMMAND_BREAKER:
            breaker_command(o, msg);
            break;
        case COMMAND_LOG:
            log_command(o, msg);
            break;
        case COMMAND_RESOLVE:
            conflicts_resolve(o, msg);
            break;
        case COMMAND_ROUTE:
            routing_command(o, msg);
            break;
        case COMMAND_MOVE:
            move_command(o, msg);
            break;
        case COMMAND_SCALE:
            scale_command(o, msg);
            break;
        case COMMAND_ISOLATE:
            isolate_command(o, msg);
            break;
        case COMMAND_THREAT:
            threats_command(o, msg);
            break;
        default:
            hub_reply_error(&o->hub, msg, REASON_INVALID, "command: unknown kind");
            break;
        }
    }
    jobs_command(&o->jobs, NULL);
    audit_end(o);
}

static void message(struct orchestrator *o, const struct msg *msg)
{
    if (msg->type == MSG_COMMAND) {
        command(o, msg);
    } else if (hub_message(&o->hub, msg)) {
        if (msg->type == MSG_BEAT) {
            mode_told(o, msg);
        }
    } else if (msg->type == MSG_CONFLICT) {
        conflicts_report(o, msg);
    } else {
        hub_note(&o->hub, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
    }
}

static int64_t orchestrator_step(void *self, const struct event *event, struct outbox *out)
{
    assert(self != NULL && event != NULL && out != NULL);
    struct orchestrator *o = self;
    hub_begin(&o->hub, event, out);
    switch (event->kind) {
    case EV_START:
        start(o);
        break;
    case EV_MSG:
        message(o, event->u.msg);
        break;
    case EV_STORE:
        stored(o, event->u.store);
        break;
    case EV_LINK:
        hub_link(&o->hub, event->u.link.which, event->u.link.up);
        if (event->u.link.which == LINK_STORE) {
            moves_link(o, event->u.link.up);
            scale_link(o, event->u.link.up);
        }
        break;
    case EV_CLOCK:
        hosttime_clock(&o->hub.host, event->now_us, event->u.clock);
        break;
    case EV_EVIDENCE:
        threats_evidence(o, event->u.evidence);
        break;
    case EV_WAKE:
    case EV_WORK:
    case EV_OWNER:
    case EV_STOP:
        break;
    }
    tick(o);
    int64_t threats_us = threats_tick(o);
    freeze_store_tick(o);
    int64_t routing_us = routing_tick(o);
    int64_t breakers_us = breakers_tick(o);
    int64_t move_us = moves_tick(o);
    int64_t scale_us = scale_tick(o);
    watch_tick(o);
    int64_t held_us = held_tick(o);
    o->orders.complete = o->frozen_loaded;
    hub_pump(&o->hub);
    audit_orders(o);
    write_store(o);
    int64_t wake = next_wake(o);
    wake = routing_us < wake ? routing_us : wake;
    wake = breakers_us < wake ? breakers_us : wake;
    wake = move_us < wake ? move_us : wake;
    wake = scale_us < wake ? scale_us : wake;
    wake = held_us < wake ? held_us : wake;
    wake = threats_us < wake ? threats_us : wake;
    int64_t conflicts_us = conflicts_tick(o);
    int64_t incident_us = incidents_tick(o);
    int64_t log_us = log_tick(o);
    wake = incident_us < wake ? incident_us : wake;
    int64_t jobs_us = jobs_store_tick(&o->jobs, &o->hub);
    wake = jobs_us < wake ? jobs_us : wake;
    jobs_us = jobs_tick(&o->jobs, &o->hub);
    wake = jobs_us < wake ? jobs_us : wake;
    int64_t kpi_us = kpi_tick(&o->kpi, &o->hub, o->observed_us, o->available_us,
                              o->frozen_loaded && o->routing.loaded);
    wake = kpi_us < wake ? kpi_us : wake;
    wake = conflicts_us < wake ? conflicts_us : wake;
    return hub_end(&o->hub, log_us < wake ? log_us : wake);
}

const struct node_ops orchestrator_ops = {.name = "orchestrator",
                                          .size = orchestrator_size,
                                          .init = orchestrator_init,
                                          .step = orchestrator_step};
