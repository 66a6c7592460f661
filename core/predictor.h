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
#define PREDICTOR_LEAD_MAX_US 4294967295ll /* a lead fits 32 bits (71 minutes); longer: this */

struct predictor {
    int64_t last_us; /* of the last observation; 0: none */
    float net_ms;    /* one-way delay: mean, mean deviation */
    float net_dev_ms;
    float base_ms;   /* processing time of weight 0 and an empty queue: mean .. */
    float base_dev;  /* .. and relative deviation */
    float floor_ms;  /* least one-way delay, from the round trips before the first observation */
    float conformal; /* correction of the slow expert, in its deviations */
    float fast_mean; /* observed / standard time: mean, deviation (RFC 6298 gains);
                      * PREDICTOR_JACOBSON: of the observed milliseconds */
    float fast_dev;
    float loss[3];                 /* pinball loss of each expert, moving */
    float loss_scale;              /* what a usual loss is: greater ones are cut to 8 times this */
    float mix_correction;          /* of the mixture, in fast deviations */
    float miss;                    /* moving share of predictions that were too short */
    float error_ms;                /* moving |observed - expected|: the spec kinds */
    uint16_t ring[PREDICTOR_RING]; /* log2 ratios of the last observations, coded */
    uint8_t ring_count, ring_next;
    uint8_t count;       /* observations, saturates; back to 3 when the behaviour has changed */
    int8_t run;          /* how long one-sided errors have been running */
    uint8_t kind;        /* enum predictor_kind */
    uint8_t agent_class; /* enum impedance_class */
    uint8_t latencies;   /* round trips heard, saturates */
};

/* Shared by the agents of one class at one lead. */
struct predictor_prior {
    float net_ms, net_dev_ms, base_ms, base_dev;
    float weight_slope, queue_slope; /* spec: 0.5 and 0.1; learned */
    float weight_mean, queue_mean;   /* of the features: slope and level stay apart */
    float z_tau;                     /* pooled quantile of the normed errors */
    float fast_k, ring_k;            /* deviations added by the two fast experts */
    float shift;                     /* common error of all agents, in deviations */
    float tau;                       /* the share that it is trained for */
    float miss;                      /* moving share of predictions that were too short */
    uint32_t count;                  /* observations */
    uint32_t mix_count;              /* of them with all three experts */
    enum impedance_class agent_class;
};

struct prediction {
    int64_t network_us;    /* expected one-way delay */
    int64_t processing_us; /* expected processing time, queue included */
    int64_t buffer_us;     /* added so that the wanted share arrives in time; 0 or more */
    int64_t lead_us;       /* the sum: send at T - lead_us */
    uint16_t confidence_permille;
};

/* tau: the wanted share by T, held within 0.6 .. 0.999. CLASS_NONE counts as CLASS_E_LOCAL. */
void predictor_prior_init(struct predictor_prior *prior, enum impedance_class agent_class,
                          double tau);
void predictor_init(struct predictor *p, enum predictor_kind kind,
                    enum impedance_class agent_class);

/* tau other than the prior's is scaled from it by the normal distribution. */
struct prediction predictor_predict(const struct predictor *p, const struct predictor_prior *prior,
                                    double payload_weight, uint32_t queue_depth, double tau);

/* One acknowledged operation. one_way_us: arrival at the agent - sending, both in mesh time;
 * processing_us: from arrival to ready, waiting in the agent's queue included; payload_weight and
 * queue_depth: as they were given to predictor_predict for it. now_us: the lead's clock. */
void predictor_observe(struct predictor *p, struct predictor_prior *prior, double payload_weight,
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

#endif
