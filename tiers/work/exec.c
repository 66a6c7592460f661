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
 * MESH_ACTION, MESH_TIMEOUT_MS, TRACEPARENT. No shell is involved. */
#include "tiers/work/exec.h"
#include "core/commands.h"
#include "core/num.h"
#include "tiers/runner/clock.h"
#include <assert.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define STDERR_KEPT 600u   /* its last bytes */
#define DRAIN_MS    500u   /* for what lies in the pipes once the program has ended */
#define PROGRESS_US 250000 /* partial output is passed on that often at most */

static void on_closed(uv_handle_t *handle)
{
    struct exec *x = handle->data;
    struct job *job = x->job;
    if (--x->handles == 0) {
        bytes_done(&x->errors);
        free(x);
        job->own = NULL;
    }
    job_release(job);
}

static void close_one(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, on_closed);
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
    } else if (x->status == (int64_t)a->conflict_exit) {
        job_conflict(x->job, x->job->answer.at, x->job->answer.count);
    } else {
        (void)snprintf(how, sizeof(how), "exit %d", (int)x->status);
        say_errors(x, how);
    }
}

static void maybe_finish(struct exec *x)
{
    if (x->exited && !x->out_open && !x->err_open) {
        finish(x);
    }
}

static void on_ended(uv_process_t *process, int64_t status, int term_signal)
{
    struct exec *x = process->data;
    x->exited = true;
    x->status = status;
    x->signal = term_signal;
    exec_kill(x); /* what it left in its group holds its pipes open, too */
    x->pid = 0;
    reaper_soon(x->reaper);
    exec_unlink(x);
    close_one((uv_handle_t *)process);
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
        close_one((uv_handle_t *)stream);
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
        close_one((uv_handle_t *)stream);
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
    close_one((uv_handle_t *)&x->in);
}

/* ---- the start ---- */

/* Set from here, at once: the program has just been executed and has opened nothing yet. */
static void limit(pid_t pid, const struct action *a)
{
    const struct {
        int resource;
        uint64_t value;
    } limits[] = {{RLIMIT_AS, a->memory_bytes},
                  {RLIMIT_FSIZE, a->file_bytes},
                  {RLIMIT_CPU, a->cpu_s},
                  {RLIMIT_NOFILE, a->files}};
    for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
        struct rlimit r = {limits[i].value, limits[i].value};
        if (limits[i].value > 0) {
            (void)prlimit(pid, (__rlimit_resource_t)limits[i].resource, &r, NULL);
        }
    }
    const struct rlimit no_core = {0, 0};
    (void)prlimit(pid, RLIMIT_CORE, &no_core, NULL);
}

static void environment(const struct job *job, char room[ENV_COUNT][ENV_SIZE], char *ret[])
{
    char id[ID128_TEXT_MAX], place[UNIT_TEXT_MAX];
    num_id128_format(job->operation, id);
    (void)unit_format(job->unit, place);
    const char *path = getenv("PATH");
    int n = 0;
    int64_t left_us = job->deadline_us - clock_boot_us();
#define PUT(...) (void)snprintf(room[n++], ENV_SIZE, __VA_ARGS__)
    PUT("PATH=%s", path != NULL && strlen(path) < ENV_SIZE - 8 ? path : "/usr/bin:/bin");
    PUT("HOME=/");
    PUT("LANG=C.UTF-8");
    PUT("MESH_OPERATION=%s", id);
    PUT("MESH_AGENT=%s", place);
    PUT("MESH_CLASS=%s", class_name(job->agent_class));
    PUT("MESH_ACTION=%s", job->lane->action->name);
    PUT("MESH_TIMEOUT_MS=%lld", (long long)(left_us > 0 ? left_us / US_PER_MS : 0));
    work_traceparent(job, room[n] + sizeof("TRACEPARENT=") - 1);
    memcpy(room[n++], "TRACEPARENT=", sizeof("TRACEPARENT=") - 1);
#undef PUT
    assert(n == ENV_COUNT);
    for (int i = 0; i < n; i++) {
        ret[i] = room[i];
    }
    ret[n] = NULL;
}

