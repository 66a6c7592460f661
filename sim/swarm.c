/* The swarm. Workers are processes: each takes the next seed, and a crash ends only its worker; the
 * parent notes it and starts another. All that is counted lies in one shared block. */
#include "sim/swarm.h"

#include "sim/draw.h"
#include "sim/options.h"
#include <assert.h>
#include <commit.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SHRINKS_MAX      3u
#define SHRINK_TRIALS    400u
#define FAILURES_KEPT    64u
#define SEED_SECONDS     120 /* of processor time: one that takes longer hangs */
#define PROGRESS_SECONDS 2.0

#define N(x) ((unsigned long long)(x)) /* for %llu */

struct failure {
    uint64_t seed;
    bool crashed;
    struct violation violation;
};

/* Shared by the parent and its worker. */
struct board {
    uint64_t seed; /* under way */
    uint64_t done, failures, crashes, safety, liveness;
    uint64_t events, digest;
    int64_t virtual_us, service_us_max, answer_us_max;
    struct coverage coverage;
    struct failure kept[FAILURES_KEPT];
};

struct swarm {
    uint64_t first, last;
    bool json, quiet, no_shrink, trace, first_only;
    const char *out, *coverage;
    struct board *board;
    double started, told;
};

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* --- options --- */

static int usage(FILE *to)
{
    fputs("usage: mesh-sim run --size deep [--seed N | --seed FIRST..LAST] [--json] [--quiet]\n"
          "                    [--out DIR] [--no-shrink] [--coverage FILE] [--trace] [--first]\n"
          "  --first: stop at the first failure; --plant NAME|list: with -DMESH_PLANT=ON\n"
          "exit: 0 good, 127 crash, 129 safety, 128 liveness, 2 usage\n",
          to);
    return 2;
}

static bool seed_number(const char *text, size_t bytes, uint64_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] < '0' || text[i] > '9' || *ret > 900000000000000ull) {
            return false;
        }
        *ret = *ret * 10 + (uint64_t)(text[i] - '0');
    }
    return bytes > 0;
}

static bool seeds(struct swarm *w, const char *text)
{
    const char *dots = strstr(text, "..");
    bool good = dots == NULL ? seed_number(text, strlen(text), &w->first)
                             : seed_number(text, (size_t)(dots - text), &w->first) &&
                                   seed_number(dots + 2, strlen(dots + 2), &w->last);
    w->last = dots == NULL ? w->first : w->last;
    good = good && w->first <= w->last;
    if (!good) {
        fprintf(
            stderr,
            "mesh-sim run --size deep: --seed %s: a number, or FIRST..LAST with FIRST not above "
            "LAST, is wanted\n",
            text);
    }
    return good;
}

static bool options(int argc, char **argv, struct swarm *w)
{
    for (int i = 0; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool *flag = strcmp(argv[i], "--json") == 0        ? &w->json
                     : strcmp(argv[i], "--quiet") == 0     ? &w->quiet
                     : strcmp(argv[i], "--no-shrink") == 0 ? &w->no_shrink
                     : strcmp(argv[i], "--trace") == 0     ? &w->trace
                     : strcmp(argv[i], "--first") == 0     ? &w->first_only
                                                           : NULL;
        if (flag != NULL) {
            *flag = true;
            continue;
        }
        bool good = value != NULL;
        if (good && strcmp(argv[i], "--seed") == 0) {
            if (!seeds(w, value)) {
                return false;
            }
        } else if (good && strcmp(argv[i], "--size") == 0) {
            good = strcmp(value, "deep") == 0;
        } else if (good && strcmp(argv[i], "--out") == 0) {
            w->out = value;
        } else if (good && strcmp(argv[i], "--plant") == 0) {
            if (!sim_plant("mesh-sim run --size deep", value)) {
                return false;
            }
        } else if (good && strcmp(argv[i], "--coverage") == 0) {
            w->coverage = value;
        } else {
            good = false;
        }
        if (!good) {
            fprintf(stderr,
                    "mesh-sim run --size deep: %s: not an option, or %s is no value for it\n",
                    argv[i], value == NULL ? "nothing" : value);
            return false;
        }
        i++;
    }
    if (w->trace && w->first != w->last) {
        fputs("mesh-sim run --size deep: --trace: of one seed only\n", stderr);
        return false;
    }
    return true;
}

/* --- one seed --- */

static void keep(struct board *b, uint64_t seed, bool crashed, const struct violation *v)
{
    if (b->failures < FAILURES_KEPT) {
        struct failure *f = &b->kept[b->failures];
        *f = (struct failure){.seed = seed, .crashed = crashed};
        f->violation = crashed ? (struct violation){0} : *v;
    }
    b->failures++;
    b->crashes += crashed;
    b->safety += !crashed && v->verdict == VERDICT_SAFETY;
    b->liveness += !crashed && v->verdict == VERDICT_LIVENESS;
}

