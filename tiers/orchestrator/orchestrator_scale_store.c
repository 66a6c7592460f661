/* The registry's records of newcomers (collection `scale` of the mesh): one for each cluster, and
 * that of the batch, which decides what theirs mean (orchestrator_scale.c). One request at a time;
 * what is refused or not answered is put again, as it is by then. */
#include "core/num.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define STORE_WAIT_US (5ll * US_PER_S)
#define SCAN_ROWS     32u
#define KEY_BYTES     (UNIT_TEXT_MAX + 8u)

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
    char batch[HEX_TEXT_MAX], leaving[HEX_TEXT_MAX], retired[HEX_TEXT_MAX];
    struct text t;
    text_init(&t, key, sizeof(key));
    text_add(&t, "scale:");
    text_unit(&t, row->cluster);
    num_format_hex64(row->id, id);
    num_format_hex64(row->old, old);
    num_format_hex64(row->fresh, fresh);
    num_format_hex64(row->batch, batch);
    num_format_hex64(row->leaving, leaving);
    num_format_hex64(row->retired, retired);
    const struct store_field fields[] = {{"id", id, (uint32_t)strlen(id)},
                                         {"old", old, (uint32_t)strlen(old)},
                                         {"fresh", fresh, (uint32_t)strlen(fresh)},
                                         {"batch", batch, (uint32_t)strlen(batch)},
                                         {"leaving", leaving, (uint32_t)strlen(leaving)},
                                         {"retired", retired, (uint32_t)strlen(retired)}};
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
    char over[HEX_TEXT_MAX], ended[HEX_TEXT_MAX], until[HEX_TEXT_MAX], remove[HEX_TEXT_MAX];
    num_format_hex64(batch->id, id);
    num_format_hex64((uint64_t)batch->state, state);
    num_format_hex64(batch->wanted, wanted);
    num_format_hex64(batch->rate, rate);
    num_format_hex64((uint64_t)batch->over_us, over);
    num_format_hex64((uint64_t)batch->ended_mesh_us, ended);
    num_format_hex64((uint64_t)batch->until_mesh_us, until);
    num_format_hex64(batch->remove, remove);
    const struct store_field fields[] = {{"id", id, (uint32_t)strlen(id)},
                                         {"state", state, (uint32_t)strlen(state)},
                                         {"wanted", wanted, (uint32_t)strlen(wanted)},
                                         {"rate", rate, (uint32_t)strlen(rate)},
                                         {"over", over, (uint32_t)strlen(over)},
                                         {"ended", ended, (uint32_t)strlen(ended)},
                                         {"until", until, (uint32_t)strlen(until)},
                                         {"remove", remove, (uint32_t)strlen(remove)}};
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
        if (b->rows[i].dirty && b->rows[i].tell == 0) { /* the audit log is to have it first */
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
                             .remove = field(row, "remove") != 0,
                             .over_us = (int64_t)field(row, "over"),
                             .until_mesh_us = (int64_t)field(row, "until"),
                             .ended_mesh_us = (int64_t)field(row, "ended")};
    uint64_t state = field(row, "state");
    bool fits = in.remove ? in.over_us >= 0 && in.over_us <= GROW_DRAIN_MAX_US
                          : in.rate >= 1 && in.rate <= SCALE_RATE_MAX &&
                                in.over_us >= GROW_OVER_MIN_US && in.over_us <= GROW_OVER_MAX_US;
    if (in.id == 0 || state == SCALE_NONE || state >= SCALE_STATE_COUNT || !fits) {
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
                             .leaving = field(row, "leaving") & field(row, "old") & spare,
                             .retired = field(row, "retired") & spare,
                             .batch = field(row, "batch")};
    at->closed = at->id;
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
    if (b->loaded) {
        scale_loaded(o);
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
        b->open_us = b->look_us = b->opened_us = o->hub.now_us;
        scale_committed(o);
    } else {
        o->scale.order_due = true; /* what holds now may be said */
    }
    return true;
}

void scale_store_tick(struct orchestrator *o)
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
