/* The lead's operations (tiers/cluster): sent, counted, resent, skipped, cancelled, refused. */
#include "core/histogram.h"
#include "tests/support/lead.h"

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

/* How long before T the first send of the lead to all of its agents leaves. */
static int64_t sends_before_t(uint8_t n, enum timing timing, bool to_all, int64_t ahead_us)
{
    struct operation op = operation_of(n);
    op.timing = timing;
    op.target_mesh_us = rig.now_us + MESH + ahead_us;
    if (!to_all) {
        op.selector.places.count = 1;
        op.selector.places.patterns[0] = (struct pattern){{1, 1}, {2, 2}, {1, AGENTS}};
    }
    int64_t target_us = rig.now_us + ahead_us;
    operate(&op);
    uint32_t sent = addressed();
    int64_t before_us = sent > 0 ? target_us - rig.now_us : 0;
    while (sent < AGENTS) { /* nobody is skipped for the others' sake */
        assert_true(rig.wake_us < target_us);
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        before_us = before_us == 0 && addressed() > 0 ? target_us - rig.now_us : before_us;
        sent += addressed();
    }
    for (unsigned i = 1; i <= AGENTS; i++) {
        ack_simple(i, &op, OUTCOME_READY);
    }
    result_of(&op, AGENTS);
    return before_us;
}

/* Thirty thousand that hold until T are sent to over a longer time than thirty, who share it. */
static void test_sends_to_many_who_hold_are_spread(void **state)
{
    (void)state;
    int64_t few_us = sends_before_t(1, TIMING_AT, false, 2 * S);
    int64_t many_us = sends_before_t(2, TIMING_AT, true, 2 * S);
    int64_t by_us = sends_before_t(3, TIMING_BY, true, 2 * S); /* early would be early */
    assert_true(few_us - by_us < 70000);
    assert_true(many_us - few_us >= 70000 && many_us - few_us <= 500000);
    assert_int_equal(sends_before_t(4, TIMING_AT, true, by_us), by_us); /* at once: no time left */
}

/* How long after T what nobody answers is sent again. */
static int64_t reminded_after_t(uint8_t n, enum timing timing)
{
    struct operation op = operation_of(n);
    op.timing = timing;
    op.target_mesh_us = rig.now_us + MESH + S;
    op.selector.places.count = 1;
    op.selector.places.patterns[0] = (struct pattern){{1, 1}, {2, 2}, {1, AGENTS}};
    int64_t target_us = rig.now_us + S;
    operate(&op);
    assert_int_equal(addressed(), 0);
    for (unsigned attempt = 0; attempt <= 1; attempt++) {
        const struct msg *m = wait_for(MSG_OPERATE, target_us + S, 0);
        assert_non_null(m);
        assert_int_equal(m->u.operate.attempt, attempt);
        assert_int_equal(addressed(), AGENTS);
    }
    int64_t after_us = rig.now_us - target_us;
    for (unsigned i = 1; i <= AGENTS; i++) {
        ack_simple(i, &op, OUTCOME_READY);
    }
    result_of(&op, AGENTS);
    return after_us;
}

/* When an answer leaves that was held until T is known, and nothing but its way is waited for:
 * half of resend_us, to the next point of its grid, and the way. */
