/* What waits is judged anew at each look, so that a mode that fell further, or rose, needs no case
 * of its own: what is admitted goes on, everything else stays until its time is over. */
#include "tiers/orchestrator/orchestrator_held.h"
#include "core/num.h"
#include "core/quorum.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_state.h"
#include <assert.h>
#include <string.h>

#define RELEASE_EFFECTS 8u
#define RELEASE_BYTES   (PAYLOAD_BYTES_MAX + 8192u)

static struct held *find(struct held_book *b, const struct id128 *id)
{
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        if (b->held[i].used && !b->held[i].early && num_id128_equal(b->held[i].id, *id)) {
            return &b->held[i];
        }
    }
    return NULL;
}

static enum mode_verdict judge(const struct hub *h, const struct held *w)
{
    const char *why = NULL;
    const struct mode_case c = {.operation = &w->operation,
                                .targets = w->targets,
                                .agents = h->topology->agents,
                                .human = true,
                                .approved = w->approved};
    return mode_judge(h->mode, &c, &why);
}

/* NULL: no place is free. */
static struct held *keep(struct hub *h, struct held_book *b, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    if (b->count == HELD_MAX) {
        return NULL;
    }
    struct held *w = b->held;
    while (w->used) {
        w++;
    }
    w->used = true;
    w->approved = false;
    w->early = h->settling;
    w->number = ++b->last_number;
    w->console = msg->from;
    w->ref = c->ref;
    w->operation = c->operation;
    if (c->operation.payload_bytes > 0) {
        memmove(w->payload, c->operation.payload, c->operation.payload_bytes); /* perhaps its own */
    }
    b->count++;
    int64_t look_us = h->now_us + (w->early ? HELD_EARLY_US : HELD_LOOK_US);
    b->next_us = b->next_us < look_us ? b->next_us : look_us;
    return w;
}

bool held_take(struct hub *h, const struct msg *msg, uint32_t targets, const char *why)
{
    struct orchestrator *o = (struct orchestrator *)(void *)h; /* its first member */
    struct held *w = keep(h, &o->held, msg);
    if (w == NULL || w->early) {
        return w != NULL;
    }
    w->id = num_id128_from(hub_mesh_now(h), &h->rng);
    w->targets = targets;
    int64_t wait_us = w->operation.ttl_us > 0 ? w->operation.ttl_us : HELD_WAIT_US;
    w->since_mesh_us = hub_mesh_now(h);
    w->until_us = h->now_us + wait_us;
    char memory[TEXT_BYTES_MAX];
    struct text t;
    text_init(&t, memory, sizeof(memory));
    text_add(&t, why);
    text_add(&t, "; it waits for ");
    text_i64(&t, wait_us / US_PER_S);
    text_add(&t, " s at most");
    hub_note(h, NOTE_OP_HELD, num_id128_low(w->id), h->mode);
    struct reply r = {.ref = w->ref,
                      .kind = REPLY_HELD,
                      .reason = REASON_MODE,
                      .text = memory,
                      .progress = {.targets = targets},
                      .operation_id = w->id};
    hub_reply(h, w->console, &r);
    return true;
}

/* It never went out: all of its targets are refused for that reason, or cancelled (REASON_NONE). */
static void refuse(struct orchestrator *o, struct held *w, enum reason reason, const char *why)
{
    struct hub *h = &o->hub;
    bool cancelled = reason == REASON_NONE;
    struct aggregate_view view = {.targets = w->targets, .other = w->targets};
    view.outcomes[cancelled ? OUTCOME_CANCELLED : OUTCOME_REFUSED] = w->targets;
    view.reasons[reason] = cancelled ? 0 : w->targets;
    struct quorum_rule rule =
        quorum_rule_for(w->operation.minimum_response_rate, w->operation.allow_partial);
    struct quorum_result q;
    quorum_check(&view, &rule, &q);
    struct report report = {.operation_id = w->id,
                            .strategy = w->operation.strategy,
                            .status = cancelled ? "CANCELLED" : "REFUSED",
                            .recommendation = why,
                            .decision = q.decision,
                            .decision_reason = q.reason,
                            .decision_recommendation = q.recommendation,
                            .created_mesh_us = w->since_mesh_us,
                            .finished_mesh_us = hub_mesh_now(h),
                            .aggregate = view};
    struct reply r = {.ref = w->ref,
                      .kind = REPLY_OPERATION,
                      .final = true,
                      .operation_id = w->id,
                      .report = &report};
    w->used = false;
    o->held.count--;
    h->figures.refused++;
    hub_note(h, NOTE_OP_REFUSED, num_id128_low(w->id), (uint64_t)reason);
    hub_reply(h, w->console, &r);
}

static const struct msg *submission(struct orchestrator *o, const struct held *w, struct msg *ret)
{
    struct command *c = &o->held.command;
    *c = (struct command){.ref = w->ref, .kind = COMMAND_SUBMIT, .operation = w->operation};
    c->operation.payload = w->payload;
    *ret = (struct msg){.type = MSG_COMMAND, .from = w->console, .to = o->hub.self};
    ret->u.command = c;
    return ret;
}

/* The oldest that came while the orchestrator settled, as if it came now: a job of its own, and a
 * row of the audit that says what became of it. False: there is none. */
