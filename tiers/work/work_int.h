/* What the files of the executor share, and nobody else. */
#ifndef TIERS_WORK_WORK_INT_H
#define TIERS_WORK_WORK_INT_H

#include "tiers/web/buffer.h"
#include "tiers/work/work.h"

#define PROGRESS_US 250000 /* partial output is passed on that often at most */

struct job;
struct lane;

struct job_ops {
    /* REASON_NONE: it has begun. Else `why` says what failed, and the reason whether there was no
     * room (OVERLOAD: it may be asked again) or it cannot be (HANDLER). */
    enum reason (*start)(struct job *job, char why[ACTION_PROBLEM_SIZE]);
    /* The job's timer is due before its deadline (job_wake). */
    void (*wake)(struct job *job);
    /* It is over: end what runs and let go. May keep the job (job_hold) until that has happened. */
    void (*stop)(struct job *job);
};

struct job {
    struct job *next, **link; /* in its lane's list: waiting, or running */
    struct lane *lane;
    const struct job_ops *ops;
    void *own; /* of the handler */
    void *run; /* the runner's; not touched once told */
    struct unit unit;
    enum impedance_class agent_class;
    struct id128 operation;
    struct trace_context trace; /* of the operation, and who started it */
    uint8_t priority;
    int64_t begun_us, deadline_us; /* boot clock */
    uint64_t wake_ms;              /* loop time; 0: none */
    uint64_t say_ms;               /* loop time; 0: nothing that waits to be said */
    int64_t said_us;               /* boot clock */
    char media[64];                /* what the answer says it is (Content-Type); "": not said */
    uint32_t holds;                /* handles that still refer to it */
    bool running, told, over;
    uv_timer_t timer;
    struct bytes answer;
    uint32_t payload_bytes;
    uint8_t payload[];
};

/* One action's runs. */
struct lane {
    struct crew *crew;
    const struct action *action;
    uint32_t running, waiting, limit;
    struct job *first, **last; /* waiting, oldest first */
    struct job *active;
    void *own; /* llm: its probe */
};

struct crew {
    struct executor executor; /* first */
    uv_loop_t *loop;
    const struct action_table *table;
    struct executor_host host;
    struct work_stats stats;
    uint32_t lane_count;
    struct lane *lanes;
    struct reaper *reaper;
    struct web *web;
    struct desk *desk;
    uv_timer_t pump;
    uint32_t burst; /* begun in this turn */
    bool closed;
};

/* The one end of a job: tells the runner, unless it was cancelled. */
void job_end(struct job *job, enum outcome verdict, enum reason reason, const void *text,
             size_t count);
void job_fail(struct job *job, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* READY with the job's answer, if that is what the action promises. */
void job_ready(struct job *job);
void job_conflict(struct job *job, const void *received, size_t count);
void job_progress(struct job *job, const void *text, size_t count);
/* The end of the answer so far is the run's word about where it stands: its last line, of a long
 * one the last WORD_BYTES_MAX bytes in whole characters; PROGRESS_US apart at least, and the last
 * word always, unless the run has ended by then. */
void job_say(struct job *job);
/* Calls ops->wake in so many ms, or at the deadline the job ends, whichever is first. */
void job_wake(struct job *job, uint64_t in_ms);
/* A handle that refers to the job: it is freed when the last lets go. */
void job_hold(struct job *job);
void job_release(struct job *job);
void lane_limit(struct lane *lane, uint32_t limit); /* the server's word */

extern const struct job_ops exec_ops, http_ops, llm_ops, review_ops;

/* exec.c: what programs leave behind is found and ended. */
struct reaper *reaper_new(struct crew *crew);
void reaper_close(struct reaper *reaper);
void reaper_free(struct reaper *reaper);

/* llm.c: asks a server how many slots it has. */
void llm_probe(struct lane *lane);
void llm_probe_close(struct lane *lane);

/* review.c */
struct desk *desk_new(struct crew *crew);
void desk_free(struct desk *desk);
bool desk_offers(const char *action);
void desk_command(struct desk *desk, const struct handler_call *call, struct executor_answer *ret);

#endif
