#include "tiers/console/trace.h"

#include "core/num.h"
#include "core/trace_context.h"
#include "tiers/console/jobs.h"
#include "tiers/console/task.h"
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define BROKEN_SHOWN 10u

/* One stage of all units of a tier: the middle one and the worst. */
struct stage {
    const char *name, *what;
    int64_t *us;
    struct unit *units;
    size_t count;
};

enum stage_name { TO_SECTOR, TO_CLUSTER, TO_AGENT, AGENT, FROM_CLUSTER, FROM_SECTOR, STAGE_COUNT };

struct trace {
    const struct pages *pages;
    const struct page_row *root;
    struct stage stages[STAGE_COUNT];
};

static const struct page_row *row_of(const struct trace *t, struct unit u)
{
    for (size_t i = 0; i < t->pages->count; i++)
        if (unit_equal(t->pages->rows[i].unit, u))
            return &t->pages->rows[i];
    return NULL;
}

/* The row of the child that answered last; NULL: none did, or it says nothing. */
static const struct page_row *slowest_below(const struct trace *t, const struct page_row *row)
{
    char name[UNIT_TEXT_MAX];
    const char *why;
    struct unit u;
    record_value(row, "slowest", name, sizeof name);
    return name[0] && unit_parse(name, strlen(name), &u, &why) ? row_of(t, u) : NULL;
}

static void add(struct trace *t, enum stage_name name, struct unit u, int64_t from, int64_t to)
{
    struct stage *s = &t->stages[name];
    if (from <= 0 || to <= 0)
        return;
    s->us[s->count] = to > from ? to - from : 0;
    s->units[s->count++] = u;
}

static void measure(struct trace *t)
{
    int64_t began = t->root ? record_number(t->root, "opened") : 0;
    int64_t ended = t->root ? record_number(t->root, "last") : 0;
    const struct page_row *sector = NULL;
    for (size_t i = 0; i < t->pages->count; i++) {
        const struct page_row *row = &t->pages->rows[i];
        int64_t opened = record_number(row, "opened"), last = record_number(row, "last");
        if (row->unit.tier == TIER_SECTOR) {
            add(t, TO_SECTOR, row->unit, began, opened);
        } else if (row->unit.tier == TIER_CLUSTER) {
            struct unit parent = unit_sector(row->unit.sector);
            sector = sector && unit_equal(sector->unit, parent) ? sector : row_of(t, parent);
            add(t, TO_CLUSTER, row->unit, sector ? record_number(sector, "opened") : 0, opened);
            add(t, TO_AGENT, row->unit, opened, record_number(row, "sent"));
            add(t, AGENT, row->unit, record_number(row, "sent"), last);
        }
    }
    /* The way up is known where the slowest child is: its last answer, and when it came. */
    for (size_t i = 0; i < t->pages->count; i++) {
        const struct page_row *row = &t->pages->rows[i];
        const struct page_row *below = slowest_below(t, row);
        if (below && row->unit.tier == TIER_SECTOR)
            add(t, FROM_CLUSTER, below->unit, record_number(below, "last"),
                record_number(row, "last"));
        else if (below && row->unit.tier == TIER_ORCHESTRATOR)
            add(t, FROM_SECTOR, below->unit, record_number(below, "last"), ended);
    }
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return x < y ? -1 : x > y;
}

static double middle_ms(const struct stage *s)
{
    int64_t *copy = malloc(s->count * sizeof *copy);
    if (!copy)
        return 0;
    memcpy(copy, s->us, s->count * sizeof *copy);
    qsort(copy, s->count, sizeof *copy, compare);
    double middle = (double)copy[s->count / 2] / US_PER_MS;
    free(copy);
    return middle;
}

static size_t worst_of(const struct stage *s)
{
    size_t worst = 0;
    for (size_t i = 1; i < s->count; i++)
        worst = s->us[i] > s->us[worst] ? i : worst;
    return worst;
}

static void show_stages(const struct render *r, const struct trace *t)
{
    fprintf(r->out, "%-34s %6s %12s %12s  %s\n", "STAGE", "UNITS", "MIDDLE MS", "WORST MS",
            "WHERE");
    for (size_t i = 0; i < STAGE_COUNT; i++) {
        const struct stage *s = &t->stages[i];
        char unit[UNIT_TEXT_MAX];
        if (s->count == 0)
            continue;
        unit_format(s->units[worst_of(s)], unit);
        fprintf(r->out, "%-34s %6zu %12.1f %12.1f  %s\n", s->what, s->count, middle_ms(s),
                (double)s->us[worst_of(s)] / US_PER_MS, unit);
    }
}

