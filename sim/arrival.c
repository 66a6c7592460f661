/* The command: options, one thread a seed, and the figures as text or JSON. Shares are 0 to 1,
 * ratios are to the oracle on the same messages, times are milliseconds. */
#include "sim/arrival.h"
#include "sim/options.h"
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_MAX   64u
#define THREADS_MAX 2u /* each takes about 60 MB with 30,000 agents */

static double share(uint64_t part, uint64_t of)
{
    return of > 0 ? (double)part / (double)of : NAN;
}

/* ---- JSON; null where there is no number ---- */

static void number(FILE *to, const char *key, double v, int digits)
{
    fprintf(to, isfinite(v) ? "\"%s\":%.*f" : "\"%s\":null", key, digits, v);
}

static void numbers(FILE *to, const char *before, const char *key, double v)
{
    fputs(before, to);
    number(to, key, v, 4);
}

static void json_predictor(const struct arrival_result *r, enum arrival_method m, FILE *to)
{
    struct arrival_score s = arrival_steady(r, m);
    bool oracle = m == ARRIVAL_ORACLE;
    fprintf(to, "\"%s\":{", arrival_method_name(m));
    numbers(to, "", "pinball_over_oracle", arrival_loss_ratio(r, BIN_20, BIN_300, m));
    numbers(to, ",", "coverage", share(s.within, s.count));
    numbers(to, ",", "joiner", arrival_loss_ratio(r, BIN_JOIN_0, BIN_JOIN_0, m));
    numbers(to, ",", "after_change", arrival_loss_ratio(r, BIN_CHANGED_4, BIN_CHANGED_4, m));
    fprintf(to, ",\"reroute_rounds\":%d", oracle ? 0 : arrival_reroute_rounds(r, m));
    numbers(to, ",", "hit_10", share(oracle ? s.sampled_hit[0] : s.hit[0], s.count));
    numbers(to, ",", "hit_50", share(oracle ? s.sampled_hit[1] : s.hit[1], s.count));
    numbers(to, ",", "hit_250", share(oracle ? s.sampled_hit[2] : s.hit[2], s.count));
    numbers(to, ",", "spread_ms", arrival_spread(r->aimed[m]));
    fputs(",\"hold\":{", to);
    numbers(to, "", "hit_10", share(s.hold[0], s.count));
    numbers(to, ",", "hit_50", share(s.hold[1], s.count));
    numbers(to, ",", "hit_250", share(s.hold[2], s.count));
    numbers(to, ",", "spread_ms", arrival_spread(r->held[m]));
    fputs("},\"pinball_by_observations\":{", to);
    for (int b = 0; b < BIN_COUNT; b++) {
        numbers(to, b > 0 ? "," : "", arrival_bin_name((enum arrival_bin)b),
                arrival_loss_ratio(r, (enum arrival_bin)b, (enum arrival_bin)b, m));
    }
    fputs("}}", to);
}

static void json_by(const struct arrival_result *r, FILE *to)
{
    fputs(",\"coverage_by_class\":{", to);
    for (int c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
        const struct arrival_score *s = &r->classes[c][ARRIVAL_MIX];
        numbers(to, c > CLASS_A_EDGE ? "," : "", class_name((enum impedance_class)c),
                share(s->within, s->count));
    }
    fputs("},\"pinball_by_class\":{", to);
    for (int c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
        numbers(to, c > CLASS_A_EDGE ? "," : "", class_name((enum impedance_class)c),
                arrival_class_ratio(r, (enum impedance_class)c, ARRIVAL_MIX));
    }
    fputs("},\"hold_10_by_class\":{", to);
    for (int c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
        const struct arrival_score *s = &r->classes[c][ARRIVAL_MIX];
        numbers(to, c > CLASS_A_EDGE ? "," : "", class_name((enum impedance_class)c),
                share(s->hold[0], s->count));
    }
    fputs("},\"coverage_by_observations\":{", to);
    for (int b = 0; b < BIN_COUNT; b++) {
        const struct arrival_score *s = &r->bins[b][ARRIVAL_MIX];
        numbers(to, b > 0 ? "," : "", arrival_bin_name((enum arrival_bin)b),
                share(s->within, s->count));
    }
    fputs("},\"reroute_coverage\":[", to);
    for (uint32_t k = 0; k < ARRIVAL_REROUTE_ROUNDS; k++) {
        double v = share(r->reroute[k][ARRIVAL_MIX].within, r->reroute[k][ARRIVAL_MIX].count);
        fprintf(to, isfinite(v) ? "%s%.4f" : "%snull", k > 0 ? "," : "", v);
    }
    fputc(']', to);
}

