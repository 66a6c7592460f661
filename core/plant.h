/* Planted bugs: the test of the simulator's checkers. Built only with -DMESH_PLANT=ON; in every
 * other build PLANTED() is the constant false and nothing of it is left. `mesh-sim run --size
 * deep --plant NAME` switches one on, and so does `mesh-sim scenario`; tests/killtable runs them
 * all and prints how many seeds each took to be found.
 *
 * Each is a mistake that somebody could make in that place. */
#ifndef CORE_PLANT_H
#define CORE_PLANT_H

#include <stdbool.h>

/* X(enum, name, where, what it does) */
#define PLANT_LIST(X)                                                                              \
    X(PLANT_SKIP_FENCE, "skip-fence", "agent", "obeys a former owner of its lead")                 \
    X(PLANT_NO_WINDOW, "no-window", "agent", "runs what is sent again")                            \
    X(PLANT_EARLY_ACK, "early-ack", "agent", "says READY when the work begins")                    \
    X(PLANT_TRANSIT_READY, "transit-ready", "lead", "counts what is in transit as READY")          \
    X(PLANT_LOST_ACK, "lost-ack", "lead", "takes an answer in and forgets the target")             \
    X(PLANT_NO_TTL, "no-ttl", "agent", "runs what has expired")                                    \
    X(PLANT_NO_CAPABILITY, "no-capability", "agent, lead", "asks for no capability")               \
    X(PLANT_FROZEN_OPENS, "frozen-opens", "lead", "opens operations while frozen")                 \
    X(PLANT_DEAF_BREAKER, "deaf-breaker", "breaker", "never trips")                                \
    X(PLANT_HASTY_BREAKER, "hasty-breaker", "breaker", "trips at the second failure")              \
    X(PLANT_SHORT_OPEN, "short-open", "breaker", "is open for 3 s")                                \
    X(PLANT_MODE_LOW, "mode-low", "mode", "is FULL with 90 %")                                     \
    X(PLANT_FALSE_DEATH, "false-death", "children", "declares dead after a third of the time")     \
    X(PLANT_NO_REJOIN, "no-rejoin", "agent", "does not say hello to a new lead")                   \
    X(PLANT_LAST_FIRST, "last-first", "agent", "serves the latest first")                          \
    X(PLANT_UNBOUNDED, "unbounded", "agent", "runs as many handlers as it gets")                   \
    X(PLANT_FORMER_LIFE, "former-life", "lead", "listens to a former life of an agent")            \
    X(PLANT_FORGET_DEAD, "forget-dead", "lead", "leaves a dead agent's target open for ever")      \
    X(PLANT_NO_SCOPE, "no-scope", "acceptance", "lets a process speak for any unit")               \
    X(PLANT_ANY_OFFER, "any-offer", "acceptance", "lets an agent offer what it may not")           \
    X(PLANT_NO_SIGNATURE, "no-signature", "acceptance", "does not look at signatures")             \
    X(PLANT_WINDOW_FIRST, "window-first", "acceptance",                                            \
      "moves the replay window before verifying")                                                  \
    X(PLANT_NO_REPLAY, "no-replay", "acceptance", "takes a frame again")                           \
    X(PLANT_NO_DOUBT, "no-doubt", "lease", "goes on after a pause without asking")                 \
    X(PLANT_DEAD_READY, "dead-ready", "sector", "counts what is behind a dead hop as READY")       \
    X(PLANT_QUARANTINED, "quarantined", "lead", "gives work to agents in quarantine")              \
    X(PLANT_EARLY_LOG, "early-log", "root", "acknowledges a report before its log has it")         \
    X(PLANT_EARLY_CONTEXT, "early-context", "agent", "says it holds what it only asked for")       \
    X(PLANT_LOG_CHAIN, "log-chain", "store", "a row names the one before the last")                \
    X(PLANT_ANY_ORDER, "any-order", "sector", "takes orders that are old, or after a gap")         \
    X(PLANT_ORDER_GAP, "order-gap", "sector", "takes the order after one that it missed")          \
    X(PLANT_LOST_JOBS, "lost-jobs", "root", "takes up nothing that its predecessor began")         \
    X(PLANT_TREE_ROOT, "tree-root", "acceptance", "takes a shared signature for any frame")        \
    X(PLANT_ANY_CONTENT, "any-content", "agent", "holds what comes without a look at its bytes")

enum plant {
    PLANT_NONE,
#define PLANT_ENUM(id, name, where, what) id,
    PLANT_LIST(PLANT_ENUM)
#undef PLANT_ENUM
        PLANT_COUNT
};

#ifdef MESH_PLANT
extern enum plant mesh_plant; /* the one that is switched on */
#define PLANTED(which) (mesh_plant == (which))
#else
#define PLANTED(which) false
#endif

#endif
