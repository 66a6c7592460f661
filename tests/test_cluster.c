/* The lead's stories (tiers/cluster): members, operations, queries, relays, the registry. */
#include "core/children.h"
#include "core/histogram.h"
#include "core/num.h"
#include "tests/support/steps.h"
#include "tiers/cluster/cluster.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S      1000000ll
#define MESH   (1700000000ll * S) /* mesh time - the lead's clock */
#define AGENTS 30u

static struct topology topo;
static struct rig rig;
static int64_t beats_us; /* when all agents beat next */

static struct node_conf conf_default(void)
{
    struct node_conf conf = {
        .self = unit_cluster(1, 2), .uid = 12, .epoch = 4, .seed = 3, .topology = &topo};
    conf.tuning = (struct tuning){.agent_beat_us = 5 * S,
                                  .agent_suspect_us = 15 * S,
                                  .agent_failed_us = 30 * S,
                                  .tier_beat_us = S,
                                  .tier_suspect_us = 3 * S,
                                  .tier_failed_us = 4 * S,
                                  .bucket_us = 10000,
                                  .resend_us = 200000,
                                  .resends_max = 3,
                                  .predictor_tau = 0.95};
    return conf;
}

static struct msg from_sector(enum msg_type type)
{
    return (struct msg){.type = type,
                        .from = unit_sector(1),
                        .to = unit_cluster(1, 2),
                        .epoch = 1,
                        .sent_us = rig.now_us};
}

static struct msg from_agent(enum msg_type type, unsigned n)
{
    return (struct msg){.type = type,
                        .from = unit_agent(1, 2, n),
                        .to = unit_cluster(1, 2),
                        .epoch = 9,
                        .sent_us = rig.now_us};
}

static void sector_beat_reply(void)
{
    struct msg m = from_sector(MSG_BEAT_REPLY);
    m.sent_us = rig.now_us - 200;
    m.u.beat_reply = (struct beat_reply){.time = {.t1_us = rig.now_us - 500,
                                                  .t2_us = rig.now_us - 300,
                                                  .mesh_offset_us = MESH,
                                                  .error_us = 10},
                                         .mode = MODE_FULL,
                                         .known = true};
    rig_msg(&rig, &m);
}

static void hello(unsigned n, uint64_t incarnation)
{
    struct msg m = from_agent(MSG_HELLO, n);
    m.epoch = incarnation;
    m.u.hello = (struct hello){.uid = 1000 + n,
                               .incarnation = incarnation,
                               .agent_class = CLASS_A_EDGE,
                               .capabilities = n == 7 ? 1 : 3};
    rig_msg(&rig, &m);
}

static void heartbeat(unsigned n)
{
    struct msg m = from_agent(MSG_HEARTBEAT, n);
    m.u.heartbeat = (struct heartbeat){.uid = 1000 + n, .incarnation = 9};
    m.u.heartbeat.impedance.latency_us = 4000;
    m.u.heartbeat.impedance.state = AGENT_ACTIVE;
    rig_msg(&rig, &m);
}

static int setup(void **state)
{
    (void)state;
    beats_us = 100 * S;
    topology_default(30000, &topo);
    struct node_conf conf = conf_default();
    rig_init(&rig, &cluster_ops, &conf, 100 * S);
    rig_start(&rig);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    rig_done(&rig);
    return 0;
}

static int setup_joined(void **state)
{
    setup(state);
    sector_beat_reply();
    for (unsigned n = 1; n <= AGENTS; n++) {
        hello(n, 9);
        heartbeat(n);
    }
    return 0;
}

/* Lets time pass, with beats of all agents but `silent`; stops early after an effect of `type`. */
static const struct msg *wait_for(enum msg_type type, int64_t until_us, unsigned silent)
{
    while (true) {
        beats_us = beats_us > rig.now_us - 5 * S ? beats_us : rig.now_us;
        bool beat = beats_us <= rig.wake_us;
        int64_t next_us = beat ? beats_us : rig.wake_us;
        if (next_us > until_us) {
            rig.now_us = until_us;
            return NULL;
        }
        rig.now_us = next_us > rig.now_us ? next_us : rig.now_us;
        if (!beat) {
            rig_wake(&rig);
        }
        for (unsigned n = 1; n <= AGENTS && beat; n++) {
            if (n != silent) {
                heartbeat(n);
            }
            if (rig_sent(&rig, type) != NULL) {
                return rig_sent(&rig, type);
            }
        }
        beats_us += beat ? 5 * S : 0;
        if (rig_sent(&rig, type) != NULL) {
            return rig_sent(&rig, type);
        }
    }
}

static struct operation operation_of(uint8_t n)
{
    struct operation op = {.routing = ROUTING_SCATTER_GATHER,
                           .timing = TIMING_SOON,
                           .priority = 1,
                           .trinary_expectation = 1,
                           .require_answer = true,
                           .require_ack = true,
                           .created_mesh_us = rig.now_us + MESH,
                           .window_us = 500000,
                           .ttl_us = 30 * S,
                           .timeout_us = 5 * S,
                           .payload_weight = 1,
                           .action = "echo"};
    memset(op.id.bytes, n, sizeof op.id.bytes);
    return op;
}

static void operate_by(const struct operation *op, uint32_t quota, int64_t deadline_us)
{
    struct target target = {.quota = quota};
    struct msg m = from_sector(MSG_OPERATE);
    m.u.operate = (struct operate){.operation_id = op->id,
                                   .deadline_mesh_us = deadline_us + MESH,
                                   .target_count = 1,
                                   .targets = &target,
                                   .operation = op};
    rig_msg(&rig, &m);
}

static void operate(const struct operation *op)
{
    operate_by(op, UINT32_MAX, rig.now_us + 4 * S);
}

static struct ack ack_of(const struct operation *op, enum outcome outcome, const char *answer)
{
    return (struct ack){.operation_id = op->id,
                        .outcome = outcome,
                        .echo_sent_us = rig.now_us - 4000,
                        .received_mesh_us = rig.now_us + MESH - 3000,
                        .arrival_mesh_us = rig.now_us + MESH - 1000,
                        .clock_error_us = 100,
                        .answer = (const uint8_t *)answer,
                        .answer_bytes = answer != NULL ? (uint32_t)strlen(answer) : 0};
}

static void ack(unsigned n, const struct ack *a)
{
    struct msg m = from_agent(MSG_ACK, n);
    m.u.ack = *a;
    rig_msg(&rig, &m);
}

static void ack_simple(unsigned n, const struct operation *op, enum outcome outcome)
{
    struct ack a = ack_of(op, outcome, NULL);
    ack(n, &a);
}

static void check_sum(const struct aggregate_view *v, uint32_t targets)
{
    uint32_t sum = 0;
    for (int k = 0; k < OUTCOME_COUNT; k++) {
        sum += v->outcomes[k];
    }
    assert_int_equal(v->targets, targets);
    assert_int_equal(sum, targets);
}

/* The final result in the outbox. */
static const struct aggregate_view *result_of(const struct operation *op, uint32_t targets)
{
    const struct msg *m = rig_sent(&rig, MSG_RESULT);
    assert_non_null(m);
    assert_true(m->u.result->final);
    assert_memory_equal(&m->u.result->operation_id, &op->id, sizeof op->id);
    check_sum(&m->u.result->aggregate, targets);
    return &m->u.result->aggregate;
}

static uint32_t bits(uint64_t mask)
{
    uint32_t n = 0;
    for (; mask != 0; mask &= mask - 1) {
        n++;
    }
    return n;
}

/* Agents addressed by all OPERATEs of this step. */
static uint32_t addressed(void)
{
    uint32_t n = 0;
    const struct effect *e;
    for (uint32_t k = 0; (e = rig_effect(&rig, FX_SEND, MSG_OPERATE, k)) != NULL; k++) {
        n += e->u.msg.mask != 0 ? bits(e->u.msg.mask) : 1;
        assert_int_equal(e->u.msg.u.operate.target_count,
                         e->u.msg.mask != 0 ? bits(e->u.msg.mask) : 1);
    }
    return n;
}

/* --- members --- */

static void test_hello_is_welcomed(void **state)
{
    (void)state;
    hello(3, 9);
    const struct msg *m = rig_sent(&rig, MSG_WELCOME);
    assert_non_null(m);
    assert_true(m->u.welcome.accepted);
    assert_int_equal(m->u.welcome.incarnation, 9);
    assert_true(unit_equal(m->to, unit_agent(1, 2, 3)));
    hello(3, 8); /* an earlier life */
    assert_false(rig_sent(&rig, MSG_WELCOME)->u.welcome.accepted);
    assert_int_equal(rig_sent(&rig, MSG_WELCOME)->u.welcome.reason, REASON_STALE_EPOCH);
    assert_non_null(rig_note(&rig, NOTE_STALE_EPOCH));
}

static void test_heartbeat_is_answered_with_time(void **state)
{
    (void)state;
    heartbeat(3); /* never said hello */
    assert_false(rig_sent(&rig, MSG_BEAT_REPLY)->u.beat_reply.known);
    assert_true(rig_sent(&rig, MSG_BEAT_REPLY)->u.beat_reply.time.error_us == INT64_MAX);
    sector_beat_reply();
    hello(3, 9);
    struct msg m = from_agent(MSG_HEARTBEAT, 3);
    m.sent_us = 424242;
    m.u.heartbeat = (struct heartbeat){.uid = 1003, .incarnation = 9};
    m.u.heartbeat.impedance.clock_error_us = UINT32_MAX; /* no clock yet: always answered */
    rig_msg(&rig, &m);
    const struct beat_reply *r = &rig_sent(&rig, MSG_BEAT_REPLY)->u.beat_reply;
    assert_true(r->known);
    assert_int_equal(r->time.t1_us, 424242);
    assert_int_equal(r->time.t2_us, rig.now_us);
    assert_true(r->time.mesh_offset_us - MESH < 1000 && MESH - r->time.mesh_offset_us < 1000);
    assert_int_equal(r->mode, MODE_FULL);
}

