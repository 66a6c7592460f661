/* Liveness: silence, pauses, self-blame, epochs. */
#include "core/children.h"
#include "core/node.h"
#include "core/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define S     ((int64_t)US_PER_S)
#define COUNT 10u

static struct child rows[COUNT];
static struct children c;

static int setup(void **state)
{
    (void)state;
    memset(rows, 0, sizeof rows);
    children_init(&c, rows, COUNT, 3 * S, 4 * S);
    return 0;
}

static void all_heard(int64_t now_us, uint32_t from, uint32_t to)
{
    for (uint32_t i = from; i < to; i++) {
        children_heard(&c, i, now_us, 1);
    }
}

static uint32_t drain(int64_t now_us, enum child_event_kind kind)
{
    struct child_event e;
    uint32_t found = 0;
    while (children_tick(&c, now_us, &e)) {
        found += e.kind == kind;
    }
    return found;
}

static void test_states_follow_silence(void **state)
{
    (void)state;
    struct child_event e;
    assert_int_equal(children_next_us(&c), NEVER);
    assert_int_equal(children_heard(&c, 2, 10 * S, 5), CHILDREN_NEW);
    assert_int_equal(children_heard(&c, 2, 11 * S, 5), CHILDREN_SAME);
    assert_int_equal(children_epoch(&c, 2), 5);
    assert_int_equal(children_mask(&c, 0), 4);
    assert_int_equal(children_mask(&c, 2), 1);
    assert_false(children_tick(&c, 14 * S - 1, &e));
    assert_int_equal(children_next_us(&c), 14 * S);
    assert_true(children_tick(&c, 14 * S, &e));
    assert_int_equal(e.kind, CHILD_EVENT_SUSPECT);
    assert_int_equal(e.child, 2);
    assert_int_equal(e.silent_us, 3 * S);
    assert_true(children_reachable(&c, 2));
    assert_false(children_tick(&c, 14 * S, &e));
    assert_int_equal(children_next_us(&c), 15 * S);
    assert_true(children_tick(&c, 15 * S, &e));
    assert_int_equal(e.kind, CHILD_EVENT_DOWN);
    assert_false(children_tick(&c, 15 * S, &e));
    assert_int_equal(children_next_us(&c), NEVER);
    assert_int_equal(children_state(&c, 2), CHILD_DOWN);
    assert_int_equal(c.down, 1);
    assert_int_equal(children_mask(&c, 0), 0);
    assert_int_equal(children_heard(&c, 2, 16 * S, 5), CHILDREN_BACK);
    assert_int_equal(children_heard(&c, 2, 16 * S, 6), CHILDREN_NEW);
    assert_int_equal(children_next_us(&c), 19 * S);
    children_left(&c, 2);
    assert_int_equal(children_state(&c, 2), CHILD_DOWN);
    assert_int_equal(drain(100 * S, CHILD_EVENT_DOWN), 0);
}

static void test_long_silence_passes_suspect_then_down(void **state)
{
    (void)state;
    struct child_event e;
    children_heard(&c, 0, 1 * S, 1);
    assert_true(children_tick(&c, 60 * S, &e));
    assert_int_equal(e.kind, CHILD_EVENT_SUSPECT);
    assert_true(children_next_us(&c) < 60 * S); /* the tick is not finished */
    assert_true(children_tick(&c, 60 * S, &e));
    assert_int_equal(e.kind, CHILD_EVENT_DOWN);
    assert_false(children_tick(&c, 60 * S, &e));
}

static void test_stale_epoch_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    children_heard(&c, 1, 1 * S, 7);
    assert_int_equal(children_heard(&c, 1, 3 * S, 6), CHILDREN_STALE);
    assert_int_equal(rows[1].heard_us, 1 * S);
    assert_int_equal(children_heard(&c, 1, 3 * S, 0), CHILDREN_SAME); /* no epoch in it */
    assert_int_equal(children_epoch(&c, 1), 7);
}

static void test_own_pause_is_not_silence(void **state)
{
    (void)state;
    all_heard(10 * S, 0, 2);
    assert_int_equal(children_step(&c, 10 * S), 0);
    children_wake(&c, 11 * S);
    assert_int_equal(children_step(&c, 31 * S), 20 * S);
    assert_int_equal(children_step(&c, 31 * S), 0); /* once */
    assert_int_equal(drain(31 * S, CHILD_EVENT_SUSPECT), 0);
    assert_int_equal(drain(33 * S - 1, CHILD_EVENT_SUSPECT), 0); /* 1 s + 2 s - 1 us of silence */
    assert_int_equal(drain(33 * S, CHILD_EVENT_SUSPECT), 2);
    children_wake(&c, 34 * S);
    assert_int_equal(children_step(&c, 34 * S + S / 2), 0); /* late, but no pause */
}

static void test_half_silent_at_once_blames_itself_until_someone_speaks(void **state)
{
    (void)state;
    struct child_event e;
    all_heard(10 * S, 0, COUNT);
    all_heard(12 * S, 0, 4);
    assert_true(children_tick(&c, 13 * S, &e)); /* 6 of 10 */
    assert_int_equal(e.kind, CHILD_EVENT_SELF_BLAME);
    assert_int_equal(e.silent, 6);
    assert_int_equal(e.of, 10);
    assert_false(children_tick(&c, 60 * S, &e));
    assert_int_equal(children_next_us(&c), 13 * S + CHILDREN_BLAME_US);
    assert_int_equal(c.down + c.suspect, 0);
    /* Word from one: the others have suspect_us more, then half may really be gone. */
    children_heard(&c, 0, 60 * S, 1);
    assert_int_equal(drain(60 * S, CHILD_EVENT_DOWN), 0);
    all_heard(61 * S, 0, 4);
    all_heard(62 * S, 0, 4);
    assert_int_equal(drain(63 * S - 1, CHILD_EVENT_DOWN), 0);
    all_heard(63 * S, 0, 4);
    assert_int_equal(drain(63 * S, CHILD_EVENT_DOWN), 6);
    assert_int_equal(c.up, 4);
}

