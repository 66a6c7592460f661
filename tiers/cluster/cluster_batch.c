/* Records of several members, or their entries in an index, in one write. */
#include "tiers/cluster/cluster_parts.h"
#include "tiers/cluster/cluster_registry.h"
#include <assert.h>
#include <string.h>

void batch_key(const struct member *m, char *ret, size_t size)
{
    static const char PREFIX[] = "agent:";
    assert(m != NULL && ret != NULL);
    assert(size >= sizeof PREFIX - 1u + HEX_TEXT_MAX);
    memcpy(ret, PREFIX, sizeof PREFIX - 1u);
    num_format_hex64(m->uid, ret + sizeof PREFIX - 1u);
}

uint64_t batch_fill(struct cluster *c, struct batch *b)
{
    assert(c != NULL && b != NULL);
    uint64_t idle = 0;
    b->count = 0;
    b->what_any = 0;
    struct record *r = &b->record;
    record_init(r);
    for (uint64_t rest = c->waits; rest != 0 && b->count < STORE_PUTS_MAX; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        struct member *m = &c->members[i];
        if (m->dirty == 0 || m->put != 0) {
            continue;
        }
        uint32_t what = (m->dirty | record_diff(c, i)) & DIRTY_ALL;
        if (what == 0) {
            m->dirty = 0;
            idle |= bit_of(i);
            continue;
        }
        uint32_t from = r->count;
        record_member(c, i, what, r);
        batch_key(m, b->keys[b->count], sizeof b->keys[0]);
        b->rows[b->count] = (struct store_row){
            .key = b->keys[b->count], .fields = r->fields + from, .field_count = r->count - from};
        b->member[b->count] = (uint8_t)i;
        b->what[b->count++] = (uint16_t)what;
        b->what_any |= what;
    }
    return idle;
}

uint64_t index_caps(const struct cluster *c)
{
    assert(c != NULL);
    uint64_t caps = 0;
    for (uint64_t rest = c->waits; rest != 0; rest &= rest - 1u) {
        assert(bits_lowest(rest) < c->count);
        caps |= c->members[bits_lowest(rest)].index_dirty;
    }
    return caps;
}

/* The name of a member, from that of its cluster: "s01.c2" and ".a7". */
static void member_name(const struct cluster *c, size_t prefix, uint32_t i, char *ret)
{
    memcpy(ret, c->shard, prefix);
    ret[prefix] = '.';
    ret[prefix + 1] = 'a';
    num_format_u64(i + 1u, ret + prefix + 2);
}

void index_fill(const struct cluster *c, uint32_t cap, bool set, uint64_t serving,
                struct index_batch *b)
{
    assert(c != NULL && b != NULL);
    assert(cap < c->topology->capability_count);
    size_t prefix = strlen(c->shard);
    b->count = 0;
    b->members = 0;
    for (uint64_t rest = c->waits; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        const struct member *m = &c->members[i];
        bool wanted = (m->capabilities >> cap & serving >> i & 1u) != 0;
        if ((m->index_dirty >> cap & 1u) == 0 || wanted != set) {
            continue;
        }
        member_name(c, prefix, i, b->names[b->count]);
        b->rows[b->count] = (struct store_row){.key = b->names[b->count],
                                               .score = set ? (double)m->impedance.score : 0.0};
        b->members |= bit_of(i);
        b->count++;
    }
}
