/* What answers look like: CSV, lines of JSON, the difference to the majority; conditions on the
 * status, and the verdicts of `check`. */
#include "tiers/console/condition.h"
#include "tiers/console/console.h"
#include "tiers/console/jobs.h"

#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct topology topo;
static char *text;
static size_t bytes;
static char error[COMMAND_ERROR_MAX];

static int setup(void **state)
{
    (void)state;
    topology_default(300, &topo);
    return 0;
}

static struct render begin(enum render_form form)
{
    free(text);
    text = NULL;
    return (struct render){.out = open_memstream(&text, &bytes),
                           .topology = &topo,
                           .form = form,
                           .json = form == FORM_JSON || form == FORM_JSONL};
}

static struct answer_group group(enum outcome o, uint32_t count, const char *answer)
{
    return (struct answer_group){.outcome = o,
                                 .count = count,
                                 .answer = (const uint8_t *)answer,
                                 .answer_bytes = (uint32_t)strlen(answer)};
}

static void csv_quotes_what_needs_it(void **state)
{
    (void)state;
    struct answer_group g[] = {group(OUTCOME_READY, 3, "a,\"b\""),
                               group(OUTCOME_FAILED, 1, "\x1b[2J")};
    struct run run = {0, 2};
    g[0].runs = &run;
    g[0].run_count = 1;
    struct render r = begin(FORM_CSV);
    render_csv_groups(&r, g, 2, 7);
    fclose(r.out);
    assert_non_null(strstr(text, "state,reason,count,answer,agents\r\n"));
    assert_non_null(strstr(text, "ready,,3,\"a,\"\"b\"\"\",s01.c1.a[1-3]\r\n"));
    assert_non_null(strstr(text, "failed,,1,.[2J,\r\n")); /* nothing that drives a terminal */
    assert_non_null(strstr(text, "further groups,,7,,\r\n"));
}

static void every_line_is_an_event(void **state)
{
    (void)state;
    struct answer_group g[] = {group(OUTCOME_READY, 3, "yes"), group(OUTCOME_READY, 1, "no")};
    struct report report = {.status = "SUCCESS",
                            .recommendation = "",
                            .decision_reason = "",
                            .decision_recommendation = ""};
    struct render r = begin(FORM_JSONL);
    report.aggregate.targets = report.aggregate.outcomes[OUTCOME_READY] = 4;
    render_jsonl_accepted(&r, report.operation_id);
    render_jsonl_progress(&r, report.operation_id, &report.aggregate);
    render_jsonl_report(&r, &report, g, 2);
    render_json_error(&r, "usage", "wrong");
    fclose(r.out);
    static const char *const kinds[] = {"accepted", "progress", "answer",
                                        "answer",   "summary",  "error"};
    size_t n = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), n++) {
        json_t *o = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(o);
        assert_true(n < sizeof kinds / sizeof *kinds);
        assert_string_equal(json_string_value(json_object_get(o, "kind")), kinds[n]);
        json_decref(o);
    }
    assert_int_equal(n, sizeof kinds / sizeof *kinds);
}

/* What was typed is quoted, whatever its bytes are: the reason never goes without its text. */
static void an_error_always_has_its_text(void **state)
{
    (void)state;
    struct render r = begin(FORM_JSON);
    render_json_error(&r, "usage", "no group '\xe4'");
    fclose(r.out);
    json_t *o = json_loads(text, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(o, "error")), "no group '.'");
    json_decref(o);
}

