/* Operations that begin here: a console's command becomes a sealed operation, is steered through
 * the phases of its cascade and ends in one report. Used by the orchestrator for the mesh and by a
 * sector for what lies wholly within it.
 *
 * The payload is never kept: the first sealed operation carries it under the id that the console is
 * told, later phases name that one (`payload_of`). T is chosen from merged histograms of the lead
 * times that the selected agents need, O(children). Every phase is a gather of its own; their
 * aggregates are added up in the slab.
 *
 * Bounds: origins_max operations at once; one more is refused naming the pool "operations". Done
 * ones keep their place (queries name them by the first id) until it is needed. */
#include "core/histogram.h"
#include "core/hub.h"
#include "core/hub_resume.h"
#include "core/hub_span.h"
#include "core/num.h"
#include "core/quorum.h"
#include "core/schedule.h"
#include "core/text.h"
#include <assert.h>
#include <string.h>

#define TIMEOUT_DEFAULT_US (5ll * US_PER_S)
#define WINDOW_DEFAULT_US  (500ll * US_PER_MS)
#define TTL_DEFAULT_US     (30ll * US_PER_S)
#define TTL_GRACE_US       (2ll * US_PER_S) /* beyond the timeout, where that alone was given */

/* --- admission ---------------------------------------------------------------------------------
 */

/* NULL, or what is wrong with the numbers of a template. */
static const char *check_template(const struct operation *op)
{
    if (op->action[0] == '\0' || memchr(op->action, '\0', ACTION_MAX) == NULL) {
        return "action: 1 to 31 characters are needed";
    }
    if (op->priority >= PRIORITY_COUNT) {
        return "priority: 0 to 3";
    }
    if (op->payload_bytes > PAYLOAD_BYTES_MAX) {
        return "payload: 32768 bytes at most inline";
    }
    if (op->ttl_us < 0 || op->ttl_us > TTL_US_MAX) {
        return "ttl: 1 us to 24 h";
    }
    if (op->timeout_us < 0 || op->timeout_us > TTL_US_MAX) {
        return "timeout: 1 us to 24 h";
    }
    if (op->window_us < 0 || op->window_us > TTL_US_MAX) {
        return "window: 0 to 24 h";
    }
    if (!(op->minimum_response_rate >= 0.0 && op->minimum_response_rate <= 1.0)) {
        return "minimum response rate: 0 to 1";
    }
    if (!(op->payload_weight >= 0.0 && op->payload_weight <= 1000.0)) {
        return "payload weight: 0 to 1000";
    }
    if (op->timing < TIMING_SOON || op->timing >= TIMING_COUNT || op->strategy < CASCADE_NONE ||
        op->strategy >= CASCADE_COUNT) {
        return "timing or strategy: unknown value";
    }
    return NULL;
}

static bool everyone_soon(const struct operation *op)
{
    return op->selector.class_mask == 0 && op->strategy == CASCADE_NONE &&
           op->timing == TIMING_SOON;
}

/* People are left out of anything timed unless they were selected on purpose. */
static uint32_t target_classes(const struct operation *op)
{
    if (op->selector.class_mask != 0 || everyone_soon(op)) {
        return op->selector.class_mask;
    }
    return CLASS_MASK_ALL & ~(1u << CLASS_F_HUMAN);
}

struct refusal {
    enum reason reason;
    const char *text;
    bool waits; /* where there is somebody to keep it */
};

/* A submission on its way in. */
struct entry {
    const struct msg *msg;
    struct id128 id; /* zero: a new one */
    bool approved;
    uint32_t targets;
    char text[TEXT_BYTES_MAX]; /* of a refusal */
};

static struct refusal judge_mode(const struct hub *h, const struct entry *e)
{
    const char *why = NULL;
    const struct mode_case c = {.operation = &e->msg->u.command->operation,
                                .targets = e->targets,
                                .agents = h->topology->agents,
                                .human = e->msg->from.tier == TIER_CONSOLE,
                                .approved = e->approved};
    enum mode_verdict v = mode_judge(h->mode, &c, &why);
    return (struct refusal){.reason = v == MODE_ADMITS ? REASON_NONE : REASON_MODE,
                            .text = why,
                            .waits = v == MODE_WAITS || v == MODE_APPROVAL};
}

