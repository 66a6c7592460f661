/* --dry-run: who is meant, resolved by the mesh as it would be for the operation, and nothing sent.
 */
#ifndef TIERS_CONSOLE_DRY_RUN_H
#define TIERS_CONSOLE_DRY_RUN_H

#include "core/command.h"
#include "core/commands.h"
#include "tiers/console/pages.h"
#include "tiers/console/render.h"

bool dry_run_wanted(const struct invocation *in);
/* Turns a submission into the query for its targets. False: it is none, or the flag is not given.
 */
bool dry_run_query(const struct invocation *in, struct command *command);
void dry_run_render(const struct render *r, const struct invocation *in, const struct pages *pages);

#endif
