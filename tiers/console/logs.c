/* A log is read in pages of a few rows and printed as they come (JSON lists at the end, an export
 * row by row), so that a log of any length passes. Names of conflicts may be shortened: the rows
 * "opened" are then searched for the one that begins so. */
#include "tiers/console/logs.h"
#include "core/incident.h"
#include "core/num.h"
#include "core/store.h"
#include "tiers/console/targets.h"
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ROWS_SHOWN 50u
#define NAME_BYTES 16u /* of a conflict, in full */

enum action { ACTION_LIST, ACTION_SHOW, ACTION_RESOLVE, ACTION_EXPORT, ACTION_VERIFY };

static enum action action_of(const struct invocation *in)
{
    static const enum action of_audit[] = {ACTION_LIST, ACTION_EXPORT, ACTION_VERIFY};
    static const enum action of_incident[] = {ACTION_LIST, ACTION_SHOW, ACTION_EXPORT,
                                              ACTION_VERIFY};
    const struct value *v = command_value(in, "action");
    if (!v->given)
        return ACTION_LIST;
    if (in->spec->verb == CMD_INCIDENT)
        return of_incident[v->number];
    return in->spec->verb == CMD_AUDIT ? of_audit[v->number] : (enum action)v->number;
}

static bool fail(char error[COMMAND_ERROR_MAX], const char *text)
{
    snprintf(error, COMMAND_ERROR_MAX, "%s", text);
    return false;
}

static bool build_filters(const struct invocation *in, const struct topology *t,
                          struct log_request *q, char error[COMMAND_ERROR_MAX])
{
    const struct value *on = command_value(in, "on"), *since = command_value(in, "since"),
                       *type = command_value(in, "type");
    const char *why = NULL;
    if (on->given && !unit_parse(on->text, strlen(on->text), &q->agent, &why)) {
        snprintf(error, COMMAND_ERROR_MAX, "--on: '%.60s': %s", on->text, why);
        return false;
    }
    if (on->given && !topology_contains(t, q->agent)) {
        char hint[64];
        snprintf(error, COMMAND_ERROR_MAX, "--on: '%.60s' is no place of this mesh%s", on->text,
                 targets_hint("so high a number", t, hint));
        return false;
    }
    if (since->given) {
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        q->since_us = now.tv_sec * US_PER_S + now.tv_nsec / 1000 - since->number;
    }
    if (type->given)
        snprintf(q->type, sizeof q->type, "%.*s", (int)sizeof q->type - 1, type->text);
    return true;
}

static bool build_conflicts(const struct invocation *in, enum action action, struct command *ret,
                            char error[COMMAND_ERROR_MAX])
{
    const struct value *id = command_value(in, "id"), *all = command_value(in, "all"),
                       *priority = command_value(in, "priority"), *type = command_value(in, "type"),
                       *keep = command_value(in, "keep"), *note = command_value(in, "note");
    if (id->given &&
        (strlen(id->text) > NAME_BYTES || strspn(id->text, "0123456789abcdef") != strlen(id->text)))
        return fail(error, "id: 1 to 16 hex digits, as `conflicts list` shows them");
    if (type->given && !conflict_type_parse(type->text, strlen(type->text)))
        return fail(error, "--type: CONTEXT_DIVERGENCE, DATA_CONTRADICTION, TEMPORAL_PARADOX, "
                           "CAPABILITY_MISMATCH, HASH_MISMATCH or OTHER");
    ret->log.priority = priority->given ? (uint32_t)priority->number : 0;
    ret->log.open = action == ACTION_LIST && !all->given;
    if (action == ACTION_LIST)
        snprintf(ret->log.event, sizeof ret->log.event, "opened");
    if (action != ACTION_RESOLVE)
        return true;
    ret->kind = COMMAND_RESOLVE;
    ret->decision.keep =
        (enum conflict_keep[]){KEEP_EXPECTED, KEEP_RECEIVED, KEEP_BOTH, KEEP_NONE}[keep->number];
    snprintf(ret->decision.conflict, sizeof ret->decision.conflict, "%s", id->text);
    if (note->given && strlen(note->text) >= sizeof ret->decision.note)
        return fail(error, "--note: 199 bytes at most");
    snprintf(ret->decision.note, sizeof ret->decision.note, "%s", note->given ? note->text : "");
    return true;
}