static struct refusal admit(struct hub *h, const struct entry *e)
{
    const struct operation *op = &e->msg->u.command->operation;
    const char *why = check_template(op);
    if (why != NULL) {
        return (struct refusal){.reason = REASON_INVALID, .text = why};
    }
    if (!hub_in_scope(h, &op->selector)) {
        return (struct refusal){.reason = REASON_NOT_MINE,
                                .text = "a sector serves only places that lie wholly within it"};
    }
    if (op->unknown_capability) {
        return (struct refusal){.reason = REASON_CAPABILITY,
                                .text = "it requires a capability that this mesh does not have"};
    }
    if (e->targets == 0) {
        return (struct refusal){.reason = REASON_INVALID,
                                .text = "the selector matches no agent of the topology"};
    }
    if (!meshtime_ready(&h->time)) {
        return (struct refusal){.reason = REASON_MODE,
                                .text = "no mesh time yet: the orchestrator was never heard"};
    }
    if (op->timing != TIMING_SOON && op->target_mesh_us > 0 &&
        op->target_mesh_us <= hub_mesh_now(h)) {
        return (struct refusal){.reason = REASON_INVALID, .text = "target time: it has passed"};
    }
    if (h->settling) {
        return (struct refusal){.reason = REASON_FROZEN,
                                .text = "starting: what was frozen, and what ran, is being read",
                                .waits = true};
    }
    if (h->frozen) {
        return (struct refusal){.reason = REASON_FROZEN, .text = "frozen: thaw first"};
    }
    struct refusal mode = judge_mode(h, e);
    if (mode.reason != REASON_NONE) {
        return mode;
    }
    if (h->origins_live >= turns_pool_share(h->origins_max, op->priority)) {
        return (struct refusal){
            .reason = REASON_OVERLOAD,
            .text = h->origins_live >= h->origins_max
                        ? "pool \"operations\": all are in flight"
                        : "pool \"operations\": the part of this priority is in flight"};
    }
    if (h->mesh_open || !breaker_allow(&h->breaker)) {
        return (struct refusal){.reason = REASON_BREAKER, .text = "the circuit breaker is open"};
    }
    return (struct refusal){.reason = REASON_NONE, .text = NULL};
}

struct origin *hub_origin_take(struct hub *h)
{
    for (uint32_t i = 0; i < h->origins_max; i++) {
        struct origin *o = &h->origins[(h->origin_cursor + i) % h->origins_max];
        if (o->state == ORIGIN_FREE || o->state == ORIGIN_DONE) {
            h->origin_cursor = (h->origin_cursor + i + 1) % h->origins_max;
            memset(o, 0, sizeof(*o));
            h->origins_live++;
            return o;
        }
    }
    return NULL; /* not when origins_live < origins_max */
}

static uint16_t slot_of(const struct hub *h, const struct origin *o)
{
    return (uint16_t)(o - h->origins);
}

struct origin *hub_origin_find(struct hub *h, const struct id128 *id)
{
    for (uint32_t i = 0; i < h->origins_max; i++) {
        struct origin *o = &h->origins[i];
        if (o->state != ORIGIN_FREE && num_id128_equal(o->id, *id)) {
            return o;
        }
    }
    return NULL;
}

/* --- phases ------------------------------------------------------------------------------------
 */

#define WAY_US_MAX (2 * US_PER_S)
#define WAY_US_MIN (10 * US_PER_MS)

/* As usual; when the leads were asked a moment ago, by how long the way to them and back took:
 * twice that where that is less than usual, and that where it alone is more (a loaded mesh needs a
 * later T). */
static int64_t way_to_leads_us(const struct hub *h, const struct origin *o)
{
    int64_t usual_us = hub_hop_margin_us(h);
    if (o->way_us == 0) {
        return usual_us;
    }
    return o->way_us > usual_us ? o->way_us : num_clamp_i64(2 * o->way_us, WAY_US_MIN, usual_us);
}

/* T for this phase: as given, or as soon as the wanted share (and half of the rest, so that few are
 * left out) can be READY. */
static int64_t choose_t(const struct hub *h, const struct origin *o, const struct operation *phase,
                        const uint32_t *leads)
{
    int64_t now = hub_mesh_now(h);
    int64_t margin = way_to_leads_us(h, o);
    if (phase->timing == TIMING_SOON) {
        return 0;
    }
    if (o->operation.target_mesh_us > now) {
        return o->operation.target_mesh_us;
    }
    uint32_t counts[LEAD_BUCKETS];
    if (leads == NULL) {
        (void)hub_leads(h, &phase->selector, counts);
        leads = counts;
    }
    double share = (1.0 + o->operation.minimum_response_rate) / 2.0;
    int64_t t = schedule_choose_t(leads, share, now, margin, phase->window_us);
    int64_t latest = now + phase->ttl_us - phase->window_us / 2;
    return t > latest && latest > now + margin ? latest : t;
}

