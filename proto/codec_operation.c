/* Operations (MeshMessage), selectors, conflict details, and the messages that are about one
 * operation: cancel, prepare, relay. An operation is decoded once a process, so its capabilities
 * may be names: two meshes, or two versions of one mesh's configuration, can number them
 * differently, and what the author signed must mean the same everywhere. Places are numbers, six a
 * pattern: no parser between the wire and the selector.
 *
 * Bounds: RANGES_MAX patterns, CAPABILITIES_MAX names, PAYLOAD_BYTES_MAX; above: refused. */
#include "proto/codec_parts.h"

#include <assert.h>
#include <string.h>

#include "core/facts.h"
#include "core/note.h"
#include "core/num.h"

#define PATTERN_NUMBERS 6u
#define RELAY_HOPS_MAX  8u
#define WEIGHT_MAX      1e6
#define SCORE_MAX       1000u
#define STATE_MASK_ALL  ((1u << AGENT_STATE_COUNT) - 1u)

bool conflict_put(const struct conflict_detail *c, Mesh__ConflictDetail *ret)
{
    assert(c && ret);
    if (c->expected_bytes > TEXT_BYTES_MAX || c->received_bytes > TEXT_BYTES_MAX) {
        return false;
    }
    mesh__conflict_detail__init(ret);
    ret->type = (Mesh__ConflictType)c->type;
    ret->expected_value = value_bytes(c->expected, c->expected_bytes);
    ret->received_value = value_bytes(c->received, c->received_bytes);
    ret->context_hash = value_id(&c->context_hash);
    ret->divergence_depth = c->divergence_depth;
    ret->affects_agent_count = c->agents_affected;
    return true;
}

