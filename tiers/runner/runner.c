/* Nodes live in one table and never move; a unit map finds them. All timed things share one heap,
 * so a wake costs a few comparisons whether there is one node or 30,000. Each step gets the boot
 * clock read afresh, turned into the node's own clock (simulated agents have offsets and drift),
 * and never less than it saw before.
 *
 * One outbox serves all nodes: a step fills it, then its effects are carried out in order. Carrying
 * out never steps another node: local messages, answers of work and new nodes are timers that are
 * due now. So a step never re-enters, and recursion cannot grow.
 *
 * Bounds: runner.h. */
#include "tiers/runner/runner.h"

#include "core/num.h"
#include "core/order.h"
#include "tiers/runner/runner_int.h"
#include <assert.h>
#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define AGENT_HANDLERS_MAX 4u
#define DESK_HANDLERS_MAX  8u

struct runner *runner_new(const struct runner_conf *conf)
{
    assert(conf != NULL && conf->topology != NULL && conf->tuning != NULL);
    assert(conf->log != NULL && conf->directory != NULL && conf->process != NULL);
    struct runner *r = calloc(1, sizeof(*r));
    if (r == NULL || !unitmap_init(&r->map, 64)) {
        free(r);
        return NULL;
    }
    r->conf = *conf;
    r->links[LINK_DURABLE] = true; /* nodes are told only when it is not */
    r->conf.pack_from = conf->pack_from > 0 ? conf->pack_from : RUNNER_PACK_FROM;
    r->conf.pack_open = conf->pack_open > 0 ? conf->pack_open : RUNNER_PACK_OPEN;
    assert(r->conf.pack_open < UINT16_MAX);
    timers_init(&r->timers);
    return r;
}

void runner_free(struct runner *r)
{
    if (r == NULL) {
        return;
    }
    /* What is posted or at work hangs on the heap: collect it before the heap goes. */
    for (uint32_t i = 0; i < r->node_count; i++) {
        runner_work_forget(r, r->nodes[i]);
        timers_clear(&r->timers, &r->nodes[i]->wake);
    }
    for (struct timer *t = timers_first(&r->timers); t != NULL; t = timers_first(&r->timers)) {
        timers_clear(&r->timers, t);
        runner_posted_free((struct posted *)(void *)t);
    }
    while (r->posted_pool != NULL) {
        struct posted *p = r->posted_pool;
        r->posted_pool = p->next;
        free(p);
    }
    while (r->work_pool != NULL) {
        struct work *w = r->work_pool;
        r->work_pool = w->next;
        free(w->text);
        free(w);
    }
    for (uint32_t i = 0; i < r->node_count; i++) {
        runner_node_free(r, r->nodes[i]);
        free(r->nodes[i]);
    }
    free(r->nodes);
    runner_pack_done(r);
    runner_blobs_free(r);
    runner_contents_free(r);
    unitmap_done(&r->map);
    timers_done(&r->timers);
    free(r);
}

/* ---- clocks ---- */

int64_t runner_node_clock(const struct node *n, int64_t boot_us)
{
    int64_t drift =
        (int64_t)((double)(boot_us - n->clock_base_us) * ((double)n->clock_drift_ppb * 1e-9));
    return boot_us + n->clock_offset_us + drift;
}

/* The earliest boot time at which the node's clock shows clock_us or more, within a microsecond. */
int64_t runner_node_boot(const struct node *n, int64_t clock_us)
{
    if (clock_us == NEVER) {
        return NEVER;
    }
    int64_t boot_us = clock_us - n->clock_offset_us;
    for (int i = 0; i < 3 && n->clock_drift_ppb != 0; i++) {
        boot_us += clock_us - runner_node_clock(n, boot_us);
    }
    return runner_node_clock(n, boot_us) < clock_us ? boot_us + 1 : boot_us;
}

/* ---- steps ---- */

static void seal(struct runner *r, const struct node *n, const struct operation *operation)
{
    /* What agents say to each other rides in their messages, under the frame's signature: it is
     * kept for repetition, and nobody asks for its own signature. */
    bool author = n->unit.tier != TIER_AGENT && r->conf.egress != NULL;
    struct frame_signer *signer = author ? egress_signer(r->conf.egress, n->port) : NULL;
    enum opcache_verdict v = OPCACHE_CHAIN;
    if (r->conf.opcache != NULL && signer != NULL) {
        v = opcache_seal(r->conf.opcache, operation, &signer->key, clock_unix_us());
    } else if (r->conf.opcache != NULL) {
        v = opcache_hold(r->conf.opcache, operation, clock_unix_us());
    }
    if (v == OPCACHE_OK || v == OPCACHE_KNOWN) {
        r->stats.seals++;
    } else {
        r->stats.seals_refused++;
        log_line(r->conf.log, LOG_WARNING, "seal-refused", "op=%016llx why=%s",
                 (unsigned long long)num_id128_low(operation->id), opcache_verdict_name(v));
    }
}

