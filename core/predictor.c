/* Lead times. The default kind is HCQ-mix (docs/ARRIVAL.md): a slow expert (means and mean
 * deviations of delay and processing time, prior from the neighbours, pooled conformal quantile), a
 * fast one (RFC 6298 gains with a learned multiple of the deviation) and the order statistic of the
 * last 20, mixed by pinball loss to the power -12, the agent's own record and its neighbours'
 * together, with a correction per agent that keeps the share arriving by T at tau in the long run.
 * Recorded round trips are strongly correlated and favour a short memory, recorded processing times
 * a long one: hence both. The fast experts work on observed / standard time; the standard is the
 * agent's own and is renewed every 20 observations, so that ratios keep their meaning.
 *
 * Everything that a learner shares is moved by clipped errors and bounded steps: one agent that
 * lies about its times moves its neighbours by a few percent at most. The other kinds are the
 * baselines. O(1) a call, no root or logarithm of num.h on the usual path; 128 bytes an agent. */
#include "core/predictor.h"
#include "core/num.h"
#include "core/predictor_ring.h"

#include <assert.h>
#include <string.h>

#define DAY_US         86400000000ll
#define WEIGHT_MAX     1000.0
#define QUEUE_MAX      100000.0
#define EXPERTS        3u
#define EXPERTS_FROM   6u  /* observations before the fast experts speak */
#define CALIBRATED     20u /* observations of a prior before its miss rate is believed */
#define RUN_UP         6
#define RUN_DOWN       (-8)
#define JUMP_GAIN      0.4   /* of one step after a change of behaviour */
#define GAIN_LEAST     0.025 /* of an agent's means: a memory of 40 observations */
#define GAIN_DEV_LEAST 0.02
#define FADE           0.04 /* of own corrections, times the share missed: towards the neighbours */
#define CONFORMAL_STEP 0.06 /* in deviations */
#define MIX_STEP       0.02
#define CENTRE_STEP    0.01
#define LOSS_CAP       0.4 /* over the share missed, 8 or more: the greatest loss, in usual ones */
#define LOSS_POOL_GAIN 0.004 /* of the neighbours' moving losses .. */
#define LOSS_POOL      0.35  /* .. which count for this share */
#define MEAN_OVER_USUAL                                                                            \
    4.0 /* the standard time is the mean where this is more than so often ..                       \
         */
#define RENEW_LEAST 0.02
#define RATIO_FAR   1024.0       /* .. and is renewed at once when an observation is so far off */
#define EXACT       4.8828125e-4 /* relative: 2^-11 */
#define STRIDE      0.33         /* a tracker's step grows with what it tracks, beyond 3 */
#define NEWCOMER    1.5          /* of the spread between agents: what is not known of a new one */
/* A common shift: the moving error of all and the moving sign of it must agree. */
#define SHIFT_GAIN  0.1
#define SHIFT_CLIP  30.0
#define SHIFT_LEAST 0.6f
#define LEAN_LEAST  0.6f

_Static_assert(sizeof(struct predictor) <= 128, "one for each of 30,000 agents");

/* Spec 3.1 base_times, and a quarter of the sum of spec 2.2's latency range (E, F: assumed). */
static const float BASE_MS[CLASS_COUNT] = {150, 10, 50, 200, 100, 150, 60000};
static const float ONE_WAY_MS[CLASS_COUNT] = {50, 6.25f, 50, 100, 175, 50, 100};

static double in_ms(int64_t us)
{
    return (double)num_clamp_i64(us, 0, DAY_US) / US_PER_MS;
}

static int64_t in_us(double ms)
{
    return (int64_t)(num_clamp(ms, 0, (double)DAY_US / US_PER_MS) * US_PER_MS + 0.5);
}

static double clip(double x, double reach)
{
    return num_clamp(x, -reach, reach);
}

static double size_of(double x)
{
    return __builtin_fabs(x); /* a mask, never a call */
}

static double smaller(double a, double b)
{
    return a < b ? a : b;
}

static double greater(double a, double b)
{
    return a > b ? a : b;
}

static void count_up(uint8_t *count)
{
    *count = (uint8_t)(*count + (*count < UINT8_MAX ? 1u : 0u));
}

static enum impedance_class known_class(enum impedance_class c)
{
    return c > CLASS_NONE && c < CLASS_COUNT ? c : CLASS_E_LOCAL;
}

