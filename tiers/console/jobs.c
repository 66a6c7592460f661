#include "tiers/console/jobs.h"

#include "core/num.h"
#include "tiers/console/columns.h"
#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define JOBS_SHOWN 20u

/* --- records ---------------------------------------------------------------------------------- */

const char *record_value(const struct page_row *row, const char *name, char *ret, size_t size)
{
    const char *at = row->u.record.text, *end = at + row->u.record.bytes;
    size_t length = strlen(name);
    assert(size > 0);
    ret[0] = '\0';
    while (at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        if ((size_t)(stop - at) > length && memcmp(at, name, length) == 0 && at[length] == '=') {
            size_t bytes = (size_t)(stop - at) - length - 1;
            bytes = bytes < size - 1 ? bytes : size - 1;
            memcpy(ret, at + length + 1, bytes);
            ret[bytes] = '\0';
            return ret;
        }
        at = stop + 1;
    }
    return ret;
}

int64_t record_number(const struct page_row *row, const char *name)
{
    char text[32];
    return strtoll(record_value(row, name, text, sizeof text), NULL, 10);
}

/* --- requests --------------------------------------------------------------------------------- */

static const char *wanted_id(const struct invocation *in)
{
    const struct value *id = command_value(in, "id");
    return id->given ? id->text : "";
}

enum jobs_action jobs_action(const struct invocation *in)
{
    if (in->spec->verb == CMD_CANCEL)
        return JOBS_CANCEL;
    if (in->spec->verb != CMD_JOBS)
        return JOBS_SHOW;
    const struct value *action = command_value(in, "action");
    return action->given ? (enum jobs_action)action->number : JOBS_LIST;
}

static void request(const struct invocation *in, struct id128 id, struct command *ret)
{
    *ret = (struct command){.kind = COMMAND_QUERY, .operation_id = id};
    ret->query = (struct query){.operation_id = id, .from_start = true, .limit = PAGE_ROWS_MAX};
    if (jobs_action(in) == JOBS_CANCEL)
        ret->kind = COMMAND_CANCEL;
    else if (jobs_action(in) == JOBS_APPROVE || jobs_action(in) == JOBS_REJECT)
        *ret = (struct command){
            .kind = COMMAND_APPROVE, .operation_id = id, .on = jobs_action(in) == JOBS_APPROVE};
    else if (in->spec->verb == CMD_TRACE)
        ret->query.kind = QUERY_TRACE;
    else
        ret->query.kind = jobs_action(in) == JOBS_SHOW ? QUERY_JOB : QUERY_ATTACH;
}

bool jobs_build(const struct invocation *in, struct command *ret, char error[COMMAND_ERROR_MAX])
{
    const char *id = wanted_id(in);
    struct id128 whole;
    bool list = in->spec->verb == CMD_JOBS && jobs_action(in) == JOBS_LIST;
    *ret = (struct command){.kind = COMMAND_QUERY};
    ret->query = (struct query){.kind = QUERY_JOBS, .from_start = true, .limit = PAGE_ROWS_MAX};
    if (list || !id[0])
        return true;
    if (strspn(id, "0123456789abcdef") != strlen(id) || strlen(id) > 32 || strlen(id) < 4) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "id: '%.60s' is not 32 hex digits, nor 4 or more of an id's first or last ones "
                 "('jobs' lists them)",
                 id);
        return false;
    }
    if (!num_id128_parse(id, strlen(id), &whole))
        return true; /* a part of one */
    if (num_id128_zero(whole)) {
        snprintf(error, COMMAND_ERROR_MAX, "id: nothing is called by zeros alone");
        return false;
    }
    request(in, whole, ret);
    return true;
}

/* Ids begin with the time, so that people shorten them to their end. */
static bool matches(const char *id, const char *wanted)
{
    size_t all = strlen(id), n = strlen(wanted);
    return n <= all && (memcmp(id, wanted, n) == 0 || memcmp(id + all - n, wanted, n) == 0);
}

bool jobs_pick(const struct invocation *in, const struct pages *pages, struct command *ret,
               char error[COMMAND_ERROR_MAX])
{
    const char *wanted = wanted_id(in);
    char id[ID128_TEXT_MAX], found[ID128_TEXT_MAX] = "";
    struct id128 whole;
    size_t count = 0;
    for (size_t i = 0; i < pages->count; i++) {
        record_value(&pages->rows[i], "id", id, sizeof id);
        if (!matches(id, wanted))
            continue;
        if (count++ == 0)
            memcpy(found, id, sizeof found);
        if (!wanted[0])
            break; /* the newest */
    }
    if (count == 0)
        snprintf(error, COMMAND_ERROR_MAX,
                 wanted[0] ? "id: no job is called '%.32s' ('jobs' lists them)"
                           : "%.0sthere are no jobs yet",
                 wanted);
    else if (count > 1)
        snprintf(error, COMMAND_ERROR_MAX, "id: %zu jobs are called '%.32s': write more digits",
                 count, wanted);
    if (count != 1 || !num_id128_parse(found, strlen(found), &whole))
        return false;
    request(in, whole, ret);
    return true;
}

