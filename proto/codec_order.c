/* Orders (core/order.h), and the head of the chain in a beat. The parts are those of messages of
 * their own, read by the same functions. */
#include "proto/codec_parts.h"

#include "core/note.h"
#include "core/order.h"
#include <assert.h>
#include <string.h>

_Static_assert((int)ORDER_GROWS == (int)MESH__ORDER_KIND__ORDER_KIND_GROWS, "order");
_Static_assert(ORDER_GROWS + 1 == ORDER_WHAT_COUNT, "order");

static bool hash_get(ProtobufCBinaryData wire, uint8_t ret[ORDER_HASH])
{
    if (wire.len != ORDER_HASH) {
        return false;
    }
    memcpy(ret, wire.data, ORDER_HASH);
    return true;
}

static bool number_fits(uint64_t number)
{
    return number <= (uint64_t)MESH_TIME_MAX;
}

void order_head_put(const struct order_head *head, Mesh__Beat *ret)
{
    ret->orders_epoch = head->epoch;
    ret->orders_number = head->seq;
    ret->orders_head = value_bytes(head->hash, head->epoch != 0 ? ORDER_HASH : 0);
}

bool order_head_get(const Mesh__Beat *w, struct order_head *ret)
{
    *ret = (struct order_head){.epoch = w->orders_epoch, .seq = w->orders_number};
    if (w->orders_epoch == 0) { /* one that has just begun may have missed the first */
        return w->orders_number == 0 && w->orders_head.len == 0;
    }
    return w->orders_number > 0 && number_fits(w->orders_number) &&
           hash_get(w->orders_head, ret->hash);
}

/* ---- a state ---- */

static bool scope_put(const struct freeze *f, Mesh__Freeze *ret)
{
    mesh__freeze__init(ret);
    ret->target_id = unit_pack(f->scope);
    ret->preserve_state_to = (char *)(uintptr_t)f->preserve_state_to;
    ret->at = f->at_mesh_us;
    return value_text(f->preserve_state_to, sizeof(f->preserve_state_to) - 1);
}

static bool state_put(struct put *put, const struct order_state *s, Mesh__OrderState *ret)
{
    mesh__order_state__init(ret);
    Mesh__Freeze *frozen = put_alloc(put, s->frozen_count * sizeof(*frozen));
    Mesh__Freeze **list = put_alloc(put, s->frozen_count * sizeof(Mesh__Freeze *));
    if (s->frozen_count > FREEZER_SCOPES_MAX || (s->frozen_count > 0 && (!frozen || !list))) {
        return false;
    }
    for (uint32_t i = 0; i < s->frozen_count; i++) {
        list[i] = &frozen[i];
        if (!scope_put(&s->frozen[i], &frozen[i])) {
            return false;
        }
    }
    ret->prior_epoch = s->prior_epoch;
    ret->prior_number = s->prior_seq;
    ret->mode = (Mesh__Mode)s->mode;
    ret->mesh_open = s->mesh_open;
    ret->complete = s->complete;
    EXCLUDED_PUT(ret, s->excluded);
    ret->n_frozen = s->frozen_count;
    ret->frozen = list;
    return true;
}

