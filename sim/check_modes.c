/* Modes follow the spec's thresholds (6.3), written down here once more: a mode is left downwards
 * as soon as its share is not reached, upwards only 1 % above the better mode's threshold, and
 * STARTING lasts until 95 % were active. */
#include "sim/check.h"

#define INSTANCES_MAX 1024u

struct modes {
    uint32_t last[INSTANCES_MAX]; /* by instance: two may be there for a while */
};

static uint32_t share_of(enum mode m)
{
    static const uint32_t permille[MODE_COUNT] = {
        [MODE_FULL] = 950,
        [MODE_DEGRADED_LIGHT] = 800,
        [MODE_DEGRADED_MODERATE] = 600,
        [MODE_DEGRADED_SEVERE] = 300,
    };
    return permille[m];
}

static void step(struct judge *j, void *state, const struct world_step *s)
{
    struct modes *v = state;
    uint64_t mode = 0, permille = 0;
    if (s->unit.tier != TIER_ORCHESTRATOR) {
        return;
    }
    uint32_t *before = &v->last[j->at % INSTANCES_MAX];
    if (s->event->kind == EV_START) {
        *before = MODE_STARTING;
    }
    if (!judge_noted(s, NOTE_MODE, &mode, &permille) || mode >= MODE_COUNT) {
        return;
    }
    enum mode now = (enum mode)mode, last = (enum mode) * before;
    if (j->coverage != NULL) {
        j->coverage->modes[last][now]++;
    }
    bool rose = last != MODE_STARTING && now < last;
    uint32_t least = share_of(now) + (rose ? 10 : 0);
    uint32_t better = now > MODE_FULL ? share_of(now - 1) : 1001;
    bool too_low = permille + 1 < least; /* the note's share is rounded down */
    bool too_high = permille > better + (last == now - 1 ? 0 : 10);
    if (now == MODE_STARTING || too_low || (too_high && now != MODE_FULL)) {
        judge_fail(j, &check_modes, VERDICT_SAFETY, s, "%s after %s at %llu permille",
                   mode_name(now), mode_name(last), (unsigned long long)permille);
    }
    *before = now;
}

const struct check check_modes = {.name = "modes", .bytes = sizeof(struct modes), .step = step};
