/* The pre-scan: is this exactly a message of the schema? It reads the raw bytes once, allocates
 * nothing, and must have said CODEC_OK before protobuf-c may see them: protobuf-c 1.4.1 keeps
 * unknown fields, merges repeated singular messages, recurses without a limit and takes strings
 * as they come.
 *
 * Works on any protobuf-c descriptor with tags 1 to n (n <= SCAN_FIELDS_MAX), packed lists of
 * numbers and no oneofs; scan_descriptor_valid() says whether one is of that kind. */
#ifndef PROTO_SCAN_H
#define PROTO_SCAN_H

#include "proto/codec.h"
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_DEPTH_MAX  8u  /* the outermost message has depth 1 */
#define SCAN_FIELDS_MAX 64u /* tags in one message of the schema */

/* Bounds of a field that no scan_limit names. */
#define SCAN_COUNT_DEFAULT 128u /* entries of a repeated field */
#define SCAN_BYTES_DEFAULT 256u /* of one string or bytes field */

/* Raises the bounds of one field; 0 keeps the default. */
struct scan_limit {
    const ProtobufCMessageDescriptor *message;
    uint32_t tag;
    uint32_t count_max, bytes_max;
};

bool scan_descriptor_valid(const ProtobufCMessageDescriptor *descriptor);

/* CODEC_OK, or the first fault found: TOO_BIG, TRUNCATED, MALFORMED, BAD_VARINT, UNKNOWN_FIELD,
 * DUPLICATE, TOO_DEEP, TOO_MANY, BAD_TEXT, BAD_RANGE (a number beyond its field's width). Time is
 * linear in len; stack about 250 bytes a level. */
enum codec_verdict scan_message(const ProtobufCMessageDescriptor *descriptor,
                                const struct scan_limit *limits, size_t limit_count,
                                const uint8_t *bytes, size_t len);

/* UTF-8 as RFC 3629 has it (no surrogates, no over-long forms, up to U+10FFFF) and without NUL. */
bool scan_text_valid(const uint8_t *text, size_t len);

#endif
