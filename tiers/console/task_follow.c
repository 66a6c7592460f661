/* What the agents of an operation write while it runs: the last line of each, as its lead has it.
 *
 * Asked for only while somebody looks (--follow, or one agent on a terminal), FOLLOW_MS apart, of
 * FOLLOW_MAX agents at most, and once it is known which those are, of their leads alone. Lossy: a
 * lead keeps the newest line of an agent and counts them, so that what was passed over is known.
 * The answer at the end is the whole. */
#include "core/num.h"
#include "tiers/console/jobs.h"
#include "tiers/console/task_int.h"
#include "tiers/runner/client.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define FOLLOW_MS     500u
#define FOLLOW_ALL_MS 2000u /* while it is not known where its agents are */

static bool asked_for(const struct task *t)
{
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && t->invocation.spec->parameters[i].name; i++)
        if (strcmp(t->invocation.spec->parameters[i].name, "follow") == 0)
            return t->invocation.values[i].given;
    return false;
}

void follow_begin(struct task *t)
{
    memset(&t->follow, 0, sizeof t->follow);
    t->look_ms = t->look.ref = 0;
}

void follow_look(struct task *t)
{
    struct follow *f = &t->follow;
    uint64_t now_ms = uv_now(t->conf.loop);
    bool one = t->conf.interactive && t->have_progress && t->progress.targets == 1;
    if (!t->accepted || t->interrupted || t->rollout.active || !(one || asked_for(t)) ||
        now_ms < t->started_ms + FOLLOW_MS || now_ms < f->due_ms)
        return;
    f->due_ms = now_ms + (f->count > 0 ? FOLLOW_MS : FOLLOW_ALL_MS);
    f->command = (struct command){.kind = COMMAND_QUERY, .ref = task_next_ref()};
    f->command.query = (struct query){.kind = QUERY_WORK,
                                      .operation_id = t->operation_id,
                                      .from_start = true,
                                      .limit = FOLLOW_MAX};
    struct place_set *places = &f->command.query.selector.places;
    if (f->count == 0 && t->command.kind == COMMAND_SUBMIT)
        *places = t->command.operation.selector.places;
    for (uint32_t i = 0; i < f->count; i++) {
        struct unit u = f->agents[i].unit;
        places->patterns[places->count++] = (struct pattern){.sector = {u.sector, u.sector},
                                                             .cluster = {u.cluster, u.cluster},
                                                             .agent = {u.agent, u.agent}};
    }
    client_any_ref(t->conf.client, true);
    task_send_command(t, &f->command);
}

static struct followed *followed_of(struct follow *f, struct unit u)
{
    for (uint32_t i = 0; i < f->count; i++)
        if (unit_equal(f->agents[i].unit, u))
            return &f->agents[i];
    if (f->count == FOLLOW_MAX)
        return NULL;
    f->agents[f->count] = (struct followed){.unit = u};
    return &f->agents[f->count++];
}

/* "45 %", "45% of the shards": 0 when it does not begin so. */
static unsigned percent_of(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    while (end != text && *end == ' ')
        end++;
    return end != text && *end == '%' && n <= 100 ? (unsigned)n : 0;
}

static void take_row(struct task *t, const struct page_row *row)
{
    struct followed *a = followed_of(&t->follow, row->unit);
    char text[4 * WORD_BYTES_MAX], name[UNIT_TEXT_MAX];
    int64_t number = record_number(row, "words");
    record_value(row, "waiting_on", text, sizeof text);
    if (!a || number <= 0 || number == a->number || !text[0])
        return;
    t->follow.missed += number > a->number + 1 ? (uint64_t)(number - a->number - 1) : 0;
    a->number = number;
    unit_format(row->unit, name);
    t->follow.percent = t->progress.targets == 1 ? percent_of(text) : 0;
    snprintf(t->follow.word, sizeof t->follow.word, "%s", text);
    if (asked_for(t)) {
        task_clear_progress(t);
        fprintf(stderr, "%s: %s\n", name, text);
    }
}

bool follow_reply(struct task *t, const struct reply *reply)
{
    if (t->follow.command.ref == 0 || reply->ref != t->follow.command.ref)
        return false;
    t->follow.command.ref = 0;
    for (uint32_t i = 0; reply->kind == REPLY_ROWS && i < reply->rows->row_count; i++)
        take_row(t, &reply->rows->rows[i]);
    if (t->follow.count > 0)
        t->follow.due_ms = uv_now(t->conf.loop) + FOLLOW_MS; /* of these alone, and sooner */
    return true;
}

void follow_end(struct task *t)
{
    if (t->follow.missed > 0 && asked_for(t)) /* missed: then there is a command */
        fprintf(stderr,
                "%llu earlier lines were not shown: only the newest of each half second is\n",
                (unsigned long long)t->follow.missed);
    t->follow.missed = 0;
}
