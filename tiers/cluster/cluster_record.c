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
    text_init(&r->text, r->memory, sizeof r->memory);
}

/* The text added since `from` is the value of `name`. */
static void record_field(struct record *r, const char *name, size_t from)
{
    assert(r->count < RECORD_FIELDS_MAX);
    assert(!r->text.cut);
    size_t bytes = r->text.used - from;
    bytes = bytes < STORE_FIELD_VALUE_MAX ? bytes : STORE_FIELD_VALUE_MAX;
    r->fields[r->count++] = (struct store_field){
        .name = name, .value = r->memory + from, .value_bytes = (uint32_t)bytes};
}

void record_text(struct record *r, const char *name, const char *value)
{
    size_t from = r->text.used;
    text_add(&r->text, value);
    record_field(r, name, from);
}

void record_u64(struct record *r, const char *name, uint64_t value)
{
    size_t from = r->text.used;
    text_u64(&r->text, value);
    record_field(r, name, from);
}

void record_fixed(struct record *r, const char *name, double value, unsigned decimals)
{
    size_t from = r->text.used;
    text_fixed(&r->text, value, decimals);
    record_field(r, name, from);
}

void record_unit(struct record *r, const char *name, struct unit u)
{
    size_t from = r->text.used;
    text_unit(&r->text, u);
    record_field(r, name, from);
}

static void record_time(struct record *r, const char *name, int64_t mesh_us)
{
    size_t from = r->text.used;
    text_time(&r->text, mesh_us);
    record_field(r, name, from);
}

/* Names joined by commas, as many as fit a value, for people; the mask for a restarted lead. */
static void record_capabilities(struct record *r, const struct topology *topo, uint64_t mask)
{
    size_t from = r->text.used;
    for (uint64_t rest = mask; rest != 0; rest &= rest - 1u) {
        const char *name = topo->capabilities[bits_lowest(rest)];
        if (r->text.used - from + strlen(name) + 1u > STORE_FIELD_VALUE_MAX) {
            break;
        }
        if (r->text.used > from) {
            text_char(&r->text, ',');
        }
        text_add(&r->text, name);
    }
    record_field(r, "capabilities", from);
    from = r->text.used;
    text_hex64(&r->text, mask);
    record_field(r, "capability_mask", from);
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
        size_t from = r->text.used;
        text_hex64(&r->text, m->uid);
        record_field(r, "uid", from);
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
        record_fixed(r, "current_latency_ms", (double)imp->latency_us / US_PER_MS, 3);
    }
    if ((what & DIRTY_PROCESSING) != 0) {
        record_fixed(r, "current_processing_ms", (double)imp->processing_us / US_PER_MS, 3);
    }
    if ((what & DIRTY_QUEUE) != 0) {
        record_u64(r, "current_queue_depth", imp->queue_depth);
    }
    if ((what & DIRTY_SCORE) != 0) {
        record_u64(r, "impedance_score", imp->score);
    }
    if ((what & DIRTY_RELIABILITY) != 0) {
        record_fixed(r, "reliability_score", (double)imp->reliability_permille / 1000.0, 3);
    }
    if ((what & DIRTY_DRIFT) != 0) {
        record_fixed(r, "drift_coefficient", (double)imp->drift_permille / 1000.0, 3);
    }
    if ((what & DIRTY_BEAT) != 0) {
        if (imp->heartbeat_mesh_us > 0) {
            record_time(r, "last_heartbeat", imp->heartbeat_mesh_us);
        }
    }
    if ((what & DIRTY_LEARNT) != 0) {
        learnt_record(m, r);
    }
    if ((what & DIRTY_HISTORY) != 0) {
        learnt_history_record(m, r);
    }
    if ((what & DIRTY_CONTEXT) != 0) {
        size_t from = r->text.used;
        text_id128(&r->text, imp->context_hash);
        record_field(r, "current_context_hash", from);
        if ((c->contents.named & bit_of(i)) != 0) {
            from = r->text.used;
            text_hex(&r->text, c->contents.wanted[i], CONTENT_HASH);
            record_field(r, "context_wanted", from);
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
        size_t from = r->text.used;
        text_id128(&r->text, c->ops[c->live[k].slot - 1u].id);
        record_field(r, names[k], from);
    }
    return true;
}
