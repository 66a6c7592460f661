/* What the mesh's agents offer (tiers/work/action.h), held against an operation before it is sent.
 */
#ifndef TIERS_CONSOLE_OFFER_H
#define TIERS_CONSOLE_OFFER_H

#include "core/commands.h"
#include "core/operation.h"
#include "tiers/console/render.h"
#include "tiers/work/action.h"

/* Finds the operation's action, checks its payload, and fills in what follows from the description:
 * who may run it (unless the line says otherwise), its verb, how long to wait (when the line does
 * not say). *ret_acts: set when the action does more than read. False: error says what is wrong and
 * what would be right. */
bool offer_check(const struct action_table *table, const struct topology *t,
                 const struct invocation *in, struct operation *op, bool *ret_acts,
                 char error[COMMAND_ERROR_MAX]);

/* The same of an operation whose payload is not known yet. */
bool offer_fill(const struct action_table *table, const struct topology *t,
                const struct invocation *in, struct operation *op, bool *ret_acts,
                char error[COMMAND_ERROR_MAX]);

/* Why the operation is for nobody: what its selector wants that none of those named is. */
void offer_nobody(const struct action_table *table, const struct operation *op,
                  char ret[COMMAND_ERROR_MAX]);

/* All actions, or one. False: there is none of that name, and error says so. */
bool offer_list(const struct render *r, const struct action_table *table, const char *name,
                char error[COMMAND_ERROR_MAX]);

#endif
