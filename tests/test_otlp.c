/* Spans sent to a collector: the body as the specification has it, and what happens when the
 * collector is slow, full, wrong or away. */
#include "core/num.h"
#include "tests/support/http_script.h"
#include "tiers/runner/clock.h"
#include "tiers/web/otlp.h"
#include <assert.h>
#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define TAKEN "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"

static uv_loop_t loop;
static struct http_script *server;
static struct exporter *exporter;
static struct log out;
static struct config config;
static const struct process_conf process = {.name = "cluster-3", .role = PROCESS_CLUSTER};
static char headers_file[] = "/tmp/test_otlp.headers.XXXXXX";

static struct otlp_span lead_span(uint8_t number)
{
    struct otlp_span o = {.span = {.kind = SPAN_TIER,
                                   .known = true,
                                   .unit = unit_cluster(7, 3),
                                   .slowest = unit_agent(7, 3, 9),
                                   .operation.bytes = {0xaa, [15] = number},
                                   .correlation.bytes = {0xbb, [15] = number},
                                   .start_mesh_us = 1700000000000001,
                                   .end_mesh_us = 1700000000250000,
                                   .sent_us = 1700000000100000,
                                   .last_us = 1700000000240000,
                                   .targets = 30,
                                   .action = "work"}};
    o.span.outcomes[OUTCOME_READY] = 28;
    o.span.outcomes[OUTCOME_TIMEOUT_DELIVERY] = 2;
    o.trace = (struct trace_context){.trace.bytes = {0x4b, 0xf9}, .flags = 1};
    return o;
}

/* --- the body --- */

static const json_t *attribute(const json_t *list, const char *key)
{
    size_t i;
    json_t *a;
    json_array_foreach(list, i, a)
    {
        if (strcmp(json_string_value(json_object_get(a, "key")), key) == 0) {
            return json_object_get(a, "value");
        }
    }
    return NULL;
}

static const char *text_of(const json_t *list, const char *key)
{
    const char *text = json_string_value(json_object_get(attribute(list, key), "stringValue"));
    return text != NULL ? text : "(none)";
}

static const char *number_of(const json_t *list, const char *key)
{
    const char *text = json_string_value(json_object_get(attribute(list, key), "intValue"));
    return text != NULL ? text : "(none)";
}

static const json_t *first(const json_t *from, const char *list)
{
    return json_array_get(json_object_get(from, list), 0);
}

static const char *field(const json_t *from, const char *key)
{
    const char *text = json_string_value(json_object_get(from, key));
    return text != NULL ? text : "(none)";
}

static json_t *encoded(const struct otlp_span *span)
{
    const struct otlp_from from = {.role = "cluster", .mesh = "a \"mesh\"", .process = "cluster-3"};
    char *body = otlp_encode(&from, &span, 1);
    assert_non_null(body);
    json_t *all = json_loads(body, 0, NULL);
    assert_non_null(all);
    free(body);
    return all;
}

static void the_body_is_of_the_specification(void **state)
{
    (void)state;
    struct otlp_span lead = lead_span(1);
    char id[17];
    json_t *all = encoded(&lead);
    const json_t *resource = first(all, "resourceSpans");
    const json_t *about = json_object_get(json_object_get(resource, "resource"), "attributes");
    assert_string_equal(text_of(about, "service.name"), "mesh-cluster");
    assert_string_equal(text_of(about, "service.namespace"), "a \"mesh\"");
    assert_string_equal(text_of(about, "service.instance.id"), "cluster-3");
    const json_t *scope = first(resource, "scopeSpans");
    assert_string_equal(field(json_object_get(scope, "scope"), "name"), "mesh-30k");
    const json_t *s = first(scope, "spans");
    assert_string_equal(field(s, "traceId"), "4bf90000000000000000000000000000");
    (void)snprintf(id, sizeof(id), "%016llx",
                   (unsigned long long)span_id(lead.span.operation, lead.span.unit));
    assert_string_equal(field(s, "spanId"), id);
    (void)snprintf(id, sizeof(id), "%016llx",
                   (unsigned long long)span_id(lead.span.operation, unit_sector(7)));
    assert_string_equal(field(s, "parentSpanId"), id);
    assert_string_equal(field(s, "name"), "cluster work");
    assert_int_equal(json_integer_value(json_object_get(s, "kind")), 1);
    assert_string_equal(field(s, "startTimeUnixNano"), "1700000000000001000");
    assert_string_equal(field(s, "endTimeUnixNano"), "1700000000250000000");
    assert_null(json_object_get(s, "status"));
    const json_t *list = json_object_get(s, "attributes");
    assert_string_equal(text_of(list, "mesh.unit"), "s07.c3");
    assert_string_equal(text_of(list, "mesh.slowest"), "s07.c3.a9");
    assert_string_equal(text_of(list, "mesh.operation"), "bb000000000000000000000000000001");
    assert_string_equal(number_of(list, "mesh.targets"), "30");
    assert_string_equal(number_of(list, "mesh.outcome.ready"), "28");
    assert_string_equal(number_of(list, "mesh.outcome.timeout-delivery"), "2");
    assert_null(attribute(list, "mesh.outcome.failed"));
    const json_t *events = json_object_get(s, "events");
    assert_int_equal(json_array_size(events), 2); /* there was no first answer */
    assert_string_equal(field(json_array_get(events, 0), "name"), "sent");
    assert_string_equal(field(json_array_get(events, 0), "timeUnixNano"), "1700000000100000000");
    json_decref(all);
}

