/* What a console asks to be moved, and where to (spec 10.3: redistribute agents to healthy
 * clusters). Who is meant follows from the topology and the table alone, so that a cluster whose
 * lead is gone can be moved, too. Where to is asked of the sectors: clusters with free places whose
 * agents are in service behind closed breakers, those of the same sector first, the least loaded
 * first. Nothing is left to chance or done in part: either all have a place, or nobody moves.
 *
 * The console hears the plan line by line, then, asked for every second, that they have arrived, or
 * after a while how many; the others follow whenever they can. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define ASK_US        US_PER_S
#define QUERY_WAIT_US (4ll * US_PER_S)
#define PATIENCE_US   (90ll * US_PER_S)
#define LINES_MAX     16u
#define SAY_US        (5ll * US_PER_S)
#define HEALTHY       950u /* permille in service, as in hub.c */
#define IN_SERVICE    (1u << AGENT_ACTIVE | 1u << AGENT_DEGRADED | 1u << AGENT_FROZEN)

static struct watch *watch_of(struct orchestrator *o)
{
    return &o->watches[o->moves.plan.watch];
}

static void plan_end(struct orchestrator *o)
{
    o->moves.plan.busy = false;
    watch_end(o, watch_of(o));
}

static void plan_fail(struct orchestrator *o, enum reason reason, const char *text)
{
    struct watch *w = watch_of(o);
    struct reply r = {
        .ref = w->ref, .kind = REPLY_ERROR, .final = true, .reason = reason, .text = text};
    hub_reply(&o->hub, w->console, &r);
    w->kind = WATCH_FREE;
    o->moves.plan.busy = false;
}

static uint64_t mask_of(uint32_t from, uint32_t count)
{
    return count == 0 ? 0 : UINT64_MAX >> (64u - count) << from;
}

/* --- who --- */

static bool add_home(struct move_plan *p, struct unit home)
{
    for (uint32_t i = 0; i < p->count; i++) {
        if (unit_equal(p->homes[i], home)) {
            return true;
        }
    }
    if (p->count == MOVE_AGENTS_MAX) {
        return false;
    }
    p->homes[p->count++] = home;
    return true;
}

/* Of one cluster: those who are at home in it, or (back) belong there; and its guests. */
static bool collect_cluster(struct orchestrator *o, const struct place_set *places,
                            struct unit cluster)
{
    const struct move_table *t = &o->moves.table;
    struct move_plan *p = &o->moves.plan;
    uint64_t away = moves_away(t, cluster), guests = moves_guests(t, cluster);
    uint64_t planned = mask_of(0, topology_cluster_agents(o->hub.topology, cluster));
    uint64_t mask = p->back ? away | guests : (planned & ~away) | guests;
    for (; mask != 0; mask &= mask - 1u) {
        uint32_t n = num_lowest_bit(mask);
        struct unit u = unit_agent(cluster.sector, cluster.cluster, n + 1u);
        struct unit home = (guests >> n & 1u) != 0 ? moves_home(t, u) : u;
        if (place_has_agent(places, u) && !add_home(p, home)) {
            return false;
        }
    }
    return true;
}

static bool collect(struct orchestrator *o, const struct place_set *places)
{
    const struct topology *t = o->hub.topology;
    for (unsigned s = 1; s <= t->sectors; s++) {
        for (unsigned c = 1; c <= topology_sector_clusters(t, s); c++) {
            struct unit cluster = unit_cluster(s, c);
            if (place_touches(places, cluster) && !collect_cluster(o, places, cluster)) {
                return false;
            }
        }
    }
    return true;
}

/* --- lines --- */

static void move_line(const struct move *m, struct text *t)
{
    text_add(t, "- ");
    text_places(t, m->home, m->agents);
    text_add(t, m->back ? " home again from " : " to ");
    text_places(t, m->place, m->places);
}

static void summed_line(struct orchestrator *o, uint32_t agents, const char *after)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_u64(&t, agents);
    text_add(&t, after);
    watch_line(o, watch_of(o), memory);
}

static void list_command(struct orchestrator *o, const struct msg *msg)
{
    const struct move_table *table = &o->moves.table;
    uint32_t shown = 0;
    for (uint32_t i = 0; i < table->count; i++) {
        char memory[TEXT_BYTES_MAX];
        struct text t;
        text_init(&t, memory, sizeof(memory));
        if (table->list[i].back || !outbox_room(o->hub.out, 4, 2048)) {
            continue;
        }
        move_line(&table->list[i], &t);
        hub_reply_line(&o->hub, msg, memory);
        shown++;
    }
    if (shown == 0) {
        hub_reply_line(&o->hub, msg, "every agent lives where it was planned");
    }
    hub_reply_ok(&o->hub, msg);
}

