/* Commands that end before anything was sent: the line is wrong (exit 2), or it is not for this
 * console, this operator, or without --yes (exit 6). One line on stderr each; nobody is asked. */
#include "tiers/console/task_int.h"
#include "tiers/runner/ingress.h"
#include "tiers/runner/keys.h"
#include <assert.h>
#include <stdio.h>

/* What is wrong before anything was sent ends at the next turn of the loop, so that on_done is
 * never called from inside. */
static void on_usage_error(uv_timer_t *timer)
{
    task_finish(timer->data, EXIT_USAGE);
}

static void on_refused(uv_timer_t *timer)
{
    task_finish(timer->data, EXIT_REFUSED);
}

void refuse_usage(struct task *t, const char *error)
{
    render_error(&t->render, "usage", error);
    uv_timer_start(&t->timer, on_usage_error, 0, 0);
}

void refuse_read_only(struct task *t)
{
    char text[COMMAND_ERROR_MAX];
    snprintf(text, sizeof text, "%s: this console was started with --read-only, and '%s' acts",
             t->invocation.spec->name, t->invocation.spec->name);
    render_error(&t->render, "read-only", text);
    uv_timer_start(&t->timer, on_refused, 0, 0);
}

void refuse_unsaid(struct task *t)
{
    char text[COMMAND_ERROR_MAX];
    snprintf(text, sizeof text, "%s: changes what the mesh does: say it again with --yes%s",
             t->invocation.spec->name,
             command_flag(t->invocation.spec, "dry-run") ? ", or see it first with --dry-run" : "");
    render_error(&t->render, "unconfirmed", text);
    uv_timer_start(&t->timer, on_refused, 0, 0);
}

void refuse_permission(struct task *t, const struct command *command)
{
    uint64_t wants = command_capability(command);
    char text[COMMAND_ERROR_MAX];
    snprintf(text, sizeof text,
             "%s: your certificate does not allow this: it is for %s (yours: mesh keys show "
             "KEYS/operator.cert)",
             t->invocation.spec->name,
             wants == CONSOLE_ADMIN     ? "admins"
             : wants == CONSOLE_OPERATE ? "operators and admins"
                                        : "viewers, operators and admins");
    render_error(&t->render, "permission", text);
    task_finish(t, EXIT_REFUSED);
}

bool task_form_offered(const struct invocation *in, enum render_form form,
                       char error[COMMAND_ERROR_MAX])
{
    const struct command_spec *spec = in->spec;
    static const enum command_verb rows[] = {CMD_FIND,  CMD_SECTORS, CMD_SECTOR,    CMD_CLUSTER,
                                             CMD_AGENT, CMD_ASK,     CMD_RUN,       CMD_CASCADE,
                                             CMD_JOBS,  CMD_WATCH,   CMD_BROADCAST, CMD_TOP};
    bool any = form == FORM_TABLE || form == FORM_JSON;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        any = any || spec->verb == rows[i];
    bool lines = form == FORM_TABLE || form == FORM_WIDE;
    bool diff = command_flag(spec, "diff") && command_value(in, "diff")->given;
    if (!any)
        snprintf(error, COMMAND_ERROR_MAX, "--output: '%s' has table and json only", spec->name);
    else if (diff && !lines)
        snprintf(error, COMMAND_ERROR_MAX, "--diff: is for people: leave out --json and --output");
    return any && (lines || !diff);
}
