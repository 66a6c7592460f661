/* JSON for programs, one object a line. Keys that the spec or the KPIs name have those names;
 * counts per final state stand under `states` and add up to `targets`. docs/CONSOLE.md lists them
 * all. */
#include "core/histogram.h"
#include "core/mode.h"
#include "core/num.h"
#include "tiers/console/render.h"
#include <assert.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void print(const struct render *r, json_t *object)
{
    /* jansson refuses NaN and infinities at creation: a number that is missing then shows as null.
     */
    char *text = json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(9));
    assert(text && "only non-finite numbers and bad UTF-8 fail, and neither gets in");
    fprintf(r->out, "%s\n", text);
    free(text);
    json_decref(object);
}

static void set_integer(json_t *object, const char *key, uint64_t value)
{
    json_object_set_new(object, key, json_integer((json_int_t)value));
}

static void set_real(json_t *object, const char *key, double value)
{
    json_object_set_new(object, key, json_real(value));
}

/* Bytes from agents need not be UTF-8: then they are shown in hex under KEY_hex. */
static void set_bytes(json_t *object, const char *key, const void *bytes, size_t length)
{
    json_t *text = json_stringn(bytes, length);
    if (text) {
        json_object_set_new(object, key, text);
        return;
    }
    char hex[2 * 64 + 1], name[64];
    size_t shown = length < 64 ? length : 64;
    for (size_t i = 0; i < shown; i++)
        snprintf(hex + 2 * i, 3, "%02x", ((const uint8_t *)bytes)[i]);
    snprintf(name, sizeof name, "%s_hex", key);
    json_object_set_new(object, name, json_string(hex));
}

static void set_time(json_t *object, const char *key, int64_t mesh_us)
{
    char text[40];
    json_object_set_new(object, key,
                        mesh_us > 0 ? json_string(render_time(mesh_us, text)) : json_null());
}

static void set_unit(json_t *object, const char *key, struct unit u)
{
    char text[UNIT_TEXT_MAX];
    unit_format(u, text);
    json_object_set_new(object, key, json_string(text));
}

static double ratio(uint64_t part, uint64_t whole)
{
    return whole ? (double)part / (double)whole : 0;
}

static json_t *summary_object(const struct summary *s)
{
    json_t *o = json_object();
    set_integer(o, "agents", s->agents);
    set_integer(o, "agents_active", s->active);
    set_real(o, "active_rate", ratio(s->active, s->agents));
    set_integer(o, "agents_degraded", s->degraded);
    set_integer(o, "agents_unstable", s->unstable);
    set_integer(o, "agents_suspect", s->suspect);
    set_integer(o, "agents_offline", s->offline);
    set_integer(o, "agents_quarantined", s->quarantined);
    set_integer(o, "newcomers", s->newcomers);
    set_integer(o, "newcomers_entering", s->entering);
    set_integer(o, "clusters", s->clusters);
    set_integer(o, "clusters_up", s->clusters_up);
    set_real(o, "mean_impedance_ms", (double)summary_mean_us(s) / 1e3);
    set_real(o, "mean_impedance_score", ratio(s->score_sum, s->active));
    set_integer(o, "conflicts_last_hour", s->conflicts_hour);
    json_object_set_new(o, "circuit", json_string(circuit_name(s->circuit)));
    set_integer(o, "circuits_open", s->circuits_open);
    set_integer(o, "operations_in_flight", s->operations);
    json_object_set_new(o, "store_up", json_boolean(s->store_up));
    json_object_set_new(o, "durable_up", json_boolean(s->durable_away == 0));
    set_integer(o, "durable_away", s->durable_away);
    if (s->active) {
        set_unit(o, "slowest_agent", s->slowest);
        set_unit(o, "fastest_agent", s->fastest);
    }
    json_t *classes = json_object();
    for (enum impedance_class c = CLASS_A_EDGE; c < CLASS_COUNT; c++)
        set_integer(classes, class_name(c), s->class_active[c]);
    json_object_set_new(o, "active_by_class", classes);
    set_time(o, "last_updated", s->updated_mesh_us);
    return o;
}

