/* The life of a process: configuration and keys (faults end it with a clear line), then a loop on
 * which everything comes and goes by itself: the bus, the store, the lease. Nothing is waited for
 * but the lease, so a process that starts before its servers is up when they are.
 *
 * A turn of the loop is on_prepare: verify what came in, run what is due, sign and send what came
 * of it, then sleep until the next timer. Sleeping is a timerfd on the boot clock (microseconds,
 * and suspends count); when something is due already an idle handle keeps the loop from sleeping.
 */
#include "tiers/runner/process.h"

#include "tiers/runner/clock.h"
#include "tiers/runner/harden.h"
#include "tiers/runner/process_int.h"
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TICK_MS      250u
#define BATCH_FRAMES 32u       /* taken in, then what came of them leaves */
#define TURN_FRAMES  2u        /* taken in, then what is due runs */
#define DRAIN_US     500000ll  /* a clean stop lets what was said leave */
#define WAIT_LOG_US  5000000ll /* a standby says so that often */
#define SEALER_JOBS  40000u    /* those of ingress, and egress's few */
#define FILES_WANTED 16384u    /* three pipes for each program at work */

enum { EXIT_CLEAN, EXIT_FAULT, EXIT_WRONG, EXIT_FENCED };

/* ---- stopping ---- */

static void on_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void close_handle(uv_handle_t *handle)
{
    if (!uv_is_closing(handle)) {
        uv_close(handle, on_closed);
    }
}

static void close_all(struct process *p)
{
    p->phase = PHASE_CLOSING;
    if (p->sealer != NULL) {
        sealer_close(p->sealer, NULL, NULL); /* its last frames go out through the bus */
    }
    if (p->store != NULL) {
        redis_store_close(p->store, NULL);
    }
    if (p->sql != NULL) {
        sql_log_close(p->sql);
    }
    if (p->bus != NULL) {
        bus_close(p->bus, NULL, NULL);
    }
    (void)uv_prepare_stop(&p->prepare);
    process_seams_close(p);
    close_handle((uv_handle_t *)&p->prepare);
    close_handle((uv_handle_t *)&p->idle);
    close_handle((uv_handle_t *)&p->timer_poll);
    close_handle((uv_handle_t *)&p->tick);
    close_handle((uv_handle_t *)&p->signals[0]);
    close_handle((uv_handle_t *)&p->signals[1]);
    close_handle((uv_handle_t *)&p->signals[2]);
}

static void stop(struct process *p, int exit_code)
{
    if (p->phase >= PHASE_STOPPING) {
        return;
    }
    bool served = p->phase == PHASE_SERVING;
    struct store_op op;
    p->phase = PHASE_STOPPING;
    p->exit_code = exit_code;
    p->stop_us = clock_boot_us();
    notify_stopping(&p->notify);
    if (served && exit_code == EXIT_CLEAN) {
        runner_goodbye(p->runner);
        egress_flush_all(p->egress);
    }
    if (lease_release(&p->lease, &op)) {
        (void)redis_store_submit(p->store, &op, PROCESS_LEASE_TAG);
    }
    process_wards_release(p);
    process_rescue_stop(p);
    process_seams_stop(p);
    log_line(&p->log, LOG_INFO, "stopping", "exit=%d", exit_code);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct process *p = handle->data;
    if (p->phase >= PHASE_STOPPING) {
        if (number == SIGHUP) {
            return;
        }
        log_line(&p->log, LOG_WARNING, "stopped-at-once", "signal=%d", number);
        _exit(128 + number);
    }
    if (number == SIGHUP) {
        process_reload(p);
        return;
    }
    stop(p, EXIT_CLEAN);
}

/* ---- what arrives ---- */

/* Waiting for its own name, while nobody of another name is known to have its units: another
 * process of this very name may live. Peers listen to the latest session of a name only, so one
 * word from here would silence that one: this process says nothing, and hears only what needs no
 * answer. */
static bool is_mute(const struct process *p)
{
    const struct lease *l = &p->lease;
    if (p->phase >= PHASE_STOPPING || (l->state != LEASE_ASKING && l->state != LEASE_WAITING)) {
        return false;
    }
    const struct directory_entry *e =
        p->first_unit.tier != TIER_NONE ? directory_find(&p->directory, p->first_unit) : NULL;
    return e == NULL || e->epoch == 0 || e->endpoint == p->own_endpoint;
}

