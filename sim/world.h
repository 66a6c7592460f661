/* The virtual runner: a whole mesh in one process, in virtual time, from one seed.
 *
 * Nodes of all tiers are built from a topology with their node_ops, exactly the sources that the
 * real runner drives. Time is a heap of events ordered by (time, sequence). Every node has its own
 * clock: an origin of its own (machines boot at different times) and a drift of up to 50 ppm. The
 * network has latency by impedance class and loss; handlers take time by class (world_work.c).
 * Equal seeds give equal runs: `digest` folds every step.
 *
 * Times named true_us are the world's own clock, from 0; no node ever sees it. Allocation failure
 * aborts: this is a laboratory. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "core/node.h"
#include "core/topology.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 2026-01-01T00:00:00Z: Unix time at true time 0. */
#define WORLD_UNIX_US 1767225600000000ll

struct world;
struct world_wire; /* wire.h */

struct world_conf {
    struct topology topology;
    struct tuning tuning;
    uint64_t seed;
    uint32_t agent_loss_permille; /* between leads and agents, each way */
    uint32_t tier_loss_permille;  /* between leads, sectors and the orchestrator */
    uint32_t hosts;               /* host nodes; 0: the world itself starts the agents */
    int64_t clock_origin_us;      /* clocks start anywhere in 0 .. this; 0: 10 days */
    uint32_t drift_ppm_max;       /* 0: 50 */
    /* The upper tiers run in so many processes each, with leases and standbys (world_process.h);
     * for small meshes. 0: every unit runs by itself. */
    uint32_t processes;
    /* What agents say is signed and judged by the product's own acceptance. NULL: by the model of
     * it in world_lie.c, which is faster. */
    const struct world_wire *wire;
    bool pack;       /* agents between steps are packed; large worlds always do */
    bool pack_plain; /* word by word, as any processor can */
    bool threats;    /* what acceptance refuses is evidence (threat.h); else nobody hears of it */
    /* What a store that ends forgets, and what its replica lacks (world_fault.h). With either the
     * world keeps a journal of all writes: for small meshes. 0: neither is modelled. */
    int64_t store_sync_us, store_lag_us;
    uint32_t log_rows; /* each log keeps the newest so many (memory_store_log_keep); 0: all */
};

/* Everything that a step did, for traces. Borrowed for the call. */
struct world_step {
    int64_t true_us;
    struct unit unit;
    uint32_t instance; /* of the unit: a number of its own in each process that may run it */
    const struct event *event;
    struct unit sender; /* EV_MSG: who said it really; TIER_NONE: a console */
    int64_t sent_us;    /* EV_MSG */
    bool forged;        /* EV_MSG: its bytes are not what he signed */
    bool again;         /* EV_MSG: this very message was taken before */
    const struct outbox *out;
    int64_t wake_us;
};
typedef void world_watch(void *context, const struct world_step *step);

struct world_stats {
    uint64_t steps, messages, lost, refused, store_ops, works;
    uint64_t executed;       /* WORK_HANDLER runs */
    uint64_t executed_twice; /* of one operation by one start of an agent: must stay 0 */
    uint64_t executed_again; /* by an agent that had crashed in between */
    uint64_t unsound;  /* contexts held whose bytes are not what they are named: must stay 0 */
    uint64_t uneven;   /* reports whose outcomes do not add up to the targets: must stay 0 */
    uint64_t uncached; /* messages that named an operation whose bytes were gone */
    uint64_t digest;
};

/* Seven spec classes' default settings of the issue: beats 5 s and 1 s, buckets of 10 ms, .. */
void world_defaults(struct world_conf *ret, uint32_t agents, uint64_t seed);

struct world *world_new(const struct world_conf *conf);
void world_free(struct world *w);

int64_t world_now(const struct world *w);
int64_t world_mesh_now(const struct world *w); /* true Unix microseconds */
void world_run(struct world *w, int64_t us);   /* so much further */
const struct world_stats *world_stats(const struct world *w);
void world_watch_set(struct world *w, world_watch *watch, void *context);

/* A unit, and with `below` all units below it. kill: as a crash, memory is gone; returns the bits
 * of the processes that it ended, for world_processes_start(). leave: a clean stop, as of a
 * service: agents say goodbye, processes give their leases up; returns the same. restart: under the
 * next epoch. pause: its process stands still, what arrives waits. partition: nothing passes
 * between it (and what is below) and the rest. link: tells it of its bus or store. */
uint64_t world_kill(struct world *w, struct unit u, bool below);
uint64_t world_leave(struct world *w, struct unit u, bool below);
void world_restart(struct world *w, struct unit u, bool below);
void world_pause(struct world *w, struct unit u, bool below, int64_t us);
void world_partition(struct world *w, struct unit u, bool on);
void world_link(struct world *w, struct unit u, enum link which, bool up);
void world_store_down(struct world *w, bool down); /* for everyone, links told */
/* With processes an act on a unit of an upper tier is one on the process that runs it, or that
 * would. twin: a second process under the name of the one whose own unit it is. */
#define WORLD_PROCESSES_MAX 8u
void world_twin(struct world *w, struct unit u, bool on);
void world_processes_start(struct world *w, uint64_t processes); /* of these who do not run */
void world_processes_heal(struct world *w);                      /* of all, twins apart */
uint32_t world_instances(const struct world *w);
bool world_alive(const struct world *w, struct unit u);
/* Factor on the processing time of one agent; 1.0 is its own. */
void world_slow(struct world *w, struct unit agent, double factor);

/* From now on; between leads and agents, and between the upper tiers. */
void world_loss(struct world *w, uint32_t agent_permille, uint32_t tier_permille);

/* Scripted consoles. send: from console `number`; returns the ref. reply: the final reply to a ref,
 * or NULL so far; valid until the world is freed. ask: send, run until it is there or `timeout_us`
 * passed. */
uint64_t world_send(struct world *w, uint32_t number, struct unit to, const struct command *c);
const struct reply *world_reply(const struct world *w, uint64_t ref);
uint32_t world_replies(const struct world *w, uint64_t ref); /* progress included */
const struct reply *world_ask(struct world *w, struct unit to, const struct command *c,
                              int64_t timeout_us);
/* Frees what is kept of a call that was answered. */
void world_forget(struct world *w, uint64_t ref);
/* The id of an accepted operation; all zero before. */
struct id128 world_accepted(const struct world *w, uint64_t ref); /* or held */
bool world_held(const struct world *w, uint64_t ref);

/* An operation template with the console's defaults: echo of `payload` to everyone. */
void world_operation(struct operation *ret, const char *action, const char *payload);

#endif
