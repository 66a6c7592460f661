/* Admission of operations and the table that holds them.
 *
 * A slot is small (1.3 KiB for 30 agents) and lies, as histograms, schedules and answer groups do,
 * in chunks of one slab. A slot is OPEN while targets wait, ENDED while its result waits for room
 * in the outbox, then KEPT for queries, late answers and repeated OPERATEs until it is a minute
 * old, more than a few dozen are kept, or the room is needed. Slots are taken lowest first and
 * reused, so memory that was never needed is never touched.
 *
 * Resolution (spec 3.1, design 4): each selected place gets one of: final at once, with its
 * reason, or a time to be sent at. What cannot be admitted as a whole (breaker, frozen, expired, a
 * full pool) is answered at once for all its targets, without a slot. */
#include "core/fault.h"
#include "core/histogram.h"
#include "core/plant.h"
#include "core/resolve.h"
#include "core/turns.h"
#include "core/utf8.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

static uint32_t bucket_of(struct id128 id)
{
    return (uint32_t)(num_id128_low(id) % LEAD_BUCKETS_HASH);
}

static uint16_t slot_of(const struct cluster *c, const struct lead_op *op)
{
    return (uint16_t)((size_t)((const uint8_t *)op - c->slab.memory) / SLAB_CHUNK_BYTES + 1u);
}

struct lead_op *operate_find(struct cluster *c, struct id128 id)
{
    assert(c != NULL);
    for (uint16_t s = c->buckets[bucket_of(id)]; s != LEAD_OP_NONE;) {
        struct lead_op *op = cluster_op(c, s);
        if (num_id128_equal(op->id, id)) {
            return op;
        }
        s = op->hash_next;
    }
    return NULL;
}

void operate_touch(struct cluster *c, const struct lead_op *op, int64_t at_us)
{
    assert(c != NULL && op != NULL);
    assert(op->state == LEAD_OP_OPEN || op->state == LEAD_OP_ENDED);
    assert(c->live[op->live_at].slot == slot_of(c, op));
    c->live[op->live_at].next_us = time_least(c->live[op->live_at].next_us, at_us);
    c->ops_next_us = time_least(c->ops_next_us, at_us);
}

static void live_remove(struct cluster *c, const struct lead_op *op)
{
    assert(c->live_count > 0);
    uint32_t last = --c->live_count;
    uint32_t at = op->live_at;
    c->live[at] = c->live[last];
    cluster_op(c, c->live[at].slot)->live_at = (uint16_t)at;
}

/* The slot and all that it holds go back. */
static void slot_release(struct cluster *c, struct lead_op *op)
{
    uint16_t slot = slot_of(c, op);
    uint16_t *link = &c->buckets[bucket_of(op->id)];
    while (*link != slot) {
        assert(*link != LEAD_OP_NONE);
        link = &cluster_op(c, *link)->hash_next;
    }
    *link = op->hash_next;
    schedule_done(&op->schedule, &c->slab);
    aggregate_done(&op->aggregate, &c->slab);
    if (op->late_answers != SLAB_NONE) {
        aggregate_done(slab_at(&c->slab, op->late_answers), &c->slab);
        slab_free(&c->slab, op->late_answers);
    }
    op->state = LEAD_OP_FREE;
    op->next = c->free;
    c->free = slot;
}

static bool kept_drop(struct cluster *c)
{
    if (c->kept_count == 0) {
        return false;
    }
    struct lead_op *op = cluster_op(c, c->kept_first);
    assert(op->state == LEAD_OP_KEPT);
    c->kept_first = op->next;
    c->kept_count--;
    if (c->kept_count == 0) {
        c->kept_last = LEAD_OP_NONE;
    }
    slot_release(c, op);
    return true;
}

void operate_forget_kept(struct cluster *c, int64_t now_us)
{
    assert(c != NULL);
    if (c->kept_due_us > now_us && c->kept_count <= LEAD_KEPT_MAX) {
        return;
    }
    while (c->kept_count > 0 &&
           (c->kept_count > LEAD_KEPT_MAX ||
            cluster_op(c, c->kept_first)->closed_us + LEAD_KEPT_US <= now_us)) {
        bool dropped = kept_drop(c);
        assert(dropped);
    }
    c->kept_due_us =
        c->kept_count > 0 ? cluster_op(c, c->kept_first)->closed_us + LEAD_KEPT_US : NEVER;
}

