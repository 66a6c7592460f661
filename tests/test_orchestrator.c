/* The orchestrator, step by step. */
#include "core/hub_share.h"
#include "core/turns.h"
#include "tests/support/bench.h"
#include "tiers/orchestrator/orchestrator.h"

/* All sectors up, `per` agents each, so many of them active; the mode settled. */
static struct bench *mesh(uint16_t sectors, uint16_t per, uint32_t active)
{
    struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), sectors, per > 64 ? 5 : 1,
                                 per > 64 ? per / 5 : per);
    bench_up(b, sectors, per, active);
    return b;
}

static void keep_alive(struct bench *b, uint32_t active)
{
    for (unsigned s = 1; s <= b->topology.sectors; s++) {
        bench_beat(b, unit_sector(s), 1, b->topology.agents / b->topology.sectors, active);
    }
}

static struct mesh_status status(struct bench *b)
{
    struct command c = {.kind = COMMAND_STATUS};
    bench_command(b, &c);
    const struct reply *r = bench_reply(b, REPLY_STATUS);
    assert_non_null(r);
    return *r->status;
}

static void a_beat_is_answered_with_time_and_mode(void **state)
{
    (void)state;
    struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), 2, 1, 10);
    b->now_us += 500000;
    bench_beat(b, unit_sector(2), 1, 10, 10);
    const struct msg *m = bench_sent(b, MSG_BEAT_REPLY, 0);
    assert_non_null(m);
    assert_int_equal(m->to.sector, 2);
    assert_int_equal(m->epoch, 3);
    assert_int_equal(m->u.beat_reply.mode, MODE_STARTING);
    assert_true(m->u.beat_reply.known);
    assert_int_equal(m->u.beat_reply.time.t1_us, b->now_us);
    assert_int_equal(m->u.beat_reply.time.t2_us, b->now_us);
    assert_int_equal(m->u.beat_reply.time.mesh_offset_us, BENCH_UNIX_US - 1000000);
    assert_int_equal(m->u.beat_reply.time.error_us, 0);
    assert_int_equal(b->notes[NOTE_CHILD_UP], 1);
    bench_close(b);
}

static void the_mode_follows_the_share_in_service(void **state)
{
    (void)state;
    struct bench *b = mesh(10, 10, 10);
    assert_int_equal(status(b).mode, MODE_FULL);
    static const struct {
        uint32_t active;
        enum mode mode;
    } rows[] = {{9, MODE_DEGRADED_LIGHT},
                {7, MODE_DEGRADED_MODERATE},
                {4, MODE_DEGRADED_SEVERE},
                {2, MODE_EMERGENCY},
                {10, MODE_FULL}};
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        keep_alive(b, rows[i].active);
        bench_pass(b, 1100000);
        assert_int_equal(status(b).mode, rows[i].mode);
    }
    bench_close(b);
}

/* A beat of a sector that an orchestrator before this one has told a mode; active 0: without a
 * summary. */
static void beat_told(struct bench *b, unsigned sector, uint32_t active, enum mode mode)
{
    struct beat beat = {.has_summary = active > 0, .mode = mode};
    beat.summary.agents = 10;
    beat.summary.active = active;
    beat.summary.class_active[CLASS_A_EDGE] = active;
    struct msg m = {
        .type = MSG_BEAT, .from = unit_sector(sector), .epoch = 1, .sent_us = b->now_us};
    m.u.beat = &beat;
    bench_msg(b, &m);
}

/* Spec 6.3 holds over a takeover: who takes over in an outage does not begin with a mesh that
 * nothing is forbidden in. */
