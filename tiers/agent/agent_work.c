/* What others ask of the agent: queue, handler, hold, answer.
 *
 *   QUEUED --handler free--> RUNNING --READY before T, TIMING_AT--> HELD --T--> RELEASED --> free
 *                               `------------anything else-----------------------> ANSWER ------^
 *
 * ANSWER is passed through at once unless the outbox is full; then the tick tries again. The table
 * has a dozen rows, so the four priority queues are a search through it: highest priority first,
 * each AGENT_AGEING_US of waiting counts as one more, then earliest T - processing, then arrival.
 * TTL is checked on arrival, when dequeued and before a held effect.
 *
 * Nothing runs twice: sequence numbers are checked before anything is taken in (RFC 6479, a window
 * of 1,024 for each priority), so it does not matter how many operations are in flight, how late
 * their acknowledgements are or how often they are sent again. Without any
 * mesh time (no beat answered yet) nobody can tell what has expired, and nothing runs; before its
 * clock is locked, T is reckoned from the lead's own lead time. */
#include "core/fault.h"
#include "core/plant.h"
#include "tiers/agent/agent_state.h"
#include <assert.h>
#include <string.h>

#define ALL_TASKS ((1u << AGENT_TASKS_MAX) - 1u)

void work_done(struct agent *a, struct task *t)
{
    assert(a != NULL && t != NULL);
    assert(t->state != TASK_FREE);
    memset(t, 0, sizeof(*t)); /* TASK_FREE; what is zero costs a packed agent nothing */
    a->tasks_in = (uint16_t)(a->tasks_in & ~(1u << (t - a->tasks)));
}

uint32_t work_queue_depth(const struct agent *a)
{
    assert(a != NULL);
    uint32_t n = 0;
    for (uint64_t rest = a->tasks_in; rest != 0; rest &= rest - 1u) {
        const struct task *t = &a->tasks[num_lowest_bit(rest)];
        n += t->state == TASK_QUEUED || t->state == TASK_RUNNING;
    }
    assert(n <= AGENT_TASKS_MAX);
    return n;
}

static bool expired(const struct agent *a, int64_t now_us, int64_t expires_mesh_us)
{
    return meshtime_known(&a->time) && agent_mesh(a, now_us) >= expires_mesh_us &&
           !PLANTED(PLANT_NO_TTL);
}

static uint8_t task_priority(const struct operation *op)
{
    return op->priority < PRIORITY_COUNT ? op->priority : PRIORITY_COUNT - 1u;
}

static struct task *task_find(struct agent *a, struct id128 id)
{
    for (uint64_t rest = a->tasks_in; rest != 0; rest &= rest - 1u) {
        struct task *t = &a->tasks[num_lowest_bit(rest)];
        if (num_id128_equal(t->id, id)) {
            return t;
        }
    }
    return NULL;
}

/* This agent's entry of the message's targets; NULL when the message does not have it. */
static const struct target *own_target(const struct agent *a, const struct msg *msg)
{
    const struct operate *o = &msg->u.operate;
    if (o->targets == NULL || o->target_count == 0) {
        return NULL;
    }
    if (o->target_count == 1) {
        return &o->targets[0];
    }
    uint32_t bit = (uint32_t)a->self.agent - msg->to.agent;
    if (bit >= 64 || (msg->mask >> bit & 1u) == 0) {
        return NULL;
    }
    uint32_t rank = 0;
    for (uint64_t below = msg->mask & ((1ull << bit) - 1u); below != 0; below &= below - 1u) {
        rank++;
    }
    return rank < o->target_count ? &o->targets[rank] : NULL;
}

/* The queued task that would be served last; NULL: none is queued. */
static struct task *task_lowest(struct agent *a)
{
    struct task *lowest = NULL;
    for (uint64_t rest = a->tasks_in; rest != 0; rest &= rest - 1u) {
        struct task *t = &a->tasks[num_lowest_bit(rest)];
        if (t->state == TASK_QUEUED &&
            (lowest == NULL || t->priority < lowest->priority ||
             (t->priority == lowest->priority && t->since_us >= lowest->since_us))) {
            lowest = t;
        }
    }
    return lowest;
}

