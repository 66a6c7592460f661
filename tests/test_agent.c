/* The agent's stories (tiers/agent): joining, beats, operations, hold. */
#include "core/schedule.h"
#include "tests/support/agent.h"

static void test_hello_until_welcome(void **state)
{
    (void)state;
    rig_start(&rig);
    const struct msg *m = rig_sent(&rig, MSG_HELLO);
    assert_non_null(m);
    assert_int_equal(m->u.hello.uid, 80);
    assert_int_equal(m->u.hello.incarnation, 5);
    int64_t last_us = rig.now_us;
    for (int i = 0; i < 5; i++) {
        assert_non_null(wait_for(MSG_HELLO, rig.now_us + 10 * S));
        assert_in_range(rig.now_us - last_us, 1 * S, 5 * S);
        last_us = rig.now_us;
    }
    struct msg w = from_lead(MSG_WELCOME); /* for an earlier life: ignored */
    w.u.welcome = (struct welcome){.accepted = true, .incarnation = 4, .beat_us = 5 * S};
    rig_msg(&rig, &w);
    assert_null(rig_sent(&rig, MSG_HEARTBEAT));
    welcome();
    assert_non_null(rig_sent(&rig, MSG_HEARTBEAT));
    assert_non_null(rig_note(&rig, NOTE_JOINED));
}

static void test_refused_hello_waits_longer(void **state)
{
    (void)state;
    rig_start(&rig);
    struct msg w = from_lead(MSG_WELCOME);
    w.u.welcome = (struct welcome){.reason = REASON_STALE_EPOCH, .incarnation = 5};
    rig_msg(&rig, &w);
    int64_t at_us = rig.now_us;
    assert_non_null(wait_for(MSG_HELLO, rig.now_us + 60 * S));
    assert_true(rig.now_us - at_us > 10 * S);
}

/* The mesh times of the next beats of one agent, whose clock is off by `shift`. */
static int64_t beat_instant(unsigned sector, unsigned cluster, unsigned agent, int64_t shift_us)
{
    struct rig other;
    struct node_conf conf = conf_for(sector, cluster, agent);
    rig_init(&other, &agent_ops, &conf, 500 * S + shift_us);
    rig_start(&other);
    struct msg w = {.type = MSG_WELCOME, .from = unit_cluster(sector, cluster), .to = conf.self};
    w.u.welcome = (struct welcome){.accepted = true, .incarnation = 5, .beat_us = 5 * S};
    rig_msg(&other, &w);
    assert_non_null(rig_sent(&other, MSG_HEARTBEAT));
    struct msg m = {.type = MSG_BEAT_REPLY, .from = w.from, .to = conf.self};
    int64_t lead_us = other.now_us - shift_us;
    m.sent_us = lead_us + 300;
    m.recv_us = other.now_us + 500;
    m.u.beat_reply = (struct beat_reply){.time = {.t1_us = other.now_us,
                                                  .t2_us = lead_us + 200,
                                                  .mesh_offset_us = MESH_OFFSET,
                                                  .error_us = 50},
                                         .known = true};
    other.now_us += 500;
    rig_msg(&other, &m);
    while (rig_sent(&other, MSG_HEARTBEAT) == NULL) {
        other.now_us = other.wake_us;
        rig_wake(&other);
    }
    int64_t mesh_us = other.now_us - shift_us + MESH_OFFSET;
    rig_done(&other);
    return mesh_us;
}

static void test_cluster_beats_together(void **state)
{
    (void)state;
    int64_t a = beat_instant(1, 2, 3, 0);
    int64_t b = beat_instant(1, 2, 4, 77 * S + 123456);
    int64_t c = beat_instant(60, 5, 4, 0);
    assert_true(a - b < 500 && b - a < 500);
    assert_true((c - a > 500000 && c - a < 5 * S) || (a - c > 500000 && a - c < 5 * S));
}

static void test_unknown_agent_says_hello_again(void **state)
{
    (void)state;
    beat_reply(false);
    assert_non_null(wait_for(MSG_HELLO, rig.now_us + S));
}