static void a_takeover_goes_on_in_the_mode(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), 4, 1, 10);
        bench_nothing_frozen(b);
        struct command c;
        bench_submit(&c);
        bench_command(b, &c); /* nobody has said yet in which mode the mesh is: it is kept */
        assert_int_equal(bench_count(b, MSG_REPLY), 0);
        beat_told(b, 1, 0, MODE_DEGRADED_MODERATE);
        beat_told(b, 2, 5, MODE_DEGRADED_SEVERE);
        assert_int_equal(status(b).mode, MODE_DEGRADED_SEVERE);
        bench_pass(b, 50000);
        assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_MODE);
        bench_forget(b);
        bench_command(b, &c);
        assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_MODE);
        bench_pass(b, 1100000); /* two sectors are not here yet: that is no emergency */
        assert_int_equal(status(b).mode, MODE_DEGRADED_SEVERE);
        for (unsigned s = 1; s <= (round == 1 ? 3u : 4u); s++) {
            beat_told(b, s, round == 2 ? 10 : 5, MODE_DEGRADED_SEVERE);
        }
        bench_pass(b, 1100000);
        enum mode all = round == 2 ? MODE_FULL : MODE_DEGRADED_SEVERE;
        assert_int_equal(status(b).mode, all);
        for (unsigned i = 0; i < 4; i++) { /* in round 1 the fourth never comes: 9 of 40 are left */
            for (unsigned s = 1; s <= (round == 1 ? 3u : 4u); s++) {
                beat_told(b, s, round == 2 ? 10 : round == 1 ? 3 : 5, MODE_DEGRADED_SEVERE);
            }
            bench_pass(b, 1100000);
        }
        assert_int_equal(status(b).mode, round == 1 ? MODE_EMERGENCY : all);
        bench_close(b);
    }
}

/* A mesh that starts: no sector has been told anything. */
static void without_a_mode_before_it_starts(void **state)
{
    (void)state;
    struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), 4, 1, 10);
    for (unsigned i = 0; i < 8; i++) {
        beat_told(b, 1, 5, MODE_STARTING);
        bench_pass(b, 1100000);
    }
    assert_int_equal(status(b).mode, MODE_STARTING);
    bench_close(b);
}

static void modes_restrict_admission(void **state)
{
    (void)state;
    struct bench *b = mesh(10, 200, 120); /* still starting: nothing is restricted */
    keep_alive(b, 200);
    bench_pass(b, 1100000);
    keep_alive(b, 130);
    bench_pass(b, 1100000);
    assert_int_equal(status(b).mode, MODE_DEGRADED_MODERATE);
    struct command c;
    bench_submit(&c);
    bench_command(b, &c); /* 2,000 targets: more than 1,000 */
    const struct reply *r = bench_reply(b, REPLY_ERROR);
    assert_non_null(r);
    assert_int_equal(r->reason, REASON_MODE);
    assert_non_null(strstr(r->text, "MODERATE"));
    bench_forget(b);
    c.operation.selector.sample = 100;
    bench_command(b, &c);
    assert_non_null(bench_reply(b, REPLY_ACCEPTED));
    keep_alive(b, 20);
    bench_pass(b, 1100000);
    assert_int_equal(status(b).mode, MODE_EMERGENCY);
    bench_forget(b);
    bench_command(b, &c);
    assert_non_null(bench_reply(b, REPLY_ERROR));
    assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_MODE);
    struct command q = {.kind = COMMAND_QUERY}; /* queries always pass */
    q.query.kind = QUERY_SECTORS;
    q.query.from_start = true;
    q.query.limit = 3;
    bench_command(b, &q);
    assert_int_equal(bench_reply(b, REPLY_ROWS)->rows->row_count, 3);
    assert_true(bench_reply(b, REPLY_ROWS)->rows->more);
    bench_close(b);
}

