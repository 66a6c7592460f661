/* Each rival in the form in which the arrival study ran it, so that figures can be compared: the
 * spec's base with a buffer of two moving errors, Jacobson's estimator, a moving average with an
 * adaptive conformal quantile, and exact quantiles of the last 20 and 100. Floats and O(1) state,
 * the windows apart (400 bytes). */
#include "sim/rivals.h"
#include <assert.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

double rival_pinball(double tau, double observed_ms, double lead_ms)
{
    assert(tau > 0 && tau < 1);
    double e = observed_ms - lead_ms;
    return e > 0 ? tau * e : (tau - 1) * e;
}

struct guess fixed_base_guess(const struct fixed_base *s, double formula_ms)
{
    assert(s != NULL);
    double drift = s->count > 0 ? (double)s->drift_ms : 0.25 * formula_ms;
    return (struct guess){formula_ms, formula_ms + 2 * drift};
}

void fixed_base_learn(struct fixed_base *s, double formula_ms, double observed_ms)
{
    assert(s != NULL);
    double e = fabs(observed_ms - formula_ms);
    s->drift_ms = s->count == 0 ? (float)e : s->drift_ms + 0.125f * ((float)e - s->drift_ms);
    s->count++;
}

struct guess jacobson_guess(const struct jacobson *s, double first_ms, double k)
{
    assert(s != NULL);
    if (s->count == 0) {
        return (struct guess){first_ms, first_ms + k * first_ms / 2};
    }
    return (struct guess){(double)s->mean_ms, (double)s->mean_ms + k * (double)s->dev_ms};
}

void jacobson_learn(struct jacobson *s, double observed_ms)
{
    assert(s != NULL);
    float x = (float)observed_ms;
    if (s->count == 0) {
        s->mean_ms = x;
        s->dev_ms = x / 2;
    } else {
        s->dev_ms += 0.25f * (fabsf(x - s->mean_ms) - s->dev_ms);
        s->mean_ms += 0.125f * (x - s->mean_ms);
    }
    s->count++;
}

static double ewma_mean(const struct ewma *s, double formula_ms, double weight, double queue)
{
    if (s->count == 0) {
        return formula_ms;
    }
    return (double)s->level_ms * (1 + (double)s->slope_weight * weight) *
           (1 + (double)s->slope_queue * queue);
}

struct guess ewma_guess(const struct ewma *s, double formula_ms, double weight, double queue)
{
    assert(s != NULL);
    double mean = ewma_mean(s, formula_ms, weight, queue);
    if (s->count == 0) {
        return (struct guess){mean, 1.5 * mean};
    }
    return (struct guess){mean + (double)(s->middle * s->scale_ms),
                          mean + (double)(s->upper * s->scale_ms)};
}

void ewma_learn(struct ewma *s, double tau, double weight, double queue, double observed_ms)
{
    assert(s != NULL);
    if (s->count == 0) {
        double growth = (1 + 0.5 * weight) * (1 + 0.1 * queue);
        *s = (struct ewma){.level_ms = (float)(observed_ms / growth),
                           .slope_weight = 0.5f,
                           .slope_queue = 0.1f,
                           .scale_ms = (float)(0.25 * observed_ms) + 1e-3f,
                           .upper = 1.6f,
                           .count = 1};
        return;
    }
    double mean = ewma_mean(s, 0, weight, queue);
    double error = observed_ms - mean;
    double z = error / (double)s->scale_ms;
    double gain = fmax(0.05, 1.0 / (s->count + 1.0));
    s->upper += (float)(fmax(0.1, 4 * gain) * ((z > (double)s->upper) - (1 - tau)));
    s->middle += (float)(0.5 * gain * ((z > (double)s->middle) - 0.5));
    double speed = fmax(0.06, 1.0 / (s->count + 1.0));
    double part = fmin(2, observed_ms / fmax(1e-6, mean) - 1);
    s->level_ms *= (float)(1 + speed * part);
    double by_weight = weight / (1 + (double)s->slope_weight * weight);
    double by_queue = queue / (1 + (double)s->slope_queue * queue);
    double norm = 1 + by_weight * by_weight + by_queue * by_queue;
    s->slope_weight = (float)fmax(0, (double)s->slope_weight + 0.02 * part * by_weight / norm);
    s->slope_queue = (float)fmax(0, (double)s->slope_queue + 0.02 * part * by_queue / norm);
    s->scale_ms += (float)(speed * (fabs(error) - (double)s->scale_ms));
    s->scale_ms = fmaxf(1e-3f, s->scale_ms);
    s->count++;
}

/* The k-th smallest (0 is the least) by selection; the array is reordered. */
static float select_nth(float *v, uint32_t n, uint32_t k)
{
    uint32_t lo = 0, hi = n - 1;
    while (lo < hi) {
        float pivot = v[(lo + hi) / 2];
        uint32_t i = lo, j = hi;
        while (i <= j) {
            while (v[i] < pivot) {
                i++;
            }
            while (v[j] > pivot) {
                j--;
            }
            if (i <= j) {
                float t = v[i];
                v[i++] = v[j];
                v[j] = t;
                if (j == 0) {
                    break;
                }
                j--;
            }
        }
        if (k <= j) {
            hi = j;
        } else if (k >= i) {
            lo = i;
        } else {
            return v[k];
        }
    }
    return v[k];
}

static double order_statistic(const struct window *s, uint32_t length, double tau)
{
    float last[RIVAL_WINDOW_MAX] = {0};
    uint32_t n = s->count < length ? s->count : length;
    for (uint32_t i = 0; i < n; i++) {
        last[i] = s->values[(s->count - 1 - i) % RIVAL_WINDOW_MAX];
    }
    uint32_t rank = (uint32_t)ceil(tau * (n + 1.0));
    rank = rank < 1 ? 1 : rank > n ? n : rank;
    return (double)select_nth(last, n, rank - 1);
}

struct guess window_guess(const struct window *s, uint32_t length, double tau, double first_ms)
{
    assert(s != NULL);
    assert(length >= 1 && length <= RIVAL_WINDOW_MAX);
    if (s->count == 0) {
        return (struct guess){first_ms, 1.5 * first_ms};
    }
    return (struct guess){order_statistic(s, length, 0.5), order_statistic(s, length, tau)};
}

void window_learn(struct window *s, double observed_ms)
{
    assert(s != NULL);
    s->values[s->count % RIVAL_WINDOW_MAX] = (float)observed_ms;
    s->count++;
    assert(s->count > 0);
}
