/* The orchestrator tier: the root of the mesh as a node (spec 2.1, 3.3, 6.3, 7.1; design 2, 4, 8).
 * It is the root of mesh time, keeps the map of the sectors, decides the mode, admits operations of
 * consoles and steers their cascades. Its work is O(sectors). */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_H

#include "core/node.h"

extern const struct node_ops orchestrator_ops;

#endif
