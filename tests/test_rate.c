/* Buckets of senders: the rate, the burst, recovery, and that nobody pays for another. */
#include "tiers/runner/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_MS INT64_C(1795000000000)

static struct rates rates;

static struct rate_sender *sender(const char *token, uint32_t port)
{
    struct endpoint e;
    assert_true(endpoint_make(token, strlen(token), port, &e));
    return rate_of(&rates, &e);
}

static uint32_t taken(struct rate_sender *s, uint32_t tries, int64_t now_ms)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < tries; i++)
        n += rate_take(&rates, s, now_ms) ? 1 : 0;
    return n;
}

static void frames_have_a_rate(void **state)
{
    (void)state;
    rates_init(&rates, 1000, 0);
    struct rate_sender *a = sender("a", 0), *b = sender("b", 0);
    assert_ptr_equal(sender("a", 77), a); /* ports of one process share */
    assert_ptr_not_equal(a, b);
    assert_int_equal(taken(a, 5000, NOW_MS), 1001);
    assert_int_equal(taken(b, 10, NOW_MS), 10);
    assert_int_equal(taken(a, 5000, NOW_MS + 100), 100);
    assert_int_equal(taken(a, 5000, NOW_MS + 5000), 1001);
}

static void bad_frames_silence_their_sender(void **state)
{
    (void)state;
    rates_init(&rates, 0, 10);
    struct rate_sender *a = sender("a", 0), *b = sender("b", 0);
    for (int i = 0; i < 21; i++) {
        assert_true(rate_take(&rates, a, NOW_MS));
        rate_blame(&rates, a, NOW_MS);
    }
    assert_false(rate_take(&rates, a, NOW_MS));
    assert_true(rate_take(&rates, b, NOW_MS));
    assert_false(rate_take(&rates, a, NOW_MS + 50));
    assert_true(rate_take(&rates, a, NOW_MS + 200)); /* heard again, one frame at a time */
    for (int i = 0; i < 100000; i++) /* a long flood is not held against it for long */
        rate_blame(&rates, a, NOW_MS + 200);
    assert_false(rate_take(&rates, a, NOW_MS + 200));
    assert_true(rate_take(&rates, a, NOW_MS + 400));
    rates_init(&rates, 0, 0);
    for (int i = 0; i < 100000; i++)
        rate_blame(&rates, sender("a", 0), NOW_MS);
    assert_true(rate_take(&rates, sender("a", 0), NOW_MS));
}

/* The receiver's own clock was an hour ahead for a while. */
static void a_clock_that_is_set_back_silences_nobody(void **state)
{
    (void)state;
    rates_init(&rates, 1000, 10);
    struct rate_sender *a = sender("a", 0);
    const int64_t ahead_ms = NOW_MS + 3600000;
    for (int i = 0; i < 1000; i++)
        rate_blame(&rates, a, ahead_ms);
    (void)taken(a, 5000, ahead_ms);
    assert_false(rate_take(&rates, a, ahead_ms));
    assert_int_equal(taken(a, 5000, NOW_MS), 1001);
    rate_blame(&rates, a, NOW_MS);
    assert_int_equal(taken(a, 10, NOW_MS + 1000), 10);
}

static void strangers_share_when_it_is_full(void **state)
{
    char token[17];
    (void)state;
    rates_init(&rates, 10, 10);
    struct rate_sender *first = sender("first", 0);
    for (unsigned i = 0; i < 2 * RATE_SENDERS_MAX; i++) {
        (void)snprintf(token, sizeof(token), "s-%u", i);
        (void)taken(sender(token, 0), 1, NOW_MS);
    }
    assert_ptr_equal(sender("first", 0), first);
    assert_ptr_equal(sender("one-more", 0), &rates.shared);
    assert_int_equal(taken(first, 100, NOW_MS), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_have_a_rate),
        cmocka_unit_test(bad_frames_silence_their_sender),
        cmocka_unit_test(a_clock_that_is_set_back_silences_nobody),
        cmocka_unit_test(strangers_share_when_it_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
