/* Gathering: every child answered for once, counts add up at every moment, room is bounded. */
#include "core/gather.h"
#include "core/node.h"
#include "core/num.h"
#include "core/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OPS      70u
#define CHILDREN 64u
#define CHUNKS   600u
#define USER     24u

static struct topology mesh;
static struct gather_table table;
static void *memory;
static struct rng rng;
static struct aggregate_scratch scratch;

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &mesh);
    size_t bytes = gather_table_bytes(OPS, CHILDREN, USER, CHUNKS);
    memory = aligned_alloc(16, bytes);
    memset(memory, 0, bytes);
    gather_table_init(&table, memory, OPS, CHILDREN, USER, CHUNKS, 60 * US_PER_S);
    rng_seed(&rng, 5, 6);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(memory);
    return 0;
}

static struct id128 new_id(void)
{
    return num_id128_from(1000000, &rng);
}

static struct gather *open_with(uint32_t children, uint32_t targets, int64_t deadline_us)
{
    struct id128 id = new_id();
    struct gather *g = NULL;
    assert_int_equal(gather_open(&table, &id, deadline_us, &g), GATHER_OK);
    for (uint32_t i = 0; i < children; i++) {
        gather_expect(&table, g, i, targets);
    }
    return g;
}

/* A view of `n` ready targets of child i (clusters of sector 1). */
static void ready_view(uint32_t child, uint32_t n, struct answer_group *group, struct run *run,
                       struct aggregate_view *ret)
{
    *run = (struct run){child * 30, child * 30 + n - 1};
    *group = (struct answer_group){.outcome = OUTCOME_READY,
                                   .hash = aggregate_hash(OUTCOME_READY, REASON_NONE, NULL, 0),
                                   .count = n,
                                   .run_count = 1,
                                   .runs = run};
    *ret = (struct aggregate_view){.targets = n, .sent = n, .group_count = 1, .groups = group};
    ret->outcomes[OUTCOME_READY] = n;
    ret->agents_reached = n;
    ret->clusters_reached = 1;
}

static enum gather_verdict answer(struct gather *g, uint32_t child, uint32_t n)
{
    struct answer_group group;
    struct run run;
    struct aggregate_view v;
    ready_view(child, n, &group, &run, &v);
    return gather_result(&table, g, child, &mesh, unit_cluster(1, child + 1), true, &v, NULL);
}

static enum gather_verdict progress(struct gather *g, uint32_t child, uint32_t ready, uint32_t of)
{
    struct aggregate_view v = {.targets = of, .sent = of};
    v.outcomes[OUTCOME_READY] = ready;
    v.outcomes[OUTCOME_PENDING] = of - ready;
    return gather_result(&table, g, child, &mesh, unit_cluster(1, child + 1), false, &v, NULL);
}

static void assert_progress(const struct gather *g, uint32_t targets, uint32_t ready,
                            uint32_t pending)
{
    struct aggregate_view v;
    gather_progress(&table, g, &v);
    assert_int_equal(v.targets, targets);
    assert_int_equal(v.outcomes[OUTCOME_READY], ready);
    assert_int_equal(v.outcomes[OUTCOME_PENDING], pending);
    assert_null(aggregate_view_check(&v, &mesh, unit_sector(1), false));
}

static void test_done_when_all_children_answered(void **state)
{
    (void)state;
    struct gather *g = open_with(3, 30, 5 * US_PER_S);
    assert_int_equal(gather_expected(&table, g, 1), 30);
    assert_progress(g, 90, 0, 90);
    assert_int_equal(answer(g, 0, 30), GATHER_OK);
    assert_int_equal(answer(g, 0, 30), GATHER_LATE); /* a repeat is not counted */
    assert_progress(g, 90, 30, 60);
    assert_int_equal(answer(g, 2, 29), GATHER_OK); /* the child knows better */
    assert_true(gather_waits_for(g, 1));
    assert_int_equal(answer(g, 1, 30), GATHER_DONE);
    assert_false(gather_waits_for(g, 1));
    struct aggregate_view v;
    aggregate_view(&g->aggregate, &table.slab, &scratch, &v);
    assert_int_equal(v.targets, 89);
    assert_int_equal(v.clusters_reached, 3);
    assert_int_equal(v.groups[0].run_count, 1); /* one unbroken range */
    assert_int_equal(g->late_results, 1);
}

static void test_strangers_and_invalid_views_change_nothing(void **state)
{
    (void)state;
    struct gather *g = open_with(2, 30, 5 * US_PER_S);
    assert_int_equal(answer(g, 2, 30), GATHER_STRANGER);
    struct aggregate_view v = {.targets = 5};
    const char *why = NULL;
    assert_int_equal(gather_result(&table, g, 0, &mesh, unit_cluster(1, 1), true, &v, &why),
                     GATHER_INVALID);
    assert_non_null(why);
    assert_progress(g, 60, 0, 60);
    /* A child may not speak for its sibling's agents. */
    struct answer_group group;
    struct run run;
    ready_view(1, 30, &group, &run, &v);
    assert_int_equal(gather_result(&table, g, 0, &mesh, unit_cluster(1, 1), true, &v, &why),
                     GATHER_INVALID);
    assert_int_equal(g->waiting_count, 2);
}

