/* Queries (spec 4.3): passed down to the children that the selector touches, their sorted pages
 * merged into one bounded page, answered when all have answered or at the deadline. What the map
 * holds itself is answered at once: sectors at the orchestrator, clusters at their sector.
 *
 * Bounds: HUB_ASKS_MAX queries in flight, one page each; one more is refused (a console is told so,
 * a parent counts this node as missing at its deadline). A page fits one outbox. */
#include "core/hub.h"
#include "core/num.h"
#include "core/resolve.h"
#include <assert.h>
#include <string.h>

#define LIMIT_DEFAULT 100u
#define LAYER_US      (50ll * US_PER_MS) /* of the deadline, for the way back */

static enum row_kind row_kind_of(enum query_kind kind)
{
    switch (kind) {
    case QUERY_AGENTS:
    case QUERY_TOP_SLOW:
    case QUERY_TOP_DRIFT:
    case QUERY_TOP_CONFLICTS:
    case QUERY_TOP_QUEUE:
    case QUERY_TOP_FAILED:
        return ROW_AGENT;
    case QUERY_CLUSTERS:
    case QUERY_SECTORS:
        return ROW_SUMMARY;
    case QUERY_ANSWERS:
    case QUERY_LATE:
        return ROW_ANSWER;
    case QUERY_INSPECT:
    case QUERY_TRACE:
    case QUERY_JOBS:
    case QUERY_JOB:
    case QUERY_ATTACH:
    case QUERY_WORK:
    case QUERY_KPI:
    case QUERY_KIND_COUNT:
        break;
    }
    return ROW_RECORD;
}

static bool kind_known(enum query_kind kind)
{
    bool root =
        kind == QUERY_JOBS || kind == QUERY_JOB || kind == QUERY_ATTACH || kind == QUERY_KPI;
    return kind >= QUERY_AGENTS && kind < QUERY_KIND_COUNT && !root;
}

static struct hub_ask *ask_open(struct hub *h, const struct query *q)
{
    uint32_t i = 0;
    while (i < HUB_ASKS_MAX && h->asks[i].used) {
        i++;
    }
    if (i == HUB_ASKS_MAX) {
        return NULL;
    }
    struct hub_ask *a = &h->asks[i];
    size_t each = (pager_bytes(HUB_ROWS_AGENTS, PAGE_BYTES_MAX) + 15u) & ~(size_t)15u;
    uint32_t most = q->kind == QUERY_AGENTS ? HUB_ROWS_AGENTS : HUB_ROWS_OTHER;
    memset(a, 0, sizeof(*a));
    a->used = true;
    a->query = *q;
    a->parent = q->ref;
    a->ref = ++h->next_ref;
    a->query.ref = a->ref;
    a->query.limit = q->limit == 0 ? LIMIT_DEFAULT : q->limit;
    a->query.limit = a->query.limit > most ? most : a->query.limit;
    a->deadline_us = h->now_us + HUB_QUERY_US;
    pager_init(&a->pager, h->ask_memory + i * each, HUB_ROWS_AGENTS, PAGE_BYTES_MAX,
               row_kind_of(q->kind), q->from_start, q->after_key, a->query.limit);
    return a;
}

/* The map's own row of a child; one that is down shows what the topology expects of it. */
static void summary_row(struct hub *h, struct hub_ask *a, uint32_t child)
{
    struct unit u = hub_child_unit(h, child);
    struct summary lost = {.agents = hub_child_agents(h, child), .circuit = CIRCUIT_CLOSED};
    const struct hub_child *c = &h->child[child];
    bool up = c->has_summary && children_reachable(&h->children, child);
    lost.offline = lost.agents;
    lost.clusters = u.tier == TIER_CLUSTER ? 1 : topology_sector_clusters(h->topology, u.sector);
    if (hub_child_expected(h, &a->query.selector, child) > 0) {
        struct page_row row = {.key = unit_pack(u), .unit = u};
        row.u.summary = up ? &c->summary : &lost;
        pager_row(&a->pager, &row);
    }
}

