/* The bounded string builder. Every addition goes through one function that copies what fits and
 * remembers that something was cut; so no caller has to count. O(length) in all. */
#include "core/text.h"
#include "core/limits.h"
#include "core/num.h"
#include "core/utf8.h"

#include <assert.h>
#include <string.h>

#define FIXED_MAX    1e12
#define DECIMALS_MAX 6u
#define HEX_STEP     32u /* bytes turned to digits at a time */

void text_init(struct text *t, char *memory, size_t size)
{
    assert(t != NULL);
    assert(memory != NULL && size >= 1);
    *t = (struct text){.at = memory, .size = size};
    memory[0] = '\0';
}

void text_reset(struct text *t)
{
    assert(t != NULL);
    assert(t->at != NULL);
    text_init(t, t->at, t->size);
}

void text_add_bytes(struct text *t, const char *bytes, size_t len)
{
    assert(t != NULL && t->used < t->size);
    assert(bytes != NULL || len == 0);
    size_t room = t->size - 1u - t->used;
    if (len > room) {
        len = room;
        t->cut = true;
    }
    if (len > 0) {
        memcpy(t->at + t->used, bytes, len);
    }
    t->used += len;
    t->at[t->used] = '\0';
}

void text_add(struct text *t, const char *str)
{
    assert(t != NULL);
    assert(str != NULL);
    text_add_bytes(t, str, strlen(str));
}

void text_char(struct text *t, char c)
{
    assert(t != NULL);
    assert(c != '\0');
    assert(t->used < t->size);
    if (t->used + 1u == t->size) {
        t->cut = true;
        return;
    }
    t->at[t->used++] = c;
    t->at[t->used] = '\0';
}

size_t text_printable(const void *bytes, size_t left)
{
    const unsigned char *at = bytes;
    assert(bytes != NULL && left > 0);
    if (at[0] < 0x80) {
        return at[0] >= 0x20 && at[0] != 0x7f ? 1 : 0;
    }
    size_t n = at[0] >= 0xf0 && at[0] < 0xf5 ? 4 : at[0] >= 0xe0 ? 3 : at[0] >= 0xc2 ? 2 : 0;
    if (n == 0 || at[0] >= 0xf5 || n > left) {
        return 0;
    }
    uint32_t c = at[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0u) != 0x80) {
            return 0;
        }
        c = c << 6 | (at[i] & 0x3fu);
    }
    bool least = c >= (n == 2 ? 0xa0u : n == 3 ? 0x800u : 0x10000u) && c <= 0x10ffff;
    bool order = (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
                 (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0x061c;
    return least && !order && !(c >= 0xd800 && c <= 0xdfff) ? n : 0;
}

void text_add_safe(struct text *t, const void *bytes, size_t len)
{
    assert(t != NULL);
    assert(bytes != NULL || len == 0);
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len && !t->cut;) {
        size_t n = text_printable(at + i, len - i);
        if (n <= 1) {
            text_char(t, n == 1 ? (char)at[i] : '.');
        } else if (t->used + n < t->size) {
            text_add_bytes(t, (const char *)at + i, n);
        } else {
            t->cut = true;
        }
        i += n > 0 ? n : 1;
    }
}

void text_add_utf8(struct text *t, const void *bytes, size_t len)
{
    assert(t != NULL);
    assert(bytes != NULL || len == 0);
    const unsigned char *at = bytes;
    for (size_t i = 0; i < len && !t->cut;) {
        size_t n = utf8_printable(at + i, len - i);
        if (n > 0 && t->used + n < t->size) {
            text_add_bytes(t, (const char *)at + i, n);
        } else {
            text_add_safe(t, at + i, 1);
        }
        i += n > 0 ? n : 1;
    }
}

void text_u64(struct text *t, uint64_t v)
{
    char digits[U64_TEXT_MAX];
    text_add_bytes(t, digits, num_format_u64(v, digits));
}

void text_i64(struct text *t, int64_t v)
{
    char digits[U64_TEXT_MAX];
    text_add_bytes(t, digits, num_format_i64(v, digits));
}

void text_hex64(struct text *t, uint64_t v)
{
    char digits[HEX_TEXT_MAX];
    num_format_hex64(v, digits);
    text_add_bytes(t, digits, HEX_TEXT_MAX - 1u);
}

void text_id128(struct text *t, struct id128 id)
{
    char digits[ID128_TEXT_MAX];
    num_id128_format(id, digits);
    text_add_bytes(t, digits, ID128_TEXT_MAX - 1u);
}

void text_hex(struct text *t, const uint8_t *bytes, size_t len)
{
    assert(t != NULL);
    assert(bytes != NULL || len == 0);
    char digits[2 * HEX_STEP + 1u];
    for (size_t i = 0; i < len && !t->cut; i += HEX_STEP) {
        size_t count = len - i < HEX_STEP ? len - i : HEX_STEP;
        num_format_hex(bytes + i, count, digits);
        text_add_bytes(t, digits, 2 * count);
    }
}

/* A magnitude in units of 10^-decimals. */
static void add_scaled(struct text *t, bool negative, uint64_t scaled, unsigned decimals)
{
    char digits[U64_TEXT_MAX + 1u];
    if (negative && scaled != 0) {
        text_char(t, '-');
    }
    text_add_bytes(t, digits, num_format_scaled(scaled, decimals, digits));
}

