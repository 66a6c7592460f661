/* The door between the wire and the nodes. One table says, for each message type, the schema and
 * the pair of functions; encode and decode are the same three steps for all of them.
 *
 * Memory: encoding uses PUT_SCRATCH_BYTES of stack (touched only as far as a message needs it),
 * decoding the caller's arena; a decode that fails gives the arena back what it took. Nothing is
 * allocated from the heap. Bounds: MESSAGE_BYTES_MAX bytes a body, the pre-scan's (scan.h) and the
 * table of raised limits below; whatever is above is refused with its verdict. */
#include "proto/codec_parts.h"

#include <assert.h>
#include <string.h>

#include "core/content.h"
#include "core/note.h"

/* core/types.h promises that its numbers are those of mesh.proto. */
_Static_assert((int)CLASS_F_HUMAN == (int)MESH__IMPEDANCE_CLASS__CLASS_F_HUMAN, "class");
_Static_assert((int)AGENT_FROZEN == (int)MESH__OPERATIONAL_STATE__STATE_FROZEN, "state");
_Static_assert((int)OUTCOME_CANCELLED == (int)MESH__OUTCOME__OUTCOME_CANCELLED, "outcome");
_Static_assert(OUTCOME_CANCELLED + 1 == OUTCOME_COUNT, "outcome");
_Static_assert((int)REASON_TAKEOVER == (int)MESH__REASON__REASON_TAKEOVER, "reason");
_Static_assert(REASON_TAKEOVER + 1 == REASON_COUNT, "reason");
_Static_assert((int)VERB_SYNC == (int)MESH__VERB__VERB_SYNC, "verb");
_Static_assert((int)ROUTING_PIPELINE == (int)MESH__ROUTING_STRATEGY__ROUTING_PIPELINE, "routing");
_Static_assert((int)TIMING_AT == (int)MESH__TIMING__TIMING_AT, "timing");
_Static_assert((int)MODE_EMERGENCY == (int)MESH__MODE__MODE_EMERGENCY, "mode");
_Static_assert((int)CIRCUIT_HALF_OPEN == (int)MESH__CIRCUIT_STATE__CIRCUIT_HALF_OPEN, "circuit");
_Static_assert((int)CONFLICT_OTHER == (int)MESH__CONFLICT_TYPE__CONFLICT_OTHER, "conflict");
_Static_assert((int)DECISION_RETRY == (int)MESH__DECISION__DECISION_RETRY, "decision");
_Static_assert((int)TIER_CONSOLE == (int)MESH__TIER__TIER_CONSOLE, "tier");
_Static_assert((int)QUERY_KPI == (int)MESH__QUERY_KIND__QUERY_KPI, "query");
_Static_assert((int)ROW_RECORD == (int)MESH__ROW_KIND__ROW_RECORD, "row");
_Static_assert((int)COMMAND_SECOND == (int)MESH__COMMAND_KIND__COMMAND_SECOND, "command");
_Static_assert((int)REPLY_HELD == (int)MESH__REPLY_KIND__REPLY_HELD, "reply");

/* Fields that may be larger than scan.h's defaults. */
static const struct scan_limit limits[] = {
    {.message = &mesh__mesh_message__descriptor, .tag = 5, .count_max = 6 * RANGES_MAX},
    {.message = &mesh__mesh_message__descriptor, .tag = 14, .bytes_max = PAYLOAD_BYTES_MAX},
    {.message = &mesh__selector__descriptor, .tag = 1, .count_max = 6 * RANGES_MAX},
    {.message = &mesh__content__descriptor, .tag = 4, .bytes_max = CONTENT_BYTES_MAX},
    {.message = &mesh__acknowledge__descriptor, .tag = 15, .bytes_max = ANSWER_BYTES_MAX},
    {.message = &mesh__relay_ack__descriptor, .tag = 7, .bytes_max = ANSWER_BYTES_MAX},
    {.message = &mesh__answer_group__descriptor, .tag = 6, .bytes_max = ANSWER_BYTES_MAX},
    {.message = &mesh__aggregate__descriptor, .tag = 13, .count_max = 2 * ARRIVAL_BUCKETS},
    {.message = &mesh__aggregate__descriptor, .tag = 14, .count_max = 2 * ARRIVAL_BUCKETS},
    {.message = &mesh__summary__descriptor,
     .tag = 6,
     .count_max = 2 * (uint32_t)CLASS_COUNT * LEAD_BUCKETS},
    {.message = &mesh__page_row__descriptor, .tag = 6, .bytes_max = PAGE_BYTES_MAX},
    {.message = &mesh__log_entry__descriptor, .tag = 10, .bytes_max = LOG_BODY_MAX - 1},
    {.message = &mesh__rows__descriptor, .tag = 6, .count_max = PAGE_ROWS_MAX},
};
#define LIMITS_COUNT (sizeof(limits) / sizeof(limits[0]))

