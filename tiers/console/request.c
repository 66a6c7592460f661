/* Requests from lines.
 *
 * Defaults are chosen here and nowhere else, so that `help`, the docs and the mesh agree: a
 * question goes to a sample of 100, a broadcast to all, a cascade to the classes A to E (people,
 * CLASS_F, need minutes: name them with --class to include them) with hold at T. Times that are not
 * given stay 0 and are filled by the tier that admits the operation. */
#include "tiers/console/request.h"
#include "core/facts.h"
#include "core/resolve.h"
#include "core/types.h"
#include "tiers/console/condition.h"
#include "tiers/console/content.h"
#include "tiers/console/inquiry.h"
#include "tiers/console/jobs.h"
#include "tiers/console/logs.h"
#include "tiers/console/pipeline.h"
#include "tiers/console/review.h"
#include "tiers/console/rollout.h"
#include "tiers/console/targets.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ASK_SAMPLE          100u
#define ROWS_SHOWN          50u
#define DELEGATE_ROWS       512u /* to choose from: those that new work avoids are passed over */
#define TOP_SHOWN           20u
#define TIMEOUT_ASK_US      (5 * (int64_t)US_PER_S)
#define TIMEOUT_DELEGATE_US (300 * (int64_t)US_PER_S) /* spec 7.1 */

static bool has(const struct invocation *in, const char *name)
{
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && in->spec->parameters[i].name; i++)
        if (strcmp(in->spec->parameters[i].name, name) == 0)
            return in->values[i].given;
    return false;
}

static bool parse_places(const char *flag, const char *text, const struct topology *t,
                         struct place_set *ret, char error[COMMAND_ERROR_MAX])
{
    size_t at = 0;
    const char *why = NULL;
    if (place_parse(text, strlen(text), t, ret, &at, &why))
        return true;
    char hint[64];
    snprintf(error, COMMAND_ERROR_MAX, "%s: '%.80s' at character %zu: %s%s", flag, text, at + 1,
             why, targets_hint(why, t, hint));
    return false;
}

/* Calls take(word) for each comma-separated word; the first that it refuses ends in an error. */
typedef bool (*take_word)(const char *word, size_t bytes, const struct topology *t,
                          struct selector *sel);

static bool each_word(const char *flag, const char *text, const char *kind, take_word take,
                      const struct topology *t, struct selector *sel, char error[COMMAND_ERROR_MAX])
{
    for (const char *at = text;; at++) {
        size_t bytes = strcspn(at, ",");
        if (!take(at, bytes, t, sel)) {
            snprintf(error, COMMAND_ERROR_MAX, "%s: '%.*s' is no %s", flag, (int)bytes, at, kind);
            return false;
        }
        at += bytes;
        if (!*at)
            return true;
    }
}

static bool take_class(const char *word, size_t bytes, const struct topology *t,
                       struct selector *sel)
{
    (void)t;
    enum impedance_class c = class_parse(word, bytes);
    if (c == CLASS_NONE)
        return false;
    sel->class_mask |= 1u << c;
    return true;
}

static bool take_state(const char *word, size_t bytes, const struct topology *t,
                       struct selector *sel)
{
    (void)t;
    for (enum agent_state s = AGENT_UNKNOWN; s < AGENT_STATE_COUNT; s++)
        if (strlen(agent_state_name(s)) == bytes && memcmp(agent_state_name(s), word, bytes) == 0) {
            sel->state_mask |= 1u << s;
            return true;
        }
    return false;
}

static bool take_capability(const char *word, size_t bytes, const struct topology *t,
                            struct selector *sel)
{
    int bit = topology_capability(t, word, bytes);
    if (bit < 0)
        return false;
    sel->capabilities |= 1ull << bit;
    return true;
}

static void build_scores(const struct invocation *in, struct selector *ret)
{
    if (!has(in, "faster") && !has(in, "slower"))
        return;
    if (has(in, "slower"))
        ret->score_min = (uint32_t)command_value(in, "slower")->number;
    ret->score_max = has(in, "faster") ? (uint32_t)command_value(in, "faster")->number : 1000;
}

static bool build_where(const struct invocation *in, struct selector *ret,
                        char error[COMMAND_ERROR_MAX])
{
    size_t at = 0;
    const char *text = has(in, "where") ? command_value(in, "where")->text : NULL;
    const char *why = text ? where_read(text, ret->where, &at) : NULL;
    if (why)
        snprintf(error, COMMAND_ERROR_MAX, "--where: '%.80s' at character %zu: %s", text, at + 1,
                 why);
    return !why;
}