/* ONE_WAY_MS and one and a half BASE_MS: test_predictor holds them against each other. */
static const int64_t MEANT_US[CLASS_COUNT] = {275000, 21250,  125000,  400000,
                                              325000, 275000, 90100000};

int64_t predictor_class_meant_us(enum impedance_class agent_class)
{
    assert((unsigned)agent_class < CLASS_COUNT);
    return MEANT_US[known_class(agent_class)];
}

int64_t predictor_class_base_us(enum impedance_class agent_class)
{
    int64_t us = in_us((double)BASE_MS[known_class(agent_class)]);
    assert(us > 0);
    return us;
}

int64_t predictor_class_one_way_us(enum impedance_class agent_class)
{
    int64_t us = in_us((double)ONE_WAY_MS[known_class(agent_class)]);
    assert(us > 0);
    return us;
}

static double spec_processing_ms(enum impedance_class c, double weight, double queue)
{
    return (double)BASE_MS[known_class(c)] * (1 + 0.5 * weight) * (1 + 0.1 * queue);
}

int64_t predictor_spec_processing_us(enum impedance_class agent_class, double payload_weight,
                                     uint32_t queue_depth)
{
    double weight = num_clamp(payload_weight, 0, WEIGHT_MAX);
    double queue = num_clamp((double)queue_depth, 0, QUEUE_MAX);
    assert(weight >= 0 && queue >= 0);
    return in_us(spec_processing_ms(agent_class, weight, queue));
}

double predictor_spec_confidence(double reliability, double drift, bool recent)
{
    double sum =
        0.5 * num_clamp(reliability, 0, 1) - 0.3 * num_clamp(drift, 0, 1e9) + (recent ? 0.2 : 0.0);
    double confidence = num_clamp(sum, 0, 1);
    assert(confidence >= 0 && confidence <= 1);
    return confidence;
}

void predictor_prior_init(struct predictor_prior *prior, enum impedance_class agent_class,
                          double tau)
{
    assert(prior != NULL);
    assert((unsigned)agent_class < CLASS_COUNT);
    enum impedance_class c = known_class(agent_class);
    double held = num_clamp(tau, 0.5, 0.999);
    *prior = (struct predictor_prior){.net_ms = ONE_WAY_MS[c],
                                      .net_dev_ms = 0.15f * ONE_WAY_MS[c] + 1,
                                      .base_ms = BASE_MS[c],
                                      .base_dev = 0.3f,
                                      .base_spread = 0.4f,
                                      .weight_slope = 0.5f,
                                      .queue_slope = 0.1f,
                                      .weight_mean = 0.45f,
                                      .queue_mean = 2,
                                      .z_tau = 2,
                                      .z_grid = {0, 1, 1.6f, 2, 2.7f, 3.3f, 4, 6},
                                      .fast_k = 2.2f,
                                      .loss = {1, 1.18f, 1.18f},
                                      .tau = (float)held,
                                      .miss = (float)(1 - held),
                                      .agent_class = c};
}

void predictor_init(struct predictor *p, enum predictor_kind kind, enum impedance_class agent_class)
{
    assert(p != NULL);
    assert((unsigned)kind <= PREDICTOR_JACOBSON && (unsigned)agent_class < CLASS_COUNT);
    memset(p, 0, sizeof *p);
    p->kind = (uint8_t)kind;
    p->agent_class = (uint8_t)known_class(agent_class);
    p->floor_ms = ONE_WAY_MS[p->agent_class];
    p->standard_base_ms = BASE_MS[p->agent_class];
    p->net_ms = p->floor_ms;
}

/* ---- the slow expert ---- */

struct context {
    double weight, queue; /* bounded */
    double growth;        /* (1 + a w)(1 + b q) with the prior's slopes */
    double standard_ms;   /* S: what the fast experts' ratios refer to */
};

struct slow {
    double net, processing, deviation;
    double shift;  /* in milliseconds */
    double centre; /* with the common shift */
    double upper;
};

static double standard_of(const struct predictor *p, double growth)
{
    return greater(1e-3, (double)p->floor_ms + (double)p->standard_base_ms * growth);
}

