/* One list of the parts, walked in both directions: `walk` writes or reads, so that the two cannot
 * differ. Reading is of bytes that anybody with a login to Redis may have written: every length is
 * checked, and the aggregate as if it had come over the wire. */
#include "tiers/orchestrator/job_record.h"
#include "core/note.h"
#include <assert.h>
#include <string.h>

#define VERSION 1u

struct walk {
    uint8_t *to;         /* writing, else NULL */
    const uint8_t *from; /* reading */
    uint32_t used, size;
    bool bad;
};

/* --- numbers ---------------------------------------------------------------------------------- */

static uint64_t number(struct walk *w, uint64_t value, uint32_t bytes)
{
    if (w->bad || w->size - w->used < bytes) {
        w->bad = true;
        return 0;
    }
    uint64_t got = 0;
    for (uint32_t i = 0; i < bytes; i++) {
        if (w->to != NULL) {
            w->to[w->used + i] = (uint8_t)(value >> (8u * i));
        } else {
            got |= (uint64_t)w->from[w->used + i] << (8u * i);
        }
    }
    w->used += bytes;
    return w->to != NULL ? value : got;
}

static void u32(struct walk *w, uint32_t *value)
{
    *value = (uint32_t)number(w, *value, 4);
}

static void u16(struct walk *w, uint16_t *value)
{
    *value = (uint16_t)number(w, *value, 2);
}

static void u64(struct walk *w, uint64_t *value)
{
    *value = number(w, *value, 8);
}

static void i64(struct walk *w, int64_t *value)
{
    *value = (int64_t)number(w, (uint64_t)*value, 8);
}

static void flag(struct walk *w, bool *value)
{
    *value = number(w, *value ? 1 : 0, 1) == 1;
}

/* Of a kind with `count` values. */
static unsigned word(struct walk *w, unsigned value, unsigned count)
{
    unsigned got = (unsigned)number(w, value, 1);
    w->bad |= got >= count;
    return w->bad ? 0 : got;
}

static void real(struct walk *w, double *value)
{
    uint64_t bits;
    memcpy(&bits, value, sizeof(bits));
    bits = number(w, bits, 8);
    memcpy(value, &bits, sizeof(bits));
    w->bad |= !(*value >= -1e18 && *value <= 1e18);
}

static void array(struct walk *w, uint32_t *values, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        u32(w, &values[i]);
    }
}

static void id(struct walk *w, struct id128 *value)
{
    for (uint32_t i = 0; i < sizeof(value->bytes); i++) {
        value->bytes[i] = (uint8_t)number(w, value->bytes[i], 1);
    }
}

/* --- texts ------------------------------------------------------------------------------------ */

/* Bytes that stay where they are when they are read. */
static const uint8_t *piece(struct walk *w, const uint8_t *bytes, uint32_t count)
{
    if (w->bad || w->size - w->used < count) {
        w->bad = true;
        return NULL;
    }
    if (w->to != NULL && bytes != NULL && count > 0) {
        memcpy(w->to + w->used, bytes, count);
    }
    const uint8_t *at = w->to != NULL ? w->to : w->from;
    w->used += count;
    return at + w->used - count;
}

/* With its NUL. */
static const char *text(struct walk *w, const char *value)
{
    uint32_t count =
        (uint32_t)number(w, w->to != NULL && value != NULL ? strlen(value) + 1u : 1u, 2);
    const uint8_t *at = piece(w, (const uint8_t *)(value != NULL ? value : ""), count);
    w->bad |= at == NULL || count == 0 || count > TEXT_BYTES_MAX || at[count - 1] != '\0' ||
              memchr(at, '\0', count) != at + count - 1;
    return w->bad ? "" : (const char *)at;
}

static void text_into(struct walk *w, char *value, size_t room)
{
    const char *got = text(w, value);
    if (w->to == NULL) {
        size_t count = strlen(got) + 1;
        w->bad |= count > room;
        memcpy(value, got, count <= room ? count : 0);
    }
}

/* --- parts ------------------------------------------------------------------------------------ */

static void head_part(struct walk *w, struct job_head *h)
{
    uint64_t console = unit_pack(h->console);
    w->bad |= number(w, VERSION, 1) != VERSION || number(w, OUTCOME_COUNT, 1) != OUTCOME_COUNT ||
              number(w, REASON_COUNT, 1) != REASON_COUNT;
    flag(w, &h->running);
    flag(w, &h->cancelled);
    id(w, &h->id);
    id(w, &h->current);
    u64(w, &console);
    u64(w, &h->ref);
    i64(w, &h->created_mesh_us);
    i64(w, &h->finished_mesh_us);
    text_into(w, h->action, sizeof(h->action));
    text_into(w, h->input, sizeof(h->input));
    u32(w, &h->targets);
    array(w, h->outcomes, OUTCOME_COUNT);
    u32(w, &h->late);
    h->console = unit_unpack(console);
    w->bad |= h->console.tier != TIER_CONSOLE;
}

