/* The large runs: everybody joins, beats, writes to the registry, and an operation to all agents is
 * submitted every so many seconds. Judged at quiet points, between operations: what the world
 * counts at every step (an operation that runs twice, sums that do not add up), every answer that
 * is due, and after the start every agent in service.
 *
 * Rates are per second of processor time of the one thread, so that they do not depend on what else
 * the machine does; the time on the wall is given beside it. Joining is part of the run. */
#include "sim/size.h"

#include "sim/options.h"
#include "sim/world.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define JOIN_US   (15 * US_PER_S)
#define ANSWER_US (60 * US_PER_S)  /* an operation without its report by then failed .. */
#define PHASES_US (180 * US_PER_S) /* .. one whose classes come after each other, by then */
#define OPS_MAX   65536u
#define LOG_ROWS  4096u /* of each log; a real mesh has them on disk, and here nobody reads them */

#define N(x) ((unsigned long long)(x)) /* for %llu */

struct sizing {
    const char *name;
    int64_t seed, agents;
    int64_t run_us, op_every_us;
    bool json;
};

struct asked {
    uint64_t ref;
    const char *action;
    int64_t at_us;
    enum cascade_strategy strategy;
    bool judged;
};

struct course {
    struct world *w;
    struct asked *asked;
    uint32_t count, answered, unanswered, short_of_agents;
    uint64_t targets, ready;
    double cpu_start, wall_start, told;
};

static void usage(FILE *to)
{
    fputs("usage: mesh-sim run --size full  [--hours N | --minutes N] [--seed N] [--json]\n"
          "                    [--op-every SECONDS]           100 sectors, 1,000 leads, 30,000 "
          "agents\n"
          "       mesh-sim run --size large [--agents N] [--hours N | --minutes N] [--seed N]\n"
          "                    [--op-every SECONDS] [--json]  1,000,000 agents unless told "
          "otherwise\n"
          "       mesh-sim run --size deep ...                the swarm (mesh-sim run --size deep "
          "--help)\n"
          "exit: 0 good, 1 something went wrong in the run, 2 usage\n",
          to);
}

static bool take_size(const char *value, struct sizing *s)
{
    bool full = value != NULL && strcmp(value, "full") == 0;
    if (!full && (value == NULL || strcmp(value, "large") != 0)) {
        fprintf(stderr, "mesh-sim run: --size %s: there are deep, full and large\n",
                value == NULL ? "(nothing)" : value);
        return false;
    }
    s->name = full ? "full" : "large";
    s->agents = full ? 30000 : 1000000;
    s->run_us = full ? 3600 * US_PER_S : 600 * US_PER_S;
    s->op_every_us = full ? 10 * US_PER_S : 60 * US_PER_S;
    return true;
}

static bool parse(int argc, char **argv, struct sizing *s)
{
    for (int i = 0; i < argc; i++) {
        if (strcmp(argv[i], "--size") == 0 && !take_size(i + 1 < argc ? argv[i + 1] : NULL, s)) {
            return false;
        }
    }
    assert(s->name != NULL);
    int64_t hours = 0, minutes = 0, op_every = s->op_every_us / US_PER_S;
    const struct sim_option table[] = {
        {"--size", NULL, 0, 0, NULL},
        {"--seed", NULL, 0, INT64_MAX, &s->seed},
        {"--hours", NULL, 1, 100, &hours},
        {"--minutes", NULL, 1, 6000, &minutes},
        {"--op-every", NULL, 1, 3600, &op_every},
        {"--json", &s->json, 0, 0, NULL},
        {"--agents", NULL, 1000, 4194304, &s->agents}, /* not with full: the last one */
    };
    unsigned count = sizeof(table) / sizeof(table[0]) - (strcmp(s->name, "full") == 0 ? 1u : 0u);
    char command[40];
    snprintf(command, sizeof(command), "mesh-sim run --size %s", s->name);
    if (!sim_options(command, argc, argv, table, count)) {
        return false;
    }
    if (hours > 0 && minutes > 0) {
        fprintf(stderr, "%s: --hours and --minutes: one of them\n", command);
        return false;
    }
    s->run_us = hours > 0     ? hours * 3600 * US_PER_S
                : minutes > 0 ? minutes * 60 * US_PER_S
                              : s->run_us;
    s->op_every_us = op_every * US_PER_S;
    return true;
}

