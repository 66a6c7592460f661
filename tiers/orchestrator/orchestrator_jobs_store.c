/* The table of jobs in the registry: rows "job:<place>" and "job:<place>.1" .. of the mesh's
 * collection "jobs". A place is written over by the next job that takes it, so that the collection
 * is as bounded as the table. Writes are fenced by the epoch: who was replaced writes no more.
 *
 * Whatever is written names the job's number in each of its rows: rows of different jobs are no
 * job. What was in a place that a job took before the registry could be read is forgotten. */
#include "core/hub_resume.h"
#include "core/num.h"
#include "core/plant.h"
#include "core/text.h"
#include "tiers/orchestrator/orchestrator_jobs.h"
#include <assert.h>
#include <stddef.h>
#include <string.h>

#define PAGE_ROWS      32u
#define RESUME_EFFECTS 8u
#define RESUME_BYTES   28000u
#define KEY_MAX        16u
#define FIGURE_MAX     24u
#define HEAD_FIELDS    10u

static const char *const part_names[JOB_ROW_PARTS] = {
    "p00", "p01", "p02", "p03", "p04", "p05", "p06", "p07", "p08", "p09", "p10", "p11", "p12",
    "p13", "p14", "p15", "p16", "p17", "p18", "p19", "p20", "p21", "p22", "p23", "p24", "p25",
    "p26", "p27", "p28", "p29", "p30", "p31", "p32", "p33", "p34", "p35", "p36", "p37"};

bool jobs_settling(const struct jobs *j, const struct hub *h)
{
    return !j->loaded && h->store_up && h->now_us - h->started_us < JOBS_SETTLE_US;
}

void job_changed(struct jobs *j, struct job *job)
{
    j->dirty += job->dirty ? 0u : 1u;
    job->dirty = true;
}

/* Where the parts of a row begin in the packed bytes, and how many it has room for. */
static uint32_t row_offset(uint32_t row)
{
    return row == 0 ? 0 : (JOB_HEAD_PARTS + (row - 1u) * JOB_ROW_PARTS) * STORE_FIELD_VALUE_MAX;
}

static uint32_t row_room(uint32_t row)
{
    return (row == 0 ? JOB_HEAD_PARTS : JOB_ROW_PARTS) * STORE_FIELD_VALUE_MAX;
}

static uint32_t rows_of(uint32_t bytes)
{
    uint32_t rows = 1;
    while (rows < JOB_ROWS_MAX && row_offset(rows) < bytes) {
        rows++;
    }
    return rows;
}

/* --- writing ---------------------------------------------------------------------------------- */

/* What a successor needs to know of one that runs. */
static void course_of(struct jobs *j, const struct hub *h, struct job *job)
{
    struct job_course *c = &j->course;
    const struct origin *o = job->origin;
    memset(c, 0, sizeof(*c));
    memset(&job->head.current, 0, sizeof(job->head.current));
    if (o == NULL || o->state != ORIGIN_OPERATING) {
        return;
    }
    job->head.current = o->current;
    c->target_mesh_us = o->target_mesh_us;
    c->window_us = o->window_us;
    c->deadline_mesh_us = o->deadline_mesh_us;
    c->operation = o->operation;
    for (uint32_t i = o->cascade.phase + 1; i < o->cascade.phase_count; i++) {
        struct selector sel = o->operation.selector;
        sel.class_mask = o->cascade.phases[i].class_mask;
        c->rest += hub_expected(h, &sel);
    }
    c->operation.selector.class_mask = o->class_mask;
    c->has_before = o->summed && o->sum.targets > 0;
    if (c->has_before) {
        memcpy(c->before.outcomes, o->sum.outcomes, sizeof(c->before.outcomes));
        memcpy(c->before.reasons, o->sum.reasons, sizeof(c->before.reasons));
    }
}