/* An agent that nobody tells the time asks every second, and then less and less often. */
static void test_asks_for_time_less_often(void **state)
{
    (void)state;
    rig_start(&rig);
    welcome();
    int64_t last_us = rig.now_us, pause_us = 0;
    for (unsigned ask = 1; ask <= 10; ask++) {
        assert_non_null(wait_for(MSG_HEARTBEAT, rig.now_us + 10 * S));
        pause_us = rig.now_us - last_us;
        last_us = rig.now_us;
        if (ask <= 5) {
            assert_in_range(pause_us, 400000, 1200000);
        } else if (ask >= 8) {
            assert_in_range(pause_us, 4 * S, 6 * S); /* as often as it beats */
        }
    }
    beat_reply(true);
    assert_non_null(wait_for(MSG_HEARTBEAT, rig.now_us + 10 * S));
}

static void test_bus_down_is_silent(void **state)
{
    (void)state;
    rig_link(&rig, LINK_BUS, false);
    assert_true(rig.wake_us == NEVER);
    rig.now_us += 60 * S;
    rig_link(&rig, LINK_BUS, true);
    assert_non_null(wait_for(MSG_HEARTBEAT, rig.now_us + 2 * S));
}

static void test_operation_is_done_and_acknowledged(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    int64_t came_us = rig.now_us;
    operate(&op);
    uint64_t ref = work_ref();
    assert_memory_equal(&last_work, &op.id, sizeof op.id);
    rig.now_us += 7000;
    work_done(ref, OUTCOME_READY, "hi");
    const struct ack *a = acked();
    assert_int_equal(a->outcome, OUTCOME_READY);
    assert_int_equal(a->seq, 1);
    assert_int_equal(a->processing_us, 7000);
    assert_int_equal(a->echo_sent_us, came_us);
    assert_true(a->arrival_mesh_us - a->received_mesh_us == 7000);
    assert_int_equal(a->release_mesh_us, 0);
    assert_int_equal(a->answer_bytes, 2);
    assert_memory_equal(a->answer, "hi", 2);
    assert_false(a->late);
    assert_non_null(rig_note(&rig, NOTE_EXECUTED));
}

static void test_handler_failure_and_conflict(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    work_done(work_ref(), OUTCOME_FAILED, NULL);
    assert_int_equal(acked()->outcome, OUTCOME_FAILED);
    assert_int_equal(acked()->reason, REASON_HANDLER);
    op = operation_of(2);
    operate(&op);
    struct conflict_detail d = {.type = CONFLICT_DATA_CONTRADICTION};
    struct work_reply reply = {
        .ref = work_ref(), .final = true, .verdict = OUTCOME_CONFLICT, .conflict = &d};
    rig_work(&rig, &reply);
    assert_int_equal(acked()->outcome, OUTCOME_CONFLICT);
    assert_int_equal(acked()->conflict->type, CONFLICT_DATA_CONTRADICTION);
}

static void test_hold_releases_at_t(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    op.timing = TIMING_AT;
    op.target_mesh_us = rig.now_us + MESH_OFFSET + 800000;
    int64_t target_us = rig.now_us + 800000;
    operate(&op);
    assert_int_equal(acked()->outcome, OUTCOME_PENDING); /* T is more than 250 ms away */
    uint64_t ref = work_ref();
    char big[ANSWER_BYTES_MAX];
    memset(big, 'x', sizeof big);
    struct work_reply reply = {.ref = ref,
                               .final = true,
                               .verdict = OUTCOME_READY,
                               .answer = (uint8_t *)big,
                               .answer_bytes = sizeof big};
    rig.now_us += 5000;
    rig_work(&rig, &reply);
    assert_null(rig_sent(&rig, MSG_ACK));
    const struct msg *m = wait_for(MSG_ACK, target_us + S);
    assert_non_null(m);
    /* Released at T, said afterwards, when it is this lead's turn; the test's own clock error. */
    assert_in_range(rig.now_us, target_us - 600,
                    target_us + (int64_t)topo.agents * SCHEDULE_ACK_US + 600);
    assert_true(m->u.ack.release_mesh_us >= op.target_mesh_us);
    assert_true(m->u.ack.release_mesh_us - op.target_mesh_us < 100);
    assert_true(m->u.ack.arrival_mesh_us < op.target_mesh_us);
    assert_int_equal(m->u.ack.answer_bytes, sizeof big);
    assert_memory_equal(m->u.ack.answer, big, sizeof big);
    assert_null(rig_note(&rig, NOTE_RELEASED)); /* it was noted when it happened */
}

