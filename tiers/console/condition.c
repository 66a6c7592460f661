#include "tiers/console/condition.h"

#include <assert.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum figure {
    ACTIVE,
    DEGRADED,
    OFFLINE,
    SUSPECT,
    QUARANTINED,
    SECTORS,
    CONFLICTS,
    MEAN_MS,
    IN_FLIGHT,
    MODE,
    FROZEN,
    STORE,
    DURABLE,
    FIGURE_COUNT
};

static const char *const names[FIGURE_COUNT] = {
    "active",  "degraded",  "offline", "suspect", "quarantined", "sectors", "conflicts",
    "mean_ms", "in_flight", "mode",    "frozen",  "store",       "durable"};

static const char *const operators[] = {"==", "!=", "<", "<=", ">", ">="};

static double value_of(int figure, const struct mesh_status *s)
{
    const struct summary *y = &s->summary;
    const double values[FIGURE_COUNT] = {[ACTIVE] = y->active,
                                         [DEGRADED] = y->degraded,
                                         [OFFLINE] = y->offline,
                                         [SUSPECT] = y->suspect,
                                         [QUARANTINED] = y->quarantined,
                                         [SECTORS] = y->sectors_healthy,
                                         [CONFLICTS] = y->conflicts_hour,
                                         [MEAN_MS] = (double)summary_mean_us(y) / US_PER_MS,
                                         [IN_FLIGHT] = s->operations_in_flight,
                                         [MODE] = s->mode,
                                         [FROZEN] = s->frozen,
                                         [STORE] = s->store_up,
                                         [DURABLE] = y->durable_away == 0};
    return values[figure];
}

static bool can_share(int figure)
{
    return figure <= SECTORS;
}

static double all_of(int figure, const struct mesh_status *s)
{
    return figure == SECTORS ? s->sectors : s->summary.agents;
}

static bool parse_value(const char *text, struct condition *ret, char error[COMMAND_ERROR_MAX])
{
    char *end;
    bool word = ret->figure >= MODE;
    for (int m = 0; ret->figure == MODE && m < MODE_COUNT; m++)
        if (strcmp(text, mode_name((enum mode)m)) == 0) {
            ret->value = m;
            return true;
        }
    if (ret->figure >= FROZEN) {
        ret->value = strcmp(text, "yes") == 0;
        if (ret->value > 0 || strcmp(text, "no") == 0)
            return true;
    }
    ret->value = strtod(text, &end);
    ret->share = end > text && strcmp(end, "%") == 0;
    bool digit = text[0] >= '0' && text[0] <= '9';
    if (!word && digit && (*end == '\0' || (ret->share && can_share(ret->figure))))
        return true;
    snprintf(error, COMMAND_ERROR_MAX, "'%.40s' is no value of %s: write %s", text,
             names[ret->figure],
             ret->figure == MODE      ? "FULL, DEGRADED_LIGHT, .. as status shows it"
             : word                   ? "yes or no"
             : can_share(ret->figure) ? "a number, or a share as 95%"
                                      : "a number");
    return false;
}

bool condition_parse(const char *text, struct condition *ret, char error[COMMAND_ERROR_MAX])
{
    assert(text && ret && error);
    size_t name = strcspn(text, "=!<> "), at = name;
    *ret = (struct condition){.figure = FIGURE_COUNT};
    for (int i = 0; i < FIGURE_COUNT; i++)
        if (strlen(names[i]) == name && memcmp(names[i], text, name) == 0)
            ret->figure = i;
    if (ret->figure == FIGURE_COUNT) {
        int used = snprintf(error, COMMAND_ERROR_MAX, "'%.*s' is no figure; there are",
                            (int)(name < 40 ? name : 40), text);
        for (int i = 0; i < FIGURE_COUNT; i++)
            used += snprintf(error + used, COMMAND_ERROR_MAX - (size_t)used, " %s", names[i]);
        return false;
    }
    at += strspn(text + at, " ");
    size_t length = strspn(text + at, "=!<>");
    int op = -1;
    for (int i = 0; i <= IS_AT_LEAST; i++)
        if (strlen(operators[i]) == length && memcmp(operators[i], text + at, length) == 0)
            op = i;
    op = length == 1 && text[at] == '=' ? IS_EQUAL : op;
    if (op < 0) {
        snprintf(error, COMMAND_ERROR_MAX, "'%.60s': write %s==0, or with != < <= > >=", text,
                 names[ret->figure]);
        return false;
    }
    ret->op = (enum condition_operator)op;
    at += length;
    at += strspn(text + at, " ");
    return parse_value(text + at, ret, error);
}

bool condition_holds(const struct condition *c, const struct mesh_status *s)
{
    double value = value_of(c->figure, s), wanted = c->value;
    assert(c && s);
    if (c->share) {
        double all = all_of(c->figure, s);
        value = all > 0 ? value * 100 / all : 0;
    }
    switch (c->op) {
    case IS_EQUAL:
        return value >= wanted && value <= wanted;
    case IS_NOT:
        return value < wanted || value > wanted;
    case IS_BELOW:
        return value < wanted;
    case IS_AT_MOST:
        return value <= wanted;
    case IS_ABOVE:
        return value > wanted;
    case IS_AT_LEAST:
        break;
    }
    return value >= wanted;
}