/* --- what is done --- */

/* Agents of one home whose places are in one cluster, from the i-th on, as one move; they are
 * marked. Places are given anew in the order of the agents. */
static struct move group(struct move_plan *p, uint32_t i, uint64_t *done)
{
    struct move m = {.home = topology_parent(p->homes[i]), .place = topology_parent(p->places[i])};
    for (uint32_t k = i; k < p->count; k++) {
        if (unit_equal(topology_parent(p->homes[k]), m.home) &&
            unit_equal(topology_parent(p->places[k]), m.place)) {
            m.agents |= mask_of(p->homes[k].agent - 1u, 1);
            m.places |= mask_of(p->places[k].agent - 1u, 1);
            done[k / 64u] |= UINT64_C(1) << k % 64u;
        }
    }
    return m;
}

/* All that follows from the plan, in moves; NULL: only count them. Those who live elsewhere leave
 * that place first. */
static uint32_t each_move(struct orchestrator *o, bool back,
                          void (*act)(struct orchestrator *o, struct move *m, uint32_t n))
{
    struct move_plan *p = &o->moves.plan;
    uint64_t done[MOVE_AGENTS_MAX / 64u] = {0};
    uint32_t n = 0;
    for (uint32_t i = 0; i < p->count; i++) {
        if ((done[i / 64u] >> i % 64u & 1u) != 0 || p->places[i].tier == TIER_NONE) {
            continue;
        }
        struct move m = group(p, i, done);
        m.back = back;
        if (act != NULL) {
            act(o, &m, n);
        }
        n++;
    }
    return n;
}

static void say_move(struct orchestrator *o, struct move *m, uint32_t n)
{
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    move_line(m, &t);
    if (n < LINES_MAX) {
        watch_line(o, watch_of(o), memory);
    }
}

static void enter_move(struct orchestrator *o, struct move *m, uint32_t n)
{
    (void)n;
    m->id = moves_next_id(o);
    bool entered = moves_enter(o, m);
    assert(entered); /* room was asked for before */
    (void)entered;
}

/* The places where they are now; those that are at home have none. */
static void present_places(struct orchestrator *o, struct unit keep[MOVE_AGENTS_MAX])
{
    struct move_plan *p = &o->moves.plan;
    memcpy(keep, p->places, sizeof(p->places));
    for (uint32_t i = 0; i < p->count; i++) {
        struct unit at = moves_place(&o->moves.table, p->homes[i]);
        p->places[i] = unit_equal(at, p->homes[i]) ? (struct unit){0} : at;
    }
}

/* The plan stands: it is said, and unless it is a dry run it begins. */
static void settle(struct orchestrator *o)
{
    struct move_plan *p = &o->moves.plan;
    struct unit wanted[MOVE_AGENTS_MAX];
    uint32_t moves = each_move(o, p->back, NULL);
    if (!moves_room(o, 2u * moves)) { /* each may have to leave another place first */
        plan_fail(o, REASON_OVERLOAD, "move: 512 groups of agents live elsewhere: bring some back");
        return;
    }
    summed_line(o, p->count, p->dry ? " agents would move:" : " agents move:");
    (void)each_move(o, p->back, say_move);
    if (moves > LINES_MAX) {
        summed_line(o, moves - LINES_MAX, " lines more");
    }
    if (p->dry) {
        plan_end(o);
        return;
    }
    if (!p->back) { /* whoever lives elsewhere leaves that place first */
        present_places(o, wanted);
        (void)each_move(o, true, enter_move);
        memcpy(p->places, wanted, sizeof(p->places));
    }
    (void)each_move(o, p->back, enter_move);
    for (uint32_t i = 0; i < p->count; i++) {
        p->places[i] = moves_place(&o->moves.table, p->homes[i]);
    }
    p->asked = true;
    p->ask_us = o->hub.now_us + ASK_US;
    p->say_us = o->hub.now_us + SAY_US;
    watch_of(o)->due_us = o->hub.now_us + PATIENCE_US;
}

/* --- where to --- */

