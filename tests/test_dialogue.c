/* The dialogue of spec 7.2: what words mean, what a yes binds to, why a task is stuck. */
#include "tiers/console/talk.h"
#include "tiers/console/task.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NOW_US (INT64_C(1795000000) * US_PER_S)
#define TASK   "01a21f511eb3f0cb474c5aac6af5d221"

static struct topology topology;
static struct subject nothing;
static char error[COMMAND_ERROR_MAX];
static struct utterance said;

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &topology);
    return 0;
}

/* The one command that the words mean, or "?" and the error. */
static const char *means(const char *text, const struct subject *subject)
{
    if (!grammar_read(text, &topology, subject, &said, error))
        return "?";
    return said.count == 1 && said.clauses[0].act == ACT_COMMAND ? said.clauses[0].line : "several";
}

#define MEANS(text, line) assert_string_equal(means(text, &nothing), line)

static void words_are_commands(void **state)
{
    (void)state;
    MEANS("What's happening in sector 7?", "diagnose s07");
    MEANS("what is going on in s07.c4", "diagnose s07.c4");
    MEANS("How is cluster 7-4 doing", "diagnose s07.c4");
    MEANS("how's sector 7 cluster 4?", "diagnose s07.c4");
    MEANS("How's the mesh?", "status");
    MEANS("what's up with SECTOR-12", "diagnose sector-12");
    MEANS("status of s07.c4.a12", "agent s07.c4.a12");
    MEANS("show me what s07.c4.a12,s07.c4.a19 are stuck on", "stuck s07.c4.a12,s07.c4.a19");
    MEANS("what is sector 3 waiting for", "stuck s03");
    MEANS("Please route around s07.c4.a12", "route-around s07.c4.a12");
    MEANS("avoid s07.c4.a12 and s07.c4.a19", "route-around s07.c4.a12,s07.c4.a19");
    MEANS("freeze s07, then s08", "?");
    MEANS("stop avoiding s07.c4.a12", "route-around s07.c4.a12 --undo");
    MEANS("freeze sector 7", "freeze s07 --yes");
    MEANS("halt everything", "freeze all --yes");
    MEANS("please go ahead", "several");
    MEANS("resume sector 7", "thaw s07");
    MEANS("heal sector 7", "heal s07 --yes");
    MEANS("who is slowest in sector 7?", "top --once --limit 10 --on s07");
    MEANS("show me the slowest gpus", "top --once --limit 10 --class CLASS_D_GPU");
    MEANS("which agents are slow in sector 7?", "find --on s07 --slower 500 --limit 10");
    MEANS("who is best at vision?", "find --capability vision --limit 10");
    MEANS("who can do local state in s07", "find --capability local-state --on s07 --limit 10");
    MEANS("why is sector 7 slow?", "diagnose s07");
    MEANS("which gpus are offline", "find --class CLASS_D_GPU --state offline --limit 10");
    MEANS("any conflicts in sector 7?", "conflicts --on s07");
    MEANS("show me the kpis", "kpi");
    MEANS("who did that", "audit");
}

static void facts_choose_agents(void **state)
{
    (void)state;
    MEANS("who has gpu=a100 in sector 7?", "find --on s07 --where gpu=a100 --limit 10");
    MEANS("agents with os=debian*,gpu!=*", "find --where 'os=debian*,gpu!=*' --limit 10");
    MEANS("show slow agents with memory_mib>=4096 in s07, please",
          "find --on s07 --slower 500 --where 'memory_mib>=4096' --limit 10");
    MEANS("which gpus are offline with facts.os=debian12",
          "find --class CLASS_D_GPU --state offline --where os=debian12 --limit 10");
    MEANS("route around agents with kernel<5 in sector 7", "route-around s07 --where 'kernel<5'");
    MEANS("stop avoiding agents with kernel<5", "route-around --where 'kernel<5' --undo");
    MEANS("what are agents with gpu=a100 stuck on?", "stuck --where gpu=a100");
    MEANS("when could the gpus with gpu=a100 be ready?",
          "when --class CLASS_D_GPU --where gpu=a100");
    MEANS("when can sector 7 be ready", "when --on s07");
    MEANS("freeze sector 7 with os=debian12", "?");
    assert_non_null(strstr(error, "'os=debian12' chooses agents by facts, and 'freeze s07"));
    MEANS("who has gpu=", "?");
    assert_non_null(strstr(error, "'gpu=' at character"));
    MEANS("what's happening in sector 7 with os=debian12", "?");
    const struct subject s = {.places = "s07.c4.a12"};
    assert_string_equal(means("route around the ones with os=x", &s), "route-around --where os=x");
    assert_true(grammar_read("yes, and find agents with cpus>=8, then freeze s07", &topology, &s,
                             &said, error));
    assert_int_equal(said.count, 3);
    assert_string_equal(said.clauses[1].line, "find --where 'cpus>=8' --limit 10");
}

