/* Timers against a list that is searched: what runs, in which order, after any mix of setting,
 * moving, clearing and things that are due at once. */
#include "tiers/runner/timers.h"

#include "core/rng.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define TIMERS 700u

struct model {
    struct timer timer;
    bool set;
    int64_t due_us;
    uint64_t order;
};

static struct model models[TIMERS];
static struct timers timers;
static uint64_t order;
static uint32_t ran[TIMERS * 2], ran_count;
static int64_t now_us;
static struct rng rng;

static uint32_t model_first(void)
{
    uint32_t best = TIMERS;
    for (uint32_t i = 0; i < TIMERS; i++) {
        const struct model *m = &models[i];
        if (m->set && (best == TIMERS || m->due_us < models[best].due_us ||
                       (m->due_us == models[best].due_us && m->order < models[best].order))) {
            best = i;
        }
    }
    return best;
}

static void on_timer(struct timer *timer, void *ctx)
{
    struct model *m = (struct model *)(void *)timer;
    assert_ptr_equal(ctx, &timers);
    assert_int_equal((uint32_t)(m - models), model_first());
    assert_true(m->due_us <= now_us);
    m->set = false;
    ran[ran_count++ % (TIMERS * 2)] = (uint32_t)(m - models);
}

static void set(uint32_t i, int64_t due_us)
{
    struct model *m = &models[i];
    if (!m->set || m->due_us != due_us) { /* the same time again leaves it where it was */
        m->order = order++;
    }
    m->set = true;
    m->due_us = due_us;
    assert_true(timers_set(&timers, &m->timer, due_us));
}

static void soon(uint32_t i)
{
    struct model *m = &models[i];
    *m = (struct model){.timer = m->timer, .set = true, .due_us = now_us, .order = order++};
    assert_true(timers_soon(&timers, &m->timer, now_us));
}

static void they_run_in_order(void **state)
{
    (void)state;
    uint64_t total = 0;
    timers_init(&timers);
    rng_seed(&rng, 7, 1);
    for (uint32_t i = 0; i < TIMERS; i++) {
        models[i] = (struct model){.timer = {.fn = on_timer}};
    }
    for (uint32_t round = 0; round < 3000; round++) {
        uint32_t i = (uint32_t)rng_below(&rng, TIMERS);
        uint64_t what = rng_below(&rng, 10);
        if (what < 5) {
            set(i, now_us + (int64_t)rng_below(&rng, 400));
        } else if (what < 8) {
            soon(i);
        } else if (what == 8) {
            timers_clear(&timers, &models[i].timer);
            models[i].set = false;
        } else {
            now_us += (int64_t)rng_below(&rng, 60);
            total += timers_run(&timers, now_us, 1 + (uint32_t)rng_below(&rng, 40), &timers);
        }
        uint32_t first = model_first();
        assert_true(timers_next_us(&timers) ==
                    (first == TIMERS ? INT64_MAX : models[first].due_us));
    }
    now_us += 1000;
    total += timers_run(&timers, now_us, UINT32_MAX, &timers);
    assert_int_equal(model_first(), TIMERS);
    assert_null(timers_first(&timers));
    assert_int_equal(total, ran_count);
    assert_true(total > 1000);
    timers_done(&timers);
}

static struct timer chain;
static uint32_t links;

static void on_link(struct timer *timer, void *ctx)
{
    (void)ctx;
    if (++links < 1000) {
        assert_true(timers_soon(&timers, timer, now_us));
    }
}

static void a_chain_of_work_that_is_due_at_once_ends_at_the_limit_of_a_turn(void **state)
{
    (void)state;
    timers_init(&timers);
    links = 0;
    chain = (struct timer){.fn = on_link};
    assert_true(timers_soon(&timers, &chain, now_us));
    assert_int_equal(timers_run(&timers, now_us, 64, NULL), 64);
    assert_int_equal(links, 64);
    assert_true(timers_next_us(&timers) <= now_us);
    timers_clear(&timers, &chain);
    assert_int_equal(chain.place, 0);
    assert_true(timers_next_us(&timers) == INT64_MAX);
    timers_done(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_run_in_order),
        cmocka_unit_test(a_chain_of_work_that_is_due_at_once_ends_at_the_limit_of_a_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
