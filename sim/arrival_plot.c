/* The picture of an arrival run, as SVG without any library: on the left what each predictor loses
 * against the oracle, by how often it has seen the agent; on the right what share of the fleet is
 * READY within so many milliseconds of T, told at once, aimed at T, and held until T. */
#include "sim/arrival.h"
#include <assert.h>
#include <math.h>

#define PANEL_W 430.0
#define PANEL_H 300.0
#define TOP     60.0
#define LEFT_1  70.0
#define LEFT_2  620.0

struct line {
    const char *name, *colour;
};

static double x_of(double left, double part)
{
    return left + part * PANEL_W;
}

static double y_of(double part)
{
    return TOP + (1 - part) * PANEL_H;
}

static void text(FILE *to, double x, double y, const char *anchor, const char *what)
{
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, what);
}

static void rule(FILE *to, double x1, double y1, double x2, double y2, const char *colour)
{
    fprintf(to,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
            "stroke-width=\"1\"/>\n",
            x1, y1, x2, y2, colour);
}

static void frame(FILE *to, double left, const char *title, const char *below)
{
    fprintf(to,
            "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"none\" "
            "stroke=\"#888\"/>\n",
            left, TOP, PANEL_W, PANEL_H);
    text(to, left + PANEL_W / 2, TOP - 18, "middle", title);
    text(to, left + PANEL_W / 2, TOP + PANEL_H + 40, "middle", below);
}

static void legend(FILE *to, double left, double top, int at, const struct line *l)
{
    double y = top + 16.0 * at;
    fprintf(to,
            "<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"%s\" "
            "stroke-width=\"2.5\"/>\n",
            left, y, left + 22, y, l->colour);
    text(to, left + 28, y + 4, "start", l->name);
}

/* Loss over the oracle's, 1 to 6, logarithmic. */
static double loss_part(double ratio)
{
    double part = log(ratio) / log(6);
    return part < 0 ? 0 : part > 1 ? 1 : part;
}

static void panel_loss(const struct arrival_result *r, FILE *to)
{
    static const enum arrival_method methods[] = {ARRIVAL_SPEC,     ARRIVAL_SPEC_DRIFT,
                                                  ARRIVAL_JACOBSON, ARRIVAL_LAST_20,
                                                  ARRIVAL_EWMA,     ARRIVAL_MIX};
    static const struct line lines[] = {
        {"spec formula", "#b0b0b0"},     {"spec + 2 x drift", "#e0a030"}, {"Jacobson", "#8060b0"},
        {"last-20 quantile", "#4090d0"}, {"EWMA, conformal", "#40a060"},  {"this mesh", "#d02030"}};
    static const char *const ticks[] = {"0", "1-3", "4-19", "20-99", "100-299", "300+"};
    static const double marks[] = {1, 1.1, 1.5, 2, 3, 4, 6};
    frame(to, LEFT_1, "pinball loss over the oracle's", "observations of the agent");
    for (unsigned i = 0; i < sizeof(marks) / sizeof(marks[0]); i++) {
        char label[16];
        snprintf(label, sizeof(label), "%g", marks[i]);
        double y = y_of(loss_part(marks[i]));
        rule(to, LEFT_1, y, LEFT_1 + PANEL_W, y, "#ddd");
        text(to, LEFT_1 - 6, y + 4, "end", label);
    }
    for (int b = 0; b < 6; b++) {
        text(to, x_of(LEFT_1, (b + 0.5) / 6), TOP + PANEL_H + 18, "middle", ticks[b]);
    }
    for (int m = 0; m < 6; m++) {
        fprintf(to, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\" points=\"",
                lines[m].colour);
        for (int b = 0; b < 6; b++) {
            enum arrival_bin bin = (enum arrival_bin)(BIN_COLD_0 + b);
            double ratio = arrival_loss_ratio(r, bin, bin, methods[m]);
            if (isfinite(ratio)) {
                fprintf(to, "%.1f,%.1f ", x_of(LEFT_1, (b + 0.5) / 6), y_of(loss_part(ratio)));
            }
        }
        fputs("\"/>\n", to);
        legend(to, LEFT_1 + PANEL_W - 150, TOP + 104, m, &lines[m]);
    }
}

