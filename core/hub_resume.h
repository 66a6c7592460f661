/* Operations that a predecessor of this orchestrator began (docs/adr/0033). The successor knows of
 * them from the registry: whom they meant, until when, and who waits. It has neither their bytes
 * nor their results, so nothing is sent again: each sector is asked what came of it (MSG_RESUME)
 * and says its result, again if need be, or that it knows of none. What nobody knows is UNREACHABLE
 * for the reason "takeover". The counts add up by the same gather as ever. */
#ifndef CORE_HUB_RESUME_H
#define CORE_HUB_RESUME_H

#include "core/hub.h"

struct resume {
    struct id128 id;      /* told to the console */
    struct id128 current; /* of the phase that was sent last; zero: none was */
    struct unit console;
    uint64_t ref;
    bool cancelled;
    uint32_t targets; /* as they were expected at first */
    int64_t created_mesh_us, target_mesh_us, window_us;
    int64_t deadline_mesh_us; /* of that phase */
    /* Selector, strategy, priority, rate, what is partial, action. The class mask is the phase's.
     */
    const struct operation *operation;
    const struct aggregate_view *before; /* phases that had ended; NULL: none */
    uint32_t rest;                       /* expected in phases that had not begun: lost */
};

/* Takes it up: its report goes to its console when all have answered, or at its deadline. Without
 * room, or when nothing was sent, it ends here: all that is not known is lost. */
void hub_resume(struct hub *h, const struct resume *r);

/* A sector's: the parent asks. */
void hub_resume_message(struct hub *h, const struct msg *msg);

/* hub_operate.c: a child that knows nothing of it. */
void hub_resume_unknown(struct hub *h, struct gather *g, uint32_t child, const struct msg *msg);
/* All children are answered for: those of a sample that nobody knows. */
void hub_resume_rest(struct hub *h, struct gather *g);
/* Twice a second: who was never heard since the start is down. */
void hub_resume_look(struct hub *h, struct gather *g);

/* hub_origin.c */
struct origin *hub_origin_take(struct hub *h); /* NULL only when all are in use */
void hub_origin_report(struct hub *h, struct origin *o, const struct aggregate_view *view);

#endif
