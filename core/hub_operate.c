/* One operation on its way through an inner node: opened with a gather, fanned out in messages for
 * 64 children each, added up as results come, answered for the dead, and closed by a result to the
 * parent or to the origin here. The counts add up by construction (gather.h).
 *
 * Everything that sends takes its turn (turns.h), the urgent first, so that a step with a full
 * outbox goes on where it stopped. Background goes out in shares (hub_share.c).
 *
 * The bus may lose a hop's message. A child that was neither heard with progress nor with its
 * result for HUB_SILENT_US is sent the same OPERATE again (attempt + 1); who has the operation
 * already answers a duplicate with what it has. */
#include "core/fault.h"
#include "core/hub.h"
#include "core/hub_order.h"
#include "core/hub_resume.h"
#include "core/hub_share.h"
#include "core/hub_span.h"
#include "core/num.h"
#include "core/plant.h"
#include "core/resolve.h"
#include <assert.h>
#include <string.h>

#define FINISH_EFFECTS 14u
#define FINISH_BYTES   28000u /* a report or result with all its groups, and a seal */

static struct flight *flight_of(struct hub *h, struct gather *g)
{
    return gather_user(&h->gathers, g);
}

static bool bit(const uint64_t *words, uint32_t i)
{
    return words[i / 64] >> (i % 64) & 1u;
}

static void set_bit(uint64_t *words, uint32_t i)
{
    words[i / 64] |= 1ull << (i % 64);
}

void hub_queue(struct hub *h, struct flight *f)
{
    assert(h != NULL && f != NULL);
    if (!f->queued) {
        f->queued = true;
        turns_add(&h->work, f->id, f->priority);
    }
}

static enum reason down_reason(const struct hub *h)
{
    return h->self.tier == TIER_ORCHESTRATOR ? REASON_SECTOR_DOWN : REASON_CLUSTER_DOWN;
}

uint32_t hub_expected(const struct hub *h, const struct selector *sel)
{
    uint32_t n = selector_expected(sel, h->topology, h->self);
    for (uint32_t i = 0; n == 0 && h->topology->spare > 0 && i < h->children_count; i++) {
        n = hub_child_expected(h, sel, i);
    }
    return n;
}

/* --- opening -----------------------------------------------------------------------------------
 */

/* Agents of this child that can match, by its summary; bounded by the topology's number. */
static uint32_t matching(const struct hub *h, const struct selector *sel, uint32_t child,
                         uint32_t expected)
{
    const struct hub_child *c = &h->child[child];
    if (!c->has_summary) {
        return expected;
    }
    uint32_t n = 0;
    for (unsigned i = 0; i < CLASS_COUNT; i++) {
        bool taken = sel->class_mask == 0 || sel->class_mask >> i & 1u;
        n += taken ? c->summary.class_active[i] : 0;
    }
    for (unsigned i = 0; i < CAPABILITIES_MAX; i++) {
        if (sel->capabilities >> i & 1u && c->summary.capability_active[i] < n) {
            n = c->summary.capability_active[i];
        }
    }
    return n < expected ? n : expected;
}

/* 0 to n - 1 in random order (Fisher and Yates). */
static void shuffle(struct rng *rng, uint32_t n, uint16_t *ret)
{
    for (uint32_t i = 0; i < n; i++) {
        uint32_t j = (uint32_t)rng_below(rng, i + 1u);
        ret[i] = ret[j];
        ret[j] = (uint16_t)i;
    }
}

/* Quotas of a sample over the children that are usable, in proportion to what they have. Ties of
 * the largest remainder go to random children: a small sample comes from all over the mesh. */
static void sample_quotas(struct hub *h, const struct selector *sel, uint32_t want,
                          uint32_t *expected)
{
    uint32_t n = h->children_count;
    uint16_t order[SECTORS_MAX] = {0};
    shuffle(&h->rng, n, order);
    uint32_t weights[SECTORS_MAX], quotas[SECTORS_MAX];
    uint64_t sum = 0;
    for (uint32_t i = 0; i < n; i++) {
        uint32_t child = order[i];
        enum outcome outcome;
        enum reason reason;
        bool usable = hub_child_usable(h, child, &outcome, &reason);
        weights[i] = usable ? matching(h, sel, child, expected[child]) : 0;
        sum += weights[i];
    }
    for (uint32_t i = 0; i < n && sum == 0; i++) {
        weights[i] = expected[order[i]]; /* nobody there: say who was meant */
    }
    quota_split(want, weights, n, quotas);
    for (uint32_t i = 0; i < n; i++) {
        expected[order[i]] = quotas[i];
    }
}

