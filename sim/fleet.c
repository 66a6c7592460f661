/* The workload of the arrival study: base times that miss the spec's table by a factor a class,
 * regions and agents that differ lognormally, slopes of their own, one-way delays of 45 to 55 % of
 * a round trip that the region decides, Gamma jitter with six-fold congestion bursts, rare
 * retransmits, heavy processing tails by class, stale queue depths, regime changes, a random walk,
 * a daily swing, and clocks that are 50 ms and 50 ppm off. Truth and scoring draw from separate
 * generators, so that the same seed gives the same messages however much of them is scored. */
#include "sim/fleet.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>

#define TWO_PI 6.283185307179586

struct class_facts {
    uint32_t share; /* of 30,000 */
    double base_ms; /* truth: spec table x misfit */
    double rtt_low_ms, rtt_high_ms, sigma;
};

static const struct class_facts FACTS[CLASS_COUNT] = {
    [CLASS_A_EDGE] = {10000, 10 * 1.3, 5, 20, 0.15},
    [CLASS_B_SERVERLESS] = {8000, 50 * 0.8, 50, 150, 0.30},
    [CLASS_C_PERSISTENT] = {5000, 200 * 1.2, 100, 300, 0.30},
    [CLASS_D_GPU] = {2000, 100 * 1.5, 200, 500, 0.25},
    [CLASS_E_LOCAL] = {3000, 150 * 0.7, 5, 150, 0.45},
    [CLASS_F_HUMAN] = {2000, 60000, 20, 300, 1.30},
};

static double unit_open(struct fleet_random *r) /* (0, 1) */
{
    return ((double)(rng_u64(&r->rng) >> 11) + 0.5) / 9007199254740992.0;
}

static double normal(struct fleet_random *r)
{
    if (r->has_spare) {
        r->has_spare = false;
        return r->spare;
    }
    double u, v, s;
    do {
        u = 2 * unit_open(r) - 1;
        v = 2 * unit_open(r) - 1;
        s = u * u + v * v;
    } while (s >= 1 || s <= 0);
    s = sqrt(-2 * log(s) / s);
    r->spare = v * s;
    r->has_spare = true;
    return u * s;
}

static double exponential(struct fleet_random *r)
{
    return -log(unit_open(r));
}

static double gamma2(struct fleet_random *r)
{
    return -log(unit_open(r) * unit_open(r));
}

static double lognormal(struct fleet_random *r, double sigma)
{
    return exp(sigma * normal(r));
}

void fleet_random_seed(struct fleet_random *r, uint64_t seed, uint64_t stream)
{
    assert(r != NULL);
    *r = (struct fleet_random){.spare = 0};
    rng_seed(&r->rng, seed, stream);
    assert(!r->has_spare);
}

double fleet_weight(struct fleet_random *r)
{
    assert(r != NULL);
    double w = 0.5 * gamma2(r);
    assert(w >= 0);
    return w < 8 ? w : 8;
}

bool fleet_next_congestion(struct fleet_random *r, bool congested)
{
    assert(r != NULL);
    return unit_open(r) < (congested ? 0.9 : 0.005);
}

bool fleet_rerouted(const struct fleet_agent *a)
{
    assert(a != NULL);
    return a->agent_class != CLASS_F_HUMAN && a->region % FLEET_REROUTE_EACH == 0;
}

/* What the agents of one region have in common. */
struct region {
    double weight_slope, queue_slope, base, place;
};

static void agent_init(struct fleet *f, uint32_t i, enum impedance_class c, const struct region *g)
{
    struct fleet_random *r = &f->random;
    const struct class_facts *k = &FACTS[c];
    struct fleet_agent *a = &f->agents[i];
    double u = 0.7 * g->place + 0.3 * unit_open(r); /* the region decides most of the round trip */
    double low = k->rtt_low_ms, high = k->rtt_high_ms;
    double rtt = c == CLASS_E_LOCAL ? low * pow(high / low, u) : low + (high - low) * u;
    double out = 0.45 + 0.1 * unit_open(r);
    *a = (struct fleet_agent){.agent_class = c, .region = i / FLEET_REGION, .since = 1u << 20};
    a->out_ms = rtt * out;
    a->back_ms = rtt * (1 - out);
    a->jitter_ms = (c == CLASS_E_LOCAL ? 0.15 : 0.04) * rtt * 0.5 + 0.15;
    a->base_ms = k->base_ms * g->base * lognormal(r, 0.25);
    a->weight_slope = g->weight_slope * lognormal(r, 0.15);
    a->queue_slope = g->queue_slope * lognormal(r, 0.15);
    a->sigma = k->sigma;
    a->queue = 3 * exponential(r);
    a->clock_ms = 100 * unit_open(r) - 50;
    a->skew_ppm = 100 * unit_open(r) - 50;
}

