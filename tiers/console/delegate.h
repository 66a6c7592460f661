/* The command `delegate`: first the mesh is asked who is best for the task, then the task is sent
 * to them, then the result is shown. Best: active, offers the action, smallest impedance now
 * (network, work and queue together). */
#ifndef TIERS_CONSOLE_DELEGATE_H
#define TIERS_CONSOLE_DELEGATE_H

#include "tiers/console/task.h"

/* t->command, a submission, becomes the query for its agents. */
void delegate_query(struct task *t);
/* The rows are here: t->command becomes the submission again. False: there is no agent. */
bool delegate_send(struct task *t);
/* Why there is none: what the rows said. */
const char *delegate_why(const struct task *t);
void delegate_announce(struct task *t);
int delegate_render(struct task *t, const struct report *report); /* the exit code */

/* Whether the largest group of READY answers has at least so many; says so. */
bool quorum_render(const struct render *r, const struct answer_group *groups, size_t count,
                   uint32_t wanted);

#endif