static void roots_and_runs_have_their_own(void **state)
{
    (void)state;
    struct otlp_span o = lead_span(2);
    o.span.kind = SPAN_ROOT;
    o.span.unit = unit_orchestrator();
    o.span.failed = true;
    json_t *all = encoded(&o);
    const json_t *s = first(first(first(all, "resourceSpans"), "scopeSpans"), "spans");
    assert_null(json_object_get(s, "parentSpanId")); /* nobody's */
    assert_int_equal(json_integer_value(json_object_get(s, "kind")), 2);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(s, "status"), "code")), 2);
    json_decref(all);
    o.span.trace = (struct trace_context){.trace.bytes = {1}, .parent = 0xf067aa0ba902b7};
    all = encoded(&o);
    s = first(first(first(all, "resourceSpans"), "scopeSpans"), "spans");
    assert_string_equal(field(s, "parentSpanId"), "00f067aa0ba902b7");
    json_decref(all);
    o.span.kind = SPAN_RUN;
    o.span.unit = unit_agent(7, 3, 9);
    o.span.received_us = o.span.start_mesh_us - 1500;
    o.span.outcome = OUTCOME_FAILED;
    o.span.reason = REASON_HANDLER;
    all = encoded(&o);
    s = first(first(first(all, "resourceSpans"), "scopeSpans"), "spans");
    const json_t *list = json_object_get(s, "attributes");
    assert_string_equal(field(s, "name"), "run work");
    assert_string_equal(text_of(list, "mesh.outcome"), outcome_name(OUTCOME_FAILED));
    assert_string_equal(text_of(list, "mesh.reason"), reason_name(REASON_HANDLER));
    assert_string_equal(number_of(list, "mesh.queued_us"), "1500");
    json_decref(all);
}

static void answers_say_what_was_rejected(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        uint64_t rejected;
        const char *why;
    } cases[] = {
        {"", 0, ""},
        {"{}", 0, ""},
        {"no json", 0, ""},
        {"[1]", 0, ""},
        {"{\"partialSuccess\":{}}", 0, ""},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"3\",\"errorMessage\":\"too old\"}}", 3,
         "too old"},
        {"{\"partialSuccess\":{\"rejectedSpans\":4}}", 4, ""},
        {"{\"partialSuccess\":{\"rejectedSpans\":-4}}", 0, ""},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"many\"}}", 0, ""},
        {"{\"partialSuccess\":{\"errorMessage\":\"mind the size\"}}", 0, "mind the size"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[40];
        assert_int_equal(
            otlp_rejected((const uint8_t *)cases[i].body, strlen(cases[i].body), why, sizeof(why)),
            cases[i].rejected);
        assert_string_equal(why, cases[i].why);
    }
}

/* --- a collector --- */

static void start_at(unsigned port)
{
    char why[RUNNER_WHY_MAX] = "";
    (void)snprintf(config.otlp_url, sizeof(config.otlp_url), "http://127.0.0.1:%u", port);
    if (!otlp_open(&loop, &config, &process, &out, &exporter, why)) {
        fail_msg("%s", why);
    }
    assert_non_null(exporter);
}

static void say_spans(uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct otlp_span o = lead_span((uint8_t)i);
        exporter->span(exporter->self, &o.span, &o.trace);
    }
}

static void on_tick(uv_timer_t *timer)
{
    (void)timer;
}

