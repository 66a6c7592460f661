/* Stories of a seed, drawn after everything else in draw.c and in this order; a new one comes last.
 */
#include "sim/draw_story.h"
#include <string.h>

#define STORY_ACTS 40u /* the most that one adds */

static bool room(const struct drawer *d)
{
    return d->s->act_count + STORY_ACTS < SCENARIO_ACTS_MAX;
}

/* So that it is over before the heal. */
static void ends_before_heal(const struct drawer *d, struct act *a)
{
    if (a->at_us + a->for_us > d->s->heal_us) {
        a->for_us = d->s->heal_us - a->at_us;
    }
}

/* One that comes and goes: dead for a moment, again and again. */
static void flapping(struct drawer *d)
{
    struct unit u = draw_chance(d, 70) ? draw_agent(d) : draw_unit(d);
    int64_t every_us = draw_ms(d, 700, 6000), from_us = draw_act(d, ACT_KILL)->at_us;
    uint32_t n = 3 + draw_pick(d, 8);
    d->s->act_count--;
    for (uint32_t i = 0; i < n && from_us + (int64_t)i * every_us < d->s->heal_us; i++) {
        struct act *a = draw_act(d, ACT_KILL);
        a->at_us = from_us + (int64_t)i * every_us;
        a->unit = u;
        a->for_us = 1 + draw_ms(d, 50, every_us / US_PER_MS);
        ends_before_heal(d, a);
    }
}

/* Several of one cluster tell the same lie, from the same moment on. */
static void colluders(struct drawer *d)
{
    const struct topology *t = &d->s->conf.topology;
    struct unit first = draw_agent(d);
    enum world_lie lie =
        draw_chance(d, 60) ? WORLD_LIE_IMPEDANCE : (enum world_lie)draw_pick(d, DRAW_LIES);
    uint32_t n = 2 + draw_pick(d, t->agents_per_cluster - 1u);
    struct act like = *draw_act(d, ACT_LIE);
    d->s->act_count--;
    draw_lasts(d, &like, 5000, 60000);
    for (uint32_t i = 1; i <= t->agents_per_cluster && n > 0; i++) {
        struct unit u = unit_agent(first.sector, first.cluster, i);
        if (topology_planned(t, u)) {
            struct act *a = draw_act(d, ACT_LIE);
            *a = like;
            a->unit = u;
            a->lie = lie;
            n--;
        }
    }
}

/* A machine that stands still for a minute or two, with its lease if it has one. */
static void long_pause(struct drawer *d)
{
    struct act *a = draw_act(d, ACT_PAUSE);
    a->unit = draw_unit(d);
    a->for_us = draw_ms(d, 30000, 120000);
    int64_t end_us = a->at_us + a->for_us;
    if (end_us > d->s->heal_us) {
        d->s->heal_us = d->s->run_us = end_us;
    }
}

/* A client that keeps few messages for one who does not read. */
static void slow_consumers(struct drawer *d)
{
    uint32_t n = 1 + draw_pick(d, 3);
    d->s->pending = 1 + draw_pick(d, 40);
    for (uint32_t i = 0; i < n; i++) {
        struct act *a = draw_act(d, ACT_PAUSE);
        a->unit = draw_unit(d);
        a->for_us = draw_ms(d, 500, 15000);
        ends_before_heal(d, a);
    }
}

/* Agents speak to agents: one, all of some places, several with their answers, a chain. */
static void relays(struct drawer *d)
{
    static const char *const routings[] = {"direct", "broadcast", "scatter-gather", "pipeline"};
    static const char *const actions[] = {"echo", "work", "context", "no-such-action"};
    uint32_t n = 1 + draw_pick(d, 8);
    for (uint32_t i = 0; i < n; i++) {
        char places[64], author[UNIT_TEXT_MAX], name[UNIT_TEXT_MAX];
        uint32_t routing = draw_pick(d, 4);
        draw_operation(d);
        struct act *a = &d->s->acts[d->s->act_count - 1];
        unit_format(draw_agent(d), author);
        unit_format(draw_agent(d), places);
        for (uint32_t k = draw_pick(d, 3); k > 0 && routing != 0; k--) {
            size_t used = strlen(places);
            unit_format(draw_agent(d), name);
            snprintf(places + used, sizeof(places) - used, ",%s", name);
        }
        if (routing == 1 || (routing == 2 && draw_chance(d, 50))) {
            struct unit u = draw_agent(d);
            unit_format(draw_chance(d, 50) ? unit_sector(u.sector)
                                           : unit_cluster(u.sector, u.cluster),
                        places);
        }
        snprintf(a->action, sizeof(a->action), "relay");
        snprintf(a->payload, sizeof(a->payload), "%s %s %s hello", routings[routing], places,
                 actions[draw_pick(d, 4)]);
        snprintf(a->places, sizeof(a->places), "%s", author);
        a->class_mask = a->sample = 0;
        a->capability[0] = '\0';
        a->priority = draw_chance(d, 60) ? 3 : a->priority;
    }
}

