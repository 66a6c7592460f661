/* When a lead writes to the registry, and how much at once. */
#ifndef TIERS_CLUSTER_CLUSTER_REGISTRY_H
#define TIERS_CLUSTER_CLUSTER_REGISTRY_H

#include "core/limits.h"

/* Registry writes in one step (of STORE_PUTS_MAX records each), and the pause between such steps.
 */
#define LEAD_WRITES_STEP  6u
#define LEAD_WRITE_GAP_US 10000ll
/* What is first to change waits so long, or half of it, for company. */
#define LEAD_WRITE_LAG_US 250000ll
/* After an operation has come nothing is written for so long: its acknowledgements go first. What
 * changed waits no longer than LEAD_WRITE_MOST_US for that. */
#define LEAD_WRITE_HOLD_US 400000ll
#define LEAD_WRITE_MOST_US 600000ll
#define LEAD_STORE_US      (5ll * US_PER_S) /* a store reply later than this is not awaited */
/* After an outage of the store the leads come back within this time, each at its own. */
#define LEAD_BACK_US (10ll * US_PER_S)

#endif