/* The planned agents of a cluster or sector, in runs of neighbours: spare places lie between. */
static uint32_t planned_runs(const struct topology *t, struct unit u, struct run *ret)
{
    unsigned from = u.tier == TIER_CLUSTER ? u.cluster : 1u;
    unsigned to = u.tier == TIER_CLUSTER ? u.cluster : topology_sector_clusters(t, u.sector);
    uint32_t count = 0;
    for (unsigned k = from; k <= to; k++) {
        struct run run = {.first = topology_index(t, unit_agent(u.sector, k, 1))};
        run.last = run.first + topology_cluster_agents(t, unit_cluster(u.sector, k)) - 1u;
        if (count > 0 && ret[count - 1u].last + 1u == run.first) {
            ret[count - 1u].last = run.last;
        } else {
            ret[count++] = run;
        }
    }
    return count;
}

static void child_dead(struct hub *h, struct gather *g, uint32_t child, enum outcome outcome,
                       enum reason reason)
{
    struct flight *f = flight_of(h, g);
    f->unknown |= f->resumed;
    static const struct selector all = {0};
    struct unit u = hub_child_unit(h, child);
    uint32_t agents = selector_expected(&all, h->topology, u);
    struct run runs[CLUSTERS_PER_SECTOR_MAX];
    outcome = PLANTED(PLANT_DEAD_READY) ? OUTCOME_READY : outcome;
    bool whole = !f->sampled && agents > 0 && gather_expected(&h->gathers, g, child) == agents;
    uint32_t count = whole ? planned_runs(h->topology, u, runs) : 0;
    (void)gather_child_dead(&h->gathers, g, child, outcome, reason, count > 0 ? runs : NULL, count);
}

/* Everything behind this node is refused for one reason; REASON_NONE: it may pass. */
static enum reason refusal(struct hub *h, const struct operation *op, uint16_t origin_slot)
{
    if (origin_slot != HUB_NO_ORIGIN) {
        return REASON_NONE; /* admission has looked at all of this */
    }
    if (meshtime_ready(&h->time) && hub_mesh_now(h) > op->created_mesh_us + op->ttl_us) {
        return REASON_EXPIRED;
    }
    if (h->frozen) {
        return REASON_FROZEN;
    }
    return breaker_allow(&h->breaker) ? REASON_NONE : REASON_BREAKER;
}

/* Before the first exchange of times a sector has no mesh time: it waits as long as the operation
 * says from now on. */
static int64_t local_deadline(const struct hub *h, const struct operation *op,
                              int64_t deadline_mesh_us)
{
    if (meshtime_ready(&h->time)) {
        return meshtime_to_local(&h->time, deadline_mesh_us);
    }
    return h->now_us + (op->timeout_us < 10 * US_PER_S ? op->timeout_us : 10 * US_PER_S);
}

/* A layer's own deadline, less what the way back takes: 10 ms and 1 % of what is left. */
static int64_t child_deadline(const struct hub *h, int64_t deadline_us, int64_t deadline_mesh_us)
{
    int64_t left = deadline_us - h->now_us;
    int64_t margin = 10 * US_PER_MS + (left > 0 ? left / 100 : 0);
    if (margin > left / 2) {
        margin = left / 2 > 5 * US_PER_MS ? left / 2 : 5 * US_PER_MS;
    }
    return deadline_mesh_us - margin;
}

static void expect_children(struct hub *h, struct gather *g, const uint32_t *expected,
                            enum reason refused)
{
    struct flight *f = flight_of(h, g);
    for (uint32_t i = 0; i < h->children_count; i++) {
        if (expected[i] > 0) {
            gather_expect(&h->gathers, g, i, expected[i]);
        }
    }
    for (uint32_t i = 0; i < h->children_count; i++) {
        enum outcome outcome = OUTCOME_REFUSED;
        enum reason reason = refused;
        if (expected[i] == 0) {
            continue;
        }
        if (refused == REASON_NONE && hub_child_usable(h, i, &outcome, &reason)) {
            set_bit(f->go, i);
        } else {
            child_dead(h, g, i, outcome, reason);
        }
    }
}

static uint8_t priority_of(const struct operation *op)
{
    return op->priority < PRIORITY_COUNT ? op->priority : PRIORITY_COUNT - 1u;
}

