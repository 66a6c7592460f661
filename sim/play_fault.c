/* Acts on the network, the clocks, the store and the fault points: one call of world_fault.h each.
 * A rule of the network goes both ways unless the act says one. */
#include "sim/play.h"
#include "sim/world_fault.h"
#include <assert.h>

static void rule(struct play *p, uint32_t index, bool out, bool in, struct world_rule r)
{
    const struct act *a = &p->s->acts[index];
    struct world_side inside = {.units = &a->unit, .count = 1};
    struct world_side others = {.units = &a->unit, .count = 1, .others = true};
    for (unsigned way = 0; way < 2; way++) {
        if (way == 0 ? out : in) {
            r.from = way == 0 ? inside : others;
            r.to = way == 0 ? others : inside;
            p->rules[index][way] = world_rule_add(p->w, &r);
        }
    }
}

static void network(struct play *p, uint32_t index)
{
    const struct act *a = &p->s->acts[index];
    struct world_rule r = {0};
    switch ((int)a->kind) {
    case ACT_DROP:
        r.drop_permille = a->permille;
        rule(p, index, true, true, r);
        break;
    case ACT_CUT_OUT:
    case ACT_CUT_IN:
        r.drop_permille = 1000;
        rule(p, index, a->kind == ACT_CUT_OUT, a->kind == ACT_CUT_IN, r);
        break;
    case ACT_DUPLICATE:
        r.duplicate_permille = a->permille;
        rule(p, index, true, true, r);
        break;
    case ACT_REORDER:
    case ACT_DELAY:
        r.reorder_permille = a->permille;
        r.delay_us = a->by_us;
        rule(p, index, true, true, r);
        break;
    default:
        assert(a->kind == ACT_CLOG);
        r.clog = true;
        rule(p, index, true, true, r);
        break;
    }
}

static void store_state(struct play *p, const struct act *a, enum world_store_state state)
{
    for (unsigned b = 0; b <= STORE_BANK_LOG; b++) {
        if ((scenario_banks(a) >> b & 1u) != 0) {
            world_store_state(p->w, (enum store_bank)b, state);
        }
    }
}

static void store_bank_fault(struct play *p, const struct act *a, enum store_bank bank)
{
    switch ((int)a->kind) {
    case ACT_STORE_UNSURE:
        world_store_unsure(p->w, bank, a->permille);
        break;
    case ACT_STORE_CRASH:
        world_store_crash(p->w, bank, a->for_us);
        break;
    case ACT_STORE_FAILOVER:
        world_store_failover(p->w, bank, a->for_us);
        break;
    case ACT_STORE_SPOIL:
        world_store_spoil(p->w, bank);
        break;
    default:
        assert(a->kind == ACT_STORE_WIPE);
        world_store_wipe(p->w, bank);
        break;
    }
}

static void store(struct play *p, const struct act *a)
{
    static const enum world_store_state states[] = {WORLD_STORE_SILENT, WORLD_STORE_READONLY,
                                                    WORLD_STORE_FULL, WORLD_STORE_BARE};
    if (a->kind == ACT_STORE_DOWN) {
        store_state(p, a, WORLD_STORE_AWAY);
        return;
    }
    if (a->kind >= ACT_STORE_SILENT && a->kind <= ACT_STORE_BARE) {
        store_state(p, a, states[a->kind - ACT_STORE_SILENT]);
        return;
    }
    for (unsigned b = 0; b <= STORE_BANK_LOG; b++) {
        if ((scenario_banks(a) >> b & 1u) != 0) {
            store_bank_fault(p, a, (enum store_bank)b);
        }
    }
}

static void points(struct play *p, uint32_t permille)
{
    for (unsigned t = TIER_ORCHESTRATOR; t <= TIER_AGENT; t++) {
        for (unsigned f = 0; f < FAULT_POINT_COUNT; f++) {
            if (f == FAULT_NO_ROOM && t < TIER_CLUSTER) {
                continue; /* they ask for the room of a whole answer first, and then rely on it */
            }
            world_fault_point(p->w, (enum tier)t, (enum fault_point)f, permille);
        }
    }
}

void play_fault(struct play *p, uint32_t index)
{
    const struct act *a = &p->s->acts[index];
    switch ((int)a->kind) {
    case ACT_BROKER:
        world_broker_restart(p->w, a->for_us);
        break;
    case ACT_DISCONNECT:
        world_disconnect(p->w, a->unit, a->below, a->for_us);
        break;
    case ACT_SWALLOW:
        world_swallow(p->w, a->unit, a->below, a->for_us);
        break;
    case ACT_CLOCK_JUMP:
        world_clock_jump(p->w, a->unit, a->below, a->by_us);
        break;
    case ACT_CLOCK_DRIFT:
        world_clock_drift(p->w, a->unit, a->below, (int64_t)a->ppm * 1000);
        break;
    case ACT_WALL_STEP:
        world_wall_step(p->w, a->unit, a->below, a->by_us);
        break;
    case ACT_FAULT_POINTS:
        points(p, a->permille);
        break;
    case ACT_LIE:
        world_lie(p->w, a->unit, false, a->lie, true);
        break;
    default:
        if (scenario_banks(a) != 0) {
            store(p, a);
        } else {
            network(p, index);
        }
        break;
    }
}

void play_fault_undo(struct play *p, uint32_t index)
{
    const struct act *a = &p->s->acts[index];
    world_rule_remove(p->w, p->rules[index][0]);
    world_rule_remove(p->w, p->rules[index][1]);
    p->rules[index][0] = p->rules[index][1] = 0;
    if (a->kind == ACT_STORE_DOWN || (a->kind >= ACT_STORE_SILENT && a->kind <= ACT_STORE_BARE)) {
        store_state(p, a, WORLD_STORE_UP);
    } else if (a->kind == ACT_STORE_UNSURE) {
        struct act none = *a;
        none.permille = 0;
        store(p, &none);
    } else if (a->kind == ACT_FAULT_POINTS) {
        points(p, 0);
    } else if (a->kind == ACT_LIE) {
        world_lie(p->w, a->unit, false, a->lie, false);
    }
}

void play_fault_heal(struct play *p)
{
    for (uint32_t i = 0; i < p->s->act_count; i++) {
        const struct act *a = &p->s->acts[i];
        if (a->kind > ACT_SUBMIT) {
            play_fault_undo(p, i);
        }
    }
    world_wall_heal(p->w);
}
