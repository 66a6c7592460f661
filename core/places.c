/* Places as text, and sets of places.
 *
 * One parser reads short forms (`s07.c[1-3].a*`) and the spec's long ones
 * (`GPU-SECTOR3-CLUSTER7-A12`): parts of a word and a set of numbers, from the outer tier inward,
 * joined by '.' or '-'; words that name a class are passed over. Brackets of one item are
 * multiplied out into patterns, at most RANGES_MAX in all; more is an error, never a silent cut.
 *
 * Folding goes the other way. It works on one sector at a time: a 64-bit mask of agents for each of
 * its clusters. Sectors with equal masks share one text, and so do clusters within a sector. Four
 * different kinds of sectors are held open at once, so that one sector that differs does not break
 * the others' range in two. Memory is bounded by that, whatever the number of runs. */
#include "core/text.h"
#include "core/topology.h"

#include <assert.h>
#include <string.h>

#define ALL_LAST    UINT16_MAX
#define DEPTH_MAX   3u
#define SHAPES_OPEN 4u

struct range_list {
    uint32_t count;
    struct range at[RANGES_MAX];
};

struct item {
    unsigned depth; /* 0: the whole mesh */
    struct range_list tiers[DEPTH_MAX];
};

struct cursor {
    const char *text;
    size_t bytes, at;
    const struct topology *topo;
    const char *why; /* set with the first fault; `at` stands at it */
};

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_letter(char c)
{
    return lower(c) >= 'a' && lower(c) <= 'z';
}

/* The next character, 0 at the end. */
static char peek(const struct cursor *c)
{
    return c->at < c->bytes ? c->text[c->at] : '\0';
}

static void skip_spaces(struct cursor *c)
{
    while (peek(c) == ' ' || peek(c) == '\t') {
        c->at++;
    }
}

static bool fail(struct cursor *c, const char *why)
{
    assert(why != NULL);
    c->why = why;
    return false;
}

/* Keeps the list sorted and merged: overlapping and adjoining ranges become one. */
static bool list_add(struct range_list *list, struct range r)
{
    uint32_t from = 0;
    while (from < list->count && (uint32_t)list->at[from].last + 1u < r.first) {
        from++;
    }
    uint32_t to = from; /* [from, to) touch r */
    while (to < list->count && list->at[to].first <= (uint32_t)r.last + 1u) {
        r.first = r.first < list->at[to].first ? r.first : list->at[to].first;
        r.last = r.last > list->at[to].last ? r.last : list->at[to].last;
        to++;
    }
    if (to == from && list->count == RANGES_MAX) {
        return false;
    }
    memmove(&list->at[from + 1u], &list->at[to], (list->count - to) * sizeof list->at[0]);
    list->count = list->count + 1u - (to - from);
    list->at[from] = r;
    return true;
}

static const struct range ALL = {1, ALL_LAST};

static bool parse_number(struct cursor *c, unsigned tier, uint16_t *ret)
{
    static const char *const ABOVE[DEPTH_MAX] = {"no sector has so high a number",
                                                 "no cluster has so high a number",
                                                 "no agent has so high a number"};
    assert(tier < DEPTH_MAX);
    size_t start = c->at;
    uint32_t value = 0;
    while (is_digit(peek(c)) && value <= UINT16_MAX) {
        value = value * 10u + (uint32_t)(peek(c) - '0');
        c->at++;
    }
    if (c->at == start) {
        return fail(c, "a number is missing here");
    }
    uint32_t max = UINT16_MAX - 1u;
    if (c->topo != NULL) {
        max = tier == 0   ? c->topo->sectors
              : tier == 1 ? c->topo->clusters_per_sector
                          : (uint32_t)c->topo->agents_per_cluster + c->topo->spare;
    }
    if (value < 1 || value > max) {
        c->at = start;
        return fail(c, value < 1 ? "numbers start at 1" : ABOVE[tier]);
    }
    *ret = (uint16_t)value;
    return true;
}