enum gather_verdict hub_operate(struct hub *h, const struct operation *op, uint32_t quota,
                                int64_t deadline_mesh_us, uint16_t origin_slot)
{
    assert(h != NULL && op != NULL && !num_id128_zero(op->id));
    int64_t deadline_us = local_deadline(h, op, deadline_mesh_us);
    struct gather *g = NULL;
    if (h->gathers.waiting >= turns_pool_share(h->gathers.operations_max, priority_of(op)) &&
        gather_find(&h->gathers, &op->id) == NULL) {
        return GATHER_FULL_OPERATIONS;
    }
    enum gather_verdict v = gather_open(&h->gathers, &op->id, deadline_us, &g);
    if (v != GATHER_OK) {
        return v;
    }
    struct flight *f = flight_of(h, g);
    uint32_t want = quota;
    if (origin_slot != HUB_NO_ORIGIN && op->selector.sample > 0) {
        want = op->selector.sample;
    }
    f->id = op->id;
    f->origin = origin_slot != HUB_NO_ORIGIN;
    f->origin_slot = origin_slot;
    f->priority = priority_of(op);
    f->opened_us = h->now_us;
    f->resend_us = h->now_us + HUB_SILENT_US;
    f->selector = op->selector;
    f->sampled = want != UINT32_MAX;
    f->child_deadline_mesh_us = child_deadline(h, deadline_us, deadline_mesh_us);
    uint32_t expected[SECTORS_MAX] = {0};
    uint32_t sum = 0;
    for (uint32_t i = 0; i < h->children_count; i++) {
        expected[i] = hub_child_expected(h, &op->selector, i);
    }
    if (f->sampled) {
        sample_quotas(h, &op->selector, want, expected);
    }
    for (uint32_t i = 0; i < h->children_count; i++) {
        sum += expected[i];
    }
    hub_note(h, NOTE_OP_OPENED, num_id128_low(op->id), sum);
    expect_children(h, g, expected, refusal(h, op, origin_slot));
    hub_share_begin(h, g, f, op);
    f->finished = g->waiting_count == 0;
    hub_queue(h, f);
    if (h->progress_due_us == NEVER) {
        h->progress_due_us = h->now_us + HUB_PROGRESS_US;
    }
    return GATHER_OK;
}

/* --- from the parent ---------------------------------------------------------------------------
 */

static void send_result(struct hub *h, const struct id128 *id, bool final,
                        const struct aggregate_view *view, uint8_t priority)
{
    struct result r = {.operation_id = *id, .final = final, .aggregate = *view};
    if (h->self.tier == TIER_SECTOR && view->clusters_reached > 0) {
        r.aggregate.sectors_reached = 1;
    }
    struct msg m = hub_msg(h, MSG_RESULT, topology_parent(h->self), priority);
    m.u.result = &r;
    if (hub_fits(h, &m)) {
        out_send(h->out, &m);
    }
}

/* A runner may hand over the whole mask with all its targets: ours is the one of our bit. */
static uint32_t own_quota(const struct hub *h, const struct msg *msg)
{
    const struct operate *o = &msg->u.operate;
    uint32_t rank = 0;
    for (uint32_t i = msg->to.sector; o->target_count > 1 && i < h->self.sector; i++) {
        uint32_t n = i - msg->to.sector;
        rank += n < 64 ? (uint32_t)(msg->mask >> n & 1u) : 0;
    }
    return rank < o->target_count ? o->targets[rank].quota : UINT32_MAX;
}

void hub_operate_message(struct hub *h, const struct msg *msg)
{
    const struct operate *o = &msg->u.operate;
    if (o->operation == NULL || !num_id128_equal(o->operation->id, o->operation_id)) {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
        return;
    }
    uint32_t quota = own_quota(h, msg);
    enum gather_verdict v =
        fault(h->out, FAULT_HUB_FULL) && gather_find(&h->gathers, &o->operation_id) == NULL
            ? GATHER_FULL_OPERATIONS
            : hub_operate(h, o->operation, quota, o->deadline_mesh_us, HUB_NO_ORIGIN);
    if (v == GATHER_DUPLICATE) {
        hub_note(h, NOTE_DUPLICATE, num_id128_low(o->operation_id), 0);
        struct gather *g = gather_find(&h->gathers, &o->operation_id);
        struct flight *f = flight_of(h, g);
        if (g->done) {
            f->finished = true; /* the result was lost: say it again */
            hub_queue(h, f);
        }
    } else if (v != GATHER_OK) {
        uint32_t n = hub_expected(h, &o->operation->selector);
        n = quota < n ? quota : n;
        struct aggregate_view view = {.targets = n, .other = n};
        view.outcomes[OUTCOME_REFUSED] = n;
        view.reasons[REASON_OVERLOAD] = n;
        hub_note(h, NOTE_OP_REFUSED, num_id128_low(o->operation_id), REASON_OVERLOAD);
        send_result(h, &o->operation_id, true, &view, msg->priority);
    }
}

