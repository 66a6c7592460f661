/* The metrics server over real loopback sockets, and the pages it serves against a small strict
 * reader of the Prometheus text format. */
#include "tiers/runner/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define CLIENTS 100

static uint16_t port;
static struct metrics *metrics;
static struct page page;
static char reply[METRICS_PAGE_MAX + 4096];

/* A socket bound to a free port of 127.0.0.1; listening, or not. */
static int take_port(uint16_t *ret, bool listens)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &length), 0);
    assert_true(!listens || listen(fd, 4) == 0);
    *ret = ntohs(a.sin_port);
    return fd;
}

static int setup(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) { /* another process may be quicker */
        (void)close(take_port(&port, false));
        if (metrics_start(port, &metrics) == 0) {
            page_reset(&page);
            return 0;
        }
    }
    return -1;
}

static int teardown(void **state)
{
    (void)state;
    metrics_stop(metrics);
    metrics = NULL;
    return 0;
}

static int dial(void)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = 20};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static void say(int fd, const void *bytes, size_t count)
{
    (void)send(fd, bytes, count, MSG_NOSIGNAL); /* it may have been closed: that is an answer */
}

/* Reads to the end; the status, 0 when there was none. Fails when nothing ends within 20 s. */
static int hear(int fd, const char **ret_body)
{
    size_t used = 0;
    ssize_t n;
    int status = 0;
    while ((n = recv(fd, reply + used, sizeof(reply) - 1 - used, 0)) > 0) {
        used += (size_t)n;
    }
    assert_true(n == 0 || errno == ECONNRESET);
    (void)close(fd);
    reply[used] = '\0';
    if (strncmp(reply, "HTTP/1.", 7) == 0) {
        status = (int)strtol(reply + 9, NULL, 10);
    }
    char *end = strstr(reply, "\r\n\r\n");
    if (ret_body != NULL) {
        *ret_body = end != NULL ? end + 4 : "";
    }
    return status;
}

static int request(const char *method, const char *path, const char **ret_body)
{
    char text[512];
    int fd = dial();
    int n = snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
                     method, path);
    say(fd, text, (size_t)n);
    return hear(fd, ret_body);
}

static void publish(bool ready)
{
    metrics_publish(metrics, page.text, page.used, ready);
}

/* ---- a strict reader of the text format ---- */

struct sample {
    char name[64], label[64], value[300];
    uint64_t number;
};

static size_t name_bytes(const char *at)
{
    size_t n = 0;
    while ((at[n] >= 'a' && at[n] <= 'z') || at[n] == '_' ||
           (n > 0 && at[n] >= '0' && at[n] <= '9')) {
        n++;
    }
    return n;
}

/* One line; a HELP or TYPE line sets type, the latter ret_counter as well. */
static const char *read_line(const char *at, struct sample *s, char type[64], bool *ret_counter)
{
    char kind[16];
    memset(s, 0, sizeof(*s));
    if (strncmp(at, "# HELP ", 7) == 0) {
        assert_int_equal(sscanf(at, "# HELP mesh_%58s %15s", s->name, kind), 2);
        assert_non_null(metric_help(s->name));
        return strchr(at, '\n') + 1;
    }
    if (*at == '#') {
        assert_int_equal(sscanf(at, "# TYPE %63s %15s", type, kind), 2);
        assert_int_equal(name_bytes(type), strlen(type));
        *ret_counter = strcmp(kind, "counter") == 0;
        assert_true(*ret_counter || strcmp(kind, "gauge") == 0);
        return strchr(at, '\n') + 1;
    }
    size_t n = name_bytes(at);
    assert_in_range(n, 1, sizeof(s->name) - 1);
    memcpy(s->name, at, n);
    at += n;
    if (*at == '{') {
        at++;
        n = name_bytes(at);
        assert_in_range(n, 1, sizeof(s->label) - 1);
        memcpy(s->label, at, n);
        at += n;
        assert_memory_equal(at, "=\"", 2);
        at += 2;
        for (n = 0; *at != '"'; at++) {
            assert_true(*at != '\0' && *at != '\n');
            if (*at == '\\') {
                at++;
                assert_true(*at == '\\' || *at == '"' || *at == 'n');
            }
            s->value[n++] = at[-1] == '\\' && *at == 'n' ? '\n' : *at;
        }
        assert_memory_equal(at, "\"}", 2);
        at += 2;
    }
    assert_true(*at == ' ' && at[1] >= '0' && at[1] <= '9');
    char *end;
    s->number = strtoull(at + 1, &end, 10);
    assert_int_equal(*end, '\n');
    return end + 1;
}