static void json_mesh(const struct arrival_mesh *m, FILE *to)
{
    fprintf(to,
            ",\"mesh\":{\"agents\":%u,\"operations\":%u,\"targets\":%u,\"sent\":%u,"
            "\"skipped\":%u,\"releases\":%llu,\"hold\":{",
            m->agents, m->operations, m->targets, m->sent, m->skipped,
            (unsigned long long)m->releases);
    numbers(to, "", "hit_10", m->hit_10);
    numbers(to, ",", "hit_50", m->hit_50);
    numbers(to, ",", "hit_250", m->hit_250);
    numbers(to, ",", "spread_ms", m->spread_ms);
    fputs("},\"clock\":{", to);
    numbers(to, "", "p50_ms", m->clock_p50_ms);
    numbers(to, ",", "p90_ms", m->clock_p90_ms);
    fputc('}', to);
    numbers(to, ",", "window_hit", m->window_hit);
    fputc('}', to);
}

static void print_json(const struct arrival_conf *conf, const struct arrival_result *r,
                       const struct arrival_mesh *mesh, FILE *to)
{
    struct arrival_score s = arrival_steady(r, ARRIVAL_MIX);
    struct arrival_score o = arrival_steady(r, ARRIVAL_ORACLE);
    fprintf(to,
            "{\"agents\":%u,\"rounds\":%u,\"seed\":%llu,\"seeds\":%u,\"tau\":%g,"
            "\"messages\":%llu,\"bytes_per_agent\":%u,",
            conf->agents, conf->rounds, (unsigned long long)conf->seed, conf->seeds, conf->tau,
            (unsigned long long)r->messages, r->state_bytes);
    numbers(to, "", "pinball_over_oracle", arrival_loss_ratio(r, BIN_20, BIN_300, ARRIVAL_MIX));
    numbers(to, ",", "coverage", share(s.within, s.count));
    numbers(to, ",", "cold", arrival_loss_ratio(r, BIN_COLD_0, BIN_COLD_0, ARRIVAL_MIX));
    numbers(to, ",", "joiner", arrival_loss_ratio(r, BIN_JOIN_0, BIN_JOIN_0, ARRIVAL_MIX));
    numbers(to, ",", "after_change",
            arrival_loss_ratio(r, BIN_CHANGED_4, BIN_CHANGED_4, ARRIVAL_MIX));
    fprintf(to, ",\"reroute_rounds\":%d", arrival_reroute_rounds(r, ARRIVAL_MIX));
    double own = share(s.sampled_hit[1], s.sampled), best = share(o.sampled_hit[1], o.sampled);
    numbers(to, ",", "hit50_over_oracle", own / best);
    numbers(to, ",", "hit50_oracle", best);
    fputs(",\"hold\":{", to);
    numbers(to, "", "hit_10", share(s.hold[0], s.count));
    numbers(to, ",", "hit_50", share(s.hold[1], s.count));
    numbers(to, ",", "hit_250", share(s.hold[2], s.count));
    numbers(to, ",", "spread_ms", arrival_spread(r->held[ARRIVAL_MIX]));
    numbers(to, ",", "spread_over_clock_p90",
            arrival_spread(r->held[ARRIVAL_MIX]) / arrival_clock_ms(r->clock, 0.9));
    fputs("},\"aimed\":{", to);
    numbers(to, "", "hit_10", share(s.hit[0], s.count));
    numbers(to, ",", "hit_50", share(s.hit[1], s.count));
    numbers(to, ",", "hit_250", share(s.hit[2], s.count));
    numbers(to, ",", "spread_ms", arrival_spread(r->aimed[ARRIVAL_MIX]));
    fputs("},\"clock\":{", to);
    numbers(to, "", "p50_ms", arrival_clock_ms(r->clock, 0.5));
    numbers(to, ",", "p90_ms", arrival_clock_ms(r->clock, 0.9));
    numbers(to, ",", "p99_ms", arrival_clock_ms(r->clock, 0.99));
    numbers(to, ",", "floor_p50_ms", arrival_clock_ms(r->floor, 0.5));
    numbers(to, ",", "floor_p90_ms", arrival_clock_ms(r->floor, 0.9));
    fputc('}', to);
    numbers(to, ",", "naive_spread_ms", 10 * arrival_spread(r->lasting));
    json_by(r, to);
    fputs(",\"predictors\":{", to);
    for (int m = 0; m < ARRIVAL_METHODS; m++) {
        fputs(m > 0 ? "," : "", to);
        json_predictor(r, (enum arrival_method)m, to);
    }
    fputc('}', to);
    if (mesh != NULL) {
        json_mesh(mesh, to);
    }
    fputs("}\n", to);
}

