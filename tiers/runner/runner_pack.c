/* The memory of nodes. A process that hosts thousands of agents keeps idle ones packed
 * (core/pack.h): few of an agent's tables are in use at any time, and what is zero takes no memory.
 * Those that were stepped last stay laid out, each at a place of its own, since one step is mostly
 * followed by the next: the work of an operation, its acknowledgement. The places are used in turn;
 * whose turn has come round is packed. The first RUNNER_PACK_FROM agents of a process are never
 * packed, so that a machine with few of them spends nothing on it.
 *
 * An agent that finds no memory for its packed form is gone, as after a crash: its host is told. */
#include "tiers/runner/runner_int.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* An operation makes an agent larger for a moment: what was enough then is kept, up to so much more
 * than is needed. */
#define PACK_SPARE 256u

struct open {
    struct node *node; /* NULL: nobody, and the place is all zero */
};

static uint8_t *place_of(const struct runner *r, uint32_t at)
{
    return r->pack_places + (size_t)at * r->packer.lines * PACK_LINE;
}

/* What lies in the packer's place becomes the node's packed form. False: no memory; the former one
 * stays. */
static bool pack(struct runner *r, struct node *n)
{
    struct packed *former = n->self;
    size_t bytes = pack_gather(&r->packer);
    if (pack_suits(former, bytes, PACK_SPARE)) {
        pack_write(&r->packer, former, former->room);
        return true;
    }
    struct packed *to = malloc(pack_room(bytes));
    if (to == NULL) {
        return false;
    }
    pack_write(&r->packer, to, pack_room(bytes));
    r->stats.packed_bytes += to->room;
    r->stats.packed_bytes -= former != NULL ? former->room : 0;
    free(former);
    n->self = to;
    return true;
}

static bool packer_ready(struct runner *r, size_t node_bytes)
{
    if (r->packer.lines > 0) {
        return true;
    }
    size_t rounded = (node_bytes + PACK_LINE - 1) / PACK_LINE * PACK_LINE;
    size_t own = pack_memory(rounded);
    r->open = calloc(r->conf.pack_open, sizeof(*r->open));
    r->pack_memory = calloc(1, own + r->conf.pack_open * rounded + PACK_LINE);
    if (r->open == NULL || r->pack_memory == NULL) {
        runner_pack_done(r);
        return false;
    }
    uint8_t *memory = r->pack_memory;
    memory += PACK_LINE - (uintptr_t)memory % PACK_LINE;
    pack_init(&r->packer, memory, rounded, pack_loops_here());
    r->pack_places = memory + own;
    return true;
}

/* The next place in turn, for n: who was there is packed. */
static void place_take(struct runner *r, struct node *n)
{
    uint32_t at = r->open_next++ % r->conf.pack_open;
    struct node *former = r->open[at].node;
    r->packer.place = place_of(r, at);
    memset(r->packer.bitmap, 0, sizeof(r->packer.bitmap));
    if (former != NULL && pack(r, former)) {
        former->open = 0;
    } else if (former != NULL) {
        r->stats.memory_refused++;
        runner_remove(r, former->unit); /* its place is all zero after that */
        memset(r->packer.bitmap, 0, sizeof(r->packer.bitmap));
    }
    r->open[at].node = n;
    n->open = (uint16_t)(at + 1u);
}

bool runner_node_make(struct runner *r, struct node *n, const struct node_conf *conf)
{
    assert(n->self == NULL && n->open == 0);
    assert(n->ops != NULL);
    n->packed = n->unit.tier == TIER_AGENT && r->stats.agents + 1 >= r->conf.pack_from;
    if (n->packed) {
        if (!packer_ready(r, n->ops->size(conf))) {
            return false;
        }
        place_take(r, n);
        n->ops->init(pack_lay_out(&r->packer, NULL), conf);
        return pack(r, n);
    }
    n->self = calloc(1, n->ops->size(conf));
    if (n->self == NULL) {
        return false;
    }
    n->ops->init(n->self, conf);
    return true;
}

void *runner_node_open(struct runner *r, struct node *n)
{
    assert(n->self != NULL);
    if (!n->packed) {
        return n->self;
    }
    if (n->open != 0) {
        return place_of(r, n->open - 1u);
    }
    place_take(r, n);
    return pack_lay_out(&r->packer, n->self);
}

void runner_node_free(struct runner *r, struct node *n)
{
    if (n->packed && n->self != NULL) {
        r->stats.packed_bytes -= ((struct packed *)n->self)->room;
    }
    if (n->open != 0) {
        memset(place_of(r, n->open - 1u), 0, (size_t)r->packer.lines * PACK_LINE);
        r->open[n->open - 1u].node = NULL;
        n->open = 0;
    }
    free(n->self);
    n->self = NULL;
}

void runner_pack_done(struct runner *r)
{
    free(r->open);
    free(r->pack_memory);
    r->open = NULL;
    r->pack_memory = NULL;
}