static void test_slow_work_says_pending(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    uint64_t ref = work_ref();
    assert_null(rig_sent(&rig, MSG_ACK));
    int64_t from_us = rig.now_us;
    const struct msg *m = wait_for(MSG_ACK, from_us + S);
    assert_non_null(m);
    assert_int_equal(m->u.ack.outcome, OUTCOME_PENDING);
    assert_in_range(rig.now_us - from_us, 250000, 251000);
    work_done(ref, OUTCOME_READY, "a");
    assert_int_equal(acked()->outcome, OUTCOME_READY);
}

static void test_duplicates_repeat_the_answer(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    uint64_t ref = work_ref();
    operate(&op); /* while it runs */
    assert_int_equal(acked()->outcome, OUTCOME_PENDING);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    work_done(ref, OUTCOME_READY, "hi");
    int64_t arrival_us = acked()->arrival_mesh_us;
    rig.now_us += 100000;
    operate(&op); /* after it is done */
    assert_int_equal(acked()->outcome, OUTCOME_READY);
    assert_true(acked()->arrival_mesh_us == arrival_us);
    assert_int_equal(acked()->echo_sent_us, rig.now_us);
    assert_memory_equal(acked()->answer, "hi", 2);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    assert_non_null(rig_note(&rig, NOTE_DUPLICATE));
    for (uint8_t n = 2; n < 14; n++) { /* kept in full no more, but still recognised */
        struct operation next = operation_of(n);
        operate(&next);
        work_done(work_ref(), OUTCOME_READY, "hi");
    }
    operate(&op);
    assert_int_equal(acked()->outcome, OUTCOME_READY);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
}

/* Operation n of many, with an id of its own, created now. */
static struct operation numbered(uint32_t n)
{
    struct operation op = operation_of(0);
    int64_t ms = op.created_mesh_us / 1000;
    for (int i = 0; i < 6; i++) {
        op.id.bytes[i] = (uint8_t)(ms >> (40 - 8 * i));
    }
    memcpy(op.id.bytes + 8, &n, sizeof n);
    sequence = n;
    return op;
}

/* Takes it in and does it. */
static void do_numbered(uint32_t n)
{
    struct operation op = numbered(n);
    operate(&op);
    work_done(work_ref(), OUTCOME_READY, NULL);
}

/* A thousand operations are over and no longer remembered by id; their acknowledgements were late,
 * so all of them are sent again. */
static void test_nothing_runs_twice_among_many(void **state)
{
    (void)state;
    static struct operation ops[1001];
    for (uint32_t n = 1; n <= 1000; n++) {
        ops[n] = numbered(n);
        rig.now_us += 100;
        if (n != 500) { /* lost on its way */
            operate(&ops[n]);
            work_done(work_ref(), n == 7 ? OUTCOME_FAILED : OUTCOME_READY, NULL);
        }
    }
    for (attempt = 0; attempt <= 1; attempt++) {
        for (sequence = 1; sequence <= 1000; sequence++) {
            if (sequence == 500) {
                continue;
            }
            operate(&ops[sequence]);
            assert_null(rig_effect(&rig, FX_WORK, 0, 0));
            assert_non_null(rig_note(&rig, NOTE_DUPLICATE));
            assert_int_equal(acked()->outcome, sequence == 7 ? OUTCOME_PENDING : OUTCOME_READY);
        }
    }
    sequence = 500; /* never here: its resend is not taken for a duplicate */
    operate(&ops[500]);
    work_done(work_ref(), OUTCOME_READY, NULL);
    assert_int_equal(acked()->outcome, OUTCOME_READY);
}

