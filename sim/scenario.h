/* Scenarios: a mesh, what is done to it and when, and what is expected of it. One struct for three
 * uses: files that people write (sim/scenarios), what the swarm draws from a seed (draw.h), and
 * what the shrinker leaves of a failing one (shrink.h). docs/SIMULATION.md has the language.
 *
 * A scenario is a value: fixed arrays, no pointers. More acts or expectations than fit are refused
 * with the line. Times are the world's true time from 0, microseconds. */
#ifndef SIM_SCENARIO_H
#define SIM_SCENARIO_H

#include "core/note.h"
#include "core/operation.h"
#include "sim/world_fault.h"
#include <stdbool.h>
#include <stdio.h>

#define SCENARIO_ACTS_MAX   512u
#define SCENARIO_EXPECT_MAX 64u
#define SCENARIO_BROKEN_MAX 16u
#define SCENARIO_NAME_MAX   96u
#define LABEL_MAX           24u
#define PLACES_TEXT_MAX     96u
#define PAYLOAD_TEXT_MAX    96u

enum act_kind {
    ACT_NONE,
#define ACT_ENUM(id, name, fields) id,
#define ACT_LIST(X)                                                                                \
    X(ACT_KILL, "kill", ACT_UNIT | ACT_MAY_BELOW | ACT_MAY_LAST)                                   \
    X(ACT_RESTART, "restart", ACT_UNIT | ACT_MAY_BELOW)                                            \
    X(ACT_PAUSE, "pause", ACT_UNIT | ACT_MAY_BELOW | ACT_MUST_LAST)                                \
    X(ACT_CUT, "cut", ACT_UNIT | ACT_MAY_LAST)                                                     \
    X(ACT_STORE_DOWN, "store-down", ACT_BANK | ACT_MAY_LAST)                                       \
    X(ACT_SLOW, "slow", ACT_UNIT | ACT_FACTOR | ACT_MAY_LAST)                                      \
    X(ACT_FREEZE, "freeze", ACT_UNIT | ACT_MAY_LAST)                                               \
    X(ACT_CANCEL, "cancel", ACT_LABEL)                                                             \
    X(ACT_SUBMIT, "submit", ACT_LABEL | ACT_OPERATION)                                             \
    X(ACT_DROP, "drop", ACT_UNIT | ACT_PERMILLE | ACT_MAY_LAST)                                    \
    X(ACT_CUT_OUT, "cut-out", ACT_UNIT | ACT_MAY_LAST)                                             \
    X(ACT_CUT_IN, "cut-in", ACT_UNIT | ACT_MAY_LAST)                                               \
    X(ACT_DUPLICATE, "duplicate", ACT_UNIT | ACT_PERMILLE | ACT_MAY_LAST)                          \
    X(ACT_REORDER, "reorder", ACT_UNIT | ACT_PERMILLE | ACT_BY | ACT_MAY_LAST)                     \
    X(ACT_DELAY, "delay", ACT_UNIT | ACT_BY | ACT_MAY_LAST)                                        \
    X(ACT_CLOG, "clog", ACT_UNIT | ACT_MAY_LAST)                                                   \
    X(ACT_BROKER, "broker-restart", ACT_MUST_LAST)                                                 \
    X(ACT_DISCONNECT, "disconnect", ACT_UNIT | ACT_MAY_BELOW | ACT_MUST_LAST)                      \
    X(ACT_SWALLOW, "swallow", ACT_UNIT | ACT_MAY_BELOW | ACT_MUST_LAST)                            \
    X(ACT_CLOCK_JUMP, "clock-jump", ACT_UNIT | ACT_BY)                                             \
    X(ACT_CLOCK_DRIFT, "clock-drift", ACT_UNIT | ACT_PPM)                                          \
    X(ACT_WALL_STEP, "wall-step", ACT_UNIT | ACT_BY)                                               \
    X(ACT_STORE_SILENT, "store-silent", ACT_BANK | ACT_MAY_LAST)                                   \
    X(ACT_STORE_READONLY, "store-readonly", ACT_BANK | ACT_MAY_LAST)                               \
    X(ACT_STORE_FULL, "store-full", ACT_BANK | ACT_MAY_LAST)                                       \
    X(ACT_STORE_BARE, "store-bare", ACT_BANK | ACT_MAY_LAST)                                       \
    X(ACT_STORE_UNSURE, "store-unsure", ACT_BANK | ACT_PERMILLE | ACT_MAY_LAST)                    \
    X(ACT_STORE_CRASH, "store-crash", ACT_BANK | ACT_MUST_LAST)                                    \
    X(ACT_STORE_FAILOVER, "store-failover", ACT_BANK | ACT_MUST_LAST)                              \
    X(ACT_STORE_WIPE, "store-wipe", ACT_BANK)                                                      \
    X(ACT_FAULT_POINTS, "fault-points", ACT_PERMILLE | ACT_MAY_LAST)                               \
    X(ACT_TWIN, "twin", ACT_UNIT | ACT_MAY_LAST)                                                   \
    X(ACT_LIE, "lie", ACT_UNIT | ACT_LIES | ACT_MAY_LAST)                                          \
    X(ACT_APPROVE, "approve", ACT_LABEL)                                                           \
    X(ACT_REJECT, "reject", ACT_LABEL)                                                             \
    X(ACT_QUARANTINE, "quarantine", ACT_UNIT | ACT_MAY_LAST)                                       \
    X(ACT_MOVE, "move", ACT_UNIT | ACT_MAY_LAST)                                                   \
    X(ACT_STORE_SPOIL, "store-spoil", 0)                                                           \
    X(ACT_SCALE, "scale", ACT_UNIT | ACT_FACTOR | ACT_MAY_LAST)                                    \
    X(ACT_ROUTE, "route-around", ACT_UNIT | ACT_MAY_LAST)                                          \
    X(ACT_RETIRE, "retire", ACT_UNIT | ACT_FACTOR | ACT_MAY_LAST)                                  \
    X(ACT_STOP, "stop", ACT_UNIT | ACT_MAY_BELOW | ACT_MAY_LAST)
    ACT_LIST(ACT_ENUM)
#undef ACT_ENUM
        ACT_KIND_COUNT
};

