/* The orchestrator's book of newcomers (docs/adr/0037, 0044): orchestrator_scale.c keeps and says
 * it, orchestrator_scale_store.c stores it, orchestrator_scale_plan.c plans who comes,
 * orchestrator_scale_remove.c who goes, orchestrator_scale_show.c tells. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_SCALE_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_SCALE_H

#include "core/grow.h"
#include "core/msg.h"
#include "core/store.h"
#include "core/summary.h"

/* Clusters that have, or had, newcomers; a plan that needs one more is refused by name. */
#define SCALE_CLUSTERS_MAX 2048u

enum scale_state { SCALE_NONE, SCALE_RUNNING, SCALE_DONE, SCALE_ABORTED, SCALE_STATE_COUNT };

/* One `scale add`, or `scale remove`. Its record is written after those of its clusters: with it
 * the whole is decided. */
struct scale_batch {
    uint64_t id; /* mesh time when it was ordered; 0: there was none */
    enum scale_state state;
    bool remove;
    uint32_t wanted, rate;
    int64_t over_us;       /* remove: how long what is in flight may go on .. */
    int64_t until_mesh_us; /* .. and so until when */
    int64_t ended_mesh_us;
};

struct scale_row {
    struct unit cluster; /* tier NONE: free */
    uint64_t id;         /* of the word that holds (grow.id) */
    uint64_t old;        /* places of newcomers of earlier batches */
    uint64_t fresh;      /* .. of batch `batch` */
    uint64_t leaving;    /* of the old ones: `batch` closes them */
    uint64_t retired;    /* closed again: who lived there has been removed */
    uint64_t tell;       /* .. and the audit log has still to hear of these */
    uint64_t batch;
    uint64_t closed;              /* id of the word that closed some last, or may have */
    uint64_t opened;              /* of the fresh ones, by this orchestrator */
    uint64_t ordered_id, ordered; /* word and places that were ordered since the last STATE */
    bool dirty;                   /* the registry's record is not so */
};

struct scale_target {
    struct unit cluster;
    uint32_t agents; /* there now, and assigned */
    uint32_t mean_us;
    uint64_t free, taken; /* places that may be taken (to close: that are open), and that are */
    uint64_t retired;     /* of the free ones: somebody was retired from there */
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
    uint32_t joined, entering, conflicts; /* newcomers, as the sectors say .. */
    uint32_t leaving;                     /* .. and agents that finish their work */
    bool deaf;                            /* of a sector that has some of these nothing is known */
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
/* Spare places there that nobody else may be given: newcomers', or closed so shortly before that
 * the host of one who left may still run it. */
uint64_t scale_taken(struct orchestrator *o, struct unit cluster);
uint64_t scale_open(const struct scale_book *b, const struct scale_row *row); /* places */
void scale_loaded(struct orchestrator *o); /* the records have been read */
void scale_count(struct orchestrator *o);  /* newcomers among the agents of sectors */
void scale_look(struct orchestrator *o);
bool scale_settled(const struct scale_book *b); /* nothing is to be written */
/* orchestrator_scale_store.c: what is not in the registry yet, and whose time it is. */
void scale_store_tick(struct orchestrator *o);
/* orchestrator_scale_plan.c: the staged batch is in the registry, or will not be. */
void scale_committed(struct orchestrator *o);
void scale_uncommitted(struct orchestrator *o);
void scale_say_plan(struct orchestrator *o, const char *does); /* who comes, or goes, where */
/* To be written, after its rows; the console that asked waits. */
void scale_stage(struct orchestrator *o);
/* orchestrator_scale_remove.c */
void scale_remove(struct orchestrator *o, const struct msg *msg);
/* orchestrator_scale_show.c */
void scale_show(struct orchestrator *o, const struct msg *msg);
void scale_places(struct orchestrator *o, const struct msg *msg);
struct text;
void scale_status_line(const struct orchestrator *o, struct text *t);

#endif
