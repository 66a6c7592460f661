#include "tests/support/msg_sample_int.h"

#include <assert.h>
#include <string.h>

#define TIME_TOP  (1ll << 53)
#define CLOCK_TOP (1ll << 61)

static int64_t mesh_time(struct sample *s)
{
    return (int64_t)number(s, TIME_TOP);
}

static int64_t clock_time(struct sample *s)
{
    const int64_t t = (int64_t)number(s, CLOCK_TOP);
    return rng_u64(&s->rng) % 2 ? t : -t;
}

static double rate(struct sample *s)
{
    return s->fill == SAMPLE_FULL ? 0.5 : (double)(rng_u64(&s->rng) % 1001) / 1000.0;
}

static struct id128 id(struct sample *s, bool required)
{
    struct id128 v = {{0}};
    if (required || flag(s)) {
        for (unsigned i = 0; i < sizeof(v.bytes); i++) {
            v.bytes[i] = (uint8_t)(1 + rng_u64(&s->rng) % 255);
        }
    }
    return v;
}

static const uint8_t *blob(struct sample *s, uint32_t top, uint32_t *ret_bytes)
{
    const uint32_t n = upto(s, top);
    *ret_bytes = n;
    if (n == 0) {
        return NULL;
    }
    uint8_t *at = take(s, n);
    for (uint32_t i = 0; i < n; i++) {
        at[i] = (uint8_t)(rng_u64(&s->rng) >> 56);
    }
    return at;
}

static const char *text(struct sample *s)
{
    char *at = take(s, TEXT_BYTES_MAX);
    text_fill(s, at, TEXT_BYTES_MAX - 1);
    return at;
}

static void counts(struct sample *s, uint32_t *at, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        at[i] = s->fill == SAMPLE_FULL || rng_u64(&s->rng) % 8 == 0 ? u32(s) : 0;
    }
}

static uint64_t capabilities(struct sample *s)
{
    const uint64_t all = s->topology->capability_count < 64
                             ? (1ull << s->topology->capability_count) - 1
                             : UINT64_MAX;
    return s->fill == SAMPLE_FULL ? all : rng_u64(&s->rng) & all;
}

static void impedance(struct sample *s, struct impedance *i)
{
    i->latency_us = u32(s);
    i->processing_us = u32(s);
    i->queue_depth = u32(s);
    i->clock_error_us = u32(s);
    i->done = u32(s);
    i->failed = u32(s);
    i->state = (enum agent_state)upto(s, AGENT_STATE_COUNT - 1);
    i->context_hash = id(s, false);
    i->score = upto(s, 1000);
    i->predicted_us = u32(s);
    i->reliability_permille = (uint16_t)upto(s, 1000);
    i->drift_permille = (uint16_t)upto(s, UINT16_MAX);
    i->confidence_permille = (uint16_t)upto(s, 1000);
    i->heartbeat_mesh_us = mesh_time(s);
}

static void summary(struct sample *s, struct summary *y)
{
    uint32_t *const plain[] = {&y->agents,           &y->active,
                               &y->suspect,          &y->offline,
                               &y->quarantined,      &y->frozen,
                               &y->frozen_late,      &y->degraded,
                               &y->unstable,         &y->clusters,
                               &y->clusters_up,      &y->sectors_healthy,
                               &y->sectors_degraded, &y->slowest_score,
                               &y->fastest_score,    &y->healthiest_mean_us,
                               &y->sickest_mean_us,  &y->conflicts_hour,
                               &y->circuits_open,    &y->operations,
                               &y->leads_lost,       &y->durable_away,
                               &y->astray,           &y->newcomers,
                               &y->entering,         &y->newcomer_conflicts,
                               &y->leaving,          &y->synced,
                               &y->synced_far};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        *plain[i] = u32(s);
    }
    counts(s, y->class_active, CLASS_COUNT);
    counts(s, y->capability_active, CAPABILITIES_MAX);
    for (unsigned c = 0; c < CLASS_COUNT; c++) {
        counts(s, y->lead_counts[c], LEAD_BUCKETS);
    }
    y->impedance_sum_us = number(s, UINT64_MAX);
    y->score_sum = number(s, UINT64_MAX);
    if (flag(s)) {
        y->slowest = place(s, TIER_AGENT);
        y->fastest = place(s, TIER_AGENT);
        y->healthiest = place(s, TIER_CLUSTER);
        y->sickest = place(s, TIER_SECTOR);
    }
    y->circuit = (enum circuit)upto(s, CIRCUIT_COUNT - 1);
    y->store_up = flag(s);
    y->updated_mesh_us = mesh_time(s);
}

