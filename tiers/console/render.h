/* What the operator sees: the answers of the mesh as text for people or as JSON for programs.
 *
 * Text goes to `out` and is the same whether or not it is a terminal. Every JSON
 * object is one line, with the keys that docs/CONSOLE.md lists. */
#ifndef TIERS_CONSOLE_RENDER_H
#define TIERS_CONSOLE_RENDER_H

#include "core/command.h"
#include "core/commands.h"
#include "core/topology.h"
#include <stdbool.h>
#include <stdio.h>

/* --output. JSON: one object; JSONL: a line for each event, as it comes. */
enum render_form { FORM_TABLE, FORM_JSON, FORM_JSONL, FORM_WIDE, FORM_CSV, FORM_COUNT };

struct render {
    FILE *out;
    const struct topology *topology;
    bool json; /* FORM_JSON or FORM_JSONL */
    enum render_form form;
    bool diff;                       /* answers against the majority's */
    const char *operator_key;        /* how it is kept; NULL: not said */
    bool no_ack;                     /* the operation asked for no acknowledgements */
    const struct answer_group *late; /* answers that came after the report, for it */
    size_t late_count;
};

void render_status(const struct render *r, const struct mesh_status *status);
void render_when(const struct render *r, const struct when_reply *when);
/* How far ahead T has to be for all that this report says were skipped. */
int64_t render_earliest_us(const struct render *r, const struct report *report);

/* `pages`: answer groups that were fetched by page, ordered by count; NULL: those of the report. */
void render_report(const struct render *r, enum command_verb verb, const struct report *report,
                   const struct answer_group *pages, size_t page_count);

/* What a CONFLICT says, as one line for people: its type, what the agent has, what was expected. */
const char *render_conflict(const struct answer_group *g, char *ret, size_t size);

/* One line of folded answers. */
void render_group(const struct render *r, const struct answer_group *g);

/* The rows of a query in all its pages. `limited`: more exist than were asked for. */
void render_rows(const struct render *r, enum command_verb verb, enum row_kind kind,
                 const struct page_row *rows, size_t count, uint32_t total, uint32_t missing,
                 bool limited);

/* A report that comes line by line: JSON is one object with all of them, closed by _end. */
void render_line(const struct render *r, const char *text, uint32_t number);
void render_lines_end(const struct render *r);
void render_pong(const struct render *r, const char *unit, double ms);
/* An error of the mesh or of the console: text on stderr, or {"error": .., "reason": ..}. */
void render_error(const struct render *r, const char *reason, const char *text);

/* Bytes that agents sent, as printable UTF-8 in one line, terminated and cut to size; returns ret.
 */
const char *render_safe(const void *bytes, size_t length, char *ret, size_t size);
/* A whole answer, lines kept: as it came where a program reads it, printable where a person does.
 */
void render_answer(const struct render *r, const void *bytes, size_t length);

/* "29,847"; "2026-11-21T10:15:14.123Z"; "3h 27m". */
const char *render_count(uint64_t n, char ret[32]);
const char *render_time(int64_t mesh_us, char ret[40]);
const char *render_span(int64_t us, char ret[32]);

/* The JSON half (render_json.c), called by the functions above when r->json. */
void render_json_status(const struct render *r, const struct mesh_status *status);
void render_json_when(const struct render *r, const struct when_reply *when);
void render_json_report(const struct render *r, const struct report *report,
                        const struct answer_group *pages, size_t page_count);
void render_json_rows(const struct render *r, enum row_kind kind, const struct page_row *rows,
                      size_t count, uint32_t total, uint32_t missing);
void render_json_error(const struct render *r, const char *reason, const char *text);

/* FORM_JSONL: a row, or one event of an operation. */
void render_jsonl_rows(const struct render *r, enum row_kind kind, const struct page_row *rows,
                       size_t count);
void render_jsonl_accepted(const struct render *r, struct id128 id);
void render_jsonl_progress(const struct render *r, struct id128 id,
                           const struct aggregate_view *progress);
void render_jsonl_report(const struct render *r, const struct report *report,
                         const struct answer_group *groups, size_t count);

/* FORM_CSV (render_csv.c). Rows are agents or summaries. */
void render_csv_field(const struct render *r, const char *text, bool last);
void render_csv_rows(const struct render *r, enum row_kind kind, const struct page_row *rows,
                     size_t count);
void render_csv_groups(const struct render *r, const struct answer_group *groups, size_t count,
                       uint32_t other);

/* render_diff.c */
void render_diff(const struct render *r, const struct answer_group *groups, size_t count);

#endif
