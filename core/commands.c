/* Words against the command table.
 *
 * One pass over the words: a word that starts with `--` is a flag of the command (with its value
 * after `=` or in the next word), any other fills the next positional; a `rest` positional joins
 * what is left with single blanks. Every value is checked for its kind and range here, so that the
 * console's verbs only ever see good ones. The first error wins and names the parameter, what was
 * given and what would be right. Bounds: COMMAND_* in the header. */
#include "core/commands.h"
#include "core/num.h"
#include "core/text.h"
#include <assert.h>
#include <string.h>

static size_t parameter_count(const struct command_spec *spec)
{
    size_t count = 0;
    while (count < COMMAND_PARAMETERS_MAX && spec->parameters[count].name)
        count++;
    return count;
}

const struct command_spec *command_find(const char *name, size_t bytes)
{
    size_t count;
    const struct command_spec *table = command_table(&count);
    assert(name || bytes == 0);
    for (size_t i = 0; i < count; i++)
        if (strlen(table[i].name) == bytes && memcmp(table[i].name, name, bytes) == 0)
            return &table[i];
    return NULL;
}

const struct parameter *command_flag(const struct command_spec *spec, const char *name)
{
    assert(spec && name);
    for (size_t i = 0; i < parameter_count(spec); i++)
        if (spec->parameters[i].flag && strcmp(spec->parameters[i].name, name) == 0)
            return &spec->parameters[i];
    return NULL;
}

/* Letters put in, left out, changed, or two neighbours that changed places: one edit each. */
unsigned command_distance(const char *a, const char *b)
{
    unsigned rows[3][32];
    size_t n = strlen(a), m = strlen(b);
    if (n > 31 || m > 31)
        return 99;
    for (size_t j = 0; j <= m; j++)
        rows[0][j] = (unsigned)j;
    for (size_t i = 1; i <= n; i++) {
        const unsigned *up = rows[(i - 1) % 3], *before = rows[(i + 1) % 3];
        unsigned *row = rows[i % 3];
        row[0] = (unsigned)i;
        for (size_t j = 1; j <= m; j++) {
            unsigned least = row[j - 1] < up[j] ? row[j - 1] + 1 : up[j] + 1;
            unsigned change = up[j - 1] + (a[i - 1] != b[j - 1]);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            least = change < least ? change : least;
            row[j] = swapped && before[j - 2] + 1 < least ? before[j - 2] + 1 : least;
        }
    }
    return rows[n % 3][m];
}

static bool among(const char *list, const char *word)
{
    for (const char *at = list; at;) {
        size_t bytes = strcspn(at, "|");
        if (strlen(word) == bytes && memcmp(at, word, bytes) == 0)
            return true;
        at = at[bytes] ? at + bytes + 1 : NULL;
    }
    return false;
}

bool command_acts(const struct invocation *in)
{
    assert(in && in->spec);
    return in->spec->changes ||
           (in->spec->acting && in->values[0].given && among(in->spec->acting, in->values[0].text));
}

const char *command_suggest(const char *name)
{
    size_t count;
    const struct command_spec *table = command_table(&count);
    const char *best = NULL;
    unsigned best_distance = 3;
    assert(name);
    for (size_t i = 0; i < count; i++) {
        unsigned distance = command_distance(name, table[i].name);
        if (distance < best_distance && distance < strlen(table[i].name)) {
            best = table[i].name;
            best_distance = distance;
        }
    }
    return best;
}

/* --- Splitting ------------------------------------------------------------------------------- */

/* Copies one word from *line to *room, both advanced. False and *ret_why when it is malformed. */
static bool split_word(const char **line, char **room, const char *room_end, const char **ret_why)
{
    char quote = 0;
    for (; **line; (*line)++) {
        char c = **line;
        if (quote) {
            if (c == quote) {
                quote = 0;
                continue;
            }
            if (c == '\\' && quote == '"' && ((*line)[1] == '"' || (*line)[1] == '\\'))
                c = *++*line;
        } else if (c == '"' || c == '\'') {
            quote = c;
            continue;
        } else if (c == ' ' || c == '\t') {
            break;
        } else if (c == '\\' && (*line)[1]) {
            c = *++*line;
        }
        if (*room + 1 >= room_end) {
            *ret_why = "the line is too long";
            return false;
        }
        *(*room)++ = c;
    }
    if (quote) {
        *ret_why = quote == '"' ? "a \" is never closed" : "a ' is never closed";
        return false;
    }
    *(*room)++ = '\0';
    return true;
}

