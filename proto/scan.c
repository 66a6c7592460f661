/* A reader of the wire format that knows the schema from protobuf-c's own descriptors, so schema
 * and scan cannot drift apart. Every byte is looked at once; a length is checked against what is
 * left before it is used. Tags are dense (1 to n), so a field is found by index. Singular fields
 * are ticked off in one 64-bit word, repeated ones counted.
 *
 * Bounds: depth SCAN_DEPTH_MAX, entries and lengths by field (scan.h). The number of fields in a
 * message follows from these: each singular one once, each repeated one up to its bound. The
 * recursion is bounded by the depth, which is checked before each step down. */
#include "proto/scan.h"

#include <assert.h>
#include <string.h>

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

struct scan {
    const struct scan_limit *limits;
    size_t limit_count;
};

struct cursor {
    const uint8_t *at, *end;
};

static enum codec_verdict varint_read(struct cursor *cursor, uint64_t *ret)
{
    const uint8_t *at = cursor->at;
    if (at == cursor->end) {
        return CODEC_TRUNCATED;
    }
    uint64_t value = *at & 0x7fu;
    unsigned shift = 7;
    while (*at++ & 0x80u) {
        if (at == cursor->end) {
            return CODEC_TRUNCATED;
        }
        if (shift == 63 && *at > 1) {
            return CODEC_BAD_VARINT; /* more than 64 bits */
        }
        if (*at == 0) {
            return CODEC_BAD_VARINT; /* longer than it need be */
        }
        value |= (uint64_t)(*at & 0x7fu) << shift;
        shift += 7;
    }
    cursor->at = at;
    *ret = value;
    return CODEC_OK;
}

static enum wire_type wire_type_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_BOOL:
    case PROTOBUF_C_TYPE_ENUM:
        return WIRE_VARINT;
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
    default:
        return WIRE_BYTES;
    }
}

/* Whether a varint fits the width of its field: protobuf-c would silently cut it. */
static bool varint_fits(ProtobufCType type, uint64_t value)
{
    if (type == PROTOBUF_C_TYPE_BOOL) {
        return value <= 1;
    }
    if (type == PROTOBUF_C_TYPE_UINT32 || type == PROTOBUF_C_TYPE_SINT32) {
        return value <= UINT32_MAX;
    }
    if (type == PROTOBUF_C_TYPE_INT32 || type == PROTOBUF_C_TYPE_ENUM) {
        return value <= INT32_MAX || value >= 0xffffffff80000000u;
    }
    return true;
}

static const struct scan_limit *limit_find(const struct scan *scan,
                                           const ProtobufCMessageDescriptor *message, uint32_t tag)
{
    for (size_t i = 0; i < scan->limit_count; i++) {
        if (scan->limits[i].message == message && scan->limits[i].tag == tag) {
            return &scan->limits[i];
        }
    }
    return NULL;
}

/* The defaults are asked first: the table is only searched for what exceeds them. */
static bool count_within(const struct scan *scan, const ProtobufCMessageDescriptor *message,
                         uint32_t tag, size_t count)
{
    if (count <= SCAN_COUNT_DEFAULT) {
        return true;
    }
    const struct scan_limit *limit = limit_find(scan, message, tag);
    return limit && count <= limit->count_max;
}

static bool length_within(const struct scan *scan, const ProtobufCMessageDescriptor *message,
                          uint32_t tag, size_t bytes)
{
    if (bytes <= SCAN_BYTES_DEFAULT) {
        return true;
    }
    const struct scan_limit *limit = limit_find(scan, message, tag);
    return limit && bytes <= limit->bytes_max;
}

