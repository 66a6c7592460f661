/* Incidents: names, the lead that tells them together and until they are in the log, the root that
 * writes them, adds those of sectors and closes what nobody speaks of; local consensus; quarantine
 * by hand and its end. */
#include "core/incident.h"
#include "tests/support/bench.h"
#include "tiers/cluster/cluster.h"
#include "tiers/cluster/cluster_parts.h"
#include "tiers/orchestrator/orchestrator.h"

/* The root's own parts beside the lead's would clash in names: only its state is read here. */
#include "tiers/orchestrator/orchestrator_state.h"

#define S US_PER_S

static void names_are_stable(void **state)
{
    (void)state;
    for (int k = FAILURE_NONE + 1; k < FAILURE_CLASS_COUNT; k++) {
        assert_int_equal(failure_parse(failure_name((enum failure_class)k)), k);
        assert_in_range(failure_priority((enum failure_class)k), 1, 4);
    }
    assert_int_equal(failure_parse("NONE"), FAILURE_NONE);
    assert_int_equal(failure_parse("agent_crash"), FAILURE_NONE);
    uint64_t a = incident_name(unit_cluster(1, 1), FAILURE_AGENT_CRASH, 7);
    assert_true(a != incident_name(unit_cluster(1, 2), FAILURE_AGENT_CRASH, 7));
    assert_true(a != incident_name(unit_cluster(1, 1), FAILURE_AGENT_CRASH, 8));
    assert_true(incident_event_id(a, 1) != incident_event_id(a, 2));
    assert_int_equal(incident_event_id(a, 1), incident_event_id(a, 1));
}

/* --- the lead ----------------------------------------------------------------------------------
 */

static void say(struct bench *b, unsigned agent, enum msg_type type)
{
    struct msg m = {.type = type, .from = unit_agent(1, 1, agent), .epoch = 1};
    if (type == MSG_HELLO) {
        m.u.hello = (struct hello){
            .uid = 100 + agent, .incarnation = 1, .agent_class = CLASS_A_EDGE, .capabilities = 1};
    } else {
        m.u.heartbeat = (struct heartbeat){.uid = 100 + agent, .incarnation = 1};
        m.u.heartbeat.impedance.latency_us = 10000;
        m.u.heartbeat.impedance.processing_us = 5000;
    }
    bench_msg(b, &m);
}

static struct bench *lead(unsigned agents)
{
    struct bench *b = bench_open(&cluster_ops, unit_cluster(1, 1), 1, 1, (uint16_t)agents);
    for (unsigned i = 1; i <= agents; i++) {
        say(b, i, MSG_HELLO);
    }
    bench_forget(b);
    return b;
}

/* Everything that was reported is in the log. */
static void acknowledge(struct bench *b)
{
    for (uint32_t n = 0; n < LEAD_CONFLICTS_MAX; n++) {
        const struct msg *sent = bench_sent(b, MSG_CONFLICT, n);
        if (sent == NULL) {
            break;
        }
        struct msg m = {.type = MSG_CONFLICT_ACK, .from = unit_sector(1), .epoch = 1};
        m.u.conflict_ack = (struct conflict_ack){.id = sent->u.conflict->id, .lamport = n};
        bench_msg(b, &m);
    }
}

/* Time passes and agents but those of the mask beat; reports are acknowledged. */
static void beats(struct bench *b, unsigned agents, uint64_t silent, int seconds)
{
    for (int s = 0; s < seconds; s += 5) {
        for (unsigned i = 1; i <= agents; i++) {
            if ((silent >> (i - 1) & 1u) == 0) {
                say(b, i, MSG_HEARTBEAT);
            }
        }
        bench_pass(b, 5 * S);
        acknowledge(b);
    }
}

static const struct conflict_report *event_of(const struct bench *b, enum failure_class k,
                                              enum incident_event e)
{
    for (uint32_t n = 0; n < b->sent_count; n++) {
        const struct msg *m = b->sent[n];
        if (m->type == MSG_CONFLICT && m->u.conflict->incident == k && m->u.conflict->event == e) {
            return m->u.conflict;
        }
    }
    return NULL;
}

static bool says(const struct conflict_report *r, const char *text)
{
    char all[CONFLICT_VALUE_MAX + 1] = "";
    memcpy(all, r->received, r->received_bytes);
    return strstr(all, text) != NULL;
}

