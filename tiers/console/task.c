/* The life of one command.
 *
 * A task first waits for the connection, then sends its request and reads replies until the final
 * one. Operations are accepted with an id at once and report progress every second: as long as that
 * goes on the task waits, and when the mesh falls silent for TASK_SILENCE_MS it gives up with the
 * id, by which the operation can still be found or cancelled. Queries fetch page after page until
 * they have what was asked for. One uv_timer drives deadlines, progress and `watch`. */
#include "tiers/console/task.h"
#include "core/node.h"
#include "core/num.h"
#include "tiers/console/condition.h"
#include "tiers/console/content.h"
#include "tiers/console/delegate.h"
#include "tiers/console/dry_run.h"
#include "tiers/console/found.h"
#include "tiers/console/jobs.h"
#include "tiers/console/kpi.h"
#include "tiers/console/offer.h"
#include "tiers/console/request.h"
#include "tiers/console/review.h"
#include "tiers/console/targets.h"
#include "tiers/console/task_int.h"
#include "tiers/console/trace.h"
#include "tiers/runner/client.h"
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TICK_MS     100u
#define LOOK_MS     1000u /* between looks of `wait` */
#define WAIT_MS     300000u
#define KEY_MS      20u   /* while keys are read */
#define PROGRESS_MS 1000u /* commands shorter than this show none */
#define PASSES_MAX  4u    /* over pages whose rows move while they are read */

static void on_reply(void *ctx, const struct reply *reply);

void task_init(struct task *t, const struct task_conf *conf, const struct render *render)
{
    assert(t && conf && conf->loop);
    assert(render && render->topology);
    memset(t, 0, sizeof *t);
    t->conf = *conf;
    t->render = *render;
    uv_timer_init(conf->loop, &t->timer);
    t->timer.data = t;
}

void task_done(struct task *t)
{
    assert(t && !t->running);
    logs_done(&t->logs);
    inquiry_done(&t->inquiry);
    pages_done(&t->pages);
    free(t->kept);
    t->kept = NULL;
    if (!uv_is_closing((uv_handle_t *)&t->timer))
        uv_close((uv_handle_t *)&t->timer, NULL);
}

/* --- Progress -------------------------------------------------------------------------------- */

uint32_t task_ended(const struct aggregate_view *a)
{
    uint32_t sum = 0;
    for (enum outcome o = OUTCOME_READY; o < OUTCOME_COUNT; o++)
        sum += a->outcomes[o];
    return sum;
}

/* --- End ------------------------------------------------------------------------------------- */

void task_finish(struct task *t, int code)
{
    task_clear_progress(t);
    follow_end(t);
    client_any_ref(t->conf.client, false);
    if (t->rollout.active)
        rollout_done(&t->rollout);
    fflush(t->render.out);
    bool heard = !ferror(t->render.out); /* else nobody reads on: a pipe to head */
    if (t->top.screen && (code == EXIT_OK || code == EXIT_PARTIAL) && t->watching) {
        t->sent = t->accepted = t->have_progress = false;
        t->round_ms = uv_now(t->conf.loop) + t->watch_every_ms;
        return;
    }
    top_close(&t->top, &t->render);
    if (t->watching && heard && code != EXIT_INTERRUPTED &&
        (t->watch_left < 0 || --t->watch_left > 0)) {
        t->sent = t->accepted = t->have_progress = false;
        uv_timer_start(&t->timer, t->timer.timer_cb, t->watch_every_ms, TICK_MS);
        return;
    }
    uv_timer_stop(&t->timer);
    if (t->invocation.spec && t->invocation.spec->verb == CMD_CHECK && !t->checked)
        code = CHECK_UNKNOWN;
    client_forget(t->conf.client);
    t->running = t->watching = false;
    pages_done(&t->pages);
    free(t->kept);
    t->kept = NULL;
    t->on_done(t->ctx, code);
}

/* --- Replies --------------------------------------------------------------------------------- */

uint64_t task_next_ref(void)
{
    static uint64_t ref; /* a late reply to an earlier request is then no reply to this one */
    return ++ref;
}