void operate_close(struct cluster *c, int64_t now_us, struct lead_op *op)
{
    assert(op->state == LEAD_OP_ENDED);
    assert(op->open == 0);
    live_remove(c, op);
    schedule_done(&op->schedule, &c->slab);
    schedule_init(&op->schedule, now_us);
    if (op->passed) {
        breaker_finished(&c->breaker);
    }
    op->state = LEAD_OP_KEPT;
    op->closed_us = now_us;
    op->next = LEAD_OP_NONE;
    if (c->kept_count++ == 0) {
        c->kept_due_us = 0; /* look */
        c->kept_first = slot_of(c, op);
    } else {
        cluster_op(c, c->kept_last)->next = slot_of(c, op);
    }
    c->kept_last = slot_of(c, op);
    operate_forget_kept(c, now_us);
}

static uint16_t slot_make(struct cluster *c)
{
    uint16_t slot = slab_run(&c->slab, lead_op_chunks(c->count));
    if (c->made++ == 0) {
        c->made_first = slot;
    } else {
        cluster_op(c, c->made_last)->after = slot;
    }
    c->made_last = slot;
    return slot;
}

/* A zeroed slot that is in no list yet; NULL: all are in flight. */
static struct lead_op *slot_take(struct cluster *c)
{
    if (c->free == LEAD_OP_NONE && c->made == LEAD_OPS_MAX) {
        kept_drop(c);
    }
    if (c->free == LEAD_OP_NONE) {
        return c->made < LEAD_OPS_MAX ? cluster_op(c, slot_make(c)) : NULL;
    }
    struct lead_op *op = cluster_op(c, c->free);
    c->free = op->next;
    uint16_t after = op->after;
    memset(op, 0, sizeof *op + c->count * sizeof op->of[0]);
    op->after = after;
    return op;
}

struct aggregate *operate_late_answers(struct cluster *c, struct lead_op *op)
{
    assert(c != NULL && op != NULL);
    if (op->late_answers == SLAB_NONE) {
        op->late_answers = slab_alloc(&c->slab);
        if (op->late_answers == SLAB_NONE) {
            return NULL;
        }
        if (!aggregate_init_wide(slab_at(&c->slab, op->late_answers), &c->slab)) {
            slab_free(&c->slab, op->late_answers);
            op->late_answers = SLAB_NONE;
            return NULL;
        }
    }
    return slab_at(&c->slab, op->late_answers);
}

/* Which members are meant: by selector, then the sample, drawn from those first that can do it and
 * are as quick as they use to be (spec 6.1: route around an impedance spike). Newcomers that sit
 * this one out (cluster_grow.c) come into a sample only when there are too few others. */
static uint64_t resolve(struct cluster *c, int64_t now_us, const struct operation *o,
                        uint32_t quota, uint64_t *ret_able)
{
    uint64_t held = grow_held(c, now_us, o);
    uint64_t mask = 0;
    uint64_t able = 0, slow = 0;
    uint32_t scores[MEMBERS_MAX] = {0};
    for (uint32_t i = 0; i < c->count; i++) {
        const struct member *m = &c->members[i];
        scores[i] = m->impedance.score;
        if (members_targeted(c, i, &o->selector)) {
            mask |= bit_of(i);
            bool capable = !o->unknown_capability &&
                           (o->selector.capabilities & ~m->capabilities) == 0 &&
                           !move_before(c, i, o->created_mesh_us);
            able |= capable && members_preferred(c, i) ? bit_of(i) & ~c->avoided & ~held : 0;
            slow |= capable && members_in_service(c, i) ? bit_of(i) & ~c->avoided : 0;
        }
    }
    *ret_able = able;
    if (quota == UINT32_MAX) {
        return mask & ~held;
    }
    if (quota >= bits_count(mask)) {
        return mask;
    }
    uint32_t fit = bits_count(able);
    if (quota == 1 && o->selector.capabilities != 0 && fit > 0) {
        return bit_of((uint32_t)resolve_lowest(able, scores)); /* spec 4.2 route_within_cluster */
    }
    if (quota <= fit) {
        return resolve_sample(able, quota, &c->rng);
    }
    slow &= ~able;
    if (quota - fit <= bits_count(slow)) {
        return able | resolve_sample(slow, quota - fit, &c->rng);
    }
    able |= slow;
    return able | resolve_sample(mask & ~able, quota - bits_count(able), &c->rng);
}

