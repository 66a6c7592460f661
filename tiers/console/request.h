/* From a parsed console line to a request: what the operator meant, in the structs that travel.
 * Pure but for strings: no connection, no output. */
#ifndef TIERS_CONSOLE_REQUEST_H
#define TIERS_CONSOLE_REQUEST_H

#include "core/command.h"
#include "core/commands.h"
#include "core/topology.h"

/* Fills *ret for a verb that talks to the mesh. ret's payload points into `in`, which must outlive
 * it. False: `error` says which argument is wrong, what it is and what would be right. */
bool request_build(const struct invocation *in, const struct topology *t, struct command *ret,
                   char error[COMMAND_ERROR_MAX]);

/* Whom the flags of a line choose: --on, --except, --class, --capability, --where, --state, scores;
 * those that its command has. */
bool request_selector(const struct invocation *in, const struct topology *t, struct selector *ret,
                      char error[COMMAND_ERROR_MAX]);

/* The same for freeze, thaw, heal, breaker, quarantine, lift and ping. */
bool request_recovery(const struct invocation *in, const struct topology *t, struct command *ret,
                      char error[COMMAND_ERROR_MAX]);

/* The same for route-around, mapping and what is answered by a chain (inquiry.h); and whether such
 * a line only shows what is. */
bool request_routing(const struct invocation *in, const struct topology *t, struct command *ret,
                     char error[COMMAND_ERROR_MAX]);
bool request_routing_shows(const struct invocation *in);

/* The same for scale; and whether such a line only shows what is, or would be. */
bool request_scale(const struct invocation *in, const struct topology *t, struct command *ret,
                   char error[COMMAND_ERROR_MAX]);
bool request_scale_shows(const struct invocation *in);

/* Who is asked: ping goes to the sector itself, all else to `otherwise`. */
struct unit request_to(const struct invocation *in, struct unit otherwise);

/* Whether the line changes something in the mesh: not when it only shows what is, or would be. */
bool request_acts(const struct invocation *in);

/* Whether it must be said twice: a dangerous command that acts, without --yes. */
bool request_dangerous(const struct invocation *in);

/* How many rows `find` and `sectors` are to show in all; SIZE_MAX: every one. */
size_t request_row_limit(const struct invocation *in);

#endif
