/* One connection to one Redis server, on libuv streams.
 *
 * Of hiredis 0.14.1 only the protocol reader and the formatter are used. Its asynchronous half is
 * left out, for three reasons found by trying: its libuv adapter returns early on an error status,
 * so that neither a refused connection nor a reset ever reaches a callback; it has no timeouts; and
 * an answer that nobody asked for ends in an assertion inside the library. With uv_tcp and uv_pipe
 * all failures arrive as status codes of libuv's own callbacks, name lookups do not block the loop,
 * and the send buffer is ours to bound.
 *
 * The reader builds objects as the server's bytes tell it to, so each answer is metered: at most
 * LINK_OBJECTS_MAX objects and LINK_ANSWER_BYTES_MAX bytes, beyond which the connection is dropped.
 *
 * All memory that libuv may still look at is given up in close callbacks only; `open` counts what
 * it holds. */
#ifndef _GNU_SOURCE
#endif
#include "registry/redis_link.h"
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void attempt(struct link *link);

static void set_state(struct link *link, enum link_state state)
{
    link->state = state;
    link->since_us = (int64_t)(uv_hrtime() / 1000);
}

/* Reader: hiredis' own object makers, metered. */

static redisReplyObjectFunctions library_makers;

static bool meter_allows(const redisReadTask *task, size_t bytes)
{
    struct link_meter *meter = task->privdata;
    meter->objects++;
    meter->bytes += bytes;
    return meter->objects <= LINK_OBJECTS_MAX && meter->bytes <= LINK_ANSWER_BYTES_MAX;
}

static void *make_string(const redisReadTask *task, char *at, size_t bytes)
{
    return meter_allows(task, bytes) ? library_makers.createString(task, at, bytes) : NULL;
}

static void *make_array(const redisReadTask *task, int elements)
{
    if (elements < 0 || (unsigned)elements > LINK_OBJECTS_MAX)
        return NULL;
    return meter_allows(task, 8 * (size_t)elements) ? library_makers.createArray(task, elements)
                                                    : NULL;
}

static void *make_integer(const redisReadTask *task, long long value)
{
    return meter_allows(task, 0) ? library_makers.createInteger(task, value) : NULL;
}

static void *make_nil(const redisReadTask *task)
{
    return meter_allows(task, 0) ? library_makers.createNil(task) : NULL;
}

static redisReplyObjectFunctions metered_makers = {
    .createString = make_string,
    .createArray = make_array,
    .createInteger = make_integer,
    .createNil = make_nil,
};

redisReader *link_reader_new(struct link_meter *meter)
{
    assert(meter);
    redisReader *reader = redisReaderCreate();
    if (!reader)
        return NULL;
    library_makers = *reader->fn; /* the same at each call */
    metered_makers.freeObject = library_makers.freeObject;
    reader->fn = &metered_makers;
    reader->privdata = meter;
    *meter = (struct link_meter){0};
    return reader;
}

static bool reader_new(struct link *link)
{
    link->reader = link_reader_new(&link->meter);
    return link->reader != NULL;
}

/* Ends. */

