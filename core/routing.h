/* What new work goes around: single agents ("routed around"), and capabilities that agents of a
 * class declare but are not to be counted on for (the capability mapping). A small table of the
 * orchestrator's: kept in the registry, said again to the leads every few seconds, so that a lead
 * that takes over learns of it. Pure. */
#ifndef CORE_ROUTING_H
#define CORE_ROUTING_H

#include "core/store.h"
#include "core/text.h"
#include "core/topology.h"
#include <stdbool.h>
#include <stdint.h>

/* Clusters with agents that are routed around; one more is refused: beyond that a breaker or a
 * quarantine is the right tool. */
#define ROUTING_CLUSTERS_MAX 16u
/* Capabilities with classes that are excluded; one more is refused. Both fit one record. */
#define ROUTING_MAPPED_MAX 20u

struct routing_entry {
    struct unit cluster;
    uint64_t agents; /* bit: agent number - 1 */
};

struct route_table {
    uint32_t count;
    struct routing_entry list[ROUTING_CLUSTERS_MAX];
    uint64_t excluded[CLASS_COUNT]; /* by class: bits of the topology's capabilities */
};

enum routing_verdict { ROUTING_OK, ROUTING_SAME, ROUTING_FULL };

/* Agents of `places` (not empty) are avoided from now on, or no more. FULL: nothing was changed. */
enum routing_verdict routing_avoid(struct route_table *r, const struct topology *t,
                                   const struct place_set *places, bool avoid);

/* The classes of the mask are excluded from the capabilities' bits, or no more. */
enum routing_verdict routing_map(struct route_table *r, uint32_t class_mask, uint64_t capabilities,
                                 bool exclude);

/* Bits of the cluster's agents that are avoided. */
uint64_t routing_avoided(const struct route_table *r, struct unit cluster);

/* One line of the table for people, `index` from 0 on; false: there is none. */
bool routing_line(const struct route_table *r, const struct topology *t, uint32_t index,
                  struct text *ret);

/* What the mapping of one capability (its bit) is now, as one line. */
void routing_mapping_line(const struct route_table *r, const struct topology *t, unsigned bit,
                          struct text *ret);

/* The table as fields of a record: "s07_c4" = "264192" (the agents' bits),
 * "inference" = "E" (the classes), and back. */
#define ROUTING_FIELD_ROOM 64u /* name and value */
struct routing_record {
    struct store_field fields[ROUTING_CLUSTERS_MAX + ROUTING_MAPPED_MAX];
    char memory[(ROUTING_CLUSTERS_MAX + ROUTING_MAPPED_MAX) * ROUTING_FIELD_ROOM];
};
uint32_t routing_save(const struct route_table *r, const struct topology *t,
                      struct routing_record *ret);
/* One field; false: it means nothing to this mesh, and is left out. */
bool routing_load(struct route_table *r, const struct topology *t, const struct store_field *field);

#endif
