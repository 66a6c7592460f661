/* What hubs say of an operation for those who look from outside (span.h), when the tuning wants it.
 * hub_trace.c has it, beside what they answer to `trace`. */
#ifndef CORE_HUB_SPAN_H
#define CORE_HUB_SPAN_H

#include "core/hub.h"

/* All answers of this flight are in. */
void hub_span(struct hub *h, const struct flight *f, const struct aggregate_view *view);
/* The report of an origin is made. */
void hub_span_root(struct hub *h, const struct origin *o, const struct report *r);

#endif
