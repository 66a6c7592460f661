/* A heap of four children a node with each timer's place kept in the timer, so that moving and
 * clearing need no search; and a ring of those that are due at once. A place is a position in the
 * heap, or SOON and a position in the ring. Order among equal times is that of setting: a run is
 * the same every time. Bound: one entry per timer; heap and ring double and never shrink. */
#include "tiers/runner/timers.h"

#include <assert.h>
#include <stdlib.h>

#define SOON       0x80000000u
#define CHILDREN   4u
#define ROOM_FIRST 256u

void timers_init(struct timers *t)
{
    assert(t != NULL);
    *t = (struct timers){0};
}

void timers_done(struct timers *t)
{
    assert(t != NULL);
    free(t->heap);
    free(t->soon);
    *t = (struct timers){0};
}

static bool before(const struct timer_row *a, const struct timer_row *b)
{
    return a->due_us < b->due_us || (a->due_us == b->due_us && a->order < b->order);
}

static void put(struct timers *t, uint32_t place, const struct timer_row *row)
{
    t->heap[place] = *row;
    row->timer->place = place;
}

static uint32_t parent_of(uint32_t place)
{
    return (place + CHILDREN - 2u) / CHILDREN;
}

static void sift_up(struct timers *t, uint32_t place, const struct timer_row *row)
{
    while (place > 1 && before(row, &t->heap[parent_of(place)])) {
        put(t, place, &t->heap[parent_of(place)]);
        place = parent_of(place);
    }
    put(t, place, row);
}

static void sift_down(struct timers *t, uint32_t place, const struct timer_row *row)
{
    for (;;) {
        uint32_t first = place * CHILDREN - (CHILDREN - 2u);
        if (first > t->count) {
            break;
        }
        uint32_t least = first;
        uint32_t last = first + CHILDREN - 1u < t->count ? first + CHILDREN - 1u : t->count;
        for (uint32_t child = first + 1; child <= last; child++) {
            least = before(&t->heap[child], &t->heap[least]) ? child : least;
        }
        if (!before(&t->heap[least], row)) {
            break;
        }
        put(t, place, &t->heap[least]);
        place = least;
    }
    put(t, place, row);
}

static bool room_for_one(struct timers *t)
{
    if (t->count + 1 < t->room) {
        return true;
    }
    uint32_t room = t->room == 0 ? ROOM_FIRST : t->room * 2;
    struct timer_row *heap = realloc(t->heap, room * sizeof(*heap));
    if (heap == NULL) {
        return false;
    }
    t->heap = heap;
    t->room = room;
    return true;
}

static bool in_ring(const struct timer *timer)
{
    return (timer->place & SOON) != 0;
}

bool timers_set(struct timers *t, struct timer *timer, int64_t due_us)
{
    assert(t != NULL && timer != NULL);
    assert(timer->fn != NULL);
    if (timer->place != 0 && timer->due_us == due_us) {
        return true; /* an agent's next beat, after every message that it gets */
    }
    if (timer->place != 0 && in_ring(timer)) {
        timers_clear(t, timer);
    }
    struct timer_row row = {.due_us = due_us, .order = t->order++, .timer = timer};
    if (timer->place == 0) {
        if (!room_for_one(t)) {
            return false;
        }
        timer->due_us = due_us;
        timer->order = row.order;
        sift_up(t, ++t->count, &row);
        return true;
    }
    assert(t->heap[timer->place].timer == timer);
    bool earlier = due_us < timer->due_us;
    timer->due_us = due_us;
    timer->order = row.order;
    if (earlier) {
        sift_up(t, timer->place, &row);
    } else {
        sift_down(t, timer->place, &row);
    }
    return true;
}

/* False: no memory. */
static bool ring_grow(struct timers *t)
{
    uint32_t room = t->soon_room == 0 ? ROOM_FIRST : t->soon_room * 2;
    struct timer **ring = malloc(room * sizeof(struct timer *));
    if (ring == NULL) {
        return false;
    }
    for (uint32_t i = 0; i < t->soon_count; i++) {
        ring[i] = t->soon[(t->soon_first + i) & (t->soon_room - 1u)];
        if (ring[i] != NULL) {
            ring[i]->place = SOON | i;
        }
    }
    free(t->soon);
    t->soon = ring;
    t->soon_first = 0;
    t->soon_room = room;
    return true;
}

bool timers_soon(struct timers *t, struct timer *timer, int64_t now_us)
{
    assert(t != NULL && timer != NULL);
    assert(timer->fn != NULL);
    if (t->soon_count == t->soon_room && !ring_grow(t)) {
        return timers_set(t, timer, now_us);
    }
    timers_clear(t, timer);
    timer->due_us = now_us;
    timer->order = t->order++;
    uint32_t at = (t->soon_first + t->soon_count++) & (t->soon_room - 1u);
    t->soon[at] = timer;
    timer->place = SOON | at;
    return true;
}

/* Cleared ones at the head are dropped, so that the head is a timer or there is none. */
static void ring_trim(struct timers *t)
{
    while (t->soon_count > 0 && t->soon[t->soon_first] == NULL) {
        t->soon_first = (t->soon_first + 1u) & (t->soon_room - 1u);
        t->soon_count--;
    }
}

void timers_clear(struct timers *t, struct timer *timer)
{
    assert(t != NULL && timer != NULL);
    uint32_t place = timer->place;
    if (place == 0) {
        return;
    }
    timer->place = 0;
    if ((place & SOON) != 0) {
        assert(t->soon[place & ~SOON] == timer);
        t->soon[place & ~SOON] = NULL;
        ring_trim(t);
        return;
    }
    assert(t->heap[place].timer == timer);
    struct timer_row last = t->heap[t->count--];
    if (last.timer == timer) {
        return;
    }
    if (place > 1 && before(&last, &t->heap[parent_of(place)])) {
        sift_up(t, place, &last);
    } else {
        sift_down(t, place, &last);
    }
}

struct timer *timers_first(struct timers *t)
{
    assert(t != NULL);
    struct timer *soon = t->soon_count > 0 ? t->soon[t->soon_first] : NULL;
    assert(soon != NULL || t->soon_count == 0);
    if (t->count == 0 || soon == NULL) {
        return t->count == 0 ? soon : t->heap[1].timer;
    }
    struct timer_row row = {.due_us = soon->due_us, .order = soon->order};
    return before(&row, &t->heap[1]) ? soon : t->heap[1].timer;
}

int64_t timers_next_us(const struct timers *t)
{
    assert(t != NULL);
    int64_t heap_us = t->count == 0 ? INT64_MAX : t->heap[1].due_us;
    int64_t soon_us = t->soon_count == 0 ? INT64_MAX : t->soon[t->soon_first]->due_us;
    return heap_us < soon_us ? heap_us : soon_us;
}

uint32_t timers_run(struct timers *t, int64_t now_us, uint32_t most, void *ctx)
{
    assert(t != NULL);
    uint32_t ran = 0;
    for (; ran < most; ran++) {
        struct timer *timer = timers_first(t);
        if (timer == NULL || timer->due_us > now_us) {
            break;
        }
        timers_clear(t, timer);
        timer->fn(timer, ctx);
    }
    return ran;
}
