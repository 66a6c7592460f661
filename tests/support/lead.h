/* A lead under test (tiers/cluster): its sector, its agents, operations that it is sent. */
#ifndef TESTS_SUPPORT_LEAD_H
#define TESTS_SUPPORT_LEAD_H

#include "core/num.h"
#include "tests/support/steps.h"
#include "tiers/cluster/cluster.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S      1000000ll
#define MESH   (1700000000ll * S) /* mesh time - the lead's clock */
#define AGENTS 30u

static struct topology topo;
static struct rig rig;
static int64_t beats_us; /* when all agents beat next */

static inline struct node_conf conf_default(void)
{
    struct node_conf conf = {
        .self = unit_cluster(1, 2), .uid = 12, .epoch = 4, .seed = 3, .topology = &topo};
    conf.tuning = tuning_default();
    return conf;
}

static inline struct msg from_sector(enum msg_type type)
{
    return (struct msg){.type = type,
                        .from = unit_sector(1),
                        .to = unit_cluster(1, 2),
                        .epoch = 1,
                        .sent_us = rig.now_us};
}

static inline struct msg from_agent(enum msg_type type, unsigned n)
{
    return (struct msg){.type = type,
                        .from = unit_agent(1, 2, n),
                        .to = unit_cluster(1, 2),
                        .epoch = 9,
                        .sent_us = rig.now_us};
}

static inline void sector_beat_reply(void)
{
    struct msg m = from_sector(MSG_BEAT_REPLY);
    m.sent_us = rig.now_us - 200;
    m.u.beat_reply = (struct beat_reply){.time = {.t1_us = rig.now_us - 500,
                                                  .t2_us = rig.now_us - 300,
                                                  .mesh_offset_us = MESH,
                                                  .error_us = 10},
                                         .mode = MODE_FULL,
                                         .known = true};
    rig_msg(&rig, &m);
}

static inline void hello(unsigned n, uint64_t incarnation)
{
    struct msg m = from_agent(MSG_HELLO, n);
    m.epoch = incarnation;
    m.u.hello = (struct hello){.uid = 1000 + n,
                               .incarnation = incarnation,
                               .agent_class = CLASS_A_EDGE,
                               .capabilities = n == 7 ? 1 : 3};
    rig_msg(&rig, &m);
}

static inline void heartbeat(unsigned n)
{
    struct msg m = from_agent(MSG_HEARTBEAT, n);
    m.u.heartbeat = (struct heartbeat){.uid = 1000 + n, .incarnation = 9};
    m.u.heartbeat.impedance.latency_us = 4000;
    m.u.heartbeat.impedance.state = AGENT_ACTIVE;
    rig_msg(&rig, &m);
}

static inline int setup(void **state)
{
    (void)state;
    beats_us = 100 * S;
    topology_default(30000, &topo);
    struct node_conf conf = conf_default();
    rig_init(&rig, &cluster_ops, &conf, 100 * S);
    rig_start(&rig);
    return 0;
}

static inline int teardown(void **state)
{
    (void)state;
    rig_done(&rig);
    return 0;
}

static inline int setup_joined(void **state)
{
    setup(state);
    sector_beat_reply();
    for (unsigned n = 1; n <= AGENTS; n++) {
        hello(n, 9);
        heartbeat(n);
    }
    return 0;
}

/* Lets time pass, with beats of all agents but `silent`; stops early after an effect of `type`. */
static inline const struct msg *wait_for(enum msg_type type, int64_t until_us, unsigned silent)
{
    while (true) {
        beats_us = beats_us > rig.now_us - 5 * S ? beats_us : rig.now_us;
        bool beat = beats_us <= rig.wake_us;
        int64_t next_us = beat ? beats_us : rig.wake_us;
        if (next_us > until_us) {
            rig.now_us = until_us;
            return NULL;
        }
        rig.now_us = next_us > rig.now_us ? next_us : rig.now_us;
        if (!beat) {
            rig_wake(&rig);
        }
        for (unsigned n = 1; n <= AGENTS && beat; n++) {
            if (n != silent) {
                heartbeat(n);
            }
            if (rig_sent(&rig, type) != NULL) {
                return rig_sent(&rig, type);
            }
        }
        beats_us += beat ? 5 * S : 0;
        if (rig_sent(&rig, type) != NULL) {
            return rig_sent(&rig, type);
        }
    }
}