static void test_window_of_sequence_numbers(void **state)
{
    (void)state;
    sequence = 5000; /* the first that this agent hears */
    do_numbered(5000);
    struct operation old = numbered(5000 - OPERATE_WINDOW);
    operate(&old); /* done long ago or not: it does not run, and nobody says that it did */
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    assert_null(rig_sent(&rig, MSG_ACK));
    do_numbered(5000 - OPERATE_WINDOW + 1); /* the oldest that can be told */
    do_numbered(5000 + OPERATE_WINDOW - 1); /* a gap; 4,999 is in the window still */
    struct operation op = numbered(5000 + OPERATE_WINDOW - 1);
    op.id.bytes[12] = 1; /* another id: the number alone is enough */
    operate(&op);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    assert_int_equal(acked()->outcome, OUTCOME_READY);
    assert_int_equal(acked()->arrival_mesh_us, 0);
    do_numbered(5001 + OPERATE_WINDOW / 2); /* the bits of the former turn were cleared */
    op = numbered(5000 + OPERATE_WINDOW - 1);
    op.id.bytes[12] = 2;
    op.priority = 3; /* each priority has its own */
    operate(&op);
    work_done(work_ref(), OUTCOME_READY, NULL);
    do_numbered(UINT32_MAX / 2 + 5000); /* serial numbers: past the end comes 1 */
    do_numbered(UINT32_MAX - 1);
    do_numbered(UINT32_MAX);
    do_numbered(1);
    op = numbered(UINT32_MAX);
    op.id.bytes[12] = 3;
    operate(&op);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
}

static void test_refused_and_cancelled_are_not_mistaken(void **state)
{
    (void)state;
    struct operation first = numbered(1);
    operate(&first);
    uint64_t ref = work_ref();
    struct operation op = numbered(2); /* in the queue, then cancelled: its resend does not run */
    operate(&op);
    struct msg m = from_lead(MSG_CANCEL);
    m.u.cancel.operation_id = op.id;
    rig_msg(&rig, &m);
    attempt = 1;
    operate(&op);
    work_done(ref, OUTCOME_READY, NULL);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    op = numbered(3);
    op.selector.capabilities = 1ull << 40; /* not taken in: may be sent again */
    operate(&op);
    assert_int_equal(acked()->reason, REASON_CAPABILITY);
    op.selector.capabilities = 0;
    operate(&op);
    work_done(work_ref(), OUTCOME_READY, NULL);
}

static void test_new_lead_starts_the_windows_anew(void **state)
{
    (void)state;
    static struct operation ops[201];
    for (uint32_t n = 1; n <= 200; n++) {
        rig.now_us += 100000;
        ops[n] = numbered(n);
        operate(&ops[n]);
        work_done(work_ref(), OUTCOME_READY, NULL);
    }
    lead_epoch = 2; /* it was given some of its predecessor's operations again, as new to it */
    sequence = 1;
    operate(&ops[200]); /* known by its id */
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    assert_int_equal(acked()->outcome, OUTCOME_READY);
    sequence = 2;
    operate(&ops[1]); /* forgotten, and from before this lead: it may have run */
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    assert_int_equal(acked()->reason, REASON_OVERLOAD);
    rig.now_us += 100000;
    do_numbered(3);
    lead_epoch = 1;
    struct operation late = numbered(4); /* of the former lead */
    operate(&late);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    assert_non_null(rig_note(&rig, NOTE_STALE_EPOCH));
}

static void test_stop_says_goodbye(void **state)
{
    (void)state;
    struct event stop = {.kind = EV_STOP};
    rig_event(&rig, &stop);
    const struct msg *m = rig_sent(&rig, MSG_GOODBYE);
    assert_non_null(m);
    assert_true(unit_equal(m->to, unit_cluster(1, 2)));
    assert_int_equal(m->epoch, 5);
    assert_true(rig.wake_us == NEVER);
}

static void test_ttl(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    op.created_mesh_us -= 31 * S;
    operate(&op);
    assert_int_equal(acked()->outcome, OUTCOME_REFUSED);
    assert_int_equal(acked()->reason, REASON_EXPIRED);
    op = operation_of(2); /* in the queue behind a slow one */
    operate(&op);
    uint64_t ref = work_ref();
    struct operation second = operation_of(3);
    second.ttl_us = S;
    operate(&second);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    rig.now_us += 2 * S;
    work_done(ref, OUTCOME_READY, NULL);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    const struct effect *e = rig_effect(&rig, FX_SEND, MSG_ACK, 0);
    bool refused = false;
    for (uint32_t n = 0; e != NULL; e = rig_effect(&rig, FX_SEND, MSG_ACK, ++n)) {
        refused |= e->u.msg.u.ack.reason == REASON_EXPIRED;
    }
    assert_true(refused);
}

