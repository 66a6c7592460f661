/* Reading a recorded trace. Strict where a mistake would give a wrong figure: every row has all the
 * columns of the header, every number is finite and within its range, and the first thing that is
 * not so ends the reading with the file's name, the line and the column. Blank lines, lines that
 * begin with #, a byte order mark, quotes, blanks around fields and CR before LF are accepted. An
 * empty delay_ms is a message that was not measured: it is counted and left out. Bounds: lines of
 * 4,095 bytes, 64 columns, 50 million rows. */
#include "core/num.h"
#include "sim/replay.h"
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 4096u
#define COLUMNS_MAX    64u
#define WEIGHT_ROWS    2000u

#define USUAL_WEIGHT_MOST 20.0 /* a usual weight above it is in another unit */

enum column { COL_SERIES, COL_DELAY, COL_SEQ, COL_WEIGHT, COL_QUEUE, COL_COUNT };
static const char *const COLUMN_NAMES[COL_COUNT] = {"series", "delay_ms", "seq", "payload_weight",
                                                    "queue_depth"};
/* The greatest value that is taken for a measurement, whatever its unit. */
static const double COLUMN_MOST[COL_COUNT] = {0, 1e12, 1e300, 1e12, 1e9};

struct reader {
    const char *path;
    FILE *file;
    unsigned long line;
    char text[LINE_MAX_BYTES];
    char *fields[COLUMNS_MAX];
    uint32_t field_count, columns;
    int at[COL_COUNT]; /* field of each column; -1: not there */
    char **names;      /* of series */
    uint32_t *table;   /* name hash -> series + 1 */
    uint32_t table_size, series;
    size_t room;
    char *why;
};

__attribute__((format(printf, 2, 3))) static bool complain(struct reader *r, const char *format,
                                                           ...)
{
    char what[300];
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof(what), format, args);
    va_end(args);
    if (r->line > 0) {
        snprintf(r->why, REPLAY_WHY_MAX, "%.160s:%lu: %s", r->path, r->line, what);
    } else {
        snprintf(r->why, REPLAY_WHY_MAX, "%.160s: %s", r->path, what);
    }
    return false;
}

static void *grow(void *p, size_t count, size_t bytes)
{
    void *q = realloc(p, count * bytes);
    if (q == NULL) {
        fputs("mesh-sim replay: out of memory\n", stderr);
        abort();
    }
    return q;
}

/* A field in quotes (RFC 4180): commas are text, "" is a quotation mark. False: never closed, or
 * text after it. *ret_end: behind it and the blanks after it. */
static bool cut_quoted(char *at, char **ret_end)
{
    char *to = at++;
    while (*at != '\0' && (*at != '"' || at[1] == '"')) {
        at += *at == '"';
        *to++ = *at++;
    }
    bool closed = *at == '"';
    at += closed;
    *to = '\0';
    *ret_end = at + strspn(at, " \t");
    return closed && (**ret_end == ',' || **ret_end == '\0');
}

/* A line into fields, without the blanks around them. */
static bool split(struct reader *r, char *at)
{
    r->field_count = 0;
    for (bool more = true; more;) {
        if (r->field_count == COLUMNS_MAX) {
            return complain(r, "more than %u columns", COLUMNS_MAX);
        }
        at += strspn(at, " \t");
        r->fields[r->field_count++] = at;
        char *end = at + strcspn(at, ",");
        char *last = end;
        if (*at == '"') {
            if (!cut_quoted(at, &end)) {
                return complain(r, "column %u: quotes are not closed, or text follows them",
                                r->field_count);
            }
            last = end;
        }
        more = *end == ',';
        while (*at != '"' && last > at && (last[-1] == ' ' || last[-1] == '\t')) {
            last--;
        }
        *last = '\0';
        at = end + 1;
    }
    return true;
}

