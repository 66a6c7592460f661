#include "tiers/console/offer.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#define GRACE_US      (2 * US_PER_S) /* for the way there and back, beyond the action's timeout */
#define WAIT_LEAST_US (5 * US_PER_S)

static bool given(const struct invocation *in, const char *name)
{
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && in->spec->parameters[i].name; i++)
        if (strcmp(in->spec->parameters[i].name, name) == 0)
            return in->values[i].given;
    return false;
}

static void class_letters(uint32_t mask, char ret[16])
{
    size_t used = 0;
    for (enum impedance_class c = CLASS_A_EDGE; c < CLASS_COUNT; c++)
        if (mask & 1u << c) {
            if (used > 0)
                ret[used++] = ',';
            ret[used++] = class_name(c)[6];
        }
    ret[used] = '\0';
}

/* Those that cannot run it are no targets, unless --require asks to hear of them. */
static bool fill_selector(const struct action *a, const struct topology *t,
                          const struct invocation *in, struct selector *sel,
                          char error[COMMAND_ERROR_MAX])
{
    if (a->class_mask != 0 && sel->class_mask == 0)
        sel->class_mask = a->class_mask;
    if (a->class_mask != 0 && (sel->class_mask & a->class_mask) == 0) {
        char wanted[16], offered[16];
        class_letters(sel->class_mask, wanted);
        class_letters(a->class_mask, offered);
        snprintf(error, COMMAND_ERROR_MAX, "--class: %s do not offer '%s'; %s do", wanted, a->name,
                 offered);
        return false;
    }
    if (a->class_mask != 0)
        sel->class_mask &= a->class_mask;
    int bit = a->capability[0] ? topology_capability(t, a->capability, strlen(a->capability)) : -1;
    if (bit < 0 || given(in, "require"))
        return true;
    sel->capabilities |= 1ull << bit;
    sel->capable_only = true;
    return true;
}

bool offer_fill(const struct action_table *table, const struct topology *t,
                const struct invocation *in, struct operation *op, bool *ret_acts,
                char error[COMMAND_ERROR_MAX])
{
    assert(in && op && ret_acts && error);
    const struct action *a = action_find(table, op->action);
    if (given(in, "unchecked"))
        return true;
    if (!a) {
        const char *near = action_suggest(table, op->action);
        snprintf(error, COMMAND_ERROR_MAX,
                 "--action: no action '%.31s' is described here%s%s%s ('actions' lists them; "
                 "--unchecked sends it all the same)",
                 op->action, near ? "; did you mean '" : "", near ? near : "", near ? "'?" : "");
        return false;
    }
    if (a->handler != HANDLER_BUILTIN) {
        op->verb = a->verb;
        *ret_acts = *ret_acts || a->acts;
        if (!given(in, "timeout")) {
            int64_t most = TTL_US_MAX - GRACE_US;
            int64_t wait = a->timeout_us < most - GRACE_US ? a->timeout_us + GRACE_US : most;
            op->timeout_us = wait > WAIT_LEAST_US ? wait : WAIT_LEAST_US;
            op->ttl_us = op->timeout_us + GRACE_US;
        }
    }
    return fill_selector(a, t, in, &op->selector, error);
}

bool offer_check(const struct action_table *table, const struct topology *t,
                 const struct invocation *in, struct operation *op, bool *ret_acts,
                 char error[COMMAND_ERROR_MAX])
{
    struct action_problem problem;
    const struct action *a = given(in, "unchecked") ? NULL : action_find(table, op->action);
    if (a && !content_check(&a->input, op->payload, op->payload_bytes, &problem)) {
        snprintf(error, COMMAND_ERROR_MAX, "the input of '%s' %.200s", a->name, problem.text);
        return false;
    }
    return offer_fill(table, t, in, op, ret_acts, error);
}

