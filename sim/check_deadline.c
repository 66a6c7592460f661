/* Nothing stays open past its deadline: a lead or sector that opened an operation has said its
 * final result SLACK_US after the deadline that it was given. Looked at whenever the node takes a
 * step; a node that stood still, or whose bus is down, is given time anew. One without mesh
 * time reckons from when it heard of the operation: the later of the two counts. */
#include "sim/check.h"

#define SLACK_US  (5 * US_PER_S)
#define GAP_US    (2 * US_PER_S) /* between two steps: it stood still */
#define NODES_MAX 8192u

struct deadlines {
    struct {
        int64_t stepped_us, excused_us;
        bool bus_down;
    } row[NODES_MAX];
};

static void look(struct judge *j, const struct world_step *s, uint32_t i, int64_t excused_us)
{
    uint64_t life = j->nodes[i].epoch + 1;
    for (uint32_t k = 0; k < JUDGE_SLOTS; k++) {
        for (const struct judged_op *o = j->ops[k]; o != NULL; o = o->next) {
            const struct judged_part *p = &o->parts[i];
            int64_t end_us = o->deadline_mesh_us - WORLD_UNIX_US;
            int64_t given_us = p->opened_us + o->deadline_mesh_us - o->created_mesh_us;
            int64_t late_us = s->true_us - (given_us > end_us ? given_us : end_us);
            if (p->opened_in == life && !p->closed && late_us > SLACK_US &&
                s->true_us - excused_us > SLACK_US) {
                judge_fail(j, &check_deadline, VERDICT_SAFETY, s,
                           "an operation is open %lld ms after its deadline",
                           (long long)(late_us / US_PER_MS));
                return;
            }
        }
    }
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    struct deadlines *d = state;
    uint32_t i = judge_index(j, s->unit);
    if (i >= NODES_MAX || (s->unit.tier != TIER_CLUSTER && s->unit.tier != TIER_SECTOR)) {
        return;
    }
    if (s->event->kind == EV_LINK && s->event->u.link.which == LINK_BUS) {
        d->row[i].bus_down = !s->event->u.link.up;
    }
    if (s->event->kind == EV_START || s->true_us - d->row[i].stepped_us > GAP_US ||
        d->row[i].bus_down) {
        d->row[i].excused_us = s->true_us;
    }
    d->row[i].stepped_us = s->true_us;
    if (s->event->kind == EV_MSG && s->event->u.msg->type == MSG_OPERATE &&
        judge_noted(s, NOTE_OP_OPENED, NULL, NULL)) {
        struct judged_part *p = judge_part(j, &s->event->u.msg->u.operate.operation_id, s->unit);
        if (p != NULL) {
            p->opened_in = j->nodes[i].epoch + 1;
            p->opened_us = s->true_us;
        }
    }
    look(j, s, i, d->row[i].excused_us);
}

const struct check check_deadline = {
    .name = "deadline", .bytes = sizeof(struct deadlines), .step = step};