static void a_hundred_sectors_take_two_messages(void **state)
{
    (void)state;
    struct bench *b = mesh(100, 30, 30);
    struct command c;
    bench_submit(&c);
    c.operation.priority = HUB_SHARE_PRIORITY + 1u; /* to everyone at once */
    bench_command(b, &c);
    const struct reply *ok = bench_reply(b, REPLY_ACCEPTED);
    assert_non_null(ok);
    assert_int_equal(b->seals, 1);
    assert_int_equal(bench_count(b, MSG_OPERATE), 2);
    const struct msg *first = bench_sent(b, MSG_OPERATE, 0), *rest = bench_sent(b, MSG_OPERATE, 1);
    assert_true(first->mask == UINT64_MAX);
    assert_int_equal(first->u.operate.target_count, 64);
    assert_int_equal(rest->to.sector, 65);
    assert_true(rest->mask == (1ull << 36) - 1);
    assert_int_equal(rest->u.operate.targets[0].quota, UINT32_MAX);
    int64_t deadline = b->sealed.created_mesh_us + b->sealed.timeout_us;
    assert_true(first->u.operate.deadline_mesh_us < deadline);
    assert_true(first->u.operate.deadline_mesh_us > deadline - 100000);
    struct id128 id = ok->operation_id;
    assert_true(num_id128_equal(id, b->sealed.id));
    for (unsigned s = 1; s <= 100; s++) {
        assert_null(bench_reply(b, REPLY_OPERATION));
        bench_result(b, unit_sector(s), id, 30, s == 7 ? OUTCOME_CONFLICT : OUTCOME_READY);
    }
    const struct reply *r = bench_reply(b, REPLY_OPERATION);
    assert_non_null(r);
    assert_true(r->final);
    assert_int_equal(r->report->aggregate.targets, 3000);
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_READY], 2970);
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_CONFLICT], 30);
    assert_int_equal(r->report->decision, DECISION_PROCEED);
    struct mesh_status s = status(b);
    assert_int_equal(s.operations_done, 1);
    bench_close(b);
}

static void a_thousand_sectors_pass_through_one_outbox(void **state)
{
    (void)state;
    struct bench *b = mesh(1024, 4, 4);
    struct command c;
    bench_submit(&c);
    c.operation.priority = HUB_SHARE_PRIORITY + 1u;
    for (int i = 0; i < 5; i++) {
        bench_command(b, &c);
    }
    assert_int_equal(bench_count(b, MSG_OPERATE), 5 * 16);
    assert_int_equal(b->seals, 5);
    bench_close(b);
}

static void samples_are_split_over_the_living(void **state)
{
    (void)state;
    struct bench *b = mesh(10, 30, 30);
    bench_beat(b, unit_sector(4), 1, 30, 0); /* nobody there */
    bench_forget(b);
    struct command c;
    bench_submit(&c);
    c.operation.selector.sample = 100;
    bench_command(b, &c);
    const struct msg *m = bench_sent(b, MSG_OPERATE, 0);
    assert_non_null(m);
    assert_true((m->mask >> 3 & 1u) == 0);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < m->u.operate.target_count; i++) {
        assert_in_range(m->u.operate.targets[i].quota, 11, 12);
        sum += m->u.operate.targets[i].quota;
    }
    assert_int_equal(sum, 100);
    bench_close(b);
}

static void silence_is_resent_to_then_unreachable(void **state)
{
    (void)state;
    struct bench *b = mesh(3, 10, 10);
    struct command c;
    bench_submit(&c);
    bench_command(b, &c);
    struct id128 id = bench_reply(b, REPLY_ACCEPTED)->operation_id;
    bench_result(b, unit_sector(1), id, 10, OUTCOME_READY);
    bench_result(b, unit_sector(2), id, 10, OUTCOME_READY);
    for (int i = 0; i < 6; i++) { /* sector 3 lives, but its result never comes */
        keep_alive(b, 10);
        bench_pass(b, 1000000);
    }
    const struct msg *again = bench_sent(b, MSG_OPERATE, 1);
    assert_non_null(again);
    assert_int_equal(again->u.operate.attempt, 1);
    assert_true(again->mask == 4u);
    const struct reply *r = bench_reply(b, REPLY_OPERATION);
    assert_non_null(r);
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_READY], 20);
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_UNREACHABLE], 10);
    assert_non_null(bench_reply(b, REPLY_PROGRESS));
    assert_int_equal(bench_reply(b, REPLY_PROGRESS)->progress.targets, 30);
    bench_result(b, unit_sector(3), id, 10, OUTCOME_READY); /* too late: noted, no more */
    assert_int_equal(b->notes[NOTE_OP_LATE], 1);
    bench_close(b);
}