/* A person who says yes or no to what waits, or to what does not. */
static void decisions(struct drawer *d)
{
    uint32_t acts = d->s->act_count;
    for (uint32_t i = 0; i < acts && d->s->act_count < SCENARIO_ACTS_MAX; i++) {
        const struct act *op = &d->s->acts[i];
        if (op->kind != ACT_SUBMIT || !draw_chance(d, 30)) {
            continue;
        }
        struct act *a = draw_act(d, draw_chance(d, 65) ? ACT_APPROVE : ACT_REJECT);
        a->at_us = op->at_us + draw_ms(d, 1, 9000);
        a->at_us = a->at_us < d->s->heal_us ? a->at_us : d->s->heal_us - 1;
        memcpy(a->label, op->label, sizeof(a->label));
    }
}

/* Faults of one server of the store alone. The log forgets nothing. */
static void banks(struct drawer *d)
{
    static const enum act_kind kinds[] = {ACT_STORE_DOWN,  ACT_STORE_SILENT,  ACT_STORE_READONLY,
                                          ACT_STORE_FULL,  ACT_STORE_UNSURE,  ACT_STORE_BARE,
                                          ACT_STORE_CRASH, ACT_STORE_FAILOVER};
    uint32_t n = 1 + draw_pick(d, 4);
    for (uint32_t i = 0; i < n; i++) {
        uint32_t bank = draw_pick(d, STORE_BANK_LOG + 1u);
        struct act *a = draw_act(d, kinds[draw_pick(d, bank == STORE_BANK_LOG ? 5 : 8)]);
        a->banks = (uint8_t)(1u << bank);
        a->permille = a->kind == ACT_STORE_UNSURE ? 1 + draw_pick(d, 500) : 0;
        if (a->kind == ACT_STORE_CRASH || a->kind == ACT_STORE_FAILOVER) {
            a->for_us = draw_ms(d, 200, 10000);
        } else {
            draw_lasts(d, a, 500, 30000);
        }
    }
}

/* What the registry has of the contexts is not what it was. An agent that lost its own cannot get
 * it back from there then, so nothing rots where it lies in such a run. */
static void spoilt(struct drawer *d)
{
    bool loads = false;
    for (uint32_t i = 0; i < d->s->act_count; i++) {
        struct act *a = &d->s->acts[i];
        loads = loads || strcmp(a->action, "context-load") == 0;
        if (strcmp(a->action, "rot") == 0) {
            snprintf(a->action, sizeof(a->action), "context");
            a->payload[0] = '\0';
        }
    }
    if (loads) {
        struct act *again = draw_act(d, ACT_RESTART);
        (void)draw_act(d, ACT_STORE_SPOIL);
        again->unit = draw_agent(d);
    }
}

static void each_of_cluster(struct drawer *d, struct unit lead, struct act like)
{
    const struct topology *t = &d->s->conf.topology;
    for (uint32_t i = 1; i <= t->agents_per_cluster; i++) {
        struct unit u = unit_agent(lead.sector, lead.cluster, i);
        if (topology_planned(t, u)) {
            struct act *a = draw_act(d, like.kind);
            *a = like;
            a->unit = u;
        }
    }
}

/* A cluster is too slow to answer in time until its breaker opens; at times all of its agents are
 * silent when that probes, so that it opens again. Then time enough until it is closed. */
