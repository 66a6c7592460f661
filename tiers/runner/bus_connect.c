/* How libnats is told to connect, with TLS and without, and how it is kept from waiting in the
 * middle of a TLS record. */
#include "tiers/runner/bus_int.h"

#include "tiers/runner/tls.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define CONNECT_TIMEOUT_MS 2000
#define TLS_HEADER_BYTES   5
/* Of the socket. On loopback one segment has 64 KiB and counts in full until its last byte is read:
 * with the usual 128 KiB the rest of one and the beginning of the next close the window in the
 * middle of a TLS record, which is waited for in vain from then on (bus_record_is_there). */
#define RECEIVE_BYTES 1048576
/* Sent and not acknowledged, or kept back by a window that stays closed, for so long: the link is
 * lost. Longer than a silent server is waited for (bus.c); see bus_write.c. */
#define UNWRITTEN_MS 10000u

/* Of the whole process: the library may report on its own thread after a bus has been freed. */
static _Atomic uint64_t library_errors;

uint64_t bus_library_errors(void)
{
    return atomic_load_explicit(&library_errors, memory_order_relaxed);
}

/* ---- what libnats calls ---- */

static natsStatus on_attach(void **user, void *loop, natsConnection *nc, natsSock socket)
{
    struct link *link = loop; /* options_make gave the link as the "loop" */
    (void)nc;
    link->fd = fcntl(socket, F_DUPFD_CLOEXEC, 0);
    link->attached = link->fd >= 0;
    if (link->attached) {
        const int bytes = RECEIVE_BYTES;
        const unsigned patience_ms = UNWRITTEN_MS;
        (void)setsockopt(link->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof(bytes));
        (void)setsockopt(link->fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &patience_ms,
                         sizeof(patience_ms));
    }
    *user = link;
    return link->attached ? NATS_OK : NATS_SYS_ERROR;
}

static natsStatus on_read_wanted(void *user, bool add)
{
    (void)user; /* we read from the first moment until the link is gone */
    (void)add;
    return NATS_OK;
}

static natsStatus on_write_wanted(void *user, bool add)
{
    struct link *link = user;
    link->want_write = add;
    return NATS_OK;
}

static natsStatus on_detach(void *user)
{
    struct link *link = user;
    link->detached = true;
    return NATS_OK;
}

static void on_error(natsConnection *nc, natsSubscription *sub, natsStatus status, void *closure)
{
    (void)nc;
    (void)sub;
    (void)status;
    (void)closure;
    atomic_fetch_add_explicit(&library_errors, 1, memory_order_relaxed);
}

static natsStatus options_tls(struct link *link)
{
    struct bus *bus = link->bus;
    char ca[4096], cert[4096], key[4096];
    natsOptions *o = link->options;
    int a = snprintf(ca, sizeof(ca), "%s/ca.crt", bus->keys_dir);
    int b = snprintf(cert, sizeof(cert), "%s/%s.tls.crt", bus->keys_dir, bus->self.token);
    int c = snprintf(key, sizeof(key), "%s/%s.tls.key", bus->keys_dir, bus->self.token);
    if (a >= (int)sizeof(ca) || b >= (int)sizeof(cert) || c >= (int)sizeof(key))
        return NATS_INVALID_ARG;
    struct keys_error ignored; /* a pair that does not fit is said by the next step */
    (void)tls_settle(bus->keys_dir, bus->self.token, &ignored);
    natsStatus s = natsOptions_SetSecure(o, true);
    if (s == NATS_OK)
        s = natsOptions_LoadCATrustedCertificates(o, ca);
    if (s == NATS_OK)
        s = natsOptions_LoadCertificatesChain(o, cert, key);
    if (s == NATS_OK)
        s = natsOptions_SetExpectedHostname(o, TLS_SERVER_NAME);
    if (s == NATS_OK)
        s = natsOptions_SetCipherSuites(o, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384");
    return s;
}

natsStatus bus_options(struct link *link)
{
    struct bus *bus = link->bus;
    natsStatus s = natsOptions_Create(&link->options);
    natsOptions *o = link->options;
    if (s == NATS_OK)
        s = natsOptions_SetURL(o, bus->url);
    if (s == NATS_OK && bus->keys_dir)
        s = options_tls(link);
    if (s == NATS_OK)
        s = natsOptions_SetName(o, bus->self.token);
    if (s == NATS_OK)
        s = natsOptions_SetTimeout(o, CONNECT_TIMEOUT_MS);
    if (s == NATS_OK)
        s = natsOptions_SetAllowReconnect(o, false);
    if (s == NATS_OK)
        s = natsOptions_SetPingInterval(o, 0);
    if (s == NATS_OK)
        s = natsOptions_SetIOBufSize(o, BUS_READ_BYTES);
    if (s == NATS_OK)
        s = natsOptions_SetSendAsap(o, true); /* no flusher thread; it would add a millisecond */
    if (s == NATS_OK)
        s = natsOptions_SetErrorHandler(o, on_error, NULL);
    if (s == NATS_OK)
        s = natsOptions_SetEventLoop(o, link, on_attach, on_read_wanted, on_write_wanted,
                                     on_detach);
    return s;
}

/* A refused certificate shows only as a server that hangs up instead of greeting. */
void bus_connect_work(uv_work_t *work)
{
    struct link *link = work->data;
    link->status = natsConnection_Connect(&link->nc, link->options);
    if (link->status == NATS_OK)
        return;
    const char *text = nats_GetLastError(NULL);
    bool refused = text && (strstr(text, "PONG") || strstr(text, "uthorization"));
    (void)snprintf(link->why, sizeof(link->why), "connect: %.60s%s%s",
                   text && *text ? text : natsStatus_GetText(link->status),
                   refused && link->bus->keys_dir ? "; the server does not take the certificate of "
                                                  : "",
                   refused && link->bus->keys_dir ? link->bus->self.token : "");
}

static void low_water(struct link *link, int bytes)
{
    if (link->low_water == bytes)
        return;
    link->low_water = bytes;
    (void)setsockopt(link->fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof(bytes));
}

/* Whether the library can read without waiting: a whole TLS record, or the end of the stream. */
bool bus_record_is_there(struct link *link)
{
    uint8_t header[TLS_HEADER_BYTES];
    ssize_t n = recv(link->fd, header, sizeof(header), MSG_PEEK | MSG_DONTWAIT);
    int waiting = 0;
    int wanted = TLS_HEADER_BYTES;
    if (n == TLS_HEADER_BYTES)
        wanted += header[3] << 8 | header[4];
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        low_water(link, 1);
        return true;
    }
    if (n == TLS_HEADER_BYTES && ioctl(link->fd, FIONREAD, &waiting) == 0 && waiting >= wanted) {
        low_water(link, 1);
        return true;
    }
    low_water(link, n > 0 ? wanted : 1);
    return false;
}
