/* The sector, step by step. */
#include "tests/support/bench.h"
#include "tests/support/orders.h"
#include "tiers/sector/sector.h"
#include "tiers/sector/sector_state.h"

#define SELF 2u

static void parent_reply(struct bench *b, uint64_t epoch)
{
    struct msg m = {.type = MSG_BEAT_REPLY, .from = unit_orchestrator(), .epoch = epoch};
    /* The parent's clock is ours plus 5 s; the way takes nothing. */
    m.sent_us = b->now_us + 5000000;
    m.u.beat_reply.known = true;
    m.u.beat_reply.time = (struct time_reply){.t1_us = b->now_us,
                                              .t2_us = b->now_us + 5000000,
                                              .mesh_offset_us = BENCH_UNIX_US - 5000000};
    bench_msg(b, &m);
}

static struct giver giver; /* of the orders of epoch 1 */

static int64_t mesh_now(const struct bench *b)
{
    return b->now_us + BENCH_UNIX_US;
}

/* Sector 2 of 3 with `clusters` clusters of 10, all up, in FULL mode, its time known. */
static struct bench *sector(uint16_t clusters)
{
    struct bench *b = bench_open(&sector_ops, unit_sector(SELF), 3, clusters, 10);
    parent_reply(b, 1);
    memset(&giver, 0, sizeof(giver));
    giver.head.epoch = 1;
    giver_state(b, &giver, MODE_FULL);
    for (unsigned c = 1; c <= clusters; c++) {
        bench_beat(b, unit_cluster(SELF, c), 1, 10, 10);
    }
    bench_forget(b);
    return b;
}

static struct operation operation(struct bench *b, uint8_t number)
{
    struct operation op = {.timing = TIMING_SOON,
                           .routing = ROUTING_SCATTER_GATHER,
                           .priority = 2,
                           .action = "echo",
                           .ttl_us = 30000000,
                           .timeout_us = 5000000,
                           .created_mesh_us = mesh_now(b)};
    op.id.bytes[15] = number;
    op.id.bytes[0] = 1;
    return op;
}

static void operate(struct bench *b, const struct operation *op, uint32_t quota, uint64_t epoch)
{
    struct target target = {.quota = quota};
    struct msg m = {.type = MSG_OPERATE, .from = unit_orchestrator(), .epoch = epoch};
    m.u.operate = (struct operate){.operation_id = op->id,
                                   .deadline_mesh_us = mesh_now(b) + 4000000,
                                   .target_count = 1,
                                   .targets = &target,
                                   .operation = op};
    bench_msg(b, &m);
}

static const struct result *result(const struct bench *b, uint32_t n)
{
    const struct msg *m = bench_sent(b, MSG_RESULT, n);
    return m == NULL ? NULL : m->u.result;
}

static void keep_alive(struct bench *b)
{
    parent_reply(b, 1);
    for (unsigned c = 1; c <= b->topology.clusters_per_sector; c++) {
        bench_beat(b, unit_cluster(SELF, c), 1, 10, 10);
    }
}

static void it_beats_and_learns_time_and_mode(void **state)
{
    (void)state;
    struct bench *b = bench_open(&sector_ops, unit_sector(SELF), 3, 2, 10);
    bench_pass(b, 1300000);
    assert_in_range(bench_count(b, MSG_BEAT), 1, 2);
    const struct msg *beat = bench_sent(b, MSG_BEAT, 0);
    assert_int_equal(beat->to.tier, TIER_ORCHESTRATOR);
    assert_true(beat->u.beat->has_summary);
    assert_int_equal(beat->u.beat->summary.agents, 20);
    assert_int_equal(beat->u.beat->summary.active, 0);
    struct command c;
    bench_submit(&c);
    c.operation.selector.places =
        (struct place_set){.count = 1, .patterns = {{{SELF, SELF}, {1, 2}, {1, 10}}}};
    bench_command(b, &c); /* it has never heard the time */
    assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_MODE);
    parent_reply(b, 1);
    struct giver g = {.head.epoch = 1};
    giver_state(b, &g, MODE_FULL);
    bench_beat(b, unit_cluster(SELF, 1), 1, 10, 10);
    const struct msg *r = bench_sent(b, MSG_BEAT_REPLY, 0);
    assert_int_equal(r->u.beat_reply.mode, MODE_FULL);
    assert_int_equal(r->u.beat_reply.time.mesh_offset_us, BENCH_UNIX_US);
    bench_forget(b);
    bench_pass(b, 1000000); /* active changed: told with the next beat */
    beat = bench_sent(b, MSG_BEAT, 0);
    assert_true(beat->u.beat->has_summary);
    assert_int_equal(beat->u.beat->summary.active, 10);
    assert_int_equal(beat->u.beat->summary.clusters_up, 1);
    bench_close(b);
}