/* --- what is shown -----------------------------------------------------------------------------
 */

static int64_t answers_of(const struct page_row *row)
{
    return record_number(row, "ready") + record_number(row, "conflict");
}

static json_t *job_object(const struct page_row *row)
{
    static const char *const words[] = {"id", "state", "action", "input", "console"};
    static const char *const times[] = {"created", "finished"};
    json_t *o = json_object();
    char text[128], when[40];
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        json_object_set_new(o, words[i],
                            json_string(record_value(row, words[i], text, sizeof text)));
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        int64_t at = record_number(row, times[i]);
        json_object_set_new(o, times[i], at ? json_string(render_time(at, when)) : json_null());
    }
    json_object_set_new(o, "took_ms", json_real((double)record_number(row, "took_us") / 1e3));
    json_object_set_new(o, "targets", json_integer(record_number(row, "targets")));
    json_object_set_new(o, "answered", json_integer(answers_of(row)));
    json_object_set_new(o, "late", json_integer(record_number(row, "late")));
    return o;
}

/* A line for each job, and in FORM_JSONL the sum behind them. */
static void list_lines(const struct render *r, const struct pages *pages, size_t shown)
{
    static const char *const columns[] = {"id",      "state",    "action",   "input",
                                          "console", "created",  "finished", "took_ms",
                                          "targets", "answered", "late"};
    const size_t count = sizeof columns / sizeof *columns;
    if (r->form == FORM_CSV)
        fputs("id,state,action,input,console,created,finished,took_ms,targets,answered,late\r\n",
              r->out);
    for (size_t i = 0; i < shown; i++) {
        json_t *o = job_object(&pages->rows[i]);
        for (size_t k = 0; r->form == FORM_CSV && k < count; k++) {
            json_t *value = json_object_get(o, columns[k]);
            char *text = json_is_string(value) || json_is_null(value)
                             ? NULL
                             : json_dumps(value, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9));
            const char *word = json_string_value(value);
            render_csv_field(r, text ? text : word ? word : "", k + 1 == count);
            free(text);
        }
        if (r->form == FORM_JSONL) {
            json_object_set_new(o, "kind", json_string("row"));
            json_dumpf(o, r->out, JSON_COMPACT | JSON_REAL_PRECISION(9));
            fputc('\n', r->out);
        }
        json_decref(o);
    }
    if (r->form == FORM_JSONL)
        fprintf(r->out, "{\"kind\":\"summary\",\"total\":%zu,\"shown\":%zu}\n", pages->count,
                shown);
}

static const struct column columns[] = {{"JOB", 33, true, 0},  {"STATE", 9, true, 0},
                                        {"BY", 12, true, 5},   {"STARTED", 12, true, 3},
                                        {"TOOK", 8, false, 2}, {"ANSWERED", 17, false, 4},
                                        {" WHAT", 20, true, 1}};

#define COLUMNS    (sizeof columns / sizeof *columns)
#define ID_SHORT   9 /* the last digits of an id, which name it as well */
#define WHAT_SHOWN 40u

/* What was run, and on what: as much of it as `room` columns take, never half a character. */
static void what_text(const struct page_row *row, size_t room, char ret[CELL_BYTES])
{
    char action[ACTION_MAX], input[80], first[80];
    record_value(row, "action", action, sizeof action);
    record_value(row, "input", input, sizeof input);
    size_t taken = strlen(action) + strlen("  \"..\"");
    size_t bytes = room > taken ? room - taken : 0;
    render_safe(input, strlen(input), first, bytes + 1 < sizeof first ? bytes + 1 : sizeof first);
    snprintf(ret, CELL_BYTES, " %s%s%s%s", action, input[0] ? " \"" : "", first,
             !input[0]                       ? ""
             : strlen(input) > strlen(first) ? "..\""
                                             : "\"");
}

/* Columns of a line that are left for the last one. */
static size_t room_of_last(const struct column own[], uint32_t fit, int width)
{
    int left = width;
    for (size_t i = 0; i + 1 < COLUMNS; i++)
        left -= fit >> i & 1 ? own[i].width + 1 : 0;
    return left > 0 ? (size_t)left : 0;
}

