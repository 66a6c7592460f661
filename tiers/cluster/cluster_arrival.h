/* Parts of the lead's memory: what hedging knows, and how far the way of a newcomer is known. */
#ifndef TIERS_CLUSTER_CLUSTER_ARRIVAL_H
#define TIERS_CLUSTER_CLUSTER_ARRIVAL_H

#include <stdint.h>

/* What hedging has learnt and may spend (cluster_hedge.c). */
struct lead_hedge {
    float z_received, z_done; /* deviations until an acknowledgement is overdue */
    uint32_t tokens;          /* thousandths of a hedge */
};

/* How far it is known where an agent was before (cluster_where.c). Each second one: without an
 * answer. */
enum where {
    WHERE_KNOWN,
    WHERE_ASK,
    WHERE_ASKED,
    WHERE_READ,
    WHERE_READING,
    WHERE_PUT,
    WHERE_PUTTING,
    /* of one that has left: is its line elsewhere by now? Then its record here goes. */
    WHERE_LEFT,
    WHERE_LEAVING,
    WHERE_DROP,
    WHERE_DROPPING
};

#endif