static void a_dead_sector_is_answered_for_at_once(void **state)
{
    (void)state;
    struct bench *b = mesh(5, 10, 10);
    struct command c;
    for (int i = 0; i < 5; i++) {
        for (unsigned s = 1; s <= 4; s++) {
            bench_beat(b, unit_sector(s), 1, 10, 10);
        }
        bench_pass(b, 1000000);
    }
    assert_int_equal(b->notes[NOTE_CHILD_SUSPECT], 1);
    assert_int_equal(b->notes[NOTE_CHILD_DOWN], 1);
    bench_forget(b);
    bench_submit(&c);
    bench_command(b, &c);
    struct id128 id = bench_reply(b, REPLY_ACCEPTED)->operation_id;
    assert_true(bench_sent(b, MSG_OPERATE, 0)->mask == 0xfu);
    for (unsigned s = 1; s <= 4; s++) {
        bench_result(b, unit_sector(s), id, 10, OUTCOME_READY);
    }
    const struct reply *r = bench_reply(b, REPLY_OPERATION);
    assert_non_null(r);
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_UNREACHABLE], 10);
    assert_int_equal(r->report->aggregate.reasons[REASON_SECTOR_DOWN], 10);
    bool named = false; /* who they are is known: the whole sector */
    for (uint32_t i = 0; i < r->report->aggregate.group_count; i++) {
        const struct answer_group *g = &r->report->aggregate.groups[i];
        named = named || (g->outcome == OUTCOME_UNREACHABLE && g->run_count == 1 &&
                          g->runs[0].first == 40 && g->runs[0].last == 49);
    }
    assert_true(named);
    bench_close(b);
}

static void stale_epochs_are_refused(void **state)
{
    (void)state;
    struct bench *b = mesh(2, 10, 10);
    bench_beat(b, unit_sector(1), 5, 10, 10);
    assert_int_equal(bench_count(b, MSG_BEAT_REPLY), 1);
    bench_beat(b, unit_sector(1), 4, 10, 0);
    assert_int_equal(bench_count(b, MSG_BEAT_REPLY), 1);
    assert_int_equal(b->notes[NOTE_STALE_EPOCH], 1);
    assert_int_equal(status(b).summary.active, 20);
    bench_beat(b, unit_sector(1), 5, 10, 11); /* more in service than there are: not taken over */
    assert_int_equal(b->notes[NOTE_UNEXPECTED], 1);
    assert_int_equal(status(b).summary.active, 20);
    bench_close(b);
}

static void one_operation_too_many_names_the_pool(void **state)
{
    (void)state;
    struct bench *b = mesh(1, 4, 4);
    struct command c;
    b->log_verdict = STORE_OK;
    uint32_t taken = 0;
    for (uint8_t priority = 0; priority < PRIORITY_COUNT; priority++) {
        for (; taken < turns_pool_share(OPERATIONS_MAX, priority); taken++) {
            bench_submit(&c);
            c.operation.priority = priority;
            bench_command(b, &c);
            assert_non_null(bench_reply(b, REPLY_ACCEPTED));
            bench_forget(b);
        }
        bench_submit(&c); /* its part is in flight; a higher one still has room */
        c.operation.priority = priority;
        bench_command(b, &c);
        assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_OVERLOAD);
        bench_forget(b);
    }
    assert_int_equal(status(b).operations_in_flight, OPERATIONS_MAX);
    bench_command(b, &c);
    c.kind = COMMAND_SUBMIT;
    const struct reply *r = bench_reply(b, REPLY_ERROR);
    assert_non_null(r);
    assert_int_equal(r->reason, REASON_OVERLOAD);
    assert_non_null(strstr(r->text, "operations"));
    bench_forget(b);
    bench_pass(b, 6000000); /* they end: the sector is silent and found dead */
    assert_int_equal(status(b).operations_in_flight, 0);
    bench_close(b);
}