/* Whether nodes may be stepped and messages taken in. A process that stood still (suspended, or
 * without a processor) first asks whether its units are still its own. */
bool process_may_serve(struct process *p)
{
    int64_t now_us = clock_boot_us();
    if (now_us - p->alive_us > LEASE_PAUSE_US) {
        log_line(&p->log, LOG_WARNING, "paused", "ms=%" PRId64, (now_us - p->alive_us) / US_PER_MS);
        lease_paused(&p->lease, now_us);
        wards_paused(&p->wards, now_us);
    }
    p->alive_us = now_us;
    return p->phase == PHASE_SERVING && !lease_doubted(&p->lease) && !wards_doubt(&p->wards) &&
           !p->mute && !is_mute(p);
}

/* Tells the units how a link is now; those in doubt when they may serve again. */
static void tell_link(struct process *p, enum link which)
{
    bool up = which == LINK_BUS     ? p->bus_up && !p->bus_quiet
              : which == LINK_STORE ? p->banks_up[STORE_BANK_REGISTRY]
                                    : p->banks_up[STORE_BANK_DURABLE];
    if (p->runner == NULL || p->phase != PHASE_SERVING) {
        return;
    }
    p->link_late[which] = !process_may_serve(p);
    if (!p->link_late[which]) {
        runner_link(p->runner, which, up);
    }
}

static void on_frame(void *ctx, struct bus_frame *frame)
{
    struct process *p = ctx;
    bool heard = is_mute(p) ? endpoint_is_broadcast(&frame->route.destination)
                            : process_may_serve(p) || p->phase == PHASE_LEASE;
    if (heard) {
        ingress_frame(p->ingress, frame);
    }
}

static void on_bus_link(void *ctx, bool up, const char *why)
{
    struct process *p = ctx;
    char text[160];
    log_clean(why, text, sizeof(text));
    log_line(&p->log, up ? LOG_INFO : LOG_WARNING, up ? "bus-up" : "bus-down", "why=\"%s\"", text);
    p->bus_up = up;
    p->bus_quiet = false;
    p->announce = up;
    tell_link(p, LINK_BUS);
}

static void on_store_link(void *ctx, enum store_bank bank, bool up, const char *why)
{
    static const char *const banks[] = {"registry", "durable", "blob"};
    struct process *p = ctx;
    char text[160];
    log_clean(why, text, sizeof(text));
    if (up) {
        log_line(&p->log, LOG_INFO, "store-up", "bank=%s why=\"%s\"", banks[bank], text);
    } else {
        process_store_down(p, bank, banks[bank], text);
    }
    p->banks_up[bank] = up;
    if (bank != STORE_BANK_BLOB) {
        tell_link(p, bank == STORE_BANK_REGISTRY ? LINK_STORE : LINK_DURABLE);
    }
}

static void on_store_reply(void *ctx, void *tag, const struct store_reply *reply)
{
    struct process *p = ctx;
    if (tag == process_alarm_tag()) {
        p->alarm_rows_dropped += reply->verdict == STORE_OK ? 0 : 1;
    } else if (tag == PROCESS_LEASE_TAG) {
        lease_reply(&p->lease, clock_boot_us(), reply);
    } else if (!process_ward_reply(p, tag, reply) && process_may_serve(p)) {
        runner_store_reply(p->runner, tag, reply);
    }
}

static void on_log_link(void *ctx, bool up, const char *why)
{
    struct process *p = ctx;
    char text[256];
    log_clean(why, text, sizeof(text));
    log_line(&p->log, up ? LOG_INFO : LOG_WARNING, up ? "log-up" : "log-down", "why=\"%s\"", text);
}

static void on_message(void *ctx, const struct msg *msg)
{
    struct process *p = ctx;
    if (process_may_serve(p)) {
        runner_message(p->runner, msg);
    }
}

static void on_frame_done(void *ctx)
{
    struct process *p = ctx;
    /* What agents do at once is due as soon as they hear of it: run it while their state is near,
     * not when a hundred frames have pushed it out of the caches and back into its packed form. */
    if (++p->frames_in_batch % TURN_FRAMES == 0 && process_may_serve(p)) {
        runner_turn(p->runner);
    }
    if (p->frames_in_batch >= BATCH_FRAMES) {
        p->frames_in_batch = 0;
        egress_flush(p->egress);
        bus_flush(p->bus);
    }
}

