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

enum mode_verdict {
    MODE_ADMITS,
    MODE_WAITS,    /* non-urgent: kept until the mode admits it, where there is room to keep it */
    MODE_APPROVAL, /* kept until an operator approves it */
    MODE_REFUSES
};

struct mode_case {
    const struct operation *operation;
    uint32_t targets; /* expected */
    uint32_t agents;  /* of the whole mesh */
    bool human;       /* an operator ordered it (not a strategy, a plan or a timer) */
    bool approved;    /* an operator was shown what it means and approved it */
};

/* What the mode makes of an operation. Unless it admits it: *ret_why is static text that names the
 * mode and the restriction (REASON_MODE). */
enum mode_verdict mode_judge(enum mode mode, const struct mode_case *c, const char **ret_why);

/* Whether messages of agents to agents pass: critical ones alone (priority 3) in DEGRADED_SEVERE,
 * none in EMERGENCY, which halts what is automated. */
bool mode_admits_relay(enum mode mode, uint8_t priority);

/* DEGRADED_MODERATE and worse: leave out sectors and clusters that are not healthy. */
bool mode_healthy_only(enum mode mode);

/* Factor on resend times: 1 in FULL and STARTING, 2 in degraded modes ("increase retry timeouts").
 */
uint32_t mode_retry_factor(enum mode mode);

/* The spec's description. */
const char *mode_description(enum mode mode);
/* What it restricts, in a few words; "" when nothing. */
const char *mode_restrictions(enum mode mode);

#endif