enum codec_verdict conflict_get(const Mesh__ConflictDetail *w, struct conflict_detail *ret)
{
    assert(w && ret);
    if (!value_enum((int)w->type, CONFLICT_TYPE_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (!value_id_get(w->context_hash, &ret->context_hash) ||
        w->expected_value.len > TEXT_BYTES_MAX || w->received_value.len > TEXT_BYTES_MAX) {
        return CODEC_BAD_RANGE;
    }
    ret->type = (enum conflict_type)w->type;
    ret->divergence_depth = w->divergence_depth;
    ret->agents_affected = w->affects_agent_count;
    ret->expected_bytes = (uint32_t)w->expected_value.len;
    ret->expected = w->expected_value.len ? w->expected_value.data : NULL;
    ret->received_bytes = (uint32_t)w->received_value.len;
    ret->received = w->received_value.len ? w->received_value.data : NULL;
    return CODEC_OK;
}

bool capabilities_put(struct put *put, uint64_t bits, size_t *ret_n, char ***ret)
{
    assert(put && ret_n && ret);
    const struct topology *topology = put->codec->topology;
    if (bits == 0) {
        *ret_n = 0;
        return true;
    }
    char **names = put_alloc(put, CAPABILITIES_MAX * sizeof(*names));
    if (!names) {
        return false;
    }
    size_t n = 0;
    for (unsigned i = 0; i < CAPABILITIES_MAX; i++) {
        if (!(bits >> i & 1u)) {
            continue;
        }
        if (i >= topology->capability_count) {
            return false;
        }
        names[n++] = (char *)(uintptr_t)topology->capabilities[i];
    }
    *ret_n = n;
    *ret = names;
    return true;
}

enum codec_verdict capabilities_get(const struct codec *codec, size_t n, char *const *names,
                                    uint64_t *ret_bits, uint32_t *ret_unknown)
{
    assert(codec && ret_bits && ret_unknown);
    assert(names || n == 0);
    if (n > CAPABILITIES_MAX) {
        return CODEC_TOO_MANY;
    }
    uint64_t bits = 0;
    uint32_t unknown = 0;
    for (size_t i = 0; i < n; i++) {
        const size_t length = strlen(names[i]);
        if (length < 1 || length >= CAPABILITY_NAME_MAX) {
            return CODEC_BAD_TEXT;
        }
        const int bit = topology_capability(codec->topology, names[i], length);
        if (bit < 0) {
            unknown++;
        } else {
            bits |= 1ull << bit;
        }
    }
    *ret_bits = bits;
    *ret_unknown = unknown;
    return CODEC_OK;
}

static bool places_put(struct put *put, const struct place_set *p, size_t *ret_n, uint32_t **ret)
{
    if (p->count > RANGES_MAX) {
        return false;
    }
    if (p->count == 0) {
        *ret_n = 0;
        return true;
    }
    uint32_t *numbers = put_alloc(put, (size_t)p->count * PATTERN_NUMBERS * sizeof(*numbers));
    if (!numbers) {
        return false;
    }
    size_t n = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        const struct pattern *pattern = &p->patterns[i];
        numbers[n++] = pattern->sector.first;
        numbers[n++] = pattern->sector.last;
        numbers[n++] = pattern->cluster.first;
        numbers[n++] = pattern->cluster.last;
        numbers[n++] = pattern->agent.first;
        numbers[n++] = pattern->agent.last;
    }
    *ret_n = n;
    *ret = numbers;
    return true;
}

static bool range_get(const uint32_t *wire, struct range *ret)
{
    if (wire[0] > UINT16_MAX || wire[1] > UINT16_MAX || wire[0] > wire[1]) {
        return false;
    }
    *ret = (struct range){.first = (uint16_t)wire[0], .last = (uint16_t)wire[1]};
    return true;
}

static enum codec_verdict places_get(const uint32_t *wire, size_t n, struct place_set *ret)
{
    if (n % PATTERN_NUMBERS != 0) {
        return CODEC_BAD_RANGE;
    }
    if (n > (size_t)RANGES_MAX * PATTERN_NUMBERS) {
        return CODEC_TOO_MANY;
    }
    *ret = (struct place_set){.count = (uint32_t)(n / PATTERN_NUMBERS)};
    for (uint32_t i = 0; i < ret->count; i++, wire += PATTERN_NUMBERS) {
        struct pattern *pattern = &ret->patterns[i];
        if (!range_get(wire, &pattern->sector) || !range_get(wire + 2, &pattern->cluster) ||
            !range_get(wire + 4, &pattern->agent)) {
            return CODEC_BAD_RANGE;
        }
    }
    return CODEC_OK;
}

/* The numbers of a selector that MeshMessage and Selector have alike. */
static bool masks_valid(uint32_t classes, uint32_t states, uint32_t score_min, uint32_t score_max)
{
    return (classes & ~CLASS_MASK_ALL) == 0 && (states & ~STATE_MASK_ALL) == 0 &&
           score_min <= SCORE_MAX && score_max <= SCORE_MAX;
}

static bool where_get(const char *wire, struct selector *ret)
{
    if (!where_valid(wire)) {
        return false;
    }
    memcpy(ret->where, wire, strlen(wire) + 1u);
    return true;
}

bool selector_put(struct put *put, const struct selector *s, Mesh__Selector *ret)
{
    assert(put && s && ret);
    mesh__selector__init(ret);
    ret->class_mask = s->class_mask;
    ret->state_mask = s->state_mask;
    ret->sample = s->sample;
    ret->score_min = s->score_min;
    ret->score_max = s->score_max;
    ret->capable_only = s->capable_only;
    ret->part_seed = s->part_seed;
    ret->part_first = s->part_first;
    ret->part_last = s->part_last;
    ret->where = (char *)(uintptr_t)s->where;
    return masks_valid(s->class_mask, s->state_mask, s->score_min, s->score_max) &&
           where_valid(s->where) &&
           places_put(put, &s->places, &ret->n_target_agent_ids, &ret->target_agent_ids) &&
           capabilities_put(put, s->capabilities, &ret->n_requires_capabilities,
                            &ret->requires_capabilities);
}

enum codec_verdict selector_get(const struct get *get, const Mesh__Selector *w,
                                struct selector *ret)
{
    assert(get && w && ret);
    enum codec_verdict verdict =
        places_get(w->target_agent_ids, w->n_target_agent_ids, &ret->places);
    if (verdict != CODEC_OK) {
        return verdict;
    }
    uint32_t unknown = 0;
    verdict = capabilities_get(get->codec, w->n_requires_capabilities, w->requires_capabilities,
                               &ret->capabilities, &unknown);
    if (verdict != CODEC_OK) {
        return verdict;
    }
    /* Nobody can have an unknown capability; dropping the name would select everybody instead. */
    if (unknown || !masks_valid(w->class_mask, w->state_mask, w->score_min, w->score_max)) {
        return CODEC_BAD_RANGE;
    }
    ret->class_mask = w->class_mask;
    ret->state_mask = w->state_mask;
    ret->sample = w->sample;
    ret->score_min = w->score_min;
    ret->score_max = w->score_max;
    ret->capable_only = w->capable_only;
    ret->part_seed = w->part_seed;
    ret->part_first = w->part_first;
    ret->part_last = w->part_last;
    return where_get(w->where, ret) ? CODEC_OK : CODEC_BAD_TEXT;
}

static bool hash_given(const uint8_t hash[32])
{
    static const uint8_t none[32];
    return memcmp(hash, none, sizeof(none)) != 0;
}

/* T is absolute; in a template, which has no id yet, a negative one is relative to admission. */
static bool target_valid(int64_t target_mesh_us, bool template)
{
    return value_time(target_mesh_us) ||
           (template && target_mesh_us < 0 && target_mesh_us >= -TTL_US_MAX);
}

static bool trace_valid(const struct trace_context *c)
{
    return num_id128_zero(c->trace) ? c->parent == 0 && c->flags == 0
                                    : c->parent != 0 && c->flags <= 1;
}

static bool operation_valid(const struct operation *o)
{
    return value_enum((int)o->routing, ROUTING_COUNT) &&
           value_enum((int)o->strategy, CASCADE_COUNT) &&
           value_enum((int)o->timing, TIMING_COUNT) && value_enum((int)o->verb, VERB_COUNT) &&
           o->priority < PRIORITY_COUNT && o->trinary_expectation >= -1 &&
           o->trinary_expectation <= 1 && value_time(o->created_mesh_us) &&
           target_valid(o->target_mesh_us, num_id128_zero(o->id)) && o->window_us >= 0 &&
           o->window_us <= TTL_US_MAX && o->ttl_us >= 0 && o->ttl_us <= TTL_US_MAX &&
           o->timeout_us >= 0 && o->timeout_us <= TTL_US_MAX &&
           value_rate(o->payload_weight, 0, WEIGHT_MAX) &&
           value_rate(o->minimum_response_rate, 0, 1) && o->payload_bytes <= PAYLOAD_BYTES_MAX &&
           value_text(o->action, ACTION_MAX - 1u) && trace_valid(&o->trace);
}

bool operation_put(struct put *put, const struct operation *o, Mesh__MeshMessage *ret)
{
    assert(put && o && ret);
    const struct selector *s = &o->selector;
    if (!operation_valid(o) || o->unknown_capability || !where_valid(s->where) ||
        !masks_valid(s->class_mask, s->state_mask, s->score_min, s->score_max)) {
        return false;
    }
    mesh__mesh_message__init(ret);
    ret->message_id = value_id(&o->id);
    ret->correlation_id = value_id(&o->correlation_id);
    ret->causation_id = value_id(&o->causation_id);
    ret->source_agent_id = unit_pack(o->source);
    ret->routing_strategy = (Mesh__RoutingStrategy)o->routing;
    ret->created_at = o->created_mesh_us;
    ret->target_arrival_time = o->target_mesh_us;
    ret->ttl_ms = value_ms(o->ttl_us);
    ret->priority = o->priority;
    ret->payload_weight = o->payload_weight;
    ret->verb = (Mesh__Verb)o->verb;
    ret->payload = value_bytes(o->payload, o->payload_bytes);
    if (hash_given(o->payload_hash)) {
        ret->payload_hash = value_bytes(o->payload_hash, sizeof(o->payload_hash));
    }
    ret->trinary_expectation = o->trinary_expectation;
    ret->action = (char *)(uintptr_t)o->action;
    ret->timing = (Mesh__Timing)o->timing;
    ret->window_ms = value_ms(o->window_us);
    ret->timeout_ms = value_ms(o->timeout_us);
    ret->minimum_response_rate = o->minimum_response_rate;
    ret->strategy = (Mesh__CascadeStrategy)o->strategy;
    ret->source_epoch = o->source_epoch;
    ret->require_answer = o->require_answer;
    ret->require_ack = o->require_ack;
    ret->allow_partial = o->allow_partial;
    ret->quorum = o->quorum;
    ret->hedge = o->hedge;
    ret->class_mask = s->class_mask;
    ret->state_mask = s->state_mask;
    ret->sample = s->sample;
    ret->score_min = s->score_min;
    ret->score_max = s->score_max;
    ret->capable_only = s->capable_only;
    ret->part_seed = s->part_seed;
    ret->part_first = s->part_first;
    ret->part_last = s->part_last;
    ret->where = (char *)(uintptr_t)s->where;
    ret->trace_id = value_id(&o->trace.trace);
    ret->trace_parent = o->trace.parent;
    ret->trace_flags = o->trace.flags;
    return places_put(put, &s->places, &ret->n_target_agent_ids, &ret->target_agent_ids) &&
           capabilities_put(put, s->capabilities, &ret->n_requires_capabilities,
                            &ret->requires_capabilities);
}

/* Ids, hash, text and lists: what is not a plain number. */
static enum codec_verdict operation_get_parts(const struct get *get, const Mesh__MeshMessage *w,
                                              struct operation *ret)
{
    uint32_t unknown = 0;
    enum codec_verdict verdict =
        places_get(w->target_agent_ids, w->n_target_agent_ids, &ret->selector.places);
    if (verdict == CODEC_OK) {
        verdict = capabilities_get(get->codec, w->n_requires_capabilities, w->requires_capabilities,
                                   &ret->selector.capabilities, &unknown);
    }
    if (verdict != CODEC_OK) {
        return verdict;
    }
    ret->unknown_capability = unknown != 0;
    const size_t action = strlen(w->action);
    if (action >= ACTION_MAX) {
        return CODEC_BAD_TEXT;
    }
    memcpy(ret->action, w->action, action + 1);
    if (!where_get(w->where, &ret->selector)) {
        return CODEC_BAD_TEXT;
    }
    if (!value_id_get(w->message_id, &ret->id) ||
        !value_id_get(w->correlation_id, &ret->correlation_id) ||
        !value_id_get(w->causation_id, &ret->causation_id) ||
        !value_id_get(w->trace_id, &ret->trace.trace) || w->trace_flags > 1 ||
        !value_unit_get(w->source_agent_id, &ret->source) ||
        (w->payload_hash.len != 0 && w->payload_hash.len != sizeof(ret->payload_hash))) {
        return CODEC_BAD_RANGE;
    }
    if (w->payload_hash.len != 0) {
        memcpy(ret->payload_hash, w->payload_hash.data, sizeof(ret->payload_hash));
        if (!hash_given(ret->payload_hash)) {
            return CODEC_BAD_RANGE;
        }
    }
    ret->payload_bytes = (uint32_t)w->payload.len;
    ret->payload = w->payload.len ? w->payload.data : NULL;
    return CODEC_OK;
}

enum codec_verdict operation_get(const struct get *get, const Mesh__MeshMessage *w,
                                 struct operation *ret)
{
    assert(get && w && ret);
    *ret = (struct operation){0};
    const enum codec_verdict verdict = operation_get_parts(get, w, ret);
    if (verdict != CODEC_OK) {
        return verdict;
    }
    if (!value_enum((int)w->routing_strategy, ROUTING_COUNT) ||
        !value_enum((int)w->strategy, CASCADE_COUNT) || !value_enum((int)w->timing, TIMING_COUNT) ||
        !value_enum((int)w->verb, VERB_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (w->priority >= PRIORITY_COUNT || w->trinary_expectation < -1 ||
        w->trinary_expectation > 1 || !value_us_get(w->ttl_ms, TTL_US_MAX, &ret->ttl_us) ||
        !value_us_get(w->window_ms, TTL_US_MAX, &ret->window_us) ||
        !value_us_get(w->timeout_ms, TTL_US_MAX, &ret->timeout_us) ||
        !masks_valid(w->class_mask, w->state_mask, w->score_min, w->score_max)) {
        return CODEC_BAD_RANGE;
    }
    ret->routing = (enum routing)w->routing_strategy;
    ret->strategy = (enum cascade_strategy)w->strategy;
    ret->timing = (enum timing)w->timing;
    ret->verb = (enum verb)w->verb;
    ret->source_epoch = w->source_epoch;
    ret->priority = (uint8_t)w->priority;
    ret->trinary_expectation = (int8_t)w->trinary_expectation;
    ret->require_answer = w->require_answer;
    ret->require_ack = w->require_ack;
    ret->allow_partial = w->allow_partial;
    ret->quorum = w->quorum;
    ret->hedge = w->hedge;
    ret->trace.parent = w->trace_parent;
    ret->trace.flags = (uint8_t)w->trace_flags;
    ret->created_mesh_us = w->created_at;
    ret->target_mesh_us = w->target_arrival_time;
    ret->payload_weight = w->payload_weight;
    ret->minimum_response_rate = w->minimum_response_rate;
    ret->selector.class_mask = w->class_mask;
    ret->selector.state_mask = w->state_mask;
    ret->selector.sample = w->sample;
    ret->selector.score_min = w->score_min;
    ret->selector.score_max = w->score_max;
    ret->selector.capable_only = w->capable_only;
    ret->selector.part_seed = w->part_seed;
    ret->selector.part_first = w->part_first;
    ret->selector.part_last = w->part_last;
    return operation_valid(ret) ? CODEC_OK : CODEC_BAD_RANGE;
}

bool cancel_put(struct put *put, const struct msg *msg)
{
    Mesh__Cancel w = MESH__CANCEL__INIT;
    w.message_id = value_id(&msg->u.cancel.operation_id);
    return put_pack(put, &w.base);
}

enum codec_verdict cancel_get(const struct get *get, const ProtobufCMessage *message,
                              struct msg *ret)
{
    (void)get;
    const Mesh__Cancel *w = (const Mesh__Cancel *)message;
    if (w->message_id.len == 0) {
        return CODEC_MISSING;
    }
    return value_id_get(w->message_id, &ret->u.cancel.operation_id) ? CODEC_OK : CODEC_BAD_RANGE;
}

bool resume_put(struct put *put, const struct msg *msg)
{
    Mesh__Resume w = MESH__RESUME__INIT;
    w.message_id = value_id(&msg->u.cancel.operation_id);
    return put_pack(put, &w.base);
}

enum codec_verdict resume_get(const struct get *get, const ProtobufCMessage *message,
                              struct msg *ret)
{
    (void)get;
    const Mesh__Resume *w = (const Mesh__Resume *)message;
    if (w->message_id.len == 0) {
        return CODEC_MISSING;
    }
    return value_id_get(w->message_id, &ret->u.cancel.operation_id) ? CODEC_OK : CODEC_BAD_RANGE;
}

bool prepare_put(struct put *put, const struct msg *msg)
{
    const struct prepare *p = msg->u.prepare;
    if (!p) {
        return false;
    }
    Mesh__Selector selector;
    Mesh__Prepare w = MESH__PREPARE__INIT;
    w.correlation_id = value_id(&p->correlation_id);
    w.level = (Mesh__Tier)p->level;
    w.deadline = p->deadline_mesh_us;
    w.selector = &selector;
    w.payload_weight = p->payload_weight;
    return selector_put(put, &p->selector, &selector) && put_pack(put, &w.base);
}

static bool level_valid(int level)
{
    return level == TIER_SECTOR || level == TIER_CLUSTER;
}

enum codec_verdict prepare_get(const struct get *get, const ProtobufCMessage *message,
                               struct msg *ret)
{
    const Mesh__Prepare *w = (const Mesh__Prepare *)message;
    if (w->correlation_id.len == 0 || !w->selector) {
        return CODEC_MISSING;
    }
    if (!level_valid((int)w->level)) {
        return CODEC_BAD_ENUM;
    }
    struct prepare *p = arena_alloc(get->arena, sizeof(*p));
    if (!p) {
        return CODEC_NO_ROOM;
    }
    ret->u.prepare = p;
    if (!value_id_get(w->correlation_id, &p->correlation_id) || !value_time(w->deadline) ||
        !value_rate(w->payload_weight, 0, WEIGHT_MAX)) {
        return CODEC_BAD_RANGE;
    }
    p->level = (enum tier)w->level;
    p->deadline_mesh_us = w->deadline;
    p->payload_weight = w->payload_weight;
    return selector_get(get, w->selector, &p->selector);
}

bool prepared_put(struct put *put, const struct msg *msg)
{
    const struct prepared *p = msg->u.prepared;
    if (!p) {
        return false;
    }
    Mesh__Prepared w = MESH__PREPARED__INIT;
    w.correlation_id = value_id(&p->correlation_id);
    w.level = (Mesh__Tier)p->level;
    w.sectors_reached = p->sectors_reached;
    w.clusters_reached = p->clusters_reached;
    w.targets = p->targets;
    return sparse_alloc(put, p->lead_counts, LEAD_BUCKETS, &w.n_lead_counts, &w.lead_counts) &&
           put_pack(put, &w.base);
}

enum codec_verdict prepared_get(const struct get *get, const ProtobufCMessage *message,
                                struct msg *ret)
{
    const Mesh__Prepared *w = (const Mesh__Prepared *)message;
    if (w->correlation_id.len == 0) {
        return CODEC_MISSING;
    }
    if (!level_valid((int)w->level)) {
        return CODEC_BAD_ENUM;
    }
    struct prepared *p = arena_alloc(get->arena, sizeof(*p));
    if (!p) {
        return CODEC_NO_ROOM;
    }
    ret->u.prepared = p;
    p->level = (enum tier)w->level;
    p->sectors_reached = w->sectors_reached;
    p->clusters_reached = w->clusters_reached;
    p->targets = w->targets;
    return value_id_get(w->correlation_id, &p->correlation_id) &&
                   sparse_get(w->lead_counts, w->n_lead_counts, p->lead_counts, LEAD_BUCKETS)
               ? CODEC_OK
               : CODEC_BAD_RANGE;
}

bool relay_put(struct put *put, const struct msg *msg)
{
    const struct relay *r = &msg->u.relay;
    if (!r->operation || r->hops > RELAY_HOPS_MAX) {
        return false;
    }
    Mesh__MeshMessage message;
    Mesh__Relay w = MESH__RELAY__INIT;
    w.hops = r->hops;
    w.message = &message;
    return operation_put(put, r->operation, &message) && put_pack(put, &w.base);
}

enum codec_verdict relay_get(const struct get *get, const ProtobufCMessage *message,
                             struct msg *ret)
{
    const Mesh__Relay *w = (const Mesh__Relay *)message;
    if (!w->message || w->message->message_id.len == 0) {
        return CODEC_MISSING;
    }
    if (w->hops > RELAY_HOPS_MAX) {
        return CODEC_BAD_RANGE;
    }
    struct operation *operation = arena_alloc(get->arena, sizeof(*operation));
    if (!operation) {
        return CODEC_NO_ROOM;
    }
    ret->u.relay = (struct relay){.hops = w->hops, .operation = operation};
    return operation_get(get, w->message, operation);
}

bool relay_ack_put(struct put *put, const struct msg *msg)
{
    const struct relay_ack *r = &msg->u.relay_ack;
    if (r->answer_bytes > ANSWER_BYTES_MAX) {
        return false;
    }
    Mesh__RelayAck w = MESH__RELAY_ACK__INIT;
    w.message_id = value_id(&r->message_id);
    w.agent_id = unit_pack(r->target);
    w.reached = r->reached;
    w.failed = r->failed;
    w.outcome = (Mesh__Outcome)r->outcome;
    w.reason = (Mesh__Reason)r->reason;
    w.answer = value_bytes(r->answer, r->answer_bytes);
    return put_pack(put, &w.base);
}

enum codec_verdict relay_ack_get(const struct get *get, const ProtobufCMessage *message,
                                 struct msg *ret)
{
    (void)get;
    const Mesh__RelayAck *w = (const Mesh__RelayAck *)message;
    struct relay_ack *r = &ret->u.relay_ack;
    if (w->message_id.len == 0) {
        return CODEC_MISSING;
    }
    if (!value_enum((int)w->outcome, OUTCOME_COUNT) || !value_enum((int)w->reason, REASON_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (!value_id_get(w->message_id, &r->message_id) || !value_unit_get(w->agent_id, &r->target) ||
        w->answer.len > ANSWER_BYTES_MAX) {
        return CODEC_BAD_RANGE;
    }
    r->reached = w->reached;
    r->failed = w->failed;
    r->outcome = (enum outcome)w->outcome;
    r->reason = (enum reason)w->reason;
    r->answer_bytes = (uint32_t)w->answer.len;
    r->answer = w->answer.len ? w->answer.data : NULL;
    return CODEC_OK;
}
