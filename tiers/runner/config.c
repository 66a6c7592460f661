/* One table of keys drives everything: the file's parser, the environment, the flags, the checks,
 * the messages and the help text. A key has a kind, a range and a place in the struct it belongs
 * to; adding a setting is adding a line.
 *
 * libinih reads the file. It cuts lines that are longer than its buffer, and its handler is not
 * told the line number, so the lines are handed to it one by one by a reader of our own that counts
 * them and refuses long ones. A key given twice is an error: in a long file the second is usually a
 * mistake, and which one wins would be a guess. */
#include "tiers/runner/config.h"

#include "tiers/runner/config_keys.h"
#include <assert.h>
#include <errno.h>
#include <getopt.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern char **environ;

struct loader {
    struct config_draft draft;
    struct config_error *error;
    FILE *stream;
    uint32_t line;
    bool failed;
    char section[CONFIG_TEXT_MAX];
    struct process_conf *process; /* of the section */
    uint32_t process_set[CONFIG_KEYS_MAX];
};

static char *read_line(char *room, int size, void *stream)
{
    struct loader *l = stream;
    assert(size > 2);
    if (l->failed || fgets(room, size, l->stream) == NULL) {
        return NULL;
    }
    l->line++;
    size_t bytes = strlen(room);
    if (bytes + 1 == (size_t)size && room[bytes - 1] != '\n') {
        config_fail(&l->draft, l->line, "longer than %d bytes", size - 2);
        l->failed = true;
        return NULL;
    }
    return room;
}

static struct process_conf *process_new(struct loader *l, const char *name)
{
    struct config *c = &l->draft.config;
    if (!token_valid(name, strlen(name))) {
        config_fail(&l->draft, l->line,
                    "[process %s]: a process name has 1 to %u of a-z, 0-9 and '-'", name,
                    TOKEN_MAX);
        return NULL;
    }
    if (config_process(c, name) != NULL) {
        config_fail(&l->draft, l->line, "[process %s] is there already, in line %u", name,
                    config_process(c, name)->line);
        return NULL;
    }
    if (c->process_count == CONFIG_PROCESSES_MAX) {
        config_fail(&l->draft, l->line, "more than %u processes", CONFIG_PROCESSES_MAX);
        return NULL;
    }
    struct process_conf *p = &c->processes[c->process_count++];
    config_process_defaults(p);
    (void)snprintf(p->name, sizeof(p->name), "%s", name);
    p->line = l->line;
    memset(l->process_set, 0, sizeof(l->process_set));
    return p;
}

static bool section_enter(struct loader *l, const char *section)
{
    if (strcmp(section, l->section) == 0) {
        return true;
    }
    l->process = NULL;
    (void)snprintf(l->section, sizeof(l->section), "%s", section);
    if (strcmp(section, "mesh") == 0) {
        return true;
    }
    if (strncmp(section, "process ", 8) == 0) {
        l->process = process_new(l, section + 8);
        return l->process != NULL;
    }
    config_fail(&l->draft, l->line, "section [%s] is neither [mesh] nor [process NAME]", section);
    return false;
}

static int on_pair(void *user, const char *section, const char *name, const char *value)
{
    struct loader *l = user;
    if (l->failed) {
        return 0;
    }
    struct config_from from = {.line = l->line};
    if (!section_enter(l, section) ||
        !config_set(&l->draft, l->process, name, value, &from,
                    l->process != NULL ? l->process_set : l->draft.mesh_set)) {
        l->failed = true;
        return 0;
    }
    return 1;
}

static bool load_file(struct loader *l)
{
    const char *file = l->draft.config.file;
    l->stream = fopen(file, "re");
    if (l->stream == NULL) {
        config_fail(&l->draft, 0, "cannot be read: %s", strerror(errno));
        return false;
    }
    int verdict = ini_parse_stream(read_line, l, on_pair, l);
    bool broken = ferror(l->stream) != 0;
    (void)fclose(l->stream);
    /* A line that is nothing, as a section without its ], comes before what follows from it. */
    if (l->failed && (verdict <= 0 || (uint32_t)verdict >= l->line)) {
        return false;
    }
    if (verdict != 0) {
        config_fail(&l->draft, verdict > 0 ? (uint32_t)verdict : 0,
                    "not a section, a \"key = value\" or a comment");
        return false;
    }
    if (broken) {
        config_fail(&l->draft, 0, "cannot be read to its end");
        return false;
    }
    return true;
}

