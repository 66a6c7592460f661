/* Threats (core/threat.h) at the root: the evidence comes in, the answer goes out in the same step,
 * and each change is a row `threat` of the audit log. Answers (spec 9.2):
 *
 *   a process (host, lead, sector, second orchestrator, console)
 *                  every process refuses it (FX_EXCLUDE), which ends it; a standby takes its units
 *                  over; the leads of its agents have these in quarantine at once, and are told
 *                  again every TELL_AGAIN_US, for a lead may be replaced
 *   ... that may command: the mesh is frozen besides, and not thawed before the threat is cleared
 *   somebody who orders sectors in the orchestrator's name
 *                  the mesh is frozen, by an order above those
 *   an agent       its lead has it in quarantine already (cluster_consensus.c)
 *   a cluster, a sector   its breaker opens by hand: nothing is routed there
 *   claims of times  the lead has locked what it learnt, and calibrates; it is over when the lead
 *                  says so (its incident has ended), or by clearing
 *
 * Clearing undoes the answer, except the freeze: `thaw` is a decision of its own. */
#include "tiers/orchestrator/orchestrator_threat.h"
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_strategy.h"
#include <assert.h>
#include <string.h>

#define TELL_AGAIN_US (5ll * US_PER_S)
#define THREATS_SHOWN 32u /* of a list: as many lines as fit one step */

static bool is_process(const struct threat *t)
{
    return t->evidence.accused[0] != '\0';
}

/* Nothing is routed to it until the threat is cleared. */
static bool cuts_off(const struct threat *t)
{
    return t->kind == THREAT_CLUSTER_COMPROMISE || t->kind == THREAT_SECTOR_COMPROMISE;
}

static void who_text(const struct threat *t, struct text *text)
{
    if (t->unit.tier == TIER_ORCHESTRATOR) {
        text_add(text, "somebody in the orchestrator's name");
    } else if (is_process(t)) {
        text_add(text, "process ");
        text_add_safe(text, t->evidence.accused, strlen(t->evidence.accused));
    } else {
        text_unit(text, t->unit);
    }
}

static const char *answer_text(const struct threat *t)
{
    if (t->state == THREAT_SUSPECTED) {
        return "nothing so far";
    }
    if (t->unit.tier == TIER_ORCHESTRATOR) {
        return "the mesh is frozen; who ordered is in the rows order-fork";
    }
    if (t->kind == THREAT_ORCHESTRATOR_COMPROMISE) {
        return "shut out of the mesh, and the mesh is frozen";
    }
    if (t->kind == THREAT_TIMING_ATTACK) {
        return "impedances locked as they were before; the lead calibrates by its own clock";
    }
    if (is_process(t)) {
        return "shut out of the mesh; its agents in quarantine, its units to a standby";
    }
    return t->unit.tier == TIER_AGENT ? "in quarantine by its lead"
                                      : "breaker open: nothing is routed there";
}

static void evidence_text(const struct threat *t, struct text *text)
{
    text_u64(text, t->count);
    if (!is_process(t)) {
        text_add(text,
                 t->kind == THREAT_TIMING_ATTACK
                     ? " agents or more shifted their times together, against the lead's clock"
                 : t->unit.tier == TIER_AGENT   ? " answers against a quorum"
                 : t->unit.tier == TIER_CLUSTER ? " agents against their quorums"
                 : t->unit.tier == TIER_SECTOR  ? " clusters compromised"
                                                : " sectors follow orders that were not given");
        return;
    }
    text_add(text, " x ");
    text_add_safe(text, t->evidence.check, strlen(t->evidence.check));
    if (t->evidence.accuser[0] != '\0') {
        text_add(text, ", told by ");
        text_add_safe(text, t->evidence.accuser, strlen(t->evidence.accuser));
    }
    if (t->second[0] != '\0') {
        text_add(text, " and ");
        text_add_safe(text, t->second, strlen(t->second));
    }
}

