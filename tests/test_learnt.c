/* What a lead has learnt outlives it: in text and back, and through a registry from one lead to its
 * successor. And how impedance has been: history, trend, spikes. */
#include "core/impedance_history.h"
#include "core/predictor_save.h"
#include "core/rng.h"
#include "registry/memory.h"
#include "tests/support/steps.h"
#include "tiers/cluster/cluster.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S       1000000ll
#define MESH    (1700000000ll * S) /* mesh time - the lead's clock */
#define WORK_US 400000ll           /* the spec's table says 15 ms of its class */

/* --- text --- */

static void teach(struct predictor *p, struct predictor_tail *tail, struct predictor_prior *prior)
{
    struct rng r;
    rng_seed(&r, 3, 1);
    predictor_prior_init(prior, CLASS_B_SERVERLESS, 0.99);
    predictor_init(p, PREDICTOR_QUANTILE, CLASS_B_SERVERLESS);
    for (int k = 0; k < 200; k++) {
        predictor_observe_tail(p, tail, prior, 1, (uint32_t)rng_below(&r, 4), 40000,
                               90000 + (int64_t)rng_below(&r, 60000), 1000 * k);
    }
}

static void test_text_and_back(void **state)
{
    (void)state;
    struct predictor p, q;
    struct predictor_prior prior, other;
    teach(&p, NULL, &prior);
    struct saved_line lines[PREDICTOR_SAVED_LINES];
    struct saved_line shared[PRIOR_SAVED_LINES];
    predictor_save(&p, lines);
    predictor_prior_save(&prior, shared);
    predictor_init(&q, PREDICTOR_QUANTILE, CLASS_B_SERVERLESS);
    predictor_prior_init(&other, CLASS_B_SERVERLESS, 0.99);
    assert_true(predictor_load(&q, lines));
    assert_true(predictor_prior_load(&other, shared));
    struct prediction a = predictor_predict(&p, &prior, 2, 1, 0.99);
    struct prediction b = predictor_predict(&q, &prior, 2, 1, 0.99);
    assert_int_equal(a.network_us, b.network_us);
    assert_int_equal(a.processing_us, b.processing_us);
    assert_int_equal(a.lead_us, b.lead_us);
    assert_int_equal(a.confidence_permille, b.confidence_permille);
    assert_int_equal(q.last_us, 0);
    b = predictor_predict(&q, &other, 2, 1, 0.99); /* only what all had in common is forgotten */
    assert_in_range(b.lead_us, a.lead_us * 9 / 10, a.lead_us * 11 / 10);
}

static void test_a_tail_is_begun_anew(void **state)
{
    (void)state;
    struct predictor p, q;
    struct predictor_prior prior;
    struct predictor_tail tail = {0};
    teach(&p, &tail, &prior);
    struct saved_line lines[PREDICTOR_SAVED_LINES];
    predictor_save(&p, lines);
    predictor_init(&q, PREDICTOR_QUANTILE, CLASS_B_SERVERLESS);
    assert_true(predictor_load(&q, lines));
    assert_int_equal(q.ring_count, PREDICTOR_RING);
    memset(&tail, 0, sizeof tail);
    for (int k = 0; k < 200; k++) {
        predictor_observe_tail(&q, &tail, &prior, 1, 0, 40000, 100000, k);
    }
    assert_int_equal(q.ring_count, PREDICTOR_RING + PREDICTOR_TAIL);
}