static void results_of_clusters_become_one(void **state)
{
    (void)state;
    struct bench *b = sector(4);
    struct operation op = operation(b, 1);
    operate(b, &op, UINT32_MAX, 1);
    const struct msg *m = bench_sent(b, MSG_OPERATE, 0);
    assert_non_null(m);
    assert_true(m->mask == 0xfu);
    assert_true(m->u.operate.deadline_mesh_us < mesh_now(b) + 4000000);
    assert_true(m->u.operate.deadline_mesh_us >= mesh_now(b) + 3900000);
    for (unsigned c = 1; c <= 4; c++) {
        assert_null(result(b, 0));
        bench_result(b, unit_cluster(SELF, c), op.id, 10, c == 4 ? OUTCOME_FAILED : OUTCOME_READY);
    }
    const struct result *r = result(b, 0);
    assert_non_null(r);
    assert_true(r->final);
    assert_int_equal(r->aggregate.targets, 40);
    assert_int_equal(r->aggregate.outcomes[OUTCOME_READY], 30);
    assert_int_equal(r->aggregate.outcomes[OUTCOME_FAILED], 10);
    assert_int_equal(r->aggregate.sectors_reached, 1);
    assert_int_equal(r->aggregate.clusters_reached, 4);
    operate(b, &op, UINT32_MAX, 1); /* the result was lost: the parent asks again */
    assert_int_equal(b->notes[NOTE_DUPLICATE], 1);
    assert_int_equal(bench_count(b, MSG_OPERATE), 1);
    assert_non_null(result(b, 1));
    assert_int_equal(result(b, 1)->aggregate.targets, 40);
    bench_close(b);
}

static void places_and_quotas_choose_clusters(void **state)
{
    (void)state;
    struct bench *b = sector(4);
    struct operation op = operation(b, 1);
    op.selector.places = (struct place_set){.count = 1, .patterns = {{{1, 3}, {2, 3}, {1, 5}}}};
    operate(b, &op, UINT32_MAX, 1);
    assert_true(bench_sent(b, MSG_OPERATE, 0)->mask == 6u);
    bench_forget(b);
    op = operation(b, 2);
    op.selector.sample = 1000;
    operate(b, &op, 6, 1);
    const struct msg *m = bench_sent(b, MSG_OPERATE, 0);
    uint32_t sum = 0;
    for (uint32_t i = 0; i < m->u.operate.target_count; i++) {
        sum += m->u.operate.targets[i].quota;
    }
    assert_int_equal(sum, 6);
    bench_close(b);
}

static void dead_clusters_are_answered_for(void **state)
{
    (void)state;
    struct bench *b = sector(4);
    struct operation op = operation(b, 1);
    op.timeout_us = 20000000;
    operate(b, &op, UINT32_MAX, 1);
    for (unsigned c = 1; c <= 3; c++) {
        bench_result(b, unit_cluster(SELF, c), op.id, 10, OUTCOME_READY);
    }
    for (int k = 0; k < 12 && b->notes[NOTE_CHILD_DOWN] == 0; k++) {
        parent_reply(b, 1);
        for (unsigned c = 1; c <= 3; c++) {
            bench_beat(b, unit_cluster(SELF, c), 1, 10, 10);
        }
        bench_pass(b, 500000);
    }
    assert_int_equal(b->notes[NOTE_CHILD_SUSPECT], 1);
    uint32_t i = 0;
    while (result(b, i) != NULL && !result(b, i)->final) {
        i++;
    }
    const struct result *r = result(b, i);
    assert_non_null(r);
    assert_int_equal(r->aggregate.outcomes[OUTCOME_UNREACHABLE], 10);
    assert_int_equal(r->aggregate.reasons[REASON_CLUSTER_DOWN], 10);
    assert_int_equal(r->aggregate.outcomes[OUTCOME_READY], 30);
    bench_close(b);
}