static void store_ask(struct runner *r, const struct node *n, const struct store_op *op)
{
    uint64_t tag = (uint64_t)n->generation << 32 | (n->index + 1u);
    if (r->conf.store != NULL && r->conf.store(r->conf.store_ctx, op, (void *)(uintptr_t)tag)) {
        r->stats.store_ops++;
    } else {
        r->stats.store_refused++;
    }
}

/* Counts what must not happen: work begun or answered because of a parent that no longer owns its
 * unit. The node refuses it by itself; this looks at what it did. */
static void watch_epochs(struct runner *r, struct node *n, const struct event *event)
{
    const struct msg *m = event->u.msg;
    if (event->kind != EV_MSG || m->from.tier >= n->unit.tier || m->from.tier == TIER_NONE) {
        return;
    }
    if (m->epoch >= n->parent_epoch) {
        n->parent_epoch = m->epoch;
        return;
    }
    bool acted = false;
    for (uint32_t i = 0; i < r->out.effect_count; i++) {
        const struct effect *e = &r->out.effects[i];
        acted |= e->kind == FX_WORK ||
                 (e->kind == FX_SEND && (e->u.msg.type == MSG_ACK || e->u.msg.type == MSG_RESULT ||
                                         e->u.msg.type == MSG_OPERATE));
    }
    r->stats.stale_accepted += acted;
}

static void count_orders(struct runner *r, const struct note_record *note)
{
    bool refused = note->note == NOTE_ORDER_REFUSED;
    r->stats.orders_forked += refused && note->b == ORDER_FORK;
    r->stats.orders_old += refused && note->b == ORDER_OLD;
}

static void carry_out(struct runner *r, struct node *n)
{
    for (uint32_t i = 0; i < r->out.effect_count; i++) {
        const struct effect *e = &r->out.effects[i];
        switch (e->kind) {
        case FX_SEND:
            runner_send(r, n, &e->u.msg);
            break;
        case FX_SEAL:
            seal(r, n, &e->u.operation);
            break;
        case FX_STORE:
            store_ask(r, n, &e->u.store);
            break;
        case FX_WORK:
            runner_work_begin(r, n, &e->u.work);
            break;
        case FX_WORK_CANCEL:
            runner_work_cancel(r, n, e->u.work_ref);
            break;
        case FX_SPAN:
            runner_span(r, &e->u.span);
            break;
        case FX_NOTE:
            r->stats.notes[e->u.note.note]++;
            count_orders(r, &e->u.note);
            if (e->u.note.note == NOTE_RELEASED && r->conf.world != NULL &&
                r->conf.world->released != NULL) {
                r->conf.world->released(r->conf.world->ctx, e->u.note.a);
            }
            log_note(r->conf.log, n->unit, &e->u.note);
            break;
        case FX_GRANT:
            if (r->conf.grant != NULL) {
                r->conf.grant(r->conf.grant_ctx, &e->u.grant);
            }
            break;
        case FX_EXCLUDE:
            if (r->conf.exclude != NULL) {
                r->conf.exclude(r->conf.exclude_ctx, &e->u.exclusion);
            }
            break;
        default:
            assert(false);
        }
    }
}

void runner_step(struct runner *r, struct node *n, struct event *event)
{
    assert(n->self != NULL);
    assert(event->kind >= EV_START && event->kind <= EV_OWNER);
    int64_t boot_us = clock_boot_us();
    int64_t now_us = runner_node_clock(n, boot_us);
    if (now_us < n->last_us) {
        now_us = n->last_us;
    }
    n->last_us = now_us;
    event->now_us = now_us;
    outbox_clear(&r->out);
    int64_t wake_us = n->ops->step(runner_node_open(r, n), event, &r->out);
    r->stats.steps++;
    watch_epochs(r, n, event);
    if (wake_us == NEVER) {
        timers_clear(&r->timers, &n->wake);
    } else {
        bool set = wake_us <= now_us
                       ? timers_soon(&r->timers, &n->wake, boot_us)
                       : timers_set(&r->timers, &n->wake, runner_node_boot(n, wake_us));
        r->stats.memory_refused += set ? 0 : 1;
    }
    carry_out(r, n);
}

