/* The store of the world: registry/memory, one for each bank (store_bank()), carried out when it is
 * asked and answered 0.3 to 1 ms later by a deep copy. While a bank is away every answer is
 * UNKNOWN, as after a lost connection.
 *
 * What a server forgets when it ends: with a sync or lag time in the world's configuration each
 * bank keeps a journal of its writes. A server that crashes, or whose replica takes over, is the
 * journal carried out anew without its youngest part. */
#include "registry/memory.h"
#include "sim/world_int.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STORE_BUDGET  (1ull << 33)
#define OP_TIMEOUT_US (5 * US_PER_S) /* registry/redis.h, op_timeout_us */

struct journal_entry {
    struct journal_entry *next;
    int64_t at_us;
    struct store_op op;
    _Alignas(16) uint8_t bytes[];
};

struct copier {
    uint8_t *at;
    size_t used;
};

/* With at == NULL it only counts. */
static void *copy(struct copier *c, const void *from, size_t bytes)
{
    c->used = (c->used + 15u) / 16u * 16u;
    void *to = c->at == NULL ? NULL : c->at + c->used;
    if (to != NULL && bytes > 0) {
        memcpy(to, from, bytes);
    }
    c->used += bytes;
    return to;
}

static const char *copy_text(struct copier *c, const char *text)
{
    return text == NULL ? NULL : copy(c, text, strlen(text) + 1);
}

static void copy_row(struct copier *c, const struct store_row *row, struct store_row *ret)
{
    struct store_field *fields = copy(c, row->fields, row->field_count * sizeof(*fields));
    for (uint32_t i = 0; i < row->field_count; i++) {
        const char *name = copy_text(c, row->fields[i].name);
        const char *value = copy(c, row->fields[i].value, row->fields[i].value_bytes);
        if (fields != NULL) {
            fields[i].name = name;
            fields[i].value = value;
        }
    }
    const char *key = copy_text(c, row->key);
    const uint8_t *body = copy(c, row->body, row->body_bytes);
    if (ret != NULL) {
        *ret = *row;
        ret->fields = fields;
        ret->key = key;
        ret->body = body;
    }
}

static void copy_reply(struct copier *c, const struct store_reply *r, struct store_reply *ret)
{
    struct store_row *rows = copy(c, r->rows, r->row_count * sizeof(*rows));
    for (uint32_t i = 0; i < r->row_count; i++) {
        copy_row(c, &r->rows[i], rows == NULL ? NULL : &rows[i]);
    }
    const uint8_t *body = copy(c, r->body, r->body_bytes);
    const char *detail = copy_text(c, r->detail);
    if (ret != NULL) {
        *ret = *r;
        ret->rows = rows;
        ret->body = body;
        ret->detail = detail;
    }
}

void world_stores_init(struct world *w)
{
    for (unsigned b = 0; b < WORLD_BANKS; b++) {
        w->banks[b].store = memory_store_new(STORE_BUDGET);
        w->banks[b].last = &w->banks[b].first;
        assert(w->banks[b].store != NULL);
    }
    memory_store_log_keep(w->banks[STORE_BANK_LOG].store, w->conf.log_rows);
}

static void journal_cut(struct world *w, struct world_bank *bank, int64_t from_us)
{
    struct journal_entry **at = &bank->first;
    while (*at != NULL && (*at)->at_us < from_us) {
        at = &(*at)->next;
    }
    struct journal_entry *e = *at;
    *at = NULL;
    bank->last = at;
    while (e != NULL) {
        struct journal_entry *next = e->next;
        w->met[WORLD_MET_STORE_LOST]++;
        free(e);
        e = next;
    }
}

void world_stores_free(struct world *w)
{
    for (unsigned b = 0; b < WORLD_BANKS; b++) {
        journal_cut(w, &w->banks[b], INT64_MIN);
        memory_store_free(w->banks[b].store);
    }
}

