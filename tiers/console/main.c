/* mesh: the operator's console. `mesh` is a prompt, `mesh status` one command, `mesh < script` a
 * script. */
#include "core/num.h"
#include "tiers/console/condition.h"
#include "tiers/console/console.h"
#include "tiers/console/contexts.h"
#include "tiers/console/hwlogin.h"
#include "tiers/console/targets.h"
#include "tiers/runner/client.h"
#include "tiers/runner/config.h"
#include "tiers/runner/enroll_command.h"
#include "tiers/runner/harden.h"
#include "tiers/runner/keys_command.h"
#include "tiers/runner/passphrase.h"
#include "tiers/work/action.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct options {
    const char *config;
    const char *context;
    const char *via;
    const char *operator_name;
    enum render_form form;
    bool read_only;
    int passphrase_fd; /* -1: the terminal */
    double wait_s;
    int first; /* of the command's words */
};

/* JSON or JSONL when any flag asks for it, whether or not the line as a whole is good. */
static enum render_form error_form = FORM_TABLE;

static void find_error_form(int argc, char **argv)
{
    const char *words[COMMAND_WORDS_MAX];
    char unused[COMMAND_ERROR_MAX];
    size_t count = 0;
    enum render_form form = FORM_TABLE;
    for (int i = 1; i < argc && count < COMMAND_WORDS_MAX; i++)
        words[count++] = argv[i];
    (void)console_take_form(words, &count, &form, unused);
    error_form = form == FORM_JSON || form == FORM_JSONL ? form : FORM_TABLE;
}

/* What ends the console before there is a task: a line on stderr, or an object on stdout. */
__attribute__((format(printf, 2, 3))) static void fail(const char *reason, const char *format, ...)
{
    char text[PATH_MAX + COMMAND_ERROR_MAX];
    const struct render r = {.out = stdout, .json = true, .form = error_form};
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (error_form == FORM_TABLE)
        fprintf(stderr, "mesh: %s\n", text);
    else
        render_json_error(&r, reason, text);
}

static int usage(FILE *out, int code)
{
    fputs("usage: mesh [--config FILE | --context NAME] [--json | --output FORM] [--read-only]\n"
          "            [--via SECTOR] [--wait SECONDS] [--operator NAME] [--passphrase-fd N]\n"
          "            [COMMAND ..]\n"
          "       mesh keys .., mesh enroll ..: keys, certificates and newcomers, without a mesh\n"
          "       mesh context list | add NAME FILE [--read-only] | use NAME | remove NAME\n"
          "\n"
          "Without a command: a prompt on a terminal, else a script from stdin.\n"
          "  --config FILE   the mesh's configuration; default $MESH_CONFIG, the context in use,\n"
          "                  run/mesh.conf here, or beside the build\n"
          "  --context NAME  a mesh by its name; default $MESH_CONTEXT\n"
          "  --json          JSON instead of text\n"
          "  --output FORM   table, wide, csv, json or jsonl; before the command, or behind it\n"
          "  --read-only     refuse commands that act (exit 6)\n"
          "  --via SECTOR    ask this sector instead of the orchestrator, for its own agents\n"
          "  --operator NAME whose key and certificate of the keys folder; default\n"
          "                  $MESH_OPERATOR, operator\n"
          "  --passphrase-fd N\n"
          "                  where the operator's passphrase comes from; default the terminal\n"
          "  --wait SECONDS  how long to wait for a connection and an answer (default 5)\n"
          "`mesh help` lists the commands.\n"
          "exit: 0 ok, 1 failed, 2 usage, 3 partial, 4 no answer, 5 not found, 6 refused, 7 held,\n"
          "      130 interrupted\n",
          out);
    return code;
}

/* Global flags stand before the command. */
enum option {
    OPTION_CONFIG,
    OPTION_CONTEXT,
    OPTION_VIA,
    OPTION_WAIT,
    OPTION_OPERATOR,
    OPTION_PASSPHRASE_FD,
    OPTION_OUTPUT, /* from here back: with a value */
    OPTION_JSON,
    OPTION_READ_ONLY,
    OPTION_VERSION,
    OPTION_HELP,
    OPTION_COUNT
};

static const char *const option_names[OPTION_COUNT] = {
    "config", "context", "via",       "wait",    "operator", "passphrase-fd",
    "output", "json",    "read-only", "version", "help"};

static enum option option_find(const char *name, size_t bytes)
{
    enum option o = OPTION_CONFIG;
    while (o < OPTION_COUNT &&
           (strlen(option_names[o]) != bytes || memcmp(option_names[o], name, bytes) != 0))
        o++;
    return o;
}

