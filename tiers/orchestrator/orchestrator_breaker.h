/* Breakers that were opened by hand (orchestrator_breaker.c). */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_BREAKER_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_BREAKER_H

#include "core/freezer.h"
#include <stdbool.h>
#include <stdint.h>

/* One more is refused: beyond that a freeze, or the breaker above, is the right tool. */
#define BREAKERS_HELD_MAX FREEZER_SCOPES_MAX

struct breaker_book {
    struct freezer held;              /* what stands open; scope and time alone */
    uint64_t told[BREAKERS_HELD_MAX]; /* by entry: the epoch of its sector that has the order */
    struct freezer_record record;     /* its names stay where they are (store.h) */
    bool loaded, dirty;
    uint64_t ref; /* asked of the store and not answered; 0: none */
    int64_t until_us;
};

#endif
