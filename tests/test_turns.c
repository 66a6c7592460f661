/* Whose turn it is, and parts of pools; background that goes out in shares, in virtual time. */
#include "core/hub_share.h"
#include "core/num.h"
#include "core/turns.h"
#include "sim/world.h"
#include "tests/support/worlds.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define ROOM    64u
#define SECTORS 24u
#define AGENTS  (SECTORS * 2u)

static struct id128 id_of(uint32_t n)
{
    struct id128 id = {0};
    memcpy(id.bytes, &n, sizeof(n));
    return id;
}

static uint32_t take(struct turns *t)
{
    struct id128 id = turns_take(t);
    uint32_t n;
    memcpy(&n, id.bytes, sizeof(n));
    return n;
}

struct queue {
    struct turns turns;
    struct id128 ids[ROOM];
    uint8_t priorities[ROOM];
};

static void open(struct queue *q)
{
    turns_init(&q->turns, q->ids, q->priorities, ROOM);
}

static void the_urgent_pass_and_equals_keep_their_order(void **state)
{
    (void)state;
    struct queue q;
    open(&q);
    static const uint8_t priorities[] = {0, 2, 1, 3, 2, 0};
    static const uint32_t expected[] = {3, 1, 4, 2, 0, 5};
    for (uint32_t round = 0; round < 40; round++) { /* the ring goes round */
        q.turns.taken = 0;                          /* within 6 turns nobody is the oldest's */
        for (uint32_t i = 0; i < 6; i++) {
            turns_add(&q.turns, id_of(i), priorities[i]);
        }
        for (uint32_t i = 0; i < 6; i++) {
            assert_int_equal(take(&q.turns), expected[i]);
        }
        assert_int_equal(q.turns.count, 0);
    }
}

static void the_low_is_not_starved(void **state)
{
    (void)state;
    struct queue q;
    open(&q);
    turns_add(&q.turns, id_of(1000), 0);
    uint32_t turns = 0, got = 0;
    for (uint32_t i = 0; got != 1000; i++) { /* something critical comes before each turn */
        turns_add(&q.turns, id_of(i), 3);
        got = take(&q.turns);
        turns++;
    }
    assert_true(turns <= TURNS_OLDEST);
    assert_int_equal(q.turns.count, 1); /* nothing is lost */
    assert_int_equal(take(&q.turns), turns - 1);
}

static void each_priority_has_its_part_of_a_pool(void **state)
{
    (void)state;
    assert_int_equal(turns_pool_share(2048, 0), 1024);
    assert_int_equal(turns_pool_share(2048, 1), 1536);
    assert_int_equal(turns_pool_share(2048, 2), 2048 - POOL_RESERVE);
    assert_int_equal(turns_pool_share(2048, 3), 2048);
    for (uint32_t places = 1; places < 200; places++) { /* a small pool still serves everyone */
        for (uint8_t p = 0; p < PRIORITY_COUNT; p++) {
            assert_in_range(turns_pool_share(places, p), 1, places);
            assert_true(p == 0 ||
                        turns_pool_share(places, p) >= turns_pool_share(places, (uint8_t)(p - 1u)));
        }
    }
}

/* --- background, in virtual time --- */

struct seen {
    uint8_t priority;     /* whose operation is looked at */
    uint64_t sent, ended; /* sectors, by their places */
    uint32_t at_once;     /* most without an end */
    uint32_t steps;       /* of the root that sent some */
    uint32_t rested;      /* .. after twice the time that half of what was sent before had taken */
    uint32_t half_open;   /* so many are without an end when that half has ended */
    int64_t begun_us, half_us;
};

