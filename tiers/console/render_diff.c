/* Answers against the majority's: which lines are only in the one, which only in the other. */
#include "core/text.h"
#include "tiers/console/render.h"
#include <assert.h>
#include <string.h>

#define LINES_MAX  64u /* of one answer; what is beyond them is not compared */
#define DIFFS_MAX  10u /* groups that are compared */
#define LINE_SHOWN 120u

struct lines {
    const char *at[LINES_MAX];
    size_t bytes[LINES_MAX];
    size_t count;
};

static void split(const struct answer_group *g, struct lines *ret)
{
    const char *at = (const char *)g->answer, *end = at + g->answer_bytes;
    ret->count = 0;
    while (at < end && ret->count < LINES_MAX) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        ret->at[ret->count] = at;
        ret->bytes[ret->count++] = (size_t)(stop - at);
        at = stop + 1;
    }
}

static bool same(const struct lines *a, size_t i, const struct lines *b, size_t k)
{
    return a->bytes[i] == b->bytes[k] && memcmp(a->at[i], b->at[k], a->bytes[i]) == 0;
}

static void line(const struct render *r, char mark, const struct lines *l, size_t i)
{
    char text[LINE_SHOWN + 1];
    struct text t;
    text_init(&t, text, sizeof text);
    text_add_safe(&t, l->at[i], l->bytes[i] < LINE_SHOWN ? l->bytes[i] : LINE_SHOWN);
    fprintf(r->out, "    %c %s%s\n", mark, text, l->bytes[i] > LINE_SHOWN ? ".." : "");
}

/* By the longest common subsequence of lines. */
static void compare(const struct render *r, const struct lines *a, const struct lines *b)
{
    static uint8_t length[LINES_MAX + 1][LINES_MAX + 1];
    memset(length, 0, sizeof length);
    for (size_t i = a->count; i-- > 0;)
        for (size_t k = b->count; k-- > 0;) {
            uint8_t down = length[i + 1][k], right = length[i][k + 1];
            length[i][k] = same(a, i, b, k) ? (uint8_t)(length[i + 1][k + 1] + 1)
                           : down > right   ? down
                                            : right;
        }
    size_t i = 0, k = 0;
    while (i < a->count || k < b->count) {
        if (i < a->count && k < b->count && same(a, i, b, k)) {
            i++;
            k++;
        } else if (i < a->count && (k == b->count || length[i + 1][k] >= length[i][k + 1])) {
            line(r, '-', a, i++);
        } else {
            line(r, '+', b, k++);
        }
    }
}

void render_diff(const struct render *r, const struct answer_group *groups, size_t count)
{
    const struct answer_group *majority = NULL;
    struct lines most, other;
    size_t shown = 0;
    assert(r && (groups || count == 0));
    for (size_t i = 0; i < count; i++)
        if (groups[i].outcome == OUTCOME_READY && (!majority || groups[i].count > majority->count))
            majority = &groups[i];
    if (!majority) {
        fputs("against the majority: nobody answered\n", r->out);
        return;
    }
    split(majority, &most);
    for (size_t i = 0; i < count; i++) {
        const struct answer_group *g = &groups[i];
        char runs[120];
        bool answers = g->outcome == OUTCOME_READY || g->outcome == OUTCOME_CONFLICT;
        if (g == majority || !answers || shown++ >= DIFFS_MAX)
            continue;
        runs_format(r->topology, g->runs, g->run_count, runs, sizeof runs);
        fprintf(r->out, "%u of %s against the majority of %u:\n", g->count, runs, majority->count);
        split(g, &other);
        compare(r, &most, &other);
    }
    if (shown == 0)
        fputs("against the majority: all that answered said the same\n", r->out);
    if (shown > DIFFS_MAX)
        fprintf(r->out, "and %zu groups more\n", shown - DIFFS_MAX);
}
