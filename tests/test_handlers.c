/* Every action: what it answers, that a seed repeats it, and that no payload leads out of its
 * bounds. */
#include "tiers/runner/handlers.h"

#include "core/num.h"
#include "core/predictor.h"
#include "core/topology.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define AGENTS 2400u /* 8 sectors x 10 clusters x 30 */

static struct topology topology;
static struct operation operation;
static struct rng rng;
static struct handler_call call;
static struct handler_answer answer;
static uint8_t payload[PAYLOAD_BYTES_MAX];

static int setup(void **state)
{
    (void)state;
    topology_default(AGENTS, &topology);
    topology.sectors = 8;
    topology.clusters_per_sector = 10;
    assert_null(topology_check(&topology));
    memset(&operation, 0, sizeof(operation));
    memset(operation.id.bytes, 0x5a, sizeof(operation.id.bytes));
    operation.verb = VERB_OBSERVE;
    operation.priority = 3;
    rng_seed(&rng, 7, 1);
    call = (struct handler_call){.operation = &operation,
                                 .topology = &topology,
                                 .unit = unit_agent(3, 2, 17),
                                 .home = unit_agent(3, 2, 17),
                                 .agent_class = CLASS_C_PERSISTENT,
                                 .rng = &rng,
                                 .process = "agent-1"};
    for (size_t i = 0; i < sizeof(call.context_hash.bytes); i++) {
        call.context_hash.bytes[i] = (uint8_t)(0x10 + i);
    }
    return 0;
}

static void carries(const char *text)
{
    size_t bytes = strlen(text);
    memcpy(payload, text, bytes);
    memset(payload + bytes, 'Z', 16); /* a payload has no NUL: nobody may read on */
    operation.payload = payload;
    operation.payload_bytes = (uint32_t)bytes;
}

/* As the runner does it: READY unless the handler says otherwise. */
static void run(const char *action)
{
    const struct handler_ops *ops = handler_find(action);
    assert_non_null(ops);
    memset(&answer, 0xee, sizeof(answer.at));
    answer = (struct handler_answer){.verdict = OUTCOME_READY};
    ops->finish(&call, &answer);
    assert_true(answer.bytes <= ANSWER_BYTES_MAX);
}

static void assert_answer(const char *text)
{
    assert_int_equal(answer.verdict, OUTCOME_READY);
    assert_int_equal(answer.bytes, strlen(text));
    assert_memory_equal(answer.at, text, strlen(text));
}

static void the_table_is_complete_and_exact(void **state)
{
    (void)state;
    static const char *const actions[] = {"echo",     "context", "work",  "probe", "fail",
                                          "conflict", "relay",   "facts", "whoami"};
    uint32_t count = 0;
    const struct handler_ops *table = handler_table(&count);
    assert_int_equal(count, sizeof(actions) / sizeof(actions[0]));
    for (uint32_t i = 0; i < count; i++) {
        assert_ptr_equal(handler_find(table[i].action), &table[i]); /* no name twice */
        assert_non_null(handler_find(actions[i]));
        assert_true(strlen(table[i].action) < ACTION_MAX);
        assert_true(strlen(table[i].help) > 0);
        assert_non_null(table[i].finish);
        assert_true((table[i].begin != NULL) == (strcmp(table[i].action, "work") == 0));
    }
    assert_null(handler_find(""));
    assert_null(handler_find("ech"));
    assert_null(handler_find("echo "));
    assert_null(handler_find("ECHO"));
}

static void echo_gives_back_the_first_kib(void **state)
{
    (void)state;
    run("echo"); /* no payload at all */
    assert_answer("");
    carries("are you there?");
    run("echo");
    assert_answer("are you there?");
    for (size_t i = 0; i < sizeof(payload); i++) {
        payload[i] = (uint8_t)(i * 7);
    }
    const uint32_t sizes[] = {1, ANSWER_BYTES_MAX - 1, ANSWER_BYTES_MAX, ANSWER_BYTES_MAX + 1,
                              PAYLOAD_BYTES_MAX};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        operation.payload_bytes = sizes[i];
        run("echo");
        uint32_t wanted = sizes[i] < ANSWER_BYTES_MAX ? sizes[i] : ANSWER_BYTES_MAX;
        assert_int_equal(answer.bytes, wanted);
        assert_memory_equal(answer.at, payload, wanted);
    }
}

