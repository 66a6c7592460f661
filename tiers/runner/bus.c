/* libnats 3.4.1 in event-loop mode, with its known faults kept out of the way:
 *
 *  - Its reconnect keeps a stale parser, so it is off; a lost link is destroyed and a new one made.
 *  - Its ping timer would close the connection from another thread while the loop reads; it is off.
 *    A probe, an empty message to ourselves, shows instead that the server is alive, that our
 *    subscriptions are in force, and how long a round trip takes.
 *  - Connecting blocks, so it runs in a libuv worker. Nothing else leaves the loop thread.
 *  - Subscriptions are synchronous and emptied right after each read. That makes the read buffer
 *    (BUS_READ_BYTES) the bound of what waits in memory, and needs no delivery thread, no ring and
 *    no wake-up; messages in order, memory reused. Behind it the socket pushes back on the server.
 *  - The library closes its socket while libuv still polls it. We poll a duplicate and close that
 *    ourselves after libuv has let go of it.
 *  - Nothing is destroyed inside a callback of the library: detach only sets a flag.
 *
 *  - A TLS record that has come in part would make it wait for the rest on the loop. So it reads
 *    only when a whole record is in the socket; SO_RCVLOWAT keeps poll quiet until then.
 *
 * Writing: the library asks for "writable" when something is buffered; a uv_prepare writes just
 * before the loop sleeps, so a batch costs one send and no epoll_ctl. Under TLS it would wait on
 * the loop for a server that does not read (bus_write.c). */
#include "tiers/runner/bus.h"

#include "tiers/runner/bus_int.h"
#include "tiers/runner/service.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <nats/nats.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MIN_MS      200u
#define RETRY_MAX_MS      5000u
#define PROBE_EVERY_MS    1000
#define PROBES_UNANSWERED 7u
#define PROBES_STALLED    2u
#define UNREAD_US         INT64_C(9000000) /* nothing written for so long; silence is said first */
#define DRAIN_READS_MAX   1024u
#define HANDLES           4u
#define LINGER_MS         1000 /* how long a link that was replaced is still heard */
#define TLS_RECORDS_MAX   8u   /* of 16 KiB at most, read in one turn */

/* Messages that nobody needs any more, of all buses on this thread. The library frees each on a
 * thread of its own, which it wakes for it: a wake and a switch cost more than a small message. So
 * they are handed over by the hundred, and that thread wakes once. */
#define SPENT_MAX       256u
#define SPENT_BYTES_MAX 1048576u
static _Thread_local struct {
    natsMsg *messages[SPENT_MAX];
    uint32_t count;
    size_t bytes;
} spent;

static void spent_free(void)
{
    for (uint32_t i = 0; i < spent.count; i++)
        natsMsg_Destroy(spent.messages[i]);
    spent.count = 0;
    spent.bytes = 0;
}