static void watch(void *context, const struct world_step *step)
{
    struct seen *s = context;
    if (step->unit.tier != TIER_ORCHESTRATOR) {
        return;
    }
    const struct msg *got = step->event->kind == EV_MSG ? step->event->u.msg : NULL;
    if (got != NULL && got->type == MSG_RESULT && got->priority == s->priority &&
        got->u.result->final) {
        s->ended |= 1ull << (got->from.sector - 1u);
    }
    uint64_t before = s->sent;
    int64_t now_us = step->event->now_us;
    uint32_t open_before = (uint32_t)__builtin_popcountll(before & ~s->ended);
    if (s->half_us == 0 && open_before <= s->half_open) {
        s->half_us = now_us;
    }
    for (uint32_t i = 0; i < step->out->effect_count; i++) {
        const struct effect *e = &step->out->effects[i];
        if (e->kind == FX_SEND && e->u.msg.type == MSG_OPERATE &&
            e->u.msg.priority == s->priority) {
            uint64_t mask = e->u.msg.mask == 0 ? 1 : e->u.msg.mask;
            s->sent |= mask << (e->u.msg.to.sector - 1u);
        }
    }
    if (s->sent != before) {
        s->steps++;
        s->rested += before != 0 && s->half_us != 0 &&
                     now_us - s->half_us >= HUB_SHARE_REST * (s->half_us - s->begun_us);
        s->begun_us = now_us;
        s->half_us = 0;
        s->half_open = open_before + (uint32_t)__builtin_popcountll(s->sent & ~before) / 2u;
    }
    uint32_t open = (uint32_t)__builtin_popcountll(s->sent & ~s->ended);
    s->at_once = open > s->at_once ? open : s->at_once;
}

static struct world *mesh(struct seen *seen)
{
    struct world_conf conf;
    tree_conf(&conf, 7, SECTORS, 1, 2, AGENTS);
    struct world *w = world_new(&conf);
    world_run(w, 12 * US_PER_S);
    memset(seen, 0, sizeof(*seen));
    world_watch_set(w, watch, seen);
    return w;
}

static uint64_t begin(struct world *w, struct seen *seen, uint8_t priority, const char *places)
{
    size_t at;
    const char *why;
    struct command c = {.kind = COMMAND_SUBMIT};
    world_operation(&c.operation, "echo", "as you have time");
    c.operation.priority = priority;
    if (places != NULL) {
        assert_true(
            place_parse(places, strlen(places), NULL, &c.operation.selector.places, &at, &why));
    } else {
        *seen = (struct seen){.priority = priority};
    }
    return world_send(w, 1, unit_orchestrator(), &c);
}

/* Runs until the operation of `ref` ends. */
static const struct report *ended(struct world *w, uint64_t ref)
{
    const struct reply *r = NULL;
    for (int i = 0; i < 60000 && r == NULL; i++) {
        world_run(w, US_PER_MS);
        r = world_reply(w, ref);
    }
    assert_non_null(r);
    assert_int_equal(r->kind, REPLY_OPERATION);
    assert_int_equal(r->report->aggregate.targets, AGENTS);
    return r->report;
}

static void done(struct world *w)
{
    assert_int_equal(world_stats(w)->executed_twice, 0);
    assert_int_equal(world_stats(w)->uneven, 0);
    world_free(w);
}

static void the_wide_goes_out_in_shares(void **state)
{
    (void)state;
    struct seen seen;
    struct world *w = mesh(&seen);
    for (uint8_t priority = 0; priority <= HUB_SHARE_PRIORITY; priority++) {
        uint64_t ref = begin(w, &seen, priority, NULL);
        const struct report *r = ended(w, ref);
        assert_int_equal(r->aggregate.outcomes[OUTCOME_READY], AGENTS);
        assert_int_equal(__builtin_popcountll(seen.sent), SECTORS);
        /* The first two of a share of four may end before the other two. */
        assert_in_range(seen.at_once, HUB_SHARE_GENTLE, HUB_SHARE_GENTLE * 3u / 2u);
        assert_true(seen.steps >= SECTORS / HUB_SHARE_GENTLE);
        assert_int_equal(seen.rested, seen.steps - 1u);
    }
    done(w);
}

/* The usual one goes to everyone at once, but not beside small ones; the critical one always does.
 */
