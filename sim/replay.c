/* Replay of recorded delays. A trace is read whole, ordered by `seq`, and played in rounds: all
 * messages of one seq are predicted before any of them is learnt from, as a lead that sends to all
 * its agents. Series are agents; up to 30 of them, in order of appearance, share a lead and so a
 * prior, as in a cluster of the mesh. A recorded delay is given to the predictor as processing time
 * with a network delay of 0: it has only one part. The rivals see the same rows.
 *
 * Scores leave out the first 20 messages of a series (arrival.md section 5: cold starts are
 * reported apart); when no series is so long, all but the first one count. Pinball loss in
 * milliseconds, so slow series weigh more. The best method is the best causal one; the hindsight
 * quantile knows the future of each series and is printed beside it. */
#include "sim/replay.h"
#include "core/num.h"
#include "core/predictor.h"
#include "sim/rivals.h"
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WARM_UP       20u
#define SERIES_A_LEAD 30u
#define LONG_SERIES   30u
#define RESOLUTION    1e-4 /* of a usual delay */
#define USUAL_MS      100.0
#define FORMULA_ROWS  2000u /* the class's base is the median of so many, for all methods alike */

struct sums {
    double loss, early;
    size_t count, within;
};

struct series_state {
    struct predictor mix;
    struct predictor_tail tail; /* used above PREDICTOR_TAIL_FROM */
    struct fixed_base fixed;
    struct jacobson jacobson;
    struct ewma ewma;
    struct window window;
    uint32_t count;       /* messages so far */
    uint32_t total;       /* messages in the trace */
    struct sums mix_sums; /* scored, of REPLAY_MIX */
    struct sums hindsight;
    double *delays; /* scored ones, for the hindsight quantile; into one big array */
    uint32_t kept;
};

/* What every method says about one message. */
struct guesses {
    struct guess by[REPLAY_METHODS];
};

struct replay {
    const struct delay_trace *trace;
    double tau, base_ms;
    double scale; /* of the predictor's milliseconds: traces have units of their own */
    uint32_t warm_up;
    struct series_state *agents;
    struct predictor_prior *priors; /* one a lead */
    double *delays;
    struct sums sums[REPLAY_METHODS], first;
    struct guesses *guesses; /* of every row */
};

