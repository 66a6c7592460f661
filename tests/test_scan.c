/* The pre-scan by itself, on a schema made for it: it nests in itself (mesh.proto does not), has
 * every wire type, and small bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/scan.h"

static const ProtobufCMessageDescriptor node;

#define FIELD(number, label_, type_, flags_, descriptor_)                                          \
    {                                                                                              \
        .name = "f", .id = number, .label = label_, .type = type_, .flags = flags_,                \
        .descriptor = descriptor_                                                                  \
    }
#define SINGLE PROTOBUF_C_LABEL_NONE
#define MANY   PROTOBUF_C_LABEL_REPEATED
#define PACKED PROTOBUF_C_FIELD_FLAG_PACKED

static const ProtobufCFieldDescriptor fields[] = {
    FIELD(1, SINGLE, PROTOBUF_C_TYPE_MESSAGE, 0, &node),
    FIELD(2, SINGLE, PROTOBUF_C_TYPE_UINT32, 0, NULL),
    FIELD(3, SINGLE, PROTOBUF_C_TYPE_UINT64, 0, NULL),
    FIELD(4, SINGLE, PROTOBUF_C_TYPE_INT32, 0, NULL),
    FIELD(5, SINGLE, PROTOBUF_C_TYPE_BOOL, 0, NULL),
    FIELD(6, SINGLE, PROTOBUF_C_TYPE_FIXED32, 0, NULL),
    FIELD(7, SINGLE, PROTOBUF_C_TYPE_DOUBLE, 0, NULL),
    FIELD(8, SINGLE, PROTOBUF_C_TYPE_STRING, 0, NULL),
    FIELD(9, SINGLE, PROTOBUF_C_TYPE_BYTES, 0, NULL),
    FIELD(10, MANY, PROTOBUF_C_TYPE_UINT32, PACKED, NULL),
    FIELD(11, MANY, PROTOBUF_C_TYPE_FIXED64, PACKED, NULL),
    FIELD(12, MANY, PROTOBUF_C_TYPE_STRING, 0, NULL),
    FIELD(13, MANY, PROTOBUF_C_TYPE_MESSAGE, 0, &node),
};
static const ProtobufCMessageDescriptor node = {.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
                                                .name = "Node",
                                                .n_fields = sizeof(fields) / sizeof(fields[0]),
                                                .fields = fields};
static const struct scan_limit limits[] = {{.message = &node, .tag = 12, .count_max = 200},
                                           {.message = &node, .tag = 10, .count_max = 300},
                                           {.message = &node, .tag = 9, .bytes_max = 1000}};

/* A heap copy of exactly len bytes: a sanitizer sees a read beyond. */
static enum codec_verdict scan(const void *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    const enum codec_verdict verdict = scan_message(&node, limits, 3, copy, len);
    free(copy);
    return verdict;
}

#define EXPECT(bytes, verdict) assert_int_equal(scan(bytes, sizeof(bytes) - 1), verdict)

static void plain_fields_pass(void **state)
{
    (void)state;
    assert_true(scan_descriptor_valid(&node));
    EXPECT("", CODEC_OK);
    EXPECT("\x10\x05\x18\x05\x20\x05\x28\x01\x35\1\2\3\4\x39\1\2\3\4\5\6\7\10", CODEC_OK);
    EXPECT("\x42\x02hi\x4a\x02\x00\xff\x52\x03\x01\x80\x01\x5a\x08\1\2\3\4\5\6\7\10", CODEC_OK);
    EXPECT("\x6a\x00\x6a\x02\x10\x01\x0a\x00", CODEC_OK);
    EXPECT("\x28\x01\x10\x05", CODEC_OK); /* any order */
}

static void varints_are_canonical_and_fit(void **state)
{
    (void)state;
    EXPECT("\x10\xff\xff\xff\xff\x0f", CODEC_OK);
    EXPECT("\x10\x80\x80\x80\x80\x10", CODEC_BAD_RANGE);
    EXPECT("\x10\xff\xff\xff\xff\x0f\x10\x01", CODEC_DUPLICATE);
    EXPECT("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", CODEC_OK); /* 2^64 - 1 */
    EXPECT("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", CODEC_BAD_VARINT);
    EXPECT("\x18\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01", CODEC_BAD_VARINT);
    EXPECT("\x18\x80\x00", CODEC_BAD_VARINT);
    EXPECT("\x98\x00\x01", CODEC_BAD_VARINT); /* a tag longer than it need be */
    EXPECT("\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", CODEC_OK); /* -1 as int32 */
    EXPECT("\x20\xff\xff\xff\xff\x0f", CODEC_BAD_RANGE);              /* 2^32 - 1 as int32 */
    EXPECT("\x28\x02", CODEC_BAD_RANGE);
    EXPECT("\x52\x05\xff\xff\xff\xff\x1f", CODEC_BAD_RANGE); /* inside of a list */
    EXPECT("\x52\x02\x81\x00", CODEC_BAD_VARINT);
}