static void step(const struct render *r, const char *what, const char *unit, int64_t began,
                 int64_t at)
{
    if (at > 0)
        fprintf(r->out, "  %+10.1f ms  %-14s %s\n", (double)(at - began) / US_PER_MS, unit, what);
}

/* Down to the agent that answered last, and up again. */
static void show_way(const struct render *r, const struct trace *t)
{
    const struct page_row *way[3] = {t->root};
    char names[3][UNIT_TEXT_MAX], agent[UNIT_TEXT_MAX];
    size_t n = t->root ? 1 : 0;
    while (n > 0 && n < 3 && (way[n] = slowest_below(t, way[n - 1])) != NULL)
        n++;
    if (n < 2)
        return;
    int64_t began = record_number(t->root, "opened");
    for (size_t i = 0; i < n; i++)
        unit_format(way[i]->unit, names[i]);
    fputs("the slowest way:\n", r->out);
    step(r, "admitted it", names[0], began, began);
    for (size_t i = 1; i < n; i++)
        step(r, "had it", names[i], began, record_number(way[i], "opened"));
    if (n == 3) {
        record_value(way[2], "slowest", agent, sizeof agent);
        step(r, "sent it to its first agent", names[2], began, record_number(way[2], "sent"));
        step(r, "answered, the last of its cluster", agent, began, record_number(way[2], "last"));
    }
    for (size_t i = n < 3 ? n : 2; i-- > 0;)
        step(r, "had the last result from below", names[i], began, record_number(way[i], "last"));
}

static size_t show_broken(const struct render *r, const struct trace *t)
{
    size_t broken = 0;
    for (size_t i = 0; i < t->pages->count; i++) {
        const struct page_row *row = &t->pages->rows[i];
        char unit[UNIT_TEXT_MAX], first[UNIT_TEXT_MAX];
        int64_t targets = record_number(row, "targets"), answered = record_number(row, "answered");
        int64_t waiting = record_number(row, "waiting");
        bool lead = row->unit.tier == TIER_CLUSTER;
        bool here = lead ? answered < targets
                         : record_number(row, "children_waiting") > 0 ||
                               record_number(row, "unreachable") > 0;
        if (!here || broken++ >= BROKEN_SHOWN)
            continue;
        if (broken == 1 && !r->json)
            fputs("where it broke or still waits:\n", r->out);
        unit_format(row->unit, unit);
        record_value(row, "waits_for", first, sizeof first);
        fprintf(r->out, "  %-10s %lld of %lld answered, %lld still waited for%s%s", unit,
                (long long)answered, (long long)targets, (long long)waiting,
                first[0] ? ", the first is " : "", first);
        if (record_number(row, "unreachable") > 0)
            fprintf(r->out, ", %lld unreachable", (long long)record_number(row, "unreachable"));
        if (record_number(row, "resent") > 0)
            fprintf(r->out, ", %lld sent again", (long long)record_number(row, "resent"));
        if (record_number(row, "late") > 0)
            fprintf(r->out, ", %lld answered late", (long long)record_number(row, "late"));
        fputc('\n', r->out);
    }
    if (broken > BROKEN_SHOWN)
        fprintf(r->out, "  and %zu units more\n", broken - BROKEN_SHOWN);
    return broken;
}

/* The lines of a record as an object: figures as numbers. */
static json_t *unit_object(const struct page_row *row)
{
    json_t *o = json_object();
    char unit[UNIT_TEXT_MAX], line[128];
    unit_format(row->unit, unit);
    json_object_set_new(o, "unit", json_string(unit));
    const char *at = row->u.record.text, *end = at + row->u.record.bytes;
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        snprintf(line, sizeof line, "%.*s", (int)(stop - at), at);
        char *equals = strchr(line, '='), *rest = NULL;
        if (equals) {
            *equals = '\0';
            long long number = strtoll(equals + 1, &rest, 10);
            bool figure = equals[1] && !*rest;
            json_object_set_new(o, line, figure ? json_integer(number) : json_string(equals + 1));
        }
        at = stop + 1;
    }
    return o;
}

