/* One request to the registry at a time: first the pages of all records, then every KPI_SAVE_US
 * those of the buckets that have changed. They are written under this node's epoch, so that an
 * orchestrator that was replaced cannot overwrite what its successor counts. */
#include "tiers/orchestrator/orchestrator_kpi.h"
#include <assert.h>
#include <string.h>

#define STORE_WAIT_US (5ll * US_PER_S)
#define SCAN_ROWS     16u
#define TEXT_EACH     1024u
#define COLLECTION    "kpi"

void kpi_start(struct kpi_book *k, const struct hub *h)
{
    assert(k != NULL && h != NULL);
    k->count_us = h->now_us + US_PER_S;
    k->save_us = h->now_us + KPI_SAVE_US;
}

void kpi_recovered(struct kpi_book *k, bool cluster, int64_t took_us)
{
    assert(k != NULL);
    struct kpi_counts one = {0};
    uint64_t took = took_us > 0 ? (uint64_t)took_us : 0;
    one.n[cluster ? KPI_CLUSTER_RECOVERIES : KPI_SECTOR_RECOVERIES] = 1;
    one.n[cluster ? KPI_CLUSTER_RECOVERY_US : KPI_SECTOR_RECOVERY_US] = took;
    one.n[cluster ? KPI_CLUSTER_RECOVERY_MAX_US : KPI_SECTOR_RECOVERY_MAX_US] = took;
    kpi_merge(&k->ended, &one);
}

static void count(struct kpi_book *k, const struct hub *h, uint64_t observed_us,
                  uint64_t available_us)
{
    const struct hub_figures *f = &h->figures;
    struct kpi_counts now = {.n = {[KPI_QUORUMS] = f->quorums,
                                   [KPI_QUORUMS_ACHIEVED] = f->quorums_achieved,
                                   [KPI_WINDOW_ELIGIBLE] = f->window_eligible,
                                   [KPI_WINDOW_HITS] = f->window_hits,
                                   [KPI_PREDICTED] = f->predicted,
                                   [KPI_PREDICTED_50MS] = f->predicted_50ms,
                                   [KPI_ANSWERS] = f->answers,
                                   [KPI_CONFLICTS] = f->conflicts,
                                   [KPI_OBSERVED_US] = observed_us,
                                   [KPI_AVAILABLE_US] = available_us}};
    struct kpi_counts more;
    memcpy(now.cascades, f->cascade_times, sizeof(now.cascades));
    memcpy(now.cascades_fast, f->cascade_times_fast, sizeof(now.cascades_fast));
    more = now;
    kpi_since(&more, &k->counted);
    kpi_merge(&more, &k->ended);
    memset(&k->ended, 0, sizeof(k->ended));
    k->counted = now;
    kpi_add(&k->history, hub_mesh_now(h), &more);
}

/* --- the registry --- */

static bool ask(struct kpi_book *k, struct hub *h, struct store_op *op)
{
    op->shard = "mesh";
    op->collection = COLLECTION;
    if (!outbox_room(h->out, 1, store_op_extra_bytes(op) + 64u)) {
        h->short_of_room = true;
        return false;
    }
    op->ref = k->ref = ++h->next_ref;
    k->until_us = h->now_us + STORE_WAIT_US;
    out_store(h->out, op);
    return true;
}

static void save(struct kpi_book *k, struct hub *h)
{
    struct store_op op = {.kind = STORE_EPOCH_PUTS, .epoch = h->epoch > 0 ? h->epoch : 1};
    k->saving_count = 0;
    for (enum kpi_over over = KPI_HOUR; over < KPI_OVERS; over++) {
        for (uint32_t i = 0; i < kpi_slots(over) && k->saving_count < KPI_PUTS_MAX; i++) {
            struct kpi_bucket *b = &k->history.slots[over][i];
            struct kpi_record *r = &k->records[k->saving_count];
            if (!b->dirty) {
                continue;
            }
            kpi_save(&k->history, over, i, r);
            k->rows[k->saving_count] =
                (struct store_row){.key = r->key, .fields = r->fields, .field_count = KPI_FIELDS};
            k->saving[k->saving_count++] = b;
        }
    }
    op.rows = k->rows;
    op.row_count = k->saving_count;
    if (k->saving_count == 0 || ask(k, h, &op)) {
        for (uint32_t i = 0; i < k->saving_count; i++) {
            k->saving[i]->dirty = false;
        }
        k->save_us = h->now_us + KPI_SAVE_US;
    }
}

