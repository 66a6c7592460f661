/* Where a chain of orders stands (order.h): the number of the last one and the digest over all. */
#ifndef CORE_ORDER_HEAD_H
#define CORE_ORDER_HEAD_H

#include <stdint.h>

#define ORDER_HASH 32u /* bytes */

struct order_head {
    uint64_t epoch; /* of the orchestrator that gave it; 0: none is known */
    uint64_t seq;   /* from 1 on in each epoch */
    uint8_t hash[ORDER_HASH];
};

/* BLAKE2b-256. A node has none of its own: its runner lends it one (node_conf). */
typedef void digest_fn(const uint8_t *bytes, uint32_t count, uint8_t ret[ORDER_HASH]);

#endif