static bool reads(enum store_kind kind)
{
    return kind == STORE_GET || kind == STORE_SCAN || kind == STORE_INDEX_RANGE ||
           kind == STORE_HISTORY || kind == STORE_BLOB_GET || kind == STORE_LOG_QUERY ||
           kind == STORE_LOG_VERIFY;
}

/* What may grow the server: refused when its memory is full. */
static bool grows(enum store_kind kind)
{
    return kind == STORE_PUT || kind == STORE_INDEX_SET || kind == STORE_APPEND ||
           kind == STORE_LEASE_ACQUIRE || kind == STORE_EPOCH_PUT || kind == STORE_EPOCH_PUTS ||
           kind == STORE_ENQUEUE || kind == STORE_CLAIM || kind == STORE_BLOB_PUT ||
           kind == STORE_DEAD_LETTER || kind == STORE_LOG_APPEND;
}

/* Names of fields are the node's own memory, and the journal outlives the node: they are kept
 * behind the rest. at NULL: how many bytes that takes. */
static size_t keep_names(const struct store_field *fields, uint32_t count, char *at)
{
    size_t used = 0;
    for (uint32_t i = 0; i < count; i++) {
        size_t bytes = strlen(fields[i].name) + 1;
        if (at != NULL) { /* of a copy: this is the journal's own */
            memcpy(at + used, fields[i].name, bytes);
            ((struct store_field *)(uintptr_t)fields)[i].name = at + used;
        }
        used += bytes;
    }
    return used;
}

static size_t keep_all_names(const struct store_op *op, char *at)
{
    size_t used = keep_names(op->fields, op->field_count, at);
    for (uint32_t i = 0; i < op->row_count; i++) {
        used +=
            keep_names(op->rows[i].fields, op->rows[i].field_count, at == NULL ? NULL : at + used);
    }
    return used;
}

static void journal(struct world *w, struct world_bank *bank, const struct store_op *op)
{
    if ((w->conf.store_sync_us == 0 && w->conf.store_lag_us == 0) || reads(op->kind)) {
        return;
    }
    uint32_t room = store_op_extra_bytes(op);
    struct journal_entry *e = world_alloc(sizeof(*e) + room + keep_all_names(op, NULL));
    e->at_us = w->now_us;
    (void)store_op_copy(op, &e->op, e->bytes, room);
    (void)keep_all_names(&e->op, (char *)e->bytes + room);
    *bank->last = e;
    bank->last = &e->next;
}

/* The server as it was when all but the writes of the last lost_us had been made. */
static void rebuild(struct world *w, struct world_bank *bank, int64_t lost_us)
{
    struct store_reply ignored;
    if (lost_us == 0) {
        return;
    }
    journal_cut(w, bank, w->now_us - lost_us);
    memory_store_free(bank->store);
    bank->store = memory_store_new(STORE_BUDGET);
    assert(bank->store != NULL);
    for (const struct journal_entry *e = bank->first; e != NULL; e = e->next) {
        memory_store_apply(bank->store, WORLD_UNIX_US + e->at_us, &e->op, &ignored);
    }
}

/* --- states ------------------------------------------------------------------------------------
 */

static enum world_store_state state_of(const struct world *w, const struct world_bank *bank)
{
    return bank->back_us > 0 && w->now_us >= bank->back_us ? WORLD_STORE_UP : bank->state;
}

static bool connected(const struct world *w, enum store_bank b)
{
    enum world_store_state s = state_of(w, &w->banks[b]);
    return s != WORLD_STORE_AWAY && s != WORLD_STORE_SILENT;
}

bool world_bank_up(const struct world *w, enum store_bank b)
{
    return connected(w, b);
}

static enum store_bank link_bank(enum link which)
{
    return which == LINK_STORE ? STORE_BANK_REGISTRY : STORE_BANK_DURABLE;
}

bool world_link_up(const struct world *w, enum link which)
{
    assert(which == LINK_STORE || which == LINK_DURABLE);
    return connected(w, link_bank(which));
}

