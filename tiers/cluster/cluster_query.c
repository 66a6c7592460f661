/* Queries: the lead answers with one sorted page, built on the stack by core/pager.h from its own
 * rows. Inspection alone waits for somebody: the registry's record is fetched and stands below the
 * lead's own view; when the registry is away or silent for a second, the page says so instead. */
#include "core/facts.h"
#include "core/histogram.h"
#include "core/pager.h"
#include "core/resolve.h"
#include "core/text.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

#define PAGE_ROWS    64u
#define PAGE_DATA    16384u
#define PAGE_MEMORY  49152u
#define INSPECT_TEXT 4096u
#define WORK_TEXT    1024u

struct page_memory {
    _Alignas(16) uint8_t bytes[PAGE_MEMORY];
};

static void page_open(struct pager *p, struct page_memory *memory, const struct query *q,
                      enum row_kind kind)
{
    assert(pager_bytes(PAGE_ROWS, PAGE_DATA) <= sizeof memory->bytes);
    uint32_t limit = q->limit >= 1 && q->limit <= PAGE_ROWS ? q->limit : PAGE_ROWS;
    pager_init(p, memory->bytes, PAGE_ROWS, PAGE_DATA, kind, q->from_start, q->after_key, limit);
}

static void page_send(struct cluster *c, struct pager *p, uint64_t ref, struct outbox *out)
{
    struct msg m = {.type = MSG_ROWS, .priority = 2, .to = c->sector};
    pager_rows(p, ref, &m.u.rows);
    cluster_send(c, out, &m);
}

static bool query_takes(const struct cluster *c, const struct query *q, uint32_t i)
{
    const struct member *m = &c->members[i];
    return move_expects(c, i) &&
           selector_takes(&q->selector, c->topology, cluster_agent(c, i),
                          (enum impedance_class)m->agent_class, m->capabilities,
                          members_state(c, i), m->impedance.score) &&
           facts_match(facts_of(c, i), q->selector.where);
}

static void agent_row(const struct cluster *c, uint32_t i, struct page_row *ret)
{
    const struct member *m = &c->members[i];
    *ret = (struct page_row){.key = (uint64_t)m->impedance.score << 32 | (c->first + i),
                             .unit = cluster_agent(c, i)};
    ret->u.agent = (struct agent_row){.uid = m->uid,
                                      .agent_class = (enum impedance_class)m->agent_class,
                                      .capabilities = m->capabilities,
                                      .epoch = m->epoch,
                                      .routed_around = (c->avoided >> i & 1u) != 0,
                                      .unwritten = registry_unwritten(c, i),
                                      .impedance = m->impedance};
    ret->u.agent.impedance.state = members_state(c, i);
}

static uint32_t top_value(const struct member *m, enum query_kind kind)
{
    const struct impedance *z = &m->impedance;
    return kind == QUERY_TOP_SLOW        ? z->predicted_us
           : kind == QUERY_TOP_DRIFT     ? z->drift_permille
           : kind == QUERY_TOP_CONFLICTS ? m->conflicts
           : kind == QUERY_TOP_QUEUE     ? z->queue_depth
                                         : z->failed;
}

static void query_agents(struct cluster *c, const struct query *q, struct outbox *out)
{
    struct page_memory memory;
    struct pager p;
    page_open(&p, &memory, q, ROW_AGENT);
    for (uint32_t i = 0; i < c->count; i++) {
        if (query_takes(c, q, i)) {
            struct page_row row;
            agent_row(c, i, &row);
            row.key = query_is_top(q->kind)
                          ? (uint64_t)(UINT32_MAX - top_value(&c->members[i], q->kind)) << 32 |
                                (c->first + i)
                          : row.key;
            pager_row(&p, &row);
        }
    }
    page_send(c, &p, q->ref, out);
}

static void query_summary(struct cluster *c, int64_t now_us, const struct query *q,
                          struct outbox *out)
{
    struct page_memory memory;
    struct pager p;
    struct summary summary;
    page_open(&p, &memory, q, ROW_SUMMARY);
    if (q->kind == QUERY_CLUSTERS && place_touches(&q->selector.places, c->self)) {
        summary_build(c, now_us, &summary);
        struct page_row row = {.key = unit_pack(c->self), .unit = c->self};
        row.u.summary = &summary;
        pager_row(&p, &row);
    }
    page_send(c, &p, q->ref, out);
}

static void answer_rows(struct cluster *c, const struct aggregate *from, struct pager *p)
{
    struct aggregate_scratch scratch;
    struct answer_group group;
    bool from_start = true;
    uint64_t after = 0;
    while (aggregate_group_after(from, &c->slab, from_start, after, &scratch, &group)) {
        struct page_row row = {.key = group.hash, .unit = c->self};
        row.u.answer = group;
        pager_row(p, &row);
        from_start = false;
        after = group.hash;
    }
}

