/* Aggregates and their slab: counts add up in every order, bounds hold, hostile views are refused.
 */
#include "core/aggregate.h"
#include "core/histogram.h"
#include "core/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct topology mesh;
static struct slab slab;
static void *memory;
static struct aggregate_scratch scratch[2];

#define CHUNKS 8192u

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &mesh);
    memory = aligned_alloc(16, slab_bytes(CHUNKS));
    memset(memory, 0, slab_bytes(CHUNKS));
    slab_init(&slab, memory, CHUNKS);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

/* --- slab --------------------------------------------------------------------------------------
 */

static void test_slab_gives_zeroed_distinct_chunks_lowest_first(void **state)
{
    (void)state;
    _Alignas(16) static uint8_t room[4 * SLAB_CHUNK_BYTES];
    struct slab s;
    slab_init(&s, room, 4);
    assert_int_equal(slab_alloc(&s), 1);
    assert_int_equal(slab_alloc(&s), 2);
    memset(slab_at(&s, 1), 0xff, SLAB_CHUNK_BYTES);
    slab_free(&s, 1);
    assert_int_equal(slab_alloc(&s), 1);
    const uint8_t *at = slab_at(&s, 1);
    for (uint32_t i = 0; i < SLAB_CHUNK_BYTES; i++) {
        assert_int_equal(at[i], 0);
    }
    assert_ptr_equal((const uint8_t *)slab_at(&s, 2), at + SLAB_CHUNK_BYTES);
    assert_int_equal(slab_left(&s), 2);
}

/* A table that grows: it takes nothing from the others, and what it leaves is theirs. */
static void test_slab_runs_lie_side_by_side(void **state)
{
    (void)state;
    _Alignas(16) static uint8_t room[7 * SLAB_CHUNK_BYTES];
    struct slab s;
    slab_init_runs(&s, room, 4, 3);
    assert_int_equal(slab_alloc(&s), 1);
    assert_int_equal(slab_run(&s, 1), 2);
    assert_int_equal(slab_alloc(&s), 3);
    assert_int_equal(slab_run(&s, 2), 4);
    memset(slab_at(&s, 2), 0xff, SLAB_CHUNK_BYTES);
    slab_give(&s, 2, 1);
    assert_int_equal(slab_left(&s), 2);
    assert_int_equal(slab_alloc(&s), 2);
    const uint8_t *at = slab_at(&s, 2);
    for (uint32_t i = 0; i < SLAB_CHUNK_BYTES; i++) {
        assert_int_equal(at[i], 0);
    }
    assert_int_equal(slab_alloc(&s), 6);
    assert_int_equal(slab_alloc(&s), SLAB_NONE);
    assert_int_equal(slab_left(&s), 0);
}

static void test_slab_keeps_its_promises(void **state)
{
    (void)state;
    _Alignas(16) static uint8_t room[4 * SLAB_CHUNK_BYTES];
    struct slab s;
    slab_init(&s, room, 4);
    assert_false(slab_reserve(&s, 5));
    assert_int_equal(slab_left(&s), 4);
    assert_true(slab_reserve(&s, 3));
    assert_int_not_equal(slab_alloc(&s), SLAB_NONE);
    assert_int_equal(slab_alloc(&s), SLAB_NONE); /* the rest is promised */
    assert_int_not_equal(slab_alloc_reserved(&s), SLAB_NONE);
    slab_unreserve(&s, 1);
    assert_int_not_equal(slab_alloc(&s), SLAB_NONE);
    assert_int_equal(slab_alloc(&s), SLAB_NONE);
    assert_int_not_equal(slab_alloc_reserved(&s), SLAB_NONE);
    assert_int_equal(s.used, 4);
}

/* --- helpers -----------------------------------------------------------------------------------
 */

static struct aggregate_target target(uint32_t agent, enum outcome o, const char *answer)
{
    return (struct aggregate_target){.agent = agent,
                                     .outcome = o,
                                     .answer = (const uint8_t *)answer,
                                     .answer_bytes = (uint32_t)strlen(answer)};
}

static uint64_t outcomes_sum(const struct aggregate_view *v)
{
    uint64_t sum = 0;
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        sum += v->outcomes[i];
    }
    return sum;
}

