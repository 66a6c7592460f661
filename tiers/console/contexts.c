/* The file is read whole, changed in memory and written anew beside itself, then renamed: a console
 * that dies in between leaves the old one. Paths are made absolute when they are added. */
#include "tiers/console/contexts.h"
#include "tiers/console/task.h"
#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <ini.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct contexts {
    size_t count;
    struct context all[CONTEXTS_MAX];
    char current[CONTEXT_NAME_MAX]; /* "": none */
    char file[PATH_MAX];
    char *error;
};

__attribute__((format(printf, 2, 3))) static bool fail(struct contexts *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->error, CONTEXT_ERROR_MAX, format, args);
    va_end(args);
    return false;
}

static bool name_is_good(const char *name)
{
    size_t length = strlen(name);
    for (size_t i = 0; i < length; i++)
        if (!isalnum((unsigned char)name[i]) && name[i] != '-' && name[i] != '_')
            return false;
    return length > 0 && length < CONTEXT_NAME_MAX;
}

static struct context *find(struct contexts *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->all[i].name, name) == 0)
            return &c->all[i];
    return NULL;
}

static struct context *add(struct contexts *c, const char *name)
{
    struct context *one = find(c, name);
    if (one || c->count == CONTEXTS_MAX)
        return one;
    one = &c->all[c->count++];
    *one = (struct context){0};
    strcpy(one->name, name);
    return one;
}

/* --- the file -------------------------------------------------------------------------------- */

static int on_entry(void *user, const char *section, const char *key, const char *value)
{
    struct contexts *c = user;
    if (section[0] == '\0')
        return strcmp(key, "current") == 0 && strlen(value) < sizeof c->current &&
               strcpy(c->current, value);
    struct context *one = name_is_good(section) ? add(c, section) : NULL;
    if (!one)
        return 0;
    if (strcmp(key, "config") == 0 && strlen(value) < sizeof one->config)
        return strcpy(one->config, value) != NULL;
    one->read_only = strcmp(value, "true") == 0;
    return strcmp(key, "read_only") == 0;
}

static bool find_file(struct contexts *c)
{
    const char *set = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    int length;
    if (set && set[0] == '/')
        length = snprintf(c->file, sizeof c->file, "%s/mesh/contexts", set);
    else if (home && home[0] == '/')
        length = snprintf(c->file, sizeof c->file, "%s/.config/mesh/contexts", home);
    else
        return fail(c, "contexts need $HOME or $XDG_CONFIG_HOME");
    return (length > 0 && (size_t)length < sizeof c->file) || fail(c, "$HOME is too long");
}

static bool load(struct contexts *c, char error[CONTEXT_ERROR_MAX])
{
    memset(c, 0, sizeof *c);
    c->error = error;
    error[0] = '\0';
    if (!find_file(c))
        return false;
    int line = access(c->file, F_OK) == 0 ? ini_parse(c->file, on_entry, c) : 0;
    if (line < 0)
        return fail(c, "%s: cannot be read: %s", c->file, strerror(errno));
    if (line > 0)
        return fail(c, "%s:%d: is no context's line (config or read_only of a section, current)",
                    c->file, line);
    return true;
}

static bool make_folders(struct contexts *c)
{
    for (char *at = strchr(c->file + 1, '/'); at; at = strchr(at + 1, '/')) {
        *at = '\0';
        bool made = mkdir(c->file, 0700) == 0 || errno == EEXIST;
        if (!made)
            fail(c, "%s: cannot be made: %s", c->file, strerror(errno));
        *at = '/';
        if (!made)
            return false;
    }
    return true;
}

static bool save(struct contexts *c)
{
    char fresh[PATH_MAX + 8];
    snprintf(fresh, sizeof fresh, "%s.new", c->file);
    if (!make_folders(c))
        return false;
    mode_t before = umask(077);
    FILE *f = fopen(fresh, "w");
    umask(before);
    if (!f)
        return fail(c, "%s: cannot be written: %s", fresh, strerror(errno));
    if (c->current[0])
        fprintf(f, "current = %s\n", c->current);
    for (size_t i = 0; i < c->count; i++)
        fprintf(f, "[%s]\nconfig = %s\nread_only = %s\n", c->all[i].name, c->all[i].config,
                c->all[i].read_only ? "true" : "false");
    bool good = fflush(f) == 0 && fsync(fileno(f)) == 0;
    good = fclose(f) == 0 && good && rename(fresh, c->file) == 0;
    return good || fail(c, "%s: cannot be written: %s", c->file, strerror(errno));
}

