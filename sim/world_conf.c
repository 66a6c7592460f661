/* A world as it is when nothing is said of it: the configuration's defaults for the nodes. */
#include "sim/world.h"

#include <assert.h>
#include <string.h>

void world_defaults(struct world_conf *ret, uint32_t agents, uint64_t seed)
{
    assert(ret != NULL && agents > 0);
    memset(ret, 0, sizeof(*ret));
    topology_default(agents, &ret->topology);
    ret->seed = seed;
    ret->tuning = (struct tuning){.agent_beat_us = 5000000,
                                  .agent_suspect_us = 15000000,
                                  .agent_failed_us = 30000000,
                                  .tier_beat_us = 1000000,
                                  .tier_suspect_us = 3000000,
                                  .tier_failed_us = 4000000,
                                  .bucket_us = 10000,
                                  .resend_us = 200000,
                                  .resends_max = 3,
                                  .predictor = PREDICTOR_QUANTILE,
                                  .predictor_tau = 0.95,
                                  .simulation = true};
}
