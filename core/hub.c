/* The life of an inner node: who below it lives, what they say of themselves, and what goes down to
 * all of them. The map (spec 4.3) is the last summary of each child; what is told upward is the sum
 * of counts and histograms, so that means and quantiles of the whole are right (design 10). A child
 * that is down keeps its place in the sum by the topology: its agents are expected, none is active.
 *
 * Nothing here knows an agent. One step costs O(children) at most: a summary, a notice to all, a
 * child's death; the usual step costs O(1). A sector's notices (freeze, thaw, circuit) wait in a
 * small ring; when it is full the oldest gives way, and a child that starts anew is told again. The
 * orchestrator's are orders (hub_order.h). */
#include "core/hub.h"
#include "core/histogram.h"
#include "core/hub_order.h"
#include "core/num.h"
#include "core/resolve.h"
#include <assert.h>
#include <string.h>

#define HEALTHY_PERMILLE 950u /* spec 4.3: more than 95 % of its agents in service */

static size_t align16(size_t n)
{
    return (n + 15u) & ~(size_t)15u;
}

struct hub_layout {
    uint32_t children, operations, origins, chunks;
    size_t child_rows, child, gathers, origin, work, work_priority, prepares, asks, ask_memory,
        total;
};

static size_t take(size_t *at, size_t bytes)
{
    size_t here = *at;
    *at += align16(bytes);
    return here;
}

/* A sector is one of a hundred, the orchestrator is alone: the former gets the smaller pools. */
static struct hub_layout layout_of(const struct node_conf *conf)
{
    struct hub_layout l = {0};
    bool root = conf->self.tier == TIER_ORCHESTRATOR;
    size_t at = 0;
    l.children = root ? conf->topology->sectors : conf->topology->clusters_per_sector;
    l.operations = OPERATIONS_MAX;
    l.origins = root ? OPERATIONS_MAX : OPERATIONS_MAX / 8u;
    l.chunks = root ? SLAB_CHUNKS_MAX : SLAB_CHUNKS_MAX / 2u;
    l.child_rows = take(&at, l.children * sizeof(struct child));
    l.child = take(&at, l.children * sizeof(struct hub_child));
    l.gathers =
        take(&at, gather_table_bytes(l.operations, l.children, sizeof(struct flight), l.chunks));
    l.origin = take(&at, l.origins * sizeof(struct origin));
    l.work = take(&at, l.operations * sizeof(struct id128));
    l.work_priority = take(&at, l.operations);
    l.prepares = take(&at, HUB_PREPARES_MAX * sizeof(struct hub_prepare));
    l.asks = take(&at, HUB_ASKS_MAX * sizeof(struct hub_ask));
    l.ask_memory = take(&at, HUB_ASKS_MAX * align16(pager_bytes(HUB_ROWS_AGENTS, PAGE_BYTES_MAX)));
    l.total = at;
    return l;
}

size_t hub_bytes(const struct node_conf *conf)
{
    assert(conf != NULL && conf->topology != NULL);
    assert(conf->self.tier == TIER_ORCHESTRATOR || conf->self.tier == TIER_SECTOR);
    return layout_of(conf).total;
}

void hub_init(struct hub *h, void *memory, const struct node_conf *conf)
{
    assert(h != NULL && memory != NULL && conf != NULL);
    struct hub_layout l = layout_of(conf);
    uint8_t *m = memory;
    h->self = conf->self;
    h->epoch = conf->epoch;
    h->topology = conf->topology;
    h->tuning = conf->tuning;
    h->mode = MODE_STARTING;
    h->store_up = h->durable_up = true;
    h->children_count = l.children;
    h->origins_max = l.origins;
    h->child_rows = (struct child *)(void *)(m + l.child_rows);
    h->child = (struct hub_child *)(void *)(m + l.child);
    h->origins = (struct origin *)(void *)(m + l.origin);
    turns_init(&h->work, (struct id128 *)(void *)(m + l.work), m + l.work_priority, l.operations);
    h->share_due_us = NEVER;
    h->prepares = (struct hub_prepare *)(void *)(m + l.prepares);
    h->asks = (struct hub_ask *)(void *)(m + l.asks);
    h->ask_memory = m + l.ask_memory;
    h->progress_due_us = NEVER;
    rng_seed(&h->rng, conf->seed, conf->uid);
    children_init(&h->children, h->child_rows, l.children, conf->tuning.tier_suspect_us,
                  conf->tuning.tier_failed_us);
    gather_table_init(&h->gathers, m + l.gathers, l.operations, l.children, sizeof(struct flight),
                      l.chunks, HUB_RETENTION_US);
    hosttime_init(&h->host);
    if (h->self.tier == TIER_ORCHESTRATOR) {
        meshtime_init_root(&h->time, conf->init_now_us, conf->unix_us);
        breaker_init(&h->breaker, BREAKER_MESH_THRESHOLD);
    } else {
        meshtime_init(&h->time);
        breaker_init(&h->breaker, BREAKER_SECTOR_THRESHOLD);
    }
}

