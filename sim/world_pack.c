/* Idle agents in little memory. An agent's state is 5 KiB of tables of which few are in use: what
 * is zero need not be kept. Between its steps an agent is a bitmap of the 16-byte units that are
 * not zero, and those units; for a step it is laid out at one place, the same for all of them, so
 * its few lines of memory are in the cache while it works. Node state has no pointers into itself
 * that would mind (and if it had, the place is always the same).
 *
 * 30,000 agents take 50 MB instead of 160. Small worlds do not pack, so that sanitizers see each
 * agent's own memory. */
#include "sim/world_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define UNIT       16u
#define WORD_UNITS 64u
#define ROOM_STEP  64u

struct pack_unit {
    uint64_t low, high;
};

struct packed {
    uint32_t bytes; /* of this allocation */
    uint32_t unused;
    uint64_t bitmap[]; /* then the units, 16-byte aligned */
};

static uint32_t words_of(const struct world *w)
{
    return (uint32_t)((w->pack_bytes + UNIT * WORD_UNITS - 1) / (UNIT * WORD_UNITS));
}

static size_t head_bytes(uint32_t words)
{
    return (sizeof(struct packed) + words * sizeof(uint64_t) + UNIT - 1) / UNIT * UNIT;
}

void world_pack_init(struct world *w, size_t node_bytes)
{
    w->pack_bytes = node_bytes;
    w->pack_room = world_alloc((size_t)words_of(w) * WORD_UNITS * UNIT);
    w->pack_words = world_alloc(words_of(w) * sizeof(uint64_t));
}

void *world_unpack(struct world *w, const struct packed *p)
{
    uint32_t words = words_of(w);
    const uint8_t *at = (const uint8_t *)p + head_bytes(words);
    memset(w->pack_room, 0, (size_t)words * WORD_UNITS * UNIT);
    for (uint32_t i = 0; i < words; i++) {
        uint8_t *to = w->pack_room + (size_t)i * WORD_UNITS * UNIT;
        for (uint64_t rest = p->bitmap[i]; rest != 0; rest &= rest - 1u) {
            memcpy(to + (size_t)__builtin_ctzll(rest) * UNIT, at, UNIT);
            at += UNIT;
        }
    }
    return w->pack_room;
}

/* The bitmap of what lies in the room; returns how many units are not zero. */
static uint32_t find_units(struct world *w, uint32_t words)
{
    const struct pack_unit *unit = (const struct pack_unit *)(const void *)w->pack_room;
    uint32_t count = 0;
    for (uint32_t i = 0; i < words; i++) {
        uint64_t bits = 0;
        for (uint32_t k = 0; k < WORD_UNITS; k += 4, unit += 4) {
            uint64_t a = unit[0].low | unit[0].high, b = unit[1].low | unit[1].high;
            uint64_t c = unit[2].low | unit[2].high, d = unit[3].low | unit[3].high;
            if ((a | b | c | d) != 0) {
                uint64_t four = (uint64_t)(a != 0) | (uint64_t)(b != 0) << 1 |
                                (uint64_t)(c != 0) << 2 | (uint64_t)(d != 0) << 3;
                bits |= four << k;
            }
        }
        w->pack_words[i] = bits;
        count += (uint32_t)__builtin_popcountll(bits);
    }
    return count;
}

/* Room for so much: the former one while it fits and is not much too large. Its content goes. */
static struct packed *room_for(struct packed *former, size_t bytes)
{
    size_t wanted = (bytes + ROOM_STEP - 1) / ROOM_STEP * ROOM_STEP;
    if (former != NULL && former->bytes >= bytes && former->bytes <= wanted + ROOM_STEP) {
        return former;
    }
    free(former);
    struct packed *p = malloc(wanted);
    if (p == NULL) {
        fprintf(stderr, "world: out of memory for agents\n");
        abort();
    }
    p->bytes = (uint32_t)wanted;
    return p;
}

struct packed *world_pack(struct world *w, struct packed *former)
{
    uint32_t words = words_of(w);
    uint32_t count = find_units(w, words);
    struct packed *p = room_for(former, head_bytes(words) + (size_t)count * UNIT);
    memcpy(p->bitmap, w->pack_words, words * sizeof(uint64_t));
    uint8_t *to = (uint8_t *)p + head_bytes(words);
    for (uint32_t i = 0; i < words; i++) {
        const uint8_t *from = w->pack_room + (size_t)i * WORD_UNITS * UNIT;
        for (uint64_t rest = w->pack_words[i]; rest != 0; rest &= rest - 1u) {
            memcpy(to, from + (size_t)__builtin_ctzll(rest) * UNIT, UNIT);
            to += UNIT;
        }
    }
    return p;
}