/* Reads all; every sample has a TYPE, told once, and a counter's name ends in _total. */
static size_t read_page(const char *text, struct sample *ret, size_t room)
{
    char type[64] = "", told[32][64];
    bool counter = false;
    size_t count = 0, types = 0;
    while (*text != '\0') {
        struct sample s;
        bool type_line = strncmp(text, "# TYPE ", 7) == 0, help_line = !type_line && *text == '#';
        text = read_line(text, &s, type, &counter);
        if (help_line) {
            continue;
        }
        if (type_line) {
            for (size_t i = 0; i < types; i++) {
                assert_string_not_equal(told[i], type);
            }
            assert_true(types < 32);
            memcpy(told[types++], type, sizeof(type));
            size_t n = strlen(type);
            assert_true(counter == (n > 6 && strcmp(type + n - 6, "_total") == 0));
            continue;
        }
        assert_string_equal(s.name, type);
        assert_memory_equal(s.name, "mesh_", 5);
        assert_true(count < room);
        ret[count++] = s;
    }
    return count;
}

/* ---- pages ---- */

static void a_page_is_prometheus_text(void **state)
{
    (void)state;
    struct sample samples[8];
    page_reset(&page);
    page_add(&page, "nodes", NULL, NULL, 3);
    page_add(&page, "bus_dropped_total", "reason", "slow", UINT64_MAX);
    page_add(&page, "bus_dropped_total", "reason", "down", 0);
    page_add(&page, "totals", NULL, NULL, 1);
    assert_false(page.cut);
    assert_int_equal(page.used, strlen(page.text));
    assert_int_equal(read_page(page.text, samples, 8), 4);
    assert_string_equal(samples[0].name, "mesh_nodes");
    assert_int_equal(samples[0].number, 3);
    assert_string_equal(samples[1].label, "reason");
    assert_string_equal(samples[1].value, "slow");
    assert_true(samples[1].number == UINT64_MAX);
    assert_string_equal(samples[2].value, "down");
    page_reset(&page);
    assert_int_equal(page.used, 0);
    page_add(&page, "totals", NULL, NULL, 2); /* its type is told again on the next page */
    assert_string_equal(page.text, "# TYPE mesh_totals gauge\nmesh_totals 2\n");
}

/* Every metric there is, held to the conventions by Prometheus's own tool. */
static void promtool_finds_nothing(void **state)
{
    (void)state;
    size_t count = 0;
    page_reset(&page);
    for (const struct metric_info *m = metric_at(0); m != NULL; m = metric_at(++count)) {
        size_t bytes = strlen(m->name);
        for (size_t i = 0; i < count; i++) {
            assert_string_not_equal(metric_at(i)->name, m->name);
        }
        if (bytes > 8 && strcmp(m->name + bytes - 8, "_seconds") == 0) {
            page_add_seconds(&page, m->name, 1500);
        } else {
            page_add(&page, m->name, "reason", "x", count);
        }
    }
    assert_true(count > 80 && !page.cut);
    assert_null(metric_help("no_such_metric"));
    assert_non_null(strstr(page.text, "\n# HELP mesh_nodes Nodes that run here.\n"
                                      "# TYPE mesh_nodes gauge\nmesh_nodes{reason=\"x\"} "));
    assert_non_null(strstr(page.text, "\nmesh_loop_lag_seconds 0.001500\n"));
    FILE *tool = popen("promtool check metrics >&2", "we");
    assert_non_null(tool);
    assert_int_equal(fwrite(page.text, 1, page.used, tool), page.used);
    assert_int_equal(pclose(tool), 0);
    /* And it does find what is not by them. */
    tool = popen("promtool check metrics >/dev/null 2>&1", "we");
    assert_non_null(tool);
    assert_true(fputs("# TYPE mesh_lag_us gauge\nmesh_lag_us 1\n", tool) > 0);
    assert_int_not_equal(pclose(tool), 0);
}