static void seal(struct hub *h, const struct origin *o, const struct operation *op,
                 const struct operation *template)
{
    struct operation sealed = *op;
    if (template != NULL && template->payload_bytes == 0 &&
        !num_id128_zero(template->causation_id)) {
        sealed.payload_of = template->causation_id; /* the same task again */
    } else if (template != NULL) {
        sealed.payload = template->payload;
        sealed.payload_bytes = template->payload_bytes;
    } else {
        sealed.payload_of = o->id;
    }
    out_seal(h->out, &sealed);
}

/* One phase goes down. template: the console's command, with the payload, for the first one. */
static enum gather_verdict operate(struct hub *h, struct origin *o, const struct cascade_step *step,
                                   const uint32_t *leads, const struct operation *template)
{
    struct operation op = o->operation;
    op.created_mesh_us = hub_mesh_now(h);
    op.id = template != NULL ? o->id : num_id128_from(op.created_mesh_us, &h->rng);
    op.selector.class_mask = everyone_soon(&o->operation) ? 0 : step->class_mask;
    op.window_us = step->window_us;
    op.timeout_us = step->timeout_us;
    op.target_mesh_us = choose_t(h, o, &op, leads);
    int64_t deadline = op.created_mesh_us + op.timeout_us;
    int64_t after = o->operation.strategy == CASCADE_WAVE ? op.timeout_us : op.window_us;
    if (op.target_mesh_us != 0 && op.target_mesh_us + after > deadline) {
        deadline = op.target_mesh_us + after;
    }
    if (deadline > op.created_mesh_us + op.ttl_us) {
        deadline = op.created_mesh_us + op.ttl_us;
    }
    op.timeout_us = deadline - op.created_mesh_us;
    enum gather_verdict v = hub_operate(h, &op, UINT32_MAX, deadline, slot_of(h, o));
    if (v == GATHER_OK) {
        o->current = op.id;
        o->state = ORIGIN_OPERATING;
        o->target_mesh_us = op.target_mesh_us;
        o->window_us = op.window_us;
        o->deadline_mesh_us = deadline;
        o->class_mask = op.selector.class_mask;
        h->figures.phases += template == NULL ? 1u : 0u;
        seal(h, o, &op, template);
    }
    return v;
}

static bool prepare(struct hub *h, struct origin *o, const struct cascade_step *step)
{
    struct prepare p = {.correlation_id = o->id,
                        .level = step->kind == CASCADE_STEP_SECTORS ? TIER_SECTOR : TIER_CLUSTER,
                        .deadline_mesh_us = hub_mesh_now(h) + step->timeout_us,
                        .selector = o->operation.selector,
                        .payload_weight = o->operation.payload_weight};
    p.selector.class_mask = step->class_mask;
    o->state = ORIGIN_PREPARING;
    o->asked_us = h->now_us;
    return hub_prepare(h, &p, slot_of(h, o), NULL);
}

/* --- the report --------------------------------------------------------------------------------
 */

/* Which can keep the spec's 1,000 ms for a cascade (design 10). */
#define FAST_CLASSES (1u << CLASS_A_EDGE | 1u << CLASS_B_SERVERLESS)

static void count_figures(struct hub *h, const struct origin *o, const struct report *r)
{
    struct hub_figures *f = &h->figures;
    const struct aggregate_view *a = &r->aggregate;
    f->done++;
    if (o->cancelled || a->targets == 0) {
        return;
    }
    f->quorums++;
    f->quorums_achieved += r->achieved ? 1 : 0;
    f->window_hits += a->window_hits;
    f->window_eligible += a->window_eligible;
    f->predicted += a->predicted;
    f->predicted_50ms += a->predicted_50ms;
    f->answers += a->outcomes[OUTCOME_READY] + a->outcomes[OUTCOME_CONFLICT];
    f->conflicts += a->outcomes[OUTCOME_CONFLICT];
    if (o->operation.strategy != CASCADE_NONE) {
        f->last_cascade_mesh_us = r->finished_mesh_us;
        int64_t took_us = r->finished_mesh_us - r->created_mesh_us;
        uint32_t classes = o->operation.selector.class_mask;
        lead_add(f->cascade_times, took_us, 1);
        if (classes != 0 && (classes & ~FAST_CLASSES) == 0) {
            lead_add(f->cascade_times_fast, took_us, 1);
        }
    }
}

