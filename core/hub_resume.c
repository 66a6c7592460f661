/* A resumed operation is a gather like any other, with children that are asked instead of sent to.
 *
 * How many targets a silent or ignorant child had is known from the selector; of a sample it is
 * not: the split over the sectors was drawn at random. There the children's own results count, and
 * when one of them is missing, so is the difference to the whole sample.
 *
 * A sector keeps results for HUB_RETENTION_US: a successor that comes later than that finds
 * operations that ended meanwhile unknown. */
#include "core/hub_resume.h"
#include "core/hub_share.h"
#include "core/num.h"
#include "core/resolve.h"
#include <assert.h>
#include <string.h>

#define LEAST_WAIT_US (5ll * US_PER_S) /* for answers, when its own deadline has passed */
#define FINISH_US     (3ll * US_PER_S) /* beyond its deadline: the sectors end theirs first */

static void lost(struct aggregate_view *ret, uint32_t targets)
{
    memset(ret, 0, sizeof(*ret));
    ret->targets = targets;
    ret->other = targets;
    ret->outcomes[OUTCOME_UNREACHABLE] = targets;
    ret->reasons[REASON_TAKEOVER] = targets;
}

static struct origin *origin_open(struct hub *h, const struct resume *r)
{
    struct origin *o = hub_origin_take(h);
    if (o == NULL) {
        return NULL;
    }
    struct operation whole = *r->operation;
    whole.payload = NULL;
    whole.payload_bytes = 0;
    o->operation = whole;
    whole.strategy = CASCADE_NONE; /* one phase is left of it */
    cascade_init(&o->cascade, &whole);
    o->id = r->id;
    o->current = r->current;
    o->console = r->console;
    o->ref = r->ref;
    o->cancelled = r->cancelled;
    o->targets = r->targets;
    o->created_mesh_us = r->created_mesh_us;
    o->target_mesh_us = r->target_mesh_us;
    o->window_us = r->window_us;
    o->deadline_mesh_us = r->deadline_mesh_us;
    o->class_mask = r->operation->selector.class_mask;
    o->progress_us = h->now_us;
    return o;
}

/* Phases that ended before, and those that will not begin. */
static void sum_open(struct hub *h, struct origin *o, const struct resume *r)
{
    struct aggregate_view rest;
    if ((r->before == NULL && r->rest == 0) || !aggregate_init(&o->sum, &h->gathers.slab)) {
        return;
    }
    o->summed = true;
    if (r->before != NULL) {
        aggregate_merge(&o->sum, &h->gathers.slab, r->before);
    }
    lost(&rest, r->rest);
    aggregate_merge(&o->sum, &h->gathers.slab, &rest);
}

static bool flight_open(struct hub *h, struct origin *o, const struct selector *sel,
                        uint8_t priority)
{
    struct gather *g = NULL;
    int64_t until_us = meshtime_to_local(&h->time, o->deadline_mesh_us) + FINISH_US;
    int64_t least_us = h->now_us + LEAST_WAIT_US;
    if (gather_open(&h->gathers, &o->current, until_us > least_us ? until_us : least_us, &g) !=
        GATHER_OK) {
        return false;
    }
    struct flight *f = gather_user(&h->gathers, g);
    f->id = o->current;
    f->origin = f->resumed = true;
    f->origin_slot = (uint16_t)(o - h->origins);
    f->priority = priority < PRIORITY_COUNT ? priority : PRIORITY_COUNT - 1u;
    f->opened_us = h->now_us;
    f->resend_us = h->now_us + HUB_SILENT_US;
    f->share_us = NEVER;
    f->selector = *sel;
    f->sampled = sel->sample > 0;
    f->cancel = o->cancelled;
    for (uint32_t i = 0; i < h->children_count; i++) {
        uint32_t n = selector_expected(sel, h->topology, hub_child_unit(h, i));
        if (n == 0) {
            continue;
        }
        gather_expect(&h->gathers, g, i, f->sampled ? 0 : n);
        if (children_reachable(&h->children, i)) {
            f->go[i / 64] |= 1ull << (i % 64);
        }
    }
    f->finished = g->waiting_count == 0;
    hub_queue(h, f);
    if (h->progress_due_us == NEVER) {
        h->progress_due_us = h->now_us + HUB_PROGRESS_US;
    }
    return true;
}

