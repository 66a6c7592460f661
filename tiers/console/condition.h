/* Conditions on the mesh's status: what `wait --for` waits for and `check` judges.
 *
 *     active>=95%   offline==0   mode==FULL   frozen==no   conflicts<10   mean_ms<500
 *
 * Figures: active, degraded, offline, suspect, quarantined (agents, or a share of all with %),
 * sectors (healthy ones, or a share), conflicts (last hour), mean_ms, in_flight, mode, frozen,
 * store (yes, no). */
#ifndef TIERS_CONSOLE_CONDITION_H
#define TIERS_CONSOLE_CONDITION_H

#include "core/command.h"
#include "core/commands.h"
#include "tiers/console/render.h"
#include <stdbool.h>

enum condition_operator { IS_EQUAL, IS_NOT, IS_BELOW, IS_AT_MOST, IS_ABOVE, IS_AT_LEAST };

struct condition {
    int figure;
    enum condition_operator op;
    double value;
    bool share; /* value is a percentage of all */
};

/* False: error names the word and what would be right. */
bool condition_parse(const char *text, struct condition *ret, char error[COMMAND_ERROR_MAX]);
bool condition_holds(const struct condition *c, const struct mesh_status *s);
/* "offline is 3", for the line that says why it is waited. */
void condition_text(const struct condition *c, const struct mesh_status *s, char *ret, size_t size);

/* `check`: one line in the form of monitoring plugins; 0 ok, 1 warning, 2 critical, 3 unknown. */
bool check_valid(const struct invocation *in, char error[COMMAND_ERROR_MAX]);
int check_render(const struct render *r, const struct invocation *in, const struct mesh_status *s);
#define CHECK_UNKNOWN 3

#endif
