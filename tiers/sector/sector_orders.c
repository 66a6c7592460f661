/* The orders of the orchestrator (core/order.h): each is taken in its turn, or not at all. What was
 * missed is asked for with a beat at once; what does not belong to the chain is refused, noted, and
 * counted against the process that said it. */
#include "core/text.h"
#include "tiers/sector/sector_state.h"
#include <assert.h>
#include <string.h>

#define ASK_US (100ll * US_PER_MS) /* no sooner after a beat */

static bool concerns(const struct hub *h, struct unit scope)
{
    return freezer_holds(scope, h->self) || freezer_holds(h->self, scope);
}

static bool stands(const struct freezer *f, struct unit scope)
{
    for (uint32_t i = 0; i < f->count; i++) {
        if (unit_equal(f->list[i].scope, scope)) {
            return true;
        }
    }
    return false;
}

static void freeze(struct sector *s, enum msg_type type, const struct freeze *f)
{
    struct freeze gone;
    if (!concerns(&s->hub, f->scope)) {
        return;
    }
    if (type == MSG_FREEZE) {
        (void)freezer_add(&s->ordered, f, NULL);
    } else {
        (void)freezer_remove(&s->ordered, f->scope, &gone, NULL);
    }
    (void)hub_freeze(&s->hub, type, f, NULL);
}

/* What is frozen by orders becomes what the state says; what a console has frozen here stays. */
static void freezes(struct sector *s, const struct order_state *state)
{
    for (uint32_t i = 0; i < state->frozen_count; i++) {
        if (!stands(&s->ordered, state->frozen[i].scope)) {
            freeze(s, MSG_FREEZE, &state->frozen[i]);
        }
    }
    for (uint32_t i = s->ordered.count; state->complete && i > 0; i--) {
        bool on = false;
        for (uint32_t k = 0; k < state->frozen_count; k++) {
            on = on || unit_equal(s->ordered.list[i - 1].scope, state->frozen[k].scope);
        }
        if (!on) {
            struct freeze f = s->ordered.list[i - 1];
            freeze(s, MSG_THAW, &f);
        }
    }
}

void sector_frozen(struct sector *s, const struct msg *beat)
{
    struct hub *h = &s->hub;
    const struct unit scopes[] = {unit_orchestrator(), h->self, beat->from};
    bool known = s->state_complete && s->orders.head.epoch == children_epoch(&s->parent, 0);
    if (!known || !beat->u.beat->has_summary || beat->u.beat->summary.frozen == 0 ||
        hub_child_index(h, beat->from) == UINT32_MAX ||
        freezer_covers(&h->freezer, beat->from) != NULL) {
        return;
    }
    for (unsigned i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        struct msg m = hub_msg(h, MSG_THAW, beat->from, 3);
        m.u.freeze.scope = scopes[i];
        if (hub_fits(h, &m)) {
            out_send(h->out, &m);
        }
    }
}

void sector_ordered(struct sector *s)
{
    struct hub *h = &s->hub;
    if (s->orders.head.epoch != children_epoch(&s->parent, 0)) {
        return; /* this orchestrator has not said anything yet */
    }
    hub_mode(h, s->state_mode); /* the orchestrator has noted it */
    h->mesh_open = s->state_open;
}

static void apply(struct sector *s, const struct order *o)
{
    struct hub *h = &s->hub;
    switch (o->what) {
    case ORDER_STATE:
        s->state_mode = o->u.state->mode;
        s->state_open = o->u.state->mesh_open;
        s->state_complete = o->u.state->complete;
        memcpy(h->excluded, o->u.state->excluded, sizeof(h->excluded));
        sector_ordered(s);
        freezes(s, o->u.state);
        break;
    case ORDER_FREEZE:
        freeze(s, MSG_FREEZE, &o->u.freeze);
        break;
    case ORDER_THAW:
        freeze(s, MSG_THAW, &o->u.freeze);
        break;
    case ORDER_CIRCUIT:
        if (o->u.circuit.target.sector == h->self.sector) { /* by hand */
            hub_breaker(h, o->u.circuit.target, o->u.circuit.action == CIRCUIT_OPEN);
        }
        break;
    case ORDER_HEAL:
        if (o->u.heal.target.tier == TIER_ORCHESTRATOR ||
            o->u.heal.target.sector == h->self.sector) {
            hub_heal(h, o->u.heal.target);
        }
        break;
    case ORDER_ISOLATE:
        sector_isolate(s, &o->u.isolate);
        break;
    case ORDER_CANCEL:
        hub_cancel(h, &o->u.cancel.operation_id);
        break;
    case ORDER_MOVES:
        for (uint32_t i = 0; i < o->u.moves->count; i++) {
            sector_moved(s, &o->u.moves->list[i]);
        }
        break;
    case ORDER_GROWS:
        for (uint32_t i = 0; i < o->u.grows->count; i++) {
            sector_grow(s, &o->u.grows->list[i]);
        }
        break;
    case ORDER_WHAT_COUNT:
        assert(false);
    }
}

/* The next beat names the head that is here; the orchestrator sends what is missing. */
static void ask(struct sector *s)
{
    int64_t soon_us = s->beaten_us + ASK_US;
    s->orders_missed = true;
    soon_us = soon_us < s->hub.now_us ? s->hub.now_us : soon_us;
    s->beat_us = soon_us < s->beat_us ? soon_us : s->beat_us;
}

void sector_order(struct sector *s, const struct msg *msg)
{
    struct hub *h = &s->hub;
    const struct order *o = msg->u.order;
    enum order_verdict v = order_take(&s->orders, s->digest, msg->epoch, o);
    switch (v) {
    case ORDER_TAKEN:
    case ORDER_RESYNC:
    case ORDER_OTHER_PAST:
        if (v == ORDER_OTHER_PAST) {
            hub_note(h, NOTE_ORDER_REFUSED, o->seq, (uint64_t)v);
        }
        hub_note(h, NOTE_ORDER_TAKEN, o->seq, order_short(s->orders.head.hash));
        apply(s, o);
        break;
    case ORDER_GAP:
        hub_note(h, NOTE_ORDER_MISSED, o->seq, s->orders.head.seq);
        ask(s);
        break;
    case ORDER_OLD:
    case ORDER_FORK:
        hub_note(h, NOTE_ORDER_REFUSED, o->seq, (uint64_t)v);
        break;
    case ORDER_AGAIN:
    case ORDER_VERDICT_COUNT:
        break;
    }
}