static void label_values_are_escaped(void **state)
{
    (void)state;
    struct sample samples[4];
    char most[129], more[130];
    memset(most, '"', 128);
    most[128] = '\0';
    memset(more, 'x', 129);
    more[129] = '\0';
    page_reset(&page);
    page_add(&page, "info", "why", "a \"quote\", a \\ and\na line", 1);
    page_add(&page, "info", "why", "", 2);
    page_add(&page, "info", "why", most, 3);
    assert_false(page.cut);
    page_add(&page, "info", "why", more, 4);
    assert_true(page.cut);
    assert_int_equal(read_page(page.text, samples, 4), 3);
    assert_string_equal(samples[0].value, "a \"quote\", a \\ and\na line");
    assert_string_equal(samples[1].value, "");
    assert_string_equal(samples[2].value, most);
}

/* What does not fit is left out in whole lines, and said. */
static void a_full_page_ends_with_a_whole_line(void **state)
{
    (void)state;
    static struct sample samples[4096];
    char value[16];
    unsigned added = 0;
    page_reset(&page);
    while (!page.cut) {
        (void)snprintf(value, sizeof(value), "v%u", added);
        page_add(&page, "bus_dropped_total", "reason", value, added);
        added++;
    }
    assert_in_range(page.used, METRICS_PAGE_MAX - 100, METRICS_PAGE_MAX - 1);
    assert_int_equal(page.used, strlen(page.text));
    assert_int_equal(read_page(page.text, samples, 4096), added - 1);
    assert_int_equal(samples[added - 2].number, added - 2);
    size_t used = page.used;
    page_add(&page, "a_name_whose_type_line_fits_no_more_either_because_it_is_so_long_itself", NULL,
             NULL, 1);
    assert_int_equal(page.used, used);
}

/* ---- the server ---- */

static void it_serves_the_last_page(void **state)
{
    (void)state;
    const char *body;
    struct sample samples[4];
    page_add(&page, "nodes", NULL, NULL, 1);
    publish(true);
    page_reset(&page); /* it has its own copy */
    assert_int_equal(request("GET", "/metrics", &body), 200);
    assert_non_null(strstr(reply, "Content-Type: text/plain; version=0.0.4\r\n"));
    assert_int_equal(read_page(body, samples, 4), 1);
    page_add(&page, "nodes", NULL, NULL, 2);
    publish(true);
    assert_int_equal(request("GET", "/metrics", &body), 200);
    assert_int_equal(read_page(body, samples, 4), 1);
    assert_int_equal(samples[0].number, 2);
    assert_int_equal(request("GET", "/metrics?x=1", &body), 200);
    /* The largest page there can be. */
    page_reset(&page);
    memset(page.text, '\n', METRICS_PAGE_MAX - 1);
    page.used = METRICS_PAGE_MAX - 1;
    publish(true);
    assert_int_equal(request("GET", "/metrics", &body), 200);
    assert_int_equal(strlen(body), METRICS_PAGE_MAX - 1);
}

static void health_and_readiness(void **state)
{
    (void)state;
    const char *body;
    assert_int_equal(request("GET", "/healthz", &body), 503); /* no page yet */
    assert_string_equal(body, "503\n");
    assert_int_equal(request("GET", "/readyz", &body), 503);
    assert_int_equal(request("GET", "/metrics", &body), 200);
    assert_string_equal(body, "");
    publish(false);
    assert_int_equal(request("GET", "/healthz", &body), 200);
    assert_string_equal(body, "ok\n");
    assert_int_equal(request("GET", "/readyz", &body), 503);
    publish(true);
    assert_int_equal(request("GET", "/readyz", &body), 200);
    assert_string_equal(body, "ok\n");
    publish(false);
    assert_int_equal(request("GET", "/readyz", &body), 503);
}