static void fail_unknown(const char *name, size_t bytes)
{
    char word[32] = "";
    const char *near = NULL;
    unsigned best = 3;
    memcpy(word, name, bytes < sizeof word ? bytes : 0);
    for (enum option o = OPTION_CONFIG; o < OPTION_COUNT; o++) {
        unsigned distance = word[0] ? command_distance(word, option_names[o]) : best;
        if (distance < best) {
            best = distance;
            near = option_names[o];
        }
    }
    fail("usage", "unknown flag '--%.*s'%s%s%s", bytes < 60 ? (int)bytes : 60, name,
         near ? ": did you mean '--" : ": mesh --help lists those before the command",
         near ? near : "", near ? "'?" : "");
}

/* False: the error was printed. */
static bool take_option(struct options *ret, enum option o, const char *value)
{
    char *end = NULL;
    unsigned long fd;
    char error[COMMAND_ERROR_MAX];
    switch ((int)o) {
    case OPTION_CONFIG:
        ret->config = value;
        return true;
    case OPTION_CONTEXT:
        ret->context = value;
        return true;
    case OPTION_VIA:
        ret->via = value;
        return true;
    case OPTION_OPERATOR:
        ret->operator_name = value;
        return true;
    case OPTION_PASSPHRASE_FD:
        fd = value[0] >= '0' && value[0] <= '9' ? strtoul(value, &end, 10) : 65536;
        ret->passphrase_fd = (int)fd;
        if (fd < 65536 && *end == '\0')
            return true;
        fail("usage", "--passphrase-fd: '%.40s' is no open descriptor, as 3", value);
        return false;
    case OPTION_WAIT:
        ret->wait_s = strtod(value, &end);
        if (value[0] && *end == '\0' && ret->wait_s >= 0.1 && ret->wait_s <= 3600)
            return true;
        fail("usage", "--wait: '%.40s' is not a number of seconds from 0.1 to 3600", value);
        return false;
    case OPTION_OUTPUT:
        if (console_form(value, &ret->form, error))
            return true;
        fail("usage", "%s", error);
        return false;
    case OPTION_JSON:
        ret->form = FORM_JSON;
        return true;
    case OPTION_READ_ONLY:
    default:
        ret->read_only = true;
        return true;
    }
}

/* What all of them come to. */
static bool options_fit(struct options *ret, uint32_t given)
{
    const char *why = NULL;
    if ((given >> OPTION_CONFIG & 1u) && (given >> OPTION_CONTEXT & 1u))
        why = "--context: contradicts --config: each names the mesh";
    if ((given >> OPTION_OUTPUT & 1u) && (given >> OPTION_JSON & 1u))
        why = "--json: contradicts --output: take one of them";
    if (why) {
        fail("usage", "%s", why);
        return false;
    }
    if (!ret->operator_name || !ret->operator_name[0])
        ret->operator_name = CLIENT_TOKEN;
    if (token_valid(ret->operator_name, strlen(ret->operator_name)))
        return true;
    fail("usage", "--operator: '%.40s' is no name: 1 to 16 of a-z, 0-9, '-'", ret->operator_name);
    return false;
}

/* Of a flag that is given twice the last one holds: an alias may have the first. */
static bool parse_options(int argc, char **argv, struct options *ret, int *ret_code)
{
    int i = 1;
    uint32_t given = 0;
    *ret_code = EXIT_USAGE;
    *ret = (struct options){
        .wait_s = 5, .passphrase_fd = -1, .operator_name = getenv("MESH_OPERATOR")};
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        const char *name = argv[i] + 2, *value = strchr(name, '=');
        size_t bytes = value ? (size_t)(value - name) : strlen(name);
        enum option o = option_find(name, bytes);
        const char *wrong = NULL;
        if (o == OPTION_COUNT) {
            fail_unknown(name, bytes);
            return false;
        }
        if (o == OPTION_HELP || o == OPTION_VERSION) {
            *ret_code = o == OPTION_HELP ? usage(stdout, 0) : (puts("mesh 0.1.0"), 0);
            return false;
        }
        if (o <= OPTION_OUTPUT && !value && i + 1 == argc)
            wrong = "needs a value (mesh --help)";
        else if (o > OPTION_OUTPUT && value)
            wrong = "has no value";
        if (wrong) {
            fail("usage", "--%s: %s", option_names[o], wrong);
            return false;
        }
        given |= 1u << o;
        value = value ? value + 1 : o <= OPTION_OUTPUT ? argv[++i] : "";
        if (!take_option(ret, o, value))
            return false;
    }
    ret->first = i;
    return options_fit(ret, given);
}

