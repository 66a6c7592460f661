/* A lead process that is started here because none is left (core/rescue.h; key `rescue`).
 *
 * It is the program mesh-cluster beside this one, for a section of the same configuration file; it
 * brings its own key, and its lease decides whether it serves. One at a time. It ends with this
 * process: told so when this one stops, and by the kernel (`parent_pid`) when it is killed. */
#include "tiers/runner/process_int.h"

#include "tiers/runner/clock.h"
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void process_rescue_start(struct process *p)
{
    rescue_init(&p->rescue, p->conf->seed ^ (uint64_t)p->started_unix_us);
}

void process_announced(void *ctx, struct unit first)
{
    struct process *p = ctx;
    if (first.tier == TIER_CLUSTER) {
        rescue_heard(&p->rescue);
    }
}

static void on_closed(uv_handle_t *handle)
{
    ((struct process *)handle->data)->rescuer_open = false;
}

static void on_exit_of(uv_process_t *child, int64_t status, int number)
{
    struct process *p = child->data;
    log_line(&p->log, LOG_WARNING, "rescue-ended", "process=%s exit=%lld signal=%d",
             p->conf->rescue, (long long)status, number);
    uv_close((uv_handle_t *)child, on_closed);
}

/* mesh-cluster in the directory that this program is in. */
static bool program(char ret[PATH_MAX])
{
    static const char name[] = "mesh-cluster";
    ssize_t bytes = readlink("/proc/self/exe", ret, PATH_MAX - sizeof(name) - 1);
    if (bytes <= 0) {
        return false;
    }
    ret[bytes] = '\0';
    char *slash = strrchr(ret, '/');
    if (slash == NULL) {
        return false;
    }
    memcpy(slash + 1, name, sizeof(name));
    return true;
}

static void spawn(struct process *p)
{
    char path[PATH_MAX], parent[48];
    char config[] = "--config", name[] = "--name";
    if (!program(path)) {
        log_line(&p->log, LOG_ERROR, "rescue-failed", "why=\"/proc/self/exe cannot be read\"");
        return;
    }
    (void)snprintf(parent, sizeof(parent), "--parent_pid=%ld", (long)getpid());
    char *argv[] = {path,   config, p->config.file, name, (char *)(uintptr_t)p->conf->rescue,
                    parent, NULL};
    uv_stdio_container_t io[3] = {
        {.flags = UV_IGNORE}, {.flags = UV_INHERIT_FD}, {.flags = UV_INHERIT_FD}};
    io[1].data.fd = 1;
    io[2].data.fd = 2;
    uv_process_options_t options = {
        .exit_cb = on_exit_of, .file = path, .args = argv, .stdio = io, .stdio_count = 3};
    p->rescuer.data = p;
    p->rescuer_open = true;
    int error = uv_spawn(&p->loop, &p->rescuer, &options);
    if (error < 0) {
        log_line(&p->log, LOG_ERROR, "rescue-failed", "program=%s why=\"%s\"", path,
                 uv_strerror(error));
        uv_close((uv_handle_t *)&p->rescuer, on_closed);
        return;
    }
    log_line(&p->log, LOG_WARNING, "rescue",
             "process=%s pid=%d why=\"no lead process was heard for 35 s\"", p->conf->rescue,
             p->rescuer.pid);
}

void process_rescue_tick(struct process *p, int64_t now_us)
{
    if (p->conf->rescue[0] == '\0' || p->phase != PHASE_SERVING) {
        return;
    }
    if (rescue_tick(&p->rescue, now_us, p->bus_up && !p->bus_quiet) && !p->rescuer_open) {
        spawn(p);
    }
}

/* Another host has started one of this name, too, and that one serves. */
bool process_rescue_surplus(struct process *p, int64_t now_us)
{
    bool waits = p->bus_up && p->lease.state == LEASE_WAITING && p->phase <= PHASE_SERVING;
    for (uint32_t i = 0; i < p->wards.count; i++) {
        waits = waits && !p->ward_list[i].held;
    }
    if (p->conf->parent_pid == 0 || !rescue_surplus(&p->rescue, now_us, waits)) {
        return false;
    }
    log_line(&p->log, LOG_WARNING, "rescue-surplus",
             "why=\"another process of this name has served for 20 s\"");
    return true;
}

void process_rescue_stop(struct process *p)
{
    if (p->rescuer_open && !uv_is_closing((uv_handle_t *)&p->rescuer)) {
        (void)uv_process_kill(&p->rescuer, SIGTERM);
        uv_close((uv_handle_t *)&p->rescuer, on_closed); /* this process does not wait for it */
    }
}

bool process_follow_parent(const struct process_conf *conf)
{
    if (conf->parent_pid == 0) {
        return true;
    }
    /* Asked for first, then looked at: it may have ended before. */
    return prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && (uint32_t)getppid() == conf->parent_pid;
}
