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

struct render {
    FILE *out;
    const struct topology *topology;
    bool json;
    bool no_ack;                     /* the operation asked for no acknowledgements */
    const struct answer_group *late; /* answers that came after the report, for it */
    size_t late_count;
};

void render_status(const struct render *r, const struct mesh_status *status);
void render_kpi(const struct render *r, const struct mesh_status *status);
void render_when(const struct render *r, const struct when_reply *when);

/* `pages`: answer groups that were fetched by page, ordered by count; NULL: those of the report. */
void render_report(const struct render *r, enum command_verb verb, const struct report *report,
                   const struct answer_group *pages, size_t page_count);

/* The rows of a query in all its pages. `limited`: more exist than were asked for. */
void render_rows(const struct render *r, enum command_verb verb, enum row_kind kind,
                 const struct page_row *rows, size_t count, uint32_t total, uint32_t missing,
                 bool limited);

/* An error of the mesh or of the console: text on stderr, or {"error": .., "reason": ..}. */
/* A report that comes line by line: JSON is one object with all of them, closed by _end. */
void render_line(const struct render *r, const char *text, uint32_t number);
void render_lines_end(const struct render *r);
void render_pong(const struct render *r, const char *unit, double ms);
void render_error(const struct render *r, const char *reason, const char *text);

/* "29,847"; "2026-11-21T10:15:14.123Z"; "3h 27m". */
const char *render_count(uint64_t n, char ret[32]);
const char *render_time(int64_t mesh_us, char ret[40]);
const char *render_span(int64_t us, char ret[32]);

/* The JSON half (render_json.c), called by the functions above when r->json. */
void render_json_status(const struct render *r, const struct mesh_status *status);
void render_json_kpi(const struct render *r, const struct mesh_status *status);
void render_json_when(const struct render *r, const struct when_reply *when);
void render_json_report(const struct render *r, const struct report *report,
                        const struct answer_group *pages, size_t page_count);
void render_json_rows(const struct render *r, enum row_kind kind, const struct page_row *rows,
                      size_t count, uint32_t total, uint32_t missing);
void render_json_error(const struct render *r, const char *reason, const char *text);

/* The KPIs of spec part 11, computed once for both forms. Without a target ("") it informs. */
struct kpi {
    const char *name, *target, *unit;
    bool known, met;
    double value;
};
#define KPI_COUNT 7
void render_compute_kpis(const struct mesh_status *s, struct kpi ret[KPI_COUNT]);

#endif
