/* What the registry's records say (spec 2.3, 4.2; docs/REGISTRY.md): values as text that a person
 * can read, 64 bytes at most. A member's record is compared with what was written of it, field by
 * field, so that a beat writes its time and what else is new, and nothing that is known already. */
#include "tiers/cluster/cluster_record.h"
#include "core/histogram.h"
#include "tiers/cluster/cluster_learnt.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

void record_init(struct record *r)
{
    r->count = 0;
    r->used = 0;
}

/* Where the next value goes: room for STORE_FIELD_VALUE_MAX bytes and a NUL. */
static char *value_room(struct record *r)
{
    assert(r->count < RECORD_FIELDS_MAX);
    assert(r->used + STORE_FIELD_VALUE_MAX < sizeof r->memory);
    return r->memory + r->used;
}

/* The `bytes` at value_room() are the value of `name`. */
static void value_done(struct record *r, const char *name, size_t bytes)
{
    assert(bytes <= STORE_FIELD_VALUE_MAX);
    r->fields[r->count++] = (struct store_field){
        .name = name, .value = r->memory + r->used, .value_bytes = (uint32_t)bytes};
    r->used += (uint32_t)bytes;
}

void record_text(struct record *r, const char *name, const char *value)
{
    size_t bytes = strlen(value);
    bytes = bytes < STORE_FIELD_VALUE_MAX ? bytes : STORE_FIELD_VALUE_MAX;
    memcpy(value_room(r), value, bytes);
    value_done(r, name, bytes);
}

void record_u64(struct record *r, const char *name, uint64_t value)
{
    value_done(r, name, num_format_u64(value, value_room(r)));
}

void record_fixed(struct record *r, const char *name, double value, unsigned decimals)
{
    struct text t;
    text_init(&t, value_room(r), STORE_FIELD_VALUE_MAX + 1u);
    text_fixed(&t, value, decimals);
    value_done(r, name, t.used);
}

/* Thousandths with a point: milliseconds from microseconds, shares from permille. */
static void record_thousandths(struct record *r, const char *name, uint64_t value)
{
    value_done(r, name, num_format_scaled(value, 3, value_room(r)));
}

void record_unit(struct record *r, const char *name, struct unit u)
{
    value_done(r, name, unit_format(u, value_room(r)));
}

void record_hex(struct record *r, const char *name, const uint8_t *bytes, size_t count)
{
    assert(2 * count <= STORE_FIELD_VALUE_MAX);
    num_format_hex(bytes, count, value_room(r));
    value_done(r, name, 2 * count);
}

static void record_hex64(struct record *r, const char *name, uint64_t value)
{
    num_format_hex64(value, value_room(r));
    value_done(r, name, HEX_TEXT_MAX - 1u);
}

/* ISO 8601 in UTC with milliseconds: later times sort behind earlier ones. */
static void record_time(struct record *r, const char *name, int64_t mesh_us)
{
    value_done(r, name, text_time_format(mesh_us, value_room(r)));
}

/* Names joined by commas, as many as fit a value, for people; the mask for a restarted lead. */
static void record_capabilities(struct record *r, const struct topology *topo, uint64_t mask)
{
    struct text t;
    text_init(&t, value_room(r), STORE_FIELD_VALUE_MAX + 1u);
    for (uint64_t rest = mask; rest != 0; rest &= rest - 1u) {
        const char *name = topo->capabilities[bits_lowest(rest)];
        if (t.used + strlen(name) + 1u > STORE_FIELD_VALUE_MAX) {
            break;
        }
        if (t.used > 0) {
            text_char(&t, ',');
        }
        text_add(&t, name);
    }
    value_done(r, "capabilities", t.used);
    record_hex64(r, "capability_mask", mask);
}

void record_member(const struct cluster *c, uint32_t i, uint32_t what, struct record *r)
{
    assert(c != NULL && r != NULL);
    assert(i < c->count);
    const struct member *m = &c->members[i];
    const struct impedance *imp = &m->impedance;
    struct unit self = cluster_agent(c, i);
    if ((what & DIRTY_IDENTITY) != 0) {
        record_unit(r, "agent_id", self);
        record_hex64(r, "uid", m->uid);
        record_unit(r, "place", self);
        move_record(c, i, r);
        record_text(r, "agent_class", class_name((enum impedance_class)m->agent_class));
        record_unit(r, "sector_id", c->sector);
        record_unit(r, "cluster_id", c->self);
        record_u64(r, "unit_epoch", m->epoch);
        record_capabilities(r, c->topology, m->capabilities);
        facts_record(c, i, r);
    }
    if ((what & DIRTY_STATE) != 0) {
        record_text(r, "operational_state", agent_state_spec(members_state(c, i)));
    }
    if ((what & DIRTY_LATENCY) != 0) {
        record_thousandths(r, "current_latency_ms", imp->latency_us);
    }
    if ((what & DIRTY_PROCESSING) != 0) {
        record_thousandths(r, "current_processing_ms", imp->processing_us);
    }
    if ((what & DIRTY_QUEUE) != 0) {
        record_u64(r, "current_queue_depth", imp->queue_depth);
    }
    if ((what & DIRTY_SCORE) != 0) {
        record_u64(r, "impedance_score", imp->score);
    }
    if ((what & DIRTY_RELIABILITY) != 0) {
        record_thousandths(r, "reliability_score", imp->reliability_permille);
    }
    if ((what & DIRTY_DRIFT) != 0) {
        record_thousandths(r, "drift_coefficient", imp->drift_permille);
    }
    if ((what & DIRTY_BEAT) != 0 && imp->heartbeat_mesh_us > 0) {
        record_time(r, "last_heartbeat", imp->heartbeat_mesh_us);
    }
    if ((what & DIRTY_LEARNT) != 0) {
        learnt_record(m, r);
    }
    if ((what & DIRTY_HISTORY) != 0) {
        learnt_history_record(m, r);
    }
    if ((what & DIRTY_CONTEXT) != 0) {
        record_hex(r, "current_context_hash", imp->context_hash.bytes,
                   sizeof imp->context_hash.bytes);
        if ((c->contents.named & bit_of(i)) != 0) {
            record_hex(r, "context_wanted", c->contents.wanted[i], CONTENT_HASH);
        }
    }
}

