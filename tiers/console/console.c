/* One command, or a script. The terminal's prompt is in repl.c. */
#include "tiers/console/console.h"
#include "tiers/console/manual.h"
#include "tiers/console/offer.h"
#include "tiers/console/targets.h"
#include "tiers/runner/client.h"
#include "tiers/runner/clock.h"
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void on_interrupt(uv_signal_t *handle, int number)
{
    struct console *c = handle->data;
    (void)number;
    task_interrupt(&c->task);
}

void console_init(struct console *c, uv_loop_t *loop, const struct task_conf *conf,
                  const struct render *render, enum render_form form)
{
    assert(c && loop && conf && render);
    c->loop = loop;
    c->form = form;
    c->exit_code = EXIT_OK;
    task_init(&c->task, conf, render);
    uv_signal_init(loop, &c->interrupt);
    c->interrupt.data = c;
    uv_signal_start(&c->interrupt, on_interrupt, SIGINT);
    uv_unref((uv_handle_t *)&c->interrupt);
}

void console_done(struct console *c)
{
    assert(c);
    task_done(&c->task);
    uv_close((uv_handle_t *)&c->interrupt, NULL);
}

/* --- help ------------------------------------------------------------------------------------ */

static void help_all(FILE *out)
{
    size_t count;
    const struct command_spec *table = command_table(&count);
    fputs("commands (help NAME shows flags and examples; any takes --json, most --output "
          "wide|csv|jsonl):\n",
          out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "  %-12s %s%s\n", table[i].name, table[i].summary,
                table[i].changes ? "  [acts]" : "");
}

/* What does not go together on its line (core/commands_rules.c). */
static void help_rules(FILE *out, const struct command_spec *spec)
{
    size_t count, shown = 0;
    const struct command_rule *rules = command_rules(&count);
    for (size_t i = 0; i < count; i++) {
        char text[300];
        if (!command_rule_concerns(&rules[i], spec))
            continue;
        command_rule_text(&rules[i], spec, text, sizeof text);
        fprintf(out, "%s    %s\n", shown++ == 0 ? "\n  what goes together\n" : "", text);
    }
}

static void help_one(FILE *out, const struct command_spec *spec)
{
    char usage[2048];
    command_usage(spec, usage, sizeof usage);
    fprintf(out, "%s\n\n  %s\n", spec->summary, usage);
    for (size_t i = 0; i < COMMAND_PARAMETERS_MAX && spec->parameters[i].name; i++) {
        const struct parameter *p = &spec->parameters[i];
        fprintf(out, "%s    %s%-16s %s%s%s\n", i == 0 ? "\n" : "", p->flag ? "--" : "  ", p->name,
                p->help ? p->help : "", p->choices ? ": " : "", p->choices ? p->choices : "");
    }
    help_rules(out, spec);
    for (size_t i = 0; i < COMMAND_EXAMPLES_MAX && spec->examples[i]; i++)
        fprintf(out, "%s    %s\n", i == 0 ? "\n  examples\n" : "", spec->examples[i]);
}

static int show_manual(const struct render *r, const struct invocation *in)
{
    enum form { MAN, BASH, ZSH, FISH } form = (enum form)command_value(in, "form")->number;
    const struct value *name = command_value(in, "command");
    const struct command_spec *one =
        name->given ? command_find(name->text, strlen(name->text)) : NULL;
    if (r->json) {
        render_error(r, "usage", "--json: 'manual' has no JSON form: 'help --json' has the table");
        return EXIT_USAGE;
    }
    if (name->given && !one) {
        char text[COMMAND_ERROR_MAX];
        snprintf(text, sizeof text, "command: no command '%.60s' ('help' lists them)", name->text);
        render_error(r, "not-found", text);
        return EXIT_NOT_FOUND;
    }
    if (form == MAN)
        manual_man(r->out, one);
    else
        (form == BASH ? manual_bash : form == ZSH ? manual_zsh : manual_fish)(r->out);
    return EXIT_OK;
}