/* --- small things ------------------------------------------------------------------------------
 */

struct unit hub_child_unit(const struct hub *h, uint32_t child)
{
    assert(child < h->children_count);
    return h->self.tier == TIER_ORCHESTRATOR ? unit_sector(child + 1)
                                             : unit_cluster(h->self.sector, child + 1);
}

uint32_t hub_child_index(const struct hub *h, struct unit u)
{
    uint32_t n = UINT32_MAX;
    if (h->self.tier == TIER_ORCHESTRATOR && u.tier == TIER_SECTOR) {
        n = u.sector - 1u;
    } else if (h->self.tier == TIER_SECTOR && u.tier == TIER_CLUSTER &&
               u.sector == h->self.sector) {
        n = u.cluster - 1u;
    }
    return n < h->children_count ? n : UINT32_MAX;
}

uint32_t hub_child_agents(const struct hub *h, uint32_t child)
{
    static const struct selector all = {0};
    const struct hub_child *c = &h->child[child];
    uint32_t planned = selector_expected(&all, h->topology, hub_child_unit(h, child));
    if (h->topology->spare > 0 && c->has_summary && children_reachable(&h->children, child)) {
        return c->summary.agents;
    }
    return (planned > c->away ? planned - c->away : 0) + c->guests;
}

uint32_t hub_child_expected(const struct hub *h, const struct selector *sel, uint32_t child)
{
    assert(h != NULL && sel != NULL);
    const struct hub_child *c = &h->child[child];
    struct unit u = hub_child_unit(h, child);
    uint32_t n = selector_expected(sel, h->topology, u);
    if (c->away > 0 && n > 0) { /* nobody here knows which of them are still meant */
        static const struct selector all = {0};
        uint32_t planned = selector_expected(&all, h->topology, u);
        n = (uint32_t)((uint64_t)n * (planned > c->away ? planned - c->away : 0) / planned);
    }
    if (n > 0 || h->topology->spare == 0 || !c->has_summary ||
        !children_reachable(&h->children, child) || !topology_contains(h->topology, u) ||
        !place_touches(&sel->places, u)) {
        return n;
    }
    for (unsigned k = CLASS_NONE + 1; k < CLASS_COUNT; k++) {
        bool meant = sel->class_mask == 0 || (sel->class_mask >> k & 1u) != 0;
        n += meant ? c->summary.class_active[k] : 0;
    }
    return n;
}

int64_t hub_mesh_now(const struct hub *h)
{
    return meshtime_now(&h->time, h->now_us);
}

void hub_note(struct hub *h, enum note note, uint64_t a, uint64_t b)
{
    if (outbox_room(h->out, 1, 0)) {
        out_note(h->out, note, a, b);
    }
}

bool hub_fits(struct hub *h, const struct msg *msg)
{
    if (outbox_room(h->out, 1, msg_extra_bytes(msg))) {
        return true;
    }
    h->short_of_room = true;
    return false;
}

struct msg hub_msg(const struct hub *h, enum msg_type type, struct unit to, uint8_t priority)
{
    return (struct msg){
        .type = type, .priority = priority, .from = h->self, .to = to, .epoch = h->epoch};
}

static bool unhealthy(const struct summary *s)
{
    return s->agents > 0 && (uint64_t)s->active * 1000u <= (uint64_t)s->agents * HEALTHY_PERMILLE;
}

/* Whether unhealthy children are left out: in the modes that say so, and only while there is a
 * healthy one. A mesh that lost a third of every sector would serve nobody otherwise, in a mode
 * milder than SEVERE. */
static bool healthy_only(const struct hub *h)
{
    for (uint32_t i = 0; mode_healthy_only(h->mode) && i < h->children_count; i++) {
        if (children_reachable(&h->children, i) && h->child[i].has_summary &&
            h->child[i].circuit != CIRCUIT_OPEN && !unhealthy(&h->child[i].summary)) {
            return true;
        }
    }
    return false;
}

