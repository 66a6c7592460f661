/* The form of an order in bytes, and what a sector takes of what it hears. */
#include "core/order.h"
#include "core/note.h"
#include "core/plant.h"
#include <assert.h>
#include <string.h>

#define LABEL       "mesh30k/order/1" /* with its NUL: 16 bytes */
#define LABEL_BYTES 16u
#define NAME_BYTES  48u

_Static_assert(sizeof(LABEL) == LABEL_BYTES, "the label");
_Static_assert(72u + 8u + 48u * ORDER_MOVES_MAX <= ORDER_BYTES_MAX, "moves fit");
_Static_assert(72u + 8u + 48u * ORDER_GROWS_MAX == ORDER_BYTES_MAX, "the largest: newcomers");
_Static_assert(FREEZE_NAME_MAX <= NAME_BYTES, "names fit");
_Static_assert(72u + 8u + 16u + 8u * (CLASS_COUNT - 1u) + FREEZER_SCOPES_MAX * (16u + NAME_BYTES) <=
                   ORDER_BYTES_MAX,
               "a state fits");

struct writer {
    uint8_t *at;
    uint32_t used;
};

static void put(struct writer *w, uint64_t v, unsigned bytes)
{
    assert(w->used + bytes <= ORDER_BYTES_MAX);
    for (unsigned i = 0; i < bytes; i++) {
        w->at[w->used++] = (uint8_t)(v >> (8u * i));
    }
}

static void put_bytes(struct writer *w, const void *bytes, uint32_t count)
{
    assert(w->used + count <= ORDER_BYTES_MAX);
    memcpy(w->at + w->used, bytes, count);
    w->used += count;
}

static void put_freeze(struct writer *w, const struct freeze *f)
{
    uint8_t name[NAME_BYTES] = {0};
    for (uint32_t i = 0; i < FREEZE_NAME_MAX && f->preserve_state_to[i] != '\0'; i++) {
        name[i] = (uint8_t)f->preserve_state_to[i];
    }
    put(w, unit_pack(f->scope), 8);
    put(w, (uint64_t)f->at_mesh_us, 8);
    put_bytes(w, name, NAME_BYTES);
}

static void put_state(struct writer *w, const struct order_state *s)
{
    assert(s->frozen_count <= FREEZER_SCOPES_MAX);
    put(w, (uint64_t)s->mode, 1);
    put(w, s->mesh_open, 1);
    put(w, s->complete, 1);
    put(w, s->frozen_count, 1);
    put(w, 0, 4);
    put(w, s->prior_epoch, 8);
    put(w, s->prior_seq, 8);
    for (unsigned c = CLASS_NONE + 1u; c < CLASS_COUNT; c++) {
        put(w, s->excluded[c], 8);
    }
    for (uint32_t i = 0; i < s->frozen_count; i++) {
        put_freeze(w, &s->frozen[i]);
    }
}

static void put_moves(struct writer *w, const struct order_moves *moves)
{
    assert(moves->count > 0 && moves->count <= ORDER_MOVES_MAX);
    put(w, moves->count, 8);
    for (uint32_t i = 0; i < moves->count; i++) {
        const struct move *m = &moves->list[i];
        put(w, m->id, 8);
        put(w, unit_pack(m->home), 8);
        put(w, unit_pack(m->place), 8);
        put(w, m->agents, 8);
        put(w, m->places, 8);
        put(w, m->back, 8);
    }
}

static void put_grows(struct writer *w, const struct order_grows *grows)
{
    assert(grows->count > 0 && grows->count <= ORDER_GROWS_MAX);
    put(w, grows->count, 8);
    for (uint32_t i = 0; i < grows->count; i++) {
        const struct grow *g = &grows->list[i];
        put(w, g->id, 8);
        put(w, unit_pack(g->cluster), 8);
        put(w, g->places, 8);
        put(w, g->fresh, 8);
        put(w, (uint64_t)g->over_us, 8);
        put(w, (uint64_t)g->drain_us, 8);
    }
}

