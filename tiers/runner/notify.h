/* Telling the service manager (sd_notify(3)): READY=1 once the process serves, WATCHDOG=1 at half
 * the interval that it asks for, STOPPING=1. Datagrams to the socket of NOTIFY_SOCKET; without that
 * variable nothing is opened and nothing is said. Everything is said from the loop's own tick, so a
 * loop that hangs is silent, and the manager starts the process anew. Never blocks. */
#ifndef TIERS_RUNNER_NOTIFY_H
#define TIERS_RUNNER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

#define NOTIFY_WATCHDOG_MIN_US INT64_C(1000000) /* the loop ticks four times a second */
#define NOTIFY_STATUS_MAX      128u

struct notify {
    int fd; /* -1: nobody is to be told */
    struct sockaddr_un address;
    socklen_t address_bytes;
    int64_t watchdog_us; /* the manager's interval; 0: none */
    int64_t said_us;     /* WATCHDOG=1 was taken last */
    bool ready;          /* READY=1 was taken */
    char status[NOTIFY_STATUS_MAX];
};

/* Reads NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID and takes them out of the environment, so
 * that no program that is started later speaks for this process. Call it while there is one thread.
 * NULL, or what was wrong with them (one line); the process may go on in either case. */
const char *notify_start(struct notify *n);

/* Says what is due: `ready` (once), `status` (one line, cut to fit, when it changed), the watchdog.
 * What the socket does not take is said again with the next tick. */
void notify_tick(struct notify *n, int64_t now_us, bool ready, const char *status);
void notify_stopping(struct notify *n);
void notify_done(struct notify *n);

#endif
