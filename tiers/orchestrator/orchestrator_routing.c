/* What new work goes around (core/routing.h): commanded here, kept in the registry as the mesh's
 * record "routing", and said to the leads at each change and every SAY_US again: a lead that takes
 * over, or missed a word, avoids the same agents some seconds later. The capability mapping is part
 * of the state that sectors are ordered (core/order.h). */
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define SAY_US        (5ll * US_PER_S)
#define QUIET_TIMES   6u /* that a cluster is told that it avoids nobody any more */
#define STORE_WAIT_US (5ll * US_PER_S)

/* --- down --- */

static bool say(struct orchestrator *o, struct unit cluster, uint64_t agents)
{
    struct order order = {.what = ORDER_ISOLATE};
    order.u.isolate = (struct isolate){.agent = unit_agent(cluster.sector, cluster.cluster, 1),
                                       .what = ISOLATE_AVOID,
                                       .agents = agents};
    return hub_order_room(&o->hub) && hub_order(&o->hub, &order);
}

/* Entries first, then those that are empty now; goes on where the outbox was full. */
static void say_all(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    const struct route_table *r = &o->routing.table;
    while (o->routing.say_next < r->count + ROUTING_CLUSTERS_MAX) {
        uint32_t k = o->routing.say_next;
        if (k < r->count) {
            if (!say(o, r->list[k].cluster, r->list[k].agents)) {
                h->short_of_room = true;
                return;
            }
        } else if (o->routing.quiet_left[k - r->count] > 0) {
            if (!say(o, o->routing.quiet[k - r->count], 0)) {
                h->short_of_room = true;
                return;
            }
            o->routing.quiet_left[k - r->count]--;
        }
        o->routing.say_next++;
    }
    o->routing.say_next = 0;
    o->routing.say_us = h->now_us + SAY_US;
}

static void became_quiet(struct orchestrator *o, struct unit cluster)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < ROUTING_CLUSTERS_MAX; i++) {
        if (unit_equal(o->routing.quiet[i], cluster)) {
            at = i;
            break;
        }
        at = o->routing.quiet_left[i] < o->routing.quiet_left[at] ? i : at;
    }
    o->routing.quiet[at] = cluster;
    o->routing.quiet_left[at] = QUIET_TIMES;
}

static void hear_again(struct orchestrator *o, const struct route_table *before)
{
    const struct route_table *now = &o->routing.table;
    for (uint32_t i = 0; i < before->count; i++) {
        if (routing_avoided(now, before->list[i].cluster) == 0) {
            became_quiet(o, before->list[i].cluster);
        }
    }
    for (uint32_t i = 0; i < now->count; i++) {
        for (uint32_t k = 0; k < ROUTING_CLUSTERS_MAX; k++) {
            if (unit_equal(o->routing.quiet[k], now->list[i].cluster)) {
                o->routing.quiet_left[k] = 0;
            }
        }
    }
    memcpy(o->hub.excluded, now->excluded, sizeof(o->hub.excluded));
    hub_order_state(&o->hub);
    o->routing.say_next = 0;
    o->routing.say_us = o->hub.now_us;
}

/* Nobody there is avoided, as is known here; a lead may not know, whose word was lost together with
 * the orchestrator that had it. Said again, it goes down again. */
static void say_quiet(struct orchestrator *o, const struct place_set *places)
{
    const struct topology *t = o->hub.topology;
    uint32_t said = 0;
    for (unsigned s = 1; s <= t->sectors; s++) {
        uint32_t clusters =
            place_touches(places, unit_sector(s)) ? topology_sector_clusters(t, s) : 0;
        for (unsigned k = 1; k <= clusters && said < ROUTING_CLUSTERS_MAX; k++) {
            struct unit cluster = unit_cluster(s, k);
            if (place_children(places, t, cluster, 1) != 0 &&
                routing_avoided(&o->routing.table, cluster) == 0) {
                became_quiet(o, cluster);
                said++;
            }
        }
    }
    o->routing.say_next = 0;
    o->routing.say_us = o->hub.now_us;
}

/* --- consoles --- */

static void tell(struct orchestrator *o, const struct msg *msg)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    for (uint32_t i = 0;; i++) {
        text_init(&t, memory, sizeof(memory));
        bool more = routing_line(&o->routing.table, o->hub.topology, i, &t);
        if (!more && i > 0) {
            break;
        }
        text_add(&t, more ? "" : "new work avoids nobody, and no class is excluded from anything");
        hub_reply_line(&o->hub, msg, memory);
        if (!more) {
            break;
        }
    }
    hub_reply_ok(&o->hub, msg);
}

