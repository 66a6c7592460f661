/* One node on a bench: events in by hand, effects collected (tests of the upper tiers). */
#ifndef TESTS_SUPPORT_BENCH_H
#define TESTS_SUPPORT_BENCH_H

#include "core/aggregate.h"
#include "core/node.h"
#include "core/num.h"
#include "core/order.h"
#include "tests/support/steps.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define BENCH_UNIX_US  1767225600000000ll
#define BENCH_SENT_MAX 32768u

struct bench {
    struct topology topology;
    struct node_conf conf;
    const struct node_ops *ops;
    void *self;
    struct outbox out;
    int64_t now_us, wake_us;
    struct msg *sent[BENCH_SENT_MAX]; /* with their parts, one block each */
    uint32_t sent_count;
    uint32_t notes[NOTE_COUNT];
    uint32_t seals;
    struct operation sealed; /* the last; without payload */
    char sealed_payload[16]; /* its first bytes */
    uint32_t store_ops[STORE_KIND_COUNT];
    char store_key[STORE_KEY_MAX], store_shard[STORE_KEY_MAX];
    uint64_t store_ref, get_ref; /* of the last store operation; of the last STORE_GET */
    char get_key[STORE_KEY_MAX];
    enum store_verdict log_verdict; /* answers every append to a log at once; 0: never */
    uint64_t log_refs[OUTBOX_EFFECTS_MAX];
    uint32_t log_count, log_rows;
    /* The table of jobs (orchestrator_jobs_store.c): each of its operations is answered at once, by
     * `on_jobs`, NULL: OK, and there were none. jobs_silent: never. */
    void (*on_jobs)(void *ctx, const struct store_op *op, struct store_reply *ret);
    void *jobs_ctx;
    bool jobs_silent;
    struct store_op jobs[OUTBOX_EFFECTS_MAX]; /* without fields and rows */
    enum store_verdict jobs_verdicts[OUTBOX_EFFECTS_MAX];
    uint32_t jobs_count;
};

static inline void bench_job_store(struct bench *b, const struct store_op *op)
{
    struct store_reply reply = {.verdict = STORE_OK};
    if (b->jobs_silent) {
        return;
    }
    if (op->kind != STORE_SCAN && b->on_jobs != NULL) {
        b->on_jobs(b->jobs_ctx, op, &reply);
    }
    assert_in_range(b->jobs_count, 0, OUTBOX_EFFECTS_MAX - 1);
    b->jobs[b->jobs_count] = *op;
    b->jobs_verdicts[b->jobs_count++] = reply.verdict;
}

static inline void bench_collect(struct bench *b)
{
    for (uint32_t i = 0; i < b->out.effect_count; i++) {
        const struct effect *fx = &b->out.effects[i];
        if (fx->kind == FX_SEND) {
            uint32_t extra = msg_extra_bytes(&fx->u.msg);
            size_t head = (sizeof(struct msg) + 15u) & ~(size_t)15u;
            struct msg *m = calloc(1, head + extra + 16u);
            assert_non_null(m);
            (void)msg_copy(&fx->u.msg, m, (uint8_t *)m + head, extra + 16u);
            assert_true(msg_route_valid(&b->topology, m));
            assert_in_range(b->sent_count, 0, BENCH_SENT_MAX - 1);
            b->sent[b->sent_count++] = m;
        } else if (fx->kind == FX_NOTE) {
            b->notes[fx->u.note.note]++;
        } else if (fx->kind == FX_SEAL) {
            b->seals++;
            b->sealed = fx->u.operation;
            snprintf(b->sealed_payload, sizeof(b->sealed_payload), "%.*s",
                     (int)b->sealed.payload_bytes, (const char *)b->sealed.payload);
            b->sealed.payload = NULL;
        } else if (fx->kind == FX_STORE && fx->u.store.collection != NULL &&
                   strcmp(fx->u.store.collection, "jobs") == 0) {
            bench_job_store(b, &fx->u.store);
        } else if (fx->kind == FX_STORE) {
            b->store_ops[fx->u.store.kind]++;
            /* The audit of a command comes beside it; scans and puts of rows have no key. */
            if (fx->u.store.kind != STORE_LOG_APPEND && fx->u.store.key != NULL) {
                strncpy(b->store_key, fx->u.store.key, sizeof(b->store_key) - 1);
            }
            strncpy(b->store_shard, fx->u.store.shard, sizeof(b->store_shard) - 1);
            b->store_ref = fx->u.store.ref;
            if (fx->u.store.kind == STORE_GET) {
                b->get_ref = fx->u.store.ref;
                strncpy(b->get_key, fx->u.store.key, sizeof(b->get_key) - 1);
            }
            if (fx->u.store.kind == STORE_LOG_APPEND && b->log_verdict != 0) {
                b->log_refs[b->log_count++ % OUTBOX_EFFECTS_MAX] = fx->u.store.ref;
            }
        }
    }
}

static inline void bench_step(struct bench *b, struct event *event);