/* The answer for all targets at once, without a slot: one group, at most 64 runs. */
static void refuse_all(struct cluster *c, const struct operation *o, uint64_t mask,
                       enum reason reason, struct outbox *out)
{
    struct run runs[MEMBERS_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        if ((mask >> i & 1u) == 0) {
            continue;
        }
        if (n > 0 && runs[n - 1].last + 1u == c->first + i) {
            runs[n - 1].last++;
        } else {
            runs[n++] = (struct run){c->first + i, c->first + i};
        }
    }
    uint32_t targets = bits_count(mask);
    struct answer_group group = {.outcome = OUTCOME_REFUSED,
                                 .reason = reason,
                                 .hash = aggregate_hash(OUTCOME_REFUSED, reason, NULL, 0),
                                 .count = targets,
                                 .run_count = n < AGGREGATE_RUNS_MAX ? n : AGGREGATE_RUNS_MAX,
                                 .runs = runs};
    struct result r = {.operation_id = o->id, .final = true};
    r.aggregate.targets = targets;
    r.aggregate.outcomes[OUTCOME_REFUSED] = targets;
    r.aggregate.reasons[reason] = targets;
    r.aggregate.clusters_reached = 1;
    r.aggregate.group_count = targets > 0 ? 1 : 0;
    r.aggregate.groups = &group;
    struct msg m = {.type = MSG_RESULT, .priority = o->priority, .to = c->sector};
    m.u.result = &r;
    if (reason != REASON_NONE) {
        cluster_note(out, NOTE_OP_REFUSED, num_id128_low(o->id), reason);
    }
    cluster_send(c, out, &m);
}

/* Mesh time of the operation on the lead's clock. Before the lead knows mesh time, the operation's
 * own age is taken as zero: it came just now. */
static int64_t local_time(const struct cluster *c, int64_t now_us, const struct operation *o,
                          int64_t mesh_us)
{
    if (meshtime_ready(&c->time)) {
        return meshtime_to_local(&c->time, mesh_us);
    }
    int64_t after_us = num_clamp_i64(mesh_us - o->created_mesh_us, 0, TTL_US_MAX);
    return now_us + after_us;
}

/* NONE, or why nothing of it can be done here. */
static enum reason admission(struct cluster *c, int64_t now_us, int64_t expires_us)
{
    if (expires_us <= now_us) {
        return REASON_EXPIRED;
    }
    if (c->frozen != 0 && !PLANTED(PLANT_FROZEN_OPENS)) {
        return REASON_FROZEN;
    }
    if (!breaker_allow(&c->breaker)) {
        return REASON_BREAKER;
    }
    return REASON_NONE;
}

/* A slot with its aggregate and its schedule's chunk; NULL: a pool is full. */
static struct lead_op *slot_open(struct cluster *c, int64_t now_us, uint32_t first)
{
    struct lead_op *op = slot_take(c);
    if (op == NULL) {
        return NULL;
    }
    schedule_init(&op->schedule, now_us);
    bool ok = aggregate_init_wide(&op->aggregate, &c->slab);
    while (!ok && kept_drop(c)) {
        ok = aggregate_init_wide(&op->aggregate, &c->slab);
    }
    bool planned = ok;
    while (planned && schedule_at(&op->schedule, &c->slab, first, now_us) == SCHEDULE_FULL) {
        planned = kept_drop(c);
    }
    if (planned) {
        return op;
    }
    if (ok) {
        aggregate_done(&op->aggregate, &c->slab);
    }
    op->next = c->free;
    c->free = slot_of(c, op);
    return NULL;
}

/* One more in flight needs room: twice of what there was, up to LEAD_OPS_MAX. */
static void live_grow(struct cluster *c)
{
    uint32_t room = c->live_room > 0 ? c->live_room * 2u : LEAD_LIVE_FIRST;
    assert(room <= LEAD_OPS_MAX);
    uint32_t first = slab_run(&c->slab, room / LEAD_LIVE_FIRST);
    struct lead_live *to = slab_at(&c->slab, (uint16_t)first);
    if (c->live_room > 0) {
        memcpy(to, c->live, c->live_room * sizeof *to);
        slab_give(&c->slab, c->live_at, c->live_room / LEAD_LIVE_FIRST);
    }
    c->live = to;
    c->live_at = (uint16_t)first;
    c->live_room = room;
}

static void slot_enter(struct cluster *c, int64_t now_us, struct lead_op *op)
{
    uint16_t slot = slot_of(c, op);
    uint16_t *bucket = &c->buckets[bucket_of(op->id)];
    op->hash_next = *bucket;
    *bucket = slot;
    op->state = LEAD_OP_OPEN;
    op->live_at = (uint16_t)c->live_count;
    if (c->live_count == c->live_room) {
        live_grow(c);
    }
    c->live[c->live_count] = (struct lead_live){.next_us = now_us, .slot = slot};
    c->live_count++;
    c->ops_next_us = now_us;
}

