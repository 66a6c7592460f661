/* Man pages and completion hold the whole command table, and shells take them. */
#include "tiers/console/manual.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char *text;
static size_t bytes;

static FILE *fresh(void)
{
    free(text);
    text = NULL;
    FILE *out = open_memstream(&text, &bytes);
    assert_non_null(out);
    return out;
}

/* Three pieces that must stand there one behind the other. */
static void has(const char *before, const char *name, const char *after)
{
    char what[200];
    (void)snprintf(what, sizeof what, "%s%s%s", before, name, after);
    if (!strstr(text, what))
        fail_msg("'%s' is missing", what);
}

/* Every line is text, or one of the requests of man(7) that are used. */
static void is_roff(void)
{
    static const char *const requests[] = {".TH ", ".SH ", ".TP", ".B ", ".nf", ".fi"};
    for (char *line = text; line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
        bool known = *line != '.' && *line != '\'';
        for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
            known = known || strncmp(line, requests[i], strlen(requests[i])) == 0;
        if (!known)
            fail_msg("no request: %.40s", line);
    }
}

/* A name as roff has it. */
static const char *hyphens(const char *name)
{
    static char ret[100];
    size_t n = 0;
    for (; *name && n + 3 < sizeof ret; name++) {
        if (*name == '-')
            ret[n++] = '\\';
        ret[n++] = *name;
    }
    ret[n] = '\0';
    return ret;
}

static void man_pages_have_every_command_and_flag(void **state)
{
    (void)state;
    size_t count;
    const struct command_spec *table = command_table(&count);
    FILE *out = fresh();
    manual_man(out, NULL);
    assert_int_equal(fclose(out), 0);
    is_roff();
    for (size_t i = 0; i < count; i++)
        has(".B ", table[i].name, "\n");
    for (size_t i = 0; i < count; i++) {
        out = fresh();
        manual_man(out, &table[i]);
        assert_int_equal(fclose(out), 0);
        is_roff();
        has("mesh\\-", hyphens(table[i].name), " \\- ");
        for (size_t k = 0; k < COMMAND_PARAMETERS_MAX && table[i].parameters[k].name; k++)
            has(table[i].parameters[k].flag ? ".B \\-\\-" : ".B ",
                hyphens(table[i].parameters[k].name), "");
    }
}

static void written(void (*write)(FILE *out))
{
    FILE *out = fresh();
    write(out);
    assert_int_equal(fclose(out), 0);
    size_t count;
    const struct command_spec *table = command_table(&count);
    for (size_t i = 0; i < count; i++) {
        has("", table[i].name, "");
        for (size_t k = 0; k < COMMAND_PARAMETERS_MAX && table[i].parameters[k].name; k++)
            if (table[i].parameters[k].flag)
                has(write == manual_fish ? "-l " : "--", table[i].parameters[k].name, "");
    }
}

/* What bash would offer behind these words. */
static const char *offered(const char *script, const char *words, int at)
{
    static char line[4096];
    char command[600];
    (void)snprintf(command, sizeof command,
                   "bash -c 'set -e; source %s; COMP_WORDS=(%s); COMP_CWORD=%d; _mesh; "
                   "printf \"%%s \" \"${COMPREPLY[@]}\"'",
                   script, words, at);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(line, 1, sizeof line - 1, pipe);
    line[n] = '\0';
    assert_int_equal(pclose(pipe), 0);
    return line;
}

static void bash_completes(void **state)
{
    (void)state;
    char script[] = "/tmp/mesh-completion-XXXXXX";
    written(manual_bash);
    int fd = mkstemp(script);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, bytes), (ssize_t)bytes);
    assert_int_equal(close(fd), 0);
    assert_string_equal(offered(script, "mesh casc", 1), "cascade ");
    assert_string_equal(offered(script, "mesh --json --via s07 stat", 4), "status ");
    assert_string_equal(offered(script, "mesh cascade --strat", 2), "--strategy ");
    assert_string_equal(offered(script, "mesh cascade --strategy pri", 3), "priority_first ");
    assert_string_equal(offered(script, "mesh review cl", 2), "claim ");
    assert_string_equal(offered(script, "mesh status --nothing", 2), " ");
    assert_int_equal(unlink(script), 0);
}

static void other_shells_have_everything(void **state)
{
    (void)state;
    written(manual_zsh);
    written(manual_fish);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(man_pages_have_every_command_and_flag),
        cmocka_unit_test(bash_completes),
        cmocka_unit_test(other_shells_have_everything),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(text);
    return failed;
}