/* Without room the row is lost, and said to be: an answer never waits for the log. */
static void say(struct orchestrator *o, const struct threat *t, const char *state, const char *by)
{
    if (o->hub.tuning.no_log) {
        return;
    }
    struct logbook_row *row = log_row(o, LOG_AUDIT, 0, "threat", threat_kind_name(t->kind),
                                      is_process(t) ? o->hub.self : t->unit);
    if (row == NULL) {
        hub_note(&o->hub, NOTE_STORE_REFUSED, STORE_LOG_APPEND, 0);
        return;
    }
    struct text text;
    row->priority = 4;
    num_format_hex64(t->id, row->subject);
    text_init(&text, row->actor, sizeof(row->actor));
    text_add_safe(&text, by, strlen(by));
    text_init(&text, row->body, sizeof(row->body));
    text_add(&text, "{\"state\": \"");
    text_add(&text, state);
    text_add(&text, "\", \"who\": \"");
    who_text(t, &text);
    text_add(&text, "\", \"evidence\": \"");
    evidence_text(t, &text);
    text_add(&text, "\", \"done\": \"");
    text_add(&text, t->state == THREAT_CLEARED ? "undone" : answer_text(t));
    text_add(&text, "\", \"answered_ms\": ");
    text_ms(&text, t->answered_us - t->detected_us, 3);
    text_char(&text, '}');
    row->body_bytes = (uint32_t)text.used;
}

/* --- answers ----------------------------------------------------------------------------------
 */

static void freeze_mesh(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    struct freeze f = {.scope = unit_orchestrator(), .at_mesh_us = hub_mesh_now(h)};
    const struct freeze *at = NULL;
    freeze_name("", f.at_mesh_us, f.preserve_state_to);
    if (hub_freeze(h, MSG_FREEZE, &f, &at) == FREEZER_OK) { /* else it stands still already */
        o->frozen_dirty = true;
        o->frozen_loaded = true;
    }
}

/* Whether an agent makes its cluster one, a cluster its sector. */
static void follow(struct orchestrator *o, struct unit u)
{
    const struct topology *topology = o->hub.topology;
    if (u.tier == TIER_AGENT) {
        struct unit c = topology_parent(u);
        (void)threat_cluster(&o->threats, c, topology_cluster_agents(topology, c), o->hub.now_us);
    } else if (u.tier == TIER_CLUSTER) {
        (void)threat_sector(&o->threats, unit_sector(u.sector),
                            topology_sector_clusters(topology, u.sector), o->hub.now_us);
    }
}

static void answer(struct orchestrator *o, struct threat *t)
{
    struct hub *h = &o->hub;
    if (!outbox_room(h->out, 1, 0) || !hub_order_room(h)) {
        h->short_of_room = true;
        return;
    }
    if (is_process(t)) {
        out_exclude(h->out, t->evidence.accused, true);
        t->tell_us = h->now_us;
    } else if (cuts_off(t)) {
        if (!breaker_by_hand(o, t->unit, true)) {
            hub_breaker(h, t->unit, true); /* the table is full: it is not kept over a takeover */
        }
    }
    /* What an orchestrator before this one did stands: its freeze is in the registry. */
    if (t->kind == THREAT_ORCHESTRATOR_COMPROMISE && t->evidence.weight != EVIDENCE_HELD) {
        freeze_mesh(o);
    }
    threat_answered(t, h->now_us);
    hub_note(h, NOTE_THREAT, (uint64_t)t->kind, t->id);
    say(o, t, "answered", "mesh");
    follow(o, t->unit);
}

