/* libFuzzer: HTTP from outside. The first byte picks: a request to the metrics server of a process,
 * byte for byte over its socket; the stream of events that a model's server answers with, cut
 * anywhere; or a line of the head of such an answer. The server has to answer the next honest
 * request; the events are the same however they were cut; what a head says stays in bounds. */
#include "tiers/runner/clock.h"
#include "tiers/runner/metrics.h"
#include "tiers/web/web.h"
#include "tiers/work/sse.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define DIALS_MOST 500u

static uint16_t port;

static void server_start(void)
{
    struct metrics *metrics;
    uint16_t first = (uint16_t)(20000 + getpid() % 20000);
    for (port = first; metrics_start(port, &metrics) != 0; port++) {
        if (port == first + 500) {
            abort();
        }
    }
    static struct page page;
    page_reset(&page);
    page_add(&page, "rss_bytes", NULL, NULL, 1);
    metrics_publish(metrics, page.text, page.used, true);
}

/* NULL: connected. Else errno's text. */
static const char *connect_once(int64_t wait_us, int *ret)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    struct linger linger = {.l_onoff = 1}; /* no port stays behind */
    struct timeval patience = {.tv_sec = wait_us / 1000000, .tv_usec = wait_us % 1000000};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
        connect(fd, (const struct sockaddr *)&to, sizeof(to)) < 0) {
        const char *why = strerror(errno);
        if (fd >= 0) {
            (void)close(fd);
        }
        return why;
    }
    *ret = fd;
    return NULL;
}

/* wait_us: for each piece of the answer. The fuzzer's own alarm interrupts a connect, and a port of
 * this machine may be taken for a moment; a server that cannot be reached for seconds is gone. */
static int dial(int64_t wait_us)
{
    int fd = -1;
    const char *why = connect_once(wait_us, &fd);
    for (unsigned again = 0; why != NULL && again < DIALS_MOST; again++) {
        (void)usleep(10000);
        why = connect_once(wait_us, &fd);
    }
    if (why != NULL) {
        (void)fprintf(stderr, "fuzz_http: no connection to port %u: %s\n", port, why);
        abort();
    }
    return fd;
}

/* What comes until the server closes, or says no more for so long. */
static size_t answer(int fd, char *ret, size_t room)
{
    size_t used = 0;
    for (ssize_t n = 1; n > 0 && used < room;) {
        n = recv(fd, ret + used, room - used, 0);
        used += n > 0 ? (size_t)n : 0;
    }
    return used;
}

static void request(const uint8_t *data, size_t size)
{
    static char got[METRICS_PAGE_MAX];
    int fd = dial(2000); /* half a request has no answer: it is not waited for */
    (void)send(fd, data, size, MSG_NOSIGNAL);
    (void)shutdown(fd, SHUT_WR);
    size_t n = answer(fd, got, sizeof(got));
    if (n >= 5 && memcmp(got, "HTTP/", 5) != 0) {
        abort(); /* whatever it is, it is an answer */
    }
    (void)close(fd);
    static unsigned rounds;
    if (rounds++ % 64 == 0) { /* and an honest one is served */
        static const char honest[] = "GET /nothing HTTP/1.0\r\n\r\n";
        fd = dial(8000000);
        (void)send(fd, honest, sizeof(honest) - 1, MSG_NOSIGNAL);
        n = answer(fd, got, sizeof(got));
        if (n < 12 || memcmp(got + 8, " 404", 4) != 0) {
            abort();
        }
        (void)close(fd);
    }
}

struct events {
    uint64_t digest;
    size_t count;
};

static bool take(void *ctx, const char *data, size_t count)
{
    struct events *e = ctx;
    e->digest = e->digest * 31u + count;
    for (size_t i = 0; i < count; i++) {
        e->digest = e->digest * 31u + (uint8_t)data[i];
    }
    return ++e->count < 1000;
}

static struct events feed(const uint8_t *data, size_t size, size_t step, bool *ret_good)
{
    struct sse sse = {0};
    struct events e = {0};
    *ret_good = true;
    for (size_t at = 0; at < size && *ret_good; at += step) {
        *ret_good = sse_feed(&sse, data + at, size - at < step ? size - at : step, take, &e);
    }
    sse_done(&sse);
    return e;
}

static void head(const uint8_t *data, size_t size)
{
    char *line = malloc(size); /* its end is watched */
    struct request r = {.retry_after_us = -1, .cpu_ms = UINT32_MAX};
    if (line == NULL) {
        abort();
    }
    memcpy(line, data, size);
    web_header(&r, line, size);
    if (r.retry_after_us < -1 || r.retry_after_us > WEB_RETRY_AFTER_MAX_US ||
        (r.cpu_ms > 1000000000u && r.cpu_ms != UINT32_MAX)) {
        abort();
    }
    free(line);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (port == 0) {
        server_start();
    }
    if (size < 2) {
        return 0;
    }
    if (data[0] % 2 == 0) {
        request(data + 1, size - 1);
        return 0;
    }
    if (data[0] % 4 == 3) {
        head(data + 1, size - 1);
        return 0;
    }
    bool whole, cut;
    struct events a = feed(data + 2, size - 2, size, &whole);
    struct events b = feed(data + 2, size - 2, 1u + data[1] % 7u, &cut);
    if (whole != cut || (whole && (a.digest != b.digest || a.count != b.count))) {
        abort();
    }
    return 0;
}
