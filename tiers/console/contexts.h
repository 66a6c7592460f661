/* Contexts: names for meshes, as in kubectl and the nats CLI. A context is the path of a mesh's
 * configuration and whether it is for looking only. They are kept in one INI file of mode 0600,
 * $XDG_CONFIG_HOME/mesh/contexts (or ~/.config/mesh/contexts), CONTEXTS_MAX at most. */
#ifndef TIERS_CONSOLE_CONTEXTS_H
#define TIERS_CONSOLE_CONTEXTS_H

#include "tiers/console/render.h"
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

#define CONTEXTS_MAX      64u
#define CONTEXT_NAME_MAX  32u /* with NUL: letters, digits, - and _ */
#define CONTEXT_ERROR_MAX 512u

struct context {
    char name[CONTEXT_NAME_MAX];
    char config[PATH_MAX];
    bool read_only;
};

/* The context of this name, or the one in use when name is NULL. False: `error` says why, or is ""
 * when name is NULL and none is in use. */
bool context_find(const char *name, struct context *ret, char error[CONTEXT_ERROR_MAX]);

/* `mesh context list | add NAME FILE [--read-only] | use NAME | remove NAME`: words behind
 * "context". Prints, also what is wrong; returns an exit code (task.h). */
int context_command(const char *const words[], size_t count, enum render_form form);

#endif
