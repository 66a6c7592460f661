/* Bad input, for every command of the table and each of its parameters: whatever is wrong is one
 * line that names what it was and what would be right, before anything is sent. The cases are made
 * from the table, so that a new command or flag is tried without being added here. */
#include "core/commands.h"
#include "tiers/console/request.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct topology topology;
static struct invocation in;
static struct command command;
static char error[COMMAND_ERROR_MAX];
static const struct command_spec *table;
static size_t count, tried;

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &topology);
    table = command_table(&count);
    return 0;
}

static bool take(const char *line)
{
    static char room[COMMAND_LINE_BYTES_MAX];
    const char *words[COMMAND_WORDS_MAX], *why = NULL;
    size_t n = 0;
    tried++;
    error[0] = '\0';
    if (!command_split(line, room, sizeof room, words, &n, &why))
        fail_msg("'%s' cannot be split: %s", line, why);
    return command_parse(words, n, &in, error) &&
           (in.spec->local || request_build(&in, &topology, &command, error));
}

/* The line is refused with these words in one line that is not cut. */
static void wrong(const char *line, const char *const needles[], size_t needle_count)
{
    if (take(line))
        fail_msg("'%s' is taken", line);
    if (!error[0] || strpbrk(error, "\n\r") || strlen(error) + 1 >= COMMAND_ERROR_MAX)
        fail_msg("'%s' gives no line: '%s'", line, error);
    for (size_t i = 0; i < needle_count; i++)
        if (!strstr(error, needles[i]))
            fail_msg("'%s' gives '%s' without '%s'", line, error, needles[i]);
}

#define WRONG(line, ...)                                                                           \
    wrong(line, (const char *const[]){__VA_ARGS__},                                                \
          sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static const struct parameter *parameter_at(const struct command_spec *c, size_t i)
{
    return i < COMMAND_PARAMETERS_MAX && c->parameters[i].name ? &c->parameters[i] : NULL;
}

/* An example of the command as it may be typed; only its positional words, or all of it. */
static const char *example_of(const struct command_spec *c, bool words_only, char ret[300])
{
    static char room[300];
    const char *words[COMMAND_WORDS_MAX], *why;
    size_t n = 0;
    snprintf(ret, 300, "%s", c->examples[0] ? c->examples[0] : c->name);
    char *json = strstr(ret, " --json"); /* the console's own */
    if (json)
        *json = '\0';
    if (!words_only)
        return ret;
    assert_true(command_split(ret, room, sizeof room, words, &n, &why));
    assert_true(command_parse(words, n, &in, error));
    snprintf(ret, 300, "%s", c->name);
    for (size_t i = 0; parameter_at(c, i); i++)
        if (!parameter_at(c, i)->flag && in.values[i].given) {
            size_t used = strlen(ret);
            snprintf(ret + used, 300 - used, " %s%s%s",
                     strpbrk(in.values[i].text, " <>*!") ? "\"" : "", in.values[i].text,
                     strpbrk(in.values[i].text, " <>*!") ? "\"" : "");
        }
    return ret;
}

static void what_is_required_is_missed(void **state)
{
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct parameter *p;
        for (size_t k = 0; (p = parameter_at(&table[i], k)) != NULL; k++)
            if (p->required) {
                char name[40];
                snprintf(name, sizeof name, "%s%s: is missing", p->flag ? "--" : "", p->name);
                WRONG(table[i].name, name);
                break; /* the first of them is named */
            }
    }
}

static void what_is_too_much_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < count; i++) {
        char line[400], base[300];
        bool rest = false;
        for (size_t k = 0; parameter_at(&table[i], k); k++)
            rest = rest || parameter_at(&table[i], k)->rest;
        if (rest)
            continue; /* it takes all words */
        snprintf(line, sizeof line, "%s zz1 zz2 zz3 zz4", example_of(&table[i], true, base));
        if (take(line))
            fail_msg("'%s' is taken", line);
        if (!strstr(error, "zz") || strchr(error, '\n'))
            fail_msg("'%s' gives '%s', which names no word that is too much", line, error);
    }
}

static void unknown_flags_are_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < count; i++) {
        char line[400], base[300], flag[80];
        const struct parameter *p;
        if (table[i].verb == CMD_WATCH)
            continue; /* flags behind its first word are the watched command's */
        snprintf(line, sizeof line, "%s --qqqqqqqqqq", example_of(&table[i], false, base));
        snprintf(flag, sizeof flag, "%s: unknown flag '--qqqqqqqqqq'; it has", table[i].name);
        WRONG(line, flag);
        for (size_t k = 0; (p = parameter_at(&table[i], k)) != NULL; k++) {
            size_t bytes = strlen(p->name);
            if (!p->flag || bytes < 4)
                continue;
            /* Two letters changed places: its own flag is the nearest. */
            snprintf(line, sizeof line, "%s --%s", table[i].name, p->name);
            size_t at = strlen(line) - bytes + 1;
            char letter = line[at];
            line[at] = line[at + 1];
            line[at + 1] = letter;
            snprintf(flag, sizeof flag, "did you mean '--%s'?", p->name);
            if (line[at] != letter)
                WRONG(line, table[i].name, ": unknown flag '--", flag);
        }
    }
}

