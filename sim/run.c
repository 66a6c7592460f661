/* mesh-sim run: a mesh in virtual time, without faults but loss. It brings up a mesh, gives
 * operations of several kinds at regular times, and judges: every report's counts must add up and
 * nothing may run twice. It ends with 1 when one of them fails. */
#include "sim/run.h"

#include "sim/options.h"
#include "sim/size.h"
#include "sim/trace.h"
#include "sim/world.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

struct options {
    int64_t seed, agents, loss_permille, hosts, seconds, op_every;
    bool trace, json;
};

struct totals {
    uint32_t asked, answered, achieved;
    uint64_t targets, ready, hits, eligible;
};

#define N(x) ((unsigned long long)(x)) /* for %llu */

static void usage(FILE *to)
{
    fputs("usage: mesh-sim run [--seed N] [--agents N] [--seconds S] [--op-every S]\n"
          "                    [--loss PERMILLE] [--hosts N] [--trace] [--json]\n"
          "         a mesh of 1,000 agents (1 to 4,194,304) for 60 s, an operation every 10 s;\n"
          "         --hosts: they are started by so many hosts (64 at most), else by the world\n"
          "       mesh-sim run --size deep | full | large ...   (mesh-sim run --size full --help)\n"
          "exit: 0 good, 1 something went wrong in the run, 2 usage\n",
          to);
}

/* What only the sized runs have. */
static bool for_a_size(int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--hours") == 0 || strcmp(argv[i], "--minutes") == 0) {
            fprintf(stderr,
                    "mesh-sim run: %s goes with --size full or --size large; without --size it is "
                    "--seconds, as --seconds 3600\n",
                    argv[i]);
            return true;
        }
    }
    return false;
}

static bool parse(int argc, char **argv, struct options *o)
{
    if (for_a_size(argc, argv)) {
        return false;
    }
    const struct sim_option table[] = {
        {"--seed", NULL, 0, INT64_MAX, &o->seed},     {"--agents", NULL, 1, 4194304, &o->agents},
        {"--seconds", NULL, 1, 1000000, &o->seconds}, {"--op-every", NULL, 1, 100000, &o->op_every},
        {"--loss", NULL, 0, 900, &o->loss_permille},  {"--hosts", NULL, 0, 64, &o->hosts},
        {"--trace", &o->trace, 0, 0, NULL},           {"--json", &o->json, 0, 0, NULL},
    };
    return sim_options("mesh-sim run", argc, argv, table, sizeof(table) / sizeof(table[0]));
}

/* The k-th operation of the run: asks, broadcasts and the three cascades in turn. */
static void nth_command(uint32_t k, uint32_t agents, struct command *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->kind = COMMAND_SUBMIT;
    world_operation(&ret->operation, k % 2 == 0 ? "echo" : "work", "hello, mesh");
    switch (k % 6) {
    case 0:
        break;
    case 1:
        ret->operation.timing = TIMING_AT;
        break;
    case 2:
        ret->operation.selector.sample = agents < 100 ? agents : 100;
        break;
    case 3:
        ret->operation.strategy = CASCADE_WAVE;
        ret->operation.timing = TIMING_BY;
        break;
    case 4:
        ret->operation.strategy = CASCADE_PARALLEL;
        break;
    default:
        ret->operation.strategy = CASCADE_PRIORITY_FIRST;
        break;
    }
}

static void collect(const struct world *w, const uint64_t *refs, uint32_t count, bool quiet,
                    struct totals *t)
{
    static const char *const kinds[] = {"all soon", "all at T", "sample",
                                        "wave",     "parallel", "priority first"};
    for (uint32_t i = 0; i < count; i++) {
        const struct reply *r = world_reply(w, refs[i]);
        t->asked++;
        if (r == NULL || r->kind != REPLY_OPERATION) {
            if (!quiet) {
                printf("%-15s %s\n", kinds[i % 6],
                       r == NULL         ? "no answer yet"
                       : r->text != NULL ? r->text
                                         : "?");
            }
            continue;
        }
        const struct aggregate_view *a = &r->report->aggregate;
        t->answered++;
        t->achieved += r->report->achieved ? 1 : 0;
        t->targets += a->targets;
        t->ready += a->outcomes[OUTCOME_READY];
        t->hits += a->window_hits;
        t->eligible += a->window_eligible;
        if (!quiet) {
            printf("%-15s %-9s %-17s targets %u ready %u skipped %u late %u resent %u, %lld ms\n",
                   kinds[i % 6], r->report->status, decision_name(r->report->decision), a->targets,
                   a->outcomes[OUTCOME_READY], a->outcomes[OUTCOME_SKIPPED], a->late, a->resent,
                   (long long)(r->report->finished_mesh_us - r->report->created_mesh_us) / 1000);
        }
    }
}

