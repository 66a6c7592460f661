#include "tiers/console/pipeline.h"

#include "core/num.h"
#include "core/span.h"
#include "core/types.h"
#include "tiers/console/delegate.h"
#include "tiers/console/dry_run.h"
#include "tiers/console/offer.h"
#include "tiers/console/request.h"
#include "tiers/console/task_int.h"
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define STAGE_TIMEOUT_US (300 * (int64_t)US_PER_S) /* as of `delegate`; offer.h may say another */

/* --- what was typed -------------------------------------------------------------------------- */

static bool stage_parse(const char *word, size_t bytes, const struct topology *t, uint32_t number,
                        struct pipeline_stage *ret, char error[COMMAND_ERROR_MAX])
{
    const char *at_sign = memchr(word, '@', bytes);
    size_t name = at_sign ? (size_t)(at_sign - word) : bytes;
    size_t whom = at_sign ? bytes - name - 1 : 0;
    struct place_set places;
    size_t at = 0;
    const char *why = NULL;
    *ret = (struct pipeline_stage){0};
    if (name == 0 || name >= ACTION_MAX || (at_sign && whom == 0) || whom >= PIPELINE_WHOM_MAX) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "stages: stage %u, '%.*s', is not ACTION or ACTION@WHOM, as summarize@D", number,
                 (int)(bytes < 60 ? bytes : 60), word);
        return false;
    }
    memcpy(ret->action, word, name);
    memcpy(ret->whom, word + name + (at_sign ? 1 : 0), whom);
    if (whom == 0 || strcmp(ret->whom, "best_available") == 0 ||
        class_parse(ret->whom, whom) != CLASS_NONE ||
        place_parse(ret->whom, whom, t, &places, &at, &why))
        return true;
    snprintf(error, COMMAND_ERROR_MAX,
             "stages: stage %u: '%s' is neither best_available, nor a class, nor a place (at "
             "character %zu: %s)",
             number, ret->whom, at + 1, why);
    return false;
}

bool pipeline_parse(const char *text, const struct topology *t, struct pipeline *ret,
                    char error[COMMAND_ERROR_MAX])
{
    assert(text && t && ret && error);
    *ret = (struct pipeline){0};
    for (const char *at = text;;) {
        size_t n = 0;
        for (int depth = 0; at[n] && (at[n] != ',' || depth > 0); n++)
            depth += at[n] == '[' ? 1 : at[n] == ']' ? -1 : 0;
        if (ret->count == PIPELINE_STAGES_MAX) {
            snprintf(error, COMMAND_ERROR_MAX, "stages: more than %u", PIPELINE_STAGES_MAX);
            return false;
        }
        if (!stage_parse(at, n, t, ret->count + 1, &ret->stages[ret->count], error))
            return false;
        ret->count++;
        if (!at[n])
            return true;
        at += n + 1;
    }
}

/* Who is meant by a stage, and what is run there. */
static void stage_operation(const struct invocation *in, const struct pipeline_stage *s,
                            const struct topology *t, struct operation *op)
{
    size_t at = 0;
    const char *why = NULL;
    op->routing = ROUTING_PIPELINE;
    op->verb = VERB_ACT;
    if (!command_value(in, "timeout")->given) {
        op->timeout_us = STAGE_TIMEOUT_US;
        op->ttl_us = 0;
    }
    op->require_answer = true;
    op->allow_partial = true;
    op->selector.class_mask = 0;
    op->selector.capabilities = 0;
    op->selector.places = (struct place_set){0};
    memset(op->action, 0, sizeof op->action);
    memcpy(op->action, s->action, strlen(s->action));
    enum impedance_class c = class_parse(s->whom, strlen(s->whom));
    if (c != CLASS_NONE)
        op->selector.class_mask = 1u << c;
    else if (s->whom[0] && strcmp(s->whom, "best_available") != 0)
        (void)place_parse(s->whom, strlen(s->whom), t, &op->selector.places, &at, &why);
}

