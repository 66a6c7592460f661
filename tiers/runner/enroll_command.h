/* `mesh enroll ..`: join tokens, the service, and the newcomer. Works without a running mesh, as
 * `mesh keys` does. Exit: 0 done, 1 failed, 2 wrong usage. */
#ifndef TIERS_RUNNER_ENROLL_COMMAND_H
#define TIERS_RUNNER_ENROLL_COMMAND_H

int enroll_command(int argc, char **argv); /* argv[0] is "enroll" */

#endif
