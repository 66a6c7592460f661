/* Sorted sets of the store in memory: a hash by name, and an array in the order of (score, name)
 * when somebody looks at it.
 *
 * A mesh writes scores all the time and reads them seldom: a write changes the member alone and
 * counts as a change of the order; who needs the order has it restored first (ranking_settle). A
 * few changes are put right by insertion, many by sorting anew. The order itself is total, so it
 * does not matter when that happens.
 *
 * The hash is open addressing over pointers, half full at most, deletion by moving back. */
#include "core/num.h"
#include "registry/memory_private.h"
#include <assert.h>
#include <string.h>

#define ROOM_LEAST  8u
#define FEW_CHANGES 8u
#define SLOTS_OF(x) ((x)*2u) /* for room for x members; both are powers of two */

static uint32_t hash_of(const char *name, size_t bytes)
{
    return (uint32_t)num_hash64(name, bytes, 0);
}

/* The slot of this name, or the free one where it belongs. */
static struct member **slot_of(const struct ranking *ranking, const char *name, uint32_t hash)
{
    uint32_t mask = SLOTS_OF(ranking->room) - 1;
    uint32_t at = hash & mask;
    while (ranking->slots[at] &&
           (ranking->slots[at]->hash != hash || strcmp(ranking->slots[at]->name, name) != 0))
        at = (at + 1) & mask;
    return &ranking->slots[at];
}

struct member *ranking_find(const struct ranking *ranking, const char *name)
{
    assert(ranking && name);
    return ranking->room ? *slot_of(ranking, name, hash_of(name, strlen(name))) : NULL;
}

void ranking_fetch(const struct ranking *ranking, const struct store_row *rows, uint32_t count,
                   uint32_t *ret_hashes)
{
    struct member *const *slots[STORE_ROWS_MAX];
    assert(count <= STORE_ROWS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        ret_hashes[i] = hash_of(rows[i].key, strlen(rows[i].key));
        if (ranking->room > 0) {
            slots[i] = &ranking->slots[ret_hashes[i] & (SLOTS_OF(ranking->room) - 1)];
            __builtin_prefetch(slots[i]);
        }
    }
    for (uint32_t i = 0; i < count && ranking->room > 0; i++)
        if (*slots[i])
            __builtin_prefetch(*slots[i]);
}

static bool before(const struct member *a, const struct member *b)
{
    return a->score != b->score ? a->score < b->score : strcmp(a->name, b->name) < 0;
}

static int compare(const void *a, const void *b)
{
    const struct member *const *x = a, *const *y = b;
    return before(*x, *y) ? -1 : before(*y, *x) ? 1 : 0;
}

static void insertion_sort(struct ranking *ranking)
{
    for (uint32_t i = 1; i < ranking->count; i++) {
        struct member *member = ranking->sorted[i];
        uint32_t at = i;
        for (; at > 0 && before(member, ranking->sorted[at - 1]); at--)
            ranking->sorted[at] = ranking->sorted[at - 1];
        ranking->sorted[at] = member;
    }
}

static void renumber(struct ranking *ranking, uint32_t from)
{
    for (uint32_t i = from; i < ranking->count; i++)
        ranking->sorted[i]->place = i;
}

static void settle(struct ranking *ranking)
{
    if (ranking->changes == 0)
        return;
    if (ranking->changes <= FEW_CHANGES)
        insertion_sort(ranking);
    else
        qsort(ranking->sorted, ranking->count, sizeof *ranking->sorted, compare);
    renumber(ranking, 0);
    ranking->changes = 0;
}

const struct member *ranking_at(struct ranking *ranking, uint32_t place)
{
    assert(ranking && place < ranking->count);
    settle(ranking);
    return ranking->sorted[place];
}