static inline struct operation operation_of(uint8_t n)
{
    struct operation op = {.routing = ROUTING_SCATTER_GATHER,
                           .timing = TIMING_SOON,
                           .priority = 1,
                           .trinary_expectation = 1,
                           .require_answer = true,
                           .require_ack = true,
                           .created_mesh_us = rig.now_us + MESH,
                           .window_us = 500000,
                           .ttl_us = 30 * S,
                           .timeout_us = 5 * S,
                           .payload_weight = 1,
                           .action = "echo"};
    memset(op.id.bytes, n, sizeof op.id.bytes);
    return op;
}

static inline void operate_by(const struct operation *op, uint32_t quota, int64_t deadline_us)
{
    struct target target = {.quota = quota};
    struct msg m = from_sector(MSG_OPERATE);
    m.u.operate = (struct operate){.operation_id = op->id,
                                   .deadline_mesh_us = deadline_us + MESH,
                                   .target_count = 1,
                                   .targets = &target,
                                   .operation = op};
    rig_msg(&rig, &m);
}

static inline void operate(const struct operation *op)
{
    operate_by(op, UINT32_MAX, rig.now_us + 4 * S);
}

static inline struct ack ack_of(const struct operation *op, enum outcome outcome,
                                const char *answer)
{
    return (struct ack){.operation_id = op->id,
                        .outcome = outcome,
                        .echo_sent_us = rig.now_us - 4000,
                        .received_mesh_us = rig.now_us + MESH - 3000,
                        .arrival_mesh_us = rig.now_us + MESH - 1000,
                        .clock_error_us = 100,
                        .answer = (const uint8_t *)answer,
                        .answer_bytes = answer != NULL ? (uint32_t)strlen(answer) : 0};
}

static inline void ack(unsigned n, const struct ack *a)
{
    struct msg m = from_agent(MSG_ACK, n);
    m.u.ack = *a;
    rig_msg(&rig, &m);
}

static inline void ack_simple(unsigned n, const struct operation *op, enum outcome outcome)
{
    struct ack a = ack_of(op, outcome, NULL);
    ack(n, &a);
}

static inline void check_sum(const struct aggregate_view *v, uint32_t targets)
{
    uint32_t sum = 0;
    for (int k = 0; k < OUTCOME_COUNT; k++) {
        sum += v->outcomes[k];
    }
    assert_int_equal(v->targets, targets);
    assert_int_equal(sum, targets);
}

/* The final result in the outbox. */
static inline const struct aggregate_view *result_of(const struct operation *op, uint32_t targets)
{
    const struct msg *m = rig_sent(&rig, MSG_RESULT);
    assert_non_null(m);
    assert_true(m->u.result->final);
    assert_memory_equal(&m->u.result->operation_id, &op->id, sizeof op->id);
    check_sum(&m->u.result->aggregate, targets);
    return &m->u.result->aggregate;
}

/* Agents addressed by all OPERATEs of this step. */
static inline uint32_t addressed(void)
{
    uint32_t n = 0;
    const struct effect *e;
    for (uint32_t k = 0; (e = rig_effect(&rig, FX_SEND, MSG_OPERATE, k)) != NULL; k++) {
        n += e->u.msg.mask != 0 ? num_bits(e->u.msg.mask) : 1;
        assert_int_equal(e->u.msg.u.operate.target_count,
                         e->u.msg.mask != 0 ? num_bits(e->u.msg.mask) : 1);
    }
    return n;
}

static inline const struct rows *ask(const struct query *q)
{
    struct msg m = from_sector(MSG_QUERY);
    m.u.query = q;
    rig_msg(&rig, &m);
    const struct msg *a = rig_sent(&rig, MSG_ROWS);
    return a != NULL ? &a->u.rows : NULL;
}

#endif
