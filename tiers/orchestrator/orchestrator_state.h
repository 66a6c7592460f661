/* The orchestrator's memory, and what its files offer each other. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_STATE_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_STATE_H

#include "core/hub_order.h"
#include "core/logbook.h"
#include "core/routing.h"
#include "core/threat.h"
#include "tiers/orchestrator/orchestrator_breaker.h"
#include "tiers/orchestrator/orchestrator_held.h"
#include "tiers/orchestrator/orchestrator_jobs.h"
#include "tiers/orchestrator/orchestrator_kpi.h"
#include "tiers/orchestrator/orchestrator_move.h"
#include "tiers/orchestrator/orchestrator_scale.h"
#include "tiers/orchestrator/orchestrator_watch.h"

#define LOG_AGAIN_US (5ll * US_PER_S) /* after a refusal */
/* What is open in a log, read page by page when this process starts or has room. */
struct log_reading {
    uint64_t ref, cursor; /* ref: of the question that is out; 0: none */
    int64_t due_us;       /* NEVER: all of it is here */
};

/* Conflicts that are worked on; the others wait in the log, where they are read from when there is
 * room again. */
#define CONFLICTS_OPEN_MAX 1024u
/* Of them, those with an operation or a query out at once. */
#define CONFLICTS_BUSY_MAX 8u
/* Requests of consoles that wait for the log; one more is refused (overload). */
#define LOG_WAITS_MAX 32u
#define LOG_WAIT_US   (10ll * US_PER_S)

enum conflict_stage {
    STAGE_NEW = 1, /* its strategy has not begun */
    STAGE_ASKED,   /* an answer of the mesh is awaited */
    STAGE_REVIEW,  /* a person is asked to decide */
    STAGE_CLOSING  /* its resolution is on the way into the log */
};

struct open_conflict {
    bool used, escalated;
    uint8_t stage;       /* enum conflict_stage */
    uint8_t step, asked; /* of its strategy; how often it has compared */
    unsigned priority;
    int64_t deadline_us;     /* on the node's clock: then it is escalated */
    int64_t until_us;        /* ASKED: no answer is awaited after that */
    uint64_t ask_ref;        /* ASKED */
    uint32_t holds_expected; /* agents that said the one value .. */
    uint32_t holds_received; /* .. and the other */
    struct conflict_report report;
};

struct conflict_book {
    struct open_conflict open[CONFLICTS_OPEN_MAX];
    uint32_t count, busy;
    struct log_reading load; /* of those that are open */
    int64_t next_us;
};

/* Open incidents that are watched; one more takes the place of that with the oldest word. */
#define INCIDENTS_OPEN_MAX 256u

struct incident_open {
    uint64_t id; /* 0: free */
    struct unit unit;
    uint8_t failure; /* enum failure_class */
    int64_t heard_us;
    int64_t since_mesh_us; /* 0: not known */
    bool of_cluster;       /* its recovery counts as a cluster's (KPI recovery_time) */
};

struct incident_own {
    uint64_t id; /* 0: all is well */
    int64_t since_us, said_us;
    bool of_cluster; /* leads are lost, the coordinator is there */
};

struct incident_book {
    struct incident_open open[INCIDENTS_OPEN_MAX];
    struct incident_own mesh, down[SECTORS_MAX], tripped[SECTORS_MAX];
    /* leads_lost and epoch of each sector, as far as they are incidents; epoch 0: no look yet */
    uint32_t lost[SECTORS_MAX];
    uint64_t epoch[SECTORS_MAX];
    struct log_reading load; /* of those that were open */
    int64_t watch_us;
};

struct log_wait {
    uint64_t ref; /* 0: free */
    struct unit console;
    uint64_t console_ref;
    int64_t until_us;
    enum log_kind log;
    enum log_ask ask;
};

/* Commands that wait for a second person; one more is refused. */
#define SECONDS_MAX 8u
#define SECOND_US   (300ll * US_PER_S)

