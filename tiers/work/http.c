/* An HTTP endpoint as a handler: one agent process stands for edge workers and serverless functions
 * that cannot hold a connection (classes A and B).
 *
 *   2xx    READY, the body            409    CONFLICT, the body is the received value
 *   429, 502, 503, 504, a lost connection: tried again, not before Retry-After, until the deadline
 *   anything else                     FAILED, "HTTP 500: " and the start of the body
 *
 * The body may come in any pieces, at most output_max of it: what has come so far goes up as the
 * run's word (job_say), and an attempt that breaks off begins anew. No redirect is followed: an
 * answer comes from the endpoint that the configuration names.
 *
 * Each request carries Idempotency-Key (operation and agent: the same in every attempt),
 * X-Mesh-Operation, X-Mesh-Agent, X-Mesh-Timeout-Ms and traceparent. For agents of CLASS_A, whose
 * platforms end a worker at 50 ms of CPU, X-Mesh-Cpu-Limit-Ms says so (or cpu_limit_ms does), and
 * an endpoint that reports more in "Server-Timing: cpu;dur=63" has FAILED: its next request would
 * have been ended by the platform. */
#include "tiers/work/http.h"
#include "core/num.h"
#include "core/span.h"
#include "tiers/runner/clock.h"
#include "tiers/work/exec.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EDGE_CPU_MS 50u

struct http {
    struct request request; /* first */
    uint32_t attempts;
    bool flooded;
};

void work_traceparent(const struct job *job, char ret[TRACEPARENT_MAX])
{
    struct trace_context run = job->trace;
    run.parent = span_id(job->operation, job->unit);
    traceparent_format(&run, ret);
}

uint32_t http_headers(const struct job *job, struct http_headers *ret)
{
    char id[ID128_TEXT_MAX], place[UNIT_TEXT_MAX], trace[TRACEPARENT_MAX];
    const struct action *a = job->lane->action;
    int64_t left_us = job->deadline_us - clock_boot_us();
    uint32_t n = 0;
    num_id128_format(job->operation, id);
    (void)unit_format(job->unit, place);
    work_traceparent(job, trace);
#define PUT(...)                                                                                   \
    do {                                                                                           \
        (void)snprintf(ret->room[n], sizeof(ret->room[n]), __VA_ARGS__);                           \
        ret->at[n] = ret->room[n];                                                                 \
        n++;                                                                                       \
    } while (0)
    PUT("Content-Type: %s", a->handler == HANDLER_LLM || a->input.kind == CONTENT_JSON
                                ? "application/json"
                                : "text/plain; charset=utf-8");
    PUT("Idempotency-Key: %s-%s", id, place);
    PUT("X-Mesh-Operation: %s", id);
    PUT("X-Mesh-Agent: %s", place);
    PUT("X-Mesh-Timeout-Ms: %lld", (long long)(left_us > 0 ? left_us / US_PER_MS : 0));
    PUT("traceparent: %s", trace);
    if (http_cpu_limit_ms(job) > 0) {
        PUT("X-Mesh-Cpu-Limit-Ms: %u", http_cpu_limit_ms(job));
    }
#undef PUT
    for (uint32_t i = 0; i < ACTION_HEADERS_MAX && a->headers[i][0] != '\0'; i++) {
        ret->at[n++] = a->headers[i];
    }
    ret->at[n] = NULL;
    assert(n < HTTP_HEADERS_MAX);
    return n;
}

uint32_t http_cpu_limit_ms(const struct job *job)
{
    const struct action *a = job->lane->action;
    bool edge = job->agent_class == CLASS_A_EDGE && a->handler == HANDLER_HTTP;
    return a->cpu_limit_ms > 0 ? a->cpu_limit_ms : edge ? EDGE_CPU_MS : 0;
}

bool http_again(struct job *job, const struct request *request, uint32_t attempt)
{
    uint64_t wait_ms = request_backoff_ms(request, attempt);
    int64_t left_us = job->deadline_us - clock_boot_us();
    if (left_us <= 0 || wait_ms >= (uint64_t)left_us / US_PER_MS) {
        return false;
    }
    job->lane->crew->stats.retries++;
    job->answer.count = 0;
    job_wake(job, wait_ms);
    return true;
}

