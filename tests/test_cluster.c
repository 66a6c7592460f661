/* The lead's stories (tiers/cluster): members, queries, relays, and events at random. */
#include "core/children.h"
#include "tests/support/lead.h"

/* --- members --- */

static void test_hello_is_welcomed(void **state)
{
    (void)state;
    hello(3, 9);
    const struct msg *m = rig_sent(&rig, MSG_WELCOME);
    assert_non_null(m);
    assert_true(m->u.welcome.accepted);
    assert_int_equal(m->u.welcome.incarnation, 9);
    assert_true(unit_equal(m->to, unit_agent(1, 2, 3)));
    hello(3, 8); /* an earlier life */
    assert_false(rig_sent(&rig, MSG_WELCOME)->u.welcome.accepted);
    assert_int_equal(rig_sent(&rig, MSG_WELCOME)->u.welcome.reason, REASON_STALE_EPOCH);
    assert_non_null(rig_note(&rig, NOTE_STALE_EPOCH));
}

static void test_heartbeat_is_answered_with_time(void **state)
{
    (void)state;
    heartbeat(3); /* never said hello */
    assert_false(rig_sent(&rig, MSG_BEAT_REPLY)->u.beat_reply.known);
    assert_true(rig_sent(&rig, MSG_BEAT_REPLY)->u.beat_reply.time.error_us == INT64_MAX);
    sector_beat_reply();
    hello(3, 9);
    struct msg m = from_agent(MSG_HEARTBEAT, 3);
    m.sent_us = 424242;
    m.u.heartbeat = (struct heartbeat){.uid = 1003, .incarnation = 9};
    m.u.heartbeat.impedance.clock_error_us = UINT32_MAX; /* no clock yet: always answered */
    rig_msg(&rig, &m);
    const struct beat_reply *r = &rig_sent(&rig, MSG_BEAT_REPLY)->u.beat_reply;
    assert_true(r->known);
    assert_int_equal(r->time.t1_us, 424242);
    assert_int_equal(r->time.t2_us, rig.now_us);
    assert_true(r->time.mesh_offset_us - MESH < 1000 && MESH - r->time.mesh_offset_us < 1000);
    assert_int_equal(r->mode, MODE_FULL);
}

static void test_every_third_beat_of_a_clock_is_answered(void **state)
{
    (void)state;
    sector_beat_reply();
    hello(3, 9);
    struct msg m = from_agent(MSG_HEARTBEAT, 3);
    m.u.heartbeat = (struct heartbeat){.uid = 1003, .incarnation = 9};
    m.u.heartbeat.impedance.clock_error_us = 900;
    uint32_t answered = 0;
    for (int beat = 0; beat < 12; beat++) {
        rig.now_us += 5 * S;
        rig_msg(&rig, &m);
        answered += rig_sent(&rig, MSG_BEAT_REPLY) != NULL;
    }
    assert_int_equal(answered, 4);
}

static void test_beats_carry_summaries(void **state)
{
    (void)state;
    const struct msg *m = NULL;
    for (int i = 0; i < 12 && (m == NULL || !m->u.beat->has_summary); i++) {
        m = wait_for(MSG_BEAT, rig.now_us + 2 * S, 0);
        assert_non_null(m);
    }
    const struct summary *s = &m->u.beat->summary;
    assert_int_equal(s->agents, AGENTS);
    assert_int_equal(s->active, AGENTS);
    assert_int_equal(s->class_active[CLASS_A_EDGE], AGENTS);
    assert_int_equal(s->capability_active[0], AGENTS);
    assert_int_equal(s->capability_active[1], AGENTS - 1);
    uint32_t leads = 0;
    for (unsigned b = 0; b < LEAD_BUCKETS; b++) {
        leads += s->lead_counts[CLASS_A_EDGE][b];
    }
    assert_int_equal(leads, AGENTS);
    assert_int_not_equal(s->slowest.agent, 0);
}

