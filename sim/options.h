/* Options of a command that are numbers or switches: taken from a table, each refused with what
 * was wrong and what would be right. */
#ifndef SIM_OPTIONS_H
#define SIM_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct sim_option {
    const char *name;    /* "--agents" */
    bool *flag;          /* a switch; NULL: a number */
    int64_t least, most; /* of the number, both allowed */
    int64_t *number;     /* NULL: the value was taken elsewhere, and is passed over */
};

/* argv: the options alone. What is wrong is said on stderr in one line that begins with `command`
 * ("mesh-sim run"), and then this is false. */
bool sim_options(const char *command, int argc, char **argv, const struct sim_option *options,
                 unsigned count);
/* Whether help is asked for. */
bool sim_options_help(int argc, char **argv);

#endif
