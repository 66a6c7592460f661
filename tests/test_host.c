/* The host's stories (tiers/host): paced starts, restarts with backoff, reports. */
#include "tests/support/steps.h"
#include "tiers/host/host.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S      1000000ll
#define AGENTS 1000u

static struct topology topo;
static struct rig rig;
static uint32_t starts[AGENTS]; /* by index */

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &topo);
    struct node_conf conf = {.self = unit_numbered(TIER_HOST, 3),
                             .uid = 3,
                             .epoch = 2,
                             .seed = 1,
                             .topology = &topo,
                             .agent_first = 600,
                             .agent_count = AGENTS};
    memset(starts, 0, sizeof starts);
    rig_init(&rig, &host_ops, &conf, 50 * S);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_done(&rig);
    return 0;
}

/* Counts the starts of the last step. */
static uint32_t collect(void)
{
    uint32_t n = 0;
    const struct effect *e;
    while ((e = rig_effect(&rig, FX_WORK, 0, n)) != NULL) {
        assert_int_equal(e->u.work.kind, WORK_AGENT_START);
        uint32_t index = topology_index(&topo, e->u.work.unit);
        assert_in_range(index, 600, 600 + AGENTS - 1);
        starts[index - 600]++;
        n++;
    }
    return n;
}

static uint32_t run(int64_t for_us)
{
    uint32_t n = 0;
    int64_t until_us = rig.now_us + for_us;
    while (rig.wake_us <= until_us) {
        assert_true(rig.wake_us > rig.now_us);
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        n += collect();
    }
    rig.now_us = until_us;
    return n;
}

static void test_starts_all_at_the_stated_pace(void **state)
{
    (void)state;
    rig_start(&rig);
    uint32_t n = collect();
    n += run(100000);
    assert_in_range(n, 300, 520); /* 4,000 a second */
    n += run(S);
    assert_int_equal(n, AGENTS);
    for (uint32_t i = 0; i < AGENTS; i++) {
        assert_int_equal(starts[i], 1);
    }
}

static void ended(uint32_t index)
{
    struct work_reply reply = {.ref = index + 1u, .final = true, .verdict = OUTCOME_FAILED};
    rig_work(&rig, &reply);
    collect();
}

static void test_restarts_with_backoff(void **state)
{
    (void)state;
    rig_start(&rig);
    collect();
    run(2 * S);
    int64_t waits_us[8];
    for (int k = 0; k < 8; k++) {
        uint32_t before = starts[7];
        int64_t from_us = rig.now_us;
        ended(7);
        assert_int_equal(starts[7], before); /* not at once */
        ended(7);                            /* said twice: counts once */
        while (starts[7] == before) {
            rig.now_us = rig.wake_us;
            rig_wake(&rig);
            collect();
        }
        assert_int_equal(starts[7], before + 1);
        waits_us[k] = rig.now_us - from_us;
    }
    assert_in_range(waits_us[0], S / 2, 2 * S);
    assert_true(waits_us[3] > waits_us[0]);
    assert_in_range(waits_us[7], 40 * S, 80 * S); /* a minute at most, and its jitter */
    run(700 * S);
    int64_t from_us = rig.now_us;
    uint32_t before = starts[7];
    ended(7);
    while (starts[7] == before) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        collect();
    }
    assert_in_range(rig.now_us - from_us, S / 2, 2 * S); /* long quiet: from the beginning */
    assert_int_equal(starts[8], 1);
}

static void test_a_given_up_agent_is_stopped_and_started_anew(void **state)
{
    (void)state;
    rig_start(&rig);
    collect();
    run(2 * S);
    struct msg m = {.type = MSG_HEAL, .from = unit_sector(3), .to = unit_numbered(TIER_HOST, 3)};
    m.u.heal.target = topology_agent(&topo, 607);
    rig_msg(&rig, &m);
    const struct effect *e = rig_effect(&rig, FX_WORK, 0, 0);
    assert_non_null(e);
    assert_int_equal(e->u.work.kind, WORK_AGENT_STOP);
    assert_true(unit_equal(e->u.work.unit, topology_agent(&topo, 607)));
    struct work_reply gone = {.ref = 8, .final = true, .verdict = OUTCOME_READY};
    rig_work(&rig, &gone); /* its run has ended */
    run(3 * S);
    assert_int_equal(starts[7], 2);
    m.u.heal.target = topology_agent(&topo, 3); /* another machine's */
    rig_msg(&rig, &m);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
}

static void test_mass_death_is_paced(void **state)
{
    (void)state;
    rig_start(&rig);
    collect();
    run(2 * S);
    for (uint32_t i = 0; i < AGENTS; i++) {
        ended(i);
    }
    uint32_t most = 0;
    int64_t until_us = rig.now_us + 3 * S;
    while (rig.wake_us <= until_us) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        uint32_t n = collect();
        most = n > most ? n : most;
    }
    assert_true(most <= 40);
    for (uint32_t i = 0; i < AGENTS; i++) {
        assert_int_equal(starts[i], 2);
    }
}

