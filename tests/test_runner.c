/* The engine: steps, wakes, local messages, masks, work, store answers, hosts that start agents. */
#include "tiers/runner/runner.h"

#include "registry/memory.h"
#include "tiers/runner/clock.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

/* What the test's nodes saw, by tier: two small state machines that talk to each other. */
static struct {
    uint32_t starts, wakes, messages, links, stores, works, finals, stops;
    int64_t last_us;
    struct unit from, to;
    uint64_t mask;
    uint32_t seq;
    enum store_verdict verdict;
    enum outcome outcome;
} seen[TIER_COUNT];

static size_t size_of(const struct node_conf *conf)
{
    (void)conf;
    return sizeof(struct node_conf);
}

static void init(void *self, const struct node_conf *conf)
{
    memcpy(self, conf, sizeof(*conf));
}

static void record(const struct node_conf *self, const struct event *e)
{
    enum tier t = (enum tier)self->self.tier;
    assert_true(e->now_us >= seen[t].last_us || t == TIER_AGENT);
    seen[t].last_us = e->now_us;
    seen[t].starts += e->kind == EV_START;
    seen[t].wakes += e->kind == EV_WAKE;
    seen[t].links += e->kind == EV_LINK;
    seen[t].stops += e->kind == EV_STOP;
    if (e->kind == EV_MSG) {
        seen[t].messages++;
        seen[t].from = e->u.msg->from;
        seen[t].to = e->u.msg->to;
        seen[t].mask = e->u.msg->mask;
        assert_true(e->u.msg->recv_us > 0);
    } else if (e->kind == EV_STORE) {
        seen[t].stores++;
        seen[t].verdict = e->u.store->verdict;
        assert_int_equal(e->u.store->ref, 7);
    } else if (e->kind == EV_WORK) {
        seen[t].works++;
        seen[t].finals += e->u.work->final;
        seen[t].outcome = e->u.work->verdict;
    }
}

static int64_t cluster_step(void *self, const struct event *e, struct outbox *out)
{
    const struct node_conf *conf = self;
    record(conf, e);
    if (e->kind == EV_START) {
        struct store_op op = {.ref = 7, .kind = STORE_GET, .shard = "s01.c1", .key = "nothing"};
        out_store(out, &op);
        return e->now_us + 3000;
    }
    if (e->kind == EV_WAKE && seen[TIER_CLUSTER].wakes == 1) {
        struct msg msg = {.type = MSG_CANCEL,
                          .from = conf->self,
                          .to = unit_agent(1, 1, 2),
                          .mask = 0x5, /* a2 and a4 */
                          .epoch = conf->epoch};
        out_send(out, &msg);
        return e->now_us; /* wake at once: more to do */
    }
    return seen[TIER_CLUSTER].wakes == 0 ? e->now_us + 3000 : NEVER;
}

static int64_t agent_step(void *self, const struct event *e, struct outbox *out)
{
    const struct node_conf *conf = self;
    record(conf, e);
    if (e->kind == EV_MSG || e->kind == EV_STOP) {
        struct msg msg = {.type = MSG_GOODBYE,
                          .from = conf->self,
                          .to = topology_parent(conf->self),
                          .epoch = conf->epoch};
        struct work_op op = {.ref = 9, .kind = WORK_HANDLER}; /* of an operation that is not here */
        out_send(out, &msg);
        if (e->kind == EV_STOP) {
            return e->now_us + 1; /* whatever it says: no wake follows */
        }
        out_work(out, &op);
    }
    return NEVER;
}

static int64_t host_step(void *self, const struct event *e, struct outbox *out)
{
    const struct node_conf *conf = self;
    record(conf, e);
    for (uint32_t i = 0; e->kind == EV_START && i <= conf->agent_count; i++) {
        struct unit u = topology_agent(conf->topology, conf->agent_first + i);
        struct work_op op = {.ref = i + 1, .kind = WORK_AGENT_START, .unit = u, .home = u};
        out_work(out, &op); /* the last is not this host's */
    }
    return NEVER;
}

static const struct node_ops cluster = {
    .name = "cluster", .size = size_of, .init = init, .step = cluster_step};
static const struct node_ops agent = {
    .name = "agent", .size = size_of, .init = init, .step = agent_step};
static const struct node_ops host = {
    .name = "host", .size = size_of, .init = init, .step = host_step};

static struct topology topology;
static struct tuning tuning;
static struct directory directory;
static struct log log_to;
static struct memory_store *store;
static void *tags[8];
static uint32_t tag_count;
static struct runner *r;

static bool submit(void *ctx, const struct store_op *op, void *tag)
{
    (void)ctx;
    assert_int_equal(op->kind, STORE_GET);
    assert_true(tag_count < 8);
    tags[tag_count++] = tag; /* answered later, as a real store does */
    return true;
}