static double seconds_of(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Asks, broadcasts and the cascades in turn. */
static void submit(struct course *c)
{
    static const enum cascade_strategy strategies[] = {CASCADE_NONE, CASCADE_NONE, CASCADE_WAVE,
                                                       CASCADE_PARALLEL, CASCADE_PRIORITY_FIRST};
    struct command command = {.kind = COMMAND_SUBMIT};
    const char *action = c->count % 2 == 0 ? "echo" : "work";
    world_operation(&command.operation, action, "hello, mesh");
    command.operation.strategy = strategies[c->count % 5];
    command.operation.timing = c->count % 5 == 1 ? TIMING_AT : TIMING_SOON;
    c->asked[c->count++] = (struct asked){.ref = world_send(c->w, 1, unit_orchestrator(), &command),
                                          .action = action,
                                          .at_us = world_now(c->w),
                                          .strategy = command.operation.strategy};
}

/* Whether it has its time still, and no report. */
static bool waits(const struct course *c, const struct asked *a)
{
    int64_t most_us = a->strategy == CASCADE_PRIORITY_FIRST ? PHASES_US : ANSWER_US;
    return !a->judged && world_reply(c->w, a->ref) == NULL && world_now(c->w) - a->at_us < most_us;
}

/* Why an operation counts as failed: the reason that the reply gave, or that none came. */
static void tell_failure(const struct course *c, const struct asked *a, const struct reply *r)
{
    long long after_ms = (long long)((world_now(c->w) - a->at_us) / 1000);
    fprintf(stderr, "operation %u (%s, %s), submitted at %.1f s: ", (unsigned)(a - c->asked),
            a->action, strategy_name(a->strategy), (double)a->at_us / 1e6);
    if (r == NULL) {
        fprintf(stderr, "no answer within %lld ms\n", after_ms);
        return;
    }
    fprintf(stderr, "%s: %s\n", reason_name(r->reason), r->text != NULL ? r->text : "no text");
}

/* A quiet point: what should have been answered by now, and who is in service. */
static void judge(struct course *c, const struct sizing *s)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct asked *a = &c->asked[i];
        const struct reply *r = a->judged ? NULL : world_reply(c->w, a->ref);
        if (a->judged || waits(c, a)) {
            continue;
        }
        a->judged = true;
        if (r == NULL || r->kind != REPLY_OPERATION) {
            c->unanswered++;
            tell_failure(c, a, r);
            continue;
        }
        c->answered++;
        c->targets += r->report->aggregate.targets;
        c->ready += r->report->aggregate.outcomes[OUTCOME_READY];
        world_forget(c->w, a->ref);
    }
    struct command ask = {.kind = COMMAND_STATUS};
    const struct reply *r = world_ask(c->w, unit_orchestrator(), &ask, 2 * US_PER_S);
    bool good =
        r != NULL && r->kind == REPLY_STATUS && r->status->summary.active == (uint64_t)s->agents;
    c->short_of_agents += good ? 0 : 1;
}

static void tell_progress(struct course *c, const struct sizing *s)
{
    double now = seconds_of(CLOCK_MONOTONIC);
    if (now - c->told < 5.0) {
        return;
    }
    c->told = now;
    fprintf(stderr, "%.1f of %.1f virtual minutes, %.0f s, %llu steps, %u operations answered\n",
            (double)world_now(c->w) / 60e6, (double)(s->run_us + JOIN_US) / 60e6,
            now - c->wall_start, N(world_stats(c->w)->steps), c->answered);
}

static void play(struct course *c, const struct sizing *s)
{
    world_run(c->w, JOIN_US);
    int64_t end_us = world_now(c->w) + s->run_us, next_us = world_now(c->w);
    while (world_now(c->w) < end_us) {
        if (world_now(c->w) >= next_us && c->count < OPS_MAX &&
            end_us - world_now(c->w) > ANSWER_US / 2) {
            submit(c);
            next_us += s->op_every_us;
        }
        int64_t step_us = next_us - world_now(c->w);
        step_us = step_us < 10 * US_PER_S ? step_us : 10 * US_PER_S;
        world_run(c->w, step_us > US_PER_S ? step_us : US_PER_S);
        if (world_now(c->w) >= 60 * US_PER_S) { /* the first minute is for joining */
            judge(c, s);
        }
        tell_progress(c, s);
    }
    for (uint32_t i = 0; i < c->count; i++) { /* the last ones have their time, too */
        while (waits(c, &c->asked[i])) {
            world_run(c->w, US_PER_S);
            tell_progress(c, s);
        }
    }
    judge(c, s);
}