static void selector_part(struct walk *w, struct selector *s)
{
    s->places.count = word(w, s->places.count, RANGES_MAX + 1u);
    for (uint32_t i = 0; i < s->places.count; i++) {
        struct pattern *p = &s->places.patterns[i];
        struct range *ranges[] = {&p->sector, &p->cluster, &p->agent};
        for (unsigned k = 0; k < 3; k++) {
            u16(w, &ranges[k]->first);
            u16(w, &ranges[k]->last);
        }
    }
    u32(w, &s->class_mask);
    u32(w, &s->state_mask);
    u64(w, &s->capabilities);
    flag(w, &s->capable_only);
    u32(w, &s->sample);
    u32(w, &s->score_min);
    u32(w, &s->score_max);
    u32(w, &s->part_seed);
    u32(w, &s->part_first);
    u32(w, &s->part_last);
    text_into(w, s->where, sizeof(s->where));
}

static void course_part(struct walk *w, struct job_course *c)
{
    struct operation *op = &c->operation;
    i64(w, &c->target_mesh_us);
    i64(w, &c->window_us);
    i64(w, &c->deadline_mesh_us);
    op->strategy = (enum cascade_strategy)word(w, op->strategy, CASCADE_COUNT);
    op->priority = (uint8_t)word(w, op->priority, PRIORITY_COUNT);
    flag(w, &op->allow_partial);
    real(w, &op->minimum_response_rate);
    text_into(w, op->action, sizeof(op->action));
    id(w, &op->trace.trace);
    u64(w, &op->trace.parent);
    op->trace.flags = (uint8_t)word(w, op->trace.flags, 2);
    selector_part(w, &op->selector);
    u32(w, &c->rest);
    flag(w, &c->has_before);
    if (c->has_before) {
        array(w, c->before.outcomes, OUTCOME_COUNT);
        array(w, c->before.reasons, REASON_COUNT);
    }
}

/* Counters that are mostly zero: how many are not, and each with its place (256 at most). */
static void histogram(struct walk *w, uint32_t *counts, uint32_t size)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < size; i++) {
        n += counts[i] > 0 ? 1u : 0u;
    }
    n = word(w, n, size + 1u);
    for (uint32_t i = 0, at = 0; i < n; i++, at++) {
        while (w->to != NULL && counts[at] == 0) {
            at++;
        }
        at = word(w, at, size);
        u32(w, &counts[at]);
    }
}

static void groups_part(struct walk *w, struct aggregate_view *a, struct aggregate_scratch *s)
{
    uint32_t runs = 0;
    a->group_count = word(w, a->group_count, AGGREGATE_GROUPS_MAX + 1u);
    for (uint32_t i = 0; i < a->group_count && !w->bad; i++) {
        struct answer_group g = w->to != NULL ? a->groups[i] : (struct answer_group){0};
        g.outcome = (enum outcome)word(w, g.outcome, OUTCOME_COUNT);
        g.reason = (enum reason)word(w, g.reason, REASON_COUNT);
        u64(w, &g.hash);
        u32(w, &g.count);
        u32(w, &g.run_count);
        u32(w, &g.answer_bytes);
        g.answer = piece(w, g.answer, g.answer_bytes);
        if (w->bad || g.run_count > AGGREGATE_BYTES_MAX / sizeof(struct run) - runs) {
            w->bad = true;
            return;
        }
        for (uint32_t k = 0; k < g.run_count; k++) {
            struct run r = w->to != NULL && g.runs != NULL ? g.runs[k] : (struct run){0};
            u32(w, &r.first);
            u32(w, &r.last);
            if (s != NULL) {
                s->runs[runs + k] = r;
            }
        }
        if (s != NULL) {
            g.runs = &s->runs[runs];
            s->groups[i] = g;
        }
        runs += g.run_count;
    }
}