static void print_failure(const struct failure *f)
{
    char name[UNIT_TEXT_MAX] = "";
    if (f->crashed) {
        printf("seed %llu: CRASH (or it took longer than %d s of a core)\n", N(f->seed),
               SEED_SECONDS);
    } else {
        const struct violation *v = &f->violation;
        unit_format(v->unit, name);
        printf("seed %llu: %s: %s: at %.6f s%s%s: %s\n", N(f->seed),
               v->verdict == VERDICT_SAFETY ? "SAFETY" : "LIVENESS", v->check,
               (double)v->at_us / 1e6, v->unit.tier != TIER_NONE ? " " : "",
               v->unit.tier != TIER_NONE ? name : "", v->text);
    }
    printf("reproduce: mesh-sim run --size deep --seed %llu%s%s   (commit %s)\n", N(f->seed),
           sim_planted()[0] != '\0' ? " --plant " : "", sim_planted(), MESH_COMMIT);
}

static void run_seed(struct swarm *w, uint64_t seed)
{
    static struct scenario s;
    struct board *b = w->board;
    struct play_result r;
    struct trace trace = {.to = stdout, .notes_debug = true, .times = true};
    struct play_options o = {.coverage = &b->coverage, .trace = w->trace ? &trace : NULL};
    draw_deep(seed, &s);
    if (!w->quiet) {
        printf("seed %llu (commit %s): ", N(seed), MESH_COMMIT);
        draw_print(&s, stdout);
        putchar('\n');
        fflush(stdout); /* before anything can crash */
    }
    bool good = play(&s, &o, &r);
    b->events += r.events;
    b->virtual_us += r.virtual_us;
    b->digest = (b->digest ^ r.digest) * 0x100000001b3ull;
    if (good) {
        b->service_us_max = r.service_us > b->service_us_max ? r.service_us : b->service_us_max;
        b->answer_us_max = r.answer_us > b->answer_us_max ? r.answer_us : b->answer_us_max;
    } else {
        keep(b, seed, false, &r.violation);
        print_failure(&b->kept[(b->failures - 1) % FAILURES_KEPT]);
    }
    if (!w->quiet && good) {
        printf("  good: %llu events, %u operations, %u answered, %u refused; in service %.1f s, "
               "answering %.1f s after the heal; digest %016llx\n",
               N(r.events), r.submitted, r.answered, r.refused, (double)r.service_us / 1e6,
               (double)r.answer_us / 1e6, N(r.digest));
    }
    b->done++;
}

static void progress(struct swarm *w, bool last)
{
    const struct board *b = w->board;
    double now = seconds(), took = now - w->started;
    if (!last && now - w->told < PROGRESS_SECONDS) {
        return;
    }
    w->told = now;
    fprintf(stderr,
            "%sseeds %llu/%llu, %.0f virtual hours per hour, %.2f M events/s, failures %llu%s",
            isatty(2) ? "\r" : "", N(b->done), N(w->last - w->first + 1),
            took > 0 ? (double)b->virtual_us / 1e6 / took : 0,
            took > 0 ? (double)b->events / took / 1e6 : 0, N(b->failures),
            isatty(2) && !last ? " " : "\n");
}

/* A machine that is busy, or stood still, is no hang. */
static void limit_seed(void)
{
    const struct itimerval limit = {.it_value = {.tv_sec = SEED_SECONDS}};
    (void)setitimer(ITIMER_VIRTUAL, &limit, NULL); /* SIGVTALRM ends the worker */
}

/* Takes seeds until none is left or one kills it. */
static void worker(struct swarm *w)
{
    while (w->board->seed <= w->last) {
        limit_seed();
        run_seed(w, w->board->seed);
        w->board->seed = w->first_only && w->board->failures > 0 ? w->last + 1 : w->board->seed + 1;
        progress(w, false);
    }
    fflush(NULL);
    _exit(0);
}

static void run_all(struct swarm *w)
{
    struct board *b = w->board;
    b->seed = w->first;
    while (b->seed <= w->last) {
        fflush(NULL);
        pid_t child = fork();
        assert(child >= 0);
        if (child == 0) {
            worker(w);
        }
        int status = 0;
        pid_t got = waitpid(child, &status, 0);
        if (got != child || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
            keep(b, b->seed, true, NULL);
            print_failure(&b->kept[(b->failures - 1) % FAILURES_KEPT]);
            b->done++;
            b->seed = w->first_only ? w->last + 1 : b->seed + 1;
        }
    }
}

/* --- after the runs --- */

