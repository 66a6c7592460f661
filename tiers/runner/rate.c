/* GCRA: a bucket is one time, that at which it is full again. A frame that is refused takes
 * nothing, so a flood gets its rate through and no more, and the sender is heard again within two
 * seconds of its end. */
#include "tiers/runner/rate.h"

#include <assert.h>
#include <string.h>

#define NS_PER_S  INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)

void rates_init(struct rates *rates, uint32_t frames_per_s, uint32_t bad_per_s)
{
    assert(rates);
    memset(rates, 0, sizeof(*rates));
    rates->frame_ns = frames_per_s > 0 ? NS_PER_S / frames_per_s : 0;
    rates->bad_ns = bad_per_s > 0 ? NS_PER_S / bad_per_s : 0;
}

struct rate_sender *rate_of(struct rates *rates, const struct endpoint *source)
{
    assert(rates && source);
    struct endpoint process = *source;
    process.port = 0;
    uint64_t h = endpoint_hash(&process);
    for (;; h++) {
        struct rate_sender *s = &rates->senders[h % RATE_SENDERS_MAX];
        if (strcmp(s->token, source->token) == 0)
            return s;
        if (s->token[0] != '\0')
            continue;
        if (rates->count >= RATE_SENDERS_MAX / 4 * 3)
            return &rates->shared;
        memcpy(s->token, source->token, sizeof(s->token));
        rates->count++;
        return s;
    }
}

/* No bucket is further from full than `most`, unless the clock was set back meanwhile: then it is
 * full, or whoever it belongs to would not be heard until the clock is there again. */
static void clock_back(int64_t *at_ns, int64_t now_ns, int64_t most_ns)
{
    if (*at_ns - now_ns > most_ns)
        *at_ns = now_ns;
}

bool rate_take(const struct rates *rates, struct rate_sender *sender, int64_t now_ms)
{
    assert(rates && sender);
    int64_t now_ns = now_ms * NS_PER_MS;
    clock_back(&sender->bad_ns, now_ns, 2 * NS_PER_S + rates->bad_ns);
    clock_back(&sender->frames_ns, now_ns, NS_PER_S + rates->frame_ns);
    if (rates->bad_ns > 0 && sender->bad_ns - now_ns > 2 * NS_PER_S)
        return false;
    if (rates->frame_ns == 0)
        return true;
    if (sender->frames_ns < now_ns)
        sender->frames_ns = now_ns;
    if (sender->frames_ns - now_ns > NS_PER_S)
        return false;
    sender->frames_ns += rates->frame_ns;
    return true;
}

void rate_blame(const struct rates *rates, struct rate_sender *sender, int64_t now_ms)
{
    assert(rates && sender);
    int64_t now_ns = now_ms * NS_PER_MS;
    clock_back(&sender->bad_ns, now_ns, 2 * NS_PER_S + rates->bad_ns);
    if (sender->bad_ns < now_ns)
        sender->bad_ns = now_ns;
    if (sender->bad_ns - now_ns <= 2 * NS_PER_S) /* those beyond change nothing, and are not kept */
        sender->bad_ns += rates->bad_ns;
}
