/* The loop of virtual time (its queue: world_queue.c). Nothing ticks: a node is stepped when
 * something arrives or at the wake it asked for; 30,000 idle agents cost nothing.
 *
 * A stale wake (the node asked for another one since) is skipped when it is popped. Events for a
 * dead incarnation of a node carry its old generation and are dropped. A paused node's events are
 * put back to the end of its pause, in their order.
 *
 * The world holds nodes to their contract (node.h): the wake lies after now, unless effects show
 * that the outbox was short; clocks never go back; no node spins at one instant for ever. */
#include "core/num.h"
#include "sim/facts.h"
#include "sim/wire.h"
#include "sim/world_owner.h"
#include "sim/world_process.h"
#include "sim/world_queue.h"
#include "tiers/agent/agent.h"
#include "tiers/cluster/cluster.h"
#include "tiers/host/host.h"
#include "tiers/orchestrator/orchestrator.h"
#include "tiers/sector/sector.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PACK_AGENTS         4096u  /* worlds of so many agents pack them */
#define SAME_TIME_WAKES_MAX 20000u /* one node at one instant: it spins */
#define DOUBT_RETRY_US      (50 * US_PER_MS)

void world_digest(struct world *w, uint64_t value)
{
    uint64_t state = w->stats.digest ^ value;
    w->stats.digest = rng_splitmix(&state);
}

void world_push(struct world *w, int64_t at_us, enum world_event kind, uint32_t node, uint32_t sub,
                struct block *block)
{
    struct entry e = {.at_us = at_us < w->now_us ? w->now_us : at_us,
                      .seq = ++w->seq & SEQ_MASK,
                      .block = block,
                      .node = node,
                      .sub = sub & 0xffu,
                      .kind = kind & 0xffu};
    if (node != WORLD_NOBODY) {
        e.generation = kind == W_WAKE ? w->nodes[node].wake_generation : w->nodes[node].generation;
    }
    queue_push(w->queue, &e);
}

/* --- clocks and places -------------------------------------------------------------------------
 */

/* What a clock has gained in so much time. One rounding of a product: it never falls. */
static int64_t gained(const struct world_node *n, int64_t us)
{
    return (int64_t)((double)us * n->drift);
}

int64_t world_local(const struct world_node *n, int64_t true_us)
{
    int64_t us = true_us - n->base_true_us;
    return n->base_local_us + us + gained(n, us);
}

/* The first true time at which the node's clock shows local_us or more. */
static int64_t true_time(const struct world_node *n, int64_t local_us)
{
    int64_t passed = local_us - n->base_local_us;
    int64_t t = n->base_true_us + passed - (int64_t)((double)passed * n->drift);
    while (world_local(n, t) >= local_us) {
        t--;
    }
    while (world_local(n, t) < local_us) {
        t += local_us - world_local(n, t) > 1000 ? (local_us - world_local(n, t)) / 2 : 1;
    }
    return t;
}

/* Places that each host has; its number is that of its first one, as in the real mesh. */
static uint32_t agents_each(const struct world_conf *conf)
{
    return (topology_places(&conf->topology) + conf->hosts - 1u) / conf->hosts;
}

uint32_t world_index(const struct world *w, struct unit u)
{
    const struct topology *t = &w->conf.topology;
    if (u.tier == TIER_HOST && w->conf.hosts == 0) {
        return WORLD_NOBODY;
    }
    if (u.tier == TIER_HOST) {
        uint32_t first = unit_number(u) - 1u, each = agents_each(&w->conf);
        return first / each < w->conf.hosts && first % each == 0 ? w->first_host + first / each
                                                                 : WORLD_NOBODY;
    }
    if (u.tier == TIER_CONSOLE || u.tier == TIER_NONE || !topology_contains(t, u)) {
        return WORLD_NOBODY;
    }
    switch (u.tier) {
    case TIER_ORCHESTRATOR:
        return 0;
    case TIER_SECTOR:
        return u.sector;
    case TIER_CLUSTER:
        return w->first_cluster + (u.sector - 1u) * t->clusters_per_sector + u.cluster - 1u;
    default:
        return w->first_agent + topology_index(t, u);
    }
}

/* --- steps -------------------------------------------------------------------------------------
 */

/* One entry of the queue looks at a node's wake. A later wake leaves it where it is: it finds then
 * that it is early, and goes on. An earlier one makes a new entry and the old one void. */