static struct context context_of(const struct predictor *p, const struct predictor_prior *prior,
                                 double weight, uint32_t queue)
{
    struct context x = {.weight = num_clamp(weight, 0, WEIGHT_MAX),
                        .queue = num_clamp((double)queue, 0, QUEUE_MAX)};
    x.growth =
        (1 + (double)prior->weight_slope * x.weight) * (1 + (double)prior->queue_slope * x.queue);
    x.standard_ms = standard_of(p, x.growth);
    return x;
}

/* A newcomer's state, from its round trips and its neighbours. */
static void adopt_prior(struct predictor *p, const struct predictor_prior *prior)
{
    if (p->latencies == 0) {
        p->floor_ms = prior->net_ms;
    }
    p->net_ms = p->floor_ms;
    p->net_dev_ms = prior->net_dev_ms;
    p->base_ms = prior->base_ms;
    p->standard_base_ms = prior->base_ms;
    p->base_dev = prior->base_dev;
    p->miss = prior->miss;
}

static inline struct slow slow_of(const struct predictor *p, const struct predictor_prior *prior,
                                  const struct context *x)
{
    struct slow s = {.net = (double)p->net_ms, .processing = (double)p->base_ms * x->growth};
    double net_dev = (double)p->net_dev_ms;
    double base_dev = (double)p->base_dev * s.processing;
    double doubt = (double)prior->base_spread * s.processing;
    double known = (double)p->count + 1;
    double square =
        net_dev * net_dev + base_dev * base_dev + NEWCOMER * doubt * doubt / (known * known);
    double rare = x->standard_ms - 0.75 * MEAN_OVER_USUAL * (s.net + s.processing);
    s.deviation = greater(1e-3, greater(rare, num_sqrt(square)));
    bool common = (prior->shift > SHIFT_LEAST && prior->lean > LEAN_LEAST) ||
                  (prior->shift < -SHIFT_LEAST && prior->lean < -LEAN_LEAST);
    s.shift = common ? (double)prior->shift * s.deviation : 0;
    s.centre = s.net + s.processing + s.shift;
    s.upper = s.centre + ((double)prior->z_tau + (double)p->conformal) * s.deviation;
    return s;
}

/* ---- the fast experts and the mixture ---- */

/* Leads of the experts in milliseconds; returns how many speak. */
static unsigned expert_leads(const struct predictor *p, const struct predictor_prior *prior,
                             const struct context *x, const struct slow *slow, double ret[EXPERTS])
{
    ret[0] = slow->upper;
    if (p->ring_count < EXPERTS_FROM) {
        return 1;
    }
    double dev = (double)p->fast_dev;
    ret[1] = x->standard_ms * ((double)p->fast_mean + (double)prior->fast_k * dev) + slow->shift;
    ret[2] = x->standard_ms * ((double)p->ring_top + (double)prior->ring_k * dev);
    return EXPERTS;
}

static double mixed_lead(const struct predictor *p, const struct context *x, unsigned experts,
                         const double leads[EXPERTS])
{
    if (experts == 1) {
        return leads[0];
    }
    double mixed = leads[0] + (double)p->weight[0] * (leads[1] - leads[0]) +
                   (double)p->weight[1] * (leads[2] - leads[0]);
    return mixed + (double)p->mix_correction * (double)p->fast_dev * x->standard_ms;
}

/* ---- prediction ---- */

static struct prediction prediction_of(double net, double processing, double lead,
                                       double confidence)
{
    struct prediction r;
    int64_t lead_us = num_clamp_i64(in_us(lead), 0, PREDICTOR_LEAD_MAX_US);
    r.network_us = num_clamp_i64(in_us(net), 0, lead_us);
    r.processing_us = num_clamp_i64(in_us(processing), 0, lead_us - r.network_us);
    r.buffer_us = lead_us - r.network_us - r.processing_us;
    r.lead_us = lead_us;
    r.confidence_permille = (uint16_t)(num_clamp(confidence, 0, 1) * 1000 + 0.5);
    assert(r.buffer_us >= 0);
    return r;
}

static struct prediction predict_spec(const struct predictor *p, const struct context *x)
{
    double net = (double)p->net_ms;
    double processing =
        spec_processing_ms((enum impedance_class)p->agent_class, x->weight, x->queue);
    double sum = net + processing;
    double error = p->count > 0 ? (double)p->fast_dev : 0.15 * sum;
    /* calculate_buffer is left open by the spec. As written: a fixed 20 ms and a tenth. */
    double buffer = p->kind == PREDICTOR_SPEC_DRIFT ? 2 * error : 20 + 0.1 * sum;
    double drift = sum > 0 ? error / sum : 0;
    return prediction_of(net, processing, sum + buffer,
                         predictor_spec_confidence(1 - (double)p->miss, drift, true));
}

