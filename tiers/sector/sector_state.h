/* The sector's memory and the seam between its files. */
#ifndef TIERS_SECTOR_SECTOR_STATE_H
#define TIERS_SECTOR_SECTOR_STATE_H

#include "core/hub.h"
#include "core/order.h"

/* Messages of agents on their way: one that has more to send than fits an outbox is held. All holds
 * taken: refused (OVERLOAD), its author is told. */
#define SECTOR_HOLDS_MAX 4u
/* Ways back for their acknowledgements; the oldest gives way, its acks are lost (NOTE_RELAY_LOST).
 */
#define SECTOR_ROUTES_MAX 1024u
#define SECTOR_HOPS_MAX   8u
#define SECTOR_HOSTS_MAX  512u /* hosts remembered; further ones are not counted */
/* Agents to be started anew whose host has not reported to this owner yet: each waits so long. All
 * places taken: the oldest gives way; leads ask again. */
#define SECTOR_ASKED_MAX 64u
#define SECTOR_ASKED_US  (15ll * US_PER_S)
/* Contexts that are fetched from neighbours (sector_content.c); one more is answered with nothing.
 */
#define SECTOR_FETCHES_MAX 8u
#define SECTOR_SHARD_MAX   8u /* "s1024" */

struct sector_route {
    struct id128 id;
    struct unit back;
};

struct sector_hold {
    bool used;
    uint32_t hops;
    uint64_t clusters; /* still to be sent to */
    uint32_t block;    /* of sectors: next 64; past the end: none */
    struct operation operation;
    _Alignas(16) uint8_t payload[PAYLOAD_BYTES_MAX + 16u];
};

struct sector_host {
    uint32_t number; /* 0: free */
    struct host_report report;
};

struct sector_fetch {
    struct unit from, asked; /* who wants it; TIER_NONE: free. Who is asked now */
    uint32_t next;           /* the place of the next to be asked */
    int64_t until_us;
    uint8_t hash[32];
};

struct sector_asked {
    struct unit agent;
    int64_t until_us; /* 0: free */
};

struct sector {
    struct hub hub;
    struct children parent; /* one row: the orchestrator */
    struct child parent_row;
    bool parent_down;
    /* sector_orders.c */
    digest_fn *digest;
    struct order_follow orders;
    bool orders_missed, state_open, state_complete;
    enum mode state_mode;   /* as the latest STATE has it, as state_open: of the mesh breaker */
    struct freezer ordered; /* what stands still here by orders */
    int64_t beat_us, beaten_us;
    uint32_t beats, told_active, told_frozen, told_circuits, told_contexts, told_durable_away;
    int64_t summary_us;
    uint64_t store_ref; /* asked and not answered; 0: none */
    int64_t store_timeout_us;
    char shard[SECTOR_SHARD_MAX];
    uint32_t route_next;
    struct sector_route routes[SECTOR_ROUTES_MAX];
    struct sector_hold holds[SECTOR_HOLDS_MAX];
    struct sector_host hosts[SECTOR_HOSTS_MAX];
    struct sector_asked asked[SECTOR_ASKED_MAX];
    struct sector_fetch fetches[SECTOR_FETCHES_MAX];
    uint64_t contents_refused;
    struct move_table moves;                     /* that touch this sector */
    uint64_t move_told[CLUSTERS_PER_SECTOR_MAX]; /* epoch of each lead that has heard all of them */
    uint32_t move_next;                          /* the entry that a new lead hears next */
    struct grow grows[CLUSTERS_PER_SECTOR_MAX];  /* newcomers of each cluster; id 0: none known */
    int64_t grow_until_us[CLUSTERS_PER_SECTOR_MAX]; /* end of the time to leave that it gives */
    uint64_t grow_told[CLUSTERS_PER_SECTOR_MAX];    /* as move_told */
    int64_t grow_us;                                /* as move_us */
    uint32_t grow_again;                            /* as move_again */
    int64_t move_us;     /* all are said to the leads again; NEVER: there are none */
    uint32_t move_again; /* as far as that is done */
};

/* sector_grow.c */
void sector_grow(struct sector *s, const struct grow *g); /* an order, as sector_moved */
void sector_grow_tick(struct sector *s);
void sector_grow_tell(struct sector *s, uint32_t child); /* once to each lead that begins */
void sector_grow_host(struct sector *s, uint32_t host);  /* index in hosts: it has reported */
/* sector_orders.c */
void sector_order(struct sector *s, const struct msg *msg);
void sector_ordered(struct sector *s); /* what this orchestrator has said is in force (again) */
/* A lead's beat: it stands still though nothing says so any more, because it was not told by the
 * sector before this one, or by this one when it was away: it is told. */
void sector_frozen(struct sector *s, const struct msg *beat);
/* sector.c */
void sector_isolate(struct sector *s, const struct isolate *isolate);
/* sector_hosts.c */
void sector_host_report(struct sector *s, const struct msg *msg);
void sector_replace(struct sector *s, const struct msg *msg);
/* sector_content.c */
void sector_content(struct sector *s, const struct msg *msg);
int64_t sector_content_tick(struct sector *s); /* when next */
/* sector_move.c */
void sector_move(struct sector *s, const struct msg *msg); /* from a lead */
void sector_moved(struct sector *s,
                  const struct move *m); /* an order: it may be of other sectors */
void sector_move_tick(struct sector *s);
struct unit sector_move_home(const struct sector *s, struct unit agent); /* of who is there */
/* Agents that a child has more or fewer than planned, while it cannot say so itself. */
void sector_count_away(struct sector *s);
void sector_move_tell(struct sector *s, uint32_t child); /* once to each lead that begins */

/* sector_relay.c */
void sector_relay(struct sector *s, const struct msg *msg);
void sector_relay_ack(struct sector *s, const struct msg *msg);
void sector_relay_pump(struct sector *s);

#endif