/* By the operation's own id or by that of its cascade: then the phases' answers are one. */
static void query_answers(struct cluster *c, const struct query *q, struct outbox *out)
{
    struct page_memory memory;
    struct pager p;
    page_open(&p, &memory, q, ROW_ANSWER);
    const struct lead_op *op;
    for (uint16_t slot = c->made_first; slot != LEAD_OP_NONE; slot = op->after) {
        op = cluster_op(c, slot);
        if (op->state != LEAD_OP_FREE && (num_id128_equal(op->id, q->operation_id) ||
                                          num_id128_equal(op->correlation, q->operation_id))) {
            if (q->kind == QUERY_ANSWERS) {
                answer_rows(c, &op->aggregate, &p);
            } else if (op->late_answers != SLAB_NONE) {
                answer_rows(c, slab_at(&c->slab, op->late_answers), &p);
            }
        }
    }
    page_send(c, &p, q->ref, out);
}

static void capability_names(const struct cluster *c, uint64_t bits, struct text *t)
{
    for (uint64_t rest = bits; rest != 0; rest &= rest - 1u) {
        uint32_t bit = bits_lowest(rest);
        text_add(t, rest == bits ? "" : ",");
        text_add(t, bit < c->topology->capability_count ? c->topology->capabilities[bit] : "?");
    }
}

/* --- work --- */

static void line(struct text *t, const char *name);

/* What agent i has not answered, as lines of name=value. */
static void work_text(const struct cluster *c, int64_t now_us, const struct lead_op *op, uint32_t i,
                      struct text *t)
{
    const struct member *m = &c->members[i];
    const struct lead_word *w = &c->words[i];
    line(t, "operation");
    text_id128(t, op->id);
    line(t, "agent_class");
    text_add(t, class_name((enum impedance_class)m->agent_class));
    line(t, "action");
    text_add(t, op->action);
    line(t, "task");
    text_add_utf8(t, op->task, op->task_bytes);
    line(t, "requires");
    capability_names(c, op->requires, t);
    line(t, "progress");
    text_add(t, (op->pending >> i & 1u) != 0 ? "running" : "no word yet");
    line(t, "waiting_on");
    if (w->bytes > 0 && num_id128_equal(w->operation, op->id)) {
        text_add_utf8(t, w->text, w->bytes);
        line(t, "words");
        text_u64(t, w->number);
    }
    line(t, "age_ms");
    text_ms(t, now_us - op->opened_us, 0);
    line(t, "left_ms");
    text_ms(t, op->deadline_us > now_us ? op->deadline_us - now_us : 0, 0);
    line(t, "queue_depth");
    text_u64(t, m->impedance.queue_depth);
    line(t, "latency_ms");
    text_ms(t, m->impedance.latency_us, 3);
    line(t, "processing_ms");
    text_ms(t, m->impedance.processing_us, 3);
    line(t, "predicted_ms");
    text_ms(t, m->impedance.predicted_us, 3);
}

/* Sent, and not answered: oldest first, one row for each operation and agent. */
static void query_work(struct cluster *c, int64_t now_us, const struct query *q, struct outbox *out)
{
    struct page_memory memory;
    struct pager p;
    page_open(&p, &memory, q, ROW_RECORD);
    for (uint32_t k = 0; k < c->live_count; k++) {
        const struct lead_op *op = cluster_op(c, c->live[k].slot);
        if (!num_id128_zero(q->operation_id) && !num_id128_equal(op->id, q->operation_id) &&
            !num_id128_equal(op->correlation, q->operation_id)) {
            continue; /* one operation is meant, and not this */
        }
        for (uint64_t rest = op->open & op->sent; rest != 0; rest &= rest - 1u) {
            uint32_t i = bits_lowest(rest);
            char room[WORK_TEXT];
            struct text t;
            if (!query_takes(c, q, i)) {
                continue;
            }
            text_init(&t, room, sizeof room);
            work_text(c, now_us, op, i, &t);
            struct page_row row = {.key = query_work_key(op->created_mesh_us, c->first + i),
                                   .unit = cluster_agent(c, i)};
            row.u.record.bytes = (uint32_t)t.used;
            row.u.record.text = room;
            pager_row(&p, &row);
        }
    }
    page_send(c, &p, q->ref, out);
}

/* --- traces --- */

static void figure(struct text *t, const char *name, int64_t value)
{
    text_add(t, name);
    text_char(t, '=');
    text_i64(t, value);
    text_char(t, '\n');
}

static int64_t mesh_or_zero(const struct cluster *c, int64_t at_us)
{
    return at_us > 0 ? cluster_mesh(c, at_us) : 0;
}