static void assert_adds_up(const struct aggregate_view *v)
{
    uint64_t covered = v->other;
    uint64_t bytes = 0;
    assert_int_equal(outcomes_sum(v), v->targets);
    for (uint32_t i = 0; i < v->group_count; i++) {
        covered += v->groups[i].count;
        bytes += AGGREGATE_GROUP_BYTES + v->groups[i].answer_bytes + 8u * v->groups[i].run_count;
    }
    assert_int_equal(covered, v->targets);
    assert_true(bytes <= AGGREGATE_BYTES_MAX);
    assert_true(v->group_count <= AGGREGATE_GROUPS_MAX);
}

static void assert_same(const struct aggregate_view *a, const struct aggregate_view *b)
{
    struct aggregate_view x = *a, y = *b;
    x.groups = y.groups = NULL;
    assert_memory_equal(&x, &y, sizeof x);
    for (uint32_t i = 0; i < a->group_count; i++) {
        const struct answer_group *g = &a->groups[i], *h = &b->groups[i];
        assert_int_equal(g->hash, h->hash);
        assert_int_equal(g->outcome, h->outcome);
        assert_int_equal(g->reason, h->reason);
        assert_int_equal(g->count, h->count);
        assert_int_equal(g->run_count, h->run_count);
        assert_memory_equal(g->runs, h->runs, g->run_count * sizeof *g->runs);
        assert_int_equal(g->answer_bytes, h->answer_bytes);
        assert_memory_equal(g->answer, h->answer, g->answer_bytes);
    }
}

static void random_target(struct rng *r, uint32_t agent, uint32_t kinds, char text[64],
                          struct aggregate_target *ret)
{
    size_t n = 0;
    uint64_t kind = rng_below(r, kinds);
    for (uint64_t i = 0; i <= kind && n < 60; i++) {
        text[n++] = (char)('a' + (char)(kind % 26));
    }
    text[n] = '\0';
    *ret = target(agent, (enum outcome)(1 + kind % (OUTCOME_COUNT - 1)), text);
    ret->reason = (enum reason)(kind % 3 == 0 ? REASON_HANDLER : REASON_NONE);
    ret->sent = ret->reached = true;
    ret->late = rng_below(r, 10) == 0;
    ret->resent = rng_below(r, 10) == 0;
    ret->hedged = ret->resent && rng_below(r, 2) == 0;
    ret->hedge_won = ret->hedged && rng_below(r, 2) == 0;
    ret->eligible = true;
    ret->hit = rng_below(r, 2) == 0;
    ret->has_arrival = ret->has_release = ret->has_lead = true;
    ret->arrival_us = rng_range(r, -20000, 500000);
    ret->release_us = rng_range(r, -100, 100);
    ret->lead_us = rng_range(r, 0, 3000000);
    ret->predicted = rng_below(r, 4) != 0;
    ret->apart_us = rng_range(r, -100000, 100000);
}

/* --- one aggregate -----------------------------------------------------------------------------
 */

static void test_equal_answers_fold_into_groups_with_runs(void **state)
{
    (void)state;
    struct aggregate a = {0};
    assert_true(aggregate_init(&a, &slab));
    const uint32_t agents[] = {5, 3, 9, 4, 2, 7};
    for (int i = 0; i < 6; i++) {
        struct aggregate_target t = target(agents[i], OUTCOME_READY, "ok");
        aggregate_add_target(&a, &slab, &t);
    }
    struct aggregate_target bad = target(8, OUTCOME_CONFLICT, "ok");
    aggregate_add_target(&a, &slab, &bad);
    struct aggregate_view v;
    aggregate_view(&a, &slab, &scratch[0], &v);
    assert_adds_up(&v);
    assert_int_equal(v.targets, 7);
    assert_int_equal(v.outcomes[OUTCOME_READY], 6);
    assert_int_equal(v.group_count, 2); /* the outcome is part of the group */
    assert_int_equal(v.groups[0].count, 6);
    assert_int_equal(v.groups[0].run_count, 3);
    assert_int_equal(v.groups[0].runs[0].first, 2);
    assert_int_equal(v.groups[0].runs[0].last, 5);
    assert_int_equal(v.groups[0].runs[1].first, 7);
    assert_int_equal(v.groups[0].runs[2].last, 9);
    assert_memory_equal(v.groups[0].answer, "ok", 2);
    assert_null(aggregate_view_check(&v, &mesh, unit_cluster(1, 1), true));
    aggregate_done(&a, &slab);
    assert_int_equal(slab_left(&slab), CHUNKS);
}

