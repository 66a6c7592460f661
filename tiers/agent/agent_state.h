/* The agent's memory and the seams between its files. About 4.5 KiB: there are 30,000 of them, so
 * every table is small and has a stated behaviour when it is full. */
#ifndef TIERS_AGENT_AGENT_STATE_H
#define TIERS_AGENT_AGENT_STATE_H

#include "core/impedance.h"
#include "core/meshtime.h"
#include "core/node.h"
#include "core/num.h"
#include "core/rng.h"

/* Operations queued, running or held. One more: the lowest priority of the queue is dropped and
 * answered REFUSED (OVERLOAD), or the newcomer is. */
#define AGENT_TASKS_MAX 10u
/* Finished operations whose acknowledgement can be repeated in full, and those that are only
 * recognised; the oldest give way. What is sent again and is as old as one that gave way cannot be
 * told from it: it is refused (OVERLOAD), so that nothing runs twice. */
#define AGENT_KEPT_MAX 8u
#define AGENT_SEEN_MAX 40u
/* Answers that wait for T or are kept for repetition, in chunks. Kept ones give way to waiting
 * ones; a waiting one that does not fit is acknowledged without its bytes. */
#define AGENT_ANSWER_CHUNK  32u
#define AGENT_ANSWER_CHUNKS 32u
/* Messages of its own that wait for answers; one more is refused (NOTE_RELAY_LOST, OVERLOAD). */
#define AGENT_RELAYS_MAX 8u
/* Up to so many answering units a message's answers are told apart; with more, each resend counts
 * afresh. */
#define AGENT_ACKERS_MAX 6u
/* One pipeline at a time, of so many stages; more is refused. */
#define AGENT_STAGES_MAX 8u
/* A message's payload: it must fit an outbox twice, once sealed and once sent. */
#define AGENT_RELAY_PAYLOAD_MAX 16384u
#define AGENT_RELAY_TTL_US      (30ll * US_PER_S) /* when its author gave none */

#define AGENT_PENDING_US 250000ll /* answer later than this: say PENDING first */
#define AGENT_AGEING_US  2000000ll
#define AGENT_WORK_GRACE_US                                                                        \
    1000000ll /* a handler that is silent so long past its deadline failed */

enum task_state { TASK_FREE, TASK_QUEUED, TASK_RUNNING, TASK_HELD, TASK_ANSWER };

struct agent_answer { /* a range of the answer pool */
    uint16_t at, bytes;
};

struct task {
    struct id128 id;
    int64_t received_mesh_us;
    int64_t target_mesh_us;  /* T; 0: none */
    int64_t expires_mesh_us; /* TTL */
    int64_t deadline_mesh_us;
    int64_t echo_sent_us;
    int64_t arrival_mesh_us; /* work done */
    int64_t queued_us;       /* local */
    int64_t started_us;      /* local */
    int64_t due_us;          /* local: HELD release, RUNNING end of patience */
    int64_t pending_us;      /* local: when to say PENDING; NEVER: said, or not wanted */
    uint32_t seq;
    uint32_t expected_us;
    uint32_t processing_us;
    uint32_t work; /* generation of the work's ref */
    struct agent_answer answer;
    uint8_t state;
    uint8_t priority;
    uint8_t outcome;
    uint8_t reason;
    bool relay, hold, want_answer, want_ack;
};

struct kept {
    struct id128 id;
    int64_t received_mesh_us, arrival_mesh_us;
    int64_t release_mesh_us;
    uint32_t seq, processing_us;
    struct agent_answer answer;
    uint8_t outcome, reason;
    bool used, relay, late;
};

struct agent_relay {
    struct id128 id;
    int64_t expires_mesh_us;
    int64_t resend_us; /* local */
    uint32_t expected; /* answering units: agents, or leads with a broadcast */
    uint32_t answered;
    uint32_t reached, failed; /* agents */
    uint32_t acker[AGENT_ACKERS_MAX];
    uint8_t attempt;
    uint8_t routing; /* ROUTING_NONE: free */
    bool pipeline;
};

