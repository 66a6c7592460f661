/* The chains:
 *
 *   diagnose       status, clusters, agents, work                    -> diagnosis_place()
 *   stuck          work, agents with the capability that it needs    -> diagnosis_stuck()
 *   reassign       work of that operation, the best agent for it, cancel, the task again
 *   route-around   whom the flags mean, the order, then the agents, until their leads say that it
 *                  holds (inquiry_route.c)
 *
 * A refusal at any step ends the chain with it. What reassign cancels is only what it has found
 * another agent for. */
#include "core/types.h"
#include "tiers/console/inquiry_int.h"
#include "tiers/console/request.h"
#include "tiers/console/targets.h"
#include "tiers/console/task_int.h"
#include <assert.h>
#include <jansson.h>
#include <string.h>

#define STUCK_OLDER_US  (2 * (int64_t)US_PER_S)
#define REASSIGN_US     (300 * (int64_t)US_PER_S) /* as delegate, spec 7.1 */
#define REASSIGN_CHOICE 64u

bool inquiry_is(const struct invocation *in)
{
    assert(in && in->spec);
    enum command_verb v = in->spec->verb;
    return v == CMD_DIAGNOSE || v == CMD_STUCK || v == CMD_REASSIGN ||
           (v == CMD_ROUTE_AROUND && !request_routing_shows(in));
}

/* --- the first request --- */

static bool build_diagnose(const struct invocation *in, const struct topology *t,
                           struct command *ret, char error[COMMAND_ERROR_MAX])
{
    const char *text = command_value(in, "place")->text, *why = NULL;
    size_t at = 0;
    struct unit u;
    if (!unit_parse(text, strlen(text), &u, &why) ||
        !place_parse(text, strlen(text), t, &ret->query.selector.places, &at, &why)) {
        char hint[64];
        snprintf(error, COMMAND_ERROR_MAX, "place: '%.60s': %s%s", text, why,
                 targets_hint(why, t, hint));
        return false;
    }
    if (u.tier != TIER_SECTOR && u.tier != TIER_CLUSTER) {
        const char *tier = tier_name((enum tier)u.tier);
        snprintf(error, COMMAND_ERROR_MAX,
                 "place: '%.60s' is %s %s: a sector or a cluster, as s07 or s07.c4", text,
                 strchr("aeiou", tier[0]) ? "an" : "a", tier);
        return false;
    }
    ret->kind = COMMAND_STATUS;
    ret->scope = u;
    return true;
}

static bool build_stuck(const struct invocation *in, const struct topology *t, struct command *ret,
                        char error[COMMAND_ERROR_MAX])
{
    const struct value *places = command_value(in, "places");
    ret->kind = COMMAND_QUERY;
    ret->query.kind = QUERY_WORK;
    return (!places->given ||
            targets_parse("places", places->text, NULL, t, &ret->query.selector.places, error)) &&
           request_selector(in, t, &ret->query.selector, error);
}

static bool build_reassign(const struct invocation *in, const struct topology *t,
                           struct command *ret, char error[COMMAND_ERROR_MAX])
{
    const char *id = command_value(in, "id")->text;
    const struct value *to = command_value(in, "to");
    struct place_set places;
    size_t at = 0;
    const char *why = NULL;
    ret->kind = COMMAND_QUERY;
    ret->query.kind = QUERY_WORK;
    if (!num_id128_parse(id, strlen(id), &ret->query.operation_id)) {
        snprintf(error, COMMAND_ERROR_MAX, "id: '%.60s' is not 32 hex digits ('stuck' shows them)",
                 id);
        return false;
    }
    if (to->given && strcmp(to->text, "best_available") != 0 &&
        class_parse(to->text, strlen(to->text)) == CLASS_NONE &&
        !place_parse(to->text, strlen(to->text), t, &places, &at, &why)) {
        char hint[64];
        snprintf(error, COMMAND_ERROR_MAX,
                 "--to: '%.60s' is neither best_available, nor a class, nor places (at character "
                 "%zu: %s%s)",
                 to->text, at + 1, why, targets_hint(why, t, hint));
        return false;
    }
    return true;
}

bool inquiry_build(const struct invocation *in, const struct topology *t, struct command *ret,
                   char error[COMMAND_ERROR_MAX])
{
    assert(in && t && ret && error);
    ret->query.from_start = true;
    ret->query.limit = DIAGNOSIS_WORK_MAX;
    switch ((int)in->spec->verb) {
    case CMD_DIAGNOSE:
        return build_diagnose(in, t, ret, error);
    case CMD_STUCK:
        return build_stuck(in, t, ret, error);
    default:
        assert(in->spec->verb == CMD_REASSIGN);
        return build_reassign(in, t, ret, error);
    }
}

