/* Pipelines of actions, before anything is sent; questions that the mesh understands; what agents
 * sent on its way to a terminal. */
#include "core/types.h"
#include "tiers/console/columns.h"
#include "tiers/console/pipeline.h"
#include "tiers/console/render.h"
#include "tiers/console/request.h"
#include "tiers/work/action.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char actions_text[] = "[action extract]\nhandler = exec\nprogram = /bin/cat\n"
                                   "input = text\noutput = json item:string\neffect = reads\n"
                                   "timeout = 20s\n"
                                   "[action price]\nhandler = exec\nprogram = /bin/cat\n"
                                   "input = json item:string\noutput = text\nclasses = A,B\n"
                                   "[action quiet]\nhandler = exec\nprogram = /bin/cat\n"
                                   "input = text\noutput = none\n";

static struct topology topology;
static struct action_table actions;
static struct invocation in;
static struct command command;
static char error[COMMAND_ERROR_MAX];

static int setup(void **state)
{
    char path[] = "/tmp/mesh-pipeline-XXXXXX";
    struct action_problem problem;
    (void)state;
    topology_default(30000, &topology);
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, actions_text, strlen(actions_text)) != (ssize_t)strlen(actions_text))
        return 1;
    bool good = action_file_load(path, &topology, false, &actions, &problem);
    if (!good)
        fprintf(stderr, "%s\n", problem.text);
    close(fd);
    unlink(path);
    return good ? 0 : 1;
}

static int teardown(void **state)
{
    (void)state;
    action_table_done(&actions);
    return 0;
}

static bool build(const char *line)
{
    static char room[COMMAND_LINE_BYTES_MAX];
    const char *words[COMMAND_WORDS_MAX], *why;
    size_t count;
    error[0] = '\0';
    assert_true(command_split(line, room, sizeof room, words, &count, &why));
    return command_parse(words, count, &in, error) &&
           request_build(&in, &topology, &command, error);
}

static bool check(const char *line, bool *acts)
{
    return build(line) && pipeline_check(&actions, &topology, &in, &command.operation, acts, error);
}

static void rejects(const char *line, const char *needle)
{
    bool acts;
    assert_false(check(line, &acts));
    if (!strstr(error, needle))
        fail_msg("'%s' gives '%s', wanted '%s' in it", line, error, needle);
}

