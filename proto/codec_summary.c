/* Summaries of clusters, sectors and the mesh. One struct in core, three messages of the spec on
 * the wire: each tier adds its part to what it merged from below, and a part that says nothing is
 * left out. Histograms are sparse: a cluster of 30 agents fills a few buckets of 336. */
#include "proto/codec_parts.h"

#include <assert.h>
#include <string.h>

#include "core/note.h"

#define LEADS_ALL ((size_t)CLASS_COUNT * LEAD_BUCKETS)

static void cluster_part_put(const struct summary *s, Mesh__ClusterImpedanceSummary *ret)
{
    mesh__cluster_impedance_summary__init(ret);
    ret->agent_count = s->agents;
    ret->active_count = s->active;
    ret->impedance_sum_us = s->impedance_sum_us;
    ret->score_sum = s->score_sum;
    ret->slowest_agent = unit_pack(s->slowest);
    ret->fastest_agent = unit_pack(s->fastest);
    ret->slowest_score = s->slowest_score;
    ret->fastest_score = s->fastest_score;
    ret->last_updated = s->updated_mesh_us;
    ret->suspect_count = s->suspect;
    ret->offline_count = s->offline;
    ret->quarantined_count = s->quarantined;
    ret->degraded_count = s->degraded;
    ret->unstable_count = s->unstable;
    ret->conflicts_hour = s->conflicts_hour;
    ret->frozen_count = s->frozen;
    ret->frozen_late_count = s->frozen_late;
    ret->astray_count = s->astray;
    ret->newcomer_count = s->newcomers;
    ret->entering_count = s->entering;
    ret->newcomer_conflicts = s->newcomer_conflicts;
    ret->leaving_count = s->leaving;
    ret->synced_count = s->synced;
    ret->synced_far_count = s->synced_far;
    ret->synced_from = unit_pack(s->synced_from);
    ret->synced_far_from = unit_pack(s->synced_far_from);
}

/* Whether there is anything to say. */
static bool sector_part_put(const struct summary *s, Mesh__SectorImpedanceSummary *ret)
{
    mesh__sector_impedance_summary__init(ret);
    ret->cluster_count = s->clusters;
    ret->clusters_up = s->clusters_up;
    ret->healthiest_cluster = unit_pack(s->healthiest);
    ret->sickest_cluster = unit_pack(s->sickest);
    ret->healthiest_mean_us = s->healthiest_mean_us;
    ret->sickest_mean_us = s->sickest_mean_us;
    return (s->clusters | s->clusters_up | s->healthiest_mean_us | s->sickest_mean_us) != 0 ||
           (ret->healthiest_cluster | ret->sickest_cluster) != 0;
}

bool summary_put(struct put *put, const struct summary *s, Mesh__Summary *ret)
{
    assert(put && s && ret);
    Mesh__ClusterImpedanceSummary *cluster = put_alloc(put, sizeof(*cluster));
    Mesh__SectorImpedanceSummary *sector = put_alloc(put, sizeof(*sector));
    Mesh__GlobalImpedanceStats *global = put_alloc(put, sizeof(*global));
    if (!cluster || !sector || !global) {
        return false;
    }
    mesh__summary__init(ret);
    cluster_part_put(s, cluster);
    ret->cluster = cluster;
    if (sector_part_put(s, sector)) {
        ret->sector = sector;
    }
    mesh__global_impedance_stats__init(global);
    global->sectors_healthy = s->sectors_healthy;
    global->sectors_degraded = s->sectors_degraded;
    if (s->sectors_healthy || s->sectors_degraded) {
        ret->global = global;
    }
    ret->circuit = (Mesh__CircuitState)s->circuit;
    ret->circuits_open = s->circuits_open;
    ret->leads_lost = s->leads_lost;
    ret->store_up = s->store_up;
    ret->durable_away = s->durable_away;
    ret->operations = s->operations;
    return sparse_alloc(put, s->class_active, CLASS_COUNT, &ret->n_class_active,
                        &ret->class_active) &&
           sparse_alloc(put, s->capability_active, CAPABILITIES_MAX, &ret->n_capability_active,
                        &ret->capability_active) &&
           sparse_alloc(put, &s->lead_counts[0][0], LEADS_ALL, &ret->n_lead_counts,
                        &ret->lead_counts);
}