/* What one capability's mapping is now. */
static void tell_mapping(struct orchestrator *o, const struct msg *msg, uint64_t capabilities)
{
    char memory[TEXT_BYTES_MAX];
    for (unsigned bit = 0; bit < o->hub.topology->capability_count; bit++) {
        struct text t;
        if ((capabilities >> bit & 1u) == 0) {
            continue;
        }
        text_init(&t, memory, sizeof(memory));
        text_add(&t, "Capability mapping updated: ");
        routing_mapping_line(&o->routing.table, o->hub.topology, bit, &t);
        hub_reply_line(&o->hub, msg, memory);
    }
    hub_reply_ok(&o->hub, msg);
}

void routing_command(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    const struct selector *sel = &c->query.selector;
    struct hub *h = &o->hub;
    struct route_table before = o->routing.table;
    enum routing_verdict v = ROUTING_SAME;
    const char *full = "routing: 16 clusters and 20 capabilities at most: undo some first";
    if (!o->routing.loaded && h->store_up) {
        hub_reply_error(h, msg, REASON_OVERLOAD, "routing: the record is being read: try again");
        return;
    }
    if (sel->capabilities != 0 && sel->class_mask == 0) {
        hub_reply_error(h, msg, REASON_INVALID, "class: which classes are meant");
        return;
    }
    if (sel->capabilities != 0) {
        v = routing_map(&o->routing.table, sel->class_mask, sel->capabilities, c->on);
    } else if (sel->places.count > 0) {
        v = routing_avoid(&o->routing.table, h->topology, &sel->places, c->on);
    }
    if (v == ROUTING_FULL) {
        hub_reply_error(h, msg, REASON_OVERLOAD, full);
        return;
    }
    if (v == ROUTING_OK) {
        o->routing.dirty = true;
        o->routing.loaded = true;
        hear_again(o, &before);
    } else if (sel->capabilities == 0 && sel->places.count > 0 && !c->on) {
        say_quiet(o, &sel->places);
    }
    if (sel->capabilities != 0) {
        tell_mapping(o, msg, sel->capabilities);
        return;
    }
    tell(o, msg);
}

/* --- the record --- */

static void ask(struct orchestrator *o, struct store_op *op)
{
    struct hub *h = &o->hub;
    op->shard = "mesh";
    op->key = "routing";
    op->ref = ++h->next_ref;
    o->routing.ref = op->ref;
    o->routing.until_us = h->now_us + STORE_WAIT_US;
    out_store(h->out, op);
}

static void store_tick(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    if (o->routing.ref != 0 && h->now_us >= o->routing.until_us) {
        hub_note(h, NOTE_STORE_LATE, o->routing.ref, STORE_PUT);
        o->routing.ref = 0;
    }
    if (o->routing.ref != 0 || !h->store_up || !o->frozen_loaded ||
        (o->routing.loaded && !o->routing.dirty)) {
        return;
    }
    struct store_op op = {.kind = STORE_GET};
    if (!outbox_room(h->out, 3, 8192)) {
        h->short_of_room = true;
        return;
    }
    if (!o->routing.loaded) {
        ask(o, &op);
        return;
    }
    o->routing.dirty = false;
    op.kind = STORE_REMOVE; /* a put would only add fields */
    ask(o, &op);
    uint32_t n = routing_save(&o->routing.table, h->topology, &o->routing.record);
    if (n > 0) {
        op = (struct store_op){
            .kind = STORE_PUT, .fields = o->routing.record.fields, .field_count = n};
        ask(o, &op);
    }
}

bool routing_stored(struct orchestrator *o, const struct store_reply *reply)
{
    struct hub *h = &o->hub;
    assert(reply != NULL);
    if (o->routing.ref == 0 || reply->ref != o->routing.ref) {
        return false;
    }
    o->routing.ref = 0;
    bool good = reply->verdict == STORE_OK || reply->verdict == STORE_MISSING;
    if (!good) {
        hub_note(h, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
        o->routing.dirty = o->routing.loaded;
    } else if (reply->kind == STORE_GET && !o->routing.loaded) {
        struct route_table before = o->routing.table;
        o->routing.loaded = true;
        for (uint32_t k = 0; reply->row_count > 0 && k < reply->rows[0].field_count; k++) {
            (void)routing_load(&o->routing.table, h->topology, &reply->rows[0].fields[k]);
        }
        hear_again(o, &before);
    }
    return true;
}

int64_t routing_tick(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    store_tick(o);
    bool any = o->routing.table.count > 0;
    for (uint32_t i = 0; i < ROUTING_CLUSTERS_MAX; i++) {
        any = any || o->routing.quiet_left[i] > 0;
    }
    if (any && h->now_us >= o->routing.say_us) {
        say_all(o);
    }
    int64_t next_us = any ? o->routing.say_us : NEVER;
    bool waits = o->routing.ref != 0 && o->routing.until_us < next_us;
    return waits ? o->routing.until_us : next_us;
}
