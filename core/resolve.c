/* Selectors applied. At a lead: one agent at a time, by what the lead knows of it. Above: counting
 * by place and class from the topology alone, cluster by cluster; whole clusters are taken without
 * looking at their agents. Random choice uses the node's generator and no memory. */
#include "core/resolve.h"

#include <assert.h>
#include <stddef.h>

/* What the topology alone can say of an agent: its class has these capabilities by default. */
static bool class_expected(const struct selector *sel, const struct topology *topo,
                           enum impedance_class agent_class)
{
    if (sel->class_mask != 0 && (sel->class_mask >> agent_class & 1u) == 0) {
        return false;
    }
    return !sel->capable_only ||
           (sel->capabilities & ~topology_class_capabilities(topo, agent_class)) == 0;
}

uint32_t selector_number(uint32_t seed, uint32_t index)
{
    uint64_t state = (uint64_t)seed << 32 | index;
    uint32_t number = (uint32_t)(rng_splitmix(&state) >> 32);
    return number != 0 ? number : 1u;
}

static bool in_part(const struct selector *sel, uint32_t index)
{
    if (sel->part_last == 0) {
        return true;
    }
    uint32_t n = selector_number(sel->part_seed, index);
    return n >= sel->part_first && n <= sel->part_last;
}

static bool by_place_and_class(const struct selector *sel, struct unit agent,
                               enum impedance_class agent_class)
{
    if (sel->class_mask != 0 && (sel->class_mask >> agent_class & 1u) == 0) {
        return false;
    }
    return place_has_agent(&sel->places, agent);
}

bool selector_targets(const struct selector *sel, const struct topology *topo, struct unit agent,
                      enum impedance_class agent_class, uint64_t capabilities,
                      enum agent_state state, uint32_t score)
{
    assert(sel != NULL && topo != NULL);
    assert(topology_contains(topo, agent) && agent.tier == TIER_AGENT);
    assert((unsigned)state < AGENT_STATE_COUNT && (unsigned)agent_class < CLASS_COUNT);
    if (sel->state_mask != 0 && (sel->state_mask >> state & 1u) == 0) {
        return false;
    }
    if (sel->capable_only && (sel->capabilities & ~capabilities) != 0) {
        return false;
    }
    bool any_score = sel->score_min == 0 && sel->score_max == 0;
    if (!any_score && (score < sel->score_min || score > sel->score_max)) {
        return false;
    }
    return by_place_and_class(sel, agent, agent_class) && in_part(sel, topology_index(topo, agent));
}

bool selector_takes(const struct selector *sel, const struct topology *topo, struct unit agent,
                    enum impedance_class agent_class, uint64_t capabilities, enum agent_state state,
                    uint32_t score)
{
    assert(sel != NULL);
    assert(topo != NULL);
    return (sel->capabilities & ~capabilities) == 0 &&
           selector_targets(sel, topo, agent, agent_class, capabilities, state, score);
}

static uint32_t expected_in_cluster(const struct selector *sel, const struct topology *topo,
                                    struct unit cluster)
{
    if (!place_touches(&sel->places, cluster)) {
        return 0;
    }
    uint32_t agents = topology_cluster_agents(topo, cluster);
    uint32_t places = topology_cluster_places(topo, cluster);
    bool all_classes = sel->class_mask == 0 || (sel->class_mask & CLASS_MASK_ALL) == CLASS_MASK_ALL;
    bool any_class = all_classes && !sel->capable_only;
    /* Spare places are taken by name only. */
    bool whole =
        sel->places.count == 0 || (agents == places && place_covers(&sel->places, cluster));
    if (whole && any_class && sel->part_last == 0) {
        return agents;
    }
    uint32_t first = topology_index(topo, unit_agent(cluster.sector, cluster.cluster, 1));
    uint32_t sum = 0;
    for (uint32_t i = 0; i < places; i++) {
        struct unit agent = unit_agent(cluster.sector, cluster.cluster, i + 1u);
        bool taken = i < agents ? class_expected(sel, topo, topology_class(topo, first + i)) &&
                                      place_has_agent(&sel->places, agent)
                                : place_names_agent(&sel->places, agent);
        sum += taken && in_part(sel, first + i) ? 1u : 0u;
    }
    return sum;
}

