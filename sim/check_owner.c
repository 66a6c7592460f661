/* One effective owner a unit and epoch: no two lives of a unit run under the same epoch, and where
 * a unit runs by itself a later life never under a lower one.
 *
 * With processes (world_process.h) two may believe at once that a unit is theirs: one of them stood
 * still. As long as the store answers, the former owner must have asked before it does anything
 * (core/lease.h): after a unit was started under a higher epoch, no older instance takes a step.
 * And nothing is taken over that no fault has touched.
 *
 * Agents are known by who they are, not by where: one that moves (core/move.h) has one life after
 * the other, and when it was started elsewhere it acts at the former place no more. */
#include "sim/check.h"

#define NODES_MAX 65536u

struct owners {
    uint64_t last[NODES_MAX]; /* by place: epoch + 1 of the last life */
};

/* From the first fault of the store on, the epochs alone decide. */
static bool store_failed(const struct scenario *s, int64_t now_us)
{
    for (uint32_t i = 0; i < s->act_count; i++) {
        const struct act *a = &s->acts[i];
        if (a->at_us <= now_us && (scenario_banks(a) >> STORE_BANK_DURABLE & 1u) != 0) {
            return true;
        }
    }
    return false;
}

static void started(struct judge *j, struct owners *o, const struct world_step *s, uint32_t place,
                    uint64_t epoch)
{
    bool alone = j->scenario->conf.processes == 0;
    if (epoch + 1 == o->last[place] || (alone && epoch + 1 < o->last[place])) {
        judge_fail(j, &check_owner, VERDICT_SAFETY, s, "starts under epoch %llu after %llu",
                   (unsigned long long)epoch, (unsigned long long)(o->last[place] - 1));
    }
    if (j->at >= j->places && s->unit.tier != TIER_ORCHESTRATOR &&
        !judge_touched(j, topology_parent(s->unit), s->unit, s->true_us)) {
        judge_fail(j, &check_owner, VERDICT_SAFETY, s, "is taken over, and nothing has touched it");
    }
    o->last[place] = epoch + 1 > o->last[place] ? epoch + 1 : o->last[place];
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    struct owners *o = state;
    bool agent = s->unit.tier == TIER_AGENT;
    uint32_t place = judge_place(j, agent ? judge_home(j, s->unit) : s->unit);
    uint64_t epoch = 0;
    if (place >= NODES_MAX) {
        return;
    }
    if (s->event->kind == EV_START && judge_noted(s, NOTE_STARTED, &epoch, NULL)) {
        started(j, o, s, place, epoch);
    } else if (agent && j->nodes[j->at].epoch + 1 < o->last[place]) {
        judge_fail(j, &check_owner, VERDICT_SAFETY, s, "acts in its life %llu; %llu has begun",
                   (unsigned long long)j->nodes[j->at].epoch,
                   (unsigned long long)(o->last[place] - 1));
    } else if (j->scenario->conf.processes > 0 && j->nodes[j->at].epoch + 1 < o->last[place] &&
               !store_failed(j->scenario, s->true_us)) {
        judge_fail(j, &check_owner, VERDICT_SAFETY, s, "acts under epoch %llu; %llu has begun",
                   (unsigned long long)j->nodes[j->at].epoch,
                   (unsigned long long)(o->last[place] - 1));
    }
}

const struct check check_owner = {.name = "owner", .bytes = sizeof(struct owners), .step = step};
