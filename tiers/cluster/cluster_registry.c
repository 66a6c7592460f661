/* The registry, written behind (design 6): the truth is in the members' rows; Redis shows it at
 * most a second later, and a restarted lead finds its roster there.
 *
 * A member has a few groups of fields that changed. A write takes all of them that are dirty, one
 * write per member at a time; its refusal or its silence makes everything dirty again, so a lost
 * write heals by the next. Six writes a step, then a pause of 10 ms: thirty members that beat at
 * one instant become a trickle, and an outbox is never filled by the registry. While the store is
 * away nothing is asked for; when it is back everything is written once, since a registry may come
 * back empty.
 *
 * Records are written with the lead's epoch (STORE_EPOCH_PUT), so a lead that was replaced cannot
 * overwrite its successor. Refs: kind << 56 | member << 40 | a number of the request. */
#include "core/histogram.h"
#include "core/text.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

#define MINUTE_US       (60ll * US_PER_S)
#define SUMMARY_US      (5ll * US_PER_S)
#define STORE_RETRY_US  US_PER_S
#define STORE_FENCED_US (30ll * US_PER_S)
#define SCAN_ROWS       32u
#define HISTORY_ENTRIES 1440u
#define FIELDS_MAX      20u
#define INDEX_PERCENT   5u
#define INDEX_POINTS    10u
#define WRITE_ROOM      4096u /* bytes of one write, generously */

enum registry_ref { REF_SCAN = 1, REF_PUT, REF_INDEX, REF_APPEND, REF_SUMMARY, REF_GET };

static uint64_t ref_of(enum registry_ref kind, uint32_t i, uint32_t seq)
{
    return (uint64_t)kind << 56 | (uint64_t)i << 40 | seq;
}

/* A record under construction: names are static, values live in `memory`. */
struct record {
    struct store_field fields[FIELDS_MAX];
    uint32_t count;
    struct text text;
    char memory[1024];
};

static void record_init(struct record *r)
{
    r->count = 0;
    text_init(&r->text, r->memory, sizeof r->memory);
}

/* The text added since `from` is the value of `name`. */
static void record_field(struct record *r, const char *name, size_t from)
{
    assert(r->count < FIELDS_MAX);
    assert(!r->text.cut);
    size_t bytes = r->text.used - from;
    bytes = bytes < STORE_FIELD_VALUE_MAX ? bytes : STORE_FIELD_VALUE_MAX;
    r->fields[r->count++] = (struct store_field){
        .name = name, .value = r->memory + from, .value_bytes = (uint32_t)bytes};
}

static void record_str(struct record *r, const char *name, const char *value)
{
    size_t from = r->text.used;
    text_add(&r->text, value);
    record_field(r, name, from);
}

static void record_u64(struct record *r, const char *name, uint64_t value)
{
    size_t from = r->text.used;
    text_u64(&r->text, value);
    record_field(r, name, from);
}

static void record_fixed(struct record *r, const char *name, double value, unsigned decimals)
{
    size_t from = r->text.used;
    text_fixed(&r->text, value, decimals);
    record_field(r, name, from);
}

static void record_unit(struct record *r, const char *name, struct unit u)
{
    size_t from = r->text.used;
    text_unit(&r->text, u);
    record_field(r, name, from);
}

static void two_digits(struct text *t, int64_t v)
{
    text_char(t, (char)('0' + v / 10 % 10));
    text_char(t, (char)('0' + v % 10));
}

/* ISO 8601 in UTC with milliseconds; days to a date after Howard Hinnant, "chrono-compatible
 * low-level date algorithms" (civil_from_days). */
