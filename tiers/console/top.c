#include "tiers/console/top.h"

#include "core/text.h"
#include "tiers/console/columns.h"
#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define HEAD_ROWS 4
#define FOOT_ROWS 1
#define ROWS_MAX  160 /* of one page */

static const char *const titles[] = {"slowest", "most drift", "most conflicts", "longest queue",
                                     "most failures"};

static bool size_changed(struct top *t)
{
    struct winsize size;
    int rows = 24, columns = 80;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 && size.ws_col > 0) {
        rows = size.ws_row;
        columns = size.ws_col;
    }
    bool changed = rows != t->rows || columns != t->columns;
    t->rows = rows;
    t->columns = columns;
    return changed;
}

void top_open(struct top *t, const struct invocation *in, const struct render *r)
{
    assert(t && in && r);
    *t = (struct top){.by = (int)command_value(in, "by")->number};
    bool terminal = r->form == FORM_TABLE && r->out == stdout && isatty(STDOUT_FILENO) &&
                    isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &t->saved) == 0;
    if (!terminal || command_value(in, "once")->given || command_value(in, "limit")->given)
        return;
    struct termios raw = t->saved;
    raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO); /* Ctrl-C stays a signal */
    raw.c_cc[VMIN] = 0;
    raw.c_cc[VTIME] = 0;
    t->screen = tcsetattr(STDIN_FILENO, TCSANOW, &raw) == 0;
    (void)size_changed(t);
    if (t->screen)
        fputs("\033[?1049h\033[?25l\033[H\033[2J", r->out);
}

void top_close(struct top *t, const struct render *r)
{
    if (!t->screen)
        return;
    t->screen = false;
    fputs("\033[?25h\033[?1049l", r->out);
    fflush(r->out);
    (void)tcsetattr(STDIN_FILENO, TCSANOW, &t->saved);
}

enum top_key top_keys(struct top *t)
{
    static const char keys[] = "sdclf"; /* in the order of --by */
    char typed[16];
    enum top_key what = size_changed(t) ? TOP_AGAIN : TOP_NONE;
    ssize_t n = read(STDIN_FILENO, typed, sizeof typed);
    for (ssize_t i = 0; i < n; i++) {
        const char *key = typed[i] ? strchr(keys, typed[i]) : NULL;
        if (typed[i] == 'q' || typed[i] == 27 || typed[i] == 4)
            return TOP_QUIT;
        if (typed[i] == 'p')
            t->paused = !t->paused;
        if (key) {
            t->by = (int)(key - keys);
            t->paused = false;
        }
        what = TOP_AGAIN;
    }
    return what;
}

void top_query(const struct top *t, struct query *query)
{
    int rows = t->rows - HEAD_ROWS - FOOT_ROWS;
    query->kind = (enum query_kind)(QUERY_TOP_SLOW + t->by);
    query->limit = (uint32_t)(rows < 1 ? 1 : rows > ROWS_MAX ? ROWS_MAX : rows);
}

static const struct column table[] = {
    {"AGENT", 14, true, 0},   {"CLASS", 20, true, 2},  {"STATE", 11, true, 1},
    {"TIME MS", 9, false, 3}, {"RTT MS", 9, false, 8}, {"WORK MS", 9, false, 9},
    {"QUEUE", 5, false, 4},   {"DRIFT", 6, false, 7},  {"CONFL", 6, false, 10},
    {"FAILED", 6, false, 5},  {"RELIAB", 6, false, 6}};

#define COLUMNS (sizeof table / sizeof *table)

/* What fits, and always what they are sorted by. */
static uint32_t columns_of(int by, int width)
{
    static const size_t sorted[] = {3, 7, 8, 6, 9}; /* in the order of --by */
    struct column own[COLUMNS];
    memcpy(own, table, sizeof own);
    own[sorted[by]].rank = 0;
    return columns_fit(own, COLUMNS, width);
}

static void head(uint32_t shown, char *ret, size_t size)
{
    columns_line(table, COLUMNS, shown, NULL, ret, size);
}

