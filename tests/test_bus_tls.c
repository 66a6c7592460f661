/* The bus over mutual TLS and a nats-server that holds each process to its permissions: links that
 * work, certificates that are refused, a rotation in the middle of traffic that loses nothing, and
 * servers that do not read. */
#include "tiers/runner/bus.h"
#include "tiers/runner/clock.h"
#include "tiers/runner/permissions.h"
#include "tiers/runner/tls.h"
#include "tiers/runner/trustfiles.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GUARD_MS 30000
#define FRAMES   4000u
#define PAYLOAD  9000u

struct end {
    struct bus *bus;
    bool up, closed;
    unsigned downs;
    uint32_t received, duplicates;
    uint8_t seen[FRAMES];
    char why[200];
};

static uv_loop_t loop;
static uv_timer_t guard;
static bool timed_out;
static int port;
static pid_t server;
static char dir[64], other[64], url[64];
static uint64_t mesh;

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

static void issue(const char *keys, const char *name, const char *roles, const char *scope)
{
    struct keys_request request = {
        .name = name, .capabilities = UINT64_MAX, .life_s = CERT_PROCESS_LIFE_S};
    struct keys_error why;
    const char *bad;
    uint64_t id;
    int64_t now_s = clock_unix_us() / 1000000;
    assert_true(roles_parse(roles, &request.roles));
    assert_true(scope_parse(scope, request.roles, request.scope, &request.scope_count, &bad));
    assert_int_equal(keys_issue(keys, &request, now_s, &why), 0);
    assert_int_equal(keys_load_mesh(keys, &id, &why), 0);
    assert_int_equal(tls_issue(keys, name, id, now_s, CERT_PROCESS_LIFE_S, &why), 0);
}

static void make_keys(char *keys)
{
    struct keys_error why;
    bool made;
    (void)strcpy(keys, "/tmp/mesh-tls-XXXXXX");
    assert_non_null(mkdtemp(keys));
    assert_int_equal(keys_init_issuer(keys, &made, &mesh, &why), 0);
    assert_int_equal(trust_init_roots(keys, &why), 0);
    assert_int_equal(tls_init(keys, &why), 0);
    assert_int_equal(tls_init(keys, &why), 0); /* again: nothing is overwritten */
    assert_int_equal(tls_issue(keys, TLS_SERVER_FILE, mesh, clock_unix_us() / 1000000, 86400, &why),
                     0);
    issue(keys, "sector-1", "sector", "s01");
    issue(keys, "cluster-1", "cluster", "s01.c1-s01.c2");
    issue(keys, "cluster-2", "cluster", "s01.c3-s01.c4");
}

static void write_conf(void)
{
    char path[96];
    struct keys_error why;
    (void)snprintf(path, sizeof(path), "%s/nats.conf", dir);
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    (void)fprintf(out,
                  "listen: \"127.0.0.1:%d\"\ntls {\n cert_file: \"%s/nats.tls.crt\"\n key_file: "
                  "\"%s/nats.tls.key\"\n ca_file: \"%s/ca.crt\"\n verify_and_map: true\n}\n",
                  port, dir, dir, dir);
    assert_int_equal(permissions_nats(dir, out, &why), 0);
    assert_int_equal(fclose(out), 0);
    server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        (void)freopen("/dev/null", "w", stderr);
        (void)execlp("nats-server", "nats-server", "-c", path, (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000; i++) {
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int rc = connect(fd, (struct sockaddr *)&a, sizeof(a));
        (void)close(fd);
        if (rc == 0)
            return;
        (void)usleep(10000);
    }
    fail_msg("nats-server does not listen");
}

static void on_guard(uv_timer_t *timer)
{
    (void)timer;
    timed_out = true;
}

#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        timed_out = false;                                                                         \
        assert_int_equal(uv_timer_start(&guard, on_guard, GUARD_MS, 0), 0);                        \
        while (!(condition) && !timed_out)                                                         \
            (void)uv_run(&loop, UV_RUN_ONCE);                                                      \
        (void)uv_timer_stop(&guard);                                                               \
        assert_true(condition);                                                                    \
    } while (0)

