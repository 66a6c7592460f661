/* The profiler and the flags. */
#include "core/impedance.h"
#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MINUTE_US 60000000ll

static void test_medians(void **state)
{
    (void)state;
    struct profiler p;
    struct impedance m = {.score = 7};
    profiler_init(&p);
    profiler_report(&p, 0, 3, &m);
    assert_int_equal(m.latency_us, 0);
    assert_int_equal(m.queue_depth, 3);
    assert_int_equal(m.score, 7); /* not measured here: stays */
    for (uint32_t i = 1; i <= 99; i++) {
        profiler_latency(&p, i * 10);
    }
    profiler_done(&p, 5, 4000000000u, true);
    profiler_report(&p, 5, 0, &m);
    assert_int_equal(m.latency_us, 500);
    assert_in_range(m.processing_us, 3998000000u, 4000000000u); /* 11 bits */
    /* 100 newer ones: the old are gone. */
    for (uint32_t i = 0; i < 100; i++) {
        profiler_latency(&p, i < 49 ? 100 : 2000);
    }
    profiler_report(&p, 5, 0, &m);
    assert_int_equal(m.latency_us, 2000);
    profiler_report(&p, 5, 0, &m); /* nothing new: the same */
    assert_int_equal(m.latency_us, 2000);
    assert_int_equal(m.drift_permille, profiler_drift_permille(&p));
    for (uint32_t i = 0; i < 100; i++) { /* one ring alone has changed */
        profiler_done(&p, 5, 700, true);
    }
    profiler_report(&p, 5, 0, &m);
    assert_int_equal(m.latency_us, 2000);
    assert_int_equal(m.processing_us, 700);
}

/* Whatever was measured: the lower of the two in the middle, as sorting finds it. */
static void test_medians_are_those_of_a_sort(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 3, 0);
    for (uint32_t round = 0; round < 400; round++) {
        uint32_t count = 1 + round % PROFILER_SAMPLES, sorted[PROFILER_SAMPLES];
        int64_t spread = (int64_t)(1ull << rng_below(&rng, 11)); /* all alike, up to all kinds */
        struct profiler p;
        struct impedance m = {0};
        profiler_init(&p);
        for (uint32_t i = 0; i < count; i++) {
            uint32_t us = (uint32_t)rng_range(&rng, 1024 - spread, 1023 + spread - 1);
            uint32_t at = i;
            for (; at > 0 && sorted[at - 1] > us; at--) {
                sorted[at] = sorted[at - 1];
            }
            sorted[at] = us;
            profiler_latency(&p, us);
        }
        profiler_report(&p, 0, 0, &m);
        assert_int_equal(m.latency_us, sorted[(count - 1) / 2]); /* 11 bits: as they were */
    }
}

static void test_last_hour(void **state)
{
    (void)state;
    struct profiler p;
    struct impedance m = {0};
    int64_t start = 1000000 * MINUTE_US;
    profiler_init(&p);
    for (int i = 0; i < 120; i++) { /* one a minute for two hours; every fourth fails */
        profiler_done(&p, start + i * MINUTE_US, 1000, i % 4 != 0);
    }
    int64_t end = start + 119 * MINUTE_US;
    profiler_report(&p, end, 0, &m);
    assert_in_range(m.done + m.failed, 55, 60);
    assert_in_range(m.failed, 13, 15);
    profiler_report(&p, end + 30 * MINUTE_US, 0, &m);
    assert_in_range(m.done + m.failed, 25, 30);
    profiler_report(&p, end + 61 * MINUTE_US, 0, &m);
    assert_int_equal(m.done + m.failed, 0);
    profiler_done(&p, end + 500 * MINUTE_US, 1000, false);
    profiler_report(&p, end + 500 * MINUTE_US, 0, &m);
    assert_int_equal(m.done, 0);
    assert_int_equal(m.failed, 1);
    assert_int_equal(impedance_reliability_permille(0, 0), 1000);
    assert_int_equal(impedance_reliability_permille(999, 1), 999);
    assert_int_equal(impedance_reliability_permille(0, UINT32_MAX), 0);
}

static void test_drift(void **state)
{
    (void)state;
    struct profiler p;
    profiler_init(&p);
    profiler_latency(&p, 1000);
    assert_int_equal(profiler_drift_permille(&p), 0);
    for (int i = 0; i < 99; i++) {
        profiler_latency(&p, 1000);
    }
    assert_int_equal(profiler_drift_permille(&p), 0);
    for (int i = 0; i < 100; i++) {
        profiler_latency(&p, i % 2 == 0 ? 500 : 1500); /* sigma / mean = 0.5, and n / (n - 1) */
    }
    assert_int_equal(profiler_drift_permille(&p), 503);
    assert_true(impedance_unstable(503) && !impedance_unstable(500));
    profiler_init(&p);
    profiler_latency(&p, 0);
    profiler_latency(&p, 0);
    assert_int_equal(profiler_drift_permille(&p), 0);
}

static void test_scores_and_flags(void **state)
{
    (void)state;
    assert_int_equal(impedance_score(-5), 0);
    assert_int_equal(impedance_score(1499), 1);
    assert_int_equal(impedance_score(127000), 127);
    assert_int_equal(impedance_score(INT64_MAX), 1000);
    /* As fast as meant: 100, for each class. */
    assert_int_equal(impedance_relative(CLASS_A_EDGE, 21250), 100);
    assert_int_equal(impedance_relative(CLASS_F_HUMAN, 90100000), 100);
    assert_int_equal(impedance_relative(CLASS_B_SERVERLESS, INT64_MAX), 1000);
    /* 900 ms: far too slow for the edge, normal for a container; people are never degraded. */
    assert_true(impedance_degraded(CLASS_A_EDGE, 900000));
    assert_false(impedance_degraded(CLASS_C_PERSISTENT, 900000));
    assert_false(impedance_degraded(CLASS_F_HUMAN, INT64_MAX));
    assert_false(impedance_degraded(CLASS_A_EDGE, 170000)); /* exactly 800 */
    assert_true(impedance_degraded(CLASS_A_EDGE, 171000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_medians),          cmocka_unit_test(test_medians_are_those_of_a_sort),
        cmocka_unit_test(test_last_hour),        cmocka_unit_test(test_drift),
        cmocka_unit_test(test_scores_and_flags),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
