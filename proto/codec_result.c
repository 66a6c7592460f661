/* Results: answer groups, aggregates, and the report of a finished operation. A tier adds what it
 * is told without asking again, so an aggregate that does not add up is refused here and can never
 * reach the assert that guards the sum.
 *
 * Bounds: AGGREGATE_GROUPS_MAX groups, AGGREGATE_RUNS_MAX runs in each, ANSWER_BYTES_MAX an answer,
 * PHASES_MAX phases; above: refused. */
#include "proto/codec_parts.h"

#include <assert.h>
#include <string.h>

/* Linear indexes of any topology are below this. */
#define INDEX_END ((uint64_t)SECTORS_MAX * CLUSTERS_PER_SECTOR_MAX * AGENTS_PER_CLUSTER_MAX)

bool group_put(struct put *put, const struct answer_group *g, Mesh__AnswerGroup *ret)
{
    assert(put && g && ret);
    if (g->run_count > AGGREGATE_RUNS_MAX || g->answer_bytes > ANSWER_BYTES_MAX) {
        return false;
    }
    mesh__answer_group__init(ret);
    ret->outcome = (Mesh__Outcome)g->outcome;
    ret->reason = (Mesh__Reason)g->reason;
    ret->hash = g->hash;
    ret->count = g->count;
    ret->answer = value_bytes(g->answer, g->answer_bytes);
    if (g->run_count == 0) {
        return true;
    }
    ret->runs = put_alloc(put, (size_t)2 * g->run_count * sizeof(*ret->runs));
    if (!ret->runs) {
        return false;
    }
    for (uint32_t i = 0; i < g->run_count; i++) {
        if (g->runs[i].last < g->runs[i].first) {
            return false;
        }
        ret->runs[ret->n_runs++] = g->runs[i].first;
        ret->runs[ret->n_runs++] = g->runs[i].last - g->runs[i].first;
    }
    return true;
}

/* Within every topology, and together no more than the group's count. */
static enum codec_verdict runs_get(const struct get *get, const Mesh__AnswerGroup *w,
                                   struct answer_group *ret)
{
    const uint32_t count = (uint32_t)(w->n_runs / 2);
    ret->run_count = count;
    ret->runs = NULL;
    if (count == 0) {
        return CODEC_OK;
    }
    struct run *runs = arena_alloc(get->arena, count * sizeof(*runs));
    if (!runs) {
        return CODEC_NO_ROOM;
    }
    uint64_t covered = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t first = w->runs[2u * i];
        const uint64_t last = first + w->runs[2u * i + 1u];
        covered += last - first + 1;
        if (last >= INDEX_END || covered > w->count) {
            return CODEC_BAD_RANGE;
        }
        runs[i] = (struct run){.first = (uint32_t)first, .last = (uint32_t)last};
    }
    ret->runs = runs;
    return CODEC_OK;
}