/* ---- text ---- */

static void print_methods(const struct arrival_result *r, FILE *to)
{
    fputs("\npinball loss over the oracle's, same messages\n"
          "method           steady  cover%  cold 0   1-3  4-19  join 0   1-3  4-19  changed 1-3  "
          "4-10 11-30\n",
          to);
    static const enum arrival_bin bins[] = {BIN_COLD_0,    BIN_COLD_1,    BIN_COLD_4,
                                            BIN_JOIN_0,    BIN_JOIN_1,    BIN_JOIN_4,
                                            BIN_CHANGED_1, BIN_CHANGED_4, BIN_CHANGED_11};
    for (int n = 0; n < ARRIVAL_METHODS; n++) {
        enum arrival_method m = (enum arrival_method)n;
        struct arrival_score s = arrival_steady(r, m);
        fprintf(to, "%-16s %6.3f  %6.2f  ", arrival_method_name(m),
                arrival_loss_ratio(r, BIN_20, BIN_300, m), 100 * share(s.within, s.count));
        for (unsigned b = 0; b < sizeof(bins) / sizeof(bins[0]); b++) {
            fprintf(to, " %6.3f", arrival_loss_ratio(r, bins[b], bins[b], m));
        }
        fputc('\n', to);
    }
    fputs("\nwithin +-10, 50, 250 ms of T, and p5 to p95   aimed at T             held until T\n",
          to);
    for (int n = 0; n < ARRIVAL_METHODS; n++) {
        struct arrival_score s = arrival_steady(r, (enum arrival_method)n);
        const uint64_t *hit = n == ARRIVAL_ORACLE ? s.sampled_hit : s.hit;
        fprintf(to, "%-40s %5.1f %5.1f %5.1f %8.1f  %5.1f %5.1f %5.1f %8.1f\n",
                arrival_method_name((enum arrival_method)n), 100 * share(hit[0], s.count),
                100 * share(hit[1], s.count), 100 * share(hit[2], s.count),
                arrival_spread(r->aimed[n]), 100 * share(s.hold[0], s.count),
                100 * share(s.hold[1], s.count), 100 * share(s.hold[2], s.count),
                arrival_spread(r->held[n]));
    }
}