static void test_hold_beyond_ttl_has_no_effect(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    op.timing = TIMING_AT;
    op.target_mesh_us = rig.now_us + MESH_OFFSET + 2 * S;
    op.ttl_us = S;
    operate(&op);
    work_done(work_ref(), OUTCOME_READY, "x");
    const struct msg *m = wait_for(MSG_ACK, rig.now_us + 3 * S);
    while (m != NULL && m->u.ack.outcome == OUTCOME_PENDING) {
        m = wait_for(MSG_ACK, rig.now_us + 3 * S);
    }
    assert_non_null(m);
    assert_int_equal(m->u.ack.outcome, OUTCOME_REFUSED);
    assert_int_equal(m->u.ack.reason, REASON_EXPIRED);
    assert_null(rig_note(&rig, NOTE_RELEASED));
}

static void test_capabilities(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    op.selector.capabilities = 4;
    operate(&op);
    assert_int_equal(acked()->reason, REASON_CAPABILITY);
    op = operation_of(2);
    op.unknown_capability = true;
    operate(&op);
    assert_int_equal(acked()->reason, REASON_CAPABILITY);
    op = operation_of(3);
    op.selector.capabilities = 3;
    operate(&op);
    assert_null(rig_sent(&rig, MSG_ACK));
}

/* Another agent takes its place when it refuses: so it stays with that, with room or without. */
static void test_refusal_of_a_hedged_sample_is_for_good(void **state)
{
    (void)state;
    struct operation lacks = operation_of(1);
    lacks.selector.capabilities = UINT64_MAX;
    lacks.selector.sample = 3;
    lacks.hedge = true;
    operate(&lacks);
    assert_int_equal(acked()->outcome, OUTCOME_REFUSED);
    lacks.selector.capabilities = 0; /* as if it had it now */
    operate(&lacks);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    assert_int_equal(acked()->outcome, OUTCOME_PENDING);
}

static void test_overload_and_priorities(void **state)
{
    (void)state;
    uint64_t first = 0;
    for (uint8_t n = 1; n <= 10; n++) { /* one runs, nine wait */
        struct operation op = operation_of(n);
        op.priority = n == 4 ? 0 : 1;
        operate(&op);
        assert_null(rig_sent(&rig, MSG_ACK));
        first = n == 1 ? work_ref() : first;
    }
    struct operation low = operation_of(20);
    low.priority = 0;
    operate(&low);
    assert_int_equal(acked()->outcome, OUTCOME_REFUSED);
    assert_int_equal(acked()->reason, REASON_OVERLOAD);
    assert_memory_equal(&acked()->operation_id, &low.id, sizeof low.id);
    struct operation high = operation_of(21);
    high.priority = 3;
    operate(&high);
    struct operation dropped = operation_of(4);
    assert_int_equal(acked()->reason, REASON_OVERLOAD);
    assert_memory_equal(&acked()->operation_id, &dropped.id, sizeof dropped.id);
    assert_non_null(rig_note(&rig, NOTE_QUEUE_DROP));
    struct work_reply reply = {.ref = first, .final = true, .verdict = OUTCOME_READY};
    rig_work(&rig, &reply); /* the first one ends: the critical one is next */
    work_ref();
    assert_memory_equal(&last_work, &high.id, sizeof high.id);
}

static void test_ageing_lifts_the_old(void **state)
{
    (void)state;
    struct operation first = operation_of(1);
    operate(&first);
    uint64_t ref = work_ref();
    struct operation old = operation_of(2);
    old.priority = 0;
    operate(&old);
    rig.now_us += 7 * S;
    struct operation young = operation_of(3);
    young.priority = 2;
    operate(&young);
    work_done(ref, OUTCOME_READY, NULL);
    work_ref();
    assert_memory_equal(&last_work, &old.id, sizeof old.id);
}