void render_json_status(const struct render *r, const struct mesh_status *status)
{
    json_t *o = summary_object(&status->summary);
    json_object_set_new(o, "mode", json_string(mode_name(status->mode)));
    set_integer(o, "sectors", status->sectors);
    set_integer(o, "sectors_up", status->sectors_up);
    set_integer(o, "sectors_healthy", status->summary.sectors_healthy);
    set_integer(o, "sectors_degraded", status->summary.sectors_degraded);
    set_integer(o, "operations_in_flight", status->operations_in_flight);
    set_integer(o, "operations_max", status->operations_max);
    set_integer(o, "operations_done", status->operations_done);
    set_integer(o, "operations_waiting", status->waiting);
    set_integer(o, "operations_to_approve", status->approvals);
    json_object_set_new(o, "restrictions", json_string(mode_restrictions(status->mode)));
    set_integer(o, "operations_refused", status->operations_refused);
    json_object_set_new(o, "simulation", json_boolean(status->simulation));
    json_object_set_new(o, "store_up", json_boolean(status->store_up));
    json_object_set_new(o, "frozen", json_boolean(status->frozen));
    set_integer(o, "orders_epoch", status->orders_epoch);
    set_integer(o, "orders", status->orders_seq);
    char head[17];
    snprintf(head, sizeof head, "%016" PRIx64, status->orders_head);
    json_object_set_new(o, "orders_head", json_string(head));
    set_integer(o, "orders_agree", status->orders_agree);
    if (r->operator_key)
        json_object_set_new(o, "operator_key", json_string(r->operator_key));
    set_unit(o, "answered_by", status->self);
    set_time(o, "started", status->started_mesh_us);
    set_time(o, "last_cascade", status->last_cascade_mesh_us);
    print(r, o);
}

void render_json_when(const struct render *r, const struct when_reply *when)
{
    json_t *o = json_object();
    set_integer(o, "targets", when->targets);
    set_real(o, "p50_ms", (double)when->lead_us_p50 / 1e3);
    set_real(o, "p95_ms", (double)when->lead_us_p95 / 1e3);
    set_real(o, "p99_ms", (double)when->lead_us_p99 / 1e3);
    set_real(o, "wanted", when->wanted);
    set_real(o, "wanted_ms", (double)when->lead_us_wanted / 1e3);
    set_real(o, "confidence", when->confidence);
    set_real(o, "ready_expected", when->ready_expected);
    print(r, o);
}

/* --- operations ------------------------------------------------------------------------------ */

static json_t *group_object(const struct render *r, const struct answer_group *g)
{
    json_t *o = json_object();
    char *runs = malloc(65536);
    json_object_set_new(o, "state", json_string(outcome_name(g->outcome)));
    if (g->reason != REASON_NONE)
        json_object_set_new(o, "reason", json_string(reason_name(g->reason)));
    set_integer(o, "count", g->count);
    if (g->answer_bytes)
        set_bytes(o, "answer", g->answer, g->answer_bytes);
    assert(runs);
    runs_format(r->topology, g->runs, g->run_count, runs, 65536);
    json_object_set_new(o, "agents", json_string(runs));
    free(runs);
    return o;
}

static void set_counts(json_t *o, const struct aggregate_view *a)
{
    json_t *states = json_object(), *reasons = json_object();
    for (enum outcome i = OUTCOME_READY; i < OUTCOME_COUNT; i++)
        set_integer(states, outcome_name(i), a->outcomes[i]);
    for (enum reason i = REASON_EXPIRED; i < REASON_COUNT; i++)
        if (a->reasons[i])
            set_integer(reasons, reason_name(i), a->reasons[i]);
    set_integer(o, "targets", a->targets);
    json_object_set_new(o, "states", states);
    json_object_set_new(o, "reasons", reasons);
    set_integer(o, "sent", a->sent);
    set_integer(o, "never_sent", a->targets > a->sent ? a->targets - a->sent : 0);
    set_integer(o, "skipped", a->outcomes[OUTCOME_SKIPPED]);
    set_integer(o, "late", a->late);
    set_integer(o, "resent", a->resent);
    set_integer(o, "hedged", a->hedged);
    set_integer(o, "hedge_wins", a->hedge_wins);
    set_integer(o, "unexpected", a->unexpected);
    set_integer(o, "sectors_reached", a->sectors_reached);
    set_integer(o, "clusters_reached", a->clusters_reached);
    set_integer(o, "agents_reached", a->agents_reached);
}

