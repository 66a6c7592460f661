/* An operation in flight: send at T - lead, take acknowledgements, resend what is silent, end what
 * the deadline or a death ends, and say the result once nothing is open.
 *
 * State of a target is a bit in each of a few masks. Times are in the schedule: T - lead before the
 * first send, the time of the resend afterwards. Every target leaves `open` through flight_end(),
 * once, into the aggregate; so the sum of outcomes is the number of targets by construction, and
 * flight_result() asserts it.
 *
 * Live operations are looked at when their own time has come (live[], a dense array), those
 * of high priority first: when the outbox is short, the low ones wait for the next step. */
#include "core/plant.h"
#include "core/text.h"
#include "tiers/cluster/cluster_parts.h"
#include <assert.h>
#include <string.h>

#define RESENDS_MOST       3u                  /* two bit planes */
#define HELD_PART          2                   /* of the usual pause */
#define CANCEL_GRACE_US    (500ll * US_PER_MS) /* for what was sent to answer after a cancel */
#define PROGRESS_US        (500ll * US_PER_MS)
#define BUS_RETRY_US       (100ll * US_PER_MS)
#define CONFLICT_TEXT_SIZE 256u
#define EXCESS_US_MAX      (5 * US_PER_S)

static enum outcome silent_outcome(const struct lead_op *op, uint32_t i, bool cancelled)
{
    if (cancelled) {
        return OUTCOME_CANCELLED;
    }
    if ((op->pending >> i & 1u) != 0) {
        return PLANTED(PLANT_TRANSIT_READY) ? OUTCOME_READY : OUTCOME_TIMEOUT_EXECUTION;
    }
    /* Never sent in all that time: it was given up here, its TTL with it. */
    return (op->sent >> i & 1u) != 0 ? OUTCOME_TIMEOUT_DELIVERY : OUTCOME_REFUSED;
}

void flight_end(struct cluster *c, int64_t now_us, struct lead_op *op, uint32_t i,
                const struct aggregate_target *end)
{
    assert(op->state == LEAD_OP_OPEN);
    assert((op->open >> i & 1u) != 0);
    struct aggregate_target t = *end;
    t.agent = c->first + i;
    t.sent = (op->sent >> i & 1u) != 0;
    t.resent = (op->resent >> i & 1u) != 0;
    t.hedged = (op->hedged >> i & 1u) != 0;
    t.eligible = (op->ahead >> i & 1u) != 0;
    t.hit = t.hit && t.eligible; /* sent too late, it may come within half a window still */
    t.reached = t.reached || (op->pending >> i & 1u) != 0;
    if (t.reached) {
        op->first_answer_us = op->first_answer_us == 0 ? now_us : op->first_answer_us;
        op->last_answer_us = now_us;
        op->slowest = (uint8_t)i;
    }
    aggregate_add_target(&op->aggregate, &c->slab, &t);
    op->open &= ~bit_of(i);
    schedule_cancel(&op->schedule, &c->slab, bit_of(i));
    if (t.outcome == OUTCOME_CONFLICT) {
        members_conflict(c, now_us);
        c->members[i].conflicts++;
    }
    if (t.outcome == OUTCOME_TIMEOUT_EXECUTION &&
        c->members[i].agent_class == (uint8_t)CLASS_F_HUMAN) {
        op->people_late++;
    }
    c->minute_done += t.outcome == OUTCOME_READY;
    c->minute_failed += t.outcome == OUTCOME_FAILED || t.outcome == OUTCOME_TIMEOUT_DELIVERY ||
                        t.outcome == OUTCOME_TIMEOUT_EXECUTION || t.outcome == OUTCOME_UNREACHABLE;
}

void flight_end_mask(struct cluster *c, int64_t now_us, struct lead_op *op, uint64_t mask,
                     enum outcome outcome, enum reason reason)
{
    assert(outcome != OUTCOME_PENDING);
    assert((mask & ~op->open) == 0);
    struct aggregate_target end = {.outcome = outcome, .reason = reason};
    for (; mask != 0; mask &= mask - 1u) {
        flight_end(c, now_us, op, bits_lowest(mask), &end);
    }
}

void flight_settle(struct cluster *c, struct lead_op *op)
{
    assert(op->state == LEAD_OP_OPEN);
    assert(op->aggregate.targets + bits_count(op->open) == op->targets);
    if (op->open == 0) {
        op->state = LEAD_OP_ENDED;
        operate_touch(c, op, 0);
    }
}

/* --- sending --- */

