/* From a selector to agents: at a lead among its own 30, above it by counting (design 4: no tier
 * above the lead lists agents). */
#ifndef CORE_RESOLVE_H
#define CORE_RESOLVE_H

#include "core/operation.h"
#include "core/rng.h"
#include "core/topology.h"
#include "core/types.h"

/* Whether the agent is a target at all: place, class, state and score, and with capable_only its
 * capabilities. Without that a target that lacks one is answered REFUSED (REASON_CAPABILITY), not
 * left out. The sample is drawn afterwards (resolve_sample). */
bool selector_targets(const struct selector *sel, const struct topology *topo, struct unit agent,
                      enum impedance_class agent_class, uint64_t capabilities,
                      enum agent_state state, uint32_t score);

/* The number of an agent (by its linear index) under a seed: the same at every tier and in every
 * version, spread evenly over 1 to UINT32_MAX. */
uint32_t selector_number(uint32_t seed, uint32_t index);

/* The same with capabilities: all of sel->capabilities are in `capabilities`. For queries and for
 * choosing among agents. */
bool selector_takes(const struct selector *sel, const struct topology *topo, struct unit agent,
                    enum impedance_class agent_class, uint64_t capabilities, enum agent_state state,
                    uint32_t score);

/* Targets expected below `unit` (orchestrator, sector, cluster or agent) by place and class alone,
 * as the topology assigns them (with capable_only: by the classes' default capabilities), and by
 * its part; 0 for a place that it leaves empty. States, scores and the sample are not looked at.
 * Used to count the targets behind a dead child. O(agents below) at worst, O(clusters) mostly. */
uint32_t selector_expected(const struct selector *sel, const struct topology *topo,
                           struct unit unit);

/* `want` of the members in mask at random (all when it has no more), each subset equally likely. */
uint64_t resolve_sample(uint64_t mask, uint32_t want, struct rng *rng);

/* Splits want over n children in proportion to their weights by largest remainder, ties to the
 * lower index. ret[i] <= weights[i] always; the sum is min(want, sum of weights). n: 0 to
 * SECTORS_MAX. weights and ret may not overlap. The sum of weights is below 2^32. */
void quota_split(uint32_t want, const uint32_t *weights, uint32_t n, uint32_t *ret);

/* Spec 4.2: index (0 to 63) of the member of mask with the lowest score, ties to the lower index;
 * -1 when the mask is empty: NoCapableAgent. scores has one entry for each bit of the mask. */
int resolve_lowest(uint64_t mask, const uint32_t *scores);

#endif