static void tell_clock(struct runner *r, struct node *n)
{
    struct host_clock clock = host_clock_said(&r->host_clock, clock_boot_us());
    struct event event = {.kind = EV_CLOCK};
    event.u.clock = &clock;
    runner_step(r, n, &event);
}

static void start(struct runner *r, struct node *n)
{
    uint32_t generation = n->generation;
    n->fresh = false;
    struct event event = {.kind = EV_START};
    runner_step(r, n, &event);
    for (unsigned l = 0; l < LINK_COUNT && n->self != NULL && n->generation == generation; l++) {
        if (!link_concerns((enum link)l, n->unit.tier) || (l == LINK_DURABLE && r->links[l])) {
            continue;
        }
        event = (struct event){.kind = EV_LINK};
        event.u.link.which = (enum link)l;
        event.u.link.up = r->links[l];
        runner_step(r, n, &event);
    }
    if (r->host_clock.synchronised && n->self != NULL && n->generation == generation) {
        tell_clock(r, n);
    }
}

static void on_wake(struct timer *timer, void *ctx)
{
    struct runner *r = ctx;
    struct node *n = (struct node *)(void *)timer;
    int64_t late_us = clock_boot_us() - timer->due_us;
    r->lag_max_us = late_us > r->lag_max_us ? late_us : r->lag_max_us;
    if (n->fresh) {
        start(r, n);
        return;
    }
    r->stats.wakes++;
    struct event event = {.kind = EV_WAKE};
    runner_step(r, n, &event);
}

/* ---- nodes ---- */

struct node *runner_find(const struct runner *r, struct unit u)
{
    uint32_t at = unitmap_get(&r->map, u);
    return at == UNITMAP_NONE || r->nodes[at]->self == NULL ? NULL : r->nodes[at];
}

bool runner_has(const struct runner *r, struct unit u)
{
    assert(r != NULL);
    return runner_find(r, u) != NULL;
}

static struct node *node_slot(struct runner *r, struct unit u)
{
    uint32_t at = unitmap_get(&r->map, u);
    if (at != UNITMAP_NONE) {
        return r->nodes[at];
    }
    if (r->node_count == r->node_room) {
        uint32_t room = r->node_room == 0 ? 64 : r->node_room * 2;
        struct node **nodes = realloc(r->nodes, room * sizeof(struct node *));
        if (nodes == NULL) {
            return NULL;
        }
        r->nodes = nodes;
        r->node_room = room;
    }
    struct node *n = calloc(1, sizeof(*n));
    if (n == NULL || !unitmap_put(&r->map, u, r->node_count)) {
        free(n);
        return NULL;
    }
    n->unit = u;
    n->index = r->node_count;
    n->wake.fn = on_wake;
    r->nodes[r->node_count++] = n;
    return n;
}

static struct id128 context_of(enum impedance_class c)
{
    struct id128 id;
    const char *name = class_name(c);
    for (unsigned i = 0; i < 2; i++) {
        uint64_t h = num_hash64(name, strlen(name), 77 + i);
        memcpy(id.bytes + 8 * i, &h, 8);
    }
    return id;
}

const char *runner_facts(const struct runner *r, struct unit agent, enum impedance_class c)
{
    const struct runner_world *w = r->conf.world;
    return w != NULL && w->facts != NULL ? w->facts(w->ctx, agent, c) : r->conf.facts;
}

static void digest(const uint8_t *bytes, uint32_t count, uint8_t ret[ORDER_HASH])
{
    (void)crypto_generichash(ret, ORDER_HASH, bytes, count, NULL, 0);
}

