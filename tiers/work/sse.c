#include "tiers/work/sse.h"

#include <string.h>

/* A line without its end. An empty one ends the event. */
static bool take_line(struct sse *s, bool (*take)(void *ctx, const char *data, size_t count),
                      void *ctx)
{
    const char *line = (const char *)s->line.at;
    size_t count = s->line.count;
    if (count == 0) {
        bool good = !s->has_data ||
                    take(ctx, s->data.count > 0 ? (const char *)s->data.at : "", s->data.count);
        s->has_data = false;
        s->data.count = 0;
        return good;
    }
    if (count < 5 || memcmp(line, "data:", 5) != 0) {
        return true; /* a comment, or a field that nobody here wants */
    }
    size_t from = count > 5 && line[5] == ' ' ? 6 : 5;
    bool good = !s->has_data || bytes_add(&s->data, "\n", 1, SSE_EVENT_MAX);
    s->has_data = true;
    return good && bytes_add(&s->data, line + from, count - from, SSE_EVENT_MAX);
}

bool sse_feed(struct sse *s, const uint8_t *at, size_t count,
              bool (*take)(void *ctx, const char *data, size_t count), void *ctx)
{
    for (size_t i = 0; i < count; i++) {
        bool end = at[i] == '\n' || at[i] == '\r';
        bool second = at[i] == '\n' && s->after_cr;
        s->after_cr = at[i] == '\r';
        if (second) {
            continue;
        }
        if (!end) {
            if (!bytes_add(&s->line, &at[i], 1, SSE_EVENT_MAX)) {
                return false;
            }
            continue;
        }
        bool good = take_line(s, take, ctx);
        s->line.count = 0;
        if (!good) {
            return false;
        }
    }
    return true;
}

void sse_done(struct sse *s)
{
    bytes_done(&s->line);
    bytes_done(&s->data);
}