static void selector(struct sample *s, struct selector *e)
{
    e->places.count = upto(s, RANGES_MAX);
    for (uint32_t i = 0; i < e->places.count; i++) {
        struct range *const ranges[] = {&e->places.patterns[i].sector,
                                        &e->places.patterns[i].cluster,
                                        &e->places.patterns[i].agent};
        for (unsigned k = 0; k < 3; k++) {
            ranges[k]->last = (uint16_t)number(s, UINT16_MAX);
            ranges[k]->first = (uint16_t)number(s, ranges[k]->last);
        }
    }
    e->class_mask = upto(s, CLASS_MASK_ALL) & CLASS_MASK_ALL;
    e->state_mask = upto(s, (1u << AGENT_STATE_COUNT) - 1);
    e->capabilities = capabilities(s);
    e->sample = u32(s);
    e->score_min = upto(s, 1000);
    e->score_max = upto(s, 1000);
    e->capable_only = upto(s, 1) == 1;
    e->part_seed = u32(s);
    e->part_first = u32(s);
    e->part_last = u32(s);
    static const char longest[] = "a>=1,b>=1,c>=1,d>=1,e>=1,f>=1,g>=1,h=0123456789012345678901234"
                                  "567890123456789*01234567890123456789012";
    static const char *const wheres[] = {"", "os=debian12", "gpu!=*,kernel<6.2", longest};
    (void)strcpy(e->where, wheres[upto(s, 3)]);
}

void sample_operation(struct sample *s, struct operation *ret)
{
    struct operation *o = ret;
    memset(o, 0, sizeof(*o));
    o->id = id(s, true);
    o->correlation_id = id(s, false);
    o->causation_id = id(s, false);
    static const struct trace_context traces[] = {{.parent = 0}, {{{1, 2}}, UINT64_MAX, 1}};
    o->trace = traces[upto(s, 1)];
    o->source = flag(s) ? unit_numbered(TIER_CONSOLE, u32(s)) : unit_orchestrator();
    o->source_epoch = number(s, UINT64_MAX);
    o->routing = (enum routing)upto(s, ROUTING_COUNT - 1);
    o->strategy = (enum cascade_strategy)upto(s, CASCADE_COUNT - 1);
    o->timing = (enum timing)upto(s, TIMING_COUNT - 1);
    o->verb = (enum verb)upto(s, VERB_COUNT - 1);
    o->priority = (uint8_t)upto(s, PRIORITY_COUNT - 1);
    o->trinary_expectation = (int8_t)((int)upto(s, 2) - 1);
    o->require_answer = flag(s);
    o->require_ack = flag(s);
    o->allow_partial = flag(s);
    o->quorum = (uint32_t)upto(s, AGENTS_PER_CLUSTER_MAX);
    o->hedge = flag(s);
    o->created_mesh_us = 1 + (int64_t)number(s, TIME_TOP - 1);
    o->target_mesh_us = mesh_time(s);
    o->window_us = (int64_t)number(s, (uint64_t)TTL_US_MAX);
    o->ttl_us = 1 + (int64_t)number(s, (uint64_t)TTL_US_MAX - 1);
    o->timeout_us = (int64_t)number(s, (uint64_t)TTL_US_MAX);
    o->payload_weight = rate(s) * 1e6;
    o->minimum_response_rate = rate(s);
    selector(s, &o->selector);
    text_fill(s, o->action, ACTION_MAX - 1);
    memset(o->payload_hash, 0xa5, sizeof(o->payload_hash));
    o->payload = blob(s, s->fill == SAMPLE_FULL ? PAYLOAD_BYTES_MAX : 600, &o->payload_bytes);
}

static struct conflict_detail *conflict(struct sample *s)
{
    struct conflict_detail *c = take(s, sizeof(*c));
    c->type = (enum conflict_type)upto(s, CONFLICT_TYPE_COUNT - 1);
    c->context_hash = id(s, false);
    c->divergence_depth = u32(s);
    c->agents_affected = u32(s);
    c->expected = blob(s, TEXT_BYTES_MAX, &c->expected_bytes);
    c->received = blob(s, TEXT_BYTES_MAX, &c->received_bytes);
    return c;
}