/* Everything about a node but its memory. */
static void node_prepare(struct runner *r, struct node *n, struct node_conf *ret)
{
    uint64_t key = unit_pack(n->home);
    uint64_t uid = num_hash64(&key, sizeof(key), 0x6d657368);
    n->clock_offset_us = 0;
    n->clock_drift_ppb = 0;
    n->clock_base_us = clock_boot_us();
    struct node *identity = r->nodes[unitmap_get(&r->map, n->home)];
    n->starts = ++identity->lives; /* wherever they are */
    n->parent_epoch = 0;
    /* Every life draws other numbers: an operation's id must not come again after a restart. */
    rng_seed(&n->rng, r->conf.seed, uid ^ n->starts ^ num_hash64(&n->epoch, sizeof(n->epoch), 3));
    *ret = (struct node_conf){.self = n->unit,
                              .uid = uid != 0 ? uid : 1,
                              .seed = rng_u64(&n->rng),
                              .topology = r->conf.topology,
                              .tuning = *r->conf.tuning,
                              .digest = digest,
                              .handlers_max = AGENT_HANDLERS_MAX,
                              .agent_first = n->agent_first,
                              .agent_count = n->agent_count,
                              .planned_only = r->conf.world != NULL};
    if (n->unit.tier == TIER_AGENT) {
        n->epoch = r->conf.epoch + n->starts; /* microseconds: rises with each start of the agent */
        ret->agent_class =
            topology_class(r->conf.topology, topology_index(r->conf.topology, n->home));
        ret->capabilities = topology_class_capabilities(r->conf.topology, ret->agent_class);
        ret->context_hash = context_of(ret->agent_class);
        ret->facts = runner_facts(r, n->home, ret->agent_class);
        /* People take hours: their reviews must not keep the desk's own commands waiting. */
        ret->handlers_max =
            ret->agent_class == CLASS_F_HUMAN ? DESK_HANDLERS_MAX : AGENT_HANDLERS_MAX;
        n->agent_class = (uint8_t)ret->agent_class;
        n->context_hash = ret->context_hash;
        if (r->conf.world != NULL && r->conf.world->clock != NULL) {
            r->conf.world->clock(r->conf.world->ctx, n->home, &n->clock_offset_us,
                                 &n->clock_drift_ppb);
        }
    }
    int64_t boot_us = clock_boot_us();
    ret->epoch = n->epoch;
    ret->init_now_us = runner_node_clock(n, boot_us);
    ret->unix_us = clock_unix_us();
    n->last_us = ret->init_now_us;
}

static int add(struct runner *r, struct unit u, struct unit home, uint16_t port,
               uint32_t agent_first, uint32_t agent_count, uint64_t epoch)
{
    assert(r != NULL);
    assert(topology_contains(r->conf.topology, u));
    const struct node_ops *ops = r->conf.ops[u.tier];
    if (ops == NULL) {
        return -ENOTSUP;
    }
    if (runner_find(r, u) != NULL) {
        return -EEXIST;
    }
    if (r->node_count >= RUNNER_NODES_MAX) {
        return -ENOSPC;
    }
    struct node *n = node_slot(r, u);
    if (n == NULL || node_slot(r, home) == NULL) {
        r->stats.memory_refused++;
        return -ENOMEM;
    }
    struct node_conf conf;
    n->ops = ops;
    n->home = home;
    n->port = port;
    n->agent_first = agent_first;
    n->agent_count = agent_count;
    n->epoch = epoch;
    node_prepare(r, n, &conf);
    if (!runner_node_make(r, n, &conf) || !timers_set(&r->timers, &n->wake, clock_boot_us())) {
        runner_node_free(r, n);
        r->stats.memory_refused++;
        return -ENOMEM;
    }
    n->fresh = true;
    n->generation++;
    r->stats.nodes++;
    r->stats.agents += u.tier == TIER_AGENT ? 1 : 0;
    return 0;
}

int runner_add(struct runner *r, struct unit u, uint16_t port, uint32_t agent_first,
               uint32_t agent_count)
{
    return add(r, u, u, port, agent_first, agent_count, r->conf.epoch);
}

int runner_add_owned(struct runner *r, struct unit u, uint64_t epoch)
{
    return add(r, u, u, 0, 0, 0, epoch);
}

int runner_add_agent(struct runner *r, struct unit u, struct unit home, uint16_t port)
{
    return add(r, u, home, port, 0, 0, r->conf.epoch);
}

void runner_remove(struct runner *r, struct unit u)
{
    assert(r != NULL);
    struct node *n = runner_find(r, u);
    if (n == NULL) {
        return;
    }
    runner_work_forget(r, n);
    runner_content_leave(r, n);
    runner_work_ended(r, n);
    timers_clear(&r->timers, &n->wake);
    runner_node_free(r, n);
    n->generation++;
    r->stats.nodes--;
    r->stats.agents -= u.tier == TIER_AGENT ? 1 : 0;
}

/* ---- the loop's side ---- */