void hub_origin_report(struct hub *h, struct origin *o, const struct aggregate_view *view)
{
    double rate = o->cascade.phase_count == 1 ? o->cascade.phases[0].threshold
                                              : o->operation.minimum_response_rate;
    struct quorum_rule rule = quorum_rule_for(rate, o->operation.allow_partial);
    struct quorum_result q;
    struct gather_status s;
    quorum_check(view, &rule, &q);
    quorum_gather_status(view, rate, &s);
    struct report r = {.operation_id = o->id,
                       .strategy = o->operation.strategy,
                       .status = o->cancelled ? "CANCELLED" : cascade_status(&o->cascade),
                       .response_rate = s.response_rate,
                       .stragglers = s.stragglers,
                       .recommendation = s.recommendation,
                       .decision = q.decision,
                       .decision_reason = q.reason,
                       .decision_recommendation = q.recommendation,
                       .confidence = q.confidence,
                       .achieved = q.achieved,
                       .created_mesh_us = o->created_mesh_us,
                       .target_mesh_us = o->target_mesh_us,
                       .finished_mesh_us = hub_mesh_now(h),
                       .window_us = o->window_us,
                       .phase_count = o->cascade.phase_count,
                       .aggregate = *view};
    memcpy(r.phases, o->cascade.phases, sizeof(r.phases));
    count_figures(h, o, &r);
    hub_span_root(h, o, &r);
    o->state = ORIGIN_DONE;
    h->origins_live--;
    struct reply reply = {
        .ref = o->ref, .kind = REPLY_OPERATION, .final = true, .operation_id = o->id, .report = &r};
    hub_reply(h, o->console, &reply);
}

/* Nothing was sent to an agent: all targets are as cancelled before sending. */
static void report_unsent(struct hub *h, struct origin *o)
{
    struct aggregate_view view = {.targets = o->targets, .other = o->targets};
    view.outcomes[OUTCOME_CANCELLED] = o->targets;
    hub_origin_report(h, o, &view);
}

static void report_phases(struct hub *h, struct origin *o, const struct aggregate_view *last)
{
    if (!o->summed) {
        hub_origin_report(h, o, last);
        return;
    }
    struct aggregate_scratch scratch;
    struct aggregate_view view;
    aggregate_view(&o->sum, &h->gathers.slab, &scratch, &view);
    /* Phases reach the same units again; agents are in one phase each. */
    uint32_t sectors = h->self.tier == TIER_ORCHESTRATOR ? h->children_count : 1;
    uint32_t clusters = topology_clusters(h->topology);
    view.sectors_reached = view.sectors_reached < sectors ? view.sectors_reached : sectors;
    view.clusters_reached = view.clusters_reached < clusters ? view.clusters_reached : clusters;
    o->summed = false;
    hub_origin_report(h, o, &view); /* copied into the outbox */
    aggregate_done(&o->sum, &h->gathers.slab);
}

/* The pools have no room for a later phase: its targets are refused; the next may find room. */
static void phase_refused(struct hub *h, struct origin *o, uint32_t class_mask,
                          struct aggregate_view *ret)
{
    struct selector sel = o->operation.selector;
    sel.class_mask = class_mask;
    uint32_t n = hub_expected(h, &sel);
    memset(ret, 0, sizeof(*ret));
    ret->targets = n;
    ret->other = n;
    ret->outcomes[OUTCOME_REFUSED] = n;
    ret->reasons[REASON_OVERLOAD] = n;
    cascade_operated(&o->cascade, ret);
    if (o->summed) {
        aggregate_merge(&o->sum, &h->gathers.slab, ret);
    }
}

/* What the cascade says next, after a phase (`last`) or a preparation (`leads`). */
static void advance(struct hub *h, struct origin *o, const uint32_t *leads,
                    const struct aggregate_view *last)
{
    struct cascade_step step;
    struct aggregate_view refused;
    for (;;) {
        cascade_step(&o->cascade, &step);
        switch (step.kind) {
        case CASCADE_STEP_DONE:
            if (last == NULL) {
                report_unsent(h, o);
            } else {
                report_phases(h, o, last);
            }
            return;
        case CASCADE_STEP_SECTORS:
        case CASCADE_STEP_CLUSTERS:
            if (step.kind == CASCADE_STEP_SECTORS && h->self.tier == TIER_SECTOR) {
                cascade_prepared(&o->cascade, 1, 1); /* this is the sector */
            } else if (prepare(h, o, &step)) {
                return;
            } else {
                cascade_prepared(&o->cascade, 0, 1);
            }
            break;
        case CASCADE_STEP_OPERATE:
            if (operate(h, o, &step, leads, NULL) == GATHER_OK) {
                return;
            }
            phase_refused(h, o, step.class_mask, &refused);
            last = &refused;
            break;
        }
    }
}

