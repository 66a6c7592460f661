/* Idle agents in little memory (core/pack.h): 30,000 of them take 25 MB instead of 170. Small
 * worlds do not pack, so that sanitizers see each agent's own memory. */
#include "sim/world_int.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

static void *pack_room_for(size_t node_bytes)
{
    void *memory = aligned_alloc(PACK_LINE, pack_memory(node_bytes));
    assert(memory != NULL);
    return memory;
}

void world_pack_init(struct world *w, const struct node_ops *ops, size_t node_bytes)
{
    enum pack_loops loops = w->conf.pack_plain ? PACK_WORDS : pack_loops_here();
    w->pack_ops = ops;
    w->pack_memory = pack_room_for(node_bytes);
    w->part_memory = pack_room_for(node_bytes);
    pack_init(&w->packer, w->pack_memory, node_bytes, loops);
    if (ops->light != NULL) {
        pack_init_part(&w->part, w->part_memory, node_bytes, ops->light_bytes, loops);
    }
}

void world_pack_free(struct world *w)
{
    free(w->pack_memory);
    free(w->part_memory);
}

void *world_unpack(struct world *w, const struct packed *from, const struct event *event)
{
    if (event != NULL && w->pack_ops->light != NULL) {
        void *self = pack_lay_out(&w->part, from);
        w->in_part = w->pack_ops->light(self, event);
        if (w->in_part) {
            return self;
        }
    }
    w->in_part = false;
    return pack_lay_out(&w->packer, from);
}

struct packed *world_pack(struct world *w, struct packed *former)
{
    size_t bytes = w->in_part ? pack_gather_part(&w->part, former) : pack_gather(&w->packer);
    const struct packer *from = w->in_part ? &w->part : &w->packer;
    if (pack_suits(former, bytes, PACK_LINE)) {
        pack_write(from, former, former->room);
        return former;
    }
    struct packed *p = malloc(pack_room(bytes));
    if (p == NULL) {
        fprintf(stderr, "world: out of memory for agents\n");
        abort();
    }
    pack_write(from, p, pack_room(bytes));
    free(former);
    return p;
}