void task_send_command(struct task *t, struct command *command)
{
    struct unit to = request_to(&t->invocation, t->conf.via);
    t->sent_ns = uv_hrtime();
    int error = client_command(t->conf.client, to, command, on_reply, t);
    if (error == -EPERM) {
        refuse_permission(t, command);
    } else if (error == -EKEYEXPIRED) {
        render_error(&t->render, "session",
                     "the session of 8 hours is over: start the console again");
        task_finish(t, EXIT_REFUSED);
    } else if (error) {
        render_error(&t->render, "", "the request could not be sent (too large, or out of memory)");
        task_finish(t, EXIT_FAILED);
    }
}

void task_send(struct task *t)
{
    t->command.ref = task_next_ref();
    task_send_command(t, &t->command);
}

static void ask_page(struct task *t)
{
    if (t->passes == 1 && t->rows_wanted - t->pages.count < t->command.query.limit)
        t->command.query.limit = (uint32_t)(t->rows_wanted - t->pages.count);
    task_send(t);
}

void task_first_page(struct task *t)
{
    t->passes++;
    t->command.query.from_start = true;
    t->command.query.after_key = 0;
    ask_page(t);
}

static void ask_next_page(struct task *t)
{
    t->command.query.from_start = false;
    t->command.query.after_key = t->pages.last_key;
    ask_page(t);
}

/* Its exit code. */
int task_show_report(struct task *t, const struct report *report, const struct answer_group *pages,
                     size_t page_count)
{
    enum command_verb verb = t->invocation.spec->verb;
    if (refuse_empty(t, report))
        return EXIT_NOT_FOUND;
    if (verb == CMD_REVIEW)
        return review_render(&t->render, &t->invocation, report, pages, page_count);
    if (verb == CMD_DELEGATE)
        return delegate_render(t, report);
    if (content_render(&t->render, &t->invocation, report))
        return (int)exit_of_report(report);
    t->render.diff = (verb == CMD_ASK || verb == CMD_RUN) && !t->render.json &&
                     t->render.form != FORM_CSV && command_value(&t->invocation, "diff")->given;
    render_report(&t->render, verb, report, pages, page_count);
    if (verb != CMD_BROADCAST || !t->render.no_ack)
        targets_lists(&t->render, &report->aggregate, pages ? pages : report->aggregate.groups,
                      pages ? page_count : report->aggregate.group_count,
                      t->meant_known ? &t->meant : NULL);
    int code = (int)exit_of_report(report);
    bool wants = verb == CMD_ASK && command_value(&t->invocation, "quorum")->given;
    if (wants && !quorum_render(&t->render, report->aggregate.groups, report->aggregate.group_count,
                                (uint32_t)command_value(&t->invocation, "quorum")->number))
        return EXIT_FAILED;
    return code;
}

/* What else is asked for before a report is shown; QUERY_KIND_COUNT: nothing. */
static enum query_kind rest_of_report(const struct task *t, const struct report *report)
{
    enum command_verb verb = t->invocation.spec->verb;
    const uint32_t *outcomes = report->aggregate.outcomes;
    bool pages = verb == CMD_REVIEW || ((verb == CMD_ASK || verb == CMD_RUN) &&
                                        command_value(&t->invocation, "pages")->given);
    if (pages && report->aggregate.other > 0)
        return QUERY_ANSWERS;
    bool silent = outcomes[OUTCOME_TIMEOUT_DELIVERY] + outcomes[OUTCOME_TIMEOUT_EXECUTION] +
                      outcomes[OUTCOME_UNREACHABLE] + outcomes[OUTCOME_CANCELLED] >
                  0;
    return verb == CMD_JOBS && silent ? QUERY_LATE : QUERY_KIND_COUNT;
}