static void print_text(const struct arrival_conf *conf, const struct arrival_result *r,
                       const struct arrival_mesh *mesh, FILE *to)
{
    struct arrival_score s = arrival_steady(r, ARRIVAL_MIX);
    struct arrival_score o = arrival_steady(r, ARRIVAL_ORACLE);
    fprintf(to, "%u agents, %u rounds, %u seeds, %llu messages, wanted share %g\n", conf->agents,
            conf->rounds, conf->seeds, (unsigned long long)r->messages, conf->tau);
    print_methods(r, to);
    fprintf(to, "naive, all told at once: p5 to p95 %.0f ms\n", 10 * arrival_spread(r->lasting));
    fprintf(to,
            "\nhit +-50 ms without hold over the oracle's: %.4f; clock error p50 %.2f p90 %.2f "
            "p99 %.2f ms; the paths' asymmetry alone p50 %.2f p90 %.2f\n",
            share(s.sampled_hit[1], s.sampled) / share(o.sampled_hit[1], o.sampled),
            arrival_clock_ms(r->clock, 0.5), arrival_clock_ms(r->clock, 0.9),
            arrival_clock_ms(r->clock, 0.99), arrival_clock_ms(r->floor, 0.5),
            arrival_clock_ms(r->floor, 0.9));
    fputs("class             cover%  x oracle  hold +-10 %\n", to);
    for (int c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
        const struct arrival_score *k = &r->classes[c][ARRIVAL_MIX];
        fprintf(to, "%-18s %5.2f  %8.3f  %10.1f\n", class_name((enum impedance_class)c),
                100 * share(k->within, k->count),
                arrival_class_ratio(r, (enum impedance_class)c, ARRIVAL_MIX),
                100 * share(k->hold[0], k->count));
    }
    fprintf(to,
            "shared reroute of 5 %% of the regions: back to 90 %% after %d rounds; coverage by "
            "round",
            arrival_reroute_rounds(r, ARRIVAL_MIX));
    for (uint32_t k = 0; k < 6; k++) {
        fprintf(to, " %.1f",
                100 * share(r->reroute[k][ARRIVAL_MIX].within, r->reroute[k][ARRIVAL_MIX].count));
    }
    fputc('\n', to);
    if (mesh != NULL) {
        fprintf(to,
                "\nreal nodes in virtual time: %u agents, %u operations, %u targets, %u skipped, "
                "%llu released\n  held: +-10 ms %.2f %%, +-250 ms %.2f %%, p5 to p95 %.2f ms; "
                "clock error p50 %.2f p90 %.2f ms; window %.2f %%\n",
                mesh->agents, mesh->operations, mesh->targets, mesh->skipped,
                (unsigned long long)mesh->releases, 100 * mesh->hit_10, 100 * mesh->hit_250,
                mesh->spread_ms, mesh->clock_p50_ms, mesh->clock_p90_ms, 100 * mesh->window_hit);
    }
}

void arrival_print(const struct arrival_conf *conf, const struct arrival_result *r,
                   const struct arrival_mesh *mesh, bool json, FILE *to)
{
    assert(conf != NULL && r != NULL);
    assert(to != NULL);
    if (json) {
        print_json(conf, r, mesh, to);
    } else {
        print_text(conf, r, mesh, to);
    }
}

/* ---- the seeds ---- */

struct job {
    const struct arrival_conf *conf;
    uint64_t seed;
    struct arrival_result *result;
    pthread_t thread;
};

static void *play_seed(void *context)
{
    struct job *j = context;
    arrival_play(j->conf, j->seed, j->result);
    return NULL;
}

/* Two seeds at a time; added in the order of the seeds, so that sums do not depend on threads. */
static void play_seeds(const struct arrival_conf *conf, struct arrival_result *ret)
{
    struct job jobs[THREADS_MAX];
    for (uint32_t s = 0; s < conf->seeds; s += THREADS_MAX) {
        uint32_t n = conf->seeds - s < THREADS_MAX ? conf->seeds - s : THREADS_MAX;
        for (uint32_t i = 0; i < n; i++) {
            jobs[i] = (struct job){.conf = conf,
                                   .seed = conf->seed + s + i,
                                   .result = calloc(1, sizeof(struct arrival_result))};
            if (jobs[i].result == NULL ||
                pthread_create(&jobs[i].thread, NULL, play_seed, &jobs[i]) != 0) {
                fputs("mesh-sim arrival: out of memory or threads\n", stderr);
                abort();
            }
        }
        for (uint32_t i = 0; i < n; i++) {
            pthread_join(jobs[i].thread, NULL);
            arrival_merge(ret, jobs[i].result);
            free(jobs[i].result);
        }
    }
}

/* ---- options ---- */

