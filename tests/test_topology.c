/* Shape, classes, places as text, and folding. */
#include "core/num.h"
#include "core/rng.h"
#include "core/topology.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct topology full;

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &full);
    return 0;
}

static void test_default_is_the_spec(void **state)
{
    (void)state;
    const uint32_t counts[CLASS_COUNT] = {0, 10000, 8000, 5000, 2000, 3000, 2000};
    assert_int_equal(full.sectors, 100);
    assert_int_equal(full.clusters_per_sector, 10);
    assert_int_equal(full.agents_per_cluster, 30);
    assert_memory_equal(full.class_agents, counts, sizeof counts);
    assert_null(topology_check(&full));
    assert_int_equal(topology_clusters(&full), 1000);
    assert_int_equal(full.capability_count, 18);
    assert_int_equal(topology_capability(&full, "routing", 7), 0);
    assert_int_equal(topology_capability(&full, "rout", 4), -1);
    uint64_t gpu = topology_class_capabilities(&full, CLASS_D_GPU);
    assert_true(gpu >> topology_capability(&full, "vision", 6) & 1u);
    assert_int_equal(topology_capability(&full, "echo", 4), -1); /* an action, not a capability */
    assert_false(gpu >> topology_capability(&full, "cache", 5) & 1u);
}

/* Every index is one agent and back; classes have exactly their counts; most clusters are pure. */
static void check_shape(uint32_t agents)
{
    struct topology t;
    topology_default(agents, &t);
    assert_null(topology_check(&t));
    uint32_t counts[CLASS_COUNT] = {0};
    uint32_t sum = 0;
    uint32_t mixed = 0;
    for (unsigned s = 1; s <= t.sectors; s++) {
        assert_true(topology_sector_clusters(&t, s) >= 1);
        for (unsigned c = 1; c <= topology_sector_clusters(&t, s); c++) {
            uint32_t in_cluster = topology_cluster_agents(&t, unit_cluster(s, c));
            uint32_t first = topology_index(&t, unit_agent(s, c, 1));
            bool pure = true;
            for (uint32_t i = 0; i < in_cluster; i++) {
                struct unit u = topology_agent(&t, first + i);
                assert_true(unit_equal(u, unit_agent(s, c, i + 1u)));
                assert_int_equal(topology_index(&t, u), first + i);
                enum impedance_class k = topology_class(&t, first + i);
                counts[k]++;
                pure = pure && k == topology_class(&t, first);
            }
            mixed += pure ? 0 : 1u;
            sum += in_cluster;
            assert_false(topology_contains(&t, unit_agent(s, c, in_cluster + 1u)));
        }
    }
    assert_int_equal(sum, agents);
    assert_memory_equal(counts, t.class_agents, sizeof counts);
    assert_true(mixed <= CLASS_COUNT);
}

static void test_shapes(void **state)
{
    (void)state;
    const uint32_t sizes[] = {1,    2,    29,   30,    31,    59,    90,    299,
                              1000, 2999, 3001, 15000, 29999, 30000, 30001, 70000};
    for (unsigned i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        check_shape(sizes[i]);
    }
    struct topology t;
    const uint32_t great[] = {307200, 307201, 1966080, 1966081, 4194304};
    for (unsigned i = 0; i < sizeof great / sizeof great[0]; i++) {
        topology_default(great[i], &t);
        assert_null(topology_check(&t));
    }
    topology_default(3000, &t);
    assert_int_equal(t.sectors, 100);
    assert_int_equal(t.clusters_per_sector, 1);
}

static void test_classes_are_spread(void **state)
{
    (void)state;
    for (unsigned s = 1; s <= 100; s++) {
        uint32_t counts[CLASS_COUNT] = {0};
        for (uint32_t i = 0; i < 300; i++) {
            counts[topology_class(&full, (s - 1u) * 300u + i)]++;
        }
        assert_in_range(counts[CLASS_A_EDGE], 90, 130);
        assert_in_range(counts[CLASS_B_SERVERLESS], 60, 120);
    }
}

static void test_check_names_the_setting(void **state)
{
    (void)state;
    struct topology t = full;
    t.sectors = 101;
    assert_string_equal(topology_check(&t), "sectors: more than the agents fill");
    t = full;
    t.agents_per_cluster = 65;
    assert_string_equal(topology_check(&t), "agents_per_cluster: 1 to 64");
    t = full;
    t.class_agents[1]--;
    assert_non_null(strstr(topology_check(&t), "class_agents"));
    t = full;
    t.capabilities[3][0] = 'X';
    assert_non_null(strstr(topology_check(&t), "capabilities"));
    t = full;
    memcpy(t.capabilities[3], t.capabilities[4], CAPABILITY_NAME_MAX);
    assert_non_null(strstr(topology_check(&t), "twice"));
}