struct agent_pipeline {
    struct unit stages[AGENT_STAGES_MAX];
    uint8_t count, stage; /* count 0: none in progress */
    uint8_t verb, priority;
    int8_t trinary_expectation;
    uint64_t capabilities;
    double payload_weight;
    int64_t expires_mesh_us;
    struct id128 correlation_id;
    char action[ACTION_MAX];
};

struct agent {
    struct unit self, lead;
    uint64_t uid, incarnation, lead_epoch;
    uint64_t capabilities;
    struct id128 context_hash;
    const struct topology *topology;
    struct rng rng;
    struct meshtime time;
    struct profiler profiler;
    int64_t beat_us, beat_phase_us;
    int64_t beat_next_us, hello_next_us; /* local; NEVER when not due at all */
    uint32_t handlers_max, running, work_count;
    uint32_t hellos;
    uint32_t relays_done, relays_failed; /* in relay_hour */
    uint32_t relay_hour;
    uint32_t answer_free; /* bit i: chunk i is free */
    uint8_t agent_class;
    uint8_t kept_next, seen_next;
    bool joined, bus_up, starved;    /* starved: the outbox was short of room in this step */
    uint64_t seen[AGENT_SEEN_MAX];   /* low id bits, outcome and reason in the last 16 */
    int64_t seen_ms[AGENT_SEEN_MAX]; /* when they were created: mesh time of their ids */
    int64_t forgotten_ms;            /* the youngest that gave way; 0: none */
    struct kept kept[AGENT_KEPT_MAX];
    struct task tasks[AGENT_TASKS_MAX];
    struct agent_relay relays[AGENT_RELAYS_MAX];
    struct agent_pipeline pipeline;
    uint8_t answers[AGENT_ANSWER_CHUNK * AGENT_ANSWER_CHUNKS];
};

/* agent.c */
int64_t agent_mesh(const struct agent *a, int64_t now_us);
/* Sends to the lead. False when the outbox is short of room (then `starved` is set). */
bool agent_send(struct agent *a, struct outbox *out, struct msg *msg);
void agent_note(struct outbox *out, enum note note, uint64_t x, uint64_t y); /* when room */

/* agent_work.c */
void work_operate(struct agent *a, int64_t now_us, const struct msg *msg, struct outbox *out);
void work_relayed(struct agent *a, int64_t now_us, const struct msg *msg, struct outbox *out);
void work_cancel(struct agent *a, const struct cancel *cancel);
void work_reply(struct agent *a, int64_t now_us, const struct work_reply *reply,
                struct outbox *out);
/* What is due; returns the next local time that matters. */
int64_t work_tick(struct agent *a, int64_t now_us, struct outbox *out);
uint32_t work_queue_depth(const struct agent *a);

/* agent_ack.c: acknowledgements, what is kept of them, and the answer pool. */
void ack_init(struct agent *a);
struct agent_answer ack_answer_put(struct agent *a, const uint8_t *bytes, uint32_t count);
void ack_answer_free(struct agent *a, struct agent_answer answer);
bool ack_pending(struct agent *a, int64_t now_us, struct task *t, struct outbox *out);
/* The one final acknowledgement of a task. False: no room yet. answer: NULL takes the task's own.
 */
bool ack_final(struct agent *a, int64_t now_us, struct task *t, int64_t release_mesh_us,
               const uint8_t *answer, uint32_t answer_bytes, const struct conflict_detail *conflict,
               struct outbox *out);
/* Repeats the acknowledgement when the operation was finished before. False: it was not. */
bool ack_repeat(struct agent *a, int64_t now_us, struct id128 id, const struct msg *msg,
                struct outbox *out);
void ack_refuse(struct agent *a, int64_t now_us, const struct msg *msg,
                const struct operation *operation, enum reason reason, struct outbox *out);

/* agent_relay.c */
void relay_emit(struct agent *a, int64_t now_us, const struct operation *emit,
                struct id128 causation, struct outbox *out);
void relay_acked(struct agent *a, int64_t now_us, const struct relay_ack *ack, struct outbox *out);
int64_t relay_tick(struct agent *a, int64_t now_us, struct outbox *out);

#endif