static void ack(struct sample *s, struct ack *a)
{
    a->operation_id = id(s, true);
    a->outcome = (enum outcome)(rng_u64(&s->rng) % OUTCOME_COUNT);
    a->reason = (enum reason)upto(s, REASON_COUNT - 1);
    a->late = flag(s);
    a->seq = u32(s);
    a->echo_sent_us = clock_time(s);
    a->received_mesh_us = mesh_time(s);
    a->arrival_mesh_us = mesh_time(s);
    a->release_mesh_us = mesh_time(s);
    a->processing_us = u32(s);
    a->queue_depth = u32(s);
    a->clock_error_us = u32(s);
    a->answer = blob(s, ANSWER_BYTES_MAX, &a->answer_bytes);
    a->conflict = flag(s) ? conflict(s) : NULL;
}

static void operate(struct sample *s, struct operate *o)
{
    o->operation_id = id(s, true);
    o->deadline_mesh_us = mesh_time(s);
    o->attempt = u32(s);
    o->target_count = 1 + upto(s, 63);
    struct target *targets = take(s, o->target_count * sizeof(*targets));
    const bool down = flag(s);
    for (uint32_t i = 0; i < o->target_count; i++) {
        targets[i].quota = down ? u32(s) : UINT32_MAX;
        if (!down || s->fill == SAMPLE_FULL) {
            targets[i].lead_us = u32(s);
            targets[i].expected_processing_us = u32(s);
            targets[i].confidence_permille = (uint16_t)upto(s, 1000);
            targets[i].seq = u32(s);
        }
    }
    o->targets = targets;
}

static void group(struct sample *s, struct answer_group *g, uint32_t count)
{
    g->outcome = (enum outcome)upto(s, OUTCOME_COUNT - 1);
    g->reason = (enum reason)upto(s, REASON_COUNT - 1);
    g->hash = number(s, UINT64_MAX);
    g->count = count;
    g->run_count = upto(s, count < AGGREGATE_RUNS_MAX ? count : AGGREGATE_RUNS_MAX);
    if (g->run_count) {
        struct run *runs = take(s, g->run_count * sizeof(*runs));
        uint32_t at = (uint32_t)(rng_u64(&s->rng) % 100);
        for (uint32_t i = 0; i < g->run_count; i++) {
            runs[i] = (struct run){at, at};
            at += 2 + (uint32_t)(rng_u64(&s->rng) % 5000);
        }
        g->runs = runs;
    }
    g->answer = blob(s, 200, &g->answer_bytes);
}

static void aggregate(struct sample *s, struct aggregate_view *a, bool final, bool groups)
{
    uint32_t sum = 0;
    for (unsigned i = OUTCOME_READY; i < OUTCOME_COUNT; i++) {
        a->outcomes[i] = upto(s, 5000);
        sum += a->outcomes[i];
    }
    a->outcomes[OUTCOME_PENDING] = final ? 0 : upto(s, 1000);
    a->targets = sum + a->outcomes[OUTCOME_PENDING];
    uint32_t *const plain[] = {
        &a->sent,          &a->late,           &a->resent,          &a->hedged,
        &a->hedge_wins,    &a->unexpected,     &a->window_hits,     &a->window_eligible,
        &a->predicted,     &a->predicted_50ms, &a->sectors_reached, &a->clusters_reached,
        &a->agents_reached};
    for (size_t i = 0; i < sizeof(plain) / sizeof(plain[0]); i++) {
        *plain[i] = u32(s);
    }
    counts(s, a->reasons, REASON_COUNT);
    counts(s, a->arrival, ARRIVAL_BUCKETS);
    counts(s, a->release, ARRIVAL_BUCKETS);
    counts(s, a->lead_needed, LEAD_BUCKETS);
    uint32_t left = a->targets;
    a->group_count = groups ? upto(s, left < AGGREGATE_GROUPS_MAX ? 0 : AGGREGATE_GROUPS_MAX) : 0;
    struct answer_group *g = a->group_count ? take(s, a->group_count * sizeof(*g)) : NULL;
    for (uint32_t i = 0; i < a->group_count; i++) {
        const uint32_t count = left / 2;
        group(s, &g[i], count);
        left -= count;
    }
    a->groups = g;
    a->other = upto(s, left);
}

