/* Whom an operator means: places with everything that a console adds to them, the lists of the last
 * operation, and groups that were saved.
 *
 *     s07,s[10-12].c3        as everywhere (topology.h)
 *     s*.c3, s07.c*.a1       a star is every number there
 *     s07,!s07.c4            without: exclusion wins, wherever it stands
 *     @last.failed           of the last operation: answered, failed, silent
 *     @gpus                  a saved group
 *
 * The lists and groups are files of mode 0600 under XDG_STATE_HOME/mesh (or ~/.local/state/mesh);
 * the lists are those of the last operation of this user on this mesh, in whatever console. */
#ifndef TIERS_CONSOLE_TARGETS_H
#define TIERS_CONSOLE_TARGETS_H

#include "core/commands.h"
#include "core/operation.h"
#include "core/result.h"
#include "core/topology.h"
#include "tiers/console/render.h"
#include <stdbool.h>

#define GROUP_NAME_MAX   32u    /* with NUL */
#define TARGETS_TEXT_MAX 16384u /* of one list or group */

/* Which mesh the lists of the last operation belong to, by its configuration: who failed in one
 * mesh is nobody in another. NULL, as at the start: one that has no name. */
void targets_mesh(const char *config);

/* flag: for the message. except: what --except says, or NULL. False: error says which word, what is
 * wrong with it, and what would be right. */
bool targets_parse(const char *flag, const char *text, const char *except, const struct topology *t,
                   struct place_set *ret, char error[COMMAND_ERROR_MAX]);

/* Behind `why` a place is none: ": this mesh is s[01-10].c[1-10].a[1-30]" where that helps, else
 * "". */
const char *targets_hint(const char *why, const struct topology *t, char room[64]);

/* How an operation ended, by who is meant: every target is in one of the three; `unexpected` counts
 * answers of the other kind than was wanted, among them. */
enum target_list { LIST_ANSWERED, LIST_FAILED, LIST_SILENT, LIST_COUNT };
enum target_list targets_list(enum outcome o);

/* Shows the four lists in text, and keeps three of them for @last. meant: who was, or NULL: with it
 * a list of all of them has names also where the report has none (a lead that died, a freeze). */
void targets_lists(const struct render *r, const struct aggregate_view *a,
                   const struct answer_group *groups, size_t count, const struct selector *meant);

/* The path of a file of ours of that name; its folder is made. ret: PATH_MAX + 64 bytes. */
bool targets_path(const char *name, char ret[]);

/* The names that stand for places here: "@last.failed", "@gpus". Returns how many, `most` at most.
 */
size_t targets_names(char ret[][GROUP_NAME_MAX + 1], size_t most);

/* `group list | save NAME PLACES | remove NAME`: the exit code. */
int targets_group(const struct render *r, const struct invocation *in);

#endif