static void deaths_together_are_one_incident(void **state)
{
    (void)state;
    struct bench *b = lead(8);
    beats(b, 8, 0, 10);
    beats(b, 8, 0x6, 45); /* a2 and a3 fall silent, and die */
    const struct conflict_report *r = event_of(b, FAILURE_TRANSIENT_NETWORK, INCIDENT_OPENED);
    assert_non_null(r);
    assert_true(says(r, "a2, a3: missed heartbeats"));
    assert_int_equal(r->agent.tier, TIER_CLUSTER); /* two of them: the cluster's */
    r = event_of(b, FAILURE_AGENT_CRASH, INCIDENT_OPENED);
    assert_non_null(r);
    assert_true(says(r, "a2, a3:"));
    assert_non_null(event_of(b, FAILURE_AGENT_CRASH, INCIDENT_ACTION));
    assert_non_null(event_of(b, FAILURE_TRANSIENT_NETWORK, INCIDENT_RESOLVED));
    assert_null(event_of(b, FAILURE_TRANSIENT_NETWORK, INCIDENT_RECOVERED)); /* they are dead */
    uint64_t id = r->uid;
    say(b, 2, MSG_HELLO);
    say(b, 3, MSG_HELLO);
    beats(b, 8, 0, 15);
    r = event_of(b, FAILURE_AGENT_CRASH, INCIDENT_RESOLVED);
    assert_non_null(r);
    assert_true(r->uid == id);
    assert_true(says(r, "2 agents were concerned"));
    assert_null(event_of(b, FAILURE_AGENT_CRASH, INCIDENT_ESCALATED));
    bench_close(b);
}

static void a_replacement_that_does_not_come_escalates(void **state)
{
    (void)state;
    struct bench *b = lead(8);
    beats(b, 8, 0, 10);
    beats(b, 8, 1, 140);
    const struct conflict_report *r = event_of(b, FAILURE_AGENT_CRASH, INCIDENT_ESCALATED);
    assert_non_null(r);
    assert_true(says(r, "the replacement failed"));
    assert_true(unit_equal(r->agent, unit_agent(1, 1, 1)));
    bench_close(b);
}

/* Spec 6.1: the replacement also fails. It was there, so that the first death is over. */
static void a_replacement_that_dies_as_well_escalates(void **state)
{
    (void)state;
    struct bench *b = lead(8);
    beats(b, 8, 0, 10);
    for (unsigned death = 1; death <= 2; death++) {
        bench_forget(b);
        beats(b, 8, 1, 45);
        assert_non_null(event_of(b, FAILURE_AGENT_CRASH, INCIDENT_OPENED));
        const struct conflict_report *r = event_of(b, FAILURE_AGENT_CRASH, INCIDENT_ESCALATED);
        assert_true((r != NULL) == (death == 2));
        assert_true(r == NULL || says(r, "a1: the replacement failed as well"));
        say(b, 1, MSG_HELLO);
        beats(b, 8, 0, 200);
        assert_non_null(event_of(b, FAILURE_AGENT_CRASH, INCIDENT_RESOLVED));
    }
    beats(b, 8, 0, 600); /* that was long ago */
    bench_forget(b);
    beats(b, 8, 1, 45);
    assert_non_null(event_of(b, FAILURE_AGENT_CRASH, INCIDENT_OPENED));
    assert_null(event_of(b, FAILURE_AGENT_CRASH, INCIDENT_ESCALATED));
    bench_close(b);
}

/* Who dies while others are being replaced has as long as they had. */
static void each_replacement_has_its_time(void **state)
{
    (void)state;
    struct bench *b = lead(8);
    beats(b, 8, 0, 10);
    beats(b, 8, 0x1, 60); /* a1 dies after 30 s */
    beats(b, 8, 0x3, 35); /* and a2 35 s later; before 90 s are over a1 is back */
    say(b, 1, MSG_HELLO);
    beats(b, 8, 0x2, 60);
    assert_null(event_of(b, FAILURE_AGENT_CRASH, INCIDENT_ESCALATED));
    beats(b, 8, 0x2, 40);
    const struct conflict_report *r = event_of(b, FAILURE_AGENT_CRASH, INCIDENT_ESCALATED);
    assert_non_null(r);
    assert_true(says(r, "a2: the replacement failed as well"));
    bench_close(b);
}

/* Spec 6.1: three consecutive failures. Each is over, and its incident resolved, before the next
 * can begin: it takes 15 s of silence. */