/* Whatever stands in the registry: refused and untouched, or within bounds and fit for use. */
static void test_hostile_text(void **state)
{
    (void)state;
    struct predictor p, before;
    struct predictor_prior prior;
    struct saved_line lines[PREDICTOR_SAVED_LINES], good[PREDICTOR_SAVED_LINES];
    struct rng r;
    rng_seed(&r, 5, 2);
    teach(&p, NULL, &prior);
    predictor_save(&p, good);
    predictor_init(&before, PREDICTOR_JACOBSON, CLASS_B_SERVERLESS);
    assert_false(predictor_load(&before, good)); /* another kind */
    predictor_init(&before, PREDICTOR_QUANTILE, CLASS_D_GPU);
    assert_false(predictor_load(&before, good)); /* another class */
    predictor_init(&before, PREDICTOR_QUANTILE, CLASS_B_SERVERLESS);
    unsigned refused = 0;
    for (int k = 0; k < 20000; k++) {
        memcpy(lines, good, sizeof lines);
        for (int n = 0; n < 1 + k % 3; n++) {
            char *at = &lines[rng_below(&r, PREDICTOR_SAVED_LINES)].digits[rng_below(&r, 64)];
            *at = "0123456789abcdefgZ\n"[rng_below(&r, 19)];
        }
        p = before;
        if (!predictor_load(&p, lines)) {
            refused++;
            assert_memory_equal(&p, &before, sizeof p);
            continue;
        }
        struct predictor_prior use = prior;
        for (int n = 0; n < 3; n++) {
            struct prediction said = predictor_predict(&p, &use, 1, 1, 0.99);
            assert_true(said.lead_us >= 0 && said.lead_us <= PREDICTOR_LEAD_MAX_US);
            predictor_observe(&p, &use, 1, 1, 40000, 100000, n);
        }
    }
    assert_true(refused > 2000);
}

/* --- history --- */

static void test_history_trend_and_spikes(void **state)
{
    (void)state;
    struct impedance_history h = {0};
    uint16_t values[HISTORY_MINUTES];
    int64_t now_us = 1000 * S;
    assert_int_equal(impedance_history_trend_percent(&h), 0);
    for (int k = 0; k < 60; k++, now_us += 5 * S) {
        assert_false(impedance_history_add(&h, now_us, 100000));
    }
    assert_true(impedance_history_add(&h, now_us, 250000)); /* begins */
    assert_true(h.spiking);
    assert_false(impedance_history_add(&h, now_us + 1, 250000)); /* goes on */
    assert_false(impedance_history_add(&h, now_us + 2, 90000));
    assert_false(h.spiking);
    assert_int_equal(h.spikes, 1);
    for (int k = 0; k < 240; k++, now_us += 5 * S) { /* 20 minutes, slower by and by */
        assert_false(impedance_history_add(&h, now_us, 100000 + 1000 * (uint32_t)k));
    }
    assert_int_equal(impedance_history_values(&h, values), HISTORY_MINUTES);
    for (unsigned i = 1; i < HISTORY_MINUTES; i++) {
        assert_true(values[i] > values[i - 1]);
    }
    assert_in_range(impedance_history_trend_percent(&h), 30, 60);
    for (int k = 0; k < 1000; k++, now_us += 5 * S) { /* ten times slower, for good */
        (void)impedance_history_add(&h, now_us, 3000000);
    }
    assert_false(h.spiking);                                   /* the average has followed */
    (void)impedance_history_add(&h, now_us + 86400 * S, 5000); /* a day away */
    assert_int_equal(impedance_history_values(&h, values), 1);
    assert_int_equal(values[0], 5);
}

/* Slower by what an operation to all has in front of itself is no spike, as long as that may stand
 * in the prediction; more than that is, and so is the same after as many answers to few. */
static void test_waiting_for_others_is_no_spike(void **state)
{
    (void)state;
    struct impedance_history h = {0};
    int64_t now_us = 1000 * S;
    for (int k = 0; k < 20; k++, now_us += 5 * S) {
        assert_false(impedance_history_add(&h, now_us, 100000));
    }
    impedance_history_front(&h, 600000);
    assert_false(impedance_history_add(&h, now_us, 700000));
    assert_false(h.spiking);
    for (unsigned k = 0; k + 1 < FRONT_ANSWERS; k++) {
        impedance_history_front(&h, 600);
        assert_false(impedance_history_add(&h, now_us, 300000));
    }
    assert_true(impedance_history_add(&h, now_us, 2000000));
    assert_false(impedance_history_add(&h, now_us, 100000));
    impedance_history_front(&h, 600);
    assert_true(impedance_history_add(&h, now_us, 600000));
    assert_int_equal(h.spikes, 2);
}