void hub_mode(struct hub *h, enum mode mode)
{
    h->mode = mode;
    h->healthy_only = healthy_only(h); /* what waited for this mode may go in this very step */
}

bool hub_child_usable(const struct hub *h, uint32_t child, enum outcome *ret_outcome,
                      enum reason *ret_reason)
{
    assert(child < h->children_count && ret_outcome != NULL && ret_reason != NULL);
    const struct hub_child *c = &h->child[child];
    bool fresh = children_state(&h->children, child) == CHILD_UNKNOWN &&
                 h->now_us - h->started_us < h->tuning.tier_suspect_us;
    if (!fresh && !children_reachable(&h->children, child)) {
        *ret_outcome = OUTCOME_UNREACHABLE;
        *ret_reason = h->self.tier == TIER_ORCHESTRATOR ? REASON_SECTOR_DOWN : REASON_CLUSTER_DOWN;
        return false;
    }
    if (c->circuit == CIRCUIT_OPEN) {
        *ret_outcome = OUTCOME_REFUSED;
        *ret_reason = REASON_BREAKER;
        return false;
    }
    if (h->healthy_only && c->has_summary && unhealthy(&c->summary)) {
        *ret_outcome = OUTCOME_REFUSED;
        *ret_reason = REASON_MODE;
        return false;
    }
    return true;
}

/* --- the map -----------------------------------------------------------------------------------
 */

static void merge_extremes(struct summary *into, const struct summary *s, struct unit child)
{
    if (s->slowest.tier != TIER_NONE &&
        (into->slowest.tier == TIER_NONE || s->slowest_score > into->slowest_score)) {
        into->slowest = s->slowest;
        into->slowest_score = s->slowest_score;
    }
    if (s->fastest.tier != TIER_NONE &&
        (into->fastest.tier == TIER_NONE || s->fastest_score < into->fastest_score)) {
        into->fastest = s->fastest;
        into->fastest_score = s->fastest_score;
    }
    if (s->active <= s->class_active[CLASS_F_HUMAN]) {
        return; /* nobody has a mean there */
    }
    uint64_t mean = summary_mean_us(s);
    uint32_t mean_us = mean > UINT32_MAX ? UINT32_MAX : (uint32_t)mean;
    if (into->healthiest.tier == TIER_NONE || mean_us < into->healthiest_mean_us) {
        into->healthiest = child;
        into->healthiest_mean_us = mean_us;
    }
    if (into->sickest.tier == TIER_NONE || mean_us > into->sickest_mean_us) {
        into->sickest = child;
        into->sickest_mean_us = mean_us;
    }
}

static void merge_counts(struct summary *into, const struct summary *s)
{
    into->active += s->active;
    into->suspect += s->suspect;
    into->offline += s->offline;
    into->quarantined += s->quarantined;
    into->frozen += s->frozen;
    into->frozen_late += s->frozen_late;
    into->astray += s->astray;
    into->newcomers += s->newcomers;
    into->entering += s->entering;
    into->newcomer_conflicts += s->newcomer_conflicts;
    into->leaving += s->leaving;
    into->synced += s->synced;
    into->synced_far += s->synced_far;
    into->synced_from = s->synced > 0 ? s->synced_from : into->synced_from;
    into->synced_far_from = s->synced_far > 0 ? s->synced_far_from : into->synced_far_from;
    into->degraded += s->degraded;
    into->unstable += s->unstable;
    into->impedance_sum_us += s->impedance_sum_us;
    into->score_sum += s->score_sum;
    into->conflicts_hour += s->conflicts_hour;
    into->circuits_open += s->circuits_open + (s->circuit == CIRCUIT_OPEN ? 1u : 0u);
    into->leads_lost += s->leads_lost;
    into->durable_away += s->durable_away;
    for (unsigned i = 0; i < CAPABILITIES_MAX; i++) {
        into->capability_active[i] += s->capability_active[i];
    }
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        into->class_active[c] += s->class_active[c];
        if (s->class_active[c] > 0) { /* counts are those of active agents */
            histogram_merge(into->lead_counts[c], s->lead_counts[c], LEAD_BUCKETS);
        }
    }
}