static void context_probe_and_whoami(void **state)
{
    (void)state;
    carries("ignored");
    run("context");
    assert_answer("101112131415161718191a1b1c1d1e1f");
    run("probe");
    assert_answer("");
    run("whoami");
    assert_answer("s03.c2.a17");
    call.unit = unit_agent(1024, 64, 64); /* the longest place */
    run("whoami");
    assert_answer("s1024.c64.a64");
}

static void facts_and_process(void **state)
{
    (void)state;
    char wanted[128];
    call.facts = "arch=x86_64 os=debian12";
    (void)snprintf(wanted, sizeof(wanted),
                   "arch=x86_64 os=debian12 process=agent-1 pid=%ld class=%s", (long)getpid(),
                   class_name(CLASS_C_PERSISTENT));
    run("facts");
    assert_answer(wanted);
    call.facts = NULL;
    run("facts");
    assert_answer(wanted + strlen("arch=x86_64 os=debian12 "));
    call.process = "longer-than-any-token-of-a-process";
    run("facts");
    assert_int_equal(answer.verdict, OUTCOME_READY);
    assert_null(memchr(answer.at, '\0', answer.bytes));
}

static int64_t work_us(enum impedance_class c, double weight)
{
    call.agent_class = c;
    operation.payload_weight = weight;
    return handler_find("work")->begin(&call);
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* The median of the draws is the class's base time, whatever its spread. */
static void work_takes_the_time_of_its_class(void **state)
{
    (void)state;
    static int64_t draws[2001];
    for (int c = CLASS_A_EDGE; c < CLASS_COUNT; c++) {
        for (int w = 0; w <= 4; w += 2) {
            double wanted =
                (double)predictor_class_base_us((enum impedance_class)c) * (1.0 + 0.5 * w);
            for (size_t i = 0; i < 2001; i++) {
                draws[i] = work_us((enum impedance_class)c, w);
                assert_in_range(draws[i], 1, 86400 * US_PER_S);
            }
            qsort(draws, 2001, sizeof(draws[0]), compare);
            /* The median's own error is 3.6 % for people, 1.3 % or less for the others. */
            double off = c == CLASS_F_HUMAN ? 0.15 : 0.05;
            assert_true((double)draws[1000] > wanted * (1 - off));
            assert_true((double)draws[1000] < wanted * (1 + off));
            assert_true(draws[100] < draws[1000] && draws[1000] < draws[1900]);
        }
    }
    carries("back");
    run("work");
    assert_answer("back");
}

static void work_repeats_from_its_seed(void **state)
{
    (void)state;
    int64_t first[64];
    bool differs = false;
    for (int i = 0; i < 64; i++) {
        first[i] = work_us((enum impedance_class)(1 + i % 6), i);
    }
    rng_seed(&rng, 7, 1);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(work_us((enum impedance_class)(1 + i % 6), i), first[i]);
    }
    rng_seed(&rng, 8, 1);
    for (int i = 0; i < 64; i++) {
        differs = differs || work_us((enum impedance_class)(1 + i % 6), i) != first[i];
    }
    assert_true(differs);
}

static int64_t fixed_us(void *ctx, struct unit unit, enum impedance_class c, double weight)
{
    *(double *)ctx = weight;
    assert_true(unit_equal(unit, call.home));
    return 1000 * (int64_t)c;
}

static void work_stays_in_its_bounds(void **state)
{
    (void)state;
    double seen = -1;
    for (int i = 0; i < 1000; i++) {
        assert_in_range(work_us(CLASS_F_HUMAN, 1e300), 0, 86400 * US_PER_S);
        assert_in_range(work_us(CLASS_A_EDGE, -5.0), 0, 86400 * US_PER_S);
    }
    call.work_us = fixed_us; /* a simulated agent's own */
    call.work_ctx = &seen;
    assert_int_equal(work_us(CLASS_D_GPU, 2.5), 4000);
    assert_true(seen > 2.49 && seen < 2.51);
    (void)work_us(CLASS_D_GPU, 1e300);
    assert_true(seen < 1000.5);
}

/* How many agents of the mesh the action chooses, and whether always the same ones. */
static uint32_t chosen(const char *action, enum outcome verdict, uint64_t *ret_hash)
{
    static bool is[AGENTS];
    uint32_t count = 0;
    for (uint32_t i = 0; i < AGENTS; i++) {
        call.unit = topology_agent(&topology, i);
        run(action);
        assert_true(answer.verdict == verdict || answer.verdict == OUTCOME_READY);
        is[i] = answer.verdict == verdict;
        count += is[i];
    }
    *ret_hash = num_hash64(is, sizeof(is), 1);
    return count;
}

