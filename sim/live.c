/* The laws of a simulated agent's world. What belongs to an agent (speed) or to its host (distance,
 * clock) for good is drawn from (seed, place) whenever it is asked for, so that it needs no table
 * and is the same in every run and however the agents are spread over processes. What changes from
 * message to message comes from one generator of the process.
 *
 * The agents of one host share its clock and its way to the mesh: what they say in one BURST_US is
 * one frame on that way, arrives at one moment, and is lost together. With one agent a host every
 * message has its own fate.
 *
 * Figures: round trips of spec 2.2; jitter, retransmits and service times of arrival.md section 2
 * (its bursts, regime changes and diurnal swings are left out), or those of a profile file
 * (laws.h). When effects happen is counted by the machine's clock (effects.h). */
#include "sim/live.h"

#include "core/facts.h"
#include "core/note.h"
#include "core/num.h"
#include "core/predictor.h"
#include "core/rng.h"
#include "sim/effects.h"
#include "sim/facts.h"
#include "sim/laws.h"
#include "tiers/agent/agent.h"
#include "tiers/host/host.h"
#include "tiers/runner/clock.h"
#include "tiers/runner/metrics.h"
#include "tiers/runner/process.h"
#include "tiers/web/otlp.h"
#include "tiers/work/work.h"
#include <assert.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG2_E 1.4426950408889634

#define BURST_US     2000
#define LIES_LOOK_US (200ll * US_PER_MS)

/* The newest frame of a host in one direction. */
struct burst {
    int64_t begun_us, due_us; /* boot clock; due -1: lost */
};

struct live {
    const struct topology *topology;
    uint64_t seed;
    uint32_t agents_per_host;
    struct rng net;
    FILE *journal; /* NULL: none is kept */
    struct laws laws;
    struct effects effects;
    const char *lies; /* NULL: nobody lies */
    int64_t lies_look_us, lies_us;
    struct unit lies_in;
    uint32_t lies_count;
    char why[1024];       /* of a profile that cannot be read */
    struct burst *bursts; /* two a host, for the whole mesh */
    char facts[CLASS_COUNT][SIM_FACTS_KINDS][FACTS_BYTES_MAX];
};

static uint32_t host_of(const struct live *live, struct unit agent)
{
    const struct topology *t =
        live->topology; /* newcomers of a cluster have a machine of their own */
    uint32_t cluster = (agent.sector - 1u) * t->clusters_per_sector + agent.cluster - 1u;
    if (!topology_planned(t, agent)) {
        return t->agents / live->agents_per_host + 1u + cluster;
    }
    return (cluster * t->agents_per_cluster + agent.agent - 1u) / live->agents_per_host;
}

static double lognormal(struct rng *rng, double sigma)
{
    return num_exp2(LOG2_E * sigma * num_normal_quantile(rng_unit(rng)));
}

struct traits {
    const struct class_law *law;
    double one_way_us, speed;
    int64_t clock_offset_us;
    int32_t clock_drift_ppb;
};

static struct traits traits_of(const struct live *live, struct unit agent)
{
    struct rng rng;
    rng_seed(&rng, live->seed, unit_pack(agent));
    const struct topology *t = live->topology;
    const struct laws *l = &live->laws;
    struct traits r = {.law = &l->of[topology_class(t, topology_index(t, agent))]};
    r.speed = r.law->misfit * lognormal(&rng, l->speed_sigma);
    rng_seed(&rng, live->seed, ((uint64_t)TIER_HOST << 56) + host_of(live, agent));
    double rtt_ms = r.law->rtt_low_ms + rng_unit(&rng) * (r.law->rtt_high_ms - r.law->rtt_low_ms);
    r.one_way_us = rtt_ms * 500.0 * (1.0 + l->asymmetry * (2.0 * rng_unit(&rng) - 1.0));
    int64_t offset_us = (int64_t)(l->clock_offset_ms * 1000.0);
    int64_t drift_ppb = (int64_t)(l->clock_drift_ppm * 1000.0);
    r.clock_offset_us = rng_range(&rng, -offset_us, offset_us);
    r.clock_drift_ppb = (int32_t)rng_range(&rng, -drift_ppb, drift_ppb);
    return r;
}

static void live_clock(void *ctx, struct unit agent, int64_t *ret_offset_us, int32_t *ret_drift_ppb)
{
    struct traits t = traits_of(ctx, agent);
    *ret_offset_us = t.clock_offset_us;
    *ret_drift_ppb = t.clock_drift_ppb;
}

