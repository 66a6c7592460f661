/* The table of jobs. Filled from the replies that consoles get, so that a job is what its console
 * was told, and read by queries of any console. What is to be sent to followers goes out one by one
 * in jobs_tick, from what is kept here: a report is as large as an outbox allows once. */
#include "tiers/orchestrator/orchestrator_jobs.h"
#include "core/num.h"
#include "core/text.h"
#include <assert.h>
#include <stddef.h>
#include <string.h>

#define ROWS_MAX      128u
#define ROWS_BYTES    32768u
#define ROW_TEXT_MAX  768u
#define REPLY_BYTES   30000u
#define REPLY_EFFECTS 2u

static struct job *job_find(struct jobs *j, const struct id128 *id)
{
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        if (j->jobs[i].used && num_id128_equal(j->jobs[i].head.id, *id)) {
            return &j->jobs[i];
        }
    }
    return NULL;
}

static struct job *job_numbered(struct jobs *j, uint32_t number)
{
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        if (j->jobs[i].used && j->jobs[i].number == number) {
            return &j->jobs[i];
        }
    }
    return NULL;
}

/* A free place, that of the job that ended first, or of the one that began first. */
static struct job *job_take(struct jobs *j)
{
    struct job *best = NULL;
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        struct job *at = &j->jobs[i];
        if (!at->used) {
            return at;
        }
        bool better = best == NULL || (best->head.running && !at->head.running) ||
                      (best->head.running == at->head.running && at->number < best->number);
        best = better ? at : best;
    }
    return best;
}

static void count(struct job *job, const struct aggregate_view *a)
{
    job->head.targets = a->targets;
    job->head.late = a->late;
    memcpy(job->head.outcomes, a->outcomes, sizeof(job->head.outcomes));
}

void jobs_command(struct jobs *j, const struct command *command)
{
    assert(j != NULL);
    j->command = command != NULL && command->kind == COMMAND_SUBMIT ? command : NULL;
}

/* The place is free: what the store still answers about it is no longer asked. */
static void job_forget(struct jobs *j, struct job *job)
{
    j->writes -= job->store_ref != 0 ? 1u : 0u;
    j->dirty -= job->dirty ? 1u : 0u;
    j->resuming -= job->resume ? 1u : 0u;
    memset(job, 0, offsetof(struct job, packed));
}

static void job_open(struct jobs *j, struct hub *h, struct unit console, const struct reply *reply)
{
    const struct operation *op = &j->command->operation;
    struct job *job = job_take(j);
    struct text t;
    job_forget(j, job);
    job->used = true;
    job->number = ++j->last_number;
    struct job_head *head = &job->head;
    head->running = true;
    head->id = reply->operation_id;
    head->console = console;
    head->ref = j->command->ref;
    head->created_mesh_us = hub_mesh_now(h);
    job->origin = hub_origin_find(h, &head->id);
    head->targets = job->origin != NULL ? job->origin->targets : 0;
    head->targets = reply->kind == REPLY_HELD ? reply->progress.targets : head->targets;
    head->outcomes[OUTCOME_PENDING] = head->targets;
    memcpy(head->action, op->action, sizeof(head->action));
    text_init(&t, head->input, sizeof(head->input));
    job_changed(j, job);
    text_add_safe(&t, op->payload,
                  op->payload_bytes < JOB_INPUT_MAX ? op->payload_bytes : JOB_INPUT_MAX - 1u);
}

static void followers_due(struct jobs *j, const struct job *job)
{
    for (uint32_t i = 0; i < JOBS_FOLLOWERS_ALL; i++) {
        struct job_follower *f = &j->followers[i];
        if (f->used && f->number == job->number && !f->due) {
            f->due = true;
            j->due++;
        }
    }
}

static void job_end(struct jobs *j, struct hub *h, struct job *job, const struct reply *reply)
{
    struct report whole = *reply->report;
    struct text t;
    job->head.running = false;
    job->head.finished_mesh_us = hub_mesh_now(h);
    count(job, &whole.aggregate);
    text_init(&t, job->status, sizeof(job->status));
    text_add(&t, whole.status);
    job->packed_bytes = job_pack_ended(&job->head, &whole, job->packed);
    assert(job->packed_bytes > 0); /* an aggregate's parts are bounded (limits.h) */
    job->origin = NULL;
    j->resuming -= job->resume ? 1u : 0u;
    job->resume = false;
    job_changed(j, job);
    followers_due(j, job);
}

