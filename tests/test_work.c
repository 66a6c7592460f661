/* Handlers that do real work: programs that answer, fail, hang, flood, fork and daemonise; HTTP
 * endpoints and models that stall, break off, refuse and talk nonsense; people at their desk. */
#include "tiers/work/work.h"

#include "core/num.h"
#include "core/utf8.h"
#include "tests/support/http_script.h"
#include "tiers/runner/clock.h"
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define RUNS_MAX 520u

struct trial {
    bool done;
    enum outcome verdict;
    enum reason reason;
    char text[4096];
    size_t count;
    bool has_conflict;
    char received[300];
    uint32_t progresses;
    char partial[1100], first[1100]; /* the newest word, and the first */
    void *job;
};

static uv_loop_t loop;
static struct topology topology;
static struct action_table table;
static struct executor *executor;
static struct trial runs[RUNS_MAX];
static char file[] = "/tmp/mesh-actions-XXXXXX";
static struct http_script *server;

static bool streams; /* then a word is short, and of whole characters */

static void on_progress(void *at, const uint8_t *bytes, size_t count)
{
    struct trial *r = at;
    assert_false(r->done);
    if (streams) {
        assert_true(count > 0 && count <= WORD_BYTES_MAX);
        assert_int_equal(utf8_whole(bytes, count), count);
        assert_int_equal(utf8_begin(bytes, count), 0);
        assert_null(memchr(bytes, '\n', count));
    }
    r->progresses++;
    (void)snprintf(r->partial, sizeof(r->partial), "%.*s", (int)count, (const char *)bytes);
    if (r->progresses == 1) {
        memcpy(r->first, r->partial, sizeof(r->first));
    }
}

static void on_done(void *at, const struct executor_answer *answer)
{
    struct trial *r = at;
    assert_false(r->done);
    r->done = true;
    r->verdict = answer->verdict;
    r->reason = answer->reason;
    r->count = answer->count;
    (void)snprintf(r->text, sizeof(r->text), "%.*s", (int)answer->count,
                   answer->bytes != NULL ? (const char *)answer->bytes : "");
    r->has_conflict = answer->conflict != NULL;
    if (r->has_conflict) {
        (void)snprintf(r->received, sizeof(r->received), "%.*s",
                       (int)answer->conflict->received_bytes,
                       (const char *)answer->conflict->received);
    }
}

/* Actions from text; the executor on the loop. */
static void open_actions(const char *text)
{
    struct action_problem problem = {""};
    const char *why = NULL;
    const struct executor_host host = {.progress = on_progress, .done = on_done};
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    topology_default(30000, &topology);
    if (!action_file_load(file, &topology, true, &table, &problem)) {
        fail_msg("%s", problem.text);
    }
    executor = work_new(&loop, &table, &host, &why);
    assert_non_null(executor);
    memset(runs, 0, sizeof(runs));
}

static int setup(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&loop), 0);
    server = NULL;
    streams = false;
    return 0;
}

static void on_walk(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        print_message("a handle of type %s was left open\n", uv_handle_type_name(handle->type));
        fail();
    }
}

