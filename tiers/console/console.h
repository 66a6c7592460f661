/* The console's three ways of being used: a prompt on a terminal, a script on stdin, one command on
 * the command line. All of them run tasks (task.h) one after the other on one loop. */
#ifndef TIERS_CONSOLE_CONSOLE_H
#define TIERS_CONSOLE_CONSOLE_H

#include "tiers/console/interpreter.h"
#include "tiers/console/task.h"
#include <stdbool.h>
#include <uv.h>

struct console {
    uv_loop_t *loop;
    struct task task;
    enum render_form form; /* of every command, by the global flags */
    const char *mesh;      /* its configuration: what was said to one mesh is not for another */
    struct talk talk;
    struct interpreter model; /* url "": none */
    uv_signal_t interrupt;
    int exit_code;
};

void console_init(struct console *c, uv_loop_t *loop, const struct task_conf *conf,
                  const struct render *render, enum render_form form);
void console_done(struct console *c);

/* Runs the loop until the command has ended; its exit code. */
int console_once(struct console *c, const char *const words[], size_t count);

/* `say`: the lines that it means, one after the other; the exit code of the last one. */
int console_say(struct console *c, const char *text, enum render_form form);

/* The words as lines of c->talk: by the grammar, and what it does not understand by the model, if
 * there is one. False: `error` says why nothing is done. */
bool console_plan(struct console *c, const char *text, char error[COMMAND_ERROR_MAX]);

/* The words behind `say` as they were typed (quotes around all of them are taken off), or NULL when
 * the line says something else. */
const char *console_said(const char *line, char room[GRAMMAR_TEXT_MAX]);

/* Lines from stdin until its end or the first command that fails (exit code 1, 2, 5, 6 or 7). */
int console_script(struct console *c);

/* The prompt, with history and completion, until quit or end of input. */
int console_repl(struct console *c);

/* help, quit, actions, group and manual, which need no task. True when the words were one of them;
 * *ret_quit on quit. */
bool console_local(const struct console *c, const char *const words[], size_t count,
                   enum render_form form, bool *ret_quit, int *ret_code);

/* `help ..`, `manual ..` and NAME --help, which need no mesh and no configuration: the exit code.
 */
int console_unconnected(const char *const words[], size_t count, enum render_form form);
bool console_wants_help(const char *const words[], size_t count); /* NAME -h, NAME .. --help */

/* A form by its name. False: error says which there are. */
bool console_form(const char *name, enum render_form *ret, char error[COMMAND_ERROR_MAX]);

/* Takes --json, --output FORM and -o FORM out of the words. False: error says what is wrong. */
bool console_take_form(const char *words[], size_t *count, enum render_form *form,
                       char error[COMMAND_ERROR_MAX]);

#endif
