/* What the files of the lead offer each other: one section a file. Nothing here is for others. */
#ifndef TIERS_CLUSTER_CLUSTER_PARTS_H
#define TIERS_CLUSTER_CLUSTER_PARTS_H

#include "tiers/cluster/cluster_state.h"

struct record;

/* cluster.c */
int64_t cluster_mesh(const struct cluster *c, int64_t now_us);
struct unit cluster_agent(const struct cluster *c, uint32_t i);
/* False when the outbox is short of room (then `starved` is set). from, epoch are filled in. */
bool cluster_send(struct cluster *c, struct outbox *out, struct msg *msg);
void cluster_note(struct outbox *out, enum note note, uint64_t x, uint64_t y); /* when room */
void cluster_circuit(struct cluster *c, enum breaker_event event, struct outbox *out);
void cluster_failures(struct cluster *c, int64_t now_us, uint32_t n, struct outbox *out);

/* cluster_members.c */
void members_init(struct cluster *c, const struct node_conf *conf);
void members_hello(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out);
void members_goodbye(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out);
void members_heartbeat(struct cluster *c, int64_t now_us, const struct msg *msg,
                       struct outbox *out);
/* A message of member i with its epoch: false when it is stale or not from a joined one. */
bool members_heard(struct cluster *c, int64_t now_us, const struct msg *msg, uint32_t i,
                   struct outbox *out);
/* Asks the agents that the roster names, and that have not come yet, to say hello. */
void members_call(struct cluster *c, struct outbox *out);
int64_t members_tick(struct cluster *c, int64_t now_us, struct outbox *out);
enum agent_state members_state(const struct cluster *c, uint32_t i);
/* Active, degraded or frozen: up, and not in quarantine; all of those. */
bool members_in_service(const struct cluster *c, uint32_t i);
uint64_t members_serving(const struct cluster *c);
bool members_preferred(const struct cluster *c, uint32_t i); /* .. and no impedance spike */
/* Whether it is a target of the selector at all, by all that the lead knows of it, facts too. */
bool members_targeted(const struct cluster *c, uint32_t i, const struct selector *sel);
struct prediction members_predict(const struct cluster *c, uint32_t i, double weight);
/* Capabilities that members of each class are not counted on for, as the sector says. */
void members_excluded(struct cluster *c, int64_t now_us, const uint64_t excluded[CLASS_COUNT]);
/* Keeps an agent out of operations, lets it back, or bars capabilities of it. */
void members_isolate(struct cluster *c, int64_t now_us, const struct isolate *isolate,
                     struct outbox *out);
/* The sector's word for it. One that was overtaken by a later one of the same life is left out. */
void members_isolate_message(struct cluster *c, int64_t now_us, const struct msg *msg,
                             struct outbox *out);
void members_conflict(struct cluster *c, int64_t now_us);
uint32_t members_conflicts_hour(const struct cluster *c, int64_t now_us);

/* cluster_freeze.c */
void freeze_init(struct cluster *c);
void freeze_order(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out);
void freeze_heard(struct cluster *c, int64_t now_us, uint32_t i, const struct heartbeat *h);
int64_t freeze_tick(struct cluster *c, int64_t now_us, struct outbox *out);
/* For the snapshot: the order in force (NULL: none), how many stand still, what waits there. */
const struct freeze *freeze_snapshot(const struct cluster *c, uint32_t *ret_frozen,
                                     uint32_t *ret_queued);

/* cluster_heal.c */
void heal_init(struct cluster *c);
void heal_member_down(struct cluster *c, int64_t now_us, uint32_t i);
void heal_sector_new(struct cluster *c, int64_t now_us);
void heal_order(struct cluster *c, int64_t now_us, struct unit target, struct outbox *out);
int64_t heal_tick(struct cluster *c, int64_t now_us, struct outbox *out);

/* cluster_content.c */
void content_want(struct cluster *c, uint32_t i, const uint8_t hash[32]);
void content_loaded(struct cluster *c, int64_t now_us, const struct lead_op *op, uint32_t i);
bool content_welcome(struct cluster *c, uint32_t i, struct welcome *ret); /* what it is to hold */
void content_reborn(struct cluster *c, uint32_t i);                       /* a new life of it */
void content_heard(struct cluster *c, int64_t now_us, uint32_t i);        /* its beat */
void content_spoilt(struct cluster *c, uint32_t i); /* it says that what it holds is wrong */
void content_heal(struct cluster *c);
uint64_t content_astray(const struct cluster *c); /* who holds another one than it was given */
int64_t content_tick(struct cluster *c, int64_t now_us, struct outbox *out);

/* cluster_sync.c */
void sync_member_word(struct cluster *c, int64_t now_us, const struct msg *msg, uint32_t i,
                      struct outbox *out);
void sync_sector_word(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out);
/* Fetches for this member what it is to hold; false: there is nobody to ask. */
bool sync_begin(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out);
bool sync_busy(const struct cluster *c);
void sync_held(struct cluster *c, uint32_t i); /* its beat shows what it is to hold */
int64_t sync_tick(struct cluster *c, int64_t now_us, struct outbox *out);