/* One frame on its way; -1: lost. */
static int64_t draw_delay(struct live *live, struct unit agent)
{
    struct traits t = traits_of(live, agent);
    if (rng_unit(&live->net) < t.law->loss) {
        return -1;
    }
    /* Gamma(2) with mean 1: minus the logarithm of two uniforms, halved. */
    double u = (1.0 - rng_unit(&live->net)) * (1.0 - rng_unit(&live->net));
    double gamma = -num_log2(u) * 0.5 / LOG2_E;
    double us = t.one_way_us * (1.0 + live->laws.jitter * gamma);
    if (rng_unit(&live->net) < live->laws.retransmit) { /* a retransmit on the way */
        us += 200e3 - num_log2(1.0 - rng_unit(&live->net)) * 100e3 / LOG2_E;
    }
    return (int64_t)us;
}

static int64_t live_delay(void *ctx, struct unit agent, bool to_agent)
{
    struct live *live = ctx;
    struct burst *b = &live->bursts[2 * (size_t)host_of(live, agent) + (to_agent ? 1 : 0)];
    int64_t now_us = clock_boot_us();
    if (b->begun_us == 0 || now_us - b->begun_us > BURST_US) {
        int64_t delay_us = draw_delay(live, agent);
        *b = (struct burst){now_us, delay_us < 0 ? -1 : now_us + delay_us};
    }
    if (b->due_us < 0) {
        return -1;
    }
    return b->due_us > now_us ? b->due_us - now_us : 0;
}

static int64_t live_work(void *ctx, struct unit agent, enum impedance_class c, double weight)
{
    struct live *live = ctx;
    struct traits t = traits_of(live, agent);
    double us = (double)predictor_class_base_us(c) * (1.0 + live->laws.weight_slope * weight) *
                t.speed * lognormal(&live->net, t.law->sigma);
    return (int64_t)num_clamp(us, 0.0, 86400e6);
}

/* 24 bytes: the operation's id, then the agent as a packed unit, little-endian. */
static void live_ran(void *ctx, struct unit agent, const struct operation *operation)
{
    struct live *live = ctx;
    uint8_t entry[24];
    effects_expect(&live->effects, operation);
    if (live->journal == NULL) {
        return;
    }
    uint64_t unit = unit_pack(agent);
    for (unsigned i = 0; i < 16; i++) {
        entry[i] = operation->id.bytes[i];
    }
    for (unsigned i = 0; i < 8; i++) {
        entry[16 + i] = (uint8_t)(unit >> (8 * i));
    }
    if (fwrite(entry, sizeof(entry), 1, live->journal) != 1) {
        (void)fprintf(stderr, "mesh-sim: the journal cannot be written\n");
        abort(); /* a test that counts executions must not go on without */
    }
}

static void live_released(void *ctx, uint64_t id_low)
{
    struct live *live = ctx;
    effects_released(&live->effects, id_low, clock_unix_us());
}

/* What the file says now; anything but such a line: nobody lies. */
static void lies_look(struct live *live)
{
    char line[80] = "", *rest = NULL;
    FILE *in = fopen(live->lies, "re");
    live->lies_count = 0;
    if (in == NULL) {
        return;
    }
    bool any = fgets(line, sizeof(line), in) != NULL;
    (void)fclose(in);
    const char *unit = any ? strtok_r(line, " \n", &rest) : NULL;
    const char *count = any ? strtok_r(NULL, " \n", &rest) : NULL;
    const char *shift = any ? strtok_r(NULL, " \n", &rest) : NULL;
    const char *why = NULL;
    uint64_t agents = 0, shift_us = 0;
    if (shift != NULL && unit_parse(unit, strlen(unit), &live->lies_in, &why) &&
        live->lies_in.tier == TIER_CLUSTER && num_parse_u64(count, strlen(count), &agents) &&
        num_parse_u64(shift, strlen(shift), &shift_us) && shift_us <= 60 * US_PER_S) {
        live->lies_count = agents <= AGENTS_PER_CLUSTER_MAX ? (uint32_t)agents : 0;
        live->lies_us = (int64_t)shift_us;
    }
}

/* MESH_SIM_LIES names a file that may come and go while the process runs; one line of it, as
 * "s01.c1 15 400000": from now on agents 1 to 15 of that cluster claim to have been done 400 ms
 * later than they were. For threat drills (tests/drills). */
