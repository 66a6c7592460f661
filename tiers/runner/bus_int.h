/* What the two files of the bus share, and nobody else: one connection, from the attempt to the
 * last freed handle, and the bus around it. */
#ifndef TIERS_RUNNER_BUS_INT_H
#define TIERS_RUNNER_BUS_INT_H

#include "tiers/runner/bus.h"
#include <nats/nats.h>

#define SUBS 3u /* for itself, for all, for those who look for services */

enum bus_state { WAITING, CONNECTING, PROVING, UP };

/* One connection, from the attempt to the last freed handle. */
struct link {
    struct bus *bus;
    natsOptions *options;
    natsConnection *nc;
    natsSubscription *subs[SUBS];
    uv_work_t work;
    uv_poll_t poll;
    bool attached, detached, want_write, poll_write;
    bool polled; /* poll is initialised */
    int fd;      /* our duplicate of the socket */
    int low_water;
    natsStatus status;
    char why[160];
    size_t unwritten; /* published since the last write */
    int64_t dropped[SUBS];
};

struct bus {
    struct bus_config config;
    struct endpoint self;
    char *url, *keys_dir;
    enum bus_state state;
    struct link *link;
    struct link *next; /* about to replace it: connecting or proving */
    struct link *old;  /* replaced, still heard */
    uv_timer_t retry, probe, linger, again;
    uv_prepare_t prepare;
    unsigned handles_open;
    unsigned links_open;
    unsigned failures; /* attempts since the last link that worked */
    bool told_down;
    bool closing, delivering, ready;
    unsigned unanswered;
    int64_t probe_sent_us;
    int64_t service_second;   /* of the boot clock */
    unsigned service_answers; /* given in it */
    struct bus_stats stats;
    void (*closed)(void *ctx);
    void *closed_ctx;
};

/* bus_connect.c: everything of the library's that comes before the first message. */
natsStatus bus_options(struct link *link);
void bus_connect_work(uv_work_t *work); /* in a libuv worker: it blocks */
/* Whether the library can read a TLS link without waiting: a whole record, or the end. */
bool bus_record_is_there(struct link *link);
/* Whether all that waits can be written without waiting for the other end; always without TLS. */
bool bus_room_is_there(const struct link *link);
uint64_t bus_library_errors(void);

#endif
