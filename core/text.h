/* A bounded string builder for core and tier logic, which have no stdio. The caller gives the
 * memory; the text is NUL-terminated after every call. What does not fit is cut off and `cut` is
 * set: a shortened report, never an overrun. */
#ifndef CORE_TEXT_H
#define CORE_TEXT_H

#include "core/unit.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
    char *at;    /* the text, NUL-terminated; borrowed from the caller */
    size_t size; /* of the memory, NUL included; 1 or more */
    size_t used; /* length without NUL */
    bool cut;    /* something did not fit */
};

void text_init(struct text *t, char *memory, size_t size);
void text_reset(struct text *t); /* empty again, not cut */

void text_add(struct text *t, const char *str);
void text_add_bytes(struct text *t, const char *bytes, size_t len);
/* Bytes of the printable UTF-8 character that begins here; 0: none does. Control characters are
 * none, nor what turns the order of a line around or has no width. */
size_t text_printable(const void *bytes, size_t left);
/* Bytes from outside: what is not printable becomes '.', byte by byte; safe in a terminal or a log.
 * Never cut within a character. */
void text_add_safe(struct text *t, const void *bytes, size_t len);
/* The same, but printable UTF-8 stays (core/utf8.h). */
void text_add_utf8(struct text *t, const void *bytes, size_t len);
void text_char(struct text *t, char c);
void text_u64(struct text *t, uint64_t v);
void text_i64(struct text *t, int64_t v);
void text_hex64(struct text *t, uint64_t v);      /* 16 digits */
void text_id128(struct text *t, struct id128 id); /* 32 digits */
void text_hex(struct text *t, const uint8_t *bytes, size_t len);
/* value with `decimals` (0 to 6) digits after the point, rounded half away from zero. Beyond +-1e12
 * it is shown as that bound; NaN as "nan". */
void text_fixed(struct text *t, double value, unsigned decimals);
/* Microseconds as milliseconds with `decimals` (0 to 3) digits: 1234567 -> "1234.6" with 1. */
void text_ms(struct text *t, int64_t us, unsigned decimals);
void text_time(struct text *t, int64_t unix_us); /* "2026-11-27T20:30:00.000Z" */
#define TIME_TEXT_MAX 32u
/* The same alone; returns its length, without NUL. */
size_t text_time_format(int64_t unix_us, char ret[TIME_TEXT_MAX]);
void text_two_digits(struct text *t, uint64_t v); /* with a 0 before it below 10 */
void text_unit(struct text *t, struct unit u);    /* as unit_format (core/topology.h) */
/* Agents of a cluster, bit number - 1 each, one or more: "s01.c1.a[31-34,36]". */
void text_places(struct text *t, struct unit cluster, uint64_t places);
/* Spaces until the text is `column` long (counted from `from`, a value of `used` at the line's
 * start). Nothing when it is already. */
void text_pad(struct text *t, size_t from, size_t column);

#endif
