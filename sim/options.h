/* Options of a command that are numbers or switches: taken from a table, each refused with what
 * was wrong and what would be right. And what a command writes: whether it could be written. */
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

/* Switches a planted bug on (core/plant.h); `list` prints them and ends the process. False: there
 * is none of that name, or none at all in this build, which is said on stderr. */
bool sim_plant(const char *command, const char *name);
/* Its name; "": none is on. */
const char *sim_planted(void);

/* Whether this file can be written (it is made, if there is none): asked before hours of work are
 * for nothing. False: said on stderr. path NULL: true. */
bool sim_output_open(const char *command, const char *path);
/* The exit code of a command whose own is `status`: 2 instead of 0 when stdout did not take all
 * that was written, which is said on stderr. */
int sim_output_end(int status);

#endif
