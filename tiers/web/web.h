/* HTTP requests on the loop: libcurl's multi interface driven by libuv. One struct request per
 * attempt's job; retries, timeouts and headers are the same for plain endpoints and models. */
#ifndef TIERS_WEB_WEB_H
#define TIERS_WEB_WEB_H

#include "core/limits.h"
#include "tiers/web/buffer.h"
#include <curl/curl.h>
#include <uv.h>

#define WEB_RETRY_AFTER_MAX_US (86400ll * US_PER_S) /* a later wish of a server is none */

#define WEB_WHY_SIZE 400u

struct web;
struct web *web_new(uv_loop_t *loop); /* NULL: no memory */
void web_close(struct web *web);
void web_free(struct web *web); /* after the loop has run on past close */

struct request;

/* What a handler does with an answer. ctx: request's `ctx`. */
struct request_ops {
    /* Bytes of the body of a 2xx answer, as they come. False: the request is ended, ctx knows why.
     */
    bool (*body)(void *ctx, const uint8_t *bytes, size_t count);
    /* Once: the HTTP status, or 0 and why. `error` is the body of an answer that is no 2xx, cut to
     * 600 bytes, or of a redirect where it leads: none is followed. Not called after request_drop.
     */
    void (*done)(void *ctx, long status, const char *why, const struct bytes *error);
};

struct request {
    struct web *web;
    const struct request_ops *ops;
    void *ctx;
    CURL *easy;
    struct curl_slist *headers;
    struct bytes error;
    char why[CURL_ERROR_SIZE];
    int64_t last_us;        /* boot clock: when something last came */
    int64_t retry_after_us; /* -1: not said */
    uint32_t cpu_ms;        /* said by the endpoint (Server-Timing: cpu;dur=); UINT32_MAX: not */
    char media[64];         /* Content-Type, printable; "": not said */
    bool active;
};

struct request_conf {
    const char *url, *method;
    const void *body; /* must outlive the request */
    size_t body_bytes;
    const char *const *headers; /* ends with NULL */
    const char *bearer;         /* NULL: none */
    const char *ca_file;        /* NULL: the authorities that the system trusts */
    int64_t connect_us, total_us;
};

/* False: `why` says what failed. The request is zeroed by the caller before the first start, and
 * may be started again after it was done. */
bool request_start(struct request *r, struct web *web, const struct request_conf *conf,
                   const struct request_ops *ops, void *ctx, char why[WEB_WHY_SIZE]);
void request_drop(struct request *r); /* ends it without a word; harmless when it is not active */

/* A line of the answer's head, `bytes` long: what of it concerns repetitions and costs. */
void web_header(struct request *r, const char *line, size_t bytes);
bool request_retriable(long status);
/* Backoff before attempt n (1: the first repetition), jittered; the server's wish wins. */
uint64_t request_backoff_ms(const struct request *r, uint32_t attempt);

/* The first line of a file, for bearer tokens. False: it cannot be read, or is empty. */
bool web_key(const char *file, char *ret, size_t size);

#endif