static void show_json(const struct render *r, const struct trace *t)
{
    json_t *stages = json_object(), *units = json_array();
    for (size_t i = 0; i < STAGE_COUNT; i++) {
        const struct stage *s = &t->stages[i];
        char unit[UNIT_TEXT_MAX];
        if (s->count == 0)
            continue;
        unit_format(s->units[worst_of(s)], unit);
        json_object_set_new(stages, s->name,
                            json_pack("{s:I,s:f,s:f,s:s}", "units", (json_int_t)s->count,
                                      "middle_ms", middle_ms(s), "worst_ms",
                                      (double)s->us[worst_of(s)] / US_PER_MS, "worst", unit));
    }
    for (size_t i = 0; i < t->pages->count; i++)
        json_array_append_new(units, unit_object(&t->pages->rows[i]));
    json_t *o = json_pack("{s:o,s:o,s:I}", "stages", stages, "units", units, "units_missing",
                          (json_int_t)t->pages->missing);
    json_dumpf(o, r->out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', r->out);
    json_decref(o);
}

/* The W3C trace that it belongs to, when who started it gave one. */
static void show_context(const struct render *r, const struct trace *t)
{
    char given[TRACEPARENT_MAX];
    struct trace_context c;
    char id[ID128_TEXT_MAX];
    record_value(t->root, "traceparent", given, sizeof given);
    if (!given[0] || traceparent_parse(given, &c))
        return;
    num_id128_format(c.trace, id);
    fprintf(r->out, "trace %s, started under span %016llx\n", id, (unsigned long long)c.parent);
}

static void show(const struct render *r, const struct trace *t)
{
    char action[ACTION_MAX], n[32], m[32];
    int64_t last = t->root ? record_number(t->root, "last") : 0;
    if (t->root)
        fprintf(r->out, "%s: %s of %s answered, %.1f ms from admission to the last result\n",
                record_value(t->root, "action", action, sizeof action),
                render_count((uint64_t)record_number(t->root, "answered"), n),
                render_count((uint64_t)record_number(t->root, "targets"), m),
                last > 0 ? (double)(last - record_number(t->root, "opened")) / US_PER_MS : 0.0);
    if (t->root)
        show_context(r, t);
    show_stages(r, t);
    show_way(r, t);
    if (show_broken(r, t) == 0)
        fputs("nothing broke: every target that was sent to answered\n", r->out);
    if (t->pages->missing)
        fprintf(r->out, "no answer from %u units below: what they know is not in it\n",
                t->pages->missing);
}

int trace_render(const struct render *r, const struct pages *pages)
{
    static const char *const texts[STAGE_COUNT][2] = {
        {"to_sector", "orchestrator to sector"},
        {"to_cluster", "sector to cluster"},
        {"to_agent", "cluster: until its first send"},
        {"agents", "agents: first send to last answer"},
        {"from_cluster", "last answer to its sector"},
        {"from_sector", "sector to orchestrator"}};
    struct trace t = {.pages = pages};
    assert(r && pages);
    size_t room = pages->count + 1;
    int64_t *us = calloc(STAGE_COUNT * room, sizeof *us);
    struct unit *units = calloc(STAGE_COUNT * room, sizeof *units);
    if (!us || !units) {
        free(us);
        free(units);
        render_error(r, "", "out of memory");
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < STAGE_COUNT; i++)
        t.stages[i] = (struct stage){.name = texts[i][0],
                                     .what = texts[i][1],
                                     .us = us + i * room,
                                     .units = units + i * room};
    for (size_t i = 0; i < pages->count && !t.root; i++)
        if (pages->rows[i].unit.tier == TIER_ORCHESTRATOR)
            t.root = &pages->rows[i];
    measure(&t);
    if (pages->count == 0)
        render_error(r, "not-found",
                     "nothing is known of it any more: ways are kept for a minute ('jobs' keeps "
                     "results longer)");
    else if (r->json)
        show_json(r, &t);
    else
        show(r, &t);
    free(us);
    free(units);
    return pages->count == 0 ? EXIT_NOT_FOUND : pages->missing ? EXIT_PARTIAL : EXIT_OK;
}
