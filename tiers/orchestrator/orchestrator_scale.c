/* Newcomers (docs/adr/0037): the mesh's table of the spare places that are open to them.
 *
 * A batch is planned as a whole and written to the registry (collection `scale` of the mesh): a
 * record for each cluster, then that of the batch, which decides it; what an orchestrator finds
 * there of a batch that was never decided is undone. Then its places open, so many in a second
 * while the mesh is in full service. What holds for each cluster is ordered (order.h): as it
 * changes, and all of it again after each STATE, so a sector that begins, or has missed some, has
 * it, too. It is over when all have come and have the whole share of work: then they are
 * agents as all others are. An end is decided by the batch's record, too, and the clusters' follow.
 */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define STORE_WAIT_US (5ll * US_PER_S)
#define OPEN_STEP_US  (250ll * US_PER_MS)
#define LOOK_US       US_PER_S
#define DONE_AFTER_US (5ll * US_PER_S) /* sums of before the last opening are no news */
#define SCAN_ROWS     32u
#define KEY_BYTES     (UNIT_TEXT_MAX + 8u)

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
        sums[b->rows[i].cluster.sector - 1u] += num_bits(b->rows[i].old);
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
    bool own = row->batch == batch->id;
    if (row->fresh == 0 || (own && batch->state == SCALE_RUNNING)) {
        return;
    }
    row->old |= own && batch->state == SCALE_DONE ? row->fresh : 0;
    row->fresh = 0;
    row->opened = 0;
    row->batch = own ? row->batch : 0;
    row->id = scale_next_id(o);
    row->dirty = true; /* it is ordered when the registry has it */
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
    text_add(&t, "{\"action\": \"scale\", \"newcomers\": ");
    text_u64(&t, o->scale.batch.wanted);
    text_add(&t, ", \"here\": ");
    text_u64(&t, o->scale.joined);
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

