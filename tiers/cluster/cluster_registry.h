/* When a lead writes to the registry, and how much at once; records of several members in one
 * write. */
#ifndef TIERS_CLUSTER_CLUSTER_REGISTRY_H
#define TIERS_CLUSTER_CLUSTER_REGISTRY_H

#include "tiers/cluster/cluster_record.h"

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

/* Members whose records are in one write. */
struct batch {
    uint32_t count, what_any;
    uint8_t member[STORE_PUTS_MAX];
    uint16_t what[STORE_PUTS_MAX]; /* DIRTY_ bits of each; what_any: of all */
    struct store_row rows[STORE_PUTS_MAX];
    char keys[STORE_PUTS_MAX][STORE_KEY_MAX];
    struct record record; /* of all, one behind the other */
};

/* Members whose entries in one index are in one write. */
struct index_batch {
    uint32_t count;
    uint64_t members;
    struct store_row rows[MEMBERS_MAX];
    char names[MEMBERS_MAX][UNIT_TEXT_MAX + U64_TEXT_MAX];
};
static_assert(MEMBERS_MAX <= STORE_ROWS_MAX, "all members of a cluster in one write");

/* Takes up what is new of members that wait and are in no write. Returns those of which nothing is:
 * they wait no longer. */
uint64_t batch_fill(struct cluster *c, struct batch *b);
void batch_key(const struct member *m, char *ret, size_t size);

/* Capabilities whose indexes are to be written, and for one of them the members to be set in it, or
 * to be removed from it; serving: members_serving(). */
uint64_t index_caps(const struct cluster *c);
void index_fill(const struct cluster *c, uint32_t cap, bool set, uint64_t serving,
                struct index_batch *b);

#endif