static bool cluster_part_get(const Mesh__ClusterImpedanceSummary *w, struct summary *ret)
{
    if (!value_unit_get(w->slowest_agent, &ret->slowest) ||
        !value_unit_get(w->fastest_agent, &ret->fastest) ||
        !value_unit_get(w->synced_from, &ret->synced_from) ||
        !value_unit_get(w->synced_far_from, &ret->synced_far_from) ||
        !value_time(w->last_updated)) {
        return false;
    }
    ret->agents = w->agent_count;
    ret->active = w->active_count;
    ret->impedance_sum_us = w->impedance_sum_us;
    ret->score_sum = w->score_sum;
    ret->slowest_score = w->slowest_score;
    ret->fastest_score = w->fastest_score;
    ret->updated_mesh_us = w->last_updated;
    ret->suspect = w->suspect_count;
    ret->offline = w->offline_count;
    ret->quarantined = w->quarantined_count;
    ret->frozen = w->frozen_count;
    ret->frozen_late = w->frozen_late_count;
    ret->astray = w->astray_count;
    ret->newcomers = w->newcomer_count;
    ret->entering = w->entering_count;
    ret->newcomer_conflicts = w->newcomer_conflicts;
    ret->leaving = w->leaving_count;
    ret->synced = w->synced_count;
    ret->synced_far = w->synced_far_count;
    ret->degraded = w->degraded_count;
    ret->unstable = w->unstable_count;
    ret->conflicts_hour = w->conflicts_hour;
    return true;
}

static bool sector_part_get(const Mesh__SectorImpedanceSummary *w, struct summary *ret)
{
    if (!value_unit_get(w->healthiest_cluster, &ret->healthiest) ||
        !value_unit_get(w->sickest_cluster, &ret->sickest)) {
        return false;
    }
    ret->clusters = w->cluster_count;
    ret->clusters_up = w->clusters_up;
    ret->healthiest_mean_us = w->healthiest_mean_us;
    ret->sickest_mean_us = w->sickest_mean_us;
    return true;
}

