/* The events to come, ordered by (time, sequence): ties keep the order in which they were made, so
 * that a run depends on its seed alone.
 *
 * Three wheels of 1,024 slots (256 us, 262 ms and 268 s each) hold what is far, a list of chunks a
 * slot; only the present slot is in order, as an array: a dozen events with 30,000 agents. An event
 * costs a few moves, however many wait: a million idle agents do not make one slower. What lies
 * beyond the third wheel (three days) waits in its last slot and is looked at again there.
 *
 * With so many nodes each event meets cold memory. So lists are chunks of events side by side, not
 * links; how full the last chunk of a slot is stands beside the slot; and the next slot that has
 * anything is taken off its list when the present one begins, and what its events will touch is
 * asked for then. */
#include "sim/world_int.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SLOT_BITS    8 /* of a microsecond: the present slot */
#define WHEEL_BITS   10
#define SLOTS        (1u << WHEEL_BITS)
#define LEVELS       3u
#define NO_CHUNK     0u /* chunks are named from 1 on */
#define CHUNK_EVENTS 7u
#define CHUNKS_MORE  1024u
#define FEW          24u /* so many are put in order by insertion */

struct chunk { /* the last one of a slot: `filled` entries; others are full */
    uint32_t next, unused;
    struct entry entries[CHUNK_EVENTS];
};

struct run_of_entries {
    struct entry *at;
    uint32_t count, room;
};

struct queue {
    struct chunk *chunks;
    uint32_t chunk_room, free;
    uint64_t count;
    struct run_of_entries due; /* of the present slot, in order, from due_at on */
    uint32_t due_at;
    struct run_of_entries sorting;
    struct run_of_entries coming; /* of coming_slot, as far as they were known; count 0: nothing */
    int64_t slot, coming_slot;    /* at_us >> SLOT_BITS; slot: the present one */
    const char *nodes;            /* brought into the cache for what is coming */
    size_t node_bytes, needed_bytes;
    uint32_t first[LEVELS][SLOTS], last[LEVELS][SLOTS];
    uint8_t filled[LEVELS][SLOTS];     /* entries of the last chunk */
    uint64_t some[LEVELS][SLOTS / 64]; /* slots with anything in them */
};

struct queue *queue_new(const void *nodes, size_t node_bytes, size_t needed_bytes)
{
    struct queue *q = world_alloc(sizeof(*q));
    q->nodes = nodes;
    q->node_bytes = node_bytes;
    q->needed_bytes = needed_bytes;
    return q;
}

void queue_free(struct queue *q)
{
    if (q != NULL) {
        free(q->chunks);
        free(q->due.at);
        free(q->sorting.at);
        free(q->coming.at);
        free(q);
    }
}

static void *more(void *at, size_t bytes)
{
    at = realloc(at, bytes);
    if (at == NULL) {
        fprintf(stderr, "world: out of memory for events\n");
        abort();
    }
    return at;
}

static void grow_chunks(struct queue *q)
{
    uint32_t extra = q->chunk_room / 4 > CHUNKS_MORE ? q->chunk_room / 4 : CHUNKS_MORE;
    uint32_t room = q->chunk_room + extra;
    q->chunks = more(q->chunks, (room + 1u) * sizeof(*q->chunks));
    for (uint32_t i = room; i > q->chunk_room; i--) {
        q->chunks[i].next = q->free;
        q->free = i;
    }
    q->chunk_room = room;
}