/* Times are mesh time, 0: not yet. An operation of several phases has one row: of the last. */
static void query_trace(struct cluster *c, const struct query *q, struct outbox *out)
{
    struct page_memory memory;
    struct pager p;
    char room[512];
    struct text t;
    page_open(&p, &memory, q, ROW_RECORD);
    const struct lead_op *op = operate_find(c, q->operation_id);
    if (op != NULL) {
        const struct aggregate *a = &op->aggregate;
        text_init(&t, room, sizeof room);
        figure(&t, "opened", mesh_or_zero(c, op->opened_us));
        figure(&t, "sent", mesh_or_zero(c, op->first_sent_us));
        figure(&t, "first", mesh_or_zero(c, op->first_answer_us));
        figure(&t, "last", mesh_or_zero(c, op->last_answer_us));
        figure(&t, "targets", op->targets);
        figure(&t, "waiting", bits_count(op->open));
        figure(&t, "answered", a->outcomes[OUTCOME_READY] + a->outcomes[OUTCOME_CONFLICT]);
        figure(&t, "resent", a->resent);
        figure(&t, "late", a->late);
        if (op->last_answer_us > 0) {
            text_add(&t, "slowest=");
            text_unit(&t, cluster_agent(c, op->slowest));
        }
        struct page_row row = {.key = unit_pack(c->self), .unit = c->self};
        row.u.record.bytes = (uint32_t)t.used;
        row.u.record.text = room;
        pager_row(&p, &row);
    }
    page_send(c, &p, q->ref, out);
}

void query_span(struct cluster *c, int64_t now_us, const struct lead_op *op, struct outbox *out)
{
    assert(c != NULL && op != NULL && out != NULL);
    if (!c->tuning.spans || !meshtime_ready(&c->time)) {
        return;
    }
    struct span s = {.kind = SPAN_TIER,
                     .unit = c->self,
                     .operation = op->id,
                     .start_mesh_us = cluster_mesh(c, op->opened_us),
                     .end_mesh_us = cluster_mesh(c, now_us),
                     .sent_us = mesh_or_zero(c, op->first_sent_us),
                     .first_us = mesh_or_zero(c, op->first_answer_us),
                     .last_us = mesh_or_zero(c, op->last_answer_us),
                     .targets = op->targets};
    memcpy(s.outcomes, op->aggregate.outcomes, sizeof(s.outcomes));
    if (op->last_answer_us > 0) {
        s.slowest = cluster_agent(c, op->slowest);
    }
    if (s.start_mesh_us > 0) {
        out_span(out, &s);
    }
}

/* --- inspection --- */

static void line(struct text *t, const char *name)
{
    if (t->used > 0) {
        text_char(t, '\n');
    }
    text_add(t, name);
    text_char(t, '=');
}

static void lead_view(const struct cluster *c, int64_t now_us, uint32_t i, struct text *t)
{
    const struct member *m = &c->members[i];
    const struct impedance *imp = &m->impedance;
    line(t, "agent_id");
    text_unit(t, cluster_agent(c, i));
    line(t, "uid");
    text_hex64(t, m->uid);
    line(t, "epoch");
    text_u64(t, m->epoch);
    line(t, "agent_class");
    text_add(t, class_name((enum impedance_class)m->agent_class));
    line(t, "operational_state");
    text_add(t, agent_state_name(members_state(c, i)));
    line(t, "routed_around");
    text_add(t, (c->avoided >> i & 1u) != 0 ? "yes" : "no");
    line(t, "current_latency_ms");
    text_ms(t, imp->latency_us, 3);
    line(t, "current_processing_ms");
    text_ms(t, imp->processing_us, 3);
    line(t, "current_queue_depth");
    text_u64(t, imp->queue_depth);
    line(t, "impedance_score");
    text_u64(t, imp->score);
    line(t, "predicted_ms");
    text_ms(t, imp->predicted_us, 3);
    line(t, "confidence");
    text_fixed(t, imp->confidence_permille / 1000.0, 3);
    line(t, "reliability_score");
    text_fixed(t, imp->reliability_permille / 1000.0, 3);
    line(t, "drift_coefficient");
    text_fixed(t, imp->drift_permille / 1000.0, 3);
    line(t, "clock_error_us");
    text_u64(t, imp->clock_error_us);
    line(t, "observations");
    text_u64(t, m->predictor.count);
    line(t, "heartbeat_age_ms");
    text_ms(t, m->joined ? cluster_mesh(c, now_us) - imp->heartbeat_mesh_us : 0, 0);
    line(t, "current_context_hash");
    text_id128(t, imp->context_hash);
    line(t, "capabilities");
    capability_names(c, m->capabilities, t);
    line(t, "facts");
    text_add(t, facts_of(c, i));
}