/* --- from lead to lead --- */

static struct topology topo;
static struct rig rig;
static struct memory_store *store;
static int64_t beat_us, store_us;
static uint8_t operations;
static struct unit lead;
static uint64_t incarnation = 9; /* of its agents */

static struct msg from(struct unit who, enum msg_type type, uint64_t epoch)
{
    return (struct msg){
        .type = type, .from = who, .to = lead, .epoch = epoch, .sent_us = rig.now_us};
}

static void hello(unsigned n)
{
    struct msg m = from(unit_agent(lead.sector, lead.cluster, n), MSG_HELLO, incarnation);
    m.u.hello =
        (struct hello){.uid = 1000 + n, .incarnation = incarnation, .agent_class = CLASS_A_EDGE};
    rig_msg(&rig, &m);
}

/* Store effects of the last step, answered. */
static void serve_store(void)
{
    uint64_t refs[OUTBOX_EFFECTS_MAX];
    static struct store_op ops[OUTBOX_EFFECTS_MAX];
    static uint8_t room[OUTBOX_EFFECTS_MAX][4096] __attribute__((aligned(16)));
    uint32_t n = 0;
    const struct effect *e;
    for (; (e = rig_effect(&rig, FX_STORE, 0, n)) != NULL; n++) {
        refs[n] = e->u.store.ref;
        store_op_copy(&e->u.store, &ops[n], room[n], sizeof room[n]);
    }
    for (uint32_t k = 0; k < n; k++) {
        struct store_reply reply;
        memory_store_apply(store, ++store_us, &ops[k], &reply);
        assert_int_equal(reply.ref, refs[k]);
        rig_store(&rig, &reply);
        serve_store();
    }
}

static void beats(void)
{
    struct msg m = from(unit_sector(lead.sector), MSG_BEAT_REPLY, 1);
    m.sent_us = rig.now_us - 200;
    m.u.beat_reply = (struct beat_reply){.time = {.t1_us = rig.now_us - 500,
                                                  .t2_us = rig.now_us - 300,
                                                  .mesh_offset_us = MESH,
                                                  .error_us = 10},
                                         .mode = MODE_FULL,
                                         .known = true};
    rig_msg(&rig, &m);
    serve_store();
    for (unsigned n = 1; n <= 2; n++) {
        m = from(unit_agent(lead.sector, lead.cluster, n), MSG_HEARTBEAT, incarnation);
        m.u.heartbeat = (struct heartbeat){.uid = 1000 + n, .incarnation = incarnation};
        m.u.heartbeat.impedance.latency_us = 4000;
        m.u.heartbeat.impedance.state = AGENT_ACTIVE;
        rig_msg(&rig, &m);
        serve_store();
    }
}

static void pass(int64_t for_us)
{
    int64_t until_us = rig.now_us + for_us;
    while (rig.now_us < until_us) {
        int64_t next_us = rig.wake_us < until_us ? rig.wake_us : until_us;
        rig.now_us = next_us > rig.now_us ? next_us : rig.now_us + 1;
        if (rig.now_us >= beat_us) {
            beat_us = rig.now_us + 5 * S;
            beats();
        }
        rig_wake(&rig);
        serve_store();
    }
}

static void lead_begins(uint64_t epoch, int64_t now_us)
{
    struct node_conf conf = {.self = lead, .uid = 12, .epoch = epoch, .seed = 3, .topology = &topo};
    conf.tuning = tuning_default();
    conf.tuning.bucket_us = 1000;
    conf.tuning.resends_max = 0;
    rig_init(&rig, &cluster_ops, &conf, now_us);
    rig_start(&rig);
    rig_link(&rig, LINK_STORE, true);
    serve_store();
    pass(S); /* the roster */
    hello(1);
    serve_store();
    beat_us = rig.now_us;
    pass(S);
}

