#include "tiers/console/targets.h"

#include "core/num.h"
#include "core/resolve.h"
#include "tiers/console/task.h"
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LIST_SHOWN 200u /* bytes of a list in a line */

static char mesh_mark[20]; /* behind the names of the lists */

static const char *const list_names[LIST_COUNT] = {"answered", "failed", "silent"};

/* --- Files ----------------------------------------------------------------------------------- */

static bool folder_make(char ret[PATH_MAX])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state && state[0] == '/')
        snprintf(ret, PATH_MAX, "%.3000s/mesh", state);
    else if (home && home[0] == '/')
        snprintf(ret, PATH_MAX, "%.3000s/.local/state/mesh", home);
    else
        return false;
    for (char *at = ret + 1;; at++)
        if (*at == '/' || *at == '\0') {
            char was = *at;
            *at = '\0';
            bool made = mkdir(ret, 0700) == 0 || errno == EEXIST;
            *at = was;
            if (!made || !was)
                return made;
        }
}

bool targets_path(const char *name, char ret[])
{
    char folder[PATH_MAX];
    if (!folder_make(folder))
        return false;
    snprintf(ret, PATH_MAX + 64, "%s/%s", folder, name);
    return true;
}

static bool file_write(const char *name, const char *text)
{
    char path[PATH_MAX + 64], next[PATH_MAX + 70];
    if (!targets_path(name, path))
        return false;
    snprintf(next, sizeof next, "%s.new", path);
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    size_t bytes = strlen(text);
    bool good = write(fd, text, bytes) == (ssize_t)bytes;
    return close(fd) == 0 && good && rename(next, path) == 0;
}

static bool file_read(const char *name, char *ret, size_t size)
{
    char path[PATH_MAX + 64];
    FILE *file = targets_path(name, path) ? fopen(path, "re") : NULL;
    if (!file)
        return false;
    size_t n = fread(ret, 1, size - 1, file);
    ret[n] = '\0';
    ret[strcspn(ret, "\n")] = '\0';
    fclose(file);
    return true;
}

void targets_mesh(const char *config)
{
    char path[PATH_MAX];
    mesh_mark[0] = '\0';
    if (config && realpath(config, path))
        snprintf(mesh_mark, sizeof mesh_mark, ".%016llx",
                 (unsigned long long)num_hash64(path, strlen(path), 0));
}