static bool entry_before(const struct entry *a, const struct entry *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

/* --- the present slot --------------------------------------------------------------------------
 */

static void reserve(struct run_of_entries *r, uint32_t count)
{
    if (count > r->room) {
        r->room = count * 2;
        r->at = more(r->at, r->room * sizeof(*r->at));
    }
}

static void due_insert(struct queue *q, const struct entry *e)
{
    if (q->due_at == q->due.count) {
        q->due_at = q->due.count = 0;
    }
    reserve(&q->due, q->due.count + 1);
    struct entry *due = q->due.at;
    uint32_t i = q->due.count++;
    for (; i > q->due_at && entry_before(e, &due[i - 1]); i--) {
        due[i] = due[i - 1];
    }
    due[i] = *e;
}

/* By the microsecond within the slot; ties stay in the order of their lists. */
static void due_sort(struct queue *q)
{
    uint32_t starts[(1u << SLOT_BITS) + 1u] = {0};
    uint32_t mask = (1u << SLOT_BITS) - 1u;
    reserve(&q->sorting, q->due.count);
    for (uint32_t i = 0; i < q->due.count; i++) {
        starts[((uint32_t)q->due.at[i].at_us & mask) + 1u]++;
    }
    for (uint32_t i = 1; i <= mask; i++) {
        starts[i] += starts[i - 1];
    }
    for (uint32_t i = 0; i < q->due.count; i++) {
        q->sorting.at[starts[(uint32_t)q->due.at[i].at_us & mask]++] = q->due.at[i];
    }
    struct run_of_entries sorted = q->sorting;
    sorted.count = q->due.count;
    q->sorting = q->due;
    q->due = sorted;
}

/* Insertion: what lists bring is in the order of its sequence, mostly. */
static void due_order(struct queue *q)
{
    if (q->due.count > FEW) {
        due_sort(q);
    }
    struct entry *due = q->due.at;
    for (uint32_t i = 1; i < q->due.count; i++) {
        struct entry e = due[i];
        uint32_t at = i;
        for (; at > 0 && entry_before(&e, &due[at - 1]); at--) {
            due[at] = due[at - 1];
        }
        due[at] = e;
    }
}

static void fetch_node(const struct queue *q, uint32_t node)
{
    if (node != WORLD_NOBODY) {
        const char *at = q->nodes + (size_t)node * q->node_bytes;
        for (size_t i = 0; i < q->needed_bytes; i += 64) {
            __builtin_prefetch(at + i);
        }
    }
}

/* --- the wheels --------------------------------------------------------------------------------
 */

static void slot_add(struct queue *q, unsigned level, uint32_t at, const struct entry *e)
{
    uint32_t last = q->last[level][at];
    bool none = (q->some[level][at / 64] >> at % 64 & 1u) == 0;
    if (none || q->filled[level][at] == CHUNK_EVENTS) {
        if (q->free == NO_CHUNK) {
            grow_chunks(q);
        }
        uint32_t fresh = q->free;
        q->free = q->chunks[fresh].next;
        q->chunks[fresh].next = NO_CHUNK;
        q->filled[level][at] = 0;
        if (none) {
            q->first[level][at] = fresh;
            q->some[level][at / 64] |= 1ull << at % 64;
        } else {
            q->chunks[last].next = fresh;
        }
        q->last[level][at] = last = fresh;
    }
    q->chunks[last].entries[q->filled[level][at]++] = *e;
}

/* Into the wheel whose present turn has its slot, or among what is due. */
static void place(struct queue *q, const struct entry *e)
{
    int64_t slot = e->at_us >> SLOT_BITS;
    if (slot <= q->slot) {
        fetch_node(q, e->node);
        due_insert(q, e);
        return;
    }
    unsigned level = 0;
    int64_t present = q->slot;
    while (level < LEVELS - 1 && slot >> WHEEL_BITS != present >> WHEEL_BITS) {
        slot >>= WHEEL_BITS;
        present >>= WHEEL_BITS;
        level++;
    }
    uint32_t at = (uint32_t)slot % SLOTS;
    if (level == LEVELS - 1 && slot - present >= (int64_t)SLOTS) {
        at = (uint32_t)(present + SLOTS - 1) % SLOTS; /* looked at again there */
    }
    slot_add(q, level, at, e);
}

void queue_push(struct queue *q, const struct entry *e)
{
    q->count++;
    place(q, e);
}

/* The first slot from `from` on with anything in it; SLOTS: none. */
static uint32_t next_some(const struct queue *q, unsigned level, uint32_t from)
{
    for (uint32_t word = from / 64; word < SLOTS / 64; word++) {
        uint64_t bits = q->some[level][word];
        if (word == from / 64) {
            bits &= ~0ull << from % 64;
        }
        if (bits != 0) {
            return word * 64 + (uint32_t)__builtin_ctzll(bits);
        }
    }
    return SLOTS;
}

/* Takes a slot's first chunk off; NO_CHUNK: there was none. It is still to be freed. */
static uint32_t slot_first(struct queue *q, unsigned level, uint32_t at)
{
    if ((q->some[level][at / 64] >> at % 64 & 1u) == 0) {
        return NO_CHUNK;
    }
    q->some[level][at / 64] &= ~(1ull << at % 64);
    return q->first[level][at];
}

static uint32_t chunk_free(struct queue *q, uint32_t chunk)
{
    uint32_t next = q->chunks[chunk].next;
    q->chunks[chunk].next = q->free;
    q->free = chunk;
    return next;
}

static void spread(struct queue *q, unsigned level, uint32_t at)
{
    uint32_t filled = q->filled[level][at];
    uint32_t chunk = slot_first(q, level, at);
    while (chunk != NO_CHUNK) {
        struct chunk c = q->chunks[chunk]; /* a copy: placing may move the chunks */
        (void)chunk_free(q, chunk);
        for (uint32_t i = 0; i < (c.next == NO_CHUNK ? filled : CHUNK_EVENTS); i++) {
            place(q, &c.entries[i]);
        }
        chunk = c.next;
    }
}

/* Adds what a slot's list has, which is empty then. */
static void list_take(struct queue *q, uint32_t at, struct run_of_entries *ret)
{
    uint32_t filled = q->filled[0][at];
    for (uint32_t chunk = slot_first(q, 0, at); chunk != NO_CHUNK; chunk = chunk_free(q, chunk)) {
        const struct chunk *c = &q->chunks[chunk];
        uint32_t count = c->next == NO_CHUNK ? filled : CHUNK_EVENTS;
        reserve(ret, ret->count + count);
        for (uint32_t i = 0; i < count; i++) {
            fetch_node(q, c->entries[i].node);
            ret->at[ret->count++] = c->entries[i];
        }
    }
}

/* What was seen coming in this slot, and what has come to its list since, is due. */
static void begin_slot(struct queue *q, uint32_t at)
{
    assert(q->due_at == q->due.count);
    q->due_at = q->due.count = 0;
    if (q->coming.count > 0 && q->coming_slot == q->slot) {
        struct run_of_entries empty = q->due;
        q->due = q->coming;
        q->coming = empty;
    }
    list_take(q, at, &q->due);
    due_order(q);
    uint32_t next = q->coming.count == 0 && at + 1u < SLOTS ? next_some(q, 0, at + 1u) : SLOTS;
    if (next < SLOTS) {
        q->coming_slot = (q->slot & ~(int64_t)(SLOTS - 1)) + next;
        list_take(q, next, &q->coming);
    }
}

/* The first slot of the present turn, after the present one, that has anything; SLOTS: none. */
static uint32_t next_of_turn(const struct queue *q)
{
    uint32_t from = ((uint32_t)q->slot + 1u) % SLOTS;
    uint32_t at = from == 0 ? SLOTS : next_some(q, 0, from);
    uint32_t coming = q->coming.count > 0 ? (uint32_t)q->coming_slot % SLOTS : SLOTS;
    return coming < at ? coming : at;
}

/* On to the next slot that has something. False: nothing waits anywhere. */
static bool advance(struct queue *q)
{
    uint32_t at = next_of_turn(q);
    if (at < SLOTS) {
        q->slot = (q->slot & ~(int64_t)(SLOTS - 1)) + at;
        begin_slot(q, at);
        return true;
    }
    int64_t second = q->slot >> WHEEL_BITS;
    uint32_t from = (uint32_t)second % SLOTS + 1;
    at = from < SLOTS ? next_some(q, 1, from) : SLOTS;
    if (at < SLOTS) {
        second = (second & ~(int64_t)(SLOTS - 1)) + at;
        q->slot = second << WHEEL_BITS;
        spread(q, 1, at);
        return true;
    }
    int64_t third = second >> WHEEL_BITS;
    uint32_t here = (uint32_t)third % SLOTS;
    from = here + 1;
    at = from < SLOTS ? next_some(q, 2, from) : SLOTS;
    if (at < SLOTS) {
        third += at - here;
    } else { /* around the wheel */
        at = next_some(q, 2, 0);
        if (at > here) {
            return false;
        }
        third += SLOTS - here + at;
    }
    q->slot = third << WHEEL_BITS << WHEEL_BITS;
    spread(q, 2, at);
    return true;
}

static bool ready(struct queue *q, int64_t until_us)
{
    while (q->due_at == q->due.count) {
        if (q->count == 0 || q->slot >= until_us >> SLOT_BITS) {
            return false;
        }
        int64_t before = q->slot;
        if (!advance(q)) {
            return false;
        }
        assert(q->slot > before);
    }
    return q->due.at[q->due_at].at_us <= until_us;
}

bool queue_pop(struct queue *q, int64_t until_us, struct entry *ret)
{
    if (!ready(q, until_us)) {
        return false;
    }
    *ret = q->due.at[q->due_at++];
    q->count--;
    return true;
}

const struct entry *queue_next(const struct queue *q, uint32_t ahead)
{
    uint32_t left = q->due.count - q->due_at;
    if (ahead < left) {
        return &q->due.at[q->due_at + ahead];
    }
    return ahead - left < q->coming.count ? &q->coming.at[ahead - left] : NULL;
}

bool queue_take(struct queue *q, struct entry *ret)
{
    return queue_pop(q, INT64_MAX, ret);
}