static void finish(struct agent *a, int64_t now_us, struct task *t, enum outcome outcome,
                   enum reason reason, struct outbox *out)
{
    t->outcome = (uint8_t)outcome;
    t->reason = (uint8_t)reason;
    t->arrival_mesh_us = agent_mesh(a, now_us);
    t->took_us = t->state == TASK_QUEUED ? 0 : t->took_us;
    t->state = TASK_ANSWER;
    t->due_us = now_us;
    ack_final(a, now_us, t, 0, NULL, 0, NULL, out);
}

/* A free row, made by dropping something lower when need be; NULL: the newcomer is refused. */
static struct task *task_room(struct agent *a, int64_t now_us, uint8_t priority, struct outbox *out)
{
    if (a->tasks_in != ALL_TASKS && !fault(out, FAULT_QUEUE_FULL)) {
        return &a->tasks[num_lowest_bit(~(uint64_t)a->tasks_in)];
    }
    struct task *lowest = task_lowest(a);
    if (lowest == NULL || lowest->priority >= priority) {
        return NULL;
    }
    agent_note(out, NOTE_QUEUE_DROP, num_id128_low(lowest->id), lowest->priority);
    finish(a, now_us, lowest, OUTCOME_REFUSED, REASON_OVERLOAD, out);
    return lowest->state == TASK_FREE ? lowest : NULL;
}

/* --- the window --- */

void work_new_lead(struct agent *a, int64_t now_us)
{
    assert(a != NULL);
    assert(now_us >= 0);
    memset(a->windows, 0, sizeof a->windows);
    for (uint64_t rest = a->tasks_in; rest != 0; rest &= rest - 1u) {
        a->tasks[num_lowest_bit(rest)].seq = 0; /* a number of the former lead */
    }
    a->lead_since_ms = meshtime_ready(&a->time) ? agent_mesh(a, now_us) / US_PER_MS : 0;
}

static uint64_t window_bit(uint32_t seq)
{
    return 1ull << seq % 64u;
}

static uint32_t window_word(uint32_t seq)
{
    return seq % OPERATE_WINDOW / 64u;
}

enum window_verdict { WINDOW_NEW, WINDOW_TAKEN, WINDOW_OLD };

static enum window_verdict window_look(const struct window *w, uint32_t seq)
{
    int32_t ahead = (int32_t)(seq - w->top);
    if (w->top == 0 || ahead > 0) {
        return WINDOW_NEW;
    }
    if (ahead <= -(int32_t)OPERATE_WINDOW) {
        return WINDOW_OLD;
    }
    return (w->taken[window_word(seq)] & window_bit(seq)) != 0 ? WINDOW_TAKEN : WINDOW_NEW;
}

/* seq is taken in. Each number between the old top and it is cleared once, however they come. */
static void window_take(struct window *w, uint32_t seq)
{
    assert(seq != 0);
    int32_t ahead = (int32_t)(seq - w->top);
    if (w->top == 0 || ahead >= (int32_t)OPERATE_WINDOW) {
        memset(w->taken, 0, sizeof w->taken);
        w->top = seq;
    }
    while ((int32_t)(seq - w->top) > 0) {
        w->top++;
        w->taken[window_word(w->top)] &= ~window_bit(w->top);
    }
    w->taken[window_word(seq)] |= window_bit(seq);
    w->ready[window_word(seq)] &= ~window_bit(seq);
}

void work_ready(struct agent *a, const struct task *t)
{
    assert(a != NULL && t != NULL);
    assert(t->priority < PRIORITY_COUNT);
    struct window *w = &a->windows[t->priority];
    if (t->seq != 0 && window_look(w, t->seq) == WINDOW_TAKEN) {
        w->ready[window_word(t->seq)] |= window_bit(t->seq);
    }
}

