/* The two clocks of the edge. Nodes never see them: the runner hands in times. */
#ifndef TIERS_RUNNER_CLOCK_H
#define TIERS_RUNNER_CLOCK_H

#include <stdint.h>
#include <time.h>

/* Microseconds since boot, suspended time included; never goes back. */
static inline int64_t clock_boot_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

/* Unix microseconds. */
static inline int64_t clock_unix_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

#endif