static int usage(FILE *to, int code)
{
    fputs("usage: mesh-sim arrival [--seeds N] [--seed N] [--agents N] [--rounds N] [--tau SHARE]\n"
          "                        [--mesh-agents N] [--json] [--plot FILE.svg]\n"
          "  part 1: N agents (30000) for N rounds (1000) against the predictors, N seeds (3)\n"
          "  part 2: the real nodes with N agents (3000; 0: left out)\n",
          to);
    return code;
}

static bool whole(const char *name, const char *text, long long least, long long most,
                  long long *ret)
{
    char *end = NULL;
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || v < least || v > most) {
        fprintf(stderr, "mesh-sim arrival: %s %s: not a whole number from %lld to %lld\n", name,
                text, least, most);
        return false;
    }
    *ret = v;
    return true;
}

static bool option(const char *name, const char *value, struct arrival_conf *conf,
                   const char **ret_plot)
{
    long long v = 0;
    if (strcmp(name, "--seeds") == 0 && whole(name, value, 1, SEEDS_MAX, &v)) {
        conf->seeds = (uint32_t)v;
    } else if (strcmp(name, "--seed") == 0 && whole(name, value, 0, INT64_MAX / 2, &v)) {
        conf->seed = (uint64_t)v;
    } else if (strcmp(name, "--agents") == 0 && whole(name, value, 30, 1000000, &v)) {
        conf->agents = (uint32_t)v;
    } else if (strcmp(name, "--rounds") == 0 && whole(name, value, 10, 100000, &v)) {
        conf->rounds = (uint32_t)v;
    } else if (strcmp(name, "--mesh-agents") == 0 && whole(name, value, 0, 100000, &v)) {
        conf->mesh_agents = (uint32_t)v;
    } else if (strcmp(name, "--plot") == 0) {
        *ret_plot = value;
    } else if (strcmp(name, "--tau") == 0) {
        char *end = NULL;
        conf->tau = strtod(value, &end);
        if (end == value || *end != '\0' || !(conf->tau >= 0.5 && conf->tau <= 0.999)) {
            fprintf(stderr, "mesh-sim arrival: --tau %s: not between 0.5 and 0.999\n", value);
            return false;
        }
    } else {
        return false;
    }
    return true;
}

/* Whether option() has said why not: it knows this one, and its value is wrong. */
static bool known(const char *name)
{
    static const char *const names[] = {"--seeds",  "--seed",        "--agents",
                                        "--rounds", "--mesh-agents", "--tau"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(name, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

int sim_arrival_main(int argc, char **argv)
{
    struct arrival_conf conf = {
        .agents = 30000, .rounds = 1000, .seed = 1, .seeds = 3, .tau = 0.95, .mesh_agents = 3000};
    const char *plot = NULL;
    bool json = false;
    if (argc == 2 && strcmp(argv[1], "--help") == 0) {
        return usage(stdout, 0);
    }
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (i + 1 < argc && option(argv[i], argv[i + 1], &conf, &plot)) {
            i++;
        } else {
            if (i + 1 == argc || !known(argv[i])) {
                fprintf(stderr, "mesh-sim arrival: %s: not an option, or its value is missing\n",
                        argv[i]);
            }
            return usage(stderr, 2);
        }
    }
    if (!sim_output_open("mesh-sim arrival", plot)) {
        return 2;
    }
    conf.join = conf.rounds * 3 / 10;
    struct arrival_result *r = calloc(1, sizeof(*r));
    if (r == NULL) {
        fputs("mesh-sim arrival: out of memory\n", stderr);
        return 1;
    }
    play_seeds(&conf, r);
    struct arrival_mesh mesh;
    if (conf.mesh_agents > 0) {
        arrival_mesh_play(conf.mesh_agents, conf.seed, &mesh);
    }
    arrival_print(&conf, r, conf.mesh_agents > 0 ? &mesh : NULL, json, stdout);
    bool good = plot == NULL || arrival_plot(r, plot);
    if (!good) {
        fprintf(stderr, "mesh-sim arrival: %s: cannot write: %s\n", plot, strerror(errno));
    }
    free(r);
    return good ? 0 : 2;
}
