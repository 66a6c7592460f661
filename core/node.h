/* The node contract: how a state machine meets the world.
 *
 * A node is one unit of one tier. A runner gives it one event at a time and afterwards carries out,
 * in order, the effects that it asked for. There are two runners: tiers/runner (libuv, NATS, Redis)
 * and sim/world (virtual time). The same node source runs in both (design 2).
 *
 * The contract, held by asserts in both runners:
 *  1. step() never blocks, allocates, logs, fails or re-enters; it has no clock, no I/O, no
 * globals.
 *  2. event.now_us is the node's own monotonic clock, read afresh before each step; it never goes
 *     back. step() returns the node's next wake on that clock (NEVER: none). On EV_WAKE it must lie
 *     after now_us, or, when the outbox was short of room (outbox_room() was false), may equal it:
 *     the runner then empties the outbox and wakes it again.
 *  3. Event data is borrowed for the call. Effects are deep-copied into the outbox.
 *  4. A send is fire-and-forget: a loss shows as a deadline. Every store and work ref is answered
 *     once or never: keep a deadline for each.
 *  5. Work: any number of EV_WORK with final = false, then at most one with final = true.
 *  6. Randomness comes from a generator inside the node, seeded by init (rng.h).
 *  7. A crash loses the node; what must survive is in the store, and messages carry an epoch. */
#ifndef CORE_NODE_H
#define CORE_NODE_H

#include "core/hosttime.h"
#include "core/limits.h"
#include "core/msg.h"
#include "core/note.h"
#include "core/span.h"
#include "core/store.h"
#include "core/threat.h"
#include "core/topology.h"
#include "core/tuning.h"
#include "core/types.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEVER INT64_MAX

enum event_kind {
    EV_START = 1,
    EV_WAKE,
    EV_MSG,
    EV_STORE,
    EV_WORK,
    EV_LINK,
    EV_CLOCK, /* what the host says of its clock: soon after the start, and when that changes */
    EV_STOP, /* the runner ends this node cleanly: last words; no wake follows, nor anything else */
    EV_EVIDENCE, /* to the orchestrator: a process refused what another sent (threat.h) */
    EV_OWNER     /* to hosts: these sectors are served under a higher epoch than before */
};

/* LINK_STORE: the registry's Redis. LINK_DURABLE: that of the leases, which are the process's:
 * coordinators alone are told of it, and report it (struct summary). */
enum link { LINK_BUS, LINK_STORE, LINK_DURABLE, LINK_COUNT };
static inline bool link_concerns(enum link l, enum tier t)
{
    return l != LINK_DURABLE || t == TIER_CLUSTER || t == TIER_SECTOR || t == TIER_ORCHESTRATOR;
}

/* What a unit of work is. Kinds grow; a runner answers kinds that it does not know with
 * REASON_UNKNOWN_ACTION. */
enum work_kind {
    WORK_HANDLER = 1, /* run the operation's action (agents); the payload is that of `operation` */
    WORK_AGENT_START, /* host: create and start the agent node `unit` in this process */
    WORK_AGENT_STOP,  /* host: stop it, as a crash would */
    WORK_CONTEXT,     /* agents: hold the context `content`: `body`, if it is that, or registry's */
    WORK_CONTENT,     /* agents: what is its body? READY: the key, and behind it the bytes */
    WORK_KIND_COUNT
};

/* EV_WORK. READY, CONFLICT and FAILED are the handler's verdicts. A handler may also emit messages
 * of its own to other agents: those arrive as EV_WORK with final = false and `emit` set. */
struct work_reply {
    uint64_t ref;
    uint32_t seq;
    bool final;
    enum outcome verdict;
    enum reason reason;
    const uint8_t *answer; /* ANSWER_BYTES_MAX at most; of WORK_CONTENT a key and a context */
    uint32_t answer_bytes;
    const struct conflict_detail *conflict; /* with OUTCOME_CONFLICT; else NULL */
    const struct operation *emit;           /* a message that the handler wants sent; else NULL */
    struct unit unit;                       /* WORK_AGENT_*: which */
    const struct id128 *context; /* its name: what the agent holds from now on; NULL: as before */
};

struct work_op {
    uint64_t ref;
    enum work_kind kind;
    int64_t deadline_us;    /* the node's clock */
    struct id128 operation; /* WORK_HANDLER: the runner has its bytes (see FX_SEAL) */
    struct unit unit;       /* WORK_AGENT_* */
    struct unit home;       /* WORK_AGENT_*: who it is: the place that it was planned for */
    uint8_t content[32];    /* WORK_CONTEXT, WORK_CONTENT */
    uint32_t body_bytes;    /* WORK_CONTEXT: 0: none came with it */
    const uint8_t *body;
};

struct owner_news {
    uint16_t first, last; /* sectors, and perhaps some between that have not changed */
};

struct event {
    enum event_kind kind;
    int64_t now_us;
    union {
        const struct msg *msg;           /* EV_MSG */
        const struct store_reply *store; /* EV_STORE */
        const struct work_reply *work;   /* EV_WORK */
        struct {
            enum link which;
            bool up;
        } link; /* EV_LINK: at each change, and once after EV_START; LINK_DURABLE then if it is down
                 */
        const struct host_clock *clock;  /* EV_CLOCK */
        const struct evidence *evidence; /* EV_EVIDENCE */
        struct owner_news owner;         /* EV_OWNER */
    } u;
};