static struct prediction predict_jacobson(const struct predictor *p)
{
    double first = (double)p->floor_ms + (double)BASE_MS[p->agent_class];
    double mean = p->count > 0 ? (double)p->fast_mean : first;
    double dev = p->count > 0 ? (double)p->fast_dev : first / 2;
    double net = smaller((double)p->floor_ms, mean);
    return prediction_of(net, mean - net, mean + 4 * dev, 1 - (double)p->miss);
}

/* The calibrated probability of arriving by T: the agent's own record, worth what it is long, and
 * its neighbours'; the spec's formula until there are samples (design 10). */
static double calibrated_confidence(const struct predictor *p, const struct predictor_prior *prior,
                                    double tau)
{
    if (prior->count < CALIBRATED) {
        return predictor_spec_confidence(1, (double)p->base_dev, true);
    }
    double own = (double)p->count;
    double miss = (own * (double)p->miss + CALIBRATED * (double)prior->miss) / (own + CALIBRATED);
    return tau + ((double)(1 - prior->tau) - miss);
}

static const double GRID[PREDICTOR_GRID] = {0.5, 0.75, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999};
static const double NORMAL[PREDICTOR_GRID] = {0,       0.67449, 1.28155, 1.64485,
                                              2.05375, 2.32635, 2.57583, 3.09023};

/* The pooled quantile of the normed errors, between the grid's shares linear in the normal's. */
static double grid_quantile(const struct predictor_prior *prior, double share)
{
    unsigned i = 1;
    while (i + 1 < PREDICTOR_GRID && GRID[i] < share) {
        i++;
    }
    double part = (num_normal_quantile(share) - NORMAL[i - 1]) / (NORMAL[i] - NORMAL[i - 1]);
    part = i == 1 ? greater(0, part) : part;
    double low = (double)prior->z_grid[i - 1];
    return low + part * greater(0.01, (double)prior->z_grid[i] - low);
}

/* The lead for a share other than the one it is trained for: the buffer above the median, scaled as
 * the neighbours' quantiles are. */
static double other_share(const struct predictor *p, const struct predictor_prior *prior,
                          const struct slow *slow, double lead, double wanted)
{
    double z0 = (double)prior->z_grid[0];
    double middle = slow->centre + (z0 + (double)p->centre) * slow->deviation;
    if (wanted <= 0.5) {
        return middle;
    }
    double scale = (grid_quantile(prior, wanted) - z0) /
                   greater(0.1, grid_quantile(prior, (double)prior->tau) - z0);
    return middle + greater(0, lead - middle) * scale;
}

struct prediction predictor_predict(const struct predictor *p, const struct predictor_prior *prior,
                                    double payload_weight, uint32_t queue_depth, double tau)
{
    assert(p != NULL && prior != NULL);
    assert(p->kind <= PREDICTOR_JACOBSON);
    assert(prior->tau >= 0.5f && prior->tau < 1);
    struct context x = context_of(p, prior, payload_weight, queue_depth);
    if (p->kind == PREDICTOR_SPEC || p->kind == PREDICTOR_SPEC_DRIFT) {
        return predict_spec(p, &x);
    }
    if (p->kind == PREDICTOR_JACOBSON) {
        return predict_jacobson(p);
    }
    struct predictor newcomer;
    if (p->count == 0) {
        newcomer = *p;
        adopt_prior(&newcomer, prior);
        p = &newcomer;
        x.standard_ms = standard_of(p, x.growth);
    }
    struct slow slow = slow_of(p, prior, &x);
    double leads[EXPERTS];
    unsigned experts = expert_leads(p, prior, &x, &slow, leads);
    double lead = mixed_lead(p, &x, experts, leads);
    double wanted = num_clamp(tau, 0.5, 0.999);
    if (size_of(wanted - (double)prior->tau) > 1e-4) {
        lead = other_share(p, prior, &slow, lead, wanted);
    }
    return prediction_of(slow.net, slow.processing, lead, calibrated_confidence(p, prior, wanted));
}

