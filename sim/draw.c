/* All draws come from one generator in one order, so that a seed means the same run for ever as
 * long as this file stays as it is; a new kind of fault is drawn after the old ones. */
#include "sim/draw.h"
#include "sim/draw_story.h"
#include <assert.h>
#include <string.h>

#define ACTS_FAULTS 24u
#define ACTS_WORK   24u

bool draw_chance(struct drawer *d, uint32_t percent)
{
    return rng_below(&d->rng, 100) < percent;
}

uint32_t draw_pick(struct drawer *d, uint32_t n)
{
    return (uint32_t)rng_below(&d->rng, n);
}

/* Small numbers mostly, `most` at times. */
static uint32_t skewed(struct drawer *d, uint32_t most)
{
    return draw_pick(d, 1 + draw_pick(d, 1 + most));
}

int64_t draw_ms(struct drawer *d, int64_t least_ms, int64_t most_ms)
{
    return rng_range(&d->rng, least_ms, most_ms) * US_PER_MS;
}

struct unit draw_agent(struct drawer *d)
{
    const struct topology *t = &d->s->conf.topology;
    struct unit u = topology_agent(t, draw_pick(d, topology_places(t)));
    return topology_planned(t, u) ? u : unit_agent(u.sector, u.cluster, 1);
}

struct unit draw_unit(struct drawer *d)
{
    struct unit a = draw_agent(d);
    switch (draw_pick(d, 10)) {
    case 0:
        return unit_orchestrator();
    case 1:
    case 2:
        return unit_sector(a.sector);
    case 3:
    case 4:
    case 5:
        return unit_cluster(a.sector, a.cluster);
    default:
        return a;
    }
}

static void draw_classes(struct drawer *d)
{
    struct topology *t = &d->s->conf.topology;
    memset(t->class_agents, 0, sizeof(t->class_agents));
    uint32_t left = t->agents;
    while (left > 0) { /* whole clusters mostly, as a real mesh has them */
        enum impedance_class c = CLASS_A_EDGE + draw_pick(d, CLASS_COUNT - 1);
        uint32_t n =
            draw_chance(d, 70) ? t->agents_per_cluster : 1 + draw_pick(d, t->agents_per_cluster);
        n = n < left ? n : left;
        t->class_agents[c] += n;
        left -= n;
    }
    d->s->classes = true;
    assert(topology_check(t) == NULL);
}

struct act *draw_act(struct drawer *d, enum act_kind kind)
{
    struct scenario *s = d->s;
    assert(s->act_count < SCENARIO_ACTS_MAX);
    struct act *a = &s->acts[s->act_count++];
    *a = (struct act){.kind = kind,
                      .at_us = DRAW_FIRST_US +
                               draw_ms(d, 0, (s->heal_us - DRAW_FIRST_US) / US_PER_MS - 1)};
    return a;
}

/* Undone at times, left as it is until the heal at others. */
void draw_lasts(struct drawer *d, struct act *a, int64_t least_ms, int64_t most_ms)
{
    a->for_us = draw_chance(d, 75) ? draw_ms(d, least_ms, most_ms) : 0;
}

static struct unit below_the_top(struct drawer *d)
{
    struct unit u = draw_unit(d);
    return u.tier == TIER_ORCHESTRATOR ? unit_sector(1 + draw_pick(d, d->s->conf.topology.sectors))
                                       : u;
}

/* Odd ones the other way: clocks are wrong both ways. No draw of its own. */
static int64_t either_way(int64_t value, int64_t unit)
{
    return value / unit % 2 != 0 ? -value : value;
}