static void commands_are_themselves(void **state)
{
    (void)state;
    MEANS("find --class D --limit 5", "find --class D --limit 5");
    MEANS("ask \"are you there?\" --on s07.c3 --all", "ask \"are you there?\" --on s07.c3 --all");
    MEANS("status", "status");
    MEANS("  status  ", "  status  ");
}

static void what_is_not_understood_is_said(void **state)
{
    (void)state;
    MEANS("colourless green ideas", "?");
    assert_non_null(strstr(error, "colourless green ideas"));
    MEANS("what's happening in sector 999", "?");
    assert_non_null(strstr(error, "s999"));
    MEANS("route around them", "?");
    assert_non_null(strstr(error, "route around whom?"));
    MEANS("reassign the task", "?");
    assert_non_null(strstr(error, "which task?"));
    MEANS("fix the mapping", "?");
    MEANS("freeze it", "?");
    MEANS("", "?");
    MEANS(" ,;., ", "?");
    char *longest = malloc(GRAMMAR_TEXT_MAX + 1);
    assert_non_null(longest);
    memset(longest, 'a', GRAMMAR_TEXT_MAX);
    longest[GRAMMAR_TEXT_MAX] = '\0';
    MEANS(longest, "?");
    free(longest);
}

static void pronouns_are_the_subject(void **state)
{
    (void)state;
    const struct subject s = {.scope = "s07",
                              .places = "s07.c4.a12,s07.c4.a19",
                              .operation = TASK,
                              .home_class = "CLASS_D_GPU",
                              .wrong_class = "CLASS_E_LOCAL",
                              .capability = "vision"};
    assert_string_equal(means("route around them", &s), "route-around s07.c4.a12,s07.c4.a19");
    assert_string_equal(means("what are they stuck on?", &s), "stuck s07.c4.a12,s07.c4.a19");
    assert_string_equal(means("reassign it", &s), "reassign " TASK " --to CLASS_D_GPU");
    assert_string_equal(means("hand the task to the servers", &s),
                        "reassign " TASK " --to CLASS_C_PERSISTENT");
    assert_string_equal(means("fix the capability mapping", &s),
                        "mapping exclude vision --class CLASS_E_LOCAL");
    assert_true(grammar_read("reassign the task and fix the capability mapping", &topology, &s,
                             &said, error));
    assert_int_equal(said.count, 2);
    assert_true(grammar_read("Yeah route around, and show me what they're stuck on", &topology, &s,
                             &said, error));
    assert_int_equal(said.count, 3);
    assert_int_equal(said.clauses[0].act, ACT_YES);
    assert_string_equal(said.clauses[1].line, "route-around s07.c4.a12,s07.c4.a19");
    assert_string_equal(said.clauses[2].line, "stuck s07.c4.a12,s07.c4.a19");
    assert_true(grammar_read("Do it", &topology, &s, &said, error));
    assert_int_equal(said.clauses[0].act, ACT_YES);
    assert_true(grammar_read("never mind", &topology, &s, &said, error));
    assert_int_equal(said.clauses[0].act, ACT_NO);
}

/* --- binding --- */

static FILE *sink;
static struct render render;
static struct talk talk;
static struct findings findings;

static int begin(void **state)
{
    sink = fopen("/dev/null", "w");
    render = (struct render){.out = sink, .topology = &topology};
    memset(&talk, 0, sizeof talk);
    memset(&findings, 0, sizeof findings);
    return setup(state) || !sink;
}

static int end(void **state)
{
    (void)state;
    return fclose(sink);
}

/* Says it, runs all of it with this exit code, and tells the lines joined by " | ". */
static const char *run(const char *text, int64_t at_us, int code)
{
    static char lines[4096];
    const char *line;
    lines[0] = '\0';
    if (!talk_say(&talk, text, &topology, at_us, error))
        return "?";
    while ((line = talk_next(&talk, &render)) != NULL) {
        char copy[GRAMMAR_LINE_MAX];
        snprintf(copy, sizeof copy, "%s", line);
        snprintf(lines + strlen(lines), sizeof lines - strlen(lines), "%s%s", lines[0] ? " | " : "",
                 copy);
        talk_ended(&talk, copy, code, &findings);
    }
    talk_finish(&talk, &render, at_us);
    return lines;
}