/* ---- learning ---- */

/* A step towards the quantile: up by the share wanted when above it, down by the rest. */
static float quantile_step(float q, double step, bool above, double tau)
{
    return (float)((double)q + step * ((above ? 1.0 : 0.0) - (1 - tau)));
}

/* Hit exactly: nothing to learn from. Without this a tracker would leave a delay that is always
 * the same for the sake of the few misses that it is asked for. */
static bool exact(double observed, double lead)
{
    return observed <= lead && lead - observed <= EXACT * observed;
}

/* Trackers step in proportion to what they track: far tails need long strides. */
static double stride(float q)
{
    return greater(1, STRIDE * size_of((double)q));
}

/* What an agent has of its own fades towards its neighbours', from one miss to the next alike. */
static float faded(double tau)
{
    return (float)(1 - FADE * (1 - tau));
}

static double pooled_step(uint32_t count)
{
    return greater(0.004, 1.5 / num_sqrt(0.2 * (double)count + 9));
}

/* The experts' weights, 1 / loss^12, from their losses: the agent's own and its neighbours'. */
static void weigh(struct predictor *p, const struct predictor_prior *prior)
{
    double weights[EXPERTS];
    double sum = 0;
    double own = (double)p->loss[0];
    for (unsigned i = 0; i < EXPERTS; i++) {
        double loss =
            (1 - LOSS_POOL) * (double)p->loss[i] + LOSS_POOL * own * (double)prior->loss[i];
        double inverse = own / greater(1e-3 * own, loss);
        double square = inverse * inverse;
        double cube = square * square * square;
        weights[i] = cube * cube;
        sum += weights[i];
    }
    double part = 1 / sum;
    p->weight[0] = (float)(weights[1] * part);
    p->weight[1] = (float)(weights[2] * part);
}

static void learn_experts(struct predictor *p, struct predictor_prior *prior,
                          const struct context *x, const double leads[EXPERTS], double mixed,
                          double observed)
{
    double tau = (double)prior->tau;
    double step = pooled_step(prior->mix_count);
    prior->mix_count += prior->mix_count < UINT32_MAX ? 1u : 0u;
    if (!exact(observed, leads[1])) {
        prior->fast_k =
            quantile_step(prior->fast_k, step * stride(prior->fast_k), observed > leads[1], tau);
    }
    if (!exact(observed, leads[2])) {
        prior->ring_k =
            quantile_step(prior->ring_k, step * stride(prior->ring_k), observed > leads[2], tau);
    }
    if (!exact(observed, mixed)) {
        p->mix_correction =
            faded(tau) * quantile_step(p->mix_correction, MIX_STEP * stride(prior->fast_k),
                                       observed > mixed, tau);
    }
    double cap = greater(8, LOSS_CAP / (1 - tau)) * (double)p->loss[0] + 1e-4;
    double scale = 1 / (double)p->loss[0];
    double gain = num_clamp(1 - tau, 0.01, 0.05); /* rare misses need long memories */
    double pool = greater(LOSS_POOL_GAIN, 1 / ((double)prior->mix_count + 20));
    double per_standard = 1 / x->standard_ms;
    for (unsigned i = 0; i < EXPERTS; i++) {
        double error = (observed - leads[i]) * per_standard;
        double loss = smaller(cap, error > 0 ? tau * error : (tau - 1) * error);
        double moved = (double)p->loss[i] + gain * (loss - (double)p->loss[i]);
        p->loss[i] = (float)greater(1e-6, moved);
        prior->loss[i] += (float)(pool * (loss * scale - (double)prior->loss[i]));
    }
    double level = 1 / (double)prior->loss[0];
    for (unsigned i = 0; i < EXPERTS; i++) {
        prior->loss[i] = (float)num_clamp((double)prior->loss[i] * level, 0.01, 100);
    }
    weigh(p, prior);
}

/* What was observed keeps its milliseconds. factor: of the old standard over the new one. */
static void standard_changed(struct predictor *p, struct predictor_tail *tail, double factor)
{
    factor = num_clamp(factor, 1e-9, 1e9);
    p->fast_mean = (float)((double)p->fast_mean * factor);
    p->fast_dev = (float)((double)p->fast_dev * factor);
    for (unsigned i = 0; i < EXPERTS; i++) {
        p->loss[i] = (float)greater(1e-6, (double)p->loss[i] * factor);
    }
    ring_rescale(p, tail, factor);
}

