/* Spans on their way out: what a node said of an operation gets the trace and the name that the
 * operation has in the process's cache. */
#include "core/num.h"
#include "tiers/runner/runner_int.h"
#include <assert.h>
#include <string.h>

struct trace_context runner_trace(const struct runner *r, const struct operation *op)
{
    const struct tuning *t = r->conf.tuning;
    struct id128 name = num_id128_zero(op->correlation_id) ? op->id : op->correlation_id;
    return span_context(&op->trace, name, t != NULL && t->spans ? t->span_share : 1.0);
}

void runner_span(struct runner *r, const struct span *span)
{
    assert(r != NULL && span != NULL);
    struct span s = *span;
    if (r->conf.span == NULL) {
        return;
    }
    if (!s.known) {
        const struct opcache_entry *e =
            r->conf.opcache != NULL ? opcache_get(r->conf.opcache, s.operation) : NULL;
        if (e == NULL) {
            r->stats.spans_unknown++;
            return;
        }
        s.known = true;
        s.correlation = num_id128_zero(e->operation.correlation_id) ? e->operation.id
                                                                    : e->operation.correlation_id;
        s.trace = e->operation.trace;
        memcpy(s.action, e->operation.action, sizeof(s.action));
    }
    struct trace_context trace = span_context(&s.trace, s.correlation, r->conf.tuning->span_share);
    if (trace.flags != 0) {
        r->conf.span(r->conf.span_ctx, &s, &trace);
    }
}
