/* The findings as text, in the shape of spec 7.2, and as JSON. */
#include "core/types.h"
#include "tiers/console/diagnosis.h"
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_MAX (DIAGNOSIS_SLOW_MAX * UNIT_TEXT_MAX)

static void json_line(const struct render *r, json_t *object)
{
    json_dumpf(object, r->out, JSON_COMPACT);
    fputc('\n', r->out);
    json_decref(object);
}

static json_t *unit_json(struct unit u)
{
    char text[UNIT_TEXT_MAX];
    unit_format(u, text);
    return json_string(text);
}

/* "4 minutes 23 seconds" */
static const char *long_span(int64_t us, char ret[64])
{
    long long s = us / US_PER_S;
    if (us < 10 * US_PER_S)
        snprintf(ret, 64, "%.1f seconds", (double)us / US_PER_S);
    else if (s < 60)
        snprintf(ret, 64, "%lld seconds", s);
    else if (s < 3600)
        snprintf(ret, 64, "%lld minute%s %lld second%s", s / 60, s / 60 == 1 ? "" : "s", s % 60,
                 s % 60 == 1 ? "" : "s");
    else
        snprintf(ret, 64, "%lld hour%s %lld minute%s", s / 3600, s / 3600 == 1 ? "" : "s",
                 s % 3600 / 60, s % 3600 / 60 == 1 ? "" : "s");
    return ret;
}

/* --- a place --- */

struct place_sums {
    uint32_t agents, active, quarantined, away, breakers;
    uint64_t impedance_us;
    uint32_t machines; /* active ones that are not people */
    double mean_ms, mesh_mean_ms;
};

static void sum_place(const struct place_report *p, struct place_sums *ret)
{
    *ret = (struct place_sums){0};
    for (size_t i = 0; i < p->cluster_count; i++) {
        const struct summary *s = p->clusters[i].u.summary;
        ret->agents += s->agents;
        ret->active += s->active;
        ret->quarantined += s->quarantined;
        ret->away += s->offline;
        ret->breakers += s->circuit == CIRCUIT_OPEN;
        ret->impedance_us += s->impedance_sum_us;
        ret->machines +=
            s->active - (s->class_active[CLASS_F_HUMAN] < s->active ? s->class_active[CLASS_F_HUMAN]
                                                                    : s->active);
    }
    ret->mean_ms =
        ret->machines ? (double)ret->impedance_us / ret->machines / (double)US_PER_MS : 0;
    ret->mesh_mean_ms = (double)summary_mean_us(&p->mesh.summary) / US_PER_MS;
}

static const char *mean_word(const struct place_sums *s)
{
    if (s->mesh_mean_ms <= 0 || s->mean_ms <= 1.15 * s->mesh_mean_ms)
        return "";
    return s->mean_ms <= 2 * s->mesh_mean_ms ? " (slightly elevated)" : " (elevated)";
}

/* The longest that this agent has had a task; 0: none that is old. */
static int64_t stuck_for(const struct place_report *p, struct unit agent)
{
    int64_t most = 0;
    for (size_t i = 0; i < p->work_count; i++)
        if (unit_equal(p->work[i].agent, agent) && p->work[i].age_us > most)
            most = p->work[i].age_us;
    return most >= DIAGNOSIS_STUCK_US ? most : 0;
}

struct slow {
    const struct agent_row *row;
    struct unit unit;
    double ms;
    int64_t stuck_us;
};

static int worst_first(const void *a, const void *b)
{
    const struct slow *x = a, *y = b;
    if (x->stuck_us != y->stuck_us)
        return x->stuck_us > y->stuck_us ? -1 : 1;
    return x->ms > y->ms ? -1 : x->ms < y->ms;
}

