/* Predictors against synthetic agents: calibration, sharpness, newcomers, changes, bad input. The
 * workload follows arrival.md section 2 in small: a floor and gamma jitter on the network,
 * lognormal-like processing time with slopes of its own in weight and queue, rare slow ones. */
#include "core/num.h"
#include "core/predictor.h"
#include "core/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define AGENTS 30u
#define TAU    0.95
/* Of all states after 50 rounds: the same with gcc and clang, at any optimisation. */
#define GOLDEN_STATE 0x93dc058588e4fa92ull

struct agent {
    double net_ms, jitter_ms, base_ms, spread;
};

struct fleet {
    struct rng rng;
    struct predictor_prior prior;
    struct predictor predictors[AGENTS];
    struct agent agents[AGENTS];
    int64_t now_us;
};

/* About normal: the sum of 12 uniform numbers. */
static double normal(struct rng *r)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += rng_unit(r);
    }
    return sum;
}

static double waiting(struct rng *r) /* exponential, mean 1 */
{
    return -num_log2(1 - rng_unit(r)) * 0.6931471805599453;
}

static void agent_init(struct agent *a, struct rng *r, enum impedance_class c)
{
    double one_way = (double)predictor_class_one_way_us(c) / 1000;
    a->net_ms = one_way * num_exp2(0.3 * normal(r));
    a->jitter_ms = 0.05 * a->net_ms;
    a->base_ms = (double)predictor_class_base_us(c) / 1000 * 1.4 * num_exp2(0.35 * normal(r));
    a->spread = 0.35;
}

static void fleet_init(struct fleet *f, uint64_t seed, enum predictor_kind kind,
                       enum impedance_class c)
{
    memset(f, 0, sizeof *f);
    rng_seed(&f->rng, seed, 1);
    predictor_prior_init(&f->prior, c, TAU);
    for (unsigned i = 0; i < AGENTS; i++) {
        agent_init(&f->agents[i], &f->rng, c);
        predictor_init(&f->predictors[i], kind, c);
        for (int k = 0; k < 4; k++) {
            predictor_latency(&f->predictors[i],
                              (uint32_t)(2000 * (f->agents[i].net_ms +
                                                 f->agents[i].jitter_ms * waiting(&f->rng))));
        }
    }
}

struct score {
    unsigned count, in_time;
    double pinball;      /* of the predictor */
    double true_pinball; /* of one that knows the mean and always adds the same share */
    double confidence;
};

static double pinball(double observed, double lead)
{
    double e = observed - lead;
    return e > 0 ? TAU * e : (TAU - 1) * e;
}

static void one_message(struct fleet *f, unsigned i, struct score *s)
{
    const struct agent *a = &f->agents[i];
    double weight = 0.5 * (waiting(&f->rng) + waiting(&f->rng));
    uint32_t queue = (uint32_t)rng_below(&f->rng, 4);
    struct prediction p = predictor_predict(&f->predictors[i], &f->prior, weight, queue, TAU);
    assert_int_equal(p.lead_us, p.network_us + p.processing_us + p.buffer_us);
    assert_true(p.network_us >= 0 && p.processing_us >= 0 && p.buffer_us >= 0);
    double mean = a->base_ms * (1 + 0.7 * weight) * (1 + 0.2 * queue);
    double processing = mean * num_exp2(a->spread * normal(&f->rng));
    processing *= rng_below(&f->rng, 100) == 0 ? 3 : 1;
    double net = a->net_ms + a->jitter_ms * (waiting(&f->rng) + waiting(&f->rng));
    double observed = net + processing;
    s->count++;
    s->in_time += observed <= (double)p.lead_us / 1000 ? 1u : 0u;
    s->pinball += pinball(observed, (double)p.lead_us / 1000);
    s->true_pinball +=
        pinball(observed, a->net_ms + 4.7 * a->jitter_ms + mean * num_exp2(1.75 * a->spread));
    s->confidence += p.confidence_permille / 1000.0;
    f->now_us += 1000000;
    predictor_observe(&f->predictors[i], &f->prior, weight, queue, (int64_t)(net * 1000),
                      (int64_t)(processing * 1000), f->now_us);
}

static struct score rounds(struct fleet *f, unsigned count)
{
    struct score s = {0};
    for (unsigned n = 0; n < count; n++) {
        for (unsigned i = 0; i < AGENTS; i++) {
            one_message(f, i, &s);
        }
    }
    return s;
}

