/* Rollouts: the plan of parts, their order, and that a stop really stops. No mesh: replies by hand.
 */
#include "tiers/console/request.h"
#include "tiers/console/rollout.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/resolve.h"

static struct topology topo;
static struct invocation in;
static struct rollout rollout;
static struct render render;
static char error[COMMAND_ERROR_MAX];

static bool parse(const char *line, struct command *ret)
{
    static char room[1024];
    const char *words[COMMAND_WORDS_MAX], *why;
    size_t count;
    assert_true(command_split(line, room, sizeof room, words, &count, &why));
    return command_parse(words, count, &in, error) && request_build(&in, &topo, ret, error);
}

static bool plan(const char *line)
{
    struct command c;
    return parse(line, &c) && rollout_plan(&rollout, &in, &topo, NULL, &c, error);
}

static int setup(void **state)
{
    (void)state;
    topology_default(300, &topo);
    render = (struct render){.out = fopen("/dev/null", "we"), .topology = &topo};
    return render.out ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    fclose(render.out);
    return 0;
}

/* The part's targets as its agents would see them. */
static uint32_t targets_of(const struct rollout_lane *lane)
{
    return selector_expected(&lane->command.operation.selector, &topo, unit_orchestrator());
}

static void end(struct rollout_lane *lane, uint32_t bad)
{
    uint32_t n = targets_of(lane);
    struct report report = {.status = "SUCCESS"};
    struct answer_group groups[2];
    struct aggregate_view *a = &report.aggregate;
    a->targets = a->sent = n;
    a->outcomes[OUTCOME_READY] = n - bad;
    a->outcomes[OUTCOME_FAILED] = bad;
    groups[0] = (struct answer_group){.outcome = OUTCOME_READY, .count = n - bad};
    groups[1] = (struct answer_group){.outcome = OUTCOME_FAILED, .count = bad};
    for (int i = 0; i < 2; i++)
        groups[i].hash = aggregate_hash(groups[i].outcome, REASON_NONE, NULL, 0);
    a->groups = groups;
    a->group_count = bad ? 2 : 1;
    struct reply r = {.ref = lane->ref, .kind = REPLY_OPERATION, .final = true, .report = &report};
    rollout_reply(&rollout, &render, 1000, &r);
}

static void waves_are_cumulative_and_in_order(void **state)
{
    (void)state;
    static const uint32_t wanted[] = {1, 29, 270};
    assert_true(plan("run work --waves 1,10%,100%"));
    for (uint32_t w = 0; w < 3; w++) {
        struct rollout_lane *lane = rollout_next(&rollout, 1000, w + 1);
        assert_non_null(lane);
        assert_int_equal(targets_of(lane), wanted[w]);
        assert_null(rollout_next(&rollout, 1000, 99)); /* not before this wave has ended */
        assert_false(rollout_over(&rollout));
        end(lane, 0);
    }
    assert_true(rollout_over(&rollout));
    struct aggregate_scratch scratch;
    struct report report;
    rollout_report(&rollout, &scratch, &report);
    assert_string_equal(report.status, "SUCCESS");
    assert_int_equal(report.aggregate.outcomes[OUTCOME_READY], 300);
    rollout_done(&rollout);
}

static void a_failing_canary_stops_everything(void **state)
{
    (void)state;
    assert_true(plan("run work --canary 5"));
    struct rollout_lane *lane = rollout_next(&rollout, 1000, 1);
    assert_int_equal(targets_of(lane), 5);
    end(lane, 1); /* one is enough by default */
    assert_null(rollout_next(&rollout, 1000, 2));
    assert_true(rollout_over(&rollout));
    struct aggregate_scratch scratch;
    struct report report;
    rollout_report(&rollout, &scratch, &report);
    assert_string_equal(report.status, "STOPPED");
    assert_int_equal(report.aggregate.targets, 300);
    assert_int_equal(report.aggregate.outcomes[OUTCOME_CANCELLED], 295);
    assert_int_equal(report.aggregate.outcomes[OUTCOME_FAILED], 1);
    rollout_done(&rollout);
}

