/* Opens a console's session with the operator's hardware token, where the trust bundle has one of
 * that operator's. */
#ifndef TIERS_CONSOLE_HWLOGIN_H
#define TIERS_CONSOLE_HWLOGIN_H

#include "tiers/console/hwdevice.h"
#include "tiers/runner/client.h"

/* 0: opened, or the operator has no token; before the client's loop runs. Waits for PIN and touch.
 */
int hwlogin(struct client *client, const char *keys_dir, const char *operator_name,
            const struct hwdevice_user *user, struct keys_error *why);

/* `mesh keys token ..`: argv[1] is the verb. Exit code: 0 done, 1 failed, 2 wrong usage. */
int hwtoken_command(int argc, char **argv, const struct hwdevice_user *user);

#endif
