/* Set difference of places, as boxes of three ranges. Taking one box out of another leaves at most
 * six pieces: what lies before and behind it in sectors, then in clusters, then in agents. */
#include "core/topology.h"

#include <assert.h>

static struct range whole(struct range r, uint16_t most)
{
    bool all = r.first == 0 && r.last == 0;
    struct range ret = {all ? 1 : r.first, all || r.last > most ? most : r.last};
    return ret;
}

static struct pattern box_of(const struct pattern *p, const struct topology *t)
{
    struct pattern ret = {whole(p->sector, t->sectors), whole(p->cluster, t->clusters_per_sector),
                          whole(p->agent, (uint16_t)(t->agents_per_cluster + t->spare))};
    return ret;
}

static bool meets(struct range a, struct range b)
{
    return a.first <= b.last && b.first <= a.last;
}

/* Appends; false: there is no room. An empty box is left out. */
static bool keep(struct place_set *set, struct pattern box)
{
    if (box.sector.first > box.sector.last || box.cluster.first > box.cluster.last ||
        box.agent.first > box.agent.last) {
        return true;
    }
    if (set->count == RANGES_MAX) {
        return false;
    }
    set->patterns[set->count++] = box;
    return true;
}

/* What lies before and behind m in one of a box's ranges; the range is narrowed to what is left. */
static bool split(struct place_set *set, struct pattern *box, struct range *r, struct range m)
{
    struct range own = *r;
    if (own.first < m.first) {
        r->last = (uint16_t)(m.first - 1);
        if (!keep(set, *box)) {
            return false;
        }
    }
    r->last = own.last;
    if (own.last > m.last) {
        r->first = (uint16_t)(m.last + 1);
        if (!keep(set, *box)) {
            return false;
        }
    }
    r->first = own.first > m.first ? own.first : m.first;
    r->last = own.last < m.last ? own.last : m.last;
    return true;
}

bool place_subtract(struct place_set *set, const struct place_set *minus, const struct topology *t)
{
    assert(set != NULL && minus != NULL && t != NULL);
    assert(set->count > 0 && set->count <= RANGES_MAX && minus->count <= RANGES_MAX);
    struct place_set now = {0};
    for (uint32_t i = 0; i < set->count; i++) {
        (void)keep(&now, box_of(&set->patterns[i], t));
    }
    for (uint32_t k = 0; k < minus->count; k++) {
        struct pattern m = box_of(&minus->patterns[k], t);
        struct place_set next = {0};
        for (uint32_t i = 0; i < now.count; i++) {
            struct pattern box = now.patterns[i];
            bool apart = !meets(box.sector, m.sector) || !meets(box.cluster, m.cluster) ||
                         !meets(box.agent, m.agent);
            bool fits = apart ? keep(&next, box)
                              : split(&next, &box, &box.sector, m.sector) &&
                                    split(&next, &box, &box.cluster, m.cluster) &&
                                    split(&next, &box, &box.agent, m.agent);
            if (!fits) {
                return false;
            }
        }
        now = next;
    }
    *set = now;
    return true;
}