static void silent_three_times_escalates(void **state)
{
    (void)state;
    struct bench *b = lead(8);
    beats(b, 8, 0, 10);
    for (unsigned time = 1; time <= 3; time++) {
        bench_forget(b);
        beats(b, 8, 0x4, 20);
        assert_non_null(event_of(b, FAILURE_TRANSIENT_NETWORK, INCIDENT_OPENED));
        const struct conflict_report *r =
            event_of(b, FAILURE_TRANSIENT_NETWORK, INCIDENT_ESCALATED);
        assert_true((r != NULL) == (time == 3));
        assert_true(r == NULL || says(r, "a3: silent three times in a row"));
        beats(b, 8, 0, 60);
        assert_non_null(event_of(b, FAILURE_TRANSIENT_NETWORK, INCIDENT_RESOLVED));
    }
    beats(b, 8, 0, 600);
    for (unsigned time = 1; time <= 3; time++) { /* far apart, or another one: no row of failures */
        bench_forget(b);
        beats(b, 8, time == 2 ? 0x8 : 0x4, 20);
        assert_non_null(event_of(b, FAILURE_TRANSIENT_NETWORK, INCIDENT_OPENED));
        assert_null(event_of(b, FAILURE_TRANSIENT_NETWORK, INCIDENT_ESCALATED));
        beats(b, 8, 0, 60);
    }
    bench_close(b);
}

static void an_event_is_told_until_it_is_in_the_log(void **state)
{
    (void)state;
    struct bench *b = lead(8);
    beats(b, 8, 0, 10);
    for (int s = 0; s < 40; s += 5) { /* nobody acknowledges */
        for (unsigned i = 2; i <= 8; i++) {
            say(b, i, MSG_HEARTBEAT);
        }
        bench_pass(b, 5 * S);
    }
    const struct conflict_report *r = event_of(b, FAILURE_AGENT_CRASH, INCIDENT_OPENED);
    assert_non_null(r);
    uint32_t again = 0;
    for (uint32_t n = 0; n < b->sent_count; n++) {
        again += b->sent[n]->type == MSG_CONFLICT && b->sent[n]->u.conflict->id == r->id;
    }
    assert_in_range(again, 2, 20);
    bench_close(b);
}

static void a_flapping_agent_fills_no_log(void **state)
{
    (void)state;
    struct bench *b = lead(8);
    beats(b, 8, 0, 10);
    struct cluster *c = b->self;
    uint32_t before = b->sent_count;
    for (int i = 0; i < 600; i++) { /* twice a second for five minutes */
        incident_begin(c, b->now_us, FAILURE_IMPEDANCE_SPIKE, 1);
        incident_over(c, b->now_us, FAILURE_IMPEDANCE_SPIKE, 1, true);
        bench_pass(b, S / 2);
        acknowledge(b);
    }
    uint32_t rows = 0;
    for (uint32_t n = before; n < b->sent_count; n++) {
        rows += b->sent[n]->type == MSG_CONFLICT && b->sent[n]->u.conflict->event != INCIDENT_STILL;
    }
    assert_in_range(rows, 10, 130); /* and not 1,200 */
    bench_close(b);
}

static void a_spike_is_routed_around(void **state)
{
    (void)state;
    struct bench *b = lead(4);
    struct cluster *c = b->self;
    beats(b, 4, 0, 10);
    assert_true(members_preferred(c, 1));
    c->members[1].history.spiking = true;
    assert_false(members_preferred(c, 1));
    assert_true(members_in_service(c, 1));
    struct operation op = {.id = {{9}},
                           .source = unit_orchestrator(),
                           .routing = ROUTING_DIRECT,
                           .timing = TIMING_SOON,
                           .action = "echo",
                           .require_ack = true,
                           .ttl_us = 60 * S,
                           .timeout_us = 5 * S};
    uint64_t seen = 0;
    for (unsigned n = 0; n < 40; n++) { /* samples of three of four: never the slow one */
        struct target quota = {.quota = 3};
        op.id.bytes[1] = (uint8_t)n;
        struct msg m = {.type = MSG_OPERATE, .from = unit_sector(1), .epoch = 1};
        m.u.operate = (struct operate){.operation_id = op.id,
                                       .deadline_mesh_us = 60 * S,
                                       .target_count = 1,
                                       .targets = &quota,
                                       .operation = &op};
        bench_forget(b);
        bench_msg(b, &m);
        const struct msg *sent = bench_sent(b, MSG_OPERATE, 0);
        assert_non_null(sent);
        seen |= (sent->mask != 0 ? sent->mask : 1u) << (sent->to.agent - 1u);
    }
    assert_true(seen == 0xd);
    c->members[1].history.spiking = false; /* and the opposite on recovery */
    assert_true(members_preferred(c, 1));
    bench_close(b);
}