static void bad_templates_are_refused_by_name(void **state)
{
    (void)state;
    struct bench *b = mesh(2, 10, 10);
    struct command c;
    static const struct {
        int field;
        const char *word;
    } rows[] = {{0, "action"}, {1, "priority"}, {2, "ttl"},       {3, "rate"},
                {4, "target"}, {5, "matches"},  {6, "capability"}};
    for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        bench_submit(&c);
        struct operation *op = &c.operation;
        op->action[0] = rows[i].field == 0 ? '\0' : op->action[0];
        op->priority = rows[i].field == 1 ? 4 : 2;
        op->ttl_us = rows[i].field == 2 ? -1 : 30000000;
        op->minimum_response_rate = rows[i].field == 3 ? 1.5 : 0.95;
        if (rows[i].field == 4) {
            op->timing = TIMING_AT;
            op->target_mesh_us = BENCH_UNIX_US;
        }
        op->selector.class_mask = rows[i].field == 5 ? 1u << CLASS_D_GPU : 0;
        op->unknown_capability = rows[i].field == 6;
        bench_command(b, &c);
        const struct reply *r = bench_reply(b, REPLY_ERROR);
        assert_non_null(r);
        assert_non_null(strstr(r->text, rows[i].word));
        assert_int_equal(b->seals, 0);
        bench_forget(b);
    }
    bench_close(b);
}

/* --- cascades ----------------------------------------------------------------------------------
 */

static void prepared(struct bench *b, unsigned sector, struct id128 id, enum tier level)
{
    struct prepared p = {.correlation_id = id,
                         .level = level,
                         .sectors_reached = 1,
                         .clusters_reached = level == TIER_CLUSTER ? 1 : 0,
                         .targets = 10};
    p.lead_counts[20] = 10; /* about 128 ms */
    struct msg m = {.type = MSG_PREPARED, .from = unit_sector(sector), .epoch = 1};
    m.u.prepared = &p;
    bench_msg(b, &m);
}

static void all_prepared(struct bench *b, struct id128 id, enum tier level)
{
    for (unsigned s = 1; s <= 3; s++) {
        prepared(b, s, id, level);
    }
}

/* A wave to all three sectors is accepted. */
static struct id128 begin_wave(struct bench *b)
{
    struct command c;
    bench_submit(&c);
    c.operation.strategy = CASCADE_WAVE;
    c.operation.timing = TIMING_AT;
    bench_command(b, &c);
    return bench_reply(b, REPLY_ACCEPTED)->operation_id;
}

static void a_wave_goes_level_by_level(void **state)
{
    (void)state;
    struct bench *b = mesh(3, 10, 10);
    struct id128 id = begin_wave(b);
    const struct msg *p = bench_sent(b, MSG_PREPARE, 0);
    assert_int_equal(p->u.prepare->level, TIER_SECTOR);
    assert_true(p->mask == 7);
    assert_int_equal(bench_count(b, MSG_OPERATE), 0);
    all_prepared(b, id, TIER_SECTOR);
    p = bench_sent(b, MSG_PREPARE, 1);
    assert_non_null(p);
    assert_int_equal(p->u.prepare->level, TIER_CLUSTER);
    all_prepared(b, id, TIER_CLUSTER);
    const struct msg *m = bench_sent(b, MSG_OPERATE, 0);
    assert_non_null(m);
    assert_int_equal(b->seals, 2); /* the carrier of the payload, then the operation with its T */
    assert_true(num_id128_equal(b->sealed.payload_of, id));
    assert_true(num_id128_equal(b->sealed.correlation_id, id));
    assert_true(b->sealed.target_mesh_us - b->sealed.created_mesh_us >= 128000);
    for (unsigned s = 1; s <= 3; s++) {
        bench_result(b, unit_sector(s), b->sealed.id, 10, OUTCOME_READY);
    }
    const struct reply *r = bench_reply(b, REPLY_OPERATION);
    assert_non_null(r);
    assert_string_equal(r->report->status, "SUCCESS");
    assert_true(num_id128_equal(r->report->operation_id, id));
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_READY], 30);
    bench_close(b);
}

/* T of a wave from now, when the leads take so long to say what they need. */
static int64_t time_to_t(int64_t way_us)
{
    struct bench *b = mesh(3, 10, 10);
    struct id128 id = begin_wave(b);
    all_prepared(b, id, TIER_SECTOR);
    bench_pass(b, way_us);
    all_prepared(b, id, TIER_CLUSTER);
    assert_non_null(bench_sent(b, MSG_OPERATE, 0));
    int64_t ahead_us = b->sealed.target_mesh_us - b->sealed.created_mesh_us;
    bench_close(b);
    return ahead_us;
}

