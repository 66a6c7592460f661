/* A second person (second_person = true): what stops or starts the whole mesh at once, and the
 * clearing of a threat, is kept until another operator approves it by its number. The approval is a
 * command of its own, signed by another certificate than the first; it is good once, for SECOND_US,
 * for exactly what was asked. Both stand in the audit log under the number.
 *
 * Kept in memory: an orchestrator that takes over knows of none, and the first asks again. */
#include "core/num.h"
#include "core/rng.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

/* Mesh-wide and disruptive. What a threat does by itself waits for nobody. */
static bool needs_second(const struct command *c)
{
    bool mesh = c->scope.tier == TIER_ORCHESTRATOR;
    return ((c->kind == COMMAND_FREEZE || c->kind == COMMAND_THAW || c->kind == COMMAND_BREAKER) &&
            mesh) ||
           (c->kind == COMMAND_HEAL && mesh && !c->on) || (c->kind == COMMAND_THREAT && c->on);
}

static const char *what(const struct command *c)
{
    switch ((int)c->kind) {
    case COMMAND_FREEZE:
        return "freeze all";
    case COMMAND_THAW:
        return "thaw all";
    case COMMAND_BREAKER:
        return c->on ? "breaker all open" : "breaker all close";
    case COMMAND_HEAL:
        return "heal all";
    default:
        return "threats clear";
    }
}

static void describe(const struct second_wait *w, int64_t now_us, struct text *t)
{
    text_hex64(t, w->id);
    text_add(t, "  ");
    text_add(t, what(&w->command));
    text_add(t, w->command.name[0] != '\0' ? " " : "");
    text_add_safe(t, w->command.name, strlen(w->command.name));
    text_add(t, ", asked by ");
    text_add_safe(t, w->command.operator_name, strlen(w->command.operator_name));
    text_add(t, ", good for ");
    text_u64(t, (uint64_t)((w->until_us - now_us) / US_PER_S));
    text_add(t, " s");
}

static bool is_waiting(const struct second_wait *w, int64_t now_us)
{
    return w->id != 0 && now_us < w->until_us;
}

bool second_holds(struct orchestrator *o, const struct msg *msg)
{
    assert(o != NULL && msg != NULL);
    const struct command *c = msg->u.command;
    int64_t now_us = o->hub.now_us;
    if (!o->hub.tuning.second_person || c->operator_name[0] == '\0' || !needs_second(c)) {
        return false;
    }
    struct second_wait *w = NULL;
    for (uint32_t i = 0; i < SECONDS_MAX && w == NULL; i++) {
        w = is_waiting(&o->second.waits[i], now_us) ? NULL : &o->second.waits[i];
    }
    if (w == NULL) {
        hub_reply_error(&o->hub, msg, REASON_OVERLOAD,
                        "too many orders wait for a second person: approve shows them");
        return true;
    }
    *w = (struct second_wait){
        .id = rng_u64(&o->hub.rng) | 1u, .until_us = now_us + SECOND_US, .command = *c};
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "not done yet: another operator has to say, within 5 minutes: approve ");
    text_hex64(&t, w->id);
    hub_reply_error(&o->hub, msg, REASON_CAPABILITY, memory);
    return true;
}

static bool refuse(struct orchestrator *o, const struct msg *msg, const char *why)
{
    hub_reply_error(&o->hub, msg, REASON_INVALID, why);
    return false;
}

static bool list(struct orchestrator *o, const struct msg *msg)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < SECONDS_MAX; i++) {
        char memory[TEXT_BYTES_MAX];
        struct text t;
        if (!is_waiting(&o->second.waits[i], o->hub.now_us)) {
            continue;
        }
        text_init(&t, memory, sizeof(memory));
        describe(&o->second.waits[i], o->hub.now_us, &t);
        hub_reply_line(&o->hub, msg, memory);
        n++;
    }
    const char *none = o->hub.tuning.second_person
                           ? "nothing waits for a second person"
                           : "nothing waits: second_person is not set in the configuration";
    if (n == 0) {
        hub_reply_line(&o->hub, msg, none);
    }
    hub_reply_ok(&o->hub, msg);
    return false;
}

bool second_approved(struct orchestrator *o, const struct msg *msg, struct msg *ret)
{
    assert(o != NULL && msg != NULL && ret != NULL);
    const struct command *c = msg->u.command;
    struct second_wait *w = NULL;
    uint64_t id = 0;
    if (c->name[0] == '\0') {
        return list(o, msg);
    }
    if (!num_parse_hex64(c->name, strlen(c->name), &id) || id == 0) {
        return refuse(o, msg, "id: 16 hex digits, as the refusal named it");
    }
    for (uint32_t i = 0; i < SECONDS_MAX; i++) {
        w = o->second.waits[i].id == id ? &o->second.waits[i] : w;
    }
    if (w == NULL) {
        return refuse(o, msg,
                      "id: nothing of that number waits (used, or of another orchestrator)");
    }
    if (!is_waiting(w, o->hub.now_us)) {
        return refuse(o, msg, "id: it waited for more than 5 minutes and is over: ask again");
    }
    if (c->operator_name[0] == '\0' || strcmp(w->command.operator_name, c->operator_name) == 0) {
        return refuse(o, msg, "the one who asked cannot approve: it takes another operator's key");
    }
    w->id = 0;
    o->command = w->command;
    o->command.ref = c->ref;
    *ret = *msg;
    ret->u.command = &o->command;
    return true;
}
