/* The actions that every agent has, and what a payload must look like. JSON is parsed by jansson:
 * duplicate keys are refused, nesting is bounded by its own limit of 2,048. */
#include "tiers/work/action.h"
#include "core/content.h"

#include "core/commands.h"
#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BUILTIN(action_name, text, the_verb)                                                       \
    {                                                                                              \
        .name = action_name, .summary = text, .handler = HANDLER_BUILTIN, .verb = the_verb,        \
        .timeout_us = 5 * US_PER_S                                                                 \
    }

static const struct action builtin[] = {
    BUILTIN("echo", "gives the payload back", VERB_OBSERVE),
    BUILTIN("context", "the hash of what the agent has loaded", VERB_OBSERVE),
    BUILTIN(CONTENT_ACTION, "loads a context: its bytes, or blob: and their hash", VERB_ACT),
    BUILTIN(CONTENT_PUT, "puts a context into the registry", VERB_RECORD),
    BUILTIN("facts", "its facts (as --where has them), process, class", VERB_OBSERVE),
    BUILTIN("whoami", "the agent's place", VERB_OBSERVE),
    BUILTIN("probe", "answers at once, with nothing", VERB_OBSERVE),
    BUILTIN("work", "takes its class's time, then gives the payload back", VERB_ACT),
    BUILTIN("fail", "fails (payload: share of agents in permille)", VERB_ACT),
    BUILTIN("conflict", "reports a conflict (payload: share in permille)", VERB_ACT),
    BUILTIN("relay", "sends a message of its own: PLACES TEXT", VERB_ACT),
    {.name = "review",
     .summary = "a person reads the text and answers (the command review shows what is open)",
     .handler = HANDLER_HUMAN,
     .verb = VERB_DECIDE,
     .acts = true,
     .input = {.kind = CONTENT_TEXT},
     .timeout_us = TTL_US_MAX,
     .capability = "review",
     .in_flight_max = 4096,
     .output_bytes_max = ANSWER_BYTES_MAX,
     .assignee = "anyone",
     .escalate_to = "oversight"},
    BUILTIN("review.list", "what is open on the agent's desk: [ASSIGNEE]", VERB_OBSERVE),
    BUILTIN("review.claim", "ID WHO", VERB_ACT),
    BUILTIN("review.answer", "ID WHO TEXT", VERB_DECIDE),
    BUILTIN("review.reject", "ID WHO TEXT", VERB_DECIDE),
    BUILTIN("review.delegate", "ID WHO TO", VERB_ACT),
    BUILTIN("review.escalate", "ID WHO [TEXT]", VERB_ACT),
};
#define BUILTINS ((uint32_t)(sizeof(builtin) / sizeof(builtin[0])))

const char *action_handler_name(enum action_handler handler)
{
    static const char *const names[HANDLER_COUNT] = {"builtin", "exec", "http", "llm", "human"};
    assert(handler < HANDLER_COUNT);
    return names[handler];
}

void action_table_done(struct action_table *table)
{
    if (table != NULL) {
        free(table->actions);
        table->actions = NULL;
        table->count = 0;
    }
}

static const struct action *find_in(const struct action *actions, uint32_t count, const char *name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (strcmp(actions[i].name, name) == 0) {
            return &actions[i];
        }
    }
    return NULL;
}

const struct action *action_find(const struct action_table *table, const char *name)
{
    assert(name != NULL);
    const struct action *own = table != NULL ? find_in(table->actions, table->count, name) : NULL;
    return own != NULL ? own : find_in(builtin, BUILTINS, name);
}

const struct action *action_at(const struct action_table *table, uint32_t index)
{
    uint32_t own = table != NULL ? table->count : 0;
    if (index < own) {
        return &table->actions[index];
    }
    for (uint32_t i = 0, left = index - own; i < BUILTINS; i++) {
        bool hidden = own > 0 && find_in(table->actions, own, builtin[i].name) != NULL;
        if (!hidden && left-- == 0) {
            return &builtin[i];
        }
    }
    return NULL;
}