static enum codec_verdict state_get(const struct get *get, const Mesh__OrderState *w,
                                    struct order_state *ret)
{
    if (!value_enum((int)w->mode, MODE_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (w->n_frozen > FREEZER_SCOPES_MAX) {
        return CODEC_TOO_MANY;
    }
    if (!number_fits(w->prior_number) || (w->prior_epoch == 0) != (w->prior_number == 0)) {
        return CODEC_BAD_RANGE;
    }
    *ret = (struct order_state){.prior_epoch = w->prior_epoch,
                                .prior_seq = w->prior_number,
                                .mode = (enum mode)w->mode,
                                .mesh_open = w->mesh_open,
                                .complete = w->complete,
                                .excluded = EXCLUDED_OF(w),
                                .frozen_count = (uint32_t)w->n_frozen};
    for (size_t i = 0; i < w->n_frozen; i++) {
        struct msg part;
        enum codec_verdict v = freeze_get(get, &w->frozen[i]->base, &part);
        if (v != CODEC_OK) {
            return v;
        }
        ret->frozen[i] = part.u.freeze;
    }
    return CODEC_OK;
}

/* ---- moves ---- */

static bool moves_put(struct put *put, const struct order_moves *moves, Mesh__Order *ret)
{
    if (moves == NULL || moves->count == 0 || moves->count > ORDER_MOVES_MAX) {
        return false;
    }
    Mesh__Move *parts = put_alloc(put, moves->count * sizeof(*parts));
    Mesh__Move **list = put_alloc(put, moves->count * sizeof(Mesh__Move *));
    if (!parts || !list) {
        return false;
    }
    for (uint32_t i = 0; i < moves->count; i++) {
        list[i] = &parts[i];
        move_fill(&moves->list[i], &parts[i]);
    }
    ret->n_moves = moves->count;
    ret->moves = list;
    return true;
}

static enum codec_verdict moves_get(const struct get *get, const Mesh__Order *w,
                                    struct order_moves *ret)
{
    if (w->n_moves > ORDER_MOVES_MAX) {
        return CODEC_TOO_MANY;
    }
    ret->count = (uint32_t)w->n_moves;
    for (size_t i = 0; i < w->n_moves; i++) {
        struct msg part;
        enum codec_verdict v = move_get(get, &w->moves[i]->base, &part);
        if (v != CODEC_OK) {
            return v;
        }
        ret->list[i] = part.u.move;
    }
    return CODEC_OK;
}

/* ---- places of newcomers ---- */

static bool grows_put(struct put *put, const struct order_grows *grows, Mesh__Order *ret)
{
    if (grows == NULL || grows->count == 0 || grows->count > ORDER_GROWS_MAX) {
        return false;
    }
    Mesh__Grow *parts = put_alloc(put, grows->count * sizeof(*parts));
    Mesh__Grow **list = put_alloc(put, grows->count * sizeof(Mesh__Grow *));
    if (!parts || !list) {
        return false;
    }
    for (uint32_t i = 0; i < grows->count; i++) {
        list[i] = &parts[i];
        grow_fill(&grows->list[i], &parts[i]);
    }
    ret->n_grows = grows->count;
    ret->grows = list;
    return true;
}

static enum codec_verdict grows_get(const struct get *get, const Mesh__Order *w,
                                    struct order_grows *ret)
{
    if (w->n_grows > ORDER_GROWS_MAX) {
        return CODEC_TOO_MANY;
    }
    ret->count = (uint32_t)w->n_grows;
    for (size_t i = 0; i < w->n_grows; i++) {
        struct msg part;
        enum codec_verdict v = grow_get(get, &w->grows[i]->base, &part);
        if (v != CODEC_OK) {
            return v;
        }
        ret->list[i] = part.u.grow;
    }
    return CODEC_OK;
}

/* ---- the whole ---- */

struct parts {
    Mesh__OrderState state;
    Mesh__Freeze freeze;
    Mesh__Circuit circuit;
    Mesh__Heal heal;
    Mesh__Isolate isolate;
    Mesh__Cancel cancel;
};

static bool part_put(struct put *put, const struct order *o, struct parts *p, Mesh__Order *ret)
{
    switch (o->what) {
    case ORDER_STATE:
        ret->state = &p->state;
        return o->u.state && state_put(put, o->u.state, &p->state);
    case ORDER_FREEZE:
    case ORDER_THAW:
        ret->freeze = &p->freeze;
        return scope_put(&o->u.freeze, &p->freeze);
    case ORDER_CIRCUIT:
        mesh__circuit__init(&p->circuit);
        p->circuit.action = (Mesh__CircuitState)o->u.circuit.action;
        p->circuit.target_id = unit_pack(o->u.circuit.target);
        p->circuit.reason = (Mesh__Reason)o->u.circuit.reason;
        ret->circuit = &p->circuit;
        return true;
    case ORDER_HEAL:
        mesh__heal__init(&p->heal);
        p->heal.target_id = unit_pack(o->u.heal.target);
        ret->heal = &p->heal;
        return true;
    case ORDER_ISOLATE:
        mesh__isolate__init(&p->isolate);
        p->isolate.agent = unit_pack(o->u.isolate.agent);
        p->isolate.what = (uint32_t)o->u.isolate.what;
        p->isolate.capabilities = o->u.isolate.capabilities;
        p->isolate.agents = o->u.isolate.agents;
        ret->isolate = &p->isolate;
        return true;
    case ORDER_CANCEL:
        mesh__cancel__init(&p->cancel);
        p->cancel.message_id = value_id(&o->u.cancel.operation_id);
        ret->cancel = &p->cancel;
        return true;
    case ORDER_MOVES:
        return moves_put(put, o->u.moves, ret);
    case ORDER_GROWS:
        return grows_put(put, o->u.grows, ret);
    case ORDER_WHAT_COUNT:
    default:
        return false;
    }
}

bool order_put(struct put *put, const struct msg *msg)
{
    const struct order *o = msg->u.order;
    struct parts parts;
    Mesh__Order w;
    mesh__order__init(&w);
    if (!o || o->seq == 0 || !number_fits(o->seq) || o->kept_from > o->seq ||
        !part_put(put, o, &parts, &w)) {
        return false;
    }
    w.number = o->seq;
    w.kept_from = o->kept_from;
    w.prev = value_bytes(o->prev, ORDER_HASH);
    w.kind = (Mesh__OrderKind)o->what;
    return put_pack(put, &w.base);
}

/* Which part a kind has: exactly that one is there. */
static bool parts_fit(const Mesh__Order *w)
{
    const bool freeze = w->kind == MESH__ORDER_KIND__ORDER_KIND_FREEZE ||
                        w->kind == MESH__ORDER_KIND__ORDER_KIND_THAW;
    return (w->state != NULL) == (w->kind == MESH__ORDER_KIND__ORDER_KIND_STATE) &&
           (w->freeze != NULL) == freeze &&
           (w->circuit != NULL) == (w->kind == MESH__ORDER_KIND__ORDER_KIND_CIRCUIT) &&
           (w->heal != NULL) == (w->kind == MESH__ORDER_KIND__ORDER_KIND_HEAL) &&
           (w->isolate != NULL) == (w->kind == MESH__ORDER_KIND__ORDER_KIND_ISOLATE) &&
           (w->cancel != NULL) == (w->kind == MESH__ORDER_KIND__ORDER_KIND_CANCEL) &&
           (w->n_moves > 0) == (w->kind == MESH__ORDER_KIND__ORDER_KIND_MOVES) &&
           (w->n_grows > 0) == (w->kind == MESH__ORDER_KIND__ORDER_KIND_GROWS);
}

static enum codec_verdict part_get(const struct get *get, const Mesh__Order *w, struct order *ret)
{
    struct msg part;
    enum codec_verdict v;
    if (w->state) {
        struct order_state *state = arena_alloc(get->arena, sizeof(*state));
        ret->u.state = state;
        return state ? state_get(get, w->state, state) : CODEC_NO_ROOM;
    }
    if (w->n_moves > 0) {
        struct order_moves *moves = arena_alloc(get->arena, sizeof(*moves));
        ret->u.moves = moves;
        return moves ? moves_get(get, w, moves) : CODEC_NO_ROOM;
    }
    if (w->n_grows > 0) {
        struct order_grows *grows = arena_alloc(get->arena, sizeof(*grows));
        ret->u.grows = grows;
        return grows ? grows_get(get, w, grows) : CODEC_NO_ROOM;
    }
    if (w->freeze) {
        v = freeze_get(get, &w->freeze->base, &part);
        ret->u.freeze = part.u.freeze;
    } else if (w->circuit) {
        v = circuit_get(get, &w->circuit->base, &part);
        ret->u.circuit = part.u.circuit;
    } else if (w->heal) {
        v = heal_get(get, &w->heal->base, &part);
        ret->u.heal = part.u.heal;
    } else if (w->cancel) {
        v = cancel_get(get, &w->cancel->base, &part);
        ret->u.cancel = part.u.cancel;
    } else {
        v = isolate_get(get, &w->isolate->base, &part);
        ret->u.isolate = part.u.isolate;
    }
    return v;
}

enum codec_verdict order_get(const struct get *get, const ProtobufCMessage *message,
                             struct msg *ret)
{
    const Mesh__Order *w = (const Mesh__Order *)message;
    if (!value_kind((int)w->kind, ORDER_WHAT_COUNT - 1)) {
        return CODEC_BAD_ENUM;
    }
    if (!parts_fit(w) || w->number == 0 || w->prev.len == 0) {
        return CODEC_MISSING;
    }
    struct order *o = arena_alloc(get->arena, sizeof(*o));
    if (!o) {
        return CODEC_NO_ROOM;
    }
    memset(o, 0, sizeof(*o));
    if (!number_fits(w->number) || w->kept_from > w->number || !hash_get(w->prev, o->prev)) {
        return CODEC_BAD_RANGE;
    }
    o->seq = w->number;
    o->kept_from = w->kept_from;
    o->what = (enum order_what)w->kind;
    ret->u.order = o;
    return part_get(get, w, o);
}