static uint32_t attempt_of(const struct lead_op *op, uint32_t i)
{
    return (uint32_t)(op->again[0] >> i & 1u) | (uint32_t)(op->again[1] >> i & 1u) << 1;
}

/* Reminders of one operation meet on a grid, so that they go out as one message and not as one
 * frame, one signature and one copy of the operation for each agent: under load that is what turns
 * lateness into collapse. The grid's phase is the operation's own, so that leads do not meet. */
static int64_t on_grid(const struct lead_op *op, int64_t at_us, int64_t grid_us)
{
    int64_t phase_us = op->opened_us + (int64_t)(num_id128_low(op->id) % (uint64_t)grid_us);
    int64_t steps = (at_us - phase_us + grid_us - 1) / grid_us;
    return phase_us + steps * grid_us;
}

/* When agent i is to be reminded after a send at now_us: the predicted answer and what answers come
 * later than predicted of late (mean + 4 deviations, RFC 6298), and then twice as long each time;
 * longer in degraded modes. Of what is held until T the answer's moment is known but for its way
 * back, so it is missed in half the time (docs/adr/0058). NEVER: no more. */
static int64_t resend_at(struct cluster *c, int64_t now_us, const struct lead_op *op, uint32_t i,
                         const struct prediction *p)
{
    uint32_t attempt = attempt_of(op, i);
    uint32_t most = c->tuning.resends_max < RESENDS_MOST ? c->tuning.resends_max : RESENDS_MOST;
    if (attempt >= most) {
        return NEVER;
    }
    int64_t answer_us = now_us + p->lead_us + p->network_us;
    int64_t first_us = c->tuning.resend_us;
    if (op->timing == TIMING_AT && op->target_us > 0) {
        int64_t held_us = op->target_us + op->ack_delay_us + p->network_us;
        answer_us = held_us > answer_us ? held_us : answer_us;
        first_us /= HELD_PART;
    }
    attempt -= attempt > 0 && (op->hedged & ~op->replica & bit_of(i)) != 0 ? 1u : 0;
    int64_t pause_us = (first_us << attempt) * mode_retry_factor((enum mode)c->mode);
    int64_t late_us = (int64_t)c->excess_us + 4 * (int64_t)c->excess_dev_us;
    int64_t at_us = on_grid(op, answer_us + pause_us + late_us, pause_us / 2 + 1);
    return at_us < op->deadline_us && at_us < op->expires_us ? at_us : NEVER;
}

/* Marks a send of agent i and plans its resend. */
static void sent_one(struct cluster *c, int64_t now_us, struct lead_op *op, uint32_t i,
                     const struct prediction *p)
{
    uint64_t bit = bit_of(i);
    bool first = (op->sent & bit) == 0;
    if (!first) {
        uint32_t attempt = attempt_of(op, i) + 1u;
        op->again[0] = (op->again[0] & ~bit) | ((attempt & 1u) != 0 ? bit : 0);
        op->again[1] = (op->again[1] & ~bit) | ((attempt & 2u) != 0 ? bit : 0);
        op->resent |= bit;
    } else {
        op->sent |= bit;
        op->first_sent_us = op->first_sent_us == 0 ? now_us : op->first_sent_us;
        op->ahead |= op->target_us > 0 && now_us < op->target_us ? bit : 0;
    }
    if (!op->want_ack) {
        struct aggregate_target end = {.outcome = OUTCOME_READY};
        flight_end(c, now_us, op, i, &end);
        return;
    }
    int64_t at_us = resend_at(c, now_us, op, i, p);
    if (first && op->hedge) {
        int64_t hedge_us = hedge_at(c, now_us, op, i, p);
        op->hedge_due |= hedge_us < at_us ? bit : 0;
        at_us = time_least(at_us, hedge_us);
    }
    if (at_us != NEVER) {
        schedule_at(&op->schedule, &c->slab, i, at_us); /* without room it is not reminded */
    }
}

/* No hedge, or no more of it: the reminder of its first send. */
static void remind(struct cluster *c, int64_t now_us, struct lead_op *op, uint32_t i)
{
    struct prediction p = members_predict(c, i, op->weight);
    int64_t at_us = resend_at(c, op->opened_us + (int64_t)op->of[i].hedge_us, op, i, &p);
    if (at_us != NEVER) {
        schedule_at(&op->schedule, &c->slab, i, at_us > now_us ? at_us : now_us);
    }
}

