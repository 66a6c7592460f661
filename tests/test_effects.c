/* Effects against T by a clock of nobody: what counts as within, early and late, and what is
 * forgotten. */
#include "sim/effects.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define T_US INT64_C(1795000000000000)

static struct operation operation_of(uint8_t number, enum timing timing)
{
    struct operation o;
    memset(&o, 0, sizeof o);
    memset(o.id.bytes, number, sizeof o.id.bytes);
    o.timing = timing;
    o.target_mesh_us = T_US;
    o.window_us = 500000;
    return o;
}

static uint64_t low_of(uint8_t number)
{
    return UINT64_C(0x0101010101010101) * number;
}

static void test_windows(void **state)
{
    (void)state;
    struct effects e = {0};
    struct operation o = operation_of(7, TIMING_AT);
    effects_expect(&e, &o);
    effects_expect(&e, &o);
    assert_int_equal(e.next, 1);
    effects_released(&e, low_of(7), T_US + 250000);
    effects_released(&e, low_of(7), T_US - 250000);
    assert_int_equal(e.within, 2);
    effects_released(&e, low_of(7), T_US + 250001);
    effects_released(&e, low_of(7), T_US - 250001);
    effects_released(&e, low_of(7), T_US + 60 * US_PER_S);
    assert_int_equal(e.within, 2);
    assert_int_equal(e.early, 1);
    assert_int_equal(e.late, 2);
    assert_int_equal(e.buckets[EFFECTS_BUCKETS - 1], 1);
}

static void test_buckets(void **state)
{
    (void)state;
    struct effects e = {0};
    struct operation o = operation_of(7, TIMING_AT);
    effects_expect(&e, &o);
    for (uint32_t i = 0; i + 1 < EFFECTS_BUCKETS; i++) {
        effects_released(&e, low_of(7), T_US + effects_bucket_us(i) - 1);
        effects_released(&e, low_of(7), T_US + effects_bucket_us(i));
        assert_true(i == 0 || effects_bucket_us(i) > effects_bucket_us(i - 1));
    }
    assert_int_equal(e.buckets[0], 1);
    for (uint32_t i = 1; i + 1 < EFFECTS_BUCKETS; i++) {
        assert_int_equal(e.buckets[i], 2);
    }
}

static void test_only_what_has_a_t_is_known(void **state)
{
    (void)state;
    struct effects e = {0};
    struct operation now = operation_of(1, TIMING_SOON);
    effects_expect(&e, &now);
    effects_released(&e, low_of(1), T_US);
    assert_int_equal(e.unknown, 1);
    for (unsigned i = 2; i < 2 + EFFECTS_KNOWN + 1; i++) {
        struct operation o = operation_of((uint8_t)i, TIMING_AT);
        effects_expect(&e, &o);
    }
    effects_released(&e, low_of(2), T_US); /* the oldest was pushed out */
    effects_released(&e, low_of(3), T_US);
    assert_int_equal(e.unknown, 2);
    assert_int_equal(e.within, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_only_what_has_a_t_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
