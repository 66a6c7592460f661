#include "tiers/web/otlp.h"

#include "tiers/runner/clock.h"
#include "tiers/runner/metrics.h"
#include "tiers/web/web.h"
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EVERY_MS       1000u
#define CONNECT_US     (5ll * US_PER_S)
#define TOTAL_US       (10ll * US_PER_S)
#define ANSWER_BYTES   65536u
#define URL_BYTES      (CONFIG_TEXT_MAX + 16u)
#define PATH_BYTES     ((size_t)2u * CONFIG_TEXT_MAX)
#define COMPLAIN_EVERY (60ll * US_PER_S)

struct otlp {
    struct exporter exporter; /* first */
    uv_loop_t *loop;
    struct log *log;
    struct web *web;
    uv_timer_t timer;
    struct otlp_from from;
    char url[URL_BYTES];
    char ca[PATH_BYTES];
    struct otlp_headers headers;
    struct otlp_stats stats;
    struct otlp_span *ring; /* OTLP_QUEUE_MAX */
    uint32_t first, count;
    uint32_t batch, attempts; /* batch: the first so many of the ring are on their way */
    char *body;               /* of the batch; NULL: none */
    struct request request;
    struct bytes answer;
    int64_t complained_us; /* boot clock; 0: never */
    bool failing, closed;
};

static void on_timer(uv_timer_t *timer);

static void wake(struct otlp *o, uint64_t in_ms)
{
    if (!o->closed) {
        (void)uv_timer_start(&o->timer, on_timer, in_ms, 0);
    }
}

static void complain(struct otlp *o, const char *what, const char *why)
{
    int64_t now_us = clock_boot_us();
    if (o->complained_us == 0 || now_us - o->complained_us >= COMPLAIN_EVERY) {
        char text[200];
        log_clean(why, text, sizeof(text));
        log_line(o->log, LOG_WARNING, what, "url=%s why=\"%s\"", o->url, text);
        o->complained_us = now_us;
    }
    o->failing = true;
}

/* The batch is done with. */
static void batch_over(struct otlp *o)
{
    o->first = (o->first + o->batch) % OTLP_QUEUE_MAX;
    o->count -= o->batch;
    o->batch = 0;
    o->attempts = 0;
    free(o->body);
    o->body = NULL;
    wake(o, o->count >= OTLP_BATCH_MAX ? 0 : EVERY_MS);
}

static void taken(struct otlp *o)
{
    char why[200];
    uint64_t rejected = otlp_rejected(o->answer.at, o->answer.count, why, sizeof(why));
    rejected = rejected < o->batch ? rejected : o->batch;
    o->stats.rejected += rejected;
    o->stats.exported += o->batch - rejected;
    if (rejected > 0) {
        complain(o, "otlp-rejected", why);
    } else if (o->failing) {
        log_line(o->log, LOG_INFO, "otlp-works", "url=%s", o->url);
        o->failing = false;
        o->complained_us = 0;
    }
    batch_over(o);
}

/* The collector did not take it now. */
static void again(struct otlp *o, const char *why)
{
    complain(o, "otlp-failed", why);
    if (o->attempts >= OTLP_ATTEMPTS_MAX) {
        o->stats.dropped_tries += o->batch;
        batch_over(o);
        return;
    }
    wake(o, request_backoff_ms(&o->request, o->attempts));
}

static bool on_body(void *ctx, const uint8_t *bytes, size_t count)
{
    struct otlp *o = ctx;
    (void)bytes_add(&o->answer, bytes, count, ANSWER_BYTES); /* what is beyond is not read */
    return true;
}

static void on_done(void *ctx, long status, const char *why, const struct bytes *error)
{
    struct otlp *o = ctx;
    char text[160];
    if (status >= 200 && status <= 299) {
        taken(o);
        return;
    }
    (void)snprintf(text, sizeof(text), "HTTP %ld: %.*s", status,
                   (int)(error->count < 120 ? error->count : 120),
                   error->at != NULL ? (const char *)error->at : "");
    why = status == 0 ? why : text;
    if (request_retriable(status)) {
        again(o, why);
        return;
    }
    complain(o, "otlp-refused", why);
    o->stats.dropped_answer += o->batch;
    batch_over(o);
}

