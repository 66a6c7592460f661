/* The lead's memory. Members are named by their index: agent number - 1, which is also their bit in
 * masks. What its files offer each other is in cluster_parts.h. */
#ifndef TIERS_CLUSTER_CLUSTER_STATE_H
#define TIERS_CLUSTER_CLUSTER_STATE_H

#include "core/aggregate.h"
#include "core/breaker.h"
#include "core/children.h"
#include "core/impedance_history.h"
#include "core/meshtime.h"
#include "core/mode.h"
#include "core/node.h"
#include "core/num.h"
#include "core/predictor.h"
#include "core/rng.h"
#include "core/schedule.h"
#include "core/slab.h"
#include "core/timing.h"
#include "tiers/cluster/cluster_arrival.h"
#include "tiers/cluster/cluster_bits.h"
#include "tiers/cluster/cluster_conflict.h"
#include "tiers/cluster/cluster_content.h"
#include "tiers/cluster/cluster_grow.h"
#include "tiers/cluster/cluster_incident.h"
#include "tiers/cluster/cluster_move.h"
#include "tiers/cluster/cluster_waits.h"
#include "tiers/cluster/cluster_written.h"

#define MEMBERS_MAX AGENTS_PER_CLUSTER_MAX

/* Operations in flight or kept: one more pushes out the oldest kept one, else it is refused whole
 * (OVERLOAD, NOTE_OP_REFUSED). */
#define LEAD_OPS_MAX      1024u
#define LEAD_OP_NONE      0u /* slots are named 1 to LEAD_OPS_MAX */
#define LEAD_KEPT_MAX     64u
#define LEAD_KEPT_US      (60ll * US_PER_S)
#define LEAD_BUCKETS_HASH 512u
/* Histograms, schedules and answer groups of all operations: 2 MiB. Without room an operation is
 * refused whole; an answer without room is counted in `other` (aggregate.h). */
#define LEAD_CHUNKS 8192u
/* Messages between agents on their way through: one more pushes out the oldest answered one, else
 * it is dropped and its author told (OVERLOAD). */
#define LEAD_RELAYS_MAX 128u
#define LEAD_RELAY_HOPS 8u
/* Inspections waiting for the registry; one more is answered with the lead's own view alone. */
#define LEAD_INSPECTS_MAX 4u
#define LEAD_INSPECT_US   (1ll * US_PER_S)
/* Store operations without an answer yet. With so many the rest waits, dirty; the last ones of them
 * are for inspections. */
#define LEAD_ASKED_MAX     16u
#define LEAD_ASKED_RESERVE LEAD_INSPECTS_MAX
/* A lead that takes over reads its roster before it beats: so long at most. What it is asked for
 * meanwhile goes to the agents of the roster, whether they have said hello or not yet. */
#define LEAD_ROSTER_US (US_PER_S / 2)
#define LEAD_WARM_US   (5ll * US_PER_S)
/* An agent that stands still later than this after the order is late (the bar of FREEZE). */
#define FREEZE_LATE_US US_PER_S
#define FREEZE_SAY_US  (2ll * US_PER_S) /* an agent that has not heard is told again */
/* Agents that are given up are started anew by their hosts: a tenth of the cluster a minute, one at
 * least, each after a moment of its own, so that a fault that looks like deaths makes no storm. */
#define LEAD_REPLACE_US     (60ll * US_PER_S)
#define LEAD_REPLACE_SHARE  10u
#define LEAD_REPLACE_JITTER (2ll * US_PER_S)
/* What the registry writes, and when, is bounded in cluster_registry.h. */

