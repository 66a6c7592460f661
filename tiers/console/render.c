/* Text for people: counts first, exceptions by name, equal things folded. Bytes that agents sent
 * are printed as printable ASCII only: an answer must not be able to drive the operator's terminal.
 */
#include "tiers/console/render.h"
#include "core/histogram.h"
#include "core/mode.h"
#include "core/num.h"
#include "core/schedule.h"
#include "core/text.h"
#include "core/utf8.h"
#include "tiers/console/columns.h"
#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

const char *render_count(uint64_t n, char ret[32])
{
    char digits[U64_TEXT_MAX];
    size_t length = num_format_u64(n, digits), used = 0;
    for (size_t i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0)
            ret[used++] = ',';
        ret[used++] = digits[i];
    }
    ret[used] = '\0';
    return ret;
}

const char *render_time(int64_t mesh_us, char ret[40])
{
    time_t seconds = (time_t)(mesh_us / US_PER_S);
    struct tm tm;
    if (mesh_us <= 0 || !gmtime_r(&seconds, &tm)) {
        snprintf(ret, 40, "never");
        return ret;
    }
    size_t used = strftime(ret, 30, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(ret + used, 40 - used, ".%03dZ", (int)(mesh_us % US_PER_S / US_PER_MS));
    return ret;
}

const char *render_span(int64_t us, char ret[32])
{
    long long s = us / US_PER_S;
    if (us < 10ll * US_PER_S)
        snprintf(ret, 32, "%.2f s", (double)us / US_PER_S);
    else if (s < 60)
        snprintf(ret, 32, "%lld s", s);
    else if (s < 3600)
        snprintf(ret, 32, "%lldm %02llds", s / 60, s % 60);
    else if (s < 86400)
        snprintf(ret, 32, "%lldh %02lldm", s / 3600, s % 3600 / 60);
    else
        snprintf(ret, 32, "%lldd %02lldh", s / 86400, s % 86400 / 3600);
    return ret;
}

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

static double mean_ms(const struct summary *s)
{
    return (double)summary_mean_us(s) / US_PER_MS;
}

/* --- status ---------------------------------------------------------------------------------- */

#define BOX_WIDTH 44

static int box_width(const struct render *r)
{
    int width = columns_width(r);
    return width > 20 && width < BOX_WIDTH + 2 ? width - 2 : BOX_WIDTH;
}

static void box_rule(const struct render *r, const char *left, const char *right)
{
    fputs(left, r->out);
    for (int i = 0; i < box_width(r); i++)
        fputs("─", r->out);
    fprintf(r->out, "%s\n", right);
}

static void box_line(const struct render *r, const char *text)
{
    int room = box_width(r) - 2;
    fprintf(r->out, "│ %-*.*s │\n", room, room, text);
}

/* What the mode does not allow, a line for each. */
static void box_restrictions(const struct render *r, enum mode mode)
{
    char line[160];
    for (const char *at = mode_restrictions(mode); *at;) {
        int bytes = (int)strcspn(at, ",:");
        snprintf(line, sizeof line, "  - %.*s", bytes, at);
        box_line(r, line);
        at += bytes;
        at += strspn(at, ",: ");
    }
}

/* What serves on from memory, and what nobody can do meanwhile. */
static void box_stores(const struct render *r, const struct mesh_status *status)
{
    const struct summary *s = &status->summary;
    char line[160], a[32], b[32];
    uint32_t heard =
        1 + s->clusters_up + (status->self.tier == TIER_ORCHESTRATOR ? status->sectors_up : 0);
    if (!status->store_up)
        box_line(r, "Registry: away (serving from memory)");
    if (s->durable_away >= heard)
        box_line(r, "Durable store: away (no takeovers)");
    else if (s->durable_away > 0) {
        snprintf(line, sizeof line, "Durable store: away at %s of %s units",
                 render_count(s->durable_away, a), render_count(heard, b));
        box_line(r, line);
    }
}

void render_status(const struct render *r, const struct mesh_status *status)
{
    char line[160], a[32], b[32];
    const struct summary *s = &status->summary;
    assert(r && status);
    if (r->json) {
        render_json_status(r, status);
        return;
    }
    box_rule(r, "┌", "┐");
    snprintf(line, sizeof line, "%*sMESH-30K STATUS", (box_width(r) - 18) / 2, "");
    box_line(r, line);
    box_rule(r, "├", "┤");
    snprintf(line, sizeof line, "Agents: %s / %s active (%.1f%%)", render_count(s->active, a),
             render_count(s->agents, b), percent(s->active, s->agents));
    box_line(r, line);
    char self[UNIT_TEXT_MAX];
    unit_format(status->self, self);
    if (status->self.tier == TIER_SECTOR) /* --via: it knows of no other */
        snprintf(line, sizeof line, "Answered by: %s, for its own agents", self);
    else
        snprintf(line, sizeof line, "Sectors: %u/%u healthy", s->sectors_healthy, status->sectors);
    box_line(r, line);
    snprintf(line, sizeof line, "Mean Impedance: %.0fms", mean_ms(s));
    box_line(r, line);
    snprintf(line, sizeof line, "Conflicts (last hour): %s", render_count(s->conflicts_hour, a));
    box_line(r, line);
    snprintf(line, sizeof line, "Mode: %s%s", mode_name(status->mode),
             status->frozen ? " (FROZEN)" : "");
    box_line(r, line);
    if (status->summary.newcomers > 0) {
        snprintf(line, sizeof line, "Newcomers: %u, %u of them entering", status->summary.newcomers,
                 status->summary.entering);
        box_line(r, line);
    }
    box_restrictions(r, status->mode);
    if (status->waiting + status->approvals > 0) {
        snprintf(line, sizeof line, "Held: %u wait, %u to approve (jobs)", status->waiting,
                 status->approvals);
        box_line(r, line);
    }
    if (status->orders_seq) {
        snprintf(line, sizeof line, "Orders: %" PRIu64 ", %016" PRIx64 " at %u/%u",
                 status->orders_seq, status->orders_head, status->orders_agree, status->sectors);
        box_line(r, line);
    }
    if (status->last_cascade_mesh_us)
        snprintf(line, sizeof line, "Last cascade: %s ago",
                 render_span(s->updated_mesh_us - status->last_cascade_mesh_us, a));
    else
        snprintf(line, sizeof line, "Last cascade: never");
    box_line(r, line);
    if (r->operator_key) {
        int bytes = (int)strcspn(r->operator_key, "("); /* what to do about it: --json has room */
        snprintf(line, sizeof line, "%s: %.*s", bytes > 26 ? "Key" : "Operator's key", bytes,
                 r->operator_key);
        box_line(r, line);
    }
    if (status->simulation)
        box_line(r, "Simulated agents are accepted");
    box_stores(r, status);
    if (status->sectors_up < status->sectors) {
        snprintf(line, sizeof line, "Sectors heard: %u/%u", status->sectors_up, status->sectors);
        box_line(r, line);
    }
    box_rule(r, "└", "┘");
}

/* --- when --------------------------------------------------------------------------------------
 */

void render_when(const struct render *r, const struct when_reply *when)
{
    char count[32];
    assert(r && when);
    if (r->json) {
        render_json_when(r, when);
        return;
    }
    fprintf(r->out, "%s agents match; T from now so that they are READY:\n",
            render_count(when->targets, count));
    fprintf(r->out, "  50 %%  %8.0f ms\n", (double)when->lead_us_p50 / US_PER_MS);
    fprintf(r->out, "  95 %%  %8.0f ms\n", (double)when->lead_us_p95 / US_PER_MS);
    fprintf(r->out, "  99 %%  %8.0f ms\n", (double)when->lead_us_p99 / US_PER_MS);
    fprintf(r->out,
            "%g %% can be told in time for T in %.2f s, each READY by then with probability %.2f: "
            "%.1f %% or more expected\n",
            when->wanted * 100, (double)when->lead_us_wanted / US_PER_S, when->confidence,
            when->ready_expected * 100);
}

/* --- reports --------------------------------------------------------------------------------- */

static void print_safe(const struct render *r, const void *bytes, size_t length, size_t most)
{
    const uint8_t *at = bytes;
    size_t i = 0;
    while (i < length && i < most) {
        size_t n = text_printable(at + i, length - i);
        if (n == 0)
            fputc('.', r->out);
        else
            fwrite(at + i, 1, n, r->out);
        i += n ? n : 1;
    }
    fputs(i < length ? ".." : "", r->out);
}

const char *render_safe(const void *bytes, size_t length, char *ret, size_t size)
{
    const uint8_t *at = bytes;
    size_t used = 0;
    assert(ret && size > 0 && (bytes || length == 0));
    for (size_t i = 0; i < length;) {
        size_t n = text_printable(at + i, length - i), bytes_out = n ? n : 1;
        if (used + bytes_out >= size)
            break;
        if (n)
            memcpy(ret + used, at + i, n);
        else
            ret[used] = '.';
        used += bytes_out;
        i += bytes_out;
    }
    ret[used] = '\0';
    return ret;
}

void render_answer(const struct render *r, const void *bytes, size_t length)
{
    const uint8_t *at = bytes;
    assert(r && (bytes || length == 0));
    if (r->out == stdout && !isatty(STDOUT_FILENO)) { /* for a program, as it came */
        fwrite(bytes, 1, length, r->out);
        return;
    }
    for (size_t i = 0; i < length;) {
        size_t n = at[i] == '\n' || at[i] == '\t' ? 1 : text_printable(at + i, length - i);
        if (n)
            fwrite(at + i, 1, n, r->out);
        else
            fputc('.', r->out);
        i += n ? n : 1;
    }
}

static void print_outcomes(const struct render *r, const struct aggregate_view *a)
{
    char count[32];
    for (enum outcome o = OUTCOME_READY; o < OUTCOME_COUNT; o++)
        if (a->outcomes[o])
            fprintf(r->out, "  %-18s %10s  %5.1f %%\n", outcome_name(o),
                    render_count(a->outcomes[o], count), percent(a->outcomes[o], a->targets));
    for (enum reason why = REASON_EXPIRED; why < REASON_COUNT; why++)
        if (a->reasons[why])
            fprintf(r->out, "    why: %-22s %s\n", reason_name(why),
                    render_count(a->reasons[why], count));
}

static void print_arrivals(const struct render *r, const struct report *report)
{
    const struct aggregate_view *a = &report->aggregate;
    uint64_t arrived = histogram_total(a->arrival, ARRIVAL_BUCKETS);
    char when[40];
    if (arrived == 0)
        return;
    fprintf(r->out, "arrival against %s: p5 %+.1f ms  p50 %+.1f ms  p95 %+.1f ms\n",
            report->target_mesh_us ? "T" : "the start",
            (double)arrival_quantile(a->arrival, 0.05) / US_PER_MS,
            (double)arrival_quantile(a->arrival, 0.5) / US_PER_MS,
            (double)arrival_quantile(a->arrival, 0.95) / US_PER_MS);
    if (histogram_total(a->release, ARRIVAL_BUCKETS))
        fprintf(r->out, "READY spread with hold: p5 %+.1f ms  p95 %+.1f ms around T\n",
                (double)arrival_quantile(a->release, 0.05) / US_PER_MS,
                (double)arrival_quantile(a->release, 0.95) / US_PER_MS);
    if (report->target_mesh_us)
        fprintf(r->out, "T was %s; within the window of %.0f ms: %.1f %%\n",
                render_time(report->target_mesh_us, when), (double)report->window_us / US_PER_MS,
                percent(a->window_hits, a->window_eligible));
}

int64_t render_earliest_us(const struct render *r, const struct report *report)
{
    uint32_t clusters = r->topology != NULL ? topology_clusters(r->topology) : 0;
    return schedule_hops_us(2, clusters) + lead_quantile(report->aggregate.lead_needed, 1);
}

/* Spec 3.1 insufficient_lead_time, and the earliest T that would have reached all of them. */
static void print_skipped(const struct render *r, const struct report *report)
{
    const struct aggregate_view *a = &report->aggregate;
    char count[32];
    if (histogram_total(a->lead_needed, LEAD_BUCKETS) == 0 || report->target_mesh_us == 0)
        return;
    fprintf(r->out,
            "skipped: %s, needing %.0f ms (p50), %.0f ms (p95), %.0f ms at most; T was %.0f ms "
            "ahead. The earliest T for all of them: --in %.1fs\n",
            render_count(a->outcomes[OUTCOME_SKIPPED], count),
            (double)lead_quantile(a->lead_needed, 0.5) / US_PER_MS,
            (double)lead_quantile(a->lead_needed, 0.95) / US_PER_MS,
            (double)lead_quantile(a->lead_needed, 1) / US_PER_MS,
            (double)(report->target_mesh_us - report->created_mesh_us) / US_PER_MS,
            (double)render_earliest_us(r, report) / US_PER_S + 0.05);
}

/* Leads write "type=T expected=E received=R depth=..": E and R may hold anything. */
const char *render_conflict(const struct answer_group *g, char *ret, size_t size)
{
    char text[ANSWER_BYTES_MAX + 1];
    assert(g && ret && size > 0);
    render_safe(g->answer, g->answer_bytes, text, sizeof text);
    char *expected = strstr(text, " expected="), *received = strstr(text, " received=");
    char *depth = received ? strstr(received, " depth=") : NULL;
    if (strncmp(text, "type=", 5) != 0 || !expected || !depth || received < expected) {
        snprintf(ret, size, "%s", text);
        return ret;
    }
    *expected = *received = *depth = '\0';
    expected += strlen(" expected=");
    received += strlen(" received=");
    snprintf(ret, size, "%s%s%s%s%s%s", text + 5, received[0] ? ": " : "", received,
             expected[0] ? " (expected: " : "", expected, expected[0] ? ")" : "");
    return ret;
}

void render_group(const struct render *r, const struct answer_group *g)
{
    char count[32];
    static char runs[16384];
    size_t room = r->form == FORM_WIDE ? sizeof runs : 160;
    fprintf(r->out, "  %10s  %-8s ", render_count(g->count, count), outcome_name(g->outcome));
    if (g->reason != REASON_NONE)
        fprintf(r->out, "(%s) ", reason_name(g->reason));
    if (g->outcome == OUTCOME_CONFLICT && g->answer_bytes) {
        char text[ANSWER_BYTES_MAX];
        render_conflict(g, text, sizeof text);
        print_safe(r, text, strlen(text), r->form == FORM_WIDE ? 1000 : 100);
    } else if (g->answer_bytes) {
        fputc('"', r->out);
        size_t most = g->outcome == OUTCOME_READY ? 60 : 200; /* why it failed, as a whole */
        print_safe(r, g->answer, g->answer_bytes, r->form == FORM_WIDE ? 1000 : most);
        fputc('"', r->out);
    }
    runs_format(r->topology, g->runs, g->run_count, runs, room);
    fprintf(r->out, "  %s\n", runs);
}

static void print_groups(const struct render *r, const struct report *report,
                         const struct answer_group *groups, size_t count, bool paged)
{
    const size_t shown = paged || r->form == FORM_WIDE ? count : (count < 20 ? count : 20);
    char n[32];
    if (count == 0 && report->aggregate.sent == 0)
        return; /* nobody was asked */
    fprintf(r->out, "answers, equal ones folded:\n");
    for (size_t i = 0; i < shown; i++)
        render_group(r, &groups[i]);
    if (count > shown)
        fprintf(r->out, "  and %zu smaller group%s (--json shows them)\n", count - shown,
                count - shown == 1 ? "" : "s");
    if (!paged && report->aggregate.other)
        fprintf(r->out, "  %10s  in further groups (--pages fetches them)\n",
                render_count(report->aggregate.other, n));
}

/* Status is the spec's: of those that were sent to. Whoever reads it alone is told of the others,
 * and of a quorum that does not agree. */
static void print_status(const struct render *r, const struct report *report)
{
    const struct aggregate_view *v = &report->aggregate;
    char a[32], b[32];
    bool cascade = report->strategy != CASCADE_NONE;
    bool well = strcmp(report->status, "SUCCESS") == 0 || strcmp(report->status, "COMPLETE") == 0;
    fprintf(r->out, "%s%s: %s in %.2f s", cascade ? "cascade " : "job",
            cascade ? strategy_name(report->strategy) : "", report->status,
            (double)(report->finished_mesh_us - report->created_mesh_us) / US_PER_S);
    if (v->sent < v->targets)
        fprintf(r->out, "; %s of %s targets were never sent to",
                render_count(v->targets - v->sent, a), render_count(v->targets, b));
    if (well && report->decision != DECISION_PROCEED)
        fprintf(r->out, "%s the quorum says %s", v->sent < v->targets ? ", and" : "; but",
                decision_name(report->decision));
    fputc('\n', r->out);
}

static const char *phase_name(uint32_t class_mask)
{
    for (enum impedance_class c = CLASS_A_EDGE; c < CLASS_COUNT; c++)
        if (class_mask >> c & 1)
            return class_name(c);
    return "all";
}

/* Of priority_first: one of each class, those that nobody is of left out. */
static void print_phases(const struct render *r, const struct report *report)
{
    for (uint32_t i = 0; i < report->phase_count && report->phase_count > 1; i++) {
        const struct phase_report *p = &report->phases[i];
        if (p->targets > 0)
            fprintf(r->out, "  phase %u, %s: %u of %u ready, rate %.3f, wanted %.2f: %s\n", i + 1,
                    phase_name(p->class_mask), p->ready, p->targets, p->response_rate, p->threshold,
                    p->success ? "SUCCESS" : "PARTIAL");
    }
}

void render_report(const struct render *r, enum command_verb verb, const struct report *report,
                   const struct answer_group *pages, size_t page_count)
{
    char a[32], b[32], id[ID128_TEXT_MAX];
    const struct aggregate_view *v = &report->aggregate;
    uint32_t answered = v->outcomes[OUTCOME_READY] + v->outcomes[OUTCOME_CONFLICT];
    assert(r && report);
    const struct answer_group *groups = pages ? pages : v->groups;
    size_t group_count = pages ? page_count : v->group_count;
    if (r->form == FORM_JSONL) {
        render_jsonl_report(r, report, groups, group_count);
        return;
    }
    if (r->form == FORM_CSV) {
        render_csv_groups(r, groups, group_count, pages ? 0 : v->other);
        return;
    }
    if (r->json) {
        render_json_report(r, report, pages, page_count);
        return;
    }
    num_id128_format(report->operation_id, id);
    if (verb == CMD_BROADCAST && r->no_ack)
        fprintf(r->out, "Broadcast sent to %s agents; no acknowledgement was asked for\n",
                render_count(v->sent, a));
    else if (verb == CMD_BROADCAST)
        fprintf(r->out, "Broadcast complete: %s received, %s acknowledged\n",
                render_count(v->sent, a), render_count(v->outcomes[OUTCOME_READY], b));
    else if (verb == CMD_ASK || verb == CMD_RUN || verb == CMD_CONTENT)
        fprintf(r->out, "%s response%s:\n", render_count(answered, a), answered == 1 ? "" : "s");
    else
        print_status(r, report);
    fprintf(r->out, "operation %s: %s target%s, %s sent%s\n", id, render_count(v->targets, a),
            v->targets == 1 ? "" : "s", render_count(v->sent, b), v->late ? ", some late" : "");
    print_outcomes(r, v);
    if (strcmp(report->status, "REFUSED") == 0 && report->recommendation[0])
        fprintf(r->out, "not sent: %s\n", report->recommendation);
    if (v->hedged > 0)
        fprintf(r->out, "hedged: %s, and what came of %s of them counted\n",
                render_count(v->hedged, a), render_count(v->hedge_wins, b));
    print_phases(r, report);
    if (verb == CMD_CASCADE) {
        fprintf(r->out, "reached: %u sector%s, %u cluster%s, %s agent%s\n", v->sectors_reached,
                v->sectors_reached == 1 ? "" : "s", v->clusters_reached,
                v->clusters_reached == 1 ? "" : "s", render_count(v->agents_reached, a),
                v->agents_reached == 1 ? "" : "s");
        print_arrivals(r, report);
        print_skipped(r, report);
    }
    if (verb != CMD_BROADCAST)
        fprintf(r->out, "quorum: %s%s%s (confidence %.3f)%s%s\n", decision_name(report->decision),
                report->decision_reason[0] ? ": " : "", report->decision_reason, report->confidence,
                report->decision_recommendation[0] ? ". " : "", report->decision_recommendation);
    if (verb == CMD_ASK || verb == CMD_RUN || verb == CMD_JOBS || verb == CMD_CONTENT)
        print_groups(r, report, groups, group_count, pages != NULL);
    if (r->diff)
        render_diff(r, groups, group_count);
    if (r->late_count > 0)
        fputs("late answers, after their targets had been given up:\n", r->out);
    for (size_t i = 0; i < r->late_count; i++)
        render_group(r, &r->late[i]);
}

/* --- errors and lines --------------------------------------------------------------------------
 */

void render_error(const struct render *r, const char *reason, const char *text)
{
    assert(r && text);
    if (r->json)
        render_json_error(r, reason, text);
    else
        fprintf(stderr, "mesh: %s%s%s%s\n", text, reason[0] ? " (" : "", reason,
                reason[0] ? ")" : "");
}

static void json_text(FILE *out, const char *text)
{
    fputc('"', out);
    for (; *text; text++) {
        if (*text == '"' || *text == '\\')
            fputc('\\', out);
        fputc((unsigned char)*text >= ' ' ? *text : '.', out);
    }
    fputc('"', out);
}

void render_line(const struct render *r, const char *text, uint32_t number)
{
    assert(r && text);
    if (!r->json) {
        fprintf(r->out, "%s\n", text);
        fflush(r->out);
        return;
    }
    fputs(number == 0 ? "{\"ok\":true,\"lines\":[" : ",", r->out);
    json_text(r->out, text);
}

void render_lines_end(const struct render *r)
{
    assert(r);
    if (r->json)
        fputs("]}\n", r->out);
}

void render_pong(const struct render *r, const char *unit, double ms)
{
    assert(r && unit);
    if (r->json) {
        fputs("{\"unit\":", r->out);
        json_text(r->out, unit);
        fprintf(r->out, ",\"answers\":true,\"rtt_ms\":%.1f}\n", ms);
    } else {
        fprintf(r->out, "%s answers in %.1f ms\n", unit, ms);
    }
}
