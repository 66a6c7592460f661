#include "sim/laws.h"
#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct knob {
    const char *name;
    bool of_class;
    size_t at;
    double least, most;
};

static const struct knob knobs[] = {
    {"rtt_low_ms", true, offsetof(struct class_law, rtt_low_ms), 0, 60000},
    {"rtt_high_ms", true, offsetof(struct class_law, rtt_high_ms), 0, 60000},
    {"misfit", true, offsetof(struct class_law, misfit), 0.01, 100},
    {"sigma", true, offsetof(struct class_law, sigma), 0, 3},
    {"loss", true, offsetof(struct class_law, loss), 0, 0.5},
    {"asymmetry", false, offsetof(struct laws, asymmetry), 0, 1},
    {"jitter", false, offsetof(struct laws, jitter), 0, 10},
    {"retransmit", false, offsetof(struct laws, retransmit), 0, 0.5},
    {"speed_sigma", false, offsetof(struct laws, speed_sigma), 0, 3},
    {"weight_slope", false, offsetof(struct laws, weight_slope), 0, 100},
    {"clock_offset_ms", false, offsetof(struct laws, clock_offset_ms), 0, 60000},
    {"clock_drift_ppm", false, offsetof(struct laws, clock_drift_ppm), 0, 1000},
};
#define KNOBS (sizeof(knobs) / sizeof(knobs[0]))

void laws_default(struct laws *ret)
{
    assert(ret != NULL);
    *ret = (struct laws){.of = {[CLASS_A_EDGE] = {5, 20, 1.3, 0.15, 0.0001},
                                [CLASS_B_SERVERLESS] = {50, 150, 0.8, 0.3, 0.0005},
                                [CLASS_C_PERSISTENT] = {100, 300, 1.2, 0.3, 0.0005},
                                [CLASS_D_GPU] = {200, 500, 1.5, 0.25, 0.001},
                                [CLASS_E_LOCAL] = {20, 400, 0.7, 0.45, 0.003},
                                [CLASS_F_HUMAN] = {50, 150, 1.0, 1.3, 0.001}},
                         .asymmetry = 0.1,
                         .jitter = 0.1,
                         .retransmit = 0.003,
                         .speed_sigma = 0.25,
                         .weight_slope = 0.5,
                         .clock_offset_ms = 50,
                         .clock_drift_ppm = 50};
    assert(ret->of[CLASS_NONE].misfit == 0);
}

/* NAME=NUMBER. NULL: it is set. */
static const char *word_set(struct laws *laws, enum impedance_class c, char *word)
{
    static char why[LAWS_LINE_MAX + 160];
    char *value = strchr(word, '=');
    if (value == NULL) {
        (void)snprintf(why, sizeof why, "'%s' is not NAME=NUMBER", word);
        return why;
    }
    *value++ = '\0';
    for (size_t i = 0; i < KNOBS; i++) {
        const struct knob *k = &knobs[i];
        if (strcmp(k->name, word) != 0 || k->of_class != (c != CLASS_NONE)) {
            continue;
        }
        char *end = NULL;
        double number = strtod(value, &end);
        if (end == value || *end != '\0' || !(number >= k->least && number <= k->most)) {
            (void)snprintf(why, sizeof why, "%s: '%s' is not a number from %g to %g", word, value,
                           k->least, k->most);
            return why;
        }
        char *base = k->of_class ? (char *)&laws->of[c] : (char *)laws;
        memcpy(base + k->at, &number, sizeof number);
        return NULL;
    }
    (void)snprintf(why, sizeof why, "'%s' is nothing that %s has", word,
                   c != CLASS_NONE ? "a class" : "'all'");
    return why;
}

/* NULL: it holds. */
static const char *line_read(struct laws *laws, char *line)
{
    static char why[LAWS_LINE_MAX + 80];
    char *rest = NULL;
    line[strcspn(line, "#\r\n")] = '\0';
    char *first = strtok_r(line, " \t", &rest);
    if (first == NULL) {
        return NULL;
    }
    enum impedance_class c = class_parse(first, strlen(first));
    if (c == CLASS_NONE && strcmp(first, "all") != 0) {
        (void)snprintf(why, sizeof why, "'%s' is neither a class (CLASS_A_EDGE ..) nor 'all'",
                       first);
        return why;
    }
    for (char *w = strtok_r(NULL, " \t", &rest); w != NULL; w = strtok_r(NULL, " \t", &rest)) {
        const char *wrong = word_set(laws, c, w);
        if (wrong != NULL) {
            return wrong;
        }
    }
    return laws->of[c].rtt_low_ms > laws->of[c].rtt_high_ms ? "rtt_low_ms is above rtt_high_ms"
                                                            : NULL;
}

bool laws_read(const char *path, struct laws *laws, char *why, size_t why_bytes)
{
    assert(path != NULL && laws != NULL);
    assert(why != NULL && why_bytes > 0);
    char line[LAWS_LINE_MAX];
    unsigned number = 0;
    const char *wrong = NULL;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        (void)snprintf(why, why_bytes, "%s: %s", path, strerror(errno));
        return false;
    }
    while (wrong == NULL && fgets(line, sizeof line, file) != NULL) {
        number++;
        wrong = strchr(line, '\n') == NULL && !feof(file) ? "the line is longer than 254 bytes"
                                                          : line_read(laws, line);
    }
    if (wrong != NULL) {
        (void)snprintf(why, why_bytes, "%s:%u: %s", path, number, wrong);
    } else if (ferror(file) != 0) {
        (void)snprintf(why, why_bytes, "%s: it cannot be read", path);
        wrong = why;
    }
    (void)fclose(file);
    return wrong == NULL;
}
