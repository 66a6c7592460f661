/* Names of the shared words, and their parsers. One table a type, used in both directions, so that
 * whatever is printed can be typed. Comparison ignores case and takes '-' and '_' for the same.
 * Tables are constant and short: a linear search is the simplest thing that is fast enough. */
#include "core/types.h"

#include <assert.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const CLASSES[CLASS_COUNT] = {
    "none",        "CLASS_A_EDGE",  "CLASS_B_SERVERLESS", "CLASS_C_PERSISTENT",
    "CLASS_D_GPU", "CLASS_E_LOCAL", "CLASS_F_HUMAN"};
static const char *const AGENT_STATES[AGENT_STATE_COUNT] = {
    "unknown", "active", "degraded", "suspect", "offline", "quarantined", "frozen"};
static const char *const AGENT_STATES_SPEC[AGENT_STATE_COUNT] = {
    "offline", "active", "degraded", "degraded", "offline", "quarantined", "degraded"};
static const char *const OUTCOMES[OUTCOME_COUNT] = {
    "pending",           "ready",       "conflict", "failed",  "timeout-delivery",
    "timeout-execution", "unreachable", "refused",  "skipped", "cancelled"};
static const char *const REASONS[REASON_COUNT] = {"none",
                                                  "expired",
                                                  "overload",
                                                  "capability",
                                                  "breaker",
                                                  "quarantined",
                                                  "frozen",
                                                  "mode",
                                                  "invalid",
                                                  "stale-epoch",
                                                  "not-mine",
                                                  "signature",
                                                  "agent-offline",
                                                  "cluster-down",
                                                  "sector-down",
                                                  "not-joined",
                                                  "insufficient-lead-time",
                                                  "handler",
                                                  "unknown-action",
                                                  "unexpected",
                                                  "routed-around",
                                                  "moved",
                                                  "takeover"};
static const char *const VERBS[VERB_COUNT] = {"none", "observe", "orient", "decide",
                                              "act",  "record",  "sync"};
static const char *const ROUTINGS[ROUTING_COUNT] = {"none", "direct", "broadcast", "scatter-gather",
                                                    "pipeline"};
static const char *const STRATEGIES[CASCADE_COUNT] = {"none", "wave", "parallel", "priority_first"};
static const char *const TIMINGS[TIMING_COUNT] = {"soon", "by", "at"};
static const char *const MODES[MODE_COUNT] = {
    "STARTING", "FULL", "DEGRADED_LIGHT", "DEGRADED_MODERATE", "DEGRADED_SEVERE", "EMERGENCY"};
static const char *const CIRCUITS[CIRCUIT_COUNT] = {"CLOSED", "OPEN", "HALF_OPEN"};
static const char *const CONFLICTS[CONFLICT_TYPE_COUNT] = {"NONE",
                                                           "CONTEXT_DIVERGENCE",
                                                           "DATA_CONTRADICTION",
                                                           "TEMPORAL_PARADOX",
                                                           "CAPABILITY_MISMATCH",
                                                           "HASH_MISMATCH",
                                                           "OTHER"};
static const char *const DECISIONS[DECISION_COUNT] = {"NONE", "PROCEED", "WAIT",
                                                      "RESOLVE_CONFLICTS", "RETRY"};
static const char *const TIERS[TIER_COUNT] = {"none",  "orchestrator", "sector", "cluster",
                                              "agent", "host",         "console"};

static const char *name_of(const char *const *names, size_t count, unsigned value)
{
    assert(names != NULL);
    return value < count ? names[value] : "unknown";
}

static char plain(char c)
{
    if (c >= 'A' && c <= 'Z') {
        return (char)(c - 'A' + 'a');
    }
    return c == '_' ? '-' : c;
}

static bool same_word(const char *name, const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (name[i] == '\0' || plain(name[i]) != plain(text[i])) {
            return false;
        }
    }
    return name[bytes] == '\0';
}

/* Index of the word, from `from` on; 0 when it is unknown. */
static unsigned find_word(const char *const *names, size_t count, unsigned from, const char *text,
                          size_t bytes)
{
    assert(text != NULL || bytes == 0);
    for (unsigned i = from; i < count; i++) {
        if (same_word(names[i], text, bytes)) {
            return i;
        }
    }
    return 0;
}

const char *class_name(enum impedance_class c)
{
    return name_of(CLASSES, COUNT(CLASSES), (unsigned)c);
}

const char *agent_state_name(enum agent_state s)
{
    return name_of(AGENT_STATES, COUNT(AGENT_STATES), (unsigned)s);
}