static void flags_want_their_values(void **state)
{
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct parameter *p;
        for (size_t k = 0; (p = parameter_at(&table[i], k)) != NULL; k++) {
            char line[200], name[60];
            if (!p->flag)
                continue;
            snprintf(name, sizeof name, "--%s: ", p->name);
            if (p->kind == PARAMETER_SWITCH) {
                snprintf(line, sizeof line, "%s --%s=no", table[i].name, p->name);
                WRONG(line, name, "'no'", "has no value");
                snprintf(line, sizeof line, "%s --%s --%s", table[i].name, p->name, p->name);
                WRONG(line, name, "second time");
                continue;
            }
            snprintf(line, sizeof line, "%s --%s", table[i].name, p->name);
            WRONG(line, name, "needs a value");
            snprintf(line, sizeof line, "%s --%s=", table[i].name, p->name);
            WRONG(line, name);
        }
    }
}

/* A bad value of a parameter: as a flag, or in the place of its word. */
static void bad_value(const struct command_spec *c, size_t k, const char *value, const char *needle)
{
    const struct parameter *p = &c->parameters[k];
    char line[500] = "", base[300], name[60];
    snprintf(name, sizeof name, "%s%s: ", p->flag ? "--" : "", p->name);
    if (p->flag) {
        snprintf(line, sizeof line, "%s --%s=%s", c->name, p->name, value);
    } else {
        size_t used = (size_t)snprintf(line, sizeof line, "%s", c->name);
        (void)example_of(c, true, base); /* parses it */
        for (size_t i = 0; i < k; i++)
            if (!c->parameters[i].flag && in.values[i].given)
                used +=
                    (size_t)snprintf(line + used, sizeof line - used, " \"%s\"", in.values[i].text);
        snprintf(line + used, sizeof line - used, " %s", value);
    }
    WRONG(line, name, needle, value);
}

static void numbers_are_in_their_range(void **state)
{
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct parameter *p;
        for (size_t k = 0; (p = parameter_at(&table[i], k)) != NULL; k++) {
            static const char *const none[] = {
                "x", "-1", "1e3", "0x10", "1.5.2", "12kg", "99999999999999999999"};
            char most[40];
            const char *needle = p->kind == PARAMETER_DURATION ? "write 250ms, 2s, 5m or 1h"
                                                               : "is not a number from ";
            if (p->kind != PARAMETER_NUMBER && p->kind != PARAMETER_SHARE &&
                p->kind != PARAMETER_DURATION)
                continue;
            for (size_t n = 0; n < sizeof none / sizeof *none; n++)
                bad_value(&table[i], k, none[n], needle);
            snprintf(most, sizeof most, "%lld%s",
                     (long long)(p->kind == PARAMETER_DURATION ? p->most / 1000 : p->most) + 1,
                     p->kind == PARAMETER_DURATION ? "s" : "");
            bad_value(&table[i], k, most, needle);
        }
    }
}

static void choices_are_those_of_the_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct parameter *p;
        for (size_t k = 0; (p = parameter_at(&table[i], k)) != NULL; k++)
            if (p->kind == PARAMETER_CHOICE) {
                bad_value(&table[i], k, "qqq", "is none of ");
                if (!strstr(error, p->choices))
                    fail_msg("%s %s: '%s' names not what there is", table[i].name, p->name, error);
            }
    }
}

