/* The orchestrator's book of moves: orchestrator_move.c keeps, says and stores it,
 * orchestrator_move_plan.c plans what a console asks for. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_MOVE_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_MOVE_H

#include "core/move.h"
#include "core/summary.h"

/* Agents that one command moves at most; more are refused: say it for parts. */
#define MOVE_AGENTS_MAX 384u
/* Clusters that are looked at as places to move to; the console may name others. */
#define MOVE_CLUSTERS_MAX 150u
/* How many agents begin to move in a second, mesh-wide: work goes on meanwhile, and a host or a
 * lead that cannot take them is seen before most of them have left. */
#define MOVE_AGENTS_S 20u

/* What of a move has begun, and what the registry has of it. */
struct move_row {
    uint64_t id; /* 0: free */
    uint64_t opened;
    uint64_t ordered; /* of these, since the latest STATE of the chain of orders */
    uint64_t stored;  /* agents in its record */
    bool kept;        /* there is a record */
};

struct move_target {
    struct unit cluster;
    uint32_t agents; /* there now, and assigned */
    uint64_t free;   /* spare places */
    bool near;       /* in the sector of one of those that move */
};

/* One plan at a time; one more is refused (overload). */
struct move_plan {
    bool busy, dry, back, asked; /* asked: the clusters are known, agents are waited for */
    bool named;                  /* the console said where to */
    uint32_t watch;
    uint64_t ask_ref; /* of the query that is out; 0: none */
    int64_t ask_us, say_us;
    uint32_t count, arrived, cursor;      /* cursor: whose arrival is asked for next */
    uint64_t here[MOVE_AGENTS_MAX / 64u]; /* bits of those that have arrived */
    struct unit homes[MOVE_AGENTS_MAX];
    struct unit places[MOVE_AGENTS_MAX];
    struct place_set where; /* whose clusters are asked for, page by page */
    uint32_t target_count;
    struct move_target targets[MOVE_CLUSTERS_MAX];
};

struct move_book {
    struct move_table table;
    struct move_row rows[2u * MOVES_MAX];
    bool loaded, dirty; /* dirty: some record may not be as the table is */
    uint64_t cursor;    /* of the scan that reads it */
    uint64_t ref;       /* asked of the store and not answered; 0: none */
    uint32_t ref_row;
    uint64_t ref_agents; /* that the put says; 0: it removes */
    int64_t until_us, open_us;
    uint64_t state_seq; /* of the STATE after which it was ordered */
    uint64_t last_id;
    struct move_plan plan;
};

struct orchestrator;
/* Takes a move into the table; it is stored, then it begins. False: no room. */
bool moves_enter(struct orchestrator *o, const struct move *m);
bool moves_room(const struct orchestrator *o, uint32_t moves); /* for so many more */
uint64_t moves_next_id(struct orchestrator *o);
void moves_link(struct orchestrator *o, bool up); /* the store's: it may have lost its records */

#endif
