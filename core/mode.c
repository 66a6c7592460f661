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

static const char *refuse_moderate(const struct operation *op, uint32_t targets)
{
    if (targets > MODE_SCATTER_MAX) {
        return "DEGRADED_MODERATE: operations over 1000 agents are disabled";
    }
    return op->priority < PRIORITY_URGENT
               ? "DEGRADED_MODERATE: non-urgent operations wait (priority below 2)"
               : NULL;
}

static const char *refuse_severe(const struct operation *op, uint32_t targets, uint32_t agents,
                                 bool human)
{
    if (op->priority < PRIORITY_CRITICAL) {
        return "DEGRADED_SEVERE: critical operations only (priority 3)";
    }
    bool mesh_wide = (uint64_t)targets * MODE_MESH_WIDE_SHARE > agents;
    return mesh_wide && !human ? "DEGRADED_SEVERE: mesh-wide operations need an operator" : NULL;
}

static const char *refuse_emergency(const struct operation *op, bool human)
{
    if (!human) {
        return "EMERGENCY: automated operations are halted";
    }
    bool looks_only =
        op->verb == VERB_OBSERVE || op->verb == VERB_ORIENT || op->verb == VERB_RECORD;
    return !looks_only && op->priority < PRIORITY_CRITICAL
               ? "EMERGENCY: only observation, or critical operations (priority 3)"
               : NULL;
}

bool mode_admits(enum mode mode, const struct operation *op, uint32_t targets, uint32_t agents,
                 bool human, const char **ret_why)
{
    assert(mode < MODE_COUNT && op != NULL);
    assert(ret_why != NULL);
    const char *why = NULL;
    switch (mode) {
    case MODE_STARTING:
    case MODE_FULL:
    case MODE_COUNT:
        break;
    case MODE_DEGRADED_LIGHT:
        why =
            op->priority == 0 ? "DEGRADED_LIGHT: background tasks are disabled (priority 0)" : NULL;
        break;
    case MODE_DEGRADED_MODERATE:
        why = refuse_moderate(op, targets);
        break;
    case MODE_DEGRADED_SEVERE:
        why = refuse_severe(op, targets, agents, human);
        break;
    case MODE_EMERGENCY:
        why = refuse_emergency(op, human);
        break;
    }
    if (why != NULL) {
        *ret_why = why;
    }
    return why == NULL;
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