static void set_wake(struct world *w, uint32_t index, int64_t local_wake_us)
{
    struct world_node *n = &w->nodes[index];
    int64_t at = NEVER;
    if (local_wake_us != NEVER) {
        at = local_wake_us <= n->last_us ? w->now_us : true_time(n, local_wake_us);
        at = at < w->now_us ? w->now_us : at;
    }
    n->wake_local_us = local_wake_us;
    n->wake_us = at;
    if (at < n->queued_us) {
        n->queued_us = at;
        n->wake_generation++;
        world_push(w, at, W_WAKE, index, 0, NULL);
    }
}

void world_rewake(struct world *w, uint32_t index)
{
    set_wake(w, index, w->nodes[index].wake_local_us);
}

static void carry_out(struct world *w, uint32_t index)
{
    for (uint32_t i = 0; i < w->out.effect_count; i++) {
        struct effect *fx = &w->out.effects[i];
        world_digest(w, (uint64_t)fx->kind);
        switch (fx->kind) {
        case FX_SEND:
            fx->u.msg.sent_us = w->nodes[index].last_us;
            if (w->nodes[index].lies != 0) {
                world_lie_send(w, index, &fx->u.msg);
            } else {
                world_transmit(w, index, &fx->u.msg);
            }
            break;
        case FX_SEAL:
            world_seal(w, &fx->u.operation);
            break;
        case FX_STORE:
            world_store_begin(w, index, &fx->u.store);
            break;
        case FX_WORK:
            world_work_begin(w, index, &fx->u.work);
            break;
        case FX_WORK_CANCEL:
            world_work_cancel(w, index, fx->u.work_ref);
            break;
        case FX_GRANT:
            if (w->wire != NULL) {
                w->conf.wire->grant(w->wire, index, &fx->u.grant);
            }
            break;
        case FX_EXCLUDE:
            world_exclude(w, &fx->u.exclusion);
            break;
        case FX_SPAN: /* seen by whoever looks at the effects */
            world_digest(w, span_own_id(&fx->u.span));
            break;
        case FX_NOTE:
            world_digest(w, (uint64_t)fx->u.note.note << 32 ^ fx->u.note.a * 31u ^ fx->u.note.b);
            break;
        }
    }
}

static void spinning(const struct world *w, const struct world_node *n)
{
    char name[UNIT_TEXT_MAX];
    unit_format(n->unit, name);
    fprintf(stderr, "world: %s spins at %lld us\n", name, (long long)w->now_us);
    abort();
}

static bool is_packed(const struct world *w, const struct world_node *n)
{
    return w->packer.lines > 0 && n->unit.tier == TIER_AGENT;
}

static struct unit sender_of(const struct world *w)
{
    return w->delivering == NULL || w->delivering->from == WORLD_NOBODY
               ? (struct unit){0}
               : w->nodes[w->delivering->from].unit;
}

static void step(struct world *w, uint32_t index, struct event *event)
{
    struct world_node *n = &w->nodes[index];
    event->now_us = world_local(n, w->now_us);
    assert(event->now_us >= n->last_us && "a node's clock went back");
    n->same_time_wakes = event->now_us == n->last_us ? n->same_time_wakes + 1 : 0;
    if (n->same_time_wakes > SAME_TIME_WAKES_MAX) {
        spinning(w, n);
    }
    n->last_us = event->now_us;
    outbox_clear(&w->out);
    if (w->points_set) {
        w->out.faults = world_points(w, index);
    }
    bool packed = is_packed(w, n);
    void *self = packed ? world_unpack(w, n->self, event) : n->self;
    int64_t wake = n->ops->step(self, event, &w->out);
    n->self = packed ? world_pack(w, n->self) : n->self;
    if (event->kind == EV_WAKE && wake <= event->now_us && w->out.effect_count == 0) {
        spinning(w, n);
    }
    w->stats.steps++;
    world_digest(w, (uint64_t)w->now_us * 1000003u ^ index);
    world_digest(w, (uint64_t)event->kind << 56 ^ (uint64_t)wake);
    if (w->watch != NULL) {
        struct world_step s = {.true_us = w->now_us,
                               .unit = n->unit,
                               .instance = index,
                               .sender = sender_of(w),
                               .sent_us = w->delivering != NULL ? w->delivering->sent_us : 0,
                               .forged = w->delivering != NULL && w->delivering->forgery != 0,
                               .again = w->delivering != NULL && w->again,
                               .event = event,
                               .out = &w->out,
                               .wake_us = wake};
        w->watch(w->watch_context, &s);
    }
    carry_out(w, index);
    set_wake(w, index, wake);
}