static void test_predictions_count_within_50_ms(void **state)
{
    (void)state;
    static const struct {
        bool predicted;
        int64_t apart_us;
        uint32_t counts, within;
    } cases[] = {
        {true, 0, 1, 1},         {true, 50000, 1, 1},  {true, -50000, 1, 1},
        {true, 50001, 1, 0},     {true, -50001, 1, 0}, {true, INT64_MAX, 1, 0},
        {true, INT64_MIN, 1, 0}, {false, 0, 0, 0},     {false, 60000, 0, 0},
    };
    struct aggregate a = {0}, sum = {0};
    struct aggregate_view v;
    assert_true(aggregate_init(&a, &slab));
    assert_true(aggregate_init(&sum, &slab));
    for (uint32_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct aggregate_target t = target(i, OUTCOME_READY, "ok");
        uint32_t counts = a.predicted, within = a.predicted_50ms;
        t.predicted = cases[i].predicted;
        t.apart_us = cases[i].apart_us;
        aggregate_add_target(&a, &slab, &t);
        aggregate_counts(&a, 0, &v);
        assert_int_equal(v.predicted - counts, cases[i].counts);
        assert_int_equal(v.predicted_50ms - within, cases[i].within);
    }
    aggregate_view(&a, &slab, &scratch[0], &v);
    assert_null(aggregate_view_check(&v, &mesh, unit_orchestrator(), true));
    aggregate_merge(&sum, &slab, &v);
    aggregate_merge(&sum, &slab, &v);
    aggregate_view(&sum, &slab, &scratch[1], &v);
    assert_int_equal(v.predicted, 14);
    assert_int_equal(v.predicted_50ms, 6);
    aggregate_done(&a, &slab);
    aggregate_done(&sum, &slab);
}

static void test_many_with_and_without_runs(void **state)
{
    (void)state;
    struct aggregate a = {0};
    assert_true(aggregate_init(&a, &slab));
    struct run run = {30, 59};
    aggregate_add_many(&a, &slab, OUTCOME_UNREACHABLE, REASON_CLUSTER_DOWN, 30, &run, 1);
    struct run other = {90, 119}; /* not exact: left out */
    aggregate_add_many(&a, &slab, OUTCOME_UNREACHABLE, REASON_CLUSTER_DOWN, 7, &other, 1);
    aggregate_add_many(&a, &slab, OUTCOME_REFUSED, REASON_BREAKER, 0, NULL, 0);
    aggregate_add_late(&a);
    struct aggregate_view v;
    aggregate_view(&a, &slab, &scratch[0], &v);
    assert_adds_up(&v);
    assert_int_equal(v.targets, 37);
    assert_int_equal(v.reasons[REASON_CLUSTER_DOWN], 37);
    assert_int_equal(v.late, 1);
    assert_int_equal(v.group_count, 1);
    assert_int_equal(v.groups[0].run_count, 1);
    assert_int_equal(v.groups[0].runs[0].last, 59);
    struct aggregate_view counts;
    aggregate_counts(&a, 5, &counts);
    assert_int_equal(counts.targets, 42);
    assert_int_equal(counts.outcomes[OUTCOME_PENDING], 5);
    assert_null(aggregate_view_check(&counts, &mesh, unit_sector(1), false));
    aggregate_done(&a, &slab);
    assert_int_equal(slab_left(&slab), CHUNKS);
}