/* Of those due, what really goes: a hedge needs its budget. */
static uint64_t hedges(struct cluster *c, int64_t now_us, struct lead_op *op, uint64_t due,
                       struct outbox *out)
{
    uint64_t refused = 0;
    uint64_t go = hedge_take(c, now_us, op, due, &refused);
    for (uint64_t rest = refused; rest != 0; rest &= rest - 1u) {
        remind(c, now_us, op, bits_lowest(rest));
    }
    if (go != 0) {
        cluster_note(out, NOTE_HEDGED, num_id128_low(op->id), bits_count(go));
    }
    return due & ~refused;
}

/* The number that agent i's target has, or would get now: serial, 0 is none. */
static uint32_t seq_of(const struct cluster *c, const struct lead_op *op, uint32_t i)
{
    if ((op->sent >> i & 1u) != 0) {
        return op->of[i].seq;
    }
    uint32_t next = c->members[i].seq[op->priority] + 1u;
    return next != 0 ? next : 1u;
}

/* Those whose number the agent's window has left behind by now: it would take a resend for a
 * duplicate. They are waited for until the deadline. All that are in flight fit the window; only
 * what stays silent while a thousand later ones pass comes to this. */
static uint64_t left_behind(const struct cluster *c, const struct lead_op *op, uint64_t mask)
{
    static_assert(LEAD_OPS_MAX <= OPERATE_WINDOW, "what is in flight can be sent again");
    uint64_t behind = 0;
    for (uint64_t rest = mask & op->sent; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        uint32_t newer = c->members[i].seq[op->priority] - op->of[i].seq;
        behind |= newer >= OPERATE_WINDOW ? bit_of(i) : 0;
    }
    return behind;
}

static void expect(const struct cluster *c, struct lead_op *op, uint32_t i,
                   const struct prediction *p)
{
    uint32_t queue = c->members[i].impedance.queue_depth;
    op->of[i].expected_us =
        (uint32_t)num_clamp_i64(p->network_us + p->processing_us, 0, PREDICTOR_LEAD_MAX_US);
    op->of[i].queue = (uint16_t)(queue < UINT16_MAX ? queue : UINT16_MAX);
}

/* One OPERATE to all agents of the mask, which share an attempt. False: no room. */
static bool send_mask(struct cluster *c, int64_t now_us, struct lead_op *op, uint64_t mask,
                      uint32_t attempt, struct outbox *out)
{
    struct target targets[MEMBERS_MAX];
    struct prediction predictions[MEMBERS_MAX];
    uint32_t low = bits_lowest(mask);
    uint32_t n = 0;
    for (uint64_t rest = mask; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        predictions[n] = members_predict(c, i, op->weight);
        const struct prediction *p = &predictions[n];
        int64_t lead_us = op->target_us > 0 ? op->target_us - now_us : 0;
        targets[n] = (struct target){.lead_us = (uint32_t)num_clamp_i64(lead_us, 0, UINT32_MAX),
                                     .expected_processing_us =
                                         (uint32_t)num_clamp_i64(p->processing_us, 0, UINT32_MAX),
                                     .confidence_permille = p->confidence_permille,
                                     .seq = seq_of(c, op, i)};
        n++;
    }
    struct msg m = {.type = MSG_OPERATE,
                    .priority = op->priority,
                    .to = cluster_agent(c, low),
                    .mask = n > 1 ? mask >> low : 0};
    m.u.operate = (struct operate){.operation_id = op->id,
                                   .deadline_mesh_us = op->deadline_mesh_us,
                                   .attempt = attempt,
                                   .target_count = n,
                                   .targets = targets};
    if (!cluster_send(c, out, &m)) {
        return false;
    }
    n = 0;
    for (uint64_t rest = mask; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        if ((op->sent >> i & 1u) == 0) {
            op->of[i].seq = seq_of(c, op, i);
            c->members[i].seq[op->priority] = op->of[i].seq;
            expect(c, op, i, &predictions[n]);
        }
        sent_one(c, now_us, op, i, &predictions[n++]);
    }
    cluster_note(out, attempt == 0 ? NOTE_SENT : NOTE_RESENT, num_id128_low(op->id), n);
    return true;
}

