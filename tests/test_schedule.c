/* Send schedules: never late, buckets, merging under hold, SKIP, resends. */
#include "core/histogram.h"
#include "core/node.h"
#include "core/rng.h"
#include "core/schedule.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MS     ((int64_t)US_PER_MS)
#define BUCKET (10 * MS)

static struct slab slab;
static _Alignas(16) uint8_t memory[4 * SLAB_CHUNK_BYTES];
static struct schedule s;
static const int64_t now = 1763720000ll * US_PER_S; /* mesh time is large */

static int setup(void **state)
{
    (void)state;
    memset(memory, 0, sizeof memory);
    slab_init(&slab, memory, 4);
    schedule_init(&s, now);
    return 0;
}

static enum schedule_verdict plan(uint32_t i, int64_t target_us, int64_t lead_us)
{
    return schedule_plan(&s, &slab, i, now, target_us, lead_us, BUCKET, NULL, NULL);
}

static void test_sends_at_t_minus_lead_in_buckets(void **state)
{
    (void)state;
    assert_int_equal(schedule_next_us(&s), NEVER);
    assert_int_equal(plan(0, now + 500 * MS, 101 * MS), SCHEDULE_SET);
    assert_int_equal(plan(1, now + 500 * MS, 110 * MS), SCHEDULE_SET);
    assert_int_equal(plan(63, now + 500 * MS, 111 * MS), SCHEDULE_SET);
    assert_int_equal(schedule_next_us(&s), now + 380 * MS);
    assert_int_equal(schedule_take(&s, &slab, now + 380 * MS - 1), 0);
    assert_int_equal(schedule_take(&s, &slab, now + 380 * MS), 1ull << 63);
    assert_int_equal(schedule_take(&s, &slab, now + 380 * MS), 0);
    assert_int_equal(schedule_take(&s, &slab, now + 390 * MS), 3); /* one bucket, one message */
    assert_int_equal(schedule_next_us(&s), NEVER);
    assert_int_equal(slab_left(&slab), 4);
}

static void test_too_late_is_skipped_with_what_it_needed(void **state)
{
    (void)state;
    int64_t need = 0, available = 0;
    assert_int_equal(
        schedule_plan(&s, &slab, 3, now, now + 100 * MS, 100 * MS + 1, BUCKET, &need, &available),
        SCHEDULE_SKIP);
    assert_int_equal(need, 100 * MS + 1);
    assert_int_equal(available, 100 * MS);
    assert_int_equal(schedule_next_us(&s), NEVER);
    /* Just in time: the bucket's border lies in the past, so at once. */
    assert_int_equal(plan(3, now + 105 * MS, 105 * MS), SCHEDULE_SET);
    assert_int_equal(schedule_next_us(&s), now);
    assert_int_equal(schedule_take(&s, &slab, now), 8);
    schedule_init(&s, now - 1000 * MS);
    plan(3, now + 105 * MS, 105 * MS);
    assert_int_equal(schedule_next_us(&s), now); /* not in the past */
    schedule_done(&s, &slab);
}

static void test_hold_merges_within_its_reach(void **state)
{
    (void)state;
    int64_t t = now + 1000 * MS;
    const int64_t leads[] = {200, 190, 160, 150, 140, 90};
    for (uint32_t i = 0; i < 6; i++) {
        plan(i, t, leads[i] * MS);
    }
    schedule_merge(&s, &slab, SCHEDULE_HOLD_US);
    assert_int_equal(schedule_due_us(&s, &slab, 1), t - 200 * MS);
    assert_int_equal(schedule_take(&s, &slab, t - 200 * MS), 0xf); /* 200 .. 150 */
    assert_int_equal(schedule_take(&s, &slab, t - 140 * MS), 0x30);
}

static void test_cancel_and_resend(void **state)
{
    (void)state;
    plan(0, now + 500 * MS, 100 * MS);
    plan(1, now + 500 * MS, 200 * MS);
    schedule_cancel(&s, &slab, 2);
    assert_int_equal(schedule_next_us(&s), now + 400 * MS);
    assert_int_equal(schedule_at(&s, &slab, 0, now + 700 * MS), SCHEDULE_SET); /* replaced */
    assert_int_equal(schedule_next_us(&s), now + 700 * MS);
    assert_int_equal(schedule_at(&s, &slab, 5, now - 1), SCHEDULE_SET); /* the past: now */
    assert_int_equal(schedule_next_us(&s), now);
    schedule_cancel(&s, &slab, UINT64_MAX);
    assert_int_equal(schedule_next_us(&s), NEVER);
    assert_int_equal(slab_left(&slab), 4);
    schedule_at(&s, &slab, 5, now + 10);
    schedule_done(&s, &slab);
    assert_int_equal(slab_left(&slab), 4);
    while (slab_alloc(&slab) != SLAB_NONE) {
    }
    assert_int_equal(schedule_at(&s, &slab, 5, now), SCHEDULE_FULL);
    assert_int_equal(schedule_next_us(&s), NEVER);
}