static void query(struct sample *s, struct query *q)
{
    q->ref = number(s, UINT64_MAX);
    q->kind = (enum query_kind)(1 + upto(s, QUERY_KIND_COUNT - 2));
    selector(s, &q->selector);
    q->operation_id = id(s, false);
    q->after_key = number(s, UINT64_MAX);
    q->from_start = flag(s);
    q->limit = 1 + upto(s, PAGE_ROWS_MAX - 1);
    q->deadline_mesh_us = mesh_time(s);
}

static void row(struct sample *s, enum row_kind kind, struct page_row *r)
{
    r->key = number(s, UINT64_MAX);
    r->unit = place(s, TIER_AGENT);
    if (kind == ROW_AGENT) {
        r->u.agent.uid = number(s, UINT64_MAX);
        r->u.agent.agent_class = (enum impedance_class)upto(s, CLASS_COUNT - 1);
        r->u.agent.capabilities = number(s, UINT64_MAX);
        r->u.agent.epoch = number(s, 1000);
        r->u.agent.routed_around = flag(s);
        r->u.agent.unwritten = flag(s);
        impedance(s, &r->u.agent.impedance);
    } else if (kind == ROW_SUMMARY) {
        struct summary *y = take(s, sizeof(*y));
        summary(s, y);
        r->u.summary = y;
    } else if (kind == ROW_ANSWER) {
        group(s, &r->u.answer, upto(s, 30));
    } else {
        char *record = take(s, 2000);
        text_fill(s, record, 1999);
        r->u.record.text = record;
        r->u.record.bytes = (uint32_t)strlen(record);
    }
}

static void rows(struct sample *s, unsigned variant, struct rows *r)
{
    static const uint32_t most[] = {PAGE_ROWS_MAX, 16, 128, 20};
    r->ref = number(s, UINT64_MAX);
    r->kind = (enum row_kind)(ROW_AGENT + variant % 4);
    r->total = u32(s);
    r->missing = u32(s);
    r->more = flag(s);
    /* As many as fit a message with every field at its longest: agents are 250 of 512. */
    const uint32_t top = r->kind == ROW_AGENT && s->fill == SAMPLE_FULL ? 250 : most[variant % 4];
    r->row_count = upto(s, s->fill == SAMPLE_FULL ? top : top / 4);
    if (r->row_count) {
        struct page_row *at = take(s, r->row_count * sizeof(*at));
        for (uint32_t i = 0; i < r->row_count; i++) {
            row(s, r->kind, &at[i]);
        }
        r->rows = at;
    }
}

static void report(struct sample *s, struct report *r)
{
    r->operation_id = id(s, true);
    r->strategy = (enum cascade_strategy)upto(s, CASCADE_COUNT - 1);
    r->status = text(s);
    r->response_rate = rate(s);
    r->stragglers = u32(s);
    r->recommendation = text(s);
    r->decision = (enum decision)upto(s, DECISION_COUNT - 1);
    r->decision_reason = text(s);
    r->decision_recommendation = text(s);
    r->confidence = rate(s) - 0.25;
    r->achieved = flag(s);
    r->created_mesh_us = mesh_time(s);
    r->target_mesh_us = mesh_time(s);
    r->finished_mesh_us = mesh_time(s);
    r->window_us = (int64_t)number(s, (uint64_t)TTL_US_MAX);
    r->phase_count = upto(s, PHASES_MAX);
    for (uint32_t i = 0; i < r->phase_count; i++) {
        r->phases[i] = (struct phase_report){.class_mask = upto(s, 63) << 1,
                                             .targets = u32(s),
                                             .ready = u32(s),
                                             .conflicts = u32(s),
                                             .response_rate = rate(s),
                                             .threshold = rate(s),
                                             .success = flag(s)};
    }
    aggregate(s, &r->aggregate, true, true);
}

static void status(struct sample *s, struct mesh_status *t)
{
    summary(s, &t->summary);
    t->mode = (enum mode)upto(s, MODE_COUNT - 1);
    uint32_t *const narrow[] = {&t->sectors,        &t->sectors_up, &t->operations_in_flight,
                                &t->operations_max, &t->waiting,    &t->approvals};
    uint64_t *const wide[] = {&t->operations_done, &t->operations_refused};
    for (size_t i = 0; i < sizeof(narrow) / sizeof(narrow[0]); i++) {
        *narrow[i] = u32(s);
    }
    for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
        *wide[i] = number(s, UINT64_MAX);
    }
    t->started_mesh_us = mesh_time(s);
    t->last_cascade_mesh_us = mesh_time(s);
    t->simulation = flag(s);
    t->store_up = flag(s);
    t->frozen = flag(s);
    t->self = unit_orchestrator();
}

