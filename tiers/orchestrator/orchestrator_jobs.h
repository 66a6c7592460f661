/* Jobs: the operations that consoles started, by their id, for any console and after its own has
 * gone. Running ones with their counts, ended ones with their whole report.
 *
 * JOBS_MAX are kept; a new one takes the place of the one that ended first, or, when all run, of
 * the one that began first: that one goes on and is answered to its console, but is listed no more.
 *
 * The table is in the registry, too (docs/adr/0033): a job is written in the step that tells its
 * id, at each new phase, when it is cancelled and when it ends, and an orchestrator that takes over
 * reads it, lists what had ended, and takes up what ran. */
#ifndef TIERS_ORCHESTRATOR_ORCHESTRATOR_JOBS_H
#define TIERS_ORCHESTRATOR_ORCHESTRATOR_JOBS_H

#include "core/hub.h"
#include "tiers/orchestrator/job_record.h"

#define JOBS_MAX 256u
/* Writes without an answer; what changes beyond them waits for one. */
#define JOBS_WRITES_MAX 64u
#define JOBS_WAIT_US    (5ll * US_PER_S) /* for an answer of the store */
#define JOBS_AGAIN_US   US_PER_S         /* after a refusal */
/* From the start on: until the registry has been read nothing is admitted, so long at most. */
#define JOBS_SETTLE_US     (2ll * US_PER_S)
#define JOB_FOLLOWERS_MAX  4u  /* consoles attached to one job; one more is refused */
#define JOBS_FOLLOWERS_ALL 64u /* of all jobs together; one more is refused */

struct job {
    bool used, dirty; /* dirty: the registry does not have it as it is */
    bool resume;      /* a predecessor's, to be taken up */
    uint32_t number;  /* rises by one with each job */
    struct job_head head;
    char status[JOB_STATUS_MAX]; /* of one that has ended */
    const struct origin *origin; /* of one that runs; NULL: none yet */
    uint64_t store_ref;          /* a write without an answer; 0: none */
    int64_t store_until_us;
    uint32_t got, packed_bytes; /* got: bits of the rows that have been read */
    uint8_t packed[JOB_PACKED_BYTES];
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
    /* the registry */
    bool loaded, store_was_down;
    uint64_t load_ref, load_cursor; /* load_ref: of the page that is asked for; 0: none */
    int64_t load_until_us, again_us;
    uint32_t writes;          /* without an answer */
    uint32_t dirty, resuming; /* jobs that are to be written, or taken up */
    uint64_t phases;          /* of hub_figures, at the last look */
    struct job_end end;       /* of the one that is told */
    struct job_course course;
    uint8_t course_bytes[JOB_PACKED_BYTES];
    struct pager pager;
    _Alignas(16) uint8_t memory[81920]; /* of the pager */
};

/* A command begins (NULL: it ended); jobs_reply then knows what it was. */
void jobs_command(struct jobs *j, const struct command *command);
/* Sees each reply to a console. */
void jobs_reply(struct jobs *j, struct hub *h, struct unit console, const struct reply *reply);
/* QUERY_JOBS, QUERY_JOB, QUERY_ATTACH. False: another query. */
bool jobs_query(struct jobs *j, struct hub *h, const struct msg *msg);
/* --- orchestrator_jobs_store.c --- */
/* Whether it may yet turn out what ran before: nothing is admitted, and no id is unknown. */
bool jobs_settling(const struct jobs *j, const struct hub *h);
void job_changed(struct jobs *j, struct job *job); /* it is to be written */
/* Reads, writes, takes up. When to look again. */
int64_t jobs_store_tick(struct jobs *j, struct hub *h);
bool jobs_stored(struct jobs *j, struct hub *h, const struct store_reply *reply); /* was it ours */

/* Serves those that follow. The node's clock now: there is more than fits this step; NEVER. */
int64_t jobs_tick(struct jobs *j, struct hub *h);

#endif
