/* The agent's own messages to other agents (spec 2.4 routing strategies; design 9).
 *
 * A handler emits an operation; this file gives it an id, has it sealed (its bytes are the
 * process's, never the node's) and sends it to the lead, which takes it further. Answers come back
 * as RELAY_ACK. Until all expected ones are there it is sent again with growing, jittered pauses:
 * by reference, as an operation whose payload_of is its own id, since the bytes are in the
 * process's cache. Receivers know the id and only repeat their answers.
 *
 * Who is expected follows from the topology: every agent of the places, or with a broadcast every
 * lead of theirs. Leads answer for agents that are not there. A pipeline is a chain of direct
 * messages, one a stage, where each answer is the next payload. */
#include "core/mode.h"
#include "core/resolve.h"
#include "tiers/agent/agent_state.h"
#include <assert.h>
#include <string.h>

/* Messages and their answers wait for company on each hop (tiers/runner/egress.h): 1.2 s at most.
 */
#define RELAY_RESEND_US    (2ll * US_PER_S)
#define RELAY_BACKOFF_MAX  6u
#define RELAY_BACKOFF_NEW  3u /* of a new message */
#define ANSWER_BITS        0x3fffu
#define RELAY_ANSWER_MS    30000u            /* the longest time that is learnt */
#define RELAY_PAUSE_US_MAX (60ll * US_PER_S) /* less than the 65 s after which sent_ms repeats */

static void count_done(struct agent *a, int64_t now_us, bool ok)
{
    uint16_t hour = (uint16_t)(now_us / (3600ll * US_PER_S));
    if (hour != a->relay_hour) {
        a->relay_hour = hour;
        a->relays_done = 0;
        a->relays_failed = 0;
    }
    a->relays_done += ok;
    a->relays_failed = (uint16_t)(a->relays_failed + (!ok && a->relays_failed < UINT16_MAX));
}

static void lost(struct agent *a, int64_t now_us, struct id128 id, enum reason reason,
                 struct outbox *out)
{
    count_done(a, now_us, false);
    agent_note(out, NOTE_RELAY_LOST, num_id128_low(id), reason);
}

static uint32_t expected_leads(const struct topology *t, const struct place_set *places)
{
    uint32_t n = 0;
    for (unsigned s = 1; s <= t->sectors; s++) {
        if (!place_touches(places, unit_sector(s))) {
            continue;
        }
        uint64_t mask = place_children(places, t, unit_sector(s), 1);
        for (; mask != 0; mask &= mask - 1u) {
            n++;
        }
    }
    return n;
}

/* The answers to a message that was sent once are all there. */
static void pause_learn(struct agent *a, int64_t now_us, const struct agent_relay *r)
{
    if (r->again) {
        return;
    }
    uint32_t took_ms = (uint16_t)(now_us / US_PER_MS - r->sent_ms);
    took_ms = took_ms < RELAY_ANSWER_MS ? took_ms : RELAY_ANSWER_MS;
    a->relay_backoff = 0;
    if (a->answer_ms == 0 && a->answer_vary_ms == 0) {
        a->answer_ms = took_ms & ANSWER_BITS;
        a->answer_vary_ms = took_ms / 2u & ANSWER_BITS;
        return;
    }
    uint32_t off_ms = took_ms > a->answer_ms ? took_ms - a->answer_ms : a->answer_ms - took_ms;
    a->answer_vary_ms = (3u * a->answer_vary_ms + off_ms) / 4u & ANSWER_BITS;
    a->answer_ms = (7u * a->answer_ms + took_ms) / 8u & ANSWER_BITS;
}

static int64_t pause_us(struct agent *a, uint8_t doublings)
{
    int64_t answer_us = (a->answer_ms + 4ll * a->answer_vary_ms) * US_PER_MS;
    int64_t least_us = rng_jitter_us(&a->rng, RELAY_RESEND_US, 300);
    int64_t pause_us = (answer_us > least_us ? answer_us : least_us) << doublings;
    return pause_us < RELAY_PAUSE_US_MAX ? pause_us : RELAY_PAUSE_US_MAX;
}