static void test_silent_agent_is_declared_and_ends_its_operations(void **state)
{
    (void)state;
    int64_t until_us = rig.now_us + 29 * S;
    wait_for(MSG_TYPE_COUNT, until_us, 5);
    struct operation op = operation_of(1);
    operate_by(&op, UINT32_MAX, rig.now_us + 60 * S);
    for (unsigned n = 1; n <= AGENTS; n++) {
        if (n != 5) {
            ack_simple(n, &op, OUTCOME_READY);
            assert_null(rig_sent(&rig, MSG_RESULT));
        }
    }
    const struct msg *m = wait_for(MSG_RESULT, rig.now_us + 10 * S, 5);
    while (m != NULL && !m->u.result->final) {
        m = wait_for(MSG_RESULT, rig.now_us + 10 * S, 5);
    }
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->outcomes[OUTCOME_UNREACHABLE], 1);
    assert_int_equal(v->reasons[REASON_AGENT_OFFLINE], 1);
    op = operation_of(2); /* known from now on */
    operate(&op);
    assert_int_equal(addressed(), AGENTS - 1);
    m = wait_for(MSG_HEAL, rig.now_us + 5 * S, 5); /* its host is to start it anew */
    assert_non_null(m);
    assert_int_equal(m->to.tier, TIER_SECTOR);
    assert_true(unit_equal(m->u.heal.target, unit_agent(m->from.sector, m->from.cluster, 5)));
}

/* Told by hand, a breaker waits for a hand; heal is one. */
static void test_breaker_by_hand_and_heal(void **state)
{
    (void)state;
    struct msg m = from_sector(MSG_CIRCUIT);
    m.u.circuit = (struct circuit_msg){.action = CIRCUIT_OPEN, .target = m.to};
    rig_msg(&rig, &m);
    const struct msg *up = rig_sent(&rig, MSG_CIRCUIT);
    assert_non_null(up);
    assert_int_equal(up->u.circuit.action, CIRCUIT_OPEN);
    wait_for(MSG_TYPE_COUNT, rig.now_us + 100 * S, 0);
    struct operation op = operation_of(1);
    operate(&op);
    assert_int_equal(result_of(&op, AGENTS)->reasons[REASON_BREAKER], AGENTS);
    m = from_sector(MSG_HEAL);
    m.u.heal.target = unit_orchestrator();
    rig_msg(&rig, &m);
    op = operation_of(2);
    operate(&op);
    assert_int_equal(addressed(), AGENTS);
    rig_msg(&rig, &m); /* again: nothing more to do */
    assert_null(rig_sent(&rig, MSG_HEAL));
}

static void test_bus_outage_kills_nobody(void **state)
{
    (void)state;
    rig_link(&rig, LINK_BUS, false);
    rig.now_us += 100 * S;
    rig_wake(&rig);
    rig_link(&rig, LINK_BUS, true);
    for (int i = 0; i < 20; i++) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        assert_null(rig_note(&rig, NOTE_CHILD_DOWN));
    }
    struct operation op = operation_of(1);
    operate(&op);
    assert_int_equal(addressed(), AGENTS);
}

static void test_all_silent_blames_itself(void **state)
{
    (void)state;
    int64_t blamed_us = 0;
    for (int i = 0; i < 400 && rig.wake_us < 200 * S; i++) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        if (rig_note(&rig, NOTE_SELF_BLAME) != NULL) {
            blamed_us = rig.now_us;
        }
        /* For a while it is this lead that is deaf; then they are dead. */
        if (rig_note(&rig, NOTE_CHILD_DOWN) != NULL) {
            assert_true(blamed_us > 0 && rig.now_us >= blamed_us + CHILDREN_BLAME_US);
            return;
        }
    }
    fail();
}

static void test_goodbye(void **state)
{
    (void)state;
    struct msg m = from_agent(MSG_GOODBYE, 4);
    rig_msg(&rig, &m);
    assert_int_equal(rig_note(&rig, NOTE_AGENT_STATE)->b, AGENT_OFFLINE); /* at once */
    struct operation op = operation_of(1);
    operate(&op);
    assert_int_equal(addressed(), AGENTS - 1);
    for (unsigned n = 5; n <= 15; n++) { /* half of a machine stops: no crash for the breaker */
        m = from_agent(MSG_GOODBYE, n);
        rig_msg(&rig, &m);
        assert_null(rig_sent(&rig, MSG_CIRCUIT));
    }
    assert_null(wait_for(MSG_CIRCUIT, rig.now_us + 2 * S, 0));
    op = operation_of(2);
    operate(&op);
    assert_int_equal(addressed(), AGENTS - 12);
}