static void record_time(struct record *r, const char *name, int64_t mesh_us)
{
    size_t from = r->text.used;
    struct text *t = &r->text;
    int64_t ms = mesh_us > 0 ? mesh_us / US_PER_MS : 0;
    int64_t days = ms / 86400000 + 719468;
    int64_t rest = ms % 86400000;
    int64_t era = days / 146097;
    int64_t doe = days % 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    int64_t mp = (5 * doy + 2) / 153;
    int64_t month = mp < 10 ? mp + 3 : mp - 9;
    int64_t year = yoe + era * 400 + (month <= 2 ? 1 : 0);
    text_i64(t, year);
    text_char(t, '-');
    two_digits(t, month);
    text_char(t, '-');
    two_digits(t, doy - (153 * mp + 2) / 5 + 1);
    text_char(t, 'T');
    two_digits(t, rest / 3600000);
    text_char(t, ':');
    two_digits(t, rest / 60000 % 60);
    text_char(t, ':');
    two_digits(t, rest / 1000 % 60);
    text_char(t, '.');
    text_char(t, (char)('0' + rest % 1000 / 100));
    two_digits(t, rest % 100);
    text_char(t, 'Z');
    record_field(r, name, from);
}

/* Names joined by commas, as many as fit a value, for people; the mask for a restarted lead. */
static void record_capabilities(struct record *r, const struct topology *topo, uint64_t mask)
{
    size_t from = r->text.used;
    for (uint64_t rest = mask; rest != 0; rest &= rest - 1u) {
        const char *name = topo->capabilities[bits_lowest(rest)];
        if (r->text.used - from + strlen(name) + 1u > STORE_FIELD_VALUE_MAX) {
            break;
        }
        if (r->text.used > from) {
            text_char(&r->text, ',');
        }
        text_add(&r->text, name);
    }
    record_field(r, "capabilities", from);
    from = r->text.used;
    text_hex64(&r->text, mask);
    record_field(r, "capability_mask", from);
}

static void shard_name(const struct cluster *c, char ret[UNIT_TEXT_MAX])
{
    unit_format(c->self, ret);
}

/* --- the roster, from the store --- */

void registry_start(struct cluster *c, int64_t now_us)
{
    assert(c != NULL);
    assert(now_us >= 0);
    c->write_next_us = now_us;
    c->minute_next_us = now_us + MINUTE_US;
    c->summary_next_us = now_us + SUMMARY_US;
    c->store_pause_us = now_us;
}

static void roster_row(struct cluster *c, const struct store_row *row)
{
    uint64_t uid = 0, incarnation = 0, caps = 0;
    struct unit place = {0};
    const char *why = NULL;
    enum impedance_class agent_class = CLASS_NONE;
    bool quarantined = false;
    for (uint32_t k = 0; k < row->field_count; k++) {
        const struct store_field *f = &row->fields[k];
        if (strcmp(f->name, "uid") == 0) {
            num_parse_hex64(f->value, f->value_bytes, &uid);
        } else if (strcmp(f->name, "unit_epoch") == 0) {
            num_parse_u64(f->value, f->value_bytes, &incarnation);
        } else if (strcmp(f->name, "place") == 0) {
            unit_parse(f->value, f->value_bytes, &place, &why);
        } else if (strcmp(f->name, "agent_class") == 0) {
            agent_class = class_parse(f->value, f->value_bytes);
        } else if (strcmp(f->name, "capability_mask") == 0) {
            num_parse_hex64(f->value, f->value_bytes, &caps);
        } else if (strcmp(f->name, "operational_state") == 0) {
            quarantined = agent_state_parse(f->value, f->value_bytes) == AGENT_QUARANTINED;
        }
    }
    bool here = place.tier == TIER_AGENT && place.sector == c->self.sector &&
                place.cluster == c->self.cluster && place.agent >= 1 && place.agent <= c->count;
    if (!here || uid == 0 || c->members[place.agent - 1u].uid != 0) {
        return; /* another place, or the agent itself was faster */
    }
    struct member *m = &c->members[place.agent - 1u];
    m->uid = uid;
    m->epoch = incarnation;
    m->capabilities = caps;
    m->indexed = caps; /* as far as anyone knows */
    m->quarantined = quarantined;
    if (agent_class > CLASS_NONE && agent_class != (enum impedance_class)m->agent_class) {
        m->agent_class = (uint8_t)agent_class;
        predictor_init(&m->predictor, c->tuning.predictor, agent_class);
    }
}

