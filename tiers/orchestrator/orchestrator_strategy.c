/* What is done about a conflict (spec 5.1). Every strategy asks the mesh one question, with the
 * same query that a console uses, and judges by its rows:
 *
 *   BRANCH_AND_RECONCILE   who in the cluster holds which context? Both branches go on; the agent's
 *                          has converged when most of its neighbours hold the same.
 *   PROVENANCE_TRACE       who gave which answer to the operation? The value that more agents hold
 *                          has the stronger provenance; the weaker source is told.
 *   CLOCK_RECONCILIATION   whose clock is off? The order of message ids and Lamport stamps stands.
 *   REROUTE                what can the agent not do, who near it can? Its lead routes around it.
 *   ISOLATE_AND_COMPARE    the agent is quarantined, its lead has it load the known-good context
 *                          anew, and what it reports is compared with what is expected, up to
 *                          COMPARE_MAX times: equal again, it is let back; else it stays out.
 *   ASK_AGAIN              as PROVENANCE_TRACE.
 *
 * Whatever that does not settle is put before a person with what was found ("review"). */
#include "tiers/orchestrator/orchestrator_strategy.h"
#include "core/num.h"
#include "core/text.h"
#include <assert.h>
#include <string.h>

#define ANSWER_US    (4ll * US_PER_S)
#define AGAIN_US     (2ll * US_PER_S)
#define CLOCK_OFF_US 50000u /* more than that beyond its neighbours: the clock is the source */
#define COMPARE_MAX  10u    /* times, AGAIN_US apart: a context is loaded anew meanwhile */
#define FOUND_MAX    300u

static bool by_answers(enum strategy s)
{
    return s == STRATEGY_PROVENANCE_TRACE || s == STRATEGY_ASK_AGAIN;
}

void place_one(struct place_set *ret, struct unit u)
{
    memset(ret, 0, sizeof(*ret));
    ret->count = 1;
    ret->patterns[0].sector = (struct range){u.sector, u.sector};
    ret->patterns[0].cluster = (struct range){u.cluster, u.cluster};
    if (u.tier == TIER_AGENT) {
        ret->patterns[0].agent = (struct range){u.agent, u.agent};
    }
}

void isolate(struct orchestrator *o, struct unit agent, enum isolation what, uint64_t bits)
{
    struct order order = {.what = ORDER_ISOLATE};
    agent = isolate_place(o, agent);
    order.u.isolate = (struct isolate){.agent = agent, .what = what, .capabilities = bits};
    if (agent.tier == TIER_AGENT) {
        (void)hub_order(&o->hub, &order);
    }
}

/* --- asking ------------------------------------------------------------------------------------
 */

static void ask(struct orchestrator *o, struct open_conflict *c)
{
    const struct conflict_report *r = &c->report;
    bool answers = by_answers(conflict_strategy(r->type));
    struct query *q = own_query(o, answers ? QUERY_ANSWERS : QUERY_AGENTS, &c->ask_ref);
    q->limit = AGENTS_PER_CLUSTER_MAX;
    if (answers) {
        q->operation_id = r->operation_id;
    } else {
        struct unit agent = isolate_place(o, r->agent);
        place_one(&q->selector.places, unit_cluster(agent.sector, agent.cluster));
    }
    c->until_us = o->hub.now_us + ANSWER_US;
    conflict_stage(o, c, STAGE_ASKED);
    own_query_send(o); /* a refusal comes back as a reply, at once */
}

static void values_text(const struct conflict_report *r, struct text *t)
{
    text_add(t, "expected '");
    text_add_safe(t, r->expected, r->expected_bytes);
    text_add(t, "', received '");
    text_add_safe(t, r->received, r->received_bytes);
    text_add(t, "'");
}

static void review(struct orchestrator *o, struct open_conflict *c, const char *found);