static void tripped(struct drawer *d)
{
    struct unit u = draw_agent(d), lead = unit_cluster(u.sector, u.cluster);
    int64_t at_us = DRAW_FIRST_US + draw_ms(d, 0, 10000);
    bool silent = draw_chance(d, 60);
    int64_t end_us = at_us + (silent ? draw_ms(d, 60000, 190000) : draw_ms(d, 45000, 120000));
    d->s->heal_us = d->s->run_us = end_us > d->s->heal_us ? end_us : d->s->heal_us;
    each_of_cluster(
        d, lead,
        (struct act){.kind = ACT_SLOW, .at_us = at_us, .for_us = 12 * US_PER_S, .factor = 1000});
    for (int64_t i = 0; i < 8; i++) {
        draw_operation(d);
        struct act *op = &d->s->acts[d->s->act_count - 1];
        struct act plain = {.kind = ACT_SUBMIT,
                            .at_us = at_us + (i + 1) * US_PER_S,
                            .timeout_us = US_PER_S,
                            .priority = PRIORITY_COUNT - 1};
        memcpy(plain.label, op->label, sizeof(plain.label));
        snprintf(plain.action, sizeof(plain.action), "work");
        unit_format(lead, plain.places);
        *op = plain;
    }
    if (silent) {
        each_of_cluster(d, lead,
                        (struct act){.kind = ACT_KILL,
                                     .at_us = at_us + 15 * US_PER_S,
                                     .for_us = draw_ms(d, 30000, 45000)});
    }
}

/* It shows in what it does that it is slow. */
static void work_for(struct drawer *d, struct unit u, int64_t at_us)
{
    draw_operation(d);
    struct act *op = &d->s->acts[d->s->act_count - 1];
    op->at_us = at_us < d->s->heal_us ? at_us : d->s->heal_us - 1;
    unit_format(u, op->places);
    snprintf(op->action, sizeof(op->action), "work");
    op->class_mask = op->sample = 0;
    op->capability[0] = '\0';
}

/* Everything happens to one agent, one thing in the midst of another; first it is slow for long. */
static void troubled(struct drawer *d)
{
    static const enum act_kind kinds[] = {ACT_SLOW, ACT_QUARANTINE, ACT_FREEZE, ACT_KILL,
                                          ACT_CUT,  ACT_PAUSE,      ACT_CUT,    ACT_QUARANTINE};
    struct unit u = draw_agent(d);
    uint32_t n = 4 + draw_pick(d, 8);
    for (uint32_t i = 0; i < n; i++) {
        struct act *a = draw_act(d, i == 0 ? ACT_SLOW : kinds[draw_pick(d, 8)]);
        bool slow = a->kind == ACT_SLOW;
        int64_t at_us = a->at_us;
        a->unit = a->kind == ACT_FREEZE ? unit_cluster(u.sector, u.cluster) : u;
        a->factor = slow ? (double)(16u << draw_pick(d, 6)) : 0;
        a->for_us = draw_ms(d, slow ? 20000 : 3000, slow ? 60000 : 45000);
        ends_before_heal(d, a);
        for (int64_t k = 0; slow && k < (i == 0 ? 5 : 1); k++) {
            work_for(d, u, at_us + k * 2 * US_PER_S);
        }
    }
}

void draw_stories(struct drawer *d)
{
    static const struct {
        void (*tell)(struct drawer *d);
        uint32_t percent;
    } stories[] = {{flapping, 20}, {colluders, 10}, {long_pause, 6}, {slow_consumers, 15},
                   {relays, 30},   {decisions, 30}, {banks, 25},     {spoilt, 40},
                   {tripped, 5},   {troubled, 15}};
    for (unsigned i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
        if (draw_chance(d, stories[i].percent) && room(d)) {
            stories[i].tell(d);
        }
    }
}

/* --- later stories --- */

/* Clean stops, as an administrator's: of whom, and what he was doing then. */
static void leaving(struct drawer *d)
{
    uint32_t n = 1 + draw_pick(d, 4);
    for (uint32_t i = 0; i < n; i++) {
        struct act *a = draw_act(d, ACT_STOP);
        int64_t at_us = a->at_us;
        a->unit = draw_chance(d, 60) ? draw_agent(d) : draw_unit(d);
        a->below = a->unit.tier == TIER_CLUSTER && draw_chance(d, 30);
        draw_lasts(d, a, 200, 20000);
        if (a->unit.tier != TIER_AGENT || at_us < DRAW_FIRST_US + 16 * US_PER_S) {
            continue;
        }
        struct unit u = a->unit;
        struct act *before = draw_act(d, draw_chance(d, 50) ? ACT_FREEZE : ACT_SLOW);
        bool slow = before->kind == ACT_SLOW;
        before->at_us = at_us - (slow ? 14 : 4) * US_PER_S;
        before->for_us = 20 * US_PER_S;
        before->unit = slow ? u : unit_cluster(u.sector, u.cluster);
        before->factor = slow ? 200 : 0;
        for (int64_t k = 0; slow && k < 4; k++) {
            work_for(d, u, at_us - (13 - 2 * k) * US_PER_S);
        }
    }
}

