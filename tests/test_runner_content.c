/* What a process does with contexts: one copy for all, from the store once, held only when it
 * hashes to its key, and put again when the store comes back. */
#include "tiers/runner/clock.h"
#include "tiers/runner/runner.h"
#include <setjmp.h>
#include <sodium.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define AGENTS 4u

static const uint8_t text[] = "the market closed early today";
static uint8_t key[32];
static struct {
    uint32_t finals;
    enum outcome outcome;
    struct id128 context;
    bool told;
} seen[AGENTS];
static struct {
    void *tags[8];
    struct store_op ops[8];
    uint32_t count;
} asked;
static bool away;
static const uint8_t *given; /* what comes from a neighbour */
static uint32_t given_bytes, answered;
static bool reads; /* messages make agents read the context, not want it */
static uint8_t answer_of[100];
static struct topology topology;
static struct tuning tuning;
static struct directory directory;
static struct log log_to;
static struct runner *r;

static size_t size_of(const struct node_conf *conf)
{
    (void)conf;
    return sizeof(struct node_conf);
}

static void init(void *self, const struct node_conf *conf)
{
    memcpy(self, conf, sizeof(*conf));
}

/* Each message makes it want the context. */
static int64_t step(void *self, const struct event *e, struct outbox *out)
{
    const struct node_conf *conf = self;
    uint32_t i = conf->self.agent - 1u;
    if (e->kind == EV_MSG) {
        struct work_op op = {.ref = 9, .kind = WORK_CONTEXT};
        memcpy(op.content, key, sizeof(key));
        op.kind = reads ? WORK_CONTENT : WORK_CONTEXT;
        op.body = given;
        op.body_bytes = given_bytes;
        out_work(out, &op);
    } else if (e->kind == EV_WORK) {
        answered = e->u.work->answer_bytes;
        if (reads) {
            assert_in_range(answered, sizeof(key), sizeof(answer_of));
            memcpy(answer_of, e->u.work->answer, answered);
        }
        seen[i].finals += e->u.work->final;
        seen[i].outcome = e->u.work->verdict;
        seen[i].told = e->u.work->context != NULL;
        if (seen[i].told) {
            seen[i].context = *e->u.work->context;
        }
    }
    return NEVER;
}

static const struct node_ops agent = {.name = "agent", .size = size_of, .init = init, .step = step};

static bool submit(void *ctx, const struct store_op *op, void *tag)
{
    (void)ctx;
    assert_true(asked.count < 8);
    assert_memory_equal(op->hash, key, sizeof(key));
    if (!away) {
        asked.ops[asked.count] = *op;
        asked.tags[asked.count++] = tag;
    }
    return !away;
}

static void turns(void)
{
    int64_t end_us = clock_boot_us() + 10 * US_PER_S;
    do {
        runner_turn(r);
    } while (runner_next_us(r) != NEVER && clock_boot_us() < end_us);
    assert_true(runner_next_us(r) == NEVER);
}

static int setup(void **state)
{
    (void)state;
    memset(seen, 0, sizeof(seen));
    memset(&asked, 0, sizeof(asked));
    away = reads = false;
    given = NULL;
    given_bytes = answered = 0;
    (void)crypto_generichash(key, sizeof(key), text, sizeof(text), NULL, 0);
    topology_default(24, &topology);
    topology.sectors = 2;
    topology.clusters_per_sector = 2;
    topology.agents_per_cluster = 6;
    log_init(&log_to, "test", LOG_ERROR);
    assert_true(directory_init(&directory, &topology));
    struct runner_conf conf = {.topology = &topology,
                               .tuning = &tuning,
                               .process = "test",
                               .seed = 1,
                               .epoch = 5,
                               .ops = {[TIER_AGENT] = &agent},
                               .log = &log_to,
                               .directory = &directory,
                               .store = submit};
    r = runner_new(&conf);
    assert_non_null(r);
    for (uint8_t i = 1; i <= AGENTS; i++) {
        assert_int_equal(runner_add(r, unit_agent(1, 1, i), 0, 0, 0), 0);
    }
    turns();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    runner_free(r);
    directory_done(&directory);
    return 0;
}

static void want(uint64_t mask)
{
    struct msg msg = {.type = MSG_WELCOME,
                      .from = unit_cluster(1, 1),
                      .to = unit_agent(1, 1, 1),
                      .mask = mask,
                      .recv_us = clock_boot_us()};
    runner_message(r, &msg);
}

static void answer(uint32_t i, enum store_verdict verdict, const void *bytes, uint32_t count)
{
    struct store_reply reply = {.kind = asked.ops[i].kind,
                                .verdict = verdict,
                                .total_bytes = count,
                                .body = bytes,
                                .body_bytes = count};
    assert_true(i < asked.count);
    runner_store_reply(r, asked.tags[i], &reply);
    turns();
}

