/* Selectors, samples and quotas. */
#include "core/num.h"
#include "core/resolve.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static struct topology topo;

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &topo);
    return 0;
}

static struct selector at(const char *places)
{
    struct selector sel = {0};
    size_t fault;
    const char *why;
    assert_true(place_parse(places, strlen(places), &topo, &sel.places, &fault, &why));
    return sel;
}

static void test_takes(void **state)
{
    (void)state;
    struct selector sel = at("s07.c3");
    struct unit in = unit_agent(7, 3, 12);
    assert_true(selector_takes(&sel, &topo, in, CLASS_B_SERVERLESS, 0, AGENT_OFFLINE, 0));
    assert_false(
        selector_takes(&sel, &topo, unit_agent(7, 4, 12), CLASS_B_SERVERLESS, 0, AGENT_ACTIVE, 0));
    sel.class_mask = 1u << CLASS_D_GPU | 1u << CLASS_A_EDGE;
    assert_true(selector_takes(&sel, &topo, in, CLASS_D_GPU, 0, AGENT_ACTIVE, 0));
    assert_false(selector_takes(&sel, &topo, in, CLASS_B_SERVERLESS, 0, AGENT_ACTIVE, 0));
    sel.state_mask = 1u << AGENT_ACTIVE;
    assert_false(selector_takes(&sel, &topo, in, CLASS_D_GPU, 0, AGENT_SUSPECT, 0));
    sel.capabilities = 5;
    assert_true(selector_takes(&sel, &topo, in, CLASS_D_GPU, 7, AGENT_ACTIVE, 0));
    assert_false(selector_takes(&sel, &topo, in, CLASS_D_GPU, 4, AGENT_ACTIVE, 0));
    /* A missing capability is refused by name later, not left out. */
    assert_true(selector_targets(&sel, &topo, in, CLASS_D_GPU, 0, AGENT_ACTIVE, 0));
    sel.score_min = 100;
    sel.score_max = 200;
    assert_true(selector_targets(&sel, &topo, in, CLASS_D_GPU, 0, AGENT_ACTIVE, 200));
    assert_false(selector_targets(&sel, &topo, in, CLASS_D_GPU, 0, AGENT_ACTIVE, 99));
    assert_false(selector_targets(&sel, &topo, in, CLASS_D_GPU, 0, AGENT_ACTIVE, 201));
    /* Capabilities are checked at the target, unless they are a filter. */
    sel.capabilities = 6;
    assert_true(selector_targets(&sel, &topo, in, CLASS_D_GPU, 2, AGENT_ACTIVE, 200));
    sel.capable_only = true;
    assert_false(selector_targets(&sel, &topo, in, CLASS_D_GPU, 2, AGENT_ACTIVE, 200));
    assert_true(selector_targets(&sel, &topo, in, CLASS_D_GPU, 7, AGENT_ACTIVE, 200));
    uint32_t class_d = topo.class_agents[CLASS_D_GPU];
    int vision = topology_capability(&topo, "vision", 6);
    struct selector filter = {.capabilities = 1ull << vision, .capable_only = true};
    assert_int_equal(selector_expected(&filter, &topo, unit_orchestrator()), class_d);
}

static uint32_t count_one_by_one(const struct selector *sel, struct unit unit)
{
    uint32_t sum = 0;
    for (uint32_t i = 0; i < topo.agents; i++) {
        struct unit u = topology_agent(&topo, i);
        bool below =
            unit.tier == TIER_ORCHESTRATOR ||
            (u.sector == unit.sector &&
             (unit.tier == TIER_SECTOR ||
              (u.cluster == unit.cluster && (unit.tier == TIER_CLUSTER || u.agent == unit.agent))));
        sum +=
            below && selector_targets(sel, &topo, u, topology_class(&topo, i), 0, AGENT_ACTIVE, 0)
                ? 1u
                : 0u;
    }
    return sum;
}

static void test_expected(void **state)
{
    (void)state;
    const char *const places[] = {"mesh", "s[1-50].c3", "s07.c[1-3].a[1,5-9],s08", "s100.c10.a30"};
    const uint32_t masks[] = {0, CLASS_MASK_ALL, 1u << CLASS_D_GPU,
                              1u << CLASS_A_EDGE | 1u << CLASS_F_HUMAN};
    const struct unit units[] = {unit_orchestrator(), unit_sector(7),        unit_sector(8),
                                 unit_cluster(7, 3),  unit_cluster(100, 10), unit_agent(7, 3, 5)};
    for (unsigned p = 0; p < 4; p++) {
        for (unsigned m = 0; m < 4; m++) {
            struct selector sel = at(places[p]);
            sel.class_mask = masks[m];
            for (unsigned u = 0; u < sizeof units / sizeof units[0]; u++) {
                assert_int_equal(selector_expected(&sel, &topo, units[u]),
                                 count_one_by_one(&sel, units[u]));
            }
        }
    }
}

/* Parts that touch each other split a selection: every agent is in exactly one, and every tier
 * counts alike. */
