/* What a lead keeps of the incidents among its agents (cluster_incident.c). */
#ifndef TIERS_CLUSTER_CLUSTER_INCIDENT_H
#define TIERS_CLUSTER_CLUSTER_INCIDENT_H

#include "core/incident.h"
#include "core/limits.h"
#include <stdbool.h>

/* One failure class. Masks are of members; what is not told yet is told together. */
struct lead_incident {
    uint64_t id; /* 0: none is open */
    int64_t since_us, tell_us, still_us, calm_us;
    uint64_t ever, now; /* concerned since it began; at this moment */
    uint64_t untold[INCIDENT_EVENT_COUNT];
    uint32_t events;
    bool escalated;
};

/* How often in a row one member had the same failure. */
struct lead_again {
    int64_t at_us;  /* when the last one began; when it is over, when it ended */
    uint32_t times; /* 0: never, or long ago */
};

struct lead_incidents {
    int64_t next_us; /* nothing to tell or to end before */
    struct lead_incident of[FAILURE_CLASS_COUNT];
    /* By member, over the incidents that they were in: each short silence is over, and resolved,
     * before the next one can begin. */
    struct lead_again silent[AGENTS_PER_CLUSTER_MAX]; /* TRANSIENT_NETWORK */
    struct lead_again crash[AGENTS_PER_CLUSTER_MAX];  /* AGENT_CRASH */
};

#endif
