/* The agent's own messages (tiers/agent), and those of others. */
#include "tests/support/agent.h"

static uint64_t author_ref;

static void emit(const struct operation *op)
{
    struct work_reply reply = {.ref = author_ref, .final = false, .emit = op};
    rig_work(&rig, &reply);
}

static int setup_author(void **state)
{
    setup_joined(state);
    struct operation op = operation_of(100);
    op.ttl_us = 80000 * S;
    operate(&op);
    author_ref = work_ref();
    return 0;
}

static struct operation message_to(const char *places)
{
    struct operation op = {.routing = ROUTING_DIRECT,
                           .priority = 2,
                           .verb = VERB_OBSERVE,
                           .action = "echo",
                           .payload = (const uint8_t *)"payload",
                           .payload_bytes = 7};
    size_t at;
    const char *why;
    assert_true(place_parse(places, strlen(places), &topo, &op.selector.places, &at, &why));
    return op;
}

static void relay_ack(struct id128 id, struct unit target, bool ok, const char *answer)
{
    struct msg m = from_lead(MSG_RELAY_ACK);
    m.u.relay_ack = (struct relay_ack){.message_id = id,
                                       .target = target,
                                       .reached = ok,
                                       .failed = !ok,
                                       .outcome = ok ? OUTCOME_READY : OUTCOME_FAILED,
                                       .answer = (const uint8_t *)answer,
                                       .answer_bytes = answer ? (uint32_t)strlen(answer) : 0};
    rig_msg(&rig, &m);
}

static void test_direct_message_is_sent_until_answered(void **state)
{
    (void)state;
    struct operation op = message_to("s02.c1.a[1-2]");
    emit(&op);
    const struct effect *seal = rig_effect(&rig, FX_SEAL, 0, 0);
    const struct msg *m = rig_sent(&rig, MSG_RELAY);
    assert_non_null(seal);
    assert_non_null(m);
    struct id128 id = m->u.relay.operation->id;
    assert_memory_equal(&seal->u.operation.id, &id, sizeof id);
    assert_memory_equal(m->u.relay.operation->payload, "payload", 7);
    assert_true(unit_equal(m->u.relay.operation->source, unit_agent(1, 2, 3)));
    m = wait_for(MSG_RELAY, rig.now_us + 3 * S);
    assert_non_null(m); /* again, by reference */
    assert_memory_equal(&m->u.relay.operation->id, &id, sizeof id);
    assert_memory_equal(&m->u.relay.operation->payload_of, &id, sizeof id);
    assert_int_equal(m->u.relay.operation->payload_bytes, 0);
    relay_ack(id, unit_agent(2, 1, 1), true, NULL);
    relay_ack(id, unit_agent(2, 1, 1), true, NULL); /* the same one again */
    assert_null(rig_note(&rig, NOTE_RELAYED));
    relay_ack(id, unit_agent(2, 1, 2), true, NULL);
    assert_non_null(rig_note(&rig, NOTE_RELAYED));
    assert_null(wait_for(MSG_RELAY, rig.now_us + 20 * S));
}

/* Emits one message, has it answered after so long, and returns how often it was sent again. */
static uint32_t repeats_until(int64_t answer_us)
{
    struct operation op = message_to("s02.c1.a1");
    emit(&op);
    struct id128 id = rig_sent(&rig, MSG_RELAY)->u.relay.operation->id;
    int64_t at_us = rig.now_us + answer_us;
    uint32_t repeats = 0;
    while (wait_for(MSG_RELAY, at_us) != NULL) {
        repeats++;
    }
    rig.now_us = at_us;
    relay_ack(id, unit_agent(2, 1, 1), true, NULL);
    assert_non_null(rig_note(&rig, NOTE_RELAYED));
    return repeats;
}

/* A mesh that was quick and becomes slow, as when its queues fill: who sends again what only takes
 * longer makes them longer. Without the estimate each of these messages is sent twice.
 */
static void test_slow_answers_are_no_loss(void **state)
{
    (void)state;
    uint32_t repeats = 0;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(repeats_until(S / 2), 0);
    }
    for (int i = 0; i < 20; i++) {
        repeats += repeats_until(5 * S);
    }
    assert_in_range(repeats, 1, 3);
    for (int i = 0; i < 20; i++) { /* and it learns that it is quick again */
        assert_int_equal(repeats_until(S / 2), 0);
    }
    struct operation op = message_to("s02.c1.a1");
    emit(&op);
    assert_non_null(rig_sent(&rig, MSG_RELAY));
    assert_non_null(wait_for(MSG_RELAY, rig.now_us + 3 * S));
}

/* After a loss the pause is longer until an answer came to what was sent once: never more than
 * three doublings for a new message. */
static void test_pause_after_losses_is_bounded(void **state)
{
    (void)state;
    struct operation op = message_to("s02.c1.a1");
    op.ttl_us = 200 * S;
    emit(&op);
    int64_t before_us = rig.now_us, longest_us = 0;
    for (int i = 0; i < 5; i++) {
        assert_non_null(wait_for(MSG_RELAY, rig.now_us + 200 * S));
        longest_us = rig.now_us - before_us;
        before_us = rig.now_us;
    }
    assert_in_range(longest_us, 16 * 7 * S / 5, 16 * 13 * S / 5);
    emit(&op);
    assert_non_null(wait_for(MSG_RELAY, rig.now_us + 8 * 13 * S / 5));
}