bool request_selector(const struct invocation *in, const struct topology *t, struct selector *ret,
                      char error[COMMAND_ERROR_MAX])
{
    assert(in && t && ret && error);
    const char *on = has(in, "on") ? command_value(in, "on")->text : NULL;
    const char *except = has(in, "except") ? command_value(in, "except")->text : NULL;
    if ((on || except) &&
        !targets_parse(on ? "--on" : "--except", on, except, t, &ret->places, error))
        return false;
    if (has(in, "class") &&
        !each_word("--class", command_value(in, "class")->text,
                   "class: write A to F or CLASS_A_EDGE", take_class, t, ret, error))
        return false;
    if (has(in, "state") &&
        !each_word(
            "--state", command_value(in, "state")->text,
            "state: write unknown, active, degraded, suspect, offline, quarantined or frozen",
            take_state, t, ret, error))
        return false;
    build_scores(in, ret);
    if (!build_where(in, ret, error))
        return false;
    const char *flag = has(in, "capability") ? "capability" : "require";
    if (!has(in, flag))
        return true;
    ret->capable_only = has(in, "capability");
    return each_word(has(in, "capability") ? "--capability" : "--require",
                     command_value(in, flag)->text,
                     "capability of this mesh (see capabilities in its configuration)",
                     take_capability, t, ret, error);
}

static bool set_action(struct operation *op, const char *name, char error[COMMAND_ERROR_MAX])
{
    size_t bytes = strlen(name);
    if (bytes >= ACTION_MAX) {
        snprintf(error, COMMAND_ERROR_MAX, "--action: '%.40s..' is longer than %u characters", name,
                 ACTION_MAX - 1);
        return false;
    }
    memset(op->action, 0, sizeof op->action);
    memcpy(op->action, name, bytes);
    return true;
}

static bool set_payload(struct operation *op, const char *text, char error[COMMAND_ERROR_MAX])
{
    size_t bytes = strlen(text);
    if (bytes > PAYLOAD_BYTES_MAX) {
        snprintf(error, COMMAND_ERROR_MAX, "message: %zu bytes; %u at most", bytes,
                 PAYLOAD_BYTES_MAX);
        return false;
    }
    op->payload = (const uint8_t *)text;
    op->payload_bytes = (uint32_t)bytes;
    return true;
}

/* What stands in the environment and is none, is as if it were not there (W3C); what was typed is
 * an error. */
static bool build_trace(const struct invocation *in, struct operation *op,
                        char error[COMMAND_ERROR_MAX])
{
    const char *given = has(in, "traceparent") ? command_value(in, "traceparent")->text : NULL;
    const char *text = given ? given : getenv("TRACEPARENT");
    const char *why = text ? traceparent_parse(text, &op->trace) : NULL;
    if (why && given)
        snprintf(error, COMMAND_ERROR_MAX, "--traceparent: '%.60s': %s", given, why);
    return !why || !given;
}

/* What every operation has in common. */
static bool build_operation(const struct invocation *in, const struct topology *t,
                            struct operation *op, char error[COMMAND_ERROR_MAX])
{
    op->priority = 2;
    op->trinary_expectation = TRINARY_READY;
    op->require_ack = true;
    op->timing = TIMING_SOON;
    op->verb = VERB_ACT;
    op->window_us = 500 * US_PER_MS;
    op->minimum_response_rate = 0.95;
    op->timeout_us = TIMEOUT_ASK_US;
    if (has(in, "priority"))
        op->priority = (uint8_t)command_value(in, "priority")->number;
    if (has(in, "window"))
        op->window_us = command_value(in, "window")->number;
    if (has(in, "timeout"))
        op->timeout_us = command_value(in, "timeout")->number;
    if (has(in, "weight"))
        op->payload_weight = command_value(in, "weight")->share;
    if (has(in, "rate"))
        op->minimum_response_rate = command_value(in, "rate")->share;
    op->hedge = has(in, "hedge");
    if (has(in, "expect"))
        op->trinary_expectation = (int8_t[]){TRINARY_READY, TRINARY_CONFLICT,
                                             TRINARY_TRANSIT}[command_value(in, "expect")->number];
    if (has(in, "consensus"))
        op->quorum = (uint32_t)command_value(in, "consensus")->number;
    return build_trace(in, op, error) && request_selector(in, t, &op->selector, error);
}