static void the_usual_makes_room_for_the_small(void **state)
{
    (void)state;
    static const struct {
        uint8_t priority;
        bool small; /* one was begun just before */
        uint32_t at_once;
    } cases[] = {{2, false, SECTORS}, {2, true, HUB_SHARE_CHILDREN}, {3, true, SECTORS}};
    struct seen seen;
    struct world *w = mesh(&seen);
    for (unsigned k = 0; k < sizeof(cases) / sizeof(cases[0]); k++) {
        if (cases[k].small) {
            uint64_t small = begin(w, &seen, 2, "s3");
            while (world_reply(w, small) == NULL) {
                world_run(w, US_PER_MS);
            }
        }
        uint64_t ref = begin(w, &seen, cases[k].priority, NULL);
        const struct report *r = ended(w, ref);
        assert_int_equal(r->aggregate.outcomes[OUTCOME_READY], AGENTS);
        assert_int_equal(seen.at_once, cases[k].at_once);
        world_run(w, HUB_SHARE_SMALL_US);
    }
    uint64_t ref = begin(w, &seen, 2, NULL); /* the small ones are long ago */
    (void)ended(w, ref);
    assert_int_equal(seen.at_once, SECTORS);
    done(w);
}

/* The first so many agents of the first so many sectors. */
static void slow(struct world *w, uint32_t sectors, uint32_t agents, double factor)
{
    for (uint32_t s = 1; s <= sectors; s++) {
        for (uint32_t a = 1; a <= agents; a++) {
            world_slow(w, unit_agent((uint16_t)s, 1, (uint16_t)a), factor);
        }
    }
}

static void the_slow_hold_up_no_share(void **state)
{
    (void)state;
    struct seen seen;
    struct world *w = mesh(&seen);
    slow(w, HUB_SHARE_CHILDREN, 2, 1e4); /* the first share: seconds of work, even of a quick one */
    uint64_t ref = begin(w, &seen, 0, NULL);
    world_run(w, 5 * US_PER_S / 4 + 100 * US_PER_MS); /* a quarter of its time, and the way */
    assert_int_equal(__builtin_popcountll(seen.sent), SECTORS);
    uint64_t first = (1ull << HUB_SHARE_CHILDREN) - 1u;
    assert_int_equal(seen.ended & first, 0);
    assert_int_equal(seen.ended | first, (1ull << SECTORS) - 1u); /* all others are done */
    (void)ended(w, ref);
    done(w);
}

/* Begins one of the usual priority, to everyone, just after a small one has ended. */
static uint64_t begin_beside(struct world *w, struct seen *seen)
{
    uint64_t small = begin(w, seen, 2, "s24");
    while (world_reply(w, small) == NULL) {
        world_run(w, US_PER_MS);
    }
    return begin(w, seen, HUB_SHARE_BESIDE, NULL);
}

/* Nobody answers within a step: the agents are slow, and the rest goes out by the clock. */
static void who_is_slow_is_not_waited_for(void **state)
{
    (void)state;
    struct seen seen;
    struct world *w = mesh(&seen);
    slow(w, SECTORS - 1u, 2, 1e3);
    uint64_t ref = begin_beside(w, &seen);
    while (seen.sent == 0) {
        world_run(w, 100);
    }
    world_run(w, HUB_SHARE_WIDE_US - 2 * US_PER_MS);
    assert_int_equal(__builtin_popcountll(seen.sent), HUB_SHARE_CHILDREN);
    world_run(w, 4 * US_PER_MS); /* the second share is twice the first */
    assert_int_equal(__builtin_popcountll(seen.sent), 3 * HUB_SHARE_CHILDREN);
    assert_int_equal(seen.ended, 0);
    assert_int_equal(seen.steps, 2);
    (void)ended(w, ref);
    done(w);
}

/* Those of the first share never end, the others do: each step goes on, and is not made longer by
 * what ends meanwhile for more than HUB_SHARE_ALL_US. */