static void set_arrivals(const struct render *r, json_t *o, const struct report *report)
{
    const struct aggregate_view *a = &report->aggregate;
    set_integer(o, "window_hits", a->window_hits);
    set_integer(o, "window_eligible", a->window_eligible);
    json_object_set_new(o, "window_hit_rate",
                        a->window_eligible ? json_real(ratio(a->window_hits, a->window_eligible))
                                           : json_null());
    set_integer(o, "predicted", a->predicted);
    set_integer(o, "predicted_within_50ms", a->predicted_50ms);
    if (histogram_total(a->arrival, ARRIVAL_BUCKETS)) {
        set_real(o, "arrival_p5_ms", (double)arrival_quantile(a->arrival, 0.05) / 1e3);
        set_real(o, "arrival_p50_ms", (double)arrival_quantile(a->arrival, 0.5) / 1e3);
        set_real(o, "arrival_p95_ms", (double)arrival_quantile(a->arrival, 0.95) / 1e3);
    }
    if (histogram_total(a->release, ARRIVAL_BUCKETS)) {
        set_real(o, "release_p5_ms", (double)arrival_quantile(a->release, 0.05) / 1e3);
        set_real(o, "release_p95_ms", (double)arrival_quantile(a->release, 0.95) / 1e3);
    }
    if (histogram_total(a->lead_needed, LEAD_BUCKETS)) {
        set_real(o, "skipped_would_need_p50_ms", (double)lead_quantile(a->lead_needed, 0.5) / 1e3);
        set_real(o, "skipped_would_need_p95_ms", (double)lead_quantile(a->lead_needed, 0.95) / 1e3);
        set_real(o, "skipped_would_need_most_ms", (double)lead_quantile(a->lead_needed, 1) / 1e3);
        set_real(o, "skipped_available_ms",
                 (double)(report->target_mesh_us - report->created_mesh_us) / 1e3);
        set_real(o, "earliest_in_ms", (double)render_earliest_us(r, report) / 1e3);
    }
}

static void set_quorum(json_t *o, const struct report *report)
{
    const struct aggregate_view *a = &report->aggregate;
    json_t *q = json_object();
    json_object_set_new(q, "achieved", json_boolean(report->achieved));
    json_object_set_new(q, "decision", json_string(decision_name(report->decision)));
    json_object_set_new(q, "reason", json_string(report->decision_reason));
    json_object_set_new(q, "recommendation", json_string(report->decision_recommendation));
    set_real(q, "confidence", report->confidence);
    set_integer(q, "ready_count", a->outcomes[OUTCOME_READY]);
    set_integer(q, "conflict_count", a->outcomes[OUTCOME_CONFLICT]);
    set_integer(q, "transit_count",
                a->targets - a->outcomes[OUTCOME_READY] - a->outcomes[OUTCOME_CONFLICT] -
                    a->outcomes[OUTCOME_SKIPPED] - a->outcomes[OUTCOME_REFUSED] -
                    a->outcomes[OUTCOME_CANCELLED]);
    json_object_set_new(o, "quorum", q);
}

static void set_phases(json_t *o, const struct report *report)
{
    json_t *phases = json_array();
    for (uint32_t i = 0; i < report->phase_count; i++) {
        const struct phase_report *p = &report->phases[i];
        json_t *one = json_object(), *classes = json_array();
        for (enum impedance_class c = CLASS_A_EDGE; c < CLASS_COUNT; c++)
            if (p->class_mask >> c & 1)
                json_array_append_new(classes, json_string(class_name(c)));
        json_object_set_new(one, "classes", classes);
        set_integer(one, "targets", p->targets);
        set_integer(one, "ready", p->ready);
        set_integer(one, "conflicts", p->conflicts);
        set_real(one, "response_rate", p->response_rate);
        set_real(one, "threshold", p->threshold);
        json_object_set_new(one, "status", json_string(p->success ? "SUCCESS" : "PARTIAL"));
        json_array_append_new(phases, one);
    }
    json_object_set_new(o, "phase_results", phases);
}

