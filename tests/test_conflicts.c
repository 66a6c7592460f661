/* Conflicts: the tables, a report's form in the log, the lead that keeps what is not yet durable,
 * the orchestrator that acknowledges only what is, works on it, and lets a person decide. */
#include "core/conflict.h"
#include "tests/support/bench.h"
#include "tiers/cluster/cluster.h"
#include "tiers/cluster/cluster_parts.h"
#include "tiers/orchestrator/orchestrator.h"
#include "tiers/orchestrator/orchestrator_state.h"

static struct conflict_report report_of(enum conflict_type type, unsigned agent)
{
    struct conflict_report r = {.operation_id = {{1, 2, 3}},
                                .agent = unit_agent(1, 1, agent),
                                .uid = 77 + agent,
                                .at_mesh_us = BENCH_UNIX_US,
                                .lamport = 5,
                                .type = type,
                                .divergence_depth = 2,
                                .expected_bytes = 4,
                                .received_bytes = 6,
                                .action = "facts"};
    memcpy(r.expected, "a\"\\b", 4);
    memcpy(r.received, "c\x01\xff\nd\0", 6);
    r.id = conflict_name(&r.operation_id, r.uid, type);
    return r;
}

static void priorities_and_strategies(void **state)
{
    (void)state;
    assert_int_equal(conflict_priority(CONFLICT_CONTEXT_DIVERGENCE, 10, 0), 2);
    assert_int_equal(conflict_priority(CONFLICT_CONTEXT_DIVERGENCE, 11, 0), 3);
    assert_int_equal(conflict_priority(CONFLICT_DATA_CONTRADICTION, 0, 100), 2);
    assert_int_equal(conflict_priority(CONFLICT_DATA_CONTRADICTION, 0, 101), 3);
    assert_int_equal(conflict_priority(CONFLICT_TEMPORAL_PARADOX, 0, 0), 4);
    assert_int_equal(conflict_priority(CONFLICT_CAPABILITY_MISMATCH, 99, 999), 1);
    assert_int_equal(conflict_priority(CONFLICT_HASH_MISMATCH, 0, 0), 4);
    assert_int_equal(conflict_priority(CONFLICT_OTHER, 0, 0), 2);
    assert_int_equal(conflict_deadline_us(1), 3600 * US_PER_S);
    assert_int_equal(conflict_deadline_us(3), 60 * US_PER_S);
    for (int t = CONFLICT_CONTEXT_DIVERGENCE; t < CONFLICT_TYPE_COUNT; t++) {
        enum strategy s = conflict_strategy((enum conflict_type)t);
        assert_int_not_equal(s, STRATEGY_NONE);
        assert_non_null(conflict_step(s, 3));
        assert_null(conflict_step(s, 4));
    }
}

static void a_report_is_read_back(void **state)
{
    (void)state;
    struct conflict_report r = report_of(CONFLICT_DATA_CONTRADICTION, 3), back;
    char body[LOGBOOK_BODY_MAX], name[HEX_TEXT_MAX];
    struct text t;
    text_init(&t, body, sizeof(body));
    conflict_body(&r, &t);
    assert_false(t.cut);
    num_format_hex64(r.id, name);
    assert_true(
        conflict_read(name, "s01.c1.a3", "DATA_CONTRADICTION", r.at_mesh_us, body, t.used, &back));
    assert_int_equal(back.id, r.id);
    assert_int_equal(back.uid, r.uid);
    assert_int_equal(back.lamport, 5);
    assert_memory_equal(back.operation_id.bytes, r.operation_id.bytes, 16);
    assert_int_equal(back.expected_bytes, 4);
    assert_memory_equal(back.expected, "a\"\\b", 4);
    assert_memory_equal(back.received, "c...d.", 6); /* what is not printable is a dot */
    assert_string_equal(back.action, "facts");
    /* Cut anywhere, it is no row of ours, and nothing is read past its end. */
    for (size_t n = 0; n < t.used; n++) {
        char *cut = malloc(n + 1);
        memcpy(cut, body, n);
        (void)conflict_read(name, "s01.c1.a3", "DATA_CONTRADICTION", 1, cut, n, &back);
        free(cut);
    }
    assert_false(conflict_read(name, "s01.c1.a3", "NO_TYPE", 1, body, t.used, &back));
    assert_false(conflict_read("x", "s01.c1.a3", "OTHER", 1, body, t.used, &back));
}

