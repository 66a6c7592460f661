/* Small worlds for tests. */
#ifndef TESTS_SUPPORT_WORLDS_H
#define TESTS_SUPPORT_WORLDS_H

#include "sim/world.h"
#include <assert.h>
#include <string.h>

/* A tree of so many sectors, clusters in each, and agents in each of these; `edge` agents are of
 * CLASS_A_EDGE, the others of CLASS_B_SERVERLESS. */
static inline void tree_conf(struct world_conf *ret, uint64_t seed, uint16_t sectors,
                             uint16_t clusters, uint16_t agents, uint32_t edge)
{
    uint32_t all = (uint32_t)sectors * clusters * agents;
    world_defaults(ret, all, seed);
    struct topology *t = &ret->topology;
    t->sectors = sectors;
    t->clusters_per_sector = clusters;
    t->agents_per_cluster = agents;
    memset(t->class_agents, 0, sizeof(t->class_agents));
    t->class_agents[CLASS_A_EDGE] = edge;
    t->class_agents[CLASS_B_SERVERLESS] = all - edge;
    assert(topology_check(t) == NULL);
}

/* Two sectors of two clusters of six agents, half of them edge functions, after they have joined;
 * on so many hosts (0: the world starts them itself). */
static inline struct world *joined_mesh(uint64_t seed, uint32_t hosts)
{
    struct world_conf conf;
    tree_conf(&conf, seed, 2, 2, 6, 12);
    conf.hosts = hosts;
    struct world *w = world_new(&conf);
    world_run(w, 30 * US_PER_S);
    return w;
}

/* Its end: nothing ran twice, and every answer added up. */
static inline void end_mesh(struct world *w)
{
    assert(world_stats(w)->executed_twice == 0);
    assert(world_stats(w)->uneven == 0);
    world_free(w);
}

/* Two sectors of three clusters of six agents, with spare places, on six hosts, after they have
 * joined. */
static inline struct world *hosted_mesh(uint64_t seed, uint32_t spare,
                                        const struct world_wire *wire)
{
    struct world_conf conf;
    tree_conf(&conf, seed, 2, 3, 6, 12);
    struct topology *t = &conf.topology;
    t->class_agents[CLASS_B_SERVERLESS] = 12;
    t->class_agents[CLASS_D_GPU] = 12;
    t->spare = (uint16_t)spare;
    assert(topology_check(t) == NULL);
    conf.hosts = 6;
    conf.wire = wire;
    struct world *w = world_new(&conf);
    world_run(w, 14 * US_PER_S);
    return w;
}

#endif