static double share(struct score s)
{
    return (double)s.in_time / (double)s.count;
}

static const enum impedance_class CLASSES[] = {CLASS_A_EDGE, CLASS_B_SERVERLESS, CLASS_C_PERSISTENT,
                                               CLASS_D_GPU,  CLASS_E_LOCAL,      CLASS_F_HUMAN};

static void test_share_in_time_is_the_wanted_one(void **state)
{
    (void)state;
    static struct fleet f;
    for (unsigned c = 0; c < 6; c++) {
        for (uint64_t seed = 1; seed <= 3; seed++) {
            fleet_init(&f, seed, PREDICTOR_QUANTILE, CLASSES[c]);
            (void)rounds(&f, 20);
            struct score warm = rounds(&f, 300);
            assert_true(share(warm) > 0.935 && share(warm) < 0.965);
            assert_true(warm.pinball < 1.2 * warm.true_pinball);
            /* Confidence is what it says: the share that arrives. */
            double told = warm.confidence / (double)warm.count;
            assert_true(told - share(warm) < 0.02 && share(warm) - told < 0.02);
        }
    }
}

static void test_other_shares(void **state)
{
    (void)state;
    static struct fleet f;
    fleet_init(&f, 4, PREDICTOR_QUANTILE, CLASS_B_SERVERLESS);
    (void)rounds(&f, 50);
    int64_t last = 0;
    uint16_t sure = 0;
    const double taus[] = {0.5, 0.8, 0.95, 0.99, 0.999};
    for (unsigned i = 0; i < 5; i++) {
        struct prediction p = predictor_predict(&f.predictors[3], &f.prior, 1, 0, taus[i]);
        assert_true(p.lead_us > last);
        assert_true(p.confidence_permille > sure);
        last = p.lead_us;
        sure = p.confidence_permille;
    }
}

static void test_newcomer_starts_from_its_neighbours(void **state)
{
    (void)state;
    static struct fleet f;
    struct score first = {0};
    struct score table = {0};
    for (uint64_t seed = 1; seed <= 40; seed++) {
        fleet_init(&f, seed, PREDICTOR_QUANTILE, CLASS_C_PERSISTENT);
        (void)rounds(&f, 20);
        predictor_init(&f.predictors[0], PREDICTOR_QUANTILE, CLASS_C_PERSISTENT);
        predictor_latency(&f.predictors[0], (uint32_t)(2000 * f.agents[0].net_ms));
        struct predictor_prior learned = f.prior;
        struct rng rng = f.rng;
        one_message(&f, 0, &first);
        /* The same message with the class table only. */
        predictor_prior_init(&f.prior, CLASS_C_PERSISTENT, TAU);
        predictor_init(&f.predictors[0], PREDICTOR_QUANTILE, CLASS_C_PERSISTENT);
        predictor_latency(&f.predictors[0], (uint32_t)(2000 * f.agents[0].net_ms));
        f.rng = rng;
        one_message(&f, 0, &table);
        f.prior = learned;
    }
    assert_true(first.pinball < 0.9 * table.pinball);
    assert_true(share(first) > 0.8);
}

static void test_recovers_from_a_change(void **state)
{
    (void)state;
    static struct fleet f;
    struct score early = {0};
    struct score later = {0};
    for (uint64_t seed = 1; seed <= 10; seed++) {
        fleet_init(&f, seed, PREDICTOR_QUANTILE, CLASS_B_SERVERLESS);
        (void)rounds(&f, 60);
        for (unsigned i = 0; i < 5; i++) {
            f.agents[i].base_ms *= 3;
        }
        for (unsigned n = 0; n < 30; n++) {
            for (unsigned i = 0; i < 5; i++) {
                one_message(&f, i, n < 2 ? &early : &later);
            }
        }
    }
    assert_true(share(early) < 0.7); /* the test would notice nothing otherwise */
    assert_true(share(later) > 0.9);
    assert_true(later.pinball < 1.6 * later.true_pinball);
}

static void test_learned_slopes(void **state)
{
    (void)state;
    static struct fleet f;
    fleet_init(&f, 2, PREDICTOR_QUANTILE, CLASS_C_PERSISTENT);
    (void)rounds(&f, 400);
    assert_true(f.prior.weight_slope > 0.6f && f.prior.weight_slope < 0.8f);
    assert_true(f.prior.queue_slope > 0.15f && f.prior.queue_slope < 0.25f);
}

