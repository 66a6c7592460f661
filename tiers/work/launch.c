#include "tiers/work/launch.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define PIPES 3

/* Shared with the child, which runs in this memory until it has executed the program, while the
 * thread that made it sleeps. */
struct child {
    const struct launch *launch;
    int ends[PIPES]; /* its stdin, stdout, stderr */
    pid_t parent;
    volatile int error;
};

static void own_signals(void)
{
    const struct sigaction by_default = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int i = 1; i < NSIG; i++) {
        (void)sigaction(i, &by_default, NULL); /* fails for SIGKILL, SIGSTOP and libc's own two */
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/* By the system calls themselves: libc's functions would have every thread of this process change
 * its user, too. */
static bool own_user(const struct launch *l)
{
    return !l->as_user || (syscall(SYS_setgroups, 0, NULL) == 0 &&
                           syscall(SYS_setgid, l->group) == 0 && syscall(SYS_setuid, l->user) == 0);
}

/* One that is refused is above a limit of this process that holds already. */
static void own_limits(const struct launch *l)
{
    for (unsigned i = 0; i < l->limit_count; i++) {
        const struct rlimit r = {l->limits[i].value, l->limits[i].value};
        (void)prlimit(0, (__rlimit_resource_t)l->limits[i].resource, &r, NULL);
    }
}

/* The program ends with the process that waits for it, also when that is killed: its next life runs
 * the operation anew, and nobody would end this one. After the user, whose change takes it back. */
static bool own_end(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && getppid() == parent;
}

/* In the child: nothing that allocates, locks, or writes to memory that the process still needs. It
 * returns instead of calling _exit, which sanitizers watch. */
static int run(void *at)
{
    struct child *c = at;
    const struct launch *l = c->launch;
    bool good = setsid() >= 0;
    for (int i = 0; i < PIPES; i++) {
        good = good && dup2(c->ends[i], i) == i;
    }
    (void)syscall(SYS_close_range, PIPES, ~0u, 0);
    own_limits(l);
    good = good && chdir(l->directory) == 0 && own_user(l) && own_end(c->parent);
    if (good) {
        own_signals();
        (void)execve(l->file, l->args, l->env);
    }
    c->error = errno != 0 ? errno : EIO;
    return 127;
}

/* Descriptors of pipes never are 0, 1 or 2, also where the process has closed its own. */
static int above_stdio(int fd)
{
    if (fd < 0 || fd >= PIPES) {
        return fd;
    }
    int moved = fcntl(fd, F_DUPFD_CLOEXEC, PIPES);
    (void)close(fd);
    return moved;
}

static void close_all(const int fds[PIPES])
{
    for (int i = 0; i < PIPES; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
}

static bool pipes_open(int own[PIPES], int ends[PIPES])
{
    for (int i = 0; i < PIPES; i++) {
        own[i] = ends[i] = -1;
    }
    for (int i = 0; i < PIPES; i++) {
        int fds[2];
        if (pipe2(fds, O_CLOEXEC) != 0) {
            return false;
        }
        ends[i] = above_stdio(fds[i == 0 ? 0 : 1]);
        own[i] = above_stdio(fds[i == 0 ? 1 : 0]);
        if (ends[i] < 0 || own[i] < 0) {
            return false;
        }
    }
    return true;
}

static int clone_child(struct launch *l, struct child *c)
{
    sigset_t all, before;
    uint8_t *stack = malloc(LAUNCH_STACK_BYTES);
    if (stack == NULL) {
        return -ENOMEM;
    }
    /* A handler of this process must not run in the child, which shares its memory. */
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    int pid = clone(run, stack + LAUNCH_STACK_BYTES, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
                    c, &l->pidfd);
    int error = pid < 0 ? errno : c->error;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    free(stack);
    if (pid >= 0 && error != 0) {
        (void)waitpid(pid, NULL, 0);
        (void)close(l->pidfd);
    }
    l->pid = pid;
    return -error;
}

int launch(struct launch *l)
{
    int own[PIPES];
    struct child c = {.launch = l, .parent = getpid()};
    assert(l->file[0] == '/' && l->directory != NULL && l->limit_count <= LAUNCH_LIMITS_MAX);
    int error = pipes_open(own, c.ends) ? 0 : -errno;
    if (error == 0) {
        error = clone_child(l, &c);
    }
    close_all(c.ends);
    if (error != 0) {
        close_all(own);
        return error;
    }
    l->in = own[0];
    l->out = own[1];
    l->err = own[2];
    return 0;
}
