/* Words read by a model behind a scripted HTTP server: what is asked, what is taken, what is not.
 */
#include "tests/support/http_script.h"
#include "tiers/console/interpreter.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define NOW_US          (INT64_C(1795000000) * US_PER_S)
#define OK_HEAD         "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"
#define CHOICE(content) OK_HEAD "{\"choices\":[{\"message\":{\"content\":\"" content "\"}}]}"

static uv_loop_t loop;
static struct http_script *server;
static char url[64], error[COMMAND_ERROR_MAX];
static struct talk talk;
static struct render render;
static struct interpreter model = {.url = url, .model = "small", .timeout_us = 2 * US_PER_S};
static atomic_bool ended;
static bool good;

static int setup(void **state)
{
    (void)state;
    assert_int_equal(uv_loop_init(&loop), 0);
    server = http_script_new(&loop);
    snprintf(url, sizeof url, "http://127.0.0.1:%u/v1/", http_script_port(server));
    memset(&talk, 0, sizeof talk);
    model.timeout_us = 2 * US_PER_S;
    render.out = tmpfile();
    assert_non_null(render.out);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    fclose(render.out);
    http_script_close(server);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    http_script_free(server);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static void ask(void *text)
{
    good = interpreter_say(&model, &talk, text, NOW_US, error);
    atomic_store(&ended, true);
}

/* The request waits on a thread of its own, the server answers on this one. */
static bool say(const char *text)
{
    char words[256];
    uv_thread_t thread;
    snprintf(words, sizeof words, "%s", text);
    atomic_store(&ended, false);
    error[0] = '\0';
    assert_int_equal(uv_thread_create(&thread, ask, words), 0);
    while (!atomic_load(&ended)) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
        usleep(500);
    }
    assert_int_equal(uv_thread_join(&thread), 0);
    return good;
}

static void what_reads_is_run_and_what_acts_is_proposed(void **state)
{
    (void)state;
    snprintf(talk.subject.scope, sizeof talk.subject.scope, "s07");
    assert_int_equal(setenv(INTERPRETER_TOKEN, "sesame", 1), 0);
    http_script_say(server, CHOICE("{\\\"commands\\\":[\\\"diagnose s07\\\",\\\"freeze s07\\\"]}"),
                    0);
    assert_true(say("bring the seventh to a standstill"));
    assert_int_equal(unsetenv(INTERPRETER_TOKEN), 0);
    const char *asked = http_script_asked(server);
    assert_non_null(strstr(asked, "POST /v1/chat/completions"));
    assert_non_null(strstr(asked, "Authorization: Bearer sesame"));
    assert_non_null(strstr(asked, "\"model\":\"small\""));
    assert_non_null(strstr(asked, "bring the seventh to a standstill"));
    assert_non_null(strstr(asked, "Spoken of last: s07"));
    assert_non_null(strstr(asked, "\\nfreeze "));
    assert_non_null(strstr(asked, "\"json_schema\""));
    assert_string_equal(talk_next(&talk, &render), "diagnose s07");
    assert_null(talk_next(&talk, &render));
    talk_finish(&talk, &render, NOW_US);
    assert_int_equal(talk.proposal.count, 1);
    assert_string_equal(talk.proposal.lines[0], "freeze s07 --yes");
}

static void a_yes_is_never_the_models(void **state)
{
    (void)state;
    http_script_say(server, CHOICE("{\\\"commands\\\":[\\\"freeze s07 --yes\\\"]}"), 0);
    assert_true(say("stop it"));
    assert_null(talk_next(&talk, &render));
    talk_finish(&talk, &render, NOW_US);
    http_script_say(server, CHOICE("{\\\"commands\\\":[\\\"freeze s07 --yes\\\"]}"), 0);
    assert_true(
        say("and again")); /* what is proposed already, said by the model, is not agreed to */
    assert_null(talk_next(&talk, &render));
    talk_finish(&talk, &render, NOW_US);
    assert_int_equal(talk.proposal.count, 1);
    http_script_say(server, CHOICE("{\\\"commands\\\":[\\\"yes\\\"]}"), 0);
    assert_false(say("you decide"));
    assert_null(talk_next(&talk, &render));
}