bool command_split(const char *line, char *room, size_t room_bytes, const char *words[],
                   size_t *ret_count, const char **ret_why)
{
    const char *room_end = room + room_bytes;
    size_t count = 0;
    assert(line && room && room_bytes > 0 && words && ret_count && ret_why);
    for (;;) {
        while (*line == ' ' || *line == '\t')
            line++;
        if (*line == '\0' || (*line == '#' && count == 0))
            break;
        if (count == COMMAND_WORDS_MAX) {
            *ret_why = "more than 64 words: put text in quotes";
            return false;
        }
        if (room >= room_end) {
            *ret_why = "the line is too long";
            return false;
        }
        words[count++] = room;
        if (!split_word(&line, &room, room_end, ret_why))
            return false;
    }
    *ret_count = count;
    return true;
}

/* --- Values ---------------------------------------------------------------------------------- */

static void fail(char error[COMMAND_ERROR_MAX], const struct parameter *p, const char *given,
                 const char *why)
{
    struct text t;
    text_init(&t, error, COMMAND_ERROR_MAX);
    text_add(&t, p->flag ? "--" : "");
    text_add(&t, p->name);
    text_add(&t, ": ");
    if (given) {
        text_char(&t, '\'');
        text_add_safe(&t, given, strlen(given) < 60 ? strlen(given) : 60);
        text_add(&t, "' ");
    }
    text_add(&t, why);
}

/* And what would be right: one of its choices, or what it is. */
static void fail_missing(char error[COMMAND_ERROR_MAX], const struct parameter *p, const char *why)
{
    struct text t;
    fail(error, p, NULL, why);
    size_t used = strlen(error);
    text_init(&t, error + used, COMMAND_ERROR_MAX - used);
    text_add(&t, ": ");
    text_add(&t, p->choices ? p->choices : p->value_name ? p->value_name : "");
    text_add(&t, !p->choices && p->value_name ? ", " : "");
    text_add(&t, p->choices ? "" : p->help ? p->help : "");
}

static void fail_range(char error[COMMAND_ERROR_MAX], const struct parameter *p, const char *given,
                       const char *unit)
{
    char why[96];
    struct text t;
    text_init(&t, why, sizeof why);
    text_add(&t, "is not a number from ");
    text_i64(&t, p->least);
    text_add(&t, unit);
    text_add(&t, " to ");
    text_i64(&t, p->most);
    text_add(&t, unit);
    fail(error, p, given, why);
}

/* Digits with at most six decimals, as millionths. */
static bool parse_decimal(const char *text, size_t bytes, int64_t *ret_millionths)
{
    int64_t whole = 0, scale = 1000000;
    bool digits = false, point = false;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == '.' && !point) {
            point = true;
        } else if (text[i] >= '0' && text[i] <= '9') {
            digits = true;
            if (point) {
                if (scale == 1)
                    return false;
                scale /= 10;
                whole += (text[i] - '0') * scale;
            } else {
                if (whole > 100000000000ll * 1000000)
                    return false;
                whole = whole * 10 + (int64_t)(text[i] - '0') * 1000000;
            }
        } else {
            return false;
        }
    }
    if (!digits)
        return false;
    *ret_millionths = whole;
    return true;
}

static bool parse_number(const struct parameter *p, const char *given, struct value *ret,
                         char error[COMMAND_ERROR_MAX])
{
    uint64_t number;
    if (!num_parse_u64(given, strlen(given), &number) || number > INT64_MAX ||
        (int64_t)number < p->least || (int64_t)number > p->most) {
        fail_range(error, p, given, "");
        return false;
    }
    ret->number = (int64_t)number;
    return true;
}

static bool parse_share(const struct parameter *p, const char *given, struct value *ret,
                        char error[COMMAND_ERROR_MAX])
{
    size_t bytes = strlen(given);
    int64_t millionths;
    bool percent = bytes > 0 && given[bytes - 1] == '%';
    if (parse_decimal(given, bytes - percent, &millionths)) {
        double share = (double)millionths / (percent ? 1e8 : 1e6);
        if (share >= (double)p->least && share <= (double)p->most) {
            ret->share = share;
            return true;
        }
    }
    fail_range(error, p, given, p->most == 1 ? " (or 0% to 100%)" : "");
    return false;
}

