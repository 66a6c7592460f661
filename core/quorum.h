/* Did enough answer? The trinary quorum of spec 5.2 and the gather status of spec 3.2, over counts.
 *
 * Denominator (design 4): total = targets - skipped - refused - cancelled. READY is +1, CONFLICT
 * -1, all others of the total are 0 (TRANSIT). When more than 5 % of the targets were skipped,
 * refused or cancelled, the decision cannot be PROCEED unless the operation allows it. */
#ifndef CORE_QUORUM_H
#define CORE_QUORUM_H

#include "core/result.h"

#define QUORUM_MAX_CONFLICT_RATE 0.05
#define QUORUM_MAX_TRANSIT_RATE  0.10
#define QUORUM_MAX_EXCLUDED_RATE 0.05
#define QUORUM_REASON_MAX        80u

struct quorum_rule {
    double required_ready_rate; /* the operation's minimum_response_rate */
    double max_conflict_rate, max_transit_rate;
    bool allow_partial;
};

struct quorum_result {
    bool achieved;
    uint32_t total, ready, conflict, transit, excluded;
    double confidence; /* ready_rate - conflict_rate / 2 when achieved, else 0 */
    enum decision decision;
    char reason[QUORUM_REASON_MAX]; /* "" when achieved */
    const char *recommendation;     /* "" when achieved; static text */
};

/* The spec's default rates with the operation's own ready rate (0 to 1) and flag. */
struct quorum_rule quorum_rule_for(double minimum_response_rate, bool allow_partial);

/* view: final or not (pending counts as transit). */
void quorum_check(const struct aggregate_view *view, const struct quorum_rule *rule,
                  struct quorum_result *ret);

struct gather_status {
    bool success;
    const char *status;         /* "SUCCESS" or "PARTIAL" */
    double response_rate;       /* ready / sent; 0 when nothing was sent */
    uint32_t stragglers;        /* sent - ready - conflict */
    const char *recommendation; /* "" or "retry_with_larger_window" */
};

void quorum_gather_status(const struct aggregate_view *view, double minimum_response_rate,
                          struct gather_status *ret);

#endif