/* --- what arrives ------------------------------------------------------------------------------
 */

static void origin_open(struct hub *h, struct origin *o, const struct entry *e)
{
    const struct msg *msg = e->msg;
    const struct operation *op = &msg->u.command->operation;
    o->operation = *op;
    o->operation.payload = NULL;
    o->operation.payload_bytes = 0;
    o->operation.source = h->self;
    o->operation.source_epoch = h->epoch;
    if (o->operation.ttl_us == 0) {
        int64_t told_us = o->operation.timeout_us + TTL_GRACE_US;
        told_us = told_us < TTL_US_MAX ? told_us : TTL_US_MAX;
        o->operation.ttl_us = o->operation.timeout_us > 0 ? told_us : TTL_DEFAULT_US;
    }
    if (o->operation.window_us == 0) {
        o->operation.window_us = WINDOW_DEFAULT_US;
    }
    if (o->operation.timeout_us == 0 && op->strategy == CASCADE_NONE) {
        o->operation.timeout_us = TIMEOUT_DEFAULT_US;
    }
    if (o->operation.routing == ROUTING_NONE) {
        o->operation.routing = ROUTING_SCATTER_GATHER;
    }
    if (op->timing == TIMING_SOON) {
        o->operation.target_mesh_us = 0;
    }
    o->created_mesh_us = hub_mesh_now(h);
    if (o->operation.target_mesh_us < 0) {
        o->operation.target_mesh_us = o->created_mesh_us - o->operation.target_mesh_us;
    }
    int64_t ahead = o->operation.target_mesh_us - o->created_mesh_us;
    if (op->ttl_us == 0 && ahead > 0 && ahead <= TTL_US_MAX - TTL_DEFAULT_US) {
        o->operation.ttl_us = ahead + TTL_DEFAULT_US;
    }
    o->progress_us = h->now_us;
    o->id = num_id128_zero(e->id) ? num_id128_from(o->created_mesh_us, &h->rng) : e->id;
    o->operation.correlation_id = o->id;
    o->console = msg->from;
    o->ref = msg->u.command->ref;
    o->targets = e->targets;
    cascade_init(&o->cascade, &o->operation);
    if (o->cascade.phase_count > 1) {
        o->summed = aggregate_init(&o->sum, &h->gathers.slab);
    }
}

static void refuse(struct hub *h, const struct msg *msg, enum reason reason, const char *text)
{
    h->figures.refused++;
    hub_note(h, NOTE_OP_REFUSED, 0, (uint64_t)reason);
    hub_reply_error(h, msg, reason, text);
}

static void origin_close(struct hub *h, struct origin *o)
{
    if (o->summed) {
        aggregate_done(&o->sum, &h->gathers.slab);
        o->summed = false;
    }
    o->state = ORIGIN_FREE;
    h->origins_live--;
    breaker_finished(&h->breaker);
}

static void accepted(struct hub *h, const struct origin *o)
{
    struct reply r = {.ref = o->ref, .kind = REPLY_ACCEPTED, .operation_id = o->id};
    hub_reply(h, o->console, &r);
}

/* The first phase, or the announcement of it. NULL, or the pool that has no room. */
static const char *origin_begin(struct hub *h, struct origin *o, const struct operation *op)
{
    struct cascade_step step;
    cascade_step(&o->cascade, &step);
    if (step.kind == CASCADE_STEP_OPERATE) {
        enum gather_verdict v = operate(h, o, &step, NULL, op);
        if (v != GATHER_OK) {
            return gather_verdict_pool(v);
        }
        accepted(h, o);
        return NULL;
    }
    /* A carrier of the payload; the operation proper is sealed when T is known. */
    struct operation carrier = o->operation;
    carrier.id = o->id;
    carrier.created_mesh_us = o->created_mesh_us;
    seal(h, o, &carrier, op);
    o->state = ORIGIN_PREPARING;
    accepted(h, o);
    advance(h, o, NULL, NULL);
    return NULL;
}

