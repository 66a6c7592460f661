/* The file of actions. As with the configuration, one table of keys drives the parser, the checks
 * and the messages; a key that its handler does not use is an error, since it would be a wish that
 * nobody hears. Paths are looked up here, so that a program that is not there is found at start. */
#include "core/commands.h"
#include "core/num.h"
#include "tiers/work/action.h"
#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <math.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AT(field)    offsetof(struct action, field)
#define FOR(handler) (1u << HANDLER_##handler)
#define ALL          0x1fu

enum value_kind {
    VALUE_TEXT,     /* least..most bytes; NUL-terminated in the struct */
    VALUE_NUMBER,   /* uint32_t */
    VALUE_MIB,      /* MiB, kept as uint64_t bytes */
    VALUE_KIB,      /* KiB, kept as uint32_t bytes */
    VALUE_DURATION, /* 250ms, 2s, 5m; least..most in ms; int64_t us */
    VALUE_SHARE,    /* double, in thousandths: least..most */
    VALUE_CONTENT,
    VALUE_CLASSES,
    VALUE_HEADER /* may be given again */
};

struct action_key {
    const char *name;
    enum value_kind kind;
    uint32_t handlers; /* that know it */
    int64_t least, most;
    size_t offset;
};

static const struct action_key keys[] = {
    {"summary", VALUE_TEXT, ALL, 1, ACTION_TEXT_MAX - 1, AT(summary)},
    {"input", VALUE_CONTENT, ALL, 0, 0, AT(input)},
    {"output", VALUE_CONTENT, ALL, 0, 0, AT(output)},
    {"timeout", VALUE_DURATION, ALL, 10, 86400000, AT(timeout_us)},
    {"capability", VALUE_TEXT, ALL, 1, CAPABILITY_NAME_MAX - 1, AT(capability)},
    {"classes", VALUE_CLASSES, ALL, 0, 0, AT(class_mask)},
    {"in_flight", VALUE_NUMBER, ALL, 1, 4096, AT(in_flight_max)},
    {"output_max", VALUE_KIB, ALL, 1, ACTION_OUTPUT_MAX >> 10, AT(output_bytes_max)},
    {"program", VALUE_TEXT, FOR(EXEC), 1, ACTION_TEXT_MAX - 1, AT(program)},
    {"directory", VALUE_TEXT, FOR(EXEC), 1, ACTION_TEXT_MAX - 1, AT(directory)},
    {"user", VALUE_TEXT, FOR(EXEC), 1, 31, AT(user)},
    {"memory", VALUE_MIB, FOR(EXEC), 1, 1 << 20, AT(memory_bytes)},
    {"file_size", VALUE_MIB, FOR(EXEC), 0, 1 << 20, AT(file_bytes)},
    {"cpu_seconds", VALUE_NUMBER, FOR(EXEC), 1, 86400, AT(cpu_s)},
    {"open_files", VALUE_NUMBER, FOR(EXEC), 8, 65536, AT(files)},
    {"processes", VALUE_NUMBER, FOR(EXEC), 1, 65536, AT(processes)},
    {"conflict_exit", VALUE_NUMBER, FOR(EXEC), 1, 255, AT(conflict_exit)},
    {"url", VALUE_TEXT, FOR(HTTP) | FOR(LLM), 8, ACTION_TEXT_MAX - 1, AT(url)},
    {"method", VALUE_TEXT, FOR(HTTP), 3, 7, AT(method)},
    {"header", VALUE_HEADER, FOR(HTTP) | FOR(LLM), 3, ACTION_TEXT_MAX - 1, AT(headers)},
    {"key_file", VALUE_TEXT, FOR(HTTP) | FOR(LLM), 1, ACTION_TEXT_MAX - 1, AT(key_file)},
    {"connect", VALUE_DURATION, FOR(HTTP) | FOR(LLM), 10, 600000, AT(connect_us)},
    {"idle", VALUE_DURATION, FOR(HTTP) | FOR(LLM), 100, 86400000, AT(idle_us)},
    {"retries", VALUE_NUMBER, FOR(HTTP) | FOR(LLM), 0, 16, AT(retries)},
    {"cpu_limit_ms", VALUE_NUMBER, FOR(HTTP), 1, 600000, AT(cpu_limit_ms)},
    {"model", VALUE_TEXT, FOR(LLM), 1, ACTION_TEXT_MAX - 1, AT(model)},
    {"system", VALUE_TEXT, FOR(LLM), 1, ACTION_TEXT_MAX - 1, AT(system)},
    {"tokens_max", VALUE_NUMBER, FOR(LLM), 1, 1 << 20, AT(tokens_max)},
    {"temperature", VALUE_SHARE, FOR(LLM), 0, 2000, AT(temperature)},
    {"assignee", VALUE_TEXT, FOR(HUMAN), 1, 31, AT(assignee)},
    {"escalate_to", VALUE_TEXT, FOR(HUMAN), 1, 31, AT(escalate_to)},
};
#define KEYS            (sizeof(keys) / sizeof(keys[0]))
#define KEYS_WITH_WORDS 3u

