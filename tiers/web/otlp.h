/* Spans of this process sent to a collector: OTLP 1.x over HTTP, encoded as JSON, POST to
 * otlp_url (opentelemetry.io/docs/specs/otlp). Behind the seam of tiers/runner/exporter.h.
 *
 * Nothing waits for it. What is said goes into a queue of OTLP_QUEUE_MAX spans; when that is full,
 * the new one is dropped and counted. Once a second, or when OTLP_BATCH_MAX wait, a batch goes out,
 * one request at a time. 429, 502, 503, 504 and a lost connection: the same batch again, not before
 * Retry-After, at growing intervals, OTLP_ATTEMPTS_MAX times; any other answer but 2xx, or one time
 * too many: dropped and counted. What a collector says that it rejected is counted, too. */
#ifndef TIERS_WEB_OTLP_H
#define TIERS_WEB_OTLP_H

#include "tiers/runner/exporter.h"
#include "tiers/runner/process.h"

#define OTLP_QUEUE_MAX    8192u
#define OTLP_BATCH_MAX    128u
#define OTLP_ATTEMPTS_MAX 10u
#define OTLP_HEADERS_MAX  8u
#define OTLP_LINE_MAX     2048u /* of a header, with NUL */

/* As struct runner_kind has it (process.h). *ret NULL: no otlp_url is configured. */
bool otlp_open(uv_loop_t *loop, const struct config *config, const struct process_conf *process,
               struct log *log, struct exporter **ret, char ret_why[RUNNER_WHY_MAX]);
void otlp_free(struct exporter *exporter); /* after the loop has run on past close() */

struct otlp_stats {
    uint64_t exported;       /* spans that the collector took */
    uint64_t dropped_queue;  /* the queue was full */
    uint64_t dropped_answer; /* the collector refused their request */
    uint64_t dropped_tries;  /* it could not be told in OTLP_ATTEMPTS_MAX attempts */
    uint64_t dropped_stop;   /* the process ended first */
    uint64_t rejected;       /* of a request that it took */
    uint64_t requests, retries;
    uint32_t waiting;
};
const struct otlp_stats *otlp_stats(const struct exporter *exporter);

/* --- otlp_json.c --- */
struct otlp_span {
    struct span span;
    struct trace_context trace;
};
/* Who says it: service.name is mesh-ROLE, service.namespace the mesh's name, service.instance.id
 * the process's. */
struct otlp_from {
    const char *role, *mesh, *process;
};
/* The body of a request, for free(); NULL: no memory. */
char *otlp_encode(const struct otlp_from *from, const struct otlp_span *const *spans,
                  uint32_t count);
/* What an answer says of spans that were rejected, and why; 0: none. why: at most its size. */
uint64_t otlp_rejected(const uint8_t *body, size_t bytes, char *ret_why, size_t size);

/* --- otlp_headers.c --- */
struct otlp_headers {
    uint32_t count;
    char line[OTLP_HEADERS_MAX][OTLP_LINE_MAX]; /* "Name: value" */
};
/* False: ret_why says "FILE:LINE: what". */
bool otlp_headers_read(const char *file, struct otlp_headers *ret, char *ret_why, size_t size);

#endif