bool context_find(const char *name, struct context *ret, char error[CONTEXT_ERROR_MAX])
{
    static struct contexts c;
    assert(ret && error);
    if (!load(&c, error))
        return false;
    if (!name && !c.current[0])
        return false;
    const struct context *one = find(&c, name ? name : c.current);
    if (!one)
        return fail(&c, "no context '%s': mesh context list", name ? name : c.current);
    *ret = *one;
    return true;
}

/* --- the command ----------------------------------------------------------------------------- */

static int list(const struct contexts *c, bool json)
{
    json_t *all = json_array();
    if (!json && c->count == 0)
        puts("no contexts: mesh context add NAME FILE");
    for (size_t i = 0; i < c->count; i++) {
        const struct context *one = &c->all[i];
        bool in_use = strcmp(one->name, c->current) == 0;
        if (json)
            json_array_append_new(all, json_pack("{s:s, s:s, s:b, s:b}", "name", one->name,
                                                 "config", one->config, "read_only", one->read_only,
                                                 "current", in_use));
        else
            printf("%s %-16s %s%s\n", in_use ? "*" : " ", one->name, one->config,
                   one->read_only ? "  (read-only)" : "");
    }
    if (json) {
        json_t *object = json_pack("{s:o}", "contexts", json_incref(all));
        json_dumpf(object, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(object);
    }
    json_decref(all);
    return EXIT_OK;
}

static bool add_words(struct contexts *c, const char *const words[], size_t count)
{
    bool read_only = count == 4 && strcmp(words[3], "--read-only") == 0;
    char path[PATH_MAX];
    if (count != 3 && !read_only)
        return fail(c, "usage: mesh context add NAME FILE [--read-only]");
    if (!name_is_good(words[1]))
        return fail(c, "'%.40s' is no name: up to %u letters, digits, - and _", words[1],
                    CONTEXT_NAME_MAX - 1);
    if (!realpath(words[2], path))
        return fail(c, "%.200s: %s", words[2], strerror(errno));
    struct context *one = add(c, words[1]);
    if (!one)
        return fail(c, "there are %u contexts already: remove one", CONTEXTS_MAX);
    strcpy(one->config, path);
    one->read_only = read_only;
    if (!c->current[0])
        strcpy(c->current, one->name);
    return save(c);
}

static bool use_or_remove(struct contexts *c, const char *const words[], size_t count)
{
    bool remove = strcmp(words[0], "remove") == 0;
    struct context *one = count == 2 ? find(c, words[1]) : NULL;
    if (count != 2)
        return fail(c, "usage: mesh context %s NAME", words[0]);
    if (!one)
        return fail(c, "no context '%.40s': mesh context list", words[1]);
    if (!remove) {
        strcpy(c->current, one->name);
        return save(c);
    }
    if (strcmp(c->current, one->name) == 0)
        c->current[0] = '\0';
    memmove(one, one + 1, (size_t)(&c->all[c->count] - (one + 1)) * sizeof *one);
    c->count--;
    return save(c);
}

int context_command(const char *const words[], size_t count, enum render_form form)
{
    static struct contexts c;
    char error[CONTEXT_ERROR_MAX];
    bool json = form == FORM_JSON || form == FORM_JSONL;
    bool good = load(&c, error);
    if (good && (count == 0 || (count == 1 && strcmp(words[0], "list") == 0)))
        return list(&c, json);
    if (good && strcmp(words[0], "add") == 0)
        good = add_words(&c, words, count);
    else if (good && (strcmp(words[0], "use") == 0 || strcmp(words[0], "remove") == 0))
        good = use_or_remove(&c, words, count);
    else if (good)
        good = fail(&c, "'%.40s' is none of list, add, use, remove", words[0]);
    if (!good) {
        const struct render r = {.out = stdout, .json = true, .form = form};
        bool unknown = strncmp(error, "no context", 10) == 0;
        if (json)
            render_json_error(&r, unknown ? "not-found" : "usage", error);
        else
            fprintf(stderr, "mesh: context: %s\n", error);
        return unknown ? EXIT_NOT_FOUND : EXIT_USAGE;
    }
    return list(&c, json);
}
