/* Contexts from neighbours (tiers/cluster/cluster_sync.c, docs/adr/0027), as a lead does it: whom
 * it asks, what it refuses, when it turns to its sector. */
#include "core/content.h"
#include "tests/support/lead.h"

static const uint8_t body[] = "the market closed early today";
static uint8_t key[CONTENT_HASH];

/* All agents have loaded it, and say so. */
static int setup_loaded(void **state)
{
    char ref[CONTENT_REF_BYTES + 1] = "";
    beats_us = 100 * S;
    topology_default(30000, &topo);
    struct node_conf conf = conf_default();
    conf.digest = digest_plain;
    rig_init(&rig, &cluster_ops, &conf, 100 * S);
    rig_start(&rig);
    sector_beat_reply();
    (void)state;
    digest_plain(body, sizeof(body), key);
    content_ref_format(key, (uint8_t *)ref);
    for (unsigned n = 1; n <= AGENTS; n++) {
        hello(n, 9);
        heartbeat(n);
    }
    struct operation op = operation_of(1);
    strcpy(op.action, CONTENT_ACTION);
    op.payload = (const uint8_t *)ref;
    op.payload_bytes = CONTENT_REF_BYTES;
    operate(&op);
    for (unsigned n = 1; n <= AGENTS; n++) {
        ack_simple(n, &op, OUTCOME_READY);
    }
    return 0;
}

static void beat(unsigned n, bool holds)
{
    struct msg m = from_agent(MSG_HEARTBEAT, n);
    m.u.heartbeat = (struct heartbeat){.uid = 1000 + n, .incarnation = 9};
    m.u.heartbeat.impedance.latency_us = 4000;
    m.u.heartbeat.impedance.state = AGENT_ACTIVE;
    if (holds) {
        m.u.heartbeat.impedance.context_hash = content_name(key);
    }
    rig_msg(&rig, &m);
}

static const struct msg *give(struct msg m, const void *bytes, uint32_t count)
{
    m.u.content = (struct content_word){.bytes = count, .body = bytes, .holder = m.from};
    memcpy(m.u.content.hash, key, sizeof(key));
    rig_msg(&rig, &m);
    return rig_sent(&rig, MSG_CONTENT);
}

static const struct msg *asked(unsigned agent)
{
    const struct msg *m = rig_sent(&rig, MSG_CONTENT);
    assert_non_null(m);
    assert_true(m->u.content.ask);
    assert_memory_equal(m->u.content.hash, key, sizeof(key));
    if (agent == 0) {
        assert_true(unit_equal(m->to, unit_sector(1)));
    } else {
        assert_true(unit_equal(m->to, unit_agent(1, 2, agent)));
    }
    return m;
}

/* Agent 3 lost it: agent 1 gives something else, agent 2 the right one. */
static void a_lying_neighbour_is_refused(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 2; n++) {
        beat(n, true);
    }
    beat(3, false);
    beat(3, false);
    asked(1);
    uint8_t wrong[sizeof(body)];
    memcpy(wrong, body, sizeof(body));
    wrong[5] ^= 1u;
    assert_non_null(give(from_agent(MSG_CONTENT, 1), wrong, sizeof(wrong)));
    assert_non_null(rig_note(&rig, NOTE_CONTENT_REFUSED));
    asked(2);
    assert_null(give(from_agent(MSG_CONTENT, 4), body, sizeof(body))); /* not asked */
    const struct msg *m = give(from_agent(MSG_CONTENT, 2), body, sizeof(body));
    assert_non_null(m);
    assert_true(unit_equal(m->to, unit_agent(1, 2, 3)));
    assert_true(unit_equal(m->u.content.holder, unit_agent(1, 2, 2)));
    assert_int_equal(m->u.content.bytes, sizeof(body));
    assert_memory_equal(m->u.content.body, body, sizeof(body));
    beat(3, true);
    const struct summary *s = NULL;
    for (int i = 0; i < 12 && (s == NULL || s->synced == 0); i++) {
        m = wait_for(MSG_BEAT, rig.now_us + 2 * S, 0);
        s = m != NULL && m->u.beat->has_summary ? &m->u.beat->summary : s;
    }
    assert_non_null(s);
    assert_int_equal(s->synced, 1);
    assert_true(unit_equal(s->synced_from, unit_agent(1, 2, 2)));
}

/* Another lead's agent lost it: who lied is not asked, silence is passed over, and nobody left is
 * an answer, too. */
static void the_sector_asks_for_others(void **state)
{
    (void)state;
    for (unsigned n = 1; n <= 3; n++) {
        beat(n, true);
    }
    struct msg ask = from_sector(MSG_CONTENT);
    ask.u.content = (struct content_word){.ask = true};
    memcpy(ask.u.content.hash, key, sizeof(key));
    rig_msg(&rig, &ask);
    asked(1);
    (void)give(from_agent(MSG_CONTENT, 1), "no", 2); /* from now on a liar */
    asked(2);
    while (rig.wake_us <= rig.now_us + S) { /* silence */
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        if (rig_sent(&rig, MSG_CONTENT) != NULL) {
            break;
        }
    }
    asked(3);
    const struct msg *m = give(from_agent(MSG_CONTENT, 3), NULL, 0);
    assert_non_null(m);
    assert_true(unit_equal(m->to, unit_sector(1)));
    assert_false(m->u.content.ask);
    assert_int_equal(m->u.content.bytes, 0);
    for (unsigned k = 0; k < 3; k++) {
        rig_msg(&rig, &ask);
        asked(2);
    }
    rig_msg(&rig, &ask); /* one more than there is room for */
    m = rig_sent(&rig, MSG_CONTENT);
    assert_true(unit_equal(m->to, unit_sector(1)));
    assert_false(m->u.content.ask);
}

/* Nobody of here has it: the sector is asked; what it passes on is checked again; then it is the
 * registry's turn. */
static void then_the_sector_then_the_registry(void **state)
{
    (void)state;
    beat(3, false);
    beat(3, false);
    asked(0);
    (void)give(from_sector(MSG_CONTENT), "something", 9);
    assert_non_null(rig_note(&rig, NOTE_CONTENT_REFUSED));
    const struct msg *m = rig_sent(&rig, MSG_WELCOME);
    assert_non_null(m);
    assert_true(m->u.welcome.has_content);
    assert_memory_equal(m->u.welcome.content, key, sizeof(key));
    beat(3, false);
    asked(0);
    m = give(from_sector(MSG_CONTENT), body, sizeof(body));
    assert_non_null(m);
    assert_true(unit_equal(m->to, unit_agent(1, 2, 3)));
    assert_null(rig_sent(&rig, MSG_WELCOME));
    beat(3, false); /* it does not know what to do with that: it is told the key */
    assert_null(rig_sent(&rig, MSG_CONTENT));
    assert_non_null(rig_sent(&rig, MSG_WELCOME));
    beat(3, false);
    asked(0);
}

static void agents_ask_for_nothing(void **state)
{
    (void)state;
    beat(1, true);
    struct msg m = from_agent(MSG_CONTENT, 5);
    m.u.content = (struct content_word){.ask = true};
    memcpy(m.u.content.hash, key, sizeof(key));
    rig_msg(&rig, &m);
    assert_null(rig_sent(&rig, MSG_CONTENT));
    assert_non_null(rig_note(&rig, NOTE_UNEXPECTED));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup_loaded, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_lying_neighbour_is_refused),
        TEST(the_sector_asks_for_others),
        TEST(then_the_sector_then_the_registry),
        TEST(agents_ask_for_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