static void test_every_third_beat_of_a_clock_is_answered(void **state)
{
    (void)state;
    sector_beat_reply();
    hello(3, 9);
    struct msg m = from_agent(MSG_HEARTBEAT, 3);
    m.u.heartbeat = (struct heartbeat){.uid = 1003, .incarnation = 9};
    m.u.heartbeat.impedance.clock_error_us = 900;
    uint32_t answered = 0;
    for (int beat = 0; beat < 12; beat++) {
        rig.now_us += 5 * S;
        rig_msg(&rig, &m);
        answered += rig_sent(&rig, MSG_BEAT_REPLY) != NULL;
    }
    assert_int_equal(answered, 4);
}

static void test_beats_carry_summaries(void **state)
{
    (void)state;
    const struct msg *m = NULL;
    for (int i = 0; i < 12 && (m == NULL || !m->u.beat->has_summary); i++) {
        m = wait_for(MSG_BEAT, rig.now_us + 2 * S, 0);
        assert_non_null(m);
    }
    const struct summary *s = &m->u.beat->summary;
    assert_int_equal(s->agents, AGENTS);
    assert_int_equal(s->active, AGENTS);
    assert_int_equal(s->class_active[CLASS_A_EDGE], AGENTS);
    assert_int_equal(s->capability_active[0], AGENTS);
    assert_int_equal(s->capability_active[1], AGENTS - 1);
    uint32_t leads = 0;
    for (unsigned b = 0; b < LEAD_BUCKETS; b++) {
        leads += s->lead_counts[CLASS_A_EDGE][b];
    }
    assert_int_equal(leads, AGENTS);
    assert_int_not_equal(s->slowest.agent, 0);
}

static void test_silent_agent_is_declared_and_ends_its_operations(void **state)
{
    (void)state;
    int64_t until_us = rig.now_us + 29 * S;
    wait_for(MSG_TYPE_COUNT, until_us, 5);
    struct operation op = operation_of(1);
    operate_by(&op, UINT32_MAX, rig.now_us + 60 * S);
    for (unsigned n = 1; n <= AGENTS; n++) {
        if (n != 5) {
            ack_simple(n, &op, OUTCOME_READY);
            assert_null(rig_sent(&rig, MSG_RESULT));
        }
    }
    const struct msg *m = wait_for(MSG_RESULT, rig.now_us + 10 * S, 5);
    while (m != NULL && !m->u.result->final) {
        m = wait_for(MSG_RESULT, rig.now_us + 10 * S, 5);
    }
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->outcomes[OUTCOME_UNREACHABLE], 1);
    assert_int_equal(v->reasons[REASON_AGENT_OFFLINE], 1);
    op = operation_of(2); /* known from now on */
    operate(&op);
    assert_int_equal(addressed(), AGENTS - 1);
    m = wait_for(MSG_HEAL, rig.now_us + 5 * S, 5); /* its host is to start it anew */
    assert_non_null(m);
    assert_int_equal(m->to.tier, TIER_SECTOR);
    assert_true(unit_equal(m->u.heal.target, unit_agent(m->from.sector, m->from.cluster, 5)));
}

/* Told by hand, a breaker waits for a hand; heal is one. */
static void test_breaker_by_hand_and_heal(void **state)
{
    (void)state;
    struct msg m = from_sector(MSG_CIRCUIT);
    m.u.circuit = (struct circuit_msg){.action = CIRCUIT_OPEN, .target = m.to};
    rig_msg(&rig, &m);
    const struct msg *up = rig_sent(&rig, MSG_CIRCUIT);
    assert_non_null(up);
    assert_int_equal(up->u.circuit.action, CIRCUIT_OPEN);
    wait_for(MSG_TYPE_COUNT, rig.now_us + 100 * S, 0);
    struct operation op = operation_of(1);
    operate(&op);
    assert_int_equal(result_of(&op, AGENTS)->reasons[REASON_BREAKER], AGENTS);
    m = from_sector(MSG_HEAL);
    m.u.heal.target = unit_orchestrator();
    rig_msg(&rig, &m);
    op = operation_of(2);
    operate(&op);
    assert_int_equal(addressed(), AGENTS);
    rig_msg(&rig, &m); /* again: nothing more to do */
    assert_null(rig_sent(&rig, MSG_HEAL));
}

static void test_bus_outage_kills_nobody(void **state)
{
    (void)state;
    rig_link(&rig, LINK_BUS, false);
    rig.now_us += 100 * S;
    rig_wake(&rig);
    rig_link(&rig, LINK_BUS, true);
    for (int i = 0; i < 20; i++) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        assert_null(rig_note(&rig, NOTE_CHILD_DOWN));
    }
    struct operation op = operation_of(1);
    operate(&op);
    assert_int_equal(addressed(), AGENTS);
}

static void test_all_silent_blames_itself(void **state)
{
    (void)state;
    int64_t blamed_us = 0;
    for (int i = 0; i < 400 && rig.wake_us < 200 * S; i++) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        if (rig_note(&rig, NOTE_SELF_BLAME) != NULL) {
            blamed_us = rig.now_us;
        }
        /* For a while it is this lead that is deaf; then they are dead. */
        if (rig_note(&rig, NOTE_CHILD_DOWN) != NULL) {
            assert_true(blamed_us > 0 && rig.now_us >= blamed_us + CHILDREN_BLAME_US);
            return;
        }
    }
    fail();
}

static void test_goodbye(void **state)
{
    (void)state;
    struct msg m = from_agent(MSG_GOODBYE, 4);
    rig_msg(&rig, &m);
    assert_int_equal(rig_note(&rig, NOTE_AGENT_STATE)->b, AGENT_OFFLINE); /* at once */
    struct operation op = operation_of(1);
    operate(&op);
    assert_int_equal(addressed(), AGENTS - 1);
    for (unsigned n = 5; n <= 15; n++) { /* half of a machine stops: no crash for the breaker */
        m = from_agent(MSG_GOODBYE, n);
        rig_msg(&rig, &m);
        assert_null(rig_sent(&rig, MSG_CIRCUIT));
    }
    assert_null(wait_for(MSG_CIRCUIT, rig.now_us + 2 * S, 0));
    op = operation_of(2);
    operate(&op);
    assert_int_equal(addressed(), AGENTS - 12);
}

/* People take a minute: they do not count in the mean. */
static void test_people_are_not_in_the_mean(void **state)
{
    (void)state;
    sector_beat_reply();
    for (unsigned n = 1; n <= AGENTS; n++) {
        struct msg m = from_agent(MSG_HELLO, n);
        m.u.hello = (struct hello){.uid = 1000 + n,
                                   .incarnation = 9,
                                   .agent_class = n <= 10 ? CLASS_F_HUMAN : CLASS_A_EDGE};
        rig_msg(&rig, &m);
        heartbeat(n);
    }
    const struct msg *m = NULL;
    for (int i = 0; i < 12 && (m == NULL || !m->u.beat->has_summary); i++) {
        m = wait_for(MSG_BEAT, rig.now_us + 2 * S, 0);
        assert_non_null(m);
    }
    const struct summary *s = &m->u.beat->summary;
    assert_int_equal(s->active, AGENTS);
    assert_int_equal(s->class_active[CLASS_F_HUMAN], 10);
    assert_in_range(summary_mean_us(s), 1, S);
    assert_int_equal(summary_mean_us(s), s->impedance_sum_us / 20);
    assert_true(s->impedance_sum_us < 20 * S); /* one of the people alone is more */
    struct summary people = {.active = 3, .class_active = {[CLASS_F_HUMAN] = 3}};
    assert_int_equal(summary_mean_us(&people), 0);
}

static void test_stale_sector_is_refused(void **state)
{
    (void)state;
    struct msg m = from_sector(MSG_FREEZE);
    m.epoch = 8;
    m.u.freeze.scope = unit_sector(99);
    rig_msg(&rig, &m);
    struct operation op = operation_of(1);
    operate(&op); /* epoch 1 */
    assert_int_equal(addressed(), 0);
    assert_non_null(rig_note(&rig, NOTE_STALE_EPOCH));
}

/* --- operations --- */

static void test_operation_counts_add_up(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    assert_int_equal(addressed(), AGENTS);
    assert_int_equal(rig_count(&rig, FX_SEND, MSG_OPERATE), 1); /* one frame's worth */
    rig.now_us += 5000;
    struct conflict_detail d = {.type = CONFLICT_HASH_MISMATCH};
    for (unsigned n = 1; n <= AGENTS; n++) {
        struct ack a = ack_of(&op, OUTCOME_READY, n <= 20 ? "same" : "other");
        if (n == 28) {
            a = ack_of(&op, OUTCOME_CONFLICT, NULL);
            a.conflict = &d;
        } else if (n == 29) {
            a = ack_of(&op, OUTCOME_FAILED, NULL);
            a.reason = REASON_HANDLER;
        } else if (n == 30) {
            a = ack_of(&op, OUTCOME_REFUSED, NULL);
            a.reason = REASON_OVERLOAD;
        }
        ack(n, &a);
    }
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->outcomes[OUTCOME_READY], 27);
    assert_int_equal(v->outcomes[OUTCOME_CONFLICT], 1);
    assert_int_equal(v->outcomes[OUTCOME_FAILED], 1);
    assert_int_equal(v->outcomes[OUTCOME_REFUSED], 1);
    assert_int_equal(v->sent, AGENTS);
    assert_int_equal(v->unexpected, 2); /* conflict and failure */
    assert_int_equal(v->group_count, 5);
    assert_int_equal(v->groups[0].count, 20);
    assert_memory_equal(v->groups[0].answer, "same", 4);
    assert_int_equal(v->groups[0].run_count, 1);
    assert_int_equal(v->clusters_reached, 1);
    assert_int_equal(v->agents_reached, AGENTS);
}

