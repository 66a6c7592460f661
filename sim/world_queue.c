/* The events to come, ordered by (time, sequence): ties keep the order in which they were made, so
 * that a run depends on its seed alone.
 *
 * Three wheels of 1,024 slots (1 ms, 1 s and 18 min each) hold what is far in lists without
 * order; only the slot of the present millisecond is a heap, small enough for the first cache.
 * An event costs a few moves, however many wait: a million idle agents do not make one slower.
 * What lies beyond the third wheel (12 days) waits in its last slot and is looked at again there.
 */
#include "sim/world_queue.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOT_BITS  10
#define SLOTS      (1u << SLOT_BITS)
#define NO_CELL    UINT32_MAX
#define CELLS_MORE 16384u

struct cell {
    struct entry entry;
    uint32_t next;
};

/* In the heap of the present slot. */
struct due {
    int64_t at_us;
    uint64_t seq;
    uint32_t cell;
};

struct queue {
    struct cell *cells;
    uint32_t cell_room, free, count;
    struct due *heap;
    uint32_t heap_count, heap_room;
    int64_t slot;      /* the present one: at_us >> SLOT_BITS */
    const char *nodes; /* brought into the cache for what is due in this slot */
    size_t node_bytes;
    uint32_t heads[3][SLOTS];
    uint64_t some[3][SLOTS / 64]; /* slots with anything in them */
};

struct queue *queue_new(const void *nodes, size_t node_bytes)
{
    struct queue *q = world_alloc(sizeof(*q));
    q->nodes = nodes;
    q->node_bytes = node_bytes;
    q->free = NO_CELL;
    for (unsigned level = 0; level < 3; level++) {
        for (unsigned i = 0; i < SLOTS; i++) {
            q->heads[level][i] = NO_CELL;
        }
    }
    return q;
}

void queue_free(struct queue *q)
{
    if (q != NULL) {
        free(q->cells);
        free(q->heap);
        free(q);
    }
}

static void grow_cells(struct queue *q)
{
    uint32_t room = q->cell_room + (q->cell_room / 4 > CELLS_MORE ? q->cell_room / 4 : CELLS_MORE);
    q->cells = realloc(q->cells, room * sizeof(*q->cells));
    if (q->cells == NULL) {
        fprintf(stderr, "world: out of memory for events\n");
        abort();
    }
    for (uint32_t i = room; i-- > q->cell_room;) {
        q->cells[i].next = q->free;
        q->free = i;
    }
    q->cell_room = room;
}

static bool due_before(const struct due *a, const struct due *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->seq < b->seq;
}

static void heap_add(struct queue *q, uint32_t cell)
{
    const struct entry *e = &q->cells[cell].entry;
    struct due d = {.at_us = e->at_us, .seq = e->seq, .cell = cell};
    if (q->heap_count == q->heap_room) {
        q->heap_room = q->heap_room ? q->heap_room * 2 : 256;
        q->heap = realloc(q->heap, q->heap_room * sizeof(*q->heap));
        if (q->heap == NULL) {
            fprintf(stderr, "world: out of memory for events\n");
            abort();
        }
    }
    if (e->node != WORLD_NOBODY) {
        const char *node = q->nodes + (size_t)e->node * q->node_bytes;
        __builtin_prefetch(node);
        __builtin_prefetch(node + 64);
    }
    uint32_t i = q->heap_count++;
    while (i > 0 && due_before(&d, &q->heap[(i - 1) / 4])) {
        q->heap[i] = q->heap[(i - 1) / 4];
        i = (i - 1) / 4;
    }
    q->heap[i] = d;
}

static uint32_t heap_take(struct queue *q)
{
    uint32_t cell = q->heap[0].cell;
    struct due last = q->heap[--q->heap_count];
    uint32_t i = 0;
    for (;;) {
        uint32_t least = 0;
        for (uint32_t c = i * 4 + 1; c <= i * 4 + 4 && c < q->heap_count; c++) {
            if (least == 0 || due_before(&q->heap[c], &q->heap[least])) {
                least = c;
            }
        }
        if (least == 0 || !due_before(&q->heap[least], &last)) {
            break;
        }
        q->heap[i] = q->heap[least];
        i = least;
    }
    if (q->heap_count > 0) {
        q->heap[i] = last;
    }
    return cell;
}

