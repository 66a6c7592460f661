/* libFuzzer: the first byte picks the type (0: an operation, 254: a group of
 * acknowledgements, 255: a record header). Whatever is
 * accepted must encode again and decode to the same bytes. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proto/ack_group.h"
#include "proto/codec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct topology topology;
static const struct codec codec = {&topology};
static _Alignas(ARENA_ALIGN) uint8_t memory[CODEC_ARENA_BYTES];
static uint8_t first[MESSAGE_BYTES_MAX], second[MESSAGE_BYTES_MAX];

static void fuzz_operation(const uint8_t *data, size_t size, struct arena *arena)
{
    struct operation operation, again;
    size_t a = 0, b = 0;
    if (operation_decode(&codec, data, size, arena, &operation) != CODEC_OK ||
        !operation_encode(&codec, &operation, first, sizeof(first), &a)) {
        return;
    }
    if (operation_decode(&codec, first, a, arena, &again) != CODEC_OK ||
        !operation_encode(&codec, &again, second, sizeof(second), &b) || a != b ||
        memcmp(first, second, a) != 0) {
        abort();
    }
}

static void fuzz_body(enum msg_type type, const uint8_t *data, size_t size, struct arena *arena)
{
    struct msg msg, again;
    size_t a = 0, b = 0;
    if (codec_decode(&codec, type, data, size, arena, &msg) != CODEC_OK ||
        !codec_encode(&codec, &msg, first, sizeof(first), &a)) {
        return;
    }
    arena_reset(arena); /* msg is no longer needed: its bytes are in `first` */
    if (codec_decode(&codec, type, first, a, arena, &again) != CODEC_OK ||
        !codec_encode(&codec, &again, second, sizeof(second), &b) || a != b ||
        memcmp(first, second, a) != 0) {
        abort();
    }
}

static void fuzz_record(const uint8_t *data, size_t size)
{
    struct record_header header;
    uint8_t bytes[RECORD_HEADER_BYTES];
    if (codec_record_decode(data, size, &header) != CODEC_OK) {
        return;
    }
    codec_record_encode(&header, bytes);
    if (memcmp(bytes, data, sizeof(bytes)) != 0) {
        abort();
    }
}

/* One group, one encoding: what is accepted is written again byte for byte. */
static void fuzz_acks(const uint8_t *data, size_t size)
{
    struct ack_group group;
    struct msg row;
    if (size == 0 || data[0] != ACK_GROUP_KIND || size > sizeof(first) ||
        ack_group_open(data, size, &group) != CODEC_OK) {
        return;
    }
    const struct msg head = group.first;
    size_t used = ack_group_head(&head, head.u.ack.answer, first);
    uint32_t count = 1;
    while (ack_group_next(&group, &row)) {
        if (!ack_group_joins(&head, head.u.ack.answer, &row)) {
            abort();
        }
        used += ack_group_row(&head, &row, first + used);
        count++;
    }
    first[ACK_GROUP_COUNT_AT] = (uint8_t)count;
    if (used != size || memcmp(first, data, size) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (topology.agents == 0) {
        topology_default(30000, &topology);
    }
    if (size == 0) {
        return 0;
    }
    struct arena arena;
    arena_init(&arena, memory, sizeof(memory));
    if (data[0] == 0) {
        fuzz_operation(data + 1, size - 1, &arena);
    } else if (data[0] == 254) {
        fuzz_acks(data + 1, size - 1);
    } else if (data[0] == 255) {
        fuzz_record(data + 1, size - 1);
    } else {
        fuzz_body((enum msg_type)(1 + (data[0] - 1) % (MSG_TYPE_COUNT - 1)), data + 1, size - 1,
                  &arena);
    }
    return 0;
}
