/* The life of processes: leases, wards, take-overs, twins. What crosses between them is in
 * world_process_net.c. core/lease and core/wards decide, as in the real runner; here is what
 * process.c does around them, on the process's own clock. */
#include "sim/world_process.h"
#include "core/num.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOUBT_US       (60 * US_PER_S)
#define DOUBT_AHEAD_US (86400ll * US_PER_S)

static int64_t local(const struct world *w, const struct process *p)
{
    return world_local(&w->nodes[p->node], w->now_us);
}

static uint32_t tier_units(const struct world *w, enum tier tier, uint32_t *ret_first)
{
    const struct topology *t = &w->conf.topology;
    uint32_t clusters = (uint32_t)t->sectors * t->clusters_per_sector;
    *ret_first = tier == TIER_ORCHESTRATOR ? 0 : tier == TIER_SECTOR ? 1 : w->first_cluster;
    return tier == TIER_ORCHESTRATOR ? 1 : tier == TIER_SECTOR ? t->sectors : clusters;
}

static enum tier name_tier(const struct world *w, uint32_t name)
{
    return (enum tier)(TIER_ORCHESTRATOR + name / w->conf.processes);
}

static void name_text(const struct world *w, uint32_t name, char ret[32])
{
    static const char *const tiers[] = {"?", "orchestrator", "sectors", "clusters"};
    snprintf(ret, 32, "%s%u", tiers[name_tier(w, name)], name % w->conf.processes + 1);
}

/* --- units ---
 */

static void take(struct world *w, struct process *p, uint32_t first, uint32_t units, uint64_t epoch)
{
    struct processes *all = w->processes;
    uint32_t self = (uint32_t)(p - all->list);
    for (uint32_t u = first; u < first + units; u++) {
        uint32_t i = all->instances[self * all->units + u];
        struct world_node *n = &w->nodes[i];
        if (n->self != NULL || n->ops == NULL) {
            continue;
        }
        n->epoch = epoch - 1; /* world_start adds one */
        world_start(w, i, 0);
        (void)world_process_learn(w, self, u, p->name, epoch);
    }
    p->serving = true;
    p->announce = true;
}

static void drop(struct world *w, struct process *p, uint32_t first, uint32_t units)
{
    struct processes *all = w->processes;
    uint32_t self = (uint32_t)(p - all->list);
    for (uint32_t u = first; u < first + units; u++) {
        world_stop(w, all->instances[self * all->units + u]);
    }
    p->ask = true;
}

/* No two programs look at a clock in the same microsecond. */
static uint64_t unix_us(const struct world *w, const struct process *p)
{
    return (uint64_t)(WORLD_UNIX_US + w->now_us + w->nodes[p->node].wall_off_us) +
           (uint64_t)(p - w->processes->list);
}

/* --- start and end ---
 */

void world_process_start(struct world *w, uint32_t index)
{
    struct processes *all = w->processes;
    struct process *p = &all->list[index];
    struct world_node *n = &w->nodes[p->node];
    char name[32], owner[48];
    if (p->up) {
        return;
    }
    n->self = world_alloc(16);
    p->up = true;
    p->mute = p->held = p->contradict = false;
    memset(p->contradicts, 0, sizeof(p->contradicts));
    p->serving = p->owns = p->announce = p->ask = false;
    p->started_us = p->alive_us = local(w, p);
    p->started_true_us = w->now_us;
    p->announced_us = 0;
    p->doubted_us = p->doubter_us = 0;
    p->doubt_to = 0;
    world_process_forget(w, index);
    world_process_renew(w, p);
    name_text(w, p->name, name);
    snprintf(owner, sizeof(owner), "%s:%llu", name, (unsigned long long)p->session);
    uint64_t epoch = unix_us(w, p);
    lease_init(&p->lease, name, owner, epoch, p->started_us);
    uint32_t count = 0, each = w->conf.processes, from = p->name / each * each;
    for (uint32_t k = 1; k < each; k++) { /* the nearest predecessor first */
        uint32_t ward = from + (p->name - from + each - k) % each;
        if (all->list[ward].units == 0) {
            continue;
        }
        name_text(w, ward, name);
        lease_init(&p->list[count].lease, name, owner, 1, p->started_us);
        p->list[count].held = p->list[count].known = false;
        p->list[count].probe_us = p->list[count].home_us = 0;
        p->ward_name[count++] = (uint16_t)ward;
    }
    wards_init(&p->wards, p->list, count, w->conf.tuning.tier_failed_us,
               w->conf.seed * 31u + p->session, p->started_us);
    world_push(w, w->now_us + 1000, W_TICK, p->node, 0, NULL);
}