static void long_operations_tell_their_progress(void **state)
{
    (void)state;
    struct bench *b = sector(2);
    struct operation op = operation(b, 1);
    operate(b, &op, UINT32_MAX, 1);
    bench_result(b, unit_cluster(SELF, 1), op.id, 10, OUTCOME_READY);
    bench_pass(b, 900000);
    assert_null(result(b, 0));
    keep_alive(b);
    bench_pass(b, 1000000);
    const struct result *r = result(b, 0);
    assert_non_null(r);
    assert_false(r->final);
    assert_int_equal(r->aggregate.targets, 20);
    assert_int_equal(r->aggregate.outcomes[OUTCOME_READY], 10);
    assert_int_equal(r->aggregate.outcomes[OUTCOME_PENDING], 10);
    /* Silent for 1.7 s: the operation is sent to the second cluster again. */
    keep_alive(b);
    bench_pass(b, 400000);
    const struct msg *again = bench_sent(b, MSG_OPERATE, 1);
    assert_non_null(again);
    assert_int_equal(again->u.operate.attempt, 1);
    assert_true(again->mask == 2u);
    bench_close(b);
}

static void a_replaced_orchestrator_is_refused(void **state)
{
    (void)state;
    struct bench *b = sector(2);
    parent_reply(b, 9);
    struct operation op = operation(b, 1);
    operate(b, &op, UINT32_MAX, 8);
    assert_int_equal(b->notes[NOTE_STALE_EPOCH], 1);
    assert_int_equal(bench_count(b, MSG_OPERATE), 0);
    operate(b, &op, UINT32_MAX, 9);
    assert_int_equal(bench_count(b, MSG_OPERATE), 1);
    bench_close(b);
}

/* In operations to everybody, too: the lead says how many of those that were too late are people.
 */
static void people_who_take_their_time_are_no_failures(void **state)
{
    (void)state;
    struct bench *b = sector(4);
    for (uint8_t k = 1; k <= 12; k++) {
        struct operation op = operation(b, k);
        operate(b, &op, UINT32_MAX, 1);
        for (unsigned c = 1; c <= 4; c++) {
            struct result r = {.operation_id = op.id, .final = true, .people_late = 9};
            r.aggregate.targets = r.aggregate.sent = r.aggregate.other = 10;
            r.aggregate.outcomes[OUTCOME_TIMEOUT_EXECUTION] = 10;
            r.aggregate.clusters_reached = 1;
            r.aggregate.agents_reached = 10;
            struct msg m = {.type = MSG_RESULT, .from = unit_cluster(SELF, c), .epoch = 1};
            m.u.result = &r;
            bench_msg(b, &m);
        }
        assert_int_equal(bench_count(b, MSG_CIRCUIT), 0); /* 4, 8, 12 .. 48 */
    }
    struct operation op = operation(b, 13);
    operate(b, &op, UINT32_MAX, 1);
    bench_result(b, unit_cluster(SELF, 1), op.id, 10, OUTCOME_TIMEOUT_EXECUTION);
    assert_int_equal(bench_count(b, MSG_CIRCUIT), 2);
    bench_close(b);
}