/* What is due goes out, grouped by attempt. What finds no room, or no bus, is due again. */
static void send_due(struct cluster *c, int64_t now_us, struct lead_op *op, struct outbox *out)
{
    uint64_t due = schedule_take(&op->schedule, &c->slab, now_us) & op->open;
    if (due != 0 && op->expires_us <= now_us) { /* TTL before a send and before a resend */
        flight_end_mask(c, now_us, op, due & ~op->sent, OUTCOME_REFUSED, REASON_EXPIRED);
        return;
    }
    due &= ~left_behind(c, op, due);
    if (c->bus_up && (due & op->hedge_due) != 0) {
        due = hedges(c, now_us, op, due, out);
    }
    uint64_t later = 0;
    if (!c->bus_up) {
        later = due;
        due = 0;
    }
    for (uint32_t attempt = 0; attempt <= RESENDS_MOST && due != 0; attempt++) {
        uint64_t group = 0;
        for (uint64_t rest = due; rest != 0; rest &= rest - 1u) {
            uint32_t i = bits_lowest(rest);
            uint32_t next = (op->sent >> i & 1u) != 0 ? attempt_of(op, i) + 1u : 0;
            group |= next == attempt ? bit_of(i) : 0;
        }
        if (group != 0 && !send_mask(c, now_us, op, group, attempt, out)) {
            later |= group;
        }
        due &= ~group;
    }
    int64_t again_us = c->bus_up ? now_us : now_us + BUS_RETRY_US;
    for (; later != 0; later &= later - 1u) {
        schedule_at(&op->schedule, &c->slab, bits_lowest(later), again_us);
    }
}

/* --- acknowledgements --- */

#define CLOCK_BELIEVED_US US_PER_S /* an error that a clock may claim and still be used */

/* What the answer tells about the load between here and there: how much later than predicted it is
 * back: after the release for what was held, else after the send, whose stamp the answer echoes, so
 * that reminders do not blur it (RFC 7323). */
static void learn_excess(struct cluster *c, int64_t now_us, const struct lead_op *op,
                         const struct ack *ack, uint32_t i)
{
    bool held = op->timing == TIMING_AT && ack->release_mesh_us > 0;
    if (ack->outcome == OUTCOME_PENDING || ack->echo_sent_us < op->opened_us ||
        ack->echo_sent_us > now_us || (held && !meshtime_ready(&c->time))) {
        return;
    }
    struct prediction p = members_predict(c, i, op->weight);
    int64_t from_us = held ? meshtime_to_local(&c->time, ack->release_mesh_us) + op->ack_delay_us
                           : ack->echo_sent_us + p.network_us + p.processing_us;
    if (held && from_us < ack->echo_sent_us + p.network_us) {
        from_us = ack->echo_sent_us + p.network_us; /* it answers a reminder: the first was lost */
    }
    int64_t excess_us = now_us - from_us - p.network_us;
    excess_us = num_clamp_i64(excess_us, 0, EXCESS_US_MAX);
    int64_t apart_us = excess_us - (int64_t)c->excess_us;
    c->excess_us = (uint32_t)((int64_t)c->excess_us + apart_us / 8);
    apart_us = (apart_us < 0 ? -apart_us : apart_us) - (int64_t)c->excess_dev_us;
    c->excess_dev_us = (uint32_t)((int64_t)c->excess_dev_us + apart_us / 4);
}

/* How far an answer's times contradict cause and effect: it came before it was sent, was done
 * before it came, or after its answer was here; 0: they do not, as far as the two clocks can tell.
 * What an agent says of its own clock is believed up to CLOCK_BELIEVED_US only. */
static int64_t odd_us(const struct cluster *c, int64_t now_us, const struct lead_op *op,
                      const struct ack *ack, uint32_t i)
{
    if (ack->received_mesh_us == 0 || ack->arrival_mesh_us == 0 || !meshtime_ready(&c->time) ||
        ack->clock_error_us == UINT32_MAX || ack->echo_sent_us > now_us) {
        return 0; /* nothing is made of them */
    }
    int64_t slack_us = num_clamp_i64(ack->clock_error_us, 0, CLOCK_BELIEVED_US) +
                       num_clamp_i64(meshtime_error_us(&c->time, now_us), 0, CLOCK_BELIEVED_US);
    /* Sent twice: the answer may name the second time, and the first have brought it. */
    int64_t sent_us = (op->resent >> i & 1u) != 0 ? op->opened_us : ack->echo_sent_us;
    int64_t early_us = cluster_mesh(c, sent_us) - slack_us - ack->received_mesh_us;
    int64_t undone_us = ack->received_mesh_us - ack->arrival_mesh_us;
    int64_t ahead_us = ack->arrival_mesh_us - cluster_mesh(c, now_us) - slack_us;
    int64_t most_us = early_us > undone_us ? early_us : undone_us;
    most_us = most_us > ahead_us ? most_us : ahead_us;
    return most_us > 0 ? most_us : 0;
}

/* What is made of an answer's times. */
struct ack_times {
    int64_t odd_us;
    bool timed; /* done, and its times are those of a clock worth the name */
};