/* after: the last row of the page before; 0: the first page. */
static void ask(struct orchestrator *o, enum query_kind kind, const struct place_set *places,
                uint64_t after)
{
    struct move_plan *p = &o->moves.plan;
    struct query *q = own_query(o, kind, &p->ask_ref);
    q->from_start = after == 0;
    q->after_key = after;
    q->limit = PAGE_ROWS_MAX;
    q->selector.places = *places;
    p->ask_us = o->hub.now_us + QUERY_WAIT_US;
    own_query_send(o);
}

static bool has_sector(const struct place_set *set, unsigned sector)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (set->patterns[i].sector.first == sector) {
            return true;
        }
    }
    return false;
}

static void add_sector(struct place_set *set, unsigned sector)
{
    set->patterns[set->count++] = (struct pattern){.sector = {(uint16_t)sector, (uint16_t)sector}};
}

/* The sectors of those that move, then the healthiest others, MOVE_CLUSTERS_MAX in all. */
static void auto_places(struct orchestrator *o, struct place_set *ret)
{
    struct hub *h = &o->hub;
    const struct move_plan *p = &o->moves.plan;
    uint32_t most = MOVE_CLUSTERS_MAX / h->topology->clusters_per_sector;
    most = most < 1 ? 1 : most > RANGES_MAX ? RANGES_MAX : most;
    ret->count = 0;
    for (uint32_t i = 0; i < p->count && ret->count < most; i++) {
        if (!has_sector(ret, p->homes[i].sector)) {
            add_sector(ret, p->homes[i].sector);
        }
    }
    while (ret->count < most) {
        uint32_t best = UINT32_MAX, share = 0;
        for (uint32_t i = 0; i < h->children_count; i++) {
            const struct summary *s = &h->child[i].summary;
            uint32_t now = s->agents > 0 ? s->active * 1000u / s->agents + 1u : 0;
            bool good = children_reachable(&h->children, i) && h->child[i].has_summary;
            if (good && now > share && !has_sector(ret, i + 1)) {
                best = i;
                share = now;
            }
        }
        if (best == UINT32_MAX) {
            return;
        }
        add_sector(ret, best + 1);
    }
}

/* Whether one of those that move is there now. */
static bool is_source(const struct orchestrator *o, struct unit cluster)
{
    const struct move_plan *p = &o->moves.plan;
    for (uint32_t i = 0; i < p->count; i++) {
        struct unit at = moves_place(&o->moves.table, p->homes[i]);
        if (unit_equal(topology_parent(at), cluster)) {
            return true;
        }
    }
    return false;
}

static bool healthy(const struct summary *s)
{
    return s->circuit != CIRCUIT_OPEN &&
           (s->agents == 0 || (uint64_t)s->active * 1000u > (uint64_t)s->agents * HEALTHY);
}

/* False: the console has been told that it will not do. */
static bool take_target(struct orchestrator *o, struct unit cluster, const struct summary *s)
{
    struct move_plan *p = &o->moves.plan;
    const struct topology *t = o->hub.topology;
    char memory[TEXT_BYTES_MAX];
    struct text why;
    text_init(&why, memory, sizeof(memory));
    text_add(&why, "to: ");
    text_unit(&why, cluster);
    bool source = is_source(o, cluster), good = healthy(s);
    if (p->named && (source || !good)) {
        text_add(&why, source ? ": they are there now"
                              : ": it is not healthy itself: choose others, or heal it first");
        plan_fail(o, REASON_INVALID, memory);
        return false;
    }
    uint64_t away = moves_away(&o->moves.table, cluster);
    const struct scale_row *row = scale_row(&o->scale, cluster, false);
    uint64_t newcomers = row != NULL ? row->old | row->fresh : 0;
    uint64_t guests = moves_guests(&o->moves.table, cluster) | newcomers;
    uint32_t planned = topology_cluster_agents(t, cluster);
    bool strangers = s->agents > planned - num_bits(away) + num_bits(guests);
    if (source || !good || strangers || p->target_count == MOVE_CLUSTERS_MAX) {
        return true;
    }
    bool near = false;
    for (uint32_t i = 0; i < p->count; i++) {
        near = near || p->homes[i].sector == cluster.sector;
    }
    p->targets[p->target_count++] = (struct move_target){.cluster = cluster,
                                                         .agents = s->agents,
                                                         .free = mask_of(planned, t->spare) &
                                                                 ~guests & ~scale_taken(o, cluster),
                                                         .near = near};
    return true;
}

