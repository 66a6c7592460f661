/* Threats in the virtual mesh: what processes refuse becomes evidence for the orchestrator, as the
 * real acceptance tells it (tiers/runner/alarm.h, process_exclude.c), and who is shut out is heard
 * no more. Off unless world_conf.threats, for a world of liars is else about something other. */
#include "sim/world_process.h"
#include <assert.h>
#include <string.h>

#define TELL_US (250 * US_PER_MS) /* the tick of a process, at which it tells what it refused */

static void push(struct world *w, const struct evidence *e, int64_t delay_us)
{
    uint32_t root = world_index(w, unit_orchestrator()), at[2] = {root};
    uint32_t count = w->processes == NULL ? 1 : world_process_targets(w, WORLD_NOBODY, root, at);
    for (uint32_t i = 0; i < count; i++) {
        struct block *b = world_block(w, sizeof(*e));
        memcpy(b->bytes, e, sizeof(*e));
        world_push(w, w->now_us + delay_us, W_EVIDENCE, at[i], 0, b);
    }
}

void world_refused(struct world *w, uint32_t from)
{
    struct world_node *n = &w->nodes[from];
    if (!w->conf.threats || n->unit.tier != TIER_AGENT) {
        return;
    }
    n->refused++;
    if (n->refused_told != 0 && n->refused / THREAT_TELL_GROWTH < n->refused_told) {
        return;
    }
    n->refused_told = n->refused;
    struct evidence e = {.tier = TIER_AGENT,
                         .accuser_above = true,
                         .weight = EVIDENCE_OVERREACH,
                         .check = "record-scope",
                         .accuser = "lead",
                         .count = n->refused,
                         .ranges = 1};
    char name[UNIT_TEXT_MAX];
    size_t bytes = unit_format(n->unit, name);
    assert(bytes < sizeof(e.accused)); /* units stand for processes here */
    memcpy(e.accused, name, bytes);
    e.agents[0].first =
        topology_index(&w->conf.topology, n->home != 0 ? w->nodes[n->home].unit : n->unit);
    e.agents[0].count = 1;
    push(w, &e, rng_range(&w->net, 500, TELL_US));
}

void world_accuse(struct world *w, const struct evidence *e)
{
    assert(w != NULL && e != NULL && w->conf.threats);
    push(w, e, rng_range(&w->net, 500, TELL_US));
}

/* A process that finds itself shut out stops: a unit of an upper tier does, at its next tick. */
void world_exclude(struct world *w, const struct exclusion *e)
{
    struct unit u;
    const char *why = NULL;
    uint32_t index =
        unit_parse(e->name, strlen(e->name), &u, &why) ? world_index(w, u) : WORLD_NOBODY;
    if (index == WORLD_NOBODY) {
        return; /* a console, or a process that is in no plan */
    }
    if (u.tier == TIER_AGENT) {
        w->nodes[index].excluded = e->on ? 1 : 0;
    } else if (e->on && u.tier != TIER_ORCHESTRATOR) {
        struct block *b = world_block(w, sizeof(u));
        memcpy(b->bytes, &u, sizeof(u));
        world_push(w, w->now_us + rng_range(&w->net, 500, TELL_US), W_SHUT_OUT, WORLD_NOBODY, 0, b);
    }
}

bool world_is_excluded(const struct world *w, uint32_t index)
{
    return index != WORLD_NOBODY && w->nodes[index].excluded;
}