static bool group_name_valid(const char *name, size_t bytes)
{
    static const char letters[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    return bytes > 0 && bytes < GROUP_NAME_MAX && strspn(name, letters) >= bytes;
}

/* --- Words ----------------------------------------------------------------------------------- */

/* "s*.c3" -> "s[1-100].c3". False: it does not fit. */
static bool expand_stars(const char *word, size_t bytes, const struct topology *t, char *ret,
                         size_t size)
{
    size_t used = 0;
    for (size_t i = 0; i < bytes; i++) {
        char c = i > 0 ? word[i - 1] : 0;
        unsigned most = c == 's'   ? t->sectors
                        : c == 'c' ? t->clusters_per_sector
                        : c == 'a' ? (unsigned)t->agents_per_cluster + t->spare
                                   : 0;
        if (word[i] == '*' && most > 0)
            used += (size_t)snprintf(ret + used, size - used, "[1-%u]", most);
        else if (used + 1 < size)
            ret[used++] = word[i];
        if (used + 1 >= size)
            return false;
    }
    ret[used] = '\0';
    return true;
}

/* What @NAME stands for. */
static bool look_up(const char *flag, const char *word, size_t bytes, char *ret, size_t size,
                    char error[COMMAND_ERROR_MAX])
{
    char name[GROUP_NAME_MAX + 8 + sizeof mesh_mark];
    if (bytes > 5 && memcmp(word, "last.", 5) == 0) {
        for (int i = 0; i < LIST_COUNT; i++)
            if (strlen(list_names[i]) == bytes - 5 &&
                memcmp(list_names[i], word + 5, bytes - 5) == 0) {
                snprintf(name, sizeof name, "last.%s%s", list_names[i], mesh_mark);
                if (!file_read(name, ret, size) || !ret[0]) {
                    snprintf(error, COMMAND_ERROR_MAX,
                             "%s: @last.%s: the last operation on this mesh has none", flag,
                             list_names[i]);
                    return false;
                }
                return true;
            }
        snprintf(error, COMMAND_ERROR_MAX,
                 "%s: '@%.*s': there is @last.answered, @last.failed and @last.silent", flag,
                 (int)(bytes < 40 ? bytes : 40), word);
        return false;
    }
    if (group_name_valid(word, bytes)) {
        snprintf(name, sizeof name, "group.%.*s", (int)bytes, word);
        if (file_read(name, ret, size))
            return true;
    }
    snprintf(error, COMMAND_ERROR_MAX, "%s: '@%.*s': no such group ('group list' shows them)", flag,
             (int)(bytes < 40 ? bytes : 40), word);
    return false;
}

const char *targets_hint(const char *why, const struct topology *t, char room[64])
{
    assert(why && t && room);
    room[0] = '\0';
    if (strstr(why, "so high a number"))
        snprintf(room, 64, ": this mesh is s[01-%02u].c[1-%u].a[1-%u]", t->sectors,
                 t->clusters_per_sector, t->agents_per_cluster);
    return room;
}

static bool add(const char *flag, const char *word, size_t bytes, const struct topology *t,
                struct place_set *set, char error[COMMAND_ERROR_MAX])
{
    static char text[TARGETS_TEXT_MAX];
    struct place_set more;
    size_t at = 0;
    const char *why = "";
    if (bytes > 0 && word[0] == '@') {
        if (!look_up(flag, word + 1, bytes - 1, text, sizeof text, error))
            return false;
    } else if (!expand_stars(word, bytes, t, text, sizeof text)) {
        snprintf(error, COMMAND_ERROR_MAX, "%s: '%.40s..' is too long", flag, word);
        return false;
    }
    if (strcmp(text, "mesh") == 0) {
        more = (struct place_set){.count = 1};
    } else if (!place_parse(text, strlen(text), t, &more, &at, &why)) {
        char hint[64];
        snprintf(error, COMMAND_ERROR_MAX, "%s: '%.80s' at character %zu: %s%s", flag, text, at + 1,
                 why, targets_hint(why, t, hint));
        return false;
    }
    if (set->count + more.count > RANGES_MAX) {
        snprintf(error, COMMAND_ERROR_MAX,
                 "%s: more than %u places: fold them, as s[01-09].c3, or take whole clusters", flag,
                 RANGES_MAX);
        return false;
    }
    memcpy(set->patterns + set->count, more.patterns, more.count * sizeof *more.patterns);
    set->count += more.count;
    return true;
}

/* Words at commas outside of brackets. */
static bool each(const char *flag, const char *text, bool minus_only, const struct topology *t,
                 struct place_set *plus, struct place_set *minus, char error[COMMAND_ERROR_MAX])
{
    for (const char *at = text;;) {
        size_t n = 0;
        for (int depth = 0; at[n] && (at[n] != ',' || depth > 0); n++)
            depth += at[n] == '[' ? 1 : at[n] == ']' ? -1 : 0;
        bool without = n > 0 && at[0] == '!';
        const char *word = at + (without ? 1 : 0);
        if (!add(flag, word, n - (without ? 1 : 0), t, without || minus_only ? minus : plus, error))
            return false;
        if (!at[n])
            return true;
        at += n + 1;
    }
}

bool targets_parse(const char *flag, const char *text, const char *except, const struct topology *t,
                   struct place_set *ret, char error[COMMAND_ERROR_MAX])
{
    struct place_set plus = {0}, minus = {0};
    assert(flag && t && ret && error);
    if (text && !each(flag, text, false, t, &plus, &minus, error))
        return false;
    if (except && !each("--except", except, true, t, &plus, &minus, error))
        return false;
    if (minus.count > 0) {
        if (plus.count == 0)
            plus.count = 1; /* a pattern of zeros: the whole mesh */
        if (!place_subtract(&plus, &minus, t)) {
            snprintf(error, COMMAND_ERROR_MAX,
                     "%s: what is left are more than %u places: exclude whole clusters or fewer",
                     flag, RANGES_MAX);
            return false;
        }
        if (plus.count == 0) {
            snprintf(error, COMMAND_ERROR_MAX, "%s: nothing is left: all of it is excluded", flag);
            return false;
        }
    }
    *ret = plus;
    return true;
}

/* --- Lists ----------------------------------------------------------------------------------- */

enum target_list targets_list(enum outcome o)
{
    if (o == OUTCOME_READY || o == OUTCOME_CONFLICT)
        return LIST_ANSWERED;
    return o == OUTCOME_TIMEOUT_DELIVERY || o == OUTCOME_TIMEOUT_EXECUTION ||
                   o == OUTCOME_UNREACHABLE
               ? LIST_SILENT
               : LIST_FAILED;
}

static int by_first(const void *a, const void *b)
{
    const struct run *x = a, *y = b;
    return x->first < y->first ? -1 : x->first > y->first;
}

/* The folded ids of one list. True: all of them are known. */
static bool list_text(const struct topology *t, const struct answer_group *groups, size_t count,
                      enum target_list which, char *ret, size_t size, uint32_t *ret_known)
{
    size_t room = 0, n = 0;
    for (size_t i = 0; i < count; i++)
        room += targets_list(groups[i].outcome) == which ? groups[i].run_count : 0;
    struct run *runs = room ? malloc(room * sizeof *runs) : NULL;
    *ret_known = 0;
    ret[0] = '\0';
    if (!runs)
        return room == 0;
    for (size_t i = 0; i < count; i++)
        for (uint32_t k = 0; targets_list(groups[i].outcome) == which && k < groups[i].run_count;
             k++)
            runs[n++] = groups[i].runs[k];
    qsort(runs, n, sizeof *runs, by_first);
    size_t kept = 0;
    for (size_t i = 1; i < n; i++) {
        if (runs[i].first <= runs[kept].last + 1)
            runs[kept].last = runs[i].last > runs[kept].last ? runs[i].last : runs[kept].last;
        else
            runs[++kept] = runs[i];
    }
    for (size_t i = 0; i <= kept; i++)
        *ret_known += runs[i].last - runs[i].first + 1;
    bool whole = runs_format(t, runs, (uint32_t)kept + 1, ret, size);
    free(runs);
    return whole;
}

/* Cuts a list that is too long for a line where a place ends, so that what is shown can be pasted
 * back. True: it was. */
static bool cut_line(char *text)
{
    size_t end = 0;
    int depth = 0;
    if (strlen(text) <= LIST_SHOWN)
        return false;
    for (size_t i = 0; i <= LIST_SHOWN; i++) {
        depth += text[i] == '[' ? 1 : text[i] == ']' ? -1 : 0;
        if (text[i] == ',' && depth == 0)
            end = i;
    }
    text[end] = '\0';
    return true;
}

/* text: those of the `count` whose ids are known. */
static void print_list(const struct render *r, const char *title, const char *name, char *text,
                       uint32_t count, uint32_t known, uint32_t targets)
{
    char n[32];
    bool whole = known == count, cut = cut_line(text);
    fprintf(r->out, "%-14s %7s", title, render_count(count, n));
    if (count == targets && !whole)
        fputs("  all of them", r->out);
    else if (count > 0 && known == 0)
        fputs("  (the report does not name them)", r->out);
    else if (count > 0)
        fprintf(r->out, "  %s%s", text, whole ? "" : " and others");
    if (cut && whole)
        fprintf(r->out, ", .. (all of them: --on @last.%s)", name);
    fputc('\n', r->out);
}

/* All that were meant, by place, class, capability and part, when these are exactly `targets`. */
static bool meant_text(const struct topology *t, const struct selector *meant, uint32_t targets,
                       char *ret, size_t size)
{
    uint32_t n = 0, found = 0;
    if (!meant || meant->where[0] || meant->state_mask || meant->score_max)
        return false;
    struct run *runs = malloc((topology_places(t) + 1u) * sizeof *runs);
    for (uint32_t i = 0; runs && i < topology_places(t); i++) {
        if (!selector_expected(meant, t, topology_agent(t, i)))
            continue;
        found++;
        if (n > 0 && runs[n - 1].last + 1u == i)
            runs[n - 1].last = i;
        else
            runs[n++] = (struct run){i, i};
    }
    bool good = runs && found == targets && runs_format(t, runs, n, ret, size);
    free(runs);
    return good;
}

void targets_lists(const struct render *r, const struct aggregate_view *a,
                   const struct answer_group *groups, size_t count, const struct selector *meant)
{
    static const char *const titles[LIST_COUNT] = {"answered", "failed", "no answer yet"};
    static char text[TARGETS_TEXT_MAX];
    uint32_t counts[LIST_COUNT] = {0};
    assert(r && a);
    for (int o = OUTCOME_READY; o < OUTCOME_COUNT; o++)
        counts[targets_list((enum outcome)o)] += a->outcomes[o];
    for (int i = 0; i < LIST_COUNT; i++) {
        char name[24 + sizeof mesh_mark];
        uint32_t known;
        bool whole =
            list_text(r->topology, groups, count, (enum target_list)i, text, sizeof text, &known);
        if (counts[i] > 0 && counts[i] == a->targets && known < counts[i] &&
            meant_text(r->topology, meant, a->targets, text, sizeof text)) {
            known = counts[i];
            whole = true;
        }
        snprintf(name, sizeof name, "last.%s%s", list_names[i], mesh_mark);
        file_write(name, whole ? text : "");
        if (r->json || r->form == FORM_CSV)
            continue;
        print_list(r, titles[i], list_names[i], text, counts[i], known, a->targets);
    }
    if (!r->json && r->form != FORM_CSV) {
        char n[32];
        fprintf(r->out, "%-14s %7s\n", "unexpected", render_count(a->unexpected, n));
    }
}

size_t targets_names(char ret[][GROUP_NAME_MAX + 1], size_t most)
{
    char folder[PATH_MAX];
    size_t count = 0;
    assert(ret && most >= LIST_COUNT);
    for (int i = 0; i < LIST_COUNT; i++)
        snprintf(ret[count++], GROUP_NAME_MAX + 1, "@last.%s", list_names[i]);
    DIR *dir = folder_make(folder) ? opendir(folder) : NULL;
    for (struct dirent *d; dir && count < most && (d = readdir(dir)) != NULL;)
        if (strncmp(d->d_name, "group.", 6) == 0 &&
            group_name_valid(d->d_name + 6, strlen(d->d_name + 6)))
            snprintf(ret[count++], GROUP_NAME_MAX + 1, "@%.31s", d->d_name + 6);
    if (dir)
        closedir(dir);
    return count;
}

/* --- Groups ---------------------------------------------------------------------------------- */

static int group_list(const struct render *r)
{
    char folder[PATH_MAX], text[TARGETS_TEXT_MAX];
    DIR *dir = folder_make(folder) ? opendir(folder) : NULL;
    json_t *all = json_object();
    for (struct dirent *d; dir && (d = readdir(dir)) != NULL;)
        if (strncmp(d->d_name, "group.", 6) == 0 &&
            group_name_valid(d->d_name + 6, strlen(d->d_name + 6)) &&
            file_read(d->d_name, text, sizeof text)) {
            json_object_set_new(all, d->d_name + 6, json_string(text));
            if (!r->json)
                fprintf(r->out, "@%-20s %s\n", d->d_name + 6, text);
        }
    if (dir)
        closedir(dir);
    if (r->json) {
        json_dumpf(all, r->out, JSON_COMPACT | JSON_SORT_KEYS);
        fputc('\n', r->out);
    } else if (json_object_size(all) == 0) {
        fputs("no groups: group save NAME PLACES\n", r->out);
    }
    json_decref(all);
    return EXIT_OK;
}

int targets_group(const struct render *r, const struct invocation *in)
{
    enum what { LIST, SAVE, REMOVE } what = (enum what)command_value(in, "what")->number;
    const struct value *name = command_value(in, "name"), *places = command_value(in, "places");
    char error[COMMAND_ERROR_MAX], file[GROUP_NAME_MAX + 8], path[PATH_MAX + 64];
    struct place_set set;
    if (what == LIST)
        return group_list(r);
    if (!group_name_valid(name->text, strlen(name->text)) || strcmp(name->text, "last") == 0) {
        char text[COMMAND_ERROR_MAX];
        snprintf(text, sizeof text,
                 "name: '%.40s' is none: 1 to 31 letters, digits, '-' or '_', and not 'last'",
                 name->text);
        render_error(r, "usage", text);
        return EXIT_USAGE;
    }
    snprintf(file, sizeof file, "group.%s", name->text);
    if (what == REMOVE) {
        bool gone = targets_path(file, path) && unlink(path) == 0;
        snprintf(error, sizeof error, "name: no group is called '%.40s' ('group list' shows them)",
                 name->text);
        if (!gone)
            render_error(r, "not-found", error);
        else
            fprintf(r->out, r->json ? "{\"ok\":true}\n" : "@%s is removed\n", name->text);
        return gone ? EXIT_OK : EXIT_NOT_FOUND;
    }
    if (strlen(places->text) >= TARGETS_TEXT_MAX) {
        render_error(r, "usage", "places: too long: fold them, as s[01-10].c3");
        return EXIT_USAGE;
    }
    if (!targets_parse("places", places->text, NULL, r->topology, &set, error)) {
        render_error(r, "usage", error);
        return EXIT_USAGE;
    }
    if (strpbrk(places->text, "@!*")) {
        render_error(r, "usage", "places: a group is plain places, without '@', '!' and '*'");
        return EXIT_USAGE;
    }
    if (!file_write(file, places->text)) {
        render_error(r, "failed", strerror(errno));
        return EXIT_FAILED;
    }
    fprintf(r->out, r->json ? "{\"ok\":true}\n" : "--on @%s means %s from now on\n", name->text,
            places->text);
    return EXIT_OK;
}
