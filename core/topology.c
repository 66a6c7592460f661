/* The shape of the mesh: counts, indexes, classes.
 *
 * Everything is arithmetic over the settings: no tables of agents, so that any process can answer
 * about any of 30,000 agents in O(1) (classes and capabilities: O(their number)).
 *
 * Classes are given to whole clusters. Clusters are taken in an order that goes through all sectors
 * before it comes back to the first one (cluster 1 of every sector, cluster 2 of every sector, ..),
 * so that each class is spread evenly over the sectors: an operation for one class loads all
 * sectors alike, and the loss of a sector costs each class its share and no more. Along that order
 * stand first the pure clusters, class by class, then the remainders of the classes, mixed in the
 * last few. A short last cluster is moved to the very end, where only remainders are. */
#include "core/topology.h"

#include <assert.h>
#include <string.h>

#define DEFAULT_SECTORS  100u
#define DEFAULT_CLUSTERS 10u
#define DEFAULT_AGENTS   30u
#define AGENTS_MAX       ((uint64_t)SECTORS_MAX * CLUSTERS_PER_SECTOR_MAX * AGENTS_PER_CLUSTER_MAX)

struct class_default {
    uint32_t share; /* of 30,000, spec 2.2 */
    const char *best_for[3];
};

static const struct class_default CLASS_DEFAULTS[CLASS_COUNT] = {
    [CLASS_A_EDGE] = {10000, {"routing", "transform", "cache"}},
    [CLASS_B_SERVERLESS] = {8000, {"api", "database", "integration"}},
    [CLASS_C_PERSISTENT] = {5000, {"reasoning", "batch", "training"}},
    [CLASS_D_GPU] = {2000, {"embedding", "inference", "vision"}},
    [CLASS_E_LOCAL] = {3000, {"sensor", "local-state", "physical"}},
    [CLASS_F_HUMAN] = {2000, {"decision", "review", "oversight"}},
};

static uint32_t divide_up(uint32_t a, uint32_t b)
{
    return (a + b - 1u) / b;
}

static uint32_t smaller(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Largest remainder over the shares of spec 2.2; ties to the earlier class. */
static void default_classes(uint32_t agents, uint32_t ret[CLASS_COUNT])
{
    uint64_t left[CLASS_COUNT] = {0};
    uint32_t given = 0;
    ret[CLASS_NONE] = 0;
    for (unsigned c = 1; c < CLASS_COUNT; c++) {
        uint64_t exact = (uint64_t)agents * CLASS_DEFAULTS[c].share;
        ret[c] = (uint32_t)(exact / 30000u);
        left[c] = exact % 30000u;
        given += ret[c];
    }
    for (; given < agents; given++) {
        unsigned best = 1;
        for (unsigned c = 2; c < CLASS_COUNT; c++) {
            if (left[c] > left[best]) {
                best = c;
            }
        }
        ret[best]++;
        left[best] = 0;
    }
}

static void add_capability(struct topology *t, const char *name)
{
    size_t bytes = strlen(name);
    assert(t->capability_count < CAPABILITIES_MAX && bytes < CAPABILITY_NAME_MAX);
    memcpy(t->capabilities[t->capability_count], name, bytes + 1u);
    t->capability_count++;
}

void topology_default(uint32_t agents, struct topology *ret)
{
    assert(agents >= 1 && agents <= AGENTS_MAX);
    assert(ret != NULL);
    /* Below 30,000 clusters, then sectors, are fewer. Above it sectors, then clusters per sector,
     * then agents per cluster grow. */
    uint32_t per_cluster = DEFAULT_AGENTS;
    uint32_t clusters = divide_up(agents, per_cluster);
    uint32_t per_sector = smaller(DEFAULT_CLUSTERS, divide_up(clusters, DEFAULT_SECTORS));
    if (divide_up(clusters, per_sector) > SECTORS_MAX) {
        per_sector = smaller(CLUSTERS_PER_SECTOR_MAX, divide_up(clusters, SECTORS_MAX));
    }
    if (divide_up(clusters, per_sector) > SECTORS_MAX) {
        per_cluster = divide_up(agents, SECTORS_MAX * CLUSTERS_PER_SECTOR_MAX);
        clusters = divide_up(agents, per_cluster);
    }
    memset(ret, 0, sizeof *ret);
    ret->agents = agents;
    ret->sectors = (uint16_t)divide_up(clusters, per_sector);
    ret->clusters_per_sector = (uint16_t)per_sector;
    ret->agents_per_cluster = (uint16_t)per_cluster;
    default_classes(agents, ret->class_agents);
    for (unsigned c = 1; c < CLASS_COUNT; c++) {
        for (unsigned i = 0; i < 3; i++) {
            add_capability(ret, CLASS_DEFAULTS[c].best_for[i]);
        }
    }
    assert(topology_check(ret) == NULL);
}

/* [a-z0-9_-], 1 to CAPABILITY_NAME_MAX - 1 bytes. */
static bool name_valid(const char name[CAPABILITY_NAME_MAX])
{
    size_t i = 0;
    for (; i < CAPABILITY_NAME_MAX && name[i] != '\0'; i++) {
        char c = name[i];
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_')) {
            return false;
        }
    }
    return i > 0 && i < CAPABILITY_NAME_MAX;
}