/* The default has to earn its place (design 7): sharper than each baseline that covers as much. */
static void test_better_than_the_baselines(void **state)
{
    (void)state;
    static struct fleet f;
    struct score scores[4] = {{0}};
    const enum predictor_kind kinds[4] = {PREDICTOR_QUANTILE, PREDICTOR_SPEC, PREDICTOR_SPEC_DRIFT,
                                          PREDICTOR_JACOBSON};
    for (unsigned k = 0; k < 4; k++) {
        fleet_init(&f, 7, kinds[k], CLASS_C_PERSISTENT);
        (void)rounds(&f, 20);
        scores[k] = rounds(&f, 100);
    }
    assert_true(scores[0].pinball < 0.6 * scores[1].pinball);
    assert_true(scores[0].pinball < 0.9 * scores[2].pinball);
    assert_true(scores[0].pinball < 0.9 * scores[3].pinball);
    assert_true(share(scores[3]) > 0.95);
}

static void test_spec_formula(void **state)
{
    (void)state;
    for (int k = CLASS_NONE; k < CLASS_COUNT; k++) {
        enum impedance_class c = (enum impedance_class)k;
        assert_int_equal(predictor_class_meant_us(c),
                         predictor_class_one_way_us(c) + predictor_spec_processing_us(c, 1, 0));
    }
    assert_int_equal(predictor_spec_processing_us(CLASS_A_EDGE, 0, 0), 10000);
    assert_int_equal(predictor_spec_processing_us(CLASS_C_PERSISTENT, 2, 5), 600000);
    assert_int_equal(predictor_spec_processing_us(CLASS_F_HUMAN, 0, 0), 60000000);
    const double eps = 1e-12;
    assert_true(predictor_spec_confidence(1, 0, true) > 0.7 - eps);
    assert_true(predictor_spec_confidence(1, 0, true) < 0.7 + eps);
    assert_true(predictor_spec_confidence(0.8, 1, false) < 0.1 + eps);
    assert_true(predictor_spec_confidence(0, 5, false) == 0);
    struct predictor p;
    struct predictor_prior prior;
    predictor_prior_init(&prior, CLASS_B_SERVERLESS, TAU);
    predictor_init(&p, PREDICTOR_SPEC, CLASS_B_SERVERLESS);
    predictor_latency(&p, 80000);
    struct prediction r = predictor_predict(&p, &prior, 1, 2, TAU);
    assert_int_equal(r.network_us, 40000);    /* half the round trip */
    assert_int_equal(r.processing_us, 90000); /* 50 * 1.5 * 1.2 */
    assert_int_equal(r.buffer_us, 33000);     /* 20 ms and a tenth */
}

static void test_bad_measurements(void **state)
{
    (void)state;
    static struct fleet f;
    const int64_t times[] = {INT64_MIN, -5, 0, 1, 86400000000ll, INT64_MAX};
    const double zero = 0;
    const double weights[] = {-1, 0, 1e300, zero / zero, 5};
    struct rng r;
    rng_seed(&r, 6, 6);
    for (unsigned kind = 0; kind < 4; kind++) {
        fleet_init(&f, 6, (enum predictor_kind)kind, CLASS_A_EDGE);
        (void)rounds(&f, 10);
        for (int i = 0; i < 5000; i++) {
            double weight = weights[rng_below(&r, 5)];
            uint32_t queue = rng_below(&r, 4) == 0 ? UINT32_MAX : 1;
            predictor_observe(&f.predictors[0], &f.prior, weight, queue, times[rng_below(&r, 6)],
                              times[rng_below(&r, 6)], i);
            struct prediction p =
                predictor_predict(&f.predictors[0], &f.prior, weights[rng_below(&r, 5)], queue,
                                  rng_unit(&r) * 2 - 0.5);
            assert_true(p.lead_us >= 0 && p.lead_us <= PREDICTOR_LEAD_MAX_US);
            assert_int_equal(p.lead_us, p.network_us + p.processing_us + p.buffer_us);
            assert_true(p.confidence_permille <= 1000);
        }
        /* And it comes back to its senses. */
        (void)rounds(&f, 400);
        struct score s = rounds(&f, 100);
        assert_true(kind == PREDICTOR_SPEC || share(s) > 0.85);
    }
}

