/* Another orchestrator: what was acknowledged with an id is there, and ends adding up. */
#include "core/resolve.h"
#include "registry/memory.h"
#include "tests/support/bench.h"
#include "tiers/orchestrator/orchestrator.h"
#include "tiers/orchestrator/orchestrator_jobs.h"
#include "tiers/sector/sector.h"

#define SECTORS 2u
#define PER     10u

static struct memory_store *store;

static void on_jobs(void *ctx, const struct store_op *op, struct store_reply *ret)
{
    assert_null(store_op_check(op));
    memory_store_run(ctx, BENCH_UNIX_US, op, ret);
}

static int setup(void **state)
{
    (void)state;
    store = memory_store_new(1ull << 26);
    return store == NULL;
}

static int teardown(void **state)
{
    (void)state;
    memory_store_free(store);
    return 0;
}

/* An orchestrator under this epoch, before any sector was heard. */
static struct bench *begin(uint64_t epoch)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->on_jobs = on_jobs;
    b->jobs_ctx = store;
    b->ops = &orchestrator_ops;
    topology_default(1, &b->topology);
    b->topology.agents = SECTORS * PER;
    b->topology.sectors = SECTORS;
    b->topology.clusters_per_sector = 1;
    b->topology.agents_per_cluster = PER;
    memset(b->topology.class_agents, 0, sizeof(b->topology.class_agents));
    b->topology.class_agents[CLASS_A_EDGE] = b->topology.agents / 2;
    b->topology.class_agents[CLASS_D_GPU] = b->topology.agents / 2;
    assert_null(topology_check(&b->topology));
    b->now_us = 1000000;
    b->conf = (struct node_conf){.self = unit_orchestrator(),
                                 .uid = 7,
                                 .epoch = epoch,
                                 .seed = 42 + epoch,
                                 .topology = &b->topology,
                                 .unix_us = BENCH_UNIX_US + (int64_t)epoch * 2000000,
                                 .init_now_us = b->now_us,
                                 .digest = digest_plain};
    b->conf.tuning = tuning_default();
    b->self = calloc(1, b->ops->size(&b->conf));
    assert_non_null(b->self);
    b->ops->init(b->self, &b->conf);
    bench_step(b, &(struct event){.kind = EV_START});
    bench_nothing_frozen(b);
    return b;
}

static struct bench *mesh(uint64_t epoch)
{
    struct bench *b = begin(epoch);
    bench_beat(b, unit_sector(1), 1, PER, PER);
    bench_beat(b, unit_sector(2), 1, PER, PER);
    bench_pass(b, 1100000);
    return b;
}

static struct id128 submit(struct bench *b, void (*change)(struct operation *op))
{
    struct command c;
    bench_submit(&c);
    if (change != NULL) {
        change(&c.operation);
    }
    bench_forget(b);
    bench_command(b, &c);
    const struct reply *r = bench_reply(b, REPLY_ACCEPTED);
    assert_non_null(r);
    return r->operation_id;
}

static void unknown(struct bench *b, struct unit sector, struct id128 id)
{
    struct result r = {.operation_id = id, .final = true, .unknown = true};
    struct msg m = {.type = MSG_RESULT, .from = sector, .epoch = 1};
    m.u.result = &r;
    bench_msg(b, &m);
}

static const struct aggregate_view *reported(struct bench *b, struct id128 id)
{
    const struct reply *r = bench_reply(b, REPLY_OPERATION);
    assert_non_null(r);
    assert_true(r->final);
    assert_true(num_id128_equal(r->report->operation_id, id));
    const struct aggregate_view *a = &r->report->aggregate;
    uint32_t sum = 0;
    for (unsigned o = 0; o < OUTCOME_COUNT; o++) {
        sum += a->outcomes[o];
    }
    assert_int_equal(sum, a->targets);
    assert_null(aggregate_view_check(a, &b->topology, unit_orchestrator(), true));
    return a;
}

