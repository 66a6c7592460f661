/* Conflicts of the lead's agents on their way to the log. Each is kept here until the orchestrator
 * says that it is durable, and sent again until then; its name makes that one row. Nothing waits
 * for that: the operation has its outcome already.
 *
 * With LEAD_CONFLICTS_MAX kept, what comes is not kept in detail but counted, and the count goes
 * into the log as one conflict of the lead's own as soon as there is room: nothing is dropped
 * unsaid. */
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

#define AGAIN_US     (2ll * US_PER_S)
#define AGAIN_MAX_US (10ll * US_PER_S)
#define SENDS_STEP   16u
#define WORDS        (LEAD_CONFLICTS_MAX / 64u)

/* Lowest first: a full table is all in use. */
static void slots_grow(struct cluster *c)
{
    struct lead_conflicts *k = &c->reports;
    uint32_t room = k->room > 0 ? k->room * 2u : LEAD_CONFLICTS_FEW;
    assert(room <= LEAD_CONFLICTS_MAX);
    uint16_t chunk = slab_run(&c->slab, LEAD_CONFLICT_CHUNKS(room));
    struct lead_conflict *to = slab_at(&c->slab, chunk);
    if (k->room > 0) {
        memcpy(to, k->slots, k->room * sizeof *to);
        slab_give(&c->slab, k->chunk, LEAD_CONFLICT_CHUNKS(k->room));
    }
    k->slots = to;
    k->chunk = chunk;
    k->room = (uint16_t)room;
}

static struct lead_conflict *slot_take(struct cluster *c, int64_t now_us)
{
    struct lead_conflicts *k = &c->reports;
    for (uint32_t word = 0; k->count < LEAD_CONFLICTS_MAX && word < WORDS; word++) {
        if (~k->used[word] == 0) {
            continue;
        }
        uint32_t bit = bits_lowest(~k->used[word]);
        if (word * 64u + bit >= k->room) {
            slots_grow(c);
        }
        struct lead_conflict *at = &k->slots[word * 64u + bit];
        memset(at, 0, sizeof *at);
        k->used[word] |= bit_of(bit);
        at->due_us = now_us;
        k->count++;
        c->stirred = true;
        return at;
    }
    return NULL;
}

/* The first slot in use from `from` on; LEAD_CONFLICTS_MAX: none. */
static uint32_t slot_next(const struct cluster *c, uint32_t from)
{
    for (uint32_t word = from / 64u; word < WORDS; word++) {
        uint64_t used = c->reports.used[word];
        used &= word == from / 64u ? ~0ull << from % 64u : ~0ull;
        if (used != 0) {
            return word * 64u + bits_lowest(used);
        }
    }
    return LEAD_CONFLICTS_MAX;
}

static struct lead_conflict *slot_of(struct cluster *c, uint64_t id)
{
    for (uint32_t i = slot_next(c, 0); i < LEAD_CONFLICTS_MAX; i = slot_next(c, i + 1u)) {
        if (c->reports.slots[i].report.id == id) {
            return &c->reports.slots[i];
        }
    }
    return NULL;
}

struct conflict_report *conflict_slot(struct cluster *c, int64_t now_us, uint32_t spare)
{
    assert(c != NULL && spare < LEAD_CONFLICTS_MAX);
    struct lead_conflict *at = NULL;
    if (c->reports.count + spare < LEAD_CONFLICTS_MAX) {
        at = slot_take(c, now_us);
        at->report.lamport = ++c->reports.lamport;
    }
    return at != NULL ? &at->report : NULL;
}

static uint16_t value_take(uint8_t ret[CONFLICT_VALUE_MAX], const void *bytes, uint32_t n)
{
    n = n < CONFLICT_VALUE_MAX ? n : CONFLICT_VALUE_MAX;
    if (n > 0) {
        memcpy(ret, bytes, n);
    }
    return (uint16_t)n;
}

