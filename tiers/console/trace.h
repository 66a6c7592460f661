/* `trace ID`: where an operation's time went, tier by tier along its slowest way, and where it
 * broke. Drawn from the rows of QUERY_TRACE; times are the mesh's, so stages between machines are
 * as true as their clocks (a few milliseconds at worst). */
#ifndef TIERS_CONSOLE_TRACE_H
#define TIERS_CONSOLE_TRACE_H

#include "tiers/console/pages.h"
#include "tiers/console/render.h"

/* Its exit code. */
int trace_render(const struct render *r, const struct pages *pages);

#endif
