/* What is to happen in a world, in order, and the blocks that carry it; only sim/world*.c use
 * it. */
#ifndef SIM_WORLD_QUEUE_H
#define SIM_WORLD_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum world_event {
    W_WAKE = 1,
    W_START,
    W_MSG,
    W_STORE,
    W_WORK,
    W_LINK,
    W_CLOCK,
    W_TICK,
    W_EVIDENCE,
    W_SHUT_OUT,
    W_ANNOUNCE
};

/* Variable data of an event; freed with the last reference. */
struct block {
    uint32_t references;
    uint32_t steps; /* its size class; 0: from malloc */
    _Alignas(16) uint8_t bytes[];
};

#define BLOCK_SIZES 128u /* 64 bytes apart */
struct slab_head;
struct blocks {
    struct block *free[BLOCK_SIZES];
    struct slab_head *slabs;
    uint8_t *at;
    size_t slab_left;
};

struct entry { /* 32 bytes: they are moved about */
    int64_t at_us;
    struct block *block;
    uint64_t seq : 48;
    uint64_t sub : 8;  /* W_MSG: which bit of the mask. W_LINK: link * 2 + up */
    uint64_t kind : 8; /* enum world_event */
    uint32_t node;
    uint32_t generation; /* of the node, or of the wake */
};
#define SEQ_MASK ((1ull << 48) - 1u)

/* world_queue.c */
struct queue;
/* nodes: an array of node_bytes each, by entry.node, of which every event needs the first ones. */
struct queue *queue_new(const void *nodes, size_t node_bytes, size_t needed_bytes);
void queue_free(struct queue *q); /* not the blocks of its entries: take them first */
void queue_push(struct queue *q, const struct entry *e);
bool queue_pop(struct queue *q, int64_t until_us, struct entry *ret);
bool queue_take(struct queue *q, struct entry *ret);
/* What is likely to come next (0), and after that, if it is known already; for prefetching. */
const struct entry *queue_next(const struct queue *q, uint32_t ahead);

/* world_block.c */
struct world;
void *world_alloc(size_t bytes);                          /* zeroed */
void *world_alloc_lines(size_t bytes);                    /* and on lines of 64 bytes */
struct block *world_block(struct world *w, size_t bytes); /* one reference; not zeroed */
void world_block_drop(struct world *w, struct block *b);
void world_blocks_free(struct world *w);

#endif
