/* An operation of the lead, and where it lies: in the lead's one pool of chunks (slab.h), which
 * begins behind its members and is touched no further than its use ever went.
 *
 * A slot is a run of chunks and stays one; a free one is the next to be used. What rises with the
 * operations in flight begins small: a table that is full moves to a run of twice its size. */
#ifndef TIERS_CLUSTER_CLUSTER_OP_H
#define TIERS_CLUSTER_CLUSTER_OP_H

#include "core/aggregate.h"
#include "core/limits.h"
#include "core/num.h"
#include "core/operation.h"
#include "core/schedule.h"
#include "core/slab.h"
#include "core/unit.h"

/* Operations in flight or kept: one more pushes out the oldest kept one, else it is refused whole
 * (OVERLOAD, NOTE_OP_REFUSED). */
#define LEAD_OPS_MAX      1024u
#define LEAD_OP_NONE      0u /* slots are named by the first of their chunks */
#define LEAD_KEPT_MAX     64u
#define LEAD_KEPT_US      (60ll * US_PER_S)
#define LEAD_BUCKETS_HASH 512u
/* Histograms, schedules and answer groups of all operations: 2 MiB. Without room an operation is
 * refused whole; an answer without room is counted in `other` (aggregate.h). */
#define LEAD_CHUNKS 8192u

/* What an operation knows of one of its targets. */
struct lead_target {
    uint32_t seq; /* from its first send on (msg.h) */
    /* What was predicted at the first send, and from which queue depth (saturates): arrivals are
     * judged by the one and learnt from with the other. */
    uint32_t expected_us;
    uint32_t hedge_us; /* after opened_us: the first send, then the hedge */
    uint16_t queue;
};

enum lead_op_state { LEAD_OP_FREE, LEAD_OP_OPEN, LEAD_OP_ENDED, LEAD_OP_KEPT };

struct lead_op {
    struct id128 id;
    struct id128 correlation; /* the cascade's: its phases share it */
    uint16_t hash_next;       /* slot in the same bucket */
    uint16_t next;            /* free list, or the list of kept ones from old to new */
    uint16_t after;           /* the slot that was made next */
    uint16_t live_at;         /* index in live[] while OPEN or ENDED */
    uint8_t state;
    uint8_t timing, priority;
    int8_t expectation;
    uint16_t late_answers; /* chunk: a struct aggregate, of those in `late` that were final before;
                            * mostly there is none */
    bool want_ack, cancelled, passed; /* passed: the breaker counts it */
    uint32_t quorum; /* identical answers that are a consensus; 0: nobody is judged, or was */
    char action[ACTION_MAX];
    double weight;
    uint64_t requires;   /* capabilities */
    uint32_t task_bytes; /* the payload's first ones, for people */
    uint8_t task[WORD_BYTES_MAX];
    int64_t created_mesh_us, target_mesh_us, deadline_mesh_us, window_us;
    int64_t target_us, expires_us, deadline_us; /* the lead's clock; target_us 0: none */
    int64_t opened_us, closed_us, progress_us;
    int64_t ack_delay_us;       /* between release and answer (schedule.h) */
    int64_t early_us;           /* sends leave this much before T - lead (schedule.h) */
    uint32_t targets, front_us; /* schedule_front_us() */
    uint64_t open;              /* not final */
    uint64_t sent;              /* at least once */
    uint64_t resent;            /* more than once */
    uint64_t pending;           /* said PENDING */
    uint64_t ahead;             /* sent before T */
    uint64_t late;              /* answered after they were final */
    uint64_t again[2];          /* attempts so far, two bit planes */
    uint64_t cancel_send;       /* MSG_CANCEL still to be sent to these */
    /* Hedging: due next, done, in the place of one that refused, could take such a place. */
    bool hedge;
    uint64_t hedge_due, hedged, replica, spare;
    struct schedule schedule;
    struct aggregate aggregate;
    int64_t first_sent_us, first_answer_us, last_answer_us; /* for the trace; 0: not yet */
    uint8_t slowest;                                        /* member that answered last */
    uint8_t people_late;     /* members of class F whose execution timed out */
    struct lead_target of[]; /* each member's */
};
static_assert(sizeof(struct aggregate) <= SLAB_CHUNK_BYTES, "late answers take a chunk");

/* Chunks of a slot, at a lead of so many members. */
static inline uint32_t lead_op_chunks(uint32_t members)
{
    size_t bytes = sizeof(struct lead_op) + members * sizeof(struct lead_target);
    return (uint32_t)((bytes + SLAB_CHUNK_BYTES - 1u) / SLAB_CHUNK_BYTES);
}

/* An operation in flight. */
struct lead_live {
    int64_t next_us; /* when it wants to be looked at */
    uint16_t slot;
};

/* The table of those begins with one chunk, and doubles. */
#define LEAD_LIVE_FIRST (SLAB_CHUNK_BYTES / (uint32_t)sizeof(struct lead_live))
#define LEAD_LIVE_RUNS  (2u * LEAD_OPS_MAX / LEAD_LIVE_FIRST - 1u)

#endif
