/* What a process counts, as Prometheus text. docs/OPERATIONS.md explains each name. Counters of
 * zero that belong to a long list (refusals, verdicts, notes) are left out, so that a page shows
 * what happened. */
#include "tiers/runner/process_int.h"

#include "core/note.h"
#include "tiers/runner/chat.h"
#include "tiers/runner/host_clock.h"
#include "tiers/runner/service.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void some(struct page *g, const char *name, const char *label, const char *value, uint64_t n)
{
    if (n > 0) {
        page_add(g, name, label, value, n);
    }
}

static uint64_t rss_bytes(void)
{
    unsigned long long size = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL) {
        return 0;
    }
    if (fscanf(file, "%llu %llu", &size, &resident) != 2) {
        resident = 0;
    }
    (void)fclose(file);
    return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void links(struct process *p, struct page *g)
{
    struct bus_stats bus;
    bus_stats(p->bus, &bus);
    struct redis_store_stats store = redis_store_stats(p->store);
    page_add(g, "takeovers_total", NULL, NULL, p->takeovers);
    page_add(g, "bus_up", NULL, NULL, bus.up);
    page_add(g, "bus_connects_total", NULL, NULL, bus.connects);
    page_add(g, "bus_lost_total", NULL, NULL, bus.lost);
    page_add(g, "trust_version", NULL, NULL, p->trust.trust.version);
    page_add(g, "excluded", NULL, NULL, p->trust.trust.excluded.count);
    for (int v = 0; v < TRUST_VERDICT_COUNT; v++) {
        some(g, "trust_bundles_total", "verdict", trust_verdict_name((enum trust_verdict)v),
             p->trust_verdicts[v]);
    }
    page_add(g, "bus_rotations_total", NULL, NULL, bus.rotations);
    page_add(g, "bus_rotations_failed_total", NULL, NULL, bus.rotations_failed);
    page_add(g, "bus_attempts_failed_total", NULL, NULL, bus.attempts_failed);
    page_add(g, "bus_received_total", NULL, NULL, bus.received);
    page_add(g, "bus_received_bytes_total", NULL, NULL, bus.received_bytes);
    page_add(g, "bus_published_total", NULL, NULL, bus.published);
    page_add(g, "bus_published_bytes_total", NULL, NULL, bus.published_bytes);
    page_add_seconds(g, "bus_probe_seconds", (uint64_t)(bus.probe_us > 0 ? bus.probe_us : 0));
    some(g, "bus_dropped_total", "reason", "slow", bus.dropped_slow);
    some(g, "bus_dropped_total", "reason", "subject", bus.dropped_subject);
    some(g, "bus_dropped_total", "reason", "down", bus.refused_down);
    some(g, "bus_dropped_total", "reason", "full", bus.refused_full);
    some(g, "bus_dropped_total", "reason", "failed", bus.refused_failed);
    some(g, "bus_service_answers_total", NULL, NULL, bus.services_answered);
    some(g, "bus_service_refused_total", NULL, NULL, bus.services_refused);
    some(g, "bus_errors_total", NULL, NULL, bus.errors);
    page_add(g, "store_up", "bank", "registry", p->banks_up[STORE_BANK_REGISTRY]);
    page_add(g, "store_up", "bank", "durable", p->banks_up[STORE_BANK_DURABLE]);
    page_add(g, "store_up", "bank", "blob", p->banks_up[STORE_BANK_BLOB]);
    if (p->sql != NULL) {
        struct sql_log_stats sql;
        sql_log_stats(p->sql, &sql);
        page_add(g, "log_up", NULL, NULL, sql.up);
        page_add(g, "log_waiting", NULL, NULL, sql.waiting);
        page_add(g, "log_rows_total", NULL, NULL, sql.rows);
        page_add(g, "log_commits_total", NULL, NULL, sql.groups);
        page_add(g, "log_refused_total", NULL, NULL, sql.refused);
    }
    page_add(g, "store_login_refused", NULL, NULL, process_store_refused(p));
    page_add(g, "store_denied_total", NULL, NULL, store.denied);
    page_add(g, "store_in_flight", NULL, NULL, store.in_flight);
    page_add(g, "store_submitted_total", NULL, NULL, store.submitted);
    page_add(g, "store_losses_total", NULL, NULL, store.losses);
    for (int v = 1; v < STORE_VERDICT_COUNT; v++) {
        some(g, "store_replies_total", "verdict", store_verdict_name((enum store_verdict)v),
             store.verdicts[v]);
    }
}