/* Whether this is something that was taken in before, and said so. */
static bool repeated(struct agent *a, int64_t now_us, const struct msg *msg,
                     const struct operation *op, uint32_t seq, struct outbox *out)
{
    struct task *t = task_find(a, op->id);
    enum window_verdict v = WINDOW_NEW;
    if (t == NULL && PLANTED(PLANT_NO_WINDOW)) {
        return false;
    }
    if (seq != 0) {
        v = window_look(&a->windows[task_priority(op)], seq);
    }
    if (t != NULL) {
        t->echo_sent_us = msg->sent_us;
        ack_pending(a, now_us, t, out);
    } else if (ack_repeat(a, now_us, op->id, msg, out)) {
        v = WINDOW_TAKEN;
    } else if (v == WINDOW_TAKEN) {
        const struct window *w = &a->windows[task_priority(op)];
        bool ready = (w->ready[window_word(seq)] & window_bit(seq)) != 0;
        ack_received(a, now_us, msg, op, seq, ready, out);
    }
    /* Older than the window: perhaps done, perhaps never here. Silence says neither. */
    bool again = t != NULL || v != WINDOW_NEW;
    if (again) {
        agent_note(out, NOTE_DUPLICATE, num_id128_low(op->id), 0);
    }
    return again;
}

/* Whether it may have been done and forgotten: the windows say nothing about agents' messages and
 * about what an earlier lead sent. */
static bool doubtful(const struct agent *a, const struct msg *msg, const struct operation *op,
                     uint32_t seq)
{
    int64_t ms = num_id128_ms(op->id);
    bool again =
        msg->type == MSG_RELAY || (seq == 0 && msg->u.operate.attempt > 0) || ms < a->lead_since_ms;
    return again && ms <= a->forgotten_ms;
}

/* Admission, common to operations and messages of other agents (seq 0). NULL: answered already. */
static struct task *admit(struct agent *a, int64_t now_us, const struct msg *msg,
                          const struct operation *op, uint32_t seq, struct outbox *out)
{
    int64_t expires_us = op->created_mesh_us + num_clamp_i64(op->ttl_us, 0, TTL_US_MAX);
    struct task *t = NULL;
    if (repeated(a, now_us, msg, op, seq, out)) {
        return NULL;
    }
    enum reason reason = REASON_NONE;
    if (expired(a, now_us, expires_us)) {
        reason = REASON_EXPIRED;
    } else if (doubtful(a, msg, op, seq)) {
        reason = REASON_OVERLOAD;
    } else if ((op->unknown_capability || (op->selector.capabilities & ~a->capabilities) != 0) &&
               !PLANTED(PLANT_NO_CAPABILITY)) {
        reason = REASON_CAPABILITY;
    } else if ((t = task_room(a, now_us, op->priority, out)) == NULL) {
        reason = REASON_OVERLOAD;
    }
    if (reason != REASON_NONE) {
        /* Not taken in: a resend may find room. */
        ack_refuse(a, now_us, msg, op, reason, out);
        if (op->hedge && op->selector.sample > 0 && seq != 0) {
            /* Another agent may take its place now: this refusal is for good. */
            window_take(&a->windows[task_priority(op)], seq);
        }
        return NULL;
    }
    if (seq != 0) {
        struct window *w = &a->windows[task_priority(op)];
        if (w->top != 0 && (int32_t)(seq - w->top) < 0 && msg->u.operate.attempt == 0) {
            agent_note(out, NOTE_OUT_OF_ORDER, num_id128_low(op->id), seq);
        }
        window_take(w, seq);
    }
    *t = (struct task){.id = op->id,
                       .received_mesh_us = agent_mesh(a, msg->recv_us),
                       .target_mesh_us = op->timing == TIMING_SOON ? 0 : op->target_mesh_us,
                       .expires_mesh_us = expires_us,
                       .echo_sent_us = msg->sent_us,
                       .since_us = now_us,
                       .due_us = NEVER,
                       .pending_us = now_us + AGENT_PENDING_US,
                       .state = TASK_QUEUED,
                       .priority = task_priority(op),
                       .work = ++a->work_count,
                       .seq = seq,
                       .hold = op->timing == TIMING_AT && op->target_mesh_us > 0,
                       .want_answer = op->require_answer,
                       .want_ack = op->require_ack};
    a->tasks_in = (uint16_t)(a->tasks_in | 1u << (t - a->tasks));
    return t;
}

