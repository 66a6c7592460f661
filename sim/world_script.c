/* What a test or a scenario does to the world: kill, restart, pause, partition, links, and scripted
 * consoles that send commands and keep the final replies. */
#include "core/num.h"
#include "sim/world_process.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

/* Nodes that are not run by a process. */
static bool alone(const struct world *w, uint32_t i, struct unit u, bool below)
{
    return w->nodes[i].process == NO_PROCESS && world_meant(w, i, u, below);
}

uint64_t world_kill(struct world *w, struct unit u, bool below)
{
    uint64_t ended = w->processes != NULL ? world_processes_kill(w, u, below) : 0;
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (alone(w, i, u, below)) {
            world_stop(w, i);
        }
    }
    return ended;
}

/* Who stands still does not hear that it is to stop, and is killed in the end. */
uint64_t world_leave(struct world *w, struct unit u, bool below)
{
    uint64_t ended = w->processes != NULL ? world_processes_leave(w, u, below) : 0;
    for (uint32_t i = 0; i < w->node_count; i++) {
        const struct world_node *n = &w->nodes[i];
        if (!alone(w, i, u, below)) {
            continue;
        }
        if (n->self != NULL && n->unit.tier == TIER_AGENT && n->paused_until_us <= w->now_us) {
            world_step_stop(w, i);
        }
        world_stop(w, i);
    }
    return ended;
}

void world_restart(struct world *w, struct unit u, bool below)
{
    if (w->processes != NULL) {
        world_processes_restart(w, u, below);
    }
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (alone(w, i, u, below)) {
            if (w->nodes[i].self != NULL) {
                world_stop(w, i);
            }
            if (w->conf.hosts == 0 || w->nodes[i].unit.tier != TIER_AGENT) { /* else its host */
                world_start(w, i, rng_range(&w->net, 1000, 50000));
            }
        }
    }
}

void world_pause(struct world *w, struct unit u, bool below, int64_t us)
{
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (world_meant(w, i, u, below)) {
            int64_t until_us = w->now_us + us; /* one in the midst of another ends with the later */
            w->nodes[i].paused_until_us =
                until_us > w->nodes[i].paused_until_us ? until_us : w->nodes[i].paused_until_us;
            w->nodes[i].waiting = 0;
        }
    }
}

void world_partition(struct world *w, struct unit u, bool on)
{
    uint32_t island = world_index(w, u) + 1;
    for (uint32_t i = 0; i < w->node_count; i++) {
        if (world_in_place(w, i, u, true)) {
            w->nodes[i].partition = on ? island : 0;
        }
    }
}

void world_link(struct world *w, struct unit u, enum link which, bool up)
{
    uint32_t i = world_index(w, u);
    assert(i != WORLD_NOBODY);
    world_push(w, w->now_us, W_LINK, i, (uint32_t)which * 2u + (up ? 1u : 0u), NULL);
}

bool world_alive(const struct world *w, struct unit u)
{
    uint32_t home = world_index(w, u);
    for (uint32_t i = 0; i < w->node_count && home != WORLD_NOBODY; i++) {
        i = w->processes == NULL ? home : i; /* else it may run elsewhere */
        if (w->nodes[i].self != NULL && w->nodes[i].ops != NULL &&
            unit_equal(w->nodes[i].unit, u)) {
            return true;
        }
        if (w->processes == NULL) {
            break;
        }
    }
    return false;
}

void world_slow(struct world *w, struct unit agent, double factor)
{
    uint32_t i = world_index(w, agent);
    assert(i != WORLD_NOBODY && agent.tier == TIER_AGENT && factor > 0);
    w->nodes[i].slow = (float)factor;
}

void world_loss(struct world *w, uint32_t agent_permille, uint32_t tier_permille)
{
    assert(agent_permille <= 1000 && tier_permille <= 1000);
    w->conf.agent_loss_permille = agent_permille;
    w->conf.tier_loss_permille = tier_permille;
}

/* --- consoles ----------------------------------------------------------------------------------
 */

static struct world_call *call_of(const struct world *w, uint64_t ref)
{
    struct world_call *c = w->calls;
    while (c != NULL && c->ref != ref) {
        c = c->next;
    }
    return c;
}