static void test_progress_replaces_former_progress(void **state)
{
    (void)state;
    struct gather *g = open_with(2, 30, 5 * US_PER_S);
    assert_int_equal(progress(g, 0, 10, 30), GATHER_PROGRESS);
    assert_progress(g, 60, 10, 50);
    assert_int_equal(progress(g, 0, 20, 30), GATHER_PROGRESS);
    assert_int_equal(progress(g, 1, 1, 28), GATHER_PROGRESS);
    assert_progress(g, 58, 21, 37);
    assert_int_equal(answer(g, 0, 30), GATHER_OK);
    assert_progress(g, 58, 31, 27);
    assert_int_equal(progress(g, 0, 5, 30), GATHER_LATE);
    assert_int_equal(
        gather_child_dead(&table, g, 1, OUTCOME_UNREACHABLE, REASON_CLUSTER_DOWN, NULL, 0),
        GATHER_DONE);
    assert_progress(g, 60, 30, 0); /* what a dead child last said does not count */
    gather_drop(&table, g);
    assert_int_equal(slab_left(&table.slab), CHUNKS);
}

static void test_deadline_answers_for_the_silent(void **state)
{
    (void)state;
    struct gather *g = open_with(4, 30, 5 * US_PER_S);
    answer(g, 3, 30);
    assert_int_equal(gather_next_us(&table), 5 * US_PER_S);
    assert_null(gather_due(&table, 5 * US_PER_S - 1));
    assert_ptr_equal(gather_due(&table, 5 * US_PER_S), g);
    gather_expire(&table, g, OUTCOME_UNREACHABLE, REASON_CLUSTER_DOWN);
    assert_int_equal(answer(g, 0, 30), GATHER_LATE);
    struct aggregate_view v;
    aggregate_view(&g->aggregate, &table.slab, &scratch, &v);
    assert_int_equal(v.targets, 120);
    assert_int_equal(v.outcomes[OUTCOME_UNREACHABLE], 90);
    assert_int_equal(v.reasons[REASON_CLUSTER_DOWN], 90);
    struct id128 id = g->id;
    gather_close(&table, g, 6 * US_PER_S);
    assert_int_equal(gather_next_us(&table), 66 * US_PER_S);
    assert_null(gather_due(&table, 66 * US_PER_S - 1));
    assert_ptr_equal(gather_find(&table, &id), g);
    assert_null(gather_due(&table, 66 * US_PER_S));
    assert_null(gather_find(&table, &id));
    assert_int_equal(gather_next_us(&table), NEVER);
    assert_int_equal(slab_left(&table.slab), CHUNKS);
}

static void test_slots_are_lowest_first_clean_and_limited(void **state)
{
    (void)state;
    struct gather *all[OPS];
    for (uint32_t i = 0; i < OPS; i++) {
        all[i] = open_with(2, 1, 10);
        assert_int_equal(all[i]->slot, i);
        memset(gather_user(&table, all[i]), 0xee, USER);
    }
    struct id128 id = new_id();
    struct gather *g = NULL;
    assert_int_equal(gather_open(&table, &id, 10, &g), GATHER_FULL_OPERATIONS);
    assert_null(g);
    assert_string_equal(gather_verdict_pool(GATHER_FULL_OPERATIONS), "operations");
    assert_int_equal(gather_open(&table, &all[7]->id, 10, &g), GATHER_DUPLICATE);
    assert_ptr_equal(g, all[7]);
    struct id128 old[3] = {all[5]->id, all[9]->id, all[6]->id};
    const uint32_t which[3] = {5, 9, 6};
    for (uint32_t i = 0; i < 3; i++) { /* closed one after the other */
        gather_expire(&table, all[which[i]], OUTCOME_CANCELLED, REASON_NONE);
        gather_close(&table, all[which[i]], 100 + i);
    }
    g = open_with(0, 0, 10);
    assert_int_equal(g->slot, 5); /* the oldest retained one gave way */
    assert_null(gather_find(&table, &old[0]));
    assert_non_null(gather_find(&table, &old[1]));
    static const uint8_t zeros[USER];
    assert_memory_equal(gather_user(&table, g), zeros, USER);
    assert_int_equal(answer(g, 0, 1), GATHER_STRANGER);
    gather_drop(&table, gather_find(&table, &old[2]));
    assert_int_equal(open_with(1, 1, 10)->slot, 6);
    uint32_t cursor = 0, open = 0;
    while (gather_each(&table, &cursor) != NULL) {
        open++;
    }
    assert_int_equal(open, OPS - 1); /* all but the retained one */
    assert_int_equal(table.waiting, OPS - 1);
}

