/* Whose clock is wrong (tiers/runner/skew.h): witnesses, a liar, a backlog, a clock that is set. */
#include "tiers/runner/skew.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SENDERS 8u

struct bench {
    struct skew skew;
    struct skew_sight sights[SENDERS];
    int64_t now_ms;
};

/* A window in which sender i's frames were ahead of this clock by ahead[i]; INT32_MIN: none came.
 */
static void window(struct bench *b, const int32_t ahead[SENDERS])
{
    int32_t values[SENDERS];
    size_t count = 0;
    assert_false(skew_is_over(&b->skew, b->now_ms));
    for (unsigned i = 0; i < SENDERS; i++) {
        if (ahead[i] == INT32_MIN)
            continue;
        skew_note(&b->skew, &b->sights[i], ahead[i]);
        skew_note(&b->skew, &b->sights[i], ahead[i] - 700); /* later frames come later */
        values[count++] = b->sights[i].ahead_ms;
    }
    b->now_ms += SKEW_WINDOW_MS;
    assert_true(skew_is_over(&b->skew, b->now_ms));
    skew_judge(&b->skew, values, count, b->now_ms);
}

static void begin(struct bench *b)
{
    *b = (struct bench){.now_ms = INT64_C(1800000000000)};
}

static void a_clock_that_is_right(void **state)
{
    (void)state;
    struct bench b;
    const int32_t usual[SENDERS] = {-1, -3, -40, -2, -300, -5, -1, -2};
    begin(&b);
    for (unsigned i = 0; i < 4; i++)
        window(&b, usual);
    assert_int_equal(b.skew.off_ms, 0);
    assert_int_equal(b.skew.heard, SENDERS);
}

static void both_directions_with_the_amount(void **state)
{
    (void)state;
    for (int direction = -1; direction <= 1; direction += 2) {
        struct bench b;
        int32_t all[SENDERS];
        begin(&b);
        for (unsigned i = 0; i < SENDERS; i++)
            all[i] = direction * 3200 - (int32_t)i;
        window(&b, all);
        assert_int_equal(b.skew.off_ms, 0); /* once is not enough */
        window(&b, all);
        assert_in_range(-direction * b.skew.off_ms, 3180, 3220);
        assert_int_equal(b.skew.agree, SENDERS);
        for (unsigned i = 0; i < SENDERS; i++)
            all[i] = -2;
        window(&b, all); /* it was set */
        assert_int_equal(b.skew.off_ms, 0);
    }
}

static void what_is_tolerated_is_not_said(void **state)
{
    (void)state;
    struct bench b;
    const int32_t all[SENDERS] = {1900, 1901, 1900, 1900, 1900, 1900, 1900, 1990};
    begin(&b);
    window(&b, all);
    window(&b, all);
    assert_int_equal(b.skew.off_ms, 0);
}

static void few_move_nothing(void **state)
{
    (void)state;
    struct bench b;
    const int32_t half[SENDERS] = {9000, 9000, 9000, 9000, -1, -1, -1, -1};
    const int32_t apart[SENDERS] = {3000, 5000, 7000, 9000, 11000, 13000, 15000, 17000};
    const int32_t two[SENDERS] = {9000,      9000,      INT32_MIN, INT32_MIN,
                                  INT32_MIN, INT32_MIN, INT32_MIN, INT32_MIN};
    begin(&b);
    for (unsigned i = 0; i < 3; i++) {
        window(&b, half);
        assert_int_equal(b.skew.off_ms, 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        window(&b, apart);
        assert_int_equal(b.skew.off_ms, 0);
    }
    for (unsigned i = 0; i < 3; i++) {
        window(&b, two);
        assert_int_equal(b.skew.off_ms, 0);
    }
}

/* What waited while a process stood still is of different ages, and is followed by what is new. */
static void a_backlog_is_no_clock(void **state)
{
    (void)state;
    struct bench b;
    const int32_t late[SENDERS] = {-9000, -9100, -9200, -9000, -9000, -9050, -9000, -9000};
    const int32_t usual[SENDERS] = {-1, -3, -40, -2, -300, -5, -1, -2};
    begin(&b);
    window(&b, late);
    window(&b, usual);
    window(&b, late);
    assert_int_equal(b.skew.off_ms, 0);
}

static void a_clock_that_is_set_begins_anew(void **state)
{
    (void)state;
    struct bench b;
    const int32_t all[SENDERS] = {-4000, -4000, -4000, -4000, -4000, -4000, -4000, -4000};
    begin(&b);
    window(&b, all);
    for (int i = -1; i <= 1; i += 2) {
        b.now_ms += i * INT64_C(3600000);
        assert_false(skew_is_over(&b.skew, b.now_ms));
        assert_int_equal(b.skew.before_ms, 0);
    }
    window(&b, all);
    assert_int_equal(b.skew.off_ms, 0);
    struct skew_sight sight = {0};
    skew_note(&b.skew, &sight, INT64_MAX);
    assert_int_equal(sight.ahead_ms, INT32_MAX);
    sight.window = 0;
    skew_note(&b.skew, &sight, INT64_MIN);
    assert_int_equal(sight.ahead_ms, -INT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_is_right),
        cmocka_unit_test(both_directions_with_the_amount),
        cmocka_unit_test(what_is_tolerated_is_not_said),
        cmocka_unit_test(few_move_nothing),
        cmocka_unit_test(a_backlog_is_no_clock),
        cmocka_unit_test(a_clock_that_is_set_begins_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