static void line(const struct page_row *row, int by, uint32_t shown, char *ret, size_t size)
{
    const struct agent_row *a = &row->u.agent;
    const struct impedance *z = &a->impedance;
    char cells[COLUMNS][CELL_BYTES];
    unit_format(row->unit, cells[0]);
    snprintf(cells[1], CELL_BYTES, "%s", class_name(a->agent_class));
    snprintf(cells[2], CELL_BYTES, "%s", agent_state_name(z->state));
    snprintf(cells[3], CELL_BYTES, "%.1f", z->predicted_us / 1e3);
    snprintf(cells[4], CELL_BYTES, "%.1f", z->latency_us / 1e3);
    snprintf(cells[5], CELL_BYTES, "%.1f", z->processing_us / 1e3);
    snprintf(cells[6], CELL_BYTES, "%u", z->queue_depth);
    snprintf(cells[7], CELL_BYTES, "%.3f", z->drift_permille / 1e3);
    snprintf(cells[8], CELL_BYTES, "-");
    if (by == QUERY_TOP_CONFLICTS - QUERY_TOP_SLOW) /* known by the key alone */
        snprintf(cells[8], CELL_BYTES, "%u", UINT32_MAX - (uint32_t)(row->key >> 32));
    snprintf(cells[9], CELL_BYTES, "%u", z->failed);
    snprintf(cells[10], CELL_BYTES, "%.3f", z->reliability_permille / 1e3);
    columns_line(table, COLUMNS, shown, cells, ret, size);
}

void top_draw(const struct top *t, const struct render *r, const struct pages *pages)
{
    char text[256], a[32], b[32], c[32];
    const struct summary *s = &t->status.summary;
    int left = t->rows - HEAD_ROWS - FOOT_ROWS;
    assert(t && r && pages);
    snprintf(text, sizeof text, "MESH-30K  %s/%s active  %s%s  %u/%u sectors  mean %.0f ms",
             render_count(s->active, a), render_count(s->agents, b), mode_name(t->status.mode),
             t->status.frozen ? " FROZEN" : "", s->sectors_healthy, t->status.sectors,
             (double)summary_mean_us(s) / US_PER_MS);
    fprintf(r->out, "\033[H%.*s\033[K\n", t->columns, text);
    snprintf(
        text, sizeof text,
        "operations %u in flight, %s done  conflicts in the last hour %s  degraded %u  offline "
        "%u  quarantined %u",
        t->status.operations_in_flight, render_count(t->status.operations_done, a),
        render_count(s->conflicts_hour, c), s->degraded, s->offline, s->quarantined);
    fprintf(r->out, "%.*s\033[K\n", t->columns, text);
    snprintf(text, sizeof text, "by %s of %s%s%s", titles[t->by], render_count(pages->total, a),
             pages->missing ? ", some units did not answer" : "", t->paused ? "  PAUSED" : "");
    fprintf(r->out, "%.*s\033[K\n", t->columns, text);
    uint32_t shown = columns_of(t->by, t->columns);
    head(shown, text, sizeof text);
    fprintf(r->out, "\033[7m%.*s\033[0m\033[K\n", t->columns, text);
    for (size_t i = 0; i < pages->count && left > 0; i++, left--) {
        line(&pages->rows[i], t->by, shown, text, sizeof text);
        fprintf(r->out, "%.*s\033[K\n", t->columns, text);
    }
    fprintf(r->out, "\033[J\033[%d;1H%.*s\033[K", t->rows, t->columns,
            "s slow  d drift  c conflicts  l queue length  f failed  p pause  q leave");
    fflush(r->out);
}

void top_render(const struct render *r, int by, const struct pages *pages)
{
    char text[256], n[32];
    assert(r && pages);
    uint32_t shown = columns_of(by, columns_width(r));
    head(shown, text, sizeof text);
    fprintf(r->out, "%s\n", text);
    for (size_t i = 0; i < pages->count; i++) {
        line(&pages->rows[i], by, shown, text, sizeof text);
        fprintf(r->out, "%s\n", text);
    }
    fprintf(r->out, "%s of %s, %zu shown\n", titles[by], render_count(pages->total, n),
            pages->count);
    if (pages->missing)
        fprintf(r->out, "no answer from %u units below: the list is incomplete\n", pages->missing);
}