static const char *capabilities_check(const struct topology *t)
{
    if (t->capability_count > CAPABILITIES_MAX) {
        return "capabilities: 64 names at most";
    }
    for (unsigned i = 0; i < t->capability_count; i++) {
        if (!name_valid(t->capabilities[i])) {
            return "capabilities: a name is 1 to 31 of a-z, 0-9, '-' and '_'";
        }
        for (unsigned k = 0; k < i; k++) {
            if (strcmp(t->capabilities[i], t->capabilities[k]) == 0) {
                return "capabilities: a name stands there twice";
            }
        }
    }
    return NULL;
}

const char *topology_check(const struct topology *t)
{
    assert(t != NULL);
    if (t->sectors < 1 || t->sectors > SECTORS_MAX) {
        return "sectors: 1 to 1024";
    }
    if (t->clusters_per_sector < 1 || t->clusters_per_sector > CLUSTERS_PER_SECTOR_MAX) {
        return "clusters_per_sector: 1 to 64";
    }
    if (t->agents_per_cluster < 1 || t->agents_per_cluster > AGENTS_PER_CLUSTER_MAX) {
        return "agents_per_cluster: 1 to 64";
    }
    if (t->spare > AGENTS_PER_CLUSTER_MAX - t->agents_per_cluster) {
        return "spare: agents_per_cluster and spare are 64 places at most";
    }
    uint32_t sector_agents = (uint32_t)t->clusters_per_sector * t->agents_per_cluster;
    if (t->agents < 1 || t->agents > t->sectors * sector_agents) {
        return "agents: 1 to sectors x clusters_per_sector x agents_per_cluster";
    }
    if (t->agents <= (t->sectors - 1u) * sector_agents) {
        return "sectors: more than the agents fill";
    }
    uint64_t sum = 0;
    for (unsigned c = 1; c < CLASS_COUNT; c++) {
        sum += t->class_agents[c];
    }
    if (sum != t->agents || t->class_agents[CLASS_NONE] != 0) {
        return "class_agents: their sum must be `agents`";
    }
    assert(sum <= AGENTS_MAX);
    return capabilities_check(t);
}

/* Linear indexes from one cluster to the next. */
static uint32_t stride(const struct topology *t)
{
    return (uint32_t)t->agents_per_cluster + t->spare;
}

uint32_t topology_clusters(const struct topology *t)
{
    assert(t != NULL);
    assert(t->agents_per_cluster > 0);
    return divide_up(t->agents, t->agents_per_cluster);
}

uint32_t topology_sector_clusters(const struct topology *t, unsigned sector)
{
    assert(t != NULL);
    assert(sector >= 1 && sector <= t->sectors);
    uint32_t before = (sector - 1u) * t->clusters_per_sector;
    uint32_t all = topology_clusters(t);
    return before >= all ? 0 : smaller(all - before, t->clusters_per_sector);
}

uint32_t topology_cluster_agents(const struct topology *t, struct unit cluster)
{
    assert(t != NULL);
    assert(cluster.tier == TIER_CLUSTER && topology_contains(t, cluster));
    uint32_t first = ((cluster.sector - 1u) * t->clusters_per_sector + cluster.cluster - 1u) *
                     t->agents_per_cluster;
    return smaller(t->agents - first, t->agents_per_cluster);
}

uint32_t topology_cluster_places(const struct topology *t, struct unit cluster)
{
    assert(t != NULL);
    assert(t->spare < AGENTS_PER_CLUSTER_MAX);
    return topology_cluster_agents(t, cluster) + t->spare;
}

uint32_t topology_places(const struct topology *t)
{
    assert(t != NULL);
    assert(t->agents > 0);
    return t->agents + topology_clusters(t) * t->spare;
}

bool topology_planned(const struct topology *t, struct unit agent)
{
    assert(t != NULL);
    assert(agent.tier == TIER_AGENT && topology_contains(t, agent));
    return t->spare == 0 ||
           agent.agent <= topology_cluster_agents(t, unit_cluster(agent.sector, agent.cluster));
}

uint32_t topology_index(const struct topology *t, struct unit agent)
{
    assert(t != NULL);
    assert(agent.tier == TIER_AGENT && topology_contains(t, agent));
    return ((agent.sector - 1u) * t->clusters_per_sector + agent.cluster - 1u) * stride(t) +
           agent.agent - 1u;
}

struct unit topology_agent(const struct topology *t, uint32_t index)
{
    assert(t != NULL);
    assert(index < topology_places(t));
    uint32_t cluster = index / stride(t);
    return unit_agent(cluster / t->clusters_per_sector + 1u, cluster % t->clusters_per_sector + 1u,
                      index % stride(t) + 1u);
}