struct loader {
    struct action_table *table;
    struct action_problem *problem;
    const struct topology *topology;
    FILE *stream;
    uint32_t line, head_line;
    bool failed;
    bool here;      /* its programs run on this machine */
    bool entered;   /* a section's head was read, and nothing of it yet */
    bool continued; /* the line began with a blank: more of the value before */
    struct action *action;
    bool has_handler;
    uint32_t set[KEYS + 3];          /* line of each key of the section */
    uint32_t words[KEYS_WITH_WORDS]; /* and of those that take_word() takes */
};

static bool fail_at(struct loader *l, uint32_t line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static bool fail_at(struct loader *l, uint32_t line, const char *format, ...)
{
    char what[ACTION_PROBLEM_SIZE];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(what, sizeof(what), format, list);
    va_end(list);
    (void)snprintf(l->problem->text, sizeof(l->problem->text), "%.120s:%u: %.260s", l->table->file,
                   line, what);
    l->failed = true;
    return false;
}

static bool fail_empty(struct loader *l)
{
    return fail_at(l, l->head_line, "a section without keys: at least its handler is needed");
}

static bool fail_twice(struct loader *l, const char *key, uint32_t line)
{
    return fail_at(l, l->line, "key \"%s\" was given already, in line %u", key, line);
}

static char *read_line(char *room, int size, void *stream)
{
    struct loader *l = stream;
    if (l->failed || fgets(room, size, l->stream) == NULL) {
        return NULL;
    }
    l->line++;
    if (l->line == 1 && strncmp(room, "\xef\xbb\xbf", 3) == 0) {
        memmove(room, room + 3, strlen(room + 3) + 1); /* a byte order mark is no text */
    }
    size_t bytes = strlen(room);
    if (bytes + 1 == (size_t)size && room[bytes - 1] != '\n') {
        (void)fail_at(l, l->line, "longer than %d bytes", size - 2);
        return NULL;
    }
    if (room[strspn(room, " \t")] == '[') {
        if (l->entered) {
            (void)fail_empty(l);
            return NULL;
        }
        l->entered = true;
        l->head_line = l->line;
    }
    l->continued = room[0] == ' ' || room[0] == '\t';
    return room;
}

/* ---- values ---- */

static bool parse_whole(const char *text, int64_t least, int64_t most, int64_t *ret)
{
    uint64_t v = 0;
    if (!num_parse_u64(text, strlen(text), &v) || v > INT64_MAX || (int64_t)v < least ||
        (int64_t)v > most) {
        return false;
    }
    *ret = (int64_t)v;
    return true;
}

static bool parse_duration(const char *text, int64_t least_ms, int64_t most_ms, int64_t *ret_us)
{
    static const struct {
        const char *unit;
        int64_t ms;
    } units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}};
    size_t digits = strspn(text, "0123456789");
    uint64_t v = 0;
    if (digits == 0 || digits > 9 || !num_parse_u64(text, digits, &v)) {
        return false;
    }
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        int64_t ms = (int64_t)v * units[i].ms;
        if (strcmp(text + digits, units[i].unit) == 0 && ms >= least_ms && ms <= most_ms) {
            *ret_us = ms * US_PER_MS;
            return true;
        }
    }
    return false;
}

