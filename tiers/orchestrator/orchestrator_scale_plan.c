/* `scale add`: where so many newcomers are to live (spec 10.2: in the least-loaded sectors). The
 * sectors are asked for their clusters; those with free places whose agents are in service behind
 * closed breakers are taken, the next place always in the sector with the fewest agents a cluster
 * (of equals the one with the lower mean impedance), there in the cluster with the fewest. Either
 * all have a place, or nothing changes. A dry run ends here; else the plan is written to the
 * registry, and the console hears that it is decided. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define QUERY_WAIT_US  (4ll * US_PER_S)
#define COMMIT_WAIT_US (30ll * US_PER_S)
#define LINES_MAX      16u
#define HEALTHY        950u /* permille in service, as in hub.c */

static struct watch *watch_of(struct orchestrator *o)
{
    return &o->watches[o->scale.plan.watch];
}

static void plan_fail(struct orchestrator *o, enum reason reason, const char *text)
{
    struct watch *w = watch_of(o);
    struct reply r = {
        .ref = w->ref, .kind = REPLY_ERROR, .final = true, .reason = reason, .text = text};
    hub_reply(&o->hub, w->console, &r);
    w->kind = WATCH_FREE;
    o->scale.plan.stage = SCALE_IDLE;
}

/* --- lines --- */

static void agents_text(struct text *t, uint32_t n)
{
    text_u64(t, n);
    text_add(t, n == 1 ? " newcomer" : " newcomers");
}

static void say_clusters(struct orchestrator *o)
{
    const struct scale_plan *p = &o->scale.plan;
    for (uint32_t i = 0; i < p->target_count; i++) {
        char memory[TEXT_BYTES_MAX];
        struct text t;
        text_init(&t, memory, sizeof(memory));
        if (p->targets[i].taken != 0) {
            text_add(&t, "- ");
            text_places(&t, p->targets[i].cluster, p->targets[i].taken);
            watch_line(o, watch_of(o), memory);
        }
    }
}

static void say_sectors(struct orchestrator *o)
{
    const struct scale_plan *p = &o->scale.plan;
    uint32_t agents[SECTORS_MAX + 1u] = {0}, clusters[SECTORS_MAX + 1u] = {0};
    uint32_t said = 0, left = 0;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    for (uint32_t i = 0; i < p->target_count; i++) {
        agents[p->targets[i].cluster.sector] += num_bits(p->targets[i].taken);
        clusters[p->targets[i].cluster.sector] += p->targets[i].taken != 0;
    }
    for (unsigned s = 1; s <= o->hub.topology->sectors; s++) {
        if (agents[s] == 0) {
            continue;
        }
        if (said == LINES_MAX) {
            left++;
            continue;
        }
        text_reset(&t);
        text_add(&t, "- ");
        text_unit(&t, unit_sector(s));
        text_add(&t, ": ");
        text_u64(&t, agents[s]);
        text_add(&t, " in ");
        text_u64(&t, clusters[s]);
        text_add(&t, clusters[s] == 1 ? " cluster" : " clusters");
        watch_line(o, watch_of(o), memory);
        said++;
    }
    if (left > 0) {
        text_reset(&t);
        text_u64(&t, left);
        text_add(&t, " sectors more");
        watch_line(o, watch_of(o), memory);
    }
}

void scale_say_plan(struct orchestrator *o, const char *does)
{
    const struct scale_plan *p = &o->scale.plan;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    uint32_t clusters = 0;
    text_init(&t, memory, sizeof(memory));
    for (uint32_t i = 0; i < p->target_count; i++) {
        clusters += p->targets[i].taken != 0;
    }
    if (p->batch.remove) {
        text_u64(&t, p->batch.wanted);
        text_add(&t, p->batch.wanted == 1 ? " agent" : " agents");
    } else {
        agents_text(&t, p->batch.wanted);
    }
    text_add(&t, p->dry ? " would " : " ");
    text_add(&t, does);
    text_u64(&t, clusters);
    text_add(&t, clusters == 1 ? " cluster:" : " clusters:");
    watch_line(o, watch_of(o), memory);
    if (clusters <= LINES_MAX) {
        say_clusters(o);
    } else {
        say_sectors(o);
    }
}

static void say_entry(struct orchestrator *o)
{
    const struct scale_plan *p = &o->scale.plan;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    if (p->left_out > 0) {
        text_reset(&t);
        text_u64(&t, p->left_out);
        text_add(&t, " clusters with free places are left out: not healthy themselves");
        watch_line(o, watch_of(o), memory);
    }
    text_reset(&t);
    text_add(&t, "their places open ");
    text_u64(&t, p->batch.rate);
    text_add(&t, " a second; each one's share of the work rises for ");
    text_u64(&t, (uint64_t)(p->batch.over_us / US_PER_S));
    text_add(&t, " s, or until it is known");
    watch_line(o, watch_of(o), memory);
}

