/* Due times of up to 64 agents in one slab chunk, rounded down to grains of 100 us: sending a grain
 * early is harmless, late is not. next_us is kept as a lower bound, so that asking is free; taking
 * scans at most 64 numbers. Buckets are counted back from T, so that all schedules of one T share
 * their borders and a lead's agents go out in as few frames as possible. */
#include "core/schedule.h"
#include "core/histogram.h"
#include "core/node.h"
#include "core/num.h"
#include <assert.h>

#define AGENTS 64u
_Static_assert(AGENTS * sizeof(uint32_t) == SLAB_CHUNK_BYTES, "one time for each agent");
_Static_assert(AGENTS_PER_CLUSTER_MAX <= AGENTS, "a mask holds a cluster");

static uint32_t *times(const struct schedule *s, const struct slab *slab)
{
    return slab_at(slab, s->chunk);
}

static uint64_t agent_bit(uint32_t i)
{
    return (uint64_t)1 << i;
}

static int64_t time_us(const struct schedule *s, uint32_t grain)
{
    return s->base_us + (int64_t)grain * SCHEDULE_GRAIN_US;
}

static void find_next(struct schedule *s, const struct slab *slab)
{
    const uint32_t *at = times(s, slab);
    uint32_t first = UINT32_MAX;
    for (uint64_t left = s->waiting; left != 0; left &= left - 1u) {
        uint32_t grain = at[__builtin_ctzll(left)];
        first = grain < first ? grain : first;
    }
    s->next_us = s->waiting != 0 ? time_us(s, first) : NEVER;
}

void schedule_init(struct schedule *s, int64_t base_us)
{
    assert(s != NULL);
    assert(base_us < NEVER);
    *s = (struct schedule){.base_us = base_us, .next_us = NEVER};
}

void schedule_done(struct schedule *s, struct slab *slab)
{
    assert(s != NULL && slab != NULL);
    assert(s->waiting == 0 || s->chunk != SLAB_NONE);
    if (s->chunk != SLAB_NONE) {
        slab_free(slab, s->chunk);
    }
    schedule_init(s, s->base_us);
}

enum schedule_verdict schedule_at(struct schedule *s, struct slab *slab, uint32_t i, int64_t at_us)
{
    assert(s != NULL && slab != NULL);
    assert(i < AGENTS);
    if (s->chunk == SLAB_NONE) {
        s->chunk = slab_alloc(slab);
    }
    if (s->chunk == SLAB_NONE) {
        return SCHEDULE_FULL;
    }
    uint32_t *at = times(s, slab);
    int64_t grain = at_us > s->base_us ? (at_us - s->base_us) / SCHEDULE_GRAIN_US : 0;
    bool was_next = (s->waiting & agent_bit(i)) != 0 && time_us(s, at[i]) == s->next_us;
    at[i] = grain < UINT32_MAX ? (uint32_t)grain : UINT32_MAX;
    s->waiting |= agent_bit(i);
    int64_t due_us = time_us(s, at[i]);
    if (due_us <= s->next_us) {
        s->next_us = due_us;
    } else if (was_next) {
        find_next(s, slab);
    }
    return SCHEDULE_SET;
}

enum schedule_verdict schedule_plan(struct schedule *s, struct slab *slab, uint32_t i,
                                    int64_t now_us, int64_t target_us, int64_t lead_us,
                                    int64_t bucket_us, int64_t *ret_need_us,
                                    int64_t *ret_available_us)
{
    assert(s != NULL && slab != NULL);
    assert(bucket_us >= 1 && lead_us >= 0);
    if (target_us - lead_us < now_us) {
        if (ret_need_us != NULL) {
            *ret_need_us = lead_us;
        }
        if (ret_available_us != NULL) {
            *ret_available_us = target_us - now_us;
        }
        return SCHEDULE_SKIP;
    }
    int64_t buckets = lead_us / bucket_us + (lead_us % bucket_us != 0);
    int64_t at_us = target_us - buckets * bucket_us;
    return schedule_at(s, slab, i, at_us > now_us ? at_us : now_us);
}

void schedule_merge(struct schedule *s, struct slab *slab, int64_t hold_us)
{
    assert(s != NULL && slab != NULL);
    assert(hold_us >= 0);
    uint64_t left = s->waiting;
    int64_t hold = hold_us / SCHEDULE_GRAIN_US;
    while (left != 0) {
        uint32_t *at = times(s, slab);
        uint32_t first = UINT32_MAX;
        for (uint32_t i = 0; i < AGENTS; i++) {
            if ((left & agent_bit(i)) != 0 && at[i] < first) {
                first = at[i];
            }
        }
        for (uint32_t i = 0; i < AGENTS; i++) {
            if ((left & agent_bit(i)) != 0 && (int64_t)at[i] - first <= hold) {
                at[i] = first;
                left &= ~agent_bit(i);
            }
        }
    }
}

void schedule_cancel(struct schedule *s, struct slab *slab, uint64_t mask)
{
    assert(s != NULL && slab != NULL);
    assert(s->waiting == 0 || s->chunk != SLAB_NONE);
    bool was_next = false;
    for (uint64_t left = s->waiting & mask; left != 0; left &= left - 1u) {
        was_next |= time_us(s, times(s, slab)[__builtin_ctzll(left)]) == s->next_us;
    }
    s->waiting &= ~mask;
    if (s->waiting == 0) {
        schedule_done(s, slab);
    } else if (was_next) {
        find_next(s, slab);
    }
}

