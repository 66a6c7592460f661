/* Liveness of children on a "live clock": the node's clock less all time in which silence proves
 * nothing. Discarding a pause is one addition instead of a visit to every row; while the bus is
 * down or the node blames itself the live clock simply stands.
 *
 * Self-blame is lifted by the first word of anyone, or after CHILDREN_BLAME_US (all may really have
 * died: then nobody ever speaks again, and they would count as up for ever). The others may speak a
 * little later, so nobody is declared down before another suspect_us; and who was silent then is
 * excused only once, else a real loss of half the children would be blamed on this node for ever.
 *
 * Bounds: count rows of 24 bytes; a tick is a scan of them, made only when next_us has come, which
 * is a lower bound (a word of a child moves its own event, not the bound). */
#include "core/children.h"
#include "core/node.h"
#include "core/plant.h"
#include <assert.h>

static int64_t live_us(const struct children *c, int64_t now_us)
{
    int64_t clock_us = c->frozen_us != NEVER ? c->frozen_us : now_us;
    return clock_us - c->lost_us;
}

static bool watched(const struct child *row)
{
    return row->state == CHILD_UP || row->state == CHILD_SUSPECT;
}

static uint32_t *counter(struct children *c, uint8_t state)
{
    switch ((enum child_state)state) {
    case CHILD_UP:
        return &c->up;
    case CHILD_SUSPECT:
        return &c->suspect;
    case CHILD_DOWN:
        return &c->down;
    case CHILD_UNKNOWN:
        break;
    }
    return NULL;
}

static void set_state(struct children *c, struct child *row, enum child_state state)
{
    uint32_t *old = counter(c, row->state);
    uint32_t *next = counter(c, (uint8_t)state);
    if (old != NULL) {
        assert(*old > 0);
        (*old)--;
    }
    if (next != NULL) {
        (*next)++;
    }
    row->state = (uint8_t)state;
    assert(c->up + c->suspect + c->down <= c->count);
}

void children_init(struct children *c, struct child *rows, uint32_t count, int64_t suspect_us,
                   int64_t failed_us)
{
    assert(c != NULL && rows != NULL);
    assert(count >= 1 && count <= SECTORS_MAX);
    assert(suspect_us > 0 && suspect_us < failed_us);
    *c = (struct children){.rows = rows,
                           .count = count,
                           .suspect_us = suspect_us,
                           .failed_us = failed_us,
                           .frozen_us = NEVER,
                           .wake_us = NEVER,
                           .next_us = NEVER};
}

int64_t children_step(struct children *c, int64_t now_us)
{
    assert(c != NULL);
    assert(now_us < NEVER);
    if (c->wake_us == NEVER || now_us - c->wake_us <= c->suspect_us / 4) {
        return 0;
    }
    int64_t lost_us = now_us - c->wake_us;
    c->wake_us = NEVER; /* counted once */
    if (c->frozen_us == NEVER) {
        c->lost_us += lost_us;
    }
    return lost_us;
}

void children_wake(struct children *c, int64_t wake_us)
{
    assert(c != NULL);
    assert(wake_us >= 0);
    c->wake_us = wake_us;
}

static void freeze(struct children *c, int64_t now_us)
{
    if (c->frozen_us == NEVER) {
        c->frozen_us = now_us;
    }
}

/* Lets the live clock run again, if nothing holds it. Who is silent has suspect_us from now on, and
 * extra_us before. */
static void thaw(struct children *c, int64_t now_us, bool excuse, int64_t extra_us)
{
    if (c->frozen_us == NEVER || c->blamed || c->link_down) {
        return;
    }
    c->lost_us += now_us > c->frozen_us ? now_us - c->frozen_us : 0;
    c->frozen_us = NEVER;
    int64_t live = live_us(c, now_us);
    int64_t floor_us = live - (c->failed_us - c->suspect_us) + extra_us;
    for (uint32_t i = 0; i < c->count; i++) {
        struct child *row = &c->rows[i];
        if (!watched(row)) {
            continue;
        }
        if (excuse && live - row->heard_us >= c->suspect_us) {
            row->excused = true;
        }
        if (row->heard_us < floor_us) {
            row->heard_us = floor_us;
        }
    }
    c->next_us = now_us; /* look at all again */
}

void children_link(struct children *c, int64_t now_us, bool up)
{
    assert(c != NULL);
    assert(now_us < NEVER);
    c->link_down = !up;
    if (up) {
        thaw(c, now_us, false, CHILDREN_RECONNECT_US);
    } else {
        freeze(c, now_us);
    }
}

