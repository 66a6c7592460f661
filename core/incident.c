/* Names and numbers of incidents. */
#include "core/incident.h"
#include "core/note.h"
#include "core/rng.h"
#include <assert.h>
#include <string.h>

static const char *const classes[FAILURE_CLASS_COUNT] = {
    "NONE",
    "TRANSIENT_NETWORK",
    "AGENT_CRASH",
    "IMPEDANCE_SPIKE",
    "CONTEXT_CORRUPTION",
    "BYZANTINE_BEHAVIOR",
    "CASCADE_FAILURE",
    "COORDINATOR_DOWN",
    "TIMING_ATTACK",
};

const char *failure_name(enum failure_class c)
{
    return (unsigned)c < FAILURE_CLASS_COUNT ? classes[c] : classes[0];
}

const char *incident_event_name(enum incident_event e)
{
    static const char *const names[INCIDENT_EVENT_COUNT] = {
        "none", "opened", "affected", "action", "recovered", "escalated", "resolved", "still"};
    return (unsigned)e < INCIDENT_EVENT_COUNT ? names[e] : names[0];
}

unsigned failure_priority(enum failure_class c)
{
    switch (c) {
    case FAILURE_TRANSIENT_NETWORK:
    case FAILURE_IMPEDANCE_SPIKE:
        return 1;
    case FAILURE_AGENT_CRASH:
        return 2;
    case FAILURE_COORDINATOR_DOWN:
    case FAILURE_TIMING_ATTACK:
        return 3;
    case FAILURE_CONTEXT_CORRUPTION: /* escalated at once (spec 6.1) */
    case FAILURE_BYZANTINE_BEHAVIOR:
    case FAILURE_CASCADE_FAILURE:
        return 4;
    case FAILURE_NONE:
    case FAILURE_CLASS_COUNT:
        break;
    }
    return 0;
}

enum failure_class failure_parse(const char *text)
{
    assert(text != NULL);
    for (int c = FAILURE_NONE + 1; c < FAILURE_CLASS_COUNT; c++) {
        if (strcmp(classes[c], text) == 0) {
            return (enum failure_class)c;
        }
    }
    return FAILURE_NONE;
}

uint64_t incident_name(struct unit unit, enum failure_class c, int64_t at_us)
{
    uint64_t state = unit_pack(unit) ^ (uint64_t)at_us << 8 ^ (uint64_t)c;
    uint64_t name = rng_splitmix(&state);
    return name != 0 ? name : 1;
}

uint64_t incident_event_id(uint64_t incident, uint32_t n)
{
    uint64_t state = incident + n;
    uint64_t id = rng_splitmix(&state);
    return id != 0 ? id : 1;
}