/* Turns the loop until so many spans have left the queue in any way. */
static const struct otlp_stats *until_left(uint64_t spans)
{
    const struct otlp_stats *s = otlp_stats(exporter);
    uv_timer_t tick;
    int64_t end_us = clock_boot_us() + 30 * US_PER_S;
    (void)uv_timer_init(&loop, &tick);
    (void)uv_timer_start(&tick, on_tick, 10, 10);
    while (s->exported + s->rejected + s->dropped_answer + s->dropped_tries < spans &&
           clock_boot_us() < end_us) {
        (void)uv_run(&loop, UV_RUN_ONCE);
        s = otlp_stats(exporter);
    }
    uv_close((uv_handle_t *)&tick, NULL);
    (void)uv_run(&loop, UV_RUN_NOWAIT);
    return otlp_stats(exporter);
}

static int setup(void **state)
{
    (void)state;
    (void)signal(SIGPIPE, SIG_IGN);
    assert_int_equal(uv_loop_init(&loop), 0);
    log_init(&out, "test", LOG_ERROR);
    config = (struct config){.name = "mesh", .file = "/tmp/none/mesh.conf"};
    server = http_script_new(&loop);
    exporter = NULL;
    return 0;
}

static void on_walk(uv_handle_t *handle, void *ctx)
{
    (void)ctx;
    if (!uv_is_closing(handle)) {
        fail_msg("a handle of type %s was left open", uv_handle_type_name(handle->type));
    }
}

static int teardown(void **state)
{
    (void)state;
    http_script_close(server);
    if (exporter != NULL) {
        exporter->close(exporter->self);
    }
    for (int i = 0; i < 5; i++) {
        (void)uv_run(&loop, UV_RUN_NOWAIT);
    }
    uv_walk(&loop, on_walk, NULL);
    (void)uv_run(&loop, UV_RUN_DEFAULT);
    otlp_free(exporter);
    http_script_free(server);
    assert_int_equal(uv_loop_close(&loop), 0);
    return 0;
}

static void a_batch_is_posted(void **state)
{
    (void)state;
    http_script_say(server, TAKEN, 0);
    start_at(http_script_port(server));
    say_spans(3);
    assert_int_equal(otlp_stats(exporter)->waiting, 3);
    const struct otlp_stats *s = until_left(3);
    assert_int_equal(s->exported, 3);
    assert_int_equal(s->requests, 1); /* together */
    assert_int_equal(s->waiting, 0);
    const char *asked = http_script_asked(server);
    assert_non_null(strstr(asked, "POST /v1/traces HTTP/1.1\r\n"));
    assert_non_null(strstr(asked, "Content-Type: application/json\r\n"));
    const char *body = strstr(asked, "\r\n\r\n");
    json_t *all = json_loads(body + 4, 0, NULL);
    assert_non_null(all);
    const json_t *spans =
        json_object_get(first(first(all, "resourceSpans"), "scopeSpans"), "spans");
    assert_int_equal(json_array_size(spans), 3);
    json_decref(all);
    http_script_say(server, TAKEN, 0);
    say_spans(1); /* and on it goes */
    assert_int_equal(until_left(4)->exported, 4);
}