/* --- the lead ----------------------------------------------------------------------------------
 */

static struct bench *lead(void)
{
    return bench_open(&cluster_ops, unit_cluster(1, 1), 1, 1, 4);
}

static void see(struct bench *b, unsigned operation)
{
    struct conflict_detail d = {.type = CONFLICT_HASH_MISMATCH};
    struct conflict_seen seen = {.member = 1, .action = "facts", .detail = &d};
    seen.operation.bytes[0] = (uint8_t)operation;
    seen.operation.bytes[1] = (uint8_t)(operation >> 8);
    conflict_add(b->self, b->now_us, &seen);
    bench_step(b, &(struct event){.kind = EV_WAKE});
}

static void a_lead_repeats_until_it_is_acknowledged(void **state)
{
    (void)state;
    struct bench *b = lead();
    see(b, 1);
    see(b, 1); /* the same one */
    assert_int_equal(bench_count(b, MSG_CONFLICT), 1);
    struct conflict_ack ack = {.id = bench_sent(b, MSG_CONFLICT, 0)->u.conflict->id,
                               .agent = unit_agent(1, 1, 2),
                               .lamport = 900};
    bench_pass(b, 20000000);
    assert_in_range(bench_count(b, MSG_CONFLICT), 3, 6); /* backing off */
    struct msg m = {.type = MSG_CONFLICT_ACK, .from = unit_sector(1), .epoch = 1};
    m.u.conflict_ack = ack;
    bench_msg(b, &m);
    bench_forget(b);
    bench_pass(b, 30000000);
    assert_int_equal(bench_count(b, MSG_CONFLICT), 0);
    see(b, 2); /* what comes later has a later stamp */
    assert_int_equal(bench_sent(b, MSG_CONFLICT, 0)->u.conflict->lamport, 901);
    bench_close(b);
}

static void what_a_lead_cannot_keep_is_counted(void **state)
{
    (void)state;
    struct bench *b = lead();
    for (unsigned i = 0; i < LEAD_CONFLICTS_MAX + 9; i++) {
        see(b, i);
    }
    struct conflict_ack ack = {.id = bench_sent(b, MSG_CONFLICT, 0)->u.conflict->id};
    bench_forget(b);
    struct msg m = {.type = MSG_CONFLICT_ACK, .from = unit_sector(1), .epoch = 1};
    m.u.conflict_ack = ack;
    bench_msg(b, &m); /* room for one: the count */
    const struct conflict_report *r = bench_sent(b, MSG_CONFLICT, 0)->u.conflict;
    assert_int_equal(r->type, CONFLICT_OTHER);
    assert_int_equal(r->agents_affected, 9);
    assert_int_equal(r->agent.tier, TIER_CLUSTER);
    bench_close(b);
}

static void isolation_at_the_lead(void **state)
{
    (void)state;
    struct bench *b = lead();
    struct cluster *c = b->self;
    struct msg m = {.type = MSG_ISOLATE, .from = unit_sector(1), .epoch = 1};
    c->members[1].capabilities = c->members[1].declared = 7;
    m.u.isolate = (struct isolate){.agent = unit_agent(1, 1, 2), .what = ISOLATE_QUARANTINE};
    bench_msg(b, &m);
    assert_true((c->quarantined >> 1 & 1u) != 0);
    m.u.isolate =
        (struct isolate){.agent = unit_agent(1, 1, 2), .what = ISOLATE_BAR, .capabilities = 2};
    bench_msg(b, &m);
    assert_int_equal(c->members[1].capabilities, 5);
    const uint64_t excluded[CLASS_COUNT] = {
        [CLASS_A_EDGE] = 4, [CLASS_B_SERVERLESS] = 4, [CLASS_C_PERSISTENT] = 4,
        [CLASS_D_GPU] = 4,  [CLASS_E_LOCAL] = 4,      [CLASS_F_HUMAN] = 4};
    const uint64_t nothing[CLASS_COUNT] = {0};
    c->members[1].joined = true;
    members_excluded(c, b->now_us, excluded);
    assert_int_equal(c->members[1].capabilities, 1);
    members_excluded(c, b->now_us, nothing);
    assert_int_equal(c->members[1].capabilities, 5);
    m.u.isolate = (struct isolate){.agent = unit_agent(1, 1, 2), .what = ISOLATE_LIFT};
    bench_msg(b, &m);
    assert_false((c->quarantined >> 1 & 1u) != 0);
    assert_int_equal(c->members[1].capabilities, 7); /* counted on again, without a new hello */
    m.u.isolate = (struct isolate){
        .agent = unit_agent(1, 1, 1), .what = ISOLATE_AVOID, .agents = UINT64_MAX - 1u};
    bench_msg(b, &m);
    assert_int_equal(c->avoided, c->all & ~1ull);
    m.u.isolate.agents = 0;
    bench_msg(b, &m);
    assert_int_equal(c->avoided, 0);
    m.u.isolate.agent = unit_agent(1, 1, 5); /* not one of its */
    bench_msg(b, &m);
    assert_int_equal(b->notes[NOTE_UNEXPECTED], 1);
    bench_close(b);
}

