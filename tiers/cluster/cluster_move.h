/* What the lead knows of agents that live elsewhere, and of those that came (cluster_move.c). */
#ifndef TIERS_CLUSTER_CLUSTER_MOVE_H
#define TIERS_CLUSTER_CLUSTER_MOVE_H

#include "core/limits.h"
#include "core/unit.h"

#define LEAD_MOVE_DRAIN_US (10ll * US_PER_S)   /* for what is in flight to one that is to leave */
#define LEAD_MOVE_ASK_US   (5ll * US_PER_S)    /* its host is asked again then */
#define LEAD_MOVE_STEP     4u                  /* asks in one step .. */
#define LEAD_MOVE_GAP_US   (200ll * US_PER_MS) /* .. and between two */

struct lead_moved {
    uint64_t id;             /* of the move that spoke of it last */
    struct unit other;       /* leaving, gone: its place; guests: its home */
    int64_t until_us;        /* leaving: the drain's end; else not asked before */
    int64_t arrived_mesh_us; /* 0: it did not come by a move */
};

/* Masks are of members. */
struct lead_moves {
    uint64_t planned;             /* members that the topology expects here */
    uint64_t leaving, gone;       /* planned ones: no new work; live elsewhere */
    uint64_t left;                /* they went; the registry still has a record of them here */
    uint64_t returning;           /* planned ones that are to be brought back */
    uint64_t guests;              /* spare places that are given to agents of elsewhere */
    uint64_t granted;             /* of these: the runner knows who may speak for them */
    uint64_t ask;                 /* the host is to be asked */
    int64_t ask_next_us, look_us; /* look: whether records may go */
    struct lead_moved *of;        /* each member's; untouched while nobody moves */
};

#endif