/* An array for the caller to free; NULL: no memory, or nobody. */
static struct slow *find_slow(const struct place_report *p, size_t *ret_count)
{
    struct holders all;
    struct slow *list = calloc(p->agent_count ? p->agent_count : 1, sizeof *list);
    *ret_count = 0;
    holders_count(p->agents, p->agent_count, &all);
    for (size_t i = 0; list && i < p->agent_count; i++) {
        const struct agent_row *a = &p->agents[i].u.agent;
        double ms = (double)a->impedance.predicted_us / US_PER_MS;
        int64_t stuck_us = stuck_for(p, p->agents[i].unit);
        bool slow = ms > DIAGNOSIS_SLOW_MS && ms > 2 * all.median_ms[a->agent_class];
        if (a->agent_class != CLASS_F_HUMAN && (slow || stuck_us > 0))
            list[(*ret_count)++] = (struct slow){a, p->agents[i].unit, ms, stuck_us};
    }
    if (list)
        qsort(list, *ret_count, sizeof *list, worst_first);
    return list;
}

static void keep_slow(const struct slow *list, size_t count, struct findings *ret)
{
    ret->slow_count = (uint32_t)count;
    ret->all_avoided = count > 0;
    for (size_t i = 0; i < count && i < DIAGNOSIS_SLOW_MAX; i++) {
        ret->slow[i] = list[i].unit;
        ret->slow_ms[i] = list[i].ms;
        ret->all_avoided = ret->all_avoided && list[i].row->routed_around;
    }
}

/* The cluster with most of them. */
static struct unit worst_cluster(const struct slow *list, size_t count, uint32_t *ret_there)
{
    struct unit worst = topology_parent(list[0].unit);
    *ret_there = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t there = 0;
        for (size_t k = 0; k < count; k++)
            there += unit_equal(topology_parent(list[k].unit), topology_parent(list[i].unit));
        if (there > *ret_there) {
            *ret_there = there;
            worst = topology_parent(list[i].unit);
        }
    }
    return worst;
}

static void notable_text(const struct render *r, const struct slow *list, size_t count)
{
    char cluster[UNIT_TEXT_MAX], unit[UNIT_TEXT_MAX], span[64];
    uint32_t there, stuck = 0;
    unit_format(worst_cluster(list, count, &there), cluster);
    for (size_t i = 0; i < count; i++)
        stuck += list[i].stuck_us > 0 &&
                 unit_equal(topology_parent(list[i].unit), worst_cluster(list, count, &there));
    fprintf(r->out, "- Notable: Cluster %s has %u agent%s ", cluster, there, there == 1 ? "" : "s");
    if (stuck > 0)
        fprintf(r->out, "that %s slow (%u stuck on a task)\n", there == 1 ? "is" : "are", stuck);
    else
        fprintf(r->out, "with impedance > %ums\n", DIAGNOSIS_SLOW_MS);
    for (size_t i = 0; i < count && i < DIAGNOSIS_SLOW_MAX; i++) {
        unit_format(list[i].unit, unit);
        fprintf(r->out, "    %s %s, impedance %.0fms", unit, class_name(list[i].row->agent_class),
                list[i].ms);
        if (list[i].stuck_us > 0)
            fprintf(r->out, ", on one task for %s", long_span(list[i].stuck_us, span));
        fputs(list[i].row->routed_around ? ", routed around\n" : "\n", r->out);
    }
    if (count > DIAGNOSIS_SLOW_MAX)
        fprintf(r->out, "    and %zu more\n", count - DIAGNOSIS_SLOW_MAX);
    fprintf(r->out, "Recommendation: Investigate slow agents in cluster %s.\n", cluster);
}