void work_operate(struct agent *a, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    assert(a != NULL && msg != NULL && out != NULL);
    assert(msg->type == MSG_OPERATE);
    const struct operation *op = msg->u.operate.operation;
    if (op == NULL) { /* its bytes are gone from the process: TTL over, or never valid */
        agent_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        return;
    }
    const struct target *target = own_target(a, msg);
    struct task *t = admit(a, now_us, msg, op, target != NULL ? target->seq : 0, out);
    if (t == NULL) {
        return;
    }
    t->deadline_mesh_us = msg->u.operate.deadline_mesh_us;
    t->ack_delay_us =
        (uint32_t)schedule_ack_delay_us(a->topology, op, a->self, t->deadline_mesh_us);
    t->took_us = target != NULL ? target->expected_processing_us : 0;
    if (t->hold && !meshtime_ready(&a->time)) {
        /* No clock yet: T is as far away as the lead sent early. Local time stands in. */
        t->target_mesh_us =
            agent_mesh(a, msg->recv_us) + (target != NULL ? (int64_t)target->lead_us : 0);
    }
    int64_t wait_us = t->hold ? t->target_mesh_us - agent_mesh(a, now_us) : 0;
    wait_us = wait_us > t->took_us ? wait_us : (int64_t)t->took_us;
    if (wait_us > (op->hedge ? HEDGE_SAY_US : AGENT_PENDING_US)) {
        ack_pending(a, now_us, t, out);
    }
}

void work_relayed(struct agent *a, int64_t now_us, const struct msg *msg, struct outbox *out)
{
    assert(a != NULL && msg != NULL && out != NULL);
    assert(msg->type == MSG_RELAY);
    const struct operation *op = msg->u.relay.operation;
    if (op == NULL || op->action[0] == '\0') {
        agent_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        return;
    }
    struct task *t = admit(a, now_us, msg, op, 0, out);
    if (t != NULL) {
        t->relay = true;
        t->pending_us = NEVER;
    }
}

void work_cancel(struct agent *a, const struct cancel *cancel)
{
    assert(a != NULL && cancel != NULL);
    struct task *t = task_find(a, cancel->operation_id);
    if (t == NULL) {
        return;
    }
    assert(t->state != TASK_FREE);
    if (t->state == TASK_RELEASED) {
        return; /* the effect is there: it is answered in its time */
    }
    if (t->state == TASK_RUNNING) {
        t->hold = false;
        t->cancelled = true; /* the tick that ends this step tells the handler, when it has room */
        return;
    }
    /* Queued, or done and waiting for T: nobody has seen an effect, so there will be none. The lead
     * counts it as cancelled without an answer. */
    ack_cancelled(a, t);
}

/* Key of "earliest T - processing first": what has no T is due since it came. */
static int64_t task_due(const struct task *t)
{
    return t->target_mesh_us > 0 ? t->target_mesh_us - t->took_us : t->received_mesh_us;
}

static uint32_t task_rank(const struct task *t, int64_t now_us)
{
    int64_t raised = (now_us - t->since_us) / AGENT_AGEING_US + t->priority;
    return (uint32_t)num_clamp_i64(raised, 0, PRIORITY_COUNT - 1);
}

/* Of one rank: whether t is served before u. What came in one moment (after a pause, all of it)
 * goes in the order in which it was taken in. */
static bool task_before(const struct task *t, const struct task *u)
{
    int64_t apart_us = task_due(t) - task_due(u);
    bool sooner = apart_us < 0 || (apart_us == 0 && (int32_t)(t->work - u->work) < 0);
    return sooner != PLANTED(PLANT_LAST_FIRST);
}

static struct task *task_first(struct agent *a, int64_t now_us)
{
    struct task *best = NULL;
    for (uint64_t rest = a->tasks_in; rest != 0; rest &= rest - 1u) {
        struct task *t = &a->tasks[num_lowest_bit(rest)];
        if (t->state != TASK_QUEUED) {
            continue;
        }
        if (best == NULL || task_rank(t, now_us) > task_rank(best, now_us) ||
            (task_rank(t, now_us) == task_rank(best, now_us) && task_before(t, best))) {
            best = t;
        }
    }
    return best;
}

static uint64_t work_ref(const struct agent *a, const struct task *t)
{
    return (uint64_t)t->work << 8 | (uint64_t)(t - a->tasks);
}

