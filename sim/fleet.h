/* The synthetic fleet that predictors are judged on: 30,000 agents of the spec's six classes in
 * clusters of 30, three clusters a region, with every parameter published in docs/ARRIVAL.md. It
 * holds the truth (delays, processing times, clocks); what a predictor may know is passed on by
 * sim/arrival.c. Delays and processing times in milliseconds, times in seconds. */
#ifndef SIM_FLEET_H
#define SIM_FLEET_H

#include "core/rng.h"
#include "core/types.h"
#include <stdbool.h>
#include <stdint.h>

#define FLEET_CLUSTER      30u /* agents of one lead */
#define FLEET_REGION       90u /* agents that share a region's habits */
#define FLEET_ROUND_S      10.0
#define FLEET_REROUTE_MS   60.0
#define FLEET_REROUTE_EACH 20u /* every 20th region is rerouted: 5 % */

struct fleet_random {
    struct rng rng;
    double spare; /* second number of a normal pair */
    bool has_spare;
};

struct fleet_agent {
    enum impedance_class agent_class;
    uint32_t region;
    uint32_t join;  /* round of its registration: 0, or later for a joiner */
    uint32_t since; /* messages since its behaviour changed last; saturates */
    bool congested, was_congested;
    double out_ms, back_ms; /* least one-way delays, there and back */
    double jitter_ms;
    double base_ms; /* processing time of weight 0, empty queue */
    double weight_slope, queue_slope, sigma;
    double queue;
    double clock_ms, skew_ppm; /* of its own clock against the truth */
};

struct fleet_draw {
    double out_ms, back_ms, processing_ms;
};

struct fleet {
    uint32_t count;
    struct fleet_agent *agents;
    struct fleet_random random; /* of the world; never touched by scoring */
    double change_share;        /* regime changes per agent and message: 0.001 */
};

/* Allocates; every tenth agent joins at round `join`. Release with fleet_free(). */
void fleet_init(struct fleet *f, uint32_t agents, uint32_t join, uint64_t seed);
void fleet_free(struct fleet *f);

/* One round of agent i: regime change, random walk, congestion, queue. */
void fleet_step(struct fleet *f, uint32_t i);
/* The route of every 20th region becomes 60 ms longer each way. */
void fleet_reroute(struct fleet *f);
bool fleet_rerouted(const struct fleet_agent *a);

/* One message of this weight at time_s with the given congestion. */
void fleet_draw(const struct fleet_agent *a, struct fleet_random *r, bool congested, double weight,
                double time_s, struct fleet_draw *ret);
/* Congestion of the next message after one in this state. */
bool fleet_next_congestion(struct fleet_random *r, bool congested);
double fleet_weight(struct fleet_random *r); /* payload weight: Gamma(2), mean 1, 8 at most */
void fleet_random_seed(struct fleet_random *r, uint64_t seed, uint64_t stream);

#endif
