/* Jobs at the orchestrator: what consoles started, for other consoles and afterwards; the trace. */
#include "tests/support/bench.h"
#include "tiers/orchestrator/orchestrator.h"
#include "tiers/orchestrator/orchestrator_jobs.h"

static struct bench *mesh(void)
{
    struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), 2, 1, 10);
    bench_up(b, 2, 10, 10);
    return b;
}

static struct id128 submit(struct bench *b)
{
    struct command c;
    bench_submit(&c);
    bench_command(b, &c);
    const struct reply *r = bench_reply(b, REPLY_ACCEPTED);
    assert_non_null(r);
    return r->operation_id;
}

static const char *row_text(const struct bench *b, uint32_t row)
{
    const struct reply *r = bench_reply(b, REPLY_ROWS);
    assert_non_null(r);
    assert_true(r->final && r->rows->row_count > row);
    return r->rows->rows[row].u.record.text;
}

static void finish(struct bench *b, struct id128 id)
{
    bench_result(b, unit_sector(1), id, 10, OUTCOME_READY);
    bench_result(b, unit_sector(2), id, 10, OUTCOME_READY);
}

static void a_running_job_is_listed_and_shown(void **state)
{
    (void)state;
    struct bench *b = mesh();
    struct id128 first = submit(b), second = submit(b);
    bench_ask(b, QUERY_JOBS, first);
    assert_int_equal(bench_reply(b, REPLY_ROWS)->rows->row_count, 2);
    char id[ID128_TEXT_MAX];
    num_id128_format(second, id); /* the newest first */
    assert_non_null(strstr(row_text(b, 0), id));
    assert_non_null(strstr(row_text(b, 0), "state=running\naction=echo\ninput=hi\n"));
    assert_non_null(strstr(row_text(b, 0), "targets=20\n"));
    bench_ask(b, QUERY_JOB, first);
    const struct reply *r = bench_reply(b, REPLY_PROGRESS);
    assert_non_null(r);
    assert_true(r->final);
    assert_int_equal(r->progress.targets, 20);
    assert_int_equal(r->progress.outcomes[OUTCOME_PENDING], 20);
    bench_close(b);
}

static void an_ended_job_keeps_its_report(void **state)
{
    (void)state;
    struct bench *b = mesh();
    struct id128 id = submit(b);
    finish(b, id);
    bench_pass(b, 90000000); /* longer than gathers are kept */
    bench_ask(b, QUERY_JOB, id);
    const struct reply *r = bench_reply(b, REPLY_OPERATION);
    assert_non_null(r);
    assert_true(r->final);
    assert_string_equal(r->report->status, "SUCCESS");
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_READY], 20);
    assert_int_equal(r->report->aggregate.group_count, 1);
    assert_int_equal(r->report->aggregate.groups[0].count, 20);
    bench_ask(b, QUERY_JOBS, id);
    assert_non_null(strstr(row_text(b, 0), "state=SUCCESS\n"));
    assert_non_null(strstr(row_text(b, 0), "ready=20\n"));
    bench_close(b);
}

/* Four consoles follow at most; each gets the id, how it stands, and the report when it ends. */
static void others_attach_until_it_ends(void **state)
{
    (void)state;
    struct bench *b = mesh();
    struct id128 id = submit(b);
    for (unsigned i = 0; i < JOB_FOLLOWERS_MAX; i++) {
        bench_ask(b, QUERY_ATTACH, id);
        assert_true(num_id128_equal(bench_reply(b, REPLY_ACCEPTED)->operation_id, id));
        assert_false(bench_reply(b, REPLY_PROGRESS)->final);
    }
    bench_ask(b, QUERY_ATTACH, id);
    assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_OVERLOAD);
    bench_forget(b);
    finish(b, id);
    uint32_t reports = 0;
    for (uint32_t i = 0; i < b->sent_count; i++) {
        reports += b->sent[i]->type == MSG_REPLY && b->sent[i]->u.reply->kind == REPLY_OPERATION;
    }
    assert_int_equal(reports, 1 + JOB_FOLLOWERS_MAX);
    bench_ask(b, QUERY_ATTACH, id); /* there is room again, and it has ended: at once */
    assert_true(bench_reply(b, REPLY_OPERATION)->final);
    bench_close(b);
}