static void others_are_compared_with_the_majority(void **state)
{
    (void)state;
    struct answer_group g[] = {group(OUTCOME_READY, 2, "a\nx\nc"),
                               group(OUTCOME_READY, 5, "a\nb\nc"),
                               group(OUTCOME_FAILED, 9, "lost")};
    struct render r = begin(FORM_TABLE);
    render_diff(&r, g, 3);
    fclose(r.out);
    assert_non_null(strstr(text, "2 of "));
    assert_non_null(strstr(text, "the majority of 5:\n    - b\n    + x\n"));
    assert_null(strstr(text, "lost")); /* it did not answer */
    assert_null(strstr(text, "- a\n"));
    r = begin(FORM_TABLE);
    render_diff(&r, g + 1, 1);
    fclose(r.out);
    assert_non_null(strstr(text, "all that answered said the same"));
    r = begin(FORM_TABLE);
    render_diff(&r, g + 2, 1);
    fclose(r.out);
    assert_non_null(strstr(text, "nobody answered"));
}

static struct mesh_status status(uint32_t active, uint32_t agents)
{
    struct mesh_status s = {.mode = MODE_FULL, .sectors = 10, .store_up = true};
    s.summary.agents = agents;
    s.summary.active = active;
    s.summary.offline = agents - active;
    s.summary.sectors_healthy = 9;
    return s;
}

static void conditions_hold_or_not(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool holds;
    } rows[] = {{"active==290", true}, {"active=290", true},    {"active>=97%", false},
                {"active>=96%", true}, {"offline < 11", true},  {"offline!=10", false},
                {"sectors==9", true},  {"sectors>=95%", false}, {"mode==FULL", true},
                {"mode!=FULL", false}, {"frozen==no", true},    {"store==yes", true},
                {"durable==no", true}, {"conflicts<=0", true},  {"mean_ms<0.5", true},
                {"in_flight>0", false}};
    struct mesh_status s = status(290, 300);
    s.summary.durable_away = 1;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct condition c;
        if (!condition_parse(rows[i].text, &c, error))
            fail_msg("%s: %s", rows[i].text, error);
        assert_int_equal(condition_holds(&c, &s), rows[i].holds);
    }
    static const char *const bad[][2] = {{"activ>1", "'activ' is no figure; there are active"},
                                         {"active", "write active==0"},
                                         {"active=>3", "write active==0"},
                                         {"active>x", "'x' is no value of active"},
                                         {"conflicts>3%", "'3%' is no value of conflicts"},
                                         {"mode==WELL", "write FULL"},
                                         {"frozen==maybe", "write yes or no"},
                                         {"", "is no figure"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct condition c;
        assert_false(condition_parse(bad[i][0], &c, error));
        if (!strstr(error, bad[i][1]))
            fail_msg("%s: %s", bad[i][0], error);
    }
}

static int check(const char *line, const struct mesh_status *s)
{
    static struct invocation in;
    static char room[512];
    const char *words[COMMAND_WORDS_MAX], *why;
    size_t count;
    assert_true(command_split(line, room, sizeof room, words, &count, &why));
    if (!command_parse(words, count, &in, error) || !check_valid(&in, error))
        return -1;
    struct render r = begin(FORM_TABLE);
    int code = check_render(&r, &in, s);
    fclose(r.out);
    return code;
}

static void checks_have_the_codes_of_monitoring(void **state)
{
    (void)state;
    struct mesh_status s = status(290, 300);
    assert_int_equal(check("check agents", &s), 1); /* 3.3 % are not active */
    assert_string_equal(text, "MESH AGENTS WARNING - 290 of 300 active | value=3.33333%;2;10\n");
    assert_int_equal(check("check agents --warn 5", &s), 0);
    assert_int_equal(check("check agents --warn 1 --critical 3", &s), 2);
    assert_int_equal(check("check sectors", &s), 1);
    assert_int_equal(check("check mode", &s), 0);
    assert_int_equal(check("check stores", &s), 0);
    s.summary.durable_away = 3;
    assert_int_equal(check("check stores", &s), 2);
    assert_string_equal(
        text, "MESH STORES CRITICAL - registry here, durable store away at 3 | value=3;1;1\n");
    s.mode = MODE_EMERGENCY;
    assert_int_equal(check("check mode", &s), 2);
    assert_int_equal(check("check conflicts --warn 5 --critical 2", &s), -1);
    assert_non_null(strstr(error, "nothing would warn"));
    assert_int_equal(check("check conflicts --warn 500", &s), -1); /* above the default of 100 */
    assert_non_null(strstr(error, "--warn: 500 is above --critical: 100"));
}