void world_start(struct world *w, uint32_t index, int64_t delay_us)
{
    struct world_node *n = &w->nodes[index];
    assert(n->self == NULL);
    n->epoch++;
    n->generation++;
    world_push(w, w->now_us + delay_us, W_START, index, 0, NULL);
}

static void start_now(struct world *w, uint32_t index)
{
    struct world_node *n = &w->nodes[index];
    const struct topology *t = &w->conf.topology;
    if (n->self != NULL) {
        return;
    }
    const struct world_node *who = n->home != 0 ? &w->nodes[n->home] : n;
    struct node_conf conf = {.self = n->unit,
                             .uid = num_hash64(&who->unit, sizeof(who->unit), w->conf.seed),
                             .epoch = n->epoch,
                             /* each life draws anew, as each start of a process does */
                             .seed = w->conf.seed * 7919u + index + (n->epoch - 1) * 0x9e3779b9u,
                             .topology = t,
                             .tuning = w->conf.tuning,
                             .unix_us = WORLD_UNIX_US + w->now_us + n->wall_off_us,
                             .init_now_us = world_local(n, w->now_us),
                             .digest = world_hash,
                             .agent_class = n->agent_class,
                             .handlers_max = 4};
    if (n->unit.tier == TIER_AGENT) {
        conf.capabilities = topology_class_capabilities(t, n->agent_class);
        conf.facts = sim_facts(n->agent_class, topology_index(t, who->unit));
        memset(conf.context_hash.bytes, 0xc0, sizeof(conf.context_hash.bytes));
        n->context = conf.context_hash;
    } else if (n->unit.tier == TIER_HOST) {
        uint32_t places = topology_places(t), each = agents_each(&w->conf);
        conf.planned_only = true;
        conf.agent_first = unit_number(n->unit) - 1u;
        conf.agent_count = conf.agent_first >= places         ? 0
                           : places - conf.agent_first < each ? places - conf.agent_first
                                                              : each;
    }
    if (is_packed(w, n)) {
        n->ops->init(world_unpack(w, NULL, NULL), &conf);
        n->self = world_pack(w, NULL);
    } else { /* 16-byte aligned; pools cost nothing untouched */
        n->self = world_alloc(n->ops->size(&conf));
        n->ops->init(n->self, &conf);
    }
    n->wake_us = n->queued_us = NEVER;
    n->wake_generation++;
    n->works = NULL;
    struct event event = {.kind = EV_START};
    step(w, index, &event);
    if (n->unit.tier == TIER_HOST) {
        world_owner_forget(w, index);
    } else if (n->unit.tier == TIER_SECTOR && w->conf.hosts > 0) {
        world_push(w, w->now_us, W_ANNOUNCE, index, 0, NULL);
    }
    bool bus_up = w->now_us >= n->bus_up_us;
    world_push(w, w->now_us, W_LINK, index, LINK_BUS * 2u + (bus_up ? 1u : 0u), NULL);
    if (!bus_up) {
        world_push(w, n->bus_up_us, W_LINK, index, LINK_BUS * 2u + 1u, NULL);
    }
    world_store_links(w, index);
    if (n->host_says != 0) {
        world_push(w, w->now_us, W_CLOCK, index, 0, NULL);
    }
}

/* once: beside the regular ones. */
static void clock_event(struct world *w, uint32_t index, bool once)
{
    struct host_clock clock;
    struct event event = {.kind = EV_CLOCK};
    world_clock_event(w, index, &clock);
    event.u.clock = &clock;
    step(w, index, &event);
    if (!once) {
        world_push(w, w->now_us + WORLD_CLOCK_US, W_CLOCK, index, 0, NULL);
    }
}

static void node_free(struct world_node *n)
{
    free(n->self);
    n->self = NULL;
}

void world_stop(struct world *w, uint32_t index)
{
    struct world_node *n = &w->nodes[index];
    node_free(n);
    if (w->wire != NULL) {
        w->conf.wire->forget(w->wire, index);
    }
    n->works = NULL; /* the blocks are in the heap and go with their entries */
    n->generation++;
    n->wake_generation++;
    n->wake_us = n->queued_us = NEVER;
    world_work_agent_ended(w, index);
}

