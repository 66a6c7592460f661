/* What programs leave behind, and programs that multiply.
 *
 * This process is a subreaper: a process whose parent has ended becomes its child. Such a stray is
 * ended unless it belongs to the session of a program that still runs. Looked for after each end of
 * a program and each second while programs run, in /proc/self/task/PID/children: the kernel gives
 * strays to the first thread of a process. Programs are children of the thread of the pool that has
 * started them, so that one that is just being started is never taken for a stray.
 *
 * A program with more processes than its action allows is ended with all of them. Counting them
 * means reading all of /proc, so that is done only when the machine's number of processes (one
 * sysinfo(2) every 100 ms) has grown by a quarter of that limit since it was last counted. */
#include "tiers/work/exec.h"

#include "core/num.h"
#include <assert.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#define TICK_MS           100u
#define SWEEP_TICKS       10u /* a second */
#define SWEEPS_AFTER      5u  /* after the last program's end */
#define PROCESSES_DEFAULT 256u

struct reaper {
    struct crew *crew;
    struct exec *programs;
    uv_timer_t timer;
    uint32_t ticks, sweeps_left;
    uint32_t counted; /* processes of the machine when they were last counted */
};

static void on_tick(uv_timer_t *timer);

struct reaper *reaper_new(struct crew *crew)
{
    struct reaper *r = calloc(1, sizeof(*r));
    if (r == NULL || uv_timer_init(crew->loop, &r->timer) < 0) {
        free(r);
        return NULL;
    }
    r->crew = crew;
    r->timer.data = r;
    return r;
}

void reaper_close(struct reaper *r)
{
    uv_close((uv_handle_t *)&r->timer, NULL);
}

void reaper_free(struct reaper *r)
{
    free(r);
}

void exec_subreaper(void)
{
    static bool done; /* one loop thread */
    done = done || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0;
}

void exec_link(struct exec *x)
{
    struct reaper *r = x->reaper;
    x->next = r->programs;
    x->link = &r->programs;
    if (x->next != NULL) {
        x->next->link = &x->next;
    }
    r->programs = x;
    reaper_soon(r);
}

void exec_unlink(struct exec *x)
{
    if (x->link != NULL) {
        *x->link = x->next;
        if (x->next != NULL) {
            x->next->link = x->link;
        }
        x->link = NULL;
    }
}

void reaper_soon(struct reaper *r)
{
    r->sweeps_left = SWEEPS_AFTER;
    if (!uv_is_active((uv_handle_t *)&r->timer) && !uv_is_closing((uv_handle_t *)&r->timer)) {
        (void)uv_timer_start(&r->timer, on_tick, TICK_MS, TICK_MS);
    }
}

/* State and session of a process; false: it is gone. */
static bool process_read(pid_t pid, char *ret_state, int *ret_session)
{
    char path[48], text[512];
    (void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return false;
    }
    size_t n = fread(text, 1, sizeof(text) - 1, file);
    (void)fclose(file);
    text[n] = '\0';
    const char *after = strrchr(text, ')'); /* the name may hold anything */
    int parent, group;
    return after != NULL &&
           sscanf(after + 1, " %c %d %d %d", ret_state, &parent, &group, ret_session) == 4;
}

static struct exec *program_of(const struct reaper *r, int session)
{
    struct exec *x = r->programs;
    while (x != NULL && x->pid != session) {
        x = x->next;
    }
    return x;
}

static void stray(struct reaper *r, pid_t pid)
{
    char state = 0;
    int session = 0;
    if (!process_read(pid, &state, &session)) {
        return;
    }
    if (state == 'Z') {
        (void)waitpid(pid, NULL, WNOHANG);
    } else if (program_of(r, session) == NULL) {
        (void)kill(pid, SIGKILL);
        r->crew->stats.strays_killed++;
        r->sweeps_left = SWEEPS_AFTER;
    }
}

static void sweep(struct reaper *r)
{
    char path[64];
    int pid;
    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        return;
    }
    while (fscanf(file, "%d", &pid) == 1) {
        stray(r, pid);
    }
    (void)fclose(file);
}

static void count_all(struct reaper *r)
{
    DIR *proc = opendir("/proc");
    for (struct exec *x = r->programs; x != NULL; x = x->next) {
        x->members = 0;
    }
    if (proc == NULL) {
        return;
    }
    for (struct dirent *d; (d = readdir(proc)) != NULL;) {
        uint64_t pid;
        char state;
        int session;
        if (num_parse_u64(d->d_name, strlen(d->d_name), &pid) &&
            process_read((pid_t)pid, &state, &session)) {
            struct exec *x = program_of(r, session);
            if (x != NULL) {
                x->members++;
            }
        }
    }
    (void)closedir(proc);
    for (struct exec *x = r->programs, *next; x != NULL; x = next) {
        uint32_t most = x->job->lane->action->processes;
        most = most > 0 ? most : PROCESSES_DEFAULT;
        next = x->next;
        if (x->members > most) {
            exec_kill(x);
            job_fail(x->job, "had %u processes, %u are allowed (processes), and was ended",
                     x->members, most);
        }
    }
}

static void watch_number(struct reaper *r)
{
    struct sysinfo info;
    if (r->programs == NULL || sysinfo(&info) != 0) {
        return;
    }
    uint32_t step = PROCESSES_DEFAULT;
    for (const struct exec *x = r->programs; x != NULL; x = x->next) {
        uint32_t most = x->job->lane->action->processes;
        step = most > 0 && most < step ? most : step;
    }
    uint32_t now = info.procs;
    if (r->counted == 0 || now < r->counted) {
        r->counted = now;
    }
    if (now > r->counted + step / 4) {
        r->counted = now;
        count_all(r);
    }
}

static void on_tick(uv_timer_t *timer)
{
    struct reaper *r = timer->data;
    watch_number(r);
    r->ticks++;
    if (r->programs == NULL || r->ticks % SWEEP_TICKS == 0 || r->sweeps_left == SWEEPS_AFTER) {
        r->sweeps_left -= r->sweeps_left > 0 ? 1 : 0;
        sweep(r);
    }
    if (r->programs == NULL && r->sweeps_left == 0) {
        (void)uv_timer_stop(timer);
        r->counted = 0;
    }
}