uint32_t ranking_below(struct ranking *ranking, double score)
{
    assert(ranking);
    settle(ranking);
    uint32_t low = 0, high = ranking->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (ranking->sorted[middle]->score <= score)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool reserve(struct memory_store *store, struct ranking *ranking)
{
    if (ranking->count < ranking->room)
        return true;
    uint32_t room = ranking->room ? ranking->room * 2 : ROOM_LEAST;
    size_t size = sizeof(struct member *);
    struct member **slots = memory_take(store, SLOTS_OF(room) * size);
    void *moved =
        slots ? memory_resize(store, ranking->sorted, ranking->room * size, room * size) : NULL;
    if (!moved) {
        memory_give(store, slots, SLOTS_OF(room) * size);
        return false;
    }
    memory_give(store, ranking->slots, SLOTS_OF(ranking->room) * size);
    ranking->sorted = moved;
    ranking->slots = slots;
    ranking->room = room;
    for (uint32_t i = 0; i < ranking->count; i++)
        *slot_of(ranking, ranking->sorted[i]->name, ranking->sorted[i]->hash) = ranking->sorted[i];
    return true;
}

bool ranking_set(struct memory_store *store, struct ranking *ranking, const char *name,
                 double score)
{
    assert(store && ranking && name);
    return ranking_set_known(store, ranking, name, hash_of(name, strlen(name)), score);
}

bool ranking_set_known(struct memory_store *store, struct ranking *ranking, const char *name,
                       uint32_t hash, double score)
{
    assert(store && ranking && name);
    struct member *member = ranking->room ? *slot_of(ranking, name, hash) : NULL;
    if (member) {
        ranking->changes += member->score != score;
        member->score = score;
        return true;
    }
    if (!reserve(store, ranking))
        return false;
    size_t bytes = strlen(name);
    member = memory_take(store, sizeof *member + bytes + 1);
    if (!member)
        return false;
    memcpy(member->name, name, bytes + 1);
    member->score = score;
    member->hash = hash;
    member->place = ranking->count;
    *slot_of(ranking, name, hash) = member;
    bool last = ranking->count == 0 || before(ranking->sorted[ranking->count - 1], member);
    ranking->changes += last ? 0 : 1;
    ranking->sorted[ranking->count++] = member;
    return true;
}

/* Frees a slot: those behind it move up to where their search finds them. */
static void slot_free(struct ranking *ranking, struct member **slot)
{
    uint32_t mask = SLOTS_OF(ranking->room) - 1;
    uint32_t hole = (uint32_t)(slot - ranking->slots), at = hole;
    while (ranking->slots[at = (at + 1) & mask]) {
        uint32_t home = ranking->slots[at]->hash & mask;
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            ranking->slots[hole] = ranking->slots[at];
            hole = at;
        }
    }
    ranking->slots[hole] = NULL;
}

void ranking_remove(struct memory_store *store, struct ranking *ranking, const char *name)
{
    assert(store && ranking && name);
    struct member *member = ranking_find(ranking, name);
    if (!member)
        return;
    slot_free(ranking, slot_of(ranking, name, member->hash));
    uint32_t place = member->place;
    assert(place < ranking->count && ranking->sorted[place] == member);
    ranking->count--;
    if (ranking->changes == 0) {
        memmove(&ranking->sorted[place], &ranking->sorted[place + 1],
                (ranking->count - place) * sizeof(struct member *));
        renumber(ranking, place);
    } else { /* the order is to be restored anyway */
        ranking->sorted[place] = ranking->sorted[ranking->count];
        ranking->sorted[place]->place = place;
        ranking->changes++;
    }
    memory_give(store, member, sizeof *member + strlen(member->name) + 1);
    if (ranking->count == 0)
        ranking_clear(store, ranking);
}

void ranking_clear(struct memory_store *store, struct ranking *ranking)
{
    assert(store && ranking);
    for (uint32_t i = 0; i < ranking->count; i++)
        memory_give(store, ranking->sorted[i],
                    sizeof(struct member) + strlen(ranking->sorted[i]->name) + 1);
    memory_give(store, ranking->sorted, ranking->room * sizeof(struct member *));
    memory_give(store, ranking->slots, SLOTS_OF(ranking->room) * sizeof(struct member *));
    *ranking = (struct ranking){0};
}