/* Some of the leads of a process's agents: what to do with them. True: all have been told. */
static bool tell_leads(struct orchestrator *o, struct threat *t)
{
    const struct topology *topology = o->hub.topology;
    enum isolation what = t->state == THREAT_CLEARED ? ISOLATE_LIFT : ISOLATE_QUARANTINE;
    while (t->told_range < t->evidence.ranges) {
        uint32_t first = t->evidence.agents[t->told_range].first + t->told_agents;
        uint32_t end =
            t->evidence.agents[t->told_range].first + t->evidence.agents[t->told_range].count;
        if (first >= end || end > topology_places(topology)) {
            t->told_range++;
            t->told_agents = 0;
            continue;
        }
        struct unit agent = moves_place(&o->moves.table, topology_agent(topology, first));
        struct order order = {.what = ORDER_ISOLATE};
        order.u.isolate = (struct isolate){.agent = agent, .what = what};
        for (uint32_t i = first; i < end; i++) {
            struct unit u = moves_place(&o->moves.table, topology_agent(topology, i));
            if (!unit_equal(topology_parent(u), topology_parent(agent))) {
                break;
            }
            order.u.isolate.agents |= 1ull << (u.agent - 1u);
            t->told_agents++;
        }
        if (!hub_order_room(&o->hub) || !hub_order(&o->hub, &order)) {
            t->told_agents = first - t->evidence.agents[t->told_range].first;
            o->hub.short_of_room = true;
            return false;
        }
    }
    t->told_range = t->told_agents = 0;
    return true;
}

/* Sectors tell of orders that were not given here. */
static void forked(struct orchestrator *o)
{
    const struct hub *h = &o->hub;
    const struct threat *suspected = NULL;
    uint32_t up = 0, tellers = hub_order_forked(h);
    if (o->orders.forks_seen == o->orders.forks || tellers == 0) {
        return;
    }
    o->orders.forks_seen = o->orders.forks;
    for (uint32_t i = 0; i < h->children_count; i++) {
        up += children_reachable(&h->children, i) ? 1 : 0;
    }
    (void)threat_forked(&o->threats, tellers, up, h->now_us, &suspected);
    if (suspected != NULL && suspected->state == THREAT_SUSPECTED) {
        say(o, suspected, "suspected", "mesh");
    }
}

int64_t threats_tick(struct orchestrator *o)
{
    assert(o != NULL);
    int64_t next_us = NEVER;
    forked(o);
    threat_expire(&o->threats, o->hub.now_us);
    for (uint32_t i = 0; i < THREATS_MAX; i++) {
        struct threat *t = &o->threats.list[i];
        if (t->state == THREAT_ANSWERED && t->answered_us == 0) {
            answer(o, t);
            i = UINT32_MAX; /* one may follow from it, at an earlier place */
            if (o->hub.short_of_room) {
                return o->hub.now_us;
            }
            continue;
        }
        bool tells = t->state >= THREAT_ANSWERED && is_process(t) && t->evidence.ranges > 0;
        if (tells && t->tell_us <= o->hub.now_us && tell_leads(o, t)) {
            t->tell_us = t->state == THREAT_CLEARED ? NEVER : o->hub.now_us + TELL_AGAIN_US;
        }
        next_us = tells && t->tell_us < next_us ? t->tell_us : next_us;
    }
    return next_us;
}

/* --- what comes in ----------------------------------------------------------------------------
 */

void threats_evidence(struct orchestrator *o, const struct evidence *e)
{
    assert(o != NULL && e != NULL);
    if (e->accused[0] != '\0') {
        (void)threat_refused(&o->threats, e, o->hub.now_us);
    }
}

void threats_contradicted(struct orchestrator *o, struct unit agent)
{
    assert(o != NULL);
    if (agent.tier != TIER_AGENT) {
        return; /* a lead that had to leave some out */
    }
    (void)threat_contradicted(&o->threats, agent, o->hub.now_us);
}

/* The lead learns again from all of its agents. */
static void believe(struct orchestrator *o, struct unit cluster)
{
    struct order order = {.what = ORDER_ISOLATE};
    order.u.isolate = (struct isolate){.agent = unit_agent(cluster.sector, cluster.cluster, 1),
                                       .what = ISOLATE_BELIEVE};
    (void)hub_order(&o->hub, &order);
}

void threats_timing(struct orchestrator *o, const struct conflict_report *r)
{
    assert(o != NULL && r != NULL);
    struct unit cluster = unit_cluster(r->agent.sector, r->agent.cluster);
    if (r->incident != FAILURE_TIMING_ATTACK || cluster.cluster == 0) {
        return;
    }
    if (r->event == INCIDENT_RESOLVED) {
        threats_timing_over(o, r->uid);
    } else if (r->event == INCIDENT_STILL && threat_timing_cleared(&o->threats, r->uid)) {
        believe(o, cluster); /* it was told when an operator cleared it, and did not hear */
    } else if (r->event != INCIDENT_RECOVERED) {
        (void)threat_timing(&o->threats, cluster, r->uid, r->agents_affected, o->hub.now_us);
    }
}

