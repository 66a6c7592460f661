/* Spare places that newcomers live at (docs/adr/0037, 0044): what the orchestrator says of one
 * cluster.
 *
 * An order is the whole of what holds for its cluster. A later one (a greater id) takes the place
 * of the earlier; the same id said again adds what is new in it, as places open one by one, so that
 * words that are repeated, lost or late do no harm. */
#ifndef CORE_GROW_H
#define CORE_GROW_H

#include "core/topology.h"
#include <stdbool.h>
#include <stdint.h>

/* Shares of an operation's chances, in thousandths: what a newcomer begins with. */
#define GROW_SHARE_FIRST 100u
#define GROW_SHARE_WHOLE 1000u
/* Observations of a newcomer by which its lead knows it as it knows the others. */
#define GROW_LEARNT 20u
/* How long the share of work of a newcomer rises, if nothing is learnt of it before. */
#define GROW_OVER_MIN_US (1ll * US_PER_S)
#define GROW_OVER_MAX_US (86400ll * US_PER_S)
/* How long what is in flight to one whose place is closed may go on. */
#define GROW_DRAIN_US     (10ll * US_PER_S)
#define GROW_DRAIN_MAX_US (3600ll * US_PER_S)

struct grow {
    uint64_t id; /* mesh microseconds when it was ordered, or a little later */
    struct unit cluster;
    uint64_t places; /* bits of numbers - 1: whoever is certified for them may live there */
    uint64_t fresh;  /* of these: their work rises from GROW_SHARE_FIRST to the whole */
    int64_t over_us; /* .. in so long */
    /* Places that this word closes: their agents are given no new work, and gone when they have
     * none left, or in so long from when it is said. 0 to GROW_DRAIN_MAX_US. */
    int64_t drain_us;
};

/* NULL, or what is wrong with it. */
const char *grow_check(const struct grow *g, const struct topology *t);

/* Bits of the cluster's spare places; 0: it has none. */
uint64_t grow_spare(const struct topology *t, struct unit cluster);

/* Takes `in` into what is known of the same cluster. False: it says nothing new. */
bool grow_take(struct grow *known, const struct grow *in);

/* The share of work, in thousandths, of one that has been here for age_us and of which so much is
 * known. One whose impedance is not stable rises three times as slowly (spec 10.2: until impedance
 * profiles stabilise). */
uint32_t grow_share(int64_t age_us, int64_t over_us, uint32_t observed, bool unstable);

/* Whether one with that share is left out of an operation: the same answer whoever asks, so that an
 * operation that comes again is for the same agents. */
bool grow_holds(uint32_t share, uint64_t operation, uint64_t uid);

/* What an operator asks for (COMMAND_SCALE). */
enum scale_action {
    SCALE_SHOW = 1, /* where the latest one stands */
    SCALE_WATCH,    /* the same, again and again until it is over */
    SCALE_PLACES,   /* the places that are open to newcomers */
    SCALE_ADD,
    SCALE_FINISH, /* who is here is ordinary from now on, the other places stay open; or: who
                     leaves does so at once */
    SCALE_ABORT,  /* newcomers leave again, and their places are nobody's; who leaves stays */
    SCALE_REMOVE, /* agents that `add` has brought are retired: their places close */
    SCALE_ACTION_COUNT
};

#define SCALE_AGENTS_MAX 10000u /* of one command; more are refused: add them in parts */
#define SCALE_RATE_MAX   1000u

struct scale_request {
    enum scale_action action;
    uint32_t count; /* ADD, REMOVE: so many, 1 to SCALE_AGENTS_MAX; REMOVE: 0: all that are named */
    uint32_t rate;  /* ADD: places that open in a second, 1 to SCALE_RATE_MAX */
    int64_t over_us; /* ADD: as grow.over_us; REMOVE: as grow.drain_us */
};

#endif
