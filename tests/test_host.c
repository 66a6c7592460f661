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
    assert_in_range(reports, 11, 13);
    rig_link(&rig, LINK_BUS, false);
    until_us = rig.now_us + 20 * S;
    while (rig.wake_us <= until_us) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        assert_null(rig_sent(&rig, MSG_HOST_REPORT));
    }
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