/* `1,3-5]` after the bracket. */
static bool parse_bracket(struct cursor *c, unsigned tier, struct range_list *ret)
{
    for (;;) {
        skip_spaces(c);
        struct range r;
        size_t start = c->at;
        if (!parse_number(c, tier, &r.first)) {
            return false;
        }
        r.last = r.first;
        if (peek(c) == '-') {
            c->at++;
            if (!parse_number(c, tier, &r.last)) {
                return false;
            }
        }
        if (r.last < r.first) {
            c->at = start;
            return fail(c, "this range runs backwards");
        }
        if (!list_add(ret, r)) {
            c->at = start;
            return fail(c, "more than 32 ranges in one bracket");
        }
        skip_spaces(c);
        if (peek(c) == ']') {
            c->at++;
            return true;
        }
        if (peek(c) != ',') {
            return fail(c, "expected ',' or ']' in the bracket");
        }
        c->at++;
    }
}

static bool parse_set(struct cursor *c, unsigned tier, struct range_list *ret)
{
    ret->count = 0;
    if (peek(c) == '*') {
        c->at++;
        return list_add(ret, ALL);
    }
    if (peek(c) == '[') {
        c->at++;
        return parse_bracket(c, tier, ret);
    }
    struct range r = {0, 0};
    if (!parse_number(c, tier, &r.first)) {
        return false;
    }
    r.last = r.first;
    return list_add(ret, r);
}

static bool word_is(const char *word, size_t len, const char *name)
{
    for (size_t i = 0; i < len; i++) {
        if (lower(word[i]) != name[i]) {
            return false; /* also at the name's NUL: no letter equals it */
        }
    }
    return name[len] == '\0';
}

enum word { WORD_UNKNOWN, WORD_TIER, WORD_CLASS, WORD_MESH };

static enum word word_kind(const char *word, size_t len, unsigned *ret_tier)
{
    static const char *const TIERS[DEPTH_MAX][2] = {
        {"s", "sector"}, {"c", "cluster"}, {"a", "agent"}};
    static const char *const MESH[] = {"mesh", "all", "global"};
    static const char *const CLASSES[] = {"gpu",        "edge",  "serverless",
                                          "persistent", "local", "human"};
    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        if (word_is(word, len, TIERS[i][0]) || word_is(word, len, TIERS[i][1])) {
            *ret_tier = i;
            return WORD_TIER;
        }
    }
    for (unsigned i = 0; i < sizeof MESH / sizeof MESH[0]; i++) {
        if (word_is(word, len, MESH[i])) {
            return WORD_MESH;
        }
    }
    for (unsigned i = 0; i < sizeof CLASSES / sizeof CLASSES[0]; i++) {
        if (word_is(word, len, CLASSES[i])) {
            return WORD_CLASS;
        }
    }
    return WORD_UNKNOWN;
}

/* One part: `*`, `s07`, `SECTOR-[1-3]`, or a class word, which adds nothing. */
static bool parse_part(struct cursor *c, struct item *it)
{
    unsigned tier = it->depth;
    if (peek(c) != '*') {
        size_t start = c->at;
        while (is_letter(peek(c))) {
            c->at++;
        }
        enum word kind = word_kind(c->text + start, c->at - start, &tier);
        if (kind == WORD_CLASS) {
            return true;
        }
        if (kind != WORD_TIER) {
            c->at = start;
            return fail(c, it->depth > 0 && is_digit(peek(c))
                               ? "a range needs brackets: s[1-3]"
                               : "expected a place: s07, s07.c3, s07.c3.a12 or mesh");
        }
        if (tier != it->depth) {
            c->at = start;
            return fail(c, tier < it->depth ? "this tier stands there already"
                                            : "a tier is missing before this: s07.c3.a12");
        }
        if (peek(c) == '-') {
            c->at++;
        }
    }
    if (it->depth == DEPTH_MAX) {
        return fail(c, "an agent has nothing below it");
    }
    if (!parse_set(c, tier, &it->tiers[tier])) {
        return false;
    }
    it->depth++;
    return true;
}

/* One place up to ',' or the end. */
static bool parse_item(struct cursor *c, struct item *ret)
{
    ret->depth = 0;
    skip_spaces(c);
    size_t start = c->at;
    while (is_letter(peek(c))) {
        c->at++;
    }
    unsigned tier;
    if (word_kind(c->text + start, c->at - start, &tier) == WORD_MESH) {
        skip_spaces(c);
        return true;
    }
    c->at = start;
    for (;;) {
        if (!parse_part(c, ret)) {
            return false;
        }
        if (peek(c) != '.' && peek(c) != '-') {
            break;
        }
        c->at++;
    }
    skip_spaces(c);
    if (ret->depth == 0) {
        return fail(c, "expected a place: s07, s07.c3, s07.c3.a12 or mesh");
    }
    for (unsigned i = ret->depth; i < DEPTH_MAX; i++) {
        ret->tiers[i] = (struct range_list){.count = 1, .at = {ALL}};
    }
    return true;
}

