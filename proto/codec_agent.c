/* What agents and their leads say to each other all the time: hello, beats, coordinate,
 * acknowledge. These are the hot messages (30,000 agents: 6,000 beats and 10,000 acknowledgements a
 * second), so nothing here needs scratch memory beyond the stack frame, and lists per target are
 * packed columns: one list of numbers is one field to scan and one allocation to unpack. */
#include "proto/codec_parts.h"

#include <assert.h>
#include <string.h>

#include "core/facts.h"
#include "core/note.h"

#define TARGETS_MAX 64u

void impedance_put(uint64_t uid, const struct impedance *i, Mesh__AgentImpedance *ret)
{
    assert(i && ret);
    mesh__agent_impedance__init(ret);
    ret->agent_id = uid;
    ret->current_latency_ms = value_ms(i->latency_us);
    ret->current_processing_ms = value_ms(i->processing_us);
    ret->current_queue_depth = i->queue_depth;
    ret->last_heartbeat = i->heartbeat_mesh_us;
    ret->impedance_score = i->score;
    ret->reliability_score = (float)i->reliability_permille / 1000.0f;
    ret->drift_coefficient = (float)i->drift_permille / 1000.0f;
    ret->operational_state = (Mesh__OperationalState)i->state;
    ret->current_context_hash = value_id(&i->context_hash);
    ret->clock_error_us = i->clock_error_us;
    ret->done = i->done;
    ret->failed = i->failed;
    ret->predicted_us = i->predicted_us;
    ret->confidence_permille = i->confidence_permille;
}