/* The standard time takes the present split into network and processing. Where the greater part of
 * the time is in rare long delays, the level is not what is usual but the mean: ratios must fit
 * their code. */
static void renew_standard(struct predictor *p, struct predictor_tail *tail,
                           const struct context *x)
{
    double before = standard_of(p, x->growth);
    float floor_was = p->floor_ms;
    float base_was = p->standard_base_ms;
    p->floor_ms = p->net_ms;
    p->standard_base_ms = p->base_ms;
    double now = standard_of(p, x->growth);
    double mean = ring_mean(p, tail) * before;
    mean = before > MEAN_OVER_USUAL * now ? before + 0.25 * (mean - before) : mean;
    if (mean > MEAN_OVER_USUAL * now) {
        p->floor_ms = (float)((double)p->floor_ms * mean / now);
        p->standard_base_ms = (float)((double)p->standard_base_ms * mean / now);
    }
    double factor = before / standard_of(p, x->growth);
    if (size_of(factor - 1) < RENEW_LEAST) { /* not worth another rounding of the ring */
        p->floor_ms = floor_was;
        p->standard_base_ms = base_was;
        return;
    }
    standard_changed(p, tail, factor);
}

static void learn_fast(struct predictor *p, struct predictor_tail *tail,
                       const struct predictor_prior *prior, const struct context *x,
                       double observed)
{
    double ratio = num_clamp(observed / x->standard_ms, 1e-4, 1e9);
    if (p->ring_count == 0) {
        p->fast_mean = (float)ratio;
        p->fast_dev = (float)(0.15 * ratio);
        for (unsigned i = 0; i < EXPERTS; i++) {
            p->loss[i] = (float)greater(1e-6, 0.02 * ratio * (double)prior->loss[i]);
        }
        weigh(p, prior);
    } else {
        double error = ratio - (double)p->fast_mean;
        double dev = (double)p->fast_dev + 0.25 * (size_of(error) - (double)p->fast_dev);
        p->fast_dev = (float)greater(1e-3 * (double)p->fast_mean, dev);
        p->fast_mean += (float)(0.125 * error);
    }
    ring_push(p, tail, ratio);
    if (p->ring_next % PREDICTOR_RING == EXPERTS_FROM - 1 || ratio > RATIO_FAR) {
        renew_standard(p, tail, x);
    }
    p->ring_top = (float)ring_quantile(p, tail, (double)prior->tau);
}

/* A run of one-sided surprises (three mild or two strong up, four down) is a change of behaviour:
 * true, and the gain opens. */
static bool behaviour_changed(struct predictor *p, double z)
{
    if (z > 1.5) {
        p->run = (int8_t)((p->run > 0 ? p->run : 0) + (z > 3.5 ? 3 : 2));
    } else if (z < -1.2) {
        p->run = (int8_t)((p->run < 0 ? p->run : 0) - 2);
    } else {
        p->run = 0;
    }
    if (p->run < RUN_UP && p->run > RUN_DOWN) {
        return false;
    }
    p->run = 0;
    p->count = p->count > 3 ? 3 : p->count;
    return true;
}

/* Location and dispersion with gain 1 / (n + k), outliers clipped. */
static void learn_slow(struct predictor *p, const struct context *x, double net, double processing,
                       bool jump)
{
    double count = (double)p->count;
    double gain = jump ? JUMP_GAIN : greater(GAIN_LEAST, 1 / (count + 2.5));
    double gain_dev = greater(GAIN_DEV_LEAST, 1 / (count + 8));
    double net_dev = (double)p->net_dev_ms;
    double base_dev = (double)p->base_dev;
    double off = net - (double)p->net_ms;
    p->net_ms += (float)(gain * clip(off, jump ? 20 * net_dev + 20 : 4 * net_dev));
    p->net_dev_ms =
        (float)greater(1e-3, net_dev + gain_dev * (smaller(size_of(off), 6 * net_dev) - net_dev));
    double part = processing / greater(1e-3, (double)p->base_ms * x->growth) - 1;
    double factor = 1 + gain * clip(part, jump ? 1.5 : 4 * base_dev);
    p->base_ms = (float)num_clamp((double)p->base_ms * factor, 1e-3, 1e8);
    p->base_dev = (float)greater(
        0.005, base_dev + gain_dev * (smaller(size_of(part), 6 * base_dev) - base_dev));
    count_up(&p->count);
}