/* help [COMMAND]: the exit code. */
static int show_help(const struct render *r, const struct invocation *in)
{
    const struct value *name = command_value(in, "command");
    const struct command_spec *one =
        name->given ? command_find(name->text, strlen(name->text)) : NULL;
    if (name->given && !one) {
        char text[COMMAND_ERROR_MAX];
        const char *near = command_suggest(name->text);
        snprintf(text, sizeof text, "no command '%.60s'%s%s%s", name->text,
                 near ? ": did you mean '" : " ('help' lists them)", near ? near : "",
                 near ? "'?" : "");
        render_error(r, "not-found", text);
        return EXIT_NOT_FOUND;
    }
    if (r->json)
        manual_json(r->out, one);
    else if (one)
        help_one(r->out, one);
    else
        help_all(r->out);
    return EXIT_OK;
}

bool console_wants_help(const char *const words[], size_t count)
{
    assert(words);
    if (count == 2 && strcmp(words[1], "-h") == 0)
        return true;
    for (size_t i = 1; i < count && strcmp(words[i], "--") != 0; i++)
        if (strcmp(words[i], "--help") == 0)
            return true;
    return false;
}

/* What needs no task has text and, but for manuals, JSON. */
static bool local_form(enum render_form form, const char *name, char error[COMMAND_ERROR_MAX])
{
    bool good = form == FORM_TABLE || form == FORM_JSON;
    if (!good)
        snprintf(error, COMMAND_ERROR_MAX, "--output: '%.40s' has table and json only", name);
    return good;
}

int console_unconnected(const char *const words[], size_t count, enum render_form form)
{
    static struct invocation in;
    const char *mine[COMMAND_WORDS_MAX], *const help[] = {"help", words[0]};
    char error[COMMAND_ERROR_MAX] = "more than 64 words: put text in quotes";
    assert(words && count > 0);
    bool good = count <= COMMAND_WORDS_MAX, asked = console_wants_help(words, count);
    if (good) {
        memcpy(mine, words, count * sizeof *words);
        good = console_take_form(mine, &count, &form, error) &&
               command_parse(asked ? help : mine, asked ? 2 : count, &in, error) &&
               local_form(form, asked ? "help" : words[0], error);
    }
    const struct render r = {.out = stdout, .json = form == FORM_JSON, .form = form};
    if (good)
        return in.spec->verb == CMD_HELP ? show_help(&r, &in) : show_manual(&r, &in);
    render_error(&r, "usage", error);
    return EXIT_USAGE;
}

/* What is here already, without a task. */
static int local_read(const struct console *c, const char *const words[], size_t count,
                      enum render_form form)
{
    static struct invocation in;
    char error[COMMAND_ERROR_MAX];
    struct render r = c->task.render;
    r.form = form;
    r.json = form == FORM_JSON || form == FORM_JSONL;
    if (!command_parse(words, count, &in, error) || !local_form(form, words[0], error)) {
        render_error(&r, "usage", error);
        return EXIT_USAGE;
    }
    if (in.spec->verb == CMD_GROUP)
        return targets_group(&r, &in);
    if (in.spec->verb == CMD_MANUAL)
        return show_manual(&r, &in);
    const struct value *name = command_value(&in, "action");
    if (offer_list(&r, c->task.conf.actions, name->given ? name->text : NULL, error))
        return EXIT_OK;
    render_error(&r, "not-found", error);
    return EXIT_NOT_FOUND;
}

bool console_local(const struct console *c, const char *const words[], size_t count,
                   enum render_form form, bool *ret_quit, int *ret_code)
{
    static struct invocation in;
    char error[COMMAND_ERROR_MAX];
    assert(c && count > 0 && ret_quit && ret_code);
    if (console_wants_help(words, count)) {
        *ret_quit = false;
        *ret_code = console_unconnected(words, count, form);
        return true;
    }
    bool question = strcmp(words[0], "?") == 0;
    bool leave = strcmp(words[0], "exit") == 0;
    const struct command_spec *spec = command_find(words[0], strlen(words[0]));
    if (spec &&
        (spec->verb == CMD_ACTIONS || spec->verb == CMD_GROUP || spec->verb == CMD_MANUAL)) {
        *ret_quit = false;
        *ret_code = local_read(c, words, count, form);
        return true;
    }
    if (!question && !leave && (!spec || (spec->verb != CMD_HELP && spec->verb != CMD_QUIT)))
        return false;
    *ret_quit = leave;
    *ret_code = EXIT_OK;
    if (question)
        help_all(c->task.render.out);
    if (question || leave)
        return true;
    struct render r = c->task.render;
    r.form = form;
    r.json = form == FORM_JSON || form == FORM_JSONL;
    if (!command_parse(words, count, &in, error) || !local_form(form, words[0], error)) {
        render_error(&r, "usage", error);
        *ret_code = EXIT_USAGE;
        return true;
    }
    *ret_quit = in.spec->verb == CMD_QUIT;
    *ret_code = *ret_quit ? EXIT_OK : show_help(&r, &in);
    return true;
}