enum codec_verdict impedance_get(const Mesh__AgentImpedance *w, struct impedance *ret)
{
    assert(w && ret);
    if (!value_enum((int)w->operational_state, AGENT_STATE_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (!value_us32_get(w->current_latency_ms, &ret->latency_us) ||
        !value_us32_get(w->current_processing_ms, &ret->processing_us) ||
        !value_id_get(w->current_context_hash, &ret->context_hash) ||
        !value_permille_get(w->reliability_score, 1000, &ret->reliability_permille) ||
        !value_permille_get(w->drift_coefficient, UINT16_MAX, &ret->drift_permille) ||
        w->impedance_score > 1000 || w->confidence_permille > 1000 ||
        !value_time(w->last_heartbeat)) {
        return CODEC_BAD_RANGE;
    }
    ret->queue_depth = w->current_queue_depth;
    ret->clock_error_us = w->clock_error_us;
    ret->done = w->done;
    ret->failed = w->failed;
    ret->state = (enum agent_state)w->operational_state;
    ret->score = w->impedance_score;
    ret->predicted_us = w->predicted_us;
    ret->confidence_permille = (uint16_t)w->confidence_permille;
    ret->heartbeat_mesh_us = w->last_heartbeat;
    return CODEC_OK;
}

bool hello_put(struct put *put, const struct msg *msg)
{
    const struct hello *h = &msg->u.hello;
    Mesh__Hello w; /* its macro casts const away */
    mesh__hello__init(&w);
    w.agent_id = h->uid;
    w.incarnation = h->incarnation;
    w.agent_class = (Mesh__ImpedanceClass)h->agent_class;
    w.current_context_hash = value_id(&h->context_hash);
    w.facts = (char *)(uintptr_t)(h->facts != NULL ? h->facts : "");
    return facts_valid(w.facts) &&
           capabilities_put(put, h->capabilities, &w.n_capabilities, &w.capabilities) &&
           put_pack(put, &w.base);
}

enum codec_verdict hello_get(const struct get *get, const ProtobufCMessage *message,
                             struct msg *ret)
{
    const Mesh__Hello *w = (const Mesh__Hello *)message;
    struct hello *h = &ret->u.hello;
    uint32_t unknown = 0;
    const enum codec_verdict verdict = capabilities_get(
        get->codec, w->n_capabilities, w->capabilities, &h->capabilities, &unknown);
    if (verdict != CODEC_OK) {
        return verdict;
    }
    if (!value_enum((int)w->agent_class, CLASS_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (!value_id_get(w->current_context_hash, &h->context_hash)) {
        return CODEC_BAD_RANGE;
    }
    if (!facts_valid(w->facts)) {
        return CODEC_BAD_TEXT;
    }
    h->facts = w->facts;
    h->uid = w->agent_id;
    h->incarnation = w->incarnation;
    h->agent_class = (enum impedance_class)w->agent_class;
    return CODEC_OK;
}

bool welcome_put(struct put *put, const struct msg *msg)
{
    const struct welcome *h = &msg->u.welcome;
    Mesh__Welcome w = MESH__WELCOME__INIT;
    w.accepted = h->accepted;
    w.reason = (Mesh__Reason)h->reason;
    w.incarnation = h->incarnation;
    w.beat_us = h->beat_us;
    if (h->has_content) {
        w.content = value_bytes(h->content, sizeof(h->content));
    }
    return put_pack(put, &w.base);
}

enum codec_verdict welcome_get(const struct get *get, const ProtobufCMessage *message,
                               struct msg *ret)
{
    (void)get;
    const Mesh__Welcome *w = (const Mesh__Welcome *)message;
    if (!value_enum((int)w->reason, REASON_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    struct welcome *h = &ret->u.welcome;
    if (!value_time(w->beat_us) || (w->content.len != 0 && w->content.len != sizeof(h->content))) {
        return CODEC_BAD_RANGE;
    }
    *h = (struct welcome){.accepted = w->accepted,
                          .reason = (enum reason)w->reason,
                          .incarnation = w->incarnation,
                          .beat_us = w->beat_us,
                          .has_content = w->content.len != 0};
    if (h->has_content) {
        memcpy(h->content, w->content.data, sizeof(h->content));
    }
    return CODEC_OK;
}

bool goodbye_put(struct put *put, const struct msg *msg)
{
    (void)msg;
    const Mesh__Goodbye w = MESH__GOODBYE__INIT;
    return put_pack(put, &w.base);
}

enum codec_verdict goodbye_get(const struct get *get, const ProtobufCMessage *message,
                               struct msg *ret)
{
    (void)get;
    (void)message;
    (void)ret;
    return CODEC_OK;
}

bool heartbeat_put(struct put *put, const struct msg *msg)
{
    const struct heartbeat *h = &msg->u.heartbeat;
    Mesh__AgentImpedance impedance;
    impedance_put(h->uid, &h->impedance, &impedance);
    Mesh__Heartbeat w = MESH__HEARTBEAT__INIT;
    w.incarnation = h->incarnation;
    w.impedance = &impedance;
    return put_pack(put, &w.base);
}

enum codec_verdict heartbeat_get(const struct get *get, const ProtobufCMessage *message,
                                 struct msg *ret)
{
    (void)get;
    const Mesh__Heartbeat *w = (const Mesh__Heartbeat *)message;
    if (!w->impedance) {
        return CODEC_MISSING;
    }
    if (w->impedance->agent_class != MESH__IMPEDANCE_CLASS__CLASS_NONE ||
        w->impedance->capability_bits != 0 || w->impedance->epoch != 0) {
        return CODEC_BAD_RANGE; /* said in Hello and by the record; twice could differ */
    }
    ret->u.heartbeat.uid = w->impedance->agent_id;
    ret->u.heartbeat.incarnation = w->incarnation;
    return impedance_get(w->impedance, &ret->u.heartbeat.impedance);
}

bool beat_reply_put(struct put *put, const struct msg *msg)
{
    const struct beat_reply *b = &msg->u.beat_reply;
    Mesh__BeatReply w = MESH__BEAT_REPLY__INIT;
    w.t1_us = b->time.t1_us;
    w.t2_us = b->time.t2_us;
    w.mesh_offset_us = b->time.mesh_offset_us;
    w.error_us = b->time.error_us;
    w.mode = (Mesh__Mode)b->mode;
    w.circuit_open_mask = b->circuit_open_mask;
    w.known = b->known;
    EXCLUDED_PUT(&w, b->excluded);
    w.unix_known = b->time.unix_error_us != INT64_MAX;
    w.unix_ahead_us = w.unix_known ? b->time.unix_ahead_us : 0;
    w.unix_error_us = w.unix_known ? (uint64_t)b->time.unix_error_us : 0;
    return put_pack(put, &w.base);
}

enum codec_verdict beat_reply_get(const struct get *get, const ProtobufCMessage *message,
                                  struct msg *ret)
{
    (void)get;
    const Mesh__BeatReply *w = (const Mesh__BeatReply *)message;
    if (!value_enum((int)w->mode, MODE_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (!value_clock(w->t1_us) || !value_clock(w->t2_us) || !value_clock(w->mesh_offset_us) ||
        !(value_time(w->error_us) || w->error_us == INT64_MAX)) {
        return CODEC_BAD_RANGE;
    }
    if (!value_clock(w->unix_ahead_us) || w->unix_error_us > (uint64_t)TTL_US_MAX ||
        (!w->unix_known && (w->unix_ahead_us != 0 || w->unix_error_us != 0))) {
        return CODEC_BAD_RANGE;
    }
    ret->u.beat_reply = (struct beat_reply){
        .time = {.t1_us = w->t1_us,
                 .t2_us = w->t2_us,
                 .mesh_offset_us = w->mesh_offset_us,
                 .error_us = w->error_us,
                 .unix_ahead_us = w->unix_ahead_us,
                 .unix_error_us = w->unix_known ? (int64_t)w->unix_error_us : INT64_MAX},
        .mode = (enum mode)w->mode,
        .circuit_open_mask = w->circuit_open_mask,
        .known = w->known,
        .excluded = EXCLUDED_OF(w),
    };
    return CODEC_OK;
}

/* A column that is all zero is left out: to agents the quota, to sectors all the others. */
static size_t column_put(const uint32_t *column, uint32_t count)
{
    uint32_t any = 0;
    for (uint32_t i = 0; i < count; i++) {
        any |= column[i];
    }
    return any ? count : 0;
}

bool coordinate_put(struct put *put, const struct msg *msg)
{
    const struct operate *o = &msg->u.operate;
    if (o->target_count < 1 || o->target_count > TARGETS_MAX || !o->targets) {
        return false;
    }
    uint32_t quota[TARGETS_MAX], lead[TARGETS_MAX], processing[TARGETS_MAX];
    uint32_t confidence[TARGETS_MAX], seq[TARGETS_MAX];
    for (uint32_t i = 0; i < o->target_count; i++) {
        const struct target *t = &o->targets[i];
        quota[i] = t->quota + 1u; /* UINT32_MAX, "all", wraps to 0 */
        lead[i] = t->lead_us;
        processing[i] = t->expected_processing_us;
        confidence[i] = t->confidence_permille;
        seq[i] = t->seq;
    }
    Mesh__Coordinate w = MESH__COORDINATE__INIT;
    w.message_id = value_id(&o->operation_id);
    w.deadline = o->deadline_mesh_us;
    w.attempt = o->attempt;
    w.target_count = o->target_count;
    w.n_quota = column_put(quota, o->target_count);
    w.quota = quota;
    w.n_lead_time_us = column_put(lead, o->target_count);
    w.lead_time_us = lead;
    w.n_expected_processing_us = column_put(processing, o->target_count);
    w.expected_processing_us = processing;
    w.n_confidence_permille = column_put(confidence, o->target_count);
    w.confidence_permille = confidence;
    w.n_seq = column_put(seq, o->target_count);
    w.seq = seq;
    return put_pack(put, &w.base);
}

static bool column_fits(size_t n, uint32_t count)
{
    return n == 0 || n == count;
}

enum codec_verdict coordinate_get(const struct get *get, const ProtobufCMessage *message,
                                  struct msg *ret)
{
    const Mesh__Coordinate *w = (const Mesh__Coordinate *)message;
    struct operate *o = &ret->u.operate;
    const uint32_t count = w->target_count;
    if (w->message_id.len == 0) {
        return CODEC_MISSING;
    }
    if (!value_id_get(w->message_id, &o->operation_id) || !value_time(w->deadline) || count < 1 ||
        count > TARGETS_MAX || !column_fits(w->n_quota, count) ||
        !column_fits(w->n_lead_time_us, count) ||
        !column_fits(w->n_expected_processing_us, count) ||
        !column_fits(w->n_confidence_permille, count) || !column_fits(w->n_seq, count)) {
        return CODEC_BAD_RANGE;
    }
    struct target *targets = arena_alloc(get->arena, count * sizeof(*targets));
    if (!targets) {
        return CODEC_NO_ROOM;
    }
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t confidence = w->n_confidence_permille ? w->confidence_permille[i] : 0;
        if (confidence > 1000) {
            return CODEC_BAD_RANGE;
        }
        targets[i] = (struct target){
            .quota = (w->n_quota ? w->quota[i] : 0) - 1u,
            .lead_us = w->n_lead_time_us ? w->lead_time_us[i] : 0,
            .expected_processing_us =
                w->n_expected_processing_us ? w->expected_processing_us[i] : 0,
            .confidence_permille = (uint16_t)confidence,
            .seq = w->n_seq ? w->seq[i] : 0,
        };
    }
    o->deadline_mesh_us = w->deadline;
    o->attempt = w->attempt;
    o->target_count = count;
    o->targets = targets;
    o->operation = NULL;
    return CODEC_OK;
}

bool acknowledge_put(struct put *put, const struct msg *msg)
{
    const struct ack *a = &msg->u.ack;
    if (a->answer_bytes > ANSWER_BYTES_MAX || !value_enum((int)a->outcome, OUTCOME_COUNT)) {
        return false;
    }
    Mesh__ConflictDetail conflict;
    Mesh__Acknowledge w = MESH__ACKNOWLEDGE__INIT;
    w.message_id = value_id(&a->operation_id);
    w.trinary_state = outcome_trinary(a->outcome);
    w.actual_arrival_time = a->arrival_mesh_us;
    w.processing_time_ms = value_ms(a->processing_us);
    w.outcome = (Mesh__Outcome)a->outcome;
    w.reason = (Mesh__Reason)a->reason;
    w.late = a->late;
    w.seq = a->seq;
    w.echo_sent_us = a->echo_sent_us;
    w.received = a->received_mesh_us;
    w.release = a->release_mesh_us;
    w.queue_depth = a->queue_depth;
    w.clock_error_us = a->clock_error_us;
    w.answer = value_bytes(a->answer, a->answer_bytes);
    if (a->conflict) {
        if (!conflict_put(a->conflict, &conflict)) {
            return false;
        }
        w.conflict_detail = &conflict;
    }
    return put_pack(put, &w.base);
}

enum codec_verdict acknowledge_get(const struct get *get, const ProtobufCMessage *message,
                                   struct msg *ret)
{
    const Mesh__Acknowledge *w = (const Mesh__Acknowledge *)message;
    struct ack *a = &ret->u.ack;
    if (w->message_id.len == 0) {
        return CODEC_MISSING;
    }
    if (!value_enum((int)w->outcome, OUTCOME_COUNT) || !value_enum((int)w->reason, REASON_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (!value_id_get(w->message_id, &a->operation_id) ||
        w->trinary_state != (int)outcome_trinary((enum outcome)w->outcome) ||
        !value_time(w->actual_arrival_time) || !value_time(w->received) ||
        !value_time(w->release) || !value_clock(w->echo_sent_us) ||
        !value_us32_get(w->processing_time_ms, &a->processing_us) ||
        w->answer.len > ANSWER_BYTES_MAX) {
        return CODEC_BAD_RANGE;
    }
    a->outcome = (enum outcome)w->outcome;
    a->reason = (enum reason)w->reason;
    a->late = w->late;
    a->seq = w->seq;
    a->echo_sent_us = w->echo_sent_us;
    a->received_mesh_us = w->received;
    a->arrival_mesh_us = w->actual_arrival_time;
    a->release_mesh_us = w->release;
    a->queue_depth = w->queue_depth;
    a->clock_error_us = w->clock_error_us;
    a->answer_bytes = (uint32_t)w->answer.len;
    a->answer = w->answer.len ? w->answer.data : NULL;
    a->conflict = NULL;
    if (w->conflict_detail) {
        struct conflict_detail *conflict = arena_alloc(get->arena, sizeof(*conflict));
        if (!conflict) {
            return CODEC_NO_ROOM;
        }
        a->conflict = conflict;
        return conflict_get(w->conflict_detail, conflict);
    }
    return CODEC_OK;
}

bool host_report_put(struct put *put, const struct msg *msg)
{
    const struct host_report *h = &msg->u.host_report;
    Mesh__HostReport w = MESH__HOST_REPORT__INIT;
    w.process_start_us = h->process_start_us;
    w.agents_hosted = h->agents_hosted;
    w.agents_running = h->agents_running;
    w.restarts = h->restarts;
    w.loop_lag_us = h->loop_lag_us;
    return put_pack(put, &w.base);
}

enum codec_verdict host_report_get(const struct get *get, const ProtobufCMessage *message,
                                   struct msg *ret)
{
    (void)get;
    const Mesh__HostReport *w = (const Mesh__HostReport *)message;
    ret->u.host_report = (struct host_report){.process_start_us = w->process_start_us,
                                              .agents_hosted = w->agents_hosted,
                                              .agents_running = w->agents_running,
                                              .restarts = w->restarts,
                                              .loop_lag_us = w->loop_lag_us};
    return CODEC_OK;
}

bool heal_put(struct put *put, const struct msg *msg)
{
    Mesh__Heal w = MESH__HEAL__INIT;
    w.target_id = unit_pack(msg->u.heal.target);
    return put_pack(put, &w.base);
}

enum codec_verdict heal_get(const struct get *get, const ProtobufCMessage *message, struct msg *ret)
{
    (void)get;
    const Mesh__Heal *w = (const Mesh__Heal *)message;
    if (!value_unit_get(w->target_id, &ret->u.heal.target)) {
        return CODEC_BAD_RANGE;
    }
    return ret->u.heal.target.tier == TIER_NONE ? CODEC_MISSING : CODEC_OK;
}
