/* The store of the world: registry/memory, carried out when it is asked and answered 0.3 to 1 ms
 * later by a deep copy. While it is down every answer is UNKNOWN, as after a lost connection. */
#include "registry/memory.h"
#include "sim/world_int.h"
#include <assert.h>
#include <string.h>

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

void world_store_begin(struct world *w, uint32_t node, const struct store_op *op)
{
    struct store_reply reply = {.ref = op->ref, .kind = op->kind, .verdict = STORE_UNKNOWN};
    w->stats.store_ops++;
    assert(store_op_check(op) == NULL && "a node broke the store contract");
    if (!w->store_down) {
        memory_store_apply(w->store, world_mesh_now(w), op, &reply);
    }
    struct copier count = {0};
    copy_reply(&count, &reply, NULL);
    struct block *b = world_block(sizeof(struct world_store) + 16u + count.used);
    struct world_store *ws = (struct world_store *)(void *)b->bytes;
    struct copier into = {.at = b->bytes + (sizeof(*ws) + 15u) / 16u * 16u};
    copy_reply(&into, &reply, &ws->reply);
    ws->reply.ref = op->ref;
    ws->reply.kind = op->kind;
    world_push(w, w->now_us + rng_range(&w->net, 300, 1000), W_STORE, node, 0, b);
}
