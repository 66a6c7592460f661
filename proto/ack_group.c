/* A group is read twice: once to check it whole, so that a malformed one has no effect at all, and
 * once row by row. A row costs some thirty nanoseconds, and needs no memory.
 *
 * Bounds: 64 agents, ANSWER_BYTES_MAX, ACK_GROUP_ROW_MAX bytes a row. */
#include "proto/ack_group.h"

#include "core/note.h"
#include "core/num.h"
#include "proto/codec_parts.h"
#include <assert.h>
#include <string.h>

/* ---- numbers ---- */

static uint8_t *varint_put(uint8_t *at, uint64_t value)
{
    while (value >= 0x80u) {
        *at++ = (uint8_t)(value | 0x80u);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    return at;
}

static uint8_t *delta64_put(uint8_t *at, uint64_t base, uint64_t value)
{
    uint64_t d = value - base;
    return varint_put(at, d << 1 ^ (0 - (d >> 63)));
}

static uint8_t *delta32_put(uint8_t *at, uint32_t base, uint32_t value)
{
    uint32_t d = value - base;
    return varint_put(at, d << 1 ^ (0 - (d >> 31)));
}

struct reader {
    const uint8_t *at, *end;
    enum codec_verdict verdict;
};

static uint64_t varint_long(struct reader *r, uint64_t value_max)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (r->at == r->end) {
            r->verdict = CODEC_TRUNCATED;
            return 0;
        }
        uint8_t byte = *r->at++;
        if ((shift == 63 && byte > 1) || (shift > 0 && byte == 0)) {
            break;
        }
        value |= (uint64_t)(byte & 0x7fu) << shift;
        if (byte < 0x80u) {
            r->verdict = value > value_max ? CODEC_BAD_RANGE : r->verdict;
            return value;
        }
    }
    r->verdict = CODEC_BAD_VARINT;
    return 0;
}

static uint64_t varint_get(struct reader *r, uint64_t value_max)
{
    if (r->verdict != CODEC_OK) {
        return 0;
    }
    if (r->at < r->end && *r->at < 0x80u) { /* most are */
        return *r->at++;
    }
    return varint_long(r, value_max);
}

static uint64_t delta64_get(struct reader *r, uint64_t base)
{
    uint64_t z = varint_get(r, UINT64_MAX);
    return base + (z >> 1 ^ (0 - (z & 1u)));
}

static uint32_t delta32_get(struct reader *r, uint32_t base)
{
    uint32_t z = (uint32_t)varint_get(r, UINT32_MAX);
    return base + (z >> 1 ^ (0u - (z & 1u)));
}

/* ---- building ---- */

/* What a reader of the plain record would accept as well. */
static bool in_range(const struct msg *m)
{
    const struct ack *a = &m->u.ack;
    return m->from.tier == TIER_AGENT && m->mask == 0 && value_time(a->received_mesh_us) &&
           value_time(a->arrival_mesh_us) && value_time(a->release_mesh_us) &&
           value_clock(a->echo_sent_us);
}

bool ack_group_joins(const struct msg *first, const uint8_t *answer, const struct msg *next)
{
    assert(first != NULL && next != NULL);
    assert(first->type == MSG_ACK && next->type == MSG_ACK);
    const struct ack *a = &first->u.ack, *b = &next->u.ack;
    return num_id128_equal(a->operation_id, b->operation_id) && a->outcome == b->outcome &&
           a->reason == b->reason && a->late == b->late && first->priority == next->priority &&
           unit_equal(first->to, next->to) && first->from.sector == next->from.sector &&
           first->from.cluster == next->from.cluster && first->from.agent != next->from.agent &&
           a->conflict == NULL && b->conflict == NULL && a->answer_bytes == b->answer_bytes &&
           (a->answer_bytes == 0 || memcmp(answer, b->answer, a->answer_bytes) == 0) &&
           in_range(first) && in_range(next);
}