static void test_cancel(void **state)
{
    (void)state;
    struct operation first = operation_of(1);
    struct operation queued = operation_of(2);
    operate(&first);
    uint64_t ref = work_ref();
    operate(&queued);
    struct msg m = from_lead(MSG_CANCEL);
    m.u.cancel.operation_id = queued.id;
    rig_msg(&rig, &m);
    work_done(ref, OUTCOME_READY, NULL);
    assert_null(rig_effect(&rig, FX_WORK, 0, 0)); /* it was dropped */
    struct operation held = operation_of(3);
    held.timing = TIMING_AT;
    held.target_mesh_us = rig.now_us + MESH_OFFSET + S;
    operate(&held);
    work_done(work_ref(), OUTCOME_READY, NULL);
    m.u.cancel.operation_id = held.id;
    rig_msg(&rig, &m);
    assert_null(wait_for(MSG_ACK, rig.now_us + 3 * S)); /* no effect at T */
    struct operation running = operation_of(4);
    struct operation after = operation_of(5);
    operate(&running);
    ref = work_ref();
    operate(&after); /* one handler: it waits */
    m.u.cancel.operation_id = running.id;
    rig_msg(&rig, &m);
    const struct effect *cancel = rig_effect(&rig, FX_WORK_CANCEL, 0, 0);
    assert_non_null(cancel); /* the handler is told .. */
    assert_int_equal(cancel->u.work_ref, ref);
    assert_non_null(rig_effect(&rig, FX_WORK, 0, 0)); /* .. and its place is free at once */
    work_done(ref, OUTCOME_READY, NULL);              /* too late: nobody listens */
    assert_null(rig_effect(&rig, FX_SEND, MSG_ACK, 0));
}

static void test_stale_lead_is_refused(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    struct msg m = from_lead(MSG_OPERATE);
    m.epoch = 3;
    m.u.operate = (struct operate){.operation_id = op.id, .operation = NULL};
    rig_msg(&rig, &m);
    operate(&op); /* epoch 1 now lies below 3 */
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    assert_non_null(rig_note(&rig, NOTE_STALE_EPOCH));
}

static void test_silent_handler_fails(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    op.ttl_us = 2 * S;
    operate(&op);
    uint64_t ref = work_ref();
    const struct msg *m = wait_for(MSG_ACK, rig.now_us + 10 * S);
    while (m != NULL && m->u.ack.outcome == OUTCOME_PENDING) {
        m = wait_for(MSG_ACK, rig.now_us + 10 * S);
    }
    assert_non_null(m);
    assert_int_equal(m->u.ack.outcome, OUTCOME_FAILED);
    assert_non_null(rig_effect(&rig, FX_WORK_CANCEL, 0, 0));
    work_done(ref, OUTCOME_READY, "too late");
    assert_null(rig_sent(&rig, MSG_ACK));
    op = operation_of(2); /* the handler's place is free again */
    operate(&op);
    assert_non_null(rig_effect(&rig, FX_WORK, 0, 0));
}

static void test_full_outbox_delays_the_answer(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    uint64_t ref = work_ref();
    struct work_reply reply = {.ref = ref,
                               .final = true,
                               .verdict = OUTCOME_READY,
                               .answer = (const uint8_t *)"hi",
                               .answer_bytes = 2};
    struct event e = {.kind = EV_WORK, .now_us = rig.now_us};
    e.u.work = &reply;
    outbox_clear(rig.out);
    while (outbox_room(rig.out, 1, 0)) {
        out_note(rig.out, NOTE_STARTED, 0, 0);
    }
    assert_true(rig.ops->step(rig.node, &e, rig.out) == rig.now_us);
    rig_wake(&rig);
    assert_int_equal(acked()->outcome, OUTCOME_READY);
    assert_memory_equal(acked()->answer, "hi", 2);
}

static void test_is_small(void **state)
{
    (void)state;
    struct node_conf conf = conf_for(1, 2, 3);
    assert_true(agent_ops.size(&conf) <= 5u * 1024u + 512u);
}

/* --- random events --- */

#define RANDOM_OPS 20u

static uint64_t random_state;
static uint32_t runs_of[RANDOM_OPS + 1], finals_of[RANDOM_OPS + 1];
static uint64_t open_refs[64];
static uint32_t open_count;

