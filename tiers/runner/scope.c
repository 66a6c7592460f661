/* The text of roles and scopes, for the key command and status lines. Text is only a way to write
 * ranges: what is certified and compared are the ranges (keys.c). A place is cut to the tier of
 * each role, because one process may hold several ("sector,cluster") over the same part of the
 * tree. */
#include "tiers/runner/keys.h"

#include "core/topology.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    uint16_t role;
} role_names[] = {
    {"orchestrator", ROLE_ORCHESTRATOR}, {"sector", ROLE_SECTOR},
    {"cluster", ROLE_CLUSTER},           {"host", ROLE_HOST},
    {"console", ROLE_CONSOLE},           {"sim", ROLE_SIM},
};
#define ROLE_NAMES (sizeof(role_names) / sizeof(role_names[0]))

bool roles_parse(const char *text, uint16_t *ret)
{
    assert(text);
    assert(ret);
    uint16_t roles = 0;
    for (;;) {
        size_t bytes = strcspn(text, ",");
        size_t i = 0;
        while (i < ROLE_NAMES && (strlen(role_names[i].name) != bytes ||
                                  memcmp(role_names[i].name, text, bytes) != 0))
            i++;
        if (i == ROLE_NAMES)
            return false;
        roles = (uint16_t)(roles | role_names[i].role);
        if (text[bytes] == '\0')
            break;
        text += bytes + 1;
    }
    *ret = roles;
    return true;
}

static void append(char *ret, size_t size, const char *text)
{
    size_t used = strlen(ret);
    if (used + 1 < size)
        (void)snprintf(ret + used, size - used, "%s", text);
}

void roles_format(uint16_t roles, char *ret, size_t size)
{
    assert(ret && size > 0);
    assert((roles & ~ROLES_ALL) == 0);
    ret[0] = '\0';
    for (size_t i = 0; i < ROLE_NAMES; i++) {
        if (!(roles & role_names[i].role))
            continue;
        if (ret[0] != '\0')
            append(ret, size, ",");
        append(ret, size, role_names[i].name);
    }
}

struct scope_builder {
    struct unit_range *ranges;
    uint8_t count;
    bool full;
};

static void add_range(struct scope_builder *b, struct unit first, struct unit last)
{
    for (uint8_t i = 0; i < b->count; i++) {
        if (unit_equal(b->ranges[i].first, first) && unit_equal(b->ranges[i].last, last))
            return;
    }
    if (b->count == SCOPES_MAX) {
        b->full = true;
        return;
    }
    b->ranges[b->count++] = (struct unit_range){first, last};
}

/* The places first..last, cut to `tier`: missing tails become "all below". */
static void add_cut(struct scope_builder *b, enum tier tier, struct unit first, struct unit last)
{
    struct unit from = {.tier = (uint8_t)tier, .sector = first.sector};
    struct unit to = {.tier = (uint8_t)tier, .sector = last.sector};
    if (tier >= TIER_CLUSTER) {
        from.cluster = first.cluster ? first.cluster : 1;
        to.cluster = last.cluster ? last.cluster : UINT16_MAX;
    }
    if (tier >= TIER_AGENT) {
        from.agent = first.agent ? first.agent : 1;
        to.agent = last.agent ? last.agent : UINT16_MAX;
    }
    add_range(b, from, to);
}

static void add_mesh(struct scope_builder *b, uint16_t role)
{
    const struct unit low = {.sector = 1};
    const struct unit high = {.sector = UINT16_MAX};
    switch (role) {
    case ROLE_ORCHESTRATOR:
        add_range(b, unit_orchestrator(), unit_orchestrator());
        break;
    case ROLE_SECTOR:
        add_cut(b, TIER_SECTOR, low, high);
        break;
    case ROLE_CLUSTER:
        add_cut(b, TIER_CLUSTER, low, high);
        break;
    case ROLE_CONSOLE:
        add_range(b, unit_numbered(TIER_CONSOLE, 0), unit_numbered(TIER_CONSOLE, UINT32_MAX));
        break;
    default: /* host, sim */
        add_cut(b, TIER_AGENT, low, high);
        add_range(b, unit_numbered(TIER_HOST, 0), unit_numbered(TIER_HOST, UINT32_MAX));
        break;
    }
}