/* The network, the clocks and the store. */
static void draw_network(struct drawer *d, struct act *a)
{
    switch ((int)a->kind) {
    case ACT_DROP:
    case ACT_DUPLICATE:
        a->unit = below_the_top(d);
        a->permille = 1 + draw_pick(d, 600);
        draw_lasts(d, a, 500, 30000);
        break;
    case ACT_CUT_OUT:
    case ACT_CUT_IN:
    case ACT_CLOG:
        a->unit = below_the_top(d);
        draw_lasts(d, a, 100, 30000);
        break;
    case ACT_REORDER:
    case ACT_DELAY:
        a->unit = below_the_top(d);
        a->permille = a->kind == ACT_REORDER ? 1 + draw_pick(d, 600) : 0;
        a->by_us = draw_ms(d, 1, draw_chance(d, 20) ? 6000 : 800);
        draw_lasts(d, a, 500, 30000);
        break;
    case ACT_BROKER:
        a->for_us = draw_ms(d, 50, 10000);
        break;
    case ACT_DISCONNECT:
    case ACT_SWALLOW:
        a->unit = draw_unit(d);
        a->below = draw_chance(d, 20);
        a->for_us = draw_ms(d, 50, 8000);
        break;
    case ACT_CLOCK_DRIFT:
        a->unit = draw_unit(d);
        a->ppm = (int32_t)either_way(1 + draw_pick(d, 90), 1);
        break;
    case ACT_WALL_STEP:
        /* Not the orchestrator's: one that restarts with a wrong Unix clock gives the whole mesh
         * another time, and slewing to it takes hours (docs/SIMULATION.md). */
        a->unit = below_the_top(d);
        a->by_us = either_way(draw_ms(d, 100, 20000), US_PER_MS);
        break;
    case ACT_STORE_UNSURE:
    case ACT_FAULT_POINTS:
        a->permille = 1 + draw_pick(d, 300);
        draw_lasts(d, a, 500, 30000);
        break;
    case ACT_STORE_CRASH:
    case ACT_STORE_FAILOVER:
        a->for_us = draw_ms(d, 200, 10000);
        break;
    case ACT_STORE_WIPE:
        break;
    default:
        assert(a->kind >= ACT_STORE_SILENT && a->kind <= ACT_STORE_BARE);
        draw_lasts(d, a, 500, 30000);
        break;
    }
}

static void draw_fault(struct drawer *d, enum act_kind kind)
{
    struct act *a = draw_act(d, kind);
    switch ((int)kind) {
    case ACT_KILL:
        a->unit = draw_unit(d);
        a->below = a->unit.tier == TIER_CLUSTER && draw_chance(d, 30);
        draw_lasts(d, a, 100, 40000);
        break;
    case ACT_RESTART:
        a->unit = draw_unit(d);
        a->below = a->unit.tier != TIER_ORCHESTRATOR && draw_chance(d, 20);
        break;
    case ACT_PAUSE:
        a->unit = draw_unit(d);
        a->for_us = draw_ms(d, 50, draw_chance(d, 20) ? 60000 : 8000);
        if (a->at_us + a->for_us > d->s->heal_us) {
            a->for_us = d->s->heal_us - a->at_us;
        }
        break;
    case ACT_CUT:
        a->unit = draw_unit(d);
        if (a->unit.tier == TIER_ORCHESTRATOR) { /* with all below it, that is nobody */
            a->unit = unit_sector(1);
        }
        draw_lasts(d, a, 100, 40000);
        break;
    case ACT_STORE_DOWN:
        draw_lasts(d, a, 500, 30000);
        break;
    case ACT_SLOW:
        a->unit = draw_agent(d);
        a->factor = (double)(1u << (1 + draw_pick(d, 8)));
        draw_lasts(d, a, 1000, 30000);
        break;
    case ACT_FREEZE:
        a->unit = draw_unit(d);
        if (a->unit.tier == TIER_AGENT) {
            a->unit = unit_cluster(a->unit.sector, a->unit.cluster);
        }
        draw_lasts(d, a, 1000, 20000);
        break;
    default:
        draw_network(d, a);
        break;
    }
}

static void draw_places(struct drawer *d, struct act *a)
{
    char name[UNIT_TEXT_MAX];
    struct unit u = draw_unit(d);
    if (u.tier != TIER_ORCHESTRATOR) {
        unit_format(u, name);
        snprintf(a->places, sizeof(a->places), "%s", name);
    }
}

