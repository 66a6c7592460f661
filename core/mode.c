/* The spec's table of 6.3, with two additions of design 8: STARTING until 95 % were once active (a
 * mesh that starts is not in an emergency), and one percent of hysteresis upwards. Shares are
 * compared in integers: no rounding decides a mode. */
#include "core/mode.h"
#include "core/plant.h"
#include <assert.h>
#include <stddef.h>

#define PRIORITY_CRITICAL 3u
#define PRIORITY_URGENT   2u
#define STARTED_PERMILLE  950u

static bool at_least(uint32_t active, uint32_t total, uint32_t permille)
{
    return (uint64_t)active * 1000u >= (uint64_t)total * permille;
}

static uint32_t threshold(enum mode mode)
{
    switch (mode) {
    case MODE_FULL:
        return PLANTED(PLANT_MODE_LOW) ? 900 : 950;
    case MODE_DEGRADED_LIGHT:
        return 800;
    case MODE_DEGRADED_MODERATE:
        return 600;
    case MODE_DEGRADED_SEVERE:
        return 300;
    case MODE_STARTING:
    case MODE_EMERGENCY:
    case MODE_COUNT:
        break;
    }
    return 0;
}

enum mode mode_update(enum mode now, uint32_t active, uint32_t total)
{
    assert(now < MODE_COUNT);
    assert(total >= 1 && active <= total);
    if (now == MODE_STARTING) {
        return at_least(active, total, STARTED_PERMILLE) ? MODE_FULL : MODE_STARTING;
    }
    enum mode mode = MODE_FULL;
    while (mode < MODE_EMERGENCY) {
        /* A better mode than the present one needs the margin. */
        uint32_t margin = mode < now ? MODE_RISE_PERMILLE : 0;
        if (at_least(active, total, threshold(mode) + margin)) {
            break;
        }
        mode++;
    }
    return mode;
}

static enum mode_verdict judge_moderate(const struct mode_case *c, const char **why)
{
    if (c->targets > MODE_SCATTER_MAX) {
        *why = "DEGRADED_MODERATE: operations over 1000 agents are disabled";
        return MODE_REFUSES;
    }
    if (c->operation->priority < PRIORITY_URGENT) {
        *why = "DEGRADED_MODERATE: non-urgent operations wait (priority below 2)";
        return MODE_WAITS;
    }
    return MODE_ADMITS;
}

static bool mesh_wide(const struct mode_case *c)
{
    return (uint64_t)c->targets * MODE_MESH_WIDE_SHARE > c->agents;
}

static enum mode_verdict judge_severe(const struct mode_case *c, const char **why)
{
    if (c->operation->priority < PRIORITY_CRITICAL) {
        *why = "DEGRADED_SEVERE: critical operations only (priority 3)";
        return MODE_REFUSES;
    }
    if (!mesh_wide(c) || c->approved) {
        return MODE_ADMITS;
    }
    *why = "DEGRADED_SEVERE: mesh-wide operations need an operator's approval";
    return c->human ? MODE_APPROVAL : MODE_REFUSES;
}

static enum mode_verdict judge_emergency(const struct mode_case *c, const char **why)
{
    const struct operation *op = c->operation;
    if (!c->human) {
        *why = "EMERGENCY: automated operations are halted";
        return MODE_REFUSES;
    }
    if (op->verb == VERB_OBSERVE || op->verb == VERB_ORIENT || op->verb == VERB_RECORD) {
        return MODE_ADMITS; /* the cause is to be investigated */
    }
    if (op->priority < PRIORITY_CRITICAL) {
        *why = "EMERGENCY: only observation, or critical operations (priority 3)";
        return MODE_REFUSES;
    }
    if (!mesh_wide(c) || c->approved) {
        return MODE_ADMITS;
    }
    *why = "EMERGENCY: mesh-wide operations need an operator's approval";
    return MODE_APPROVAL;
}

enum mode_verdict mode_judge(enum mode mode, const struct mode_case *c, const char **ret_why)
{
    assert(mode < MODE_COUNT && c != NULL && c->operation != NULL);
    assert(ret_why != NULL);
    const char *why = NULL;
    enum mode_verdict v = MODE_ADMITS;
    if (mode >= MODE_DEGRADED_LIGHT && mode <= MODE_DEGRADED_MODERATE &&
        c->operation->priority == 0) {
        why = mode == MODE_DEGRADED_LIGHT
                  ? "DEGRADED_LIGHT: background tasks are disabled (priority 0)"
                  : "DEGRADED_MODERATE: background tasks are disabled (priority 0)";
        v = MODE_REFUSES;
    } else if (mode == MODE_DEGRADED_MODERATE) {
        v = judge_moderate(c, &why);
    } else if (mode == MODE_DEGRADED_SEVERE) {
        v = judge_severe(c, &why);
    } else if (mode == MODE_EMERGENCY) {
        v = judge_emergency(c, &why);
    }
    assert((v == MODE_ADMITS) == (why == NULL));
    if (why != NULL) {
        *ret_why = why;
    }
    return v;
}

bool mode_admits_relay(enum mode mode, uint8_t priority)
{
    assert(mode < MODE_COUNT);
    return mode < MODE_DEGRADED_SEVERE ||
           (mode == MODE_DEGRADED_SEVERE && priority >= PRIORITY_CRITICAL);
}

bool mode_healthy_only(enum mode mode)
{
    assert(mode < MODE_COUNT);
    return mode >= MODE_DEGRADED_MODERATE;
}

uint32_t mode_retry_factor(enum mode mode)
{
    assert(mode < MODE_COUNT);
    return mode >= MODE_DEGRADED_LIGHT ? 2 : 1;
}

const char *mode_description(enum mode mode)
{
    assert(mode < MODE_COUNT);
    static const char *const texts[MODE_COUNT] = {
        [MODE_STARTING] = "Waiting for the agents",
        [MODE_FULL] = "All systems nominal",
        [MODE_DEGRADED_LIGHT] = "Minor capacity reduction",
        [MODE_DEGRADED_MODERATE] = "Significant capacity reduction",
        [MODE_DEGRADED_SEVERE] = "Major outage in progress",
        [MODE_EMERGENCY] = "Mesh critically impaired"};
    return texts[mode];
}

const char *mode_restrictions(enum mode mode)
{
    assert(mode < MODE_COUNT);
    static const char *const texts[MODE_COUNT] = {
        [MODE_STARTING] = "",
        [MODE_FULL] = "",
        [MODE_DEGRADED_LIGHT] = "background tasks are disabled, resends wait longer",
        [MODE_DEGRADED_MODERATE] = ("healthy sectors only, no operation over 1000 agents, "
                                    "non-urgent ones wait"),
        [MODE_DEGRADED_SEVERE] = "critical operations only, mesh-wide ones need approval",
        [MODE_EMERGENCY] = "automated operations are halted, state is preserved: find the cause"};
    return texts[mode];
}