static void roster_page(struct cluster *c, int64_t now_us, const struct store_reply *reply)
{
    c->scan_until_us = 0;
    if (reply->verdict != STORE_OK) {
        c->scan_done = reply->verdict == STORE_MISSING;
        c->store_pause_us = now_us + STORE_RETRY_US;
        return;
    }
    for (uint32_t k = 0; k < reply->row_count; k++) {
        roster_row(c, &reply->rows[k]);
    }
    c->scan_cursor = reply->cursor;
    c->scan_done = reply->cursor == 0;
}

static void roster_ask(struct cluster *c, int64_t now_us, struct outbox *out)
{
    char shard[UNIT_TEXT_MAX];
    shard_name(c, shard);
    struct store_op op = {.ref = ref_of(REF_SCAN, 0, ++c->store_seq),
                          .kind = STORE_SCAN,
                          .shard = shard,
                          .collection = "roster",
                          .cursor = c->scan_cursor,
                          .limit = SCAN_ROWS};
    if (!outbox_room(out, 1, store_op_extra_bytes(&op))) {
        c->starved = true;
        return;
    }
    out_store(out, &op);
    c->scan_until_us = now_us + LEAD_STORE_US;
}

/* --- what changed --- */

void registry_dirty(struct cluster *c, int64_t now_us, uint32_t i, uint32_t what)
{
    assert(c != NULL);
    assert(i < c->count);
    struct member *m = &c->members[i];
    if (m->dirty == 0 && what != 0) {
        c->registry_next_us = now_us;
    }
    m->dirty |= (uint8_t)what;
}

void registry_score(struct cluster *c, uint32_t i)
{
    assert(c != NULL);
    assert(i < c->count);
    struct member *m = &c->members[i];
    uint64_t wanted = members_in_service(c, i) ? m->capabilities : 0;
    uint32_t score = m->impedance.score;
    uint32_t apart = score > m->indexed_score ? score - m->indexed_score : m->indexed_score - score;
    if (apart > INDEX_POINTS || apart * 100u > m->indexed_score * INDEX_PERCENT) {
        m->index_dirty |= wanted;
        m->indexed_score = score;
    }
    m->index_dirty |= wanted ^ m->indexed;
    c->registry_next_us = m->index_dirty != 0 ? 0 : c->registry_next_us;
}

void registry_link(struct cluster *c, int64_t now_us, bool up)
{
    assert(c != NULL);
    assert(now_us >= 0);
    if (up && !c->store_up) {
        for (uint32_t i = 0; i < c->count; i++) {
            struct member *m = &c->members[i];
            m->put_until_us = 0;
            if (m->joined) {
                registry_dirty(c, now_us, i, DIRTY_ALL);
                m->indexed = 0;
                m->index_dirty |= members_in_service(c, i) ? m->capabilities : 0;
            }
        }
        c->scan_until_us = 0;
        c->store_pause_us = now_us + rng_range(&c->rng, 0, US_PER_S / 4);
    }
    c->store_up = up;
    c->registry_next_us = 0;
}

/* --- writes --- */

static bool store_send(struct cluster *c, struct outbox *out, const struct store_op *op)
{
    if (!outbox_room(out, 1, store_op_extra_bytes(op))) {
        c->starved = true;
        return false;
    }
    out_store(out, op);
    return true;
}

