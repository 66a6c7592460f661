/* Commands that need more than one request: diagnose, stuck, reassign, route-around. Each is a
 * short chain; the task (task.h) keeps the connection, the deadline and the end. */
#ifndef TIERS_CONSOLE_INQUIRY_H
#define TIERS_CONSOLE_INQUIRY_H

#include "core/commands.h"
#include "tiers/console/diagnosis.h"
#include "tiers/console/pages.h"

struct task;

struct inquiry {
    uint32_t step;
    uint32_t tries;
    struct pages clusters, agents;
    struct mesh_status status;
    struct work_row work[DIAGNOSIS_WORK_MAX];
    size_t work_count;
    uint32_t missing;
    struct command first; /* the request as the line meant it */
    struct work_row task; /* reassign: which */
    struct unit to;       /* reassign: who gets it */
    enum impedance_class to_class;
    struct place_set avoided; /* route-around --undo: whom new work avoided until now */
    uint64_t started_ms;
    struct findings findings; /* of the last one that ended; the dialogue reads it */
};

/* Whether the line is answered by a chain. */
bool inquiry_is(const struct invocation *in);

/* The first request of diagnose, stuck and reassign. */
bool inquiry_build(const struct invocation *in, const struct topology *t, struct command *ret,
                   char error[COMMAND_ERROR_MAX]);

/* Sends the first request; every reply comes back through inquiry_reply until the task ends. */
void inquiry_begin(struct task *t);
void inquiry_reply(struct task *t, const struct reply *reply);
void inquiry_done(struct inquiry *q);

#endif