const char *agent_state_spec(enum agent_state s)
{
    return name_of(AGENT_STATES_SPEC, COUNT(AGENT_STATES_SPEC), (unsigned)s);
}

const char *outcome_name(enum outcome o)
{
    return name_of(OUTCOMES, COUNT(OUTCOMES), (unsigned)o);
}

const char *reason_name(enum reason r)
{
    return name_of(REASONS, COUNT(REASONS), (unsigned)r);
}

const char *verb_name(enum verb v)
{
    return name_of(VERBS, COUNT(VERBS), (unsigned)v);
}

const char *routing_name(enum routing r)
{
    return name_of(ROUTINGS, COUNT(ROUTINGS), (unsigned)r);
}

const char *strategy_name(enum cascade_strategy s)
{
    return name_of(STRATEGIES, COUNT(STRATEGIES), (unsigned)s);
}

const char *timing_name(enum timing t)
{
    return name_of(TIMINGS, COUNT(TIMINGS), (unsigned)t);
}

const char *mode_name(enum mode m)
{
    return name_of(MODES, COUNT(MODES), (unsigned)m);
}

const char *circuit_name(enum circuit c)
{
    return name_of(CIRCUITS, COUNT(CIRCUITS), (unsigned)c);
}

const char *conflict_type_name(enum conflict_type t)
{
    return name_of(CONFLICTS, COUNT(CONFLICTS), (unsigned)t);
}

const char *decision_name(enum decision d)
{
    return name_of(DECISIONS, COUNT(DECISIONS), (unsigned)d);
}

const char *tier_name(enum tier t)
{
    return name_of(TIERS, COUNT(TIERS), (unsigned)t);
}

/* "A", "CLASS_A", "A_EDGE", "EDGE" and "CLASS_A_EDGE" all name one class. */
enum impedance_class class_parse(const char *text, size_t bytes)
{
    assert(text != NULL || bytes == 0);
    for (unsigned i = 1; i < CLASS_COUNT; i++) {
        const char *name = CLASSES[i];
        size_t letter = sizeof "CLASS_" - 1u;
        bool one = bytes == 1 && plain(text[0]) == plain(name[letter]);
        bool brief = bytes == letter + 1u && plain(text[letter]) == plain(name[letter]) &&
                     same_word("CLASS_", text, letter);
        if (one || brief || same_word(name, text, bytes) || same_word(name + letter, text, bytes) ||
            same_word(name + letter + 2u, text, bytes)) {
            return (enum impedance_class)i;
        }
    }
    return CLASS_NONE;
}

enum agent_state agent_state_parse(const char *text, size_t bytes)
{
    return (enum agent_state)find_word(AGENT_STATES, COUNT(AGENT_STATES), 0, text, bytes);
}

enum verb verb_parse(const char *text, size_t bytes)
{
    return (enum verb)find_word(VERBS, COUNT(VERBS), 1, text, bytes);
}

enum routing routing_parse(const char *text, size_t bytes)
{
    return (enum routing)find_word(ROUTINGS, COUNT(ROUTINGS), 1, text, bytes);
}

enum cascade_strategy strategy_parse(const char *text, size_t bytes)
{
    return (enum cascade_strategy)find_word(STRATEGIES, COUNT(STRATEGIES), 1, text, bytes);
}

enum conflict_type conflict_type_parse(const char *text, size_t bytes)
{
    return (enum conflict_type)find_word(CONFLICTS, COUNT(CONFLICTS), 1, text, bytes);
}

bool timing_parse(const char *text, size_t bytes, enum timing *ret)
{
    assert(text != NULL || bytes == 0);
    assert(ret != NULL);
    for (unsigned i = 0; i < TIMING_COUNT; i++) {
        if (same_word(TIMINGS[i], text, bytes)) {
            *ret = (enum timing)i;
            return true;
        }
    }
    return false;
}

enum trinary outcome_trinary(enum outcome o)
{
    assert((unsigned)o < OUTCOME_COUNT);
    return o == OUTCOME_READY      ? TRINARY_READY
           : o == OUTCOME_CONFLICT ? TRINARY_CONFLICT
                                   : TRINARY_TRANSIT;
}

bool outcome_counts_in_quorum(enum outcome o)
{
    assert((unsigned)o < OUTCOME_COUNT);
    return o != OUTCOME_REFUSED && o != OUTCOME_SKIPPED && o != OUTCOME_CANCELLED;
}