static void dispatch(struct world *w, const struct entry *e)
{
    struct world_node *n = e->node == WORLD_NOBODY ? NULL : &w->nodes[e->node];
    struct event event = {0};
    switch ((enum world_event)e->kind) {
    case W_START:
        start_now(w, e->node);
        return;
    case W_WAKE:
        n->wake_us = NEVER;
        event.kind = EV_WAKE;
        break;
    case W_MSG:
        world_deliver(w, e); /* calls world_step_msg */
        return;
    case W_TICK:
        world_process_tick(w, e->node);
        return;
    case W_STORE:
        if (n->ops == NULL) {
            world_process_reply(w, e->node,
                                &((struct world_store *)(void *)e->block->bytes)->reply);
            return;
        }
        event.kind = EV_STORE;
        event.u.store = &((struct world_store *)(void *)e->block->bytes)->reply;
        break;
    case W_WORK:
        world_work_end(w, e, &event);
        if (event.kind == 0) {
            return;
        }
        break;
    case W_LINK:
        if (n->ops == NULL) {
            return; /* a process looks itself (world_process.c) */
        }
        event.kind = EV_LINK;
        event.u.link.which = (enum link)(e->sub / 2u);
        event.u.link.up = e->sub % 2u == 1u;
        if (event.u.link.which != LINK_BUS &&
            event.u.link.up != world_link_up(w, event.u.link.which)) {
            return; /* silent, it answers before anybody has given it up; back, it is away again */
        }
        break;
    case W_CLOCK:
        clock_event(w, e->node, e->sub != 0);
        return;
    case W_EVIDENCE:
        if (n->ops == NULL || n->self == NULL) {
            return;
        }
        event.kind = EV_EVIDENCE;
        event.u.evidence = (const struct evidence *)(const void *)e->block->bytes;
        break;
    case W_ANNOUNCE:
        world_owner_announce(w, e->node);
        return;
    case W_SHUT_OUT:
        world_kill(w, *(const struct unit *)(const void *)e->block->bytes, false);
        return;
    }
    step(w, e->node, &event);
}

void world_step_msg(struct world *w, uint32_t index, const struct msg *msg)
{
    struct event event = {.kind = EV_MSG};
    event.u.msg = msg;
    world_digest(w, (uint64_t)msg->type << 8);
    step(w, index, &event);
}

void world_step_owner(struct world *w, uint32_t index, uint16_t sector)
{
    struct event event = {.kind = EV_OWNER, .u.owner = {sector, sector}};
    step(w, index, &event);
}

void world_step_stop(struct world *w, uint32_t index)
{
    struct event event = {.kind = EV_STOP};
    step(w, index, &event);
}

/* Put back to the end of the pause, in the order in which all of it came: what was put back to the
 * end of a shorter one is older than what came since. False: too many messages wait for it already.
 */
static bool put_back(struct world *w, struct world_node *n, const struct entry *e)
{
    if (e->kind == W_MSG && n->waiting++ >= w->pending_max) {
        w->met[WORLD_MET_SLOW_CONSUMER]++;
        w->stats.lost++;
        return false;
    }
    if (e->kind == W_WAKE) {
        n->wake_us = n->queued_us = n->paused_until_us;
    }
    struct entry later = *e;
    later.at_us = n->paused_until_us;
    queue_push(w->queue, &later);
    return true;
}

/* A process that may not serve steps no unit: its wakes and links come later, what its units asked
 * the store is not heard (process.c). Messages are judged when they are taken in. */
static bool in_doubt(struct world *w, struct world_node *n, const struct entry *e)
{
    bool waits = e->kind == W_WAKE || e->kind == W_LINK;
    if (n->ops == NULL || (!waits && e->kind != W_STORE) || n->self == NULL ||
        world_process_serves(w, n->process)) {
        return false;
    }
    if (e->kind == W_WAKE) {
        n->wake_us = n->queued_us = w->now_us + DOUBT_RETRY_US;
    }
    if (waits) {
        world_push(w, w->now_us + DOUBT_RETRY_US, (enum world_event)e->kind, e->node, e->sub, NULL);
    }
    return true;
}