static void test_message_without_answers_is_lost(void **state)
{
    (void)state;
    struct operation op = message_to("s02.c1.a1");
    op.ttl_us = 5 * S;
    emit(&op);
    int64_t end_us = rig.now_us + 6 * S;
    bool lost = false;
    while (rig.wake_us < end_us && !lost) {
        rig.now_us = rig.wake_us;
        rig_wake(&rig);
        lost = rig_note(&rig, NOTE_RELAY_LOST) != NULL;
    }
    assert_true(lost);
    assert_int_equal(rig_note(&rig, NOTE_RELAY_LOST)->b, REASON_EXPIRED);
}

static void test_outbox_of_messages_is_bounded(void **state)
{
    (void)state;
    struct operation op = message_to("s02.c1.a1");
    for (int i = 0; i < 8; i++) {
        emit(&op);
        assert_non_null(rig_sent(&rig, MSG_RELAY));
    }
    emit(&op);
    assert_null(rig_sent(&rig, MSG_RELAY));
    assert_int_equal(rig_note(&rig, NOTE_RELAY_LOST)->b, REASON_OVERLOAD);
}

static void test_broadcast_waits_for_leads(void **state)
{
    (void)state;
    struct operation op = message_to("s02.c[1-2]");
    op.routing = ROUTING_BROADCAST;
    emit(&op);
    struct id128 id = rig_sent(&rig, MSG_RELAY)->u.relay.operation->id;
    relay_ack(id, unit_cluster(2, 1), true, NULL);
    assert_null(rig_note(&rig, NOTE_RELAYED));
    relay_ack(id, unit_cluster(2, 2), true, NULL);
    assert_non_null(rig_note(&rig, NOTE_RELAYED));
}

static void test_pipeline_passes_answers_on(void **state)
{
    (void)state;
    struct operation op = message_to("s02.c1.a1,s03.c1.a1");
    op.routing = ROUTING_PIPELINE;
    emit(&op);
    const struct operation *first = rig_sent(&rig, MSG_RELAY)->u.relay.operation;
    assert_true(place_has_agent(&first->selector.places, unit_agent(2, 1, 1)));
    assert_false(place_has_agent(&first->selector.places, unit_agent(3, 1, 1)));
    struct id128 id = first->id;
    relay_ack(id, unit_agent(2, 1, 1), true, "half done");
    const struct operation *second = rig_sent(&rig, MSG_RELAY)->u.relay.operation;
    assert_true(place_has_agent(&second->selector.places, unit_agent(3, 1, 1)));
    assert_memory_equal(second->payload, "half done", 9);
    assert_memory_equal(&second->causation_id, &id, sizeof id);
    assert_string_equal(second->action, "echo");
    emit(&op); /* only one pipeline at a time */
    assert_int_equal(rig_note(&rig, NOTE_RELAY_LOST)->b, REASON_OVERLOAD);
}

static void test_pipeline_ends(void **state)
{
    (void)state;
    struct operation op = message_to("s02.c1.a1");
    op.routing = ROUTING_PIPELINE;
    emit(&op);
    struct id128 id = rig_sent(&rig, MSG_RELAY)->u.relay.operation->id;
    relay_ack(id, unit_agent(2, 1, 1), true, "done");
    assert_non_null(rig_note(&rig, NOTE_RELAYED));
    emit(&op);
    assert_non_null(rig_sent(&rig, MSG_RELAY));
}

static void test_received_message_is_work(void **state)
{
    (void)state;
    struct operation op = operation_of(50);
    op.source = unit_agent(9, 1, 1);
    struct msg m = from_lead(MSG_RELAY);
    m.u.relay.operation = &op;
    rig_msg(&rig, &m);
    uint64_t ref = work_ref();
    work_done(ref, OUTCOME_READY, "pong");
    const struct msg *a = rig_sent(&rig, MSG_RELAY_ACK);
    assert_non_null(a);
    assert_int_equal(a->u.relay_ack.reached, 1);
    assert_memory_equal(a->u.relay_ack.answer, "pong", 4);
    rig_msg(&rig, &m); /* again: the answer again, no work */
    assert_null(rig_effect(&rig, FX_WORK, 0, 0));
    assert_memory_equal(rig_sent(&rig, MSG_RELAY_ACK)->u.relay_ack.answer, "pong", 4);
}

#define JOINED(f) cmocka_unit_test_setup_teardown(f, setup_joined, teardown)
#define AUTHOR(f) cmocka_unit_test_setup_teardown(f, setup_author, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AUTHOR(test_direct_message_is_sent_until_answered),
        AUTHOR(test_slow_answers_are_no_loss),
        AUTHOR(test_pause_after_losses_is_bounded),
        AUTHOR(test_message_without_answers_is_lost),
        AUTHOR(test_outbox_of_messages_is_bounded),
        AUTHOR(test_broadcast_waits_for_leads),
        AUTHOR(test_pipeline_passes_answers_on),
        AUTHOR(test_pipeline_ends),
        JOINED(test_received_message_is_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