/* --- the orchestrator --------------------------------------------------------------------------
 */

static struct bench *root(enum store_verdict log)
{
    struct bench *b = bench_open(&orchestrator_ops, unit_orchestrator(), 1, 1, 4);
    b->log_verdict = log;
    bench_up(b, 1, 4, 4);
    return b;
}

static void tell(struct bench *b, const struct conflict_report *r)
{
    struct msg m = {.type = MSG_CONFLICT, .from = unit_sector(1), .epoch = 1};
    m.u.conflict = r;
    bench_msg(b, &m);
}

static struct orchestrator *of(struct bench *b)
{
    return b->self;
}

static void only_what_is_durable_is_acknowledged(void **state)
{
    (void)state;
    struct bench *b = root(STORE_FULL);
    struct conflict_report r = report_of(CONFLICT_TEMPORAL_PARADOX, 2);
    tell(b, &r);
    tell(b, &r);
    bench_pass(b, 900000);
    assert_int_equal(bench_count(b, MSG_CONFLICT_ACK), 0);
    assert_int_equal(of(b)->logbook.count, 1); /* one row, tried again */
    assert_in_range(b->store_ops[STORE_LOG_APPEND], 2, 8);
    assert_string_equal(of(b)->logbook.why, "the disk is full");
    b->log_verdict = STORE_OK;
    bench_pass(b, 6000000);
    assert_int_equal(bench_count(b, MSG_CONFLICT_ACK), 1);
    assert_int_equal(bench_sent(b, MSG_CONFLICT_ACK, 0)->u.conflict_ack.id, r.id);
    assert_int_equal(of(b)->conflicts.count, 1);
    bench_close(b);
}

static void answer_agents(struct bench *b, unsigned of_agent, unsigned with, unsigned others)
{
    const struct msg *q = bench_sent(b, MSG_QUERY, 0);
    assert_non_null(q);
    struct page_row rows[8];
    memset(rows, 0, sizeof(rows));
    struct msg m = {.type = MSG_ROWS, .from = unit_sector(1), .epoch = 1};
    m.u.rows = (struct rows){.ref = q->u.query->ref, .kind = ROW_AGENT, .rows = rows};
    for (unsigned i = 1; i <= 4; i++) {
        struct page_row *row = &rows[m.u.rows.row_count++];
        row->key = i;
        row->unit = unit_agent(1, 1, i);
        row->u.agent.uid = i;
        row->u.agent.agent_class = CLASS_A_EDGE;
        row->u.agent.impedance.context_hash.bytes[0] = (uint8_t)(i == of_agent ? with : others);
    }
    m.u.rows.total = m.u.rows.row_count;
    bench_msg(b, &m);
}

static void contexts_that_converged_resolve_themselves(void **state)
{
    (void)state;
    struct bench *b = root(STORE_OK);
    struct conflict_report r = report_of(CONFLICT_CONTEXT_DIVERGENCE, 2);
    tell(b, &r);
    bench_pass(b, 10000);
    answer_agents(b, 2, 9, 9);
    bench_pass(b, 10000);
    assert_int_equal(of(b)->conflicts.count, 0);
    assert_int_equal(of(b)->logbook.count, 0);
    assert_int_equal(b->store_ops[STORE_LOG_APPEND], 4); /* opened, step, step, resolved */
    bench_close(b);
}