static struct ack_times ack_times(const struct cluster *c, int64_t now_us, const struct lead_op *op,
                                  const struct ack *ack, uint32_t i)
{
    bool done = ack->outcome == OUTCOME_READY || ack->outcome == OUTCOME_CONFLICT;
    struct ack_times ret = {.odd_us = odd_us(c, now_us, op, ack, i)};
    ret.timed = done && ack->received_mesh_us != 0 && ack->arrival_mesh_us != 0 &&
                ack->clock_error_us != UINT32_MAX && meshtime_ready(&c->time) &&
                ack->echo_sent_us >= op->opened_us && ack->echo_sent_us <= now_us &&
                ret.odd_us == 0 &&
                /* Said again: it was there before the send that its answer names. */
                ((op->resent >> i & 1u) == 0 ||
                 ack->received_mesh_us >= cluster_mesh(c, ack->echo_sent_us));
    return ret;
}

/* Arrival against the predicted arrival (spec 11): after the send that the answer echoes, at the
 * centre of the prediction that was made at the first send, whatever has been learnt since. Not
 * against T: the lead time aims at T with a high quantile, so that most are early by design. */
static void compare(const struct cluster *c, const struct lead_op *op, const struct ack *ack,
                    uint32_t i, const struct ack_times *times, struct aggregate_target *t)
{
    t->predicted = times->timed;
    if (t->predicted) {
        int64_t arrival_us = meshtime_to_local(&c->time, ack->arrival_mesh_us);
        t->apart_us = arrival_us - (ack->echo_sent_us + (int64_t)op->of[i].expected_us);
    }
}

/* What the answer tells about the agent's speed. */
static void learn(struct cluster *c, int64_t now_us, const struct lead_op *op,
                  const struct ack *ack, uint32_t i, const struct ack_times *times)
{
    struct member *m = &c->members[i];
    m->impedance.queue_depth = timing_queue(c, i, ack->queue_depth);
    m->impedance.clock_error_us = ack->clock_error_us;
    if (!times->timed || !timing_answer(c, now_us, op, ack, i)) {
        return;
    }
    int64_t one_way_us = ack->received_mesh_us - cluster_mesh(c, ack->echo_sent_us);
    int64_t processing_us = ack->arrival_mesh_us - ack->received_mesh_us;
    struct predictor_tail *tail =
        c->tuning.predictor_tau > PREDICTOR_TAIL_FROM ? &c->tails[i] : NULL;
    predictor_observe_tail(&m->predictor, tail, &c->priors[m->agent_class], op->weight,
                           op->of[i].queue, one_way_us, processing_us, now_us);
    impedance_history_front(&m->history, op->front_us);
}

/* An answer that no agent within the contract gives. */
static bool ack_valid(const struct ack *ack)
{
    bool final = ack->outcome == OUTCOME_READY || ack->outcome == OUTCOME_CONFLICT ||
                 ack->outcome == OUTCOME_FAILED || ack->outcome == OUTCOME_REFUSED ||
                 ack->outcome == OUTCOME_TIMEOUT_EXECUTION; /* the agent ended its handler */
    return (final || ack->outcome == OUTCOME_PENDING) && (unsigned)ack->reason < REASON_COUNT &&
           ack->answer_bytes <= ANSWER_BYTES_MAX && (ack->answer_bytes == 0 || ack->answer != NULL);
}

/* The detail of a conflict is its answer when the agent gave no other: it stands in the result. */
static void conflict_text(const struct conflict_detail *d, struct text *t)
{
    text_add(t, "type=");
    text_add(t, conflict_type_name(d->type));
    text_add(t, " expected=");
    text_add_safe(t, d->expected, d->expected_bytes < 64 ? d->expected_bytes : 64);
    text_add(t, " received=");
    text_add_safe(t, d->received, d->received_bytes < 64 ? d->received_bytes : 64);
    text_add(t, " depth=");
    text_u64(t, d->divergence_depth);
    text_add(t, " affected=");
    text_u64(t, d->agents_affected);
    text_add(t, " context=");
    text_id128(t, d->context_hash);
}

