/* The memory of nodes. A process that hosts thousands of agents keeps them packed between their
 * steps (core/pack.h): few of an agent's tables are in use at any time, and what is zero takes no
 * memory. The first agents of a process (RUNNER_PACK_FROM) are laid out for good, so that a machine
 * with few of them spends nothing on it. */
#include "tiers/runner/runner_int.h"
#include <assert.h>
#include <stdlib.h>

/* What lies in the place becomes the node's packed form. False: no memory; the former one stays. */
static bool pack(struct runner *r, struct node *n)
{
    struct packed *former = n->self;
    size_t bytes = pack_gather(&r->packer);
    if (pack_suits(former, bytes)) {
        pack_write(&r->packer, former, former->room);
        return true;
    }
    struct packed *to = malloc(pack_room(bytes));
    if (to == NULL) {
        return false;
    }
    pack_write(&r->packer, to, pack_room(bytes));
    r->stats.packed_bytes += to->room;
    runner_node_free(r, n);
    n->self = to;
    return true;
}

static bool packer_ready(struct runner *r, size_t node_bytes)
{
    if (r->packer.lines == 0) {
        r->pack_memory = aligned_alloc(PACK_LINE, pack_memory(node_bytes));
        if (r->pack_memory == NULL) {
            return false;
        }
        pack_init(&r->packer, r->pack_memory, node_bytes, PACK_WIDE_HERE());
    }
    return true;
}

bool runner_node_make(struct runner *r, struct node *n, const struct node_conf *conf)
{
    assert(n->self == NULL);
    assert(n->ops != NULL);
    n->packed = n->unit.tier == TIER_AGENT && r->stats.agents + 1 >= r->conf.pack_from;
    if (n->packed) {
        if (!packer_ready(r, n->ops->size(conf))) {
            return false;
        }
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

void *runner_node_open(struct runner *r, const struct node *n)
{
    assert(n->self != NULL);
    return n->packed ? pack_lay_out(&r->packer, n->self) : n->self;
}

bool runner_node_close(struct runner *r, struct node *n)
{
    assert(n->self != NULL);
    return !n->packed || pack(r, n);
}

void runner_node_free(struct runner *r, struct node *n)
{
    if (n->packed && n->self != NULL) {
        r->stats.packed_bytes -= ((struct packed *)n->self)->room;
    }
    free(n->self);
    n->self = NULL;
}
