/* Whether a line does more than read: what --read-only refuses, what `watch` does not repeat, and
 * what the dialogue proposes instead of doing it. The table's `changes` says it of whole commands;
 * here are the words and flags of a command that make the difference. */
#include "tiers/console/content.h"
#include "tiers/console/dry_run.h"
#include "tiers/console/request.h"
#include <assert.h>
#include <string.h>

static bool given(const struct invocation *in, const char *name)
{
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && in->spec->parameters[i].name; i++)
        if (strcmp(in->spec->parameters[i].name, name) == 0)
            return in->values[i].given;
    return false;
}

static bool chosen(const struct invocation *in, const char *name, const char *word)
{
    return given(in, name) && strcmp(command_value(in, name)->text, word) == 0;
}

bool request_acts(const struct invocation *in)
{
    assert(in && in->spec);
    if (dry_run_wanted(in))
        return false;
    switch ((int)in->spec->verb) {
    case CMD_JOBS:
        return chosen(in, "action", "cancel") || chosen(in, "action", "approve") ||
               chosen(in, "action", "reject");
    case CMD_CONFLICTS:
        return chosen(in, "action", "resolve");
    case CMD_THREATS:
        return chosen(in, "action", "clear");
    case CMD_ASK: /* who contradicts a consensus is quarantined */
        return given(in, "consensus");
    case CMD_APPROVE: /* without an id it shows what waits */
        return given(in, "id");
    case CMD_MOVE: /* without places it shows who lives elsewhere */
        return given(in, "places");
    case CMD_SCALE:
        return !request_scale_shows(in);
    case CMD_REVIEW:
        return !chosen(in, "what", "list");
    case CMD_CONTENT:
        return !content_reads(in);
    case CMD_ROUTE_AROUND:
    case CMD_MAPPING:
        return !request_routing_shows(in);
    default:
        return in->spec->changes;
    }
}
