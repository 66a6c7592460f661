/* What the sector and the orchestrator have in common: an inner node of the tree. Children with
 * their summaries, operations fanned out and gathered, operations of consoles originated, queries
 * and preparations passed down and added up. The tiers add what is theirs: a parent and relays
 * (sector); the root of time, modes and the mesh's figures (orchestrator). Work is O(children),
 * never O(agents). Everything is bounded (the numbers below) and lives in one block of the caller.
 * What does not fit one outbox continues from a cursor (hub_pump).
 *
 * In a step: hub_begin, then hub_message / hub_link / the tier's own, then hub_pump, and the wake
 * is hub_end(own wake). Times are the node's clock unless named mesh. */
#ifndef CORE_HUB_H
#define CORE_HUB_H

#include "core/breaker.h"
#include "core/cascade.h"
#include "core/children.h"
#include "core/freezer.h"
#include "core/gather.h"
#include "core/hub_figures.h"
#include "core/hub_reply.h"
#include "core/hub_when.h"
#include "core/meshtime.h"
#include "core/mode.h"
#include "core/node.h"
#include "core/pager.h"
#include "core/turns.h"

#define HUB_PREPARES_MAX 64u  /* announced cascades waited for; one more is refused (overload) */
#define HUB_ASKS_MAX     16u  /* queries in flight; one more is refused (overload) */
#define HUB_NOTICES_MAX  64u  /* to leads: freeze, thaw, circuit; the oldest gives way */
#define HUB_ROWS_AGENTS  384u /* rows of one page: with them a reply fits the outbox */
#define HUB_ROWS_OTHER   160u
#define HUB_RETENTION_US (60ll * US_PER_S) /* finished operations, for queries and duplicates */
#define HUB_QUERY_US     (2ll * US_PER_S)
#define HUB_PROGRESS_US  (500ll * US_PER_MS)
#define HUB_LONG_US      US_PER_S             /* operations longer than this report progress */
#define HUB_SILENT_US    (1700ll * US_PER_MS) /* no result, no progress: OPERATE goes again */

struct hub_child {
    bool has_summary;
    uint16_t away, guests; /* planned agents that live elsewhere, and those that came (move.h) */
    enum circuit circuit;
    bool held, closing; /* its breaker: open by hand; closed by hand, and not seen to be so yet */
    struct summary summary;
};

/* The caller's part of a gather: one operation passing through. */
struct flight {
    bool origin;           /* started here: `origin_slot` waits for it; else the parent */
    bool queued, finished; /* in the ring of work; all answered: result to be sent */
    bool cancel;           /* MSG_CANCEL to be sent from `cancel_block` on */
    bool progress;         /* counts to be sent up */
    uint8_t priority, attempt;
    uint16_t origin_slot, share, share_open; /* share: how many sectors; hub_share.c */
    uint32_t block, cancel_block;            /* fan-out: the next 64 children; past the end: done */
    uint64_t go[GATHER_WORDS];               /* children to send to */
    uint64_t heard[GATHER_WORDS];            /* any result came */
    uint64_t later[GATHER_WORDS]; /* children whose share has not come yet (hub_share.h) */
    int64_t share_us, share_step_us, share_all_us, share_begun_us; /* NEVER: all are out */
    bool sampled, resumed, unknown; /* resumed: hub_resume.h; unknown: to a child */
    struct id128 id;
    int64_t opened_us;
    int64_t first_us, last_us; /* final results of children that answered; 0: none yet */
    uint16_t slowest;          /* the child of the last of them */
    int64_t resend_us;         /* NEVER: no more */
    int64_t child_deadline_mesh_us;
    struct selector selector;
};

enum origin_state { ORIGIN_FREE, ORIGIN_PREPARING, ORIGIN_OPERATING, ORIGIN_REPORT, ORIGIN_DONE };

/* One operation of a console, with all its phases. DONE ones are kept until their place is needed:
 * queries name them by the id that the console was told. */
struct origin {
    enum origin_state state;
    struct id128 id;      /* told to the console; correlation_id of all phases */
    struct id128 current; /* the operation that is (or was last) in flight */
    struct unit console;
    uint64_t ref;
    bool cancelled, summed;       /* summed: `sum` is open: the phases so far, added up */
    uint32_t targets, class_mask; /* class_mask: of the last phase */
    int64_t progress_us;
    int64_t created_mesh_us, target_mesh_us, window_us, deadline_mesh_us; /* of the last phase */
    int64_t asked_us, way_us;   /* the leads were asked at; all had answered so much later */
    struct operation operation; /* without payload */
    struct cascade cascade;
    struct aggregate sum;
};