bool conflict_add(struct cluster *c, int64_t now_us, const struct conflict_seen *seen)
{
    assert(c != NULL && seen != NULL && seen->detail != NULL);
    const struct conflict_detail *d = seen->detail;
    uint64_t uid = c->members[seen->member].uid;
    enum conflict_type type = d->type == CONFLICT_NONE ? CONFLICT_OTHER : d->type;
    uint64_t id = conflict_name(&seen->operation, uid, type);
    if (slot_of(c, id) != NULL) {
        return true;
    }
    struct lead_conflict *at = slot_take(c, now_us);
    if (at == NULL) {
        c->reports.spilled++;
        c->stirred = true;
        c->reports.spilled_operation = seen->operation;
        return false;
    }
    struct conflict_report *r = &at->report;
    r->id = id;
    r->operation_id = seen->operation;
    r->agent = cluster_agent(c, seen->member);
    r->uid = uid;
    r->at_mesh_us = cluster_mesh(c, now_us);
    r->lamport = ++c->reports.lamport;
    r->type = type;
    r->context_hash = d->context_hash;
    r->divergence_depth = d->divergence_depth;
    r->agents_affected = d->agents_affected;
    r->expected_bytes = value_take(r->expected, d->expected, d->expected_bytes);
    r->received_bytes = value_take(r->received, d->received, d->received_bytes);
    memcpy(r->action, seen->action, strlen(seen->action));
    return true;
}

/* What could not be kept, as one conflict of this lead. */
static void spill(struct cluster *c, int64_t now_us)
{
    struct lead_conflicts *k = &c->reports;
    struct lead_conflict *at = k->spilled > 0 ? slot_take(c, now_us) : NULL;
    if (at == NULL) {
        return;
    }
    char memory[CONFLICT_VALUE_MAX];
    struct text t;
    text_init(&t, memory, sizeof memory);
    text_u64(&t, k->spilled);
    text_add(&t, " conflicts more than this lead can keep: not in the log one by one");
    struct conflict_report *r = &at->report;
    r->operation_id = k->spilled_operation;
    r->agent = c->self;
    r->at_mesh_us = cluster_mesh(c, now_us);
    r->lamport = ++k->lamport;
    r->uid = r->lamport;
    r->id = conflict_name(&r->operation_id, r->uid ^ c->epoch << 32, CONFLICT_OTHER);
    r->type = CONFLICT_OTHER;
    r->agents_affected = k->spilled < UINT32_MAX ? (uint32_t)k->spilled : UINT32_MAX;
    r->received_bytes = value_take(r->received, memory, (uint32_t)t.used);
    k->spilled = 0;
}

void conflict_acked(struct cluster *c, const struct conflict_ack *ack)
{
    struct lead_conflict *at = slot_of(c, ack->id);
    c->reports.lamport = ack->lamport > c->reports.lamport ? ack->lamport : c->reports.lamport;
    if (at != NULL) {
        uint32_t i = (uint32_t)(at - c->reports.slots);
        c->reports.used[i / 64u] &= ~bit_of(i % 64u);
        c->reports.count--;
    }
}

int64_t conflict_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct lead_conflicts *k = &c->reports;
    int64_t next_us = NEVER;
    uint32_t sent = 0;
    spill(c, now_us);
    uint32_t i = k->count > 0 && c->bus_up ? slot_next(c, 0) : LEAD_CONFLICTS_MAX;
    for (; i < LEAD_CONFLICTS_MAX; i = slot_next(c, i + 1u)) {
        struct lead_conflict *at = &c->reports.slots[i];
        if (at->due_us <= now_us && sent < SENDS_STEP) {
            struct msg m = {.type = MSG_CONFLICT, .priority = 1, .to = c->sector};
            m.u.conflict = &at->report;
            if (!cluster_send(c, out, &m)) {
                return now_us;
            }
            int64_t wait = AGAIN_US << (at->tries < 3 ? at->tries : 3);
            wait = wait < AGAIN_MAX_US ? wait : AGAIN_MAX_US;
            at->due_us = now_us + rng_jitter_us(&c->rng, wait, 200);
            at->tries++;
            sent++;
        }
        next_us = time_least(next_us, at->due_us > now_us ? at->due_us : now_us + 1);
    }
    return next_us;
}
