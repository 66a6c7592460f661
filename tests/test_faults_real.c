/* What the simulator does to a mesh, done by the real servers (docs/SIMULATION.md, "What each fault
 * stands for"): NATS that loses what it accepted and what it had not handed over, NATS that closes
 * a slow consumer, Redis whose log lacks its end, Redis whose replica lacks the last writes. Others
 * are shown in test_bus (killed, absent, silent) and test_store_redis (functions gone, read only,
 * out of memory, killed, stalled). */
#include "tests/support/redis_server.h"
#include "tiers/runner/bus.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#define GUARD_MS 30000

/* --- NATS --------------------------------------------------------------------------------------
 */

static uv_loop_t loop;
static int nats_port;
static pid_t nats;
static char nats_url[64], nats_conf[64];

static int dial(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0) {
        return fd;
    }
    (void)close(fd);
    return -1;
}

/* Small queues for each client, so that a slow one is noticed with little traffic. */
static void nats_start(void)
{
    strcpy(nats_conf, "/tmp/mesh-test-nats-XXXXXX");
    int fd = mkstemp(nats_conf);
    assert_true(fd >= 0);
    assert_true(dprintf(fd, "max_pending: 1048576\nwrite_deadline: \"500ms\"\n") > 0);
    (void)close(fd);
    char port[16];
    (void)snprintf(port, sizeof(port), "%d", nats_port);
    nats = fork();
    assert_true(nats >= 0);
    if (nats == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        int null = open("/dev/null", O_WRONLY);
        (void)dup2(null, 2);
        (void)execlp("nats-server", "nats-server", "-a", "127.0.0.1", "-p", port, "-c", nats_conf,
                     (char *)NULL);
        _exit(127);
    }
    for (int i = 0; i < 1000; i++) {
        int client = dial(nats_port);
        if (client >= 0) {
            (void)close(client);
            (void)unlink(nats_conf);
            return;
        }
        (void)usleep(10000);
    }
    fail_msg("nats-server does not listen on 127.0.0.1:%d", nats_port);
}

static void nats_kill(void)
{
    (void)kill(nats, SIGKILL);
    (void)waitpid(nats, NULL, 0);
    nats = 0;
}

struct end {
    struct bus *bus;
    bool up, closed;
    unsigned ups, downs, received;
};

static void on_frame(void *ctx, struct bus_frame *frame)
{
    (void)frame;
    ((struct end *)ctx)->received++;
}

static void on_link(void *ctx, bool up, const char *why)
{
    struct end *e = ctx;
    (void)why;
    e->up = up;
    *(up ? &e->ups : &e->downs) += 1;
}

static void on_closed(void *ctx)
{
    ((struct end *)ctx)->closed = true;
}