static const char *const form_names[FORM_COUNT] = {"table", "json", "jsonl", "wide", "csv"};

bool console_form(const char *name, enum render_form *ret, char error[COMMAND_ERROR_MAX])
{
    assert(name && ret && error);
    for (int i = 0; i < FORM_COUNT; i++)
        if (strcmp(form_names[i], name) == 0) {
            *ret = (enum render_form)i;
            return true;
        }
    snprintf(error, COMMAND_ERROR_MAX, "--output: '%.40s' is none of table, wide, csv, json, jsonl",
             name);
    return false;
}

static bool form_named(const char *name, enum render_form *form, bool *said,
                       char error[COMMAND_ERROR_MAX])
{
    enum render_form named;
    if (!console_form(name, &named, error))
        return false;
    if (*said && *form != named) {
        snprintf(error, COMMAND_ERROR_MAX, "--output: %s contradicts %s", name, form_names[*form]);
        return false;
    }
    *form = named;
    *said = true;
    return true;
}

/* "-ojson": of all words that begin so only those that name a form, since others may be text. */
static bool is_short_form(const char *word)
{
    for (int i = 0; strncmp(word, "-o", 2) == 0 && i < FORM_COUNT; i++)
        if (strcmp(form_names[i], word + 2) == 0)
            return true;
    return false;
}

bool console_take_form(const char *words[], size_t *count, enum render_form *form,
                       char error[COMMAND_ERROR_MAX])
{
    bool said = false;
    size_t kept = 0;
    assert(words && count && form);
    for (size_t i = 0; i < *count; i++) {
        bool flag = strcmp(words[i], "--output") == 0 || strcmp(words[i], "-o") == 0;
        const char *joined = strncmp(words[i], "--output=", 9) == 0 ? words[i] + 9
                             : strncmp(words[i], "-o=", 3) == 0     ? words[i] + 3
                             : is_short_form(words[i])              ? words[i] + 2
                                                                    : NULL;
        /* Behind -- it is text. */
        if (strcmp(words[i], "--") == 0) {
            for (; i < *count; i++)
                words[kept++] = words[i];
            break;
        }
        if (strcmp(words[i], "--json") == 0) {
            if (!form_named("json", form, &said, error))
                return false;
        } else if (flag && i + 1 == *count) {
            snprintf(error, COMMAND_ERROR_MAX,
                     "--output: needs a value: table, wide, csv, json or jsonl");
            return false;
        } else if (flag || joined) {
            if (!form_named(joined ? joined : words[++i], form, &said, error))
                return false;
        } else {
            words[kept++] = words[i];
        }
    }
    *count = kept;
    return true;
}

/* --- one command ----------------------------------------------------------------------------- */

static int say_once(struct console *c, const char *const words[], size_t count,
                    enum render_form form);

static void on_once_done(void *ctx, int exit_code)
{
    struct console *c = ctx;
    c->exit_code = exit_code;
    uv_stop(c->loop);
}

int console_once(struct console *c, const char *const words[], size_t count)
{
    const char *mine[COMMAND_WORDS_MAX];
    char error[COMMAND_ERROR_MAX];
    bool quit;
    int code;
    assert(c && count > 0);
    if (count > COMMAND_WORDS_MAX) {
        render_error(&c->task.render, "usage", "more than 64 words: put text in quotes");
        return EXIT_USAGE;
    }
    memcpy(mine, words, count * sizeof *words);
    enum render_form form = c->form;
    if (!console_take_form(mine, &count, &form, error)) {
        render_error(&c->task.render, "usage", error);
        return EXIT_USAGE;
    }
    if (count == 0) {
        render_error(&c->task.render, "usage", "a command is missing: help lists them");
        return EXIT_USAGE;
    }
    if (strcmp(mine[0], "say") == 0)
        return say_once(c, mine, count, form);
    if (console_local(c, mine, count, form, &quit, &code))
        return code;
    task_start(&c->task, mine, count, form, on_once_done, c);
    while (c->task.running)
        uv_run(c->loop, UV_RUN_DEFAULT);
    return c->exit_code;
}

/* --- the dialogue ---------------------------------------------------------------------------- */

