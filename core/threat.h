/* Threats (spec 9.2) as state machines: what counts as evidence, when it is enough, and what
 * follows. Pure; the orchestrator holds the book, carries out the answers and writes them into the
 * audit log (tiers/orchestrator/orchestrator_threat.c).
 *
 *     SUSPECTED --enough evidence--> ANSWERED --an admin clears it--> CLEARED
 *         '-- THREAT_QUIET_US without more --> forgotten
 *
 * Five sources: what processes refused (struct evidence, from the acceptance of frames), answers
 * that contradict a quorum and times that contradict a lead's clock (a lead's reports), sectors
 * that follow orders which were not given, and what operators order. Enough is:
 *   - THREAT_REFUSALS forgeries or overreaches within THREAT_QUIET_US, told by who stands above the
 *     accused in the tree or by two accusers: a single equal cannot have anybody shut out;
 *   - DENIAL_REFUSALS of them at once: a flood;
 *   - for a cluster, a fifth of its agents (ANOMALIES_LEAST at least) contradicting in
 *     THREAT_QUIET_US; for a sector, a fifth of its clusters (two at least) compromised;
 *   - for claimed times, what core/timing.h says: the lead has judged;
 *   - for the orchestrator, THREAT_ORDERS_MAX disruptive orders of one operator within
 * THREAT_QUIET_US, or the first rule against somebody who may command. What also happens to honest
 * processes (late, repeated, stale) never is enough, however often. */
#ifndef CORE_THREAT_H
#define CORE_THREAT_H

#include "core/limits.h"
#include "core/unit.h"
#include <stdbool.h>

#define THREATS_MAX        64u /* beyond: the oldest that is over, then suspected, gives way */
#define THREAT_ANOMALIES   128u
#define THREAT_OPERATORS   16u
#define THREAT_NAME_MAX    17u /* of a process, with NUL */
#define THREAT_CHECK_MAX   40u
#define THREAT_QUIET_US    (60ll * US_PER_S)
#define THREAT_REFUSALS    3u
#define DENIAL_REFUSALS    200u
#define ANOMALIES_LEAST    3u
#define THREAT_ORDERS_MAX  60u
#define THREAT_TELL_GROWTH 3u /* a process tells again when it is so many times what it told */
#define EVIDENCE_RANGES    8u

enum threat_kind {
    THREAT_NONE,
    THREAT_ROGUE_AGENT,
    THREAT_CLUSTER_COMPROMISE,
    THREAT_SECTOR_COMPROMISE,
    THREAT_ORCHESTRATOR_COMPROMISE,
    THREAT_DENIAL_OF_SERVICE,
    THREAT_TIMING_ATTACK,
    THREAT_KIND_COUNT
};

enum threat_state { THREAT_FREE, THREAT_SUSPECTED, THREAT_ANSWERED, THREAT_CLEARED };

enum evidence_weight {
    EVIDENCE_DOUBT,     /* honest processes cause it, too */
    EVIDENCE_FORGERY,   /* bytes or signatures that no honest process sends */
    EVIDENCE_OVERREACH, /* well signed, and beyond what its certificate allows */
    EVIDENCE_HELD       /* it is shut out already: an orchestrator before this one did it */
};

/* One process refused what another sent (tiers/runner/alarm.h). */
struct evidence {
    char accused[THREAT_NAME_MAX], accuser[THREAT_NAME_MAX];
    enum tier tier;     /* what the accused is: AGENT (a host) .. ORCHESTRATOR, CONSOLE */
    bool may_command;   /* a console that may order disruptive things */
    bool accuser_above; /* in the tree, of all that the accused serves; or the orchestrator */
    enum evidence_weight weight;
    char check[THREAT_CHECK_MAX]; /* what refused it: "record-scope" */
    uint64_t count;               /* so far, of this accuser and check */
    /* its agents, as linear indexes; what does not fit is reached by its lead's silence timer */
    struct {
        uint32_t first, count;
    } agents[EVIDENCE_RANGES];
    uint32_t ranges;
};

struct threat {
    enum threat_kind kind;
    enum threat_state state;
    uint64_t id;
    struct unit unit;         /* AGENT, CLUSTER, SECTOR: the unit; NONE: a process, `evidence` */
    struct evidence evidence; /* the latest; unit threats: accused is empty */
    char second[THREAT_NAME_MAX]; /* another accuser */
    bool above;                   /* one of them stands above */
    uint64_t count;               /* the most that one accuser told */
    uint64_t incident;            /* TIMING_ATTACK: of the lead that tells it */
    int64_t first_us, last_us, detected_us, answered_us; /* answered_us 0: not yet */
    /* how far the leads of its agents are told, and when they are told again */
    uint32_t told_range, told_agents;
    int64_t tell_us;
};

struct threat_book {
    struct threat list[THREATS_MAX];
    struct {
        struct unit agent;
        int64_t at_us;
    } anomalies[THREAT_ANOMALIES];
    uint32_t anomaly_next;
    struct {
        char name[THREAT_NAME_MAX];
        int64_t since_us;
        uint32_t orders;
    } operators[THREAT_OPERATORS];
    uint64_t named; /* gives the next its id */
};

const char *threat_kind_name(enum threat_kind k);   /* "rogue_agent" */
const char *threat_state_name(enum threat_state s); /* "suspected" */

/* Each returns the threat that has to be answered now, detected_us set, or NULL. Nothing is
 * answered twice: who is answered already only has its evidence brought up to date. */
struct threat *threat_refused(struct threat_book *b, const struct evidence *e, int64_t now_us);
/* An agent contradicted a quorum; its lead has it in quarantine. */
struct threat *threat_contradicted(struct threat_book *b, struct unit agent, int64_t now_us);
/* Whether that now makes its cluster, or its sector, one. agents, clusters: how many there are. */
struct threat *threat_cluster(struct threat_book *b, struct unit cluster, uint32_t agents,
                              int64_t now_us);
struct threat *threat_sector(struct threat_book *b, struct unit sector, uint32_t clusters,
                             int64_t now_us);
/* A lead tells, in its incident of that id, that `agents` of its cluster claim times together that
 * its own clock contradicts (core/timing.h): it has locked what it learnt of them. */
struct threat *threat_timing(struct threat_book *b, struct unit cluster, uint64_t incident,
                             uint32_t agents, int64_t now_us);
/* Whether it was cleared. */
bool threat_timing_cleared(struct threat_book *b, uint64_t incident);
/* That incident has ended. The threat that is over by it, or NULL. */
struct threat *threat_timing_over(struct threat_book *b, uint64_t incident);
/* `tellers` of `of` sectors follow orders in the orchestrator's name that it did not give
 * (hub_order.h). One may lie: enough is two, and more than half. *ret_new: the first word of it. */
struct threat *threat_forked(struct threat_book *b, uint32_t tellers, uint32_t of, int64_t now_us,
                             const struct threat **ret_new);
/* An operator gave a disruptive order. */
struct threat *threat_ordered(struct threat_book *b, const char *name, int64_t now_us);

void threat_answered(struct threat *t, int64_t now_us);
/* Forgets what was suspected and went quiet. */
void threat_expire(struct threat_book *b, int64_t now_us);
struct threat *threat_find(struct threat_book *b, uint64_t id);
/* An open one of that kind, or NULL. */
const struct threat *threat_open(const struct threat_book *b, enum threat_kind k);

#endif
