/* The bus over a real nats-server of its own on a free loopback port: order, link events, a server
 * that is absent, killed, restarted or stopped, and a close at any moment. */
#include "tiers/runner/bus.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GUARD_MS 30000
#define FRAMES   20000u

struct end {
    struct bus *bus;
    bool up, closed, wrong_order, wrong_route, keep;
    unsigned ups, downs, received;
    uint32_t next;
    void *kept;
    const uint8_t *kept_bytes;
    size_t kept_length;
    struct endpoint from, to;
    char why[128];
};

static uv_loop_t loop;
static uv_timer_t guard;
static bool timed_out;
static int port;
static pid_t server;
static char url[64];

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &length), 0);
    (void)close(fd);
    return ntohs(a.sin_port);
}

static void server_start(void)
{
    char text[16];
    (void)snprintf(text, sizeof(text), "%d", port);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        int null = open("/dev/null", O_WRONLY);
        (void)dup2(null, 2);
        (void)execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", text, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 500; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int rc = connect(fd, (struct sockaddr *)&a, sizeof(a));
        (void)close(fd);
        if (rc == 0)
            return;
        int status;
        if (waitpid(server, &status, WNOHANG) == server) {
            server = 0;
            fail_msg("nats-server did not start (status %d): install the package nats-server",
                     WIFEXITED(status) ? WEXITSTATUS(status) : -1);
        }
        (void)usleep(10000);
    }
    fail_msg("nats-server does not listen on 127.0.0.1:%d", port);
}

static void server_kill(void)
{
    if (server <= 0)
        return;
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    server = 0;
}

static void on_frame(void *ctx, struct bus_frame *frame)
{
    struct end *e = ctx;
    uint32_t number;
    e->received++;
    if (!endpoint_equal(&frame->route.source, &e->from) ||
        !(endpoint_is_broadcast(&frame->route.destination) ||
          endpoint_equal(&frame->route.destination, &e->to)) ||
        frame->recv_us <= 0)
        e->wrong_route = true;
    memcpy(&number, frame->bytes, sizeof(number));
    if (number != e->next++)
        e->wrong_order = true;
    if (e->keep) {
        e->keep = false;
        e->kept_bytes = frame->bytes;
        e->kept_length = frame->length;
        e->kept = bus_keep(frame);
    }
}

static void on_link(void *ctx, bool up, const char *why)
{
    struct end *e = ctx;
    assert_true(up != e->up ||
                (!up && e->ups + e->downs == 0)); /* changes, and the first failure */
    e->up = up;
    *(up ? &e->ups : &e->downs) += 1;
    (void)snprintf(e->why, sizeof(e->why), "%s", why);
}

static void on_closed(void *ctx)
{
    struct end *e = ctx;
    e->closed = true;
}

static void end_open(struct end *e, const char *token, const char *peer)
{
    memset(e, 0, sizeof(*e));
    assert_true(endpoint_make(peer, strlen(peer), 7, &e->from));
    assert_true(endpoint_make(token, strlen(token), 9, &e->to));
    struct bus_config config = {.loop = &loop,
                                .url = url,
                                .token = token,
                                .on_frame = on_frame,
                                .on_link = on_link,
                                .ctx = e};
    assert_int_equal(bus_new(&config, &e->bus), 0);
}

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    timed_out = true;
}

/* Turns the loop until the condition holds; fails the test after GUARD_MS. */
#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        timed_out = false;                                                                         \
        assert_int_equal(uv_timer_start(&guard, on_guard, GUARD_MS, 0), 0);                        \
        while (!(condition) && !timed_out)                                                         \
            (void)uv_run(&loop, UV_RUN_ONCE);                                                      \
        (void)uv_timer_stop(&guard);                                                               \
        assert_true(condition);                                                                    \
    } while (0)

static void end_close(struct end *e)
{
    bus_close(e->bus, on_closed, e);
    RUN_UNTIL(e->closed);
}

static enum bus_verdict send_number(struct end *from, const struct end *to, uint32_t number,
                                    size_t length)
{
    static uint8_t bytes[60000];
    struct route route = {to->from, to->to};
    memcpy(bytes, &number, sizeof(number));
    return bus_publish(from->bus, &route, bytes, length);
}

