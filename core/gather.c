/* Waiting for children. A table of operations with slots of fixed size: a bitmap hands them out
 * lowest-first, a small open-addressed index (linear probing, backward-shift deletion, half full at
 * most) finds them by id, and one row of due times answers "what next" without touching slots.
 *
 * A child is answered for exactly once; from then on it can only be late. Its targets enter the
 * aggregate at that moment, so the counts add up at every moment: aggregate (final) + expected
 * below the children waited for. Progress of a child replaces its former progress.
 *
 * Room: operations_max slots, the slab's chunks. Retained operations give way first; then a new one
 * is refused, naming the pool. An open one always can finish: its histogram chunks are reserved,
 * and groups without room are counted in `other`. */
#include "core/gather.h"
#include "core/node.h"
#include "core/num.h"
#include <assert.h>
#include <string.h>

/* A child's latest non-final counts, in one chunk. */
struct progress {
    uint32_t outcomes[OUTCOME_COUNT];
    uint32_t reasons[REASON_COUNT];
    uint32_t targets, sent, late, resent, unexpected, window_hits, window_eligible;
    uint32_t predicted, predicted_50ms, hedged, hedge_wins;
    uint32_t sectors_reached, clusters_reached, agents_reached;
};
_Static_assert(sizeof(struct progress) <= SLAB_CHUNK_BYTES, "progress is one chunk");

static size_t round_up(size_t bytes)
{
    return (bytes + 15u) & ~(size_t)15u;
}

static uint32_t index_size(uint32_t operations_max)
{
    uint32_t size = 16;
    while (size < 2u * operations_max) {
        size *= 2u;
    }
    return size;
}

static uint32_t words(uint32_t operations_max)
{
    return (operations_max + 63u) / 64u;
}

static uint32_t slot_bytes(uint32_t children_max, uint32_t user_bytes)
{
    return (uint32_t)(round_up(sizeof(struct gather)) +
                      round_up(children_max * sizeof(struct gather_child)) + round_up(user_bytes));
}

size_t gather_table_bytes(uint32_t operations_max, uint32_t children_max, uint32_t user_bytes,
                          uint32_t chunks)
{
    assert(operations_max >= 1 && operations_max <= OPERATIONS_MAX);
    assert(children_max >= 1 && children_max <= SECTORS_MAX);
    return round_up(index_size(operations_max) * sizeof(uint16_t)) +
           round_up(operations_max * sizeof(int64_t)) +
           2u * round_up(words(operations_max) * sizeof(uint64_t)) +
           (size_t)operations_max * slot_bytes(children_max, user_bytes) + slab_bytes(chunks);
}

void gather_table_init(struct gather_table *t, void *memory, uint32_t operations_max,
                       uint32_t children_max, uint32_t user_bytes, uint32_t chunks,
                       int64_t retention_us)
{
    assert(t != NULL && memory != NULL);
    assert(operations_max >= 1 && operations_max <= OPERATIONS_MAX);
    assert(children_max >= 1 && children_max <= SECTORS_MAX && retention_us >= 0);
    uint8_t *at = memory;
    *t = (struct gather_table){.operations_max = operations_max,
                               .children_max = children_max,
                               .user_bytes = user_bytes,
                               .slot_bytes = slot_bytes(children_max, user_bytes),
                               .index_mask = index_size(operations_max) - 1u,
                               .retention_us = retention_us};
    slab_init(&t->slab, at, chunks);
    at += slab_bytes(chunks);
    t->slots = at;
    at += (size_t)operations_max * t->slot_bytes;
    t->due_us = (void *)at;
    at += round_up(operations_max * sizeof(int64_t));
    t->taken = (void *)at;
    at += round_up(words(operations_max) * sizeof(uint64_t));
    t->done = (void *)at;
    at += round_up(words(operations_max) * sizeof(uint64_t));
    t->index = (void *)at;
}

const char *gather_verdict_pool(enum gather_verdict v)
{
    assert(v <= GATHER_INVALID);
    if (v == GATHER_FULL_OPERATIONS) {
        return "operations";
    }
    return v == GATHER_FULL_BYTES ? "aggregate-bytes" : "";
}

/* --- slots and index ---------------------------------------------------------------------------
 */

static bool bit(const uint64_t *map, uint32_t i)
{
    return (map[i / 64u] >> (i % 64u) & 1u) != 0;
}

static void bit_set(uint64_t *map, uint32_t i, bool on)
{
    uint64_t mask = (uint64_t)1 << (i % 64u);
    map[i / 64u] = on ? map[i / 64u] | mask : map[i / 64u] & ~mask;
}