static struct move_target *best_target(struct move_plan *p, struct unit home)
{
    struct move_target *best = NULL;
    for (uint32_t i = 0; i < p->target_count; i++) {
        struct move_target *at = &p->targets[i];
        if (at->free == 0 || unit_equal(at->cluster, topology_parent(home))) {
            continue;
        }
        bool near = at->cluster.sector == home.sector;
        bool best_near = best != NULL && best->cluster.sector == home.sector;
        if (best == NULL || (near && !best_near) ||
            (near == best_near && at->agents < best->agents)) {
            best = at;
        }
    }
    return best;
}

static void assign(struct orchestrator *o)
{
    struct move_plan *p = &o->moves.plan;
    uint32_t free = 0;
    for (uint32_t i = 0; i < p->target_count; i++) {
        free += num_bits(p->targets[i].free);
    }
    for (uint32_t i = 0; i < p->count; i++) {
        struct move_target *at = best_target(p, p->homes[i]);
        if (at == NULL) {
            char memory[TEXT_BYTES_MAX];
            struct text t;
            text_init(&t, memory, sizeof(memory));
            text_u64(&t, free);
            text_add(&t, " free places in ");
            text_u64(&t, p->target_count);
            text_add(&t, " healthy clusters for ");
            text_u64(&t, p->count);
            text_add(&t, " agents: a cluster has ");
            text_u64(&t, o->hub.topology->spare);
            text_add(&t, " spare places (`spare`; with its agents 64 at most)");
            plan_fail(o, REASON_OVERLOAD, memory);
            return;
        }
        uint32_t n = num_lowest_bit(at->free);
        p->places[i] = unit_agent(at->cluster.sector, at->cluster.cluster, n + 1u);
        at->free &= at->free - 1u;
        at->agents++;
    }
    settle(o);
}

/* --- their arrival --- */

static void ask_arrivals(struct orchestrator *o)
{
    struct move_plan *p = &o->moves.plan;
    struct place_set set = {0};
    uint32_t looked = 0;
    for (; looked < p->count; looked++, p->cursor = (p->cursor + 1u) % p->count) {
        struct unit u = p->places[p->cursor];
        uint32_t k = 0;
        while (k < set.count && (set.patterns[k].sector.first != u.sector ||
                                 set.patterns[k].cluster.first != u.cluster)) {
            k++;
        }
        if ((p->here[p->cursor / 64u] >> p->cursor % 64u & 1u) != 0) {
            continue;
        }
        if (k == RANGES_MAX) {
            break;
        }
        struct pattern *at = &set.patterns[k];
        if (k == set.count) {
            *at =
                (struct pattern){{u.sector, u.sector}, {u.cluster, u.cluster}, {u.agent, u.agent}};
            set.count++;
        }
        at->agent.first = u.agent < at->agent.first ? u.agent : at->agent.first;
        at->agent.last = u.agent > at->agent.last ? u.agent : at->agent.last;
    }
    if (set.count > 0) {
        ask(o, QUERY_AGENTS, &set, 0);
    }
}

static void take_arrivals(struct orchestrator *o, const struct rows *rows)
{
    struct move_plan *p = &o->moves.plan;
    for (uint32_t k = 0; k < rows->row_count; k++) {
        const struct page_row *row = &rows->rows[k];
        bool there =
            row->u.agent.uid != 0 && (IN_SERVICE >> row->u.agent.impedance.state & 1u) != 0;
        for (uint32_t i = 0; there && i < p->count; i++) {
            uint64_t bit = UINT64_C(1) << i % 64u;
            if (unit_equal(p->places[i], row->unit) && (p->here[i / 64u] & bit) == 0) {
                p->here[i / 64u] |= bit;
                p->arrived++;
            }
        }
    }
}

static void report_end(struct orchestrator *o)
{
    struct move_plan *p = &o->moves.plan;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_u64(&t, p->arrived);
    text_add(&t, " of ");
    text_u64(&t, p->count);
    text_add(&t, p->back ? " agents are at home again" : " agents are in service there");
    text_add(&t, p->arrived < p->count ? "; the others follow when their hosts can" : "");
    watch_line(o, watch_of(o), memory);
    plan_end(o);
}

bool move_reply(struct orchestrator *o, const struct reply *reply)
{
    struct move_plan *p = &o->moves.plan;
    if (!p->busy || p->ask_ref == 0 || reply->ref != p->ask_ref) {
        return false;
    }
    p->ask_ref = 0;
    p->ask_us = o->hub.now_us + ASK_US;
    if (reply->kind != REPLY_ROWS) {
        return true; /* asked again */
    }
    if (p->asked) {
        take_arrivals(o, reply->rows);
        return true;
    }
    for (uint32_t i = 0; i < reply->rows->row_count; i++) {
        const struct page_row *row = &reply->rows->rows[i];
        if (row->unit.tier == TIER_CLUSTER && !take_target(o, row->unit, row->u.summary)) {
            return true;
        }
    }
    const struct rows *rows = reply->rows;
    if (rows->more && rows->row_count > 0) {
        ask(o, QUERY_CLUSTERS, &p->where, rows->rows[rows->row_count - 1u].key);
    } else {
        assign(o);
    }
    return true;
}

