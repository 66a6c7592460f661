/* Requests of the recovery commands: freeze, thaw, heal, breaker, quarantine, lift, threats,
 * approve, ping. Their scope is the mesh ("all"), a sector or a cluster, checked against the
 * topology here, so that what does not exist is refused with what does. */
#include "core/num.h"
#include "tiers/console/request.h"
#include "tiers/console/targets.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

/* "s99 is not in this mesh: its sectors are s01 to s10". */
static bool unknown(const struct topology *t, struct unit u, char error[COMMAND_ERROR_MAX])
{
    char name[UNIT_TEXT_MAX], first[UNIT_TEXT_MAX], last[UNIT_TEXT_MAX];
    const char *what = "sectors";
    struct unit from = unit_sector(1), to = unit_sector(t->sectors);
    unit_format(u, name);
    if (u.tier != TIER_SECTOR && u.sector >= 1 && u.sector <= t->sectors) {
        what = u.tier == TIER_CLUSTER ? "clusters there" : "agents there";
        from = unit_cluster(u.sector, 1);
        to = unit_cluster(u.sector, topology_sector_clusters(t, u.sector));
        if (u.tier == TIER_AGENT && topology_contains(t, unit_cluster(u.sector, u.cluster))) {
            from = unit_agent(u.sector, u.cluster, 1);
            to = unit_agent(u.sector, u.cluster,
                            topology_cluster_agents(t, unit_cluster(u.sector, u.cluster)));
        }
    }
    unit_format(from, first);
    unit_format(to, last);
    snprintf(error, COMMAND_ERROR_MAX, "%s is not in this mesh: its %s are %s to %s", name, what,
             first, last);
    return false;
}

/* A scope down to `deepest`. */
static bool take_scope(const char *text, const struct topology *t, enum tier deepest,
                       struct unit *ret, char error[COMMAND_ERROR_MAX])
{
    const char *why = "";
    if (strcmp(text, "all") == 0 || strcmp(text, "global") == 0 || strcmp(text, "mesh") == 0) {
        *ret = unit_orchestrator();
        return true;
    }
    if (!unit_parse(text, strlen(text), ret, &why)) {
        snprintf(error, COMMAND_ERROR_MAX, "scope: '%.40s': %s (all, s07 or s07.c3)", text, why);
        return false;
    }
    if (ret->tier > deepest) {
        snprintf(error, COMMAND_ERROR_MAX, "scope: '%.40s' is too deep: all, s07 or s07.c3", text);
        return false;
    }
    return topology_contains(t, *ret) || unknown(t, *ret, error);
}

static bool take_name(const struct invocation *in, struct command *ret,
                      char error[COMMAND_ERROR_MAX])
{
    const struct value *name = command_value(in, "name");
    if (!name->given)
        return true;
    size_t bytes = strlen(name->text);
    if (bytes == 0 || bytes >= sizeof ret->name ||
        strspn(name->text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.:-") <
            bytes) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "--name: '%.40s': 1 to %zu of a-z, A-Z, 0-9, '/', '_', '.', ':', '-'", name->text,
                 sizeof ret->name - 1);
        return false;
    }
    memcpy(ret->name, name->text, bytes + 1);
    return true;
}

static bool only(struct unit u, const struct topology *t, struct place_set *ret,
                 char error[COMMAND_ERROR_MAX])
{
    char text[UNIT_TEXT_MAX];
    const char *why = "";
    size_t at = 0;
    unit_format(u, text);
    if (place_parse(text, strlen(text), t, ret, &at, &why))
        return true;
    snprintf(error, COMMAND_ERROR_MAX, "scope: '%s': %s", text, why);
    return false;
}

static bool build_ping(const char *text, const struct topology *t, struct command *ret,
                       char error[COMMAND_ERROR_MAX])
{
    struct unit u;
    if (!take_scope(text, t, TIER_AGENT, &u, error))
        return false;
    ret->kind = COMMAND_STATUS;
    if (u.tier == TIER_CLUSTER) {
        ret->kind = COMMAND_QUERY;
        ret->query.kind = QUERY_AGENTS;
        ret->query.limit = 1;
        return only(u, t, &ret->query.selector.places, error);
    }
    if (u.tier == TIER_AGENT) {
        static const char echo[] = "ping";
        ret->kind = COMMAND_SUBMIT;
        ret->operation = (struct operation){.priority = PRIORITY_COUNT - 1,
                                            .trinary_expectation = TRINARY_READY,
                                            .require_ack = true,
                                            .require_answer = true,
                                            .timing = TIMING_SOON,
                                            .verb = VERB_OBSERVE,
                                            .action = "echo",
                                            .minimum_response_rate = 0.95,
                                            .window_us = 500 * US_PER_MS,
                                            .timeout_us = 5 * US_PER_S,
                                            .ttl_us = 10 * US_PER_S,
                                            .payload = (const uint8_t *)echo,
                                            .payload_bytes = sizeof echo - 1};
        return only(u, t, &ret->operation.selector.places, error);
    }
    return true;
}