/* --- steps --- */

void inquiry_ask(struct task *t, uint32_t step, const struct command *command)
{
    t->inquiry.step = step;
    t->command = *command;
    task_send(t);
}

void inquiry_ask_rows(struct task *t, uint32_t step, enum query_kind kind,
                      const struct selector *selector)
{
    struct command c = {.kind = COMMAND_QUERY};
    c.query = (struct query){
        .kind = kind, .selector = *selector, .from_start = true, .limit = PAGE_ROWS_MAX};
    inquiry_ask(t, step, &c);
}

/* Agents that work could be given to. */
static void ask_candidates(struct task *t, struct selector *selector)
{
    struct command c = {.kind = COMMAND_QUERY};
    selector->state_mask = 1u << AGENT_ACTIVE | 1u << AGENT_DEGRADED;
    c.query = (struct query){.kind = QUERY_AGENTS,
                             .selector = *selector,
                             .from_start = true,
                             .routable = true,
                             .limit = PAGE_ROWS_MAX};
    inquiry_ask(t, STEP_SECOND, &c);
}

/* Adds a page; true: that was the last. Else the next one is asked for. */
bool inquiry_take_page(struct task *t, struct pages *pages, const struct rows *rows, size_t most)
{
    pages_add(pages, t->render.topology, rows, most);
    if (!pages->more || rows->row_count == 0 || pages->count >= most)
        return true;
    t->command.query.from_start = false;
    t->command.query.after_key = pages->last_key;
    task_send(t);
    return false;
}

static void take_work(struct inquiry *q, const struct rows *rows, int64_t older_us)
{
    for (uint32_t i = 0; i < rows->row_count && q->work_count < DIAGNOSIS_WORK_MAX; i++) {
        struct work_row *w = &q->work[q->work_count];
        if (work_row_read(&rows->rows[i], w) && w->age_us >= older_us)
            q->work_count++;
    }
    q->missing = rows->missing > q->missing ? rows->missing : q->missing;
}

bool inquiry_of_kind(struct task *t, const struct reply *reply, enum reply_kind wanted)
{
    if (reply->kind == REPLY_ERROR || reply->kind == REPLY_HELD) {
        render_error(&t->render, reason_name(reply->reason), reply->text ? reply->text : "refused");
        task_finish(t, reply->kind == REPLY_HELD ? EXIT_HELD : EXIT_REFUSED);
    }
    return reply->kind == wanted;
}

/* --- diagnose --- */

static void diagnose(struct task *t, const struct reply *reply)
{
    struct inquiry *q = &t->inquiry;
    const struct selector *where = &q->first.query.selector;
    bool rows = q->step != STEP_FIRST;
    if (!inquiry_of_kind(t, reply, rows ? REPLY_ROWS : REPLY_STATUS))
        return;
    if (q->step == STEP_FIRST) {
        q->status = *reply->status;
        inquiry_ask_rows(t, STEP_SECOND, QUERY_CLUSTERS, where);
    } else if (q->step == STEP_SECOND) {
        if (inquiry_take_page(t, &q->clusters, reply->rows, SIZE_MAX))
            inquiry_ask_rows(t, STEP_THIRD, QUERY_AGENTS, where);
    } else if (q->step == STEP_THIRD) {
        if (inquiry_take_page(t, &q->agents, reply->rows, INQUIRY_AGENTS_MOST))
            inquiry_ask_rows(t, STEP_FOURTH, QUERY_WORK, where);
    } else {
        take_work(q, reply->rows, DIAGNOSIS_STUCK_US);
        q->missing = q->agents.missing > q->missing ? q->agents.missing : q->missing;
        const struct place_report report = {.scope = q->first.scope,
                                            .mesh = q->status,
                                            .clusters = q->clusters.rows,
                                            .cluster_count = q->clusters.count,
                                            .agents = q->agents.rows,
                                            .agent_count = q->agents.count,
                                            .work = q->work,
                                            .work_count = q->work_count,
                                            .missing = q->missing};
        diagnosis_place(&t->render, &report, &q->findings);
        task_finish(t, q->missing ? EXIT_PARTIAL : EXIT_OK);
    }
}

/* --- stuck --- */