static bool is_all(struct range r)
{
    return r.last == 0 || (r.first <= 1 && r.last == ALL_LAST);
}

static bool range_has(struct range r, unsigned number)
{
    return is_all(r) || (number >= r.first && number <= r.last);
}

/* Multiplies the brackets out. */
static bool add_patterns(struct place_set *set, const struct item *it)
{
    for (uint32_t s = 0; s < it->tiers[0].count; s++) {
        for (uint32_t k = 0; k < it->tiers[1].count; k++) {
            for (uint32_t a = 0; a < it->tiers[2].count; a++) {
                if (set->count == RANGES_MAX) {
                    return false;
                }
                set->patterns[set->count] =
                    (struct pattern){it->tiers[0].at[s], it->tiers[1].at[k], it->tiers[2].at[a]};
                set->count++;
            }
        }
    }
    return true;
}

bool place_parse(const char *text, size_t bytes, const struct topology *t, struct place_set *ret,
                 size_t *ret_at, const char **ret_why)
{
    assert(text != NULL || bytes == 0);
    assert(ret != NULL && ret_at != NULL && ret_why != NULL);
    struct cursor c = {.text = text == NULL ? "" : text, .bytes = bytes, .topo = t};
    struct place_set set = {0};
    bool whole = false;
    bool good = true;
    for (;;) {
        struct item it;
        size_t start = c.at;
        good = parse_item(&c, &it);
        if (good && it.depth > 0 && !add_patterns(&set, &it)) {
            c.at = start;
            good = fail(&c, "more than 32 patterns after the brackets are multiplied out");
        }
        if (good && c.at < c.bytes && peek(&c) != ',') {
            good = fail(&c, "unexpected text after the place");
        }
        if (!good || c.at >= c.bytes) {
            whole = whole || (good && it.depth == 0);
            break;
        }
        whole = whole || it.depth == 0;
        c.at++;
    }
    if (!good) {
        *ret_at = c.at;
        *ret_why = c.why;
        return false;
    }
    for (uint32_t i = 0; i < set.count; i++) {
        const struct pattern *p = &set.patterns[i];
        whole = whole || (is_all(p->sector) && is_all(p->cluster) && is_all(p->agent));
    }
    if (whole) {
        memset(&set, 0, sizeof set);
    }
    *ret = set;
    return true;
}

/* `h3`, `host-3`, `console7`. */
static bool parse_numbered(const char *text, size_t bytes, struct unit *ret)
{
    static const struct {
        const char *name;
        enum tier tier;
    } NAMES[] = {{"h", TIER_HOST}, {"host", TIER_HOST}, {"console", TIER_CONSOLE}};
    size_t letters = 0;
    while (letters < bytes && is_letter(text[letters])) {
        letters++;
    }
    for (unsigned i = 0; i < sizeof NAMES / sizeof NAMES[0]; i++) {
        if (!word_is(text, letters, NAMES[i].name)) {
            continue;
        }
        size_t at = letters < bytes && text[letters] == '-' ? letters + 1u : letters;
        uint64_t value = 0;
        for (; at < bytes && is_digit(text[at]) && value <= UINT32_MAX; at++) {
            value = value * 10u + (uint64_t)(text[at] - '0');
        }
        if (at == bytes && value >= 1 && value <= UINT32_MAX) {
            *ret = unit_numbered(NAMES[i].tier, (uint32_t)value);
            return true;
        }
    }
    return false;
}