static void frames(struct process *p, struct page *g)
{
    const struct egress_stats *out = egress_stats(p->egress);
    const struct ingress_stats *in = ingress_stats(p->ingress);
    const struct peers_stats *peers = peers_stats(p->peers);
    page_add(g, "frames_sent_total", NULL, NULL, out->frames);
    page_add(g, "signatures_made_total", NULL, NULL, out->signatures);
    page_add(g, "records_sent_total", NULL, NULL, out->records);
    page_add(g, "acks_grouped_sent_total", NULL, NULL, out->grouped);
    page_add(g, "frame_bytes_sent_total", NULL, NULL, out->bytes);
    page_add(g, "operations_sent_total", NULL, NULL, out->operations);
    some(g, "send_dropped_total", "reason", "encode", out->dropped_encode);
    some(g, "send_dropped_total", "reason", "operation", out->dropped_operation);
    some(g, "send_dropped_total", "reason", "signer", out->dropped_signer);
    some(g, "send_dropped_total", "reason", "sealer", out->dropped_sealer);
    some(g, "send_dropped_total", "reason", "bus", out->dropped_bus);
    some(g, "send_dropped_total", "reason", "memory", out->dropped_memory);
    page_add(g, "frames_accepted_total", NULL, NULL, in->frames);
    page_add(g, "records_received_total", NULL, NULL, in->records);
    page_add(g, "messages_received_total", NULL, NULL, in->messages);
    page_add(g, "acks_grouped_received_total", NULL, NULL, in->grouped);
    page_add(g, "signatures_verified_total", NULL, NULL, peers->signatures);
    page_add(g, "peers", NULL, NULL, peers->peer_count);
    for (int v = 1; v < FRAME_VERDICT_COUNT; v++) {
        some(g, "frames_refused_total", "reason", frame_verdict_name((enum frame_verdict)v),
             peers->verdicts[v]);
    }
    for (int v = 1; v < CERT_VERDICT_COUNT; v++) {
        some(g, "chains_refused_total", "reason", cert_verdict_name((enum cert_verdict)v),
             peers->chains[v]);
    }
    for (int v = 1; v < INGRESS_REFUSALS; v++) {
        some(g, "records_refused_total", "reason", ingress_refusal_name((enum ingress_refusal)v),
             in->refusals[v]);
    }
    for (int v = 1; v < CODEC_VERDICT_COUNT; v++) {
        some(g, "codec_refused_total", "reason", codec_verdict_name((enum codec_verdict)v),
             in->codec[v]);
    }
}

static void operations(struct process *p, struct page *g)
{
    const struct opcache_stats *ops = opcache_stats(p->opcache);
    page_add(g, "operations_cached", NULL, NULL, ops->entries);
    page_add(g, "operations_cached_bytes", NULL, NULL, ops->bytes);
    page_add(g, "operations_sealed_total", NULL, NULL, ops->sealed);
    page_add(g, "operations_held_total", NULL, NULL, ops->held);
    for (int v = 0; v < OPCACHE_VERDICT_COUNT; v++) {
        some(g, "operations_received_total", "verdict",
             opcache_verdict_name((enum opcache_verdict)v), ops->verdicts[v]);
    }
}

static const char *tier_description(enum process_role role)
{
    return role == PROCESS_ORCHESTRATOR ? "the root of the mesh"
           : role == PROCESS_SECTOR     ? "sectors of the mesh"
                                        : "leads of clusters";
}

size_t process_service(void *ctx, const char *subject, char *answer, size_t room)
{
    struct process *p = ctx;
    char name[32], trouble[sizeof(((struct bus_stats *)0)->last_error)];
    struct timespec cpu = {0};
    struct bus_stats bus;
    (void)snprintf(name, sizeof(name), "mesh-%s", process_role_name(p->conf->role));
    /* Of two processes of one name only the owner answers. */
    if (!lease_serves(&p->lease) || !service_is_asked(name, p->conf->name, subject)) {
        return 0;
    }
    bus_stats(p->bus, &bus);
    log_clean(bus.last_error, trouble, sizeof(trouble));
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    struct service s = {.name = name,
                        .id = p->conf->name,
                        .version = MESH_VERSION,
                        .description = tier_description(p->conf->role),
                        .mesh = p->config.name,
                        .ready = process_is_ready(p),
                        .started_us = p->started_unix_us,
                        .epoch = p->lease.epoch,
                        .requests = bus.received,
                        .cpu_ns = (uint64_t)cpu.tv_sec * 1000000000u + (uint64_t)cpu.tv_nsec,
                        .last_error = trouble};
    for (int v = 1; v < FRAME_VERDICT_COUNT; v++) {
        s.errors += peers_stats(p->peers)->verdicts[v];
    }
    if (p->runner != NULL) {
        s.nodes = runner_stats(p->runner)->nodes;
        s.agents = runner_stats(p->runner)->agents;
    }
    return service_answer(&s, subject, answer, room);
}

static void seams(struct process *p, struct page *g)
{
    if (p->executor != NULL) {
        p->executor->metrics(p->executor->self, g);
    }
    if (p->exporter != NULL) {
        p->exporter->metrics(p->exporter->self, g);
    }
}