struct row_memory {
    char key[KEY_MAX], number[FIGURE_MAX], bytes[FIGURE_MAX], created[FIGURE_MAX],
        finished[FIGURE_MAX], targets[FIGURE_MAX], id[ID128_TEXT_MAX], console[UNIT_TEXT_MAX];
    struct store_field fields[STORE_FIELDS_MAX];
};

static void field(struct store_row *row, struct store_field *fields, const char *name,
                  const char *value, size_t bytes)
{
    assert(row->field_count < STORE_FIELDS_MAX - 1u && bytes <= STORE_FIELD_VALUE_MAX);
    fields[row->field_count++] =
        (struct store_field){.name = name, .value = value, .value_bytes = (uint32_t)bytes};
}

static void figure(struct store_row *row, struct row_memory *m, const char *name, int64_t value,
                   char memory[FIGURE_MAX])
{
    struct text t;
    text_init(&t, memory, FIGURE_MAX);
    text_i64(&t, value);
    field(row, m->fields, name, memory, t.used);
}

/* Those of a head that are for people. */
static void head_fields(const struct job *job, struct store_row *row, struct row_memory *m)
{
    const struct job_head *h = &job->head;
    const char *state = h->running ? "running" : job->status;
    num_id128_format(h->id, m->id);
    unit_format(h->console, m->console);
    field(row, m->fields, "id", m->id, strlen(m->id));
    field(row, m->fields, "state", state, strlen(state));
    field(row, m->fields, "action", h->action, strlen(h->action));
    field(row, m->fields, "input", h->input, strlen(h->input));
    field(row, m->fields, "console", m->console, strlen(m->console));
    figure(row, m, "created", h->created_mesh_us, m->created);
    figure(row, m, "finished", h->finished_mesh_us, m->finished);
    figure(row, m, "targets", h->targets, m->targets);
}

static void row_fill(const struct job *job, uint32_t place, uint32_t row, const uint8_t *packed,
                     uint32_t bytes, struct store_row *ret, struct row_memory *m)
{
    struct text t;
    text_init(&t, m->key, sizeof(m->key));
    text_add(&t, "job:");
    text_i64(&t, place);
    if (row > 0) {
        text_char(&t, '.');
        text_i64(&t, row);
    }
    *ret = (struct store_row){.key = m->key, .fields = m->fields};
    figure(ret, m, "number", job->number, m->number);
    if (row == 0) {
        figure(ret, m, "bytes", bytes, m->bytes);
        head_fields(job, ret, m);
        assert(ret->field_count == HEAD_FIELDS);
    }
    uint32_t at = row_offset(row), end = at + row_room(row);
    end = end < bytes ? end : bytes;
    for (uint32_t i = 0; at < end; i++, at += STORE_FIELD_VALUE_MAX) {
        uint32_t n = end - at < STORE_FIELD_VALUE_MAX ? end - at : STORE_FIELD_VALUE_MAX;
        field(ret, m->fields, part_names[i], (const char *)packed + at, n);
    }
}

/* False: no room in the outbox. */
static bool write_job(struct jobs *j, struct hub *h, struct job *job)
{
    struct row_memory memory[JOB_ROWS_MAX];
    struct store_row rows[JOB_ROWS_MAX];
    const uint8_t *packed = job->packed;
    uint32_t bytes = job->packed_bytes;
    if (job->head.running) {
        course_of(j, h, job);
        bytes = job_pack_running(&job->head, &j->course, j->course_bytes);
        packed = j->course_bytes;
    }
    assert(bytes > 0);
    struct store_op op = {.kind = STORE_EPOCH_PUTS,
                          .shard = "mesh",
                          .collection = "jobs",
                          .rows = rows,
                          .row_count = rows_of(bytes),
                          .epoch = h->epoch};
    for (uint32_t i = 0; i < op.row_count; i++) {
        row_fill(job, (uint32_t)(job - j->jobs), i, packed, bytes, &rows[i], &memory[i]);
    }
    if (!outbox_room(h->out, 1, store_op_extra_bytes(&op))) {
        h->short_of_room = true;
        return false;
    }
    op.ref = ++h->next_ref;
    job->store_ref = op.ref;
    job->store_until_us = h->now_us + JOBS_WAIT_US;
    j->dirty--;
    job->dirty = false;
    j->writes++;
    out_store(h->out, &op);
    return true;
}

