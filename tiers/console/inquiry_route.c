/* route-around. Flags (--where, --class) are resolved by the mesh first: agents that match now are
 * what is avoided, by their places; --dry-run ends there. Then the order goes out, and the agents
 * are read until their leads say that it holds. An --undo first reads whom new work avoids: only
 * those are restored, and told of. */
#include "tiers/console/dry_run.h"
#include "tiers/console/inquiry_int.h"
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define ROUTED_TRIES 100u
#define ROUTED_SHOWN ((size_t)2 * DIAGNOSIS_SLOW_MAX) /* agents, by name */
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
        inquiry_route_order(t, &c);
    }
}

/* --- whom new work avoids until now --- */

#define AVOIDS "new work avoids "

void inquiry_route_order(struct task *t, const struct command *order)
{
    struct command table = {.kind = COMMAND_ROUTE};
    assert(t && order->kind == COMMAND_ROUTE);
    table.query = (struct query){.kind = QUERY_AGENTS, .limit = 1};
    inquiry_ask(t, order->on ? STEP_FIRST : STEP_FOURTH, order->on ? order : &table);
}

/* A line of the table. */
static void take_avoided(struct inquiry *q, const struct topology *t, const char *line)
{
    struct place_set more;
    size_t at = 0;
    const char *why = NULL;
    if (strncmp(line, AVOIDS, strlen(AVOIDS)) != 0 || strstr(line, "nobody"))
        return;
    line += strlen(AVOIDS);
    if (!place_parse(line, strlen(line), t, &more, &at, &why) ||
        q->avoided.count + more.count > RANGES_MAX) {
        q->avoided = q->first.query.selector.places; /* too scattered: all of them, then */
        return;
    }
    memcpy(q->avoided.patterns + q->avoided.count, more.patterns,
           more.count * sizeof *more.patterns);
    q->avoided.count += more.count;
}

/* Whether this agent is one of those that the order is about. */
static bool concerns(const struct inquiry *q, struct unit agent)
{
    return q->first.on || (q->avoided.count > 0 && place_has_agent(&q->avoided, agent) &&
                           place_has_agent(&q->first.query.selector.places, agent));
}

static void ask_agents(struct task *t)
{
    struct inquiry *q = &t->inquiry;
    struct selector whom = q->first.query.selector;
    if (!q->first.on && q->avoided.count > 0)
        whom.places = q->avoided;
    inquiry_ask_rows(t, STEP_SECOND, QUERY_AGENTS, &whom);
}

/* --- until it holds --- */

static void show_routed(struct task *t, bool holds)
{
    struct inquiry *q = &t->inquiry;
    bool on = q->first.on;
    size_t shown = 0;
    json_t *list = json_array();
    if (!t->render.json)
        fprintf(t->render.out, "Routing updated. %s:\n",
                on ? "Traffic now avoiding" : "Restored to normal");
    for (size_t i = 0; i < q->agents.count; i++) {
        const struct agent_row *a = &q->agents.rows[i].u.agent;
        char place[UNIT_TEXT_MAX];
        unit_format(q->agents.rows[i].unit, place);
        if (a->routed_around != on || !concerns(q, q->agents.rows[i].unit))
            continue;
        if (t->render.json)
            json_array_append_new(list, json_string(place));
        else if (++shown <= ROUTED_SHOWN)
            fprintf(t->render.out, "- %s (impedance %.0fms)\n", place,
                    (double)a->impedance.predicted_us / US_PER_MS);
    }
    if (!t->render.json && shown > ROUTED_SHOWN)
        fprintf(t->render.out, "  and more: %zu in all\n", shown);
    if (!t->render.json && shown == 0)
        fputs(on ? "- nobody\n" : "- nobody: new work avoided none of them\n", t->render.out);
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
    if (q->step == STEP_FOURTH) {
        if (reply->kind == REPLY_LINE)
            take_avoided(q, t->render.topology, reply->text ? reply->text : "");
        else if (inquiry_of_kind(t, reply, REPLY_OK) && q->avoided.count == 0)
            show_routed(t, true);
        else if (reply->kind == REPLY_OK)
            inquiry_ask(t, STEP_FIRST, &q->first);
        return;
    }
    if (q->step == STEP_FIRST) {
        if (reply->kind != REPLY_LINE && inquiry_of_kind(t, reply, REPLY_OK))
            ask_agents(t);
        return;
    }
    if (!inquiry_of_kind(t, reply, REPLY_ROWS) ||
        !inquiry_take_page(t, &q->agents, reply->rows, INQUIRY_AGENTS_MOST))
        return;
    bool holds = q->agents.missing == 0;
    for (size_t i = 0; i < q->agents.count; i++)
        holds = holds && (q->agents.rows[i].u.agent.routed_around == q->first.on ||
                          !concerns(q, q->agents.rows[i].unit));
    if (!holds && ++q->tries < ROUTED_TRIES) {
        pages_done(&q->agents);
        ask_agents(t);
        return;
    }
    show_routed(t, holds);
}
