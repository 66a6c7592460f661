/* This machine's clock, as the times in others' frames show it (skew.h). A process whose clock is a
 * little wrong hears the others well and is refused by all of them, so it has to find out itself.
 */
#include "tiers/runner/process_int.h"

#include "tiers/runner/clock.h"
#include <inttypes.h>
#include <stdlib.h>

#define AGAIN_US (600 * US_PER_S) /* while it is off */

void process_clock_tick(struct process *p, int64_t now_us)
{
    int64_t age_ms = (clock_boot_us() - p->started_us) / US_PER_MS;
    if (p->peers == NULL || !peers_skew(p->peers, clock_unix_us() / US_PER_MS, age_ms, &p->skew)) {
        return;
    }
    int32_t off_ms = p->skew.off_ms;
    bool was = p->clock_off_us != 0;
    if (off_ms == 0) {
        p->clock_off_us = 0;
        if (was) {
            log_line(&p->log, LOG_INFO, "clock-right", "why=\"it agrees with the others again\"");
        }
        return;
    }
    if (was && now_us - p->clock_off_us < AGAIN_US) {
        return;
    }
    p->clock_off_us = now_us;
    log_line(&p->log, LOG_WARNING, "clock-off",
             "ms=%" PRId32 " why=\"this machine's clock is %d.%d s %s that of %" PRIu32
             " of the %" PRIu32
             " processes heard, which refuse what is said from here (future, expired); set it, and "
             "see why its time service does not\"",
             off_ms, abs(off_ms) / 1000, abs(off_ms) % 1000 / 100,
             off_ms > 0 ? "ahead of" : "behind", p->skew.agree, p->skew.heard);
}