static void a_loaded_mesh_gets_a_later_t(void **state)
{
    (void)state;
    int64_t quick_us = time_to_t(10000);
    assert_int_equal(time_to_t(20000) - quick_us, 20000); /* the way and back, twice */
    int64_t usual_us = time_to_t(90000);
    assert_int_equal(time_to_t(100000), usual_us); /* as long as the usual, which is enough */
    int64_t later_us = time_to_t(400000) - usual_us;
    assert_in_range(later_us, 250000, 400000);
}

static void a_wave_stops_at_silent_sectors(void **state)
{
    (void)state;
    struct bench *b = mesh(3, 10, 10);
    struct command c;
    bench_submit(&c);
    c.operation.strategy = CASCADE_WAVE;
    bench_command(b, &c);
    struct id128 id = bench_reply(b, REPLY_ACCEPTED)->operation_id;
    prepared(b, 1, id, TIER_SECTOR);
    prepared(b, 2, id, TIER_SECTOR);
    bench_pass(b, 190000);
    assert_null(bench_reply(b, REPLY_OPERATION));
    bench_pass(b, 20000); /* the window of 200 ms is over */
    const struct reply *r = bench_reply(b, REPLY_OPERATION);
    assert_non_null(r);
    assert_string_equal(r->report->status, "FAILED_AT_SECTOR");
    assert_int_equal(r->report->aggregate.targets, 30);
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_CANCELLED], 30);
    assert_int_equal(bench_count(b, MSG_OPERATE), 0);
    bench_close(b);
}

static void cancelling_a_wave_while_it_prepares(void **state)
{
    (void)state;
    struct bench *b = mesh(3, 10, 10);
    struct command c, cancel = {.kind = COMMAND_CANCEL};
    bench_submit(&c);
    c.operation.strategy = CASCADE_WAVE;
    bench_command(b, &c);
    cancel.operation_id = bench_reply(b, REPLY_ACCEPTED)->operation_id;
    bench_command(b, &cancel);
    assert_non_null(bench_reply(b, REPLY_OK));
    assert_string_equal(bench_reply(b, REPLY_OPERATION)->report->status, "CANCELLED");
    bench_command(b, &cancel);
    assert_non_null(bench_reply(b, REPLY_ERROR));
    bench_pass(b, 500000); /* the forgotten preparation ends without a trace */
    assert_int_equal(bench_count(b, MSG_OPERATE), 0);
    bench_close(b);
}

/* --- breakers, registry, queries ---------------------------------------------------------------
 */

static void eleven_tripped_sectors_trip_the_mesh(void **state)
{
    (void)state;
    struct bench *b = mesh(20, 10, 10);
    struct command c;
    for (unsigned s = 1; s <= 11; s++) {
        bench_submit(&c);
        bench_command(b, &c);
        assert_null(bench_reply(b, REPLY_ERROR));
        struct msg m = {.type = MSG_CIRCUIT, .from = unit_sector(s), .epoch = 1};
        m.u.circuit = (struct circuit_msg){.action = CIRCUIT_OPEN, .target = unit_sector(s)};
        bench_msg(b, &m);
    }
    /* An operation is answered for at once behind open circuits. */
    assert_true((bench_sent(b, MSG_OPERATE, 10)->mask & 0x3ffu) == 0);
    bench_pass(b, 1100000);
    assert_int_equal(b->notes[NOTE_CIRCUIT], 1);
    uint32_t states = 0;
    while (bench_order(b, ORDER_STATE, states) != NULL) {
        states++;
    }
    assert_true(bench_order(b, ORDER_STATE, states - 1)->u.order->u.state->mesh_open);
    bench_command(b, &c);
    const struct reply *r = bench_reply(b, REPLY_ERROR);
    assert_non_null(r);
    assert_int_equal(r->reason, REASON_BREAKER);
    bench_close(b);
}