static void nodes(struct process *p, struct page *g)
{
    const struct runner_stats *s = runner_stats(p->runner);
    page_add(g, "nodes", NULL, NULL, s->nodes);
    page_add(g, "agents", NULL, NULL, s->agents);
    page_add(g, "steps_total", NULL, NULL, s->steps);
    page_add(g, "wakes_total", NULL, NULL, s->wakes);
    page_add_seconds(g, "loop_lag_seconds", (uint64_t)s->lag_us);
    const struct host_clock_watch *clock = runner_host_clock(p->runner);
    page_add(g, "host_clock_synchronised", NULL, NULL, clock->synchronised);
    if (clock->synchronised) {
        page_add_seconds(g, "host_clock_error_seconds", (uint64_t)clock->error_us);
    }
    page_add(g, "sent_local_total", NULL, NULL, s->sent_local);
    page_add(g, "sent_remote_total", NULL, NULL, s->sent_remote);
    page_add(g, "works_total", NULL, NULL, s->works);
    page_add(g, "store_ops_total", NULL, NULL, s->store_ops);
    some(g, "undelivered_total", "reason", "no-route", s->no_route);
    some(g, "undelivered_total", "reason", "not-mine", s->not_mine);
    some(g, "undelivered_total", "reason", "posted-full", s->posted_dropped);
    some(g, "undelivered_total", "reason", "simulated-loss", s->sent_lost);
    some(g, "refused_total", "what", "work", s->works_refused);
    some(g, "refused_total", "what", "context", s->contents_refused);
    some(g, "refused_total", "what", "store", s->store_refused);
    some(g, "refused_total", "what", "seal", s->seals_refused);
    some(g, "refused_total", "what", "memory", s->memory_refused);
    some(g, "spans_unknown_total", NULL, NULL, s->spans_unknown);
    page_add(g, "stale_accepted_total", NULL, NULL, s->stale_accepted);
    for (int n = 1; n < NOTE_COUNT; n++) {
        some(g, "notes_total", "note", note_info((enum note)n)->name, s->notes[n]);
    }
}

bool process_is_ready(const struct process *p)
{
    return p->phase == PHASE_SERVING && p->bus_up;
}

const char *process_status(const struct process *p)
{
    if (p->phase >= PHASE_STOPPING) {
        return "stopping";
    }
    if (p->phase == PHASE_LEASE) {
        return p->banks_up[STORE_BANK_DURABLE] ? "waits for the lease on its name"
                                               : "waits for the durable Redis";
    }
    return !p->bus_up                          ? "serves, without NATS"
           : !p->banks_up[STORE_BANK_REGISTRY] ? "serves, without the registry"
           : p->owns                           ? "serves"
                                               : "stands by for its units";
}

bool process_metrics_start(struct process *p)
{
    assert(p != NULL);
    if (p->conf->metrics_port == 0) {
        return true;
    }
    int error = metrics_start((uint16_t)p->conf->metrics_port, &p->metrics);
    if (error < 0) {
        log_line(&p->log, LOG_ERROR, "metrics-failed", "port=%u why=\"%s\"", p->conf->metrics_port,
                 strerror(-error));
    }
    return error >= 0;
}

void process_metrics(struct process *p)
{
    assert(p != NULL);
    if (p->metrics == NULL) {
        return;
    }
    struct page *g = &p->page;
    page_reset(g);
    page_add(g, "info", "process", p->conf->name, 1);
    page_add(g, "lease", "state", lease_state_name(p->lease.state), 1);
    page_add(g, "epoch", NULL, NULL, p->lease.epoch);
    page_add(g, "rss_bytes", NULL, NULL, rss_bytes());
    int64_t off_us = p->skew.off_ms * US_PER_MS; /* also of one that stands by: it hears others */
    page_add_seconds(g, "clock_ahead_seconds", off_us > 0 ? (uint64_t)off_us : 0);
    page_add_seconds(g, "clock_behind_seconds", off_us < 0 ? (uint64_t)-off_us : 0);
    some(g, "alarm_rows_dropped_total", NULL, NULL, p->alarm_rows_dropped);
    page_add(g, "log_lines_total", NULL, NULL, p->log.lines);
    page_add(g, "log_suppressed_total", NULL, NULL, p->log.suppressed);
    links(p, g);
    frames(p, g);
    operations(p, g);
    struct sealer_stats s;
    sealer_stats(p->sealer, &s);
    page_add(g, "sealer_depth_max", NULL, NULL, s.depth_max);
    some(g, "sealer_refused_total", NULL, NULL, s.refused);
    page_add(g, "directory_entries", NULL, NULL, p->directory.entry_count);
    some(g, "directory_stale_total", NULL, NULL, p->directory.stale);
    some(g, "directory_full_total", NULL, NULL, p->directory.full);
    chat_metrics(g);
    if (p->world.metrics != NULL) {
        p->world.metrics(p->world.ctx, g);
    }
    if (p->runner != NULL) {
        nodes(p, g);
    }
    seams(p, g);
    metrics_publish(p->metrics, g->text, g->used, process_is_ready(p));
}