static void start_ready(struct agent *a, int64_t now_us, struct outbox *out)
{
    if (!meshtime_known(&a->time)) {
        return; /* nobody knows what has expired; the answer to a beat brings the time, and a step
                 */
    }
    while ((a->running < a->handlers_max || PLANTED(PLANT_UNBOUNDED)) &&
           (!a->frozen || PLANTED(PLANT_FROZEN_OPENS))) {
        struct task *t = task_first(a, now_us);
        if (t == NULL) {
            return;
        }
        if (expired(a, now_us, t->expires_mesh_us)) {
            finish(a, now_us, t, OUTCOME_REFUSED, REASON_EXPIRED, out);
            continue;
        }
        if (!outbox_room(out, 1, 0)) {
            a->starved = true;
            return;
        }
        int64_t until_us = meshtime_ready(&a->time)
                               ? meshtime_to_local(&a->time, t->expires_mesh_us)
                               : now_us + AGENT_RELAY_TTL_US;
        t->work = ++a->work_count;
        t->state = TASK_RUNNING;
        t->since_us = now_us;
        t->due_us = until_us + AGENT_WORK_GRACE_US;
        a->running++;
        if (PLANTED(PLANT_EARLY_ACK)) {
            t->outcome = OUTCOME_READY;
            ack_final(a, now_us, t, 0, NULL, 0, NULL, out);
            continue;
        }
        struct work_op op = {.ref = work_ref(a, t),
                             .kind = WORK_HANDLER,
                             .deadline_us = until_us,
                             .operation = t->id};
        out_work(out, &op);
    }
}

/* The effect at T. What is said of it waits (schedule_ack_delay_us): at T, thousands of agents of
 * one process have this to do, and nothing else. */
static void release(struct agent *a, int64_t now_us, struct task *t, struct outbox *out)
{
    int64_t mesh_us = agent_mesh(a, now_us);
    if (expired(a, now_us, t->expires_mesh_us)) {
        t->outcome = OUTCOME_REFUSED;
        t->reason = REASON_EXPIRED;
        ack_final(a, now_us, t, 0, NULL, 0, NULL, out);
        return;
    }
    int64_t late_us = mesh_us - t->target_mesh_us;
    agent_note(out, NOTE_RELEASED, num_id128_low(t->id), (uint64_t)(late_us > 0 ? late_us : 0));
    t->release_mesh_us = mesh_us;
    t->state = TASK_RELEASED;
    t->due_us = now_us + t->ack_delay_us;
}

/* A handler has ended, or is given up. Other agents' messages are in no trace of an operation. */
static void say_run(struct agent *a, int64_t now_us, const struct task *t, enum outcome outcome,
                    enum reason reason, struct outbox *out)
{
    struct span s = {.kind = SPAN_RUN,
                     .failed = outcome != OUTCOME_READY && outcome != OUTCOME_CANCELLED,
                     .unit = a->self,
                     .operation = t->id,
                     .start_mesh_us = agent_mesh(a, t->since_us),
                     .end_mesh_us = agent_mesh(a, now_us),
                     .received_us = t->received_mesh_us,
                     .outcome = outcome,
                     .reason = reason};
    if (a->spans && !t->relay && s.start_mesh_us > 0) {
        out_span(out, &s);
    }
}

