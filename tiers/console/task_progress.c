/* The line on stderr while a command runs: how many targets have ended, how long the others may
 * take at this pace, and whom the mesh waits for, which it is asked every LOOK_MS. */
#include "tiers/console/jobs.h"
#include "tiers/console/task_int.h"
#include "tiers/runner/client.h"
#include <assert.h>
#include <string.h>

#define PROGRESS_MS 1000u /* commands shorter than this show none */
#define LOOK_MS     2000u
#define AGAIN_MS    3000u

void task_clear_progress(struct task *t)
{
    if (t->progress_shown)
        fputs("\r\033[K", stderr);
    t->progress_shown = false;
}

void task_show_progress(struct task *t)
{
    uint64_t elapsed_ms = uv_now(t->conf.loop) - t->started_ms;
    uint32_t done = task_ended(&t->progress), all = t->progress.targets;
    char a[32], b[32], eta[32] = "";
    bool silent = t->invocation.spec->verb == CMD_JOBS && jobs_action(&t->invocation) == JOBS_WAIT;
    if (!t->conf.interactive || silent || elapsed_ms < PROGRESS_MS || !t->have_progress || all == 0)
        return;
    if (done > 0 && done < all)
        snprintf(eta, sizeof eta, "  ETA %.0f s",
                 (double)elapsed_ms / 1000 * (double)(all - done) / (double)done);
    unsigned percent = t->follow.percent; /* the run's own word */
    if (done == 0 && percent > 0 && percent < 100)
        snprintf(eta, sizeof eta, "  ETA %.0f s",
                 (double)elapsed_ms / 1000 * (double)(100 - percent) / (double)percent);
    fprintf(stderr, "\r%s / %s  %u %%%s%s%s%s%s\033[K", render_count(done, a), render_count(all, b),
            (unsigned)(100ull * done / all), eta, t->waits_for[0] ? "  waits for " : "",
            t->waits_for, t->follow.word[0] ? ": " : "", t->follow.word);
    t->progress_shown = true;
}

/* An operation of its own, or a job that it is attached to, of which the mesh tells. */
static bool follows(const struct task *t)
{
    const struct command *c = &t->command;
    return t->accepted && !t->interrupted && !t->rollout.active &&
           (c->kind == COMMAND_SUBMIT ||
            (c->kind == COMMAND_QUERY && c->query.kind == QUERY_ATTACH));
}

/* An orchestrator that took over does not know who followed a job, nor where this console is: it is
 * asked, under the ref of before. */
static void follow_again(struct task *t, uint64_t now_ms)
{
    uint64_t heard_ms = t->deadline_ms - TASK_SILENCE_MS;
    if (!follows(t) || now_ms < heard_ms + AGAIN_MS || now_ms < t->again_ms + AGAIN_MS)
        return;
    t->again_ms = now_ms;
    t->again = (struct command){.kind = COMMAND_QUERY, .ref = t->command.ref};
    t->again.query = (struct query){
        .kind = QUERY_ATTACH, .operation_id = t->operation_id, .from_start = true, .limit = 1};
    task_send_command(t, &t->again);
}

void progress_look(struct task *t)
{
    uint64_t now_ms = uv_now(t->conf.loop);
    follow_again(t, now_ms);
    follow_look(t);
    bool runs = t->accepted && t->have_progress && !t->interrupted && t->conf.interactive;
    if (!runs || now_ms - t->started_ms < LOOK_MS || now_ms < t->look_ms)
        return;
    t->look_ms = now_ms + LOOK_MS;
    t->look = (struct command){.kind = COMMAND_QUERY, .ref = task_next_ref()};
    t->look.query = (struct query){
        .kind = QUERY_TRACE, .operation_id = t->operation_id, .from_start = true, .limit = 1};
    client_any_ref(t->conf.client, true);
    task_send_command(t, &t->look);
}

bool progress_reply(struct task *t, const struct reply *reply)
{
    char first[UNIT_TEXT_MAX];
    if (follows(t) && ((reply->kind == REPLY_ERROR && reply->reason == REASON_OVERLOAD) ||
                       reply->kind == REPLY_ACCEPTED))
        return true; /* it has just begun, and is asked again; or knows what is known here */
    if (follow_reply(t, reply))
        return true;
    if (t->look.ref == 0 || reply->ref != t->look.ref)
        return reply->ref != t->command.ref && !t->rollout.active; /* of an earlier request */
    t->look.ref = 0;
    t->waits_for[0] = '\0';
    if (reply->kind != REPLY_ROWS || reply->rows->row_count == 0)
        return true;
    const struct page_row *row = &reply->rows->rows[0];
    int64_t others = record_number(row, "children_waiting") - 1;
    record_value(row, "waits_for", first, sizeof first);
    if (first[0] && others > 0)
        snprintf(t->waits_for, sizeof t->waits_for, "%s and %lld more", first, (long long)others);
    else
        snprintf(t->waits_for, sizeof t->waits_for, "%s", first);
    return true;
}
