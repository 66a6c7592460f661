/* Commands that end in one line on stderr, or one JSON object. Before anything is sent: the line is
 * wrong (exit 2), or it is not for this console, this operator, or without --yes (exit 6); nobody
 * is asked. And what the mesh answers with an error, or with a report about nobody. */
#include "tiers/console/offer.h"
#include "tiers/console/task_int.h"
#include "tiers/runner/ingress.h"
#include "tiers/runner/keys.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>

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

/* An id that names nothing, or several, and a selection of nobody, are not found rather than
 * refused. */
static int error_exit(const struct task *t, enum reason reason, const char *text)
{
    static const char *const unknown[] = {"id: no", "no open conflict", "ambiguous"};
    enum command_verb verb = t->invocation.spec->verb;
    bool named = verb == CMD_JOBS || verb == CMD_CANCEL || verb == CMD_TRACE;
    bool given = verb == CMD_CONFLICTS || verb == CMD_THREATS || verb == CMD_APPROVE;
    bool nobody = t->command.kind == COMMAND_SUBMIT && strstr(text, "matches no agent");
    for (size_t i = 0; given && i < sizeof unknown / sizeof *unknown; i++)
        named = named || strncmp(text, unknown[i], strlen(unknown[i])) == 0;
    return (named || nobody) && reason == REASON_INVALID ? EXIT_NOT_FOUND : EXIT_REFUSED;
}

/* The submission is for nobody: the same words whoever found that out. */
static void say_nobody(struct task *t)
{
    char text[COMMAND_ERROR_MAX];
    if (t->invocation.spec->verb == CMD_REVIEW) {
        bool list = strcmp(t->command.operation.action, "review.list") == 0;
        render_error(&t->render, "not-found",
                     list ? "no person (CLASS_F) is there: nobody has a desk to look at"
                          : "item: no person (CLASS_F) is there: 'review list' shows what waits");
        return;
    }
    offer_nobody(t->conf.actions, &t->command.operation, text);
    render_error(&t->render, "not-found", text);
}

void refuse_error(struct task *t, enum reason reason, const char *text)
{
    int code = error_exit(t, reason, text);
    if (code == EXIT_NOT_FOUND && t->command.kind == COMMAND_SUBMIT)
        say_nobody(t);
    else
        render_error(&t->render, reason_name(reason), text);
    task_finish(t, code);
}

bool refuse_empty(struct task *t, const struct report *report)
{
    bool ended =
        strcmp(report->status, "REFUSED") == 0 || strncmp(report->status, "FAILED", 6) == 0;
    bool empty = t->command.kind == COMMAND_SUBMIT && t->invocation.spec->verb != CMD_DELEGATE &&
                 report->aggregate.targets == 0 && !ended;
    if (empty)
        say_nobody(t);
    return empty;
}
