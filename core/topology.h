/* The shape of the mesh and the text forms of places.
 *
 * All counts are settings (spec 2.1: 100 x 10 x 30). A place has a linear index, 0 to places - 1,
 * in the order of sector, cluster, agent, with full strides: index = ((sector-1) *
 * clusters_per_sector + cluster-1) * (agents_per_cluster + spare) + agent-1. Only the last cluster
 * may have fewer than the others. Classes are assigned to whole clusters, remainders mixed (design
 * 10). The spare places of a cluster are its last ones: nobody is expected there until an agent has
 * moved to one (docs/adr/0034-a-move-is-a-grant.md); their nominal class is that of the cluster's
 * last planned agent.
 *
 * Text: `s07.c3.a12`, ranges `s[01-99].c3`, `s07.c3.a[1-5,9]`, lists joined by commas, `*` or a
 * missing tail for "all below". The spec's long names are accepted: `SECTOR-12`,
 * `SECTOR7-CLUSTER4`, `SECTOR7-CLUSTER4-AGENT-12`, `GPU-SECTOR3-CLUSTER7-A12`, `mesh`. Case does
 * not matter. */
#ifndef CORE_TOPOLOGY_H
#define CORE_TOPOLOGY_H

#include "core/limits.h"
#include "core/types.h"
#include "core/unit.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct topology {
    uint32_t agents; /* expected in all; <= sectors * clusters_per_sector * agents_per_cluster */
    uint16_t sectors;
    uint16_t clusters_per_sector;
    uint16_t agents_per_cluster;
    uint16_t capability_count;
    uint16_t spare; /* free places of each cluster, numbered after its agents: for moves */
    uint32_t class_agents[CLASS_COUNT]; /* wanted allocation (spec 2.2); their sum is `agents` */
    /* The mesh's capability names; bit i of a capability mask is name i. The first names are those
     * of the spec's best_for (topology_default). */
    char capabilities[CAPABILITIES_MAX][CAPABILITY_NAME_MAX];
    uint64_t class_extra[CLASS_COUNT]; /* bits that a class has beside those of best_for */
};

/* Spec 2.1, 2.2 scaled to `agents`: shape as near to 100 x 10 x 30 as the number allows (fewer
 * clusters, then fewer sectors), class shares as in spec 2.2, capability names with per-class
 * defaults. agents: 1 to 4,194,304. */
void topology_default(uint32_t agents, struct topology *ret);

/* NULL, or which setting is out of its range. */
const char *topology_check(const struct topology *t);

uint32_t topology_clusters(const struct topology *t); /* that hold agents */
uint32_t topology_cluster_agents(const struct topology *t, struct unit cluster); /* planned */
uint32_t topology_cluster_places(const struct topology *t, struct unit cluster); /* and spare */
uint32_t topology_places(const struct topology *t);                 /* linear indexes end here */
bool topology_planned(const struct topology *t, struct unit agent); /* else a spare place */
uint32_t topology_sector_clusters(const struct topology *t, unsigned sector);
uint32_t topology_index(const struct topology *t, struct unit agent);
struct unit topology_agent(const struct topology *t, uint32_t index);
bool topology_contains(const struct topology *t, struct unit u); /* any tier */
struct unit topology_parent(struct unit u);                      /* of an agent, cluster, sector */
enum impedance_class topology_class(const struct topology *t, uint32_t agent_index);
uint64_t topology_class_capabilities(const struct topology *t, enum impedance_class c);

/* Bit of a capability name, or -1. */
int topology_capability(const struct topology *t, const char *name, size_t bytes);

#define UNIT_TEXT_MAX 24u /* with NUL */
/* `mesh`, `s07`, `s07.c3`, `s07.c3.a12`, `h3`, `console7`. Sectors have two digits or more.
 * Returns the length. */
size_t unit_format(struct unit u, char ret[UNIT_TEXT_MAX]);

/* One unit, short or long form. On failure false, and *ret_why says what is wrong. */
bool unit_parse(const char *text, size_t bytes, struct unit *ret, const char **ret_why);

/* A set of places: up to RANGES_MAX patterns. A pattern has one range per tier; {1, 65535}, or {0,
 * 0}, is all numbers of that tier. An empty set of patterns means the whole mesh. */
#define RANGES_MAX 32u
struct range {
    uint16_t first, last;
};
struct pattern {
    struct range sector, cluster, agent;
};
struct place_set {
    uint32_t count;
    struct pattern patterns[RANGES_MAX];
};

/* Parses a folded list ("s[01-99].c3,s07.c1.a[1-5,9]"). At most RANGES_MAX patterns after the
 * brackets are multiplied out; numbers are checked against t when t is not NULL. On failure false,
 * ret_at is the offset of the fault, *ret_why what it is. */
bool place_parse(const char *text, size_t bytes, const struct topology *t, struct place_set *ret,
                 size_t *ret_at, const char **ret_why);
/* Takes `minus` out of `set`, which must not be empty (patterns of zeros are the whole mesh). What
 * is left may be empty: count 0, which does NOT mean the whole mesh here. False: it would be more
 * than RANGES_MAX patterns; set is untouched. */
bool place_subtract(struct place_set *set, const struct place_set *minus, const struct topology *t);
bool place_has_agent(const struct place_set *p, struct unit agent);
/* The same of a pattern that names agents by their numbers, not all of a cluster or sector: so a
 * spare place is meant (topology_planned). */
bool place_names_agent(const struct place_set *p, struct unit agent);
/* One pattern has the cluster as a whole. False says nothing: several may have it together. */
bool place_covers(const struct place_set *p, struct unit cluster);
bool place_touches(const struct place_set *p, struct unit sector_or_cluster);
/* Children of u (a sector or cluster, or 1..64 sectors from `first` on for the orchestrator) that p
 * touches, bit i for child first + i. */
uint64_t place_children(const struct place_set *p, const struct topology *t, struct unit u,
                        unsigned first);

/* Runs of linear agent indexes, folded to text: as `s[01-99].c3.a[1-5],s07`: whole sectors and
 * clusters are shortened. Writes at most `size` bytes with NUL; when it does not fit, ends with
 * "..." and returns false. */
struct run {
    uint32_t first, last;
};
bool runs_format(const struct topology *t, const struct run *runs, uint32_t count, char *ret,
                 size_t size);

#endif