/* A quarter of the batch is replaced when it ends, not when the whole batch has. */
static void batches_slide_and_stop(void **state)
{
    (void)state;
    struct rollout_lane *lanes[4];
    assert_true(plan("run work --batch 40 --stop-on-fail 3"));
    for (uint64_t i = 0; i < 4; i++) {
        lanes[i] = rollout_next(&rollout, 1000, i + 1);
        assert_int_equal(targets_of(lanes[i]), 10);
    }
    assert_null(rollout_next(&rollout, 1000, 5));
    end(lanes[2], 2);
    struct rollout_lane *fifth = rollout_next(&rollout, 1000, 5);
    assert_non_null(fifth);
    assert_null(rollout_next(&rollout, 1000, 6));
    end(lanes[0], 1); /* the third failure */
    assert_null(rollout_next(&rollout, 1000, 6));
    assert_false(rollout_over(&rollout)); /* what is in flight ends by itself */
    end(lanes[1], 0);
    end(lanes[3], 0);
    end(fifth, 0);
    assert_true(rollout_over(&rollout));
    assert_int_equal(rollout.sum.targets, 50);
    rollout_done(&rollout);
}

static void a_refusal_ends_it_and_names_why(void **state)
{
    (void)state;
    assert_true(plan("run work --waves 10,100%"));
    end(rollout_next(&rollout, 1000, 1), 0);
    struct rollout_lane *lane = rollout_next(&rollout, 1000, 2);
    struct reply no = {.ref = lane->ref,
                       .kind = REPLY_ERROR,
                       .final = true,
                       .reason = REASON_FROZEN,
                       .text = "frozen"};
    rollout_reply(&rollout, &render, 1000, &no);
    assert_true(rollout_over(&rollout) && rollout.refused);
    assert_string_equal(rollout.why, "frozen");
    rollout_done(&rollout);
}

static void pauses_are_between_waves(void **state)
{
    (void)state;
    assert_true(plan("run work --waves 10,100% --pause 5s"));
    end(rollout_next(&rollout, 1000, 1), 0);
    assert_null(rollout_next(&rollout, 5999, 2));
    assert_non_null(rollout_next(&rollout, 6000, 2));
    rollout_done(&rollout);
}

/* The same seed, the same agents; exactly so many; another seed, others. */
static void a_limit_has_a_seed(void **state)
{
    (void)state;
    struct command a, b, c;
    assert_true(parse("run work --limit 10% --seed 7", &a));
    assert_true(parse("ask hi --limit 30 --seed 7", &b));
    assert_true(parse("broadcast --limit 30 --seed 8 hi", &c));
    assert_int_equal(selector_expected(&a.operation.selector, &topo, unit_orchestrator()), 30);
    assert_int_equal(a.operation.selector.part_last, b.operation.selector.part_last);
    assert_int_not_equal(a.operation.selector.part_last, c.operation.selector.part_last);
    assert_int_equal(b.operation.selector.sample, 0);
    assert_true(parse("run work --limit 100%", &a));
    assert_int_equal(a.operation.selector.part_last, 0);
}

static void what_cannot_be_is_said(void **state)
{
    (void)state;
    static const char *const lines[][2] = {
        {"run work --limit 0", "--limit: '0' is neither a number"},
        {"run work --limit 101%", "--limit: '101%' is neither"},
        {"run work --limit 1.5", "neither a number of agents"},
        {"run work --canary x", "--canary: 'x' is neither"},
        {"run work --waves 10%,5%", "--waves: '5%' is less than the wave before"},
        {"run work --waves 1,,2", "--waves: '' is neither"},
        {"run work --batch -3", "--batch: '-3' is neither"},
        {"run work --batch 5 --stop-on-fail none", "--stop-on-fail: 'none' is neither"},
        {"ask hi --on s01.c1.a[1-3] --quorum 4", "--quorum: 4, but only 3 agents are meant"},
        {"ask hi --limit 3 --quorum 4", "--quorum: 4, but only 3 agents are meant"},
        {"delegate x --to s01.c1.a1 --several 2", "--several: 2, but only 1 agent is meant"}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        assert_false(plan(lines[i][0]));
        if (!strstr(error, lines[i][1]))
            fail_msg("%s: %s", lines[i][0], error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waves_are_cumulative_and_in_order),
        cmocka_unit_test(a_failing_canary_stops_everything),
        cmocka_unit_test(batches_slide_and_stop),
        cmocka_unit_test(a_refusal_ends_it_and_names_why),
        cmocka_unit_test(pauses_are_between_waves),
        cmocka_unit_test(a_limit_has_a_seed),
        cmocka_unit_test(what_cannot_be_is_said),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
