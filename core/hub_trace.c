/* What a node of the upper tiers can tell of an operation's way through it: when it came, when the
 * first and the last child answered, which that was, and who has not. Times are mesh time. */
#include "core/hub_span.h"
#include "core/num.h"
#include "core/text.h"
#include <assert.h>
#include <string.h>

static void figure(struct text *t, const char *name, int64_t value)
{
    text_add(t, name);
    text_char(t, '=');
    text_i64(t, value);
    text_char(t, '\n');
}

static int64_t mesh_of(const struct hub *h, int64_t at_us)
{
    return at_us > 0 ? hub_mesh_now(h) - (h->now_us - at_us) : 0;
}

static void first_waiting(const struct hub *h, const struct gather *g, struct text *t)
{
    for (uint32_t i = 0; i < h->children_count; i++) {
        if (gather_waits_for(g, i)) {
            text_add(t, "waits_for=");
            text_unit(t, hub_child_unit(h, i));
            text_char(t, '\n');
            return;
        }
    }
}

/* Of who started it; without one the operation's id is the trace. */
static void trace_of(const struct origin *o, struct text *t)
{
    char given[TRACEPARENT_MAX];
    if (!num_id128_zero(o->operation.trace.trace)) {
        traceparent_format(&o->operation.trace, given);
        text_add(t, "traceparent=");
        text_add(t, given);
        text_char(t, '\n');
    }
}

/* Mesh time that is known, and in order: it may have been corrected in between. */
static void say(struct hub *h, struct span *s)
{
    if (s->start_mesh_us > 0) {
        s->end_mesh_us = s->end_mesh_us > s->start_mesh_us ? s->end_mesh_us : s->start_mesh_us;
        out_span(h->out, s);
    }
}

static void belongs(struct span *s, const struct origin *o)
{
    s->known = true;
    s->correlation = o->id;
    s->trace = o->operation.trace;
    memcpy(s->action, o->operation.action, sizeof(s->action));
}

void hub_span(struct hub *h, const struct flight *f, const struct aggregate_view *view)
{
    assert(h != NULL && f != NULL && view != NULL);
    if (!h->tuning.spans || !meshtime_ready(&h->time)) {
        return;
    }
    struct span s = {.kind = f->origin ? SPAN_PHASE : SPAN_TIER,
                     .unit = h->self,
                     .operation = f->id,
                     .start_mesh_us = mesh_of(h, f->opened_us),
                     .end_mesh_us = hub_mesh_now(h),
                     .first_us = mesh_of(h, f->first_us),
                     .last_us = mesh_of(h, f->last_us),
                     .targets = view->targets};
    memcpy(s.outcomes, view->outcomes, sizeof(s.outcomes));
    if (f->last_us > 0) {
        s.slowest = hub_child_unit(h, f->slowest);
    }
    if (f->origin) {
        belongs(&s, &h->origins[f->origin_slot]);
    }
    say(h, &s);
}

void hub_span_root(struct hub *h, const struct origin *o, const struct report *r)
{
    assert(h != NULL && o != NULL && r != NULL);
    if (!h->tuning.spans || !meshtime_ready(&h->time)) {
        return;
    }
    struct span s = {.kind = SPAN_ROOT,
                     .failed = !r->achieved,
                     .unit = h->self,
                     .operation = o->id,
                     .start_mesh_us = r->created_mesh_us,
                     .end_mesh_us = r->finished_mesh_us,
                     .targets = r->aggregate.targets};
    memcpy(s.outcomes, r->aggregate.outcomes, sizeof(s.outcomes));
    belongs(&s, o);
    say(h, &s);
}

void hub_trace(struct hub *h, struct query *q, struct pager *pager)
{
    assert(h != NULL && q != NULL && pager != NULL);
    const struct origin *o = hub_origin_find(h, &q->operation_id);
    char room[640];
    struct text t;
    text_init(&t, room, sizeof(room));
    if (o != NULL) {
        figure(&t, "created", o->created_mesh_us);
        figure(&t, "target", o->target_mesh_us);
        text_add(&t, "action=");
        text_add(&t, o->operation.action);
        text_char(&t, '\n');
        trace_of(o, &t);
        q->operation_id = o->state == ORIGIN_PREPARING ? q->operation_id : o->current;
    }
    struct gather *g = gather_find(&h->gathers, &q->operation_id);
    if (g != NULL) {
        const struct flight *f = gather_user(&h->gathers, g);
        struct aggregate_view view;
        gather_progress(&h->gathers, g, &view);
        figure(&t, "opened", mesh_of(h, f->opened_us));
        figure(&t, "first", mesh_of(h, f->first_us));
        figure(&t, "last", mesh_of(h, f->last_us));
        figure(&t, "children_waiting", g->waiting_count);
        figure(&t, "targets", view.targets);
        figure(&t, "waiting", view.outcomes[OUTCOME_PENDING]);
        figure(&t, "answered", view.outcomes[OUTCOME_READY] + view.outcomes[OUTCOME_CONFLICT]);
        figure(&t, "unreachable", view.outcomes[OUTCOME_UNREACHABLE]);
        figure(&t, "attempt", f->attempt);
        first_waiting(h, g, &t);
        if (f->last_us > 0) {
            text_add(&t, "slowest=");
            text_unit(&t, hub_child_unit(h, f->slowest));
        }
    }
    if (t.used > 0) {
        struct page_row row = {.key = unit_pack(h->self), .unit = h->self};
        row.u.record.bytes = (uint32_t)t.used;
        row.u.record.text = room;
        pager_row(pager, &row);
    }
}