static void test_exchange_in_order(void **state)
{
    (void)state;
    server_start();
    struct end a, b;
    end_open(&a, "proc-a", "proc-b");
    end_open(&b, "proc-b", "proc-a");
    RUN_UNTIL(a.up && b.up);
    /* Sizes vary; both directions at once; full is answered, not lost. */
    uint32_t sent_a = 0, sent_b = 0;
    bool full = false;
    timed_out = false;
    assert_int_equal(uv_timer_start(&guard, on_guard, GUARD_MS, 0), 0);
    while ((a.received < FRAMES || b.received < FRAMES) && !timed_out) {
        for (int i = 0; i < 200 && sent_a < FRAMES; i++) {
            enum bus_verdict v = send_number(&a, &b, sent_a, 4 + sent_a * 37u % 3000u);
            full = full || v == BUS_FULL;
            if (v != BUS_OK)
                break;
            sent_a++;
        }
        for (int i = 0; i < 200 && sent_b < FRAMES; i++) {
            if (send_number(&b, &a, sent_b, 4 + sent_b % 500u) != BUS_OK)
                break;
            sent_b++;
        }
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    (void)uv_timer_stop(&guard);
    assert_int_equal(a.received, FRAMES);
    assert_int_equal(b.received, FRAMES);
    assert_false(a.wrong_order || b.wrong_order || a.wrong_route || b.wrong_route);
    struct bus_stats stats;
    bus_stats(a.bus, &stats);
    assert_int_equal(stats.published, FRAMES);
    assert_int_equal(stats.received, FRAMES);
    assert_int_equal(stats.dropped_slow + stats.dropped_subject, 0);
    assert_int_equal(stats.connects, 1);
    assert_true(stats.probe_us > 0);
    end_close(&a);
    end_close(&b);
    server_kill();
}

static void test_broadcast_keep_and_cap(void **state)
{
    (void)state;
    server_start();
    struct end a, b;
    end_open(&a, "proc-a", "proc-b");
    end_open(&b, "proc-b", "proc-a");
    RUN_UNTIL(a.up && b.up);
    struct route all = {.source = b.from};
    uint8_t bytes[64] = {0};
    bytes[63] = 0x5a;
    b.keep = true;
    a.from = b.from; /* a hears its own broadcast, too */
    assert_int_equal(bus_publish(a.bus, &all, bytes, sizeof(bytes)), BUS_OK);
    bus_flush(a.bus);
    RUN_UNTIL(b.received == 1 && a.received == 1);
    assert_false(a.wrong_route || b.wrong_route);
    assert_non_null(b.kept);
    assert_int_equal(b.kept_length, sizeof(bytes));
    assert_memory_equal(b.kept_bytes, bytes, sizeof(bytes));
    bus_release(b.kept);

    /* With the server stopped, publishing meets the cap and says so; nothing blocks. */
    (void)kill(server, SIGSTOP);
    assert_int_equal(waitpid(server, NULL, WUNTRACED), server);
    enum bus_verdict v = BUS_OK;
    unsigned accepted = 0;
    while (v == BUS_OK && accepted < 2000) {
        v = send_number(&a, &b, 0, 60000);
        accepted += v == BUS_OK;
    }
    assert_int_equal(v, BUS_FULL);
    assert_true(accepted >= BUS_BUFFERED_MAX / 60000);
    struct bus_stats stats;
    bus_stats(a.bus, &stats);
    assert_int_equal(stats.refused_full, 1);
    /* The silence is noticed, and closing while the server hangs does not. */
    RUN_UNTIL(a.downs == 1 && b.downs == 1);
    assert_string_equal(a.why, "the server is silent");
    assert_int_equal(send_number(&a, &b, 0, 100), BUS_DOWN);
    end_close(&a);
    end_close(&b);
    (void)kill(server, SIGCONT);
    server_kill();
}

static void test_server_killed_and_restarted(void **state)
{
    (void)state;
    server_start();
    struct end a, b;
    end_open(&a, "proc-a", "proc-b");
    end_open(&b, "proc-b", "proc-a");
    RUN_UNTIL(a.up && b.up);
    for (unsigned round = 1; round <= 3; round++) {
        for (uint32_t i = 0; i < 500; i++) /* on their way while the server dies */
            (void)send_number(&a, &b, i, 2000);
        bus_flush(a.bus);
        server_kill();
        RUN_UNTIL(a.downs == round && b.downs == round);
        assert_int_equal(send_number(&a, &b, 0, 100), BUS_DOWN);
        server_start();
        RUN_UNTIL(a.ups == round + 1 && b.ups == round + 1);
        b.next = 0;
        b.received = 0;
        b.wrong_order = false;
        for (uint32_t i = 0; i < 100; i++)
            assert_int_equal(send_number(&a, &b, i, 100), BUS_OK);
        RUN_UNTIL(b.received >= 100);
        assert_false(b.wrong_order);
    }
    struct bus_stats stats;
    bus_stats(a.bus, &stats);
    assert_int_equal(stats.connects, 4);
    assert_int_equal(stats.lost, 3);
    end_close(&a);
    end_close(&b);
    server_kill();
}

static void test_server_absent_at_start(void **state)
{
    (void)state;
    struct end a;
    end_open(&a, "proc-a", "proc-b");
    RUN_UNTIL(a.downs == 1);
    assert_false(bus_is_up(a.bus));
    struct bus_stats stats;
    do {
        (void)uv_run(&loop, UV_RUN_ONCE);
        bus_stats(a.bus, &stats);
    } while (stats.attempts_failed < 3);
    assert_int_equal(a.downs, 1); /* told once, counted after that */
    assert_true(strlen(stats.last_error) > 0);
    server_start();
    RUN_UNTIL(a.up);
    end_close(&a);
    server_kill();
}

static void test_close_at_any_moment(void **state)
{
    (void)state;
    struct end a;
    end_open(&a, "proc-a", "proc-b"); /* while the first attempt runs */
    end_close(&a);
    end_open(&a, "proc-a", "proc-b"); /* while waiting for the next */
    RUN_UNTIL(a.downs == 1);
    end_close(&a);
    server_start();
    for (int turns = 0; turns < 6; turns++) {
        end_open(&a, "proc-a", "proc-b");
        for (int i = 0; i < turns; i++)
            (void)uv_run(&loop, UV_RUN_ONCE);
        end_close(&a);
    }
    server_kill();
}

static void test_bad_config_is_refused(void **state)
{
    (void)state;
    struct end e;
    struct bus *bus = NULL;
    struct bus_config config = {
        .loop = &loop, .url = url, .on_frame = on_frame, .on_link = on_link, .ctx = &e};
    static const char *const bad[] = {"", "UPPER", "a.b", "a*", ">", "seventeen-letters"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        config.token = bad[i];
        assert_int_equal(bus_new(&config, &bus), -EINVAL);
    }
    config.token = "good";
    config.url = NULL;
    assert_int_equal(bus_new(&config, &bus), -EINVAL);
    assert_null(bus);
}

static void test_subjects(void **state)
{
    (void)state;
    char text[SUBJECT_MAX];
    struct route route = {0}, back;
    assert_true(endpoint_make("sector-000000001", 16, 32767, &route.source));
    assert_true(endpoint_make("cluster-03", 10, 0, &route.destination));
    size_t length = subject_format(&route, text);
    assert_int_equal(length, strlen(text));
    assert_string_equal(text, "mesh.p.cluster-03.0.sector-000000001.32767");
    assert_true(subject_parse(text, &back));
    assert_true(endpoint_equal(&back.source, &route.source));
    assert_true(endpoint_equal(&back.destination, &route.destination));
    route.destination = (struct endpoint){0};
    (void)subject_format(&route, text);
    assert_string_equal(text, "mesh.all.sector-000000001.32767");
    assert_true(subject_parse(text, &back));
    assert_true(endpoint_is_broadcast(&back.destination));
    static const char *const bad[] = {"",
                                      "mesh.p.",
                                      "mesh.p.a.0",
                                      "mesh.p.a.0.b",
                                      "mesh.p.a.0.b.",
                                      "mesh.p.a.00.b.1",
                                      "mesh.p.a.01.b.1",
                                      "mesh.p.a.32768.b.1",
                                      "mesh.p.a.100000.b.1",
                                      "mesh.p.a.0.b.1.c",
                                      "mesh.p.a.0.b.1x",
                                      "mesh.p.A.0.b.1",
                                      "mesh.p..0.b.1",
                                      "mesh.p.a.-1.b.1",
                                      "mesh.p.abcdefghijklmnopq.0.b.1",
                                      "mesh.all.a",
                                      "mesh.all.a.0.b.0",
                                      "mesh.q.a.0.b.0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(subject_parse(bad[i], &back));
}

static int setup(void **state)
{
    (void)state;
    port = free_port();
    (void)snprintf(url, sizeof(url), "nats://127.0.0.1:%d", port);
    return uv_loop_init(&loop) || uv_timer_init(&loop, &guard);
}

static int teardown(void **state)
{
    (void)state;
    if (server > 0)
        (void)kill(server, SIGCONT);
    server_kill();
    uv_close((uv_handle_t *)&guard, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    return uv_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subjects),
        cmocka_unit_test_setup_teardown(test_bad_config_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_exchange_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_broadcast_keep_and_cap, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_killed_and_restarted, setup, teardown),
        cmocka_unit_test_setup_teardown(test_server_absent_at_start, setup, teardown),
        cmocka_unit_test_setup_teardown(test_close_at_any_moment, setup, teardown),
    };
    int failures = cmocka_run_group_tests(tests, NULL, NULL);
    bus_library_close();
    return failures;
}