void strategy_begin(struct orchestrator *o, struct open_conflict *c)
{
    char memory[FOUND_MAX + 2 * CONFLICT_VALUE_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    values_text(&c->report, &t);
    c->step = 0;
    if (c->asked > 0) { /* said before, and isolated */
        c->step = 1;
        ask(o, c);
        return;
    }
    if (!conflict_say(o, c, "step", memory)) {
        c->until_us = o->hub.now_us + AGAIN_US;
        return;
    }
    if (!topology_contains(o->hub.topology, c->report.agent)) {
        review(o, c, "this mesh has no such agent any more");
        return;
    }
    if (strcmp(c->report.action, CONFLICT_BY_HAND) == 0 ||
        strcmp(c->report.action, CONFLICT_BYZANTINE) == 0) {
        review(o, c, "it is in quarantine; a person decides: lift, or replace the agent");
        return;
    }
    if (conflict_strategy(c->report.type) == STRATEGY_ISOLATE_AND_COMPARE) {
        isolate(o, c->report.agent, ISOLATE_QUARANTINE, 0);
    }
    c->step = 1;
    ask(o, c);
}

static void again(struct orchestrator *o, struct open_conflict *c)
{
    conflict_stage(o, c, STAGE_NEW);
    c->until_us = o->hub.now_us + AGAIN_US;
}

void strategy_silent(struct orchestrator *o, struct open_conflict *c)
{
    again(o, c);
}

/* --- judging -----------------------------------------------------------------------------------
 */

static void review(struct orchestrator *o, struct open_conflict *c, const char *found)
{
    c->step = 3;
    if (!conflict_say(o, c, "review", found)) {
        again(o, c);
        return;
    }
    conflict_stage(o, c, STAGE_REVIEW);
}

static void settle(struct orchestrator *o, struct open_conflict *c, enum conflict_keep keep,
                   const char *found)
{
    c->step = 2;
    if (!conflict_say(o, c, "step", found) || conflict_close(o, c, keep, found) == NULL) {
        again(o, c);
    }
}

/* How many of the cluster hold what; the agent's own row, or NULL. */
struct holders {
    const struct agent_row *own;
    struct id128 most;
    uint32_t with_most, agents, able;
    uint32_t clock_error_us; /* the neighbours' mean */
};

static uint32_t count_of(const struct rows *rows, const struct id128 *hash)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < rows->row_count; i++) {
        n += num_id128_equal(rows->rows[i].u.agent.impedance.context_hash, *hash) ? 1u : 0u;
    }
    return n;
}

static void hold(const struct rows *rows, struct unit agent, uint64_t capability,
                 struct holders *ret)
{
    uint64_t errors = 0, clocks = 0;
    memset(ret, 0, sizeof(*ret));
    for (uint32_t i = 0; i < rows->row_count; i++) {
        const struct agent_row *a = &rows->rows[i].u.agent;
        if (unit_equal(rows->rows[i].unit, agent)) {
            ret->own = a;
        } else if (a->impedance.clock_error_us != UINT32_MAX) {
            errors += a->impedance.clock_error_us;
            clocks++;
        }
        uint32_t n = count_of(rows, &a->impedance.context_hash);
        if (n > ret->with_most) {
            ret->with_most = n;
            ret->most = a->impedance.context_hash;
        }
        ret->able += capability != 0 && (a->capabilities & capability) != 0 ? 1u : 0u;
        ret->agents++;
    }
    ret->clock_error_us = clocks > 0 ? (uint32_t)(errors / clocks) : 0;
}

static void holders_text(const struct holders *h, struct text *t)
{
    text_add(t, "it holds context ");
    text_id128(t, h->own->impedance.context_hash);
    text_add(t, "; ");
    text_u64(t, h->with_most);
    text_add(t, " of ");
    text_u64(t, h->agents);
    text_add(t, " in its cluster hold ");
    text_id128(t, h->most);
}

