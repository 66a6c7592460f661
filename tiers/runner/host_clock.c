/* A second that is being inserted or removed makes Unix time ambiguous: until it is over, the clock
 * counts as undisciplined. The kernel itself says so after settimeofday() (STA_UNSYNC). */
#include "tiers/runner/host_clock.h"
#include "core/limits.h"
#include "core/num.h"
#include "tiers/runner/clock.h"
#include <assert.h>
#include <stddef.h>

enum host_clock_news host_clock_take(struct host_clock_watch *w, int64_t boot_us, int64_t unix_us,
                                     int state, const struct timex *t)
{
    assert(w != NULL && t != NULL);
    bool leaping = state == TIME_OOP || state == TIME_WAIT;
    bool synchronised = state >= 0 && state != TIME_ERROR && !leaping &&
                        (t->status & STA_UNSYNC) == 0 && t->maxerror >= 0 &&
                        t->maxerror <= HOSTTIME_ERROR_US_MAX;
    int64_t moved_us = unix_us - boot_us - w->offset_us;
    bool stepped = moved_us > HOST_CLOCK_STEP || moved_us < -HOST_CLOCK_STEP;
    bool other = synchronised != w->synchronised || (synchronised && stepped);
    w->read_us = boot_us;
    w->offset_us = unix_us - boot_us;
    w->synchronised = synchronised;
    w->error_us = synchronised ? t->maxerror : 0;
    w->estimated_us = synchronised ? num_clamp_i64(t->esterror, 0, t->maxerror) : 0;
    if (other) {
        return HOST_CLOCK_ALL;
    }
    return synchronised ? HOST_CLOCK_SLICE : HOST_CLOCK_NOTHING;
}

enum host_clock_news host_clock_look(struct host_clock_watch *w, int64_t boot_us)
{
    assert(w != NULL);
    if (w->read_us != 0 && boot_us - w->read_us < US_PER_S) {
        return HOST_CLOCK_NOTHING;
    }
    struct timex t = {.modes = 0};
    int64_t before_us = clock_boot_us();
    int state = adjtimex(&t);
    int64_t unix_us = clock_unix_us();
    int64_t after_us = clock_boot_us();
    return host_clock_take(w, before_us + (after_us - before_us) / 2, unix_us, state, &t);
}

struct host_clock host_clock_said(const struct host_clock_watch *w, int64_t boot_us)
{
    assert(w != NULL);
    return (struct host_clock){.unix_us = boot_us + w->offset_us,
                               .error_us = w->error_us,
                               .estimated_us = w->estimated_us,
                               .synchronised = w->synchronised};
}
