/* What the files of the runner's engine share, and nobody else. */
#ifndef TIERS_RUNNER_RUNNER_INT_H
#define TIERS_RUNNER_RUNNER_INT_H

#include "core/pack.h"
#include "core/rng.h"
#include "tiers/runner/clock.h"
#include "tiers/runner/executor.h"
#include "tiers/runner/handlers.h"
#include "tiers/runner/host_clock.h"
#include "tiers/runner/runner.h"
#include "tiers/runner/unitmap.h"

#define RUNNER_BLOBS_MAX 64u        /* uploads of large answers at a time */
#define RUNNER_TAG_BLOB  UINT32_MAX /* in a store tag, where nodes have their generation */

#define RUNNER_CONTENTS_MAX 64u /* contexts held at a time (runner_content.c) */
#define RUNNER_TAG_CONTENT  (UINT32_MAX - 1u)

struct work;
struct blob;
struct open;
struct held;

struct node {
    struct timer wake; /* first: the timer is the node */
    struct unit unit;
    uint32_t index;
    uint32_t generation; /* rises with each start: answers to an earlier life are dropped */
    const struct node_ops *ops;
    void *self;    /* NULL: not running; of one that is packed a struct packed */
    bool packed;   /* when idle (runner_pack.c) */
    uint16_t open; /* packed, and laid out now: which place, + 1 */
    uint64_t epoch;
    uint64_t parent_epoch; /* the highest that spoke to it */
    uint64_t starts;
    uint64_t lives;  /* starts of the agent that was planned for this place, wherever it ran */
    int64_t last_us; /* the last now_us it saw */
    int64_t clock_offset_us, clock_base_us; /* boot clock to its own */
    int32_t clock_drift_ppb;
    uint32_t agent_first, agent_count;
    uint32_t host;    /* agents: index of the host node that started it, + 1; 0: none */
    struct unit home; /* agents: the place that they were planned for, which is who they are */
    uint16_t port;
    uint8_t agent_class;
    bool fresh; /* EV_START is still to come */
    struct id128 context_hash;
    uint32_t content; /* slot + 1 of the context that it has loaded; 0: its class's own */
    struct rng rng;   /* of its handlers */
    struct work *works;
};

/* A message on its way inside the process: to a local node, or out after a simulated delay. */
struct posted {
    struct timer timer;
    struct posted *next; /* free list */
    uint32_t node, generation;
    uint32_t endpoint; /* ENDPOINT_NONE: to the node; else from the node to it */
    int64_t delay_us;
    struct msg msg;
    uint32_t room;
    _Alignas(16) uint8_t bytes[];
};

struct work {
    struct timer timer;
    struct work *next, **link; /* in its node's list; the free list uses next */
    uint32_t node, generation;
    struct work_op op;
    const struct handler_ops *handler;
    int64_t began_us;
    enum outcome verdict; /* set: decided at once */
    enum reason reason;
    struct runner *runner;
    void *job;        /* of the executor, while it runs */
    uint32_t blob;    /* slot + 1 of an upload of its answer; 0: none */
    uint32_t content; /* slot + 1 of a context that it waits for, or brings; 0: none */
    struct work *content_next;
    bool content_only_put;
    uint32_t seq;        /* of its replies */
    uint32_t text_bytes; /* partial output that is due, or the text of a verdict at once */
    uint8_t *text;       /* ANSWER_BYTES_MAX; NULL: none yet */
};

struct runner {
    struct runner_conf conf;
    struct runner_stats stats;
    struct timers timers;
    struct node **nodes;
    uint32_t node_count, node_room;
    struct unitmap map;
    struct posted *posted_pool; /* of small ones */
    uint32_t posted_count;
    struct work *work_pool;
    uint32_t work_count;
    struct blob *blobs;    /* RUNNER_BLOBS_MAX; NULL: none yet */
    struct held *contents; /* RUNNER_CONTENTS_MAX; NULL: none yet */
    int64_t contents_us;   /* when runner_contents_keep() looked last */
    bool links[LINK_COUNT];
    struct host_clock_watch host_clock;
    bool leaving;         /* the last words are said: nothing may wait for a timer any more */
    struct packer packer; /* of agents; no lines: none is packed yet */
    struct open *open;    /* conf.pack_open places, in turn */
    uint32_t open_next;
    void *pack_memory;
    uint8_t *pack_places; /* in it */
    int64_t lag_at_us, lag_max_us;
    struct outbox out;
};