static void a_person_decides_what_the_mesh_cannot(void **state)
{
    (void)state;
    struct bench *b = root(STORE_OK);
    struct conflict_report r = report_of(CONFLICT_CONTEXT_DIVERGENCE, 2);
    tell(b, &r);
    bench_pass(b, 10000);
    answer_agents(b, 2, 1, 9);
    bench_pass(b, 10000);
    assert_int_equal(of(b)->conflicts.count, 1);
    assert_int_equal(of(b)->conflicts.open[0].stage, STAGE_REVIEW);
    struct command c = {.kind = COMMAND_RESOLVE, .decision = {.keep = KEEP_BOTH}};
    memcpy(c.decision.conflict, "zz", 3);
    bench_command(b, &c);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "no open conflict is called zz"));
    bench_forget(b);
    b->log_verdict = STORE_BUSY; /* no word of success before it is in the log */
    num_format_hex64(r.id, c.decision.conflict);
    bench_command(b, &c);
    assert_null(bench_reply(b, REPLY_OK));
    b->log_verdict = STORE_OK;
    bench_pass(b, 6000000);
    assert_non_null(bench_reply(b, REPLY_OK));
    assert_int_equal(of(b)->conflicts.count, 0);
    bench_close(b);
}

static void names_may_be_ambiguous(void **state)
{
    (void)state;
    struct bench *b = root(STORE_OK);
    struct conflict_report r = report_of(CONFLICT_OTHER, 1), s = report_of(CONFLICT_OTHER, 2);
    r.id = 0xab00000000000001u;
    s.id = 0xab00000000000002u;
    tell(b, &r);
    tell(b, &s);
    struct command c = {.kind = COMMAND_RESOLVE, .decision = {.conflict = "ab"}};
    bench_command(b, &c);
    const char *why = bench_reply(b, REPLY_ERROR)->text;
    assert_non_null(strstr(why, "ambiguous: ab00000000000001, ab00000000000002"));
    bench_close(b);
}

/* Its answer is lost: nobody knows anything of the agent, and that proves nothing. */
static void answer_nothing(struct bench *b)
{
    const struct msg *q = bench_sent(b, MSG_QUERY, 0);
    assert_non_null(q);
    struct msg m = {.type = MSG_ROWS, .from = unit_sector(1), .epoch = 1};
    m.u.rows = (struct rows){.ref = q->u.query->ref, .kind = ROW_AGENT, .missing = 1};
    bench_msg(b, &m);
}

static void a_wrong_hash_isolates_first(void **state)
{
    (void)state;
    struct bench *b = root(STORE_OK);
    struct conflict_report r = report_of(CONFLICT_HASH_MISMATCH, 2);
    const char *wanted = "09000000000000000000000000000000";
    memcpy(r.expected, wanted, 32);
    r.expected_bytes = 32;
    tell(b, &r);
    bench_pass(b, 10000);
    assert_int_equal(bench_order(b, ORDER_ISOLATE, 0)->u.order->u.isolate.what, ISOLATE_QUARANTINE);
    answer_nothing(b); /* asked again */
    assert_null(bench_order(b, ORDER_ISOLATE, 1));
    bench_forget(b);
    bench_pass(b, 2100000);
    assert_int_equal(bench_order(b, ORDER_ISOLATE, 0)->u.order->u.isolate.what, ISOLATE_QUARANTINE);
    answer_agents(b, 2, 9, 9);
    bench_pass(b, 10000);
    assert_int_equal(bench_order(b, ORDER_ISOLATE, 1)->u.order->u.isolate.what, ISOLATE_LIFT);
    assert_int_equal(of(b)->conflicts.count, 1); /* until a row shows that it was heard */
    bench_forget(b);
    bench_pass(b, 2100000);
    answer_agents(b, 2, 9, 9);
    bench_pass(b, 10000);
    assert_int_equal(of(b)->conflicts.count, 0);
    bench_close(b);
}

