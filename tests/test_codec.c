/* The codec: whatever a node can say arrives as it was said, and whatever arrives otherwise gives a
 * verdict. Seeded; the same messages on every run. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proto/codec.h"
#include "tests/support/msg_sample.h"

#define VARIANTS 8u
#define ROUNDS   12u

static struct topology topology;
static struct codec codec = {&topology};
static struct sample sample;
static struct arena arena;
static uint8_t wire[MESSAGE_BYTES_MAX];

static int setup(void **state)
{
    (void)state;
    topology_default(30000, &topology);
    sample =
        (struct sample){.topology = &topology, .memory = aligned_alloc(ARENA_ALIGN, SAMPLE_BYTES)};
    arena_init(&arena, aligned_alloc(ARENA_ALIGN, CODEC_ARENA_BYTES), CODEC_ARENA_BYTES);
    return sample.memory && arena.bytes ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    free(sample.memory);
    free(arena.bytes);
    return 0;
}

/* Decodes from a heap copy of exactly len bytes, so that a sanitizer sees a read beyond. */
static enum codec_verdict decode(enum msg_type type, const uint8_t *bytes, size_t len,
                                 struct msg *ret)
{
    uint8_t *copy = malloc(len ? len : 1);
    assert_non_null(copy);
    memcpy(copy, bytes, len);
    arena_reset(&arena);
    const enum codec_verdict verdict = codec_decode(&codec, type, copy, len, &arena, ret);
    free(copy);
    assert_true(verdict >= CODEC_OK && verdict < CODEC_VERDICT_COUNT);
    assert_true(verdict == CODEC_OK || arena.used == 0);
    return verdict;
}

static void sample_seed(uint64_t seed, enum sample_fill fill)
{
    rng_seed(&sample.rng, seed, 1);
    sample.fill = fill;
}

static void check_round_trip(enum msg_type type, unsigned variant)
{
    struct msg msg, back = {0};
    size_t len = 0;
    sample_msg(&sample, type, variant, &msg);
    if (!codec_encode(&codec, &msg, wire, sizeof(wire), &len)) {
        fail_msg("type %d variant %u fill %d: not encoded", type, variant, sample.fill);
    }
    const enum codec_verdict verdict = decode(type, wire, len, &back);
    if (verdict != CODEC_OK) {
        fail_msg("type %d variant %u: %s", type, variant, codec_verdict_name(verdict));
    }
    const char *difference = sample_difference(&msg, &back);
    if (difference) {
        fail_msg("type %d variant %u: %s differs", type, variant, difference);
    }
    /* One message, one encoding: what was decoded gives the same bytes again. */
    static uint8_t again[MESSAGE_BYTES_MAX];
    size_t again_len = 0;
    assert_true(codec_encode(&codec, &back, again, sizeof(again), &again_len));
    assert_int_equal(len, again_len);
    assert_memory_equal(wire, again, len);
}

static void every_message_returns_as_sent(void **state)
{
    (void)state;
    for (int type = MSG_HELLO; type < MSG_TYPE_COUNT; type++) {
        for (unsigned i = 0; i < 4 * VARIANTS; i++) {
            sample_seed(i, SAMPLE_FULL);
            check_round_trip((enum msg_type)type, i);
        }
        for (unsigned i = 0; i < ROUNDS * VARIANTS; i++) {
            sample_seed(1000 + i, SAMPLE_RANDOM);
            check_round_trip((enum msg_type)type, i);
        }
    }
}

static void operations_return_as_sealed(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 200; i++) {
        sample_seed(i, i % 10 == 0 ? SAMPLE_FULL : SAMPLE_RANDOM);
        sample.used = 0;
        struct operation operation, back;
        size_t len = 0;
        sample_operation(&sample, &operation);
        assert_true(operation_encode(&codec, &operation, wire, sizeof(wire), &len));
        arena_reset(&arena);
        assert_int_equal(operation_decode(&codec, wire, len, &arena, &back), CODEC_OK);
        const char *difference = sample_operation_difference(&operation, &back);
        if (difference) {
            fail_msg("%s differs", difference);
        }
    }
}