/* Of a word that is not in the registry yet, or whose batch is not decided, nothing is ordered. */
static bool unsaid(const struct scale_book *b, const struct scale_row *row)
{
    return !row->dirty && row->id != 0 && row->batch <= b->batch.id &&
           (row->ordered_id != row->id || row->ordered != (row->old | row->opened));
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
    int64_t over_us = b->batch.over_us > 0 ? b->batch.over_us : GROW_OVER_MIN_US;
    for (uint32_t i = 0; i < b->row_count && grows.count < ORDER_GROWS_MAX; i++) {
        struct scale_row *row = &b->rows[i];
        if (unsaid(b, row)) {
            rows[grows.count] = row;
            grows.list[grows.count++] = (struct grow){.id = row->id,
                                                      .cluster = row->cluster,
                                                      .places = row->old | row->opened,
                                                      .fresh = row->opened,
                                                      .over_us = over_us};
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
    b->open_us = o->hub.now_us + OPEN_STEP_US;
    b->paused = o->hub.mode != MODE_FULL;
    if (b->paused) {
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
    b->look_us = h->now_us + LOOK_US;
    b->joined = b->entering = b->conflicts = 0;
    for (uint32_t i = 0; i < h->children_count; i++) {
        const struct hub_child *c = &h->child[i];
        if (c->has_summary && children_reachable(&h->children, i)) {
            b->joined += c->summary.newcomers;
            b->entering += c->summary.entering;
            b->conflicts += c->summary.newcomer_conflicts;
        }
    }
}

static void end_due(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    scale_look(o);
    bool all = scale_opened(b) == b->batch.wanted && b->joined >= b->batch.wanted;
    if (all && b->entering == 0 && o->hub.now_us >= b->opened_us + DONE_AFTER_US) {
        scale_end(o, SCALE_DONE);
    }
}

/* --- the records --- */

static void ask(struct orchestrator *o, struct store_op *op)
{
    struct hub *h = &o->hub;
    op->shard = "mesh";
    op->collection = "scale";
    op->ref = ++h->next_ref;
    o->scale.ref = op->ref;
    o->scale.until_us = h->now_us + STORE_WAIT_US;
    out_store(h->out, op);
}

static void put_row(struct orchestrator *o, uint32_t i)
{
    struct scale_row *row = &o->scale.rows[i];
    char key[KEY_BYTES], id[HEX_TEXT_MAX], old[HEX_TEXT_MAX], fresh[HEX_TEXT_MAX];
    char batch[HEX_TEXT_MAX];
    struct text t;
    text_init(&t, key, sizeof(key));
    text_add(&t, "scale:");
    text_unit(&t, row->cluster);
    num_format_hex64(row->id, id);
    num_format_hex64(row->old, old);
    num_format_hex64(row->fresh, fresh);
    num_format_hex64(row->batch, batch);
    const struct store_field fields[] = {{"id", id, (uint32_t)strlen(id)},
                                         {"old", old, (uint32_t)strlen(old)},
                                         {"fresh", fresh, (uint32_t)strlen(fresh)},
                                         {"batch", batch, (uint32_t)strlen(batch)}};
    struct store_op op = {.kind = STORE_PUT,
                          .key = key,
                          .fields = fields,
                          .field_count = sizeof fields / sizeof *fields};
    o->scale.ref_row = i;
    o->scale.ref_batch = false;
    row->dirty = false; /* as it is now; a change meanwhile makes it dirty again */
    ask(o, &op);
}

static void put_batch(struct orchestrator *o, const struct scale_batch *batch)
{
    char id[HEX_TEXT_MAX], state[HEX_TEXT_MAX], wanted[HEX_TEXT_MAX], rate[HEX_TEXT_MAX];
    char over[HEX_TEXT_MAX], ended[HEX_TEXT_MAX];
    num_format_hex64(batch->id, id);
    num_format_hex64((uint64_t)batch->state, state);
    num_format_hex64(batch->wanted, wanted);
    num_format_hex64(batch->rate, rate);
    num_format_hex64((uint64_t)batch->over_us, over);
    num_format_hex64((uint64_t)batch->ended_mesh_us, ended);
    const struct store_field fields[] = {{"id", id, (uint32_t)strlen(id)},
                                         {"state", state, (uint32_t)strlen(state)},
                                         {"wanted", wanted, (uint32_t)strlen(wanted)},
                                         {"rate", rate, (uint32_t)strlen(rate)},
                                         {"over", over, (uint32_t)strlen(over)},
                                         {"ended", ended, (uint32_t)strlen(ended)}};
    struct store_op op = {.kind = STORE_PUT,
                          .key = "scale:batch",
                          .fields = fields,
                          .field_count = sizeof fields / sizeof *fields};
    o->scale.ref_batch = true;
    o->scale.batch_dirty = false;
    ask(o, &op);
}

/* What is not in the registry as it is here: an end before its rows, a beginning after them. */
static void write_one(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    if (b->batch_dirty) {
        put_batch(o, &b->batch);
        return;
    }
    for (uint32_t i = 0; i < b->row_count; i++) {
        if (b->rows[i].dirty) {
            put_row(o, i);
            return;
        }
    }
    if (b->plan.stage == SCALE_WRITES) {
        put_batch(o, &b->plan.batch);
    }
}

static uint64_t field(const struct store_row *row, const char *name)
{
    uint64_t v = 0;
    for (uint32_t k = 0; k < row->field_count; k++) {
        const struct store_field *f = &row->fields[k];
        if (strcmp(f->name, name) == 0 && !num_parse_hex64(f->value, f->value_bytes, &v)) {
            v = 0;
        }
    }
    return v;
}

static void read_batch(struct orchestrator *o, const struct store_row *row)
{
    struct scale_batch in = {.id = field(row, "id"),
                             .wanted = (uint32_t)field(row, "wanted"),
                             .rate = (uint32_t)field(row, "rate"),
                             .over_us = (int64_t)field(row, "over"),
                             .ended_mesh_us = (int64_t)field(row, "ended")};
    uint64_t state = field(row, "state");
    if (in.id == 0 || state == SCALE_NONE || state >= SCALE_STATE_COUNT || in.rate == 0 ||
        in.rate > SCALE_RATE_MAX || in.over_us < GROW_OVER_MIN_US ||
        in.over_us > GROW_OVER_MAX_US) {
        return; /* it is none of ours */
    }
    in.state = (enum scale_state)state;
    o->scale.batch = in;
    o->scale.last_id = in.id > o->scale.last_id ? in.id : o->scale.last_id;
}

static void read_row(struct orchestrator *o, const struct store_row *row)
{
    struct scale_book *b = &o->scale;
    struct unit cluster = {0};
    const char *why = NULL;
    if (row->key != NULL && strcmp(row->key, "scale:batch") == 0) {
        read_batch(o, row);
        return;
    }
    if (row->key == NULL || strncmp(row->key, "scale:", 6) != 0 ||
        !unit_parse(row->key + 6, strlen(row->key + 6), &cluster, &why) ||
        cluster.tier != TIER_CLUSTER || !topology_contains(o->hub.topology, cluster)) {
        return;
    }
    uint64_t spare = grow_spare(o->hub.topology, cluster);
    struct scale_row *at = scale_row(b, cluster, true);
    if (at == NULL) {
        return;
    }
    *at = (struct scale_row){.cluster = cluster,
                             .id = field(row, "id"),
                             .old = field(row, "old") & spare,
                             .fresh = field(row, "fresh") & spare,
                             .batch = field(row, "batch")};
    b->last_id = at->id > b->last_id ? at->id : b->last_id;
}

static void scanned(struct orchestrator *o, const struct store_reply *reply)
{
    struct scale_book *b = &o->scale;
    for (uint32_t k = 0; k < reply->row_count; k++) {
        read_row(o, &reply->rows[k]);
    }
    b->cursor = reply->cursor;
    b->loaded = reply->cursor == 0;
    for (uint32_t i = 0; b->loaded && i < b->row_count; i++) {
        settle_row(o, &b->rows[i]);
    }
    if (b->loaded) {
        scale_count(o);
        b->order_due = true;
        b->open_us = b->look_us = o->hub.now_us;
    }
}

static void refused(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    if (b->loaded && b->ref_batch && b->plan.stage != SCALE_WRITES) {
        b->batch_dirty = true;
    } else if (b->loaded && !b->ref_batch) {
        b->rows[b->ref_row].dirty = true;
    }
}

bool scale_stored(struct orchestrator *o, const struct store_reply *reply)
{
    struct scale_book *b = &o->scale;
    if (b->ref == 0 || reply->ref != b->ref) {
        return false;
    }
    b->ref = 0;
    if (reply->verdict != STORE_OK && reply->verdict != STORE_MISSING) {
        hub_note(&o->hub, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
        b->until_us = o->hub.now_us + US_PER_S; /* again then */
        refused(o);
        return true;
    }
    b->until_us = 0;
    if (reply->kind == STORE_SCAN) {
        scanned(o, reply);
    } else if (b->ref_batch && b->plan.stage == SCALE_WRITES) {
        b->batch = b->plan.batch;
        b->credit = 0;
        b->order_due = true;
        b->open_us = b->look_us = o->hub.now_us;
        scale_committed(o);
    } else {
        b->order_due = true; /* what holds now may be said */
    }
    return true;
}

static void store_tick(struct orchestrator *o)
{
    struct scale_book *b = &o->scale;
    struct hub *h = &o->hub;
    if (b->ref != 0 && h->now_us >= b->until_us) {
        hub_note(h, NOTE_STORE_LATE, b->ref, STORE_PUT);
        b->ref = 0;
        refused(o);
    }
    if (b->ref != 0 || !h->store_up || h->now_us < b->until_us || !o->frozen_loaded) {
        return;
    }
    if (!outbox_room(h->out, 2, 4096)) {
        h->short_of_room = true;
        return;
    }
    if (b->loaded) {
        write_one(o);
        return;
    }
    struct store_op op = {.kind = STORE_SCAN, .cursor = b->cursor, .limit = SCAN_ROWS};
    b->ref_batch = false;
    ask(o, &op);
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
    store_tick(o);
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
