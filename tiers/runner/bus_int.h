/* What the three files of the bus share, and nobody else: one connection, from the attempt to the
 * last freed handle, and the bus around it. */
#ifndef TIERS_RUNNER_BUS_INT_H
#define TIERS_RUNNER_BUS_INT_H

#include "tiers/runner/bus.h"
#include <nats/nats.h>

#define SUBS 3u /* for itself, for all, for those who look for services */

enum bus_state { WAITING, CONNECTING, PROVING, UP };

/* Frames that the socket has no room for, in order: bytes[begin..end). */
struct held {
    uint8_t *bytes;
    size_t begin, end, room;
};

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
    size_t unwritten;   /* published since the last write */
    int64_t written_us; /* CLOCK_BOOTTIME of the last write, or of the first that found no room */
    struct held held;   /* under TLS */
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
    uv_timer_t retry, probe, linger;
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
uint64_t bus_library_errors(void);
int64_t bus_now_us(void); /* CLOCK_BOOTTIME */

/* bus_write.c: writing that does not wait. */
/* Whether anything waits to be written, in the library or held. */
bool bus_has_more(const struct link *link);
/* Writes what waits in the library and what is held, as far as there is room. */
void bus_write(struct link *link);
/* Bytes that wait to be written, in the library and held. */
size_t bus_waiting(const struct link *link);
/* Keeps a frame until there is room. False: no memory. The caller keeps to BUS_BUFFERED_MAX. */
bool bus_hold(struct link *link, const char *subject, const uint8_t *bytes, size_t length);
void bus_held_free(struct link *link);

#endif