/* The report is rendered now, or kept until all groups of answers, or the late ones, are here. */
static void take_report(struct task *t, const struct reply *reply)
{
    const struct report *report = reply->report;
    enum query_kind rest = rest_of_report(t, report);
    if (t->invocation.spec->verb == CMD_PIPELINE) {
        task_clear_progress(t);
        pipeline_report(t, report);
        return;
    }
    if (rest == QUERY_KIND_COUNT) {
        task_clear_progress(t);
        task_finish(t, task_show_report(t, report, NULL, 0));
        return;
    }
    struct msg msg = {.type = MSG_REPLY, .u.reply = reply};
    uint32_t bytes = msg_extra_bytes(&msg);
    /* One block: the message, then at a multiple of 16 what it points to. */
    size_t head = (sizeof msg + 15) / 16 * 16;
    t->kept = aligned_alloc(16, (head + bytes + 15) / 16 * 16);
    if (!t->kept) {
        render_error(&t->render, "", "out of memory");
        task_finish(t, EXIT_FAILED);
        return;
    }
    msg_copy(&msg, t->kept, (uint8_t *)t->kept + head, bytes);
    t->command = (struct command){.kind = COMMAND_QUERY};
    t->command.query.kind = rest;
    t->command.query.operation_id = report->operation_id;
    t->command.query.limit = PAGE_ROWS_MAX;
    t->rows_wanted = SIZE_MAX;
    task_first_page(t);
}

/* The list of jobs: what was asked for, or where the one is whose id was shortened. */
static void take_jobs(struct task *t)
{
    char error[COMMAND_ERROR_MAX];
    if (t->invocation.spec->verb == CMD_JOBS && jobs_action(&t->invocation) == JOBS_LIST) {
        const struct value *limit = command_value(&t->invocation, "limit");
        jobs_render_list(&t->render, &t->pages, limit->given ? (size_t)limit->number : 0);
        task_finish(t, EXIT_OK);
        return;
    }
    if (!jobs_pick(&t->invocation, &t->pages, &t->command, error)) {
        render_error(&t->render, "not-found", error);
        task_finish(t, EXIT_NOT_FOUND);
        return;
    }
    pages_done(&t->pages);
    t->passes = 1;
    task_send(t);
}

/* Rows as their pages come; what is only a step to something else is not shown. */
static void stream_rows(struct task *t)
{
    enum command_verb verb = t->invocation.spec->verb;
    bool plain = verb == CMD_FIND || verb == CMD_SECTORS || verb == CMD_SECTOR ||
                 verb == CMD_CLUSTER || verb == CMD_AGENT;
    if (t->render.form != FORM_JSONL || !plain)
        return;
    render_jsonl_rows(&t->render, t->pages.kind, t->pages.rows + t->streamed,
                      t->pages.count - t->streamed);
    t->streamed = t->pages.count;
}

/* Rows that are text lines, and shown as a whole. */
static bool take_records(struct task *t, enum command_verb verb)
{
    if (verb == CMD_KPI) {
        const struct value *over = command_value(&t->invocation, "over");
        kpi_render(&t->render, &t->pages, over->given ? (enum kpi_over)over->number : KPI_HOUR);
        task_finish(t, EXIT_OK);
    } else if (verb == CMD_TRACE) {
        task_finish(t, trace_render(&t->render, &t->pages));
    }
    return verb == CMD_KPI || verb == CMD_TRACE;
}

/* The agents for a task, the best first. */
static void take_delegates(struct task *t)
{
    if (t->invocation.spec->verb == CMD_PIPELINE) {
        pipeline_rows(t);
    } else if (!delegate_send(t)) {
        render_error(&t->render, "not-found", delegate_why(t));
        task_finish(t, EXIT_NOT_FOUND);
    } else {
        task_send(t);
    }
}