static bool build_broadcast(const struct invocation *in, struct operation *op,
                            char error[COMMAND_ERROR_MAX])
{
    op->routing = ROUTING_BROADCAST;
    op->verb = VERB_RECORD;
    op->require_ack = !has(in, "no-ack");
    return set_action(op, "echo", error) &&
           set_payload(op, command_value(in, "message")->text, error);
}

/* What answers a question; other questions are echoed unless --action names what understands them.
 */
static const char *question_action(const char *question)
{
    if (strcasestr(question, "context hash"))
        return "context";
    if (strcmp(question, "facts") == 0 || strcasestr(question, "your facts"))
        return "facts";
    return strcasestr(question, "who are you") ? "whoami" : "echo";
}

static bool build_ask(const struct invocation *in, struct operation *op,
                      char error[COMMAND_ERROR_MAX])
{
    const char *question = command_value(in, "question")->text;
    const char *action = question_action(question);
    op->routing = ROUTING_SCATTER_GATHER;
    op->verb = VERB_OBSERVE;
    op->require_answer = true;
    op->allow_partial = true;
    op->selector.sample = has(in, "sample") ? (uint32_t)command_value(in, "sample")->number
                          : has(in, "all") || has(in, "limit") ? 0
                                                               : ASK_SAMPLE;
    return set_action(op, has(in, "action") ? command_value(in, "action")->text : action, error) &&
           set_payload(op, question, error);
}

static bool build_run(const struct invocation *in, struct operation *op,
                      char error[COMMAND_ERROR_MAX])
{
    op->routing = ROUTING_SCATTER_GATHER;
    op->require_answer = true;
    op->allow_partial = true;
    if (has(in, "sample"))
        op->selector.sample = (uint32_t)command_value(in, "sample")->number;
    return set_action(op, command_value(in, "action")->text, error) &&
           set_payload(op, has(in, "input") ? command_value(in, "input")->text : "", error);
}

/* More than there can be is said before anything is sent. What facts and states leave of them, the
 * mesh alone knows. */
static bool enough(const struct invocation *in, const struct topology *t, const char *flag,
                   const struct selector *sel, char error[COMMAND_ERROR_MAX])
{
    uint32_t there = selector_expected(sel, t, unit_orchestrator());
    int64_t wanted = has(in, flag) ? command_value(in, flag)->number : 0;
    if (there == 0 || wanted <= there)
        return true;
    snprintf(error, COMMAND_ERROR_MAX,
             "--%s: %lld, but only %u agent%s meant: name more, or ask for fewer", flag,
             (long long)wanted, there, there > 1 ? "s are" : " is");
    return false;
}

/* Whom: a class, places, or best_available (no restriction). Which agents that are is found out
 * when the command runs (task.c). */
static bool build_delegate(const struct invocation *in, const struct topology *t,
                           struct operation *op, char error[COMMAND_ERROR_MAX])
{
    const char *to = has(in, "to") ? command_value(in, "to")->text : "best_available";
    size_t at = 0;
    const char *why = NULL;
    op->routing = ROUTING_DIRECT;
    op->require_answer = true;
    op->allow_partial = true;
    enum impedance_class c = class_parse(to, strlen(to));
    if (c != CLASS_NONE) {
        op->selector.class_mask = 1u << c;
    } else if (strcmp(to, "best_available") != 0 &&
               !place_parse(to, strlen(to), t, &op->selector.places, &at, &why)) {
        char hint[64];
        snprintf(error, COMMAND_ERROR_MAX,
                 "--to: '%.60s' is neither best_available, nor a class, nor places (at character "
                 "%zu: %s%s)",
                 to, at + 1, why, targets_hint(why, t, hint));
        return false;
    }
    if (!enough(in, t, "several", &op->selector, error))
        return false;
    if (!has(in, "timeout"))
        op->timeout_us = TIMEOUT_DELEGATE_US;
    return set_action(op, has(in, "action") ? command_value(in, "action")->text : "work", error) &&
           set_payload(op, command_value(in, "task")->text, error);
}

