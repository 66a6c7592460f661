/* Incidents (spec 6.1, 10.3): one failure class at one unit, from detection to its end, as a
 * timeline of events in the log "incidents" (append only, hash-chained). An incident is open from
 * its row "opened" to its row "resolved"; between them stand what was done about it ("action"), who
 * came back ("recovered") and whether it went beyond what is done by itself ("escalated").
 *
 * A lead keeps one incident of a class at a time, for all of its agents that it concerns, and sends
 * its events up as reports (conflict.h: kept and repeated until they are in the log). The root has
 * its own of sectors, and closes those of which no lead speaks any more. Pure tables. */
#ifndef CORE_INCIDENT_H
#define CORE_INCIDENT_H

#include "core/limits.h"
#include "core/unit.h"
#include <stdint.h>

enum failure_class {
    FAILURE_NONE,
    FAILURE_TRANSIENT_NETWORK,
    FAILURE_AGENT_CRASH,
    FAILURE_IMPEDANCE_SPIKE,
    FAILURE_CONTEXT_CORRUPTION,
    FAILURE_BYZANTINE_BEHAVIOR,
    FAILURE_CASCADE_FAILURE,
    FAILURE_COORDINATOR_DOWN, /* spec 10.3: a sector or the leads below it */
    FAILURE_TIMING_ATTACK,    /* spec 9.2: core/timing.h */
    FAILURE_CLASS_COUNT
};

enum incident_event {
    INCIDENT_NONE,
    INCIDENT_OPENED,
    INCIDENT_AFFECTED, /* more agents of the same lead */
    INCIDENT_ACTION,
    INCIDENT_RECOVERED,
    INCIDENT_ESCALATED,
    INCIDENT_RESOLVED,
    INCIDENT_STILL, /* no row: it goes on */
    INCIDENT_EVENT_COUNT
};

#define INCIDENT_STILL_US  (60ll * US_PER_S)  /* an open one is spoken of that often .. */
#define INCIDENT_SILENT_US (200ll * US_PER_S) /* .. and closed after that long without a word */

const char *failure_name(enum failure_class c);         /* "AGENT_CRASH" */
const char *incident_event_name(enum incident_event e); /* "opened": of its row */
unsigned failure_priority(enum failure_class c);        /* 1 to 4, as those of conflicts */
/* The class of that name; FAILURE_NONE: none. */
enum failure_class failure_parse(const char *text);

/* The name of an incident: 16 hex digits, never 0. */
uint64_t incident_name(struct unit unit, enum failure_class c, int64_t at_us);
/* The name of its n-th event: saying it again is that one row. */
uint64_t incident_event_id(uint64_t incident, uint32_t n);

#endif
