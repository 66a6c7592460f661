/* The last observed / standard times of one agent, in 16 bits each: 20 in struct predictor, and 64
 * more in a struct predictor_tail where one is kept. Part of core/predictor.c, of use to nobody
 * else. */
#ifndef CORE_PREDICTOR_RING_H
#define CORE_PREDICTOR_RING_H

#include "core/predictor.h"

/* tail NULL: there is none. Ratios are held within 2^-16 .. 65000. */
void ring_push(struct predictor *p, struct predictor_tail *tail, double ratio);
/* The order statistic for tau: the ceil(tau (n + 1))-th smallest, the greatest at most. Not of an
 * empty ring. */
double ring_quantile(const struct predictor *p, const struct predictor_tail *tail, double tau);
double ring_mean(const struct predictor *p, const struct predictor_tail *tail);
/* All times factor: the standard has changed. */
void ring_rescale(struct predictor *p, struct predictor_tail *tail, double factor);

#endif