static json_t *report_object(const struct render *r, const struct report *report)
{
    char id[ID128_TEXT_MAX];
    json_t *o = json_object();
    num_id128_format(report->operation_id, id);
    json_object_set_new(o, "operation_id", json_string(id));
    json_object_set_new(o, "strategy", json_string(strategy_name(report->strategy)));
    json_object_set_new(o, "status", json_string(report->status));
    set_counts(o, &report->aggregate);
    set_real(o, "response_rate", report->response_rate);
    set_integer(o, "stragglers", report->stragglers);
    json_object_set_new(o, "recommendation", json_string(report->recommendation));
    set_quorum(o, report);
    set_arrivals(r, o, report);
    set_phases(o, report);
    set_time(o, "created_at", report->created_mesh_us);
    set_time(o, "target_arrival_time", report->target_mesh_us);
    set_time(o, "finished_at", report->finished_mesh_us);
    set_real(o, "lead_ms",
             report->target_mesh_us
                 ? (double)(report->target_mesh_us - report->created_mesh_us) / 1e3
                 : 0);
    set_real(o, "window_ms", (double)report->window_us / 1e3);
    set_real(o, "total_time_ms",
             (double)(report->finished_mesh_us - report->created_mesh_us) / 1e3);
    if (r->late_count > 0) {
        json_t *late = json_array();
        for (size_t i = 0; i < r->late_count; i++)
            json_array_append_new(late, group_object(r, &r->late[i]));
        json_object_set_new(o, "late_answers", late);
    }
    return o;
}

void render_json_report(const struct render *r, const struct report *report,
                        const struct answer_group *pages, size_t page_count)
{
    json_t *o = report_object(r, report), *groups = json_array();
    const struct answer_group *shown = pages ? pages : report->aggregate.groups;
    size_t count = pages ? page_count : report->aggregate.group_count;
    for (size_t i = 0; i < count; i++)
        json_array_append_new(groups, group_object(r, &shown[i]));
    json_object_set_new(o, "answers", groups);
    set_integer(o, "answers_not_shown", pages ? 0 : report->aggregate.other);
    print(r, o);
}

/* --- events, a line each ---------------------------------------------------------------------- */

static json_t *event(const char *kind)
{
    json_t *o = json_object();
    json_object_set_new(o, "kind", json_string(kind));
    return o;
}

static void event_print(const struct render *r, json_t *o)
{
    print(r, o);
    fflush(r->out);
}

void render_jsonl_accepted(const struct render *r, struct id128 id)
{
    char text[ID128_TEXT_MAX];
    json_t *o = event("accepted");
    num_id128_format(id, text);
    json_object_set_new(o, "operation_id", json_string(text));
    event_print(r, o);
}

void render_jsonl_progress(const struct render *r, struct id128 id,
                           const struct aggregate_view *progress)
{
    char text[ID128_TEXT_MAX];
    json_t *o = event("progress"), *states = json_object();
    num_id128_format(id, text);
    json_object_set_new(o, "operation_id", json_string(text));
    set_integer(o, "targets", progress->targets);
    for (enum outcome i = OUTCOME_PENDING; i < OUTCOME_COUNT; i++)
        set_integer(states, outcome_name(i), progress->outcomes[i]);
    json_object_set_new(o, "states", states);
    event_print(r, o);
}

void render_jsonl_report(const struct render *r, const struct report *report,
                         const struct answer_group *groups, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_t *o = event("answer");
        json_object_update_new(o, group_object(r, &groups[i]));
        event_print(r, o);
    }
    json_t *o = event("summary");
    json_object_update_new(o, report_object(r, report));
    event_print(r, o);
}

/* --- rows ------------------------------------------------------------------------------------ */

