/* Where messages go. A mask is split by destination: units at one endpoint share one record in one
 * frame; units of this process get their own copy through the timer heap, due now, so that no step
 * is entered from within another. Each unit receives its message as if it were for it alone: `to`
 * is itself, the mask is gone, an OPERATE has its own target only. */
#include "core/num.h"
#include "tiers/runner/runner_int.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define POSTED_SMALL 256u
#define GROUPS_MAX   64u

static struct unit unit_plus(struct unit u, unsigned n)
{
    if (u.tier == TIER_SECTOR) {
        u.sector = (uint16_t)(u.sector + n);
    } else if (u.tier == TIER_CLUSTER) {
        u.cluster = (uint16_t)(u.cluster + n);
    } else if (u.tier == TIER_AGENT) {
        u.agent = (uint16_t)(u.agent + n);
    }
    return u;
}

/* How many bits of the mask lie below `bit`: the place of its target. */
static uint32_t rank_of(uint64_t mask, unsigned bit)
{
    uint64_t below = mask & ((1ull << bit) - 1u);
    return (uint32_t)__builtin_popcountll(below);
}

/* ---- messages that wait in the process ---- */

void runner_posted_free(struct posted *p)
{
    free(p);
}

static void posted_release(struct runner *r, struct posted *p)
{
    r->posted_count--;
    if (p->room == POSTED_SMALL) {
        p->next = r->posted_pool;
        r->posted_pool = p;
    } else {
        runner_posted_free(p);
    }
}

static void on_posted(struct timer *timer, void *ctx)
{
    struct runner *r = ctx;
    struct posted *p = (struct posted *)(void *)timer;
    struct node *n = r->nodes[p->node];
    if (p->endpoint != ENDPOINT_NONE) {
        int64_t boot_us = clock_boot_us();
        (void)egress_msg(r->conf.egress, n->port, p->endpoint, &p->msg,
                         runner_node_clock(n, boot_us) - boot_us - p->delay_us);
    } else if (n->self == NULL || n->generation != p->generation) {
        r->stats.not_mine++;
    } else {
        if (n->fresh) { /* its EV_START is due later in this turn: keep the order */
            (void)timers_soon(&r->timers, &p->timer, clock_boot_us());
            return;
        }
        p->msg.recv_us = runner_node_clock(n, clock_boot_us());
        runner_deliver(r, n, &p->msg);
    }
    posted_release(r, p);
}

static void post(struct runner *r, struct node *n, uint32_t endpoint, int64_t delay_us,
                 const struct msg *msg)
{
    uint32_t extra = msg_extra_bytes(msg);
    struct posted *p = NULL;
    if (r->posted_count >= RUNNER_POSTED_MAX) {
        r->stats.posted_dropped++;
        return;
    }
    if (extra <= POSTED_SMALL && r->posted_pool != NULL) {
        p = r->posted_pool;
        r->posted_pool = p->next;
    } else {
        uint32_t room = extra <= POSTED_SMALL ? POSTED_SMALL : extra;
        p = aligned_alloc(16, (sizeof(*p) + room + 15u) & ~(size_t)15u);
        if (p == NULL) {
            r->stats.posted_dropped++;
            return;
        }
        p->room = room;
    }
    p->timer = (struct timer){.fn = on_posted};
    p->node = n->index;
    p->generation = n->generation;
    p->endpoint = endpoint;
    p->delay_us = delay_us;
    (void)msg_copy(msg, &p->msg, p->bytes, p->room);
    r->posted_count++;
    r->stats.posted++;
    int64_t now_us = clock_boot_us();
    if (delay_us > 0 ? !timers_set(&r->timers, &p->timer, now_us + delay_us)
                     : !timers_soon(&r->timers, &p->timer, now_us)) {
        r->stats.posted_dropped++;
        posted_release(r, p);
    }
}

void runner_deliver(struct runner *r, struct node *n, const struct msg *msg)
{
    struct msg copy = *msg;
    if (copy.type == MSG_OPERATE) {
        const struct opcache_entry *e =
            r->conf.opcache != NULL ? opcache_get(r->conf.opcache, copy.u.operate.operation_id)
                                    : NULL;
        if (e == NULL) {
            r->stats.not_mine++;
            return;
        }
        copy.u.operate.operation = &e->operation;
    } else if (copy.type == MSG_RELAY && n->unit.tier == TIER_AGENT && r->conf.opcache != NULL) {
        if (opcache_hold(r->conf.opcache, copy.u.relay.operation, clock_unix_us()) ==
            OPCACHE_OTHER) {
            r->stats.seals_refused++;
            return;
        }
    }
    struct event event = {.kind = EV_MSG};
    event.u.msg = &copy;
    runner_step(r, n, &event);
}

/* msg as its receiver `bit` sees it. */
static void narrow(const struct msg *msg, unsigned bit, struct unit to, struct msg *ret)
{
    *ret = *msg;
    ret->to = to;
    ret->mask = 0;
    if (msg->type == MSG_OPERATE && msg->mask != 0 && msg->u.operate.target_count > 1) {
        ret->u.operate.targets += rank_of(msg->mask, bit);
        ret->u.operate.target_count = 1;
    }
}

/* ---- arriving ---- */