void draw_operation(struct drawer *d)
{
    static const char *const actions[] = {"echo", "work", "context", "conflict", "fail", "work"};
    struct act *a = draw_act(d, ACT_SUBMIT);
    snprintf(a->label, sizeof(a->label), "op%u", ++d->labels);
    snprintf(a->action, sizeof(a->action), "%s", actions[draw_pick(d, 6)]);
    if (strcmp(a->action, "conflict") == 0 || strcmp(a->action, "fail") == 0) {
        snprintf(a->payload, sizeof(a->payload), "%u", draw_pick(d, 300));
    } else if (draw_chance(d, 70)) {
        snprintf(a->payload, sizeof(a->payload), "message %u", d->labels);
    }
    a->timing = (enum timing)draw_pick(d, TIMING_COUNT);
    a->strategy =
        draw_chance(d, 30) ? (enum cascade_strategy)draw_pick(d, CASCADE_COUNT) : CASCADE_NONE;
    a->priority = (uint8_t)draw_pick(d, PRIORITY_COUNT);
    a->no_ack = draw_chance(d, 5);
    a->sample = draw_chance(d, 20) ? 1 + draw_pick(d, d->s->conf.topology.agents) : 0;
    a->class_mask = draw_chance(d, 20) ? 1u << (CLASS_A_EDGE + draw_pick(d, CLASS_COUNT - 1)) : 0;
    a->ttl_us = draw_chance(d, 30) ? draw_ms(d, 200, 30000) : 0;
    a->timeout_us = draw_chance(d, 30) ? draw_ms(d, 300, 10000) : 0;
    a->hedge = draw_chance(d, 25);
    if (draw_chance(d, 30)) {
        draw_places(d, a);
    }
    if (draw_chance(d, 20)) {
        const struct topology *t = &d->s->conf.topology;
        snprintf(a->capability, sizeof(a->capability), "%s",
                 t->capabilities[draw_pick(d, t->capability_count)]);
    }
}

static void draw_burst(struct drawer *d)
{
    uint32_t from = d->s->act_count, n = 4 + draw_pick(d, 20);
    for (uint32_t i = 0; i < n; i++) {
        draw_operation(d);
        struct act *a = &d->s->acts[d->s->act_count - 1];
        a->at_us = d->s->acts[from].at_us; /* all at once: queues fill */
    }
}

/* What a former life has said arrives after the word of the new one: messages of one agent overtake
 * each other while its lead and then itself are restarted. */
static void draw_overtaking(struct drawer *d)
{
    char name[UNIT_TEXT_MAX];
    struct unit u = draw_agent(d);
    struct act *a = draw_act(d, ACT_REORDER);
    int64_t room_us = 12 * US_PER_S;
    int64_t from_us = a->at_us + room_us < d->s->heal_us ? a->at_us : d->s->heal_us - room_us;
    a->at_us = from_us;
    a->for_us = 9 * US_PER_S;
    a->unit = u;
    a->permille = 300 + draw_pick(d, 400);
    a->by_us = draw_ms(d, 300, 1500);
    unit_format(unit_cluster(u.sector, u.cluster), name);
    for (uint32_t i = 0; i < 24; i++) {
        draw_operation(d);
        struct act *op = &d->s->acts[d->s->act_count - 1];
        op->at_us = from_us + draw_ms(d, 0, 8000);
        op->timing = TIMING_SOON;
        op->strategy = CASCADE_NONE;
        op->class_mask = op->sample = 0;
        op->capability[0] = '\0';
        snprintf(op->places, sizeof(op->places), "%s", name);
    }
    struct act *lead = draw_act(d, ACT_RESTART);
    lead->unit = unit_cluster(u.sector, u.cluster);
    lead->at_us = from_us + draw_ms(d, 2000, 4000);
    struct act *agent = draw_act(d, ACT_RESTART);
    agent->unit = u;
    agent->at_us = from_us + draw_ms(d, 4000, 7000);
}

static void draw_cancels(struct drawer *d)
{
    uint32_t ops = d->s->act_count;
    for (uint32_t i = 0; i < ops; i++) {
        const struct act *op = &d->s->acts[i];
        if (op->kind != ACT_SUBMIT || !draw_chance(d, 10)) {
            continue;
        }
        struct act *a = draw_act(d, ACT_CANCEL);
        a->at_us = op->at_us + draw_ms(d, 1, 3000);
        if (a->at_us >= d->s->heal_us) {
            a->at_us = d->s->heal_us - 1;
        }
        memcpy(a->label, op->label, sizeof(a->label));
    }
}

