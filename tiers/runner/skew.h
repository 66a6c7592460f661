/* Whether it is this machine's clock that is wrong. Every frame says when it was signed, so every
 * sender is a witness: a frame comes as much behind its time as its way took, and ahead of it only
 * when the two clocks differ. Of each sender the frame that was least late counts, in windows of
 * SKEW_WINDOW_MS; frames that are then refused as future or expired count like the others. When
 * more than half of the senders, three at least, agree to within SKEW_AGREE_MS on a time that is
 * more than SKEW_LEAST_MS from this clock, in two windows one after the other, the clock is off.
 *
 * One sender whose clock is wrong, or that lies, moves nothing. What this cannot tell apart is a
 * process that hears everybody seconds late for twenty seconds: it looks like a clock ahead. */
#ifndef TIERS_RUNNER_SKEW_H
#define TIERS_RUNNER_SKEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SKEW_WINDOW_MS     10000
#define SKEW_LEAST_MS      2000 /* others refuse what is further ahead of them (FRAME_SKEW_MS) */
#define SKEW_AGREE_MS      1000
#define SKEW_SENDERS_LEAST 3u
#define SKEW_SENDERS_MAX   256u /* are asked; those beyond are left out */

/* Of one sender; zero: not heard yet. */
struct skew_sight {
    uint32_t window;
    int32_t ahead_ms; /* of this clock, its best frame in that window */
};

struct skew {
    uint32_t window; /* from 1 on; 0: not begun */
    int64_t until_ms;
    int32_t before_ms; /* what the last window found; 0: nothing */
    /* The finding. off_ms: this clock is so much ahead (below 0: behind) of `agree` of `heard`
     * senders; 0: it is not off, so far as is known. */
    int32_t off_ms;
    uint32_t heard, agree;
    bool right; /* most senders of the last window agree with this clock, three at least */
};

static inline void skew_note(const struct skew *s, struct skew_sight *sight, int64_t ahead_ms)
{
    int64_t most = INT32_MAX;
    int32_t ahead = (int32_t)(ahead_ms > most ? most : ahead_ms < -most ? -most : ahead_ms);
    if (sight->window != s->window || ahead > sight->ahead_ms) {
        sight->window = s->window;
        sight->ahead_ms = ahead;
    }
}

/* Whether the window is over at that time (Unix ms, this clock's; one that was set begins anew).
 * Then give skew_judge() what the senders of the window said. */
bool skew_is_over(struct skew *s, int64_t now_ms);
/* values: of count senders, SKEW_SENDERS_MAX at most; they are sorted. The next window begins. */
void skew_judge(struct skew *s, int32_t *values, size_t count, int64_t now_ms);

#endif