static bool user_of(const struct action *a, uv_process_options_t *options)
{
    if (a->user[0] == '\0') {
        return true;
    }
    const struct passwd *p = getpwnam(a->user);
    if (p == NULL) {
        return false;
    }
    options->uid = p->pw_uid;
    options->gid = p->pw_gid;
    options->flags |= UV_PROCESS_SETUID | UV_PROCESS_SETGID;
    return true;
}

static void pipe_open(struct exec *x, uv_pipe_t *pipe)
{
    (void)uv_pipe_init(x->job->lane->crew->loop, pipe, 0);
    pipe->data = x;
    x->handles++;
    job_hold(x->job);
}

static int spawn(struct exec *x, const struct action *a)
{
    static char words_room[ACTION_TEXT_MAX + 2 * ACTION_WORDS_MAX];
    static char env_room[ENV_COUNT][ENV_SIZE];
    const char *words[COMMAND_WORDS_MAX + 1], *why = NULL;
    char *args[COMMAND_WORDS_MAX + 1], *env[ENV_COUNT + 1];
    size_t count = 0;
    bool good = command_split(a->program, words_room, sizeof(words_room), words, &count, &why);
    assert(good && count > 0); /* checked when the file was read */
    (void)good;
    for (size_t i = 0; i < count; i++) {
        args[i] = words_room + (words[i] - words_room);
    }
    args[count] = NULL;
    environment(x->job, env_room, env);
    uv_stdio_container_t stdio[3] = {
        {.flags = UV_CREATE_PIPE | UV_READABLE_PIPE, .data.stream = (uv_stream_t *)&x->in},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&x->out},
        {.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE, .data.stream = (uv_stream_t *)&x->err}};
    uv_process_options_t options = {.exit_cb = on_ended,
                                    .file = args[0],
                                    .args = args,
                                    .env = env,
                                    .cwd = a->directory[0] != '\0' ? a->directory : "/",
                                    .flags = UV_PROCESS_DETACHED, /* setsid() */
                                    .stdio_count = 3,
                                    .stdio = stdio};
    if (!user_of(a, &options)) {
        return UV_EPERM;
    }
    x->process.data = x;
    return uv_spawn(x->job->lane->crew->loop, &x->process, &options);
}

static bool exec_start(struct job *job, char why[ACTION_PROBLEM_SIZE])
{
    struct exec *x = calloc(1, sizeof(*x));
    if (x == NULL) {
        (void)snprintf(why, ACTION_PROBLEM_SIZE, "no memory");
        return false;
    }
    x->job = job;
    x->reaper = job->lane->crew->reaper;
    job->own = x;
    pipe_open(x, &x->in);
    pipe_open(x, &x->out);
    pipe_open(x, &x->err);
    int error = spawn(x, job->lane->action);
    x->handles++; /* uv_spawn has made the handle also when it failed */
    job_hold(job);
    if (error < 0) {
        (void)snprintf(why, ACTION_PROBLEM_SIZE, "%s", uv_strerror(error));
        x->exited = true;
        close_one((uv_handle_t *)&x->process);
        return false; /* exec_stop closes the pipes */
    }
    x->pid = x->process.pid;
    limit(x->pid, job->lane->action);
    exec_link(x);
    x->out_open = x->err_open = true;
    (void)uv_read_start((uv_stream_t *)&x->out, on_alloc, on_out);
    (void)uv_read_start((uv_stream_t *)&x->err, on_alloc, on_err);
    x->write.data = x;
    uv_buf_t buf = uv_buf_init((char *)job->payload, job->payload_bytes);
    if (job->payload_bytes == 0 ||
        uv_write(&x->write, (uv_stream_t *)&x->in, &buf, 1, on_written) < 0) {
        close_one((uv_handle_t *)&x->in);
    }
    return true;
}

/* The process's handle stays until the kernel has given the program back. */
static void exec_stop(struct job *job)
{
    struct exec *x = job->own;
    if (x == NULL) {
        return;
    }
    exec_kill(x);
    close_one((uv_handle_t *)&x->in);
    close_one((uv_handle_t *)&x->out);
    close_one((uv_handle_t *)&x->err);
    if (job->lane->crew->closed && !x->exited) {
        exec_unlink(x);
        close_one((uv_handle_t *)&x->process); /* this process ends, too */
    }
}

const struct job_ops exec_ops = {exec_start, exec_wake, exec_stop};