static void shrink_failures(const struct swarm *w)
{
    static struct scenario s;
    static struct trial t;
    for (uint32_t i = 0; i < w->board->failures && i < SHRINKS_MAX; i++) {
        const struct failure *f = &w->board->kept[i];
        char path[PATH_MAX];
        draw_deep(f->seed, &s);
        trial_run(&s, &t);
        uint32_t trials = shrink(&s, &t, SHRINK_TRIALS);
        snprintf(path, sizeof(path), "%s/seed-%llu.scn", w->out, N(f->seed));
        errno = 0;
        FILE *to = fopen(path, "w");
        if (to == NULL) {
            fprintf(stderr, "mesh-sim: %s: %s\n", path, strerror(errno));
            continue;
        }
        fprintf(to, "# Seed %llu, commit %s: %s%s%s\n", N(f->seed), MESH_COMMIT,
                f->crashed ? "a crash" : f->violation.check, f->crashed ? "" : ": ",
                f->crashed ? "" : f->violation.text);
        scenario_write(&s, to);
        bool good = ferror(to) == 0;
        if (fclose(to) != 0 || !good) {
            fprintf(stderr, "mesh-sim: %s: %s\n", path, strerror(errno));
            continue;
        }
        printf("shrunk in %u trials to %u acts: mesh-sim scenario%s%s %s\n", trials, s.act_count,
               sim_planted()[0] != '\0' ? " --plant " : "", sim_planted(), path);
    }
}

/* Before hours of work are for nothing. */
static bool can_write(const struct swarm *w)
{
    if (!w->no_shrink && access(w->out, W_OK | X_OK) != 0) {
        fprintf(stderr, "mesh-sim run --size deep: %s: %s\n", w->out, strerror(errno));
        return false;
    }
    return sim_output_open("mesh-sim run --size deep", w->coverage);
}

static bool write_coverage(const struct swarm *w)
{
    FILE *to = fopen(w->coverage, "w");
    bool good = to != NULL;
    if (good) {
        coverage_print(&w->board->coverage, to);
        good = ferror(to) == 0;
        good = fclose(to) == 0 && good;
    }
    if (!good) {
        fprintf(stderr, "mesh-sim: %s: %s\n", w->coverage, strerror(errno));
    }
    return good;
}

static void print_totals(const struct swarm *w, double took)
{
    const struct board *b = w->board;
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    if (w->json) {
        printf("{\"size\":\"deep\",\"commit\":\"%s\",\"seeds\":%llu,\"failures\":%llu,"
               "\"crashes\":%llu,\"safety\":%llu,\"liveness\":%llu,\"events\":%llu,"
               "\"events_per_second\":%.0f,\"virtual_hours\":%.2f,\"service_s_max\":%.1f,"
               "\"answer_s_max\":%.1f,\"digest\":\"%016llx\",\"seconds\":%.1f,\"rss_mib\":%ld}\n",
               MESH_COMMIT, N(b->done), N(b->failures), N(b->crashes), N(b->safety), N(b->liveness),
               N(b->events), (double)b->events / took, (double)b->virtual_us / 3.6e9,
               (double)b->service_us_max / 1e6, (double)b->answer_us_max / 1e6, N(b->digest), took,
               usage.ru_maxrss / 1024);
        return;
    }
    printf("%llu seeds, %llu failures (%llu crashes, %llu safety, %llu liveness); %.2f virtual "
           "hours, %.0f events a second; digest %016llx\n",
           N(b->done), N(b->failures), N(b->crashes), N(b->safety), N(b->liveness),
           (double)b->virtual_us / 3.6e9, (double)b->events / took, N(b->digest));
}

int sim_swarm_main(int argc, char **argv)
{
    struct swarm w = {.first = 1, .last = 1, .out = "."};
    if (sim_options_help(argc, argv)) {
        usage(stdout);
        return 0;
    }
    if (!options(argc, argv, &w)) {
        return usage(stderr);
    }
    if (!can_write(&w)) {
        return 2;
    }
    w.board =
        mmap(NULL, sizeof(*w.board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert(w.board != MAP_FAILED);
    w.started = w.told = seconds();
    run_all(&w);
    double took = seconds() - w.started;
    progress(&w, true);
    if (!w.no_shrink) {
        shrink_failures(&w);
    }
    bool written = w.coverage == NULL || write_coverage(&w);
    print_totals(&w, took > 0 ? took : 1e-9);
    const struct board *b = w.board;
    int status = b->crashes > 0    ? EXIT_CRASH
                 : b->safety > 0   ? EXIT_SAFETY
                 : b->liveness > 0 ? EXIT_LIVENESS
                                   : (written ? 0 : 2);
    munmap(w.board, sizeof(*w.board));
    return status;
}
