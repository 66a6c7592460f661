/* Scenario files, one after the other. */
#include "sim/scenario_files.h"
#include "sim/options.h"
#include "sim/plot.h"
#include "sim/swarm.h"
#include <stdlib.h>
#include <string.h>

#define SEED_MOST 9000000000000000ull /* as in a file */

struct options {
    bool json, trace, check, quiet, seeded;
    uint64_t seed;
    const char *plot, *coverage;
};

static int usage(FILE *to, int code)
{
    fputs("usage: mesh-sim scenario FILE.scn... [--seed N] [--trace] [--plot FILE.svg] [--json]\n"
          "                              [--quiet] [--coverage FILE]\n"
          "       mesh-sim scenario --check FILE.scn...    read them only\n"
          "  --quiet: no line for each operation; --plant NAME|list: with -DMESH_PLANT=ON\n"
          "exit: 0 met, 1 not met, 129 safety, 128 liveness, 2 usage; a crash ends it by its "
          "signal\n",
          to);
    return code;
}

static const char *kind_text(const struct expectation *e, char *ret, size_t size)
{
    static const char *const signs[] = {">=", "<=", "="};
    char unit[UNIT_TEXT_MAX] = "";
    const char *percent = e->percent ? "%" : "";
    if (e->kind == EXPECT_NOTE) {
        unit_format(e->unit, unit);
        snprintf(ret, size, "note %s%s%s %s %g", note_info(e->note)->name,
                 e->unit.tier != TIER_NONE ? " at " : "", e->unit.tier != TIER_NONE ? unit : "",
                 signs[e->compare], e->value);
    } else if (e->kind == EXPECT_OUTCOME) {
        snprintf(ret, size, "operation %s %s %s %g%s", e->label, outcome_name(e->outcome),
                 signs[e->compare], e->value, percent);
    } else if (e->kind == EXPECT_AVAILABILITY) {
        snprintf(ret, size, "availability %s %g%%", signs[e->compare], e->value);
    } else if (e->kind == EXPECT_STATUS) {
        snprintf(ret, size, "operation %s status %s", e->label, e->word);
    } else if (e->kind == EXPECT_MODE) {
        snprintf(ret, size, "mode %s at %g s", mode_name(e->mode), (double)e->at_us / 1e6);
    } else {
        snprintf(ret, size, "%s %s %g%s at %g s", e->kind == EXPECT_ACTIVE ? "active" : "sectors",
                 signs[e->compare], e->value, percent, (double)e->at_us / 1e6);
    }
    return ret;
}

static void print_expectations(const struct scenario *s)
{
    char text[160];
    for (uint32_t i = 0; i < s->expect_count; i++) {
        const struct expectation *e = &s->expects[i];
        bool counted = e->kind != EXPECT_STATUS && e->kind != EXPECT_MODE;
        printf("  %-4s %s", e->met ? "met" : "NOT", kind_text(e, text, sizeof(text)));
        if (!e->judged) {
            puts(": nothing was seen of it");
        } else if (counted) {
            printf(": %g\n", e->seen);
        } else if (e->kind == EXPECT_MODE && !e->met) {
            printf(": %s\n", mode_name((enum mode)e->seen));
        } else {
            puts("");
        }
    }
}

static void print_violation(const struct violation *v)
{
    char name[UNIT_TEXT_MAX];
    if (v->verdict == VERDICT_GOOD) {
        return;
    }
    unit_format(v->unit, name);
    printf("  %s: %s: at %.6f s%s%s: %s\n", v->verdict == VERDICT_SAFETY ? "SAFETY" : "LIVENESS",
           v->check, (double)v->at_us / 1e6, v->unit.tier != TIER_NONE ? " " : "",
           v->unit.tier != TIER_NONE ? name : "", v->text);
}

static void print_gaps(const struct play_result *r)
{
    for (uint32_t i = 0; i < r->gap_count; i++) {
        const struct play_gap *g = &r->gaps[i];
        printf("  away from %lld s for %u s:", (long long)(g->from_us / US_PER_S), g->seconds);
        if (g->agents > 0) {
            printf(" %llu of %llu agents active%s", (unsigned long long)g->active,
                   (unsigned long long)g->agents, g->silent > 0 ? "," : "");
        }
        if (g->silent > 0) {
            printf(" no answer in %u of them", g->silent);
        }
        puts("");
    }
}

/* A JSON string has no bare quote, backslash or control character; a file's name may. */
static void print_path(const char *path)
{
    for (const char *p = path; *p != '\0'; p++) {
        if ((unsigned char)*p < ' ') {
            printf("\\u%04x", (unsigned)(unsigned char)*p);
        } else {
            printf(*p == '"' || *p == '\\' ? "\\%c" : "%c", *p);
        }
    }
}

static struct coverage coverage; /* of all files */