static enum codec_verdict scan_packed(const struct scan *scan,
                                      const ProtobufCMessageDescriptor *message,
                                      const ProtobufCFieldDescriptor *field, struct cursor part)
{
    const enum wire_type wire = wire_type_of(field->type);
    size_t count = 0;
    if (part.at == part.end) {
        return CODEC_MALFORMED; /* an empty list is written as no list */
    }
    if (wire != WIRE_VARINT) {
        const size_t width = wire == WIRE_64 ? 8 : 4;
        count = (size_t)(part.end - part.at) / width;
        if ((size_t)(part.end - part.at) % width != 0) {
            return CODEC_TRUNCATED;
        }
    }
    while (wire == WIRE_VARINT && part.at < part.end) {
        uint64_t value = 0;
        const enum codec_verdict verdict = varint_read(&part, &value);
        if (verdict != CODEC_OK) {
            return verdict;
        }
        if (!varint_fits(field->type, value)) {
            return CODEC_BAD_RANGE;
        }
        count++;
    }
    return count_within(scan, message, field->id, count) ? CODEC_OK : CODEC_TOO_MANY;
}

static enum codec_verdict scan_level(const struct scan *scan,
                                     const ProtobufCMessageDescriptor *message,
                                     struct cursor cursor, unsigned depth);

/* A length-delimited field: text, bytes, a message or a packed list. */
static enum codec_verdict scan_bytes(const struct scan *scan,
                                     const ProtobufCMessageDescriptor *message,
                                     const ProtobufCFieldDescriptor *field, struct cursor *cursor,
                                     unsigned depth)
{
    uint64_t length = 0;
    const enum codec_verdict verdict = varint_read(cursor, &length);
    if (verdict != CODEC_OK) {
        return verdict;
    }
    if (length > (size_t)(cursor->end - cursor->at)) {
        return CODEC_TRUNCATED;
    }
    const struct cursor part = {cursor->at, cursor->at + length};
    cursor->at = part.end;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
        return scan_level(scan, field->descriptor, part, depth + 1);
    }
    if (field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_BYTES) {
        if (!length_within(scan, message, field->id, (size_t)length)) {
            return CODEC_TOO_BIG;
        }
        if (field->type == PROTOBUF_C_TYPE_STRING && !scan_text_valid(part.at, (size_t)length)) {
            return CODEC_BAD_TEXT;
        }
        return CODEC_OK;
    }
    return scan_packed(scan, message, field, part);
}

static enum codec_verdict scan_field(const struct scan *scan,
                                     const ProtobufCMessageDescriptor *message,
                                     const ProtobufCFieldDescriptor *field, unsigned wire,
                                     struct cursor *cursor, unsigned depth)
{
    const bool packed =
        field->label == PROTOBUF_C_LABEL_REPEATED && wire_type_of(field->type) != WIRE_BYTES;
    if (wire != (unsigned)(packed ? WIRE_BYTES : wire_type_of(field->type))) {
        return CODEC_MALFORMED;
    }
    if (wire == WIRE_BYTES) {
        return scan_bytes(scan, message, field, cursor, depth);
    }
    if (wire == WIRE_VARINT) {
        uint64_t value = 0;
        const enum codec_verdict verdict = varint_read(cursor, &value);
        if (verdict != CODEC_OK) {
            return verdict;
        }
        return varint_fits(field->type, value) ? CODEC_OK : CODEC_BAD_RANGE;
    }
    const size_t width = wire == WIRE_64 ? 8 : 4;
    if ((size_t)(cursor->end - cursor->at) < width) {
        return CODEC_TRUNCATED;
    }
    cursor->at += width;
    return CODEC_OK;
}

