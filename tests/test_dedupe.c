/* Seen ids: once within their time, never evicted alive, room comes back. */
#include "core/dedupe.h"
#include "core/num.h"
#include "core/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 64u
#define FULL 48u

static struct dedupe_entry rows[SIZE];
static struct dedupe d;
static struct rng rng;

static int setup(void **state)
{
    (void)state;
    memset(rows, 0, sizeof rows);
    dedupe_init(&d, rows, SIZE);
    rng_seed(&rng, 8, 8);
    return 0;
}

static void test_once_until_it_expires(void **state)
{
    (void)state;
    struct id128 id = num_id128_from(5, &rng);
    assert_false(dedupe_seen(&d, &id, 1));
    assert_int_equal(dedupe_add(&d, &id, 1, 100), DEDUPE_NEW);
    assert_int_equal(dedupe_add(&d, &id, 50, 1000), DEDUPE_SEEN);
    assert_true(dedupe_seen(&d, &id, 99));
    assert_false(dedupe_seen(&d, &id, 100));
    assert_int_equal(dedupe_add(&d, &id, 100, 200), DEDUPE_NEW);
    assert_int_equal(d.count, 1);
    dedupe_forget(&d, &id);
    assert_int_equal(d.count, 0);
    assert_int_equal(dedupe_add(&d, &id, 101, 200), DEDUPE_NEW);
}

static void test_full_of_live_ids_refuses(void **state)
{
    (void)state;
    struct id128 ids[FULL];
    for (uint32_t i = 0; i < FULL; i++) {
        ids[i] = num_id128_from(i, &rng);
        assert_int_equal(dedupe_add(&d, &ids[i], 1, 100 + i), DEDUPE_NEW);
    }
    struct id128 more = num_id128_from(99, &rng);
    assert_int_equal(dedupe_add(&d, &more, 99, 500), DEDUPE_FULL);
    assert_false(dedupe_seen(&d, &more, 99));
    for (uint32_t i = 0; i < FULL; i++) {
        assert_int_equal(dedupe_add(&d, &ids[i], 99, 500), DEDUPE_SEEN);
    }
    assert_int_equal(dedupe_add(&d, &more, 100, 500), DEDUPE_NEW); /* the first has expired */
    for (uint32_t i = 1; i < FULL; i++) {
        assert_true(dedupe_seen(&d, &ids[i], 100));
    }
}

static void test_a_sweep_leaves_only_the_living(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < FULL; i++) {
        struct id128 id = num_id128_from(i, &rng);
        dedupe_add(&d, &id, 1, 100);
    }
    uint32_t added = 0;
    while (d.count == FULL) { /* until one falls on a place that is free: that sweeps */
        struct id128 id = num_id128_from(added, &rng);
        assert_int_equal(dedupe_add(&d, &id, 100, 500), DEDUPE_NEW);
        assert_true(++added < FULL);
    }
    assert_int_equal(d.count, added);
}

/* Against a plain list, with many expiries and forgets. */
static void test_agrees_with_a_list(void **state)
{
    (void)state;
    struct id128 ids[100];
    int64_t expires[100] = {0};
    uint32_t verdicts[3] = {0};
    for (uint32_t i = 0; i < 100; i++) {
        ids[i] = num_id128_from(i, &rng);
    }
    for (int64_t now = 1; now < 60000; now++) {
        uint32_t i = (uint32_t)rng_below(&rng, 100);
        uint32_t live = 0;
        for (uint32_t j = 0; j < 100; j++) {
            live += expires[j] > now;
        }
        if (rng_below(&rng, 10) == 0) {
            dedupe_forget(&d, &ids[i]);
            expires[i] = 0;
        } else {
            int64_t until = now + 1 + (int64_t)rng_below(&rng, 150);
            enum dedupe_verdict v = dedupe_add(&d, &ids[i], now, until);
            verdicts[v]++;
            if (expires[i] > now) {
                assert_int_equal(v, DEDUPE_SEEN);
            } else if (live < FULL) {
                assert_int_equal(v, DEDUPE_NEW);
            }
            expires[i] = v == DEDUPE_NEW ? until : expires[i];
        }
        uint32_t k = (uint32_t)rng_below(&rng, 100);
        assert_int_equal(dedupe_seen(&d, &ids[k], now), expires[k] > now);
        assert_true(d.count <= FULL);
    }
    assert_true(verdicts[DEDUPE_NEW] > 1000 && verdicts[DEDUPE_SEEN] > 1000);
    assert_true(verdicts[DEDUPE_FULL] > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_once_until_it_expires, setup),
        cmocka_unit_test_setup(test_full_of_live_ids_refuses, setup),
        cmocka_unit_test_setup(test_a_sweep_leaves_only_the_living, setup),
        cmocka_unit_test_setup(test_agrees_with_a_list, setup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