void hub_resume(struct hub *h, const struct resume *r)
{
    assert(h != NULL && r != NULL && r->operation != NULL && !num_id128_zero(r->id));
    struct origin *o = origin_open(h, r);
    struct aggregate_view view;
    hub_note(h, NOTE_OP_RESUMED, num_id128_low(r->id), r->targets);
    if (o == NULL) {
        return; /* not with JOBS_MAX below OPERATIONS_MAX: the table of jobs is what is resumed */
    }
    o->state = ORIGIN_OPERATING;
    if (!num_id128_zero(r->current)) {
        sum_open(h, o, r);
        if (flight_open(h, o, &r->operation->selector, r->operation->priority)) {
            return;
        }
    }
    if (o->summed) {
        aggregate_done(&o->sum, &h->gathers.slab);
        o->summed = false;
    }
    lost(&view, r->targets);
    cascade_operated(&o->cascade, &view);
    hub_origin_report(h, o, &view);
}

/* --- the answers ------------------------------------------------------------------------------ */

static void child_lost(struct hub *h, struct gather *g, uint32_t child, enum reason reason)
{
    struct flight *f = gather_user(&h->gathers, g);
    f->unknown = true;
    (void)gather_child_dead(&h->gathers, g, child, OUTCOME_UNREACHABLE, reason, NULL, 0);
    if (g->waiting_count == 0) {
        f->finished = true;
        hub_queue(h, f);
    }
}

void hub_resume_unknown(struct hub *h, struct gather *g, uint32_t child, const struct msg *msg)
{
    const struct flight *f = gather_user(&h->gathers, g);
    if (!f->resumed || g->done || !gather_waits_for(g, child)) {
        hub_note(h, NOTE_UNEXPECTED, (uint64_t)msg->type, unit_pack(msg->from));
        return;
    }
    child_lost(h, g, child, REASON_TAKEOVER);
}

void hub_resume_rest(struct hub *h, struct gather *g)
{
    const struct flight *f = gather_user(&h->gathers, g);
    uint32_t of = hub_expected(h, &f->selector);
    of = f->selector.sample < of ? f->selector.sample : of;
    if (f->sampled && f->unknown && g->aggregate.targets < of) {
        aggregate_add_many(&g->aggregate, &h->gathers.slab, OUTCOME_UNREACHABLE, REASON_TAKEOVER,
                           of - g->aggregate.targets, NULL, 0);
    }
}

void hub_resume_look(struct hub *h, struct gather *g)
{
    for (uint32_t i = 0; i < h->children_count && !g->done; i++) {
        enum child_state s = children_state(&h->children, i);
        bool missed = s == CHILD_UNKNOWN && h->now_us - h->started_us >= h->tuning.tier_failed_us;
        if (gather_waits_for(g, i) && (s == CHILD_DOWN || missed)) {
            child_lost(h, g, i, REASON_SECTOR_DOWN);
        }
    }
}

void hub_resume_message(struct hub *h, const struct msg *msg)
{
    const struct id128 *id = &msg->u.cancel.operation_id;
    struct gather *g = gather_find(&h->gathers, id);
    struct flight *f = g != NULL ? gather_user(&h->gathers, g) : NULL;
    if (f != NULL && !f->origin) {
        f->finished |= g->done;
        f->progress = !g->done;
        hub_queue(h, f);
        return;
    }
    struct result r = {.operation_id = *id, .final = true, .unknown = true};
    struct msg m = hub_msg(h, MSG_RESULT, topology_parent(h->self), msg->priority);
    m.u.result = &r;
    if (hub_fits(h, &m)) {
        out_send(h->out, &m);
    }
}
