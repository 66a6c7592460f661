/* An operation in parts, one after the other, so that a mistake meets few agents first:
 *
 *     --canary 5                  five agents first, and the others when those are done
 *     --waves 1,10%,100%          up to so many in all, each wave when the one before it has ended
 *     --batch 500                 so many at work at once: a new quarter of them as each quarter
 * ends
 *     --stop-on-fail 3            that many targets not as wanted: nothing more is sent. Default 1
 *     --pause 10s                 between waves
 *     --limit 10% --seed 7        only a part of the selection, the same for the same seed
 *
 * Every part is an operation (and a job) of its own: agents whose number under the seed lies in a
 * range (resolve.h). This console drives them: when it ends, no further part is sent. */
#ifndef TIERS_CONSOLE_ROLLOUT_H
#define TIERS_CONSOLE_ROLLOUT_H

#include "core/aggregate.h"
#include "core/command.h"
#include "core/commands.h"
#include "core/topology.h"
#include "tiers/console/render.h"
#include <stdbool.h>

#define ROLLOUT_PARTS_MAX 2048u /* more are refused, saying which batch would do */
#define ROLLOUT_WAVES_MAX 32u
#define ROLLOUT_LANES     4u

struct rollout_part {
    uint32_t first, last; /* numbers */
    uint32_t agents;
    uint32_t wave;
};

struct rollout_lane {
    bool busy;
    uint64_t ref;
    struct id128 id; /* zero: not admitted yet */
    uint32_t part;
    struct command command;
};

struct rollout {
    bool active, stopped, refused;
    struct rollout_part *parts;
    uint32_t part_count, next, waves;
    uint32_t agents;       /* in all parts */
    uint32_t failed, most; /* targets not as wanted; so many stop it */
    uint32_t wave_sent, wave_good, wave;
    uint64_t pause_ms, resume_ms, wave_ms, started_ms;
    uint32_t lanes_max;
    struct rollout_lane lanes[ROLLOUT_LANES];
    struct slab slab;
    void *memory;
    struct aggregate sum;
    struct report last;
    char why[TEXT_BYTES_MAX];
    enum reason reason;
};

/* --limit and --seed into the selector. found, here and below: a bit for each agent by its linear
 * index, those that the mesh has found (found.h); NULL: whom the topology has by place and class.
 * False: error says what is wrong. */
bool rollout_limit(const struct invocation *in, const struct topology *t, const uint8_t *found,
                   struct selector *sel, char error[COMMAND_ERROR_MAX]);

/* The sample becomes a part: those of the found whose numbers under the seed are the lowest. False:
 * out of memory. */
bool rollout_sample(const struct topology *t, const uint8_t *found, uint32_t seed,
                    struct selector *sel);

/* Whether the line asks for parts. */
bool rollout_wanted(const struct invocation *in);

/* The plan for a submission; to be ended by rollout_done. */
bool rollout_plan(struct rollout *r, const struct invocation *in, const struct topology *t,
                  const uint8_t *found, const struct command *submit,
                  char error[COMMAND_ERROR_MAX]);
void rollout_done(struct rollout *r);

/* "3 waves: 1, 29 and 270 agents", for --dry-run. */
void rollout_describe(const struct rollout *r, const struct render *render);

/* The lane whose command is to be sent now, its ref filled in; NULL: none. Call until NULL. */
struct rollout_lane *rollout_next(struct rollout *r, uint64_t now_ms, uint64_t ref);

/* A reply to a lane's command. */
void rollout_reply(struct rollout *r, const struct render *render, uint64_t now_ms,
                   const struct reply *reply);
bool rollout_over(const struct rollout *r);

/* All parts in one report, those never sent as cancelled; borrowed from scratch. */
void rollout_report(struct rollout *r, struct aggregate_scratch *scratch, struct report *ret);

/* Targets that ended so far, for progress. */
void rollout_progress(const struct rollout *r, struct aggregate_view *ret);

#endif