/* One target: final at once, or planned. */
static void plan(struct cluster *c, int64_t now_us, struct lead_op *op, const struct operation *o,
                 uint32_t i)
{
    const struct member *m = &c->members[i];
    struct aggregate_target end = {.outcome = OUTCOME_UNREACHABLE};
    enum agent_state state = members_state(c, i);
    int64_t need_us = 0;
    bool warm = state == AGENT_UNKNOWN && m->uid != 0 && now_us - c->started_us < LEAD_WARM_US;
    if ((c->quarantined >> i & 1u) != 0 && !PLANTED(PLANT_QUARANTINED)) {
        end.outcome = OUTCOME_REFUSED;
        end.reason = REASON_QUARANTINED;
    } else if (move_before(c, i, o->created_mesh_us)) {
        end.outcome = OUTCOME_REFUSED;
        end.reason = REASON_MOVED;
    } else if (!warm && (state == AGENT_UNKNOWN || state == AGENT_OFFLINE)) {
        end.reason = m->uid == 0 ? REASON_NOT_JOINED : REASON_AGENT_OFFLINE;
    } else if ((o->unknown_capability || (o->selector.capabilities & ~m->capabilities) != 0) &&
               !PLANTED(PLANT_NO_CAPABILITY)) {
        end.outcome = OUTCOME_REFUSED;
        end.reason = REASON_CAPABILITY;
    } else if ((c->avoided >> i & 1u) != 0) {
        end.outcome = OUTCOME_SKIPPED;
        end.reason = REASON_ROUTED;
    } else if (op->target_us == 0) {
        if (schedule_at(&op->schedule, &c->slab, i, now_us) == SCHEDULE_SET) {
            return;
        }
        end.outcome = OUTCOME_REFUSED;
        end.reason = REASON_OVERLOAD;
    } else {
        struct prediction p = members_predict(c, i, op->weight);
        /* And time for a second send and for the others' sends, where there is some. */
        int64_t wish_us = op->hedge && op->want_ack ? hedge_room_us(c, i, &p) : 0;
        wish_us += op->early_us;
        int64_t more_us = op->target_us - now_us - p.lead_us;
        int64_t lead_us = p.lead_us + num_clamp_i64(wish_us, 0, more_us > 0 ? more_us : 0);
        enum schedule_verdict v =
            schedule_plan(&op->schedule, &c->slab, i, now_us, op->target_us, lead_us,
                          c->tuning.bucket_us > 0 ? c->tuning.bucket_us : 1, &need_us, NULL);
        if (v == SCHEDULE_SET) {
            return;
        }
        end.outcome = v == SCHEDULE_SKIP ? OUTCOME_SKIPPED : OUTCOME_REFUSED;
        end.reason = v == SCHEDULE_SKIP ? REASON_LEAD_TIME : REASON_OVERLOAD;
        end.has_lead = v == SCHEDULE_SKIP;
        end.lead_us = need_us;
    }
    flight_end(c, now_us, op, i, &end);
}

static void fill(struct cluster *c, int64_t now_us, struct lead_op *op, const struct msg *msg)
{
    const struct operation *o = msg->u.operate.operation;
    op->id = o->id;
    op->correlation = o->correlation_id;
    op->timing = (uint8_t)o->timing;
    op->priority = o->priority < PRIORITY_COUNT ? o->priority : PRIORITY_COUNT - 1;
    op->expectation = o->trinary_expectation;
    op->want_ack = o->require_ack;
    op->quorum = o->quorum;
    op->hedge = o->hedge && o->require_ack;
    memcpy(op->action, o->action, sizeof op->action);
    op->weight = o->payload_weight;
    op->requires = o->selector.capabilities;
    op->task_bytes = o->payload_bytes <= WORD_BYTES_MAX
                         ? o->payload_bytes
                         : (uint32_t)utf8_whole(o->payload, WORD_BYTES_MAX);
    if (op->task_bytes > 0) {
        memcpy(op->task, o->payload, op->task_bytes);
    }
    uint8_t hash[CONTENT_HASH];
    if (content_of(o, hash)) { /* what its agents will hold, not how it begins */
        content_ref_format(hash, op->task);
        op->task_bytes = CONTENT_REF_BYTES;
    }
    op->created_mesh_us = o->created_mesh_us;
    op->window_us = o->window_us;
    op->opened_us = now_us;
    op->progress_us = now_us + US_PER_S;
    op->passed = true;
    op->expires_us =
        local_time(c, now_us, o, o->created_mesh_us + num_clamp_i64(o->ttl_us, 0, TTL_US_MAX));
    op->deadline_mesh_us = msg->u.operate.deadline_mesh_us;
    op->deadline_us = local_time(c, now_us, o, msg->u.operate.deadline_mesh_us);
    op->ack_delay_us = schedule_ack_delay_us(c->topology, o, c->self, op->deadline_mesh_us);
    if (o->timing != TIMING_SOON && o->target_mesh_us > 0) {
        op->target_mesh_us = o->target_mesh_us;
        op->target_us = local_time(c, now_us, o, o->target_mesh_us);
        op->target_us = op->target_us > 0 ? op->target_us : 1;
        op->early_us = schedule_early_us(c->topology, o, c->self, op->target_us - now_us);
    }
    op->front_us = schedule_front_us(c->topology, o);
    op->aggregate.clusters_reached = 1;
}

