/* Programs as handlers: the payload on stdin, the answer on stdout, stderr and the exit code kept.
 *
 * A program is the leader of a session of its own and has limits of its own, so that whatever it
 * does costs only itself. It is ended, with its whole process group, when its time is over, when it
 * writes more than its action allows, when it has more processes than allowed, and when it exits
 * while others of its group still run. What left the group (a daemon) becomes a child of this
 * process, which is a subreaper: reaper.c finds and ends it.
 *
 *   exit 0               READY, stdout
 *   exit conflict_exit   CONFLICT (77), stdout is the received value
 *   any other exit       FAILED, "exit 3: " and the end of stderr
 *   a signal             FAILED, "killed by signal 9"
 *
 * The environment is small and clean: PATH, HOME, LANG and MESH_OPERATION, MESH_AGENT, MESH_CLASS,
 * MESH_ACTION, MESH_TIMEOUT_MS, TRACEPARENT. No shell is involved.
 *
 * A thread of libuv's pool starts it (launch.h): until a program has been executed its starter
 * waits for the scheduler, on a machine at work for many milliseconds, which neither the loop nor
 * the programs that come after it should. */
#include "tiers/work/exec.h"
#include "core/commands.h"
#include "core/num.h"
#include "tiers/runner/clock.h"
#include "tiers/work/launch.h"
#include <assert.h>
#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define STDERR_KEPT 600u /* its last bytes */
#define DRAIN_MS    500u /* for what lies in the pipes once the program has ended */

struct start {
    struct launch launch;
    int error; /* of launch() */
    char words_room[ACTION_TEXT_MAX + 2 * ACTION_WORDS_MAX];
    char env_room[ENV_COUNT][ENV_SIZE];
    char *args[COMMAND_WORDS_MAX + 1], *env[ENV_COUNT + 1];
};

static void hold(struct exec *x)
{
    x->handles++;
    job_hold(x->job);
}

static void let_go(struct exec *x)
{
    struct job *job = x->job;
    if (--x->handles == 0) {
        bytes_done(&x->errors);
        free(x->start);
        free(x);
        job->own = NULL;
    }
    job_release(job);
}

static void on_closed(uv_handle_t *handle)
{
    let_go(handle->data);
}

static void on_process_closed(uv_handle_t *handle)
{
    struct exec *x = handle->data;
    (void)close(x->pidfd);
    let_go(x);
}

static void close_pipe(uv_pipe_t *pipe)
{
    if (pipe->loop != NULL && !uv_is_closing((uv_handle_t *)pipe)) {
        uv_close((uv_handle_t *)pipe, on_closed);
    }
}

static void close_process(struct exec *x)
{
    if (x->process_open) {
        x->process_open = false;
        uv_close((uv_handle_t *)&x->process, on_process_closed);
    }
}

void exec_kill(struct exec *x)
{
    if (x->pid > 0) {
        (void)kill(-x->pid, SIGKILL); /* the group; an error means that it is empty */
    }
}

/* ---- the end ---- */

static void say_errors(const struct exec *x, const char *how)
{
    const uint8_t *at = x->errors.at;
    size_t count = x->errors.count;
    while (count > 0 && (at[count - 1] == '\n' || at[count - 1] == ' ')) {
        count--;
    }
    if (count > STDERR_KEPT) {
        at += count - STDERR_KEPT;
        count = STDERR_KEPT;
    }
    job_fail(x->job, "%s%s%.*s", how, count > 0 ? ": " : "", (int)count,
             at != NULL ? (const char *)at : "");
}

static void finish(struct exec *x)
{
    const struct action *a = x->job->lane->action;
    char how[64];
    if (x->job->over) {
        return;
    }
    if (x->signal != 0) {
        (void)snprintf(how, sizeof(how), "killed by signal %d (%s)", x->signal,
                       strsignal(x->signal));
        say_errors(x, how);
    } else if (x->status == 0) {
        job_ready(x->job);
    } else if (x->status == (int)a->conflict_exit) {
        job_conflict(x->job, x->job->answer.at, x->job->answer.count);
    } else {
        (void)snprintf(how, sizeof(how), "exit %d", x->status);
        say_errors(x, how);
    }
}