/* cluster_summary.c */
void summary_build(const struct cluster *c, int64_t now_us, struct summary *ret);

/* cluster_roster.c */
void roster_page(struct cluster *c, int64_t now_us, const struct store_reply *reply);
/* What of a record goes with its agent to another place: what it is to hold, its quarantine. */
void roster_recall(struct cluster *c, uint32_t i, const struct store_row *row);

/* cluster_move.c: who lives elsewhere, and who came from elsewhere. */
void move_init(struct cluster *c);
void move_order(struct cluster *c, int64_t now_us, const struct move *m, struct outbox *out);
/* Whether somebody is expected at the place, or is there. */
bool move_expects(const struct cluster *c, uint32_t i);
/* Whether it is no target of what was created then: it lived elsewhere, and may have been one. */
bool move_before(const struct cluster *c, uint32_t i, int64_t created_mesh_us);
/* A message of an agent that lives elsewhere now: it is told, and brought there once more. */
bool move_refuses(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out);
void move_arrived(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out);
void move_dropped(struct cluster *c, uint32_t i); /* its record is gone */
void move_record(const struct cluster *c, uint32_t i, struct record *r);
/* From the roster; false: that agent lives elsewhere by now. home.tier NONE: it lives here. */
bool move_remember(struct cluster *c, uint32_t i, struct unit home, uint64_t uid);
int64_t move_tick(struct cluster *c, int64_t now_us, struct outbox *out);
/* What it was given ends here as UNREACHABLE (moved), nothing that it says is taken any more. */
void move_let_go(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out);

/* cluster_grow.c */
void grow_order(struct cluster *c, int64_t now_us, const struct grow *g, struct outbox *out);
bool grow_open(const struct cluster *c, uint32_t i); /* a newcomer may live at the place */
/* Whether somebody is expected at an open place; one that enters only while it is here. */
bool grow_expects(const struct cluster *c, uint32_t i);
bool grow_fresh(const struct cluster *c, uint32_t i);
bool grow_apart(const struct cluster *c, uint32_t i); /* enters or leaves: it fails on its own */
/* Members that take no part in this operation unless they are named: they enter step by step. */
uint64_t grow_held(const struct cluster *c, int64_t now_us, const struct operation *o);
void grow_summary(const struct cluster *c, struct summary *ret);
int64_t grow_tick(struct cluster *c, int64_t now_us, struct outbox *out);

/* cluster_registry.c */
#define STORE_RETRY_US US_PER_S /* after a refusal nothing is asked for so long */
/* To be called whenever `dirty`, `put`, `index_dirty`, `where` or `uid` has changed. */
void registry_waits(struct cluster *c, uint32_t i);
void registry_start(struct cluster *c, int64_t now_us);
void registry_dirty(struct cluster *c, int64_t now_us, uint32_t i, uint32_t what);
/* How it stands is not in the registry, or may not be: nothing was read, or it may be lost. */
bool registry_unwritten(const struct cluster *c, uint32_t i);
/* It was heard: what its record and its index entries say may be new; the latter alone. */
void registry_beat(struct cluster *c, int64_t now_us, uint32_t i);
void registry_score(struct cluster *c, int64_t now_us, uint32_t i);
/* An operation has come: what is to be written waits a little longer. */
void registry_hold(struct cluster *c, int64_t now_us);
void registry_link(struct cluster *c, int64_t now_us, bool up, struct outbox *out);
void registry_reply(struct cluster *c, int64_t now_us, const struct store_reply *reply,
                    struct outbox *out);
int64_t registry_tick(struct cluster *c, int64_t now_us, struct outbox *out);
/* Asks for the record of member i; false: no room, or the store is away. */
bool registry_get(struct cluster *c, int64_t now_us, uint32_t i, uint32_t slot, uint32_t seq,
                  struct outbox *out);
/* A request of cluster_where.c for member i. */
bool registry_where(struct cluster *c, int64_t now_us, uint32_t i, struct store_op *op,
                    struct outbox *out);

/* cluster_where.c: what was learnt about an agent in another cluster. */
void where_newcomer(struct member *m);
bool where_waits(const struct member *m); /* there is something to ask or to put */
bool where_send(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out);
void where_reply(struct cluster *c, int64_t now_us, uint32_t i, const struct store_reply *reply);
void where_failed(struct cluster *c, uint32_t i); /* no answer came */

/* cluster_operate.c: admission and the table of operations. */
struct lead_op *operate_find(struct cluster *c, struct id128 id);
/* Where answers of those that were final before are kept; NULL: the pool is full. */
struct aggregate *operate_late_answers(struct cluster *c, struct lead_op *op);
void operate_open(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out);
void operate_prepare(struct cluster *c, int64_t now_us, const struct prepare *prepare,
                     struct outbox *out);
void operate_touch(struct cluster *c, const struct lead_op *op, int64_t at_us);
void operate_close(struct cluster *c, int64_t now_us, struct lead_op *op); /* ENDED -> KEPT */
void operate_forget_kept(struct cluster *c, int64_t now_us);

