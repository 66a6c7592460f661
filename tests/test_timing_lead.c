/* A lead whose agents shift their times together (core/timing.h, cluster_timing.c): what it learns,
 * whom it probes, what it reports, and how it ends. */
#include "core/incident.h"
#include "tests/support/lead.h"
#include "tiers/cluster/cluster_parts.h"

#define LIARS 6u
#define LIE   400000ll

static uint8_t operations;

static struct cluster *lead(void)
{
    return rig.node;
}

/* One operation, answered by all: work of 50 ms between 10 ms there and 10 ms back. The first
 * `liars` claim to have been done LIE later, and to have a long queue. */
static void round_of(unsigned liars)
{
    struct operation op = operation_of(++operations);
    rig.now_us += S;
    operate(&op);
    int64_t sent_us = rig.now_us;
    rig.now_us += 70000;
    for (unsigned n = 1; n <= AGENTS; n++) {
        struct ack a = ack_of(&op, OUTCOME_READY, NULL);
        a.echo_sent_us = sent_us;
        a.received_mesh_us = sent_us + 10000 + MESH;
        a.arrival_mesh_us = sent_us + 60000 + MESH + (n <= liars ? LIE : 0);
        a.clock_error_us = n <= liars ? 1000000 : 100;
        a.queue_depth = n <= liars ? 90000 : 0;
        ack(n, &a);
    }
    (void)wait_for(MSG_TYPE_COUNT, rig.now_us + S, 0);
}

static int setup_settled(void **state)
{
    operations = 0;
    setup_joined(state);
    for (unsigned n = 0; n < 20; n++) {
        round_of(0);
    }
    return 0;
}

static void nothing_is_learnt_from_those_that_are_locked(void **state)
{
    (void)state;
    int64_t before_us[AGENTS];
    for (unsigned i = 0; i < AGENTS; i++) {
        before_us[i] = lead()->members[i].predictor.last_us;
    }
    int64_t shown_us = members_predict(lead(), 0, 1).lead_us;
    for (unsigned n = 0; n < 5; n++) {
        round_of(LIARS);
    }
    assert_int_equal(lead()->timing.locked, bit_of(LIARS) - 1u);
    for (unsigned i = 0; i < AGENTS; i++) {
        assert_int_equal(lead()->members[i].predictor.last_us == before_us[i], i < LIARS);
    }
    /* The first two claims of a queue were believed, the later ones are not; none is any more. */
    round_of(0);
    int64_t now_us = members_predict(lead(), 0, 1).lead_us;
    assert_in_range(now_us, shown_us / 2, shown_us * 2);
}

/* How often the agents were probed until then. */
static uint32_t probes(int64_t until_us)
{
    uint32_t n = 0;
    while (wait_for(MSG_THAW, until_us, 0) != NULL) {
        const struct msg *m = rig_sent(&rig, MSG_THAW);
        assert_int_equal(m->to.agent, 1);
        assert_int_equal(m->mask, bit_of(LIARS) - 1u);
        n++;
        rig.now_us += 20000;
        for (unsigned k = 1; k <= AGENTS; k++) {
            heartbeat(k);
        }
    }
    return n;
}

static void they_are_probed_and_believed_again(void **state)
{
    (void)state;
    assert_int_equal(probes(rig.now_us + 20 * S), 0);
    round_of(LIARS);
    round_of(LIARS);
    assert_int_equal(lead()->timing.locked, bit_of(LIARS) - 1u);
    assert_in_range(probes(rig.now_us + 20 * S), 3, 5); /* the first was answered too late */
    assert_true(lead()->timing.of[0].calibrated);
    assert_in_range((int64_t)lead()->timing.of[0].back_us, 9000, 11000);
    for (unsigned n = 0; n < TIMING_CLEAN; n++) {
        assert_int_equal(lead()->timing.locked, bit_of(LIARS) - 1u);
        round_of(0);
    }
    assert_int_equal(lead()->timing.locked, 0);
    assert_int_equal(probes(rig.now_us + 20 * S), 0);
}

/* Reports of the incident in what the lead keeps for the log. */
static uint32_t reports(enum incident_event e)
{
    uint32_t n = 0;
    for (int64_t end_us = rig.now_us + 10 * S; wait_for(MSG_CONFLICT, end_us, 0) != NULL;) {
        const struct conflict_report *r = rig_sent(&rig, MSG_CONFLICT)->u.conflict;
        n += r->incident == FAILURE_TIMING_ATTACK && r->event == e;
        struct msg m = from_sector(MSG_CONFLICT_ACK);
        m.u.conflict_ack = (struct conflict_ack){.id = r->id, .agent = r->agent, .lamport = 1};
        rig_msg(&rig, &m);
    }
    return n;
}

static void it_is_an_incident_that_an_operator_ends(void **state)
{
    (void)state;
    round_of(LIARS);
    round_of(LIARS);
    assert_true(incident_concerns(lead(), FAILURE_TIMING_ATTACK, LIARS - 1u));
    assert_false(incident_concerns(lead(), FAILURE_TIMING_ATTACK, LIARS));
    struct msg m = from_sector(MSG_ISOLATE);
    m.u.isolate = (struct isolate){.agent = unit_agent(1, 2, 1), .what = ISOLATE_BELIEVE};
    rig_msg(&rig, &m);
    assert_int_equal(lead()->timing.locked, 0);
    assert_false(incident_concerns(lead(), FAILURE_TIMING_ATTACK, 0));
    assert_int_equal(reports(INCIDENT_RESOLVED), 1);
}

/* A newcomer in the place is not held to what its predecessor did. */
static void another_agent_is_not_locked(void **state)
{
    (void)state;
    round_of(LIARS);
    round_of(LIARS);
    struct msg m = from_agent(MSG_HELLO, 2);
    m.epoch = 10;
    m.u.hello = (struct hello){
        .uid = 7002, .incarnation = 10, .agent_class = CLASS_A_EDGE, .capabilities = 3};
    rig_msg(&rig, &m);
    assert_int_equal(lead()->timing.locked, (bit_of(LIARS) - 1u) & ~bit_of(1));
}

/* Nobody who stands still, or may be told to, is told the end of it. */
static void no_probe_while_the_mesh_stands_still(void **state)
{
    (void)state;
    round_of(LIARS);
    round_of(LIARS);
    struct msg m = from_sector(MSG_FREEZE);
    m.u.freeze = (struct freeze){.scope = unit_orchestrator(), .at_mesh_us = rig.now_us + MESH};
    rig_msg(&rig, &m);
    assert_null(wait_for(MSG_THAW, rig.now_us + 30 * S, 0));
    assert_int_equal(lead()->timing.locked, bit_of(LIARS) - 1u);
}

int main(void)
{
#define SETTLED(test) cmocka_unit_test_setup_teardown(test, setup_settled, teardown)
    const struct CMUnitTest tests[] = {SETTLED(nothing_is_learnt_from_those_that_are_locked),
                                       SETTLED(they_are_probed_and_believed_again),
                                       SETTLED(it_is_an_incident_that_an_operator_ends),
                                       SETTLED(another_agent_is_not_locked),
                                       SETTLED(no_probe_while_the_mesh_stands_still)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
