/* How a link is written to without waiting. In the clear a socket that is full takes what it can.
 * Under TLS the library waits, on the loop, until the server has read everything that it was given:
 * a server that has stopped reading, or a path cut in that direction alone, would stop the whole
 * process with it, its lease and its timers, too. So the library is given what the socket has room
 * for, and the rest stays here. TCP_USER_TIMEOUT (bus_connect.c) ends the wait that is left: of a
 * piece that began when there was room and did not fit. */
#include "tiers/runner/bus_int.h"

#include <assert.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#define HELD_FIRST_BYTES 65536u

/* In front of each frame that is held; the subject, with its end, and the bytes follow. */
struct held_head {
    uint32_t subject_bytes, length;
};

/* Whether the library can write now: always in the clear, where it does not wait. */
static bool has_room(const struct link *link)
{
    struct pollfd p = {.fd = link->fd, .events = POLLOUT};
    return !link->bus->keys_dir || (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0);
}

bool bus_has_more(const struct link *link)
{
    return link->want_write || link->held.begin < link->held.end;
}

size_t bus_waiting(const struct link *link)
{
    return (size_t)natsConnection_Buffered(link->nc) + link->held.end - link->held.begin;
}

bool bus_hold(struct link *link, const char *subject, const uint8_t *bytes, size_t length)
{
    struct held *h = &link->held;
    struct held_head head = {(uint32_t)strlen(subject) + 1, (uint32_t)length};
    if (h->begin > h->room / 2) { /* what stands still takes turns with what is given */
        memmove(h->bytes, h->bytes + h->begin, h->end - h->begin);
        h->end -= h->begin;
        h->begin = 0;
    }
    size_t wanted = h->end + sizeof(head) + head.subject_bytes + length;
    if (wanted > h->room) {
        size_t room = h->room > 0 ? h->room : HELD_FIRST_BYTES;
        while (room < wanted)
            room *= 2;
        uint8_t *grown = realloc(h->bytes, room);
        if (!grown)
            return false;
        h->bytes = grown;
        h->room = room;
    }
    memcpy(h->bytes + h->end, &head, sizeof(head));
    memcpy(h->bytes + h->end + sizeof(head), subject, head.subject_bytes);
    memcpy(h->bytes + h->end + sizeof(head) + head.subject_bytes, bytes, length);
    h->end = wanted;
    return true;
}

void bus_held_free(struct link *link)
{
    free(link->held.bytes);
    link->held = (struct held){0};
}

/* The next of what is held, as much as is written in one go, to the library. */
static void held_give(struct link *link)
{
    struct held *h = &link->held;
    for (size_t given = 0; h->begin < h->end && given < BUS_WRITE_BYTES;) {
        struct held_head head;
        memcpy(&head, h->bytes + h->begin, sizeof(head));
        const char *subject = (const char *)h->bytes + h->begin + sizeof(head);
        const uint8_t *bytes = (const uint8_t *)subject + head.subject_bytes;
        assert(h->begin + sizeof(head) + head.subject_bytes + head.length <= h->end);
        if (natsConnection_Publish(link->nc, subject, bytes, (int)head.length) != NATS_OK)
            link->bus->stats.refused_failed++; /* the link is gone; it is noticed as such */
        h->begin += sizeof(head) + head.subject_bytes + head.length;
        given += head.length;
    }
    if (h->begin == h->end)
        bus_held_free(link);
}

void bus_write(struct link *link)
{
    while (!link->detached && bus_has_more(link) && has_room(link)) {
        if (!link->want_write) {
            held_give(link);
            continue;
        }
        natsConnection_ProcessWriteEvent(link->nc);
        link->written_us = bus_now_us();
        if (link->want_write)
            return; /* in the clear: it came up short */
    }
}
