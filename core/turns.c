/* One ring and a count of each priority. While all that waits is of one priority, a turn is the
 * head; else the first of the highest is looked for, and those before it move up by one: O(waiting)
 * moves of 17 bytes, and more than a few wait only when outboxes are short. */
#include "core/turns.h"

#include "core/limits.h"
#include <assert.h>
#include <stddef.h>

void turns_init(struct turns *t, struct id128 *ids, uint8_t *priorities, uint32_t max)
{
    assert(t != NULL && ids != NULL);
    assert(priorities != NULL && max > 0);
    *t = (struct turns){.ids = ids, .priorities = priorities, .max = max};
}

void turns_add(struct turns *t, struct id128 id, uint8_t priority)
{
    assert(t != NULL && priority < PRIORITY_COUNT);
    assert(t->count < t->max);
    uint32_t at = (t->first + t->count++) % t->max;
    t->ids[at] = id;
    t->priorities[at] = priority;
    t->of[priority]++;
}

/* How many places behind the oldest the next one stands. */
static uint32_t next_place(const struct turns *t)
{
    uint8_t highest = PRIORITY_COUNT - 1u;
    while (t->of[highest] == 0) {
        highest--;
    }
    if (t->of[highest] == t->count || t->taken % TURNS_OLDEST == 0) {
        return 0;
    }
    uint32_t place = 0;
    while (t->priorities[(t->first + place) % t->max] != highest) {
        place++;
        assert(place < t->count);
    }
    return place;
}

struct id128 turns_take(struct turns *t)
{
    assert(t != NULL && t->count > 0);
    t->taken++;
    uint32_t place = next_place(t);
    uint32_t at = (t->first + place) % t->max;
    struct id128 id = t->ids[at];
    assert(t->of[t->priorities[at]] > 0);
    t->of[t->priorities[at]]--;
    for (; place > 0; place--) {
        uint32_t to = (t->first + place) % t->max;
        uint32_t from = (t->first + place - 1u) % t->max;
        t->ids[to] = t->ids[from];
        t->priorities[to] = t->priorities[from];
    }
    t->first = (t->first + 1u) % t->max;
    t->count--;
    return id;
}

uint32_t turns_pool_share(uint32_t places, uint8_t priority)
{
    assert(places > 0);
    switch (priority) {
    case 0:
        return places - places / 2u;
    case 1:
        return places - places / 4u;
    case 2:
        return places > 4u * POOL_RESERVE ? places - POOL_RESERVE : places;
    default:
        return places;
    }
}
