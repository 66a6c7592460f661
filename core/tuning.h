/* Settings that the same config file gives to every process (docs/OPERATIONS.md); their ranges are
 * in tiers/runner/config. Times are in microseconds. */
#ifndef CORE_TUNING_H
#define CORE_TUNING_H

#include <stdbool.h>
#include <stdint.h>

enum predictor_kind {
    PREDICTOR_QUANTILE,   /* the default: online mean, deviation and conformal quantile per agent */
    PREDICTOR_SPEC,       /* spec 3.1 as written, on synchronised clocks */
    PREDICTOR_SPEC_DRIFT, /* spec 3.1 with 2 x drift as buffer */
    PREDICTOR_JACOBSON    /* RFC 6298: mean + 4 deviations */
};

struct tuning {
    int64_t agent_beat_us;    /* 5 s */
    int64_t agent_suspect_us; /* 15 s */
    int64_t agent_failed_us;  /* 30 s */
    int64_t tier_beat_us;     /* 1 s */
    int64_t tier_suspect_us;  /* 3 s */
    int64_t tier_failed_us;   /* 4 s */
    int64_t bucket_us;        /* send buckets, spec 3.2: 10 ms */
    int64_t resend_us;        /* first resend after the predicted answer: 200 ms; half, if held */
    uint32_t resends_max;     /* 3 */
    enum predictor_kind predictor;
    double predictor_tau; /* wanted share arriving by T: 0.95 */
    bool simulation;      /* processes of the role `sim` are accepted (design 5) */
    bool no_log;          /* no log_url: conflicts and commands are not recorded */
    bool second_person;   /* what stops the whole mesh waits for another operator (approve) */
    bool spans;           /* nodes say their spans (span.h) .. */
    double span_share;    /* .. and so many of the operations that nobody decided about count */
};

#endif