/* Share of the errors within +-ms of the bucket `middle`; `per_ms` buckets a millisecond. */
static double share_within(const uint32_t *errors, double middle, double ms, double per_ms)
{
    uint64_t total = 0, inside = 0;
    for (uint32_t i = 0; i < ARRIVAL_ERRORS; i++) {
        total += errors[i];
        inside += fabs((double)i - middle) <= ms * per_ms ? errors[i] : 0;
    }
    return total > 0 ? (double)inside / (double)total : 0;
}

static double median_bucket(const uint32_t *errors)
{
    uint64_t total = 0, seen = 0;
    for (uint32_t i = 0; i < ARRIVAL_ERRORS; i++) {
        total += errors[i];
    }
    for (uint32_t i = 0; i < ARRIVAL_ERRORS; i++) {
        seen += errors[i];
        if (2 * seen >= total) {
            return i;
        }
    }
    return 0;
}

static void panel_ready(const struct arrival_result *r, FILE *to)
{
    const uint32_t *const series[] = {r->lasting, r->aimed[ARRIVAL_MIX], r->aimed[ARRIVAL_ORACLE],
                                      r->held[ARRIVAL_MIX]};
    static const struct line lines[] = {{"told at once", "#b0b0b0"},
                                        {"aimed at T", "#4090d0"},
                                        {"aimed by the oracle", "#40a060"},
                                        {"held until T", "#d02030"}};
    static const char *const ticks[] = {"1", "10", "100", "1000"};
    frame(to, LEFT_2, "share of the fleet READY within", "milliseconds of T");
    for (int i = 0; i < 4; i++) {
        double x = x_of(LEFT_2, i / 3.0);
        rule(to, x, TOP, x, TOP + PANEL_H, "#ddd");
        text(to, x, TOP + PANEL_H + 18, "middle", ticks[i]);
    }
    for (int i = 0; i <= 5; i++) {
        char label[16];
        snprintf(label, sizeof(label), "%d %%", 20 * i);
        rule(to, LEFT_2, y_of(i / 5.0), LEFT_2 + PANEL_W, y_of(i / 5.0), "#ddd");
        text(to, LEFT_2 - 6, y_of(i / 5.0) + 4, "end", label);
    }
    for (int s = 0; s < 4; s++) {
        double middle = s == 0 ? median_bucket(series[s]) : (ARRIVAL_ERRORS - 1) / 2.0;
        fprintf(to, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2.5\" points=\"",
                lines[s].colour);
        for (int i = 0; i <= 60; i++) {
            double part = i / 60.0;
            double inside = share_within(series[s], middle, pow(10, 3 * part), s == 0 ? 1 : 10);
            fprintf(to, "%.1f,%.1f ", x_of(LEFT_2, part), y_of(inside));
        }
        fputs("\"/>\n", to);
        legend(to, LEFT_2 + PANEL_W - 145, TOP + PANEL_H - 56, s, &lines[s]);
    }
}

bool arrival_plot(const struct arrival_result *r, const char *path)
{
    assert(r != NULL && path != NULL);
    assert(r->messages > 0);
    FILE *to = fopen(path, "w");
    if (to == NULL) {
        return false;
    }
    fputs("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 1100 430\" "
          "font-family=\"sans-serif\" font-size=\"12\">\n"
          "<rect width=\"1100\" height=\"430\" fill=\"white\"/>\n",
          to);
    panel_loss(r, to);
    panel_ready(r, to);
    fputs("</svg>\n", to);
    bool good = ferror(to) == 0;
    return fclose(to) == 0 && good;
}