static void own_row(struct hub *h, struct hub_ask *a)
{
    struct summary s;
    hub_summary(h, &s);
    struct page_row row = {.key = unit_pack(h->self), .unit = h->self};
    row.u.summary = &s;
    pager_row(&a->pager, &row);
}

static void pass_down(struct hub *h, struct hub_ask *a)
{
    bool fresh = h->now_us - h->started_us < h->tuning.tier_suspect_us;
    for (uint32_t i = 0; i < h->children_count; i++) {
        enum outcome outcome = OUTCOME_PENDING;
        enum reason reason;
        bool usable = !a->query.routable || hub_child_usable(h, i, &outcome, &reason);
        if (hub_child_expected(h, &a->query.selector, i) == 0 ||
            (!usable && outcome == OUTCOME_REFUSED)) {
            continue; /* nobody is meant there, or nothing is routed there */
        }
        bool unknown = children_state(&h->children, i) == CHILD_UNKNOWN;
        if (children_reachable(&h->children, i) || (unknown && fresh)) {
            a->waiting[i / 64] |= 1ull << (i % 64);
            a->waiting_count++;
        } else {
            pager_missing(&a->pager, 1);
        }
    }
}

/* Fills what is known here, or chooses the children to ask. */
static void ask_start(struct hub *h, struct hub_ask *a)
{
    bool root = h->self.tier == TIER_ORCHESTRATOR;
    enum query_kind kind = a->query.kind;
    if ((kind == QUERY_SECTORS && root) || (kind == QUERY_CLUSTERS && !root)) {
        for (uint32_t i = 0; i < h->children_count; i++) {
            summary_row(h, a, i);
        }
    } else if (kind == QUERY_SECTORS) {
        own_row(h, a);
    } else {
        if (kind == QUERY_TRACE) {
            hub_trace(h, &a->query, &a->pager);
        }
        if (kind != QUERY_TRACE || a->query.limit > 1) {
            pass_down(h, a);
        }
    }
    a->ready = a->waiting_count == 0;
}

static const char *query_fault(const struct hub *h, const struct query *q)
{
    if (!kind_known(q->kind)) {
        return "query: jobs and metrics are kept by the orchestrator alone";
    }
    bool of_operation = q->kind == QUERY_ANSWERS || q->kind == QUERY_LATE || q->kind == QUERY_TRACE;
    if (of_operation && num_id128_zero(q->operation_id)) {
        return "query: the operation's id is missing";
    }
    const struct place_set *places = &q->selector.places;
    bool mine = h->self.tier == TIER_ORCHESTRATOR || of_operation || places->count > 0;
    for (uint32_t i = 0; i < places->count && h->self.tier == TIER_SECTOR; i++) {
        const struct range *r = &places->patterns[i].sector;
        mine = mine && r->first == h->self.sector && r->last == h->self.sector;
    }
    return mine ? NULL : "a sector answers only for places that lie wholly within it";
}

void hub_query_command(struct hub *h, const struct msg *msg)
{
    const struct query *q = &msg->u.command->query;
    const char *fault = query_fault(h, q);
    if (fault != NULL) {
        hub_reply_error(h, msg, REASON_INVALID, fault);
        return;
    }
    struct hub_ask *a = ask_open(h, q);
    if (a == NULL) {
        hub_reply_error(h, msg, REASON_OVERLOAD, "pool \"queries\": all are in flight");
        return;
    }
    a->console = true;
    a->asker = msg->from;
    a->parent = msg->u.command->ref;
    a->query.deadline_mesh_us = hub_mesh_now(h) + HUB_QUERY_US - LAYER_US;
    ask_start(h, a);
}