static void what_is_no_answer_is_one_line(void **state)
{
    (void)state;
    static char flood[INTERPRETER_ANSWER_MAX + 1000];
    static const struct {
        const char *answer, *error;
    } cases[] = {
        {CHOICE("{\\\"commands\\\":[\\\"status\\\",\\\"rm -rf /\\\"]}"), "make no sense"},
        {CHOICE("{\\\"commands\\\":[\\\"sector s99\\\\nfreeze all\\\"]}"),
         "command 1 of the model"},
        {CHOICE("{\\\"commands\\\":[7]}"), "command 1 of the model"},
        {CHOICE("{\\\"commands\\\":[]}"), "by the model either"},
        {CHOICE("{\\\"commands\\\":\\\"status\\\"}"), "without {\"commands\""},
        {CHOICE("Sure! status"), "without {\"commands\""},
        {CHOICE("{\\\"commands\\\":[\\\"status\\\",\\\"status\\\",\\\"status\\\",\\\"status\\\","
                "\\\"status\\\",\\\"status\\\",\\\"status\\\",\\\"status\\\",\\\"status\\\"]}"),
         "at most 8 lines"},
        {OK_HEAD "{\"choices\":[]}", "without {\"commands\""},
        {OK_HEAD "not json", "without {\"commands\""},
        {OK_HEAD, "without {\"commands\""},
        {"HTTP/1.1 503 Busy\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", "HTTP status 503"},
        {"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n",
         "HTTP status 302"},
        {"nonsense\r\n\r\n", "the model at "},
        {flood, "more than 64 KiB"},
    };
    size_t head = (size_t)snprintf(flood, sizeof flood, "%s", OK_HEAD);
    memset(flood + head, 'x', sizeof flood - head - 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_script_say(server, cases[i].answer, 0);
        assert_false(say("colourless green ideas"));
        assert_non_null(strstr(error, cases[i].error));
        assert_null(strchr(error, '\n'));
        assert_null(talk_next(&talk, &render));
    }
}

static void silence_ends(void **state)
{
    (void)state;
    model.timeout_us = US_PER_S / 5;
    http_script_say(server, OK_HEAD, 5000);
    assert_false(say("hello?"));
    assert_non_null(strstr(error, "the model at http://127.0.0.1:"));
    snprintf(url, sizeof url, "http://127.0.0.1:1/v1");
    assert_false(say("hello?")); /* nobody is there */
    assert_non_null(strstr(error, "the model at http://127.0.0.1:1/v1: "));
}

static void words_stay_here_or_go_over_tls(void **state)
{
    (void)state;
    assert_null(interpreter_url_problem("https://models.example/v1"));
    assert_null(interpreter_url_problem("http://localhost:8080/v1"));
    assert_null(interpreter_url_problem("http://[::1]/v1"));
    assert_null(interpreter_url_problem("http://127.0.0.1"));
    assert_non_null(interpreter_url_problem("http://models.example/v1"));
    assert_non_null(interpreter_url_problem("http://localhost.example/v1"));
    assert_non_null(interpreter_url_problem("https://user:secret@models.example/"));
    assert_non_null(interpreter_url_problem("file:///etc/passwd"));
    assert_non_null(interpreter_url_problem("https://"));
    snprintf(url, sizeof url, "http://models.example/v1");
    assert_false(say("hello"));
    assert_non_null(strstr(error, "talk_url http://models.example/v1: https://HOST"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_reads_is_run_and_what_acts_is_proposed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_yes_is_never_the_models, setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_no_answer_is_one_line, setup, teardown),
        cmocka_unit_test_setup_teardown(silence_ends, setup, teardown),
        cmocka_unit_test_setup_teardown(words_stay_here_or_go_over_tls, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