static void on_guard(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

#define RUN_UNTIL(condition)                                                                       \
    do {                                                                                           \
        bool late = false;                                                                         \
        guard.data = &late;                                                                        \
        (void)uv_timer_start(&guard, on_guard, GUARD_MS, 0);                                       \
        while (!(condition) && !late)                                                              \
            (void)uv_run(&loop, UV_RUN_ONCE);                                                      \
        (void)uv_timer_stop(&guard);                                                               \
        assert_true(condition);                                                                    \
    } while (0)

static uv_timer_t guard;

static void end_open(struct end *e, const char *token)
{
    struct bus_config config = {.loop = &loop,
                                .url = nats_url,
                                .token = token,
                                .on_frame = on_frame,
                                .on_link = on_link,
                                .ctx = e};
    memset(e, 0, sizeof(*e));
    assert_int_equal(bus_new(&config, &e->bus), 0);
}

static void publish(struct end *from, enum bus_verdict wanted)
{
    static const uint8_t bytes[1000];
    struct route route = {0};
    assert_true(endpoint_make("proc-a", 6, 0, &route.source));
    assert_true(endpoint_make("proc-b", 6, 0, &route.destination));
    assert_int_equal(bus_publish(from->bus, &route, bytes, sizeof(bytes)), wanted);
}

/* WORLD_MET_SWALLOWED, WORLD_MET_BROKER. */
static void accepted_is_not_sent(void **state)
{
    (void)state;
    struct end a, b;
    nats_start();
    end_open(&a, "proc-a");
    end_open(&b, "proc-b");
    RUN_UNTIL(a.up && b.up);
    publish(&a, BUS_OK);
    RUN_UNTIL(b.received == 1);
    (void)kill(nats, SIGSTOP);
    assert_int_equal(waitpid(nats, NULL, WUNTRACED), nats); /* all its threads: it reads no more */
    for (int i = 0; i < 100; i++) {
        publish(&a, BUS_OK);
    }
    bus_flush(a.bus);
    nats_kill();
    RUN_UNTIL(a.downs == 1 && b.downs == 1);
    publish(&a, BUS_DOWN); /* what is said while it is away is refused, not kept */
    nats_start();
    RUN_UNTIL(a.up && b.up);
    publish(&a, BUS_OK);
    RUN_UNTIL(b.received >= 2);
    assert_int_equal(b.received, 2); /* the first and the last: a hundred were accepted and lost */
    bus_close(a.bus, on_closed, &a);
    bus_close(b.bus, on_closed, &b);
    RUN_UNTIL(a.closed && b.closed);
    nats_kill();
}

static void say(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* WORLD_MET_SLOW_CONSUMER, world_disconnect: who does not read is closed, and what waited is gone.
 */
static void a_slow_consumer_is_closed(void **state)
{
    (void)state;
    enum { MESSAGES = 20000, BYTES = 1000 };
    static char message[BYTES + 32], read_room[65536];
    nats_start();
    int slow = dial(nats_port), quick = dial(nats_port);
    say(slow, "CONNECT {\"verbose\":false}\r\nSUB x 1\r\nPING\r\n");
    say(quick, "CONNECT {\"verbose\":false}\r\n");
    (void)usleep(200000);
    size_t bytes = (size_t)snprintf(message, sizeof(message), "PUB x %d\r\n", BYTES);
    memset(message + bytes, 'm', BYTES);
    memcpy(message + bytes + BYTES, "\r\n", 2);
    for (int i = 0; i < MESSAGES; i++) {
        assert_int_equal(write(quick, message, bytes + BYTES + 2), (ssize_t)(bytes + BYTES + 2));
    }
    size_t total = 0;
    bool ended = false;
    for (int turns = 0; turns < 100000 && !ended; turns++) { /* only now does it read */
        struct pollfd p = {.fd = slow, .events = POLLIN};
        ssize_t got = poll(&p, 1, 10000) > 0 ? read(slow, read_room, sizeof(read_room)) : -1;
        ended = got <= 0;
        total += got > 0 ? (size_t)got : 0;
        (void)usleep(turns < 20 ? 100000 : 0); /* two seconds: longer than the server is patient */
    }
    assert_true(ended);
    assert_true(total < (size_t)MESSAGES * BYTES);
    (void)close(slow);
    (void)close(quick);
    nats_kill();
}

/* --- Redis -------------------------------------------------------------------------------------
 */

/* world_store_crash: the log on the disk ends where it was synced, even within a write. The server
 * comes up without the rest, and says nothing of it. */
static void a_log_without_its_end_is_believed(void **state)
{
    (void)state;
    struct redis_server server;
    char command[256];
    redis_server_reserve(&server);
    redis_server_start(&server);
    assert_string_equal(redis_server_cli(&server, "set first 1"), "OK");
    assert_string_equal(redis_server_cli(&server, "set last 1"), "OK");
    redis_server_kill(&server);
    (void)snprintf(command, sizeof(command),
                   "truncate -s -3 \"$(ls %s/appendonlydir/*.incr.aof | tail -n 1)\"",
                   server.directory);
    assert_int_equal(system(command), 0);
    redis_server_start(&server);
    assert_string_equal(redis_server_cli(&server, "get first"), "1");
    assert_string_equal(redis_server_cli(&server, "get last"), "");
    redis_server_remove(&server);
}

/* world_store_failover: a replica that was behind takes over, and what it lacks is gone, an epoch
 * of a lease as well. */
static void a_stale_replica_takes_over(void **state)
{
    (void)state;
    struct redis_server primary, replica;
    char words[64];
    redis_server_reserve(&primary);
    redis_server_reserve(&replica);
    redis_server_start(&primary);
    redis_server_start(&replica);
    (void)snprintf(words, sizeof(words), "replicaof 127.0.0.1 %d", primary.port);
    assert_string_equal(redis_server_cli(&replica, words), "OK");
    assert_string_equal(redis_server_cli(&primary, "hset lease epoch 7"), "1");
    for (int i = 0; i < 1000 && strcmp(redis_server_cli(&replica, "hget lease epoch"), "7") != 0;
         i++) {
        (void)usleep(10000);
    }
    assert_string_equal(redis_server_cli(&replica, "hget lease epoch"), "7");
    assert_non_null(strstr(redis_server_cli(&replica, "set x 1"), "READONLY"));
    /* After its first synchronisation a replica writes its log anew: not before that is it on disk.
     */
    const char *rewritten = "info persistence | grep -cE 'aof_rewrite_(in_progress|scheduled):0'";
    for (int i = 0; i < 1000 && strcmp(redis_server_cli(&replica, rewritten), "2") != 0; i++) {
        (void)usleep(10000);
    }
    redis_server_stop(&replica); /* the link to it hangs; the primary goes on */
    assert_string_equal(redis_server_cli(&primary, "hset lease epoch 8"), "0");
    redis_server_kill(&primary);
    (void)kill(replica.pid, SIGKILL); /* what the socket had for it goes with the machine */
    (void)waitpid(replica.pid, NULL, 0);
    redis_server_start(&replica);
    assert_string_equal(redis_server_cli(&replica, "replicaof no one"), "OK");
    assert_string_equal(redis_server_cli(&replica, "hget lease epoch"), "7");
    assert_string_equal(redis_server_cli(&replica, "set x 1"), "OK");
    redis_server_remove(&replica);
    redis_server_remove(&primary);
}

static int setup(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    (void)close(listen_anywhere(&nats_port));
    (void)snprintf(nats_url, sizeof(nats_url), "nats://127.0.0.1:%d", nats_port);
    return uv_loop_init(&loop) != 0 || uv_timer_init(&loop, &guard) != 0;
}

static int teardown(void **state)
{
    (void)state;
    uv_close((uv_handle_t *)&guard, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    bus_library_close();
    return uv_loop_close(&loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepted_is_not_sent),
        cmocka_unit_test(a_slow_consumer_is_closed),
        cmocka_unit_test(a_log_without_its_end_is_believed),
        cmocka_unit_test(a_stale_replica_takes_over),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
