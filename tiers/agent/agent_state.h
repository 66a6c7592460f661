/* The agent's memory and the seams between its files. About 5.3 KiB: there are 30,000 of them, so
 * every table is small and has a stated behaviour when it is full. */
#ifndef TIERS_AGENT_AGENT_STATE_H
#define TIERS_AGENT_AGENT_STATE_H

#include "core/impedance.h"
#include "core/meshtime.h"
#include "core/node.h"
#include "core/num.h"
#include "core/rng.h"
#include "core/schedule.h"

/* Operations queued, running or held. One more: the lowest priority of the queue is dropped and
 * answered REFUSED (OVERLOAD), or the newcomer is. */
#define AGENT_TASKS_MAX 10u
/* At most once has two lines. Operations of the present lead: a window over their sequence numbers
 * for each priority (limits.h, OPERATE_WINDOW); a number that was taken in, or that is older than
 * the window, never runs again.
 * Agents' messages, and operations from before this lead: the last finished ids, the oldest give
 * way. What is as old as one that gave way cannot be told from it: refused (OVERLOAD).
 * The last few finished have their acknowledgement kept in full; of the others the outcome. */
#define AGENT_KEPT_MAX   8u
#define AGENT_SEEN_MAX   40u
#define AGENT_SEEN_BLOCK 8u /* ids that share one time */
/* Answers that wait for T or are kept for repetition, in chunks. Kept ones give way to waiting
 * ones; a waiting one that does not fit is acknowledged without its bytes. */
#define AGENT_ANSWER_CHUNK  32u
#define AGENT_ANSWER_CHUNKS 32u
/* Messages of its own that wait for answers; one more is refused (NOTE_RELAY_LOST, OVERLOAD). */
#define AGENT_RELAYS_MAX 8u
/* Up to so many answering units a message's answers are told apart; with more, each resend counts
 * afresh. */
#define AGENT_ACKERS_MAX 4u
/* One pipeline at a time, of so many stages; more is refused. */
#define AGENT_STAGES_MAX 8u
/* A message's payload: it must fit an outbox twice, once sealed and once sent. */
#define AGENT_RELAY_PAYLOAD_MAX 16384u
#define AGENT_RELAY_TTL_US      (30ll * US_PER_S) /* when its author gave none */

#define AGENT_PENDING_US 250000ll /* answer later than this: say PENDING first */
#define AGENT_SAY_US     100000ll /* between two words of its handlers */
#define AGENT_AGEING_US  2000000ll
#define AGENT_WORK_GRACE_US                                                                        \
    1000000ll /* a handler that is silent so long past its deadline failed */

enum task_state { TASK_FREE, TASK_QUEUED, TASK_RUNNING, TASK_HELD, TASK_RELEASED, TASK_ANSWER };

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
    int64_t release_mesh_us; /* effect, with hold; 0: not yet, or none */
    int64_t since_us;        /* local: QUEUED when it came, RUNNING when it started */
    int64_t due_us;          /* local: HELD release, RELEASED answer, RUNNING end of patience */
    int64_t pending_us;      /* local: when to say PENDING; NEVER: said, or not wanted */
    uint32_t seq;
    uint32_t took_us;      /* of processing: expected by the lead, measured when it is done */
    uint32_t work;         /* generation of the work's ref; QUEUED: rises with arrival */
    uint32_t ack_delay_us; /* after the release */
    struct agent_answer answer;
    uint8_t state;
    uint8_t priority;
    uint8_t outcome;
    uint8_t reason;
    bool relay, hold, want_answer, want_ack;
    bool cancelled; /* RUNNING: its handler is to be told */
};

struct kept { /* of one of the newest ids in seen[], the ring's index modulo AGENT_KEPT_MAX */
    int64_t received_mesh_us, arrival_mesh_us;
    int64_t release_mesh_us;
    uint32_t seq, processing_us;
    struct agent_answer answer;
    bool relay, late;
};

/* RFC 6479: bit (seq modulo the window) of each number taken in, from top back to
 * top - OPERATE_WINDOW + 1, and of those that ended READY: an acknowledgement that was lost can be
 * said again, without its times and its answer, when the id is long forgotten. */
struct window {
    uint32_t top; /* the newest; 0: none yet */
    uint32_t unused;
    uint64_t taken[OPERATE_WINDOW / 64u];
    uint64_t ready[OPERATE_WINDOW / 64u];
};