/* --- reading ---------------------------------------------------------------------------------- */

static bool digits(const char *text, const char **ret_end, uint32_t *ret)
{
    uint32_t n = 0;
    const char *at = text;
    while (*at >= '0' && *at <= '9' && at - text < 10) {
        n = n * 10u + (uint32_t)(*at++ - '0');
    }
    *ret = n;
    *ret_end = at;
    return at > text;
}

static uint32_t field_number(const struct store_row *row, const char *name)
{
    for (uint32_t i = 0; i < row->field_count; i++) {
        const struct store_field *f = &row->fields[i];
        char text[FIGURE_MAX];
        const char *end;
        uint32_t n = 0;
        if (strcmp(f->name, name) == 0 && f->value_bytes < sizeof(text)) {
            memcpy(text, f->value, f->value_bytes);
            text[f->value_bytes] = '\0';
            return digits(text, &end, &n) && *end == '\0' ? n : 0;
        }
    }
    return 0;
}

static void row_read(struct jobs *j, const struct store_row *row)
{
    uint32_t place = 0, part = 0;
    const char *at;
    if (strncmp(row->key, "job:", 4) != 0 || !digits(row->key + 4, &at, &place) ||
        (*at == '.' && !digits(at + 1, &at, &part)) || *at != '\0' || place >= JOBS_MAX ||
        part >= JOB_ROWS_MAX || j->jobs[place].used) {
        return;
    }
    struct job *job = &j->jobs[place];
    uint32_t number = field_number(row, "number");
    if (number != job->number && job->got != 0 && number < job->number) {
        return; /* left behind by an earlier job of this place */
    }
    job->got = number == job->number ? job->got | 1u << part : 1u << part;
    job->number = number;
    job->packed_bytes = part == 0 ? field_number(row, "bytes") : job->packed_bytes;
    for (uint32_t i = 0; i < row->field_count; i++) {
        const struct store_field *f = &row->fields[i];
        uint32_t k;
        if (f->name[0] != 'p' || !digits(f->name + 1, &at, &k) || *at != '\0' ||
            k >= row_room(part) / STORE_FIELD_VALUE_MAX) {
            continue;
        }
        memcpy(job->packed + row_offset(part) + (size_t)k * STORE_FIELD_VALUE_MAX, f->value,
               f->value_bytes);
    }
}

/* Status tells how long ago the last cascade was, whoever carried it out. */
static void cascade_read(struct hub *h, const struct report *r)
{
    bool counts = r->strategy != CASCADE_NONE && r->aggregate.targets > 0 &&
                  strcmp(r->status, "CANCELLED") != 0;
    if (counts && r->finished_mesh_us > h->figures.last_cascade_mesh_us) {
        h->figures.last_cascade_mesh_us = r->finished_mesh_us;
    }
}

/* All rows are here: it is a job, or none. */
static void job_read(struct jobs *j, struct hub *h, struct job *job)
{
    uint32_t bytes = job->packed_bytes;
    uint32_t wanted = bytes > 0 && bytes <= JOB_PACKED_BYTES ? (1u << rows_of(bytes)) - 1u : 0;
    bool good = wanted != 0 && (job->got & wanted) == wanted && job->number > 0 &&
                job_unpack_head(job->packed, bytes, &job->head);
    if (good && job->head.running) {
        good = job_unpack_course(job->packed, bytes, &j->course);
        job->resume = good && !PLANTED(PLANT_LOST_JOBS);
        j->resuming += job->resume ? 1u : 0u;
    } else if (good) {
        struct text t;
        good = job_unpack_end(job->packed, bytes, h->topology, &j->end);
        text_init(&t, job->status, sizeof(job->status));
        text_add(&t, good ? j->end.report.status : "");
        if (good) {
            cascade_read(h, &j->end.report);
        }
    }
    if (!good) {
        memset(job, 0, offsetof(struct job, packed));
        return;
    }
    job->used = true;
    j->last_number = job->number > j->last_number ? job->number : j->last_number;
}

