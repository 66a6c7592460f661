/* The prompt. libedit in callback mode on the loop: typing never stops the connection's upkeep, and
 * a command that runs takes the terminal until it is done.
 *
 * The prompt tells the truth: while it waits for input, the mesh is asked for its status every
 * POLL_MS, and the prompt is drawn again when the figures changed. What is typed meanwhile stays.
 * Behind the cursor stands a grey hint; it is taken away before libedit draws.
 *
 * Ctrl-C: while a command runs it stops the waiting (task_interrupt) and, for CANCEL_MS, a second
 * one cancels the operation in the mesh; at the prompt it clears the line. */
#include "core/mode.h"
#include "core/num.h"
#include "tiers/console/complete.h"
#include "tiers/console/console.h"
#include "tiers/console/history.h"
#include "tiers/console/pager.h"
#include "tiers/runner/client.h"
#include "tiers/runner/clock.h"
#include <assert.h>
#include <editline/readline.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define POLL_MS     2000u
#define STALE_MS    7000u /* without an answer to the polls */
#define CANCEL_MS   3000u
#define PATIENCE_MS 500u /* for the first connection, so that the first prompt is true */

/* libedit's callbacks carry no context. */
static struct {
    struct console *console;
    uv_poll_t input;
    uv_timer_t poll;
    char prompt[128];
    bool colour;
    char *line;   /* that libedit has handed over; NULL: the end of input */
    bool entered; /* it has */
    bool at_prompt, over;
    bool heard; /* a status came since the connection was made */
    bool mode_known;
    enum mode mode; /* as last heard */
    uint64_t heard_ms, interrupted_ms;
    struct id128 left[ROLLOUT_LANES]; /* that a second Ctrl-C cancels */
    uint32_t left_count;
    bool cancelling;
    struct pager pager;
    const char *saying; /* the line of the dialogue that runs; NULL: none does */
    enum render_form say_form;
} repl;

static void prompt(void);

/* --- the truthful prompt --------------------------------------------------------------------- */

/* ", 2 to approve", or nothing. */
static const char *count_text(uint32_t n, const char *what, char *ret, size_t size)
{
    ret[0] = '\0';
    if (n > 0)
        snprintf(ret, size, ", %u %s", n, what);
    return ret;
}

static void write_prompt(const struct mesh_status *s)
{
    struct console *c = repl.console;
    uint64_t now_ms = uv_now(c->loop);
    char a[32], b[32], waiting[32], approvals[32];
    if (!client_is_up(c->task.conf.client))
        snprintf(repl.prompt, sizeof repl.prompt, "mesh (not connected)> ");
    else if (!repl.heard)
        snprintf(repl.prompt, sizeof repl.prompt, "mesh> ");
    else if (now_ms - repl.heard_ms > STALE_MS)
        snprintf(repl.prompt, sizeof repl.prompt, "mesh (no answer for %llu s)> ",
                 (unsigned long long)(now_ms - repl.heard_ms) / 1000);
    else if (s)
        snprintf(repl.prompt, sizeof repl.prompt, "mesh[%s/%s %s%s%s%s%s]> ",
                 render_count(s->summary.active, a), render_count(s->summary.agents, b),
                 mode_name(s->mode), s->frozen ? " FROZEN" : "",
                 count_text(s->waiting, "waiting", waiting, sizeof waiting),
                 count_text(s->approvals, "to approve", approvals, sizeof approvals),
                 c->task.conf.read_only ? " read-only" : "");
}

/* Draws the prompt again when it says something else now; the typed line stays. */
static void renew_prompt(const struct mesh_status *s)
{
    char before[sizeof repl.prompt];
    memcpy(before, repl.prompt, sizeof before);
    write_prompt(s);
    if (!repl.at_prompt || strcmp(before, repl.prompt) == 0)
        return;
    fputs("\r\033[K", stdout);
    fflush(stdout);
    rl_set_prompt(repl.prompt);
    rl_forced_update_display();
}

/* A change of the mode is said once, above the line that is typed. */
static void announce_mode(const struct mesh_status *s)
{
    const char *what = mode_restrictions(s->mode);
    bool changed = repl.mode_known && repl.mode != s->mode;
    enum mode before = repl.mode;
    repl.mode = s->mode;
    repl.mode_known = true;
    if (!changed || !repl.at_prompt)
        return;
    printf("\r\033[K%s -> %s: %s%s%s\n", mode_name(before), mode_name(s->mode),
           mode_description(s->mode), *what ? ": " : "", what);
    fflush(stdout);
    rl_forced_update_display();
}

