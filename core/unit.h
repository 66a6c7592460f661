/* Places in the tree. A place is not an identity: an agent keeps its 64-bit uid for ever, while its
 * place (`s07.c3.a12`) is an attribute that can change under a higher epoch.
 *
 * Numbers start at 1; 0 means "none". Text forms are in topology.h. */
#ifndef CORE_UNIT_H
#define CORE_UNIT_H

#include <stdbool.h>
#include <stdint.h>

enum tier {
    TIER_NONE,
    TIER_ORCHESTRATOR,
    TIER_SECTOR,
    TIER_CLUSTER,
    TIER_AGENT,
    TIER_HOST,    /* one machine's supervisor; `number` tells hosts apart */
    TIER_CONSOLE, /* one operator's console; `number` tells consoles apart */
    TIER_COUNT
};

/* 8 bytes. Orchestrator: all zero. Sector: sector. Cluster: sector, cluster. Agent: all three.
 * Host and console: their number, split over sector (low 16 bits) and cluster (high 16 bits). */
struct unit {
    uint8_t tier;
    uint8_t reserved;
    uint16_t sector;
    uint16_t cluster;
    uint16_t agent;
};

static inline struct unit unit_orchestrator(void)
{
    return (struct unit){.tier = TIER_ORCHESTRATOR};
}

static inline struct unit unit_sector(unsigned sector)
{
    return (struct unit){.tier = TIER_SECTOR, .sector = (uint16_t)sector};
}

static inline struct unit unit_cluster(unsigned sector, unsigned cluster)
{
    return (struct unit){
        .tier = TIER_CLUSTER, .sector = (uint16_t)sector, .cluster = (uint16_t)cluster};
}

static inline struct unit unit_agent(unsigned sector, unsigned cluster, unsigned agent)
{
    return (struct unit){.tier = TIER_AGENT,
                         .sector = (uint16_t)sector,
                         .cluster = (uint16_t)cluster,
                         .agent = (uint16_t)agent};
}

static inline struct unit unit_numbered(enum tier tier, uint32_t number)
{
    return (struct unit){.tier = (uint8_t)tier,
                         .sector = (uint16_t)(number & 0xffffu),
                         .cluster = (uint16_t)(number >> 16)};
}

static inline uint32_t unit_number(struct unit u)
{
    return (uint32_t)u.sector | (uint32_t)u.cluster << 16;
}

static inline bool unit_equal(struct unit a, struct unit b)
{
    return a.tier == b.tier && a.sector == b.sector && a.cluster == b.cluster && a.agent == b.agent;
}

/* 128-bit names of messages and operations: 48 bits of mesh milliseconds, 80 random (design 5).
 * Bytes on the wire, 32 hex digits at the edges. Context hashes have the same width. */
struct id128 {
    uint8_t bytes[16];
};

#endif
