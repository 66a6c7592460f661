/* Breakers by hand (spec 6.2): open until they are closed by hand, whoever comes and goes
 * meanwhile. Those that are open are the mesh's record "breakers" in the registry. A sector under a
 * new owner is ordered anew what concerns it; a lead that takes over hears of it from its sector
 * (core/hub.c). A breaker that tripped by itself is its unit's alone: who takes that over judges
 * anew. */
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define STORE_WAIT_US (5ll * US_PER_S)

static uint32_t index_of(const struct breaker_book *b, struct unit scope)
{
    uint32_t i = 0;
    while (i < b->held.count && !unit_equal(b->held.list[i].scope, scope)) {
        i++;
    }
    return i;
}

static void drop(struct breaker_book *b, uint32_t i)
{
    uint32_t last = --b->held.count;
    b->held.list[i] = b->held.list[last];
    b->told[i] = b->told[last];
    b->dirty = true;
}

static uint64_t owner_of(const struct orchestrator *o, struct unit scope)
{
    return scope.tier == TIER_ORCHESTRATOR ? 0
                                           : children_epoch(&o->hub.children, scope.sector - 1u);
}

bool breaker_by_hand(struct orchestrator *o, struct unit scope, bool open)
{
    struct breaker_book *b = &o->breakers;
    assert(o != NULL && scope.tier >= TIER_ORCHESTRATOR && scope.tier <= TIER_CLUSTER);
    uint32_t i = index_of(b, scope);
    bool known = i < b->held.count;
    if (open && !known && b->held.count == BREAKERS_HELD_MAX) {
        return false;
    }
    if (open && !known) {
        b->held.count++;
        b->dirty = true;
        b->held.list[i] = (struct freeze){.scope = scope, .at_mesh_us = hub_mesh_now(&o->hub)};
    } else if (!open && known) {
        drop(b, i);
    }
    if (open) {
        b->told[i] = owner_of(o, scope);
    }
    hub_breaker(&o->hub, scope, open);
    return true;
}

bool breaker_held(const struct orchestrator *o, struct unit scope)
{
    assert(o != NULL);
    return index_of(&o->breakers, scope) < o->breakers.held.count;
}

void breakers_heal(struct orchestrator *o, struct unit scope)
{
    struct breaker_book *b = &o->breakers;
    for (uint32_t i = b->held.count; i-- > 0;) {
        if (freezer_holds(scope, b->held.list[i].scope)) {
            drop(b, i);
        }
    }
    hub_heal(&o->hub, scope);
}

/* --- consoles --- */

/* Why it cannot be; NULL: it can. */
static const char *refusal(const struct orchestrator *o, const struct command *c,
                           enum reason *ret_reason)
{
    const struct hub *h = &o->hub;
    const struct breaker_book *b = &o->breakers;
    bool mesh = c->scope.tier == TIER_ORCHESTRATOR;
    bool known = index_of(b, c->scope) < b->held.count;
    if (!mesh && !children_reachable(&h->children, c->scope.sector - 1u)) {
        *ret_reason = REASON_SECTOR_DOWN;
        return ": its sector is away";
    }
    if (!b->loaded && h->store_up) {
        *ret_reason = REASON_OVERLOAD;
        return ": the record of breakers is being read: try again";
    }
    enum circuit now = mesh ? breaker_state(&h->breaker) : h->child[c->scope.sector - 1u].circuit;
    bool closed = c->scope.tier <= TIER_SECTOR && now == CIRCUIT_CLOSED;
    *ret_reason = REASON_INVALID;
    if (c->on && known) {
        return ": its breaker is open already";
    }
    return !c->on && !known && closed ? ": its breaker is closed already" : NULL;
}