static void sample_log_request(struct sample *s, struct log_request *q)
{
    q->log = (enum log_kind)(1 + upto(s, LOG_KIND_COUNT - 2));
    q->ask = (enum log_ask)(1 + upto(s, LOG_ASK_COUNT - 2));
    q->cursor = number(s, INT64_MAX);
    q->limit = u32(s);
    q->since_us = mesh_time(s);
    q->until_us = mesh_time(s);
    q->priority = (uint32_t)upto(s, CONFLICT_PRIORITY_MAX);
    q->open = flag(s);
    q->newest = flag(s);
    q->agent = flag(s) ? place(s, TIER_AGENT) : (struct unit){0};
    text_fill(s, q->event, sizeof(q->event) - 1);
    text_fill(s, q->subject, sizeof(q->subject) - 1);
    text_fill(s, q->type, sizeof(q->type) - 1);
    text_fill(s, q->actor, sizeof(q->actor) - 1);
}

static void sample_log_page(struct sample *s, struct log_page *p)
{
    memset(p, 0, sizeof(*p));
    p->log = (enum log_kind)(1 + upto(s, LOG_KIND_COUNT - 2));
    p->ask = (enum log_ask)(1 + upto(s, LOG_ASK_COUNT - 2));
    p->cursor = number(s, UINT64_MAX);
    p->last = number(s, UINT64_MAX);
    text_fill(s, p->head, sizeof(p->head) - 1);
    text_fill(s, p->finding, sizeof(p->finding) - 1);
    p->count = (uint32_t)upto(s, LOG_PAGE_ROWS);
    for (uint32_t i = 0; i < p->count; i++) {
        struct log_entry *e = &p->entries[i];
        e->seq = number(s, UINT64_MAX);
        e->at_us = mesh_time(s);
        e->priority = u32(s);
        text_fill(s, e->id, sizeof(e->id) - 1);
        text_fill(s, e->event, sizeof(e->event) - 1);
        text_fill(s, e->subject, sizeof(e->subject) - 1);
        text_fill(s, e->agent, sizeof(e->agent) - 1);
        text_fill(s, e->type, sizeof(e->type) - 1);
        text_fill(s, e->actor, sizeof(e->actor) - 1);
        text_fill(s, e->body, sizeof(e->body) - 1);
        text_fill(s, e->prev, sizeof(e->prev) - 1);
        text_fill(s, e->hash, sizeof(e->hash) - 1);
    }
}

static void sample_conflict(struct sample *s, struct conflict_report *r)
{
    memset(r, 0, sizeof(*r));
    r->id = number(s, UINT64_MAX) | 1u;
    r->operation_id = id(s, true);
    r->agent = place(s, TIER_AGENT);
    r->uid = number(s, UINT64_MAX);
    r->at_mesh_us = mesh_time(s);
    r->lamport = number(s, UINT64_MAX);
    r->type = (enum conflict_type)upto(s, CONFLICT_TYPE_COUNT - 1);
    r->context_hash = id(s, false);
    r->divergence_depth = u32(s);
    r->agents_affected = u32(s);
    r->incident = (uint8_t)upto(s, FAILURE_CLASS_COUNT - 1);
    r->event = r->incident != 0 ? (uint8_t)(1 + upto(s, INCIDENT_EVENT_COUNT - 2)) : 0;
    r->expected_bytes = (uint16_t)upto(s, CONFLICT_VALUE_MAX);
    r->received_bytes = (uint16_t)upto(s, CONFLICT_VALUE_MAX);
    memset(r->expected, 0xe5, r->expected_bytes);
    memset(r->received, 7, r->received_bytes);
    text_fill(s, r->action, sizeof(r->action) - 1);
}

