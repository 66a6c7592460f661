/* Freeze and thaw (spec 7.1): orders go down as notices; who stands still comes up in summaries.
 * The console is told when all of the scope do, or after FREEZE_WAIT_US how many do so far.
 *
 * The table of what is frozen is the record "frozen" of the mesh in the registry: written at each
 * change, read by an orchestrator that starts or takes over. Until it is read, SETTLE_US at most,
 * nothing is admitted. Sectors and leads that start anew are told by their parents. */
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define FREEZE_WAIT_US (5ll * US_PER_S)
#define SETTLE_US      (2ll * US_PER_S)
#define FROZEN_WAIT_US (5ll * US_PER_S)
#define WATCH_STEP_US  (100ll * US_PER_MS)

/* --- consoles that wait --- */

struct watch *watch_take(struct orchestrator *o, const struct msg *msg, enum watch_kind kind)
{
    for (uint32_t i = 0; i < ORCHESTRATOR_WATCHES_MAX; i++) {
        if (o->watches[i].kind == WATCH_FREE) {
            o->watches[i] = (struct watch){.kind = kind,
                                           .console = msg->from,
                                           .ref = msg->u.command->ref,
                                           .scope = msg->u.command->scope,
                                           .since_us = o->hub.now_us};
            return &o->watches[i];
        }
    }
    hub_reply_error(&o->hub, msg, REASON_OVERLOAD, "too many consoles wait for freeze or heal");
    return NULL;
}

void watch_line(struct orchestrator *o, const struct watch *w, const char *text)
{
    struct reply r = {.ref = w->ref, .kind = REPLY_LINE, .text = text};
    hub_reply(&o->hub, w->console, &r);
}

void watch_end(struct orchestrator *o, struct watch *w)
{
    struct reply r = {.ref = w->ref, .kind = REPLY_OK, .final = true};
    hub_reply(&o->hub, w->console, &r);
    w->kind = WATCH_FREE;
}

/* --- who stands still --- */

struct counts {
    uint32_t active, frozen, late;
};

/* Of the scope; of a cluster its sector's, less what the topology says of the others. */
static struct counts count(const struct hub *h, struct unit scope)
{
    struct summary s;
    struct counts n;
    if (scope.tier == TIER_ORCHESTRATOR) {
        hub_summary(h, &s);
        return (struct counts){s.active, s.frozen, s.frozen_late};
    }
    const struct hub_child *c = &h->child[scope.sector - 1u];
    n = (struct counts){c->summary.active, c->summary.frozen, c->summary.frozen_late};
    if (scope.tier == TIER_CLUSTER) {
        uint32_t agents = topology_cluster_agents(h->topology, scope);
        uint32_t missing = c->summary.agents - c->summary.active;
        n.active = agents > missing ? agents - missing : 0;
    }
    return n;
}

static void add_count(struct text *t, uint32_t n)
{
    if (n >= 1000) {
        text_u64(t, n / 1000);
        text_char(t, ',');
        text_char(t, (char)('0' + n / 100 % 10));
        text_char(t, (char)('0' + n / 10 % 10));
        text_char(t, (char)('0' + n % 10));
    } else {
        text_u64(t, n);
    }
}

static void scope_line(struct orchestrator *o, const struct watch *w, const char *what)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    if (w->freeze.scope.tier == TIER_ORCHESTRATOR) {
        text_add(&t, "MESH");
    } else {
        text_unit(&t, w->freeze.scope);
    }
    text_add(&t, what);
    watch_line(o, w, memory);
}

static void frozen_lines(struct orchestrator *o, const struct watch *w, struct counts n)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    scope_line(o, w, " FROZEN");
    text_init(&t, memory, sizeof(memory));
    text_add(&t, n.frozen >= n.active ? "All " : "");
    add_count(&t, n.frozen);
    if (n.frozen < n.active) {
        text_add(&t, " of ");
        add_count(&t, n.active);
    }
    text_add(&t, " agents paused, ");
    add_count(&t, n.late);
    text_add(&t, " of them later than 1 s after the order");
    watch_line(o, w, memory);
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "State preserved to ");
    text_add(&t, w->freeze.preserve_state_to);
    watch_line(o, w, memory);
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "To resume: thaw ");
    if (w->freeze.scope.tier == TIER_ORCHESTRATOR) {
        text_add(&t, "all");
    } else {
        text_unit(&t, w->freeze.scope);
    }
    watch_line(o, w, memory);
}

