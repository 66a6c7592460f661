/* The dialogue of spec 7.2: what was said becomes commands of the one table (grammar.h). What reads
 * is run; what acts is proposed, and "yes" does the last proposal, all of it and nothing else,
 * once, within TALK_PROPOSAL_US. A proposal is dropped by the next one, by "no", and when a command
 * of it fails. Pure but for what it prints: who runs the lines is its caller.
 *
 *     talk_say(..)                      -> lines to run, in order
 *     talk_next(..), run it, talk_ended(..)   until there is none
 *     talk_finish(..)                   shows what is proposed
 */
#ifndef TIERS_CONSOLE_TALK_H
#define TIERS_CONSOLE_TALK_H

#include "tiers/console/diagnosis.h"
#include "tiers/console/grammar.h"
#include "tiers/console/render.h"
#include <stdbool.h>
#include <stdint.h>

#define TALK_LINES_MAX   8u
#define TALK_QUEUE_MAX   16u
#define TALK_PROPOSAL_US (120 * (int64_t)US_PER_S)

struct proposal {
    size_t count; /* 0: none */
    char lines[TALK_LINES_MAX][GRAMMAR_LINE_MAX];
    char question[160];
    int64_t expires_us; /* Unix time */
};

struct talk {
    struct subject subject;
    char avoided[256]; /* what this dialogue has had routed around */
    struct proposal proposal;
    /* of the utterance that is being carried out */
    size_t queued, next;
    char queue[TALK_QUEUE_MAX][GRAMMAR_LINE_MAX];
    bool unknown;     /* the grammar could do nothing with it */
    bool agreed;      /* lines of a proposal are among them .. */
    bool only_agreed; /* .. and no others */
    bool failed;
    struct proposal coming;
};

/* False: `error` says why nothing is done. */
bool talk_say(struct talk *talk, const char *text, const struct topology *t, int64_t unix_us,
              char error[COMMAND_ERROR_MAX]);

/* The same for lines that somebody else has chosen (a model): each must parse. */
bool talk_lines(struct talk *talk, const char *const lines[], size_t count, int64_t unix_us,
                char error[COMMAND_ERROR_MAX]);

/* The next line to run, shown as it is resolved; NULL: that was all. */
const char *talk_next(struct talk *talk, const struct render *r);

/* It has ended with this code; findings: of the inquiry that it was, else not looked at. */
void talk_ended(struct talk *talk, const char *line, int code, const struct findings *findings);

/* Shows what is proposed now, if anything. */
void talk_finish(struct talk *talk, const struct render *r, int64_t unix_us);

/* `mesh say` is one process a sentence: what it must remember lies in a file of mode 0600 beside
 * the groups, and holds for the shell that it was said in (`session`), the same mesh, and
 * TALK_PROPOSAL_US; anything else is forgotten. */
void talk_load(struct talk *talk, const char *mesh, int64_t session, int64_t unix_us);
void talk_store(const struct talk *talk, const char *mesh, int64_t session, int64_t unix_us);

#endif