static struct command *command(struct sample *s, unsigned variant)
{
    struct command *c = take(s, sizeof(*c));
    c->ref = number(s, UINT64_MAX);
    c->kind = (enum command_kind)(COMMAND_STATUS + variant % (COMMAND_KIND_COUNT - 1));
    if (c->kind == COMMAND_SUBMIT || c->kind == COMMAND_WHEN) {
        sample_operation(s, &c->operation);
        c->operation.id = (struct id128){{0}};
        c->operation.created_mesh_us = 0;
        memset(c->operation.payload_hash, 0, sizeof(c->operation.payload_hash));
    } else if (c->kind == COMMAND_QUERY || c->kind == COMMAND_ROUTE || c->kind == COMMAND_MOVE) {
        query(s, &c->query);
        c->on = c->kind != COMMAND_QUERY && flag(s);
        if (c->kind == COMMAND_MOVE) {
            text_fill(s, c->name, sizeof(c->name) - 1);
        }
    } else if (c->kind == COMMAND_SCALE) {
        query(s, &c->query);
        c->on = flag(s);
        c->scale = flag(s)   ? (struct scale_request){SCALE_ADD, 1000, 20, 300 * US_PER_S}
                   : flag(s) ? (struct scale_request){SCALE_REMOVE, upto(s, 9), 0, 60 * US_PER_S}
                             : (struct scale_request){.action = SCALE_SHOW};
    } else if (c->kind == COMMAND_CANCEL || c->kind == COMMAND_APPROVE) {
        c->operation_id = id(s, true);
        c->on = c->kind == COMMAND_APPROVE && flag(s);
    } else if (c->kind == COMMAND_FREEZE || c->kind == COMMAND_THAW || c->kind == COMMAND_BREAKER ||
               c->kind == COMMAND_HEAL || c->kind == COMMAND_ISOLATE) {
        c->scope = place(s, TIER_CLUSTER);
        text_fill(s, c->name, sizeof(c->name) - 1);
        c->on = flag(s);
    } else if (command_has_id(c->kind)) {
        text_fill(s, c->name, sizeof(c->name) - 1);
        c->on = flag(s);
    } else if (c->kind == COMMAND_LOG) {
        sample_log_request(s, &c->log);
    }
    if (c->kind == COMMAND_RESOLVE || c->kind == COMMAND_ISOLATE) {
        text_fill(s, c->decision.conflict, sizeof(c->decision.conflict) - 1);
        text_fill(s, c->decision.note, sizeof(c->decision.note) - 1);
        c->decision.keep = (enum conflict_keep)upto(s, KEEP_COUNT - 1);
    }
    return c;
}

static struct reply *reply(struct sample *s, unsigned variant)
{
    struct reply *r = take(s, sizeof(*r));
    r->ref = number(s, UINT64_MAX);
    r->kind = (enum reply_kind)(REPLY_ERROR + variant % (REPLY_KIND_COUNT - 1));
    r->final = flag(s);
    r->text = "";
    if (r->kind == REPLY_LINE) {
        r->text = text(s);
    } else if (r->kind == REPLY_HELD) {
        r->operation_id = id(s, true);
        r->reason = (enum reason)upto(s, REASON_COUNT - 1);
        r->text = text(s);
    } else if (r->kind == REPLY_ERROR) {
        r->reason = (enum reason)upto(s, REASON_COUNT - 1);
        r->text = text(s);
    } else if (r->kind == REPLY_ACCEPTED) {
        r->operation_id = id(s, true);
    } else if (r->kind == REPLY_PROGRESS) {
        r->operation_id = id(s, true);
        aggregate(s, &r->progress, false, false);
    } else if (r->kind == REPLY_OPERATION) {
        struct report *p = take(s, sizeof(*p));
        report(s, p);
        r->report = p;
    } else if (r->kind == REPLY_ROWS) {
        struct rows *p = take(s, sizeof(*p));
        rows(s, variant / (REPLY_KIND_COUNT - 1), p);
        r->rows = p;
    } else if (r->kind == REPLY_STATUS) {
        struct mesh_status *p = take(s, sizeof(*p));
        status(s, p);
        r->status = p;
    } else if (r->kind == REPLY_LOG) {
        struct log_page *p = take(s, sizeof(*p));
        sample_log_page(s, p);
        r->log = p;
    } else if (r->kind == REPLY_WHEN) {
        r->when = (struct when_reply){.targets = u32(s),
                                      .lead_us_p50 = mesh_time(s),
                                      .lead_us_p95 = mesh_time(s),
                                      .lead_us_p99 = mesh_time(s),
                                      .wanted = rate(s),
                                      .lead_us_wanted = mesh_time(s),
                                      .confidence = rate(s),
                                      .ready_expected = rate(s)};
    }
    return r;
}

