/* One owner a unit and epoch: no two lives of a unit run under the same epoch, and a later life
 * never under a lower one. */
#include "sim/check.h"

#define NODES_MAX 65536u

struct owners {
    uint64_t last[NODES_MAX]; /* epoch + 1 of the last life */
};

static void step(struct judge *j, void *state, const struct world_step *s)
{
    struct owners *o = state;
    uint32_t i = judge_index(j, s->unit);
    uint64_t epoch = 0;
    if (s->event->kind != EV_START || i >= NODES_MAX ||
        !judge_noted(s, NOTE_STARTED, &epoch, NULL)) {
        return;
    }
    if (epoch + 1 <= o->last[i]) {
        judge_fail(j, &check_owner, VERDICT_SAFETY, s, "starts under epoch %llu after %llu",
                   (unsigned long long)epoch, (unsigned long long)(o->last[i] - 1));
    }
    o->last[i] = epoch + 1;
}

const struct check check_owner = {.name = "owner", .bytes = sizeof(struct owners), .step = step};
