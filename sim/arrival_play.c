/* Part 1: a fleet against the predictors. Prequential (arrival.md section 5): in each round all
 * messages are predicted before any of them is learnt from, and all methods see the same messages.
 * A lead is 30 agents with its own priors, as in the mesh. What a method learns from is what a lead
 * would have: arrival and end of work in the agent's mesh time (core/meshtime over the same
 * asymmetric paths, one exchange of four timestamps a round), the payload's weight, and a stale
 * queue depth. What is scored is the truth. Leads are rounded up to buckets of 1 ms.
 *
 * The oracle draws 400 messages from the truth of that very agent and moment, knowing everything
 * but the luck of the draw, for a share of the messages; ratios are over those alone. */
#include "core/meshtime.h"
#include "core/num.h"
#include "core/predictor.h"
#include "sim/arrival.h"
#include "sim/fleet.h"
#include "sim/rivals.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define ORACLE_DRAWS 400
#define REGISTER     8 /* exchanges of four timestamps before the first message */
#define WARM         20u
#define MESH_US      1000000000000ll /* mesh time at true time 0 */
#define PARENT_ERROR 100
#define KINDS        4 /* settings of core/predictor */
#define WINDOWS      3
static const double WINDOW_MS[WINDOWS] = {10, 50, 250};

/* What a lead has for one agent, for all methods. */
struct known {
    struct predictor kinds[KINDS]; /* PREDICTOR_QUANTILE, SPEC, SPEC_DRIFT, JACOBSON */
    struct predictor raw;          /* the spec on raw clocks */
    struct ewma ewma;
    struct window window;
    struct meshtime time;
    uint32_t count;  /* messages */
    double first_ms; /* one way, from the registration */
};

/* One message of the round, between prediction and feedback. */
struct message {
    double weight, time_s;
    struct fleet_draw draw;
    struct guess guesses[ARRIVAL_METHODS];
    double clock_error_ms; /* the agent's mesh time - true mesh time */
    double raw_error_ms;
    uint32_t queue; /* as reported */
    bool sent;
};

struct play {
    const struct arrival_conf *conf;
    struct fleet fleet;
    struct fleet_random oracle;
    struct known *known;
    struct predictor_prior (*priors)[CLASS_COUNT];
    struct predictor_prior *raw_priors; /* never read by that kind */
    struct message *messages;
    struct arrival_result *result;
};

static int64_t us_of(double ms)
{
    return (int64_t)floor(ms * US_PER_MS + 0.5);
}

static int64_t local_us(const struct fleet_agent *a, double time_s)
{
    double off_ms = a->clock_ms + a->skew_ppm * 1e-3 * time_s;
    return 1000000000ll + us_of(time_s * 1e3) + us_of(off_ms);
}

/* Four timestamps: the agent asks at time_s. */
static void exchange(struct known *k, const struct fleet_agent *a, const struct fleet_draw *d,
                     double time_s)
{
    double there_s = time_s + d->back_ms / 1e3;
    double back_s = there_s + 0.0002 + d->out_ms / 1e3;
    int64_t now = local_us(a, back_s);
    int64_t t2 = us_of(there_s * 1e3), t3 = us_of(there_s * 1e3 + 0.2);
    (void)meshtime_exchange(&k->time, now, local_us(a, time_s), t2, t3, now, MESH_US, PARENT_ERROR);
}

static double raw_error_ms(const struct fleet_agent *a, double time_s)
{
    return a->clock_ms + a->skew_ppm * 1e-3 * time_s;
}

static double mesh_error_ms(const struct known *k, const struct fleet_agent *a, double time_s)
{
    int64_t truth = us_of(time_s * 1e3) + MESH_US;
    return (double)(meshtime_now(&k->time, local_us(a, time_s)) - truth) / US_PER_MS;
}

static void join(struct play *p, uint32_t i, double time_s)
{
    struct known *k = &p->known[i];
    const struct fleet_agent *a = &p->fleet.agents[i];
    memset(k, 0, sizeof(*k));
    meshtime_init(&k->time);
    for (int j = 0; j < KINDS; j++) {
        predictor_init(&k->kinds[j], (enum predictor_kind)j, a->agent_class);
    }
    predictor_init(&k->raw, PREDICTOR_SPEC, a->agent_class);
    double least = 1e9;
    for (int j = 0; j < REGISTER; j++) {
        struct fleet_draw d;
        fleet_draw(a, &p->fleet.random, a->congested, 0, time_s, &d);
        exchange(k, a, &d, time_s - REGISTER - 1 + j);
        double rtt = d.out_ms + d.back_ms;
        least = rtt < least ? rtt : least;
        for (int n = 0; n < KINDS; n++) {
            predictor_latency(&k->kinds[n], (uint32_t)us_of(rtt));
        }
        predictor_latency(&k->raw, (uint32_t)us_of(rtt));
    }
    k->first_ms = least / 2;
}