void jobs_reply(struct jobs *j, struct hub *h, struct unit console, const struct reply *reply)
{
    assert(j != NULL && h != NULL && reply != NULL);
    struct job *job =
        num_id128_zero(reply->operation_id) ? NULL : job_find(j, &reply->operation_id);
    bool accepted = reply->kind == REPLY_ACCEPTED || reply->kind == REPLY_HELD;
    if (accepted && j->command != NULL && job == NULL) {
        job_open(j, h, console, reply);
    } else if (job == NULL || !job->head.running) {
        return;
    } else if (accepted) { /* it has waited, and goes on */
        job->origin = hub_origin_find(h, &job->head.id);
        job_changed(j, job);
    } else if (reply->kind == REPLY_OPERATION) {
        job_end(j, h, job, reply);
    } else if (reply->kind == REPLY_OK) { /* to its cancel */
        job->head.cancelled = true;
        job_changed(j, job);
    } else if (reply->kind == REPLY_PROGRESS) {
        count(job, &reply->progress);
        followers_due(j, job);
    }
}

/* --- queries ---------------------------------------------------------------------------------- */

static void figure(struct text *t, const char *name, int64_t value)
{
    text_add(t, name);
    text_char(t, '=');
    text_i64(t, value);
    text_char(t, '\n');
}

static void word(struct text *t, const char *name, const char *value)
{
    text_add(t, name);
    text_char(t, '=');
    text_add(t, value);
    text_char(t, '\n');
}

static void row_text(const struct jobs *j, const struct hub *h, const struct job *job,
                     struct text *t)
{
    const struct job_head *head = &job->head;
    int64_t now_mesh_us = hub_mesh_now(h);
    const char *waits = head->running && j->waits != NULL ? j->waits(h, &head->id) : NULL;
    char id[ID128_TEXT_MAX], console[UNIT_TEXT_MAX];
    num_id128_format(head->id, id);
    unit_format(head->console, console);
    word(t, "id", id);
    word(t, "state", waits != NULL ? waits : head->running ? "running" : job->status);
    word(t, "action", head->action);
    word(t, "input", head->input);
    word(t, "console", console);
    figure(t, "created", head->created_mesh_us);
    figure(t, "finished", head->finished_mesh_us);
    figure(t, "took_us",
           (head->running ? now_mesh_us : head->finished_mesh_us) - head->created_mesh_us);
    figure(t, "targets", head->targets);
    figure(t, "late", head->late);
    for (enum outcome o = OUTCOME_READY; o < OUTCOME_COUNT; o++) {
        if (head->outcomes[o] > 0) {
            figure(t, outcome_name(o), head->outcomes[o]);
        }
    }
}

/* Newest first: the key falls as the number rises. */
static void list(struct jobs *j, struct hub *h, const struct msg *msg)
{
    const struct query *q = &msg->u.command->query;
    struct rows rows;
    char room[ROW_TEXT_MAX];
    assert(pager_bytes(ROWS_MAX, ROWS_BYTES) <= sizeof(j->memory));
    pager_init(&j->pager, j->memory, ROWS_MAX, ROWS_BYTES, ROW_RECORD, q->from_start, q->after_key,
               q->limit < ROWS_MAX ? q->limit : ROWS_MAX);
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        const struct job *job = &j->jobs[i];
        struct text t;
        if (!job->used) {
            continue;
        }
        text_init(&t, room, sizeof(room));
        row_text(j, h, job, &t);
        struct page_row row = {.key = UINT32_MAX - job->number, .unit = job->head.console};
        row.u.record.bytes = (uint32_t)t.used;
        row.u.record.text = room;
        pager_row(&j->pager, &row);
    }
    pager_rows(&j->pager, msg->u.command->ref, &rows);
    struct reply reply = {
        .ref = msg->u.command->ref, .kind = REPLY_ROWS, .final = true, .rows = &rows};
    hub_reply(h, msg->from, &reply);
}

/* One that asks again takes its own place. */
static struct job_follower *follower_take(struct jobs *j, uint32_t number, const struct msg *msg)
{
    struct job_follower *free = NULL;
    uint32_t same = 0;
    for (uint32_t i = 0; i < JOBS_FOLLOWERS_ALL; i++) {
        struct job_follower *f = &j->followers[i];
        if (f->used && f->number == number && unit_equal(f->console, msg->from) &&
            f->ref == msg->u.command->ref) {
            j->due -= f->due ? 1u : 0u;
            return f;
        }
        same += f->used && f->number == number ? 1u : 0u;
        free = !f->used && free == NULL ? f : free;
    }
    return same < JOB_FOLLOWERS_MAX ? free : NULL;
}

