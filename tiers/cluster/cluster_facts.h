/* What the lead's agents say of themselves (core/facts.h), one text behind the other. */
#ifndef TIERS_CLUSTER_CLUSTER_FACTS_H
#define TIERS_CLUSTER_CLUSTER_FACTS_H

#include "core/facts.h"
#include "core/limits.h"
#include "core/slab.h"

struct cluster;
struct record;
struct store_row;

/* A run of the lead's pool, which doubles when it is full: room for all of the longest at last. */
#define LEAD_FACTS_FIRST 8u /* chunks */
#define LEAD_FACTS_LARGEST                                                                         \
    ((AGENTS_PER_CLUSTER_MAX * FACTS_BYTES_MAX + SLAB_CHUNK_BYTES - 1u) / SLAB_CHUNK_BYTES)
#define LEAD_FACTS_RUNS (2u * LEAD_FACTS_LARGEST)

struct lead_facts {
    char *text;     /* NULL: nobody has said anything */
    uint16_t chunk; /* where it begins, and how many they are */
    uint16_t chunks;
    uint16_t used;                       /* bytes */
    uint16_t at[AGENTS_PER_CLUSTER_MAX]; /* of each member's text, + 1; 0: it has none */
};

void facts_told(struct cluster *c, uint32_t i, const char *facts); /* NULL: none */
void facts_record(const struct cluster *c, uint32_t i, struct record *r);
void facts_recall(struct cluster *c, uint32_t i, const struct store_row *row);

#endif