/* The upper tiers in processes with standbys: pauses of a holder, crashes, twins. */
static void draw_processes(struct drawer *d)
{
    struct scenario *s = d->s;
    s->conf.processes = draw_chance(d, 50) ? 1 + draw_pick(d, 3) : 0;
    uint32_t n = s->conf.processes > 0 ? draw_pick(d, 5) : 0;
    for (uint32_t i = 0; i < s->broken_count && s->conf.processes > 0; i++) {
        if (s->broken[i].tier == TIER_CLUSTER) { /* its lead is taken over: only agents stay dead */
            s->broken[i] = unit_agent(s->broken[i].sector, s->broken[i].cluster, 1);
        }
    }
    for (uint32_t i = 0; i < n && s->act_count < SCENARIO_ACTS_MAX; i++) {
        static const enum act_kind kinds[] = {ACT_TWIN, ACT_PAUSE, ACT_KILL};
        struct act *a = draw_act(d, kinds[draw_pick(d, 3)]);
        do {
            a->unit = draw_unit(d);
        } while (a->unit.tier == TIER_AGENT);
        a->for_us = draw_ms(d, 1000, draw_chance(d, 30) ? 120000 : 15000);
        if (a->at_us + a->for_us > s->heal_us) {
            a->for_us = s->heal_us - a->at_us;
        }
    }
}

static void draw_liars(struct drawer *d)
{
    uint32_t n = draw_chance(d, 25) ? 1 + draw_pick(d, 3) : 0;
    for (uint32_t i = 0; i < n && d->s->act_count < SCENARIO_ACTS_MAX; i++) {
        struct act *a = draw_act(d, ACT_LIE);
        a->unit = draw_agent(d);
        a->lie = (enum world_lie)draw_pick(d, DRAW_LIES);
        draw_lasts(d, a, 5000, 60000);
    }
}

/* The operator keeps agents out, and lets them back. */
static void draw_quarantines(struct drawer *d)
{
    uint32_t n = draw_chance(d, 30) ? 1 + draw_pick(d, 3) : 0;
    for (uint32_t i = 0; i < n && d->s->act_count < SCENARIO_ACTS_MAX; i++) {
        struct act *a = draw_act(d, ACT_QUARANTINE);
        a->unit = draw_agent(d);
        draw_lasts(d, a, 1000, 30000);
    }
}

/* Clocks that mesh time must bear: of the root, too. It slews at 500 ppm, so what is drawn is what
 * it makes good again within the run's bounds (docs/SIMULATION.md). */
static void draw_clocks(struct drawer *d)
{
    uint32_t n = draw_chance(d, 25) ? 1 + draw_pick(d, 3) : 0;
    for (uint32_t i = 0; i < n && d->s->act_count + 1 < SCENARIO_ACTS_MAX; i++) {
        struct act *a = draw_act(d, draw_chance(d, 50) ? ACT_CLOCK_JUMP : ACT_WALL_STEP);
        a->unit = draw_chance(d, 50) ? unit_orchestrator() : draw_unit(d);
        a->by_us = draw_ms(d, 1, 60);
        int64_t at_us = a->at_us;
        if (a->kind == ACT_WALL_STEP) { /* is seen by who starts anew */
            a->by_us = either_way(a->by_us, US_PER_MS);
            struct act *again = draw_act(d, ACT_RESTART);
            again->unit = d->s->acts[d->s->act_count - 2].unit;
            again->at_us = at_us + 1;
        }
    }
}

/* A sector serves consoles, too: what lies within it. The rest it refuses. */
static void draw_served_by_sectors(struct drawer *d)
{
    for (uint32_t i = 0; i < d->s->act_count; i++) {
        struct act *op = &d->s->acts[i];
        if (op->kind != ACT_SUBMIT || !draw_chance(d, 10)) {
            continue;
        }
        op->via = unit_sector(1 + draw_pick(d, d->s->conf.topology.sectors));
        if (draw_chance(d, 70)) {
            char name[UNIT_TEXT_MAX];
            bool whole = draw_chance(d, 50);
            unit_format(whole ? op->via : unit_cluster(op->via.sector, 1), name);
            snprintf(op->places, sizeof(op->places), "%s", name);
        }
    }
}