static int run_line(struct console *c, const char *line);

const char *console_said(const char *line, char room[GRAMMAR_TEXT_MAX])
{
    while (*line == ' ')
        line++;
    if (strncmp(line, "say ", 4) != 0)
        return NULL;
    line += 4 + strspn(line + 4, " ");
    size_t bytes = strlen(line);
    while (bytes > 0 && line[bytes - 1] == ' ')
        bytes--;
    if (bytes >= 2 && line[0] == '"' && line[bytes - 1] == '"') {
        line++;
        bytes -= 2;
    }
    if (bytes >= GRAMMAR_TEXT_MAX)
        bytes = GRAMMAR_TEXT_MAX - 1;
    memcpy(room, line, bytes);
    room[bytes] = '\0';
    return room;
}

bool console_plan(struct console *c, const char *text, char error[COMMAND_ERROR_MAX])
{
    assert(c && text && error);
    if (talk_say(&c->talk, text, c->task.render.topology, clock_unix_us(), error))
        return true;
    return c->talk.unknown && c->model.url && *c->model.url &&
           interpreter_say(&c->model, &c->talk, text, clock_unix_us(), error);
}

int console_say(struct console *c, const char *text, enum render_form form)
{
    char error[COMMAND_ERROR_MAX];
    const char *line;
    int code = EXIT_OK;
    enum render_form was = c->form;
    struct render r = c->task.render;
    r.form = form;
    r.json = form == FORM_JSON;
    if (!console_plan(c, text, error)) {
        render_error(&r, "usage", error);
        return EXIT_USAGE;
    }
    c->form = form;
    while ((line = talk_next(&c->talk, &r)) != NULL) {
        code = run_line(c, line);
        talk_ended(&c->talk, line, code, &c->task.inquiry.findings);
    }
    c->form = was;
    talk_finish(&c->talk, &r, clock_unix_us());
    return code;
}

/* `mesh say ..` from a shell: the shell is the dialogue's session. */
static int say_once(struct console *c, const char *const words[], size_t count,
                    enum render_form form)
{
    char text[GRAMMAR_TEXT_MAX] = "";
    size_t used = 0;
    for (size_t i = 1; i < count; i++) {
        size_t bytes = strlen(words[i]);
        if (used + bytes + 2 > sizeof text) {
            render_error(&c->task.render, "usage", "words: 2,047 bytes at most");
            return EXIT_USAGE;
        }
        used +=
            (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > 1 ? " " : "", words[i]);
    }
    if (used == 0) {
        render_error(&c->task.render, "usage", "words: say what? as \"what's happening in s07?\"");
        return EXIT_USAGE;
    }
    talk_load(&c->talk, c->mesh, getppid(), clock_unix_us());
    int code = console_say(c, text, form);
    talk_store(&c->talk, c->mesh, getppid(), clock_unix_us());
    return code;
}

/* --- script ---------------------------------------------------------------------------------- */

static int run_line(struct console *c, const char *line)
{
    char said[GRAMMAR_TEXT_MAX];
    if (console_said(line, said))
        return console_say(c, said, c->form);
    static char room[COMMAND_LINE_BYTES_MAX];
    const char *words[COMMAND_WORDS_MAX], *why = NULL;
    size_t count = 0;
    if (!command_split(line, room, sizeof room, words, &count, &why)) {
        render_error(&c->task.render, "usage", why);
        return EXIT_USAGE;
    }
    return count ? console_once(c, words, count) : EXIT_OK;
}

static bool ends_script(int code)
{
    return code != EXIT_OK && code != EXIT_PARTIAL && code != EXIT_TIMEOUT;
}

int console_script(struct console *c)
{
    char *line = NULL;
    size_t room = 0;
    int worst = EXIT_OK;
    assert(c);
    while (getline(&line, &room, stdin) >= 0) {
        bool quit = false;
        line[strcspn(line, "\r\n")] = '\0';
        if (strlen(line) >= COMMAND_LINE_BYTES_MAX) {
            render_error(&c->task.render, "usage", "the line is too long");
            worst = EXIT_USAGE;
            break;
        }
        quit = strcmp(line, "quit") == 0 || strcmp(line, "exit") == 0;
        if (quit)
            break;
        int code = run_line(c, line);
        if (code != EXIT_OK)
            worst = code;
        if (ends_script(code))
            break;
    }
    free(line);
    return worst;
}