/* The next line that is not blank or a comment, cut into fields. ret_end: no more. */
static bool next_line(struct reader *r, bool *ret_end)
{
    for (;;) {
        if (fgets(r->text, sizeof(r->text), r->file) == NULL) {
            *ret_end = true;
            return ferror(r->file) == 0 || complain(r, "cannot read: %s", strerror(errno));
        }
        r->line++;
        size_t n = strlen(r->text);
        if (n + 1 == sizeof(r->text) && r->text[n - 1] != '\n') {
            return complain(r, "the line is longer than %u bytes", LINE_MAX_BYTES - 1u);
        }
        while (n > 0 && (r->text[n - 1] == '\n' || r->text[n - 1] == '\r')) {
            r->text[--n] = '\0';
        }
        char *at = r->text;
        if (r->line == 1 && strncmp(at, "\xef\xbb\xbf", 3) == 0) {
            at += 3;
        }
        if (*at == '\0' || *at == '#') {
            continue;
        }
        *ret_end = false;
        return split(r, at);
    }
}

static bool read_header(struct reader *r)
{
    bool end = false;
    if (!next_line(r, &end)) {
        return false;
    }
    if (end) {
        return complain(r, "the file is empty: a header line is needed");
    }
    for (int c = 0; c < COL_COUNT; c++) {
        r->at[c] = -1;
    }
    r->columns = r->field_count;
    for (uint32_t f = 0; f < r->field_count; f++) {
        for (int c = 0; c < COL_COUNT; c++) {
            if (strcmp(r->fields[f], COLUMN_NAMES[c]) == 0) {
                if (r->at[c] >= 0) {
                    return complain(r, "the column %s is there twice", COLUMN_NAMES[c]);
                }
                r->at[c] = (int)f;
            }
        }
    }
    for (int c = COL_SERIES; c <= COL_DELAY; c++) {
        if (r->at[c] < 0) {
            return complain(r, "the header has no column %s", COLUMN_NAMES[c]);
        }
    }
    return true;
}

static bool read_number(struct reader *r, enum column c, double otherwise, double *ret)
{
    const char *text = r->at[c] < 0 ? "" : r->fields[r->at[c]];
    if (*text == '\0') { /* not recorded */
        *ret = otherwise;
        return true;
    }
    char *end = NULL;
    double v = strtod(text, &end);
    if (end == text || *end != '\0') {
        return complain(r, "%s: \"%.40s\" is no number", COLUMN_NAMES[c], text);
    }
    double least = c == COL_SEQ ? -COLUMN_MOST[c] : 0;
    if (!isfinite(v) || v < least || v > COLUMN_MOST[c]) {
        return complain(r, "%s: %.40s is not within %g to %g", COLUMN_NAMES[c], text, least,
                        COLUMN_MOST[c]);
    }
    *ret = v;
    return true;
}

static void table_put(struct reader *r, uint32_t series)
{
    assert(r->table_size > 0);
    const char *name = r->names[series];
    uint64_t h = num_hash64(name, strlen(name), 1);
    while (r->table[h % r->table_size] != 0) {
        h++;
    }
    r->table[h % r->table_size] = series + 1u;
}

/* The number of a series by its name; a new one is entered. */
static uint32_t series_number(struct reader *r, const char *name)
{
    uint64_t h = num_hash64(name, strlen(name), 1);
    for (; r->table_size > 0 && r->table[h % r->table_size] != 0; h++) {
        uint32_t s = r->table[h % r->table_size] - 1u;
        if (strcmp(r->names[s], name) == 0) {
            return s;
        }
    }
    if ((r->series + 1u) * 2u > r->table_size) {
        r->table_size = r->table_size == 0 ? 1024u : 2u * r->table_size;
        r->table = grow(r->table, r->table_size, sizeof(*r->table));
        r->names = grow(r->names, r->table_size, sizeof(*r->names));
        memset(r->table, 0, r->table_size * sizeof(*r->table));
        for (uint32_t s = 0; s < r->series; s++) {
            table_put(r, s);
        }
    }
    size_t bytes = strlen(name) + 1;
    r->names[r->series] = memcpy(grow(NULL, bytes, 1), name, bytes);
    table_put(r, r->series);
    return r->series++;
}

