/* A job as bytes: what the registry keeps of it (docs/adr/0033, docs/REGISTRY.md). Little-endian,
 * version first; what is malformed, or of another version, is no job. Pure. */
#ifndef TIERS_ORCHESTRATOR_JOB_RECORD_H
#define TIERS_ORCHESTRATOR_JOB_RECORD_H

#include "core/aggregate.h"
#include "core/command.h"

/* A head and five more rows of the store, as many fields of 64 bytes as they have (39, some of them
 * for people). A report always fits: its parts are AGGREGATE_BYTES_MAX at most. */
#define JOB_HEAD_PARTS   29u
#define JOB_ROW_PARTS    38u
#define JOB_ROWS_MAX     6u
#define JOB_PACKED_BYTES ((JOB_HEAD_PARTS + (JOB_ROWS_MAX - 1u) * JOB_ROW_PARTS) * 64u)
#define JOB_INPUT_MAX    65u /* with NUL: the start of the payload */
#define JOB_STATUS_MAX   24u /* with NUL */

/* What is known of a job in either state. */
struct job_head {
    bool running, cancelled;
    struct id128 id, current; /* current: the phase that was sent last; zero: none was */
    struct unit console;
    uint64_t ref;
    int64_t created_mesh_us, finished_mesh_us;
    char action[ACTION_MAX];
    char input[JOB_INPUT_MAX];
    uint32_t targets, outcomes[OUTCOME_COUNT], late; /* so far */
};

/* Of one that runs: what a successor needs (core/hub_resume.h). */
struct job_course {
    int64_t target_mesh_us, window_us, deadline_mesh_us;
    struct operation operation; /* selector, strategy, priority, rate, allow_partial, action */
    uint32_t rest;
    bool has_before;
    struct aggregate_view before; /* counts alone */
};

/* Of one that has ended. The report points into the packed bytes and into scratch. */
struct job_end {
    struct report report;
    struct aggregate_scratch scratch;
};

/* Bytes written; 0: no room. */
uint32_t job_pack_running(const struct job_head *head, const struct job_course *course,
                          uint8_t ret[JOB_PACKED_BYTES]);
uint32_t job_pack_ended(const struct job_head *head, const struct report *report,
                        uint8_t ret[JOB_PACKED_BYTES]);

/* The head, then, by its `running`, one of the others. False: not a job. */
bool job_unpack_head(const uint8_t *packed, uint32_t bytes, struct job_head *ret);
bool job_unpack_course(const uint8_t *packed, uint32_t bytes, struct job_course *ret);
bool job_unpack_end(const uint8_t *packed, uint32_t bytes, const struct topology *t,
                    struct job_end *ret);

#endif