static void on_frame(void *ctx, struct bus_frame *frame)
{
    struct end *e = ctx;
    uint32_t n;
    assert_true(frame->length == PAYLOAD);
    memcpy(&n, frame->bytes, sizeof(n));
    assert_true(n < FRAMES);
    if (e->seen[n])
        e->duplicates++;
    else
        e->received++;
    e->seen[n] = 1;
}

static void on_link(void *ctx, bool up, const char *why)
{
    struct end *e = ctx;
    e->up = up;
    e->downs += up ? 0 : 1;
    (void)snprintf(e->why, sizeof(e->why), "%s", why);
}

static void on_closed(void *ctx)
{
    struct end *e = ctx;
    e->closed = true;
}

static void end_open(struct end *e, const char *keys, const char *token)
{
    struct bus_config config = {.loop = &loop,
                                .url = url,
                                .token = token,
                                .keys_dir = keys,
                                .on_frame = on_frame,
                                .on_link = on_link,
                                .ctx = e};
    memset(e, 0, sizeof(*e));
    assert_int_equal(bus_new(&config, &e->bus), 0);
}

static void end_close(struct end *e)
{
    bus_close(e->bus, on_closed, e);
    RUN_UNTIL(e->closed);
}

static struct route route_to(const char *from, const char *to)
{
    struct route r = {0};
    assert_true(endpoint_make(from, strlen(from), 0, &r.source));
    assert_true(endpoint_make(to, strlen(to), 0, &r.destination));
    return r;
}

static void refused_certificates(void **state)
{
    static struct end e;
    char from[96], to[96];
    (void)state;
    end_open(&e, other, "cluster-1"); /* another authority's client, another authority's server */
    RUN_UNTIL(e.downs > 0);
    assert_false(e.up);
    end_close(&e);
    /* It believes our server now, and our server does not believe it. */
    (void)snprintf(from, sizeof(from), "%s/ca.crt", dir);
    (void)snprintf(to, sizeof(to), "%s/ca.crt", other);
    assert_int_equal(unlink(to), 0);
    assert_int_equal(symlink(from, to), 0);
    end_open(&e, other, "cluster-1");
    RUN_UNTIL(e.downs > 0);
    assert_false(e.up);
    end_close(&e);
    end_open(&e, dir, "cluster-9"); /* no such files */
    assert_false(e.up);
    end_close(&e);
}

/* The certificate of one process and the name of another: the server maps it to the first, which
 * may not hear the second. */
static void borrowed_name(void **state)
{
    static struct end e;
    char from[96], to[96];
    (void)state;
    static const char *const endings[] = {"tls.crt", "tls.key"};
    for (int i = 0; i < 2; i++) {
        (void)snprintf(from, sizeof(from), "%s/cluster-1.%s", dir, endings[i]);
        (void)snprintf(to, sizeof(to), "%s/thief.%s", dir, endings[i]);
        assert_int_equal(symlink(from, to), 0);
    }
    end_open(&e, dir, "thief");
    RUN_UNTIL(e.downs > 0);
    assert_false(e.up);
    assert_non_null(strstr(e.why, "permissions"));
    end_close(&e);
}

