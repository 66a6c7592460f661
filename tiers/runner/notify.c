/* sd_notify's protocol: one datagram of KEY=VALUE lines. A name that begins with @ is one of the
 * abstract namespace. */
#include "tiers/runner/notify.h"

#include <assert.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool say(const struct notify *n, const char *text)
{
    size_t bytes = strlen(text);
    return n->fd >= 0 &&
           sendto(n->fd, text, bytes, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)&n->address, n->address_bytes) == (ssize_t)bytes;
}

/* A decimal number above 0; -1: it is none. */
static int64_t number_of(const char *text)
{
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    bool whole = text[0] >= '0' && text[0] <= '9' && *end == '\0';
    return whole && errno == 0 && number > 0 ? number : -1;
}

static const char *watchdog_of(struct notify *n, const char *interval, const char *pid)
{
    if (interval == NULL || (pid != NULL && number_of(pid) != getpid())) {
        return NULL; /* not asked for, or of another process */
    }
    int64_t us = number_of(interval);
    if (us < NOTIFY_WATCHDOG_MIN_US) {
        return "WATCHDOG_USEC must be a number of microseconds from 1000000 on (WatchdogSec=1s)";
    }
    n->watchdog_us = us;
    return NULL;
}

static const char *socket_of(struct notify *n, const char *path)
{
    size_t bytes = strlen(path);
    if ((path[0] != '/' && path[0] != '@') || bytes < 2 || bytes >= sizeof(n->address.sun_path)) {
        return "NOTIFY_SOCKET must be an absolute path, or @ and a name, of 107 bytes at most";
    }
    n->address.sun_family = AF_UNIX;
    memcpy(n->address.sun_path, path, bytes);
    if (path[0] == '@') {
        n->address.sun_path[0] = '\0';
    }
    n->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + bytes);
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    return n->fd < 0 ? "no socket for NOTIFY_SOCKET: too many files are open" : NULL;
}

const char *notify_start(struct notify *n)
{
    assert(n != NULL);
    *n = (struct notify){.fd = -1};
    const char *path = getenv("NOTIFY_SOCKET");
    const char *why = path != NULL ? socket_of(n, path) : NULL;
    if (why == NULL && n->fd >= 0) {
        why = watchdog_of(n, getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID"));
    }
    (void)unsetenv("NOTIFY_SOCKET");
    (void)unsetenv("WATCHDOG_USEC");
    (void)unsetenv("WATCHDOG_PID");
    return why;
}

void notify_tick(struct notify *n, int64_t now_us, bool ready, const char *status)
{
    assert(n != NULL && status != NULL);
    char line[NOTIFY_STATUS_MAX + 8] = "";
    if (n->fd < 0) {
        return;
    }
    if (ready && !n->ready) {
        n->ready = say(n, "READY=1");
    }
    if (strncmp(n->status, status, sizeof(n->status) - 1) != 0) {
        (void)snprintf(line, sizeof(line), "STATUS=%.*s", (int)sizeof(n->status) - 1, status);
        if (say(n, line)) {
            (void)snprintf(n->status, sizeof(n->status), "%.*s", (int)sizeof(n->status) - 1,
                           status);
        }
    }
    if (n->watchdog_us > 0 && (n->said_us == 0 || now_us - n->said_us >= n->watchdog_us / 2) &&
        say(n, "WATCHDOG=1")) {
        n->said_us = now_us;
    }
}

void notify_stopping(struct notify *n)
{
    assert(n != NULL);
    (void)say(n, "STOPPING=1");
}

void notify_done(struct notify *n)
{
    assert(n != NULL);
    if (n->fd >= 0) {
        (void)close(n->fd);
    }
    n->fd = -1;
}