/* --- the plan stands --- */

static uint32_t new_rows(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->plan.target_count; i++) {
        const struct scale_target *at = &b->plan.targets[i];
        n += at->taken != 0 && scale_row(b, at->cluster, false) == NULL;
    }
    return n;
}

static void settle(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    struct scale_plan *p = &b->plan;
    if (b->row_count + new_rows(o) > SCALE_CLUSTERS_MAX) {
        plan_fail(o, REASON_OVERLOAD,
                  "scale: newcomers would live in more than 2048 clusters: name fewer sectors");
        return;
    }
    scale_say_plan(o, "come to ");
    say_entry(o);
    if (p->dry) {
        watch_end(o, watch_of(o));
        p->stage = SCALE_IDLE;
        return;
    }
    scale_stage(o);
    for (uint32_t i = 0; i < p->target_count; i++) {
        if (p->targets[i].taken == 0) {
            continue;
        }
        struct scale_row *row = scale_row(b, p->targets[i].cluster, true);
        assert(row != NULL && row->fresh == 0);
        row->fresh = p->targets[i].taken;
        row->opened = 0;
        row->batch = p->batch.id;
        row->id = scale_next_id(o);
        row->dirty = true;
    }
}

void scale_stage(struct orchestrator *o)
{
    struct scale_plan *p = &o->scale.plan;
    p->batch.id = scale_next_id(o);
    p->batch.state = SCALE_RUNNING;
    p->stage = SCALE_WRITES;
    watch_of(o)->due_us = o->hub.now_us + COMMIT_WAIT_US;
}

void scale_committed(struct orchestrator *o)
{
    assert(o->scale.plan.stage == SCALE_WRITES);
    hub_note(&o->hub, NOTE_SCALE, SCALE_RUNNING, o->scale.batch.wanted);
    scale_count(o);
    o->scale.order_due = true;
    watch_line(
        o, watch_of(o),
        o->scale.batch.remove
            ? "it is decided: 'scale watch' shows how far it is, 'scale abort' lets them stay"
            : "it is decided: 'scale watch' shows how far it is, 'scale abort' undoes it");
    watch_end(o, watch_of(o));
    o->scale.plan.stage = SCALE_IDLE;
}

/* The batch's record may have been written all the same: it is put once more, as given up. */
void scale_uncommitted(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    assert(b->plan.stage == SCALE_WRITES);
    b->batch = b->plan.batch;
    scale_end(o, SCALE_ABORTED);
    plan_fail(o, REASON_OVERLOAD,
              b->batch.remove
                  ? "scale: the registry does not take the plan: nobody was removed, try again"
                  : "scale: the registry does not take the plan: nobody was added, try again");
}

/* --- where to --- */

/* after: the last row of the page before; 0: the first page. */
static void ask(struct orchestrator *o, uint64_t after)
{
    struct scale_plan *p = &o->scale.plan;
    struct query *q = own_query(o, QUERY_CLUSTERS, &p->ask_ref);
    q->from_start = after == 0;
    q->after_key = after;
    q->limit = PAGE_ROWS_MAX;
    q->selector.places = p->where;
    watch_of(o)->due_us = o->hub.now_us + 2 * QUERY_WAIT_US;
    own_query_send(o);
}

static bool healthy(const struct summary *s)
{
    return s->circuit != CIRCUIT_OPEN &&
           (s->agents == 0 || (uint64_t)s->active * 1000u > (uint64_t)s->agents * HEALTHY);
}

static void take_target(struct orchestrator *o, struct unit cluster, const struct summary *s)
{
    struct scale_book *b = &o->scale;
    struct scale_plan *p = &b->plan;
    const struct topology *t = o->hub.topology;
    const struct scale_row *row = scale_row(b, cluster, false);
    uint64_t taken = moves_guests(&o->moves.table, cluster);
    taken |= row != NULL ? row->old | row->fresh : 0;
    uint64_t free = grow_spare(t, cluster) & ~taken;
    struct unit first =
        unit_agent(cluster.sector, cluster.cluster, topology_cluster_agents(t, cluster) + 1u);
    bool wanted =
        free != 0 && (p->class_mask == 0 ||
                      (p->class_mask >> topology_class(t, topology_index(t, first)) & 1u) != 0);
    if (!wanted || p->target_count == SCALE_CLUSTERS_MAX) {
        return;
    }
    if (!healthy(s)) {
        p->left_out++;
        return;
    }
    uint64_t mean_us = summary_mean_us(s);
    p->targets[p->target_count++] =
        (struct scale_target){.cluster = cluster,
                              .agents = s->agents,
                              .mean_us = mean_us < UINT32_MAX ? (uint32_t)mean_us : UINT32_MAX,
                              .free = free,
                              .retired = row != NULL ? row->retired : 0};
}

