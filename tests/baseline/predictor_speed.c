/* What a prediction and a lesson cost, with 30,000 agents in leads of 30. First as a mesh works:
 * the leads come in random order, each with all its agents (an operation fans out, its answers come
 * back). Then with every call on a random agent of the 30,000, which is mostly the price of a cache
 * miss. Prints predict_ns, update_ns, bytes_per_agent, and the first two of the random order, on
 * one line: medians of the rounds, in processor time. Built and run by tests/bench. */
#include "core/num.h"
#include "core/predictor.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define AGENTS 30000u
#define LEAD   30u
#define CALLS  300000u
#define ROUNDS 9

_Alignas(64) static struct predictor agents[AGENTS];
_Alignas(64) static struct predictor_prior priors[AGENTS / LEAD];
static uint32_t order[CALLS];

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

static void teach(struct rng *r)
{
    for (uint32_t k = 0; k < CALLS; k++) {
        uint32_t i = order[k];
        int64_t work = 50000 + (int64_t)rng_below(r, 40000);
        work *= rng_below(r, 64) == 0 ? 4 : 1;
        predictor_observe(&agents[i], &priors[i / LEAD], 1.0, k % 4, 30000 + (int64_t)(k % 3000),
                          work, (int64_t)k);
    }
}

static void choose_order(struct rng *r, bool scattered)
{
    for (uint32_t k = 0; k < CALLS; k++) {
        if (scattered) {
            order[k] = (uint32_t)rng_below(r, AGENTS);
        } else if (k % LEAD == 0) {
            order[k] = (uint32_t)rng_below(r, AGENTS / LEAD) * LEAD;
        } else {
            order[k] = order[k - 1] + 1;
        }
    }
}

static int64_t measure(struct rng *r, bool scattered, double *ret_predict, double *ret_update)
{
    double predict[ROUNDS], update[ROUNDS];
    int64_t sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        choose_order(r, scattered);
        double start = now_ns();
        for (uint32_t k = 0; k < CALLS; k++) {
            uint32_t i = order[k];
            sum += predictor_predict(&agents[i], &priors[i / LEAD], 1.0, k % 4, 0.95).lead_us;
        }
        double middle = now_ns();
        teach(r);
        predict[round] = (middle - start) / CALLS;
        update[round] = (now_ns() - middle) / CALLS;
    }
    qsort(predict, ROUNDS, sizeof(predict[0]), by_value);
    qsort(update, ROUNDS, sizeof(update[0]), by_value);
    *ret_predict = predict[ROUNDS / 2];
    *ret_update = update[ROUNDS / 2];
    return sum;
}

int main(void)
{
    struct rng r;
    rng_seed(&r, 1, 1);
    for (uint32_t i = 0; i < AGENTS; i++) {
        predictor_init(&agents[i], PREDICTOR_QUANTILE, CLASS_B_SERVERLESS);
        predictor_prior_init(&priors[i / LEAD], CLASS_B_SERVERLESS, 0.95);
    }
    for (int warm = 0; warm < 3; warm++) { /* 30 observations each */
        choose_order(&r, true);
        teach(&r);
    }
    double predict, update, predict_random, update_random;
    int64_t sum = measure(&r, false, &predict, &update);
    sum += measure(&r, true, &predict_random, &update_random);
    printf("%.1f %.1f %zu %.1f %.1f\n", predict, update, sizeof(struct predictor), predict_random,
           update_random);
    return sum > 0 ? 0 : 1;
}
