#include "tiers/web/web.h"

#include "core/num.h"
#include "tiers/runner/clock.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define ERROR_KEPT      600u
#define CONNECTIONS_MAX 1024L
#define BACKOFF_MS      250u
#define BACKOFF_MOST_MS 30000u

struct web {
    uv_loop_t *loop;
    CURLM *multi;
    uv_timer_t timer;
    uint64_t draws; /* of jitter */
    bool closing;
};

struct web_socket {
    uv_poll_t poll;
    curl_socket_t fd;
    struct web *web;
};

/* ---- answers ---- */

/* Where an answer that is a redirect leads stands for its body. */
static void name_redirect(struct request *r)
{
    char text[400];
    const char *url = NULL;
    (void)curl_easy_getinfo(r->easy, CURLINFO_REDIRECT_URL, &url);
    if (url != NULL) {
        int n = snprintf(text, sizeof(text), "redirects to %.300s, which is not followed", url);
        r->error.count = 0;
        (void)bytes_add(&r->error, text, (size_t)n, ERROR_KEPT);
    }
}

/* libcurl calls a line of the header above its 100 KB the same as an allocation that fails. */
static const char *error_text(CURLcode code)
{
    return code == CURLE_OUT_OF_MEMORY ? "a line of its header above 100 KB, or no memory"
                                       : curl_easy_strerror(code);
}

static void take_done(struct web *web)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(web->multi, &left)) != NULL) {
        if (m->msg != CURLMSG_DONE) {
            continue;
        }
        struct request *r = NULL;
        long status = 0;
        CURLcode code = m->data.result;
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, (char **)&r);
        (void)curl_easy_getinfo(m->easy_handle, CURLINFO_RESPONSE_CODE, &status);
        char why[CURL_ERROR_SIZE];
        (void)snprintf(why, sizeof(why), "%s", r->why[0] != '\0' ? r->why : error_text(code));
        name_redirect(r);
        struct bytes error = r->error;
        r->error = (struct bytes){0};
        request_drop(r);
        r->ops->done(r->ctx, code == CURLE_OK ? status : 0, why, &error);
        bytes_done(&error);
    }
}

static size_t on_body(char *at, size_t size, size_t count, void *ctx)
{
    struct request *r = ctx;
    long status = 0;
    size_t bytes = size * count;
    r->last_us = clock_boot_us();
    (void)curl_easy_getinfo(r->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status < 200 || status > 299) {
        (void)bytes_add(&r->error, at, bytes, ERROR_KEPT);
        return bytes;
    }
    return r->ops->body(r->ctx, (const uint8_t *)at, bytes) ? bytes : 0;
}

static const char *header_value(const char *at, size_t bytes, const char *name)
{
    size_t n = strlen(name);
    return bytes > n && strncasecmp(at, name, n) == 0 && at[n] == ':' ? at + n + 1 : NULL;
}

static void take_media(struct request *r, const char *value)
{
    size_t n = 0;
    value += strspn(value, " \t");
    while (n + 1 < sizeof(r->media) && value[n] >= ' ' && value[n] <= '~') {
        r->media[n] = value[n];
        n++;
    }
    r->media[n] = '\0';
}

void web_header(struct request *r, const char *line, size_t bytes)
{
    char text[200];
    (void)snprintf(text, sizeof(text), "%.*s", (int)(bytes < 199 ? bytes : 199), line);
    const char *value = header_value(text, strlen(text), "Retry-After");
    if (value != NULL) {
        char *end;
        long s = strtol(value, &end, 10);
        if (end != value && s >= 0 && s <= WEB_RETRY_AFTER_MAX_US / US_PER_S) {
            r->retry_after_us = s * US_PER_S;
        } else {
            time_t when = curl_getdate(value, NULL);
            int64_t us = (int64_t)when * US_PER_S - clock_unix_us();
            r->retry_after_us = when > 0 && us > 0 && us <= WEB_RETRY_AFTER_MAX_US ? us : -1;
        }
    }
    value = header_value(text, strlen(text), "Content-Type");
    if (value != NULL) {
        take_media(r, value);
    }
    value = header_value(text, strlen(text), "Server-Timing");
    const char *cpu = value != NULL ? strstr(value, "cpu;dur=") : NULL;
    if (cpu != NULL) {
        double ms = strtod(cpu + 8, NULL);
        r->cpu_ms = ms >= 0 && ms < 1e9 ? (uint32_t)(ms + 0.999) : UINT32_MAX;
    }
}

