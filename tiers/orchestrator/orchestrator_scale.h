/* The orchestrator's book of newcomers (docs/adr/0037): orchestrator_scale.c keeps, stores and says
 * it, orchestrator_scale_plan.c plans what a console asks for, orchestrator_scale_show.c tells. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_SCALE_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_SCALE_H

#include "core/grow.h"
#include "core/msg.h"
#include "core/store.h"
#include "core/summary.h"

/* Clusters that have, or had, newcomers; a plan that needs one more is refused by name. */
#define SCALE_CLUSTERS_MAX 2048u

enum scale_state { SCALE_NONE, SCALE_RUNNING, SCALE_DONE, SCALE_ABORTED, SCALE_STATE_COUNT };

/* One `scale add`. Its record is written after those of its clusters: with it the whole is decided.
 */
struct scale_batch {
    uint64_t id; /* mesh time when it was ordered; 0: there was none */
    enum scale_state state;
    uint32_t wanted, rate;
    int64_t over_us;
    int64_t ended_mesh_us;
};

struct scale_row {
    struct unit cluster; /* tier NONE: free */
    uint64_t id;         /* of the word that holds (grow.id) */
    uint64_t old;        /* places of newcomers of earlier batches */
    uint64_t fresh;      /* .. of batch `batch` */
    uint64_t batch;
    uint64_t opened;              /* of the fresh ones, by this orchestrator */
    uint64_t ordered_id, ordered; /* word and places that were ordered since the last STATE */
    bool dirty;                   /* the registry's record is not so */
};

struct scale_target {
    struct unit cluster;
    uint32_t agents; /* there now, and assigned */
    uint32_t mean_us;
    uint64_t free, taken;
};

enum scale_stage { SCALE_IDLE, SCALE_ASKS, SCALE_WRITES };

/* One plan at a time; one more is refused (overload). */
struct scale_plan {
    enum scale_stage stage;
    bool dry;
    uint32_t watch, left_out; /* left_out: clusters that are not healthy */
    uint32_t class_mask;
    uint64_t ask_ref; /* of the query that is out; 0: none */
    struct place_set where;
    struct scale_batch batch;
    uint32_t target_count;
    struct scale_target targets[SCALE_CLUSTERS_MAX];
};

struct scale_book {
    struct scale_batch batch;
    uint32_t row_count;
    struct scale_row rows[SCALE_CLUSTERS_MAX];
    bool loaded, batch_dirty;
    uint64_t cursor; /* of the scan that reads it */
    uint64_t ref;    /* asked of the store and not answered; 0: none */
    uint32_t ref_row;
    bool ref_batch; /* the batch's record is out, not a row's */
    int64_t until_us, open_us, look_us, opened_us;
    uint64_t state_seq; /* the STATE since which rows are ordered */
    bool order_due;     /* some rows may not be */
    uint64_t last_id;
    uint32_t credit;                      /* thousandths of places that may open */
    bool paused;                          /* nothing opens: the mesh is not in full service */
    uint32_t joined, entering, conflicts; /* newcomers, as the sectors say */
    struct scale_plan plan;
};

struct orchestrator;
struct watch;
/* For the orchestrator's own file. */
void scale_command(struct orchestrator *o, const struct msg *msg);
bool scale_reply(struct orchestrator *o, const struct reply *reply); /* was it ours */
bool scale_stored(struct orchestrator *o, const struct store_reply *reply);
void scale_link(struct orchestrator *o, bool up); /* the store's: it may have lost its records */
void scale_plan_tick(struct orchestrator *o, struct watch *w);
void scale_watch_tick(struct orchestrator *o, struct watch *w);
int64_t scale_tick(struct orchestrator *o); /* returns when to look again */
/* orchestrator_scale.c */
struct scale_row *scale_row(struct scale_book *b, struct unit cluster, bool make); /* NULL: none */
uint64_t scale_next_id(struct orchestrator *o);
void scale_end(struct orchestrator *o, enum scale_state state);
uint32_t scale_opened(const struct scale_book *b);
void scale_count(struct orchestrator *o); /* newcomers among the agents of sectors */
void scale_look(struct orchestrator *o);
bool scale_settled(const struct scale_book *b); /* nothing is to be written */
/* orchestrator_scale_plan.c: the staged batch is in the registry, or will not be. */
void scale_committed(struct orchestrator *o);
void scale_uncommitted(struct orchestrator *o);
/* orchestrator_scale_show.c */
void scale_show(struct orchestrator *o, const struct msg *msg);
void scale_places(struct orchestrator *o, const struct msg *msg);
struct text;
void scale_status_line(const struct orchestrator *o, struct text *t);

#endif