static int teardown(void **state)
{
    (void)state;
    if (server != NULL) {
        http_script_close(server);
    }
    executor->close(executor->self);
    for (int i = 0; i < 3; i++) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    uv_walk(&loop, on_walk, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    work_free(executor);
    action_table_done(&table);
    http_script_free(server);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static struct trace_context given; /* of the operations that begin */

static struct trial *begin_at(uint32_t slot, const char *action, const char *payload,
                              struct unit agent, enum impedance_class c, int64_t ttl_ms)
{
    struct operation op = {.priority = 2, .payload = (const uint8_t *)payload};
    struct trial *r = &runs[slot];
    struct executor_answer answer = {0};
    (void)snprintf(op.action, sizeof(op.action), "%s", action);
    op.payload_bytes = (uint32_t)strlen(payload);
    op.trace = given;
    op.id.bytes[15] = (uint8_t)slot;
    op.id.bytes[14] = (uint8_t)(slot >> 8);
    struct handler_call call = {.operation = &op,
                                .trace = span_context(&op.trace, op.id, 1.0),
                                .topology = &topology,
                                .unit = agent,
                                .agent_class = c};
    *r = (struct trial){0};
    r->job =
        executor->start(executor->self, &call, clock_boot_us() + ttl_ms * US_PER_MS, r, &answer);
    if (r->job == NULL) {
        on_done(r, &answer);
    } else {
        assert_false(r->done); /* never from inside start */
    }
    return r;
}

static struct trial *begin(const char *action, const char *payload)
{
    static uint32_t next;
    return begin_at(next++ % RUNS_MAX, action, payload, unit_agent(7, 1, 3), CLASS_C_PERSISTENT,
                    20000);
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

static void turn_until(const bool *done, int64_t within_ms)
{
    int64_t end_us = clock_boot_us() + within_ms * US_PER_MS;
    uv_timer_t tick;
    (void)uv_timer_init(&loop, &tick);
    (void)uv_timer_start(&tick, on_tick, 10, 10);
    while ((done == NULL || !*done) && clock_boot_us() < end_us) {
        (void)uv_run(&loop, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
}

static void ends(struct trial *r, enum outcome verdict, const char *text)
{
    turn_until(&r->done, 30000);
    assert_true(r->done);
    if (r->verdict != verdict || strstr(r->text, text) == NULL) {
        fail_msg("verdict %s \"%s\", wanted %s \"%s\"", outcome_name(r->verdict), r->text,
                 outcome_name(verdict), text);
    }
}

static void settled(void)
{
    for (int i = 0; i < 200 && work_stats(executor)->running > 0; i++) {
        turn_until(NULL, 20);
    }
    assert_int_equal(work_stats(executor)->running, 0);
}

/* ---- programs ---- */

static const char programs[] =
    "[action count]\nhandler = exec\nprogram = /usr/bin/wc -c\noutput = text\neffect = reads\n"
    "[action env]\nhandler = exec\nprogram = /usr/bin/env\n"
    "[action upper]\nhandler = exec\nprogram = /usr/bin/tr a-z A-Z\ninput = text\noutput = text\n"
    "[action angry]\nhandler = exec\n"
    "program = /bin/sh -c 'echo partial; echo no such luck >&2; exit 3'\n"
    "[action divided]\nhandler = exec\nprogram = /bin/sh -c 'printf blue; exit 77'\n"
    "[action suicide]\nhandler = exec\nprogram = /bin/sh -c 'kill -9 $$'\n"
    "[action sleepy]\nhandler = exec\nprogram = /bin/sleep 60\ntimeout = 200ms\n"
    "[action flood]\nhandler = exec\nprogram = /usr/bin/yes\noutput_max = 64\n"
    "[action grumble]\nhandler = exec\n"
    "program = /bin/sh -c 'yes complaint | head -c 900000 >&2; echo fine'\noutput = text\n"
    "[action daemon]\nhandler = exec\n"
    "program = /bin/sh -c 'setsid sleep 61.25 >/dev/null 2>&1 & sleep 0.3; echo left'\noutput = "
    "text\n"
    "[action family]\nhandler = exec\n"
    "program = /bin/sh -c 'sleep 61.5 & sleep 61.5 & echo born'\noutput = text\n"
    "[action bomb]\nhandler = exec\nprocesses = 20\ntimeout = 20s\n"
    "program = /bin/sh -c 'i=0; while [ $i -lt 400 ]; do sleep 30 & i=$((i+1)); done; wait'\n"
    "[action slow]\nhandler = exec\nprogram = /bin/sh -c 'echo one; sleep 0.4; echo two'\n"
    "output = text\n"
    "[action greedy]\nhandler = exec\nmemory = 64\n"
    "program = /usr/bin/python3 -c 'x = bytearray(500_000_000); print(len(x))'\n"
    "[action single]\nhandler = exec\nprogram = /bin/sleep 1\nin_flight = 1\ntimeout = 1500ms\n"
    "[action json]\nhandler = exec\ninput = json text:string words:number?\noutput = json\n"
    "program = /bin/cat\n"
    "[action liar]\nhandler = exec\noutput = json\nprogram = /bin/echo {oops\n"
    "[action gpu]\nhandler = exec\nprogram = /bin/echo yes\ncapability = inference\n"
    "[action edge]\nhandler = exec\nprogram = /bin/echo yes\nclasses = A,B\n";

static void programs_answer(void **state)
{
    (void)state;
    open_actions(programs);
    ends(begin("count", "twelve bytes"), OUTCOME_READY, "12");
    ends(begin("count", ""), OUTCOME_READY, "0");
    ends(begin("upper", "shout"), OUTCOME_READY, "SHOUT");
    struct trial *r = begin("env", "");
    ends(r, OUTCOME_READY, "MESH_AGENT=s07.c1.a3");
    assert_non_null(strstr(r->text, "MESH_ACTION=env"));
    assert_non_null(strstr(r->text, "MESH_CLASS=CLASS_C_PERSISTENT"));
    assert_non_null(strstr(r->text, "TRACEPARENT=00-")); /* the operation is the trace */
    given = (struct trace_context){.trace.bytes = {0xab, 0xcd}, .parent = 5};
    r = begin("env", "");
    given = (struct trace_context){0};
    ends(r, OUTCOME_READY, "TRACEPARENT=00-abcd0000000000000000000000000000-");
    assert_null(strstr(r->text, "-0000000000000005-"));
    const char *at = strstr(r->text, "TRACEPARENT=");
    assert_memory_equal(at + sizeof("TRACEPARENT=") - 1 + 52, "-00",
                        3);                /* not sampled: passed on */
    assert_null(strstr(r->text, "USER=")); /* nothing of ours leaks */
    settled();
}

static void programs_fail_with_their_words(void **state)
{
    (void)state;
    open_actions(programs);
    ends(begin("angry", ""), OUTCOME_FAILED, "exit 3: no such luck");
    struct trial *r = begin("divided", "");
    ends(r, OUTCOME_CONFLICT, "");
    assert_true(r->has_conflict);
    assert_string_equal(r->received, "blue");
    ends(begin("suicide", ""), OUTCOME_FAILED, "killed by signal 9");
    r = begin("grumble", ""); /* stderr never blocks it, however much */
    ends(r, OUTCOME_READY, "fine");
    ends(begin("greedy", ""), OUTCOME_FAILED, "MemoryError");
    settled();
}

static uint32_t processes_like(const char *pattern)
{
    char command[200];
    unsigned n = 0;
    (void)snprintf(command, sizeof(command), "pgrep -c -f '%s'", pattern);
    FILE *f = popen(command, "r");
    assert_non_null(f);
    assert_int_equal(fscanf(f, "%u", &n), 1);
    (void)pclose(f);
    return n;
}

static void what_misbehaves_costs_only_itself(void **state)
{
    (void)state;
    open_actions(programs);
    ends(begin("sleepy", ""), OUTCOME_TIMEOUT_EXECUTION, "was not done and was ended");
    ends(begin("flood", ""), OUTCOME_FAILED, "more than 64 KiB");
    ends(begin("family", ""), OUTCOME_READY, "born");
    ends(begin("daemon", ""), OUTCOME_READY, "left");
    ends(begin("bomb", ""), OUTCOME_FAILED, "processes");
    settled();
    for (int i = 0; i < 100 && (processes_like("^sleep 61[.]") > 0); i++) {
        turn_until(NULL, 50);
    }
    assert_int_equal(processes_like("^sleep 61[.]"), 0);
    assert_true(work_stats(executor)->strays_killed >= 1);
    ends(begin("upper", "still here"), OUTCOME_READY, "STILL HERE");
}

static void partial_output_comes_up(void **state)
{
    (void)state;
    open_actions(programs);
    struct trial *r = begin("slow", "");
    ends(r, OUTCOME_READY, "one\ntwo");
    assert_true(r->progresses >= 1);
    assert_memory_equal(r->partial, "one\n", 4);
}

static void a_cancel_ends_the_program(void **state)
{
    (void)state;
    open_actions(programs);
    struct trial *r = begin("sleepy", "");
    turn_until(NULL, 60);
    assert_int_equal(work_stats(executor)->running, 1);
    executor->cancel(executor->self, r->job);
    settled();
    assert_false(r->done);
    assert_int_equal(work_stats(executor)->cancelled, 1);
}

static void five_hundred_at_once_and_none_lost(void **state)
{
    char gate[] = "/tmp/mesh-gate-XXXXXX", text[200];
    (void)state;
    assert_non_null(mkdtemp(gate));
    (void)snprintf(text, sizeof(text),
                   "[action wait]\nhandler = exec\nprogram = /bin/cat %s/pipe\ntimeout = 5m\n",
                   gate);
    char pipe[64];
    (void)snprintf(pipe, sizeof(pipe), "%s/pipe", gate);
    assert_int_equal(mkfifo(pipe, 0600), 0);
    open_actions(text);
    for (uint32_t i = 0; i < 500; i++) {
        (void)begin_at(i, "wait", "", unit_agent(1, 1, (uint16_t)(i % 30 + 1)), CLASS_C_PERSISTENT,
                       300000);
    }
    for (int k = 0; k < 6000 && work_stats(executor)->running < 500; k++) {
        turn_until(NULL, 10);
    }
    assert_int_equal(work_stats(executor)->running, 500); /* all of them wait for a writer */
    char like[64];
    (void)snprintf(like, sizeof(like), "^/bin/cat %s", gate);
    for (int k = 0; k < 600 && processes_like(like) < 500; k++) {
        turn_until(NULL, 100);
    }
    assert_int_equal(processes_like(like), 500); /* at once */
    for (int k = 0; k < 6000 && work_stats(executor)->running > 0; k++) {
        int fd = open(pipe, O_WRONLY | O_NONBLOCK | O_CLOEXEC); /* lets go who has opened it */
        assert_true(fd >= 0 || errno == ENXIO);
        assert_true(fd < 0 || close(fd) == 0);
        turn_until(NULL, 10);
    }
    for (uint32_t i = 0; i < 500; i++) {
        turn_until(&runs[i].done, 60000);
        assert_true(runs[i].done);
        assert_int_equal(runs[i].verdict, OUTCOME_READY);
    }
    settled();
    assert_int_equal(unlink(pipe), 0);
    assert_int_equal(rmdir(gate), 0);
}

/* The pool's four threads have more to start than fits at once: whatever is taken back in between
 * leaves no process and keeps no place. */
static void what_is_cancelled_while_it_starts_is_ended(void **state)
{
    (void)state;
    open_actions("[action nap]\nhandler = exec\nprogram = /bin/sleep 63.5\ntimeout = 5m\n");
    struct trial *all[60];
    for (uint32_t i = 0; i < 60; i++) {
        all[i] = begin("nap", "");
    }
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    for (uint32_t i = 0; i < 60; i++) {
        executor->cancel(executor->self, all[i]->job);
    }
    for (int i = 0; i < 500 && work_stats(executor)->running > 0; i++) {
        turn_until(NULL, 20);
    }
    settled();
    assert_int_equal(processes_like("^/bin/sleep 63[.]5"), 0);
    assert_int_equal(work_stats(executor)->cancelled, 60);
}

static void what_cannot_be_started_says_why(void **state)
{
    char folder[] = "/tmp/mesh-gone-XXXXXX", text[200], path[64];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof(path), "%s/program", folder);
    assert_int_equal(symlink("/bin/true", path), 0);
    (void)snprintf(text, sizeof(text),
                   "[action gone]\nhandler = exec\nprogram = %s\n"
                   "[action who]\nhandler = exec\nprogram = /usr/bin/id -u\noutput = text\n"
                   "%s",
                   path, geteuid() == 0 ? "user = nobody\n" : "");
    open_actions(text);
    ends(begin("gone", ""), OUTCOME_READY, "");
    assert_int_equal(unlink(path), 0);
    ends(begin("gone", ""), OUTCOME_FAILED, "'gone' cannot be started: no such file or directory");
    ends(begin("who", ""), OUTCOME_READY, geteuid() == 0 ? "65534" : "");
    ends(begin("who", ""), OUTCOME_READY, ""); /* this process is still who it was */
    assert_true(geteuid() == getuid());
    assert_int_equal(rmdir(folder), 0);
    settled();
}

static void a_lane_has_a_limit_and_an_order(void **state)
{
    (void)state;
    open_actions(programs);
    struct trial *first = begin("single", ""), *second = begin("single", ""),
                 *third = begin("single", "");
    turn_until(NULL, 50);
    assert_int_equal(work_stats(executor)->running, 1);
    assert_int_equal(work_stats(executor)->waiting, 2);
    ends(first, OUTCOME_READY, "");
    ends(third, OUTCOME_TIMEOUT_EXECUTION, "still waiting for its turn");
    assert_int_equal(second->verdict, OUTCOME_TIMEOUT_EXECUTION); /* begun, but too late */
    settled();
}

static void inputs_and_outputs_are_checked(void **state)
{
    (void)state;
    open_actions(programs);
    ends(begin("json", "{\"text\":\"a\",\"words\":3}"), OUTCOME_READY, "\"words\":3");
    ends(begin("json", "{\"text\":3}"), OUTCOME_FAILED, "\"text\" is no string");
    ends(begin("json", "{\"words\":3}"), OUTCOME_FAILED, "lacks \"text\"");
    ends(begin("json", "{\"text\":\"a\",\"wrods\":3}"), OUTCOME_FAILED, "\"wrods\" is unknown");
    ends(begin("json", "{\"text\":"), OUTCOME_FAILED, "is not JSON");
    ends(begin("json", "[1]"), OUTCOME_FAILED, "no object");
    ends(begin("liar", ""), OUTCOME_FAILED, "the answer of 'liar' is not JSON");
    ends(begin("upper", "\xff\xfe"), OUTCOME_FAILED, "is not text");
    struct trial *r = begin("gpu", "");
    ends(r, OUTCOME_FAILED, "CLASS_C_PERSISTENT does not offer 'gpu'");
    assert_int_equal(r->reason, REASON_CAPABILITY);
    ends(begin("edge", ""), OUTCOME_FAILED, "does not offer");
    ends(begin_at(1, "edge", "", unit_agent(1, 1, 1), CLASS_A_EDGE, 5000), OUTCOME_READY, "yes");
    assert_false(executor->offers(executor->self, "nothing"));
}

/* ---- HTTP ---- */

static void open_web(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void open_web(const char *format, ...)
{
    char text[4000];
    va_list list;
    va_start(list, format);
    (void)vsnprintf(text, sizeof(text), format, list);
    va_end(list);
    open_actions(text);
}

#define OK_HEAD  "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/plain\r\n"
#define SSE_HEAD "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/event-stream\r\n\r\n"
#define DELTA(t) "data: {\"choices\":[{\"delta\":{\"content\":\"" t "\"}}]}\n\n"
#define STOP     "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define USAGE    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n"

static void endpoints_answer(void **state)
{
    (void)state;
    server = http_script_new(&loop);
    open_web("[action edge]\nhandler = http\nurl = http://127.0.0.1:%u/edge\nretries = 2\n"
             "header = X-Tenant: mesh\noutput_max = 4\n",
             http_script_port(server));
    struct unit a = unit_agent(1, 1, 1);
    http_script_say(server, OK_HEAD "Server-Timing: cpu;dur=12.5\r\n\r\nhello", 0);
    ends(begin_at(1, "edge", "in", a, CLASS_A_EDGE, 5000), OUTCOME_READY, "hello");
    const char *asked = http_script_asked(server);
    assert_non_null(strstr(asked, "POST /edge HTTP/1.1"));
    assert_non_null(strstr(asked, "X-Tenant: mesh"));
    assert_non_null(strstr(asked, "X-Mesh-Agent: s01.c1.a1"));
    assert_non_null(strstr(asked, "X-Mesh-Cpu-Limit-Ms: 50"));
    assert_non_null(strstr(asked, "traceparent: 00-"));
    assert_non_null(strstr(asked, "\r\n\r\nin"));
    http_script_say(server, OK_HEAD "Server-Timing: cpu;dur=63\r\n\r\nhello", 0);
    ends(begin_at(1, "edge", "", a, CLASS_A_EDGE, 5000), OUTCOME_FAILED,
         "used 63 ms of CPU; the limit is 50 ms");
    http_script_say(server, OK_HEAD "Server-Timing: cpu;dur=63\r\n\r\nhello", 0);
    ends(begin_at(1, "edge", "", a, CLASS_B_SERVERLESS, 5000), OUTCOME_READY, "hello");
    http_script_say(server, "HTTP/1.1 500 No\r\nConnection: close\r\n\r\nbroken inside", 0);
    ends(begin("edge", ""), OUTCOME_FAILED, "HTTP 500: broken inside");
    http_script_say(server, "HTTP/1.1 409 No\r\nConnection: close\r\n\r\nversion 8", 0);
    struct trial *r = begin("edge", "");
    ends(r, OUTCOME_CONFLICT, "");
    assert_string_equal(r->received, "version 8");
}

static void endpoints_are_tried_again(void **state)
{
    (void)state;
    server = http_script_new(&loop);
    open_web("[action edge]\nhandler = http\nurl = http://127.0.0.1:%u/\nretries = 2\n"
             "output_max = 1\n[action gone]\nhandler = http\nurl = http://127.0.0.1:1/\n"
             "retries = 1\n",
             http_script_port(server));
    http_script_say(server, "HTTP/1.1 429 Wait\r\nRetry-After: 1\r\nConnection: close\r\n\r\n", 0);
    http_script_say(server, OK_HEAD "\r\nsecond", 0);
    int64_t since_us = clock_boot_us();
    ends(begin("edge", "x"), OUTCOME_READY, "second");
    assert_true(clock_boot_us() - since_us >= US_PER_S); /* not before Retry-After */
    http_script_say(server, "", 0);                      /* closes at once */
    http_script_say(server, OK_HEAD "\r\nthird", 0);
    ends(begin("edge", "x"), OUTCOME_READY, "third");
    for (int i = 0; i < 3; i++) {
        http_script_say(server, "HTTP/1.1 503 No\r\nConnection: close\r\n\r\nbusy", 0);
    }
    ends(begin("edge", "x"), OUTCOME_FAILED, "HTTP 503: busy");
    char flood[1500] = OK_HEAD "\r\n";
    memset(flood + strlen(flood), 'x', sizeof(flood) - strlen(flood) - 1);
    http_script_say(server, flood, 0);
    ends(begin("edge", "x"), OUTCOME_FAILED, "more than 1 KiB");
    ends(begin("gone", "x"), OUTCOME_FAILED, "127.0.0.1");
    http_script_say(server, "HTTP/1.1 200 OK\r\n", 5000); /* half a head, then nothing */
    ends(begin_at(1, "edge", "", unit_agent(1, 1, 1), CLASS_C_PERSISTENT, 300),
         OUTCOME_TIMEOUT_EXECUTION, "deadline");
}

#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"

static void endpoints_stream(void **state)
{
    (void)state;
    server = http_script_new(&loop);
    streams = true;
    open_web("[action edge]\nhandler = http\nurl = http://127.0.0.1:%u/\nretries = 1\n"
             "output_max = 1\n",
             http_script_port(server));
    /* Chunks that end within a line, and within a character. */
    http_script_say(server, CHUNKED "7\r\n10 %\ngr\r\n", 300);
    http_script_more(server, "1\r\n\xc3\r\n", 300);
    http_script_more(server, "5\r\n\xbc\xc3\x9f d\r\n", 300);
    http_script_more(server, "4\r\nich\n\r\n0\r\n\r\n", 0);
    struct trial *r = begin("edge", "x");
    ends(r, OUTCOME_READY, "10 %\ngr\xc3\xbc\xc3\x9f dich\n");
    assert_string_equal(r->first, "gr");
    assert_true(r->progresses >= 2 && r->progresses <= 4);
    assert_memory_equal(r->partial, "gr\xc3\xbc\xc3\x9f d", 8);
    /* A line that grows for ever: its newest end. */
    char text[700] = "";
    for (int i = 0; i < 60; i++) {
        (void)strcat(text, "\xe4\xbd\xa0"); /* three bytes each */
    }
    char said[1200];
    (void)snprintf(said, sizeof(said), CHUNKED "b6\r\nx %s\r\n", text);
    http_script_say(server, said, 300);
    http_script_more(server, "4\r\n end\r\n0\r\n\r\n", 0);
    r = begin("edge", "x");
    ends(r, OUTCOME_READY, " end");
    assert_int_equal(strlen(r->first), 96);
    assert_memory_equal(r->first, "\xe4\xbd\xa0", 3);
    assert_memory_equal(r->partial, "\xe4\xbd\xa0", 3);
    /* A stall: what came was told, and its deadline ends it. */
    http_script_say(server, CHUNKED "5\r\nhalf\n\r\n", 8000);
    r = begin_at(1, "edge", "", unit_agent(1, 1, 1), CLASS_C_PERSISTENT, 400);
    ends(r, OUTCOME_TIMEOUT_EXECUTION, "deadline");
    assert_string_equal(r->partial, "half");
    /* Larger than the limit, however it comes. */
    char flood[1400] = CHUNKED "500\r\n";
    memset(flood + strlen(flood), 'x', 0x490);
    http_script_say(server, flood, 0);
    ends(begin("edge", "x"), OUTCOME_FAILED, "answered with more than 1 KiB (output_max)");
}

static void endpoints_misbehave(void **state)
{
    (void)state;
    server = http_script_new(&loop);
    open_web(
        "[action edge]\nhandler = http\nurl = http://127.0.0.1:%u/\nretries = 1\nidle = 300ms\n"
        "[action data]\nhandler = http\nurl = http://127.0.0.1:%u/\noutput = json\n",
        http_script_port(server), http_script_port(server));
    /* Half an answer is none: the next attempt begins anew. */
    http_script_say(server, OK_HEAD "Content-Length: 100\r\n\r\nthe first half", 0);
    http_script_say(server, OK_HEAD "\r\nall of it", 0);
    struct trial *r = begin("edge", "x");
    ends(r, OUTCOME_READY, "all of it");
    assert_string_equal(r->text, "all of it");
    for (int i = 0; i < 2; i++) {
        http_script_say(server, CHUNKED "64\r\nthe first half", 0);
    }
    ends(begin("edge", "x"), OUTCOME_FAILED, "http://127.0.0.1");
    for (int i = 0; i < 2; i++) {
        http_script_say(server, "\x16\x03\x01 this is something else\r\n\r\n", 0);
    }
    ends(begin("edge", "x"), OUTCOME_FAILED, "http://127.0.0.1");
    http_script_say(server, CHUNKED "5\r\nhalf\n\r\n", 8000);
    ends(begin("edge", "x"), OUTCOME_FAILED, ": silent for 0.");
    http_script_long_line(server, 2);
    ends(begin("edge", "x"), OUTCOME_FAILED, "a line of its header above 100 KB");
    /* Nothing is an answer, where anything is one. */
    http_script_say(server, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", 0);
    r = begin("edge", "x");
    ends(r, OUTCOME_READY, "");
    assert_int_equal(r->count, 0);
    http_script_say(server, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n", 0);
    ends(begin("data", "x"), OUTCOME_FAILED, "the answer of 'data' is not JSON");
    http_script_say(server,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: text/html\r\n\r\n"
                    "<html>",
                    0);
    ends(begin("data", "x"), OUTCOME_FAILED, "; its Content-Type is text/html");
    http_script_say(server,
                    "HTTP/1.1 302 Found\r\nLocation: /login\r\nConnection: close\r\n\r\n<html>", 0);
    ends(begin("edge", "x"), OUTCOME_FAILED, "HTTP 302: redirects to http://127.0.0.1");
    /* It asks for more patience than there is: that is its end, at once. */
    http_script_say(server,
                    "HTTP/1.1 429 Wait\r\nRetry-After: 3600\r\nConnection: close\r\n\r\nlater", 0);
    ends(begin("edge", "x"), OUTCOME_FAILED, "HTTP 429: later");
    assert_int_equal(work_stats(executor)->timed_out, 0);
}

static void models_stream(void **state)
{
    (void)state;
    server = http_script_new(&loop);
    open_web("[action think]\nhandler = llm\nurl = http://127.0.0.1:%u/v1/\nmodel = tiny\n"
             "system = You are brief.\ntokens_max = 20\ntemperature = 0\nidle = 1s\nretries = 1\n",
             http_script_port(server));
    http_script_props(server, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{\"total_slots\":2}");
    turn_until(NULL, 100); /* the probe */
    http_script_say(server, SSE_HEAD ": ping\n\n" DELTA("Hel"), 300);
    http_script_more(server, "data: {\"choices\":[{\"delta\":{\"con", 50); /* half a frame */
    http_script_more(server, "tent\":\"lo\"}}]}\r\n\r\n" STOP USAGE "data: [DONE]\n\n", 0);
    struct trial *r = begin("think", "say \"hello\"");
    ends(r, OUTCOME_READY, "Hello");
    assert_true(r->progresses >= 1);
    assert_int_equal(work_stats(executor)->tokens_in, 7);
    assert_int_equal(work_stats(executor)->tokens_out, 2);
    const char *asked = http_script_asked(server);
    assert_non_null(strstr(asked, "POST /v1/chat/completions"));
    assert_non_null(strstr(asked, "\"model\":\"tiny\""));
    assert_non_null(strstr(asked, "{\"role\":\"system\",\"content\":\"You are brief.\"}"));
    assert_non_null(strstr(asked, "\"content\":\"say \\\"hello\\\"\""));
    assert_non_null(strstr(asked, "\"max_tokens\":20"));
    http_script_say(server,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n"
                    "{\"choices\":[{\"message\":{\"content\":\"plain\"}}]}",
                    0);
    ends(begin("think", "x"), OUTCOME_READY, "plain");
    for (int i = 0; i < 3; i++) { /* three wanted, two slots */
        http_script_say(server, SSE_HEAD DELTA("ok"), 200);
        http_script_more(server, STOP "data: [DONE]\n\n", 0);
    }
    struct trial *three[3] = {begin("think", "1"), begin("think", "2"), begin("think", "3")};
    turn_until(NULL, 100);
    assert_int_equal(work_stats(executor)->running, 2);
    assert_int_equal(work_stats(executor)->waiting, 1);
    for (int i = 0; i < 3; i++) {
        ends(three[i], OUTCOME_READY, "ok");
    }
}

static void models_misbehave(void **state)
{
    (void)state;
    server = http_script_new(&loop);
    open_web("[action think]\nhandler = llm\nurl = http://127.0.0.1:%u/v1\nmodel = tiny\n"
             "idle = 1s\nretries = 1\noutput_max = 1\n",
             http_script_port(server));
    http_script_say(server, SSE_HEAD DELTA("half"), 0);
    ends(begin("think", "x"), OUTCOME_FAILED, "the stream broke off after 4 bytes");
    http_script_say(server, SSE_HEAD "data: {\"choices\":[garbage\n\n", 0);
    ends(begin("think", "x"), OUTCOME_FAILED, "event 1 of the stream is no JSON object");
    http_script_say(server, SSE_HEAD "data: {\"error\":{\"message\":\"out of memory\"}}\n\n", 0);
    ends(begin("think", "x"), OUTCOME_FAILED, "the model's server: out of memory");
    http_script_say(server, SSE_HEAD DELTA("and then"), 8000);
    ends(begin("think", "x"), OUTCOME_FAILED, "silent for");
    http_script_say(server, "HTTP/1.1 400 No\r\nConnection: close\r\n\r\n{\"error\":\"model\"}", 0);
    ends(begin("think", "x"), OUTCOME_FAILED, "HTTP 400: {\"error\":\"model\"}");
    http_script_say(server, "HTTP/1.1 429 No\r\nRetry-After: 0\r\nConnection: close\r\n\r\n", 0);
    http_script_say(server, SSE_HEAD DELTA("at last") STOP, 0);
    ends(begin("think", "x"), OUTCOME_READY, "at last");
    char flood[8000] = SSE_HEAD;
    for (int i = 0; i < 60; i++) {
        (void)strcat(flood, DELTA("twenty letters in a row"));
    }
    http_script_say(server, flood, 0);
    ends(begin("think", "x"), OUTCOME_FAILED, "more than 1 KiB");
    http_script_say(server,
                    "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n\r\n"
                    "[1,2]",
                    0);
    ends(begin("think", "x"), OUTCOME_FAILED, "no chat completion");
}

/* ---- people ---- */

static struct trial *desk(const char *command, const char *text)
{
    struct trial *r = begin_at(500, command, text, unit_agent(93, 1, 2), CLASS_F_HUMAN, 5000);
    assert_true(r->done);
    return r;
}

static void people_review(void **state)
{
    (void)state;
    open_actions("[action approve]\nhandler = human\nassignee = alexa\nescalate_to = board\n"
                 "timeout = 10s\n");
    struct unit a = unit_agent(93, 1, 2);
    struct trial *r = begin_at(10, "approve", "Pay 10 million?", a, CLASS_F_HUMAN, 9000);
    struct trial *other = begin_at(11, "review", "And this?", a, CLASS_F_HUMAN, 9000);
    turn_until(NULL, 30);
    assert_false(r->done);
    struct trial *list = desk("review.list", "");
    assert_non_null(strstr(list->text, "\"id\":\"0000000a\""));
    assert_non_null(strstr(list->text, "\"text\":\"Pay 10 million?\""));
    assert_non_null(strstr(list->text, "And this?"));
    assert_null(strstr(desk("review.list", "alexa")->text, "And this?"));
    assert_non_null(strstr(desk("review.claim", "0000000a alexa")->text, "claimed by alexa"));
    struct trial *no = desk("review.answer", "0000000a bob yes");
    assert_int_equal(no->verdict, OUTCOME_FAILED);
    assert_non_null(strstr(no->text, "is claimed by alexa"));
    assert_non_null(
        strstr(desk("review.delegate", "0000000a alexa bob")->text, "delegated to bob"));
    assert_non_null(strstr(desk("review.list", "bob")->text, "Pay 10 million?"));
    assert_non_null(
        strstr(desk("review.escalate", "0000000a bob too big for me")->text, "escalated to board"));
    assert_non_null(strstr(desk("review.list", "board")->text, "too big for me"));
    assert_non_null(strstr(desk("review.answer", "0000000a carol")->text, "a text is missing"));
    assert_int_equal(desk("review.answer", "0000000a carol Yes, pay it.")->verdict, OUTCOME_READY);
    assert_false(r->done); /* told at the next turn */
    ends(r, OUTCOME_READY, "Yes, pay it.");
    assert_non_null(strstr(desk("review.claim", "0000000a carol")->text, "no open review"));
    assert_int_equal(desk("review.reject", "0000000b carol Never.")->verdict, OUTCOME_READY);
    ends(other, OUTCOME_CONFLICT, "");
    assert_string_equal(other->received, "Never.");
    assert_non_null(strstr(desk("review.claim", "x")->text, "wanted ID"));
    assert_int_equal(work_stats(executor)->reviews, 0);
}

static void a_desk_is_bounded(void **state)
{
    (void)state;
    open_actions("[action approve]\nhandler = human\n");
    struct unit a = unit_agent(93, 1, 2);
    for (uint32_t i = 0; i < 6; i++) {
        (void)begin_at(i, "approve", "?", a, CLASS_F_HUMAN, 400);
    }
    struct trial *full = begin_at(6, "approve", "?", a, CLASS_F_HUMAN, 9000);
    ends(full, OUTCOME_FAILED, "6 reviews are open at this agent");
    assert_int_equal(full->reason, REASON_OVERLOAD);
    ends(&runs[5], OUTCOME_TIMEOUT_EXECUTION, "deadline"); /* nobody came */
    ends(begin_at(7, "review", "?", unit_agent(1, 1, 1), CLASS_A_EDGE, 900), OUTCOME_FAILED,
         "CLASS_A_EDGE does not offer 'review'");
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    int fd = mkstemp(file);
    if (fd < 0 || close(fd) != 0) {
        return 1;
    }
    const struct CMUnitTest tests[] = {
        CASE(programs_answer),
        CASE(programs_fail_with_their_words),
        CASE(what_misbehaves_costs_only_itself),
        CASE(partial_output_comes_up),
        CASE(a_cancel_ends_the_program),
        CASE(five_hundred_at_once_and_none_lost),
        CASE(what_is_cancelled_while_it_starts_is_ended),
        CASE(what_cannot_be_started_says_why),
        CASE(a_lane_has_a_limit_and_an_order),
        CASE(inputs_and_outputs_are_checked),
        CASE(endpoints_answer),
        CASE(endpoints_are_tried_again),
        CASE(endpoints_stream),
        CASE(endpoints_misbehave),
        CASE(models_stream),
        CASE(models_misbehave),
        CASE(people_review),
        CASE(a_desk_is_bounded),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(file);
    return failed;
}
