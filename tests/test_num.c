/* Numbers, random numbers and text without libm and stdio. Golden values pin the bits: they must
 * not differ between machines, compilers or versions. */
#include "core/num.h"
#include "core/rng.h"
#include "core/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* From gcc -O0, gcc -O3 and clang -O2, which agree. */
#define GOLDEN_NUM  0xadf13cc647ccc668ull
#define GOLDEN_RNG  0x24bfb39aeb008c15ull
#define GOLDEN_HASH 0xc6d5ca552b3f3481ull

static double relative(double got, double want)
{
    double d = (got - want) / want;
    return d < 0 ? -d : d;
}

static void test_sqrt(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 1, 1);
    for (int i = 0; i < 20000; i++) {
        double x = (rng_unit(&r) + 1e-9) * num_exp2((double)rng_range(&r, -300, 300));
        double y = num_sqrt(x);
        assert_true(relative(y * y, x) < 1e-15);
    }
    assert_true(num_sqrt(4) == 2);
    assert_true(num_sqrt(144) == 12);
    assert_true(num_sqrt(2) == 1.4142135623730951);
    assert_true(num_sqrt(0) == 0 && num_sqrt(-1) == 0);
}

static void test_log_and_exp(void **state)
{
    (void)state;
    assert_true(num_log2(1) == 0);
    assert_true(num_log2(1024) == 10);
    assert_true(num_exp2(10) == 1024);
    assert_true(num_exp2(-1) == 0.5);
    assert_true(relative(num_log2(10), 3.3219280948873623) < 1e-14);
    assert_true(relative(num_exp2(0.5), 1.4142135623730951) < 1e-14);
    struct rng r;
    rng_seed(&r, 2, 1);
    for (int i = 0; i < 20000; i++) {
        double x = rng_unit(&r) * 2000 - 1000;
        double d = num_log2(num_exp2(x)) - x;
        assert_true(d < 1e-12 && d > -1e-12);
    }
    assert_true(num_log2(0) == -1074 && num_log2(-5) == -1074);
    assert_true(num_exp2(-5000) > 0 && num_exp2(5000) == num_exp2(1023));
}

static void test_normal_quantile(void **state)
{
    (void)state;
    assert_true(relative(num_normal_quantile(0.95), 1.6448536) < 5e-4);
    assert_true(relative(num_normal_quantile(0.999), 3.0902323) < 5e-4);
    assert_true(num_normal_quantile(0.25) == -num_normal_quantile(0.75));
}

static void test_golden_bits(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 42, 7);
    uint64_t all = 0;
    for (int i = 0; i < 1000; i++) {
        double x = rng_unit(&r) * 1000 + 0.001;
        double v[3] = {num_sqrt(x), num_log2(x), num_exp2(x / 10)};
        all = num_hash64(v, sizeof v, all);
    }
    assert_int_equal(all, GOLDEN_NUM);
    rng_seed(&r, 42, 7);
    assert_int_equal(rng_u64(&r), GOLDEN_RNG);
    assert_int_equal(num_hash64("mesh", 4, 0), GOLDEN_HASH);
}

static void test_hash(void **state)
{
    (void)state;
    uint8_t bytes[40] = {0};
    uint64_t base = num_hash64(bytes, sizeof bytes, 0);
    for (unsigned bit = 0; bit < sizeof bytes * 8u; bit++) {
        bytes[bit / 8u] = (uint8_t)(1u << bit % 8u);
        uint64_t differ = base ^ num_hash64(bytes, sizeof bytes, 0);
        unsigned count = 0;
        for (; differ != 0; differ &= differ - 1u) {
            count++;
        }
        assert_in_range(count, 12, 52);
        bytes[bit / 8u] = 0;
    }
    assert_true(num_hash64(bytes, 8, 0) != num_hash64(bytes, 9, 0));
    assert_true(num_hash64(bytes, 8, 0) != num_hash64(bytes, 8, 1));
    assert_true(num_hash64(NULL, 0, 0) != num_hash64(bytes, 1, 0));
}

static void test_rng(void **state)
{
    (void)state;
    struct rng a, b, c;
    rng_seed(&a, 5, 1);
    rng_seed(&b, 5, 1);
    rng_seed(&c, 5, 2);
    unsigned same = 0;
    unsigned counts[6] = {0};
    for (int i = 0; i < 6000; i++) {
        uint64_t x = rng_u64(&a);
        assert_int_equal(x, rng_u64(&b));
        same += x == rng_u64(&c) ? 1u : 0u;
        counts[rng_range(&a, -3, 2) + 3]++;
        (void)rng_range(&b, -3, 2);
        double u = rng_unit(&c);
        assert_true(u >= 0 && u < 1);
        int64_t j = rng_jitter_us(&c, 1000000, 200);
        assert_in_range(j, 800000, 1200000);
    }
    assert_int_equal(same, 0);
    for (int i = 0; i < 6; i++) {
        assert_in_range(counts[i], 850, 1150);
    }
    assert_int_equal(rng_jitter_us(&c, 0, 1000), 0);
    assert_int_equal(rng_below(&c, 1), 0);
    assert_int_equal(rng_range(&c, INT64_MIN, INT64_MIN), INT64_MIN);
    bool negative = false;
    bool positive = false;
    for (int i = 0; i < 100; i++) {
        int64_t x = rng_range(&c, INT64_MIN, INT64_MAX);
        negative = negative || x < 0;
        positive = positive || x > 0;
    }
    assert_true(negative && positive);
}