static void slow_agents(void)
{
    findings = (struct findings){.slow_count = 2,
                                 .slow = {unit_agent(7, 4, 12), unit_agent(7, 4, 19)},
                                 .slow_ms = {847, 612}};
}

static void stuck_on_a_gpu(void)
{
    findings = (struct findings){.stuck = true,
                                 .verdict = {.cause = CAUSE_CLASS, .home = CLASS_D_GPU},
                                 .agent_class = CLASS_E_LOCAL,
                                 .capability = "vision",
                                 .agent_count = 2,
                                 .agents = {unit_agent(7, 4, 12), unit_agent(7, 4, 19)}};
    assert_true(num_id128_parse(TASK, 32, &findings.operation));
}

static void the_dialogue_of_the_spec(void **state)
{
    (void)state;
    slow_agents();
    assert_string_equal(run("What's happening in sector 7?", NOW_US, 0), "diagnose s07");
    assert_string_equal(talk.proposal.question, "Shall I route around them for now?");
    assert_int_equal(talk.proposal.count, 1);
    stuck_on_a_gpu();
    assert_string_equal(run("Yeah route around, and show me what they're stuck on", NOW_US + 1, 0),
                        "route-around s07.c4.a12,s07.c4.a19 | stuck s07.c4.a12,s07.c4.a19");
    assert_string_equal(talk.proposal.question,
                        "Shall I reassign the task and fix the capability mapping?");
    assert_string_equal(run("Do it", NOW_US + 2, 0),
                        "reassign " TASK " --to CLASS_D_GPU | mapping exclude vision --class "
                        "CLASS_E_LOCAL | route-around s07.c4.a12,s07.c4.a19 --undo");
    assert_string_equal(run("Do it", NOW_US + 3, 0), "?"); /* once */
    assert_string_equal(error, "nothing is proposed");
}

static void yes_binds_to_the_last_proposal_alone(void **state)
{
    (void)state;
    assert_string_equal(run("freeze sector 7", NOW_US, 0), "");
    assert_string_equal(run("heal sector 8", NOW_US, 0), "");
    assert_string_equal(run("yes", NOW_US, 0), "heal s08 --yes");
    assert_string_equal(run("freeze sector 7", NOW_US, 0), "");
    assert_string_equal(run("yes, freeze sector 8", NOW_US, 0), ""); /* it was another sector */
    assert_string_equal(run("yes, freeze sector 8", NOW_US, 0), "freeze s08 --yes");
    assert_string_equal(run("freeze sector 7", NOW_US, 0), "");
    assert_string_equal(run("no", NOW_US, 0), "");
    assert_string_equal(run("yes", NOW_US, 0), "?");
}

static void a_proposal_expires(void **state)
{
    (void)state;
    assert_string_equal(run("freeze sector 7", NOW_US, 0), "");
    assert_string_equal(run("yes", NOW_US + TALK_PROPOSAL_US, 0), "?");
    assert_string_equal(error, "that proposal has expired: ask again");
    assert_string_equal(run("freeze sector 7", NOW_US, 0), "");
    assert_string_equal(run("yes", NOW_US - 1, 0), "?"); /* the clock went back: nobody knows */
    assert_string_equal(run("freeze sector 7", NOW_US, 0), "");
    assert_string_equal(run("yes", NOW_US + TALK_PROPOSAL_US - 1, 0), "freeze s07 --yes");
}

static void what_reads_between_keeps_the_proposal(void **state)
{
    (void)state;
    assert_string_equal(run("freeze sector 7", NOW_US, 0), "");
    assert_string_equal(run("show me the kpis", NOW_US, 0), "kpi");
    assert_string_equal(run("go ahead", NOW_US, 0), "freeze s07 --yes");
}

static void a_failure_stops_the_rest(void **state)
{
    (void)state;
    stuck_on_a_gpu();
    assert_string_equal(run("what is s07.c4.a12 stuck on", NOW_US, 0), "stuck s07.c4.a12");
    assert_int_equal(talk.proposal.count, 2);
    assert_string_equal(run("yes", NOW_US, EXIT_NOT_FOUND), "reassign " TASK " --to CLASS_D_GPU");
    assert_string_equal(run("yes", NOW_US, 0), "?");
}

