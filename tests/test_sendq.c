/* Queues: priority, due time, arrival, ageing, overflow, TTL. */
#include "core/rng.h"
#include "core/sendq.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define SIZE 8u

static struct sendq_entry rows[SIZE];
static struct sendq q;

static int setup(void **state)
{
    (void)state;
    memset(rows, 0x55, sizeof rows);
    sendq_init(&q, rows, SIZE, 1000);
    return 0;
}

static struct sendq_entry entry(uint32_t ref, uint8_t priority, int64_t due)
{
    struct sendq_entry e = {.ref = ref, .priority = priority, .due_us = due, .expires_us = 1000000};
    memcpy(e.id.bytes, &ref, sizeof ref);
    return e;
}

static enum sendq_verdict push(uint32_t ref, uint8_t priority, int64_t due, int64_t now,
                               uint32_t *ret_dropped)
{
    struct sendq_entry e = entry(ref, priority, due), dropped = {0};
    enum sendq_verdict v = sendq_push(&q, &e, now, &dropped);
    if (v == SENDQ_DROPPED) {
        *ret_dropped = dropped.ref;
    }
    return v;
}

static uint32_t pop(int64_t now)
{
    struct sendq_entry e;
    return sendq_pop(&q, now, &e) == SENDQ_OK ? e.ref : 0;
}

static void test_priority_then_due_then_arrival(void **state)
{
    (void)state;
    uint32_t lost = 0;
    push(1, 1, 500, 0, &lost);
    push(2, 3, 900, 0, &lost);
    push(3, 1, 400, 0, &lost);
    push(4, 0, 1, 0, &lost);
    push(5, 1, 400, 0, &lost);
    push(6, 3, 100, 0, &lost);
    assert_int_equal(q.by_priority[1], 3);
    const uint32_t order[] = {6, 2, 3, 5, 1, 4, 0};
    for (uint32_t i = 0; i < 7; i++) {
        assert_int_equal(pop(0), order[i]);
    }
    struct sendq_entry e;
    assert_int_equal(sendq_pop(&q, 0, &e), SENDQ_EMPTY);
}

static void test_waiting_raises_priority(void **state)
{
    (void)state;
    uint32_t lost = 0;
    push(1, 0, 5, 0, &lost);
    push(2, 2, 9, 2000, &lost);
    assert_int_equal(pop(1999 + 1), 1); /* aged to 2, and due earlier */
    push(3, 0, 50, 3000, &lost);
    assert_int_equal(pop(3999), 2);
    for (uint32_t i = 0; i < 5; i++) { /* a stream of critical ones cannot starve it */
        push(10 + i, 3, 100 + i, 3999 + i * 1000, &lost);
        if (pop(3999 + (int64_t)i * 1000) == 3) {
            return;
        }
    }
    fail();
}

static void test_full_drops_the_last_in_order(void **state)
{
    (void)state;
    uint32_t lost = 0;
    for (uint32_t i = 1; i <= SIZE; i++) {
        assert_int_equal(push(i, i <= 2 ? 1 : 2, 100 + i, 0, &lost), SENDQ_OK);
    }
    assert_int_equal(push(20, 0, 1, 0, &lost), SENDQ_DROPPED);
    assert_int_equal(lost, 20); /* the new one is the lowest */
    assert_int_equal(push(21, 1, 50, 0, &lost), SENDQ_DROPPED);
    assert_int_equal(lost, 2); /* same priority, due later */
    assert_int_equal(push(22, 1, 101, 0, &lost), SENDQ_DROPPED);
    assert_int_equal(lost, 22); /* equal: the newest goes */
    assert_int_equal(push(23, 3, 900, 0, &lost), SENDQ_DROPPED);
    assert_int_equal(lost, 1);
    assert_int_equal(push(24, 3, 901, 0, &lost), SENDQ_DROPPED);
    assert_int_equal(lost, 21);
    assert_int_equal(push(25, 3, 902, 0, &lost), SENDQ_DROPPED);
    assert_int_equal(lost, 8);
    assert_int_equal(q.count, SIZE);
    assert_int_equal(pop(0), 23);
}

static void test_expired_is_said_and_removed_can_be(void **state)
{
    (void)state;
    struct sendq_entry e = entry(1, 1, 1), out;
    e.expires_us = 500;
    sendq_push(&q, &e, 0, &out);
    e = entry(2, 0, 1);
    sendq_push(&q, &e, 0, &out);
    assert_int_equal(sendq_pop(&q, 500, &out), SENDQ_EXPIRED);
    assert_int_equal(out.ref, 1);
    assert_true(sendq_remove(&q, &e.id, &out));
    assert_int_equal(out.ref, 2);
    assert_false(sendq_remove(&q, &e.id, &out));
    assert_int_equal(q.count, 0);
    assert_int_equal(q.by_priority[0] + q.by_priority[1], 0);
}

/* Nothing is lost without being returned: pushes = pops + drops. */
static void test_random_use_loses_nothing(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 4, 4);
    uint8_t seen[4000] = {0};
    struct sendq_entry e;
    for (uint32_t i = 1; i < 4000; i++) {
        uint32_t lost = 0;
        push(i, (uint8_t)rng_below(&r, 4), (int64_t)rng_below(&r, 50), i, &lost);
        seen[lost] = (uint8_t)(seen[lost] + (lost != 0));
        if (rng_below(&r, 3) == 0 && sendq_pop(&q, i, &e) != SENDQ_EMPTY) {
            seen[e.ref]++;
        }
        assert_true(q.count <= SIZE);
    }
    while (sendq_pop(&q, 4000, &e) != SENDQ_EMPTY) {
        seen[e.ref]++;
    }
    for (uint32_t i = 1; i < 4000; i++) {
        assert_int_equal(seen[i], 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_priority_then_due_then_arrival, setup),
        cmocka_unit_test_setup(test_waiting_raises_priority, setup),
        cmocka_unit_test_setup(test_full_drops_the_last_in_order, setup),
        cmocka_unit_test_setup(test_expired_is_said_and_removed_can_be, setup),
        cmocka_unit_test_setup(test_random_use_loses_nothing, setup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
