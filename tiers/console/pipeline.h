/* The command `pipeline` (spec 2.4, routing_strategy "pipeline"): stages across capabilities. Each
 * stage is an action; it is delegated to the best agent that offers it, and its answer is the input
 * of the next one (docs/adr/0041).
 *
 *     pipeline extract,summarize@D,approve "the text"
 *
 * STAGES are ACTION or ACTION@WHOM, joined by commas; WHOM is a class or one folded place. All of
 * them are held against their descriptions before anything is sent. Every stage is an operation
 * (and a job) of its own, all in one trace. This console drives them: when it ends, no further
 * stage begins. */
#ifndef TIERS_CONSOLE_PIPELINE_H
#define TIERS_CONSOLE_PIPELINE_H

#include "core/command.h"
#include "core/commands.h"
#include "core/limits.h"
#include "core/topology.h"
#include "tiers/work/action.h"
#include <stdbool.h>
#include <stdint.h>

#define PIPELINE_STAGES_MAX 8u  /* as an agent's own (docs/PROTOCOL.md); one more is an error */
#define PIPELINE_WHOM_MAX   64u /* with NUL; longer is an error */

struct task;
struct report;
struct reply;

struct pipeline_stage {
    char action[ACTION_MAX];
    char whom[PIPELINE_WHOM_MAX]; /* "": best_available */
    struct unit agent;            /* TIER_NONE: not chosen yet */
    enum impedance_class agent_class;
    uint32_t able; /* agents to choose from */
    struct id128 operation;
    enum outcome outcome;
    enum reason reason;
    double seconds; /* from its delegation to its result */
};

struct pipeline {
    uint32_t count, at;
    struct pipeline_stage stages[PIPELINE_STAGES_MAX];
    uint64_t began_ms;
    uint8_t input[ANSWER_BYTES_MAX]; /* of the stage at work: the answer of the one before */
    uint32_t input_bytes;
};

/* The stages as they were typed. False: error says which is wrong. */
bool pipeline_parse(const char *text, const struct topology *t, struct pipeline *ret,
                    char error[COMMAND_ERROR_MAX]);

/* The operation of the first stage, from a line. */
bool pipeline_build(const struct invocation *in, const struct topology *t, struct operation *op,
                    char error[COMMAND_ERROR_MAX]);

/* Holds every stage against its description, and what one gives against what the next one takes.
 * Fills in what follows for the first (offer.h). */
bool pipeline_check(const struct action_table *table, const struct topology *t,
                    const struct invocation *in, struct operation *op, bool *ret_acts,
                    char error[COMMAND_ERROR_MAX]);

/* t->command, the first stage's submission, becomes the query for its agents. */
void pipeline_begin(struct task *t);
/* The rows are here: the stage goes to the best of them (with --dry-run only its name is said). */
void pipeline_rows(struct task *t);
void pipeline_accepted(struct task *t);
/* A stage has ended: the next one begins, or the task ends. */
void pipeline_report(struct task *t, const struct report *report);

#endif