/* Who waits for a share has heard nothing of it. */
static void share_cancel(struct hub *h, struct gather *g, struct flight *f)
{
    for (uint32_t i = 0; i < h->children_count && f->share_us != NEVER; i++) {
        if (hub_share_waits(f, i) && gather_waits_for(g, i)) {
            child_dead(h, g, i, OUTCOME_CANCELLED, REASON_NONE);
        }
    }
    memset(f->later, 0, sizeof(f->later));
    f->share_us = NEVER;
    f->finished |= g->waiting_count == 0;
}

void hub_cancel(struct hub *h, const struct id128 *id)
{
    struct gather *g = gather_find(&h->gathers, id);
    if (g != NULL && !g->done) {
        struct flight *f = flight_of(h, g);
        f->cancel = true;
        f->cancel_block = 0;
        share_cancel(h, g, f);
        hub_queue(h, f);
    }
}

/* --- from the children -------------------------------------------------------------------------
 */

void hub_result_message(struct hub *h, uint32_t child, const struct msg *msg)
{
    const struct result *r = msg->u.result;
    struct gather *g = gather_find(&h->gathers, &r->operation_id);
    if (g == NULL) {
        hub_note(h, NOTE_OP_LATE, num_id128_low(r->operation_id), unit_pack(msg->from));
        return;
    }
    struct flight *f = flight_of(h, g);
    if (r->unknown) {
        hub_resume_unknown(h, g, child, msg);
        return;
    }
    enum gather_verdict v =
        gather_result(&h->gathers, g, child, h->topology, msg->from, r->final, &r->aggregate, NULL);
    uint32_t failures = 0;
    if (v == GATHER_INVALID || v == GATHER_STRANGER) {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
        failures = 1;
    } else if (v == GATHER_LATE) {
        hub_note(h, NOTE_OP_LATE, num_id128_low(r->operation_id), unit_pack(msg->from));
    } else {
        set_bit(f->heard, child);
        if (r->final && r->aggregate.agents_reached > 0) {
            f->first_us = f->first_us == 0 ? h->now_us : f->first_us;
            f->last_us = h->now_us;
            f->slowest = (uint16_t)child;
        }
        uint32_t late = r->aggregate.outcomes[OUTCOME_TIMEOUT_EXECUTION];
        failures = r->final ? late - r->people_late : 0; /* people may take their time */
    }
    if (failures > 0 && h->self.tier == TIER_SECTOR) {
        hub_circuit(h, breaker_failure(&h->breaker, h->now_us, failures, &h->rng));
    }
    if (v == GATHER_DONE) {
        f->finished = true;
        hub_queue(h, f);
    } else if (v == GATHER_OK) {
        hub_share_more(h, g, f);
    }
}

void hub_child_down(struct hub *h, uint32_t child)
{
    uint32_t cursor = 0;
    struct gather *g;
    while ((g = gather_each(&h->gathers, &cursor)) != NULL) {
        if (!gather_waits_for(g, child)) {
            continue;
        }
        struct flight *f = flight_of(h, g);
        f->go[child / 64] &= ~(1ull << (child % 64));
        child_dead(h, g, child, OUTCOME_UNREACHABLE, down_reason(h));
        if (g->waiting_count == 0) {
            f->finished = true;
            hub_queue(h, f);
        }
        hub_share_more(h, g, f);
    }
}

/* What waits for this child goes to its new owner, who has it done or answers for it: agents that
 * have done it already say so again. */