bool unit_parse(const char *text, size_t bytes, struct unit *ret, const char **ret_why)
{
    assert(text != NULL || bytes == 0);
    assert(ret != NULL && ret_why != NULL);
    if (bytes > 0 && parse_numbered(text, bytes, ret)) {
        return true;
    }
    if (bytes == sizeof "orchestrator" - 1u && word_is(text, bytes, "orchestrator")) {
        *ret = unit_orchestrator();
        return true;
    }
    struct cursor c = {.text = text == NULL ? "" : text, .bytes = bytes};
    struct item it;
    if (!parse_item(&c, &it)) {
        *ret_why = c.why;
        return false;
    }
    if (c.at < c.bytes) {
        *ret_why = peek(&c) == ',' ? "one place is expected, not a list"
                                   : "unexpected text after the place";
        return false;
    }
    for (unsigned i = 0; i < it.depth; i++) {
        if (it.tiers[i].count != 1 || it.tiers[i].at[0].first != it.tiers[i].at[0].last) {
            *ret_why = "one place is expected, not a range";
            return false;
        }
    }
    uint16_t number[DEPTH_MAX];
    for (unsigned i = 0; i < DEPTH_MAX; i++) {
        number[i] = i < it.depth ? it.tiers[i].at[0].first : 0;
    }
    *ret = it.depth == 0   ? unit_orchestrator()
           : it.depth == 1 ? unit_sector(number[0])
           : it.depth == 2 ? unit_cluster(number[0], number[1])
                           : unit_agent(number[0], number[1], number[2]);
    return true;
}

size_t unit_format(struct unit u, char ret[UNIT_TEXT_MAX])
{
    assert(ret != NULL);
    struct text t;
    text_init(&t, ret, UNIT_TEXT_MAX);
    text_unit(&t, u);
    assert(!t.cut);
    return t.used;
}

bool place_has_agent(const struct place_set *p, struct unit agent)
{
    assert(p != NULL && p->count <= RANGES_MAX);
    assert(agent.tier == TIER_AGENT);
    for (uint32_t i = 0; i < p->count; i++) {
        if (range_has(p->patterns[i].sector, agent.sector) &&
            range_has(p->patterns[i].cluster, agent.cluster) &&
            range_has(p->patterns[i].agent, agent.agent)) {
            return true;
        }
    }
    return p->count == 0;
}

bool place_names_agent(const struct place_set *p, struct unit agent)
{
    assert(p != NULL && p->count <= RANGES_MAX);
    assert(agent.tier == TIER_AGENT);
    for (uint32_t i = 0; i < p->count; i++) {
        struct range r = p->patterns[i].agent;
        if (r.last != 0 && r.last < ALL_LAST && range_has(p->patterns[i].sector, agent.sector) &&
            range_has(p->patterns[i].cluster, agent.cluster) && range_has(r, agent.agent)) {
            return true;
        }
    }
    return false;
}

bool place_covers(const struct place_set *p, struct unit cluster)
{
    assert(p != NULL && p->count <= RANGES_MAX);
    assert(cluster.tier == TIER_CLUSTER);
    for (uint32_t i = 0; i < p->count; i++) {
        if (is_all(p->patterns[i].agent) && range_has(p->patterns[i].sector, cluster.sector) &&
            range_has(p->patterns[i].cluster, cluster.cluster)) {
            return true;
        }
    }
    return p->count == 0;
}

bool place_touches(const struct place_set *p, struct unit u)
{
    assert(p != NULL && p->count <= RANGES_MAX);
    assert(u.tier == TIER_SECTOR || u.tier == TIER_CLUSTER);
    for (uint32_t i = 0; i < p->count; i++) {
        if (range_has(p->patterns[i].sector, u.sector) &&
            (u.tier == TIER_SECTOR || range_has(p->patterns[i].cluster, u.cluster))) {
            return true;
        }
    }
    return p->count == 0;
}

uint64_t place_children(const struct place_set *p, const struct topology *t, struct unit u,
                        unsigned first)
{
    assert(p != NULL && t != NULL && first >= 1);
    assert(topology_contains(t, u));
    assert(u.tier == TIER_ORCHESTRATOR || u.tier == TIER_SECTOR || u.tier == TIER_CLUSTER);
    uint32_t count = u.tier == TIER_ORCHESTRATOR ? t->sectors
                     : u.tier == TIER_SECTOR     ? topology_sector_clusters(t, u.sector)
                                                 : topology_cluster_places(t, u);
    uint64_t mask = 0;
    for (unsigned i = 0; i < 64 && first + i <= count; i++) {
        unsigned number = first + i;
        bool touched = u.tier == TIER_ORCHESTRATOR ? place_touches(p, unit_sector(number))
                       : u.tier == TIER_SECTOR
                           ? place_touches(p, unit_cluster(u.sector, number))
                           : place_has_agent(p, unit_agent(u.sector, u.cluster, number));
        mask |= (uint64_t)touched << i;
    }
    return mask;
}