static void what_acts_is_never_run_unasked(void **state)
{
    (void)state;
    static const char *const acts[] = {"cascade",
                                       "broadcast hello",
                                       "run work",
                                       "freeze --yes",
                                       "conflicts resolve 3f9a --keep both",
                                       ("cancel " TASK),
                                       "jobs cancel 0192",
                                       "jobs approve 0192",
                                       "jobs reject 0192",
                                       "threats clear 3f9a0c1d2e4b5a69",
                                       "approve 8c1d2e4b5a693f9b",
                                       "ask hi --consensus 3",
                                       "ask hi --action pay",
                                       "pipeline echo,echo hi",
                                       "mapping exclude vision --class E",
                                       "delegate do this",
                                       "breaker open s07 --yes"};
    for (size_t i = 0; i < sizeof acts / sizeof *acts; i++) {
        assert_string_equal(run(acts[i], NOW_US, 0), "");
        assert_string_equal(talk.proposal.lines[0], acts[i]);
    }
    assert_string_equal(run("freeze s07", NOW_US, 0), "");
    assert_string_equal(talk.proposal.lines[0], "freeze s07 --yes"); /* the yes says it twice */
    assert_string_equal(run("watch status", NOW_US, 0), "?");
    static const char *const reads[] = {"route-around",   "approve",
                                        "jobs",           "threats",
                                        "move",           "scale show",
                                        "heal --dry-run", "run echo hi --dry-run",
                                        "ask hi",         "ask hi --action facts",
                                        "mapping"};
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++)
        assert_string_equal(run(reads[i], NOW_US, 0), reads[i]);
    assert_string_equal(run("review list", NOW_US, 0), "review list");
}

static void lines_of_a_model_are_held_to_the_same(void **state)
{
    (void)state;
    const char *const good[] = {"status", "freeze s07"};
    const char *const bad[] = {"status", "rm -rf /"};
    assert_true(talk_lines(&talk, good, 2, NOW_US, error));
    assert_string_equal(talk_next(&talk, &render), "status");
    assert_null(talk_next(&talk, &render));
    talk_finish(&talk, &render, NOW_US);
    assert_string_equal(talk.proposal.lines[0], "freeze s07 --yes");
    assert_false(talk_lines(&talk, bad, 2, NOW_US, error));
    assert_null(talk_next(&talk, &render));
}

static void memory_is_for_one_shell_and_one_mesh(void **state)
{
    (void)state;
    char folder[] = "/tmp/mesh-dialogue-XXXXXX";
    assert_non_null(mkdtemp(folder));
    assert_int_equal(setenv("XDG_STATE_HOME", folder, 1), 0);
    assert_string_equal(run("freeze sector 7", NOW_US, 0), "");
    talk_store(&talk, "/a/mesh.conf", 42, NOW_US);
    talk_load(&talk, "/a/mesh.conf", 43, NOW_US);
    assert_string_equal(run("yes", NOW_US, 0), "?");
    talk_load(&talk, "/b/mesh.conf", 42, NOW_US);
    assert_string_equal(run("yes", NOW_US, 0), "?");
    talk_load(&talk, "/a/mesh.conf", 42, NOW_US + TALK_PROPOSAL_US);
    assert_string_equal(run("yes", NOW_US + TALK_PROPOSAL_US, 0), "?");
    talk_load(&talk, "/a/mesh.conf", 42, NOW_US + 1);
    assert_string_equal(run("yes", NOW_US + 1, 0), "freeze s07 --yes");
    char file[128];
    snprintf(file, sizeof file, "%s/mesh/dialogue.json", folder);
    FILE *broken = fopen(file, "w");
    assert_non_null(broken);
    fputs("{\"mesh\":\"/a/mesh.conf\",\"session\":42,\"proposal\":[1]}", broken);
    assert_int_equal(fclose(broken), 0);
    talk_load(&talk, "/a/mesh.conf", 42, NOW_US);
    assert_int_equal(talk.proposal.count, 0);
    assert_int_equal(remove(file), 0);
    snprintf(file, sizeof file, "%s/mesh", folder);
    assert_int_equal(remove(file), 0);
    assert_int_equal(remove(folder), 0);
}

/* --- why --- */

static struct work_row row(const char *text)
{
    struct work_row w;
    struct page_row page = {.unit = unit_agent(7, 4, 12)};
    page.u.record.text = text;
    page.u.record.bytes = (uint32_t)strlen(text);
    assert_true(work_row_read(&page, &w));
    return w;
}

