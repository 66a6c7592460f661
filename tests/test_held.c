/* What the mode lets wait (spec 6.3): the orchestrator, step by step. */
#include "core/num.h"
#include "tests/support/bench.h"
#include "tiers/orchestrator/orchestrator.h"
#include "tiers/orchestrator/orchestrator_held.h"

#define SECTORS 10u
#define EACH    200u

static void alive(struct bench *b, uint32_t active)
{
    for (unsigned s = 1; s <= SECTORS; s++) {
        bench_beat(b, unit_sector(s), 1, EACH, active);
    }
}

static struct mesh_status status(struct bench *b)
{
    struct command c = {.kind = COMMAND_STATUS};
    bench_command(b, &c);
    const struct reply *r = bench_reply(b, REPLY_STATUS);
    assert_non_null(r);
    struct mesh_status s = *r->status;
    bench_forget(b);
    return s;
}

static void in_mode(struct bench *b, uint32_t active, enum mode mode)
{
    alive(b, active);
    bench_pass(b, 1100000);
    assert_int_equal(status(b).mode, mode);
}

static struct bench *mesh(uint32_t active, enum mode mode)
{
    struct bench *b =
        bench_open(&orchestrator_ops, unit_orchestrator(), SECTORS, 5, (uint16_t)(EACH / 5));
    bench_nothing_frozen(b);
    in_mode(b, EACH, MODE_FULL);
    in_mode(b, active, mode);
    return b;
}

static void template(struct command *ret, unsigned priority, uint32_t sample)
{
    bench_submit(ret);
    ret->operation.priority = (uint8_t)priority;
    ret->operation.verb = VERB_ACT;
    ret->operation.selector.sample = sample;
    ret->operation.ttl_us = 0;
}

/* Its id. */
static struct id128 held(struct bench *b, struct command *c)
{
    bench_forget(b);
    bench_command(b, c);
    const struct reply *r = bench_reply(b, REPLY_HELD);
    assert_non_null(r);
    assert_int_equal(r->reason, REASON_MODE);
    assert_false(r->final);
    assert_null(bench_reply(b, REPLY_ERROR));
    assert_int_equal(bench_count(b, MSG_OPERATE), 0);
    struct id128 id = r->operation_id;
    bench_forget(b);
    return id;
}

static void decide(struct bench *b, struct id128 id, bool on)
{
    struct command c = {.kind = COMMAND_APPROVE, .operation_id = id, .on = on};
    bench_command(b, &c);
}

static void halves(struct bench *b, uint32_t one, uint32_t other)
{
    for (unsigned s = 1; s <= SECTORS; s++) {
        bench_beat(b, unit_sector(s), 1, EACH, s <= SECTORS / 2 ? one : other);
    }
    bench_pass(b, 1100000);
}

/* What leaves in the step in which the mode rises goes by the new one: to all, not only to sectors
 * that are healthy. */
static void what_waited_goes_by_the_mode_that_lets_it(void **state)
{
    (void)state;
    struct bench *b = mesh(EACH, MODE_FULL);
    halves(b, 100, EACH);
    assert_int_equal(status(b).mode, MODE_DEGRADED_MODERATE);
    struct command c;
    template(&c, 1, 500);
    (void)held(b, &c);
    halves(b, 150, EACH);
    bench_pass(b, 100000);
    const struct msg *m = bench_sent(b, MSG_OPERATE, 0);
    assert_non_null(m);
    assert_int_equal(num_bits(m->mask), SECTORS);
    assert_int_equal(status(b).mode, MODE_DEGRADED_LIGHT);
    bench_close(b);
}

static void non_urgent_work_waits_and_is_drained(void **state)
{
    (void)state;
    struct bench *b = mesh(130, MODE_DEGRADED_MODERATE);
    struct command c;
    template(&c, 1, 100);
    struct id128 first = held(b, &c), second = held(b, &c);
    assert_int_equal(status(b).waiting, 2);
    assert_int_equal(status(b).approvals, 0);
    decide(b, first, true); /* it is not approval that it needs */
    assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_MODE);
    in_mode(b, 161, MODE_DEGRADED_MODERATE); /* 80.5 %: not yet a percent above the threshold */
    bench_pass(b, 2 * HELD_LOOK_US);
    assert_int_equal(b->seals, 0);
    alive(b, 162); /* 81 % */
    while (b->seals == 0) {
        bench_pass(b, 50000);
    }
    assert_int_equal(status(b).mode, MODE_DEGRADED_LIGHT);
    assert_true(num_id128_equal(b->sealed.id, first)); /* under the id that was told */
    assert_int_equal(status(b).waiting, 1);            /* one after the other */
    bench_pass(b, HELD_PAUSE_US);
    assert_int_equal(b->seals, 2);
    assert_true(num_id128_equal(b->sealed.id, second));
    assert_int_equal(status(b).waiting, 0);
    bench_close(b);
}