struct agent_relay {
    struct id128 id;
    int64_t expires_mesh_us;
    int64_t resend_us; /* local */
    uint32_t expected; /* answering units: agents, or leads with a broadcast */
    uint32_t answered;
    uint32_t reached, failed; /* agents */
    uint32_t acker[AGENT_ACKERS_MAX];
    uint16_t sent_ms;  /* local, low bits: the first time */
    uint8_t routing;   /* ROUTING_NONE: free */
    uint8_t level : 4; /* doublings of its pause */
    bool again : 1;    /* it was sent more than once */
    bool pipeline : 1;
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
    const char *facts; /* the runner's; NULL: none */
    const struct topology *topology;
    struct rng rng;
    struct meshtime time;
    struct hosttime host;
    struct profiler profiler;
    int64_t beat_us, beat_phase_us;
    int64_t beat_next_us, hello_next_us; /* local; NEVER when not due at all */
    uint8_t handlers_max, running;       /* AGENT_TASKS_MAX at most */
    uint16_t tasks_in;      /* bit i: tasks[i] is not free; steps touch only those rows */
    uint16_t relays_in;     /* bit i: relays[i] is taken */
    uint16_t relays_failed; /* in relay_hour, or more than that */
    uint32_t work_count;
    /* How long the answers to its messages take, and how much that varies (0: not known yet);
     * doublings of their pause since the last one that was answered without being sent again. */
    uint32_t answer_ms : 14, answer_vary_ms : 14, relay_backoff : 3;
    uint32_t relays_done;              /* in relay_hour */
    uint32_t answer_free;              /* bit i: chunk i is free */
    int64_t wake_us;                   /* what the last step asked for */
    uint8_t agent_class : 4, mode : 4; /* the mesh's, as the lead last said */
    uint8_t seen_next;
    uint16_t said_ms;    /* local, low bits: when a handler's word was passed on */
    uint16_t relay_hour; /* local, low bits */
    uint8_t context_s;   /* likewise: when its context was asked for; 0: it is not awaited */
    uint8_t hellos : 3;  /* without an answer, or without a clock after it; 7: that many or more */
    bool spans : 1;      /* the tuning wants them (span.h) */
    bool frozen : 1;     /* no handler starts, no effect is released */
    bool joined : 1, bus_up : 1;
    bool starved : 1; /* the outbox was short of room in this step */
    /* Up to here: all that a step needs that has to do with no operation (agent_light). */
    uint64_t seen[AGENT_SEEN_MAX]; /* low id bits, outcome and reason in the last 16; 0: none */
    /* The youngest of each block of ids, by the mesh time in it. A block counts as forgotten as
     * soon as its first id gives way: the others are still found by their ids. */
    int64_t seen_ms[AGENT_SEEN_MAX / AGENT_SEEN_BLOCK];
    int64_t forgotten_ms;  /* the youngest that gave way; 0: none */
    int64_t lead_since_ms; /* mesh time at which the lead's epoch was first heard; 0: not known */
    struct window windows[PRIORITY_COUNT];
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
void work_ready(struct agent *a, const struct task *t); /* it ended READY: remember that */
void work_cancel(struct agent *a, const struct cancel *cancel);
void work_new_lead(struct agent *a,
                   int64_t now_us); /* its epoch is higher: the windows start anew */
void work_reply(struct agent *a, int64_t now_us, const struct work_reply *reply,
                struct outbox *out);
/* What is due; returns the next local time that matters. */
int64_t work_tick(struct agent *a, int64_t now_us, struct outbox *out);
uint32_t work_queue_depth(const struct agent *a);
void work_done(struct agent *a, struct task *t); /* its row is free again */

/* agent_ack.c: acknowledgements, what is kept of them, and the answer pool. */
void ack_init(struct agent *a);
struct agent_answer ack_answer_put(struct agent *a, const uint8_t *bytes, uint32_t count);
void ack_answer_free(struct agent *a, struct agent_answer answer);
bool ack_pending(struct agent *a, int64_t now_us, struct task *t, struct outbox *out);
/* PENDING with the handler's own word about where it stands: its last line, WORD_BYTES_MAX at most.
 * Words that come sooner than AGENT_SAY_US after one, or find no room, are not passed on. */
void ack_word(struct agent *a, int64_t now_us, struct task *t, const uint8_t *text, uint32_t bytes,
              struct outbox *out);
/* The one final acknowledgement of a task. False: no room yet. answer: NULL takes the task's own.
 */
bool ack_final(struct agent *a, int64_t now_us, struct task *t, int64_t release_mesh_us,
               const uint8_t *answer, uint32_t answer_bytes, const struct conflict_detail *conflict,
               struct outbox *out);
/* Its lead has cancelled it: nothing is said, but its id is remembered. The next lead, which has
 * not heard of the cancellation, may send it once more: it is refused then, and does not run again.
 */
void ack_cancelled(struct agent *a, struct task *t);
/* Repeats the acknowledgement when the operation was finished before. False: it was not. */
bool ack_repeat(struct agent *a, int64_t now_us, struct id128 id, const struct msg *msg,
                struct outbox *out);
/* It was taken in before, and READY or PENDING (received) is all that is known of it. */
void ack_received(struct agent *a, int64_t now_us, const struct msg *msg,
                  const struct operation *operation, uint32_t seq, bool ready, struct outbox *out);
void ack_refuse(struct agent *a, int64_t now_us, const struct msg *msg,
                const struct operation *operation, enum reason reason, struct outbox *out);

/* agent_relay.c */
void relay_emit(struct agent *a, int64_t now_us, const struct operation *emit,
                struct id128 causation, struct outbox *out);
void relay_acked(struct agent *a, int64_t now_us, const struct relay_ack *ack, struct outbox *out);
int64_t relay_tick(struct agent *a, int64_t now_us, struct outbox *out);

#endif
