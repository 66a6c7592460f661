/* An agent under test (tiers/agent): its lead, operations that it is sent, its handlers. */
#ifndef TESTS_SUPPORT_AGENT_H
#define TESTS_SUPPORT_AGENT_H

#include "tests/support/steps.h"
#include "tiers/agent/agent.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define S           1000000ll
#define MESH_OFFSET (1700000000ll * S) /* mesh time - the lead's and the agent's clock */

static struct topology topo;
static struct rig rig;
static struct id128 last_work;
static uint32_t sequence; /* of the next OPERATE; 0: by its id */
static uint32_t attempt;
static uint64_t lead_epoch;

static inline struct node_conf conf_for(unsigned sector, unsigned cluster, unsigned agent)
{
    struct node_conf conf = {.self = unit_agent(sector, cluster, agent),
                             .uid = 77 + agent,
                             .epoch = 5,
                             .seed = 9,
                             .topology = &topo,
                             .agent_class = CLASS_C_PERSISTENT,
                             .capabilities = 3,
                             .handlers_max = 1};
    conf.tuning = tuning_default();
    return conf;
}

static inline struct msg from_lead(enum msg_type type)
{
    return (struct msg){.type = type,
                        .from = unit_cluster(1, 2),
                        .to = unit_agent(1, 2, 3),
                        .epoch = lead_epoch,
                        .sent_us = rig.now_us};
}

static inline void welcome(void)
{
    struct msg m = from_lead(MSG_WELCOME);
    m.u.welcome = (struct welcome){.accepted = true, .incarnation = 5, .beat_us = 5 * S};
    rig_msg(&rig, &m);
}

/* The lead's answer to the beat in the outbox; clocks are equal, so the offset is MESH_OFFSET. */
static inline void beat_reply(bool known)
{
    struct msg m = from_lead(MSG_BEAT_REPLY);
    m.sent_us = rig.now_us + 300;
    m.recv_us = rig.now_us + 500;
    m.u.beat_reply = (struct beat_reply){.time = {.t1_us = rig.now_us,
                                                  .t2_us = rig.now_us + 200,
                                                  .mesh_offset_us = MESH_OFFSET,
                                                  .error_us = 50},
                                         .known = known};
    rig.now_us += 500;
    rig_msg(&rig, &m);
}

static inline int setup(void **state)
{
    (void)state;
    topology_default(30000, &topo);
    sequence = 0;
    attempt = 0;
    lead_epoch = 1;
    struct node_conf conf = conf_for(1, 2, 3);
    rig_init(&rig, &agent_ops, &conf, 100 * S);
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
    rig_start(&rig);
    welcome();
    beat_reply(true);
    return 0;
}

static inline struct operation operation_of(uint8_t n)
{
    struct operation op = {.routing = ROUTING_SCATTER_GATHER,
                           .timing = TIMING_SOON,
                           .verb = VERB_ACT,
                           .priority = 1,
                           .trinary_expectation = 1,
                           .require_answer = true,
                           .require_ack = true,
                           .created_mesh_us = rig.now_us + MESH_OFFSET,
                           .window_us = 500000,
                           .ttl_us = 30 * S,
                           .timeout_us = 5 * S,
                           .payload_weight = 1,
                           .action = "echo"};
    memset(op.id.bytes, n, sizeof op.id.bytes);
    return op;
}

static inline void operate(const struct operation *op)
{
    struct target target = {.seq = sequence != 0 ? sequence : op->id.bytes[0],
                            .expected_processing_us = 1000,
                            .lead_us = 2000};
    struct msg m = from_lead(MSG_OPERATE);
    m.u.operate = (struct operate){.operation_id = op->id,
                                   .deadline_mesh_us = rig.now_us + MESH_OFFSET + 4 * S,
                                   .attempt = attempt,
                                   .target_count = 1,
                                   .targets = &target,
                                   .operation = op};
    rig_msg(&rig, &m);
}

static inline uint64_t work_ref(void)
{
    const struct effect *e = rig_effect(&rig, FX_WORK, 0, 0);
    assert_non_null(e);
    last_work = e->u.work.operation;
    return e->u.work.ref;
}

static inline void work_done(uint64_t ref, enum outcome verdict, const char *answer)
{
    struct work_reply reply = {.ref = ref,
                               .final = true,
                               .verdict = verdict,
                               .answer = (const uint8_t *)answer,
                               .answer_bytes = answer != NULL ? (uint32_t)strlen(answer) : 0};
    rig_work(&rig, &reply);
}

static inline const struct ack *acked(void)
{
    const struct msg *m = rig_sent(&rig, MSG_ACK);
    assert_non_null(m);
    assert_true(unit_equal(m->to, unit_cluster(1, 2)));
    return &m->u.ack;
}

/* Wakes the node until it has said (type) or time has passed `until`. */
static inline const struct msg *wait_for(enum msg_type type, int64_t until_us)
{
    while (rig.wake_us <= until_us) {
        rig.now_us = rig.wake_us > rig.now_us ? rig.wake_us : rig.now_us;
        rig_wake(&rig);
        if (rig_sent(&rig, type) != NULL) {
            return rig_sent(&rig, type);
        }
    }
    return NULL;
}

#endif
