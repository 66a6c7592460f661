/* Breakers follow spec 6.2: CLOSED to OPEN only with more failures than the threshold in sight, and
 * always when six agents of a cluster died within a window; OPEN lasts about 30 s at least;
 * HALF_OPEN 60 s before it is CLOSED. Nothing else is an edge. */
#include "core/breaker.h"
#include "sim/check.h"

#define NODES_MAX     8192u
#define OPEN_LEAST_US (BREAKER_OPEN_US * 9 / 10 - 50 * US_PER_MS)
#define HALF_LEAST_US (BREAKER_HALF_US - 100 * US_PER_MS)
#define FAILURES_MAX  64u
#define MUST_US       (50 * US_PER_S) /* less than the window, whatever its buckets do */

struct breakers {
    struct {
        int64_t since_us;
        int64_t failed_us[FAILURES_MAX]; /* the last ones that count, whatever else may */
        uint32_t failures, unexpected;
        uint8_t state;
    } row[NODES_MAX];
};

/* What a lead may have counted at most: deaths, answers outside the contract, and all that was sent
 * and not answered by an operation of the last two minutes. */
static uint32_t evidence(struct judge *j, const struct breakers *b, uint32_t i, int64_t now_us)
{
    uint32_t n = b->row[i].unexpected + b->row[i].failures;
    for (uint32_t k = 0; k < JUDGE_SLOTS; k++) {
        for (const struct judged_op *o = j->ops[k]; o != NULL; o = o->next) {
            const struct judged_part *p = &o->parts[i];
            bool recent = o->created_mesh_us + 120 * US_PER_S > WORLD_UNIX_US + now_us;
            n += recent && p->sent > p->ready ? p->sent - p->ready : 0;
        }
    }
    return n;
}

static void moved(struct judge *j, struct breakers *b, uint32_t i, const struct world_step *s,
                  uint8_t now)
{
    uint8_t last = b->row[i].state;
    int64_t lasted_us = s->true_us - b->row[i].since_us;
    bool edge = (last == CIRCUIT_CLOSED && now == CIRCUIT_OPEN) ||
                (last == CIRCUIT_OPEN && (now == CIRCUIT_HALF_OPEN || now == CIRCUIT_OPEN)) ||
                (last == CIRCUIT_HALF_OPEN && (now == CIRCUIT_CLOSED || now == CIRCUIT_OPEN));
    if (j->coverage != NULL) {
        j->coverage->circuits[last][now]++;
    }
    if (!edge) {
        judge_fail(j, &check_breakers, VERDICT_SAFETY, s, "%s after %s",
                   circuit_name((enum circuit)now), circuit_name((enum circuit)last));
    } else if ((last == CIRCUIT_OPEN && lasted_us < OPEN_LEAST_US) ||
               (now == CIRCUIT_CLOSED && lasted_us < HALF_LEAST_US)) {
        judge_fail(j, &check_breakers, VERDICT_SAFETY, s, "%s after %lld ms of %s",
                   circuit_name((enum circuit)now), (long long)(lasted_us / US_PER_MS),
                   circuit_name((enum circuit)last));
    } else if (s->unit.tier == TIER_CLUSTER && last == CIRCUIT_CLOSED &&
               evidence(j, b, i, s->true_us) <= BREAKER_CLUSTER_THRESHOLD) {
        judge_fail(j, &check_breakers, VERDICT_SAFETY, s, "OPEN with %u failures in sight",
                   evidence(j, b, i, s->true_us));
    }
    b->row[i].state = now;
    b->row[i].since_us = s->true_us;
}

/* Of those that were not done in time, at least so many were no people, who count in no breaker.
 * Which of them is where is not followed here: agents move. */
static uint32_t no_people(const struct judge *j, uint32_t late)
{
    uint32_t people = j->topology.class_agents[CLASS_F_HUMAN];
    return late > people ? late - people : 0;
}

/* n more: deaths, and targets that were admitted and not done in time. */
static void failed(struct breakers *b, uint32_t i, const struct world_step *s, uint32_t n)
{
    for (uint32_t k = 0; k < n && k < FAILURES_MAX; k++) {
        b->row[i].failed_us[b->row[i].failures++ % FAILURES_MAX] = s->true_us;
    }
}

/* After a lead's step: more than the threshold within the window, and still closed. */
static void must_trip(struct judge *j, struct breakers *b, uint32_t i, const struct world_step *s)
{
    uint32_t n = b->row[i].failures;
    if (s->unit.tier != TIER_CLUSTER || n <= BREAKER_CLUSTER_THRESHOLD ||
        b->row[i].state != CIRCUIT_CLOSED) {
        return;
    }
    int64_t sixth_us = b->row[i].failed_us[(n - 1 - BREAKER_CLUSTER_THRESHOLD) % FAILURES_MAX];
    if (sixth_us >= b->row[i].since_us && s->true_us - sixth_us < MUST_US &&
        s->out->effect_count + 4 < OUTBOX_EFFECTS_MAX) {
        judge_fail(j, &check_breakers, VERDICT_SAFETY, s,
                   "six failures within %lld ms, and the circuit is closed",
                   (long long)((s->true_us - sixth_us) / US_PER_MS));
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    struct breakers *b = state;
    uint32_t i = judge_index(j, s->unit);
    if (i >= NODES_MAX || s->unit.tier == TIER_AGENT) {
        return;
    }
    if (s->event->kind == EV_START) {
        b->row[i].state = CIRCUIT_CLOSED;
        b->row[i].since_us = s->true_us;
        b->row[i].failures = b->row[i].unexpected = 0;
    }
    for (uint32_t k = 0; k < s->out->effect_count; k++) {
        const struct effect *fx = &s->out->effects[k];
        if (fx->kind == FX_SEND && fx->u.msg.type == MSG_OPERATE &&
            fx->u.msg.u.operate.attempt == 0) {
            struct judged_part *p = judge_part(j, &fx->u.msg.u.operate.operation_id, s->unit);
            if (p != NULL) {
                p->sent += fx->u.msg.u.operate.target_count;
            }
        }
        if (fx->kind == FX_SEND && fx->u.msg.type == MSG_RESULT && fx->u.msg.u.result->final) {
            struct judged_part *p = judge_part(j, &fx->u.msg.u.result->operation_id, s->unit);
            if (p != NULL && !p->closed) {
                p->closed = true;
                const uint32_t *outcomes = fx->u.msg.u.result->aggregate.outcomes;
                failed(b, i, s, no_people(j, outcomes[OUTCOME_TIMEOUT_EXECUTION]));
            }
        }
        if (fx->kind != FX_NOTE) {
            continue;
        }
        const struct note_record *n = &fx->u.note;
        b->row[i].unexpected += n->note == NOTE_UNEXPECTED;
        if (n->note == NOTE_CHILD_DOWN) {
            failed(b, i, s, 1);
        }
        if (n->note == NOTE_CIRCUIT && unit_equal(unit_unpack(n->a), s->unit) &&
            n->b < CIRCUIT_COUNT) {
            moved(j, b, i, s, (uint8_t)n->b);
        }
    }
    must_trip(j, b, i, s);
}

const struct check check_breakers = {
    .name = "breakers", .bytes = sizeof(struct breakers), .step = step};
