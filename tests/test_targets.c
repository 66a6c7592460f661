/* Who is meant: difference of places against a plain reference, stars, lists of the last operation,
 * groups, and messages that name the word. */
#include "tiers/console/targets.h"

#include "core/rng.h"
#include "tiers/console/task.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct topology topology;
static struct place_set set;
static char error[COMMAND_ERROR_MAX];
static char state_folder[] = "/tmp/mesh-targets-XXXXXX";

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &topology);
    return 0;
}

static uint32_t size_of(const struct place_set *p)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < topology.agents; i++)
        n += place_has_agent(p, topology_agent(&topology, i));
    return n;
}

static uint32_t targets(const char *on, const char *except)
{
    error[0] = '\0';
    if (!targets_parse("--on", on, except, &topology, &set, error))
        fail_msg("'%s': %s", on ? on : "", error);
    return size_of(&set);
}

static void rejects(const char *on, const char *except, const char *needle)
{
    assert_false(targets_parse("--on", on, except, &topology, &set, error));
    if (!strstr(error, needle))
        fail_msg("'%s' gives '%s', wanted '%s' in it", on ? on : "", error, needle);
}

static void exclusion_wins(void **state)
{
    (void)state;
    assert_int_equal(targets("s07", NULL), 300);
    assert_int_equal(targets("s07,!s07.c4", NULL), 270);
    assert_int_equal(targets("!s07.c4,s07", NULL), 270); /* wherever it stands */
    assert_int_equal(targets("s07", "s07.c4.a[1-5]"), 295);
    assert_int_equal(targets(NULL, "s[01-50]"), 15000);
    assert_int_equal(targets("!s01.c1.a1", NULL), 29999);
    assert_false(place_has_agent(&set, unit_agent(1, 1, 1)));
    assert_true(place_has_agent(&set, unit_agent(1, 1, 2)));
    assert_int_equal(targets("s07", "s08"), 300);
    rejects("s07", "s07", "nothing is left");
    rejects("s07,!mesh", NULL, "nothing is left");
}

static void stars_are_every_number(void **state)
{
    (void)state;
    assert_int_equal(targets("s*.c3", NULL), 3000);
    assert_int_equal(targets("s07.c*.a1", NULL), 10);
    assert_int_equal(targets("s*.c*.a*", NULL), 30000);
    assert_int_equal(targets("s*", "s*.c[2-10]"), 3000);
    rejects("s*x", NULL, "character");
    rejects("x*", NULL, "--on");
}

/* Random boxes against asking for each agent. */
static void a_difference_is_what_is_in_one_and_not_in_the_other(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 11, 1);
    topology_default(2400, &topology);
    uint32_t compared = 0;
    for (int round = 0; round < 300; round++) {
        struct place_set plus = {0}, minus = {0};
        for (uint32_t k = 0; k < 6; k++) {
            struct place_set *to = k < 3 ? &plus : &minus;
            uint16_t most[3] = {topology.sectors, topology.clusters_per_sector,
                                topology.agents_per_cluster};
            struct range r[3];
            for (int i = 0; i < 3; i++) {
                uint16_t a = (uint16_t)rng_range(&rng, 1, most[i]);
                uint16_t b = (uint16_t)rng_range(&rng, a, most[i]);
                r[i] = rng_range(&rng, 0, 2) == 0 ? (struct range){0, 0} : (struct range){a, b};
            }
            to->patterns[to->count++] = (struct pattern){r[0], r[1], r[2]};
        }
        struct place_set left = plus;
        if (!place_subtract(&left, &minus, &topology)) {
            assert_memory_equal(&left, &plus, sizeof plus); /* untouched */
            continue;
        }
        compared++;
        for (uint32_t i = 0; i < topology.agents; i++) {
            struct unit u = topology_agent(&topology, i);
            bool wanted = place_has_agent(&plus, u) && !place_has_agent(&minus, u);
            assert_true(left.count == 0 ? !wanted : place_has_agent(&left, u) == wanted);
        }
    }
    assert_true(compared > 100);
}

static void the_last_operation_and_groups_have_names(void **state)
{
    (void)state;
    const struct run ready[] = {{0, 9}, {12, 29}}, failed[] = {{10, 10}}, silent[] = {{11, 11}};
    const struct answer_group groups[] = {
        {.outcome = OUTCOME_READY, .count = 28, .run_count = 2, .runs = ready},
        {.outcome = OUTCOME_FAILED, .count = 1, .run_count = 1, .runs = failed},
        {.outcome = OUTCOME_TIMEOUT_DELIVERY, .count = 1, .run_count = 1, .runs = silent}};
    struct aggregate_view a = {.targets = 30, .unexpected = 2};
    a.outcomes[OUTCOME_READY] = 28;
    a.outcomes[OUTCOME_FAILED] = a.outcomes[OUTCOME_TIMEOUT_DELIVERY] = 1;
    char *text = NULL;
    size_t bytes = 0;
    struct render r = {.out = open_memstream(&text, &bytes), .topology = &topology};
    targets_lists(&r, &a, groups, 3, NULL);
    fclose(r.out);
    assert_non_null(strstr(text, "answered            28  s01.c1.a[1-10,13-30]"));
    assert_non_null(strstr(text, "failed               1  s01.c1.a11"));
    assert_non_null(strstr(text, "no answer yet        1  s01.c1.a12"));
    assert_non_null(strstr(text, "unexpected           2"));
    free(text);
    assert_int_equal(targets("@last.failed", NULL), 1);
    assert_true(place_has_agent(&set, unit_agent(1, 1, 11)));
    assert_int_equal(targets("@last.failed,@last.silent", NULL), 2);
    assert_int_equal(targets("s01.c1,!@last.answered", NULL), 2);
    rejects("@last.faild", NULL, "@last.failed");
    rejects("@nobody", NULL, "no such group");
    targets_mesh("/tmp"); /* another mesh: who failed there is nobody here */
    rejects("@last.failed", NULL, "the last operation on this mesh has none");
    targets_mesh(NULL);
    assert_int_equal(targets("@last.failed", NULL), 1);

    static struct invocation in;
    const char *save[] = {"group", "save", "gpus", "s[81-87]"};
    r = (struct render){.out = stdout, .topology = &topology};
    assert_true(command_parse(save, 4, &in, error));
    assert_int_equal(targets_group(&r, &in), EXIT_OK);
    assert_int_equal(targets("@gpus", NULL), 2100);
    assert_int_equal(targets("@gpus,!s81", NULL), 1800);
    const char *bad[] = {"group", "save", "gpus", "s[81-"};
    assert_true(command_parse(bad, 4, &in, error));
    assert_int_equal(targets_group(&r, &in), EXIT_USAGE);
    const char *drop[] = {"group", "remove", "gpus"};
    assert_true(command_parse(drop, 3, &in, error));
    assert_int_equal(targets_group(&r, &in), EXIT_OK);
    assert_int_equal(targets_group(&r, &in), EXIT_NOT_FOUND);
    rejects("@gpus", NULL, "no such group");
}

