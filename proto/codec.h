/* struct msg (core/msg.h) <-> bytes. Protobuf structs stop at this door: what comes out of it is a
 * plain, range-checked struct, what goes in is what a node gave to out_send().
 *
 * Three forms: the record header (48 bytes, fixed, outside of protobuf), the body of one message
 * (a protobuf of proto/mesh.proto, chosen by the header's type), and the operation (MeshMessage),
 * which is encoded once, sealed by its author and travels unchanged. A frame (docs/SECURITY.md)
 * holds many records.
 *
 * Decoding is in three steps: a pre-scan over the raw bytes that allocates nothing and refuses
 * whatever is not exactly of the schema (scan.h), protobuf-c into the caller's arena, and range
 * checks into the plain struct. No step allocates from the heap, logs, or keeps state. */
#ifndef PROTO_CODEC_H
#define PROTO_CODEC_H

#include "core/msg.h"
#include "core/operation.h"
#include "core/topology.h"
#include "proto/arena.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct codec {
    const struct topology *topology; /* capability names <-> bits; outlives the codec */
};

enum codec_verdict {
    CODEC_OK,
    CODEC_TOO_BIG,       /* more than MESSAGE_BYTES_MAX, or a field beyond its own bound */
    CODEC_TRUNCATED,     /* ends inside a field, or a length reaches beyond its message */
    CODEC_MALFORMED,     /* wire type not of the schema, tag 0, a group, an unpacked list */
    CODEC_BAD_VARINT,    /* longer than needed, or beyond 64 bits */
    CODEC_UNKNOWN_FIELD, /* a tag that the schema has not */
    CODEC_DUPLICATE,     /* a singular field twice */
    CODEC_TOO_DEEP,      /* nested beyond SCAN_DEPTH_MAX */
    CODEC_TOO_MANY,      /* a repeated field beyond its bound */
    CODEC_BAD_TEXT,      /* a string that is not UTF-8 or holds a NUL */
    CODEC_BAD_ENUM,      /* a number that names nothing */
    CODEC_BAD_RANGE,     /* a number or a length outside of its range */
    CODEC_MISSING,       /* a part that this message cannot do without */
    CODEC_BAD_TYPE,      /* the record's type is none of core/msg.h */
    CODEC_NO_ROOM,       /* the arena is too small for it */
    CODEC_VERDICT_COUNT
};

/* "ok", "too-big", "unknown-field", ..: labels of metrics. */
const char *codec_verdict_name(enum codec_verdict verdict);

/* NULL, or the name of a message of mesh.proto that the pre-scan cannot read (tags with gaps,
 * unpacked lists, oneofs): a fault of the build, asked once at start and by the tests. */
const char *codec_schema_fault(void);

/* ---- record header ---- */

#define RECORD_HEADER_BYTES 48u

/* The operation that this record names (by id) travels in the same frame. */
#define RECORD_FLAG_OPERATION 0x0001u
#define RECORD_FLAGS_ALL      0x0001u

/* Little-endian, in this order: type u8, priority u8, flags u16, body_bytes u32, from u64, to u64,
 * mask u64, epoch u64, sent_us i64. Units are packed as core/note.h unit_pack(). */
struct record_header {
    enum msg_type type;
    uint8_t priority; /* 0 to PRIORITY_COUNT - 1 */
    uint16_t flags;   /* of RECORD_FLAGS_ALL */
    uint32_t body_bytes;
    struct unit from, to;
    uint64_t mask;
    uint64_t epoch;
    int64_t sent_us;
};

void codec_record_encode(const struct record_header *header, uint8_t ret[RECORD_HEADER_BYTES]);

/* Reads the first 48 of `len` bytes. Checks type, priority, flags, body_bytes <= MESSAGE_BYTES_MAX
 * and <= what follows in `len`, and the form of both units (tier known, numbers present as the tier
 * has them); whether `from` may say this to `to` is msg_route_valid()'s. ret untouched on failure.
 */
enum codec_verdict codec_record_decode(const uint8_t *bytes, size_t len, struct record_header *ret);

/* Header <-> the fields of a message outside of its union. _to_msg leaves u and recv_us alone. */
void codec_record_of(const struct msg *msg, size_t body_bytes, struct record_header *ret);
void codec_record_to_msg(const struct record_header *header, struct msg *ret);

/* ---- bodies ---- */

/* Arena that decodes any message of MESSAGE_BYTES_MAX that this codec encodes; a smaller one
 * refuses the largest pages with CODEC_NO_ROOM. */
#define CODEC_ARENA_BYTES (2u * 1024u * 1024u)

/* The body of msg by msg->type. A body may be empty (GOODBYE, a BEAT without summary): then true
 * and *ret_bytes = 0. False when it does not fit `size` or MESSAGE_BYTES_MAX, or breaks the
 * contract (a list above its limit, a pointer missing); nothing is then to be read from `ret`.
 * msg->u.operate.operation is not encoded. */
bool codec_encode(const struct codec *codec, const struct msg *msg, uint8_t *ret, size_t size,
                  size_t *ret_bytes);

/* Sets ret->type and ret->u only, and only on CODEC_OK. Pointers in ret borrow the arena, never
 * `bytes`: valid until it is reset. It is not reset here: many messages can be decoded into one
 * arena and dropped together; a refused one gives back what it took. u.operate.operation is NULL.
 */
enum codec_verdict codec_decode(const struct codec *codec, enum msg_type type, const uint8_t *bytes,
                                size_t len, struct arena *arena, struct msg *ret);

/* ---- operations ---- */

/* MeshMessage. payload_hash is taken as given; payload_of is never encoded. As codec_encode(), but
 * never empty. An operation with unknown_capability is not encoded (here, in RELAY and in COMMAND):
 * the requirement would be lost. */
bool operation_encode(const struct codec *codec, const struct operation *operation, uint8_t *ret,
                      size_t size, size_t *ret_bytes);

/* A required capability that the topology does not know is no fault: ret->unknown_capability. */
enum codec_verdict operation_decode(const struct codec *codec, const uint8_t *bytes, size_t len,
                                    struct arena *arena, struct operation *ret);

#endif