/* Which words an act takes. */
#define ACT_UNIT      0x01u
#define ACT_MAY_BELOW 0x02u
#define ACT_MAY_LAST  0x04u /* `for DURATION`: undone afterwards; else it lasts until the heal */
#define ACT_MUST_LAST 0x08u
#define ACT_FACTOR    0x10u
#define ACT_PERMILLE  0x20u
#define ACT_LABEL     0x40u
#define ACT_OPERATION 0x80u
#define ACT_BY        0x100u /* `by DURATION` */
#define ACT_LIES      0x200u /* a word of lie_name() */
#define ACT_BANK      0x400u /* may name one bank of the store: a word of bank_name() */
#define ACT_PPM       0x800u /* parts per million, either way */

struct act {
    int64_t at_us;
    int64_t for_us; /* 0: until the heal */
    int64_t by_us;  /* of a wall-step either way, else 0 or more */
    double factor;
    enum act_kind kind;
    struct unit unit;
    bool below;
    uint8_t banks; /* bits of enum store_bank; 0: all that can have it (scenario_banks) */
    enum world_lie lie;
    uint32_t permille;
    int32_t ppm;   /* -1000 to 1000 */
    uint32_t line; /* of the file; 0: drawn */
    char label[LABEL_MAX];
    /* ACT_SUBMIT */
    char action[ACTION_MAX];
    char payload[PAYLOAD_TEXT_MAX];
    char places[PLACES_TEXT_MAX]; /* "": all */
    uint32_t class_mask, sample;
    char capability[CAPABILITY_NAME_MAX]; /* "": none is required */
    struct unit via; /* the sector that serves it; TIER_NONE: the orchestrator */
    enum timing timing;
    enum cascade_strategy strategy;
    uint8_t priority;
    bool no_ack, hedge;
    int64_t ttl_us, timeout_us, window_us; /* 0: the console's defaults */
};

enum expect_kind {
    EXPECT_ACTIVE = 1, /* active agents, as the orchestrator says */
    EXPECT_SECTORS,    /* sectors up */
    EXPECT_MODE,
    EXPECT_OUTCOME,     /* how many targets of an operation ended so */
    EXPECT_STATUS,      /* of an operation's report, or its refusal's reason */
    EXPECT_NOTE,        /* how often a note was taken, at a unit or anywhere */
    EXPECT_AVAILABILITY /* share of the seconds in which 95 % of the agents are active */
};

enum compare { COMPARE_LEAST, COMPARE_MOST, COMPARE_EXACT };

struct expectation {
    enum expect_kind kind;
    enum compare compare;
    int64_t at_us, within_us; /* ACTIVE, SECTORS, MODE: true at some time in at .. at + within */
    double value;
    bool percent; /* OUTCOME: of the targets */
    enum mode mode;
    enum outcome outcome;
    enum note note;
    struct unit unit; /* NOTE; TIER_NONE: any */
    char label[LABEL_MAX];
    char word[LABEL_MAX]; /* STATUS */
    uint32_t line;
    /* filled by the play */
    bool met, judged;
    double seen;
};

struct scenario {
    char name[SCENARIO_NAME_MAX];
    struct world_conf conf;
    bool classes;     /* class counts were given; else the spec's shares */
    int64_t run_us;   /* end of the whole, or of the safety phase when there is a heal */
    int64_t heal_us;  /* 0: none */
    uint32_t pending; /* messages that wait for who stands still; 0: as many as a real client's */
    /* Left broken by the heal, with everything below. */
    uint32_t broken_count;
    struct unit broken[SCENARIO_BROKEN_MAX];
    struct {
        uint32_t run, heal, processes, spare;
    } lines; /* of the file, where these stand; 0: nowhere */
    uint32_t act_count, expect_count;
    struct act acts[SCENARIO_ACTS_MAX];
    struct expectation expects[SCENARIO_EXPECT_MAX];
};

const char *act_name(enum act_kind kind);
uint32_t act_fields(enum act_kind kind); /* ACT_UNIT and what else it is said with */
const char *lie_name(enum world_lie lie);
const char *bank_name(enum store_bank bank);
/* Bits of the banks that this act of the store means; 0: it has nothing to do with the store. */
uint32_t scenario_banks(const struct act *a);

/* The shape given by three numbers; classes by the spec's shares, no spare places. False: out of
 * range. */
bool scenario_shape(struct scenario *s, uint32_t sectors, uint32_t clusters, uint32_t agents);
/* Spare places in each cluster, and a host for each. */
void scenario_spare(struct scenario *s, uint32_t spare);
/* A scenario without acts: 2 sectors, 2 clusters each, 6 agents each, 60 s. */
void scenario_init(struct scenario *s);

/* False: one line `FILE:LINE: reason` went to `errors`. */
bool scenario_read(const char *path, struct scenario *ret, FILE *errors);
bool scenario_parse(const char *path, FILE *from, struct scenario *ret, FILE *errors);
/* In the same language; reading it gives the same scenario. */
void scenario_write(const struct scenario *s, FILE *to);

/* What there is against it as a whole (units outside the mesh, labels used twice, acts after the
 * end): NULL, or the reason, with *ret_line. */
const char *scenario_check(const struct scenario *s, uint32_t *ret_line);

#endif