/* The store may lose what it had acknowledged. */
bool draw_forgets(const struct scenario *s)
{
    for (uint32_t i = 0; i < s->act_count; i++) {
        enum act_kind kind = s->acts[i].kind;
        if (kind == ACT_STORE_WIPE || kind == ACT_STORE_CRASH || kind == ACT_STORE_FAILOVER) {
            return true;
        }
    }
    return false;
}

/* Contexts are loaded, some from the registry by their names, and some rot where they lie: the
 * agent's next beats tell of it. Where the registry forgets, what has rotted cannot come back; and
 * it is one context in all, because an agent that is given another while it is accused of its
 * former one stays out until a person decides. */
static void draw_contexts(struct drawer *d)
{
    static const char *const after[] = {"context", "rot", "context-load", "echo"};
    bool lossy = draw_forgets(d->s);
    uint32_t n = draw_chance(d, 30) ? 2 + draw_pick(d, 7) : 0, which = draw_pick(d, 3);
    for (uint32_t i = 0; i < n && d->s->act_count < SCENARIO_ACTS_MAX; i++) {
        const char *action = i == 0 ? "context-load" : after[draw_pick(d, 4)];
        draw_operation(d);
        struct act *a = &d->s->acts[d->s->act_count - 1];
        bool rot = strcmp(action, "rot") == 0;
        snprintf(a->action, sizeof(a->action), "%s", rot && lossy ? "context" : action);
        a->payload[0] = '\0';
        if (strcmp(action, "context-load") == 0) {
            snprintf(a->payload, sizeof(a->payload), "what agents are to know, %u", which);
        } else if (rot) {
            snprintf(a->payload, sizeof(a->payload), "%u", 100 + draw_pick(d, 900));
        }
    }
}

/* Clusters, and single agents, live elsewhere for a while, or until the end. Agents are started by
 * hosts then, which start the broken ones again, and which are not in a process of the upper tiers;
 * and where the registry forgets moves that it had acknowledged, their agents stay where they are
 * for longer than a run (docs/adr/0034). */
static void draw_moves(struct drawer *d)
{
    struct scenario *s = d->s;
    uint32_t spare = 1 + draw_pick(d, 6);
    uint32_t n = draw_chance(d, 60) ? 1 + draw_pick(d, 4) : 0;
    bool quarantine = false; /* that is lifted where the agent was, not where it is */
    for (uint32_t i = 0; i < s->act_count; i++) {
        quarantine = quarantine || s->acts[i].kind == ACT_QUARANTINE;
    }
    if (s->conf.processes > 0 || s->broken_count > 0 || quarantine || draw_forgets(s) || n == 0) {
        return;
    }
    scenario_spare(s, spare);
    for (uint32_t i = 0; i < n && s->act_count < SCENARIO_ACTS_MAX; i++) {
        struct act *a = draw_act(d, ACT_MOVE);
        a->unit = draw_agent(d);
        if (draw_chance(d, 70)) {
            a->unit = unit_cluster(a->unit.sector, a->unit.cluster);
        }
        draw_lasts(d, a, 500, 40000);
    }
}

/* Newcomers come in, are given up, removed again and let stay, among all else; where nobody moves,
 * too, under the same conditions. */
static void draw_scales(struct drawer *d)
{
    struct scenario *s = d->s;
    uint32_t spare = 1 + draw_pick(d, 6);
    uint32_t n = draw_chance(d, 40) ? 1 + draw_pick(d, 5) : 0;
    if (s->conf.processes > 0 || s->broken_count > 0 || draw_forgets(s) || n == 0) {
        return;
    }
    if (s->conf.topology.spare == 0) {
        scenario_spare(s, spare);
    }
    for (uint32_t i = 0; i < n && s->act_count < SCENARIO_ACTS_MAX; i++) {
        struct act *a = draw_act(d, i > 0 && draw_chance(d, 60) ? ACT_RETIRE : ACT_SCALE);
        struct unit u = draw_agent(d);
        a->unit = draw_chance(d, 60)   ? unit_orchestrator()
                  : draw_chance(d, 50) ? unit_sector(u.sector)
                                       : unit_cluster(u.sector, u.cluster);
        a->factor = 1 + draw_pick(d, a->unit.tier == TIER_CLUSTER ? 3 : 10);
        draw_lasts(d, a, 500, 40000);
    }
}

