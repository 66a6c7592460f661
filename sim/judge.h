/* The judge of a simulated run: watches every step of every node and holds the mesh to what must
 * always be true. Each rule is a checker, one file each (check_*.c); the judge gives them what they
 * share: nodes with their present life, operations with what became of them at every tier.
 *
 * The first violation is kept; what follows it is usually its consequence. Memory is that of the
 * run's operations times its nodes: made for thousands of agents, not for the full mesh. */
#ifndef SIM_JUDGE_H
#define SIM_JUDGE_H

#include "sim/coverage.h"
#include "sim/scenario.h"
#include "sim/world.h"
#include <stdbool.h>
#include <stdint.h>

enum verdict { VERDICT_GOOD, VERDICT_SAFETY, VERDICT_LIVENESS };

struct violation {
    enum verdict verdict;
    char check[24];
    char text[232];
    int64_t at_us;
    struct unit unit;
};

/* A node in its present life. */
struct judged_node {
    struct unit unit;
    uint64_t epoch;        /* of its last start */
    uint64_t parent_epoch; /* the highest that it heard its parent speak under, in this life */
    int64_t started_us;
    uint32_t running; /* agents: works begun and not ended */
    bool frozen;
    bool alive;
};

/* One operation at one agent, lead or sector. */
struct judged_part {
    uint32_t order;     /* agents: rank of its first arrival; 0: did not arrive */
    uint64_t under;     /* parent's epoch at its first arrival */
    uint64_t ran_in;    /* agents: the life + 1 in which it last began to run */
    uint64_t opened_in; /* leads, sectors: the life + 1 in which it was opened */
    int64_t opened_us;
    uint32_t accepted; /* leads: final acknowledgements taken in; sectors: final results */
    uint32_t ready, conflict, failed; /* of these */
    uint64_t answered_in; /* as a child: the life of the parent + 1 that took its final word */
    uint32_t sent;        /* leads: agents that it was sent to, resends not counted */
    bool closed;          /* leads, sectors: their final result was said in this life */
    bool ended;           /* agents: answered, refused, cancelled or never taken in */
    bool done;            /* agents: its work ended in this life */
    bool stale;           /* agents: came under stale epochs only */
};

struct judged_op {
    struct id128 id;
    int64_t created_mesh_us, ttl_us;
    int64_t deadline_mesh_us; /* the latest that a tier gave for it */
    struct unit source;
    uint64_t capabilities;
    enum timing timing;
    uint8_t priority;
    bool unknown_capability, require_ack;
    struct judged_part *parts; /* by judge_index() */
    struct judged_op *next;
};

#define JUDGE_SLOTS 256u

struct judge {
    struct world *world; /* may be NULL in tests of checkers */
    const struct scenario *scenario;
    struct topology topology;
    struct coverage *coverage;
    uint32_t node_count, first_cluster, first_agent, order;
    uint32_t places;       /* units; behind them the other instances of units (world_step) */
    uint32_t *effective;   /* by place: the instance that was started under the highest epoch */
    uint32_t at_place, at; /* of the step that is judged */
    struct unit *homes;    /* by place, agents: who was last started there; TIER_NONE: its own */
    struct judged_node *nodes;
    struct judged_op *ops[JUDGE_SLOTS];
    uint64_t steps;
    bool shaken; /* processes are ended that no act of the scenario names */
    struct violation violation;
    void **states; /* one a checker */
};

struct check {
    const char *name;
    size_t bytes; /* of its own state, zeroed */
    void (*step)(struct judge *j, void *state, const struct world_step *s);
    void (*end)(struct judge *j, void *state); /* the run is over; may be NULL */
    void (*done)(void *state);                 /* gives back what its state holds; may be NULL */
};
extern const struct check *const checks[];
extern const uint32_t check_count;

void judge_init(struct judge *j, const struct scenario *s, struct world *w, struct coverage *c);
void judge_done(struct judge *j);
/* A world_watch with the judge as context. */
void judge_step(void *judge, const struct world_step *step);
void judge_end(struct judge *j);

/* For checkers. */
void judge_fail(struct judge *j, const struct check *check, enum verdict verdict,
                const struct world_step *s, const char *format, ...)
    __attribute__((format(printf, 5, 6)));
/* Of the instance that is judged, when it is its unit; else of the effective one. UINT32_MAX: none
 * of ours. */
uint32_t judge_index(const struct judge *j, struct unit u);
/* The same for all instances of a unit. */
uint32_t judge_place(const struct judge *j, struct unit u);
/* The place that the agent there was planned for: who it is. */
struct unit judge_home(const struct judge *j, struct unit agent);
struct judged_node *judge_node(struct judge *j, struct unit u);
struct judged_op *judge_op(struct judge *j, const struct id128 *id); /* NULL: never seen */
struct judged_part *judge_part(struct judge *j, const struct id128 *id, struct unit u);
/* Whether the step took this note; its numbers go to a and b when they are not NULL. */
bool judge_noted(const struct world_step *s, enum note note, uint64_t *ret_a, uint64_t *ret_b);
/* Whether the scenario did something to `child`, or to `parent`, that explains that the one no
 * longer hears the other. */
bool judge_touched(const struct judge *j, struct unit parent, struct unit child, int64_t now_us);

#endif