/* One operation to agent n, answered after WORK_US; returns what the lead expected. */
static int64_t operate(unsigned n)
{
    struct operation op = {.routing = ROUTING_SCATTER_GATHER,
                           .timing = TIMING_SOON,
                           .priority = 1,
                           .trinary_expectation = 1,
                           .require_ack = true,
                           .created_mesh_us = rig.now_us + MESH,
                           .window_us = 500000,
                           .ttl_us = 30 * S,
                           .timeout_us = 5 * S,
                           .payload_weight = 1,
                           .action = "echo"};
    memset(op.id.bytes, ++operations, sizeof op.id.bytes);
    struct target target = {.quota = UINT32_MAX};
    struct msg m = from(unit_sector(lead.sector), MSG_OPERATE, 1);
    m.u.operate = (struct operate){.operation_id = op.id,
                                   .deadline_mesh_us = rig.now_us + 4 * S + MESH,
                                   .operation = &op,
                                   .target_count = 1,
                                   .targets = &target};
    rig_msg(&rig, &m);
    const struct msg *sent = rig_sent(&rig, MSG_OPERATE);
    assert_non_null(sent);
    uint32_t rank = n - sent->to.agent;
    assert_true(rank < sent->u.operate.target_count);
    int64_t expected_us = sent->u.operate.targets[rank].expected_processing_us;
    int64_t sent_us = rig.now_us;
    serve_store();
    pass(WORK_US + 4000);
    struct msg answer = from(unit_agent(lead.sector, lead.cluster, n), MSG_ACK, incarnation);
    answer.u.ack = (struct ack){.operation_id = op.id,
                                .outcome = OUTCOME_READY,
                                .echo_sent_us = sent_us,
                                .received_mesh_us = sent_us + 2000 + MESH,
                                .arrival_mesh_us = sent_us + 2000 + WORK_US + MESH,
                                .clock_error_us = 100};
    rig_msg(&rig, &answer);
    serve_store();
    pass(S);
    return expected_us;
}

static void learn_at_first_lead(void)
{
    topology_default(30000, &topo);
    store = memory_store_new(1 << 22);
    assert_non_null(store);
    operations = 0;
    lead = unit_cluster(1, 2);
    incarnation = 9;
    lead_begins(4, 100 * S);
    assert_in_range(operate(1), 10000, 20000); /* the table */
    for (int k = 0; k < 59; k++) {
        operate(1);
    }
    assert_in_range(operate(1), WORK_US * 90 / 100, WORK_US * 105 / 100);
    pass(95 * S); /* written */
    rig_done(&rig);
}

static void test_a_successor_knows_what_was_learnt(void **state)
{
    (void)state;
    learn_at_first_lead();
    lead_begins(5, 7 * S); /* another process, another clock */
    assert_in_range(operate(1), WORK_US * 90 / 100, WORK_US * 105 / 100);
    hello(2); /* and what its agents have in common, for a newcomer */
    pass(6 * S);
    assert_in_range(operate(2), WORK_US * 80 / 100, WORK_US * 120 / 100);
    rig_done(&rig);
    memory_store_free(store);
}

static void test_a_spoilt_record_costs_only_itself(void **state)
{
    (void)state;
    learn_at_first_lead();
    struct store_field wrong = {"learnt_2", "not hex", 7};
    struct store_op put = {.ref = 1,
                           .kind = STORE_PUT,
                           .shard = "s01.c2",
                           .key = "agent:00000000000003e9",
                           .fields = &wrong,
                           .field_count = 1};
    struct store_reply reply;
    memory_store_apply(store, ++store_us, &put, &reply);
    assert_int_equal(reply.verdict, STORE_OK);
    lead_begins(5, 7 * S);
    assert_in_range(operate(1), WORK_US * 80 / 100, WORK_US * 120 / 100); /* as a newcomer */
    rig_done(&rig);
    memory_store_free(store);
}