struct load {
    uint64_t agents, mean_us;
    uint32_t clusters, free;
};

static bool lighter(const struct load *a, const struct load *b)
{
    uint64_t left = a->agents * b->clusters, right = b->agents * a->clusters;
    return left < right || (left == right && a->mean_us * b->clusters < b->mean_us * a->clusters);
}

/* One place, in the sector that has the fewest agents a cluster. */
static void take_place(struct scale_plan *p, struct load *loads, uint32_t sectors)
{
    uint32_t best = 0;
    for (uint32_t s = 1; s <= sectors; s++) {
        bool better = loads[s].free > 0 && (best == 0 || lighter(&loads[s], &loads[best]));
        best = better ? s : best;
    }
    assert(best != 0);
    struct scale_target *to = NULL;
    for (uint32_t i = 0; i < p->target_count; i++) {
        struct scale_target *at = &p->targets[i];
        bool fits = at->cluster.sector == best && at->free != 0;
        to = fits && (to == NULL || at->agents < to->agents) ? at : to;
    }
    assert(to != NULL);
    uint64_t unused = to->free & ~to->retired; /* an identity is given again last */
    uint64_t from = unused != 0 ? unused : to->free, bit = from & (~from + 1u);
    to->taken |= bit;
    to->free &= ~bit;
    to->agents++;
    loads[best].agents++;
    loads[best].free--;
}

static void too_few(struct orchestrator *o, uint32_t free)
{
    const struct scale_plan *p = &o->scale.plan;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_add(&t, "scale: ");
    text_u64(&t, free);
    text_add(&t, " free places in ");
    text_u64(&t, p->target_count);
    text_add(&t, " healthy clusters for ");
    agents_text(&t, p->batch.wanted);
    text_add(&t, ": a cluster has ");
    text_u64(&t, o->hub.topology->spare);
    text_add(&t, " spare places (`spare` in [mesh]; with its agents 64 at most); more of them, and "
                 "new clusters, take a new mesh.conf and a restart (docs/OPERATIONS.md)");
    plan_fail(o, REASON_OVERLOAD, memory);
}

static void assign(struct orchestrator *o)
{
    struct scale_plan *p = &o->scale.plan;
    struct load loads[SECTORS_MAX + 1u];
    uint32_t free = 0;
    memset(loads, 0, sizeof(loads));
    for (uint32_t i = 0; i < p->target_count; i++) {
        const struct scale_target *at = &p->targets[i];
        struct load *l = &loads[at->cluster.sector];
        l->agents += at->agents;
        l->mean_us += at->mean_us;
        l->clusters++;
        l->free += num_bits(at->free);
        free += num_bits(at->free);
    }
    if (free < p->batch.wanted) {
        too_few(o, free);
        return;
    }
    for (uint32_t i = 0; i < p->batch.wanted; i++) {
        take_place(p, loads, o->hub.topology->sectors);
    }
    settle(o);
}

bool scale_reply(struct orchestrator *o, const struct reply *reply)
{
    struct scale_plan *p = &o->scale.plan;
    if (p->stage != SCALE_ASKS || p->ask_ref == 0 || reply->ref != p->ask_ref) {
        return false;
    }
    p->ask_ref = 0;
    if (reply->kind != REPLY_ROWS) {
        plan_fail(o, reply->reason, reply->text != NULL ? reply->text : "scale: try again");
        return true;
    }
    const struct rows *rows = reply->rows;
    for (uint32_t i = 0; i < rows->row_count; i++) {
        if (rows->rows[i].unit.tier == TIER_CLUSTER) {
            take_target(o, rows->rows[i].unit, rows->rows[i].u.summary);
        }
    }
    if (rows->more && rows->row_count > 0) {
        ask(o, rows->rows[rows->row_count - 1u].key);
    } else {
        assign(o);
    }
    return true;
}

void scale_plan_tick(struct orchestrator *o, struct watch *w)
{
    struct scale_plan *p = &o->scale.plan;
    assert(p->stage != SCALE_IDLE && watch_of(o) == w);
    if (o->hub.now_us < w->due_us) {
        return;
    }
    if (!outbox_room(o->hub.out, 8, 4096)) {
        o->hub.short_of_room = true;
    } else if (p->stage == SCALE_ASKS) {
        plan_fail(o, REASON_SECTOR_DOWN, "scale: the clusters do not answer: try again");
    } else {
        scale_uncommitted(o);
    }
}