/* The outbox entry's first send: seal, then say it. False: no room; nothing was emitted. */
static bool launch(struct agent *a, int64_t now_us, struct agent_relay *r,
                   const struct operation *op, struct outbox *out)
{
    struct msg m = {.type = MSG_RELAY, .priority = op->priority};
    m.u.relay = (struct relay){.hops = 0, .operation = op};
    if (!outbox_room(out, 2, operation_extra_bytes(op) + msg_extra_bytes(&m))) {
        return false;
    }
    out_seal(out, op);
    agent_send(a, out, &m);
    r->id = op->id;
    r->expires_mesh_us = op->created_mesh_us + op->ttl_us;
    r->again = false;
    r->sent_ms = (uint16_t)(now_us / US_PER_MS);
    unsigned known = a->relay_backoff < RELAY_BACKOFF_NEW ? a->relay_backoff : RELAY_BACKOFF_NEW;
    r->level = known & 0xfu;
    r->resend_us = now_us + pause_us(a, r->level);
    return true;
}

/* Fills in what the author's handler does not say. */
static void complete(struct agent *a, int64_t now_us, struct operation *op)
{
    int64_t mesh_us = agent_mesh(a, now_us);
    op->id = num_id128_from(mesh_us > 0 ? mesh_us : 0, &a->rng);
    op->source = a->self;
    op->source_epoch = a->incarnation;
    op->created_mesh_us = mesh_us;
    op->payload_of = (struct id128){{0}};
    if (num_id128_zero(op->correlation_id)) {
        op->correlation_id = op->id;
    }
    if (op->ttl_us <= 0 || op->ttl_us > TTL_US_MAX) {
        op->ttl_us = AGENT_RELAY_TTL_US;
    }
    if (op->routing == ROUTING_NONE) {
        op->routing = ROUTING_DIRECT;
    }
    if (op->priority >= PRIORITY_COUNT) {
        op->priority = PRIORITY_COUNT - 1;
    }
    op->require_ack = true;
    op->require_answer = op->routing == ROUTING_SCATTER_GATHER || op->routing == ROUTING_PIPELINE;
}

static struct pattern place_of(struct unit u)
{
    return (struct pattern){.sector = {u.sector, u.sector},
                            .cluster = {u.cluster, u.cluster},
                            .agent = {u.agent, u.agent}};
}

/* The stages of a pipeline: each pattern one agent. False: not so, or too many. */
static bool pipeline_stages(struct agent *a, const struct operation *op)
{
    struct agent_pipeline *p = &a->pipeline;
    const struct place_set *places = &op->selector.places;
    if (p->count != 0 || places->count == 0 || places->count > AGENT_STAGES_MAX) {
        return false;
    }
    for (uint32_t i = 0; i < places->count; i++) {
        const struct pattern *at = &places->patterns[i];
        bool one = at->sector.first == at->sector.last && at->cluster.first == at->cluster.last &&
                   at->agent.first == at->agent.last;
        struct unit u = unit_agent(at->sector.first, at->cluster.first, at->agent.first);
        if (!one || !topology_contains(a->topology, u)) {
            return false;
        }
        p->stages[i] = u;
    }
    p->stage = 0;
    p->verb = (uint8_t)op->verb;
    p->priority = op->priority;
    p->trinary_expectation = op->trinary_expectation;
    p->capabilities = op->selector.capabilities;
    p->payload_weight = op->payload_weight;
    p->expires_mesh_us = op->created_mesh_us + op->ttl_us;
    p->correlation_id = op->correlation_id;
    memcpy(p->action, op->action, sizeof p->action);
    p->count = (uint8_t)places->count;
    return true;
}