#define ROW(waiting, more)                                                                         \
    "operation=" TASK "\nagent_class=CLASS_E_LOCAL\naction=infer\ntask=a = b\nrequires=vision,x\n" \
    "progress=running\nwaiting_on=" waiting "\nage_ms=263000\n" more

static void rows_are_read(void **state)
{
    (void)state;
    struct work_row w = row(ROW("GPU memory", "queue_depth=4\nlatency_ms=1.5\n"));
    assert_int_equal(w.agent_class, CLASS_E_LOCAL);
    assert_string_equal(w.task, "a = b");
    assert_string_equal(w.requires, "vision");
    assert_string_equal(w.waiting_on, "GPU memory");
    assert_true(w.running);
    assert_int_equal(w.age_us, 263 * US_PER_S);
    assert_int_equal(w.queue_depth, 4);
    struct page_row page = {.unit = unit_agent(7, 4, 12)};
    static const char *const bad[] = {"", "operation=xyz\n", "operation=" TASK "\nagent_class=Z\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        page.u.record.text = bad[i];
        page.u.record.bytes = (uint32_t)strlen(bad[i]);
        assert_false(work_row_read(&page, &w));
    }
}

static enum cause judged(const struct work_row *w, const char *capability, const struct holders *h,
                         struct verdict *v)
{
    diagnosis_judge(&topology, w, NULL, capability, h, v);
    return v->cause;
}

static void causes_in_their_order(void **state)
{
    (void)state;
    struct verdict v;
    struct holders both = {.agents = {[CLASS_D_GPU] = 20, [CLASS_E_LOCAL] = 30},
                           .median_ms = {[CLASS_D_GPU] = 300, [CLASS_E_LOCAL] = 500}};
    const struct holders nobody = {0};
    struct work_row w = row(ROW("GPU memory allocation", ""));
    assert_int_equal(judged(&w, "vision", &both, &v), CAUSE_CLASS); /* spec 2.2: D's */
    assert_int_equal(v.home, CLASS_D_GPU);
    assert_non_null(strstr(v.why, "CLASS_D_GPU"));
    assert_int_equal(judged(&w, "", &both, &v), CAUSE_CLASS); /* a GPU is awaited */
    assert_int_equal(judged(&w, "", &nobody, &v), CAUSE_MEMORY);
    w = row(ROW("", "queue_depth=3\n"));
    assert_int_equal(judged(&w, "", &both, &v), CAUSE_QUEUE);
    both.median_ms[CLASS_E_LOCAL] = 901;
    assert_int_equal(judged(&w, "", &both, &v), CAUSE_CLASS); /* three times as fast elsewhere */
    w.queue_depth = 0;
    w.running = false;
    assert_int_equal(judged(&w, "", &nobody, &v), CAUSE_SILENT);
    w.running = true;
    w.latency_ms = 900;
    assert_int_equal(judged(&w, "", &nobody, &v), CAUSE_NETWORK);
    w.latency_ms = 20;
    assert_int_equal(judged(&w, "", &nobody, &v), CAUSE_WORK);
    assert_int_equal(v.home, CLASS_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(words_are_commands, setup),
        cmocka_unit_test_setup(facts_choose_agents, setup),
        cmocka_unit_test_setup(commands_are_themselves, setup),
        cmocka_unit_test_setup(what_is_not_understood_is_said, setup),
        cmocka_unit_test_setup(pronouns_are_the_subject, setup),
        cmocka_unit_test_setup_teardown(the_dialogue_of_the_spec, begin, end),
        cmocka_unit_test_setup_teardown(yes_binds_to_the_last_proposal_alone, begin, end),
        cmocka_unit_test_setup_teardown(a_proposal_expires, begin, end),
        cmocka_unit_test_setup_teardown(what_reads_between_keeps_the_proposal, begin, end),
        cmocka_unit_test_setup_teardown(a_failure_stops_the_rest, begin, end),
        cmocka_unit_test_setup_teardown(what_acts_is_never_run_unasked, begin, end),
        cmocka_unit_test_setup_teardown(lines_of_a_model_are_held_to_the_same, begin, end),
        cmocka_unit_test_setup_teardown(memory_is_for_one_shell_and_one_mesh, begin, end),
        cmocka_unit_test_setup(rows_are_read, setup),
        cmocka_unit_test_setup(causes_in_their_order, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
