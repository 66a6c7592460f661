/* Words that the grammar does not understand, read by a model behind an OpenAI-compatible endpoint
 * (talk_url, talk_model of the configuration; chat completions with a JSON schema). The model gets
 * the words, the command table's usage lines and what was spoken of last; of what it answers only
 * lines that the one command table parses are taken, by talk_lines: what reads is run, what acts is
 * proposed, and no word of a model is ever a yes.
 *
 * The request waits (talk_timeout_ms at most) on the calling thread. */
#ifndef TIERS_CONSOLE_INTERPRETER_H
#define TIERS_CONSOLE_INTERPRETER_H

#include "tiers/console/talk.h"

#define INTERPRETER_ANSWER_MAX 65536u            /* bytes of an answer; more is refused */
#define INTERPRETER_TOKEN      "MESH_TALK_TOKEN" /* the environment's bearer token, if any */

struct interpreter {
    const char *url; /* the base, as http://127.0.0.1:8080/v1; empty: there is none */
    const char *model;
    int64_t timeout_us;
};

/* NULL, or why words may not go to this url: they go over TLS, or stay on this machine. */
const char *interpreter_url_problem(const char *url);

/* What the model makes of the words, taken by talk_lines. False: `error` says why nothing is done.
 */
bool interpreter_say(const struct interpreter *model, struct talk *talk, const char *text,
                     int64_t unix_us, char error[COMMAND_ERROR_MAX]);

#endif
