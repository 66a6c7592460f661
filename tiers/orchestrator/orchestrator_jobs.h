/* Jobs: the operations that consoles started, by their id, for any console and after its own has
 * gone. Running ones with their counts, ended ones with their whole report.
 *
 * JOBS_MAX are kept; a new one takes the place of the one that ended first, or, when all run, of
 * the one that began first: that one goes on and is answered to its console, but is listed no more.
 * Kept in memory: another orchestrator begins with none. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_JOBS_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_JOBS_H

#include "core/hub.h"

#define JOBS_MAX           256u
#define JOB_FOLLOWERS_MAX  4u     /* consoles attached to one job; one more is refused */
#define JOB_REPORT_BYTES   16384u /* what a report points to; without that room: counts alone */
#define JOB_INPUT_MAX      65u    /* with NUL: the start of the payload */
#define JOBS_FOLLOWERS_ALL 64u    /* of all jobs together; one more is refused */

struct job {
    bool used, running;
    uint32_t number; /* rises by one with each job */
    struct id128 id;
    struct unit console;
    int64_t created_mesh_us, finished_mesh_us;
    char action[ACTION_MAX];
    char input[JOB_INPUT_MAX];
    uint32_t targets, outcomes[OUTCOME_COUNT], late; /* so far */
    struct report report;                            /* ended; its parts are in `parts` */
    struct reply reply;
    _Alignas(16) uint8_t parts[JOB_REPORT_BYTES];
};

struct job_follower {
    bool used, due, follow; /* due: something is to be sent; follow: until the job ends */
    bool told;              /* the id was sent */
    uint32_t number;        /* of its job */
    struct unit console;
    uint64_t ref;
};

struct jobs {
    struct job jobs[JOBS_MAX];
    uint32_t last_number;
    struct job_follower followers[JOBS_FOLLOWERS_ALL];
    uint32_t due;                  /* followers to be served */
    const struct command *command; /* of this step, while it is admitted */
    /* NULL: it does not wait for the mode. Else what it waits for, in a word. */
    const char *(*waits)(const struct hub *h, const struct id128 *id);
    struct pager pager;
    _Alignas(16) uint8_t memory[81920]; /* of the pager */
};

/* A command begins (NULL: it ended); jobs_reply then knows what it was. */
void jobs_command(struct jobs *j, const struct command *command);
/* Sees each reply to a console. */
void jobs_reply(struct jobs *j, struct hub *h, struct unit console, const struct reply *reply);
/* QUERY_JOBS, QUERY_JOB, QUERY_ATTACH. False: another query. */
bool jobs_query(struct jobs *j, struct hub *h, const struct msg *msg);
/* Serves those that follow. The node's clock now: there is more than fits this step; NEVER. */
int64_t jobs_tick(struct jobs *j, struct hub *h);

#endif