static void test_targets_left_out_have_their_reasons(void **state)
{
    (void)state;
    struct node_conf conf = conf_default();
    rig_done(&rig);
    rig_init(&rig, &cluster_ops, &conf, 100 * S);
    rig_start(&rig);
    sector_beat_reply();
    for (unsigned n = 1; n <= 10; n++) { /* 11 to 30 never come; 7 lacks capability 1 */
        hello(n, 9);
    }
    struct operation op = operation_of(1);
    op.selector.capabilities = 2;
    operate(&op);
    assert_int_equal(addressed(), 9);
    for (unsigned n = 1; n <= 10; n++) {
        if (n != 7) {
            ack_simple(n, &op, OUTCOME_READY);
        }
    }
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->reasons[REASON_CAPABILITY], 1);
    assert_int_equal(v->reasons[REASON_NOT_JOINED], 20);
    assert_int_equal(v->outcomes[OUTCOME_READY], 9);
}

static void test_lead_time_and_skip(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    op.timing = TIMING_BY;
    op.target_mesh_us = rig.now_us + MESH + 1000; /* nobody can make it */
    operate(&op);
    assert_int_equal(addressed(), 0);
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->outcomes[OUTCOME_SKIPPED], AGENTS);
    assert_int_equal(v->reasons[REASON_LEAD_TIME], AGENTS);
    uint32_t needed = 0;
    for (unsigned b = 0; b < LEAD_BUCKETS; b++) {
        needed += v->lead_needed[b];
    }
    assert_int_equal(needed, AGENTS);
    op = operation_of(2);
    op.timing = TIMING_BY;
    op.target_mesh_us = rig.now_us + MESH + 2 * S;
    int64_t target_us = rig.now_us + 2 * S;
    operate(&op);
    assert_int_equal(addressed(), 0); /* early, but not that early */
    const struct msg *m = wait_for(MSG_OPERATE, target_us, 0);
    assert_non_null(m);
    assert_true(rig.now_us > target_us - S && rig.now_us < target_us);
    assert_true(m->u.operate.targets[0].lead_us > 0);
    assert_true(m->u.operate.targets[0].seq > 0);
}

static void test_hold_counts_release(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    op.timing = TIMING_AT;
    op.target_mesh_us = rig.now_us + MESH + S;
    int64_t target_us = rig.now_us + S;
    operate(&op);
    while (addressed() == 0) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
    }
    assert_int_equal(addressed(), AGENTS); /* merged: all the same class */
    rig.now_us = target_us + 3000;
    for (unsigned n = 1; n <= AGENTS; n++) {
        struct ack a = ack_of(&op, OUTCOME_READY, NULL);
        a.echo_sent_us = target_us - 30000;
        a.received_mesh_us = op.target_mesh_us - 25000;
        a.arrival_mesh_us = op.target_mesh_us - 20000;
        a.release_mesh_us = op.target_mesh_us + 50;
        ack(n, &a);
    }
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->window_eligible, AGENTS);
    assert_int_equal(v->window_hits, AGENTS);
    uint32_t released = 0;
    for (unsigned b = ARRIVAL_BUCKETS / 2; b < ARRIVAL_BUCKETS; b++) {
        released += v->release[b];
    }
    assert_int_equal(released, AGENTS);
}

/* Arrival against the send and the prediction's centre as it was before the answer was learnt from;
 * no T is needed. */
static void test_arrivals_count_against_their_prediction(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    const struct msg *m = rig_sent(&rig, MSG_OPERATE);
    int64_t sent_us = rig.now_us;
    int64_t network_us = 2000; /* half of the heartbeats' round trip */
    int64_t centre_us = sent_us + network_us + m->u.operate.targets[0].expected_processing_us;
    static const struct {
        enum outcome outcome;
        int64_t apart_us;
        bool clock, echo;
    } cases[] = {
        {OUTCOME_READY, 55000, true, true},     /* counts, and is wrong: learnt from afterwards */
        {OUTCOME_READY, 10000, true, true},     /* counts, and is right */
        {OUTCOME_READY, 200000, true, true},    /* counts, and is wrong */
        {OUTCOME_READY, 10000, false, true},    /* the agent has no time */
        {OUTCOME_READY, 10000, true, false},    /* an answer to no send of this operation */
        {OUTCOME_FAILED, 10000, true, true},    /* never done */
        {OUTCOME_REFUSED, 10000, true, true},   /* never begun */
        {OUTCOME_CONFLICT, 200000, true, true}, /* counts, and is wrong */
    };
    rig.now_us = centre_us + 250000;
    for (unsigned n = 1; n <= AGENTS; n++) {
        bool plain = n > sizeof cases / sizeof cases[0];
        struct ack a = ack_of(&op, plain ? OUTCOME_REFUSED : cases[n - 1].outcome, NULL);
        a.reason = a.outcome == OUTCOME_REFUSED ? REASON_OVERLOAD : REASON_NONE;
        if (!plain) {
            a.echo_sent_us = cases[n - 1].echo ? sent_us : sent_us - 1;
            a.received_mesh_us = sent_us + network_us + MESH;
            a.arrival_mesh_us = centre_us + cases[n - 1].apart_us + MESH;
            a.clock_error_us = cases[n - 1].clock ? 100 : UINT32_MAX;
        }
        ack(n, &a);
    }
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->outcomes[OUTCOME_READY], 5);
    assert_int_equal(v->predicted, 4);
    assert_int_equal(v->predicted_50ms, 1);
}

/* The processing time that an OPERATE of this step expects of agent n. */
static uint32_t expected_of(unsigned n)
{
    const struct effect *e;
    for (uint32_t k = 0; (e = rig_effect(&rig, FX_SEND, MSG_OPERATE, k)) != NULL; k++) {
        uint64_t own = (uint64_t)1 << (n - 1u);
        if ((e->u.msg.mask & own) != 0) {
            return e->u.msg.u.operate.targets[bits(e->u.msg.mask & (own - 1u))]
                .expected_processing_us;
        }
        if (e->u.msg.mask == 0 && e->u.msg.to.agent == n) {
            return e->u.msg.u.operate.targets[0].expected_processing_us;
        }
    }
    fail_msg("agent %u was not sent to", n);
    return 0;
}

/* Times against cause and effect: told, not learnt from, and counted by the lead's own clock. */
static void test_odd_times_teach_nothing(void **state)
{
    (void)state;
    const int64_t day = 86400 * S;
    const struct {
        int64_t received_us, arrival_us; /* apart from what is plausible */
        uint32_t clock_error_us;
    } odd[] = {{0, 20000, 100},  {0, day, UINT32_MAX - 1},
               {-60000, 0, 100}, {-day, -day, UINT32_MAX - 1},
               {0, -50000, 100}, {0, INT64_MAX / 2, 100}};
    const unsigned lies = sizeof odd / sizeof odd[0];
    struct operation op = operation_of(1);
    operate(&op);
    uint32_t before[AGENTS + 1];
    for (unsigned n = 1; n <= AGENTS; n++) {
        before[n] = expected_of(n);
    }
    rig.now_us += 40000;
    for (unsigned n = 1; n <= AGENTS; n++) {
        struct ack a = ack_of(&op, n <= lies ? OUTCOME_READY : OUTCOME_REFUSED, NULL);
        a.reason = n <= lies ? REASON_NONE : REASON_OVERLOAD;
        if (n <= lies) {
            a.echo_sent_us = rig.now_us - 40000;
            a.received_mesh_us = rig.now_us + MESH - 30000 + odd[n - 1].received_us;
            a.arrival_mesh_us = rig.now_us + MESH - 10000 + odd[n - 1].arrival_us;
            a.clock_error_us = odd[n - 1].clock_error_us;
        }
        ack(n, &a);
        assert_true((rig_note(&rig, NOTE_ODD_TIMES) != NULL) == (n <= lies));
    }
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->outcomes[OUTCOME_READY], lies);
    assert_int_equal(v->predicted, 0);
    assert_int_equal(v->arrival[arrival_bucket(40000)], lies);
    struct operation next = operation_of(2);
    operate(&next);
    for (unsigned n = 1; n <= AGENTS; n++) {
        assert_int_equal(expected_of(n), before[n]);
    }
}

static const struct rows *ask(const struct query *q);