static void place_text(const struct render *r, const struct place_report *p,
                       const struct place_sums *s, const struct slow *list, size_t count)
{
    char scope[UNIT_TEXT_MAX], span[32];
    unit_format(p->scope, scope);
    if (p->scope.tier == TIER_SECTOR)
        fprintf(r->out, "Sector %u Status:\n", p->scope.sector);
    else
        fprintf(r->out, "Cluster %u-%u Status:\n", p->scope.sector, p->scope.cluster);
    fprintf(r->out, "- %u/%u agents active\n", s->active, s->agents);
    fprintf(r->out, "- Mean impedance: %.0fms%s\n", s->mean_ms, mean_word(s));
    if (s->quarantined > 0)
        fprintf(r->out, "- %u agent%s in quarantine\n", s->quarantined,
                s->quarantined == 1 ? "" : "s");
    if (s->away > 0)
        fprintf(r->out, "- %u agent%s offline\n", s->away, s->away == 1 ? "" : "s");
    if (s->breakers > 0)
        fprintf(r->out, "- %u circuit breaker%s open\n", s->breakers, s->breakers == 1 ? "" : "s");
    if (p->mesh.last_cascade_mesh_us > 0)
        fprintf(r->out, "- Last successful cascade: %s ago\n",
                render_span(p->mesh.summary.updated_mesh_us - p->mesh.last_cascade_mesh_us, span));
    else
        fputs("- Last successful cascade: never\n", r->out);
    if (p->missing > 0)
        fprintf(r->out, "- %u cluster lead%s did not answer\n", p->missing,
                p->missing == 1 ? "" : "s");
    if (count > 0)
        notable_text(r, list, count);
    else if (s->breakers > 0 || s->away > 0)
        fprintf(r->out, "Recommendation: heal %s.\n", scope);
    else
        fputs("Nothing to do: no agent is slow or stuck.\n", r->out);
}

static void place_json(const struct render *r, const struct place_report *p,
                       const struct place_sums *s, const struct slow *list, size_t count)
{
    json_t *slow = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(
            slow, json_pack("{s:o,s:s,s:f,s:f,s:b}", "agent", unit_json(list[i].unit), "class",
                            class_name(list[i].row->agent_class), "impedance_ms", list[i].ms,
                            "stuck_s", (double)list[i].stuck_us / US_PER_S, "routed_around",
                            list[i].row->routed_around));
    json_line(r,
              json_pack("{s:o,s:i,s:i,s:i,s:i,s:i,s:f,s:f,s:i,s:o}", "scope", unit_json(p->scope),
                        "agents", (int)s->agents, "active", (int)s->active, "quarantined",
                        (int)s->quarantined, "offline", (int)s->away, "breakers_open",
                        (int)s->breakers, "mean_impedance_ms", s->mean_ms, "mesh_mean_impedance_ms",
                        s->mesh_mean_ms, "leads_missing", (int)p->missing, "slow", slow));
}

void diagnosis_place(const struct render *r, const struct place_report *p, struct findings *ret)
{
    struct place_sums sums;
    size_t count = 0;
    assert(r && p && ret);
    *ret = (struct findings){0};
    sum_place(p, &sums);
    struct slow *list = find_slow(p, &count);
    keep_slow(list, count, ret);
    (r->json ? place_json : place_text)(r, p, &sums, list, count);
    free(list);
}

/* --- what they are stuck on --- */

struct group { /* agents with the same task that wait for the same */
    const struct work_row *first;
    uint32_t count;
    struct unit agents[DIAGNOSIS_SLOW_MAX];
    int64_t oldest_us;
    struct verdict verdict;
};

static bool same_group(const struct work_row *a, const struct work_row *b)
{
    return num_id128_equal(a->operation, b->operation) && a->agent_class == b->agent_class &&
           strcmp(a->waiting_on, b->waiting_on) == 0;
}

static size_t make_groups(const struct render *r, const struct stuck_report *s, struct group *ret)
{
    size_t count = 0;
    for (size_t i = 0; i < s->work_count; i++) {
        size_t k = 0;
        while (k < count && !same_group(ret[k].first, &s->work[i]))
            k++;
        if (k == count)
            ret[count++] = (struct group){.first = &s->work[i]};
        struct group *g = &ret[k];
        if (g->count < DIAGNOSIS_SLOW_MAX)
            g->agents[g->count] = s->work[i].agent;
        g->count++;
        g->oldest_us = s->work[i].age_us > g->oldest_us ? s->work[i].age_us : g->oldest_us;
    }
    for (size_t k = 0; k < count; k++) {
        const struct work_row *w = ret[k].first;
        const char *capability = diagnosis_capability(w, s->actions);
        const struct holders nobody = {0};
        bool known = strcmp(capability, s->capability) == 0;
        diagnosis_judge(r->topology, w, action_find(s->actions, w->action), capability,
                        known ? &s->holders : &nobody, &ret[k].verdict);
    }
    return count;
}

