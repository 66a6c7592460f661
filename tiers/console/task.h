/* One command on its way: from parsed words over the mesh and back to the screen. Asynchronous, on
 * the console's loop; one task at a time. */
#ifndef TIERS_CONSOLE_TASK_H
#define TIERS_CONSOLE_TASK_H

#include "core/commands.h"
#include "core/msg.h"
#include "core/unit.h"
#include "tiers/console/exit_code.h"
#include "tiers/console/follow.h"
#include "tiers/console/inquiry.h"
#include "tiers/console/logs.h"
#include "tiers/console/pages.h"
#include "tiers/console/pipeline.h"
#include "tiers/console/render.h"
#include "tiers/console/rollout.h"
#include "tiers/console/top.h"
#include "tiers/work/action.h"
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

struct client;

#define INTERRUPT_AGAIN_MS 2000u

struct task_conf {
    uv_loop_t *loop;
    struct client *client;
    struct unit via;  /* who is asked: the orchestrator, or a sector for its own */
    int64_t wait_us;  /* for the connection and for the first answer */
    bool interactive; /* progress on stderr */
    bool read_only;   /* commands that act are refused */
    const struct action_table *actions; /* what agents offer; NULL: what every agent has */
    const char *again; /* what another Ctrl-C does, behind the hint after the first; or NULL */
    bool lingers;      /* after the first it waits for another for INTERRUPT_AGAIN_MS */
};

struct task {
    struct task_conf conf;
    struct render render;
    struct invocation invocation;
    struct command command;
    void (*on_done)(void *ctx, int exit_code);
    void *ctx;
    bool running;
    uv_timer_t timer;
    uint64_t started_ms; /* uv_now() */
    uint64_t deadline_ms;
    bool sent, accepted;
    /* What goes on in the mesh after Ctrl-C; more than one of a rollout. */
    struct id128 left[ROLLOUT_LANES];
    uint32_t left_count;
    bool interrupted; /* what has arrived is being fetched, or the operation cancelled */
    bool hinted;      /* it was shown, and how to cancel */
    struct id128 operation_id;
    struct aggregate_view progress; /* counts only */
    bool have_progress, progress_shown;
    struct command look; /* whom the operation waits for, asked while it runs */
    uint64_t look_ms;
    struct command again; /* the same of an orchestrator that fell silent */
    uint64_t again_ms;
    char waits_for[64];
    struct follow follow;
    struct pages pages;
    size_t rows_wanted;
    size_t streamed;            /* rows that FORM_JSONL has shown already */
    struct operation delegated; /* waits for the agents that are looked for (delegate.h, found.h) */
    struct unit delegates[32];
    uint32_t delegate_count;
    uint64_t sent_ms; /* uv_now() */
    struct pipeline pipeline;
    bool meant_known; /* it submitted an operation, to these: */
    struct selector meant;
    bool finding;     /* the rows of its query are counted out before it is sent (found.h) */
    bool dry_run;     /* the rows of its query are who is meant */
    uint32_t lines;   /* of REPLY_LINE so far */
    uint64_t sent_ns; /* uv_hrtime() of the last request */
    struct log_view logs;
    struct inquiry inquiry;
    uint32_t passes; /* over all pages; more than one when rows moved meanwhile */
    struct top top;
    uint64_t round_ms;      /* top: uv_now() of its next look */
    struct rollout rollout; /* active: the operation goes in parts */
    struct msg *kept;       /* a reply with its report, while answer pages are fetched */
    bool checked;           /* check: its verdict is the exit code */
    uint64_t give_up_ms;    /* wait: uv_now() */
    /* watch */
    bool watching;
    uint64_t watch_every_ms;
    int64_t watch_left; /* -1: for ever */
    char watch_line[COMMAND_LINE_BYTES_MAX];
};

void task_init(struct task *t, const struct task_conf *conf, const struct render *render);
void task_done(struct task *t);

/* Starts the command of these words. on_done is called exactly once, never from inside. Errors are
 * printed. form: of this command only. */
void task_start(struct task *t, const char *const words[], size_t count, enum render_form form,
                void (*on_done)(void *ctx, int exit_code), void *ctx);

/* Ctrl-C: stops waiting, shows what has arrived and how to cancel the operation. */
void task_interrupt(struct task *t);

#endif
