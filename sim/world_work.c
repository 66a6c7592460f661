/* Simulated handlers. What an operation does is decided when it begins; its answer arrives after
 * the time that it takes:
 *
 *   echo, context   1 to 5 ms; the payload, or the agent's context hash in hex
 *   work            the class's base time (spec 3.1) x (1 + weight / 2) x the agent's own factor x
 * a lognormal draw (sigma by class, arrival.md section 2) conflict, fail  as echo; the payload is
 * the share of agents in permille that do so (empty: all), the same agents every time; corrupt and
 * rot likewise, of agents that have loaded a context; context-load: 1 to 5 ms, relay payload
 * "ROUTING PLACES ACTION TEXT": emits a message of the agent's own probe           200 us Anything
 * else: FAILED, unknown action. */
#include "core/content.h"
#include "core/num.h"
#include "core/predictor.h"
#include "sim/world_int.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static double draw_lognormal(struct world_node *n)
{
    static const double sigma[CLASS_COUNT] = {0.2, 0.15, 0.3, 0.3, 0.25, 0.45, 1.3};
    double z = num_normal_quantile(rng_unit(&n->rng));
    return num_exp2(1.442695 * sigma[n->agent_class] * z);
}

static int64_t duration_us(struct world_node *n, const struct operation *op)
{
    if (strcmp(op->action, "probe") == 0) {
        return 200;
    }
    if (strcmp(op->action, "work") != 0) {
        return (int64_t)((double)rng_range(&n->rng, 1000, 5000) * n->slow);
    }
    double base = (double)predictor_class_base_us(n->agent_class);
    return (int64_t)(base * (1.0 + 0.5 * op->payload_weight) * n->speed * n->slow *
                     draw_lognormal(n));
}

/* Whether this agent is one of the share that the payload names. */
static bool belongs(const struct world_node *n, const struct operation *op)
{
    uint64_t permille = 1000;
    (void)num_parse_u64((const char *)op->payload, op->payload_bytes, &permille);
    return num_hash64(&n->unit, sizeof(n->unit), 4711) % 1000 < permille;
}

static bool parse_relay(const struct operation *op, struct operation *ret)
{
    char text[512], routing[20], places[200], action[ACTION_MAX];
    int used = 0;
    size_t bytes = op->payload_bytes < sizeof(text) - 1 ? op->payload_bytes : sizeof(text) - 1;
    if (bytes > 0) {
        memcpy(text, op->payload, bytes);
    }
    text[bytes] = '\0';
    if (sscanf(text, "%19s %199s %31s %n", routing, places, action, &used) != 3) {
        return false;
    }
    world_operation(ret, action, "");
    ret->routing = routing_parse(routing, strlen(routing));
    size_t at;
    const char *why;
    if (ret->routing == ROUTING_NONE ||
        !place_parse(places, strlen(places), NULL, &ret->selector.places, &at, &why)) {
        return false;
    }
    ret->payload = op->payload + used;
    ret->payload_bytes = op->payload_bytes - (uint32_t)used;
    ret->causation_id = op->id;
    return true;
}

/* The final block of a work: reply, then its variable parts. */
struct work_block {
    struct world_work work;
    struct conflict_detail conflict;
    struct id128 context;
    uint8_t answer[]; /* as long as the payload, ANSWER_BYTES_MAX at most, and WORK_ANSWER_MIN */
};
#define WORK_ANSWER_MIN 40u
#define CONTEXT_OF_ALL  "c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0c0" /* world.c */

/* The bytes of the contexts that are, or were, held somewhere: nodes hold names. */
struct world_content {
    struct world_content *next;
    uint8_t key[CONTENT_HASH];
    uint32_t bytes;
    uint8_t body[];
};

static const struct world_content *content_find(const struct world *w, const uint8_t *key)
{
    const struct world_content *c = w->contents;
    while (c != NULL && memcmp(c->key, key, CONTENT_HASH) != 0) {
        c = c->next;
    }
    return c;
}

static void content_keep(struct world *w, const uint8_t *key, const uint8_t *body, uint32_t bytes)
{
    if (content_find(w, key) != NULL) {
        return;
    }
    struct world_content *c = world_alloc(sizeof(*c) + bytes);
    c->next = w->contents;
    c->bytes = bytes;
    memcpy(c->key, key, CONTENT_HASH);
    memcpy(c->body, body, bytes);
    w->contents = c;
}

void world_contents_free(struct world *w)
{
    while (w->contents != NULL) {
        struct world_content *c = w->contents;
        w->contents = c->next;
        free(c);
    }
}

static bool hashes_to(const uint8_t key[CONTENT_HASH], const uint8_t *body, uint32_t bytes)
{
    uint8_t hash[CONTENT_HASH];
    world_hash(body, bytes, hash);
    return memcmp(hash, key, CONTENT_HASH) == 0;
}

