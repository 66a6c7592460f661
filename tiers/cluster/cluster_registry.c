/* The registry, written behind (design 6): the truth is in the members' rows; Redis shows it at
 * most a second later, and a restarted lead finds its roster there.
 *
 * A write takes what differs from the last one of ten members, and no member is in two writes at a
 * time; its refusal or its silence makes the same fields dirty again, so a lost write heals by the
 * next. The first of it waits for a quarter of a second at most, so that what changes together is
 * written at once; when an operation has just come, a little longer, so that writes do not compete
 * with its acknowledgements. Six writes a step, then a pause of 10 ms, and never more than a dozen
 * without an answer: a slow store slows its leads down, and what waits is merged by waiting.
 *
 * While the store is away nothing is asked for. What was out then is dirty again. When it is back,
 * each lead starts again at a time of its own within ten seconds, and looks first whether its
 * summary, written every five seconds, is as old as the last that was acknowledged: only when it is
 * missing or older did the store lose writes that were before it, and everything is written again.
 * Else whose state was written after it is written again: that may be lost without its showing.
 *
 * Records are written with the lead's epoch (STORE_EPOCH_PUT), so a lead that was replaced cannot
 * overwrite its successor. An index is written for all members at once, those that enter it or
 * whose scores changed in one write, those that leave it in another.
 *
 * Refs: kind << 56 | member or capability << 40 | a number; a write of members is known by its
 * number alone. */
#include "tiers/cluster/cluster_registry.h"
#include "core/text.h"
#include "tiers/cluster/cluster_learnt.h"
#include "tiers/cluster/cluster_parts.h"
#include "tiers/cluster/cluster_record.h"
#include <assert.h>
#include <string.h>

#define MINUTE_US       (60ll * US_PER_S)
#define SUMMARY_US      (5ll * US_PER_S)
#define STORE_FENCED_US (30ll * US_PER_S)
#define SCAN_ROWS       32u
#define HISTORY_ENTRIES 1440u
#define INDEX_PERCENT   5u
#define INDEX_POINTS    10u
#define WRITE_ROOM      4096u  /* bytes of one write, generously */
#define PUTS_ROOM       16384u /* of one of ten members: what they mostly need, measured before */
#define ROW_ROOM        256u   /* of one of several rows, and of each of its fields, at most */
#define FIELD_ROOM      ((uint32_t)sizeof(struct store_field) + STORE_FIELD_VALUE_MAX)
static_assert(sizeof(struct store_row) + STORE_KEY_MAX + 48u <= ROW_ROOM, "a row may need more");
static_assert(STORE_FIELDS_MAX * (sizeof(struct store_field) + STORE_FIELD_VALUE_MAX) +
                      (size_t)5 * STORE_KEY_MAX + 32u <=
                  WRITE_ROOM,
              "a write may need more");

static void puts_ended(struct cluster *c, int64_t now_us, uint32_t seq, bool kept);

enum registry_ref {
    REF_SCAN = 1,
    REF_PUT,
    REF_INDEX,
    REF_APPEND,
    REF_SUMMARY,
    REF_GET,
    REF_CHECK,
    REF_FROZEN,
    REF_PRIOR_GET,
    REF_PRIOR_PUT,
    REF_WHERE
};

static uint64_t ref_of(enum registry_ref kind, uint32_t i, uint32_t seq)
{
    return (uint64_t)kind << 56 | (uint64_t)i << 40 | seq;
}

static enum registry_ref ref_kind(uint64_t ref)
{
    return (enum registry_ref)(ref >> 56);
}

static uint32_t ref_member(uint64_t ref)
{
    return (uint32_t)(ref >> 40) & 0xffu;
}

void registry_waits(struct cluster *c, uint32_t i)
{
    assert(c != NULL);
    assert(i < c->count);
    const struct member *m = &c->members[i];
    bool some = m->uid != 0 && ((m->dirty != 0 && m->put == 0) || m->index_dirty != 0 ||
                                (c->scan_done && where_waits(m)));
    c->waits = some ? c->waits | bit_of(i) : c->waits & ~bit_of(i);
}

/* --- what is without an answer --- */

static struct lead_asked *asked_find(struct cluster *c, uint64_t ref)
{
    for (uint64_t rest = c->asked_out; rest != 0; rest &= rest - 1u) {
        uint32_t k = bits_lowest(rest);
        if (c->asked[k].ref == ref) {
            return &c->asked[k];
        }
    }
    return NULL;
}