void offer_nobody(const struct action_table *table, const struct operation *op,
                  char ret[COMMAND_ERROR_MAX])
{
    const struct selector *sel = &op->selector;
    assert(op && ret);
    const struct action *a = action_find(table, op->action);
    char letters[16], offered[16];
    bool narrow = sel->class_mask != 0 && a && a->class_mask != 0;
    class_letters(sel->class_mask, letters);
    class_letters(narrow ? a->class_mask : 0, offered);
    if (sel->where[0])
        snprintf(ret, COMMAND_ERROR_MAX, "no agent of the selection has these facts: %s",
                 sel->where);
    else if (sel->class_mask != 0)
        snprintf(ret, COMMAND_ERROR_MAX,
                 "no agent among those that are named is of class %s%s%s%s%s%s", letters,
                 sel->capable_only ? " and has the capability" : "", narrow ? ": '" : "",
                 narrow ? a->name : "", narrow ? "' is for " : "", offered);
    else
        snprintf(ret, COMMAND_ERROR_MAX, "no agent among those that are named %s",
                 sel->capable_only ? "has the capability" : "is here and as wanted");
}

static json_t *action_json(const struct action *a)
{
    char input[700], output[700];
    content_format(&a->input, input, sizeof input);
    content_format(&a->output, output, sizeof output);
    json_t *classes = json_array();
    for (enum impedance_class c = CLASS_A_EDGE; c < CLASS_COUNT; c++)
        if (a->class_mask & 1u << c)
            json_array_append_new(classes, json_string(class_name(c)));
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:s,s:f,s:s,s:s,s:o}", "action", a->name, "handler",
                     action_handler_name(a->handler), "verb", verb_name(a->verb), "effect",
                     a->acts ? "acts" : "reads", "input", input, "output", output, "timeout_s",
                     (double)a->timeout_us / 1e6, "capability", a->capability, "summary",
                     a->summary, "classes", classes);
}

static const char *span_text(int64_t us, char ret[32])
{
    if (us % (3600 * US_PER_S) == 0)
        snprintf(ret, 32, "%lld h", (long long)(us / (3600 * US_PER_S)));
    else
        snprintf(ret, 32, "%.7g s", (double)us / 1e6);
    return ret;
}

static void action_text(FILE *out, const struct action *a, bool whole)
{
    char input[700], output[700], span[32];
    content_format(&a->input, input, sizeof input);
    content_format(&a->output, output, sizeof output);
    if (whole)
        fprintf(out,
                "%s: %s\n  handler     %s\n  verb        %s, %s\n  input       %s\n  output      "
                "%s\n  timeout     %s\n  capability  %s\n",
                a->name, a->summary, action_handler_name(a->handler), verb_name(a->verb),
                a->acts ? "acts" : "only reads", input, output, span_text(a->timeout_us, span),
                a->capability[0] ? a->capability : "none: every agent offers it");
    else
        fprintf(out, "%-18s %-8s %-6s %-8s %-12s %s\n", a->name, action_handler_name(a->handler),
                a->acts ? "acts" : "reads", span_text(a->timeout_us, span),
                a->capability[0] ? a->capability : "-", a->summary);
}

bool offer_list(const struct render *r, const struct action_table *table, const char *name,
                char error[COMMAND_ERROR_MAX])
{
    json_t *list = json_array();
    const struct action *a;
    bool found = false;
    assert(r && error);
    if (!name && !r->json)
        fprintf(r->out, "%-18s %-8s %-6s %-8s %-12s %s\n", "ACTION", "HANDLER", "EFFECT", "TIMEOUT",
                "CAPABILITY", "WHAT IT DOES");
    for (uint32_t i = 0; (a = action_at(table, i)) != NULL; i++) {
        if (name && strcmp(a->name, name) != 0)
            continue;
        found = true;
        if (r->json)
            json_array_append_new(list, action_json(a));
        else
            action_text(r->out, a, name != NULL);
    }
    if (r->json && found) {
        json_t *all = json_pack("{s:O}", "actions", list);
        json_dumpf(all, r->out, JSON_COMPACT);
        fputc('\n', r->out);
        json_decref(all);
    }
    json_decref(list);
    if (!found) {
        const char *near = action_suggest(table, name);
        snprintf(error, COMMAND_ERROR_MAX, "action: no action '%.40s'%s%s%s", name,
                 near ? ": did you mean '" : " ('actions' lists them)", near ? near : "",
                 near ? "'?" : "");
    }
    return found;
}