/* --- local consensus ---------------------------------------------------------------------------
 */

static void operate(struct bench *b, unsigned number, uint32_t quorum)
{
    struct target all = {.quota = UINT32_MAX};
    struct operation op = {.id = {{7, (uint8_t)number}},
                           .source = unit_orchestrator(),
                           .routing = ROUTING_SCATTER_GATHER,
                           .timing = TIMING_SOON,
                           .action = "facts",
                           .trinary_expectation = TRINARY_READY,
                           .require_ack = true,
                           .require_answer = true,
                           .quorum = quorum,
                           .ttl_us = 60 * S,
                           .timeout_us = 5 * S};
    struct msg m = {.type = MSG_OPERATE, .from = unit_sector(1), .epoch = 1};
    m.u.operate = (struct operate){.operation_id = op.id,
                                   .deadline_mesh_us = 60 * S,
                                   .target_count = 1,
                                   .targets = &all,
                                   .operation = &op};
    bench_msg(b, &m);
}

static void answer(struct bench *b, unsigned number, unsigned agent, const char *text)
{
    struct msg m = {.type = MSG_ACK, .from = unit_agent(1, 1, agent), .epoch = 1};
    m.u.ack = (struct ack){.operation_id = {{7, (uint8_t)number}},
                           .outcome = OUTCOME_READY,
                           .clock_error_us = UINT32_MAX,
                           .answer = (const uint8_t *)text,
                           .answer_bytes = (uint32_t)strlen(text)};
    bench_msg(b, &m);
}

static uint32_t quarantined(struct bench *b)
{
    struct cluster *c = b->self;
    uint32_t n = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        n += (c->quarantined >> i & 1u) != 0;
    }
    return n;
}

static void who_contradicts_a_quorum_is_quarantined(void **state)
{
    (void)state;
    struct bench *b = lead(5);
    beats(b, 5, 0, 5);
    operate(b, 1, 3);
    for (unsigned i = 1; i <= 4; i++) {
        answer(b, 1, i, "42");
    }
    assert_int_equal(quarantined(b), 0); /* not before the last answer */
    answer(b, 1, 5, "43");
    bench_pass(b, S);
    struct cluster *c = b->self;
    assert_int_equal(quarantined(b), 1);
    assert_int_equal(members_state(c, 4), AGENT_QUARANTINED);
    const struct conflict_report *r = NULL;
    for (uint32_t n = 0; n < b->sent_count; n++) {
        const struct msg *m = b->sent[n];
        r = m->type == MSG_CONFLICT && m->u.conflict->incident == 0 ? m->u.conflict : r;
    }
    assert_non_null(r); /* the evidence */
    assert_string_equal(r->action, CONFLICT_BYZANTINE);
    assert_memory_equal(r->expected, "42", 2);
    assert_memory_equal(r->received, "43", 2);
    assert_int_equal(r->agents_affected, 4);
    assert_true(unit_equal(r->agent, unit_agent(1, 1, 5)));
    assert_non_null(event_of(b, FAILURE_BYZANTINE_BEHAVIOR, INCIDENT_OPENED));
    assert_non_null(event_of(b, FAILURE_BYZANTINE_BEHAVIOR, INCIDENT_ESCALATED));
    acknowledge(b);
    bench_forget(b);
    operate(b, 2, 3); /* nothing is routed to it any more */
    for (unsigned i = 1; i <= 4; i++) {
        answer(b, 2, i, "42");
    }
    bench_pass(b, S);
    const struct msg *result = bench_sent(b, MSG_RESULT, 0);
    assert_non_null(result);
    assert_int_equal(result->u.result->aggregate.reasons[REASON_QUARANTINED], 1);
    assert_int_equal(result->u.result->aggregate.outcomes[OUTCOME_READY], 4);
    struct msg lift = {.type = MSG_ISOLATE, .from = unit_sector(1), .epoch = 1};
    lift.u.isolate = (struct isolate){.agent = unit_agent(1, 1, 5), .what = ISOLATE_LIFT};
    bench_msg(b, &lift);
    bench_pass(b, 10 * S);
    assert_int_equal(quarantined(b), 0);
    assert_non_null(event_of(b, FAILURE_BYZANTINE_BEHAVIOR, INCIDENT_RESOLVED));
    bench_close(b);
}