static bool build_audit(const struct invocation *in, struct command *ret,
                        char error[COMMAND_ERROR_MAX])
{
    const struct value *event = command_value(in, "event");
    if (!event->given)
        return true;
    if (strlen(event->text) >= sizeof ret->log.event)
        return fail(error, "--event: command, threat, mode, .., as `audit list` shows them");
    snprintf(ret->log.event, sizeof ret->log.event, "%s", event->text);
    return true;
}

static bool build_incident(const struct invocation *in, enum action action, struct command *ret,
                           char error[COMMAND_ERROR_MAX])
{
    const struct value *id = command_value(in, "id"), *all = command_value(in, "all"),
                       *priority = command_value(in, "priority"), *type = command_value(in, "type");
    if (id->given &&
        (strlen(id->text) > NAME_BYTES || strspn(id->text, "0123456789abcdef") != strlen(id->text)))
        return fail(error, "id: 1 to 16 hex digits, as `incident list` shows them");
    if (type->given && failure_parse(type->text) == FAILURE_NONE)
        return fail(error, "--type: TRANSIENT_NETWORK, AGENT_CRASH, IMPEDANCE_SPIKE, "
                           "CONTEXT_CORRUPTION, BYZANTINE_BEHAVIOR, CASCADE_FAILURE, "
                           "COORDINATOR_DOWN or TIMING_ATTACK");
    ret->log.priority = priority->given ? (uint32_t)priority->number : 0;
    ret->log.open = action == ACTION_LIST && !all->given;
    if (action == ACTION_LIST)
        snprintf(ret->log.event, sizeof ret->log.event, "opened");
    return true;
}

bool logs_build(const struct invocation *in, const struct topology *t, struct command *ret,
                char error[COMMAND_ERROR_MAX])
{
    enum action action = action_of(in);
    bool audit = in->spec->verb == CMD_AUDIT, incident = in->spec->verb == CMD_INCIDENT;
    ret->kind = COMMAND_LOG;
    ret->log.log = audit ? LOG_AUDIT : incident ? LOG_INCIDENTS : LOG_CONFLICTS;
    ret->log.ask = action == ACTION_VERIFY ? LOG_ASK_VERIFY : LOG_ASK_ROWS;
    ret->log.limit = action == ACTION_VERIFY ? STORE_LOG_VERIFY_MAX : LOG_PAGE_ROWS;
    ret->log.newest = action == ACTION_LIST;
    if (!build_filters(in, t, &ret->log, error))
        return false;
    if (incident)
        return build_incident(in, action, ret, error);
    return audit ? build_audit(in, ret, error) : build_conflicts(in, action, ret, error);
}

void logs_begin(struct log_view *v, const struct invocation *in, struct command *command)
{
    enum action action = action_of(in);
    const struct value *limit = command_value(in, "limit");
    logs_done(v);
    memset(v, 0, sizeof *v);
    v->verify = action == ACTION_VERIFY;
    v->export = action == ACTION_EXPORT;
    v->show = action == ACTION_SHOW;
    v->left = action != ACTION_LIST ? UINT64_MAX
              : limit->given        ? (uint64_t)limit->number
                                    : ROWS_SHOWN;
    v->list = json_array();
    if (!v->show)
        return;
    snprintf(v->wanted, sizeof v->wanted, "%s", command_value(in, "id")->text);
    v->prefix = strlen(v->wanted) < NAME_BYTES;
    snprintf(command->log.subject, sizeof command->log.subject, "%s", v->prefix ? "" : v->wanted);
    snprintf(command->log.event, sizeof command->log.event, "%s", v->prefix ? "opened" : "");
}

void logs_done(struct log_view *v)
{
    json_decref(v->list);
    v->list = NULL;
}

/* --- rows --------------------------------------------------------------------------------------
 */

static json_t *entry_object(const struct log_entry *e)
{
    char time[40];
    json_t *o = json_object();
    json_t *body = json_loads(e->body, 0, NULL);
    json_object_set_new(o, "seq", json_integer((json_int_t)e->seq));
    json_object_set_new(o, "time", json_string(render_time(e->at_us, time)));
    json_object_set_new(o, "at_us", json_integer((json_int_t)e->at_us));
    json_object_set_new(o, "id", json_string(e->id));
    json_object_set_new(o, "event", json_string(e->event));
    json_object_set_new(o, "subject", json_string(e->subject));
    json_object_set_new(o, "agent", json_string(e->agent));
    json_object_set_new(o, "type", json_string(e->type));
    json_object_set_new(o, "priority", json_integer((json_int_t)e->priority));
    json_object_set_new(o, "actor", json_string(e->actor));
    json_object_set_new(o, "detail", body ? body : json_null());
    json_object_set_new(o, "body", json_string(e->body));
    json_object_set_new(o, "prev", json_string(e->prev));
    json_object_set_new(o, "hash", json_string(e->hash));
    return o;
}