static size_t on_header(char *at, size_t size, size_t count, void *ctx)
{
    struct request *r = ctx;
    r->last_us = clock_boot_us();
    web_header(r, at, size * count);
    return size * count;
}

/* ---- libcurl on libuv ---- */

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct web_socket *s = poll->data;
    struct web *web = s->web;
    int running;
    int flags = (events & UV_READABLE ? CURL_CSELECT_IN : 0) |
                (events & UV_WRITABLE ? CURL_CSELECT_OUT : 0);
    flags = status < 0 ? CURL_CSELECT_ERR : flags;
    (void)curl_multi_socket_action(web->multi, s->fd, flags, &running);
    take_done(web);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *ctx, void *socket_ctx)
{
    struct web *web = ctx;
    struct web_socket *s = socket_ctx;
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        if (s != NULL) {
            (void)curl_multi_assign(web->multi, fd, NULL);
            (void)uv_poll_stop(&s->poll);
            uv_close((uv_handle_t *)&s->poll, on_socket_closed);
        }
        return 0;
    }
    if (s == NULL) {
        s = calloc(1, sizeof(*s));
        if (s == NULL || uv_poll_init_socket(web->loop, &s->poll, fd) < 0) {
            free(s);
            return -1;
        }
        s->fd = fd;
        s->web = web;
        s->poll.data = s;
        (void)curl_multi_assign(web->multi, fd, s);
    }
    int events = (what & CURL_POLL_IN ? UV_READABLE : 0) | (what & CURL_POLL_OUT ? UV_WRITABLE : 0);
    return uv_poll_start(&s->poll, events, on_poll) < 0 ? -1 : 0;
}