enum codec_verdict summary_get(const Mesh__Summary *w, struct summary *ret)
{
    assert(w && ret);
    if (!w->cluster) {
        return CODEC_MISSING;
    }
    if (!value_enum((int)w->circuit, CIRCUIT_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    memset(ret, 0, sizeof(*ret));
    if (!cluster_part_get(w->cluster, ret) || (w->sector && !sector_part_get(w->sector, ret)) ||
        !sparse_get(w->class_active, w->n_class_active, ret->class_active, CLASS_COUNT) ||
        !sparse_get(w->capability_active, w->n_capability_active, ret->capability_active,
                    CAPABILITIES_MAX) ||
        !sparse_get(w->lead_counts, w->n_lead_counts, &ret->lead_counts[0][0], LEADS_ALL)) {
        return CODEC_BAD_RANGE;
    }
    if (w->global) {
        ret->sectors_healthy = w->global->sectors_healthy;
        ret->sectors_degraded = w->global->sectors_degraded;
    }
    ret->circuit = (enum circuit)w->circuit;
    ret->circuits_open = w->circuits_open;
    ret->leads_lost = w->leads_lost;
    ret->store_up = w->store_up;
    ret->durable_away = w->durable_away;
    ret->operations = w->operations;
    return CODEC_OK;
}

bool beat_put(struct put *put, const struct msg *msg)
{
    if (!msg->u.beat) {
        return false;
    }
    Mesh__Summary summary;
    Mesh__Beat w = MESH__BEAT__INIT;
    if (msg->u.beat->has_summary) {
        if (!summary_put(put, &msg->u.beat->summary, &summary)) {
            return false;
        }
        w.summary = &summary;
    }
    order_head_put(&msg->u.beat->orders, &w);
    w.orders_missed = msg->u.beat->orders_missed;
    w.mode = (Mesh__Mode)msg->u.beat->mode;
    return put_pack(put, &w.base);
}

enum codec_verdict beat_get(const struct get *get, const ProtobufCMessage *message, struct msg *ret)
{
    const Mesh__Beat *w = (const Mesh__Beat *)message;
    struct beat *beat = arena_alloc(get->arena, sizeof(*beat));
    if (!beat) {
        return CODEC_NO_ROOM;
    }
    ret->u.beat = beat;
    if (!order_head_get(w, &beat->orders) || !value_enum((int)w->mode, MODE_COUNT)) {
        return CODEC_BAD_RANGE;
    }
    beat->mode = (enum mode)w->mode;
    beat->orders_missed = w->orders_missed;
    beat->has_summary = w->summary != NULL;
    if (!w->summary) {
        memset(&beat->summary, 0, sizeof(beat->summary));
        return CODEC_OK;
    }
    return summary_get(w->summary, &beat->summary);
}

bool circuit_put(struct put *put, const struct msg *msg)
{
    Mesh__Circuit w = MESH__CIRCUIT__INIT;
    w.action = (Mesh__CircuitState)msg->u.circuit.action;
    w.target_id = unit_pack(msg->u.circuit.target);
    w.reason = (Mesh__Reason)msg->u.circuit.reason;
    return put_pack(put, &w.base);
}

enum codec_verdict circuit_get(const struct get *get, const ProtobufCMessage *message,
                               struct msg *ret)
{
    (void)get;
    const Mesh__Circuit *w = (const Mesh__Circuit *)message;
    struct circuit_msg *c = &ret->u.circuit;
    if (!value_enum((int)w->action, CIRCUIT_COUNT) || !value_enum((int)w->reason, REASON_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (!value_unit_get(w->target_id, &c->target)) {
        return CODEC_BAD_RANGE;
    }
    if (c->target.tier == TIER_NONE) {
        return CODEC_MISSING;
    }
    c->action = (enum circuit)w->action;
    c->reason = (enum reason)w->reason;
    return CODEC_OK;
}

static enum codec_verdict scope_get(uint64_t target_id, const char *preserve_state_to,
                                    int64_t at_mesh_us, struct freeze *ret)
{
    const size_t length = strlen(preserve_state_to);
    if (length >= sizeof(ret->preserve_state_to)) {
        return CODEC_BAD_TEXT;
    }
    if (!value_unit_get(target_id, &ret->scope)) {
        return CODEC_BAD_RANGE;
    }
    if (ret->scope.tier == TIER_NONE) {
        return CODEC_MISSING;
    }
    ret->at_mesh_us = at_mesh_us;
    memset(ret->preserve_state_to, 0, sizeof(ret->preserve_state_to));
    memcpy(ret->preserve_state_to, preserve_state_to, length);
    return CODEC_OK;
}

bool freeze_put(struct put *put, const struct msg *msg)
{
    const struct freeze *f = &msg->u.freeze;
    Mesh__Freeze w;
    mesh__freeze__init(&w);
    w.target_id = unit_pack(f->scope);
    w.preserve_state_to = (char *)(uintptr_t)f->preserve_state_to;
    w.at = f->at_mesh_us;
    return value_text(f->preserve_state_to, sizeof(f->preserve_state_to) - 1) &&
           put_pack(put, &w.base);
}

enum codec_verdict freeze_get(const struct get *get, const ProtobufCMessage *message,
                              struct msg *ret)
{
    (void)get;
    const Mesh__Freeze *w = (const Mesh__Freeze *)message;
    return scope_get(w->target_id, w->preserve_state_to, w->at, &ret->u.freeze);
}

bool thaw_put(struct put *put, const struct msg *msg)
{
    const struct freeze *f = &msg->u.freeze;
    Mesh__Thaw w;
    mesh__thaw__init(&w);
    w.target_id = unit_pack(f->scope);
    w.preserve_state_to = (char *)(uintptr_t)f->preserve_state_to;
    w.at = f->at_mesh_us;
    return value_text(f->preserve_state_to, sizeof(f->preserve_state_to) - 1) &&
           put_pack(put, &w.base);
}

enum codec_verdict thaw_get(const struct get *get, const ProtobufCMessage *message, struct msg *ret)
{
    (void)get;
    const Mesh__Thaw *w = (const Mesh__Thaw *)message;
    return scope_get(w->target_id, w->preserve_state_to, w->at, &ret->u.freeze);
}