bool pipeline_build(const struct invocation *in, const struct topology *t, struct operation *op,
                    char error[COMMAND_ERROR_MAX])
{
    struct pipeline p;
    const char *input = command_value(in, "input")->text;
    assert(in && t && op && error);
    if (!pipeline_parse(command_value(in, "stages")->text, t, &p, error))
        return false;
    if (strlen(input) > PAYLOAD_BYTES_MAX) {
        snprintf(error, COMMAND_ERROR_MAX, "input: %zu bytes; %u at most", strlen(input),
                 PAYLOAD_BYTES_MAX);
        return false;
    }
    op->payload = (const uint8_t *)input;
    op->payload_bytes = (uint32_t)strlen(input);
    stage_operation(in, &p.stages[0], t, op);
    return true;
}

/* --- before anything is sent ----------------------------------------------------------------- */

/* Whether what one stage gives can be what the next one takes, as far as descriptions say. */
static bool fits(const struct action *from, const struct action *to)
{
    if (!from || !to || from->output.kind == CONTENT_ANY || to->input.kind == CONTENT_ANY)
        return true;
    return from->output.kind == to->input.kind ||
           (from->output.kind == CONTENT_JSON && to->input.kind == CONTENT_TEXT);
}

/* One stage's operation, ready for whom the mesh finds. with_input: op's payload is known. */
static bool stage_ready(const struct action_table *table, const struct topology *t,
                        const struct invocation *in, const struct pipeline *p, uint32_t k,
                        struct operation *op, bool with_input, bool *ret_acts,
                        char error[COMMAND_ERROR_MAX])
{
    stage_operation(in, &p->stages[k], t, op);
    return with_input ? offer_check(table, t, in, op, ret_acts, error)
                      : offer_fill(table, t, in, op, ret_acts, error);
}

bool pipeline_check(const struct action_table *table, const struct topology *t,
                    const struct invocation *in, struct operation *op, bool *ret_acts,
                    char error[COMMAND_ERROR_MAX])
{
    struct pipeline p;
    char why[COMMAND_ERROR_MAX];
    const struct operation first = *op;
    assert(in && op && ret_acts && error);
    if (!pipeline_parse(command_value(in, "stages")->text, t, &p, error))
        return false;
    *ret_acts = in->spec->changes;
    for (uint32_t k = 0; k < p.count; k++) {
        struct operation stage = first;
        bool acts = false;
        if (!stage_ready(table, t, in, &p, k, &stage, k == 0, &acts, why)) {
            snprintf(error, COMMAND_ERROR_MAX, "stage %u (%s): %.200s", k + 1, p.stages[k].action,
                     why);
            return false;
        }
        if (k == 0)
            *op = stage;
        const struct action *from = k > 0 ? action_find(table, p.stages[k - 1].action) : NULL;
        const struct action *to = action_find(table, p.stages[k].action);
        if (k > 0 && !command_value(in, "unchecked")->given && !fits(from, to)) {
            char gives[700], takes[700];
            content_format(&from->output, gives, sizeof gives);
            content_format(&to->input, takes, sizeof takes);
            snprintf(error, COMMAND_ERROR_MAX,
                     "stage %u (%s) takes %.60s, stage %u (%s) gives %.60s", k + 1, to->name, takes,
                     k, from->name, gives);
            return false;
        }
    }
    return true;
}

/* --- one stage after the other --------------------------------------------------------------- */

static struct pipeline_stage *now(struct task *t)
{
    return &t->pipeline.stages[t->pipeline.at];
}

void pipeline_begin(struct task *t)
{
    char error[COMMAND_ERROR_MAX];
    bool good = pipeline_parse(command_value(&t->invocation, "stages")->text, t->render.topology,
                               &t->pipeline, error);
    assert(good && "it was good when it was checked");
    (void)good;
    t->pipeline.began_ms = uv_now(t->conf.loop);
    delegate_query(t);
}

/* Whoever looked at the stage before looks at this one. */
static void look_anew(struct task *t)
{
    follow_end(t);
    follow_begin(t);
    t->accepted = t->have_progress = false;
    t->progress = (struct aggregate_view){0};
    t->waits_for[0] = '\0';
    t->passes = 0;
    pages_done(&t->pages);
}

