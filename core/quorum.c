/* The spec's check of 5.2, in its order, over counts. What differs is the denominator (design 4):
 * those skipped, refused or cancelled before sending did not take part, so they neither help nor
 * hinder; but when they are more than 5 % of the targets the answer of the rest does not speak for
 * the targets, and PROCEED becomes RETRY unless the operation allows a partial result. */
#include "core/quorum.h"
#include "core/text.h"
#include <assert.h>

#define RETRY_ADVICE "Retry with adjusted impedance compensation"

struct quorum_rule quorum_rule_for(double minimum_response_rate, bool allow_partial)
{
    assert(minimum_response_rate >= 0.0);
    assert(minimum_response_rate <= 1.0);
    return (struct quorum_rule){.required_ready_rate = minimum_response_rate,
                                .max_conflict_rate = QUORUM_MAX_CONFLICT_RATE,
                                .max_transit_rate = QUORUM_MAX_TRANSIT_RATE,
                                .allow_partial = allow_partial};
}

static void decide(struct quorum_result *r, enum decision decision, const char *reason,
                   const char *recommendation)
{
    struct text text;
    text_init(&text, r->reason, sizeof r->reason);
    text_add(&text, reason);
    r->decision = decision;
    r->recommendation = recommendation;
}

static void decide_conflicts(struct quorum_result *r, double conflict_rate)
{
    struct text text;
    text_init(&text, r->reason, sizeof r->reason);
    text_add(&text, "Conflict rate ");
    text_fixed(&text, conflict_rate * 100.0, 1);
    text_add(&text, "% exceeds threshold");
    r->decision = DECISION_RESOLVE_CONFLICTS;
    r->recommendation = "Run conflict resolution before proceeding";
}

static void count(const struct aggregate_view *v, struct quorum_result *ret)
{
    *ret = (struct quorum_result){.recommendation = ""};
    ret->excluded = v->outcomes[OUTCOME_SKIPPED] + v->outcomes[OUTCOME_REFUSED] +
                    v->outcomes[OUTCOME_CANCELLED];
    assert(ret->excluded <= v->targets);
    ret->total = v->targets - ret->excluded;
    ret->ready = v->outcomes[OUTCOME_READY];
    ret->conflict = v->outcomes[OUTCOME_CONFLICT];
    assert((uint64_t)ret->ready + ret->conflict <= ret->total);
    ret->transit = ret->total - ret->ready - ret->conflict;
}

void quorum_check(const struct aggregate_view *view, const struct quorum_rule *rule,
                  struct quorum_result *ret)
{
    assert(view != NULL && rule != NULL && ret != NULL);
    assert(rule->required_ready_rate >= 0.0 && rule->required_ready_rate <= 1.0);
    struct quorum_result r;
    count(view, &r);
    if (r.total == 0) {
        decide(&r, DECISION_RETRY, view->targets == 0 ? "No targets" : "No target took part",
               RETRY_ADVICE);
        *ret = r;
        return;
    }
    double ready_rate = (double)r.ready / (double)r.total;
    double conflict_rate = (double)r.conflict / (double)r.total;
    double transit_rate = (double)r.transit / (double)r.total;
    double excluded_rate = (double)r.excluded / (double)view->targets;
    bool enough = ready_rate >= rule->required_ready_rate;
    if (enough && conflict_rate <= rule->max_conflict_rate) {
        if (excluded_rate > QUORUM_MAX_EXCLUDED_RATE && !rule->allow_partial) {
            decide(&r, DECISION_RETRY,
                   "More than 5% of the targets were skipped, refused or cancelled", RETRY_ADVICE);
        } else {
            decide(&r, DECISION_PROCEED, "", "");
            r.achieved = true;
            r.confidence = ready_rate - conflict_rate * 0.5;
        }
    } else if (!enough && transit_rate > rule->max_transit_rate) {
        decide(&r, DECISION_WAIT, "Too many agents still in transit", "Extend arrival window");
    } else if (conflict_rate > rule->max_conflict_rate) {
        decide_conflicts(&r, conflict_rate);
    } else {
        decide(&r, DECISION_RETRY, "Insufficient ready agents", RETRY_ADVICE);
    }
    *ret = r;
}

void quorum_gather_status(const struct aggregate_view *view, double minimum_response_rate,
                          struct gather_status *ret)
{
    assert(view != NULL && ret != NULL);
    assert(minimum_response_rate >= 0.0 && minimum_response_rate <= 1.0);
    uint32_t ready = view->outcomes[OUTCOME_READY];
    uint32_t answered = ready + view->outcomes[OUTCOME_CONFLICT];
    double rate = view->sent > 0 ? (double)ready / (double)view->sent : 0.0;
    bool success = view->sent > 0 && rate >= minimum_response_rate;
    *ret = (struct gather_status){.success = success,
                                  .status = success ? "SUCCESS" : "PARTIAL",
                                  .response_rate = rate,
                                  .stragglers = view->sent > answered ? view->sent - answered : 0,
                                  .recommendation = success ? "" : "retry_with_larger_window"};
}
