/* The history of the success metrics (core/kpi.h) at the root: what operations, the mesh's state
 * and incidents add to it once a second, and its records in the registry, where the next
 * orchestrator finds them. Written every KPI_SAVE_US: that much of the counts is lost with a
 * process that dies. What one of them counts before it has read the records is added to them. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_KPI_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_KPI_H

#include "core/hub.h"
#include "core/kpi.h"

#define KPI_SAVE_US  (10ll * US_PER_S)
#define KPI_PUTS_MAX 6u /* buckets of one write: those that are open, and those that just ended */

struct kpi_book {
    struct kpi_history history;
    struct kpi_counts counted; /* cumulative, as far as they are in the history */
    struct kpi_counts ended;   /* recoveries since the last count */
    int64_t count_us, save_us;
    /* the registry: what is asked for */
    bool loaded;
    uint64_t ref, cursor; /* ref 0: nothing */
    int64_t until_us;
    struct store_row rows[KPI_PUTS_MAX];
    struct kpi_record records[KPI_PUTS_MAX]; /* their names stay where they are (store.h) */
    struct kpi_bucket *saving[KPI_PUTS_MAX];
    uint32_t saving_count;
};

void kpi_start(struct kpi_book *k, const struct hub *h);
/* An incident ended that lasted so long: of a cluster, or of a sector or the mesh. */
void kpi_recovered(struct kpi_book *k, bool cluster, int64_t took_us);
/* Cumulative times of the mesh: observed, and with 95 % of the agents active. `ready`: the other
 * records of the mesh have been read. Returns when to look again. */
int64_t kpi_tick(struct kpi_book *k, struct hub *h, uint64_t observed_us, uint64_t available_us,
                 bool ready);
bool kpi_stored(struct kpi_book *k, struct hub *h,
                const struct store_reply *reply); /* was it ours */
/* QUERY_KPI: each span and the one before it. False: another query. */
bool kpi_query(struct kpi_book *k, struct hub *h, const struct msg *msg);

#endif