/* run/mesh.conf here, or run/mesh.conf beside the folder of this program. */
static const char *find_near(char room[PATH_MAX])
{
    if (access("run/mesh.conf", R_OK) == 0)
        return "run/mesh.conf";
    ssize_t length = readlink("/proc/self/exe", room, PATH_MAX - 32);
    if (length > 0) {
        room[length] = '\0';
        for (int i = 0; i < 2; i++) {
            char *slash = strrchr(room, '/');
            if (slash)
                *slash = '\0';
        }
        size_t used = strlen(room);
        snprintf(room + used, PATH_MAX - used, "/run/mesh.conf");
        if (access(room, R_OK) == 0)
            return room;
    }
    return NULL;
}

/* The mesh that is meant: by its file, by its name, by the environment, by the context in use, by
 * the place. False: the error was printed. */
static bool find_config(struct options *o, char room[PATH_MAX])
{
    static struct context context;
    char error[CONTEXT_ERROR_MAX] = "";
    const char *file = getenv("MESH_CONFIG"), *name = getenv("MESH_CONTEXT");
    if (o->config)
        return true;
    if (!o->context && file && file[0]) {
        o->config = file;
        return true;
    }
    name = o->context ? o->context : name && name[0] ? name : NULL;
    if (context_find(name, &context, error)) {
        o->config = context.config;
        o->read_only = o->read_only || context.read_only;
        return true;
    }
    o->config = error[0] ? NULL : find_near(room);
    if (!o->config)
        fail("config", "%s",
             error[0] ? error : "no configuration: start a mesh with deploy/up, or give --config");
    return o->config != NULL;
}

static bool parse_via(const struct options *options, const struct topology *t, struct unit *ret)
{
    const char *why = NULL;
    *ret = unit_orchestrator();
    if (!options->via)
        return true;
    if (!unit_parse(options->via, strlen(options->via), ret, &why)) {
        fail("usage", "--via: '%s': %s", options->via, why);
        return false;
    }
    if ((ret->tier != TIER_SECTOR && ret->tier != TIER_ORCHESTRATOR) ||
        !topology_contains(t, *ret)) {
        fail("usage", "--via: '%s' is no sector of this mesh", options->via);
        return false;
    }
    return true;
}

/* Opens the operator's encrypted key. */
static bool unlock(const struct options *options, const struct config *config, struct key_pair *ret)
{
    char passphrase[PASSPHRASE_MAX];
    struct keys_error why;
    keys_lock(passphrase, sizeof passphrase);
    bool ok = keys_start() == 0 &&
              passphrase_ask("passphrase of the operator's key", options->passphrase_fd, false,
                             passphrase, &why) == 0 &&
              passphrase_open(config->keys_dir, options->operator_name, passphrase, ret, &why) == 0;
    keys_wipe(passphrase, sizeof passphrase);
    if (!ok)
        fail("key", "%s", why.text);
    return ok;
}

/* The operator's hardware token, where there is one: asked for before anything is sent. */
static bool open_session(const struct options *options, const struct config *config,
                         struct client *client)
{
    struct keys_error why;
    if (hwlogin(client, config->keys_dir, options->operator_name, &hwdevice_terminal, &why) == 0)
        return true;
    fail("session", "%s", why.text);
    return false;
}

static void discard(uv_loop_t *loop, struct client *client)
{
    client_close(client);
    uv_run(loop, UV_RUN_DEFAULT);
    client_free(client);
    uv_loop_close(loop);
}

/* Monitoring takes 2 for critical and 1 for a warning: what cannot be told is 3. */
static bool is_check(const struct options *options, int argc, char **argv)
{
    return options->first < argc && strcmp(argv[options->first], "check") == 0;
}

/* The same of flags before the command that make no sense, where the command is not known. */
static bool speaks_of_check(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "check") == 0)
            return true;
    return false;
}

static int run(const struct options *options, const struct config *config,
               const struct action_table *actions, struct unit via, int argc, char **argv)
{
    static struct console console;
    uv_loop_t *loop = uv_default_loop();
    struct client *client;
    char why[256];
    struct key_pair key = {0};
    int failed = is_check(options, argc, argv) ? CHECK_UNKNOWN : EXIT_FAILED;
    bool locked = passphrase_is_needed(config->keys_dir, options->operator_name);
    if (locked && !unlock(options, config, &key))
        return failed;
    bool made = client_new_unlocked(loop, config, options->operator_name, locked ? &key : NULL,
                                    &client, why, sizeof why);
    keys_wipe(&key, sizeof key);
    if (!made) {
        fail("key", "%s", why);
        return failed;
    }
    if (!open_session(options, config, client)) {
        discard(loop, client);
        return failed;
    }
    const struct render render = {.out = stdout,
                                  .topology = &config->topology,
                                  .json = options->form == FORM_JSON,
                                  .form = options->form,
                                  .operator_key = client_key_text(client)};
    const struct task_conf conf = {
        .loop = loop,
        .client = client,
        .via = via,
        .wait_us = (int64_t)(options->wait_s * 1e6),
        .interactive = isatty(STDERR_FILENO),
        .lingers = isatty(STDERR_FILENO),
        .again = isatty(STDERR_FILENO) ? "; so does Ctrl-C again within 2 s" : NULL,
        .read_only = options->read_only,
        .actions = actions};
    console_init(&console, loop, &conf, &render, options->form);
    console.mesh = options->config;
    console.model = (struct interpreter){.url = config->talk_url,
                                         .model = config->talk_model,
                                         .timeout_us = config->talk_timeout_us};
    int code = options->first < argc
                   ? console_once(&console, (const char *const *)&argv[options->first],
                                  (size_t)(argc - options->first))
               : isatty(STDIN_FILENO) ? console_repl(&console)
                                      : console_script(&console);
    console_done(&console);
    discard(loop, client);
    return code;
}