static void brings(struct world *w, const uint8_t key[CONTENT_HASH], const uint8_t *body,
                   uint32_t bytes, struct work_block *b)
{
    content_keep(w, key, body, bytes);
    b->work.reply.verdict = OUTCOME_READY;
    b->work.reply.reason = REASON_NONE;
    b->context = content_name(key);
    b->work.reply.context = &b->context;
}

/* Loads the context of that key: payload, or what the registry has of it. */
static void load(struct world *w, const uint8_t key[CONTENT_HASH], const uint8_t *payload,
                 uint32_t bytes, struct work_block *b)
{
    struct work_reply *r = &b->work.reply;
    struct store_reply found;
    struct store_op op = {.kind = payload != NULL ? STORE_BLOB_PUT : STORE_BLOB_GET,
                          .shard = "mesh",
                          .total_bytes = bytes,
                          .body = payload,
                          .body_bytes = bytes};
    memcpy(op.hash, key, CONTENT_HASH);
    enum store_verdict v = world_store_now(w, &op, &found);
    r->verdict = OUTCOME_FAILED;
    r->reason = REASON_HANDLER;
    if (v != STORE_OK && v != STORE_EXISTS) {
        return;
    }
    if (payload != NULL) {
        brings(w, key, payload, bytes, b);
    } else if (!content_sound(world_hash, key, found.body, found.body_bytes)) {
        w->met[WORLD_MET_CONTENT_REFUSED]++;
        r->verdict = OUTCOME_CONFLICT; /* as runner_content.c says */
        r->reason = REASON_NONE;
    } else {
        w->stats.unsound +=
            !hashes_to(key, found.body, found.body_bytes); /* the world's own look */
        brings(w, key, found.body, found.body_bytes, b);
    }
}

/* What has to do with contexts; false: nothing of it. "corrupt" finds that what is loaded is not
 * what its name says; "rot" has that happen unseen: only beats tell of it. */
static bool context_verdict(struct world *w, struct world_node *n, const struct operation *op,
                            struct work_block *b)
{
    struct work_reply *r = &b->work.reply;
    uint8_t key[CONTENT_HASH], ref[CONTENT_HASH];
    bool loaded = n->context.bytes[0] != 0xc0 || n->context.bytes[1] != 0xc0;
    bool corrupt = strcmp(op->action, "corrupt") == 0;
    r->answer = b->answer;
    if (content_of(op, key)) {
        bool named = content_ref_parse(op->payload, op->payload_bytes, ref);
        load(w, key, named ? NULL : op->payload, named ? 0 : op->payload_bytes, b);
        return true;
    }
    if (loaded && strcmp(op->action, "context") == 0) {
        r->verdict = OUTCOME_READY;
        num_id128_format(n->context, (char *)b->answer);
        r->answer_bytes = ID128_TEXT_MAX - 1;
        return true;
    }
    if (!loaded || (!corrupt && strcmp(op->action, "rot") != 0) || !belongs(n, op)) {
        return false;
    }
    r->verdict = corrupt ? OUTCOME_CONFLICT : OUTCOME_READY;
    num_id128_format(n->context, (char *)b->answer);
    b->conflict = (struct conflict_detail){.type = CONFLICT_HASH_MISMATCH,
                                           .divergence_depth = 1,
                                           .agents_affected = 1,
                                           .expected = b->answer,
                                           .expected_bytes = ID128_TEXT_MAX - 1,
                                           .received = (const uint8_t *)"deadbeef",
                                           .received_bytes = 8};
    r->conflict = corrupt ? &b->conflict : NULL;
    memset(&b->context, 0xde, sizeof(b->context));
    r->context = &b->context;
    return true;
}

