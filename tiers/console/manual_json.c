/* The command table for programs: `help --json`. */
#include "tiers/console/manual.h"

#include <assert.h>
#include <jansson.h>
#include <string.h>

static const char *const kinds[] = {"text",  "places",   "unit",   "number",
                                    "share", "duration", "choice", "switch"};

static json_t *choices_json(const char *list)
{
    json_t *ret = json_array();
    for (const char *at = list; at;) {
        size_t bytes = strcspn(at, "|");
        json_array_append_new(ret, json_stringn(at, bytes));
        at = at[bytes] ? at + bytes + 1 : NULL;
    }
    return ret;
}

/* Numbers and durations (in milliseconds) have their least and most. */
static json_t *parameter_json(const struct parameter *p)
{
    json_t *o = json_pack("{s:s,s:s,s:b,s:b,s:b,s:s}", "name", p->name, "kind", kinds[p->kind],
                          "flag", p->flag, "required", p->required, "rest", p->rest, "help",
                          p->help ? p->help : "");
    bool ranged =
        p->kind == PARAMETER_NUMBER || p->kind == PARAMETER_SHARE || p->kind == PARAMETER_DURATION;
    if (ranged) {
        json_object_set_new(o, "least", json_integer(p->least));
        json_object_set_new(o, "most", json_integer(p->most));
    }
    if (p->value_name)
        json_object_set_new(o, "value", json_string(p->value_name));
    if (p->choices)
        json_object_set_new(o, "choices", choices_json(p->choices));
    return o;
}

static json_t *command_json(const struct command_spec *c)
{
    char usage[2048];
    command_usage(c, usage, sizeof usage);
    json_t *parameters = json_array(), *examples = json_array();
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && c->parameters[i].name; i++)
        json_array_append_new(parameters, parameter_json(&c->parameters[i]));
    for (size_t i = 0; i < COMMAND_EXAMPLES_MAX && c->examples[i]; i++)
        json_array_append_new(examples, json_string(c->examples[i]));
    return json_pack("{s:s,s:s,s:s,s:b,s:o,s:b,s:b,s:o,s:o}", "name", c->name, "summary",
                     c->summary, "usage", usage, "acts", c->changes, "acting",
                     choices_json(c->acting), "dangerous", c->dangerous, "local", c->local,
                     "parameters", parameters, "examples", examples);
}

void manual_json(FILE *out, const struct command_spec *one)
{
    size_t count;
    const struct command_spec *table = command_table(&count);
    json_t *list = json_array();
    assert(out);
    for (size_t i = 0; i < count; i++)
        if (!one || one == &table[i])
            json_array_append_new(list, command_json(&table[i]));
    json_t *all = json_pack("{s:o}", "commands", list);
    json_dumpf(all, out, JSON_COMPACT);
    fputc('\n', out);
    json_decref(all);
}