static bool parse_field(const char *word, size_t bytes, struct content_field *ret)
{
    static const char *const types[] = {"string", "number", "boolean", "object", "array", "any"};
    const char *colon = memchr(word, ':', bytes);
    size_t name = colon != NULL ? (size_t)(colon - word) : 0;
    if (name == 0 || name >= sizeof(ret->name)) {
        return false;
    }
    memcpy(ret->name, word, name);
    ret->name[name] = '\0';
    size_t type = bytes - name - 1;
    ret->optional = type > 0 && colon[type] == '?';
    type -= ret->optional ? 1 : 0;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (strlen(types[i]) == type && memcmp(types[i], colon + 1, type) == 0) {
            ret->type = (enum field_type)i;
            return true;
        }
    }
    return false;
}

/* "json text:string words:number?": the kind, then fields of an object. */
static bool parse_content(const char *text, struct content *ret)
{
    static const char *const kinds[] = {"any", "none", "text", "json"};
    size_t bytes = strcspn(text, " ");
    bool found = false;
    *ret = (struct content){0};
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (strlen(kinds[i]) == bytes && memcmp(kinds[i], text, bytes) == 0) {
            ret->kind = (enum content_kind)i;
            found = true;
        }
    }
    for (const char *at = text + bytes; found && *at != '\0';) {
        at += strspn(at, " ");
        bytes = strcspn(at, " ");
        if (bytes == 0) {
            break;
        }
        if (ret->kind != CONTENT_JSON || ret->field_count == ACTION_FIELDS_MAX ||
            !parse_field(at, bytes, &ret->fields[ret->field_count])) {
            return false;
        }
        for (uint32_t i = 0; i < ret->field_count; i++) {
            if (strcmp(ret->fields[i].name, ret->fields[ret->field_count].name) == 0) {
                return false; /* two types for one name: which one? */
            }
        }
        ret->field_count++;
        at += bytes;
    }
    return found;
}

static bool parse_classes(const char *text, uint32_t *ret)
{
    *ret = 0;
    for (const char *at = text;; at++) {
        size_t bytes = strcspn(at, ",");
        enum impedance_class c = class_parse(at, bytes);
        if (c == CLASS_NONE) {
            return false;
        }
        *ret |= 1u << c;
        at += bytes;
        if (*at == '\0') {
            return true;
        }
    }
}

static bool parse_header(const char *text, struct action *a)
{
    const char *colon = strchr(text, ':');
    if (colon == NULL || colon == text || strlen(text) >= ACTION_TEXT_MAX) {
        return false;
    }
    for (size_t i = 0; i < ACTION_HEADERS_MAX; i++) {
        if (a->headers[i][0] == '\0') {
            (void)snprintf(a->headers[i], sizeof(a->headers[i]), "%s", text);
            return true;
        }
    }
    return false;
}

static void right_text(const struct action_key *k, char *ret, size_t size)
{
    switch (k->kind) {
    case VALUE_TEXT:
        (void)snprintf(ret, size, "text of %d to %d bytes", (int)k->least, (int)k->most);
        break;
    case VALUE_NUMBER:
        (void)snprintf(ret, size, "a whole number from %d to %d", (int)k->least, (int)k->most);
        break;
    case VALUE_MIB:
    case VALUE_KIB:
        (void)snprintf(ret, size, "a whole number of %s from %d to %d",
                       k->kind == VALUE_MIB ? "MiB" : "KiB", (int)k->least, (int)k->most);
        break;
    case VALUE_DURATION:
        (void)snprintf(ret, size, "a time from %dms to %ds, as 250ms, 20s, 5m", (int)k->least,
                       (int)(k->most / 1000));
        break;
    case VALUE_SHARE:
        (void)snprintf(ret, size, "a number from %.1f to %.1f", (double)k->least / 1000.0,
                       (double)k->most / 1000.0);
        break;
    case VALUE_CONTENT:
        (void)snprintf(ret, size,
                       "any, none, text, or json with up to %u fields, each "
                       "name once, as json text:string "
                       "words:number?",
                       ACTION_FIELDS_MAX);
        break;
    case VALUE_CLASSES:
        (void)snprintf(ret, size, "classes A to F joined by commas, as C,D");
        break;
    case VALUE_HEADER:
        (void)snprintf(ret, size, "\"Name: value\", %u of them at most", ACTION_HEADERS_MAX);
        break;
    }
}

