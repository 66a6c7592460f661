/* Conflicts (spec part 5): a -1 is information. What a lead reports, how urgent it is, which
 * strategy resolves it with which steps. Pure tables and one record; who keeps and works on them is
 * in logbook.h and tiers/orchestrator.
 *
 * A conflict's name is 16 hex digits that follow from the operation, the agent and the type: the
 * same report, sent again, is the same conflict. */
#ifndef CORE_CONFLICT_H
#define CORE_CONFLICT_H

#include "core/incident.h"
#include "core/operation.h"
#include "core/text.h"

#define CONFLICT_VALUE_MAX    192u /* bytes of a value that are kept; longer ones are cut */
#define CONFLICT_PRIORITY_MAX 4u

struct conflict_report {
    uint64_t id;
    struct id128 operation_id;
    struct unit agent; /* a lead speaks for itself when it had to leave some out */
    uint64_t uid;
    int64_t at_mesh_us;
    uint64_t lamport; /* the lead's, when it heard of it */
    enum conflict_type type;
    struct id128 context_hash;
    uint32_t divergence_depth, agents_affected;
    uint16_t expected_bytes, received_bytes;
    uint8_t incident; /* enum failure_class: an event of an incident (incident.h), no conflict: id
                       * is the event's, uid the incident's, `received` what happened */
    uint8_t event;    /* enum incident_event */
    char action[ACTION_MAX];
    uint8_t expected[CONFLICT_VALUE_MAX], received[CONFLICT_VALUE_MAX];
};

/* From the lead, through its sector, to the orchestrator; back it comes as an acknowledgement once
 * the row is durable. */
struct conflict_ack {
    uint64_t id;
    struct unit agent; /* as reported: it finds the way back */
    uint64_t lamport;  /* the row's number in the log: what the lead says next comes after it */
};

/* Down to an agent's lead: keep it out of operations, let it back, or do not count on some of its
 * capabilities (until it is let back). */
enum isolation {
    ISOLATE_NONE,
    ISOLATE_QUARANTINE,
    ISOLATE_LIFT,
    ISOLATE_BAR,
    ISOLATE_AVOID,   /* new work goes around these agents of the cluster, and around no others */
    ISOLATE_BELIEVE, /* what its cluster's agents claim of their times is learnt again (timing.h) */
    ISOLATE_COUNT
};

struct isolate {
    struct unit agent;
    enum isolation what;
    uint64_t capabilities; /* BAR: bits of the topology's list */
    uint64_t agents; /* bits of the cluster's agents, `agent` is any of them; QUARANTINE, LIFT: 0:
                        `agent` alone */
};

/* The action of a conflict that is a quarantine: by an operator; by a lead, because the answer
 * contradicted a quorum of others. No handler can be called so. */
#define CONFLICT_BY_HAND   "(quarantine)"
#define CONFLICT_BYZANTINE "(byzantine)"

enum strategy {
    STRATEGY_NONE,
    STRATEGY_BRANCH_AND_RECONCILE, /* CONTEXT_DIVERGENCE */
    STRATEGY_PROVENANCE_TRACE,     /* DATA_CONTRADICTION */
    STRATEGY_CLOCK_RECONCILIATION, /* TEMPORAL_PARADOX */
    STRATEGY_REROUTE,              /* CAPABILITY_MISMATCH: fix the routing */
    STRATEGY_ISOLATE_AND_COMPARE,  /* HASH_MISMATCH: isolate, fetch again, compare */
    STRATEGY_ASK_AGAIN,            /* the default */
    STRATEGY_COUNT
};

uint64_t conflict_name(const struct id128 *operation, uint64_t uid, enum conflict_type type);
unsigned conflict_priority(enum conflict_type type, uint32_t depth, uint32_t affected);
int64_t conflict_deadline_us(unsigned priority); /* from when it arose; spec 5.1 */
enum strategy conflict_strategy(enum conflict_type type);
const char *conflict_strategy_name(enum strategy s); /* "BRANCH_AND_RECONCILE" */
/* Whether the agent is in quarantine while the conflict is open. */
bool conflict_isolates(const struct conflict_report *r);
/* What the step does, for people; NULL past the last. */
const char *conflict_step(enum strategy s, unsigned step);

/* The report as the JSON body of its row. */
void conflict_body(const struct conflict_report *r, struct text *t);
/* A text as a JSON string with its quotes; bytes that are not printable ASCII become '.'. */
void conflict_json_text(struct text *t, const void *bytes, size_t len);
/* Reads a row back: what conflict_body() wrote, and the row's own columns. False: not such a row.
 */
bool conflict_read(const char *subject, const char *agent, const char *type, int64_t at_us,
                   const char *body, size_t body_bytes, struct conflict_report *ret);

#endif
