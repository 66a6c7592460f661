/* Scenario files: what is refused, and where; reading what was written; what the swarm draws; and
 * that the judge's checkers see what they are there for. */
#include "sim/check.h"
#include "sim/draw.h"
#include "sim/play.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct scenario first, second;

/* The refusal of a text; "" when it was accepted. */
static const char *refusal(const char *text)
{
    static char said[512];
    memset(said, 0, sizeof(said));
    FILE *from = fmemopen((void *)(uintptr_t)text, strlen(text), "r");
    FILE *errors = fmemopen(said, sizeof(said) - 1, "w");
    assert_non_null(from);
    assert_non_null(errors);
    bool good = scenario_parse("x.scn", from, &first, errors);
    fclose(from);
    fclose(errors);
    assert_int_equal(good, said[0] == '\0');
    return said;
}

static void nonsense_is_refused_with_line_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"\n", "x.scn:1: no statement in it: at least one is wanted, as 'run 30s'\n"},
        {"# nothing\n \t\n", "x.scn:2: no statement in it: at least one is wanted, as 'run 30s'\n"},
        {"fly to the moon\n", "x.scn:1: 'fly' is no statement\n"},
        {"\n\nat 5s explode s01\n", "x.scn:3: 'explode' is nothing that can be done to a mesh\n"},
        {"at 5 kill s01\n", "x.scn:1: when: '5' is no duration (as in 250ms, 12s, 5m)\n"},
        {"at -5s kill s01\n", "x.scn:1: when: -5s is out of range\n"},
        {"at nans kill s01\n", "x.scn:1: when: 'nans' is no duration (as in 250ms, 12s, 5m)\n"},
        {"at 5s kill\n", "x.scn:1: the unit is missing\n"},
        {"at 5s kill s99\n", "x.scn:1: the unit is not in this mesh\n"},
        {"at 5s pause s01\n", "x.scn:1: pause: 'for DURATION' is missing\n"},
        {"at 5s kill s01 for 0s\n", "x.scn:1: kill: for 0s is nothing\n"},
        {"at 5s kill s01 twice\n", "x.scn:1: 'twice' is not expected here\n"},
        {"at 70s kill s01\n", "x.scn:1: it would happen after the end\n"},
        {"heal 10s\nat 20s kill s01\n", "x.scn:2: it would happen after the heal\n"},
        {"run 5s\nheal 10s\n", "x.scn:2: heal: after the end of the run\n"},
        {"at 5s slow s01 3\n", "x.scn:1: slow: only agents have a speed\n"},
        {"at 5s slow s01.c1.a1 fast\n", "x.scn:1: factor: 'fast' is not a number\n"},
        {"at 5s cancel a\n", "x.scn:1: cancel: no operation has this label\n"},
        {"at 5s reject a\n", "x.scn:1: approve, reject: no operation has this label\n"},
        {"at 5s route-around s01\n", "x.scn:1: route-around: a cluster or an agent\n"},
        {"pending 0\n",
         "x.scn:1: messages that wait for who stands still: 0 is not within 1 and 65536\n"},
        {"at 5s store-down logs\n", "x.scn:1: 'logs' is not expected here\n"},
        {"at 5s store-failover log for 2s\n",
         "x.scn:1: log: it is SQL, and forgets nothing: down, silent, readonly, full or unsure\n"},
        {"at 5s submit a echo\nat 6s submit a echo\n", "x.scn:2: the label is used twice\n"},
        {"at 5s submit a echo priority 7\n", "x.scn:1: priority: 7 is not within 0 and 3\n"},
        {"at 5s submit a echo payload \"open\n", "x.scn:1: the quote is not closed\n"},
        {"mesh sectors 0 clusters 1 agents 1\n", "x.scn:1: sectors: 0 is not within 1 and 1024\n"},
        {"mesh sectors 2\n", "x.scn:1: mesh: 'clusters N' is missing\n"},
        {"at 5s kill s01\nmesh sectors 1 clusters 1 agents 1\n",
         "x.scn:2: the mesh comes before what is done to it\n"},
        {"class A 5\n", "x.scn:1: the classes have 5 agents, the mesh has 24\n"},
        {"class Z 24\n", "x.scn:1: 'Z' is no class (A to F)\n"},
        {"loss agents 1000\n", "x.scn:1: loss: 1000 is not within 0 and 900\n"},
        {"every 1s from 5s to 3s kill s01\n", "x.scn:1: every: it ends before it begins\n"},
        {"expect active > 5 at 5s\n", "x.scn:1: '>': >=, <= or = is wanted\n"},
        {"expect mode GREAT at 5s\n", "x.scn:1: 'GREAT' is no mode\n"},
        {"expect note boom >= 1\n", "x.scn:1: 'boom' is no note\n"},
        {"expect operation a ready >= 1\n", "x.scn:1: no operation has this label\n"},
        {"expect active >= 1 at 59s within 5s\n",
         "x.scn:1: it would be looked at after the end of the run\n"},
        {"expect luck\n",
         "x.scn:1: expect: active, sectors, mode, availability, note or operation\n"},
        {"processes 9\n", "x.scn:1: how many processes a tier has: 9 is not within 1 and 8\n"},
        {"at 5s twin s01 for 3s\n", "x.scn:1: twin: first say how many `processes N` a tier has\n"},
        {"processes 2\nat 5s twin s01.c1.a1\n",
         "x.scn:2: twin: agents have no process of their own here\n"},
        {"at 5s submit a echo via s01.c1\n", "x.scn:1: via: a sector of this mesh\n"},
        {"at 5s submit a echo via s03\n", "x.scn:1: via: a sector of this mesh\n"},
        {"at 5s submit a echo via\n", "x.scn:1: the unit is missing\n"},
        {"at 5s lie s01 forge\n", "x.scn:1: lie: only agents lie\n"},
        {"at 5s quarantine s01.c1\n", "x.scn:1: quarantine: an agent, as s01.c2.a3\n"},
        {"at 5s lie s01.c1.a1 maybe\n", "x.scn:1: 'maybe' is no lie: forge, replay, equivocate, "
                                        "capability, flood, impedance, timing or content\n"},
        {"expect availability >= 3\n", "x.scn:1: availability: a share, like >= 99.9%\n"},
        {"seed 1.5\n", "x.scn:1: seed: not a whole number\n"},
        {"heal 0s\n", "x.scn:1: heal: 0s is no time for it\n"},
        /* Of statements that make no sense together: the line of one of them, not of the end. */
        {"run 0s\n# end\n\n", "x.scn:1: run: it lasts no time\n"},
        {"heal 50s\nrun 30s\n# end\n", "x.scn:1: heal: after the end of the run\n"},
        {"heal 20s broken s09\n# end\n",
         "x.scn:1: heal: a broken unit is not below the orchestrator of this mesh\n"},
        {"processes 2\nmesh sectors 40 clusters 10 agents 30\n# end\n",
         "x.scn:1: processes: 1,000 agents at most\n"},
        {"spare 3\nprocesses 2\n# end\n", "x.scn:1: spare: not together with `processes`\n"},
        /* Nothing that was said is forgotten, or said in vain. */
        {"class A 24\nmesh sectors 1 clusters 1 agents 24\n",
         "x.scn:2: the mesh comes before its `class` and `spare`\n"},
        {"spare 3\nmesh sectors 1 clusters 1 agents 24\n",
         "x.scn:2: the mesh comes before its `class` and `spare`\n"},
        {"loss agents 1 agents 2\n", "x.scn:1: loss: 'agents' is there twice\n"},
        {"at 5s submit a echo ttl 5s ttl 6s\n", "x.scn:1: submit: 'ttl' is there twice\n"},
        {"at 5s submit a echo class A,A\n", "x.scn:1: class A is there twice\n"},
        {"at 5s submit a echo class A,\n", "x.scn:1: '' is no class (A to F)\n"},
        {"at 5s submit a echo class \"\"\n", "x.scn:1: '' is no class (A to F)\n"},
        {"expect active = 2.5 at 5s\n", "x.scn:1: the value: not a whole number\n"},
        {"expect note joined >= 5%\n", "x.scn:1: notes are counted, not shared\n"},
        {"at 5s wall-step s01 by 0s\n", "x.scn:1: wall-step: by 0s is nothing\n"},
        {"at 5s wall-step s01 by -11m\n", "x.scn:1: by: 10 minutes at most\n"},
        {"at 5s clock-jump s01 by -5s\n", "x.scn:1: by how much: -5s is out of range\n"},
        {"at 5s clock-drift s01 -1001\n",
         "x.scn:1: parts per million: -1001 is not within -1000 and 1000\n"},
        /* What is no text. */
        {"scenario \"\xff\"\n", "x.scn:1: byte 11 is 0xff: this is no text\n"},
        {"scenario \"a\x07\"\n", "x.scn:1: byte 12 is 0x07: this is no text\n"},
        {"run 30s\n\xef\xbb\xbfseed 2\n", "x.scn:2: byte 1 is 0xef: this is no text\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(refusal(cases[i].text), cases[i].why);
    }
}