uint64_t schedule_take(struct schedule *s, struct slab *slab, int64_t now_us)
{
    assert(s != NULL && slab != NULL);
    assert(now_us < NEVER);
    uint64_t due = 0;
    if (s->waiting == 0 || now_us < s->next_us) {
        return 0;
    }
    for (uint64_t left = s->waiting; left != 0; left &= left - 1u) {
        uint32_t i = (uint32_t)__builtin_ctzll(left);
        due |= time_us(s, times(s, slab)[i]) <= now_us ? agent_bit(i) : 0;
    }
    schedule_cancel(s, slab, due);
    return due;
}

int64_t schedule_next_us(const struct schedule *s)
{
    assert(s != NULL);
    assert((s->waiting == 0) == (s->next_us == NEVER));
    return s->next_us;
}

int64_t schedule_due_us(const struct schedule *s, const struct slab *slab, uint32_t i)
{
    assert(s != NULL && slab != NULL);
    assert(i < AGENTS && (s->waiting & agent_bit(i)) != 0);
    return time_us(s, times(s, slab)[i]);
}

int64_t schedule_choose_t(const uint32_t lead_counts[LEAD_BUCKETS], double share, int64_t now_us,
                          int64_t margin_us, int64_t window_us)
{
    assert(lead_counts != NULL);
    assert(share > 0.0 && share <= 1.0 && margin_us >= 0 && window_us >= 0);
    if (histogram_total(lead_counts, LEAD_BUCKETS) == 0) {
        return now_us + margin_us + window_us;
    }
    return now_us + margin_us + lead_quantile(lead_counts, share);
}

#define HOP_US     (50ll * US_PER_MS) /* generously */
#define CLUSTER_US 100ll              /* for each lead that has to be reached */

int64_t schedule_hops_us(uint32_t hops, uint32_t clusters)
{
    assert(hops <= TIER_COUNT);
    assert(clusters <= SECTORS_MAX * CLUSTERS_PER_SECTOR_MAX);
    return hops * HOP_US + clusters * CLUSTER_US;
}

static uint64_t range_size(struct range r, uint64_t most)
{
    bool all = r.last == 0 || (r.first <= 1 && r.last >= most);
    uint64_t size = r.last >= r.first ? (uint64_t)(r.last - r.first) + 1u : 0;
    return all || size > most ? most : size;
}

/* As many targets as the operation can have, by place, class and sample. */
static uint64_t targets_most(const struct topology *topo, const struct selector *sel)
{
    uint64_t most = topo->agents;
    if (sel->class_mask != 0) {
        uint64_t sum = 0;
        for (uint32_t k = CLASS_NONE; k < CLASS_COUNT; k++) {
            sum += (sel->class_mask >> k & 1u) != 0 ? topo->class_agents[k] : 0;
        }
        most = sum < most ? sum : most;
    }
    if (sel->places.count > 0) {
        uint64_t sum = 0;
        for (uint32_t k = 0; k < sel->places.count && k < RANGES_MAX; k++) {
            const struct pattern *p = &sel->places.patterns[k];
            sum += range_size(p->sector, topo->sectors) *
                   range_size(p->cluster, topo->clusters_per_sector) *
                   range_size(p->agent, topo->agents_per_cluster);
        }
        most = sum < most ? sum : most;
    }
    return sel->sample > 0 && sel->sample < most ? sel->sample : most;
}

/* The lead's own part of spread_us: the first fifth is nobody's. */
static int64_t turn_us(const struct operation *op, struct unit cluster, int64_t spread_us)
{
    assert(spread_us >= 0);
    uint64_t own[2] = {num_id128_low(op->id), (uint64_t)cluster.sector << 16 | cluster.cluster};
    int64_t quiet_us = spread_us / SCHEDULE_QUIET_PART;
    int64_t rest_us = spread_us - quiet_us;
    return quiet_us + (int64_t)(num_hash64(own, sizeof own, 0) % (uint64_t)(rest_us + 1));
}

static bool is_held(const struct operation *op)
{
    return op->timing == TIMING_AT && op->target_mesh_us > 0;
}

int64_t schedule_ack_delay_us(const struct topology *topo, const struct operation *op,
                              struct unit cluster, int64_t deadline_mesh_us)
{
    assert(topo != NULL && op != NULL);
    if (!is_held(op)) {
        return 0;
    }
    int64_t spread_us = (int64_t)targets_most(topo, &op->selector) * SCHEDULE_ACK_US;
    int64_t room_us = num_clamp_i64(deadline_mesh_us - op->target_mesh_us, 0, US_PER_S) / 4;
    return turn_us(op, cluster, spread_us < room_us ? spread_us : room_us);
}

int64_t schedule_early_us(const struct topology *topo, const struct operation *op,
                          struct unit cluster, int64_t ahead_us)
{
    assert(topo != NULL && op != NULL);
    if (!is_held(op) || ahead_us <= 0) {
        return 0;
    }
    int64_t spread_us = (int64_t)targets_most(topo, &op->selector) * SCHEDULE_SEND_US;
    return turn_us(op, cluster, spread_us < ahead_us / 4 ? spread_us : ahead_us / 4);
}

uint32_t schedule_front_us(const struct topology *topo, const struct operation *op)
{
    assert(topo != NULL && op != NULL);
    uint64_t us = targets_most(topo, &op->selector) * SCHEDULE_SEND_US;
    return us < UINT32_MAX ? (uint32_t)us : UINT32_MAX;
}
