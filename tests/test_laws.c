/* The profile file of simulated agents: what is read, and what is refused with which words. */
#include "sim/laws.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool read_text(const char *text, struct laws *laws, char *why, size_t why_bytes)
{
    char path[] = "/tmp/mesh-laws-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
    bool good = laws_read(path, laws, why, why_bytes);
    unlink(path);
    return good;
}

static void test_the_file_in_the_tree_is_what_is_built_in(void **state)
{
    (void)state;
    struct laws built_in, read;
    char why[256];
    laws_default(&built_in);
    memset(&read, 0, sizeof read);
    if (!laws_read("sim/classes.profile", &read, why, sizeof why)) {
        fail_msg("%s", why);
    }
    assert_memory_equal(&built_in, &read, sizeof read);
}

static void test_what_is_named_changes(void **state)
{
    (void)state;
    struct laws laws;
    char why[256];
    laws_default(&laws);
    assert_true(read_text("# far\nCLASS_A_EDGE rtt_low_ms=7 rtt_high_ms=9e2 # and slow\n\n"
                          "all\tclock_drift_ppm=0 jitter=0.5",
                          &laws, why, sizeof why));
    assert_true(laws.of[CLASS_A_EDGE].rtt_low_ms == 7.0);
    assert_true(laws.of[CLASS_A_EDGE].rtt_high_ms == 900.0);
    assert_true(laws.of[CLASS_A_EDGE].misfit == 1.3);
    assert_true(laws.clock_drift_ppm == 0.0);
    assert_true(laws.jitter == 0.5);
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *words;
    } bad[] = {
        {"\nCLASS_G rtt_low_ms=1\n",
         ":2: 'CLASS_G' is neither a class (CLASS_A_EDGE ..) nor 'all'"},
        {"CLASS_A_EDGE rtt=1\n", ":1: 'rtt' is nothing that a class has"},
        {"CLASS_A_EDGE jitter=1\n", ":1: 'jitter' is nothing that a class has"},
        {"all sigma=1\n", ":1: 'sigma' is nothing that 'all' has"},
        {"all jitter\n", ":1: 'jitter' is not NAME=NUMBER"},
        {"all jitter=\n", ":1: jitter: '' is not a number from 0 to 10"},
        {"all jitter=1x\n", ":1: jitter: '1x' is not a number from 0 to 10"},
        {"all jitter=nan\n", ":1: jitter: 'nan' is not a number from 0 to 10"},
        {"CLASS_B_SERVERLESS loss=0.6\n", ":1: loss: '0.6' is not a number from 0 to 0.5"},
        {"CLASS_A_EDGE rtt_low_ms=21\n", ":1: rtt_low_ms is above rtt_high_ms"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct laws laws;
        char why[512];
        laws_default(&laws);
        assert_false(read_text(bad[i].text, &laws, why, sizeof why));
        const char *found = strstr(why, ":");
        assert_non_null(found);
        assert_string_equal(found, bad[i].words);
    }
    struct laws laws;
    char why[512], line[400];
    memset(line, 'x', sizeof line);
    line[sizeof line - 1] = '\0';
    assert_false(read_text(line, &laws, why, sizeof why));
    assert_non_null(strstr(why, "longer than 254 bytes"));
    assert_false(laws_read("/nowhere/profile", &laws, why, sizeof why));
    assert_string_equal(why, "/nowhere/profile: No such file or directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_file_in_the_tree_is_what_is_built_in),
        cmocka_unit_test(test_what_is_named_changes),
        cmocka_unit_test(test_what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
