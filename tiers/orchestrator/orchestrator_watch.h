/* Consoles that wait for the end of something that takes a while. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_WATCH_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_WATCH_H

#include "core/conflict.h"
#include "core/msg.h"

/* Consoles that wait for the end of a freeze, thaw or heal; one more is refused (OVERLOAD). */
#define ORCHESTRATOR_WATCHES_MAX 16u

enum watch_kind {
    WATCH_FREE,
    WATCH_FREEZE,
    WATCH_THAW,
    WATCH_HEAL,
    WATCH_ISOLATE,
    WATCH_MOVE,
    WATCH_SCALE_PLAN, /* until its plan is decided */
    WATCH_SCALE
};

struct watch {
    enum watch_kind kind;
    struct unit console;
    uint64_t ref;
    struct freeze freeze; /* FREEZE, THAW: what it was */
    struct unit scope;    /* HEAL; ISOLATE: where the agent is now */
    int64_t due_us;       /* the end of patience */
    int64_t since_us;
    uint32_t lines;
    /* ISOLATE */
    struct unit named; /* the agent as it was named; the console may be nobody */
    bool on, told;     /* quarantine, else lift; its lead was told */
    bool held;         /* it is so at its lead; the registry does not have it yet */
    bool unsure;       /* nothing is to be done, its lead says, and the registry may know better */
    uint64_t ask_ref;
    int64_t ask_us; /* ask (again) then */
    char note[sizeof(((struct conflict_decision *)NULL)->note)];
};

#endif