/* To one that starts: how its links to the store are, and when they come back. */
void world_store_links(struct world *w, uint32_t index)
{
    for (unsigned l = 0; l < LINK_COUNT; l++) {
        if (l == LINK_BUS || !link_concerns((enum link)l, w->nodes[index].unit.tier)) {
            continue;
        }
        bool up = world_link_up(w, (enum link)l);
        int64_t back_us = w->banks[link_bank((enum link)l)].back_us;
        if (l == LINK_STORE || !up) { /* durable is up until somebody says else */
            world_push(w, w->now_us, W_LINK, index, l * 2u + (up ? 1u : 0u), NULL);
        }
        if (!up && back_us > 0) {
            world_push(w, back_us, W_LINK, index, l * 2u + 1u, NULL);
        }
    }
}

static void tell(struct world *w, enum store_bank b, bool up, int64_t at_us)
{
    enum link link = b == STORE_BANK_DURABLE ? LINK_DURABLE : LINK_STORE;
    bool told = b == STORE_BANK_DURABLE || b == STORE_BANK_REGISTRY;
    for (uint32_t i = 0; i < w->node_count && told; i++) {
        const struct world_node *n = &w->nodes[i];
        if (n->self != NULL && n->ops != NULL && link_concerns(link, n->unit.tier)) {
            world_push(w, at_us, W_LINK, i, link * 2u + (up ? 1u : 0u), NULL);
        }
    }
}

void world_store_state(struct world *w, enum store_bank b, enum world_store_state state)
{
    assert(w != NULL && b < WORLD_BANKS && state < WORLD_STORE_STATES);
    bool was = connected(w, b);
    w->banks[b].state = state;
    w->banks[b].back_us = 0;
    if (was != connected(w, b)) {
        tell(w, b, !was, w->now_us + (state == WORLD_STORE_SILENT ? OP_TIMEOUT_US : 0));
    }
}

static void away(struct world *w, enum store_bank b, int64_t down_us)
{
    world_store_state(w, b, WORLD_STORE_AWAY);
    w->banks[b].back_us = w->now_us + down_us + 1;
    tell(w, b, true, w->banks[b].back_us);
}

void world_store_down(struct world *w, bool down)
{
    for (unsigned b = 0; b < WORLD_BANKS; b++) {
        world_store_state(w, (enum store_bank)b, down ? WORLD_STORE_AWAY : WORLD_STORE_UP);
    }
}

void world_store_unsure(struct world *w, enum store_bank b, uint32_t permille)
{
    assert(w != NULL && b < WORLD_BANKS && permille <= 1000);
    w->banks[b].unsure_permille = permille;
}

void world_store_slow(struct world *w, enum store_bank b, int64_t us)
{
    assert(w != NULL && b < WORLD_BANKS && us >= 0);
    w->banks[b].slow_us = us;
}

void world_store_crash(struct world *w, enum store_bank b, int64_t down_us)
{
    assert(w != NULL && b < WORLD_BANKS && down_us >= 0);
    rebuild(w, &w->banks[b], b == STORE_BANK_DURABLE ? 0 : w->conf.store_sync_us);
    away(w, b, down_us);
}

void world_store_failover(struct world *w, enum store_bank b, int64_t down_us)
{
    assert(w != NULL && b < WORLD_BANKS && down_us >= 0);
    rebuild(w, &w->banks[b], w->conf.store_lag_us);
    away(w, b, down_us);
}

void world_store_wipe(struct world *w, enum store_bank b)
{
    assert(w != NULL && b < WORLD_BANKS);
    journal_cut(w, &w->banks[b], INT64_MIN);
    memory_store_free(w->banks[b].store);
    w->banks[b].store = memory_store_new(STORE_BUDGET);
    assert(w->banks[b].store != NULL);
    away(w, b, 0);
}

void world_store_spoil(struct world *w, enum store_bank b)
{
    assert(w != NULL && b == STORE_BANK_BLOB);
    w->met[WORLD_MET_STORE_SPOILT] += memory_store_spoil(w->banks[b].store);
}

/* --- operations --------------------------------------------------------------------------------
 */