struct member {
    uint64_t uid; /* 0: never seen, not in the roster */
    uint64_t epoch;
    uint64_t capabilities;
    uint64_t declared;   /* by the agent itself */
    uint64_t barred;     /* not counted on, though declared (MSG_ISOLATE) */
    int64_t isolated_us; /* when the last quarantine or lift was sent, by the sector's clock */
    struct impedance impedance;
    struct predictor predictor;
    struct impedance_history history;
    uint32_t lead_us;             /* of a standard payload, from the last beat */
    uint32_t seq[PRIORITY_COUNT]; /* the last given */
    uint32_t conflicts;           /* its answers that were one, since this lead started */
    uint32_t indexed_score;
    uint64_t indexed;     /* capabilities under which the registry lists it */
    uint64_t index_dirty; /* capabilities whose entry is to be set or removed */
    struct written written;
    uint16_t dirty;
    uint16_t put;        /* fields of the write that is out; 0: none is */
    uint32_t put_seq;    /* which write that is: store_seq */
    uint8_t agent_class; /* enum impedance_class; the topology's until a hello says else */
    uint8_t state;       /* enum agent_state, as last noted */
    bool joined;         /* said hello to this lead */
    bool unstable;
    uint8_t where;      /* enum where */
    struct unit former; /* WHERE_READ: the cluster where it was */
    bool frozen_late;   /* more than FREEZE_LATE_US after the order */
};

enum lead_op_state { LEAD_OP_FREE, LEAD_OP_OPEN, LEAD_OP_ENDED, LEAD_OP_KEPT };

struct lead_op {
    struct id128 id;
    struct id128 correlation; /* the cascade's: its phases share it */
    uint16_t hash_next;       /* slot in the same bucket */
    uint16_t next;            /* free list, or the list of kept ones from old to new */
    uint16_t live_at;         /* index in live[] while OPEN or ENDED */
    uint8_t state;
    uint8_t timing, priority;
    int8_t expectation;
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
    uint32_t seq[MEMBERS_MAX];  /* of the target, from its first send on (msg.h) */
    /* What was predicted at the first send, and from which queue depth (saturates): arrivals are
     * judged by the one and learnt from with the other. */
    uint32_t expected_us[MEMBERS_MAX];
    uint16_t queue[MEMBERS_MAX];
    uint64_t cancel_send; /* MSG_CANCEL still to be sent to these */
    /* Hedging: due next, done, in the place of one that refused, could take such a place. */
    bool hedge;
    uint64_t hedge_due, hedged, replica, spare;
    uint32_t hedge_us[MEMBERS_MAX]; /* after opened_us: the first send, then the hedge */
    struct schedule schedule;
    struct aggregate aggregate;
    struct aggregate late_answers; /* of those in `late` that were final before; mostly not open */
    int64_t first_sent_us, first_answer_us, last_answer_us; /* for the trace; 0: not yet */
    uint8_t slowest;                                        /* member that answered last */
};

/* The large tables of a lead, and what it may take to begin each of the four with a page. */
#define LEAD_PAGE 4096u
#define LEAD_TABLES_BYTES                                                                          \
    ((size_t)MEMBERS_MAX * FACTS_BYTES_MAX + LEAD_OPS_MAX * sizeof(struct lead_op) +               \
     LEAD_CONFLICTS_MAX * sizeof(struct lead_conflict) + (size_t)LEAD_CHUNKS * SLAB_CHUNK_BYTES +  \
     (size_t)4u * LEAD_PAGE)

struct cluster {
    struct unit self, sector;
    uint64_t epoch, sector_epoch;
    const struct topology *topology;
    digest_fn *digest; /* of contexts that pass */
    struct tuning tuning;
    struct rng rng;
    /* How much later than predicted answers come back: mean and mean deviation (RFC 6298). Load,
     * not the agents, makes them late together: reminders wait that much longer. */
    uint32_t excess_us, excess_dev_us; /* from 0 and 100 ms on */
    struct lead_hedge hedge;
    struct meshtime time;
    struct hosttime host;
    struct breaker breaker;
    struct children children;
    struct slab slab;
    uint64_t all;         /* the bits of all members */
    uint64_t quarantined; /* .. of those in quarantine */
    uint64_t still;       /* .. that stand still (freeze), as they say */
    uint32_t count;       /* members expected by the topology */
    uint32_t first;       /* linear index of the first */
    int64_t started_us;

    /* parent */
    int64_t beat_next_us, parent_heard_us;
    uint32_t beats, active_told, frozen_told, contexts_told;