/* What process_contradict() has said is on its way; frames may be signed on another thread. */
static bool contradicts(const struct process *p)
{
    return p->contradicted_us != 0 && clock_boot_us() - p->contradicted_us < US_PER_S;
}

static bool on_publish(void *ctx, const struct route *route, const uint8_t *bytes, size_t length)
{
    struct process *p = ctx;
    bool said = contradicts(p) && strcmp(route->destination.token, p->conf->name) == 0;
    bool silent = is_mute(p) && !said;
    return p->bus != NULL && !silent && bus_publish(p->bus, route, bytes, length) == BUS_OK;
}

/* ---- the loop ---- */

static void arm(struct process *p, int64_t due_us)
{
    if (due_us == p->armed_us) {
        return;
    }
    p->armed_us = due_us;
    struct itimerspec spec = {{0, 0}, {0, 0}};
    if (due_us != NEVER) {
        int64_t at = due_us > 0 ? due_us : 1;
        spec.it_value.tv_sec = at / US_PER_S;
        spec.it_value.tv_nsec = at % US_PER_S * 1000;
    }
    (void)timerfd_settime(p->timer_fd, TFD_TIMER_ABSTIME, &spec, NULL);
}

static void on_timer_fd(uv_poll_t *handle, int status, int events)
{
    struct process *p = handle->data;
    uint64_t count;
    (void)status;
    (void)events;
    if (read(p->timer_fd, &count, sizeof(count)) == (ssize_t)sizeof(count)) {
        p->armed_us = NEVER; /* it has fired; on_prepare arms the next */
    }
}

static void on_idle(uv_idle_t *handle)
{
    (void)handle; /* its being active keeps the loop from sleeping */
}

static void on_prepare(uv_prepare_t *handle)
{
    struct process *p = handle->data;
    if (p->phase == PHASE_CLOSING) {
        return;
    }
    bool serves = process_may_serve(p);
    ingress_flush(p->ingress);
    if (serves) {
        for (unsigned l = 0; l < LINK_COUNT; l++) {
            if (p->link_late[l]) {
                tell_link(p, (enum link)l);
            }
        }
        runner_turn(p->runner);
    }
    egress_flush(p->egress);
    bus_flush(p->bus); /* without threads frames leave here, after the bus's own turn to write */
    p->frames_in_batch = 0;
    int64_t next_us = serves ? runner_next_us(p->runner) : NEVER;
    int64_t egress_us = egress_next_us(p->egress);
    next_us = egress_us < next_us ? egress_us : next_us;
    if (next_us <= clock_boot_us()) {
        (void)uv_idle_start(&p->idle, on_idle);
        return;
    }
    (void)uv_idle_stop(&p->idle);
    arm(p, next_us);
}

/* Another process serves the units of this name, or may: step down, and stand by for them. Agents
 * cannot be served by a process of another name: the newer one of this name goes on. */
static void lost(struct process *p, int64_t now_us)
{
    log_line(&p->log, p->lease.taken ? LOG_ERROR : LOG_WARNING, "fenced",
             "why=\"%s\" epoch=%" PRIu64, process_fenced_why(p), p->lease.epoch);
    if (p->conf->role == PROCESS_AGENT || p->conf->role == PROCESS_SIM) {
        stop(p, EXIT_FENCED);
        return;
    }
    process_drop(p, p->conf);
    p->owns = false;
    lease_stand_by(&p->lease, now_us);
}

static void tick_lease(struct process *p, int64_t now_us)
{
    struct store_op op;
    bool up = p->banks_up[STORE_BANK_DURABLE];
    process_wards_epoch(p);
    if (lease_tick(&p->lease, now_us, up, &op)) {
        (void)redis_store_submit(p->store, &op, PROCESS_LEASE_TAG);
    }
    bool holds = p->lease.state == LEASE_HELD;
    if (holds && !p->held) {
        egress_renew(p->egress); /* whoever spoke under this name before: now its session is ours */
    }
    p->held = holds;
    if (p->lease.state == LEASE_LOST) {
        lost(p, now_us);
    } else if (p->lease.state == LEASE_WAITING && (p->lease.taken || !up) &&
               now_us - p->waited_us > WAIT_LOG_US) {
        p->waited_us = now_us;
        log_line(&p->log, LOG_WARNING, "standby", "why=\"%s\"",
                 p->lease.taken
                     ? "another process holds the lease of this name; waiting until it expires"
                     : "the durable Redis is to say whose the lease of this name is");
    }
    if (p->phase <= PHASE_SERVING && !p->owns && lease_serves(&p->lease) && !process_serve(p)) {
        stop(p, EXIT_FAULT);
    }
}