void work_reply(struct agent *a, int64_t now_us, const struct work_reply *reply, struct outbox *out)
{
    assert(a != NULL && reply != NULL && out != NULL);
    uint32_t slot = (uint32_t)(reply->ref & 0xffu);
    struct task *t = slot < AGENT_TASKS_MAX ? &a->tasks[slot] : NULL;
    if (t == NULL || t->state != TASK_RUNNING || work_ref(a, t) != reply->ref) {
        return; /* given up before */
    }
    if (reply->emit != NULL) {
        relay_emit(a, now_us, reply->emit, t->id, out);
    }
    if (!reply->final) {
        ack_word(a, now_us, t, reply->answer, reply->answer_bytes, out);
        return;
    }
    assert(a->running > 0);
    a->running--;
    t->arrival_mesh_us = agent_mesh(a, now_us);
    t->took_us = (uint32_t)num_clamp_i64(now_us - t->since_us, 0, UINT32_MAX);
    bool known = reply->verdict == OUTCOME_READY || reply->verdict == OUTCOME_CONFLICT;
    bool timed_out = reply->verdict == OUTCOME_TIMEOUT_EXECUTION;
    t->outcome = (uint8_t)(known || timed_out ? reply->verdict : OUTCOME_FAILED);
    t->reason = (uint8_t)(known ? REASON_NONE
                                : (reply->reason != REASON_NONE ? reply->reason : REASON_HANDLER));
    profiler_done(&a->profiler, now_us, t->took_us, known);
    agent_note(out, NOTE_EXECUTED, num_id128_low(t->id), t->outcome);
    say_run(a, now_us, t, (enum outcome)t->outcome, (enum reason)t->reason, out);
    uint32_t bytes = t->want_answer ? reply->answer_bytes : 0;
    bytes = bytes <= ANSWER_BYTES_MAX ? bytes : ANSWER_BYTES_MAX;
    t->state = TASK_ANSWER;
    t->due_us = now_us;
    if (t->outcome == OUTCOME_READY && t->hold && t->target_mesh_us > t->arrival_mesh_us) {
        t->answer = ack_answer_put(a, reply->answer, bytes);
        t->state = TASK_HELD;
        t->due_us = meshtime_to_local(&a->time, t->target_mesh_us);
        return;
    }
    if (t->outcome == OUTCOME_READY && t->hold) {
        t->release_mesh_us = t->arrival_mesh_us;
        agent_note(out, NOTE_RELEASED, num_id128_low(t->id),
                   (uint64_t)(t->release_mesh_us - t->target_mesh_us));
    }
    if (!ack_final(a, now_us, t, t->release_mesh_us, bytes > 0 ? reply->answer : NULL, bytes,
                   reply->conflict, out)) {
        t->answer = ack_answer_put(a, reply->answer, bytes); /* said by the tick */
    }
}

/* One task's timers. */
static void task_tick(struct agent *a, int64_t now_us, struct task *t, struct outbox *out)
{
    if (t->state == TASK_HELD && t->due_us <= now_us && !a->frozen) {
        release(a, now_us, t, out);
    }
    if (t->state == TASK_ANSWER || (t->state == TASK_RELEASED && t->due_us <= now_us)) {
        ack_final(a, now_us, t, t->release_mesh_us, NULL, 0, NULL, out);
    } else if (t->state == TASK_RUNNING && t->cancelled) {
        if (!outbox_room(out, 1, 0)) {
            a->starved = true;
            return;
        }
        out_work_cancel(out, work_ref(a, t)); /* the lead counts it without an answer */
        a->running--;
        say_run(a, now_us, t, OUTCOME_CANCELLED, REASON_NONE, out);
        ack_cancelled(a, t);
    } else if (t->state == TASK_RUNNING && t->due_us <= now_us && outbox_room(out, 1, 0)) {
        out_work_cancel(out, work_ref(a, t)); /* the work's one answer never came */
        a->running--;
        t->took_us = (uint32_t)num_clamp_i64(now_us - t->since_us, 0, UINT32_MAX);
        say_run(a, now_us, t, OUTCOME_FAILED, REASON_HANDLER, out);
        finish(a, now_us, t, OUTCOME_FAILED, REASON_HANDLER, out);
    }
    if (t->state != TASK_FREE && t->pending_us <= now_us) {
        ack_pending(a, now_us, t, out);
    }
}

int64_t work_tick(struct agent *a, int64_t now_us, struct outbox *out)
{
    assert(a != NULL && out != NULL);
    int64_t next_us = NEVER;
    for (uint64_t rest = a->tasks_in; rest != 0; rest &= rest - 1u) {
        task_tick(a, now_us, &a->tasks[num_lowest_bit(rest)], out);
    }
    start_ready(a, now_us, out);
    for (uint64_t rest = a->tasks_in; rest != 0; rest &= rest - 1u) {
        const struct task *t = &a->tasks[num_lowest_bit(rest)];
        bool waits = a->frozen && t->state == TASK_HELD;
        assert(t->state != TASK_FREE);
        next_us = t->due_us < next_us && !waits ? t->due_us : next_us;
        next_us = t->pending_us < next_us ? t->pending_us : next_us;
    }
    return next_us;
}
