/* What a line does: whether it acts, and whether it must be said twice. --read-only, `watch` and
 * the dialogue ask the same question, so the answer is here alone. */
#include "tiers/console/content.h"
#include "tiers/console/dry_run.h"
#include "tiers/console/request.h"
#include <assert.h>

/* Words of commands that act which only show what is. */
static bool shows(const struct invocation *in)
{
    switch ((int)in->spec->verb) {
    case CMD_CONTENT:
        return content_reads(in);
    case CMD_REVIEW:
        return command_value(in, "what")->number == 0;
    case CMD_ROUTE_AROUND:
    case CMD_MAPPING:
        return request_routing_shows(in);
    case CMD_SCALE:
        return request_scale_shows(in);
    case CMD_MOVE:
        return !command_value(in, "places")->given;
    case CMD_APPROVE:
        return !command_value(in, "id")->given;
    default:
        return false;
    }
}

bool request_acts(const struct invocation *in)
{
    assert(in && in->spec);
    /* Who contradicts a consensus is quarantined. */
    bool judges = in->spec->verb == CMD_ASK && command_value(in, "consensus")->given;
    return (command_acts(in) || judges) && !shows(in) && !dry_run_wanted(in);
}

bool request_dangerous(const struct invocation *in)
{
    assert(in && in->spec);
    return in->spec->dangerous && request_acts(in) && !command_value(in, "yes")->given;
}