static void test_long_answers_come_back_whole(void **state)
{
    (void)state;
    struct aggregate a = {0};
    assert_true(aggregate_init(&a, &slab));
    uint8_t answer[ANSWER_BYTES_MAX];
    const uint32_t sizes[] = {0, 40, 41, 252, 253, 504, 1024};
    for (uint32_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(answer, (int)(i + 1), sizeof answer);
        struct aggregate_target t = {
            .agent = i, .outcome = OUTCOME_READY, .answer = answer, .answer_bytes = sizes[i]};
        aggregate_add_target(&a, &slab, &t);
    }
    struct aggregate_view v;
    aggregate_view(&a, &slab, &scratch[0], &v);
    assert_int_equal(v.group_count, 7);
    for (uint32_t i = 0; i < v.group_count; i++) {
        uint32_t who = v.groups[i].runs[0].first;
        assert_int_equal(v.groups[i].answer_bytes, sizes[who]);
        memset(answer, (int)(who + 1), sizeof answer);
        assert_memory_equal(v.groups[i].answer, answer, sizes[who]);
    }
    aggregate_done(&a, &slab);
    assert_int_equal(slab_left(&slab), CHUNKS);
}

/* 64 agents as a lead's, in any order, over any tree: the same view. */
static void test_any_order_of_merging_gives_the_same(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1, 2);
    int compared = 0;
    for (int round = 0; round < 40; round++) {
        struct aggregate_target targets[300];
        char text[300][64];
        for (uint32_t i = 0; i < 300; i++) {
            random_target(&r, i, 1 + (uint32_t)round % 20, text[i], &targets[i]);
        }
        struct aggregate_view views[2];
        for (int side = 0; side < 2; side++) {
            for (uint32_t i = 299; i > 0; i--) { /* shuffle */
                uint32_t j = (uint32_t)rng_below(&r, i + 1);
                struct aggregate_target t = targets[i];
                targets[i] = targets[j];
                targets[j] = t;
            }
            uint32_t parts = 1 + (uint32_t)rng_below(&r, 10);
            struct aggregate whole = {0};
            assert_true(aggregate_init(&whole, &slab));
            for (uint32_t p = 0; p < parts; p++) {
                struct aggregate part = {0};
                assert_true(aggregate_init(&part, &slab));
                for (uint32_t i = p; i < 300; i += parts) {
                    aggregate_add_target(&part, &slab, &targets[i]);
                }
                struct aggregate_view v;
                static struct aggregate_scratch mine;
                aggregate_view(&part, &slab, &mine, &v);
                assert_adds_up(&v);
                assert_null(aggregate_view_check(&v, &mesh, unit_orchestrator(), true));
                aggregate_merge(&whole, &slab, &v);
                aggregate_done(&part, &slab);
            }
            aggregate_view(&whole, &slab, &scratch[side], &views[side]);
            assert_adds_up(&views[side]);
            if (views[side].other == 0) {
                aggregate_done(&whole, &slab);
                continue;
            }
            fail(); /* 20 kinds fit */
        }
        uint32_t shown = 0;
        for (uint32_t i = 0; i < views[0].group_count; i++) {
            for (uint32_t j = 0; j < views[0].groups[i].run_count; j++) {
                shown += views[0].groups[i].runs[j].last - views[0].groups[i].runs[j].first + 1;
            }
        }
        if (shown == 300) { /* all runs fitted: then all is equal */
            assert_same(&views[0], &views[1]);
            compared++;
        } else {
            assert_memory_equal(views[0].outcomes, views[1].outcomes, sizeof views[0].outcomes);
        }
        assert_int_equal(slab_left(&slab), CHUNKS);
    }
    assert_true(compared >= 30);
}

static void test_thirty_thousand_different_answers_stay_bounded(void **state)
{
    (void)state;
    struct aggregate root = {0};
    assert_true(aggregate_init(&root, &slab));
    for (uint32_t cluster = 0; cluster < 1000; cluster++) {
        struct aggregate lead = {0};
        assert_true(aggregate_init_wide(&lead, &slab));
        for (uint32_t i = 0; i < 30; i++) {
            uint8_t answer[ANSWER_BYTES_MAX];
            uint32_t agent = cluster * 30 + i;
            memset(answer, 7, sizeof answer);
            memcpy(answer, &agent, sizeof agent);
            struct aggregate_target t = {.agent = agent,
                                         .outcome = OUTCOME_READY,
                                         .answer = answer,
                                         .answer_bytes = 4 + agent % 1020};
            aggregate_add_target(&lead, &slab, &t);
        }
        assert_int_equal(lead.group_count, 30); /* a lead keeps all that its agents said */
        assert_int_equal(lead.other, 0);
        struct aggregate_view v;
        aggregate_view(&lead, &slab, &scratch[0], &v);
        assert_adds_up(&v);
        assert_null(aggregate_view_check(&v, &mesh,
                                         unit_cluster(1 + cluster / 10, 1 + cluster % 10), true));
        aggregate_merge(&root, &slab, &v);
        aggregate_done(&lead, &slab);
    }
    struct aggregate_view v;
    aggregate_view(&root, &slab, &scratch[0], &v);
    assert_adds_up(&v);
    assert_int_equal(v.targets, 30000);
    assert_true(v.other > 29000);
    assert_true(v.group_count > 3);
    aggregate_done(&root, &slab);
    assert_int_equal(slab_left(&slab), CHUNKS);
}

