/* Quarantine by hand, and lifting it (spec 9.2 rogue agent: quarantine, investigate, replace).
 *
 * Nothing is taken on trust: the agent's lead is asked how the agent stands, is told, and is asked
 * again, and told again, until it says that it is so and that the registry has it, for a lead that
 * dies takes along what only it knew; only then the console hears of success. A quarantine is a
 * conflict of type OTHER with the action "(quarantine)" (no handler can be called so), put before a
 * person at once; lifting it resolves it, and resolving it lifts it, with the same care.
 *
 * An agent is named by its home or by the place where it lives: either means it. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_strategy.h"
#include <assert.h>
#include <string.h>

#define ISOLATE_WAIT_US (8ll * US_PER_S)
#define ISOLATE_STEP_US (400ll * US_PER_MS)
#define DECIDED_WAIT_US (60ll * US_PER_S) /* of a decision: nobody waits for it at a console */

struct unit isolate_place(const struct orchestrator *o, struct unit agent)
{
    const struct move_table *t = &o->moves.table;
    uint64_t latest = 0;
    if (agent.tier != TIER_AGENT || topology_planned(o->hub.topology, agent)) {
        return agent.tier == TIER_AGENT ? moves_place(t, agent) : agent;
    }
    struct unit home = moves_home(t, agent);
    for (uint32_t i = 0; home.tier == TIER_NONE && i < t->count; i++) {
        struct unit former = move_home_of(&t->list[i], agent); /* it has left that place */
        if (former.tier != TIER_NONE && t->list[i].id > latest) {
            latest = t->list[i].id;
            home = former;
        }
    }
    return home.tier == TIER_NONE ? agent : moves_place(t, home);
}

static void ask_lead(struct orchestrator *o, struct watch *w)
{
    struct query *q = own_query(o, QUERY_AGENTS, &w->ask_ref);
    q->limit = 1;
    w->scope = isolate_place(o, w->named);
    place_one(&q->selector.places, w->scope);
    w->ask_us = o->hub.now_us + ISOLATE_STEP_US;
    own_query_send(o);
}

static void text_who(struct text *t, const struct watch *w)
{
    text_unit(t, w->named);
    if (!unit_equal(w->named, w->scope)) {
        text_add(t, " (at ");
        text_unit(t, w->scope);
        text_add(t, ")");
    }
}

/* A decision that did not become so is in the audit log. */
static void audit_failure(struct orchestrator *o, const struct watch *w, const char *what)
{
    struct logbook_row *row = log_row(o, LOG_AUDIT, LOGBOOK_RESERVE, "lift", "failed", o->hub.self);
    struct text t;
    if (row == NULL) {
        return;
    }
    text_init(&t, row->subject, sizeof(row->subject));
    text_unit(&t, w->named);
    text_init(&t, row->body, sizeof(row->body));
    text_add(&t, "{\"why\": \"");
    text_who(&t, w);
    text_add(&t, what);
    text_add(&t, "\"}");
    row->body_bytes = (uint32_t)t.used;
}

static void fail(struct orchestrator *o, struct watch *w, enum reason reason, const char *what)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_who(&t, w);
    text_add(&t, what);
    struct reply r = {
        .ref = w->ref, .kind = REPLY_ERROR, .final = true, .reason = reason, .text = memory};
    if (w->console.tier == TIER_NONE) {
        audit_failure(o, w, what);
    } else {
        hub_reply(&o->hub, w->console, &r);
    }
    w->kind = WATCH_FREE;
}

static struct watch *watch_of(struct orchestrator *o, struct unit agent)
{
    for (uint32_t i = 0; i < ORCHESTRATOR_WATCHES_MAX; i++) {
        struct watch *w = &o->watches[i];
        if (w->kind == WATCH_ISOLATE &&
            unit_equal(isolate_place(o, w->named), isolate_place(o, agent))) {
            return w;
        }
    }
    return NULL;
}

void isolate_lifted(struct orchestrator *o, struct unit agent)
{
    struct watch *w = watch_of(o, agent);
    isolate(o, agent, ISOLATE_LIFT, 0);
    for (uint32_t i = 0; w == NULL && i < ORCHESTRATOR_WATCHES_MAX; i++) {
        w = o->watches[i].kind == WATCH_FREE ? &o->watches[i] : NULL;
    }
    if (w == NULL || w->kind == WATCH_ISOLATE) {
        return; /* whoever is at it sees to it; without a slot it was told, and that is all */
    }
    *w = (struct watch){.kind = WATCH_ISOLATE,
                        .named = agent,
                        .told = true,
                        .due_us = o->hub.now_us + DECIDED_WAIT_US,
                        .ask_us = o->hub.now_us + ISOLATE_STEP_US};
}

void isolate_command(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    struct hub *h = &o->hub;
    if (c->scope.tier != TIER_AGENT || !topology_contains(h->topology, c->scope)) {
        hub_reply_error(h, msg, REASON_INVALID, "agent: one agent of this mesh, as s07.c3.a12");
        return;
    }
    if (!children_reachable(&h->children, isolate_place(o, c->scope).sector - 1u)) {
        hub_reply_error(h, msg, REASON_SECTOR_DOWN, "its sector is away: try again, or heal it");
        return;
    }
    if (watch_of(o, c->scope) != NULL) {
        hub_reply_error(h, msg, REASON_OVERLOAD, "another console is at it just now");
        return;
    }
    struct watch *w = watch_take(o, msg, WATCH_ISOLATE);
    if (w == NULL) {
        return;
    }
    w->named = c->scope;
    w->on = c->on;
    w->due_us = h->now_us + ISOLATE_WAIT_US;
    memcpy(w->note, c->decision.note, sizeof(w->note));
    ask_lead(o, w);
}

