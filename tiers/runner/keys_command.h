/* `mesh keys`: makes, shows, renews and revokes the keys and certificates of a mesh, offline, in
 * one directory (docs/SECURITY.md). */
#ifndef TIERS_RUNNER_KEYS_COMMAND_H
#define TIERS_RUNNER_KEYS_COMMAND_H

/* argv[1] is the verb. Returns the exit code: 0 done, 1 failed, 2 wrong usage. */
int keys_command(int argc, char **argv);

#endif