static void what_never_goes_ends_refused(void **state)
{
    (void)state;
    struct bench *b = mesh(130, MODE_DEGRADED_MODERATE);
    struct command c;
    template(&c, 1, 100);
    c.operation.ttl_us = 3 * US_PER_S;
    struct id128 id = held(b, &c);
    bench_pass(b, 1000000);
    assert_null(bench_reply(b, REPLY_OPERATION));
    bench_pass(b, 3000000);
    const struct reply *r = bench_reply(b, REPLY_OPERATION);
    assert_non_null(r);
    assert_true(r->final && num_id128_equal(r->operation_id, id));
    assert_string_equal(r->report->status, "REFUSED");
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_REFUSED], 100);
    assert_int_equal(r->report->aggregate.reasons[REASON_EXPIRED], 100);
    assert_int_equal(status(b).waiting, 0);
    bench_close(b);
}

static void the_place_for_them_is_bounded(void **state)
{
    (void)state;
    struct bench *b = mesh(130, MODE_DEGRADED_MODERATE);
    struct command c;
    template(&c, 1, 100);
    struct id128 id = {{0}};
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        id = held(b, &c);
    }
    bench_command(b, &c);
    const struct reply *r = bench_reply(b, REPLY_ERROR);
    assert_int_equal(r->reason, REASON_OVERLOAD);
    assert_non_null(strstr(r->text, "pool \"waiting\""));
    bench_forget(b);
    struct command cancel = {.kind = COMMAND_CANCEL, .operation_id = id};
    bench_command(b, &cancel);
    assert_non_null(bench_reply(b, REPLY_OK));
    assert_string_equal(bench_reply(b, REPLY_OPERATION)->report->status, "CANCELLED");
    (void)held(b, &c);
    assert_int_equal(status(b).waiting, HELD_MAX);
    bench_close(b);
}

static void a_mesh_wide_operation_needs_an_operator(void **state)
{
    (void)state;
    struct bench *b = mesh(80, MODE_DEGRADED_SEVERE);
    struct command c;
    template(&c, 3, 0);
    struct id128 yes = held(b, &c), no = held(b, &c);
    assert_int_equal(status(b).approvals, 2);
    struct command jobs = {.kind = COMMAND_QUERY};
    jobs.query = (struct query){.kind = QUERY_JOBS, .from_start = true, .limit = 10};
    bench_command(b, &jobs);
    const struct rows *rows = bench_reply(b, REPLY_ROWS)->rows;
    assert_int_equal(rows->row_count, 2);
    bench_forget(b);
    decide(b, no, false);
    assert_non_null(bench_reply(b, REPLY_OK));
    const struct reply *r = bench_reply(b, REPLY_OPERATION);
    assert_string_equal(r->report->status, "REFUSED");
    assert_string_equal(r->report->recommendation, "an operator rejected it");
    assert_int_equal(r->report->aggregate.reasons[REASON_MODE], SECTORS * EACH);
    bench_forget(b);
    decide(b, yes, true);
    assert_non_null(bench_reply(b, REPLY_OK));
    bench_pass(b, HELD_PAUSE_US);
    assert_int_equal(b->seals, 1);
    assert_true(num_id128_equal(b->sealed.id, yes));
    bench_forget(b);
    decide(b, yes, true);
    assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_INVALID);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "does not wait any more"));
    bench_forget(b);
    decide(b, no, true);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "no operation of this id"));
    bench_close(b);
}

static void approval_is_no_longer_needed_when_the_mode_is_good_again(void **state)
{
    (void)state;
    struct bench *b = mesh(80, MODE_DEGRADED_SEVERE);
    struct command c;
    template(&c, 3, 0);
    struct id128 id = held(b, &c);
    in_mode(b, 130, MODE_DEGRADED_MODERATE); /* over 1,000 agents: it still waits */
    assert_int_equal(status(b).approvals, 0);
    assert_int_equal(status(b).waiting, 1);
    in_mode(b, 200, MODE_FULL);
    bench_pass(b, HELD_LOOK_US);
    assert_int_equal(b->seals, 1);
    assert_true(num_id128_equal(b->sealed.id, id));
    bench_close(b);
}

static void an_emergency_preserves_what_is_known(void **state)
{
    (void)state;
    struct bench *b = mesh(80, MODE_DEGRADED_SEVERE);
    in_mode(b, 20, MODE_EMERGENCY);
    for (unsigned i = 0; i < 6; i++) { /* the last write is waited for no longer than 5 s */
        in_mode(b, 20, MODE_EMERGENCY);
    }
    assert_int_equal(b->store_ops[STORE_APPEND], 1); /* else every 60 s */
    bench_close(b);
}

