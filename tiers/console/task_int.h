/* What the files of a task offer each other. */
#ifndef TIERS_CONSOLE_TASK_INT_H
#define TIERS_CONSOLE_TASK_INT_H

#include "tiers/console/task.h"

/* task.c */
void task_finish(struct task *t, int code);
void task_send(struct task *t);       /* t->command, under a new ref */
void task_first_page(struct task *t); /* of t->command's query */
uint64_t task_next_ref(void);
void task_send_command(struct task *t, struct command *command); /* with its ref */
#define TASK_SILENCE_MS 15000u /* without any reply while an operation runs: given up */
/* Its exit code. pages: all groups of answers, when they were fetched. */
int task_show_report(struct task *t, const struct report *report, const struct answer_group *pages,
                     size_t page_count);
uint32_t task_ended(const struct aggregate_view *a); /* targets in a final state */

/* task_watch.c: t->invocation becomes that of the command which is repeated. False: error. */
bool task_watch(struct task *t, char error[COMMAND_ERROR_MAX]);

/* task_refuse.c: the task ends at the loop's next turn, with EXIT_USAGE or EXIT_REFUSED. */
void refuse_usage(struct task *t, const char *error);
void refuse_read_only(struct task *t);
void refuse_unsaid(struct task *t); /* dangerous, and without --yes: on a terminal, too */
/* Ends it at once: this operator's certificate is not for that command. */
void refuse_permission(struct task *t, const struct command *command);
/* The mesh's error: EXIT_NOT_FOUND for what names nothing or nobody, else EXIT_REFUSED. */
void refuse_error(struct task *t, enum reason reason, const char *text);
/* The end of a submission that met nobody: it is shown as the error that it is, and true returned.
 * A mesh without spare places refuses it by its plan; one with them asks the leads first. */
bool refuse_empty(struct task *t, const struct report *report);
/* Rows and answers have every form, all else is text or JSON, and --diff is text. */
bool task_form_offered(const struct invocation *in, enum render_form form,
                       char error[COMMAND_ERROR_MAX]);

/* task_rollout.c */
void task_rollout_step(struct task *t); /* sends what may be sent now; ends when all is done */

/* task_progress.c */
void task_show_progress(struct task *t);
void task_clear_progress(struct task *t);
/* While an operation runs: now and then the mesh is asked whom it waits for. */
void progress_look(struct task *t);
bool progress_reply(struct task *t, const struct reply *reply); /* was it the answer to that */

/* task_follow.c */
void follow_begin(struct task *t);
void follow_look(struct task *t);
bool follow_reply(struct task *t, const struct reply *reply); /* was it the answer to that */
void follow_end(struct task *t);

/* task_interrupt.c */
/* What goes on in the mesh without this console, and how to stop it. */
void task_hint(struct task *t, const char *what);
void interrupt_reply(struct task *t, const struct reply *reply);
void interrupt_late(struct task *t); /* no reply in time */

#endif