static void print_json(const struct render *r, json_t *o)
{
    char *text = json_dumps(o, JSON_COMPACT);
    fprintf(r->out, "%s\n", text ? text : "{}");
    free(text);
    json_decref(o);
}

static const char *member(const json_t *body, const char *name)
{
    const char *text = json_string_value(json_object_get(body, name));
    return text ? text : "";
}

/* A conflict as it arose: one line. */
static void print_opened(const struct render *r, const struct log_entry *e, bool head)
{
    char time[40];
    json_t *body = json_loads(e->body, 0, NULL);
    if (head)
        fprintf(r->out, "%-24s %-16s %-20s P %-11s %-21s %s\n", "TIME", "CONFLICT", "TYPE", "AGENT",
                "STRATEGY", "EXPECTED / RECEIVED");
    fprintf(r->out, "%-24s %-16s %-20s %u %-11s %-21s %.24s / %.24s\n", render_time(e->at_us, time),
            e->subject, e->type, e->priority, e->agent, member(body, "strategy"),
            member(body, "expected"), member(body, "received"));
    json_decref(body);
}

/* One event in the story of a conflict. */
static void print_event(const struct render *r, const struct log_entry *e)
{
    char time[40];
    json_t *body = json_loads(e->body, 0, NULL);
    fprintf(r->out, "%s  %-9s %s", render_time(e->at_us, time), e->event, e->actor);
    if (strcmp(e->event, "opened") == 0)
        fprintf(r->out, "  %s, priority %u, operation %s\n%26sexpected '%s', received '%s'; %s\n",
                e->type, e->priority, member(body, "message_id"), "", member(body, "expected"),
                member(body, "received"), member(body, "strategy"));
    else if (strcmp(e->event, "resolved") == 0)
        fprintf(r->out, "  keeps %s%s%s\n", member(body, "keep"),
                member(body, "note")[0] ? ": " : "", member(body, "note"));
    else
        fprintf(r->out, "  %s\n%26s%s\n", member(body, "doing"), "", member(body, "found"));
    json_decref(body);
}

static void print_command(const struct render *r, const struct log_entry *e, bool head)
{
    char time[40];
    json_t *body = json_loads(e->body, 0, NULL);
    const char *what = member(body, "action")[0]      ? member(body, "action")
                       : member(body, "conflict")[0]  ? member(body, "conflict")
                       : member(body, "operation")[0] ? member(body, "operation")
                                                      : member(body, "log");
    /* The operator by the certificate that signed it; the console is in the row (--json). */
    const char *who = member(body, "operator")[0] ? member(body, "operator") : e->actor;
    if (head)
        fprintf(r->out, "%-24s %-16s %-9s %-12s %-10s %s\n", "TIME", "WHO", "COMMAND", "ON",
                "OUTCOME", "WHAT");
    fprintf(r->out, "%-24s %-16s %-9s %-12.12s %-10s %.40s%s%.60s\n", render_time(e->at_us, time),
            who, e->type, member(body, "on")[0] ? member(body, "on") : e->agent,
            member(body, "outcome"), what, member(body, "why")[0] ? ": " : "", member(body, "why"));
    json_decref(body);
}

/* An incident: its beginning in one line, or one event of its timeline. */
static void print_incident(const struct render *r, const struct log_entry *e, bool head, bool show)
{
    char time[40];
    json_t *body = json_loads(e->body, 0, NULL);
    if (show) {
        fprintf(r->out, "%s  %-9s %-10s %s\n", render_time(e->at_us, time), e->event, e->actor,
                member(body, "what"));
    } else {
        if (head)
            fprintf(r->out, "%-24s %-16s %-18s P %-10s %s\n", "TIME", "INCIDENT", "CLASS", "UNIT",
                    "WHAT");
        fprintf(r->out, "%-24s %-16s %-18s %u %-10s %s\n", render_time(e->at_us, time), e->subject,
                e->type, e->priority, e->agent, member(body, "what"));
    }
    json_decref(body);
}

