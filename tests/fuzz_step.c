/* libFuzzer: bytes as a sequence of events into one node of one tier. The first byte picks the
 * tier; each event that follows is a byte for its kind, two for the time that passes, and a message
 * body that goes through the codec as it would from the wire: what the codec lets in, a node must
 * stand, whatever it says and in whatever order. The runner's contract (node.h) is kept: messages
 * that the tree's shape forbids, and works and store answers that nobody asked for, do not arrive.
 *
 * A node that breaks its own asserts, its contract, or the sanitizers, is a finding. */
#include "core/node.h"
#include "proto/codec.h"
#include "tests/support/steps.h"
#include "tiers/agent/agent.h"
#include "tiers/cluster/cluster.h"
#include "tiers/orchestrator/orchestrator.h"
#include "tiers/sector/sector.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EVENTS_MAX  64u
#define WAKES_MAX   200u
#define REFS_MAX    32u
#define PENDING_MAX 64u

struct input {
    const uint8_t *at;
    size_t left;
};

struct ref {
    uint64_t ref;
    bool store;
    enum store_kind kind;
};

static struct topology topology;
static const struct codec codec = {&topology};
static struct outbox out;
static _Alignas(ARENA_ALIGN) uint8_t memory[CODEC_ARENA_BYTES];
static struct ref refs[REFS_MAX];
static uint32_t ref_count;

static uint32_t take(struct input *in, unsigned bytes)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < bytes && in->left > 0; i++, in->at++, in->left--) {
        v = v << 8 | *in->at;
    }
    return v;
}

static const struct node_ops *tier_of(uint32_t choice, struct unit *ret)
{
    switch (choice % 4) {
    case 0:
        *ret = unit_agent(1, 1, 2);
        return &agent_ops;
    case 1:
        *ret = unit_cluster(1, 1);
        return &cluster_ops;
    case 2:
        *ret = unit_sector(1);
        return &sector_ops;
    default:
        *ret = unit_orchestrator();
        return &orchestrator_ops;
    }
}

/* Refs of this step's effects, for answers. */
static void remember(void)
{
    for (uint32_t i = 0; i < out.effect_count; i++) {
        const struct effect *fx = &out.effects[i];
        struct ref r = {0};
        if (fx->kind == FX_STORE) {
            r = (struct ref){.ref = fx->u.store.ref, .store = true, .kind = fx->u.store.kind};
        } else if (fx->kind == FX_WORK) {
            r = (struct ref){.ref = fx->u.work.ref};
        } else {
            continue;
        }
        refs[ref_count++ % REFS_MAX] = r;
    }
}

static int64_t feed(const struct node_ops *ops, void *self, struct event *event, int64_t *now)
{
    event->now_us = *now;
    for (uint32_t wakes = 0;; wakes++) {
        outbox_clear(&out);
        int64_t wake = ops->step(self, event, &out);
        remember();
        if (wake > *now) {
            return wake;
        }
        if (wakes > WAKES_MAX || out.effect_count == 0) {
            abort(); /* it spins */
        }
        *event = (struct event){.kind = EV_WAKE, .now_us = *now};
    }
}

static bool message(struct input *in, struct arena *arena, struct unit self, int64_t now,
                    struct msg *ret)
{
    static const struct unit from[] = {{.tier = TIER_ORCHESTRATOR},
                                       {.tier = TIER_SECTOR, .sector = 1},
                                       {.tier = TIER_SECTOR, .sector = 2},
                                       {.tier = TIER_CLUSTER, .sector = 1, .cluster = 1},
                                       {.tier = TIER_CLUSTER, .sector = 1, .cluster = 2},
                                       {.tier = TIER_AGENT, .sector = 1, .cluster = 1, .agent = 1},
                                       {.tier = TIER_AGENT, .sector = 1, .cluster = 1, .agent = 2},
                                       {.tier = TIER_CONSOLE, .sector = 1}};
    enum msg_type type = (enum msg_type)(1 + take(in, 1) % (MSG_TYPE_COUNT - 1));
    uint32_t speaker = take(in, 1) % (sizeof(from) / sizeof(from[0]));
    uint32_t epoch = take(in, 1);
    size_t bytes = take(in, 2) % 600;
    bytes = bytes < in->left ? bytes : in->left;
    memset(ret, 0, sizeof(*ret));
    arena_reset(arena);
    enum codec_verdict v = codec_decode(&codec, type, in->at, bytes, arena, ret);
    in->at += bytes;
    in->left -= bytes;
    if (v != CODEC_OK) {
        return false;
    }
    ret->type = type;
    ret->from = from[speaker];
    ret->to = self;
    ret->mask = 0;
    ret->epoch = epoch;
    ret->sent_us = now;
    ret->recv_us = now;
    return msg_route_valid(&topology, ret);
}