void order_digest(digest_fn *digest, uint64_t epoch, const struct order *o, uint8_t ret[ORDER_HASH])
{
    uint8_t bytes[ORDER_BYTES_MAX];
    struct writer w = {.at = bytes};
    assert(digest != NULL && o != NULL && ret != NULL);
    put_bytes(&w, LABEL, LABEL_BYTES);
    put(&w, epoch, 8);
    put(&w, o->seq, 8);
    put_bytes(&w, o->prev, ORDER_HASH);
    put(&w, (uint64_t)o->what, 8);
    switch (o->what) {
    case ORDER_STATE:
        put_state(&w, o->u.state);
        break;
    case ORDER_FREEZE:
    case ORDER_THAW:
        put_freeze(&w, &o->u.freeze);
        break;
    case ORDER_CIRCUIT:
        put(&w, (uint64_t)o->u.circuit.action, 4);
        put(&w, (uint64_t)o->u.circuit.reason, 4);
        put(&w, unit_pack(o->u.circuit.target), 8);
        break;
    case ORDER_HEAL:
        put(&w, unit_pack(o->u.heal.target), 8);
        break;
    case ORDER_ISOLATE:
        put(&w, unit_pack(o->u.isolate.agent), 8);
        put(&w, (uint64_t)o->u.isolate.what, 8);
        put(&w, o->u.isolate.capabilities, 8);
        put(&w, o->u.isolate.agents, 8);
        break;
    case ORDER_CANCEL:
        put_bytes(&w, o->u.cancel.operation_id.bytes, sizeof(o->u.cancel.operation_id.bytes));
        break;
    case ORDER_MOVES:
        put_moves(&w, o->u.moves);
        break;
    case ORDER_GROWS:
        put_grows(&w, o->u.grows);
        break;
    case ORDER_WHAT_COUNT:
    default:
        assert(false);
    }
    digest(bytes, w.used, ret);
}

uint64_t order_short(const uint8_t hash[ORDER_HASH])
{
    uint64_t v = 0;
    for (unsigned i = 0; i < 8; i++) {
        v = v << 8 | hash[i];
    }
    return v;
}

const char *order_verdict_name(enum order_verdict v)
{
    static const char *const names[ORDER_VERDICT_COUNT] = {"taken", "resync", "other-past", "again",
                                                           "gap",   "old",    "fork"};
    assert(v < ORDER_VERDICT_COUNT);
    return names[v];
}

static const uint8_t *known(const struct order_follow *f, uint64_t seq)
{
    return seq > 0 && f->seqs[seq % ORDERS_KEPT] == seq ? f->heads[seq % ORDERS_KEPT] : NULL;
}

static void keep(struct order_follow *f, uint64_t seq, const uint8_t hash[ORDER_HASH])
{
    f->head.seq = seq;
    memcpy(f->head.hash, hash, ORDER_HASH);
    f->seqs[seq % ORDERS_KEPT] = seq;
    memcpy(f->heads[seq % ORDERS_KEPT], hash, ORDER_HASH);
}

/* Whether the past that a new chain names is the one known here, as far as that can be said. */
static bool same_past(const struct order_follow *f, const struct order *o)
{
    const uint8_t *hash = o->seq == 1 && o->u.state->prior_epoch == f->head.epoch
                              ? known(f, o->u.state->prior_seq)
                              : NULL;
    return hash == NULL || memcmp(hash, o->prev, ORDER_HASH) == 0;
}

static enum order_verdict take_new(struct order_follow *f, uint64_t epoch, const struct order *o,
                                   const uint8_t hash[ORDER_HASH])
{
    if (o->what != ORDER_STATE) {
        return ORDER_GAP;
    }
    enum order_verdict v = same_past(f, o) ? ORDER_RESYNC : ORDER_OTHER_PAST;
    memset(f, 0, sizeof(*f));
    f->head.epoch = epoch;
    keep(f, o->seq, hash);
    return v;
}

enum order_verdict order_take(struct order_follow *f, digest_fn *digest, uint64_t epoch,
                              const struct order *o)
{
    uint8_t hash[ORDER_HASH];
    assert(f != NULL && o != NULL && o->seq > 0);
    if (epoch < f->head.epoch) {
        return ORDER_OLD;
    }
    order_digest(digest, epoch, o, hash);
    if (epoch > f->head.epoch) {
        return take_new(f, epoch, o, hash);
    }
    if (o->seq <= f->head.seq && !PLANTED(PLANT_ANY_ORDER)) {
        const uint8_t *before = known(f, o->seq);
        return before == NULL                          ? ORDER_OLD
               : memcmp(before, hash, ORDER_HASH) == 0 ? ORDER_AGAIN
                                                       : ORDER_FORK;
    }
    bool goes_on = o->what == ORDER_STATE && (o->kept_from == 0 || o->kept_from > f->head.seq + 1);
    if (o->seq > f->head.seq + 1 && !goes_on && !PLANTED(PLANT_ANY_ORDER) &&
        !PLANTED(PLANT_ORDER_GAP)) {
        return ORDER_GAP;
    }
    bool next = o->seq == f->head.seq + 1;
    if (next && memcmp(f->head.hash, o->prev, ORDER_HASH) != 0) {
        return ORDER_FORK;
    }
    keep(f, o->seq, hash);
    return next ? ORDER_TAKEN : ORDER_RESYNC;
}