/* All may really be dead: nobody speaks ever again, and they may not count as up for ever. */
static void test_self_blame_ends(void **state)
{
    (void)state;
    struct child_event e;
    all_heard(10 * S, 0, COUNT);
    assert_true(children_tick(&c, 13 * S, &e));
    assert_int_equal(e.kind, CHILD_EVENT_SELF_BLAME);
    assert_false(children_tick(&c, 13 * S + CHILDREN_BLAME_US - 1, &e));
    assert_int_equal(drain(13 * S + CHILDREN_BLAME_US, CHILD_EVENT_DOWN), 0);
    assert_int_equal(c.up + c.suspect, COUNT);
    assert_int_equal(drain(16 * S + CHILDREN_BLAME_US, CHILD_EVENT_DOWN), COUNT);
    assert_int_equal(c.down, COUNT);
}

/* But not while the bus is down: then nobody can speak. */
static void test_self_blame_lasts_while_the_bus_is_down(void **state)
{
    (void)state;
    struct child_event e;
    all_heard(10 * S, 0, COUNT);
    assert_true(children_tick(&c, 13 * S, &e));
    children_link(&c, 20 * S, false);
    assert_int_equal(children_next_us(&c), NEVER);
    assert_false(children_tick(&c, 500 * S, &e));
    assert_int_equal(c.up, COUNT);
}

static void test_half_is_not_more_than_half(void **state)
{
    (void)state;
    struct child_event e;
    all_heard(10 * S, 0, COUNT);
    all_heard(12 * S, 0, 5);
    assert_true(children_tick(&c, 13 * S, &e)); /* 5 of 10 */
    assert_int_equal(e.kind, CHILD_EVENT_SUSPECT);
}

static void test_two_children_are_too_few_to_blame_oneself(void **state)
{
    (void)state;
    all_heard(10 * S, 0, 2);
    assert_int_equal(drain(14 * S, CHILD_EVENT_DOWN), 2);
}

static void test_link_down_stops_the_clock(void **state)
{
    (void)state;
    all_heard(10 * S, 0, COUNT);
    children_link(&c, 11 * S, false);
    assert_int_equal(drain(500 * S, CHILD_EVENT_SUSPECT), 0);
    children_link(&c, 500 * S, true);
    /* The others come back after a pause of up to 5 s each. */
    int64_t due = 502 * S + CHILDREN_RECONNECT_US;
    assert_int_equal(drain(due - 1, CHILD_EVENT_SUSPECT), 0);
    all_heard(due - 1, 0, 8);
    assert_int_equal(drain(due, CHILD_EVENT_SUSPECT), 2);
    assert_int_equal(drain(due + S, CHILD_EVENT_DOWN), 2);
}

/* Whatever happens: counters are those of the rows, and down only after failed_us of silence. */
static void test_random_histories(void **state)
{
    (void)state;
    struct rng r;
    rng_seed(&r, 11, 0);
    int64_t heard[COUNT] = {0};
    int64_t now = S;
    for (int i = 0; i < 20000; i++) {
        now += (int64_t)rng_below(&r, S / 2);
        uint32_t who = (uint32_t)rng_below(&r, COUNT);
        if (rng_below(&r, 4) != 0) {
            children_heard(&c, who, now, 1);
            heard[who] = now;
        } else if (rng_below(&r, 50) == 0) {
            children_link(&c, now, rng_below(&r, 2) == 0);
        }
        struct child_event e;
        while (children_tick(&c, now, &e)) {
            if (e.kind == CHILD_EVENT_DOWN) {
                assert_true(now - heard[e.child] >= 4 * S);
            }
        }
        uint32_t count[4] = {0};
        for (uint32_t j = 0; j < COUNT; j++) {
            count[rows[j].state]++;
        }
        assert_int_equal(count[CHILD_UP], c.up);
        assert_int_equal(count[CHILD_SUSPECT], c.suspect);
        assert_int_equal(count[CHILD_DOWN], c.down);
        assert_true(children_next_us(&c) > now);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_states_follow_silence, setup),
        cmocka_unit_test_setup(test_long_silence_passes_suspect_then_down, setup),
        cmocka_unit_test_setup(test_stale_epoch_is_refused_and_changes_nothing, setup),
        cmocka_unit_test_setup(test_own_pause_is_not_silence, setup),
        cmocka_unit_test_setup(test_half_silent_at_once_blames_itself_until_someone_speaks, setup),
        cmocka_unit_test_setup(test_half_is_not_more_than_half, setup),
        cmocka_unit_test_setup(test_self_blame_ends, setup),
        cmocka_unit_test_setup(test_self_blame_lasts_while_the_bus_is_down, setup),
        cmocka_unit_test_setup(test_two_children_are_too_few_to_blame_oneself, setup),
        cmocka_unit_test_setup(test_link_down_stops_the_clock, setup),
        cmocka_unit_test_setup(test_random_histories, setup)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