void runner_turn(struct runner *r)
{
    assert(r != NULL);
    int64_t now_us = clock_boot_us();
    (void)timers_run(&r->timers, now_us, RUNNER_TURN_TIMERS, r);
    if (now_us - r->lag_at_us >= US_PER_S) {
        r->stats.lag_us = r->lag_max_us;
        r->lag_max_us = 0;
        r->lag_at_us = now_us;
        if (now_us - r->contents_us >= 60 * US_PER_S) {
            r->contents_us = now_us;
            runner_contents_keep(r, false);
        }
    }
}

int64_t runner_next_us(const struct runner *r)
{
    assert(r != NULL);
    return timers_next_us(&r->timers);
}

void runner_store_reply(struct runner *r, void *tag, const struct store_reply *reply)
{
    assert(r != NULL);
    assert(reply != NULL);
    uint64_t bits = (uint64_t)(uintptr_t)tag;
    if (bits >> 32 == RUNNER_TAG_BLOB) {
        runner_blob_reply(r, (uint32_t)bits, reply);
        return;
    }
    if (bits >> 32 == RUNNER_TAG_CONTENT) {
        runner_content_reply(r, (uint32_t)bits, reply);
        return;
    }
    uint32_t index = (uint32_t)(bits & UINT32_MAX) - 1u;
    assert(index < r->node_count);
    struct node *n = r->nodes[index];
    if (n->self == NULL || n->generation != (uint32_t)(bits >> 32) || n->fresh) {
        return; /* an answer to an earlier life */
    }
    r->stats.store_replies++;
    struct event event = {.kind = EV_STORE};
    event.u.store = reply;
    runner_step(r, n, &event);
}

void runner_link(struct runner *r, enum link which, bool up)
{
    assert(r != NULL);
    assert(which < LINK_COUNT);
    if (r->links[which] == up) {
        return;
    }
    r->links[which] = up;
    if (which == LINK_STORE && up) {
        runner_contents_keep(r, true);
    }
    for (uint32_t i = 0; i < r->node_count; i++) {
        if (r->nodes[i]->self == NULL || r->nodes[i]->fresh ||
            !link_concerns(which, r->nodes[i]->unit.tier)) {
            continue;
        }
        struct event event = {.kind = EV_LINK};
        event.u.link.which = which;
        event.u.link.up = up;
        runner_step(r, r->nodes[i], &event);
    }
}

void runner_clock(struct runner *r)
{
    assert(r != NULL);
    enum host_clock_news news = host_clock_look(&r->host_clock, clock_boot_us());
    if (news == HOST_CLOCK_NOTHING || r->leaving) {
        return;
    }
    uint32_t slice = r->host_clock.slice++ % HOST_CLOCK_SLICES;
    for (uint32_t i = 0; i < r->node_count; i++) {
        struct node *n = r->nodes[i];
        bool turn = news == HOST_CLOCK_ALL || i % HOST_CLOCK_SLICES == slice;
        if (turn && n->self != NULL && !n->fresh) {
            tell_clock(r, n);
        }
    }
}

void runner_evidence(struct runner *r, const struct evidence *e)
{
    assert(r != NULL && e != NULL);
    struct node *n = runner_find(r, unit_orchestrator());
    if (n == NULL || n->self == NULL || n->fresh || r->leaving) {
        return;
    }
    struct event event = {.kind = EV_EVIDENCE};
    event.u.evidence = e;
    runner_step(r, n, &event);
}

void runner_owner(struct runner *r, uint16_t first, uint16_t last)
{
    assert(r != NULL && first >= 1 && first <= last);
    for (uint32_t i = 0; i < r->node_count && !r->leaving; i++) {
        struct node *n = r->nodes[i];
        if (n->self != NULL && !n->fresh && n->unit.tier == TIER_HOST) {
            struct event event = {.kind = EV_OWNER, .u.owner = {first, last}};
            runner_step(r, n, &event);
        }
    }
}

const struct host_clock_watch *runner_host_clock(const struct runner *r)
{
    assert(r != NULL);
    return &r->host_clock;
}

void runner_goodbye(struct runner *r)
{
    assert(r != NULL);
    r->leaving = true;
    for (uint32_t i = 0; i < r->node_count; i++) {
        struct node *n = r->nodes[i];
        if (n->self == NULL || n->fresh || n->unit.tier != TIER_AGENT) {
            continue;
        }
        struct event event = {.kind = EV_STOP};
        runner_step(r, n, &event);
        timers_clear(&r->timers, &n->wake);
    }
}

const struct runner_stats *runner_stats(struct runner *r)
{
    assert(r != NULL);
    return &r->stats;
}