static void verdict(struct world_node *n, const struct operation *op, struct work_block *b)
{
    struct work_reply *r = &b->work.reply;
    r->verdict = OUTCOME_READY;
    r->answer = b->answer;
    if (strcmp(op->action, "echo") == 0 || strcmp(op->action, "work") == 0) {
        r->answer_bytes =
            op->payload_bytes < ANSWER_BYTES_MAX ? op->payload_bytes : ANSWER_BYTES_MAX;
        if (r->answer_bytes > 0) {
            memcpy(b->answer, op->payload, r->answer_bytes);
        }
    } else if (strcmp(op->action, "context") == 0) {
        r->answer_bytes = (uint32_t)snprintf((char *)b->answer, WORK_ANSWER_MIN, "context-%u",
                                             (unsigned)n->agent_class);
    } else if (strcmp(op->action, "conflict") == 0 && belongs(n, op)) {
        r->verdict = OUTCOME_CONFLICT;
        b->conflict = (struct conflict_detail){.type = CONFLICT_CONTEXT_DIVERGENCE,
                                               .divergence_depth = 3,
                                               .agents_affected = 1,
                                               .expected = (const uint8_t *)"a1",
                                               .expected_bytes = 2,
                                               .received = (const uint8_t *)"b2",
                                               .received_bytes = 2};
        r->conflict = &b->conflict;
    } else if (strcmp(op->action, "corrupt") == 0 && belongs(n, op)) {
        r->verdict =
            OUTCOME_CONFLICT; /* its context is not what it should be: isolated, compared */
        b->conflict = (struct conflict_detail){.type = CONFLICT_HASH_MISMATCH,
                                               .divergence_depth = 1,
                                               .agents_affected = 1,
                                               .expected = (const uint8_t *)CONTEXT_OF_ALL,
                                               .expected_bytes = sizeof(CONTEXT_OF_ALL) - 1,
                                               .received = (const uint8_t *)"deadbeef",
                                               .received_bytes = 8};
        r->conflict = &b->conflict;
    } else if (strcmp(op->action, "fail") == 0 && belongs(n, op)) {
        r->verdict = OUTCOME_FAILED;
        r->reason = REASON_HANDLER;
    } else if (strcmp(op->action, "conflict") != 0 && strcmp(op->action, "fail") != 0 &&
               strcmp(op->action, "corrupt") != 0 && strcmp(op->action, "probe") != 0 &&
               strcmp(op->action, "relay") != 0) {
        r->verdict = OUTCOME_FAILED;
        r->reason = REASON_UNKNOWN_ACTION;
    }
}

/* An emitted message goes ahead of the final answer; it is borrowed from the block. */
struct emit_block {
    struct world_work work;
    struct operation operation;
};

static void emit(struct world *w, uint32_t node, const struct work_op *op, const struct cached *c)
{
    struct block *block = world_block(w, sizeof(struct emit_block));
    struct emit_block *e = (struct emit_block *)(void *)block->bytes;
    if (parse_relay(&c->operation, &e->operation)) {
        e->work = (struct world_work){.reply = {.ref = op->ref, .seq = 0, .emit = &e->operation}};
        world_push(w, w->now_us + 500, W_WORK, node, 1, block);
    } else {
        world_block_drop(w, block);
    }
}

static void host_answer(struct world *w, uint32_t host, uint64_t ref, struct unit agent,
                        enum reason reason)
{
    struct block *block = world_block(w, sizeof(struct work_block));
    struct work_block *b = (struct work_block *)(void *)block->bytes;
    b->work = (struct world_work){
        .reply = {
            .ref = ref, .final = true, .verdict = OUTCOME_FAILED, .reason = reason, .unit = agent}};
    world_push(w, w->now_us + 2000, W_WORK, host, 1, block);
}

/* Who starts at a place is who was planned for `home`: as quick, and with a number above those of
 * all its lives so far. */
static void live_as(struct world *w, uint32_t agent, uint32_t home)
{
    struct world_node *n = &w->nodes[agent], *who = &w->nodes[home];
    n->home = agent != home ? home : 0;
    n->agent_class = who->born_class;
    n->one_way_us = who->born_one_way_us;
    n->speed = who->born_speed;
    n->epoch = n->epoch > who->lives ? n->epoch : who->lives;
    who->lives = n->epoch + 1; /* world_start adds one */
}

/* A start is work that lasts as long as the agent lives. A place is one node of the world: where
 * two real hosts would each run an agent of that name (a guest was called home and has not heard of
 * it, and its place is given to a newcomer), the second one's does not start. */
static void host_work(struct world *w, uint32_t host, const struct work_op *op)
{
    uint32_t agent = world_index(w, op->unit), home = world_index(w, op->home);
    if (agent == WORLD_NOBODY || op->unit.tier != TIER_AGENT || home == WORLD_NOBODY) {
        host_answer(w, host, op->ref, op->unit, REASON_INVALID);
        return;
    }
    struct world_node *n = &w->nodes[agent];
    bool others = n->host != 0 && n->host != host;
    if (op->kind == WORK_AGENT_STOP) {
        if (!others) {
            world_stop(w, agent);
        }
        return;
    }
    if (others) {
        host_answer(w, host, op->ref, op->unit, REASON_HANDLER);
        return;
    }
    n->host = host;
    n->host_ref = op->ref;
    if (n->self == NULL) {
        live_as(w, agent, home);
        world_start(w, agent, 1000);
    }
}

void world_work_agent_ended(struct world *w, uint32_t agent)
{
    struct world_node *n = &w->nodes[agent];
    if (n->host != 0) {
        host_answer(w, n->host, n->host_ref, n->unit, REASON_HANDLER);
        n->host = 0;
    }
}

