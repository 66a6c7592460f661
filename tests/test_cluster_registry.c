/* What the lead keeps in the registry (tiers/cluster). */
#include "tests/support/lead.h"

static const char *value_of(const struct store_field *fields, uint32_t count, const char *name)
{
    static char value[STORE_FIELD_VALUE_MAX + 1];
    for (uint32_t k = 0; k < count; k++) {
        if (strcmp(fields[k].name, name) == 0) {
            memcpy(value, fields[k].value, fields[k].value_bytes);
            value[fields[k].value_bytes] = '\0';
            return value;
        }
    }
    return NULL;
}

static const char *field_of(const struct store_op *op, const char *name)
{
    return value_of(op->fields, op->field_count, name);
}

static const char *row_field(const struct store_row *row, const char *name)
{
    return value_of(row->fields, row->field_count, name);
}

/* Runs the node for a while, answering every store operation; counts kinds, of those with rows the
 * rows. */
static void run_store(int64_t for_us, uint32_t counts[STORE_KIND_COUNT], enum store_verdict verdict)
{
    int64_t until_us = rig.now_us + for_us;
    while (rig.wake_us <= until_us) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        struct store_reply replies[OUTBOX_EFFECTS_MAX];
        uint32_t n = 0;
        const struct effect *e;
        while ((e = rig_effect(&rig, FX_STORE, 0, n)) != NULL) {
            assert_null(store_op_check(&e->u.store));
            if (e->u.store.kind == STORE_INDEX_SET) { /* one index for the whole sector */
                assert_string_equal(e->u.store.shard, "s01");
            }
            counts[e->u.store.kind] += e->u.store.row_count > 0 ? e->u.store.row_count : 1;
            replies[n++] = (struct store_reply){
                .ref = e->u.store.ref, .kind = e->u.store.kind, .verdict = verdict};
        }
        assert_true(n <= 10); /* paced */
        for (uint32_t k = 0; k < n; k++) {
            rig_store(&rig, &replies[k]);
        }
    }
}

static void test_registry_is_written_behind(void **state)
{
    (void)state;
    uint32_t counts[STORE_KIND_COUNT] = {0};
    rig_link(&rig, LINK_STORE, true);
    const struct effect *put = NULL;
    while (put == NULL) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        const struct effect *e;
        for (uint32_t k = 0; (e = rig_effect(&rig, FX_STORE, 0, k)) != NULL; k++) {
            put = put == NULL && e->u.store.kind == STORE_EPOCH_PUTS ? e : put;
        }
    }
    assert_string_equal(put->u.store.shard, "s01.c2");
    assert_string_equal(put->u.store.collection, "roster");
    assert_int_equal(put->u.store.row_count, STORE_PUTS_MAX);
    const struct store_row *row = &put->u.store.rows[0];
    assert_memory_equal(row->key, "agent:", 6);
    assert_string_equal(row_field(row, "agent_id"), "s01.c2.a1");
    assert_string_equal(row_field(row, "agent_class"), "CLASS_A_EDGE");
    assert_string_equal(row_field(row, "operational_state"), "active");
    assert_string_equal(row_field(row, "current_latency_ms"), "4.000");
    assert_memory_equal(row_field(row, "last_heartbeat"), "2023-11-14T22:1", 15);
    assert_non_null(row_field(row, "impedance_score"));
    assert_string_equal(row_field(row, "capability_mask"), "0000000000000003");
    assert_string_equal(row_field(row, "unit_epoch"), "9");
    assert_int_equal(put->u.store.epoch, 4);
    run_store(7 * S, counts, STORE_OK); /* what was asked for above is given up after 5 s */
    assert_int_equal(counts[STORE_INDEX_SET], 2 * AGENTS - 1);
    assert_true(counts[STORE_EPOCH_PUTS] >= AGENTS);
    memset(counts, 0, sizeof counts);
    for (unsigned n = 1; n <= AGENTS; n++) {
        heartbeat(n);
    }
    run_store(S, counts, STORE_OK); /* only what changed, and soon */
    assert_int_equal(counts[STORE_EPOCH_PUTS], AGENTS);
    assert_int_equal(counts[STORE_INDEX_SET], 0);
    memset(counts, 0, sizeof counts);
    run_store(62 * S, counts, STORE_OK);
    assert_true(counts[STORE_APPEND] >= 1);
}

static void test_refused_write_is_repeated(void **state)
{
    (void)state;
    uint32_t counts[STORE_KIND_COUNT] = {0};
    rig_link(&rig, LINK_STORE, true);
    run_store(3 * S, counts, STORE_BUSY);
    memset(counts, 0, sizeof counts);
    run_store(4 * S, counts, STORE_OK);
    assert_true(counts[STORE_EPOCH_PUTS] >= AGENTS);
}

