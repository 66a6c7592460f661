/* What a process answers to those who look for NATS services. */
#include "tiers/runner/service.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

static const struct service cluster = {.name = "mesh-cluster",
                                       .id = "cluster-1",
                                       .version = "1.2.3",
                                       .description = "leads",
                                       .mesh = "a \"mesh\"",
                                       .ready = true,
                                       .started_us = 1700000000000042,
                                       .epoch = 7,
                                       .nodes = 3,
                                       .agents = 0,
                                       .requests = 4,
                                       .errors = 1,
                                       .cpu_ns = 1000,
                                       .last_error = "lost"};

static void who_is_asked(void **state)
{
    static const struct {
        const char *subject;
        bool asked;
    } cases[] = {
        {"$SRV.PING", true},
        {"$SRV.INFO", true},
        {"$SRV.STATS", true},
        {"$SRV.PING.mesh-cluster", true},
        {"$SRV.STATS.mesh-cluster.cluster-1", true},
        {"$SRV.PING.mesh-cluste", false},
        {"$SRV.PING.mesh-clusters", false},
        {"$SRV.PING.mesh-cluster.cluster-10", false},
        {"$SRV.PING.mesh-cluster.cluster-1.x", false},
        {"$SRV.PING.mesh-cluster.", false},
        {"$SRV.PING.", false},
        {"$SRV.PINGS", false},
        {"$SRV.ping", false},
        {"$SRV.SCHEMA", false},
        {"$SRV", false},
        {"", false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(service_is_asked("mesh-cluster", "cluster-1", cases[i].subject),
                         cases[i].asked);
    }
}

static json_t *answer_to(const char *subject)
{
    char text[SERVICE_ANSWER_BYTES];
    size_t bytes = service_answer(&cluster, subject, text, sizeof(text));
    assert_in_range(bytes, 2, sizeof(text));
    json_t *o = json_loadb(text, bytes, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(o);
    assert_string_equal(json_string_value(json_object_get(o, "name")), "mesh-cluster");
    assert_string_equal(json_string_value(json_object_get(o, "id")), "cluster-1");
    assert_string_equal(json_string_value(json_object_get(o, "version")), "1.2.3");
    const json_t *meta = json_object_get(o, "metadata");
    assert_string_equal(json_string_value(json_object_get(meta, "mesh")), "a \"mesh\"");
    return o;
}

static void expect(const json_t *o, const char *key, const char *value)
{
    assert_non_null(json_object_get(o, key));
    assert_string_equal(json_string_value(json_object_get(o, key)), value);
}

static void the_three_documents(void **state)
{
    (void)state;
    json_t *o = answer_to("$SRV.PING");
    expect(o, "type", "io.nats.micro.v1.ping_response");
    assert_int_equal(json_object_size(o), 5);
    json_decref(o);
    o = answer_to("$SRV.INFO.mesh-cluster");
    expect(o, "type", "io.nats.micro.v1.info_response");
    expect(o, "description", "leads");
    const json_t *one = json_array_get(json_object_get(o, "endpoints"), 0);
    expect(one, "name", "frames");
    expect(one, "subject", "mesh.p.cluster-1.>");
    expect(one, "queue_group", "");
    expect(json_object_get(one, "metadata"), "format", "signed frames");
    json_decref(o);
    o = answer_to("$SRV.STATS.mesh-cluster.cluster-1");
    expect(o, "type", "io.nats.micro.v1.stats_response");
    expect(o, "started", "2023-11-14T22:13:20.000042Z");
    one = json_array_get(json_object_get(o, "endpoints"), 0);
    expect(one, "last_error", "lost");
    expect(one, "subject", "mesh.p.cluster-1.>");
    static const struct {
        const char *key;
        json_int_t value;
    } counts[] = {{"num_requests", 4},
                  {"num_errors", 1},
                  {"processing_time", 1000},
                  {"average_processing_time", 250}};
    for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
        assert_int_equal(json_integer_value(json_object_get(one, counts[i].key)), counts[i].value);
    }
    const json_t *data = json_object_get(one, "data");
    assert_int_equal(json_integer_value(json_object_get(data, "epoch")), 7);
    assert_int_equal(json_integer_value(json_object_get(data, "nodes")), 3);
    json_decref(o);
}

static void what_does_not_fit_is_not_answered(void **state)
{
    char text[SERVICE_ANSWER_BYTES];
    struct service s = cluster;
    (void)state;
    size_t bytes = service_answer(&s, "$SRV.STATS", text, sizeof(text));
    for (size_t room = 0; room < bytes; room++) {
        assert_int_equal(service_answer(&s, "$SRV.STATS", text, room), 0);
    }
    assert_int_equal(service_answer(&s, "$SRV.STATS", text, bytes), bytes);
    assert_int_equal(service_answer(&s, "$SRV.ELSE", text, sizeof(text)), 0);
    s.requests = 0; /* no average of nothing */
    assert_true(service_answer(&s, "$SRV.STATS", text, sizeof(text)) > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(who_is_asked),
        cmocka_unit_test(the_three_documents),
        cmocka_unit_test(what_does_not_fit_is_not_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