/* A loop that stands still publishes nothing: both turn to 503 by themselves. */
static void a_loop_that_hangs_is_seen(void **state)
{
    (void)state;
    publish(true);
    assert_int_equal(request("GET", "/healthz", NULL), 200);
    (void)usleep(METRICS_STALE_S * 1000000 + 100000);
    assert_int_equal(request("GET", "/healthz", NULL), 503);
    assert_int_equal(request("GET", "/readyz", NULL), 503);
    publish(true);
    assert_int_equal(request("GET", "/healthz", NULL), 200);
}

static void unknown_paths_and_methods(void **state)
{
    (void)state;
    static const char *const paths[] = {"/",          "/metric",   "/metrics/",    "/METRICS",
                                        "/healthz/x", "//metrics", "/..%2fmetrics"};
    static const char *const methods[] = {"POST", "PUT", "DELETE", "PATCH", "OPTIONS", "X"};
    const char *body;
    publish(true);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        assert_int_equal(request("GET", paths[i], &body), 404);
        assert_string_equal(body, "404\n");
    }
    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
        assert_int_equal(request(methods[i], "/metrics", &body), 405);
        assert_non_null(strstr(reply, "Allow: GET, HEAD\r\n"));
    }
    page_add(&page, "nodes", NULL, NULL, 1);
    publish(true);
    assert_int_equal(request("HEAD", "/metrics", &body), 200);
    assert_string_equal(body, "");
}

static void many_connections_at_once(void **state)
{
    (void)state;
    static int fds[CLIENTS];
    struct sample samples[4];
    const char *body;
    page_add(&page, "nodes", NULL, NULL, 42);
    publish(true);
    for (int i = 0; i < CLIENTS; i++) {
        static const char text[] = "GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        fds[i] = dial();
        say(fds[i], text, sizeof(text) - 1);
    }
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(hear(fds[i], &body), 200);
        assert_int_equal(read_page(body, samples, 4), 1);
        assert_int_equal(samples[0].number, 42);
    }
    for (int i = 0; i < CLIENTS; i++) {
        assert_int_equal(request("GET", "/healthz", NULL), 200);
    }
}

/* Whole seconds until /healthz has answered. */
static int64_t healthy_after_s(void)
{
    struct timespec from, to;
    (void)clock_gettime(CLOCK_MONOTONIC, &from);
    assert_int_equal(request("GET", "/healthz", NULL), 200);
    (void)clock_gettime(CLOCK_MONOTONIC, &to);
    return to.tv_sec - from.tv_sec;
}

/* Connections that never say anything take room from others for their time-out (2 s) at most, and
 * 60 of them none: others are served beside them. */
static void silent_connections_are_dropped(void **state)
{
    (void)state;
    static const int counts[] = {60, 80};
    int fds[80];
    for (int k = 0; k < 2; k++) {
        publish(true);
        for (int i = 0; i < counts[k]; i++) {
            fds[i] = dial();
        }
        assert_in_range(healthy_after_s(), 0, 4);
        for (int i = 0; i < counts[k]; i++) {
            (void)close(fds[i]);
        }
    }
}

/* Who has gone within a request takes nobody's place: 300 of them, and the next is served at once.
 */
static void clients_that_went_are_forgotten(void **state)
{
    (void)state;
    int fds[300];
    publish(true);
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        fds[i] = dial();
        say(fds[i], "GET /m", 6);
    }
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        (void)close(fds[i]);
    }
    assert_in_range(healthy_after_s(), 0, 4); /* not the time-outs of 64 after 64 of them */
}

