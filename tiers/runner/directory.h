/* Which process and port a unit is at, and under which epoch it is owned.
 *
 * Three sources: the placement in the configuration (epoch 0, so that anything newer overrides),
 * announcements ("I own these units under this epoch"), and accepted messages, which show where
 * their speaker is. All of them come from frames whose certificate covers the unit. A lower epoch
 * never overrides a higher one; an equal one does so for agents, hosts and consoles only: those may
 * move between processes, while two owners of a tier unit under one epoch would be a fault, and the
 * first stays. */
#ifndef TIERS_RUNNER_DIRECTORY_H
#define TIERS_RUNNER_DIRECTORY_H

#include "core/unit.h"
#include "tiers/runner/config.h"
#include "tiers/runner/endpoint.h"
#include "tiers/runner/unitmap.h"
#include <stdbool.h>
#include <stdint.h>

/* Units beyond it are not learned (consoles and hosts come and go): counted in `full`. */
#define DIRECTORY_EXTRA_MAX 262144u
#define ENDPOINT_NONE       UINT32_MAX

struct directory_entry {
    uint32_t endpoint;
    uint64_t epoch;
};

struct directory {
    struct unitmap units; /* -> index into entries */
    struct directory_entry *entries;
    uint32_t entry_count, entry_room, entry_max;
    struct endpoint *endpoints; /* each once; the index is stable */
    uint32_t endpoint_count, endpoint_room;
    uint32_t *endpoint_table; /* open addressing: index + 1 */
    uint32_t endpoint_mask;
    uint64_t full, stale;
    uint64_t *announced;              /* of each sector: the highest epoch in an announcement */
    uint16_t risen_first, risen_last; /* where the last one rose (announce.h); 0: nowhere */
};

bool directory_init(struct directory *d, const struct topology *topology); /* false: no memory */
void directory_done(struct directory *d);

/* Adds all units of the configuration at epoch 0. Agents of role agent are at port 0 of their
 * process, those of role sim at the port of their simulated host (directory_host_port). False: no
 * memory, or a unit that two processes claim: *ret_twice names it. */
bool directory_bootstrap(struct directory *d, const struct config *config, struct unit *ret_twice);

/* The stable number of an endpoint; adds it. ENDPOINT_NONE: no memory. */
uint32_t directory_endpoint(struct directory *d, const struct endpoint *e);
const struct endpoint *directory_endpoint_at(const struct directory *d, uint32_t index);

/* NULL: not known. */
const struct directory_entry *directory_find(const struct directory *d, struct unit u);

/* False: refused, because the epoch known is higher (`stale`). */
bool directory_learn(struct directory *d, struct unit u, uint32_t endpoint, uint64_t epoch);

/* Its next message is believed under any epoch: another agent has its place. */
void directory_forget(struct directory *d, struct unit u);

/* Hosts: agents of one process are hosted in runs of neighbouring linear indexes, at most `per`
 * together. One run each call, first index from *cursor (start at 0); false at the end. */
struct host_run {
    uint32_t first, count;
    uint32_t ordinal; /* 0, 1, .. within its process */
};
bool directory_host_next(const struct config *config, const struct process_conf *process,
                         uint32_t *cursor, struct host_run *ret);
/* The number of the machine that hosts a run: unique in the mesh. */
uint32_t directory_host_number(const struct host_run *run);
/* The port of a run: 0 for role agent, 1 + ordinal for role sim. */
uint32_t directory_host_port(const struct process_conf *process, const struct host_run *run);

#endif
