/* W3C Trace Context, level 1: "00-<trace id>-<parent span id>-<flags>", lower case hex. Pure. */
#ifndef CORE_TRACE_CONTEXT_H
#define CORE_TRACE_CONTEXT_H

#include "core/unit.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRACEPARENT_MAX 56u /* with NUL */

/* Whose trace an operation belongs to. trace zero: it is a trace of its own, named by its id. */
struct trace_context {
    struct id128 trace;
    uint64_t parent; /* the span that started the operation */
    uint8_t flags;   /* 1: sampled */
};

/* NULL, or what is wrong with it. Versions above 00 may have more behind the flags. */
const char *traceparent_parse(const char *text, struct trace_context *ret);
void traceparent_format(const struct trace_context *c, char ret[TRACEPARENT_MAX]);

#endif