static const struct request_ops ops = {.body = on_body, .done = on_done};

static void batch_begin(struct otlp *o)
{
    const struct otlp_span *spans[OTLP_BATCH_MAX];
    o->batch = o->count < OTLP_BATCH_MAX ? o->count : OTLP_BATCH_MAX;
    for (uint32_t i = 0; i < o->batch; i++) {
        spans[i] = &o->ring[(o->first + i) % OTLP_QUEUE_MAX];
    }
    o->body = otlp_encode(&o->from, spans, o->batch);
}

static void attempt(struct otlp *o)
{
    const char *headers[OTLP_HEADERS_MAX + 2] = {"Content-Type: application/json"};
    char why[WEB_WHY_SIZE];
    for (uint32_t i = 0; i < o->headers.count; i++) {
        headers[i + 1] = o->headers.line[i];
    }
    if (o->body == NULL) {
        batch_begin(o);
    }
    o->attempts++;
    o->answer.count = 0;
    const struct request_conf conf = {.url = o->url,
                                      .method = "POST",
                                      .body = o->body,
                                      .body_bytes = o->body != NULL ? strlen(o->body) : 0,
                                      .headers = headers,
                                      .ca_file = o->ca[0] != '\0' ? o->ca : NULL,
                                      .connect_us = CONNECT_US,
                                      .total_us = TOTAL_US};
    if (o->body == NULL) {
        o->request = (struct request){.web = o->web, .retry_after_us = -1};
        again(o, "no memory for a request");
    } else if (!request_start(&o->request, o->web, &conf, &ops, o, why)) {
        again(o, why);
    } else {
        o->stats.requests++;
        o->stats.retries += o->attempts > 1 ? 1 : 0;
    }
}

static void on_timer(uv_timer_t *timer)
{
    struct otlp *o = timer->data;
    if (o->count == 0) {
        return; /* the next span wakes it */
    }
    if (!o->request.active) {
        attempt(o);
    }
}

static void otlp_span(void *self, const struct span *span, const struct trace_context *trace)
{
    struct otlp *o = self;
    assert(span != NULL && span->known && trace != NULL);
    if (o->count == OTLP_QUEUE_MAX || o->closed) {
        o->stats.dropped_queue++;
        return;
    }
    o->ring[(o->first + o->count) % OTLP_QUEUE_MAX] =
        (struct otlp_span){.span = *span, .trace = *trace};
    o->count++;
    if (o->batch > 0) {
        return; /* what follows it comes when it is over */
    }
    if (o->count == 1) {
        wake(o, EVERY_MS);
    } else if (o->count == OTLP_BATCH_MAX) {
        wake(o, 0);
    }
}

static void otlp_flush(void *self)
{
    struct otlp *o = self;
    if (o->count > 0 &&
        o->batch == 0) { /* else one is on its way, or is not to come before a time */
        attempt(o);
    }
}

static void otlp_metrics(void *self, struct page *page)
{
    struct otlp *o = self;
    const struct otlp_stats *s = otlp_stats(&o->exporter);
    page_add(page, "otlp_waiting", NULL, NULL, s->waiting);
    page_add(page, "otlp_requests_total", "attempt", "first", s->requests - s->retries);
    page_add(page, "otlp_requests_total", "attempt", "again", s->retries);
    page_add(page, "otlp_spans_total", "end", "exported", s->exported);
    page_add(page, "otlp_spans_total", "end", "rejected", s->rejected);
    page_add(page, "otlp_spans_total", "end", "queue-full", s->dropped_queue);
    page_add(page, "otlp_spans_total", "end", "refused", s->dropped_answer);
    page_add(page, "otlp_spans_total", "end", "unreachable", s->dropped_tries);
}

const struct otlp_stats *otlp_stats(const struct exporter *exporter)
{
    assert(exporter != NULL);
    struct otlp *o = exporter->self;
    o->stats.waiting = o->count;
    return &o->stats;
}

