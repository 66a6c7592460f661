/* Requests about what new work goes around: agents, and classes for a capability. */
#include "tiers/console/inquiry.h"
#include "tiers/console/request.h"
#include "tiers/console/targets.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

static bool take_classes(const char *text, uint32_t *ret, char error[COMMAND_ERROR_MAX])
{
    for (const char *at = text;; at++) {
        size_t bytes = strcspn(at, ",");
        enum impedance_class c = class_parse(at, bytes);
        if (c == CLASS_NONE) {
            snprintf(error, COMMAND_ERROR_MAX,
                     "--class: '%.*s' is no class: write A to F or CLASS_A_EDGE",
                     bytes < 60 ? (int)bytes : 60, at);
            return false;
        }
        *ret |= 1u << c;
        at += bytes;
        if (!*at)
            return true;
    }
}

static bool build_mapping(const struct invocation *in, const struct topology *t,
                          struct command *ret, char error[COMMAND_ERROR_MAX])
{
    const struct value *what = command_value(in, "what"), *name = command_value(in, "capability");
    const struct value *classes = command_value(in, "class");
    enum { LIST, EXCLUDE };
    int64_t which = what->given ? what->number : LIST;
    if (which == LIST)
        return true;
    int bit = topology_capability(t, name->text, strlen(name->text));
    if (bit < 0) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "capability: '%.60s' is no capability of this mesh (see capabilities in its "
                 "configuration)",
                 name->text);
        return false;
    }
    ret->query.selector.capabilities = UINT64_C(1) << bit;
    ret->on = which == EXCLUDE;
    return take_classes(classes->text, &ret->query.selector.class_mask, error);
}

/* Whether the mesh is asked first who is meant. */
static bool asks_first(const struct invocation *in)
{
    return command_value(in, "where")->given || command_value(in, "class")->given ||
           command_value(in, "dry-run")->given;
}

static bool chooses(const struct invocation *in)
{
    return command_value(in, "places")->given || command_value(in, "where")->given ||
           command_value(in, "class")->given;
}

static bool build_route_around(const struct invocation *in, const struct topology *t,
                               struct command *ret, char error[COMMAND_ERROR_MAX])
{
    const struct value *places = command_value(in, "places");
    ret->on = !command_value(in, "undo")->given;
    if (places->given &&
        !targets_parse("places", places->text, NULL, t, &ret->query.selector.places, error))
        return false;
    if (!asks_first(in))
        return true;
    ret->kind = COMMAND_QUERY;
    ret->query.from_start = true;
    ret->query.limit = PAGE_ROWS_MAX;
    return request_selector(in, t, &ret->query.selector, error);
}

bool request_routing(const struct invocation *in, const struct topology *t, struct command *ret,
                     char error[COMMAND_ERROR_MAX])
{
    assert(in && t && ret && error);
    if (inquiry_is(in) && in->spec->verb != CMD_ROUTE_AROUND)
        return inquiry_build(in, t, ret, error);
    ret->kind = COMMAND_ROUTE;
    ret->query.kind = QUERY_AGENTS; /* of its query the selector alone is meant */
    ret->query.limit = 1;
    return in->spec->verb == CMD_MAPPING ? build_mapping(in, t, ret, error)
                                         : build_route_around(in, t, ret, error);
}

bool request_routing_shows(const struct invocation *in)
{
    assert(in && in->spec);
    if (in->spec->verb == CMD_MAPPING)
        return !command_value(in, "what")->given || command_value(in, "what")->number == 0;
    return in->spec->verb == CMD_ROUTE_AROUND && !chooses(in) &&
           !command_value(in, "undo")->given && !command_value(in, "dry-run")->given;
}