static int setup_with(uint32_t pack_from)
{
    memset(seen, 0, sizeof(seen));
    tag_count = 0;
    topology_default(24, &topology);
    topology.sectors = 2;
    topology.clusters_per_sector = 2;
    topology.agents_per_cluster = 6;
    log_init(&log_to, "test", LOG_ERROR);
    store = memory_store_new(100000);
    assert_true(directory_init(&directory, &topology));
    struct runner_conf conf = {
        .topology = &topology,
        .tuning = &tuning,
        .process = "test",
        .seed = 1,
        .epoch = 5,
        .ops = {[TIER_CLUSTER] = &cluster, [TIER_AGENT] = &agent, [TIER_HOST] = &host},
        .log = &log_to,
        .directory = &directory,
        .store = submit,
        .pack_from = pack_from,
        .pack_open = pack_from}; /* one place: every other node's step packs */
    r = runner_new(&conf);
    return r != NULL && store != NULL ? 0 : -1;
}

static int setup(void **state)
{
    (void)state;
    return setup_with(0);
}

/* All agents are packed between their steps. */
static int setup_packed(void **state)
{
    (void)state;
    return setup_with(1);
}

static int teardown(void **state)
{
    (void)state;
    runner_free(r);
    directory_done(&directory);
    memory_store_free(store);
    return 0;
}

/* Turns until nothing is due within the next 20 ms of patience. */
static void settle(void)
{
    int64_t end_us = clock_boot_us() + 2 * US_PER_S;
    while (runner_next_us(r) != NEVER && clock_boot_us() < end_us) {
        int64_t wait_us = runner_next_us(r) - clock_boot_us();
        if (wait_us > 0) {
            (void)usleep((useconds_t)(wait_us < 20000 ? wait_us : 20000));
        }
        runner_turn(r);
    }
    assert_true(runner_next_us(r) == NEVER);
}

static void nodes_talk_and_wake(void **state)
{
    (void)state;
    assert_int_equal(runner_add(r, unit_agent(1, 1, 2), 0, 0, 0), 0);
    assert_int_equal(runner_add(r, unit_agent(1, 1, 4), 0, 0, 0), 0);
    assert_int_equal(runner_add(r, unit_cluster(1, 1), 0, 0, 0), 0);
    assert_true(runner_add(r, unit_cluster(1, 1), 0, 0, 0) < 0); /* it runs */
    assert_true(runner_add(r, unit_sector(1), 0, 0, 0) < 0);     /* no such tier here */
    settle();
    assert_int_equal(seen[TIER_CLUSTER].starts, 1);
    assert_int_equal(seen[TIER_CLUSTER].links, 2);
    assert_int_equal(seen[TIER_CLUSTER].wakes, 2);
    assert_int_equal(seen[TIER_AGENT].messages, 2);
    assert_true(unit_equal(seen[TIER_AGENT].from, unit_cluster(1, 1)));
    assert_int_equal(seen[TIER_CLUSTER].messages, 2); /* their goodbyes */
    assert_int_equal(seen[TIER_AGENT].starts, 2);
}

static void masks_and_answers_arrive(void **state)
{
    (void)state;
    struct msg msg = {.type = MSG_CANCEL,
                      .from = unit_cluster(1, 1),
                      .to = unit_agent(1, 1, 2),
                      .mask = 0x5,
                      .recv_us = clock_boot_us()};
    assert_int_equal(runner_add(r, unit_agent(1, 1, 2), 0, 0, 0), 0);
    assert_int_equal(runner_add(r, unit_agent(1, 1, 4), 0, 0, 0), 0);
    settle();
    runner_message(r, &msg);
    assert_int_equal(seen[TIER_AGENT].messages, 2);
    assert_true(unit_equal(seen[TIER_AGENT].to, unit_agent(1, 1, 4)));
    assert_int_equal(seen[TIER_AGENT].mask, 0);
    settle();
    assert_int_equal(seen[TIER_AGENT].finals, 2); /* the work's operation is not here: FAILED */
    assert_int_equal(seen[TIER_AGENT].outcome, OUTCOME_FAILED);
    assert_int_equal(runner_stats(r)->no_route, 2); /* their goodbyes: no lead is known */
    msg.mask = 0x2;                                 /* a3 does not run here */
    runner_message(r, &msg);
    assert_int_equal(runner_stats(r)->not_mine, 1);
}

static void store_answers_find_their_node(void **state)
{
    (void)state;
    assert_int_equal(runner_add(r, unit_cluster(1, 1), 0, 0, 0), 0);
    settle();
    assert_int_equal(tag_count, 1);
    struct store_op op = {.ref = 7, .kind = STORE_GET, .shard = "s01.c1", .key = "nothing"};
    struct store_reply reply;
    memory_store_apply(store, 1, &op, &reply);
    reply.ref = 7;
    runner_store_reply(r, tags[0], &reply);
    assert_int_equal(seen[TIER_CLUSTER].stores, 1);
    assert_int_equal(seen[TIER_CLUSTER].verdict, STORE_MISSING);
    runner_remove(r, unit_cluster(1, 1));
    assert_int_equal(runner_add(r, unit_cluster(1, 1), 0, 0, 0), 0);
    settle();
    runner_store_reply(r, tags[0], &reply); /* to its earlier life */
    assert_int_equal(seen[TIER_CLUSTER].stores, 1);
}