static void test_resend_then_timeouts(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    for (unsigned n = 3; n <= AGENTS; n++) {
        ack_simple(n, &op, OUTCOME_READY);
    }
    ack_simple(2, &op, OUTCOME_PENDING);
    int64_t end_us = rig.now_us + 4 * S;
    uint32_t resends = 0;
    uint32_t attempt = 0;
    while (rig_sent(&rig, MSG_RESULT) == NULL || !rig_sent(&rig, MSG_RESULT)->u.result->final) {
        assert_true(rig.now_us <= end_us);
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        const struct msg *m = rig_sent(&rig, MSG_OPERATE);
        if (m != NULL) {
            resends += addressed();
            attempt = m->u.operate.attempt > attempt ? m->u.operate.attempt : attempt;
            assert_true(m->to.agent <= 2);
        }
    }
    assert_int_equal(resends, 6); /* two agents, three times */
    assert_int_equal(attempt, 3);
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->outcomes[OUTCOME_TIMEOUT_DELIVERY], 1);
    assert_int_equal(v->outcomes[OUTCOME_TIMEOUT_EXECUTION], 1);
    assert_int_equal(v->resent, 2);
    ack_simple(1, &op, OUTCOME_READY); /* late: the state stays */
    assert_non_null(rig_note(&rig, NOTE_OP_LATE));
    ack_simple(1, &op, OUTCOME_READY); /* and counts once */
    operate(&op);                      /* asked again: said again */
    v = result_of(&op, AGENTS);
    assert_int_equal(v->outcomes[OUTCOME_TIMEOUT_DELIVERY], 1);
    assert_int_equal(v->late, 1);
    assert_int_equal(addressed(), 0);
    struct query q = {.kind = QUERY_LATE, .operation_id = op.id, .from_start = true, .limit = 9};
    const struct rows *late = ask(&q); /* what it said is kept beside the result */
    assert_int_equal(late->row_count, 1);
    assert_int_equal(late->rows[0].u.answer.outcome, OUTCOME_READY);
    assert_int_equal(late->rows[0].u.answer.count, 1);
    q.kind = QUERY_TRACE;
    const struct rows *trace = ask(&q);
    assert_int_equal(trace->row_count, 1);
    assert_non_null(strstr(trace->rows[0].u.record.text, "\nresent=2\nlate=1\n"));
}

/* A targets only agent 1. */
static struct operation to_first(uint32_t n)
{
    struct operation op = operation_of(1);
    memcpy(op.id.bytes + 8, &n, sizeof n);
    op.selector.places.count = 1;
    op.selector.places.patterns[0] = (struct pattern){{1, 1}, {2, 2}, {1, 1}};
    return op;
}

static uint32_t sent_seq(void)
{
    const struct msg *m = rig_sent(&rig, MSG_OPERATE);
    assert_non_null(m);
    assert_int_equal(m->to.agent, 1);
    assert_int_equal(m->u.operate.target_count, 1);
    return m->u.operate.targets[0].seq;
}

static void test_resends_keep_their_number(void **state)
{
    (void)state;
    struct operation op = to_first(1);
    operate(&op);
    uint32_t first = sent_seq();
    struct operation other = to_first(2);
    operate(&other);
    assert_int_equal(sent_seq(), first + 1);
    ack_simple(1, &other, OUTCOME_READY);
    for (int attempt = 1; attempt <= 3; attempt++) {
        assert_non_null(wait_for(MSG_OPERATE, rig.now_us + 4 * S, 0));
        assert_int_equal(rig_sent(&rig, MSG_OPERATE)->u.operate.attempt, attempt);
        assert_int_equal(sent_seq(), first);
    }
    other = to_first(3);
    other.priority = 2;
    operate(&other);
    assert_int_equal(sent_seq(), 1); /* each priority has its own */
}

static void test_left_behind_is_not_sent_again(void **state)
{
    (void)state;
    struct operation silent = to_first(1);
    operate(&silent);
    uint32_t first = sent_seq();
    for (uint32_t n = 2; n <= OPERATE_WINDOW; n++) {
        struct operation op = to_first(n);
        operate(&op);
        ack_simple(1, &op, OUTCOME_READY);
    }
    assert_non_null(wait_for(MSG_OPERATE, rig.now_us + 4 * S, 0)); /* just within the window */
    assert_int_equal(sent_seq(), first);
    struct operation op = to_first(OPERATE_WINDOW + 1);
    operate(&op);
    assert_int_equal(sent_seq(), first + OPERATE_WINDOW);
    ack_simple(1, &op, OUTCOME_READY);
    int64_t end_us = rig.now_us + 6 * S;
    const struct msg *m = NULL;
    while (m == NULL || !m->u.result->final) {
        assert_true(rig.wake_us < end_us);
        rig.now_us = rig.wake_us > rig.now_us ? rig.wake_us : rig.now_us;
        rig_wake(&rig);
        assert_null(rig_sent(&rig, MSG_OPERATE));
        m = rig_sent(&rig, MSG_RESULT);
    }
    assert_int_equal(result_of(&silent, 1)->outcomes[OUTCOME_TIMEOUT_DELIVERY], 1);
}

static void test_ttl_ends_what_was_not_sent(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    op.created_mesh_us -= 31 * S;
    operate(&op);
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->outcomes[OUTCOME_REFUSED], AGENTS);
    assert_int_equal(v->reasons[REASON_EXPIRED], AGENTS);
    assert_int_equal(rig_note(&rig, NOTE_OP_REFUSED)->b, REASON_EXPIRED);
    op = operation_of(2); /* expires before its send time */
    op.timing = TIMING_BY;
    op.ttl_us = S;
    op.target_mesh_us = rig.now_us + MESH + 3 * S;
    int64_t expires_us = rig.now_us + S;
    operate_by(&op, UINT32_MAX, rig.now_us + 10 * S);
    const struct msg *m = wait_for(MSG_RESULT, rig.now_us + 5 * S, 0);
    while (m != NULL && !m->u.result->final) {
        m = wait_for(MSG_RESULT, rig.now_us + 5 * S, 0);
    }
    v = result_of(&op, AGENTS);
    assert_int_equal(v->reasons[REASON_EXPIRED], AGENTS);
    assert_int_equal(v->sent, 0);
    assert_true(rig.now_us <= expires_us + 2 * S); /* when it was due, not at the deadline */
}

static void test_sample_and_route(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    op.selector.sample = 100;
    operate_by(&op, 5, rig.now_us + S);
    assert_int_equal(addressed(), 5);
    op = operation_of(2); /* one agent with a capability: the fastest that has it */
    op.selector.capabilities = 2;
    operate_by(&op, 1, rig.now_us + S);
    assert_int_equal(addressed(), 1);
    assert_int_equal(rig_sent(&rig, MSG_OPERATE)->to.agent, 1);
    op = operation_of(3); /* nobody has it */
    op.selector.capabilities = 1ull << 40;
    operate_by(&op, 1, rig.now_us + S);
    assert_int_equal(result_of(&op, 1)->reasons[REASON_CAPABILITY], 1);
    op = operation_of(4);
    operate_by(&op, 0, rig.now_us + S);
    result_of(&op, 0);
}

static void test_fire_and_forget(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    op.require_ack = false;
    operate(&op);
    assert_int_equal(addressed(), AGENTS);
    if (rig_sent(&rig, MSG_RESULT) == NULL) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
    }
    assert_int_equal(result_of(&op, AGENTS)->outcomes[OUTCOME_READY], AGENTS);
}

static void test_cancel(void **state)
{
    (void)state;
    struct operation sent = operation_of(1);
    struct operation planned = operation_of(2);
    planned.timing = TIMING_BY;
    planned.target_mesh_us = rig.now_us + MESH + 3 * S;
    operate(&sent);
    operate(&planned);
    struct msg m = from_sector(MSG_CANCEL);
    m.u.cancel.operation_id = planned.id;
    rig_msg(&rig, &m);
    assert_int_equal(result_of(&planned, AGENTS)->outcomes[OUTCOME_CANCELLED], AGENTS);
    ack_simple(1, &sent, OUTCOME_READY);
    m = from_sector(MSG_CANCEL);
    m.u.cancel.operation_id = sent.id;
    rig_msg(&rig, &m);
    assert_non_null(rig_sent(&rig, MSG_CANCEL));
    ack_simple(2, &sent, OUTCOME_READY); /* runs on and answers */
    assert_non_null(wait_for(MSG_RESULT, rig.now_us + S, 0));
    const struct aggregate_view *v = result_of(&sent, AGENTS);
    assert_int_equal(v->outcomes[OUTCOME_READY], 2);
    assert_int_equal(v->outcomes[OUTCOME_CANCELLED], AGENTS - 2);
}

static void test_freeze_and_thaw(void **state)
{
    (void)state;
    struct msg m = from_sector(MSG_FREEZE);
    m.u.freeze.scope = unit_orchestrator();
    rig_msg(&rig, &m);
    assert_non_null(rig_note(&rig, NOTE_FROZEN));
    const struct msg *told = rig_sent(&rig, MSG_FREEZE); /* the agents stand still, too */
    assert_non_null(told);
    assert_int_equal(told->to.tier, TIER_AGENT);
    assert_true((told->mask | 1u) == (1ull << AGENTS) - 1u);
    struct operation op = operation_of(1);
    operate(&op);
    assert_int_equal(result_of(&op, AGENTS)->reasons[REASON_FROZEN], AGENTS);
    m = from_sector(MSG_THAW);
    m.u.freeze.scope = unit_orchestrator();
    rig_msg(&rig, &m);
    op = operation_of(2);
    operate(&op);
    assert_int_equal(addressed(), AGENTS);
}

static void test_breaker_trips_and_recovers(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate_by(&op, UINT32_MAX, rig.now_us + S);
    for (unsigned n = 1; n <= AGENTS; n++) {
        ack_simple(n, &op, n <= 6 ? OUTCOME_PENDING : OUTCOME_READY);
    }
    const struct msg *m = wait_for(MSG_CIRCUIT, rig.now_us + 2 * S, 0);
    assert_non_null(m); /* six execution timeouts: the sixth trips */
    assert_int_equal(m->u.circuit.action, CIRCUIT_OPEN);
    op = operation_of(2);
    operate(&op);
    assert_int_equal(result_of(&op, AGENTS)->reasons[REASON_BREAKER], AGENTS);
    int64_t from_us = rig.now_us;
    m = wait_for(MSG_CIRCUIT, rig.now_us + 50 * S, 0); /* the next beat is the probe */
    assert_non_null(m);
    assert_int_equal(m->u.circuit.action, CIRCUIT_HALF_OPEN);
    assert_true(rig.now_us - from_us >= 27 * S);
    op = operation_of(3);
    operate(&op);
    assert_int_equal(addressed(), AGENTS); /* one at a time passes */
    op = operation_of(4);
    operate(&op);
    assert_int_equal(result_of(&op, AGENTS)->reasons[REASON_BREAKER], AGENTS);
}

