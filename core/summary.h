/* What is measured and what is summed up of it: an agent's impedance (spec 2.3), the exchange of
 * times, and the summary of a cluster, a sector or the mesh (spec 4.2, 4.3). */
#ifndef CORE_SUMMARY_H
#define CORE_SUMMARY_H

#include "core/limits.h"
#include "core/types.h"
#include "core/unit.h"

/* Spec 2.3, as measured by the agent (profiler, 4.1) and completed by its lead. */
struct impedance {
    uint32_t latency_us;    /* median round trip of the last 100 */
    uint32_t processing_us; /* median of the last 100 */
    uint32_t queue_depth;
    uint32_t clock_error_us; /* the agent's own bound on its mesh time */
    uint32_t done, failed;   /* handled in the last hour: reliability */
    enum agent_state state;  /* active, degraded or quarantined, by the agent's own view */
    struct id128 context_hash;
    /* by the lead */
    uint32_t score;        /* 0 to 1000 */
    uint32_t predicted_us; /* of a standard payload (weight 1) at the wanted quantile */
    uint16_t reliability_permille;
    uint16_t drift_permille; /* coefficient of variation */
    uint16_t confidence_permille;
    int64_t heartbeat_mesh_us; /* last_heartbeat */
};

/* Time exchange, carried by every beat reply: t1 and t2; t3 is the reply's sent_us, t4 its recv_us.
 */
struct time_reply {
    int64_t t1_us;          /* the child's clock: when its beat was sent */
    int64_t t2_us;          /* the parent's clock: when it arrived */
    int64_t mesh_offset_us; /* mesh time - the parent's clock; 0 and error INT64_MAX: unknown */
    int64_t error_us;       /* bound on the parent's own offset error */
    int64_t unix_ahead_us;  /* mesh time - Unix time, as the root's host knows it (hosttime.h) .. */
    int64_t unix_error_us;  /* .. and its bound; INT64_MAX: unknown */
};

/* Spec 4.2 / 4.3: of one cluster, or merged over a sector, or over the mesh. Merging adds counts
 * and histograms (design 10: merged histograms instead of p95 of p95s). */
struct summary {
    uint32_t agents; /* expected or in the roster, whichever is more */
    uint32_t active; /* active or degraded: in service */
    uint32_t suspect, offline, quarantined, degraded, unstable;
    uint32_t frozen;             /* of the active ones: those that said that they stand still */
    uint32_t frozen_late;        /* of these: more than a second after the order */
    uint32_t astray;             /* joined, and hold another context than they were given */
    uint32_t newcomers;          /* here, and not ordinary yet (core/grow.h) */
    uint32_t entering;           /* of these: with less than the whole share of work */
    uint32_t newcomer_conflicts; /* answers of these that were one */
    uint32_t leaving;            /* of places that are closed: they finish their work */
    /* Contexts that agents of here have from neighbours within their sector, and from other
     * sectors: they rise in a lead's life. Who gave the last one; TIER_NONE: nobody has. */
    uint32_t synced, synced_far;
    struct unit synced_from, synced_far_from;
    uint32_t clusters, clusters_up; /* below this unit */
    uint32_t sectors_healthy, sectors_degraded;
    uint32_t class_active[CLASS_COUNT];
    uint32_t capability_active[CAPABILITIES_MAX];
    /* Of predicted_us over active agents but CLASS_F_HUMAN: a minute each would drown the mean. */
    uint64_t impedance_sum_us;
    uint64_t score_sum;
    uint32_t lead_counts[CLASS_COUNT][LEAD_BUCKETS]; /* lead time needed, active agents */
    struct unit slowest, fastest;                    /* agents */
    uint32_t slowest_score, fastest_score;
    struct unit healthiest, sickest; /* cluster (in a sector's) or sector (in the mesh's) */
    uint32_t healthiest_mean_us, sickest_mean_us;
    uint32_t conflicts_hour;
    enum circuit circuit;
    uint32_t circuits_open; /* below */
    uint32_t leads_lost;    /* declared down since their coordinator started: only rises */
    bool store_up;
    uint32_t durable_away; /* coordinators, this one included, whose process has no LINK_DURABLE */
    uint32_t operations;   /* in flight here */
    int64_t updated_mesh_us;
};

/* Mean impedance of the active agents that are not people; 0: there are none. */
static inline uint64_t summary_mean_us(const struct summary *s)
{
    uint32_t people = s->class_active[CLASS_F_HUMAN];
    return s->active > people ? s->impedance_sum_us / (s->active - people) : 0;
}

#endif