size_t ack_group_head(const struct msg *first, const uint8_t *answer, uint8_t *ret)
{
    assert(first != NULL && ret != NULL);
    const struct ack *a = &first->u.ack;
    assert(a->answer_bytes <= ANSWER_BYTES_MAX && (answer != NULL || a->answer_bytes == 0));
    ret[0] = ACK_GROUP_KIND;
    ret[1] = first->priority;
    ret[ACK_GROUP_COUNT_AT] = 2;
    ret[3] = a->late;
    ret[4] = (uint8_t)a->outcome;
    ret[5] = (uint8_t)a->reason;
    le_put(ret + 6, a->answer_bytes, 2);
    le_put(ret + 8, unit_pack(first->from), 8);
    le_put(ret + 16, unit_pack(first->to), 8);
    memcpy(ret + 24, a->operation_id.bytes, 16);
    le_put(ret + ACK_GROUP_SENT_AT, (uint64_t)first->sent_us, 8);
    le_put(ret + 48, (uint64_t)a->echo_sent_us, 8);
    le_put(ret + 56, (uint64_t)a->received_mesh_us, 8);
    le_put(ret + 64, (uint64_t)a->arrival_mesh_us, 8);
    le_put(ret + 72, (uint64_t)a->release_mesh_us, 8);
    le_put(ret + 80, first->epoch, 8);
    le_put(ret + 88, a->seq, 4);
    le_put(ret + 92, a->processing_us, 4);
    le_put(ret + 96, a->queue_depth, 4);
    le_put(ret + 100, a->clock_error_us, 4);
    if (a->answer_bytes > 0) {
        memcpy(ret + ACK_GROUP_HEAD_BYTES, answer, a->answer_bytes);
    }
    return ACK_GROUP_HEAD_BYTES + a->answer_bytes;
}

size_t ack_group_row(const struct msg *first, const struct msg *next,
                     uint8_t ret[ACK_GROUP_ROW_MAX])
{
    assert(first != NULL && next != NULL && ret != NULL);
    assert(next->from.agent >= 1 && next->from.agent <= ACK_GROUP_AGENTS_MAX);
    const struct ack *a = &first->u.ack, *b = &next->u.ack;
    uint8_t *at = ret;
    *at++ = (uint8_t)next->from.agent;
    at = delta64_put(at, (uint64_t)first->sent_us, (uint64_t)next->sent_us);
    at = delta64_put(at, (uint64_t)a->echo_sent_us, (uint64_t)b->echo_sent_us);
    at = delta64_put(at, (uint64_t)a->received_mesh_us, (uint64_t)b->received_mesh_us);
    at = delta64_put(at, (uint64_t)a->arrival_mesh_us, (uint64_t)b->arrival_mesh_us);
    at = delta64_put(at, (uint64_t)a->release_mesh_us, (uint64_t)b->release_mesh_us);
    at = delta64_put(at, first->epoch, next->epoch);
    at = delta32_put(at, a->seq, b->seq);
    at = delta32_put(at, a->processing_us, b->processing_us);
    at = delta32_put(at, a->queue_depth, b->queue_depth);
    at = delta32_put(at, a->clock_error_us, b->clock_error_us);
    assert(at <= ret + ACK_GROUP_ROW_MAX);
    return (size_t)(at - ret);
}

/* ---- reading ---- */