/* The conflict that a quarantine is. False: the log takes no row now. */
static bool open_conflict(struct orchestrator *o, const struct watch *w, uint64_t uid)
{
    struct conflict_report r = {.agent = w->scope,
                                .uid = uid,
                                .at_mesh_us = hub_mesh_now(&o->hub),
                                .type = CONFLICT_OTHER,
                                .agents_affected = 1,
                                .action = CONFLICT_BY_HAND};
    size_t n = strlen(w->note);
    r.received_bytes = (uint16_t)(n < CONFLICT_VALUE_MAX ? n : CONFLICT_VALUE_MAX);
    memcpy(r.received, w->note, r.received_bytes);
    r.operation_id = num_id128_from(r.at_mesh_us, &o->hub.rng);
    r.id = conflict_name(&r.operation_id, uid, r.type);
    struct logbook_row *row = conflict_row(o, &r, "opened", 0);
    if (row == NULL) {
        return false;
    }
    struct text t;
    text_init(&t, row->actor, sizeof(row->actor));
    text_unit(&t, w->console);
    text_init(&t, row->body, sizeof(row->body));
    conflict_body(&r, &t);
    row->body_bytes = (uint32_t)t.used;
    return true;
}

/* Those that kept the agent in quarantine are resolved with it. */
static void close_conflicts(struct orchestrator *o, const struct watch *w)
{
    for (uint32_t i = 0; o->conflicts.count > 0 && i < CONFLICTS_OPEN_MAX; i++) {
        struct open_conflict *c = &o->conflicts.open[i];
        if (!c->used || c->stage == STAGE_CLOSING || !conflict_isolates(&c->report) ||
            !unit_equal(isolate_place(o, c->report.agent), w->scope)) {
            continue;
        }
        struct logbook_row *row =
            conflict_close(o, c, KEEP_NONE, w->note[0] != '\0' ? w->note : "lifted by hand");
        if (row != NULL) {
            struct text t;
            text_init(&t, row->actor, sizeof(row->actor));
            text_unit(&t, w->console);
        }
    }
}

static void done(struct orchestrator *o, struct watch *w)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_who(&t, w);
    text_add(&t, w->on ? " is in quarantine: nothing is routed to it; lift it with: lift "
                       : " is let back: work goes to it again");
    if (w->console.tier == TIER_NONE) {
        w->kind = WATCH_FREE;
        return;
    }
    if (w->on) {
        text_unit(&t, w->named);
    } else {
        close_conflicts(o, w);
    }
    watch_line(o, w, memory);
    watch_end(o, w);
}

/* There is nothing to do. A lead that has not read the registry yet says so of those whom its
 * former life had in quarantine, too. */
static bool refuses(const struct watch *w, const struct agent_row *row)
{
    return row->uid == 0 || w->on == (row->impedance.state == AGENT_QUARANTINED);
}

/* How the agent stands, the first time: is there anything to do? False: the console was told. */
static bool sensible(struct orchestrator *o, struct watch *w, const struct agent_row *row)
{
    bool in = row->impedance.state == AGENT_QUARANTINED;
    if (row->uid == 0) {
        fail(o, w, REASON_NOT_JOINED, " has never been seen: there is nobody to keep out");
        return false;
    }
    if (w->on == in) {
        fail(o, w, REASON_INVALID, in ? " is in quarantine already" : " is not in quarantine");
        return false;
    }
    if (w->on && !o->hub.tuning.no_log && !open_conflict(o, w, row->uid)) {
        fail(o, w, REASON_OVERLOAD, ": the log takes no rows now, and nothing is done unrecorded");
        return false;
    }
    return true;
}

bool isolate_reply(struct orchestrator *o, const struct reply *reply)
{
    struct watch *w = NULL;
    for (uint32_t i = 0; i < ORCHESTRATOR_WATCHES_MAX; i++) {
        struct watch *at = &o->watches[i];
        w = at->kind == WATCH_ISOLATE && at->ask_ref == reply->ref ? at : w;
    }
    if (w == NULL) {
        return false;
    }
    w->ask_ref = 0;
    if (reply->kind != REPLY_ROWS || reply->rows->row_count == 0) {
        return true; /* asked again */
    }
    const struct agent_row *row = &reply->rows->rows[0].u.agent;
    w->unsure = !w->told && row->unwritten && refuses(w, row);
    if (w->unsure || (!w->told && !sensible(o, w, row))) {
        return true; /* unsure: asked again */
    }
    if ((row->impedance.state == AGENT_QUARANTINED) == w->on) {
        w->held = true;
        if (!row->unwritten) {
            done(o, w);
        }
        return true; /* else asked again: a lead that died now would take the word along */
    }
    w->held = false;
    w->told = true;
    isolate(o, w->scope, w->on ? ISOLATE_QUARANTINE : ISOLATE_LIFT, 0);
    return true;
}

void isolate_watch_tick(struct orchestrator *o, struct watch *w)
{
    if (o->hub.now_us >= w->due_us) {
        fail(o, w, REASON_CLUSTER_DOWN,
             w->held ? ": it is so, but the registry has not taken it: a lead that begins anew "
                       "does not know of it; say it again when the registry is back"
             : w->unsure
                 ? ": its lead has not read the registry, which may say something else of it; "
                   "try again when the registry is back"
             : w->told ? ": its lead was told and has not said that it is so: look again with agent"
                       : ": its lead does not answer: try again");
    } else if (o->hub.now_us >= w->ask_us) {
        ask_lead(o, w);
    }
}
