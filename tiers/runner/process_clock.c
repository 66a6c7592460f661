/* This machine's clock, as the times in others' frames show it (skew.h). A process whose clock is a
 * little wrong hears the others well and is refused by all of them, so it has to find out itself.
 */
#include "tiers/runner/process_int.h"

#include "tiers/runner/clock.h"
#include <inttypes.h>
#include <stdlib.h>

#define AGAIN_US    (600 * US_PER_S) /* while it is off */
#define ROOT_OFF_US (5 * US_PER_S)   /* opcache.h: operations are refused that are further off */

/* Mesh time begins with the root's Unix time, and never steps. When that is set while the root
 * runs, everybody's operations are from the past or the future. */
static void root_tick(struct process *p, int64_t now_us)
{
    int64_t unix_us = clock_unix_us() - clock_boot_us();
    if (p->runner == NULL || !runner_has(p->runner, unit_orchestrator())) {
        p->root_unix_us = p->root_off_us = 0;
        return;
    }
    p->root_unix_us = p->root_unix_us == 0 ? unix_us : p->root_unix_us;
    int64_t ahead_us = p->root_unix_us - unix_us;
    bool off = ahead_us > ROOT_OFF_US || ahead_us < -ROOT_OFF_US;
    if (!off || (p->root_off_us != 0 && now_us - p->root_off_us < AGAIN_US)) {
        return;
    }
    p->root_off_us = now_us;
    log_line(&p->log, LOG_WARNING, "mesh-time-off",
             "ms=%" PRId64
             " why=\"this machine's clock was set since mesh time began with it, which "
             "goes on as before, %" PRId64 " s %s it: operations are refused; where the clock is "
             "right now, stop all processes of the mesh and start them again\"",
             ahead_us / US_PER_MS, (ahead_us > 0 ? ahead_us : -ahead_us) / US_PER_S,
             ahead_us > 0 ? "ahead of" : "behind");
}

void process_clock_tick(struct process *p, int64_t now_us)
{
    root_tick(p, now_us);
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