static void garbage_does_not_harm(void **state)
{
    (void)state;
    static char bytes[100000];
    static const char *const texts[] = {
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET /metrics\r\n\r\n",
        "GET /metrics HTTP/9.9\r\n\r\n",
        "GET /metrics HTTP/1.1\r\n\r\n", /* no Host */
        "GET /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        "POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzzz\r\n",
        "\x16\x03\x01\x02\x01\x01\xfc\x03\x03 a TLS hello",
    };
    enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };
    int fds[TEXTS];
    publish(true);
    for (size_t i = 0; i < TEXTS; i++) {
        fds[i] = dial();
        say(fds[i], texts[i], strlen(texts[i]));
        (void)shutdown(fds[i], SHUT_WR);
        assert_int_equal(request("GET", "/healthz", NULL), 200);
    }
    for (size_t i = 0; i < TEXTS; i++) { /* some wait for the time-out */
        int status = hear(fds[i], NULL);
        /* A lenient server may read two of them as /metrics; none is more than that. */
        assert_true(status == 0 || status == 200 || (status >= 400 && status <= 505));
    }
    uint32_t x = 12345;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        x = x * 1664525u + 1013904223u;
        bytes[i] = (char)(x >> 24);
    }
    for (int i = 0; i < 50; i++) { /* noise, and lines without an end */
        int fd = dial();
        if (i % 2 == 1) {
            memset(bytes, 'A', sizeof(bytes));
            memcpy(bytes, "GET /", 5);
        }
        say(fd, bytes + (i % 2 == 0 ? i * 64 : 0), 60000);
        (void)shutdown(fd, SHUT_WR);
        assert_true(hear(fd, NULL) != 200);
    }
    publish(true);
    assert_int_equal(request("GET", "/healthz", NULL), 200);
}

static void a_port_in_use_is_a_clear_error(void **state)
{
    (void)state;
    uint16_t taken;
    struct metrics *second = (struct metrics *)&page; /* untouched on failure */
    int fd = take_port(&taken, true);
    assert_int_equal(metrics_start(taken, &second), -EADDRINUSE);
    assert_int_equal(metrics_start(port, &second), -EADDRINUSE); /* our own */
    assert_ptr_equal(second, &page);
    (void)close(fd);
    publish(true);
    assert_int_equal(request("GET", "/healthz", NULL), 200);
    metrics_stop(NULL);
    /* After a stop the port is free at once. */
    metrics_stop(metrics);
    assert_int_equal(metrics_start(port, &metrics), 0);
}

/* On loopback only. */
static void it_listens_on_loopback_only(void **state)
{
    (void)state;
    char line[256], wanted[32];
    bool found = false;
    FILE *file = fopen("/proc/self/net/tcp", "re");
    assert_non_null(file);
    (void)snprintf(wanted, sizeof(wanted), "%08X:%04X 00000000:0000 0A", htonl(INADDR_LOOPBACK),
                   port);
    while (fgets(line, sizeof(line), file) != NULL) {
        found = found || strstr(line, wanted) != NULL;
    }
    (void)fclose(file);
    assert_true(found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_page_is_prometheus_text),
        cmocka_unit_test(promtool_finds_nothing),
        cmocka_unit_test(label_values_are_escaped),
        cmocka_unit_test(a_full_page_ends_with_a_whole_line),
        cmocka_unit_test_setup_teardown(it_serves_the_last_page, setup, teardown),
        cmocka_unit_test_setup_teardown(health_and_readiness, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loop_that_hangs_is_seen, setup, teardown),
        cmocka_unit_test_setup_teardown(unknown_paths_and_methods, setup, teardown),
        cmocka_unit_test_setup_teardown(many_connections_at_once, setup, teardown),
        cmocka_unit_test_setup_teardown(silent_connections_are_dropped, setup, teardown),
        cmocka_unit_test_setup_teardown(clients_that_went_are_forgotten, setup, teardown),
        cmocka_unit_test_setup_teardown(garbage_does_not_harm, setup, teardown),
        cmocka_unit_test_setup_teardown(a_port_in_use_is_a_clear_error, setup, teardown),
        cmocka_unit_test_setup_teardown(it_listens_on_loopback_only, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
