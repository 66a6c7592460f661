/* The circuit breaker: each transition, each limit. */
#include "core/breaker.h"
#include "core/node.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S ((int64_t)US_PER_S)

static struct breaker b;
static struct rng rng;

static int setup(void **state)
{
    (void)state;
    breaker_init(&b, BREAKER_CLUSTER_THRESHOLD);
    rng_seed(&rng, 1, 1);
    return 0;
}

/* Trips at `now` and returns when it asks for a probe. */
static int64_t tripped(int64_t now)
{
    assert_int_equal(breaker_failure(&b, now, 6, &rng), BREAKER_TRIPPED);
    return breaker_next_us(&b);
}

static int64_t half_open(int64_t now)
{
    int64_t at = tripped(now);
    assert_int_equal(breaker_tick(&b, at, &rng), BREAKER_PROBE);
    assert_int_equal(breaker_probed(&b, at + S, true, &rng), BREAKER_HALF_OPEN);
    return at + S;
}

static void test_trips_at_the_sixth(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(breaker_failure(&b, 10 * S + i, 1, &rng), BREAKER_NOTHING);
    }
    assert_true(breaker_allow(&b));
    assert_int_equal(breaker_failures(&b, 10 * S + 9), 5);
    assert_int_equal(breaker_failure(&b, 11 * S, 1, &rng), BREAKER_TRIPPED);
    assert_int_equal(breaker_state(&b), CIRCUIT_OPEN);
    assert_false(breaker_allow(&b));
    assert_in_range(breaker_next_us(&b), 11 * S + 27 * S, 11 * S + 33 * S);
    assert_int_equal(breaker_failure(&b, 12 * S, 100, &rng), BREAKER_NOTHING);
    assert_int_equal(b.trips, 1);
}