/* An orchestrator of which it is not known yet whether it was frozen. */
static struct bench *starting(void)
{
    struct bench *b =
        bench_open(&orchestrator_ops, unit_orchestrator(), SECTORS, 5, (uint16_t)(EACH / 5));
    alive(b, EACH);
    bench_forget(b);
    return b;
}

static void what_comes_while_it_settles_goes_on_then(void **state)
{
    (void)state;
    struct bench *b = starting();
    struct command c;
    bench_submit(&c);
    bench_command(b, &c);
    uint64_t first = c.ref;
    uint8_t payload[6] = "second";
    c.operation.payload = payload;
    c.operation.payload_bytes = sizeof(payload);
    bench_command(b, &c);
    memset(payload, 0, sizeof(payload)); /* a message's bytes live for one step */
    bench_pass(b, 500000);
    assert_int_equal(bench_count(b, MSG_REPLY), 0);
    assert_int_equal(b->seals, 0);
    assert_int_equal(status(b).waiting, 0); /* not for the mode */
    bench_nothing_frozen(b);
    bench_pass(b, HELD_EARLY_US + 10);
    assert_int_equal(b->seals, 2);
    assert_int_equal(bench_count(b, MSG_REPLY), 2);
    for (uint32_t i = 0; i < 2; i++) {
        const struct reply *r = bench_sent(b, MSG_REPLY, i)->u.reply;
        assert_int_equal(r->kind, REPLY_ACCEPTED);
        assert_int_equal(r->ref, first + i);
    }
    assert_string_equal(b->sealed_payload, "second");
    struct command jobs = {.kind = COMMAND_QUERY};
    jobs.query = (struct query){.kind = QUERY_JOBS, .from_start = true, .limit = 10};
    bench_command(b, &jobs);
    assert_int_equal(bench_reply(b, REPLY_ROWS)->rows->row_count, 2);
    bench_close(b);
}

static void what_comes_while_it_settles_is_refused_like_any_other(void **state)
{
    (void)state;
    struct bench *b = starting();
    struct command c;
    bench_submit(&c);
    bench_command(b, &c);
    c.operation.timing = TIMING_AT;
    c.operation.target_mesh_us = BENCH_UNIX_US - 1000000 + b->now_us + 100000;
    bench_command(b, &c);
    struct command freeze = {.kind = COMMAND_FREEZE, .scope = unit_orchestrator()};
    bench_command(b, &freeze);
    bench_forget(b);
    bench_pass(b, 2100000); /* the registry says nothing: it waits no longer */
    assert_int_equal(b->seals, 0);
    assert_int_equal(bench_count(b, MSG_REPLY), 2);
    const struct reply *frozen = bench_sent(b, MSG_REPLY, 0)->u.reply;
    assert_int_equal(frozen->reason, REASON_FROZEN);
    assert_string_equal(frozen->text, "frozen: thaw first");
    const struct reply *late = bench_sent(b, MSG_REPLY, 1)->u.reply;
    assert_int_equal(late->reason, REASON_INVALID);
    assert_string_equal(late->text, "target time: it has passed");
    bench_close(b);
}

/* The places are those of what waits for the mode. */
static void what_comes_while_it_settles_is_bounded(void **state)
{
    (void)state;
    struct bench *b = starting();
    struct command c;
    template(&c, 2, 1);
    for (unsigned i = 0; i < HELD_MAX; i++) {
        bench_command(b, &c);
    }
    assert_int_equal(bench_count(b, MSG_REPLY), 0);
    bench_command(b, &c);
    assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_FROZEN);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "starting"));
    bench_forget(b);
    bench_nothing_frozen(b);
    bench_pass(b, HELD_EARLY_US + 1000);
    assert_int_equal(bench_count(b, MSG_REPLY), HELD_MAX);
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_waited_goes_by_the_mode_that_lets_it),
        cmocka_unit_test(non_urgent_work_waits_and_is_drained),
        cmocka_unit_test(what_never_goes_ends_refused),
        cmocka_unit_test(the_place_for_them_is_bounded),
        cmocka_unit_test(a_mesh_wide_operation_needs_an_operator),
        cmocka_unit_test(approval_is_no_longer_needed_when_the_mode_is_good_again),
        cmocka_unit_test(an_emergency_preserves_what_is_known),
        cmocka_unit_test(what_comes_while_it_settles_goes_on_then),
        cmocka_unit_test(what_comes_while_it_settles_is_refused_like_any_other),
        cmocka_unit_test(what_comes_while_it_settles_is_bounded)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
