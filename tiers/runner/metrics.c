/* libmicrohttpd with one thread of its own. The page is shared under a mutex that is held only for
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS_MAX 16u
#define TIMEOUT_S       5u

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
}

void page_add(struct page *p, const char *name, const char *label, const char *value,
              uint64_t number)
{
    assert(p != NULL && name != NULL);
    assert(label == NULL || value != NULL);
    char line[256];
    int n = label == NULL ? snprintf(line, sizeof(line), "mesh_%s %" PRIu64 "\n", name, number)
                          : snprintf(line, sizeof(line), "mesh_%s{%s=\"%s\"} %" PRIu64 "\n", name,
                                     label, value, number);
    if (n <= 0 || (size_t)n >= sizeof(line) || p->used + (size_t)n >= sizeof(p->text)) {
        p->cut = true;
        return;
    }
    memcpy(p->text + p->used, line, (size_t)n + 1);
    p->used += (size_t)n;
}

static enum MHD_Result answer(struct MHD_Connection *connection, unsigned status, const char *text,
                              size_t bytes)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(bytes, (void *)(uintptr_t)text, free);
    if (response == NULL) {
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE,
                                  "text/plain; version=0.0.4");
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
    if (strcmp(method, "GET") != 0) {
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
    m->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, port, NULL, NULL, on_request, m,
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
