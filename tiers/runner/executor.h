/* The seam between the engine and handlers that are not built in: programs, HTTP endpoints, models,
 * people (tiers/work). The engine starts a run, may cancel it, and is told how it goes; everything
 * happens on the loop thread, and nothing is ever called back from inside start or cancel. */
#ifndef TIERS_RUNNER_EXECUTOR_H
#define TIERS_RUNNER_EXECUTOR_H

#include "tiers/runner/handlers.h"
#include <uv.h>

struct page;

/* How a run ended. Everything is borrowed for the call. bytes may be longer than an inline answer:
 * the engine stores such content by its hash and answers with that. */
struct executor_answer {
    enum outcome verdict; /* READY, CONFLICT, FAILED, REFUSED or TIMEOUT_EXECUTION */
    enum reason reason;
    const uint8_t *bytes;
    size_t count;
    const struct conflict_detail *conflict; /* with CONFLICT */
};

/* Whom an executor tells. `run` is what start was given. */
struct executor_host {
    void *ctx;
    void (*progress)(void *run, const uint8_t *bytes, size_t count); /* newest partial output */
    void (*done)(void *run, const struct executor_answer *answer);   /* once, unless cancelled */
};

struct executor {
    void *self;
    bool (*offers)(void *self, const char *action);
    /* Begins a run. NULL: *ret says why not. deadline_us: on the boot clock. */
    void *(*start)(void *self, const struct handler_call *call, int64_t deadline_us, void *run,
                   struct executor_answer *ret);
    void (*cancel)(void *self, void *job); /* the job is gone; done is not called */
    void (*metrics)(void *self, struct page *page);
    /* Ends all runs without a word and closes its handles; freed once the loop has closed them. */
    void (*close)(void *self);
};

#endif