/* Who may speak again after it had to be silent does so in a session of its own: peers may have
 * heard another of this name meanwhile. What it holds for others was not renewed until now. */
static void tick_voice(struct process *p, int64_t now_us)
{
    bool mute = is_mute(p);
    if (p->mute && !mute) {
        wards_silenced(&p->wards, now_us);
        if (!p->owns) {
            egress_renew(p->egress);
        }
    }
    p->mute = mute;
}

void process_announce(struct process *p, const struct process_conf *c, uint64_t epoch,
                      uint32_t endpoint)
{
    size_t bytes = announce_encode(&p->config, c, epoch, p->announcement);
    if (bytes > 0) {
        (void)egress_record(p->egress, 0, endpoint, p->announcement, bytes);
    }
}

static void tick_announce(struct process *p, int64_t now_us)
{
    bool due = now_us - p->announced_us >= ANNOUNCE_EVERY_US;
    if (p->phase != PHASE_SERVING || !p->bus_up || (!p->announce && !p->ask && !due)) {
        return;
    }
    bool first = p->announced_us == 0;
    p->announce = false;
    p->announced_us = now_us;
    p->trust_tell = p->trust_tell || p->conf->role == PROCESS_ORCHESTRATOR;
    p->exclude_tell = true; /* by whom the orchestrator runs at */
    if (p->owns) {
        process_announce(p, p->conf, p->lease.epoch, p->everyone);
    }
    for (uint32_t i = 0; i < p->wards.count; i++) {
        if (p->ward_list[i].held) {
            process_announce(p, p->ward_of[i].conf, p->ward_list[i].lease.epoch, p->everyone);
        }
    }
    if (first || p->ask) {
        p->ask = false;
        const uint8_t ask = RECORD_ASK;
        (void)egress_record(p->egress, 0, p->everyone, &ask, 1);
    }
}

/* A bus that stands still is a bus that is away, long before the link is given up: nobody is judged
 * by its silence. */
static void tick_bus(struct process *p)
{
    bool quiet = p->bus_up && bus_is_stalled(p->bus);
    if (quiet == p->bus_quiet) {
        return;
    }
    p->bus_quiet = quiet;
    log_line(&p->log, LOG_WARNING, quiet ? "bus-stalled" : "bus-answers", "why=\"%s\"",
             quiet ? "nothing comes back from the server" : "it goes on");
    tell_link(p, LINK_BUS);
}

static void on_tick(uv_timer_t *handle)
{
    struct process *p = handle->data;
    int64_t now_us = clock_boot_us();
    if (p->phase == PHASE_STOPPING) {
        if (now_us - p->stop_us >= DRAIN_US) {
            close_all(p);
        }
        return;
    }
    (void)process_may_serve(p);
    tick_bus(p);
    if (!process_trust_tick(p)) {
        stop(p, EXIT_FAULT);
        return;
    }
    process_keys_tick(p);
    process_store_tick(p, now_us);
    process_clock_tick(p, now_us);
    tick_lease(p, now_us);
    tick_voice(p, now_us);
    if (p->phase <= PHASE_SERVING && !p->mute) {
        process_wards_tick(p, now_us);
    }
    tick_announce(p, now_us);
    if (p->runner != NULL && p->phase == PHASE_SERVING) {
        runner_clock(p->runner);
    }
    process_contradict(p);
    process_exclude_tick(p);
    process_alarm_tick(p);
    process_rescue_tick(p, now_us);
    if (process_rescue_surplus(p, now_us)) {
        stop(p, EXIT_CLEAN);
    }
    opcache_expire(p->opcache, clock_unix_us());
    process_metrics(p);
    notify_tick(&p->notify, now_us, process_is_ready(p), process_status(p));
}

/* ---- starting ---- */