static void show_entry(struct log_view *v, const struct render *r, const struct log_page *page,
                       const struct log_entry *e)
{
    if (v->export)
        print_json(r, entry_object(e));
    else if (r->json)
        json_array_append_new(v->list, entry_object(e));
    else if (page->log == LOG_AUDIT)
        print_command(r, e, v->rows == 0);
    else if (page->log == LOG_INCIDENTS)
        print_incident(r, e, v->rows == 0, v->show);
    else if (v->show)
        print_event(r, e);
    else
        print_opened(r, e, v->rows == 0);
    v->rows++;
    v->left--;
}

/* --- ends --------------------------------------------------------------------------------------
 */

static enum log_next verified(struct log_view *v, const struct render *r,
                              const struct log_page *page)
{
    bool sound = page->finding[0] == '\0';
    (void)v;
    if (r->json) {
        json_t *o = json_object();
        json_object_set_new(o, "log", json_string(log_kind_name(page->log)));
        json_object_set_new(o, "sound", json_boolean(sound));
        json_object_set_new(o, "rows", json_integer((json_int_t)page->last));
        json_object_set_new(o, "head", json_string(page->head));
        json_object_set_new(o, "finding", sound ? json_null() : json_string(page->finding));
        print_json(r, o);
    } else if (sound) {
        fprintf(r->out, "%s: %llu rows, each follows from the one before it; head %s\n",
                log_kind_name(page->log), (unsigned long long)page->last, page->head);
    } else {
        fprintf(r->out, "%s: NOT SOUND: %s\n", log_kind_name(page->log), page->finding);
    }
    return sound ? LOG_DONE : LOG_FAILED;
}

static enum log_next ended(struct log_view *v, const struct render *r, const struct log_page *page)
{
    if (v->export)
        return LOG_DONE;
    if (r->json) {
        json_t *o = json_object();
        json_object_set_new(o, "rows", json_incref(v->list));
        json_object_set_new(o, "more", json_boolean(page->cursor != 0));
        print_json(r, o);
    } else if (v->rows == 0 && !v->show) {
        fprintf(r->out, "%s: none\n", log_kind_name(page->log));
    } else if (page->cursor != 0) {
        fprintf(r->out, "more: --limit N, --since 24h, or export\n");
    }
    return v->show && v->rows == 0 ? LOG_NOT_FOUND : LOG_DONE;
}

/* Searches the conflicts for those whose name begins so. */
static void match(struct log_view *v, const struct log_page *page)
{
    for (uint32_t i = 0; i < page->count; i++) {
        const struct log_entry *e = &page->entries[i];
        if (strncmp(e->subject, v->wanted, strlen(v->wanted)) != 0)
            continue;
        size_t used = strlen(v->candidates);
        if (v->matches++ < 8)
            snprintf(v->candidates + used, sizeof v->candidates - used, "%s%.16s", used ? ", " : "",
                     e->subject);
        snprintf(v->found, sizeof v->found, "%.16s", e->subject);
    }
}

static enum log_next complete(struct log_view *v, const struct render *r,
                              const struct log_page *page, struct command *command)
{
    match(v, page);
    if (page->cursor != 0)
        return LOG_MORE;
    if (v->matches == 1) {
        v->prefix = false;
        snprintf(command->log.subject, sizeof command->log.subject, "%s", v->found);
        command->log.event[0] = '\0';
        command->log.cursor = 0;
        return LOG_MORE;
    }
    char text[COMMAND_ERROR_MAX];
    if (v->matches)
        snprintf(text, sizeof text, "id: '%s' is ambiguous: %s", v->wanted, v->candidates);
    else
        snprintf(text, sizeof text, "id: no %s is called '%s' ('%s list --all' shows them)",
                 page->log == LOG_INCIDENTS ? "incident" : "conflict", v->wanted,
                 page->log == LOG_INCIDENTS ? "incident" : "conflicts");
    render_error(r, v->matches ? "ambiguous" : "not-found", text);
    return LOG_TOLD;
}

enum log_next logs_take(struct log_view *v, const struct render *r, const struct log_page *page,
                        struct command *command)
{
    assert(v && r && page && command);
    assert(page->count <= LOG_PAGE_ROWS);
    command->log.cursor = page->cursor;
    if (v->verify)
        return page->finding[0] == '\0' && page->cursor != 0 ? LOG_MORE : verified(v, r, page);
    if (v->prefix)
        return complete(v, r, page, command);
    for (uint32_t i = 0; i < page->count && v->left > 0; i++)
        show_entry(v, r, page, &page->entries[i]);
    if (page->cursor != 0 && v->left > 0)
        return LOG_MORE;
    return ended(v, r, page);
}