static bool read_row(struct reader *r, struct delay_trace *t)
{
    if (r->field_count != r->columns) {
        return complain(r, "%u columns where the header has %u", r->field_count, r->columns);
    }
    struct trace_row row = {0};
    const char *name = r->fields[r->at[COL_SERIES]];
    if (*name == '\0') {
        return complain(r, "series: the name is empty");
    }
    if (*r->fields[r->at[COL_DELAY]] == '\0') {
        t->missing++;
        return true;
    }
    if (!read_number(r, COL_DELAY, 0, &row.delay_ms) ||
        !read_number(r, COL_WEIGHT, 0, &row.weight) || !read_number(r, COL_QUEUE, 0, &row.queue) ||
        !read_number(r, COL_SEQ, (double)t->count, &row.seq)) {
        return false;
    }
    if (t->count == REPLAY_ROWS_MAX) {
        return complain(r, "more than %u rows", REPLAY_ROWS_MAX);
    }
    row.series = series_number(r, name);
    if (t->count == r->room) {
        r->room = r->room == 0 ? 4096 : 2 * r->room;
        t->rows = grow(t->rows, r->room, sizeof(*t->rows));
    }
    assert(t->rows != NULL);
    t->rows[t->count++] = row;
    return true;
}

/* Merge sort by seq, file order within one: qsort is not stable. */
static void sort_rows(struct trace_row *rows, struct trace_row *room, size_t n)
{
    if (n < 2) {
        return;
    }
    size_t half = n / 2;
    sort_rows(rows, room, half);
    sort_rows(rows + half, room, n - half);
    memcpy(room, rows, half * sizeof(*rows));
    size_t i = 0, j = half, k = 0;
    while (i < half) {
        if (j < n && rows[j].seq < room[i].seq) {
            rows[k++] = rows[j++];
        } else {
            rows[k++] = room[i++];
        }
    }
}

static int by_weight(const void *a, const void *b)
{
    double x = ((const struct trace_row *)a)->weight;
    double y = ((const struct trace_row *)b)->weight;
    return (x > y) - (x < y);
}

/* Weights are relative to a standard payload. Where they are something else, tokens or bytes, the
 * usual one of the first rows is taken for the standard. */
static void standard_weights(struct delay_trace *t)
{
    size_t n = 0;
    size_t most = t->count < WEIGHT_ROWS ? t->count : WEIGHT_ROWS;
    struct trace_row *first = grow(NULL, most, sizeof(*first));
    for (size_t i = 0; i < most; i++) {
        if (t->rows[i].weight > 0) {
            first[n++] = t->rows[i];
        }
    }
    qsort(first, n, sizeof(*first), by_weight);
    double usual = n > 0 ? first[n / 2].weight : 1;
    free(first);
    if (usual > USUAL_WEIGHT_MOST || usual < 1 / USUAL_WEIGHT_MOST) {
        for (size_t i = 0; i < t->count; i++) {
            t->rows[i].weight /= usual;
        }
    }
}

bool replay_read(const char *path, struct delay_trace *ret, char ret_why[REPLAY_WHY_MAX])
{
    assert(path != NULL && ret != NULL);
    assert(ret_why != NULL);
    struct delay_trace t = {0};
    struct reader *r = grow(NULL, 1, sizeof(*r));
    *r = (struct reader){.path = path, .why = ret_why, .file = fopen(path, "r")};
    bool good = r->file != NULL || complain(r, "cannot open: %s", strerror(errno));
    good = good && read_header(r);
    bool end = false;
    while (good && !end) {
        good = next_line(r, &end) && (end || read_row(r, &t));
    }
    good = good && (t.count > 0 || complain(r, "no rows after the header"));
    if (r->file != NULL) {
        fclose(r->file);
    }
    t.series = r->series;
    for (uint32_t s = 0; s < r->series; s++) {
        free(r->names[s]);
    }
    free(r->names);
    free(r->table);
    free(r);
    if (!good) {
        replay_free(&t);
        return false;
    }
    struct trace_row *room = grow(NULL, t.count / 2 + 1, sizeof(*room));
    sort_rows(t.rows, room, t.count);
    free(room);
    standard_weights(&t);
    *ret = t;
    return true;
}

void replay_free(struct delay_trace *t)
{
    assert(t != NULL);
    free(t->rows);
    *t = (struct delay_trace){0};
    assert(t->rows == NULL);
}