    /* registry */
    uint64_t scan_cursor;
    int64_t registry_next_us; /* nothing to write before; 0: look again */
    int64_t write_next_us, minute_next_us, summary_next_us, store_pause_us;
    int64_t write_since_us, write_hold_us; /* the first that waits; not before, for an operation */
    bool write_wanted;                     /* something waits for write_at() */
    uint64_t minute_done, minute_failed;
    uint64_t waits; /* members of which something is to be written, and nothing is out */
    uint32_t store_seq, write_cursor;
    char shard[UNIT_TEXT_MAX];        /* of its records: its own name */
    char sector_shard[UNIT_TEXT_MAX]; /* of indexes: its sector's */
    uint16_t asked_out;               /* bits of `asked` in use */
    struct lead_asked asked[LEAD_ASKED_MAX];
    int64_t summary_put_us, summary_kept_us; /* mesh time in the summary: last put, last kept */
    struct lead_incidents incidents;
    uint32_t conflicts[12]; /* by 5 minutes: the last hour */
    int64_t conflict_bucket;

    struct predictor_prior priors[CLASS_COUNT];
    uint32_t priors_written[CLASS_COUNT]; /* observations in the registry's record .. */
    int64_t priors_put_us[CLASS_COUNT];   /* .. and when it was put there */
    uint16_t priors_read, priors_asked;   /* bits of classes: answered, without an answer */
    bool priors_all;                      /* those of all members' classes are answered */

    /* operations, relays */
    int64_t route_next_us; /* as registry_next_us */
    int64_t ops_next_us;
    uint32_t live_count, kept_count, fresh; /* fresh: slots ever used */
    uint16_t free, kept_first, kept_last;   /* slots */
    int64_t kept_due_us;                    /* the oldest kept one is not forgotten before */
    uint8_t mode;                           /* enum mode */
    /* Orders to stand still, by the tier of their scope: mesh, sector, this cluster. */
    struct freeze freezes[3];
    uint8_t frozen;         /* bits of `freezes` that hold */
    bool freeze_tell;       /* to the agents, now */
    bool freeze_put;        /* the snapshot is to be written */
    int64_t freeze_tell_us; /* those that have not heard are told again then; NEVER */
    bool bus_up, store_up, parent_up, scan_done, scan_out;
    bool check, check_out; /* the store came back: has it kept our summary? the answer is awaited */
    uint64_t avoided;      /* members that new work goes around (ISOLATE_AVOID) */
    uint64_t isolate_epoch; /* of the sector whose clock `isolated_us`, `avoided_us` are by */
    int64_t avoided_us;     /* when the last ISOLATE_AVOID was sent */
    uint64_t excluded[CLASS_COUNT]; /* capabilities that a class is not counted on for */
    uint64_t replace;               /* members whose host is to be asked */
    int64_t replace_us;             /* when; NEVER */
    int64_t replace_from_us;        /* the minute that `replaced` is of */
    uint64_t dead;                  /* given up, and not back */
    uint64_t replaced;              /* of those asked for in this minute */
    uint32_t replace_next;          /* where the next share begins */
    bool call;                      /* ask the roster's agents to say hello */
    bool starved;                   /* the outbox was short of room in this step */
    bool stirred;                   /* the quiet parts (cluster.c) have something to look at .. */
    int64_t quiet_us;               /* .. else not before */

    /* What is in use shares pages: what is small, then tables whose first rows are in use; those
     * that are seldom used lie between. */
    struct lead_conflicts reports;
    struct timing_watch timing;
    struct child rows[MEMBERS_MAX];
    uint16_t buckets[LEAD_BUCKETS_HASH];
    struct lead_live live[LEAD_OPS_MAX];
    struct lead_inspect inspects[LEAD_INSPECTS_MAX];
    struct lead_moves moves;
    struct lead_grow grow;
    struct lead_contents contents;
    struct lead_relay relays[LEAD_RELAYS_MAX];
    struct lead_word words[MEMBERS_MAX];      /* newest of each agent */
    struct predictor_tail tails[MEMBERS_MAX]; /* used above PREDICTOR_TAIL_FROM only */
    struct member members[MEMBERS_MAX];
    /* In `tables`, each from the beginning of a page on: their first rows take as few as can be. */
    char (*facts)[FACTS_BYTES_MAX];       /* of each member (facts.h) */
    struct lead_op *ops;                  /* LEAD_OPS_MAX */
    struct lead_conflict *conflict_slots; /* LEAD_CONFLICTS_MAX */
    uint8_t tables[LEAD_TABLES_BYTES];
};

#endif