static void test_held_answers_are_missed_sooner(void **state)
{
    (void)state;
    int64_t by_us = reminded_after_t(1, TIMING_BY);
    int64_t at_us = reminded_after_t(2, TIMING_AT);
    assert_true(by_us >= 200000);
    assert_in_range(at_us, 100000, 190000);
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
            return e->u.msg.u.operate.targets[num_bits(e->u.msg.mask & (own - 1u))]
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

static void test_people_trip_no_breaker(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 6; n++) {
        struct msg m = from_agent(MSG_HELLO, n);
        m.u.hello = (struct hello){.uid = 1000 + n, .incarnation = 9, .agent_class = CLASS_F_HUMAN};
        rig_msg(&rig, &m);
    }
    struct operation op = operation_of(1);
    operate_by(&op, UINT32_MAX, rig.now_us + S);
    for (unsigned n = 1; n <= AGENTS; n++) {
        ack_simple(n, &op, n <= 6 ? OUTCOME_PENDING : OUTCOME_READY);
    }
    const struct msg *up = wait_for(MSG_RESULT, rig.now_us + 2 * S, 0);
    while (up != NULL && !up->u.result->final) {
        up = wait_for(MSG_RESULT, rig.now_us + 2 * S, 0);
    }
    assert_int_equal(result_of(&op, AGENTS)->outcomes[OUTCOME_TIMEOUT_EXECUTION], 6);
    assert_int_equal(up->u.result->people_late, 6); /* the sector is told, for its own breaker */
    assert_null(rig_sent(&rig, MSG_CIRCUIT));
    assert_null(wait_for(MSG_CIRCUIT, rig.now_us + 2 * S, 0));
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

static void word(unsigned n, const struct operation *op, const char *text)
{
    struct ack a = ack_of(op, OUTCOME_PENDING, text);
    ack(n, &a);
}

static const struct rows *work_of(const struct operation *op)
{
    struct query q = {.ref = 5, .kind = QUERY_WORK, .from_start = true, .limit = 100};
    q.operation_id = op != NULL ? op->id : (struct id128){{0}};
    struct msg m = from_sector(MSG_QUERY);
    m.u.query = &q;
    rig_msg(&rig, &m);
    assert_non_null(rig_sent(&rig, MSG_ROWS));
    return &rig_sent(&rig, MSG_ROWS)->u.rows;
}

/* The newest word of each run, and how many there were: of one operation, or of all. */
static void test_words_of_runs(void **state)
{
    (void)state;
    struct operation first = operation_of(1), second = operation_of(2);
    operate_by(&first, UINT32_MAX, rig.now_us + 10 * S);
    operate_by(&second, UINT32_MAX, rig.now_us + 10 * S);
    assert_int_equal(work_of(NULL)->total, 2 * AGENTS);
    const struct rows *r = work_of(&first);
    assert_int_equal(r->row_count, AGENTS);
    assert_null(strstr(r->rows[0].u.record.text, "\nwords="));
    word(1, &first, "10 % begun");
    word(1, &first, "20 % going");
    r = work_of(&first);
    assert_non_null(strstr(r->rows[0].u.record.text, "\nwaiting_on=20 % going\nwords=2\n"));
    r = work_of(&second);
    assert_null(strstr(r->rows[0].u.record.text, "\nwords="));
    word(1, &second, "mine");
    assert_non_null(strstr(work_of(&second)->rows[0].u.record.text, "waiting_on=mine\nwords=1\n"));
    ack_simple(1, &first, OUTCOME_READY);
    assert_int_equal(work_of(&first)->row_count, AGENTS - 1); /* it has answered: the whole */
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

#define JOINED(f) cmocka_unit_test_setup_teardown(f, setup_joined, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOINED(test_operation_counts_add_up),
        JOINED(test_targets_left_out_have_their_reasons),
        JOINED(test_lead_time_and_skip),
        JOINED(test_hold_counts_release),
        JOINED(test_sends_to_many_who_hold_are_spread),
        JOINED(test_arrivals_count_against_their_prediction),
        JOINED(test_odd_times_teach_nothing),
        JOINED(test_held_answers_are_missed_sooner),
        JOINED(test_resend_then_timeouts),
        JOINED(test_resends_keep_their_number),
        JOINED(test_left_behind_is_not_sent_again),
        JOINED(test_ttl_ends_what_was_not_sent),
        JOINED(test_sample_and_route),
        JOINED(test_fire_and_forget),
        JOINED(test_cancel),
        JOINED(test_freeze_and_thaw),
        JOINED(test_people_trip_no_breaker),
        JOINED(test_breaker_trips_and_recovers),
        JOINED(test_late_beat_is_a_probe_still),
        JOINED(test_progress_of_long_operations),
        JOINED(test_words_of_runs),
        JOINED(test_many_operations_then_overload),
        JOINED(test_prepare),
        JOINED(test_result_waits_for_the_bus),
        JOINED(test_bad_acks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