static void what_the_schema_has_not_is_refused(void **state)
{
    (void)state;
    EXPECT("\x70\x01", CODEC_UNKNOWN_FIELD);
    EXPECT("\xf8\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01", CODEC_UNKNOWN_FIELD); /* tag 2^61 - 1 */
    EXPECT("\x02\x00", CODEC_MALFORMED);                                         /* tag 0 */
    EXPECT("\x13", CODEC_MALFORMED);                                             /* groups */
    EXPECT("\x14", CODEC_MALFORMED);
    EXPECT("\x16\x00", CODEC_MALFORMED);
    EXPECT("\x12\x01\x01", CODEC_MALFORMED); /* bytes for a number */
    EXPECT("\x50\x01", CODEC_MALFORMED);     /* an unpacked list */
    EXPECT("\x52\x00", CODEC_MALFORMED);     /* an empty one */
    EXPECT("\x08\x01", CODEC_MALFORMED);     /* a number for a message */
    EXPECT("\x52\x01\x01\x52\x01\x01", CODEC_DUPLICATE);
    EXPECT("\x0a\x00\x0a\x00", CODEC_DUPLICATE);
}

static void lengths_stay_inside(void **state)
{
    (void)state;
    EXPECT("\x10", CODEC_TRUNCATED);
    EXPECT("\x10\x80", CODEC_TRUNCATED);
    EXPECT("\x35\1\2\3", CODEC_TRUNCATED);
    EXPECT("\x39\1\2\3\4\5\6\7", CODEC_TRUNCATED);
    EXPECT("\x42", CODEC_TRUNCATED);
    EXPECT("\x42\x01", CODEC_TRUNCATED);
    EXPECT("\x42\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01x", CODEC_TRUNCATED); /* length 2^64 - 1 */
    EXPECT("\x0a\x02\x10\x80\x01", CODEC_TRUNCATED); /* runs over the end of its message */
    EXPECT("\x5a\x07\1\2\3\4\5\6\7", CODEC_TRUNCATED);
    static const uint8_t big[MESSAGE_BYTES_MAX + 1];
    assert_int_equal(scan(big, sizeof(big)), CODEC_TOO_BIG);
}

static void bounds_are_exact(void **state)
{
    (void)state;
    uint8_t bytes[1200];
    static const struct {
        size_t count;
        enum codec_verdict verdict;
    } strings[] = {{200, CODEC_OK}, {201, CODEC_TOO_MANY}};
    for (size_t i = 0; i < 2; i++) {
        for (size_t k = 0; k < strings[i].count; k++) {
            memcpy(bytes + 2 * k, "\x62\x00", 2);
        }
        assert_int_equal(scan(bytes, 2 * strings[i].count), strings[i].verdict);
    }
    memset(bytes, 1, sizeof(bytes));
    memcpy(bytes, "\x52\xac\x02", 3); /* a list of 300 */
    assert_int_equal(scan(bytes, 303), CODEC_OK);
    memcpy(bytes, "\x52\xad\x02", 3);
    assert_int_equal(scan(bytes, 304), CODEC_TOO_MANY);
    memcpy(bytes, "\x4a\xe8\x07", 3); /* 1000 bytes */
    assert_int_equal(scan(bytes, 1003), CODEC_OK);
    memcpy(bytes, "\x4a\xe9\x07", 3);
    assert_int_equal(scan(bytes, 1004), CODEC_TOO_BIG);
    memcpy(bytes, "\x42\x80\x02", 3); /* text has no limit of its own: 256 */
    assert_int_equal(scan(bytes, 259), CODEC_OK);
    memcpy(bytes, "\x42\x81\x02", 3);
    assert_int_equal(scan(bytes, 260), CODEC_TOO_BIG);
}