static void maybe_finish(struct exec *x)
{
    if (x->exited && !x->out_open && !x->err_open) {
        finish(x);
    }
}

static void on_ended(uv_poll_t *process, int status, int events)
{
    struct exec *x = process->data;
    int how = 0;
    (void)status;
    (void)events;
    pid_t pid = waitpid(x->pid, &how, WNOHANG);
    if (pid == 0 || (pid < 0 && errno == EINTR)) {
        return;
    }
    x->exited = true;
    x->status = WIFEXITED(how) ? WEXITSTATUS(how) : 0;
    x->signal = pid < 0            ? SIGKILL
                : WIFSIGNALED(how) ? WTERMSIG(how)
                                   : 0; /* unknown is no success */
    exec_kill(x);                       /* what it left in its group holds its pipes open, too */
    x->pid = 0;
    reaper_soon(x->reaper);
    exec_unlink(x);
    close_process(x);
    if (!x->job->over) {
        job_wake(x->job, DRAIN_MS);
        maybe_finish(x);
    }
}

/* ---- pipes ---- */

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *ret)
{
    static char room[65536]; /* one loop thread; libuv reads into it and calls back at once */
    (void)handle;
    (void)wanted;
    *ret = uv_buf_init(room, sizeof(room));
}

/* The end of what it has written is its word about where it stands: passed on that often at most,
 * and the last word always. */
static void say(struct exec *x, const struct bytes *from)
{
    int64_t now_us = clock_boot_us();
    int64_t wait_us = x->progress_us + PROGRESS_US - now_us;
    if (x->exited) {
        return;
    }
    x->word = from;
    if (wait_us > 0) {
        job_wake(x->job, (uint64_t)wait_us / US_PER_MS + 1u);
        return;
    }
    size_t count = from->count < ANSWER_BYTES_MAX ? from->count : ANSWER_BYTES_MAX;
    x->progress_us = now_us;
    x->word = NULL;
    job_progress(x->job, from->at + from->count - count, count);
}

static void exec_wake(struct job *job)
{
    struct exec *x = job->own;
    if (x != NULL && x->exited) {
        finish(x); /* somebody outside its group holds a pipe: what came is the answer */
    } else if (x != NULL && x->word != NULL && !job->over) {
        say(x, x->word);
    }
}

static void on_out(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct exec *x = stream->data;
    const struct action *a = x->job->lane->action;
    if (count < 0) {
        x->out_open = false;
        close_pipe((uv_pipe_t *)stream);
        maybe_finish(x);
        return;
    }
    if (x->job->over) {
        return;
    }
    if (!bytes_add(&x->job->answer, buf->base, (size_t)count, a->output_bytes_max)) {
        exec_kill(x);
        job_fail(x->job, "wrote more than %u KiB (output_max) and was ended",
                 a->output_bytes_max >> 10);
        return;
    }
    if (count > 0) {
        say(x, &x->job->answer);
    }
}

static void on_err(uv_stream_t *stream, ssize_t count, const uv_buf_t *buf)
{
    struct exec *x = stream->data;
    struct bytes *e = &x->errors;
    if (count < 0) {
        x->err_open = false;
        close_pipe((uv_pipe_t *)stream);
        maybe_finish(x);
        return;
    }
    size_t n = (size_t)count;
    const char *at = buf->base;
    if (n > STDERR_KEPT) {
        at += n - STDERR_KEPT;
        n = STDERR_KEPT;
    }
    if (e->count + n > 2 * STDERR_KEPT) { /* keep its end */
        memmove(e->at, e->at + e->count - STDERR_KEPT, STDERR_KEPT);
        e->count = STDERR_KEPT;
    }
    (void)bytes_add(e, at, n, 2 * STDERR_KEPT);
    if (!x->job->over) {
        say(x, e);
    }
}