static void fetched_once_for_all(void **state)
{
    (void)state;
    want(0x7);
    turns();
    assert_int_equal(asked.count, 1);
    assert_int_equal(asked.ops[0].kind, STORE_BLOB_GET);
    runner_remove(r, unit_agent(1, 1, 2)); /* while it waits */
    answer(0, STORE_OK, text, sizeof(text));
    for (uint32_t i = 0; i < 3; i += 2) {
        assert_int_equal(seen[i].finals, 1);
        assert_int_equal(seen[i].outcome, OUTCOME_READY);
        assert_true(seen[i].told);
        assert_memory_equal(seen[i].context.bytes, key, sizeof(seen[i].context.bytes));
    }
    assert_int_equal(seen[1].finals, 0);
    want(0x8); /* it is here: nobody is asked */
    turns();
    assert_int_equal(asked.count, 1);
    assert_int_equal(seen[3].outcome, OUTCOME_READY);
    runner_link(r, LINK_STORE, true); /* a store that comes back may have lost it */
    assert_int_equal(asked.count, 2);
    assert_int_equal(asked.ops[1].kind, STORE_BLOB_PUT);
    assert_int_equal(asked.ops[1].body_bytes, sizeof(text));
    assert_memory_equal(asked.ops[1].body, text, sizeof(text));
    answer(1, STORE_EXISTS, NULL, 0);
    for (uint8_t i = 1; i <= AGENTS; i++) {
        runner_remove(r, unit_agent(1, 1, i));
    }
    runner_link(r, LINK_STORE, false);
    runner_link(r, LINK_STORE, true); /* nobody holds it any more */
    assert_int_equal(asked.count, 2);
}

static void what_is_wrong_or_missing_is_not_held(void **state)
{
    (void)state;
    uint8_t wrong[sizeof(text)];
    memcpy(wrong, text, sizeof(text));
    wrong[3] ^= 1u;
    want(0x1);
    answer(0, STORE_OK, wrong, sizeof(wrong));
    assert_int_equal(seen[0].outcome, OUTCOME_CONFLICT);
    assert_false(seen[0].told);
    want(0x1);
    answer(1, STORE_OK, text, 0); /* nothing is no context */
    assert_int_equal(seen[0].outcome, OUTCOME_FAILED);
    want(0x1);
    answer(2, STORE_MISSING, NULL, 0);
    assert_int_equal(seen[0].outcome, OUTCOME_FAILED);
    away = true;
    want(0x1);
    turns();
    assert_int_equal(seen[0].finals, 4);
    assert_int_equal(seen[0].outcome, OUTCOME_FAILED);
    assert_false(seen[0].told);
    away = false;
    want(0x1);
    answer(3, STORE_OK, text, sizeof(text));
    assert_int_equal(seen[0].outcome, OUTCOME_READY);
}

/* A neighbour's bytes are held when they are what the key says, without a store; else they are
 * refused and counted, and the store is asked. What is held is read for others. */
static void a_neighbours_bytes_are_checked(void **state)
{
    (void)state;
    uint8_t wrong[sizeof(text)];
    memcpy(wrong, text, sizeof(text));
    wrong[7] ^= 4u;
    away = true;
    given = wrong;
    given_bytes = sizeof(wrong);
    want(0x1);
    turns();
    assert_int_equal(seen[0].outcome, OUTCOME_FAILED);
    assert_false(seen[0].told);
    assert_int_equal(runner_stats(r)->contents_refused, 1);
    reads = true; /* nothing is held, nothing is given */
    given_bytes = 0;
    want(0x1);
    turns();
    assert_int_equal(seen[0].outcome, OUTCOME_FAILED);
    assert_int_equal(answered, sizeof(key));
    reads = false;
    given = text;
    given_bytes = sizeof(text);
    want(0x1);
    turns();
    assert_int_equal(seen[0].outcome, OUTCOME_READY);
    assert_memory_equal(seen[0].context.bytes, key, sizeof(seen[0].context.bytes));
    given_bytes = 0;
    want(0x2); /* another of the same process: the store is still away */
    turns();
    assert_int_equal(seen[1].outcome, OUTCOME_READY);
    reads = true;
    want(0x2);
    turns();
    assert_int_equal(seen[1].outcome, OUTCOME_READY);
    assert_int_equal(answered, sizeof(key) + sizeof(text));
    assert_memory_equal(answer_of, key, sizeof(key));
    assert_memory_equal(answer_of + sizeof(key), text, sizeof(text));
    away = false;
    runner_link(r, LINK_STORE, true); /* and then it is put there */
    assert_int_equal(asked.count, 1);
    assert_int_equal(asked.ops[0].kind, STORE_BLOB_PUT);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(fetched_once_for_all),
        TEST(what_is_wrong_or_missing_is_not_held),
        TEST(a_neighbours_bytes_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