static void the_registry_gets_summaries_and_history(void **state)
{
    (void)state;
    struct bench *b = mesh(2, 10, 10);
    for (int i = 0; i < 62; i++) {
        keep_alive(b, 10);
        bench_pass(b, 1000000);
        if (b->store_ref != 0) {
            struct store_reply reply = {
                .ref = b->store_ref, .kind = STORE_PUT, .verdict = STORE_OK};
            struct event e = {.kind = EV_STORE};
            e.u.store = &reply;
            b->store_ref = 0;
            bench_step(b, &e);
        }
        bench_forget(b);
    }
    assert_in_range(b->store_ops[STORE_PUT], 10, 13);
    assert_int_equal(b->store_ops[STORE_APPEND], 1);
    assert_string_equal(b->store_shard, "mesh");
    struct event down = {.kind = EV_LINK};
    down.u.link.which = LINK_STORE;
    bench_step(b, &down);
    uint32_t before = b->store_ops[STORE_PUT];
    bench_pass(b, 10000000);
    assert_int_equal(b->store_ops[STORE_PUT], before);
    bench_close(b);
}

static void a_query_counts_who_is_missing(void **state)
{
    (void)state;
    struct bench *b = mesh(3, 10, 10);
    struct command q = {.kind = COMMAND_QUERY};
    q.query.kind = QUERY_AGENTS;
    q.query.from_start = true;
    q.query.limit = 5;
    bench_command(b, &q);
    const struct msg *m = bench_sent(b, MSG_QUERY, 0);
    assert_non_null(m);
    assert_true(m->mask == 7);
    for (unsigned s = 1; s <= 2; s++) {
        struct page_row rows[2] = {{.key = s, .unit = unit_agent(s, 1, 1)},
                                   {.key = s + 10, .unit = unit_agent(s, 1, 2)}};
        struct msg r = {.type = MSG_ROWS, .from = unit_sector(s), .epoch = 1};
        r.u.rows = (struct rows){
            .ref = m->u.query->ref, .kind = ROW_AGENT, .total = 2, .row_count = 2, .rows = rows};
        bench_msg(b, &r);
    }
    assert_null(bench_reply(b, REPLY_ROWS));
    bench_pass(b, 2100000);
    const struct reply *r = bench_reply(b, REPLY_ROWS);
    assert_non_null(r);
    assert_int_equal(r->rows->missing, 1);
    assert_int_equal(r->rows->total, 4);
    assert_int_equal(r->rows->row_count, 4);
    assert_int_equal(r->rows->rows[1].key, 2);
    assert_int_equal(r->rows->rows[2].key, 11);
    bench_close(b);
}

static void freezing_names_its_scope(void **state)
{
    (void)state;
    struct bench *b = mesh(3, 10, 10);
    struct command c = {.kind = COMMAND_FREEZE, .scope = unit_sector(2)};
    bench_command(b, &c);
    assert_null(bench_reply(b, REPLY_OK)); /* not before its agents have said so */
    const struct msg *m = bench_order(b, ORDER_FREEZE, 0);
    assert_true(m->mask == 7); /* all hear all orders */
    assert_int_equal(m->u.order->u.freeze.scope.sector, 2);
    assert_true(strncmp(m->u.order->u.freeze.preserve_state_to, "/mesh/frozen/20", 15) == 0);
    assert_int_equal(b->store_ops[STORE_PUT], 1);
    assert_string_equal(b->store_key, "frozen");
    assert_false(status(b).frozen);
    bench_forget(b);
    bench_command(b, &c); /* twice is clear */
    assert_non_null(
        strstr(bench_reply(b, REPLY_ERROR)->text, "s02 is frozen already as s02 (snap"));
    bench_forget(b);
    bench_pass(b, 5100000); /* nobody confirms: how many did is said in the end */
    assert_non_null(bench_reply(b, REPLY_OK));
    assert_string_equal(bench_reply(b, REPLY_LINE)->text, "To resume: thaw s02");
    bench_forget(b);
    c.kind = COMMAND_THAW;
    c.scope = unit_sector(1);
    bench_command(b, &c);
    assert_string_equal(bench_reply(b, REPLY_ERROR)->text, "s01 is not frozen");
    bench_forget(b);
    c.scope = unit_orchestrator(); /* a part of it is */
    bench_command(b, &c);
    assert_string_equal(bench_reply(b, REPLY_ERROR)->text,
                        "mesh is not frozen as a whole: thaw s02");
    assert_null(bench_order(b, ORDER_THAW, 0));
    bench_forget(b);
    c.kind = COMMAND_FREEZE;
    c.scope = unit_orchestrator();
    bench_command(b, &c);
    assert_true(status(b).frozen);
    bench_forget(b);
    c.kind = COMMAND_THAW; /* a part of what stands still as a whole */
    c.scope = unit_cluster(1, 1);
    bench_command(b, &c);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "is frozen with mesh (snapshot"));
    bench_forget(b);
    bench_beat(b, unit_sector(3), 2, 10, 10); /* restarted: it is told again */
    assert_non_null(bench_order(b, ORDER_FREEZE, 0));
    assert_int_equal(bench_order(b, ORDER_FREEZE, 0)->to.sector, 3);
    c.kind = COMMAND_FREEZE;
    c.scope = unit_agent(1, 1, 1);
    bench_command(b, &c);
    assert_non_null(bench_reply(b, REPLY_ERROR));
    bench_close(b);
}