void hub_child_new(struct hub *h, uint32_t child)
{
    uint32_t cursor = 0, blocks = (h->children_count + 63) / 64;
    struct gather *g;
    while ((g = gather_each(&h->gathers, &cursor)) != NULL) {
        struct flight *f = flight_of(h, g);
        if (g->done || !gather_waits_for(g, child) || hub_share_waits(f, child)) {
            continue;
        }
        if (f->block >= blocks) { /* all were sent to: now this one only */
            memset(f->go, 0, sizeof(f->go));
        }
        set_bit(f->go, child);
        f->heard[child / 64] &= ~(1ull << (child % 64));
        f->block = f->block < child / 64 ? f->block : child / 64;
        f->attempt++;
        if (f->origin && h->origins[f->origin_slot].cancelled) { /* it has not heard of that */
            f->cancel = true;
            f->cancel_block = 0;
        }
        hub_queue(h, f);
    }
}

/* --- sending -----------------------------------------------------------------------------------
 */

/* One message for up to 64 children. False: no room now. */
static bool send_block(struct hub *h, struct gather *g, struct flight *f, uint32_t block)
{
    struct target targets[64];
    uint64_t mask = f->go[block] & g->waiting[block];
    uint32_t n = 0;
    for (uint32_t i = 0; i < 64; i++) {
        if (mask >> i & 1u) {
            targets[n++] = (struct target){
                .quota = f->sampled ? gather_expected(&h->gathers, g, block * 64 + i) : UINT32_MAX};
        }
    }
    if (n == 0) {
        return true;
    }
    enum msg_type type = f->resumed ? MSG_RESUME : MSG_OPERATE;
    struct msg m = hub_msg(h, type, hub_child_unit(h, block * 64), f->priority);
    m.mask = mask;
    if (f->resumed) {
        m.u.cancel.operation_id = f->id;
    } else {
        m.u.operate = (struct operate){.operation_id = f->id,
                                       .deadline_mesh_us = f->child_deadline_mesh_us,
                                       .attempt = f->attempt,
                                       .target_count = n,
                                       .targets = targets};
    }
    if (!hub_fits(h, &m) || !outbox_room(h->out, 2, 0)) {
        h->short_of_room = true;
        return false;
    }
    out_send(h->out, &m);
    hub_note(h, f->attempt == 0 ? NOTE_SENT : NOTE_RESENT, num_id128_low(f->id), n);
    return true;
}

static bool send_cancel(struct hub *h, struct gather *g, struct flight *f, uint32_t block)
{
    uint64_t mask = g->waiting[block]; /* the dead are not waited for */
    if (mask == 0) {
        return true;
    }
    struct msg m = hub_msg(h, MSG_CANCEL, hub_child_unit(h, block * 64), 3);
    m.mask = mask;
    m.u.cancel.operation_id = f->id;
    if (!hub_fits(h, &m)) {
        return false;
    }
    out_send(h->out, &m);
    return true;
}

/* To whoever may have it. Before the chain of orders has begun there is nobody to tell: it is said
 * with the next progress. False: no room now. */
static bool say_cancel(struct hub *h, struct gather *g, struct flight *f)
{
    uint32_t blocks = (h->children_count + 63) / 64;
    if (h->orders != NULL) {
        struct order order = {.what = ORDER_CANCEL, .u.cancel.operation_id = f->id};
        if (h->orders->head.seq == 0) {
            return true;
        }
        if (!hub_order(h, &order)) {
            h->short_of_room = true;
            return false;
        }
        f->cancel = false;
        return true;
    }
    for (; f->cancel_block < blocks; f->cancel_block++) {
        if (!send_cancel(h, g, f, f->cancel_block)) {
            return false;
        }
    }
    f->cancel = false;
    return true;
}

/* Everything is answered for: up with it. False: no room now. */
static bool finish(struct hub *h, struct gather *g, struct flight *f)
{
    if (!outbox_room(h->out, FINISH_EFFECTS, FINISH_BYTES)) {
        h->short_of_room = true;
        return false;
    }
    struct aggregate_scratch scratch;
    struct aggregate_view view;
    bool again = g->done;
    if (f->resumed && !again) {
        hub_resume_rest(h, g);
    }
    aggregate_view(&g->aggregate, &h->gathers.slab, &scratch, &view);
    if (h->self.tier == TIER_SECTOR && view.clusters_reached > 0) {
        view.sectors_reached = 1;
    }
    f->finished = false;
    f->progress = false;
    if (!again) {
        hub_note(h, NOTE_OP_CLOSED, num_id128_low(f->id), view.outcomes[OUTCOME_READY]);
        hub_span(h, f, &view);
        gather_close(&h->gathers, g, h->now_us);
        breaker_finished(&h->breaker);
    }
    if (!f->origin) {
        send_result(h, &f->id, true, &view, f->priority);
    } else if (!again) {
        hub_origin_operated(h, f->origin_slot, &view);
    }
    return true;
}