/* Arrival and release against T, or against the creation when there is no T. */
static void times_of(const struct cluster *c, const struct lead_op *op, const struct msg *msg,
                     const struct ack_times *times, struct aggregate_target *t)
{
    const struct ack *ack = &msg->u.ack;
    /* Without times: it is said again, and the agent knows no more than its outcome. */
    bool clock =
        ack->clock_error_us != UINT32_MAX && ack->arrival_mesh_us != 0 && times->odd_us == 0;
    int64_t arrival_us = clock ? ack->arrival_mesh_us : cluster_mesh(c, msg->recv_us);
    int64_t from_us = op->target_us > 0 ? op->target_mesh_us : op->created_mesh_us;
    t->has_arrival = true;
    t->arrival_us = arrival_us - from_us;
    t->has_release = clock && ack->release_mesh_us > 0 && op->timing == TIMING_AT;
    t->release_us = t->has_release ? ack->release_mesh_us - op->target_mesh_us : 0;
    if (op->target_us > 0 && t->outcome == OUTCOME_READY) {
        int64_t error_us = t->has_release ? t->release_us : t->arrival_us;
        error_us = error_us < 0 ? -error_us : error_us;
        t->hit = error_us <= op->window_us / 2;
    }
}

/* What it said is kept beside the result, which does not change any more; without room in the slab
 * the count alone tells of it. */
static void ack_late(struct cluster *c, struct lead_op *op, const struct ack *ack, uint32_t i,
                     struct outbox *out)
{
    uint64_t bit = bit_of(i);
    if ((op->late & bit) == 0) {
        op->late |= bit;
        aggregate_add_late(&op->aggregate);
        struct aggregate *answers = operate_late_answers(c, op);
        if (answers != NULL) {
            struct aggregate_target t = {.agent = c->first + i,
                                         .outcome = ack->outcome,
                                         .reason = ack->reason,
                                         .answer = ack->answer_bytes > 0 ? ack->answer : NULL,
                                         .answer_bytes = ack->answer_bytes,
                                         .sent = true,
                                         .reached = true};
            aggregate_add_target(answers, &c->slab, &t);
        }
        cluster_note(out, NOTE_OP_LATE, num_id128_low(op->id), unit_pack(cluster_agent(c, i)));
    }
}

/* t: what compare() said of it; the rest is filled in here. */
static void ack_final(struct cluster *c, int64_t now_us, struct lead_op *op, const struct msg *msg,
                      uint32_t i, const struct ack_times *times, struct aggregate_target t,
                      struct outbox *out)
{
    const struct ack *ack = &msg->u.ack;
    t.outcome = ack->outcome;
    t.reason = ack->reason;
    t.answer = ack->answer_bytes > 0 ? ack->answer : NULL;
    t.answer_bytes = ack->answer_bytes;
    t.reached = true;
    t.late = ack->late;
    t.hedge_won = hedge_won(c, op, ack, i);
    char memory[CONFLICT_TEXT_SIZE];
    struct text text;
    text_init(&text, memory, sizeof memory);
    if (ack->outcome == OUTCOME_CONFLICT) {
        cluster_note(out, NOTE_CONFLICT, num_id128_low(op->id), unit_pack(cluster_agent(c, i)));
        if (ack->conflict != NULL && ack->answer_bytes == 0) {
            conflict_text(ack->conflict, &text);
            t.answer = (const uint8_t *)memory;
            t.answer_bytes = (uint32_t)text.used;
        }
    }
    bool answered = ack->outcome != OUTCOME_REFUSED;
    t.unexpected = answered && op->expectation != TRINARY_TRANSIT &&
                   (int)outcome_trinary(ack->outcome) != op->expectation;
    if (answered) {
        times_of(c, op, msg, times, &t);
    }
    if (t.late) {
        op->late |= bit_of(i);
    }
    flight_end(c, now_us, op, i, &t);
    flight_settle(c, op);
}

static void conflict_heard(struct cluster *c, int64_t now_us, const struct lead_op *op, uint32_t i,
                           const struct ack *ack)
{
    struct conflict_detail plain = {
        .type = CONFLICT_OTHER, .received = ack->answer, .received_bytes = ack->answer_bytes};
    struct conflict_seen seen = {.member = i,
                                 .operation = op->id,
                                 .action = op->action,
                                 .detail = ack->conflict != NULL ? ack->conflict : &plain};
    bool kept = conflict_add(c, now_us, &seen);
    if (kept && seen.detail->type == CONFLICT_HASH_MISMATCH) { /* the root will quarantine it */
        incident_begin(c, now_us, FAILURE_CONTEXT_CORRUPTION, bit_of(i));
        content_spoilt(c, i);
    }
}

static void keep_word(struct cluster *c, uint32_t i, const struct ack *ack)
{
    if (ack->answer_bytes > 0) {
        struct lead_word *w = &c->words[i];
        w->number = num_id128_equal(w->operation, ack->operation_id) ? w->number + 1u : 1u;
        w->operation = ack->operation_id;
        w->bytes = ack->answer_bytes < WORD_BYTES_MAX ? ack->answer_bytes : WORD_BYTES_MAX;
        memcpy(w->text, ack->answer, w->bytes);
    }
}