/* The log in SQL: only orchestrators write to it. */
static bool start_log(struct process *p)
{
    const char *url = p->config.log_url;
    if (p->conf->role != PROCESS_ORCHESTRATOR) {
        return true;
    }
    if (url[0] == '\0') {
        log_line(&p->log, LOG_WARNING, "no-log",
                 "why=\"log_url is not set: conflicts and commands are not recorded\"");
        return true;
    }
    const struct sql_log_conf conf = {.url = url};
    int error = sql_log_new(&p->loop, &conf, on_store_reply, on_log_link, p, &p->sql);
    if (error < 0) {
        const char *why = sql_log_url_problem(url);
        log_line(&p->log, LOG_ERROR, "log-failed", "key=log_url why=\"%s\"",
                 why != NULL ? why : strerror(-error));
    }
    return error >= 0;
}

static bool start_links(struct process *p)
{
    int error = process_start_store(p, on_store_reply, on_store_link);
    if (error < 0) {
        const char *why = redis_store_url_problem(p->config.registry_url);
        log_line(&p->log, LOG_ERROR, "store-failed", "why=\"%s\"",
                 why != NULL ? why : strerror(-error));
        return false;
    }
    struct bus_config bus = {.loop = &p->loop,
                             .url = p->config.nats_url,
                             .token = p->conf->name,
                             .keys_dir = config_has_tls(&p->config) ? p->config.keys_dir : NULL,
                             .on_frame = on_frame,
                             .on_link = on_bus_link,
                             .ctx = p};
    if (p->conf->role != PROCESS_AGENT && p->conf->role != PROCESS_SIM) {
        bus.on_service = process_service;
    }
    error = bus_new(&bus, &p->bus);
    if (error < 0) {
        log_line(&p->log, LOG_ERROR, "bus-failed", "url=%s why=\"%s\"", p->config.nats_url,
                 strerror(-error));
        return false;
    }
    return true;
}

static bool start_frames(struct process *p)
{
    struct peers_config peers = {.identity = &p->identity,
                                 .trust = &p->trust.trust,
                                 .port_count = p->port_count,
                                 .accept_sim = p->config.tuning.simulation,
                                 .start_ms = p->started_unix_us / US_PER_MS,
                                 .frames_per_s = RATE_FRAMES_DEFAULT};
    /* Only a proven sender may be held to what comes under its name. */
    peers.bad_per_s = config_has_tls(&p->config) ? RATE_BAD_DEFAULT : 0;
    p->peers = peers_new(&peers);
    unsigned threads = p->conf->crypto_threads;
    bool seals = sealer_new(&p->loop, threads, SEALER_JOBS, &p->sealer) == 0;
    p->codec.topology = &p->config.topology;
    struct opcache_conf ops = {
        .trust = &p->trust.trust, .codec = &p->codec, .identity = &p->identity};
    p->opcache = opcache_new(&ops);
    if (!seals || p->peers == NULL || p->opcache == NULL) {
        return false;
    }
    struct egress_conf out = {.identity = &p->identity,
                              .peers = p->peers,
                              .sealer = p->sealer,
                              .directory = &p->directory,
                              .codec = &p->codec,
                              .opcache = p->opcache,
                              .publish = on_publish,
                              .port_scope = process_port_scope,
                              .ctx = p};
    p->egress = egress_new(&out);
    struct operators_conf who = {.trust = &p->trust.trust,
                                 .mesh = p->identity.mesh,
                                 .policy = (enum operator_policy)p->config.hardware_tokens};
    struct ingress_conf in = {.token = p->conf->name,
                              .peers = p->peers,
                              .sealer = threads > 0 ? p->sealer : NULL,
                              .directory = &p->directory,
                              .codec = &p->codec,
                              .grants = &p->grants,
                              .opcache = p->opcache,
                              .egress = p->egress,
                              .operators = who,
                              .on_msg = on_message,
                              .on_order = process_order,
                              .on_ask = process_asked,
                              .on_bundle = process_bundle,
                              .on_alive = process_alive,
                              .on_stale = process_stale,
                              .on_announced = process_announced,
                              .on_owner = process_owner,
                              .on_alarm = process_alarmed,
                              .on_exclude = process_excluded,
                              .on_frame_done = on_frame_done,
                              .ctx = p};
    p->ingress = p->egress != NULL ? ingress_new(&in) : NULL;
    return p->ingress != NULL;
}