static bool store(const struct action_key *k, const char *value, struct action *a)
{
    uint8_t *at = (uint8_t *)a + k->offset;
    int64_t n = 0;
    char *end = NULL;
    double share;
    switch (k->kind) {
    case VALUE_TEXT:
        if (strlen(value) < (size_t)k->least || strlen(value) > (size_t)k->most) {
            return false;
        }
        memcpy(at, value, strlen(value) + 1);
        return true;
    case VALUE_NUMBER:
    case VALUE_KIB:
    case VALUE_MIB:
        if (!parse_whole(value, k->least, k->most, &n)) {
            return false;
        }
        if (k->kind == VALUE_MIB) {
            *(uint64_t *)(void *)at = (uint64_t)n << 20;
        } else {
            *(uint32_t *)(void *)at = (uint32_t)(k->kind == VALUE_KIB ? n << 10 : n);
        }
        return true;
    case VALUE_DURATION:
        return parse_duration(value, k->least, k->most, (int64_t *)(void *)at);
    case VALUE_SHARE:
        share = strtod(value, &end);
        if (end == value || *end != '\0' || !isfinite(share) || share * 1000.0 < (double)k->least ||
            share * 1000.0 > (double)k->most) {
            return false;
        }
        *(double *)(void *)at = share;
        return true;
    case VALUE_CONTENT:
        return parse_content(value, (struct content *)(void *)at);
    case VALUE_CLASSES:
        return parse_classes(value, (uint32_t *)(void *)at);
    case VALUE_HEADER:
        return parse_header(value, a);
    }
    return false;
}

/* ---- sections ---- */

/* The line of the section's key, or of its head when it was not given. */
static uint32_t line_of(const struct loader *l, const char *key)
{
    for (size_t i = 0; i < KEYS; i++) {
        if (strcmp(keys[i].name, key) == 0 && l->set[i] != 0) {
            return l->set[i];
        }
    }
    return l->action->line;
}

/* [action NAME]: KEY = VALUE: WHY, where the key stands. */
static bool fail_key(struct loader *l, const char *key, const char *value, const char *why)
{
    return fail_at(l, line_of(l, key), "[action %s]: %s = %.120s: %s", l->action->name, key, value,
                   why);
}

/* A file, or a folder, that this process may use so. */
static bool path_there(struct loader *l, const char *key, const char *path, int mode, bool folder)
{
    struct stat is;
    if (!l->here || path[0] == '\0') {
        return true;
    }
    if (stat(path, &is) != 0) {
        return fail_key(l, key, path, strerror(errno));
    }
    if (folder != S_ISDIR(is.st_mode)) {
        return fail_key(l, key, path, folder ? "is not a folder" : "is a folder: a file is meant");
    }
    return access(path, mode) == 0 ||
           fail_key(l, key, path,
                    mode == R_OK || folder ? "may not be read by this user"
                                           : "may not be executed by this user (chmod +x)");
}

static bool finish_exec(struct loader *l, struct action *a)
{
    char room[ACTION_TEXT_MAX + 2 * ACTION_WORDS_MAX];
    const char *words[COMMAND_WORDS_MAX], *why = NULL;
    size_t count = 0;
    if (!command_split(a->program, room, sizeof(room), words, &count, &why) || count == 0 ||
        count > ACTION_WORDS_MAX) {
        return fail_key(l, "program", a->program,
                        why != NULL  ? why
                        : count == 0 ? "is missing: the path of a program, then its arguments"
                                     : "more than 32 words");
    }
    if (words[0][0] != '/') {
        return fail_key(l, "program", words[0], "must start with '/'");
    }
    if (l->here && a->user[0] != '\0' && getpwnam(a->user) == NULL) {
        return fail_key(l, "user", a->user, "no such user on this machine");
    }
    if (l->here && a->user[0] != '\0' && geteuid() != 0) {
        return fail_key(l, "user", a->user, "only root may run as another user");
    }
    return path_there(l, "program", words[0], X_OK, false) &&
           path_there(l, "directory", a->directory, X_OK, true);
}

