/* Numbers without libm and stdio: roots and logarithms that are bit-equal everywhere (only + - * /
 * and the square root on doubles), a stable 64-bit hash, 128-bit names, and numbers as text. */
#ifndef CORE_NUM_H
#define CORE_NUM_H

#include "core/rng.h"
#include "core/unit.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Square root of x >= 0 (negative or NaN: 0), rounded to nearest as IEEE 754 demands: an
 * instruction on every machine, given -fno-math-errno, and never a call. */
static inline double num_sqrt(double x)
{
    return x > 0 ? __builtin_sqrt(x) : 0;
}

/* Logarithm to base 2 of x > 0, absolute error below 1e-12. x <= 0 or NaN: -1074. */
double num_log2(double x);

/* 2 to the power of x, relative error below 1e-12. x is held within -1022 .. 1023; NaN: 1. */
double num_exp2(double x);

/* A quantile of the standard normal distribution, p held within 1e-6 .. 1 - 1e-6; absolute error
 * below 5e-4 (Abramowitz and Stegun 26.2.23). */
double num_normal_quantile(double p);

static inline double num_clamp(double x, double lo, double hi)
{
    return x >= lo ? (x <= hi ? x : hi) : lo; /* NaN: lo */
}
static inline int64_t num_clamp_i64(int64_t x, int64_t lo, int64_t hi)
{
    return x < lo ? lo : (x > hi ? hi : x);
}

/* Of the ones in a mask. lowest: mask != 0. */
static inline uint32_t num_lowest_bit(uint64_t mask)
{
    return (uint32_t)__builtin_ctzll(mask); /* an instruction everywhere, never a call */
}
static inline uint32_t num_highest_bit(uint64_t mask) /* not 0, either */
{
    return 63u - (uint32_t)__builtin_clzll(mask);
}
static inline uint32_t num_bits(uint64_t mask)
{
    mask -= mask >> 1 & 0x5555555555555555u;
    mask = (mask & 0x3333333333333333u) + (mask >> 2 & 0x3333333333333333u);
    mask = (mask + (mask >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (uint32_t)(mask * 0x0101010101010101u >> 56);
}

/* Stable across machines and versions (it orders pages of answers), well mixed, not secret. */
uint64_t num_hash64(const void *bytes, size_t len, uint64_t seed);

bool num_id128_equal(struct id128 a, struct id128 b);
bool num_id128_zero(struct id128 a);
/* memcmp order: -1, 0, 1. By time first, for ids from num_id128_from. */
int num_id128_compare(struct id128 a, struct id128 b);
/* 48 bits of mesh milliseconds (big endian, so that bytes sort by time), then 80 random bits. */
struct id128 num_id128_from(int64_t mesh_us, struct rng *r);
/* The mesh milliseconds of such an id. */
int64_t num_id128_ms(struct id128 id);
/* The low 64 bits: random, for hash tables and as the number of an operation in notes. */
uint64_t num_id128_low(struct id128 id);

#define ID128_TEXT_MAX 33u
/* 32 lower case hex digits and NUL. */
void num_id128_format(struct id128 id, char ret[ID128_TEXT_MAX]);
/* Exactly 32 hex digits of any case. False, ret untouched, when not. */
bool num_id128_parse(const char *text, size_t bytes, struct id128 *ret);

#define U64_TEXT_MAX 21u
#define HEX_TEXT_MAX 17u
/* Decimal digits and NUL; return the length. */
size_t num_format_u64(uint64_t v, char ret[U64_TEXT_MAX]);
size_t num_format_i64(int64_t v, char ret[U64_TEXT_MAX]);
/* A number of units of 10^-decimals (0 to 6), with a point: 1234, 3 -> "1.234". */
size_t num_format_scaled(uint64_t scaled, unsigned decimals, char ret[U64_TEXT_MAX + 1u]);
/* Two lower case hex digits a byte, and NUL: 2 * count + 1 bytes at ret. */
void num_format_hex(const uint8_t *bytes, size_t count, char *ret);
/* Exactly 16 lower case hex digits and NUL (uids). */
void num_format_hex64(uint64_t v, char ret[HEX_TEXT_MAX]);
/* Digits only, whole text, no overflow; false and ret untouched otherwise. */
bool num_parse_u64(const char *text, size_t bytes, uint64_t *ret);
/* 1 to 16 hex digits, whole text. */
bool num_parse_hex64(const char *text, size_t bytes, uint64_t *ret);

#endif
