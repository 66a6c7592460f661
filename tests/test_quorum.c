/* The quorum against a literal transcription of spec 5.2, for all small meshes. */
#include "core/quorum.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Spec 5.2 as written, over the design's denominator, then the design's 5 % rule. */
static enum decision spec(double ready, double conflict, double transit, double excluded,
                          double required_ready_rate, bool allow_partial, double *ret_confidence)
{
    double total = ready + conflict + transit;
    *ret_confidence = 0;
    if (total == 0) {
        return DECISION_RETRY;
    }
    double ready_rate = ready / total;
    double conflict_rate = conflict / total;
    double transit_rate = transit / total;
    bool has_enough_ready = ready_rate >= required_ready_rate;
    bool conflicts_acceptable = conflict_rate <= 0.05;
    if (has_enough_ready && conflicts_acceptable) {
        if (excluded / (total + excluded) > 0.05 && !allow_partial) {
            return DECISION_RETRY;
        }
        *ret_confidence = ready_rate - (conflict_rate * 0.5);
        return DECISION_PROCEED;
    } else if (!has_enough_ready && transit_rate > 0.10) {
        return DECISION_WAIT;
    } else if (conflict_rate > 0.05) {
        return DECISION_RESOLVE_CONFLICTS;
    }
    return DECISION_RETRY;
}

static struct aggregate_view view_of(uint32_t ready, uint32_t conflict, uint32_t transit,
                                     uint32_t excluded)
{
    static const enum outcome zeros[] = {OUTCOME_FAILED, OUTCOME_TIMEOUT_DELIVERY,
                                         OUTCOME_TIMEOUT_EXECUTION, OUTCOME_UNREACHABLE,
                                         OUTCOME_PENDING};
    static const enum outcome outs[] = {OUTCOME_SKIPPED, OUTCOME_REFUSED, OUTCOME_CANCELLED};
    struct aggregate_view v = {.targets = ready + conflict + transit + excluded};
    v.outcomes[OUTCOME_READY] = ready;
    v.outcomes[OUTCOME_CONFLICT] = conflict;
    for (uint32_t i = 0; i < transit; i++) {
        v.outcomes[zeros[i % 5]]++;
    }
    for (uint32_t i = 0; i < excluded; i++) {
        v.outcomes[outs[i % 3]]++;
    }
    return v;
}

static void test_all_small_meshes_decide_as_the_spec(void **state)
{
    (void)state;
    static const double rates[] = {0.0, 0.5, 0.85, 0.95, 1.0};
    uint32_t decided[DECISION_COUNT] = {0};
    for (uint32_t n = 0; n < 48; n++) {
        for (uint32_t ready = 0; ready <= n; ready++) {
            for (uint32_t conflict = 0; ready + conflict <= n && conflict < 9; conflict++) {
                for (uint32_t excluded = 0; ready + conflict + excluded <= n && excluded < 5;
                     excluded++) {
                    uint32_t transit = n - ready - conflict - excluded;
                    struct aggregate_view v = view_of(ready, conflict, transit, excluded);
                    for (uint32_t i = 0; i < 10; i++) {
                        struct quorum_rule rule = quorum_rule_for(rates[i / 2], i % 2 == 1);
                        struct quorum_result r;
                        double confidence;
                        quorum_check(&v, &rule, &r);
                        enum decision want = spec(ready, conflict, transit, excluded, rates[i / 2],
                                                  i % 2 == 1, &confidence);
                        assert_int_equal(r.decision, want);
                        assert_true(r.confidence == confidence);
                        assert_int_equal(r.achieved, want == DECISION_PROCEED);
                        assert_int_equal(r.total, ready + conflict + transit);
                        assert_int_equal(r.transit, transit);
                        assert_int_equal(r.excluded, excluded);
                        assert_int_equal(r.reason[0] == '\0', r.achieved);
                        decided[want]++;
                    }
                }
            }
        }
    }
    for (int d = DECISION_PROCEED; d < DECISION_COUNT; d++) {
        assert_true(decided[d] > 100);
    }
}

static void test_texts_are_the_specs(void **state)
{
    (void)state;
    struct quorum_rule rule = quorum_rule_for(0.95, false);
    struct quorum_result r;
    struct aggregate_view v = view_of(96, 4, 0, 0);
    quorum_check(&v, &rule, &r);
    assert_int_equal(r.decision, DECISION_PROCEED);
    assert_true(r.confidence > 0.9399 && r.confidence < 0.9401);
    assert_string_equal(r.reason, "");
    assert_string_equal(r.recommendation, "");
    v = view_of(80, 0, 20, 0);
    quorum_check(&v, &rule, &r);
    assert_string_equal(r.reason, "Too many agents still in transit");
    assert_string_equal(r.recommendation, "Extend arrival window");
    v = view_of(937, 63, 0, 0);
    quorum_check(&v, &rule, &r);
    assert_string_equal(r.reason, "Conflict rate 6.3% exceeds threshold");
    assert_string_equal(r.recommendation, "Run conflict resolution before proceeding");
    v = view_of(92, 2, 6, 0);
    quorum_check(&v, &rule, &r);
    assert_string_equal(r.reason, "Insufficient ready agents");
    assert_string_equal(r.recommendation, "Retry with adjusted impedance compensation");
    v = view_of(94, 0, 0, 6);
    quorum_check(&v, &rule, &r);
    assert_int_equal(r.decision, DECISION_RETRY);
    assert_non_null(strstr(r.reason, "5%"));
    v = view_of(0, 0, 0, 0);
    quorum_check(&v, &rule, &r);
    assert_string_equal(r.reason, "No targets");
    v = view_of(0, 0, 0, 3);
    quorum_check(&v, &rule, &r);
    assert_string_equal(r.reason, "No target took part");
}

static void test_gather_status_is_over_those_sent(void **state)
{
    (void)state;
    struct aggregate_view v = view_of(95, 2, 3, 10);
    struct gather_status s;
    v.sent = 100;
    quorum_gather_status(&v, 0.95, &s);
    assert_true(s.success);
    assert_string_equal(s.status, "SUCCESS");
    assert_string_equal(s.recommendation, "");
    assert_true(s.response_rate == 0.95);
    assert_int_equal(s.stragglers, 3);
    v.sent = 101;
    quorum_gather_status(&v, 0.95, &s);
    assert_false(s.success);
    assert_string_equal(s.status, "PARTIAL");
    assert_string_equal(s.recommendation, "retry_with_larger_window");
    assert_int_equal(s.stragglers, 4);
    v = view_of(0, 0, 0, 3);
    quorum_gather_status(&v, 0.0, &s);
    assert_false(s.success);
    assert_true(s.response_rate == 0.0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all_small_meshes_decide_as_the_spec),
                                       cmocka_unit_test(test_texts_are_the_specs),
                                       cmocka_unit_test(test_gather_status_is_over_those_sent)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