/* Who gave which answer: `expected` and `received` agents. */
static void answer_values(struct bench *b, uint32_t expected, uint32_t received)
{
    const struct msg *q = bench_sent(b, MSG_QUERY, 0);
    assert_non_null(q);
    assert_int_equal(q->u.query->kind, QUERY_ANSWERS);
    struct run run = {0, 0};
    struct page_row rows[2];
    memset(rows, 0, sizeof(rows));
    struct msg m = {.type = MSG_ROWS, .from = unit_sector(1), .epoch = 1};
    m.u.rows = (struct rows){.ref = q->u.query->ref, .kind = ROW_ANSWER, .rows = rows};
    const char *const values[] = {"42", "43"};
    const uint32_t counts[] = {expected, received};
    uint64_t hashes[2];
    for (int i = 0; i < 2; i++) {
        hashes[i] = aggregate_hash(OUTCOME_READY, REASON_NONE, (const uint8_t *)values[i], 2);
    }
    for (int k = 0; k < 2; k++) { /* rows rise by their hash */
        int i = hashes[0] < hashes[1] ? k : 1 - k;
        if (counts[i] == 0) {
            continue;
        }
        struct page_row *row = &rows[m.u.rows.row_count++];
        row->key = hashes[i];
        row->unit = unit_sector(1);
        row->u.answer = (struct answer_group){.outcome = OUTCOME_READY,
                                              .hash = hashes[i],
                                              .count = counts[i],
                                              .run_count = 1,
                                              .runs = &run,
                                              .answer = (const uint8_t *)values[i],
                                              .answer_bytes = 2};
    }
    m.u.rows.total = m.u.rows.row_count;
    bench_msg(b, &m);
}

static struct bench *contradiction(uint32_t expected, uint32_t received)
{
    struct bench *b = root(STORE_OK);
    struct conflict_report r = report_of(CONFLICT_DATA_CONTRADICTION, 2);
    memcpy(r.expected, "42", 2);
    memcpy(r.received, "43", 2);
    r.expected_bytes = r.received_bytes = 2;
    tell(b, &r);
    bench_pass(b, 10000);
    answer_values(b, expected, received);
    bench_pass(b, 10000);
    return b;
}

static void the_stronger_provenance_stands(void **state)
{
    (void)state;
    struct bench *b = contradiction(3, 1);
    assert_int_equal(of(b)->conflicts.count, 0);
    assert_int_equal(b->seals, 1); /* the weaker source is told */
    assert_string_equal(b->sealed.action, "echo");
    assert_int_equal(b->sealed.selector.places.patterns[0].agent.first, 2);
    bench_close(b);
    b = contradiction(1, 3);
    assert_int_equal(of(b)->conflicts.count, 0);
    assert_int_equal(b->seals, 0); /* it was right: nobody is told anything */
    bench_close(b);
    b = contradiction(2, 1); /* with the agent itself it is two against two */
    assert_int_equal(of(b)->conflicts.open[0].stage, STAGE_REVIEW);
    bench_close(b);
    b = contradiction(0, 0); /* no answers are kept any more */
    assert_int_equal(of(b)->conflicts.open[0].stage, STAGE_REVIEW);
    bench_close(b);
}

static void answer_cluster(struct bench *b, uint32_t clock_error_us, uint64_t capabilities)
{
    const struct msg *q = bench_sent(b, MSG_QUERY, 0);
    assert_non_null(q);
    struct page_row rows[4];
    memset(rows, 0, sizeof(rows));
    struct msg m = {.type = MSG_ROWS, .from = unit_sector(1), .epoch = 1};
    m.u.rows = (struct rows){
        .ref = q->u.query->ref, .kind = ROW_AGENT, .rows = rows, .row_count = 4, .total = 4};
    for (unsigned i = 0; i < 4; i++) {
        rows[i].key = i + 1;
        rows[i].unit = unit_agent(1, 1, i + 1);
        rows[i].u.agent.uid = i + 1;
        rows[i].u.agent.agent_class = CLASS_A_EDGE;
        rows[i].u.agent.capabilities = capabilities;
        rows[i].u.agent.impedance.clock_error_us = i == 1 ? clock_error_us : 2000;
    }
    bench_msg(b, &m);
    bench_pass(b, 10000);
}

static void a_clock_that_is_off_explains_a_paradox(void **state)
{
    (void)state;
    const uint32_t errors[] = {60000, UINT32_MAX, 40000};
    for (int i = 0; i < 3; i++) {
        struct bench *b = root(STORE_OK);
        struct conflict_report r = report_of(CONFLICT_TEMPORAL_PARADOX, 2);
        tell(b, &r);
        bench_pass(b, 10000);
        answer_cluster(b, errors[i], 0);
        if (i < 2) { /* 50 ms worse than its neighbours', or unknown: the source */
            assert_int_equal(of(b)->conflicts.count, 0);
        } else {
            assert_int_equal(of(b)->conflicts.open[0].stage, STAGE_REVIEW);
        }
        bench_close(b);
    }
}

