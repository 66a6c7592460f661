/* The agent tier: one agent of the mesh as a node (spec 2.3, 4.1; design 4, 7, 9). It joins its
 * cluster lead, beats, runs operations through WORK_HANDLER, holds effects until T, acknowledges,
 * and sends messages of its own to other agents. It is generic: actions are the runner's.
 *
 * conf.epoch rises with every start of the same agent; it is the incarnation of its hello. */
#ifndef TIERS_AGENT_AGENT_H
#define TIERS_AGENT_AGENT_H

#include "core/node.h"

extern const struct node_ops agent_ops;

#endif