static void test_reports_every_minute(void **state)
{
    (void)state;
    rig_start(&rig);
    collect();
    uint32_t reports = 0;
    const struct host_report *last = NULL;
    int64_t until_us = rig.now_us + 720 * S;
    while (rig.wake_us <= until_us) {
        rig.now_us = rig.wake_us + 700; /* the loop is a little late */
        rig_wake(&rig);
        collect();
        const struct msg *m = rig_sent(&rig, MSG_HOST_REPORT);
        if (m != NULL) {
            assert_true(unit_equal(m->to, unit_sector(3))); /* of agent 600 */
            last = &m->u.host_report;
            reports++;
            if (reports > 1) {
                assert_int_equal(last->agents_running, AGENTS);
                assert_int_equal(last->agents_hosted, AGENTS);
                assert_int_equal(last->loop_lag_us, 700);
                assert_int_equal(last->restarts, 0);
            }
        }
    }
    assert_in_range(reports, 12, 14); /* one each minute, and the first one twice */
    rig_link(&rig, LINK_BUS, false);
    until_us = rig.now_us + 20 * S;
    while (rig.wake_us <= until_us) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        assert_null(rig_sent(&rig, MSG_HOST_REPORT));
    }
}

static int64_t report_in(struct unit sector);

/* Whose report fell into an outage of the bus is known soon after it, even if one report is lost. */
static void test_a_bus_that_is_back_is_told_twice(void **state)
{
    (void)state;
    rig_start(&rig);
    collect();
    rig_link(&rig, LINK_BUS, false);
    run(9 * S); /* the first one was due */
    rig_link(&rig, LINK_BUS, true);
    assert_in_range(report_in(unit_sector(3)), 0, 5 * S);
    assert_in_range(report_in(unit_sector(3)), 5 * S, 10 * S);
    assert_in_range(report_in(unit_sector(3)), 55 * S, 65 * S);
}

/* The time until the next report to that sector; NEVER: none in a minute and a half. */
static int64_t report_in(struct unit sector)
{
    int64_t from_us = rig.now_us;
    while (rig.wake_us <= from_us + 90 * S) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        const struct effect *e;
        for (uint32_t n = 0; (e = rig_effect(&rig, FX_SEND, 0, n)) != NULL; n++) {
            if (unit_equal(e->u.msg.to, sector)) {
                return rig.now_us - from_us;
            }
        }
        collect();
    }
    return NEVER;
}

static void owner(uint16_t first, uint16_t last)
{
    struct event event = {.kind = EV_OWNER, .u.owner = {first, last}};
    rig_event(&rig, &event);
}

/* A new owner of any of its sectors hears from it soon, at a moment of its own; owners that change
 * all the time do not make it talk all the time. */
static void test_a_new_owner_is_told_soon(void **state)
{
    (void)state;
    rig_start(&rig);
    collect();
    run(2 * S);
    (void)report_in(unit_sector(3));
    run(10 * S);
    owner(4, 9);
    assert_in_range(report_in(unit_sector(4)), 0, 5 * S);
    run(10 * S);
    owner(8, 100); /* nobody of here is there */
    assert_true(report_in(unit_sector(3)) > 30 * S);
    uint32_t reports = 0;
    int64_t until_us = rig.now_us + 60 * S;
    while (rig.now_us < until_us) {
        owner(3, 3);
        reports += report_in(unit_sector(3)) != NEVER ? 1 : 0;
    }
    assert_in_range(reports, 6, 13);
}

/* Agents of one host may be in many sectors: each hears of the crashes of its own. */
static void test_reports_to_every_sector(void **state)
{
    (void)state;
    rig_start(&rig);
    collect();
    run(8 * S);
    ended(7); /* s03 */
    uint32_t told = 0;
    int64_t until_us = rig.now_us + 70 * S;
    while (rig.now_us < until_us && told != 0xf) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        collect();
        const struct effect *e;
        for (uint32_t n = 0; (e = rig_effect(&rig, FX_SEND, 0, n)) != NULL; n++) {
            assert_int_equal(e->u.msg.type, MSG_HOST_REPORT);
            assert_in_range(e->u.msg.to.sector, 3, 6); /* 600 to 1599 */
            told |= 1u << (e->u.msg.to.sector - 3u);
            assert_int_equal(e->u.msg.u.host_report.restarts, e->u.msg.to.sector == 3);
        }
    }
    assert_int_equal(told, 0xf);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_starts_all_at_the_stated_pace),
        TEST(test_restarts_with_backoff),
        TEST(test_a_given_up_agent_is_stopped_and_started_anew),
        TEST(test_mass_death_is_paced),
        TEST(test_reports_every_minute),
        TEST(test_a_bus_that_is_back_is_told_twice),
        TEST(test_a_new_owner_is_told_soon),
        TEST(test_reports_to_every_sector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