static json_t *agent_object(const struct render *r, const struct page_row *row)
{
    const struct agent_row *a = &row->u.agent;
    const struct impedance *z = &a->impedance;
    char text[40];
    json_t *o = json_object(), *capabilities = json_array();
    set_unit(o, "agent_id", row->unit);
    snprintf(text, sizeof text, "%016llx", (unsigned long long)a->uid);
    json_object_set_new(o, "uid", json_string(text));
    set_integer(o, "epoch", a->epoch);
    json_object_set_new(o, "agent_class", json_string(class_name(a->agent_class)));
    set_unit(o, "sector_id", unit_sector(row->unit.sector));
    set_unit(o, "cluster_id", unit_cluster(row->unit.sector, row->unit.cluster));
    json_object_set_new(o, "operational_state", json_string(agent_state_spec(z->state)));
    json_object_set_new(o, "state", json_string(agent_state_name(z->state)));
    json_object_set_new(o, "routed_around", json_boolean(a->routed_around));
    set_real(o, "current_latency_ms", z->latency_us / 1e3);
    set_real(o, "current_processing_ms", z->processing_us / 1e3);
    set_integer(o, "current_queue_depth", z->queue_depth);
    set_time(o, "last_heartbeat", z->heartbeat_mesh_us);
    set_integer(o, "impedance_score", z->score);
    set_real(o, "predicted_ms", z->predicted_us / 1e3);
    set_real(o, "reliability_score", z->reliability_permille / 1e3);
    set_real(o, "drift_coefficient", z->drift_permille / 1e3);
    set_real(o, "confidence", z->confidence_permille / 1e3);
    set_real(o, "clock_error_ms", z->clock_error_us / 1e3);
    num_id128_format(z->context_hash, text);
    json_object_set_new(o, "current_context_hash", json_string(text));
    for (uint32_t i = 0; i < r->topology->capability_count; i++)
        if (a->capabilities >> i & 1)
            json_array_append_new(capabilities, json_string(r->topology->capabilities[i]));
    json_object_set_new(o, "capabilities", capabilities);
    return o;
}

/* "key=value" lines in two sections, the lead's view and the registry's record. */
static json_t *record_object(const struct page_row *row)
{
    json_t *o = json_object(), *section = json_object();
    const char *at = row->u.record.text, *end = at + row->u.record.bytes;
    set_unit(o, "agent_id", row->unit);
    json_object_set_new(o, "lead", section);
    while (at < end) {
        const char *line_end = memchr(at, '\n', (size_t)(end - at));
        size_t bytes = (size_t)((line_end ? line_end : end) - at);
        const char *equals = memchr(at, '=', bytes);
        if (bytes == 0) {
            section = json_object();
            json_object_set_new(o, "registry", section);
        } else if (equals) {
            char key[64];
            snprintf(key, sizeof key, "%.*s", (int)(equals - at), at);
            set_bytes(section, key, equals + 1, bytes - (size_t)(equals - at) - 1);
        }
        at += bytes + 1;
    }
    return o;
}

static json_t *row_object(const struct render *r, enum row_kind kind, const struct page_row *row)
{
    json_t *one = NULL;
    switch (kind) {
    case ROW_AGENT:
        return agent_object(r, row);
    case ROW_SUMMARY:
        one = summary_object(row->u.summary);
        set_unit(one, "unit", row->unit);
        return one;
    case ROW_ANSWER:
        return group_object(r, &row->u.answer);
    case ROW_RECORD:
        break;
    }
    return record_object(row);
}

void render_jsonl_rows(const struct render *r, enum row_kind kind, const struct page_row *rows,
                       size_t count)
{
    for (size_t i = 0; i < count; i++) {
        json_t *o = event("row");
        json_object_update_new(o, row_object(r, kind, &rows[i]));
        event_print(r, o);
    }
}

void render_json_rows(const struct render *r, enum row_kind kind, const struct page_row *rows,
                      size_t count, uint32_t total, uint32_t missing)
{
    bool lines = r->form == FORM_JSONL; /* the rows came before it */
    json_t *o = lines ? event("summary") : json_object(), *list = json_array();
    for (size_t i = 0; i < count && !lines; i++)
        json_array_append_new(list, row_object(r, kind, &rows[i]));
    set_integer(o, "total", total);
    set_integer(o, "shown", count);
    set_integer(o, "units_missing", missing);
    if (lines)
        json_decref(list);
    else
        json_object_set_new(o, "rows", list);
    print(r, o);
}

void render_json_error(const struct render *r, const char *reason, const char *text)
{
    json_t *o = r->form == FORM_JSONL ? event("error") : json_object();
    json_t *error = json_string(text);
    if (!error) { /* it quotes what was typed, which need not be UTF-8, or was cut within a letter
                   */
        char safe[2 * COMMAND_ERROR_MAX];
        error = json_string(render_safe(text, strlen(text), safe, sizeof safe));
    }
    json_object_set_new(o, "error", error);
    json_object_set_new(o, "reason", json_string(reason));
    print(r, o);
}