static double seconds_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void print_summary(const struct options *o, const struct world *w, const struct totals *t,
                          double took)
{
    const struct world_stats *s = world_stats(w);
    struct rusage usage_now;
    getrusage(RUSAGE_SELF, &usage_now);
    if (o->json) {
        printf("{\"agents\":%u,\"seed\":%llu,\"virtual_seconds\":%.0f,\"steps\":%llu,"
               "\"steps_per_second\":%.0f,\"messages\":%llu,\"lost\":%llu,"
               "\"digest\":\"%016llx\",\"operations\":%u,\"answered\":%u,\"achieved\":%u,"
               "\"targets\":%llu,\"ready\":%llu,\"window_hits\":%llu,"
               "\"window_eligible\":%llu,\"executed\":%llu,\"executed_twice\":%llu,"
               "\"uneven\":%llu,\"rss_mib\":%ld}\n",
               (uint32_t)o->agents, N(o->seed), (double)world_now(w) / 1e6, N(s->steps),
               (double)s->steps / took, N(s->messages), N(s->lost), N(s->digest), t->asked,
               t->answered, t->achieved, N(t->targets), N(t->ready), N(t->hits), N(t->eligible),
               N(s->executed), N(s->executed_twice), N(s->uneven), usage_now.ru_maxrss / 1024);
        return;
    }
    printf("agents %u, seed %llu, %.0f virtual seconds\n"
           "steps %llu (%.0f a second), messages %llu, lost %llu, digest %016llx\n"
           "operations %u, answered %u, quorum %u; targets %llu, ready %llu, "
           "in the window %llu of %llu\n"
           "executed %llu, twice %llu, uneven reports %llu, RSS %ld MiB\n",
           (uint32_t)o->agents, N(o->seed), (double)world_now(w) / 1e6, N(s->steps),
           (double)s->steps / took, N(s->messages), N(s->lost), N(s->digest), t->asked, t->answered,
           t->achieved, N(t->targets), N(t->ready), N(t->hits), N(t->eligible), N(s->executed),
           N(s->executed_twice), N(s->uneven), usage_now.ru_maxrss / 1024);
}

/* So many hosts as have an agent: each has as many as the first, the last one fewer. */
static uint32_t hosts_of(const struct topology *t, uint32_t hosts)
{
    uint32_t places = topology_places(t), each = hosts > 0 ? (places + hosts - 1) / hosts : 0;
    return hosts > 0 ? (places + each - 1) / each : 0;
}

static int run(const struct options *o)
{
    struct world_conf conf;
    world_defaults(&conf, (uint32_t)o->agents, (uint64_t)o->seed);
    conf.agent_loss_permille = (uint32_t)o->loss_permille;
    conf.hosts = hosts_of(&conf.topology, (uint32_t)o->hosts);
    struct world *w = world_new(&conf);
    struct trace trace = {.to = stdout, .notes_debug = true, .times = true};
    if (o->trace) {
        world_watch_set(w, trace_step, &trace);
    }
    double start = seconds_now();
    uint32_t count = (uint32_t)(o->seconds / o->op_every), sent = 0;
    uint64_t *refs = calloc(count + 1u, sizeof(*refs));
    if (refs == NULL) {
        return 1;
    }
    world_run(w, 15 * US_PER_S); /* everyone joins */
    for (int64_t s = 0; s < o->seconds; s += o->op_every) {
        struct command c;
        nth_command(sent, (uint32_t)o->agents, &c);
        if (sent < count) {
            refs[sent++] = world_send(w, 1, unit_orchestrator(), &c);
        }
        world_run(w, o->op_every * US_PER_S);
    }
    world_run(w, 30 * US_PER_S); /* the last ones end */
    struct totals t = {0};
    collect(w, refs, sent, o->json, &t);
    print_summary(o, w, &t, seconds_now() - start);
    const struct world_stats *s = world_stats(w);
    int bad = s->executed_twice > 0 || s->uneven > 0 || t.answered < t.asked ? 1 : 0;
    free(refs);
    world_free(w);
    return bad;
}

int sim_run_main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--size") == 0) {
            return sim_size_main(argc, argv);
        }
    }
    struct options o = {.seed = 1, .agents = 1000, .seconds = 60, .op_every = 10};
    if (sim_options_help(argc, argv)) {
        usage(stdout);
        return 0;
    }
    return parse(argc - 1, argv + 1, &o) ? run(&o) : 2;
}
