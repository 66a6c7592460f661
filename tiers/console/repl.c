/* The prompt. libedit in callback mode on the loop: typing never stops the connection's upkeep, and
 * a command that runs takes the terminal until it is done. History is kept in a file of mode 0600
 * under XDG_STATE_HOME, HISTORY_LINES lines at most, without lines that start with a blank. */
#include "tiers/console/console.h"
#include "tiers/runner/client.h"
#include <assert.h>
#include <editline/readline.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HISTORY_LINES 1000

/* libedit's callbacks carry no context. */
static struct {
    struct console *console;
    uv_poll_t input;
    char history[PATH_MAX];
    bool over;
} repl;

static void prompt(void);

static const char *prompt_text(void)
{
    return client_is_up(repl.console->task.conf.client) ? "mesh> " : "mesh (not connected)> ";
}

static void history_path(void)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char folder[PATH_MAX - 16];
    repl.history[0] = '\0';
    if (state && state[0] == '/')
        snprintf(folder, sizeof folder, "%s", state);
    else if (home && home[0] == '/')
        snprintf(folder, sizeof folder, "%s/.local/state", home);
    else
        return;
    for (char *at = folder + 1;; at++)
        if (*at == '/' || *at == '\0') {
            char was = *at;
            *at = '\0';
            if (mkdir(folder, 0700) != 0 && errno != EEXIST)
                return;
            *at = was;
            if (!was)
                break;
        }
    snprintf(repl.history, sizeof repl.history, "%s/mesh_history", folder);
    int fd = open(repl.history, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0) {
        repl.history[0] = '\0';
        return;
    }
    close(fd);
    stifle_history(HISTORY_LINES);
    read_history(repl.history);
}

static void leave(int code)
{
    repl.over = true;
    repl.console->exit_code = code;
    rl_callback_handler_remove();
    uv_poll_stop(&repl.input);
    uv_stop(repl.console->loop);
}

static void on_command_done(void *ctx, int exit_code)
{
    (void)ctx;
    repl.console->exit_code = exit_code;
    prompt();
}

static void on_line(char *line)
{
    static char room[COMMAND_LINE_BYTES_MAX];
    const char *words[COMMAND_WORDS_MAX], *why = NULL;
    size_t count = 0;
    bool quit = false;
    int code;
    if (!line) {
        putchar('\n');
        leave(EXIT_OK);
        return;
    }
    if (line[0] && line[0] != ' ') {
        add_history(line);
        if (repl.history[0])
            write_history(repl.history);
    }
    bool split = command_split(line, room, sizeof room, words, &count, &why);
    free(line);
    if (!split) {
        render_error(&repl.console->task.render, "usage", why);
        return;
    }
    bool json = console_take_json(words, &count) || repl.console->json;
    if (count == 0)
        return;
    if (console_local(repl.console, words, count, &quit, &code)) {
        fflush(stdout);
        if (quit)
            leave(EXIT_OK);
        return;
    }
    rl_callback_handler_remove();
    uv_poll_stop(&repl.input);
    task_start(&repl.console->task, words, count, json, on_command_done, NULL);
}

static void on_input(uv_poll_t *poll, int status, int events)
{
    (void)poll, (void)events;
    if (status < 0) {
        leave(EXIT_FAILED);
        return;
    }
    rl_callback_read_char();
}

static void prompt(void)
{
    rl_callback_handler_install(prompt_text(), on_line);
    uv_poll_start(&repl.input, UV_READABLE, on_input);
}

static char *next_completion(const char *text, int state)
{
    static const char *found[64];
    static char flags[2048];
    static size_t count, at;
    (void)text;
    if (state == 0) {
        char line[4096];
        snprintf(line, sizeof line, "%.*s", rl_point < 4095 ? rl_point : 4095, rl_line_buffer);
        count = command_complete(line, found, 64, flags, sizeof flags);
        at = 0;
    }
    return at < count ? strdup(found[at++]) : NULL;
}

static char **complete(const char *text, int start, int end)
{
    (void)start, (void)end;
    rl_attempted_completion_over = 1;
    return rl_completion_matches(text, next_completion);
}

/* At the prompt Ctrl-C clears the line; while a command runs it interrupts that. */
static void on_interrupt(uv_signal_t *handle, int number)
{
    (void)handle, (void)number;
    if (repl.console->task.running) {
        task_interrupt(&repl.console->task);
        return;
    }
    fputs("^C\n", stdout);
    rl_callback_handler_remove();
    prompt();
}

static void on_patience(uv_timer_t *timer)
{
    *(bool *)timer->data = true;
}

/* The first prompt tells the truth: half a second for the connection. */
static void wait_for_link(struct console *c)
{
    static uv_timer_t timer;
    bool over = false;
    timer.data = &over;
    uv_timer_init(c->loop, &timer);
    uv_timer_start(&timer, on_patience, 500, 0);
    while (!over && !client_is_up(c->task.conf.client))
        uv_run(c->loop, UV_RUN_ONCE);
    uv_close((uv_handle_t *)&timer, NULL);
}

int console_repl(struct console *c)
{
    assert(c);
    memset(&repl, 0, sizeof repl);
    repl.console = c;
    rl_readline_name = "mesh";
    rl_catch_signals = 0;
    rl_attempted_completion_function = complete;
    history_path();
    uv_signal_start(&c->interrupt, on_interrupt, SIGINT);
    int error = uv_poll_init(c->loop, &repl.input, STDIN_FILENO);
    if (error) {
        fprintf(stderr, "mesh: cannot read the terminal: %s\n", uv_strerror(error));
        return EXIT_FAILED;
    }
    puts("MESH-30K console. 'help' lists the commands, Tab completes, Ctrl-D leaves.");
    wait_for_link(c);
    prompt();
    while (!repl.over)
        uv_run(c->loop, UV_RUN_DEFAULT);
    uv_close((uv_handle_t *)&repl.input, NULL);
    return EXIT_OK;
}
