#include "tiers/console/top.h"

#include "core/text.h"
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

static void head(char *ret, size_t size)
{
    snprintf(ret, size, "%-14s %-20s %-11s %9s %9s %9s %5s %6s %6s %6s %6s", "AGENT", "CLASS",
             "STATE", "TIME MS", "RTT MS", "WORK MS", "QUEUE", "DRIFT", "CONFL", "FAILED",
             "RELIAB");
}

static void line(const struct page_row *row, int by, char *ret, size_t size)
{
    const struct agent_row *a = &row->u.agent;
    const struct impedance *z = &a->impedance;
    char unit[UNIT_TEXT_MAX], conflicts[16] = "-";
    unit_format(row->unit, unit);
    if (by == QUERY_TOP_CONFLICTS - QUERY_TOP_SLOW) /* known by the key alone */
        snprintf(conflicts, sizeof conflicts, "%u", UINT32_MAX - (uint32_t)(row->key >> 32));
    snprintf(ret, size, "%-14s %-20s %-11s %9.1f %9.1f %9.1f %5u %6.3f %6s %6u %6.3f", unit,
             class_name(a->agent_class), agent_state_name(z->state), z->predicted_us / 1e3,
             z->latency_us / 1e3, z->processing_us / 1e3, z->queue_depth, z->drift_permille / 1e3,
             conflicts, z->failed, z->reliability_permille / 1e3);
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
    head(text, sizeof text);
    fprintf(r->out, "\033[7m%.*s\033[0m\033[K\n", t->columns, text);
    for (size_t i = 0; i < pages->count && left > 0; i++, left--) {
        line(&pages->rows[i], t->by, text, sizeof text);
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
    head(text, sizeof text);
    fprintf(r->out, "%s\n", text);
    for (size_t i = 0; i < pages->count; i++) {
        line(&pages->rows[i], by, text, sizeof text);
        fprintf(r->out, "%s\n", text);
    }
    fprintf(r->out, "%s of %s, %zu shown\n", titles[by], render_count(pages->total, n),
            pages->count);
    if (pages->missing)
        fprintf(r->out, "no answer from %u units below: the list is incomplete\n", pages->missing);
}