static void on_status(void *ctx, const struct reply *reply)
{
    (void)ctx;
    if (reply->kind != REPLY_STATUS)
        return;
    announce_mode(reply->status);
    repl.heard = true;
    repl.heard_ms = uv_now(repl.console->loop);
    renew_prompt(reply->status);
}

static void on_poll(uv_timer_t *timer)
{
    static uint64_t ref = UINT64_C(1) << 63; /* apart from the tasks' own */
    struct console *c = repl.console;
    (void)timer;
    if (!repl.at_prompt)
        return;
    if (!client_is_up(c->task.conf.client))
        repl.heard = false;
    renew_prompt(NULL);
    const struct command ask = {.kind = COMMAND_STATUS, .ref = ++ref};
    if (client_is_up(c->task.conf.client))
        (void)client_command(c->task.conf.client, c->task.conf.via, &ask, on_status, NULL);
}

/* --- lines ----------------------------------------------------------------------------------- */

static void leave(int code)
{
    repl.over = true;
    repl.at_prompt = false;
    repl.console->exit_code = code;
    rl_callback_handler_remove();
    uv_poll_stop(&repl.input);
    uv_stop(repl.console->loop);
}

static void say_on(void);
static void cancel_interrupted(void);

static void on_command_done(void *ctx, int exit_code)
{
    struct task *t = &repl.console->task;
    (void)ctx;
    repl.console->exit_code = exit_code;
    if (exit_code != EXIT_TIMEOUT) /* nobody was asked while it ran: patience begins anew */
        repl.heard_ms = uv_now(t->conf.loop);
    t->render.out = stdout;
    pager_show(&repl.pager);
    repl.cancelling = repl.cancelling && repl.left_count > 0;
    if (repl.cancelling) {
        cancel_interrupted();
        return;
    }
    if (repl.saying) {
        talk_ended(&repl.console->talk, repl.saying, exit_code, &t->inquiry.findings);
        say_on();
        return;
    }
    prompt();
}

/* What draws by itself, again and again, and what tells step by step what it does: that is to be
 * seen when it happens, and not when the whole is there for the pager. */
static bool is_told_at_once(const char *const words[], size_t count)
{
    static const char *const verbs[] = {"watch",    "top",   "delegate", "pipeline",
                                        "reassign", "heal",  "freeze",   "thaw",
                                        "move",     "scale", "cancel",   "wait"};
    static const char *const flags[] = {"--canary", "--waves", "--batch"};
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++)
        if (strcmp(words[0], verbs[i]) == 0)
            return true;
    for (size_t k = 1; k < count; k++)
        for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
            if (strncmp(words[k], flags[i], strlen(flags[i])) == 0)
                return true;
    return false;
}

static void run_words(const char *const words[], size_t count, enum render_form form)
{
    struct task *t = &repl.console->task;
    repl.at_prompt = false;
    rl_callback_handler_remove();
    uv_poll_stop(&repl.input);
    FILE *page = is_told_at_once(words, count) ? NULL : pager_open(&repl.pager);
    t->render.out = page ? page : stdout;
    task_start(t, words, count, form, on_command_done, NULL);
}

/* The next line of the dialogue, or its end. */
static void say_on(void)
{
    static char room[COMMAND_LINE_BYTES_MAX];
    const char *words[COMMAND_WORDS_MAX], *why = NULL;
    struct console *c = repl.console;
    struct render r = c->task.render;
    size_t count = 0;
    r.form = repl.say_form;
    r.json = repl.say_form == FORM_JSON;
    repl.saying = talk_next(&c->talk, &r);
    if (repl.saying) {
        bool split = command_split(repl.saying, room, sizeof room, words, &count, &why);
        assert(split && count > 0); /* it was parsed when it was planned */
        (void)split;
        run_words(words, count, repl.say_form);
        return;
    }
    talk_finish(&c->talk, &r, clock_unix_us());
    prompt();
}