/* --- consoles --- */

/* Why nothing can change now; NULL: it may. */
static const char *refusal(const struct orchestrator *o)
{
    const struct scale_book *b = &o->scale;
    if (o->hub.topology->spare == 0) {
        return "scale: no cluster has a place for newcomers: set `spare` in [mesh], as "
               "deploy/up --spare 4";
    }
    if (!o->hub.store_up) {
        return "scale: the registry is away, and nobody comes unrecorded: try again";
    }
    if (!b->loaded) {
        return "scale: the records of newcomers are being read: try again";
    }
    return b->plan.stage != SCALE_IDLE ? "scale: another one is being planned: wait for its end"
                                       : NULL;
}

/* Why no other batch can begin now. */
static const char *occupied(const struct orchestrator *o)
{
    const struct scale_book *b = &o->scale;
    if (b->batch.state == SCALE_RUNNING) {
        return b->batch.remove
                   ? "scale: agents are leaving already: scale watch, finish or abort"
                   : "scale: newcomers are coming in already: scale watch, finish or abort";
    }
    return scale_settled(b) ? NULL : "scale: the end of the one before is being written: try again";
}

static void add_command(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    struct scale_book *b = &o->scale;
    struct scale_plan *p = &b->plan;
    struct watch *w = watch_take(o, msg, WATCH_SCALE_PLAN);
    if (w == NULL) {
        return;
    }
    memset(p, 0, sizeof(*p));
    p->stage = SCALE_ASKS;
    p->dry = c->on;
    p->watch = (uint32_t)(w - o->watches);
    p->class_mask = c->query.selector.class_mask;
    p->where = c->query.selector.places;
    p->batch = (struct scale_batch){
        .wanted = c->scale.count, .rate = c->scale.rate, .over_us = c->scale.over_us};
    ask(o, 0);
}

/* What is in flight to those who leave has no time any more. */
static void leave_now(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    if (b->batch.until_mesh_us <= hub_mesh_now(&o->hub)) {
        return;
    }
    b->batch.until_mesh_us = hub_mesh_now(&o->hub);
    b->batch_dirty = true;
    for (uint32_t i = 0; i < b->row_count; i++) {
        if (b->rows[i].leaving != 0) {
            b->rows[i].id = scale_next_id(o);
            b->rows[i].dirty = true;
        }
    }
    b->opened_us = o->hub.now_us;
}

static void end_text(const struct orchestrator *o, bool finish, struct text *t)
{
    bool remove = o->scale.batch.remove;
    text_u64(t, remove ? o->scale.leaving : o->scale.joined);
    if (remove) {
        text_add(t, finish ? " had not left yet: what they were working at ends now"
                           : " had not left yet; all stay, and who had left comes back");
    } else {
        text_add(t, finish ? " are agents as all others from now on; places that nobody has taken "
                             "stay open to those who come late"
                           : " leave again, as soon as their work is done; the mesh is as before");
    }
}

static void end_command(struct orchestrator *o, const struct msg *msg, bool finish)
{
    if (o->scale.batch.state != SCALE_RUNNING) {
        hub_reply_error(&o->hub, msg, REASON_INVALID,
                        "scale: nobody is coming in or leaving: there is nothing to end");
        return;
    }
    scale_look(o);
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    end_text(o, finish, &t);
    if (finish && o->scale.batch.remove) {
        leave_now(o);
    } else {
        scale_end(o, finish ? SCALE_DONE : SCALE_ABORTED);
    }
    hub_reply_line(&o->hub, msg, memory);
    hub_reply_ok(&o->hub, msg);
}

void scale_command(struct orchestrator *o, const struct msg *msg)
{
    const struct scale_request *s = &msg->u.command->scale;
    const char *why = s->action >= SCALE_ADD ? refusal(o) : NULL;
    bool begins = s->action == SCALE_ADD || s->action == SCALE_REMOVE;
    if (why == NULL && begins && !msg->u.command->on) {
        why = occupied(o);
    }
    if (why != NULL) {
        hub_reply_error(&o->hub, msg, REASON_OVERLOAD, why);
    } else if (s->action == SCALE_ADD) {
        add_command(o, msg);
    } else if (s->action == SCALE_REMOVE) {
        scale_remove(o, msg);
    } else if (s->action == SCALE_FINISH || s->action == SCALE_ABORT) {
        end_command(o, msg, s->action == SCALE_FINISH);
    } else if (s->action == SCALE_PLACES) {
        scale_places(o, msg);
    } else if (s->action == SCALE_WATCH) {
        (void)watch_take(o, msg, WATCH_SCALE);
    } else {
        scale_show(o, msg);
    }
}