static void *claim(size_t count, size_t bytes)
{
    void *p = calloc(count > 0 ? count : 1, bytes);
    if (p == NULL) {
        fputs("mesh-sim replay: out of memory\n", stderr);
        abort();
    }
    return p;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static double formula_growth(const struct trace_row *row)
{
    return (1 + 0.5 * row->weight) * (1 + 0.1 * row->queue);
}

static double median_base(const struct delay_trace *t)
{
    size_t n = t->count < FORMULA_ROWS ? t->count : FORMULA_ROWS;
    double *v = claim(n, sizeof(*v));
    for (size_t i = 0; i < n; i++) {
        v[i] = t->rows[i].delay_ms / formula_growth(&t->rows[i]);
    }
    qsort(v, n, sizeof(*v), by_value);
    double median = v[n / 2];
    free(v);
    return median;
}

/* The predictor is made for microseconds to an hour, and counts in microseconds. A trace may be in
 * anything: it is scaled so that a usual delay is 100 ms. */
static double scale_of(const struct delay_trace *t, double base_ms)
{
    double sum = 0;
    size_t n = 0;
    for (size_t i = 0; i < t->count && i < FORMULA_ROWS; i++) {
        n += t->rows[i].delay_ms > 0;
        sum += t->rows[i].delay_ms;
    }
    double usual = base_ms > 0 ? base_ms : n > 0 ? sum / (double)n : USUAL_MS;
    return USUAL_MS / usual;
}

static void replay_begin(struct replay *r, const struct delay_trace *t, double tau)
{
    *r = (struct replay){.trace = t, .tau = tau, .base_ms = median_base(t)};
    r->scale = scale_of(t, r->base_ms);
    r->agents = claim(t->series, sizeof(*r->agents));
    r->priors = claim(t->series / SERIES_A_LEAD + 1u, sizeof(*r->priors));
    r->delays = claim(t->count, sizeof(*r->delays));
    for (size_t i = 0; i < t->count; i++) {
        r->agents[t->rows[i].series].total++;
    }
    double *at = r->delays;
    for (uint32_t s = 0; s < t->series; s++) {
        struct series_state *a = &r->agents[s];
        a->delays = at;
        at += a->total;
        r->warm_up = a->total > WARM_UP ? WARM_UP : r->warm_up;
        predictor_init(&a->mix, PREDICTOR_QUANTILE, CLASS_E_LOCAL);
        predictor_latency(&a->mix, 1); /* no network part */
        if (s % SERIES_A_LEAD == 0) {  /* a class of its own, with the same base as the rivals' */
            struct predictor_prior *prior = &r->priors[s / SERIES_A_LEAD];
            predictor_prior_init(prior, CLASS_E_LOCAL, tau);
            prior->base_ms = (float)num_clamp(r->base_ms * r->scale, 1e-3, 1e8);
            prior->net_ms = 0;
            prior->net_dev_ms = 1e-3f;
        }
    }
    r->warm_up = r->warm_up == 0 ? 1 : r->warm_up;
}

static void guess_all(const struct replay *r, const struct trace_row *row,
                      struct guess ret[REPLAY_METHODS])
{
    const struct series_state *a = &r->agents[row->series];
    double formula = r->base_ms * formula_growth(row);
    uint32_t queue = (uint32_t)num_clamp(row->queue, 0, 1e9);
    const struct predictor_prior *prior = &r->priors[row->series / SERIES_A_LEAD];
    struct prediction p = predictor_predict(&a->mix, prior, row->weight, queue, r->tau);
    ret[REPLAY_MIX] = (struct guess){0, (double)p.lead_us / US_PER_MS / r->scale * (1 + 1e-12)};
    ret[REPLAY_FIXED] = fixed_base_guess(&a->fixed, formula);
    ret[REPLAY_JACOBSON_4] = jacobson_guess(&a->jacobson, formula, 4);
    ret[REPLAY_JACOBSON_2] = jacobson_guess(&a->jacobson, formula, 2);
    ret[REPLAY_EWMA] = ewma_guess(&a->ewma, formula, row->weight, row->queue);
    ret[REPLAY_LAST_20] = window_guess(&a->window, 20, r->tau, r->base_ms);
    ret[REPLAY_LAST_100] = window_guess(&a->window, 100, r->tau, r->base_ms);
}

static void count_in(struct sums *s, double tau, double observed, double lead)
{
    s->count++;
    s->loss += rival_pinball(tau, observed, lead);
    if (observed <= lead) {
        s->within++;
        s->early += lead - observed;
    }
}

static void score_and_learn(struct replay *r, const struct trace_row *row,
                            const struct guess guesses[REPLAY_METHODS])
{
    struct series_state *a = &r->agents[row->series];
    double delay = row->delay_ms;
    if (a->count >= r->warm_up) {
        for (int m = 0; m < REPLAY_HINDSIGHT; m++) {
            count_in(&r->sums[m], r->tau, delay, guesses[m].lead_ms);
        }
        count_in(&a->mix_sums, r->tau, delay, guesses[REPLAY_MIX].lead_ms);
        a->delays[a->kept++] = delay;
    } else {
        count_in(&r->first, r->tau, delay, guesses[REPLAY_MIX].lead_ms);
    }
    double formula = r->base_ms * formula_growth(row);
    uint32_t queue = (uint32_t)num_clamp(row->queue, 0, 1e9);
    double work_us = num_clamp(delay * r->scale, 0, 1e9) * US_PER_MS;
    predictor_observe_tail(&a->mix, r->tau > PREDICTOR_TAIL_FROM ? &a->tail : NULL,
                           &r->priors[row->series / SERIES_A_LEAD], row->weight, queue, 0,
                           (int64_t)ceil(work_us), 0);
    fixed_base_learn(&a->fixed, formula, delay);
    jacobson_learn(&a->jacobson, delay);
    ewma_learn(&a->ewma, r->tau, row->weight, row->queue, delay);
    window_learn(&a->window, delay);
    a->count++;
}

/* What each series' own quantile over its scored part would have cost. */
static void hindsight(struct replay *r)
{
    for (uint32_t s = 0; s < r->trace->series; s++) {
        struct series_state *a = &r->agents[s];
        if (a->kept == 0) {
            continue;
        }
        qsort(a->delays, a->kept, sizeof(*a->delays), by_value);
        double exact = ceil(r->tau * a->kept - 1e-9);
        double lead = a->delays[(uint32_t)(exact < 1 ? 1 : exact) - 1];
        for (uint32_t i = 0; i < a->kept; i++) {
            count_in(&r->sums[REPLAY_HINDSIGHT], r->tau, a->delays[i], lead);
        }
    }
}

static double worst_series(const struct replay *r)
{
    double *v = claim(r->trace->series, sizeof(*v));
    uint32_t n = 0;
    for (uint32_t s = 0; s < r->trace->series; s++) {
        const struct sums *k = &r->agents[s].mix_sums;
        if (k->count >= LONG_SERIES) {
            v[n++] = (double)k->within / (double)k->count;
        }
    }
    qsort(v, n, sizeof(*v), by_value);
    double worst = n > 0 ? v[n / 20] : NAN;
    free(v);
    return worst;
}

static double over_best(const struct replay_result *r, double loss, double best)
{
    return (loss + r->resolution_ms) / (best + r->resolution_ms);
}

static void conclude(const struct replay *r, struct replay_result *ret)
{
    *ret = (struct replay_result){.tau = r->tau,
                                  .series = r->trace->series,
                                  .observations = r->trace->count,
                                  .missing = r->trace->missing,
                                  .resolution_ms = RESOLUTION * USUAL_MS / r->scale,
                                  .scored = r->sums[REPLAY_MIX].count,
                                  .best = REPLAY_MIX,
                                  .first_coverage = NAN};
    for (int m = 0; m < REPLAY_METHODS; m++) {
        const struct sums *s = &r->sums[m];
        double n = s->count > 0 ? (double)s->count : NAN;
        ret->methods[m] = (struct replay_score){s->loss / n, (double)s->within / n,
                                                s->within > 0 ? s->early / (double)s->within : 0};
        if (m < REPLAY_HINDSIGHT && ret->methods[m].loss_ms < ret->methods[ret->best].loss_ms) {
            ret->best = (enum replay_method)m;
        }
    }
    double own = ret->methods[REPLAY_MIX].loss_ms;
    double best = ret->methods[ret->best].loss_ms;
    ret->loss_over_best = over_best(ret, own, best);
    double known = ret->methods[REPLAY_HINDSIGHT].loss_ms;
    ret->loss_over_hindsight = known > 0 ? own / known : NAN;
    if (r->first.count > 0) {
        ret->first_coverage = (double)r->first.within / (double)r->first.count;
    }
    ret->worst_coverage = worst_series(r);
}

/* All rows of one seq: every one predicted, then every one learnt from. Returns where they end. */
static size_t play_round(struct replay *r, size_t from)
{
    const struct trace_row *rows = r->trace->rows;
    size_t end = from;
    while (end < r->trace->count && !(rows[end].seq > rows[from].seq)) {
        guess_all(r, &rows[end], r->guesses[end].by);
        end++;
    }
    for (size_t i = from; i < end; i++) {
        score_and_learn(r, &rows[i], r->guesses[i].by);
    }
    return end;
}

void replay_run(const struct delay_trace *t, double tau, struct replay_result *ret)
{
    assert(t != NULL && ret != NULL);
    assert(t->count > 0 && tau >= 0.5 && tau <= 0.999);
    struct replay r;
    replay_begin(&r, t, tau);
    struct guesses *guesses = claim(t->count, sizeof(*guesses));
    r.guesses = guesses;
    size_t at = 0;
    while (at < t->count) {
        at = play_round(&r, at);
    }
    hindsight(&r);
    conclude(&r, ret);
    free(r.agents);
    free(r.priors);
    free(r.delays);
    free(guesses);
}

const char *replay_method_name(enum replay_method m)
{
    static const char *const names[REPLAY_METHODS] = {"hcq-mix",    "fixed-base",     "jacobson-4",
                                                      "jacobson-2", "ewma-conformal", "last-20",
                                                      "last-100",   "hindsight"};
    assert((unsigned)m < REPLAY_METHODS);
    return names[m];
}

/* A number, or null where there is none (JSON has no NaN). */
static void json_number(FILE *to, const char *key, double v, int digits)
{
    if (isfinite(v)) {
        fprintf(to, "\"%s\":%.*f", key, digits, v);
    } else {
        fprintf(to, "\"%s\":null", key);
    }
}

static void print_json(const struct replay_result *r, FILE *to)
{
    fprintf(to, "{\"tau\":%g,\"series\":%u,\"observations\":%zu,\"missing\":%zu,\"scored\":%zu,",
            r->tau, r->series, r->observations, r->missing, r->scored);
    json_number(to, "coverage", r->methods[REPLAY_MIX].coverage, 4);
    fputc(',', to);
    json_number(to, "loss_over_best", r->loss_over_best, 4);
    fprintf(to, ",\"best\":\"%s\",", replay_method_name(r->best));
    json_number(to, "loss_over_hindsight", r->loss_over_hindsight, 4);
    fputc(',', to);
    json_number(to, "first_coverage", r->first_coverage, 4);
    fputc(',', to);
    json_number(to, "worst_series_coverage", r->worst_coverage, 4);
    fputs(",\"methods\":{", to);
    double best = r->methods[r->best].loss_ms;
    for (int m = 0; m < REPLAY_METHODS; m++) {
        const struct replay_score *s = &r->methods[m];
        fprintf(to, "%s\"%s\":{", m > 0 ? "," : "", replay_method_name((enum replay_method)m));
        json_number(to, "coverage", s->coverage, 4);
        fputc(',', to);
        json_number(to, "loss_ms", s->loss_ms, 6);
        fputc(',', to);
        json_number(to, "loss_over_best", over_best(r, s->loss_ms, best), 4);
        fputc(',', to);
        json_number(to, "early_ms", s->early_ms, 4);
        fputc('}', to);
    }
    fputs("}}\n", to);
}

void replay_print(const struct replay_result *r, const char *path, bool json, FILE *to)
{
    assert(r != NULL && path != NULL && to != NULL);
    if (json) {
        print_json(r, to);
        return;
    }
    fprintf(to, "%s: %zu messages of %u series, %zu scored, wanted share %g\n", path,
            r->observations, r->series, r->scored, r->tau);
    fprintf(to, "%-16s %10s %12s %10s %12s\n", "method", "in time %", "loss ms", "x best",
            "early ms");
    double best = r->methods[r->best].loss_ms;
    for (int m = 0; m < REPLAY_METHODS; m++) {
        const struct replay_score *s = &r->methods[m];
        fprintf(to, "%-16s %10.2f %12.4f %10.3f %12.3f\n",
                replay_method_name((enum replay_method)m), 100 * s->coverage, s->loss_ms,
                over_best(r, s->loss_ms, best), s->early_ms);
    }
    fprintf(to, "hcq-mix: first messages %.2f %% in time, worst twentieth of the series %.2f %%\n",
            100 * r->first_coverage, 100 * r->worst_coverage);
}

static int usage(FILE *to, int code)
{
    fputs("usage: mesh-sim replay --trace FILE.csv [--tau SHARE] [--json]\n"
          "  FILE.csv  header with series, delay_ms and, where known, seq, payload_weight,\n"
          "            queue_depth\n"
          "  SHARE     wanted share in time, 0.5 to 0.999 (0.95)\n"
          "exit: 0 good, 2 usage, or a file that is refused\n",
          to);
    return code;
}

int sim_replay_main(int argc, char **argv)
{
    const char *path = NULL;
    bool json = false;
    double tau = 0.95;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return usage(stdout, 0);
    }
    for (int i = 1; i < argc; i++) {
        char *end = NULL;
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--trace") == 0 && i + 1 < argc) {
            path = argv[++i];
        } else if (strcmp(argv[i], "--tau") == 0 && i + 1 < argc) {
            tau = strtod(argv[++i], &end);
            if (end == argv[i] || *end != '\0' || !(tau >= 0.5 && tau <= 0.999)) {
                fprintf(stderr, "mesh-sim replay: --tau %s: not between 0.5 and 0.999\n", argv[i]);
                return 2;
            }
        } else {
            fprintf(stderr, "mesh-sim replay: %s: not an option, or its value is missing\n",
                    argv[i]);
            return usage(stderr, 2);
        }
    }
    if (path == NULL) {
        fputs("mesh-sim replay: --trace FILE.csv is wanted\n", stderr);
        return usage(stderr, 2);
    }
    struct delay_trace t;
    char why[REPLAY_WHY_MAX];
    if (!replay_read(path, &t, why)) {
        fprintf(stderr, "mesh-sim replay: %s\n", why);
        return 2;
    }
    struct replay_result r;
    replay_run(&t, tau, &r);
    replay_print(&r, path, json, stdout);
    replay_free(&t);
    return 0;
}
