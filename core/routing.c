/* The routing table: see the header. At most a few dozen entries, all searched. */
#include "core/routing.h"
#include "core/num.h"
#include <assert.h>
#include <string.h>

#define NAME_ROOM 32u /* of a record's memory for each field's name; the rest is its value */

static_assert(ROUTING_CLUSTERS_MAX + ROUTING_MAPPED_MAX <= STORE_FIELDS_MAX, "one record");
static_assert(NAME_ROOM >= CAPABILITY_NAME_MAX && NAME_ROOM >= UNIT_TEXT_MAX, "names fit");

static struct routing_entry *find(struct route_table *r, struct unit cluster)
{
    for (uint32_t i = 0; i < r->count; i++) {
        if (unit_equal(r->list[i].cluster, cluster)) {
            return &r->list[i];
        }
    }
    return NULL;
}

uint64_t routing_avoided(const struct route_table *r, struct unit cluster)
{
    assert(r != NULL && r->count <= ROUTING_CLUSTERS_MAX);
    assert(cluster.tier == TIER_CLUSTER);
    for (uint32_t i = 0; i < r->count; i++) {
        if (unit_equal(r->list[i].cluster, cluster)) {
            return r->list[i].agents;
        }
    }
    return 0;
}

static void drop_empty(struct route_table *r)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        if (r->list[i].agents != 0) {
            r->list[kept++] = r->list[i];
        }
    }
    r->count = kept;
}

/* False: there is no room for one more cluster. */
static bool set_cluster(struct route_table *r, struct unit cluster, uint64_t agents, bool avoid)
{
    struct routing_entry *e = find(r, cluster);
    if (e == NULL && avoid) {
        if (r->count == ROUTING_CLUSTERS_MAX) {
            return false;
        }
        e = &r->list[r->count++];
        *e = (struct routing_entry){.cluster = cluster};
    }
    if (e != NULL) {
        e->agents = avoid ? e->agents | agents : e->agents & ~agents;
    }
    return true;
}

enum routing_verdict routing_avoid(struct route_table *r, const struct topology *t,
                                   const struct place_set *places, bool avoid)
{
    assert(r != NULL && t != NULL && places != NULL);
    assert(r->count <= ROUTING_CLUSTERS_MAX);
    struct route_table next = *r;
    for (unsigned s = 1; s <= t->sectors; s++) {
        if (!place_touches(places, unit_sector(s))) {
            continue;
        }
        uint32_t clusters = topology_sector_clusters(t, s);
        for (unsigned k = 1; k <= clusters; k++) {
            struct unit cluster = unit_cluster(s, k);
            uint64_t agents = place_children(places, t, cluster, 1);
            if (agents != 0 && !set_cluster(&next, cluster, agents, avoid)) {
                return ROUTING_FULL;
            }
        }
    }
    drop_empty(&next);
    bool same = next.count == r->count;
    for (uint32_t i = 0; i < next.count && same; i++) {
        same = routing_avoided(r, next.list[i].cluster) == next.list[i].agents;
    }
    *r = next;
    return same ? ROUTING_SAME : ROUTING_OK;
}

static uint64_t mapped(const struct route_table *r)
{
    uint64_t bits = 0;
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        bits |= r->excluded[c];
    }
    return bits;
}

enum routing_verdict routing_map(struct route_table *r, uint32_t class_mask, uint64_t capabilities,
                                 bool exclude)
{
    assert(r != NULL);
    assert(class_mask != 0 && capabilities != 0);
    struct route_table next = *r;
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        if ((class_mask >> c & 1u) != 0) {
            next.excluded[c] =
                exclude ? r->excluded[c] | capabilities : r->excluded[c] & ~capabilities;
        }
    }
    if (num_bits(mapped(&next)) > ROUTING_MAPPED_MAX) {
        return ROUTING_FULL;
    }
    bool same = memcmp(next.excluded, r->excluded, sizeof next.excluded) == 0;
    *r = next;
    return same ? ROUTING_SAME : ROUTING_OK;
}

/* --- text --- */

static void classes_text(const struct route_table *r, unsigned bit, const char *between, bool names,
                         struct text *t)
{
    bool first = true;
    for (unsigned c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
        if ((r->excluded[c] >> bit & 1u) == 0) {
            continue;
        }
        text_add(t, first ? "" : between);
        if (names) {
            text_add(t, class_name((enum impedance_class)c));
        } else {
            text_char(t, (char)('A' + (int)c - (int)CLASS_A_EDGE));
        }
        first = false;
    }
}

static void agents_text(const struct routing_entry *e, struct text *t)
{
    bool first = true;
    text_unit(t, e->cluster);
    text_add(t, ".a[");
    for (uint64_t rest = e->agents; rest != 0; rest &= rest - 1u) {
        unsigned i = 0;
        while ((rest >> i & 1u) == 0) {
            i++;
        }
        text_add(t, first ? "" : ",");
        text_u64(t, i + 1u);
        first = false;
    }
    text_add(t, "]");
}

