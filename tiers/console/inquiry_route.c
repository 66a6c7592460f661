/* route-around. Flags (--where, --class) are resolved by the mesh first: agents that match now are
 * what is avoided, by their places; --dry-run ends there. Then the order goes out, and the agents
 * are read until their leads say that it holds. */
#include "tiers/console/dry_run.h"
#include "tiers/console/inquiry_int.h"
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define ROUTED_TRIES 100u
#define PLACES_TEXT  16384u

/* --- whom --- */

static int by_first(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* The agents that were found as places. False: error says that they are too scattered. */
static bool places_of(const struct pages *found, const struct topology *t, struct place_set *ret,
                      char error[COMMAND_ERROR_MAX])
{
    static char text[PLACES_TEXT];
    size_t at = 0;
    const char *why = NULL;
    struct run *runs = malloc((found->count + 1) * sizeof *runs);
    if (!runs) {
        snprintf(error, COMMAND_ERROR_MAX, "out of memory");
        return false;
    }
    for (size_t i = 0; i < found->count; i++) {
        uint32_t index = topology_index(t, found->rows[i].unit);
        runs[i] = (struct run){index, index};
    }
    qsort(runs, found->count, sizeof *runs, by_first);
    bool good = runs_format(t, runs, (uint32_t)found->count, text, sizeof text);
    free(runs);
    if (good && strcmp(text, "mesh") == 0) {
        *ret = (struct place_set){.count = 1};
        return true;
    }
    good = good && place_parse(text, strlen(text), t, ret, &at, &why);
    if (!good)
        snprintf(error, COMMAND_ERROR_MAX,
                 "--where: the %zu agents lie in more than %u places: name fewer with places",
                 found->count, RANGES_MAX);
    return good;
}

/* Whom the flags mean is known. */
static void resolved(struct task *t)
{
    struct inquiry *q = &t->inquiry;
    char error[COMMAND_ERROR_MAX] = "no agent matches: nothing was changed";
    struct command c = {.kind = COMMAND_ROUTE, .on = q->first.on};
    c.query = (struct query){.kind = QUERY_AGENTS, .limit = 1};
    if (dry_run_wanted(&t->invocation)) {
        dry_run_render(&t->render, &t->invocation, &q->agents);
        task_finish(t, q->agents.count ? EXIT_OK : EXIT_NOT_FOUND);
    } else if (q->agents.count == 0) {
        render_error(&t->render, "not-found", error);
        task_finish(t, EXIT_NOT_FOUND);
    } else if (!places_of(&q->agents, t->render.topology, &c.query.selector.places, error)) {
        render_error(&t->render, "usage", error);
        task_finish(t, EXIT_USAGE);
    } else {
        pages_done(&q->agents);
        q->first = c;
        inquiry_ask(t, STEP_FIRST, &c);
    }
}

/* --- until it holds --- */

static void show_routed(struct task *t, bool holds)
{
    struct inquiry *q = &t->inquiry;
    bool on = q->first.on;
    json_t *list = json_array();
    if (!t->render.json)
        fprintf(t->render.out, "Routing updated. %s:\n",
                on ? "Traffic now avoiding" : "Restored to normal");
    for (size_t i = 0; i < q->agents.count; i++) {
        const struct agent_row *a = &q->agents.rows[i].u.agent;
        char place[UNIT_TEXT_MAX];
        unit_format(q->agents.rows[i].unit, place);
        if (a->routed_around != on)
            continue;
        if (t->render.json)
            json_array_append_new(list, json_string(place));
        else if (i < 2 * DIAGNOSIS_SLOW_MAX)
            fprintf(t->render.out, "- %s (impedance %.0fms)\n", place,
                    (double)a->impedance.predicted_us / US_PER_MS);
        else if (i == 2 * DIAGNOSIS_SLOW_MAX)
            fprintf(t->render.out, "  and more: %zu in all\n", q->agents.count);
    }
    if (t->render.json) {
        json_t *all = json_pack("{s:b,s:b,s:O}", "avoid", on, "confirmed", holds, "agents", list);
        json_dumpf(all, t->render.out, JSON_COMPACT);
        fputc('\n', t->render.out);
        json_decref(all);
    } else if (!holds) {
        fputs("not every lead has confirmed it yet: it is said again every 5 s\n", t->render.out);
    }
    json_decref(list);
    task_finish(t, holds ? EXIT_OK : EXIT_PARTIAL);
}

void inquiry_route(struct task *t, const struct reply *reply)
{
    struct inquiry *q = &t->inquiry;
    assert(t->running && reply);
    if (q->first.kind == COMMAND_QUERY) {
        if (inquiry_of_kind(t, reply, REPLY_ROWS) &&
            inquiry_take_page(t, &q->agents, reply->rows, SIZE_MAX))
            resolved(t);
        return;
    }
    if (q->step == STEP_FIRST) {
        if (reply->kind != REPLY_LINE && inquiry_of_kind(t, reply, REPLY_OK))
            inquiry_ask_rows(t, STEP_SECOND, QUERY_AGENTS, &q->first.query.selector);
        return;
    }
    if (!inquiry_of_kind(t, reply, REPLY_ROWS) ||
        !inquiry_take_page(t, &q->agents, reply->rows, INQUIRY_AGENTS_MOST))
        return;
    bool holds = q->agents.missing == 0;
    for (size_t i = 0; i < q->agents.count; i++)
        holds = holds && q->agents.rows[i].u.agent.routed_around == q->first.on;
    if (!holds && ++q->tries < ROUTED_TRIES) {
        pages_done(&q->agents);
        inquiry_ask_rows(t, STEP_SECOND, QUERY_AGENTS, &q->first.query.selector);
        return;
    }
    show_routed(t, holds);
}
