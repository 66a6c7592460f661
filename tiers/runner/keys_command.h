/* `mesh keys`: makes, shows, renews and revokes the keys and certificates of a mesh, offline, in
 * one directory (docs/SECURITY.md). */
#ifndef TIERS_RUNNER_KEYS_COMMAND_H
#define TIERS_RUNNER_KEYS_COMMAND_H

#include "tiers/runner/keyfiles.h"
#include <stdbool.h>

/* argv[1] is the verb. Returns the exit code: 0 done, 1 failed, 2 wrong usage. */
int keys_command(int argc, char **argv);

/* What a person writes of a process: name, roles, scope, capabilities (NULL: all). False: *why. The
 * request borrows name. */
bool keys_request_parse(const char *name, const char *roles, const char *scope,
                        const char *capabilities, struct keys_request *ret, struct keys_error *why);

#endif