static void take_rows(struct task *t, const struct rows *rows)
{
    pages_add(&t->pages, t->render.topology, rows, t->rows_wanted);
    stream_rows(t);
    if (t->pages.more && rows->row_count > 0 && t->pages.count < t->rows_wanted) {
        ask_next_page(t);
        return;
    }
    if (pages_lack(&t->pages, t->rows_wanted) && t->passes < PASSES_MAX) {
        t->command.query.limit = PAGE_ROWS_MAX;
        task_first_page(t);
        return;
    }
    if (t->passes > 1)
        pages_sort(&t->pages);
    task_clear_progress(t);
    if (t->finding) {
        found_take(t);
        return;
    }
    if (t->kept) {
        struct answer_group *groups = pages_groups(&t->pages);
        const struct report *report = t->kept->u.reply->report;
        bool late = t->command.query.kind == QUERY_LATE;
        t->render.late = groups;
        t->render.late_count = late ? t->pages.count : 0;
        int code = task_show_report(t, report, late ? NULL : groups, late ? 0 : t->pages.count);
        t->render.late_count = 0;
        free(groups);
        task_finish(t, code);
        return;
    }
    enum command_verb verb = t->invocation.spec->verb;
    if (t->command.query.kind == QUERY_JOBS) {
        take_jobs(t);
        return;
    }
    if (verb == CMD_TOP && !t->render.json && t->render.form != FORM_CSV) {
        if (t->top.screen)
            top_draw(&t->top, &t->render, &t->pages);
        else
            top_render(&t->render, t->top.by, &t->pages);
        task_finish(t, t->pages.missing ? EXIT_PARTIAL : EXIT_OK);
        return;
    }
    if (take_records(t, verb))
        return;
    if (t->dry_run) {
        dry_run_render(&t->render, &t->invocation, &t->pages);
        if (t->rollout.active)
            rollout_describe(&t->rollout, &t->render);
        task_finish(t, t->pages.count ? EXIT_OK : EXIT_NOT_FOUND);
        return;
    }
    if (verb == CMD_DELEGATE || verb == CMD_PIPELINE) {
        take_delegates(t);
        return;
    }
    bool one = verb == CMD_AGENT || verb == CMD_INSPECT;
    if (one && t->pages.count == 0) {
        render_error(&t->render, "not-found", "nothing is known of that agent");
        task_finish(t, EXIT_NOT_FOUND);
        return;
    }
    render_rows(&t->render, verb, t->pages.kind, t->pages.rows, t->pages.count, t->pages.total,
                t->pages.missing, t->pages.more || t->pages.total > t->pages.count);
    task_finish(t, t->pages.missing ? EXIT_PARTIAL : EXIT_OK);
}

static void take_pong(struct task *t, bool answered)
{
    double ms = (double)(uv_hrtime() - t->sent_ns) / 1e6;
    task_clear_progress(t);
    if (!answered) {
        render_error(&t->render, "unreachable", "its parent answers, it does not");
        task_finish(t, EXIT_TIMEOUT);
        return;
    }
    render_pong(&t->render, command_value(&t->invocation, "scope")->text, ms);
    task_finish(t, EXIT_OK);
}

static void take_log(struct task *t, const struct log_page *page)
{
    enum log_next next = logs_take(&t->logs, &t->render, page, &t->command);
    if (next == LOG_MORE) {
        task_send(t);
        return;
    }
    if (next == LOG_NOT_FOUND)
        render_error(&t->render, "not-found", "the log has nothing of that name");
    logs_done(&t->logs);
    task_finish(t, next == LOG_DONE                            ? EXIT_OK
                   : next == LOG_NOT_FOUND || next == LOG_TOLD ? EXIT_NOT_FOUND
                                                               : EXIT_FAILED);
}

static void take_progress(struct task *t, const struct reply *reply)
{
    t->progress = reply->progress;
    t->progress.groups = NULL;
    t->have_progress = true;
    if (reply->final) { /* a job as it is now */
        jobs_render_running(&t->render, reply);
        task_finish(t, EXIT_OK);
        return;
    }
    if (t->render.form == FORM_JSONL)
        render_jsonl_progress(&t->render, reply->operation_id, &reply->progress);
    task_show_progress(t);
}

/* Looks again in a second, unless it holds or the time is over. */
static void take_condition(struct task *t, const struct mesh_status *status)
{
    struct condition c;
    char error[COMMAND_ERROR_MAX], text[80];
    bool good = condition_parse(command_value(&t->invocation, "for")->text, &c, error);
    assert(good && "it was good at the start");
    bool holds = good && condition_holds(&c, status);
    bool over = uv_now(t->conf.loop) >= t->give_up_ms;
    if (!holds && !over) {
        t->sent = false;
        uv_timer_start(&t->timer, t->timer.timer_cb, LOOK_MS, TICK_MS);
        return;
    }
    condition_text(&c, status, text, sizeof text);
    if (holds && !t->render.json)
        fprintf(t->render.out, "%s after %.1f s\n", text,
                (double)(uv_now(t->conf.loop) - t->started_ms) / 1000);
    else if (holds)
        fprintf(t->render.out, "{\"ok\":true}\n");
    else
        render_error(&t->render, "timeout", text);
    task_finish(t, holds ? EXIT_OK : EXIT_TIMEOUT);
}

