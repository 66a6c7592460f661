/* The laws of the simulated agents' world, class by class: how far away they are, how long they
 * work, what their clocks are like. Built in are the class profiles of docs/ARRIVAL.md; a file says
 * otherwise (sim/classes.profile has the built-in figures and explains each).
 *
 * A profile file has lines of words; '#' starts a comment. The first word is a class or `all`, each
 * other one is NAME=NUMBER. What is not named stays as it is built in. */
#ifndef SIM_LAWS_H
#define SIM_LAWS_H

#include "core/types.h"
#include <stdbool.h>
#include <stddef.h>

#define LAWS_LINE_MAX 256u /* bytes of a line; a longer one is refused */

struct class_law {
    double rtt_low_ms, rtt_high_ms; /* hosts lie between them, evenly */
    double misfit;                  /* its processing against the class's base time */
    double sigma;                   /* of the lognormal processing time */
    double loss;                    /* share of frames, one way */
};

struct laws {
    struct class_law of[CLASS_COUNT];
    double asymmetry;       /* one way is (0.5 +- this / 2) of a round trip */
    double jitter;          /* mean of Gamma(2), as a share of the one-way delay */
    double retransmit;      /* share of frames that come 200 ms later and more */
    double speed_sigma;     /* agents of one class among each other, lognormal */
    double weight_slope;    /* processing: 1 + this x payload weight */
    double clock_offset_ms; /* a host's clock: up to this off, either way */
    double clock_drift_ppm;
};

void laws_default(struct laws *ret);

/* Changes what the file names. False: `why` says what is wrong and where, in one line. */
bool laws_read(const char *path, struct laws *laws, char *why, size_t why_bytes);

#endif