static void merge_child(const struct hub *h, struct summary *into, uint32_t child)
{
    const struct hub_child *c = &h->child[child];
    uint32_t expected = hub_child_agents(h, child);
    bool root = h->self.tier == TIER_ORCHESTRATOR;
    bool up = children_reachable(&h->children, child) && c->has_summary;
    uint32_t agents = up && c->summary.agents > expected ? c->summary.agents : expected;
    if (!topology_contains(h->topology, hub_child_unit(h, child))) {
        return; /* a place of the grid that the topology leaves empty */
    }
    into->agents += agents;
    if (root) {
        into->clusters += topology_sector_clusters(h->topology, child + 1);
    } else {
        into->clusters++;
    }
    if (!up) {
        into->offline += children_state(&h->children, child) == CHILD_DOWN ? agents : 0;
        into->sectors_degraded += root ? 1 : 0;
        return;
    }
    into->clusters_up += root ? c->summary.clusters_up : 1;
    into->sectors_healthy += root && !unhealthy(&c->summary) ? 1 : 0;
    into->sectors_degraded += root && unhealthy(&c->summary) ? 1 : 0;
    merge_counts(into, &c->summary);
    merge_extremes(into, &c->summary, hub_child_unit(h, child));
}

void hub_summary(const struct hub *h, struct summary *ret)
{
    assert(h != NULL && ret != NULL);
    memset(ret, 0, sizeof(*ret));
    for (uint32_t i = 0; i < h->children_count; i++) {
        merge_child(h, ret, i);
    }
    ret->circuit = breaker_state(&h->breaker);
    ret->leads_lost += h->leads_lost;
    ret->store_up = h->store_up;
    ret->durable_away += h->durable_up ? 0 : 1;
    ret->operations = h->gathers.waiting;
    ret->updated_mesh_us = hub_mesh_now(h);
}

/* --- notices to the children -------------------------------------------------------------------
 */

static struct hub_notice *notice_slot(struct hub *h)
{
    if (h->notice_count == HUB_NOTICES_MAX) {
        memmove(h->notices, h->notices + 1, (HUB_NOTICES_MAX - 1) * sizeof(h->notices[0]));
        h->notice_count--;
    }
    struct hub_notice *n = &h->notices[h->notice_count++];
    memset(n, 0, sizeof(*n));
    return n;
}

/* Children of a notice among the 64 from `first` on: all, or the one that holds the scope. */
static uint64_t notice_mask(const struct hub *h, const struct hub_notice *n, uint32_t first)
{
    uint64_t mask = children_mask(&h->children, first);
    struct unit scope = n->u.freeze.scope;
    if (n->only != 0) {
        uint32_t i = n->only - 1;
        return i >= first && i < first + 64 ? mask & 1ull << (i - first) : 0;
    }
    if (n->type == MSG_CIRCUIT || scope.tier == TIER_ORCHESTRATOR || unit_equal(scope, h->self)) {
        return mask;
    }
    uint32_t child = scope.cluster - 1u;
    return child >= first && child < first + 64 ? mask & 1ull << (child - first) : 0;
}

static void notice_pump(struct hub *h)
{
    while (h->notice_count > 0) {
        struct hub_notice *n = &h->notices[0];
        for (; n->block * 64u < h->children_count; n->block++) {
            uint64_t mask = notice_mask(h, n, n->block * 64u);
            if (mask == 0) {
                continue;
            }
            struct msg m = hub_msg(h, n->type, hub_child_unit(h, n->block * 64u), 3);
            m.mask = mask;
            if (n->type == MSG_HEAL) {
                m.u.heal.target = n->u.freeze.scope;
            } else if (n->type == MSG_CIRCUIT) {
                m.u.circuit = n->u.circuit;
            } else {
                m.u.freeze = n->u.freeze;
            }
            if (!hub_fits(h, &m)) {
                return;
            }
            out_send(h->out, &m);
        }
        h->notice_count--;
        memmove(h->notices, h->notices + 1, h->notice_count * sizeof(h->notices[0]));
    }
}

static void notice_freeze(struct hub *h, enum msg_type type, const struct freeze *freeze,
                          uint32_t only)
{
    if (h->orders != NULL) {
        hub_order_freeze(h, type, freeze);
        return;
    }
    struct hub_notice *n = notice_slot(h);
    n->type = type;
    n->only = only;
    n->u.freeze = *freeze;
}