static void show_stuck(struct task *t, const char *capability)
{
    struct inquiry *q = &t->inquiry;
    struct stuck_report report = {.work = q->work,
                                  .work_count = q->work_count,
                                  .actions = t->conf.actions,
                                  .capability = capability,
                                  .missing = q->missing};
    holders_count(q->agents.rows, q->agents.count, &report.holders);
    diagnosis_stuck(&t->render, &report, &q->findings);
    task_finish(t, q->missing ? EXIT_PARTIAL : EXIT_OK);
}

/* The capability of the oldest task that needs one. */
static const char *wanted_capability(const struct task *t)
{
    for (size_t i = 0; i < t->inquiry.work_count; i++) {
        const char *name = diagnosis_capability(&t->inquiry.work[i], t->conf.actions);
        if (name[0])
            return name;
    }
    return "";
}

static void stuck(struct task *t, const struct reply *reply)
{
    struct inquiry *q = &t->inquiry;
    if (!inquiry_of_kind(t, reply, REPLY_ROWS))
        return;
    if (q->step == STEP_FIRST) {
        const struct value *older = command_value(&t->invocation, "older");
        take_work(q, reply->rows, older->given ? older->number : STUCK_OLDER_US);
        if (q->work_count == 0) {
            show_stuck(t, "");
            return;
        }
        const char *name = wanted_capability(t);
        int bit = topology_capability(t->render.topology, name, strlen(name));
        struct selector s = {.capable_only = true,
                             .capabilities = bit >= 0 ? UINT64_C(1) << bit : 0};
        ask_candidates(t, &s);
    } else if (inquiry_take_page(t, &q->agents, reply->rows, INQUIRY_AGENTS_MOST)) {
        show_stuck(t, wanted_capability(t));
    }
}

/* --- reassign --- */

static void choose_best(struct task *t)
{
    const struct value *to = command_value(&t->invocation, "to");
    const char *text = to->given ? to->text : "best_available";
    const char *name = diagnosis_capability(&t->inquiry.task, t->conf.actions);
    const struct action *a = action_find(t->conf.actions, t->inquiry.task.action);
    int bit = topology_capability(t->render.topology, name, strlen(name));
    struct selector s = {.capable_only = true,
                         .capabilities = bit >= 0 ? UINT64_C(1) << bit : 0,
                         .class_mask = a ? a->class_mask : 0};
    enum impedance_class c = class_parse(text, strlen(text));
    size_t at = 0;
    const char *why = NULL;
    if (c != CLASS_NONE)
        s.class_mask = 1u << c;
    else if (strcmp(text, "best_available") != 0)
        (void)place_parse(text, strlen(text), t->render.topology, &s.places, &at, &why);
    ask_candidates(t, &s);
}

/* The fastest that is not one of those that have it now, and not avoided. */
static bool pick(struct inquiry *q)
{
    for (size_t i = 0; i < q->agents.count; i++) {
        const struct page_row *row = &q->agents.rows[i];
        bool has_it = row->u.agent.routed_around;
        for (size_t k = 0; k < q->work_count; k++)
            has_it = has_it || unit_equal(q->work[k].agent, row->unit);
        if (!has_it) {
            q->to = row->unit;
            q->to_class = row->u.agent.agent_class;
            return true;
        }
    }
    return false;
}

static void submit_again(struct task *t)
{
    struct inquiry *q = &t->inquiry;
    struct command c = {.kind = COMMAND_SUBMIT};
    c.operation = (struct operation){.causation_id = q->task.operation,
                                     .routing = ROUTING_DIRECT,
                                     .timing = TIMING_SOON,
                                     .verb = VERB_ACT,
                                     .priority = 2,
                                     .trinary_expectation = TRINARY_READY,
                                     .require_answer = true,
                                     .require_ack = true,
                                     .allow_partial = true,
                                     .window_us = 500 * US_PER_MS,
                                     .ttl_us = REASSIGN_US + 2 * US_PER_S,
                                     .timeout_us = REASSIGN_US,
                                     .minimum_response_rate = 0.95};
    memcpy(c.operation.action, q->task.action, sizeof c.operation.action);
    c.operation.selector.places.count = 1;
    c.operation.selector.places.patterns[0] =
        (struct pattern){.sector = {q->to.sector, q->to.sector},
                         .cluster = {q->to.cluster, q->to.cluster},
                         .agent = {q->to.agent, q->to.agent}};
    q->started_ms = uv_now(t->conf.loop);
    inquiry_ask(t, STEP_FOURTH, &c);
}