static void test_units_as_text(void **state)
{
    (void)state;
    const struct {
        const char *text;
        struct unit unit;
        const char *out;
    } cases[] = {
        {"s7", unit_sector(7), "s07"},
        {"S07.C3", unit_cluster(7, 3), "s07.c3"},
        {"s100.c10.a30", unit_agent(100, 10, 30), "s100.c10.a30"},
        {"SECTOR-12", unit_sector(12), "s12"},
        {"SECTOR7-CLUSTER4", unit_cluster(7, 4), "s07.c4"},
        {"SECTOR7-CLUSTER4-AGENT-12", unit_agent(7, 4, 12), "s07.c4.a12"},
        {"GPU-SECTOR3-CLUSTER7-A12", unit_agent(3, 7, 12), "s03.c7.a12"},
        {"SECTOR3-GPU-CLUSTER2-AGENT-07", unit_agent(3, 2, 7), "s03.c2.a7"},
        {"Mesh", unit_orchestrator(), "mesh"},
        {"orchestrator", unit_orchestrator(), "mesh"},
        {"h3", unit_numbered(TIER_HOST, 3), "h3"},
        {"host-70000", unit_numbered(TIER_HOST, 70000), "h70000"},
        {"console7", unit_numbered(TIER_CONSOLE, 7), "console7"},
        {" s1.c[2].a3 ", unit_agent(1, 2, 3), "s01.c2.a3"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct unit u;
        const char *why = NULL;
        char text[UNIT_TEXT_MAX];
        assert_true(unit_parse(cases[i].text, strlen(cases[i].text), &u, &why));
        assert_true(unit_equal(u, cases[i].unit));
        assert_int_equal(unit_format(u, text), strlen(cases[i].out));
        assert_string_equal(text, cases[i].out);
        struct unit back;
        assert_true(unit_parse(text, strlen(text), &back, &why));
        assert_true(unit_equal(u, back));
    }
    char longest[UNIT_TEXT_MAX];
    unit_format(unit_agent(65535, 65535, 65535), longest);
    assert_string_equal(longest, "s65535.c65535.a65535");
}

static void test_bad_units(void **state)
{
    (void)state;
    const struct {
        const char *text, *why;
    } cases[] = {
        {"", "expected a place: s07, s07.c3, s07.c3.a12 or mesh"},
        {"x7", "expected a place: s07, s07.c3, s07.c3.a12 or mesh"},
        {"GPU", "expected a place: s07, s07.c3, s07.c3.a12 or mesh"},
        {"s", "a number is missing here"},
        {"s0", "numbers start at 1"},
        {"s65535", "no sector has so high a number"},
        {"s7.a3", "a tier is missing before this: s07.c3.a12"},
        {"s7.s8", "this tier stands there already"},
        {"s1-3", "a range needs brackets: s[1-3]"},
        {"s[1-2]", "one place is expected, not a range"},
        {"s*", "one place is expected, not a range"},
        {"s1,s2", "one place is expected, not a list"},
        {"s1 s2", "unexpected text after the place"},
        {"s1.c1.a1.*", "an agent has nothing below it"},
        {"h0", "expected a place: s07, s07.c3, s07.c3.a12 or mesh"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct unit u = unit_sector(99);
        const char *why = "";
        assert_false(unit_parse(cases[i].text, strlen(cases[i].text), &u, &why));
        assert_string_equal(why, cases[i].why);
        assert_true(unit_equal(u, unit_sector(99)));
    }
}

static struct place_set parse(const char *text)
{
    struct place_set set;
    size_t at = 0;
    const char *why = NULL;
    if (!place_parse(text, strlen(text), &full, &set, &at, &why)) {
        fail_msg("%s: at %zu: %s", text, at, why);
    }
    return set;
}

static uint32_t count_agents(const struct place_set *set)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < full.agents; i++) {
        count += place_has_agent(set, topology_agent(&full, i)) ? 1u : 0u;
    }
    return count;
}

static void test_places(void **state)
{
    (void)state;
    const struct {
        const char *text;
        uint32_t patterns, agents;
    } cases[] = {
        {"mesh", 0, 30000},
        {"*", 0, 30000},
        {"s*.c*.a*", 0, 30000},
        {"s07,mesh", 0, 30000},
        {"s07", 1, 300},
        {"s07.*", 1, 300},
        {"*.c3", 1, 3000},
        {"s[01-99].c3", 1, 2970},
        {"s07.c3.a[1-5,9]", 2, 6},
        {"s[01-03,07].c[1-2].a*", 2, 240},
        {"s[1,3].c[1,3].a[1,3]", 8, 8},
        {"s[1,2,3,5-9,4]", 1, 2700},
        {"s1, s2 ,SECTOR-3", 3, 900},
        {"s07.c3.a12,s07.c3.a12", 2, 1},
        {"LOCAL-SECTOR[1-2]-CLUSTER-[3-4]", 1, 120},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct place_set set = parse(cases[i].text);
        assert_int_equal(set.count, cases[i].patterns);
        assert_int_equal(count_agents(&set), cases[i].agents);
    }
}