struct body {
    const ProtobufCMessageDescriptor *descriptor;
    bool (*put)(struct put *put, const struct msg *msg);
    enum codec_verdict (*get)(const struct get *get, const ProtobufCMessage *message,
                              struct msg *ret);
};

static const struct body bodies[MSG_TYPE_COUNT] = {
#define X(type, name) [type] = {&mesh__##name##__descriptor, name##_put, name##_get},
    BODY_LIST(X)
#undef X
};

const char *codec_verdict_name(enum codec_verdict verdict)
{
    static const char *const names[CODEC_VERDICT_COUNT] = {
        [CODEC_OK] = "ok",
        [CODEC_TOO_BIG] = "too-big",
        [CODEC_TRUNCATED] = "truncated",
        [CODEC_MALFORMED] = "malformed",
        [CODEC_BAD_VARINT] = "bad-varint",
        [CODEC_UNKNOWN_FIELD] = "unknown-field",
        [CODEC_DUPLICATE] = "duplicate",
        [CODEC_TOO_DEEP] = "too-deep",
        [CODEC_TOO_MANY] = "too-many",
        [CODEC_BAD_TEXT] = "bad-text",
        [CODEC_BAD_ENUM] = "bad-enum",
        [CODEC_BAD_RANGE] = "bad-range",
        [CODEC_MISSING] = "missing",
        [CODEC_BAD_TYPE] = "bad-type",
        [CODEC_NO_ROOM] = "no-room",
    };
    assert(verdict >= 0 && verdict < CODEC_VERDICT_COUNT);
    assert(names[verdict]);
    return names[verdict];
}

/* Depth first; a schema that nests deeper than the pre-scan allows (or in itself) is a fault, too.
 */
static const char *schema_fault(const ProtobufCMessageDescriptor *descriptor, unsigned depth)
{
    if (depth > SCAN_DEPTH_MAX || !scan_descriptor_valid(descriptor)) {
        return descriptor->name;
    }
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        const char *fault = field->type == PROTOBUF_C_TYPE_MESSAGE
                                ? schema_fault(field->descriptor, depth + 1)
                                : NULL;
        if (fault) {
            return fault;
        }
    }
    return NULL;
}

const char *codec_schema_fault(void)
{
    for (int type = MSG_HELLO; type < MSG_TYPE_COUNT; type++) {
        assert(bodies[type].descriptor && bodies[type].put && bodies[type].get);
        const char *fault = schema_fault(bodies[type].descriptor, 1);
        if (fault) {
            return fault;
        }
    }
    return NULL;
}

/* ---- record header ---- */

void codec_record_encode(const struct record_header *header, uint8_t ret[RECORD_HEADER_BYTES])
{
    assert(header && ret);
    assert(header->type >= MSG_HELLO && header->type < MSG_TYPE_COUNT);
    assert(header->priority < PRIORITY_COUNT && (header->flags & ~RECORD_FLAGS_ALL) == 0);
    ret[0] = (uint8_t)header->type;
    ret[1] = header->priority;
    le_put(ret + 2, header->flags, 2);
    le_put(ret + 4, header->body_bytes, 4);
    le_put(ret + 8, unit_pack(header->from), 8);
    le_put(ret + 16, unit_pack(header->to), 8);
    le_put(ret + 24, header->mask, 8);
    le_put(ret + 32, header->epoch, 8);
    le_put(ret + 40, (uint64_t)header->sent_us, 8);
}