static void fifty_one_failures_open_the_circuit(void **state)
{
    (void)state;
    struct bench *b = sector(4);
    for (uint8_t k = 1; k <= 6; k++) {
        struct operation op = operation(b, k);
        operate(b, &op, UINT32_MAX, 1);
        for (unsigned c = 1; c <= 4; c++) {
            bench_result(b, unit_cluster(SELF, c), op.id, 10,
                         c == 1 ? OUTCOME_TIMEOUT_EXECUTION : OUTCOME_READY);
        }
        assert_int_equal(bench_count(b, MSG_CIRCUIT), k == 6 ? 2 : 0); /* up and down */
    }
    assert_int_equal(bench_sent(b, MSG_CIRCUIT, 0)->u.circuit.action, CIRCUIT_OPEN);
    bench_forget(b);
    struct operation op = operation(b, 100);
    operate(b, &op, UINT32_MAX, 1);
    assert_int_equal(bench_count(b, MSG_OPERATE), 0);
    const struct result *r = result(b, 0);
    assert_non_null(r);
    assert_int_equal(r->aggregate.outcomes[OUTCOME_REFUSED], 40);
    assert_int_equal(r->aggregate.reasons[REASON_BREAKER], 40);
    /* After half a minute the living children are the probe: half open, later closed. */
    for (int i = 0; i < 35; i++) {
        keep_alive(b);
        bench_pass(b, 1000000);
    }
    bool half = false;
    for (uint32_t i = 0; bench_sent(b, MSG_CIRCUIT, i) != NULL; i++) {
        half = half || bench_sent(b, MSG_CIRCUIT, i)->u.circuit.action == CIRCUIT_HALF_OPEN;
    }
    assert_true(half);
    bench_forget(b);
    op = operation(b, 101);
    operate(b, &op, UINT32_MAX, 1);
    assert_int_equal(bench_count(b, MSG_OPERATE), 1);
    bench_close(b);
}

static void expired_and_frozen_are_refused(void **state)
{
    (void)state;
    struct bench *b = sector(2);
    struct operation op = operation(b, 1);
    op.ttl_us = 1000;
    op.created_mesh_us -= 2000;
    operate(b, &op, UINT32_MAX, 1);
    assert_int_equal(result(b, 0)->aggregate.reasons[REASON_EXPIRED], 20);
    giver_freeze(b, &giver, true, unit_orchestrator());
    assert_int_equal(b->notes[NOTE_FROZEN], 1);
    assert_true(bench_sent(b, MSG_FREEZE, 0)->mask == 3u);
    op = operation(b, 2);
    operate(b, &op, UINT32_MAX, 1);
    assert_int_equal(result(b, 1)->aggregate.reasons[REASON_FROZEN], 20);
    giver_freeze(b, &giver, false, unit_orchestrator());
    op = operation(b, 3);
    operate(b, &op, UINT32_MAX, 1);
    assert_int_equal(bench_count(b, MSG_OPERATE), 1);
    bench_close(b);
}

/* A lead's dead agent is started anew by the host that has reported it. */
static void a_dead_agent_goes_to_its_host(void **state)
{
    (void)state;
    struct bench *b = sector(2);
    uint32_t first = topology_index(&b->topology, unit_agent(b->conf.self.sector, 1, 1));
    struct msg report = {
        .type = MSG_HOST_REPORT, .from = unit_numbered(TIER_HOST, first + 1), .epoch = 1};
    report.u.host_report.agents_hosted = 10;
    bench_msg(b, &report);
    struct msg m = {.type = MSG_HEAL, .from = unit_cluster(b->conf.self.sector, 1), .epoch = 1};
    m.u.heal.target = unit_agent(b->conf.self.sector, 1, 3);
    bench_msg(b, &m);
    const struct msg *to_host = bench_sent(b, MSG_HEAL, 0);
    assert_non_null(to_host);
    assert_int_equal(to_host->to.tier, TIER_HOST);
    assert_int_equal(unit_number(to_host->to), first + 1);
    m.u.heal.target = unit_agent(b->conf.self.sector, 2, 3); /* not the lead's own */
    bench_msg(b, &m);
    assert_null(bench_sent(b, MSG_HEAL, 1));
    bench_close(b);
}

/* An owner that has begun knows no hosts: what leads ask for waits until the host has reported, and
 * not for ever. */
