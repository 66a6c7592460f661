/* Programs at work, shared by exec.c and reaper.c. */
#ifndef TIERS_WORK_EXEC_H
#define TIERS_WORK_EXEC_H

#include "tiers/work/work_int.h"
#include <sys/types.h>

#define ENV_COUNT 9
#define ENV_SIZE  1024

struct start; /* what a thread of the pool needs to start it */

struct exec {
    uv_work_t starts;
    uv_poll_t process; /* on its pidfd */
    uv_pipe_t in, out, err;
    struct start *start; /* NULL: has been started, or will never be */
    uv_write_t write;
    struct exec *next, **link; /* in the reaper's list while the program runs */
    struct job *job;
    struct reaper *reaper;
    struct bytes errors;
    pid_t pid; /* = its session and group; 0: not started yet, or has ended */
    int pidfd;
    int status, signal;
    int64_t progress_us;
    const struct bytes *word; /* not passed on yet */
    uint32_t handles;
    uint32_t members; /* processes of its session, when they were last counted */
    bool exited, out_open, err_open, process_open;
};

void exec_subreaper(void);      /* before the first program */
void exec_link(struct exec *x); /* the reaper knows it from here on */
void exec_unlink(struct exec *x);
void exec_kill(struct exec *x); /* the whole group */
void reaper_soon(struct reaper *reaper);

/* W3C: the operation's trace, or the operation as trace; the span is this agent's run. */
void work_traceparent(const struct job *job, char ret[TRACEPARENT_MAX]);

#endif
