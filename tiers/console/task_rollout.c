/* A task whose operation goes in parts (rollout.h): each as an operation of its own, and one report
 * of all of them. */
#include "core/aggregate.h"
#include "tiers/console/task_int.h"

static void rollout_finish(struct task *t)
{
    static struct aggregate_scratch scratch;
    struct report report;
    rollout_report(&t->rollout, &scratch, &report);
    task_clear_progress(t);
    if (t->rollout.refused)
        render_error(&t->render, reason_name(t->rollout.reason), t->rollout.why);
    bool refused = t->rollout.refused, stopped = t->rollout.stopped;
    t->operation_id = report.operation_id;
    if (refused && report.operation_id.bytes[0] == 0 && report.aggregate.sent == 0) {
        task_finish(t, EXIT_REFUSED);
        return;
    }
    int code = task_show_report(t, &report, NULL, 0);
    task_finish(t, refused ? EXIT_REFUSED : stopped ? EXIT_FAILED : code);
}

void task_rollout_step(struct task *t)
{
    struct rollout_lane *lane;
    uint64_t now_ms = uv_now(t->conf.loop);
    while (t->running && (lane = rollout_next(&t->rollout, now_ms, task_next_ref())) != NULL)
        task_send_command(t, &lane->command);
    if (!t->running)
        return;
    if (t->rollout.resume_ms > now_ms)
        t->deadline_ms = t->rollout.resume_ms + TASK_SILENCE_MS;
    rollout_progress(&t->rollout, &t->progress);
    t->have_progress = true;
    task_show_progress(t);
    if (rollout_over(&t->rollout))
        rollout_finish(t);
}
