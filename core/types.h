/* The words that every tier shares: classes, states, outcomes, reasons, verbs, strategies, modes.
 * Names in text form come from types.c; numbers are those of proto/mesh.proto and never change. */
#ifndef CORE_TYPES_H
#define CORE_TYPES_H

#include "core/limits.h"
#include "core/unit.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Spec 2.2. */
enum impedance_class {
    CLASS_NONE,
    CLASS_A_EDGE,
    CLASS_B_SERVERLESS,
    CLASS_C_PERSISTENT,
    CLASS_D_GPU,
    CLASS_E_LOCAL,
    CLASS_F_HUMAN,
    CLASS_COUNT
};
/* A set of classes is a bit mask of 1u << class. */
#define CLASS_MASK_ALL 0x7eu

/* Spec 2.3, with the two states of the failure detector (design 8) that the spec folds into
 * `offline`. A record in the registry shows the spec's four: suspect reads as degraded. */
enum agent_state {
    AGENT_UNKNOWN, /* in the roster, not heard of since this lead started */
    AGENT_ACTIVE,
    AGENT_DEGRADED, /* answers, but its impedance or drift is beyond its class */
    AGENT_SUSPECT,  /* silent for 15 s */
    AGENT_OFFLINE,  /* silent for 30 s, or it said goodbye */
    AGENT_QUARANTINED,
    AGENT_FROZEN, /* stands still until THAW */
    AGENT_STATE_COUNT
};

/* Spec 1.4. */
enum trinary { TRINARY_CONFLICT = -1, TRINARY_TRANSIT = 0, TRINARY_READY = 1 };

/* The one final state of a target (design 4). PENDING is no final state. */
enum outcome {
    OUTCOME_PENDING,
    OUTCOME_READY,
    OUTCOME_CONFLICT,
    OUTCOME_FAILED,            /* the handler said so */
    OUTCOME_TIMEOUT_DELIVERY,  /* sent, never acknowledged in any form */
    OUTCOME_TIMEOUT_EXECUTION, /* acknowledged as received, not done in time */
    OUTCOME_UNREACHABLE,       /* a hop on the way is known to be dead: see the reason */
    OUTCOME_REFUSED,           /* see the reason */
    OUTCOME_SKIPPED,           /* could not have made T: see the reason */
    OUTCOME_CANCELLED,
    OUTCOME_COUNT
};

enum reason {
    REASON_NONE,
    /* refused */
    REASON_EXPIRED,     /* the TTL had passed */
    REASON_OVERLOAD,    /* a pool or queue at its limit */
    REASON_CAPABILITY,  /* a required capability is missing */
    REASON_BREAKER,     /* a circuit breaker is open */
    REASON_QUARANTINED, /* the agent is quarantined */
    REASON_FROZEN,
    REASON_MODE,        /* the operational mode restricts it */
    REASON_INVALID,     /* the request is outside the contract */
    REASON_STALE_EPOCH, /* the sender no longer owns the unit */
    REASON_NOT_MINE,    /* the unit is not owned here */
    REASON_SIGNATURE,   /* the operation's own signature did not hold */
    /* unreachable */
    REASON_AGENT_OFFLINE,
    REASON_CLUSTER_DOWN,
    REASON_SECTOR_DOWN,
    REASON_NOT_JOINED, /* in the topology, never seen */
    /* skipped */
    REASON_LEAD_TIME, /* spec 3.1 insufficient_lead_time */
    /* failed */
    REASON_HANDLER,        /* the handler reported an error */
    REASON_UNKNOWN_ACTION, /* no handler of that name */
    REASON_UNEXPECTED,     /* an answer other than trinary_expectation */
    REASON_ROUTED,         /* skipped: new work is routed around the agent */
    REASON_MOVED,          /* refused, unreachable: the agent lives at another place now */
    REASON_TAKEOVER, /* unreachable: the orchestrator was replaced, its successor cannot know */
    REASON_COUNT
};

/* Spec 2.4. */
enum verb {
    VERB_NONE,
    VERB_OBSERVE,
    VERB_ORIENT,
    VERB_DECIDE,
    VERB_ACT,
    VERB_RECORD,
    VERB_SYNC,
    VERB_COUNT
};

