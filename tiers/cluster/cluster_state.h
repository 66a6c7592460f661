/* The lead's memory. Members are named by their index: agent number - 1, which is also their bit in
 * masks. What its files offer each other is in cluster_parts.h. */
#ifndef TIERS_CLUSTER_CLUSTER_STATE_H
#define TIERS_CLUSTER_CLUSTER_STATE_H

#include "core/breaker.h"
#include "core/children.h"
#include "core/impedance_history.h"
#include "core/meshtime.h"
#include "core/mode.h"
#include "core/node.h"
#include "core/num.h"
#include "core/predictor.h"
#include "core/rng.h"
#include "core/timing.h"
#include "tiers/cluster/cluster_arrival.h"
#include "tiers/cluster/cluster_bits.h"
#include "tiers/cluster/cluster_conflict.h"
#include "tiers/cluster/cluster_content.h"
#include "tiers/cluster/cluster_facts.h"
#include "tiers/cluster/cluster_grow.h"
#include "tiers/cluster/cluster_incident.h"
#include "tiers/cluster/cluster_move.h"
#include "tiers/cluster/cluster_op.h"
#include "tiers/cluster/cluster_waits.h"
#include "tiers/cluster/cluster_written.h"
#include <assert.h>

#define MEMBERS_MAX AGENTS_PER_CLUSTER_MAX

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
    uint64_t sentenced; /* .. of those put there or let out in this life: no record knows better */
    uint64_t still;     /* .. that stand still (freeze), as they say */
    uint32_t count;     /* members expected by the topology */
    uint32_t first;     /* linear index of the first */
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
    uint64_t waits;   /* members of which something is to be written, and nothing is out */
    uint64_t putting; /* .. of which a write is out */
    uint32_t store_seq, write_cursor;
    char shard[UNIT_TEXT_MAX];        /* of its records: its own name */
    char sector_shard[UNIT_TEXT_MAX]; /* of indexes: its sector's */
    uint16_t asked_out;               /* bits of `asked` in use */
    struct lead_asked asked[LEAD_ASKED_MAX];
    int64_t summary_put_us, summary_kept_us; /* mesh time in the summary: last put, last kept */
    /* Members whose state was written, and that is acknowledged, after the summary that was kept
     * last; of them, those before the one that is put. */
    uint64_t unwitnessed, witnessing;
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
    uint32_t live_count, kept_count, made;   /* made: slots there are */
    uint16_t free, kept_first, kept_last;    /* slots */
    uint16_t made_first, made_last, live_at; /* slots; chunk where `live` begins */
    uint32_t live_room;
    int64_t kept_due_us; /* the oldest kept one is not forgotten before */
    uint8_t mode;        /* enum mode */
    /* Orders to stand still, by the tier of their scope: mesh, sector, this cluster. */
    struct freeze freezes[3];
    uint8_t frozen;         /* bits of `freezes` that hold */
    bool freeze_tell;       /* to the agents, now */
    bool freeze_put;        /* the snapshot is to be written */
    int64_t freeze_tell_us; /* those that have not heard are told again then; NEVER */
    bool bus_up, store_up, durable_up, parent_up, scan_done, scan_out;
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

    /* What is in use lies together, so that a lead which has little to hold takes few pages: what
     * is small, the members, then the pool as far as it is in use. Behind the pool (and pointed to)
     * are the tables of what is seldom; they are not touched before. */
    struct lead_conflicts reports;
    struct timing_watch timing;
    struct lead_moves moves;
    struct lead_grow grow;
    struct lead_contents contents;
    struct lead_inspect inspects[LEAD_INSPECTS_MAX];
    struct child rows[MEMBERS_MAX];
    uint16_t buckets[LEAD_BUCKETS_HASH];
    struct lead_live *live;       /* in the pool; room for live_room */
    struct lead_facts facts;      /* .. */
    struct lead_relay *relays;    /* LEAD_RELAYS_MAX */
    struct lead_word *words;      /* newest of each agent */
    struct predictor_tail *tails; /* used above PREDICTOR_TAIL_FROM only */
    struct member members[];      /* `count` */
};

static inline struct lead_op *cluster_op(const struct cluster *c, uint32_t slot)
{
    assert(slot != LEAD_OP_NONE);
    return (struct lead_op *)(void *)(c->slab.memory + (size_t)(slot - 1u) * SLAB_CHUNK_BYTES);
}

/* "" when it has said nothing; until the facts of another one change. */
static inline const char *facts_of(const struct cluster *c, uint32_t i)
{
    return c->facts.at[i] != 0 ? c->facts.text + c->facts.at[i] - 1 : "";
}

#endif