static void the_slow_hold_up_nobody_else(void **state)
{
    (void)state;
    struct seen seen;
    struct world *w = mesh(&seen);
    slow(w, HUB_SHARE_CHILDREN, 2, 1e3);
    uint64_t ref = begin_beside(w, &seen);
    while (seen.sent == 0) {
        world_run(w, 100);
    }
    world_run(w, HUB_SHARE_ALL_US + US_PER_MS);
    assert_int_equal(__builtin_popcountll(seen.sent), SECTORS);
    (void)ended(w, ref);
    done(w);
}

/* A small urgent operation comes just behind one to everyone: it is answered first. */
static void the_small_and_urgent_is_not_behind_it(void **state)
{
    (void)state;
    struct seen seen;
    struct world *w = mesh(&seen);
    slow(w, SECTORS - 1u, 2, 100); /* so that no draw of delays decides who is first */
    uint64_t wide = begin(w, &seen, 0, NULL);
    while (seen.sent == 0) {
        world_run(w, 100);
    }
    int64_t from_us = world_now(w);
    uint64_t small = begin(w, &seen, 3, "s24");
    while (world_reply(w, small) == NULL && world_now(w) < from_us + US_PER_S) {
        world_run(w, 100);
    }
    const struct reply *r = world_reply(w, small);
    assert_non_null(r);
    assert_int_equal(r->report->aggregate.outcomes[OUTCOME_READY], 2);
    assert_null(world_reply(w, wide));
    assert_true((seen.sent >> (SECTORS - 1u) & 1u) == 0); /* its sector was not even reached */
    assert_int_equal(ended(w, wide)->aggregate.outcomes[OUTCOME_READY], AGENTS);
    done(w);
}

static void cancelled_before_its_share_is_answered_for(void **state)
{
    (void)state;
    struct seen seen;
    struct world *w = mesh(&seen);
    slow(w, HUB_SHARE_CHILDREN, 1, 1e3);
    uint64_t ref = begin(w, &seen, 0, NULL);
    for (int i = 0; i < 1000 && num_id128_zero(world_accepted(w, ref)); i++) {
        world_run(w, 100);
    }
    struct command c = {.kind = COMMAND_CANCEL, .operation_id = world_accepted(w, ref)};
    assert_false(num_id128_zero(c.operation_id));
    (void)world_send(w, 1, unit_orchestrator(), &c);
    const struct report *r = ended(w, ref);
    uint32_t unsent = SECTORS - (uint32_t)__builtin_popcountll(seen.sent);
    assert_true(unsent > 0);
    assert_true(r->aggregate.outcomes[OUTCOME_CANCELLED] >= unsent * 2u);
    assert_true(world_stats(w)->executed <= (SECTORS - unsent) * 2u);
    done(w);
}

static void a_sector_that_dies_before_its_share_is_answered_for(void **state)
{
    (void)state;
    struct seen seen;
    struct world *w = mesh(&seen);
    slow(w, HUB_SHARE_CHILDREN, 1, 1e3);
    uint64_t ref = begin(w, &seen, 0, NULL);
    while (seen.sent == 0) {
        world_run(w, 100);
    }
    world_kill(w, unit_sector(SECTORS), true);
    const struct report *r = ended(w, ref);
    assert_true(r->aggregate.outcomes[OUTCOME_UNREACHABLE] >= 2);
    assert_true(r->aggregate.outcomes[OUTCOME_READY] >= (SECTORS - HUB_SHARE_CHILDREN - 1u) * 2u);
    done(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_urgent_pass_and_equals_keep_their_order),
        cmocka_unit_test(the_low_is_not_starved),
        cmocka_unit_test(each_priority_has_its_part_of_a_pool),
        cmocka_unit_test(the_wide_goes_out_in_shares),
        cmocka_unit_test(the_usual_makes_room_for_the_small),
        cmocka_unit_test(the_slow_hold_up_no_share),
        cmocka_unit_test(who_is_slow_is_not_waited_for),
        cmocka_unit_test(the_slow_hold_up_nobody_else),
        cmocka_unit_test(the_small_and_urgent_is_not_behind_it),
        cmocka_unit_test(cancelled_before_its_share_is_answered_for),
        cmocka_unit_test(a_sector_that_dies_before_its_share_is_answered_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
