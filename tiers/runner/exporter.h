/* The seam between a process and what sends its spans away (tiers/web/otlp.h). Everything happens
 * on the loop thread, and nothing here waits. */
#ifndef TIERS_RUNNER_EXPORTER_H
#define TIERS_RUNNER_EXPORTER_H

#include "core/span.h"

struct page;

struct exporter {
    void *self;
    /* One span of an operation that is sampled. span->known holds; both are copied. */
    void (*span)(void *self, const struct span *span, const struct trace_context *trace);
    void (*flush)(void *self); /* the process stops: what waits goes now, or never */
    void (*metrics)(void *self, struct page *page);
    void (*close)(void *self); /* closes its handles; freed once the loop has closed them */
};

#endif