static void asked_done(struct cluster *c, const struct lead_asked *a)
{
    c->asked_out &= (uint16_t)~bit_of((uint32_t)(a - c->asked));
}

static uint32_t asked_room(const struct cluster *c, uint32_t reserve)
{
    uint32_t room = LEAD_ASKED_MAX - bits_count(c->asked_out);
    return room > reserve ? room - reserve : 0;
}

/* False: no room, in the outbox or among what waits for answers. */
static bool store_send(struct cluster *c, int64_t now_us, struct outbox *out,
                       const struct store_op *op)
{
    uint32_t reserve = op->kind == STORE_GET ? 0 : LEAD_ASKED_RESERVE;
    if (asked_room(c, reserve) == 0) {
        return false;
    }
    /* Where there is plenty a write needs not to be measured. */
    uint32_t most = WRITE_ROOM;
    for (uint32_t k = 0; k < op->row_count; k++) {
        most += ROW_ROOM + op->rows[k].field_count * FIELD_ROOM;
    }
    bool plenty = outbox_room(out, 1, most);
    if (!plenty && !outbox_room(out, 1, store_op_extra_bytes(op))) {
        c->starved = true;
        return false;
    }
    uint32_t free = bits_lowest(~(uint64_t)c->asked_out);
    assert(free < LEAD_ASKED_MAX);
    c->asked_out |= (uint16_t)bit_of(free);
    c->asked[free] = (struct lead_asked){
        .ref = op->ref, .until_us = now_us + LEAD_STORE_US, .kind = (uint8_t)op->kind};
    out_store(out, op);
    return true;
}

/* What was asked did not come about, as far as anyone knows. */
static void asked_failed(struct cluster *c, int64_t now_us, const struct lead_asked *a)
{
    uint32_t i = ref_member(a->ref); /* or the capability of an index */
    c->registry_next_us = 0;
    c->stirred = true;
    switch (ref_kind(a->ref)) {
    case REF_PUT:
        puts_ended(c, now_us, (uint32_t)a->ref, false);
        break;
    case REF_INDEX:
        for (uint64_t rest = a->members; rest != 0; rest &= rest - 1u) {
            c->members[bits_lowest(rest)].index_dirty |= bit_of(i);
            registry_waits(c, bits_lowest(rest));
        }
        break;
    case REF_WHERE:
        where_failed(c, i);
        registry_waits(c, i);
        break;
    case REF_SCAN:
        c->scan_out = false;
        break;
    case REF_CHECK:
        c->check_out = false;
        break;
    case REF_FROZEN:
        c->freeze_put = true;
        break;
    case REF_PRIOR_GET:
        c->priors_asked &= (uint16_t)~bit_of(i);
        break;
    case REF_PRIOR_PUT: /* said again when its time comes */
    case REF_APPEND:    /* said twice would be worse */
    case REF_SUMMARY:
    case REF_GET:
        break;
    }
}

/* Answers that are awaited no more. */
static void asked_lapse(struct cluster *c, int64_t now_us, bool all, struct outbox *out)
{
    for (uint64_t rest = c->asked_out; rest != 0; rest &= rest - 1u) {
        struct lead_asked a = c->asked[bits_lowest(rest)];
        if (a.until_us > now_us && !all) {
            continue;
        }
        asked_done(c, &c->asked[bits_lowest(rest)]);
        asked_failed(c, now_us, &a);
        if (!all) {
            cluster_note(out, NOTE_STORE_LATE, a.ref, a.kind);
            int64_t pause_us = rng_jitter_us(&c->rng, STORE_RETRY_US, 300);
            c->store_pause_us = now_us + pause_us;
        }
    }
}

/* --- the roster, from the store --- */

void registry_start(struct cluster *c, int64_t now_us)
{
    assert(c != NULL);
    assert(now_us >= 0);
    unit_format(c->self, c->shard);
    unit_format(c->sector, c->sector_shard);
    c->write_next_us = now_us;
    c->minute_next_us = now_us + MINUTE_US;
    c->summary_next_us = now_us + SUMMARY_US;
    c->store_pause_us = now_us;
}

static void roster_ask(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct store_op op = {.ref = ref_of(REF_SCAN, 0, ++c->store_seq),
                          .kind = STORE_SCAN,
                          .shard = c->shard,
                          .collection = "roster",
                          .cursor = c->scan_cursor,
                          .limit = SCAN_ROWS};
    c->scan_out = store_send(c, now_us, out, &op);
}

