/* Operational modes and what they restrict (spec 6.3; design 8: STARTING before 95 % were first
 * active). A mode falls at once and rises only when the share is 1 % above its threshold, so that
 * it does not flap. Decided at the orchestrator, told down in beat replies. */
#ifndef CORE_MODE_H
#define CORE_MODE_H

#include "core/operation.h"
#include "core/types.h"

#define MODE_RISE_PERMILLE   10u   /* above the threshold, to rise */
#define MODE_SCATTER_MAX     1000u /* DEGRADED_MODERATE: targets of one operation */
#define MODE_MESH_WIDE_SHARE 2u    /* more than 1 / 2 of the agents is mesh-wide */

/* The mode after `active` of `total` agents are in service. total >= 1. */
enum mode mode_update(enum mode now, uint32_t active, uint32_t total);

/* Whether the mode admits the operation. targets: expected; agents: of the whole mesh; human: an
 * operator ordered it (not an agent's message, plan or timer). When not: *ret_why is static text
 * that names the mode and the restriction (REASON_MODE). */
bool mode_admits(enum mode mode, const struct operation *op, uint32_t targets, uint32_t agents,
                 bool human, const char **ret_why);

/* DEGRADED_MODERATE and worse: leave out sectors and clusters that are not healthy. */
bool mode_healthy_only(enum mode mode);

/* Factor on resend times: 1 in FULL and STARTING, 2 in degraded modes ("increase retry timeouts").
 */
uint32_t mode_retry_factor(enum mode mode);

/* The spec's description. */
const char *mode_description(enum mode mode);

#endif