static struct gather *slot_at(const struct gather_table *t, uint32_t slot)
{
    assert(slot < t->operations_max);
    return (void *)(t->slots + (size_t)slot * t->slot_bytes);
}

static struct gather_child *child_at(const struct gather_table *t, const struct gather *g,
                                     uint32_t child)
{
    assert(child < t->children_max);
    uint8_t *at = t->slots + (size_t)g->slot * t->slot_bytes + round_up(sizeof *g);
    return (struct gather_child *)(void *)at + child;
}

void *gather_user(const struct gather_table *t, struct gather *g)
{
    assert(t != NULL && g != NULL);
    assert(bit(t->taken, g->slot));
    return t->slots + (size_t)g->slot * t->slot_bytes + round_up(sizeof *g) +
           round_up(t->children_max * sizeof(struct gather_child));
}

static uint32_t home(const struct gather_table *t, const struct id128 *id)
{
    return (uint32_t)num_hash64(id->bytes, sizeof id->bytes, 0) & t->index_mask;
}

/* Where the id is in the index, or the empty place where it would go. */
static uint32_t index_find(const struct gather_table *t, const struct id128 *id)
{
    uint32_t at = home(t, id);
    while (t->index[at] != 0 &&
           !num_id128_equal(slot_at(t, (uint32_t)t->index[at] - 1u)->id, *id)) {
        at = (at + 1u) & t->index_mask;
    }
    return at;
}

static void index_remove(struct gather_table *t, uint32_t hole)
{
    assert(t->index[hole] != 0);
    uint32_t at = hole;
    for (;;) {
        at = (at + 1u) & t->index_mask;
        if (t->index[at] == 0) {
            break;
        }
        uint32_t want = home(t, &slot_at(t, (uint32_t)t->index[at] - 1u)->id);
        /* Move it back unless its home lies cyclically after the hole. */
        if (((at - want) & t->index_mask) >= ((at - hole) & t->index_mask)) {
            t->index[hole] = t->index[at];
            hole = at;
        }
    }
    t->index[hole] = 0;
}

struct gather *gather_find(struct gather_table *t, const struct id128 *id)
{
    assert(t != NULL && id != NULL);
    assert(t->index != NULL);
    uint16_t found = t->index[index_find(t, id)];
    return found != 0 ? slot_at(t, (uint32_t)found - 1u) : NULL;
}

static void progress_free(struct gather_table *t, const struct gather *g, uint32_t child)
{
    struct gather_child *c = child_at(t, g, child);
    if (c->progress != SLAB_NONE) {
        slab_free(&t->slab, c->progress);
        c->progress = SLAB_NONE;
    }
}

bool gather_waits_for(const struct gather *g, uint32_t child)
{
    assert(g != NULL);
    assert(child < SECTORS_MAX);
    return bit(g->waiting, child);
}

void gather_drop(struct gather_table *t, struct gather *g)
{
    assert(t != NULL && g != NULL);
    assert(bit(t->taken, g->slot));
    for (uint32_t i = 0; g->waiting_count > 0 && i < t->children_max; i++) {
        if (bit(g->waiting, i)) {
            progress_free(t, g, i);
        }
    }
    index_remove(t, index_find(t, &g->id));
    aggregate_done(&g->aggregate, &t->slab);
    bit_set(t->taken, g->slot, false);
    t->waiting -= !g->done;
    bit_set(t->done, g->slot, false);
    t->live--;
}

/* Makes room by forgetting the done operation whose retention ends first. */
static bool drop_oldest_done(struct gather_table *t)
{
    uint32_t best = UINT32_MAX;
    for (uint32_t i = 0; i < t->high; i++) {
        if (bit(t->done, i) && (best == UINT32_MAX || t->due_us[i] < t->due_us[best])) {
            best = i;
        }
    }
    if (best == UINT32_MAX) {
        return false;
    }
    gather_drop(t, slot_at(t, best));
    return true;
}

static uint32_t lowest_free(const struct gather_table *t)
{
    uint32_t slot = 0;
    while (t->taken[slot / 64u] == UINT64_MAX) {
        slot += 64u;
    }
    while (bit(t->taken, slot)) {
        slot++;
    }
    assert(slot < t->operations_max);
    return slot;
}