/* The log answers what was appended. */
static inline void bench_log(struct bench *b)
{
    uint64_t refs[OUTBOX_EFFECTS_MAX];
    uint32_t count = b->log_count;
    memcpy(refs, b->log_refs, sizeof(refs));
    b->log_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct store_reply reply = {.ref = refs[i],
                                    .kind = STORE_LOG_APPEND,
                                    .verdict = b->log_verdict,
                                    .epoch = ++b->log_rows,
                                    .detail = "the disk is full"};
        struct event e = {.kind = EV_STORE};
        e.u.store = &reply;
        bench_step(b, &e);
    }
}

static inline void bench_jobs(struct bench *b)
{
    struct store_op ops[OUTBOX_EFFECTS_MAX];
    enum store_verdict verdicts[OUTBOX_EFFECTS_MAX];
    uint32_t count = b->jobs_count;
    memcpy(ops, b->jobs, sizeof(ops));
    memcpy(verdicts, b->jobs_verdicts, sizeof(verdicts));
    b->jobs_count = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct store_reply reply = {.verdict = verdicts[i]};
        struct event e = {.kind = EV_STORE};
        if (ops[i].kind == STORE_SCAN && b->on_jobs != NULL) {
            b->on_jobs(b->jobs_ctx, &ops[i], &reply);
        }
        reply.ref = ops[i].ref;
        reply.kind = ops[i].kind;
        e.u.store = &reply;
        bench_step(b, &e);
    }
}

static inline void bench_step(struct bench *b, struct event *event)
{
    event->now_us = b->now_us;
    outbox_clear(&b->out);
    b->wake_us = b->ops->step(b->self, event, &b->out);
    bench_collect(b);
    for (int i = 0; b->wake_us <= b->now_us; i++) { /* short of room: goes on at once */
        assert_in_range(i, 0, 5000);
        struct event wake = {.kind = EV_WAKE, .now_us = b->now_us};
        outbox_clear(&b->out);
        b->wake_us = b->ops->step(b->self, &wake, &b->out);
        bench_collect(b);
        assert_in_range(b->log_count, 0, OUTBOX_EFFECTS_MAX);
        bench_log(b);
        bench_jobs(b);
    }
    bench_log(b);
    bench_jobs(b);
}

static inline void bench_forget(struct bench *b)
{
    for (uint32_t i = 0; i < b->sent_count; i++) {
        free(b->sent[i]);
    }
    b->sent_count = 0;
}

static inline void bench_close(struct bench *b)
{
    bench_forget(b);
    free(b->self);
    free(b);
}

/* Time passes: every wake that falls due is given. */
static inline void bench_pass(struct bench *b, int64_t us)
{
    int64_t end = b->now_us + us;
    while (b->wake_us <= end) {
        b->now_us = b->wake_us > b->now_us ? b->wake_us : b->now_us;
        bench_step(b, &(struct event){.kind = EV_WAKE});
    }
    b->now_us = end;
}

static inline struct bench *bench_open(const struct node_ops *ops, struct unit self,
                                       uint16_t sectors, uint16_t clusters, uint16_t agents)
{
    struct bench *b = calloc(1, sizeof(*b));
    assert_non_null(b);
    b->ops = ops;
    topology_default(1, &b->topology);
    b->topology.agents = (uint32_t)sectors * clusters * agents;
    b->topology.sectors = sectors;
    b->topology.clusters_per_sector = clusters;
    b->topology.agents_per_cluster = agents;
    memset(b->topology.class_agents, 0, sizeof(b->topology.class_agents));
    b->topology.class_agents[CLASS_A_EDGE] = b->topology.agents;
    assert_null(topology_check(&b->topology));
    b->now_us = 1000000;
    b->conf = (struct node_conf){.self = self,
                                 .uid = 7,
                                 .epoch = 3,
                                 .seed = 42,
                                 .topology = &b->topology,
                                 .digest = digest_plain,
                                 .unix_us = BENCH_UNIX_US,
                                 .init_now_us = b->now_us};
    b->conf.tuning = tuning_default();
    b->self = calloc(1, ops->size(&b->conf));
    assert_non_null(b->self);
    ops->init(b->self, &b->conf);
    bench_step(b, &(struct event){.kind = EV_START});
    return b;
}

static inline void bench_msg(struct bench *b, struct msg *m)
{
    m->to = b->conf.self;
    m->recv_us = b->now_us;
    assert_true(msg_route_valid(&b->topology, m));
    struct event e = {.kind = EV_MSG};
    e.u.msg = m;
    bench_step(b, &e);
}

/* The n-th message of a type that was sent since the last bench_forget(), or NULL. */
static inline const struct msg *bench_sent(const struct bench *b, enum msg_type type, uint32_t n)
{
    for (uint32_t i = 0; i < b->sent_count; i++) {
        if (b->sent[i]->type == type && n-- == 0) {
            return b->sent[i];
        }
    }
    return NULL;
}

/* The n-th order of a kind. */
static inline const struct msg *bench_order(const struct bench *b, enum order_what what, uint32_t n)
{
    for (uint32_t i = 0; i < b->sent_count; i++) {
        if (b->sent[i]->type == MSG_ORDER && b->sent[i]->u.order->what == what && n-- == 0) {
            return b->sent[i];
        }
    }
    return NULL;
}