static void record_member(const struct cluster *c, uint32_t i, uint32_t dirty, struct record *r)
{
    const struct member *m = &c->members[i];
    const struct impedance *imp = &m->impedance;
    static const char *const LETTERS[CLASS_COUNT] = {"", "A", "B", "C", "D", "E", "F"};
    struct unit self = cluster_agent(c, i);
    if ((dirty & DIRTY_IDENTITY) != 0) {
        record_unit(r, "agent_id", self);
        size_t from = r->text.used;
        text_hex64(&r->text, m->uid);
        record_field(r, "uid", from);
        record_unit(r, "place", self);
        record_str(r, "agent_class", LETTERS[m->agent_class]);
        record_unit(r, "sector_id", c->sector);
        record_unit(r, "cluster_id", c->self);
        record_u64(r, "unit_epoch", m->epoch);
        record_capabilities(r, c->topology, m->capabilities);
    }
    if ((dirty & DIRTY_STATE) != 0) {
        record_str(r, "operational_state", agent_state_spec(members_state(c, i)));
    }
    if ((dirty & DIRTY_MEASURES) != 0) {
        record_fixed(r, "current_latency_ms", (double)imp->latency_us / US_PER_MS, 3);
        record_fixed(r, "current_processing_ms", (double)imp->processing_us / US_PER_MS, 3);
        record_u64(r, "current_queue_depth", imp->queue_depth);
        record_u64(r, "impedance_score", imp->score);
        record_fixed(r, "reliability_score", (double)imp->reliability_permille / 1000.0, 3);
        record_fixed(r, "drift_coefficient", (double)imp->drift_permille / 1000.0, 3);
    }
    if ((dirty & DIRTY_BEAT) != 0) {
        record_time(r, "last_heartbeat", imp->heartbeat_mesh_us);
    }
    if ((dirty & DIRTY_CONTEXT) != 0) {
        size_t from = r->text.used;
        text_id128(&r->text, imp->context_hash);
        record_field(r, "current_context_hash", from);
    }
}

static void member_key(const struct member *m, char *ret, size_t size)
{
    struct text t;
    text_init(&t, ret, size);
    text_add(&t, "agent:");
    text_hex64(&t, m->uid);
}

static bool put_member(struct cluster *c, int64_t now_us, uint32_t i, struct outbox *out)
{
    struct member *m = &c->members[i];
    struct record r;
    char shard[UNIT_TEXT_MAX];
    char key[STORE_KEY_MAX];
    record_init(&r);
    record_member(c, i, m->dirty, &r);
    shard_name(c, shard);
    member_key(m, key, sizeof key);
    m->put_seq = ++c->store_seq;
    struct store_op op = {.ref = ref_of(REF_PUT, i, m->put_seq),
                          .kind = STORE_EPOCH_PUT,
                          .epoch = c->epoch > 0 ? c->epoch : 1,
                          .shard = shard,
                          .key = key,
                          .collection = "roster",
                          .fields = r.fields,
                          .field_count = r.count};
    if (!store_send(c, out, &op)) {
        return false;
    }
    m->dirty = 0;
    m->put_until_us = now_us + LEAD_STORE_US;
    return true;
}

/* One index entry: set with the score while the agent is in service, else removed. */
static bool put_index(struct cluster *c, uint32_t i, struct outbox *out)
{
    struct member *m = &c->members[i];
    uint32_t cap = bits_lowest(m->index_dirty);
    bool set = members_in_service(c, i) && (m->capabilities >> cap & 1u) != 0;
    char key[STORE_KEY_MAX];
    char shard[UNIT_TEXT_MAX];
    char member[UNIT_TEXT_MAX];
    struct text t;
    text_init(&t, key, sizeof key);
    text_add(&t, "capability:");
    text_add(&t, c->topology->capabilities[cap]);
    unit_format(c->sector, shard);
    unit_format(cluster_agent(c, i), member);
    struct store_op op = {.ref = ref_of(REF_INDEX, i, ++c->store_seq),
                          .kind = set ? STORE_INDEX_SET : STORE_INDEX_REMOVE,
                          .shard = shard,
                          .key = key,
                          .id = member,
                          .score = set ? (double)m->impedance.score : 0.0};
    if (!store_send(c, out, &op)) {
        return false;
    }
    m->index_dirty &= ~bit_of(cap);
    m->indexed = set ? m->indexed | bit_of(cap) : m->indexed & ~bit_of(cap);
    return true;
}

static void record_summary(const struct summary *s, struct record *r)
{
    uint32_t merged[LEAD_BUCKETS] = {0};
    for (int k = CLASS_NONE; k < CLASS_COUNT; k++) {
        histogram_merge(merged, s->lead_counts[k], LEAD_BUCKETS);
    }
    double mean = s->active > 0 ? (double)s->score_sum / (double)s->active : 0.0;
    record_u64(r, "agent_count", s->agents);
    record_u64(r, "active_count", s->active);
    record_fixed(r, "mean_impedance", mean, 1);
    record_fixed(r, "p95_impedance", (double)lead_quantile(merged, 0.95) / US_PER_MS, 1);
    record_time(r, "last_updated", s->updated_mesh_us);
}