/* New work goes around some. */
static void routed(struct drawer *d)
{
    uint32_t n = 1 + draw_pick(d, 3);
    for (uint32_t i = 0; i < n; i++) {
        struct act *a = draw_act(d, ACT_ROUTE);
        struct unit u = draw_agent(d);
        int64_t at_us = a->at_us;
        a->unit = draw_chance(d, 50) ? u : unit_cluster(u.sector, u.cluster);
        draw_lasts(d, a, 2000, 40000);
        draw_operation(d);
        struct act *op = &d->s->acts[d->s->act_count - 1];
        op->at_us = at_us + draw_ms(d, 300, 3000);
        op->at_us = op->at_us < d->s->heal_us ? op->at_us : d->s->heal_us - 1;
        op->priority = PRIORITY_COUNT - 1;
    }
}

static void submit(struct drawer *d, int64_t at_us, const char *action, const char *payload)
{
    draw_operation(d);
    struct act *op = &d->s->acts[d->s->act_count - 1];
    struct act plain = {.kind = ACT_SUBMIT, .at_us = at_us, .priority = PRIORITY_COUNT - 1};
    memcpy(plain.label, op->label, sizeof(plain.label));
    snprintf(plain.action, sizeof(plain.action), "%s", action);
    snprintf(plain.payload, sizeof(plain.payload), "%s", payload);
    *op = plain;
}

static bool is_spoilt(const struct scenario *s)
{
    for (uint32_t i = 0; i < s->act_count; i++) {
        if (s->acts[i].kind == ACT_STORE_SPOIL) {
            return true;
        }
    }
    return false;
}

/* All but one of a cluster give their neighbours less of a context than they hold; what that one
 * holds rots, so that it needs it. Where the registry still has it. */
static void bad_givers(struct drawer *d)
{
    const struct topology *t = &d->s->conf.topology;
    struct unit needs = draw_agent(d);
    if (draw_forgets(d->s) || is_spoilt(d->s)) {
        return;
    }
    submit(d, 6 * US_PER_S, "context-load", "what neighbours give each other");
    for (uint32_t i = 1; i <= t->agents_per_cluster; i++) {
        struct unit u = unit_agent(needs.sector, needs.cluster, i);
        if (topology_planned(t, u) && !unit_equal(u, needs)) {
            struct act *a = draw_act(d, ACT_LIE);
            a->at_us = DRAW_FIRST_US;
            a->unit = u;
            a->lie = WORLD_LIE_CONTENT;
        }
    }
    submit(d, 9 * US_PER_S + draw_ms(d, 0, 8000), "rot", "1000");
    unit_format(needs, d->s->acts[d->s->act_count - 1].places);
}

/* The times of several agents of one cluster shift at one moment, after they were well known (spec
 * 9.2, core/timing.h). */
static void shifted(struct drawer *d)
{
    struct unit u = draw_agent(d), lead = unit_cluster(u.sector, u.cluster);
    struct act shift = {
        .kind = ACT_LIE, .at_us = 52 * US_PER_S, .for_us = 40 * US_PER_S, .lie = WORLD_LIE_TIMING};
    int64_t end_us = 130 * US_PER_S;
    d->s->heal_us = d->s->run_us = end_us > d->s->heal_us ? end_us : d->s->heal_us;
    for (int64_t i = 0; i < 36; i++) {
        submit(d, (12 + 2 * i) * US_PER_S, "echo", "how long");
    }
    each_of_cluster(d, lead, shift);
    d->s->act_count -= 2u; /* not all of them: who stays as he was is the measure */
}

void draw_late_stories(struct drawer *d)
{
    static const struct {
        void (*tell)(struct drawer *d);
        uint32_t percent;
    } stories[] = {{leaving, 25}, {routed, 15}, {bad_givers, 6}, {shifted, 3}};
    for (unsigned i = 0; i < sizeof(stories) / sizeof(stories[0]); i++) {
        if (draw_chance(d, stories[i].percent) &&
            d->s->act_count + 2u * STORY_ACTS < SCENARIO_ACTS_MAX) {
            stories[i].tell(d);
        }
    }
}