/* Each stage names its one agent. Later ones are built from what the pipeline remembers. */
static void pipeline_operation(struct agent *a, int64_t now_us, struct id128 causation,
                               struct operation *ret)
{
    const struct agent_pipeline *p = &a->pipeline;
    *ret = (struct operation){.correlation_id = p->correlation_id,
                              .causation_id = causation,
                              .routing = ROUTING_PIPELINE,
                              .verb = (enum verb)p->verb,
                              .priority = p->priority,
                              .trinary_expectation = p->trinary_expectation,
                              .ttl_us = p->expires_mesh_us - agent_mesh(a, now_us),
                              .payload_weight = p->payload_weight};
    memcpy(ret->action, p->action, sizeof ret->action);
    ret->selector.capabilities = p->capabilities;
    ret->selector.places.count = 1;
    ret->selector.places.patterns[0] = place_of(p->stages[p->stage]);
    complete(a, now_us, ret);
}

#define ALL_RELAYS ((1u << AGENT_RELAYS_MAX) - 1u)

static uint32_t relay_bit(const struct agent *a, const struct agent_relay *r)
{
    return 1u << (r - a->relays);
}

void relay_emit(struct agent *a, int64_t now_us, const struct operation *emit,
                struct id128 causation, struct outbox *out)
{
    assert(a != NULL && emit != NULL && out != NULL);
    struct agent_relay *r = NULL;
    if (a->relays_in != ALL_RELAYS) {
        r = &a->relays[num_lowest_bit(~(uint64_t)a->relays_in)];
    }
    struct operation op = *emit;
    op.causation_id = causation;
    complete(a, now_us, &op);
    assert(op.routing != ROUTING_NONE);
    bool pipeline = op.routing == ROUTING_PIPELINE;
    uint32_t expected = 1;
    if (op.routing == ROUTING_BROADCAST) {
        expected = expected_leads(a->topology, &op.selector.places);
    } else if (!pipeline) {
        expected = selector_expected(&op.selector, a->topology, unit_orchestrator());
    }
    bool invalid = op.payload_bytes > AGENT_RELAY_PAYLOAD_MAX || expected == 0 ||
                   op.action[0] == '\0' || op.routing >= ROUTING_COUNT;
    enum reason reason = REASON_NONE;
    if (!mode_admits_relay((enum mode)a->mode, op.priority)) {
        reason = REASON_MODE;
    } else if (r == NULL || (pipeline && a->pipeline.count != 0)) {
        reason = REASON_OVERLOAD;
    } else if (invalid || (pipeline && !pipeline_stages(a, &op))) {
        reason = REASON_INVALID;
    }
    if (reason != REASON_NONE) {
        lost(a, now_us, op.id, reason, out);
        return;
    }
    if (pipeline) {
        op.selector.places.count = 1;
        op.selector.places.patterns[0] = place_of(a->pipeline.stages[0]);
    }
    *r = (struct agent_relay){.expected = expected, .pipeline = pipeline};
    if (!launch(a, now_us, r, &op, out)) {
        a->pipeline.count = pipeline ? 0 : a->pipeline.count;
        lost(a, now_us, op.id, REASON_OVERLOAD, out);
        return;
    }
    r->routing = (uint8_t)op.routing;
    a->relays_in = (uint16_t)(a->relays_in | relay_bit(a, r));
}

static void relay_close(struct agent *a, int64_t now_us, struct agent_relay *r, bool ok,
                        enum reason reason, struct outbox *out)
{
    if (ok) {
        count_done(a, now_us, true);
        agent_note(out, NOTE_RELAYED, num_id128_low(r->id), r->reached);
    } else {
        lost(a, now_us, r->id, reason, out);
    }
    if (r->pipeline) {
        a->pipeline.count = 0;
    }
    a->relays_in = (uint16_t)(a->relays_in & ~relay_bit(a, r));
    *r = (struct agent_relay){0};
}

/* A stage has answered: the next one gets the answer as its payload. */
static void pipeline_next(struct agent *a, int64_t now_us, struct agent_relay *r,
                          const struct relay_ack *ack, struct outbox *out)
{
    struct agent_pipeline *p = &a->pipeline;
    assert(p->count > 0);
    if (ack->outcome != OUTCOME_READY) {
        relay_close(a, now_us, r, false, ack->reason, out);
        return;
    }
    if (p->stage + 1u >= p->count) {
        relay_close(a, now_us, r, true, REASON_NONE, out);
        return;
    }
    p->stage++;
    struct operation op;
    pipeline_operation(a, now_us, r->id, &op);
    op.payload = ack->answer;
    op.payload_bytes = ack->answer_bytes;
    if (p->expires_mesh_us <= agent_mesh(a, now_us)) {
        relay_close(a, now_us, r, false, REASON_EXPIRED, out);
        return;
    }
    r->answered = 0;
    if (!launch(a, now_us, r, &op, out)) {
        relay_close(a, now_us, r, false, REASON_OVERLOAD, out);
    }
}