/* One of thirty claims whatever it likes: its neighbours keep their calibration and their loss, and
 * a newcomer is not told to start an hour early. */
static void test_a_liar_moves_nobody(void **state)
{
    (void)state;
    static struct fleet f;
    double loss[2], share_of[2], first_ms[2];
    for (int lies = 0; lies < 2; lies++) {
        fleet_init(&f, 8, PREDICTOR_QUANTILE, CLASS_C_PERSISTENT);
        struct score s = {0};
        for (unsigned n = 0; n < 200; n++) {
            for (unsigned i = 1; i < AGENTS; i++) {
                struct score unused = {0};
                one_message(&f, i, n < 20 ? &unused : &s);
            }
            if (lies) { /* a day, then nothing at all, with an absurd weight and queue */
                int64_t claim = n % 2 == 0 ? 86400000000ll : 0;
                predictor_observe(&f.predictors[0], &f.prior, 1000, UINT32_MAX, claim, claim, 1);
                predictor_observe(&f.predictors[0], &f.prior, 0, 0, claim, claim, 1);
            }
        }
        loss[lies] = s.pinball;
        share_of[lies] = share(s);
        struct predictor newcomer;
        predictor_init(&newcomer, PREDICTOR_QUANTILE, CLASS_C_PERSISTENT);
        predictor_latency(&newcomer, (uint32_t)(2000 * f.agents[0].net_ms));
        struct prediction p = predictor_predict(&newcomer, &f.prior, 1, 0, TAU);
        first_ms[lies] = (double)p.lead_us / 1000;
    }
    assert_true(share_of[1] > 0.94 && share_of[1] < 0.965);
    assert_true(loss[1] < 1.1 * loss[0]);
    assert_true(first_ms[1] > 0.5 * first_ms[0] && first_ms[1] < 2 * first_ms[0]);
}

/* A route that all agents share gets longer: those that have not been told yet are covered, too. */
static void test_a_shared_shift_is_shared(void **state)
{
    (void)state;
    static struct fleet f;
    fleet_init(&f, 9, PREDICTOR_QUANTILE, CLASS_A_EDGE);
    (void)rounds(&f, 60);
    int64_t before = predictor_predict(&f.predictors[29], &f.prior, 1, 0, TAU).lead_us;
    for (unsigned i = 0; i < AGENTS; i++) {
        f.agents[i].net_ms += 60;
    }
    struct score s = {0};
    for (unsigned i = 0; i < 25; i++) {
        one_message(&f, i, &s);
    }
    int64_t after = predictor_predict(&f.predictors[29], &f.prior, 1, 0, TAU).lead_us;
    assert_true(after > before + 30000);
    struct score later = {0};
    for (unsigned n = 0; n < 10; n++) {
        struct score r = rounds(&f, 1);
        later.count += n > 0 ? r.count : 0;
        later.in_time += n > 0 ? r.in_time : 0;
    }
    assert_true(share(later) > 0.9);
}

static void test_same_bits(void **state)
{
    (void)state;
    static struct fleet f;
    uint64_t hash[2];
    for (int k = 0; k < 2; k++) {
        fleet_init(&f, 5, PREDICTOR_QUANTILE, CLASS_E_LOCAL);
        (void)rounds(&f, 50);
        hash[k] = num_hash64(f.predictors, sizeof f.predictors, 0) ^
                  num_hash64(&f.prior, sizeof f.prior, 1);
    }
    assert_int_equal(hash[0], hash[1]);
    assert_int_equal(hash[0], GOLDEN_STATE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_share_in_time_is_the_wanted_one),
        cmocka_unit_test(test_other_shares),
        cmocka_unit_test(test_newcomer_starts_from_its_neighbours),
        cmocka_unit_test(test_recovers_from_a_change),
        cmocka_unit_test(test_learned_slopes),
        cmocka_unit_test(test_better_than_the_baselines),
        cmocka_unit_test(test_spec_formula),
        cmocka_unit_test(test_bad_measurements),
        cmocka_unit_test(test_a_liar_moves_nobody),
        cmocka_unit_test(test_a_shared_shift_is_shared),
        cmocka_unit_test(test_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
