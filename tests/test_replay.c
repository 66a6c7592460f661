/* Replay of recorded delays: what a trace may look like, what is refused and how, and that the
 * predictor does on small made-up series what it claims: coverage, and no loss far above the best
 * method's. */
#include "core/rng.h"
#include "sim/replay.h"
#include "sim/rivals.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char path[64];

static void write_file(const char *bytes, size_t count)
{
    snprintf(path, sizeof(path), "/tmp/mesh-replay-XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, count, f), count);
    assert_int_equal(fclose(f), 0);
}

/* The text must be refused, naming the file, this line (0: none) and this word. */
static void refused(const char *text, unsigned line, const char *word)
{
    write_file(text, strlen(text));
    struct delay_trace t;
    memset(&t, 0x5a, sizeof(t));
    struct delay_trace before = t;
    char why[REPLAY_WHY_MAX] = "";
    assert_false(replay_read(path, &t, why));
    assert_memory_equal(&t, &before, sizeof(t)); /* untouched on failure */
    char where[100];
    snprintf(where, sizeof(where), line > 0 ? "%s:%u: " : "%s: ", path, line);
    if (strncmp(why, where, strlen(where)) != 0 || strstr(why, word) == NULL) {
        fail_msg("expected %s..%s, got %s", where, word, why);
    }
    unlink(path);
}

static struct delay_trace accepted(const char *text)
{
    write_file(text, strlen(text));
    struct delay_trace t;
    char why[REPLAY_WHY_MAX] = "";
    if (!replay_read(path, &t, why)) {
        fail_msg("%s", why);
    }
    unlink(path);
    return t;
}

static void test_bad_files_are_refused_by_line(void **state)
{
    (void)state;
    refused("", 0, "header");
    refused("series,seq,delay_ms\n", 1, "no rows");
    refused("seq,delay_ms\n1,2\n", 1, "no column series");
    refused("series,seq\na,2\n", 1, "no column delay_ms");
    refused("series,delay_ms,delay_ms\na,1,2\n", 1, "twice");
    refused("series,delay_ms\na,1\nb\n", 3, "1 columns");
    refused("series,delay_ms\na,1,2\n", 2, "3 columns");
    refused("series,delay_ms\na,\n", 2, "no rows"); /* nothing was measured */
    refused("series,delay_ms\n\"a,1\n", 2, "quotes");
    refused("series,delay_ms\n\"a\"b,1\n", 2, "quotes");
    refused("series,delay_ms\na,12ms\n", 2, "12ms");
    refused("series,delay_ms\na,nan\n", 2, "delay_ms");
    refused("series,delay_ms\na,inf\n", 2, "delay_ms");
    refused("series,delay_ms\na,-1\n", 2, "-1");
    refused("series,delay_ms\na,1e300\n", 2, "delay_ms");
    refused("series,delay_ms\n\n# note\n,1\n", 4, "name is empty");
    refused("series,payload_weight,delay_ms\na,-2,1\n", 2, "payload_weight");
    refused("series,queue_depth,delay_ms\na,x,1\n", 2, "queue_depth");
    refused("series,seq,delay_ms\na,x,1\n", 2, "seq");
}

static void test_missing_file(void **state)
{
    (void)state;
    struct delay_trace t;
    char why[REPLAY_WHY_MAX] = "";
    assert_false(replay_read("/nonexistent/mesh-trace.csv", &t, why));
    assert_non_null(strstr(why, "/nonexistent/mesh-trace.csv: cannot open"));
}

static void test_long_lines_and_many_columns(void **state)
{
    (void)state;
    static char text[9000];
    size_t at = (size_t)sprintf(text, "series,delay_ms\na,");
    memset(text + at, '1', 5000);
    text[at + 5000] = '\n';
    text[at + 5001] = '\0';
    refused(text, 2, "longer than");
    at = 0;
    for (int i = 0; i < 70; i++) {
        at += (size_t)sprintf(text + at, "c%d,", i);
    }
    snprintf(text + at, sizeof(text) - at, "series,delay_ms\n");
    refused(text, 1, "columns");
    write_file("series,delay_ms\na,1\0\n", 21); /* a NUL ends its line */
    struct delay_trace t;
    char why[REPLAY_WHY_MAX];
    if (replay_read(path, &t, why)) {
        replay_free(&t);
    }
    unlink(path);
}

static void test_what_is_accepted(void **state)
{
    (void)state;
    struct delay_trace t = accepted("\xef\xbb\xbfkind,delay_ms,series,seq,payload_weight\r\n"
                                    "# a comment\r\n\r\n"
                                    "x,3.5,b,2,0.5\r\n"
                                    "x,1,a,1,1\r\n"
                                    "x,2,b,1,0\r\n"
                                    "x,4,a,2,0");
    assert_int_equal(t.count, 4);
    assert_int_equal(t.series, 2);
    /* By seq, file order within one; series are numbered by first appearance. */
    assert_true(t.rows[0].series == 1 && t.rows[0].delay_ms == 1 && t.rows[0].weight == 1);
    assert_true(t.rows[1].series == 0 && t.rows[1].delay_ms == 2);
    assert_true(t.rows[2].series == 0 && t.rows[2].delay_ms == 3.5 && t.rows[2].weight == 0.5);
    assert_true(t.rows[3].series == 1 && t.rows[3].delay_ms == 4);
    replay_free(&t);
    t = accepted("delay_ms,series\n5,z\n6,z\n"); /* no seq: file order */
    assert_true(t.rows[0].delay_ms == 5 && t.rows[1].delay_ms == 6);
    replay_free(&t);
}

static void test_what_was_not_measured(void **state)
{
    (void)state;
    struct delay_trace t = accepted("\"series\", \"delay_ms\" ,payload_weight\n"
                                    "\"a, \"\"b\"\"\",10,\n"
                                    "a,,1\n"
                                    " a , 12 , 2\n");
    assert_int_equal(t.count, 2);
    assert_int_equal(t.missing, 1);
    assert_int_equal(t.series, 2);
    assert_true(t.rows[0].delay_ms == 10 && t.rows[0].weight == 0);
    assert_true(t.rows[1].delay_ms == 12 && t.rows[1].weight == 2);
    replay_free(&t);
    /* Weights in bytes: the usual one is the standard payload. */
    t = accepted("series,delay_ms,payload_weight\na,1,1000\na,2,2000\na,3,4000\n");
    assert_true(t.rows[0].weight == 0.5 && t.rows[1].weight == 1 && t.rows[2].weight == 2);
    replay_free(&t);
}

/* ---- series made up here; rows belong to the caller ---- */

static double normal(struct rng *r)
{
    double sum = -6;
    for (int i = 0; i < 12; i++) {
        sum += rng_unit(r);
    }
    return sum;
}

enum shape { STEADY, WEIGHTED, STEPS, CORRELATED };

static struct delay_trace made(enum shape shape, uint32_t series, uint32_t length, uint64_t seed)
{
    struct rng r;
    rng_seed(&r, seed, 1);
    struct delay_trace t = {.count = (size_t)series * length, .series = series};
    t.rows = calloc(t.count, sizeof(*t.rows));
    double *level = calloc(series, sizeof(*level)), *wander = calloc(series, sizeof(*wander));
    assert_non_null(t.rows);
    assert_true(level != NULL && wander != NULL);
    for (uint32_t s = 0; s < series; s++) {
        level[s] = 80 * exp(0.5 * normal(&r));
    }
    for (size_t i = 0; i < t.count; i++) {
        struct trace_row *row = &t.rows[i];
        row->series = (uint32_t)(i % series);
        size_t round = i / series;
        row->seq = (double)round;
        row->weight = shape == WEIGHTED ? 0.5 * (double)rng_below(&r, 8) : 0;
        if (shape == STEPS && rng_below(&r, 200) == 0) {
            level[row->series] = 80 * exp(0.5 * normal(&r));
        }
        wander[row->series] = 0.9 * wander[row->series] + 0.4 * normal(&r);
        double spread = shape == CORRELATED ? wander[row->series] : 0.25 * normal(&r);
        row->delay_ms = level[row->series] * (1 + 0.8 * row->weight) * exp(spread);
        row->delay_ms *= rng_below(&r, 50) == 0 ? 3 : 1;
    }
    free(level);
    free(wander);
    return t;
}

static void test_calibrated_and_near_the_best(void **state)
{
    (void)state;
    const double most[] = {1.05, 1.01, 1.06, 1.10};
    for (int shape = STEADY; shape <= CORRELATED; shape++) {
        struct delay_trace t = made((enum shape)shape, 40, 300, 3);
        struct replay_result r;
        replay_run(&t, 0.95, &r);
        assert_int_equal(r.series, 40);
        assert_int_equal(r.observations, 12000);
        assert_int_equal(r.scored, 40 * 280);
        assert_true(r.methods[REPLAY_MIX].coverage > 0.94);
        assert_true(r.methods[REPLAY_MIX].coverage < 0.96);
        assert_true(r.loss_over_best >= 1 && r.loss_over_best < most[shape]);
        assert_true(r.first_coverage > 0.85);
        assert_true(r.worst_coverage > 0.9);
        /* The yardstick is exact on what it knows. */
        assert_true(r.methods[REPLAY_HINDSIGHT].coverage >= 0.95);
        assert_true(r.methods[REPLAY_HINDSIGHT].coverage < 0.955);
        replay_free(&t);
    }
}

static void test_the_weight_is_used(void **state)
{
    (void)state;
    struct delay_trace t = made(WEIGHTED, 30, 300, 4);
    struct replay_result with, without;
    replay_run(&t, 0.95, &with);
    for (size_t i = 0; i < t.count; i++) {
        t.rows[i].weight = 0;
    }
    replay_run(&t, 0.95, &without);
    assert_true(with.methods[REPLAY_MIX].loss_ms < 0.8 * without.methods[REPLAY_MIX].loss_ms);
    replay_free(&t);
}

static void test_other_shares(void **state)
{
    (void)state;
    struct delay_trace t = made(STEADY, 40, 400, 5);
    const double taus[] = {0.5, 0.8, 0.99};
    for (unsigned i = 0; i < 3; i++) {
        struct replay_result r;
        replay_run(&t, taus[i], &r);
        assert_true(fabs(r.methods[REPLAY_MIX].coverage - taus[i]) < 0.02);
    }
    replay_free(&t);
}

static void test_scale_does_not_matter(void **state)
{
    (void)state;
    const double scales[] = {0.01, 1, 1000};
    double ratio[3];
    for (int i = 0; i < 3; i++) {
        struct delay_trace t = made(STEADY, 30, 300, 6);
        for (size_t k = 0; k < t.count; k++) {
            t.rows[k].delay_ms *= scales[i];
        }
        struct replay_result r;
        replay_run(&t, 0.95, &r);
        ratio[i] = r.methods[REPLAY_MIX].loss_ms / r.methods[REPLAY_HINDSIGHT].loss_ms;
        replay_free(&t);
    }
    assert_true(fabs(ratio[0] / ratio[1] - 1) < 0.05);
    assert_true(fabs(ratio[2] / ratio[1] - 1) < 0.05);
}

static void test_tiny_traces(void **state)
{
    (void)state;
    struct delay_trace t = accepted("series,delay_ms\na,10\n");
    struct replay_result r;
    replay_run(&t, 0.95, &r); /* nothing is scored */
    assert_int_equal(r.scored, 0);
    static char text[4096];
    FILE *f = fmemopen(text, sizeof(text), "w");
    assert_non_null(f);
    replay_print(&r, "tiny.csv", true, f);
    fclose(f);
    assert_non_null(strstr(text, "\"coverage\":null"));
    assert_null(strstr(text, "nan"));
    replay_free(&t);
    t = accepted("series,delay_ms\na,0\na,0\na,0\nb,0\nb,0\n"); /* and a delay of nothing at all */
    replay_run(&t, 0.95, &r);
    assert_int_equal(r.scored, 3);
    assert_true(r.methods[REPLAY_MIX].loss_ms >= 0);
    replay_free(&t);
}

static void test_json_keys(void **state)
{
    (void)state;
    struct delay_trace t = made(STEADY, 5, 60, 7);
    struct replay_result r;
    replay_run(&t, 0.95, &r);
    static char text[8192];
    FILE *f = fmemopen(text, sizeof(text), "w");
    assert_non_null(f);
    replay_print(&r, "made.csv", true, f);
    fclose(f);
    const char *const keys[] = {"\"tau\":0.95",  "\"series\":5",        "\"observations\":300",
                                "\"coverage\":", "\"loss_over_best\":", "\"methods\":{\"hcq-mix\":",
                                "\"last-20\":",  "\"hindsight\":"};
    for (unsigned i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        assert_non_null(strstr(text, keys[i]));
    }
    replay_free(&t);
}

static void test_rivals_do_what_they_say(void **state)
{
    (void)state;
    struct window w = {.count = 0};
    for (int i = 1; i <= 150; i++) {
        window_learn(&w, i);
    }
    /* ceil(0.95 x 21) = 20th of 131 .. 150; ceil(0.95 x 101) = 96th of 51 .. 150. */
    assert_true(window_guess(&w, 20, 0.95, 0).lead_ms == 150);
    assert_true(window_guess(&w, 100, 0.95, 0).lead_ms == 146);
    assert_true(window_guess(&w, 20, 0.5, 0).centre_ms == 141);
    struct jacobson j = {.count = 0};
    jacobson_learn(&j, 100);
    jacobson_learn(&j, 180);
    /* dev = 50 + (80 - 50) / 4, mean = 100 + 80 / 8 */
    assert_true(fabs(jacobson_guess(&j, 0, 4).lead_ms - (110 + 4 * 57.5)) < 1e-3);
    assert_true(fabs(rival_pinball(0.95, 110, 100) - 9.5) < 1e-12);
    assert_true(fabs(rival_pinball(0.95, 90, 100) - 0.5) < 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files_are_refused_by_line),
        cmocka_unit_test(test_missing_file),
        cmocka_unit_test(test_long_lines_and_many_columns),
        cmocka_unit_test(test_what_is_accepted),
        cmocka_unit_test(test_what_was_not_measured),
        cmocka_unit_test(test_calibrated_and_near_the_best),
        cmocka_unit_test(test_the_weight_is_used),
        cmocka_unit_test(test_other_shares),
        cmocka_unit_test(test_scale_does_not_matter),
        cmocka_unit_test(test_tiny_traces),
        cmocka_unit_test(test_json_keys),
        cmocka_unit_test(test_rivals_do_what_they_say),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