static bool send_progress(struct hub *h, struct gather *g, struct flight *f)
{
    struct aggregate_view view;
    f->progress = false;
    if (g->done) {
        return true;
    }
    if (!outbox_room(h->out, 2, 6000)) {
        f->progress = true;
        h->short_of_room = true;
        return false;
    }
    gather_progress(&h->gathers, g, &view);
    if (f->origin) {
        hub_origin_progress(h, f->origin_slot, &view);
    } else {
        send_result(h, &f->id, false, &view, f->priority);
    }
    return true;
}

/* All that one flight has to say. False: no room, call again. */
static bool flight_pump(struct hub *h, struct gather *g, struct flight *f)
{
    uint32_t blocks = (h->children_count + 63) / 64;
    while (!g->done && f->block < blocks) {
        if (!send_block(h, g, f, f->block)) {
            return false;
        }
        f->block++;
    }
    f->cancel = f->cancel && !g->done;
    if (f->cancel && !say_cancel(h, g, f)) {
        return false;
    }
    if (f->progress && !f->finished && !send_progress(h, g, f)) {
        return false;
    }
    return !f->finished || finish(h, g, f);
}

/* Who has been silent since the last look is sent the operation again. */
static void resend_silent(struct hub *h, struct gather *g, struct flight *f)
{
    bool any = false;
    memset(f->go, 0, sizeof(f->go));
    for (uint32_t i = 0; i < h->children_count; i++) {
        if (gather_waits_for(g, i) && !bit(f->heard, i) && !hub_share_waits(f, i) &&
            children_reachable(&h->children, i)) {
            set_bit(f->go, i);
            any = true;
        }
    }
    memset(f->heard, 0, sizeof(f->heard));
    f->resend_us = h->now_us + (HUB_SILENT_US << (f->attempt < 8 ? f->attempt : 8));
    if (any) {
        f->attempt++;
        f->block = 0;
        hub_queue(h, f);
    }
}

static void progress_tick(struct hub *h)
{
    if (h->now_us < h->progress_due_us) {
        return;
    }
    uint32_t cursor = 0;
    struct gather *g;
    while ((g = gather_each(&h->gathers, &cursor)) != NULL) {
        struct flight *f = flight_of(h, g);
        if (f->resumed) {
            hub_resume_look(h, g);
        }
        bool in_time = h->now_us < g->deadline_us; /* else this node stood still: it is over */
        if (h->now_us >= f->resend_us && f->attempt < h->tuning.resends_max && in_time) {
            resend_silent(h, g, f);
        }
        if (h->now_us - f->opened_us >= HUB_LONG_US) {
            f->progress = true;
            hub_queue(h, f);
        }
    }
    h->progress_due_us = h->gathers.waiting > 0 ? h->now_us + HUB_PROGRESS_US : NEVER;
}

static bool expire_due(struct hub *h)
{
    struct gather *g;
    while ((g = gather_due(&h->gathers, h->now_us)) != NULL) {
        if (!outbox_room(h->out, FINISH_EFFECTS, FINISH_BYTES)) {
            h->short_of_room = true;
            return false;
        }
        struct flight *f = flight_of(h, g);
        f->unknown |= f->resumed && g->waiting_count > 0;
        gather_expire(&h->gathers, g, OUTCOME_UNREACHABLE, down_reason(h));
        if (!finish(h, g, f)) {
            return false;
        }
    }
    return true;
}

static bool turns_pump(struct hub *h)
{
    while (h->work.count > 0) {
        struct id128 id = turns_take(&h->work);
        struct gather *g = gather_find(&h->gathers, &id);
        if (g == NULL) {
            continue;
        }
        struct flight *f = flight_of(h, g);
        f->queued = false; /* what follows may queue it again */
        if (!flight_pump(h, g, f)) {
            hub_queue(h, f);
            return false;
        }
    }
    return true;
}

void hub_operate_pump(struct hub *h)
{
    progress_tick(h);
    hub_share_tick(h);
    while (turns_pump(h) && expire_due(h) && h->work.count > 0) {
    }
}

int64_t hub_operate_next(const struct hub *h)
{
    if (h->work.count > 0) {
        return h->now_us;
    }
    int64_t due = gather_next_us(&h->gathers);
    due = due < h->share_due_us ? due : h->share_due_us;
    return due < h->progress_due_us ? due : h->progress_due_us;
}
