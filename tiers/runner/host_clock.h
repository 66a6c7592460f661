/* What the kernel says of the host's Unix clock (adjtimex(2)), and when the nodes are to hear of
 * it: when it becomes disciplined or ceases to be, when it was stepped, and every
 * HOST_CLOCK_SLICES seconds while it is disciplined, because its bound grows. On a host that
 * nothing disciplines nobody is ever told anything. */
#ifndef TIERS_RUNNER_HOST_CLOCK_H
#define TIERS_RUNNER_HOST_CLOCK_H

#include "core/hosttime.h"
#include <stdbool.h>
#include <stdint.h>
#include <sys/timex.h>

#define HOST_CLOCK_SLICES 16u /* nodes hear of it in turn, a slice a second */
#define HOST_CLOCK_STEP   1000

enum host_clock_news {
    HOST_CLOCK_NOTHING,
    HOST_CLOCK_SLICE, /* a slice of the nodes hears the same with a newer bound */
    HOST_CLOCK_ALL    /* it is another clock now: all of them */
};

struct host_clock_watch {
    int64_t read_us;   /* boot clock; 0: never read */
    int64_t offset_us; /* Unix - boot clock */
    int64_t error_us, estimated_us;
    bool synchronised;
    uint32_t slice; /* the next */
};

/* Reads it, once a second at most. */
enum host_clock_news host_clock_look(struct host_clock_watch *w, int64_t boot_us);

/* The same from what adjtimex() returned and filled in, and the Unix time at boot_us. */
enum host_clock_news host_clock_take(struct host_clock_watch *w, int64_t boot_us, int64_t unix_us,
                                     int state, const struct timex *t);

/* As a node hears it that is given `now` at boot_us. */
struct host_clock host_clock_said(const struct host_clock_watch *w, int64_t boot_us);

#endif
