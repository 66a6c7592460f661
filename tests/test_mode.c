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

static enum mode_verdict judge(enum mode mode, unsigned priority, enum verb verb, uint32_t targets,
                               unsigned who)
{
    const struct operation op = {.priority = (uint8_t)priority, .verb = verb};
    const struct mode_case c = {.operation = &op,
                                .targets = targets,
                                .agents = 30000,
                                .human = who > 0,
                                .approved = who > 1};
    const char *why = NULL;
    enum mode_verdict v = mode_judge(mode, &c, &why);
    assert_int_equal(v == MODE_ADMITS, why == NULL);
    if (v != MODE_ADMITS) { /* the refusal names the mode */
        assert_ptr_equal(strstr(why, mode_name(mode)), why);
        assert_int_equal(strstr(why, "approval") != NULL,
                         v == MODE_APPROVAL || (mode == MODE_DEGRADED_SEVERE && priority == 3));
    }
    return v;
}

enum { MESH, PERSON, APPROVED };

static void test_restrictions(void **state)
{
    (void)state;
    for (unsigned p = 0; p < PRIORITY_COUNT; p++) {
        assert_int_equal(judge(MODE_FULL, p, VERB_ACT, 30000, MESH), MODE_ADMITS);
        assert_int_equal(judge(MODE_STARTING, p, VERB_ACT, 30000, MESH), MODE_ADMITS);
        assert_int_equal(judge(MODE_DEGRADED_LIGHT, p, VERB_ACT, 30000, MESH),
                         p > 0 ? MODE_ADMITS : MODE_REFUSES);
        enum mode_verdict moderate = p > 1 ? MODE_ADMITS : p == 1 ? MODE_WAITS : MODE_REFUSES;
        assert_int_equal(judge(MODE_DEGRADED_MODERATE, p, VERB_ACT, 1000, MESH), moderate);
        assert_int_equal(judge(MODE_DEGRADED_MODERATE, p, VERB_ACT, 1000, APPROVED), moderate);
        assert_int_equal(judge(MODE_DEGRADED_MODERATE, p, VERB_ACT, 1001, PERSON), MODE_REFUSES);
        bool critical = p == 3;
        assert_int_equal(judge(MODE_DEGRADED_SEVERE, p, VERB_ACT, 15000, MESH),
                         critical ? MODE_ADMITS : MODE_REFUSES);
        assert_int_equal(judge(MODE_DEGRADED_SEVERE, p, VERB_ACT, 15001, MESH), MODE_REFUSES);
        assert_int_equal(judge(MODE_DEGRADED_SEVERE, p, VERB_ACT, 15001, PERSON),
                         critical ? MODE_APPROVAL : MODE_REFUSES);
        assert_int_equal(judge(MODE_DEGRADED_SEVERE, p, VERB_ACT, 30000, APPROVED),
                         critical ? MODE_ADMITS : MODE_REFUSES);
        assert_int_equal(judge(MODE_EMERGENCY, p, VERB_OBSERVE, 1, MESH), MODE_REFUSES);
        assert_int_equal(judge(MODE_EMERGENCY, p, VERB_OBSERVE, 30000, PERSON), MODE_ADMITS);
        assert_int_equal(judge(MODE_EMERGENCY, p, VERB_ACT, 1, PERSON),
                         critical ? MODE_ADMITS : MODE_REFUSES);
        assert_int_equal(judge(MODE_EMERGENCY, p, VERB_ACT, 30000, PERSON),
                         critical ? MODE_APPROVAL : MODE_REFUSES);
        assert_true(mode_admits_relay(MODE_DEGRADED_MODERATE, (uint8_t)p));
        assert_int_equal(mode_admits_relay(MODE_DEGRADED_SEVERE, (uint8_t)p), critical);
        assert_false(mode_admits_relay(MODE_EMERGENCY, (uint8_t)p));
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
    assert_string_equal(mode_restrictions(MODE_FULL), "");
    assert_string_equal(mode_restrictions(MODE_DEGRADED_SEVERE),
                        "critical operations only, mesh-wide ones need approval");
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
