/* The queue of virtual time: whatever is pushed comes in the order of (time, sequence), however far
 * it lies, also while time goes on, and not before its time. */
#include "sim/world_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <stdlib.h>

#define EVENTS 20000u

struct expected {
    int64_t at_us;
    uint64_t seq;
};

static int by_order(const void *a, const void *b)
{
    const struct expected *x = a, *y = b;
    if (x->at_us != y->at_us) {
        return x->at_us < y->at_us ? -1 : 1;
    }
    return x->seq < y->seq ? -1 : x->seq > y->seq;
}

static void push(struct queue *q, struct expected *e, uint64_t seq, int64_t at_us)
{
    *e = (struct expected){at_us, seq};
    struct entry entry = {.at_us = at_us,
                          .seq = seq & SEQ_MASK,
                          .sub = (seq % 200u) & 0xffu,
                          .kind = W_MSG,
                          .node = WORLD_NOBODY,
                          .generation = (uint32_t)seq};
    queue_push(q, &entry);
}

/* At one instant, within a slot, within each of the wheels, and beyond the last. */
static int64_t draw(struct rng *r, int64_t now_us)
{
    static const int64_t far_us[] = {0, 200, 5000, 300000, 20000000, 90000000000, 900000000000};
    return now_us + rng_range(r, 0, far_us[rng_below(r, 7)]);
}

static void everything_comes_in_order(void **state)
{
    (void)state;
    static struct expected expected[EVENTS];
    struct queue *q = queue_new(NULL, 0, 0);
    struct rng r;
    struct entry e;
    rng_seed(&r, 5, 1);
    for (uint32_t i = 0; i < EVENTS; i++) {
        /* Many at the same few instants: more than are put in order by insertion. */
        push(q, &expected[i], i + 1, i % 3 == 0 ? (i % 5) * 10 : draw(&r, 0));
    }
    qsort(expected, EVENTS, sizeof(expected[0]), by_order);
    for (uint32_t i = 0; i < EVENTS; i++) {
        assert_false(queue_pop(q, expected[i].at_us - 1, &e));
        assert_true(queue_pop(q, expected[i].at_us, &e));
        assert_int_equal(e.at_us, expected[i].at_us);
        assert_int_equal(e.seq, expected[i].seq);
        assert_int_equal(e.generation, (uint32_t)expected[i].seq);
        assert_int_equal(e.sub, expected[i].seq % 200u);
        assert_int_equal(e.kind, W_MSG);
    }
    assert_false(queue_take(q, &e));
    queue_free(q);
}

/* Each that comes pushes another one, as nodes do: order holds against all that wait. */
static void it_goes_on_while_time_passes(void **state)
{
    (void)state;
    struct queue *q = queue_new(NULL, 0, 0);
    struct rng r;
    struct entry e, before = {.at_us = -1};
    struct expected ignored;
    uint64_t seq = 0;
    rng_seed(&r, 6, 1);
    for (uint32_t i = 0; i < 1000; i++) {
        push(q, &ignored, ++seq, draw(&r, 0));
    }
    for (uint32_t i = 0; i < 5 * EVENTS; i++) {
        assert_true(queue_take(q, &e));
        assert_true(e.at_us > before.at_us || (e.at_us == before.at_us && e.seq > before.seq));
        before = e;
        push(q, &ignored, ++seq, draw(&r, e.at_us));
    }
    uint32_t left = 0;
    for (; queue_take(q, &e); left++) {
        assert_true(e.at_us > before.at_us || (e.at_us == before.at_us && e.seq > before.seq));
        before = e;
    }
    assert_int_equal(left, 1000);
    queue_free(q);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_comes_in_order),
        cmocka_unit_test(it_goes_on_while_time_passes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