struct hub_prepare {
    bool used;
    bool origin; /* else for the parent */
    uint16_t origin_slot;
    uint32_t block;
    uint32_t expected, reached;
    int64_t deadline_us;
    uint64_t waiting[GATHER_WORDS];
    struct prepare prepare;
    struct prepared merged;
    struct when_ask when;
};

struct hub_ask {
    bool used, ready; /* ready: all answered, the page is to be sent */
    bool console;     /* else for the parent */
    struct unit asker;
    uint64_t ref, parent; /* ours, told to the children; the asker's */
    uint32_t block, waiting_count;
    int64_t deadline_us;
    uint64_t waiting[GATHER_WORDS];
    struct query query;
    struct pager pager;
};

struct hub_notice {
    enum msg_type type;
    uint32_t block;
    uint32_t only; /* this child + 1; 0: all that the scope holds or touches */
    union {
        struct freeze freeze;
        struct circuit_msg circuit;
    } u;
};

struct hub {
    struct unit self;
    uint64_t epoch;
    const struct topology *topology;
    struct tuning tuning;
    struct rng rng;
    struct meshtime time;
    struct hosttime host;
    int64_t now_us, started_us;                             /* of this step; of EV_START */
    struct outbox *out;                                     /* of this step */
    bool short_of_room, store_up, durable_up, healthy_only; /* the last: who is not gets nothing */
    bool frozen;    /* this unit, by some scope of the freezer */
    bool settling;  /* it is not known yet whether it was frozen: nothing is admitted */
    bool mesh_open; /* the mesh breaker, as the parent says */
    uint64_t excluded[CLASS_COUNT]; /* routing.h; told down: order.h, beat replies */
    struct freezer freezer;
    enum mode mode;
    struct breaker breaker;
    uint32_t origins_max, children_count, leads_lost; /* declared down since the sector's start */
    struct children children;
    struct child *child_rows;
    struct hub_child *child;
    struct gather_table gathers;
    struct origin *origins;
    uint32_t origins_live, origin_cursor;
    struct turns work; /* operations with something to send */
    struct hub_prepare *prepares;
    uint32_t prepare_count; /* used ones */
    struct hub_ask *asks;
    uint8_t *ask_memory;
    struct hub_notice notices[HUB_NOTICES_MAX];
    uint32_t notice_count;
    struct order_chain *orders; /* of the orchestrator (hub_order.h); else NULL */
    uint64_t next_ref;
    /* Sees each reply before it is sent, NULL: nobody does. True: it was for this node itself. */
    bool (*on_reply)(struct hub *h, struct unit to, const struct reply *reply);
    /* A submission that the mode, or `settling`, lets wait; NULL: it is refused. False: no room. */
    bool (*on_hold)(struct hub *h, const struct msg *msg, uint32_t targets, const char *why);
    int64_t progress_due_us, share_due_us; /* of background that is not out yet; NEVER: none */
    int64_t narrow_until_us; /* an operation to few was begun not long ago (hub_share.h) */
    struct hub_figures figures;
};

/* --- hub.c: life, children, the map --- */
size_t hub_bytes(const struct node_conf *conf); /* of memory, zeroed and 16-byte aligned */
void hub_init(struct hub *h, void *memory, const struct node_conf *conf);
void hub_begin(struct hub *h, const struct event *event, struct outbox *out);
bool hub_message(struct hub *h, const struct msg *msg); /* false: not for both tiers alike */
void hub_link(struct hub *h, enum link which, bool up);
void hub_pump(struct hub *h);
int64_t hub_end(struct hub *h, int64_t own_wake_us);

struct unit hub_child_unit(const struct hub *h, uint32_t child);
uint32_t hub_child_index(const struct hub *h, struct unit u);   /* UINT32_MAX: no child */
uint32_t hub_child_agents(const struct hub *h, uint32_t child); /* expected, moves counted */
uint32_t hub_child_expected(const struct hub *h, const struct selector *sel, uint32_t child);
bool hub_child_usable(const struct hub *h, uint32_t child, enum outcome *ret_outcome,
                      enum reason *ret_reason);