void world_process_end(struct world *w, uint32_t index)
{
    struct processes *all = w->processes;
    struct process *p = &all->list[index];
    if (!p->up) {
        return;
    }
    p->up = false;
    world_stop(w, p->node);
    w->nodes[p->node].paused_until_us = 0;
    for (uint32_t u = 0; u < all->units; u++) {
        uint32_t i = all->instances[index * all->units + u];
        if (i != WORLD_NOBODY) {
            world_stop(w, i);
            w->nodes[i].paused_until_us = 0;
        }
    }
}

/* --- serving ---
 */

bool world_process_is_twin(const struct world *w, uint32_t process)
{
    return process >= w->processes->names;
}

/* is_mute() of process.c. */
bool world_process_mute(const struct world *w, const struct process *p)
{
    const struct known *k = world_process_known(w, (uint32_t)(p - w->processes->list), p->first);
    return (p->lease.state == LEASE_ASKING || p->lease.state == LEASE_WAITING) &&
           (p->units == 0 || k->epoch == 0 || k->name == p->name);
}

/* may_serve() of process.c: it is asked before anything else happens in the process. */
bool world_process_serves(struct world *w, uint32_t index)
{
    struct process *p = &w->processes->list[index];
    int64_t now_us = local(w, p);
    if (now_us - p->alive_us > LEASE_PAUSE_US) {
        lease_paused(&p->lease, now_us);
        wards_paused(&p->wards, now_us);
        w->met[WORLD_MET_DOUBT]++;
    }
    p->alive_us = now_us;
    return p->up && p->serving && !lease_doubted(&p->lease) && !wards_doubt(&p->wards) &&
           !p->mute && !world_process_mute(w, p);
}

static void submit(struct world *w, struct process *p, const struct store_op *op, uint32_t ward)
{
    struct store_op tagged = *op;
    assert(store_op_check(op) == NULL); /* as the real client's; no outbox looks at it here */
    tagged.ref = op->ref << 8 | ward;   /* whose: WARDS_MAX - 1 is its own */
    world_store_begin(w, p->node, &tagged);
}

void world_process_reply(struct world *w, uint32_t node, const struct store_reply *reply)
{
    struct process *p = &w->processes->list[node - w->processes->first_node];
    struct store_reply own = *reply;
    uint32_t ward = (uint32_t)(reply->ref & 0xffu);
    own.ref = reply->ref >> 8;
    lease_reply(ward == WARDS_MAX - 1 ? &p->lease : &p->list[ward].lease, local(w, p), &own);
}

static bool store_up(const struct world *w)
{
    return world_bank_up(w, STORE_BANK_DURABLE);
}

static void raise_epoch(const struct world *w, uint32_t self, struct lease *l, uint32_t unit)
{
    uint64_t least = world_process_known(w, self, unit)->epoch + 1;
    l->epoch = least > l->epoch ? least : l->epoch;
    lease_at_least(l, unix_us(w, &w->processes->list[self]));
}

static void give_up(struct world *w, struct process *p, struct lease *l)
{
    struct store_op op;
    if (lease_release(l, &op)) {
        submit(w, p, &op, WARDS_MAX - 1);
    }
    lease_superseded(l);
}

/* Somebody serves these units under a higher epoch: give the lease to it. */
static void check_superseded(struct world *w, struct process *p, struct lease *l, uint32_t unit)
{
    const struct known *k = world_process_known(w, (uint32_t)(p - w->processes->list), unit);
    if (lease_serves(l) && k->epoch > l->epoch) {
        give_up(w, p, l);
    }
}

/* believed() of process_doubt.c. from: an end. */
static bool believed(const struct world *w, struct process *p, uint32_t from, int64_t now_us)
{
    if (from < w->processes->count) {
        return true;
    }
    bool second = p->doubter_us != 0 && now_us - p->doubter_us < DOUBT_US && p->doubter != from;
    p->doubter = from;
    p->doubter_us = now_us;
    return second;
}

static bool acquire_above(struct world *w, struct process *p, struct lease *l, uint64_t told)
{
    if (!lease_serves(l) || told <= l->epoch) {
        return false;
    }
    give_up(w, p, l);
    if (told <= unix_us(w, p) + DOUBT_AHEAD_US) {
        l->epoch = told + 1;
    }
    return true;
}