/* Operations travel as bytes of their own; a small one stands for all. */
static void give_operation(struct msg *m, struct operation *op, uint32_t choice)
{
    if (m->type != MSG_OPERATE) {
        return;
    }
    *op = (struct operation){.id = m->u.operate.operation_id,
                             .routing = ROUTING_SCATTER_GATHER,
                             .timing = (enum timing)(choice % TIMING_COUNT),
                             .verb = VERB_ACT,
                             .priority = (uint8_t)(choice / 4 % PRIORITY_COUNT),
                             .trinary_expectation = 1,
                             .require_ack = choice / 16 % 8 != 0,
                             .require_answer = true,
                             .created_mesh_us = m->u.operate.deadline_mesh_us - 5 * US_PER_S,
                             .target_mesh_us = m->u.operate.deadline_mesh_us - US_PER_S,
                             .window_us = 500000,
                             .ttl_us = 30 * US_PER_S,
                             .timeout_us = 5 * US_PER_S,
                             .payload_weight = 1.0,
                             .minimum_response_rate = 0.95,
                             .action = "echo"};
    m->u.operate.operation = op;
}

static bool next_event(struct input *in, struct arena *arena, struct unit self, int64_t now,
                       struct event *ret)
{
    static struct msg m;
    static struct operation op;
    static struct store_reply store;
    static struct work_reply work;
    uint32_t kind = take(in, 1);
    *ret = (struct event){.kind = EV_WAKE};
    if (kind % 8 < 5) {
        uint32_t choice = kind / 8;
        if (!message(in, arena, self, now, &m)) {
            return false;
        }
        give_operation(&m, &op, choice);
        ret->kind = EV_MSG;
        ret->u.msg = &m;
    } else if (kind % 8 == 5) {
        ret->kind = EV_LINK;
        ret->u.link.which = (enum link)(kind / 8 % LINK_COUNT);
        ret->u.link.up = kind / 16 % 2 == 0;
    } else if (kind % 8 == 6 && ref_count > 0) {
        uint32_t newest = ref_count < REFS_MAX ? ref_count : REFS_MAX;
        struct ref *r = &refs[take(in, 1) % newest];
        if (r->ref == 0) {
            return false; /* answered */
        }
        if (r->store) {
            store = (struct store_reply){
                .ref = r->ref, .kind = r->kind, .verdict = (enum store_verdict)(kind / 8 % 8)};
            ret->kind = EV_STORE;
            ret->u.store = &store;
        } else {
            work = (struct work_reply){.ref = r->ref,
                                       .seq = 1,
                                       .final = true,
                                       .verdict = (enum outcome)(OUTCOME_READY + kind / 8 % 3)};
            ret->kind = EV_WORK;
            ret->u.work = &work;
        }
        r->ref = 0;
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (topology.agents == 0) {
        topology_default(24, &topology);
        topology.sectors = 2;
        topology.clusters_per_sector = 2;
        topology.agents_per_cluster = 6;
    }
    struct input in = {data, size};
    struct unit self;
    const struct node_ops *ops = tier_of(take(&in, 1), &self);
    struct node_conf conf = {.self = self,
                             .uid = 77,
                             .epoch = 3,
                             .seed = 7,
                             .topology = &topology,
                             .digest = digest_plain,
                             .unix_us = 1767225600000000ll,
                             .init_now_us = 1000000,
                             .agent_class = CLASS_B_SERVERLESS,
                             .handlers_max = 4};
    conf.tuning = tuning_default();
    conf.tuning.simulation = true;
    void *node = calloc(1, ops->size(&conf));
    if (node == NULL) {
        return 0;
    }
    struct arena arena;
    arena_init(&arena, memory, sizeof(memory));
    ops->init(node, &conf);
    ref_count = 0;
    int64_t now = 1000000;
    struct event event = {.kind = EV_START};
    int64_t wake = feed(ops, node, &event, &now);
    for (uint32_t i = 0; i < EVENTS_MAX && in.left > 0; i++) {
        int64_t passes = (int64_t)take(&in, 2) * 300;
        for (uint32_t k = 0; k < PENDING_MAX && wake <= now + passes; k++) {
            passes -= wake - now;
            now = wake;
            event = (struct event){.kind = EV_WAKE};
            wake = feed(ops, node, &event, &now);
        }
        now += passes > 0 ? passes : 1;
        if (next_event(&in, &arena, self, now, &event)) {
            wake = feed(ops, node, &event, &now);
        }
    }
    free(node);
    return 0;
}