static void test_bad_places(void **state)
{
    (void)state;
    const struct {
        const char *text;
        size_t at;
        const char *why;
    } cases[] = {
        {"", 0, "expected a place: s07, s07.c3, s07.c3.a12 or mesh"},
        {"s1,", 3, "expected a place: s07, s07.c3, s07.c3.a12 or mesh"},
        {"s1,,s2", 3, "expected a place: s07, s07.c3, s07.c3.a12 or mesh"},
        {"s1.c11", 4, "no cluster has so high a number"},
        {"s1.c1.a31", 7, "no agent has so high a number"},
        {"s101", 1, "no sector has so high a number"},
        {"s99999999999", 1, "no sector has so high a number"},
        {"s[3-2]", 2, "this range runs backwards"},
        {"s[1-", 4, "a number is missing here"},
        {"s[1", 3, "expected ',' or ']' in the bracket"},
        {"s[]", 2, "a number is missing here"},
        {"s1]", 2, "unexpected text after the place"},
        {"s1.foo", 3, "expected a place: s07, s07.c3, s07.c3.a12 or mesh"},
        {"s1,s[1,3,5].c[1,3,5].a[1,3,5,7]", 3,
         "more than 32 patterns after the brackets are multiplied out"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct place_set set = {.count = 77};
        size_t at = 999;
        const char *why = "";
        assert_false(place_parse(cases[i].text, strlen(cases[i].text), &full, &set, &at, &why));
        assert_string_equal(why, cases[i].why);
        assert_int_equal(at, cases[i].at);
        assert_int_equal(set.count, 77);
    }
    /* No topology: only the form is checked. */
    struct place_set set;
    size_t at;
    const char *why;
    assert_true(place_parse("s5000.c99", 9, NULL, &set, &at, &why));
}

/* Whatever the bytes, the parser ends and either accepts or names a place within the text. */
static void test_random_text(void **state)
{
    (void)state;
    static const char ALPHABET[] = "sca0123456789[],-.* SECTORCLUSTERAGENTmesh";
    struct rng r;
    rng_seed(&r, 11, 1);
    for (int i = 0; i < 50000; i++) {
        char text[24];
        size_t bytes = (size_t)rng_below(&r, sizeof text);
        for (size_t k = 0; k < bytes; k++) {
            text[k] = rng_below(&r, 50) == 0 ? (char)rng_below(&r, 256)
                                             : ALPHABET[rng_below(&r, sizeof ALPHABET - 1u)];
        }
        struct place_set set;
        size_t at = 9999;
        const char *why = NULL;
        if (!place_parse(text, bytes, &full, &set, &at, &why)) {
            assert_true(at <= bytes);
            assert_non_null(why);
        } else {
            assert_true(set.count <= RANGES_MAX);
        }
    }
}

static void test_touches_and_children(void **state)
{
    (void)state;
    struct place_set set = parse("s[3,70].c[2-4].a[1,30],s99");
    assert_true(place_touches(&set, unit_sector(3)));
    assert_false(place_touches(&set, unit_sector(4)));
    assert_true(place_touches(&set, unit_cluster(70, 4)));
    assert_false(place_touches(&set, unit_cluster(70, 5)));
    assert_true(place_touches(&set, unit_cluster(99, 10)));
    assert_int_equal(place_children(&set, &full, unit_orchestrator(), 1), 1u << 2);
    assert_int_equal(place_children(&set, &full, unit_orchestrator(), 65), 1ull << 5 | 1ull << 34);
    assert_int_equal(place_children(&set, &full, unit_sector(3), 1), 0xe);
    assert_int_equal(place_children(&set, &full, unit_cluster(3, 2), 1), 1u | 1u << 29);
    assert_int_equal(place_children(&set, &full, unit_cluster(99, 1), 1), 0x3fffffff);
    struct place_set everything = {0};
    assert_int_equal(place_children(&everything, &full, unit_orchestrator(), 65), 0xfffffffffull);
}

static void fold(const struct run *runs, uint32_t count, const char *want)
{
    char text[512];
    assert_true(runs_format(&full, runs, count, text, sizeof text));
    assert_string_equal(text, want);
}

static void test_folding(void **state)
{
    (void)state;
    fold(NULL, 0, "");
    fold((struct run[]){{0, 29999}}, 1, "mesh");
    fold((struct run[]){{0, 299}}, 1, "s01");
    fold((struct run[]){{0, 29699}}, 1, "s[01-99]");
    fold((struct run[]){{5, 5}}, 1, "s01.c1.a6");
    fold((struct run[]){{29970, 29999}}, 1, "s100.c10");
    fold((struct run[]){{60, 64}, {360, 364}, {660, 664}}, 3, "s[01-03].c3.a[1-5]");
    fold((struct run[]){{60, 89}, {150, 179}}, 2, "s01.c[3,6]");
    fold((struct run[]){{60, 64}, {90, 94}, {300, 599}}, 3, "s01.c[3-4].a[1-5],s02");
    /* One sector that differs does not break the range of the others. */
    fold((struct run[]){{0, 299}, {600, 898}, {900, 1199}}, 3,
         "s[01,04],s03.c[1-9],s03.c10.a[1-29]");
    /* Out of the mesh: clipped. */
    fold((struct run[]){{29999, UINT32_MAX}, {40000, 50000}}, 2, "s100.c10.a30");
}

static void test_folding_that_does_not_fit(void **state)
{
    (void)state;
    const struct run runs[] = {{60, 64}, {90, 94}, {300, 599}};
    const char *whole = "s01.c[3-4].a[1-5],s02";
    for (size_t size = 5; size <= strlen(whole); size++) {
        char text[64];
        assert_false(runs_format(&full, runs, 3, text, size));
        assert_true(strlen(text) < size);
        assert_string_equal(
            text, size >= strlen("s01.c[3-4].a[1-5],...") + 1u ? "s01.c[3-4].a[1-5],..." : "...");
    }
}

/* What is folded can be typed again and means the same agents. */
static void check_round_trip(const struct topology *t, const uint8_t *in)
{
    static struct run runs[70000];
    static char text[65536];
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->agents; i++) {
        if (in[i] != 0 && i > 0 && in[i - 1u] != 0) {
            runs[count - 1u].last = i;
        } else if (in[i] != 0) {
            runs[count] = (struct run){i, i};
            count++;
        }
    }
    if (count == 0) {
        return;
    }
    assert_true(runs_format(t, runs, count, text, sizeof text));
    /* Place by place: a set holds 32 patterns, a folded text may have more. */
    static uint8_t seen[70000];
    memset(seen, 0, t->agents);
    char *at = text;
    while (*at != '\0') {
        size_t len = 0;
        for (int depth = 0; at[len] != '\0' && (depth > 0 || at[len] != ','); len++) {
            depth += at[len] == '[' ? 1 : (at[len] == ']' ? -1 : 0);
        }
        struct place_set set;
        size_t fault;
        const char *why;
        if (!place_parse(at, len, t, &set, &fault, &why)) {
            fail_msg("%.*s: %s", (int)len, at, why);
        }
        for (uint32_t i = 0; i < t->agents; i++) {
            seen[i] |= place_has_agent(&set, topology_agent(t, i)) ? 1u : 0u;
        }
        at += len;
        at += *at == ',' ? 1 : 0;
    }
    assert_memory_equal(seen, in, t->agents);
}