/* Agents beat every 5.9 s from phase_us after the trip on; how the breaker's first probe ends. */
static enum circuit probed_by_beats(int64_t phase_us)
{
    struct operation op = operation_of(1);
    operate_by(&op, UINT32_MAX, rig.now_us + S);
    for (unsigned n = 1; n <= AGENTS; n++) {
        ack_simple(n, &op, n <= 6 ? OUTCOME_PENDING : OUTCOME_READY);
    }
    assert_non_null(wait_for(MSG_CIRCUIT, rig.now_us + 2 * S, 0));
    int64_t tripped_us = rig.now_us;
    for (int64_t beat_us = tripped_us + phase_us; beat_us < tripped_us + 45 * S;
         beat_us += 5900000) {
        while (rig.wake_us < beat_us) {
            rig.now_us = rig.wake_us;
            rig_wake(&rig);
            if (rig_sent(&rig, MSG_CIRCUIT) != NULL) {
                return rig_sent(&rig, MSG_CIRCUIT)->u.circuit.action;
            }
        }
        rig.now_us = beat_us;
        for (unsigned n = 1; n <= AGENTS; n++) {
            heartbeat(n);
            if (rig_sent(&rig, MSG_CIRCUIT) != NULL) {
                return rig_sent(&rig, MSG_CIRCUIT)->u.circuit.action;
            }
        }
    }
    return CIRCUIT_COUNT;
}

/* A beat may come just before the probe opens, and the next one a little late. */
static void test_late_beat_is_a_probe_still(void **state)
{
    for (int64_t phase_us = 0; phase_us < 5900000; phase_us += 300000) {
        assert_int_equal(probed_by_beats(phase_us), CIRCUIT_HALF_OPEN);
        teardown(state);
        setup_joined(state);
    }
}

static void test_progress_of_long_operations(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate_by(&op, UINT32_MAX, rig.now_us + 10 * S);
    ack_simple(1, &op, OUTCOME_READY);
    int64_t from_us = rig.now_us;
    const struct msg *m = wait_for(MSG_RESULT, rig.now_us + 5 * S, 0);
    assert_non_null(m);
    assert_false(m->u.result->final);
    assert_true(rig.now_us - from_us >= S);
    assert_int_equal(m->u.result->aggregate.outcomes[OUTCOME_READY], 1);
    assert_int_equal(m->u.result->aggregate.outcomes[OUTCOME_PENDING], AGENTS - 1);
    check_sum(&m->u.result->aggregate, AGENTS);
}

/* Opens operations of one priority until one is refused. */
static uint32_t open_until_overload(uint8_t priority)
{
    uint32_t opened = 0;
    enum reason reason = REASON_NONE;
    for (uint32_t n = 0; n < 1100 && reason == REASON_NONE; n++) {
        struct operation op = operation_of(1);
        memcpy(op.id.bytes + 8, &n, sizeof n);
        op.id.bytes[12] = (uint8_t)(priority + 1u);
        op.priority = priority;
        operate_by(&op, 1, rig.now_us + 20 * S);
        if (rig_sent(&rig, MSG_RESULT) != NULL) {
            assert_int_equal(result_of(&op, 1)->outcomes[OUTCOME_REFUSED], 1);
            reason = (enum reason)rig_note(&rig, NOTE_OP_REFUSED)->b;
        } else {
            opened++;
        }
    }
    assert_int_equal(reason, REASON_OVERLOAD);
    return opened;
}

static void test_many_operations_then_overload(void **state)
{
    (void)state;
    assert_int_equal(open_until_overload(0), 512); /* each priority has its part of the pool */
    assert_int_equal(open_until_overload(1), 256);
    assert_int_equal(open_until_overload(2), 256 - POOL_RESERVE);
    assert_int_equal(open_until_overload(3), POOL_RESERVE);
}

static void test_prepare(void **state)
{
    (void)state;
    struct prepare p = {.level = TIER_CLUSTER, .payload_weight = 1};
    p.correlation_id.bytes[0] = 9;
    struct msg m = from_sector(MSG_PREPARE);
    m.u.prepare = &p;
    rig_msg(&rig, &m);
    const struct msg *a = rig_sent(&rig, MSG_PREPARED);
    assert_non_null(a);
    assert_int_equal(a->u.prepared->targets, AGENTS);
    assert_int_equal(a->u.prepared->clusters_reached, 1);
    assert_memory_equal(&a->u.prepared->correlation_id, &p.correlation_id, 16);
    uint32_t leads = 0;
    for (unsigned b = 0; b < LEAD_BUCKETS; b++) {
        leads += a->u.prepared->lead_counts[b];
    }
    assert_int_equal(leads, AGENTS);
}

static void test_result_waits_for_the_bus(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate_by(&op, UINT32_MAX, rig.now_us + S);
    rig_link(&rig, LINK_BUS, false);
    assert_null(wait_for(MSG_RESULT, rig.now_us + 3 * S, 0));
    rig_link(&rig, LINK_BUS, true);
    if (rig_sent(&rig, MSG_RESULT) == NULL) {
        assert_non_null(wait_for(MSG_RESULT, rig.now_us + S, 0));
    }
    result_of(&op, AGENTS);
}

static void test_bad_acks(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    ack_simple(1, &op, OUTCOME_SKIPPED); /* no agent may say that */
    assert_non_null(rig_note(&rig, NOTE_UNEXPECTED));
    struct operation unknown = operation_of(2);
    ack_simple(1, &unknown, OUTCOME_READY);
    assert_non_null(rig_note(&rig, NOTE_UNEXPECTED));
    struct msg m = from_agent(MSG_ACK, 2);
    m.epoch = 8; /* an earlier life of agent 2 */
    m.u.ack = ack_of(&op, OUTCOME_READY, NULL);
    rig_msg(&rig, &m);
    assert_non_null(rig_note(&rig, NOTE_STALE_EPOCH));
    for (unsigned n = 1; n <= AGENTS; n++) {
        ack_simple(n, &op, OUTCOME_READY);
    }
    assert_int_equal(result_of(&op, AGENTS)->outcomes[OUTCOME_READY], AGENTS);
}

/* --- queries --- */

static const struct rows *ask(const struct query *q)
{
    struct msg m = from_sector(MSG_QUERY);
    m.u.query = q;
    rig_msg(&rig, &m);
    const struct msg *a = rig_sent(&rig, MSG_ROWS);
    return a != NULL ? &a->u.rows : NULL;
}

static void test_query_agents_pages(void **state)
{
    (void)state;
    struct query q = {.ref = 5, .kind = QUERY_AGENTS, .from_start = true, .limit = 12};
    uint32_t seen = 0;
    uint64_t last = 0;
    bool more = true;
    while (more) {
        const struct rows *r = ask(&q);
        assert_non_null(r);
        assert_int_equal(r->ref, 5);
        assert_int_equal(r->total, AGENTS);
        for (uint32_t i = 0; i < r->row_count; i++) {
            assert_true(r->rows[i].key > last);
            last = r->rows[i].key;
            seen++;
        }
        more = r->more;
        q.after_key = last;
        q.from_start = false;
    }
    assert_int_equal(seen, AGENTS);
    q = (struct query){.kind = QUERY_AGENTS, .from_start = true, .limit = 60};
    q.selector.capabilities = 2;
    q.selector.state_mask = 1u << AGENT_ACTIVE;
    assert_int_equal(ask(&q)->row_count, AGENTS - 1);
}

static void test_query_answers(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    for (unsigned n = 1; n <= AGENTS; n++) {
        struct ack a = ack_of(&op, OUTCOME_READY, n % 2 == 0 ? "even" : "odd");
        ack(n, &a);
    }
    struct query q = {.kind = QUERY_ANSWERS, .operation_id = op.id, .from_start = true, .limit = 9};
    const struct rows *r = ask(&q);
    assert_int_equal(r->row_count, 2);
    assert_true(r->rows[0].key < r->rows[1].key);
    assert_int_equal(r->rows[0].u.answer.count + r->rows[1].u.answer.count, AGENTS);
    q.operation_id.bytes[3] = 77;
    assert_int_equal(ask(&q)->row_count, 0);
}

/* More answers than one result carries: the rest is `other` there, and in the pages all are. */
static void test_long_answers_are_paged(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    char answer[1001];
    for (unsigned n = 1; n <= AGENTS; n++) {
        memset(answer, 'a' + (int)(n % 26), sizeof answer - 1);
        answer[0] = (char)('0' + n / 10);
        answer[1] = (char)('0' + n % 10);
        answer[sizeof answer - 1] = '\0';
        struct ack a = ack_of(&op, OUTCOME_READY, answer);
        ack(n, &a);
    }
    uint32_t seen = 0;
    bool more = true;
    struct query q = {.kind = QUERY_ANSWERS, .operation_id = op.id, .from_start = true, .limit = 9};
    for (int page = 0; more && page < 20; page++) {
        const struct rows *r = ask(&q);
        for (uint32_t i = 0; i < r->row_count; i++) {
            assert_int_equal(r->rows[i].u.answer.answer_bytes, sizeof answer - 1);
            seen += r->rows[i].u.answer.count;
            q.after_key = r->rows[i].key;
        }
        more = r->more;
        q.from_start = false;
    }
    assert_int_equal(seen, AGENTS);
}