static void test_scattered_runs_are_bounded_and_never_lie(void **state)
{
    (void)state;
    struct aggregate a = {0};
    assert_true(aggregate_init(&a, &slab));
    for (uint32_t i = 0; i < 1000; i++) {
        struct aggregate_target t = target(i * 2, OUTCOME_READY, "ok");
        aggregate_add_target(&a, &slab, &t);
    }
    struct aggregate_view v;
    aggregate_view(&a, &slab, &scratch[0], &v);
    assert_int_equal(v.groups[0].count, 1000);
    assert_int_equal(v.groups[0].run_count, AGGREGATE_RUNS_MAX);
    for (uint32_t i = 0; i < AGGREGATE_RUNS_MAX; i++) {
        assert_int_equal(v.groups[0].runs[i].first % 2, 0);
        assert_int_equal(v.groups[0].runs[i].first, v.groups[0].runs[i].last);
    }
    assert_null(aggregate_view_check(&v, &mesh, unit_orchestrator(), true));
    aggregate_done(&a, &slab);
}

static void test_runs_of_all_groups_take_half_of_the_bytes_at_most(void **state)
{
    (void)state;
    struct aggregate a = {0};
    assert_true(aggregate_init(&a, &slab));
    for (uint32_t i = 0; i < 2000; i++) { /* 20 answers, 100 runs each */
        char text[2] = {(char)('a' + (char)(i % 20)), 0};
        struct aggregate_target t = target(i, OUTCOME_READY, text);
        aggregate_add_target(&a, &slab, &t);
    }
    struct aggregate_view v;
    aggregate_view(&a, &slab, &scratch[0], &v);
    assert_adds_up(&v);
    assert_int_equal(v.group_count, 20);
    assert_int_equal(v.other, 0);
    uint32_t runs_shown = 0;
    for (uint32_t i = 0; i < v.group_count; i++) {
        assert_int_equal(v.groups[i].count, 100);
        runs_shown += v.groups[i].run_count;
    }
    assert_int_equal(runs_shown, AGGREGATE_BYTES_MAX / 2 / sizeof(struct run));
    assert_null(aggregate_view_check(&v, &mesh, unit_orchestrator(), true));
    aggregate_done(&a, &slab);
    assert_int_equal(slab_left(&slab), CHUNKS);
}

static void test_short_slab_loses_groups_never_counts(void **state)
{
    (void)state;
    _Alignas(16) static uint8_t room[6 * SLAB_CHUNK_BYTES];
    memset(room, 0, sizeof room);
    struct slab s;
    slab_init(&s, room, 6);
    struct aggregate a = {0}, b = {0};
    assert_true(aggregate_init(&a, &s));
    assert_false(aggregate_init(&b, &s));
    struct rng r;
    rng_seed(&r, 3, 4);
    for (uint32_t i = 0; i < 200; i++) {
        struct aggregate_target t;
        char text[64];
        random_target(&r, i, 30, text, &t);
        aggregate_add_target(&a, &s, &t);
    }
    struct aggregate_view v;
    aggregate_view(&a, &s, &scratch[0], &v);
    assert_adds_up(&v);
    assert_int_equal(v.targets, 200);
    assert_true(v.group_count <= 2 && v.other > 0);
    assert_int_equal(histogram_total(v.arrival, ARRIVAL_BUCKETS), 200);
    assert_int_equal(histogram_total(v.release, ARRIVAL_BUCKETS), 200);
    assert_int_equal(histogram_total(v.lead_needed, LEAD_BUCKETS), 200);
    aggregate_done(&a, &s);
    assert_int_equal(slab_left(&s), 6);
}

