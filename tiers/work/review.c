/* People as handlers (CLASS_F): a desk with open reviews. A run of an action with handler = human
 * lies on the desk of its agent until somebody answers it or its deadline passes. The desk is asked
 * by operations like any other, so an operator needs nothing but the console:
 *
 *   review.list      [ASSIGNEE]          one JSON object a line; {"more":N} where N found no room
 *   review.claim     ID WHO              nobody else may answer it from here on
 *   review.answer    ID WHO TEXT         READY with TEXT
 *   review.reject    ID WHO TEXT         CONFLICT with TEXT: a person says no, and why
 *   review.delegate  ID WHO TO           TO is asked instead; the claim is gone
 *   review.escalate  ID WHO [TEXT]       to escalate_to of the action, with the reason
 *
 * ID is the last 8 hex digits of the operation. One agent has DESK_OPEN_MAX open reviews; one more
 * is FAILED (overload), so that its own commands always find a place in the agent's queue. */
#include "core/num.h"
#include "tiers/runner/clock.h"
#include "tiers/work/work_int.h"
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DESK_OPEN_MAX 6u
#define NAME_SIZE     32u
#define ID_SIZE       9u
#define TEXT_SHOWN    90u
#define TEXT_STEP     6u /* a whole part of that */

struct review {
    struct review *next, **link;
    struct job *job;
    char id[ID_SIZE];
    char assignee[NAME_SIZE], claimed_by[NAME_SIZE];
    char note[80]; /* why it was escalated */
    uint32_t escalations;
    enum outcome decided; /* PENDING: open */
    char decision[ANSWER_BYTES_MAX];
};

struct desk {
    struct crew *crew;
    struct review *open; /* newest first */
    char text[ANSWER_BYTES_MAX];
};

static const char *const commands[] = {"review.list",   "review.claim",    "review.answer",
                                       "review.reject", "review.delegate", "review.escalate"};
enum desk_verb { DESK_LIST, DESK_CLAIM, DESK_ANSWER, DESK_REJECT, DESK_DELEGATE, DESK_ESCALATE };
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

struct desk *desk_new(struct crew *crew)
{
    struct desk *d = calloc(1, sizeof(*d));
    if (d != NULL) {
        d->crew = crew;
    }
    return d;
}

void desk_free(struct desk *desk)
{
    free(desk);
}

bool desk_offers(const char *action)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i], action) == 0) {
            return true;
        }
    }
    return false;
}

/* ---- a run ---- */

static enum reason review_start(struct job *job, char why[ACTION_PROBLEM_SIZE])
{
    struct desk *d = job->lane->crew->desk;
    char id[ID128_TEXT_MAX];
    uint32_t open = 0;
    for (const struct review *r = d->open; r != NULL; r = r->next) {
        open += unit_equal(r->job->unit, job->unit);
    }
    struct review *r = open < DESK_OPEN_MAX ? calloc(1, sizeof(*r)) : NULL;
    if (r == NULL) {
        (void)snprintf(
            why, ACTION_PROBLEM_SIZE,
            open < DESK_OPEN_MAX ? "no memory" : "%u reviews are open at this agent already", open);
        return REASON_OVERLOAD;
    }
    num_id128_format(job->operation, id);
    memcpy(r->id, id + strlen(id) - (ID_SIZE - 1), ID_SIZE);
    memcpy(r->assignee, job->lane->action->assignee, NAME_SIZE);
    r->job = job;
    r->next = d->open;
    r->link = &d->open;
    if (r->next != NULL) {
        r->next->link = &r->next;
    }
    d->open = r;
    d->crew->stats.reviews++;
    job->own = r;
    return REASON_NONE;
}

/* The decision is told at the loop's next turn: nothing is called back from inside a command. */
static void review_wake(struct job *job)
{
    struct review *r = job->own;
    if (r->decided == OUTCOME_CONFLICT) {
        job_conflict(job, r->decision, strlen(r->decision));
    } else if (r->decided == OUTCOME_READY) {
        (void)bytes_add(&job->answer, r->decision, strlen(r->decision), ANSWER_BYTES_MAX);
        job_ready(job);
    }
}

static void review_stop(struct job *job)
{
    struct review *r = job->own;
    if (r == NULL) {
        return;
    }
    *r->link = r->next;
    if (r->next != NULL) {
        r->next->link = r->link;
    }
    job->lane->crew->stats.reviews--;
    free(r);
    job->own = NULL;
}