static void on_written(uv_write_t *request, int status)
{
    struct exec *x = request->data;
    (void)status; /* a program need not read its stdin */
    close_pipe(&x->in);
}

/* ---- the start ---- */

static void limits_of(const struct action *a, struct launch *l)
{
    const struct launch_limit wanted[] = {{RLIMIT_AS, a->memory_bytes},
                                          {RLIMIT_FSIZE, a->file_bytes},
                                          {RLIMIT_CPU, a->cpu_s},
                                          {RLIMIT_NOFILE, a->files}};
    for (size_t i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
        if (wanted[i].value > 0) {
            l->limits[l->limit_count++] = wanted[i];
        }
    }
    l->limits[l->limit_count++] = (struct launch_limit){RLIMIT_CORE, 0};
}

static void environment(const struct job *job, struct start *s)
{
    char id[ID128_TEXT_MAX], place[UNIT_TEXT_MAX];
    num_id128_format(job->operation, id);
    (void)unit_format(job->unit, place);
    const char *path = getenv("PATH");
    int n = 0;
    int64_t left_us = job->deadline_us - clock_boot_us();
#define PUT(...) (void)snprintf(s->env_room[n++], ENV_SIZE, __VA_ARGS__)
    PUT("PATH=%s", path != NULL && strlen(path) < ENV_SIZE - 8 ? path : "/usr/bin:/bin");
    PUT("HOME=/");
    PUT("LANG=C.UTF-8");
    PUT("MESH_OPERATION=%s", id);
    PUT("MESH_AGENT=%s", place);
    PUT("MESH_CLASS=%s", class_name(job->agent_class));
    PUT("MESH_ACTION=%s", job->lane->action->name);
    PUT("MESH_TIMEOUT_MS=%lld", (long long)(left_us > 0 ? left_us / US_PER_MS : 0));
    work_traceparent(job, s->env_room[n] + sizeof("TRACEPARENT=") - 1);
    memcpy(s->env_room[n++], "TRACEPARENT=", sizeof("TRACEPARENT=") - 1);
#undef PUT
    assert(n == ENV_COUNT);
    for (int i = 0; i < n; i++) {
        s->env[i] = s->env_room[i];
    }
}

static bool user_of(const struct action *a, struct launch *l)
{
    if (a->user[0] == '\0') {
        return true;
    }
    const struct passwd *p = getpwnam(a->user);
    if (p == NULL) {
        return false;
    }
    l->as_user = true;
    l->user = p->pw_uid;
    l->group = p->pw_gid;
    return true;
}

/* NULL: `why` says what is missing. */
static struct start *start_new(const struct job *job, char why[ACTION_PROBLEM_SIZE])
{
    const struct action *a = job->lane->action;
    const char *words[COMMAND_WORDS_MAX + 1], *problem = NULL;
    size_t count = 0;
    struct start *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        (void)snprintf(why, ACTION_PROBLEM_SIZE, "no memory");
        return NULL;
    }
    bool good =
        command_split(a->program, s->words_room, sizeof(s->words_room), words, &count, &problem);
    assert(good && count > 0); /* checked when the file was read */
    (void)good;
    for (size_t i = 0; i < count; i++) {
        s->args[i] = s->words_room + (words[i] - s->words_room);
    }
    environment(job, s);
    s->launch = (struct launch){.file = s->args[0],
                                .args = s->args,
                                .env = s->env,
                                .directory = a->directory[0] != '\0' ? a->directory : "/"};
    limits_of(a, &s->launch);
    if (!user_of(a, &s->launch)) {
        (void)snprintf(why, ACTION_PROBLEM_SIZE, "no user %.64s on this machine", a->user);
        free(s);
        return NULL;
    }
    return s;
}

static void run_start(uv_work_t *work) /* on a thread of the pool */
{
    struct start *s = ((struct exec *)work->data)->start;
    s->error = launch(&s->launch);
}