static void take_status(struct task *t, const struct mesh_status *status)
{
    if (t->invocation.spec->verb == CMD_PING) {
        take_pong(t, true);
        return;
    }
    if (t->top.screen) {
        char error[COMMAND_ERROR_MAX];
        t->top.status = *status;
        (void)request_build(&t->invocation, t->render.topology, &t->command, error);
        top_query(&t->top, &t->command.query);
        t->rows_wanted = t->command.query.limit;
        task_first_page(t);
        return;
    }
    if (t->invocation.spec->verb == CMD_WAIT) {
        take_condition(t, status);
        return;
    }
    if (t->invocation.spec->verb == CMD_CHECK) {
        t->checked = true;
        task_finish(t, check_render(&t->render, &t->invocation, status));
        return;
    }
    render_status(&t->render, status);
    task_finish(t, EXIT_OK);
}

/* Of an earlier request, of a look at the progress, of a rollout, or after Ctrl-C. */
static bool taken_aside(struct task *t, const struct reply *reply)
{
    if (progress_reply(t, reply))
        return true;
    if (t->rollout.active && !t->dry_run && !t->interrupted) {
        task_clear_progress(t);
        rollout_reply(&t->rollout, &t->render, uv_now(t->conf.loop), reply);
        task_rollout_step(t);
        return true;
    }
    if (t->interrupted)
        interrupt_reply(t, reply);
    return t->interrupted;
}

static void take_reply(struct task *t, const struct reply *reply)
{
    switch (reply->kind) {
    case REPLY_ERROR:
        task_clear_progress(t);
        refuse_error(t, reply->reason, reply->text ? reply->text : "refused");
        break;
    case REPLY_LINE:
        task_clear_progress(t);
        render_line(&t->render, reply->text ? reply->text : "", t->lines++);
        break;
    case REPLY_OK:
        if (t->lines > 0)
            render_lines_end(&t->render);
        else if (!t->render.json)
            fprintf(t->render.out, "%s: done\n", t->invocation.spec->name);
        else
            fprintf(t->render.out, "{\"ok\":true}\n");
        task_finish(t, EXIT_OK);
        break;
    case REPLY_ACCEPTED:
        t->accepted = true;
        t->operation_id = reply->operation_id;
        if (t->invocation.spec->verb == CMD_DELEGATE)
            delegate_announce(t);
        if (t->invocation.spec->verb == CMD_PIPELINE)
            pipeline_accepted(t);
        if (t->render.form == FORM_JSONL)
            render_jsonl_accepted(&t->render, reply->operation_id);
        break;
    case REPLY_HELD:
        task_clear_progress(t);
        jobs_render_held(&t->render, reply);
        task_finish(t, EXIT_HELD);
        break;
    case REPLY_PROGRESS:
        take_progress(t, reply);
        break;
    case REPLY_OPERATION:
        if (t->invocation.spec->verb == CMD_PING) {
            take_pong(t, reply->report->aggregate.outcomes[OUTCOME_READY] > 0);
            break;
        }
        take_report(t, reply);
        break;
    case REPLY_ROWS:
        if (t->invocation.spec->verb == CMD_PING) {
            take_pong(t, reply->rows->row_count > 0 && reply->rows->missing == 0);
            break;
        }
        take_rows(t, reply->rows);
        break;
    case REPLY_STATUS:
        take_status(t, reply->status);
        break;
    case REPLY_LOG:
        take_log(t, reply->log);
        break;
    case REPLY_KIND_COUNT:
        break;
    case REPLY_WHEN:
        render_when(&t->render, &reply->when);
        task_finish(t, reply->when.targets ? EXIT_OK : EXIT_NOT_FOUND);
        break;
    }
}