static void isolated(struct bench *b, unsigned agent, enum isolation what)
{
    struct msg m = {.type = MSG_ISOLATE, .from = unit_sector(1), .epoch = 1};
    m.u.isolate = (struct isolate){.agent = unit_agent(1, 1, agent), .what = what};
    bench_msg(b, &m);
}

/* An answer that says: the hash of my context is not the one that was expected. */
static void mismatch(struct bench *b, unsigned number, unsigned agent)
{
    struct conflict_detail d = {.type = CONFLICT_HASH_MISMATCH,
                                .agents_affected = 1,
                                .expected = (const uint8_t *)"a1",
                                .expected_bytes = 2,
                                .received = (const uint8_t *)"b2",
                                .received_bytes = 2};
    struct msg m = {.type = MSG_ACK, .from = unit_agent(1, 1, agent), .epoch = 1};
    m.u.ack = (struct ack){.operation_id = {{7, (uint8_t)number}},
                           .outcome = OUTCOME_CONFLICT,
                           .clock_error_us = UINT32_MAX,
                           .conflict = &d};
    bench_msg(b, &m);
}

static void a_wrong_hash_is_an_incident_until_it_is_let_back(void **state)
{
    (void)state;
    struct bench *b = lead(5);
    beats(b, 5, 0, 5);
    operate(b, 1, 0);
    for (unsigned i = 1; i <= 5; i++) {
        if (i != 4) {
            answer(b, 1, i, "42");
        }
    }
    assert_int_equal(((struct cluster *)b->self)->incidents.of[FAILURE_CONTEXT_CORRUPTION].id, 0);
    mismatch(b, 1, 4);
    bench_pass(b, S);
    const struct conflict_report *r = event_of(b, FAILURE_CONTEXT_CORRUPTION, INCIDENT_OPENED);
    assert_non_null(r);
    assert_true(says(r, "a4: its context is not the known-good one"));
    assert_true(unit_equal(r->agent, unit_agent(1, 1, 4)));
    uint64_t id = r->uid;
    assert_non_null(event_of(b, FAILURE_CONTEXT_CORRUPTION, INCIDENT_ESCALATED));
    r = event_of(b, FAILURE_CONTEXT_CORRUPTION, INCIDENT_ACTION);
    assert_non_null(r);
    assert_true(says(r, "quarantined until"));
    isolated(b, 4, ISOLATE_QUARANTINE); /* the root's strategy */
    assert_int_equal(quarantined(b), 1);
    beats(b, 5, 0, 30);
    assert_null(event_of(b, FAILURE_CONTEXT_CORRUPTION, INCIDENT_RESOLVED));
    isolated(b, 4, ISOLATE_LIFT);
    beats(b, 5, 0, 15);
    assert_non_null(event_of(b, FAILURE_CONTEXT_CORRUPTION, INCIDENT_RECOVERED));
    r = event_of(b, FAILURE_CONTEXT_CORRUPTION, INCIDENT_RESOLVED);
    assert_non_null(r);
    assert_true(r->uid == id);
    bench_forget(b); /* let back before the order to stay out came: it ends as well */
    operate(b, 2, 0);
    mismatch(b, 2, 3);
    isolated(b, 3, ISOLATE_LIFT);
    beats(b, 5, 0, 15);
    assert_non_null(event_of(b, FAILURE_CONTEXT_CORRUPTION, INCIDENT_RESOLVED));
    bench_close(b);
}