void http_watch(struct job *job, const struct request *request, const char *url)
{
    const struct action *a = job->lane->action;
    int64_t silent_us = clock_boot_us() - request->last_us;
    if (a->idle_us == 0) {
        return;
    }
    if (silent_us >= a->idle_us) {
        job_fail(job, "%s: silent for %.1f s (idle)", url, (double)silent_us / 1e6);
        return;
    }
    job_wake(job, (uint64_t)((a->idle_us - silent_us) / US_PER_MS) + 1);
}

int64_t http_total_us(const struct job *job)
{
    return job->deadline_us - clock_boot_us() + US_PER_S;
}

static bool on_body(void *ctx, const uint8_t *bytes, size_t count)
{
    struct job *job = ctx;
    struct http *h = job->own;
    h->flooded = !bytes_add(&job->answer, bytes, count, job->lane->action->output_bytes_max);
    if (!h->flooded) {
        job_say(job);
    }
    return !h->flooded;
}

static void on_done(void *ctx, long status, const char *why, const struct bytes *error)
{
    struct job *job = ctx;
    struct http *h = job->own;
    const struct action *a = job->lane->action;
    uint32_t cpu_ms = http_cpu_limit_ms(job);
    if (h->flooded) {
        job_fail(job, "answered with more than %u KiB (output_max)", a->output_bytes_max >> 10);
        return;
    }
    if (request_retriable(status) && h->attempts < a->retries &&
        http_again(job, &h->request, ++h->attempts)) {
        return;
    }
    (void)snprintf(job->media, sizeof(job->media), "%s", h->request.media);
    if (status == 0) {
        job_fail(job, "%s: %s", a->url, why);
    } else if (status == 409) {
        job_conflict(job, error->at, error->count);
    } else if (status < 200 || status > 299) {
        job_fail(job, "HTTP %ld: %.*s", status, (int)error->count,
                 error->at != NULL ? (const char *)error->at : "");
    } else if (cpu_ms > 0 && h->request.cpu_ms != UINT32_MAX && h->request.cpu_ms > cpu_ms) {
        job_fail(job, "used %u ms of CPU; the limit is %u ms", h->request.cpu_ms, cpu_ms);
    } else {
        job_ready(job);
    }
}

static const struct request_ops request_ops = {on_body, on_done};

static bool attempt(struct job *job, char why[ACTION_PROBLEM_SIZE])
{
    struct http *h = job->own;
    const struct action *a = job->lane->action;
    struct http_headers headers;
    char key[ACTION_TEXT_MAX];
    bool has_key = a->key_file[0] != '\0';
    if (has_key && !web_key(a->key_file, key, sizeof(key))) {
        (void)snprintf(why, ACTION_PROBLEM_SIZE, "key_file %.200s cannot be read", a->key_file);
        return false;
    }
    (void)http_headers(job, &headers);
    struct request_conf conf = {.url = a->url,
                                .method = a->method,
                                .body = job->payload,
                                .body_bytes = job->payload_bytes,
                                .headers = headers.at,
                                .bearer = has_key ? key : NULL,
                                .connect_us = a->connect_us,
                                .total_us = http_total_us(job)};
    if (!request_start(&h->request, job->lane->crew->web, &conf, &request_ops, job, why)) {
        return false;
    }
    http_watch(job, &h->request, a->url);
    return true;
}

static enum reason http_start(struct job *job, char why[ACTION_PROBLEM_SIZE])
{
    job->own = calloc(1, sizeof(struct http));
    if (job->own == NULL) {
        (void)snprintf(why, ACTION_PROBLEM_SIZE, "no memory");
        return REASON_OVERLOAD;
    }
    return attempt(job, why) ? REASON_NONE : REASON_HANDLER;
}

/* Either it is time for the next attempt, or the endpoint may have been silent for too long. */
static void http_wake(struct job *job)
{
    struct http *h = job->own;
    const struct action *a = job->lane->action;
    char why[ACTION_PROBLEM_SIZE];
    if (!h->request.active) {
        if (!attempt(job, why)) {
            job_fail(job, "%s", why);
        }
        return;
    }
    http_watch(job, &h->request, a->url);
}

static void http_stop(struct job *job)
{
    struct http *h = job->own;
    if (h != NULL) {
        request_drop(&h->request);
        free(h);
        job->own = NULL;
    }
}

const struct job_ops http_ops = {http_start, http_wake, http_stop};
