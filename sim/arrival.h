/* `mesh-sim arrival`: how well agents arrive together, in virtual time, with the truth known.
 *
 * Part 1 plays a whole synthetic fleet (fleet.h) against core/predictor and core/meshtime, called
 * as a lead calls them, beside the rivals and an oracle that knows each message's distribution.
 * Part 2 (arrival_mesh.c) runs the real agents and leads in sim/world on a smaller fleet. */
#ifndef SIM_ARRIVAL_H
#define SIM_ARRIVAL_H

#include "core/types.h"
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct arrival_conf {
    uint32_t agents; /* 30,000 */
    uint32_t rounds; /* 1,000, one message an agent and round */
    uint32_t join;   /* round in which every tenth agent joins: 300 */
    uint64_t seed;   /* of the first; the next ones follow */
    uint32_t seeds;
    double tau;
    uint32_t mesh_agents; /* of part 2; 0: left out */
};

enum arrival_method {
    ARRIVAL_SPEC_RAW,   /* spec 3.1 as written, raw clocks */
    ARRIVAL_SPEC,       /* the same on mesh time */
    ARRIVAL_SPEC_DRIFT, /* with two moving errors as buffer */
    ARRIVAL_JACOBSON,
    ARRIVAL_EWMA,
    ARRIVAL_LAST_20,
    ARRIVAL_MIX, /* the default of the mesh */
    ARRIVAL_ORACLE,
    ARRIVAL_METHODS
};

/* Which messages a figure is about. Joiners are apart from those of the cold fleet up to their
 * 20th observation; CHANGED_* count messages after the first one of a new behaviour. */
enum arrival_bin {
    BIN_COLD_0,
    BIN_COLD_1, /* observations 1 to 3 */
    BIN_COLD_4, /* 4 to 19 */
    BIN_20,     /* 20 to 99 */
    BIN_100,    /* 100 to 299 */
    BIN_300,    /* 300 and more */
    BIN_JOIN_0,
    BIN_JOIN_1,     /* 1 to 3 */
    BIN_JOIN_4,     /* 4 to 19 */
    BIN_CHANGED_1,  /* 1 to 3 */
    BIN_CHANGED_4,  /* 4 to 10 */
    BIN_CHANGED_11, /* 11 to 30 */
    BIN_COUNT
};

#define ARRIVAL_ERRORS         40001u /* histogram: 0.1 ms a bucket, -2 s to 2 s, ends open */
#define ARRIVAL_CLOCK_ERRORS   20001u /* 0.01 ms a bucket, 0 to 200 ms, end open */
#define ARRIVAL_REROUTE_ROUNDS 16u

struct arrival_score {
    uint64_t count, within;
    uint64_t hit[3], hold[3];         /* +-10, 50, 250 ms: aimed at T; held until T */
    double loss;                      /* pinball, on the messages that the oracle was asked about */
    uint64_t sampled, sampled_hit[3]; /* aimed at T, the same messages */
};

struct arrival_result {
    struct arrival_score bins[BIN_COUNT][ARRIVAL_METHODS];      /* classes A to E */
    struct arrival_score classes[CLASS_COUNT][ARRIVAL_METHODS]; /* from 20 observations on */
    /* From 20 observations on, classes A to E: error against T. */
    uint32_t aimed[ARRIVAL_METHODS][ARRIVAL_ERRORS];
    uint32_t held[ARRIVAL_METHODS][ARRIVAL_ERRORS];
    uint32_t lasting[ARRIVAL_ERRORS]; /* naive: everyone told at once; 1 ms a bucket, from 0 */
    uint32_t clock[ARRIVAL_CLOCK_ERRORS];
    uint32_t floor[ARRIVAL_CLOCK_ERRORS]; /* half the asymmetry of the path: nobody can see it */
    struct {
        uint64_t count, within;
    } reroute[ARRIVAL_REROUTE_ROUNDS][ARRIVAL_METHODS];
    uint64_t messages;
    uint32_t state_bytes;
};

/* One seed; adds to *into. */
void arrival_play(const struct arrival_conf *conf, uint64_t seed, struct arrival_result *into);
void arrival_merge(struct arrival_result *into, const struct arrival_result *from);
const char *arrival_method_name(enum arrival_method m);
const char *arrival_bin_name(enum arrival_bin b);

/* Figures of a result. The sums are over BIN_20 .. BIN_300 where no bin is named; ratios are to the
 * oracle on the same messages. */
struct arrival_score arrival_steady(const struct arrival_result *r, enum arrival_method m);
double arrival_loss_ratio(const struct arrival_result *r, enum arrival_bin from,
                          enum arrival_bin to, enum arrival_method m);
double arrival_class_ratio(const struct arrival_result *r, enum impedance_class c,
                           enum arrival_method m);
/* Milliseconds from the 5th to the 95th percentile of the errors. */
double arrival_spread(const uint32_t errors[ARRIVAL_ERRORS]);
/* Of r->clock or r->floor: the error that this share stays below. */
double arrival_clock_ms(const uint32_t errors[ARRIVAL_CLOCK_ERRORS], double share);
/* Rounds until the rerouted regions are covered to 90 % again; -1: not within 15. */
int arrival_reroute_rounds(const struct arrival_result *r, enum arrival_method m);

/* Part 2: the real nodes. */
struct arrival_mesh {
    uint32_t agents, operations, targets, sent, skipped;
    uint64_t releases;
    double hit_10, hit_50, hit_250; /* of released effects, true time against T; shares */
    double spread_ms;
    double window_hit; /* the mesh's own figure: arrivals in the window */
    double clock_p50_ms, clock_p90_ms;
};
void arrival_mesh_play(uint32_t agents, uint64_t seed, struct arrival_mesh *ret);

void arrival_print(const struct arrival_conf *conf, const struct arrival_result *r,
                   const struct arrival_mesh *mesh, bool json, FILE *to);
/* Coverage and loss over the oracle's by observations, and the spread with and without hold. */
bool arrival_plot(const struct arrival_result *r, const char *path);

/* The command; argv[0] is its name. */
int sim_arrival_main(int argc, char **argv);

#endif