/* What the lead gave its request for the roster to know the answer by. */
static uint64_t roster_asked(void)
{
    uint64_t ref = 0;
    const struct effect *e;
    for (int i = 0; i < 10 && ref == 0; i++) {
        for (uint32_t k = 0; (e = rig_effect(&rig, FX_STORE, 0, k)) != NULL; k++) {
            ref = e->u.store.kind == STORE_SCAN ? e->u.store.ref : ref;
        }
        rig.now_us = rig.wake_us;
        if (ref == 0) {
            rig_wake(&rig);
        }
    }
    assert_int_not_equal(ref, 0);
    return ref;
}

static void roster_says(uint64_t ref, const char *state)
{
    struct store_field fields[] = {{"uid", "00000000000003ee", 16},
                                   {"place", "s01.c2.a6", 9},
                                   {"unit_epoch", "12", 2},
                                   {"agent_class", "CLASS_A_EDGE", 12},
                                   {"capability_mask", "0000000000000003", 16},
                                   {"operational_state", state, (uint32_t)strlen(state)}};
    struct store_row row = {.key = "agent:00000000000003ee", .fields = fields, .field_count = 6};
    struct store_reply reply = {
        .ref = ref, .kind = STORE_SCAN, .verdict = STORE_OK, .rows = &row, .row_count = 1};
    rig_store(&rig, &reply);
}

static uint32_t quarantined(uint8_t id)
{
    struct operation op = operation_of(id);
    operate(&op);
    const struct aggregate_view *v = result_of(&op, AGENTS);
    assert_int_equal(v->reasons[REASON_NOT_JOINED], AGENTS - 1);
    return v->reasons[REASON_QUARANTINED];
}

static void test_roster_is_loaded(void **state)
{
    (void)state;
    rig_link(&rig, LINK_STORE, true);
    roster_says(roster_asked(), "quarantined");
    hello(6, 9); /* its epoch in the roster is 12 */
    assert_false(rig_sent(&rig, MSG_WELCOME)->u.welcome.accepted);
    hello(6, 13);
    assert_true(rig_sent(&rig, MSG_WELCOME)->u.welcome.accepted);
    sector_beat_reply();
    assert_int_equal(quarantined(1), 1); /* the quarantine survived the lead */
}

/* Ordered before the roster was read, and before the agent was heard: the former lead could not
 * write it down, and no record knows better. */
static void test_what_was_ordered_outdoes_the_roster(void **state)
{
    (void)state;
    struct msg m = from_sector(MSG_ISOLATE);
    m.u.isolate = (struct isolate){.agent = unit_agent(1, 2, 6), .what = ISOLATE_QUARANTINE};
    rig_link(&rig, LINK_STORE, true);
    uint64_t ref = roster_asked();
    rig_msg(&rig, &m);
    roster_says(ref, "active");
    hello(6, 13);
    sector_beat_reply();
    assert_int_equal(quarantined(1), 1);
}

/* The same without a roster: it is of whoever comes there. */
static void test_what_was_ordered_waits_for_the_agent(void **state)
{
    (void)state;
    struct msg m = from_sector(MSG_ISOLATE);
    m.u.isolate = (struct isolate){.agent = unit_agent(1, 2, 6), .what = ISOLATE_QUARANTINE};
    rig_msg(&rig, &m);
    hello(6, 13);
    sector_beat_reply();
    assert_int_equal(quarantined(1), 1);
}

/* How many a query finds and a preparation counts: the same. */
static uint32_t targets_of(const char *where)
{
    struct query q = {.ref = 5,
                      .kind = QUERY_AGENTS,
                      .from_start = true,
                      .limit = 64,
                      .deadline_mesh_us = rig.now_us + MESH + S};
    strcpy(q.selector.where, where);
    struct msg m = from_sector(MSG_QUERY);
    m.u.query = &q;
    rig_msg(&rig, &m);
    assert_non_null(rig_sent(&rig, MSG_ROWS));
    uint32_t found = rig_sent(&rig, MSG_ROWS)->u.rows.total;
    struct prepare p = {.level = TIER_CLUSTER, .deadline_mesh_us = rig.now_us + MESH + S};
    strcpy(p.selector.where, where);
    m = from_sector(MSG_PREPARE);
    m.u.prepare = &p;
    rig_msg(&rig, &m);
    assert_non_null(rig_sent(&rig, MSG_PREPARED));
    assert_int_equal(rig_sent(&rig, MSG_PREPARED)->u.prepared->targets, found);
    return found;
}