void threats_timing_over(struct orchestrator *o, uint64_t incident)
{
    const struct threat *t = threat_timing_over(&o->threats, incident);
    if (t != NULL) {
        say(o, t, "cleared", "mesh");
    }
}

static bool is_disruptive(const struct command *c)
{
    return c->kind == COMMAND_FREEZE || c->kind == COMMAND_THAW || c->kind == COMMAND_BREAKER ||
           c->kind == COMMAND_ISOLATE || (c->kind == COMMAND_HEAL && !c->on) ||
           (c->kind == COMMAND_SCALE && !c->on && c->scale.action >= SCALE_ADD) ||
           (c->kind == COMMAND_MOVE && !c->on && c->query.selector.places.count > 0);
}

bool threats_allow(struct orchestrator *o, const struct msg *msg)
{
    assert(o != NULL && msg != NULL);
    const struct command *c = msg->u.command;
    char memory[TEXT_BYTES_MAX];
    struct text text;
    text_init(&text, memory, sizeof(memory));
    if (is_disruptive(c) && c->operator_name[0] != '\0' &&
        threat_ordered(&o->threats, c->operator_name, o->hub.now_us) != NULL) {
        text_add(&text, "more than ");
        text_u64(&text, THREAT_ORDERS_MAX);
        text_add(&text, " disruptive orders in a minute: this operator is shut out");
        hub_reply_error(&o->hub, msg, REASON_QUARANTINED, memory);
        return false;
    }
    const struct threat *t = threat_open(&o->threats, THREAT_ORCHESTRATOR_COMPROMISE);
    if (c->kind != COMMAND_THAW || t == NULL) {
        return true;
    }
    text_add(&text, "frozen because of threat ");
    text_hex64(&text, t->id);
    text_add(&text, ": look at it (threats show), clear it (threats clear), then thaw");
    hub_reply_error(&o->hub, msg, REASON_FROZEN, memory);
    return false;
}

bool threats_prove_person(struct orchestrator *o, const struct msg *msg)
{
    assert(o != NULL && msg != NULL);
    const struct command *c = msg->u.command;
    const struct threat *t = threat_open(&o->threats, THREAT_ORCHESTRATOR_COMPROMISE);
    bool ends_it =
        (c->kind == COMMAND_THREAT && c->on) || (c->kind == COMMAND_SECOND && c->name[0] != '\0');
    if (t == NULL || t->answered_us == 0 || !ends_it || c->proof != PROOF_TOKEN) {
        return true;
    }
    int64_t frozen_us = hub_mesh_now(&o->hub) - (o->hub.now_us - t->answered_us);
    if (c->proof_us > frozen_us) {
        return true;
    }
    char memory[TEXT_BYTES_MAX];
    struct text text;
    text_init(&text, memory, sizeof(memory));
    text_add(&text, "threat ");
    text_hex64(&text, t->id);
    text_add(&text, " froze the mesh after your token was touched: start the console again, touch "
                    "it, then repeat this");
    hub_reply_error(&o->hub, msg, REASON_CAPABILITY, memory);
    return false;
}

/* --- consoles ---------------------------------------------------------------------------------
 */

static void age(struct text *text, const char *what, int64_t us)
{
    text_add(text, what);
    text_u64(text, us > 0 ? (uint64_t)(us / US_PER_S) : 0);
    text_add(text, " s ago");
}

static void show_one(struct orchestrator *o, const struct msg *msg, const struct threat *t)
{
    char memory[TEXT_BYTES_MAX];
    struct text text;
    text_init(&text, memory, sizeof(memory));
    text_hex64(&text, t->id);
    text_char(&text, ' ');
    text_add(&text, threat_state_name(t->state));
    text_pad(&text, 0, 28);
    text_add(&text, threat_kind_name(t->kind));
    text_pad(&text, 0, 53);
    who_text(t, &text);
    text_add(&text, ": ");
    evidence_text(t, &text);
    hub_reply_line(&o->hub, msg, memory);
}

