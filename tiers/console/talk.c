/* Planning and proposing. See the header. */
#include "tiers/console/talk.h"
#include "core/types.h"
#include "tiers/console/request.h"
#include "tiers/console/task.h"
#include "tiers/work/action.h"
#include <assert.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* --- lines --- */

static bool parse(const char *line, struct invocation *ret, char error[COMMAND_ERROR_MAX])
{
    static char room[COMMAND_LINE_BYTES_MAX];
    const char *words[COMMAND_WORDS_MAX], *why = "";
    size_t count = 0;
    if (!command_split(line, room, sizeof room, words, &count, &why) || count == 0) {
        snprintf(error, COMMAND_ERROR_MAX, "%s", count == 0 && !*why ? "an empty command" : why);
        return false;
    }
    return command_parse(words, count, ret, error);
}

/* Lines of the table that act, and a question that is put to an action of the mesh's own: what that
 * does, its description says, which is not here. */
static bool may_act(const struct invocation *in)
{
    const struct value *action = in->spec->verb == CMD_ASK ? command_value(in, "action") : NULL;
    const struct action *a = action && action->given ? action_find(NULL, action->text) : NULL;
    return request_acts(in) || (action && action->given && (!a || a->acts));
}

static void add_line(struct proposal *p, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_line(struct proposal *p, const char *format, ...)
{
    va_list list;
    if (p->count == TALK_LINES_MAX)
        return;
    va_start(list, format);
    (void)vsnprintf(p->lines[p->count++], GRAMMAR_LINE_MAX, format, list);
    va_end(list);
}

static bool enqueue(struct talk *talk, const char *line, char error[COMMAND_ERROR_MAX])
{
    if (talk->queued == TALK_QUEUE_MAX) {
        snprintf(error, COMMAND_ERROR_MAX, "more than %u commands at once", TALK_QUEUE_MAX);
        return false;
    }
    snprintf(talk->queue[talk->queued++], GRAMMAR_LINE_MAX, "%s", line);
    return true;
}

/* --- what was said --- */

static bool proposed(const struct proposal *p, const char *line)
{
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->lines[i], line) == 0)
            return true;
    return false;
}

static void begin(struct talk *talk, int64_t unix_us)
{
    talk->queued = talk->next = 0;
    talk->agreed = talk->failed = talk->unknown = false;
    talk->only_agreed = true;
    talk->coming = (struct proposal){0};
    bool fresh = talk->proposal.expires_us > unix_us &&
                 talk->proposal.expires_us <= unix_us + TALK_PROPOSAL_US;
    if (!fresh)
        talk->proposal = (struct proposal){0};
}

/* One line: it is run when it reads or was agreed to, else it is proposed. */
static bool take_line(struct talk *talk, const char *line, char error[COMMAND_ERROR_MAX])
{
    static struct invocation in;
    if (!parse(line, &in, error))
        return false;
    if (in.spec->local) {
        snprintf(error, COMMAND_ERROR_MAX, "'%s' is not for the dialogue: type it as a command",
                 in.spec->name);
        return false;
    }
    if (!may_act(&in)) {
        talk->only_agreed = false;
        return enqueue(talk, line, error);
    }
    if (talk->agreed && proposed(&talk->proposal, line))
        return true; /* it is in the queue with all of the proposal */
    bool said = !request_dangerous(&in);
    add_line(&talk->coming, "%s%s", line, said ? "" : " --yes");
    return true;
}

static bool agree(struct talk *talk, const struct utterance *u, bool had_one,
                  char error[COMMAND_ERROR_MAX])
{
    static struct invocation in;
    bool other = false, same = false;
    if (talk->proposal.count == 0) {
        snprintf(error, COMMAND_ERROR_MAX, "%s",
                 had_one ? "that proposal has expired: ask again" : "nothing is proposed");
        return false;
    }
    for (size_t i = 0; i < u->count; i++) {
        char why[COMMAND_ERROR_MAX];
        if (u->clauses[i].act != ACT_COMMAND || !parse(u->clauses[i].line, &in, why))
            continue;
        same = same || proposed(&talk->proposal, u->clauses[i].line);
        other = other || (may_act(&in) && !proposed(&talk->proposal, u->clauses[i].line));
    }
    if (other && !same)
        return true; /* yes to something that was not proposed: it is proposed now */
    talk->agreed = true;
    for (size_t i = 0; i < talk->proposal.count; i++)
        if (!enqueue(talk, talk->proposal.lines[i], error))
            return false;
    return true;
}

static bool take_utterance(struct talk *talk, const struct utterance *u, bool had_one,
                           char error[COMMAND_ERROR_MAX])
{
    bool asked = false;
    for (size_t i = 0; i < u->count; i++) {
        const struct clause *c = &u->clauses[i];
        if (c->act == ACT_NO) {
            talk->proposal = (struct proposal){0};
        } else if (c->act == ACT_YES) {
            if (!asked && !agree(talk, u, had_one, error))
                return false;
            asked = true;
        } else if (!take_line(talk, c->line, error)) {
            return false;
        }
    }
    if (talk->agreed)
        talk->proposal = (struct proposal){0}; /* once */
    return true;
}

bool talk_say(struct talk *talk, const char *text, const struct topology *t, int64_t unix_us,
              char error[COMMAND_ERROR_MAX])
{
    static struct utterance u;
    assert(talk && text && t);
    assert(error);
    bool had_one = talk->proposal.count > 0;
    begin(talk, unix_us);
    if (grammar_read(text, t, &talk->subject, &u, error) &&
        take_utterance(talk, &u, had_one, error))
        return true;
    talk->unknown = u.unknown;
    talk->queued = 0;
    return false;
}