int64_t runner_node_clock(const struct node *n, int64_t boot_us);
int64_t runner_node_boot(const struct node *n, int64_t clock_us);

/* Gives the node one event and carries out what it asks for. */
void runner_step(struct runner *r, struct node *n, struct event *event);
struct node *runner_find(const struct runner *r, struct unit u);
/* An agent at a place, as the one that was planned for `home`; else as runner_add(). */
int runner_add_agent(struct runner *r, struct unit u, struct unit home, uint16_t port);

/* What the agent says of itself (core/facts.h); NULL: nothing. */
const char *runner_facts(const struct runner *r, struct unit agent, enum impedance_class c);

/* runner_pack.c: the memory of nodes. */
bool runner_node_make(struct runner *r, struct node *n, const struct node_conf *conf);
void *runner_node_open(struct runner *r, struct node *n); /* its state, for a step */
void runner_node_free(struct runner *r, struct node *n);
void runner_pack_done(struct runner *r);

/* runner_span.c: whose trace an operation belongs to; what a node says of one goes out. */
struct trace_context runner_trace(const struct runner *r, const struct operation *op);
void runner_span(struct runner *r, const struct span *span);

/* runner_send.c */
void runner_send(struct runner *r, struct node *n, const struct msg *msg);
/* msg: `to` is the node, no mask, recv_us on the node's clock. */
void runner_deliver(struct runner *r, struct node *n, const struct msg *msg);
void runner_posted_free(struct posted *p);

/* runner_work.c */
void runner_work_begin(struct runner *r, struct node *n, const struct work_op *op);
void runner_work_cancel(struct runner *r, struct node *n, uint64_t ref);
void runner_work_forget(struct runner *r, struct node *n);    /* its node has gone */
void runner_work_ended(struct runner *r, struct node *agent); /* its host is told */
/* The final answer of a work with its verdict and reason set; the work is released. */
void runner_work_answer(struct runner *r, struct work *w, const uint8_t *bytes, uint32_t count,
                        const struct conflict_detail *conflict);

/* runner_blob.c: ends in runner_work_answer, perhaps at once. */
void runner_blob_put(struct runner *r, struct work *w, const uint8_t *bytes, size_t count);
void runner_blob_reply(struct runner *r, uint32_t slot, const struct store_reply *reply);
void runner_blob_forget(struct runner *r, struct work *w); /* the work goes first */
void runner_blobs_free(struct runner *r);

/* runner_content.c. A work that wants a context is answered from the heap; when that is READY its
 * agent adopts it. bytes: NULL when it is to come from the registry. */
void runner_content_want(struct runner *r, struct work *w, const uint8_t hash[32],
                         const uint8_t *bytes, uint32_t count);
/* What is held here under that key and is sound; NULL: nothing. Valid for the turn. */
const uint8_t *runner_content_bytes(struct runner *r, const uint8_t hash[32], uint32_t *ret_count);
void runner_content_reply(struct runner *r, uint32_t slot, const struct store_reply *reply);
void runner_content_adopt(struct runner *r, struct node *n, struct work *w);
void runner_content_forget(struct runner *r, struct work *w); /* the work goes first */
void runner_content_leave(struct runner *r, struct node *n);  /* the agent goes */
/* Whether what the agent has loaded still is what its name says; else it holds nothing any more. */
bool runner_content_verify(struct runner *r, struct node *n, uint32_t *ret_bytes);
void runner_contents_keep(struct runner *r, bool again);
void runner_contents_free(struct runner *r);
/* runner_work.c: the text of a verdict that is due. */
void runner_work_text(struct work *w, const uint8_t *bytes, size_t count);

#endif