static void on_reply(void *ctx, const struct reply *reply)
{
    struct task *t = ctx;
    assert(t->running);
    if (!t->interrupted)
        t->deadline_ms = uv_now(t->conf.loop) + TASK_SILENCE_MS;
    if (taken_aside(t, reply))
        return;
    if (inquiry_is(&t->invocation) && reply->kind != REPLY_PROGRESS) {
        inquiry_reply(t, reply);
        return;
    }
    take_reply(t, reply);
}

/* --- Start ----------------------------------------------------------------------------------- */

static void begin_round(struct task *t)
{
    t->sent = true;
    t->deadline_ms = uv_now(t->conf.loop) + (uint64_t)(t->conf.wait_us / US_PER_MS);
    if (t->watching && isatty(fileno(t->render.out)) && !t->render.json && !t->top.screen)
        fputs("\033[H\033[2J", t->render.out);
    pages_done(&t->pages);
    if (t->watching) { /* paging has used up the last round's request */
        char error[COMMAND_ERROR_MAX];
        bool good = request_build(&t->invocation, t->render.topology, &t->command, error);
        assert(good && "it was good at the start");
        (void)good;
        t->finding = found_wanted(t);
        t->dry_run = !t->finding && dry_run_query(&t->invocation, &t->command);
    }
    if (t->finding)
        found_query(t);
    t->passes = 0;
    if (t->command.kind == COMMAND_LOG)
        logs_begin(&t->logs, &t->invocation, &t->command);
    if (t->top.screen)
        t->command = (struct command){.kind = COMMAND_STATUS};
    if (t->rollout.active && !t->dry_run) {
        client_any_ref(t->conf.client, true);
        task_rollout_step(t);
    } else if (inquiry_is(&t->invocation)) {
        inquiry_begin(t);
    } else if (t->command.kind == COMMAND_QUERY) {
        task_first_page(t);
    } else {
        task_send(t);
    }
}

/* Whose clock is far from theirs is refused in silence, and refuses what they say. */
static void no_answer(struct task *t)
{
    char text[200] = "no answer in time: is that tier running?";
    int64_t off_ms = client_clock_off_ms(t->conf.client);
    if (off_ms != 0)
        snprintf(text, sizeof text,
                 "no answer in time: the mesh's clocks are %lld s %s this machine's: is it right?",
                 (long long)llabs(off_ms) / 1000, off_ms > 0 ? "ahead of" : "behind");
    else if (!client_heard(t->conf.client))
        snprintf(text, sizeof text,
                 "no answer in time: is that tier running, and this machine's clock right?");
    render_error(&t->render, "timeout", text);
}

/* Keys are read between looks: true while there is nothing to do. */
static bool top_waits(struct task *t)
{
    enum top_key key = top_keys(&t->top);
    if (key == TOP_QUIT) {
        t->watching = false;
        task_finish(t, EXIT_OK);
        return true;
    }
    if (key == TOP_AGAIN)
        t->round_ms = 0;
    return !t->sent &&
           uv_now(t->conf.loop) < (t->top.paused && t->round_ms ? UINT64_MAX : t->round_ms);
}

static void on_tick(uv_timer_t *timer)
{
    struct task *t = timer->data;
    uint64_t now_ms = uv_now(t->conf.loop);
    assert(t->running);
    if (t->top.screen && top_waits(t))
        return;
    if (!t->sent && client_is_up(t->conf.client)) {
        begin_round(t);
        return;
    }
    if (now_ms < t->deadline_ms || (t->watching && !t->sent)) {
        if (t->rollout.active && !t->dry_run && t->sent && !t->interrupted)
            task_rollout_step(t);
        else
            progress_look(t);
        task_show_progress(t);
        return;
    }
    if (t->interrupted) {
        interrupt_late(t);
        return;
    }
    if (t->accepted) {
        task_hint(t, "no word from the mesh");
    } else if (!t->sent) {
        char text[320];
        snprintf(text, sizeof text, "not connected: %s", client_why(t->conf.client));
        render_error(&t->render, "timeout", text);
    } else {
        no_answer(t);
    }
    task_finish(t, EXIT_TIMEOUT);
}