/* NULL: an absolute HTTP URL with a host. */
static const char *url_fault(const char *url)
{
    size_t scheme = strncmp(url, "http://", 7) == 0 ? 7 : strncmp(url, "https://", 8) == 0 ? 8 : 0;
    if (url[0] == '\0') {
        return "is missing: http:// or https://";
    }
    if (scheme == 0) {
        return "must start with http:// or https://";
    }
    for (const char *at = url; *at != '\0'; at++) {
        if (*at <= ' ' || *at == 0x7f) {
            return "has a blank in it: write %20";
        }
    }
    const char *host = url + scheme, *end = host + strcspn(host, "/?#");
    const char *login = memchr(host, '@', (size_t)(end - host));
    host = login != NULL ? login + 1 : host;
    bool literal = host[0] == '[';
    const char *name_end =
        literal ? memchr(host, ']', (size_t)(end - host)) : host + strcspn(host, ":/?#");
    if (name_end == NULL || name_end == host) {
        return "has no host, as https://edge.example/run";
    }
    const char *port = name_end + (literal ? 1 : 0);
    int64_t number = 0;
    char digits[8] = "";
    if (*port != ':') {
        return port == end ? NULL : "has a port that is none";
    }
    size_t bytes = (size_t)(end - port - 1);
    memcpy(digits, port + 1, bytes < sizeof(digits) - 1 ? bytes : sizeof(digits) - 1);
    return parse_whole(digits, 1, 65535, &number) ? NULL : "has a port that is none: 1 to 65535";
}

static bool finish_http(struct loader *l, struct action *a)
{
    const char *why = url_fault(a->url);
    if (why != NULL) {
        return fail_key(l, "url", a->url, why);
    }
    if (a->handler == HANDLER_LLM && a->model[0] == '\0') {
        return fail_at(l, a->line, "[action %s]: model is missing: the name that the server knows",
                       a->name);
    }
    if (a->method[0] != '\0' && strcmp(a->method, "POST") != 0 && strcmp(a->method, "GET") != 0 &&
        strcmp(a->method, "PUT") != 0) {
        return fail_key(l, "method", a->method, "must be POST, PUT or GET");
    }
    if (a->handler == HANDLER_HTTP && line_of(l, "idle") == a->line) {
        a->idle_us = 0; /* an endpoint may think for as long as its timeout is */
    }
    return path_there(l, "key_file", a->key_file, R_OK, false);
}

/* People are CLASS_F: `review list` asks no other agents, and what waited there nobody would see.
 */
static bool finish_human(struct loader *l, struct action *a)
{
    const uint32_t people = 1u << CLASS_F_HUMAN;
    if (l->set[KEYS] == 0) {
        a->timeout_us = 3600 * US_PER_S;
    }
    if ((a->class_mask & ~people) != 0) {
        return fail_at(l, line_of(l, "classes"),
                       "[action %s]: classes: people are CLASS_F: leave it out, or say F", a->name);
    }
    a->class_mask = people;
    return true;
}

/* What a section that has ended needs, and what its handler takes when nothing was said. */
static bool finish_action(struct loader *l)
{
    struct action *a = l->action;
    if (a == NULL || l->failed) {
        return !l->failed;
    }
    l->action->in_flight_max = a->in_flight_max > 0          ? a->in_flight_max
                               : a->handler == HANDLER_LLM   ? 8
                               : a->handler == HANDLER_HUMAN ? 4096
                                                             : 512;
    if (!l->has_handler) {
        return fail_at(l, a->line,
                       "[action %s]: handler is missing: exec, http, llm, human or "
                       "builtin",
                       a->name);
    }
    if (a->handler == HANDLER_BUILTIN && action_find(NULL, a->name) == NULL) {
        const char *near = action_suggest(NULL, a->name);
        return fail_at(l, a->line, "[action %s]: handler = builtin: there is none of that name%s%s",
                       a->name, near != NULL ? "; the nearest is " : "", near != NULL ? near : "");
    }
    if (a->handler == HANDLER_HUMAN && !finish_human(l, a)) {
        return false;
    }
    if (a->capability[0] != '\0' &&
        topology_capability(l->topology, a->capability, strlen(a->capability)) < 0) {
        return fail_key(l, "capability", a->capability,
                        "not one of this mesh (\"capabilities\" in its configuration adds names)");
    }
    if (a->handler == HANDLER_EXEC) {
        return finish_exec(l, a);
    }
    return a->handler == HANDLER_HTTP || a->handler == HANDLER_LLM ? finish_http(l, a) : true;
}