static void test_folding_round_trips(void **state)
{
    (void)state;
    static uint8_t in[70000];
    const uint32_t sizes[] = {1, 37, 100, 640};
    struct rng r;
    rng_seed(&r, 21, 1);
    for (int round = 0; round < 120; round++) {
        struct topology t;
        topology_default(sizes[round % 4], &t);
        if (round % 3 == 0) { /* more than one cluster a sector */
            t.clusters_per_sector = 3;
            t.agents_per_cluster = 7;
            t.sectors = (uint16_t)((t.agents + 20u) / 21u);
            assert_null(topology_check(&t));
        }
        /* Mostly whole blocks of agents, with holes. */
        uint32_t block = 1u + (uint32_t)rng_below(&r, 40);
        bool on = false;
        for (uint32_t i = 0; i < t.agents; i++) {
            on = i % block == 0 ? rng_below(&r, 2) == 0 : on;
            in[i] = on != (rng_below(&r, 60) == 0) ? 1 : 0;
        }
        check_round_trip(&t, in);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_default_is_the_spec),
        cmocka_unit_test(test_shapes),
        cmocka_unit_test(test_classes_are_spread),
        cmocka_unit_test(test_check_names_the_setting),
        cmocka_unit_test(test_units_as_text),
        cmocka_unit_test(test_bad_units),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_bad_places),
        cmocka_unit_test(test_random_text),
        cmocka_unit_test(test_touches_and_children),
        cmocka_unit_test(test_folding),
        cmocka_unit_test(test_folding_that_does_not_fit),
        cmocka_unit_test(test_folding_round_trips),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
