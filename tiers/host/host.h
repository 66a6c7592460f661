/* The host tier: one machine's supervisor as a node (design 2). It starts the agents that its
 * process hosts, paced; starts again what ended; and reports to every sector that has agents of
 * here each minute, and within five seconds to a new owner. */
#ifndef TIERS_HOST_HOST_H
#define TIERS_HOST_HOST_H

#include "core/node.h"

extern const struct node_ops host_ops;

#endif