enum codec_verdict codec_record_decode(const uint8_t *bytes, size_t len, struct record_header *ret)
{
    assert(bytes || len == 0);
    assert(ret);
    if (len < RECORD_HEADER_BYTES) {
        return CODEC_TRUNCATED;
    }
    if (bytes[0] < MSG_HELLO || bytes[0] >= MSG_TYPE_COUNT) {
        return CODEC_BAD_TYPE;
    }
    struct record_header header = {
        .type = (enum msg_type)bytes[0],
        .priority = bytes[1],
        .flags = (uint16_t)le_get(bytes + 2, 2),
        .body_bytes = (uint32_t)le_get(bytes + 4, 4),
        .mask = le_get(bytes + 24, 8),
        .epoch = le_get(bytes + 32, 8),
        .sent_us = (int64_t)le_get(bytes + 40, 8),
    };
    if (header.body_bytes > MESSAGE_BYTES_MAX) {
        return CODEC_TOO_BIG;
    }
    if (header.body_bytes > len - RECORD_HEADER_BYTES) {
        return CODEC_TRUNCATED;
    }
    if (header.priority >= PRIORITY_COUNT || (header.flags & ~RECORD_FLAGS_ALL) != 0 ||
        !value_unit_get(le_get(bytes + 8, 8), &header.from) ||
        !value_unit_get(le_get(bytes + 16, 8), &header.to) || !value_clock(header.sent_us)) {
        return CODEC_BAD_RANGE;
    }
    if (header.from.tier == TIER_NONE || header.to.tier == TIER_NONE) {
        return CODEC_MISSING;
    }
    *ret = header;
    return CODEC_OK;
}

void codec_record_of(const struct msg *msg, size_t body_bytes, struct record_header *ret)
{
    assert(msg && ret);
    assert(body_bytes <= MESSAGE_BYTES_MAX);
    *ret = (struct record_header){.type = msg->type,
                                  .priority = msg->priority,
                                  .body_bytes = (uint32_t)body_bytes,
                                  .from = msg->from,
                                  .to = msg->to,
                                  .mask = msg->mask,
                                  .epoch = msg->epoch,
                                  .sent_us = msg->sent_us};
}

void codec_record_to_msg(const struct record_header *header, struct msg *ret)
{
    assert(header && ret);
    assert(header->type >= MSG_HELLO && header->type < MSG_TYPE_COUNT);
    ret->type = header->type;
    ret->priority = header->priority;
    ret->from = header->from;
    ret->to = header->to;
    ret->mask = header->mask;
    ret->epoch = header->epoch;
    ret->sent_us = header->sent_us;
}

/* ---- encoding ---- */

void *put_alloc(struct put *put, size_t bytes)
{
    return arena_alloc(&put->scratch, bytes);
}

bool put_pack(struct put *put, const ProtobufCMessage *message)
{
    assert(put && message);
    assert(put->used <= put->size);
    const size_t bytes = protobuf_c_message_get_packed_size(message);
    if (bytes > put->size - put->used) {
        return false;
    }
    const size_t packed = protobuf_c_message_pack(message, put->ret + put->used);
    assert(packed == bytes);
    put->used += packed;
    return true;
}

bool put_tag_length(struct put *put, uint32_t tag, size_t length)
{
    assert(put && tag >= 1 && tag <= 15);
    assert(length <= UINT32_MAX);
    uint8_t head[1 + 5];
    size_t n = 0;
    head[n++] = (uint8_t)(tag << 3 | 2u);
    while (length >= 0x80) {
        head[n++] = (uint8_t)(length | 0x80u);
        length >>= 7;
    }
    head[n++] = (uint8_t)length;
    if (n > put->size - put->used) {
        return false;
    }
    memcpy(put->ret + put->used, head, n);
    put->used += n;
    return true;
}

bool codec_encode(const struct codec *codec, const struct msg *msg, uint8_t *ret, size_t size,
                  size_t *ret_bytes)
{
    assert(codec && codec->topology && msg && ret && ret_bytes);
    assert(msg->type >= MSG_HELLO && msg->type < MSG_TYPE_COUNT);
    _Alignas(ARENA_ALIGN) uint8_t scratch[PUT_SCRATCH_BYTES];
    struct put put = {
        .codec = codec, .ret = ret, .size = size < MESSAGE_BYTES_MAX ? size : MESSAGE_BYTES_MAX};
    arena_init(&put.scratch, scratch, sizeof(scratch));
    if (!bodies[msg->type].put(&put, msg)) {
        return false;
    }
    *ret_bytes = put.used;
    return true;
}

