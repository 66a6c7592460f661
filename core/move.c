/* See move.h. Tables are small and scanned: a move is a rare event, and its bits are looked up by
 * clusters, not by agents. */
#include "core/move.h"
#include "core/num.h"

#include <assert.h>
#include <string.h>

static uint64_t bit(uint32_t number)
{
    assert(number >= 1 && number <= 64);
    return UINT64_C(1) << (number - 1u);
}

/* The bits of `to` that pair with those of `some`, a part of `from`. */
static uint64_t paired(uint64_t some, uint64_t from, uint64_t to)
{
    uint64_t ret = 0;
    for (; from != 0 && to != 0; from &= from - 1u, to &= to - 1u) {
        ret |= (some & from & (~from + 1u)) != 0 ? to & (~to + 1u) : 0;
    }
    return ret;
}

const char *move_check(const struct move *m, const struct topology *t)
{
    assert(m != NULL && t != NULL);
    if (m->home.tier != TIER_CLUSTER || m->place.tier != TIER_CLUSTER ||
        !topology_contains(t, m->home) || !topology_contains(t, m->place)) {
        return "a cluster that is not in the topology";
    }
    if (unit_equal(m->home, m->place)) {
        return "from a cluster to itself";
    }
    uint32_t planned = topology_cluster_agents(t, m->home);
    uint32_t first = topology_cluster_agents(t, m->place);
    uint32_t end = topology_cluster_places(t, m->place);
    uint64_t may = UINT64_MAX >> (64u - planned);
    uint64_t spare = end > first ? (UINT64_MAX >> (64u - (end - first))) << first : 0;
    if (m->agents == 0 || (m->agents & ~may) != 0) {
        return "an agent that is not planned there";
    }
    if ((m->places & ~spare) != 0 || num_bits(m->places) != num_bits(m->agents)) {
        return "places that are not spare, or not one for each agent";
    }
    return NULL;
}

struct unit move_place_of(const struct move *m, struct unit home)
{
    assert(m != NULL);
    assert(home.tier == TIER_AGENT);
    uint64_t at = unit_equal(topology_parent(home), m->home)
                      ? paired(m->agents & bit(home.agent), m->agents, m->places)
                      : 0;
    return at == 0 ? (struct unit){0}
                   : unit_agent(m->place.sector, m->place.cluster, num_lowest_bit(at) + 1u);
}

struct unit move_home_of(const struct move *m, struct unit place)
{
    assert(m != NULL);
    assert(place.tier == TIER_AGENT);
    uint64_t at = unit_equal(topology_parent(place), m->place)
                      ? paired(m->places & bit(place.agent), m->places, m->agents)
                      : 0;
    return at == 0 ? (struct unit){0}
                   : unit_agent(m->home.sector, m->home.cluster, num_lowest_bit(at) + 1u);
}

struct move move_part(const struct move *m, uint64_t agents)
{
    assert(m != NULL);
    struct move part = *m;
    part.agents &= agents;
    part.places = paired(agents, m->agents, m->places);
    return part;
}

/* Takes agents and places, as far as they are in it, out of a move, with what pairs with them. */
static void without(struct move *m, uint64_t agents, uint64_t places)
{
    uint64_t gone = (agents & m->agents) | paired(places & m->places, m->places, m->agents);
    uint64_t left = paired(gone, m->agents, m->places);
    m->agents &= ~gone;
    m->places &= ~left;
}

/* One that is over goes on freeing its places: who lived there may have gone on to a third. */
static void overrule(struct move *older, const struct move *newer)
{
    bool same_home = unit_equal(older->home, newer->home) && (!older->back || newer->back);
    without(older, same_home ? newer->agents : 0,
            unit_equal(older->place, newer->place) ? newer->places : 0);
}

bool moves_take(struct move_table *t, const struct move *m)
{
    assert(t != NULL && m != NULL);
    struct move in = *m;
    for (uint32_t i = 0; i < t->count; i++) {
        struct move *known = &t->list[i];
        if (known->id == in.id && known->back == in.back && unit_equal(known->home, in.home) &&
            unit_equal(known->place, in.place)) {
            known->agents = 0; /* said again, perhaps with more agents: it is judged anew */
        } else if (known->id > in.id) {
            overrule(&in, known);
        } else {
            overrule(known, &in);
        }
    }
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->list[i].agents != 0) {
            t->list[kept++] = t->list[i];
        }
    }
    t->count = kept;
    if (in.agents == 0) {
        return true;
    }
    for (uint32_t i = 0; t->count == MOVES_MAX && i < t->count; i++) {
        if (t->list[i].back) { /* long over */
            t->count--;
            memmove(&t->list[i], &t->list[i + 1], (t->count - i) * sizeof(t->list[0]));
            break;
        }
    }
    if (t->count == MOVES_MAX) {
        return false;
    }
    t->list[t->count++] = in;
    return true;
}

struct unit moves_place(const struct move_table *t, struct unit home)
{
    assert(t != NULL);
    assert(home.tier == TIER_AGENT);
    for (uint32_t i = 0; i < t->count; i++) {
        struct unit at = t->list[i].back ? (struct unit){0} : move_place_of(&t->list[i], home);
        if (at.tier != TIER_NONE) {
            return at;
        }
    }
    return home;
}

struct unit moves_home(const struct move_table *t, struct unit place)
{
    assert(t != NULL);
    assert(place.tier == TIER_AGENT);
    for (uint32_t i = 0; i < t->count; i++) {
        struct unit at = t->list[i].back ? (struct unit){0} : move_home_of(&t->list[i], place);
        if (at.tier != TIER_NONE) {
            return at;
        }
    }
    return (struct unit){0};
}

uint64_t moves_away(const struct move_table *t, struct unit cluster)
{
    assert(t != NULL);
    uint64_t mask = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct move *m = &t->list[i];
        mask |= !m->back && unit_equal(m->home, cluster) ? m->agents : 0;
    }
    return mask;
}

uint64_t moves_guests(const struct move_table *t, struct unit cluster)
{
    assert(t != NULL);
    uint64_t mask = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct move *m = &t->list[i];
        mask |= !m->back && unit_equal(m->place, cluster) ? m->places : 0;
    }
    return mask;
}

static bool within(struct unit cluster, struct unit u)
{
    return cluster.sector == u.sector && (u.tier == TIER_SECTOR || cluster.cluster == u.cluster);
}

static uint32_t crossing(const struct move_table *t, struct unit u, bool out)
{
    uint32_t n = 0;
    assert(u.tier == TIER_SECTOR || u.tier == TIER_CLUSTER);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct move *m = &t->list[i];
        bool from = within(m->home, u), to = within(m->place, u);
        n += !m->back && from == out && to != out ? num_bits(m->agents) : 0;
    }
    return n;
}

uint32_t moves_left(const struct move_table *t, struct unit u)
{
    assert(t != NULL);
    return crossing(t, u, true);
}

uint32_t moves_came(const struct move_table *t, struct unit u)
{
    assert(t != NULL);
    return crossing(t, u, false);
}