static void stages_are_actions_and_whom(void **state)
{
    struct pipeline p;
    (void)state;
    assert_true(pipeline_parse("a,b@D,c@s07.c[1,3],d@best_available", &topology, &p, error));
    assert_int_equal(p.count, 4);
    assert_string_equal(p.stages[1].action, "b");
    assert_string_equal(p.stages[1].whom, "D");
    assert_string_equal(p.stages[2].whom, "s07.c[1,3]");
    assert_true(pipeline_parse("a,a,a,a,a,a,a,a", &topology, &p, error));
    assert_int_equal(p.count, PIPELINE_STAGES_MAX);
    static const char *const bad[][2] = {{"", "stage 1, ''"},
                                         {"a,", "stage 2, ''"},
                                         {",a", "stage 1, ''"},
                                         {"a@", "stage 1, 'a@'"},
                                         {"@D", "stage 1, '@D'"},
                                         {"a,b@Q", "stage 2: 'Q' is neither"},
                                         {"a@s200", "stage 1: 's200' is neither"},
                                         {"a,a,a,a,a,a,a,a,a", "more than 8"},
                                         {"an-action-whose-name-is-far-too-long", "stage 1"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(pipeline_parse(bad[i][0], &topology, &p, error));
        if (!strstr(error, bad[i][1]))
            fail_msg("'%s' gives '%s', wanted '%s' in it", bad[i][0], error, bad[i][1]);
    }
}

static void every_stage_is_checked_before_the_first_is_sent(void **state)
{
    bool acts = false;
    (void)state;
    assert_true(check("pipeline extract@D,price,echo \"a text\"", &acts));
    const struct operation *op = &command.operation;
    assert_true(acts);
    assert_string_equal(op->action, "extract");
    assert_int_equal(op->selector.class_mask, 1u << CLASS_D_GPU);
    assert_int_equal(op->routing, ROUTING_PIPELINE);
    assert_int_equal(op->timeout_us, 22 * US_PER_S); /* its description's, and the way */
    assert_int_equal(op->payload_bytes, 6);
    assert_true(check("pipeline echo,echo hi --timeout 3s", &acts));
    assert_int_equal(command.operation.timeout_us, 3 * US_PER_S);
    rejects("pipeline price,echo \"a text\"", "stage 1 (price): the input of 'price' is not JSON");
    rejects("pipeline price,extract '{\"item\":\"a\"}' --where 'os'", "--where");
    rejects("pipeline extract,pricy x", "stage 2 (pricy): --action: no action 'pricy'");
    rejects("pipeline extract,price@D x", "stage 2 (price): --class: D do not offer 'price'");
    rejects("pipeline quiet,price x", "stage 2 (price) takes json item:string, stage 1 (quiet) "
                                      "gives none");
    assert_true(check("pipeline quiet,pricy x --unchecked", &acts));
    assert_false(build("pipeline extract"));
    assert_non_null(strstr(error, "input"));
}

/* The questions of spec 7.1 as a person asks them. */
static void questions_are_understood(void **state)
{
    (void)state;
    static const char *const asked[][2] = {
        {"ask \"context hash\"", "context"},
        {"ask \"What's your current context hash?\" --sample 10", "context"},
        {"ask facts", "facts"},
        {"ask \"what are your facts?\"", "facts"},
        {"ask \"who are you?\"", "whoami"},
        {"ask \"are you there?\"", "echo"},
        {"ask \"context hash\" --action echo", "echo"}};
    for (size_t i = 0; i < sizeof asked / sizeof *asked; i++) {
        assert_true(build(asked[i][0]));
        assert_string_equal(command.operation.action, asked[i][1]);
    }
}

static void answers_are_printable_where_people_read(void **state)
{
    static const char answer[] = "one\n\ttwo \033]0;title\007 gr\xc3\xbc\xc3\x9f \xe2\x80\xae x\r";
    char line[64], *text = NULL;
    size_t bytes = 0;
    (void)state;
    struct render r = {.out = open_memstream(&text, &bytes), .topology = &topology};
    render_answer(&r, answer, sizeof answer - 1);
    fclose(r.out);
    assert_string_equal(text, "one\n\ttwo .]0;title. gr\xc3\xbc\xc3\x9f ... x.");
    free(text);
    assert_string_equal(render_safe(answer, sizeof answer - 1, line, sizeof line),
                        "one..two .]0;title. gr\xc3\xbc\xc3\x9f ... x.");
    assert_string_equal(render_safe("gr\xc3\xbc", 4, line, 4), "gr"); /* no half character */
    assert_string_equal(render_safe("", 0, line, sizeof line), "");
}

/* A table keeps what it is about, also where there is little room. */
static void tables_fit_the_terminal(void **state)
{
    static const struct column table[] = {{"AGENT", 14, true, 0},
                                          {"CLASS", 20, true, 3},
                                          {"SCORE", 5, false, 1},
                                          {"LAST", 14, true, 9}};
    char cells[4][CELL_BYTES] = {"s01.c1.a1", "CLASS_A_EDGE", "7", "never"}, line[128];
    (void)state;
    assert_int_equal(columns_fit(table, 4, 0), 0xf);
    assert_int_equal(columns_fit(table, 4, 56), 0xf);
    assert_int_equal(columns_fit(table, 4, 55), 0x7);
    assert_int_equal(columns_fit(table, 4, 40), 0x5);
    assert_int_equal(columns_fit(table, 4, 10), 0x1); /* never nothing */
    columns_line(table, 4, 0xf, cells, line, sizeof line);
    assert_string_equal(line, "s01.c1.a1      CLASS_A_EDGE             7 never");
    columns_line(table, 4, 0x5, NULL, line, sizeof line);
    assert_string_equal(line, "AGENT          SCORE");
    assert_int_equal(columns_line(table, 4, 0xf, cells, line, 10), 9);
    assert_string_equal(line, "s01.c1.a1");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stages_are_actions_and_whom),
        cmocka_unit_test(every_stage_is_checked_before_the_first_is_sent),
        cmocka_unit_test(questions_are_understood),
        cmocka_unit_test(answers_are_printable_where_people_read),
        cmocka_unit_test(tables_fit_the_terminal),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