static void say(const char *text, enum render_form form)
{
    char error[COMMAND_ERROR_MAX];
    struct console *c = repl.console;
    repl.say_form = form;
    if (!console_plan(c, text, error)) {
        render_error(&c->task.render, "usage", error);
        return;
    }
    repl.at_prompt = false;
    rl_callback_handler_remove();
    uv_poll_stop(&repl.input);
    say_on();
}

/* Three words or more that begin with nothing like a command: a sentence, for the model. */
static bool is_sentence(const char *line)
{
    char first[32];
    size_t words = 0, bytes = strcspn(line, " ");
    snprintf(first, sizeof first, "%.*s", (int)(bytes < 31 ? bytes : 31), line);
    for (const char *at = line; *at; at += strspn(at, " ")) {
        words++;
        at += strcspn(at, " ");
    }
    return words >= 3 && line[0] != '#' && line[0] != '-' && !command_suggest(first);
}

/* Whether a line is words for the dialogue: it says so, or its first word is no command and the
 * grammar understands it, or a model that is configured might. */
static bool is_said(const char *line, char room[GRAMMAR_TEXT_MAX])
{
    const struct console *c = repl.console;
    line += strspn(line, " ");
    size_t bytes = strcspn(line, " ");
    if (console_said(line, room))
        return true;
    if (bytes == 0 || strlen(line) >= GRAMMAR_TEXT_MAX || command_find(line, bytes))
        return false;
    snprintf(room, GRAMMAR_TEXT_MAX, "%s", line);
    return grammar_speaks(line, c->task.render.topology, &c->talk.subject) ||
           (c->model.url && *c->model.url && is_sentence(line));
}

static void take_line(char *line)
{
    char said[GRAMMAR_TEXT_MAX];
    static char room[COMMAND_LINE_BYTES_MAX];
    const char *words[COMMAND_WORDS_MAX], *why = NULL;
    char error[COMMAND_ERROR_MAX];
    size_t count = 0;
    bool quit = false;
    int code;
    if (!line) {
        putchar('\n');
        leave(EXIT_OK);
        return;
    }
    history_keep(line);
    if (is_said(line, said)) {
        free(line);
        say(said, repl.console->form);
        return;
    }
    bool split = command_split(line, room, sizeof room, words, &count, &why);
    free(line);
    if (!split) {
        render_error(&repl.console->task.render, "usage", why);
        return;
    }
    enum render_form form = repl.console->form;
    if (!console_take_form(words, &count, &form, error)) {
        render_error(&repl.console->task.render, "usage", error);
        return;
    }
    if (count == 0)
        return;
    if (console_local(repl.console, words, count, form, &quit, &code)) {
        fflush(stdout);
        if (quit)
            leave(EXIT_OK);
        return;
    }
    run_words(words, count, form);
}

/* Called from within libedit, which goes on as if the next line were read in one piece: the line is
 * taken when it has returned. */
static void on_line(char *line)
{
    repl.line = line;
    repl.entered = true;
    repl.at_prompt = false;
    rl_callback_handler_remove();
}

/* Unless something runs now, or this was the end, the prompt comes back. */
static void line_entered(void)
{
    char *line = repl.line;
    repl.entered = false;
    repl.line = NULL;
    take_line(line);
    if (!repl.over && !repl.at_prompt && !repl.console->task.running)
        prompt();
}

/* --- typing ---------------------------------------------------------------------------------- */

static void clear_hint(void)
{
    if (repl.colour && rl_point == rl_end)
        fputs("\033[K", stdout);
    fflush(stdout);
}

/* Grey, behind the cursor, within the line: libedit never learns of it. */
static void show_hint(void)
{
    char hint[256];
    int rows = 0, columns = 0;
    if (!repl.colour || !repl.at_prompt || rl_end == 0 || rl_point != rl_end)
        return;
    rl_get_screen_size(&rows, &columns);
    int room = columns - (int)strlen(repl.prompt) - rl_end - 2;
    if (room < 8 || complete_hint(rl_line_buffer, hint, sizeof hint) == 0)
        return;
    int shown = printf(" \033[90m%.*s\033[0m", room, hint) - 9;
    printf("\033[%dD", shown);
    fflush(stdout);
}

static void on_input(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)events;
    if (status < 0) {
        leave(EXIT_FAILED);
        return;
    }
    clear_hint();
    rl_point = rl_end = 0; /* libedit does not tell when the line has become empty */
    rl_callback_read_char();
    if (repl.entered)
        line_entered();
    else
        show_hint();
}