static int64_t live_claims(void *ctx, struct unit agent)
{
    struct live *live = ctx;
    int64_t now_us = clock_boot_us();
    if (now_us >= live->lies_look_us) {
        live->lies_look_us = now_us + LIES_LOOK_US;
        lies_look(live);
    }
    bool lies = agent.sector == live->lies_in.sector && agent.cluster == live->lies_in.cluster &&
                agent.agent <= live->lies_count;
    return lies ? live->lies_us : 0;
}

static void live_metrics(void *ctx, struct page *page)
{
    const struct live *live = ctx;
    const struct effects *e = &live->effects;
    page_add(page, "effects_total", "when", "within", e->within);
    page_add(page, "effects_total", "when", "early", e->early);
    page_add(page, "effects_total", "when", "late", e->late);
    page_add(page, "effects_total", "when", "unknown", e->unknown);
    for (uint32_t i = 0; i < EFFECTS_BUCKETS; i++) {
        char below[24];
        (void)snprintf(below, sizeof(below), "%" PRId64, effects_bucket_us(i));
        page_add(page, "effect_error_total", "below_us", below, e->buckets[i]);
    }
}

static int64_t no_work(void *ctx, struct unit agent, enum impedance_class c, double weight)
{
    (void)ctx;
    (void)agent;
    (void)c;
    (void)weight;
    return 0;
}

static const char *live_facts(void *ctx, struct unit agent, enum impedance_class c)
{
    const struct live *live = ctx;
    return live->facts[c][sim_facts_which(topology_index(live->topology, agent))];
}

/* What the configuration sets, for all agents, and what the class says beside it. */
static void facts_init(struct live *live, const char *configured)
{
    size_t at = 0;
    for (int c = CLASS_NONE; c < CLASS_COUNT; c++) {
        for (uint32_t k = 0; k < SIM_FACTS_KINDS; k++) {
            char *facts = live->facts[c][k];
            (void)facts_read(sim_facts_kind((enum impedance_class)c, k), facts, &at);
            if (facts_read(configured, facts, &at) != NULL) { /* no room for both */
                facts[0] = '\0';
                (void)facts_read(configured, facts, &at);
            }
        }
    }
}

static bool live_world(const struct config *config, const struct process_conf *process,
                       struct runner_world *ret, const char **ret_why)
{
    static struct live live; /* one a process */
    assert(config != NULL && process != NULL);
    assert(ret != NULL && ret_why != NULL);
    if (!config->tuning.simulation) {
        *ret_why = "this mesh was not started for simulation (simulation = true)";
        return false;
    }
    live.topology = &config->topology;
    live.seed = process->seed;
    live.agents_per_host = process->agents_per_host;
    uint32_t hosts = config->topology.agents / process->agents_per_host + 1u +
                     topology_clusters(&config->topology);
    live.bursts = calloc(2 * (size_t)hosts, sizeof(*live.bursts));
    if (live.bursts == NULL) {
        *ret_why = "out of memory for the simulated hosts";
        return false;
    }
    rng_seed(&live.net, process->seed, num_hash64(process->name, sizeof(process->name), 1));
    laws_default(&live.laws);
    facts_init(&live, process->facts);
    if (process->profile[0] != '\0' &&
        !laws_read(process->profile, &live.laws, live.why, sizeof(live.why))) {
        *ret_why = live.why;
        return false;
    }
    *ret = (struct runner_world){.ctx = &live,
                                 .work_us = no_work,
                                 .facts = live_facts,
                                 .ran = live_ran,
                                 .released = live_released,
                                 .metrics = live_metrics};
    live.lies = getenv("MESH_SIM_LIES");
    ret->claims_us = live.lies != NULL ? live_claims : NULL;
    if (process->journal[0] != '\0') {
        live.journal = fopen(process->journal, "ae");
        if (live.journal == NULL) {
            *ret_why = "the journal cannot be opened";
            return false;
        }
        (void)setvbuf(live.journal, NULL, _IONBF, 0); /* a kill loses nothing */
    }
    if (process->delay_profile) {
        ret->clock = live_clock;
        ret->delay_us = live_delay;
        ret->work_us = live_work;
    }
    return true;
}

int sim_live_main(int argc, char **argv)
{
    assert(argc > 0);
    assert(argv != NULL);
    static const struct runner_kind kind = {
        .program = "mesh-sim live",
        .role = PROCESS_SIM,
        .ops = {[TIER_AGENT] = &agent_ops, [TIER_HOST] = &host_ops},
        .world = live_world,
        .executor = work_open,
        .executor_free = work_free,
        .exporter = otlp_open,
        .exporter_free = otlp_free};
    return runner_main(argc, argv, &kind);
}