bool operation_encode(const struct codec *codec, const struct operation *operation, uint8_t *ret,
                      size_t size, size_t *ret_bytes)
{
    assert(codec && codec->topology && operation);
    assert(ret && ret_bytes);
    _Alignas(ARENA_ALIGN) uint8_t scratch[PUT_SCRATCH_BYTES];
    struct put put = {
        .codec = codec, .ret = ret, .size = size < MESSAGE_BYTES_MAX ? size : MESSAGE_BYTES_MAX};
    arena_init(&put.scratch, scratch, sizeof(scratch));
    Mesh__MeshMessage message;
    if (value_id_zero(&operation->id) || !operation_put(&put, operation, &message) ||
        !put_pack(&put, &message.base)) {
        return false;
    }
    *ret_bytes = put.used;
    return true;
}

/* ---- decoding ---- */

struct unpack {
    struct arena *arena;
    bool full;
};

static void *unpack_alloc(void *data, size_t bytes)
{
    struct unpack *unpack = data;
    void *at = arena_alloc(unpack->arena, bytes);
    unpack->full |= at == NULL;
    return at;
}

static void unpack_free(void *data, void *at)
{
    (void)data;
    (void)at; /* the arena is given back as a whole */
}

/* Pre-scan, then protobuf-c into the arena. */
static enum codec_verdict message_read(const ProtobufCMessageDescriptor *descriptor,
                                       const uint8_t *bytes, size_t len, struct arena *arena,
                                       const ProtobufCMessage **ret)
{
    const enum codec_verdict verdict = scan_message(descriptor, limits, LIMITS_COUNT, bytes, len);
    if (verdict != CODEC_OK) {
        return verdict;
    }
    static const uint8_t nothing;
    struct unpack unpack = {.arena = arena};
    ProtobufCAllocator allocator = {unpack_alloc, unpack_free, &unpack};
    const ProtobufCMessage *message =
        protobuf_c_message_unpack(descriptor, &allocator, len, len ? bytes : &nothing);
    if (!message) {
        return unpack.full ? CODEC_NO_ROOM : CODEC_MALFORMED;
    }
    *ret = message;
    return CODEC_OK;
}

enum codec_verdict codec_decode(const struct codec *codec, enum msg_type type, const uint8_t *bytes,
                                size_t len, struct arena *arena, struct msg *ret)
{
    assert(codec && codec->topology && arena && ret);
    assert(bytes || len == 0);
    if ((int)type < MSG_HELLO || type >= MSG_TYPE_COUNT) {
        return CODEC_BAD_TYPE;
    }
    const size_t mark = arena->used;
    const ProtobufCMessage *message = NULL;
    struct msg parsed = {.type = type};
    enum codec_verdict verdict = message_read(bodies[type].descriptor, bytes, len, arena, &message);
    if (verdict == CODEC_OK) {
        const struct get get = {codec, arena};
        verdict = bodies[type].get(&get, message, &parsed);
    }
    if (verdict != CODEC_OK) {
        arena->used = mark;
        return verdict;
    }
    ret->type = type;
    ret->u = parsed.u;
    return CODEC_OK;
}

enum codec_verdict operation_decode(const struct codec *codec, const uint8_t *bytes, size_t len,
                                    struct arena *arena, struct operation *ret)
{
    assert(codec && codec->topology && arena && ret);
    assert(bytes || len == 0);
    const size_t mark = arena->used;
    const ProtobufCMessage *message = NULL;
    struct operation operation;
    enum codec_verdict verdict =
        message_read(&mesh__mesh_message__descriptor, bytes, len, arena, &message);
    if (verdict == CODEC_OK) {
        const struct get get = {codec, arena};
        const Mesh__MeshMessage *w = (const Mesh__MeshMessage *)message;
        verdict = operation_get(&get, w, &operation);
        /* What is sealed has a name, an author, a hash, and an end. */
        if (verdict == CODEC_OK &&
            (w->message_id.len == 0 || w->payload_hash.len == 0 || w->source_agent_id == 0 ||
             operation.created_mesh_us == 0 || operation.ttl_us == 0)) {
            verdict = CODEC_MISSING;
        }
    }
    if (verdict != CODEC_OK) {
        arena->used = mark;
        return verdict;
    }
    *ret = operation;
    return CODEC_OK;
}