/* People take a minute: they do not count in the mean. */
static void test_people_are_not_in_the_mean(void **state)
{
    (void)state;
    sector_beat_reply();
    for (unsigned n = 1; n <= AGENTS; n++) {
        struct msg m = from_agent(MSG_HELLO, n);
        m.u.hello = (struct hello){.uid = 1000 + n,
                                   .incarnation = 9,
                                   .agent_class = n <= 10 ? CLASS_F_HUMAN : CLASS_A_EDGE};
        rig_msg(&rig, &m);
        heartbeat(n);
    }
    const struct msg *m = NULL;
    for (int i = 0; i < 12 && (m == NULL || !m->u.beat->has_summary); i++) {
        m = wait_for(MSG_BEAT, rig.now_us + 2 * S, 0);
        assert_non_null(m);
    }
    const struct summary *s = &m->u.beat->summary;
    assert_int_equal(s->active, AGENTS);
    assert_int_equal(s->class_active[CLASS_F_HUMAN], 10);
    assert_in_range(summary_mean_us(s), 1, S);
    assert_int_equal(summary_mean_us(s), s->impedance_sum_us / 20);
    assert_true(s->impedance_sum_us < 20 * S); /* one of the people alone is more */
    struct summary people = {.active = 3, .class_active = {[CLASS_F_HUMAN] = 3}};
    assert_int_equal(summary_mean_us(&people), 0);
}

static void test_stale_sector_is_refused(void **state)
{
    (void)state;
    struct msg m = from_sector(MSG_FREEZE);
    m.epoch = 8;
    m.u.freeze.scope = unit_sector(99);
    rig_msg(&rig, &m);
    struct operation op = operation_of(1);
    operate(&op); /* epoch 1 */
    assert_int_equal(addressed(), 0);
    assert_non_null(rig_note(&rig, NOTE_STALE_EPOCH));
}

/* --- queries --- */

static void test_query_agents_pages(void **state)
{
    (void)state;
    struct query q = {.ref = 5, .kind = QUERY_AGENTS, .from_start = true, .limit = 12};
    uint32_t seen = 0;
    uint64_t last = 0;
    bool more = true;
    while (more) {
        const struct rows *r = ask(&q);
        assert_non_null(r);
        assert_int_equal(r->ref, 5);
        assert_int_equal(r->total, AGENTS);
        for (uint32_t i = 0; i < r->row_count; i++) {
            assert_true(r->rows[i].key > last);
            last = r->rows[i].key;
            seen++;
        }
        more = r->more;
        q.after_key = last;
        q.from_start = false;
    }
    assert_int_equal(seen, AGENTS);
    q = (struct query){.kind = QUERY_AGENTS, .from_start = true, .limit = 60};
    q.selector.capabilities = 2;
    q.selector.state_mask = 1u << AGENT_ACTIVE;
    assert_int_equal(ask(&q)->row_count, AGENTS - 1);
}

static void test_query_answers(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    for (unsigned n = 1; n <= AGENTS; n++) {
        struct ack a = ack_of(&op, OUTCOME_READY, n % 2 == 0 ? "even" : "odd");
        ack(n, &a);
    }
    struct query q = {.kind = QUERY_ANSWERS, .operation_id = op.id, .from_start = true, .limit = 9};
    const struct rows *r = ask(&q);
    assert_int_equal(r->row_count, 2);
    assert_true(r->rows[0].key < r->rows[1].key);
    assert_int_equal(r->rows[0].u.answer.count + r->rows[1].u.answer.count, AGENTS);
    q.operation_id.bytes[3] = 77;
    assert_int_equal(ask(&q)->row_count, 0);
}

/* More answers than one result carries: the rest is `other` there, and in the pages all are. */
static void test_long_answers_are_paged(void **state)
{
    (void)state;
    struct operation op = operation_of(1);
    operate(&op);
    char answer[1001];
    for (unsigned n = 1; n <= AGENTS; n++) {
        memset(answer, 'a' + (int)(n % 26), sizeof answer - 1);
        answer[0] = (char)('0' + n / 10);
        answer[1] = (char)('0' + n % 10);
        answer[sizeof answer - 1] = '\0';
        struct ack a = ack_of(&op, OUTCOME_READY, answer);
        ack(n, &a);
    }
    uint32_t seen = 0;
    bool more = true;
    struct query q = {.kind = QUERY_ANSWERS, .operation_id = op.id, .from_start = true, .limit = 9};
    for (int page = 0; more && page < 20; page++) {
        const struct rows *r = ask(&q);
        for (uint32_t i = 0; i < r->row_count; i++) {
            assert_int_equal(r->rows[i].u.answer.answer_bytes, sizeof answer - 1);
            seen += r->rows[i].u.answer.count;
            q.after_key = r->rows[i].key;
        }
        more = r->more;
        q.from_start = false;
    }
    assert_int_equal(seen, AGENTS);
}