/* One event of a node. False: its block is still needed. */
static bool happen(struct world *w, const struct entry *e)
{
    struct world_node *n = &w->nodes[e->node];
    if (e->generation != (e->kind == W_WAKE ? n->wake_generation : n->generation)) {
        return true;
    }
    if (n->paused_until_us > w->now_us) {
        return !put_back(w, n, e);
    }
    if (e->kind == W_WAKE) {
        n->queued_us = NEVER;
        if (n->wake_us > w->now_us) { /* it has asked for a later one since */
            if (n->wake_us != NEVER) {
                n->queued_us = n->wake_us;
                world_push(w, n->wake_us, W_WAKE, e->node, 0, NULL);
            }
            return true;
        }
    }
    if (w->processes != NULL && n->process != NO_PROCESS && in_doubt(w, n, e)) {
        return true;
    }
    if (n->self != NULL || e->kind == W_START || (e->kind == W_MSG && n->process != NO_PROCESS)) {
        dispatch(w, e);
    }
    return true;
}

/* With 30,000 nodes each event meets cold memory: ask for what a later one needs while this one
 * runs. Its node is here already (world_queue.c). */
static void fetch_ahead(const struct world *w)
{
    const struct entry *next = queue_next(w->queue, 2);
    if (next == NULL || next->node == WORLD_NOBODY) {
        return;
    }
    const char *self = w->nodes[next->node].self;
    const char *block = (const char *)next->block;
    for (unsigned i = 0; self != NULL && i < 1024; i += 64) {
        __builtin_prefetch(self + i, 0, 2);
    }
    for (unsigned i = 0; block != NULL && i < 256; i += 64) {
        __builtin_prefetch(block + i, 0, 2);
    }
}

void world_run(struct world *w, int64_t us)
{
    assert(w != NULL && us >= 0);
    int64_t end = w->now_us + us;
    struct entry e;
    while (queue_pop(w->queue, end, &e)) {
        w->now_us = e.at_us;
        fetch_ahead(w);
        if (e.node == WORLD_NOBODY) {
            dispatch(w, &e);
            world_block_drop(w, e.block);
        } else if (happen(w, &e)) {
            world_block_drop(w, e.block);
        }
        if (w->now_us >= w->cache_sweep_us) {
            world_cache_sweep(w);
        }
    }
    w->now_us = end;
}

/* --- building and disturbing -------------------------------------------------------------------
 */

/* One-way delay of an agent's hop: half of a round trip drawn from its class (spec 2.2). */
static void draw_agent(struct world *w, struct world_node *n)
{
    static const int64_t rtt_us[CLASS_COUNT][2] = {[CLASS_NONE] = {1000, 2000},
                                                   [CLASS_A_EDGE] = {5000, 20000},
                                                   [CLASS_B_SERVERLESS] = {50000, 150000},
                                                   [CLASS_C_PERSISTENT] = {100000, 300000},
                                                   [CLASS_D_GPU] = {200000, 500000},
                                                   [CLASS_E_LOCAL] = {5000, 60000},
                                                   [CLASS_F_HUMAN] = {20000, 200000}};
    uint32_t index = topology_index(&w->conf.topology, n->unit);
    n->agent_class = topology_class(&w->conf.topology, index);
    n->one_way_us =
        (float)(rng_range(&n->rng, rtt_us[n->agent_class][0], rtt_us[n->agent_class][1]) / 2);
    n->speed = (float)num_exp2(0.36 * num_normal_quantile(rng_unit(&n->rng))); /* sigma 0.25 */
    n->slow = 1.0f;
    n->born_class = n->agent_class;
    n->born_one_way_us = n->one_way_us;
    n->born_speed = n->speed;
}

static void build_node(struct world *w, uint32_t index, const struct node_ops *ops, struct unit u)
{
    struct world_node *n = &w->nodes[index];
    int64_t origin_max = w->conf.clock_origin_us ? w->conf.clock_origin_us : 864000000000ll;
    int64_t ppm = w->conf.drift_ppm_max ? w->conf.drift_ppm_max : 50;
    n->ops = ops;
    n->unit = u;
    n->wake_us = n->queued_us = NEVER;
    rng_seed(&n->rng, w->conf.seed, 1000000u + index);
    n->base_local_us = 1000000 + rng_range(&n->rng, 0, origin_max);
    n->drift = (double)rng_range(&n->rng, -ppm * 1000, ppm * 1000) * 1e-9;
    if (u.tier == TIER_AGENT) {
        draw_agent(w, n);
    }
}

