/* What nodes say to each other: one tagged union. proto/mesh.proto is its form on the wire and has
 * the spec's names; proto/codec turns one into the other.
 *
 * Pointers are borrowed: for the duration of step() in events, for the duration of out_send() in
 * effects. Times named `_mesh_us` are mesh time (Unix microseconds, meshtime.h); `sent_us` and
 * `recv_us` are raw local clocks, the only ones on the wire, for the four-timestamp exchange. */
#ifndef CORE_MSG_H
#define CORE_MSG_H

#include "core/command.h"
#include "core/conflict.h"
#include "core/content.h"
#include "core/limits.h"
#include "core/move.h"
#include "core/msg_type.h"
#include "core/operation.h"
#include "core/order_head.h"
#include "core/query.h"
#include "core/result.h"
#include "core/summary.h"
#include "core/unit.h"

struct hello {
    uint64_t uid;
    uint64_t incarnation; /* rises with every start of this agent */
    enum impedance_class agent_class;
    uint64_t capabilities;
    struct id128 context_hash;
    const char *facts; /* facts.h; NULL: none */
};

struct welcome {
    bool accepted;
    enum reason reason;   /* when not */
    uint64_t incarnation; /* echoed */
    int64_t beat_us;
    bool has_content;    /* the lead says which context it is to hold (content.h): its key */
    uint8_t content[32]; /* BLAKE2b-256 */
};

struct heartbeat {
    uint64_t uid;
    uint64_t incarnation;
    struct impedance impedance;
};

struct beat {
    bool has_summary;
    struct summary summary;
    struct order_head orders; /* sectors: the chain that they have taken .. */
    bool orders_missed;       /* .. and one after it was heard: the next, please */
    enum mode mode;           /* sectors: as an orchestrator has said last; STARTING: none has */
};

struct beat_reply {
    struct time_reply time;
    enum mode mode; /* from the orchestrator: nothing, it is an order (order.h); as the next two */
    uint64_t circuit_open_mask;
    uint64_t excluded[CLASS_COUNT]; /* to leads: routing.h; [CLASS_NONE] is not used */
    bool known; /* false: the lead does not know this agent (restarted): say hello again */
};

/* Per target of an OPERATE, in the order of the mask's bits. */
struct target {
    uint32_t quota;   /* sectors, clusters: sample quota below; UINT32_MAX: all */
    uint32_t lead_us; /* agents: compensation_applied of spec 2.4 */
    uint32_t expected_processing_us;
    uint16_t confidence_permille;
    /* Per (lead epoch, agent, priority): given at the first send, rising by one, and the same in
     * every resend. Serial (RFC 1982): after UINT32_MAX comes 1; 0: none. */
    uint32_t seq;
};

struct operate {
    struct id128 operation_id;
    int64_t deadline_mesh_us; /* this layer's: answer by then */
    uint32_t attempt;         /* 0 first, then resends: the operation's bytes are the same */
    uint32_t target_count;    /* = bits of the mask (or 1) */
    const struct target *targets;
    /* In events: the decoded, verified operation from the process's cache. Ignored by out_send().
     */
    const struct operation *operation;
};

struct ack {
    struct id128 operation_id;
    enum outcome outcome; /* PENDING: received, not done (trinary TRANSIT) */
    enum reason reason;
    bool late;                /* its deadline had passed when it was done */
    uint32_t seq;             /* of the target */
    int64_t echo_sent_us;     /* the OPERATE's sent_us, the lead's clock */
    int64_t received_mesh_us; /* when it arrived at the agent */
    int64_t arrival_mesh_us;  /* actual_arrival_time: done, ready */
    int64_t release_mesh_us;  /* with TIMING_AT: when the effect was released; else 0 */
    uint32_t processing_us;
    uint32_t queue_depth;
    uint32_t clock_error_us;
    uint32_t answer_bytes;
    const uint8_t *answer;
    const struct conflict_detail *conflict; /* or NULL */
};

struct result {
    struct id128 operation_id;
    bool final;           /* false: progress only; counts so far, no groups */
    bool unknown;         /* to RESUME: no such operation here; final, without targets */
    uint32_t people_late; /* from a lead: of its outcomes TIMEOUT_EXECUTION, those of class F */
    struct aggregate_view aggregate;
};

struct cancel {
    struct id128 operation_id;
};
struct prepare {
    struct id128 correlation_id;
    enum tier level; /* answer when this tier below you is reached: SECTOR or CLUSTER */
    int64_t deadline_mesh_us;
    struct selector selector;
    double payload_weight;
};

struct prepared {
    struct id128 correlation_id;
    enum tier level;
    uint32_t sectors_reached, clusters_reached;
    uint32_t targets;                   /* agents selected below */
    uint32_t lead_counts[LEAD_BUCKETS]; /* lead time that they need */
};

struct circuit_msg {
    enum circuit action;
    struct unit target;
    enum reason reason;
};
#define FREEZE_NAME_MAX 47u /* with NUL: it fits a field of the registry beside the time */

struct freeze {
    struct unit scope;  /* orchestrator: global */
    int64_t at_mesh_us; /* when it was ordered */
    char preserve_state_to[FREEZE_NAME_MAX];
};

/* An agent's own message. It passes hop by hop inside signed frames. */
struct relay {
    uint32_t hops;                     /* 8 at most: a message that circles is dropped */
    const struct operation *operation; /* source, selector.places, routing, payload, ttl .. */
};

struct relay_ack {
    struct id128 message_id;
    struct unit target;       /* who answers; with broadcast the lead that speaks for its agents */
    uint32_t reached, failed; /* agents that took it; that did not */
    enum outcome outcome;
    enum reason reason;
    uint32_t answer_bytes;
    const uint8_t *answer;
};

struct host_report {
    uint64_t process_start_us;
    uint32_t agents_hosted, agents_running, restarts;
    uint32_t loop_lag_us;
};

struct order; /* order.h */
struct heal {
    struct unit target;
};

struct msg {
    enum msg_type type;
    uint8_t priority; /* of queues in processes; control and heartbeats have a reserve */
    struct unit from; /* who speaks; its process is certified for it */
    /* To one unit; or, with a mask, to units at `to`, counted from it: bit i stands for number + i
     * of the unit's own tier, within the same parent. */
    struct unit to;
    uint64_t mask;
    uint64_t epoch;  /* of the speaker's ownership; lower than known: refused */
    int64_t sent_us; /* in events: the sender's clock just before signing */
    int64_t recv_us; /* in events: this node's clock when the bytes arrived */
    union {
        struct hello hello;
        struct welcome welcome;
        struct heartbeat heartbeat;
        const struct beat *beat;
        struct beat_reply beat_reply;
        struct operate operate;
        struct ack ack;
        const struct result *result;
        struct cancel cancel;
        const struct prepare *prepare;
        const struct prepared *prepared;
        const struct query *query;
        struct rows rows;
        struct circuit_msg circuit;
        struct freeze freeze;
        struct relay relay;
        struct relay_ack relay_ack;
        const struct command *command;
        const struct reply *reply;
        struct host_report host_report;
        struct heal heal;
        const struct conflict_report *conflict;
        struct conflict_ack conflict_ack;
        struct isolate isolate;
        struct move move;
        struct grow grow;
        const struct order *order;
        struct content_word content;
    } u;
};

const char *msg_type_name(enum msg_type type);

/* Whether `from` may say this to `to` at all (shape of the tree); checked on every arrival. */
bool msg_route_valid(const struct topology *t, const struct msg *msg);

#endif