static void a_wish_waits_for_the_host(void **state)
{
    (void)state;
    struct bench *b = sector(4);
    uint32_t first = topology_index(&b->topology, unit_agent(b->conf.self.sector, 1, 1));
    struct msg report = {
        .type = MSG_HOST_REPORT, .from = unit_numbered(TIER_HOST, first + 1), .epoch = 1};
    report.u.host_report.agents_hosted = 3;
    struct msg m = {.type = MSG_HEAL, .from = unit_cluster(b->conf.self.sector, 1), .epoch = 1};
    for (unsigned a = 2; a <= 4; a++) { /* the last is another host's */
        m.u.heal.target = unit_agent(b->conf.self.sector, 1, a);
        bench_msg(b, &m);
        bench_msg(b, &m); /* asked again: one wish */
    }
    assert_int_equal(bench_count(b, MSG_HEAL), 0);
    bench_pass(b, 3000000);
    bench_msg(b, &report);
    assert_int_equal(bench_count(b, MSG_HEAL), 2);
    bench_forget(b);
    bench_msg(b, &report);
    assert_int_equal(bench_count(b, MSG_HEAL), 0);
    bench_pass(b, 20000000);
    report.from = unit_numbered(TIER_HOST, first + 4);
    bench_msg(b, &report);
    assert_int_equal(bench_count(b, MSG_HEAL), 0); /* too late: its lead asks again */
    bench_close(b);
}

static void preparations_pass_or_are_answered(void **state)
{
    (void)state;
    struct bench *b = sector(3);
    struct prepare p = {.level = TIER_SECTOR, .deadline_mesh_us = mesh_now(b) + 200000};
    p.correlation_id.bytes[3] = 9;
    struct msg m = {.type = MSG_PREPARE, .from = unit_orchestrator(), .epoch = 1};
    m.u.prepare = &p;
    bench_msg(b, &m);
    const struct msg *r = bench_sent(b, MSG_PREPARED, 0);
    assert_int_equal(r->u.prepared->sectors_reached, 1);
    assert_int_equal(r->u.prepared->targets, 30);
    assert_int_equal(r->u.prepared->lead_counts[10], 30);
    p.level = TIER_CLUSTER;
    p.deadline_mesh_us = mesh_now(b) + 1000000;
    bench_msg(b, &m);
    assert_true(bench_sent(b, MSG_PREPARE, 0)->mask == 7u);
    for (unsigned c = 1; c <= 2; c++) {
        struct prepared own = {.correlation_id = p.correlation_id,
                               .level = TIER_CLUSTER,
                               .clusters_reached = 1,
                               .targets = 10};
        struct msg up = {.type = MSG_PREPARED, .from = unit_cluster(SELF, c), .epoch = 1};
        up.u.prepared = &own;
        bench_msg(b, &up);
    }
    assert_null(bench_sent(b, MSG_PREPARED, 1));
    bench_pass(b, 1000000); /* the third is silent */
    r = bench_sent(b, MSG_PREPARED, 1);
    assert_non_null(r);
    assert_int_equal(r->u.prepared->clusters_reached, 2);
    assert_int_equal(r->u.prepared->sectors_reached, 1);
    assert_int_equal(r->u.prepared->targets, 20);
    bench_close(b);
}

static void relay(struct bench *b, struct unit from, const struct operation *op, uint32_t hops)
{
    struct msg m = {.type = MSG_RELAY, .from = from, .epoch = 1};
    m.u.relay = (struct relay){.hops = hops, .operation = op};
    bench_msg(b, &m);
}