static uint32_t expected_in_sector(const struct selector *sel, const struct topology *topo,
                                   unsigned sector)
{
    if (!place_touches(&sel->places, unit_sector(sector))) {
        return 0;
    }
    uint32_t clusters = topology_sector_clusters(topo, sector);
    uint32_t sum = 0;
    for (uint32_t i = 1; i <= clusters; i++) {
        sum += expected_in_cluster(sel, topo, unit_cluster(sector, i));
    }
    return sum;
}

/* Without places the classes' totals are known. */
static uint32_t expected_in_mesh(const struct selector *sel, const struct topology *topo)
{
    uint32_t sum = 0;
    if (sel->places.count == 0 && sel->part_last == 0) {
        for (unsigned c = 1; c < CLASS_COUNT; c++) {
            sum += class_expected(sel, topo, (enum impedance_class)c) ? topo->class_agents[c] : 0;
        }
        return sum;
    }
    for (unsigned sector = 1; sector <= topo->sectors; sector++) {
        sum += expected_in_sector(sel, topo, sector);
    }
    return sum;
}

uint32_t selector_expected(const struct selector *sel, const struct topology *topo,
                           struct unit unit)
{
    assert(sel != NULL && topo != NULL);
    assert(unit.tier >= TIER_ORCHESTRATOR && unit.tier <= TIER_AGENT);
    if (!topology_contains(topo, unit)) {
        return 0; /* a place of the grid that the topology leaves empty */
    }
    if (unit.tier == TIER_ORCHESTRATOR) {
        return expected_in_mesh(sel, topo);
    }
    if (unit.tier == TIER_SECTOR) {
        return expected_in_sector(sel, topo, unit.sector);
    }
    if (unit.tier == TIER_CLUSTER) {
        return expected_in_cluster(sel, topo, unit);
    }
    if (!topology_planned(topo, unit)) {
        return place_names_agent(&sel->places, unit) && in_part(sel, topology_index(topo, unit));
    }
    enum impedance_class agent_class = topology_class(topo, topology_index(topo, unit));
    bool taken = class_expected(sel, topo, agent_class) && place_has_agent(&sel->places, unit) &&
                 in_part(sel, topology_index(topo, unit));
    return taken ? 1u : 0u;
}

uint64_t resolve_sample(uint64_t mask, uint32_t want, struct rng *rng)
{
    assert(rng != NULL);
    uint32_t left = 0;
    for (uint64_t m = mask; m != 0; m &= m - 1u) {
        left++;
    }
    if (want >= left) {
        return mask;
    }
    /* Knuth's algorithm S: take each with probability wanted / left. */
    uint64_t taken = 0;
    for (unsigned i = 0; i < 64 && want > 0; i++) {
        if ((mask >> i & 1u) == 0) {
            continue;
        }
        assert(left >= want);
        if (rng_below(rng, left) < want) {
            taken |= 1ull << i;
            want--;
        }
        left--;
    }
    return taken;
}

void quota_split(uint32_t want, const uint32_t *weights, uint32_t n, uint32_t *ret)
{
    assert(n <= SECTORS_MAX);
    assert(n == 0 || (weights != NULL && ret != NULL));
    uint64_t total = 0;
    for (uint32_t i = 0; i < n; i++) {
        total += weights[i];
    }
    assert(total <= UINT32_MAX);
    if (want >= total) {
        for (uint32_t i = 0; i < n; i++) {
            ret[i] = weights[i];
        }
        return;
    }
    uint64_t given = 0;
    for (uint32_t i = 0; i < n; i++) {
        ret[i] = (uint32_t)((uint64_t)want * weights[i] / total);
        given += ret[i];
    }
    assert(given <= want && want - given <= n);
    /* Each child gets at most one of what is left: those with the greatest remainder. A child that
     * has got its own counts as remainder 0, which none that is chosen has. */
    bool served[SECTORS_MAX] = {false};
    for (; given < want; given++) {
        uint32_t best = n;
        uint64_t best_rest = 0;
        for (uint32_t i = 0; i < n; i++) {
            uint64_t rest = (uint64_t)want * weights[i] % total;
            if (!served[i] && rest > best_rest) {
                best = i;
                best_rest = rest;
            }
        }
        assert(best < n);
        served[best] = true;
        ret[best]++;
    }
}

int resolve_lowest(uint64_t mask, const uint32_t *scores)
{
    assert(scores != NULL || mask == 0);
    int best = -1;
    for (int i = 0; i < 64; i++) {
        if ((mask >> i & 1u) != 0 && (best < 0 || scores[i] < scores[best])) {
            best = i;
        }
    }
    assert(best < 64);
    return best;
}