static void pipe_open(struct exec *x, uv_pipe_t *pipe, int fd)
{
    (void)uv_pipe_init(x->job->lane->crew->loop, pipe, 0);
    pipe->data = x;
    hold(x);
    int error = uv_pipe_open(pipe, fd);
    assert(error == 0); /* a pipe of our own, of the right kind */
    (void)error;
}

/* 0, or what the loop has not got room for: the program is ended again. */
static int attach(struct exec *x, const struct launch *l)
{
    struct job *job = x->job;
    x->pid = l->pid;
    x->pidfd = l->pidfd;
    pipe_open(x, &x->in, l->in);
    pipe_open(x, &x->out, l->out);
    pipe_open(x, &x->err, l->err);
    int error = uv_poll_init(job->lane->crew->loop, &x->process, x->pidfd);
    if (error < 0) {
        exec_kill(x);
        (void)waitpid(x->pid, NULL, 0);
        (void)close(x->pidfd);
        x->pid = 0;
        return error;
    }
    x->process.data = x;
    x->process_open = true;
    hold(x);
    (void)uv_poll_start(&x->process, UV_READABLE, on_ended);
    exec_link(x);
    x->out_open = x->err_open = true;
    (void)uv_read_start((uv_stream_t *)&x->out, on_alloc, on_out);
    (void)uv_read_start((uv_stream_t *)&x->err, on_alloc, on_err);
    x->write.data = x;
    uv_buf_t buf = uv_buf_init((char *)job->payload, job->payload_bytes);
    if (job->payload_bytes == 0 ||
        uv_write(&x->write, (uv_stream_t *)&x->in, &buf, 1, on_written) < 0) {
        close_pipe(&x->in);
    }
    return 0;
}

static void exec_stop(struct job *job);

/* It runs, or cannot. A job that is over by now has it ended at once. */
static void after_start(uv_work_t *work, int status)
{
    struct exec *x = work->data;
    struct job *job = x->job;
    struct start *s = x->start;
    int error = status < 0 ? status : s->error;
    x->start = NULL;
    if (error == 0) {
        error = attach(x, &s->launch);
    }
    x->exited = error < 0;
    if (job->over) {
        exec_stop(job);
    } else if (error < 0) {
        job_fail(job, "'%s' cannot be started: %s", job->lane->action->name, uv_strerror(error));
    }
    free(s);
    let_go(x);
}

static enum reason exec_start(struct job *job, char why[ACTION_PROBLEM_SIZE])
{
    struct start *s = start_new(job, why);
    struct exec *x = s != NULL ? calloc(1, sizeof(*x)) : NULL;
    if (s == NULL) {
        return REASON_HANDLER;
    }
    if (x == NULL) {
        free(s);
        (void)snprintf(why, ACTION_PROBLEM_SIZE, "no memory");
        return REASON_OVERLOAD;
    }
    exec_subreaper();
    x->job = job;
    x->reaper = job->lane->crew->reaper;
    x->start = s;
    x->starts.data = x;
    job->own = x;
    hold(x);
    int error = uv_queue_work(job->lane->crew->loop, &x->starts, run_start, after_start);
    assert(error == 0); /* it fails without a callback only */
    (void)error;
    return REASON_NONE;
}

/* What is still being started is ended when it has been (after_start). The poll of its process
 * stays until the kernel has given the program back. */
static void exec_stop(struct job *job)
{
    struct exec *x = job->own;
    if (x == NULL) {
        return;
    }
    if (x->start != NULL) {
        (void)uv_cancel((uv_req_t *)&x->starts);
        return;
    }
    exec_kill(x);
    close_pipe(&x->in);
    close_pipe(&x->out);
    close_pipe(&x->err);
    if (job->lane->crew->closed && !x->exited) {
        exec_unlink(x);
        close_process(x); /* this process ends, too */
    }
}

const struct job_ops exec_ops = {exec_start, exec_wake, exec_stop};