struct second_wait {
    uint64_t id; /* 0: free */
    int64_t until_us;
    struct command command; /* without parts that point elsewhere */
};

struct second_book {
    struct second_wait waits[SECONDS_MAX];
};

struct orchestrator {
    struct hub hub;
    int64_t tick_us;    /* next look at the mode and the breaker */
    int64_t judge_us;   /* the mode is that of an orchestrator before this one; NEVER: it is not */
    int64_t counted_us; /* availability is counted up to here */
    int64_t summary_us, history_us;
    uint64_t store_ref;       /* asked and not answered; 0: none */
    int64_t store_timeout_us; /* NEVER without */
    uint64_t available_us, observed_us;
    /* the record of what is frozen: from an earlier life, or there was none; not the registry's */
    bool frozen_loaded, frozen_dirty;
    struct freezer_record frozen_record; /* its names stay where they are (store.h) */
    uint64_t frozen_ref;
    int64_t frozen_until_us; /* for its answer; NEVER without */
    /* what new work goes around, and its record (orchestrator_routing.c) */
    struct {
        struct route_table table;
        struct routing_record record; /* its names stay where they are (store.h) */
        bool loaded, dirty;
        uint64_t ref; /* asked of the store and not answered; 0: none */
        int64_t until_us, say_us;
        uint32_t say_next;                       /* entry of the table that is said next */
        struct unit quiet[ROUTING_CLUSTERS_MAX]; /* avoided nobody any more: said a few times */
        uint8_t quiet_left[ROUTING_CLUSTERS_MAX];
    } routing;
    struct breaker_book breakers;
    struct watch watches[ORCHESTRATOR_WATCHES_MAX];
    /* the heal under way: what was before, by sector */
    struct {
        uint32_t away, astray, synced[2]; /* agents; contexts from neighbours, from far */
        uint8_t circuit;                  /* enum circuit */
        bool picked;
    } healed[SECTORS_MAX];
    struct logbook logbook;
    struct log_wait waits[LOG_WAITS_MAX];
    struct logbook_row *auditing; /* of the command in this step */
    struct conflict_book conflicts;
    struct incident_book incidents;
    struct log_page page;   /* of one reply: too large for a stack frame */
    struct command command; /* that this node asks of itself */
    struct jobs jobs;
    struct kpi_book kpi;
    struct held_book held;
    struct threat_book threats;
    struct order_chain orders;
    struct second_book second;
    struct move_book moves;
    struct scale_book scale;
};

/* orchestrator_freeze.c */
void freeze_command(struct orchestrator *o, const struct msg *msg);
void freeze_store_tick(struct orchestrator *o);
bool freeze_stored(struct orchestrator *o, const struct store_reply *reply); /* was it ours */
int64_t freeze_next_us(const struct orchestrator *o);
void watch_tick(struct orchestrator *o);
/* NULL: the console was told why not. */
struct watch *watch_take(struct orchestrator *o, const struct msg *msg, enum watch_kind kind);
void watch_line(struct orchestrator *o, const struct watch *w, const char *text);
/* orchestrator_routing.c */
void routing_command(struct orchestrator *o, const struct msg *msg);
bool routing_stored(struct orchestrator *o, const struct store_reply *reply); /* was it ours */
int64_t routing_tick(struct orchestrator *o); /* returns when to look again */
/* orchestrator_move.c, orchestrator_move_plan.c */
void move_command(struct orchestrator *o, const struct msg *msg);
bool move_reply(struct orchestrator *o, const struct reply *reply); /* was it ours */
bool move_stored(struct orchestrator *o, const struct store_reply *reply);
void move_watch_tick(struct orchestrator *o, struct watch *w);
int64_t moves_tick(struct orchestrator *o); /* returns when to look again */
/* orchestrator_heal.c */
void heal_command(struct orchestrator *o, const struct msg *msg);
void heal_watch_tick(struct orchestrator *o, struct watch *w);
void watch_end(struct orchestrator *o, struct watch *w);