static void test_inspect(void **state)
{
    (void)state;
    struct query q = {.ref = 8, .kind = QUERY_INSPECT, .from_start = true, .limit = 1};
    q.selector.places.count = 1;
    q.selector.places.patterns[0] = (struct pattern){{1, 1}, {2, 2}, {6, 6}};
    const struct rows *r = ask(&q); /* no store: the lead's own view */
    assert_non_null(r);
    assert_int_equal(r->kind, ROW_RECORD);
    assert_int_equal(r->row_count, 1);
    assert_non_null(strstr(r->rows[0].u.record.text, "agent_id=s01.c2.a6"));
    assert_non_null(strstr(r->rows[0].u.record.text, "\n\nregistry=unavailable"));
    rig_link(&rig, LINK_STORE, true);
    assert_null(ask(&q));
    uint64_t ref = 0;
    const struct effect *e;
    for (uint32_t k = 0; (e = rig_effect(&rig, FX_STORE, 0, k)) != NULL; k++) {
        ref = e->u.store.kind == STORE_GET ? e->u.store.ref : ref;
    }
    assert_int_not_equal(ref, 0);
    struct store_field field = {.name = "uid", .value = "abc", .value_bytes = 3};
    struct store_row row = {.key = "agent:1", .fields = &field, .field_count = 1};
    struct store_reply reply = {
        .ref = ref, .kind = STORE_GET, .verdict = STORE_OK, .rows = &row, .row_count = 1};
    rig_store(&rig, &reply);
    r = &rig_sent(&rig, MSG_ROWS)->u.rows;
    assert_int_equal(r->ref, 8);
    assert_non_null(strstr(r->rows[0].u.record.text, "\n\nuid=abc"));
    assert_null(ask(&q)); /* a store that never answers */
    assert_non_null(wait_for(MSG_ROWS, rig.now_us + 2 * S, 0));
}

/* --- relays --- */

static struct operation message_to(const char *places, unsigned author, enum routing routing)
{
    struct operation op = operation_of(60);
    size_t at;
    const char *why;
    op.routing = routing;
    op.source = unit_agent(1, 2, author);
    assert_true(place_parse(places, strlen(places), &topo, &op.selector.places, &at, &why));
    return op;
}

static void relay(const struct operation *op, unsigned author)
{
    struct msg m = author > 0 ? from_agent(MSG_RELAY, author) : from_sector(MSG_RELAY);
    m.u.relay.operation = op;
    m.u.relay.hops = author > 0 ? 0 : 2;
    rig_msg(&rig, &m);
}

static void relay_ack(const struct operation *op, unsigned n, bool ok)
{
    struct msg m = from_agent(MSG_RELAY_ACK, n);
    m.u.relay_ack = (struct relay_ack){.message_id = op->id,
                                       .target = unit_agent(1, 2, n),
                                       .reached = ok,
                                       .failed = !ok,
                                       .outcome = ok ? OUTCOME_READY : OUTCOME_FAILED};
    rig_msg(&rig, &m);
}

static void test_relay_within_the_cluster(void **state)
{
    (void)state;
    struct operation op = message_to("s01.c2.a[4-5]", 1, ROUTING_DIRECT);
    relay(&op, 1);
    assert_int_equal(rig_count(&rig, FX_SEND, MSG_RELAY), 1); /* one with a mask; no sector */
    const struct msg *m = rig_sent(&rig, MSG_RELAY);
    assert_true(unit_equal(m->to, unit_agent(1, 2, 4)));
    assert_int_equal(m->mask, 3);
    assert_int_equal(m->u.relay.hops, 1);
    relay_ack(&op, 5, true);
    m = rig_sent(&rig, MSG_RELAY_ACK);
    assert_true(unit_equal(m->to, unit_agent(1, 2, 1)));
    assert_true(unit_equal(m->u.relay_ack.target, unit_agent(1, 2, 5)));
}