static int play_file(const char *path, const struct options *o)
{
    static struct scenario s;
    static struct play_record record;
    struct play_result r;
    if (!scenario_read(path, &s, stderr)) {
        return 2;
    }
    if (o->check) {
        printf("%s: %u acts, %u expectations\n", path, s.act_count, s.expect_count);
        return 0;
    }
    if (o->seeded) {
        s.conf.seed = o->seed;
    }
    struct trace trace = {.to = stdout, .notes_debug = true, .times = true};
    memset(&record, 0, sizeof(record));
    struct play_options p = {.trace = o->trace ? &trace : NULL,
                             .record = o->plot != NULL ? &record : NULL,
                             .coverage = o->coverage != NULL ? &coverage : NULL,
                             .progress = !o->quiet && !o->json};
    if (!o->json) {
        printf("%s: %s\n", path, s.name);
        fflush(stdout);
    }
    bool good = play(&s, &p, &r);
    if (o->json) {
        fputs("{\"file\":\"", stdout);
        print_path(path);
        printf("\",\"met\":%s,\"expectations\":%u,\"unmet\":%u,\"check\":\"%s\","
               "\"events\":%llu,\"virtual_seconds\":%.1f,\"digest\":\"%016llx\"}\n",
               good ? "true" : "false", s.expect_count, r.unmet, r.violation.check,
               (unsigned long long)r.events, (double)r.virtual_us / 1e6,
               (unsigned long long)r.digest);
    } else {
        print_gaps(&r);
        print_expectations(&s);
        print_violation(&r.violation);
        printf("%s: %s\n", path, good ? "met" : "NOT MET");
    }
    if (o->plot != NULL && !plot_write(&s, &record, o->plot)) {
        fprintf(stderr, "mesh-sim: %s cannot be written\n", o->plot);
        return 2;
    }
    return r.violation.verdict == VERDICT_SAFETY     ? EXIT_SAFETY
           : r.violation.verdict == VERDICT_LIVENESS ? EXIT_LIVENESS
                                                     : (good ? 0 : 1);
}

static bool parse(int argc, char **argv, struct options *o, int *ret_files)
{
    for (int i = 0; i < argc; i++) {
        bool *flag = strcmp(argv[i], "--json") == 0    ? &o->json
                     : strcmp(argv[i], "--trace") == 0 ? &o->trace
                     : strcmp(argv[i], "--check") == 0 ? &o->check
                     : strcmp(argv[i], "--quiet") == 0 ? &o->quiet
                                                       : NULL;
        if (flag != NULL) {
            *flag = true;
        } else if (strcmp(argv[i], "--plot") == 0 && i + 1 < argc) {
            o->plot = argv[++i];
        } else if (strcmp(argv[i], "--coverage") == 0 && i + 1 < argc) {
            o->coverage = argv[++i];
        } else if (strcmp(argv[i], "--plant") == 0 && i + 1 < argc) {
            if (!sim_plant("mesh-sim scenario", argv[++i])) {
                return false;
            }
        } else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            char *end = NULL;
            o->seed = strtoull(argv[++i], &end, 10);
            o->seeded = true;
            if (argv[i][0] < '0' || argv[i][0] > '9' || *end != '\0' || o->seed > SEED_MOST) {
                fprintf(stderr, "mesh-sim scenario: --seed %s: a number from 0 to %llu is wanted\n",
                        argv[i], SEED_MOST);
                return false;
            }
        } else if (argv[i][0] == '-') {
            fprintf(stderr, "mesh-sim scenario: %s is not an option, or lacks its value\n",
                    argv[i]);
            return false;
        } else {
            argv[(*ret_files)++] = argv[i];
        }
    }
    if (*ret_files == 0) {
        fputs("mesh-sim scenario: no file\n", stderr);
    } else if (o->plot != NULL && *ret_files > 1) {
        fputs("mesh-sim scenario: --plot: of one file only\n", stderr);
        return false;
    }
    return *ret_files > 0;
}

int sim_scenario_main(int argc, char **argv)
{
    struct options o = {0};
    int files = 0, worst = 0, met = 0;
    if (argc == 1 && strcmp(argv[0], "--help") == 0) {
        return usage(stdout, 0);
    }
    if (!parse(argc, argv, &o, &files)) {
        return usage(stderr, 2);
    }
    if (!sim_output_open("mesh-sim scenario", o.plot) ||
        !sim_output_open("mesh-sim scenario", o.coverage)) {
        return 2;
    }
    for (int i = 0; i < files; i++) {
        int status = play_file(argv[i], &o);
        met += status == 0;
        worst = status > worst ? status : worst;
    }
    FILE *to = o.coverage != NULL ? fopen(o.coverage, "w") : NULL;
    if (to != NULL) {
        coverage_print(&coverage, to);
    }
    if (o.coverage != NULL && (to == NULL || fclose(to) != 0)) {
        fprintf(stderr, "mesh-sim: %s cannot be written\n", o.coverage);
        worst = 2;
    }
    if (files > 1 && !o.json) {
        printf("%d of %d %s\n", met, files, o.check ? "read" : "met");
    }
    return worst;
}