/* The same uid, another place in another sector: what was learnt comes along; where it is now is
 * written, so that the next lead finds it, too. */
static void test_it_moves_with_its_agent(void **state)
{
    (void)state;
    learn_at_first_lead();
    lead = unit_cluster(3, 4);
    incarnation = 10;
    lead_begins(1, 7 * S);
    pass(2 * S); /* it reads */
    assert_in_range(operate(1), WORK_US * 90 / 100, WORK_US * 105 / 100);
    hello(2);
    serve_store();
    pass(2 * S);
    assert_true(operate(2) > 0); /* it was nowhere: the class's prior of here */
    pass(95 * S);
    rig_done(&rig);
    lead = unit_cluster(5, 1); /* and on, twice in a few minutes */
    incarnation = 11;
    lead_begins(1, 7 * S);
    pass(2 * S);
    assert_in_range(operate(1), WORK_US * 80 / 100, WORK_US * 110 / 100);
    rig_done(&rig);
    memory_store_free(store);
}

static struct store_reply line(enum store_kind kind, uint64_t epoch, const char *place)
{
    struct store_field field = {"place", place, (uint16_t)(place != NULL ? strlen(place) : 0)};
    struct store_op op = {.ref = 1,
                          .kind = kind,
                          .epoch = epoch,
                          .shard = "u00",
                          .key = "place:00000000000003e9",
                          .fields = &field,
                          .field_count = place != NULL ? 1 : 0};
    struct store_reply reply;
    memory_store_apply(store, ++store_us, &op, &reply);
    return reply;
}

/* A former place does not come back over a later one, and nonsense there costs nothing. */
static void test_a_place_is_fenced_and_checked(void **state)
{
    (void)state;
    static const char *const nonsense[] = {"", "s99999.c1.a1", "nowhere", "s01", "{}", "s01.c2.a0"};
    for (unsigned k = 0; k < sizeof nonsense / sizeof nonsense[0]; k++) {
        learn_at_first_lead();
        assert_int_equal(line(STORE_EPOCH_PUT, 9, nonsense[k]).verdict, STORE_OK);
        lead = unit_cluster(3, 4);
        incarnation = 10;
        lead_begins(1, 7 * S);
        pass(2 * S);
        assert_in_range(operate(1), 10000, 20000); /* the table */
        rig_done(&rig);
        if (k == 0) { /* at the place where it was, the former life says hello once more */
            lead = unit_cluster(7, 7);
            incarnation = 4;
            lead_begins(1, 9 * S);
            pass(2 * S);
            rig_done(&rig);
        }
        struct store_reply now = line(STORE_GET, 0, NULL);
        assert_int_equal(now.verdict, STORE_OK);
        bool found = false;
        for (uint32_t n = 0; n < now.rows[0].field_count; n++) {
            const struct store_field *f = &now.rows[0].fields[n];
            found |= strcmp(f->name, "place") == 0 && f->value_bytes == 9 &&
                     memcmp(f->value, "s03.c4.a1", 9) == 0;
        }
        assert_true(found);
        memory_store_free(store);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_and_back),
        cmocka_unit_test(test_a_tail_is_begun_anew),
        cmocka_unit_test(test_hostile_text),
        cmocka_unit_test(test_history_trend_and_spikes),
        cmocka_unit_test(test_waiting_for_others_is_no_spike),
        cmocka_unit_test(test_a_successor_knows_what_was_learnt),
        cmocka_unit_test(test_a_spoilt_record_costs_only_itself),
        cmocka_unit_test(test_it_moves_with_its_agent),
        cmocka_unit_test(test_a_place_is_fenced_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