static uint32_t print_result(const struct course *c, const struct sizing *s,
                             const struct topology *t)
{
    const struct world_stats *stats = world_stats(c->w);
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = seconds_of(CLOCK_PROCESS_CPUTIME_ID) - c->cpu_start;
    double wall = seconds_of(CLOCK_MONOTONIC) - c->wall_start;
    double rss_mib = (double)used.ru_maxrss / 1024.0;
    uint32_t failures = c->unanswered + c->short_of_agents + (stats->executed_twice > 0 ? 1u : 0u) +
                        (stats->uneven > 0 ? 1u : 0u) + (stats->refused > 0 ? 1u : 0u);
    if (!s->json) {
        printf(
            "%u sectors x %u clusters x %u agents (%u in all), seed %llu\n"
            "%.0f virtual s in %.1f s of one core (%.1f s on the wall), %llu steps, "
            "%.0f a second\n"
            "%u operations answered, %u not, %llu of %llu targets ready; quiet points without "
            "every agent: %u\n"
            "twice %llu, uneven %llu, refused %llu; %.0f MiB, %.0f bytes an agent; %u failures\n",
            t->sectors, t->clusters_per_sector, t->agents_per_cluster, t->agents, N(s->seed),
            (double)world_now(c->w) / 1e6, cpu, wall, N(stats->steps), (double)stats->steps / cpu,
            c->answered, c->unanswered, N(c->ready), N(c->targets), c->short_of_agents,
            N(stats->executed_twice), N(stats->uneven), N(stats->refused), rss_mib,
            rss_mib * 1048576.0 / t->agents, failures);
        return failures;
    }
    printf("{\"size\":\"%s\",\"seeds\":1,\"seed\":%llu,\"failures\":%u,\"agents\":%u,"
           "\"tree\":\"%u x %u x %u\",\"virtual_hours\":%.4f,\"steps\":%llu,"
           "\"events_per_second\":%.0f,\"cpu_s\":%.1f,\"wall_s\":%.1f,\"rss_mib\":%.0f,"
           "\"bytes_per_agent\":%.0f,\"operations\":%u,\"unanswered\":%u,\"targets\":%llu,"
           "\"ready\":%llu,\"not_all_active\":%u,\"executed_twice\":%llu,\"uneven\":%llu,"
           "\"refused\":%llu,\"digest\":\"%016llx\"}\n",
           s->name, N(s->seed), failures, t->agents, t->sectors, t->clusters_per_sector,
           t->agents_per_cluster, (double)world_now(c->w) / 3600e6, N(stats->steps),
           (double)stats->steps / cpu, cpu, wall, rss_mib, rss_mib * 1048576.0 / t->agents,
           c->count, c->unanswered, N(c->targets), N(c->ready), c->short_of_agents,
           N(stats->executed_twice), N(stats->uneven), N(stats->refused), N(stats->digest));
    return failures;
}

int sim_size_main(int argc, char **argv)
{
    struct sizing s = {.seed = 1};
    if (sim_options_help(argc, argv)) {
        usage(stdout);
        return 0;
    }
    if (!parse(argc - 1, argv + 1, &s)) {
        return 2;
    }
    struct course c = {.cpu_start = seconds_of(CLOCK_PROCESS_CPUTIME_ID),
                       .wall_start = seconds_of(CLOCK_MONOTONIC),
                       .asked = calloc(OPS_MAX, sizeof(*c.asked))};
    if (c.asked == NULL) {
        return 1;
    }
    c.told = c.wall_start;
    struct world_conf conf;
    world_defaults(&conf, (uint32_t)s.agents, (uint64_t)s.seed);
    conf.log_rows = LOG_ROWS;
    c.w = world_new(&conf);
    play(&c, &s);
    uint32_t failures = print_result(&c, &s, &conf.topology);
    world_free(c.w);
    free(c.asked);
    return failures > 0 ? 1 : 0;
}