void condition_text(const struct condition *c, const struct mesh_status *s, char *ret, size_t size)
{
    double value = value_of(c->figure, s);
    assert(c && s && ret);
    if (c->figure == MODE)
        snprintf(ret, size, "mode is %s", mode_name(s->mode));
    else if (c->figure >= FROZEN)
        snprintf(ret, size, "%s is %s", names[c->figure], value > 0 ? "yes" : "no");
    else if (c->share)
        snprintf(ret, size, "%s is %.1f%%", names[c->figure],
                 all_of(c->figure, s) > 0 ? value * 100 / all_of(c->figure, s) : 0);
    else
        snprintf(ret, size, "%s is %.*f", names[c->figure], c->figure == MEAN_MS ? 1 : 0, value);
}

/* --- check --------------------------------------------------------------------------------------
 */

/* What is judged: the higher, the worse. */
enum checked {
    CHECK_AGENTS,
    CHECK_SECTORS,
    CHECK_CONFLICTS,
    CHECK_IMPEDANCE,
    CHECK_MODE,
    CHECK_STORES
};

static const struct {
    const char *title, *unit;
    double warn, critical;
} checks[] = {{"AGENTS", "%", 2, 10},
              {"SECTORS", "", 1, 5},
              {"CONFLICTS", "", 10, 100},
              {"IMPEDANCE", "ms", 500, 1000},
              {"MODE", "", MODE_DEGRADED_LIGHT, MODE_DEGRADED_SEVERE},
              {"STORES", "", 1, 1}};

static void levels(const struct invocation *in, int what, double *warn, double *critical)
{
    const struct value *w = command_value(in, "warn"), *c = command_value(in, "critical");
    *warn = w->given ? w->share : checks[what].warn;
    *critical = c->given ? c->share : checks[what].critical;
}

bool check_valid(const struct invocation *in, char error[COMMAND_ERROR_MAX])
{
    double warn, critical;
    assert(in && error);
    levels(in, (int)command_value(in, "what")->number, &warn, &critical);
    if (warn <= critical)
        return true;
    snprintf(error, COMMAND_ERROR_MAX, "--warn: %g is above --critical: %g: nothing would warn",
             warn, critical);
    return false;
}

static double judged(int what, const struct mesh_status *s, char *text, size_t size)
{
    const struct summary *y = &s->summary;
    char a[32], b[32];
    double value = 0;
    switch ((enum checked)what) {
    case CHECK_AGENTS:
        value = y->agents ? 100.0 * (y->agents - y->active) / y->agents : 100;
        snprintf(text, size, "%s of %s active", render_count(y->active, a),
                 render_count(y->agents, b));
        break;
    case CHECK_SECTORS:
        value = s->sectors > y->sectors_healthy ? s->sectors - y->sectors_healthy : 0;
        snprintf(text, size, "%u of %u healthy", y->sectors_healthy, s->sectors);
        break;
    case CHECK_CONFLICTS:
        value = y->conflicts_hour;
        snprintf(text, size, "%s in the last hour", render_count(y->conflicts_hour, a));
        break;
    case CHECK_IMPEDANCE:
        value = (double)summary_mean_us(y) / US_PER_MS;
        snprintf(text, size, "mean of %.0f ms", value);
        break;
    case CHECK_MODE:
        value = s->mode == MODE_STARTING ? MODE_DEGRADED_SEVERE : (double)s->mode;
        snprintf(text, size, "%s%s", mode_name(s->mode), s->frozen ? ", frozen" : "");
        break;
    case CHECK_STORES:
        value = (s->store_up ? 0 : 1) + (double)y->durable_away;
        if (y->durable_away > 0)
            snprintf(text, size, "registry %s, durable store away at %s",
                     s->store_up ? "here" : "away", render_count(y->durable_away, a));
        else
            snprintf(text, size, "registry %s, durable store here", s->store_up ? "here" : "away");
        break;
    }
    return value;
}

int check_render(const struct render *r, const struct invocation *in, const struct mesh_status *s)
{
    static const char *const verdicts[] = {"OK", "WARNING", "CRITICAL"};
    int what = (int)command_value(in, "what")->number;
    double warn, critical;
    char text[96];
    assert(r && in && s);
    levels(in, what, &warn, &critical);
    double value = judged(what, s, text, sizeof text);
    int verdict = value >= critical ? 2 : value >= warn ? 1 : 0;
    if (r->json) {
        json_t *o = json_pack("{s:s,s:s,s:f,s:f,s:f,s:s}", "check", checks[what].title, "verdict",
                              verdicts[verdict], "value", value, "warn", warn, "critical", critical,
                              "text", text);
        json_dumpf(o, r->out, JSON_COMPACT | JSON_REAL_PRECISION(9));
        fputc('\n', r->out);
        json_decref(o);
    } else {
        fprintf(r->out, "MESH %s %s - %s | value=%.6g%s;%.6g;%.6g\n", checks[what].title,
                verdicts[verdict], text, value, checks[what].unit, warn, critical);
    }
    return verdict;
}
