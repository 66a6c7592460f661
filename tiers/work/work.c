/* Lanes and jobs: who runs, who waits, when a run is over.
 *
 * A lane is an action of this process. A job is one run. It waits in its lane until the lane has
 * room, is started, and ends once: by its handler, by its deadline, or by a cancel. Ending tells
 * the runner at once; the memory goes when the last handle has been closed. A job that its handler
 * still has to get rid of (a program that was killed but not yet reaped) keeps its place in the
 * lane, so that the limit is one of real processes. */
#include "core/utf8.h"
#include "tiers/runner/clock.h"
#include "tiers/runner/metrics.h"
#include "tiers/web/web.h"
#include "tiers/work/work_int.h"
#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BURST_MAX 16u

/* ---- a job's end ---- */

static void job_free(struct job *job)
{
    bytes_done(&job->answer);
    free(job);
}

void job_hold(struct job *job)
{
    job->holds++;
}

static void lane_pump(struct lane *lane);
static void pump_soon(struct crew *crew);

void job_release(struct job *job)
{
    assert(job->holds > 0);
    if (--job->holds > 0) {
        return;
    }
    assert(job->over);
    struct lane *lane = job->lane;
    if (job->running) {
        lane->running--;
        lane->crew->stats.running--;
    }
    job_free(job);
    if (!lane->crew->closed) {
        lane_pump(lane);
    }
}

static void on_timer_closed(uv_handle_t *handle)
{
    job_release(handle->data);
}

/* Out of its lane's list, its handler told to let go, its timer closed. */
static void job_over(struct job *job)
{
    struct lane *lane = job->lane;
    assert(!job->over);
    job->over = true;
    *job->link = job->next;
    if (job->next != NULL) {
        job->next->link = job->link;
    } else if (!job->running) {
        lane->last = job->link;
    }
    if (!job->running) {
        lane->waiting--;
        lane->crew->stats.waiting--;
    } else {
        job->ops->stop(job);
    }
    uv_close((uv_handle_t *)&job->timer, on_timer_closed);
}

static void tell(struct job *job, const struct executor_answer *answer)
{
    struct crew *crew = job->lane->crew;
    if (job->told) {
        return;
    }
    job->told = true;
    crew->stats.done += answer->verdict == OUTCOME_READY || answer->verdict == OUTCOME_CONFLICT;
    crew->stats.failed += answer->verdict == OUTCOME_FAILED;
    crew->stats.timed_out += answer->verdict == OUTCOME_TIMEOUT_EXECUTION;
    crew->host.done(job->run, answer);
}

void job_end(struct job *job, enum outcome verdict, enum reason reason, const void *text,
             size_t count)
{
    if (job->over) {
        return;
    }
    struct executor_answer answer = {
        .verdict = verdict, .reason = reason, .bytes = text, .count = count};
    job_hold(job); /* text may lie in the job */
    job_over(job);
    tell(job, &answer);
    job_release(job);
}

