/* The command table: splitting, parsing, errors, help, completion. */
#include "core/commands.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct invocation in;
static char error[COMMAND_ERROR_MAX];

static bool parse(const char *line)
{
    static char room[COMMAND_LINE_BYTES_MAX];
    const char *words[COMMAND_WORDS_MAX], *why = NULL;
    size_t count = 0;
    error[0] = '\0';
    if (!command_split(line, room, sizeof room, words, &count, &why)) {
        strncpy(error, why, sizeof error - 1);
        return false;
    }
    return command_parse(words, count, &in, error);
}

static void rejects(const char *line, const char *needle)
{
    assert_false(parse(line));
    if (!strstr(error, needle))
        fail_msg("'%s' gives '%s', wanted '%s' in it", line, error, needle);
}

static void splits_as_a_shell(void **state)
{
    (void)state;
    char room[256];
    const char *words[COMMAND_WORDS_MAX], *why;
    size_t count;
    assert_true(command_split("  ask \"a 'b' \\\"c\\\"\" 'd e'\\ f  g#h", room, sizeof room, words,
                              &count, &why));
    assert_int_equal(count, 4);
    assert_string_equal(words[1], "a 'b' \"c\"");
    assert_string_equal(words[2], "d e f");
    assert_string_equal(words[3], "g#h");
    assert_true(command_split("# a comment", room, sizeof room, words, &count, &why));
    assert_int_equal(count, 0);
    assert_false(command_split("ask \"open", room, sizeof room, words, &count, &why));
    assert_non_null(strstr(why, "never closed"));
    assert_false(command_split("a bb ccc dddd", room, 8, words, &count, &why));
    assert_non_null(strstr(why, "too long"));
}

static void every_example_parses(void **state)
{
    (void)state;
    size_t count;
    const struct command_spec *table = command_table(&count);
    for (size_t i = 0; i < count; i++)
        for (size_t e = 0; e < COMMAND_EXAMPLES_MAX && table[i].examples[e]; e++) {
            char line[256];
            strncpy(line, table[i].examples[e], sizeof line - 1);
            line[sizeof line - 1] = '\0';
            char *global = strstr(line, " --json"); /* the console takes it out before */
            if (global && global[7] == '\0')
                *global = '\0';
            if (!parse(line))
                fail_msg("example '%s': %s", table[i].examples[e], error);
            assert_ptr_equal(in.spec, &table[i]);
        }
}

static void values_of_all_kinds(void **state)
{
    (void)state;
    assert_true(parse("cascade go now --strategy=priority_first --window 250ms --rate 97.5% "
                      "--in 1.5s --priority 3 --allow-partial then stop"));
    assert_string_equal(command_value(&in, "message")->text, "go now then stop");
    assert_int_equal(command_value(&in, "strategy")->number, 2);
    assert_int_equal(command_value(&in, "window")->number, 250000);
    assert_int_equal(command_value(&in, "in")->number, 1500000);
    assert_true(command_value(&in, "rate")->share > 0.9749);
    assert_true(command_value(&in, "rate")->share < 0.9751);
    assert_int_equal(command_value(&in, "priority")->number, 3);
    assert_int_equal(command_value(&in, "allow-partial")->number, 1);
    assert_false(command_value(&in, "timeout")->given);
    assert_true(parse("watch --times 3 sector s07 --json"));
    assert_string_equal(command_value(&in, "command")->text, "sector s07 --json");
    assert_int_equal(command_value(&in, "times")->number, 3);
    assert_true(parse("broadcast -- --not a flag"));
    assert_string_equal(command_value(&in, "message")->text, "--not a flag");
}

static void errors_name_what_and_what_would_be_right(void **state)
{
    (void)state;
    rejects("statsu", "did you mean 'status'");
    rejects("xyzzy", "help lists them");
    rejects("ask", "question: is missing");
    rejects("ask hi --sample 0", "--sample: '0' is not a number from 1 to 4194304");
    rejects("ask hi --sample 1e3", "'1e3'");
    rejects("ask hi --sample", "needs a value");
    rejects("ask hi --sample 3 --sample 4", "second time");
    rejects("ask hi --colour red", "unknown flag '--colour'; it has many: 'help ask' lists them");
    rejects("ask hi --samle 3", "ask: unknown flag '--samle': did you mean '--sample'?");
    rejects("status --jsn", "did you mean '--json'?");
    rejects("status --=", "unknown flag '--'; it has none");
    rejects("cascade --strategy zigzag", "is none of wave|parallel|priority_first");
    rejects("cascade --window 5", "write 250ms");
    rejects("cascade --window 99999h", "from 1ms");
    rejects("cascade --rate 101%", "0% to 100%");
    rejects("cascade --allow-partial=yes", "has no value");
    rejects("status now", "one argument too many");
    rejects("sector", "sector: is missing");
    rejects("ask \"\" --on ''", "--on: is empty");
    rejects("ask 99999999999999999999999 --sample 99999999999999999999999", "--sample");
}

static void limits_hold(void **state)
{
    (void)state;
    static char line[COMMAND_LINE_BYTES_MAX + 64];
    memset(line, 0, sizeof line);
    memset(line, 'a', COMMAND_LINE_BYTES_MAX + 10);
    memcpy(line, "broadcast ", 10);
    rejects(line, "too long");
    memset(line, 0, sizeof line);
    for (size_t i = 0; i < 70; i++)
        memcpy(line + 2 * i, "a ", 2);
    rejects(line, "more than 64 words");
}

static void usage_and_completion(void **state)
{
    (void)state;
    char usage[512], room[256];
    const char *found[32];
    command_usage(command_find("ask", 3), usage, sizeof usage);
    assert_non_null(strstr(usage, "ask QUESTION.. [--sample N]"));
    assert_int_equal(command_complete("sec", found, 32, room, sizeof room), 2);
    assert_string_equal(found[0], "sectors");
    assert_int_equal(command_complete("ask hi --sa", found, 32, room, sizeof room), 1);
    assert_string_equal(found[0], "--sample");
    assert_int_equal(command_complete("help ca", found, 32, room, sizeof room), 2);
    assert_int_equal(command_complete("nosuch --", found, 32, room, sizeof room), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splits_as_a_shell),
        cmocka_unit_test(every_example_parses),
        cmocka_unit_test(values_of_all_kinds),
        cmocka_unit_test(errors_name_what_and_what_would_be_right),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(usage_and_completion),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