static void work_is_routed_around_what_an_agent_cannot_do(void **state)
{
    (void)state;
    struct bench *b = root(STORE_OK);
    struct conflict_report r = report_of(CONFLICT_CAPABILITY_MISMATCH, 2);
    const char *name = b->topology.capabilities[0];
    r.expected_bytes = (uint16_t)strlen(name);
    memcpy(r.expected, name, r.expected_bytes);
    tell(b, &r);
    bench_pass(b, 10000);
    answer_cluster(b, 0, 1);
    const struct msg *m = bench_order(b, ORDER_ISOLATE, 0);
    assert_non_null(m);
    assert_int_equal(m->u.order->u.isolate.what, ISOLATE_BAR);
    assert_int_equal(m->u.order->u.isolate.capabilities, 1);
    assert_int_equal(of(b)->conflicts.count, 0);
    bench_close(b);
    b = root(STORE_OK);
    r = report_of(CONFLICT_CAPABILITY_MISMATCH, 2); /* no capability of this mesh is named */
    tell(b, &r);
    bench_pass(b, 10000);
    answer_cluster(b, 0, 1);
    assert_int_equal(of(b)->conflicts.open[0].stage, STAGE_REVIEW);
    bench_close(b);
}

static void a_deadline_escalates_once(void **state)
{
    (void)state;
    struct bench *b = root(STORE_OK);
    struct conflict_report r = report_of(CONFLICT_TEMPORAL_PARADOX, 2);
    tell(b, &r);
    for (int i = 0; i < 30; i++) {
        bench_beat(b, unit_sector(1), 1, 4, 4);
        bench_pass(b, 1000000);
    }
    assert_true(of(b)->conflicts.open[0].escalated);
    assert_int_equal(b->notes[NOTE_CONFLICT_URGENT], 1);
    bench_close(b);
}

static void nothing_is_changed_unrecorded(void **state)
{
    (void)state;
    struct bench *b = root(0); /* a log that never answers */
    struct command c;
    bench_submit(&c);
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < LOGBOOK_ROWS_MAX + 5; i++) {
        bench_command(b, &c);
        accepted += bench_reply(b, REPLY_ACCEPTED) != NULL ? 1u : 0u;
        if (i < LOGBOOK_ROWS_MAX) {
            bench_forget(b);
        }
    }
    assert_int_equal(accepted, LOGBOOK_ROWS_MAX);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "nothing is changed unrecorded"));
    c = (struct command){.kind = COMMAND_STATUS}; /* what only reads is answered */
    bench_command(b, &c);
    assert_non_null(bench_reply(b, REPLY_STATUS));
    bench_close(b);
}

static void without_a_log_nothing_waits_for_one(void **state)
{
    (void)state;
    struct bench *b = root(0);
    of(b)->hub.tuning.no_log = true;
    struct conflict_report r = report_of(CONFLICT_OTHER, 1);
    tell(b, &r);
    assert_int_equal(bench_count(b, MSG_CONFLICT_ACK), 1);
    struct command c;
    bench_submit(&c);
    bench_command(b, &c);
    assert_non_null(bench_reply(b, REPLY_ACCEPTED));
    c = (struct command){.kind = COMMAND_LOG, .log = {.log = LOG_AUDIT, .ask = LOG_ASK_ROWS}};
    bench_command(b, &c);
    assert_non_null(strstr(bench_reply(b, REPLY_ERROR)->text, "log_url is not set"));
    assert_int_equal(of(b)->logbook.count, 0);
    bench_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(priorities_and_strategies),
        cmocka_unit_test(a_report_is_read_back),
        cmocka_unit_test(a_lead_repeats_until_it_is_acknowledged),
        cmocka_unit_test(what_a_lead_cannot_keep_is_counted),
        cmocka_unit_test(isolation_at_the_lead),
        cmocka_unit_test(only_what_is_durable_is_acknowledged),
        cmocka_unit_test(contexts_that_converged_resolve_themselves),
        cmocka_unit_test(a_person_decides_what_the_mesh_cannot),
        cmocka_unit_test(names_may_be_ambiguous),
        cmocka_unit_test(a_wrong_hash_isolates_first),
        cmocka_unit_test(the_stronger_provenance_stands),
        cmocka_unit_test(a_clock_that_is_off_explains_a_paradox),
        cmocka_unit_test(work_is_routed_around_what_an_agent_cannot_do),
        cmocka_unit_test(a_deadline_escalates_once),
        cmocka_unit_test(nothing_is_changed_unrecorded),
        cmocka_unit_test(without_a_log_nothing_waits_for_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