void job_fail(struct job *job, const char *format, ...)
{
    char text[ANSWER_BYTES_MAX];
    va_list list;
    va_start(list, format);
    int n = vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    size_t count = n < 0 ? 0 : (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    job_end(job, OUTCOME_FAILED, REASON_HANDLER, text, count);
}

void job_ready(struct job *job)
{
    struct action_problem problem;
    const struct content *output = &job->lane->action->output;
    struct bytes *a = &job->answer;
    while (a->count > 0 && output->kind != CONTENT_ANY &&
           (a->at[a->count - 1] == '\n' || a->at[a->count - 1] == '\r')) {
        a->count--;
    }
    if (!content_check(output, a->at, a->count, &problem)) {
        job_fail(job, "the answer of '%s' %s%s%s", job->lane->action->name, problem.text,
                 job->media[0] != '\0' ? "; its Content-Type is " : "", job->media);
        return;
    }
    job_end(job, OUTCOME_READY, REASON_NONE, a->at, a->count);
}

void job_conflict(struct job *job, const void *received, size_t count)
{
    static const uint8_t expected[] = "agreement";
    struct conflict_detail detail = {.type = CONFLICT_DATA_CONTRADICTION,
                                     .agents_affected = 1,
                                     .expected = expected,
                                     .expected_bytes = sizeof(expected) - 1,
                                     .received = received,
                                     .received_bytes =
                                         count < TEXT_BYTES_MAX ? (uint32_t)count : TEXT_BYTES_MAX};
    struct executor_answer answer = {.verdict = OUTCOME_CONFLICT, .conflict = &detail};
    job_hold(job);
    job_over(job);
    tell(job, &answer);
    job_release(job);
}

void job_progress(struct job *job, const void *text, size_t count)
{
    if (!job->over && !job->told) {
        job->lane->crew->host.progress(job->run, text, count);
    }
}

static void timer_arm(struct job *job);

static void say_now(struct job *job)
{
    const struct bytes *a = &job->answer;
    size_t end = utf8_whole(a->at, a->count), from;
    while (end > 0 && (a->at[end - 1] == '\n' || a->at[end - 1] == '\r')) {
        end--;
    }
    for (from = end; from > 0 && a->at[from - 1] != '\n' && a->at[from - 1] != '\r'; from--) {
        if (end - from == WORD_BYTES_MAX) {
            from += utf8_begin(a->at + from, end - from);
            break;
        }
    }
    if (end > from) {
        job->said_us = clock_boot_us();
        job_progress(job, a->at + from, end - from);
    }
}

void job_say(struct job *job)
{
    int64_t wait_us = job->said_us + PROGRESS_US - clock_boot_us();
    if (job->over || job->say_ms != 0) {
        return;
    }
    if (wait_us <= 0) {
        say_now(job);
        return;
    }
    job->say_ms = uv_now(job->lane->crew->loop) + (uint64_t)wait_us / US_PER_MS + 1;
    timer_arm(job);
}

/* ---- time ---- */

static void on_timer(uv_timer_t *timer);

static void timer_arm(struct job *job)
{
    int64_t left_us = job->deadline_us - clock_boot_us();
    uint64_t ms = left_us <= 0 ? 0 : (uint64_t)(left_us / US_PER_MS) + 1;
    uint64_t now_ms = uv_now(job->lane->crew->loop);
    uint64_t next_ms = job->wake_ms;
    if (job->say_ms != 0 && (next_ms == 0 || job->say_ms < next_ms)) {
        next_ms = job->say_ms;
    }
    if (next_ms != 0 && next_ms < now_ms + ms) {
        ms = next_ms > now_ms ? next_ms - now_ms : 0;
    }
    uv_timer_start(&job->timer, on_timer, ms, 0);
}

static void on_timer(uv_timer_t *timer)
{
    struct job *job = timer->data;
    if (clock_boot_us() >= job->deadline_us) {
        char text[ACTION_PROBLEM_SIZE];
        int n = snprintf(text, sizeof(text), "'%s' was %s at its deadline, after %.1f s",
                         job->lane->action->name,
                         job->running ? "not done and was ended" : "still waiting for its turn",
                         (double)(clock_boot_us() - job->begun_us) / 1e6);
        job_end(job, OUTCOME_TIMEOUT_EXECUTION, REASON_HANDLER, text, (size_t)n);
        return;
    }
    if (job->say_ms != 0 && uv_now(timer->loop) >= job->say_ms) {
        job->say_ms = 0;
        say_now(job);
    }
    if (job->wake_ms != 0 && uv_now(timer->loop) >= job->wake_ms) {
        job->wake_ms = 0;
        timer_arm(job);
        job->ops->wake(job);
        return;
    }
    timer_arm(job);
}

/* Never early (Retry-After): the loop's time is that of its last turn, in whole milliseconds. */
void job_wake(struct job *job, uint64_t in_ms)
{
    if (!job->over) {
        uv_update_time(job->lane->crew->loop);
        job->wake_ms = uv_now(job->lane->crew->loop) + in_ms + 1;
        timer_arm(job);
    }
}

/* ---- lanes ---- */

static void job_begin(struct lane *lane, struct job *job)
{
    char why[ACTION_PROBLEM_SIZE] = "";
    *job->link = job->next;
    if (job->next != NULL) {
        job->next->link = job->link;
    } else {
        lane->last = job->link;
    }
    lane->waiting--;
    lane->crew->stats.waiting--;
    job->next = lane->active;
    job->link = &lane->active;
    if (job->next != NULL) {
        job->next->link = &job->next;
    }
    lane->active = job;
    lane->running++;
    lane->crew->stats.running++;
    lane->crew->stats.started++;
    job->running = true;
    enum reason reason = job->ops->start(job, why);
    if (reason != REASON_NONE) {
        char text[2 * ACTION_PROBLEM_SIZE];
        int n = snprintf(text, sizeof(text), "'%s' cannot be started: %s", lane->action->name, why);
        job_end(job, OUTCOME_FAILED, reason, text, (size_t)n);
    }
}

/* BURST_MAX of them a turn, then the bus gets its chance. */
static void lane_pump(struct lane *lane)
{
    struct crew *crew = lane->crew;
    while (lane->running < lane->limit && lane->first != NULL && crew->burst < BURST_MAX) {
        crew->burst++;
        job_begin(lane, lane->first);
    }
    if (crew->burst > 0) {
        pump_soon(crew);
    }
}

static void on_pump(uv_timer_t *timer)
{
    struct crew *crew = timer->data;
    crew->burst = 0;
    for (uint32_t i = 0; i < crew->lane_count; i++) {
        if (crew->lanes[i].first != NULL) {
            lane_pump(&crew->lanes[i]);
        }
    }
}

static void pump_soon(struct crew *crew)
{
    if (!crew->closed && !uv_is_active((uv_handle_t *)&crew->pump)) {
        (void)uv_timer_start(&crew->pump, on_pump, 0, 0);
    }
}

void lane_limit(struct lane *lane, uint32_t limit)
{
    lane->limit =
        limit > 0 && limit < lane->action->in_flight_max ? limit : lane->action->in_flight_max;
    lane_pump(lane);
}

static struct lane *lane_find(struct crew *crew, const char *action)
{
    for (uint32_t i = 0; i < crew->lane_count; i++) {
        if (strcmp(crew->lanes[i].action->name, action) == 0) {
            return &crew->lanes[i];
        }
    }
    return NULL;
}

static const struct job_ops *ops_of(enum action_handler handler)
{
    switch (handler) {
    case HANDLER_EXEC:
        return &exec_ops;
    case HANDLER_HTTP:
        return &http_ops;
    case HANDLER_LLM:
        return &llm_ops;
    case HANDLER_HUMAN:
        return &review_ops;
    case HANDLER_BUILTIN:
    case HANDLER_COUNT:
    default:
        return NULL;
    }
}

/* ---- the seam ---- */

static bool work_offers(void *self, const char *action)
{
    struct crew *crew = self;
    return lane_find(crew, action) != NULL || desk_offers(action);
}

/* Why this agent may not do that; NULL: it may. */
static const char *unfit(const struct action *a, const struct handler_call *call,
                         enum reason *ret_reason, struct action_problem *problem)
{
    int bit = a->capability[0] != '\0'
                  ? topology_capability(call->topology, a->capability, strlen(a->capability))
                  : -1;
    uint64_t has = topology_class_capabilities(call->topology, call->agent_class);
    *ret_reason = REASON_CAPABILITY;
    if ((bit >= 0 && (has >> bit & 1u) == 0) ||
        (a->class_mask != 0 && (a->class_mask & 1u << call->agent_class) == 0)) {
        (void)snprintf(problem->text, sizeof(problem->text), "%s does not offer '%s'",
                       class_name(call->agent_class), a->name);
        return problem->text;
    }
    *ret_reason = REASON_INVALID;
    return content_check(&a->input, call->operation->payload, call->operation->payload_bytes,
                         problem)
               ? NULL
               : problem->text;
}

static void refuse(struct crew *crew, struct executor_answer *ret, enum outcome verdict,
                   enum reason reason, const char *text)
{
    static char kept[ACTION_PROBLEM_SIZE]; /* one loop thread; read before the next start */
    crew->stats.refused++;
    (void)snprintf(kept, sizeof(kept), "%s", text);
    *ret = (struct executor_answer){.verdict = verdict,
                                    .reason = reason,
                                    .bytes = (const uint8_t *)kept,
                                    .count = strlen(kept)};
}

static struct job *job_new(struct lane *lane, const struct handler_call *call, int64_t deadline_us,
                           void *run)
{
    uint32_t bytes = call->operation->payload_bytes;
    struct job *job = calloc(1, sizeof(*job) + bytes);
    if (job == NULL) {
        return NULL;
    }
    job->lane = lane;
    job->ops = ops_of(lane->action->handler);
    job->run = run;
    job->unit = call->unit;
    job->agent_class = call->agent_class;
    job->operation = call->operation->id;
    job->trace = call->trace;
    job->priority = call->operation->priority;
    job->begun_us = clock_boot_us();
    int64_t own_us = job->begun_us + lane->action->timeout_us;
    job->deadline_us = deadline_us < own_us ? deadline_us : own_us;
    job->payload_bytes = bytes;
    if (bytes > 0) {
        memcpy(job->payload, call->operation->payload, bytes);
    }
    return job;
}

static void *work_start(void *self, const struct handler_call *call, int64_t deadline_us, void *run,
                        struct executor_answer *ret)
{
    struct crew *crew = self;
    struct lane *lane = lane_find(crew, call->operation->action);
    struct action_problem problem;
    enum reason reason;
    if (lane == NULL) {
        desk_command(crew->desk, call, ret);
        return NULL;
    }
    const char *why = unfit(lane->action, call, &reason, &problem);
    if (why != NULL) {
        refuse(crew, ret, OUTCOME_FAILED, reason, why);
        return NULL;
    }
    struct job *job =
        crew->stats.waiting < WAITING_MAX ? job_new(lane, call, deadline_us, run) : NULL;
    if (job == NULL) {
        refuse(crew, ret, OUTCOME_FAILED, REASON_OVERLOAD, "too many runs are waiting");
        return NULL;
    }
    job->link = lane->last;
    *lane->last = job;
    lane->last = &job->next;
    lane->waiting++;
    crew->stats.waiting++;
    (void)uv_timer_init(crew->loop, &job->timer);
    job->timer.data = job;
    job_hold(job);
    timer_arm(job);
    pump_soon(crew); /* nothing is told from inside start */
    return job;
}

static void work_cancel(void *self, void *at)
{
    struct crew *crew = self;
    struct job *job = at;
    if (!job->over) {
        crew->stats.cancelled++;
        job->told = true;
        job_over(job);
    }
}

static void work_metrics(void *self, struct page *page)
{
    const struct crew *crew = self;
    const struct work_stats *s = &crew->stats;
    page_add(page, "handlers_running", NULL, NULL, s->running);
    page_add(page, "handlers_waiting", NULL, NULL, s->waiting);
    page_add(page, "reviews_open", NULL, NULL, s->reviews);
    page_add(page, "handler_runs_total", "outcome", "done", s->done);
    page_add(page, "handler_runs_total", "outcome", "failed", s->failed);
    page_add(page, "handler_runs_total", "outcome", "timeout", s->timed_out);
    page_add(page, "handler_runs_total", "outcome", "cancelled", s->cancelled);
    page_add(page, "handler_runs_total", "outcome", "refused", s->refused);
    page_add(page, "handler_retries_total", NULL, NULL, s->retries);
    page_add(page, "handler_strays_killed_total", NULL, NULL, s->strays_killed);
    page_add(page, "llm_tokens_total", "direction", "input", s->tokens_in);
    page_add(page, "llm_tokens_total", "direction", "output", s->tokens_out);
}

static void work_close(void *self)
{
    struct crew *crew = self;
    crew->closed = true;
    for (uint32_t i = 0; i < crew->lane_count; i++) {
        struct lane *lane = &crew->lanes[i];
        while (lane->first != NULL) {
            lane->first->told = true;
            job_over(lane->first);
        }
        while (lane->active != NULL) {
            lane->active->told = true;
            job_over(lane->active);
        }
        llm_probe_close(lane);
    }
    uv_close((uv_handle_t *)&crew->pump, NULL);
    reaper_close(crew->reaper);
    web_close(crew->web);
}

struct executor *work_new(uv_loop_t *loop, const struct action_table *table,
                          const struct executor_host *host, const char **ret_why)
{
    assert(loop != NULL && host != NULL && ret_why != NULL);
    uint32_t count = 0;
    const struct action *a;
    struct crew *crew = calloc(1, sizeof(*crew));
    struct lane *lanes = calloc(ACTIONS_MAX + 1, sizeof(*lanes));
    *ret_why = "no memory";
    if (crew == NULL || lanes == NULL) {
        free(crew);
        free(lanes);
        return NULL;
    }
    *crew = (struct crew){.loop = loop, .table = table, .host = *host, .lanes = lanes};
    crew->executor = (struct executor){.self = crew,
                                       .offers = work_offers,
                                       .start = work_start,
                                       .cancel = work_cancel,
                                       .metrics = work_metrics,
                                       .close = work_close};
    for (uint32_t i = 0; (a = action_at(table, i)) != NULL; i++) {
        if (a->handler != HANDLER_BUILTIN) {
            struct lane *lane = &lanes[count++];
            *lane = (struct lane){.crew = crew, .action = a, .limit = a->in_flight_max};
            lane->last = &lane->first;
        }
    }
    crew->lane_count = count;
    (void)uv_timer_init(loop, &crew->pump);
    crew->pump.data = crew;
    crew->reaper = reaper_new(crew);
    crew->web = web_new(loop);
    crew->desk = desk_new(crew);
    if (crew->reaper == NULL || crew->web == NULL || crew->desk == NULL) {
        *ret_why = "the HTTP client or the reaper of processes does not start";
        return NULL; /* the process ends; nothing was started on the loop that would outlive it */
    }
    for (uint32_t i = 0; i < count; i++) {
        if (lanes[i].action->handler == HANDLER_LLM) {
            llm_probe(&lanes[i]);
        }
    }
    return &crew->executor;
}

void work_free(struct executor *executor)
{
    if (executor == NULL) {
        return;
    }
    struct crew *crew = (struct crew *)(void *)executor;
    assert(crew->closed);
    reaper_free(crew->reaper);
    web_free(crew->web);
    desk_free(crew->desk);
    free(crew->lanes);
    free(crew);
}

const struct work_stats *work_stats(const struct executor *executor)
{
    return &((const struct crew *)(const void *)executor)->stats;
}