/* MESH_AGENTS=300. A MESH_ variable that is no key is left alone: others may use the prefix. */
static bool load_environment(struct loader *l, struct process_conf *own)
{
    for (char **e = environ; e != NULL && *e != NULL; e++) {
        const char *equals = strchr(*e, '=');
        if (strncmp(*e, "MESH_", 5) != 0 || equals == NULL || equals - *e - 5 >= 64) {
            continue;
        }
        char key[64];
        size_t bytes = (size_t)(equals - *e - 5);
        for (size_t i = 0; i < bytes; i++) {
            char c = (*e)[5 + i];
            key[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
        }
        key[bytes] = '\0';
        bool of_process = false;
        if (config_key_find(key, &of_process) == NULL || (of_process && own == NULL)) {
            continue;
        }
        struct config_from from = {.environment = true};
        if (!config_set(&l->draft, of_process ? own : NULL, key, equals + 1, &from, NULL)) {
            return false;
        }
    }
    return true;
}

#define FLAG_FIRST 1000

static void flag_options(struct option *ret)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    ret[0] = (struct option){"config", required_argument, NULL, 'c'};
    ret[1] = (struct option){"name", required_argument, NULL, 'n'};
    ret[2] = (struct option){"help", no_argument, NULL, 'h'};
    ret[3] = (struct option){"version", no_argument, NULL, 'V'};
    size_t used = 4;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(keys[i].name, "name") == 0) {
            continue; /* --name is the process */
        }
        ret[used++] = (struct option){keys[i].name, required_argument, NULL, FLAG_FIRST + (int)i};
    }
    ret[used] = (struct option){NULL, 0, NULL, 0};
}

static bool flag_wrong(const char *flag, bool no_value, struct config_error *error)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    if (no_value) {
        (void)snprintf(error->text, sizeof(error->text), "%s needs a value: %s=VALUE", flag, flag);
        return false;
    }
    const char *near = NULL;
    unsigned least = 3;
    for (size_t i = 0; i < count && strncmp(flag, "--", 2) == 0; i++) {
        char word[64];
        (void)snprintf(word, sizeof(word), "%.*s", (int)strcspn(flag + 2, "="), flag + 2);
        unsigned d = config_distance(word, keys[i].name);
        if (d < least) {
            least = d;
            near = keys[i].name;
        }
    }
    (void)snprintf(error->text, sizeof(error->text), "unknown flag %s%s%s%s", flag,
                   near != NULL ? "; did you mean --" : "", near != NULL ? near : "",
                   near != NULL ? "?" : " (--help lists all)");
    return false;
}

/* --agents-per-host is --agents_per_host, as on every other command line. */
static void use_underscores(int argc, char **argv)
{
    for (int i = 1; i < argc; i++) {
        for (char *at = argv[i] + 2; strncmp(argv[i], "--", 2) == 0 && *at && *at != '='; at++) {
            if (*at == '-') {
                *at = '_';
            }
        }
    }
}

/* Walks the flags twice in a process's life: once for the file's name, once for the keys. */
static bool flags_walk(int argc, char **argv, struct config_options *options, struct loader *l,
                       struct process_conf *own, struct config_error *error)
{
    struct option longs[CONFIG_KEYS_MAX + 5];
    size_t count;
    const struct config_key *keys = config_keys(&count);
    flag_options(longs);
    use_underscores(argc, argv);
    optind = 0; /* glibc: start afresh */
    opterr = 0;
    for (;;) {
        int at = optind == 0 ? 1 : optind;
        int index = -1;
        int c = getopt_long(argc, argv, "+:hV", longs, &index);
        if (c == -1) {
            break;
        }
        /* getopt takes any prefix that is unique; here a flag is its whole name. */
        bool cut = index >= 0 && strncmp(argv[at], "--", 2) == 0 &&
                   strcspn(argv[at] + 2, "=") != strlen(longs[index].name);
        if (c == '?' || c == ':' || cut) {
            return flag_wrong(argv[at < argc ? at : argc - 1], c == ':', error);
        }
        if (c == 'c' && options != NULL) {
            options->file = optarg;
        } else if (c == 'n' && options != NULL) {
            options->name = optarg;
        } else if (c == 'h' && options != NULL) {
            options->help = true;
        } else if (c == 'V' && options != NULL) {
            options->version = true;
        } else if (c >= FLAG_FIRST && l != NULL) {
            const struct config_key *key = &keys[c - FLAG_FIRST];
            struct config_from from = {.flag = true};
            if (key->of_process && own == NULL) {
                (void)snprintf(error->text, sizeof(error->text),
                               "--%s is a setting of a process: give --name, too", key->name);
                return false;
            }
            if (!config_set(&l->draft, key->of_process ? own : NULL, key->name, optarg, &from,
                            NULL)) {
                return false;
            }
        }
    }
    if (optind < argc) {
        (void)snprintf(error->text, sizeof(error->text), "unexpected argument \"%s\"",
                       argv[optind]);
        return false;
    }
    return true;
}

