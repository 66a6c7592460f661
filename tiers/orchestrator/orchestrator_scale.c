/* Newcomers (docs/adr/0037): the mesh's table of the spare places that are open to them.
 *
 * A batch is planned as a whole and written to the registry (orchestrator_scale_store.c): a record
 * for each cluster, then that of the batch, which decides it; what an orchestrator finds there of a
 * batch that was never decided is undone. Then its places open, so many in a second while the mesh
 * is in full service. What holds for each cluster is ordered (order.h): as it changes, and all of
 * it again after each STATE, so a sector that begins, or has missed some, has it, too. It is over
 * when all have come and have the whole share of work: then they are agents as all others are. An
 * end is decided by the batch's record, too, and the clusters' follow.
 *
 * One that removes agents (docs/adr/0044) closes its places at once; it is over when its leads say
 * that all have left, or some time after until_mesh_us, for who is still there then is refused. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define OPEN_STEP_US  (250ll * US_PER_MS)
#define LOOK_US       US_PER_S
#define DONE_AFTER_US (5ll * US_PER_S) /* sums of before the last opening are no news */
#define LEFT_AFTER_US (8ll * US_PER_S) /* likewise */
/* A word, perhaps lost once, the time to leave after an abort, and a host's own. */
#define CLOSING_US    (2 * GROW_DRAIN_US + 5ll * US_PER_S)
#define LEFT_GRACE_US (20ll * US_PER_S)

struct scale_row *scale_row(struct scale_book *b, struct unit cluster, bool make)
{
    for (uint32_t i = 0; i < b->row_count; i++) {
        if (unit_equal(b->rows[i].cluster, cluster)) {
            return &b->rows[i];
        }
    }
    if (!make || b->row_count == SCALE_CLUSTERS_MAX) {
        return NULL;
    }
    b->rows[b->row_count] = (struct scale_row){.cluster = cluster};
    return &b->rows[b->row_count++];
}

uint64_t scale_next_id(struct orchestrator *o)
{
    uint64_t now = (uint64_t)hub_mesh_now(&o->hub);
    o->scale.last_id = now > o->scale.last_id ? now : o->scale.last_id + 1u;
    return o->scale.last_id;
}

uint32_t scale_opened(const struct scale_book *b)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < b->row_count; i++) {
        n += num_bits(b->rows[i].opened);
    }
    return n;
}

uint64_t scale_open(const struct scale_book *b, const struct scale_row *row)
{
    bool leaves = row->batch == b->batch.id && b->batch.state == SCALE_RUNNING;
    return (row->old & ~(leaves ? row->leaving : 0)) | row->opened;
}

uint64_t scale_taken(struct orchestrator *o, struct unit cluster)
{
    const struct scale_row *row = scale_row(&o->scale, cluster, false);
    bool closing = row != NULL && row->closed != 0 &&
                   hub_mesh_now(&o->hub) - (int64_t)row->closed < CLOSING_US; /* ids: mesh time */
    return closing ? UINT64_MAX : row != NULL ? row->old | row->fresh : 0;
}

bool scale_settled(const struct scale_book *b)
{
    bool dirty = b->batch_dirty;
    for (uint32_t i = 0; i < b->row_count; i++) {
        dirty = dirty || b->rows[i].dirty;
    }
    return !dirty;
}

void scale_count(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    uint32_t sums[SECTORS_MAX] = {0};
    for (uint32_t i = 0; i < b->row_count; i++) {
        const struct scale_row *row = &b->rows[i];
        sums[row->cluster.sector - 1u] += num_bits(scale_open(b, row) & ~row->opened);
    }
    for (uint32_t i = 0; i < o->hub.children_count; i++) {
        uint32_t came = moves_came(&o->moves.table, unit_sector(i + 1));
        o->hub.child[i].guests = (uint16_t)(came + sums[i]);
    }
}

/* What the decided state of the batch makes of a cluster's newcomers. */
static void settle_row(struct orchestrator *o, struct scale_row *row)
{
    const struct scale_batch *batch = &o->scale.batch;
    bool own = row->batch == batch->id, done = own && batch->state == SCALE_DONE;
    if ((row->fresh | row->leaving) == 0 || (own && batch->state == SCALE_RUNNING)) {
        return;
    }
    if (done) {
        row->old = (row->old | row->fresh) & ~row->leaving;
        row->retired = (row->retired | row->leaving) & ~row->old;
        row->tell |= row->leaving;
    }
    bool closes = done ? row->leaving != 0 : row->fresh != 0;
    row->fresh = 0;
    row->leaving = 0;
    row->opened = 0;
    row->batch = own ? row->batch : 0;
    row->id = scale_next_id(o);
    row->closed = closes ? row->id : row->closed;
    row->dirty = true; /* it is ordered when the registry has it */
}

