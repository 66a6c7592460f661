/* What the service manager is told, over a socket of the test's own. */
#include "tiers/runner/notify.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define S INT64_C(1000000)

static char dir[32], path[64];
static int manager = -1;
static struct notify n;

static void listen_at(const char *name)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    size_t bytes = strlen(name);
    memcpy(a.sun_path, name, bytes);
    if (name[0] == '@') {
        a.sun_path[0] = '\0';
    }
    manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(manager >= 0);
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    assert_int_equal(bind(manager, (struct sockaddr *)&a, size), 0);
}

static int setup(void **state)
{
    (void)state;
    (void)strcpy(dir, "/tmp/mesh-notify-XXXXXX");
    assert_non_null(mkdtemp(dir));
    (void)snprintf(path, sizeof(path), "%s/notify", dir);
    listen_at(path);
    assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    notify_done(&n);
    (void)close(manager);
    (void)unlink(path);
    (void)rmdir(dir);
    return 0;
}

/* The next datagram; "" when there is none. */
static const char *told(void)
{
    static char text[512];
    ssize_t bytes = recv(manager, text, sizeof(text) - 1, 0);
    assert_true(bytes >= 0 || errno == EAGAIN);
    text[bytes > 0 ? bytes : 0] = '\0';
    return text;
}

static void ready_and_stopping_are_said_once(void **state)
{
    (void)state;
    assert_null(notify_start(&n));
    assert_null(getenv("NOTIFY_SOCKET"));
    notify_tick(&n, 1 * S, false, "waits");
    assert_string_equal(told(), "STATUS=waits");
    notify_tick(&n, 2 * S, true, "waits");
    assert_string_equal(told(), "READY=1");
    notify_tick(&n, 3 * S, true, "serves");
    assert_string_equal(told(), "STATUS=serves");
    notify_tick(&n, 4 * S, false, "serves");
    notify_tick(&n, 5 * S, true, "serves");
    assert_string_equal(told(), ""); /* and no watchdog, for none was asked for */
    notify_stopping(&n);
    assert_string_equal(told(), "STOPPING=1");
}

static void the_watchdog_is_fed_at_half_its_interval(void **state)
{
    char pid[24];
    (void)state;
    (void)snprintf(pid, sizeof(pid), "%ld", (long)getpid());
    assert_int_equal(setenv("WATCHDOG_USEC", "10000000", 1), 0);
    assert_int_equal(setenv("WATCHDOG_PID", pid, 1), 0);
    assert_null(notify_start(&n));
    assert_null(getenv("WATCHDOG_USEC"));
    assert_null(getenv("WATCHDOG_PID"));
    int fed = 0;
    for (int64_t t = 1; t <= 121; t++) { /* 30 s in quarters */
        notify_tick(&n, t * S / 4, false, "");
        const char *text = told();
        fed += strcmp(text, "WATCHDOG=1") == 0;
        assert_int_equal(text[0] != '\0', (t - 1) % 20 == 0);
    }
    assert_int_equal(fed, 7);
}

static void a_watchdog_of_another_process_is_left_alone(void **state)
{
    (void)state;
    assert_int_equal(setenv("WATCHDOG_USEC", "10000000", 1), 0);
    assert_int_equal(setenv("WATCHDOG_PID", "1", 1), 0);
    assert_null(notify_start(&n));
    notify_tick(&n, S, false, "");
    assert_string_equal(told(), "");
}

static void without_a_socket_nothing_is_said(void **state)
{
    (void)state;
    (void)unsetenv("NOTIFY_SOCKET");
    assert_int_equal(setenv("WATCHDOG_USEC", "10000000", 1), 0);
    assert_null(notify_start(&n));
    assert_int_equal(n.fd, -1);
    notify_tick(&n, S, true, "serves");
    notify_stopping(&n);
    assert_string_equal(told(), "");
}

static void a_name_of_the_abstract_namespace(void **state)
{
    char name[80];
    (void)state;
    (void)close(manager);
    (void)snprintf(name, sizeof(name), "@%s", path);
    listen_at(name);
    assert_int_equal(setenv("NOTIFY_SOCKET", name, 1), 0);
    assert_null(notify_start(&n));
    notify_tick(&n, S, true, "");
    assert_string_equal(told(), "READY=1");
}

/* A manager that is away, or does not read, is told again; the process never waits for it. */
static void what_is_not_taken_is_said_again(void **state)
{
    (void)state;
    assert_int_equal(setenv("WATCHDOG_USEC", "2000000", 1), 0);
    assert_null(notify_start(&n));
    (void)close(manager);
    (void)unlink(path);
    notify_tick(&n, S, true, "serves");
    assert_false(n.ready);
    listen_at(path);
    for (int i = 0; i < 2000; i++) { /* far more than a socket holds */
        notify_stopping(&n);
    }
    notify_tick(&n, 2 * S, true, "serves");
    assert_false(n.ready);
    while (told()[0] != '\0') {
    }
    notify_tick(&n, 2 * S, true, "serves");
    assert_string_equal(told(), "READY=1");
    assert_string_equal(told(), "STATUS=serves");
    assert_string_equal(told(), "WATCHDOG=1");
}

static void a_long_status_is_cut(void **state)
{
    char text[4096];
    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    assert_null(notify_start(&n));
    notify_tick(&n, S, false, text);
    assert_int_equal(strlen(told()), 7 + NOTIFY_STATUS_MAX - 1);
    notify_tick(&n, S, false, text);
    assert_string_equal(told(), "");
}

static void bad_values_are_named(void **state)
{
    static const char *const sockets[] = {"", "/", "relative/path", "vsock:2:1", "@"};
    static const char *const intervals[] = {"",       "x",        "-1",  "0",
                                            "999999", "1000000 ", "1e9", "99999999999999999999"};
    char longest[200];
    (void)state;
    for (size_t i = 0; i < sizeof(sockets) / sizeof(sockets[0]); i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", sockets[i], 1), 0);
        const char *why = notify_start(&n);
        assert_non_null(why);
        assert_non_null(strstr(why, "NOTIFY_SOCKET must be"));
        assert_int_equal(n.fd, -1);
        assert_null(getenv("NOTIFY_SOCKET"));
    }
    memset(longest, 'a', sizeof(longest) - 1);
    longest[0] = '/';
    longest[sizeof(longest) - 1] = '\0';
    assert_int_equal(setenv("NOTIFY_SOCKET", longest, 1), 0);
    assert_non_null(notify_start(&n));
    for (size_t i = 0; i < sizeof(intervals) / sizeof(intervals[0]); i++) {
        assert_int_equal(setenv("NOTIFY_SOCKET", path, 1), 0);
        assert_int_equal(setenv("WATCHDOG_USEC", intervals[i], 1), 0);
        const char *why = notify_start(&n);
        assert_non_null(why);
        assert_non_null(strstr(why, "WATCHDOG_USEC must be"));
        notify_tick(&n, S, true, ""); /* the rest works */
        assert_string_equal(told(), "READY=1");
        assert_string_equal(told(), "");
        notify_done(&n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(ready_and_stopping_are_said_once, setup, teardown),
        cmocka_unit_test_setup_teardown(the_watchdog_is_fed_at_half_its_interval, setup, teardown),
        cmocka_unit_test_setup_teardown(a_watchdog_of_another_process_is_left_alone, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(without_a_socket_nothing_is_said, setup, teardown),
        cmocka_unit_test_setup_teardown(a_name_of_the_abstract_namespace, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_not_taken_is_said_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_long_status_is_cut, setup, teardown),
        cmocka_unit_test_setup_teardown(bad_values_are_named, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
