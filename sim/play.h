/* Playing a scenario: builds its world, does its acts at their times, lets the judge watch every
 * step, heals, requires convergence, and looks at the expectations. */
#ifndef SIM_PLAY_H
#define SIM_PLAY_H

#include "sim/judge.h"
#include "sim/trace.h"

/* Liveness (check_liveness.c), after the heal: every live agent in service within .., and an
 * operation to all of them READY everywhere within .. (spec 11: a cluster within 5 minutes; ours 30
 * s). */
#define LIVE_SERVICE_US (30 * US_PER_S)
/* With moves (docs/adr/0034): who is on his way is in service nowhere, they go a few at a time, and
 * a step whose word was lost waits for its end. Spec 11 gives a cluster 5 minutes. */
#define LIVE_MOVED_US    (90 * US_PER_S)
#define LIVE_ANSWER_US   (300 * US_PER_S)
#define LIVE_TAKEOVER_US (10 * US_PER_S)
#define LIVE_SETTLE_US   (40 * US_PER_S) /* WARDS_START_US, WARDS_HOME_US (core/wards.h) and some */
#define LIVE_NOTICED_US  (6 * US_PER_S)  /* until then those above may not have missed it yet */

#define PLAY_SAMPLES_MAX 4096u

/* What the plot shows; filled when asked for. */
struct play_sample {
    int64_t at_us;
    uint32_t active, agents, sectors_up;
    enum mode mode;
    bool answered; /* else the orchestrator was silent */
};

struct play_record {
    uint32_t sample_count;
    struct play_sample samples[PLAY_SAMPLES_MAX];
    uint64_t arrivals[ARRIVAL_BUCKETS]; /* arrival - T of all operations with a T */
    uint64_t releases[ARRIVAL_BUCKETS]; /* release - T of those that held */
    uint32_t operations, timed;
};

struct play_options {
    struct trace *trace;        /* or NULL */
    struct coverage *coverage;  /* or NULL */
    struct play_record *record; /* or NULL */
    bool progress;              /* a line for each operation's end, to stdout */
};

/* Seconds in a row in which the mesh was not available (spec 12). */
#define PLAY_GAPS_MAX 64u
struct play_gap {
    int64_t from_us;
    uint32_t seconds, silent; /* silent: of these, without an answer of the orchestrator */
    uint64_t active, agents;  /* the least that it said; agents 0: it said nothing */
};

struct play_result {
    struct violation violation;
    uint32_t gap_count; /* of what `availability` looks at; the gaps after PLAY_GAPS_MAX not kept */
    struct play_gap gaps[PLAY_GAPS_MAX];
    uint64_t events, digest;
    int64_t virtual_us;
    int64_t service_us, answer_us; /* after the heal; 0: there was none */
    uint32_t submitted, answered, refused, ready;
    uint32_t unmet; /* expectations */
};

/* How what agents say is signed when some of them lie (wire.h). Set once, before any play; NULL,
 * and so without: acceptance is modelled. */
void play_wire_set(const struct world_wire *wire);

/* True: no violation, and all expectations were met (s->expects says which). */
bool play(struct scenario *s, const struct play_options *o, struct play_result *ret);

/* --- inside: shared by play.c and check_liveness.c --- */
enum play_entry_kind {
    ENTRY_ACT = 1,
    ENTRY_UNDO,
    ENTRY_EXPECT,
    ENTRY_SAMPLE,
    ENTRY_SECOND, /* is the mesh available? */
    ENTRY_HEAL
};

struct play_entry {
    int64_t at_us;
    uint32_t order, index;
    enum play_entry_kind kind;
};

struct play {
    struct scenario *s;
    struct world *w;
    struct judge judge;
    const struct play_options *o;
    struct play_result *result;
    struct play_entry *entries;
    uint32_t entry_count, entry_room;
    uint64_t refs[SCENARIO_ACTS_MAX]; /* of submitted operations; 0: not yet */
    bool said[SCENARIO_ACTS_MAX]; /* who serves it gave its final answer; it may have been lost */
    uint64_t ended[SCENARIO_ACTS_MAX];    /* bits of the processes that a kill has ended */
    uint64_t lives[SCENARIO_ACTS_MAX];    /* of who serves it, when it was submitted */
    uint32_t rules[SCENARIO_ACTS_MAX][2]; /* of the network, that stand for an act */
    uint32_t notes[SCENARIO_EXPECT_MAX];
    uint32_t seconds, available; /* looked at, and of these with 95 % of the agents active */
    struct mesh_status status;   /* of the last sample */
    uint64_t retire_ref;         /* what was asked last so that newcomers go .. */
    bool retired;                /* .. and nobody is left */
    char why[96];                /* how the last probe ended */
};

/* Asks the orchestrator for its status now (5 ms pass). False: it does not answer. */
bool play_status(struct play *p);
bool play_bad(const struct play *p); /* a violation was found */
/* play_fault.c: the acts on network, clocks, store and fault points. */
void play_fault(struct play *p, uint32_t index);
void play_fault_undo(struct play *p, uint32_t index);
void play_fault_heal(struct play *p);
/* Who serves the operation of a submit. */
struct unit play_server(const struct act *a);
/* Removes all newcomers. False: there are none any more (retired). */
bool play_retire(struct play *p);
/* New work goes around it, or no more. */
void play_route(struct play *p, struct unit u, bool on);
/* The operator's, as the console's quarantine and lift. */
void play_quarantine(struct play *p, struct unit agent, bool on);
/* Whether the heal leaves u broken. */
bool play_broken(const struct scenario *s, struct unit u);
/* check_liveness.c: after the heal; a violation is in the judge. */
void live_converge(struct play *p);
/* check_liveness.c: every operation that was accepted has its final answer. */
void live_answered(struct play *p);

#endif