static void forms_are_taken_out_of_the_words(void **state)
{
    (void)state;
    const char *words[] = {"find", "-o", "csv", "--limit", "3", "--", "-o", "json"};
    size_t count = 8;
    enum render_form form = FORM_TABLE;
    assert_true(console_take_form(words, &count, &form, error));
    assert_int_equal(form, FORM_CSV);
    assert_int_equal(count, 6);
    assert_string_equal(words[4], "-o"); /* behind -- it is text */
    const char *twice[] = {"find", "--json", "--output=csv"};
    count = 3;
    assert_false(console_take_form(twice, &count, &form, error));
    assert_non_null(strstr(error, "csv contradicts json"));
    const char *none[] = {"find", "--output"};
    count = 2;
    assert_false(console_take_form(none, &count, &form, error));
    const char *odd[] = {"find", "--output", "yaml"};
    count = 3;
    assert_false(console_take_form(odd, &count, &form, error));
    assert_non_null(strstr(error, "'yaml' is none of table, wide, csv, json, jsonl"));
}

/* Ids of jobs begin with the time: people write their end. */
static void jobs_are_found_by_a_part_of_their_id(void **state)
{
    (void)state;
    static char rows_text[2][80];
    static struct page_row rows[2];
    static const char *const ids[] = {"01a21f430e44c6df19f71c3093715987",
                                      "01a21f430cbbd4b297f50a0cab2d9919"};
    struct pages pages = {.rows = rows, .count = 2};
    for (int i = 0; i < 2; i++) {
        rows[i].u.record.bytes =
            (uint32_t)snprintf(rows_text[i], sizeof rows_text[i], "id=%s\nready=4\n", ids[i]);
        rows[i].u.record.text = rows_text[i];
    }
    assert_int_equal(record_number(&rows[0], "ready"), 4);
    static const struct {
        const char *line, *why;
        int first; /* byte of the id that is found; -1: none */
    } cases[] = {{"jobs show 9919", "", 0x19},
                 {"jobs show 01a21f430e", "", 0x87},
                 {"jobs show 01a21f43", "2 jobs", -1},
                 {"jobs show ffff", "no job is called", -1},
                 {"jobs show", "", 0x87},
                 {"cancel 5987", "", 0x87}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        static struct invocation in;
        static char room[512];
        const char *words[COMMAND_WORDS_MAX], *why;
        size_t count;
        struct command c;
        assert_true(command_split(cases[i].line, room, sizeof room, words, &count, &why));
        assert_true(command_parse(words, count, &in, error));
        assert_true(jobs_build(&in, &c, error));
        assert_int_equal(c.query.kind, QUERY_JOBS);
        bool found = jobs_pick(&in, &pages, &c, error);
        assert_int_equal(found, cases[i].first >= 0);
        if (found)
            assert_int_equal(c.query.operation_id.bytes[15], cases[i].first);
        else if (!strstr(error, cases[i].why))
            fail_msg("%s: %s", cases[i].line, error);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(csv_quotes_what_needs_it),
        cmocka_unit_test(every_line_is_an_event),
        cmocka_unit_test(an_error_always_has_its_text),
        cmocka_unit_test(others_are_compared_with_the_majority),
        cmocka_unit_test(conditions_hold_or_not),
        cmocka_unit_test(checks_have_the_codes_of_monitoring),
        cmocka_unit_test(forms_are_taken_out_of_the_words),
        cmocka_unit_test(jobs_are_found_by_a_part_of_their_id),
    };
    int failed = cmocka_run_group_tests(tests, setup, NULL);
    free(text);
    return failed;
}
