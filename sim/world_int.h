/* Inside of the virtual runner; only sim/world*.c include it. */
#ifndef SIM_WORLD_INT_H
#define SIM_WORLD_INT_H

#include "core/rng.h"
#include "registry/memory.h"
#include "sim/world.h"

enum world_event { W_WAKE = 1, W_START, W_MSG, W_STORE, W_WORK, W_LINK };

/* Variable data of an event; freed with the last reference. */
struct block {
    uint32_t references;
    _Alignas(16) uint8_t bytes[];
};

struct entry {
    int64_t at_us;
    uint64_t seq;
    struct block *block;
    uint32_t node;
    uint32_t generation; /* of the node, or of the wake */
    uint32_t sub;        /* W_MSG: which bit of the mask. W_LINK: link * 2 + up */
    enum world_event kind;
};

struct world_msg {
    struct msg msg;
    uint32_t from;      /* node index, or UINT32_MAX */
    uint32_t partition; /* of the sender when it was sent */
};

struct world_store {
    struct store_reply reply;
};

struct world_work {
    struct work_reply reply;
    struct world_work *next; /* of the node, for cancellation */
    bool cancelled;
};

struct world_node {
    const struct node_ops *ops;
    void *self; /* NULL: dead */
    struct unit unit;
    struct rng rng;
    struct world_work *works;
    uint64_t epoch;
    uint32_t generation, wake_generation;
    int64_t wake_us; /* true time; NEVER: none */
    int64_t origin_us, drift_ppb;
    int64_t last_us; /* on its clock */
    int64_t paused_until_us;
    uint32_t partition;
    uint32_t same_time_wakes;
    /* agents */
    int64_t one_way_us;
    double speed, slow; /* factors on the class's processing time */
    uint32_t host;      /* who started it, told when it ends; 0: the world itself */
    uint64_t host_ref;
    enum impedance_class agent_class;
};

struct cached {
    struct id128 id;
    struct operation operation;
    uint8_t *bytes;
    uint16_t *executed; /* by linear agent index: under which start it ran this; NULL: none yet */
    int64_t until_us;   /* true time */
    struct cached *next;
};

struct world_call {
    uint64_t ref;
    uint32_t replies;
    struct id128 accepted;
    struct block *final; /* struct msg at its start; NULL so far */
    struct world_call *next;
};

#define WORLD_CACHE_SLOTS 4096u

struct world {
    struct world_conf conf;
    struct world_stats stats;
    int64_t now_us;
    uint64_t seq, ref;
    struct rng net;
    struct world_node *nodes;
    uint32_t node_count, first_cluster, first_agent, first_host;
    struct entry *heap;
    size_t heap_count, heap_size;
    struct cached *cache[WORLD_CACHE_SLOTS];
    uint32_t cache_sweep;
    struct memory_store *store;
    bool store_down;
    struct world_call *calls;
    world_watch *watch;
    void *watch_context;
    struct outbox out;
};

#define WORLD_NOBODY UINT32_MAX

/* world.c */
uint32_t world_index(const struct world *w, struct unit u); /* WORLD_NOBODY: no such node */
void world_push(struct world *w, int64_t at_us, enum world_event kind, uint32_t node, uint32_t sub,
                struct block *block);
struct block *world_block(size_t bytes); /* one reference */
void world_block_drop(struct block *b);
void *world_alloc(size_t bytes); /* zeroed */
void world_start(struct world *w, uint32_t index, int64_t delay_us);
void world_stop(struct world *w, uint32_t index);
int64_t world_local(const struct world_node *n, int64_t true_us);
void world_digest(struct world *w, uint64_t value);
void world_step_msg(struct world *w, uint32_t index, const struct msg *msg);

/* world_net.c */
void world_transmit(struct world *w, uint32_t from, const struct msg *msg);
void world_deliver(struct world *w, const struct entry *e);

/* world_script.c */
void world_console_reply(struct world *w, const struct msg *msg);
void world_calls_free(struct world *w);

/* world_cache.c */
void world_seal(struct world *w, const struct operation *operation);
struct cached *world_cached(struct world *w, const struct id128 *id);
void world_cache_sweep(struct world *w);
void world_cache_free(struct world *w);

/* world_work.c */
void world_work_begin(struct world *w, uint32_t node, const struct work_op *op);
void world_work_cancel(struct world *w, uint32_t node, uint64_t ref);
void world_work_agent_ended(struct world *w, uint32_t agent);
void world_work_end(struct world *w, const struct entry *e, struct event *ret_event);

/* world_store.c */
void world_store_begin(struct world *w, uint32_t node, const struct store_op *op);

#endif