void breaker_command(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    struct hub *h = &o->hub;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    enum reason reason;
    text_init(&t, memory, sizeof(memory));
    text_unit(&t, c->scope);
    if (c->scope.tier > TIER_CLUSTER || !topology_contains(h->topology, c->scope)) {
        hub_reply_error(h, msg, REASON_INVALID, "scope: the mesh, a sector or a cluster");
        return;
    }
    const char *why = refusal(o, c, &reason);
    if (why == NULL && !breaker_by_hand(o, c->scope, c->on)) {
        reason = REASON_OVERLOAD;
        why = ": 32 breakers are open by hand already; close one, or freeze";
    }
    if (why != NULL) {
        text_add(&t, why);
        hub_reply_error(h, msg, reason, memory);
        return;
    }
    o->breakers.loaded = true; /* else the registry is away: what is said now counts */
    text_add(&t,
             c->on ? ": breaker open; it stays so until it is closed by hand" : ": breaker closed");
    struct watch w = {.console = msg->from, .ref = c->ref};
    watch_line(o, &w, memory);
    watch_end(o, &w);
}

/* --- the record --- */

static void ask(struct orchestrator *o, struct store_op *op)
{
    struct hub *h = &o->hub;
    op->shard = "mesh";
    op->key = "breakers";
    op->ref = ++h->next_ref;
    o->breakers.ref = op->ref;
    o->breakers.until_us = h->now_us + STORE_WAIT_US;
    out_store(h->out, op);
}

static void store_tick(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    struct breaker_book *b = &o->breakers;
    if (b->ref != 0 && h->now_us >= b->until_us) {
        hub_note(h, NOTE_STORE_LATE, b->ref, STORE_PUT);
        b->ref = 0;
    }
    if (b->ref != 0 || !h->store_up || !o->routing.loaded || (b->loaded && !b->dirty)) {
        return;
    }
    struct store_op op = {.kind = STORE_GET};
    if (!outbox_room(h->out, 3, 8192)) {
        h->short_of_room = true;
        return;
    }
    if (!b->loaded) {
        ask(o, &op);
        return;
    }
    b->dirty = false;
    op.kind = STORE_REMOVE; /* a put would only add fields */
    ask(o, &op);
    uint32_t n = freezer_save(&b->held, &b->record);
    if (n > 0) {
        op = (struct store_op){.kind = STORE_PUT, .fields = b->record.fields, .field_count = n};
        ask(o, &op);
    }
}

/* What was open stands open; what is known by now counts more. */
static void load(struct orchestrator *o, const struct store_row *row)
{
    struct breaker_book *b = &o->breakers;
    for (uint32_t k = 0; k < row->field_count; k++) {
        struct freeze f;
        if (!freezer_load(&row->fields[k], &f) || !topology_contains(o->hub.topology, f.scope) ||
            index_of(b, f.scope) < b->held.count || b->held.count == BREAKERS_HELD_MAX) {
            continue;
        }
        b->told[b->held.count] = 0;
        b->held.list[b->held.count++] = f;
        if (f.scope.tier == TIER_ORCHESTRATOR) {
            hub_breaker(&o->hub, f.scope, true);
        }
    }
}

bool breakers_stored(struct orchestrator *o, const struct store_reply *reply)
{
    struct breaker_book *b = &o->breakers;
    assert(reply != NULL);
    if (b->ref == 0 || reply->ref != b->ref) {
        return false;
    }
    b->ref = 0;
    bool good = reply->verdict == STORE_OK || reply->verdict == STORE_MISSING;
    if (!good) {
        hub_note(&o->hub, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
        b->dirty = b->loaded;
    } else if (reply->kind == STORE_GET && !b->loaded) {
        b->loaded = true;
        if (reply->row_count > 0) {
            load(o, &reply->rows[0]);
        }
    }
    return true;
}

int64_t breakers_tick(struct orchestrator *o)
{
    struct breaker_book *b = &o->breakers;
    store_tick(o);
    for (uint32_t i = 0; i < b->held.count; i++) {
        struct unit scope = b->held.list[i].scope;
        uint64_t owner = owner_of(o, scope);
        if (owner == b->told[i]) {
            continue;
        }
        if (!hub_order_room(&o->hub)) {
            o->hub.short_of_room = true;
            break;
        }
        b->told[i] = owner;
        hub_breaker(&o->hub, scope, true);
    }
    return b->ref != 0 ? b->until_us : NEVER;
}