static void without_a_majority_nobody_is_judged(void **state)
{
    (void)state;
    struct bench *b = lead(4);
    beats(b, 4, 0, 5);
    operate(b, 1, 2);
    answer(b, 1, 1, "a");
    answer(b, 1, 2, "a");
    answer(b, 1, 3, "b");
    answer(b, 1, 4, "b"); /* two have the quorum: neither is right */
    bench_pass(b, S);
    assert_int_equal(quarantined(b), 0);
    const struct msg *m = bench_sent(b, MSG_CONFLICT, 0);
    assert_non_null(m);
    assert_int_equal(m->u.conflict->type, CONFLICT_DATA_CONTRADICTION);
    assert_string_equal(m->u.conflict->action, "facts");
    acknowledge(b);
    bench_forget(b);
    operate(b, 2, 4); /* three of four is a majority, and no quorum of four */
    for (unsigned i = 1; i <= 3; i++) {
        answer(b, 2, i, "a");
    }
    answer(b, 2, 4, "b");
    bench_pass(b, S);
    assert_int_equal(quarantined(b), 0);
    acknowledge(b);
    bench_forget(b);
    operate(b, 3, 0); /* without a quorum different answers are different answers */
    for (unsigned i = 1; i <= 3; i++) {
        answer(b, 3, i, "a");
    }
    answer(b, 3, 4, "b");
    bench_pass(b, S);
    assert_int_equal(quarantined(b), 0);
    assert_null(bench_sent(b, MSG_CONFLICT, 0));
    bench_close(b);
}

/* --- the root ----------------------------------------------------------------------------------
 */

static void nothing_was_open(struct bench *b)
{
    for (uint64_t ref = 1; ref < 40; ref++) {
        struct store_reply none = {.ref = ref, .kind = STORE_LOG_QUERY, .verdict = STORE_OK};
        struct event e = {.kind = EV_STORE};
        e.u.store = &none;
        bench_step(b, &e);
    }
}

static struct bench *root(void)
{
    struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), 1, 2, 4);
    b->log_verdict = STORE_OK;
    bench_nothing_frozen(b);
    nothing_was_open(b);
    bench_beat(b, unit_sector(1), 1, 8, 8);
    bench_pass(b, 1100000);
    bench_forget(b);
    return b;
}

static void tell(struct bench *b, uint64_t incident, uint32_t n, enum incident_event e)
{
    struct conflict_report r = {.id = incident_event_id(incident, n),
                                .uid = incident,
                                .incident = FAILURE_AGENT_CRASH,
                                .event = (uint8_t)e,
                                .type = CONFLICT_OTHER,
                                .agent = unit_cluster(1, 1),
                                .at_mesh_us = BENCH_UNIX_US};
    struct msg m = {.type = MSG_CONFLICT, .from = unit_sector(1), .epoch = 1};
    m.u.conflict = &r;
    bench_msg(b, &m);
}

static void alive(struct bench *b, int seconds, uint32_t clusters_up)
{
    for (int s = 0; s < seconds; s++) {
        struct beat beat = {.has_summary = true};
        beat.summary.agents = 8;
        beat.summary.active = 8;
        beat.summary.clusters = 2;
        beat.summary.clusters_up = clusters_up;
        struct msg m = {.type = MSG_BEAT, .from = unit_sector(1), .epoch = 1, .sent_us = b->now_us};
        m.u.beat = &beat;
        bench_msg(b, &m);
        bench_pass(b, S);
    }
}

static uint32_t rows_of(const struct bench *b)
{
    return b->log_rows;
}

static void events_become_rows_once(void **state)
{
    (void)state;
    struct bench *b = root();
    struct orchestrator *o = b->self;
    uint32_t before = rows_of(b);
    tell(b, 0xabc, 1, INCIDENT_OPENED);
    assert_int_equal(rows_of(b), before + 1);
    assert_int_equal(bench_count(b, MSG_CONFLICT_ACK), 1);
    assert_int_equal(bench_sent(b, MSG_CONFLICT_ACK, 0)->u.conflict_ack.id,
                     incident_event_id(0xabc, 1));
    assert_int_equal(o->conflicts.count, 0); /* no conflict */
    tell(b, 0xabc, 2, INCIDENT_STILL);       /* no row, and acknowledged */
    assert_int_equal(rows_of(b), before + 1);
    assert_int_equal(bench_count(b, MSG_CONFLICT_ACK), 2);
    b->log_verdict = STORE_FULL; /* nothing is acknowledged that is not durable */
    tell(b, 0xabc, 3, INCIDENT_RESOLVED);
    tell(b, 0xabc, 3, INCIDENT_RESOLVED);
    assert_int_equal(o->logbook.count, 1);
    assert_int_equal(bench_count(b, MSG_CONFLICT_ACK), 2);
    b->log_verdict = STORE_OK;
    alive(b, 6, 2);
    assert_int_equal(bench_count(b, MSG_CONFLICT_ACK), 3);
    bench_close(b);
}