static void links_are_told_once(void **state)
{
    (void)state;
    assert_int_equal(runner_add(r, unit_agent(1, 1, 1), 0, 0, 0), 0);
    settle();
    assert_int_equal(seen[TIER_AGENT].links, 2);
    runner_link(r, LINK_BUS, true);
    runner_link(r, LINK_BUS, true);
    assert_int_equal(seen[TIER_AGENT].links, 3);
    assert_int_equal(runner_add(r, unit_cluster(1, 1), 0, 0, 0), 0);
    settle();
    assert_int_equal(seen[TIER_CLUSTER].links, 2);
    runner_link(r, LINK_DURABLE, false);
    assert_int_equal(seen[TIER_CLUSTER].links, 3);
    assert_int_equal(seen[TIER_AGENT].links, 3); /* it does not concern agents */
    assert_int_equal(runner_add(r, unit_cluster(1, 2), 0, 0, 0), 0);
    settle();
    assert_int_equal(seen[TIER_CLUSTER].links, 6); /* who starts meanwhile is told as well */
}

static void hosts_start_their_own_agents(void **state)
{
    (void)state;
    assert_int_equal(runner_add(r, unit_numbered(TIER_HOST, 1), 3, 0, 4), 0);
    settle();
    assert_int_equal(runner_stats(r)->agents, 4);
    assert_true(runner_has(r, unit_agent(1, 1, 4)));
    assert_false(runner_has(r, unit_agent(1, 1, 5)));
    assert_int_equal(seen[TIER_HOST].finals, 1); /* the one that is not its own */
    assert_int_equal(seen[TIER_HOST].outcome, OUTCOME_FAILED);
    runner_remove(r, unit_agent(1, 1, 3));
    settle();
    assert_int_equal(seen[TIER_HOST].finals, 2); /* that agent's work has ended */
    assert_int_equal(runner_stats(r)->agents, 3);
}

static void a_clean_stop_has_last_words(void **state)
{
    (void)state;
    assert_int_equal(runner_add(r, unit_agent(1, 1, 2), 0, 0, 0), 0);
    assert_int_equal(runner_add(r, unit_agent(1, 1, 4), 0, 0, 0), 0);
    assert_int_equal(runner_add(r, unit_numbered(TIER_HOST, 1), 3, 6, 0), 0);
    settle();
    assert_int_equal(runner_add(r, unit_agent(1, 1, 5), 0, 0, 0), 0); /* has not begun */
    runner_goodbye(r);
    assert_int_equal(seen[TIER_AGENT].stops, 2);
    assert_int_equal(seen[TIER_HOST].stops, 0);
    assert_int_equal(runner_stats(r)->no_route,
                     2); /* their words left the node: no lead is known */
    runner_remove(r, unit_agent(1, 1, 5));
    assert_true(runner_next_us(r) == NEVER);
}

static void packed_agents_take_what_they_use(void **state)
{
    (void)state;
    assert_int_equal(runner_stats(r)->packed_bytes, 0);
    assert_int_equal(runner_add(r, unit_agent(1, 1, 2), 0, 0, 0), 0);
    uint64_t one = runner_stats(r)->packed_bytes;
    assert_true(one > 0 && one < sizeof(struct node_conf));
    assert_int_equal(runner_add(r, unit_agent(1, 1, 4), 0, 0, 0), 0);
    assert_int_equal(runner_add(r, unit_cluster(1, 1), 0, 0, 0), 0); /* leads are not packed */
    settle();
    assert_true(runner_stats(r)->packed_bytes < 3 * one);
    runner_remove(r, unit_agent(1, 1, 2));
    runner_remove(r, unit_agent(1, 1, 4));
    assert_int_equal(runner_stats(r)->packed_bytes, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define PACKED(f)                                                                                  \
    {                                                                                              \
#f "_packed", f, setup_packed, teardown, NULL                                              \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(nodes_talk_and_wake),           TEST(masks_and_answers_arrive),
        TEST(store_answers_find_their_node), TEST(links_are_told_once),
        TEST(hosts_start_their_own_agents),  TEST(a_clean_stop_has_last_words),
        PACKED(nodes_talk_and_wake),         PACKED(masks_and_answers_arrive),
        PACKED(links_are_told_once),         PACKED(hosts_start_their_own_agents),
        PACKED(a_clean_stop_has_last_words), PACKED(packed_agents_take_what_they_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