static void judge_context(struct orchestrator *o, struct open_conflict *c, const struct holders *h)
{
    char memory[FOUND_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    holders_text(h, &t);
    bool converged =
        num_id128_equal(h->own->impedance.context_hash, h->most) && h->with_most * 2u > h->agents;
    if (converged) {
        text_add(&t, ": the branches have converged");
        settle(o, c, KEEP_EXPECTED, memory);
    } else {
        text_add(&t, ": no convergence");
        review(o, c, memory);
    }
}

/* An order to a lead may be lost, or overtaken by the question: it is said again until the lead's
 * own row shows it, which the first one cannot. */
static void judge_hash(struct orchestrator *o, struct open_conflict *c, const struct holders *h)
{
    char memory[FOUND_MAX];
    struct text t;
    struct id128 wanted;
    bool named =
        num_id128_parse((const char *)c->report.expected, c->report.expected_bytes, &wanted);
    text_init(&t, memory, sizeof(memory));
    holders_text(h, &t);
    bool out = h->own->impedance.state == AGENT_QUARANTINED;
    if (named && num_id128_equal(h->own->impedance.context_hash, wanted)) {
        bool unheard = out || c->asked == 0;
        if (unheard) {
            isolate(o, c->report.agent, ISOLATE_LIFT, 0);
        }
        if (unheard && ++c->asked < COMPARE_MAX) {
            again(o, c);
            return;
        }
        text_add(&t, ": what is expected; it is let back");
        settle(o, c, KEEP_EXPECTED, memory);
    } else if (named && ++c->asked < COMPARE_MAX) {
        if (!out) {
            isolate(o, c->report.agent, ISOLATE_QUARANTINE, 0);
        }
        again(o, c);
    } else {
        text_add(&t, ": it stays in quarantine");
        review(o, c, memory);
    }
}

static void judge_clock(struct orchestrator *o, struct open_conflict *c, const struct holders *h)
{
    char memory[FOUND_MAX];
    struct text t;
    uint32_t own = h->own->impedance.clock_error_us;
    bool off = own == UINT32_MAX || own > h->clock_error_us + CLOCK_OFF_US;
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "Lamport stamp ");
    text_u64(&t, c->report.lamport);
    text_add(&t, "; its clock is known to ");
    text_add(&t, own == UINT32_MAX ? "nothing" : "");
    if (own != UINT32_MAX) {
        text_ms(&t, own, 1);
        text_add(&t, " ms");
    }
    text_add(&t, ", its neighbours' to ");
    text_ms(&t, h->clock_error_us, 1);
    text_add(&t, " ms");
    if (off) {
        text_add(&t, ": its clock is the source; the order by message ids and stamps stands");
        settle(o, c, KEEP_EXPECTED, memory);
    } else {
        text_add(&t, ": no clock explains it");
        review(o, c, memory);
    }
}

/* The capability that a value names, or 0. */
static uint64_t capability_in(const struct topology *topology, const uint8_t *value, uint32_t bytes)
{
    int bit = topology_capability(topology, (const char *)value, bytes);
    return bit >= 0 ? 1ull << bit : 0;
}