static void test_sector_and_mesh_thresholds(void **state)
{
    (void)state;
    breaker_init(&b, BREAKER_SECTOR_THRESHOLD);
    assert_int_equal(breaker_failure(&b, S, 50, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_failure(&b, S, 0, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_failure(&b, S, 1, &rng), BREAKER_TRIPPED);
    breaker_init(&b, BREAKER_MESH_THRESHOLD);
    for (int i = 0; i < 100; i++) { /* a level does not add up */
        assert_int_equal(breaker_level(&b, S, 10, &rng), BREAKER_NOTHING);
    }
    assert_int_equal(breaker_level(&b, S, 11, &rng), BREAKER_TRIPPED);
    assert_int_equal(breaker_level(&b, S, 12, &rng), BREAKER_NOTHING);
}

static void test_window_slides(void **state)
{
    (void)state;
    assert_int_equal(breaker_failure(&b, 100 * S, 5, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_failures(&b, 154 * S), 5);
    assert_int_equal(breaker_failures(&b, 160 * S), 0);
    assert_int_equal(breaker_failure(&b, 160 * S, 5, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_failure(&b, 100000 * S, 5, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_failure(&b, 100030 * S, 1, &rng), BREAKER_TRIPPED);
}

static void test_old_buckets_leave_one_by_one(void **state)
{
    (void)state;
    assert_int_equal(breaker_failure(&b, 100 * S, 4, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_failure(&b, 130 * S, 1, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_failure(&b, 161 * S, 1, &rng), BREAKER_NOTHING); /* the 4 are gone */
    assert_int_equal(breaker_failures(&b, 161 * S), 2);
    assert_int_equal(breaker_failure(&b, 162 * S, 3, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_failure(&b, 163 * S, 1, &rng), BREAKER_TRIPPED);
}

static void test_probe_ok_half_open_then_closed(void **state)
{
    (void)state;
    int64_t at = tripped(10 * S);
    assert_int_equal(breaker_probed(&b, at - 1, true, &rng), BREAKER_NOTHING); /* none was out */
    assert_int_equal(breaker_tick(&b, at - 1, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_tick(&b, at, &rng), BREAKER_PROBE);
    assert_int_equal(breaker_tick(&b, at, &rng), BREAKER_NOTHING); /* once */
    assert_int_equal(breaker_state(&b), CIRCUIT_OPEN);
    assert_int_equal(breaker_probed(&b, at + S, true, &rng), BREAKER_HALF_OPEN);
    assert_int_equal(breaker_next_us(&b), at + 61 * S);
    assert_int_equal(breaker_tick(&b, at + 61 * S - 1, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_tick(&b, at + 61 * S, &rng), BREAKER_CLOSED);
    assert_true(breaker_allow(&b));
    assert_int_equal(breaker_next_us(&b), NEVER);
    assert_int_equal(breaker_failure(&b, at + 62 * S, 5, &rng), BREAKER_NOTHING);
}

static void test_bad_or_missing_probe_isolates_longer(void **state)
{
    (void)state;
    int64_t at = tripped(10 * S);
    breaker_tick(&b, at, &rng);
    assert_int_equal(breaker_probed(&b, at, false, &rng), BREAKER_TRIPPED);
    assert_in_range(breaker_next_us(&b) - at, 54 * S, 66 * S);
    at = breaker_next_us(&b);
    assert_int_equal(breaker_tick(&b, at, &rng), BREAKER_PROBE);
    assert_int_equal(breaker_next_us(&b), at + BREAKER_PROBE_US);
    assert_int_equal(breaker_tick(&b, at + BREAKER_PROBE_US, &rng), BREAKER_TRIPPED);
    assert_in_range(breaker_next_us(&b) - at - BREAKER_PROBE_US, 54 * S, 66 * S);
    assert_false(breaker_allow(&b));
}

static void test_half_open_lets_a_tenth_through(void **state)
{
    (void)state;
    half_open(10 * S);
    uint32_t passed = 0;
    for (int i = 0; i < 100; i++) {
        passed += breaker_allow(&b);
    }
    assert_int_equal(passed, 10);
    /* One at a time always passes. */
    breaker_init(&b, BREAKER_CLUSTER_THRESHOLD);
    half_open(1000 * S);
    for (int i = 0; i < 25; i++) {
        assert_true(breaker_allow(&b));
        breaker_finished(&b);
    }
    breaker_finished(&b); /* one from before the trip: no harm */
    assert_true(breaker_allow(&b));
}

static void test_half_open_trips_at_a_tenth_of_the_threshold(void **state)
{
    (void)state;
    int64_t at = half_open(10 * S);
    assert_int_equal(breaker_failure(&b, at + S, 1, &rng), BREAKER_TRIPPED);
    assert_in_range(breaker_next_us(&b) - at - S, 54 * S, 66 * S);
    breaker_init(&b, BREAKER_SECTOR_THRESHOLD);
    breaker_failure(&b, 10 * S, 51, &rng);
    at = breaker_next_us(&b);
    breaker_tick(&b, at, &rng);
    breaker_probed(&b, at, true, &rng);
    assert_int_equal(breaker_failure(&b, at, 5, &rng), BREAKER_NOTHING);
    assert_int_equal(breaker_failure(&b, at, 1, &rng), BREAKER_TRIPPED);
}

static void test_isolation_is_jittered(void **state)
{
    (void)state;
    int64_t first = tripped(10 * S);
    uint32_t different = 0;
    for (int i = 0; i < 20; i++) {
        breaker_init(&b, BREAKER_CLUSTER_THRESHOLD);
        different += tripped(10 * S) != first;
    }
    assert_true(different >= 19);
}

static void by_hand(void **state)
{
    (void)state;
    rng_seed(&rng, 1, 1);
    breaker_init(&b, 5);
    assert_int_equal(breaker_force(&b, false), BREAKER_NOTHING); /* closed already */
    assert_int_equal(breaker_force(&b, true), BREAKER_TRIPPED);
    assert_int_equal(breaker_force(&b, true), BREAKER_NOTHING);
    assert_false(breaker_allow(&b));
    /* It waits for a hand: no probe, however long. */
    assert_int_equal(breaker_tick(&b, 3600ll * US_PER_S, &rng), BREAKER_NOTHING);
    assert_true(breaker_next_us(&b) == NEVER);
    assert_int_equal(breaker_force(&b, false), BREAKER_CLOSED);
    assert_true(breaker_allow(&b));
    /* One that tripped by itself is held from then on. */
    assert_int_equal(breaker_failure(&b, 3600ll * US_PER_S, 6, &rng), BREAKER_TRIPPED);
    assert_int_equal(breaker_force(&b, true), BREAKER_TRIPPED);
    assert_true(breaker_next_us(&b) == NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_trips_at_the_sixth, setup),
        cmocka_unit_test_setup(test_sector_and_mesh_thresholds, setup),
        cmocka_unit_test_setup(test_window_slides, setup),
        cmocka_unit_test_setup(test_old_buckets_leave_one_by_one, setup),
        cmocka_unit_test_setup(test_probe_ok_half_open_then_closed, setup),
        cmocka_unit_test_setup(test_bad_or_missing_probe_isolates_longer, setup),
        cmocka_unit_test_setup(test_half_open_lets_a_tenth_through, setup),
        cmocka_unit_test_setup(test_half_open_trips_at_a_tenth_of_the_threshold, setup),
        cmocka_unit_test_setup(test_isolation_is_jittered, setup),
        cmocka_unit_test(by_hand)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
