/* libmicrohttpd with one thread of its own. By poll(2): with its (edge triggered) epoll it does not
 * notice that a client has gone which had sent a part of a request, and its place stays taken until
 * the timeout, while the next ones wait. The page is shared under a mutex that is held only for
 * a copy of some kilobytes, once a second by the loop and once a scrape by the server. */
#include "tiers/runner/metrics.h"

#include "tiers/runner/clock.h"
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Of this machine alone (loopback). Whoever says nothing for so long gives up its place, so that
 * /healthz waits no longer than that when all are taken by such. */
#define CONNECTIONS_MAX 64u
#define TIMEOUT_S       2u
#define LABEL_MAX       128u

struct metrics {
    struct MHD_Daemon *daemon;
    pthread_mutex_t lock;
    size_t used;
    bool ready;
    int64_t published_us;
    char page[METRICS_PAGE_MAX];
};

void page_reset(struct page *p)
{
    assert(p != NULL);
    p->used = 0;
    p->cut = false;
    p->text[0] = '\0';
    p->last[0] = '\0';
}

/* Appends what fits; false: nothing was appended. */
__attribute__((format(printf, 2, 3))) static bool append(struct page *p, const char *format, ...)
{
    size_t room = sizeof(p->text) - p->used;
    va_list list;
    va_start(list, format);
    int n = vsnprintf(p->text + p->used, room, format, list);
    va_end(list);
    if (n < 0 || (size_t)n >= room) {
        p->text[p->used] = '\0';
        return false;
    }
    p->used += (size_t)n;
    return true;
}

/* Backslash, quote and newline are escaped, as the format wants it. */
static void escape(const char *value, char ret[2 * LABEL_MAX + 1])
{
    size_t used = 0;
    for (const char *c = value; *c != '\0'; c++) {
        if (*c == '\\' || *c == '"' || *c == '\n') {
            ret[used++] = '\\';
        }
        ret[used++] = *c == '\n' ? 'n' : *c;
    }
    ret[used] = '\0';
}

static bool is_counter(const char *name)
{
    size_t bytes = strlen(name);
    return bytes > 6 && strcmp(name + bytes - 6, "_total") == 0;
}

static bool add_head(struct page *p, const char *name)
{
    if (strlen(name) >= sizeof(p->last)) {
        return false;
    }
    if (strcmp(p->last, name) == 0) {
        return true;
    }
    const char *help = metric_help(name);
    return (help == NULL || append(p, "# HELP mesh_%s %s\n", name, help)) &&
           append(p, "# TYPE mesh_%s %s\n", name, is_counter(name) ? "counter" : "gauge");
}

static bool add_sample(struct page *p, const char *name, const char *label, const char *value,
                       uint64_t number)
{
    char text[2 * LABEL_MAX + 1];
    if (label == NULL) {
        return append(p, "mesh_%s %" PRIu64 "\n", name, number);
    }
    if (strlen(value) > LABEL_MAX) {
        return false;
    }
    escape(value, text);
    return append(p, "mesh_%s{%s=\"%s\"} %" PRIu64 "\n", name, label, text, number);
}

/* Keeps what was added to the page after `before`, or takes it back whole. */
static void end_sample(struct page *p, const char *name, size_t before, bool whole)
{
    if (!whole) {
        p->used = before;
        p->text[before] = '\0';
        p->cut = true;
        return;
    }
    (void)snprintf(p->last, sizeof(p->last), "%s", name);
}

void page_add(struct page *p, const char *name, const char *label, const char *value,
              uint64_t number)
{
    assert(p != NULL && name != NULL);
    assert(label == NULL || value != NULL);
    size_t before = p->used;
    bool whole = add_head(p, name) && add_sample(p, name, label, value, number);
    end_sample(p, name, before, whole);
}

void page_add_seconds(struct page *p, const char *name, uint64_t us)
{
    assert(p != NULL && name != NULL);
    size_t before = p->used;
    bool whole = add_head(p, name) && append(p, "mesh_%s %" PRIu64 ".%06" PRIu64 "\n", name,
                                             us / 1000000u, us % 1000000u);
    end_sample(p, name, before, whole);
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, char *text,
                              size_t bytes)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(bytes, text, free);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                  "text/plain; version=0.0.4");
    if (status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        (void)MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    enum MHD_Result result = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return result;
}

static enum MHD_Result on_request(void *ctx, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_bytes, void **state)
{
    struct metrics *m = ctx;
    (void)version;
    (void)upload;
    (void)upload_bytes;
    (void)state;
    unsigned status = MHD_HTTP_OK;
    size_t bytes = 3;
    char *text = malloc(METRICS_PAGE_MAX);
    if (text == NULL) {
        return MHD_NO;
    }
    memcpy(text, "ok\n", 4);
    (void)pthread_mutex_lock(&m->lock);
    bool alive = clock_boot_us() - m->published_us < METRICS_STALE_S * 1000000ll;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0) {
        status = MHD_HTTP_METHOD_NOT_ALLOWED;
    } else if (strcmp(url, "/metrics") == 0) {
        bytes = m->used;
        memcpy(text, m->page, bytes);
    } else if (strcmp(url, "/healthz") == 0) {
        status = alive ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    } else if (strcmp(url, "/readyz") == 0) {
        status = alive && m->ready ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE;
    } else {
        status = MHD_HTTP_NOT_FOUND;
    }
    (void)pthread_mutex_unlock(&m->lock);
    if (status != MHD_HTTP_OK) {
        bytes = (size_t)snprintf(text, METRICS_PAGE_MAX, "%u\n", status);
    }
    return answer(connection, status, text, bytes);
}

int metrics_start(uint16_t port, struct metrics **ret)
{
    assert(port > 0);
    assert(ret != NULL);
    struct metrics *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return -ENOMEM;
    }
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)pthread_mutex_init(&m->lock, NULL);
    errno = 0;
    m->daemon = MHD_start_daemon(MHD_USE_POLL_INTERNAL_THREAD, port, NULL, NULL, on_request, m,
                                 MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
                                 MHD_OPTION_CONNECTION_LIMIT, CONNECTIONS_MAX,
                                 MHD_OPTION_CONNECTION_TIMEOUT, TIMEOUT_S, MHD_OPTION_END);
    if (m->daemon == NULL) {
        int error = errno != 0 ? -errno : -EIO;
        (void)pthread_mutex_destroy(&m->lock);
        free(m);
        return error;
    }
    *ret = m;
    return 0;
}

void metrics_stop(struct metrics *m)
{
    if (m == NULL) {
        return;
    }
    MHD_stop_daemon(m->daemon);
    (void)pthread_mutex_destroy(&m->lock);
    free(m);
}

void metrics_publish(struct metrics *m, const char *page, size_t bytes, bool ready)
{
    assert(m != NULL && page != NULL);
    assert(bytes < METRICS_PAGE_MAX);
    (void)pthread_mutex_lock(&m->lock);
    memcpy(m->page, page, bytes);
    m->used = bytes;
    m->ready = ready;
    m->published_us = clock_boot_us();
    (void)pthread_mutex_unlock(&m->lock);
}