void text_fixed(struct text *t, double value, unsigned decimals)
{
    assert(t != NULL);
    assert(decimals <= DECIMALS_MAX);
    if (!(value >= 0) && !(value < 0)) {
        text_add(t, "nan");
        return;
    }
    double size = num_clamp(value < 0 ? -value : value, 0, FIXED_MAX);
    double unit = 1;
    for (unsigned i = 0; i < decimals; i++) {
        unit *= 10;
    }
    add_scaled(t, value < 0, (uint64_t)(size * unit + 0.5), decimals);
}

void text_ms(struct text *t, int64_t us, unsigned decimals)
{
    assert(t != NULL);
    assert(decimals <= 3);
    uint64_t size = us < 0 ? 0u - (uint64_t)us : (uint64_t)us;
    uint64_t per_unit = decimals == 0 ? 1000u : decimals == 1 ? 100u : decimals == 2 ? 10u : 1u;
    uint64_t scaled = size / per_unit + (size % per_unit * 2u >= per_unit ? 1u : 0u);
    add_scaled(t, us < 0, scaled, decimals);
}

void text_two_digits(struct text *t, uint64_t v)
{
    assert(t != NULL);
    if (v < 10) {
        text_char(t, '0');
    }
    text_u64(t, v);
}

/* "c" and a number; returns where the next goes. */
static char *put_numbered(char *at, const char *prefix, size_t prefix_bytes, uint64_t v)
{
    memcpy(at, prefix, prefix_bytes);
    return at + prefix_bytes + num_format_u64(v, at + prefix_bytes);
}

void text_unit(struct text *t, struct unit u)
{
    assert(t != NULL);
    char name[(size_t)3 * (sizeof(".c") + U64_TEXT_MAX)];
    char *at = name;
    if (u.tier == TIER_SECTOR || u.tier == TIER_CLUSTER || u.tier == TIER_AGENT) {
        at = put_numbered(at, "s0", u.sector < 10 ? 2 : 1, u.sector);
        if (u.tier != TIER_SECTOR) {
            at = put_numbered(at, ".c", 2, u.cluster);
        }
        if (u.tier == TIER_AGENT) {
            at = put_numbered(at, ".a", 2, u.agent);
        }
        text_add_bytes(t, name, (size_t)(at - name));
    } else if (u.tier == TIER_HOST || u.tier == TIER_CONSOLE) {
        text_add(t, u.tier == TIER_HOST ? "h" : "console");
        text_u64(t, unit_number(u));
    } else {
        text_add(t, u.tier == TIER_ORCHESTRATOR ? "mesh" : "none");
    }
}

void text_places(struct text *t, struct unit cluster, uint64_t places)
{
    assert(t != NULL);
    text_unit(t, cluster);
    text_add(t, ".a[");
    for (uint64_t rest = places; rest != 0;) {
        uint32_t from = num_lowest_bit(rest), to = from;
        while (to < 63 && (rest >> (to + 1u) & 1u) != 0) {
            to++;
        }
        text_u64(t, from + 1u);
        if (to > from) {
            text_char(t, '-');
            text_u64(t, to + 1u);
        }
        rest &= to == 63 ? 0 : UINT64_MAX << (to + 1u);
        text_add(t, rest != 0 ? "," : "]");
    }
}

void text_pad(struct text *t, size_t from, size_t column)
{
    assert(t != NULL);
    assert(from <= t->used);
    while (t->used - from < column && !t->cut) {
        text_char(t, ' ');
    }
}

/* "-MM" and the like: what separates, then two digits. Returns where the next goes. */
static char *put_two_digits(char *at, char before, uint32_t v)
{
    at[0] = before;
    at[1] = (char)('0' + v / 10u % 10u);
    at[2] = (char)('0' + v % 10u);
    return at + 3;
}

/* ISO 8601 in UTC with milliseconds; days to a date after Howard Hinnant, "chrono-compatible
 * low-level date algorithms" (civil_from_days), in 32 bits: 11 million years. */
size_t text_time_format(int64_t unix_us, char ret[TIME_TEXT_MAX])
{
    assert(ret != NULL);
    uint64_t ms = unix_us > 0 ? (uint64_t)unix_us / US_PER_MS : 0;
    uint32_t days = (uint32_t)(ms / 86400000u) + 719468u;
    uint32_t rest = (uint32_t)(ms % 86400000u);
    uint32_t era = days / 146097u;
    uint32_t doe = days % 146097u;
    uint32_t yoe = (doe - doe / 1460u + doe / 36524u - doe / 146096u) / 365u;
    uint32_t doy = doe - (365u * yoe + yoe / 4u - yoe / 100u);
    uint32_t mp = (5u * doy + 2u) / 153u;
    uint32_t month = mp < 10u ? mp + 3u : mp - 9u;
    uint32_t year = yoe + era * 400u + (month <= 2u ? 1u : 0u);
    static_assert(sizeof("292278-MM-DDThh:mm:ss.mmmZ") <= TIME_TEXT_MAX, "the largest fits");
    char *at = ret + num_format_u64(year, ret);
    at = put_two_digits(at, '-', month);
    at = put_two_digits(at, '-', doy - (153u * mp + 2u) / 5u + 1u);
    at = put_two_digits(at, 'T', rest / 3600000u);
    at = put_two_digits(at, ':', rest / 60000u % 60u);
    at = put_two_digits(at, ':', rest / 1000u % 60u);
    at = put_two_digits(at, '.', rest % 1000u / 10u);
    *at++ = (char)('0' + rest % 10u);
    *at++ = 'Z';
    *at = '\0';
    return (size_t)(at - ret);
}

void text_time(struct text *t, int64_t unix_us)
{
    assert(t != NULL);
    char digits[TIME_TEXT_MAX];
    text_add_bytes(t, digits, text_time_format(unix_us, digits));
    assert(!t->cut);
}
