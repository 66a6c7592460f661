/* The sector tier: coordinator of up to 64 clusters as a node (spec 2.1, 4.3; design 4, 8, 9). It
 * keeps a replica of its clusters' summaries, passes operations and queries down and their results
 * up, routes the agents' own messages between leads and other sectors, and serves consoles for what
 * lies wholly within it, also while the orchestrator is away. */
#ifndef TIERS_SECTOR_SECTOR_H
#define TIERS_SECTOR_SECTOR_H

#include "core/node.h"

extern const struct node_ops sector_ops;

#endif