/* --- what changed --- */

/* There is something to write. The first of it waits a little, so that a beat and what follows it,
 * or all acknowledgements of an operation, are one write each, and none of them competes with the
 * operation. */
static void write_wanted(struct cluster *c, int64_t now_us)
{
    if (!c->write_wanted) {
        int64_t at_us = now_us + rng_range(&c->rng, LEAD_WRITE_LAG_US / 2, LEAD_WRITE_LAG_US);
        c->write_wanted = true;
        c->write_since_us = now_us;
        c->write_next_us = c->write_next_us > at_us ? c->write_next_us : at_us;
    }
    c->registry_next_us = time_least(c->registry_next_us, c->write_next_us);
}

void registry_hold(struct cluster *c, int64_t now_us)
{
    assert(c != NULL);
    assert(now_us >= 0);
    c->write_hold_us = now_us + LEAD_WRITE_HOLD_US;
}

/* When what waits is to be written. */
static int64_t write_at(const struct cluster *c)
{
    int64_t hold_us = time_least(c->write_hold_us, c->write_since_us + LEAD_WRITE_MOST_US);
    return c->write_next_us > hold_us ? c->write_next_us : hold_us;
}

void registry_dirty(struct cluster *c, int64_t now_us, uint32_t i, uint32_t what)
{
    assert(c != NULL);
    assert(i < c->count);
    struct member *m = &c->members[i];
    if (!move_expects(c, i)) {
        return; /* it lives elsewhere: its record there is the true one */
    }
    m->dirty |= (uint16_t)what;
    registry_waits(c, i);
    if (m->dirty != 0 && m->put == 0) {
        write_wanted(c, now_us);
    }
}

bool registry_unwritten(const struct cluster *c, uint32_t i)
{
    assert(c != NULL);
    assert(i < c->count);
    const struct member *m = &c->members[i];
    bool lost = c->check || (!c->store_up && (c->unwitnessed & bit_of(i)) != 0); /* it may be */
    return !c->scan_done || lost || ((m->dirty | m->put) & (DIRTY_IDENTITY | DIRTY_STATE)) != 0;
}

/* What of its index entries is to be set or removed. */
static void score_look(struct cluster *c, uint32_t i)
{
    struct member *m = &c->members[i];
    uint64_t wanted = members_preferred(c, i) ? m->capabilities : 0;
    uint32_t score = m->impedance.score;
    uint32_t apart = score > m->indexed_score ? score - m->indexed_score : m->indexed_score - score;
    /* One point is rounding: without this the quickest agents would be written at every beat. */
    if (apart > INDEX_POINTS || (apart > 1 && apart * 100u > m->indexed_score * INDEX_PERCENT)) {
        m->index_dirty |= wanted;
        m->indexed_score = score;
    }
    m->index_dirty |= wanted ^ m->indexed;
}

void registry_score(struct cluster *c, int64_t now_us, uint32_t i)
{
    assert(c != NULL);
    assert(i < c->count);
    score_look(c, i);
    registry_waits(c, i);
    if (c->members[i].index_dirty != 0) {
        write_wanted(c, now_us);
    }
}

void registry_beat(struct cluster *c, int64_t now_us, uint32_t i)
{
    assert(c != NULL);
    assert(i < c->count);
    struct member *m = &c->members[i];
    bool here = move_expects(c, i);
    m->dirty |= here ? DIRTY_LOOK : 0;
    score_look(c, i);
    registry_waits(c, i);
    if ((here && m->put == 0) || m->index_dirty != 0) {
        write_wanted(c, now_us);
    }
}

/* The store has forgotten what it was told. */
static void write_again(struct cluster *c, int64_t now_us, uint64_t which)
{
    for (uint64_t rest = which; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        struct member *m = &c->members[i];
        if (m->uid != 0) {
            registry_dirty(c, now_us, i, DIRTY_ALL);
            m->indexed = 0;
            m->index_dirty |= members_preferred(c, i) ? m->capabilities : 0;
            registry_waits(c, i);
        }
    }
    c->registry_next_us = 0;
}