enum routing {
    ROUTING_NONE,
    ROUTING_DIRECT,
    ROUTING_BROADCAST,
    ROUTING_SCATTER_GATHER,
    ROUTING_PIPELINE,
    ROUTING_COUNT
};

/* Spec 3.3; NONE: one scatter-gather, no cascade. */
enum cascade_strategy {
    CASCADE_NONE,
    CASCADE_WAVE,
    CASCADE_PARALLEL,
    CASCADE_PRIORITY_FIRST,
    CASCADE_COUNT
};

/* When the effect happens (design 4, issue "arrive together"). */
enum timing {
    TIMING_SOON, /* no T: as soon as it arrives */
    TIMING_BY,   /* ready by T, effect as soon as done */
    TIMING_AT,   /* hold: the effect is released at T on the agent's mesh time */
    TIMING_COUNT
};

/* Priorities are 0 (background) to 3 (critical), spec 2.4. */
#define PRIORITY_COUNT 4u

/* Spec 6.3, and STARTING before 95 % were first reached (design 8). */
enum mode {
    MODE_STARTING,
    MODE_FULL,
    MODE_DEGRADED_LIGHT,
    MODE_DEGRADED_MODERATE,
    MODE_DEGRADED_SEVERE,
    MODE_EMERGENCY,
    MODE_COUNT
};

/* Spec 6.2. */
enum circuit { CIRCUIT_CLOSED, CIRCUIT_OPEN, CIRCUIT_HALF_OPEN, CIRCUIT_COUNT };

/* Spec 5.1. */
enum conflict_type {
    CONFLICT_NONE,
    CONFLICT_CONTEXT_DIVERGENCE,
    CONFLICT_DATA_CONTRADICTION,
    CONFLICT_TEMPORAL_PARADOX,
    CONFLICT_CAPABILITY_MISMATCH,
    CONFLICT_HASH_MISMATCH,
    CONFLICT_OTHER,
    CONFLICT_TYPE_COUNT
};

/* Spec 5.2. */
enum decision {
    DECISION_NONE,
    DECISION_PROCEED,
    DECISION_WAIT,
    DECISION_RESOLVE_CONFLICTS,
    DECISION_RETRY,
    DECISION_COUNT
};

/* Text forms: upper tiers print them, the console parses them. Names are lower case words with
 * hyphens except where the spec spells them (CLASS_A_EDGE, DEGRADED_LIGHT, PROCEED). */
const char *class_name(enum impedance_class c);   /* "CLASS_A_EDGE" */
const char *agent_state_name(enum agent_state s); /* "active", "suspect", .. */
const char *agent_state_spec(enum agent_state s); /* the spec's four */
const char *outcome_name(enum outcome o);         /* "ready", "timeout-delivery", .. */
const char *reason_name(enum reason r);           /* "insufficient-lead-time", .. */
const char *verb_name(enum verb v);
const char *routing_name(enum routing r);             /* "scatter-gather" */
const char *strategy_name(enum cascade_strategy s);   /* "priority_first" */
const char *timing_name(enum timing t);               /* "soon", "by", "at" */
const char *mode_name(enum mode m);                   /* "DEGRADED_LIGHT" */
const char *circuit_name(enum circuit c);             /* "CLOSED", "OPEN", "HALF_OPEN" */
const char *conflict_type_name(enum conflict_type t); /* "CONTEXT_DIVERGENCE" */
const char *decision_name(enum decision d);           /* "PROCEED" */
const char *tier_name(enum tier t);                   /* "cluster" */

/* The reverse; also accepts a class by its letter and any case. 0 / false when unknown. */
enum impedance_class class_parse(const char *text, size_t bytes);
enum agent_state agent_state_parse(const char *text, size_t bytes);
enum verb verb_parse(const char *text, size_t bytes);
enum routing routing_parse(const char *text, size_t bytes);
enum cascade_strategy strategy_parse(const char *text, size_t bytes);
enum conflict_type conflict_type_parse(const char *text, size_t bytes);
bool timing_parse(const char *text, size_t bytes, enum timing *ret);

/* How an outcome counts in the trinary quorum (design 4): READY +1, CONFLICT -1, others 0;
 * counts_in_quorum() is false for skipped, refused and cancelled. */
enum trinary outcome_trinary(enum outcome o);
bool outcome_counts_in_quorum(enum outcome o);

#endif