static void on_timeout(uv_timer_t *timer)
{
    struct web *web = timer->data;
    int running;
    (void)curl_multi_socket_action(web->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    take_done(web);
}

static int on_timer(CURLM *multi, long ms, void *ctx)
{
    struct web *web = ctx;
    (void)multi;
    if (web->closing) {
        return 0;
    }
    if (ms < 0) {
        (void)uv_timer_stop(&web->timer);
    } else {
        (void)uv_timer_start(&web->timer, on_timeout, (uint64_t)ms, 0);
    }
    return 0;
}

struct web *web_new(uv_loop_t *loop)
{
    struct web *web = calloc(1, sizeof(*web));
    if (web == NULL || curl_global_init(CURL_GLOBAL_DEFAULT) != 0 ||
        (web->multi = curl_multi_init()) == NULL) {
        free(web);
        return NULL;
    }
    web->loop = loop;
    (void)uv_timer_init(loop, &web->timer);
    web->timer.data = web;
    (void)curl_multi_setopt(web->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    (void)curl_multi_setopt(web->multi, CURLMOPT_SOCKETDATA, web);
    (void)curl_multi_setopt(web->multi, CURLMOPT_TIMERFUNCTION, on_timer);
    (void)curl_multi_setopt(web->multi, CURLMOPT_TIMERDATA, web);
    (void)curl_multi_setopt(web->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, CONNECTIONS_MAX);
    return web;
}

void web_close(struct web *web)
{
    web->closing = true;
    (void)curl_multi_cleanup(web->multi); /* closes its sockets, and so their polls */
    uv_close((uv_handle_t *)&web->timer, NULL);
}

void web_free(struct web *web)
{
    free(web);
}

/* ---- requests ---- */

static bool headers_build(struct request *r, const struct request_conf *conf)
{
    for (const char *const *h = conf->headers; h != NULL && *h != NULL; h++) {
        struct curl_slist *more = curl_slist_append(r->headers, *h);
        if (more == NULL) {
            return false;
        }
        r->headers = more;
    }
    struct curl_slist *more = curl_slist_append(r->headers, "Expect:"); /* no wait for a 100 */
    r->headers = more != NULL ? more : r->headers;
    return more != NULL;
}

bool request_start(struct request *r, struct web *web, const struct request_conf *conf,
                   const struct request_ops *ops, void *ctx, char why[WEB_WHY_SIZE])
{
    assert(!r->active);
    *r = (struct request){.web = web,
                          .ops = ops,
                          .ctx = ctx,
                          .easy = curl_easy_init(),
                          .last_us = clock_boot_us(),
                          .retry_after_us = -1,
                          .cpu_ms = UINT32_MAX};
    if (r->easy == NULL || !headers_build(r, conf)) {
        (void)snprintf(why, WEB_WHY_SIZE, "no memory for a request");
        request_drop(r);
        return false;
    }
    CURL *e = r->easy;
    bool get = strcmp(conf->method, "GET") == 0;
    (void)curl_easy_setopt(e, CURLOPT_URL, conf->url);
    (void)curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(e, CURLOPT_HTTPHEADER, r->headers);
    (void)curl_easy_setopt(e, CURLOPT_USERAGENT, "mesh-30k");
    if (!get) {
        (void)curl_easy_setopt(e, CURLOPT_POST, 1L);
        (void)curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)conf->body_bytes);
        (void)curl_easy_setopt(e, CURLOPT_POSTFIELDS, conf->body_bytes > 0 ? conf->body : "");
        (void)curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, conf->method);
    }
    if (conf->ca_file != NULL) {
        (void)curl_easy_setopt(e, CURLOPT_CAINFO, conf->ca_file);
    }
    if (conf->bearer != NULL) {
        (void)curl_easy_setopt(e, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        (void)curl_easy_setopt(e, CURLOPT_XOAUTH2_BEARER, conf->bearer);
    }
    (void)curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(e, CURLOPT_WRITEDATA, r);
    (void)curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(e, CURLOPT_HEADERDATA, r);
    (void)curl_easy_setopt(e, CURLOPT_ERRORBUFFER, r->why);
    (void)curl_easy_setopt(e, CURLOPT_PRIVATE, r);
    (void)curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");
    (void)curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)(conf->connect_us / US_PER_MS));
    (void)curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)(conf->total_us / US_PER_MS) + 1);
    r->active = true;
    if (curl_multi_add_handle(web->multi, e) != CURLM_OK) {
        (void)snprintf(why, WEB_WHY_SIZE, "the HTTP client takes no more requests");
        request_drop(r);
        return false;
    }
    return true;
}

void request_drop(struct request *r)
{
    if (r->easy != NULL) {
        if (r->active) {
            (void)curl_multi_remove_handle(r->web->multi, r->easy);
        }
        curl_easy_cleanup(r->easy);
        r->easy = NULL;
    }
    curl_slist_free_all(r->headers);
    r->headers = NULL;
    bytes_done(&r->error);
    r->active = false;
}

bool request_retriable(long status)
{
    return status == 0 || status == 429 || status == 502 || status == 503 || status == 504;
}

uint64_t request_backoff_ms(const struct request *r, uint32_t attempt)
{
    uint64_t ms = BACKOFF_MS << (attempt < 8 ? attempt - 1 : 7);
    uint64_t key = r->web->draws++;
    ms = ms < BACKOFF_MOST_MS ? ms : BACKOFF_MOST_MS;
    ms = ms / 2 + num_hash64(&key, sizeof(key), 99) % ms;
    uint64_t wish = r->retry_after_us >= 0 ? (uint64_t)(r->retry_after_us / US_PER_MS) : 0;
    return wish > ms ? wish : ms;
}

bool web_key(const char *file, char *ret, size_t size)
{
    FILE *f = fopen(file, "re");
    bool good = f != NULL && fgets(ret, (int)size, f) != NULL;
    if (f != NULL) {
        (void)fclose(f);
    }
    if (good) {
        ret[strcspn(ret, "\r\n")] = '\0';
    }
    return good && ret[0] != '\0';
}