static void fail_and_conflict_choose_a_share(void **state)
{
    (void)state;
    static const struct {
        const char *action;
        enum outcome verdict;
    } kinds[] = {{"fail", OUTCOME_FAILED}, {"conflict", OUTCOME_CONFLICT}};
    for (size_t k = 0; k < 2; k++) {
        const char *action = kinds[k].action;
        enum outcome verdict = kinds[k].verdict;
        uint64_t one, two, other;
        assert_int_equal(setup(NULL), 0);
        assert_int_equal(chosen(action, verdict, &one), AGENTS); /* no payload: all */
        carries("0");
        assert_int_equal(chosen(action, verdict, &one), 0);
        carries("1000");
        assert_int_equal(chosen(action, verdict, &one), AGENTS);
        carries("18446744073709551615");
        assert_int_equal(chosen(action, verdict, &one), AGENTS);
        carries("50");
        assert_in_range(chosen(action, verdict, &one), AGENTS * 35 / 1000, AGENTS * 65 / 1000);
        rng_seed(&rng, 99, 3); /* the choice depends on agent and payload only */
        assert_in_range(chosen(action, verdict, &two), AGENTS * 35 / 1000, AGENTS * 65 / 1000);
        assert_true(one == two);
        carries("500");
        assert_in_range(chosen(action, verdict, &other), AGENTS * 46 / 100, AGENTS * 54 / 100);
        assert_true(other != one);
        static const char *const no_numbers[] = {"-1", "5%", "99999999999999999999999", "half"};
        for (size_t i = 0; i < 4; i++) {
            carries(no_numbers[i]);
            assert_int_equal(chosen(action, verdict, &one), AGENTS);
        }
    }
}

static void fail_and_conflict_say_why(void **state)
{
    (void)state;
    run("fail");
    assert_int_equal(answer.reason, REASON_HANDLER);
    assert_int_equal(answer.bytes, 0);
    assert_false(answer.has_conflict);
    run("conflict");
    assert_int_equal(answer.verdict, OUTCOME_CONFLICT);
    assert_true(answer.has_conflict);
    assert_int_equal(answer.conflict.type, CONFLICT_CONTEXT_DIVERGENCE);
    assert_memory_equal(&answer.conflict.context_hash, &call.context_hash, 16);
    assert_int_equal(answer.conflict.agents_affected, 1);
    assert_int_equal(answer.conflict.expected_bytes, 2);
    assert_memory_equal(answer.conflict.expected, "a1", 2);
    assert_memory_equal(answer.conflict.received, "b2", 2);
    carries("0");
    run("conflict");
    assert_false(answer.has_conflict);
}

static void relay(const char *text)
{
    carries(text);
    run("relay");
    assert_answer("sent");
    assert_true(answer.has_emit);
    /* It stays in the cascade that caused it, and borrows from its payload. */
    const struct operation *e = &answer.emit;
    assert_memory_equal(&e->causation_id, &operation.id, sizeof(operation.id));
    assert_int_equal(e->verb, operation.verb);
    assert_int_equal(e->priority, operation.priority);
    assert_int_equal(e->trinary_expectation, TRINARY_READY);
    assert_true(e->payload >= payload);
    assert_true(e->payload + e->payload_bytes == payload + strlen(text));
}

static void assert_payload(const char *text)
{
    assert_int_equal(answer.emit.payload_bytes, strlen(text));
    assert_memory_equal(answer.emit.payload, text, strlen(text));
}

static void relay_sends_to_places(void **state)
{
    (void)state;
    relay("s01.c2.a3 hello there");
    assert_int_equal(answer.emit.routing, ROUTING_DIRECT);
    assert_string_equal(answer.emit.action, "echo");
    assert_payload("hello there");
    assert_true(place_has_agent(&answer.emit.selector.places, unit_agent(1, 2, 3)));
    assert_false(place_has_agent(&answer.emit.selector.places, unit_agent(1, 2, 4)));
    relay("s[01-02].c3,s05 x");
    assert_int_equal(answer.emit.selector.places.count, 2);
    assert_true(place_has_agent(&answer.emit.selector.places, unit_agent(2, 3, 30)));
    assert_true(place_has_agent(&answer.emit.selector.places, unit_agent(5, 9, 1)));
    assert_false(place_has_agent(&answer.emit.selector.places, unit_agent(1, 4, 1)));
    relay("s03"); /* nothing to say is allowed */
    assert_payload("");
    relay("s03  two blanks");
    assert_payload(" two blanks");
}

