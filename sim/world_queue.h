/* The queue of the world's events (world_queue.c): three wheels and a small heap. */
#ifndef SIM_WORLD_QUEUE_H
#define SIM_WORLD_QUEUE_H

#include "sim/world_int.h"

/* nodes: an array of node_bytes each, by entry.node. */
struct queue *queue_new(const void *nodes, size_t node_bytes);
void queue_free(struct queue *q); /* not the blocks of its entries: take them first */
void queue_push(struct queue *q, const struct entry *e);
bool queue_pop(struct queue *q, int64_t until_us, struct entry *ret);
bool queue_take(struct queue *q, struct entry *ret);
/* What comes next, if it is known already; for prefetching. */
const struct entry *queue_next(const struct queue *q);

#endif