/* The same again: a finished one says its result again, a running one how far it is. */
static void repeated(struct cluster *c, struct lead_op *op, struct outbox *out)
{
    cluster_note(out, NOTE_DUPLICATE, num_id128_low(op->id), 0);
    flight_result(c, op, out);
}

void operate_open(struct cluster *c, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    assert(c != NULL && msg != NULL && out != NULL);
    assert(msg->type == MSG_OPERATE);
    const struct operation *o = msg->u.operate.operation;
    if (o == NULL) {
        cluster_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        return;
    }
    struct lead_op *op = operate_find(c, o->id);
    if (op != NULL) {
        repeated(c, op, out);
        return;
    }
    uint32_t quota = UINT32_MAX;
    const struct operate *operate = &msg->u.operate;
    if (operate->targets != NULL && operate->target_count > 0) {
        uint32_t bit = (uint32_t)c->self.cluster - msg->to.cluster;
        uint32_t rank =
            operate->target_count > 1 && bit < 64 ? bits_count(msg->mask & (bit_of(bit) - 1u)) : 0;
        quota = rank < operate->target_count ? operate->targets[rank].quota : 0;
    }
    uint64_t able = 0;
    uint64_t mask = resolve(c, now_us, o, quota, &able);
    int64_t expires_us =
        local_time(c, now_us, o, o->created_mesh_us + num_clamp_i64(o->ttl_us, 0, TTL_US_MAX));
    enum reason reason = mask == 0 ? REASON_NONE : admission(c, now_us, expires_us);
    if (mask != 0 && reason == REASON_NONE) {
        bool full = c->live_count >= turns_pool_share(LEAD_OPS_MAX, o->priority);
        op = full || fault(out, FAULT_POOL_FULL) ? NULL : slot_open(c, now_us, bits_lowest(mask));
        if (op == NULL) {
            breaker_finished(&c->breaker);
            reason = REASON_OVERLOAD;
        }
    }
    if (mask == 0 || reason != REASON_NONE) {
        refuse_all(c, o, mask, reason, out);
        return;
    }
    fill(c, now_us, op, msg);
    op->targets = bits_count(mask);
    op->open = mask;
    op->spare = op->hedge ? able & ~mask : 0;
    slot_enter(c, now_us, op);
    registry_hold(c, now_us);
    cluster_note(out, NOTE_OP_OPENED, num_id128_low(op->id), op->targets);
    for (uint32_t i = 0; i < c->count; i++) {
        if ((mask >> i & 1u) != 0) {
            plan(c, now_us, op, o, i);
        }
    }
    if (op->timing == TIMING_AT && op->target_us > 0) {
        schedule_merge(&op->schedule, &c->slab, SCHEDULE_HOLD_US);
    }
    uint32_t skipped = op->aggregate.outcomes[OUTCOME_SKIPPED];
    if (skipped > 0) {
        cluster_note(out, NOTE_SKIPPED, num_id128_low(op->id), skipped);
    }
    flight_settle(c, op);
}

void operate_prepare(struct cluster *c, int64_t now_us, const struct prepare *prepare,
                     struct outbox *out)
{
    assert(c != NULL && prepare != NULL && out != NULL);
    assert(now_us >= 0);
    struct prepared answer = {
        .correlation_id = prepare->correlation_id, .level = prepare->level, .clusters_reached = 1};
    for (uint32_t i = 0; i < c->count; i++) {
        const struct member *m = &c->members[i];
        if (!members_targeted(c, i, &prepare->selector)) {
            continue;
        }
        answer.targets++;
        if (members_in_service(c, i) && (prepare->selector.capabilities & ~m->capabilities) == 0) {
            lead_add(answer.lead_counts, members_predict(c, i, prepare->payload_weight).lead_us, 1);
        }
    }
    struct msg m = {.type = MSG_PREPARED, .priority = PRIORITY_COUNT - 1, .to = c->sector};
    m.u.prepared = &answer;
    cluster_send(c, out, &m);
}