static bool section_enter(struct loader *l, const char *section)
{
    if (!l->entered) {
        return true;
    }
    l->entered = false;
    if (!finish_action(l)) {
        return false;
    }
    const char *name = section + 7;
    if (strncmp(section, "action ", 7) != 0) {
        return fail_at(l, l->head_line, "section [%.60s] is not [action NAME]", section);
    }
    if (name[0] == '\0' || strlen(name) >= ACTION_MAX ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != strlen(name)) {
        return fail_at(l, l->head_line,
                       "[action %.60s]: a name has 1 to %u of a-z, 0-9, '_', '-', '.'", name,
                       ACTION_MAX - 1);
    }
    for (uint32_t i = 0; i < l->table->count; i++) {
        if (strcmp(l->table->actions[i].name, name) == 0) {
            return fail_at(l, l->head_line, "[action %s] is there already, in line %u", name,
                           l->table->actions[i].line);
        }
    }
    if (l->table->count == ACTIONS_MAX) {
        return fail_at(l, l->head_line, "more than %u actions", ACTIONS_MAX);
    }
    l->action = &l->table->actions[l->table->count++];
    *l->action = (struct action){.verb = VERB_ACT,
                                 .acts = true,
                                 .timeout_us = 30 * US_PER_S,
                                 .output_bytes_max = 1u << 20,
                                 .line = l->head_line,
                                 .files = 256,
                                 .conflict_exit = 77,
                                 .connect_us = 5 * US_PER_S,
                                 .idle_us = 60 * US_PER_S,
                                 .retries = 3,
                                 .method = "POST",
                                 .temperature = -1,
                                 .assignee = "anyone",
                                 .escalate_to = "oversight"};
    memcpy(l->action->name, name, strlen(name) + 1);
    memset(l->set, 0, sizeof(l->set));
    memset(l->words, 0, sizeof(l->words));
    l->has_handler = false;
    return true;
}

/* handler, verb and effect are words of a list. True: it was one of them. */
static bool take_word(struct loader *l, const char *key, const char *value, bool *ret_good)
{
    static const char *const names[KEYS_WITH_WORDS] = {"handler", "verb", "effect"};
    struct action *a = l->action;
    *ret_good = true;
    for (unsigned i = 0; i < KEYS_WITH_WORDS; i++) {
        if (strcmp(key, names[i]) == 0) {
            if (l->words[i] != 0) {
                *ret_good = fail_twice(l, key, l->words[i]);
                return true;
            }
            l->words[i] = l->line;
        }
    }
    if (strcmp(key, "handler") == 0) {
        for (enum action_handler h = HANDLER_BUILTIN; h < HANDLER_COUNT; h++) {
            if (strcmp(value, action_handler_name(h)) == 0) {
                a->handler = h;
                l->has_handler = true;
                return true;
            }
        }
        *ret_good = fail_at(l, l->line,
                            "handler = %.60s: must be exec, http, llm, human or "
                            "builtin",
                            value);
        return true;
    }
    if (strcmp(key, "verb") == 0) {
        a->verb = verb_parse(value, strlen(value));
        *ret_good = a->verb != VERB_NONE ||
                    fail_at(l, l->line,
                            "verb = %.60s: must be observe, orient, decide, act, record "
                            "or sync",
                            value);
        return true;
    }
    if (strcmp(key, "effect") == 0) {
        a->acts = strcmp(value, "acts") == 0;
        *ret_good = a->acts || strcmp(value, "reads") == 0 ||
                    fail_at(l, l->line, "effect = %.60s: must be reads or acts", value);
        return true;
    }
    return false;
}