static struct refusal enter(struct hub *h, struct entry *e)
{
    const struct operation *op = &e->msg->u.command->operation;
    struct selector sel = op->selector;
    sel.class_mask = target_classes(op);
    e->targets = hub_expected(h, &sel);
    e->targets = sel.sample > 0 && sel.sample < e->targets ? sel.sample : e->targets;
    struct refusal no = admit(h, e);
    if (no.reason != REASON_NONE) {
        return no;
    }
    struct origin *o = hub_origin_take(h);
    assert(o != NULL);
    origin_open(h, o, e);
    const char *pool = origin_begin(h, o, op);
    if (pool == NULL) {
        return (struct refusal){.reason = REASON_NONE};
    }
    struct text t;
    text_init(&t, e->text, sizeof(e->text));
    text_add(&t, "pool \"");
    text_add(&t, pool);
    text_add(&t, "\": no room");
    origin_close(h, o);
    return (struct refusal){.reason = REASON_OVERLOAD, .text = e->text};
}

void hub_submit(struct hub *h, const struct msg *msg)
{
    struct entry e = {.msg = msg};
    struct refusal no = enter(h, &e);
    if (no.reason == REASON_NONE) {
        return;
    }
    if (no.waits && h->on_hold != NULL) {
        if (h->on_hold(h, msg, e.targets, no.text)) {
            return;
        }
        if (no.reason == REASON_MODE) {
            no = (struct refusal){.reason = REASON_OVERLOAD,
                                  .text = "pool \"waiting\": all its places wait for the mode"};
        }
    }
    refuse(h, msg, no.reason, no.text);
}

enum reason hub_release(struct hub *h, const struct msg *msg, struct id128 id, bool approved)
{
    assert(h != NULL && msg != NULL && !num_id128_zero(id));
    struct entry e = {.msg = msg, .id = id, .approved = approved};
    return enter(h, &e).reason;
}

void hub_origin_prepared(struct hub *h, uint16_t slot, const struct hub_prepare *p)
{
    struct origin *o = &h->origins[slot];
    if (o->state != ORIGIN_PREPARING || !num_id128_equal(o->id, p->prepare.correlation_id)) {
        return; /* cancelled meanwhile */
    }
    if (p->prepare.level == TIER_CLUSTER && p->reached >= p->expected) {
        o->way_us = num_clamp_i64(h->now_us - o->asked_us, 0, WAY_US_MAX);
    }
    cascade_prepared(&o->cascade, p->reached, p->expected);
    advance(h, o, p->merged.lead_counts, NULL);
    if (o->state == ORIGIN_DONE) {
        breaker_finished(&h->breaker); /* no gather was opened that would do it */
    }
}

void hub_origin_operated(struct hub *h, uint16_t slot, const struct aggregate_view *view)
{
    struct origin *o = &h->origins[slot];
    assert(o->state == ORIGIN_OPERATING);
    cascade_operated(&o->cascade, view);
    if (o->cancelled) {
        cascade_cancel(&o->cascade);
    }
    if (o->summed) {
        aggregate_merge(&o->sum, &h->gathers.slab, view);
    }
    advance(h, o, NULL, view);
}

void hub_origin_progress(struct hub *h, uint16_t slot, const struct aggregate_view *view)
{
    struct origin *o = &h->origins[slot];
    if (o->state != ORIGIN_OPERATING || h->now_us - o->progress_us < US_PER_S) {
        return;
    }
    o->progress_us = h->now_us;
    struct reply r = {
        .ref = o->ref, .kind = REPLY_PROGRESS, .operation_id = o->id, .progress = *view};
    hub_reply(h, o->console, &r);
}

void hub_cancel_command(struct hub *h, const struct msg *msg)
{
    struct origin *o = hub_origin_find(h, &msg->u.command->operation_id);
    if (o == NULL || o->state == ORIGIN_DONE) {
        hub_reply_error(h, msg, REASON_INVALID,
                        o == NULL
                            ? "no operation of this id is known here: 'jobs' lists the last 256"
                            : "the operation has ended already");
        return;
    }
    o->cancelled = true;
    struct reply r = {
        .ref = msg->u.command->ref, .kind = REPLY_OK, .final = true, .operation_id = o->id};
    hub_reply(h, msg->from, &r);
    if (o->state == ORIGIN_OPERATING) {
        hub_cancel(h, &o->current);
        return;
    }
    cascade_cancel(&o->cascade);
    breaker_finished(&h->breaker);
    report_unsent(h, o);
}