/* Into the wheel whose present turn has its slot, or the heap. */
static void place(struct queue *q, uint32_t cell)
{
    int64_t slot = q->cells[cell].entry.at_us >> SLOT_BITS;
    if (slot <= q->slot) {
        heap_add(q, cell);
        return;
    }
    unsigned level = 0;
    int64_t present = q->slot;
    while (level < 2 && slot >> SLOT_BITS != present >> SLOT_BITS) {
        slot >>= SLOT_BITS;
        present >>= SLOT_BITS;
        level++;
    }
    uint32_t at = (uint32_t)slot % SLOTS;
    if (level == 2 && slot - present >= (int64_t)SLOTS) {
        at = (uint32_t)(present + SLOTS - 1) % SLOTS; /* looked at again there */
    }
    q->cells[cell].next = q->heads[level][at];
    q->heads[level][at] = cell;
    q->some[level][at / 64] |= 1ull << at % 64;
}

void queue_push(struct queue *q, const struct entry *e)
{
    if (q->free == NO_CELL) {
        grow_cells(q);
    }
    uint32_t cell = q->free;
    q->free = q->cells[cell].next;
    q->cells[cell].entry = *e;
    q->count++;
    place(q, cell);
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

static void spread(struct queue *q, unsigned level, uint32_t at)
{
    uint32_t cell = q->heads[level][at];
    q->heads[level][at] = NO_CELL;
    q->some[level][at / 64] &= ~(1ull << at % 64);
    while (cell != NO_CELL) {
        uint32_t next = q->cells[cell].next;
        place(q, cell);
        cell = next;
    }
}

/* On to the next slot that has something. False: nothing waits anywhere. */
static bool advance(struct queue *q)
{
    uint32_t at = next_some(
        q, 0, ((uint32_t)q->slot + 1) % SLOTS == 0 ? SLOTS : (uint32_t)(q->slot + 1) % SLOTS);
    if (at < SLOTS) {
        q->slot = (q->slot & ~(int64_t)(SLOTS - 1)) + at;
        spread(q, 0, at);
        return true;
    }
    int64_t second = q->slot >> SLOT_BITS;
    uint32_t from = (uint32_t)second % SLOTS + 1;
    at = from < SLOTS ? next_some(q, 1, from) : SLOTS;
    if (at < SLOTS) {
        second = (second & ~(int64_t)(SLOTS - 1)) + at;
        q->slot = second << SLOT_BITS;
        spread(q, 1, at);
        return true;
    }
    int64_t third = second >> SLOT_BITS;
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
    q->slot = third << SLOT_BITS << SLOT_BITS;
    spread(q, 2, at);
    return true;
}

static bool ready(struct queue *q, int64_t until_us)
{
    while (q->heap_count == 0) {
        if (q->count == 0 || q->slot >= until_us >> SLOT_BITS) {
            return false;
        }
        int64_t before = q->slot;
        if (!advance(q)) {
            return false;
        }
        assert(q->slot > before);
    }
    return q->heap[0].at_us <= until_us;
}

bool queue_pop(struct queue *q, int64_t until_us, struct entry *ret)
{
    if (!ready(q, until_us)) {
        return false;
    }
    uint32_t cell = heap_take(q);
    *ret = q->cells[cell].entry;
    q->cells[cell].next = q->free;
    q->free = cell;
    q->count--;
    return true;
}

const struct entry *queue_next(const struct queue *q)
{
    return q->heap_count > 0 ? &q->cells[q->heap[0].cell].entry : NULL;
}

bool queue_take(struct queue *q, struct entry *ret)
{
    return queue_pop(q, INT64_MAX, ret);
}