static enum codec_verdict head_get(const uint8_t *bytes, size_t length, struct ack_group *ret)
{
    if (length < ACK_GROUP_HEAD_BYTES) {
        return CODEC_TRUNCATED;
    }
    uint32_t answer_bytes = (uint32_t)le_get(bytes + 6, 2);
    if (bytes[4] >= OUTCOME_COUNT || bytes[5] >= REASON_COUNT) {
        return CODEC_BAD_ENUM;
    }
    ret->count = bytes[ACK_GROUP_COUNT_AT];
    ret->first = (struct msg){.type = MSG_ACK,
                              .priority = bytes[1],
                              .epoch = le_get(bytes + 80, 8),
                              .sent_us = (int64_t)le_get(bytes + ACK_GROUP_SENT_AT, 8)};
    struct ack *a = &ret->first.u.ack;
    *a = (struct ack){.outcome = (enum outcome)bytes[4],
                      .reason = (enum reason)bytes[5],
                      .late = bytes[3] != 0,
                      .seq = (uint32_t)le_get(bytes + 88, 4),
                      .echo_sent_us = (int64_t)le_get(bytes + 48, 8),
                      .received_mesh_us = (int64_t)le_get(bytes + 56, 8),
                      .arrival_mesh_us = (int64_t)le_get(bytes + 64, 8),
                      .release_mesh_us = (int64_t)le_get(bytes + 72, 8),
                      .processing_us = (uint32_t)le_get(bytes + 92, 4),
                      .queue_depth = (uint32_t)le_get(bytes + 96, 4),
                      .clock_error_us = (uint32_t)le_get(bytes + 100, 4),
                      .answer_bytes = answer_bytes,
                      .answer = answer_bytes > 0 ? bytes + ACK_GROUP_HEAD_BYTES : NULL};
    memcpy(a->operation_id.bytes, bytes + 24, 16);
    if (value_id_zero(&a->operation_id)) {
        return CODEC_MISSING;
    }
    if (bytes[1] >= PRIORITY_COUNT || bytes[3] > 1 || ret->count < 2 ||
        ret->count > ACK_GROUP_AGENTS_MAX || answer_bytes > ANSWER_BYTES_MAX ||
        !value_unit_get(le_get(bytes + 8, 8), &ret->first.from) ||
        !value_unit_get(le_get(bytes + 16, 8), &ret->first.to) || ret->first.to.tier == TIER_NONE ||
        !value_clock(ret->first.sent_us) || !in_range(&ret->first)) {
        return CODEC_BAD_RANGE;
    }
    if (answer_bytes > length - ACK_GROUP_HEAD_BYTES) {
        return CODEC_TRUNCATED;
    }
    ret->rows = bytes + ACK_GROUP_HEAD_BYTES + answer_bytes;
    ret->end = bytes + length;
    return CODEC_OK;
}

/* *ret: what does not differ is that of the first already. */
static enum codec_verdict row_get(struct ack_group *g, struct msg *ret)
{
    struct reader r = {.at = g->rows, .end = g->end};
    const struct ack *a = &g->first.u.ack;
    struct ack *b = &ret->u.ack;
    if (r.at == r.end) {
        return CODEC_TRUNCATED;
    }
    ret->from.agent = *r.at++;
    ret->sent_us = (int64_t)delta64_get(&r, (uint64_t)g->first.sent_us);
    b->echo_sent_us = (int64_t)delta64_get(&r, (uint64_t)a->echo_sent_us);
    b->received_mesh_us = (int64_t)delta64_get(&r, (uint64_t)a->received_mesh_us);
    b->arrival_mesh_us = (int64_t)delta64_get(&r, (uint64_t)a->arrival_mesh_us);
    b->release_mesh_us = (int64_t)delta64_get(&r, (uint64_t)a->release_mesh_us);
    ret->epoch = delta64_get(&r, g->first.epoch);
    b->seq = delta32_get(&r, a->seq);
    b->processing_us = delta32_get(&r, a->processing_us);
    b->queue_depth = delta32_get(&r, a->queue_depth);
    b->clock_error_us = delta32_get(&r, a->clock_error_us);
    g->rows = r.at;
    return r.verdict;
}

enum codec_verdict ack_group_open(const uint8_t *bytes, size_t length, struct ack_group *ret)
{
    assert(bytes != NULL && length > 0 && ret != NULL);
    assert(bytes[0] == ACK_GROUP_KIND);
    struct ack_group g;
    enum codec_verdict v = head_get(bytes, length, &g);
    if (v != CODEC_OK) {
        return v;
    }
    struct ack_group walk = g;
    struct msg row = g.first;
    uint64_t seen = 1ull << (g.first.from.agent - 1u);
    for (uint32_t i = 1; i < g.count; i++) {
        v = row_get(&walk, &row);
        if (v != CODEC_OK) {
            return v;
        }
        if (row.from.agent < 1 || row.from.agent > ACK_GROUP_AGENTS_MAX ||
            !value_clock(row.sent_us) || !in_range(&row)) {
            return CODEC_BAD_RANGE;
        }
        uint64_t bit = 1ull << (row.from.agent - 1u);
        if ((seen & bit) != 0) {
            return CODEC_DUPLICATE;
        }
        seen |= bit;
    }
    if (walk.rows != walk.end) {
        return CODEC_MALFORMED;
    }
    *ret = g;
    return CODEC_OK;
}

bool ack_group_next(struct ack_group *group, struct msg *ret)
{
    assert(group != NULL && ret != NULL);
    if (group->rows == group->end) {
        return false;
    }
    *ret = group->first;
    enum codec_verdict v = row_get(group, ret);
    assert(v == CODEC_OK); /* it was read before */
    return true;
}