/* orchestrator_breaker.c. False: too many are open by hand. */
bool breaker_by_hand(struct orchestrator *o, struct unit scope, bool open);
bool breaker_held(const struct orchestrator *o, struct unit scope);
void breakers_heal(struct orchestrator *o, struct unit scope); /* hub_heal; none is held open */
void breaker_command(struct orchestrator *o, const struct msg *msg);
bool breakers_stored(struct orchestrator *o, const struct store_reply *reply); /* was it ours */
int64_t breakers_tick(struct orchestrator *o); /* returns when to look again */

/* orchestrator_log.c: rows, audit, requests about logs. A row of now, by the mesh (LOG_AUDIT: with
 * an id); the rest is the caller's. NULL: no room, or no log. spare: as logbook_add. */
struct logbook_row *log_row(struct orchestrator *o, enum log_kind log, uint32_t spare,
                            const char *event, const char *type, struct unit agent);
/* False: it was refused, because nothing that changes the mesh is done unrecorded. */
bool audit_begin(struct orchestrator *o, const struct msg *msg);
void audit_reply(struct orchestrator *o, const struct reply *reply);
void audit_end(struct orchestrator *o);
void audit_mode(struct orchestrator *o, enum mode before, uint64_t permille);
void audit_orders(struct orchestrator *o);
void log_command(struct orchestrator *o, const struct msg *msg);
/* True: it was the answer to one of the above, or of the logbook. */
bool log_stored(struct orchestrator *o, const struct store_reply *reply);
int64_t log_tick(struct orchestrator *o);
/* Asks for the next page of what is open in `log`, if it is due and there is room. */
void log_read_open(struct orchestrator *o, const char *log, struct log_reading *r);
/* False: not its answer. True: *ret_rows says whether there are rows in it; the next is due. */
bool log_read_answer(struct orchestrator *o, struct log_reading *r, const struct store_reply *reply,
                     bool *ret_rows);
/* Terminated; empty: no such field, or too long. */
void log_field(const struct store_row *row, const char *name, char *ret, size_t size);

/* orchestrator_conflicts.c: from report to resolution */
void conflicts_start(struct orchestrator *o);
void conflicts_report(struct orchestrator *o, const struct msg *msg);
void conflicts_resolve(struct orchestrator *o, const struct msg *msg);
void conflicts_durable(struct orchestrator *o, const struct logbook_row *row, bool known,
                       uint64_t seq);
bool conflicts_stored(struct orchestrator *o, const struct store_reply *reply);
int64_t conflicts_tick(struct orchestrator *o);

/* orchestrator.c: a query of its own. The first clears it and writes its reference, of which the
 * answer (a refusal at once) tells; the rest of it is filled in before it is sent. */
struct query *own_query(struct orchestrator *o, enum query_kind kind, uint64_t *ret_ref);
void own_query_send(struct orchestrator *o);
/* orchestrator_isolate.c */
void isolate_command(struct orchestrator *o, const struct msg *msg);
bool isolate_reply(struct orchestrator *o, const struct reply *reply); /* was it ours */
void isolate_watch_tick(struct orchestrator *o, struct watch *w);

/* orchestrator_second.c. True: it waits for another operator, or was refused; that was told. */
bool second_holds(struct orchestrator *o, const struct msg *msg);
/* An approval: *ret is what was approved, as the one who approves sends it; false: told. */
bool second_approved(struct orchestrator *o, const struct msg *msg, struct msg *ret);

/* orchestrator_incident.c */
void incidents_start(struct orchestrator *o);
/* True: to be acknowledged at once; else when its row is durable, or it is said again. */
bool incidents_report(struct orchestrator *o, const struct conflict_report *r);
void incidents_durable(struct orchestrator *o, const struct logbook_row *row);
bool incidents_stored(struct orchestrator *o, const struct store_reply *reply);
int64_t incidents_tick(struct orchestrator *o);

#endif