/* process_doubted() */
void world_process_doubted(struct world *w, struct process *p, uint32_t from, uint32_t of,
                           uint64_t told)
{
    int64_t now_us = local(w, p);
    bool soon = p->doubted_us != 0 && now_us - p->doubted_us < DOUBT_US;
    if (soon || !believed(w, p, from, now_us)) {
        return;
    }
    bool any = p->owns && of == p->name && acquire_above(w, p, &p->lease, told);
    for (uint32_t i = 0; i < p->wards.count; i++) {
        if (p->list[i].held && p->ward_name[i] == of) {
            any = acquire_above(w, p, &p->list[i].lease, told) || any;
        }
    }
    p->doubted_us = any ? now_us : p->doubted_us;
    w->met[WORLD_MET_DOUBTED] += any ? 1 : 0;
}

static void tick_lease(struct world *w, struct process *p, int64_t now_us)
{
    struct store_op op;
    if (!p->owns && p->units > 0) {
        raise_epoch(w, (uint32_t)(p - w->processes->list), &p->lease, p->first);
    }
    if (lease_tick(&p->lease, now_us, store_up(w), &op)) {
        submit(w, p, &op, WARDS_MAX - 1);
    }
    bool holds = p->lease.state == LEASE_HELD;
    if (holds && !p->held) {
        world_process_renew(w, p);
    }
    p->held = holds;
    if (p->lease.state == LEASE_LOST) {
        w->met[WORLD_MET_STEPPED_DOWN]++;
        drop(w, p, p->first, p->units);
        p->owns = false;
        lease_stand_by(&p->lease, now_us);
    }
    if (!p->owns && lease_serves(&p->lease)) {
        world_process_renew(w, p); /* peers listen to the latest session of a name */
        take(w, p, p->first, p->units, p->lease.epoch);
        p->owns = true;
    }
}

/* tick_voice() of process.c */
static void tick_voice(struct world *w, struct process *p, int64_t now_us)
{
    bool mute = world_process_mute(w, p);
    if (p->mute && !mute) {
        wards_silenced(&p->wards, now_us);
        if (!p->owns) {
            world_process_renew(w, p);
        }
    }
    p->mute = mute;
}

static void act(struct world *w, struct process *p, enum ward_action action, uint32_t i,
                const struct store_op *op)
{
    const struct process *of = &w->processes->list[p->ward_name[i]];
    switch (action) {
    case WARD_PROBE:
        world_process_alive(w, p, p->ward_name[i], true);
        break;
    case WARD_STORE:
        submit(w, p, op, i);
        break;
    case WARD_TAKE:
        w->met[WORLD_MET_TAKEOVER]++;
        if (!p->owns) { /* another of its name may have spoken last */
            world_process_renew(w, p);
        }
        take(w, p, of->first, of->units, p->list[i].lease.epoch);
        break;
    case WARD_DROP:
    case WARD_RETURN:
        w->met[action == WARD_DROP ? WORLD_MET_STEPPED_DOWN : WORLD_MET_GIVEN_BACK]++;
        drop(w, p, of->first, of->units);
        if (action == WARD_RETURN) {
            submit(w, p, op, WARDS_MAX - 1);
        }
        break;
    case WARD_NOTHING:
        break;
    }
}

static void tick_wards(struct world *w, struct process *p, int64_t now_us)
{
    struct store_op op;
    uint32_t i = 0, self = (uint32_t)(p - w->processes->list);
    enum ward_action a;
    if (p->owns && p->units > 0) {
        check_superseded(w, p, &p->lease, p->first);
    }
    for (uint32_t k = 0; k < p->wards.count; k++) {
        struct ward *ward = &p->list[k];
        uint32_t unit = w->processes->list[p->ward_name[k]].first;
        if (ward->held) {
            check_superseded(w, p, &ward->lease, unit);
        } else {
            raise_epoch(w, self, &ward->lease, unit);
        }
    }
    bool bus_up = w->now_us >= w->nodes[p->node].bus_up_us;
    while ((a = wards_tick(&p->wards, now_us, bus_up, store_up(w), &i, &op)) != WARD_NOTHING) {
        act(w, p, a, i, &op);
    }
}

static void tick_announce(struct world *w, struct process *p, int64_t now_us)
{
    bool due = now_us - p->announced_us >= ANNOUNCE_EVERY_US;
    if (!p->serving || w->now_us < w->nodes[p->node].bus_up_us ||
        (!p->announce && !p->ask && !due)) {
        return;
    }
    bool first = p->announced_us == 0;
    p->announce = false;
    p->announced_us = now_us;
    if (p->owns && p->units > 0) {
        world_process_announce(w, p, p->name, p->lease.epoch);
    }
    for (uint32_t i = 0; i < p->wards.count; i++) {
        if (p->list[i].held) {
            world_process_announce(w, p, p->ward_name[i], p->list[i].lease.epoch);
        }
    }
    if (first || p->ask) {
        p->ask = false;
        world_process_ask(w, p);
    }
}