static uint32_t pick(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static void count_effects(void)
{
    const struct effect *e;
    for (uint32_t k = 0; (e = rig_effect(&rig, FX_WORK, 0, k)) != NULL; k++) {
        runs_of[e->u.work.operation.bytes[0]]++;
        assert_int_equal(runs_of[e->u.work.operation.bytes[0]], 1); /* nothing runs twice */
        assert_true(open_count < 64);
        open_refs[open_count++] = e->u.work.ref;
    }
    for (uint32_t k = 0; (e = rig_effect(&rig, FX_SEND, MSG_ACK, k)) != NULL; k++) {
        const struct ack *a = &e->u.msg.u.ack;
        finals_of[a->operation_id.bytes[0]] += a->outcome != OUTCOME_PENDING;
        assert_true(a->outcome != OUTCOME_READY || runs_of[a->operation_id.bytes[0]] == 1);
    }
    outbox_clear(rig.out); /* counted once */
}

static void random_step(struct operation *ops)
{
    uint32_t n = 1 + pick(RANDOM_OPS);
    switch (pick(4)) {
    case 0:
        if (ops[n].ttl_us == 0) {
            ops[n] = operation_of((uint8_t)n);
            ops[n].priority = (uint8_t)pick(4);
            ops[n].timing = pick(2) == 0 ? TIMING_AT : TIMING_SOON;
            ops[n].target_mesh_us = rig.now_us + MESH_OFFSET + (int64_t)pick(2000) * 1000;
            ops[n].ttl_us = 600 * S;
        }
        operate(&ops[n]);
        break;
    case 1:
        if (open_count > 0) {
            work_done(open_refs[--open_count], (enum outcome)(1 + pick(3)), "answer");
        }
        break;
    default:
        rig.now_us += pick(50000);
        if (rig.wake_us <= rig.now_us) {
            rig.fill = pick(3) == 0 ? OUTBOX_EFFECTS_MAX - pick(2) : 0;
            rig_wake(&rig);
        }
        break;
    }
    count_effects();
}

static void test_random_events_are_answered_once(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct operation ops[RANDOM_OPS + 1];
        memset(ops, 0, sizeof ops);
        memset(runs_of, 0, sizeof runs_of);
        memset(finals_of, 0, sizeof finals_of);
        open_count = 0;
        setup_joined(state);
        random_state = seed;
        for (int step = 0; step < 600; step++) {
            random_step(ops);
        }
        rig.fill = 0;
        for (int step = 0; step < 2000; step++) { /* the rest ends by itself */
            if (open_count > 0) {
                work_done(open_refs[--open_count], OUTCOME_READY, "answer");
            } else {
                rig.now_us = rig.wake_us;
                rig_wake(&rig);
            }
            count_effects();
        }
        for (uint32_t n = 1; n <= RANDOM_OPS; n++) {
            assert_true(ops[n].ttl_us == 0 || finals_of[n] >= 1);
        }
        if (seed < 30) {
            teardown(state);
        }
    }
}

#define JOINED(f) cmocka_unit_test_setup_teardown(f, setup_joined, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_hello_until_welcome, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused_hello_waits_longer, setup, teardown),
        JOINED(test_cluster_beats_together),
        JOINED(test_unknown_agent_says_hello_again),
        cmocka_unit_test_setup_teardown(test_asks_for_time_less_often, setup, teardown),
        JOINED(test_bus_down_is_silent),
        JOINED(test_operation_is_done_and_acknowledged),
        JOINED(test_handler_failure_and_conflict),
        JOINED(test_hold_releases_at_t),
        JOINED(test_slow_work_says_pending),
        JOINED(test_duplicates_repeat_the_answer),
        JOINED(test_nothing_runs_twice_among_many),
        JOINED(test_window_of_sequence_numbers),
        JOINED(test_refused_and_cancelled_are_not_mistaken),
        JOINED(test_new_lead_starts_the_windows_anew),
        JOINED(test_stop_says_goodbye),
        JOINED(test_ttl),
        JOINED(test_hold_beyond_ttl_has_no_effect),
        JOINED(test_capabilities),
        JOINED(test_refusal_of_a_hedged_sample_is_for_good),
        JOINED(test_overload_and_priorities),
        JOINED(test_ageing_lifts_the_old),
        JOINED(test_cancel),
        JOINED(test_stale_lead_is_refused),
        JOINED(test_silent_handler_fails),
        JOINED(test_full_outbox_delays_the_answer),
        JOINED(test_is_small),
        cmocka_unit_test_teardown(test_random_events_are_answered_once, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
