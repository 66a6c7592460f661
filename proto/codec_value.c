/* The small values that all messages are made of: ids, packed units, times, durations, rates,
 * sparse counters. Durations in the spec's fields are milliseconds as a double: dividing by 1000
 * and rounding back is exact for every whole number of microseconds below 2^53, so nothing is lost.
 * Every check that keeps a hostile number from reaching a node as an array index, an overflow or a
 * NaN is here or in the `_get` functions next to the field. */
#include "proto/codec_parts.h"

#include <assert.h>
#include <string.h>

#include "core/note.h"

ProtobufCBinaryData value_bytes(const void *bytes, size_t len)
{
    assert(bytes || len == 0);
    /* protobuf-c has no const in its structs; packing only reads. */
    return (ProtobufCBinaryData){.len = len, .data = (uint8_t *)(uintptr_t)bytes};
}

bool value_id_zero(const struct id128 *id)
{
    static const struct id128 zero;
    return memcmp(id, &zero, sizeof(zero)) == 0;
}

ProtobufCBinaryData value_id(const struct id128 *id)
{
    return value_id_zero(id) ? value_bytes(NULL, 0) : value_bytes(id->bytes, sizeof(id->bytes));
}

bool value_id_get(ProtobufCBinaryData wire, struct id128 *ret)
{
    if (wire.len != 0 && wire.len != sizeof(ret->bytes)) {
        return false;
    }
    *ret = (struct id128){0};
    if (wire.len != 0) {
        memcpy(ret->bytes, wire.data, sizeof(ret->bytes));
        return !value_id_zero(ret); /* "none" is left out: one value, one encoding */
    }
    return true;
}

/* Numbers are present exactly as the tier has them and within the limits of any topology. */
static bool unit_formed(struct unit u)
{
    const bool sector = u.sector >= 1 && u.sector <= SECTORS_MAX;
    const bool cluster = sector && u.cluster >= 1 && u.cluster <= CLUSTERS_PER_SECTOR_MAX;
    switch ((enum tier)u.tier) {
    case TIER_NONE:
    case TIER_ORCHESTRATOR:
        return u.sector == 0 && u.cluster == 0 && u.agent == 0;
    case TIER_SECTOR:
        return sector && u.cluster == 0 && u.agent == 0;
    case TIER_CLUSTER:
        return cluster && u.agent == 0;
    case TIER_AGENT:
        return cluster && u.agent >= 1 && u.agent <= AGENTS_PER_CLUSTER_MAX;
    case TIER_HOST:
    case TIER_CONSOLE:
        return u.agent == 0;
    case TIER_COUNT:
    default:
        return false;
    }
}

bool value_unit_get(uint64_t wire, struct unit *ret)
{
    const struct unit u = unit_unpack(wire);
    if (unit_pack(u) != wire || !unit_formed(u)) {
        return false;
    }
    *ret = u;
    return true;
}

bool value_time(int64_t mesh_us)
{
    return mesh_us >= 0 && mesh_us <= MESH_TIME_MAX;
}

bool value_clock(int64_t us)
{
    return us >= -CLOCK_MAX && us <= CLOCK_MAX;
}

bool value_rate(double value, double low, double high)
{
    return value >= low && value <= high;
}

double value_ms(int64_t us)
{
    return (double)us / 1000.0;
}

bool value_us_get(double ms, int64_t us_max, int64_t *ret)
{
    assert(us_max <= MESH_TIME_MAX);
    if (!value_rate(ms, 0, value_ms(us_max))) {
        return false;
    }
    *ret = (int64_t)(ms * 1000.0 + 0.5);
    return true;
}

bool value_us32_get(double ms, uint32_t *ret)
{
    int64_t us = 0;
    if (!value_us_get(ms, UINT32_MAX, &us)) {
        return false;
    }
    *ret = (uint32_t)us;
    return true;
}

bool value_permille_get(float value, uint16_t permille_max, uint16_t *ret)
{
    const float scaled = value * 1000.0f + 0.5f;
    if (!(scaled >= 0.5f && scaled < (float)permille_max + 1.0f)) {
        return false;
    }
    *ret = (uint16_t)scaled;
    return true;
}

bool value_text(const char *text, size_t bytes_max)
{
    if (!text) {
        return true;
    }
    const char *end = memchr(text, 0, bytes_max + 1);
    return end && scan_text_valid((const uint8_t *)text, (size_t)(end - text));
}

bool value_enum(int value, int count)
{
    assert(count > 0);
    return value >= 0 && value < count;
}

bool value_kind(int value, int last)
{
    assert(last > 0);
    return value >= 1 && value <= last;
}

size_t sparse_put(const uint32_t *counts, size_t count, uint32_t *ret)
{
    assert(counts && ret);
    size_t n = 0;
    uint32_t gap = 0;
    for (size_t i = 0; i < count; i++) {
        if (counts[i] == 0) {
            gap++;
            continue;
        }
        ret[n++] = gap;
        ret[n++] = counts[i];
        gap = 0;
    }
    assert(n <= 2 * count);
    return n;
}

bool sparse_alloc(struct put *put, const uint32_t *counts, size_t count, size_t *ret_n,
                  uint32_t **ret)
{
    assert(put && counts);
    uint32_t *list = put_alloc(put, 2 * count * sizeof(*list));
    if (!list) {
        return false;
    }
    *ret_n = sparse_put(counts, count, list);
    *ret = list;
    return true;
}

bool sparse_get(const uint32_t *wire, size_t n, uint32_t *ret, size_t count)
{
    assert(wire || n == 0);
    assert(ret);
    if (n % 2 != 0) {
        return false;
    }
    memset(ret, 0, count * sizeof(*ret));
    size_t at = 0;
    for (size_t i = 0; i < n; i += 2) {
        if (wire[i + 1] == 0 || wire[i] >= count - at) {
            return false; /* at <= count always: the list ends before what is counted */
        }
        at += wire[i];
        ret[at++] = wire[i + 1];
    }
    return true;
}
