/* Coordinates are those of a page of 1,000 by 620. Nothing is scaled by the viewer's fonts: labels
 * are short, and marks of acts that lie close together share one line of text. */
#include "sim/plot.h"
#include "core/histogram.h"
#include <assert.h>
#include <string.h>

#define LEFT      70.0
#define WIDTH     880.0
#define TOP_1     70.0
#define HEIGHT_1  220.0
#define TOP_2     410.0
#define HEIGHT_2  150.0
#define MARKS_MAX 40u

static void text(FILE *to, double x, double y, const char *anchor, const char *what)
{
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
    for (const char *p = what; *p != '\0'; p++) {
        if (*p == '<' || *p == '>' || *p == '&') {
            fputs(*p == '<' ? "&lt;" : *p == '>' ? "&gt;" : "&amp;", to);
        } else {
            fputc(*p, to);
        }
    }
    fputs("</text>\n", to);
}

static void rule(FILE *to, double x1, double y1, double x2, double y2, const char *style)
{
    fprintf(to, "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" %s/>\n", x1, y1, x2, y2,
            style);
}

static double x_of(const struct scenario *s, int64_t at_us)
{
    return LEFT + WIDTH * (double)at_us / (double)s->run_us;
}

static const char *mode_colour(const struct play_sample *p)
{
    static const char *const colours[MODE_COUNT] = {
        [MODE_STARTING] = "#e8e8f8",        [MODE_FULL] = "#e2f3e2",
        [MODE_DEGRADED_LIGHT] = "#f8f4d0",  [MODE_DEGRADED_MODERATE] = "#fae6c8",
        [MODE_DEGRADED_SEVERE] = "#f8d4c8", [MODE_EMERGENCY] = "#f0b8b8"};
    return p->answered ? colours[p->mode] : "#d8d8d8";
}

/* Bands of the modes, grey where the orchestrator did not answer. */
static void bands(const struct scenario *s, const struct play_record *r, FILE *to)
{
    for (uint32_t i = 0; i < r->sample_count;) {
        uint32_t k = i;
        while (k + 1 < r->sample_count &&
               strcmp(mode_colour(&r->samples[k + 1]), mode_colour(&r->samples[i])) == 0) {
            k++;
        }
        int64_t end_us = k + 1 < r->sample_count ? r->samples[k + 1].at_us : s->run_us;
        double x = x_of(s, r->samples[i].at_us), width = x_of(s, end_us) - x;
        fprintf(to, "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n", x,
                TOP_1, width, HEIGHT_1, mode_colour(&r->samples[i]));
        if (width > 110) {
            text(to, x + width / 2, TOP_1 + HEIGHT_1 - 8, "middle",
                 r->samples[i].answered ? mode_name(r->samples[i].mode) : "no answer");
        }
        i = k + 1;
    }
}

static void curve(const struct scenario *s, const struct play_record *r, FILE *to)
{
    double all = (double)s->conf.topology.agents;
    fputs("<polyline fill=\"none\" stroke=\"#205080\" stroke-width=\"2\" points=\"", to);
    double y = TOP_1 + HEIGHT_1;
    for (uint32_t i = 0; i < r->sample_count; i++) {
        const struct play_sample *p = &r->samples[i];
        double x = x_of(s, p->at_us);
        if (p->answered) {
            fprintf(to, "%.1f,%.1f ", x, y);
            y = TOP_1 + HEIGHT_1 * (1 - (double)p->active / all);
        }
        fprintf(to, "%.1f,%.1f ", x, y);
    }
    fputs("\"/>\n", to);
}

static void marks(const struct scenario *s, FILE *to)
{
    double last = -1000;
    uint32_t level = 0, shown = 0;
    for (uint32_t i = 0; i < s->act_count && shown < MARKS_MAX; i++) {
        const struct act *a = &s->acts[i];
        double x = x_of(s, a->at_us);
        if (a->kind == ACT_SUBMIT) {
            rule(to, x, TOP_1 + HEIGHT_1, x, TOP_1 + HEIGHT_1 + 6,
                 "stroke=\"#205080\" stroke-width=\"1.5\"");
            continue;
        }
        char unit[UNIT_TEXT_MAX] = "", label[96];
        if (a->unit.tier != TIER_NONE) {
            unit_format(a->unit, unit);
        }
        snprintf(label, sizeof(label), "%s %s", act_name(a->kind), unit);
        level = x - last < 90 ? (level + 1) % 3 : 0;
        last = x;
        rule(to, x, TOP_1 - 4.0 - 13 * level, x, TOP_1 + HEIGHT_1,
             "stroke=\"#b03030\" stroke-dasharray=\"3 3\"");
        if (a->for_us > 0) {
            double end = x_of(s, a->at_us + a->for_us);
            rule(to, x, TOP_1 + 4 + 4.0 * level, end < LEFT + WIDTH ? end : LEFT + WIDTH,
                 TOP_1 + 4 + 4.0 * level, "stroke=\"#b03030\" stroke-width=\"3\"");
        }
        text(to, x + 3, TOP_1 - 6.0 - 13 * level, "start", label);
        shown++;
    }
}