static void hello_facts(unsigned n, const char *facts)
{
    struct msg m = from_agent(MSG_HELLO, n);
    m.epoch = 10;
    m.u.hello = (struct hello){.uid = 1000 + n,
                               .incarnation = 10,
                               .agent_class = CLASS_A_EDGE,
                               .capabilities = 3,
                               .facts = facts};
    rig_msg(&rig, &m);
    assert_true(rig_sent(&rig, MSG_WELCOME)->u.welcome.accepted);
}

/* What was written of a member, as one row. */
static const struct store_row *written_row(const char *place)
{
    rig_link(&rig, LINK_STORE, true);
    for (int i = 0; i < 200; i++) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        struct store_reply replies[OUTBOX_EFFECTS_MAX];
        uint32_t count = 0;
        const struct effect *e;
        for (uint32_t k = 0; (e = rig_effect(&rig, FX_STORE, 0, k)) != NULL; k++) {
            const struct store_op *op = &e->u.store;
            for (uint32_t n = 0; op->kind == STORE_EPOCH_PUTS && n < op->row_count; n++) {
                const char *at = row_field(&op->rows[n], "place");
                if (at != NULL && strcmp(at, place) == 0) {
                    return &op->rows[n];
                }
            }
            replies[count++] =
                (struct store_reply){.ref = op->ref, .kind = op->kind, .verdict = STORE_OK};
        }
        for (uint32_t k = 0; k < count; k++) {
            rig_store(&rig, &replies[k]);
        }
    }
    fail_msg("%s was not written", place);
    return NULL;
}

#define FACTS_64 "a=01234567890123456789012345678901234567890123456789012345678901"

static void test_facts_choose_and_are_written(void **state)
{
    (void)state;
    hello_facts(3, FACTS_64 " cpus=8 os=debian12");
    hello_facts(4, "cpus=64 gpu=a100 os=debian11");
    assert_int_equal(targets_of("os=debian*"), 2);
    assert_int_equal(targets_of("cpus>=64"), 1);
    assert_int_equal(targets_of("os=debian*,gpu!=*"), 1);
    assert_int_equal(targets_of("gpu!=*"), AGENTS - 1);
    assert_int_equal(targets_of("os=plan9"), 0);
    struct operation op = operation_of(1);
    strcpy(op.selector.where, "os=debian*");
    operate(&op);
    const struct msg *sent = rig_sent(&rig, MSG_OPERATE);
    assert_non_null(sent);
    assert_true(unit_equal(sent->to, unit_agent(1, 2, 3)));
    assert_int_equal(sent->mask, 3); /* a3 and a4, nobody else */
    const struct store_row *row = written_row("s01.c2.a3");
    assert_string_equal(row_field(row, "facts_1"), FACTS_64);
    assert_string_equal(row_field(row, "facts_2"), " cpus=8 os=debian12");
    assert_null(row_field(row, "facts_3"));
}

/* A successor knows the facts of who has not come yet, until he says others. */
static void test_facts_survive_the_lead(void **state)
{
    (void)state;
    rig_link(&rig, LINK_STORE, true);
    uint64_t ref = roster_asked();
    struct store_field fields[] = {{"uid", "00000000000003eb", 16},
                                   {"place", "s01.c2.a3", 9},
                                   {"unit_epoch", "9", 1},
                                   {"agent_class", "CLASS_A_EDGE", 12},
                                   {"facts_1", FACTS_64, 64},
                                   {"facts_2", " os=debian12", 12},
                                   {"facts_3", "of a longer text before", 23}};
    struct store_field edited[] = {{"uid", "00000000000003ec", 16},
                                   {"place", "s01.c2.a4", 9},
                                   {"unit_epoch", "9", 1},
                                   {"agent_class", "CLASS_A_EDGE", 12},
                                   {"facts_1", "os=debian12 arch=x86_64", 23}};
    struct store_row rows[] = {
        {.key = "agent:00000000000003eb", .fields = fields, .field_count = 7},
        {.key = "agent:00000000000003ec", .fields = edited, .field_count = 5}};
    struct store_reply reply = {
        .ref = ref, .kind = STORE_SCAN, .verdict = STORE_OK, .rows = rows, .row_count = 2};
    rig_store(&rig, &reply);
    sector_beat_reply();
    assert_int_equal(targets_of("a=0123*,os=debian12"), 1);
    assert_int_equal(targets_of("os=*"), 1); /* what is out of order says nothing */
    hello_facts(3, "os=debian13");
    assert_int_equal(targets_of("os=debian12"), 0);
    assert_int_equal(targets_of("os=debian13,a!=*"), 1);
}

