/* What a lead takes of the memory that it may take: its tables begin small, and grow to their
 * limits (tiers/cluster/cluster_op.h, cluster_facts.h). */
#include "tests/support/lead.h"
#include "tiers/cluster/cluster_state.h"

static struct cluster *lead(void)
{
    return rig.node;
}

/* Bytes from its beginning to the last chunk of the pool that was ever used. */
static size_t reach(void)
{
    const struct slab *s = &lead()->slab;
    return (size_t)(s->memory - (const uint8_t *)rig.node) + slab_bytes(s->fresh);
}

static void assert_untouched_from(size_t at)
{
    struct node_conf conf = conf_default();
    const uint8_t *bytes = rig.node;
    for (size_t end = cluster_ops.size(&conf); at < end; at++) {
        assert_int_equal(bytes[at], 0);
    }
}

static void play(uint8_t n)
{
    struct operation op = operation_of(n);
    operate(&op);
    for (unsigned i = 1; i <= AGENTS; i++) {
        ack_simple(i, &op, OUTCOME_READY);
    }
    assert_int_equal(result_of(&op, AGENTS)->outcomes[OUTCOME_READY], AGENTS);
}

static void test_a_lead_takes_what_it_uses(void **state)
{
    (void)state;
    assert_true(reach() <= 24u * 1024u);
    assert_untouched_from(reach());
    for (uint8_t n = 1; n <= 7; n++) { /* all of them are kept */
        play(n);
    }
    assert_true(reach() <= 48u * 1024u);
    assert_untouched_from(reach());
    wait_for(MSG_RESULT, rig.now_us + LEAD_KEPT_US + S, 0);
    size_t before = reach();
    for (uint8_t n = 11; n <= 17; n++) { /* in the place of those */
        play(n);
    }
    assert_int_equal(reach(), before);
}

static void text_of(char text[FACTS_BYTES_MAX], uint32_t i, uint32_t round)
{
    size_t bytes = (i * 37u + round * 101u) % FACTS_BYTES_MAX;
    bytes = round == 1 ? FACTS_BYTES_MAX - 1u : bytes; /* the longest, all of them */
    memset(text, (int)('a' + (i + round) % 26u), bytes);
    text[bytes] = '\0';
}

static void test_facts_of_all_at_their_longest(void **state)
{
    (void)state;
    topo.spare = MEMBERS_MAX - AGENTS;
    struct node_conf conf = conf_default();
    rig_done(&rig);
    rig_init(&rig, &cluster_ops, &conf, 100 * S);
    assert_int_equal(lead()->count, MEMBERS_MAX);
    char text[FACTS_BYTES_MAX];
    for (uint32_t round = 0; round < 12; round++) {
        for (uint32_t k = 0; k < MEMBERS_MAX; k++) {
            uint32_t i = k * 29u % MEMBERS_MAX;
            text_of(text, i, round);
            facts_told(lead(), i, text);
            assert_string_equal(facts_of(lead(), i), text);
        }
        for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
            text_of(text, i, round);
            assert_string_equal(facts_of(lead(), i), text);
        }
    }
    for (uint32_t i = 0; i < MEMBERS_MAX; i++) {
        facts_told(lead(), i, NULL);
        assert_string_equal(facts_of(lead(), i), "");
    }
    assert_int_equal(lead()->facts.used, 0);
    assert_true(lead()->slab.fresh <= LEAD_FACTS_RUNS);
}

/* Wakes until then; a full outbox asks for one at once. Returns how many ended. */
static uint32_t wakes(int64_t until_us)
{
    uint32_t results = 0;
    while (rig.wake_us <= until_us) {
        struct event e = {.kind = EV_WAKE};
        rig.now_us = rig.wake_us > rig.now_us ? rig.wake_us : rig.now_us;
        rig_event(&rig, &e);
        const struct effect *fx;
        for (uint32_t k = 0; (fx = rig_effect(&rig, FX_SEND, MSG_RESULT, k)) != NULL; k++) {
            results += fx->u.msg.u.result->final ? 1u : 0u;
        }
    }
    return results;
}

static void test_a_thousand_in_flight_end_as_one(void **state)
{
    (void)state;
    static const uint32_t share[PRIORITY_COUNT] = {512, 256, 256 - POOL_RESERVE, POOL_RESERVE};
    uint32_t opened = 0;
    for (uint8_t p = 0; p < PRIORITY_COUNT; p++) {
        for (uint32_t n = 0; n < share[p]; n++) {
            struct operation op = operation_of(1);
            memcpy(op.id.bytes + 8, &opened, sizeof opened);
            op.priority = p;
            operate_by(&op, 1, rig.now_us + 20 * S);
            opened += rig_sent(&rig, MSG_RESULT) == NULL ? 1u : 0u;
        }
    }
    assert_int_equal(opened, LEAD_OPS_MAX);
    assert_int_equal(lead()->live_count, LEAD_OPS_MAX);
    assert_int_equal(lead()->live_room, LEAD_OPS_MAX);
    assert_int_equal(lead()->made, LEAD_OPS_MAX);
    assert_int_equal(wakes(rig.now_us + 25 * S), LEAD_OPS_MAX);
    assert_int_equal(lead()->live_count, 0);
    assert_int_equal(lead()->kept_count, LEAD_KEPT_MAX);
    wakes(rig.now_us + LEAD_KEPT_US + S);
    assert_int_equal(lead()->kept_count, 0);
    assert_int_equal(lead()->slab.used, 0);
    assert_int_equal(lead()->slab.reserved, 0);
}

#define JOINED(f) cmocka_unit_test_setup_teardown(f, setup_joined, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOINED(test_a_lead_takes_what_it_uses),
        JOINED(test_facts_of_all_at_their_longest),
        JOINED(test_a_thousand_in_flight_end_as_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
