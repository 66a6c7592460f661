/* The methods that the predictor is compared with, on equal terms: each gets the same observation
 * and answers with a centre and a lead for the share tau. The spec's formula and Jacobson are
 * settings of core/predictor itself and are taken from there where the mesh could use them. All
 * values in milliseconds. */
#ifndef SIM_RIVALS_H
#define SIM_RIVALS_H

#include <stdint.h>

#define RIVAL_WINDOW_MAX 100u

struct guess {
    double centre_ms, lead_ms;
};

/* Pinball loss of a lead for the share tau. */
double rival_pinball(double tau, double observed_ms, double lead_ms);

/* A fixed base time by the spec's formula, plus twice the moving error. */
struct fixed_base {
    float drift_ms;
    uint32_t count;
};
struct guess fixed_base_guess(const struct fixed_base *s, double formula_ms);
void fixed_base_learn(struct fixed_base *s, double formula_ms, double observed_ms);

/* RFC 6298: mean 1/8, deviation 1/4, k deviations on top. */
struct jacobson {
    float mean_ms, dev_ms;
    uint32_t count;
};
struct guess jacobson_guess(const struct jacobson *s, double first_ms, double k);
void jacobson_learn(struct jacobson *s, double observed_ms);

/* Moving mean with learned slopes, and a quantile of the normed error that follows its own misses
 * (adaptive conformal inference), one agent alone. */
struct ewma {
    float level_ms, slope_weight, slope_queue, scale_ms, upper, middle;
    uint32_t count;
};
struct guess ewma_guess(const struct ewma *s, double formula_ms, double weight, double queue);
void ewma_learn(struct ewma *s, double tau, double weight, double queue, double observed_ms);

/* Exact order statistics of the last `length` observations. */
struct window {
    float values[RIVAL_WINDOW_MAX];
    uint32_t count;
};
struct guess window_guess(const struct window *s, uint32_t length, double tau, double first_ms);
void window_learn(struct window *s, double observed_ms);

#endif
