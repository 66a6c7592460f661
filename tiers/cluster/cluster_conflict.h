/* What a lead keeps of the conflicts that it has heard of (cluster_conflict.c). */
#ifndef TIERS_CLUSTER_CLUSTER_CONFLICT_H
#define TIERS_CLUSTER_CLUSTER_CONFLICT_H

#include "core/conflict.h"
#include "core/slab.h"

/* Conflicts that are not known to be in the log. One more is counted only (cluster_conflict.c). */
#define LEAD_CONFLICTS_MAX 128u
#define LEAD_CONFLICTS_FEW 2u

struct lead_conflict {
    uint8_t tries;
    int64_t due_us;
    struct conflict_report report;
};

/* Chunks of a table of so many; of all tables on the way to the largest, at most. */
#define LEAD_CONFLICT_CHUNKS(count)                                                                \
    (((count) * (uint32_t)sizeof(struct lead_conflict) + SLAB_CHUNK_BYTES - 1u) / SLAB_CHUNK_BYTES)
#define LEAD_CONFLICT_RUNS (2u * LEAD_CONFLICT_CHUNKS(LEAD_CONFLICTS_MAX) + 8u)

struct lead_conflicts {
    uint32_t count;
    struct lead_conflict *slots;             /* in the pool: begins with few, and doubles */
    uint16_t room, chunk;                    /* how many there are; where they begin */
    uint64_t used[LEAD_CONFLICTS_MAX / 64u]; /* bits of slots[] */
    uint64_t spilled;
    struct id128 spilled_operation;
    uint64_t lamport;
};

#endif