static void messages_of_agents_find_their_way_and_back(void **state)
{
    (void)state;
    struct bench *b = sector(3);
    static uint8_t large[PAYLOAD_BYTES_MAX];
    struct operation op = operation(b, 50);
    op.routing = ROUTING_BROADCAST;
    op.source = unit_agent(SELF, 1, 1);
    op.payload = large; /* does not fit an outbox twice: the rest waits for the next */
    op.payload_bytes = sizeof(large);
    relay(b, unit_cluster(SELF, 1), &op, 1);
    assert_int_equal(bench_count(b, MSG_RELAY), 2);
    const struct msg *own = bench_sent(b, MSG_RELAY, 0), *far = bench_sent(b, MSG_RELAY, 1);
    assert_true(own->mask == 6u && own->to.tier == TIER_CLUSTER && own->to.cluster == 1);
    assert_true(far->to.tier == TIER_SECTOR && far->to.sector == 1 && far->mask == 5u);
    assert_int_equal(far->u.relay.hops, 2);
    assert_int_equal(far->u.relay.operation->payload_bytes, sizeof(large));
    struct msg ack = {.type = MSG_RELAY_ACK, .from = unit_sector(3), .epoch = 1};
    ack.u.relay_ack = (struct relay_ack){
        .message_id = op.id, .target = unit_cluster(3, 1), .reached = 10, .outcome = OUTCOME_READY};
    bench_msg(b, &ack);
    const struct msg *back = bench_sent(b, MSG_RELAY_ACK, 0);
    assert_non_null(back);
    assert_true(unit_equal(back->to, unit_cluster(SELF, 1)));
    assert_int_equal(back->u.relay_ack.reached, 10);
    bench_forget(b);
    op = operation(b, 51); /* from another sector: only to the own clusters */
    op.source = unit_agent(1, 1, 1);
    relay(b, unit_sector(1), &op, 2);
    assert_int_equal(bench_count(b, MSG_RELAY), 1);
    assert_true(bench_sent(b, MSG_RELAY, 0)->mask == 7u);
    relay(b, unit_sector(1), &op, 8); /* it circles */
    assert_int_equal(bench_count(b, MSG_RELAY), 1);
    ack.u.relay_ack.message_id.bytes[7] = 77; /* nobody's */
    bench_msg(b, &ack);
    assert_int_equal(b->notes[NOTE_RELAY_LOST], 1);
    bench_close(b);
}

static void a_message_to_a_dead_cluster_is_answered(void **state)
{
    (void)state;
    struct bench *b = sector(3);
    for (int i = 0; i < 5; i++) {
        bench_beat(b, unit_cluster(SELF, 1), 1, 10, 10);
        bench_beat(b, unit_cluster(SELF, 2), 1, 10, 10);
        bench_pass(b, 1000000);
    }
    bench_forget(b);
    struct operation op = operation(b, 52);
    op.source = unit_agent(SELF, 1, 1);
    op.selector.places =
        (struct place_set){.count = 1, .patterns = {{{SELF, SELF}, {3, 3}, {4, 4}}}};
    relay(b, unit_cluster(SELF, 1), &op, 1);
    assert_int_equal(bench_count(b, MSG_RELAY), 0);
    const struct msg *ack = bench_sent(b, MSG_RELAY_ACK, 0);
    assert_non_null(ack);
    assert_int_equal(ack->u.relay_ack.failed, 1);
    assert_int_equal(ack->u.relay_ack.outcome, OUTCOME_UNREACHABLE);
    assert_int_equal(ack->u.relay_ack.reason, REASON_CLUSTER_DOWN);
    bench_close(b);
}

/* Spec 6.2: neither into a sector whose breaker is open, nor anywhere while the mesh's is. */
static void nothing_is_relayed_into_isolation(void **state)
{
    (void)state;
    struct bench *b = sector(4);
    struct sector *s = b->self;
    struct operation op = operation(b, 53);
    op.source = unit_agent(1, 1, 1);
    op.selector.places =
        (struct place_set){.count = 1, .patterns = {{{SELF, SELF}, {3, 3}, {4, 4}}}};
    for (unsigned mesh = 0; mesh <= 1; mesh++) {
        bench_forget(b);
        s->hub.mesh_open = s->state_open = mesh != 0;
        (void)breaker_force(&s->hub.breaker, mesh == 0);
        relay(b, unit_sector(1), &op, 1);
        assert_int_equal(bench_count(b, MSG_RELAY), 0);
        const struct msg *ack = bench_sent(b, MSG_RELAY_ACK, 0);
        assert_non_null(ack);
        assert_int_equal(ack->u.relay_ack.outcome, OUTCOME_REFUSED);
        assert_int_equal(ack->u.relay_ack.reason, REASON_BREAKER);
    }
    s->hub.mesh_open = s->state_open = false;
    relay(b, unit_sector(1), &op, 1);
    assert_int_equal(bench_count(b, MSG_RELAY), 1);
    bench_close(b);
}