static void what_had_ended_is_shown_with_its_answers(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    struct id128 id = submit(b, NULL), second = submit(b, NULL);
    for (unsigned s = 1; s <= SECTORS; s++) {
        bench_result(b, unit_sector((uint16_t)s), id, PER, OUTCOME_READY);
        bench_result(b, unit_sector((uint16_t)s), second, PER, OUTCOME_CONFLICT);
    }
    bench_ask(b, QUERY_JOB, id);
    struct answer_group group = bench_reply(b, REPLY_OPERATION)->report->aggregate.groups[0];
    bench_close(b);
    b = begin(4);
    bench_ask(b, QUERY_JOB, id);
    const struct aggregate_view *a = reported(b, id);
    assert_int_equal(a->outcomes[OUTCOME_READY], SECTORS * PER);
    assert_int_equal(a->group_count, 1);
    assert_int_equal(a->groups[0].hash, group.hash);
    assert_string_equal(bench_reply(b, REPLY_OPERATION)->report->status, "SUCCESS");
    bench_ask(b, QUERY_JOBS, id);
    const struct rows *rows = bench_reply(b, REPLY_ROWS)->rows;
    assert_int_equal(rows->row_count, 2);
    assert_non_null(strstr(rows->rows[0].u.record.text, "action=echo\ninput=hi\n"));
    assert_non_null(strstr(rows->rows[0].u.record.text, "conflict=20\n"));
    assert_non_null(strstr(rows->rows[1].u.record.text, "state=SUCCESS\n"));
    bench_close(b);
}

static int64_t last_cascade(struct bench *b)
{
    struct command c = {.kind = COMMAND_STATUS};
    bench_forget(b);
    bench_command(b, &c);
    const struct reply *r = bench_reply(b, REPLY_STATUS);
    assert_non_null(r);
    return r->status->last_cascade_mesh_us;
}

static void parallel(struct operation *op)
{
    op->strategy = CASCADE_PARALLEL;
}

/* Spec 7.1: "Last cascade: 3h 27m ago"; not "never", because another one speaks. */
static void the_last_cascade_is_known(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    assert_int_equal(last_cascade(b), 0);
    struct id128 id = submit(b, parallel);
    for (unsigned s = 1; s <= SECTORS; s++) {
        bench_result(b, unit_sector((uint16_t)s), id, PER, OUTCOME_READY);
    }
    int64_t at_us = last_cascade(b);
    assert_true(at_us > 0);
    bench_pass(b, 500000);
    (void)submit(b, NULL); /* no cascade */
    bench_close(b);
    b = begin(4);
    assert_int_equal(last_cascade(b), at_us);
    bench_close(b);
}

/* One sector has it done, the other never got it. */
/* Its console asks under the ref of before, so that it is known where it is: told once, not twice.
 */
static void its_own_console_asks_again(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    struct command c;
    bench_submit(&c);
    bench_command(b, &c);
    struct id128 id = bench_reply(b, REPLY_ACCEPTED)->operation_id;
    bench_close(b);
    b = mesh(4);
    struct command again = {.kind = COMMAND_QUERY, .ref = c.ref};
    again.query =
        (struct query){.kind = QUERY_ATTACH, .operation_id = id, .from_start = true, .limit = 1};
    struct msg m = {.type = MSG_COMMAND, .from = unit_numbered(TIER_CONSOLE, 1), .epoch = 1};
    m.u.command = &again;
    bench_forget(b);
    bench_msg(b, &m);
    assert_false(bench_reply(b, REPLY_PROGRESS)->final);
    assert_null(bench_reply(b, REPLY_ACCEPTED));
    bench_result(b, unit_sector(1), id, PER, OUTCOME_READY);
    bench_result(b, unit_sector(2), id, PER, OUTCOME_READY);
    assert_int_equal(reported(b, id)->outcomes[OUTCOME_READY], SECTORS * PER);
    uint32_t reports = 0;
    for (uint32_t i = 0; i < b->sent_count; i++) {
        reports += b->sent[i]->type == MSG_REPLY && b->sent[i]->u.reply->kind == REPLY_OPERATION;
    }
    assert_int_equal(reports, 1);
    bench_forget(b);
    bench_msg(b, &m); /* too late for that: it is told what there is */
    assert_int_equal(reported(b, id)->outcomes[OUTCOME_READY], SECTORS * PER);
    bench_close(b);
}