static void what_nobody_speaks_of_is_closed(void **state)
{
    (void)state;
    struct bench *b = root();
    tell(b, 0xabc, 1, INCIDENT_OPENED);
    tell(b, 0xdef, 1, INCIDENT_OPENED);
    uint32_t before = rows_of(b);
    for (int i = 0; i < 5; i++) { /* one goes on, of the other no word */
        alive(b, 50, 2);
        tell(b, 0xdef, 10 + (uint32_t)i, INCIDENT_STILL);
    }
    assert_int_equal(rows_of(b), before + 1);
    alive(b, 60, 2);
    assert_int_equal(rows_of(b), before + 1); /* closed once */
    bench_close(b);
}

static void leads_that_are_silent_are_an_incident_of_their_sector(void **state)
{
    (void)state;
    struct bench *b = root();
    struct orchestrator *o = b->self;
    alive(b, 3, 2);
    uint32_t before = rows_of(b);
    alive(b, 3, 1);
    assert_int_equal(rows_of(b), before + 1);
    assert_true(o->incidents.down[0].id != 0);
    alive(b, 3, 2);
    assert_int_equal(rows_of(b), before + 2);
    assert_true(o->incidents.down[0].id == 0);
    bench_pass(b, 10 * S); /* now the coordinator itself falls silent */
    assert_true(o->incidents.down[0].id != 0);
    assert_int_equal(rows_of(b), before + 4); /* and the mode has fallen */
    bench_close(b);
}

/* --- quarantine by hand ------------------------------------------------------------------------
 */

static bool not_in_the_registry;

static void stands(struct bench *b, uint64_t uid, enum agent_state s)
{
    const struct msg *q = NULL;
    for (uint32_t n = 0; bench_sent(b, MSG_QUERY, n) != NULL; n++) {
        q = bench_sent(b, MSG_QUERY, n);
    }
    assert_non_null(q);
    struct page_row row = {.key = 1, .unit = unit_agent(1, 1, 2)};
    row.u.agent.uid = uid;
    row.u.agent.agent_class = CLASS_A_EDGE;
    row.u.agent.impedance.state = s;
    row.u.agent.unwritten = not_in_the_registry;
    struct msg m = {.type = MSG_ROWS, .from = unit_sector(1), .epoch = 1};
    m.u.rows = (struct rows){
        .ref = q->u.query->ref, .kind = ROW_AGENT, .rows = &row, .row_count = 1, .total = 1};
    bench_msg(b, &m);
    bench_pass(b, 10000);
}

static void order(struct bench *b, bool quarantine)
{
    struct command c = {.kind = COMMAND_ISOLATE, .scope = unit_agent(1, 1, 2), .on = quarantine};
    memcpy(c.decision.note, "odd sums", 9);
    bench_forget(b);
    bench_command(b, &c);
    bench_pass(b, 10000);
}

static void quarantine_and_lift_are_verified(void **state)
{
    (void)state;
    struct bench *b = root();
    struct orchestrator *o = b->self;
    order(b, false);
    stands(b, 102, AGENT_ACTIVE);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "s01.c1.a2 is not in quarantine"));
    order(b, true);
    stands(b, 102, AGENT_ACTIVE);
    assert_int_equal(bench_order(b, ORDER_ISOLATE, 0)->u.order->u.isolate.what, ISOLATE_QUARANTINE);
    assert_null(bench_reply(b, REPLY_OK)); /* told is not done */
    bench_pass(b, S / 2);
    stands(b, 102, AGENT_ACTIVE); /* the word was lost: it is said again */
    assert_non_null(bench_order(b, ORDER_ISOLATE, 1));
    assert_null(bench_order(b, ORDER_ISOLATE, 2));
    bench_pass(b, S / 2);
    stands(b, 102, AGENT_QUARANTINED);
    assert_non_null(bench_reply(b, REPLY_OK));
    bench_pass(b, S / 10);
    assert_int_equal(o->conflicts.count, 1);
    assert_int_equal(o->conflicts.open[0].stage, STAGE_REVIEW);
    order(b, true);
    stands(b, 102, AGENT_QUARANTINED);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "is in quarantine already"));
    order(b, false);
    stands(b, 102, AGENT_QUARANTINED);
    assert_int_equal(bench_order(b, ORDER_ISOLATE, 0)->u.order->u.isolate.what, ISOLATE_LIFT);
    bench_pass(b, S / 2);
    stands(b, 102, AGENT_ACTIVE);
    assert_non_null(bench_reply(b, REPLY_OK));
    bench_pass(b, S / 10);
    assert_int_equal(o->conflicts.count, 0); /* resolved with it */
    bench_close(b);
}