enum codec_verdict group_get(const struct get *get, const Mesh__AnswerGroup *w,
                             struct answer_group *ret)
{
    assert(get && w && ret);
    if (!value_enum((int)w->outcome, OUTCOME_COUNT) || !value_enum((int)w->reason, REASON_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (w->n_runs % 2 != 0 || w->n_runs / 2 > AGGREGATE_RUNS_MAX ||
        w->answer.len > ANSWER_BYTES_MAX) {
        return CODEC_BAD_RANGE;
    }
    ret->outcome = (enum outcome)w->outcome;
    ret->reason = (enum reason)w->reason;
    ret->hash = w->hash;
    ret->count = w->count;
    ret->answer_bytes = (uint32_t)w->answer.len;
    ret->answer = w->answer.len ? w->answer.data : NULL;
    return runs_get(get, w, ret);
}

static bool groups_put(struct put *put, const struct aggregate_view *a, Mesh__Aggregate *ret)
{
    if (a->group_count > AGGREGATE_GROUPS_MAX) {
        return false;
    }
    if (a->group_count == 0) {
        return true;
    }
    Mesh__AnswerGroup *groups = put_alloc(put, a->group_count * sizeof(*groups));
    ret->groups = put_alloc(put, a->group_count * sizeof(*ret->groups));
    if (!groups || !ret->groups) {
        return false;
    }
    for (uint32_t i = 0; i < a->group_count; i++) {
        if (!group_put(put, &a->groups[i], &groups[i])) {
            return false;
        }
        ret->groups[ret->n_groups++] = &groups[i];
    }
    return true;
}

bool aggregate_put(struct put *put, const struct aggregate_view *a, Mesh__Aggregate *ret)
{
    assert(put && a && ret);
    mesh__aggregate__init(ret);
    ret->targets = a->targets;
    ret->sent = a->sent;
    ret->late = a->late;
    ret->resent = a->resent;
    ret->hedged = a->hedged;
    ret->hedge_wins = a->hedge_wins;
    ret->unexpected = a->unexpected;
    ret->window_hits = a->window_hits;
    ret->window_eligible = a->window_eligible;
    ret->predicted = a->predicted;
    ret->predicted_50ms = a->predicted_50ms;
    ret->sectors_reached = a->sectors_reached;
    ret->clusters_reached = a->clusters_reached;
    ret->agents_reached = a->agents_reached;
    ret->other = a->other;
    return sparse_alloc(put, a->outcomes, OUTCOME_COUNT, &ret->n_outcomes, &ret->outcomes) &&
           sparse_alloc(put, a->reasons, REASON_COUNT, &ret->n_reasons, &ret->reasons) &&
           sparse_alloc(put, a->arrival, ARRIVAL_BUCKETS, &ret->n_arrival, &ret->arrival) &&
           sparse_alloc(put, a->release, ARRIVAL_BUCKETS, &ret->n_release, &ret->release) &&
           sparse_alloc(put, a->lead_needed, LEAD_BUCKETS, &ret->n_lead_needed,
                        &ret->lead_needed) &&
           groups_put(put, a, ret);
}

/* The law of results: final states add up to the targets; groups hold no more than these. */
static bool aggregate_adds_up(const struct aggregate_view *a, bool final)
{
    uint64_t sum = 0;
    for (unsigned i = OUTCOME_READY; i < OUTCOME_COUNT; i++) {
        sum += a->outcomes[i];
    }
    uint64_t grouped = a->other;
    for (uint32_t i = 0; i < a->group_count; i++) {
        grouped += a->groups[i].count;
    }
    if (grouped > a->targets) {
        return false;
    }
    return final ? sum == a->targets && a->outcomes[OUTCOME_PENDING] == 0
                 : sum + a->outcomes[OUTCOME_PENDING] <= a->targets;
}

static enum codec_verdict groups_get(const struct get *get, const Mesh__Aggregate *w,
                                     struct aggregate_view *ret)
{
    if (w->n_groups > AGGREGATE_GROUPS_MAX) {
        return CODEC_TOO_MANY;
    }
    ret->group_count = (uint32_t)w->n_groups;
    ret->groups = NULL;
    if (w->n_groups == 0) {
        return CODEC_OK;
    }
    struct answer_group *groups = arena_alloc(get->arena, w->n_groups * sizeof(*groups));
    if (!groups) {
        return CODEC_NO_ROOM;
    }
    for (size_t i = 0; i < w->n_groups; i++) {
        const enum codec_verdict verdict = group_get(get, w->groups[i], &groups[i]);
        if (verdict != CODEC_OK) {
            return verdict;
        }
    }
    ret->groups = groups;
    return CODEC_OK;
}

enum codec_verdict aggregate_get(const struct get *get, const Mesh__Aggregate *w, bool final,
                                 struct aggregate_view *ret)
{
    assert(get && w && ret);
    if (!sparse_get(w->outcomes, w->n_outcomes, ret->outcomes, OUTCOME_COUNT) ||
        !sparse_get(w->reasons, w->n_reasons, ret->reasons, REASON_COUNT) ||
        !sparse_get(w->arrival, w->n_arrival, ret->arrival, ARRIVAL_BUCKETS) ||
        !sparse_get(w->release, w->n_release, ret->release, ARRIVAL_BUCKETS) ||
        !sparse_get(w->lead_needed, w->n_lead_needed, ret->lead_needed, LEAD_BUCKETS)) {
        return CODEC_BAD_RANGE;
    }
    ret->targets = w->targets;
    ret->sent = w->sent;
    ret->late = w->late;
    ret->resent = w->resent;
    ret->hedged = w->hedged;
    ret->hedge_wins = w->hedge_wins;
    ret->unexpected = w->unexpected;
    ret->window_hits = w->window_hits;
    ret->window_eligible = w->window_eligible;
    ret->predicted = w->predicted;
    ret->predicted_50ms = w->predicted_50ms;
    ret->sectors_reached = w->sectors_reached;
    ret->clusters_reached = w->clusters_reached;
    ret->agents_reached = w->agents_reached;
    ret->other = w->other;
    const enum codec_verdict verdict = groups_get(get, w, ret);
    if (verdict != CODEC_OK) {
        return verdict;
    }
    return aggregate_adds_up(ret, final) ? CODEC_OK : CODEC_BAD_RANGE;
}

bool result_put(struct put *put, const struct msg *msg)
{
    const struct result *r = msg->u.result;
    if (!r) {
        return false;
    }
    Mesh__Aggregate aggregate;
    Mesh__Result w = MESH__RESULT__INIT;
    w.message_id = value_id(&r->operation_id);
    w.final = r->final;
    w.unknown = r->unknown;
    w.people_late = r->people_late;
    w.aggregate = &aggregate;
    return aggregate_put(put, &r->aggregate, &aggregate) && put_pack(put, &w.base);
}

enum codec_verdict result_get(const struct get *get, const ProtobufCMessage *message,
                              struct msg *ret)
{
    const Mesh__Result *w = (const Mesh__Result *)message;
    if (w->message_id.len == 0 || !w->aggregate) {
        return CODEC_MISSING;
    }
    struct result *result = arena_alloc(get->arena, sizeof(*result));
    if (!result) {
        return CODEC_NO_ROOM;
    }
    ret->u.result = result;
    result->final = w->final;
    if (!value_id_get(w->message_id, &result->operation_id)) {
        return CODEC_BAD_RANGE;
    }
    result->unknown = w->unknown;
    if (w->unknown && (!w->final || w->aggregate->targets != 0)) {
        return CODEC_BAD_RANGE;
    }
    result->people_late = w->people_late;
    enum codec_verdict v = aggregate_get(get, w->aggregate, w->final, &result->aggregate);
    bool more = result->people_late > result->aggregate.outcomes[OUTCOME_TIMEOUT_EXECUTION];
    return v == CODEC_OK && more ? CODEC_BAD_RANGE : v;
}

static bool phases_put(struct put *put, const struct report *r, Mesh__CascadeResult *ret)
{
    mesh__cascade_result__init(ret);
    ret->strategy = (Mesh__CascadeStrategy)r->strategy;
    if (r->phase_count > PHASES_MAX) {
        return false;
    }
    Mesh__PhaseResult *phases = put_alloc(put, PHASES_MAX * sizeof(*phases));
    ret->phase_results = put_alloc(put, PHASES_MAX * sizeof(*ret->phase_results));
    if (!phases || !ret->phase_results) {
        return false;
    }
    for (uint32_t i = 0; i < r->phase_count; i++) {
        const struct phase_report *p = &r->phases[i];
        mesh__phase_result__init(&phases[i]);
        phases[i].class_mask = p->class_mask;
        phases[i].targets = p->targets;
        phases[i].ready = p->ready;
        phases[i].conflicts = p->conflicts;
        phases[i].response_rate = p->response_rate;
        phases[i].threshold = p->threshold;
        phases[i].success = p->success;
        ret->phase_results[ret->n_phase_results++] = &phases[i];
    }
    return true;
}

/* Text is borrowed; NULL is sent as empty. */
static char *text_of(const char *text)
{
    return text ? (char *)(uintptr_t)text : (char *)(uintptr_t) "";
}

static bool report_texts_valid(const struct report *r)
{
    return value_text(r->status, TEXT_BYTES_MAX - 1) &&
           value_text(r->recommendation, TEXT_BYTES_MAX - 1) &&
           value_text(r->decision_reason, TEXT_BYTES_MAX - 1) &&
           value_text(r->decision_recommendation, TEXT_BYTES_MAX - 1);
}

bool report_put(struct put *put, const struct report *r, Mesh__Report *ret)
{
    assert(put && r && ret);
    Mesh__GatherResult *gather = put_alloc(put, sizeof(*gather));
    Mesh__QuorumResult *quorum = put_alloc(put, sizeof(*quorum));
    Mesh__CascadeResult *cascade = put_alloc(put, sizeof(*cascade));
    Mesh__Aggregate *aggregate = put_alloc(put, sizeof(*aggregate));
    if (!gather || !quorum || !cascade || !aggregate || !report_texts_valid(r)) {
        return false;
    }
    mesh__gather_result__init(gather);
    gather->status = text_of(r->status);
    gather->response_rate = r->response_rate;
    gather->stragglers = r->stragglers;
    gather->recommendation = text_of(r->recommendation);
    gather->aggregate = aggregate;
    mesh__quorum_result__init(quorum);
    quorum->achieved = r->achieved;
    quorum->decision = (Mesh__Decision)r->decision;
    quorum->reason = text_of(r->decision_reason);
    quorum->recommendation = text_of(r->decision_recommendation);
    quorum->confidence = r->confidence;
    mesh__report__init(ret);
    ret->message_id = value_id(&r->operation_id);
    ret->gather = gather;
    ret->quorum = quorum;
    ret->cascade = cascade;
    ret->created_at = r->created_mesh_us;
    ret->target_arrival_time = r->target_mesh_us;
    ret->finished_at = r->finished_mesh_us;
    ret->window_ms = value_ms(r->window_us);
    return aggregate_put(put, &r->aggregate, aggregate) && phases_put(put, r, cascade);
}

static enum codec_verdict phases_get(const Mesh__CascadeResult *w, struct report *ret)
{
    if (!value_enum((int)w->strategy, CASCADE_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (w->n_phase_results > PHASES_MAX) {
        return CODEC_TOO_MANY;
    }
    ret->strategy = (enum cascade_strategy)w->strategy;
    ret->phase_count = (uint32_t)w->n_phase_results;
    for (size_t i = 0; i < w->n_phase_results; i++) {
        const Mesh__PhaseResult *p = w->phase_results[i];
        if (!value_rate(p->response_rate, 0, 1) || !value_rate(p->threshold, 0, 1) ||
            (p->class_mask & ~CLASS_MASK_ALL) != 0) {
            return CODEC_BAD_RANGE;
        }
        ret->phases[i] = (struct phase_report){.class_mask = p->class_mask,
                                               .targets = p->targets,
                                               .ready = p->ready,
                                               .conflicts = p->conflicts,
                                               .response_rate = p->response_rate,
                                               .threshold = p->threshold,
                                               .success = p->success};
    }
    return CODEC_OK;
}

enum codec_verdict report_get(const struct get *get, const Mesh__Report *w, struct report *ret)
{
    assert(get && w && ret);
    *ret = (struct report){0};
    if (w->message_id.len == 0 || !w->gather || !w->gather->aggregate || !w->quorum ||
        !w->cascade) {
        return CODEC_MISSING;
    }
    if (!value_enum((int)w->quorum->decision, DECISION_COUNT)) {
        return CODEC_BAD_ENUM;
    }
    if (!value_id_get(w->message_id, &ret->operation_id) || !value_time(w->created_at) ||
        !value_time(w->target_arrival_time) || !value_time(w->finished_at) ||
        !value_us_get(w->window_ms, TTL_US_MAX, &ret->window_us) ||
        !value_rate(w->gather->response_rate, 0, 1) || !value_rate(w->quorum->confidence, -1, 1)) {
        return CODEC_BAD_RANGE;
    }
    ret->status = w->gather->status;
    ret->response_rate = w->gather->response_rate;
    ret->stragglers = w->gather->stragglers;
    ret->recommendation = w->gather->recommendation;
    ret->decision = (enum decision)w->quorum->decision;
    ret->decision_reason = w->quorum->reason;
    ret->decision_recommendation = w->quorum->recommendation;
    ret->confidence = w->quorum->confidence;
    ret->achieved = w->quorum->achieved;
    ret->created_mesh_us = w->created_at;
    ret->target_mesh_us = w->target_arrival_time;
    ret->finished_mesh_us = w->finished_at;
    if (!report_texts_valid(ret)) {
        return CODEC_BAD_TEXT;
    }
    const enum codec_verdict verdict = phases_get(w->cascade, ret);
    return verdict != CODEC_OK ? verdict
                               : aggregate_get(get, w->gather->aggregate, true, &ret->aggregate);
}