/* cluster_flight.c: sends, acknowledgements, resends, ends. */
void flight_end(struct cluster *c, int64_t now_us, struct lead_op *op, uint32_t i,
                const struct aggregate_target *end);
void flight_end_mask(struct cluster *c, int64_t now_us, struct lead_op *op, uint64_t mask,
                     enum outcome outcome, enum reason reason);
void flight_settle(struct cluster *c, struct lead_op *op); /* ENDED when nothing is open */
void flight_ack(struct cluster *c, int64_t now_us, const struct msg *msg, uint32_t i,
                struct outbox *out);
void flight_cancel(struct cluster *c, int64_t now_us, const struct cancel *cancel);
/* What waits for member i ends so, in every operation. */
void flight_member_gone(struct cluster *c, int64_t now_us, uint32_t i, enum outcome outcome,
                        enum reason reason);
int64_t flight_tick(struct cluster *c, int64_t now_us, struct outbox *out);
bool flight_result(struct cluster *c, struct lead_op *op, struct outbox *out);

/* cluster_hedge.c */
void hedge_init(struct cluster *c);
/* How much earlier than T - lead a target is sent to, so that there is time for a second send. */
int64_t hedge_room_us(struct cluster *c, uint32_t i, const struct prediction *p);
/* After the first send to i: when to hedge it; NEVER: not before the end. Earns its share. */
int64_t hedge_at(struct cluster *c, int64_t now_us, struct lead_op *op, uint32_t i,
                 const struct prediction *p);
/* Of those due: which are hedged now; ret_refused: for which there is no budget. */
uint64_t hedge_take(struct cluster *c, int64_t now_us, struct lead_op *op, uint64_t due,
                    uint64_t *ret_refused);
/* An acknowledgement of i, before anything is changed by it. */
void hedge_heard(struct cluster *c, int64_t now_us, const struct lead_op *op, const struct ack *ack,
                 uint32_t i);
bool hedge_won(const struct cluster *c, const struct lead_op *op, const struct ack *ack,
               uint32_t i);
/* It was refused by i: does another agent take its place? Then i is no target any more. */
bool hedge_replace(struct cluster *c, int64_t now_us, struct lead_op *op, const struct ack *ack,
                   uint32_t i, struct outbox *out);

/* cluster_query.c */
/* An operation that ends, for those who look from outside (span.h), when the tuning wants it. */
void query_span(struct cluster *c, int64_t now_us, const struct lead_op *op, struct outbox *out);
void query_handle(struct cluster *c, int64_t now_us, const struct query *query, struct outbox *out);
void query_record(struct cluster *c, int64_t now_us, uint32_t slot, uint32_t seq,
                  const struct store_reply *reply, struct outbox *out);
int64_t query_tick(struct cluster *c, int64_t now_us, struct outbox *out);

/* cluster_conflict.c: reports on their way to the log. */
struct conflict_seen {
    uint32_t member;
    struct id128 operation;
    const char *action;
    const struct conflict_detail *detail;
};
/* False: it is only counted, and nobody will act on it. */
bool conflict_add(struct cluster *c, int64_t now_us, const struct conflict_seen *seen);
void conflict_acked(struct cluster *c, const struct conflict_ack *ack);
int64_t conflict_tick(struct cluster *c, int64_t now_us, struct outbox *out);
/* A report to fill in, sent until it is in the log; NULL: fewer than `spare` would stay free. */
struct conflict_report *conflict_slot(struct cluster *c, int64_t now_us, uint32_t spare);

/* cluster_consensus.c: whose answer contradicts a quorum of the others; the operation has ended. */
void consensus_decide(struct cluster *c, int64_t now_us, struct lead_op *op, struct outbox *out);

/* cluster_incident.c: failures as incidents; masks are of members. */
void incident_begin(struct cluster *c, int64_t now_us, enum failure_class k, uint64_t mask);
/* well: they are as they should be; else another class has them now. */
void incident_over(struct cluster *c, int64_t now_us, enum failure_class k, uint64_t mask,
                   bool well);
bool incident_concerns(const struct cluster *c, enum failure_class k, uint32_t i);
int64_t incident_tick(struct cluster *c, int64_t now_us);

/* cluster_timing.c: claims of times against this lead's clock (core/timing.h). */
/* Whether an answer with times is to be learnt from. */
bool timing_answer(struct cluster *c, int64_t now_us, const struct lead_op *op,
                   const struct ack *ack, uint32_t i);
/* What it says of its queue; of a locked one nothing is believed. */
uint32_t timing_queue(const struct cluster *c, uint32_t i, uint32_t queue_depth);
/* These are believed again, as they are now. */
void timing_believe(struct cluster *c, int64_t now_us, uint64_t mask);
int64_t timing_tick(struct cluster *c, int64_t now_us, struct outbox *out);

/* cluster_relay.c */
void route_relay(struct cluster *c, int64_t now_us, const struct msg *msg, uint32_t author,
                 struct outbox *out);
void route_relay_ack(struct cluster *c, int64_t now_us, const struct msg *msg, uint32_t member,
                     struct outbox *out);
int64_t route_tick(struct cluster *c, int64_t now_us, struct outbox *out);

#endif