void hub_query_message(struct hub *h, const struct msg *msg)
{
    const struct query *q = msg->u.query;
    struct hub_ask *a = kind_known(q->kind) ? ask_open(h, q) : NULL;
    if (a == NULL) {
        hub_note(h, NOTE_OP_REFUSED, q->ref, REASON_OVERLOAD);
        return;
    }
    a->asker = msg->from;
    if (meshtime_ready(&h->time)) {
        a->deadline_us = meshtime_to_local(&h->time, q->deadline_mesh_us);
    }
    a->query.deadline_mesh_us = q->deadline_mesh_us - LAYER_US;
    ask_start(h, a);
}

static bool ask_waits(const struct hub_ask *a, uint32_t child)
{
    return a->used && !a->ready && (a->waiting[child / 64] >> (child % 64) & 1u) != 0;
}

static void ask_answered(struct hub_ask *a, uint32_t child)
{
    a->waiting[child / 64] &= ~(1ull << (child % 64));
    a->waiting_count--;
    a->ready = a->waiting_count == 0;
}

void hub_rows_message(struct hub *h, uint32_t child, const struct msg *msg)
{
    const struct rows *rows = &msg->u.rows;
    for (uint32_t i = 0; i < HUB_ASKS_MAX; i++) {
        struct hub_ask *a = &h->asks[i];
        if (a->ref != rows->ref || !ask_waits(a, child)) {
            continue;
        }
        if (pager_page(&a->pager, rows) != PAGER_OK) {
            hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
            pager_missing(&a->pager, 1);
        }
        ask_answered(a, child);
        return;
    }
}

void hub_query_child_down(struct hub *h, uint32_t child)
{
    for (uint32_t i = 0; i < HUB_ASKS_MAX; i++) {
        if (ask_waits(&h->asks[i], child)) {
            pager_missing(&h->asks[i].pager, 1);
            ask_answered(&h->asks[i], child);
        }
    }
}

static bool ask_send(struct hub *h, struct hub_ask *a)
{
    for (; a->block * 64u < h->children_count; a->block++) {
        struct msg m = hub_msg(h, MSG_QUERY, hub_child_unit(h, a->block * 64u), 3);
        m.mask = a->waiting[a->block];
        m.u.query = &a->query;
        if (m.mask == 0) {
            continue;
        }
        if (!hub_fits(h, &m)) {
            return false;
        }
        out_send(h->out, &m);
    }
    return true;
}

static bool ask_answer(struct hub *h, struct hub_ask *a)
{
    struct rows rows;
    pager_rows(&a->pager, a->parent, &rows);
    struct reply reply = {.ref = a->parent, .kind = REPLY_ROWS, .final = true, .rows = &rows};
    struct msg m = hub_msg(h, a->console ? MSG_REPLY : MSG_ROWS, a->asker, 3);
    if (a->console && unit_equal(a->asker, h->self)) {
        bool own = h->on_reply != NULL && h->on_reply(h, a->asker, &reply);
        assert(own);
        (void)own;
        a->used = false;
        return true;
    }
    if (a->console) {
        m.u.reply = &reply;
    } else {
        m.u.rows = rows;
    }
    if (!hub_fits(h, &m)) {
        return false;
    }
    out_send(h->out, &m);
    a->used = false;
    return true;
}

void hub_query_pump(struct hub *h)
{
    for (uint32_t i = 0; i < HUB_ASKS_MAX; i++) {
        struct hub_ask *a = &h->asks[i];
        if (!a->used) {
            continue;
        }
        if (!a->ready && h->now_us >= a->deadline_us) {
            pager_missing(&a->pager, a->waiting_count);
            a->ready = true;
        }
        if (a->ready ? !ask_answer(h, a) : !ask_send(h, a)) {
            return;
        }
    }
}

int64_t hub_query_next(const struct hub *h)
{
    int64_t next = NEVER;
    for (uint32_t i = 0; i < HUB_ASKS_MAX; i++) {
        if (h->asks[i].used && h->asks[i].deadline_us < next) {
            next = h->asks[i].deadline_us;
        }
    }
    return next;
}