static void test_relay_beyond_and_back(void **state)
{
    (void)state;
    struct operation op = message_to("s02.c1.a1", 1, ROUTING_DIRECT);
    relay(&op, 1);
    assert_int_equal(rig_count(&rig, FX_SEND, MSG_RELAY), 1);
    assert_true(unit_equal(rig_sent(&rig, MSG_RELAY)->to, unit_sector(1)));
    struct msg m = from_sector(MSG_RELAY_ACK);
    m.u.relay_ack = (struct relay_ack){
        .message_id = op.id, .target = unit_agent(2, 1, 1), .reached = 1, .outcome = OUTCOME_READY};
    rig_msg(&rig, &m);
    assert_true(unit_equal(rig_sent(&rig, MSG_RELAY_ACK)->to, unit_agent(1, 2, 1)));
    op.source = unit_agent(1, 2, 9); /* nobody speaks for another */
    op.id.bytes[0] = 1;
    relay(&op, 1);
    assert_null(rig_sent(&rig, MSG_RELAY));
}

static void test_relay_to_absent_agents(void **state)
{
    (void)state;
    struct msg bye = from_agent(MSG_GOODBYE, 4);
    rig_msg(&rig, &bye);
    struct operation op = message_to("s01.c2.a4", 1, ROUTING_DIRECT);
    relay(&op, 0); /* from beyond */
    const struct msg *m = rig_sent(&rig, MSG_RELAY_ACK);
    assert_non_null(m);
    assert_true(unit_equal(m->to, unit_sector(1)));
    assert_int_equal(m->u.relay_ack.failed, 1);
    assert_int_equal(m->u.relay_ack.reason, REASON_AGENT_OFFLINE);
}

static void circuit(enum circuit action)
{
    struct msg m = from_sector(MSG_CIRCUIT);
    m.u.circuit = (struct circuit_msg){.action = action, .target = unit_cluster(1, 2)};
    rig_msg(&rig, &m);
}

static void isolated(unsigned n, enum isolation what)
{
    struct msg m = from_sector(MSG_ISOLATE);
    m.u.isolate = (struct isolate){.agent = unit_agent(1, 2, n), .what = what};
    rig_msg(&rig, &m);
}

static enum reason refused(const struct operation *op, unsigned author)
{
    relay(op, author);
    const struct msg *m = rig_sent(&rig, MSG_RELAY_ACK);
    assert_null(rig_sent(&rig, MSG_RELAY));
    return m != NULL ? m->u.relay_ack.reason : REASON_NONE;
}

/* Spec 6.2, is_routable: it asks for every message, not for operations alone. */
static void test_nothing_is_relayed_into_isolation(void **state)
{
    (void)state;
    struct operation op = message_to("s01.c2.a4", 1, ROUTING_DIRECT);
    circuit(CIRCUIT_OPEN);
    assert_int_equal(refused(&op, 1), REASON_BREAKER); /* of a neighbour */
    op.id.bytes[0] = 1;
    assert_int_equal(refused(&op, 0), REASON_BREAKER); /* from beyond */
    circuit(CIRCUIT_CLOSED);
    isolated(4, ISOLATE_QUARANTINE);
    op.id.bytes[0] = 2;
    assert_int_equal(refused(&op, 1), REASON_QUARANTINED);
    struct operation its = message_to("s01.c2.a5,s02.c1.a1", 4, ROUTING_DIRECT);
    assert_int_equal(refused(&its, 4), REASON_NONE); /* and nobody hears it */
    assert_non_null(rig_note(&rig, NOTE_RELAY_LOST));
    isolated(4, ISOLATE_LIFT);
    op.id.bytes[0] = 3;
    op.selector.capabilities = 1ull << 40; /* spec 9.1: the lead validates before routing */
    assert_int_equal(refused(&op, 1), REASON_CAPABILITY);
    op.id.bytes[0] = 4;
    op.selector.capabilities = 0;
    relay(&op, 1);
    assert_non_null(rig_sent(&rig, MSG_RELAY));
}

static void isolated_at(enum isolation what, uint64_t agents, int64_t sent_us)
{
    struct msg m = from_sector(MSG_ISOLATE);
    m.u.isolate = (struct isolate){.agent = unit_agent(1, 2, 4), .what = what, .agents = agents};
    m.sent_us = sent_us;
    rig_msg(&rig, &m);
}

