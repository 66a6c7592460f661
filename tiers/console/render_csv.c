/* Comma separated values (RFC 4180), for spreadsheets and cut: a line of names, then one line a
 * row. Bytes that agents sent are shown as printable characters, as in text, and line by line. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/console/render.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

void render_csv_field(const struct render *r, const char *text, bool last)
{
    bool quote = text[strcspn(text, ",\"\r\n")] != '\0';
    if (quote)
        fputc('"', r->out);
    for (const char *at = text; *at; at++) {
        if (*at == '"')
            fputc('"', r->out);
        fputc(*at, r->out);
    }
    fputs(quote ? (last ? "\"\r\n" : "\",") : (last ? "\r\n" : ","), r->out);
}

static void capabilities(const struct render *r, uint64_t bits)
{
    char text[CAPABILITIES_MAX * CAPABILITY_NAME_MAX];
    struct text t;
    text_init(&t, text, sizeof text);
    for (uint32_t i = 0; i < r->topology->capability_count; i++)
        if (bits >> i & 1) {
            text_add(&t, t.used ? " " : "");
            text_add(&t, r->topology->capabilities[i]);
        }
    render_csv_field(r, text, true);
}

static void agent(const struct render *r, const struct page_row *row)
{
    const struct agent_row *a = &row->u.agent;
    const struct impedance *z = &a->impedance;
    char unit[UNIT_TEXT_MAX], beat[40], id[ID128_TEXT_MAX];
    unit_format(row->unit, unit);
    num_id128_format(z->context_hash, id);
    fprintf(r->out, "%s,%016llx,%s,%s,%u,%.3f,%.3f,%u,%.3f,%.3f,%.3f,%s,%s,", unit,
            (unsigned long long)a->uid, class_name(a->agent_class), agent_state_name(z->state),
            z->score, z->latency_us / 1e3, z->processing_us / 1e3, z->queue_depth,
            z->reliability_permille / 1e3, z->drift_permille / 1e3, z->predicted_us / 1e3,
            render_time(z->heartbeat_mesh_us, beat), id);
    capabilities(r, a->capabilities);
}

static void summary(const struct render *r, const struct page_row *row)
{
    const struct summary *s = row->u.summary;
    char unit[UNIT_TEXT_MAX], slowest[UNIT_TEXT_MAX];
    unit_format(row->unit, unit);
    unit_format(s->slowest, slowest);
    fprintf(r->out, "%s,%u,%u,%u,%u,%u,%.3f,%s,%s\r\n", unit, s->agents, s->active, s->degraded,
            s->offline, s->quarantined, (double)summary_mean_us(s) / 1e3, circuit_name(s->circuit),
            s->active ? slowest : "");
}

void render_csv_rows(const struct render *r, enum row_kind kind, const struct page_row *rows,
                     size_t count)
{
    assert(r && (rows || count == 0));
    fputs(kind == ROW_AGENT
              ? "agent_id,uid,agent_class,state,impedance_score,current_latency_ms,"
                "current_processing_ms,current_queue_depth,reliability_score,drift_coefficient,"
                "predicted_ms,last_heartbeat,current_context_hash,capabilities\r\n"
              : "unit,agents,active,degraded,offline,quarantined,mean_impedance_ms,circuit,"
                "slowest\r\n",
          r->out);
    for (size_t i = 0; i < count; i++)
        (kind == ROW_AGENT ? agent : summary)(r, &rows[i]);
}

void render_csv_groups(const struct render *r, const struct answer_group *groups, size_t count,
                       uint32_t other)
{
    char answer[ANSWER_BYTES_MAX + 1];
    char *runs = malloc(65536);
    assert(r && runs);
    fputs("state,reason,count,answer,agents\r\n", r->out);
    for (size_t i = 0; i < count; i++) {
        const struct answer_group *g = &groups[i];
        struct text t;
        text_init(&t, answer, sizeof answer);
        for (uint32_t at = 0; at < g->answer_bytes;) { /* its lines are lines of the field */
            const uint8_t *from = g->answer + at, *end = memchr(from, '\n', g->answer_bytes - at);
            size_t bytes = end ? (size_t)(end - from) : g->answer_bytes - at;
            text_add_safe(&t, from, bytes);
            if (end)
                text_char(&t, '\n');
            at += (uint32_t)bytes + (end ? 1u : 0u);
        }
        runs_format(r->topology, g->runs, g->run_count, runs, 65536);
        fprintf(r->out, "%s,%s,%u,", outcome_name(g->outcome),
                g->reason != REASON_NONE ? reason_name(g->reason) : "", g->count);
        render_csv_field(r, answer, false);
        render_csv_field(r, runs, true);
    }
    if (other)
        fprintf(r->out, "further groups,,%u,,\r\n", other);
    free(runs);
}