enum effect_kind {
    FX_SEND = 1,
    FX_SEAL,
    FX_STORE,
    FX_WORK,
    FX_WORK_CANCEL,
    FX_NOTE,
    FX_EXCLUDE,
    FX_GRANT,
    FX_SPAN
};

/* Of the orchestrator: every process refuses the process of that name from now on, as if its
 * certificates up to now were revoked, or no more. A later certificate is good again. */
struct exclusion {
    char name[THREAT_NAME_MAX];
    bool on;
};

/* Of a lead: whoever is certified for `home` speaks for `place`, a spare place of this lead, from
 * now on; home.tier TIER_NONE: nobody does any more (docs/adr/0034-a-move-is-a-grant.md). */
struct grant {
    struct unit place, home;
};

struct effect {
    enum effect_kind kind;
    union {
        struct msg msg;             /* FX_SEND */
        struct operation operation; /* FX_SEAL */
        struct store_op store;      /* FX_STORE */
        struct work_op work;        /* FX_WORK */
        uint64_t work_ref;          /* FX_WORK_CANCEL */
        struct note_record note;    /* FX_NOTE */
        struct exclusion exclusion; /* FX_EXCLUDE */
        struct grant grant;         /* FX_GRANT */
        struct span span;           /* FX_SPAN */
    } u;
};

/* Owned by the runner, one a loop. Variable parts point into `bytes`. */
struct outbox {
    uint32_t effect_count;
    uint32_t bytes_used;
    uint32_t faults; /* bit of each enum fault_point that trips in this step (fault.h); else 0 */
    struct effect effects[OUTBOX_EFFECTS_MAX];
    _Alignas(16) uint8_t bytes[OUTBOX_BYTES_MAX];
};

void outbox_clear(struct outbox *out);

/* Whether so much more fits. A step that may emit asks first; when the answer is no it keeps a
 * cursor and returns now_us as its wake. */
bool outbox_room(const struct outbox *out, uint32_t effects, uint32_t bytes);

/* Each asserts its room. Everything reachable through pointers is copied. */
void out_send(struct outbox *out, const struct msg *msg);

/* Ask the runner to seal an operation: give it bytes, the runner's signature and a place in the
 * process's operation cache under its id, until its TTL has passed. Messages and work refer to it
 * by id afterwards; the bytes are never in a node. When `payload_of` is not all zero, the payload
 * is that of the cached operation of this id. */
void out_seal(struct outbox *out, const struct operation *operation);
void out_store(struct outbox *out, const struct store_op *op);
void out_work(struct outbox *out, const struct work_op *op);
void out_work_cancel(struct outbox *out, uint64_t ref);
void out_note(struct outbox *out, enum note note, uint64_t a, uint64_t b);
void out_exclude(struct outbox *out, const char *name, bool on);
void out_grant(struct outbox *out, struct unit place, struct unit home);

/* How many of an outbox's bytes the variable parts of a message, operation or store op take. */
uint32_t msg_extra_bytes(const struct msg *msg);
uint32_t operation_extra_bytes(const struct operation *operation);
uint32_t store_op_extra_bytes(const struct store_op *op);
uint32_t work_op_extra_bytes(const struct work_op *op);

/* Deep copy into `room` (16-byte aligned); returns the bytes used. The runner of virtual time uses
 * it, too. msg->u.operate.operation is NOT copied: it is resolved again by id on delivery. */
uint32_t msg_copy(const struct msg *msg, struct msg *ret, uint8_t *room, uint32_t room_bytes);
uint32_t operation_copy(const struct operation *operation, struct operation *ret, uint8_t *room,
                        uint32_t room_bytes);
uint32_t store_op_copy(const struct store_op *op, struct store_op *ret, uint8_t *room,
                       uint32_t room_bytes);

struct node_conf {
    struct unit self;
    uint64_t uid;   /* agents: identity; others: hash of the unit */
    uint64_t epoch; /* of the ownership under which this node runs */
    uint64_t seed;
    const struct topology *topology; /* lives as long as the node */
    struct tuning tuning;
    int64_t unix_us; /* Unix time at init_now_us of the node's clock; used by the root only */
    int64_t init_now_us;
    digest_fn *digest; /* orchestrator, sectors: of orders; sectors, leads: of contexts */
    /* agents */
    enum impedance_class agent_class;
    uint64_t capabilities;     /* bits into topology.capabilities */
    struct id128 context_hash; /* what the agent has loaded */
    const char *facts;         /* facts.h; lives as long as the node; NULL: none */
    uint32_t handlers_max;     /* concurrent WORK_HANDLER, 1 or more */
    /* hosts: the agents that this process hosts, as linear indexes (topology.h) */
    uint32_t agent_first, agent_count;
    bool planned_only; /* those of them that are at spare places do not start by themselves */
};

/* One per tier: agent_ops, cluster_ops, sector_ops, orchestrator_ops, host_ops. */
struct node_ops {
    const char *name;
    size_t (*size)(const struct node_conf *conf);
    /* self: size() zeroed bytes, 16-byte aligned. conf is borrowed. */
    void (*init)(void *self, const struct node_conf *conf);
    int64_t (*step)(void *self, const struct event *event, struct outbox *out);
    /* Of nodes that are packed between their steps (pack.h): whether step() will neither read nor
     * write more than the first `light_bytes` for this event; it looks at no more itself. NULL: the
     * whole node is needed for every step. */
    size_t light_bytes;
    bool (*light)(const void *self, const struct event *event);
};

#endif