static void list_table(const struct render *r, const struct pages *pages, size_t shown)
{
    struct column own[COLUMNS];
    char line[512], cells[COLUMNS][CELL_BYTES], a[32], b[32];
    int width = columns_width(r);
    memcpy(own, columns, sizeof own);
    bool narrow = width > 0 && columns_fit(own, COLUMNS, width) != columns_fit(own, COLUMNS, 0);
    own[0].width = narrow ? ID_SHORT : own[0].width;
    uint32_t fit = columns_fit(own, COLUMNS, width);
    size_t room = width > 0 ? room_of_last(own, fit, width) : WHAT_SHOWN;
    room = r->form == FORM_WIDE ? CELL_BYTES : room < WHAT_SHOWN ? room : WHAT_SHOWN;
    columns_line(own, COLUMNS, fit, NULL, line, sizeof line);
    fprintf(r->out, "%s\n", line);
    for (size_t i = 0; i < shown; i++) {
        const struct page_row *row = &pages->rows[i];
        char id[ID128_TEXT_MAX], when[40];
        const char *time = strchr(render_time(record_number(row, "created"), when), 'T');
        record_value(row, "id", id, sizeof id);
        size_t digits = strlen(id), skip = narrow && digits > 8 ? digits - 8 : 0;
        snprintf(cells[0], CELL_BYTES, "%s", id + skip);
        record_value(row, "state", cells[1], CELL_BYTES);
        record_value(row, "console", cells[2], CELL_BYTES);
        snprintf(cells[3], CELL_BYTES, "%.12s", time ? time + 1 : "");
        render_span(record_number(row, "took_us"), cells[4]);
        snprintf(cells[5], CELL_BYTES, "%s/%s", render_count((uint64_t)answers_of(row), a),
                 render_count((uint64_t)record_number(row, "targets"), b));
        what_text(row, room, cells[6]);
        columns_line(own, COLUMNS, fit, cells, line, sizeof line);
        fprintf(r->out, "%s\n", line);
    }
}

void jobs_render_list(const struct render *r, const struct pages *pages, size_t most)
{
    most = most ? most : JOBS_SHOWN;
    size_t shown = pages->count < most ? pages->count : most;
    if (r->form == FORM_CSV || r->form == FORM_JSONL) {
        list_lines(r, pages, shown);
        return;
    }
    if (r->json) {
        json_t *list = json_array();
        for (size_t i = 0; i < shown; i++)
            json_array_append_new(list, job_object(&pages->rows[i]));
        json_t *o = json_pack("{s:o,s:I}", "jobs", list, "total", (json_int_t)pages->count);
        json_dumpf(o, r->out, JSON_COMPACT | JSON_REAL_PRECISION(9));
        fputc('\n', r->out);
        json_decref(o);
        return;
    }
    list_table(r, pages, shown);
    if (shown < pages->count)
        fprintf(r->out, "%zu more (--limit)\n", pages->count - shown);
    if (pages->count == 0)
        fputs("no jobs yet\n", r->out);
}

void jobs_render_running(const struct render *r, const struct reply *progress)
{
    const struct aggregate_view *a = &progress->progress;
    char id[ID128_TEXT_MAX], n[32], m[32];
    uint32_t done = 0;
    num_id128_format(progress->operation_id, id);
    for (enum outcome o = OUTCOME_READY; o < OUTCOME_COUNT; o++)
        done += a->outcomes[o];
    if (r->json) {
        json_t *states = json_object();
        for (enum outcome o = OUTCOME_READY; o < OUTCOME_COUNT; o++)
            json_object_set_new(states, outcome_name(o), json_integer(a->outcomes[o]));
        json_t *o =
            json_pack("{s:s,s:s,s:I,s:I,s:o}", "operation_id", id, "status", "RUNNING", "targets",
                      (json_int_t)a->targets, "final", (json_int_t)done, "states", states);
        json_dumpf(o, r->out, JSON_COMPACT | JSON_REAL_PRECISION(9));
        fputc('\n', r->out);
        json_decref(o);
        return;
    }
    fprintf(r->out, "operation %s: running, %s of %s have ended\n", id, render_count(done, n),
            render_count(a->targets, m));
    for (enum outcome o = OUTCOME_READY; o < OUTCOME_COUNT; o++)
        if (a->outcomes[o])
            fprintf(r->out, "  %-18s %10s\n", outcome_name(o), render_count(a->outcomes[o], n));
    fprintf(r->out, "'jobs attach %s' follows it\n", id);
}

void jobs_render_held(const struct render *r, const struct reply *held)
{
    char id[ID128_TEXT_MAX];
    num_id128_format(held->operation_id, id);
    const char *why = held->text ? held->text : "";
    if (r->json) {
        json_t *o = json_pack("{s:s,s:s,s:s,s:s}", "operation_id", id, "status", "HELD", "code",
                              reason_name(held->reason), "why", why);
        json_dumpf(o, r->out, JSON_COMPACT);
        fputc('\n', r->out);
        json_decref(o);
        return;
    }
    fprintf(r->out, "held: %s\noperation %s: nothing was sent yet\n", why, id);
    if (strstr(why, "approval"))
        fprintf(r->out, "'jobs approve %s' sends it, 'jobs reject %s' ends it\n", id + 24, id + 24);
    else
        fprintf(r->out, "'jobs attach %s' follows it, 'jobs cancel %s' ends it\n", id + 24,
                id + 24);
}
