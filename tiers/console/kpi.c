#include "tiers/console/kpi.h"

#include "tiers/console/columns.h"
#include "tiers/console/jobs.h"
#include <assert.h>
#include <jansson.h>
#include <string.h>

/* A smaller change than this is none: tenths of a percent, or 2 % of a time. */
#define SAME_PERCENT 0.1
#define SAME_SHARE   0.02

static const char *const trend_names[] = {
    [KPI_TREND_UNKNOWN] = "-", [KPI_BETTER] = "better", [KPI_SAME] = "same", [KPI_WORSE] = "worse"};

/* Each is a share of two figures in percent (`whole` given), or a figure times `scale`. */
static const struct {
    const char *name, *target, *unit, *part, *whole;
    double scale, bound;
    bool more; /* is better */
} table[KPI_COUNT] = {
    {"coordination_success_rate", ">= 99 %", "%", "quorums_achieved", "quorums", 100, 99, true},
    {"arrival_window_hit_rate", ">= 95 %", "%", "window_hits", "window_eligible", 100, 95, true},
    {"impedance_prediction_accuracy", "within 50 ms for 90 %", "%", "predicted_50ms", "predicted",
     100, 90, true},
    {"conflict_rate", "<= 1 %", "%", "conflicts", "answers", 100, 1, false},
    {"mesh_availability", ">= 99.9 %", "%", "available_us", "observed_us", 100, 99.9, true},
    {"cascade_latency_p95", "<= 1000 ms (A, B)", "ms", "cascade_fast_p95_us", NULL, 1e-3, 1000,
     false},
    {"cascade_latency_p95_all", "", "ms", "cascade_p95_us", NULL, 1e-3, 0, false},
    {"recovery_time_cluster", "<= 300 s", "s", "cluster_recovery_max_us", NULL, 1e-6, 300, false},
    {"recovery_time_sector", "<= 900 s", "s", "sector_recovery_max_us", NULL, 1e-6, 900, false},
};

static const struct page_row *row_of(const struct pages *pages, enum kpi_over over, bool before)
{
    for (size_t i = 0; i < pages->count; i++) {
        char name[16];
        record_value(&pages->rows[i], "over", name, sizeof name);
        if (strcmp(name, kpi_over_name(over)) == 0 &&
            (record_number(&pages->rows[i], "before") != 0) == before)
            return &pages->rows[i];
    }
    return NULL;
}

static bool value_of(const struct page_row *row, size_t i, double *ret)
{
    int64_t part = record_number(row, table[i].part);
    int64_t whole = table[i].whole ? record_number(row, table[i].whole) : 1;
    *ret = whole > 0 ? (double)part / (double)whole * table[i].scale : 0;
    return table[i].whole ? whole > 0 : part > 0;
}

static enum kpi_trend trend_of(const struct kpi *k, bool more)
{
    if (!k->known || !k->known_before)
        return KPI_TREND_UNKNOWN;
    double change = k->value - k->before;
    double size = change < 0 ? -change : change;
    double same = k->unit[0] == '%' ? SAME_PERCENT : SAME_SHARE * k->before;
    if (size < same || size == 0)
        return KPI_SAME;
    return (change > 0) == more ? KPI_BETTER : KPI_WORSE;
}

bool kpi_view(const struct pages *pages, enum kpi_over over, struct kpi_view *ret)
{
    assert(pages && ret);
    const struct page_row *now = row_of(pages, over, false), *before = row_of(pages, over, true);
    if (!now || !before)
        return false;
    *ret = (struct kpi_view){.from_us = record_number(now, "from"),
                             .before_us = record_number(before, "from"),
                             .observed_us = record_number(now, "observed_us")};
    for (size_t i = 0; i < KPI_COUNT; i++) {
        struct kpi *k = &ret->kpis[i];
        k->name = table[i].name;
        k->target = table[i].target;
        k->unit = table[i].unit;
        k->known = value_of(now, i, &k->value);
        k->known_before = value_of(before, i, &k->before);
        k->met = table[i].more ? k->value >= table[i].bound : k->value <= table[i].bound;
        k->trend = trend_of(k, table[i].more);
    }
    return true;
}