static inline uint32_t bench_count(const struct bench *b, enum msg_type type)
{
    uint32_t n = 0;
    while (bench_sent(b, type, n) != NULL) {
        n++;
    }
    return n;
}

/* The last reply of a kind, or NULL. */
static inline const struct reply *bench_reply(const struct bench *b, enum reply_kind kind)
{
    const struct reply *found = NULL;
    for (uint32_t i = 0; i < b->sent_count; i++) {
        if (b->sent[i]->type == MSG_REPLY && b->sent[i]->u.reply->kind == kind) {
            found = b->sent[i]->u.reply;
        }
    }
    return found;
}

/* A child's beat with a summary: `active` of `agents` in service. */
static inline void bench_beat(struct bench *b, struct unit from, uint64_t epoch, uint32_t agents,
                              uint32_t active)
{
    struct beat beat = {.has_summary = true};
    beat.summary.agents = agents;
    beat.summary.active = active;
    beat.summary.clusters = 1;
    beat.summary.clusters_up = 1;
    beat.summary.class_active[CLASS_A_EDGE] = active;
    beat.summary.lead_counts[CLASS_A_EDGE][10] = active; /* about 10 ms */
    beat.summary.impedance_sum_us = active * 20000ull;
    beat.summary.circuit = CIRCUIT_CLOSED;
    struct msg m = {.type = MSG_BEAT, .from = from, .epoch = epoch, .sent_us = b->now_us};
    m.u.beat = &beat;
    bench_msg(b, &m);
}

static inline void bench_command(struct bench *b, struct command *c)
{
    static uint64_t ref;
    struct msg m = {.type = MSG_COMMAND, .from = unit_numbered(TIER_CONSOLE, 1), .epoch = 1};
    c->ref = ++ref;
    m.u.command = c;
    bench_msg(b, &m);
}

/* A console's question for the first page about an operation. */
static inline void bench_ask(struct bench *b, enum query_kind kind, struct id128 id)
{
    struct command c = {.kind = COMMAND_QUERY};
    c.query = (struct query){.kind = kind, .operation_id = id, .from_start = true, .limit = 100};
    bench_forget(b);
    bench_command(b, &c);
}

static inline void bench_submit(struct command *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->kind = COMMAND_SUBMIT;
    ret->operation = (struct operation){.timing = TIMING_SOON,
                                        .verb = VERB_ACT,
                                        .priority = 2,
                                        .action = "echo",
                                        .require_ack = true,
                                        .require_answer = true,
                                        .payload_weight = 1.0,
                                        .minimum_response_rate = 0.95,
                                        .ttl_us = 30000000,
                                        .timeout_us = 5000000,
                                        .payload = (const uint8_t *)"hi",
                                        .payload_bytes = 2};
}

/* A final result of a child: all its targets with one outcome and no answer. */
static inline void bench_result(struct bench *b, struct unit from, struct id128 id,
                                uint32_t targets, enum outcome outcome)
{
    struct answer_group g = {.outcome = outcome, .count = targets};
    g.hash = aggregate_hash(outcome, REASON_NONE, NULL, 0);
    struct result r = {.operation_id = id, .final = true};
    r.aggregate.targets = targets;
    r.aggregate.outcomes[outcome] = targets;
    r.aggregate.sent = targets;
    r.aggregate.sectors_reached = from.tier == TIER_SECTOR ? 1 : 0;
    r.aggregate.clusters_reached = 1;
    r.aggregate.agents_reached = targets;
    r.aggregate.group_count = 1;
    r.aggregate.groups = &g;
    struct msg m = {.type = MSG_RESULT, .from = from, .epoch = 1};
    m.u.result = &r;
    bench_msg(b, &m);
}

/* The orchestrator has asked the registry what was frozen before it: nothing was. */
static inline void bench_nothing_frozen(struct bench *b)
{
    assert_int_equal(b->store_ops[STORE_GET], 1);
    assert_string_equal(b->get_key, "frozen");
    struct store_reply none = {.ref = b->get_ref, .kind = STORE_GET, .verdict = STORE_MISSING};
    struct event event = {.kind = EV_STORE};
    event.u.store = &none;
    bench_step(b, &event);
    if (strcmp(b->get_key, "routing") == 0) { /* nor did anything go around anybody */
        none.ref = b->get_ref;
        bench_step(b, &event);
    }
    if (strcmp(b->get_key, "breakers") == 0) { /* nor was one open */
        none.ref = b->get_ref;
        bench_step(b, &event);
    }
}

/* The orchestrator's start: nothing was frozen, every sector has `per` agents, so many of them
 * active, and the mode has settled. What was sent until then is forgotten. */
static inline void bench_up(struct bench *b, unsigned sectors, uint32_t per, uint32_t active)
{
    bench_nothing_frozen(b);
    for (unsigned s = 1; s <= sectors; s++) {
        bench_beat(b, unit_sector((uint16_t)s), 1, per, active);
    }
    bench_pass(b, 1100000);
    bench_forget(b);
}

#endif