enum gather_verdict gather_open(struct gather_table *t, const struct id128 *id, int64_t deadline_us,
                                struct gather **ret_gather)
{
    assert(t != NULL && id != NULL && ret_gather != NULL);
    assert(deadline_us < NEVER);
    struct gather *known = gather_find(t, id);
    if (known != NULL) {
        *ret_gather = known;
        return GATHER_DUPLICATE;
    }
    if (t->live == t->operations_max && !drop_oldest_done(t)) {
        return GATHER_FULL_OPERATIONS;
    }
    struct aggregate aggregate = {0};
    while (!aggregate_init(&aggregate, &t->slab)) {
        if (!drop_oldest_done(t)) {
            return GATHER_FULL_BYTES;
        }
    }
    uint32_t slot = lowest_free(t);
    struct gather *g = slot_at(t, slot);
    *g = (struct gather){
        .id = *id, .deadline_us = deadline_us, .slot = slot, .aggregate = aggregate};
    bit_set(t->taken, slot, true);
    t->due_us[slot] = deadline_us;
    if (slot < t->high) { /* used before: children and user bytes are not zero any more */
        memset((uint8_t *)g + round_up(sizeof *g), 0, t->slot_bytes - round_up(sizeof *g));
    }
    t->high = slot + 1u > t->high ? slot + 1u : t->high;
    t->live++;
    t->waiting++;
    t->index[index_find(t, id)] = (uint16_t)(slot + 1u);
    *ret_gather = g;
    return GATHER_OK;
}

void gather_expect(struct gather_table *t, struct gather *g, uint32_t child, uint32_t targets)
{
    assert(t != NULL && g != NULL && !g->done);
    assert(child < t->children_max && !bit(g->waiting, child));
    *child_at(t, g, child) = (struct gather_child){.expected = targets, .known = true};
    bit_set(g->waiting, child, true);
    g->waiting_count++;
    g->waiting_targets += targets;
}

uint32_t gather_expected(const struct gather_table *t, const struct gather *g, uint32_t child)
{
    assert(t != NULL && g != NULL);
    assert(child < t->children_max);
    return bit(g->waiting, child) ? child_at(t, g, child)->expected : 0;
}

/* --- answers -----------------------------------------------------------------------------------
 */

static enum gather_verdict settle(struct gather_table *t, struct gather *g, uint32_t child)
{
    assert(g->waiting_count > 0);
    progress_free(t, g, child);
    bit_set(g->waiting, child, false);
    g->waiting_count--;
    g->waiting_targets -= child_at(t, g, child)->expected;
    assert(g->waiting_count > 0 || g->waiting_targets == 0);
    return g->waiting_count == 0 ? GATHER_DONE : GATHER_OK;
}

static void note_progress(struct gather_table *t, struct gather *g, uint32_t child,
                          const struct aggregate_view *v)
{
    struct gather_child *c = child_at(t, g, child);
    if (c->progress == SLAB_NONE) {
        c->progress = slab_alloc(&t->slab);
    }
    if (c->progress == SLAB_NONE) {
        return; /* no room: this child's progress is not shown, its result still is */
    }
    struct progress *p = slab_at(&t->slab, c->progress);
    *p = (struct progress){.targets = v->targets,
                           .sent = v->sent,
                           .late = v->late,
                           .resent = v->resent,
                           .hedged = v->hedged,
                           .hedge_wins = v->hedge_wins,
                           .unexpected = v->unexpected,
                           .window_hits = v->window_hits,
                           .window_eligible = v->window_eligible,
                           .predicted = v->predicted,
                           .predicted_50ms = v->predicted_50ms,
                           .sectors_reached = v->sectors_reached,
                           .clusters_reached = v->clusters_reached,
                           .agents_reached = v->agents_reached};
    memcpy(p->outcomes, v->outcomes, sizeof p->outcomes);
    memcpy(p->reasons, v->reasons, sizeof p->reasons);
}

/* Chunks that merging these groups may take, so that retained operations can give way to them. */
static uint32_t chunks_for(const struct aggregate_view *v)
{
    uint32_t chunks = 0;
    for (uint32_t i = 0; i < v->group_count; i++) {
        chunks += 1u + v->groups[i].answer_bytes / 128u + v->groups[i].run_count / 16u;
    }
    return chunks;
}

enum gather_verdict gather_result(struct gather_table *t, struct gather *g, uint32_t child,
                                  const struct topology *topology, struct unit scope, bool final,
                                  const struct aggregate_view *view, const char **ret_why)
{
    assert(t != NULL && g != NULL && view != NULL);
    assert(bit(t->taken, g->slot));
    if (child >= t->children_max || !child_at(t, g, child)->known) {
        return GATHER_STRANGER;
    }
    if (!bit(g->waiting, child)) {
        g->late_results++;
        return GATHER_LATE;
    }
    const char *why = aggregate_view_check(view, topology, scope, final);
    if (why != NULL) {
        if (ret_why != NULL) {
            *ret_why = why;
        }
        return GATHER_INVALID;
    }
    if (!final) {
        note_progress(t, g, child, view);
        return GATHER_PROGRESS;
    }
    uint32_t need = chunks_for(view);
    while (slab_left(&t->slab) < need && drop_oldest_done(t)) {
    }
    aggregate_merge(&g->aggregate, &t->slab, view);
    return settle(t, g, child);
}