static void test_parts(void **state)
{
    (void)state;
    struct selector sel = at("s[1-50].c3");
    uint32_t whole = selector_expected(&sel, &topo, unit_orchestrator()), sum = 0, sectors = 0;
    sel.part_seed = 7;
    for (uint32_t i = 0; i < 8; i++) {
        sel.part_first = i << 29;
        sel.part_last = sel.part_first + ((1u << 29) - 1u);
        uint32_t n = selector_expected(&sel, &topo, unit_orchestrator());
        assert_int_equal(n, count_one_by_one(&sel, unit_orchestrator()));
        assert_in_range(n, whole / 16, whole / 4); /* an eighth, more or less */
        for (unsigned s = 1; s <= topo.sectors; s++) {
            sectors += selector_expected(&sel, &topo, unit_sector(s));
        }
        sum += n;
    }
    assert_int_equal(sum, whole);
    assert_int_equal(sectors, whole);
    sel.part_first = sel.part_last = selector_number(7, 0);
    sel.places.count = 0;
    assert_true(selector_expected(&sel, &topo, unit_agent(1, 1, 1)) == 1);
    uint32_t same = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        same += selector_number(1, i) % 10 == selector_number(2, i) % 10 ? 1u : 0u;
        assert_true(selector_number(1, i) != 0);
    }
    assert_in_range(same, 50, 150); /* another seed is another order */
}

static void test_sample(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1, 1);
    uint64_t mask = 0xf0f0000000000ff1u;
    unsigned chosen[64] = {0};
    for (int i = 0; i < 17000; i++) {
        uint64_t s = resolve_sample(mask, 5, &r);
        assert_int_equal(num_bits(s), 5);
        assert_int_equal(s & ~mask, 0);
        for (unsigned k = 0; k < 64; k++) {
            chosen[k] += (unsigned)(s >> k & 1u);
        }
    }
    for (unsigned k = 0; k < 64; k++) { /* 17 members: 5000 each */
        if ((mask >> k & 1u) != 0) {
            assert_in_range(chosen[k], 4750, 5250);
        }
    }
    assert_int_equal(resolve_sample(mask, 17, &r), mask);
    assert_int_equal(resolve_sample(mask, UINT32_MAX, &r), mask);
    assert_int_equal(resolve_sample(mask, 0, &r), 0);
    assert_int_equal(resolve_sample(0, 3, &r), 0);
    assert_int_equal(num_bits(resolve_sample(UINT64_MAX, 63, &r)), 63);
}

static void test_quota(void **state)
{
    (void)state;
    uint32_t ret[4] = {9, 9, 9, 9};
    quota_split(10, (const uint32_t[]){30, 30, 30, 0}, 4, ret);
    assert_memory_equal(ret, ((const uint32_t[]){4, 3, 3, 0}), sizeof ret); /* tie: lowest */
    quota_split(7, (const uint32_t[]){1, 2, 3, 4}, 4, ret);
    assert_memory_equal(ret, ((const uint32_t[]){1, 1, 2, 3}), sizeof ret);
    quota_split(UINT32_MAX, (const uint32_t[]){1, 2, 3, 4}, 4, ret);
    assert_memory_equal(ret, ((const uint32_t[]){1, 2, 3, 4}), sizeof ret);
    quota_split(5, (const uint32_t[]){0, 0, 0, 0}, 4, ret);
    assert_memory_equal(ret, ((const uint32_t[]){0, 0, 0, 0}), sizeof ret);
    quota_split(5, NULL, 0, NULL);

    struct rng r;
    rng_seed(&r, 3, 1);
    static uint32_t weights[SECTORS_MAX], quota[SECTORS_MAX];
    for (int round = 0; round < 300; round++) {
        uint32_t n = (uint32_t)rng_range(&r, 1, 100);
        uint64_t total = 0;
        for (uint32_t i = 0; i < n; i++) {
            weights[i] = rng_below(&r, 4) == 0 ? 0 : (uint32_t)rng_below(&r, 4000000);
            total += weights[i];
        }
        uint32_t want = (uint32_t)rng_below(&r, total + 10u);
        quota_split(want, weights, n, quota);
        uint64_t sum = 0;
        for (uint32_t i = 0; i < n; i++) {
            assert_true(quota[i] <= weights[i]);
            if (want < total) { /* the exact share, rounded one way or the other */
                uint64_t exact = (uint64_t)want * weights[i] / total;
                assert_true(quota[i] == exact || quota[i] == exact + 1u);
            }
            sum += quota[i];
        }
        assert_int_equal(sum, want < total ? want : total);
    }
}

static void test_lowest(void **state)
{
    (void)state;
    uint32_t scores[64];
    for (uint32_t i = 0; i < 64; i++) {
        scores[i] = 100u + (i * 37u) % 64u;
    }
    assert_int_equal(resolve_lowest(UINT64_MAX, scores), 0);
    assert_int_equal(resolve_lowest(0x6, scores), 2); /* 1: 137, 2: 110 */
    scores[40] = 110;
    assert_int_equal(resolve_lowest(1ull << 40 | 1u << 2, scores), 2);
    assert_int_equal(resolve_lowest(0, scores), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_takes),  cmocka_unit_test(test_expected),
        cmocka_unit_test(test_parts),  cmocka_unit_test(test_parts),
        cmocka_unit_test(test_sample), cmocka_unit_test(test_quota),
        cmocka_unit_test(test_lowest),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