/* What stands in the way of an operation; 0: nothing. *ret_us: how much longer its answer takes. */
static enum store_verdict obstacle(struct world *w, enum store_bank b, const struct store_op *op,
                                   int64_t *ret_us)
{
    struct world_bank *bank = &w->banks[b];
    *ret_us = bank->slow_us;
    switch (state_of(w, bank)) {
    case WORLD_STORE_AWAY:
        w->met[WORLD_MET_STORE_AWAY]++;
        return STORE_UNKNOWN;
    case WORLD_STORE_SILENT:
        w->met[WORLD_MET_STORE_SILENT]++;
        *ret_us = OP_TIMEOUT_US;
        return STORE_UNKNOWN;
    case WORLD_STORE_READONLY:
        w->met[WORLD_MET_STORE_READONLY] += reads(op->kind) ? 0 : 1;
        return reads(op->kind) ? (enum store_verdict)0 : STORE_READONLY;
    case WORLD_STORE_FULL:
        w->met[WORLD_MET_STORE_FULL] += grows(op->kind) ? 1 : 0;
        return grows(op->kind) ? STORE_FULL : (enum store_verdict)0;
    case WORLD_STORE_BARE:
        w->met[WORLD_MET_STORE_BARE]++;
        *ret_us += 2000;
        bank->state = WORLD_STORE_UP;
        return (enum store_verdict)0;
    case WORLD_STORE_UP:
    case WORLD_STORE_STATES:
        break;
    }
    return (enum store_verdict)0;
}

static void carry_out(struct world *w, struct world_bank *bank, const struct store_op *op,
                      struct store_reply *reply)
{
    bool unsure = bank->unsure_permille > 0 && rng_below(&w->chaos, 1000) < bank->unsure_permille;
    w->met[WORLD_MET_STORE_UNSURE] += unsure ? 1 : 0;
    if (!unsure || rng_below(&w->chaos, 2) == 0) {
        memory_store_run(bank->store, world_mesh_now(w), op, reply);
        journal(w, bank, op);
    }
    if (unsure) {
        *reply = (struct store_reply){.verdict = STORE_UNKNOWN, .detail = "connection lost"};
    }
}

void world_store_begin(struct world *w, uint32_t node, const struct store_op *op)
{
    struct store_reply reply = {.ref = op->ref, .kind = op->kind};
    enum store_bank b = store_bank(op->kind);
    int64_t longer_us;
    w->stats.store_ops++;
    reply.verdict = obstacle(w, b, op, &longer_us);
    if (reply.verdict == 0) {
        carry_out(w, &w->banks[b], op, &reply);
    }
    bool plain = reply.row_count == 0 && reply.body_bytes == 0 && reply.detail == NULL;
    struct copier count = {0};
    if (!plain) {
        copy_reply(&count, &reply, NULL);
    }
    struct block *block = world_block(w, sizeof(struct world_store) + 16u + count.used);
    struct world_store *ws = (struct world_store *)(void *)block->bytes;
    struct copier into = {.at = block->bytes + (sizeof(*ws) + 15u) / 16u * 16u};
    if (plain) {
        ws->reply = reply;
    } else {
        copy_reply(&into, &reply, &ws->reply);
    }
    ws->reply.ref = op->ref;
    ws->reply.kind = op->kind;
    world_push(w, w->now_us + longer_us + rng_range(&w->net, 300, 1000), W_STORE, node, 0, block);
}

enum store_verdict world_store_now(struct world *w, const struct store_op *op,
                                   struct store_reply *ret)
{
    int64_t longer_us;
    enum store_bank b = store_bank(op->kind);
    *ret = (struct store_reply){.kind = op->kind};
    ret->verdict = obstacle(w, b, op, &longer_us);
    if (ret->verdict == 0) {
        carry_out(w, &w->banks[b], op, ret);
    }
    return ret->verdict;
}

bool world_log_row(const struct world *w, const char *log, uint64_t seq, const char **ret_id,
                   const char **ret_wrong)
{
    assert(w != NULL && log != NULL);
    return memory_store_log_row(w->banks[STORE_BANK_LOG].store, log, seq, ret_id, ret_wrong);
}