void flight_ack(struct cluster *c, int64_t now_us, const struct msg *msg, uint32_t i,
                struct outbox *out)
{
    assert(c != NULL && msg != NULL && out != NULL);
    assert(msg->type == MSG_ACK);
    const struct ack *ack = &msg->u.ack;
    if (!ack_valid(ack)) {
        cluster_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        cluster_failures(c, now_us, 1, out);
        return;
    }
    struct lead_op *op = operate_find(c, ack->operation_id);
    if (op == NULL || (op->sent >> i & 1u) == 0) {
        cluster_note(out, NOTE_UNEXPECTED, msg->type, unit_pack(msg->from));
        return; /* long forgotten, or never asked */
    }
    if (ack->outcome == OUTCOME_CONFLICT) { /* also a late one: it is information */
        conflict_heard(c, now_us, op, i, ack);
    } else if (ack->outcome == OUTCOME_READY) {
        content_loaded(c, now_us, op, i);
    }
    if ((op->open >> i & 1u) == 0) {
        if (ack->outcome != OUTCOME_PENDING && op->want_ack) {
            ack_late(c, op, ack, i, out);
        }
        return;
    }
    if (PLANTED(PLANT_LOST_ACK) && (op->resent >> i & 1u) != 0) {
        return;
    }
    struct ack_times times = ack_times(c, now_us, op, ack, i);
    if (times.odd_us > 0) {
        cluster_note(out, NOTE_ODD_TIMES, unit_pack(msg->from), (uint64_t)times.odd_us);
    }
    struct aggregate_target t = {0};
    compare(c, op, ack, i, &times, &t);
    learn(c, now_us, op, ack, i, &times);
    learn_excess(c, now_us, op, ack, i);
    hedge_heard(c, now_us, op, ack, i);
    if (ack->outcome == OUTCOME_PENDING) {
        op->pending |= bit_of(i);
        keep_word(c, i, ack);
        if ((op->hedge_due >> i & 1u) != 0) {
            op->hedge_due &= ~bit_of(i);
            schedule_cancel(&op->schedule, &c->slab, bit_of(i));
            remind(c, now_us, op, i);
        }
        return;
    }
    if (hedge_replace(c, now_us, op, ack, i, out)) {
        return;
    }
    ack_final(c, now_us, op, msg, i, &times, t, out);
}

/* --- ends --- */

void flight_cancel(struct cluster *c, int64_t now_us, const struct cancel *cancel)
{
    assert(c != NULL && cancel != NULL);
    struct lead_op *op = operate_find(c, cancel->operation_id);
    if (op == NULL || op->state != LEAD_OP_OPEN || op->cancelled) {
        return;
    }
    assert(op->open != 0);
    op->cancelled = true;
    flight_end_mask(c, now_us, op, op->open & ~op->sent, OUTCOME_CANCELLED, REASON_NONE);
    schedule_cancel(&op->schedule, &c->slab, op->open);
    op->cancel_send = op->open;
    op->deadline_us = time_least(op->deadline_us, now_us + CANCEL_GRACE_US);
    operate_touch(c, op, now_us);
    flight_settle(c, op);
}

void flight_member_gone(struct cluster *c, int64_t now_us, uint32_t i, enum outcome outcome,
                        enum reason reason)
{
    assert(c != NULL);
    assert(i < c->count);
    for (uint32_t k = 0; k < c->live_count; k++) {
        struct lead_op *op = cluster_op(c, c->live[k].slot);
        if (op->state == LEAD_OP_OPEN && (op->open >> i & 1u) != 0) {
            if (PLANTED(PLANT_FORGET_DEAD)) {
                op->deadline_us = NEVER;
                continue;
            }
            flight_end_mask(c, now_us, op, bit_of(i), outcome, reason);
            flight_settle(c, op);
        }
    }
}

/* The deadline: what is silent has its end by how far it came. That a person has not answered in
 * time is no failure of the cluster. */
static void expire(struct cluster *c, int64_t now_us, struct lead_op *op, struct outbox *out)
{
    uint32_t failures = 0;
    for (uint64_t rest = op->open; rest != 0; rest &= rest - 1u) {
        uint32_t i = bits_lowest(rest);
        enum outcome outcome = silent_outcome(op, i, op->cancelled);
        failures += outcome == OUTCOME_TIMEOUT_EXECUTION &&
                    c->members[i].agent_class != (uint8_t)CLASS_F_HUMAN;
        flight_end_mask(c, now_us, op, bit_of(i), outcome,
                        outcome == OUTCOME_REFUSED ? REASON_EXPIRED : REASON_NONE);
    }
    cluster_failures(c, now_us, failures, out);
}

