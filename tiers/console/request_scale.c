/* `scale`: how many newcomers, where, how fast; who of them is to go again; or what is asked about
 * those who come in or leave. */
#include "tiers/console/request.h"

#include "core/num.h"
#include "tiers/console/targets.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

#define RATE_DEFAULT    20
#define OVER_DEFAULT_US (300ll * US_PER_S)
#define WITHIN_US       (60ll * US_PER_S)

/* In the order of the table's choices. */
static const enum scale_action ACTIONS[] = {SCALE_ADD,    SCALE_SHOW,  SCALE_WATCH, SCALE_PLACES,
                                            SCALE_FINISH, SCALE_ABORT, SCALE_REMOVE};

/* "50/s" or "50". */
static bool take_rate(const char *text, uint32_t *ret, char error[COMMAND_ERROR_MAX])
{
    size_t bytes = strlen(text);
    uint64_t rate = 0;
    if (bytes > 2 && strcmp(text + bytes - 2, "/s") == 0)
        bytes -= 2;
    if (!num_parse_u64(text, bytes, &rate) || rate < 1 || rate > SCALE_RATE_MAX) {
        snprintf(error, COMMAND_ERROR_MAX, "--rate: '%.40s' is none: 1/s to %u/s, as 20/s", text,
                 SCALE_RATE_MAX);
        return false;
    }
    *ret = (uint32_t)rate;
    return true;
}

static bool take_sector(const char *text, const struct topology *t, struct place_set *ret,
                        char error[COMMAND_ERROR_MAX])
{
    if (strcmp(text, "least-loaded") == 0)
        return true;
    if (!targets_parse("--sector", text, NULL, t, ret, error))
        return false;
    for (uint32_t i = 0; i < ret->count; i++) {
        uint16_t last = ret->patterns[i].agent.last;
        if (last != 0 && last != UINT16_MAX) {
            snprintf(error, COMMAND_ERROR_MAX,
                     "--sector: '%.40s' names agents: sectors or clusters are meant, as s07.c3",
                     text);
            return false;
        }
    }
    return true;
}

bool request_scale(const struct invocation *in, const struct topology *t, struct command *ret,
                   char error[COMMAND_ERROR_MAX])
{
    assert(in && t && ret && error);
    enum scale_action action = ACTIONS[command_value(in, "action")->number];
    const struct value *rate = command_value(in, "rate"), *over = command_value(in, "over");
    const struct value *sector = command_value(in, "sector");
    ret->kind = COMMAND_SCALE;
    ret->scale.action = action;
    ret->query.kind = QUERY_CLUSTERS; /* of its query the selector alone is meant */
    ret->query.limit = 1;
    if (sector->given && !take_sector(sector->text, t, &ret->query.selector.places, error))
        return false;
    if (action != SCALE_ADD && action != SCALE_REMOVE)
        return true;
    struct selector who = {0};
    if (!request_selector(in, t, &who, error))
        return false;
    ret->query.selector.class_mask = who.class_mask;
    ret->on = command_value(in, "dry-run")->given;
    ret->scale.count = (uint32_t)command_value(in, "count")->number;
    if (action == SCALE_REMOVE) {
        const struct value *within = command_value(in, "within");
        ret->query.selector.places = who.places;
        ret->scale.over_us = within->given ? within->number : WITHIN_US;
        return true;
    }
    ret->scale.rate = RATE_DEFAULT;
    ret->scale.over_us = over->given ? over->number : OVER_DEFAULT_US;
    return !rate->given || take_rate(rate->text, &ret->scale.rate, error);
}

bool request_scale_shows(const struct invocation *in)
{
    assert(in && in->spec->verb == CMD_SCALE);
    enum scale_action action = ACTIONS[command_value(in, "action")->number];
    return action < SCALE_ADD || command_value(in, "dry-run")->given;
}
