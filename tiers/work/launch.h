/* Starting a program from a process that has much memory and no time: nothing of the process is
 * copied (clone(2) with CLONE_VM | CLONE_VFORK, as posix_spawn(3) does), and the caller waits until
 * the program has been executed, so it belongs on a thread of a pool and never on a loop's. Limits
 * and user are set before the program's first instruction. A program is killed when the thread that
 * has started it ends (PR_SET_PDEATHSIG): that thread has to live as long as the process. */
#ifndef TIERS_WORK_LAUNCH_H
#define TIERS_WORK_LAUNCH_H

#include <stdbool.h>
#include <sys/resource.h>
#include <sys/types.h>

#define LAUNCH_LIMITS_MAX  8u
#define LAUNCH_STACK_BYTES 65536u

struct launch_limit {
    int resource;
    rlim_t value; /* soft and hard */
};

struct launch {
    const char *file; /* absolute */
    char *const *args, *const *env;
    const char *directory;
    bool as_user;
    uid_t user;
    gid_t group;
    unsigned limit_count;
    struct launch_limit limits[LAUNCH_LIMITS_MAX];
    /* What came of it. The caller owns the descriptors, which are closed on exec. */
    pid_t pid;        /* it leads a session and a group of this number */
    int pidfd;        /* readable when the program has ended; the caller reaps it */
    int in, out, err; /* this end of its stdin, stdout and stderr */
};

/* 0, or -errno: then there is no program and no descriptor. Any thread. */
int launch(struct launch *launch);

#endif