static void aggregate_part(struct walk *w, struct aggregate_view *a, struct aggregate_scratch *s)
{
    uint32_t *counts[] = {&a->targets,          &a->sent,           &a->late,
                          &a->resent,           &a->unexpected,     &a->hedged,
                          &a->hedge_wins,       &a->window_hits,    &a->window_eligible,
                          &a->predicted,        &a->predicted_50ms, &a->sectors_reached,
                          &a->clusters_reached, &a->agents_reached, &a->other};
    array(w, a->outcomes, OUTCOME_COUNT);
    array(w, a->reasons, REASON_COUNT);
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        u32(w, counts[i]);
    }
    histogram(w, a->arrival, ARRIVAL_BUCKETS);
    histogram(w, a->release, ARRIVAL_BUCKETS);
    histogram(w, a->lead_needed, LEAD_BUCKETS);
    groups_part(w, a, s);
}

static void report_part(struct walk *w, struct report *r, struct aggregate_scratch *s)
{
    r->strategy = (enum cascade_strategy)word(w, r->strategy, CASCADE_COUNT);
    r->status = text(w, r->status);
    real(w, &r->response_rate);
    u32(w, &r->stragglers);
    r->recommendation = text(w, r->recommendation);
    r->decision = (enum decision)word(w, r->decision, DECISION_COUNT);
    r->decision_reason = text(w, r->decision_reason);
    r->decision_recommendation = text(w, r->decision_recommendation);
    real(w, &r->confidence);
    flag(w, &r->achieved);
    i64(w, &r->created_mesh_us);
    i64(w, &r->target_mesh_us);
    i64(w, &r->finished_mesh_us);
    i64(w, &r->window_us);
    r->phase_count = word(w, r->phase_count, PHASES_MAX + 1u);
    for (uint32_t i = 0; i < r->phase_count; i++) {
        struct phase_report *p = &r->phases[i];
        u32(w, &p->class_mask);
        u32(w, &p->targets);
        u32(w, &p->ready);
        u32(w, &p->conflicts);
        real(w, &p->response_rate);
        real(w, &p->threshold);
        flag(w, &p->success);
    }
    aggregate_part(w, &r->aggregate, s);
}

/* --- both ways -------------------------------------------------------------------------------- */

uint32_t job_pack_running(const struct job_head *head, const struct job_course *course,
                          uint8_t ret[JOB_PACKED_BYTES])
{
    assert(head != NULL && course != NULL && ret != NULL && head->running);
    struct walk w = {.to = ret, .size = JOB_PACKED_BYTES};
    struct job_head h = *head;
    struct job_course c = *course;
    head_part(&w, &h);
    course_part(&w, &c);
    return w.bad ? 0 : w.used;
}

uint32_t job_pack_ended(const struct job_head *head, const struct report *report,
                        uint8_t ret[JOB_PACKED_BYTES])
{
    assert(head != NULL && report != NULL && ret != NULL && !head->running);
    struct walk w = {.to = ret, .size = JOB_PACKED_BYTES};
    struct job_head h = *head;
    struct report r = *report;
    head_part(&w, &h);
    report_part(&w, &r, NULL);
    return w.bad ? 0 : w.used;
}

bool job_unpack_head(const uint8_t *packed, uint32_t bytes, struct job_head *ret)
{
    assert(packed != NULL && ret != NULL);
    struct walk w = {.from = packed, .size = bytes};
    memset(ret, 0, sizeof(*ret));
    head_part(&w, ret);
    return !w.bad;
}

bool job_unpack_course(const uint8_t *packed, uint32_t bytes, struct job_course *ret)
{
    assert(packed != NULL && ret != NULL);
    struct walk w = {.from = packed, .size = bytes};
    struct job_head head = {0};
    memset(ret, 0, sizeof(*ret));
    head_part(&w, &head);
    course_part(&w, ret);
    for (unsigned o = 0; o < OUTCOME_COUNT; o++) {
        uint32_t n = ret->before.outcomes[o];
        w.bad |= n > UINT32_MAX - ret->before.targets;
        ret->before.targets += w.bad ? 0 : n;
    }
    ret->before.other = ret->before.targets;
    w.bad |= ret->before.outcomes[OUTCOME_PENDING] != 0 || !head.running;
    return !w.bad && w.used == bytes;
}

bool job_unpack_end(const uint8_t *packed, uint32_t bytes, const struct topology *t,
                    struct job_end *ret)
{
    assert(packed != NULL && t != NULL && ret != NULL);
    struct walk w = {.from = packed, .size = bytes};
    struct job_head head = {0};
    memset(&ret->report, 0, sizeof(ret->report));
    head_part(&w, &head);
    report_part(&w, &ret->report, &ret->scratch);
    ret->report.operation_id = head.id;
    ret->report.aggregate.groups = ret->scratch.groups;
    return !w.bad && w.used == bytes && !head.running &&
           aggregate_view_check(&ret->report.aggregate, t, unit_orchestrator(), true) == NULL;
}
