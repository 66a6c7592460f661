/* `mesh-sim replay`: a recorded delay series against the predictor and its rivals, each message
 * predicted before it is learnt from. Format of the trace: CSV with a header line; the columns
 * `series` and `delay_ms` must be there, `seq` (order in time), `payload_weight` and `queue_depth`
 * may be; other columns are ignored, empty fields are what was not recorded. Units are the trace's
 * own: delays and weights are scaled to usual ones before they are given to the predictor. */
#ifndef SIM_REPLAY_H
#define SIM_REPLAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/* One recorded message. */
struct trace_row {
    uint32_t series; /* number by first appearance */
    double seq;
    double weight, queue;
    double delay_ms;
};

struct delay_trace {
    struct trace_row *rows; /* by rising seq, file order within one */
    size_t count;
    size_t missing; /* rows without a delay, left out */
    uint32_t series;
};

enum replay_method {
    REPLAY_MIX, /* core/predictor, the default of the mesh */
    REPLAY_FIXED,
    REPLAY_JACOBSON_4,
    REPLAY_JACOBSON_2,
    REPLAY_EWMA,
    REPLAY_LAST_20,
    REPLAY_LAST_100,
    REPLAY_HINDSIGHT, /* each series' own quantile, known afterwards: a yardstick, no method */
    REPLAY_METHODS
};

struct replay_score {
    double loss_ms;  /* mean pinball loss */
    double coverage; /* share within the lead, 0 to 1 */
    double early_ms; /* mean earliness of those within it */
};

struct replay_result {
    double tau;
    uint32_t series;
    size_t observations, missing;
    size_t scored; /* after the first 20 of each series; all but the first when none is so long */
    struct replay_score methods[REPLAY_METHODS];
    enum replay_method best; /* of the causal methods, by loss */
    double loss_over_best;   /* of REPLAY_MIX; see resolution_ms */
    double resolution_ms; /* losses are compared to within this: 0.0001 of a usual delay, far below
                           * what a clock resolves; decides only where nothing varies */
    double loss_over_hindsight;
    double first_coverage; /* of REPLAY_MIX over the messages before those scored; NAN: none */
    double worst_coverage; /* of REPLAY_MIX: 5th percentile over series with 30 scored or more */
};

#define REPLAY_WHY_MAX  512u
#define REPLAY_ROWS_MAX 50000000u

/* Reads a trace; NULL path is not allowed. False: ret_why says what is wrong, with file and line.
 * Release with replay_free(). */
bool replay_read(const char *path, struct delay_trace *ret, char ret_why[REPLAY_WHY_MAX]);
void replay_free(struct delay_trace *t);

/* tau: 0.5 to 0.999. The trace has at least one row. */
void replay_run(const struct delay_trace *t, double tau, struct replay_result *ret);
const char *replay_method_name(enum replay_method m);
void replay_print(const struct replay_result *r, const char *path, bool json, FILE *to);

/* The command; argv[0] is its name. Exit code 0, 1 (a bad trace) or 2 (usage). */
int sim_replay_main(int argc, char **argv);

#endif