static void time_axis(const struct scenario *s, FILE *to)
{
    static const int64_t steps_s[] = {1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600};
    int64_t step_s = 3600;
    for (unsigned i = 12; i-- > 0;) {
        step_s = s->run_us / (steps_s[i] * US_PER_S) <= 14 ? steps_s[i] : step_s;
    }
    for (int64_t t = 0; t * US_PER_S <= s->run_us; t += step_s) {
        char label[24];
        snprintf(label, sizeof(label), "%lld s", (long long)t);
        text(to, x_of(s, t * US_PER_S), TOP_1 + HEIGHT_1 + 22, "middle", label);
    }
    for (int i = 0; i <= 4; i++) {
        char label[24];
        double y = TOP_1 + HEIGHT_1 * (1 - i / 4.0);
        snprintf(label, sizeof(label), "%u", s->conf.topology.agents * (unsigned)i / 4u);
        rule(to, LEFT, y, LEFT + WIDTH, y, "stroke=\"#bbb\" stroke-width=\"0.5\"");
        text(to, LEFT - 6, y + 4, "end", label);
    }
    text(to, LEFT, TOP_1 + HEIGHT_1 + 40, "start",
         "active agents as the orchestrator says; blue ticks: operations; red: what was done to "
         "the mesh");
}

/* Buckets from -6.5 s to +6.5 s; the middle is T. */
static void histogram(FILE *to, const uint64_t *counts, const char *colour, double shift)
{
    uint64_t most = 1;
    for (unsigned b = 0; b < ARRIVAL_BUCKETS; b++) {
        most = counts[b] > most ? counts[b] : most;
    }
    for (unsigned b = 0; b < ARRIVAL_BUCKETS; b++) {
        double height = HEIGHT_2 * (double)counts[b] / (double)most;
        if (counts[b] > 0) {
            fprintf(to,
                    "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\" "
                    "fill-opacity=\"0.75\"/>\n",
                    LEFT + WIDTH * (b + shift) / ARRIVAL_BUCKETS, TOP_2 + HEIGHT_2 - height,
                    WIDTH / ARRIVAL_BUCKETS / 2, height, colour);
        }
    }
}

static void arrivals(const struct play_record *r, FILE *to)
{
    static const unsigned shown[] = {5, 17, 27, 37, 48, 58, 68, 78, 90};
    for (unsigned i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
        char label[24];
        double ms = (double)arrival_bucket_end_us(shown[i]) / 1e3;
        double x = LEFT + WIDTH * (shown[i] + (ms < 0 ? 0.0 : 1.0)) / ARRIVAL_BUCKETS;
        snprintf(label, sizeof(label), ms < 10 && ms > -10 ? "%+.1f ms" : "%+.0f ms", ms);
        rule(to, x, TOP_2, x, TOP_2 + HEIGHT_2, "stroke=\"#ddd\"");
        text(to, x, TOP_2 + HEIGHT_2 + 16, "middle", label);
    }
    rule(to, LEFT + WIDTH / 2, TOP_2 - 6, LEFT + WIDTH / 2, TOP_2 + HEIGHT_2, "stroke=\"#333\"");
    text(to, LEFT + WIDTH / 2, TOP_2 - 10, "middle", "T");
    histogram(to, r->arrivals, "#4090d0", 0);
    histogram(to, r->releases, "#d02030", 0.5);
    char label[128];
    snprintf(label, sizeof(label),
             "arrivals around T of %u operations with a T (blue: done; red: released when held)",
             r->timed);
    text(to, LEFT, TOP_2 + HEIGHT_2 + 36, "start", label);
}

bool plot_write(const struct scenario *s, const struct play_record *r, const char *path)
{
    assert(s != NULL && r != NULL && path != NULL);
    assert(s->run_us > 0);
    FILE *to = fopen(path, "w");
    if (to == NULL) {
        return false;
    }
    fputs("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1000 620\" "
          "font-family=\"sans-serif\" font-size=\"12\">\n"
          "<rect width=\"1000\" height=\"620\" fill=\"white\"/>\n",
          to);
    fprintf(to, "<g font-size=\"15\" font-weight=\"bold\">");
    text(to, LEFT, 22, "start", s->name);
    fputs("</g>\n", to);
    bands(s, r, to);
    time_axis(s, to);
    marks(s, to);
    curve(s, r, to);
    fprintf(to,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
            "stroke=\"#888\"/>\n<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
            "fill=\"none\" stroke=\"#888\"/>\n",
            LEFT, TOP_1, WIDTH, HEIGHT_1, LEFT, TOP_2, WIDTH, HEIGHT_2);
    arrivals(r, to);
    fputs("</svg>\n", to);
    bool good = ferror(to) == 0;
    return fclose(to) == 0 && good;
}