static void what_ran_is_taken_up_and_adds_up(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    struct id128 id = submit(b, NULL);
    bench_close(b);
    b = begin(4);
    assert_int_equal(bench_count(b, MSG_RESUME), 0); /* nobody is there to be asked */
    bench_ask(b, QUERY_JOB, id);
    assert_int_equal(bench_reply(b, REPLY_PROGRESS)->progress.targets, SECTORS * PER);
    bench_forget(b);
    bench_beat(b, unit_sector(1), 1, PER, PER);
    bench_beat(b, unit_sector(2), 1, PER, PER);
    assert_int_equal(bench_count(b, MSG_RESUME), 2);
    assert_int_equal(bench_count(b, MSG_OPERATE), 0);
    assert_true(num_id128_equal(bench_sent(b, MSG_RESUME, 0)->u.cancel.operation_id, id));
    bench_result(b, unit_sector(1), id, PER, OUTCOME_READY);
    assert_null(bench_reply(b, REPLY_OPERATION));
    unknown(b, unit_sector(2), id);
    const struct aggregate_view *a = reported(b, id); /* to its console */
    assert_int_equal(a->targets, SECTORS * PER);
    assert_int_equal(a->outcomes[OUTCOME_READY], PER);
    assert_int_equal(a->outcomes[OUTCOME_UNREACHABLE], PER);
    assert_int_equal(a->reasons[REASON_TAKEOVER], PER);
    bench_forget(b);
    unknown(b, unit_sector(2), id); /* said again: not counted again */
    assert_null(bench_reply(b, REPLY_OPERATION));
    bench_close(b);
    b = begin(5); /* and one more */
    bench_ask(b, QUERY_JOB, id);
    assert_int_equal(reported(b, id)->reasons[REASON_TAKEOVER], PER);
    bench_close(b);
}

static void sample(struct operation *op)
{
    op->selector.sample = 6;
}

static void a_sample_loses_what_nobody_knows(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    struct id128 id = submit(b, sample);
    bench_close(b);
    b = mesh(4);
    bench_result(b, unit_sector(1), id, 2, OUTCOME_READY);
    unknown(b, unit_sector(2), id);
    const struct aggregate_view *a = reported(b, id);
    assert_int_equal(a->targets, 6);
    assert_int_equal(a->outcomes[OUTCOME_READY], 2);
    assert_int_equal(a->reasons[REASON_TAKEOVER], 4);
    id = submit(b, sample);
    bench_close(b);
    b = mesh(5); /* all know of it: nothing is missing, however few they had */
    bench_result(b, unit_sector(1), id, 2, OUTCOME_READY);
    bench_result(b, unit_sector(2), id, 3, OUTCOME_READY);
    assert_int_equal(reported(b, id)->targets, 5);
    bench_close(b);
}

static void priority_first(struct operation *op)
{
    op->strategy = CASCADE_PRIORITY_FIRST;
}

/* A sector has one cluster of ten: the GPUs' phase ends, the edge's phase runs; or has not begun.
 */
static void phases_add_up(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    struct id128 id = submit(b, priority_first);
    const struct msg *m = bench_sent(b, MSG_OPERATE, 0);
    assert_non_null(m);
    struct id128 first = m->u.operate.operation_id;
    uint32_t gpus = 0;
    for (unsigned s = 1; s <= SECTORS; s++) {
        struct selector sel = {.class_mask = 1u << CLASS_D_GPU};
        uint32_t n = selector_expected(&sel, &b->topology, unit_sector((uint16_t)s));
        gpus += n;
        if (n > 0) {
            bench_forget(b);
            bench_result(b, unit_sector((uint16_t)s), first, n, OUTCOME_READY);
        }
    }
    m = bench_sent(b, MSG_OPERATE, 0);
    assert_non_null(m);
    struct id128 second = m->u.operate.operation_id;
    assert_false(num_id128_equal(second, first));
    bench_close(b);
    b = mesh(4);
    assert_null(bench_reply(b, REPLY_OPERATION));
    for (unsigned s = 1; s <= SECTORS; s++) {
        unknown(b, unit_sector((uint16_t)s), second);
    }
    const struct aggregate_view *a = reported(b, id);
    assert_int_equal(a->targets, SECTORS * PER);
    assert_int_equal(a->outcomes[OUTCOME_READY], gpus);
    assert_int_equal(a->reasons[REASON_TAKEOVER], SECTORS * PER - gpus);
    id = submit(b, priority_first);
    bench_close(b);
    b = mesh(5);
    for (unsigned s = 1; s <= SECTORS; s++) {
        unknown(b, unit_sector((uint16_t)s), id); /* the first phase has the job's own id */
    }
    assert_int_equal(reported(b, id)->reasons[REASON_TAKEOVER], SECTORS * PER);
    bench_close(b);
}

static void wave(struct operation *op)
{
    op->strategy = CASCADE_WAVE;
}

static void what_was_not_sent_ends_at_once(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    struct id128 id = submit(b, wave);
    assert_int_equal(bench_count(b, MSG_OPERATE), 0); /* it asks first */
    bench_close(b);
    b = begin(4);
    const struct aggregate_view *a = reported(b, id);
    assert_int_equal(a->reasons[REASON_TAKEOVER], SECTORS * PER);
    bench_close(b);
}