static bool build_cascade(const struct invocation *in, struct operation *op,
                          char error[COMMAND_ERROR_MAX])
{
    op->routing = ROUTING_SCATTER_GATHER;
    op->strategy = CASCADE_WAVE;
    op->timing = TIMING_AT;
    op->verb = VERB_SYNC;
    if (has(in, "strategy"))
        op->strategy = (enum cascade_strategy[]){CASCADE_WAVE, CASCADE_PARALLEL,
                                                 CASCADE_PRIORITY_FIRST}[command_value(in, "strat"
                                                                                           "egy")
                                                                             ->number];
    if (has(in, "timing"))
        op->timing =
            (enum timing[]){TIMING_AT, TIMING_BY, TIMING_SOON}[command_value(in, "timing")->number];
    if (op->selector.class_mask == 0)
        op->selector.class_mask = CLASS_MASK_ALL & ~(1u << CLASS_F_HUMAN);
    op->allow_partial = has(in, "allow-partial");
    if (!has(in, "window"))
        op->window_us = 0; /* the strategy's own window */
    if (!has(in, "timeout"))
        op->timeout_us = 0;
    if (has(in, "in")) /* a negative target is relative: the tier that admits it adds its own now */
        op->target_mesh_us = -command_value(in, "in")->number;
    return set_action(op, has(in, "action") ? command_value(in, "action")->text : "work", error) &&
           set_payload(op, has(in, "message") ? command_value(in, "message")->text : "cascade",
                       error);
}

static const char *tier_article(enum tier tier)
{
    return tier == TIER_SECTOR    ? "a sector"
           : tier == TIER_CLUSTER ? "a cluster"
           : tier == TIER_AGENT   ? "an agent"
                                  : "the whole mesh";
}

static const char *tier_example(enum tier tier)
{
    return tier == TIER_SECTOR ? "s07" : tier == TIER_CLUSTER ? "s07.c3" : "s07.c3.a12";
}

/* A unit argument becomes a set of one place, checked for its tier. */
static bool build_unit_query(const struct invocation *in, const char *name, enum tier tier,
                             const struct topology *t, struct query *ret,
                             char error[COMMAND_ERROR_MAX])
{
    const char *text = command_value(in, name)->text, *why = NULL;
    struct unit u;
    if (!unit_parse(text, strlen(text), &u, &why)) {
        snprintf(error, COMMAND_ERROR_MAX, "%s: '%.60s': %s", name, text, why);
        return false;
    }
    if (u.tier != tier) {
        snprintf(error, COMMAND_ERROR_MAX, "%s: '%.60s' is %s, not %s: as %s", name, text,
                 tier_article((enum tier)u.tier), tier_article(tier), tier_example(tier));
        return false;
    }
    char short_form[UNIT_TEXT_MAX];
    unit_format(u, short_form);
    if (!topology_contains(t, u)) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "%s: there is no %s: this mesh has sectors 1 to %u, clusters 1 to %u, agents 1 to "
                 "%u (%u in all)",
                 name, short_form, t->sectors, t->clusters_per_sector, t->agents_per_cluster,
                 t->agents);
        return false;
    }
    return parse_places(name, short_form, t, &ret->selector.places, error);
}

static bool build_query(const struct invocation *in, const struct topology *t, struct query *ret,
                        char error[COMMAND_ERROR_MAX])
{
    size_t limit = request_row_limit(in);
    ret->from_start = true;
    ret->limit = limit < PAGE_ROWS_MAX ? (uint32_t)limit : PAGE_ROWS_MAX;
    switch ((int)in->spec->verb) {
    case CMD_SECTORS:
        ret->kind = QUERY_SECTORS;
        return request_selector(in, t, &ret->selector, error);
    case CMD_SECTOR:
        ret->kind = QUERY_CLUSTERS;
        return build_unit_query(in, "sector", TIER_SECTOR, t, ret, error);
    case CMD_CLUSTER:
        ret->kind = QUERY_AGENTS;
        return build_unit_query(in, "cluster", TIER_CLUSTER, t, ret, error);
    case CMD_AGENT:
        ret->kind = QUERY_AGENTS;
        return build_unit_query(in, "agent", TIER_AGENT, t, ret, error);
    case CMD_TOP:
        ret->kind = (enum query_kind)(QUERY_TOP_SLOW + (int)command_value(in, "by")->number);
        return request_selector(in, t, &ret->selector, error);
    case CMD_INSPECT:
        ret->kind = QUERY_INSPECT;
        return build_unit_query(in, "agent", TIER_AGENT, t, ret, error);
    case CMD_FIND:
        ret->kind = QUERY_AGENTS;
        return request_selector(in, t, &ret->selector, error);
    default:
        break;
    }
    assert(0 && "not a query");
    return false;
}

static bool build_wait(const struct invocation *in, char error[COMMAND_ERROR_MAX])
{
    struct condition c;
    char why[COMMAND_ERROR_MAX];
    if (condition_parse(command_value(in, "for")->text, &c, why))
        return true;
    snprintf(error, COMMAND_ERROR_MAX, "--for: %.240s", why);
    return false;
}

