/* Rows of a query as text: agents, sectors and clusters, records. */
#include "core/num.h"
#include "core/types.h"
#include "tiers/console/columns.h"
#include <assert.h>
#include <string.h>

#define LINE_MAX 512u

static double percent(uint64_t part, uint64_t whole)
{
    return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* The time of day of render_time(): in lists the date is today's. */
static const char *time_of_day(int64_t mesh_us, char ret[40])
{
    const char *t = strchr(render_time(mesh_us, ret), 'T');
    return t ? t + 1 : ret;
}

static const struct column agent_columns[] = {
    {"AGENT", 14, true, 0},         {"CLASS", 20, true, 3},  {"STATE", 11, true, 1},
    {"SCORE", 5, false, 2},         {"RTT MS", 9, false, 5}, {"WORK MS", 9, false, 6},
    {"QUEUE", 5, false, 4},         {"RELIAB", 6, false, 7}, {"DRIFT", 6, false, 8},
    {"LAST HEARTBEAT", 14, true, 9}};

static const struct column summary_columns[] = {
    {"UNIT", 8, true, 0},     {"ACTIVE", 13, false, 0},  {"", 7, false, 1},
    {"MEAN MS", 9, false, 2}, {"DEGRADED", 8, false, 5}, {"OFFLINE", 8, false, 4},
    {"QUAR", 6, false, 6},    {" BREAKER", 10, true, 3}, {"SLOWEST", 11, true, 7}};

#define COUNT(columns) (sizeof(columns) / sizeof *(columns))

static void print_line(const struct render *r, const struct column *columns, size_t count,
                       uint32_t shown, char cells[][CELL_BYTES])
{
    char line[LINE_MAX];
    columns_line(columns, count, shown, cells, line, sizeof line);
    fprintf(r->out, "%s\n", line);
}

static void print_agent_row(const struct render *r, const struct page_row *row, uint32_t shown)
{
    char cells[COUNT(agent_columns)][CELL_BYTES], beat[40];
    const struct agent_row *a = &row->u.agent;
    const struct impedance *z = &a->impedance;
    unit_format(row->unit, cells[0]);
    snprintf(cells[1], CELL_BYTES, "%s", class_name(a->agent_class));
    snprintf(cells[2], CELL_BYTES, "%s", agent_state_name(z->state));
    snprintf(cells[3], CELL_BYTES, "%u", z->score);
    snprintf(cells[4], CELL_BYTES, "%.1f", z->latency_us / 1000.0);
    snprintf(cells[5], CELL_BYTES, "%.1f", z->processing_us / 1000.0);
    snprintf(cells[6], CELL_BYTES, "%u", z->queue_depth);
    snprintf(cells[7], CELL_BYTES, "%.3f", z->reliability_permille / 1000.0);
    snprintf(cells[8], CELL_BYTES, "%.3f", z->drift_permille / 1000.0);
    snprintf(cells[9], CELL_BYTES, "%s", time_of_day(z->heartbeat_mesh_us, beat));
    print_line(r, agent_columns, COUNT(agent_columns), shown, cells);
}

/* What the usual row leaves out. */
static void print_wide(const struct render *r, const struct agent_row *a)
{
    char id[ID128_TEXT_MAX];
    num_id128_format(a->impedance.context_hash, id);
    fprintf(r->out, "  uid=%016llx predicted=%.1fms confidence=%.3f clock=%.1fms context=%s",
            (unsigned long long)a->uid, a->impedance.predicted_us / 1e3,
            a->impedance.confidence_permille / 1e3, a->impedance.clock_error_us / 1e3, id);
    for (uint32_t i = 0; i < r->topology->capability_count; i++)
        if (a->capabilities >> i & 1)
            fprintf(r->out, " %s", r->topology->capabilities[i]);
    fputc('\n', r->out);
}

static void print_summary_row(const struct render *r, const struct page_row *row, uint32_t shown)
{
    char cells[COUNT(summary_columns)][CELL_BYTES], slowest[UNIT_TEXT_MAX];
    const struct summary *s = row->u.summary;
    unit_format(row->unit, cells[0]);
    unit_format(s->slowest, slowest);
    snprintf(cells[1], CELL_BYTES, "%6u/%-6u", s->active, s->agents);
    snprintf(cells[2], CELL_BYTES, "%5.1f %%", percent(s->active, s->agents));
    snprintf(cells[3], CELL_BYTES, "%.0f", (double)summary_mean_us(s) / US_PER_MS);
    snprintf(cells[4], CELL_BYTES, "%u", s->degraded);
    snprintf(cells[5], CELL_BYTES, "%u", s->offline);
    snprintf(cells[6], CELL_BYTES, "%u", s->quarantined);
    snprintf(cells[7], CELL_BYTES, " %s", circuit_name(s->circuit));
    snprintf(cells[8], CELL_BYTES, "%s", s->active ? slowest : "-");
    print_line(r, summary_columns, COUNT(summary_columns), shown, cells);
}

static void print_agent(const struct render *r, const struct page_row *row)
{
    char unit[UNIT_TEXT_MAX], id[ID128_TEXT_MAX], beat[40];
    const struct agent_row *a = &row->u.agent;
    const struct impedance *z = &a->impedance;
    unit_format(row->unit, unit);
    num_id128_format(z->context_hash, id);
    fprintf(r->out, "agent_id              %s (uid %016llx, epoch %llu)\n", unit,
            (unsigned long long)a->uid, (unsigned long long)a->epoch);
    fprintf(r->out, "agent_class           %s\n", class_name(a->agent_class));
    fprintf(r->out, "operational_state     %s\n", agent_state_name(z->state));
    fprintf(r->out, "impedance_score       %u of 1000 (predicted %.1f ms)\n", z->score,
            z->predicted_us / 1000.0);
    fprintf(r->out, "current_latency_ms    %.1f\n", z->latency_us / 1000.0);
    fprintf(r->out, "current_processing_ms %.1f\n", z->processing_us / 1000.0);
    fprintf(r->out, "current_queue_depth   %u\n", z->queue_depth);
    fprintf(r->out, "reliability_score     %.3f (%u done, %u failed in the last hour)\n",
            z->reliability_permille / 1000.0, z->done, z->failed);
    fprintf(r->out, "drift_coefficient     %.3f\n", z->drift_permille / 1000.0);
    fprintf(r->out, "confidence            %.3f\n", z->confidence_permille / 1000.0);
    fprintf(r->out, "clock error           %.1f ms at most\n", z->clock_error_us / 1000.0);
    fprintf(r->out, "last_heartbeat        %s\n", render_time(z->heartbeat_mesh_us, beat));
    fprintf(r->out, "current_context_hash  %s\n", id);
    fprintf(r->out, "capabilities         ");
    for (uint32_t i = 0; i < r->topology->capability_count; i++)
        if (a->capabilities >> i & 1)
            fprintf(r->out, " %s", r->topology->capabilities[i]);
    fputc('\n', r->out);
}

static void print_table(const struct render *r, enum row_kind kind, const struct page_row *rows,
                        size_t count)
{
    bool agents = kind == ROW_AGENT;
    const struct column *columns = agents ? agent_columns : summary_columns;
    size_t all = agents ? COUNT(agent_columns) : COUNT(summary_columns);
    uint32_t shown = columns_fit(columns, all, columns_width(r));
    print_line(r, columns, all, shown, NULL);
    for (size_t i = 0; i < count; i++) {
        (agents ? print_agent_row : print_summary_row)(r, &rows[i], shown);
        if (agents && r->form == FORM_WIDE)
            print_wide(r, &rows[i].u.agent);
    }
}

void render_rows(const struct render *r, enum command_verb verb, enum row_kind kind,
                 const struct page_row *rows, size_t count, uint32_t total, uint32_t missing,
                 bool limited)
{
    char a[32];
    assert(r && (rows || count == 0));
    if (r->json) {
        render_json_rows(r, kind, rows, count, total, missing);
        return;
    }
    if (r->form == FORM_CSV) {
        render_csv_rows(r, kind, rows, count);
    } else if (verb == CMD_AGENT && count == 1) {
        print_agent(r, rows);
    } else if (kind == ROW_RECORD) {
        for (size_t i = 0; i < count; i++)
            fprintf(r->out, "%.*s\n", (int)rows[i].u.record.bytes, rows[i].u.record.text);
    } else {
        print_table(r, kind, rows, count);
        if (count == 0 && kind == ROW_AGENT && missing == 0)
            fputs("no agent matches\n", r->out);
        if (limited && r->form != FORM_CSV)
            fprintf(r->out, "%s match, %zu shown\n", render_count(total, a), count);
    }
    if (missing)
        fprintf(r->form == FORM_CSV ? stderr : r->out,
                "no answer from %u unit%s below: the list is incomplete\n", missing,
                missing == 1 ? "" : "s");
}