/* The class of agent i: shares of spec 2.2, in the order of the classes. */
static enum impedance_class class_of(uint32_t i, uint32_t count)
{
    uint64_t at = (uint64_t)i * 30000u / count;
    int c = CLASS_A_EDGE;
    while (c < CLASS_F_HUMAN && at >= FACTS[c].share) {
        at -= FACTS[c].share;
        c++;
    }
    return (enum impedance_class)c;
}

void fleet_init(struct fleet *f, uint32_t agents, uint32_t join, uint64_t seed)
{
    assert(f != NULL);
    assert(agents >= 1);
    *f = (struct fleet){.count = agents, .change_share = 0.001};
    fleet_random_seed(&f->random, seed, 1);
    f->agents = calloc(agents, sizeof(*f->agents));
    if (f->agents == NULL) {
        abort();
    }
    struct region g = {0};
    for (uint32_t i = 0; i < agents; i++) {
        if (i % FLEET_REGION == 0) {
            g.weight_slope = 0.5 * lognormal(&f->random, 0.35);
            g.queue_slope = 0.1 * lognormal(&f->random, 0.35);
            g.base = lognormal(&f->random, 0.2);
            g.place = unit_open(&f->random);
        }
        agent_init(f, i, class_of(i, agents), &g);
        f->agents[i].join = i % 10 == 9 ? join : 0;
    }
}

void fleet_free(struct fleet *f)
{
    assert(f != NULL);
    free(f->agents);
    f->agents = NULL;
    assert(f->agents == NULL);
}

void fleet_step(struct fleet *f, uint32_t i)
{
    assert(f != NULL && i < f->count);
    struct fleet_random *r = &f->random;
    struct fleet_agent *a = &f->agents[i];
    a->since += a->since < 1u << 20 ? 1u : 0u;
    if (unit_open(r) < f->change_share) {
        double route = lognormal(r, 0.3);
        a->base_ms *= lognormal(r, 0.5);
        a->out_ms *= route;
        a->back_ms *= route;
        a->since = 0;
    }
    a->base_ms *= exp(0.003 * normal(r));
    a->was_congested = a->congested;
    a->congested = fleet_next_congestion(r, a->congested);
    a->queue = fmax(0, 0.8 * a->queue + 0.6 * exponential(r));
    if (unit_open(r) < 0.005) {
        a->queue += 10 * exponential(r);
    }
    assert(a->base_ms > 0);
}

void fleet_reroute(struct fleet *f)
{
    assert(f != NULL && f->agents != NULL);
    for (uint32_t i = 0; i < f->count; i++) {
        if (fleet_rerouted(&f->agents[i])) {
            f->agents[i].out_ms += FLEET_REROUTE_MS;
            f->agents[i].back_ms += FLEET_REROUTE_MS;
        }
    }
    assert(f->count >= 1);
}

static double day(double time_s)
{
    return sin(TWO_PI * time_s / 5000.0);
}

static double hop_ms(const struct fleet_agent *a, struct fleet_random *r, bool congested,
                     double swing)
{
    double ms = a->jitter_ms * gamma2(r) * (congested ? 6 : 1) * (1 + 0.4 * swing);
    if (unit_open(r) < 0.003) {
        ms += 200 + 100 * exponential(r); /* a retransmit */
    }
    return ms;
}

static double tail_ms(enum impedance_class c, double ms, struct fleet_random *r)
{
    double u = unit_open(r);
    if (c == CLASS_A_EDGE && u < 0.005) {
        return ms + 20 * exponential(r);
    }
    if (c == CLASS_B_SERVERLESS && u < 0.02) {
        return ms + 400 * lognormal(r, 0.6); /* a cold start */
    }
    double share = c == CLASS_C_PERSISTENT || c == CLASS_D_GPU ? 0.01 : 0.03;
    if ((share < 0.02 || c == CLASS_E_LOCAL) && u < share) {
        return ms * (1 + pow(unit_open(r), -1 / 1.8));
    }
    return ms;
}

void fleet_draw(const struct fleet_agent *a, struct fleet_random *r, bool congested, double weight,
                double time_s, struct fleet_draw *ret)
{
    assert(a != NULL && r != NULL && ret != NULL);
    assert(weight >= 0);
    double swing = day(time_s);
    double scale = 0.7 * (0.8 + 0.15 * a->queue); /* what is reported is stale */
    double off = exponential(r) * scale;
    double queue = a->queue + (unit_open(r) < 0.5 ? -off : off);
    queue = queue > 0 ? queue : 0;
    double ms = a->base_ms * (1 + a->weight_slope * weight) * (1 + a->queue_slope * queue) *
                exp(a->sigma * normal(r)) * (1 + 0.12 * swing);
    ret->out_ms = a->out_ms + hop_ms(a, r, congested, swing);
    ret->back_ms = a->back_ms + hop_ms(a, r, congested, swing);
    ret->processing_ms = tail_ms(a->agent_class, ms, r);
}