int64_t hub_mesh_now(const struct hub *h);
void hub_note(struct hub *h, enum note note, uint64_t a, uint64_t b); /* dropped without room */
/* Whether the message fits now; when not, the step ends early and goes on at once. */
bool hub_fits(struct hub *h, const struct msg *msg);
struct msg hub_msg(const struct hub *h, enum msg_type type, struct unit to, uint8_t priority);
void hub_summary(const struct hub *h, struct summary *ret); /* the dead by the topology */
void hub_mode(struct hub *h, enum mode mode);
void hub_circuit(struct hub *h, enum breaker_event event);
void hub_breaker(struct hub *h, struct unit target, bool open); /* by hand: own, or one below */
void hub_heal(struct hub *h, struct unit target); /* MSG_HEAL to the children that it touches */
/* Takes FREEZE or THAW into the freezer and passes it on; *ret as freezer_add and _remove. */
enum freezer_verdict hub_freeze(struct hub *h, enum msg_type type, const struct freeze *freeze,
                                const struct freeze **ret);

/* --- hub_operate.c: an operation through this node --- */
/* quota: of a sample, UINT32_MAX: all. Opens the gather and starts the fan-out. */
enum gather_verdict hub_operate(struct hub *h, const struct operation *op, uint32_t quota,
                                int64_t deadline_mesh_us, uint16_t origin_slot);
#define HUB_NO_ORIGIN UINT16_MAX
void hub_operate_message(struct hub *h, const struct msg *msg); /* from the parent */
void hub_result_message(struct hub *h, uint32_t child, const struct msg *msg);
void hub_cancel(struct hub *h, const struct id128 *id);
void hub_child_down(struct hub *h, uint32_t child);
void hub_child_new(struct hub *h, uint32_t child); /* another owner: it knows of no operation */
void hub_operate_pump(struct hub *h);
int64_t hub_operate_next(const struct hub *h);
uint32_t hub_expected(const struct hub *h, const struct selector *sel);

/* --- hub_prepare.c --- */
bool hub_prepare(struct hub *h, const struct prepare *p, uint16_t origin_slot,
                 const struct when_ask *when); /* NULL: none */
void hub_prepare_message(struct hub *h, const struct msg *msg);
void hub_prepared_message(struct hub *h, uint32_t child, const struct msg *msg);
void hub_prepare_pump(struct hub *h);
int64_t hub_prepare_next(const struct hub *h);
/* Lead times that the selected agents need, from the children's summaries; returns how many. */
uint32_t hub_leads(const struct hub *h, const struct selector *sel, uint32_t ret[LEAD_BUCKETS]);
int64_t hub_hop_margin_us(const struct hub *h); /* from here to the leads */

/* --- hub_origin.c: consoles --- */
void hub_submit(struct hub *h, const struct msg *msg);
/* One that has waited, under the id that its console was told. Unless REASON_NONE: nothing was done
 * or said; it may try again, if the reason is not INVALID, CAPABILITY or NOT_MINE. */
enum reason hub_release(struct hub *h, const struct msg *msg, struct id128 id, bool approved);
void hub_cancel_command(struct hub *h, const struct msg *msg);
void hub_origin_prepared(struct hub *h, uint16_t slot, const struct hub_prepare *p);
void hub_origin_operated(struct hub *h, uint16_t slot, const struct aggregate_view *view);
void hub_origin_progress(struct hub *h, uint16_t slot, const struct aggregate_view *view);
struct origin *hub_origin_find(struct hub *h, const struct id128 *id);

/* --- hub_query.c --- */
void hub_query_command(struct hub *h, const struct msg *msg);
void hub_query_message(struct hub *h, const struct msg *msg); /* from the parent */
void hub_rows_message(struct hub *h, uint32_t child, const struct msg *msg);
void hub_query_child_down(struct hub *h, uint32_t child);
void hub_query_pump(struct hub *h);
int64_t hub_query_next(const struct hub *h);

/* --- hub_trace.c --- */
/* This node's own row of QUERY_TRACE into the page; an operation of a console is named by the id
 * that it was told, and *q then by that of its last phase. */
void hub_trace(struct hub *h, struct query *q, struct pager *pager);

/* --- hub_status.c: what is told and kept of the whole --- */
void hub_status(const struct hub *h, struct mesh_status *ret);
/* The summary as a record (key "summary"), or as a history entry (key "history", a minute's). */
void hub_store_summary(struct hub *h, const char *shard, bool history, uint64_t ref);

#endif
