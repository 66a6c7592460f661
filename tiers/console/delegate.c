#include "tiers/console/delegate.h"

#include "core/num.h"
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

void delegate_query(struct task *t)
{
    t->delegated = t->command.operation;
    t->delegate_count = 0;
    struct query query = {.kind = QUERY_AGENTS,
                          .selector = t->delegated.selector,
                          .from_start = true,
                          .routable = true,
                          .limit = PAGE_ROWS_MAX};
    query.selector.state_mask = 1u << AGENT_ACTIVE | 1u << AGENT_DEGRADED;
    t->command = (struct command){.kind = COMMAND_QUERY, .query = query};
}

bool delegate_send(struct task *t)
{
    bool one = t->invocation.spec->verb == CMD_PIPELINE; /* a stage goes to one agent */
    const struct value *several = one ? NULL : command_value(&t->invocation, "several");
    uint32_t wanted = several && several->given ? (uint32_t)several->number : 1;
    struct operation *op = &t->delegated;
    op->selector.places = (struct place_set){0};
    for (size_t i = 0; i < t->pages.count && t->delegate_count < wanted; i++) {
        struct unit u = t->pages.rows[i].unit;
        if (t->pages.rows[i].u.agent.routed_around)
            continue;
        op->selector.places.patterns[op->selector.places.count++] =
            (struct pattern){.sector = {u.sector, u.sector},
                             .cluster = {u.cluster, u.cluster},
                             .agent = {u.agent, u.agent}};
        t->delegates[t->delegate_count++] = u;
    }
    if (t->delegate_count == 0)
        return false;
    t->command = (struct command){.kind = COMMAND_SUBMIT, .operation = *op};
    t->sent_ms = uv_now(t->conf.loop);
    pages_done(&t->pages);
    return true;
}

const char *delegate_why(const struct task *t)
{
    return t->pages.count > 0
               ? "new work avoids all agents there that offer it ('route-around' "
                 "shows whom)"
               : "no active agent there offers that, or only where a breaker is open";
}

void delegate_announce(struct task *t)
{
    if (t->render.json)
        return;
    for (uint32_t i = 0; i < t->delegate_count; i++) {
        char place[UNIT_TEXT_MAX];
        uint32_t index = topology_index(t->render.topology, t->delegates[i]);
        unit_format(t->delegates[i], place);
        fprintf(t->render.out, "Delegated to agent %s (%s)\n", place,
                class_name(topology_class(t->render.topology, index)));
    }
    fflush(t->render.out);
}

bool quorum_render(const struct render *r, const struct answer_group *groups, size_t count,
                   uint32_t wanted)
{
    uint32_t best = 0, ready = 0, kinds = 0;
    for (size_t i = 0; i < count; i++)
        if (groups[i].outcome == OUTCOME_READY) {
            best = groups[i].count > best ? groups[i].count : best;
            ready += groups[i].count;
            kinds++;
        }
    bool good = best >= wanted;
    if (r->json)
        return good; /* the keys of the report say it */
    if (good)
        fprintf(r->out, "quorum of answers: %u identical, %u wanted: agreed%s\n", best, wanted,
                best < ready ? "; the others diverge" : "");
    else
        fprintf(r->out,
                "quorum of answers: CONFLICT (%u different answers, %u identical at most, "
                "%u wanted)\n",
                kinds, best, wanted);
    return good;
}

static void render_json(const struct task *t, const struct report *report, double seconds,
                        bool agreed)
{
    json_t *to = json_array(), *results = json_array();
    for (uint32_t i = 0; i < t->delegate_count; i++) {
        char place[UNIT_TEXT_MAX];
        unit_format(t->delegates[i], place);
        json_array_append_new(to, json_string(place));
    }
    for (uint32_t i = 0; i < report->aggregate.group_count; i++) {
        const struct answer_group *g = &report->aggregate.groups[i];
        json_t *text = json_stringn((const char *)g->answer, g->answer_bytes);
        json_array_append_new(results,
                              json_pack("{s:s,s:s,s:i,s:o}", "state", outcome_name(g->outcome),
                                        "reason", reason_name(g->reason), "count", (int)g->count,
                                        "answer", text ? text : json_null()));
    }
    char id[ID128_TEXT_MAX];
    num_id128_format(report->operation_id, id);
    json_t *all = json_pack("{s:s,s:o,s:f,s:b,s:o}", "operation", id, "delegated_to", to, "seconds",
                            seconds, "agreed", agreed, "results", results);
    json_dumpf(all, t->render.out, JSON_COMPACT);
    fputc('\n', t->render.out);
    json_decref(all);
}

/* No result: they said something else; or nobody said anything. */
static int no_result(const struct aggregate_view *a)
{
    uint32_t said = a->outcomes[OUTCOME_READY] + a->outcomes[OUTCOME_CONFLICT];
    return said > 0 ? EXIT_FAILED : (int)exit_unanswered(a);
}

int delegate_render(struct task *t, const struct report *report)
{
    const struct aggregate_view *a = &report->aggregate;
    const struct value *quorum = command_value(&t->invocation, "quorum");
    uint32_t wanted = quorum->given ? (uint32_t)quorum->number : 1;
    double seconds = (double)(uv_now(t->conf.loop) - t->sent_ms) / 1000;
    bool any = a->outcomes[OUTCOME_READY] > 0, agreed = false;
    uint32_t best = 0;
    for (uint32_t i = 0; i < a->group_count; i++)
        if (a->groups[i].outcome == OUTCOME_READY && a->groups[i].count > best)
            best = a->groups[i].count;
    agreed = best >= wanted;
    if (t->render.json) {
        render_json(t, report, seconds, agreed);
        return agreed ? EXIT_OK : no_result(a);
    }
    fprintf(t->render.out,
            any ? "Result ready in %.1f seconds\n" : "No result after %.1f seconds\n", seconds);
    for (uint32_t i = 0; i < a->group_count; i++) {
        const struct answer_group *g = &a->groups[i];
        if (g->outcome != OUTCOME_READY || a->targets > 1)
            fprintf(t->render.out, "%u %s%s%s%s%s", g->count, outcome_name(g->outcome),
                    g->reason ? " (" : "", g->reason ? reason_name(g->reason) : "",
                    g->reason ? ")" : "", g->answer_bytes > 0 ? ": " : "");
        char conflict[ANSWER_BYTES_MAX];
        if (g->outcome == OUTCOME_CONFLICT)
            fputs(render_conflict(g, conflict, sizeof conflict), t->render.out);
        else
            render_answer(&t->render, g->answer, g->answer_bytes);
        fputc('\n', t->render.out);
    }
    if (quorum->given)
        quorum_render(&t->render, a->groups, a->group_count, wanted);
    return agreed ? EXIT_OK : no_result(a);
}