/* Slopes by stochastic gradient on relative residuals with centred features, and the means that a
 * newcomer starts from. The class table counts as two observations. */
static void learn_prior(struct predictor_prior *prior, const struct predictor *p,
                        const struct context *x, double net, double processing)
{
    prior->count += prior->count < UINT32_MAX ? 1u : 0u;
    double gain = greater(0.002, 1 / (2 + 0.02 * (double)prior->count));
    double slope_w = (double)prior->weight_slope;
    double slope_q = (double)prior->queue_slope;
    double by_weight = x->weight / (1 + slope_w * x->weight);
    double by_queue = x->queue / (1 + slope_q * x->queue);
    double rest = clip(processing / greater(1e-3, (double)p->base_ms * x->growth) - 1, 0.8);
    prior->weight_mean += (float)(gain * (by_weight - (double)prior->weight_mean));
    prior->queue_mean += (float)(gain * (by_queue - (double)prior->queue_mean));
    double step = 0.3 * gain + 0.002;
    double off_w = by_weight - (double)prior->weight_mean;
    double off_q = by_queue - (double)prior->queue_mean;
    slope_w += step * rest * off_w / (1 + off_w * off_w);
    slope_q += 0.02 * step * rest * off_q / (1 + 0.02 * off_q * off_q);
    prior->weight_slope = (float)num_clamp(slope_w, 0, 100);
    prior->queue_slope = (float)num_clamp(slope_q, 0, 100);
    double net_was = (double)prior->net_ms;
    double net_dev = (double)prior->net_dev_ms;
    prior->net_ms += (float)(gain * clip(net - net_was, net_was + 4 * net_dev));
    prior->net_dev_ms +=
        (float)(gain * (smaller((double)p->net_dev_ms, 4 * net_dev + 0.01) - net_dev));
    double part = clip(processing / greater(1e-3, (double)prior->base_ms * x->growth) - 1, 0.8);
    prior->base_ms = (float)num_clamp((double)prior->base_ms * (1 + gain * part), 1e-3, 1e8);
    double base_dev = (double)prior->base_dev;
    prior->base_dev +=
        (float)(gain * (smaller((double)p->base_dev, 4 * base_dev + 0.001) - base_dev));
    if (p->count >= 5) {
        double apart =
            smaller(2, size_of((double)p->base_ms / greater(1e-3, (double)prior->base_ms) - 1));
        prior->base_spread += (float)(gain * (apart - (double)prior->base_spread));
    }
}

static void observe_quantile(struct predictor *p, struct predictor_tail *tail,
                             struct predictor_prior *prior, const struct context *x, double net,
                             double processing)
{
    double observed = net + processing;
    double tau = (double)prior->tau;
    struct slow slow = slow_of(p, prior, x);
    double leads[EXPERTS];
    unsigned experts = expert_leads(p, prior, x, &slow, leads);
    double mixed = mixed_lead(p, x, experts, leads);
    bool missed = observed > mixed;
    if (experts == EXPERTS) {
        learn_experts(p, prior, x, leads, mixed, observed);
    }
    p->miss += 0.02f * ((missed ? 1.0f : 0.0f) - p->miss);
    prior->miss += 0.01f * ((missed ? 1.0f : 0.0f) - prior->miss);
    learn_fast(p, tail, prior, x, observed);
    double per_deviation = 1 / slow.deviation;
    double plain = (observed - slow.net - slow.processing) * per_deviation;
    prior->shift += (float)(SHIFT_GAIN * (clip(plain, SHIFT_CLIP) - (double)prior->shift));
    prior->lean += (float)(SHIFT_GAIN *
                           ((plain > (double)prior->z_grid[0] ? 1.0 : -1.0) - (double)prior->lean));
    double z = (observed - slow.centre) * per_deviation;
    if (p->count >= 2) {
        double step = pooled_step(prior->count);
        double pooled = slow.centre + (double)prior->z_tau * slow.deviation;
        if (!exact(observed, pooled)) {
            prior->z_tau = quantile_step(prior->z_tau, step * stride(prior->z_tau),
                                         z > (double)prior->z_tau, tau);
        }
        for (unsigned i = 0; i < PREDICTOR_GRID; i++) {
            double size = i == 0 ? 0.3 * step : step;
            prior->z_grid[i] = quantile_step(prior->z_grid[i], size * stride(prior->z_grid[i]),
                                             z > (double)prior->z_grid[i], GRID[i]);
        }
        p->centre = faded(0.95) * quantile_step(p->centre, CENTRE_STEP,
                                                z > (double)(prior->z_grid[0] + p->centre), 0.5);
    }
    double own = (double)prior->z_tau + (double)p->conformal;
    if (!exact(observed, slow.upper)) {
        p->conformal =
            faded(tau) *
            quantile_step(p->conformal, CONFORMAL_STEP * stride(prior->z_tau), z > own, tau);
    }
    bool jump = behaviour_changed(p, z);
    learn_slow(p, x, net, processing, jump);
    learn_prior(prior, p, x, net, processing);
}

