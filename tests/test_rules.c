/* What goes together on a line, and what does not: every rule of the table is broken by its example
 * and by nothing less, is told in one line that names both sides, and stands in docs/CONSOLE.md. */
#include "core/commands.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct invocation in;
static char error[COMMAND_ERROR_MAX];

static size_t split(const char *line, const char *words[COMMAND_WORDS_MAX])
{
    static char room[COMMAND_LINE_BYTES_MAX];
    const char *why = NULL;
    size_t count = 0;
    assert_true(command_split(line, room, sizeof room, words, &count, &why));
    return count;
}

static bool parse(const char *line)
{
    const char *words[COMMAND_WORDS_MAX];
    size_t count = split(line, words);
    error[0] = '\0';
    return command_parse(words, count, &in, error);
}

static const struct command_spec *spec_of(const struct command_rule *r)
{
    return command_find(r->example, strcspn(r->example, " "));
}

static bool has(const struct command_spec *spec, const char *term)
{
    size_t bytes = strcspn(term, "=");
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && spec->parameters[i].name; i++)
        if (strlen(spec->parameters[i].name) == bytes &&
            memcmp(spec->parameters[i].name, term, bytes) == 0)
            return true;
    return false;
}

static void each_example_breaks_its_own_rule(void **state)
{
    (void)state;
    size_t count;
    const struct command_rule *rules = command_rules(&count);
    assert_true(count >= 80);
    for (size_t i = 0; i < count; i++) {
        const struct command_rule *r = &rules[i];
        if (parse(r->example))
            fail_msg("'%s' is taken", r->example);
        if (!in.spec || command_rule_broken(&in, error) != r)
            fail_msg("'%s' gives '%s', which is another's", r->example, error);
        assert_null(strchr(error, '\n'));
        if (strlen(error) + 1 >= COMMAND_ERROR_MAX || !strstr(error, r->why))
            fail_msg("'%s' is cut: '%s'", r->example, error);
        assert_true(!r->verb || in.spec->verb == r->verb);
    }
}

/* The error begins with the parameter that is wrong, and names the other side of the rule. */
static void errors_name_both_sides(void **state)
{
    (void)state;
    size_t count;
    const struct command_rule *rules = command_rules(&count);
    for (size_t i = 0; i < count; i++) {
        const struct command_rule *r = &rules[i];
        bool word = strchr(r->first, '=') && r->kind == RULE_NEEDS;
        const char *term = word ? r->others[0] : r->first;
        char name[40];
        (void)parse(r->example);
        const char *at = error + (strncmp(error, "--", 2) == 0 ? 2 : 0);
        snprintf(name, sizeof name, "%.*s: ", (int)strcspn(term, "="), term);
        if (strncmp(at, name, strlen(name)) != 0)
            fail_msg("'%s' gives '%s', which does not begin with %s", r->example, error, name);
        const char *says = r->kind == RULE_NOT_WITH  ? ": contradicts "
                           : r->kind == RULE_AT_MOST ? " is above "
                           : word                    ? ": is missing: '"
                                                     : ": goes with ";
        if (!strstr(error, says))
            fail_msg("'%s' gives '%s' without '%s'", r->example, error, says);
    }
}

/* Whatever the rules are about exists: each name is a parameter, each choice one of its choices. */
static void rules_are_about_what_there_is(void **state)
{
    (void)state;
    size_t count;
    const struct command_rule *rules = command_rules(&count);
    for (size_t i = 0; i < count; i++) {
        const struct command_rule *r = &rules[i];
        const struct command_spec *spec = spec_of(r);
        assert_non_null(spec);
        assert_true(command_rule_concerns(r, spec)); /* its help names it */
        for (size_t k = 0; k <= RULE_OTHERS_MAX; k++) {
            const char *term = k == 0 ? r->first : r->others[k - 1];
            if (!term)
                break;
            if (!has(spec, term))
                fail_msg("%s has no '%s'", spec->name, term);
            const char *choice = strchr(term, '=');
            for (choice = choice ? choice + 1 : NULL; choice;) {
                size_t n = strcspn(choice, "|"), bytes = strcspn(term, "=");
                bool found = false;
                for (size_t p = 0; p < COMMAND_PARAMETERS_MAX && spec->parameters[p].name; p++) {
                    const struct parameter *of = &spec->parameters[p];
                    if (strlen(of->name) != bytes || memcmp(of->name, term, bytes) != 0)
                        continue;
                    for (const char *at = of->choices; at && !found;) {
                        size_t m = strcspn(at, "|");
                        found = m == n && memcmp(at, choice, n) == 0;
                        at = at[m] ? at + m + 1 : NULL;
                    }
                }
                if (!found)
                    fail_msg("%s: '%.*s' is no choice of '%s'", spec->name, (int)n, choice, term);
                choice = choice[n] ? choice + n + 1 : NULL;
            }
        }
    }
}