static bool take_early(struct orchestrator *o)
{
    struct held *oldest = NULL;
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        struct held *w = &o->held.held[i];
        if (w->used && w->early && (oldest == NULL || (int32_t)(w->number - oldest->number) < 0)) {
            oldest = w;
        }
    }
    if (oldest == NULL) {
        return false;
    }
    struct msg m;
    oldest->used = false; /* the copy in `command` is what goes on, payload apart */
    o->held.count--;
    if (audit_begin(o, submission(o, oldest, &m))) {
        jobs_command(&o->jobs, m.u.command);
        hub_submit(&o->hub, &m);
        jobs_command(&o->jobs, NULL);
        audit_end(o);
    }
    return true;
}

/* False: it stays. */
static bool release(struct orchestrator *o, struct held *w)
{
    struct hub *h = &o->hub;
    struct msg m;
    const struct msg *again = submission(o, w, &m);
    if (w->operation.ttl_us > 0) {
        o->held.command.operation.ttl_us = w->until_us - h->now_us; /* what is left of it */
    }
    enum reason reason = hub_release(h, again, w->id, w->approved);
    if (reason == REASON_NONE) {
        w->used = false;
        o->held.count--;
        return true;
    }
    if (reason == REASON_INVALID || reason == REASON_CAPABILITY || reason == REASON_NOT_MINE) {
        refuse(o, w, reason, "made impossible while it waited");
        return true;
    }
    return false;
}

/* The first in line among those that the mode admits; NULL: none. */
static struct held *first(struct orchestrator *o)
{
    struct held *best = NULL;
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        struct held *w = &o->held.held[i];
        if (!w->used || w->early || judge(&o->hub, w) != MODE_ADMITS) {
            continue;
        }
        bool sooner = best == NULL || w->operation.priority > best->operation.priority ||
                      (w->operation.priority == best->operation.priority &&
                       (int32_t)(w->number - best->number) < 0);
        best = sooner ? w : best;
    }
    return best;
}

int64_t held_tick(struct orchestrator *o)
{
    struct hub *h = &o->hub;
    struct held_book *b = &o->held;
    if (b->count == 0) {
        b->next_us = NEVER;
    }
    if (h->now_us < b->next_us) {
        return b->next_us;
    }
    if (!outbox_room(h->out, RELEASE_EFFECTS, RELEASE_BYTES)) {
        h->short_of_room = true;
        return h->now_us;
    }
    for (uint32_t i = 0; i < HELD_MAX; i++) {
        struct held *w = &b->held[i];
        if (w->used && !w->early && h->now_us >= w->until_us) {
            refuse(o, w, REASON_EXPIRED, "its time was over before the mode admitted it");
            b->next_us = h->now_us + HELD_PAUSE_US; /* the others in their own steps */
            return b->next_us;
        }
    }
    if (h->settling) {
        b->next_us = h->now_us + HELD_EARLY_US;
        return b->next_us;
    }
    if (take_early(o)) {
        b->next_us = h->now_us;
        return b->next_us;
    }
    struct held *w = first(o);
    bool gone = w != NULL && release(o, w);
    b->next_us = h->now_us + (gone ? HELD_PAUSE_US : HELD_LOOK_US);
    return b->next_us;
}

/* --- consoles --- */

bool held_command(struct orchestrator *o, const struct msg *msg)
{
    const struct command *c = msg->u.command;
    if (c->kind != COMMAND_APPROVE && c->kind != COMMAND_CANCEL) {
        return false;
    }
    struct held *w = find(&o->held, &c->operation_id);
    if (w == NULL && c->kind == COMMAND_CANCEL) {
        return false;
    }
    if (w == NULL) {
        hub_reply_error(&o->hub, msg, REASON_INVALID,
                        hub_origin_find(&o->hub, &c->operation_id) != NULL
                            ? "the operation does not wait any more"
                            : "no operation of this id waits: 'jobs' lists those that do");
    } else if (c->kind == COMMAND_CANCEL) {
        hub_reply_ok(&o->hub, msg);
        refuse(o, w, REASON_NONE, "cancelled while it waited");
    } else if (!c->on) {
        hub_reply_ok(&o->hub, msg);
        refuse(o, w, REASON_MODE, "an operator rejected it");
    } else if (w->approved) {
        hub_reply_error(&o->hub, msg, REASON_INVALID, "it is approved already");
    } else if (judge(&o->hub, w) != MODE_APPROVAL) {
        hub_reply_error(&o->hub, msg, REASON_MODE,
                        "it waits for a better mode, not for approval ('jobs reject' ends it)");
    } else {
        w->approved = true;
        o->held.next_us = o->hub.now_us;
        hub_reply_ok(&o->hub, msg);
    }
    return true;
}

const char *held_state(const struct hub *h, const struct id128 *id)
{
    const struct orchestrator *o = (const struct orchestrator *)(const void *)h;
    for (uint32_t i = 0; o->held.count > 0 && i < HELD_MAX; i++) {
        const struct held *w = &o->held.held[i];
        if (w->used && !w->early && num_id128_equal(w->id, *id)) {
            return judge(&o->hub, w) == MODE_APPROVAL ? "approval" : "waiting";
        }
    }
    return NULL;
}

void held_count(const struct orchestrator *o, uint32_t *ret_waiting, uint32_t *ret_approvals)
{
    *ret_waiting = *ret_approvals = 0;
    for (uint32_t i = 0; o->held.count > 0 && i < HELD_MAX; i++) {
        const struct held *w = &o->held.held[i];
        if (!w->used || w->early) {
            continue;
        }
        if (judge(&o->hub, w) == MODE_APPROVAL) {
            (*ret_approvals)++;
        } else {
            (*ret_waiting)++;
        }
    }
}
