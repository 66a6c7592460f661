/* When to send to each of up to 64 agents (spec 3.1, 3.2 phases 1 to 4), and when to send again.
 *
 * A schedule keeps at most one due time for each agent: T - lead at first, the time of the resend
 * afterwards. The times are one slab chunk (32 bit in grains of 100 us from base, rounded down: up
 * to 4.9 days), taken while anything is scheduled. Sends are bucketed: T - lead rounded down to a
 * multiple of bucket_us before T, so that agents of one bucket go in one message. With TIMING_AT
 * (hold) buckets merge while the extra earliness stays within hold_us.
 *
 * All times of one schedule are on one clock, the caller's choice (the lead: its own clock, T
 * converted once). */
#ifndef CORE_SCHEDULE_H
#define CORE_SCHEDULE_H

#include "core/limits.h"
#include "core/operation.h"
#include "core/slab.h"

#define SCHEDULE_GRAIN_US 100ll
#define SCHEDULE_HOLD_US  (50ll * US_PER_MS) /* design 5: extra earliness while merging */

struct schedule {
    int64_t base_us; /* zero of the 32-bit times */
    int64_t next_us; /* earliest due; NEVER: none */
    uint64_t waiting;
    uint16_t chunk; /* 64 x uint32_t */
};

enum schedule_verdict {
    SCHEDULE_SET,
    SCHEDULE_SKIP, /* spec 3.1 insufficient_lead_time: would_need_ms, available_ms */
    SCHEDULE_FULL  /* the slab has no chunk: refuse with REASON_OVERLOAD */
};

/* base_us: the earliest time that will be named (now). */
void schedule_init(struct schedule *s, int64_t base_us);
void schedule_done(struct schedule *s, struct slab *slab);

/* Agent i (0 to 63) is to be READY at target_us and needs lead_us. SKIP when target - lead lies
 * before now: *ret_need_us = lead, *ret_available_us = target - now (both only set then; may be
 * NULL). bucket_us: 1 or more. */
enum schedule_verdict schedule_plan(struct schedule *s, struct slab *slab, uint32_t i,
                                    int64_t now_us, int64_t target_us, int64_t lead_us,
                                    int64_t bucket_us, int64_t *ret_need_us,
                                    int64_t *ret_available_us);

/* Agent i is due at at_us (TIMING_SOON: now; resends). Replaces its former time. SET or FULL. */
enum schedule_verdict schedule_at(struct schedule *s, struct slab *slab, uint32_t i, int64_t at_us);

/* Times within hold_us after the earliest of their group become that earliest. */
void schedule_merge(struct schedule *s, struct slab *slab, int64_t hold_us);

/* These are not wanted any more (answered, cancelled). */
void schedule_cancel(struct schedule *s, struct slab *slab, uint64_t mask);

/* Those due now, taken out. */
uint64_t schedule_take(struct schedule *s, struct slab *slab, int64_t now_us);
int64_t schedule_next_us(const struct schedule *s);
/* Due time of agent i in s->waiting. */
int64_t schedule_due_us(const struct schedule *s, const struct slab *slab, uint32_t i);

/* T for "as soon as this share can be READY" (spec 3.2 phase 1): now + margin + the share's
 * quantile of the lead times that the selected agents need (merged histogram, histogram.h). An
 * empty histogram: now + margin + window. share: above 0, at most 1. */
int64_t schedule_choose_t(const uint32_t lead_counts[LEAD_BUCKETS], double share, int64_t now_us,
                          int64_t margin_us, int64_t window_us);

/* From one tier to the leads, with signing and queueing: so much is left for them, beside what
 * agents need. hops: from the orchestrator 2, from a sector 1. */
int64_t schedule_hops_us(uint32_t hops, uint32_t clusters);

/* A hedged operation is acknowledged as received when its answer will take longer than this. */
#define HEDGE_SAY_US (20ll * US_PER_MS)

/* Acknowledgements of effects released together at T would collide: every lead's agents say theirs
 * this long after the release, each lead at its own time, over SCHEDULE_ACK_US for each agent that
 * the operation can reach and a quarter of the time until its deadline at most. The first fifth of
 * it stays silent: what is said at T by one agent would delay the effect of another on the same
 * machine. Agents and lead reckon it alike, so that nobody is reminded for it. 0 without T. */
#define SCHEDULE_ACK_US     5
#define SCHEDULE_QUIET_PART 5
int64_t schedule_ack_delay_us(const struct topology *topo, const struct operation *op,
                              struct unit cluster, int64_t deadline_mesh_us);

/* Sends to agents that hold until T (TIMING_AT): arriving early costs them nothing, arriving
 * together does, for the machines and links on the way are shared. Each lead sends to all of its
 * agents this much earlier still, each lead at its own time, over SCHEDULE_SEND_US for each agent
 * that the operation can reach and a quarter of ahead_us (T - now) at most; the last fifth of it
 * before T - lead stays silent. Thirty agents: 0.6 ms; thirty thousand: 0.6 s (docs/adr/0029). An
 * agent without that much time gets less, and is never skipped for it. */
#define SCHEDULE_SEND_US 20
int64_t schedule_early_us(const struct topology *topo, const struct operation *op,
                          struct unit cluster, int64_t ahead_us);

/* So long a target may wait for the operation's others, at SCHEDULE_SEND_US each. */
uint32_t schedule_front_us(const struct topology *topo, const struct operation *op);

#endif