static void test_id128(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 3, 3);
    struct id128 a = num_id128_from(1795257600123456, &r);
    struct id128 b = num_id128_from(1795257600124456, &r);
    assert_int_equal(num_id128_ms(a), 1795257600123);
    assert_int_equal(num_id128_compare(a, b), -1);
    assert_int_equal(num_id128_compare(b, a), 1);
    assert_true(num_id128_equal(a, a) && !num_id128_equal(a, b));
    assert_false(num_id128_zero(a));
    assert_true(num_id128_low(a) != num_id128_low(b));
    char hex[ID128_TEXT_MAX];
    num_id128_format(a, hex);
    assert_int_equal(strlen(hex), 32);
    struct id128 back;
    assert_true(num_id128_parse(hex, 32, &back) && num_id128_equal(a, back));
    assert_false(num_id128_parse(hex, 31, &back));
    hex[5] = 'g';
    assert_false(num_id128_parse(hex, 32, &back));
    assert_true(num_id128_equal(a, back)); /* untouched by the failure */
}

static void test_formats(void **state)
{
    (void)state;
    char digits[U64_TEXT_MAX];
    assert_int_equal(num_format_u64(UINT64_MAX, digits), 20);
    assert_string_equal(digits, "18446744073709551615");
    assert_int_equal(num_format_i64(INT64_MIN, digits), 20);
    assert_string_equal(digits, "-9223372036854775808");
    num_format_u64(0, digits);
    assert_string_equal(digits, "0");
    uint64_t v = 7;
    assert_true(num_parse_u64("18446744073709551615", 20, &v) && v == UINT64_MAX);
    v = 7;
    assert_false(num_parse_u64("18446744073709551616", 20, &v));
    assert_false(num_parse_u64("", 0, &v) || num_parse_u64("1x", 2, &v) ||
                 num_parse_u64("-1", 2, &v));
    assert_int_equal(v, 7);
    char hex[HEX_TEXT_MAX];
    char scaled[U64_TEXT_MAX + 1u];
    assert_int_equal(num_format_scaled(1234567, 3, scaled), 8);
    assert_string_equal(scaled, "1234.567");
    num_format_scaled(7, 3, scaled);
    assert_string_equal(scaled, "0.007");
    num_format_scaled(42, 0, scaled);
    assert_string_equal(scaled, "42");
    num_format_scaled(UINT64_MAX, 6, scaled);
    assert_string_equal(scaled, "18446744073709.551615");
    const uint8_t bytes[] = {0x00, 0x9a, 0xff, 0x10, 0xa9, 0x0f};
    char digits_of[2 * sizeof bytes + 1u];
    num_format_hex(bytes, sizeof bytes, digits_of);
    assert_string_equal(digits_of, "009aff10a90f");
    num_format_hex(bytes, 1, digits_of);
    assert_string_equal(digits_of, "00");
    uint64_t ten = 1;
    for (size_t count = 1; count < U64_TEXT_MAX; count++, ten *= 10u) {
        assert_int_equal(num_format_u64(ten, digits), count);
        assert_int_equal(digits[0], '1');
        assert_int_equal(strspn(digits + 1, "0"), count - 1u);
    }
    num_format_hex64(0xabc, hex);
    assert_string_equal(hex, "0000000000000abc");
    assert_true(num_parse_hex64("ABC", 3, &v) && v == 0xabc);
    assert_false(num_parse_hex64("12345678123456781", 17, &v));
}

static void test_text(void **state)
{
    (void)state;
    char memory[64];
    struct text t;
    text_init(&t, memory, sizeof memory);
    text_add(&t, "x=");
    text_i64(&t, -5);
    text_char(&t, ' ');
    text_fixed(&t, 2.345678, 2);
    text_char(&t, ' ');
    text_fixed(&t, -0.004, 2);
    text_char(&t, ' ');
    text_fixed(&t, 0.95, 0);
    text_char(&t, ' ');
    text_ms(&t, 1234567, 1);
    text_char(&t, ' ');
    text_ms(&t, -1999, 3);
    text_pad(&t, 0, 40);
    text_unit(&t, unit_agent(7, 3, 12));
    assert_string_equal(memory, "x=-5 2.35 0.00 1 1234.6 -1.999          s07.c3.a12");
    assert_int_equal(t.used, strlen(memory));
    assert_false(t.cut);
    text_reset(&t);
    text_add_safe(&t, "a\033[1m\n\377z", 8);
    assert_string_equal(memory, "a.[1m..z");
    text_reset(&t);
    /* Letters of any script are kept; what turns a line around, and halves of letters, are not. */
    text_add_safe(&t, "gr\xc3\xbc\xc3\x9f \xe2\x80\xae\xe4\xbd\xa0\xe4\xbd", 15);
    assert_string_equal(memory, "gr\xc3\xbc\xc3\x9f ...\xe4\xbd\xa0..");
    text_reset(&t);
    double zero = 0;
    text_fixed(&t, zero / zero, 3);
    text_fixed(&t, 1e300, 0);
    assert_string_equal(memory, "nan1000000000000");
}

static void test_text_is_cut(void **state)
{
    (void)state;
    for (size_t size = 1; size < 12; size++) {
        char memory[16];
        memset(memory, '#', sizeof memory);
        struct text t;
        text_init(&t, memory, size);
        text_add(&t, "hello");
        text_u64(&t, 123456);
        assert_int_equal(t.cut, size < 12);
        assert_int_equal(strlen(memory), size - 1u);
        assert_memory_equal(memory, "hello123456", size - 1u);
        assert_int_equal(memory[size], '#');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sqrt),
        cmocka_unit_test(test_log_and_exp),
        cmocka_unit_test(test_normal_quantile),
        cmocka_unit_test(test_golden_bits),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_rng),
        cmocka_unit_test(test_id128),
        cmocka_unit_test(test_formats),
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_text_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