static bool parse_duration(const struct parameter *p, const char *given, struct value *ret,
                           char error[COMMAND_ERROR_MAX])
{
    static const struct {
        const char *suffix;
        int64_t us;
    } units[] = {{"us", 1}, {"ms", 1000}, {"s", 1000000}, {"m", 60000000}, {"h", 3600000000ll}};
    size_t bytes = strlen(given);
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        size_t tail = strlen(units[i].suffix);
        int64_t millionths;
        if (bytes <= tail || strcmp(given + bytes - tail, units[i].suffix) != 0 ||
            !parse_decimal(given, bytes - tail, &millionths))
            continue;
        if (millionths / 1000000 > p->most * 1000 / units[i].us + 1)
            break;
        int64_t us = (int64_t)((double)millionths * (double)units[i].us / 1e6);
        if (us < p->least * 1000 || us > p->most * 1000)
            break;
        ret->number = us;
        return true;
    }
    char why[96];
    struct text t;
    text_init(&t, why, sizeof why);
    text_add(&t, "is no duration from ");
    text_i64(&t, p->least);
    text_add(&t, "ms to ");
    text_i64(&t, p->most / 1000);
    text_add(&t, "s: write 250ms, 2s, 5m or 1h");
    fail(error, p, given, why);
    return false;
}

static bool parse_choice(const struct parameter *p, const char *given, struct value *ret,
                         char error[COMMAND_ERROR_MAX])
{
    const char *at = p->choices;
    for (int64_t index = 0;; index++) {
        const char *end = strchr(at, '|');
        size_t bytes = end ? (size_t)(end - at) : strlen(at);
        if (bytes == strlen(given) && memcmp(at, given, bytes) == 0) {
            ret->number = index;
            return true;
        }
        if (!end)
            break;
        at = end + 1;
    }
    char why[128];
    struct text t;
    text_init(&t, why, sizeof why);
    text_add(&t, "is none of ");
    text_add(&t, p->choices);
    fail(error, p, given, why);
    return false;
}

/* Makes v's text the last one in storage, so that it can grow. False when there is no room. */
static bool renew_text(struct invocation *in, struct value *v)
{
    size_t bytes = strlen(v->text) + 1;
    if (v->text + bytes == in->storage + in->used)
        return true;
    if (in->used + bytes > sizeof in->storage)
        return false;
    memcpy(in->storage + in->used, v->text, bytes);
    v->text = in->storage + in->used;
    in->used += bytes;
    return true;
}

/* Keeps a copy of the word and checks it for its kind. */
static bool take_value(struct invocation *in, size_t index, const char *given,
                       char error[COMMAND_ERROR_MAX])
{
    const struct parameter *p = &in->spec->parameters[index];
    struct value *v = &in->values[index];
    size_t bytes = strlen(given) + 1;
    if (v->given && !p->rest) {
        fail(error, p, given, "is given a second time");
        return false;
    }
    /* The words of a rest parameter are joined with blanks; its copy is kept the newest. */
    if (v->given && !renew_text(in, v)) {
        fail(error, p, NULL, "is too long");
        return false;
    }
    size_t at = v->given ? in->used - 1 : in->used;
    if (at + bytes + 1 > sizeof in->storage) {
        fail(error, p, NULL, "is too long");
        return false;
    }
    if (v->given)
        in->storage[at++] = ' ';
    else
        v->text = &in->storage[at];
    memcpy(&in->storage[at], given, bytes);
    in->used = at + bytes;
    v->given = true;
    switch (p->kind) {
    case PARAMETER_NUMBER:
        return parse_number(p, given, v, error);
    case PARAMETER_SHARE:
        return parse_share(p, given, v, error);
    case PARAMETER_DURATION:
        return parse_duration(p, given, v, error);
    case PARAMETER_CHOICE:
        return parse_choice(p, given, v, error);
    case PARAMETER_SWITCH:
        v->number = 1;
        return true;
    case PARAMETER_TEXT:
    case PARAMETER_PLACES:
    case PARAMETER_UNIT:
        if (given[0] == '\0' && !p->rest) {
            fail(error, p, NULL, "is empty");
            return false;
        }
        return true;
    }
    return false;
}

