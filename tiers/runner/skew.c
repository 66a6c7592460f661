#include "tiers/runner/skew.h"

#include <assert.h>
#include <stdlib.h>

static void window_begin(struct skew *s, int64_t now_ms)
{
    s->window = s->window == UINT32_MAX ? 1 : s->window + 1;
    s->until_ms = now_ms + SKEW_WINDOW_MS;
}

bool skew_is_over(struct skew *s, int64_t now_ms)
{
    assert(s);
    bool set =
        s->until_ms - now_ms > SKEW_WINDOW_MS || now_ms - s->until_ms > 2 * (int64_t)SKEW_WINDOW_MS;
    if (s->window == 0 || set) {
        s->before_ms = 0;
        s->right = false;
        window_begin(s, now_ms);
    }
    return now_ms >= s->until_ms;
}

static int by_value(const void *a, const void *b)
{
    int32_t x = *(const int32_t *)a, y = *(const int32_t *)b;
    return (x > y) - (x < y);
}

static bool is_near(int32_t a, int32_t b)
{
    int64_t apart = (int64_t)a - b;
    return apart >= -SKEW_AGREE_MS && apart <= SKEW_AGREE_MS;
}

void skew_judge(struct skew *s, int32_t *values, size_t count, int64_t now_ms)
{
    assert(s && values && count <= SKEW_SENDERS_MAX);
    window_begin(s, now_ms);
    s->right = false;
    if (count < SKEW_SENDERS_LEAST)
        return; /* nothing is known, neither good nor bad */
    qsort(values, count, sizeof(*values), by_value);
    int32_t middle = values[count / 2];
    uint32_t agree = 0;
    for (size_t i = 0; i < count; i++)
        agree += is_near(values[i], middle);
    bool most = 2 * agree > count && agree >= SKEW_SENDERS_LEAST;
    bool off = (middle > SKEW_LEAST_MS || middle < -SKEW_LEAST_MS) && most;
    s->right = most && !off;
    int32_t found_ms = off ? -middle : 0;
    s->off_ms = off && s->before_ms != 0 && is_near(s->before_ms, found_ms) ? found_ms : 0;
    s->before_ms = found_ms;
    s->heard = (uint32_t)count;
    s->agree = agree;
}