static bool start_directory(struct process *p)
{
    struct unit twice;
    const struct endpoint all = {0};
    if (!directory_init(&p->directory, &p->config.topology) ||
        !grants_init(&p->grants, &p->config.topology)) {
        log_line(&p->log, LOG_ERROR, "no-memory", "what=directory");
        return false;
    }
    if (!directory_bootstrap(&p->directory, &p->config, &twice)) {
        char text[UNIT_TEXT_MAX] = "?";
        if (twice.tier != TIER_NONE) {
            (void)unit_format(twice, text);
        }
        log_line(&p->log, LOG_ERROR, "placement",
                 "file=%s unit=%s why=\"two processes own it, or a process has too many hosts\"",
                 p->config.file, text);
        return false;
    }
    struct endpoint own;
    bool made = endpoint_make(p->conf->name, strlen(p->conf->name), 0, &own);
    p->everyone = directory_endpoint(&p->directory, &all);
    p->own_endpoint = made ? directory_endpoint(&p->directory, &own) : ENDPOINT_NONE;
    return p->everyone != ENDPOINT_NONE && p->own_endpoint != ENDPOINT_NONE;
}

static bool start_handles(struct process *p)
{
    static const int numbers[3] = {SIGTERM, SIGINT, SIGHUP};
    p->armed_us = NEVER;
    p->timer_fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    if (p->timer_fd < 0 || uv_prepare_init(&p->loop, &p->prepare) < 0 ||
        uv_idle_init(&p->loop, &p->idle) < 0 || uv_timer_init(&p->loop, &p->tick) < 0 ||
        uv_poll_init(&p->loop, &p->timer_poll, p->timer_fd) < 0) {
        return false;
    }
    p->prepare.data = p;
    p->idle.data = p;
    p->tick.data = p;
    p->timer_poll.data = p;
    (void)uv_prepare_start(&p->prepare, on_prepare);
    (void)uv_timer_start(&p->tick, on_tick, 1, TICK_MS);
    (void)uv_poll_start(&p->timer_poll, UV_READABLE, on_timer_fd);
    for (int i = 0; i < 3; i++) {
        if (uv_signal_init(&p->loop, &p->signals[i]) < 0) {
            return false;
        }
        p->signals[i].data = p;
        (void)uv_signal_start(&p->signals[i], on_signal, numbers[i]);
    }
    return true;
}

static bool start(struct process *p)
{
    char owner[STORE_KEY_MAX];
    const char *why = notify_start(&p->notify); /* before there are threads */
    if (why != NULL) {
        log_line(&p->log, LOG_WARNING, "notify-failed", "why=\"%s\"", why);
    }
    p->started_us = clock_boot_us();
    p->started_unix_us = clock_unix_us();
    p->alive_us = p->started_us;
    process_rescue_start(p);
    if (p->kind->world != NULL && !p->kind->world(&p->config, p->conf, &p->world, &why)) {
        log_line(&p->log, LOG_ERROR, "world-failed", "why=\"%s\"", why);
        return false;
    }
    /* Keys first: they are the first to use the crypto library, and set it up for all (keys.c). */
    if (!process_start_keys(p) || !process_seams_start(p) || !start_directory(p) ||
        !start_frames(p) || !start_handles(p) || !process_metrics_start(p) || !start_links(p) ||
        !start_log(p)) {
        return false;
    }
    if (p->metrics != NULL) {
        process_metrics(p);
    }
    (void)snprintf(owner, sizeof(owner), "%s:%ld:%llx", p->conf->name, (long)getpid(),
                   (unsigned long long)clock_unix_us());
    lease_init(&p->lease, p->conf->name, owner, (uint64_t)clock_unix_us(), p->started_us);
    if (p->conf->role == PROCESS_AGENT || p->conf->role == PROCESS_SIM)
        lease_alone(&p->lease);
    if (!process_wards_start(p, owner)) {
        return false;
    }
    if (p->config.insecure) {
        log_line(&p->log, LOG_WARNING, "insecure",
                 "why=\"insecure = true: links may be in the clear; for tests on loopback only\"");
    }
    log_line(&p->log, LOG_INFO, "started", "version=%s pid=%ld mesh=\"%s\" config=%s", MESH_VERSION,
             (long)getpid(), p->config.name, p->config.file);
    return true;
}