static json_t *stage_json(const struct pipeline_stage *s, uint32_t number)
{
    char place[UNIT_TEXT_MAX] = "", id[ID128_TEXT_MAX] = "";
    json_t *o =
        json_pack("{s:i,s:s,s:i}", "stage", (int)number, "action", s->action, "able", (int)s->able);
    if (s->agent.tier == TIER_AGENT) {
        unit_format(s->agent, place);
        json_object_set_new(o, "agent", json_string(place));
        json_object_set_new(o, "class", json_string(class_name(s->agent_class)));
    }
    if (!num_id128_zero(s->operation)) {
        num_id128_format(s->operation, id);
        json_object_set_new(o, "operation", json_string(id));
        json_object_set_new(o, "state", json_string(outcome_name(s->outcome)));
        json_object_set_new(o, "reason", json_string(reason_name(s->reason)));
        json_object_set_new(o, "seconds", json_real(s->seconds));
    }
    return o;
}

/* answer: the last one that there is. */
static void print_json(const struct task *t, bool ready, const uint8_t *answer, uint32_t bytes)
{
    const struct pipeline *p = &t->pipeline;
    json_t *stages = json_array(), *text = json_stringn((const char *)answer, bytes);
    for (uint32_t k = 0; k < p->count; k++)
        json_array_append_new(stages, stage_json(&p->stages[k], k + 1));
    json_t *all = json_pack("{s:o,s:b,s:f,s:o}", "stages", stages, "ready", ready, "seconds",
                            (double)(uv_now(t->conf.loop) - p->began_ms) / 1000, "answer",
                            text ? text : json_null());
    if (dry_run_wanted(&t->invocation)) {
        json_object_del(all, "ready");
        json_object_del(all, "answer");
        json_object_del(all, "seconds");
        json_object_set_new(all, "dry_run", json_true());
    }
    json_dumpf(all, t->render.out, JSON_COMPACT | JSON_REAL_PRECISION(9));
    fputc('\n', t->render.out);
    json_decref(all);
}

/* It ends here: what the last stage that was ready gave is not lost. */
static void stop(struct task *t, const char *why, int code)
{
    const struct pipeline *p = &t->pipeline;
    if (t->render.json) {
        if (p->at == 0 && num_id128_zero(p->stages[0].operation))
            render_error(&t->render, "not-found", why);
        else
            print_json(t, false, p->input, p->input_bytes);
        task_finish(t, code);
        return;
    }
    fprintf(t->render.out, "Stopped at stage %u of %u (%s): %s\n", p->at + 1, p->count,
            p->stages[p->at].action, why);
    if (p->at > 0 && p->input_bytes > 0) {
        fprintf(t->render.out, "stage %u (%s) had given:\n", p->at, p->stages[p->at - 1].action);
        render_answer(&t->render, p->input, p->input_bytes);
        fputc('\n', t->render.out);
    }
    task_finish(t, code);
}

static void stage_next(struct task *t, const uint8_t *input, uint32_t bytes)
{
    struct pipeline *p = &t->pipeline;
    char error[COMMAND_ERROR_MAX];
    bool acts, first_known = p->at == 0 && !num_id128_zero(p->stages[0].operation);
    struct operation *op = &t->delegated;
    memcpy(p->input, input, bytes);
    p->input_bytes = bytes;
    op->payload = p->input;
    op->payload_bytes = bytes;
    if (first_known && num_id128_zero(op->trace.trace)) /* the first stage's trace is that of all */
        op->trace =
            (struct trace_context){.trace = p->stages[0].operation,
                                   .parent = span_root_id(p->stages[0].operation, t->conf.via),
                                   .flags = 1};
    p->at++;
    if (!stage_ready(t->conf.actions, t->render.topology, &t->invocation, p, p->at, op,
                     !dry_run_wanted(&t->invocation), &acts, error)) {
        stop(t, error, EXIT_FAILED);
        return;
    }
    look_anew(t);
    t->command = (struct command){.kind = COMMAND_SUBMIT, .operation = *op};
    delegate_query(t);
    task_first_page(t);
}

