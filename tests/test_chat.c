/* Agents that talk: what the terms say, whom they talk to, for how long, and what is counted. */
#include "tiers/runner/chat.h"

#include "tiers/runner/bytes.h"
#include "tiers/runner/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct topology topology;
static struct rng rng;
static struct operation operation;
static struct handler_call call;
static struct handler_answer answer;
static struct page page;

static int setup(void **state)
{
    (void)state;
    topology_default(3000, &topology);
    topology.sectors = 10;
    topology.clusters_per_sector = 10;
    topology.agents_per_cluster = 30;
    rng_seed(&rng, 3, 1);
    operation = (struct operation){.id.bytes = {1}};
    call = (struct handler_call){.operation = &operation,
                                 .topology = &topology,
                                 .unit = unit_agent(2, 3, 4),
                                 .rng = &rng,
                                 .began_us = clock_boot_us()};
    memset(&answer, 0, sizeof(answer));
    answer.verdict = OUTCOME_READY;
    return 0;
}

static void terms(const char *text)
{
    operation.payload = (const uint8_t *)text;
    operation.payload_bytes = (uint32_t)strlen(text);
}

static void terms_outside_of_their_ranges_fail(void **state)
{
    (void)state;
    const struct handler_ops *chat = chat_find("chat");
    const char *wrong[] = {"",
                           "3000",
                           "3000 20",
                           "3000 20 200",
                           "0 20 200 1",
                           "3000 0 200 1",
                           "3000 20 15 1",
                           "3000 20 200 1001",
                           "3000 20 40000 1",
                           "a 20 200 1",
                           "3000 20 200 1 9",
                           "-1 20 200 1"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        terms(wrong[i]);
        answer.verdict = OUTCOME_READY;
        assert_int_equal(chat->begin(&call), 0);
        assert_int_equal(chat->more(&call, &answer), -1);
        assert_false(answer.has_emit);
        chat->finish(&call, &answer);
        assert_int_equal(answer.verdict, OUTCOME_FAILED);
        assert_int_equal(answer.reason, REASON_INVALID);
    }
    assert_null(chat_find("echo"));
}

static void they_talk_within_their_cluster_at_their_rate_until_the_end(void **state)
{
    (void)state;
    const struct handler_ops *chat = chat_find("chat");
    int64_t total_us = 0;
    terms("100 20 200 0");
    assert_true(chat->begin(&call) < 100000);
    for (int i = 0; i < 500; i++) {
        answer.has_emit = false;
        int64_t pause_us = chat->more(&call, &answer);
        assert_true(pause_us >= 50000 && pause_us < 150000);
        total_us += pause_us;
        assert_true(answer.has_emit);
        const struct pattern *to = &answer.emit.selector.places.patterns[0];
        assert_int_equal(answer.emit.selector.places.count, 1);
        assert_true(to->sector.first == 2 && to->cluster.first == 3);
        assert_true(to->agent.first == to->agent.last && to->agent.first != 4);
        assert_true(to->agent.first >= 1 && to->agent.first <= topology.agents_per_cluster);
        assert_int_equal(answer.emit.payload_bytes, 200);
        assert_string_equal(answer.emit.action, "hear");
    }
    assert_true(total_us > 500 * 90000ll && total_us < 500 * 110000ll);
    call.began_us = clock_boot_us() - 20000000;
    assert_int_equal(chat->more(&call, &answer), -1);
    chat->finish(&call, &answer);
    assert_int_equal(answer.verdict, OUTCOME_READY);
}

static void far_ones_are_anywhere(void **state)
{
    (void)state;
    const struct handler_ops *chat = chat_find("chat");
    uint32_t elsewhere = 0;
    terms("100 20 200 1000");
    for (int i = 0; i < 200; i++) {
        (void)chat->more(&call, &answer);
        elsewhere += answer.emit.selector.places.patterns[0].sector.first != 2;
    }
    assert_true(elsewhere > 150);
}

static void what_is_heard_is_counted_with_its_time_on_the_way(void **state)
{
    (void)state;
    const struct handler_ops *hear = chat_find("hear");
    uint8_t payload[200] = {0};
    operation.payload = payload;
    operation.payload_bytes = 15;
    hear->finish(&call, &answer);
    assert_int_equal(answer.verdict, OUTCOME_FAILED);
    answer.verdict = OUTCOME_READY;
    operation.payload_bytes = sizeof(payload);
    put_u64(payload, (uint64_t)(clock_boot_us() - 100000));
    for (int i = 0; i < 3; i++) {
        hear->finish(&call, &answer);
    }
    assert_int_equal(answer.verdict, OUTCOME_READY);
    page_reset(&page);
    chat_metrics(&page);
    assert_non_null(strstr(page.text, "mesh_chat_heard_total 3\n"));
    /* 100 ms lie between 98.304 and 106.496. */
    assert_non_null(strstr(page.text, "mesh_chat_way_total{below_us=\"106496\"} 3\n"));
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(terms_outside_of_their_ranges_fail),
        TEST(they_talk_within_their_cluster_at_their_rate_until_the_end),
        TEST(far_ones_are_anywhere),
        TEST(what_is_heard_is_counted_with_its_time_on_the_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