uint64_t world_send(struct world *w, uint32_t number, struct unit to, const struct command *c)
{
    struct world_call *call = world_alloc(sizeof(*call));
    struct command *command = world_alloc(sizeof(*command));
    call->ref = ++w->ref;
    call->next = w->calls;
    w->calls = call;
    *command = *c;
    command->ref = call->ref;
    command->query.ref = call->ref;
    struct msg msg = {.type = MSG_COMMAND,
                      .priority = 3,
                      .from = unit_numbered(TIER_CONSOLE, number),
                      .to = to,
                      .epoch = 1};
    msg.u.command = command;
    world_transmit(w, WORLD_NOBODY, &msg);
    free(command);
    return call->ref;
}

static void check_sums(struct world *w, const struct aggregate_view *a)
{
    uint64_t sum = 0;
    for (unsigned o = 0; o < OUTCOME_COUNT; o++) {
        sum += a->outcomes[o];
    }
    if (sum != a->targets) {
        w->stats.uneven++;
    }
}

void world_console_reply(struct world *w, const struct msg *msg)
{
    if (msg->type != MSG_REPLY) {
        return;
    }
    const struct reply *r = msg->u.reply;
    struct world_call *call = call_of(w, r->ref);
    world_digest(w, r->ref << 8 ^ (uint64_t)r->kind);
    if (r->kind == REPLY_PROGRESS) {
        check_sums(w, &r->progress);
    } else if (r->kind == REPLY_OPERATION) {
        check_sums(w, &r->report->aggregate);
        if (r->report->aggregate.outcomes[OUTCOME_PENDING] != 0) {
            w->stats.uneven++;
        }
    }
    if (call == NULL) {
        return;
    }
    call->replies++;
    if (r->kind == REPLY_ACCEPTED || r->kind == REPLY_HELD) {
        call->held = r->kind == REPLY_HELD;
        call->accepted = r->operation_id;
    }
    if (r->final && call->final == NULL) {
        uint32_t room = msg_extra_bytes(msg);
        size_t at = (sizeof(struct msg) + 15u) / 16u * 16u;
        call->final = world_block(w, at + room);
        (void)msg_copy(msg, (struct msg *)(void *)call->final->bytes, call->final->bytes + at,
                       room);
    }
}

const struct reply *world_reply(const struct world *w, uint64_t ref)
{
    struct world_call *call = call_of(w, ref);
    return call == NULL || call->final == NULL
               ? NULL
               : ((const struct msg *)(const void *)call->final->bytes)->u.reply;
}

uint32_t world_replies(const struct world *w, uint64_t ref)
{
    struct world_call *call = call_of(w, ref);
    return call == NULL ? 0 : call->replies;
}

bool world_held(const struct world *w, uint64_t ref)
{
    struct world_call *call = call_of(w, ref);
    return call != NULL && call->held;
}

struct id128 world_accepted(const struct world *w, uint64_t ref)
{
    struct world_call *call = call_of(w, ref);
    return call == NULL ? (struct id128){{0}} : call->accepted;
}

const struct reply *world_ask(struct world *w, struct unit to, const struct command *c,
                              int64_t timeout_us)
{
    uint64_t ref = world_send(w, 1, to, c);
    int64_t end = w->now_us + timeout_us;
    while (world_reply(w, ref) == NULL && w->now_us < end) {
        world_run(w, 1000);
    }
    return world_reply(w, ref);
}

void world_forget(struct world *w, uint64_t ref)
{
    struct world_call **at = &w->calls;
    while (*at != NULL && (*at)->ref != ref) {
        at = &(*at)->next;
    }
    struct world_call *c = *at;
    if (c != NULL) {
        *at = c->next;
        world_block_drop(w, c->final);
        free(c);
    }
}

void world_calls_free(struct world *w)
{
    while (w->calls != NULL) {
        struct world_call *c = w->calls;
        w->calls = c->next;
        world_block_drop(w, c->final);
        free(c);
    }
}

void world_operation(struct operation *ret, const char *action, const char *payload)
{
    memset(ret, 0, sizeof(*ret));
    ret->routing = ROUTING_SCATTER_GATHER;
    ret->timing = TIMING_SOON;
    ret->verb = VERB_ACT;
    ret->priority = 2;
    ret->trinary_expectation = TRINARY_READY;
    ret->require_answer = true;
    ret->require_ack = true;
    ret->window_us = 500000;
    ret->ttl_us = 30 * US_PER_S;
    ret->timeout_us = 5 * US_PER_S;
    ret->payload_weight = 1.0;
    ret->minimum_response_rate = 0.95;
    size_t n = strlen(action);
    memcpy(ret->action, action, n < ACTION_MAX ? n : ACTION_MAX - 1);
    ret->payload = (const uint8_t *)payload;
    ret->payload_bytes = (uint32_t)strlen(payload);
}