void move_watch_tick(struct orchestrator *o, struct watch *w)
{
    struct move_plan *p = &o->moves.plan;
    int64_t now_us = o->hub.now_us;
    assert(p->busy && watch_of(o) == w);
    if (!outbox_room(o->hub.out, 8, 4096)) {
        o->hub.short_of_room = true;
        return;
    }
    if (!p->asked) {
        if (now_us >= w->due_us) {
            plan_fail(o, REASON_SECTOR_DOWN, "move: the clusters do not answer: try again");
        }
        return;
    }
    if (p->arrived == p->count || now_us >= w->due_us) {
        report_end(o);
    } else if (now_us >= p->ask_us) {
        ask_arrivals(o);
    }
    if (p->busy && now_us >= p->say_us) { /* consoles give up on silence */
        p->say_us = now_us + SAY_US;
        summed_line(o, p->arrived, p->back ? " are at home so far" : " are there so far");
    }
}

/* --- consoles --- */

/* Why it cannot be at all; NULL: it may. */
static const char *refusal(const struct orchestrator *o)
{
    if (o->hub.topology->spare == 0) {
        return "move: no cluster has a spare place: set `spare` in [mesh], as deploy/up --spare 4";
    }
    if (!o->hub.store_up) {
        return "move: the registry is away, and nobody moves unrecorded: try again";
    }
    if (!o->moves.loaded) {
        return "move: the records of who lives elsewhere are being read: try again";
    }
    return o->moves.plan.busy ? "move: another one is under way: wait for its end" : NULL;
}

/* Clusters by name; false: the console was told. */
static bool named_places(struct orchestrator *o, const struct msg *msg, struct place_set *ret)
{
    const char *name = msg->u.command->name, *why = NULL;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    size_t at = 0;
    bool good = place_parse(name, strlen(name), o->hub.topology, ret, &at, &why) && ret->count > 0;
    for (uint32_t i = 0; good && i < ret->count; i++) {
        struct range r = ret->patterns[i].agent;
        good = r.last == 0 || r.last == UINT16_MAX;
        why = good ? why : "clusters or sectors are meant, as s07.c4";
    }
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "to: '");
    text_add(&t, name);
    text_add(&t, "': ");
    text_add(&t, why != NULL ? why : "which clusters? as s07.c4,s08.c1");
    if (!good) {
        hub_reply_error(&o->hub, msg, REASON_INVALID, memory);
    }
    return good;
}

void move_command(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    struct move_plan *p = &o->moves.plan;
    struct place_set places = {0};
    bool back = strcmp(c->name, "back") == 0, named = !back && c->name[0] != '\0';
    if (c->query.selector.places.count == 0) {
        list_command(o, msg);
        return;
    }
    const char *why = refusal(o);
    if (why != NULL) {
        hub_reply_error(&o->hub, msg, REASON_OVERLOAD, why);
        return;
    }
    if (named && !named_places(o, msg, &places)) {
        return;
    }
    memset(p, 0, sizeof(*p));
    p->back = back;
    p->named = named;
    p->dry = c->on;
    if (!collect(o, &c->query.selector.places)) {
        hub_reply_error(&o->hub, msg, REASON_INVALID,
                        "move: more than 384 agents: move them in parts");
        return;
    }
    struct watch *w = watch_take(o, msg, WATCH_MOVE);
    if (w == NULL) {
        return;
    }
    p->busy = true;
    p->watch = (uint32_t)(w - o->watches);
    w->due_us = o->hub.now_us + 2 * QUERY_WAIT_US;
    if (p->count == 0) {
        watch_line(o, w, back ? "nobody of them lives elsewhere" : "nobody lives there");
        plan_end(o);
    } else if (back) {
        for (uint32_t i = 0; i < p->count; i++) {
            p->places[i] = moves_place(&o->moves.table, p->homes[i]);
        }
        settle(o);
    } else {
        if (!named) {
            auto_places(o, &places);
        }
        p->where = places;
        ask(o, QUERY_CLUSTERS, &p->where, 0);
    }
}