static void a_cancelled_job_says_so(void **state)
{
    (void)state;
    struct bench *b = mesh();
    struct id128 id = submit(b);
    struct command cancel = {.kind = COMMAND_CANCEL, .operation_id = id};
    bench_command(b, &cancel);
    bench_result(b, unit_sector(1), id, 10, OUTCOME_CANCELLED);
    bench_result(b, unit_sector(2), id, 10, OUTCOME_CANCELLED);
    bench_ask(b, QUERY_JOBS, id);
    assert_non_null(strstr(row_text(b, 0), "state=CANCELLED\n"));
    bench_close(b);
}

static void the_table_is_bounded_and_ended_ones_go_first(void **state)
{
    (void)state;
    struct bench *b = mesh();
    struct id128 runs = submit(b), ends = submit(b);
    finish(b, ends);
    for (unsigned i = 2; i < JOBS_MAX; i++) {
        (void)submit(b);
        bench_forget(b);
    }
    bench_ask(b, QUERY_JOB, ends);
    assert_non_null(bench_reply(b, REPLY_OPERATION));
    (void)submit(b); /* one more than there is room for */
    bench_ask(b, QUERY_JOB, ends);
    assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_INVALID);
    bench_ask(b, QUERY_JOB, runs);
    assert_non_null(bench_reply(b, REPLY_PROGRESS));
    (void)submit(b); /* all run: the first leaves the table */
    bench_ask(b, QUERY_JOB, runs);
    assert_non_null(bench_reply(b, REPLY_ERROR));
    bench_close(b);
}

/* More than one page: every job exactly once, newest first. */
static void the_list_is_paged(void **state)
{
    (void)state;
    struct bench *b = mesh();
    for (unsigned i = 0; i < 200; i++) {
        (void)submit(b);
    }
    uint32_t seen = 0;
    struct command c = {.kind = COMMAND_QUERY};
    c.query = (struct query){.kind = QUERY_JOBS, .from_start = true, .limit = PAGE_ROWS_MAX};
    for (bool more = true; more; c.query.from_start = false) {
        bench_forget(b);
        bench_command(b, &c);
        const struct rows *rows = bench_reply(b, REPLY_ROWS)->rows;
        assert_int_equal(rows->total, 200);
        for (uint32_t i = 0; i < rows->row_count; i++, seen++) {
            assert_true(seen == 0 || rows->rows[i].key > c.query.after_key);
            c.query.after_key = rows->rows[i].key;
        }
        more = rows->more;
    }
    assert_int_equal(seen, 200);
    bench_close(b);
}

static void a_trace_has_the_roots_own_row(void **state)
{
    (void)state;
    struct bench *b = mesh();
    struct id128 id = submit(b);
    bench_pass(b, 50000);
    bench_result(b, unit_sector(2), id, 10, OUTCOME_READY);
    bench_ask(b, QUERY_TRACE, id);
    const struct msg *m = bench_sent(b, MSG_QUERY, 0);
    assert_non_null(m);
    assert_int_equal(m->u.query->kind, QUERY_TRACE);
    struct msg empty = {.type = MSG_ROWS, .epoch = 1};
    empty.u.rows = (struct rows){.ref = m->u.query->ref, .kind = ROW_RECORD};
    for (unsigned s = 1; s <= 2; s++) {
        empty.from = unit_sector(s);
        bench_msg(b, &empty);
    }
    const char *text = row_text(b, 0);
    assert_non_null(strstr(text, "action=echo\n"));
    assert_non_null(strstr(text, "children_waiting=1\ntargets=20\nwaiting=10\n"));
    assert_non_null(strstr(text, "waits_for=s01\n"));
    assert_non_null(strstr(text, "slowest=s02"));
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_running_job_is_listed_and_shown),
        cmocka_unit_test(an_ended_job_keeps_its_report),
        cmocka_unit_test(others_attach_until_it_ends),
        cmocka_unit_test(a_cancelled_job_says_so),
        cmocka_unit_test(the_table_is_bounded_and_ended_ones_go_first),
        cmocka_unit_test(the_list_is_paged),
        cmocka_unit_test(a_trace_has_the_roots_own_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
