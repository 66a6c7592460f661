/* What could follow on the console's line: completions for Tab and the grey hint behind the cursor.
 * Both come from the command table, the topology, the descriptions of actions and this user's own
 * lists and groups alone, so that typing never waits for the mesh.
 * The conventions are redis-cli's and the shell's. */
#ifndef TIERS_CONSOLE_COMPLETE_H
#define TIERS_CONSOLE_COMPLETE_H

#include "core/commands.h"
#include "core/topology.h"
#include "tiers/work/action.h"
#include <stddef.h>

#define COMPLETIONS_MAX  128u /* further ones are left out: another letter narrows them */
#define COMPLETION_BYTES 64u

struct completions {
    size_t count;
    char words[COMPLETIONS_MAX][COMPLETION_BYTES];
};

/* Completions of the last word of a partial line (of what stands behind `=` in --flag=VALUE):
 * verbs, flags, choices, classes, states, capabilities, actions, @lists and @groups, and places
 * down to the agents that exist. actions may be NULL: what every agent has. */
void complete_line(const struct topology *t, const struct action_table *actions, const char *line,
                   struct completions *ret);

/* What the command still wants, or what a flag's value is: "" when there is nothing to say. Returns
 * its length, size - 1 at most. */
size_t complete_hint(const char *line, char *ret, size_t size);

/* Whether a line may carry a secret (a token, a key, a passphrase): such lines stay out of the
 * history file. */
bool complete_is_secret(const char *line);

#endif