void world_process_tick(struct world *w, uint32_t node)
{
    uint32_t index = node - w->processes->first_node;
    struct process *p = &w->processes->list[index];
    (void)world_process_serves(w, index);
    int64_t now_us = local(w, p);
    tick_lease(w, p, now_us);
    tick_voice(w, p, now_us);
    if (!p->mute) {
        tick_wards(w, p, now_us);
        tick_announce(w, p, now_us);
    }
    world_process_contradict(w, p);
    world_push(w, w->now_us + TICK_US, W_TICK, node, 0, NULL);
}

/* --- what acts mean ---
 * An act on a unit of an upper tier is one on the process that runs it, or that would. */

bool world_process_meant(const struct world *w, uint32_t index, struct unit u, bool below)
{
    const struct processes *all = w->processes;
    for (uint32_t k = 0; k < all->units; k++) {
        struct unit v = w->nodes[k].unit;
        if (w->nodes[k].ops == NULL || !(unit_equal(v, u) || (below && world_within(v, u)))) {
            continue;
        }
        bool runs = false, here = false;
        for (uint32_t i = 0; i < all->count; i++) {
            uint32_t node = all->instances[i * all->units + k];
            bool it = node != WORLD_NOBODY && (w->nodes[node].self != NULL);
            runs = runs || it;
            here = here || (it && i == index);
        }
        const struct process *p = &all->list[index];
        bool home = index < all->names && k >= p->first && k < (uint32_t)p->first + p->units;
        if (here || (!runs && home)) {
            return true;
        }
    }
    return false;
}

/* A clean stop gives the leases up, so that nobody has to wait for their end. */
static void release(struct world *w, struct process *p)
{
    struct store_op op;
    if (!p->up || w->nodes[p->node].paused_until_us > w->now_us) {
        return;
    }
    if (lease_release(&p->lease, &op)) {
        submit(w, p, &op, WARDS_MAX - 1);
    }
    for (uint32_t i = 0; i < p->wards.count; i++) {
        if (lease_release(&p->list[i].lease, &op)) {
            submit(w, p, &op, WARDS_MAX - 1);
        }
    }
}

enum ending { END_KILLED, END_CLEAN, END_STARTED };

/* Ends those that are meant, all at one moment: who is meant depends on what still runs. */
static uint64_t end_meant(struct world *w, struct unit u, bool below, enum ending how)
{
    static_assert(2 * NAMES_MAX <= 64, "a bit each");
    bool meant[2 * NAMES_MAX];
    uint64_t ended = 0;
    for (uint32_t i = 0; i < w->processes->count; i++) {
        meant[i] = world_process_meant(w, i, u, below);
    }
    for (uint32_t i = 0; i < w->processes->count; i++) {
        if (meant[i]) {
            ended |= w->processes->list[i].up ? 1ull << i : 0;
            if (how == END_CLEAN) {
                release(w, &w->processes->list[i]);
            }
            world_process_end(w, i);
            if (how == END_STARTED) {
                world_process_start(w, i);
            }
        }
    }
    return ended;
}

uint64_t world_processes_kill(struct world *w, struct unit u, bool below)
{
    return end_meant(w, u, below, END_KILLED);
}

uint64_t world_processes_leave(struct world *w, struct unit u, bool below)
{
    return end_meant(w, u, below, END_CLEAN);
}

void world_processes_restart(struct world *w, struct unit u, bool below)
{
    (void)end_meant(w, u, below, END_STARTED);
}

void world_processes_start(struct world *w, uint64_t processes)
{
    for (uint32_t i = 0; w->processes != NULL && i < w->processes->names; i++) {
        if ((processes >> i & 1u) != 0) {
            world_process_start(w, i);
        }
    }
}

void world_processes_heal(struct world *w)
{
    for (uint32_t i = 0; w->processes != NULL && i < w->processes->names; i++) {
        world_process_start(w, i);
    }
}

static uint32_t home_of(const struct world *w, struct unit u)
{
    uint32_t unit = world_index(w, u);
    for (uint32_t i = 0; i < w->processes->names; i++) {
        const struct process *p = &w->processes->list[i];
        if (unit >= p->first && unit < (uint32_t)p->first + p->units) {
            return i;
        }
    }
    return 0;
}