static void a_rule_concerns_whom_it_can_stop(void **state)
{
    (void)state;
    size_t count, all = 0;
    const struct command_rule *rules = command_rules(&count);
    const struct command_spec *status = command_find("status", 6), *ask = command_find("ask", 3);
    for (size_t i = 0; i < count; i++) {
        assert_false(command_rule_concerns(&rules[i], status));
        all += command_rule_concerns(&rules[i], ask);
    }
    assert_int_equal(all, 7);
    char text[300];
    for (size_t i = 0; i < count; i++) /* of what it lacks nothing is said */
        if (strcmp(rules[i].first, "seed") == 0)
            (void)command_rule_text(&rules[i], ask, text, sizeof text);
    assert_string_equal(text, "--seed only with --limit");
    assert_false(parse("ask hi --seed 3"));
    assert_string_equal(error, "--seed: goes with --limit: it says which agents those are");
}

/* Lines near the rules that break none of them. */
static void what_goes_together_is_taken(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "ask hi --all",
        "ask hi --sample 3 --quorum 3",
        "ask hi --quorum 100",
        "ask hi --all --quorum 500",
        "ask hi --limit 50% --seed 3 --quorum 500",
        "run facts --canary 5 --waves 10%,100% --pause 5s --stop-on-fail 3 --seed 9",
        "run facts --batch 50 --stop-on-fail 1%",
        "run facts --follow --dry-run --diff",
        "find --slower 300 --faster 300 --limit 5",
        "broadcast hi --no-ack --priority 0",
        "heal s07 --yes",
        "delegate x --several 3 --quorum 3",
        "cascade --timing by --in 3s --window 1s",
        "cascade --timing soon --strategy parallel",
        "cascade --strategy priority_first --rate 99% --window 1s",
        "top --every 1s",
        "check agents --warn 5 --critical 5",
        "jobs --limit 3",
        "jobs show",
        "jobs attach 5e6f --follow",
        "conflicts --all --on s07 --limit 3",
        "conflicts export --since 1h --type OTHER",
        "incident show 3f9a",
        "audit --event threat --limit 3",
        "content load x --where os=debian12",
        "content list --on s07",
        "review list bob --on s94",
        "review escalate s94.c1.a2/0a1b2c3d",
        "route-around s07 --undo --dry-run",
        "mapping",
        "move",
        "move s07.c3 --back --dry-run",
        "scale add 5 --class D --over 5m --dry-run",
        "scale places --sector s07",
        "threats"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!parse(lines[i]))
            fail_msg("'%s' gives '%s'", lines[i], error);
}

/* Every rule is a row of the table in docs/CONSOLE.md, and the table has no other rows. */
static void the_documentation_lists_them(void **state)
{
    (void)state;
    static char text[262144];
    size_t count, rows = 0;
    const struct command_rule *rules = command_rules(&count);
    FILE *f = fopen("docs/CONSOLE.md", "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof text - 1, f)] = '\0';
    assert_int_equal(fclose(f), 0);
    const char *head = strstr(text, "| what goes together |");
    assert_non_null(head);
    const char *table = strchr(strchr(head, '\n') + 1, '\n') + 1, *end = strstr(table, "\n\n");
    assert_non_null(end);
    for (const char *at = table; at <= end; at++)
        rows += *at == '\n';
    for (size_t i = 0; i < count; i++) {
        char rule[400], row[1024];
        (void)command_rule_text(&rules[i], NULL, rule, sizeof rule);
        (void)snprintf(row, sizeof row, "| %s | %s | `%s` |\n", rule, rules[i].why,
                       rules[i].example);
        const char *found = strstr(table, row);
        if (!found || found > end)
            fail_msg("docs/CONSOLE.md has no row\n%s", row);
    }
    assert_int_equal(rows, count);
}

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "--rows") == 0) { /* the table of docs/CONSOLE.md */
        size_t count;
        const struct command_rule *rules = command_rules(&count);
        for (size_t i = 0; i < count; i++) {
            char rule[400];
            (void)command_rule_text(&rules[i], NULL, rule, sizeof rule);
            printf("| %s | %s | `%s` |\n", rule, rules[i].why, rules[i].example);
        }
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_example_breaks_its_own_rule),
        cmocka_unit_test(errors_name_both_sides),
        cmocka_unit_test(rules_are_about_what_there_is),
        cmocka_unit_test(a_rule_concerns_whom_it_can_stop),
        cmocka_unit_test(what_goes_together_is_taken),
        cmocka_unit_test(the_documentation_lists_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