void scale_loaded(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    for (uint32_t i = 0; i < b->row_count; i++) {
        settle_row(o, &b->rows[i]);
    }
    scale_count(o);
    b->order_due = true;
    b->open_us = b->look_us = o->hub.now_us;
}

/* Each identity that is retired is named in the audit log, before the registry's record says so: a
 * log that takes no rows now is asked again. */
static void audit_retired(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    for (uint32_t i = 0; i < b->row_count; i++) {
        struct scale_row *row = &b->rows[i];
        if (row->tell == 0) {
            continue;
        }
        struct logbook_row *to =
            log_row(o, LOG_AUDIT, LOGBOOK_RESERVE, "scale", "retired", row->cluster);
        if (to == NULL && !o->hub.tuning.no_log) {
            return;
        }
        if (to != NULL) {
            struct text t;
            text_init(&t, to->subject, sizeof(to->subject));
            text_add(&t, "newcomers");
            text_init(&t, to->body, sizeof(to->body));
            text_add(&t, "{\"action\": \"");
            text_places(&t, row->cluster, row->tell);
            text_add(&t, "\", \"outcome\": \"retired\"}");
            to->body_bytes = (uint32_t)t.used;
        }
        row->tell = 0;
    }
}

static void audit_end_of(struct orchestrator *o, const char *how)
{
    struct logbook_row *row = log_row(o, LOG_AUDIT, LOGBOOK_RESERVE, "scale", how, o->hub.self);
    if (row == NULL) {
        return; /* the note says it all the same */
    }
    struct text t;
    text_init(&t, row->subject, sizeof(row->subject));
    text_add(&t, "newcomers");
    text_init(&t, row->body, sizeof(row->body));
    const struct scale_batch *batch = &o->scale.batch;
    text_add(&t, batch->remove ? "{\"action\": \"scale\", \"removed\": "
                               : "{\"action\": \"scale\", \"newcomers\": ");
    text_u64(&t, batch->wanted);
    text_add(&t, ", \"here\": ");
    text_u64(&t, batch->remove ? o->scale.leaving : o->scale.joined);
    text_add(&t, ", \"outcome\": \"");
    text_add(&t, how);
    text_add(&t, "\"}");
    row->body_bytes = (uint32_t)t.used;
}

void scale_end(struct orchestrator *o, enum scale_state state)
{
    struct scale_book *b = &o->scale;
    assert(b->batch.state == SCALE_RUNNING && state != SCALE_RUNNING);
    b->batch.state = state;
    b->batch.ended_mesh_us = hub_mesh_now(&o->hub);
    b->batch_dirty = true;
    for (uint32_t i = 0; i < b->row_count; i++) {
        settle_row(o, &b->rows[i]);
    }
    scale_count(o);
    hub_note(&o->hub, NOTE_SCALE, (uint64_t)state, b->batch.wanted);
    audit_end_of(o, state == SCALE_DONE ? "done" : "aborted");
}

/* --- down --- */

/* Places that a word closes were newcomers' that are given up; or their agents are removed, until
 * the time that was ordered, which may have come before their lead began. */
static int64_t drain_us(const struct orchestrator *o, const struct scale_row *row)
{
    int64_t left_us = o->scale.batch.until_mesh_us - hub_mesh_now(&o->hub);
    if (row->leaving == 0) { /* after a removal they have left: their hosts may stop them now */
        return o->scale.batch.remove ? 0 : GROW_DRAIN_US;
    }
    return num_clamp_i64(left_us, 0, GROW_DRAIN_MAX_US);
}

/* Of a word that is not in the registry yet, or whose batch is not decided, nothing is ordered. */
static bool unsaid(const struct scale_book *b, const struct scale_row *row)
{
    return !row->dirty && row->id != 0 && row->batch <= b->batch.id &&
           (row->ordered_id != row->id || row->ordered != scale_open(b, row));
}

/* A STATE is all that a sector needs to go on with, but for this: all is ordered again. */
static void begin_again(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    if (b->state_seq == o->orders.state_seq) {
        return;
    }
    b->state_seq = o->orders.state_seq;
    b->order_due = b->row_count > 0;
    for (uint32_t i = 0; i < b->row_count; i++) {
        b->rows[i].ordered_id = 0;
    }
}

/* One order with as many clusters as it takes. Some may be left: order_due says so. */
static void order_open(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    struct order_grows grows = {.count = 0};
    struct scale_row *rows[ORDER_GROWS_MAX];
    struct order order = {.what = ORDER_GROWS, .u.grows = &grows};
    int64_t over_us = num_clamp_i64(b->batch.over_us, GROW_OVER_MIN_US, GROW_OVER_MAX_US);
    for (uint32_t i = 0; i < b->row_count && grows.count < ORDER_GROWS_MAX; i++) {
        struct scale_row *row = &b->rows[i];
        if (unsaid(b, row)) {
            rows[grows.count] = row;
            grows.list[grows.count++] = (struct grow){.id = row->id,
                                                      .cluster = row->cluster,
                                                      .places = scale_open(b, row),
                                                      .fresh = row->opened,
                                                      .over_us = over_us,
                                                      .drain_us = drain_us(o, row)};
        }
    }
    if (grows.count > 0 &&
        (o->orders.head.seq == 0 || !hub_order_room(&o->hub) || !hub_order(&o->hub, &order))) {
        return; /* it goes on when the chain has begun, or when the sectors have heard */
    }
    for (uint32_t i = 0; i < grows.count; i++) {
        rows[i]->ordered_id = rows[i]->id;
        rows[i]->ordered = grows.list[i].places;
    }
    b->order_due = grows.count == ORDER_GROWS_MAX;
}