static void test_bytes_are_a_pool_of_their_own(void **state)
{
    (void)state;
    struct gather_table small;
    size_t bytes = gather_table_bytes(8, 4, 0, 9);
    void *room = aligned_alloc(16, bytes);
    memset(room, 0, bytes);
    gather_table_init(&small, room, 8, 4, 0, 9, 1000);
    struct gather *a, *b, *c = NULL;
    struct id128 ids[3] = {new_id(), new_id(), new_id()};
    assert_int_equal(gather_open(&small, &ids[0], 10, &a), GATHER_OK);
    assert_int_equal(gather_open(&small, &ids[1], 10, &b), GATHER_OK);
    assert_int_equal(gather_open(&small, &ids[2], 10, &c), GATHER_FULL_BYTES);
    assert_string_equal(gather_verdict_pool(GATHER_FULL_BYTES), "aggregate-bytes");
    gather_close(&small, a, 5);
    assert_int_equal(gather_open(&small, &ids[2], 10, &c), GATHER_OK);
    assert_null(gather_find(&small, &ids[0]));
    free(room);
}

/* Random operations: at every moment targets == sum, and whatever is dropped gives all room back.
 */
static void test_random_operations_add_up(void **state)
{
    (void)state;
    struct gather *live[OPS] = {NULL};
    int64_t now = 1;
    for (int i = 0; i < 30000; i++) {
        now += (int64_t)rng_below(&rng, 200000);
        uint32_t which = (uint32_t)rng_below(&rng, OPS);
        uint32_t child = (uint32_t)rng_below(&rng, 10);
        if (live[which] == NULL) {
            struct id128 id = new_id();
            enum gather_verdict v = gather_open(&table, &id, now + 2 * US_PER_S, &live[which]);
            assert_true(v == GATHER_OK || v == GATHER_FULL_BYTES || v == GATHER_FULL_OPERATIONS);
            for (uint32_t c = 0; v == GATHER_OK && c < 10; c++) {
                gather_expect(&table, live[which], c, 30);
            }
            continue;
        }
        struct gather *g = live[which];
        enum gather_verdict v = GATHER_OK;
        uint64_t what = rng_below(&rng, 8);
        if (what < 3) {
            v = answer(g, child, 1 + (uint32_t)rng_below(&rng, 30));
        } else if (what < 6) {
            v = progress(g, child, (uint32_t)rng_below(&rng, 30), 30);
        } else if (what == 6) {
            v = gather_child_dead(&table, g, child, OUTCOME_UNREACHABLE, REASON_CLUSTER_DOWN, NULL,
                                  0);
        }
        struct aggregate_view view;
        gather_progress(&table, g, &view);
        assert_null(aggregate_view_check(&view, &mesh, unit_sector(1), false));
        if (v == GATHER_DONE) {
            gather_close(&table, g, now);
            live[which] = NULL;
        }
        for (struct gather *due; (due = gather_due(&table, now)) != NULL;) {
            gather_expire(&table, due, OUTCOME_UNREACHABLE, REASON_CLUSTER_DOWN);
            aggregate_view(&due->aggregate, &table.slab, &scratch, &view);
            assert_null(aggregate_view_check(&view, &mesh, unit_sector(1), true));
            gather_close(&table, due, now);
            for (uint32_t j = 0; j < OPS; j++) {
                live[j] = live[j] == due ? NULL : live[j];
            }
        }
        for (uint32_t j = 0; j < OPS; j++) {
            assert_true(live[j] == NULL || gather_find(&table, &live[j]->id) == live[j]);
        }
    }
    uint32_t cursor = 0;
    for (struct gather *g; (g = gather_each(&table, &cursor)) != NULL;) {
        gather_expire(&table, g, OUTCOME_CANCELLED, REASON_NONE);
        gather_close(&table, g, now);
    }
    assert_null(gather_due(&table, now + 61 * US_PER_S));
    assert_int_equal(table.live, 0);
    assert_int_equal(slab_left(&table.slab), CHUNKS);
}

static void test_slot_is_small(void **state)
{
    (void)state;
    /* 100 sectors x 2,048 operations, lazily touched: the issue of memory is decided here. */
    assert_true(table.slot_bytes <= 1229);
    assert_true(sizeof(struct aggregate) <= 216);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_done_when_all_children_answered, setup, teardown),
        cmocka_unit_test_setup_teardown(test_strangers_and_invalid_views_change_nothing, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_progress_replaces_former_progress, setup, teardown),
        cmocka_unit_test_setup_teardown(test_deadline_answers_for_the_silent, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slots_are_lowest_first_clean_and_limited, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_bytes_are_a_pool_of_their_own, setup, teardown),
        cmocka_unit_test_setup_teardown(test_random_operations_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_slot_is_small, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
