/* What simulated agents say of themselves: a few facts by class, the same for the same agent in
 * virtual time and in mesh-sim live, so that selections by facts have something to find. */
#ifndef SIM_FACTS_H
#define SIM_FACTS_H

#include "core/types.h"
#include <stdint.h>

#define SIM_FACTS_KINDS 4u /* machines of one class */

/* Of the agent with this linear index (core/topology.h); static, in the form of core/facts.h. */
const char *sim_facts(enum impedance_class c, uint32_t index);

/* Of the machines of one kind: 0 to SIM_FACTS_KINDS - 1. */
const char *sim_facts_kind(enum impedance_class c, uint32_t kind);
uint32_t sim_facts_which(uint32_t index);

#endif
