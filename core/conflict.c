/* The tables of spec 5.1, and a report's form in the log: flat JSON, written here and read here, so
 * that an orchestrator that starts anew finds its open conflicts where they are kept for ever. The
 * reader takes only what the writer makes (strings with \" and \\, numbers) and answers false to
 * anything else. */
#include "core/conflict.h"
#include "core/num.h"
#include <assert.h>
#include <string.h>

#define DEPTH_HIGH    10u  /* spec 5.1 */
#define AFFECTED_HIGH 100u /* spec 5.1 */

uint64_t conflict_name(const struct id128 *operation, uint64_t uid, enum conflict_type type)
{
    uint64_t seed = num_hash64(operation->bytes, sizeof(operation->bytes), (uint64_t)type + 1u);
    uint64_t name = num_hash64(&uid, sizeof(uid), seed);
    return name != 0 ? name : 1;
}

unsigned conflict_priority(enum conflict_type type, uint32_t depth, uint32_t affected)
{
    switch (type) {
    case CONFLICT_CONTEXT_DIVERGENCE:
        return depth > DEPTH_HIGH ? 3 : 2;
    case CONFLICT_DATA_CONTRADICTION:
        return affected > AFFECTED_HIGH ? 3 : 2;
    case CONFLICT_TEMPORAL_PARADOX:
    case CONFLICT_HASH_MISMATCH:
        return 4;
    case CONFLICT_CAPABILITY_MISMATCH:
        return 1;
    case CONFLICT_NONE:
    case CONFLICT_OTHER:
    case CONFLICT_TYPE_COUNT:
        break;
    }
    return 2;
}

int64_t conflict_deadline_us(unsigned priority)
{
    static const int64_t us[CONFLICT_PRIORITY_MAX + 1] = {
        86400 * US_PER_S, 3600 * US_PER_S, 600 * US_PER_S, 60 * US_PER_S, 10 * US_PER_S};
    assert(priority <= CONFLICT_PRIORITY_MAX);
    return us[priority];
}

enum strategy conflict_strategy(enum conflict_type type)
{
    switch (type) {
    case CONFLICT_CONTEXT_DIVERGENCE:
        return STRATEGY_BRANCH_AND_RECONCILE;
    case CONFLICT_DATA_CONTRADICTION:
        return STRATEGY_PROVENANCE_TRACE;
    case CONFLICT_TEMPORAL_PARADOX:
        return STRATEGY_CLOCK_RECONCILIATION;
    case CONFLICT_CAPABILITY_MISMATCH:
        return STRATEGY_REROUTE;
    case CONFLICT_HASH_MISMATCH:
        return STRATEGY_ISOLATE_AND_COMPARE;
    case CONFLICT_NONE:
    case CONFLICT_OTHER:
    case CONFLICT_TYPE_COUNT:
        break;
    }
    return STRATEGY_ASK_AGAIN;
}

const char *conflict_strategy_name(enum strategy s)
{
    static const char *const names[STRATEGY_COUNT] = {
        "NONE",    "BRANCH_AND_RECONCILE", "PROVENANCE_TRACE", "CLOCK_RECONCILIATION",
        "REROUTE", "ISOLATE_AND_COMPARE",  "ASK_AGAIN"};
    return (unsigned)s < STRATEGY_COUNT ? names[s] : names[0];
}

bool conflict_isolates(const struct conflict_report *r)
{
    assert(r != NULL);
    return r->type == CONFLICT_HASH_MISMATCH || strcmp(r->action, CONFLICT_BY_HAND) == 0 ||
           strcmp(r->action, CONFLICT_BYZANTINE) == 0;
}

const char *conflict_step(enum strategy s, unsigned step)
{
    static const char *const steps[STRATEGY_COUNT][4] = {
        [STRATEGY_BRANCH_AND_RECONCILE] = {"create parallel context branches",
                                           "let both branches operate independently",
                                           "identify convergence points",
                                           "human review of irreconcilable differences"},
        [STRATEGY_PROVENANCE_TRACE] = {"trace both values to their origin",
                                       "identify where divergence occurred",
                                       "prefer the value with stronger provenance",
                                       "update the weaker source"},
        [STRATEGY_CLOCK_RECONCILIATION] = {"check Lamport timestamps", "verify causal ordering",
                                           "identify the source of clock drift",
                                           "rebuild the causal chain"},
        [STRATEGY_REROUTE] = {"find what the agent cannot do", "see who near it can",
                              "fix the routing: the work goes to those", "tell who sent it there"},
        [STRATEGY_ISOLATE_AND_COMPARE] = {"isolate the agent", "fetch what it has again",
                                          "compare with its neighbours", "lift or replace"},
        [STRATEGY_ASK_AGAIN] = {"ask the agent and its neighbours again", "compare the answers",
                                "keep what most of them say", "human review"}};
    return (unsigned)s < STRATEGY_COUNT && step < 4 ? steps[s][step] : NULL;
}

/* --- in the log --------------------------------------------------------------------------------
 */

