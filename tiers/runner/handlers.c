/* The actions of this version:
 *
 *   echo       the payload comes back (the first KiB of it)
 *   context    the name of what the agent has loaded, in hex, and its size when an operation
 *              brought it; HASH_MISMATCH when it is that no more
 *   work       takes the class's base time (spec 3.1) x (1 + weight / 2) x a lognormal draw, then
 *              echoes
 *   probe      nothing, at once
 *   fail       FAILED by the handler; a number as payload: only that share of agents in permille,
 *              the same ones every time
 *   conflict   CONTEXT_DIVERGENCE, with the same payload
 *   relay      payload "PLACES TEXT" or "ROUTING PLACES ACTION TEXT": the agent sends TEXT to these
 *              places as a message of its own, and answers "sent"
 *   facts      what --where asks of, process, class
 *   whoami     the agent's place: an answer that no other agent gives
 *
 * A verdict depends on the agent and the payload only, so that a run can be repeated. */
#include "tiers/runner/handlers.h"

#include "core/note.h"
#include "core/num.h"
#include "core/predictor.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void answer_bytes(struct handler_answer *a, const void *bytes, size_t count)
{
    a->bytes = count < ANSWER_BYTES_MAX ? (uint32_t)count : ANSWER_BYTES_MAX;
    if (a->bytes > 0) {
        memcpy(a->at, bytes, a->bytes);
    }
}

static void echo_finish(const struct handler_call *call, struct handler_answer *ret)
{
    answer_bytes(ret, call->operation->payload, call->operation->payload_bytes);
}

static void context_finish(const struct handler_call *call, struct handler_answer *ret)
{
    static const uint8_t spoilt[] = "what is loaded does not hash to its name";
    char text[ID128_TEXT_MAX + 32];
    num_id128_format(call->context_hash, text);
    size_t used = strlen(text);
    if (call->context_bytes > 0) {
        int n = snprintf(text + used, sizeof(text) - used, " %u bytes", call->context_bytes);
        used += n > 0 ? (size_t)n : 0;
    }
    answer_bytes(ret, text, used);
    if (call->context_wrong) {
        ret->verdict = OUTCOME_CONFLICT;
        ret->has_conflict = true;
        ret->conflict = (struct conflict_detail){.type = CONFLICT_HASH_MISMATCH,
                                                 .context_hash = call->context_hash,
                                                 .divergence_depth = 1,
                                                 .agents_affected = 1,
                                                 .expected = ret->at,
                                                 .expected_bytes = ID128_TEXT_MAX - 1,
                                                 .received = spoilt,
                                                 .received_bytes = sizeof(spoilt) - 1};
    }
}

static int64_t work_begin(const struct handler_call *call)
{
    static const double sigma[CLASS_COUNT] = {0.2, 0.15, 0.3, 0.3, 0.25, 0.45, 1.3};
    double weight = num_clamp(call->operation->payload_weight, 0.0, 1000.0);
    if (call->work_us != NULL) {
        return call->work_us(call->work_ctx, call->home, call->agent_class, weight);
    }
    double z = num_normal_quantile(rng_unit(call->rng));
    double us = (double)predictor_class_base_us(call->agent_class) * (1.0 + 0.5 * weight) *
                num_exp2(1.442695 * sigma[call->agent_class] * z);
    return (int64_t)num_clamp(us, 0.0, 86400e6);
}

static void probe_finish(const struct handler_call *call, struct handler_answer *ret)
{
    (void)call;
    ret->bytes = 0;
}

/* Whether this agent is of the share that the payload names; all, when it names none. */
static bool is_chosen(const struct handler_call *call)
{
    uint64_t permille = 1000;
    if (call->operation->payload_bytes > 0) {
        (void)num_parse_u64((const char *)call->operation->payload, call->operation->payload_bytes,
                            &permille);
    }
    uint64_t key = unit_pack(call->unit);
    return num_hash64(&key, sizeof(key), 4711) % 1000 < permille;
}

static void fail_finish(const struct handler_call *call, struct handler_answer *ret)
{
    if (is_chosen(call)) {
        ret->verdict = OUTCOME_FAILED;
        ret->reason = REASON_HANDLER;
    }
}

