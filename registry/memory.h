/* The store in memory: the same operations as on Redis, for the simulator and for tests.
 *
 * Synchronous and deterministic: it has no clock (the caller passes now_us, which must not fall),
 * no randomness, and nothing depends on addresses or hash order. A mesh that runs on it twice gets
 * the same replies.
 *
 * Bounded by a budget in bytes: what would exceed it is refused with STORE_FULL and changes
 * nothing (of several rows those that fit are written). What ends a job or removes something always
 * has room. */
#ifndef REGISTRY_MEMORY_H
#define REGISTRY_MEMORY_H

#include "core/store.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_store;

/* NULL when there is no memory. The store itself needs about 70 KiB beside its budget. */
struct memory_store *memory_store_new(uint64_t budget_bytes);
void memory_store_free(struct memory_store *store); /* accepts NULL */

/* Carries out `op` at now_us. What *ret_reply points to is valid until the next call. Never
 * STORE_UNKNOWN; an operation outside the contract is STORE_INVALID. History entries are stamped
 * with now_us, so a caller that wants Unix time there passes Unix time. */
void memory_store_apply(struct memory_store *store, int64_t now_us, const struct store_op *op,
                        struct store_reply *ret_reply);

/* The same for an operation that has passed store_op_check(): those in an outbox have. */
void memory_store_run(struct memory_store *store, int64_t now_us, const struct store_op *op,
                      struct store_reply *ret_reply);

/* From now on each log keeps its newest rows alone: `rows` at least, fewer than twice as many; 0:
 * all, as from the start. Numbers and the chain go on; what is gone is in no answer, and an id of
 * it that is appended again is a new row. For long runs whose log nobody reads. */
void memory_store_log_keep(struct memory_store *store, uint32_t rows);

/* Row `seq` (from 1) of a log as it lies there. False: it has none. *ret_id until the next call;
 * *ret_wrong: NULL, or how the row breaks the chain. */
bool memory_store_log_row(const struct memory_store *store, const char *log, uint64_t seq,
                          const char **ret_id, const char **ret_wrong);

/* For tests of who reads: a byte of every blob is another than it was. Returns how many there were.
 */
uint32_t memory_store_spoil(struct memory_store *store);

/* Bytes of the budget in use. */
uint64_t memory_store_used(const struct memory_store *store);

#endif
