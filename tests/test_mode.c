/* Modes: thresholds, hysteresis, STARTING, and what each refuses. */
#include "core/mode.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void test_thresholds_fall_at_once(void **state)
{
    (void)state;
    assert_int_equal(mode_update(MODE_FULL, 9500, 10000), MODE_FULL);
    assert_int_equal(mode_update(MODE_FULL, 9499, 10000), MODE_DEGRADED_LIGHT);
    assert_int_equal(mode_update(MODE_FULL, 8000, 10000), MODE_DEGRADED_LIGHT);
    assert_int_equal(mode_update(MODE_FULL, 7999, 10000), MODE_DEGRADED_MODERATE);
    assert_int_equal(mode_update(MODE_FULL, 5999, 10000), MODE_DEGRADED_SEVERE);
    assert_int_equal(mode_update(MODE_DEGRADED_LIGHT, 2999, 10000), MODE_EMERGENCY);
    assert_int_equal(mode_update(MODE_FULL, 0, 1), MODE_EMERGENCY);
}

static void test_rises_one_percent_above(void **state)
{
    (void)state;
    assert_int_equal(mode_update(MODE_DEGRADED_LIGHT, 9599, 10000), MODE_DEGRADED_LIGHT);
    assert_int_equal(mode_update(MODE_DEGRADED_LIGHT, 9600, 10000), MODE_FULL);
    assert_int_equal(mode_update(MODE_EMERGENCY, 3050, 10000), MODE_EMERGENCY);
    assert_int_equal(mode_update(MODE_EMERGENCY, 3100, 10000), MODE_DEGRADED_SEVERE);
    assert_int_equal(mode_update(MODE_EMERGENCY, 9550, 10000), MODE_DEGRADED_LIGHT);
    for (int m = MODE_STARTING; m < MODE_COUNT; m++) {
        assert_int_equal(mode_update((enum mode)m, 7, 7), MODE_FULL);
    }
}

static void test_starting_until_95_percent_were_active(void **state)
{
    (void)state;
    assert_int_equal(mode_update(MODE_STARTING, 0, 100), MODE_STARTING);
    assert_int_equal(mode_update(MODE_STARTING, 94, 100), MODE_STARTING);
    assert_int_equal(mode_update(MODE_STARTING, 95, 100), MODE_FULL);
}

static bool admits(enum mode mode, unsigned priority, enum verb verb, uint32_t targets, bool human)
{
    struct operation op = {.priority = (uint8_t)priority, .verb = verb};
    const char *why = NULL;
    bool ok = mode_admits(mode, &op, targets, 30000, human, &why);
    assert_int_equal(ok, why == NULL);
    if (!ok) { /* the refusal names the mode */
        static const char *const names[] = {[MODE_DEGRADED_LIGHT] = "DEGRADED_LIGHT",
                                            [MODE_DEGRADED_MODERATE] = "DEGRADED_MODERATE",
                                            [MODE_DEGRADED_SEVERE] = "DEGRADED_SEVERE",
                                            [MODE_EMERGENCY] = "EMERGENCY"};
        assert_ptr_equal(strstr(why, names[mode]), why);
    }
    return ok;
}

static void test_restrictions(void **state)
{
    (void)state;
    for (unsigned p = 0; p < PRIORITY_COUNT; p++) {
        assert_true(admits(MODE_FULL, p, VERB_ACT, 30000, false));
        assert_true(admits(MODE_STARTING, p, VERB_ACT, 30000, false));
        assert_int_equal(admits(MODE_DEGRADED_LIGHT, p, VERB_ACT, 30000, false), p > 0);
        assert_int_equal(admits(MODE_DEGRADED_MODERATE, p, VERB_ACT, 1000, false), p > 1);
        assert_false(admits(MODE_DEGRADED_MODERATE, p, VERB_ACT, 1001, true));
        assert_int_equal(admits(MODE_DEGRADED_SEVERE, p, VERB_ACT, 15000, false), p == 3);
        assert_false(admits(MODE_DEGRADED_SEVERE, p, VERB_ACT, 15001, false));
        assert_int_equal(admits(MODE_DEGRADED_SEVERE, p, VERB_ACT, 30000, true), p == 3);
        assert_false(admits(MODE_EMERGENCY, p, VERB_OBSERVE, 1, false));
        assert_true(admits(MODE_EMERGENCY, p, VERB_OBSERVE, 30000, true));
        assert_int_equal(admits(MODE_EMERGENCY, p, VERB_ACT, 1, true), p == 3);
    }
}

static void test_what_else_a_mode_means(void **state)
{
    (void)state;
    assert_false(mode_healthy_only(MODE_STARTING));
    assert_false(mode_healthy_only(MODE_DEGRADED_LIGHT));
    assert_true(mode_healthy_only(MODE_DEGRADED_MODERATE));
    assert_int_equal(mode_retry_factor(MODE_FULL), 1);
    assert_int_equal(mode_retry_factor(MODE_DEGRADED_LIGHT), 2);
    assert_string_equal(mode_description(MODE_FULL), "All systems nominal");
    assert_string_equal(mode_description(MODE_EMERGENCY), "Mesh critically impaired");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_thresholds_fall_at_once),
                                       cmocka_unit_test(test_rises_one_percent_above),
                                       cmocka_unit_test(test_starting_until_95_percent_were_active),
                                       cmocka_unit_test(test_restrictions),
                                       cmocka_unit_test(test_what_else_a_mode_means)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
