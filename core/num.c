/* Arithmetic without libm. Doubles are IEEE 754 binary64 and only + - * / and the square root are
 * used on them, in a fixed order, so every machine gets the same bits; exponents are taken apart as
 * integers. The series are short because the range is first reduced: log2 to a mantissa within
 * sqrt(1/2)..sqrt(2) (atanh series), exp2 to |x| <= 1/2 (Taylor). */
#include "core/num.h"

#include <assert.h>
#include <string.h>

#define MANTISSA_BITS 52u
#define LN2           0.693147180559945309417232121458
#define SQRT_2        1.414213562373095048801688724210

static uint64_t bits_of(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* 2 to the power e, e in -1022 .. 1023. */
static double power_of_2(int e)
{
    assert(e >= -1022 && e <= 1023);
    return double_of((uint64_t)(e + 1023) << MANTISSA_BITS);
}

/* x = mantissa * 2^*ret_e with a mantissa in [1, 2); x > 0 and finite. */
static double take_apart(double x, int *ret_e)
{
    int shift = 0;
    if (x < 2.2250738585072014e-308) { /* subnormal */
        x *= 18014398509481984.0;      /* 2^54 */
        shift = -54;
    }
    uint64_t bits = bits_of(x);
    *ret_e = (int)(bits >> MANTISSA_BITS) - 1023 + shift;
    return double_of((bits & ((1ull << MANTISSA_BITS) - 1u)) | 1023ull << MANTISSA_BITS);
}

double num_log2(double x)
{
    if (!(x > 0)) {
        return -1074;
    }
    if (x > 1.7976931348623157e308) {
        return 1024;
    }
    int e;
    double m = take_apart(x, &e);
    if (m > SQRT_2) {
        m *= 0.5;
        e++;
    }
    assert(m > 0.7 && m < 1.42);
    /* ln m = 2 atanh z, z = (m - 1) / (m + 1), |z| < 0.172: z^23 / 23 is below 1e-18. */
    double z = (m - 1) / (m + 1);
    double z2 = z * z;
    double sum = 0;
    for (int k = 21; k >= 1; k -= 2) {
        sum = sum * z2 + 1.0 / k;
    }
    return (double)e + 2 * z * sum / LN2;
}

double num_exp2(double x)
{
    if (!(x >= 0) && !(x < 0)) {
        return 1;
    }
    x = num_clamp(x, -1022, 1023);
    int whole = (int)(x < 0 ? x - 0.5 : x + 0.5);
    double t = (x - (double)whole) * LN2; /* |t| < 0.347: t^14 / 14! is below 1e-17 */
    assert(t > -0.35 && t < 0.35);
    double sum = 1;
    for (int k = 14; k >= 1; k--) {
        sum = 1 + sum * t / k;
    }
    return sum * power_of_2(whole);
}

double num_normal_quantile(double p)
{
    p = num_clamp(p, 1e-6, 1 - 1e-6);
    double tail = p < 0.5 ? p : 1 - p;
    assert(tail > 0 && tail <= 0.5);
    double t = num_sqrt(-2 * num_log2(tail) * LN2);
    double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                       (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    return p < 0.5 ? -z : z;
}

static uint64_t read_le64(const uint8_t *at, size_t len)
{
    uint64_t v = 0;
    for (size_t i = 0; i < len; i++) {
        v |= (uint64_t)at[i] << (8u * i);
    }
    return v;
}

/* Eight bytes, written so that a compiler makes one load of them. */
static uint64_t read_word(const uint8_t *at)
{
    return (uint64_t)at[0] | (uint64_t)at[1] << 8 | (uint64_t)at[2] << 16 | (uint64_t)at[3] << 24 |
           (uint64_t)at[4] << 32 | (uint64_t)at[5] << 40 | (uint64_t)at[6] << 48 |
           (uint64_t)at[7] << 56;
}

/* The finaliser of splitmix64. */
static uint64_t mix64(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

uint64_t num_hash64(const void *bytes, size_t len, uint64_t seed)
{
    assert(bytes != NULL || len == 0);
    const uint8_t *at = bytes;
    uint64_t h = mix64(seed + 0x9e3779b97f4a7c15u * ((uint64_t)len + 1u));
    size_t done = 0;
    for (; len - done >= 8; done += 8) {
        h = mix64(h ^ read_word(at + done)) + 0x9e3779b97f4a7c15u;
    }
    if (done < len) { /* the rest; of a longer text as the end of its last eight bytes */
        uint64_t rest = done == 0 ? read_le64(at, len)
                                  : read_word(at + len - 8) >> 8u * (8u - (unsigned)(len - done));
        h = mix64(h ^ rest) + 0x9e3779b97f4a7c15u;
    }
    assert(len - done < 8);
    return mix64(h);
}

bool num_id128_equal(struct id128 a, struct id128 b)
{
    return memcmp(a.bytes, b.bytes, sizeof a.bytes) == 0;
}

bool num_id128_zero(struct id128 a)
{
    static const struct id128 ZERO;
    return num_id128_equal(a, ZERO);
}

int num_id128_compare(struct id128 a, struct id128 b)
{
    int order = memcmp(a.bytes, b.bytes, sizeof a.bytes);
    return order < 0 ? -1 : (order > 0 ? 1 : 0);
}

struct id128 num_id128_from(int64_t mesh_us, struct rng *r)
{
    assert(r != NULL);
    assert(mesh_us >= 0);
    struct id128 id;
    uint64_t ms = (uint64_t)mesh_us / 1000u;
    uint64_t high = rng_u64(r);
    uint64_t low = rng_u64(r);
    for (unsigned i = 0; i < 6; i++) {
        id.bytes[i] = (uint8_t)(ms >> (40u - 8u * i));
    }
    id.bytes[6] = (uint8_t)(high >> 8);
    id.bytes[7] = (uint8_t)high;
    for (unsigned i = 0; i < 8; i++) {
        id.bytes[8 + i] = (uint8_t)(low >> (56u - 8u * i));
    }
    return id;
}

int64_t num_id128_ms(struct id128 id)
{
    int64_t ms = 0;
    for (unsigned i = 0; i < 6; i++) {
        ms = ms << 8 | id.bytes[i];
    }
    return ms;
}

uint64_t num_id128_low(struct id128 id)
{
    const uint8_t *b = id.bytes + 8; /* written out, compilers make it a load and a swap */
    return (uint64_t)b[0] << 56 | (uint64_t)b[1] << 48 | (uint64_t)b[2] << 40 |
           (uint64_t)b[3] << 32 | (uint64_t)b[4] << 24 | (uint64_t)b[5] << 16 |
           (uint64_t)b[6] << 8 | b[7];
}

/* Eight hex digits of v, the highest first: each to a byte of a word, then all at once to text. */
static void put_hex32(uint32_t v, char *at)
{
    uint64_t x = v;
    x = (x << 16 | x) & 0x0000ffff0000ffffu;
    x = (x << 8 | x) & 0x00ff00ff00ff00ffu;
    x = (x << 4 | x) & 0x0f0f0f0f0f0f0f0fu;
    uint64_t letters = (x + 0x0606060606060606u) >> 4 & 0x0101010101010101u; /* above 9 */
    x += 0x3030303030303030u + letters * ('a' - '9' - 1);
    at[0] = (char)(x >> 56); /* written out, compilers make it a swap and a store */
    at[1] = (char)(x >> 48);
    at[2] = (char)(x >> 40);
    at[3] = (char)(x >> 32);
    at[4] = (char)(x >> 24);
    at[5] = (char)(x >> 16);
    at[6] = (char)(x >> 8);
    at[7] = (char)x;
}

void num_format_hex(const uint8_t *bytes, size_t count, char *ret)
{
    assert(bytes != NULL && ret != NULL);
    static const char HEX[] = "0123456789abcdef";
    size_t i = 0;
    for (; i + 4 <= count; i += 4) {
        const uint8_t *b = bytes + i;
        put_hex32((uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3],
                  ret + 2 * i);
    }
    for (; i < count; i++) {
        ret[2 * i] = HEX[bytes[i] >> 4];
        ret[2 * i + 1] = HEX[bytes[i] & 15u];
    }
    ret[2 * count] = '\0';
}

void num_id128_format(struct id128 id, char ret[ID128_TEXT_MAX])
{
    assert(ret != NULL);
    num_format_hex(id.bytes, sizeof id.bytes, ret);
    assert(ret[ID128_TEXT_MAX - 1u] == '\0');
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

bool num_id128_parse(const char *text, size_t bytes, struct id128 *ret)
{
    assert(text != NULL || bytes == 0);
    assert(ret != NULL);
    struct id128 id = {{0}};
    if (bytes != 32) {
        return false;
    }
    for (unsigned i = 0; i < 32; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0) {
            return false;
        }
        id.bytes[i / 2] = (uint8_t)(id.bytes[i / 2] << 4 | digit);
    }
    *ret = id;
    return true;
}

/* The two digits of 0 to 99. */
static void put_two(char *at, unsigned v)
{
    unsigned ten = v * 103u >> 10; /* v / 10 for all of them */
    at[0] = (char)('0' + ten);
    at[1] = (char)('0' + (v - ten * 10u));
}

/* The lowest `count` digits of v. */
static void put_digits(char *at, size_t count, uint64_t v)
{
    for (; count >= 2; count -= 2, v /= 100u) {
        put_two(at + count - 2, (unsigned)(v % 100u));
    }
    if (count > 0) {
        at[0] = (char)('0' + v % 10u);
    }
}

size_t num_format_u64(uint64_t v, char ret[U64_TEXT_MAX])
{
    assert(ret != NULL);
    size_t count = 1;
    for (uint64_t ten = 10; v >= ten; count++) {
        if (ten > UINT64_MAX / 10u) {
            count++;
            break;
        }
        ten *= 10u;
    }
    assert(count < U64_TEXT_MAX);
    put_digits(ret, count, v);
    ret[count] = '\0';
    return count;
}

size_t num_format_scaled(uint64_t scaled, unsigned decimals, char ret[U64_TEXT_MAX + 1u])
{
    static const uint32_t UNITS[] = {1, 10, 100, 1000, 10000, 100000, 1000000};
    assert(ret != NULL);
    assert(decimals < sizeof(UNITS) / sizeof(UNITS[0]));
    uint64_t whole = decimals == 3 ? scaled / 1000u : scaled / UNITS[decimals];
    size_t count = num_format_u64(whole, ret);
    if (decimals > 0) {
        ret[count++] = '.';
        put_digits(ret + count, decimals, scaled - whole * UNITS[decimals]);
        count += decimals;
        ret[count] = '\0';
    }
    return count;
}

size_t num_format_i64(int64_t v, char ret[U64_TEXT_MAX])
{
    assert(ret != NULL);
    if (v >= 0) {
        return num_format_u64((uint64_t)v, ret);
    }
    char digits[U64_TEXT_MAX];
    size_t count = num_format_u64(0u - (uint64_t)v, digits); /* 19 digits at most */
    assert(count + 2u <= U64_TEXT_MAX);
    ret[0] = '-';
    memcpy(ret + 1, digits, count + 1u);
    return count + 1u;
}

void num_format_hex64(uint64_t v, char ret[HEX_TEXT_MAX])
{
    assert(ret != NULL);
    put_hex32((uint32_t)(v >> 32), ret);
    put_hex32((uint32_t)v, ret + 8);
    ret[HEX_TEXT_MAX - 1u] = '\0';
}

bool num_parse_u64(const char *text, size_t bytes, uint64_t *ret)
{
    assert(text != NULL || bytes == 0);
    assert(ret != NULL);
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return false;
        }
        uint64_t digit = (uint64_t)(text[i] - '0');
        if (v > (UINT64_MAX - digit) / 10u) {
            return false;
        }
        v = v * 10u + digit;
    }
    if (bytes == 0) {
        return false;
    }
    *ret = v;
    return true;
}

bool num_parse_hex64(const char *text, size_t bytes, uint64_t *ret)
{
    assert(text != NULL || bytes == 0);
    assert(ret != NULL);
    uint64_t v = 0;
    for (size_t i = 0; i < bytes; i++) {
        int digit = hex_digit(text[i]);
        if (digit < 0 || i >= 16) {
            return false;
        }
        v = v << 4 | (uint64_t)digit;
    }
    if (bytes == 0) {
        return false;
    }
    *ret = v;
    return true;
}