static void prepared(struct sample *s, struct msg *m)
{
    struct prepared *p = take(s, sizeof(*p));
    p->correlation_id = id(s, true);
    p->level = flag(s) ? TIER_CLUSTER : TIER_SECTOR;
    p->sectors_reached = u32(s);
    p->clusters_reached = u32(s);
    p->targets = u32(s);
    counts(s, p->lead_counts, LEAD_BUCKETS);
    m->u.prepared = p;
}

static void prepare(struct sample *s, struct msg *m)
{
    struct prepare *p = take(s, sizeof(*p));
    p->correlation_id = id(s, true);
    p->level = flag(s) ? TIER_CLUSTER : TIER_SECTOR;
    p->deadline_mesh_us = mesh_time(s);
    selector(s, &p->selector);
    p->payload_weight = rate(s);
    m->u.prepare = p;
}

/* The messages of agents and hosts. */
static void sample_agent(struct sample *s, struct msg *m)
{
    if (m->type == MSG_HELLO) {
        m->u.hello = (struct hello){.uid = number(s, UINT64_MAX),
                                    .incarnation = number(s, UINT64_MAX),
                                    .agent_class = (enum impedance_class)upto(s, CLASS_COUNT - 1),
                                    .capabilities = capabilities(s),
                                    .context_hash = id(s, false)};
        static const char *const facts[] = {
            NULL, "os=debian12",
            "arch=x86_64 cpus=64 gpu=h100 host=node-17 kernel=6.1.0-18-amd64 memory_mib=524288 "
            "rack=0123456789012345678901234567890123456789012345678901234567890123 "
            "row=0123456789012345678901234567890123456789012345678901234567890123 "
            "z=12345678901234567890123456789012"};
        m->u.hello.facts = facts[upto(s, 2)];
    } else if (m->type == MSG_WELCOME) {
        m->u.welcome = (struct welcome){.accepted = flag(s),
                                        .reason = (enum reason)upto(s, REASON_COUNT - 1),
                                        .incarnation = number(s, UINT64_MAX),
                                        .beat_us = mesh_time(s),
                                        .has_content = flag(s)};
        for (size_t i = 0; m->u.welcome.has_content && i < sizeof(m->u.welcome.content); i++) {
            m->u.welcome.content[i] = (uint8_t)number(s, UINT8_MAX);
        }
    } else if (m->type == MSG_HEARTBEAT) {
        m->u.heartbeat.uid = number(s, UINT64_MAX);
        m->u.heartbeat.incarnation = number(s, UINT64_MAX);
        impedance(s, &m->u.heartbeat.impedance);
    } else if (m->type == MSG_BEAT) {
        struct beat *b = take(s, sizeof(*b));
        b->has_summary = flag(s);
        if (b->has_summary) {
            summary(s, &b->summary);
        }
        if (flag(s)) {
            b->orders.epoch = 1 + upto(s, 1000);
            b->orders.seq = 1 + upto(s, 1000);
            b->orders.hash[3] = (uint8_t)upto(s, 255);
        }
        b->orders_missed = flag(s); /* also by one that has heard no order yet */
        m->u.beat = b;
    } else if (m->type == MSG_BEAT_REPLY) {
        m->u.beat_reply =
            (struct beat_reply){.time = {.t1_us = clock_time(s),
                                         .t2_us = clock_time(s),
                                         .mesh_offset_us = clock_time(s),
                                         .error_us = flag(s) ? mesh_time(s) : INT64_MAX},
                                .mode = (enum mode)upto(s, MODE_COUNT - 1),
                                .circuit_open_mask = number(s, UINT64_MAX),
                                .known = flag(s)};
        bool known = flag(s);
        m->u.beat_reply.time.unix_ahead_us = known ? clock_time(s) : 0;
        m->u.beat_reply.time.unix_error_us =
            known ? (int64_t)number(s, (uint64_t)TTL_US_MAX) : INT64_MAX;
        for (unsigned c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
            m->u.beat_reply.excluded[c] = number(s, UINT64_MAX);
        }
    } else if (m->type == MSG_HEAL) {
        m->u.heal.target = place(s, TIER_AGENT);
    } else if (m->type == MSG_HOST_REPORT) {
        m->u.host_report = (struct host_report){.process_start_us = number(s, UINT64_MAX),
                                                .agents_hosted = u32(s),
                                                .agents_running = u32(s),
                                                .restarts = u32(s),
                                                .loop_lag_us = u32(s)};
    }
}