static void say_stage(const struct task *t, const char *verb)
{
    const struct pipeline *p = &t->pipeline;
    const struct pipeline_stage *s = &p->stages[p->at];
    char place[UNIT_TEXT_MAX], able[32];
    if (t->render.json)
        return;
    unit_format(s->agent, place);
    fprintf(t->render.out, "Stage %u of %u: %s %s agent %s (%s), the best of %s\n", p->at + 1,
            p->count, s->action, verb, place, class_name(s->agent_class),
            render_count(s->able, able));
    fflush(t->render.out);
}

void pipeline_rows(struct task *t)
{
    struct pipeline *p = &t->pipeline;
    struct pipeline_stage *s = now(t);
    s->able = t->pages.total;
    if (!delegate_send(t)) {
        stop(t, delegate_why(t), EXIT_NOT_FOUND);
        return;
    }
    s->agent = t->delegates[0];
    s->agent_class =
        topology_class(t->render.topology, topology_index(t->render.topology, s->agent));
    if (!dry_run_wanted(&t->invocation)) {
        task_send(t);
        return;
    }
    say_stage(t, "would go to");
    if (p->at + 1 < p->count) {
        stage_next(t, p->input, 0);
        return;
    }
    if (t->render.json)
        print_json(t, false, NULL, 0);
    else
        fputs("nothing was sent\n", t->render.out);
    task_finish(t, EXIT_OK);
}

void pipeline_accepted(struct task *t)
{
    now(t)->operation = t->operation_id;
    say_stage(t, "delegated to");
}

/* A large answer is in the store under its hash, and consoles do not reach the store. */
static bool is_blob(const struct answer_group *g)
{
    return g->answer_bytes > 70 && memcmp(g->answer, "blob:", 5) == 0;
}

void pipeline_report(struct task *t, const struct report *report)
{
    static const struct answer_group nothing = {.outcome = OUTCOME_UNREACHABLE};
    struct pipeline *p = &t->pipeline;
    struct pipeline_stage *s = now(t);
    char why[TEXT_BYTES_MAX + 128];
    const struct aggregate_view *a = &report->aggregate;
    const struct answer_group *g = a->group_count ? &a->groups[0] : &nothing;
    s->operation = report->operation_id;
    s->outcome = g->outcome;
    s->reason = g->reason;
    s->seconds = (double)(uv_now(t->conf.loop) - t->sent_ms) / 1000;
    bool last = p->at + 1 == p->count;
    if (g->outcome != OUTCOME_READY) {
        char said[TEXT_BYTES_MAX];
        (void)render_conflict(g, said, sizeof said); /* other answers as they are */
        snprintf(why, sizeof why, "%s%s%s%s%s%s", outcome_name(g->outcome), g->reason ? " (" : "",
                 g->reason ? reason_name(g->reason) : "", g->reason ? ")" : "", said[0] ? ": " : "",
                 said);
        stop(t, why, g->outcome == OUTCOME_CONFLICT ? EXIT_FAILED : (int)exit_unanswered(a));
    } else if (!last && is_blob(g)) {
        const char *text = (const char *)g->answer; /* blob:HASH n bytes, and how they begin */
        const char *line = memchr(text, '\n', g->answer_bytes);
        int shown = line && line - text < 90 ? (int)(line - text) : 70;
        snprintf(why, sizeof why, "its answer, %.*s, is more than the %u that a next stage takes",
                 shown, text, ANSWER_BYTES_MAX);
        stop(t, why, EXIT_FAILED);
    } else if (!last) {
        stage_next(t, g->answer, g->answer_bytes);
    } else if (t->render.json) {
        print_json(t, true, g->answer, g->answer_bytes);
        task_finish(t, EXIT_OK);
    } else {
        fprintf(t->render.out, "Result ready in %.1f seconds\n",
                (double)(uv_now(t->conf.loop) - p->began_ms) / 1000);
        render_answer(&t->render, g->answer, g->answer_bytes);
        fputc('\n', t->render.out);
        task_finish(t, EXIT_OK);
    }
}
