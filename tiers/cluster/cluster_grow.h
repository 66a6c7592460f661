/* What the lead knows of newcomers at its spare places (cluster_grow.c). Masks are of members. */
#ifndef TIERS_CLUSTER_CLUSTER_GROW_H
#define TIERS_CLUSTER_CLUSTER_GROW_H

#include "core/grow.h"

struct lead_grow {
    struct grow order; /* id 0: there was none */
    uint64_t whole;    /* of the fresh ones: they have the whole share of work */
    uint64_t leaving;  /* no new work; let go when nothing is in flight to them, or at until_us */
    int64_t until_us;
    int64_t *since_us; /* each member's, fresh: first here; 0: not yet */
};

#endif
