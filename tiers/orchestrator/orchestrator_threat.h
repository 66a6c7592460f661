/* Threats at the root (orchestrator_threat.c): what comes in, and the answers. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_THREAT_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_THREAT_H

#include "tiers/orchestrator/orchestrator_state.h"

void threats_evidence(struct orchestrator *o, const struct evidence *e);
/* An agent's answer contradicted a quorum; its lead has it in quarantine. */
void threats_contradicted(struct orchestrator *o, struct unit agent);
/* An event of any incident: TIMING_ATTACK is a threat, as long as it is open. */
void threats_timing(struct orchestrator *o, const struct conflict_report *r);
void threats_timing_over(struct orchestrator *o, uint64_t incident);
/* False: refused (a thaw, while the mesh stands still because of a threat). */
bool threats_allow(struct orchestrator *o, const struct msg *msg);
/* False: refused. What ends an answer that froze the mesh takes a person in the flesh: an operator
 * whose session was opened with a hardware token has to touch it again, after the answer. */
bool threats_prove_person(struct orchestrator *o, const struct msg *msg);
void threats_command(struct orchestrator *o, const struct msg *msg);
int64_t threats_tick(struct orchestrator *o); /* returns when to look again */

#endif