static void group_text(const struct render *r, const struct group *g, const char *capability)
{
    char places[PLACES_MAX], span[64], id[ID128_TEXT_MAX];
    const struct work_row *w = g->first;
    uint32_t named = g->count < DIAGNOSIS_SLOW_MAX ? g->count : DIAGNOSIS_SLOW_MAX;
    findings_places(g->agents, named, places, sizeof places);
    num_id128_format(w->operation, id);
    fprintf(r->out, "%s%s stuck on:\n", places,
            g->count == 1   ? " is"
            : g->count == 2 ? " are both"
                            : " and others are");
    fprintf(r->out, "- Task: \"%s\" (action %s, operation %s)\n", w->task, w->action, id);
    fprintf(r->out, "- Waiting on: %s\n",
            w->waiting_on[0] ? w->waiting_on
            : w->running     ? "its handler, which says nothing"
                             : "the agent's acknowledgement");
    fprintf(r->out, "- Duration: %s\n", long_span(g->oldest_us, span));
    if (g->verdict.cause == CAUSE_CLASS)
        fprintf(r->out, "Root cause: %s %s agent%s with a task for %s%s%s%s: %s.\n",
                g->count == 1 ? "this is a" : "these are", class_name(w->agent_class),
                g->count == 1 ? "" : "s", class_name(g->verdict.home), capability[0] ? " ('" : "",
                capability, capability[0] ? "')" : "", g->verdict.why);
    else
        fprintf(r->out, "Root cause: %s (%s).\n", cause_name(g->verdict.cause), g->verdict.why);
}

static json_t *group_json(const struct group *g, const char *capability)
{
    char id[ID128_TEXT_MAX];
    const struct work_row *w = g->first;
    json_t *agents = json_array();
    num_id128_format(w->operation, id);
    for (uint32_t i = 0; i < g->count && i < DIAGNOSIS_SLOW_MAX; i++)
        json_array_append_new(agents, unit_json(g->agents[i]));
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:i,s:f,s:b,s:s,s:s,s:s}", "operation", id, "action",
                     w->action, "task", w->task, "waiting_on", w->waiting_on, "class",
                     class_name(w->agent_class), "agents", agents, "agent_count", (int)g->count,
                     "duration_s", (double)g->oldest_us / US_PER_S, "acknowledged", w->running,
                     "capability", capability, "cause", cause_name(g->verdict.cause), "why",
                     g->verdict.why);
}

static void keep_stuck(const struct group *g, const char *capability, struct findings *ret)
{
    ret->stuck = true;
    ret->operation = g->first->operation;
    ret->verdict = g->verdict;
    ret->agent_class = g->first->agent_class;
    snprintf(ret->capability, sizeof ret->capability, "%s", capability);
    ret->agent_count = g->count < DIAGNOSIS_SLOW_MAX ? g->count : DIAGNOSIS_SLOW_MAX;
    memcpy(ret->agents, g->agents, ret->agent_count * sizeof *g->agents);
}

void diagnosis_stuck(const struct render *r, const struct stuck_report *s, struct findings *ret)
{
    static struct group groups[DIAGNOSIS_WORK_MAX];
    json_t *list = r->json ? json_array() : NULL;
    assert(s && ret && s->work_count <= DIAGNOSIS_WORK_MAX);
    *ret = (struct findings){0};
    size_t count = make_groups(r, s, groups);
    for (size_t k = 0; k < count; k++) {
        const char *capability = diagnosis_capability(groups[k].first, s->actions);
        bool better = ret->stuck && ret->verdict.cause != CAUSE_CLASS &&
                      groups[k].verdict.cause == CAUSE_CLASS;
        if (!ret->stuck || better)
            keep_stuck(&groups[k], capability, ret);
        if (r->json)
            json_array_append_new(list, group_json(&groups[k], capability));
        else
            group_text(r, &groups[k], capability);
    }
    if (r->json)
        json_line(r, json_pack("{s:o,s:i}", "stuck", list, "leads_missing", (int)s->missing));
    else if (count == 0)
        fputs("Nobody is stuck.\n", r->out);
    if (!r->json && s->missing > 0)
        fprintf(r->out, "%u cluster leads did not answer\n", s->missing);
}