size_t request_row_limit(const struct invocation *in)
{
    switch ((int)in->spec->verb) {
    case CMD_FIND:
        return has(in, "limit") ? (size_t)command_value(in, "limit")->number : ROWS_SHOWN;
    case CMD_TOP:
        return has(in, "limit") ? (size_t)command_value(in, "limit")->number : TOP_SHOWN;
    case CMD_DELEGATE:
    case CMD_PIPELINE:
        return DELEGATE_ROWS;
    case CMD_SECTORS:
        return has(in, "all") ? SIZE_MAX : ROWS_SHOWN;
    default:
        break;
    }
    return SIZE_MAX;
}

static bool build_submission(const struct invocation *in, const struct topology *t,
                             struct command *ret, char error[COMMAND_ERROR_MAX])
{
    struct operation *op = &ret->operation;
    ret->kind = COMMAND_SUBMIT;
    if (!build_operation(in, t, op, error))
        return false;
    switch ((int)in->spec->verb) {
    case CMD_BROADCAST:
        return build_broadcast(in, op, error) && rollout_limit(in, t, NULL, &op->selector, error);
    case CMD_ASK:
        return build_ask(in, op, error) && rollout_limit(in, t, NULL, &op->selector, error) &&
               enough(in, t, "quorum", &op->selector, error);
    case CMD_RUN:
        return build_run(in, op, error) && rollout_limit(in, t, NULL, &op->selector, error);
    case CMD_CASCADE:
        return build_cascade(in, op, error) && rollout_limit(in, t, NULL, &op->selector, error);
    case CMD_DELEGATE:
        return build_delegate(in, t, op, error);
    case CMD_PIPELINE:
        return pipeline_build(in, t, op, error);
    case CMD_CONTENT:
        return content_build(in, op, error);
    default:
        break;
    }
    return review_build(in, t, op, error);
}

bool request_build(const struct invocation *in, const struct topology *t, struct command *ret,
                   char error[COMMAND_ERROR_MAX])
{
    assert(in && in->spec && t);
    assert(ret && error && !in->spec->local);
    memset(ret, 0, sizeof *ret);
    if (inquiry_is(in) || in->spec->verb == CMD_ROUTE_AROUND || in->spec->verb == CMD_MAPPING)
        return request_routing(in, t, ret, error);
    switch ((int)in->spec->verb) {
    case CMD_STATUS:
    case CMD_CHECK:
    case CMD_WAIT:
        ret->kind = COMMAND_STATUS;
        return (in->spec->verb != CMD_CHECK || check_valid(in, error)) &&
               (in->spec->verb != CMD_WAIT || build_wait(in, error));
    case CMD_BROADCAST:
    case CMD_ASK:
    case CMD_RUN:
    case CMD_CONTENT:
    case CMD_DELEGATE:
    case CMD_PIPELINE:
    case CMD_REVIEW:
    case CMD_CASCADE:
        return build_submission(in, t, ret, error);
    case CMD_WHEN:
        ret->kind = COMMAND_WHEN;
        return build_operation(in, t, &ret->operation, error);
    case CMD_FREEZE:
    case CMD_THAW:
    case CMD_HEAL:
    case CMD_BREAKER:
    case CMD_PING:
    case CMD_QUARANTINE:
    case CMD_LIFT:
    case CMD_THREATS:
    case CMD_APPROVE:
    case CMD_MOVE:
        return request_recovery(in, t, ret, error);
    case CMD_SCALE:
        return request_scale(in, t, ret, error);
    case CMD_KPI:
        ret->kind = COMMAND_QUERY;
        ret->query = (struct query){.kind = QUERY_KPI, .from_start = true, .limit = PAGE_ROWS_MAX};
        return true;
    case CMD_CANCEL:
    case CMD_JOBS:
    case CMD_TRACE:
        return jobs_build(in, ret, error);
    case CMD_CONFLICTS:
    case CMD_AUDIT:
    case CMD_INCIDENT:
        return logs_build(in, t, ret, error);
    case CMD_SECTORS:
    case CMD_SECTOR:
    case CMD_CLUSTER:
    case CMD_AGENT:
    case CMD_FIND:
    case CMD_INSPECT:
    case CMD_TOP:
        ret->kind = COMMAND_QUERY;
        return build_query(in, t, &ret->query, error);
    case CMD_WATCH:
    case CMD_HELP:
    case CMD_QUIT:
        break;
    }
    assert(0 && "a local command");
    return false;
}