static void a_cancel_goes_on(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    struct id128 id = submit(b, NULL);
    struct command cancel = {.kind = COMMAND_CANCEL, .operation_id = id};
    bench_command(b, &cancel);
    bench_close(b);
    b = begin(4);
    bench_forget(b);
    bench_beat(b, unit_sector(1), 1, PER, PER);
    bench_beat(b, unit_sector(2), 1, PER, PER);
    for (uint16_t i = 0; i < 2; i++) { /* to each as it is heard */
        const struct msg *order = bench_order(b, ORDER_CANCEL, i);
        assert_non_null(order);
        assert_int_equal(order->to.sector, i + 1u);
        assert_true(num_id128_equal(order->u.order->u.cancel.operation_id, id));
    }
    assert_int_equal(bench_count(b, MSG_CANCEL), 0);
    bench_result(b, unit_sector(1), id, PER, OUTCOME_CANCELLED);
    bench_result(b, unit_sector(2), id, PER, OUTCOME_READY);
    assert_int_equal(reported(b, id)->outcomes[OUTCOME_CANCELLED], PER);
    assert_string_equal(bench_reply(b, REPLY_OPERATION)->report->status, "CANCELLED");
    /* A new one can be cancelled by the successor as well. */
    id = submit(b, NULL);
    bench_close(b);
    b = mesh(5);
    cancel.operation_id = id;
    bench_command(b, &cancel);
    assert_non_null(bench_reply(b, REPLY_OK));
    assert_non_null(bench_order(b, ORDER_CANCEL, 0));
    bench_close(b);
}

/* Sectors that never come are down after the usual time; one that goes is missed as ever. */
static void who_never_comes_is_down(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    struct id128 id = submit(b, NULL);
    bench_close(b);
    b = begin(4);
    bench_beat(b, unit_sector(1), 1, PER, PER);
    bench_result(b, unit_sector(1), id, PER, OUTCOME_READY);
    for (unsigned i = 0; i < 6; i++) {
        bench_pass(b, 1000000);
        bench_beat(b, unit_sector(1), 1, PER, PER);
    }
    assert_int_equal(reported(b, id)->reasons[REASON_SECTOR_DOWN], PER);
    bench_close(b);
}