static void test_inspect(void **state)
{
    (void)state;
    struct query q = {.ref = 8, .kind = QUERY_INSPECT, .from_start = true, .limit = 1};
    q.selector.places.count = 1;
    q.selector.places.patterns[0] = (struct pattern){{1, 1}, {2, 2}, {6, 6}};
    const struct rows *r = ask(&q); /* no store: the lead's own view */
    assert_non_null(r);
    assert_int_equal(r->kind, ROW_RECORD);
    assert_int_equal(r->row_count, 1);
    assert_non_null(strstr(r->rows[0].u.record.text, "agent_id=s01.c2.a6"));
    assert_non_null(strstr(r->rows[0].u.record.text, "\n\nregistry=unavailable"));
    rig_link(&rig, LINK_STORE, true);
    assert_null(ask(&q));
    uint64_t ref = 0;
    const struct effect *e;
    for (uint32_t k = 0; (e = rig_effect(&rig, FX_STORE, 0, k)) != NULL; k++) {
        ref = e->u.store.kind == STORE_GET ? e->u.store.ref : ref;
    }
    assert_int_not_equal(ref, 0);
    struct store_field field = {.name = "uid", .value = "abc", .value_bytes = 3};
    struct store_row row = {.key = "agent:1", .fields = &field, .field_count = 1};
    struct store_reply reply = {
        .ref = ref, .kind = STORE_GET, .verdict = STORE_OK, .rows = &row, .row_count = 1};
    rig_store(&rig, &reply);
    r = &rig_sent(&rig, MSG_ROWS)->u.rows;
    assert_int_equal(r->ref, 8);
    assert_non_null(strstr(r->rows[0].u.record.text, "\n\nuid=abc"));
    assert_null(ask(&q)); /* a store that never answers */
    assert_non_null(wait_for(MSG_ROWS, rig.now_us + 2 * S, 0));
}

/* --- relays --- */

static struct operation message_to(const char *places, unsigned author, enum routing routing)
{
    struct operation op = operation_of(60);
    size_t at;
    const char *why;
    op.routing = routing;
    op.source = unit_agent(1, 2, author);
    assert_true(place_parse(places, strlen(places), &topo, &op.selector.places, &at, &why));
    return op;
}

static void relay(const struct operation *op, unsigned author)
{
    struct msg m = author > 0 ? from_agent(MSG_RELAY, author) : from_sector(MSG_RELAY);
    m.u.relay.operation = op;
    m.u.relay.hops = author > 0 ? 0 : 2;
    rig_msg(&rig, &m);
}

static void relay_ack(const struct operation *op, unsigned n, bool ok)
{
    struct msg m = from_agent(MSG_RELAY_ACK, n);
    m.u.relay_ack = (struct relay_ack){.message_id = op->id,
                                       .target = unit_agent(1, 2, n),
                                       .reached = ok,
                                       .failed = !ok,
                                       .outcome = ok ? OUTCOME_READY : OUTCOME_FAILED};
    rig_msg(&rig, &m);
}

static void test_relay_within_the_cluster(void **state)
{
    (void)state;
    struct operation op = message_to("s01.c2.a[4-5]", 1, ROUTING_DIRECT);
    relay(&op, 1);
    assert_int_equal(rig_count(&rig, FX_SEND, MSG_RELAY), 1); /* one with a mask; no sector */
    const struct msg *m = rig_sent(&rig, MSG_RELAY);
    assert_true(unit_equal(m->to, unit_agent(1, 2, 4)));
    assert_int_equal(m->mask, 3);
    assert_int_equal(m->u.relay.hops, 1);
    relay_ack(&op, 5, true);
    m = rig_sent(&rig, MSG_RELAY_ACK);
    assert_true(unit_equal(m->to, unit_agent(1, 2, 1)));
    assert_true(unit_equal(m->u.relay_ack.target, unit_agent(1, 2, 5)));
}

static void test_relay_beyond_and_back(void **state)
{
    (void)state;
    struct operation op = message_to("s02.c1.a1", 1, ROUTING_DIRECT);
    relay(&op, 1);
    assert_int_equal(rig_count(&rig, FX_SEND, MSG_RELAY), 1);
    assert_true(unit_equal(rig_sent(&rig, MSG_RELAY)->to, unit_sector(1)));
    struct msg m = from_sector(MSG_RELAY_ACK);
    m.u.relay_ack = (struct relay_ack){
        .message_id = op.id, .target = unit_agent(2, 1, 1), .reached = 1, .outcome = OUTCOME_READY};
    rig_msg(&rig, &m);
    assert_true(unit_equal(rig_sent(&rig, MSG_RELAY_ACK)->to, unit_agent(1, 2, 1)));
    op.source = unit_agent(1, 2, 9); /* nobody speaks for another */
    op.id.bytes[0] = 1;
    relay(&op, 1);
    assert_null(rig_sent(&rig, MSG_RELAY));
}

static void test_relay_to_absent_agents(void **state)
{
    (void)state;
    struct msg bye = from_agent(MSG_GOODBYE, 4);
    rig_msg(&rig, &bye);
    struct operation op = message_to("s01.c2.a4", 1, ROUTING_DIRECT);
    relay(&op, 0); /* from beyond */
    const struct msg *m = rig_sent(&rig, MSG_RELAY_ACK);
    assert_non_null(m);
    assert_true(unit_equal(m->to, unit_sector(1)));
    assert_int_equal(m->u.relay_ack.failed, 1);
    assert_int_equal(m->u.relay_ack.reason, REASON_AGENT_OFFLINE);
}

static void test_broadcast_is_summed(void **state)
{
    (void)state;
    struct operation op = message_to("s01.c2.a[1-3]", 1, ROUTING_BROADCAST);
    relay(&op, 0);
    relay_ack(&op, 1, true);
    relay_ack(&op, 1, true); /* twice counts once */
    relay_ack(&op, 2, false);
    assert_null(rig_sent(&rig, MSG_RELAY_ACK));
    relay_ack(&op, 3, true);
    const struct msg *m = rig_sent(&rig, MSG_RELAY_ACK);
    assert_non_null(m);
    assert_int_equal(m->u.relay_ack.reached, 2);
    assert_int_equal(m->u.relay_ack.failed, 1);
    assert_true(unit_equal(m->u.relay_ack.target, unit_cluster(1, 2)));
    op.id.bytes[0] = 2;
    relay(&op, 0);
    m = wait_for(MSG_RELAY_ACK, rig.now_us + 5 * S, 0); /* nobody answers */
    assert_non_null(m);
    assert_int_equal(m->u.relay_ack.failed, 3);
}

static void test_circling_message_is_dropped(void **state)
{
    (void)state;
    struct operation op = message_to("s01.c2.a1", 1, ROUTING_DIRECT);
    struct msg m = from_sector(MSG_RELAY);
    m.u.relay = (struct relay){.hops = 8, .operation = &op};
    rig_msg(&rig, &m);
    assert_null(rig_sent(&rig, MSG_RELAY));
}

/* --- registry --- */

static const char *value_of(const struct store_field *fields, uint32_t count, const char *name)
{
    static char value[STORE_FIELD_VALUE_MAX + 1];
    for (uint32_t k = 0; k < count; k++) {
        if (strcmp(fields[k].name, name) == 0) {
            memcpy(value, fields[k].value, fields[k].value_bytes);
            value[fields[k].value_bytes] = '\0';
            return value;
        }
    }
    return NULL;
}

static const char *field_of(const struct store_op *op, const char *name)
{
    return value_of(op->fields, op->field_count, name);
}

static const char *row_field(const struct store_row *row, const char *name)
{
    return value_of(row->fields, row->field_count, name);
}

/* Runs the node for a while, answering every store operation; counts kinds, of puts the records. */
static void run_store(int64_t for_us, uint32_t counts[STORE_KIND_COUNT], enum store_verdict verdict)
{
    int64_t until_us = rig.now_us + for_us;
    while (rig.wake_us <= until_us) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        struct store_reply replies[OUTBOX_EFFECTS_MAX];
        uint32_t n = 0;
        const struct effect *e;
        while ((e = rig_effect(&rig, FX_STORE, 0, n)) != NULL) {
            assert_null(store_op_check(&e->u.store));
            if (e->u.store.kind == STORE_INDEX_SET) { /* one index for the whole sector */
                assert_string_equal(e->u.store.shard, "s01");
            }
            counts[e->u.store.kind] +=
                e->u.store.kind == STORE_EPOCH_PUTS ? e->u.store.row_count : 1;
            replies[n++] = (struct store_reply){
                .ref = e->u.store.ref, .kind = e->u.store.kind, .verdict = verdict};
        }
        assert_true(n <= 10); /* paced */
        for (uint32_t k = 0; k < n; k++) {
            rig_store(&rig, &replies[k]);
        }
    }
}