/* The nearest flag of the command within two edits, or one that any command takes; or NULL. */
static const char *suggest_flag(const struct command_spec *spec, const char *name)
{
    static const char *const any[] = {"json", "output"};
    const char *best = NULL;
    unsigned best_distance = 3;
    for (size_t i = 0; i < parameter_count(spec) + sizeof any / sizeof *any; i++) {
        size_t own = parameter_count(spec);
        const char *flag = i < own ? spec->parameters[i].name : any[i - own];
        unsigned distance = command_distance(name, flag);
        if ((i >= own || spec->parameters[i].flag) && distance < best_distance &&
            distance < strlen(flag)) {
            best = flag;
            best_distance = distance;
        }
    }
    return best;
}

static void fail_unknown_flag(const struct command_spec *spec, const char *name, size_t bytes,
                              char error[COMMAND_ERROR_MAX])
{
    struct text t;
    text_init(&t, error, COMMAND_ERROR_MAX);
    text_add(&t, spec->name);
    text_add(&t, ": unknown flag '--");
    text_add_safe(&t, name, bytes < 40 ? bytes : 40);
    char word[32] = "";
    memcpy(word, name, bytes < sizeof word ? bytes : 0);
    const char *near = word[0] ? suggest_flag(spec, word) : NULL;
    if (near) {
        text_add(&t, "': did you mean '--");
        text_add(&t, near);
        text_add(&t, "'?");
        return;
    }
    size_t before = t.used;
    text_add(&t, "'; it has");
    bool any = false;
    for (size_t i = 0; i < parameter_count(spec); i++)
        if (spec->parameters[i].flag) {
            text_add(&t, " --");
            text_add(&t, spec->parameters[i].name);
            any = true;
        }
    text_add(&t, any ? "" : " none");
    if (!t.cut)
        return;
    text_init(&t, error + before, COMMAND_ERROR_MAX - before);
    text_add(&t, "'; it has many: 'help ");
    text_add(&t, spec->name);
    text_add(&t, "' lists them");
}

/* words[*at] starts with `--`. Advances *at past the flag and its value. */
static bool take_flag(struct invocation *in, const char *const words[], size_t count, size_t *at,
                      char error[COMMAND_ERROR_MAX])
{
    const char *name = words[*at] + 2;
    const char *equals = strchr(name, '=');
    size_t bytes = equals ? (size_t)(equals - name) : strlen(name);
    for (size_t i = 0; i < parameter_count(in->spec); i++) {
        const struct parameter *p = &in->spec->parameters[i];
        if (!p->flag || strlen(p->name) != bytes || memcmp(p->name, name, bytes) != 0)
            continue;
        (*at)++;
        if (p->kind == PARAMETER_SWITCH) {
            if (equals) {
                fail(error, p, equals + 1, "is not wanted: this flag has no value");
                return false;
            }
            return take_value(in, i, "yes", error);
        }
        if (equals)
            return take_value(in, i, equals + 1, error);
        if (*at == count) {
            fail_missing(error, p, "needs a value");
            return false;
        }
        return take_value(in, i, words[(*at)++], error);
    }
    fail_unknown_flag(in->spec, name, bytes, error);
    return false;
}

static bool take_positional(struct invocation *in, const char *word, char error[COMMAND_ERROR_MAX])
{
    for (size_t i = 0; i < parameter_count(in->spec); i++) {
        const struct parameter *p = &in->spec->parameters[i];
        if (!p->flag && (!in->values[i].given || p->rest))
            return take_value(in, i, word, error);
    }
    struct text t;
    text_init(&t, error, COMMAND_ERROR_MAX);
    text_add(&t, in->spec->name);
    text_add(&t, ": '");
    text_add_safe(&t, word, strlen(word) < 60 ? strlen(word) : 60);
    text_add(&t, "' is one argument too many");
    return false;
}

static bool find_verb(const char *name, const struct command_spec **ret,
                      char error[COMMAND_ERROR_MAX])
{
    *ret = command_find(name, strlen(name));
    if (*ret)
        return true;
    struct text t;
    text_init(&t, error, COMMAND_ERROR_MAX);
    text_add(&t, "unknown command '");
    text_add_safe(&t, name, strlen(name) < 60 ? strlen(name) : 60);
    const char *near = command_suggest(name);
    text_add(&t, near ? "': did you mean '" : "': help lists them");
    if (near) {
        text_add(&t, near);
        text_add(&t, "'?");
    }
    return false;
}

