/* Security events: what is told, when, and that a record is taken in its one form only. */
#include "tiers/runner/alarm.h"
#include "tiers/runner/egress.h"
#include "tiers/runner/frame.h"
#include "tiers/runner/ingress.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct alarms alarms;
static uint8_t record[ALARM_BYTES_MAX];
static struct alarm_row rows[ALARM_ROWS_MAX];

static int setup(void **state)
{
    (void)state;
    memset(&alarms, 0, sizeof(alarms));
    return 0;
}

static int told(int64_t now_ms)
{
    size_t n = alarm_tell(&alarms, now_ms, record);
    return n == 0 ? 0 : alarm_decode(record, n, rows);
}

static void test_told_at_once_then_each_minute(void **state)
{
    (void)state;
    alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_SIGNATURE, 1000);
    assert_int_equal(told(1000), 1);
    assert_string_equal(rows[0].token, "host-1");
    assert_int_equal(rows[0].count, 1);
    assert_int_equal(rows[0].first_ms, 1000);
    alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_SIGNATURE, 1001);
    assert_int_equal(told(1001), 0);
    alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_SIGNATURE, 1002); /* three times as much */
    assert_int_equal(told(1002), 1);
    assert_int_equal(rows[0].count, 3);
    for (int64_t at = 1003; at < 1008; at++)
        alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_SIGNATURE, at);
    assert_int_equal(told(31000), 0); /* 8 are less than 9 */
    assert_int_equal(told(61002), 1);
    assert_int_equal(rows[0].count, 8);
    assert_int_equal(rows[0].last_ms, 1007);
    assert_int_equal(told(200000), 0); /* nothing new */
    alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_SIGNATURE, 200000);
    assert_int_equal(told(200000), 1);
    assert_int_equal(rows[0].count, 1); /* another story */
    for (unsigned i = 1; i <= 3; i++) { /* the third is enough for a threat */
        alarm_count(&alarms, "host-2", ALARM_FRAME, FRAME_SIGNATURE, 200000 + i);
        assert_int_equal(i > 1 ? told(200000 + i) : 0, i > 1 ? 1 : 0);
    }
}

/* Told and let in again: what else was counted until then is not news a minute later. */
static void test_what_is_settled_is_not_told_again(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 10; i++)
        alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_SOURCE, 1000);
    alarm_count(&alarms, "host-2", ALARM_FRAME, FRAME_SOURCE, 1000);
    assert_int_equal(told(1000), 2);
    alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_SOURCE, 1500);
    alarm_count(&alarms, "host-2", ALARM_FRAME, FRAME_SOURCE, 1500);
    alarm_forget(&alarms, "host-1");
    assert_int_equal(told(61500), 1);
    assert_string_equal(rows[0].token, "host-2");
    alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_SOURCE, 62000);
    assert_int_equal(told(62000), 1); /* but a new deed is */
    assert_int_equal(rows[0].count, 1);
    assert_int_equal(rows[0].first_ms, 62000);
}

static void test_doubt(void **state)
{
    (void)state;
    for (unsigned i = 1; i < ALARM_DOUBT; i++)
        alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_REPLAY, 1000 + i);
    assert_int_equal(told(2000), 0);
    alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_REPLAY, 2000);
    assert_int_equal(told(2000), 1);
    assert_int_equal(rows[0].count, ALARM_DOUBT);
    for (unsigned i = 0; i < 2 * ALARM_DOUBT; i++) /* one now and then is no attack */
        alarm_count(&alarms, "host-2", ALARM_RECORD, INGRESS_EPOCH, 100000 * (int64_t)i);
    assert_int_equal(told(10000000), 0);
}

static void test_senders_and_reasons_apart(void **state)
{
    (void)state;
    char name[40];
    alarm_count(&alarms, "host-1", ALARM_CHAIN, CERT_REVOKED, 1);
    alarm_count(&alarms, "host-1", ALARM_RECORD, INGRESS_SCOPE, 1);
    alarm_count(&alarms, "host-2", ALARM_FRAME, FRAME_SOURCE, 1);
    assert_int_equal(told(1), 3);
    assert_string_equal(alarm_name(rows[0].kind, rows[0].code, name), "chain-revoked");
    assert_string_equal(alarm_name(rows[1].kind, rows[1].code, name), "record-scope");
    assert_string_equal(alarm_name(rows[2].kind, rows[2].code, name), "wrong-source");
}

static void test_bounds(void **state)
{
    (void)state;
    char token[TOKEN_MAX + 1];
    unsigned total = 0;
    for (unsigned i = 0; i < 1000; i++) {
        (void)snprintf(token, sizeof(token), "host-%u", i);
        alarm_count(&alarms, token, ALARM_FRAME, FRAME_SIGNATURE, 1);
    }
    assert_int_equal(alarms.count, ALARMS_MAX);
    assert_int_equal(alarms.forgotten, 1000 - (ALARMS_MAX - 1));
    for (int n = told(1); n > 0; n = told(1)) {
        for (int i = 0; i < n; i++)
            total += (unsigned)rows[i].count;
    }
    assert_int_equal(total, 1000); /* nobody is lost, some without a name */
}

static void test_records_in_one_form(void **state)
{
    (void)state;
    alarm_count(&alarms, "host-1", ALARM_FRAME, FRAME_SIGNATURE, 5);
    size_t n = alarm_tell(&alarms, 5, record);
    assert_int_equal(alarm_decode(record, n, rows), 1);
    assert_int_equal(alarm_decode(record, n - 1, rows), -1);
    assert_int_equal(alarm_decode(record, 7, rows), -1);
    static const struct {
        size_t at;
        uint8_t value;
    } wrong[] = {{1, 0},    {1, 2},  {1, 255}, {8, 'A'},   {8, 0},
                 {23, 'x'}, {24, 0}, {24, 9},  {25, 0},    {25, 99},
                 {26, 1},   {31, 1}, {32, 0},  {47, 0x7f}, {0, RECORD_ASK}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        uint8_t copy[ALARM_BYTES_MAX];
        memcpy(copy, record, sizeof(copy));
        copy[wrong[i].at] = wrong[i].value;
        assert_int_equal(alarm_decode(copy, n, rows), -1);
    }
}

int main(void)
{
#define CASE(name) cmocka_unit_test_setup(name, setup)
    const struct CMUnitTest tests[] = {CASE(test_told_at_once_then_each_minute),
                                       CASE(test_what_is_settled_is_not_told_again),
                                       CASE(test_doubt),
                                       CASE(test_senders_and_reasons_apart),
                                       CASE(test_bounds),
                                       CASE(test_records_in_one_form)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