enum freezer_verdict hub_freeze(struct hub *h, enum msg_type type, const struct freeze *freeze,
                                const struct freeze **ret)
{
    assert(type == MSG_FREEZE || type == MSG_THAW);
    struct freeze gone;
    const struct freeze *at = NULL;
    enum freezer_verdict v = type == MSG_FREEZE
                                 ? freezer_add(&h->freezer, freeze, &at)
                                 : freezer_remove(&h->freezer, freeze->scope, &gone, &at);
    if (ret != NULL) {
        *ret = at;
    }
    bool frozen = freezer_covers(&h->freezer, h->self) != NULL;
    if (frozen != h->frozen) {
        h->frozen = frozen;
        hub_note(h, frozen ? NOTE_FROZEN : NOTE_THAWED, unit_pack(h->self), 0);
    }
    /* Said again, it goes down again: the first word may have been lost on its way. */
    if (v == FREEZER_OK || (type == MSG_THAW && v == FREEZER_NOT)) {
        notice_freeze(h, type, freeze, 0);
    } else if (v == FREEZER_ALREADY) {
        notice_freeze(h, type, at, 0);
    }
    return v;
}

/* A lead that starts anew stands still, too. */
static void freeze_child(struct hub *h, uint32_t child)
{
    struct unit u = hub_child_unit(h, child);
    for (uint32_t i = 0; h->orders == NULL && i < h->freezer.count; i++) {
        struct unit scope = h->freezer.list[i].scope;
        if (freezer_holds(scope, u) || freezer_holds(u, scope)) {
            notice_freeze(h, MSG_FREEZE, &h->freezer.list[i], child + 1);
        }
    }
}

void hub_circuit(struct hub *h, enum breaker_event event)
{
    if (event == BREAKER_PROBE) {
        /* The children's beats are the probe: most must live behind closed circuits. */
        uint32_t good = 0, all = 0;
        for (uint32_t i = 0; i < h->children_count; i++) {
            all += children_state(&h->children, i) != CHILD_UNKNOWN ? 1 : 0;
            good +=
                children_state(&h->children, i) == CHILD_UP && h->child[i].circuit != CIRCUIT_OPEN
                    ? 1
                    : 0;
        }
        event = breaker_probed(&h->breaker, h->now_us, good * 2 > all, &h->rng);
    }
    if (event == BREAKER_NOTHING) {
        return;
    }
    struct circuit_msg c = {.action = breaker_state(&h->breaker), .target = h->self};
    hub_note(h, NOTE_CIRCUIT, unit_pack(h->self), (uint64_t)c.action);
    if (h->orders != NULL) {
        hub_order_state(h);
        return;
    }
    struct hub_notice *n = notice_slot(h);
    n->type = MSG_CIRCUIT;
    n->u.circuit = c;
    struct msg up = hub_msg(h, MSG_CIRCUIT, unit_orchestrator(), 3);
    up.u.circuit = c;
    if (hub_fits(h, &up)) {
        out_send(h->out, &up);
    }
}

void hub_breaker(struct hub *h, struct unit target, bool open)
{
    if (unit_equal(target, h->self)) {
        hub_circuit(h, breaker_force(&h->breaker, open));
        return;
    }
    struct circuit_msg c = {.action = open ? CIRCUIT_OPEN : CIRCUIT_CLOSED, .target = target};
    if (h->orders != NULL) {
        struct order order = {.what = ORDER_CIRCUIT, .u.circuit = c};
        (void)hub_order(h, &order);
        return;
    }
    struct hub_notice *n = notice_slot(h);
    n->type = MSG_CIRCUIT;
    n->only = target.cluster;
    n->u.circuit = c;
    h->child[target.cluster - 1u].held = open;
    h->child[target.cluster - 1u].closing = !open;
}

/* A lead says how its breaker stands. The word may have been lost, or the lead be another one: it
 * is said again until it is so. */
static void breaker_seen(struct hub *h, uint32_t child)
{
    struct hub_child *c = &h->child[child];
    bool open = c->circuit == CIRCUIT_OPEN;
    c->closing = c->closing && open;
    if ((c->held && !open) || c->closing) {
        hub_breaker(h, hub_child_unit(h, child), c->held);
    }
}

