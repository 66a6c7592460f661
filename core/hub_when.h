/* When could a selection be READY? A selection of whole clusters by class is answered at once from
 * the children's summaries. What an agent must be asked for (facts, capabilities, state, score,
 * single agents, a payload's weight) is announced down the tree as a cascade is: the leads answer
 * with the lead times of the very agents that are meant. */
#ifndef CORE_HUB_WHEN_H
#define CORE_HUB_WHEN_H

#include "core/operation.h"
#include "core/unit.h"
#include <stdbool.h>
#include <stdint.h>

struct hub;
struct hub_prepare;
struct msg;

/* Who waits for the answer of an announcement. */
struct when_ask {
    struct unit console; /* NONE: nobody, it is a cascade's */
    uint64_t ref;
    double wanted; /* the share that is to be READY */
};

/* Whether the selector stays within this node: always at the root; at a sector by its places. */
bool hub_in_scope(const struct hub *h, const struct selector *sel);

void hub_when(struct hub *h, const struct msg *msg); /* COMMAND_WHEN */

/* All have answered, or the time is over: who has not is not counted. */
void hub_when_prepared(struct hub *h, const struct hub_prepare *p);

#endif
