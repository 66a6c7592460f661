/* What a lead keeps of the conflicts that it has heard of (cluster_conflict.c). */
#ifndef TIERS_CLUSTER_CLUSTER_CONFLICT_H
#define TIERS_CLUSTER_CLUSTER_CONFLICT_H

#include "core/conflict.h"

/* Conflicts that are not known to be in the log. One more is counted only (cluster_conflict.c). */
#define LEAD_CONFLICTS_MAX 128u

struct lead_conflict {
    uint8_t tries;
    int64_t due_us;
    struct conflict_report report;
};

struct lead_conflicts {
    uint32_t count;
    uint64_t used[LEAD_CONFLICTS_MAX / 64u]; /* bits of conflict_slots[] */
    uint64_t spilled;
    struct id128 spilled_operation;
    uint64_t lamport;
};

#endif