int64_t bus_now_us(void)
{
    struct timespec ts;
    (void)clock_gettime(CLOCK_BOOTTIME, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* ---- the life of a link ---- */

static void attempt_start(struct bus *bus);
static void on_probe(uv_timer_t *timer);
static void bus_finish(struct bus *bus);

static void set_error(struct bus *bus, const char *why)
{
    (void)snprintf(bus->stats.last_error, sizeof(bus->stats.last_error), "%s", why);
}

static void on_retry(uv_timer_t *timer)
{
    attempt_start(timer->data);
}

/* Full jitter above a floor: 0.2 s to a ceiling that doubles up to 5 s. */
static void retry_later(struct bus *bus)
{
    unsigned doublings = bus->failures < 5 ? bus->failures : 5;
    uint32_t ceiling = (2u * RETRY_MIN_MS) << doublings;
    if (ceiling > RETRY_MAX_MS)
        ceiling = RETRY_MAX_MS;
    bus->failures++;
    bus->state = WAITING;
    uint32_t wait = RETRY_MIN_MS + randombytes_uniform(ceiling - RETRY_MIN_MS + 1);
    (void)uv_timer_start(&bus->retry, on_retry, wait, 0);
}

static void link_free(struct link *link)
{
    struct bus *bus = link->bus;
    for (unsigned i = 0; i < SUBS; i++)
        natsSubscription_Destroy(link->subs[i]);
    natsConnection_Destroy(link->nc);
    natsOptions_Destroy(link->options);
    if (link->fd >= 0)
        (void)close(link->fd);
    bus_held_free(link);
    free(link);
    bus->links_open--;
    bus_finish(bus);
}

static void on_poll_closed(uv_handle_t *handle)
{
    link_free(handle->data);
}

static void poll_dropped(struct link *link)
{
    for (unsigned i = 0; i < SUBS; i++) {
        int64_t dropped = 0;
        if (link->subs[i] && natsSubscription_GetDropped(link->subs[i], &dropped) == NATS_OK) {
            link->bus->stats.dropped_slow += (uint64_t)(dropped - link->dropped[i]);
            link->dropped[i] = dropped;
        }
    }
}

/* Makes the library let go of the connection without its blocking flush: the socket is shut down
 * and read to its end, which the library takes as a lost connection. */
static void link_hang_up(struct link *link)
{
    bus_write(link);
    (void)shutdown(link->fd, SHUT_RDWR);
    for (unsigned i = 0; i < DRAIN_READS_MAX && !link->detached; i++)
        natsConnection_ProcessReadEvent(link->nc);
    if (!link->detached)
        natsConnection_Close(link->nc);
}

/* Frees it later. */
static void link_discard(struct link *link)
{
    poll_dropped(link);
    link_hang_up(link);
    uv_close((uv_handle_t *)&link->poll, on_poll_closed);
}

static void old_discard(struct bus *bus)
{
    if (!bus->old)
        return;
    struct link *old = bus->old;
    bus->old = NULL;
    (void)uv_timer_stop(&bus->linger);
    link_discard(old);
}

/* The link in use is gone, or is to go. Frees it later, plans the next attempt, tells the owner. */
static void link_down(struct bus *bus, const char *why)
{
    struct link *link = bus->link;
    bool was_up = bus->state == UP;
    assert(link && !bus->delivering);
    set_error(bus, why);
    bus->link = NULL;
    (void)uv_timer_stop(&bus->probe);
    link_discard(link);
    if (was_up)
        bus->stats.lost++;
    else
        bus->stats.attempts_failed++;
    bus->stats.up = false;
    if (bus->next) { /* it was to replace this one anyway */
        bus->link = bus->next;
        bus->next = NULL;
        bus->state = bus->link->polled ? PROVING : CONNECTING;
        bus->unanswered = 0;
        if (bus->link->polled)
            (void)uv_timer_start(&bus->probe, on_probe, PROBE_EVERY_MS, PROBE_EVERY_MS);
    } else if (!bus->closing) {
        retry_later(bus);
    }
    if (!bus->closing && (was_up || !bus->told_down)) {
        bus->told_down = true;
        bus->config.on_link(bus->config.ctx, false, bus->stats.last_error);
    }
}

static const char *why_lost(struct link *link, char *room, size_t size)
{
    const char *text = NULL;
    natsStatus s = natsConnection_GetLastError(link->nc, &text);
    (void)snprintf(room, size, "%s", text && *text ? text : natsStatus_GetText(s));
    return room;
}

static void link_check(struct bus *bus)
{
    char room[128];
    if (bus->old && bus->old->detached)
        old_discard(bus);
    if (bus->next && bus->next->detached && bus->next->polled) {
        struct link *next = bus->next;
        bus->next = NULL;
        bus->stats.rotations_failed++;
        set_error(bus, why_lost(next, room, sizeof(room)));
        link_discard(next);
    }
    if (bus->link && bus->link->detached)
        link_down(bus, why_lost(bus->link, room, sizeof(room)));
}

/* ---- reading ---- */

static void on_linger(uv_timer_t *timer)
{
    old_discard(timer->data);
}

/* The new link has shown that it works: from here on it is the one. */
static void next_takes_over(struct bus *bus)
{
    bus->old = bus->link;
    bus->link = bus->next;
    bus->next = NULL;
    bus->unanswered = 0;
    bus->stats.rotations++;
    (void)uv_timer_start(&bus->linger, on_linger, LINGER_MS, 0);
}

static void probe_came_back(struct bus *bus, const struct link *link)
{
    if (link == bus->next) {
        next_takes_over(bus);
        return;
    }
    if (link != bus->link)
        return;
    bus->stats.probe_us = bus_now_us() - bus->probe_sent_us;
    if (bus->state != PROVING)
        return;
    bus->state = UP;
    bus->stats.up = true;
    bus->stats.connects++;
    bus->failures = 0;
    bus->told_down = false;
    bus->config.on_link(bus->config.ctx, true, "connected");
}

/* Somebody looks for services. Answers go to inboxes only: under any other subject our word would
 * pass for a frame of ours. */
static void serve(struct bus *bus, const struct link *link, natsMsg *msg, int64_t recv_us)
{
    char answer[SERVICE_ANSWER_BYTES];
    const char *reply = natsMsg_GetReply(msg);
    if (link != bus->link || !bus->config.on_service)
        return; /* the other link answers */
    if (recv_us / 1000000 != bus->service_second) {
        bus->service_second = recv_us / 1000000;
        bus->service_answers = 0;
    }
    if (!reply || strncmp(reply, SERVICE_INBOX, strlen(SERVICE_INBOX)) != 0 ||
        bus->service_answers == SERVICE_PER_S || bus_waiting(link) > BUS_BUFFERED_MAX) {
        bus->stats.services_refused++;
        return;
    }
    bus->service_answers++;
    size_t bytes =
        bus->config.on_service(bus->config.ctx, natsMsg_GetSubject(msg), answer, sizeof(answer));
    if (bytes > 0 && natsConnection_Publish(link->nc, reply, answer, (int)bytes) == NATS_OK)
        bus->stats.services_answered++;
}

static void deliver(struct bus *bus, const struct link *link, natsMsg *msg, int64_t recv_us)
{
    struct bus_frame frame = {.recv_us = recv_us, .message = msg};
    frame.bytes = (const uint8_t *)natsMsg_GetData(msg);
    frame.length = (size_t)natsMsg_GetDataLength(msg);
    if (strncmp(natsMsg_GetSubject(msg), "$SRV.", 5) == 0) {
        serve(bus, link, msg, recv_us);
    } else if (!subject_parse(natsMsg_GetSubject(msg), &frame.route)) {
        bus->stats.dropped_subject++;
    } else if (frame.length == 0) {
        /* No frame is empty: our probe, or nothing. */
        if (endpoint_equal(&frame.route.source, &bus->self))
            probe_came_back(bus, link);
    } else {
        bus->stats.received++;
        bus->stats.received_bytes += frame.length;
        bus->config.on_frame(bus->config.ctx, &frame);
    }
    if (frame.message)
        bus_release(frame.message);
}

static void drain(struct bus *bus, struct link *link, int64_t recv_us)
{
    bus->delivering = true;
    for (unsigned i = 0; i < SUBS; i++) {
        int msgs = 0, bytes = 0;
        if (natsSubscription_GetPending(link->subs[i], &msgs, &bytes) != NATS_OK)
            continue; /* closed: see link_check */
        for (; msgs > 0 && !bus->closing; msgs--) {
            natsMsg *msg = NULL;
            natsStatus s = natsSubscription_NextMsg(&msg, link->subs[i], 0);
            if (s == NATS_SLOW_CONSUMER) /* said once after a drop; the messages are still there */
                s = natsSubscription_NextMsg(&msg, link->subs[i], 0);
            if (s != NATS_OK)
                break;
            if (link == bus->link)
                bus->unanswered = 0;
            deliver(bus, link, msg, recv_us);
        }
    }
    bus->delivering = false;
}

static void read_link(struct bus *bus, struct link *link, bool broken)
{
    int64_t recv_us = bus_now_us();
    if (!bus->keys_dir || broken) {
        natsConnection_ProcessReadEvent(link->nc);
        drain(bus, link, recv_us);
        return;
    }
    for (unsigned i = 0; i < TLS_RECORDS_MAX && !link->detached && !bus->closing; i++) {
        if (!bus_record_is_there(link))
            return;
        natsConnection_ProcessReadEvent(link->nc);
        drain(bus, link, recv_us);
    }
}

/* All links, on the way to the end. */
static void links_close(struct bus *bus)
{
    old_discard(bus);
    if (bus->next && bus->next->polled) { /* one that is connecting ends in connect_done */
        struct link *next = bus->next;
        bus->next = NULL;
        link_discard(next);
    }
    if (bus->link && bus->link->polled)
        link_down(bus, "closed");
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct link *link = poll->data;
    struct bus *bus = link->bus;
    if (link != bus->link && link != bus->next && link != bus->old)
        return;
    if (events & UV_WRITABLE)
        bus_write(link);
    if (status < 0 || events & UV_READABLE)
        read_link(bus, link, status < 0);
    if (!bus->closing)
        link_check(bus);
    else
        links_close(bus); /* bus_close came out of a callback */
}

/* ---- writing ---- */

/* Once a write has come up short, libuv says when to go on: every attempt makes the library move
 * all that waits to the front of its buffer, up to 8 MiB of it. */
static void write_now(struct link *link)
{
    if (!link->poll_write)
        bus_write(link);
    link->unwritten = 0;
    bool more = bus_has_more(link);
    if (link->detached || more == link->poll_write)
        return;
    link->poll_write = more;
    link->written_us = bus_now_us();
    (void)uv_poll_start(&link->poll, UV_READABLE | (link->poll_write ? UV_WRITABLE : 0), on_poll);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct bus *bus = prepare->data;
    if (!bus->link || (bus->state != PROVING && bus->state != UP))
        return;
    write_now(bus->link);
    if (bus->next && bus->next->polled)
        write_now(bus->next);
    if (bus->old)
        write_now(bus->old);
    link_check(bus);
}

void bus_flush(struct bus *bus)
{
    assert(bus);
    assert(!bus->closing);
    if (bus->state == UP && bus->link)
        write_now(bus->link); /* a link lost here is noticed in on_prepare */
}

static void probe_send(struct bus *bus, struct link *link)
{
    char subject[SUBJECT_MAX];
    struct route route = {bus->self, bus->self};
    (void)subject_format(&route, subject);
    bus->probe_sent_us = bus_now_us();
    (void)natsConnection_Publish(link->nc, subject, NULL, 0);
}

static void on_probe(uv_timer_t *timer)
{
    struct bus *bus = timer->data;
    poll_dropped(bus->link);
    if (++bus->unanswered > PROBES_UNANSWERED) {
        link_down(bus, bus->state == UP ? "the server is silent"
                                        : "own messages do not come back (permissions?)");
        return;
    }
    if (bus->link->poll_write && bus_now_us() - bus->link->written_us > UNREAD_US) {
        link_down(bus, "the server does not read");
        return;
    }
    probe_send(bus, bus->link);
    if (bus->next && bus->next->polled)
        probe_send(bus, bus->next);
}

/* ---- connecting ---- */

static natsStatus link_subscribe(struct link *link)
{
    char own[SUBJECT_MAX];
    (void)snprintf(own, sizeof(own), "mesh.p.%s.>", link->bus->self.token);
    natsStatus s = natsConnection_SubscribeSync(&link->subs[0], link->nc, own);
    if (s == NATS_OK)
        s = natsConnection_SubscribeSync(&link->subs[1], link->nc, "mesh.all.>");
    if (s == NATS_OK && link->bus->config.on_service)
        s = natsConnection_SubscribeSync(&link->subs[2], link->nc, SERVICE_SUBJECTS);
    for (unsigned i = 0; i < SUBS && link->subs[i] && s == NATS_OK; i++)
        s = natsSubscription_SetPendingLimits(link->subs[i], BUS_PENDING_MSGS, BUS_PENDING_BYTES);
    return s;
}

static void attempt_failed(struct bus *bus, struct link *link)
{
    set_error(bus, link->why);
    if (link == bus->next) {
        bus->stats.rotations_failed++;
        bus->next = NULL;
    } else {
        bus->stats.attempts_failed++;
        bus->link = NULL;
    }
    link_free(link); /* may free the bus when it is closing */
}

static void connect_done(uv_work_t *work, int status)
{
    struct link *link = work->data;
    struct bus *bus = link->bus;
    bool closing = bus->closing;
    bool ok = status == 0 && link->status == NATS_OK && link->attached;
    if (ok && uv_poll_init(bus->config.loop, &link->poll, link->fd) < 0) {
        (void)snprintf(link->why, sizeof(link->why), "connect: cannot poll the socket");
        ok = false;
    }
    bool replaces = link == bus->next;
    if (!ok) {
        attempt_failed(bus, link);
        if (closing || replaces)
            return;
        retry_later(bus);
        if (!bus->told_down) {
            bus->told_down = true;
            bus->config.on_link(bus->config.ctx, false, bus->stats.last_error);
        }
        return;
    }
    link->poll.data = link;
    link->polled = true;
    (void)uv_poll_start(&link->poll, UV_READABLE, on_poll);
    natsStatus subscribed = closing ? NATS_CONNECTION_CLOSED : link_subscribe(link);
    if (replaces) {
        if (subscribed == NATS_OK) {
            probe_send(bus, link);
            return;
        }
        bus->next = NULL;
        link_discard(link);
        return;
    }
    bus->state = PROVING;
    bus->unanswered = 0;
    if (subscribed != NATS_OK) {
        link_down(bus, closing ? "closed" : "cannot subscribe");
        return;
    }
    probe_send(bus, link);
    (void)uv_timer_start(&bus->probe, on_probe, PROBE_EVERY_MS, PROBE_EVERY_MS);
}

static struct link *link_new(struct bus *bus)
{
    struct link *link = calloc(1, sizeof(*link));
    if (!link)
        return NULL;
    link->bus = bus;
    link->fd = -1;
    link->low_water = 1;
    link->work.data = link;
    bus->links_open++;
    return link;
}

/* The link is bus->link or bus->next. False: it has failed and is gone. */
static bool link_connect(struct bus *bus, struct link *link)
{
    natsStatus s = bus_options(link);
    if (s == NATS_OK &&
        uv_queue_work(bus->config.loop, &link->work, bus_connect_work, connect_done) == 0)
        return true;
    const char *text = nats_GetLastError(NULL);
    (void)snprintf(link->why, sizeof(link->why), "options: %.100s",
                   text && *text ? text : natsStatus_GetText(s));
    attempt_failed(bus, link);
    return false;
}

static void attempt_start(struct bus *bus)
{
    bus->link = link_new(bus);
    if (!bus->link) {
        bus->stats.attempts_failed++;
        retry_later(bus);
        return;
    }
    bus->state = CONNECTING;
    if (link_connect(bus, bus->link))
        return;
    retry_later(bus);
    if (!bus->told_down && bus->ready) { /* not before bus_new has returned */
        bus->told_down = true;
        bus->config.on_link(bus->config.ctx, false, bus->stats.last_error);
    }
}

void bus_rotate(struct bus *bus)
{
    assert(bus);
    if (bus->state != UP || bus->next || bus->old || bus->closing)
        return;
    bus->next = link_new(bus);
    if (bus->next)
        (void)link_connect(bus, bus->next);
}

/* ---- public ---- */

static void strings_free(struct bus *bus)
{
    free(bus->url);
    free(bus->keys_dir);
}

int bus_new(const struct bus_config *config, struct bus **ret)
{
    assert(config && ret);
    assert(config->loop && config->on_frame && config->on_link);
    struct bus *bus = calloc(1, sizeof(*bus));
    if (!bus)
        return -ENOMEM;
    bus->config = *config;
    if (!config->url || !config->token ||
        !endpoint_make(config->token, strlen(config->token), 0, &bus->self)) {
        free(bus);
        return -EINVAL;
    }
    /* The library knows the scheme nats:// only; what makes it TLS is the keys. */
    bool tls = strncmp(config->url, "tls://", 6) == 0;
    bus->url = strdup(tls ? config->url + 6 : config->url);
    bus->keys_dir = config->keys_dir ? strdup(config->keys_dir) : NULL;
    if (!bus->url || (config->keys_dir && !bus->keys_dir)) {
        strings_free(bus);
        free(bus);
        return -ENOMEM;
    }
    /* These cannot fail: they only fill in their handles. */
    (void)uv_timer_init(config->loop, &bus->retry);
    (void)uv_timer_init(config->loop, &bus->probe);
    (void)uv_timer_init(config->loop, &bus->linger);
    (void)uv_prepare_init(config->loop, &bus->prepare);
    bus->retry.data = bus->probe.data = bus->linger.data = bus->prepare.data = bus;
    bus->handles_open = HANDLES;
    (void)uv_prepare_start(&bus->prepare, on_prepare);
    attempt_start(bus);
    bus->ready = true;
    *ret = bus;
    return 0;
}

enum bus_verdict bus_publish(struct bus *bus, const struct route *route, const uint8_t *bytes,
                             size_t length)
{
    assert(bus && route);
    assert(bytes && length > 0 && length <= INT32_MAX);
    struct link *link = bus->link;
    if (bus->state != UP || !link || link->detached) {
        bus->stats.refused_down++;
        return BUS_DOWN;
    }
    char subject[SUBJECT_MAX];
    (void)subject_format(route, subject);
    bool hold = bus->keys_dir && link->poll_write;
    if (bus_waiting(link) + length > BUS_BUFFERED_MAX ||
        (hold && !bus_hold(link, subject, bytes, length))) {
        bus->stats.refused_full++;
        return BUS_FULL;
    }
    if (!hold && natsConnection_Publish(link->nc, subject, bytes, (int)length) != NATS_OK) {
        bus->stats.refused_failed++;
        return BUS_FAILED;
    }
    bus->stats.published++;
    bus->stats.published_bytes += length;
    link->unwritten += length;
    if (link->unwritten >= BUS_WRITE_BYTES && !link->poll_write)
        write_now(link);
    return BUS_OK;
}

bool bus_is_stalled(const struct bus *bus)
{
    assert(bus);
    return bus->state == UP && bus->unanswered >= PROBES_STALLED;
}

bool bus_is_up(const struct bus *bus)
{
    assert(bus);
    assert(bus->stats.up == (bus->state == UP && bus->link));
    return bus->stats.up;
}

void bus_stats(const struct bus *bus, struct bus_stats *ret)
{
    assert(bus);
    assert(ret);
    *ret = bus->stats;
    ret->errors = bus_library_errors();
}

void *bus_keep(struct bus_frame *frame)
{
    assert(frame);
    assert(frame->message); /* kept once only */
    void *message = frame->message;
    frame->message = NULL;
    return message;
}

void bus_release(void *message)
{
    assert(message);
    assert(spent.count < SPENT_MAX);
    spent.messages[spent.count++] = message;
    spent.bytes += (size_t)natsMsg_GetDataLength(message);
    if (spent.count == SPENT_MAX || spent.bytes > SPENT_BYTES_MAX)
        spent_free();
}

/* Frees the bus once its handles and links are gone. */
static void bus_finish(struct bus *bus)
{
    if (!bus->closing || bus->handles_open > 0 || bus->links_open > 0)
        return;
    spent_free();
    void (*closed)(void *ctx) = bus->closed;
    void *ctx = bus->closed_ctx;
    strings_free(bus);
    free(bus);
    if (closed)
        closed(ctx);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct bus *bus = handle->data;
    bus->handles_open--;
    bus_finish(bus);
}

void bus_close(struct bus *bus, void (*closed)(void *ctx), void *ctx)
{
    if (!bus)
        return;
    assert(!bus->closing);
    bus->closing = true;
    bus->closed = closed;
    bus->closed_ctx = ctx;
    uv_close((uv_handle_t *)&bus->retry, on_handle_closed);
    uv_close((uv_handle_t *)&bus->probe, on_handle_closed);
    uv_close((uv_handle_t *)&bus->linger, on_handle_closed);
    uv_close((uv_handle_t *)&bus->prepare, on_handle_closed);
    /* A link that is connecting ends in connect_done, one that is delivering in on_poll. */
    if (!bus->delivering)
        links_close(bus);
}

void bus_library_close(void)
{
    (void)nats_CloseAndWait(5000);
}
