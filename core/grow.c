/* See grow.h. */
#include "core/grow.h"
#include "core/num.h"

#include <assert.h>

#define UNSTABLE_SLOWER 3

uint64_t grow_spare(const struct topology *t, struct unit cluster)
{
    assert(t != NULL && cluster.tier == TIER_CLUSTER);
    uint32_t first = topology_cluster_agents(t, cluster);
    uint32_t end = topology_cluster_places(t, cluster);
    return end > first ? (UINT64_MAX >> (64u - (end - first))) << first : 0;
}

const char *grow_check(const struct grow *g, const struct topology *t)
{
    assert(g != NULL && t != NULL);
    if (g->cluster.tier != TIER_CLUSTER || !topology_contains(t, g->cluster)) {
        return "a cluster that is not in the topology";
    }
    if ((g->places & ~grow_spare(t, g->cluster)) != 0) {
        return "places that are not spare";
    }
    if ((g->fresh & ~g->places) != 0) {
        return "newcomers without a place";
    }
    if (g->drain_us < 0 || g->drain_us > GROW_DRAIN_MAX_US) {
        return "a time to leave outside 0 to 1 h";
    }
    return g->id == 0 || g->over_us < GROW_OVER_MIN_US || g->over_us > GROW_OVER_MAX_US
               ? "no number, or a time outside 1 s to 24 h"
               : NULL;
}

bool grow_take(struct grow *known, const struct grow *in)
{
    assert(known != NULL && in != NULL);
    if (in->id > known->id) {
        *known = *in;
        return true;
    }
    uint64_t places = known->places | in->places, fresh = known->fresh | in->fresh;
    bool more = in->id == known->id && (places != known->places || fresh != known->fresh);
    if (more) {
        known->places = places;
        known->fresh = fresh;
    }
    return more;
}

uint32_t grow_share(int64_t age_us, int64_t over_us, uint32_t observed, bool unstable)
{
    assert(over_us > 0);
    int64_t whole_us = unstable ? over_us * UNSTABLE_SLOWER : over_us;
    int64_t by_age = num_clamp_i64(age_us, 0, whole_us) * 1000 / whole_us;
    int64_t by_learnt = unstable ? 0 : (int64_t)observed * 1000 / GROW_LEARNT;
    int64_t far = num_clamp_i64(by_age > by_learnt ? by_age : by_learnt, 0, 1000);
    return GROW_SHARE_FIRST + (uint32_t)(far * (GROW_SHARE_WHOLE - GROW_SHARE_FIRST) / 1000);
}

bool grow_holds(uint32_t share, uint64_t operation, uint64_t uid)
{
    const uint64_t both[2] = {operation, uid};
    return share < GROW_SHARE_WHOLE && num_hash64(both, sizeof both, 0x67726f77) % 1000u >= share;
}
