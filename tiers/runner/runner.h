/* The real runner's engine: nodes of one process, their clocks, wakes, messages, work and store
 * requests (core/node.h). process.h puts it on NATS, Redis and signals.
 *
 * One loop thread owns everything. The caller calls runner_turn() once per turn of its loop, waits
 * no longer than runner_next_us(), and hands in what arrives. Nothing here blocks. */
#ifndef TIERS_RUNNER_RUNNER_H
#define TIERS_RUNNER_RUNNER_H

#include "core/node.h"
#include "tiers/runner/directory.h"
#include "tiers/runner/egress.h"
#include "tiers/runner/log.h"
#include "tiers/runner/opcache.h"
#include "tiers/runner/timers.h"
#include <stdbool.h>
#include <stdint.h>

#define RUNNER_NODES_MAX   1048576u
#define RUNNER_POSTED_MAX  262144u /* messages waiting in the process; beyond: dropped, counted */
#define RUNNER_WORKS_MAX   262144u /* beyond: answered REFUSED-like: FAILED, overload */
#define RUNNER_TURN_TIMERS 4096u   /* due timers run in one turn, then the bus gets its chance */
#define RUNNER_PACK_FROM   256u    /* this agent and later ones are packed when idle (pack.h) */
#define RUNNER_PACK_OPEN   128u    /* so many of them are laid out, those that were stepped last */

/* What a simulated process does to its agents; NULL functions: nothing. */
struct page;

struct runner_world {
    void *ctx;
    /* The agent's own clock: its offset to the boot clock and its drift in parts per billion. */
    void (*clock)(void *ctx, struct unit agent, int64_t *ret_offset_us, int32_t *ret_drift_ppb);
    /* One-way delay of a message from or to the agent; -1: it is lost. */
    int64_t (*delay_us)(void *ctx, struct unit agent, bool to_agent);
    /* How much later than it was an agent claims to have been done: 0, or a lie. May be NULL. */
    int64_t (*claims_us)(void *ctx, struct unit agent);
    /* A handler has done its work. May be NULL. */
    void (*ran)(void *ctx, struct unit agent, const struct operation *operation);
    /* An agent has released the effect of an operation at T, as its own clock has it. May be NULL.
     */
    void (*released)(void *ctx, uint64_t id_low);
    void (*metrics)(void *ctx, struct page *page); /* may be NULL */
    int64_t (*work_us)(void *ctx, struct unit agent, enum impedance_class c, double weight);
    /* What an agent says of itself (core/facts.h), for as long as the process runs. */
    const char *(*facts)(void *ctx, struct unit agent, enum impedance_class c);
};

struct runner_stats {
    uint64_t steps, wakes;
    uint64_t sent_local, sent_remote, sent_lost; /* lost: by the simulated network */
    uint64_t no_route;                           /* nobody known for the unit */
    uint64_t not_mine;                           /* arrived for a unit that does not run here */
    uint64_t posted, posted_dropped;
    uint64_t works, works_refused, works_cancelled;
    uint64_t store_ops, store_refused, store_replies;
    uint64_t seals, seals_refused;
    uint64_t spans_unknown; /* of operations that are forgotten here */
    uint64_t notes[NOTE_COUNT];
    uint64_t orders_forked, orders_old; /* refused by a sector here (core/order.h) */
    uint64_t stale_accepted;   /* from a parent that was replaced, and acted upon: must stay 0 */
    uint64_t contents_refused; /* from neighbours: not what their keys say */
    uint64_t memory_refused;   /* a node or an answer that found no memory */
    uint64_t packed_bytes;     /* of agents between their steps */
    int64_t lag_us;            /* how late the latest timer of the last second ran */
    uint32_t nodes, agents;    /* running */
};

struct runner_conf {
    const struct topology *topology;
    const struct tuning *tuning;
    const char *process;
    uint64_t seed;
    uint64_t epoch;                         /* of this process's ownership */
    const struct node_ops *ops[TIER_COUNT]; /* of the tiers that may run here */
    const struct runner_world *world;       /* NULL: a real process */
    const char *facts; /* of its agents (core/facts.h); NULL: none, or the world's */
    struct log *log;
    struct directory *directory;
    struct opcache *opcache; /* NULL: no operations (tests) */
    struct egress *egress;   /* NULL: nothing leaves the process (tests) */
    /* False: no answer will come. NULL: there is no store. tag: for runner_store_reply. */
    bool (*store)(void *ctx, const struct store_op *op, void *tag);
    void *store_ctx;
    /* What the orchestrator wants shut out, or let in again (FX_EXCLUDE). NULL: nothing happens. */
    void (*exclude)(void *ctx, const struct exclusion *e);
    void *exclude_ctx;
    /* Who may speak for a spare place (FX_GRANT). NULL: nothing happens. */
    void (*grant)(void *ctx, const struct grant *g);
    void *grant_ctx;
    /* Spans of operations that are sampled. NULL: nobody wants any. */
    void (*span)(void *ctx, const struct span *span, const struct trace_context *trace);
    void *span_ctx;
    const struct executor *executor; /* of actions that are not built in; NULL: none */
    uint32_t pack_from, pack_open;   /* 0: RUNNER_PACK_FROM, RUNNER_PACK_OPEN */
};

struct executor;
struct executor_answer;
struct host_clock_watch;
struct runner;
struct runner *runner_new(const struct runner_conf *conf); /* NULL: no memory */
void runner_free(struct runner *r);

/* Creates a node that starts at the next turn. port: the signer of its frames. Hosts: their agents.
 * 0, -EEXIST (it runs), -ENOTSUP (no ops for its tier), -ENOMEM, -ENOSPC. */
int runner_add(struct runner *r, struct unit u, uint16_t port, uint32_t agent_first,
               uint32_t agent_count);
/* The same for a unit of the upper tiers under an epoch of its own. */
int runner_add_owned(struct runner *r, struct unit u, uint64_t epoch);
/* Forgets a node as a crash would. */
void runner_remove(struct runner *r, struct unit u);

/* Runs what is due, then leaves frames to egress_flush(). */
void runner_turn(struct runner *r);
/* When the next timer is due, on the boot clock; NEVER: none. */
int64_t runner_next_us(const struct runner *r);

/* A decoded message for units of this process; `to` and mask are resolved here. */
void runner_message(struct runner *r, const struct msg *msg);
void runner_store_reply(struct runner *r, void *tag, const struct store_reply *reply);
void runner_link(struct runner *r, enum link which, bool up);
/* Once a second or more often: looks at the host's clock, and tells the nodes what is new of it. */
void runner_clock(struct runner *r);

/* For the orchestrator, if it runs here: a process refused what another sent. */
void runner_evidence(struct runner *r, const struct evidence *e);

/* For the hosts here: sectors within these have a new owner. */
void runner_owner(struct runner *r, uint16_t first, uint16_t last);

/* Clean stop: every running agent has its last words (EV_STOP). Nothing is stepped after it. */
void runner_goodbye(struct runner *r);

/* The executor's host functions (executor.h). */
void runner_run_progress(void *run, const uint8_t *bytes, size_t count);
void runner_run_done(void *run, const struct executor_answer *answer);

/* Cancels all work, without a word to its nodes: the process ends. */
void runner_forget_work(struct runner *r);

bool runner_has(const struct runner *r, struct unit u);
const struct runner_stats *runner_stats(struct runner *r);
const struct host_clock_watch *runner_host_clock(const struct runner *r);

#endif