void conflict_json_text(struct text *t, const void *bytes, size_t len)
{
    const uint8_t *at = bytes;
    text_char(t, '"');
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '"' || at[i] == '\\') {
            text_char(t, '\\');
        }
        text_char(t, at[i] >= 0x20 && at[i] < 0x7f ? (char)at[i] : '.');
    }
    text_char(t, '"');
}

static void member(struct text *t, const char *name)
{
    text_add(t, t->used > 1 ? ", \"" : "\"");
    text_add(t, name);
    text_add(t, "\": ");
}

void conflict_body(const struct conflict_report *r, struct text *t)
{
    assert(r != NULL && t != NULL);
    text_char(t, '{');
    member(t, "message_id");
    text_char(t, '"');
    text_id128(t, r->operation_id);
    text_char(t, '"');
    member(t, "uid");
    text_char(t, '"');
    text_hex64(t, r->uid);
    text_char(t, '"');
    member(t, "action");
    conflict_json_text(t, r->action, strlen(r->action));
    member(t, "expected");
    conflict_json_text(t, r->expected, r->expected_bytes);
    member(t, "received");
    conflict_json_text(t, r->received, r->received_bytes);
    member(t, "context_hash");
    text_char(t, '"');
    text_id128(t, r->context_hash);
    text_char(t, '"');
    member(t, "divergence_depth");
    text_u64(t, r->divergence_depth);
    member(t, "affects_agent_count");
    text_u64(t, r->agents_affected);
    member(t, "lamport");
    text_u64(t, r->lamport);
    member(t, "strategy");
    text_char(t, '"');
    bool isolated = r->type != CONFLICT_HASH_MISMATCH && conflict_isolates(r);
    text_add(t, isolated ? "QUARANTINE" : conflict_strategy_name(conflict_strategy(r->type)));
    text_add(t, "\"}");
}

/* The value after "name": ; a string without its quotes and escapes. False: not there, too long. */
static bool find(const char *body, size_t bytes, const char *name, char *ret, size_t size,
                 size_t *ret_bytes)
{
    size_t n = strlen(name), used = 0;
    for (size_t i = 0; i + n + 4 < bytes; i++) {
        bool here = body[i] == '"' && memcmp(body + i + 1, name, n) == 0 &&
                    memcmp(body + i + 1 + n, "\": ", 3) == 0 && (i == 1 || body[i - 1] == ' ');
        if (!here) {
            continue;
        }
        size_t at = i + n + 4;
        bool quoted = body[at] == '"';
        at += quoted ? 1u : 0u;
        while (at < bytes && (quoted ? body[at] != '"' : body[at] >= '0' && body[at] <= '9')) {
            at += quoted && body[at] == '\\' ? 1u : 0u;
            if (at >= bytes || used + 1 >= size) {
                return false;
            }
            ret[used++] = body[at++];
        }
        ret[used] = '\0';
        *ret_bytes = used;
        return at < bytes;
    }
    return false;
}

static bool find_number(const char *body, size_t bytes, const char *name, uint64_t *ret)
{
    char text[U64_TEXT_MAX];
    size_t n;
    return find(body, bytes, name, text, sizeof(text), &n) && num_parse_u64(text, n, ret);
}

static bool read_values(const char *body, size_t bytes, struct conflict_report *ret)
{
    char text[CONFLICT_VALUE_MAX + 1];
    size_t n;
    if (!find(body, bytes, "action", ret->action, sizeof(ret->action), &n) ||
        !find(body, bytes, "expected", text, sizeof(text), &n)) {
        return false;
    }
    memcpy(ret->expected, text, n);
    ret->expected_bytes = (uint16_t)n;
    if (!find(body, bytes, "received", text, sizeof(text), &n)) {
        return false;
    }
    memcpy(ret->received, text, n);
    ret->received_bytes = (uint16_t)n;
    return true;
}

bool conflict_read(const char *subject, const char *agent, const char *type, int64_t at_us,
                   const char *body, size_t body_bytes, struct conflict_report *ret)
{
    char text[ID128_TEXT_MAX];
    const char *why;
    size_t n;
    uint64_t depth, affected;
    memset(ret, 0, sizeof(*ret));
    ret->at_mesh_us = at_us;
    ret->type = conflict_type_parse(type, strlen(type));
    if (ret->type == CONFLICT_NONE || !num_parse_hex64(subject, strlen(subject), &ret->id) ||
        !unit_parse(agent, strlen(agent), &ret->agent, &why) ||
        !find(body, body_bytes, "message_id", text, sizeof(text), &n) ||
        !num_id128_parse(text, n, &ret->operation_id) ||
        !find(body, body_bytes, "context_hash", text, sizeof(text), &n) ||
        !num_id128_parse(text, n, &ret->context_hash) ||
        !find(body, body_bytes, "uid", text, sizeof(text), &n) ||
        !num_parse_hex64(text, n, &ret->uid) ||
        !find_number(body, body_bytes, "divergence_depth", &depth) ||
        !find_number(body, body_bytes, "affects_agent_count", &affected) ||
        !find_number(body, body_bytes, "lamport", &ret->lamport)) {
        return false;
    }
    ret->divergence_depth = (uint32_t)depth;
    ret->agents_affected = (uint32_t)affected;
    return read_values(body, body_bytes, ret);
}