/* Writes `depth` messages, each in the last, from the end of room; returns where they start. */
static uint8_t *nest(uint8_t *room, size_t size, unsigned depth)
{
    uint8_t *at = room + size;
    for (unsigned i = 1; i < depth; i++) {
        size_t length = (size_t)(room + size - at);
        uint8_t head[4] = {0x0a};
        size_t n = 1;
        while (length >= 0x80) {
            head[n++] = (uint8_t)(length | 0x80u);
            length >>= 7;
        }
        head[n++] = (uint8_t)length;
        at -= n;
        memcpy(at, head, n);
    }
    return at;
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    static uint8_t room[MESSAGE_BYTES_MAX];
    static const unsigned depths[] = {9, 62, 267, 1086, 8732, 14000};
    uint8_t *at = nest(room, sizeof(room), SCAN_DEPTH_MAX);
    assert_int_equal(scan(at, (size_t)(room + sizeof(room) - at)), CODEC_OK);
    for (size_t i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
        at = nest(room, sizeof(room), depths[i]);
        assert_int_equal(scan(at, (size_t)(room + sizeof(room) - at)), CODEC_TOO_DEEP);
    }
}

static void text_is_utf8_without_nul(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t len;
        bool valid;
    } cases[] = {
        {"", 0, true},
        {"plain", 5, true},
        {"\xc2\x80", 2, true},
        {"\xe0\xa0\x80", 3, true},
        {"\xed\x9f\xbf", 3, true},
        {"\xf0\x90\x80\x80", 4, true},
        {"\xf4\x8f\xbf\xbf", 4, true},
        {"a\0b", 3, false},
        {"\x80", 1, false},             /* a tail alone */
        {"\xc1\xbf", 2, false},         /* over-long */
        {"\xe0\x9f\xbf", 3, false},     /* over-long */
        {"\xf0\x8f\xbf\xbf", 4, false}, /* over-long */
        {"\xed\xa0\x80", 3, false},     /* a surrogate */
        {"\xf4\x90\x80\x80", 4, false}, /* above U+10FFFF */
        {"\xf5\x80\x80\x80", 4, false},
        {"\xe2\x82", 2, false},     /* cut short */
        {"\xe2\x82\x41", 3, false}, /* a tail missing */
        {"\xff", 1, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(scan_text_valid((const uint8_t *)cases[i].text, cases[i].len),
                         cases[i].valid);
    }
}

static void unfit_descriptors_are_told(void **state)
{
    (void)state;
    ProtobufCFieldDescriptor gap[] = {FIELD(2, SINGLE, PROTOBUF_C_TYPE_UINT32, 0, NULL)};
    ProtobufCFieldDescriptor loose[] = {FIELD(1, MANY, PROTOBUF_C_TYPE_UINT32, 0, NULL)};
    ProtobufCFieldDescriptor oneof[] = {
        FIELD(1, SINGLE, PROTOBUF_C_TYPE_UINT32, PROTOBUF_C_FIELD_FLAG_ONEOF, NULL)};
    ProtobufCMessageDescriptor unfit = {.magic = PROTOBUF_C__MESSAGE_DESCRIPTOR_MAGIC,
                                        .n_fields = 1};
    unfit.fields = gap;
    assert_false(scan_descriptor_valid(&unfit));
    unfit.fields = loose;
    assert_false(scan_descriptor_valid(&unfit));
    unfit.fields = oneof;
    assert_false(scan_descriptor_valid(&unfit));
    unfit.fields = fields;
    assert_true(scan_descriptor_valid(&unfit));
}

static void arenas_stop_at_their_end(void **state)
{
    (void)state;
    _Alignas(ARENA_ALIGN) uint8_t memory[72];
    struct arena arena;
    arena_init(&arena, memory, sizeof(memory));
    uint8_t *first = arena_alloc(&arena, 1);
    uint8_t *second = arena_alloc(&arena, 48);
    assert_ptr_equal(first, memory);
    assert_ptr_equal(second, memory + 16);
    assert_null(arena_alloc(&arena, 1)); /* 64 of the 72 are whole units */
    assert_null(arena_alloc(&arena, SIZE_MAX));
    arena_reset(&arena);
    assert_null(arena_alloc(&arena, 65));
    assert_ptr_equal(arena_alloc(&arena, 64), memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_fields_pass),
        cmocka_unit_test(varints_are_canonical_and_fit),
        cmocka_unit_test(what_the_schema_has_not_is_refused),
        cmocka_unit_test(lengths_stay_inside),
        cmocka_unit_test(bounds_are_exact),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(text_is_utf8_without_nul),
        cmocka_unit_test(unfit_descriptors_are_told),
        cmocka_unit_test(arenas_stop_at_their_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