static void a_long_line_and_too_many_acts_are_refused(void **state)
{
    (void)state;
    static char text[SCENARIO_ACTS_MAX * 40 + 4096];
    memset(text, 'x', 2000);
    text[2000] = '\0';
    assert_non_null(strstr(refusal(text), "x.scn:1: a line of more than"));
    assert_non_null(strstr(refusal("every 1ms from 1s to 30s restart s01.c1.a1\n"),
                           "x.scn:1: more than 512 acts"));
}

/* As other systems' editors write it; and options in any order. */
static void marks_line_ends_and_orders_are_accepted(void **state)
{
    (void)state;
    assert_string_equal(refusal("\xef\xbb\xbfscenario \"Zürich\"\r\nrun 30s\r\n"
                                "at 5s submit a echo on s01 payload \"hello\"\r\n"
                                "at 6s wall-step s01 by -2s\r\nat 7s clock-drift s02 -40\r\n"),
                        "");
    assert_string_equal(first.name, "Zürich");
    assert_int_equal(first.run_us, 30 * US_PER_S);
    assert_string_equal(first.acts[0].payload, "hello");
    assert_string_equal(first.acts[0].places, "s01");
    assert_int_equal(first.acts[1].by_us, -2 * US_PER_S);
    assert_int_equal(first.acts[2].ppm, -40);
}