const struct job_ops review_ops = {review_start, review_wake, review_stop};

/* ---- commands ---- */

static void reply(struct desk *d, struct executor_answer *ret, bool good, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void reply(struct desk *d, struct executor_answer *ret, bool good, const char *format, ...)
{
    va_list list;
    va_start(list, format);
    int n = vsnprintf(d->text, sizeof(d->text), format, list);
    va_end(list);
    size_t count = n < 0 ? 0 : (size_t)n < sizeof(d->text) ? (size_t)n : sizeof(d->text) - 1;
    *ret = (struct executor_answer){.verdict = good ? OUTCOME_READY : OUTCOME_FAILED,
                                    .reason = good ? REASON_NONE : REASON_INVALID,
                                    .bytes = (const uint8_t *)d->text,
                                    .count = count};
}

/* Where a text of so many bytes may be cut without splitting a character. */
static size_t cut_at(const uint8_t *text, size_t count, size_t most)
{
    if (count <= most) {
        return count;
    }
    while (most > 0 && (text[most] & 0xc0) == 0x80) {
        most--;
    }
    return most;
}

static char *describe(const struct review *r, size_t text_shown)
{
    const struct job *j = r->job;
    char place[UNIT_TEXT_MAX];
    int64_t left_us = j->deadline_us - clock_boot_us();
    (void)unit_format(j->unit, place);
    json_t *text =
        json_stringn((const char *)j->payload, cut_at(j->payload, j->payload_bytes, text_shown));
    json_t *o = json_pack("{s:s,s:s,s:s,s:s,s:s,s:i,s:i,s:i,s:s}", "id", r->id, "agent", place,
                          "action", j->lane->action->name, "assignee", r->assignee, "claimed_by",
                          r->claimed_by, "priority", (int)j->priority, "left_s",
                          (int)(left_us > 0 ? left_us / US_PER_S : 0), "escalations",
                          (int)r->escalations, "note", r->note);
    if (o != NULL) {
        (void)json_object_set_new(o, "text", text != NULL ? text : json_string("(not text)"));
    } else {
        json_decref(text);
    }
    char *line = o != NULL ? json_dumps(o, JSON_COMPACT) : NULL;
    json_decref(o);
    return line;
}

static bool listed(const struct review *r, struct unit agent, const char *assignee)
{
    return r->decided == OUTCOME_PENDING && unit_equal(r->job->unit, agent) &&
           (assignee[0] == '\0' || strcmp(assignee, r->assignee) == 0 ||
            strcmp(assignee, r->claimed_by) == 0);
}

/* Their lines into d->text, the oldest first; how many of them found no room. */
static uint32_t lines(struct desk *d, struct review *const *found, uint32_t count,
                      size_t text_shown, size_t *ret_used)
{
    const size_t room = sizeof(d->text) - sizeof("{\"more\":00}\n");
    uint32_t shown = 0;
    *ret_used = 0;
    while (shown < count) {
        char *line = describe(found[count - 1 - shown], text_shown);
        size_t bytes = line != NULL ? strlen(line) : room;
        bool fits = *ret_used + bytes + 1 <= room;
        if (fits) {
            memcpy(d->text + *ret_used, line, bytes);
            d->text[*ret_used + bytes] = '\n';
            *ret_used += bytes + 1;
            shown++;
        }
        free(line);
        if (!fits) {
            break;
        }
    }
    return count - shown;
}

/* All that are open, with shorter texts where they are many; what still finds no room (the newest)
 * is counted in a last line. */
static void list(struct desk *d, const struct handler_call *call, const char *assignee,
                 struct executor_answer *ret)
{
    struct review *found[DESK_OPEN_MAX];
    uint32_t count = 0, more = 1;
    size_t used = 0;
    for (struct review *r = d->open; r != NULL; r = r->next) {
        if (listed(r, call->unit, assignee)) {
            assert(count < DESK_OPEN_MAX);
            found[count++] = r;
        }
    }
    for (size_t shown = TEXT_SHOWN + TEXT_STEP; more > 0 && shown > 0;) {
        shown -= TEXT_STEP;
        more = lines(d, found, count, shown, &used);
    }
    if (more > 0) {
        used += (size_t)snprintf(d->text + used, sizeof(d->text) - used, "{\"more\":%u}\n", more);
    }
    *ret = (struct executor_answer){
        .verdict = OUTCOME_READY, .bytes = (const uint8_t *)d->text, .count = used};
}

/* The next word of *at into ret; false: there is none, or it is too long. */
static bool word(const char **at, char *ret, size_t size)
{
    *at += strspn(*at, " ");
    size_t n = strcspn(*at, " ");
    if (n == 0 || n >= size) {
        return false;
    }
    memcpy(ret, *at, n);
    ret[n] = '\0';
    *at += n;
    *at += strspn(*at, " ");
    return true;
}

static struct review *find(const struct desk *d, struct unit agent, const char *id)
{
    struct review *r = d->open;
    while (r != NULL && (r->decided != OUTCOME_PENDING || !unit_equal(r->job->unit, agent) ||
                         strcmp(r->id, id) != 0)) {
        r = r->next;
    }
    return r;
}

static void act(struct desk *d, struct review *r, enum desk_verb verb, const char *who,
                const char *rest, struct executor_answer *ret)
{
    char to[NAME_SIZE];
    bool needs_text = verb == DESK_ANSWER || verb == DESK_REJECT;
    if (r->claimed_by[0] != '\0' && strcmp(r->claimed_by, who) != 0 && verb != DESK_ESCALATE) {
        reply(d, ret, false, "%s is claimed by %s", r->id, r->claimed_by);
    } else if (needs_text && rest[0] == '\0') {
        reply(d, ret, false, "%s: a text is missing", r->id);
    } else if (verb == DESK_CLAIM) {
        (void)snprintf(r->claimed_by, NAME_SIZE, "%s", who);
        reply(d, ret, true, "%s claimed by %s", r->id, who);
    } else if (verb == DESK_DELEGATE) {
        if (!word(&rest, to, sizeof(to))) {
            reply(d, ret, false, "%s: delegate to whom? a name of 1 to 31 characters", r->id);
            return;
        }
        (void)snprintf(r->assignee, NAME_SIZE, "%s", to);
        r->claimed_by[0] = '\0';
        reply(d, ret, true, "%s delegated to %s by %s", r->id, to, who);
    } else if (verb == DESK_ESCALATE) {
        memcpy(r->assignee, r->job->lane->action->escalate_to, NAME_SIZE);
        r->claimed_by[0] = '\0';
        r->escalations++;
        (void)snprintf(r->note, sizeof(r->note), "%s: %.40s", who, rest);
        reply(d, ret, true, "%s escalated to %s by %s", r->id, r->assignee, who);
    } else {
        r->decided = verb == DESK_ANSWER ? OUTCOME_READY : OUTCOME_CONFLICT;
        (void)snprintf(r->decision, sizeof(r->decision), "%s", rest);
        reply(d, ret, true, "%s %s by %s", r->id, verb == DESK_ANSWER ? "answered" : "rejected",
              who);
        job_wake(r->job, 1);
    }
}

static enum desk_verb verb_of(const char *action)
{
    size_t i = 0;
    while (strcmp(commands[i], action) != 0) {
        i++;
        assert(i < COMMANDS);
    }
    return (enum desk_verb)i;
}

void desk_command(struct desk *d, const struct handler_call *call, struct executor_answer *ret)
{
    const struct operation *op = call->operation;
    char text[ANSWER_BYTES_MAX], id[ID_SIZE], who[NAME_SIZE];
    size_t count = op->payload_bytes < sizeof(text) - 1 ? op->payload_bytes : sizeof(text) - 1;
    enum desk_verb verb = verb_of(op->action);
    if (count > 0) {
        memcpy(text, op->payload, count);
    }
    text[count] = '\0';
    if (verb == DESK_LIST) {
        list(d, call, text, ret);
        return;
    }
    const char *at = text;
    if (!word(&at, id, sizeof(id)) || !word(&at, who, sizeof(who))) {
        reply(d, ret, false, "%s: wanted ID (8 hex digits) and WHO (a name)", op->action);
        return;
    }
    struct review *r = find(d, call->unit, id);
    if (r == NULL) {
        reply(d, ret, false, "no open review %s here: answered, cancelled or past its deadline",
              id);
        return;
    }
    act(d, r, verb, who, at, ret);
}