void registry_link(struct cluster *c, int64_t now_us, bool up, struct outbox *out)
{
    assert(c != NULL);
    assert(now_us >= 0);
    if (!up) {
        asked_lapse(c, now_us, true, out);
    } else if (!c->store_up) {
        bool back = c->summary_kept_us != 0 || c->unwitnessed != 0;
        c->check = back;
        c->store_pause_us = now_us + rng_range(&c->rng, 0, back ? LEAD_BACK_US : US_PER_S / 4);
    }
    c->store_up = up;
    c->registry_next_us = 0;
}

/* --- writes --- */

/* False: nothing is new, or no room. */
static bool put_members(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct batch b;
    uint32_t seq = ++c->store_seq;
    for (uint64_t idle = batch_fill(c, &b); idle != 0; idle &= idle - 1u) {
        registry_waits(c, bits_lowest(idle));
    }
    if (b.count == 0) {
        return false;
    }
    struct store_op op = {.ref = ref_of(REF_PUT, 0, seq),
                          .kind = STORE_EPOCH_PUTS,
                          .epoch = c->epoch > 0 ? c->epoch : 1,
                          .shard = c->shard,
                          .collection = (b.what_any & DIRTY_IDENTITY) != 0 ? "roster" : NULL,
                          .rows = b.rows,
                          .row_count = b.count};
    if (!store_send(c, now_us, out, &op)) {
        return false;
    }
    uint64_t put = 0;
    for (uint32_t k = 0; k < b.count; k++) {
        struct member *m = &c->members[b.member[k]];
        m->dirty = 0;
        m->put = b.what[k];
        put |= bit_of(b.member[k]);
        m->put_seq = c->store_seq;
        registry_waits(c, b.member[k]);
        record_written(c, b.member[k], b.what[k]);
    }
    c->putting |= put;
    return true;
}

/* A write of members was answered, or given up: what it would have said is to be said again. */
static void puts_ended(struct cluster *c, int64_t now_us, uint32_t seq, bool kept)
{
    bool dirty = c->write_wanted;
    for (uint64_t rest = c->putting; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        struct member *m = &c->members[i];
        assert(m->put != 0);
        if (m->put_seq != seq) {
            continue;
        }
        bool state = (m->put & (DIRTY_IDENTITY | DIRTY_STATE)) != 0;
        m->dirty |= kept ? 0 : m->put;
        c->unwitnessed |= kept && state ? bit_of(i) : 0;
        c->witnessing &= ~(kept && state ? bit_of(i) : 0);
        m->put = 0;
        c->putting &= ~bit_of(i);
        registry_waits(c, i);
        dirty |= m->dirty != 0;
    }
    if (dirty) {
        write_wanted(c, now_us);
    }
}

/* Entries of one index: those of members in service are set with their scores, the others' removed.
 * False: there are none, or no room. */
static bool put_index(struct cluster *c, int64_t now_us, uint32_t cap, bool set, uint64_t serving,
                      struct outbox *out)
{
    struct index_batch b;
    char key[STORE_KEY_MAX];
    struct text t;
    uint32_t seq = ++c->store_seq;
    index_fill(c, cap, set, serving, &b);
    if (b.count == 0) {
        return false;
    }
    text_init(&t, key, sizeof key);
    text_add(&t, "capability:");
    text_add(&t, c->topology->capabilities[cap]);
    struct store_op op = {.ref = ref_of(REF_INDEX, cap, seq),
                          .kind = set ? STORE_INDEX_SET : STORE_INDEX_REMOVE,
                          .shard = c->sector_shard,
                          .key = key,
                          .rows = b.rows,
                          .row_count = b.count};
    if (!store_send(c, now_us, out, &op)) {
        return false;
    }
    asked_find(c, op.ref)->members = b.members;
    for (uint64_t rest = b.members; rest != 0; rest &= rest - 1u) {
        struct member *m = &c->members[bits_lowest(rest)];
        m->index_dirty &= ~bit_of(cap);
        m->indexed = set ? m->indexed | bit_of(cap) : m->indexed & ~bit_of(cap);
        registry_waits(c, bits_lowest(rest));
    }
    return true;
}

static bool put_summary(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct summary s;
    struct record r;
    summary_build(c, now_us, &s);
    record_init(&r);
    record_unit(&r, "cluster_id", c->self);
    record_summary(&s, &r);
    if (s.slowest.agent != 0) {
        record_unit(&r, "slowest_agent", s.slowest);
        record_unit(&r, "fastest_agent", s.fastest);
    }
    record_u64(&r, "unit_epoch", c->epoch);
    struct store_op op = {.ref = ref_of(REF_SUMMARY, 0, ++c->store_seq),
                          .kind = STORE_EPOCH_PUT,
                          .epoch = c->epoch > 0 ? c->epoch : 1,
                          .shard = c->shard,
                          .key = "summary",
                          .fields = r.fields,
                          .field_count = r.count};
    if (!store_send(c, now_us, out, &op)) {
        return false;
    }
    c->summary_put_us = s.updated_mesh_us;
    c->witnessing = c->unwitnessed;
    return true;
}