static struct guess core_guess(const struct predictor *s, const struct predictor_prior *prior,
                               const struct message *m, double tau)
{
    struct prediction lead = predictor_predict(s, prior, m->weight, m->queue, tau);
    struct prediction middle = lead;
    if (s->kind == PREDICTOR_QUANTILE) {
        middle = predictor_predict(s, prior, m->weight, m->queue, 0.5);
    } else {
        middle.lead_us = lead.network_us + lead.processing_us;
    }
    return (struct guess){(double)middle.lead_us / US_PER_MS, (double)lead.lead_us / US_PER_MS};
}

static void guess_all(struct play *p, uint32_t i, struct message *m)
{
    const struct known *k = &p->known[i];
    const struct fleet_agent *a = &p->fleet.agents[i];
    const struct predictor_prior *prior = &p->priors[i / FLEET_CLUSTER][a->agent_class];
    double tau = p->conf->tau;
    double growth = (1 + 0.5 * m->weight) * (1 + 0.1 * m->queue);
    double formula = k->first_ms + (double)predictor_class_base_us(a->agent_class) / 1e3 * growth;
    struct guess *g = m->guesses;
    g[ARRIVAL_MIX] = core_guess(&k->kinds[PREDICTOR_QUANTILE], prior, m, tau);
    g[ARRIVAL_SPEC] = core_guess(&k->kinds[PREDICTOR_SPEC], prior, m, tau);
    g[ARRIVAL_SPEC_DRIFT] = core_guess(&k->kinds[PREDICTOR_SPEC_DRIFT], prior, m, tau);
    g[ARRIVAL_JACOBSON] = core_guess(&k->kinds[PREDICTOR_JACOBSON], prior, m, tau);
    g[ARRIVAL_SPEC_RAW] = core_guess(&k->raw, prior, m, tau);
    g[ARRIVAL_EWMA] = ewma_guess(&k->ewma, formula, m->weight, m->queue);
    g[ARRIVAL_LAST_20] = window_guess(&k->window, 20, tau, formula);
    for (int n = 0; n < ARRIVAL_ORACLE; n++) {
        g[n].lead_ms = ceil(g[n].lead_ms - 1e-9);
    }
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Where a window of +-reach holds the most of the sorted values. */
static double best_centre(const double *v, int n, double reach)
{
    int low = 0, most = 0;
    double centre = v[0];
    for (int i = 0; i < n; i++) {
        while (v[i] - v[low] > 2 * reach) {
            low++;
        }
        if (i - low + 1 > most) {
            most = i - low + 1;
            centre = 0.5 * (v[i] + v[low]);
        }
    }
    return centre;
}

/* The oracle's lead, and whether its best centre for each window hits this message. */
static void ask_oracle(struct play *p, const struct fleet_agent *a, struct message *m,
                       bool ret_hit[WINDOWS])
{
    double v[ORACLE_DRAWS];
    for (int i = 0; i < ORACLE_DRAWS; i++) {
        struct fleet_draw d;
        bool congested = fleet_next_congestion(&p->oracle, a->was_congested);
        fleet_draw(a, &p->oracle, congested, m->weight, m->time_s, &d);
        v[i] = d.out_ms + d.processing_ms;
    }
    qsort(v, ORACLE_DRAWS, sizeof(v[0]), by_value);
    int at = (int)(p->conf->tau * ORACLE_DRAWS);
    m->guesses[ARRIVAL_ORACLE] =
        (struct guess){v[ORACLE_DRAWS / 2], v[at < ORACLE_DRAWS ? at : ORACLE_DRAWS - 1]};
    double observed = m->draw.out_ms + m->draw.processing_ms;
    for (int w = 0; w < WINDOWS; w++) {
        ret_hit[w] = fabs(observed - best_centre(v, ORACLE_DRAWS, WINDOW_MS[w])) <= WINDOW_MS[w];
    }
}

static int bin_of(const struct fleet_agent *a, uint32_t count)
{
    if (count >= WARM) {
        return count < 100 ? BIN_20 : count < 300 ? BIN_100 : BIN_300;
    }
    int base = a->join > 0 ? BIN_JOIN_0 : BIN_COLD_0;
    return base + (count == 0 ? 0 : count <= 3 ? 1 : 2);
}

static int changed_bin(const struct fleet_agent *a, uint32_t count)
{
    if (count <= 100 || a->since == 0 || a->since > 30) {
        return -1;
    }
    return a->since <= 3 ? BIN_CHANGED_1 : a->since <= 10 ? BIN_CHANGED_4 : BIN_CHANGED_11;
}

/* Of so many messages of a bin one is put to the oracle, which is a thousand times as dear. */
static uint32_t oracle_every(int bin)
{
    static const uint32_t every[BIN_COUNT] = {4, 8, 16, 128, 128, 128, 1, 2, 8, 1, 2, 6};
    return every[bin];
}

static uint32_t error_bucket(double error_ms)
{
    double at = error_ms * 10 + (ARRIVAL_ERRORS - 1) / 2.0 + 0.5;
    return (uint32_t)num_clamp(at, 0, ARRIVAL_ERRORS - 1);
}

/* A method's errors against T: aimed with the centre; sent early, held until T on its own clock. */
struct errors {
    double aimed, late, held;
};

static struct errors errors_of(const struct message *m, int method)
{
    double observed = m->draw.out_ms + m->draw.processing_ms;
    const struct guess *g = &m->guesses[method];
    double clock = method == ARRIVAL_SPEC_RAW ? m->raw_error_ms : m->clock_error_ms;
    struct errors e = {observed - g->centre_ms, observed - g->lead_ms, 0};
    double released = method == ARRIVAL_ORACLE ? 0 : -clock; /* its T comes early if it is ahead */
    e.held = e.late > released ? e.late : released;
    return e;
}

static void add_score(struct arrival_score *s, const struct errors *e)
{
    s->count++;
    s->within += e->late <= 0 ? 1u : 0u;
    for (int w = 0; w < WINDOWS; w++) {
        s->hit[w] += fabs(e->aimed) <= WINDOW_MS[w] ? 1u : 0u;
        s->hold[w] += fabs(e->held) <= WINDOW_MS[w] ? 1u : 0u;
    }
}

static void add_sample(struct arrival_score *s, const struct errors *e, double tau,
                       const bool *hits)
{
    s->sampled++;
    s->loss += rival_pinball(tau, e->late, 0);
    for (int w = 0; w < WINDOWS; w++) {
        bool hit = hits != NULL ? hits[w] : fabs(e->aimed) <= WINDOW_MS[w];
        s->sampled_hit[w] += hit ? 1u : 0u;
    }
}

static void add_steady(struct arrival_result *r, const struct fleet_agent *a,
                       const struct message *m, int method, const struct errors *e)
{
    r->aimed[method][error_bucket(e->aimed)]++;
    r->held[method][error_bucket(e->held)]++;
    if (method == ARRIVAL_MIX) {
        double observed = m->draw.out_ms + m->draw.processing_ms;
        r->lasting[(uint32_t)num_clamp(observed, 0, ARRIVAL_ERRORS - 1)]++;
        double clock = fabs(m->clock_error_ms) * 100;
        r->clock[(uint32_t)num_clamp(clock, 0, ARRIVAL_CLOCK_ERRORS - 1)]++;
        double least = fabs(a->out_ms - a->back_ms) / 2 * 100;
        r->floor[(uint32_t)num_clamp(least, 0, ARRIVAL_CLOCK_ERRORS - 1)]++;
    }
}

static void score(struct play *p, uint32_t i, struct message *m, uint32_t round, uint32_t rerouted)
{
    const struct fleet_agent *a = &p->fleet.agents[i];
    struct arrival_result *r = p->result;
    uint32_t count = p->known[i].count;
    bool human = a->agent_class == CLASS_F_HUMAN;
    bool after = round >= rerouted && fleet_rerouted(a);
    int bins[2] = {bin_of(a, count), changed_bin(a, count)};
    bool asked[2] = {rng_below(&p->oracle.rng, oracle_every(bins[0])) == 0,
                     bins[1] >= 0 && rng_below(&p->oracle.rng, oracle_every(bins[1])) == 0};
    bool ask = (asked[0] || asked[1]) && !after;
    bool hits[WINDOWS] = {false};
    if (ask) {
        ask_oracle(p, a, m, hits);
    }
    r->messages++;
    for (int n = 0; n < ARRIVAL_METHODS; n++) {
        if (n == ARRIVAL_ORACLE && !ask) {
            continue;
        }
        struct errors e = errors_of(m, n);
        if (after) {
            uint32_t k = round - rerouted;
            if (k < ARRIVAL_REROUTE_ROUNDS) {
                r->reroute[k][n].count++;
                r->reroute[k][n].within += e.late <= 0 ? 1u : 0u;
            }
            continue;
        }
        bool oracle = n == ARRIVAL_ORACLE;
        const bool *known = oracle ? hits : NULL;
        if (count >= WARM && (asked[0] || !oracle)) {
            add_score(&r->classes[a->agent_class][n], &e);
            if (asked[0]) {
                add_sample(&r->classes[a->agent_class][n], &e, p->conf->tau, known);
            }
            if (!human) {
                add_steady(r, a, m, n, &e);
            }
        }
        for (int b = 0; b < 2 && !human; b++) {
            if (bins[b] >= 0 && (asked[b] || !oracle)) {
                add_score(&r->bins[bins[b]][n], &e);
                if (asked[b]) {
                    add_sample(&r->bins[bins[b]][n], &e, p->conf->tau, known);
                }
            }
        }
    }
}

static void learn(struct play *p, uint32_t i, const struct message *m)
{
    struct known *k = &p->known[i];
    const struct fleet_agent *a = &p->fleet.agents[i];
    struct predictor_prior *prior = &p->priors[i / FLEET_CLUSTER][a->agent_class];
    int64_t out = us_of(m->draw.out_ms + m->clock_error_ms);
    int64_t raw = us_of(m->draw.out_ms + m->raw_error_ms);
    int64_t work = us_of(m->draw.processing_ms);
    int64_t now = us_of(m->time_s * 1e3) + 1;
    predictor_observe(&k->kinds[PREDICTOR_QUANTILE], prior, m->weight, m->queue, out, work, now);
    struct predictor_prior *unused = p->raw_priors;
    for (int n = 1; n < KINDS; n++) {
        predictor_observe(&k->kinds[n], unused, m->weight, m->queue, out, work, now);
    }
    predictor_observe(&k->raw, unused, m->weight, m->queue, raw, work, now);
    double observed = (double)(out + work) / US_PER_MS;
    ewma_learn(&k->ewma, p->conf->tau, m->weight, m->queue, observed);
    window_learn(&k->window, observed);
    exchange(k, a, &m->draw, m->time_s);
    k->count++;
}

static void play_round(struct play *p, uint32_t round, uint32_t rerouted)
{
    double time_s = 100 + round * FLEET_ROUND_S;
    if (round == rerouted) {
        fleet_reroute(&p->fleet);
    }
    for (uint32_t i = 0; i < p->fleet.count; i++) {
        struct fleet_agent *a = &p->fleet.agents[i];
        struct message *m = &p->messages[i];
        m->sent = round >= a->join;
        if (!m->sent) {
            continue;
        }
        if (round == a->join) {
            join(p, i, time_s);
        }
        fleet_step(&p->fleet, i);
        m->time_s = time_s;
        m->weight = fleet_weight(&p->fleet.random);
        fleet_draw(a, &p->fleet.random, a->congested, m->weight, time_s, &m->draw);
        m->queue = (uint32_t)a->queue;
        m->raw_error_ms = raw_error_ms(a, time_s);
        m->clock_error_ms = mesh_error_ms(&p->known[i], a, time_s);
        guess_all(p, i, m);
        score(p, i, m, round, rerouted);
    }
    for (uint32_t i = 0; i < p->fleet.count; i++) {
        if (p->messages[i].sent) {
            learn(p, i, &p->messages[i]);
        }
    }
}

static void *claim(size_t count, size_t bytes)
{
    void *p = calloc(count, bytes);
    if (p == NULL) {
        fputs("mesh-sim arrival: out of memory\n", stderr);
        abort();
    }
    return p;
}

void arrival_play(const struct arrival_conf *conf, uint64_t seed, struct arrival_result *into)
{
    assert(conf != NULL && into != NULL);
    assert(conf->agents >= 1 && conf->rounds >= 1);
    struct play p = {.conf = conf, .result = into};
    fleet_init(&p.fleet, conf->agents, conf->join, seed);
    fleet_random_seed(&p.oracle, seed, 2);
    uint32_t leads = conf->agents / FLEET_CLUSTER + 1u;
    p.known = claim(conf->agents, sizeof(*p.known));
    p.messages = claim(conf->agents, sizeof(*p.messages));
    p.priors = claim(leads, sizeof(*p.priors));
    p.raw_priors = claim(1, sizeof(*p.raw_priors));
    predictor_prior_init(p.raw_priors, CLASS_E_LOCAL, conf->tau);
    for (uint32_t l = 0; l < leads; l++) {
        for (int c = 0; c < CLASS_COUNT; c++) {
            predictor_prior_init(&p.priors[l][c], (enum impedance_class)c, conf->tau);
        }
    }
    uint32_t margin = ARRIVAL_REROUTE_ROUNDS;
    uint32_t rerouted = conf->rounds > 4 * margin ? conf->rounds - margin : UINT32_MAX;
    for (uint32_t round = 0; round < conf->rounds; round++) {
        play_round(&p, round, rerouted);
    }
    into->state_bytes = (uint32_t)sizeof(struct predictor);
    fleet_free(&p.fleet);
    free(p.known);
    free(p.messages);
    free(p.priors);
    free(p.raw_priors);
}