static enum codec_verdict scan_level(const struct scan *scan,
                                     const ProtobufCMessageDescriptor *message,
                                     struct cursor cursor, unsigned depth)
{
    if (depth > SCAN_DEPTH_MAX) {
        return CODEC_TOO_DEEP;
    }
    uint64_t seen = 0;
    uint16_t counts[SCAN_FIELDS_MAX]; /* of repeated fields; set when first seen */
    while (cursor.at < cursor.end) {
        uint64_t key = 0;
        enum codec_verdict verdict = varint_read(&cursor, &key);
        if (verdict != CODEC_OK) {
            return verdict;
        }
        const uint64_t tag = key >> 3;
        const unsigned wire = (unsigned)(key & 7u);
        if (tag == 0 || wire == 3 || wire == 4 || wire > 5) {
            return CODEC_MALFORMED;
        }
        if (tag > message->n_fields) {
            return CODEC_UNKNOWN_FIELD;
        }
        const ProtobufCFieldDescriptor *field = &message->fields[tag - 1];
        const uint64_t bit = 1ull << (tag - 1);
        if (!(seen & bit)) {
            seen |= bit;
            counts[tag - 1] = 1;
        } else {
            /* A packed list, too, comes in one piece. */
            if (field->label != PROTOBUF_C_LABEL_REPEATED ||
                wire_type_of(field->type) != WIRE_BYTES) {
                return CODEC_DUPLICATE;
            }
            if (!count_within(scan, message, field->id, ++counts[tag - 1])) {
                return CODEC_TOO_MANY;
            }
        }
        verdict = scan_field(scan, message, field, wire, &cursor, depth);
        if (verdict != CODEC_OK) {
            return verdict;
        }
    }
    return CODEC_OK;
}

enum codec_verdict scan_message(const ProtobufCMessageDescriptor *descriptor,
                                const struct scan_limit *limits, size_t limit_count,
                                const uint8_t *bytes, size_t len)
{
    assert(descriptor && (limits || limit_count == 0));
    assert(bytes || len == 0);
    assert(descriptor->n_fields <= SCAN_FIELDS_MAX);
    if (len > MESSAGE_BYTES_MAX) {
        return CODEC_TOO_BIG;
    }
    if (len == 0) {
        return CODEC_OK;
    }
    const struct scan scan = {limits, limit_count};
    return scan_level(&scan, descriptor, (struct cursor){bytes, bytes + len}, 1);
}

bool scan_descriptor_valid(const ProtobufCMessageDescriptor *descriptor)
{
    assert(descriptor);
    assert(descriptor->magic == PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC);
    if (descriptor->n_fields > SCAN_FIELDS_MAX) {
        return false;
    }
    for (unsigned i = 0; i < descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &descriptor->fields[i];
        if (field->id != i + 1 || field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
            return false;
        }
        if (field->label == PROTOBUF_C_LABEL_REPEATED && wire_type_of(field->type) != WIRE_BYTES &&
            !(field->flags & PROTOBUF_C_FIELD_FLAG_PACKED)) {
            return false;
        }
    }
    return true;
}

/* Bytes of the character at `text`, 0 when it is none. */
static size_t utf8_length(const uint8_t *text, size_t left)
{
    const uint8_t lead = text[0];
    /* What the second byte may be excludes over-long forms, surrogates and above U+10FFFF. */
    uint8_t low = 0x80, high = 0xbf;
    size_t length = 0;
    if (lead >= 0xc2 && lead <= 0xdf) {
        length = 2;
    } else if (lead >= 0xe0 && lead <= 0xef) {
        length = 3;
        low = lead == 0xe0 ? 0xa0 : 0x80;
        high = lead == 0xed ? 0x9f : 0xbf;
    } else if (lead >= 0xf0 && lead <= 0xf4) {
        length = 4;
        low = lead == 0xf0 ? 0x90 : 0x80;
        high = lead == 0xf4 ? 0x8f : 0xbf;
    }
    if (length == 0 || length > left || text[1] < low || text[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < length; i++) {
        if ((text[i] & 0xc0u) != 0x80u) {
            return 0;
        }
    }
    return length;
}

bool scan_text_valid(const uint8_t *text, size_t len)
{
    assert(text || len == 0);
    size_t at = 0;
    while (at < len) {
        if (text[at] == 0) {
            return false;
        }
        const size_t length = text[at] < 0x80 ? 1 : utf8_length(text + at, len - at);
        if (length == 0) {
            return false;
        }
        at += length;
    }
    assert(at == len);
    return true;
}
