#include "core/utf8.h"

#include <assert.h>

/* By its first byte; 0: none begins so. */
static size_t length_of(uint8_t first)
{
    return first < 0x80                    ? 1
           : first >= 0xf0 && first < 0xf5 ? 4
           : first >= 0xe0 && first < 0xf0 ? 3
           : first >= 0xc2 && first < 0xe0 ? 2
                                           : 0;
}

size_t utf8_printable(const uint8_t *at, size_t left)
{
    assert(at != NULL && left > 0);
    size_t n = length_of(at[0]);
    if (n < 2 || n > left) {
        return 0;
    }
    uint32_t c = at[0] & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((at[i] & 0xc0) != 0x80) {
            return 0;
        }
        c = c << 6 | (at[i] & 0x3f);
    }
    int least = c >= (n == 2 ? 0xa0u : n == 3 ? 0x800u : 0x10000u) && c <= 0x10ffff;
    int order = (c >= 0x200b && c <= 0x200f) || (c >= 0x2028 && c <= 0x202e) ||
                (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || c == 0x061c;
    return least && !order && !(c >= 0xd800 && c <= 0xdfff) ? n : 0;
}

size_t utf8_whole(const uint8_t *at, size_t count)
{
    assert(at != NULL || count == 0);
    for (size_t back = 1; back <= 3 && back <= count; back++) {
        uint8_t c = at[count - back];
        if ((c & 0xc0) == 0x80) {
            continue; /* inside of a character */
        }
        return length_of(c) > back ? count - back : count;
    }
    return count;
}

size_t utf8_begin(const uint8_t *at, size_t count)
{
    assert(at != NULL || count == 0);
    size_t skip = 0;
    while (skip < 3 && skip < count && (at[skip] & 0xc0) == 0x80) {
        skip++;
    }
    return skip;
}