static void show_reassigned(struct task *t, const struct report *report)
{
    struct inquiry *q = &t->inquiry;
    const struct aggregate_view *a = &report->aggregate;
    bool ready = a->outcomes[OUTCOME_READY] > 0;
    double seconds = (double)(uv_now(t->conf.loop) - q->started_ms) / 1000;
    char to[UNIT_TEXT_MAX], from[ID128_TEXT_MAX], id[ID128_TEXT_MAX];
    const struct answer_group *g = a->group_count ? &a->groups[0] : NULL;
    unit_format(q->to, to);
    num_id128_format(q->task.operation, from);
    num_id128_format(report->operation_id, id);
    if (t->render.json) {
        json_t *text = g ? json_stringn((const char *)g->answer, g->answer_bytes) : NULL;
        json_t *all = json_pack("{s:s,s:s,s:s,s:s,s:f,s:s,s:o}", "reassigned", from, "operation",
                                id, "to", to, "class", class_name(q->to_class), "seconds", seconds,
                                "state", g ? outcome_name(g->outcome) : "pending", "answer",
                                text ? text : json_null());
        json_dumpf(all, t->render.out, JSON_COMPACT);
        fputc('\n', t->render.out);
        json_decref(all);
    } else {
        fprintf(t->render.out, "- Task reassigned to %s (%s)\n", to, class_name(q->to_class));
        fprintf(t->render.out,
                ready ? "- Completed in %.1f seconds\n"
                      : "- Not done after %.1f "
                        "seconds\n",
                seconds);
        if (g && g->answer_bytes) {
            fprintf(t->render.out, "- %s%s", ready ? "Answer: " : outcome_name(g->outcome),
                    ready ? "" : ": ");
            uint32_t bytes = g->answer_bytes;
            while (bytes > 0 && g->answer[bytes - 1] == '\n')
                bytes--;
            render_answer(&t->render, g->answer, bytes);
            fputc('\n', t->render.out);
        }
    }
    int code = a->outcomes[OUTCOME_CONFLICT] ? EXIT_FAILED : (int)exit_unanswered(a);
    task_finish(t, ready ? EXIT_OK : code);
}

static void reassign_found(struct task *t)
{
    struct inquiry *q = &t->inquiry;
    struct command cancel = {.kind = COMMAND_CANCEL, .operation_id = q->task.operation};
    if (pick(q)) {
        inquiry_ask(t, STEP_THIRD, &cancel);
        return;
    }
    render_error(&t->render, "not-found",
                 "no other active agent there can do it: the task stays where it is");
    task_finish(t, EXIT_NOT_FOUND);
}

static void reassign(struct task *t, const struct reply *reply)
{
    struct inquiry *q = &t->inquiry;
    if (q->step == STEP_FOURTH) {
        if (reply->kind == REPLY_ACCEPTED) {
            t->accepted = true;
            t->operation_id = reply->operation_id;
        } else if (inquiry_of_kind(t, reply, REPLY_OPERATION)) {
            show_reassigned(t, reply->report);
        }
        return;
    }
    if (!inquiry_of_kind(t, reply, q->step == STEP_THIRD ? REPLY_OK : REPLY_ROWS))
        return;
    if (q->step == STEP_FIRST) {
        take_work(q, reply->rows, 0);
        if (q->work_count == 0) {
            render_error(&t->render, "not-found",
                         "no agent is at work on that operation (it may have ended)");
            task_finish(t, EXIT_NOT_FOUND);
            return;
        }
        q->task = q->work[0];
        choose_best(t);
    } else if (q->step == STEP_SECOND) {
        if (inquiry_take_page(t, &q->agents, reply->rows, INQUIRY_AGENTS_MOST))
            reassign_found(t);
    } else {
        submit_again(t);
    }
}

/* --- the seam to the task --- */

void inquiry_done(struct inquiry *q)
{
    assert(q);
    pages_done(&q->clusters);
    pages_done(&q->agents);
}

void inquiry_begin(struct task *t)
{
    struct inquiry *q = &t->inquiry;
    assert(t->running);
    inquiry_done(q);
    struct command first = t->command;
    memset(q, 0, sizeof *q);
    q->first = first;
    if (first.kind == COMMAND_ROUTE)
        inquiry_route_order(t, &first);
    else
        task_send(t);
}

void inquiry_reply(struct task *t, const struct reply *reply)
{
    assert(t->running && reply);
    switch ((int)t->invocation.spec->verb) {
    case CMD_DIAGNOSE:
        diagnose(t, reply);
        break;
    case CMD_STUCK:
        stuck(t, reply);
        break;
    case CMD_REASSIGN:
        reassign(t, reply);
        break;
    default:
        inquiry_route(t, reply);
        break;
    }
}
