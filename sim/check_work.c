/* What is acknowledged was done: an agent says READY or CONFLICT only of work that ended in
 * this life. */
#include "sim/check.h"
#include <stdio.h>
#include <stdlib.h>

struct running {
    struct id128 id;
    struct unit unit;
    uint64_t ref;
};

struct works {
    struct running *running; /* every agent's at once: as many as there are */
    uint32_t count, room;
};

static void add(struct works *w, const struct running *r)
{
    if (w->count == w->room) {
        w->room = w->room > 0 ? w->room * 2 : 64;
        w->running = realloc(w->running, w->room * sizeof(*w->running));
        if (w->running == NULL) {
            fprintf(stderr, "check work: out of memory\n");
            abort();
        }
    }
    w->running[w->count++] = *r;
}

static void begun(struct judge *j, struct works *w, const struct world_step *s,
                  const struct work_op *op)
{
    struct judged_node *n = judge_node(j, s->unit);
    n->running++;
    add(w, &(struct running){.id = op->operation, .unit = s->unit, .ref = op->ref});
}

static void ended(struct judge *j, struct works *w, struct unit u, uint64_t ref, bool done)
{
    for (uint32_t i = 0; i < w->count; i++) {
        if (!unit_equal(w->running[i].unit, u) || w->running[i].ref != ref) {
            continue;
        }
        struct judged_part *p = judge_part(j, &w->running[i].id, u);
        struct judged_node *n = judge_node(j, u);
        n->running -= n->running > 0 ? 1 : 0;
        if (p != NULL) {
            p->done = p->done || done;
        }
        w->running[i] = w->running[--w->count];
        return;
    }
}

static void forget(struct works *w, struct unit u)
{
    for (uint32_t i = 0; i < w->count;) {
        if (unit_equal(w->running[i].unit, u)) {
            w->running[i] = w->running[--w->count];
        } else {
            i++;
        }
    }
}

static void acknowledged(struct judge *j, const struct world_step *s, const struct ack *a)
{
    const struct judged_part *p = judge_part(j, &a->operation_id, s->unit);
    bool claims = a->outcome == OUTCOME_READY || a->outcome == OUTCOME_CONFLICT;
    if (p != NULL && claims && !p->done) {
        judge_fail(j, &check_work, VERDICT_SAFETY, s, "says %s of what it has not done",
                   outcome_name(a->outcome));
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    struct works *w = state;
    if (s->unit.tier != TIER_AGENT) {
        return;
    }
    if (s->event->kind == EV_START) {
        forget(w, s->unit);
    } else if (s->event->kind == EV_WORK && s->event->u.work->final) {
        ended(j, w, s->unit, s->event->u.work->ref, true);
    }
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_WORK && fx->u.work.kind == WORK_HANDLER) {
            begun(j, w, s, &fx->u.work);
        } else if (fx->kind == FX_WORK_CANCEL) {
            ended(j, w, s->unit, fx->u.work_ref, false);
        } else if (fx->kind == FX_SEND && fx->u.msg.type == MSG_ACK) {
            acknowledged(j, s, &fx->u.msg.u.ack);
        }
    }
}

static void done(void *state)
{
    struct works *w = state;
    free(w->running);
}

const struct check check_work = {
    .name = "work", .bytes = sizeof(struct works), .step = step, .done = done};
