/* Who may speak for the spare places of the leads of this process (FX_GRANT of core/node.h):
 * whoever is certified for the home of the agent that was moved there, and nobody else. */
#ifndef TIERS_RUNNER_GRANTS_H
#define TIERS_RUNNER_GRANTS_H

#include "core/node.h"
#include "tiers/runner/unitmap.h"

/* One slot for each place that was ever granted: the mesh's spare places at most. */
struct grants {
    const struct topology *topology;
    struct unitmap homes; /* place -> linear index of the home + 1; 0: nobody */
};

bool grants_init(struct grants *g, const struct topology *topology); /* false: no memory */
void grants_done(struct grants *g);
bool grants_set(struct grants *g, const struct grant *grant); /* false: no memory */
/* TIER_NONE: the place is nobody's from elsewhere. */
struct unit grants_home(const struct grants *g, struct unit place);

#endif