const char *action_suggest(const struct action_table *table, const char *name)
{
    const char *near = NULL;
    unsigned least = 3;
    assert(name != NULL);
    const struct action *a;
    for (uint32_t i = 0; (a = action_at(table, i)) != NULL; i++) {
        unsigned d = command_distance(name, a->name);
        if (d < least) {
            least = d;
            near = a->name;
        }
    }
    return near;
}

/* ---- content ---- */

static const char *const type_names[] = {"string", "number", "boolean", "object", "array", "any"};

static bool text_valid(const uint8_t *at, size_t count)
{
    json_t *text = json_stringn_nocheck("", 0);
    json_decref(text);
    text = json_stringn((const char *)at, count); /* NULL: not UTF-8 */
    bool valid = text != NULL && memchr(at, '\0', count) == NULL;
    json_decref(text);
    return valid;
}

static bool type_is(const json_t *value, enum field_type type)
{
    switch (type) {
    case FIELD_STRING:
        return json_is_string(value);
    case FIELD_NUMBER:
        return json_is_number(value);
    case FIELD_BOOLEAN:
        return json_is_boolean(value);
    case FIELD_OBJECT:
        return json_is_object(value);
    case FIELD_ARRAY:
        return json_is_array(value);
    case FIELD_ANY:
        return true;
    }
    return false;
}

static bool say(struct action_problem *problem, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool say(struct action_problem *problem, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    (void)vsnprintf(problem->text, sizeof(problem->text), format, list);
    va_end(list);
    return false;
}

static bool fields_check(const struct content *content, json_t *object,
                         struct action_problem *problem)
{
    char wanted[300];
    content_format(content, wanted, sizeof(wanted));
    if (!json_is_object(object)) {
        return say(problem, "is JSON, but no object; wanted: %s", wanted);
    }
    for (uint32_t i = 0; i < content->field_count; i++) {
        const struct content_field *f = &content->fields[i];
        const json_t *value = json_object_get(object, f->name);
        if (value == NULL && !f->optional) {
            return say(problem, "lacks \"%s\"; wanted: %s", f->name, wanted);
        }
        if (value != NULL && !type_is(value, f->type)) {
            return say(problem, "\"%s\" is no %s; wanted: %s", f->name, type_names[f->type],
                       wanted);
        }
    }
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value)
    {
        bool known = false;
        for (uint32_t i = 0; i < content->field_count; i++) {
            known = known || strcmp(content->fields[i].name, key) == 0;
        }
        if (!known) {
            return say(problem, "\"%.40s\" is unknown; wanted: %s", key, wanted);
        }
    }
    return true;
}

bool content_check(const struct content *content, const void *bytes, size_t count,
                   struct action_problem *problem)
{
    assert(content != NULL && problem != NULL);
    assert(bytes != NULL || count == 0);
    const uint8_t *at = bytes != NULL ? bytes : (const uint8_t *)"";
    if (content->kind == CONTENT_ANY) {
        return true;
    }
    if (content->kind == CONTENT_NONE) {
        return count == 0 ? true : say(problem, "must be empty: %zu bytes were given", count);
    }
    if (content->kind == CONTENT_TEXT) {
        return text_valid(at, count) ? true : say(problem, "is not text: UTF-8 without NUL");
    }
    json_error_t error;
    json_t *value =
        json_loadb((const char *)at, count, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
    if (value == NULL) {
        return say(problem, "is not JSON: %.120s at line %d, column %d", error.text, error.line,
                   error.column);
    }
    bool good = content->field_count == 0 || fields_check(content, value, problem);
    json_decref(value);
    return good;
}

void content_format(const struct content *content, char *ret, size_t size)
{
    static const char *const kinds[] = {"any", "none", "text", "json"};
    assert(content != NULL && ret != NULL && size > 0);
    size_t used = (size_t)snprintf(ret, size, "%s", kinds[content->kind]);
    for (uint32_t i = 0; i < content->field_count && used < size; i++) {
        const struct content_field *f = &content->fields[i];
        used += (size_t)snprintf(ret + used, size - used, " %s:%s%s", f->name, type_names[f->type],
                                 f->optional ? "?" : "");
    }
}