static void thawed_lines(struct orchestrator *o, const struct watch *w, struct counts n)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    scope_line(o, w, " THAWED");
    text_init(&t, memory, sizeof(memory));
    add_count(&t, n.active > n.frozen ? n.active - n.frozen : 0);
    text_add(&t, " agents run again, from where ");
    text_add(&t, w->freeze.preserve_state_to);
    text_add(&t, " had stopped them");
    watch_line(o, w, memory);
    for (uint32_t i = 0; i < o->hub.freezer.count; i++) {
        if (freezer_holds(w->freeze.scope, o->hub.freezer.list[i].scope)) {
            text_init(&t, memory, sizeof(memory));
            text_unit(&t, o->hub.freezer.list[i].scope);
            text_add(&t, " stays frozen (snapshot ");
            text_add(&t, o->hub.freezer.list[i].preserve_state_to);
            text_add(&t, ")");
            watch_line(o, w, memory);
        }
    }
}

/* Agents that other orders hold. */
static uint32_t held_otherwise(const struct hub *h, struct unit scope)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < h->freezer.count; i++) {
        struct unit at = h->freezer.list[i].scope;
        n += !freezer_holds(scope, at) ? 0
             : at.tier == TIER_CLUSTER ? topology_cluster_agents(h->topology, at)
             : at.tier == TIER_SECTOR  ? h->child[at.sector - 1u].summary.frozen
                                       : 0;
    }
    return n;
}

void watch_tick(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    for (uint32_t i = 0; i < ORCHESTRATOR_WATCHES_MAX; i++) {
        struct watch *w = &o->watches[i];
        if (w->kind == WATCH_HEAL) {
            heal_watch_tick(o, w);
            continue;
        }
        if (w->kind == WATCH_ISOLATE) {
            isolate_watch_tick(o, w);
            continue;
        }
        if (w->kind == WATCH_MOVE) {
            move_watch_tick(o, w);
            continue;
        }
        if (w->kind == WATCH_SCALE_PLAN) {
            scale_plan_tick(o, w);
            continue;
        }
        if (w->kind == WATCH_SCALE) {
            scale_watch_tick(o, w);
            continue;
        }
        if (w->kind != WATCH_FREEZE && w->kind != WATCH_THAW) {
            continue;
        }
        struct counts n = count(h, w->freeze.scope);
        bool frozen = n.frozen >= n.active;
        bool thawed = n.frozen <= held_otherwise(h, w->freeze.scope);
        bool done = w->kind == WATCH_FREEZE ? frozen : thawed;
        if ((!done && h->now_us < w->due_us) || h->now_us - w->since_us < WATCH_STEP_US) {
            continue;
        }
        if (!outbox_room(h->out, FREEZER_SCOPES_MAX + 6u, 16384)) {
            h->short_of_room = true;
            return;
        }
        if (w->kind == WATCH_FREEZE) {
            frozen_lines(o, w, n);
        } else {
            thawed_lines(o, w, n);
        }
        watch_end(o, w);
    }
}

/* A scope that is not frozen, but parts of it are: which ones, for the refusal. */
static bool parts_frozen(const struct hub *h, struct unit scope, struct text *t)
{
    uint32_t named = 0;
    if (freezer_covers(&h->freezer, scope) != NULL) {
        return false;
    }
    for (uint32_t i = 0; i < h->freezer.count; i++) {
        struct unit at = h->freezer.list[i].scope;
        if (!freezer_holds(scope, at)) {
            continue;
        }
        if (named++ == 0) {
            text_unit(t, scope);
            text_add(t, " is not frozen as a whole: thaw ");
        } else {
            text_add(t, ", ");
        }
        text_unit(t, at);
    }
    return named > 0;
}

void freeze_command(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    struct hub *h = &o->hub;
    bool freezes = c->kind == COMMAND_FREEZE;
    char why[TEXT_BYTES_MAX];
    struct text parts;
    text_init(&parts, why, sizeof(why));
    if (!freezes && parts_frozen(h, c->scope, &parts)) {
        hub_reply_error(h, msg, REASON_INVALID, why);
        return;
    }
    if (c->scope.tier > TIER_CLUSTER || !topology_contains(h->topology, c->scope)) {
        hub_reply_error(h, msg, REASON_INVALID,
                        "scope: the mesh, a sector or a cluster of this topology");
        return;
    }
    struct watch *w = watch_take(o, msg, freezes ? WATCH_FREEZE : WATCH_THAW);
    if (w == NULL) {
        return;
    }
    const struct freeze *at = NULL;
    w->freeze = (struct freeze){.scope = c->scope, .at_mesh_us = hub_mesh_now(h)};
    freeze_name(c->name, w->freeze.at_mesh_us, w->freeze.preserve_state_to);
    for (uint32_t i = 0; !freezes && i < h->freezer.count; i++) {
        if (unit_equal(h->freezer.list[i].scope, c->scope)) {
            w->freeze = h->freezer.list[i];
        }
    }
    enum freezer_verdict v = hub_freeze(h, freezes ? MSG_FREEZE : MSG_THAW, &w->freeze, &at);
    /* Not in the table, and yet agents there stand still: a word that was lost was said again. */
    bool lost = v == FREEZER_NOT && count(h, c->scope).frozen > 0;
    if (v != FREEZER_OK && !lost) {
        w->kind = WATCH_FREE;
        freezer_why(v, c->scope, at, why);
        hub_reply_error(h, msg, REASON_INVALID, why);
        return;
    }
    w->due_us = h->now_us + FREEZE_WAIT_US;
    o->frozen_dirty = true;
    o->frozen_loaded = true; /* what was before it is known by now, or overruled */
}

