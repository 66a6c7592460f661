/* Rows on their way into a log: kept here until the store says that they are durable. For the node
 * that writes (the orchestrator); pure.
 *
 * A row is asked for, and asked again after LOGBOOK_ANSWER_US without an answer or, backing off to
 * 5 s, after a refusal; its id makes that one row. In the order in which they came. Bounded: with
 * LOGBOOK_ROWS_MAX waiting, logbook_add() says no, and the caller says so to whoever wanted it
 * (a lead keeps its report and sends it again; a console is refused). */
#ifndef CORE_LOGBOOK_H
#define CORE_LOGBOOK_H

#include "core/logs.h"
#include "core/node.h"
#include "core/rng.h"

#define LOGBOOK_ROWS_MAX  512u
#define LOGBOOK_RESERVE   64u /* of them for the audit of commands */
#define LOGBOOK_BODY_MAX  1400u
#define LOGBOOK_ASK_STEP  24u /* rows asked for in one step */
#define LOGBOOK_ANSWER_US (8ll * US_PER_S)

struct logbook_row {
    bool used;
    uint64_t ref; /* of the store op that is out; 0: none */
    uint64_t order;
    int64_t due_us; /* ask (again) then */
    uint32_t tries;
    enum log_kind log;
    char id[64], event[16], subject[24], agent[24], type[40], actor[65];
    unsigned priority;
    int64_t at_us;
    uint32_t body_bytes;
    char body[LOGBOOK_BODY_MAX];
    struct unit tell;    /* conflicts: the agent whose lead waits for the acknowledgement */
    uint64_t conflict;   /* its name */
    struct unit console; /* told when it is durable; TIER_NONE: nobody */
    uint64_t console_ref;
};

struct logbook {
    struct logbook_row rows[LOGBOOK_ROWS_MAX];
    uint32_t count;
    uint64_t next_order;
    bool away;     /* the last answer was a refusal */
    char why[128]; /* in the store's words */
    uint64_t lost; /* rows that the store called invalid: a fault of ours, counted and noted */
};

void logbook_init(struct logbook *b);

/* A row to fill in, due at once; NULL: no room. spare: rows that must stay free. */
struct logbook_row *logbook_add(struct logbook *b, int64_t now_us, uint32_t spare);
void logbook_drop(struct logbook *b, struct logbook_row *row);
bool logbook_has(const struct logbook *b, uint64_t conflict, const char *event);

/* Asks for what is due, as far as the outbox has room; the next wake. *short_of_room is set when
 * more is due than fits. */
int64_t logbook_pump(struct logbook *b, int64_t now_us, struct outbox *out, uint64_t *next_ref,
                     bool *short_of_room);

/* An answer of the store. NULL: not one of its; else the row: *ret_durable: it is in the log
 * (drop it afterwards), else it waits for another try. */
struct logbook_row *logbook_reply(struct logbook *b, int64_t now_us,
                                  const struct store_reply *reply, struct rng *rng,
                                  bool *ret_durable);

#endif