static void test_registry_is_written_behind(void **state)
{
    (void)state;
    uint32_t counts[STORE_KIND_COUNT] = {0};
    rig_link(&rig, LINK_STORE, true);
    const struct effect *put = NULL;
    while (put == NULL) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        const struct effect *e;
        for (uint32_t k = 0; (e = rig_effect(&rig, FX_STORE, 0, k)) != NULL; k++) {
            put = put == NULL && e->u.store.kind == STORE_EPOCH_PUTS ? e : put;
        }
    }
    assert_string_equal(put->u.store.shard, "s01.c2");
    assert_string_equal(put->u.store.collection, "roster");
    assert_int_equal(put->u.store.row_count, STORE_PUTS_MAX);
    const struct store_row *row = &put->u.store.rows[0];
    assert_memory_equal(row->key, "agent:", 6);
    assert_string_equal(row_field(row, "agent_id"), "s01.c2.a1");
    assert_string_equal(row_field(row, "agent_class"), "CLASS_A_EDGE");
    assert_string_equal(row_field(row, "operational_state"), "active");
    assert_string_equal(row_field(row, "current_latency_ms"), "4.000");
    assert_memory_equal(row_field(row, "last_heartbeat"), "2023-11-14T22:1", 15);
    assert_non_null(row_field(row, "impedance_score"));
    assert_string_equal(row_field(row, "capability_mask"), "0000000000000003");
    assert_string_equal(row_field(row, "unit_epoch"), "9");
    assert_int_equal(put->u.store.epoch, 4);
    run_store(7 * S, counts, STORE_OK); /* what was asked for above is given up after 5 s */
    assert_int_equal(counts[STORE_INDEX_SET], 2 * AGENTS - 1);
    assert_true(counts[STORE_EPOCH_PUTS] >= AGENTS);
    memset(counts, 0, sizeof counts);
    for (unsigned n = 1; n <= AGENTS; n++) {
        heartbeat(n);
    }
    run_store(S, counts, STORE_OK); /* only what changed, and soon */
    assert_int_equal(counts[STORE_EPOCH_PUTS], AGENTS);
    assert_int_equal(counts[STORE_INDEX_SET], 0);
    memset(counts, 0, sizeof counts);
    run_store(62 * S, counts, STORE_OK);
    assert_true(counts[STORE_APPEND] >= 1);
}

static void test_refused_write_is_repeated(void **state)
{
    (void)state;
    uint32_t counts[STORE_KIND_COUNT] = {0};
    rig_link(&rig, LINK_STORE, true);
    run_store(3 * S, counts, STORE_BUSY);
    memset(counts, 0, sizeof counts);
    run_store(4 * S, counts, STORE_OK);
    assert_true(counts[STORE_EPOCH_PUTS] >= AGENTS);
}

static void test_roster_is_loaded(void **state)
{
    (void)state;
    rig_link(&rig, LINK_STORE, true);
    uint64_t ref = 0;
    const struct effect *e;
    for (int i = 0; i < 10 && ref == 0; i++) {
        for (uint32_t k = 0; (e = rig_effect(&rig, FX_STORE, 0, k)) != NULL; k++) {
            ref = e->u.store.kind == STORE_SCAN ? e->u.store.ref : ref;
        }
        rig.now_us = rig.wake_us;
        if (ref == 0) {
            rig_wake(&rig);
        }
    }
    assert_int_not_equal(ref, 0);
    struct store_field fields[] = {{"uid", "00000000000003ee", 16},
                                   {"place", "s01.c2.a6", 9},
                                   {"unit_epoch", "12", 2},
                                   {"agent_class", "CLASS_A_EDGE", 12},
                                   {"capability_mask", "0000000000000003", 16},
                                   {"operational_state", "quarantined", 11}};
    struct store_row row = {.key = "agent:00000000000003ee", .fields = fields, .field_count = 6};
    struct store_reply reply = {
        .ref = ref, .kind = STORE_SCAN, .verdict = STORE_OK, .rows = &row, .row_count = 1};
    rig_store(&rig, &reply);
    hello(6, 9); /* its epoch in the roster is 12 */
    assert_false(rig_sent(&rig, MSG_WELCOME)->u.welcome.accepted);
    hello(6, 13);
    assert_true(rig_sent(&rig, MSG_WELCOME)->u.welcome.accepted);
    sector_beat_reply();
    struct operation op = operation_of(1);
    operate(&op);
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->reasons[REASON_QUARANTINED], 1); /* the quarantine survived the lead */
    assert_int_equal(v->reasons[REASON_NOT_JOINED], AGENTS - 1);
}

/* Steps the node until until_us. Store operations are answered with `verdict`, or with nothing (0);
 * GETs with a summary of that time (NULL: missing). */
struct seen {
    uint32_t out_most; /* without an answer at any time */
    uint32_t puts, fields, whole, indexes, gets;
    int64_t first_us;                             /* of the first operation; 0: none */
    char last_updated[STORE_FIELD_VALUE_MAX + 1]; /* of the last summary */
};

static void see(struct seen *seen, const struct store_op *op)
{
    seen->first_us = seen->first_us == 0 ? rig.now_us : seen->first_us;
    seen->gets += op->kind == STORE_GET;
    seen->indexes += op->kind == STORE_INDEX_SET || op->kind == STORE_INDEX_REMOVE;
    for (uint32_t k = 0; op->kind == STORE_EPOCH_PUTS && k < op->row_count; k++) {
        seen->puts++;
        seen->fields += op->rows[k].field_count;
        seen->whole += row_field(&op->rows[k], "uid") != NULL;
    }
    if (op->kind == STORE_EPOCH_PUT && strcmp(op->key, "summary") == 0) {
        strcpy(seen->last_updated, field_of(op, "last_updated"));
    }
}

static void answer(const struct store_op *op, enum store_verdict verdict, const char *summary)
{
    struct store_field field = {"last_updated", summary,
                                summary != NULL ? (uint32_t)strlen(summary) : 0};
    struct store_row row = {.key = "summary", .fields = &field, .field_count = 1};
    struct store_reply reply = {.ref = op->ref, .kind = op->kind, .verdict = verdict};
    if (op->kind == STORE_GET && verdict == STORE_OK) {
        reply.verdict = summary != NULL ? STORE_OK : STORE_MISSING;
        reply.rows = &row;
        reply.row_count = summary != NULL;
    }
    rig_store(&rig, &reply);
}

static void watch_store(int64_t until_us, enum store_verdict verdict, const char *summary,
                        struct seen *seen)
{
    static struct store_op ops[512];
    static int64_t asked_us[512];
    uint32_t asked = 0;
    uint32_t answered = 0;
    while (true) {
        const struct effect *e; /* of the last event, at first of the one before this call */
        for (uint32_t n = 0; (e = rig_effect(&rig, FX_STORE, 0, n)) != NULL; n++) {
            see(seen, &e->u.store);
            assert_true(asked < 512);
            asked_us[asked] = rig.now_us;
            ops[asked++] = e->u.store;
        }
        outbox_clear(rig.out);
        uint32_t out = 0;
        for (uint32_t k = answered; k < asked; k++) {
            out += asked_us[k] + 5 * S > rig.now_us;
        }
        seen->out_most = out > seen->out_most ? out : seen->out_most;
        if (verdict != 0 && answered < asked) {
            answer(&ops[answered++], verdict, summary);
        } else if (rig.wake_us <= until_us) {
            rig.now_us = rig.wake_us > rig.now_us ? rig.wake_us : rig.now_us;
            rig_wake(&rig);
        } else {
            break;
        }
    }
    rig.now_us = until_us;
}

static void test_few_writes_wait_for_answers(void **state)
{
    (void)state;
    struct seen seen = {0};
    rig_link(&rig, LINK_STORE, true);
    watch_store(rig.now_us + 4 * S, (enum store_verdict)0, NULL, &seen);
    assert_in_range(seen.out_most, 8, 16); /* of 30 records and 59 entries */
    watch_store(rig.now_us + 20 * S, (enum store_verdict)0, NULL, &seen);
    assert_true(seen.out_most <= 16); /* answers that never come are given up, and only then .. */
    seen = (struct seen){0};
    watch_store(rig.now_us + 8 * S, STORE_OK, NULL, &seen); /* .. is there room; nothing is lost */
    assert_int_equal(seen.whole, AGENTS);
    assert_int_equal(seen.indexes, 2 * AGENTS - 1);
}

static void test_only_what_is_new_is_written(void **state)
{
    (void)state;
    struct seen seen = {0};
    rig_link(&rig, LINK_STORE, true);
    watch_store(rig.now_us + 3 * S, STORE_OK, NULL, &seen);
    assert_int_equal(seen.whole, AGENTS);
    seen = (struct seen){0};
    rig.now_us += S;
    heartbeat(3);
    watch_store(rig.now_us + S, STORE_OK, NULL, &seen);
    assert_int_equal(seen.puts, 1);
    assert_int_equal(seen.fields, 1); /* last_heartbeat */
    rig.now_us += S;
    struct msg m = from_agent(MSG_HEARTBEAT, 3);
    m.u.heartbeat = (struct heartbeat){.uid = 1003, .incarnation = 9};
    m.u.heartbeat.impedance.latency_us = 4000;
    m.u.heartbeat.impedance.processing_us = 77;
    m.u.heartbeat.impedance.state = AGENT_ACTIVE;
    rig_msg(&rig, &m);
    seen = (struct seen){0};
    watch_store(rig.now_us + S / 2, STORE_BUSY, NULL, &seen); /* refused */
    assert_int_equal(seen.fields, 2);
    seen = (struct seen){0};
    watch_store(rig.now_us + 2 * S, STORE_OK, NULL, &seen);
    assert_int_equal(seen.fields, 2); /* the same again, and no more */
    assert_int_equal(seen.whole, 0);
}