/* The baselines learn from the expectation that they gave. */
static void observe_baseline(struct predictor *p, const struct context *x, double net,
                             double processing)
{
    double observed = net + processing;
    struct prediction said =
        p->kind == PREDICTOR_JACOBSON ? predict_jacobson(p) : predict_spec(p, x);
    bool missed = observed > in_ms(said.lead_us);
    p->miss += 0.02f * ((missed ? 1.0f : 0.0f) - p->miss);
    if (p->kind == PREDICTOR_JACOBSON) {
        double error = observed - (double)p->fast_mean;
        p->fast_dev = (float)(p->count == 0 ? observed / 2
                                            : (double)p->fast_dev +
                                                  0.25 * (size_of(error) - (double)p->fast_dev));
        p->fast_mean = (float)(p->count == 0 ? observed : (double)p->fast_mean + 0.125 * error);
    } else {
        double expected = in_ms(said.network_us) + in_ms(said.processing_us);
        double error = size_of(observed - expected);
        p->fast_dev =
            (float)(p->count == 0 ? error
                                  : (double)p->fast_dev + 0.1 * (error - (double)p->fast_dev));
        p->net_ms += (float)(0.1 * (net - (double)p->net_ms));
    }
    count_up(&p->count);
}

void predictor_observe(struct predictor *p, struct predictor_prior *prior, double payload_weight,
                       uint32_t queue_depth, int64_t one_way_us, int64_t processing_us,
                       int64_t now_us)
{
    predictor_observe_tail(p, NULL, prior, payload_weight, queue_depth, one_way_us, processing_us,
                           now_us);
}

void predictor_observe_tail(struct predictor *p, struct predictor_tail *tail,
                            struct predictor_prior *prior, double payload_weight,
                            uint32_t queue_depth, int64_t one_way_us, int64_t processing_us,
                            int64_t now_us)
{
    assert(p != NULL && prior != NULL);
    assert(p->kind <= PREDICTOR_JACOBSON);
    assert(prior->tau >= 0.5f && prior->tau < 1);
    if (p->count == 0 && p->kind == PREDICTOR_QUANTILE) {
        adopt_prior(p, prior);
    }
    struct context x = context_of(p, prior, payload_weight, queue_depth);
    double net = in_ms(one_way_us);
    double processing = in_ms(processing_us);
    if (p->kind == PREDICTOR_QUANTILE) {
        observe_quantile(p, tail, prior, &x, net, processing);
    } else {
        observe_baseline(p, &x, net, processing);
    }
    p->last_us = now_us;
}

void predictor_latency(struct predictor *p, uint32_t rtt_us)
{
    assert(p != NULL);
    assert(p->kind <= PREDICTOR_JACOBSON);
    if (rtt_us == 0) {
        return;
    }
    double half = (double)rtt_us / 2 / US_PER_MS;
    bool spec = p->kind == PREDICTOR_SPEC || p->kind == PREDICTOR_SPEC_DRIFT;
    if (spec) { /* current_latency_ms: a rolling average */
        p->net_ms =
            p->latencies == 0 ? (float)half : p->net_ms + (float)(0.1 * (half - (double)p->net_ms));
    }
    if (p->count == 0) {
        bool less = p->latencies == 0 || half < (double)p->floor_ms;
        p->floor_ms = less ? (float)half : p->floor_ms;
        p->net_ms = spec ? p->net_ms : p->floor_ms;
    }
    count_up(&p->latencies);
}