static void all_read(struct jobs *j, struct hub *h)
{
    uint32_t own = j->last_number; /* of jobs that did not wait for this: they are the newer */
    bool mine[JOBS_MAX];
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        mine[i] = j->jobs[i].used;
        if (!mine[i] && j->jobs[i].got != 0) {
            job_read(j, h, &j->jobs[i]);
        }
    }
    uint32_t rise = own > 0 ? j->last_number : 0;
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        j->jobs[i].number += mine[i] ? rise : 0;
    }
    for (uint32_t i = 0; i < JOBS_FOLLOWERS_ALL; i++) {
        j->followers[i].number += rise;
    }
    j->last_number += own > 0 ? own : 0;
    j->loaded = true;
}

static void read_page(struct jobs *j, struct hub *h)
{
    struct store_op op = {.kind = STORE_SCAN,
                          .shard = "mesh",
                          .collection = "jobs",
                          .cursor = j->load_cursor,
                          .limit = PAGE_ROWS};
    if (!outbox_room(h->out, 1, store_op_extra_bytes(&op))) {
        h->short_of_room = true;
        return;
    }
    op.ref = ++h->next_ref;
    j->load_ref = op.ref;
    j->load_until_us = h->now_us + JOBS_WAIT_US;
    out_store(h->out, &op);
}