/* What of one sector is in the set. A cluster that is in it as a whole has all 64 bits, so that a
 * short last cluster folds with the others. */
struct shape {
    bool whole;
    uint32_t count; /* of the clusters that a sector may have */
    uint64_t clusters[CLUSTERS_PER_SECTOR_MAX];
    struct range_list sectors; /* that look so */
};

/* Agents of one cluster that are in the runs, first_index: the cluster's first. All that are
 * planned and nobody else are the cluster as a whole. */
static uint64_t cluster_mask(const struct run *runs, uint32_t count, uint32_t first_index,
                             uint32_t agents, uint32_t spare)
{
    uint64_t mask = 0;
    uint32_t end = first_index + agents + spare - 1u;
    for (uint32_t i = 0; i < count; i++) {
        if (runs[i].first > end || runs[i].last < first_index || runs[i].last < runs[i].first) {
            continue;
        }
        uint32_t from = runs[i].first > first_index ? runs[i].first - first_index : 0;
        uint32_t to = (runs[i].last < end ? runs[i].last : end) - first_index;
        mask |= (UINT64_MAX >> (63u - (to - from))) << from;
    }
    return mask == UINT64_MAX >> (64u - agents) ? UINT64_MAX : mask;
}

/* Leaves of the runs those from the first to the last that touch the places from..to; returns how
 * many. */
static uint32_t runs_within(const struct run **runs, uint32_t count, uint32_t from, uint32_t to)
{
    while (count > 0 && ((*runs)->last < from || (*runs)->first > to)) {
        (*runs)++;
        count--;
    }
    while (count > 0 && ((*runs)[count - 1u].last < from || (*runs)[count - 1u].first > to)) {
        count--;
    }
    return count;
}

/* False when nothing of the sector is in the set. */
static bool sector_shape(const struct topology *t, const struct run *runs, uint32_t count,
                         unsigned sector, struct shape *ret)
{
    uint32_t places = (uint32_t)t->agents_per_cluster + t->spare; /* of a cluster */
    uint32_t first = (sector - 1u) * t->clusters_per_sector * places;
    bool any = false;
    count = runs_within(&runs, count, first, first + t->clusters_per_sector * places - 1u);
    if (count == 0) {
        return false;
    }
    uint32_t clusters = topology_sector_clusters(t, sector);
    ret->whole = true;
    ret->count = t->clusters_per_sector;
    for (uint32_t i = clusters; i < ret->count; i++) {
        ret->clusters[i] = 0;
    }
    for (uint32_t i = 0; i < clusters; i++) {
        bool last = i + 1u == clusters; /* it alone may be a short one */
        uint32_t agents =
            last ? topology_cluster_agents(t, unit_cluster(sector, i + 1u)) : t->agents_per_cluster;
        ret->clusters[i] = cluster_mask(runs, count, first + i * places, agents, t->spare);
        any = any || ret->clusters[i] != 0;
        ret->whole = ret->whole && ret->clusters[i] == UINT64_MAX;
    }
    return any;
}

static void add_set(struct text *t, const struct range_list *list, bool two_digits)
{
    assert(list->count > 0);
    bool bracket = list->count > 1 || list->at[0].first != list->at[0].last;
    if (bracket) {
        text_char(t, '[');
    }
    for (uint32_t i = 0; i < list->count; i++) {
        if (i > 0) {
            text_char(t, ',');
        }
        for (unsigned number = list->at[i].first;; number = list->at[i].last) {
            if (two_digits) {
                text_two_digits(t, number);
            } else {
                text_u64(t, number);
            }
            if (number == list->at[i].last) {
                break;
            }
            text_char(t, '-');
        }
    }
    if (bracket) {
        text_char(t, ']');
    }
}