bool routing_line(const struct route_table *r, const struct topology *t, uint32_t index,
                  struct text *ret)
{
    assert(r != NULL && t != NULL && ret != NULL);
    if (index < r->count) {
        text_add(ret, "new work avoids ");
        agents_text(&r->list[index], ret);
        return true;
    }
    index -= r->count;
    uint64_t bits = mapped(r);
    for (unsigned bit = 0; bit < t->capability_count; bit++) {
        if ((bits >> bit & 1u) != 0 && index-- == 0) {
            classes_text(r, bit, ", ", true, ret);
            text_add(ret, " excluded from '");
            text_add(ret, t->capabilities[bit]);
            text_add(ret, "' routing");
            return true;
        }
    }
    return false;
}

void routing_mapping_line(const struct route_table *r, const struct topology *t, unsigned bit,
                          struct text *ret)
{
    assert(r != NULL && t != NULL && ret != NULL);
    assert(bit < t->capability_count);
    bool any = (mapped(r) >> bit & 1u) != 0;
    classes_text(r, bit, ", ", true, ret);
    text_add(ret, any ? " agents now excluded from '" : "no class is excluded from '");
    text_add(ret, t->capabilities[bit]);
    text_add(ret, "' routing");
}

/* --- the record --- */

static struct store_field field_of(struct routing_record *ret, uint32_t n, struct text *name,
                                   struct text *value)
{
    char *memory = ret->memory + (size_t)n * ROUTING_FIELD_ROOM;
    text_init(name, memory, NAME_ROOM);
    text_init(value, memory + NAME_ROOM, ROUTING_FIELD_ROOM - NAME_ROOM);
    return (struct store_field){.name = memory, .value = memory + NAME_ROOM};
}

uint32_t routing_save(const struct route_table *r, const struct topology *t,
                      struct routing_record *ret)
{
    assert(r != NULL && t != NULL && ret != NULL);
    struct text name, value;
    uint32_t n = 0;
    for (uint32_t i = 0; i < r->count; i++, n++) {
        ret->fields[n] = field_of(ret, n, &name, &value);
        text_unit(&name, r->list[i].cluster);
        for (size_t k = 0; k < name.used; k++) {
            name.at[k] = name.at[k] == '.' ? '_' : name.at[k];
        }
        text_u64(&value, r->list[i].agents);
        ret->fields[n].value_bytes = (uint32_t)value.used;
    }
    uint64_t bits = mapped(r);
    for (unsigned bit = 0; bit < t->capability_count; bit++) {
        if ((bits >> bit & 1u) != 0) {
            ret->fields[n] = field_of(ret, n, &name, &value);
            text_add(&name, t->capabilities[bit]);
            classes_text(r, bit, "", false, &value);
            ret->fields[n++].value_bytes = (uint32_t)value.used;
        }
    }
    assert(n <= ROUTING_CLUSTERS_MAX + ROUTING_MAPPED_MAX);
    return n;
}

static bool load_cluster(struct route_table *r, const struct topology *t, const char *name,
                         size_t bytes, uint64_t agents)
{
    char place[NAME_ROOM];
    const char *why = NULL;
    struct unit u;
    if (bytes >= sizeof place) {
        return false;
    }
    for (size_t k = 0; k < bytes; k++) {
        place[k] = name[k] == '_' ? '.' : name[k];
    }
    if (!unit_parse(place, bytes, &u, &why) || u.tier != TIER_CLUSTER || !topology_contains(t, u)) {
        return false;
    }
    uint32_t count = topology_cluster_places(t, u);
    uint64_t all = count >= 64 ? UINT64_MAX : (1ull << count) - 1u;
    return (agents & all) != 0 && set_cluster(r, u, agents & all, true);
}

bool routing_load(struct route_table *r, const struct topology *t, const struct store_field *field)
{
    assert(r != NULL && t != NULL && field != NULL);
    size_t bytes = strlen(field->name);
    uint64_t agents = 0;
    int bit = topology_capability(t, field->name, bytes);
    if (bit < 0) {
        return num_parse_u64(field->value, field->value_bytes, &agents) &&
               load_cluster(r, t, field->name, bytes, agents);
    }
    uint32_t mask = 0;
    for (uint32_t i = 0; i < field->value_bytes; i++) {
        enum impedance_class c = class_parse(field->value + i, 1);
        if (c == CLASS_NONE) {
            return false;
        }
        mask |= 1u << c;
    }
    return mask != 0 && routing_map(r, mask, 1ull << bit, true) != ROUTING_FULL;
}
