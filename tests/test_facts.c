/* Facts and conditions on them: what is read, in which form it travels, where its bounds are, and
 * what matches what. */
#include "core/facts.h"

#include "sim/facts.h"
#include "tiers/runner/host_facts.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *read_facts(const char *text, char facts[FACTS_BYTES_MAX])
{
    size_t at = 0;
    facts[0] = '\0';
    return facts_read(text, facts, &at);
}

static const char *read_where(const char *text, char where[WHERE_BYTES_MAX])
{
    size_t at = 0;
    where[0] = '\0';
    return where_read(text, where, &at);
}

static bool matches(const char *facts, const char *condition)
{
    char where[WHERE_BYTES_MAX];
    assert_true(facts_valid(facts));
    assert_null(read_where(condition, where));
    assert_true(where_valid(where));
    return facts_match(facts, where);
}

static void facts_take_one_form(void **state)
{
    (void)state;
    char facts[FACTS_BYTES_MAX];
    assert_null(read_facts(" os=debian12,  cpus=8 arch=x86_64,", facts));
    assert_string_equal(facts, "arch=x86_64 cpus=8 os=debian12");
    assert_true(facts_valid(facts));
    assert_null(facts_set(facts, "cpus", 4, "16", 2));
    assert_null(facts_set(facts, "cpu", 3, "intel", 5));
    assert_null(facts_set(facts, "zone", 4, "eu-1", 4));
    assert_string_equal(facts, "arch=x86_64 cpu=intel cpus=16 os=debian12 zone=eu-1");
    size_t bytes = 0;
    const char *value = facts_value(facts, "cpu", 3, &bytes);
    assert_int_equal(bytes, 5);
    assert_memory_equal(value, "intel", 5);
    assert_null(facts_value(facts, "cp", 2, &bytes));
    assert_null(facts_value(facts, "intel", 5, &bytes));
    assert_null(read_facts("", facts));
    assert_string_equal(facts, "");
    static const char *const others[] = {
        "os=a arch=b", "a=1  b=2", " a=1", "a=1 ", "a=1,b=2", "a=1 a=1", "a=1 a=2", "a",
        "=1",          "a=",       "A=1",  "1a=1", "a=b=c",   "a=*",     "a=\x01"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(facts_valid(others[i]));
}

static void a_fact_that_is_wrong_changes_nothing(void **state)
{
    (void)state;
    static const char *const wrong[] = {"gpu",
                                        "gpu=",
                                        "=a100",
                                        "Gpu=a100",
                                        "9a=1",
                                        "gpu=a*",
                                        "gpu=a?",
                                        "a=b<c",
                                        "a=\"x\"",
                                        "a=b=c",
                                        "name-of-25-characters-xxx=1",
                                        "gr\xc3\xb6\xc3\x9f=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char facts[FACTS_BYTES_MAX] = "os=debian12", line[128];
        size_t at = 99;
        strcpy(line, "zone=1,");
        strcat(line, wrong[i]);
        assert_non_null(facts_read(line, facts, &at));
        assert_int_equal(at, 7);
        assert_string_equal(facts, "os=debian12");
    }
}

static void facts_have_bounds(void **state)
{
    (void)state;
    char facts[FACTS_BYTES_MAX] = "", name[] = "a", value[FACT_VALUE_MAX + 2];
    memset(value, 'v', sizeof value);
    for (uint32_t i = 0; i < FACTS_MAX; i++, name[0]++)
        assert_null(facts_set(facts, name, 1, "1", 1));
    assert_non_null(facts_set(facts, "x", 1, "1", 1));
    assert_null(facts_set(facts, "a", 1, "2", 1)); /* in the place of another */
    assert_non_null(facts_set(facts, "a", 1, value, FACT_VALUE_MAX + 1));
    assert_null(read_facts("a=1", facts));
    assert_null(facts_set(facts, "b", 1, value, FACT_VALUE_MAX));
    assert_null(facts_set(facts, "c", 1, value, FACT_VALUE_MAX));
    assert_null(facts_set(facts, "d", 1, value, FACT_VALUE_MAX));
    size_t left = FACTS_BYTES_MAX - 1 - strlen(facts) - 3;
    assert_non_null(facts_set(facts, "e", 1, value, left + 1));
    assert_null(facts_set(facts, "e", 1, value, left));
    assert_int_equal(strlen(facts), FACTS_BYTES_MAX - 1);
    assert_true(facts_valid(facts));
}

static void conditions_match(void **state)
{
    (void)state;
    const char *f = "arch=x86_64 cpus=8 gpu=a100 kernel=6.1.0-18-amd64 memory_mib=4096 os=debian12";
    static const char *const hold[] = {"os=debian12",
                                       "os==debian12",
                                       "facts.os=debian12",
                                       " os = debian12 ",
                                       "os=debian*",
                                       "os=*12",
                                       "os=d?bian1?",
                                       "gpu=*",
                                       "os=*b*n*",
                                       "os!=ubuntu*",
                                       "tpu!=*",
                                       "tpu!=v4",
                                       "memory_mib>=4096",
                                       "memory_mib<=4096",
                                       "memory_mib>512",
                                       "memory_mib<10000",
                                       "cpus>7",
                                       "cpus<9",
                                       "kernel>=6.1",
                                       "kernel<6.10",
                                       "kernel>5.15",
                                       "memory_mib>=04096",
                                       "os=debian12,gpu=*,cpus>=8"};
    static const char *const fail[] = {"os=debian1",      "os=debian",
                                       "os=debian12?",    "os=*11",
                                       "os=x*",           "gpu!=*",
                                       "gpu!=a100",       "tpu=*",
                                       "tpu=v4",          "tpu>=1",
                                       "os>=1",           "memory_mib>4096",
                                       "memory_mib<4096", "memory_mib>=4097",
                                       "cpus>10",         "kernel>=6.2",
                                       "kernel>6.10",     "os=debian12,gpu!=*",
                                       "x=*,os=debian12"};
    for (size_t i = 0; i < sizeof hold / sizeof hold[0]; i++)
        if (!matches(f, hold[i]))
            fail_msg("%s does not hold", hold[i]);
    for (size_t i = 0; i < sizeof fail / sizeof fail[0]; i++)
        if (matches(f, fail[i]))
            fail_msg("%s holds", fail[i]);
    assert_true(facts_match(f, ""));
    assert_true(facts_match("", ""));
    assert_true(matches("", "gpu!=*"));
    assert_false(matches("", "gpu=*"));
}

static void conditions_take_one_form(void **state)
{
    (void)state;
    char where[WHERE_BYTES_MAX];
    assert_null(read_where(" facts.os == debian* ,gpu!=*, memory_mib >= 4096 ", where));
    assert_string_equal(where, "os=debian*,gpu!=*,memory_mib>=4096");
    assert_true(where_valid(""));
    static const char *const others[] = {"os==x", "os = x", "facts.os=x", ",os=x",
                                         "os=x,", "os",     "os>=x",      "os=x, a=1"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_false(where_valid(others[i]));
}

static void a_condition_that_is_wrong_is_named(void **state)
{
    (void)state;
    static const char *const wrong[] = {"",        "os",     "os=",       "=debian12",  "os=>4",
                                        "os=a=b",  "os=!x",  "os=<4",     "os>=debian", "cpus>*",
                                        "cpus<4*", "Os=a",   "os!debian", "os=a b",     "os=\"a\"",
                                        "o s=a",   "cpus><4"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char where[WHERE_BYTES_MAX] = "as=before", line[64];
        size_t at = 99;
        strcpy(line, "gpu=*, ");
        strcat(line, wrong[i]);
        if (where_read(line, where, &at) == NULL)
            fail_msg("'%s' is taken", line);
        assert_int_equal(at, 7);
        assert_string_equal(where, "as=before");
    }
    char where[WHERE_BYTES_MAX], long_line[WHERE_BYTES_MAX + 64];
    assert_null(read_where("a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1", where));
    assert_non_null(read_where("a=1,b=1,c=1,d=1,e=1,f=1,g=1,h=1,i=1", where));
    memset(long_line, 'v', sizeof long_line);
    memcpy(long_line, "a=", 2);
    memcpy(long_line + 66, ",b=", 3);
    memcpy(long_line + 133, ",c=", 3);
    long_line[WHERE_BYTES_MAX - 1] = '\0';
    assert_null(read_where(long_line, where));
    assert_true(where_valid(where));
    long_line[WHERE_BYTES_MAX - 1] = 'v';
    long_line[WHERE_BYTES_MAX] = '\0';
    assert_non_null(read_where(long_line, where));
    assert_false(where_valid(long_line));
}

static void a_machine_has_facts(void **state)
{
    (void)state;
    char facts[FACTS_BYTES_MAX] = "os=set-by-its-operator rack=r7", os[FACT_VALUE_MAX + 1];
    host_facts(facts);
    assert_true(facts_valid(facts));
    assert_true(matches(facts, "os=set-by-its-operator,rack=r7,arch=*,kernel=*,node=*"));
    assert_true(matches(facts, "cpus>=1,memory_mib>=1"));
    assert_true(
        host_facts_os("NAME=x\nVERSION_ID=\"12\"\nVERSION=\"12 (b)\"\nID=debian\n", os, sizeof os));
    assert_string_equal(os, "debian12");
    assert_true(host_facts_os("ID=arch", os, sizeof os));
    assert_string_equal(os, "arch");
    assert_false(host_facts_os("", os, sizeof os));
    assert_false(host_facts_os("ID_LIKE=debian\nVERSION_ID=12\n", os, sizeof os));
    /* Where there is no room, what its operator has set stays. */
    memset(facts, 'v', sizeof facts);
    memcpy(facts, "a=", 2);
    memcpy(facts + 66, " b=", 3);
    memcpy(facts + 133, " c=", 3);
    strcpy(facts + 200, " d=1");
    char full[FACTS_BYTES_MAX];
    strcpy(full, facts);
    host_facts(facts);
    assert_true(facts_valid(facts));
    assert_memory_equal(facts, full, 66);
    assert_non_null(strstr(facts, " d=1"));
}

static void simulated_agents_have_facts(void **state)
{
    (void)state;
    uint32_t with_gpu = 0;
    for (int c = CLASS_NONE + 1; c < CLASS_COUNT; c++)
        for (uint32_t i = 0; i < 100; i++) {
            const char *facts = sim_facts((enum impedance_class)c, i);
            assert_true(facts_valid(facts) && facts[0] != '\0');
            assert_ptr_equal(facts, sim_facts((enum impedance_class)c, i));
            with_gpu += matches(facts, "gpu=*") ? 1 : 0;
        }
    assert_in_range(with_gpu, 101, 199); /* all of D, some of E */
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(facts_take_one_form),
                                       cmocka_unit_test(a_fact_that_is_wrong_changes_nothing),
                                       cmocka_unit_test(facts_have_bounds),
                                       cmocka_unit_test(conditions_match),
                                       cmocka_unit_test(conditions_take_one_form),
                                       cmocka_unit_test(a_condition_that_is_wrong_is_named),
                                       cmocka_unit_test(a_machine_has_facts),
                                       cmocka_unit_test(simulated_agents_have_facts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