static void start_alone(struct world *w, uint32_t index, int64_t delay_us)
{
    if (w->conf.processes == 0) { /* else its process starts it */
        world_start(w, index, delay_us);
    }
}

struct world *world_new(const struct world_conf *conf)
{
    assert(conf != NULL && topology_check(&conf->topology) == NULL);
    struct world *w = world_alloc(sizeof(*w));
    w->conf = *conf;
    const struct topology *t = &w->conf.topology;
    rng_seed(&w->net, conf->seed, 77);
    w->first_cluster = 1u + t->sectors;
    w->first_agent = w->first_cluster + (uint32_t)t->sectors * t->clusters_per_sector;
    uint32_t agents = topology_places(t);
    w->first_host = w->first_agent + agents;
    w->node_count = w->first_host + conf->hosts + world_processes_nodes(conf);
    w->nodes = world_alloc_lines(w->node_count * sizeof(*w->nodes));
    w->queue = queue_new(w->nodes, sizeof(*w->nodes), WORLD_NODE_HOT);
    rng_seed(&w->chaos, conf->seed, 78);
    w->broker_since_us = -1;
    w->pending_max = WORLD_PENDING_MAX;
    world_stores_init(w);
    if (agents >= PACK_AGENTS || conf->pack) {
        struct node_conf any = {.self = topology_agent(t, 0), .topology = t};
        world_pack_init(w, &agent_ops, agent_ops.size(&any));
    }
    for (uint32_t i = 0; i < w->node_count; i++) {
        w->nodes[i].process = NO_PROCESS;
    }
    build_node(w, 0, &orchestrator_ops, unit_orchestrator());
    start_alone(w, 0, 0);
    for (unsigned s = 1; s <= t->sectors; s++) {
        build_node(w, s, &sector_ops, unit_sector(s));
        start_alone(w, s, rng_range(&w->net, 0, 200000));
        for (unsigned c = 1; c <= t->clusters_per_sector; c++) {
            uint32_t i = world_index(w, unit_cluster(s, c));
            if (i != WORLD_NOBODY) {
                build_node(w, i, &cluster_ops, unit_cluster(s, c));
                start_alone(w, i, rng_range(&w->net, 100000, 500000));
            }
        }
    }
    for (uint32_t a = 0; a < agents; a++) {
        build_node(w, w->first_agent + a, &agent_ops, topology_agent(t, a));
        if (conf->hosts == 0 && topology_planned(t, topology_agent(t, a))) {
            world_start(w, w->first_agent + a, rng_range(&w->net, 500000, 3000000));
        }
    }
    if (conf->hosts > 0) {
        w->owners = world_alloc((size_t)conf->hosts * t->sectors * sizeof(*w->owners));
    }
    for (uint32_t h = 0; h < conf->hosts; h++) {
        build_node(w, w->first_host + h, &host_ops,
                   unit_numbered(TIER_HOST, h * agents_each(conf) + 1u));
        world_start(w, w->first_host + h, 500000);
    }
    if (conf->processes > 0) {
        world_processes_init(w, w->first_host);
    }
    if (conf->wire != NULL) {
        world_wire_open(w);
    }
    return w;
}

void world_free(struct world *w)
{
    if (w == NULL) {
        return;
    }
    for (uint32_t i = 0; i < w->node_count; i++) {
        node_free(&w->nodes[i]);
    }
    world_pack_free(w);
    free(w->owners);
    world_contents_free(w);
    struct entry e;
    while (queue_take(w->queue, &e)) {
        world_block_drop(w, e.block);
    }
    queue_free(w->queue);
    world_clogs_free(w);
    world_calls_free(w);
    world_cache_free(w);
    world_stores_free(w);
    world_processes_free(w);
    world_wire_close(w);
    world_blocks_free(w);
    free(w->nodes);
    free(w);
}

int64_t world_now(const struct world *w)
{
    return w->now_us;
}

int64_t world_mesh_now(const struct world *w)
{
    return WORLD_UNIX_US + w->now_us;
}

uint32_t world_instances(const struct world *w)
{
    return w->node_count;
}

const struct world_stats *world_stats(const struct world *w)
{
    return &w->stats;
}

void world_watch_set(struct world *w, world_watch *watch, void *context)
{
    w->watch = watch;
    w->watch_context = context;
}