static void test_groups_are_read_in_hash_order(void **state)
{
    (void)state;
    struct aggregate a = {0};
    assert_true(aggregate_init(&a, &slab));
    for (uint32_t i = 0; i < 50; i++) {
        char text[3] = {(char)('a' + (char)i % 26), (char)('a' + (char)(i / 26)), 0};
        struct aggregate_target t = target(i, OUTCOME_READY, text);
        aggregate_add_target(&a, &slab, &t);
    }
    uint32_t found = 0;
    uint64_t after = 0;
    struct answer_group g;
    while (aggregate_group_after(&a, &slab, found == 0, after, &scratch[0], &g)) {
        assert_true(found == 0 || g.hash > after);
        assert_int_equal(g.hash, aggregate_hash(g.outcome, g.reason, g.answer, g.answer_bytes));
        after = g.hash;
        found++;
    }
    assert_int_equal(found, 50);
    aggregate_done(&a, &slab);
}

/* --- views from outside ------------------------------------------------------------------------
 */

static struct aggregate_view good;
static struct answer_group groups[2];
static struct run runs[2] = {{0, 4}, {6, 9}};

static void good_view(void)
{
    groups[0] = (struct answer_group){.outcome = OUTCOME_READY,
                                      .count = 10,
                                      .run_count = 2,
                                      .runs = runs,
                                      .answer = (const uint8_t *)"ok",
                                      .answer_bytes = 2};
    groups[0].hash = aggregate_hash(OUTCOME_READY, REASON_NONE, groups[0].answer, 2);
    groups[1] =
        (struct answer_group){.outcome = OUTCOME_REFUSED, .reason = REASON_BREAKER, .count = 5};
    groups[1].hash = aggregate_hash(OUTCOME_REFUSED, REASON_BREAKER, NULL, 0);
    runs[0] = (struct run){0, 4};
    runs[1] = (struct run){6, 9};
    good = (struct aggregate_view){.targets = 20, .sent = 15, .group_count = 2, .groups = groups};
    good.outcomes[OUTCOME_READY] = 12;
    good.outcomes[OUTCOME_REFUSED] = 8;
    good.reasons[REASON_BREAKER] = 8;
    good.other = 5;
    good.clusters_reached = good.sectors_reached = 1;
}

static const char *check(void)
{
    return aggregate_view_check(&good, &mesh, unit_cluster(1, 1), true);
}

#define REFUSES(...)                                                                               \
    do {                                                                                           \
        good_view();                                                                               \
        assert_null(check());                                                                      \
        __VA_ARGS__;                                                                               \
        assert_non_null(check());                                                                  \
    } while (0)