static void a_busy_collector_is_asked_again_when_it_said(void **state)
{
    (void)state;
    http_script_say(server,
                    "HTTP/1.1 429 Slow down\r\nRetry-After: 2\r\nContent-Length: 4\r\n\r\nlate", 0);
    http_script_say(server, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", 0);
    http_script_say(server, TAKEN, 0);
    start_at(http_script_port(server));
    int64_t began_us = clock_boot_us();
    say_spans(2);
    const struct otlp_stats *s = until_left(2);
    assert_int_equal(s->exported, 2);
    assert_int_equal(s->requests, 3);
    assert_int_equal(s->retries, 2);
    assert_true(clock_boot_us() - began_us >= 2 * US_PER_S);
}

static void what_is_refused_is_dropped_and_the_next_goes_on(void **state)
{
    (void)state;
    http_script_say(server, "HTTP/1.1 400 Bad\r\nContent-Length: 9\r\n\r\nno thanks", 0);
    http_script_say(server,
                    "HTTP/1.1 200 OK\r\nContent-Length: 62\r\n\r\n"
                    "{\"partialSuccess\":{\"rejectedSpans\":\"2\",\"errorMessage\":\"old\"}}  ",
                    0);
    start_at(http_script_port(server));
    say_spans(4);
    const struct otlp_stats *s = until_left(4);
    assert_int_equal(s->dropped_answer, 4);
    assert_int_equal(s->retries, 0);
    say_spans(5);
    s = until_left(9);
    assert_int_equal(s->exported, 3);
    assert_int_equal(s->rejected, 2);
}

static void half_an_answer_is_none(void **state)
{
    (void)state;
    http_script_say(server, "HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n{\"par", 0);
    http_script_say(server, "garbage\r\n\r\n", 0);
    http_script_say(server, TAKEN, 0);
    start_at(http_script_port(server));
    say_spans(1);
    const struct otlp_stats *s = until_left(1);
    assert_int_equal(s->exported, 1);
    assert_int_equal(s->retries, 2);
}

static void a_full_queue_drops_the_new_ones(void **state)
{
    (void)state;
    start_at(1); /* nobody listens there */
    say_spans(OTLP_QUEUE_MAX + 7);
    const struct otlp_stats *s = otlp_stats(exporter);
    assert_int_equal(s->waiting, OTLP_QUEUE_MAX);
    assert_int_equal(s->dropped_queue, 7);
    exporter->flush(exporter->self); /* begins, and does not wait */
    exporter->close(exporter->self);
    assert_int_equal(otlp_stats(exporter)->dropped_stop, OTLP_QUEUE_MAX);
}

static void nothing_is_sent_unless_it_is_wanted(void **state)
{
    (void)state;
    char why[RUNNER_WHY_MAX] = "";
    assert_true(otlp_open(&loop, &config, &process, &out, &exporter, why));
    assert_null(exporter);
}

/* --- headers --- */

static bool headers(const char *text, mode_t mode, struct otlp_headers *ret, char why[200])
{
    FILE *f = fopen(headers_file, "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(chmod(headers_file, mode), 0);
    return otlp_headers_read(headers_file, ret, why, 200);
}

static void headers_are_sent_and_kept_from_others(void **state)
{
    (void)state;
    static struct otlp_headers h;
    char why[200];
    assert_true(headers("# of the collector\n\nAuthorization: Bearer s3cret\nX-Scope: a b\n", 0600,
                        &h, why));
    assert_int_equal(h.count, 2);
    assert_string_equal(h.line[0], "Authorization: Bearer s3cret");
    (void)snprintf(config.otlp_headers, sizeof(config.otlp_headers), "%s", headers_file);
    http_script_say(server, TAKEN, 0);
    start_at(http_script_port(server));
    say_spans(1);
    assert_int_equal(until_left(1)->exported, 1);
    assert_non_null(strstr(http_script_asked(server), "\r\nAuthorization: Bearer s3cret\r\n"));
    assert_non_null(strstr(http_script_asked(server), "\r\nX-Scope: a b\r\n"));
    assert_false(headers("A: b\n", 0640, &h, why));
    assert_non_null(strstr(why, "chmod 600"));
    assert_false(otlp_headers_read("/nonexistent/headers", &h, why, sizeof(why)));
    assert_non_null(strstr(why, "/nonexistent/headers: No such file"));
}

static void bad_headers_are_named(void **state)
{
    (void)state;
    static struct otlp_headers h;
    static char nine[200], long_line[3000];
    static const struct {
        const char *text, *why;
    } cases[] = {{"A: b\nno colon\n", ":2: wanted is \"Name: value\""},
                 {": b\n", ":1: wanted is"},
                 {"A b: c\n", ":1: wanted is"},
                 {"A:  \n", ":1: the header has no value"},
                 {"A: b\x01\n", ":1: the value has a character"},
                 {"content-type: text/plain\n", ":1: this header is not yours"},
                 {nine, ":9: more than 8 headers"},
                 {long_line, ":1: the line has more than"}};
    for (size_t i = 0; i < 9; i++) {
        memcpy(&nine[i * 5], "A: b\n", 6);
    }
    memset(long_line, 'a', sizeof(long_line) - 1);
    long_line[1] = ':';
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[200] = "";
        assert_false(headers(cases[i].text, 0600, &h, why));
        if (strstr(why, cases[i].why) == NULL) {
            fail_msg("case %zu: %s", i, why);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_body_is_of_the_specification),
        cmocka_unit_test(roots_and_runs_have_their_own),
        cmocka_unit_test(answers_say_what_was_rejected),
        cmocka_unit_test_setup_teardown(a_batch_is_posted, setup, teardown),
        cmocka_unit_test_setup_teardown(a_busy_collector_is_asked_again_when_it_said, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(what_is_refused_is_dropped_and_the_next_goes_on, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(half_an_answer_is_none, setup, teardown),
        cmocka_unit_test_setup_teardown(a_full_queue_drops_the_new_ones, setup, teardown),
        cmocka_unit_test_setup_teardown(nothing_is_sent_unless_it_is_wanted, setup, teardown),
        cmocka_unit_test_setup_teardown(headers_are_sent_and_kept_from_others, setup, teardown),
        cmocka_unit_test(bad_headers_are_named),
    };
    int fd = mkstemp(headers_file);
    assert(fd >= 0);
    (void)close(fd);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    (void)unlink(headers_file);
    return failed;
}
