/* A binary heap of pointers with each timer's place kept in the timer, so that moving and clearing
 * need no search. Order among equal times is that of setting: a run is the same every time. Bound:
 * one entry per timer; the heap doubles and never shrinks. */
#include "tiers/runner/timers.h"

#include <assert.h>
#include <stdlib.h>

void timers_init(struct timers *t)
{
    assert(t != NULL);
    *t = (struct timers){0};
}

void timers_done(struct timers *t)
{
    assert(t != NULL);
    free(t->heap);
    *t = (struct timers){0};
}

static bool before(const struct timer *a, const struct timer *b)
{
    return a->due_us < b->due_us || (a->due_us == b->due_us && a->order < b->order);
}

static void put(struct timers *t, uint32_t place, struct timer *timer)
{
    t->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct timers *t, uint32_t place, struct timer *timer)
{
    while (place > 1 && before(timer, t->heap[place / 2])) {
        put(t, place, t->heap[place / 2]);
        place /= 2;
    }
    put(t, place, timer);
}

static void sift_down(struct timers *t, uint32_t place, struct timer *timer)
{
    for (;;) {
        uint32_t child = place * 2;
        if (child > t->count) {
            break;
        }
        if (child < t->count && before(t->heap[child + 1], t->heap[child])) {
            child++;
        }
        if (!before(t->heap[child], timer)) {
            break;
        }
        put(t, place, t->heap[child]);
        place = child;
    }
    put(t, place, timer);
}

static bool room_for_one(struct timers *t)
{
    if (t->count + 1 < t->room) {
        return true;
    }
    uint32_t room = t->room == 0 ? 256 : t->room * 2;
    struct timer **heap = realloc(t->heap, room * sizeof(struct timer *));
    if (heap == NULL) {
        return false;
    }
    t->heap = heap;
    t->room = room;
    return true;
}

bool timers_set(struct timers *t, struct timer *timer, int64_t due_us)
{
    assert(t != NULL && timer != NULL);
    assert(timer->fn != NULL);
    if (timer->place == 0) {
        if (!room_for_one(t)) {
            return false;
        }
        timer->due_us = due_us;
        timer->order = t->order++;
        sift_up(t, ++t->count, timer);
        return true;
    }
    assert(t->heap[timer->place] == timer);
    bool earlier = due_us < timer->due_us;
    timer->due_us = due_us;
    timer->order = t->order++;
    if (earlier) {
        sift_up(t, timer->place, timer);
    } else {
        sift_down(t, timer->place, timer);
    }
    return true;
}

void timers_clear(struct timers *t, struct timer *timer)
{
    assert(t != NULL && timer != NULL);
    if (timer->place == 0) {
        return;
    }
    assert(t->heap[timer->place] == timer);
    uint32_t place = timer->place;
    timer->place = 0;
    struct timer *last = t->heap[t->count--];
    if (last == timer) {
        return;
    }
    if (place > 1 && before(last, t->heap[place / 2])) {
        sift_up(t, place, last);
    } else {
        sift_down(t, place, last);
    }
}

int64_t timers_next_us(const struct timers *t)
{
    assert(t != NULL);
    return t->count == 0 ? INT64_MAX : t->heap[1]->due_us;
}

uint32_t timers_run(struct timers *t, int64_t now_us, uint32_t most, void *ctx)
{
    assert(t != NULL);
    uint32_t ran = 0;
    while (ran < most && t->count > 0 && t->heap[1]->due_us <= now_us) {
        struct timer *timer = t->heap[1];
        timers_clear(t, timer);
        timer->fn(timer, ctx);
        ran++;
    }
    return ran;
}
