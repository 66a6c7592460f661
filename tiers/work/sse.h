/* Server-sent events (WHATWG HTML 9.2), the part that chat completions use: data lines, comments,
 * CR, LF or CRLF, frames cut anywhere. One event is SSE_EVENT_MAX bytes at most. */
#ifndef TIERS_WORK_SSE_H
#define TIERS_WORK_SSE_H

#include "tiers/work/work_int.h"

#define SSE_EVENT_MAX (256u << 10)

struct sse {
    struct bytes line, data;
    bool after_cr, has_data;
};

/* Calls take for each event's data. False: a bound was passed, or take said no. */
bool sse_feed(struct sse *sse, const uint8_t *at, size_t count,
              bool (*take)(void *ctx, const char *data, size_t count), void *ctx);
void sse_done(struct sse *sse);

#endif