static void nothing_failed_says_so(void **state)
{
    (void)state;
    struct aggregate_view a = {.targets = 1};
    a.outcomes[OUTCOME_READY] = 1;
    const struct run one = {0, 0};
    const struct answer_group group = {
        .outcome = OUTCOME_READY, .count = 1, .run_count = 1, .runs = &one};
    struct render r = {.out = stdout, .topology = &topology, .json = true};
    targets_lists(&r, &a, &group, 1, NULL);
    rejects("@last.failed", NULL, "the last operation on this mesh has none");
}

/* What does not fit a line ends where a place ends: half an id would be another agent's. */
static void a_long_list_is_cut_between_places(void **state)
{
    (void)state;
    static struct run scattered[200];
    for (uint32_t i = 0; i < 200; i++)
        scattered[i] = (struct run){i * 37 + i * i % 7, i * 37 + i * i % 7};
    const struct answer_group group = {
        .outcome = OUTCOME_FAILED, .count = 200, .run_count = 200, .runs = scattered};
    struct aggregate_view a = {.targets = 200};
    a.outcomes[OUTCOME_FAILED] = 200;
    char *text = NULL, shown[256];
    size_t bytes = 0;
    struct render r = {.out = open_memstream(&text, &bytes), .topology = &topology};
    targets_lists(&r, &a, &group, 1, NULL);
    fclose(r.out);
    const char *at = strstr(text, "failed             200  "), *end = strstr(text, ", .. (all of");
    assert_non_null(at);
    assert_non_null(end);
    at += strlen("failed             200  ");
    assert_true(end > at && end - at <= 200);
    snprintf(shown, sizeof shown, "%.*s", (int)(end - at), at);
    assert_non_null(strstr(end, "--on @last.failed)\n"));
    uint32_t count = targets(shown, NULL);
    assert_true(count > 5 && count < 200);
    for (uint32_t k = 0; k < 200; k++) /* all that it means failed */
        count -= place_has_agent(&set, topology_agent(&topology, scattered[k].first));
    assert_int_equal(count, 0);
    free(text);
}

/* A lead that died cannot name its agents: when all that were meant ended alike, they are those. */
static void all_of_them_have_names(void **state)
{
    (void)state;
    const struct answer_group group = {.outcome = OUTCOME_UNREACHABLE, .count = 30};
    struct aggregate_view a = {.targets = 30};
    a.outcomes[OUTCOME_UNREACHABLE] = 30;
    struct selector meant = {0};
    size_t at = 0, bytes = 0;
    const char *why;
    char *text = NULL;
    assert_true(place_parse("s07.c3", 6, &topology, &meant.places, &at, &why));
    for (int i = 0; i < 3; i++) { /* known; not known; not all of them are targets */
        struct render r = {.out = open_memstream(&text, &bytes), .topology = &topology};
        a.targets = i == 2 ? 29 : 30;
        a.outcomes[OUTCOME_UNREACHABLE] = a.targets;
        targets_lists(&r, &a, &group, 1, i == 1 ? NULL : &meant);
        fclose(r.out);
        assert_non_null(
            strstr(text, i == 0 ? "no answer yet       30  s07.c3\n" : "  all of them\n"));
        if (i == 0)
            assert_int_equal(targets("@last.silent", NULL), 30);
        else
            rejects("@last.silent", NULL, "has none");
        free(text);
    }
}

int main(void)
{
    if (!mkdtemp(state_folder) || setenv("XDG_STATE_HOME", state_folder, 1) != 0)
        return 1;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(exclusion_wins, setup),
        cmocka_unit_test_setup(stars_are_every_number, setup),
        cmocka_unit_test_setup(a_difference_is_what_is_in_one_and_not_in_the_other, setup),
        cmocka_unit_test_setup(the_last_operation_and_groups_have_names, setup),
        cmocka_unit_test_setup(nothing_failed_says_so, setup),
        cmocka_unit_test_setup(a_long_list_is_cut_between_places, setup),
        cmocka_unit_test_setup(all_of_them_have_names, setup),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    char command[100];
    snprintf(command, sizeof command, "rm -r %s", state_folder);
    return system(command) == 0 ? failed : 1;
}
