/* One connection to one Redis server: the part of the Redis store that knows libuv streams, the
 * protocol reader and reconnecting. What an operation is, is known to redis.c. */
#ifndef REGISTRY_REDIS_LINK_H
#define REGISTRY_REDIS_LINK_H

#include "registry/redis_private.h"
#include <uv.h>

#define LINK_ANSWER_BYTES_MAX (16u << 20) /* of one answer, on the wire and as objects */
#define LINK_OBJECTS_MAX      65536u      /* of one answer */
#define LINK_BUFFER_KEPT      (1u << 20)  /* a larger send buffer is freed once it is sent */

enum link_state {
    LINK_WAITING,   /* the timer runs */
    LINK_RESOLVING, /* a name */
    LINK_CONNECTING,
    LINK_OPEN,    /* bytes flow; whether it is ready for operations is the owner's knowledge */
    LINK_DROPPED, /* closing its handle */
};

struct link;

/* Called from libuv callbacks only. */
struct link_owner {
    void *ctx;
    void (*on_open)(void *ctx);
    void (*on_answer)(void *ctx, const redisReply *answer);
    /* The connection, or the attempt, is over: nothing more is answered on it. */
    void (*on_lost)(void *ctx, const char *why);
    void (*on_closed)(void *ctx); /* after link_close: the memory may go */
};

struct link_meter { /* what hiredis has built for the answer that is being read */
    size_t objects, bytes;
};

/* A reader whose answers are metered: more objects or bytes, or an array that announces more, is an
 * error of redisReaderGetReply before room for it is taken. Set *meter to zero after each answer.
 * NULL: no memory. */
redisReader *link_reader_new(struct link_meter *meter);

struct link_buffer {
    char *at;
    size_t bytes, room;
};

struct link {
    uv_loop_t *loop;
    struct redis_url url;
    struct link_owner owner;
    enum link_state state;
    bool closing;
    unsigned open; /* handles and requests that libuv still holds */
    union {
        uv_handle_t any;
        uv_stream_t stream;
        uv_tcp_t tcp;
        uv_pipe_t pipe;
    } handle;
    uv_timer_t timer;
    uv_getaddrinfo_t resolve;
    uv_connect_t connect;
    uv_write_t write;
    bool writing;
    struct link_buffer out, sent; /* being filled, being written */
    redisReader *reader;
    struct link_meter meter;
    unsigned attempts; /* since the last time the owner was content */
    uint64_t random;
    int64_t reconnect_min_us, reconnect_max_us;
    int64_t since_us; /* uv_hrtime of the last change of state */
    uint64_t bytes_in, bytes_out;
    char read_room[65536];
};

/* Makes the handles and begins to connect. `link` is zeroed memory with url, owner and the two
 * reconnect times set. 0 or libuv's error. */
int link_start(struct link *link, uv_loop_t *loop);

/* Queues bytes to be sent by the next link_flush(); -ENOMEM, then nothing was queued. */
int link_send(struct link *link, const char *bytes, size_t count);
void link_flush(struct link *link);

/* Ends the connection and tries again later; calls on_lost before it returns. */
void link_drop(struct link *link, const char *why);

/* The next attempt comes after the shortest delay again. */
void link_content(struct link *link);

/* Ends it for ever: no callback but on_closed follows. */
void link_close(struct link *link);

#endif
