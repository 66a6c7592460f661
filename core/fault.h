/* Fault points: rare branches of the product that the simulator can force (after FoundationDB's
 * BUGGIFY). The runner of virtual time sets bits in the outbox before a step; outbox_clear() leaves
 * none, and nothing but sim/ sets any (tests/structure), so in the real runner a point is a test of
 * a zero in memory that is in use anyhow. No globals, no build option: the code that is tested is
 * the code that runs.
 *
 * A point may only make the product do what it must be able to do at any time. */
#ifndef CORE_FAULT_H
#define CORE_FAULT_H

#include "core/node.h"
#include <stdbool.h>
#include <stdint.h>

/* X(enum, name, what happens). */
#define FAULT_LIST(X)                                                                              \
    X(FAULT_NO_ROOM, "no-room", "the outbox is small in this step: what does not fit comes later") \
    X(FAULT_POOL_FULL, "pool-full", "no slot for an operation at a lead: refused, overload")       \
    X(FAULT_HUB_FULL, "hub-full", "no slot for an operation at a sector: refused, overload")       \
    X(FAULT_QUEUE_FULL, "queue-full", "no row for an operation at an agent: refused, overload")

enum fault_point {
#define FAULT_ENUM(id, name, what) id,
    FAULT_LIST(FAULT_ENUM)
#undef FAULT_ENUM
        FAULT_POINT_COUNT
};

static inline bool fault(const struct outbox *out, enum fault_point point)
{
    return (out->faults >> point & 1u) != 0;
}

#endif
