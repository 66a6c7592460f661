/* No operation is forgotten that was acknowledged with an id: an orchestrator that takes over knows
 * of each that its predecessors had told and not answered, TAKEN_US after its start. What it makes
 * of them (its own report, adding up) is the business of the other checkers.
 *
 * The stated limits are excused (docs/adr/0033): more jobs than the table holds, and a store that
 * failed. */
#include "core/num.h"
#include "sim/check.h"
#include "tiers/orchestrator/orchestrator_jobs.h"
#include <stdlib.h>
#include <string.h>

#define TAKEN_US (10 * US_PER_S)

struct told {
    struct id128 id;
    uint64_t epoch;   /* under which it was told */
    uint64_t resumed; /* the epoch + 1 under which it was taken up last */
    bool answered;
};

struct jobs_kept {
    struct told *told;
    uint32_t count, room;
    uint64_t judged; /* epoch + 1 */
};

static bool store_failed(const struct scenario *s, int64_t now_us)
{
    for (uint32_t i = 0; i < s->act_count; i++) {
        const struct act *a = &s->acts[i];
        bool registry = (scenario_banks(a) >> STORE_BANK_REGISTRY & 1u) != 0;
        bool durable = (scenario_banks(a) >> STORE_BANK_DURABLE & 1u) != 0; /* two may lead then */
        if (a->at_us <= now_us && (registry || durable || a->kind == ACT_TWIN)) {
            return true;
        }
    }
    return false;
}

static struct told *find(struct jobs_kept *v, const struct id128 *id)
{
    for (uint32_t i = 0; i < v->count; i++) {
        if (memcmp(v->told[i].id.bytes, id->bytes, sizeof(id->bytes)) == 0) {
            return &v->told[i];
        }
    }
    return NULL;
}

static void tell(struct jobs_kept *v, const struct id128 *id, uint64_t epoch)
{
    if (find(v, id) != NULL) {
        return;
    }
    if (v->count == v->room) {
        v->room = v->room > 0 ? v->room * 2 : 64;
        v->told = realloc(v->told, v->room * sizeof(*v->told));
        if (v->told == NULL) {
            abort();
        }
    }
    v->told[v->count++] = (struct told){.id = *id, .epoch = epoch};
}

static void said(struct jobs_kept *v, const struct msg *m, uint64_t epoch)
{
    const struct reply *r = m->type == MSG_REPLY ? m->u.reply : NULL;
    if (r == NULL || m->to.tier != TIER_CONSOLE) {
        return;
    }
    if (r->kind == REPLY_ACCEPTED || r->kind == REPLY_HELD) {
        tell(v, &r->operation_id, epoch);
    } else if (r->kind == REPLY_OPERATION) {
        struct told *t = find(v, &r->report->operation_id);
        if (t != NULL) {
            t->answered = true;
        }
    }
}

static void resumed(struct jobs_kept *v, uint64_t low, uint64_t epoch)
{
    for (uint32_t i = 0; i < v->count; i++) {
        if (num_id128_low(v->told[i].id) == low) {
            v->told[i].resumed = epoch + 1;
        }
    }
}

static void look(struct judge *j, struct jobs_kept *v, const struct world_step *s, uint64_t epoch)
{
    for (uint32_t i = 0; i < v->count; i++) {
        const struct told *t = &v->told[i];
        if (!t->answered && t->epoch < epoch && t->resumed != epoch + 1) {
            judge_fail(j, &check_jobs, VERDICT_SAFETY, s,
                       "forgets operation %08llx, which was told under epoch %llu",
                       (unsigned long long)num_id128_low(t->id), (unsigned long long)t->epoch);
            return;
        }
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    struct jobs_kept *v = state;
    if (s->unit.tier != TIER_ORCHESTRATOR) {
        return;
    }
    const struct judged_node *node = &j->nodes[j->at];
    for (uint32_t i = 0; i < s->out->effect_count; i++) {
        const struct effect *fx = &s->out->effects[i];
        if (fx->kind == FX_SEND) {
            said(v, &fx->u.msg, node->epoch);
        } else if (fx->kind == FX_NOTE && fx->u.note.note == NOTE_OP_RESUMED) {
            resumed(v, fx->u.note.a, node->epoch);
        }
    }
    if (node->epoch + 1 > v->judged && s->true_us - node->started_us >= TAKEN_US &&
        v->count <= JOBS_MAX && !store_failed(j->scenario, s->true_us)) {
        v->judged = node->epoch + 1;
        look(j, v, s, node->epoch);
    }
}

bool check_jobs_kept(const struct judge *j)
{
    const struct scenario *s = j->scenario;
    return s->act_count < JOBS_MAX && !store_failed(s, INT64_MAX);
}

static void done(void *state)
{
    free(((struct jobs_kept *)state)->told);
}

const struct check check_jobs = {
    .name = "jobs", .bytes = sizeof(struct jobs_kept), .step = step, .done = done};
