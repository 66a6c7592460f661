/* When a host starts a lead process: in virtual time. */
#include "core/rescue.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define TICK_US INT64_C(250000)
#define S       INT64_C(1000000)

static struct rescue r;
static int64_t now_us;

static void begin(uint64_t seed)
{
    now_us = 100 * S;
    rescue_init(&r, seed);
}

/* How often one was started in so long. */
static unsigned starts(int64_t us, bool bus_up)
{
    unsigned n = 0;
    for (int64_t end = now_us + us; now_us < end;) {
        now_us += TICK_US;
        n += rescue_tick(&r, now_us, bus_up) ? 1u : 0u;
    }
    return n;
}

static void nothing_is_started_before_a_lead_was_there(void **state)
{
    (void)state;
    begin(1);
    assert_int_equal(starts(3600 * S, true), 0);
}

static void announcements_keep_it_quiet(void **state)
{
    (void)state;
    begin(2);
    for (int i = 0; i < 360; i++) {
        rescue_heard(&r);
        assert_int_equal(starts(10 * S, true), 0);
    }
    rescue_heard(&r);
    assert_int_equal(starts(RESCUE_SILENT_US - S, true), 0); /* three were lost */
    rescue_heard(&r);
    assert_int_equal(starts(RESCUE_SILENT_US - S, true), 0);
}

static void silence_starts_one_and_more_with_growing_pauses(void **state)
{
    (void)state;
    begin(3);
    rescue_heard(&r);
    assert_int_equal(starts(RESCUE_SILENT_US + RESCUE_SPREAD_US + S, true), 1);
    int64_t last = 0, at = now_us;
    for (int i = 0; i < 8; i++) {
        while (!rescue_tick(&r, now_us += TICK_US, true)) {
            assert_true(now_us - at < RESCUE_PAUSE_MOST_US + RESCUE_SPREAD_US + S);
        }
        assert_true(now_us - at > last / 2);
        last = now_us - at;
        at = now_us;
    }
    assert_true(last >= RESCUE_PAUSE_MOST_US);
    rescue_heard(&r); /* it is there: all begins anew */
    assert_int_equal(starts(RESCUE_SILENT_US - S, true), 0);
    assert_int_equal(starts(RESCUE_SPREAD_US + 2 * S, true), 1);
}

static void a_bus_that_is_away_is_no_silence(void **state)
{
    (void)state;
    begin(4);
    rescue_heard(&r);
    assert_int_equal(starts(600 * S, false), 0);
    assert_int_equal(starts(RESCUE_SILENT_US - S, true), 0); /* they come back one by one */
}

static void a_pause_of_this_process_is_no_silence(void **state)
{
    (void)state;
    begin(5);
    rescue_heard(&r);
    (void)starts(S, true);
    for (int i = 0; i < 10; i++) {
        now_us += 600 * S;
        assert_false(rescue_tick(&r, now_us, true));
    }
}

static void hosts_do_not_act_together(void **state)
{
    (void)state;
    int64_t first = INT64_MAX;
    unsigned within = 0, hosts = 100;
    int64_t times[100];
    for (unsigned i = 0; i < hosts; i++) {
        begin(1000 + i);
        rescue_heard(&r);
        int64_t from = now_us;
        while (!rescue_tick(&r, now_us += TICK_US, true)) {
        }
        times[i] = now_us - from;
        first = times[i] < first ? times[i] : first;
    }
    for (unsigned i = 0; i < hosts; i++) {
        within += times[i] <= first + S ? 1u : 0u;
    }
    assert_in_range(within, 1, 25); /* before they can hear of the first one */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_started_before_a_lead_was_there),
        cmocka_unit_test(announcements_keep_it_quiet),
        cmocka_unit_test(silence_starts_one_and_more_with_growing_pauses),
        cmocka_unit_test(a_bus_that_is_away_is_no_silence),
        cmocka_unit_test(a_pause_of_this_process_is_no_silence),
        cmocka_unit_test(hosts_do_not_act_together)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