bool command_parse(const char *const words[], size_t count, struct invocation *ret,
                   char error[COMMAND_ERROR_MAX])
{
    bool flags = true;
    assert(words && ret && error);
    assert(count > 0);
    memset(ret->values, 0, sizeof ret->values);
    ret->used = 0;
    if (!find_verb(words[0], &ret->spec, error))
        return false;
    const struct parameter *first = &ret->spec->parameters[0];
    for (size_t at = 1; at < count;) {
        /* `watch` hands its words on: flags after the first word are the watched command's. */
        bool handed_on = ret->spec->verb == CMD_WATCH && first->rest && ret->values[0].given;
        if (flags && !handed_on && strcmp(words[at], "--") == 0) {
            flags = false;
            at++;
        } else if (flags && !handed_on && strncmp(words[at], "--", 2) == 0) {
            if (!take_flag(ret, words, count, &at, error))
                return false;
        } else if (!take_positional(ret, words[at++], error)) {
            return false;
        }
    }
    for (size_t i = 0; i < parameter_count(ret->spec); i++)
        if (ret->spec->parameters[i].required && !ret->values[i].given) {
            fail_missing(error, &ret->spec->parameters[i], "is missing");
            return false;
        }
    return command_rule_broken(ret, error) == NULL;
}

const struct value *command_value(const struct invocation *in, const char *name)
{
    assert(in && in->spec && name);
    size_t count = parameter_count(in->spec), i = 0;
    while (i < count && strcmp(in->spec->parameters[i].name, name) != 0)
        i++;
    assert(i < count && "the command has no parameter of this name");
    return &in->values[i];
}

/* --- Help and completion --------------------------------------------------------------------- */

size_t command_usage(const struct command_spec *spec, char *ret, size_t size)
{
    struct text t;
    assert(spec && ret && size > 0);
    text_init(&t, ret, size);
    text_add(&t, spec->name);
    for (size_t i = 0; i < parameter_count(spec); i++) {
        const struct parameter *p = &spec->parameters[i];
        text_add(&t, p->required ? " " : " [");
        if (p->flag) {
            text_add(&t, "--");
            text_add(&t, p->name);
            if (p->value_name) {
                text_char(&t, ' ');
                text_add(&t, p->value_name);
            }
        } else {
            for (const char *c = p->name; *c; c++)
                text_char(&t, (char)(*c >= 'a' && *c <= 'z' ? *c - 32 : *c));
            text_add(&t, p->rest ? ".." : "");
        }
        text_add(&t, p->required ? "" : "]");
    }
    return t.used;
}

static size_t complete_verbs(const char *start, const char *ret[], size_t most)
{
    size_t count, found = 0;
    const struct command_spec *table = command_table(&count);
    for (size_t i = 0; i < count && found < most; i++)
        if (strncmp(table[i].name, start, strlen(start)) == 0)
            ret[found++] = table[i].name;
    return found;
}

size_t command_complete(const char *line, const char *ret[], size_t most, char *flag_room,
                        size_t flag_room_bytes)
{
    assert(line && ret && flag_room);
    const char *last = strrchr(line, ' ');
    const char *first = line + strspn(line, " ");
    if (!last || last < first)
        return complete_verbs(first, ret, most);
    last++;
    const struct command_spec *spec = command_find(first, strcspn(first, " "));
    if (spec && spec->verb == CMD_HELP)
        return complete_verbs(last, ret, most);
    if (spec && spec->verb == CMD_WATCH && last[0] != '-')
        return complete_verbs(last, ret, most);
    size_t found = 0, used = 0;
    for (size_t i = 0; spec && i < parameter_count(spec) && found < most; i++) {
        const struct parameter *p = &spec->parameters[i];
        size_t bytes = strlen(p->name) + 3;
        if (!p->flag || used + bytes > flag_room_bytes)
            continue;
        char *flag = flag_room + used;
        memcpy(flag, "--", 2);
        memcpy(flag + 2, p->name, bytes - 2);
        if (strncmp(flag, last, strlen(last)) == 0 && last[0] == '-') {
            ret[found++] = flag;
            used += bytes;
        }
    }
    return found;
}
