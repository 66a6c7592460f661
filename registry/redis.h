/* The store on Redis: asynchronous, pipelined, for one libuv loop and its thread.
 *
 * Three banks (core/store.h) on one to three servers; banks with the same URL share one connection.
 * An operation that was accepted is answered exactly once, always from a libuv callback and never
 * from inside redis_store_submit(), unless the store is closed before. Operations of one bank reach
 * their server in the order of submission. (One exception: after a server lost its functions, those
 * in flight are sent again behind the others; new ones are answered BUSY meanwhile.)
 *
 *   not connected                          STORE_UNKNOWN, "redis: not connected"
 *   connection lost with it in flight      STORE_UNKNOWN, all of them
 *   no answer for op_timeout_us            the connection is dropped: as above
 *   in_flight_max or in_flight_bytes_max   STORE_BUSY
 *   outside the contract                   STORE_INVALID
 *   the server's errors                    see redis_answer.c
 *
 * It reconnects by itself after a jittered 0.2 to 5 s and loads its functions (registry/mesh.lua)
 * where they are missing. A server that does not allow FUNCTION LOAD needs them loaded by hand.
 *
 * SIGPIPE: libuv writes without MSG_NOSIGNAL, so a process that uses this must ignore SIGPIPE.
 * redis_store_new() sets it to be ignored where it has the default disposition.
 * Source: design.md 6; reliability of hiredis 0.14.1: see redis.c. */
#ifndef REGISTRY_REDIS_H
#define REGISTRY_REDIS_H

#include "core/store.h"
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct redis_store;

/* URLs: redis://[[user]:password@]host[:port][/db] or unix://[[user]:password@]/path[?db=n].
 * 0 or NULL takes the value in brackets. */
struct redis_store_conf {
    const char *registry_url;     /* [redis://127.0.0.1:6379] */
    const char *durable_url;      /* [registry_url] */
    const char *blob_url;         /* [registry_url] */
    const char *client_name;      /* shown by CLIENT LIST; no spaces [mesh] */
    uint32_t in_flight_max;       /* operations without an answer [65,536] */
    uint64_t in_flight_bytes_max; /* of their requests [64 MiB] */
    int64_t op_timeout_us;        /* also for connecting and, when idle, between pings [5 s] */
    int64_t reconnect_min_us;     /* [0.2 s] */
    int64_t reconnect_max_us;     /* [5 s] */
};

struct redis_store_stats {
    uint32_t in_flight;
    uint64_t in_flight_bytes;
    uint64_t submitted; /* accepted for an answer, refusals included */
    uint64_t replies;   /* given, refusals included */
    uint64_t refused;   /* answered here without asking a server */
    uint64_t dropped;   /* not even refused: the room for refusals was full */
    uint64_t verdicts[STORE_VERDICT_COUNT];
    uint64_t connects; /* connections that came up */
    uint64_t losses;   /* connections that were lost, and attempts that failed */
    uint64_t function_loads;
    uint64_t bytes_out, bytes_in;
    uint64_t denied;    /* operations that the login has not the right to (NOPERM) */
    const char *denial; /* what the server said of the last one; "": none. The store's memory */
};

/* The reply and all it points to are borrowed for the call; `tag` is that of the submission. */
typedef void redis_store_reply_fn(void *ctx, void *tag, const struct store_reply *reply);

/* A bank came up, went down, or cannot be reached for a new reason. `why` is text for a log. */
typedef void redis_store_link_fn(void *ctx, enum store_bank bank, bool up, const char *why);

typedef void redis_store_closed_fn(void *ctx);

/* NULL, or what is wrong with a URL ("port: 1 to 65535"). */
const char *redis_store_url_problem(const char *url);

/* Begins to connect; never blocks. -EINVAL: a URL is wrong. -ENOMEM, or libuv's error.
 * The store keeps the loop alive until it is closed. */
int redis_store_new(uv_loop_t *loop, const struct redis_store_conf *conf,
                    redis_store_reply_fn *on_reply, redis_store_link_fn *on_link, void *ctx,
                    struct redis_store **ret_store);

/* Copies what it needs of `op`. False: no answer will come (closing, or even the room for 4,096
 * refusals is full); the caller's own deadline covers it. */
bool redis_store_submit(struct redis_store *store, const struct store_op *op, void *tag);

struct redis_store_stats redis_store_stats(const struct redis_store *store);

/* Whether the bank is down because its server does not let this user in: user or password are
 * wrong, the user is off, or may not do what every connection begins with. */
bool redis_store_is_refused(const struct redis_store *store, enum store_bank bank);

/* From the next connection on `user` has this password, at every server that it logs in to. False:
 * no such user, the same as before, or too long for a URL. */
bool redis_store_password(struct redis_store *store, const char *user, const char *password);

/* No reply comes after this call. Whoever wants answers first waits for in_flight == 0. The store
 * is freed when its handles are closed, just before on_closed (may be NULL). Allowed in a callback.
 */
void redis_store_close(struct redis_store *store, redis_store_closed_fn *on_closed);

#endif