uint32_t record_diff(const struct cluster *c, uint32_t i)
{
    assert(c != NULL);
    assert(i < c->count);
    const struct written *w = &c->members[i].written;
    const struct impedance *now = &c->members[i].impedance;
    const char *state = agent_state_spec(members_state(c, i));
    uint32_t what = 0;
    what |= strcmp(state, agent_state_spec((enum agent_state)w->state)) != 0 ? DIRTY_STATE : 0u;
    what |= now->latency_us != w->latency_us ? DIRTY_LATENCY : 0u;
    what |= now->processing_us != w->processing_us ? DIRTY_PROCESSING : 0u;
    what |= now->queue_depth != w->queue_depth ? DIRTY_QUEUE : 0u;
    what |= now->score != w->score ? DIRTY_SCORE : 0u;
    what |= now->reliability_permille != w->reliability_permille ? DIRTY_RELIABILITY : 0u;
    what |= now->drift_permille != w->drift_permille ? DIRTY_DRIFT : 0u;
    what |= now->heartbeat_mesh_us != w->heartbeat_mesh_us ? DIRTY_BEAT : 0u;
    what |= !num_id128_equal(now->context_hash, w->context_hash) ? DIRTY_CONTEXT : 0u;
    const struct member *m = &c->members[i];
    what |= learnt_differs(c, m) ? DIRTY_LEARNT : 0u;
    what |= m->history.minute != w->history_minute || m->history.spikes != w->spikes ? DIRTY_HISTORY
                                                                                     : 0u;
    return what;
}

void record_written(struct cluster *c, uint32_t i, uint32_t what)
{
    assert(c != NULL);
    assert(i < c->count);
    const struct member *m = &c->members[i];
    const struct impedance *now = &m->impedance;
    struct written was = m->written;
    bool learnt = (what & DIRTY_LEARNT) != 0;
    c->members[i].written =
        (struct written){.learnt_us = learnt ? m->predictor.last_us : was.learnt_us,
                         .learnt_mesh_us = learnt ? now->heartbeat_mesh_us : was.learnt_mesh_us,
                         .history_minute = m->history.minute,
                         .spikes = m->history.spikes,
                         .context_hash = now->context_hash,
                         .heartbeat_mesh_us = now->heartbeat_mesh_us,
                         .latency_us = now->latency_us,
                         .processing_us = now->processing_us,
                         .queue_depth = now->queue_depth,
                         .score = now->score,
                         .reliability_permille = now->reliability_permille,
                         .drift_permille = now->drift_permille,
                         .state = (uint8_t)members_state(c, i)};
}

void record_summary(const struct summary *s, struct record *r)
{
    assert(s != NULL && r != NULL);
    uint32_t merged[LEAD_BUCKETS] = {0};
    for (int k = CLASS_NONE; k < CLASS_COUNT; k++) {
        if (s->class_active[k] == 0) {
            continue;
        }
        histogram_merge(merged, s->lead_counts[k], LEAD_BUCKETS);
    }
    double mean = s->active > 0 ? (double)s->score_sum / (double)s->active : 0.0;
    record_u64(r, "agent_count", s->agents);
    record_u64(r, "active_count", s->active);
    record_fixed(r, "mean_impedance", mean, 1);
    record_fixed(r, "p95_impedance", (double)lead_quantile(merged, 0.95) / US_PER_MS, 1);
    record_time(r, "last_updated", s->updated_mesh_us);
}

/* The first operations under way are named by their ids. */
bool record_snapshot(const struct cluster *c, struct record *r)
{
    assert(c != NULL && r != NULL);
    static const char *const names[] = {"operation_1", "operation_2", "operation_3", "operation_4"};
    uint32_t frozen = 0, queued = 0;
    const struct freeze *f = freeze_snapshot(c, &frozen, &queued);
    if (f == NULL) {
        return false;
    }
    record_text(r, "snapshot", f->preserve_state_to);
    record_unit(r, "scope", f->scope);
    record_time(r, "frozen_at", f->at_mesh_us);
    record_u64(r, "agents_frozen", frozen);
    record_u64(r, "agents_queued", queued);
    record_u64(r, "operations", c->live_count);
    for (uint32_t k = 0; k < c->live_count && k < sizeof(names) / sizeof(names[0]); k++) {
        const struct id128 *id = &cluster_op(c, c->live[k].slot)->id;
        record_hex(r, names[k], id->bytes, sizeof id->bytes);
    }
    return true;
}