static void sample_relay(struct sample *s, struct msg *m)
{
    if (m->type == MSG_RELAY) {
        struct operation *o = take(s, sizeof(*o));
        sample_operation(s, o);
        m->u.relay = (struct relay){.hops = upto(s, 8), .operation = o};
        return;
    }
    struct relay_ack *r = &m->u.relay_ack;
    r->message_id = id(s, true);
    r->target = place(s, TIER_AGENT);
    r->reached = u32(s);
    r->failed = u32(s);
    r->outcome = (enum outcome)upto(s, OUTCOME_COUNT - 1);
    r->reason = (enum reason)upto(s, REASON_COUNT - 1);
    r->answer = blob(s, ANSWER_BYTES_MAX, &r->answer_bytes);
}

static void sample_result(struct sample *s, struct msg *m)
{
    struct result *r = take(s, sizeof(*r));
    r->operation_id = id(s, true);
    r->final = flag(s);
    aggregate(s, &r->aggregate, r->final, r->final);
    r->unknown = r->final && r->aggregate.targets == 0;
    m->u.result = r;
}

void sample_msg(struct sample *s, enum msg_type type, unsigned variant, struct msg *ret)
{
    s->used = 0;
    memset(ret, 0, sizeof(*ret));
    ret->type = type;
    ret->from = place(s, TIER_CLUSTER);
    ret->to = place(s, TIER_SECTOR);
    if (type == MSG_OPERATE) {
        operate(s, &ret->u.operate);
    } else if (type == MSG_ACK) {
        ack(s, &ret->u.ack);
    } else if (type == MSG_RESULT) {
        sample_result(s, ret);
    } else if (type == MSG_CANCEL || type == MSG_RESUME) {
        ret->u.cancel.operation_id = id(s, true);
    } else if (type == MSG_PREPARE) {
        prepare(s, ret);
    } else if (type == MSG_PREPARED) {
        prepared(s, ret);
    } else if (type == MSG_QUERY) {
        struct query *q = take(s, sizeof(*q));
        query(s, q);
        ret->u.query = q;
    } else if (type == MSG_ROWS) {
        rows(s, variant, &ret->u.rows);
    } else if (type == MSG_CIRCUIT || type == MSG_FREEZE || type == MSG_THAW) {
        sample_notice(s, ret);
    } else if (type == MSG_RELAY || type == MSG_RELAY_ACK) {
        sample_relay(s, ret);
    } else if (type == MSG_CONFLICT) {
        struct conflict_report *r = take(s, sizeof(*r));
        sample_conflict(s, r);
        ret->u.conflict = r;
    } else if (type == MSG_CONFLICT_ACK) {
        ret->u.conflict_ack = (struct conflict_ack){.id = number(s, UINT64_MAX),
                                                    .agent = place(s, TIER_AGENT),
                                                    .lamport = number(s, UINT64_MAX)};
    } else if (type == MSG_ISOLATE) {
        ret->u.isolate = sample_isolate(s);
    } else if (type == MSG_CONTENT) {
        static const uint8_t body[] = "what it is to know";
        bool ask = flag(s);
        ret->u.content = (struct content_word){.ask = ask,
                                               .holder = place(s, TIER_AGENT),
                                               .bytes = ask ? 0 : sizeof(body),
                                               .body = ask ? NULL : body};
        memset(ret->u.content.hash, (int)upto(s, 255), sizeof(ret->u.content.hash));
    } else if (type == MSG_ORDER) {
        sample_order(s, ret);
    } else if (type == MSG_MOVE) {
        const struct unit u = place(s, TIER_CLUSTER);
        ret->u.move =
            (struct move){number(s, UINT64_MAX), u, place(s, TIER_CLUSTER), 5, 6, flag(s)};
    } else if (type == MSG_GROW) {
        const struct unit u = place(s, TIER_CLUSTER);
        ret->u.grow =
            (struct grow){number(s, UINT64_MAX - 1) + 1, u, 7, 5, 60 * US_PER_S, upto(s, 9)};
    } else if (type == MSG_COMMAND) {
        ret->u.command = command(s, variant);
    } else if (type == MSG_REPLY) {
        ret->u.reply = reply(s, variant);
    } else {
        sample_agent(s, ret);
    }
}