static void put_snapshot(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct record r;
    c->freeze_put = false;
    record_init(&r);
    if (!record_snapshot(c, &r)) {
        return;
    }
    struct store_op op = {.ref = ref_of(REF_FROZEN, 0, ++c->store_seq),
                          .kind = STORE_EPOCH_PUT,
                          .epoch = c->epoch > 0 ? c->epoch : 1,
                          .shard = c->shard,
                          .key = "frozen",
                          .fields = r.fields,
                          .field_count = r.count};
    c->freeze_put = !store_send(c, now_us, out, &op);
}

/* Has the store kept what it acknowledged? The summary is the witness. */
static void check_ask(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct store_op op = {.ref = ref_of(REF_CHECK, 0, ++c->store_seq),
                          .kind = STORE_GET,
                          .shard = c->shard,
                          .key = "summary"};
    c->check_out = store_send(c, now_us, out, &op);
}

static void check_reply(struct cluster *c, int64_t now_us, const struct store_reply *reply)
{
    char memory[STORE_FIELD_VALUE_MAX];
    struct text kept;
    bool whole = false;
    c->check_out = false;
    if (reply->verdict != STORE_OK && reply->verdict != STORE_MISSING) {
        return; /* asked again after the pause */
    }
    c->check = false;
    text_init(&kept, memory, sizeof memory);
    text_time(&kept, c->summary_kept_us);
    for (uint32_t k = 0; reply->row_count > 0 && k < reply->rows[0].field_count; k++) {
        const struct store_field *f = &reply->rows[0].fields[k];
        whole |= strcmp(f->name, "last_updated") == 0 && f->value_bytes == kept.used &&
                 memcmp(f->value, memory, kept.used) >= 0;
    }
    write_again(c, now_us, whole ? c->unwitnessed : c->all);
}

static bool put_prior(struct cluster *c, int64_t now_us, uint32_t k, struct outbox *out)
{
    struct record r;
    char key[STORE_KEY_MAX];
    learnt_prior_record(c, k, key, &r);
    struct store_op op = {.ref = ref_of(REF_PRIOR_PUT, k, ++c->store_seq),
                          .kind = STORE_EPOCH_PUT,
                          .epoch = c->epoch > 0 ? c->epoch : 1,
                          .shard = c->shard,
                          .key = key,
                          .fields = r.fields,
                          .field_count = r.count};
    if (!store_send(c, now_us, out, &op)) {
        return false;
    }
    learnt_prior_written(c, now_us, k);
    return true;
}

/* After the roster, which says what classes there are. */
static void ask_priors(struct cluster *c, int64_t now_us, struct outbox *out)
{
    char key[STORE_KEY_MAX];
    uint32_t k = CLASS_NONE;
    if (c->priors_asked != 0 || c->priors_all) {
        return;
    }
    c->priors_all = !learnt_prior_wanted(c, key, &k);
    if (c->priors_all) {
        return;
    }
    struct store_op op = {.ref = ref_of(REF_PRIOR_GET, k, ++c->store_seq),
                          .kind = STORE_GET,
                          .shard = c->shard,
                          .key = key};
    if (store_send(c, now_us, out, &op)) {
        c->priors_asked |= (uint16_t)bit_of(k);
    }
}

static bool append_minute(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct summary s;
    struct record r;
    summary_build(c, now_us, &s);
    record_init(&r);
    record_summary(&s, &r);
    record_u64(&r, "done", c->minute_done);
    record_u64(&r, "failed", c->minute_failed);
    record_u64(&r, "conflicts_hour", s.conflicts_hour);
    struct store_op op = {.ref = ref_of(REF_APPEND, 0, ++c->store_seq),
                          .kind = STORE_APPEND,
                          .shard = c->shard,
                          .key = "history",
                          .fields = r.fields,
                          .field_count = r.count,
                          .limit = HISTORY_ENTRIES};
    if (!store_send(c, now_us, out, &op)) {
        return false;
    }
    c->minute_done = 0;
    c->minute_failed = 0;
    return true;
}