/* Steps the node until until_us. Store operations are answered with `verdict`, or with nothing (0);
 * GETs with a summary of that time (NULL: missing). */
struct seen {
    uint32_t out_most; /* without an answer at any time */
    uint32_t puts, fields, whole, indexes, gets;
    int64_t first_us;                             /* of the first operation; 0: none */
    char last_updated[STORE_FIELD_VALUE_MAX + 1]; /* of the last summary */
};

static void see(struct seen *seen, const struct store_op *op)
{
    seen->first_us = seen->first_us == 0 ? rig.now_us : seen->first_us;
    seen->gets += op->kind == STORE_GET;
    seen->indexes +=
        op->kind == STORE_INDEX_SET || op->kind == STORE_INDEX_REMOVE ? op->row_count : 0;
    for (uint32_t k = 0; op->kind == STORE_EPOCH_PUTS && k < op->row_count; k++) {
        seen->puts++;
        seen->fields += op->rows[k].field_count;
        seen->whole += row_field(&op->rows[k], "uid") != NULL;
    }
    if (op->kind == STORE_EPOCH_PUT && strcmp(op->key, "summary") == 0) {
        strcpy(seen->last_updated, field_of(op, "last_updated"));
    }
}

static void answer(const struct store_op *op, enum store_verdict verdict, const char *summary)
{
    struct store_field field = {"last_updated", summary,
                                summary != NULL ? (uint32_t)strlen(summary) : 0};
    struct store_row row = {.key = "summary", .fields = &field, .field_count = 1};
    struct store_reply reply = {.ref = op->ref, .kind = op->kind, .verdict = verdict};
    if (op->kind == STORE_GET && verdict == STORE_OK) {
        reply.verdict = summary != NULL ? STORE_OK : STORE_MISSING;
        reply.rows = &row;
        reply.row_count = summary != NULL;
    }
    rig_store(&rig, &reply);
}

static void watch_store(int64_t until_us, enum store_verdict verdict, const char *summary,
                        struct seen *seen)
{
    static struct store_op ops[512];
    static int64_t asked_us[512];
    uint32_t asked = 0;
    uint32_t answered = 0;
    while (true) {
        const struct effect *e; /* of the last event, at first of the one before this call */
        for (uint32_t n = 0; (e = rig_effect(&rig, FX_STORE, 0, n)) != NULL; n++) {
            see(seen, &e->u.store);
            assert_true(asked < 512);
            asked_us[asked] = rig.now_us;
            ops[asked++] = e->u.store;
        }
        outbox_clear(rig.out);
        uint32_t out = 0;
        for (uint32_t k = answered; k < asked; k++) {
            out += asked_us[k] + 5 * S > rig.now_us;
        }
        seen->out_most = out > seen->out_most ? out : seen->out_most;
        if (verdict != 0 && answered < asked) {
            answer(&ops[answered++], verdict, summary);
        } else if (rig.wake_us <= until_us) {
            rig.now_us = rig.wake_us > rig.now_us ? rig.wake_us : rig.now_us;
            rig_wake(&rig);
        } else {
            break;
        }
    }
    rig.now_us = until_us;
}

static void test_few_writes_wait_for_answers(void **state)
{
    (void)state;
    struct seen seen = {0};
    rig_link(&rig, LINK_STORE, true);
    watch_store(rig.now_us + 4 * S, (enum store_verdict)0, NULL, &seen);
    assert_in_range(seen.out_most, 5, 16); /* of 30 records, in two indexes, and the roster */
    watch_store(rig.now_us + 20 * S, (enum store_verdict)0, NULL, &seen);
    assert_true(seen.out_most <= 16); /* answers that never come are given up, and only then .. */
    seen = (struct seen){0};
    watch_store(rig.now_us + 8 * S, STORE_OK, NULL, &seen); /* .. is there room; nothing is lost */
    assert_int_equal(seen.whole, AGENTS);
    assert_int_equal(seen.indexes, 2 * AGENTS - 1);
}