/* A sector that begins anew takes a quarantine and its lift of former times one after the other,
 * and the lift comes first. */
static void test_an_overtaken_quarantine_is_over(void **state)
{
    (void)state;
    struct operation op = message_to("s01.c2.a4", 1, ROUTING_DIRECT);
    isolated_at(ISOLATE_LIFT, 0, 2000);
    isolated_at(ISOLATE_QUARANTINE, 0, 1000);
    isolated_at(ISOLATE_QUARANTINE, 1u << 3, 1500); /* by a list, likewise */
    relay(&op, 0);
    assert_non_null(rig_sent(&rig, MSG_RELAY));
    isolated_at(ISOLATE_QUARANTINE, 0, 3000);
    op.id.bytes[0] = 2;
    assert_int_equal(refused(&op, 0), REASON_QUARANTINED);
}

static void test_broadcast_is_summed(void **state)
{
    (void)state;
    struct operation op = message_to("s01.c2.a[1-3]", 1, ROUTING_BROADCAST);
    relay(&op, 0);
    relay_ack(&op, 1, true);
    relay_ack(&op, 1, true); /* twice counts once */
    relay_ack(&op, 2, false);
    assert_null(rig_sent(&rig, MSG_RELAY_ACK));
    relay_ack(&op, 3, true);
    const struct msg *m = rig_sent(&rig, MSG_RELAY_ACK);
    assert_non_null(m);
    assert_int_equal(m->u.relay_ack.reached, 2);
    assert_int_equal(m->u.relay_ack.failed, 1);
    assert_true(unit_equal(m->u.relay_ack.target, unit_cluster(1, 2)));
    op.id.bytes[0] = 2;
    relay(&op, 0);
    m = wait_for(MSG_RELAY_ACK, rig.now_us + 5 * S, 0); /* nobody answers */
    assert_non_null(m);
    assert_int_equal(m->u.relay_ack.failed, 3);
}

static void test_circling_message_is_dropped(void **state)
{
    (void)state;
    struct operation op = message_to("s01.c2.a1", 1, ROUTING_DIRECT);
    struct msg m = from_sector(MSG_RELAY);
    m.u.relay = (struct relay){.hops = 8, .operation = &op};
    rig_msg(&rig, &m);
    assert_null(rig_sent(&rig, MSG_RELAY));
}

/* --- random events --- */

#define RANDOM_OPS 40u

struct tracked {
    struct operation op;
    uint32_t targets; /* of the first final result; UINT32_MAX: none yet */
};

static void check_results(struct tracked *ops)
{
    const struct effect *e;
    for (uint32_t k = 0; (e = rig_effect(&rig, FX_SEND, MSG_RESULT, k)) != NULL; k++) {
        const struct result *r = e->u.msg.u.result;
        check_sum(&r->aggregate, r->aggregate.targets);
        if (!r->final) {
            continue;
        }
        assert_int_equal(r->aggregate.outcomes[OUTCOME_PENDING], 0);
        uint32_t grouped = r->aggregate.other;
        for (uint32_t g = 0; g < r->aggregate.group_count; g++) {
            grouped += r->aggregate.groups[g].count;
        }
        assert_int_equal(grouped, r->aggregate.targets);
        for (uint32_t i = 0; i < RANDOM_OPS; i++) {
            if (memcmp(&ops[i].op.id, &r->operation_id, sizeof r->operation_id) == 0) {
                ops[i].targets = r->aggregate.targets;
            }
        }
    }
}

static uint64_t random_state;

static uint32_t pick(uint32_t n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random_state >> 33) % n;
}

static void random_operation(struct tracked *t, uint32_t n)
{
    t->op = operation_of(0);
    memcpy(t->op.id.bytes + 4, &n, sizeof n);
    t->op.id.bytes[0] = 1;
    t->targets = UINT32_MAX;
    t->op.priority = (uint8_t)pick(4);
    t->op.require_ack = pick(8) != 0;
    t->op.timing = (enum timing)pick(3);
    t->op.ttl_us = (int64_t)pick(8) * S;
    t->op.target_mesh_us =
        t->op.timing == TIMING_SOON ? 0 : rig.now_us + MESH + (int64_t)pick(3000) * 1000;
    t->op.selector.capabilities = pick(4) == 0 ? 2 : 0;
    operate_by(&t->op, pick(3) == 0 ? pick(AGENTS) : UINT32_MAX,
               rig.now_us + (int64_t)pick(4000) * 1000);
}