/* Bytes of anybody: no job, and no harm. */
static void odd_records_are_no_jobs(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    (void)submit(b, NULL);
    struct id128 ended = submit(b, NULL);
    bench_result(b, unit_sector(1), ended, PER, OUTCOME_READY);
    bench_result(b, unit_sector(2), ended, PER, OUTCOME_READY);
    bench_close(b);
    static const struct {
        const char *key, *name, *value;
    } cases[] = {{"job:0", "p00", "\x02rubbish"},
                 {"job:1", "bytes", "14016"},
                 {"job:1", "p01", ""},
                 {"job:256", "number", "1"},
                 {"job:7.6", "number", "1"},
                 {"job:", "number", "1"},
                 {"job:9x", "number", "1"},
                 {"other", "number", "1"},
                 {"job:5", "bytes", "99999999999"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct store_field f = {.name = cases[i].name,
                                .value = cases[i].value,
                                .value_bytes = (uint32_t)strlen(cases[i].value)};
        struct store_op op = {.kind = STORE_PUT,
                              .shard = "mesh",
                              .collection = "jobs",
                              .key = cases[i].key,
                              .fields = &f,
                              .field_count = 1};
        struct store_reply reply;
        memory_store_apply(store, BENCH_UNIX_US, &op, &reply);
        assert_int_equal(reply.verdict, STORE_OK);
    }
    b = begin(4);
    bench_ask(b, QUERY_JOBS, ended);
    assert_int_equal(bench_reply(b, REPLY_ROWS)->rows->row_count, 0);
    bench_close(b);
}

/* Whatever single byte is wrong, what is read is a job that holds, or none. */
static void a_wrong_byte_does_no_harm(void **state)
{
    (void)state;
    static uint8_t packed[JOB_PACKED_BYTES];
    static struct job_end end;
    static struct job_course course;
    struct topology t;
    topology_default(300, &t);
    struct run run = {.first = 3, .last = 7};
    struct answer_group group = {.outcome = OUTCOME_READY,
                                 .count = 5,
                                 .run_count = 1,
                                 .runs = &run,
                                 .answer = (const uint8_t *)"yes",
                                 .answer_bytes = 3};
    group.hash = aggregate_hash(OUTCOME_READY, REASON_NONE, group.answer, 3);
    struct report report = {.status = "SUCCESS", .recommendation = "wait", .phase_count = 1};
    report.aggregate = (struct aggregate_view){
        .targets = 5, .sent = 5, .group_count = 1, .groups = &group, .agents_reached = 5};
    report.aggregate.outcomes[OUTCOME_READY] = 5;
    report.aggregate.arrival[40] = 5;
    struct job_head head = {.id.bytes[3] = 1, .console = unit_numbered(TIER_CONSOLE, 9)};
    uint32_t bytes = job_pack_ended(&head, &report, packed);
    assert_true(bytes > 0);
    assert_true(job_unpack_end(packed, bytes, &t, &end));
    assert_string_equal(end.report.recommendation, "wait");
    assert_memory_equal(end.report.aggregate.groups[0].answer, "yes", 3);
    assert_int_equal(end.report.aggregate.groups[0].runs[0].last, 7);
    for (uint32_t i = 0; i < bytes * 8u; i++) {
        packed[i / 8] ^= (uint8_t)(1u << i % 8);
        struct job_head got;
        (void)job_unpack_head(packed, bytes, &got);
        (void)job_unpack_end(packed, bytes, &t, &end);
        (void)job_unpack_course(packed, bytes, &course);
        packed[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    for (uint32_t n = 0; n < bytes; n++) {
        assert_false(job_unpack_end(packed, n, &t, &end));
    }
}

static void who_was_replaced_writes_no_more(void **state)
{
    (void)state;
    struct bench *old = mesh(3);
    struct id128 id = submit(old, NULL);
    struct bench *b = mesh(4);
    bench_result(b, unit_sector(1), id, PER, OUTCOME_READY);
    unknown(b, unit_sector(2), id);
    bench_result(old, unit_sector(1), id, PER, OUTCOME_READY);
    bench_result(old, unit_sector(2), id, PER, OUTCOME_READY);
    bench_pass(old, 10000000);
    bench_close(old);
    bench_close(b);
    b = begin(5);
    bench_ask(b, QUERY_JOB, id);
    assert_int_equal(reported(b, id)->reasons[REASON_TAKEOVER], PER);
    bench_close(b);
}

static void the_whole_table_is_kept(void **state)
{
    (void)state;
    struct bench *b = mesh(3);
    struct id128 first = submit(b, NULL), last = first;
    for (unsigned i = 0; i < JOBS_MAX; i++) {
        last = submit(b, NULL);
    }
    bench_close(b);
    b = mesh(4);
    bench_ask(b, QUERY_JOB, last);
    assert_non_null(bench_reply(b, REPLY_PROGRESS));
    bench_ask(b, QUERY_JOB, first); /* the 257th took its place */
    assert_non_null(bench_reply(b, REPLY_ERROR));
    struct command c = {.kind = COMMAND_QUERY};
    c.query = (struct query){.kind = QUERY_JOBS, .from_start = true, .limit = PAGE_ROWS_MAX};
    bench_forget(b);
    bench_command(b, &c);
    assert_int_equal(bench_reply(b, REPLY_ROWS)->rows->total, JOBS_MAX);
    bench_close(b);
}

/* --- the sector's side --- */

static void a_sector_says_what_it_knows(void **state)
{
    (void)state;
    struct bench *b = bench_open(&sector_ops, unit_sector(1), 2, 1, 10);
    struct msg m = {.type = MSG_RESUME, .from = unit_orchestrator(), .epoch = 1};
    m.u.cancel.operation_id.bytes[0] = 9;
    bench_forget(b);
    bench_msg(b, &m);
    const struct msg *up = bench_sent(b, MSG_RESULT, 0);
    assert_non_null(up);
    assert_true(up->u.result->unknown && up->u.result->final);
    assert_int_equal(up->u.result->aggregate.targets, 0);
    m.from = unit_sector(2); /* nobody else asks */
    assert_false(msg_route_valid(&b->topology, &m));
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
        TEST(what_had_ended_is_shown_with_its_answers),
        TEST(the_last_cascade_is_known),
        TEST(what_ran_is_taken_up_and_adds_up),
        TEST(its_own_console_asks_again),
        TEST(a_sample_loses_what_nobody_knows),
        TEST(phases_add_up),
        TEST(what_was_not_sent_ends_at_once),
        TEST(a_cancel_goes_on),
        TEST(who_never_comes_is_down),
        TEST(odd_records_are_no_jobs),
        TEST(a_wrong_byte_does_no_harm),
        TEST(who_was_replaced_writes_no_more),
        TEST(the_whole_table_is_kept),
        TEST(a_sector_says_what_it_knows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