static int context_words(const struct options *options, int argc, char **argv)
{
    const char *words[COMMAND_WORDS_MAX];
    size_t count = 0;
    for (int i = options->first + 1; i < argc && count < COMMAND_WORDS_MAX; i++)
        words[count++] = argv[i];
    char error[COMMAND_ERROR_MAX];
    enum render_form form = options->form;
    if (!console_take_form(words, &count, &form, error)) {
        fail("usage", "%s", error);
        return EXIT_USAGE;
    }
    return context_command(words, count, form);
}

/* The descriptions of what agents offer; their programs need not be on this machine. */
static bool load_actions(const struct config *config, struct action_table *ret)
{
    char path[ACTION_TEXT_MAX];
    struct action_problem problem;
    if (!config->actions[0])
        return true;
    action_file_path(config->file, config->actions, path, sizeof path);
    if (action_file_load(path, &config->topology, false, ret, &problem))
        return true;
    fail("config", "%s", problem.text);
    return false;
}

static int console_main(int argc, char **argv)
{
    struct action_table actions = {0};
    struct options options;
    struct config config;
    struct config_error error;
    struct unit via;
    char room[PATH_MAX];
    int code = 0;
    signal(SIGPIPE, SIG_IGN);
    (void)harden(HARDEN_TOOL);
    find_error_form(argc, argv);
    if (argc > 2 && strcmp(argv[1], "keys") == 0 && strcmp(argv[2], "token") == 0)
        return hwtoken_command(argc - 2, argv + 2, &hwdevice_terminal);
    if (argc > 1 && strcmp(argv[1], "keys") == 0) /* works without a mesh */
        return keys_command(argc - 1, argv + 1);
    if (argc > 1 && strcmp(argv[1], "enroll") == 0)
        return enroll_command(argc - 1, argv + 1);
    if (!parse_options(argc, argv, &options, &code))
        return code == EXIT_USAGE && speaks_of_check(argc, argv) ? CHECK_UNKNOWN : code;
    if (options.first < argc &&
        (strcmp(argv[options.first], "keys") == 0 || strcmp(argv[options.first], "enroll") == 0)) {
        fail("usage", "'%s' comes first, before any --option: mesh %s ..", argv[options.first],
             argv[options.first]);
        return 2;
    }
    if (options.first < argc && strcmp(argv[options.first], "context") == 0)
        return context_words(&options, argc, argv);
    if (options.first < argc &&
        (strcmp(argv[options.first], "manual") == 0 || strcmp(argv[options.first], "help") == 0 ||
         console_wants_help((const char *const *)&argv[options.first],
                            (size_t)(argc - options.first))))
        return console_unconnected((const char *const *)&argv[options.first],
                                   (size_t)(argc - options.first), options.form);
    bool check = is_check(&options, argc, argv);
    if (!find_config(&options, room))
        return check ? CHECK_UNKNOWN : EXIT_USAGE;
    targets_mesh(options.config);
    const struct config_options file = {.file = options.config};
    if (!config_load(&file, 0, NULL, &config, &error)) {
        fail("config", "%s", error.text);
        return check ? CHECK_UNKNOWN : EXIT_USAGE;
    }
    code = check ? CHECK_UNKNOWN : EXIT_USAGE;
    if (load_actions(&config, &actions) && parse_via(&options, &config.topology, &via))
        code = run(&options, &config, &actions, via, argc, argv);
    action_table_done(&actions);
    config_done(&config);
    return code;
}

/* A reader that has seen enough (head) is no error; an answer that is lost on a full disk is. */
int main(int argc, char **argv)
{
    struct stat to;
    int code = console_main(argc, argv);
    bool lost = fflush(stdout) != 0 || ferror(stdout);
    bool piped = fstat(STDOUT_FILENO, &to) == 0 && (S_ISFIFO(to.st_mode) || S_ISSOCK(to.st_mode));
    if (!lost || piped)
        return code;
    fputs("mesh: the output could not be written: is the disk full?\n", stderr);
    return code == EXIT_OK ? EXIT_FAILED : code;
}