static void on_closed(uv_handle_t *handle)
{
    (void)handle;
}

static void otlp_close(void *self)
{
    struct otlp *o = self;
    if (o->closed) {
        return;
    }
    o->closed = true;
    o->stats.dropped_stop += o->count;
    if (o->count > 0) {
        log_line(o->log, LOG_WARNING, "otlp-unsent", "spans=%u", o->count);
    }
    request_drop(&o->request);
    web_close(o->web);
    uv_close((uv_handle_t *)&o->timer, on_closed);
}

void otlp_free(struct exporter *exporter)
{
    if (exporter == NULL) {
        return;
    }
    struct otlp *o = exporter->self;
    assert(o->closed);
    web_free(o->web);
    bytes_done(&o->answer);
    explicit_bzero(&o->headers, sizeof(o->headers));
    free(o->body);
    free(o->ring);
    free(o);
}

/* A file beside the configuration, when it is not named from the root. */
static void beside(const char *config, const char *file, char ret[PATH_BYTES])
{
    const char *slash = file[0] == '/' ? NULL : strrchr(config, '/');
    int folder = slash != NULL ? (int)(slash - config) + 1 : 0;
    (void)snprintf(ret, PATH_BYTES, "%.*s%s", folder, config, file);
}

static void url_complete(const char *url, char ret[URL_BYTES])
{
    const char *host = strstr(url, "://") + 3;
    size_t all = strcspn(host, "/?");
    bool bare = host[all] == '\0' || (host[all] == '/' && host[all + 1] == '\0');
    (void)snprintf(ret, URL_BYTES, "%.*s%s", (int)(host - url + (bare ? (ptrdiff_t)all : 256)), url,
                   bare ? "/v1/traces" : "");
}

static bool files(struct otlp *o, const struct config *config, char ret_why[RUNNER_WHY_MAX])
{
    char path[PATH_BYTES];
    if (config->otlp_ca[0] != '\0') {
        beside(config->file, config->otlp_ca, o->ca);
        if (access(o->ca, R_OK) != 0) {
            (void)snprintf(ret_why, RUNNER_WHY_MAX, "otlp_ca: %.200s cannot be read", o->ca);
            return false;
        }
    }
    if (config->otlp_headers[0] == '\0') {
        return true;
    }
    beside(config->file, config->otlp_headers, path);
    return otlp_headers_read(path, &o->headers, ret_why, RUNNER_WHY_MAX);
}

bool otlp_open(uv_loop_t *loop, const struct config *config, const struct process_conf *process,
               struct log *log, struct exporter **ret, char ret_why[RUNNER_WHY_MAX])
{
    assert(loop != NULL && config != NULL && process != NULL && ret != NULL);
    *ret = NULL;
    if (config->otlp_url[0] == '\0') {
        return true;
    }
    struct otlp *o = calloc(1, sizeof(*o));
    struct otlp_span *ring = calloc(OTLP_QUEUE_MAX, sizeof(*ring));
    bool good = o != NULL && ring != NULL;
    if (!good) {
        (void)snprintf(ret_why, RUNNER_WHY_MAX, "no memory for %u spans", OTLP_QUEUE_MAX);
    }
    good = good && files(o, config, ret_why);
    if (good && (o->web = web_new(loop)) == NULL) {
        (void)snprintf(ret_why, RUNNER_WHY_MAX, "the HTTP client cannot be set up");
        good = false;
    }
    if (!good) {
        free(ring);
        free(o);
        return false;
    }
    url_complete(config->otlp_url, o->url);
    o->ring = ring;
    o->loop = loop;
    o->log = log;
    o->from = (struct otlp_from){
        .role = process_role_name(process->role), .mesh = config->name, .process = process->name};
    (void)uv_timer_init(loop, &o->timer);
    o->timer.data = o;
    o->exporter = (struct exporter){.self = o,
                                    .span = otlp_span,
                                    .flush = otlp_flush,
                                    .metrics = otlp_metrics,
                                    .close = otlp_close};
    *ret = &o->exporter;
    return true;
}
