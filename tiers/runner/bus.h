/* The bus: NATS through libnats in event-loop mode, one connection a process, all on the loop
 * thread.
 *
 * A process subscribes to `mesh.p.<own token>.>` and `mesh.all.>`, one that says what service it is
 * (on_service) to `$SRV.>` as well, and to nothing else. Frames are
 * handed over as they were read, in the library's memory, with the time of the read. The link comes
 * and goes by itself: no server at start, a killed server and a silent one all end in a new
 * connection after a jittered wait of 0.2 to 5 s. Messages are never buffered while it is down.
 *
 * With keys_dir the link is mutual TLS (tls.h). Without it the link is in the clear and says
 * nothing about who is at its ends: for tests on loopback.
 *
 * Everything here is called on the loop thread. */
#ifndef TIERS_RUNNER_BUS_H
#define TIERS_RUNNER_BUS_H

#include "tiers/runner/endpoint.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#define BUS_BUFFERED_MAX  ((size_t)8388608) /* waiting to be written; beyond: BUS_FULL */
#define BUS_PENDING_MSGS  65536             /* read and not yet handed over; beyond: dropped */
#define BUS_PENDING_BYTES 33554432
#define BUS_READ_BYTES    131072          /* at most so much is handed over per turn of the loop */
#define BUS_WRITE_BYTES   ((size_t)65536) /* so much published is written without waiting for it */

struct bus;

/* One received frame. Valid during the callback unless it is kept. */
struct bus_frame {
    const uint8_t *bytes;
    size_t length;
    struct route route;
    int64_t recv_us; /* CLOCK_BOOTTIME, just before the bytes were read from the socket */
    void *message;
};

struct bus_config {
    uv_loop_t *loop;
    const char *url;      /* nats://127.0.0.1:4222 */
    const char *token;    /* the process's own */
    const char *keys_dir; /* of ca.crt and TOKEN.tls.{crt,key}; NULL: no TLS */
    void (*on_frame)(void *ctx, struct bus_frame *frame);
    /* up: subscribed, shown by a probe that came back. Down: why. Also called, with up = false,
     * when the first attempt fails; later attempts are only counted. Not from within bus_publish.
     */
    void (*on_link)(void *ctx, bool up, const char *why);
    /* Somebody asks what services there are (service.h): writes the answer and returns its bytes, 0
     * for none. At most SERVICE_PER_S times a second. NULL: this process is none. */
    size_t (*on_service)(void *ctx, const char *subject, char *answer, size_t room);
    void *ctx;
};

enum bus_verdict { BUS_OK, BUS_DOWN, BUS_FULL, BUS_FAILED };

struct bus_stats {
    bool up;
    uint64_t published, published_bytes;
    uint64_t received, received_bytes;
    uint64_t refused_down, refused_full, refused_failed; /* bus_publish said no */
    uint64_t dropped_subject;                            /* no subject of ours */
    uint64_t dropped_slow;                               /* beyond BUS_PENDING_* */
    uint64_t connects, attempts_failed, lost;
    uint64_t rotations, rotations_failed;         /* see bus_rotate */
    uint64_t services_answered, services_refused; /* refused: beyond SERVICE_PER_S, or no inbox */
    uint64_t errors;  /* reported by the library beside (a permission denied, ..), process-wide */
    int64_t probe_us; /* the last round trip to the server and back */
    char last_error[160]; /* of the last failed attempt or lost link */
};

/* Starts connecting. Strings are copied. 0, or -EINVAL (token, url), -ENOMEM, a libuv error. */
int bus_new(const struct bus_config *config, struct bus **ret);

/* One frame to route->destination (empty token: all). The bytes are copied. Never blocks; written
 * at the latest when the loop turns. */
enum bus_verdict bus_publish(struct bus *bus, const struct route *route, const uint8_t *bytes,
                             size_t length);
/* Writes what is waiting, now: for when the caller has much else to do before the loop turns. */
void bus_flush(struct bus *bus);

/* Make before break: connects anew with the certificate files as they are now, moves over once the
 * new link has proven itself, and hears the old one out for a second. Nothing is lost; what both
 * links brought is a replay to the layer above. When it does not work out the old link stays.
 * Ignored while down or at it: every attempt reads the files anew anyway. */
void bus_rotate(struct bus *bus);

bool bus_is_up(const struct bus *bus);
/* Up, but nothing has come back from the server for 1 to 2 s, not even what we said to ourselves:
 * the silence of others proves nothing now. */
bool bus_is_stalled(const struct bus *bus);
void bus_stats(const struct bus *bus, struct bus_stats *ret);

/* Keeps a frame's bytes beyond the callback, without a copy, until bus_release of what it returns.
 */
void *bus_keep(struct bus_frame *frame);
void bus_release(void *message);

/* Writes what fits, closes, and calls closed (may be NULL) when everything is freed. */
void bus_close(struct bus *bus, void (*closed)(void *ctx), void *ctx);

/* After the last bus is closed and before exit: ends the library's own threads. */
void bus_library_close(void);

#endif