bool flight_result(struct cluster *c, struct lead_op *op, struct outbox *out)
{
    assert(op->aggregate.targets + bits_count(op->open) == op->targets);
    struct aggregate_scratch scratch;
    struct result r = {
        .operation_id = op->id, .final = op->open == 0, .people_late = op->people_late};
    if (r.final) {
        uint32_t sum = 0;
        aggregate_view(&op->aggregate, &c->slab, &scratch, &r.aggregate);
        for (int k = OUTCOME_READY; k < OUTCOME_COUNT; k++) {
            sum += r.aggregate.outcomes[k];
        }
        assert(sum == r.aggregate.targets && sum == op->targets);
    } else {
        aggregate_counts(&op->aggregate, bits_count(op->open), &r.aggregate);
    }
    struct msg m = {.type = MSG_RESULT, .priority = op->priority, .to = c->sector};
    m.u.result = &r;
    return cluster_send(c, out, &m);
}

static void progress(struct cluster *c, int64_t now_us, struct lead_op *op, struct outbox *out)
{
    if (flight_result(c, op, out)) {
        op->progress_us = now_us + PROGRESS_US;
    }
}

static void cancel_agents(struct cluster *c, struct lead_op *op, struct outbox *out)
{
    uint32_t low = bits_lowest(op->cancel_send);
    struct msg m = {.type = MSG_CANCEL,
                    .priority = PRIORITY_COUNT - 1,
                    .to = cluster_agent(c, low),
                    .mask = op->cancel_send >> low};
    m.u.cancel.operation_id = op->id;
    if (cluster_send(c, out, &m)) {
        op->cancel_send = 0;
    }
}

/* Everything that is due for one operation; returns when to look again. NEVER: it is kept now. */
static int64_t op_tick(struct cluster *c, int64_t now_us, struct lead_op *op, struct outbox *out)
{
    if (op->state == LEAD_OP_OPEN) {
        if (op->cancel_send != 0) {
            cancel_agents(c, op, out);
        }
        if (op->deadline_us <= now_us) {
            expire(c, now_us, op, out);
        } else if (c->frozen == 0) { /* else it waits for THAW, or for its end */
            send_due(c, now_us, op, out);
        }
        if (op->open != 0 && op->progress_us <= now_us && c->bus_up) {
            progress(c, now_us, op, out);
        }
        flight_settle(c, op);
    }
    if (op->state == LEAD_OP_ENDED) {
        if (op->quorum > 0) {
            consensus_decide(c, now_us, op, out);
        }
        if (!c->bus_up) {
            return now_us + BUS_RETRY_US;
        }
        if (!flight_result(c, op, out)) {
            return now_us;
        }
        cluster_note(out, NOTE_OP_CLOSED, num_id128_low(op->id),
                     op->aggregate.outcomes[OUTCOME_READY]);
        query_span(c, now_us, op, out);
        operate_close(c, now_us, op);
        return NEVER;
    }
    int64_t next_us = c->frozen == 0 ? schedule_next_us(&op->schedule) : NEVER;
    next_us = time_least(next_us, op->deadline_us);
    next_us = time_least(next_us, c->bus_up ? op->progress_us : NEVER);
    return op->cancel_send != 0 ? now_us : next_us;
}

int64_t flight_tick(struct cluster *c, int64_t now_us, struct outbox *out)
{
    assert(c != NULL && out != NULL);
    operate_forget_kept(c, now_us);
    if (c->ops_next_us > now_us) {
        return c->ops_next_us;
    }
    c->ops_next_us = NEVER;
    for (uint32_t p = PRIORITY_COUNT; p-- > 0;) {
        for (uint32_t k = 0; k < c->live_count;) {
            struct lead_op *op = cluster_op(c, c->live[k].slot);
            if (c->live[k].next_us > now_us || op->priority != p) {
                k++;
                continue;
            }
            c->live[k].next_us = NEVER;
            uint32_t before = c->live_count;
            int64_t next_us = op_tick(c, now_us, op, out);
            if (c->live_count == before) { /* else another operation stands at k now */
                c->live[k].next_us = next_us;
                k++;
            }
        }
    }
    for (uint32_t k = 0; k < c->live_count; k++) {
        c->ops_next_us = time_least(c->ops_next_us, c->live[k].next_us);
    }
    assert(c->live_count <= LEAD_OPS_MAX);
    return c->ops_next_us;
}