/* Adds what the item first..last (of one tier) means for one role; false: nothing. */
static bool add_item(struct scope_builder *b, uint16_t role, struct unit first, struct unit last)
{
    bool hosts = role == ROLE_HOST || role == ROLE_SIM;
    enum tier tier = (enum tier)first.tier;
    if (tier == TIER_ORCHESTRATOR) {
        add_mesh(b, role);
        return true;
    }
    if ((tier == TIER_HOST && hosts) || (tier == TIER_CONSOLE && role == ROLE_CONSOLE)) {
        add_range(b, first, last);
        return true;
    }
    if (tier != TIER_SECTOR && tier != TIER_CLUSTER && tier != TIER_AGENT)
        return false;
    enum tier own = role == ROLE_SECTOR    ? TIER_SECTOR
                    : role == ROLE_CLUSTER ? TIER_CLUSTER
                    : hosts                ? TIER_AGENT
                                           : TIER_NONE;
    if (own == TIER_NONE || tier > own)
        return false;
    add_cut(b, own, first, last);
    return true;
}

/* One item: a place, or two joined by '-'. Long names contain '-', too, so every split is tried. */
static bool parse_item(const char *text, size_t bytes, struct unit *first, struct unit *last,
                       const char **ret_why)
{
    const char *why = "it is not a place";
    if (unit_parse(text, bytes, first, &why)) {
        *last = *first;
        return true;
    }
    for (size_t i = 1; i + 1 < bytes; i++) {
        const char *ignored;
        if (text[i] != '-' || !unit_parse(text, i, first, &ignored) ||
            !unit_parse(text + i + 1, bytes - i - 1, last, &ignored))
            continue;
        if (first->tier != last->tier) {
            *ret_why = "both ends of a range must be places of one depth, like s01-s25";
            return false;
        }
        return true;
    }
    *ret_why = why;
    return false;
}

bool scope_parse(const char *text, uint16_t roles, struct unit_range ret[SCOPES_MAX],
                 uint8_t *ret_count, const char **ret_why)
{
    assert(text && ret_why);
    assert(roles != 0 && (roles & ~ROLES_ALL) == 0);
    struct unit_range ranges[SCOPES_MAX] = {0};
    struct scope_builder b = {.ranges = ranges};
    uint16_t served = 0;
    for (;;) {
        size_t bytes = strcspn(text, ",");
        struct unit first, last;
        if (!parse_item(text, bytes, &first, &last, ret_why))
            return false;
        bool used = false;
        for (size_t i = 0; i < ROLE_NAMES; i++) {
            uint16_t role = role_names[i].role;
            if ((roles & role) && add_item(&b, role, first, last)) {
                served = (uint16_t)(served | role);
                used = true;
            }
        }
        if (!used) {
            *ret_why = "a place is too deep for the role, or of another kind";
            return false;
        }
        if (text[bytes] == '\0')
            break;
        text += bytes + 1;
    }
    for (uint8_t i = 0; i < b.count; i++) {
        struct unit_range *r = &ranges[i];
        uint64_t from = unit_number(r->first), to = unit_number(r->last);
        if (r->first.tier != TIER_HOST && r->first.tier != TIER_CONSOLE) {
            from =
                (uint64_t)r->first.sector << 32 | (uint64_t)r->first.cluster << 16 | r->first.agent;
            to = (uint64_t)r->last.sector << 32 | (uint64_t)r->last.cluster << 16 | r->last.agent;
        }
        if (from > to) {
            *ret_why = "the first place of a range lies behind the last";
            return false;
        }
    }
    if (b.full) {
        *ret_why = "more than 8 ranges";
        return false;
    }
    if (served != roles) {
        *ret_why = "a role is left without any place";
        return false;
    }
    memcpy(ret, ranges, sizeof(ranges));
    *ret_count = b.count;
    return true;
}

/* Numbers at their highest mean "to the end". */
static void append_end(char *ret, size_t size, struct unit u)
{
    char text[UNIT_TEXT_MAX];
    if (u.sector == UINT16_MAX) {
        append(ret, size, "end");
        return;
    }
    (void)unit_format(u, text);
    append(ret, size, text);
}

void scope_format(const struct unit_range *scope, uint32_t count, char *ret, size_t size)
{
    assert(ret && size > 0);
    assert(count <= SCOPES_MAX);
    ret[0] = '\0';
    for (uint32_t i = 0; i < count; i++) {
        if (i > 0)
            append(ret, size, ",");
        append_end(ret, size, scope[i].first);
        if (unit_equal(scope[i].first, scope[i].last))
            continue;
        append(ret, size, "-");
        append_end(ret, size, scope[i].last);
    }
}
