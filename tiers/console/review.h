/* The command `review`: the desks of people (CLASS_F) from the operator's side. */
#ifndef TIERS_CONSOLE_REVIEW_H
#define TIERS_CONSOLE_REVIEW_H

#include "core/commands.h"
#include "core/operation.h"
#include "tiers/console/render.h"

/* False: error says which argument is wrong and what would be right. */
bool review_build(const struct invocation *in, const struct topology *t, struct operation *op,
                  char error[COMMAND_ERROR_MAX]);

/* What the desks answered: a table of open reviews, or one line. Returns the exit code. */
int review_render(const struct render *r, const struct invocation *in, const struct report *report,
                  const struct answer_group *pages, size_t page_count);

#endif