static bool judged(const struct kpi *k)
{
    return k->known && k->target[0] != '\0';
}

static void render_object(const struct render *r, const struct kpi_view *v, enum kpi_over over)
{
    json_t *o = json_object();
    char when[40];
    json_object_set_new(o, "over", json_string(kpi_over_name(over)));
    json_object_set_new(o, "since", json_string(render_time(v->from_us, when)));
    json_object_set_new(o, "observed_s", json_real((double)v->observed_us / 1e6));
    for (size_t i = 0; i < KPI_COUNT; i++) {
        const struct kpi *k = &v->kpis[i];
        bool trend = k->trend != KPI_TREND_UNKNOWN;
        json_t *one = json_object();
        json_object_set_new(one, "value", k->known ? json_real(k->value) : json_null());
        json_object_set_new(one, "unit", json_string(k->unit));
        json_object_set_new(one, "target", json_string(k->target));
        json_object_set_new(one, "met", judged(k) ? json_boolean(k->met) : json_null());
        json_object_set_new(one, "before", k->known_before ? json_real(k->before) : json_null());
        json_object_set_new(one, "trend", trend ? json_string(trend_names[k->trend]) : json_null());
        json_object_set_new(o, k->name, one);
    }
    json_dumpf(o, r->out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', r->out);
    json_decref(o);
}

static void format(const struct kpi *k, bool known, double value, char ret[40])
{
    if (known)
        snprintf(ret, 40, "%.*f %s",
                 k->unit[0] == '%'   ? 2
                 : k->unit[0] == 's' ? 1
                                     : 0,
                 value, k->unit);
    else
        snprintf(ret, 40, "no data");
}

static const struct column columns[] = {{"KPI", 29, true, 0},     {"VALUE", 10, false, 0},
                                        {"BEFORE", 12, false, 4}, {"TREND", 7, true, 3},
                                        {"TARGET", 22, true, 2},  {"MET", 3, true, 1}};

#define COLUMNS (sizeof columns / sizeof *columns)

void kpi_render(const struct render *r, const struct pages *pages, enum kpi_over over)
{
    struct kpi_view v;
    char span[32], when[40], line[256];
    assert(r && pages);
    if (!kpi_view(pages, over, &v)) {
        render_error(r, "invalid", "kpi: the orchestrator's answer lacks this span");
        return;
    }
    if (r->json) {
        render_object(r, &v, over);
        return;
    }
    uint32_t shown = columns_fit(columns, COLUMNS, columns_width(r));
    columns_line(columns, COLUMNS, shown, NULL, line, sizeof line);
    fprintf(r->out, "%s\n", line);
    for (size_t i = 0; i < KPI_COUNT; i++) {
        const struct kpi *k = &v.kpis[i];
        char cells[COLUMNS][CELL_BYTES];
        snprintf(cells[0], CELL_BYTES, "%s", k->name);
        format(k, k->known, k->value, cells[1]);
        format(k, k->known_before, k->before, cells[2]);
        snprintf(cells[3], CELL_BYTES, "%s", trend_names[k->trend]);
        snprintf(cells[4], CELL_BYTES, "%s", k->target[0] ? k->target : "-");
        snprintf(cells[5], CELL_BYTES, "%s", !judged(k) ? "-" : (k->met ? "yes" : "no"));
        columns_line(columns, COLUMNS, shown, cells, line, sizeof line);
        fprintf(r->out, "%s\n", line);
    }
    fprintf(r->out, "over the last %s, since %s; the mesh was watched for %s of it\n",
            kpi_over_name(over), render_time(v.from_us, when), render_span(v.observed_us, span));
}