/* Places that are none, and that are not in this mesh: of every flag and word that takes places. */
static void places_are_those_of_the_mesh(void **state)
{
    (void)state;
    static const char *const places[] = {"s999", "s01.c99",      "s01.c1.a99", "s0",
                                         "x9",   "s01.c1.a1.b1", "s[5-1]",     "sector"};
    for (size_t i = 0; i < count; i++) {
        const struct parameter *p;
        if (table[i].verb == CMD_WATCH)
            continue;
        for (size_t k = 0; (p = parameter_at(&table[i], k)) != NULL; k++) {
            bool scope = strcmp(p->name, "scope") == 0;
            if (p->kind != PARAMETER_PLACES && p->kind != PARAMETER_UNIT && !scope)
                continue;
            for (size_t n = 0; n < sizeof places / sizeof *places; n++) {
                char line[500], base[300];
                (void)example_of(&table[i], true, base);
                if (p->flag &&
                    table[i].verb == CMD_SCALE) /* `scale add`, its example, has no --on */
                    assert_true(take("scale remove 1 --yes"));
                size_t used = (size_t)snprintf(line, sizeof line, "%s", table[i].name);
                for (size_t w = 0; parameter_at(&table[i], w); w++) {
                    bool here = w == k;
                    bool wanted = p->flag || parameter_at(&table[i], w)->required;
                    if (parameter_at(&table[i], w)->flag ||
                        !(here || (in.values[w].given && wanted)))
                        continue;
                    used += (size_t)snprintf(line + used, sizeof line - used, " \"%s\"",
                                             here ? places[n] : in.values[w].text);
                }
                if (p->flag)
                    snprintf(line + used, sizeof line - used, " --%s \"%s\"", p->name, places[n]);
                if (take(line))
                    fail_msg("'%s' is taken", line);
                if (!error[0] || strchr(error, '\n') || strlen(error) + 1 >= COMMAND_ERROR_MAX)
                    fail_msg("'%s' gives no line: '%s'", line, error);
                if (!strstr(error, places[n]))
                    fail_msg("'%s' gives '%s', which does not say what was wrong", line, error);
            }
        }
    }
}

static void words_that_name_what_is_not_there(void **state)
{
    (void)state;
    static const char *const lines[][3] = {
        {"find --class Q", "--class: 'Q'", "A to F"},
        {"top --class A,,B", "--class: ''", "A to F"},
        {"find --state asleep", "--state: 'asleep'", "active"},
        {"ask hi --capability telepathy", "--capability: 'telepathy'", "capabilities"},
        {"ask hi --require telepathy", "--require: 'telepathy'", "capabilities"},
        {"mapping exclude telepathy --class E", "capability: 'telepathy'", "capabilities"},
        {"find --where os", "--where: 'os' at character 1", "condition"},
        {"run facts --on @nosuch", "--on: '@nosuch'", "group list"},
        {"run facts --on @last.nosuch", "--on: '@last.nosuch'", "@last.failed"},
        {"delegate x --to nowhere", "--to: 'nowhere'", "best_available"},
        {"reassign 12", "id: '12'", "32 hex digits"},
        {"cancel xyz", "id: 'xyz'", "hex digits"},
        {"jobs show 12", "id: '12'", "4 or more"},
        {"trace zzzz", "id: 'zzzz'", "hex digits"},
        {"threats show 12", "id: '12'", "16 hex digits"},
        {"approve 12", "id: '12'", "16 hex digits"},
        {"conflicts show xyz", "id: 1 to 16 hex digits", "conflicts list"},
        {"incident show xyz", "id: 1 to 16 hex digits", "incident list"},
        {"conflicts --type NONSENSE", "--type: ", "DATA_CONTRADICTION"},
        {"incident --type NONSENSE", "--type: ", "AGENT_CRASH"},
        {"wait --for nonsense==1", "--for: ", "active"},
        {"wait --for active", "--for: ", "active==0"},
        {"freeze --name \"a b\" --yes", "--name: 'a b'", "a-z"},
        {"review claim nobody/1", "item: 'nobody/1'", "review list"},
        {"content put /no/such", "file: '/no/such'", "No such file"},
        {"ask hi --traceparent 00-zz", "--traceparent: '00-zz'", ""},
        {"run facts --limit 101%", "--limit: '101%'", "10%"},
        {"scale add 5 --rate 9/m", "--rate: '9/m'", "20/s"},
        {"move s07.c3 --to s07.c4 --dry-run --yes", "--yes: contradicts --dry-run", ""}};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        WRONG(lines[i][0], lines[i][1], lines[i][2]);
    WRONG("statsu", "unknown command 'statsu'", "did you mean 'status'?");
    WRONG("xyzzy", "unknown command 'xyzzy'", "help lists them");
}

static void nothing_was_left_out(void **state)
{
    (void)state;
    print_message("%zu bad lines of %zu commands\n", tried, count);
    assert_true(tried >= 30 * count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_required_is_missed),
        cmocka_unit_test(what_is_too_much_is_named),
        cmocka_unit_test(unknown_flags_are_named),
        cmocka_unit_test(flags_want_their_values),
        cmocka_unit_test(numbers_are_in_their_range),
        cmocka_unit_test(choices_are_those_of_the_table),
        cmocka_unit_test(places_are_those_of_the_mesh),
        cmocka_unit_test(words_that_name_what_is_not_there),
        cmocka_unit_test(nothing_was_left_out),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