static void save_again(struct kpi_book *k)
{
    for (uint32_t i = 0; i < k->saving_count; i++) {
        k->saving[i]->dirty = k->saving[i]->start_us != 0;
    }
    k->saving_count = 0;
}

static void store_tick(struct kpi_book *k, struct hub *h)
{
    if (k->ref != 0 && h->now_us >= k->until_us) {
        hub_note(h, NOTE_STORE_LATE, k->ref, k->loaded ? STORE_EPOCH_PUTS : STORE_SCAN);
        k->ref = 0;
        save_again(k);
    }
    if (k->ref != 0 || !h->store_up || h->now_us < k->save_us) {
        return;
    }
    if (k->loaded) {
        save(k, h);
        return;
    }
    struct store_op op = {.kind = STORE_SCAN, .cursor = k->cursor, .limit = SCAN_ROWS};
    (void)ask(k, h, &op);
}

bool kpi_stored(struct kpi_book *k, struct hub *h, const struct store_reply *reply)
{
    assert(k != NULL && reply != NULL);
    if (k->ref == 0 || reply->ref != k->ref) {
        return false;
    }
    bool good = reply->verdict == STORE_OK ||
                (reply->kind == STORE_SCAN && reply->verdict == STORE_MISSING);
    k->ref = 0;
    if (!good) {
        hub_note(h, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
        save_again(k);
        k->save_us = h->now_us + KPI_SAVE_US;
        return true;
    }
    k->saving_count = 0;
    if (reply->kind == STORE_SCAN) {
        for (uint32_t i = 0; reply->verdict == STORE_OK && i < reply->row_count; i++) {
            (void)kpi_load(&k->history, &reply->rows[i]);
        }
        k->cursor = reply->verdict == STORE_OK ? reply->cursor : 0;
        k->loaded = k->cursor == 0;
    }
    return true;
}

int64_t kpi_tick(struct kpi_book *k, struct hub *h, uint64_t observed_us, uint64_t available_us,
                 bool ready)
{
    assert(k != NULL && h != NULL);
    if (h->now_us >= k->count_us) {
        count(k, h, observed_us, available_us);
        k->count_us = h->now_us + US_PER_S;
    }
    if (ready) {
        store_tick(k, h);
    }
    return k->count_us; /* a second at most: soon enough for the registry */
}

/* --- consoles --- */

bool kpi_query(struct kpi_book *k, struct hub *h, const struct msg *msg)
{
    assert(k != NULL && h != NULL && msg != NULL);
    const struct command *c = msg->u.command;
    char memory[2u * KPI_OVERS][TEXT_EACH];
    struct page_row row[2u * KPI_OVERS];
    struct kpi_counts counts;
    if (c->kind != COMMAND_QUERY || c->query.kind != QUERY_KPI) {
        return false;
    }
    for (uint32_t i = 0; i < 2u * KPI_OVERS; i++) {
        enum kpi_over over = (enum kpi_over)(i / 2u);
        bool before = i % 2u == 1;
        struct text t;
        int64_t from_us = kpi_sum(&k->history, over, before, hub_mesh_now(h), &counts);
        text_init(&t, memory[i], TEXT_EACH);
        kpi_text(&counts, over, before, from_us, &t);
        assert(!t.cut);
        row[i] = (struct page_row){.key = i + 1u, .unit = h->self};
        row[i].u.record.text = memory[i];
        row[i].u.record.bytes = (uint32_t)t.used;
    }
    struct rows rows = {.ref = c->ref,
                        .kind = ROW_RECORD,
                        .total = 2u * KPI_OVERS,
                        .row_count = 2u * KPI_OVERS,
                        .rows = row};
    struct reply reply = {.ref = c->ref, .kind = REPLY_ROWS, .final = true, .rows = &rows};
    hub_reply(h, msg->from, &reply);
    return true;
}