/* What was written reads as the same scenario; drawn ones have every kind of act. */
static void written_scenarios_read_the_same(void **state)
{
    (void)state;
    static char text[65536], again[65536];
    for (uint64_t seed = 1; seed <= 200; seed++) {
        draw_deep(seed, &second);
        FILE *to = fmemopen(text, sizeof(text), "w");
        scenario_write(&second, to);
        fclose(to);
        assert_string_equal(refusal(text), "");
        to = fmemopen(again, sizeof(again), "w");
        scenario_write(&first, to);
        fclose(to);
        assert_string_equal(again, text);
    }
}

static void a_seed_is_one_run(void **state)
{
    (void)state;
    struct play_options o = {0};
    struct play_result a, b;
    for (uint64_t seed = 5; seed < 8; seed++) {
        draw_deep(seed, &first);
        second = first;
        assert_true(play(&first, &o, &a));
        assert_true(play(&second, &o, &b));
        assert_true(a.digest == b.digest);
        assert_true(a.events == b.events && a.events > 500);
    }
}

static void expectations_are_judged(void **state)
{
    (void)state;
    struct play_options o = {0};
    struct play_result r;
    assert_string_equal(refusal("run 30s\n"
                                "at 12s submit all echo payload \"hello\"\n"
                                "at 20s kill s02.c1.a1\n"
                                "expect operation all ready = 24\n"
                                "expect operation all status SUCCESS\n"
                                "expect active = 100% at 10s\n"
                                "expect mode FULL at 10s\n"
                                "expect sectors >= 2 at 10s within 5s\n"
                                "expect note child-down = 0\n"
                                "expect operation all failed >= 1\n"
                                "expect note joined at s02.c1 >= 6\n"),
                        "");
    assert_false(play(&first, &o, &r));
    assert_int_equal(r.violation.verdict, VERDICT_GOOD);
    assert_int_equal(r.unmet, 1);
    for (uint32_t i = 0; i < first.expect_count; i++) {
        assert_true(first.expects[i].judged);
        assert_int_equal(first.expects[i].met, i != 6);
    }
}

/* As the shrinker makes a mesh smaller, whose operations name places. */
static void a_smaller_mesh_may_not_hold_what_is_named(void **state)
{
    (void)state;
    uint32_t line = 0;
    assert_string_equal(refusal("mesh sectors 2 clusters 2 agents 6\n"
                                "at 5s submit a echo on s02.c1.a2\n"),
                        "");
    assert_true(scenario_shape(&first, 2, 2, 2));
    assert_null(scenario_check(&first, &line));
    assert_true(scenario_shape(&first, 2, 2, 1));
    assert_string_equal(scenario_check(&first, &line), "the unit is not in this mesh");
    assert_int_equal(line, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nonsense_is_refused_with_line_and_reason),
        cmocka_unit_test(a_long_line_and_too_many_acts_are_refused),
        cmocka_unit_test(marks_line_ends_and_orders_are_accepted),
        cmocka_unit_test(written_scenarios_read_the_same),
        cmocka_unit_test(a_seed_is_one_run),
        cmocka_unit_test(expectations_are_judged),
        cmocka_unit_test(a_smaller_mesh_may_not_hold_what_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