static struct range_list mask_list(uint64_t mask)
{
    struct range_list list = {0};
    for (unsigned i = 0; i < 64 && mask >> i != 0; i++) {
        if ((mask >> i & 1u) != 0) {
            uint16_t number = (uint16_t)(i + 1u);
            bool added = list_add(&list, (struct range){number, number});
            assert(added); /* 64 bits make 32 ranges at most */
            (void)added;
        }
    }
    return list;
}

/* Text under construction. `good` is how much of it ends on a whole place and leaves room for the
 * dots. */
struct fold {
    struct text text;
    size_t good;
};

#define DOTS ",..."

static void add_place(struct fold *f, const struct range_list *sectors, uint64_t clusters,
                      uint64_t agents)
{
    struct text *t = &f->text;
    if (t->used > 0) {
        text_char(t, ',');
    }
    text_char(t, 's');
    add_set(t, sectors, true);
    if (clusters != 0) {
        struct range_list list = mask_list(clusters);
        text_add(t, ".c");
        add_set(t, &list, false);
    }
    if (clusters != 0 && agents != UINT64_MAX) {
        struct range_list list = mask_list(agents);
        text_add(t, ".a");
        add_set(t, &list, false);
    }
    if (!t->cut && t->used + sizeof DOTS <= t->size) {
        f->good = t->used;
    }
}

static void add_shape(struct fold *f, const struct shape *shape)
{
    if (shape->whole) {
        add_place(f, &shape->sectors, 0, 0);
        return;
    }
    uint64_t done = 0;
    for (unsigned i = 0; i < shape->count; i++) {
        uint64_t same = 0;
        if (shape->clusters[i] == 0 || (done >> i & 1u) != 0) {
            continue;
        }
        for (unsigned k = i; k < shape->count; k++) {
            same |= (uint64_t)(shape->clusters[k] == shape->clusters[i]) << k;
        }
        add_place(f, &shape->sectors, same, shape->clusters[i]);
        done |= same;
    }
}

static bool shape_equal(const struct shape *a, const struct shape *b)
{
    assert(a->count == b->count || a->whole || b->whole);
    return a->whole == b->whole &&
           (a->whole || memcmp(a->clusters, b->clusters, a->count * sizeof *a->clusters) == 0);
}

/* Adds the sector to an open shape that looks the same, or opens one; the oldest is written when
 * all are open. */
static void take_shape(struct fold *f, struct shape open[SHAPES_OPEN], uint32_t *open_count,
                       struct shape *next, unsigned sector)
{
    struct range number = {(uint16_t)sector, (uint16_t)sector};
    for (uint32_t i = 0; i < *open_count; i++) {
        if (shape_equal(&open[i], next) && list_add(&open[i].sectors, number)) {
            return;
        }
    }
    if (*open_count == SHAPES_OPEN) {
        add_shape(f, &open[0]);
        memmove(&open[0], &open[1], (SHAPES_OPEN - 1u) * sizeof open[0]);
        (*open_count)--;
    }
    next->sectors = (struct range_list){.count = 1, .at = {number}};
    open[*open_count] = *next;
    (*open_count)++;
}

bool runs_format(const struct topology *t, const struct run *runs, uint32_t count, char *ret,
                 size_t size)
{
    assert(t != NULL && topology_check(t) == NULL);
    assert(runs != NULL || count == 0);
    assert(ret != NULL && size >= sizeof DOTS);
    struct fold f = {.good = 0};
    struct shape open[SHAPES_OPEN];
    uint32_t open_count = 0;
    text_init(&f.text, ret, size);
    for (unsigned sector = 1; sector <= t->sectors && !f.text.cut; sector++) {
        struct shape next;
        if (sector_shape(t, runs, count, sector, &next)) {
            take_shape(&f, open, &open_count, &next, sector);
        }
    }
    bool all = open_count == 1 && open[0].whole && open[0].sectors.count == 1 &&
               open[0].sectors.at[0].first == 1 && open[0].sectors.at[0].last == t->sectors;
    if (all && f.text.used == 0) {
        text_add(&f.text, "mesh");
        return true;
    }
    for (uint32_t i = 0; i < open_count; i++) {
        add_shape(&f, &open[i]);
    }
    if (f.text.cut) {
        f.text.used = f.good;
        f.text.cut = false;
        text_add(&f.text, f.good > 0 ? DOTS : &DOTS[1]);
        return false;
    }
    return true;
}
