/* How early an agent has to be told, so that it is ready at T with the wanted probability (spec
 * 3.1, design 7, arrival.md section 3). One predictor an agent, at its lead; one prior a class at
 * the lead, shared by the agents of that class there, so that a newcomer starts from its
 * neighbours' behaviour: class table -> cluster -> agent.
 *
 * Times are microseconds in, microseconds out. Measurements are bounded on entry: one-way delays
 * are held within 0 .. 1 day (clock error can make them negative), processing times likewise,
 * weights within 0 .. 1000 and queue depths within 0 .. 100,000; NaN counts as 0. All arithmetic is
 * + - * / and num.h: the same inputs give the same bits everywhere. */
#ifndef CORE_PREDICTOR_H
#define CORE_PREDICTOR_H

#include "core/node.h"
#include "core/types.h"
#include <stdbool.h>
#include <stdint.h>

#define PREDICTOR_RING        20u          /* order statistics of the last observations */
#define PREDICTOR_TAIL        64u          /* so many more in a tail */
#define PREDICTOR_TAIL_FROM   0.98         /* shares above it are worth a tail */
#define PREDICTOR_LEAD_MAX_US 4294967295ll /* a lead fits 32 bits (71 minutes); longer: this */

/* 128 bytes: what a prediction reads comes first, in one cache line. */
struct predictor {
    float net_ms; /* one-way delay: mean, mean deviation */
    float net_dev_ms;
    float base_ms;          /* processing time of weight 0 and an empty queue: mean .. */
    float base_dev;         /* .. and relative deviation */
    float floor_ms;         /* least one-way delay, from the round trips before the first operation;
                             * afterwards the network's part of the standard time */
    float standard_base_ms; /* and the base of its processing part */
    float conformal;        /* correction of the slow expert, in its deviations */
    float fast_mean;        /* observed / standard time: mean, deviation (RFC 6298 gains);
                             * PREDICTOR_JACOBSON: of the observed milliseconds */
    float fast_dev;         /* spec kinds: moving |observed - expected| in milliseconds */
    float ring_top;         /* the order statistic for tau */
    float weight[2];        /* of the second and third expert in the mixture */
    float mix_correction;   /* of the mixture, in fast deviations */
    float miss;             /* moving share of predictions that were too short */
    uint8_t ring_count, ring_next;
    uint8_t count;       /* observations, saturates; back to 3 when the behaviour has changed */
    int8_t run;          /* how long one-sided errors have been running */
    uint8_t kind;        /* enum predictor_kind */
    uint8_t agent_class; /* enum impedance_class */
    uint8_t latencies;   /* round trips heard, saturates */

    int64_t last_us; /* of the last observation; 0: none */
    float centre;    /* the median, in deviations from the mean, beside its neighbours' */
    float loss[3];   /* pinball loss of each expert / standard time, moving */
    uint16_t ring[PREDICTOR_RING]; /* ratios of the last observations, coded */
};

/* For shares above PREDICTOR_TAIL_FROM: 128 bytes more, for a longer memory of the last ones. Kept
 * by whoever wants it, zeroed at the start, for one predictor and always with it. */
struct predictor_tail {
    uint16_t ring[PREDICTOR_TAIL];
};

#define PREDICTOR_GRID 8u /* shares of which the neighbours' quantiles are kept */

/* Shared by the agents of one class at one lead. */
struct predictor_prior {
    float weight_slope, queue_slope; /* spec: 0.5 and 0.1; learned */
    float base_spread;               /* how far apart agents are: mean relative deviation */
    float z_tau;                     /* pooled quantile of the normed errors */
    float fast_k, ring_k;            /* deviations added by the two fast experts */
    float shift;                     /* common error of all agents lately, in deviations .. */
    float lean;                      /* .. and of its sign: 1 all above, -1 all below */
    float tau;                       /* the share that it is trained for */
    float miss;                      /* moving share of predictions that were too short */
    uint32_t count;                  /* observations */
    float net_ms, net_dev_ms, base_ms, base_dev;

    float weight_mean, queue_mean; /* of the features: slope and level stay apart */
    float z_grid[PREDICTOR_GRID];  /* pooled quantiles for 0.5, 0.75, 0.9, .. 0.999 */
    float loss[3];                 /* pinball loss of each expert over the slow one's, moving */
    uint32_t mix_count;            /* observations with all three experts */
    enum impedance_class agent_class;
};

struct prediction {
    int64_t network_us;    /* expected one-way delay */
    int64_t processing_us; /* expected processing time, queue included */
    int64_t buffer_us;     /* added so that the wanted share arrives in time; 0 or more */
    int64_t lead_us;       /* the sum: send at T - lead_us */
    uint16_t confidence_permille;
};

/* tau: the wanted share by T, held within 0.5 .. 0.999. CLASS_NONE counts as CLASS_E_LOCAL. */
void predictor_prior_init(struct predictor_prior *prior, enum impedance_class agent_class,
                          double tau);
void predictor_init(struct predictor *p, enum predictor_kind kind,
                    enum impedance_class agent_class);

/* A tau other than the prior's: the buffer is scaled as the neighbours' quantiles are. 0.5 is the
 * median: to aim at T without hold. */
struct prediction predictor_predict(const struct predictor *p, const struct predictor_prior *prior,
                                    double payload_weight, uint32_t queue_depth, double tau);

/* One acknowledged operation. one_way_us: arrival at the agent - sending, both in mesh time;
 * processing_us: from arrival to ready, waiting in the agent's queue included; payload_weight and
 * queue_depth: as they were given to predictor_predict for it. now_us: the lead's clock. */
void predictor_observe(struct predictor *p, struct predictor_prior *prior, double payload_weight,
                       uint32_t queue_depth, int64_t one_way_us, int64_t processing_us,
                       int64_t now_us);
/* The same for a predictor that has a tail; tail NULL: it has none. */
void predictor_observe_tail(struct predictor *p, struct predictor_tail *tail,
                            struct predictor_prior *prior, double payload_weight,
                            uint32_t queue_depth, int64_t one_way_us, int64_t processing_us,
                            int64_t now_us);

/* A round trip from the beats: the only knowledge before the first operation. 0 is ignored. */
void predictor_latency(struct predictor *p, uint32_t rtt_us);

/* Spec 3.1 estimate_processing_time, in microseconds, and calculate_confidence, 0 to 1. */
int64_t predictor_spec_processing_us(enum impedance_class agent_class, double payload_weight,
                                     uint32_t queue_depth);
double predictor_spec_confidence(double reliability, double drift, bool recent);

/* Microseconds that the class takes for weight 0 with an empty queue (spec base_times), and its
 * typical one-way delay (spec 2.2: half the typical latency). */
int64_t predictor_class_base_us(enum impedance_class agent_class);
int64_t predictor_class_one_way_us(enum impedance_class agent_class);
/* One way and a standard payload with an empty queue (spec 3.1). */
int64_t predictor_class_meant_us(enum impedance_class agent_class);

#endif