/* One ROW_RECORD: the lead's view, an empty line, the registry's. */
static void inspect_send(struct cluster *c, int64_t now_us, uint64_t ref, uint32_t i,
                         const struct store_reply *reply, struct outbox *out)
{
    struct page_memory memory;
    struct pager p;
    char room[INSPECT_TEXT];
    struct text t;
    text_init(&t, room, sizeof room);
    lead_view(c, now_us, i, &t);
    text_add(&t, "\n\n");
    if (reply == NULL) {
        text_add(&t, "registry=unavailable");
    } else if (reply->verdict != STORE_OK || reply->row_count == 0) {
        text_add(&t, "registry=");
        text_add(&t, store_verdict_name(reply->verdict));
    } else {
        for (uint32_t k = 0; k < reply->rows[0].field_count; k++) {
            const struct store_field *f = &reply->rows[0].fields[k];
            text_add(&t, k > 0 ? "\n" : "");
            text_add(&t, f->name);
            text_char(&t, '=');
            text_add_safe(&t, f->value, f->value_bytes);
        }
    }
    struct query q = {.ref = ref, .from_start = true, .limit = 1};
    page_open(&p, &memory, &q, ROW_RECORD);
    struct page_row row = {.key = unit_pack(cluster_agent(c, i)), .unit = cluster_agent(c, i)};
    row.u.record.bytes = (uint32_t)t.used;
    row.u.record.text = room;
    pager_row(&p, &row);
    page_send(c, &p, ref, out);
}

static void query_inspect(struct cluster *c, int64_t now_us, const struct query *q,
                          struct outbox *out)
{
    uint32_t i = 0;
    while (i < c->count && !place_has_agent(&q->selector.places, cluster_agent(c, i))) {
        i++;
    }
    if (i == c->count) {
        struct page_memory memory;
        struct pager p;
        page_open(&p, &memory, q, ROW_RECORD);
        page_send(c, &p, q->ref, out);
        return;
    }
    for (uint32_t slot = 0; slot < LEAD_INSPECTS_MAX; slot++) {
        struct lead_inspect *w = &c->inspects[slot];
        if (w->until_us != 0) {
            continue;
        }
        uint32_t seq = ++c->store_seq;
        if (registry_get(c, now_us, i, slot, seq, out)) {
            *w = (struct lead_inspect){.query_ref = q->ref,
                                       .until_us = now_us + LEAD_INSPECT_US,
                                       .member = (uint8_t)i,
                                       .seq = seq};
            return;
        }
        break;
    }
    inspect_send(c, now_us, q->ref, i, NULL, out);
}

void query_record(struct cluster *c, int64_t now_us, uint32_t slot, uint32_t seq,
                  const struct store_reply *reply, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    if (slot >= LEAD_INSPECTS_MAX || c->inspects[slot].until_us == 0 ||
        c->inspects[slot].seq != seq) {
        return; /* answered without it before */
    }
    assert(c->inspects[slot].member < c->count);
    struct lead_inspect w = c->inspects[slot];
    c->inspects[slot] = (struct lead_inspect){0};
    inspect_send(c, now_us, w.query_ref, w.member, reply, out);
}

int64_t query_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    int64_t next_us = NEVER;
    for (uint32_t slot = 0; slot < LEAD_INSPECTS_MAX; slot++) {
        struct lead_inspect *w = &c->inspects[slot];
        if (w->until_us == 0) {
            continue;
        }
        if (w->until_us <= now_us) {
            cluster_note(out, NOTE_STORE_LATE, w->seq, STORE_GET);
            query_record(c, now_us, slot, w->seq, NULL, out);
        } else {
            next_us = time_least(next_us, w->until_us);
        }
    }
    return next_us;
}

void query_handle(struct cluster *c, int64_t now_us, const struct query *query, struct outbox *out)
{
    assert(c != NULL && query != NULL && out != NULL);
    assert(now_us >= 0);
    switch (query->kind) {
    case QUERY_AGENTS:
    case QUERY_TOP_SLOW:
    case QUERY_TOP_DRIFT:
    case QUERY_TOP_CONFLICTS:
    case QUERY_TOP_QUEUE:
    case QUERY_TOP_FAILED:
        query_agents(c, query, out);
        break;
    case QUERY_ANSWERS:
    case QUERY_LATE:
        query_answers(c, query, out);
        break;
    case QUERY_INSPECT:
        query_inspect(c, now_us, query, out);
        break;
    case QUERY_WORK:
        query_work(c, now_us, query, out);
        break;
    case QUERY_CLUSTERS:
    case QUERY_SECTORS:
        query_summary(c, now_us, query, out);
        break;
    case QUERY_TRACE:
        query_trace(c, query, out);
        break;
    case QUERY_JOBS:
    case QUERY_JOB:
    case QUERY_ATTACH:
    case QUERY_KPI:
    case QUERY_KIND_COUNT:
        break; /* the orchestrator's alone */
    }
}
