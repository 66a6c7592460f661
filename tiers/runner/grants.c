#include "tiers/runner/grants.h"

#include <assert.h>

#define EXPECTED 16u

bool grants_init(struct grants *g, const struct topology *topology)
{
    assert(g != NULL && topology != NULL);
    g->topology = topology;
    return unitmap_init(&g->homes, EXPECTED);
}

void grants_done(struct grants *g)
{
    assert(g != NULL);
    unitmap_done(&g->homes);
}

bool grants_set(struct grants *g, const struct grant *grant)
{
    assert(g != NULL && grant != NULL);
    assert(!topology_planned(g->topology, grant->place));
    bool held = grant->home.tier == TIER_AGENT;
    return unitmap_put(&g->homes, grant->place,
                       held ? topology_index(g->topology, grant->home) + 1u : 0);
}

struct unit grants_home(const struct grants *g, struct unit place)
{
    assert(g != NULL);
    uint32_t at = g->homes.count > 0 ? unitmap_get(&g->homes, place) : UNITMAP_NONE;
    return at == UNITMAP_NONE || at == 0 ? (struct unit){0} : topology_agent(g->topology, at - 1u);
}