void hub_heal(struct hub *h, struct unit target)
{
    if (unit_equal(target, h->self) || target.tier == TIER_ORCHESTRATOR) {
        hub_circuit(h, breaker_force(&h->breaker, false));
    }
    if (h->orders != NULL) {
        struct order order = {.what = ORDER_HEAL, .u.heal.target = target};
        (void)hub_order(h, &order);
        return;
    }
    struct hub_notice *n = notice_slot(h);
    n->type = MSG_HEAL;
    n->u.freeze.scope = target;
    for (uint32_t i = 0; i < h->children_count; i++) {
        if (h->child[i].held && freezer_holds(target, hub_child_unit(h, i))) {
            h->child[i].held = false;
            h->child[i].closing = true;
        }
    }
}

/* --- messages ----------------------------------------------------------------------------------
 */

/* A summary from outside may be merged: no part exceeds its whole, so that no sum can overflow or
 * contradict itself. */
static bool summary_holds(const struct summary *s)
{
    const uint32_t agents_max = CLUSTERS_PER_SECTOR_MAX * AGENTS_PER_CLUSTER_MAX;
    uint64_t classes = 0;
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        classes += s->class_active[c];
    }
    return s->agents <= agents_max && s->active <= s->agents && classes <= s->agents &&
           s->suspect <= s->agents && s->offline <= s->agents && s->clusters_up <= s->clusters &&
           s->clusters <= CLUSTERS_PER_SECTOR_MAX && s->durable_away <= s->clusters + 1u &&
           s->circuit >= CIRCUIT_CLOSED && s->circuit < CIRCUIT_COUNT;
}

static void heard_beat(struct hub *h, uint32_t child, const struct msg *msg)
{
    struct hub_child *c = &h->child[child];
    if (msg->u.beat->has_summary && !summary_holds(&msg->u.beat->summary)) {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
    } else if (msg->u.beat->has_summary) {
        c->has_summary = true;
        c->summary = msg->u.beat->summary;
        c->circuit = c->summary.circuit;
        breaker_seen(h, child);
    }
    struct msg reply = hub_msg(h, MSG_BEAT_REPLY, msg->from, 3);
    struct beat_reply *r = &reply.u.beat_reply;
    r->known = true;
    if (h->orders != NULL) {
        hub_order_heard(h, child, msg->u.beat);
    } else {
        r->mode = h->mode;
        memcpy(r->excluded, h->excluded, sizeof(r->excluded));
    }
    r->time.t1_us = msg->sent_us;
    r->time.t2_us = msg->recv_us;
    r->time.mesh_offset_us = meshtime_ready(&h->time) ? meshtime_offset_us(&h->time, h->now_us) : 0;
    r->time.error_us = meshtime_ready(&h->time) ? meshtime_error_us(&h->time, h->now_us) : NEVER;
    hosttime_ahead(&h->host, &h->time, h->now_us, &r->time.unix_ahead_us, &r->time.unix_error_us);
    if (hub_fits(h, &reply)) {
        out_send(h->out, &reply);
    }
}

/* False: a speaker that no longer owns the unit. */
static bool heard_child(struct hub *h, uint32_t child, const struct msg *msg)
{
    uint64_t known = children_epoch(&h->children, child);
    bool was_down = children_state(&h->children, child) == CHILD_DOWN;
    enum children_verdict v = children_heard(&h->children, child, h->now_us, msg->epoch);
    if (v == CHILDREN_STALE) {
        hub_note(h, NOTE_STALE_EPOCH, unit_pack(msg->from), msg->epoch);
        return false;
    }
    if (v == CHILDREN_NEW) { /* taken over before it was missed: it was lost all the same */
        h->leads_lost += h->self.tier == TIER_SECTOR && known != 0 && !was_down ? 1u : 0u;
        h->child[child] = (struct hub_child){.away = h->child[child].away,
                                             .guests = h->child[child].guests,
                                             .held = h->child[child].held,
                                             .circuit = CIRCUIT_CLOSED};
        hub_child_new(h, child);
    }
    if (v == CHILDREN_NEW || v == CHILDREN_BACK) {
        hub_note(h, NOTE_CHILD_UP, unit_pack(msg->from), msg->epoch);
        freeze_child(h, child);
    }
    return true;
}

static bool command(struct hub *h, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    switch (c->kind) {
    case COMMAND_SUBMIT:
        hub_submit(h, msg);
        return true;
    case COMMAND_QUERY:
        hub_query_command(h, msg);
        return true;
    case COMMAND_CANCEL:
        hub_cancel_command(h, msg);
        return true;
    case COMMAND_WHEN:
        hub_when(h, msg);
        return true;
    case COMMAND_STATUS:
    case COMMAND_FREEZE:
    case COMMAND_THAW:
    case COMMAND_BREAKER:
    case COMMAND_HEAL:
    case COMMAND_LOG:
    case COMMAND_RESOLVE:
    case COMMAND_ROUTE:
    case COMMAND_ISOLATE:
    case COMMAND_THREAT:
    case COMMAND_SECOND:
    case COMMAND_APPROVE:
    case COMMAND_MOVE:
    case COMMAND_SCALE:
    case COMMAND_KIND_COUNT:
        break;
    }
    return false;
}