bool registry_get(struct cluster *c, int64_t now_us, uint32_t i, uint32_t slot, uint32_t seq,
                  struct outbox *out)
{
    assert(c != NULL);
    assert(i < c->count);
    char key[STORE_KEY_MAX];
    if (!c->store_up || c->members[i].uid == 0) {
        return false;
    }
    batch_key(&c->members[i], key, sizeof key);
    struct store_op op = {
        .ref = ref_of(REF_GET, slot, seq), .kind = STORE_GET, .shard = c->shard, .key = key};
    return store_send(c, now_us, out, &op);
}

bool registry_where(struct cluster *c, int64_t now_us, uint32_t i, struct store_op *op,
                    struct outbox *out)
{
    assert(c != NULL && op != NULL);
    assert(i < c->count);
    op->ref = ref_of(REF_WHERE, i, ++c->store_seq);
    return store_send(c, now_us, out, op);
}

static bool verdict_good(enum store_verdict v)
{
    return v == STORE_OK || v == STORE_EXISTS || v == STORE_MISSING;
}

/* Its answer is news to nobody but this file. */
static bool is_write_behind(enum registry_ref kind)
{
    return kind == REF_PUT || kind == REF_INDEX || kind == REF_SUMMARY || kind == REF_APPEND;
}

void registry_reply(struct cluster *c, int64_t now_us, const struct store_reply *reply,
                    struct outbox *out)
{
    assert(c != NULL && reply != NULL && out != NULL);
    struct lead_asked *asked = asked_find(c, reply->ref);
    if (asked == NULL) {
        return; /* too late: it was given up */
    }
    asked_done(c, asked);
    enum registry_ref kind = ref_kind(reply->ref);
    uint32_t i = ref_member(reply->ref);
    c->stirred |= reply->verdict != STORE_OK || !is_write_behind(kind);
    if (kind == REF_PUT && reply->verdict == STORE_OK) {
        puts_ended(c, now_us, (uint32_t)reply->ref, true);
        return;
    }
    c->registry_next_us = 0;
    if (kind == REF_SCAN) {
        roster_page(c, now_us, reply);
        return;
    }
    if (kind == REF_GET) {
        query_record(c, now_us, i, (uint32_t)reply->ref, reply, out);
        return;
    }
    if (kind == REF_WHERE) {
        where_reply(c, now_us, i, reply);
        registry_waits(c, i);
        if (reply->verdict == STORE_FENCED) {
            return; /* it has gone on to another place already */
        }
    }
    if (kind == REF_PRIOR_GET) {
        c->priors_asked &= (uint16_t)~bit_of(i);
        learnt_prior_read(c, i, reply);
    }
    if (!verdict_good(reply->verdict)) {
        /* Fenced: a successor writes now; this lead is about to be told so. */
        int64_t pause_us = reply->verdict == STORE_FENCED ? STORE_FENCED_US : STORE_RETRY_US;
        cluster_note(out, NOTE_STORE_REFUSED, reply->kind, reply->verdict);
        c->store_pause_us = now_us + rng_jitter_us(&c->rng, pause_us, 300);
        if (kind != REF_WHERE) {
            asked_failed(c, now_us, asked);
        }
    } else if (kind == REF_CHECK) {
        check_reply(c, now_us, reply);
    } else if (kind == REF_SUMMARY) {
        c->summary_kept_us = c->summary_put_us;
        c->unwitnessed &= ~c->witnessing;
    } else if (kind == REF_PUT) {
        puts_ended(c, now_us, (uint32_t)reply->ref, true);
    }
}

/* Entries of all indexes that changed; returns the writes made, more than `left` never. */
static uint32_t index_writes(struct cluster *c, int64_t now_us, uint32_t left, struct outbox *out)
{
    uint32_t made = 0;
    uint64_t serving = members_serving(c);
    for (uint64_t caps = index_caps(c); caps != 0 && made < left; caps &= caps - 1u) {
        uint32_t cap = bits_lowest(caps);
        if (!outbox_room(out, OUTBOX_EFFECTS_MAX / 2, PUTS_ROOM)) {
            break;
        }
        made += put_index(c, now_us, cap, true, serving, out) ? 1 : 0;
        made += made < left && put_index(c, now_us, cap, false, serving, out) ? 1 : 0;
    }
    return made;
}