enum children_verdict children_heard(struct children *c, uint32_t child, int64_t now_us,
                                     uint64_t epoch)
{
    assert(c != NULL);
    assert(child < c->count);
    struct child *row = &c->rows[child];
    if (epoch != 0 && epoch < row->epoch) {
        return CHILDREN_STALE;
    }
    if (c->blamed) {
        c->blamed = false;
        thaw(c, now_us, true, 0);
    }
    enum children_verdict verdict = CHILDREN_SAME;
    if (row->state == CHILD_UNKNOWN || epoch > row->epoch) {
        verdict = CHILDREN_NEW;
    } else if (row->state == CHILD_DOWN) {
        verdict = CHILDREN_BACK;
    }
    if (epoch > row->epoch) {
        row->epoch = epoch;
    }
    row->heard_us = live_us(c, now_us);
    row->excused = false;
    /* One that was up is in the bound already, and later now. */
    if (row->state != CHILD_UP && now_us + c->suspect_us < c->next_us) {
        c->next_us = now_us + c->suspect_us;
    }
    set_state(c, row, CHILD_UP);
    return verdict;
}

void children_left(struct children *c, uint32_t child)
{
    assert(c != NULL);
    assert(child < c->count);
    set_state(c, &c->rows[child], CHILD_DOWN);
}

void children_forget(struct children *c, uint32_t child)
{
    assert(c != NULL);
    assert(child < c->count);
    set_state(c, &c->rows[child], CHILD_UNKNOWN);
    c->rows[child] = (struct child){.state = CHILD_UNKNOWN};
}

/* Whether so many fell silent that the fault is rather here. */
static bool self_blame(const struct children *c, int64_t live, struct child_event *ret)
{
    uint32_t silent = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct child *row = &c->rows[i];
        if (watched(row) && !row->excused && live - row->heard_us >= c->suspect_us) {
            silent++;
        }
    }
    uint32_t of = c->up + c->suspect;
    if (silent < CHILDREN_BLAME_MIN || silent * 2u <= of) {
        return false;
    }
    *ret = (struct child_event){.kind = CHILD_EVENT_SELF_BLAME, .silent = silent, .of = of};
    return true;
}

bool children_quiet(const struct children *c, int64_t now_us)
{
    return c->frozen_us == NEVER && !c->scanning && now_us < c->next_us;
}

bool children_tick(struct children *c, int64_t now_us, struct child_event *ret)
{
    assert(c != NULL && ret != NULL);
    assert(now_us < NEVER);
    if (c->blamed && !c->link_down && now_us - c->frozen_us >= CHILDREN_BLAME_US) {
        c->blamed = false;
        thaw(c, now_us, true, 0);
    }
    if (c->frozen_us != NEVER || (!c->scanning && now_us < c->next_us)) {
        return false;
    }
    int64_t live = live_us(c, now_us);
    if (!c->scanning) {
        if (self_blame(c, live, ret)) {
            c->blamed = true;
            freeze(c, now_us);
            return true;
        }
        c->scanning = true;
        c->cursor = 0;
        c->next_us = NEVER;
    }
    for (; c->cursor < c->count; c->cursor++) {
        struct child *row = &c->rows[c->cursor];
        if (!watched(row)) {
            continue;
        }
        int64_t silent_us = live - row->heard_us;
        bool suspect = row->state == CHILD_SUSPECT;
        int64_t limit_us = suspect ? c->failed_us : c->suspect_us;
        limit_us = PLANTED(PLANT_FALSE_DEATH) ? limit_us / 3 : limit_us;
        if (silent_us >= limit_us) {
            /* The cursor stays: the row is looked at again for its next limit. */
            set_state(c, row, suspect ? CHILD_DOWN : CHILD_SUSPECT);
            *ret = (struct child_event){.kind = suspect ? CHILD_EVENT_DOWN : CHILD_EVENT_SUSPECT,
                                        .child = c->cursor,
                                        .silent_us = silent_us};
            return true;
        }
        int64_t due_us = now_us + (limit_us - silent_us);
        c->next_us = due_us < c->next_us ? due_us : c->next_us;
    }
    c->scanning = false;
    return false;
}

int64_t children_next_us(const struct children *c)
{
    assert(c != NULL);
    assert(c->count > 0);
    if (c->frozen_us != NEVER) {
        return c->blamed && !c->link_down ? c->frozen_us + CHILDREN_BLAME_US : NEVER;
    }
    return c->scanning ? INT64_MIN : c->next_us;
}

enum child_state children_state(const struct children *c, uint32_t child)
{
    assert(c != NULL);
    assert(child < c->count);
    return (enum child_state)c->rows[child].state;
}

bool children_reachable(const struct children *c, uint32_t child)
{
    assert(c != NULL);
    assert(child < c->count);
    return watched(&c->rows[child]);
}

uint64_t children_epoch(const struct children *c, uint32_t child)
{
    assert(c != NULL);
    assert(child < c->count);
    return c->rows[child].epoch;
}

uint64_t children_mask(const struct children *c, uint32_t first)
{
    assert(c != NULL);
    assert(first < c->count);
    uint64_t mask = 0;
    for (uint32_t i = first; i < c->count && i - first < 64u; i++) {
        mask |= (uint64_t)watched(&c->rows[i]) << (i - first);
    }
    return mask;
}