bool config_flags(int argc, char **argv, struct config_options *ret, struct config_error *error)
{
    assert(argc > 0 && argv != NULL);
    assert(ret != NULL && error != NULL);
    struct config_options options = {0};
    if (!flags_walk(argc, argv, &options, NULL, NULL, error)) {
        return false;
    }
    *ret = options;
    return true;
}

static bool load_all(struct loader *l, const struct config_options *options, int argc, char **argv)
{
    struct config *c = &l->draft.config;
    if (!load_file(l)) {
        return false;
    }
    struct process_conf *own = NULL;
    if (options->name != NULL) {
        for (uint32_t i = 0; i < c->process_count; i++) {
            if (strcmp(c->processes[i].name, options->name) == 0) {
                own = &c->processes[i];
            }
        }
        if (own == NULL) {
            config_fail_name(&l->draft, options->name);
            return false;
        }
    }
    if (!load_environment(l, own)) {
        return false;
    }
    if (argc > 0 && !flags_walk(argc, argv, NULL, l, own, l->error)) {
        return false;
    }
    return config_finish(&l->draft);
}

bool config_load(const struct config_options *options, int argc, char **argv, struct config *ret,
                 struct config_error *error)
{
    assert(options != NULL && ret != NULL && error != NULL);
    if (options->file == NULL) {
        (void)snprintf(error->text, sizeof(error->text), "no configuration: give --config FILE");
        return false;
    }
    struct loader *l = calloc(1, sizeof(*l));
    struct process_conf *processes = calloc(CONFIG_PROCESSES_MAX, sizeof(*processes));
    bool ok = false;
    if (l == NULL || processes == NULL) {
        (void)snprintf(error->text, sizeof(error->text), "no memory for the configuration");
    } else {
        l->error = error;
        config_draft_init(&l->draft, error);
        l->draft.config.processes = processes;
        (void)snprintf(l->draft.config.file, sizeof(l->draft.config.file), "%s", options->file);
        ok = load_all(l, options, argc, argv);
    }
    if (ok) {
        *ret = l->draft.config;
        ret->tuning.no_log = ret->log_url[0] == '\0';
    } else {
        free(processes);
    }
    free(l);
    return ok;
}

void config_done(struct config *config)
{
    if (config == NULL) {
        return;
    }
    free(config->processes);
    config->processes = NULL;
    config->process_count = 0;
}

const struct process_conf *config_process(const struct config *config, const char *name)
{
    assert(config != NULL);
    assert(name != NULL);
    for (uint32_t i = 0; i < config->process_count; i++) {
        if (strcmp(config->processes[i].name, name) == 0) {
            return &config->processes[i];
        }
    }
    return NULL;
}

bool process_owns(const struct config *config, const struct process_conf *process, struct unit u)
{
    assert(config != NULL);
    assert(process != NULL);
    if (process->no_units) {
        return false;
    }
    switch (process->role) {
    case PROCESS_ORCHESTRATOR:
        return u.tier == TIER_ORCHESTRATOR;
    case PROCESS_SECTOR:
        return u.tier == TIER_SECTOR && topology_contains(&config->topology, u) &&
               place_touches(&process->units, u);
    case PROCESS_CLUSTER:
        return u.tier == TIER_CLUSTER && topology_contains(&config->topology, u) &&
               place_touches(&process->units, u);
    case PROCESS_SIM: /* newcomers too, when their places are opened */
        return u.tier == TIER_AGENT && topology_contains(&config->topology, u) &&
               place_has_agent(&process->units, u);
    case PROCESS_AGENT:
        return u.tier == TIER_AGENT && topology_contains(&config->topology, u) &&
               (topology_planned(&config->topology, u) ? place_has_agent(&process->units, u)
                                                       : place_names_agent(&process->units, u));
    case PROCESS_NONE:
    case PROCESS_ROLE_COUNT:
    default:
        return false;
    }
}