static void test_back_after_an_outage(void **state)
{
    (void)state;
    struct seen before = {0};
    rig_link(&rig, LINK_STORE, true);
    watch_store(rig.now_us + 7 * S, STORE_OK, NULL, &before);
    assert_int_equal(before.last_updated[0], '2');
    heartbeat(3);
    rig_link(&rig, LINK_STORE, false);
    rig.now_us += S;
    rig_link(&rig, LINK_STORE, true); /* a short outage: the store has all that it acknowledged */
    struct seen seen = {0};
    watch_store(rig.now_us + 12 * S, STORE_OK, before.last_updated, &seen);
    assert_int_equal(seen.gets, 1);
    assert_int_equal(seen.whole, 0);
    assert_int_equal(seen.puts, 1);
    rig_link(&rig, LINK_STORE, false);
    rig_link(&rig, LINK_STORE, true); /* it is back with an older state */
    seen = (struct seen){0};
    watch_store(rig.now_us + 12 * S, STORE_OK, before.last_updated, &seen);
    assert_int_equal(seen.whole, AGENTS);
    assert_int_equal(seen.indexes, 2 * AGENTS - 1);
    rig_link(&rig, LINK_STORE, false);
    rig_link(&rig, LINK_STORE, true); /* it is back empty */
    seen = (struct seen){0};
    watch_store(rig.now_us + 12 * S, STORE_OK, NULL, &seen);
    assert_int_equal(seen.whole, AGENTS);
}

static void test_leads_come_back_one_by_one(void **state)
{
    int64_t least_us = INT64_MAX;
    int64_t most_us = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct node_conf conf = conf_default();
        conf.seed = seed;
        rig_init(&rig, &cluster_ops, &conf, 100 * S);
        rig_start(&rig);
        sector_beat_reply();
        for (unsigned n = 1; n <= AGENTS; n++) {
            hello(n, 9);
        }
        struct seen seen = {0};
        rig_link(&rig, LINK_STORE, true);
        watch_store(rig.now_us + 7 * S, STORE_OK, NULL, &seen);
        rig_link(&rig, LINK_STORE, false);
        rig_link(&rig, LINK_STORE, true);
        int64_t from_us = rig.now_us;
        seen = (struct seen){0};
        watch_store(rig.now_us + 12 * S, STORE_OK, NULL, &seen);
        least_us = seen.first_us - from_us < least_us ? seen.first_us - from_us : least_us;
        most_us = seen.first_us - from_us > most_us ? seen.first_us - from_us : most_us;
        if (seed < 12) {
            teardown(state);
        }
    }
    assert_true(least_us >= 0 && most_us <= 10 * S + 10000);
    assert_true(most_us - least_us > 4 * S);
}

/* --- random events --- */

#define RANDOM_OPS 40u

struct tracked {
    struct operation op;
    uint32_t targets; /* of the first final result; UINT32_MAX: none yet */
};

static void check_results(struct tracked *ops)
{
    const struct effect *e;
    for (uint32_t k = 0; (e = rig_effect(&rig, FX_SEND, MSG_RESULT, k)) != NULL; k++) {
        const struct result *r = e->u.msg.u.result;
        check_sum(&r->aggregate, r->aggregate.targets);
        if (!r->final) {
            continue;
        }
        assert_int_equal(r->aggregate.outcomes[OUTCOME_PENDING], 0);
        uint32_t grouped = r->aggregate.other;
        for (uint32_t g = 0; g < r->aggregate.group_count; g++) {
            grouped += r->aggregate.groups[g].count;
        }
        assert_int_equal(grouped, r->aggregate.targets);
        for (uint32_t i = 0; i < RANDOM_OPS; i++) {
            if (memcmp(&ops[i].op.id, &r->operation_id, sizeof r->operation_id) == 0) {
                ops[i].targets = r->aggregate.targets;
            }
        }
    }
}

static uint64_t random_state;

static uint32_t pick(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static void random_operation(struct tracked *t, uint32_t n)
{
    t->op = operation_of(0);
    memcpy(t->op.id.bytes + 4, &n, sizeof n);
    t->op.id.bytes[0] = 1;
    t->targets = UINT32_MAX;
    t->op.priority = (uint8_t)pick(4);
    t->op.require_ack = pick(8) != 0;
    t->op.timing = (enum timing)pick(3);
    t->op.ttl_us = (int64_t)pick(8) * S;
    t->op.target_mesh_us =
        t->op.timing == TIMING_SOON ? 0 : rig.now_us + MESH + (int64_t)pick(3000) * 1000;
    t->op.selector.capabilities = pick(4) == 0 ? 2 : 0;
    operate_by(&t->op, pick(3) == 0 ? pick(AGENTS) : UINT32_MAX,
               rig.now_us + (int64_t)pick(4000) * 1000);
}

static void random_event(struct tracked *ops, uint32_t step)
{
    struct tracked *t = &ops[pick(RANDOM_OPS)];
    unsigned n = 1 + pick(AGENTS);
    static const char *const answers[] = {"a", "bb", "ccc", "dddd"};
    struct msg m;
    switch (pick(12)) {
    case 0:
        if (t->targets != UINT32_MAX || t->op.ttl_us == 0) {
            random_operation(t, step);
        }
        break;
    case 1:
        hello(n, 9);
        break;
    case 2:
        m = from_agent(MSG_GOODBYE, n);
        if (pick(4) == 0) {
            rig_msg(&rig, &m);
        }
        break;
    case 3:
        m = from_sector(MSG_CANCEL);
        m.u.cancel.operation_id = t->op.id;
        if (pick(6) == 0) {
            rig_msg(&rig, &m);
        }
        break;
    case 4:
        if (pick(20) == 0) {
            rig_link(&rig, LINK_BUS, pick(3) != 0);
        }
        break;
    case 5:
        heartbeat(n);
        break;
    case 6:
        rig.now_us += pick(200000);
        break;
    case 7:
        operate(&t->op); /* again, maybe long after */
        break;
    default: {
        struct ack a = ack_of(&t->op, (enum outcome)pick(OUTCOME_COUNT), answers[pick(4)]);
        a.received_mesh_us += (int64_t)pick(1000000) - 500000;
        a.late = pick(5) == 0;
        ack(n, &a);
        break;
    }
    }
}

static void test_random_events_always_add_up(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        static struct tracked ops[RANDOM_OPS];
        memset(ops, 0, sizeof ops);
        setup_joined(state);
        random_state = seed;
        for (uint32_t step = 1; step < 6000; step++) {
            random_event(ops, step);
            check_results(ops);
            if (rig.wake_us != NEVER && (rig.wake_us <= rig.now_us || pick(2) == 0)) {
                rig.now_us = rig.wake_us > rig.now_us ? rig.wake_us : rig.now_us;
                rig.fill = pick(4) == 0 ? OUTBOX_EFFECTS_MAX - pick(4) : 0; /* hardly any room */
                rig_wake(&rig);
                check_results(ops);
            }
        }
        rig.fill = 0;
        rig_link(&rig, LINK_BUS, true);
        check_results(ops);
        int64_t until_us = rig.now_us + 40 * S;
        while (rig.wake_us < until_us) { /* everything ends by its deadline */
            rig.now_us = rig.wake_us > rig.now_us ? rig.wake_us : rig.now_us;
            rig_wake(&rig);
            check_results(ops);
        }
        for (uint32_t i = 0; i < RANDOM_OPS; i++) {
            assert_true(ops[i].op.id.bytes[0] == 0 || ops[i].targets != UINT32_MAX);
        }
        if (seed < 6) {
            teardown(state);
        }
    }
}

#define FRESH(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define JOINED(f) cmocka_unit_test_setup_teardown(f, setup_joined, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_hello_is_welcomed),
        FRESH(test_heartbeat_is_answered_with_time),
        FRESH(test_every_third_beat_of_a_clock_is_answered),
        JOINED(test_beats_carry_summaries),
        JOINED(test_silent_agent_is_declared_and_ends_its_operations),
        JOINED(test_bus_outage_kills_nobody),
        JOINED(test_all_silent_blames_itself),
        JOINED(test_goodbye),
        FRESH(test_people_are_not_in_the_mean),
        JOINED(test_stale_sector_is_refused),
        JOINED(test_operation_counts_add_up),
        JOINED(test_targets_left_out_have_their_reasons),
        JOINED(test_lead_time_and_skip),
        JOINED(test_hold_counts_release),
        JOINED(test_arrivals_count_against_their_prediction),
        JOINED(test_odd_times_teach_nothing),
        JOINED(test_resend_then_timeouts),
        JOINED(test_resends_keep_their_number),
        JOINED(test_left_behind_is_not_sent_again),
        JOINED(test_ttl_ends_what_was_not_sent),
        JOINED(test_sample_and_route),
        JOINED(test_fire_and_forget),
        JOINED(test_cancel),
        JOINED(test_freeze_and_thaw),
        JOINED(test_breaker_by_hand_and_heal),
        JOINED(test_breaker_trips_and_recovers),
        JOINED(test_late_beat_is_a_probe_still),
        JOINED(test_progress_of_long_operations),
        JOINED(test_many_operations_then_overload),
        JOINED(test_prepare),
        JOINED(test_result_waits_for_the_bus),
        JOINED(test_bad_acks),
        JOINED(test_query_agents_pages),
        JOINED(test_query_answers),
        JOINED(test_long_answers_are_paged),
        JOINED(test_inspect),
        JOINED(test_relay_within_the_cluster),
        JOINED(test_relay_beyond_and_back),
        JOINED(test_relay_to_absent_agents),
        JOINED(test_broadcast_is_summed),
        JOINED(test_circling_message_is_dropped),
        JOINED(test_registry_is_written_behind),
        JOINED(test_refused_write_is_repeated),
        JOINED(test_few_writes_wait_for_answers),
        JOINED(test_only_what_is_new_is_written),
        JOINED(test_back_after_an_outage),
        cmocka_unit_test_teardown(test_leads_come_back_one_by_one, teardown),
        FRESH(test_roster_is_loaded),
        cmocka_unit_test_teardown(test_random_events_always_add_up, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
