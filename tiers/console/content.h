/* The command `content`: contexts by what they are (core/content.h), from the operator's side. */
#ifndef TIERS_CONSOLE_CONTENT_H
#define TIERS_CONSOLE_CONTENT_H

#include "core/commands.h"
#include "core/operation.h"
#include "tiers/console/render.h"

/* put FILE, load FILE or key, list: op gets its action, payload and sample; the selection is there.
 * False: error says which argument is wrong and what would be right. The payload lives until the
 * next call. */
bool content_build(const struct invocation *in, struct operation *op,
                   char error[COMMAND_ERROR_MAX]);
bool content_reads(const struct invocation *in); /* list */
/* What was put, as "blob:KEY n bytes" in a line of its own. False: this report is shown as others.
 */
bool content_render(const struct render *r, const struct invocation *in,
                    const struct report *report);

#endif