static void what_the_registry_has_not_is_not_done(void **state)
{
    (void)state;
    struct bench *b = root();
    order(b, false);
    stands(b, 102, AGENT_QUARANTINED);
    not_in_the_registry = true;
    bench_pass(b, S / 2);
    stands(b, 102, AGENT_ACTIVE);
    assert_null(bench_reply(b, REPLY_OK));
    bench_pass(b, S / 2);
    assert_null(bench_order(b, ORDER_ISOLATE, 1)); /* it need not be said again */
    not_in_the_registry = false;
    stands(b, 102, AGENT_ACTIVE);
    assert_non_null(bench_reply(b, REPLY_OK));
    order(b, false);
    stands(b, 102, AGENT_QUARANTINED);
    not_in_the_registry = true;
    for (unsigned i = 0; i < 10; i++) {
        bench_pass(b, S / 2);
        stands(b, 102, AGENT_ACTIVE);
    }
    not_in_the_registry = false;
    bench_pass(b, 9 * S);
    assert_null(bench_reply(b, REPLY_OK));
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "the registry has not taken it"));
    bench_close(b);
}

static void a_lead_that_has_read_nothing_refuses_nothing(void **state)
{
    (void)state;
    struct bench *b = root();
    not_in_the_registry = true;
    order(b, false);
    stands(b, 102, AGENT_ACTIVE);
    assert_null(bench_reply(b, REPLY_ERROR)); /* its former life may have had it in quarantine */
    assert_null(bench_order(b, ORDER_ISOLATE, 0));
    not_in_the_registry = false;
    bench_pass(b, S / 2);
    stands(b, 102, AGENT_QUARANTINED);
    assert_int_equal(bench_order(b, ORDER_ISOLATE, 0)->u.order->u.isolate.what, ISOLATE_LIFT);
    bench_pass(b, S / 2);
    stands(b, 102, AGENT_ACTIVE);
    assert_non_null(bench_reply(b, REPLY_OK));
    not_in_the_registry = true;
    order(b, true);
    stands(b, 0, AGENT_UNKNOWN);
    assert_null(bench_reply(b, REPLY_ERROR));
    not_in_the_registry = false;
    bench_pass(b, 9 * S);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "has not read the registry"));
    bench_close(b);
}

static void what_cannot_be_isolated_is_refused(void **state)
{
    (void)state;
    struct bench *b = root();
    order(b, true);
    stands(b, 0, AGENT_UNKNOWN);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "has never been seen"));
    order(b, true);
    bench_pass(b, 9 * S); /* its lead never answers */
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "does not answer"));
    struct command c = {.kind = COMMAND_ISOLATE, .scope = unit_agent(9, 1, 2), .on = true};
    bench_forget(b);
    bench_command(b, &c);
    assert_int_equal(bench_reply(b, REPLY_ERROR)->reason, REASON_INVALID);
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_stable),
        cmocka_unit_test(deaths_together_are_one_incident),
        cmocka_unit_test(a_replacement_that_does_not_come_escalates),
        cmocka_unit_test(a_replacement_that_dies_as_well_escalates),
        cmocka_unit_test(each_replacement_has_its_time),
        cmocka_unit_test(silent_three_times_escalates),
        cmocka_unit_test(an_event_is_told_until_it_is_in_the_log),
        cmocka_unit_test(a_flapping_agent_fills_no_log),
        cmocka_unit_test(a_spike_is_routed_around),
        cmocka_unit_test(who_contradicts_a_quorum_is_quarantined),
        cmocka_unit_test(a_wrong_hash_is_an_incident_until_it_is_let_back),
        cmocka_unit_test(without_a_majority_nobody_is_judged),
        cmocka_unit_test(events_become_rows_once),
        cmocka_unit_test(what_nobody_speaks_of_is_closed),
        cmocka_unit_test(leads_that_are_silent_are_an_incident_of_their_sector),
        cmocka_unit_test(quarantine_and_lift_are_verified),
        cmocka_unit_test(what_the_registry_has_not_is_not_done),
        cmocka_unit_test(a_lead_that_has_read_nothing_refuses_nothing),
        cmocka_unit_test(what_cannot_be_isolated_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