bool talk_lines(struct talk *talk, const char *const lines[], size_t count, int64_t unix_us,
                char error[COMMAND_ERROR_MAX])
{
    assert(talk && lines && error);
    begin(talk, unix_us);
    for (size_t i = 0; i < count; i++)
        if (strlen(lines[i]) >= GRAMMAR_LINE_MAX || !take_line(talk, lines[i], error)) {
            talk->queued = 0;
            return false;
        }
    return true;
}

/* --- running --- */

const char *talk_next(struct talk *talk, const struct render *r)
{
    assert(talk && r);
    if (talk->failed || talk->next == talk->queued)
        return NULL;
    const char *line = talk->queue[talk->next++];
    if (r->json) {
        json_t *resolved = json_pack("{s:s}", "resolved", line);
        json_dumpf(resolved, r->out, JSON_COMPACT);
        fputc('\n', r->out);
        json_decref(resolved);
    } else {
        fprintf(r->out, "> %s\n", line);
    }
    fflush(r->out);
    return line;
}

static void keep_place(struct talk *talk, const struct invocation *in, const struct findings *f)
{
    char places[sizeof talk->subject.places];
    uint32_t named = f->slow_count < DIAGNOSIS_SLOW_MAX ? f->slow_count : DIAGNOSIS_SLOW_MAX;
    struct unit u;
    const char *text = command_value(in, "place")->text, *why = NULL;
    talk->subject = (struct subject){0};
    if (unit_parse(text, strlen(text), &u, &why))
        unit_format(u, talk->subject.scope);
    findings_places(f->slow, named, places, sizeof places);
    snprintf(talk->subject.places, sizeof talk->subject.places, "%s", places);
    if (named == 0 || f->all_avoided)
        return;
    talk->coming = (struct proposal){.question = "Shall I route around them for now?"};
    add_line(&talk->coming, "route-around %s", places);
}

static void keep_stuck(struct talk *talk, const struct findings *f)
{
    struct subject *s = &talk->subject;
    bool class = f->verdict.cause == CAUSE_CLASS, mapping = class && f->capability[0];
    s->operation[0] = s->capability[0] = s->home_class[0] = s->wrong_class[0] = '\0';
    if (!f->stuck)
        return;
    findings_places(f->agents, f->agent_count, s->places, sizeof s->places);
    num_id128_format(f->operation, s->operation);
    if (class) {
        snprintf(s->home_class, sizeof s->home_class, "%s", class_name(f->verdict.home));
        snprintf(s->wrong_class, sizeof s->wrong_class, "%s", class_name(f->agent_class));
        snprintf(s->capability, sizeof s->capability, "%s", f->capability);
    }
    if (f->verdict.cause == CAUSE_WORK || f->verdict.cause == CAUSE_NETWORK)
        return; /* it is no better anywhere else */
    talk->coming = (struct proposal){0};
    snprintf(talk->coming.question, sizeof talk->coming.question, "Shall I reassign the task%s?",
             mapping ? " and fix the capability mapping" : "");
    add_line(&talk->coming, "reassign %s%s%s", s->operation, class ? " --to " : "", s->home_class);
    if (mapping)
        add_line(&talk->coming, "mapping exclude %s --class %s", s->capability, s->wrong_class);
    if (talk->avoided[0] && class) /* the cause is gone then */
        add_line(&talk->coming, "route-around %s --undo", talk->avoided);
}

void talk_ended(struct talk *talk, const char *line, int code, const struct findings *findings)
{
    static struct invocation in;
    char error[COMMAND_ERROR_MAX];
    assert(talk && line && findings);
    if (code != EXIT_OK && code != EXIT_PARTIAL) {
        talk->failed = true;
        talk->coming = (struct proposal){0};
        return;
    }
    if (!parse(line, &in, error))
        return;
    if (in.spec->verb == CMD_DIAGNOSE)
        keep_place(talk, &in, findings);
    else if (in.spec->verb == CMD_STUCK)
        keep_stuck(talk, findings);
    else if (in.spec->verb == CMD_ROUTE_AROUND && command_value(&in, "places")->given)
        snprintf(talk->avoided, sizeof talk->avoided, "%s",
                 command_value(&in, "undo")->given ? "" : command_value(&in, "places")->text);
}

static void show_proposal(const struct proposal *p, const struct render *r)
{
    if (r->json) {
        json_t *lines = json_array();
        for (size_t i = 0; i < p->count; i++)
            json_array_append_new(lines, json_string(p->lines[i]));
        json_t *all = json_pack("{s:s,s:o,s:i}", "question", p->question, "proposal", lines,
                                "expires_s", (int)(TALK_PROPOSAL_US / US_PER_S));
        json_dumpf(all, r->out, JSON_COMPACT);
        fputc('\n', r->out);
        json_decref(all);
        return;
    }
    fprintf(r->out, "%s\n", p->question);
    for (size_t i = 0; i < p->count; i++)
        fprintf(r->out, "    %s\n", p->lines[i]);
    fprintf(r->out, "(\"yes\" within %d minutes does this)\n",
            (int)(TALK_PROPOSAL_US / US_PER_S / 60));
}

void talk_finish(struct talk *talk, const struct render *r, int64_t unix_us)
{
    assert(talk && r);
    if (talk->agreed && !r->json && (talk->failed || talk->only_agreed))
        fputs(talk->failed ? "Stopped there: the rest was not done.\n" : "Done.\n", r->out);
    if (talk->coming.count > 0) {
        if (!talk->coming.question[0])
            snprintf(talk->coming.question, sizeof talk->coming.question, "Shall I do this?");
        talk->proposal = talk->coming;
        talk->proposal.expires_us = unix_us + TALK_PROPOSAL_US;
        show_proposal(&talk->proposal, r);
    }
    talk->coming = (struct proposal){0};
    fflush(r->out);
}