static void alone_it_serves_and_judges_itself(void **state)
{
    (void)state;
    struct bench *b = sector(4);
    for (int i = 0; i < 6; i++) { /* no word from the orchestrator; a cluster loses half */
        for (unsigned c = 1; c <= 4; c++) {
            bench_beat(b, unit_cluster(SELF, c), 1, 10, c == 1 ? 6 : 10);
        }
        bench_pass(b, 1000000);
    }
    assert_int_equal(b->notes[NOTE_PARENT_DOWN], 1);
    assert_true(b->notes[NOTE_MODE] >= 1); /* LIGHT, by its own judgement */
    struct command c;
    bench_forget(b);
    bench_submit(&c);
    c.operation.selector.places =
        (struct place_set){.count = 1, .patterns = {{{SELF, SELF}, {1, 4}, {1, 10}}}};
    bench_command(b, &c);
    assert_non_null(bench_reply(b, REPLY_ACCEPTED));
    assert_int_equal(b->seals, 1);
    struct id128 id = bench_reply(b, REPLY_ACCEPTED)->operation_id;
    for (unsigned k = 1; k <= 4; k++) {
        bench_result(b, unit_cluster(SELF, k), id, 10, OUTCOME_READY);
    }
    const struct reply *r = bench_reply(b, REPLY_OPERATION);
    assert_non_null(r);
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_READY], 40);
    assert_int_equal(r->report->aggregate.sectors_reached, 1);
    assert_null(result(b, 0)); /* it is nobody else's */
    c.kind = COMMAND_SUBMIT;
    c.operation.selector.places.patterns[0].sector.last = 3;
    bench_command(b, &c);
    assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_NOT_MINE);
    struct command st = {.kind = COMMAND_STATUS};
    bench_command(b, &st);
    assert_int_equal(bench_reply(b, REPLY_STATUS)->status->mode, MODE_DEGRADED_LIGHT);
    assert_int_equal(bench_reply(b, REPLY_STATUS)->status->operations_done, 1);
    bench_close(b);
}

static void after_its_own_pause_it_accuses_nobody(void **state)
{
    (void)state;
    struct bench *b = sector(4);
    b->now_us += 20000000; /* nothing ran for 20 s */
    bench_step(b, &(struct event){.kind = EV_WAKE});
    assert_int_equal(b->notes[NOTE_PAUSED], 1);
    assert_int_equal(b->notes[NOTE_CHILD_DOWN], 0);
    keep_alive(b);
    bench_pass(b, 1000000);
    assert_int_equal(b->notes[NOTE_CHILD_DOWN], 0);
    bench_close(b);
}

static void cancel_goes_to_those_waited_for(void **state)
{
    (void)state;
    struct bench *b = sector(3);
    struct operation op = operation(b, 1);
    operate(b, &op, UINT32_MAX, 1);
    bench_result(b, unit_cluster(SELF, 2), op.id, 10, OUTCOME_READY);
    struct giver g = {.head.epoch = 1};
    struct order o = {.what = ORDER_CANCEL, .u.cancel.operation_id = op.id};
    giver_state(b, &g, MODE_FULL);
    giver_next(&g, &o);
    giver_say(b, 1, &o);
    const struct msg *down = bench_sent(b, MSG_CANCEL, 0);
    assert_non_null(down);
    assert_true(down->mask == 5u);
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_beats_and_learns_time_and_mode),
        cmocka_unit_test(results_of_clusters_become_one),
        cmocka_unit_test(places_and_quotas_choose_clusters),
        cmocka_unit_test(dead_clusters_are_answered_for),
        cmocka_unit_test(long_operations_tell_their_progress),
        cmocka_unit_test(a_replaced_orchestrator_is_refused),
        cmocka_unit_test(fifty_one_failures_open_the_circuit),
        cmocka_unit_test(people_who_take_their_time_are_no_failures),
        cmocka_unit_test(expired_and_frozen_are_refused),
        cmocka_unit_test(a_dead_agent_goes_to_its_host),
        cmocka_unit_test(a_wish_waits_for_the_host),
        cmocka_unit_test(preparations_pass_or_are_answered),
        cmocka_unit_test(messages_of_agents_find_their_way_and_back),
        cmocka_unit_test(a_message_to_a_dead_cluster_is_answered),
        cmocka_unit_test(nothing_is_relayed_into_isolation),
        cmocka_unit_test(alone_it_serves_and_judges_itself),
        cmocka_unit_test(after_its_own_pause_it_accuses_nobody),
        cmocka_unit_test(cancel_goes_to_those_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