enum gather_verdict gather_child_dead(struct gather_table *t, struct gather *g, uint32_t child,
                                      enum outcome outcome, enum reason reason,
                                      const struct run *runs, uint32_t run_count)
{
    assert(t != NULL && g != NULL);
    assert(child < t->children_max && bit(t->taken, g->slot));
    if (!bit(g->waiting, child)) {
        return GATHER_LATE;
    }
    aggregate_add_many(&g->aggregate, &t->slab, outcome, reason, child_at(t, g, child)->expected,
                       runs, run_count);
    return settle(t, g, child);
}

void gather_expire(struct gather_table *t, struct gather *g, enum outcome outcome,
                   enum reason reason)
{
    assert(t != NULL && g != NULL);
    assert(outcome > OUTCOME_PENDING && outcome < OUTCOME_COUNT);
    for (uint32_t i = 0; g->waiting_count > 0 && i < t->children_max; i++) {
        if (bit(g->waiting, i)) {
            gather_child_dead(t, g, i, outcome, reason, NULL, 0);
        }
    }
    assert(g->waiting_count == 0);
}

static void add_progress(const struct progress *p, struct aggregate_view *ret)
{
    ret->targets += p->targets;
    for (int i = 0; i < OUTCOME_COUNT; i++) {
        ret->outcomes[i] += p->outcomes[i];
    }
    for (int i = 0; i < REASON_COUNT; i++) {
        ret->reasons[i] += p->reasons[i];
    }
    ret->sent += p->sent;
    ret->late += p->late;
    ret->resent += p->resent;
    ret->hedged += p->hedged;
    ret->hedge_wins += p->hedge_wins;
    ret->unexpected += p->unexpected;
    ret->window_hits += p->window_hits;
    ret->window_eligible += p->window_eligible;
    ret->predicted += p->predicted;
    ret->predicted_50ms += p->predicted_50ms;
    ret->sectors_reached += p->sectors_reached;
    ret->clusters_reached += p->clusters_reached;
    ret->agents_reached += p->agents_reached;
}

void gather_progress(const struct gather_table *t, const struct gather *g,
                     struct aggregate_view *ret)
{
    assert(t != NULL && g != NULL && ret != NULL);
    assert(bit(t->taken, g->slot));
    aggregate_counts(&g->aggregate, 0, ret);
    for (uint32_t i = 0; g->waiting_count > 0 && i < t->children_max; i++) {
        if (!bit(g->waiting, i)) {
            continue;
        }
        const struct gather_child *c = child_at(t, g, i);
        if (c->progress != SLAB_NONE) {
            add_progress(slab_at(&t->slab, c->progress), ret);
        } else {
            ret->targets += c->expected;
            ret->outcomes[OUTCOME_PENDING] += c->expected;
        }
    }
}

/* --- time --------------------------------------------------------------------------------------
 */

void gather_close(struct gather_table *t, struct gather *g, int64_t now_us)
{
    assert(t != NULL && g != NULL);
    assert(g->waiting_count == 0 && !g->done);
    g->done = true;
    g->until_us = now_us + t->retention_us;
    t->due_us[g->slot] = g->until_us;
    bit_set(t->done, g->slot, true);
    t->waiting--;
}

struct gather *gather_due(struct gather_table *t, int64_t now_us)
{
    assert(t != NULL);
    assert(t->live <= t->operations_max);
    uint32_t left = t->live;
    for (uint32_t i = 0; left > 0; i++) {
        if (!bit(t->taken, i)) {
            continue;
        }
        left--;
        if (t->due_us[i] > now_us) {
            continue;
        }
        if (!bit(t->done, i)) {
            return slot_at(t, i);
        }
        gather_drop(t, slot_at(t, i));
    }
    return NULL;
}

int64_t gather_next_us(const struct gather_table *t)
{
    assert(t != NULL);
    assert(t->live <= t->operations_max);
    int64_t next_us = NEVER;
    uint32_t left = t->live;
    for (uint32_t i = 0; left > 0; i++) {
        if (bit(t->taken, i)) {
            left--;
            next_us = t->due_us[i] < next_us ? t->due_us[i] : next_us;
        }
    }
    return next_us;
}

struct gather *gather_each(struct gather_table *t, uint32_t *cursor)
{
    assert(t != NULL);
    assert(cursor != NULL);
    while (*cursor < t->high) {
        uint32_t slot = (*cursor)++;
        if (bit(t->taken, slot) && !bit(t->done, slot)) {
            return slot_at(t, slot);
        }
    }
    return NULL;
}
