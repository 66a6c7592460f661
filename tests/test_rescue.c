/* When a host starts a lead process: in virtual time. */
#include "core/lease.h"
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

/* Two hosts act at once: both processes run under one name, one lease decides, and the one that
 * does not get it ends; but not one that had to wait for a moment only, or that serves others. */
static void of_two_that_were_started_one_ends(void **state)
{
    (void)state;
    struct lease lease[2];
    struct rescue both[2];
    bool ended[2] = {false, false};
    int64_t at_us[2] = {0, 0};
    struct store_op op;
    for (unsigned i = 0; i < 2; i++) {
        rescue_init(&both[i], i + 1);
        lease_init(&lease[i], "cluster-1", i == 0 ? "cluster-1:a" : "cluster-1:b", 1, S);
    }
    int64_t held_until_us = 0; /* the store's lease: by whom is `owner` */
    unsigned owner = 2;
    for (int64_t t = S; t < 60 * S; t += S / 4) {
        for (unsigned i = 0; i < 2; i++) {
            if (ended[i] || !lease_tick(&lease[i], t, true, &op)) {
                continue;
            }
            bool mine = owner == i || t >= held_until_us;
            owner = mine ? i : owner;
            held_until_us = mine ? t + LEASE_TTL_US : held_until_us;
            struct store_reply reply = {.ref = op.ref,
                                        .kind = op.kind,
                                        .verdict = mine ? STORE_OK : STORE_BUSY,
                                        .epoch = 7};
            lease_reply(&lease[i], t, &reply);
        }
        for (unsigned i = 0; i < 2; i++) {
            if (!ended[i] && rescue_surplus(&both[i], t, lease[i].state == LEASE_WAITING)) {
                ended[i] = true;
                at_us[i] = t;
            }
        }
    }
    assert_true(ended[0] != ended[1]);
    assert_true(ended[1 - owner] && !ended[owner]);
    assert_in_range(at_us[1 - owner], RESCUE_SURPLUS_US, RESCUE_SURPLUS_US + 6 * S);
    begin(9);
    assert_false(rescue_surplus(&r, 10 * S, true));
    assert_false(rescue_surplus(&r, 25 * S, false)); /* it has got it */
    assert_false(rescue_surplus(&r, 31 * S, true));
    assert_false(rescue_surplus(&r, 50 * S, true));
    assert_true(rescue_surplus(&r, 51 * S, true));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_started_before_a_lead_was_there),
        cmocka_unit_test(announcements_keep_it_quiet),
        cmocka_unit_test(silence_starts_one_and_more_with_growing_pauses),
        cmocka_unit_test(a_bus_that_is_away_is_no_silence),
        cmocka_unit_test(a_pause_of_this_process_is_no_silence),
        cmocka_unit_test(hosts_do_not_act_together),
        cmocka_unit_test(of_two_that_were_started_one_ends)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
