/* Sorted sets of the store in memory: a hash by name and an array in the order of (score, name).
 *
 * The array is found by bisection and shifted with memmove. The largest sets of a mesh have some
 * ten thousand members, so a change moves 240 KiB at the very worst and a few hundred bytes
 * in the sets of a sector; a tree would cost more in code than it saves. */
#include "registry/memory_private.h"
#include <assert.h>
#include <string.h>

struct member *ranking_find(const struct ranking *ranking, const char *name)
{
    assert(ranking && name);
    struct member *member;
    HASH_FIND_STR(ranking->by_name, name, member);
    return member;
}

static bool before(const struct member *member, double score, const char *name)
{
    if (member->score < score)
        return true;
    if (member->score > score)
        return false;
    return strcmp(member->name, name) < 0;
}

/* The first place whose member is not before (score, name). */
static uint32_t place_of(const struct ranking *ranking, double score, const char *name)
{
    uint32_t low = 0, high = ranking->count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (before(ranking->sorted[middle], score, name))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

uint32_t ranking_below(const struct ranking *ranking, double score)
{
    assert(ranking);
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

static void take_from_order(struct ranking *ranking, const struct member *member)
{
    uint32_t place = place_of(ranking, member->score, member->name);
    assert(place < ranking->count && ranking->sorted[place] == member);
    memmove(&ranking->sorted[place], &ranking->sorted[place + 1],
            (ranking->count - place - 1) * sizeof(struct member *));
    ranking->count--;
}

static void put_in_order(struct ranking *ranking, struct member *member)
{
    assert(ranking->count < ranking->room);
    uint32_t place = place_of(ranking, member->score, member->name);
    memmove(&ranking->sorted[place + 1], &ranking->sorted[place],
            (ranking->count - place) * sizeof(struct member *));
    ranking->sorted[place] = member;
    ranking->count++;
}

static bool reserve(struct memory_store *store, struct ranking *ranking)
{
    if (ranking->count < ranking->room)
        return true;
    uint32_t room = ranking->room ? ranking->room * 2 : 8;
    size_t size = sizeof(struct member *);
    void *moved = memory_resize(store, ranking->sorted, ranking->room * size, room * size);
    if (!moved)
        return false;
    ranking->sorted = moved;
    ranking->room = room;
    return true;
}

bool ranking_set(struct memory_store *store, struct ranking *ranking, const char *name,
                 double score)
{
    assert(store && ranking && name);
    struct member *member = ranking_find(ranking, name);
    if (member) {
        if (member->score != score) {
            take_from_order(ranking, member);
            member->score = score;
            put_in_order(ranking, member);
        }
        return true;
    }
    if (!reserve(store, ranking))
        return false;
    size_t name_bytes = strlen(name);
    member = memory_take(store, sizeof *member + name_bytes + 1);
    if (!member)
        return false;
    memcpy(member->name, name, name_bytes + 1);
    member->score = score;
    HASH_ADD_KEYPTR(hh, ranking->by_name, member->name, name_bytes, member);
    put_in_order(ranking, member);
    return true;
}

void ranking_remove(struct memory_store *store, struct ranking *ranking, const char *name)
{
    assert(store && ranking && name);
    struct member *member = ranking_find(ranking, name);
    if (!member)
        return;
    take_from_order(ranking, member);
    HASH_DEL(ranking->by_name, member);
    memory_give(store, member, sizeof *member + strlen(member->name) + 1);
    if (ranking->count == 0)
        ranking_clear(store, ranking);
}

void ranking_clear(struct memory_store *store, struct ranking *ranking)
{
    assert(store && ranking);
    HASH_CLEAR(hh, ranking->by_name);
    for (uint32_t i = 0; i < ranking->count; i++)
        memory_give(store, ranking->sorted[i],
                    sizeof(struct member) + strlen(ranking->sorted[i]->name) + 1);
    memory_give(store, ranking->sorted, ranking->room * sizeof(struct member *));
    *ranking = (struct ranking){0};
}
