/* Idle agents in little memory (core/pack.h): 30,000 of them take 25 MB instead of 170. Small
 * worlds do not pack, so that sanitizers see each agent's own memory. */
#include "sim/world_int.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

void world_pack_init(struct world *w, size_t node_bytes)
{
    w->pack_memory = aligned_alloc(PACK_LINE, pack_memory(node_bytes));
    assert(w->pack_memory != NULL);
    pack_init(&w->packer, w->pack_memory, node_bytes,
              w->conf.pack_plain ? PACK_WORDS : pack_loops_here());
}

void world_pack_free(struct world *w)
{
    free(w->pack_memory);
}

void *world_unpack(struct world *w, const struct packed *from)
{
    return pack_lay_out(&w->packer, from);
}

struct packed *world_pack(struct world *w, struct packed *former)
{
    size_t bytes = pack_gather(&w->packer);
    if (pack_suits(former, bytes, PACK_LINE)) {
        pack_write(&w->packer, former, former->room);
        return former;
    }
    free(former);
    struct packed *p = malloc(pack_room(bytes));
    if (p == NULL) {
        fprintf(stderr, "world: out of memory for agents\n");
        abort();
    }
    pack_write(&w->packer, p, pack_room(bytes));
    return p;
}
