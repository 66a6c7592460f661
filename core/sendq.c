/* One pool of entries, not four: priorities share the room, and under pressure the lowest gives
 * way. Order is decided when an entry is taken, because ageing changes it with time; that makes
 * push constant and pop a scan, which for up to 1,024 small entries is some microseconds. The order
 * is total (arrival breaks ties), so every run is the same. */
#include "core/sendq.h"
#include "core/num.h"
#include <assert.h>

void sendq_init(struct sendq *q, struct sendq_entry *entries, uint32_t size, int64_t ageing_us)
{
    assert(q != NULL && entries != NULL);
    assert(size >= 1 && size <= SENDQ_ENTRIES_MAX && ageing_us > 0);
    *q = (struct sendq){.entries = entries, .size = size, .ageing_us = ageing_us};
}

/* Earlier due first, then earlier arrival (differences survive the counter's wrap). */
static bool earlier(const struct sendq_entry *a, const struct sendq_entry *b)
{
    if (a->due_us != b->due_us) {
        return a->due_us < b->due_us;
    }
    return (int32_t)(a->arrival - b->arrival) < 0;
}

static int64_t aged(const struct sendq *q, const struct sendq_entry *e, int64_t now_us)
{
    int64_t waited = now_us > e->queued_us ? now_us - e->queued_us : 0;
    int64_t priority = e->priority + waited / q->ageing_us;
    return priority < (int64_t)PRIORITY_COUNT - 1 ? priority : (int64_t)PRIORITY_COUNT - 1;
}

static void take(struct sendq *q, uint32_t i, struct sendq_entry *ret)
{
    assert(i < q->count && q->by_priority[q->entries[i].priority] > 0);
    *ret = q->entries[i];
    q->by_priority[ret->priority]--;
    q->count--;
    q->entries[i] = q->entries[q->count];
}

enum sendq_verdict sendq_push(struct sendq *q, const struct sendq_entry *entry, int64_t now_us,
                              struct sendq_entry *ret_dropped)
{
    assert(q != NULL && entry != NULL && ret_dropped != NULL);
    assert(entry->priority < PRIORITY_COUNT);
    struct sendq_entry new = *entry;
    new.queued_us = now_us;
    new.arrival = q->arrivals;
    enum sendq_verdict verdict = SENDQ_OK;
    if (q->count == q->size) {
        uint32_t worst = 0;
        for (uint32_t i = 1; i < q->count; i++) {
            const struct sendq_entry *a = &q->entries[i], *b = &q->entries[worst];
            if (a->priority < b->priority || (a->priority == b->priority && earlier(b, a))) {
                worst = i;
            }
        }
        const struct sendq_entry *w = &q->entries[worst];
        if (new.priority < w->priority || (new.priority == w->priority &&earlier(w, &new))) {
            *ret_dropped = new;
            return SENDQ_DROPPED;
        }
        take(q, worst, ret_dropped);
        verdict = SENDQ_DROPPED;
    }
    q->arrivals++;
    q->entries[q->count++] = new;
    q->by_priority[new.priority]++;
    return verdict;
}

enum sendq_verdict sendq_pop(struct sendq *q, int64_t now_us, struct sendq_entry *ret)
{
    assert(q != NULL && ret != NULL);
    assert(q->count <= q->size);
    if (q->count == 0) {
        return SENDQ_EMPTY;
    }
    uint32_t best = 0;
    int64_t best_priority = aged(q, &q->entries[0], now_us);
    for (uint32_t i = 1; i < q->count; i++) {
        int64_t priority = aged(q, &q->entries[i], now_us);
        if (priority > best_priority ||
            (priority == best_priority && earlier(&q->entries[i], &q->entries[best]))) {
            best = i;
            best_priority = priority;
        }
    }
    take(q, best, ret);
    return ret->expires_us <= now_us ? SENDQ_EXPIRED : SENDQ_OK;
}

bool sendq_remove(struct sendq *q, const struct id128 *id, struct sendq_entry *ret)
{
    assert(q != NULL && id != NULL);
    assert(ret != NULL);
    for (uint32_t i = 0; i < q->count; i++) {
        if (num_id128_equal(q->entries[i].id, *id)) {
            take(q, i, ret);
            return true;
        }
    }
    return false;
}
