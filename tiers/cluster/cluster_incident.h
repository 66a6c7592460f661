/* What a lead keeps of the incidents among its agents (cluster_incident.c). */
#ifndef TIERS_CLUSTER_CLUSTER_INCIDENT_H
#define TIERS_CLUSTER_CLUSTER_INCIDENT_H

#include "core/incident.h"
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

struct lead_incidents {
    int64_t next_us; /* nothing to tell or to end before */
    struct lead_incident of[FAILURE_CLASS_COUNT];
    uint64_t again[2]; /* TRANSIENT_NETWORK: how often silent since it began, two bit planes */
};

#endif
