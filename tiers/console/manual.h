/* Man pages and shell completion, written from the command table: what `help` says, in the forms
 * that other programs read. */
#ifndef TIERS_CONSOLE_MANUAL_H
#define TIERS_CONSOLE_MANUAL_H

#include "core/commands.h"
#include <stdio.h>

/* mesh(1), or the page of one command, as roff (man(7)). */
void manual_man(FILE *out, const struct command_spec *one);
void manual_bash(FILE *out);
void manual_zsh(FILE *out);
void manual_fish(FILE *out);

/* The table, or one command of it, as one JSON object (docs/schemas/help.json). */
void manual_json(FILE *out, const struct command_spec *one);

#endif
