/* Cascades: the steps, numbers and statuses of spec 3.3. */
#include "core/cascade.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct cascade c;
static struct cascade_step step;

static struct operation operation(enum cascade_strategy strategy)
{
    return (struct operation){.strategy = strategy,
                              .minimum_response_rate = 0.95,
                              .window_us = 500 * US_PER_MS,
                              .timeout_us = 0};
}

static void start(enum cascade_strategy strategy)
{
    struct operation op = operation(strategy);
    cascade_init(&c, &op);
    cascade_step(&c, &step);
}

static struct aggregate_view ready(uint32_t n, uint32_t of)
{
    struct aggregate_view v = {.targets = of, .sent = of};
    v.outcomes[OUTCOME_READY] = n;
    v.outcomes[OUTCOME_TIMEOUT_DELIVERY] = of - n;
    return v;
}

static void operated(uint32_t n, uint32_t of)
{
    struct aggregate_view v = ready(n, of);
    cascade_operated(&c, &v);
    cascade_step(&c, &step);
}

static void prepared(uint32_t n, uint32_t of)
{
    cascade_prepared(&c, n, of);
    cascade_step(&c, &step);
}

static void test_plain_operation_is_one_step(void **state)
{
    (void)state;
    start(CASCADE_NONE);
    assert_int_equal(step.kind, CASCADE_STEP_OPERATE);
    assert_int_equal(step.window_us, 500 * US_PER_MS);
    assert_int_equal(step.timeout_us, 5000 * US_PER_MS);
    assert_true(step.threshold == 0.95);
    assert_int_equal(step.class_mask & 1u << CLASS_F_HUMAN, 0);
    assert_int_equal(step.class_mask & 1u << CLASS_A_EDGE, 1u << CLASS_A_EDGE);
    assert_string_equal(cascade_status(&c), "");
    operated(95, 100);
    assert_int_equal(step.kind, CASCADE_STEP_DONE);
    assert_string_equal(cascade_status(&c), "SUCCESS");
    assert_true(c.phases[0].success);
    start(CASCADE_NONE);
    operated(94, 100);
    assert_string_equal(cascade_status(&c), "PARTIAL");
}

static void test_wave_goes_level_by_level(void **state)
{
    (void)state;
    start(CASCADE_WAVE);
    assert_int_equal(step.kind, CASCADE_STEP_SECTORS);
    assert_int_equal(step.window_us, 200 * US_PER_MS);
    assert_true(step.threshold == 0.98);
    prepared(98, 100);
    assert_int_equal(step.kind, CASCADE_STEP_CLUSTERS);
    assert_int_equal(step.timeout_us, 1000 * US_PER_MS);
    prepared(951, 1000);
    assert_int_equal(step.kind, CASCADE_STEP_OPERATE);
    assert_int_equal(step.timeout_us, 2000 * US_PER_MS);
    operated(29000, 30000);
    assert_string_equal(cascade_status(&c), "SUCCESS");
    assert_int_equal(c.phases[0].ready, 29000);
}

static void test_wave_fails_at_its_level(void **state)
{
    (void)state;
    start(CASCADE_WAVE);
    prepared(97, 100);
    assert_int_equal(step.kind, CASCADE_STEP_DONE);
    assert_string_equal(cascade_status(&c), "FAILED_AT_SECTOR");
    start(CASCADE_WAVE);
    prepared(0, 0);
    assert_string_equal(cascade_status(&c), "FAILED_AT_SECTOR");
    start(CASCADE_WAVE);
    prepared(100, 100);
    prepared(949, 1000);
    assert_string_equal(cascade_status(&c), "FAILED_AT_CLUSTER");
}

static void test_parallel_is_wider_and_lower(void **state)
{
    (void)state;
    start(CASCADE_PARALLEL);
    assert_int_equal(step.kind, CASCADE_STEP_OPERATE);
    assert_int_equal(step.window_us, 1000 * US_PER_MS);
    assert_true(step.threshold == 0.90);
    operated(90, 100);
    assert_string_equal(cascade_status(&c), "SUCCESS");
}

static void test_priority_first_in_the_specs_order(void **state)
{
    (void)state;
    static const enum impedance_class order[] = {CLASS_D_GPU, CLASS_C_PERSISTENT,
                                                 CLASS_B_SERVERLESS, CLASS_A_EDGE, CLASS_E_LOCAL};
    static const double rates[] = {0.99, 0.98, 0.95, 0.90, 0.85};
    start(CASCADE_PRIORITY_FIRST);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(step.kind, CASCADE_STEP_OPERATE);
        assert_int_equal(step.phase, i);
        assert_int_equal(step.class_mask, 1u << order[i]);
        assert_true(step.threshold == rates[i]);
        operated(i == 1 ? 979 : 990, 1000); /* C fails by one: noted, the next goes on */
        assert_int_equal(c.phases[i].success, i != 1);
        assert_true(c.phases[i].response_rate == (i == 1 ? 0.979 : 0.99));
    }
    assert_int_equal(step.kind, CASCADE_STEP_DONE);
    assert_string_equal(cascade_status(&c), "COMPLETE");
}

/* A class that nobody is of is no degradation; one of which nobody could be sent to is. */
static void test_a_phase_for_nobody_has_not_failed(void **state)
{
    (void)state;
    start(CASCADE_PRIORITY_FIRST);
    operated(0, 0);
    assert_true(c.phases[0].success);
    struct aggregate_view v = {.targets = 5};
    v.outcomes[OUTCOME_UNREACHABLE] = 5;
    cascade_operated(&c, &v);
    assert_false(c.phases[1].success);
}

static void test_only_selected_classes_have_phases(void **state)
{
    (void)state;
    struct operation op = operation(CASCADE_PRIORITY_FIRST);
    op.selector.class_mask = 1u << CLASS_E_LOCAL | 1u << CLASS_F_HUMAN | 1u << CLASS_C_PERSISTENT;
    op.timeout_us = 7;
    cascade_init(&c, &op);
    assert_int_equal(c.phase_count, 3);
    cascade_step(&c, &step);
    assert_int_equal(step.class_mask, 1u << CLASS_C_PERSISTENT);
    assert_int_equal(step.timeout_us, 7);
    operated(1, 1);
    assert_int_equal(step.class_mask, 1u << CLASS_E_LOCAL);
    operated(1, 1);
    assert_int_equal(step.class_mask, 1u << CLASS_F_HUMAN);
    assert_true(step.threshold == 0.95);
    cascade_cancel(&c);
    assert_string_equal(cascade_status(&c), "CANCELLED");
    cascade_step(&c, &step);
    assert_int_equal(step.kind, CASCADE_STEP_DONE);
    assert_int_equal(c.phases[2].targets, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_operation_is_one_step),
        cmocka_unit_test(test_wave_goes_level_by_level),
        cmocka_unit_test(test_wave_fails_at_its_level),
        cmocka_unit_test(test_parallel_is_wider_and_lower),
        cmocka_unit_test(test_priority_first_in_the_specs_order),
        cmocka_unit_test(test_a_phase_for_nobody_has_not_failed),
        cmocka_unit_test(test_only_selected_classes_have_phases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