void world_twin(struct world *w, struct unit u, bool on)
{
    if (w->processes == NULL) {
        return;
    }
    uint32_t twin = home_of(w, u) + w->processes->names;
    if (on) {
        world_process_start(w, twin);
    } else {
        world_process_end(w, twin);
    }
}

/* --- building ---
 */

uint32_t world_processes_nodes(const struct world_conf *conf)
{
    const struct topology *t = &conf->topology;
    uint32_t units = 1u + t->sectors + (uint32_t)t->sectors * t->clusters_per_sector;
    return conf->processes == 0 ? 0 : 2u * conf->processes * units - units + 6u * conf->processes;
}

static void *table(size_t rows, size_t columns, size_t bytes)
{
    return world_alloc(rows * columns * bytes);
}

static void process_init(struct world *w, uint32_t index)
{
    struct processes *all = w->processes;
    struct process *p = &all->list[index];
    uint32_t each = w->conf.processes, first;
    p->name = (uint16_t)(index % all->names);
    uint32_t units = tier_units(w, name_tier(w, p->name), &first), k = p->name % each;
    uint32_t from = units * k / each, to = units * (k + 1) / each;
    if (units < each) { /* the first ones have one each, the others stand by */
        from = k < units ? k : units;
        to = k < units ? k + 1 : units;
    }
    p->first = (uint16_t)(first + (from < units ? from : 0));
    p->units = (uint16_t)(to - from);
    p->node = all->first_node + index;
    struct world_node *n = &w->nodes[p->node];
    n->unit = w->nodes[p->first].unit;
    n->process = (uint16_t)index;
    n->wake_us = n->queued_us = NEVER;
    n->base_local_us = 1000000 + rng_range(&w->net, 0, 864000000000ll);
    n->drift = (double)rng_range(&w->net, -50000, 50000) * 1e-9;
}

/* nodes .. is where the extra instances go; the processes' own follow them. */
void world_processes_init(struct world *w, uint32_t nodes)
{
    struct processes *all = world_alloc(sizeof(*all));
    w->processes = all;
    assert(w->conf.processes <= WORLD_PROCESSES_MAX && w->conf.hosts == 0);
    all->names = 3u * w->conf.processes;
    all->count = 2u * all->names;
    all->units = w->first_agent;
    all->ends = all->count + (w->first_host - w->first_agent) + 1u;
    all->list = table(all->count, 1, sizeof(*all->list));
    all->instances = table(all->count, all->units, sizeof(*all->instances));
    all->known = table(all->ends, all->units, sizeof(*all->known));
    all->session = table(all->ends, all->names, sizeof(*all->session));
    all->contact = table(all->count, all->ends, sizeof(*all->contact));
    all->asked_us = table(all->ends, all->names, sizeof(*all->asked_us));
    all->first_node = w->node_count - all->count;
    for (uint32_t i = 0; i < all->count; i++) {
        process_init(w, i);
    }
    for (uint32_t i = 0; i < all->count; i++) {
        const struct process *p = &all->list[i];
        uint32_t first, units = tier_units(w, name_tier(w, p->name), &first);
        for (uint32_t u = 0; u < all->units; u++) {
            uint32_t *at = &all->instances[i * all->units + u];
            bool own = i < all->names && u >= p->first && u < (uint32_t)p->first + p->units;
            *at = u < first || u >= first + units ? WORLD_NOBODY : own ? u : nodes++;
            if (*at == WORLD_NOBODY) {
                continue;
            }
            struct world_node *n = &w->nodes[*at];
            n->process = (uint16_t)i;
            n->unit = w->nodes[u].unit;
            n->ops = w->nodes[u].ops;
            n->wake_us = n->queued_us = NEVER;
            n->base_local_us = w->nodes[p->node].base_local_us; /* one machine, one clock */
            n->drift = w->nodes[p->node].drift;
        }
    }
    assert(nodes == all->first_node);
    for (uint32_t e = 0; e < all->ends; e++) { /* the configuration, at epoch 0 */
        for (uint32_t i = 0; i < all->names; i++) {
            for (uint32_t u = 0; u < all->list[i].units; u++) {
                all->known[e * all->units + all->list[i].first + u].name = (uint16_t)i;
            }
        }
    }
    for (uint32_t i = 0; i < all->names; i++) {
        world_process_start(w, i);
    }
}

void world_processes_free(struct world *w)
{
    struct processes *all = w->processes;
    if (all != NULL) {
        free(all->list);
        free(all->instances);
        free(all->known);
        free(all->session);
        free(all->contact);
        free(all->asked_us);
        free(all);
    }
}