/* Whether this unit answered before; remembers it. With many ackers nobody is told apart. */
static bool acked_before(struct agent *a, struct agent_relay *r, struct unit u)
{
    if (r->expected > AGENT_ACKERS_MAX) {
        return false;
    }
    if (u.agent == 0) {
        u.agent = 1; /* a lead: by its first agent's place */
    }
    uint32_t name = topology_index(a->topology, u);
    for (uint32_t i = 0; i < r->answered; i++) {
        if (r->acker[i] == name) {
            return true;
        }
    }
    assert(r->answered < AGENT_ACKERS_MAX);
    r->acker[r->answered] = name;
    return false;
}

void relay_acked(struct agent *a, int64_t now_us, const struct relay_ack *ack, struct outbox *out)
{
    assert(a != NULL && ack != NULL && out != NULL);
    struct agent_relay *r = NULL;
    for (uint64_t rest = a->relays_in; rest != 0 && r == NULL; rest &= rest - 1u) {
        struct agent_relay *one = &a->relays[num_lowest_bit(rest)];
        r = num_id128_equal(one->id, ack->message_id) ? one : NULL;
    }
    struct unit place = ack->target;
    place.tier = TIER_AGENT;
    place.agent = place.agent == 0 ? 1 : place.agent;
    if (r == NULL || !topology_contains(a->topology, place) || acked_before(a, r, place)) {
        return;
    }
    r->answered++;
    r->reached += ack->reached;
    r->failed += ack->failed;
    if (r->answered >= r->expected) {
        pause_learn(a, now_us, r);
    }
    if (r->pipeline) {
        pipeline_next(a, now_us, r, ack, out);
    } else if (r->answered >= r->expected) {
        relay_close(a, now_us, r, r->failed == 0, ack->reason, out);
    }
}

static void relay_resend(struct agent *a, int64_t now_us, struct agent_relay *r, struct outbox *out)
{
    struct operation reference = {
        .id = r->id, .payload_of = r->id, .routing = (enum routing)r->routing};
    struct msg m = {.type = MSG_RELAY, .priority = 1};
    m.u.relay = (struct relay){.hops = 0, .operation = &reference};
    if (!agent_send(a, out, &m)) {
        return;
    }
    if (r->expected > AGENT_ACKERS_MAX) { /* everyone answers again */
        r->answered = 0;
        r->reached = 0;
        r->failed = 0;
    }
    r->again = true;
    if (r->level < RELAY_BACKOFF_MAX) {
        r->level++;
    }
    a->relay_backoff = (r->level > a->relay_backoff ? r->level : a->relay_backoff) & 7u;
    r->resend_us = now_us + pause_us(a, r->level);
    agent_note(out, NOTE_RESENT, num_id128_low(r->id), 1);
}

int64_t relay_tick(struct agent *a, int64_t now_us, struct outbox *out)
{
    assert(a != NULL && out != NULL);
    int64_t next_us = NEVER;
    for (uint64_t rest = a->relays_in; rest != 0; rest &= rest - 1u) {
        struct agent_relay *r = &a->relays[num_lowest_bit(rest)];
        assert(r->routing != ROUTING_NONE);
        int64_t expires_us = meshtime_to_local(&a->time, r->expires_mesh_us);
        if (expires_us <= now_us) {
            relay_close(a, now_us, r, false, REASON_EXPIRED, out);
            continue;
        }
        if (r->resend_us <= now_us) {
            relay_resend(a, now_us, r, out);
        }
        next_us = r->resend_us < next_us ? r->resend_us : next_us;
        next_us = expires_us < next_us ? expires_us : next_us;
    }
    return next_us;
}