static void relay_with_routing_and_action(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum routing routing;
    } forms[] = {{"direct", ROUTING_DIRECT},
                 {"broadcast", ROUTING_BROADCAST},
                 {"scatter_gather", ROUTING_SCATTER_GATHER},
                 {"pipeline", ROUTING_PIPELINE}};
    char text[128];
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(routing_parse(forms[i].name, strlen(forms[i].name)), forms[i].routing);
        (void)snprintf(text, sizeof(text), "%s s02.c1 work some text", forms[i].name);
        relay(text);
        assert_int_equal(answer.emit.routing, forms[i].routing);
        assert_string_equal(answer.emit.action, "work");
        assert_payload("some text");
        assert_true(place_has_agent(&answer.emit.selector.places, unit_agent(2, 1, 30)));
    }
    relay("direct s02 probe");
    assert_string_equal(answer.emit.action, "probe");
    assert_payload("");
    relay("direct s02 an-action-of-thirty-one-bytes-a x"); /* the longest */
    assert_string_equal(answer.emit.action, "an-action-of-thirty-one-bytes-a");
}

static void relay_refuses_what_it_cannot_read(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        " s01 hello",
        "nowhere hello",
        "s09 hello",        /* eight sectors */
        "s01.c11 hello",    /* ten clusters */
        "s01.c1.a31 hello", /* thirty agents */
        "s[01 hello",
        "s[03-01] hello",
        "direct",
        "direct ",
        "direct s01", /* no action */
        "direct s01 ",
        "direct s01  echo", /* an empty action */
        "direct nowhere echo x",
        "pipeline direct echo x",
        "direct s01 an-action-of-thirty-two-bytes-ab x",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        carries(bad[i]);
        run("relay");
        assert_int_equal(answer.verdict, OUTCOME_FAILED);
        assert_int_equal(answer.reason, REASON_INVALID);
        assert_false(answer.has_emit);
        assert_int_equal(answer.bytes, 0);
    }
    operation.payload = NULL;
    operation.payload_bytes = 0;
    run("relay");
    assert_int_equal(answer.verdict, OUTCOME_FAILED);
}

/* Any bytes: an answer within its bounds, and a message that lies within the payload. */
static void any_payload_is_answered(void **state)
{
    (void)state;
    static const char alphabet[] = "s0123 .,ca[]-*directbroadcast\0\xff";
    struct rng draw;
    uint32_t count;
    const struct handler_ops *table = handler_table(&count);
    rng_seed(&draw, 2026, 11);
    operation.payload = payload;
    for (int i = 0; i < 20000; i++) {
        operation.payload_bytes = (uint32_t)rng_below(&draw, 40);
        for (uint32_t b = 0; b < operation.payload_bytes; b++) {
            payload[b] = (uint8_t)alphabet[rng_below(&draw, sizeof(alphabet))];
        }
        for (uint32_t h = 0; h < count; h++) {
            run(table[h].action);
            if (answer.has_emit) {
                assert_true(answer.emit.payload >= payload);
                assert_true(answer.emit.payload + answer.emit.payload_bytes ==
                            payload + operation.payload_bytes);
                assert_non_null(memchr(answer.emit.action, '\0', ACTION_MAX));
                assert_true(answer.emit.action[0] != '\0');
            }
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_table_is_complete_and_exact, setup),
        cmocka_unit_test_setup(echo_gives_back_the_first_kib, setup),
        cmocka_unit_test_setup(context_probe_and_whoami, setup),
        cmocka_unit_test_setup(facts_and_process, setup),
        cmocka_unit_test_setup(work_takes_the_time_of_its_class, setup),
        cmocka_unit_test_setup(work_repeats_from_its_seed, setup),
        cmocka_unit_test_setup(work_stays_in_its_bounds, setup),
        cmocka_unit_test_setup(fail_and_conflict_choose_a_share, setup),
        cmocka_unit_test_setup(fail_and_conflict_say_why, setup),
        cmocka_unit_test_setup(relay_sends_to_places, setup),
        cmocka_unit_test_setup(relay_with_routing_and_action, setup),
        cmocka_unit_test_setup(relay_refuses_what_it_cannot_read, setup),
        cmocka_unit_test_setup(any_payload_is_answered, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