static void draw_broken(struct drawer *d)
{
    struct scenario *s = d->s;
    uint32_t n = draw_chance(d, 40) ? 1 + draw_pick(d, 2) : 0;
    for (uint32_t i = 0; i < n; i++) {
        struct unit a = draw_agent(d);
        s->broken[s->broken_count++] = draw_chance(d, 50) ? a
                                       : i == 0 && draw_chance(d, 50)
                                           ? unit_cluster(a.sector, a.cluster)
                                           : a;
    }
}

void draw_deep(uint64_t seed, struct scenario *ret)
{
    static const enum act_kind faults[] = {
        ACT_KILL,       ACT_RESTART,        ACT_PAUSE,          ACT_CUT,          ACT_STORE_DOWN,
        ACT_SLOW,       ACT_FREEZE,         ACT_DROP,           ACT_CUT_OUT,      ACT_CUT_IN,
        ACT_DUPLICATE,  ACT_REORDER,        ACT_DELAY,          ACT_CLOG,         ACT_BROKER,
        ACT_DISCONNECT, ACT_SWALLOW,        ACT_CLOCK_DRIFT,    ACT_WALL_STEP,    ACT_STORE_SILENT,
        ACT_STORE_FULL, ACT_STORE_BARE,     ACT_STORE_READONLY, ACT_STORE_UNSURE, ACT_STORE_CRASH,
        ACT_STORE_WIPE, ACT_STORE_FAILOVER, ACT_FAULT_POINTS};
    scenario_init(ret);
    struct drawer d = {.s = ret};
    rng_seed(&d.rng, seed, 4242);
    snprintf(ret->name, sizeof(ret->name), "seed %llu", (unsigned long long)seed);
    ret->conf.seed = seed;
    draw_classes(&d);
    ret->conf.agent_loss_permille = draw_chance(&d, 50) ? skewed(&d, 300) : 0;
    ret->conf.tier_loss_permille = draw_chance(&d, 40) ? skewed(&d, 120) : 0;
    ret->heal_us = ret->run_us = rng_range(&d.rng, 20, 80) * US_PER_S;
    draw_broken(&d);
    for (unsigned k = 0; k < sizeof(faults) / sizeof(faults[0]); k++) {
        bool in = draw_chance(&d, k < 7 ? 40 : 15);
        uint32_t n = in ? 1 + skewed(&d, k < 7 ? 6 : 4) : 0;
        for (uint32_t i = 0; i < n; i++) {
            draw_fault(&d, faults[k]);
        }
    }
    uint32_t operations = 2 + draw_pick(&d, ACTS_WORK);
    for (uint32_t i = 0; i < operations; i++) {
        draw_operation(&d);
    }
    if (draw_chance(&d, 25)) {
        draw_burst(&d);
    }
    if (draw_chance(&d, 30)) {
        draw_overtaking(&d);
    }
    draw_cancels(&d);
    draw_processes(&d);
    draw_liars(&d);
    draw_quarantines(&d);
    draw_clocks(&d);
    draw_contexts(&d);
    draw_served_by_sectors(&d);
    draw_stories(&d);
    draw_moves(&d);
    draw_scales(&d);
    draw_late_stories(&d);
}

void draw_print(const struct scenario *s, FILE *to)
{
    static const char letters[] = "?ABCDEF";
    uint32_t counts[ACT_KIND_COUNT] = {0};
    fputs("classes", to);
    for (unsigned c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
        if (s->conf.topology.class_agents[c] > 0) {
            fprintf(to, " %c%u", letters[c], s->conf.topology.class_agents[c]);
        }
    }
    if (s->conf.processes > 0) {
        fprintf(to, ", processes %u", s->conf.processes);
    }
    if (s->pending > 0) {
        fprintf(to, ", pending %u", s->pending);
    }
    fprintf(to, ", loss %u/%u permille, heal %lld s, broken %u,", s->conf.agent_loss_permille,
            s->conf.tier_loss_permille, (long long)(s->heal_us / US_PER_S), s->broken_count);
    for (uint32_t i = 0; i < s->act_count; i++) {
        counts[s->acts[i].kind]++;
    }
    for (unsigned k = 1; k < ACT_KIND_COUNT; k++) {
        if (counts[k] > 0) {
            fprintf(to, " %s %u", act_name((enum act_kind)k), counts[k]);
        }
    }
}
