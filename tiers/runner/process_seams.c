/* What others put into a process: handlers of actions (executor.h), and a way out for spans
 * (exporter.h). */
#include "tiers/runner/process_int.h"

#include <assert.h>

static bool failed(struct process *p, const char *msg, const char *why)
{
    char text[RUNNER_WHY_MAX];
    log_clean(why, text, sizeof(text));
    log_line(&p->log, LOG_ERROR, msg, "why=\"%s\"", text);
    return false;
}

bool process_seams_start(struct process *p)
{
    assert(p != NULL && p->kind != NULL);
    const struct executor_host host = {.progress = runner_run_progress, .done = runner_run_done};
    char why[RUNNER_WHY_MAX] = "";
    const struct runner_kind *k = p->kind;
    if (k->executor != NULL && !k->executor(&p->loop, &p->config, &host, &p->executor, why)) {
        return failed(p, "actions-failed", why);
    }
    if (k->exporter != NULL &&
        !k->exporter(&p->loop, &p->config, p->conf, &p->log, &p->exporter, why)) {
        return failed(p, "otlp-failed", why);
    }
    return true;
}

void process_span(void *ctx, const struct span *span, const struct trace_context *trace)
{
    struct process *p = ctx;
    p->exporter->span(p->exporter->self, span, trace);
}

void process_seams_stop(struct process *p)
{
    if (p->exporter != NULL) {
        p->exporter->flush(p->exporter->self);
    }
}

void process_seams_close(struct process *p)
{
    if (p->executor != NULL) {
        if (p->runner != NULL) {
            runner_forget_work(p->runner);
        }
        p->executor->close(p->executor->self);
    }
    if (p->exporter != NULL) {
        p->exporter->close(p->exporter->self);
    }
}

void process_seams_free(struct process *p)
{
    if (p->executor != NULL) {
        p->kind->executor_free(p->executor);
    }
    if (p->exporter != NULL) {
        p->kind->exporter_free(p->exporter);
    }
}
