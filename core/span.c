#include "core/span.h"
#include "core/num.h"
#include "core/topology.h"
#include <assert.h>

/* unit_pack() is of note.h, which has no business here. */
static uint64_t hashed(struct id128 id, struct unit u, uint64_t seed)
{
    uint64_t unit =
        (uint64_t)u.tier << 48 | (uint64_t)u.sector << 32 | (uint64_t)u.cluster << 16 | u.agent;
    uint64_t key[2] = {num_id128_low(id), unit};
    return num_hash64(key, sizeof(key), seed) | 1u;
}

uint64_t span_id(struct id128 operation, struct unit unit)
{
    return hashed(operation, unit, 1);
}

uint64_t span_root_id(struct id128 correlation, struct unit unit)
{
    return hashed(correlation, unit, 2);
}

uint64_t span_own_id(const struct span *s)
{
    assert(s != NULL);
    return s->kind == SPAN_ROOT ? span_root_id(s->correlation, s->unit)
                                : span_id(s->operation, s->unit);
}

uint64_t span_parent_id(const struct span *s)
{
    assert(s != NULL && s->kind > 0 && s->kind < SPAN_KIND_COUNT);
    switch (s->kind) {
    case SPAN_ROOT:
        return num_id128_zero(s->trace.trace) ? 0 : s->trace.parent;
    case SPAN_PHASE:
        return span_root_id(s->correlation, s->unit);
    case SPAN_TIER:
    case SPAN_RUN:
    case SPAN_KIND_COUNT:
        break;
    }
    return span_id(s->operation, topology_parent(s->unit));
}

struct trace_context span_context(const struct trace_context *given, struct id128 correlation,
                                  double share)
{
    assert(given != NULL && share >= 0.0 && share <= 1.0);
    struct trace_context c = *given;
    if (num_id128_zero(c.trace)) {
        c = (struct trace_context){.trace = correlation};
        double at = (double)(num_hash64(&correlation, sizeof(correlation), 3) >> 11);
        c.flags = at < share * 9007199254740992.0 ? 1 : 0; /* 2^53 */
    }
    return c;
}