static void conflict_finish(const struct handler_call *call, struct handler_answer *ret)
{
    static const uint8_t expected[] = "a1", received[] = "b2";
    if (!is_chosen(call)) {
        return;
    }
    ret->verdict = OUTCOME_CONFLICT;
    ret->has_conflict = true;
    ret->conflict = (struct conflict_detail){.type = CONFLICT_CONTEXT_DIVERGENCE,
                                             .context_hash = call->context_hash,
                                             .divergence_depth = 3,
                                             .agents_affected = 1,
                                             .expected = expected,
                                             .expected_bytes = 2,
                                             .received = received,
                                             .received_bytes = 2};
}

/* The next word of text; returns what follows its blank. */
static size_t word_at(const char *text, size_t from, size_t bytes, size_t *ret_length)
{
    size_t end = from;
    while (end < bytes && text[end] != ' ') {
        end++;
    }
    *ret_length = end - from;
    return end < bytes ? end + 1 : end;
}

static bool relay_parse(const struct handler_call *call, struct operation *ret)
{
    const struct operation *op = call->operation;
    const char *text = (const char *)op->payload;
    size_t bytes = op->payload_bytes, length, at;
    const char *why;
    *ret = (struct operation){.routing = ROUTING_DIRECT,
                              .causation_id = op->id,
                              .verb = op->verb,
                              .priority = op->priority,
                              .trinary_expectation = TRINARY_READY,
                              .payload_weight = op->payload_weight,
                              .action = "echo"};
    size_t next = word_at(text, 0, bytes, &length);
    enum routing routing = length > 0 ? routing_parse(text, length) : ROUTING_NONE;
    size_t place = 0;
    if (routing != ROUTING_NONE) {
        ret->routing = routing;
        place = next;
        next = word_at(text, place, bytes, &length);
    }
    if (length == 0 ||
        !place_parse(text + place, length, call->topology, &ret->selector.places, &at, &why)) {
        return false;
    }
    if (routing != ROUTING_NONE) {
        size_t action = next;
        next = word_at(text, action, bytes, &length);
        if (length == 0 || length >= ACTION_MAX) {
            return false;
        }
        memset(ret->action, 0, sizeof(ret->action));
        memcpy(ret->action, text + action, length);
    }
    ret->payload = op->payload + next;
    ret->payload_bytes = (uint32_t)(bytes - next);
    return true;
}

static void relay_finish(const struct handler_call *call, struct handler_answer *ret)
{
    if (call->operation->payload_bytes == 0 || !relay_parse(call, &ret->emit)) {
        ret->verdict = OUTCOME_FAILED;
        ret->reason = REASON_INVALID;
        return;
    }
    ret->has_emit = true;
    answer_bytes(ret, "sent", 4);
}

static void whoami_finish(const struct handler_call *call, struct handler_answer *ret)
{
    char place[UNIT_TEXT_MAX];
    answer_bytes(ret, place, unit_format(call->unit, place));
}

static void facts_finish(const struct handler_call *call, struct handler_answer *ret)
{
    char text[512];
    const char *facts = call->facts != NULL ? call->facts : "";
    int n = snprintf(text, sizeof(text), "%s%sprocess=%.32s pid=%ld class=%s", facts,
                     facts[0] != '\0' ? " " : "", call->process, (long)getpid(),
                     class_name(call->agent_class));
    answer_bytes(ret, text, n > 0 ? (size_t)n : 0);
}

static const struct handler_ops table[] = {
    {"echo", "gives the payload back", NULL, echo_finish, NULL},
    {"context", "the hash of what the agent has loaded", NULL, context_finish, NULL},
    {"work", "takes its class's time, then gives the payload back", work_begin, echo_finish, NULL},
    {"probe", "answers at once", NULL, probe_finish, NULL},
    {"fail", "fails (payload: share of agents in permille)", NULL, fail_finish, NULL},
    {"conflict", "reports a conflict (payload: share in permille)", NULL, conflict_finish, NULL},
    {"relay", "sends a message of its own: PLACES TEXT", NULL, relay_finish, NULL},
    {"facts", "its facts (as --where has them), process, class", NULL, facts_finish, NULL},
    {"whoami", "the agent's place", NULL, whoami_finish, NULL},
};
#define HANDLERS (sizeof(table) / sizeof(table[0]))

const struct handler_ops *handler_table(uint32_t *ret_count)
{
    assert(ret_count != NULL);
    *ret_count = HANDLERS;
    return table;
}

const struct handler_ops *handler_find(const char *action)
{
    assert(action != NULL);
    for (uint32_t i = 0; i < HANDLERS; i++) {
        if (strcmp(table[i].action, action) == 0) {
            return &table[i];
        }
    }
    return NULL;
}