static void judge_route(struct orchestrator *o, struct open_conflict *c, const struct holders *h,
                        uint64_t capability)
{
    char memory[FOUND_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    if (capability == 0) {
        text_add(&t, "no capability of this mesh is named: nothing to route around");
        review(o, c, memory);
        return;
    }
    isolate(o, c->report.agent, ISOLATE_BAR, capability);
    text_add(&t, "work that requires it no longer goes to this agent; ");
    text_u64(&t, h->able);
    text_add(&t, " of ");
    text_u64(&t, h->agents);
    text_add(&t, " in its cluster declare it");
    settle(o, c, KEEP_NONE, memory);
}

static void judge_agents(struct orchestrator *o, struct open_conflict *c, const struct rows *rows)
{
    const struct conflict_report *r = &c->report;
    const struct topology *topology = o->hub.topology;
    struct holders h;
    uint64_t capability = capability_in(topology, r->expected, r->expected_bytes);
    capability |= capability == 0 ? capability_in(topology, r->received, r->received_bytes) : 0;
    hold(rows, isolate_place(o, r->agent), capability, &h);
    if (h.own == NULL && rows->missing > 0) {
        again(o, c); /* its lead was silent: that says nothing about the agent */
        return;
    }
    if (h.own == NULL) {
        review(o, c, "its lead does not know this agent");
        return;
    }
    switch (conflict_strategy(r->type)) {
    case STRATEGY_BRANCH_AND_RECONCILE:
        judge_context(o, c, &h);
        return;
    case STRATEGY_ISOLATE_AND_COMPARE:
        judge_hash(o, c, &h);
        return;
    case STRATEGY_CLOCK_RECONCILIATION:
        judge_clock(o, c, &h);
        return;
    case STRATEGY_REROUTE:
        judge_route(o, c, &h, capability);
        return;
    case STRATEGY_NONE:
    case STRATEGY_PROVENANCE_TRACE:
    case STRATEGY_ASK_AGAIN:
    case STRATEGY_COUNT:
        break;
    }
    assert(false); /* those ask for answers */
}

static bool says(const struct answer_group *g, const uint8_t *value, uint32_t bytes)
{
    return bytes > 0 && g->answer_bytes == bytes && memcmp(g->answer, value, bytes) == 0;
}

/* The value of the other side goes to the source that was wrong; it says that it has heard. */
static void tell(struct orchestrator *o, const struct conflict_report *r)
{
    struct command *command = &o->command;
    char memory[CONFLICT_VALUE_MAX + 64];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "conflict ");
    text_hex64(&t, r->id);
    text_add(&t, ": the mesh keeps ");
    text_add_safe(&t, r->expected, r->expected_bytes);
    memset(command, 0, sizeof(*command));
    command->kind = COMMAND_SUBMIT;
    command->ref = ++o->hub.next_ref;
    struct operation *op = &command->operation;
    op->routing = ROUTING_DIRECT;
    op->timing = TIMING_SOON;
    op->verb = VERB_RECORD;
    op->priority = 2;
    op->require_ack = true;
    op->allow_partial = true;
    op->minimum_response_rate = 0.5;
    memcpy(op->action, "echo", 5);
    op->payload = (const uint8_t *)memory;
    op->payload_bytes = (uint32_t)t.used;
    place_one(&op->selector.places, r->agent);
    struct msg m = {.type = MSG_COMMAND, .from = o->hub.self, .to = o->hub.self};
    m.u.command = command;
    hub_submit(&o->hub, &m);
}

static void judge_answers(struct orchestrator *o, struct open_conflict *c, const struct rows *rows)
{
    const struct conflict_report *r = &c->report;
    char memory[FOUND_MAX];
    struct text t;
    c->holds_expected = c->holds_received = 0;
    for (uint32_t i = 0; i < rows->row_count; i++) {
        const struct answer_group *g = &rows->rows[i].u.answer;
        bool ready = g->outcome == OUTCOME_READY;
        c->holds_expected += ready && says(g, r->expected, r->expected_bytes) ? g->count : 0;
        c->holds_received += ready && says(g, r->received, r->received_bytes) ? g->count : 0;
    }
    c->holds_received += r->received_bytes > 0 ? 1 : 0; /* the agent itself */
    text_init(&t, memory, sizeof(memory));
    text_u64(&t, c->holds_expected);
    text_add(&t, " agents gave the expected value, ");
    text_u64(&t, c->holds_received);
    text_add(&t, " the other");
    if (c->holds_expected > c->holds_received) {
        text_add(&t, ": the expected one has the stronger provenance");
        tell(o, r);
        settle(o, c, KEEP_EXPECTED, memory);
    } else if (c->holds_received > c->holds_expected + 1) {
        text_add(&t, ": the agent's own has the stronger provenance");
        settle(o, c, KEEP_RECEIVED, memory);
    } else {
        text_add(&t,
                 rows->row_count > 0 ? ": neither is stronger" : ": no answers are kept any more");
        review(o, c, memory);
    }
}

void strategy_reply(struct orchestrator *o, const struct reply *reply)
{
    struct open_conflict *c = conflict_asked(o, reply->ref);
    if (c == NULL) {
        return; /* the echo of what was told, or late */
    }
    if (reply->kind != REPLY_ROWS) {
        again(o, c);
    } else if (by_answers(conflict_strategy(c->report.type))) {
        judge_answers(o, c, reply->rows);
    } else {
        judge_agents(o, c, reply->rows);
    }
}

void strategy_decided(struct orchestrator *o, struct open_conflict *c, enum conflict_keep keep)
{
    if (conflict_isolates(&c->report) && keep != KEEP_NONE) {
        isolate_lifted(o, c->report.agent);
    }
    if (conflict_strategy(c->report.type) == STRATEGY_PROVENANCE_TRACE && keep == KEEP_EXPECTED) {
        tell(o, &c->report);
    }
}