static void unsealed_operations_are_refused(void **state)
{
    (void)state;
    struct operation operation, back;
    size_t len = 0;
    sample_seed(7, SAMPLE_RANDOM);
    sample.used = 0;
    sample_operation(&sample, &operation);
    memset(operation.payload_hash, 0, sizeof(operation.payload_hash));
    assert_true(operation_encode(&codec, &operation, wire, sizeof(wire), &len));
    assert_int_equal(operation_decode(&codec, wire, len, &arena, &back), CODEC_MISSING);
    memset(operation.payload_hash, 1, sizeof(operation.payload_hash));
    operation.ttl_us = 0;
    assert_true(operation_encode(&codec, &operation, wire, sizeof(wire), &len));
    assert_int_equal(operation_decode(&codec, wire, len, &arena, &back), CODEC_MISSING);
    memset(&operation.id, 0, sizeof(operation.id));
    assert_false(operation_encode(&codec, &operation, wire, sizeof(wire), &len));
}

/* Another mesh's configuration: the same name has another bit, or none. */
static void capabilities_travel_by_name(void **state)
{
    (void)state;
    struct topology other = topology;
    memcpy(other.capabilities[0], topology.capabilities[1], CAPABILITY_NAME_MAX);
    memcpy(other.capabilities[1], topology.capabilities[0], CAPABILITY_NAME_MAX);
    strcpy(other.capabilities[2], "another-name");
    const struct codec theirs = {&other};
    struct operation operation, back;
    size_t len = 0;
    sample_seed(3, SAMPLE_RANDOM);
    sample.used = 0;
    sample_operation(&sample, &operation);
    operation.selector.capabilities = 1u;
    assert_true(operation_encode(&codec, &operation, wire, sizeof(wire), &len));
    assert_int_equal(operation_decode(&theirs, wire, len, &arena, &back), CODEC_OK);
    assert_int_equal(back.selector.capabilities, 2u);
    assert_false(back.unknown_capability);
    operation.selector.capabilities = 5u;
    assert_true(operation_encode(&codec, &operation, wire, sizeof(wire), &len));
    assert_int_equal(operation_decode(&theirs, wire, len, &arena, &back), CODEC_OK);
    assert_int_equal(back.selector.capabilities, 2u);
    assert_true(back.unknown_capability);

    struct query query = {.kind = QUERY_AGENTS, .limit = 1, .selector = {.capabilities = 4u}};
    const struct msg msg = {.type = MSG_QUERY, .u.query = &query};
    struct msg got;
    assert_true(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    assert_int_equal(codec_decode(&theirs, MSG_QUERY, wire, len, &arena, &got), CODEC_BAD_RANGE);
}

/* A message cut short is refused, or, when the cut is between fields, a message with less in it. */
static void every_truncation_has_a_verdict(void **state)
{
    (void)state;
    for (int type = MSG_HELLO; type < MSG_TYPE_COUNT; type++) {
        for (unsigned variant = 0; variant < VARIANTS; variant++) {
            struct msg msg, back;
            size_t len = 0, refused = 0;
            sample_seed(50 + variant, SAMPLE_RANDOM);
            sample_msg(&sample, (enum msg_type)type, variant, &msg);
            assert_true(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
            const size_t step = 1 + len / 1500;
            for (size_t cut = 0; cut < len; cut += step) {
                refused += decode((enum msg_type)type, wire, cut, &back) != CODEC_OK;
            }
            assert_true(len < 20 || refused > 0);
        }
    }
}

/* The only thing that can be received and not passed on: a required capability without a name here
 * (encoding it again would drop the requirement). */
static bool has_unknown_capability(const struct msg *msg)
{
    return (msg->type == MSG_RELAY && msg->u.relay.operation->unknown_capability) ||
           (msg->type == MSG_COMMAND && msg->u.command->operation.unknown_capability);
}

static void check_flip(enum msg_type type, size_t len, size_t bit)
{
    static uint8_t again[MESSAGE_BYTES_MAX];
    struct msg back;
    wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
    if (decode(type, wire, len, &back) == CODEC_OK && !has_unknown_capability(&back)) {
        /* Still a message: then one that a node could have sent. */
        size_t again_len = 0;
        if (!codec_encode(&codec, &back, again, sizeof(again), &again_len)) {
            fail_msg("type %d, bit %zu: decoded, but no node could have sent it", type, bit);
        }
    }
    wire[bit / 8] ^= (uint8_t)(1u << bit % 8);
}

static void every_flipped_bit_has_a_verdict(void **state)
{
    (void)state;
    for (int type = MSG_HELLO; type < MSG_TYPE_COUNT; type++) {
        for (unsigned variant = 0; variant < VARIANTS; variant++) {
            struct msg msg;
            size_t len = 0;
            sample_seed(90 + variant, SAMPLE_RANDOM);
            sample_msg(&sample, (enum msg_type)type, variant, &msg);
            assert_true(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
            /* All bits of what is short; of a long page every n-th, so that the test stays fast. */
            const size_t step = 1 + len * 8 / 3000;
            for (size_t bit = 0; bit < len * 8; bit += step) {
                check_flip((enum msg_type)type, len, bit);
            }
        }
    }
}

static void noise_has_a_verdict(void **state)
{
    (void)state;
    sample_seed(5, SAMPLE_RANDOM);
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t noise[64];
        const size_t len = rng_u64(&sample.rng) % sizeof(noise);
        for (size_t k = 0; k < len; k++) {
            /* Mostly low tags with plausible wire types, so that more than the first byte is read.
             */
            noise[k] = (uint8_t)(rng_u64(&sample.rng) >> (56 + rng_u64(&sample.rng) % 8));
        }
        struct msg back;
        decode((enum msg_type)(1 + i % (MSG_TYPE_COUNT - 1)), noise, len, &back);
    }
}

static void expect(enum msg_type type, const char *bytes, size_t len, enum codec_verdict want)
{
    struct msg back;
    const enum codec_verdict got = decode(type, (const uint8_t *)bytes, len, &back);
    if (got != want) {
        fail_msg("type %d: %s, expected %s", type, codec_verdict_name(got),
                 codec_verdict_name(want));
    }
}

#define EXPECT(type, bytes, verdict) expect(type, bytes, sizeof(bytes) - 1, verdict)

static void hostile_fields_are_refused(void **state)
{
    (void)state;
    EXPECT(MSG_GOODBYE, "", CODEC_OK);
    EXPECT(MSG_GOODBYE, "\x08\x01", CODEC_UNKNOWN_FIELD);
    EXPECT(MSG_WELCOME, "\x08\x01", CODEC_OK);
    EXPECT(MSG_WELCOME, "\x08\x01\x08\x01", CODEC_DUPLICATE);
    EXPECT(MSG_WELCOME, "\x08\x02", CODEC_BAD_RANGE);
    EXPECT(MSG_WELCOME, "\x08\x81\x00", CODEC_BAD_VARINT);
    EXPECT(MSG_WELCOME, "\x88\x00\x01", CODEC_BAD_VARINT);
    EXPECT(MSG_WELCOME, "\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", CODEC_BAD_VARINT);
    EXPECT(MSG_WELCOME, "\x10\x17", CODEC_BAD_ENUM);
    EXPECT(MSG_WELCOME, "\x10\xff\xff\xff\xff\x0f", CODEC_BAD_RANGE); /* 2^32 - 1 as an enum */
    EXPECT(MSG_WELCOME, "\x0a\x00", CODEC_MALFORMED);
    EXPECT(MSG_WELCOME, "\x0b\x0c", CODEC_MALFORMED); /* groups */
    EXPECT(MSG_WELCOME, "\x00\x01", CODEC_MALFORMED); /* tag 0 */
    EXPECT(MSG_WELCOME, "\x19\x01\x02", CODEC_TRUNCATED);
    EXPECT(MSG_WELCOME, "\x20\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", CODEC_BAD_RANGE);
    EXPECT(MSG_HOST_REPORT, "\x10\x80\x80\x80\x80\x10", CODEC_BAD_RANGE); /* 2^32 in uint32 */
    EXPECT(MSG_HELLO,
           "\x22\x05"
           "admin",
           CODEC_OK);
    EXPECT(MSG_HELLO,
           "\x22\x07"
           "admin\0x",
           CODEC_BAD_TEXT);
    EXPECT(MSG_HELLO, "\x22\x02\xc0\x80", CODEC_BAD_TEXT);     /* NUL, over-long */
    EXPECT(MSG_HELLO, "\x22\x03\xed\xa0\x80", CODEC_BAD_TEXT); /* a surrogate */
    EXPECT(MSG_HELLO, "\x22\x00", CODEC_BAD_TEXT);             /* a capability without a name */
    EXPECT(MSG_HELLO, "\x2a\x01x", CODEC_BAD_RANGE);           /* an id of one byte */
    EXPECT(MSG_HELLO, "\x2a\x7f", CODEC_TRUNCATED);
    EXPECT(MSG_CANCEL, "\x0a\x10\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", CODEC_BAD_RANGE); /* id 0 */
    EXPECT(MSG_CANCEL, "", CODEC_MISSING);
    EXPECT(MSG_RESUME, "", CODEC_MISSING);
#define RESULT_ID                                                                                  \
    "\x0a\x10"                                                                                     \
    "ABCDEFGHIJKLMNOP"
    EXPECT(MSG_RESULT, RESULT_ID "\x10\x01\x1a\x00\x20\x01", CODEC_OK);
    EXPECT(MSG_RESULT, RESULT_ID "\x1a\x00\x20\x01", CODEC_BAD_RANGE); /* unknown, not final */
    EXPECT(MSG_RESULT, RESULT_ID "\x10\x01\x1a\x02\x08\x05\x20\x01", CODEC_BAD_RANGE);
    EXPECT(MSG_RESULT, RESULT_ID "\x10\x01\x1a\x00\x28\x01", CODEC_BAD_RANGE); /* late: of 0 */
#undef RESULT_ID
    EXPECT(MSG_HEARTBEAT, "", CODEC_MISSING);
    EXPECT(MSG_HEARTBEAT, "\x12\x00\x12\x00", CODEC_DUPLICATE); /* a merge of messages */
    EXPECT(MSG_HEARTBEAT, "\x12\x09\x29\0\0\0\0\0\0\xf8\x7f", CODEC_BAD_RANGE); /* NaN ms */
    EXPECT(MSG_HEARTBEAT, "\x12\x09\x29\0\0\0\0\0\0\xf0\x7f", CODEC_BAD_RANGE); /* infinite */
    EXPECT(MSG_HEARTBEAT, "\x12\x09\x29\0\0\0\0\0\0\xf0\xbf", CODEC_BAD_RANGE); /* -1 ms */
    EXPECT(MSG_HEARTBEAT, "\x12\x05\x55\0\0\xc0\x7f", CODEC_BAD_RANGE);         /* NaN float */
    EXPECT(MSG_HEARTBEAT, "\x12\x02\x60\x07", CODEC_BAD_ENUM);
    EXPECT(MSG_HEARTBEAT, "\x12\x02\x10\x01", CODEC_BAD_RANGE); /* a class where none belongs */
    EXPECT(MSG_BEAT, "", CODEC_OK);
    EXPECT(MSG_BEAT, "\x0a\x00", CODEC_MISSING);
    /* Seven classes: the last counter, one beyond it, and one more after the last. */
    EXPECT(MSG_BEAT, "\x0a\x06\x0a\x00\x22\x02\x06\x01", CODEC_OK);
    EXPECT(MSG_BEAT, "\x0a\x06\x0a\x00\x22\x02\x07\x01", CODEC_BAD_RANGE);
    EXPECT(MSG_BEAT, "\x0a\x08\x0a\x00\x22\x04\x06\x01\x00\x01", CODEC_BAD_RANGE);
    EXPECT(MSG_BEAT, "\x0a\x06\x0a\x00\x22\x02\x06\x00", CODEC_BAD_RANGE); /* a zero */
    EXPECT(MSG_BEAT, "\x0a\x06\x0a\x00\x22\x02\x08\x01", CODEC_BAD_RANGE); /* 8 gaps of 7 */
    EXPECT(MSG_BEAT, "\x0a\x05\x0a\x00\x22\x01\x00", CODEC_BAD_RANGE);     /* half a pair */
    EXPECT(MSG_BEAT, "\x0a\x04\x0a\x00\x22\x00", CODEC_MALFORMED);         /* an empty list */
    EXPECT(MSG_BEAT, "\x0a\x06\x0a\x00\x20\x01\x20\x01", CODEC_MALFORMED); /* a list unpacked */
    EXPECT(MSG_THAW, "\x09\0\0\0\0\0\0\x07\0", CODEC_BAD_RANGE);           /* tier 7 */
    EXPECT(MSG_THAW, "\x09\0\0\0\0\0\0\x02\0", CODEC_BAD_RANGE);           /* sector 0 */
    EXPECT(MSG_THAW, "\x09\0\0\0\0\x01\0\x02\0", CODEC_OK);
    EXPECT(MSG_THAW, "\x09\0\0\0\0\x01\0\x02\x01", CODEC_BAD_RANGE); /* bits beyond the tier */
    EXPECT(MSG_THAW, "\x09\0\0\0\0\x01\x10\x02\0", CODEC_BAD_RANGE); /* sector 4097 */
    expect((enum msg_type)0, "", 0, CODEC_BAD_TYPE);
    expect(MSG_TYPE_COUNT, "", 0, CODEC_BAD_TYPE);
    static const char zeros[MESSAGE_BYTES_MAX + 1];
    expect(MSG_GOODBYE, zeros, sizeof(zeros), CODEC_TOO_BIG);
}

/* 56 KiB of one thing that costs more to hold than to send. */
static void check_bomb(enum msg_type type, const char *unit, size_t bytes, enum codec_verdict want)
{
    size_t len = 0;
    while (len + bytes <= sizeof(wire)) {
        memcpy(wire + len, unit, bytes);
        len += bytes;
    }
    struct msg back;
    assert_int_equal(decode(type, wire, len, &back), want);
}

static void bombs_are_refused(void **state)
{
    (void)state;
    check_bomb(MSG_ROWS, "\x32\x00", 2, CODEC_TOO_MANY); /* empty rows */
    check_bomb(MSG_ROWS, "\xf8\x07\x01", 3, CODEC_UNKNOWN_FIELD);
    check_bomb(MSG_HEARTBEAT, "\x12\x00", 2, CODEC_DUPLICATE); /* merges */
    check_bomb(MSG_HELLO, "\x22\x01z", 3, CODEC_TOO_MANY);
    /* 512 empty summaries are within the count: they must fit the arena or be refused for it. */
    char page[2 + 512 * 6] = "\x10\x02";
    for (unsigned i = 0; i < 512; i++) {
        memcpy(page + 2 + i * 6, "\x32\x04\x22\x02\x0a\x00", 6);
    }
    expect(MSG_ROWS, page, sizeof(page), CODEC_OK);
    struct arena small;
    struct msg back;
    arena_init(&small, arena.bytes, 65536);
    assert_int_equal(
        codec_decode(&codec, MSG_ROWS, (const uint8_t *)page, sizeof(page), &small, &back),
        CODEC_NO_ROOM);
    assert_int_equal(small.used, 0);
}

/* Aggregates that would break the law of results at whoever merges them. */
static void results_that_do_not_add_up_are_refused(void **state)
{
    (void)state;
    struct run run = {5, 9};
    struct answer_group group = {
        .outcome = OUTCOME_READY, .count = 5, .run_count = 1, .runs = &run};
    struct result result = {.operation_id = {{1}}, .final = true};
    struct aggregate_view *a = &result.aggregate;
    a->targets = 6;
    a->outcomes[OUTCOME_READY] = 6;
    a->group_count = 1;
    a->groups = &group;
    a->other = 1;
    const struct msg msg = {.type = MSG_RESULT, .u.result = &result};
    struct msg back;
    size_t len = 0;
    assert_true(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    assert_int_equal(decode(MSG_RESULT, wire, len, &back), CODEC_OK);
    a->other = 2; /* more in groups than targets */
    assert_true(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    assert_int_equal(decode(MSG_RESULT, wire, len, &back), CODEC_BAD_RANGE);
    a->other = 1;
    a->outcomes[OUTCOME_READY] = 5;
    a->outcomes[OUTCOME_PENDING] = 1; /* final, but one is pending */
    assert_true(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    assert_int_equal(decode(MSG_RESULT, wire, len, &back), CODEC_BAD_RANGE);
    result.final = false;
    assert_true(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    assert_int_equal(decode(MSG_RESULT, wire, len, &back), CODEC_OK);
    run.last = 10; /* six agents in a group of five */
    assert_true(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    assert_int_equal(decode(MSG_RESULT, wire, len, &back), CODEC_BAD_RANGE);
    run = (struct run){4194304, 4194304}; /* beyond any topology */
    assert_true(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    assert_int_equal(decode(MSG_RESULT, wire, len, &back), CODEC_BAD_RANGE);
}

static void contradictions_are_refused(void **state)
{
    (void)state;
    /* ACK whose trinary_state is not that of its outcome (READY needs 1). */
    char ack[] = "\x0a\x10"
                 "0123456789abcdef\x10\x02\x30\x01";
    expect(MSG_ACK, ack, sizeof(ack) - 1, CODEC_OK);
    ack[19] = 0x01;
    expect(MSG_ACK, ack, sizeof(ack) - 1, CODEC_BAD_RANGE);
    /* A command or reply with a part that its kind has not. */
    EXPECT(MSG_COMMAND, "\x10\x01", CODEC_OK);
    EXPECT(MSG_COMMAND, "\x10\x01\x1a\x00", CODEC_MISSING);
    EXPECT(MSG_COMMAND, "\x10\x02", CODEC_MISSING);
    EXPECT(MSG_COMMAND, "\x10\x00", CODEC_BAD_ENUM);
    EXPECT(MSG_COMMAND, "\x10\x08", CODEC_MISSING);
    EXPECT(MSG_COMMAND, "\x10\x0a", CODEC_MISSING);
    EXPECT(MSG_COMMAND, "\x10\x0c", CODEC_MISSING);
    EXPECT(MSG_COMMAND, "\x10\x20", CODEC_BAD_ENUM);
    EXPECT(MSG_REPLY, "\x10\x02", CODEC_OK);
    EXPECT(MSG_REPLY, "\x10\x02\x5a\x00", CODEC_MISSING);
    EXPECT(MSG_REPLY, "\x10\x02\x2a\x01x", CODEC_MISSING);
    EXPECT(MSG_REPLY, "\x10\x06", CODEC_MISSING);
    /* A row of another kind than its page's. */
    EXPECT(MSG_ROWS, "\x10\x01\x32\x02\x1a\x00", CODEC_OK);
    EXPECT(MSG_ROWS, "\x10\x02\x32\x02\x1a\x00", CODEC_MISSING);
}

static void what_breaks_the_contract_is_not_encoded(void **state)
{
    (void)state;
    static const uint8_t answer[ANSWER_BYTES_MAX + 1];
    struct msg msg = {.type = MSG_ACK};
    size_t len = 77;
    msg.u.ack = (struct ack){.operation_id = {{1}}, .answer = answer, .answer_bytes = 1025};
    assert_false(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    assert_int_equal(len, 77);
    msg.u.ack.answer_bytes = 1024;
    assert_false(codec_encode(&codec, &msg, wire, 1024, &len));
    assert_true(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    assert_true(codec_encode(&codec, &msg, wire, len, &len)); /* exactly its size */
    assert_false(codec_encode(&codec, &msg, wire, len - 1, &len));
    struct target targets[65] = {{0}};
    msg = (struct msg){.type = MSG_OPERATE};
    msg.u.operate = (struct operate){.operation_id = {{1}}, .target_count = 65, .targets = targets};
    assert_false(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    msg.u.operate.target_count = 0;
    assert_false(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
    struct reply reply = {.kind = REPLY_ERROR, .text = "\xff"};
    msg = (struct msg){.type = MSG_REPLY, .u.reply = &reply};
    assert_false(codec_encode(&codec, &msg, wire, sizeof(wire), &len));
}

static void record_headers_return(void **state)
{
    (void)state;
    uint8_t bytes[RECORD_HEADER_BYTES + 8] = {0};
    const struct msg msg = {.type = MSG_ACK,
                            .priority = 3,
                            .from = unit_agent(100, 10, 30),
                            .to = unit_cluster(100, 10),
                            .mask = 0x8000000000000001u,
                            .epoch = UINT64_MAX,
                            .sent_us = -5};
    struct record_header header, back;
    struct msg again = {0};
    codec_record_of(&msg, 8, &header);
    header.flags = RECORD_FLAG_OPERATION;
    codec_record_encode(&header, bytes);
    static const uint8_t expected[16] = {MSG_ACK, 3, 1, 0, 8, 0, 0, 0, 30, 0, 10, 0, 100, 0, 4, 0};
    assert_memory_equal(bytes, expected, sizeof(expected));
    assert_int_equal(codec_record_decode(bytes, sizeof(bytes), &back), CODEC_OK);
    codec_record_to_msg(&back, &again);
    assert_true(again.type == msg.type && again.priority == 3 && again.mask == msg.mask &&
                again.epoch == msg.epoch && again.sent_us == -5 && back.body_bytes == 8 &&
                back.flags == RECORD_FLAG_OPERATION);
    assert_true(unit_equal(again.from, msg.from) && unit_equal(again.to, msg.to));
    assert_int_equal(codec_record_decode(bytes, sizeof(bytes) - 1, &back), CODEC_TRUNCATED);
    assert_int_equal(codec_record_decode(bytes, 47, &back), CODEC_TRUNCATED);
    static const struct {
        unsigned at;
        uint8_t value;
        enum codec_verdict verdict;
    } faults[] = {{0, 0, CODEC_BAD_TYPE},   {0, MSG_TYPE_COUNT, CODEC_BAD_TYPE},
                  {1, 4, CODEC_BAD_RANGE},  {2, 2, CODEC_BAD_RANGE},
                  {6, 1, CODEC_TOO_BIG},    {14, 9, CODEC_BAD_RANGE},
                  {15, 1, CODEC_BAD_RANGE}, {8, 65, CODEC_BAD_RANGE},
                  {16, 1, CODEC_BAD_RANGE}, {47, 0x7f, CODEC_BAD_RANGE}};
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        uint8_t bad[sizeof(bytes)];
        memcpy(bad, bytes, sizeof(bad));
        bad[faults[i].at] = faults[i].value;
        assert_int_equal(codec_record_decode(bad, sizeof(bad), &back), faults[i].verdict);
    }
    memset(bytes + 8, 0, 8); /* from nobody */
    assert_int_equal(codec_record_decode(bytes, sizeof(bytes), &back), CODEC_MISSING);
}

static void the_schema_fits_the_scan(void **state)
{
    (void)state;
    assert_null(codec_schema_fault());
}

static void verdicts_have_names(void **state)
{
    (void)state;
    for (int a = 0; a < CODEC_VERDICT_COUNT; a++) {
        for (int b = a + 1; b < CODEC_VERDICT_COUNT; b++) {
            assert_string_not_equal(codec_verdict_name((enum codec_verdict)a),
                                    codec_verdict_name((enum codec_verdict)b));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_returns_as_sent),
        cmocka_unit_test(operations_return_as_sealed),
        cmocka_unit_test(unsealed_operations_are_refused),
        cmocka_unit_test(capabilities_travel_by_name),
        cmocka_unit_test(every_truncation_has_a_verdict),
        cmocka_unit_test(every_flipped_bit_has_a_verdict),
        cmocka_unit_test(noise_has_a_verdict),
        cmocka_unit_test(hostile_fields_are_refused),
        cmocka_unit_test(bombs_are_refused),
        cmocka_unit_test(results_that_do_not_add_up_are_refused),
        cmocka_unit_test(contradictions_are_refused),
        cmocka_unit_test(what_breaks_the_contract_is_not_encoded),
        cmocka_unit_test(record_headers_return),
        cmocka_unit_test(the_schema_fits_the_scan),
        cmocka_unit_test(verdicts_have_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