static void gone(struct link *link)
{
    assert(link->open > 0);
    if (--link->open == 0 && link->closing) {
        free(link->out.at);
        free(link->sent.at);
        link->owner.on_closed(link->owner.ctx);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    gone(handle->data);
}

static void on_retry(uv_timer_t *timer)
{
    struct link *link = timer->data;
    attempt(link);
}

/* A range that doubles with each attempt, from (shortest, twice that) up to (half the longest, the
 * longest), and a random point in it, so that a thousand clients of a restarted server do not come
 * back together. */
static void wait_and_retry(struct link *link)
{
    set_state(link, LINK_WAITING);
    if (link->closing)
        return;
    int64_t delay_us = link->reconnect_min_us;
    for (unsigned i = 0; i < link->attempts && delay_us < link->reconnect_max_us; i++)
        delay_us *= 2;
    if (delay_us > link->reconnect_max_us)
        delay_us = link->reconnect_max_us;
    link->random ^= link->random << 13;
    link->random ^= link->random >> 7;
    link->random ^= link->random << 17;
    delay_us = delay_us / 2 + (int64_t)(link->random % (uint64_t)(delay_us / 2 + 1));
    uv_timer_start(&link->timer, on_retry, (uint64_t)(delay_us / 1000), 0);
}

static void on_handle_closed(uv_handle_t *handle)
{
    struct link *link = handle->data;
    if (link->reader)
        redisReaderFree(link->reader);
    link->reader = NULL;
    link->out.bytes = 0;
    link->sent.bytes = 0;
    link->writing = false;
    wait_and_retry(link);
    gone(link);
}

void link_drop(struct link *link, const char *why)
{
    assert(link && why);
    if (link->state == LINK_DROPPED || link->state == LINK_WAITING)
        return;
    bool has_handle = link->state != LINK_RESOLVING;
    set_state(link, LINK_DROPPED);
    if (has_handle)
        uv_close(&link->handle.any, on_handle_closed);
    else
        (void)uv_cancel((uv_req_t *)&link->resolve); /* its callback comes in any case */
    if (!link->closing)
        link->owner.on_lost(link->owner.ctx, why);
}

void link_content(struct link *link)
{
    assert(link && link->state == LINK_OPEN);
    link->attempts = 0;
}

void link_close(struct link *link)
{
    assert(link && !link->closing);
    link->closing = true;
    link_drop(link, "closing");
    uv_close((uv_handle_t *)&link->timer, on_timer_closed);
}

/* Bytes. */

static int buffer_append(struct link_buffer *buffer, const char *bytes, size_t count)
{
    if (buffer->room - buffer->bytes < count) {
        size_t room = buffer->room ? buffer->room : 16384;
        while (room - buffer->bytes < count)
            room *= 2;
        char *at = realloc(buffer->at, room);
        if (!at)
            return -ENOMEM;
        buffer->at = at;
        buffer->room = room;
    }
    memcpy(buffer->at + buffer->bytes, bytes, count);
    buffer->bytes += count;
    return 0;
}

int link_send(struct link *link, const char *bytes, size_t count)
{
    assert(link && bytes);
    assert(link->state == LINK_OPEN);
    return buffer_append(&link->out, bytes, count);
}

static void on_written(uv_write_t *write, int status)
{
    struct link *link = write->data;
    link->writing = false;
    link->sent.bytes = 0;
    if (link->sent.room > LINK_BUFFER_KEPT) {
        free(link->sent.at);
        link->sent = (struct link_buffer){0};
    }
    if (status < 0) {
        link_drop(link, uv_strerror(status));
        return;
    }
    link_flush(link);
}

void link_flush(struct link *link)
{
    assert(link);
    if (link->state != LINK_OPEN || link->writing || link->out.bytes == 0)
        return;
    struct link_buffer filled = link->out;
    link->out = link->sent;
    link->sent = filled;
    link->writing = true;
    link->write.data = link;
    link->bytes_out += filled.bytes;
    uv_buf_t bytes = {.base = filled.at, .len = filled.bytes};
    int status = uv_write(&link->write, &link->handle.stream, &bytes, 1, on_written);
    if (status < 0) {
        link->writing = false;
        link_drop(link, uv_strerror(status));
    }
}

static void on_room(uv_handle_t *handle, size_t wanted, uv_buf_t *ret_room)
{
    (void)wanted;
    struct link *link = handle->data;
    *ret_room = (uv_buf_t){.base = link->read_room, .len = sizeof link->read_room};
}

static void on_read(uv_stream_t *stream, ssize_t count, const uv_buf_t *bytes)
{
    struct link *link = stream->data;
    if (link->state != LINK_OPEN || count == 0)
        return;
    if (count < 0) {
        link_drop(link, count == UV_EOF ? "closed by the server" : uv_strerror((int)count));
        return;
    }
    link->bytes_in += (uint64_t)count;
    if (redisReaderFeed(link->reader, bytes->base, (size_t)count) != REDIS_OK) {
        link_drop(link, "out of memory for an answer");
        return;
    }
    for (;;) {
        void *answer = NULL;
        if (redisReaderGetReply(link->reader, &answer) != REDIS_OK) {
            link_drop(link, "an answer outside the protocol or too large");
            return;
        }
        if (!answer)
            break;
        link->meter = (struct link_meter){0};
        link->owner.on_answer(link->owner.ctx, answer);
        freeReplyObject(answer);
        if (link->state != LINK_OPEN)
            return;
    }
    if (link->reader->len - link->reader->pos > LINK_ANSWER_BYTES_MAX)
        link_drop(link, "an answer too large");
}

/* Connecting. */

static void on_connected(uv_connect_t *connect, int status)
{
    struct link *link = connect->data;
    if (link->state != LINK_CONNECTING)
        return; /* dropped meanwhile */
    if (status == 0 && !link->url.is_unix) {
        (void)uv_tcp_nodelay(&link->handle.tcp, 1);
        (void)uv_tcp_keepalive(&link->handle.tcp, 1, 15);
    }
    if (status == 0 && !reader_new(link))
        status = UV_ENOMEM;
    if (status == 0)
        status = uv_read_start(&link->handle.stream, on_room, on_read);
    if (status < 0) {
        link_drop(link, uv_strerror(status));
        return;
    }
    set_state(link, LINK_OPEN);
    link->owner.on_open(link->owner.ctx);
}

/* `address` is NULL for a Unix socket. */
static void connect_to(struct link *link, const struct sockaddr *address)
{
    int status = address ? uv_tcp_init(link->loop, &link->handle.tcp)
                         : uv_pipe_init(link->loop, &link->handle.pipe, 0);
    if (status < 0) {
        link->owner.on_lost(link->owner.ctx, uv_strerror(status));
        wait_and_retry(link);
        return;
    }
    link->open++;
    link->handle.any.data = link;
    link->connect.data = link;
    set_state(link, LINK_CONNECTING);
    if (address)
        status = uv_tcp_connect(&link->connect, &link->handle.tcp, address, on_connected);
    else
        uv_pipe_connect(&link->connect, &link->handle.pipe, link->url.host, on_connected);
    if (status < 0)
        link_drop(link, uv_strerror(status));
}

static void on_resolved(uv_getaddrinfo_t *resolve, int status, struct addrinfo *found)
{
    struct link *link = resolve->data;
    if (link->state == LINK_RESOLVING && status == 0) {
        /* A name with several addresses: each attempt takes the next. */
        unsigned count = 0;
        for (struct addrinfo *at = found; at; at = at->ai_next)
            count++;
        struct addrinfo *at = found;
        for (unsigned skip = count ? (link->attempts - 1) % count : 0; skip > 0; skip--)
            at = at->ai_next;
        connect_to(link, at->ai_addr);
    } else {
        if (link->state == LINK_RESOLVING && !link->closing)
            link->owner.on_lost(link->owner.ctx, uv_strerror(status));
        wait_and_retry(link);
    }
    uv_freeaddrinfo(found);
    gone(link);
}

static void attempt(struct link *link)
{
    link->attempts++;
    if (link->url.is_unix) {
        connect_to(link, NULL);
        return;
    }
    struct sockaddr_storage address;
    memset(&address, 0, sizeof address);
    if (uv_ip4_addr(link->url.host, link->url.port, (struct sockaddr_in *)&address) == 0 ||
        uv_ip6_addr(link->url.host, link->url.port, (struct sockaddr_in6 *)&address) == 0) {
        connect_to(link, (const struct sockaddr *)&address);
        return;
    }
    char port[8];
    snprintf(port, sizeof port, "%u", (unsigned)link->url.port);
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    link->resolve.data = link;
    int status =
        uv_getaddrinfo(link->loop, &link->resolve, on_resolved, link->url.host, port, &hints);
    if (status < 0) {
        link->owner.on_lost(link->owner.ctx, uv_strerror(status));
        wait_and_retry(link);
        return;
    }
    link->open++;
    set_state(link, LINK_RESOLVING);
}

static void on_first(uv_timer_t *timer)
{
    attempt(timer->data);
}

int link_start(struct link *link, uv_loop_t *loop)
{
    assert(link && loop);
    assert(link->reconnect_min_us > 0 && link->reconnect_min_us <= link->reconnect_max_us);
    link->loop = loop;
    link->random = uv_hrtime() ^ (uint64_t)(uintptr_t)link ^ (uint64_t)uv_os_getpid() << 32;
    link->random |= 1;
    int status = uv_timer_init(loop, &link->timer);
    if (status < 0)
        return status;
    link->timer.data = link;
    link->open = 1;
    set_state(link, LINK_WAITING);
    /* Not from here: the owner is not ready for callbacks yet. */
    return uv_timer_start(&link->timer, on_first, 0, 0);
}