/* What it holds is read for another agent. */
static void read_content(struct world *w, uint32_t node, const struct work_op *op)
{
    struct id128 name = content_name(op->content);
    bool holds = num_id128_equal(name, w->nodes[node].context);
    const struct world_content *c = holds ? content_find(w, op->content) : NULL;
    uint32_t bytes = c != NULL ? c->bytes : 0;
    struct block *block = world_block(w, sizeof(struct work_block) + CONTENT_HASH + bytes);
    struct work_block *b = (struct work_block *)(void *)block->bytes;
    b->work = (struct world_work){.reply = {.ref = op->ref,
                                            .seq = 1,
                                            .final = true,
                                            .verdict = bytes > 0 ? OUTCOME_READY : OUTCOME_FAILED,
                                            .answer = b->answer,
                                            .answer_bytes = CONTENT_HASH + bytes}};
    memcpy(b->answer, op->content, CONTENT_HASH);
    if (bytes > 0) {
        memcpy(b->answer + CONTENT_HASH, c->body, bytes);
    }
    b->work.next = w->nodes[node].works;
    w->nodes[node].works = &b->work;
    world_push(w, w->now_us + 1000, W_WORK, node, 0, block);
}

/* At most once for each start of an agent: a crash loses what it remembered, so that a resend may
 * run again afterwards (at least once within the TTL, design 5). */
static void count_execution(struct world *w, uint32_t node, struct cached *c)
{
    uint32_t agent = node - w->first_agent;
    uint16_t start = (uint16_t)(w->nodes[node].epoch % UINT16_MAX + 1);
    if (c->executed == NULL) {
        c->executed = world_alloc(topology_places(&w->conf.topology) * sizeof(*c->executed));
    }
    w->stats.executed++;
    w->stats.executed_twice += c->executed[agent] == start ? 1 : 0;
    w->stats.executed_again += c->executed[agent] != 0 && c->executed[agent] != start ? 1 : 0;
    c->executed[agent] = start;
}

void world_work_begin(struct world *w, uint32_t node, const struct work_op *op)
{
    struct world_node *n = &w->nodes[node];
    w->stats.works++;
    bool context = op->kind == WORK_CONTEXT;
    if (op->kind == WORK_CONTENT) {
        read_content(w, node, op);
        return;
    }
    if (op->kind != WORK_HANDLER && !context) {
        host_work(w, node, op);
        return;
    }
    struct cached *c = context ? NULL : world_cached(w, &op->operation);
    uint32_t room = c == NULL ? 0 : c->operation.payload_bytes;
    room = room < WORK_ANSWER_MIN    ? WORK_ANSWER_MIN
           : room > ANSWER_BYTES_MAX ? ANSWER_BYTES_MAX
                                     : room;
    struct block *block = world_block(w, sizeof(struct work_block) + room);
    struct work_block *b = (struct work_block *)(void *)block->bytes;
    b->work = (struct world_work){.reply = {.ref = op->ref, .seq = 1, .final = true}};
    int64_t takes = 1000;
    if (context && op->body_bytes > 0 &&
        content_sound(world_hash, op->content, op->body, op->body_bytes)) {
        w->stats.unsound += !hashes_to(op->content, op->body, op->body_bytes);
        brings(w, op->content, op->body, op->body_bytes, b);
    } else if (context) {
        load(w, op->content, NULL, 0, b);
    } else if (c == NULL) {
        w->stats.uncached++;
        b->work.reply.verdict = OUTCOME_FAILED;
        b->work.reply.reason = REASON_EXPIRED;
    } else {
        count_execution(w, node, c);
        if (!context_verdict(w, n, &c->operation, b)) {
            verdict(n, &c->operation, b);
        }
        takes = duration_us(n, &c->operation);
        if (strcmp(c->operation.action, "relay") == 0) {
            emit(w, node, op, c);
        }
    }
    b->work.next = n->works;
    n->works = &b->work;
    world_push(w, w->now_us + takes, W_WORK, node, 0, block);
}

void world_work_cancel(struct world *w, uint32_t node, uint64_t ref)
{
    for (struct world_work *k = w->nodes[node].works; k != NULL; k = k->next) {
        if (k->reply.ref == ref) {
            k->cancelled = true;
        }
    }
}

/* sub 1: not in the node's list. */
void world_work_end(struct world *w, const struct entry *e, struct event *ret_event)
{
    struct world_work *work = (struct world_work *)(void *)e->block->bytes;
    if (e->sub == 0) {
        struct world_work **at = &w->nodes[e->node].works;
        while (*at != NULL && *at != work) {
            at = &(*at)->next;
        }
        if (*at == work) {
            *at = work->next;
        }
    }
    if (!work->cancelled) {
        if (work->reply.context != NULL) {
            w->nodes[e->node].context = *work->reply.context;
        }
        ret_event->kind = EV_WORK;
        ret_event->u.work = &work->reply;
    }
}