bool topology_contains(const struct topology *t, struct unit u)
{
    assert(t != NULL);
    assert(t->sectors > 0);
    if (u.tier == TIER_ORCHESTRATOR) {
        return unit_equal(u, unit_orchestrator());
    }
    if (u.tier == TIER_HOST || u.tier == TIER_CONSOLE) {
        return unit_number(u) != 0 && u.agent == 0;
    }
    if (u.tier != TIER_SECTOR && u.tier != TIER_CLUSTER && u.tier != TIER_AGENT) {
        return false;
    }
    if (u.sector < 1 || u.sector > t->sectors) {
        return false;
    }
    if (u.tier == TIER_SECTOR) {
        return u.cluster == 0 && u.agent == 0;
    }
    if ((uint32_t)u.sector * t->clusters_per_sector * t->agents_per_cluster <= t->agents) {
        /* The sectors up to its own are full: without a division. */
        bool in_cluster =
            u.tier == TIER_CLUSTER ? u.agent == 0 : u.agent >= 1 && u.agent <= stride(t);
        return u.cluster >= 1 && u.cluster <= t->clusters_per_sector && in_cluster;
    }
    if (u.cluster < 1 || u.cluster > topology_sector_clusters(t, u.sector)) {
        return false;
    }
    if (u.tier == TIER_CLUSTER) {
        return u.agent == 0;
    }
    return u.agent >= 1 && u.agent <= topology_cluster_places(t, unit_cluster(u.sector, u.cluster));
}

struct unit topology_parent(struct unit u)
{
    assert(u.tier == TIER_AGENT || u.tier == TIER_CLUSTER || u.tier == TIER_SECTOR);
    assert(u.sector > 0);
    if (u.tier == TIER_AGENT) {
        return unit_cluster(u.sector, u.cluster);
    }
    return u.tier == TIER_CLUSTER ? unit_sector(u.sector) : unit_orchestrator();
}

/* Place of a cluster (0-based, linear) in the order described at the top. */
static uint32_t class_order(const struct topology *t, uint32_t cluster)
{
    uint32_t all = topology_clusters(t);
    uint32_t sectors = t->sectors;
    uint32_t sector = cluster / t->clusters_per_sector;
    uint32_t row = cluster % t->clusters_per_sector;
    uint32_t full_rows = all - (sectors - 1u) * t->clusters_per_sector; /* in the last sector */
    uint32_t at = row < full_rows
                      ? row * sectors + sector
                      : full_rows * sectors + (row - full_rows) * (sectors - 1u) + sector;
    if (t->agents % t->agents_per_cluster != 0) { /* the last cluster is short */
        uint32_t last = full_rows * sectors - 1u;
        if (at == last) {
            at = all - 1u;
        } else if (at > last) {
            at--;
        }
    }
    return at;
}

enum impedance_class topology_class(const struct topology *t, uint32_t agent_index)
{
    assert(t != NULL);
    assert(agent_index < topology_places(t));
    uint32_t size = t->agents_per_cluster;
    uint32_t cluster = agent_index / stride(t), slot = agent_index % stride(t);
    uint32_t planned = smaller(t->agents - cluster * size, size);
    uint32_t at = class_order(t, cluster) * size + smaller(slot, planned - 1u);
    uint32_t pure = 0;
    for (unsigned c = 1; c < CLASS_COUNT; c++) {
        pure += t->class_agents[c] / size * size;
        if (at < pure) {
            return (enum impedance_class)c;
        }
    }
    uint32_t end = pure;
    for (unsigned c = 1; c < CLASS_COUNT; c++) {
        end += t->class_agents[c] % size;
        if (at < end) {
            return (enum impedance_class)c;
        }
    }
    assert(false); /* the classes' sum is `agents`: topology_check */
    return CLASS_NONE;
}

uint64_t topology_class_capabilities(const struct topology *t, enum impedance_class c)
{
    assert(t != NULL);
    assert(c > CLASS_NONE && c < CLASS_COUNT);
    uint64_t mask = 0;
    for (unsigned i = 0; i < 3u; i++) {
        const char *name = CLASS_DEFAULTS[c].best_for[i];
        int bit = topology_capability(t, name, strlen(name));
        if (bit >= 0) {
            mask |= 1ull << bit;
        }
    }
    return mask | t->class_extra[c];
}

int topology_capability(const struct topology *t, const char *name, size_t bytes)
{
    assert(t != NULL);
    assert(name != NULL || bytes == 0);
    if (bytes == 0 || bytes >= CAPABILITY_NAME_MAX) {
        return -1;
    }
    for (unsigned i = 0; i < t->capability_count; i++) {
        if (memcmp(t->capabilities[i], name, bytes) == 0 && t->capabilities[i][bytes] == '\0') {
            return (int)i;
        }
    }
    return -1;
}