static void page_read(struct jobs *j, struct hub *h, const struct store_reply *reply)
{
    j->load_ref = 0;
    if (reply->verdict != STORE_OK && reply->verdict != STORE_MISSING) {
        hub_note(h, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
        j->again_us = h->now_us + JOBS_AGAIN_US;
        return;
    }
    for (uint32_t i = 0; i < reply->row_count; i++) {
        row_read(j, &reply->rows[i]);
    }
    j->load_cursor = reply->verdict == STORE_OK ? reply->cursor : 0;
    if (j->load_cursor == 0) {
        all_read(j, h);
    }
}

bool jobs_stored(struct jobs *j, struct hub *h, const struct store_reply *reply)
{
    assert(j != NULL && h != NULL && reply != NULL);
    if (j->load_ref != 0 && reply->ref == j->load_ref) {
        page_read(j, h, reply);
        return true;
    }
    for (uint32_t i = 0; j->writes > 0 && i < JOBS_MAX; i++) {
        struct job *job = &j->jobs[i];
        if (job->store_ref == 0 || job->store_ref != reply->ref) {
            continue;
        }
        job->store_ref = 0;
        j->writes--;
        if (reply->verdict != STORE_OK) {
            hub_note(h, NOTE_STORE_REFUSED, (uint64_t)reply->kind, (uint64_t)reply->verdict);
            /* Fenced: a successor has this place. */
            if (reply->verdict != STORE_FENCED && reply->verdict != STORE_INVALID) {
                job_changed(j, job);
            }
            j->again_us = h->now_us + JOBS_AGAIN_US;
        }
        return true;
    }
    return false;
}

/* --- taking up -------------------------------------------------------------------------------- */

/* False: no room in this step. */
static bool resume(struct jobs *j, struct hub *h, struct job *job)
{
    if (!outbox_room(h->out, RESUME_EFFECTS, RESUME_BYTES)) {
        h->short_of_room = true;
        return false;
    }
    bool good = job_unpack_course(job->packed, job->packed_bytes, &j->course);
    assert(good && "it was looked at when it was read");
    (void)good;
    const struct job_course *c = &j->course;
    struct resume r = {.id = job->head.id,
                       .current = job->head.current,
                       .console = job->head.console,
                       .ref = job->head.ref,
                       .cancelled = job->head.cancelled,
                       .targets = job->head.targets,
                       .created_mesh_us = job->head.created_mesh_us,
                       .target_mesh_us = c->target_mesh_us,
                       .window_us = c->window_us,
                       .deadline_mesh_us = c->deadline_mesh_us,
                       .operation = &c->operation,
                       .before = c->has_before ? &c->before : NULL,
                       .rest = c->rest};
    j->resuming--;
    job->resume = false;
    hub_resume(h, &r);
    job->origin = job->head.running ? hub_origin_find(h, &job->head.id) : NULL;
    return true;
}

/* --- every step ------------------------------------------------------------------------------- */

/* What is written of one that runs in phases is written again when the next begins. */
static void look_phases(struct jobs *j, const struct hub *h)
{
    if (j->phases == h->figures.phases) {
        return;
    }
    j->phases = h->figures.phases;
    for (uint32_t i = 0; i < JOBS_MAX; i++) {
        struct job *job = &j->jobs[i];
        if (job->used && job->head.running && job->origin != NULL &&
            job->origin->state == ORIGIN_OPERATING &&
            !num_id128_equal(job->head.current, job->origin->current)) {
            job_changed(j, job);
        }
    }
}

/* A store that comes back may have lost what it had. */
static void look_link(struct jobs *j, const struct hub *h)
{
    for (uint32_t i = 0; j->store_was_down && h->store_up && i < JOBS_MAX; i++) {
        if (j->jobs[i].used && !j->jobs[i].resume) {
            job_changed(j, &j->jobs[i]);
        }
    }
    j->store_was_down = !h->store_up;
}

static void look_late(struct jobs *j, struct hub *h, int64_t *next_us)
{
    for (uint32_t i = 0; j->writes > 0 && i < JOBS_MAX; i++) {
        struct job *job = &j->jobs[i];
        if (job->store_ref == 0) {
            continue;
        }
        if (h->now_us >= job->store_until_us) {
            hub_note(h, NOTE_STORE_LATE, job->store_ref, STORE_EPOCH_PUTS);
            job->store_ref = 0;
            job_changed(j, job);
            j->writes--;
        } else {
            *next_us = job->store_until_us < *next_us ? job->store_until_us : *next_us;
        }
    }
}

static int64_t load_tick(struct jobs *j, struct hub *h)
{
    if (j->load_ref != 0 && h->now_us >= j->load_until_us) {
        hub_note(h, NOTE_STORE_LATE, j->load_ref, STORE_SCAN);
        j->load_ref = 0;
    }
    if (j->load_ref == 0 && h->store_up && h->now_us >= j->again_us) {
        read_page(j, h);
    }
    int64_t next_us = j->load_ref != 0 ? j->load_until_us : h->store_up ? j->again_us : NEVER;
    int64_t settled_us = h->started_us + JOBS_SETTLE_US;
    return h->now_us < settled_us && settled_us < next_us ? settled_us : next_us;
}

int64_t jobs_store_tick(struct jobs *j, struct hub *h)
{
    assert(j != NULL && h != NULL);
    int64_t next_us = NEVER;
    if (!j->loaded) {
        next_us = load_tick(j, h);
        return h->short_of_room ? h->now_us : next_us;
    }
    look_phases(j, h);
    look_link(j, h);
    look_late(j, h, &next_us);
    for (uint32_t i = 0; j->resuming > 0 && i < JOBS_MAX; i++) {
        if (j->jobs[i].resume && !resume(j, h, &j->jobs[i])) {
            return h->now_us;
        }
    }
    if (j->dirty > 0 && h->store_up && h->now_us < j->again_us) {
        return j->again_us < next_us ? j->again_us : next_us;
    }
    for (uint32_t i = 0; j->dirty > 0 && h->store_up && i < JOBS_MAX; i++) {
        struct job *job = &j->jobs[i];
        bool now = job->dirty && job->store_ref == 0 && j->writes < JOBS_WRITES_MAX;
        if (now && !write_job(j, h, job)) {
            return h->now_us;
        }
    }
    return next_us; /* what waits for an answer, or for the link, is the next step's */
}