/* --- the record --- */

static void ask(struct orchestrator *o, struct store_op *op)
{
    struct hub *h = &o->hub;
    op->shard = "mesh";
    op->key = "frozen";
    op->ref = ++h->next_ref;
    o->frozen_ref = op->ref;
    o->frozen_until_us = h->now_us + FROZEN_WAIT_US;
    out_store(h->out, op);
}

/* Not all is known yet that may forbid an operation: what is frozen, and whether the mesh's breaker
 * is open, from the registry; the mode, from the first sector that is heard. */
static bool settles(const struct orchestrator *o)
{
    const struct hub *h = &o->hub;
    bool early = h->now_us - h->started_us < SETTLE_US;
    return early && (!o->frozen_loaded || !o->breakers.loaded || !o->orders.heard);
}

void freeze_store_tick(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    h->settling = settles(o) || jobs_settling(&o->jobs, h);
    if (o->frozen_ref != 0 && h->now_us >= o->frozen_until_us) {
        hub_note(h, NOTE_STORE_LATE, o->frozen_ref, STORE_PUT);
        o->frozen_ref = 0;
    }
    if (o->frozen_ref != 0 || !h->store_up || (o->frozen_loaded && !o->frozen_dirty)) {
        return;
    }
    struct store_op op = {.kind = STORE_GET};
    if (!outbox_room(h->out, 3, 8192)) {
        h->short_of_room = true;
        return;
    }
    if (!o->frozen_loaded) {
        ask(o, &op);
        return;
    }
    o->frozen_dirty = false;
    op.kind = STORE_REMOVE; /* a put would only add fields */
    ask(o, &op);
    uint32_t n = freezer_save(&h->freezer, &o->frozen_record);
    if (n > 0) {
        op = (struct store_op){
            .kind = STORE_PUT, .fields = o->frozen_record.fields, .field_count = n};
        ask(o, &op);
    }
}

bool freeze_stored(struct orchestrator *o, const struct store_reply *reply)
{
    struct hub *h = &o->hub;
    if (reply->ref != o->frozen_ref) {
        return false;
    }
    o->frozen_ref = 0;
    o->frozen_until_us = NEVER;
    if (reply->kind == STORE_GET &&
        (reply->verdict == STORE_OK || reply->verdict == STORE_MISSING)) {
        o->frozen_loaded = true;
        h->settling = settles(o) || jobs_settling(&o->jobs, h);
        for (uint32_t k = 0; reply->row_count > 0 && k < reply->rows[0].field_count; k++) {
            struct freeze f;
            if (freezer_load(&reply->rows[0].fields[k], &f) &&
                topology_contains(h->topology, f.scope)) {
                (void)freezer_add(&h->freezer, &f, NULL);
            }
        }
        bool frozen = freezer_covers(&h->freezer, h->self) != NULL;
        if (frozen != h->frozen) {
            h->frozen = frozen;
            hub_note(h, frozen ? NOTE_FROZEN : NOTE_THAWED, unit_pack(h->self), 0);
        }
        hub_order_state(h);
    } else if (reply->verdict != STORE_OK && reply->verdict != STORE_MISSING) {
        hub_note(h, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
        o->frozen_dirty = o->frozen_loaded;
    }
    return true;
}

int64_t freeze_next_us(const struct orchestrator *o)
{
    const struct hub *h = &o->hub;
    int64_t next_us = o->frozen_ref != 0 ? o->frozen_until_us : NEVER;
    if (settles(o)) {
        int64_t settled_us = h->started_us + SETTLE_US;
        next_us = settled_us < next_us ? settled_us : next_us;
    }
    for (uint32_t i = 0; i < ORCHESTRATOR_WATCHES_MAX; i++) {
        const struct watch *w = &o->watches[i];
        if (w->kind != WATCH_FREE) {
            int64_t step_us = h->now_us + WATCH_STEP_US;
            next_us = step_us < next_us ? step_us : next_us;
        }
    }
    return next_us;
}
