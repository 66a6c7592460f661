/* The cluster tier: the lead of up to 64 agents as a node (spec 4.2; design 4 to 9). It knows its
 * agents (roster, liveness, impedance, predictors), sends operations early by each agent's lead
 * time, resends, folds what comes back into one aggregate, answers queries, and writes the registry
 * behind. It takes operations from its sector only.
 *
 * About 2.9 MiB of zeroed memory, touched lazily: 64 KiB in idle. */
#ifndef TIERS_CLUSTER_CLUSTER_H
#define TIERS_CLUSTER_CLUSTER_H

#include "core/node.h"

extern const struct node_ops cluster_ops;

#endif
