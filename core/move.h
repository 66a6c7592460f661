/* Agents that live at another place than the one that they were planned for (docs/adr/0034).
 *
 * A move says of some agents of one cluster (their home) at which places of another they are now.
 * An agent's home never changes: its certificate names it, its identity comes from it. The i-th
 * lowest bit of `agents` is at the i-th lowest bit of `places`. Moves have rising numbers; what a
 * later one says of an agent or a place overrules an earlier one, in whatever order they arrive. */
#ifndef CORE_MOVE_H
#define CORE_MOVE_H

#include "core/topology.h"
#include <stdbool.h>
#include <stdint.h>

struct move {
    uint64_t id;             /* mesh microseconds when it was ordered, or a little later */
    struct unit home, place; /* clusters */
    uint64_t agents, places; /* bits of numbers - 1 */
    bool back;               /* it is over: these agents live at home again */
};

/* Moves that are known at a time: to the orchestrator, which refuses one more by name, and to a
 * sector, which forgets the oldest. */
#define MOVES_MAX 512u

/* NULL, or what is wrong with it: an unknown cluster, masks that do not pair, a place that is not
 * spare, an agent that is not planned. */
const char *move_check(const struct move *m, const struct topology *t);

/* Where an agent of the home is, or who lives at a place; TIER_NONE: it says nothing of it. */
struct unit move_place_of(const struct move *m, struct unit home);
struct unit move_home_of(const struct move *m, struct unit place);

/* As much of a move as is about these agents. */
struct move move_part(const struct move *m, uint64_t agents);

struct move_table {
    uint32_t count;
    struct move list[MOVES_MAX];
};

/* Takes a move in: what it overrules is taken out of earlier ones, an older one is left out as far
 * as it is overruled. `back` ones are kept, so that they can be said again. False: no room. */
bool moves_take(struct move_table *t, const struct move *m);
/* Where an agent is now, by all moves; itself when it is at home. */
struct unit moves_place(const struct move_table *t, struct unit home);
/* Who lives at a place; TIER_NONE: nobody that moved. */
struct unit moves_home(const struct move_table *t, struct unit place);
/* Bits of the cluster: planned agents that are elsewhere, spare places that are taken. */
uint64_t moves_away(const struct move_table *t, struct unit cluster);
uint64_t moves_guests(const struct move_table *t, struct unit cluster);
/* How many of the sector's or cluster's planned agents are outside of it, and how many came. */
uint32_t moves_left(const struct move_table *t, struct unit u);
uint32_t moves_came(const struct move_table *t, struct unit u);

#endif
