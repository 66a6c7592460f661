/* Ctrl-C: once it stops the waiting and shows what has arrived and the job's id, twice it cancels.
 * What has arrived is fetched from the leads, which takes a moment: the second one may come then,
 * or at the prompt (repl.c). */
#include "core/num.h"
#include "tiers/console/task_int.h"
#include "tiers/runner/client.h"
#include <assert.h>

#define ARRIVED_MS    1500u
#define ARRIVED_SHOWN 10u /* groups */

void task_hint(struct task *t, const char *what)
{
    char id[ID128_TEXT_MAX], a[32], b[32];
    num_id128_format(t->operation_id, id);
    task_clear_progress(t);
    if (t->have_progress)
        fprintf(stderr, "%s: %s of %s answered so far\n", what,
                render_count(task_ended(&t->progress), a), render_count(t->progress.targets, b));
    fprintf(stderr, "%s: operation %s goes on in the mesh; 'cancel %s' stops it%s\n", what, id, id,
            t->conf.again ? t->conf.again : "");
}

/* Nothing more is sent; what is in flight goes on in the mesh unless it is cancelled. */
static void interrupt_rollout(struct task *t)
{
    char a[32], b[32];
    rollout_progress(&t->rollout, &t->progress);
    fprintf(stderr, "interrupted: %s of %s have ended; no further part is sent\n",
            render_count(task_ended(&t->progress), a), render_count(t->rollout.agents, b));
    for (uint32_t i = 0; i < t->rollout.lanes_max; i++) {
        char id[ID128_TEXT_MAX];
        const struct rollout_lane *lane = &t->rollout.lanes[i];
        num_id128_format(lane->id, id);
        if (lane->busy && !num_id128_zero(lane->id)) {
            fprintf(stderr, "interrupted: operation %s is in flight; 'cancel %s' stops it%s\n", id,
                    id, t->conf.again ? t->conf.again : "");
            t->left[t->left_count++] = lane->id;
            t->operation_id = lane->id;
            t->accepted = true;
        }
    }
    if (t->conf.lingers && t->left_count > 0) {
        t->interrupted = t->hinted = true;
        t->deadline_ms = uv_now(t->conf.loop) + INTERRUPT_AGAIN_MS;
        return;
    }
    task_finish(t, EXIT_INTERRUPTED);
}

/* The answers that are with the leads already; the operation's console gets no more of them. */
static bool ask_arrived(struct task *t)
{
    bool submitted = t->command.kind == COMMAND_SUBMIT ||
                     (t->command.kind == COMMAND_QUERY && t->command.query.kind == QUERY_ATTACH);
    if (!submitted || t->render.json || !client_is_up(t->conf.client))
        return false;
    t->interrupted = true;
    t->hinted = false;
    t->deadline_ms = uv_now(t->conf.loop) + ARRIVED_MS;
    t->command = (struct command){.kind = COMMAND_QUERY};
    t->command.query = (struct query){.kind = QUERY_ANSWERS,
                                      .operation_id = t->operation_id,
                                      .from_start = true,
                                      .limit = PAGE_ROWS_MAX};
    task_send(t);
    return true;
}

/* All that is left; the last one's reply is waited for. */
static void cancel(struct task *t)
{
    t->hinted = false;
    t->deadline_ms = uv_now(t->conf.loop) + ARRIVED_MS;
    for (uint32_t i = 0; i + 1 < t->left_count && t->running; i++) {
        t->command = (struct command){.kind = COMMAND_CANCEL, .operation_id = t->left[i]};
        task_send(t);
    }
    t->command = (struct command){.kind = COMMAND_CANCEL, .operation_id = t->operation_id};
    if (t->running)
        task_send(t);
}

static void show_arrived(struct task *t, const struct rows *rows)
{
    uint32_t shown = rows->row_count < ARRIVED_SHOWN ? rows->row_count : ARRIVED_SHOWN;
    char n[32];
    fputs(rows->row_count ? "arrived so far:\n" : "nothing has arrived so far\n", t->render.out);
    for (uint32_t i = 0; i < shown; i++)
        render_group(&t->render, &rows->rows[i].u.answer);
    if (rows->row_count > shown || rows->more)
        fprintf(t->render.out, "  and %s groups more\n",
                render_count(rows->total > shown ? rows->total - shown : 0, n));
    fflush(t->render.out);
}

void interrupt_reply(struct task *t, const struct reply *reply)
{
    if (reply->kind == REPLY_ROWS) {
        show_arrived(t, reply->rows);
        task_hint(t, "interrupted");
        t->hinted = true;
        if (t->conf.lingers) {
            t->deadline_ms = uv_now(t->conf.loop) + INTERRUPT_AGAIN_MS;
            return;
        }
    } else if (reply->kind == REPLY_OK) {
        if (t->left_count > 1)
            fprintf(t->render.out, "cancel: done, %u operations\n", t->left_count);
        else
            fputs("cancel: done\n", t->render.out);
    } else if (reply->kind == REPLY_ERROR) {
        render_error(&t->render, reason_name(reply->reason), reply->text ? reply->text : "refused");
        task_hint(t, "interrupted");
    } else {
        return; /* of the operation itself */
    }
    task_finish(t, EXIT_INTERRUPTED);
}

void interrupt_late(struct task *t)
{
    if (!t->hinted)
        task_hint(t, "interrupted");
    task_finish(t, EXIT_INTERRUPTED);
}

void task_interrupt(struct task *t)
{
    assert(t);
    if (!t->running)
        return;
    task_clear_progress(t);
    if (t->interrupted) {
        cancel(t);
        return;
    }
    if (t->rollout.active && !t->dry_run && t->sent) {
        interrupt_rollout(t);
        return;
    }
    if (t->accepted)
        t->left[t->left_count++] = t->operation_id;
    if (t->accepted && ask_arrived(t))
        return;
    if (t->accepted)
        task_hint(t, "interrupted");
    else if (!t->watching)
        fputs("interrupted\n", stderr);
    task_finish(t, EXIT_INTERRUPTED);
}