/* Those of the roster that never came back are still shown as they were: put that right. */
static void sweep_absent(struct cluster *c, int64_t now_us)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        if (m->uid != 0 && members_state(c, i) == AGENT_UNKNOWN) {
            registry_dirty(c, now_us, i, DIRTY_LOOK);
            m->index_dirty |= m->indexed;
            registry_waits(c, i);
        }
    }
}

/* What is asked or said from time to time. Returns when there is something next, as far as time
 * decides it: what waits for room among the answers waits for an answer. */
static int64_t periodic(struct cluster *c, int64_t now_us, struct outbox *out)
{
    bool paused = c->store_pause_us > now_us;
    if (c->check && !c->check_out && !paused) {
        check_ask(c, now_us, out);
    }
    if (!c->scan_done && !c->scan_out && !paused) {
        roster_ask(c, now_us, out);
    }
    if (c->freeze_put && !paused && c->freeze_tell_us == NEVER) {
        put_snapshot(c, now_us, out); /* all that can be said is said */
    }
    uint32_t k = CLASS_NONE;
    if (c->scan_done && !paused) {
        ask_priors(c, now_us, out);
        if (c->priors_asked == 0 && learnt_prior_due(c, now_us, &k)) {
            put_prior(c, now_us, k, out);
        }
    }
    /* Not before the check: the old summary is its witness. */
    if (!c->check && !paused && c->summary_next_us <= now_us && put_summary(c, now_us, out)) {
        c->summary_next_us = now_us + SUMMARY_US;
    }
    if (!paused && c->minute_next_us <= now_us && append_minute(c, now_us, out)) {
        c->minute_next_us = now_us + MINUTE_US;
        sweep_absent(c, now_us);
    }
    if (paused) {
        return c->store_pause_us;
    }
    int64_t next_us = c->minute_next_us > now_us ? c->minute_next_us : NEVER;
    return c->summary_next_us > now_us ? time_least(next_us, c->summary_next_us) : next_us;
}

static void write_due(struct cluster *c, int64_t now_us, struct outbox *out)
{
    uint32_t left = asked_room(c, LEAD_ASKED_RESERVE);
    left = left < LEAD_WRITES_STEP ? left : LEAD_WRITES_STEP;
    uint32_t made = 0, start = c->write_cursor;
    /* The rest of the room is for messages: what does not fit goes on after the pause. */
    while (made < left && outbox_room(out, OUTBOX_EFFECTS_MAX / 2, PUTS_ROOM) &&
           put_members(c, now_us, out)) {
        made++;
    }
    made += index_writes(c, now_us, left - made, out);
    uint64_t before = c->waits & (bit_of(start) - 1u), rest = c->waits & ~before;
    while (c->scan_done && made < left && (rest | before) != 0 &&
           outbox_room(out, OUTBOX_EFFECTS_MAX / 2, WRITE_ROOM)) {
        uint64_t *turn = rest != 0 ? &rest : &before;
        uint32_t i = bits_lowest(*turn);
        *turn &= *turn - 1u;
        if (where_waits(&c->members[i]) && where_send(c, now_us, i, out)) {
            made++;
            registry_waits(c, i);
        }
        c->write_cursor = (i + 1u) % c->count;
    }
    if (made > 0) {
        c->write_next_us = now_us + LEAD_WRITE_GAP_US;
    }
}

int64_t registry_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    if (!c->store_up) {
        return NEVER;
    }
    if (c->registry_next_us > now_us) {
        return c->registry_next_us;
    }
    asked_lapse(c, now_us, false, out);
    int64_t next_us = periodic(c, now_us, out);
    if (write_at(c) <= now_us && c->store_pause_us <= now_us) {
        write_due(c, now_us, out);
    }
    for (uint64_t rest = c->asked_out; rest != 0; rest &= rest - 1u) {
        next_us = time_least(next_us, c->asked[bits_lowest(rest)].until_us);
    }
    bool waiting = c->waits != 0;
    if (waiting && asked_room(c, LEAD_ASKED_RESERVE) > 0) {
        int64_t at_us = write_at(c);
        at_us = at_us > c->store_pause_us ? at_us : c->store_pause_us;
        next_us = time_least(next_us, at_us > now_us ? at_us : now_us + LEAD_WRITE_GAP_US);
    }
    c->write_wanted = waiting;
    c->registry_next_us = c->starved ? 0 : next_us;
    return next_us;
}