static bool key_unknown(struct loader *l, const char *name)
{
    const char *near = "handler";
    unsigned least = command_distance(name, near);
    for (size_t i = 0; i < KEYS; i++) {
        unsigned d = command_distance(name, keys[i].name);
        if (d < least) {
            least = d;
            near = keys[i].name;
        }
    }
    return fail_at(l, l->line, "unknown key \"%.60s\"; the nearest is \"%s\"", name, near);
}

/* A long text goes on in lines that begin with a blank. */
static bool add_text(struct loader *l, const struct action_key *k, const char *value)
{
    char *at = (char *)l->action + k->offset;
    size_t used = strlen(at);
    if (used + 1 + strlen(value) > (size_t)k->most) {
        return fail_at(l, l->line, "%s: longer than %d bytes in all", k->name, (int)k->most);
    }
    at[used] = ' ';
    memcpy(at + used + 1, value, strlen(value) + 1);
    return true;
}

static int on_pair(void *user, const char *section, const char *name, const char *value)
{
    struct loader *l = user;
    bool good = false;
    size_t i = 0;
    if (l->failed || !section_enter(l, section) || l->action == NULL) {
        return 0;
    }
    if (take_word(l, name, value, &good)) {
        return good ? 1 : 0;
    }
    while (i < KEYS && strcmp(keys[i].name, name) != 0) {
        i++;
    }
    if (i == KEYS) {
        return key_unknown(l, name);
    }
    const struct action_key *k = &keys[i];
    if (!l->has_handler) {
        return fail_at(l, l->line, "\"handler\" must come before \"%s\"", name);
    }
    if ((k->handlers & 1u << l->action->handler) == 0) {
        return fail_at(l, l->line, "key \"%s\" means nothing to handler = %s", name,
                       action_handler_name(l->action->handler));
    }
    if (l->set[i] != 0 && l->continued && k->kind == VALUE_TEXT) {
        return add_text(l, k, value) ? 1 : 0;
    }
    if (l->set[i] != 0 && k->kind != VALUE_HEADER) {
        return fail_twice(l, name, l->set[i]);
    }
    l->set[i] = l->line;
    l->set[KEYS] += k->offset == AT(timeout_us) ? 1 : 0;
    if (!store(k, value, l->action)) {
        char right[200];
        right_text(k, right, sizeof(right));
        return fail_at(l, l->line, "%s = %.80s: must be %s", name, value, right);
    }
    return 1;
}

bool action_file_load(const char *file, const struct topology *topology, bool here,
                      struct action_table *ret, struct action_problem *problem)
{
    assert(file != NULL && topology != NULL);
    assert(ret != NULL && problem != NULL);
    struct loader l = {.table = ret, .problem = problem, .topology = topology, .here = here};
    *ret = (struct action_table){.actions = calloc(ACTIONS_MAX, sizeof(*ret->actions))};
    (void)snprintf(ret->file, sizeof(ret->file), "%s", file);
    if (ret->actions == NULL) {
        (void)snprintf(problem->text, sizeof(problem->text), "no memory for actions");
        return false;
    }
    l.stream = fopen(file, "re");
    if (l.stream == NULL) {
        (void)snprintf(problem->text, sizeof(problem->text), "%.200s: cannot be read: %s", file,
                       strerror(errno));
        return false;
    }
    int verdict = ini_parse_stream(read_line, &l, on_pair, &l);
    bool broken = ferror(l.stream) != 0; /* a folder, for one */
    (void)fclose(l.stream);
    if (!l.failed && broken) {
        return fail_at(&l, l.line, "cannot be read to its end");
    }
    if (!l.failed && verdict != 0) {
        return fail_at(&l, verdict > 0 ? (uint32_t)verdict : l.line,
                       "not a section, a \"key = value\" or a comment");
    }
    return l.failed ? false : l.entered ? fail_empty(&l) : finish_action(&l);
}

void action_file_path(const char *config_file, const char *actions, char *ret, size_t size)
{
    const char *slash = strrchr(config_file, '/');
    int folder = actions[0] == '/' || slash == NULL ? 0 : (int)(slash - config_file) + 1;
    (void)snprintf(ret, size, "%.*s%s", folder, config_file, actions);
}