static void standing(const struct job *job, struct reply *ret)
{
    ret->kind = REPLY_PROGRESS;
    ret->operation_id = job->head.id;
    ret->progress.targets = job->head.targets;
    memcpy(ret->progress.outcomes, job->head.outcomes, sizeof(ret->progress.outcomes));
    ret->progress.late = job->head.late;
}

static void progress(struct hub *h, const struct job *job, const struct msg *msg)
{
    struct reply r = {.ref = msg->u.command->ref};
    standing(job, &r);
    hub_reply(h, msg->from, &r);
}

static void attach(struct jobs *j, struct hub *h, const struct msg *msg)
{
    const struct query *q = &msg->u.command->query;
    const struct job *job = job_find(j, &q->operation_id);
    if (job == NULL) {
        hub_reply_error(h, msg, REASON_INVALID,
                        "no job of this id is known here: the last 256 are kept");
        return;
    }
    if (job->head.running && job->head.ref == msg->u.command->ref &&
        unit_equal(job->head.console, msg->from)) {
        progress(h, job, msg); /* its own: it is told as it goes, and at the end */
        return;
    }
    struct job_follower *f = follower_take(j, job->number, msg);
    if (f == NULL) {
        hub_reply_error(h, msg, REASON_OVERLOAD, "pool \"followers\": 4 consoles follow this job");
        return;
    }
    *f = (struct job_follower){.used = true,
                               .due = true,
                               .follow = q->kind == QUERY_ATTACH,
                               .number = job->number,
                               .console = msg->from,
                               .ref = msg->u.command->ref};
    j->due++;
}

bool jobs_query(struct jobs *j, struct hub *h, const struct msg *msg)
{
    assert(j != NULL && h != NULL && msg != NULL);
    const struct command *c = msg->u.command;
    if (c->kind != COMMAND_QUERY || (c->query.kind != QUERY_JOBS && c->query.kind != QUERY_JOB &&
                                     c->query.kind != QUERY_ATTACH)) {
        return false;
    }
    if (jobs_settling(j, h)) {
        hub_reply_error(h, msg, REASON_OVERLOAD,
                        "starting: the jobs of before are being read: try again");
    } else if (c->query.kind == QUERY_JOBS) {
        list(j, h, msg);
    } else {
        attach(j, h, msg);
    }
    return true;
}

/* --- followers ---------------------------------------------------------------------------------
 */

static void serve(struct jobs *j, struct hub *h, struct job_follower *f)
{
    const struct job *job = job_numbered(j, f->number);
    struct reply r = {.ref = f->ref};
    struct msg m = hub_msg(h, MSG_REPLY, f->console, 3);
    m.u.reply = &r;
    f->due = false;
    if (job == NULL) {
        r.kind = REPLY_ERROR;
        r.final = true;
        r.reason = REASON_OVERLOAD;
        r.text = "newer jobs have taken its place in the table: its own console is told";
    } else if (f->follow && !f->told) {
        f->told = f->due = true; /* and then how it stands */
        r.kind = REPLY_ACCEPTED;
        r.operation_id = job->head.id;
    } else if (job->head.running) {
        standing(job, &r);
        r.final = !f->follow;
    } else {
        bool good = job_unpack_end(job->packed, job->packed_bytes, h->topology, &j->end);
        assert(good && "it was packed here, or looked at when it was read");
        (void)good;
        r.kind = REPLY_OPERATION;
        r.operation_id = job->head.id;
        r.report = &j->end.report;
        r.final = true;
    }
    f->used = !r.final;
    j->due -= f->due ? 0 : 1;
    out_send(h->out, &m);
}

int64_t jobs_tick(struct jobs *j, struct hub *h)
{
    assert(j != NULL && h != NULL);
    for (uint32_t i = 0; i < JOBS_FOLLOWERS_ALL && j->due > 0; i++) {
        while (j->followers[i].used && j->followers[i].due) {
            if (!outbox_room(h->out, REPLY_EFFECTS, REPLY_BYTES)) {
                h->short_of_room = true;
                return h->now_us;
            }
            serve(j, h, &j->followers[i]);
        }
    }
    return NEVER;
}