static bool put_summary(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct summary s;
    struct record r;
    char shard[UNIT_TEXT_MAX];
    summary_build(c, now_us, &s);
    record_init(&r);
    record_unit(&r, "cluster_id", c->self);
    record_summary(&s, &r);
    if (s.slowest.agent != 0) {
        record_unit(&r, "slowest_agent", s.slowest);
        record_unit(&r, "fastest_agent", s.fastest);
    }
    record_u64(&r, "unit_epoch", c->epoch);
    shard_name(c, shard);
    struct store_op op = {.ref = ref_of(REF_SUMMARY, 0, ++c->store_seq),
                          .kind = STORE_EPOCH_PUT,
                          .epoch = c->epoch > 0 ? c->epoch : 1,
                          .shard = shard,
                          .key = "summary",
                          .fields = r.fields,
                          .field_count = r.count};
    return store_send(c, out, &op);
}

static bool append_minute(struct cluster *c, int64_t now_us, struct outbox *out)
{
    struct summary s;
    struct record r;
    char shard[UNIT_TEXT_MAX];
    summary_build(c, now_us, &s);
    record_init(&r);
    record_summary(&s, &r);
    record_u64(&r, "done", c->minute_done);
    record_u64(&r, "failed", c->minute_failed);
    record_u64(&r, "conflicts_hour", s.conflicts_hour);
    shard_name(c, shard);
    struct store_op op = {.ref = ref_of(REF_APPEND, 0, ++c->store_seq),
                          .kind = STORE_APPEND,
                          .shard = shard,
                          .key = "history",
                          .fields = r.fields,
                          .field_count = r.count,
                          .limit = HISTORY_ENTRIES};
    if (!store_send(c, out, &op)) {
        return false;
    }
    c->minute_done = 0;
    c->minute_failed = 0;
    return true;
}

bool registry_get(struct cluster *c, uint32_t i, uint32_t slot, uint32_t seq, struct outbox *out)
{
    assert(c != NULL);
    assert(i < c->count);
    char shard[UNIT_TEXT_MAX];
    char key[STORE_KEY_MAX];
    if (!c->store_up || c->members[i].uid == 0) {
        return false;
    }
    shard_name(c, shard);
    member_key(&c->members[i], key, sizeof key);
    struct store_op op = {
        .ref = ref_of(REF_GET, slot, seq), .kind = STORE_GET, .shard = shard, .key = key};
    return store_send(c, out, &op);
}

static bool verdict_good(enum store_verdict v)
{
    return v == STORE_OK || v == STORE_EXISTS || v == STORE_MISSING;
}

void registry_reply(struct cluster *c, int64_t now_us, const struct store_reply *reply,
                    struct outbox *out)
{
    assert(c != NULL && reply != NULL && out != NULL);
    enum registry_ref kind = (enum registry_ref)(reply->ref >> 56);
    uint32_t i = (uint32_t)(reply->ref >> 40) & 0xffffu;
    uint32_t seq = (uint32_t)reply->ref;
    c->registry_next_us = 0;
    if (kind == REF_SCAN) {
        roster_page(c, now_us, reply);
        return;
    }
    if (kind == REF_GET) {
        query_record(c, now_us, i, seq, reply, out);
        return;
    }
    bool good = verdict_good(reply->verdict);
    if (!good) {
        /* Fenced: a successor writes now; this lead is about to be told so. */
        int64_t pause_us = reply->verdict == STORE_FENCED ? STORE_FENCED_US : STORE_RETRY_US;
        cluster_note(out, NOTE_STORE_REFUSED, reply->kind, reply->verdict);
        c->store_pause_us = now_us + rng_jitter_us(&c->rng, pause_us, 300);
    }
    if (i >= c->count || (kind != REF_PUT && kind != REF_INDEX)) {
        return;
    }
    struct member *m = &c->members[i];
    if (kind == REF_PUT && m->put_seq == seq) {
        m->put_until_us = 0;
    }
    if (!good && kind == REF_PUT) {
        registry_dirty(c, now_us, i, DIRTY_ALL);
    } else if (!good) {
        m->index_dirty |= m->capabilities | m->indexed;
    }
}