static void healing_is_told_line_by_line(void **state)
{
    (void)state;
    struct bench *b = mesh(3, 10, 10);
    struct command c = {.kind = COMMAND_HEAL};
    bench_command(b, &c); /* auto, and all is well */
    assert_non_null(strstr(bench_reply(b, REPLY_LINE)->text, "Nothing needs healing"));
    assert_non_null(bench_reply(b, REPLY_OK));
    bench_forget(b);
    bench_beat(b, unit_sector(2), 1, 10, 7);
    c.on = true;
    bench_command(b, &c); /* a dry run orders nothing */
    assert_null(bench_order(b, ORDER_HEAL, 0));
    assert_string_equal(bench_reply(b, REPLY_LINE)->text,
                        "- 3 agents away: they would be called and started anew");
    bench_forget(b);
    c.on = false;
    bench_command(b, &c);
    const struct msg *m = bench_order(b, ORDER_HEAL, 0);
    assert_non_null(m);
    assert_int_equal(m->u.order->u.heal.target.sector, 2);
    bench_forget(b);
    bench_command(b, &c);
    assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_OVERLOAD);
    bench_forget(b);
    bench_pass(b, 2100000);
    bench_beat(b, unit_sector(2), 1, 10, 10);
    bench_beat(b, unit_sector(1), 1, 10, 10);
    bench_beat(b, unit_sector(3), 1, 10, 10);
    bench_pass(b, 200000);
    assert_string_equal(bench_reply(b, REPLY_LINE)->text, "s02 restored to HEALTHY");
    assert_non_null(bench_reply(b, REPLY_OK));
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_beat_is_answered_with_time_and_mode),
        cmocka_unit_test(the_mode_follows_the_share_in_service),
        cmocka_unit_test(a_takeover_goes_on_in_the_mode),
        cmocka_unit_test(without_a_mode_before_it_starts),
        cmocka_unit_test(modes_restrict_admission),
        cmocka_unit_test(a_hundred_sectors_take_two_messages),
        cmocka_unit_test(a_thousand_sectors_pass_through_one_outbox),
        cmocka_unit_test(samples_are_split_over_the_living),
        cmocka_unit_test(silence_is_resent_to_then_unreachable),
        cmocka_unit_test(a_dead_sector_is_answered_for_at_once),
        cmocka_unit_test(stale_epochs_are_refused),
        cmocka_unit_test(one_operation_too_many_names_the_pool),
        cmocka_unit_test(bad_templates_are_refused_by_name),
        cmocka_unit_test(a_wave_goes_level_by_level),
        cmocka_unit_test(a_loaded_mesh_gets_a_later_t),
        cmocka_unit_test(a_wave_stops_at_silent_sectors),
        cmocka_unit_test(cancelling_a_wave_while_it_prepares),
        cmocka_unit_test(eleven_tripped_sectors_trip_the_mesh),
        cmocka_unit_test(the_registry_gets_summaries_and_history),
        cmocka_unit_test(a_query_counts_who_is_missing),
        cmocka_unit_test(healing_is_told_line_by_line),
        cmocka_unit_test(freezing_names_its_scope),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
