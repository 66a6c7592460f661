/* What agents can do: actions behind one interface. An action is looked up by the operation's name;
 * the runner calls begin() when the work starts and finish() when its time is over, both on the
 * loop and both quick. Time passes on the timer heap, never in a thread that sleeps. Real handlers
 * come later on this interface. */
#ifndef TIERS_RUNNER_HANDLERS_H
#define TIERS_RUNNER_HANDLERS_H

#include "core/node.h"
#include "core/rng.h"
#include <stdbool.h>
#include <stdint.h>

/* Borrowed for the call. */
struct handler_call {
    const struct operation *operation;
    struct trace_context trace; /* its trace, whoever gave it a name; the parent: who started it */
    const struct topology *topology;
    struct unit unit, home; /* where it is; the place that it was planned for */
    enum impedance_class agent_class;
    struct id128 context_hash;
    uint32_t context_bytes; /* of the context that was loaded; 0: the class's own */
    bool context_wrong;     /* what is loaded is not what context_hash says any more */
    const char *facts;      /* core/facts.h; NULL: none */
    struct rng *rng;        /* of this agent */
    int64_t began_us;       /* the work's start, boot clock; 0 in begin() */
    /* NULL: the class's own times. Else a simulated agent's: how long this work takes it. */
    int64_t (*work_us)(void *ctx, struct unit unit, enum impedance_class c, double weight);
    void *work_ctx;
    const char *process;
};

struct handler_answer {
    enum outcome verdict; /* READY, CONFLICT or FAILED */
    enum reason reason;
    uint32_t bytes;
    uint8_t at[ANSWER_BYTES_MAX];
    bool has_conflict;
    struct conflict_detail conflict;
    bool has_emit; /* a message of the agent's own; its payload lies in the call's operation */
    struct operation emit;
};

struct handler_ops {
    const char *action;
    const char *help;
    int64_t (*begin)(const struct handler_call *call); /* how long it takes; NULL: no time */
    void (*finish)(const struct handler_call *call, struct handler_answer *ret);
    /* Work that talks on the way: called when its time is over, may fill in an emit, and says how
     * long until the next call; -1: now finish(). NULL: it has nothing to say. */
    int64_t (*more)(const struct handler_call *call, struct handler_answer *ret);
};

/* NULL: no such action. */
const struct handler_ops *handler_find(const char *action);
const struct handler_ops *handler_table(uint32_t *ret_count);

#endif