static void show_more(struct orchestrator *o, const struct msg *msg, const struct threat *t)
{
    int64_t now_us = o->hub.now_us;
    char memory[TEXT_BYTES_MAX];
    struct text text;
    text_init(&text, memory, sizeof(memory));
    age(&text, "first seen ", now_us - t->first_us);
    age(&text, ", last ", now_us - t->last_us);
    hub_reply_line(&o->hub, msg, memory);
    if (t->state == THREAT_SUSPECTED) {
        hub_reply_line(&o->hub, msg, "not answered: too little so far, or told by one equal alone");
        return;
    }
    text_init(&text, memory, sizeof(memory));
    age(&text, "detected ", now_us - t->detected_us);
    text_add(&text, ", answered within ");
    text_ms(&text, t->answered_us - t->detected_us, 3);
    text_add(&text, " ms: ");
    text_add(&text, answer_text(t));
    hub_reply_line(&o->hub, msg, memory);
    if (t->state == THREAT_CLEARED) {
        hub_reply_line(&o->hub, msg, "cleared: the answer is undone");
    } else if (is_process(t)) {
        hub_reply_line(
            &o->hub, msg,
            "for good: mesh keys revoke; a new certificate (mesh keys rotate) is let in");
    }
}

static void clear(struct orchestrator *o, const struct msg *msg, struct threat *t)
{
    struct hub *h = &o->hub;
    const struct command *c = msg->u.command;
    if (t->state != THREAT_ANSWERED) {
        hub_reply_error(h, msg, REASON_INVALID,
                        t->state == THREAT_CLEARED ? "it is cleared already"
                                                   : "it is only suspected: nothing was done");
        return;
    }
    if (!outbox_room(h->out, 4, 4096)) {
        hub_reply_error(h, msg, REASON_OVERLOAD, "no room in this step: try again");
        return;
    }
    t->state = THREAT_CLEARED;
    if (is_process(t)) {
        out_exclude(h->out, t->evidence.accused, false);
        t->told_range = t->told_agents = 0;
        t->tell_us = h->now_us;
    } else if (cuts_off(t)) {
        (void)breaker_by_hand(o, t->unit, false);
    } else if (t->kind == THREAT_TIMING_ATTACK) {
        believe(o, t->unit);
    }
    say(o, t, "cleared", c->operator_name[0] != '\0' ? c->operator_name : "mesh");
    hub_reply_line(&o->hub, msg,
                   t->kind == THREAT_ORCHESTRATOR_COMPROMISE
                       ? "cleared; the mesh stays frozen until: thaw all"
                   : !is_process(t) && t->unit.tier == TIER_AGENT
                       ? "cleared; the agent stays in quarantine until: lift"
                       : "cleared; what was done about it is undone");
    hub_reply_ok(h, msg);
}

void threats_command(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    uint64_t id = 0;
    uint32_t n = 0;
    if (c->name[0] != '\0') {
        struct threat *t =
            num_parse_hex64(c->name, strlen(c->name), &id) ? threat_find(&o->threats, id) : NULL;
        if (t == NULL) {
            hub_reply_error(&o->hub, msg, REASON_INVALID,
                            "id: no threat of that name; threats list shows them");
            return;
        }
        if (c->on) {
            clear(o, msg, t);
            return;
        }
        show_one(o, msg, t);
        show_more(o, msg, t);
        n = 1;
    }
    for (uint32_t i = 0; c->name[0] == '\0' && i < THREATS_MAX && n < THREATS_SHOWN; i++) {
        const struct threat *t = &o->threats.list[i];
        if (t->state == THREAT_SUSPECTED || t->state == THREAT_ANSWERED) {
            show_one(o, msg, t);
            n++;
        }
    }
    if (n == 0) {
        hub_reply_line(
            &o->hub, msg,
            "no threats: none suspected, none answered (audit --event threat: the past)");
    }
    hub_reply_ok(&o->hub, msg);
}
