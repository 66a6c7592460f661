/* Parts of a selection by facts. Who has a fact, the leads alone know: before --limit, a sample,
 * waves or batches can be counted out, the mesh is asked who matches, and the numbers of those
 * decide (core/resolve.h: selector_number). */
#ifndef TIERS_CONSOLE_FOUND_H
#define TIERS_CONSOLE_FOUND_H

#include "tiers/console/task.h"

/* Whether the submission needs that. */
bool found_wanted(const struct task *t);
/* t->command becomes the query; the submission waits in t->delegated. */
void found_query(struct task *t);
/* All rows are there: sends the submission to its part (of a dry run: asks who that is), or ends
 * the task with what is wrong. */
void found_take(struct task *t);

#endif