static void test_only_what_is_new_is_written(void **state)
{
    (void)state;
    struct seen seen = {0};
    rig_link(&rig, LINK_STORE, true);
    watch_store(rig.now_us + 3 * S, STORE_OK, NULL, &seen);
    assert_int_equal(seen.whole, AGENTS);
    seen = (struct seen){0};
    rig.now_us += S;
    heartbeat(3);
    watch_store(rig.now_us + S, STORE_OK, NULL, &seen);
    assert_int_equal(seen.puts, 1);
    assert_int_equal(seen.fields, 1); /* last_heartbeat */
    rig.now_us += S;
    struct msg m = from_agent(MSG_HEARTBEAT, 3);
    m.u.heartbeat = (struct heartbeat){.uid = 1003, .incarnation = 9};
    m.u.heartbeat.impedance.latency_us = 4000;
    m.u.heartbeat.impedance.processing_us = 77;
    m.u.heartbeat.impedance.state = AGENT_ACTIVE;
    rig_msg(&rig, &m);
    seen = (struct seen){0};
    watch_store(rig.now_us + S / 2, STORE_BUSY, NULL, &seen); /* refused */
    assert_int_equal(seen.fields, 2);
    seen = (struct seen){0};
    watch_store(rig.now_us + 2 * S, STORE_OK, NULL, &seen);
    assert_int_equal(seen.fields, 2); /* the same again, and no more */
    assert_int_equal(seen.whole, 0);
}

static void test_back_after_an_outage(void **state)
{
    (void)state;
    struct seen before = {0};
    rig_link(&rig, LINK_STORE, true);
    watch_store(rig.now_us + 7 * S, STORE_OK, NULL, &before);
    assert_int_equal(before.last_updated[0], '2');
    heartbeat(3);
    rig_link(&rig, LINK_STORE, false);
    rig.now_us += S;
    rig_link(&rig, LINK_STORE, true); /* a short outage: the store has all that it acknowledged */
    struct seen seen = {0};
    watch_store(rig.now_us + 12 * S, STORE_OK, before.last_updated, &seen);
    assert_int_equal(seen.gets, 1);
    assert_int_equal(seen.whole, 0);
    assert_int_equal(seen.puts, 1);
    rig_link(&rig, LINK_STORE, false);
    rig_link(&rig, LINK_STORE, true); /* it is back with an older state */
    seen = (struct seen){0};
    watch_store(rig.now_us + 12 * S, STORE_OK, before.last_updated, &seen);
    assert_int_equal(seen.whole, AGENTS);
    assert_int_equal(seen.indexes, 2 * AGENTS - 1);
    rig_link(&rig, LINK_STORE, false);
    rig_link(&rig, LINK_STORE, true); /* it is back empty */
    seen = (struct seen){0};
    watch_store(rig.now_us + 12 * S, STORE_OK, NULL, &seen);
    assert_int_equal(seen.whole, AGENTS);
}

static void test_leads_come_back_one_by_one(void **state)
{
    int64_t least_us = INT64_MAX;
    int64_t most_us = 0;
    for (uint64_t seed = 1; seed <= 12; seed++) {
        struct node_conf conf = conf_default();
        conf.seed = seed;
        rig_init(&rig, &cluster_ops, &conf, 100 * S);
        rig_start(&rig);
        sector_beat_reply();
        for (unsigned n = 1; n <= AGENTS; n++) {
            hello(n, 9);
        }
        struct seen seen = {0};
        rig_link(&rig, LINK_STORE, true);
        watch_store(rig.now_us + 7 * S, STORE_OK, NULL, &seen);
        rig_link(&rig, LINK_STORE, false);
        rig_link(&rig, LINK_STORE, true);
        int64_t from_us = rig.now_us;
        seen = (struct seen){0};
        watch_store(rig.now_us + 12 * S, STORE_OK, NULL, &seen);
        least_us = seen.first_us - from_us < least_us ? seen.first_us - from_us : least_us;
        most_us = seen.first_us - from_us > most_us ? seen.first_us - from_us : most_us;
        if (seed < 12) {
            teardown(state);
        }
    }
    assert_true(least_us >= 0 && most_us <= 10 * S + 10000);
    assert_true(most_us - least_us > 4 * S);
}

#define FRESH(f)  cmocka_unit_test_setup_teardown(f, setup, teardown)
#define JOINED(f) cmocka_unit_test_setup_teardown(f, setup_joined, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOINED(test_registry_is_written_behind),
        JOINED(test_refused_write_is_repeated),
        JOINED(test_few_writes_wait_for_answers),
        JOINED(test_only_what_is_new_is_written),
        JOINED(test_back_after_an_outage),
        cmocka_unit_test_teardown(test_leads_come_back_one_by_one, teardown),
        FRESH(test_roster_is_loaded),
        FRESH(test_what_was_ordered_outdoes_the_roster),
        FRESH(test_what_was_ordered_waits_for_the_agent),
        JOINED(test_facts_choose_and_are_written),
        FRESH(test_facts_survive_the_lead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