static void release(struct process *p)
{
    metrics_stop(p->metrics);
    notify_done(&p->notify);
    runner_free(p->runner);
    process_seams_free(p);
    ingress_free(p->ingress);
    egress_free(p->egress);
    opcache_free(p->opcache);
    peers_free(p->peers);
    directory_done(&p->directory);
    grants_done(&p->grants);
    free(p->ports);
    free(p->ward_list);
    free(p->ward_of);
    identity_done(&p->identity);
    if (p->timer_fd >= 0) {
        (void)close(p->timer_fd);
    }
}

static int run(struct process *p)
{
    /* A low default must not stop a start, nor programs that work. */
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0 && files.rlim_cur < FILES_WANTED) {
        files.rlim_cur = files.rlim_max < FILES_WANTED ? files.rlim_max : FILES_WANTED;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (!process_follow_parent(p->conf)) {
        log_line(&p->log, LOG_ERROR, "no-parent", "parent_pid=%u why=\"it is not there\"",
                 p->conf->parent_pid);
        return EXIT_FAULT;
    }
    (void)signal(SIGPIPE, SIG_IGN);
    bool starts_programs = p->conf->role == PROCESS_AGENT || p->conf->role == PROCESS_SIM;
    const char *kept = harden(starts_programs ? HARDEN_HOST : HARDEN_SERVER);
    if (kept != NULL) {
        log_line(&p->log, LOG_WARNING, "not-hardened", "why=\"%s\"", kept);
    }
    if (uv_loop_init(&p->loop) < 0) {
        return EXIT_FAULT;
    }
    if (!start(p)) {
        /* Before the loop ran there is nothing to drain: the system takes everything back. */
        return EXIT_FAULT;
    }
    (void)uv_run(&p->loop, UV_RUN_DEFAULT);
    release(p);
    (void)uv_loop_close(&p->loop);
    bus_library_close();
    log_line(&p->log, LOG_INFO, "stopped", "exit=%d", p->exit_code);
    return p->exit_code;
}

/* ---- the command line ---- */

static void usage(FILE *out, const struct runner_kind *kind)
{
    (void)fprintf(out,
                  "usage: %s --config FILE --name PROCESS [--KEY=VALUE ..]\n\n"
                  "Runs the process [process PROCESS] of FILE, with role = %s.\n\n"
                  "  --config FILE   the configuration of the mesh\n"
                  "  --name PROCESS  which of its processes this is\n"
                  "  --help, -h      this text\n"
                  "  --version, -V   the version\n\n"
                  "Every key below is also a flag (--key=value) and an environment variable\n"
                  "(MESH_KEY). Flags win over the environment, the environment over the file.\n\n",
                  kind->program, process_role_name(kind->role));
    config_usage_keys(out);
}

static int wrong(const struct runner_kind *kind, const char *why)
{
    (void)fprintf(stderr, "%s: %s\n%s: try %s --help\n", kind->program, why, kind->program,
                  kind->program);
    return EXIT_WRONG;
}

int runner_main(int argc, char **argv, const struct runner_kind *kind)
{
    assert(argc > 0 && argv != NULL);
    assert(kind != NULL && kind->program != NULL);
    struct config_options options;
    struct config_error error;
    if (!config_flags(argc, argv, &options, &error)) {
        return wrong(kind, error.text);
    }
    if (options.help || options.version) {
        if (options.help) {
            usage(stdout, kind);
        } else {
            (void)printf("%s %s\n", kind->program, MESH_VERSION);
        }
        return EXIT_CLEAN;
    }
    if (options.file == NULL || options.name == NULL) {
        return wrong(kind, options.file == NULL ? "--config FILE is missing"
                                                : "--name PROCESS is missing");
    }
    struct process *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return EXIT_FAULT;
    }
    int code = EXIT_WRONG;
    p->kind = kind;
    p->timer_fd = -1;
    if (!config_load(&options, argc, argv, &p->config, &error)) {
        (void)fprintf(stderr, "%s: %s\n", kind->program, error.text);
    } else {
        p->conf = config_process(&p->config, options.name);
        log_init(&p->log, p->conf->name, p->config.log_level);
        if (p->conf->role != kind->role) {
            (void)fprintf(stderr,
                          "%s: %s:%" PRIu32 ": [process %s] has role = %s; start it with "
                          "that program\n",
                          kind->program, p->config.file, p->conf->line, p->conf->name,
                          process_role_name(p->conf->role));
        } else {
            code = run(p);
        }
        config_done(&p->config);
    }
    free(p);
    return code;
}
