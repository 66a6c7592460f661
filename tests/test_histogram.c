/* Buckets, quantiles and merging. */
#include "core/histogram.h"
#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_lead_buckets(void **state)
{
    (void)state;
    assert_int_equal(lead_bucket(INT64_MIN), 0);
    assert_int_equal(lead_bucket(0), 0);
    assert_int_equal(lead_bucket(1259), 0);
    assert_int_equal(lead_bucket(1260), 1);
    assert_int_equal(lead_bucket_end_us(2), 2000);
    assert_int_equal(lead_bucket_end_us(29), 1024000);
    assert_int_equal(lead_bucket_end_us(47), 65536000);
    assert_int_equal(lead_bucket(65535999), 47);
    assert_int_equal(lead_bucket(INT64_MAX), 47);
    for (unsigned i = 0; i < LEAD_BUCKETS; i++) {
        assert_int_equal(lead_bucket(lead_bucket_end_us(i) - 1), i);
        assert_true(i == 0 || lead_bucket(lead_bucket_end_us(i - 1)) == i);
        /* three an octave */
        assert_true(i < 3 || lead_bucket_end_us(i) - 2 * lead_bucket_end_us(i - 3) <= 1);
    }
}

static void test_arrival_buckets(void **state)
{
    (void)state;
    assert_int_equal(arrival_bucket(0), 48);
    assert_int_equal(arrival_bucket(-1), 47);
    assert_int_equal(arrival_bucket(INT64_MIN), 0);
    assert_int_equal(arrival_bucket(INT64_MAX), 95);
    assert_int_equal(arrival_bucket_end_us(50), 200);
    assert_int_equal(arrival_bucket_end_us(45), -200);
    struct rng r;
    rng_seed(&r, 1, 1);
    for (int i = 0; i < 10000; i++) {
        int64_t e = rng_range(&r, 1, 10000000);
        assert_int_equal(arrival_bucket(e) + arrival_bucket(-e), 95);
    }
}

static void test_quantiles(void **state)
{
    (void)state;
    uint32_t lead[LEAD_BUCKETS] = {0};
    assert_int_equal(lead_quantile(lead, 0.95), 0);
    for (int64_t ms = 1; ms <= 1000; ms++) {
        lead_add(lead, ms * 1000, 1);
    }
    assert_int_equal(histogram_total(lead, LEAD_BUCKETS), 1000);
    /* Rounded up to the bucket's end: at least the true one, a third of an octave more at most. */
    for (int q = 1; q <= 100; q++) {
        int64_t got = lead_quantile(lead, q / 100.0);
        assert_in_range(got, q * 10000, q * 12600 + 2000);
    }
    assert_int_equal(lead_quantile(lead, 0), lead_bucket_end_us(0));
    assert_true(lead_share(lead, lead_quantile(lead, 1)) > 0.999);
    assert_true(lead_share(lead, lead_quantile(lead, 0.5)) >= 0.5);
    assert_true(lead_share(lead, 0) < 0.001);

    uint32_t arrival[ARRIVAL_BUCKETS] = {0};
    arrival_add(arrival, -300000, 10);
    arrival_add(arrival, -50, 20);
    arrival_add(arrival, 50, 20);
    arrival_add(arrival, 300000, 10);
    assert_int_equal(arrival_quantile(arrival, 0.1), -258032 * 1);
    assert_int_equal(arrival_quantile(arrival, 0.4), 0);
    assert_int_equal(arrival_quantile(arrival, 0.6), 126);
    assert_int_equal(arrival_quantile(arrival, 1), 325100);
}

static void test_merge_is_adding(void **state)
{
    (void)state;
    uint32_t a[LEAD_BUCKETS] = {0};
    uint32_t b[LEAD_BUCKETS] = {0};
    uint32_t both[LEAD_BUCKETS] = {0};
    struct rng r;
    rng_seed(&r, 2, 2);
    for (int i = 0; i < 500; i++) {
        int64_t lead = rng_range(&r, 0, 100000000);
        uint32_t n = (uint32_t)rng_below(&r, 5);
        lead_add(i % 2 == 0 ? a : b, lead, n);
        lead_add(both, lead, n);
    }
    histogram_merge(a, b, LEAD_BUCKETS);
    assert_memory_equal(a, both, sizeof both);
    a[3] = UINT32_MAX - 1;
    b[3] = 5;
    histogram_merge(a, b, LEAD_BUCKETS);
    assert_int_equal(a[3], UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lead_buckets),
        cmocka_unit_test(test_arrival_buckets),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_merge_is_adding),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