static void prompt(void)
{
    repl.at_prompt = true;
    write_prompt(NULL);
    rl_callback_handler_install(repl.prompt, on_line);
    uv_poll_start(&repl.input, UV_READABLE, on_input);
}

static char *next_completion(const char *text, int state)
{
    static struct completions found;
    static size_t at;
    (void)text;
    if (state == 0) {
        char line[4096];
        snprintf(line, sizeof line, "%.*s", rl_point < 4095 ? rl_point : 4095, rl_line_buffer);
        complete_line(repl.console->task.render.topology, repl.console->task.conf.actions, line,
                      &found);
        at = 0;
    }
    return at < found.count ? strdup(found.words[at++]) : NULL;
}

static char **complete(const char *text, int start, int end)
{
    (void)start, (void)end;
    rl_attempted_completion_over = 1;
    return rl_completion_matches(text, next_completion);
}

/* What the last command left in the mesh, one after the other. */
static void cancel_interrupted(void)
{
    char id[ID128_TEXT_MAX];
    const char *words[] = {"cancel", id};
    num_id128_format(repl.left[--repl.left_count], id);
    repl.interrupted_ms = 0;
    run_words(words, 2, repl.console->form);
}

static void on_interrupt(uv_signal_t *handle, int number)
{
    struct task *t = &repl.console->task;
    (void)handle, (void)number;
    uv_update_time(t->conf.loop);
    if (t->running) {
        bool first = !t->interrupted;
        task_interrupt(t);
        repl.left_count = first ? t->left_count : 0;
        memcpy(repl.left, t->left, sizeof repl.left);
        repl.interrupted_ms = repl.left_count > 0 ? uv_now(t->conf.loop) : 0;
        return;
    }
    if (repl.interrupted_ms && uv_now(t->conf.loop) - repl.interrupted_ms < CANCEL_MS) {
        putchar('\n');
        repl.cancelling = true;
        cancel_interrupted();
        return;
    }
    fputs("^C\n", stdout);
    rl_callback_handler_remove();
    prompt();
}

/* --- life ------------------------------------------------------------------------------------ */

static void on_patience(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* The first prompt tells the truth, if the mesh can be reached at all. */
static void wait_for_link(struct console *c)
{
    static uv_timer_t timer;
    bool over = false;
    timer.data = &over;
    uv_timer_init(c->loop, &timer);
    uv_timer_start(&timer, on_patience, PATIENCE_MS, 0);
    while (!over && !client_is_up(c->task.conf.client))
        uv_run(c->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
}

int console_repl(struct console *c)
{
    const char *terminal = getenv("TERM"), *no_color = getenv("NO_COLOR");
    assert(c);
    memset(&repl, 0, sizeof repl);
    repl.console = c;
    c->task.conf.again = "; so does Ctrl-C again within 3 s";
    c->task.conf.lingers = false; /* the prompt waits for it */
    repl.colour = isatty(STDOUT_FILENO) && !(no_color && no_color[0]) && terminal &&
                  strcmp(terminal, "dumb") != 0;
    /* libedit drops what is no character of the locale: text is UTF-8, also where none is set. */
    if (!setlocale(LC_CTYPE, "") || MB_CUR_MAX == 1)
        (void)setlocale(LC_CTYPE, "C.UTF-8");
    rl_readline_name = "mesh";
    rl_catch_signals = 0;
    rl_attempted_completion_function = complete;
    rl_basic_word_break_characters = " \t\n\"\\'`$><=;|&{("; /* without @: it names lists */
    history_open();
    uv_signal_start(&c->interrupt, on_interrupt, SIGINT);
    int error = uv_poll_init(c->loop, &repl.input, STDIN_FILENO);
    if (error) {
        fprintf(stderr, "mesh: cannot read the terminal: %s\n", uv_strerror(error));
        return EXIT_FAILED;
    }
    puts("MESH-30K console. 'help' lists the commands, Tab completes, Ctrl-D leaves.");
    wait_for_link(c);
    uv_timer_init(c->loop, &repl.poll);
    uv_timer_start(&repl.poll, on_poll, 0, POLL_MS);
    prompt();
    while (!repl.over)
        uv_run(c->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&repl.input, NULL);
    uv_close((uv_handle_t *)&repl.poll, NULL);
    return EXIT_OK;
}