/* "REASON; evidence: TEXT", as far as the log keeps it. */
static bool build_isolate(const struct invocation *in, const struct topology *t,
                          struct command *ret, char error[COMMAND_ERROR_MAX])
{
    bool quarantine = in->spec->verb == CMD_QUARANTINE;
    const struct value *reason = command_value(in, "reason");
    const char *evidence = quarantine && command_value(in, "evidence")->given
                               ? command_value(in, "evidence")->text
                               : "";
    ret->kind = COMMAND_ISOLATE;
    ret->on = quarantine;
    if (!take_scope(command_value(in, "agent")->text, t, TIER_AGENT, &ret->scope, error))
        return false;
    if (ret->scope.tier != TIER_AGENT) {
        snprintf(error, COMMAND_ERROR_MAX, "agent: '%.40s': one agent, as s07.c3.a12",
                 command_value(in, "agent")->text);
        return false;
    }
    int n =
        snprintf(ret->decision.note, sizeof ret->decision.note, "%s%s%s",
                 reason->given ? reason->text : "", evidence[0] ? "; evidence: " : "", evidence);
    if (n >= (int)sizeof ret->decision.note) {
        snprintf(error, COMMAND_ERROR_MAX, "reason: %d bytes with the evidence; %zu at most", n,
                 sizeof ret->decision.note - 1);
        return false;
    }
    return true;
}

/* A sector is asked itself, and so is what lies in it: not through the orchestrator. */
struct unit request_to(const struct invocation *in, struct unit otherwise)
{
    assert(in && in->spec);
    struct unit u;
    const char *why = "";
    if (in->spec->verb != CMD_PING)
        return otherwise;
    const char *text = command_value(in, "scope")->text;
    if (unit_parse(text, strlen(text), &u, &why) && u.tier >= TIER_SECTOR && u.tier <= TIER_AGENT)
        return unit_sector(u.sector);
    return otherwise;
}

static bool take_id(const char *text, struct command *ret, char error[COMMAND_ERROR_MAX])
{
    uint64_t id = 0;
    if (strlen(text) != 16 || !num_parse_hex64(text, 16, &id)) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "id: '%.40s' is none: 16 hex digits, as 3f9a0c1d2e4b5a69", text);
        return false;
    }
    memcpy(ret->name, text, 17);
    return true;
}

static bool build_threats(const struct invocation *in, struct command *ret,
                          char error[COMMAND_ERROR_MAX])
{
    enum { LIST, SHOW, CLEAR };
    const struct value *action = command_value(in, "action"), *id = command_value(in, "id");
    int64_t which = action->given ? action->number : LIST;
    ret->kind = COMMAND_THREAT;
    ret->on = which == CLEAR;
    return !id->given || take_id(id->text, ret, error);
}

/* Who, and where to; without who: who lives elsewhere. */
static bool build_move(const struct invocation *in, const struct topology *t, struct command *ret,
                       char error[COMMAND_ERROR_MAX])
{
    const struct value *places = command_value(in, "places"), *to = command_value(in, "to");
    bool back = command_value(in, "back")->given;
    const char *where = back ? "back" : to->given && strcmp(to->text, "auto") != 0 ? to->text : "";
    ret->kind = COMMAND_MOVE;
    ret->on = command_value(in, "dry-run")->given;
    ret->query.kind = QUERY_AGENTS; /* of its query the selector alone is meant */
    ret->query.limit = 1;
    if (strlen(where) >= sizeof ret->name) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "--to: %zu bytes, %zu at most: fold them, as s07.c[1-5,9]", strlen(where),
                 sizeof ret->name - 1);
        return false;
    }
    snprintf(ret->name, sizeof ret->name, "%s", where);
    return !places->given ||
           targets_parse("places", places->text, NULL, t, &ret->query.selector.places, error);
}

bool request_recovery(const struct invocation *in, const struct topology *t, struct command *ret,
                      char error[COMMAND_ERROR_MAX])
{
    assert(in && t && ret && error);
    if (in->spec->verb == CMD_QUARANTINE || in->spec->verb == CMD_LIFT)
        return build_isolate(in, t, ret, error);
    if (in->spec->verb == CMD_MOVE)
        return build_move(in, t, ret, error);
    if (in->spec->verb == CMD_THREATS)
        return build_threats(in, ret, error);
    if (in->spec->verb == CMD_APPROVE) {
        ret->kind = COMMAND_SECOND;
        return !command_value(in, "id")->given ||
               take_id(command_value(in, "id")->text, ret, error);
    }
    const char *scope =
        command_value(in, "scope")->given ? command_value(in, "scope")->text : "all";
    switch ((int)in->spec->verb) {
    case CMD_FREEZE:
        ret->kind = COMMAND_FREEZE;
        return take_scope(scope, t, TIER_CLUSTER, &ret->scope, error) && take_name(in, ret, error);
    case CMD_THAW:
        ret->kind = COMMAND_THAW;
        return take_scope(scope, t, TIER_CLUSTER, &ret->scope, error);
    case CMD_HEAL:
        ret->kind = COMMAND_HEAL;
        ret->on = command_value(in, "dry-run")->given;
        return strcmp(scope, "auto") == 0 || !command_value(in, "scope")->given ||
               take_scope(scope, t, TIER_CLUSTER, &ret->scope, error);
    case CMD_BREAKER:
        ret->kind = COMMAND_BREAKER;
        ret->on = command_value(in, "action")->number == 0;
        return take_scope(scope, t, TIER_CLUSTER, &ret->scope, error);
    default:
        assert(in->spec->verb == CMD_PING);
        return build_ping(scope, t, ret, error);
    }
}