static void rotation_loses_nothing(void **state)
{
    static struct end a, b;
    static uint8_t payload[PAYLOAD];
    struct route r = route_to("cluster-1", "sector-1");
    struct bus_stats stats;
    (void)state;
    end_open(&a, dir, "cluster-1");
    end_open(&b, dir, "sector-1");
    RUN_UNTIL(a.up && b.up);
    uint32_t sent = 0;
    while (sent < FRAMES) {
        if (sent == FRAMES / 4 || sent == FRAMES / 2) {
            issue(dir, "cluster-1", "cluster", "s01.c1-s01.c2");
            issue(dir, "sector-1", "sector", "s01");
            bus_rotate(a.bus);
            bus_rotate(b.bus);
        }
        for (int i = 0; i < 4 && sent < FRAMES; i++) {
            memcpy(payload, &sent, sizeof(sent));
            if (bus_publish(a.bus, &r, payload, PAYLOAD) == BUS_OK)
                sent++;
        }
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    RUN_UNTIL(b.received == FRAMES);
    bus_stats(a.bus, &stats);
    RUN_UNTIL((bus_stats(a.bus, &stats), stats.rotations > 0));
    RUN_UNTIL((bus_stats(b.bus, &stats), stats.rotations > 0));
    assert_int_equal(a.downs + b.downs, 0);
    end_close(&a);
    end_close(&b);
}

static void denied_destination(void **state)
{
    static struct end a, b;
    static uint8_t payload[PAYLOAD];
    struct route r = route_to("cluster-1", "cluster-2"), own = route_to("cluster-1", "sector-1");
    struct bus_stats before, after;
    (void)state;
    end_open(&a, dir, "cluster-1");
    end_open(&b, dir, "cluster-2");
    RUN_UNTIL(a.up && b.up);
    bus_stats(a.bus, &before);
    assert_int_equal(bus_publish(a.bus, &r, payload, PAYLOAD), BUS_OK);
    RUN_UNTIL((bus_stats(a.bus, &after), after.errors > before.errors));
    assert_int_equal(b.received, 0);
    assert_true(a.up); /* a denied subject does not cost the link */
    assert_int_equal(bus_publish(a.bus, &own, payload, PAYLOAD), BUS_OK);
    end_close(&a);
    end_close(&b);
}

static void on_alarm(int signal_number)
{
    (void)signal_number;
    (void)kill(server, SIGCONT); /* a loop that waits for it fails instead of hanging */
}

/* Publishes numbered frames until the bus takes no more; how many it took. */
static uint32_t fill(struct end *e, const struct route *r)
{
    static uint8_t payload[PAYLOAD];
    uint32_t sent = 0;
    for (; sent < FRAMES; sent++) {
        memcpy(payload, &sent, sizeof(sent));
        if (bus_publish(e->bus, r, payload, PAYLOAD) != BUS_OK)
            break;
    }
    return sent;
}

/* A server that stands still for a while: the bus takes what it has room for, the loop turns, and
 * nothing of it is lost. */
static void standstill_does_not_stop_the_loop(void **state)
{
    static struct end a, b;
    struct route r = route_to("cluster-1", "sector-1");
    struct bus_stats stats;
    (void)state;
    end_open(&a, dir, "cluster-1");
    end_open(&b, dir, "sector-1");
    RUN_UNTIL(a.up && b.up);
    (void)signal(SIGALRM, on_alarm);
    (void)kill(server, SIGSTOP);
    assert_int_equal(waitpid(server, NULL, WUNTRACED), server);
    int64_t begin_us = clock_unix_us();
    (void)alarm(15);
    uint32_t sent = 0;
    for (int i = 0; i < 20; i++) { /* in pieces: the socket is full from the first on */
        sent += fill(&a, &r);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    bus_stats(a.bus, &stats);
    assert_true(sent >= BUS_BUFFERED_MAX / PAYLOAD);
    assert_true(stats.refused_full > 0);
    assert_int_equal(b.received, 0);
    assert_true(clock_unix_us() - begin_us < 6000000); /* before anybody finds it silent */
    (void)kill(server, SIGCONT);
    (void)alarm(0);
    RUN_UNTIL((bus_stats(b.bus, &stats), stats.received == sent));
    assert_int_equal(a.downs + b.downs, 0);
    end_close(&a);
    end_close(&b);
}

/* ---- a path that is cut in one direction ---- */

static volatile int *cut; /* shared: nothing that the client says is read while it is set */

static bool pump(int from, int to)
{
    static char bytes[65536];
    ssize_t n = recv(from, bytes, sizeof(bytes), 0);
    for (ssize_t done = 0, m; n > 0 && done < n; done += m) {
        m = send(to, bytes + done, (size_t)(n - done), MSG_NOSIGNAL);
        if (m <= 0)
            return false;
    }
    return n > 0;
}

static void relay_one(int client)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int up = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool open = connect(up, (struct sockaddr *)&a, sizeof(a)) == 0;
    while (open) {
        struct pollfd p[2] = {{.fd = up, .events = POLLIN}, {.fd = client, .events = POLLIN}};
        (void)poll(p, *cut ? 1 : 2, 20);
        if (p[0].revents)
            open = pump(up, client);
        if (open && !*cut && p[1].revents)
            open = pump(client, up);
    }
    _exit(0);
}

/* Between one client and the server; its port. */
static pid_t relay_start(int *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &length), 0);
    *ret_port = ntohs(a.sin_port);
    cut = mmap(NULL, sizeof(*cut), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_true(cut != MAP_FAILED);
    pid_t relay = fork();
    assert_true(relay >= 0);
    if (relay == 0) {
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nor does it outlive a test that failed */
        (void)signal(SIGCHLD, SIG_IGN);
        for (;;) {
            int client = accept(fd, NULL, NULL);
            if (client >= 0 && fork() == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                relay_one(client);
            }
            (void)close(client);
        }
    }
    (void)setpgid(relay, relay);
    (void)close(fd);
    return relay;
}