bool hub_message(struct hub *h, const struct msg *msg)
{
    assert(h != NULL && msg != NULL);
    if (msg->type == MSG_COMMAND) {
        return command(h, msg);
    }
    uint32_t child = hub_child_index(h, msg->from);
    if (child == UINT32_MAX) {
        return false;
    }
    if (!heard_child(h, child, msg)) {
        return true;
    }
    if (msg->type == MSG_BEAT) {
        heard_beat(h, child, msg);
    } else if (msg->type == MSG_RESULT) {
        hub_result_message(h, child, msg);
    } else if (msg->type == MSG_PREPARED) {
        hub_prepared_message(h, child, msg);
    } else if (msg->type == MSG_ROWS) {
        hub_rows_message(h, child, msg);
    } else if (msg->type == MSG_CIRCUIT) {
        if (unit_equal(msg->u.circuit.target, msg->from)) {
            h->child[child].circuit = msg->u.circuit.action;
            h->child[child].summary.circuit = msg->u.circuit.action;
        }
    } else {
        return false;
    }
    return true;
}

/* --- a step's frame ----------------------------------------------------------------------------
 */

void hub_begin(struct hub *h, const struct event *event, struct outbox *out)
{
    assert(h != NULL && event != NULL && out != NULL);
    h->now_us = event->now_us;
    h->out = out;
    h->short_of_room = false;
    h->healthy_only = healthy_only(h);
    if (event->kind == EV_START) {
        h->started_us = event->now_us;
        hub_note(h, NOTE_STARTED, h->epoch, 0);
    }
    int64_t lost_us = children_step(&h->children, event->now_us);
    if (lost_us > 0) {
        hub_note(h, NOTE_PAUSED, (uint64_t)(lost_us / US_PER_MS), 0);
    }
}

void hub_link(struct hub *h, enum link which, bool up)
{
    if (which == LINK_BUS) {
        children_link(&h->children, h->now_us, up);
    } else if (which == LINK_STORE) {
        h->store_up = up;
    } else {
        h->durable_up = up;
    }
}

static void watch_children(struct hub *h)
{
    struct child_event e;
    while (children_tick(&h->children, h->now_us, &e)) {
        if (e.kind == CHILD_EVENT_SELF_BLAME) {
            hub_note(h, NOTE_SELF_BLAME, e.silent, e.of);
            continue;
        }
        bool down = e.kind == CHILD_EVENT_DOWN;
        hub_note(h, down ? NOTE_CHILD_DOWN : NOTE_CHILD_SUSPECT,
                 unit_pack(hub_child_unit(h, e.child)), (uint64_t)(e.silent_us / US_PER_MS));
        if (down) {
            hub_child_down(h, e.child);
            hub_query_child_down(h, e.child);
            if (h->self.tier == TIER_SECTOR) {
                h->leads_lost++;
                hub_circuit(h, breaker_failure(&h->breaker, h->now_us, 1, &h->rng));
            }
        }
    }
}

void hub_pump(struct hub *h)
{
    watch_children(h);
    hub_circuit(h, breaker_tick(&h->breaker, h->now_us, &h->rng));
    hub_order_pump(h);
    notice_pump(h);
    hub_prepare_pump(h); /* may begin an operation */
    hub_operate_pump(h);
    hub_query_pump(h); /* an answer may be the reason of an order */
    hub_order_pump(h);
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t hub_end(struct hub *h, int64_t own_wake_us)
{
    int64_t wake = least(own_wake_us, children_next_us(&h->children));
    wake = least(wake, breaker_next_us(&h->breaker));
    wake = least(wake, hub_operate_next(h));
    wake = least(wake, hub_prepare_next(h));
    wake = least(wake, hub_query_next(h));
    if (h->short_of_room) {
        wake = h->now_us;
    } else if (wake <= h->now_us) {
        wake = h->now_us + 1;
    }
    children_wake(&h->children, wake);
    h->out = NULL;
    return wake;
}