static void test_hostile_views_are_refused(void **state)
{
    (void)state;
    REFUSES(good.targets = 21);
    REFUSES(good.targets = 19);
    REFUSES(good.outcomes[OUTCOME_READY]++);
    REFUSES(good.outcomes[OUTCOME_READY] = UINT32_MAX; good.outcomes[OUTCOME_FAILED] = 13);
    REFUSES(good.outcomes[OUTCOME_READY] = 11; good.outcomes[OUTCOME_PENDING] = 1);
    REFUSES(good.targets = 31; good.outcomes[OUTCOME_READY] = 23; good.other = 16);
    REFUSES(good.reasons[REASON_HANDLER] = 13);
    REFUSES(good.reasons[REASON_NONE] = 1);
    REFUSES(good.reasons[REASON_BREAKER] = 4);
    REFUSES(good.sent = 21);
    REFUSES(good.late = 21);
    REFUSES(good.resent = 21);
    REFUSES(good.hedge_wins = 1);
    REFUSES(good.hedged = 21);
    REFUSES(good.unexpected = 21);
    REFUSES(good.agents_reached = 21);
    REFUSES(good.window_hits = 1);
    REFUSES(good.window_eligible = 21);
    REFUSES(good.predicted_50ms = 1);
    REFUSES(good.predicted = 21);
    REFUSES(good.clusters_reached = 2);
    REFUSES(good.sectors_reached = 2);
    REFUSES(good.arrival[3] = 21);
    REFUSES(good.release[3] = 11; good.release[4] = 11);
    REFUSES(good.lead_needed[0] = UINT32_MAX);
    REFUSES(good.other = 6);
    REFUSES(good.group_count = AGGREGATE_GROUPS_MAX + 1);
    REFUSES(good.groups = NULL);
    REFUSES(groups[1] = groups[0]);
    REFUSES(groups[0].hash++);
    REFUSES(groups[0].outcome = OUTCOME_COUNT);
    REFUSES(groups[0].outcome = OUTCOME_PENDING);
    REFUSES(groups[0].reason = REASON_COUNT);
    REFUSES(groups[0].count = 0; good.other = 15);
    REFUSES(groups[0].count = 13; good.other = 2);
    REFUSES(groups[0].count = 8; good.other = 7); /* runs show 9 */
    REFUSES(groups[0].answer_bytes = ANSWER_BYTES_MAX + 1);
    REFUSES(groups[0].answer = NULL);
    REFUSES(groups[0].runs = NULL);
    REFUSES(groups[0].run_count = AGGREGATE_RUNS_MAX + 1);
    REFUSES(runs[1] = (struct run){9, 6});
    REFUSES(runs[1] = (struct run){4, 6});
    REFUSES(runs[1] = (struct run){30, 31}); /* another cluster's */
    REFUSES(runs[1] = (struct run){UINT32_MAX, UINT32_MAX});
    good_view();
    assert_non_null(aggregate_view_check(&good, &mesh, unit_cluster(1, 2), true));
    assert_non_null(aggregate_view_check(&good, &mesh, unit_cluster(101, 1), true));
    assert_non_null(aggregate_view_check(&good, &mesh, unit_cluster(0, 0), true));
    assert_non_null(aggregate_view_check(&good, &mesh, unit_agent(1, 1, 1), true));
    assert_non_null(aggregate_view_check(&good, &mesh, unit_cluster(1, 1), false));
    assert_null(aggregate_view_check(&good, &mesh, unit_sector(1), true));
    assert_null(aggregate_view_check(&good, &mesh, unit_orchestrator(), true));
}

/* Random damage to a view: either refused, or mergeable without a broken sum (asserts hold). */
static void test_damaged_views_never_corrupt(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 9, 9);
    uint32_t merged = 0;
    struct aggregate a = {0};
    assert_true(aggregate_init(&a, &slab));
    for (int i = 0; i < 20000; i++) {
        good_view();
        for (uint64_t n = 1 + rng_below(&r, 3); n > 0; n--) {
            uint32_t *fields = (uint32_t *)(void *)&good;
            size_t at = (size_t)rng_below(&r, offsetof(struct aggregate_view, group_count) / 4);
            fields[at] = (uint32_t)rng_below(&r, 22);
        }
        if (check() == NULL) {
            aggregate_merge(&a, &slab, &good);
            merged++;
        }
    }
    struct aggregate_view v;
    aggregate_view(&a, &slab, &scratch[0], &v);
    assert_adds_up(&v);
    assert_true(merged > 10);
    assert_int_equal(v.targets, merged * 20);
    aggregate_done(&a, &slab);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slab_gives_zeroed_distinct_chunks_lowest_first),
        cmocka_unit_test(test_slab_runs_lie_side_by_side),
        cmocka_unit_test(test_slab_keeps_its_promises),
        cmocka_unit_test(test_equal_answers_fold_into_groups_with_runs),
        cmocka_unit_test(test_predictions_count_within_50_ms),
        cmocka_unit_test(test_many_with_and_without_runs),
        cmocka_unit_test(test_long_answers_come_back_whole),
        cmocka_unit_test(test_any_order_of_merging_gives_the_same),
        cmocka_unit_test(test_thirty_thousand_different_answers_stay_bounded),
        cmocka_unit_test(test_scattered_runs_are_bounded_and_never_lie),
        cmocka_unit_test(test_runs_of_all_groups_take_half_of_the_bytes_at_most),
        cmocka_unit_test(test_short_slab_loses_groups_never_counts),
        cmocka_unit_test(test_groups_are_read_in_hash_order),
        cmocka_unit_test(test_hostile_views_are_refused),
        cmocka_unit_test(test_damaged_views_never_corrupt)};
    return cmocka_run_group_tests(tests, setup, teardown);
}