/* Each agent exactly once, never after T - lead, never a bucket and the hold too early. */
static void test_random_schedules(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 2, 2);
    for (int round = 0; round < 300; round++) {
        int64_t t = now + rng_range(&r, 0, 3000 * MS);
        int64_t hold = round % 2 == 0 ? 0 : SCHEDULE_HOLD_US;
        int64_t lead[64];
        uint64_t want = 0, got = 0;
        for (uint32_t i = 0; i < 64; i++) {
            lead[i] = rng_range(&r, 0, 2000 * MS);
            want |= (uint64_t)(plan(i, t, lead[i]) == SCHEDULE_SET) << i;
            assert_int_equal((want >> i & 1) != 0, t - lead[i] >= now);
        }
        schedule_merge(&s, &slab, hold);
        for (int64_t next; (next = schedule_next_us(&s)) != NEVER;) {
            uint64_t due = schedule_take(&s, &slab, next);
            assert_int_not_equal(due, 0);
            assert_int_equal(due & got, 0);
            got |= due;
            for (uint32_t i = 0; i < 64; i++) {
                if ((due >> i & 1) != 0) {
                    assert_true(next <= t - lead[i]);
                    assert_true(next >= now);
                    assert_true(next > t - lead[i] - BUCKET - hold - SCHEDULE_GRAIN_US);
                }
            }
        }
        assert_int_equal(got, want);
        assert_int_equal(slab_left(&slab), 4);
    }
}

static void test_choosing_t_from_the_lead_times(void **state)
{
    (void)state;
    uint32_t leads[LEAD_BUCKETS] = {0};
    assert_int_equal(schedule_choose_t(leads, 0.95, now, 30 * MS, 500 * MS), now + 530 * MS);
    lead_add(leads, 20 * MS, 95);
    lead_add(leads, 900 * MS, 5);
    int64_t t95 = schedule_choose_t(leads, 0.95, now, 30 * MS, 500 * MS);
    int64_t t99 = schedule_choose_t(leads, 0.99, now, 30 * MS, 500 * MS);
    assert_in_range(t95 - now, 50 * MS, 60 * MS);
    assert_in_range(t99 - now, 930 * MS, 1300 * MS);
}

static void test_early_by_how_many_are_meant(void **state)
{
    (void)state;
    struct topology topo;
    topology_default(30000, &topo);
    struct operation op = {.timing = TIMING_AT, .target_mesh_us = now + 10 * US_PER_S};
    const int64_t most = 30000 * SCHEDULE_SEND_US;
    int64_t least = most, farthest = 0;
    for (unsigned c = 1; c <= 10; c++) {
        int64_t us = schedule_early_us(&topo, &op, unit_cluster(7, c), 10 * US_PER_S);
        assert_int_equal(us, schedule_early_us(&topo, &op, unit_cluster(7, c), 10 * US_PER_S));
        least = us < least ? us : least;
        farthest = us > farthest ? us : farthest;
    }
    assert_true(least >= most / SCHEDULE_QUIET_PART && farthest <= most); /* quiet before T */
    assert_true(farthest - least > most / 4);                             /* not together */
    int64_t soon_us = schedule_early_us(&topo, &op, unit_cluster(7, 1), US_PER_S);
    assert_true(soon_us > 0 && soon_us <= US_PER_S / 4);
    assert_int_equal(schedule_early_us(&topo, &op, unit_cluster(7, 1), 0), 0);
    assert_int_equal(schedule_early_us(&topo, &op, unit_cluster(7, 1), -5), 0);
    op.selector.places.count = 1;
    op.selector.places.patterns[0] = (struct pattern){{7, 7}, {1, 1}, {1, 30}};
    assert_in_range(schedule_early_us(&topo, &op, unit_cluster(7, 1), 10 * US_PER_S), 1, 600);
    op.timing = TIMING_BY;
    assert_int_equal(schedule_early_us(&topo, &op, unit_cluster(7, 1), 10 * US_PER_S), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_sends_at_t_minus_lead_in_buckets, setup),
        cmocka_unit_test_setup(test_too_late_is_skipped_with_what_it_needed, setup),
        cmocka_unit_test_setup(test_hold_merges_within_its_reach, setup),
        cmocka_unit_test_setup(test_cancel_and_resend, setup),
        cmocka_unit_test_setup(test_random_schedules, setup),
        cmocka_unit_test_setup(test_early_by_how_many_are_meant, setup),
        cmocka_unit_test_setup(test_choosing_t_from_the_lead_times, setup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