static void random_event(struct tracked *ops, uint32_t step)
{
    struct tracked *t = &ops[pick(RANDOM_OPS)];
    unsigned n = 1 + pick(AGENTS);
    static const char *const answers[] = {"a", "bb", "ccc", "dddd"};
    struct msg m;
    switch (pick(12)) {
    case 0:
        if (t->targets != UINT32_MAX || t->op.ttl_us == 0) {
            random_operation(t, step);
        }
        break;
    case 1:
        hello(n, 9);
        break;
    case 2:
        m = from_agent(MSG_GOODBYE, n);
        if (pick(4) == 0) {
            rig_msg(&rig, &m);
        }
        break;
    case 3:
        m = from_sector(MSG_CANCEL);
        m.u.cancel.operation_id = t->op.id;
        if (pick(6) == 0) {
            rig_msg(&rig, &m);
        }
        break;
    case 4:
        if (pick(20) == 0) {
            rig_link(&rig, LINK_BUS, pick(3) != 0);
        }
        break;
    case 5:
        heartbeat(n);
        break;
    case 6:
        rig.now_us += pick(200000);
        break;
    case 7:
        operate(&t->op); /* again, maybe long after */
        break;
    default: {
        struct ack a = ack_of(&t->op, (enum outcome)pick(OUTCOME_COUNT), answers[pick(4)]);
        a.received_mesh_us += (int64_t)pick(1000000) - 500000;
        a.late = pick(5) == 0;
        ack(n, &a);
        break;
    }
    }
}

static void test_random_events_always_add_up(void **state)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        static struct tracked ops[RANDOM_OPS];
        memset(ops, 0, sizeof ops);
        setup_joined(state);
        random_state = seed;
        for (uint32_t step = 1; step < 6000; step++) {
            random_event(ops, step);
            check_results(ops);
            if (rig.wake_us != NEVER && (rig.wake_us <= rig.now_us || pick(2) == 0)) {
                rig.now_us = rig.wake_us > rig.now_us ? rig.wake_us : rig.now_us;
                rig.fill = pick(4) == 0 ? OUTBOX_EFFECTS_MAX - pick(4) : 0; /* hardly any room */
                rig_wake(&rig);
                check_results(ops);
            }
        }
        rig.fill = 0;
        rig_link(&rig, LINK_BUS, true);
        check_results(ops);
        int64_t until_us = rig.now_us + 40 * S;
        while (rig.wake_us < until_us) { /* everything ends by its deadline */
            rig.now_us = rig.wake_us > rig.now_us ? rig.wake_us : rig.now_us;
            rig_wake(&rig);
            check_results(ops);
        }
        for (uint32_t i = 0; i < RANDOM_OPS; i++) {
            assert_true(ops[i].op.id.bytes[0] == 0 || ops[i].targets != UINT32_MAX);
        }
        if (seed < 6) {
            teardown(state);
        }
    }
}

#define FRESH(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define JOINED(f) cmocka_unit_test_setup_teardown(f, setup_joined, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_hello_is_welcomed),
        FRESH(test_heartbeat_is_answered_with_time),
        FRESH(test_every_third_beat_of_a_clock_is_answered),
        JOINED(test_beats_carry_summaries),
        JOINED(test_silent_agent_is_declared_and_ends_its_operations),
        JOINED(test_bus_outage_kills_nobody),
        JOINED(test_all_silent_blames_itself),
        JOINED(test_goodbye),
        FRESH(test_people_are_not_in_the_mean),
        JOINED(test_stale_sector_is_refused),
        JOINED(test_breaker_by_hand_and_heal),
        JOINED(test_query_agents_pages),
        JOINED(test_query_answers),
        JOINED(test_long_answers_are_paged),
        JOINED(test_inspect),
        JOINED(test_relay_within_the_cluster),
        JOINED(test_relay_beyond_and_back),
        JOINED(test_relay_to_absent_agents),
        JOINED(test_nothing_is_relayed_into_isolation),
        JOINED(test_an_overtaken_quarantine_is_over),
        JOINED(test_broadcast_is_summed),
        JOINED(test_circling_message_is_dropped),
        cmocka_unit_test_teardown(test_random_events_always_add_up, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