/* What it says does not arrive, and it hears everything: the link is given up and made anew, and
 * all that time the loop turns. */
static void one_way_cut(void **state)
{
    static struct end a, b;
    static uint8_t payload[PAYLOAD];
    struct route r = route_to("cluster-1", "sector-1"), back = route_to("sector-1", "cluster-1");
    char direct[64];
    int relay_port;
    (void)state;
    pid_t relay = relay_start(&relay_port);
    end_open(&b, dir, "sector-1");
    (void)strcpy(direct, url);
    (void)snprintf(url, sizeof(url), "tls://127.0.0.1:%d", relay_port);
    end_open(&a, dir, "cluster-1");
    (void)strcpy(url, direct);
    RUN_UNTIL(a.up && b.up);
    *cut = 1;
    int64_t begin_us = clock_unix_us(), turn_us = begin_us, longest_us = 0;
    (void)fill(&a, &r);
    while (a.downs == 0 && clock_unix_us() - begin_us < GUARD_MS * INT64_C(1000)) {
        (void)bus_publish(b.bus, &back, payload, PAYLOAD); /* it is not silent */
        (void)fill(&a, &r);
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        (void)usleep(10000);
        int64_t now_us = clock_unix_us();
        longest_us = now_us - turn_us > longest_us ? now_us - turn_us : longest_us;
        turn_us = now_us;
    }
    assert_int_equal(a.downs, 1);
    assert_string_equal(a.why, "the server does not read");
    assert_true(longest_us < 5000000);
    *cut = 0;
    RUN_UNTIL(a.up);
    end_close(&a);
    end_close(&b);
    (void)kill(-relay, SIGKILL);
    (void)waitpid(relay, NULL, 0);
    (void)munmap((void *)(uintptr_t)cut, sizeof(*cut));
}

static int setup(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(keys_start(), 0);
    port = free_port();
    (void)snprintf(url, sizeof(url), "tls://127.0.0.1:%d", port);
    make_keys(other);
    make_keys(dir);
    write_conf();
    assert_int_equal(uv_loop_init(&loop), 0);
    return uv_timer_init(&loop, &guard);
}

static int teardown(void **state)
{
    char command[160];
    (void)state;
    uv_close((uv_handle_t *)&guard, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    (void)uv_loop_close(&loop);
    bus_library_close();
    (void)kill(server, SIGKILL);
    (void)waitpid(server, NULL, 0);
    (void)snprintf(command, sizeof(command), "rm -rf %s %s", dir, other);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_certificates),
        cmocka_unit_test(borrowed_name),
        cmocka_unit_test(denied_destination),
        cmocka_unit_test(rotation_loses_nothing),
        cmocka_unit_test(standstill_does_not_stop_the_loop),
        cmocka_unit_test(one_way_cut),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