static void arrive(struct runner *r, const struct msg *msg, unsigned bit)
{
    struct unit to = msg->mask == 0 ? msg->to : unit_plus(msg->to, bit);
    struct node *n = runner_find(r, to);
    if (n == NULL || n->fresh) {
        r->stats.not_mine++;
        return;
    }
    struct msg own;
    narrow(msg, bit, to, &own);
    const struct runner_world *w = r->conf.world;
    if (w != NULL && w->delay_us != NULL && to.tier == TIER_AGENT) {
        int64_t delay_us = w->delay_us(w->ctx, n->home, true);
        if (delay_us < 0) {
            r->stats.sent_lost++;
        } else {
            post(r, n, ENDPOINT_NONE, delay_us, &own);
        }
        return;
    }
    own.recv_us = runner_node_clock(n, msg->recv_us);
    runner_deliver(r, n, &own);
}

void runner_message(struct runner *r, const struct msg *msg)
{
    assert(r != NULL);
    assert(msg != NULL);
    if (msg->mask == 0) {
        arrive(r, msg, 0);
        return;
    }
    for (uint64_t left = msg->mask; left != 0; left &= left - 1u) {
        arrive(r, msg, (unsigned)__builtin_ctzll(left));
    }
}

/* ---- leaving ---- */

struct group {
    uint32_t endpoint;
    uint64_t mask;
};

/* What a simulated agent says of its times, which may be a lie, on a clock that is said to know no
 * better. */
static const struct msg *claim(const struct runner_world *w, const struct node *n,
                               const struct msg *msg, struct msg *room)
{
    if (w == NULL || w->claims_us == NULL || n->unit.tier != TIER_AGENT || msg->type != MSG_ACK ||
        msg->u.ack.arrival_mesh_us == 0 || msg->u.ack.release_mesh_us != 0) {
        return msg;
    }
    int64_t later_us = w->claims_us(w->ctx, n->unit);
    *room = *msg;
    room->u.ack.arrival_mesh_us += later_us;
    room->u.ack.clock_error_us = later_us != 0 ? US_PER_S : msg->u.ack.clock_error_us;
    return room;
}

static void leave(struct runner *r, struct node *n, const struct msg *msg, uint32_t endpoint)
{
    const struct runner_world *w = r->conf.world;
    struct msg room;
    msg = claim(w, n, msg, &room);
    r->stats.sent_remote++;
    if (w != NULL && w->delay_us != NULL && n->unit.tier == TIER_AGENT && !r->leaving) {
        int64_t delay_us = w->delay_us(w->ctx, n->home, false);
        if (delay_us < 0) {
            r->stats.sent_lost++;
            return;
        }
        if (delay_us > 0) {
            post(r, n, endpoint, delay_us, msg);
            return;
        }
    }
    int64_t boot_us = clock_boot_us();
    (void)egress_msg(r->conf.egress, n->port, endpoint, msg,
                     runner_node_clock(n, boot_us) - boot_us);
}

/* The part of msg that goes to the units of one endpoint. */
static void leave_group(struct runner *r, struct node *n, const struct msg *msg,
                        const struct group *g)
{
    if (g->mask == msg->mask || msg->type != MSG_OPERATE || msg->u.operate.target_count <= 1) {
        struct msg part = *msg;
        part.mask = g->mask;
        leave(r, n, &part, g->endpoint);
        return;
    }
    struct target targets[GROUPS_MAX];
    uint32_t count = 0;
    for (uint64_t left = g->mask; left != 0; left &= left - 1u) {
        unsigned bit = (unsigned)__builtin_ctzll(left);
        targets[count++] = msg->u.operate.targets[rank_of(msg->mask, bit)];
    }
    struct msg part = *msg;
    part.mask = g->mask;
    part.u.operate.targets = targets;
    part.u.operate.target_count = count;
    leave(r, n, &part, g->endpoint);
}

/* Local units get their copy now; the others are filed by endpoint. */
static void route(struct runner *r, const struct msg *msg, unsigned bit, struct group *groups,
                  uint32_t *count)
{
    struct unit to = msg->mask == 0 ? msg->to : unit_plus(msg->to, bit);
    struct node *local = runner_find(r, to);
    if (local != NULL) {
        struct msg own;
        narrow(msg, bit, to, &own);
        own.sent_us = clock_boot_us();
        r->stats.sent_local++;
        post(r, local, ENDPOINT_NONE, 0, &own);
        return;
    }
    const struct directory_entry *e = directory_find(r->conf.directory, to);
    if (e == NULL || r->conf.egress == NULL) {
        r->stats.no_route++;
        return;
    }
    uint32_t i = 0;
    while (i < *count && groups[i].endpoint != e->endpoint) {
        i++;
    }
    if (i == *count) {
        groups[(*count)++] = (struct group){.endpoint = e->endpoint};
    }
    groups[i].mask |= msg->mask == 0 ? 0 : 1ull << bit;
}

void runner_send(struct runner *r, struct node *n, const struct msg *msg)
{
    struct msg whole = *msg;
    if (msg->type == MSG_RELAY && !num_id128_zero(msg->u.relay.operation->payload_of) &&
        r->conf.opcache != NULL) {
        /* By reference: the bytes are here, the node never has them. */
        const struct opcache_entry *e =
            opcache_get(r->conf.opcache, msg->u.relay.operation->payload_of);
        if (e == NULL) {
            r->stats.no_route++;
            return;
        }
        whole.u.relay.operation = &e->operation;
    }
    struct group groups[GROUPS_MAX];
    uint32_t count = 0;
    if (whole.mask == 0) {
        route(r, &whole, 0, groups, &count);
    }
    for (uint64_t left = whole.mask; left != 0; left &= left - 1u) {
        route(r, &whole, (unsigned)__builtin_ctzll(left), groups, &count);
    }
    for (uint32_t i = 0; i < count; i++) {
        leave_group(r, n, &whole, &groups[i]);
    }
}