/* What the mesh's agents offer, held against what the line wants of them. */
static bool offered(struct task *t, bool *acts, char error[COMMAND_ERROR_MAX])
{
    enum command_verb verb = t->invocation.spec->verb;
    bool offer_acts = false;
    if (t->command.kind != COMMAND_SUBMIT || verb == CMD_REVIEW || verb == CMD_CONTENT)
        return true;
    bool good = (verb == CMD_PIPELINE ? pipeline_check : offer_check)(
        t->conf.actions, t->render.topology, &t->invocation, &t->command.operation, &offer_acts,
        error);
    *acts = *acts || offer_acts;
    return good;
}

void task_start(struct task *t, const char *const words[], size_t count, enum render_form form,
                void (*on_done)(void *ctx, int exit_code), void *ctx)
{
    char error[COMMAND_ERROR_MAX] = "";
    assert(t && !t->running && count > 0);
    assert(on_done);
    t->render.form = form;
    t->render.json = form == FORM_JSON || form == FORM_JSONL;
    t->streamed = 0;
    t->on_done = on_done;
    t->ctx = ctx;
    t->running = true;
    t->sent = t->accepted = t->have_progress = t->watching = t->interrupted = false;
    t->left_count = 0;
    t->checked = false;
    follow_begin(t);
    t->waits_for[0] = '\0';
    t->lines = 0;
    uv_update_time(t->conf.loop);
    t->started_ms = uv_now(t->conf.loop);
    t->deadline_ms = t->started_ms + (uint64_t)(t->conf.wait_us / US_PER_MS);
    bool good = command_parse(words, count, &t->invocation, error) &&
                task_form_offered(&t->invocation, form, error);
    if (good && t->invocation.spec->verb == CMD_WATCH)
        good = task_watch(t, error);
    bool acts = good && request_acts(&t->invocation);
    if (good)
        good = request_build(&t->invocation, t->render.topology, &t->command, error) &&
               offered(t, &acts, error);
    if (good && t->conf.read_only && acts && !dry_run_wanted(&t->invocation)) {
        refuse_read_only(t);
        return;
    }
    t->meant_known = good && t->command.kind == COMMAND_SUBMIT;
    if (t->meant_known)
        t->meant = t->command.operation.selector;
    t->finding = good && found_wanted(t);
    if (good && t->command.kind == COMMAND_SUBMIT && !t->finding && rollout_wanted(&t->invocation))
        good =
            rollout_plan(&t->rollout, &t->invocation, t->render.topology, NULL, &t->command, error);
    bool staged = good && t->invocation.spec->verb == CMD_PIPELINE;
    t->dry_run = good && !t->finding && !staged && dry_run_query(&t->invocation, &t->command);
    if (good && t->invocation.spec->verb == CMD_DELEGATE && !t->dry_run)
        delegate_query(t);
    if (staged)
        pipeline_begin(t);
    if (!good) {
        refuse_usage(t, error);
        return;
    }
    if (request_dangerous(&t->invocation)) {
        refuse_unsaid(t);
        return;
    }
    t->render.no_ack = t->command.kind == COMMAND_SUBMIT && !t->command.operation.require_ack;
    t->rows_wanted = t->dry_run ? SIZE_MAX : request_row_limit(&t->invocation);
    if (t->invocation.spec->verb == CMD_WAIT) {
        const struct value *timeout = command_value(&t->invocation, "timeout");
        t->give_up_ms =
            t->started_ms + (timeout->given ? (uint64_t)(timeout->number / US_PER_MS) : WAIT_MS);
    }
    if (t->invocation.spec->verb == CMD_TOP) {
        const struct value *every = command_value(&t->invocation, "every");
        top_open(&t->top, &t->invocation, &t->render);
        t->watching = t->top.screen;
        t->watch_every_ms = every->given ? (uint64_t)(every->number / US_PER_MS) : 2000;
        t->round_ms = 0;
    }
    uv_timer_start(&t->timer, on_tick, 0, t->top.screen ? KEY_MS : TICK_MS);
}
