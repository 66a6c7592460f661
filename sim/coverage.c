/* Counting what was met. Edges come from the notes that every state machine takes when it moves. */
#include "sim/coverage.h"
#include <assert.h>
#include <string.h>

static void count_reply(struct coverage *c, const struct reply *r)
{
    if (r->kind == REPLY_ERROR && (unsigned)r->reason < REASON_COUNT) {
        c->reasons[r->reason]++;
    }
    if (r->kind != REPLY_OPERATION) {
        return;
    }
    const struct aggregate_view *a = &r->report->aggregate;
    for (unsigned o = 0; o < OUTCOME_COUNT; o++) {
        c->outcomes[o] += a->outcomes[o];
    }
    for (unsigned k = 0; k < REASON_COUNT; k++) {
        c->reasons[k] += a->reasons[k];
    }
    c->decisions[(unsigned)r->report->decision < DECISION_COUNT ? r->report->decision : 0]++;
}

void coverage_step(struct coverage *c, const struct world_step *s)
{
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_NOTE) {
            c->notes[fx->u.note.note]++;
        } else if (fx->kind == FX_SEND && fx->u.msg.type == MSG_REPLY) {
            count_reply(c, fx->u.msg.u.reply);
        } else if (fx->kind == FX_SEND && fx->u.msg.type == MSG_ACK) {
            const struct ack *a = &fx->u.msg.u.ack;
            c->reasons[(unsigned)a->reason < REASON_COUNT ? a->reason : 0]++;
        } else if (fx->kind == FX_SEND && fx->u.msg.type == MSG_WELCOME) {
            const struct welcome *a = &fx->u.msg.u.welcome;
            c->reasons[(unsigned)a->reason < REASON_COUNT ? a->reason : 0]++;
        }
    }
}

void coverage_world(struct coverage *c, const struct world *w)
{
    for (unsigned i = 0; i < WORLD_MET_COUNT; i++) {
        c->met[i] += world_met(w, (enum world_met)i);
    }
}

void coverage_add(struct coverage *into, const struct coverage *from)
{
    uint64_t *to = (uint64_t *)(void *)into;
    const uint64_t *more = (const uint64_t *)(const void *)from;
    static_assert(sizeof(struct coverage) % sizeof(uint64_t) == 0, "counters only");
    for (size_t i = 0; i < sizeof(*into) / sizeof(*to); i++) {
        to[i] += more[i];
    }
}

static void line(FILE *to, const char *kind, const char *name, uint64_t n)
{
    fprintf(to, "%s.%s %llu\n", kind, name, (unsigned long long)n);
}

/* The edges of an agent's state as its lead sees it (cluster_members.c). Nobody waits for one that
 * was never heard; the dead, and those that left, come back with a hello, and are active then, or
 * in quarantine still. Only a quarantine that a lead has read of can end before it has heard from
 * the agent. */
static bool state_edge(enum agent_state from, enum agent_state to)
{
    switch (from) {
    case AGENT_UNKNOWN:
    case AGENT_OFFLINE:
        return to == AGENT_ACTIVE || to == AGENT_QUARANTINED;
    case AGENT_QUARANTINED:
        return to != from;
    case AGENT_ACTIVE:
    case AGENT_DEGRADED:
    case AGENT_SUSPECT:
    case AGENT_FROZEN:
    case AGENT_STATE_COUNT:
        break;
    }
    return to != from && to != AGENT_UNKNOWN;
}

void coverage_print(const struct coverage *c, FILE *to)
{
    char edge[64];
    for (unsigned i = 1; i < ACT_KIND_COUNT; i++) {
        line(to, "fault", act_name((enum act_kind)i), c->acts[i]);
    }
    for (unsigned i = 0; i < WORLD_MET_COUNT; i++) {
        line(to, "met", world_met_name((enum world_met)i), c->met[i]);
    }
    for (unsigned i = 1; i < NOTE_COUNT; i++) {
        line(to, "note", note_info((enum note)i)->name, c->notes[i]);
    }
    for (unsigned i = 1; i < OUTCOME_COUNT; i++) {
        line(to, "outcome", outcome_name((enum outcome)i), c->outcomes[i]);
    }
    for (unsigned i = 1; i < REASON_COUNT; i++) {
        line(to, "reason", reason_name((enum reason)i), c->reasons[i]);
    }
    for (unsigned i = 1; i < DECISION_COUNT; i++) {
        line(to, "decision", decision_name((enum decision)i), c->decisions[i]);
    }
    for (unsigned i = 0; i < MODE_COUNT * MODE_COUNT; i++) {
        unsigned a = i / MODE_COUNT, b = i % MODE_COUNT;
        bool begins =
            a == MODE_STARTING && b == MODE_FULL; /* and with nothing else (core/mode.c) */
        if (a != b && b != MODE_STARTING && (a != MODE_STARTING || begins)) {
            snprintf(edge, sizeof(edge), "%s->%s", mode_name((enum mode)a),
                     mode_name((enum mode)b));
            line(to, "mode", edge, c->modes[a][b]);
        }
    }
    for (unsigned i = 0; i < CIRCUIT_COUNT * CIRCUIT_COUNT; i++) {
        unsigned a = i / CIRCUIT_COUNT, b = i % CIRCUIT_COUNT;
        bool edge_exists = (a == CIRCUIT_CLOSED && b == CIRCUIT_OPEN) ||
                           (a == CIRCUIT_OPEN && b != CIRCUIT_CLOSED) ||
                           (a == CIRCUIT_HALF_OPEN && b != CIRCUIT_HALF_OPEN);
        if (edge_exists) {
            snprintf(edge, sizeof(edge), "%s->%s", circuit_name((enum circuit)a),
                     circuit_name((enum circuit)b));
            line(to, "circuit", edge, c->circuits[a][b]);
        }
    }
    for (unsigned i = 0; i < AGENT_STATE_COUNT * AGENT_STATE_COUNT; i++) {
        unsigned a = i / AGENT_STATE_COUNT, b = i % AGENT_STATE_COUNT;
        snprintf(edge, sizeof(edge), "%s->%s", agent_state_name((enum agent_state)a),
                 agent_state_name((enum agent_state)b));
        if (state_edge((enum agent_state)a, (enum agent_state)b)) {
            line(to, "agent", edge, c->agent_states[a][b]);
        }
    }
}