/* One member's turn; returns the writes made, more than `left` never. */
static uint32_t member_writes(struct cluster *c, int64_t now_us, uint32_t i, uint32_t left,
                              struct outbox *out)
{
    struct member *m = &c->members[i];
    uint32_t made = 0;
    if (m->uid == 0) {
        return 0;
    }
    if (m->put_until_us != 0 && m->put_until_us <= now_us) {
        cluster_note(out, NOTE_STORE_LATE, ref_of(REF_PUT, i, m->put_seq), STORE_EPOCH_PUT);
        m->put_until_us = 0;
        registry_dirty(c, now_us, i, DIRTY_ALL);
    }
    if (m->dirty != 0 && m->put_until_us == 0 && made < left) {
        if (!put_member(c, now_us, i, out)) {
            return made;
        }
        made++;
    }
    while (m->index_dirty != 0 && made < left && put_index(c, i, out)) {
        made++;
    }
    return made;
}

/* Those of the roster that never came back are still shown as they were: put that right. */
static void sweep_absent(struct cluster *c, int64_t now_us)
{
    for (uint32_t i = 0; i < c->count; i++) {
        struct member *m = &c->members[i];
        if (m->uid != 0 && members_state(c, i) == AGENT_UNKNOWN) {
            registry_dirty(c, now_us, i, DIRTY_STATE);
            m->index_dirty |= m->indexed;
        }
    }
}

static void periodic(struct cluster *c, int64_t now_us, struct outbox *out)
{
    if (!c->scan_done && c->scan_until_us <= now_us && c->store_pause_us <= now_us) {
        roster_ask(c, now_us, out);
    }
    if (c->summary_next_us <= now_us && put_summary(c, now_us, out)) {
        c->summary_next_us = now_us + SUMMARY_US;
    }
    if (c->minute_next_us <= now_us && append_minute(c, now_us, out)) {
        c->minute_next_us = now_us + MINUTE_US;
        sweep_absent(c, now_us);
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
    periodic(c, now_us, out);
    uint32_t made = 0;
    int64_t at_us = c->write_next_us > c->store_pause_us ? c->write_next_us : c->store_pause_us;
    for (uint32_t n = 0; at_us <= now_us && n < c->count && made < LEAD_WRITES_STEP; n++) {
        if (!outbox_room(out, OUTBOX_EFFECTS_MAX / 2, WRITE_ROOM)) {
            break; /* the rest of the room is for messages: go on after the pause */
        }
        made += member_writes(c, now_us, c->write_cursor, LEAD_WRITES_STEP - made, out);
        c->write_cursor =
            made < LEAD_WRITES_STEP ? (c->write_cursor + 1u) % c->count : c->write_cursor;
    }
    if (made > 0) {
        c->write_next_us = now_us + LEAD_WRITE_GAP_US;
    }
    int64_t next_us = time_least(c->summary_next_us, c->minute_next_us);
    if (!c->scan_done) {
        next_us = time_least(next_us, c->scan_until_us > c->store_pause_us ? c->scan_until_us
                                                                           : c->store_pause_us);
    }
    bool waiting = false;
    for (uint32_t i = 0; i < c->count; i++) {
        const struct member *m = &c->members[i];
        waiting |= m->uid != 0 && ((m->dirty != 0 && m->put_until_us == 0) || m->index_dirty != 0);
        if (m->put_until_us != 0) {
            next_us = time_least(next_us, m->put_until_us);
        }
    }
    if (waiting) {
        at_us = c->write_next_us > c->store_pause_us ? c->write_next_us : c->store_pause_us;
        next_us = time_least(next_us, at_us > now_us ? at_us : now_us + LEAD_WRITE_GAP_US);
    }
    c->registry_next_us = c->starved ? 0 : next_us;
    return next_us;
}