/* The next few places open. */
static void open_some(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    bool more = false;
    b->open_us = b->batch.remove ? NEVER : o->hub.now_us + OPEN_STEP_US;
    b->paused = !b->batch.remove && o->hub.mode != MODE_FULL;
    if (b->paused || b->batch.remove) {
        return;
    }
    b->credit += b->batch.rate * (uint32_t)(OPEN_STEP_US / US_PER_MS);
    for (uint32_t i = 0; i < b->row_count; i++) {
        struct scale_row *row = &b->rows[i];
        uint64_t before = row->opened, closed = row->fresh & ~row->opened;
        for (; closed != 0 && b->credit >= 1000; closed &= closed - 1u, b->credit -= 1000) {
            row->opened |= closed & (~closed + 1u);
        }
        more = more || closed != 0;
        b->order_due = b->order_due || row->opened != before;
        b->opened_us = row->opened != before ? o->hub.now_us : b->opened_us;
    }
    b->credit = more ? b->credit % 1000u : 0;
    b->open_us = more ? b->open_us : NEVER;
}

/* --- how far it is --- */

void scale_look(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    struct hub *h = &o->hub;
    b->joined = b->entering = b->conflicts = b->leaving = 0;
    b->deaf = false;
    for (uint32_t i = 0; i < h->children_count; i++) {
        const struct hub_child *c = &h->child[i];
        if (c->has_summary && children_reachable(&h->children, i)) {
            b->joined += c->summary.newcomers;
            b->entering += c->summary.entering;
            b->conflicts += c->summary.newcomer_conflicts;
            b->leaving += c->summary.leaving;
        }
    }
    for (uint32_t i = 0; i < b->row_count; i++) {
        uint32_t sector = b->rows[i].cluster.sector - 1u;
        bool heard = h->child[sector].has_summary && children_reachable(&h->children, sector);
        b->deaf = b->deaf || (b->rows[i].leaving != 0 && !heard);
    }
}

static bool all_left(const struct orchestrator *o)
{
    const struct scale_book *b = &o->scale;
    bool said = !b->deaf && b->leaving == 0 && o->hub.now_us >= b->opened_us + LEFT_AFTER_US;
    return said || hub_mesh_now(&o->hub) >= b->batch.until_mesh_us + LEFT_GRACE_US;
}

static void end_due(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    b->look_us = o->hub.now_us + LOOK_US; /* whoever else looks does not put this off */
    scale_look(o);
    if (b->batch.remove) {
        if (all_left(o)) {
            scale_end(o, SCALE_DONE);
        }
        return;
    }
    bool all = scale_opened(b) == b->batch.wanted && b->joined >= b->batch.wanted;
    if (all && b->entering == 0 && o->hub.now_us >= b->opened_us + DONE_AFTER_US) {
        scale_end(o, SCALE_DONE);
    }
}

void scale_link(struct orchestrator *o, bool up)
{
    struct scale_book *b = &o->scale;
    for (uint32_t i = 0; up && b->loaded && i < b->row_count; i++) {
        b->rows[i].dirty = true; /* it may have lost its records */
    }
    b->batch_dirty = b->batch_dirty || (up && b->loaded && b->batch.id != 0);
}

int64_t scale_tick(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    int64_t now_us = o->hub.now_us;
    if (o->hub.topology->spare == 0) {
        return NEVER; /* such a mesh has no place for anyone */
    }
    audit_retired(o);
    scale_store_tick(o);
    bool running = b->loaded && b->batch.state == SCALE_RUNNING;
    if (running && now_us >= b->open_us) {
        open_some(o);
    }
    if (running && now_us >= b->look_us) {
        end_due(o);
    }
    begin_again(o);
    if (b->order_due) {
        order_open(o);
    }
    int64_t next_us = b->ref != 0 || b->until_us > now_us ? b->until_us : NEVER;
    if (b->order_due) {
        next_us = now_us + OPEN_STEP_US < next_us ? now_us + OPEN_STEP_US : next_us;
    }
    if (running) {
        next_us = b->open_us < next_us ? b->open_us : next_us;
        next_us = b->look_us < next_us ? b->look_us : next_us;
    }
    return next_us > now_us || next_us == NEVER ? next_us : now_us + OPEN_STEP_US;
}
